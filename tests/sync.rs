//! Tables move: every value, every mode, only the changes.

use highwater::report::Outcome;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::{Place, Rows};

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

/// How two texts of a column are equal.
#[derive(Clone, Copy)]
pub enum Equal {
    Text,
    Float,
    Decimal,
    Json,
}

/// A column: its name, its text at the source, its text in BigQuery, how they are equal.
pub type Columns = Vec<(&'static str, &'static str, &'static str, Equal)>;

pub fn pg_columns() -> Columns {
    use Equal::{Decimal, Float, Json, Text};
    vec![
        ("id", "id::text", "CAST(id AS STRING)", Text),
        ("a", "a::text", "CAST(a AS STRING)", Text),
        ("b", "b::text", "CAST(b AS STRING)", Text),
        ("c", "c::text", "CAST(c AS STRING)", Text),
        ("d", "d::text", "CAST(d AS STRING)", Text),
        ("e", "e::text", "CAST(e AS STRING)", Text),
        ("f", "f::text", "CAST(f AS STRING)", Float),
        ("g", "g::text", "CAST(g AS STRING)", Float),
        ("h", "h::text", "CAST(h AS STRING)", Decimal),
        ("i", "i::text", "CAST(i AS STRING)", Decimal),
        ("j", "j", "j", Text),
        ("k", "k", "k", Text),
        ("l", "rpad(l::text, 8)", "l", Text),
        ("m", "m::text", "CAST(m AS STRING)", Text),
        ("n", "(extract(epoch FROM n) * 1000000)::bigint::text", "CAST(UNIX_MICROS(TIMESTAMP(n)) AS STRING)", Text),
        ("o", "(extract(epoch FROM o) * 1000000)::bigint::text", "CAST(UNIX_MICROS(o) AS STRING)", Text),
        ("p", "p::text", "p", Text),
        ("q", "encode(q, 'hex')", "TO_HEX(q)", Text),
        ("r", "r::text", "TO_JSON_STRING(r)", Json),
        (
            "updated_at",
            "(extract(epoch FROM updated_at) * 1000000)::bigint::text",
            "CAST(UNIX_MICROS(updated_at) AS STRING)",
            Text,
        ),
    ]
}

pub fn my_columns() -> Columns {
    use Equal::{Decimal, Float, Json, Text};
    vec![
        ("id", "CAST(id AS CHAR)", "CAST(id AS STRING)", Text),
        ("a", "CAST(a AS CHAR)", "CAST(a AS STRING)", Text),
        ("b", "CAST(b AS CHAR)", "CAST(b AS STRING)", Text),
        ("c", "CAST(c AS CHAR)", "CAST(c AS STRING)", Text),
        ("d", "CAST(d AS CHAR)", "CAST(d AS STRING)", Text),
        ("e", "IF(e, 'true', 'false')", "CAST(e AS STRING)", Text),
        ("f", "CAST(CAST(f AS DOUBLE) AS CHAR)", "CAST(CAST(f AS FLOAT64) AS STRING)", Float),
        ("g", "CAST(g AS CHAR)", "CAST(g AS STRING)", Float),
        ("h", "CAST(h AS CHAR)", "CAST(h AS STRING)", Decimal),
        ("i", "CAST(i AS CHAR)", "CAST(i AS STRING)", Decimal),
        ("j", "j", "j", Text),
        ("k", "k", "k", Text),
        ("l", "l", "l", Text),
        ("m", "CAST(m AS CHAR)", "CAST(m AS STRING)", Text),
        (
            "n",
            "CAST(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', n) AS CHAR)",
            "CAST(UNIX_MICROS(TIMESTAMP(n)) AS STRING)",
            Text,
        ),
        (
            "o",
            "CAST(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', o) AS CHAR)",
            "CAST(UNIX_MICROS(TIMESTAMP(o)) AS STRING)",
            Text,
        ),
        ("p", "p", "p", Text),
        ("q", "LOWER(HEX(q))", "TO_HEX(q)", Text),
        ("r", "r", "TO_JSON_STRING(r)", Json),
        (
            "updated_at",
            "CAST(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', updated_at) AS CHAR)",
            "CAST(UNIX_MICROS(TIMESTAMP(updated_at)) AS STRING)",
            Text,
        ),
    ]
}

/// A PostgreSQL table `wide` of 20 columns with `rows` rows, all older than a minute.
pub fn pg_wide(rows: u32) -> String {
    format!(
        "CREATE TABLE wide (
          id bigint PRIMARY KEY, a int NOT NULL, b int, c smallint, d bigint, e boolean NOT NULL, f real, g double precision,
          h numeric(18,4) NOT NULL, i numeric(12,2), j text NOT NULL, k varchar(40), l char(8), m date, n timestamp,
          o timestamptz, p uuid, q bytea, r jsonb, updated_at timestamptz NOT NULL);
        INSERT INTO wide SELECT i, i % 1000, CASE WHEN i % 10 = 0 THEN NULL ELSE i * 7 % 1000003 END, i % 30000 - 15000,
          i * 9007199254741::bigint % 9223372036854775807, i % 2 = 0, i / 7.0, i / 3.0, i * 1.2345 - 5000, (i % 999983) / 100.0,
          E'naïve \"☃\" \\\\ \\n' || i, nullif(md5(i::text), md5('7')), 'AB' || i % 100, date '2000-01-01' + i % 20000,
          timestamp '1999-12-31 23:59:59.999' + i * interval '1.000123 s', timestamptz '2024-01-01 00:00+00' - i * interval '1.5 s',
          md5(i::text)::uuid, decode(md5(i::text), 'hex'), jsonb_build_object('id', i, 't', jsonb_build_array('x', NULL, i % 10 = 1)),
          timestamptz '2024-01-01 00:00+00' + (i / 3) * interval '10 ms' FROM generate_series(1, {rows}) i;
        CREATE INDEX ON wide (updated_at, id);
        ANALYZE wide;"
    )
}

