//! Tables move: every value, every mode, only the changes.

pub mod wide;

use highwater::report::Outcome;

use self::wide::{assert_same, both_queries, my_columns, pg_columns};
pub use self::wide::{my_wide, pg_wide};
use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![
        postgres_every_value_then_only_the_changes,
        mariadb_every_value_then_only_the_changes,
        an_older_row_does_not_overwrite_a_newer,
        append_appends_each_row_once,
        replace_swaps_the_whole_table,
        one_timestamp_for_all_rows_spans_chunks,
        partitions_clusters_descriptions_and_required,
        parts_are_cut_and_plain_parts_load_too,
        new_columns_arrive_and_dropped_ones_are_kept,
        null_cursors_are_told_or_included,
        lookback_reads_again_below_the_watermark,
        a_transaction_that_is_open_holds_the_ceiling,
        values_that_bigquery_cannot_hold_are_counted,
        status_and_reset,
        all_tables_side_by_side_and_one_that_fails,
        the_google_cloud_cli_reads_the_result,
    ]
}

async fn assert_pg_equal(place: &Place) {
    let columns = pg_columns();
    let (source, target) = both_queries(&columns, "TRUE");
    assert_same(&columns, &place.pg_rows(&source).await, &place.bq(&target).await);
}

async fn assert_my_equal(place: &Place) {
    let columns = my_columns();
    let (source, target) = both_queries(&columns, "TRUE");
    assert_same(&columns, &place.my_rows(&source).await, &place.bq(&target).await);
}

const ROWS: u32 = 12_000;

async fn postgres_every_value_then_only_the_changes() {
    let place = Place::new().await;
    place.pg(&pg_wide(ROWS)).await;
    place.configure(&["wide: { cursor: updated_at, chunk_rows: 5000 }"], &[], "");
    let service = place.serve().await;
    let report = service.push("pg/wide").await;
    assert_eq!((report.outcome, report.rows, report.chunks), (Outcome::Synced, ROWS.into(), 3));
    assert_pg_equal(&place).await;
    assert_eq!(service.push("pg/wide").await.outcome, Outcome::UpToDate);
    place.pg("UPDATE wide SET j = j || '!', updated_at = now() - interval '5 s' WHERE id <= 1000;
              INSERT INTO wide (id, a, e, h, j, updated_at) SELECT i, 1, true, 1, 'new', now() - interval '4 s' FROM generate_series(1000001, 1001000) i").await;
    let report = service.push("pg/wide").await;
    assert_eq!((report.outcome, report.rows), (Outcome::Synced, 2000));
    assert_pg_equal(&place).await;
    let (code, took) = service.terminate().await;
    assert_eq!(code, 0);
    assert!(took.as_secs() < 10);
    place.assert_clean().await;
}

async fn mariadb_every_value_then_only_the_changes() {
    let place = Place::new().await;
    place.my(&my_wide(ROWS)).await;
    place.configure(&[], &["wide: { cursor: updated_at, chunk_rows: 5000 }"], "");
    let report = place.sync(&["my/wide"]).await.remove(0);
    assert_eq!((report.outcome, report.rows, report.chunks), (Outcome::Synced, ROWS.into(), 3));
    assert_my_equal(&place).await;
    assert_eq!(place.sync(&["wide"]).await[0].outcome, Outcome::UpToDate);
    place.my("UPDATE wide SET j = concat(j, '!'), updated_at = utc_timestamp(6) - INTERVAL 5 SECOND WHERE id <= 1000;
              INSERT INTO wide (id, a, e, h, j, updated_at) SELECT seq, 1, 1, 1, 'new', utc_timestamp(6) - INTERVAL 4 SECOND FROM seq_1000001_to_1001000").await;
    let report = place.sync(&["wide"]).await.remove(0);
    assert_eq!((report.outcome, report.rows), (Outcome::Synced, 2000));
    assert_my_equal(&place).await;
    place.assert_clean().await;
}

async fn an_older_row_does_not_overwrite_a_newer() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz); INSERT INTO t VALUES (1, 'new', '2024-01-02'), (2, 'x', '2024-01-01')").await;
    place.configure(&["t: { cursor: u, null_cursor: include }"], &[], "");
    place.sync(&["t"]).await;
    // the same key comes again with an older cursor, then with none
    place.pg("UPDATE t SET v = 'older', u = '2024-01-01' WHERE id = 1").await;
    let reset = place.run(&["reset", "pg/t"]).await;
    assert_eq!(reset.code, 0, "{reset:?}");
    assert_eq!(place.sync(&["t"]).await[0].rows, 2);
    assert_eq!(place.bq_one("SELECT v FROM {d}.t WHERE id = 1").await, "new");
    place.pg("UPDATE t SET v = 'none', u = NULL WHERE id = 1").await;
    assert_eq!(place.sync(&["t"]).await[0].rows, 1);
    assert_eq!(place.bq_one("SELECT v FROM {d}.t WHERE id = 1").await, "new");
    place.pg("UPDATE t SET v = 'newest', u = '2024-01-03' WHERE id = 1").await;
    place.sync(&["t"]).await;
    assert_eq!(place.bq_one("SELECT v FROM {d}.t WHERE id = 1").await, "newest");
}

