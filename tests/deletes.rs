//! Rows that are gone at the source: marked or deleted, refused where they are too many, exactly also after a crash.

use highwater::model::Removal;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::{Place, Rows};

pub fn tests() -> Vec<Test> {
    served_tests![
        soft_deletes_mark_rows_and_revive_them,
        hard_deletes_take_rows_out,
        too_many_are_refused_with_the_number,
        they_are_looked_for_when_it_is_time,
        a_crash_while_deleting_repeats_nothing,
        keys_of_every_kind_are_compared,
    ]
}

/// The large one: its own, so that only `make soak` asks for it.
pub fn large() -> Vec<Test> {
    served_tests![ten_thousand_of_a_million_are_gone]
}

const NOW: &str = "deletes: { mode: hard, every: 0s }";

/// The keys that are in the target and not marked as deleted.
async fn alive(place: &Place, table: &str, key: &str) -> Rows {
    place.bq(&format!("SELECT {key} FROM {{d}}.{table} WHERE _deleted_at IS NULL ORDER BY 1")).await
}

async fn soft_deletes_mark_rows_and_revive_them() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (a int, b text, v text, u timestamptz NOT NULL, PRIMARY KEY (a, b));
             INSERT INTO t SELECT i, 'k' || i, 'v', '2024-01-01' FROM generate_series(1, 20) i")
        .await;
    place
        .my("CREATE TABLE t (a int, b varchar(9), v text, u datetime NOT NULL, PRIMARY KEY (a, b));
             INSERT INTO t SELECT seq, concat('k', seq), 'v', '2024-01-01' FROM seq_1_to_20")
        .await;
    let table = |target: &str| format!("t: {{ cursor: u, target: {target}, deletes: {{ mode: soft, every: 0s }} }}");
    place.configure(&[&table("pg")], &[&table("my")], "");
    place.sync(&["--all"]).await;
    for source in ["pg", "my"] {
        assert_eq!(alive(&place, source, "b").await.len(), 20, "{source}");
        let sql = "DELETE FROM t WHERE a IN (3, 4, 5)";
        if source == "pg" {
            place.pg(sql).await
        } else {
            place.my(sql).await
        }
        let report = place.sync(&[&format!("{source}/t")]).await.remove(0);
        let deletes = report.deletes.unwrap();
        assert_eq!((deletes.removal, deletes.keys, deletes.affected), (Removal::Soft, 17, 3), "{source}");
        assert_eq!(report.rows, 0, "{source}: keys are not rows");
        let gone = "SELECT CAST(a AS STRING), v FROM {d}.TABLE WHERE _deleted_at > TIMESTAMP '2024-06-01' ORDER BY a";
        let gone = place.bq(&gone.replace("TABLE", source)).await;
        assert_eq!(gone.iter().map(|row| row[0].clone().unwrap()).collect::<Vec<_>>(), ["3", "4", "5"], "{source}");
        // one comes back as it was, far below the watermark; one comes back changed; one row is new
        let back = "INSERT INTO t VALUES (3, 'k3', 'v', '2024-01-01'), (4, 'k4', 'new', '2024-02-01'), (99, 'k99', 'v', '2024-02-01')";
        if source == "pg" {
            place.pg(back).await
        } else {
            place.my(back).await
        }
        let report = place.sync(&[&format!("{source}/t")]).await.remove(0);
        assert_eq!((report.rows, report.deletes.unwrap().keys), (2, 20), "{source}");
        assert_eq!(alive(&place, source, "b").await.len(), 20, "{source}");
        let marked = format!("SELECT CAST(a AS STRING) FROM {{d}}.{source} WHERE _deleted_at IS NOT NULL");
        assert_eq!(place.bq(&marked).await, [[Some("5".to_owned())]], "{source}");
        assert_eq!(place.bq_one(&format!("SELECT v FROM {{d}}.{source} WHERE a = 4")).await, "new", "{source}");
    }
    place.assert_clean().await;
}

async fn hard_deletes_take_rows_out() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, kept bool NOT NULL, u timestamptz NOT NULL);
             INSERT INTO t SELECT i, true, '2024-01-01' FROM generate_series(1, 50) i;
             CREATE TABLE loose (id int NOT NULL, u timestamptz NOT NULL);
             INSERT INTO loose SELECT i % 30, '2024-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, 60) i")
        .await;
    place.configure(
        &[&format!("t: {{ cursor: u, where: kept, {NOW} }}"), &format!("loose: {{ cursor: u, key: id, {NOW} }}")],
        &[],
        "",
    );
    place.sync(&["--all"]).await;
    // a row that leaves the filter is gone as well
    place
        .pg("DELETE FROM t WHERE id <= 5; UPDATE t SET kept = false WHERE id = 6; DELETE FROM loose WHERE id = 7")
        .await;
    let reports = place.sync(&["t", "loose"]).await;
    let affected: Vec<u64> = reports.iter().map(|report| report.deletes.unwrap().affected).collect();
    assert_eq!(affected.iter().sum::<u64>(), 7, "{affected:?}");
    let count = |table: &str| format!("SELECT CAST(COUNT(*) AS STRING) FROM {{d}}.{table}");
    assert_eq!(place.bq_one(&count("t")).await, "44");
    assert_eq!(place.bq_one(&count("loose")).await, "29");
    place.assert_clean().await;
}

