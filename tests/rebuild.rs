//! A table that is built anew beside its target: what readers see, and what becomes of it when it is broken off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use highwater::report::Outcome;
use serde_json::Value;

use crate::drift::{field, leave_pending, some};
use crate::served_tests;
use crate::support::Test;
use crate::support::place::{Place, Rows};

pub fn tests() -> Vec<Test> {
    served_tests![
        a_rebuild_is_never_seen_missing_or_half_full,
        a_rebuild_of_mariadb_and_of_a_replaced_table,
        a_rebuild_goes_on_after_a_crash_at_its_swap,
        a_rebuild_keeps_the_layout_and_can_be_given_up,
        a_rebuilt_table_that_vanishes_under_a_pending_chunk,
    ]
}

/// Reads count and sum of the target without pause until told to stop; gives every distinct answer, in order.
fn watch(place: &Arc<Place>, sql: &'static str, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<Vec<Rows>> {
    let (place, stop) = (place.clone(), stop.clone());
    tokio::spawn(async move {
        let mut seen: Vec<Rows> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let rows = place.bq(sql).await;
            if seen.last() != Some(&rows) {
                seen.push(rows);
            }
        }
        seen
    })
}

async fn a_rebuild_is_never_seen_missing_or_half_full() {
    let place = Arc::new(Place::new().await);
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL);
             INSERT INTO t SELECT i, i::text, timestamptz '2024-01-01' + i * interval '1 s' FROM generate_series(1, 600) i")
        .await;
    place.configure(
        &["t: { cursor: u, chunk_rows: 200, cluster_by: [id], partition_by: u, schema: { incompatible: rebuild } }"],
        &[],
        "",
    );
    place.sync(&["t"]).await;
    place.pg("DELETE FROM t WHERE id > 590; ALTER TABLE t ALTER v TYPE int USING v::int; INSERT INTO t VALUES (1000, 1000, '2024-02-01')").await;
    let stop = Arc::new(AtomicBool::new(false));
    let watching =
        watch(&place, "SELECT CAST(COUNT(*) AS STRING), CAST(SUM(CAST(v AS INT64)) AS STRING) FROM {d}.t", &stop);
    let report = place.sync(&["t"]).await.remove(0);
    stop.store(true, Ordering::Relaxed);
    let seen = watching.await.unwrap();
    let (old, new) = (vec![vec![some("600"), some("180300")]], vec![vec![some("591"), some("175345")]]);
    assert!(seen == [old.clone(), new.clone()] || seen == [old], "{seen:?}");
    assert_eq!(report.chunks, 4, "three of rows and the swap: {report:?}");
    assert_eq!(place.bq("SELECT CAST(COUNT(*) AS STRING), CAST(SUM(v) AS STRING) FROM {d}.t").await, new);
    assert_eq!(field(&place, "t", "v").await.0, "INT64");
    let table = place.table("t").await;
    assert_eq!(
        (&table["clustering"]["fields"][0], &table["timePartitioning"]["field"]),
        (&Value::from("id"), &Value::from("u")),
        "{table}"
    );
    assert_eq!(place.tables().await, ["t"], "nothing is left beside it");
    // and on it goes
    place.pg("INSERT INTO t VALUES (1001, 5, '2024-02-02')").await;
    assert_eq!(place.sync(&["t"]).await[0].rows, 1);
    place.assert_clean().await;
}

async fn a_rebuild_of_mariadb_and_of_a_replaced_table() {
    let place = Place::new().await;
    place.my("CREATE TABLE t (id int PRIMARY KEY, v int, u datetime NOT NULL); INSERT INTO t VALUES (1, 1, '2024-01-01'); CREATE TABLE r (v int); INSERT INTO r VALUES (1), (2)").await;
    place.configure(
        &[],
        &["t: { cursor: u }", "r: { mode: replace }"],
        "defaults: { schema: { incompatible: rebuild } }",
    );
    place.sync(&["--all"]).await;
    place.my("ALTER TABLE t MODIFY v varchar(10); ALTER TABLE r MODIFY v varchar(10); UPDATE t SET v = 'x'; DELETE FROM r; INSERT INTO r VALUES ('y')").await;
    place.sync(&["--all"]).await;
    assert_eq!(place.bq_one("SELECT STRING_AGG(v, '') FROM {d}.t").await, "x");
    assert_eq!(place.bq_one("SELECT STRING_AGG(v, '') FROM {d}.r").await, "y");
    // an empty table is built anew too
    place.my("DELETE FROM t; ALTER TABLE t MODIFY v date").await;
    place.sync(&["t"]).await;
    assert_eq!(field(&place, "t", "v").await.0, "DATE");
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "0");
    let mut tables = place.tables().await;
    tables.sort();
    assert_eq!(tables, ["r", "t"]);
}