async fn append_appends_each_row_once() {
    let place = Place::new().await;
    place.pg("CREATE TABLE log (id bigserial PRIMARY KEY, v text); INSERT INTO log (v) SELECT 'v' || i FROM generate_series(1, 2500) i").await;
    place.my("CREATE TABLE log (id bigint AUTO_INCREMENT PRIMARY KEY, v text); INSERT INTO log (v) SELECT concat('v', seq) FROM seq_1_to_2500").await;
    let table = "log: { mode: append, cursor: id, chunk_rows: 1000 }";
    place.configure(&[table], &["log: { mode: append, cursor: id, chunk_rows: 1000, target: my_log }"], "");
    for report in place.sync(&["--all"]).await {
        assert_eq!((report.outcome, report.rows, report.chunks), (Outcome::Synced, 2500, 3), "{report:?}");
    }
    place.pg("INSERT INTO log (v) SELECT 'w' || i FROM generate_series(1, 10) i").await;
    place.my("INSERT INTO log (v) SELECT concat('w', seq) FROM seq_1_to_10").await;
    for report in place.sync(&["--all"]).await {
        assert_eq!(report.rows, 10, "{report:?}");
    }
    for target in ["log", "my_log"] {
        let counts = place
            .bq(&format!("SELECT CAST(COUNT(*) AS STRING), CAST(COUNT(DISTINCT id) AS STRING) FROM {{d}}.{target}"))
            .await;
        assert_eq!(counts, vec![vec![Some("2510".to_owned()), Some("2510".to_owned())]]);
    }
    place.assert_clean().await;
}

async fn replace_swaps_the_whole_table() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (code text, n int); INSERT INTO t SELECT 'c' || i, i FROM generate_series(1, 300) i; INSERT INTO t VALUES ('twice', 1), ('twice', 1)").await;
    place.my("CREATE TABLE u (code varchar(9) PRIMARY KEY, n int); INSERT INTO u VALUES ('a', 1), ('b', 2)").await;
    place.configure(&["t: { mode: replace }"], &["u: { mode: replace }"], "");
    place.sync(&["--all"]).await;
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "302");
    place.pg("DELETE FROM t WHERE n > 100; UPDATE t SET n = 0").await;
    place.my("DELETE FROM u").await;
    place.sync(&["--all"]).await;
    let rows = place.bq("SELECT CAST(COUNT(*) AS STRING), CAST(SUM(n) AS STRING) FROM {d}.t").await;
    assert_eq!(rows, vec![vec![Some("102".to_owned()), Some("0".to_owned())]]);
    // an empty source is an empty target
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.u").await, "0");
    place.assert_clean().await;
}

async fn one_timestamp_for_all_rows_spans_chunks() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t SELECT i, '2024-01-01' FROM generate_series(1, 5300) i; CREATE INDEX ON t (u, id)").await;
    place.my("CREATE TABLE u (id binary(16) PRIMARY KEY, u datetime NOT NULL); INSERT INTO u SELECT unhex(md5(seq)), '2024-01-01' FROM seq_1_to_5300").await;
    place.configure(&["t: { cursor: u, chunk_rows: 1000 }"], &["u: { cursor: u, chunk_rows: 1000 }"], "");
    for report in place.sync(&["--all"]).await {
        assert_eq!((report.rows, report.chunks), (5300, 6), "{report:?}");
    }
    for table in ["t", "u"] {
        let counts = place
            .bq(&format!("SELECT CAST(COUNT(*) AS STRING), CAST(COUNT(DISTINCT id) AS STRING) FROM {{d}}.{table}"))
            .await;
        assert_eq!(counts, vec![vec![Some("5300".to_owned()), Some("5300".to_owned())]]);
    }
}