/// A MariaDB table `wide` of 20 columns with `rows` rows.
pub fn my_wide(rows: u32) -> String {
    format!(
        "CREATE TABLE wide (
          id bigint PRIMARY KEY, a int NOT NULL, b int, c smallint, d bigint, e tinyint(1) NOT NULL, f float, g double,
          h decimal(18,4) NOT NULL, i decimal(12,2), j text NOT NULL, k varchar(40), l char(8), m date, n datetime,
          o datetime(6), p char(36), q binary(16), r json, updated_at datetime(6) NOT NULL);
        INSERT INTO wide SELECT seq, seq % 1000, IF(seq % 10 = 0, NULL, seq * 7 % 1000003), CAST(seq AS SIGNED) % 30000 - 15000, seq * 900719925474,
          seq % 2 = 0, seq / 8, seq / 3, seq * 1.2345 - 5000, (seq % 999983) / 100, concat('naïve \"☃\" \\\\ \\n', seq),
          nullif(md5(seq), md5(7)), concat('AB', seq % 100), '2000-01-01' + INTERVAL seq % 20000 DAY,
          '1999-12-31 23:59:59' + INTERVAL seq SECOND, '2024-01-01' - INTERVAL seq * 1500123 MICROSECOND, uuid(), unhex(md5(seq)),
          json_object('id', seq, 't', json_array('x', NULL, seq % 10 = 1)), '2024-01-01' + INTERVAL (seq DIV 3) * 10000 MICROSECOND
          FROM seq_1_to_{rows};
        CREATE INDEX by_update ON wide (updated_at, id);"
    )
}

fn same(how: Equal, source: &Option<String>, target: &Option<String>) -> bool {
    let (Some(source), Some(target)) = (source, target) else {
        // TO_JSON_STRING writes a NULL as null
        let json_null = matches!(how, Equal::Json) && target.as_deref() == Some("null");
        return source.is_none() && (target.is_none() || json_null);
    };
    match how {
        Equal::Text => source == target,
        Equal::Float => source.parse::<f64>().unwrap() == target.parse::<f64>().unwrap(),
        Equal::Decimal => plain(source) == plain(target),
        Equal::Json => {
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            value(source) == value(target)
        }
    }
}

/// A decimal without zeros that mean nothing.
fn plain(text: &str) -> String {
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    if text == "-0" { "0".into() } else { text.into() }
}

/// Compares rows of both sides, cell by cell.
pub fn assert_same(columns: &Columns, source: &Rows, target: &Rows) {
    assert_eq!(source.len(), target.len(), "another number of rows");
    for (left, right) in source.iter().zip(target) {
        for (index, (name, _, _, how)) in columns.iter().enumerate() {
            assert!(
                same(*how, &left[index], &right[index]),
                "{name} of {:?}: {:?} became {:?}",
                left[0],
                left[index],
                right[index]
            );
        }
    }
}

/// The two queries over the same rows, ordered by id.
pub fn both_queries(columns: &Columns, condition: &str) -> (String, String) {
    let list = |texts: Vec<&str>| texts.join(", ");
    let source = list(columns.iter().map(|column| column.1).collect());
    let target = list(columns.iter().map(|column| column.2).collect());
    (
        format!("SELECT {source} FROM wide WHERE {condition} ORDER BY wide.id"),
        format!("SELECT {target} FROM {{d}}.wide WHERE {condition} ORDER BY wide.id"),
    )
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
