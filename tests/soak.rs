//! The large ones (`make soak`): a million rows each, half a million of one timestamp, memory measured.

use highwater::report::Outcome;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::sync::wide::{assert_same, both_queries, my_columns, my_wide, pg_columns, pg_wide};

pub fn tests() -> Vec<Test> {
    served_tests![
        a_million_rows_of_postgres_by_push,
        a_million_rows_of_mariadb_by_sync,
        half_a_million_rows_of_one_timestamp
    ]
}

const ROWS: u32 = 1_000_000;
/// Rows that are compared at once.
const WINDOW: u32 = 50_000;
/// The most resident memory of the process, in KiB.
const MEMORY_KIB_MAX: u64 = 64 << 10;

/// The process's highest resident size so far, in KiB, as the kernel counts it.
fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn assert_all_equal(place: &Place, postgres: bool, to: u32) {
    let columns = if postgres { pg_columns() } else { my_columns() };
    for from in (0..to).step_by(WINDOW as usize) {
        let (source, target) = both_queries(&columns, &format!("id > {from} AND id <= {}", from + WINDOW));
        let source = if postgres { place.pg_rows(&source).await } else { place.my_rows(&source).await };
        assert_same(&columns, &source, &place.bq(&target).await);
    }
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.wide").await, to.to_string());
}

async fn a_million_rows_of_postgres_by_push() {
    let place = Place::new().await;
    place.pg(&pg_wide(ROWS)).await;
    place.configure(&["wide: { cursor: updated_at }"], &[], "server: { run_budget: 1h }");
    let service = place.serve().await;
    let report = service.push("pg/wide").await;
    assert_eq!((report.outcome, report.rows), (Outcome::Synced, ROWS.into()));
    let memory = memory_kib(service.pid());
    eprintln!("soak: PostgreSQL, {ROWS} rows: extract {} ms, peak memory {memory} KiB", report.durations_ms.extract);
    assert!(memory < MEMORY_KIB_MAX, "{memory} KiB");
    assert_all_equal(&place, true, ROWS).await;
    place.pg("UPDATE wide SET j = j || '!', updated_at = now() - interval '5 s' WHERE id <= 1000;
              INSERT INTO wide (id, a, e, h, j, updated_at) SELECT i, 1, true, 1, 'new', now() - interval '4 s' FROM generate_series(1000001, 1001000) i").await;
    assert_eq!(service.push("pg/wide").await.rows, 2000);
    assert_all_equal(&place, true, ROWS + 1000).await;
    place.assert_clean().await;
}

async fn a_million_rows_of_mariadb_by_sync() {
    let place = Place::new().await;
    place.my(&my_wide(ROWS)).await;
    place.configure(&[], &["wide: { cursor: updated_at }"], "server: { run_budget: 1h }");
    let (ran, memory) = place.run_measured(&["sync", "wide", "--until-caught-up", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = ran.report();
    assert_eq!((report.outcome, report.rows), (Outcome::Synced, ROWS.into()));
    eprintln!("soak: MariaDB, {ROWS} rows: extract {} ms, peak memory {memory} KiB", report.durations_ms.extract);
    assert!(memory < MEMORY_KIB_MAX, "{memory} KiB");
    assert_all_equal(&place, false, ROWS).await;
    place.my("UPDATE wide SET j = concat(j, '!'), updated_at = utc_timestamp(6) - INTERVAL 5 SECOND WHERE id <= 1000;
              INSERT INTO wide (id, a, e, h, j, updated_at) SELECT seq, 1, 1, 1, 'new', utc_timestamp(6) - INTERVAL 4 SECOND FROM seq_1000001_to_1001000").await;
    assert_eq!(place.sync(&["wide"]).await[0].rows, 2000);
    assert_all_equal(&place, false, ROWS + 1000).await;
    place.assert_clean().await;
}

async fn half_a_million_rows_of_one_timestamp() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id bigint PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t SELECT i::bigint * 7919 % 500009, '2024-01-01' FROM generate_series(1, 500000) i; CREATE INDEX ON t (u, id); ANALYZE t").await;
    place.configure(&["t: { cursor: u, chunk_rows: 10000 }"], &[], "server: { run_budget: 1h }");
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.rows, report.chunks), (500_000, 50));
    let counts = place
        .bq("SELECT CAST(COUNT(*) AS STRING), CAST(COUNT(DISTINCT id) AS STRING), CAST(SUM(id) AS STRING) FROM {d}.t")
        .await;
    let source = place.pg_rows("SELECT count(*)::text, count(DISTINCT id)::text, sum(id)::text FROM t").await;
    assert_eq!(counts, source);
    place.assert_clean().await;
}
