//! Processes at one table at the same time, and processes that are killed: the result is exact.

use std::time::Duration;

use highwater::report::{Outcome, RunReport};

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![two_processes_at_one_table, two_pushes_at_one_table, killed_at_any_moment_the_next_run_completes]
}

async fn append_table(place: &Place, rows: u32) {
    place.pg(&format!("CREATE TABLE t (id bigserial PRIMARY KEY, v text); INSERT INTO t (v) SELECT md5(i::text) FROM generate_series(1, {rows}) i")).await;
    place.configure(&["t: { mode: append, cursor: id, chunk_rows: 200 }"], &[], "");
}

async fn assert_exact(place: &Place, rows: u32) {
    let counts = place.bq("SELECT CAST(COUNT(*) AS STRING), CAST(COUNT(DISTINCT id) AS STRING) FROM {d}.t").await;
    assert_eq!(counts, vec![vec![Some(rows.to_string()), Some(rows.to_string())]]);
    place.assert_clean().await;
}

async fn two_processes_at_one_table() {
    let place = Place::new().await;
    append_table(&place, 1000).await;
    let (a, b) = tokio::join!(place.run(&["sync", "t", "--json"]), place.run(&["sync", "t", "--json"]));
    assert_eq!((a.code, b.code), (0, 0), "{a:?} {b:?}");
    // whoever is overtaken says so, and there is no third outcome
    for report in [a.report(), b.report()] {
        assert!(matches!(report.outcome, Outcome::Synced | Outcome::UpToDate | Outcome::Superseded), "{report:?}");
    }
    let last = place.sync(&["t"]).await.remove(0);
    assert_ne!(last.outcome, Outcome::Failed);
    assert_exact(&place, 1000).await;
}

async fn two_pushes_at_one_table() {
    let place = Place::new().await;
    append_table(&place, 1000).await;
    let (one, two) = (place.serve().await, place.serve().await);
    let (a, b): (RunReport, RunReport) = tokio::join!(one.push("pg/t"), two.push("pg/t"));
    assert!(a.outcome != Outcome::Failed && b.outcome != Outcome::Failed, "{a:?} {b:?}");
    one.push("pg/t").await;
    assert_eq!(one.terminate().await.0, 0);
    assert_eq!(two.terminate().await.0, 0);
    assert_exact(&place, 1000).await;
}

async fn killed_at_any_moment_the_next_run_completes() {
    let place = Place::new().await;
    append_table(&place, 1000).await;
    let mut killed = 0;
    // moments spread over what a run takes
    for tenth in 1..=14 {
        let cut = tokio::time::timeout(Duration::from_millis(tenth * 120), place.run(&["sync", "t"]));
        killed += u32::from(cut.await.is_err());
    }
    assert!(killed >= 3, "only {killed} runs were killed");
    place.sync(&["t"]).await;
    let counts = place.bq("SELECT CAST(COUNT(*) AS STRING), CAST(COUNT(DISTINCT id) AS STRING) FROM {d}.t").await;
    assert_eq!(counts, vec![vec![Some("1000".to_owned()), Some("1000".to_owned())]], "after {killed} kills");
}
