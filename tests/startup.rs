//! The service is there before anything else is: nothing is contacted before the first request asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::served_tests;
use crate::support::Test;
use crate::support::process::Service;

pub fn tests() -> Vec<Test> {
    served_tests![nothing_is_contacted_before_the_first_request]
}

/// How long after the first answer nothing may be contacted.
const QUIET: Duration = Duration::from_secs(2);
/// The most time until a connection that was wanted is there.
const CONTACT_MAX: Duration = Duration::from_secs(20);

/// Counts connections, and closes them.
struct Ear {
    port: u16,
    heard: Arc<AtomicU32>,
    _task: JoinSet<()>,
}

impl Ear {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, heard) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU32::new(0)));
        let (mut task, counter) = (JoinSet::new(), heard.clone());
        task.spawn(async move {
            while listener.accept().await.is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { port, heard, _task: task }
    }

    fn heard(&self) -> u32 {
        self.heard.load(Ordering::Relaxed)
    }
}

/// A service of 20 tables and a pattern whose databases, services and webhook are the test's.
async fn nothing_is_contacted_before_the_first_request() {
    let names = ["postgres", "mysql", "storage", "bigquery", "pubsub", "webhook"];
    let mut ears = Vec::new();
    for _ in names {
        ears.push(Ear::open().await);
    }
    let port = |name: &str| ears[names.iter().position(|known| *known == name).unwrap()].port;
    let tables = |prefix: &str| -> String {
        (0..10).map(|at| format!("      {prefix}{at}: {{ cursor: u, schedule: '* * * * *' }}\n")).collect()
    };
    let text = format!(
        "project: demo\ndataset: d\nlocation: EU\nbucket: bucket\nserver: {{ run_budget: 3s }}\n\
         notify: [{{ webhook: 'http://127.0.0.1:{}/x' }}, {{ pubsub: projects/demo/topics/runs }}]\nsources:\n  \
         pg:\n    url: postgres://u:p@127.0.0.1:{}/db\n    tables:\n{}      'audit_*': {{ cursor: u }}\n  \
         my:\n    url: mysql://u:p@127.0.0.1:{}/db\n    tables:\n{}",
        port("webhook"),
        port("postgres"),
        tables("a"),
        port("mysql"),
        tables("b"),
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("highwater.yaml"), text).unwrap();
    let at = |name: &str| format!("127.0.0.1:{}", port(name));
    let env = [
        ("STORAGE_EMULATOR_HOST", at("storage")),
        ("BIGQUERY_EMULATOR_HOST", at("bigquery")),
        ("PUBSUB_EMULATOR_HOST", at("pubsub")),
    ];
    let env: Vec<(String, String)> = env.map(|(name, value)| (name.to_owned(), value)).into();
    let begun = Instant::now();
    let service = Service::start(folder.path(), &env).await;
    let answered = begun.elapsed();
    tokio::time::sleep(QUIET).await;
    let heard: Vec<String> = names.iter().zip(&ears).map(|(name, ear)| format!("{name} {}", ear.heard())).collect();
    eprintln!("startup: answered after {answered:.0?}; {QUIET:?} later connections: {}", heard.join(", "));
    assert!(ears.iter().all(|ear| ear.heard() == 0), "{heard:?}");
    // the ears do hear: a request makes the run look at its state
    let push = tokio::time::timeout(CONTACT_MAX, service.post("/sync/pg/a0", "")).await.unwrap();
    assert_eq!(push.0, 503, "{push:?}");
    let storage = &ears[names.iter().position(|name| *name == "storage").unwrap()];
    assert!(storage.heard() > 0, "the state was not asked for: {push:?}");
    assert_eq!(service.terminate().await.0, 0);
}