async fn partitions_clusters_descriptions_and_required() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, opt text, day date NOT NULL, u timestamptz NOT NULL);
              COMMENT ON TABLE t IS 'the \"table\"'; COMMENT ON COLUMN t.name IS 'its name'; INSERT INTO t VALUES (1, 'a', NULL, '2024-01-01', '2024-01-01')").await;
    place.my("CREATE TABLE r (id int PRIMARY KEY COMMENT 'the key', u datetime NOT NULL) COMMENT 'ranges'; INSERT INTO r VALUES (5, '2024-01-01')").await;
    place.configure(
        &["t: { cursor: u, partition_by: { column: day, unit: month }, cluster_by: [name, id] }"],
        &["r: { cursor: u, partition_by: { column: id, start: 0, end: 100, interval: 10 } }"],
        "",
    );
    place.sync(&["--all"]).await;
    let table = place.table("t").await;
    assert_eq!(table["timePartitioning"]["type"], "MONTH", "{table}");
    assert_eq!(table["timePartitioning"]["field"], "day");
    assert_eq!(table["clustering"]["fields"], serde_json::json!(["name", "id"]));
    assert_eq!(table["description"], "the \"table\"");
    let fields = table["schema"]["fields"].as_array().unwrap();
    let modes: Vec<&str> = fields.iter().map(|field| field["mode"].as_str().unwrap()).collect();
    // a date and a timestamptz can be infinity, which becomes NULL
    assert_eq!(modes, ["REQUIRED", "REQUIRED", "NULLABLE", "NULLABLE", "NULLABLE"]);
    assert_eq!(fields[1]["description"], "its name");
    let ranged = place.table("r").await;
    assert_eq!(ranged["rangePartitioning"]["range"]["interval"], "10", "{ranged}");
    assert_eq!(ranged["schema"]["fields"][0]["description"], "the key");
}

async fn parts_are_cut_and_plain_parts_load_too() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL);
              INSERT INTO t SELECT i, repeat(md5(i::text), 20), '2024-01-01' FROM generate_series(1, 4000) i")
        .await;
    place.configure(&["t: { cursor: u, part_bytes: 64 KiB, gzip_level: 0 }"], &[], "");
    let report = place.sync(&["t"]).await.remove(0);
    assert!(report.parts > 5, "{report:?}");
    assert_eq!(place.bq_one("SELECT CAST(COUNT(DISTINCT v) AS STRING) FROM {d}.t").await, "4000");
    place.pg("UPDATE t SET u = '2024-01-02'").await;
    place.configure(&["t: { cursor: u, part_bytes: 64 KiB, gzip_level: 6, chunk_bytes: 1 MiB }"], &[], "");
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!(report.rows, 4000);
    assert!(report.parts > 2 && report.chunks > 2, "{report:?}");
    place.assert_clean().await;
}

async fn new_columns_arrive_and_dropped_ones_are_kept() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, gone text NOT NULL, u timestamptz NOT NULL); INSERT INTO t VALUES (1, 'g', '2024-01-01')").await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    place.pg("ALTER TABLE t DROP COLUMN gone, ADD COLUMN fresh int; INSERT INTO t VALUES (2, '2024-01-02', 7)").await;
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
    let rows = place.bq("SELECT CAST(id AS STRING), gone, CAST(fresh AS STRING) FROM {d}.t ORDER BY id").await;
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(rows, vec![vec![some("1"), some("g"), None], vec![some("2"), None, some("7")]]);
    place.pg("ALTER TABLE t ALTER COLUMN fresh TYPE text; INSERT INTO t VALUES (3, '2024-01-03', 'x')").await;
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("column \"fresh\" is INT64 in BigQuery, and the source's type becomes STRING"),
        "{}",
        ran.stderr
    );
}

async fn null_cursors_are_told_or_included() {
    let place = Place::new().await;
    place.my("CREATE TABLE t (id int PRIMARY KEY, u datetime); INSERT INTO t SELECT seq, IF(seq % 2, '2024-01-01', NULL) FROM seq_1_to_100").await;
    place.configure(&[], &["t: { cursor: u }"], "");
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.rows, report.null_cursor_rows), (50, Some(50)));
    place.configure(&[], &["t: { cursor: u, null_cursor: include, chunk_rows: 20 }"], "");
    assert_eq!(place.sync(&["t"]).await[0].rows, 50);
    assert_eq!(place.bq_one("SELECT CAST(COUNT(DISTINCT id) AS STRING) FROM {d}.t").await, "100");
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "100");
}

async fn lookback_reads_again_below_the_watermark() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL); INSERT INTO t SELECT i, 'a', timestamptz '2024-01-01' + i * interval '1 s' FROM generate_series(1, 100) i").await;
    place.configure(&["t: { cursor: u, lookback: 10s }"], &[], "");
    place.sync(&["t"]).await;
    // a skewed writer: a row that lies below the watermark
    place.pg("INSERT INTO t VALUES (1000, 'late', timestamptz '2024-01-01' + interval '95 s'), (1001, 'too late', timestamptz '2024-01-01')").await;
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!(report.rows, 12, "11 rows of 10 s and the late one: {report:?}");
    assert_eq!(place.bq_one("SELECT STRING_AGG(v, ',') FROM {d}.t WHERE id >= 1000").await, "late");
    assert_eq!(report.watermark_before, report.watermark_after);
}