async fn too_many_are_refused_with_the_number() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL);
             INSERT INTO t SELECT i, '2024-01-01' FROM generate_series(1, 10) i")
        .await;
    place.configure(&["t: { cursor: u, deletes: hard }"], &[], "");
    place.sync(&["t"]).await;
    place.pg("DELETE FROM t WHERE id <= 3; INSERT INTO t VALUES (11, '2024-01-02')").await;
    let ran = place.run(&["deletes", "t", "--json"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let report = ran.report();
    let message = report.error.unwrap().message;
    assert!(message.contains("3 of 11 rows of") && message.contains("`max_delete_fraction` 0.2"), "{message}");
    // what is new has come all the same, and nothing is pending
    assert_eq!(report.rows, 1);
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "11");
    place.assert_clean().await;
    // until it is time again, runs say it and go on
    let report = place.sync(&["t"]).await.remove(0);
    assert!(report.notes.iter().any(|note| note.contains("deletes were refused: 3 of 11")), "{report:?}");
    let ran = place.run(&["deletes", "t", "--max-fraction", "0.3"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("8 keys of the source compared: 3 rows were deleted"), "{}", ran.stdout);
    place.pg("DELETE FROM t").await;
    // not even where the settings bear everything
    place.configure(&["t: { cursor: u, deletes: hard, max_delete_fraction: 1 }"], &[], "");
    let ran = place.run(&["deletes", "t", "--json"]).await;
    let message = ran.report().error.unwrap().message;
    assert!(ran.code == 1 && message.contains("has no rows at the source, so 8 of 8 rows of demo."), "{ran:?}");
    place.assert_clean().await;
    assert_eq!(place.run(&["deletes", "t", "--max-fraction", "1"]).await.code, 0);
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "0");
    // both empty: nothing to refuse
    assert_eq!(place.run(&["deletes", "t"]).await.code, 0);
    place.assert_clean().await;
}

async fn they_are_looked_for_when_it_is_time() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t SELECT i, '2024-01-01' FROM generate_series(1, 9) i;
             CREATE TABLE log (id int PRIMARY KEY); INSERT INTO log VALUES (1)")
        .await;
    place.configure(
        &["t: { cursor: u, deletes: { mode: soft, every: 6h } }", "log: { mode: append, cursor: id }"],
        &[],
        "defaults: { deletes: hard }",
    );
    let first = place.sync(&["t", "log"]).await;
    assert!(first.iter().any(|report| report.table == "t" && report.deletes.is_some()), "{first:?}");
    assert!(first.iter().all(|report| report.table == "t" || report.deletes.is_none()), "{first:?}");
    place.pg("DELETE FROM t WHERE id = 1").await;
    assert!(place.sync(&["t"]).await[0].deletes.is_none(), "six hours have not passed");
    let ran = place.run(&["deletes", "--all", "--json"]).await;
    assert_eq!((ran.code, ran.report().deletes.unwrap().affected), (0, 1), "{ran:?}");
    // as if six hours had passed since
    let name = "state/pg/t.json";
    let mut state = place.object(name).await.unwrap();
    let at_us = state["deletes"]["at_us"].as_i64().unwrap();
    state["deletes"]["at_us"] = (at_us - 6 * 3_600_000_000).into();
    place.put(name, &state.to_string()).await;
    assert_eq!(place.sync(&["t"]).await[0].deletes.unwrap().affected, 0);
    let ran = place.run(&["deletes", "log"]).await;
    assert!(ran.code == 2 && ran.stderr.contains("pg/log has no `deletes`"), "{ran:?}");
}