async fn a_rebuild_goes_on_after_a_crash_at_its_swap() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, v int, u timestamptz NOT NULL); INSERT INTO t SELECT i, i, '2024-01-01' FROM generate_series(1, 10) i").await;
    place.configure(&["t: { cursor: u, schema: { incompatible: rebuild } }"], &[], "");
    place.sync(&["t"]).await;
    place.pg("ALTER TABLE t ALTER v TYPE text").await;
    // the swap is submitted and fails for a passing reason; the run ends with its intent pending
    let swap = |seen: &crate::support::gate::Seen| {
        seen.inserts_job().is_some() && seen.body["configuration"]["copy"].is_object()
    };
    place.gate.fault(1000, crate::support::gate::Fault::Status(400), swap);
    let ran = place.run(&["sync", "t"]).await;
    assert_ne!(ran.code, 0);
    let state = place.object("state/pg/t.json").await.unwrap();
    assert_eq!(state["intent"]["lane"], "swap", "{state}");
    assert_eq!(field(&place, "t", "v").await.0, "INT64", "the target is as it was");
    place.pg("INSERT INTO t VALUES (11, 'new', '2024-01-02')").await;
    place.gate.forgive();
    // a plan sees the target as it will be: no second rebuild
    let told: Value = serde_json::from_str(&place.run(&["plan", "--json", "t"]).await.stdout).unwrap();
    let next = &told["next"];
    assert_eq!((&next["kind"], &next["finishes_first"]["lane"]), (&"goes_on".into(), &"swap".into()), "{told}");
    assert!(next["finishes_first"]["lost"] == false && told["error"].is_null(), "{told}");
    assert_eq!(field(&place, "t", "v").await.0, "INT64", "nothing was written");
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.recovered, report.rows), (1, 1), "{report:?}");
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "11");
    // the table that is built is removed by hand half way: it is built again
    place.pg("ALTER TABLE t ALTER v TYPE bytea USING v::bytea").await;
    place.gate.fault(1000, crate::support::gate::Fault::Status(400), swap);
    place.run(&["sync", "t"]).await;
    place.gate.forgive();
    let built = place.tables().await.into_iter().find(|table| table.starts_with("hw_rebuild_")).unwrap();
    place.bq(&format!("DROP TABLE {{d}}.{built}")).await;
    let mut reports = place.sync(&["t"]).await;
    if reports[0].outcome != Outcome::Synced {
        reports = place.sync(&["t"]).await;
    }
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "11", "{reports:?}");
    assert_eq!(field(&place, "t", "v").await.0, "BYTES");
    assert_eq!(place.tables().await, ["t"]);
    place.assert_clean().await;
}

async fn a_rebuild_keeps_the_layout_and_can_be_given_up() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, v int, d date, u timestamptz NOT NULL); INSERT INTO t SELECT i, i, '2024-01-01', '2024-01-01' FROM generate_series(1, 10) i").await;
    // the target was laid out by other settings than those of now
    place.configure(&["t: { cursor: u, partition_by: { column: d, unit: month }, cluster_by: [id] }"], &[], "");
    place.sync(&["t"]).await;
    let table = "t: { cursor: u, chunk_rows: 4, schema: { incompatible: rebuild } }";
    place.configure(&[table], &[], "");
    place.pg("ALTER TABLE t ALTER v TYPE text").await;
    // half built: the second chunk's load is refused for good
    let loads = |seen: &crate::support::gate::Seen| {
        seen.inserts_job().is_some_and(|id| id.starts_with("hw_load"))
            && seen.body["configuration"]["load"]["schema"]["fields"][1]["type"] == "STRING"
    };
    place.gate.fault(1, crate::support::gate::Fault::Delay(std::time::Duration::ZERO), loads);
    place.gate.fault(1000, crate::support::gate::Fault::Status(400), loads);
    assert_ne!(place.run(&["sync", "t"]).await.code, 0);
    place.gate.forgive();
    let state = place.object("state/pg/t.json").await.unwrap();
    assert_eq!(
        (&state["rebuild"]["before"]["key"][0], state["intent"].is_null()),
        (&Value::from("10"), false),
        "{state}"
    );
    // the operator gives it up: the target is where it was, not where the table was that is gone
    let ran = place.run(&["reset", "t", "--drop-intent", "--keep-watermark"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let state = place.object("state/pg/t.json").await.unwrap();
    assert_eq!((&state["watermark"]["key"][0], state.get("rebuild")), (&Value::from("10"), None), "{state}");
    assert_eq!(place.tables().await, ["t"]);
    // and builds it after all
    place.sync(&["t"]).await;
    let after = place.table("t").await;
    assert_eq!(
        (&after["timePartitioning"]["type"], &after["clustering"]["fields"][0]),
        (&Value::from("MONTH"), &Value::from("id")),
        "{after}"
    );
    assert_eq!(place.bq_one("SELECT STRING_AGG(v, ',' ORDER BY id) FROM {d}.t").await, "1,2,3,4,5,6,7,8,9,10");
}

async fn a_rebuilt_table_that_vanishes_under_a_pending_chunk() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, v int, u timestamptz NOT NULL); INSERT INTO t SELECT i, i, '2024-01-01' FROM generate_series(1, 10) i").await;
    place.configure(&["t: { cursor: u, schema: { incompatible: rebuild } }"], &[], "");
    place.sync(&["t"]).await;
    place.pg("ALTER TABLE t ALTER v TYPE text").await;
    leave_pending(&place, "t").await;
    let built = place.tables().await.into_iter().find(|table| table.starts_with("hw_rebuild_")).unwrap();
    place.bq(&format!("DROP TABLE {{d}}.{built}")).await;
    let report = place.sync(&["t"]).await.remove(0);
    assert!(report.notes.iter().any(|note| note.contains("is gone with its rows")), "{:?}", report.notes);
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t WHERE v IS NOT NULL").await, "10");
    assert_eq!(field(&place, "t", "v").await.0, "STRING");
    place.assert_clean().await;
}
