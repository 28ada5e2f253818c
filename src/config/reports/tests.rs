//! What `reports` and `notify` come to, and what each wrong one is told.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::config::document::Document;
use crate::config::reader::Findings;
use crate::config::{Config, Env};

const BASE: &str = "project: p\ndataset: d\nlocation: EU\njob_project: j\nbucket: acme-highwater\n\
                    sources: { s: { url: 'mysql://u:pw@10.0.0.5/db', tables: { t: { mode: replace } } } }\n";
const URL: &str = "https://hooks.example.com/services/T0/B0/very-secret";

fn env() -> Env {
    Env::new([("SLACK_URL".to_owned(), URL.to_owned())])
}

fn parse(more: &str) -> Result<Config, String> {
    Config::parse(&format!("{BASE}{more}"), "f.yaml", &env()).map_err(|errors| errors.to_string())
}

#[test]
fn reports_have_defaults_and_limits() {
    let config = parse("").unwrap();
    assert_eq!(config.reports, Reports::default());
    assert_eq!(config.runs.table.to_string(), "p._highwater.runs");
    assert_eq!((config.runs.location.as_str(), config.runs.job_project.as_str(), config.runs.days), ("EU", "j", 90));
    let config = parse("reports: { bigquery: false, dataset: ops, every: 1h, days: 7 }").unwrap();
    let every = Duration::from_secs(3600);
    assert_eq!(config.reports, Reports { bigquery: false, dataset: "ops".into(), every, days: 7 });
    assert_eq!((config.runs.table.dataset.as_str(), config.runs.days), ("ops", 7));
    for (more, told) in [
        ("reports: { every: 30s }", "reports.every: must be within 1m and 24h"),
        ("reports: { days: 0 }", "reports.days: must be from 1 to 3650"),
        ("reports: { dataset: a-b }", "is not a dataset"),
        ("reports: { bigqery: false }", "did you mean `bigquery`?"),
    ] {
        let faults = parse(more).unwrap_err();
        assert!(faults.contains(told), "{more}: {faults}");
    }
}

#[test]
fn hooks_are_a_list_or_a_list_with_patience() {
    let config =
        parse("notify: [{ webhook: '${SLACK_URL}' }, { pubsub: projects/p/topics/runs, on: failure }]").unwrap();
    let topic = HookAddress::Topic { project: "p".into(), topic: "runs".into() };
    let webhook = HookAddress::Webhook(Secret::new(URL.to_owned()));
    let hooks =
        vec![Hook { address: webhook, on: Event::ALL.to_vec() }, Hook { address: topic, on: vec![Event::Failure] }];
    assert_eq!(config.notify, Notify { hooks, patience: PATIENCE_DEFAULT, remind: REMIND_DEFAULT });
    let config = parse(
        "notify:\n  hooks:\n    - webhook: http://127.0.0.1:1/x\n      on: [drift, recovery]\n  patience: 0s\n  remind: 1h",
    );
    let notify = config.unwrap().notify;
    assert_eq!((notify.patience, notify.remind), (Duration::ZERO, Duration::from_secs(3600)));
    assert_eq!(notify.hooks[0].on, [Event::Drift, Event::Recovery]);
    assert_eq!(parse("").unwrap().notify.hooks, []);
    for (more, told) in [
        (
            "notify: [{}]",
            "f.yaml:7:10: notify[0]: names nobody; say either `webhook: ${URL}` or `pubsub: projects/P/topics/T`",
        ),
        ("notify: [{ webhook: 'https://h/x', pubsub: projects/p/topics/abc }]", "say either"),
        ("notify: [{ webhook: 'http://hooks.example.com/very-secret' }]", "must begin with https://"),
        ("notify: [{ webhook: 'very-secret' }]", "notify[0].webhook: is not a url"),
        ("notify: [{ pubsub: runs }]", "\"runs\" is not a topic; say projects/P/topics/T"),
        ("notify: [{ pubsub: projects/p/topics/ab }]", "is not a topic"),
        ("notify: [{ webhook: '${SLACK_URL}', on: [fail] }]", "\"fail\" is not one of failure, drift, recovery"),
        ("notify: [{ webook: '${SLACK_URL}' }]", "did you mean `webhook`?"),
        ("notify: x", "notify: must be a list"),
        ("notify: [x]", "notify[0]: must be a mapping"),
    ] {
        let faults = parse(more).unwrap_err();
        assert!(faults.contains(told), "{more}: {faults}");
        assert!(!faults.contains("very-secret"), "{more}: {faults}");
    }
}

#[test]
fn the_url_of_a_webhook_is_never_shown() {
    for url in ["${SLACK_URL}", URL, "${NOPE:-https://hooks.example.com/very-secret}"] {
        let text = format!("{BASE}notify: [{{ webhook: '{url}' }}]");
        let loaded = Document::parse(&text, "f.yaml").unwrap().read(&env(), Findings::default(), Vec::new()).unwrap();
        let shown = format!("{}{:?}", loaded.yaml(&env()), loaded.config);
        assert!(!shown.contains("very-secret"), "{shown}");
    }
}