async fn a_transaction_that_is_open_holds_the_ceiling() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); CREATE TABLE ids (id bigserial PRIMARY KEY)")
        .await;
    place.configure(&["t: { cursor: u }", "ids: { mode: append, cursor: id }"], &[], "");
    let mut open = place.pg_connection().await;
    let run = |sql: &'static str| sqlx::raw_sql(sql);
    sqlx::Executor::execute(&mut open, run("BEGIN; INSERT INTO t VALUES (1, now()); INSERT INTO ids DEFAULT VALUES"))
        .await
        .unwrap();
    place.pg("INSERT INTO t VALUES (2, now()); INSERT INTO ids DEFAULT VALUES").await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    for report in place.sync(&["--all"]).await {
        assert_eq!((report.outcome, report.rows), (Outcome::UpToDate, 0), "{report:?}");
        assert!(report.held_by.is_some(), "{report:?}");
    }
    sqlx::Executor::execute(&mut open, run("COMMIT")).await.unwrap();
    for report in place.sync(&["--all"]).await {
        assert_eq!((report.outcome, report.rows), (Outcome::Synced, 2), "{report:?}");
    }
}

async fn values_that_bigquery_cannot_hold_are_counted() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, n numeric, u timestamptz NOT NULL);
              INSERT INTO t VALUES (1, 'NaN', '2024-01-01'), (2, 1e60, '2024-01-01'), (3, 1.5, '2024-01-01')")
        .await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let report = place.sync(&["t"]).await.remove(0);
    let finding = &report.findings[0];
    assert_eq!((finding.column.as_str(), finding.unrepresentable, &finding.first_key), ("n", 2, &vec!["1".to_owned()]));
    assert_eq!(place.bq_one("SELECT CAST(COUNT(n) AS STRING) FROM {d}.t").await, "1");
}

async fn status_and_reset() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t SELECT i, '2024-01-01' FROM generate_series(1, 10) i").await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    let status = place.run(&["status", "--json"]).await;
    let line: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(line["watermark"]["key"], serde_json::json!(["10"]), "{line}");
    assert_eq!(line["rows_total"], 10);
    let cursor = line["watermark"]["cursor"].as_str().unwrap();
    let reset = place.run(&["reset", "t", "--cursor", cursor, "--key", "7"]).await;
    assert_eq!(reset.code, 0, "{reset:?}");
    assert_eq!(place.sync(&["t"]).await[0].rows, 3);
    let human = place.run(&["status"]).await;
    assert!(human.stdout.contains("pg/t") && human.stdout.contains("WATERMARK"), "{}", human.stdout);
}

async fn all_tables_side_by_side_and_one_that_fails() {
    let place = Place::new().await;
    place.pg("CREATE TABLE a (id int PRIMARY KEY, u timestamptz NOT NULL); CREATE TABLE b (LIKE a INCLUDING ALL); INSERT INTO a VALUES (1, '2024-01-01'); INSERT INTO b VALUES (1, '2024-01-01')").await;
    place.configure(&["a: { cursor: u }", "nope: { cursor: u }", "b: { cursor: u }"], &[], "parallel: 2");
    let ran = place.run(&["sync", "--all", "--json"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    let outcomes: Vec<(String, Outcome)> = {
        let mut reports = ran.reports();
        reports.sort_by(|a, b| a.table.cmp(&b.table));
        reports.into_iter().map(|report| (report.table, report.outcome)).collect()
    };
    assert_eq!(
        outcomes,
        [("a".into(), Outcome::Synced), ("b".into(), Outcome::Synced), ("nope".into(), Outcome::Failed)]
    );
}

async fn the_google_cloud_cli_reads_the_result() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL); INSERT INTO t VALUES (1, 'snow ☃', '2024-01-01')").await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    let sql = format!("SELECT v FROM {}.t", place.name);
    let mut command = tokio::process::Command::new("bq");
    command.args([
        "--api",
        &place.gate.url,
        "--oauth_access_token=fake",
        "--project_id",
        "demo",
        "--location",
        "EU",
        "--format=json",
        "query",
        "--nouse_legacy_sql",
        &sql,
    ]);
    command.env("HOME", place.folder.path()).env("CLOUDSDK_CONFIG", place.folder.path());
    // where the CLI is not installed, the same API is read without it
    let rows = match command.output().await {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
            text
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            serde_json::json!([{"v": place.bq_one("SELECT v FROM {d}.t").await}]).to_string()
        }
        Err(error) => panic!("{error}"),
    };
    let rows: serde_json::Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    assert_eq!(rows, serde_json::json!([{"v": "snow ☃"}]));
}
