//! Runs in a row, and what is told of them.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::model::{Code, HookAddress, Mode, Secret, TableId};
use crate::report::{Failure, RunReport, WindowRun};

const WHEN: Patience = Patience { patience: Duration::from_secs(15 * 60), remind: Duration::from_secs(24 * 3600) };

/// A run that ended so many minutes after the first.
fn run(minute: i64, outcome: Outcome, class: Option<FailureClass>, drift: &[&str]) -> RunRecord {
    let id = TableId { source: "pg".parse().unwrap(), table: "t".parse().unwrap() };
    let mut report = RunReport::new(&id, "p.d.t".to_owned(), Mode::Merge);
    report.outcome = outcome;
    report.error = class.map(|class| Failure { code: Some(Code::TargetGone), message: "why".to_owned(), class });
    drift.iter().for_each(|line| report.drifted((*line).to_owned()));
    let at = Timestamp::from_second(1_772_323_200 + minute * 60).unwrap();
    RunRecord::new(RunId::new(at, u128::try_from(minute).unwrap()), at, at, &report)
}

fn hook(on: &[Event]) -> Hook {
    Hook { address: HookAddress::Webhook(Secret::new("https://h".to_owned())), on: on.to_vec() }
}

/// What is told of each run in turn, every message taken at once.
fn told(runs: &[RunRecord]) -> Vec<String> {
    let hooks = [hook(&Event::ALL)];
    let mut known = Notified::default();
    runs.iter()
        .map(|record| {
            let decision = decide(&known, record, "gs://b/r", WHEN);
            let next = decision.next.unwrap_or_else(|| known.clone());
            let sent: Vec<&Notice> =
                next.outbox.iter().filter(|notice| decision.send.contains(&notice.run_id)).collect();
            let taken: Vec<(RunId, usize)> = sent.iter().map(|notice| (notice.run_id.clone(), 0)).collect();
            let line = |notice: &&Notice| {
                let (_, _, event) = notice.left(&hooks).next().unwrap();
                format!("{}{}", event.name(), if notice.again { " again" } else { "" })
            };
            let said = sent.iter().map(line).collect::<Vec<_>>().join(",");
            known = next.sent(&taken, &hooks);
            said
        })
        .collect()
}

#[test]
fn runs_in_a_row() {
    use FailureClass::{Permanent, Transient, Usage};
    use Outcome::{Failed, Partial, Superseded, Synced, Unusable, UpToDate};
    let fine = |minute| run(minute, UpToDate, None, &[]);
    let failed = |minute, class| run(minute, Failed, Some(class), &[]);
    let stopped = |minute, line: &'static str| run(minute, Failed, Some(Permanent), &[line]);
    let cases: Vec<(&str, Vec<RunRecord>, Vec<&str>)> = vec![
        ("all is well", vec![fine(0), run(1, Synced, None, &[])], vec!["", ""]),
        (
            "at once, and once",
            vec![failed(0, Permanent), failed(1, Permanent), fine(2)],
            vec!["failure", "", "recovery"],
        ),
        ("usage too", vec![failed(0, Usage), fine(1), fine(2)], vec!["failure", "recovery", ""]),
        ("it passes", vec![failed(0, Transient), failed(14, Transient), fine(15)], vec!["", "", ""]),
        ("it lasts", vec![failed(0, Transient), failed(15, Transient), fine(16)], vec!["", "failure", "recovery"]),
        ("it gets worse", vec![failed(0, Transient), failed(1, Permanent)], vec!["", "failure"]),
        (
            "reminded once a day",
            vec![failed(0, Permanent), failed(1439, Permanent), failed(1440, Transient), failed(1441, Permanent)],
            vec!["failure", "", "failure again", ""],
        ),
        (
            "neither fails nor mends",
            vec![failed(0, Permanent), run(1, Superseded, None, &[]), run(2, Partial, None, &[]), fine(3)],
            vec!["failure", "", "", "recovery"],
        ),
        ("never was synced", vec![run(0, Unusable, Some(Usage), &[])], vec![""]),
        ("columns were changed", vec![run(0, Synced, None, &["added x"]), fine(1)], vec!["drift", ""]),
        ("each time", vec![run(0, Synced, None, &["x"]), run(1, Synced, None, &["x"])], vec!["drift", "drift"]),
        (
            "stopped by columns: one message, once",
            vec![stopped(0, "x"), stopped(1, "x"), fine(2), stopped(3, "x")],
            vec!["drift", "", "recovery", "drift"],
        ),
        ("by other columns", vec![stopped(0, "x"), stopped(1, "y")], vec!["drift", "drift"]),
    ];
    for (name, runs, wanted) in cases {
        assert_eq!(told(&runs), wanted, "{name}");
    }
}

