//! `highwater schedule`: the real binary, by the real clock, with schedules of seconds.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::served_tests;
use crate::support::Test;
use crate::support::gate::Fault;
use crate::support::place::Place;
use crate::support::process;

/// The most time for something to show in the log.
const SHOW_MAX: Duration = Duration::from_secs(90);

pub fn tests() -> Vec<Test> {
    served_tests![
        tables_run_by_their_schedules_until_sigterm,
        a_table_never_runs_twice_at_once,
        what_was_missed_is_caught_up_if_asked_for,
        without_any_schedule_it_says_so,
    ]
}

/// The running command, and its log so far.
struct Scheduler {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    log: Vec<serde_json::Value>,
}

impl Scheduler {
    fn start(place: &Place, args: &[&str]) -> Self {
        let args = [&["schedule"], args].concat();
        let (child, stderr) = process::start(place.folder.path(), &place.env(), &args);
        Self { child, lines: BufReader::new(stderr).lines(), log: Vec::new() }
    }

    /// Reads the log until `enough` of it is there.
    async fn until(&mut self, what: &str, enough: impl Fn(&[serde_json::Value]) -> bool) {
        let shown = tokio::time::timeout(SHOW_MAX, async {
            while !enough(&self.log) {
                let line = self.lines.next_line().await.unwrap().expect("it ended by itself");
                self.log.extend(serde_json::from_str::<serde_json::Value>(&line).ok());
            }
        });
        assert!(shown.await.is_ok(), "{what}: {:#?}", self.log);
    }

    async fn terminate(mut self) -> (i32, Vec<serde_json::Value>) {
        let killed =
            Command::new("kill").args(["-TERM", &self.child.id().unwrap().to_string()]).status().await.unwrap();
        assert!(killed.success());
        while let Ok(Some(line)) = self.lines.next_line().await {
            self.log.extend(serde_json::from_str::<serde_json::Value>(&line).ok());
        }
        let status = tokio::time::timeout(Duration::from_secs(15), self.child.wait()).await.expect("it does not stop");
        (status.unwrap().code().unwrap_or(-1), self.log)
    }
}

/// How many runs of the table ended.
fn ended(log: &[serde_json::Value], table: &str) -> usize {
    log.iter().filter(|line| line["message"] == "run ended" && line["table"] == table).count()
}

async fn place_with_tables() -> Place {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t VALUES (1, '2024-01-01');
             CREATE TABLE late (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO late VALUES (1, '2024-01-01');")
        .await;
    place
}

async fn tables_run_by_their_schedules_until_sigterm() {
    let place = place_with_tables().await;
    place.configure(&["\"t*\": { cursor: u, schedule: \"*/2 * * * * *\" }", "late: { cursor: u }"], &[], "");
    let mut scheduler = Scheduler::start(&place, &[]);
    scheduler.until("the first run", |log| ended(log, "t") >= 1).await;
    place.pg("INSERT INTO t VALUES (2, '2024-01-02')").await;
    let so_far = ended(&scheduler.log, "t");
    scheduler.until("another run", |log| ended(log, "t") >= so_far + 2).await;
    let (code, log) = scheduler.terminate().await;
    assert_eq!(code, 0, "{log:#?}");
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "2");
    // who has no schedule is named, and does not run
    let named = |line: &&serde_json::Value| {
        line["message"] == "the table has no schedule and does not run" && line["table"] == "pg/late"
    };
    assert!(log.iter().any(|line| named(&line)) && ended(&log, "late") == 0, "{log:#?}");
    place.assert_clean().await;
}

async fn a_table_never_runs_twice_at_once() {
    let place = place_with_tables().await;
    place.configure(&["t: { cursor: u, schedule: \"* * * * * *\" }"], &[], "");
    place.gate.fault(1, Fault::Delay(Duration::from_secs(4)), |seen| seen.path.contains("/tables/t"));
    let mut scheduler = Scheduler::start(&place, &[]);
    let missed = |log: &[serde_json::Value]| {
        log.iter()
            .find(|line| line["message"] == "the table was due while it still ran")
            .map(|line| line["missed"].clone())
    };
    scheduler.until("a time that was missed", |log| missed(log).is_some()).await;
    assert!(missed(&scheduler.log).unwrap().as_u64().unwrap() >= 2, "{:#?}", scheduler.log);
    let (code, log) = scheduler.terminate().await;
    assert_eq!(code, 0, "{log:#?}");
    let failed = log.iter().any(|line| line["outcome"] == "superseded" || line["severity"] == "ERROR");
    assert!(!failed, "{log:#?}");
}

async fn what_was_missed_is_caught_up_if_asked_for() {
    let place = place_with_tables().await;
    let yearly = "schedule: \"@yearly\"";
    place.configure(&[&format!("t: {{ cursor: u, {yearly} }}")], &[], "");
    let mut scheduler = Scheduler::start(&place, &[]);
    scheduler.until("the schedule", |log| log.iter().any(|line| line["message"] == "scheduled")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (code, log) = scheduler.terminate().await;
    assert_eq!((code, ended(&log, "t")), (0, 0), "{log:#?}");
    let mut scheduler = Scheduler::start(&place, &["--catch-up"]);
    scheduler.until("the run that was missed", |log| ended(log, "t") == 1).await;
    assert_eq!(scheduler.terminate().await.0, 0);
    // it was written just now, so nothing was missed since
    let mut scheduler = Scheduler::start(&place, &["--catch-up"]);
    scheduler.until("the schedule", |log| log.iter().any(|line| line["message"] == "scheduled")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (code, log) = scheduler.terminate().await;
    assert_eq!((code, ended(&log, "t")), (0, 0), "{log:#?}");
}

async fn without_any_schedule_it_says_so() {
    let place = place_with_tables().await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let ran = place.run(&["schedule"]).await;
    assert!(ran.code == 2 && ran.stderr.contains("no table has a `schedule`"), "{ran:?}");
    place.configure(&["t: { cursor: u, schedule: \"*/5 * * *\" }"], &[], "");
    let ran = place.run(&["schedule"]).await;
    assert!(ran.code == 2 && ran.stderr.contains("has 4 fields\n  way out: it takes 5"), "{ran:?}");
}
