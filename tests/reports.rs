//! What runs leave for people: reports on the bucket, rows in BigQuery exactly once, and what `status` makes of them.
//! Who is told of troubles is in `hooks`.

mod hooks;
mod listener;

use std::collections::BTreeSet;
use std::time::Duration;

use highwater::model::{Mode, TableId};
use highwater::report::record::{ReportName, RunId, RunRecord};
use highwater::report::{RunReport, WindowRun};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::served_tests;
use crate::support::Test;
use crate::support::calls::Calls;
use crate::support::gate::Fault;
use crate::support::place::Place;
use crate::support::process;

pub fn tests() -> Vec<Test> {
    let mut tests = served_tests![
        each_run_leaves_a_report_and_becomes_a_row_once,
        an_idle_run_pays_one_call,
        processes_that_end_at_once_load_a_run_once,
        a_process_that_dies_before_its_job_loses_nothing,
        a_load_that_fails_is_tried_again,
        a_report_that_appears_late_is_taken,
        windows_are_a_view_of_the_newest_runs,
        a_backfills_windows_can_be_queried,
        status_tells_lag_outcome_and_rows_per_day,
        status_does_without_bigquery,
        a_report_that_cannot_be_written_fails_no_run,
    ];
    tests.extend(hooks::tests());
    tests
}

const LEDGER: &str = "reports/loaded.json";
const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); \
                     INSERT INTO t SELECT i, '2024-01-01' FROM generate_series(1, 100) i";

/// Runs become rows of the test's own dataset.
fn rows(place: &Place) -> String {
    format!("reports: {{ dataset: {}, every: 1m, days: 30 }}", place.name)
}

/// A place with a table, whose runs become rows.
async fn place() -> Place {
    let place = Place::new().await;
    place.pg(TABLE).await;
    place.configure(&["t: { cursor: u }", "gone: { cursor: u }"], &[], &rows(&place));
    place
}

/// Names of the reports.
async fn reports(place: &Place) -> Vec<String> {
    place.objects("reports/").await.into_iter().filter(|name| name != LEDGER).collect()
}

/// As if the time for another batch had come.
async fn overdue(place: &Place) {
    let mut ledger = place.object(LEDGER).await.unwrap();
    ledger["at"] = "2024-01-01T00:00:00Z".into();
    place.put(LEDGER, &ledger.to_string()).await;
}

/// Follows the batch that is on its way, by `status`, until it is loaded.
async fn settled(place: &Place) {
    for _ in 0..100 {
        assert_eq!(place.run(&["status"]).await.code, 0);
        if place.object(LEDGER).await.unwrap()["pending"].is_null() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?}", place.object(LEDGER).await);
}

/// Every report is one row, and there is no other; how many.
async fn assert_once(place: &Place) -> usize {
    let rows = place.bq("SELECT run_id FROM {d}.runs").await;
    let ids: BTreeSet<String> = rows.iter().map(|row| row[0].clone().unwrap()).collect();
    assert_eq!(ids.len(), rows.len(), "a run is there twice");
    let of = |name: String| ReportName::of_object(&name).unwrap().run_id().to_owned();
    let names: BTreeSet<String> = reports(place).await.into_iter().map(of).collect();
    assert_eq!(ids, names);
    rows.len()
}