#[test]
fn who_wants_failures_alone_is_told_of_a_run_that_columns_stopped() {
    let record = run(0, Outcome::Failed, Some(FailureClass::Permanent), &["x"]);
    let notice = decide(&Notified::default(), &record, "r", WHEN).next.unwrap().outbox.remove(0);
    let hooks = [hook(&[Event::Failure]), hook(&[Event::Drift]), hook(&[Event::Recovery]), hook(&Event::ALL)];
    let left: Vec<(usize, Event)> = notice.left(&hooks).map(|(number, _, event)| (number, event)).collect();
    assert_eq!(left, [(0, Event::Failure), (1, Event::Drift), (3, Event::Drift)]);
    assert_eq!(notice.text(Event::Failure), "pg/t fails: HW-TARGET-GONE: why");
    assert_eq!(notice.text(Event::Drift), "pg/t is stopped by its columns: x");
}

#[test]
fn a_message_that_was_not_taken_is_sent_by_a_later_run_and_by_one_alone() {
    let hooks = [hook(&Event::ALL), hook(&Event::ALL)];
    let first = run(0, Outcome::Failed, Some(FailureClass::Permanent), &[]);
    let claimed = decide(&Notified::default(), &first, "r", WHEN).next.unwrap();
    // one hook took it, the other did not answer, and a run that ends meanwhile leaves it alone
    let known = claimed.sent(&[(first.run_id.clone(), 0)], &hooks);
    let left: Vec<usize> = known.outbox[0].left(&hooks).map(|(number, ..)| number).collect();
    assert_eq!(left, [1]);
    let at_once = run(0, Outcome::Failed, Some(FailureClass::Permanent), &[]);
    assert_eq!(decide(&known, &at_once, "r", WHEN), Decision { next: None, send: vec![] });
    // a minute later it is anybody's; it is tried so often, and then given up
    let mut known = known;
    let mut tries = 1;
    for minute in 1.. {
        let later = decide(&known, &run(minute, Outcome::Failed, Some(FailureClass::Permanent), &[]), "r", WHEN);
        known = later.next.unwrap();
        match later.send.as_slice() {
            [one] => assert_eq!(*one, first.run_id),
            _ => break,
        }
        tries += 1;
    }
    assert_eq!((tries, known.outbox.len()), (TRIES_MAX, 0));
    assert!(known.failing.is_some(), "the failure is remembered");
}

#[test]
fn windows_neither_fail_a_table_nor_mend_it() {
    let mut report = run(0, Outcome::Failed, Some(FailureClass::Permanent), &[]).report;
    report.window = Some(WindowRun { name: "w".into(), from: None, to: None, rows: 0, complete: false });
    let at = run(0, Outcome::Failed, None, &[]).ended_at;
    let record = RunRecord::new(RunId::new(at, 1), at, at, &report);
    assert_eq!(decide(&Notified::default(), &record, "r", WHEN), Decision { next: None, send: vec![] });
}

#[test]
fn the_outbox_is_bounded() {
    let mut known = Notified::default();
    for minute in 0..40 {
        known = decide(&known, &run(minute, Outcome::Synced, None, &["x"]), "r", WHEN).next.unwrap();
        assert!(known.outbox.len() <= OUTBOX_MAX);
    }
    let long = "é".repeat(100_000);
    let mut report = run(0, Outcome::Synced, None, &["x"]).report;
    report.drift = vec![long; 100];
    let at = Timestamp::from_second(1_772_323_200).unwrap();
    for random in 0..20 {
        let record = RunRecord::new(RunId::new(at, random), at, at, &report);
        known = decide(&known, &record, "r", WHEN).next.unwrap();
    }
    assert!((serde_json::to_vec(&known).unwrap().len() as u64) < BYTES_MAX);
}