async fn a_crash_while_deleting_repeats_nothing() {
    const POINTS: [&str; 12] = [
        "upload",
        "uploaded",
        "staged",
        "intent-written",
        "staging-created",
        "load-submitted",
        "loaded",
        "merge-submitted",
        "merged",
        "committed",
        "staging-deleted",
        "part-deleted",
    ];
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t SELECT i, '2024-01-01' FROM generate_series(1, 100) i")
        .await;
    place.configure(&[&format!("t: {{ cursor: u, {NOW} }}")], &[], "");
    place.sync(&["t"]).await;
    for (number, point) in POINTS.iter().enumerate() {
        place.pg(&format!("DELETE FROM t WHERE id = {}", number + 1)).await;
        let mut env = place.env();
        env.push(("HIGHWATER_FAULTS".into(), format!("{point}:crash")));
        let died = crate::support::process::run(place.folder.path(), &env, &["sync", "t"]).await;
        assert_eq!(died.code, -1, "{point}: {died:?}");
        // the source goes on meanwhile
        place
            .pg(&format!("INSERT INTO t VALUES ({}, '2024-02-01'::timestamptz + interval '{number} s')", 200 + number))
            .await;
        place.sync(&["t"]).await;
        let source = place.pg_rows("SELECT id::text FROM t ORDER BY 1").await;
        assert_eq!(place.bq("SELECT CAST(id AS STRING) FROM {d}.t ORDER BY 1").await, source, "{point}");
        place.assert_clean().await;
    }
}

async fn keys_of_every_kind_are_compared() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE u (k uuid PRIMARY KEY, at date NOT NULL); INSERT INTO u SELECT md5(i::text)::uuid, '2024-01-01' FROM generate_series(1, 10) i;
             CREATE TABLE n (k numeric(20, 5), l bytea, n bigint NOT NULL, PRIMARY KEY (k, l)); INSERT INTO n SELECT i + 0.5, decode(md5(i::text), 'hex'), i FROM generate_series(1, 10) i;
             CREATE TABLE h (k text PRIMARY KEY, at timestamp NOT NULL); INSERT INTO h SELECT 'é''\"\\' || i, '2024-01-01' FROM generate_series(1, 10) i;
             CREATE TABLE s (k timestamptz PRIMARY KEY, at timestamptz NOT NULL); INSERT INTO s SELECT '2024-01-01'::timestamptz + i * interval '1.000001 s', now() - interval '1 h' FROM generate_series(1, 10) i")
        .await;
    let tables = [
        "u: { cursor: at",
        "n: { cursor: n",
        "h: { cursor: at, naive_timestamps: { as: timestamp, timezone: Europe/Berlin }",
        "s: { cursor: at",
    ];
    let tables: Vec<String> = tables.iter().map(|table| format!("{table}, {NOW} }}")).collect();
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    place.configure(&tables, &[], "");
    place.sync(&["--all"]).await;
    place
        .pg("DELETE FROM u WHERE k = md5('3')::uuid; DELETE FROM n WHERE k = 3.5; DELETE FROM h WHERE k LIKE '%3';
             DELETE FROM s WHERE k = '2024-01-01'::timestamptz + 3 * interval '1.000001 s'")
        .await;
    for report in place.sync(&["--all"]).await {
        let deletes = report.deletes.unwrap();
        assert_eq!((deletes.keys, deletes.affected), (9, 1), "{}", report.table);
    }
    place.assert_clean().await;
}

async fn ten_thousand_of_a_million_are_gone() {
    const ROWS: u32 = 1_000_000;
    const MEMORY_KIB_MAX: u64 = 64 << 10;
    let place = Place::new().await;
    place
        .pg(&format!(
            "CREATE TABLE t (a int, b text, v text NOT NULL, u timestamptz NOT NULL, PRIMARY KEY (a, b));
             INSERT INTO t SELECT i % 1000, 'key-' || i, md5(i::text), '2024-01-01'::timestamptz + i * interval '1 ms' FROM generate_series(1, {ROWS}) i;
             CREATE INDEX ON t (u, a, b); ANALYZE t"
        ))
        .await;
    place.configure(&[&format!("t: {{ cursor: u, {NOW} }}")], &[], "server: { run_budget: 1h }");
    place.sync(&["t"]).await;
    place
        .pg("SELECT setseed(0.5); DELETE FROM t WHERE (a, b) IN (SELECT a, b FROM t ORDER BY random() LIMIT 10000)")
        .await;
    let (ran, memory) = place.run_measured(&["deletes", "t", "--json"]).await;
    let report = ran.report();
    let deletes = report.deletes.unwrap();
    eprintln!(
        "deletes: {} keys, {} rows deleted, extract {} ms, apply {} ms, peak memory {memory} KiB",
        deletes.keys, deletes.affected, report.durations_ms.extract, report.durations_ms.apply
    );
    assert_eq!((deletes.keys, deletes.affected), (u64::from(ROWS) - 10_000, 10_000));
    let sums = "SELECT CAST(COUNT(*) AS STRING), CAST(COUNT(DISTINCT CONCAT(a, b)) AS STRING), CAST(SUM(CAST(SUBSTR(b, 5) AS INT64)) AS STRING) FROM {d}.t";
    let source = "SELECT count(*)::text, count(DISTINCT a || b)::text, sum(substr(b, 5)::bigint)::text FROM t";
    assert_eq!(place.bq(sums).await, place.pg_rows(source).await);
    assert!(memory < MEMORY_KIB_MAX, "{memory} KiB");
    place.assert_clean().await;
}