async fn each_run_leaves_a_report_and_becomes_a_row_once() {
    let place = place().await;
    let report = place.sync(&["t"]).await.remove(0);
    let names = reports(&place).await;
    let [name] = names.as_slice() else { panic!("{names:?}") };
    let day = Timestamp::now().strftime("%Y/%m/%d").to_string();
    assert!(name.starts_with(&format!("reports/{day}/")), "{name}");
    let kept = place.text(name).await.unwrap();
    assert_eq!(kept.matches('\n').count(), 1, "one line, so that it loads as it is");
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!((kept["rows"].as_u64(), kept["outcome"].as_str()), (Some(100), Some("synced")));
    assert_eq!(kept["run_id"], report.run_id.clone().unwrap());
    assert_eq!(kept["report"], serde_json::to_value(&report).unwrap());
    let fresh: Timestamp = kept["fresh_as_of"].as_str().unwrap().parse().unwrap();
    assert!(Timestamp::now().duration_since(fresh) < SignedDuration::from_secs(120), "{fresh}");

    // it was loaded at once, those after it wait for their time, also one that fails
    place.sync(&["t"]).await;
    assert_ne!(place.run(&["sync", "gone"]).await.code, 0);
    let caught_up = place.run(&["sync", "t", "--until-caught-up", "--json"]).await;
    assert_eq!((caught_up.code, caught_up.reports().len()), (0, 1));
    settled(&place).await;
    assert_eq!((place.gate.inserted("hw_runs_").len(), reports(&place).await.len()), (1, 4));
    overdue(&place).await;
    place.sync(&["t"]).await;
    settled(&place).await;
    assert_eq!(assert_once(&place).await, 5);
    assert_eq!(place.gate.inserted("hw_runs_").len(), 2);
    let columns = "SELECT CONCAT(source, '/', `table`), mode, outcome, IFNULL(error_class, ''), CAST(`rows` AS STRING), \
                   IFNULL(watermark_after, ''), JSON_VALUE(report, '$.table') FROM {d}.runs ORDER BY started_at LIMIT 3";
    let rows = place.bq(columns).await;
    let cells = |row: usize| rows[row].iter().map(|cell| cell.clone().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(cells(0), ["pg/t", "merge", "synced", "", "100", "2024-01-01T00:00:00Z", "t"]);
    assert_eq!(cells(1)[2], "up_to_date");
    assert_eq!(cells(2)[..4], ["pg/gone", "merge", "failed", "usage"]);
    let table = place.table("runs").await;
    assert_eq!(table["timePartitioning"]["field"], "started_at");
    // nothing new: nothing is loaded
    let loads = place.gate.inserted("hw_runs_").len();
    overdue(&place).await;
    settled(&place).await;
    assert_eq!(place.gate.inserted("hw_runs_").len(), loads);
}

async fn an_idle_run_pays_one_call() {
    let place = Place::new().await;
    place.pg(TABLE).await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    let calls = Calls::open(&place.valve.url).await;
    let mut env = place.env();
    env[0].1 = calls.url.clone();
    let ran = process::run(place.folder.path(), &env, &["sync", "t"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    // the state, what was staged, and the report
    assert_eq!(calls.tally().all, 3);
    assert_eq!(reports(&place).await.len(), 2);
    assert!(place.object(LEDGER).await.is_none());
}

async fn processes_that_end_at_once_load_a_run_once() {
    let place = place().await;
    place.sync(&["t"]).await;
    for _ in 0..3 {
        settled(&place).await;
        overdue(&place).await;
        let runs = (0..5).map(|_| place.run(&["sync", "t"]));
        for ran in futures_util::future::join_all(runs).await {
            assert_eq!(ran.code, 0, "{ran:?}");
        }
    }
    settled(&place).await;
    overdue(&place).await;
    place.sync(&["t"]).await;
    settled(&place).await;
    assert_eq!(assert_once(&place).await, 17);
    let jobs = place.gate.inserted("hw_runs_");
    let distinct: BTreeSet<&String> = jobs.iter().collect();
    assert!(distinct.len() == 5 && jobs.iter().all(|job| job.ends_with("_1")), "{jobs:?}");
}

async fn a_process_that_dies_before_its_job_loses_nothing() {
    let place = place().await;
    let submits = |seen: &crate::support::gate::Seen| seen.inserts_job().is_some_and(|id| id.starts_with("hw_runs_"));
    place.gate.fault(u32::MAX, Fault::Status(503), submits);
    let (mut child, _log) = process::start(place.folder.path(), &place.env(), &["sync", "t"]);
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while place.object(LEDGER).await.is_none_or(|ledger| ledger["pending"].is_null()) {
        assert!(tokio::time::Instant::now() < until, "no batch is pending");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().await.unwrap();
    place.gate.forgive();
    let pending = place.object(LEDGER).await.unwrap()["pending"].clone();
    // whoever finds it goes on with it, under the same id, and takes nothing else meanwhile
    place.sync(&["t"]).await;
    overdue(&place).await;
    place.sync(&["t"]).await;
    let jobs: BTreeSet<String> = place.gate.inserted("hw_runs_").into_iter().collect();
    let id = format!("hw_runs_{}_1", pending["id"].as_str().unwrap());
    assert_eq!(jobs.into_iter().collect::<Vec<_>>(), [id]);
    settled(&place).await;
    overdue(&place).await;
    place.sync(&["t"]).await;
    settled(&place).await;
    assert_eq!(assert_once(&place).await, 4);
}

async fn a_load_that_fails_is_tried_again() {
    let place = place().await;
    place.sync(&["t"]).await;
    settled(&place).await;
    overdue(&place).await;
    place.gate.fail_jobs("_1", "backendError", "a fault of the test's");
    place.sync(&["t"]).await;
    overdue(&place).await;
    let ran = place.run(&["sync", "t"]).await;
    assert!(ran.code == 0 && ran.stderr.contains("reports could not be loaded"), "{ran:?}");
    assert_eq!(place.object(LEDGER).await.unwrap()["pending"]["attempt"], 2);
    settled(&place).await;
    // a report of a batch that is gone is left out: the others are taken under another id
    place.gate.fail_jobs("never", "", "");
    overdue(&place).await;
    place.gate.fault(u32::MAX, Fault::Status(503), |seen| seen.inserts_job().is_some());
    place.sync(&["t"]).await;
    place.gate.forgive();
    let pending = place.object(LEDGER).await.unwrap()["pending"]["reports"].clone();
    let gone = format!("reports/{}", pending[0].as_str().unwrap());
    place.delete(&gone).await;
    for _ in 0..3 {
        overdue(&place).await;
        place.sync(&["t"]).await;
    }
    settled(&place).await;
    overdue(&place).await;
    place.sync(&["t"]).await;
    settled(&place).await;
    assert_eq!(assert_once(&place).await, 7);
}

/// Writes a report as a run of that time would.
async fn write(place: &Place, at: Timestamp, change: impl FnOnce(&mut RunReport)) -> String {
    let id = TableId { source: "pg".parse().unwrap(), table: "t".parse().unwrap() };
    let mut report = RunReport::new(&id, "demo.d.t".into(), Mode::Merge);
    change(&mut report);
    let run_id = RunId::new(at, u128::from(fastrand::u64(..)));
    let record = RunRecord::new(run_id.clone(), at, at, &report);
    let line = String::from_utf8(record.line().unwrap()).unwrap();
    place.put(&ReportName::new(at, &run_id).object(), &line).await;
    run_id.as_str().to_owned()
}

fn ago(minutes: i64) -> Timestamp {
    Timestamp::now().checked_sub(SignedDuration::from_mins(minutes)).unwrap()
}

async fn a_report_that_appears_late_is_taken() {
    let place = place().await;
    place.sync(&["t"]).await;
    settled(&place).await;
    // named before what was loaded, and there only now
    write(&place, ago(20), |_| {}).await;
    // of a clock that is ahead: it waits for its time, and moves nothing
    let ahead = write(&place, ago(-60), |_| {}).await;
    for _ in 0..2 {
        overdue(&place).await;
        place.sync(&["t"]).await;
        settled(&place).await;
    }
    let ids = place.bq("SELECT run_id FROM {d}.runs").await;
    assert!(ids.len() == 4 && ids.iter().all(|row| row[0].as_ref() != Some(&ahead)), "{ids:?}");
}

async fn a_backfills_windows_can_be_queried() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL);
             INSERT INTO t SELECT i, '2024-01-01Z'::timestamptz + i * interval '8 h' FROM generate_series(0, 8) i")
        .await;
    place.configure(&["t: { cursor: u, backfill_start: 2024-01-03 }"], &[], &rows(&place));
    place.sync(&["t"]).await;
    let ran = place.run(&["backfill", "t", "--to", "2024-01-03"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    overdue(&place).await;
    place.sync(&["t"]).await;
    settled(&place).await;
    let sql = "SELECT `window`, CAST(`rows` AS STRING), CAST(complete AS STRING) FROM {d}.windows \
               WHERE source = 'pg' AND `table` = 't' ORDER BY 1";
    let row = |window: &str| [window, "3", "true"].map(|cell| Some(cell.to_owned())).to_vec();
    assert_eq!(place.bq(sql).await, [row("2024-01-01..2024-01-02"), row("2024-01-02..2024-01-03")]);
}

async fn windows_are_a_view_of_the_newest_runs() {
    let place = place().await;
    let window = |name: &str, rows: u64, complete: bool| {
        let (from, to) = name.split_once("..").unwrap();
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (from, to) = (text(from), text(to));
        Some(WindowRun { name: name.to_owned(), from, to, rows, complete })
    };
    let first = "2024-01-01..2024-01-02";
    write(&place, ago(9), |report| report.window = window(first, 10, false)).await;
    write(&place, ago(8), |report| report.window = window(first, 25, true)).await;
    write(&place, ago(7), |report| report.window = window("2024-01-02..", 3, false)).await;
    place.sync(&["t"]).await;
    settled(&place).await;
    let sql = "SELECT source, `table`, `window`, window_from, window_to, CAST(`rows` AS STRING), CAST(complete AS STRING), \
               CAST(synced_at IS NULL AS STRING) FROM {d}.windows ORDER BY `window`";
    let cell = |text: &str| Some(text.to_owned());
    let wanted = vec![
        [
            cell("pg"),
            cell("t"),
            cell(first),
            cell("2024-01-01"),
            cell("2024-01-02"),
            cell("25"),
            cell("true"),
            cell("false"),
        ]
        .to_vec(),
        [
            cell("pg"),
            cell("t"),
            cell("2024-01-02.."),
            cell("2024-01-02"),
            None,
            cell("3"),
            cell("false"),
            cell("false"),
        ]
        .to_vec(),
    ];
    assert_eq!(place.bq(sql).await, wanted);
}

/// What `status --json` says of a table.
async fn status(place: &Place, table: &str) -> Value {
    let ran = place.run(&["status", "--json"]).await;
    let lines = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut found: Vec<Value> = lines.filter(|line| line["table"] == table).collect();
    assert!(ran.code == 0 && found.len() == 1, "{ran:?}");
    found.remove(0)
}

async fn status_tells_lag_outcome_and_rows_per_day() {
    let place = place().await;
    let day = |back: i64| ago(24 * 60 * back).strftime("%Y-%m-%d").to_string();
    write(&place, ago(24 * 60 * 2), |report| report.rows = 40).await;
    write(&place, ago(24 * 60 * 10), |report| report.rows = 1000).await;
    place.sync(&["t"]).await;
    // one run a row by now, the other a report
    for loaded in [false, true] {
        let line = status(&place, "t").await;
        assert_eq!(line["days"][day(0)]["rows"], 100, "loaded {loaded}: {line}");
        assert_eq!(line["days"][day(2)]["rows"], 40, "loaded {loaded}: {line}");
        assert_eq!(line["days"].as_object().unwrap().len(), 2, "{line}");
        assert_eq!(line["last_run"]["outcome"], "synced");
        assert!((0..120).contains(&line["lag_seconds"].as_i64().unwrap()), "{line}");
        settled(&place).await;
    }
    assert_ne!(place.run(&["sync", "gone"]).await.code, 0);
    let gone = status(&place, "gone").await;
    assert_eq!((gone["last_run"]["outcome"].as_str(), gone["lag_seconds"].as_i64()), (Some("failed"), None));
    assert_eq!(gone["last_run"]["error_class"], "usage");
    assert_eq!(gone["days"][day(0)]["failed"], 1);
    let ran = place.run(&["status", "--days", "12"]).await;
    for told in ["LAG", "LAST RUN", "pg/gone: failed at 20", &day(11), "1000"] {
        assert!(ran.stdout.contains(told), "{told}: {}", ran.stdout);
    }
    assert_eq!(place.run(&["status", "--days", "0"]).await.code, 2);
}

async fn status_does_without_bigquery() {
    let place = place().await;
    place.sync(&["t"]).await;
    settled(&place).await;
    place.gate.fault(u32::MAX, Fault::Status(403), |seen| seen.path.contains("/queries"));
    let ran = place.run(&["status"]).await;
    assert!(ran.code == 0 && ran.stdout.contains("2024-01-01T00:00:00Z"), "{ran:?}");
    let told: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("past runs:")).collect();
    assert!(told.len() == 1 && told[0].contains(".runs cannot be read"), "{told:?}");
    // where nothing becomes a row, reports say it
    let quiet = place.configure(&["t: { cursor: u }"], &[], "");
    assert!(quiet.exists());
    let line = status(&place, "t").await;
    assert!(line["last_run"]["outcome"] == "synced" && line["lag_seconds"].is_i64(), "{line}");
}

async fn a_report_that_cannot_be_written_fails_no_run() {
    let place = place().await;
    let calls = Calls::open(&place.valve.url).await;
    let mut env = place.env();
    env[0].1 = calls.url.clone();
    for fault in [crate::support::calls::Fault::Stall, crate::support::calls::Fault::Status(403)] {
        // the object's name is in the body of a write, so every write of a run that writes nothing else
        calls.decide(move |call| (call.method == "POST").then_some(fault));
        if fault == crate::support::calls::Fault::Stall {
            calls.heal();
            assert_eq!(process::run(place.folder.path(), &env, &["sync", "t"]).await.code, 0);
            calls.decide(move |call| (call.method == "POST").then_some(fault));
        }
        let begun = std::time::Instant::now();
        let ran = process::run(place.folder.path(), &env, &["sync", "t", "--json"]).await;
        assert!(ran.code == 0 && ran.stderr.contains("the run's report is not kept"), "{fault:?}: {ran:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{fault:?}: {:?}", begun.elapsed());
    }
}
