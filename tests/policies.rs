//! What becomes of values that BigQuery cannot hold: the policies, rejected rows, keys and cursors.

use highwater::report::RunReport;
use serde_json::Value;

use crate::columns::{finding, some};
use crate::served_tests;
use crate::support::Test;
use crate::support::place::{Place, Rows};

pub fn tests() -> Vec<Test> {
    served_tests![
        each_policy_of_postgres,
        each_policy_of_mariadb,
        rejects_beyond_the_limit_fail_the_run,
        a_chunk_of_rejects_moves_the_watermark,
        a_key_is_never_nulled,
        a_key_is_never_another,
        a_cursor_in_a_gap_of_its_zone_is_still_one,
    ]
}

/// The reject lines that the report names.
async fn rejects(place: &Place, report: &RunReport) -> Vec<Value> {
    let mut lines = Vec::new();
    for address in &report.rejects {
        let name = address.strip_prefix(&format!("gs://{}/", place.bucket())).unwrap();
        assert!(name.starts_with("rejects/"), "{name}");
        lines.extend(place.text(name).await.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()));
    }
    lines
}

async fn read(place: &Place, select: &str, table: &str) -> Rows {
    place.bq(&format!("{select}{table} ORDER BY id")).await
}

async fn each_policy_of_postgres() {
    let place = Place::new().await;
    for table in ["nulled", "clamped", "rejected", "failed", "mixed"] {
        place
            .pg(&format!(
                "CREATE TABLE {table} (id int PRIMARY KEY, n numeric(50,12), d date, u timestamptz NOT NULL);
                 INSERT INTO {table} VALUES (1, 1.5, '2024-01-01', '2024-01-01'), (2, 'NaN', 'infinity', '2024-01-02'),
                 (3, 12345678901234567890123456789012345678.987654321987, '0044-03-15 BC', '2024-01-03'), (4, NULL, NULL, '2024-01-04')"
            ))
            .await;
    }
    // BIGNUMERIC has 38 digits before the point: NaN alone does not fit `n`
    place.configure(
        &[
            "nulled: { cursor: u, types: { n: NUMERIC }, unrepresentable: null }",
            "clamped: { cursor: u, types: { n: NUMERIC }, unrepresentable: clamp }",
            "rejected: { cursor: u, types: { n: NUMERIC }, unrepresentable: reject }",
            "failed: { cursor: u, types: { n: NUMERIC }, unrepresentable: fail }",
            "mixed: { cursor: u, types: { n: NUMERIC }, unrepresentable: { default: reject, columns: { n: clamp, d: null } } }",
        ],
        &[],
        "",
    );
    const READ: &str = "SELECT CAST(id AS STRING), CAST(n AS STRING), CAST(d AS STRING) FROM {d}.";
    let whole = vec![some("1"), some("1.500000000"), some("2024-01-01")];
    let report = place.sync(&["nulled"]).await.remove(0);
    assert_eq!(finding(&report, "n"), (2, 0, 0, "2".into()));
    assert_eq!(finding(&report, "d"), (2, 0, 0, "2".into()));
    let rows = read(&place, READ, "nulled").await;
    assert_eq!(
        (rows[0].clone(), rows[1].clone(), rows[2][1].clone()),
        (whole.clone(), vec![some("2"), None, None], None)
    );

    let report = place.sync(&["clamped"]).await.remove(0);
    assert_eq!((finding(&report, "n"), finding(&report, "d")), ((1, 1, 0, "2".into()), (0, 2, 0, "2".into())));
    let rows = read(&place, READ, "clamped").await;
    assert_eq!(rows[1], vec![some("2"), None, some("9999-12-31")]);
    assert_eq!(rows[2], vec![some("3"), some("99999999999999999999999999999.999999999"), some("0001-01-01")]);

    let report = place.sync(&["rejected"]).await.remove(0);
    assert_eq!((report.rows, report.rejected), (2, 2));
    let lines = rejects(&place, &report).await;
    assert_eq!(lines[0]["column"], "n");
    assert_eq!(lines[0]["reason"], "the value cannot be a NUMERIC");
    assert_eq!((lines[0]["key"][0].as_str(), lines[0]["row"]["n"].as_str()), (Some("2"), Some("NaN")));
    assert_eq!(lines[1]["row"]["n"], "12345678901234567890123456789012345678.987654321987");
    assert_eq!(lines[1]["row"]["d"], "0044-03-15 BC");
    assert_eq!(read(&place, READ, "rejected").await.len(), 2);

    let ran = place.run(&["sync", "failed"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("column \"n\" of the row with key [\"2\"] holds a value that cannot be a NUMERIC"),
        "{}",
        ran.stderr
    );
    assert_eq!(read(&place, READ, "failed").await.len(), 0);

    let report = place.sync(&["mixed"]).await.remove(0);
    assert_eq!(
        (report.rows, finding(&report, "n"), finding(&report, "d")),
        (4, (1, 1, 0, "2".into()), (2, 0, 0, "2".into()))
    );
    place.assert_clean().await;
}

async fn each_policy_of_mariadb() {
    let place = Place::new().await;
    for table in ["nulled", "clamped", "rejected", "failed"] {
        place
            .my(&format!(
                "SET sql_mode = 'ALLOW_INVALID_DATES'; CREATE TABLE {table} (id int PRIMARY KEY, d date, t time, b tinyint(1), u datetime NOT NULL);
                 INSERT INTO {table} VALUES (1, '2024-02-29', '10:00:00', 1, '2024-01-01'), (2, '0000-00-00', '-01:00:00', 7, '2024-01-02'),
                 (3, '2024-02-31', '838:59:59', -1, '2024-01-03')"
            ))
            .await;
    }
    place.configure(
        &[],
        &[
            "nulled: { cursor: u }",
            "clamped: { cursor: u, unrepresentable: clamp }",
            "rejected: { cursor: u, unrepresentable: reject }",
            "failed: { cursor: u, unrepresentable: { columns: { t: fail } } }",
        ],
        "",
    );
    const READ: &str = "SELECT CAST(id AS STRING), CAST(d AS STRING), CAST(t AS STRING), CAST(b AS STRING) FROM {d}.";
    let report = place.sync(&["nulled"]).await.remove(0);
    assert_eq!(report.findings.iter().map(|finding| finding.unrepresentable).sum::<u64>(), 6);
    assert_eq!(read(&place, READ, "nulled").await[1], vec![some("2"), None, None, None]);
    let report = place.sync(&["clamped"]).await.remove(0);
    assert_eq!(report.findings.iter().map(|finding| finding.adjusted).sum::<u64>(), 6);
    let rows = read(&place, READ, "clamped").await;
    assert_eq!(rows[1], vec![some("2"), some("0001-01-01"), some("00:00:00"), some("true")]);
    assert_eq!(rows[2], vec![some("3"), some("2024-02-29"), some("23:59:59.999999"), some("true")]);
    let report = place.sync(&["rejected"]).await.remove(0);
    let lines = rejects(&place, &report).await;
    assert_eq!((report.rows, report.rejected, lines.len()), (1, 2, 2));
    assert_eq!((&lines[0]["row"]["d"], &lines[0]["row"]["b"]), (&Value::from("0000-00-00"), &Value::from("7")));
    assert_eq!(lines[1]["row"]["t"], "838:59:59.000000");
    let ran = place.run(&["sync", "failed"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("column \"t\" of the row with key [\"2\"]"), "{}", ran.stderr);
}

async fn rejects_beyond_the_limit_fail_the_run() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, d date, u timestamptz NOT NULL);
             INSERT INTO t SELECT i, CASE WHEN i % 2 = 0 THEN date 'infinity' ELSE '2024-01-01' END, timestamptz '2024-01-01' + i * interval '1 s' FROM generate_series(1, 20) i")
        .await;
    place.configure(&["t: { cursor: u, unrepresentable: reject, max_rejects: 7, chunk_rows: 6 }"], &[], "");
    let ran = place.run(&["sync", "--json", "t"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let report = ran.reports().remove(0);
    let message = report.error.clone().unwrap().message;
    // the chunks before are applied; of the one that goes beyond nothing is, and its rejects can be looked at
    assert!(message.contains("max_rejects") && message.contains("gs://"), "{message}");
    assert_eq!((report.rows, report.rejected), (6, 6));
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "6");
    assert_eq!(place.objects("staging/").await, Vec::<String>::new());
    assert_eq!(place.objects("rejects/").await.len(), 3);
    place.configure(&["t: { cursor: u, unrepresentable: reject, max_rejects: 100, chunk_rows: 6 }"], &[], "");
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.rows, report.rejected), (4, 4));
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "10");
    let state = place.object("state/pg/t.json").await.unwrap();
    assert_eq!((&state["rows_total"], &state["rejected_total"]), (&Value::from(10), &Value::from(10)));
}

async fn a_chunk_of_rejects_moves_the_watermark() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, d date, u timestamptz NOT NULL);
             INSERT INTO t SELECT i, 'infinity', timestamptz '2024-01-01' + i * interval '1 s' FROM generate_series(1, 10) i;
             INSERT INTO t VALUES (11, '2024-01-01', '2024-02-01')")
        .await;
    place.configure(&["t: { cursor: u, unrepresentable: reject, chunk_rows: 3 }"], &[], "");
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.rows, report.rejected, report.chunks), (1, 10, 4), "{report:?}");
    assert_eq!(report.watermark_after.unwrap().key, ["11"]);
    assert_eq!(place.bq_one("SELECT STRING_AGG(CAST(id AS STRING), ',') FROM {d}.t").await, "11");
    assert_eq!(place.sync(&["t"]).await[0].rejected, 0);
    place.assert_clean().await;
}

async fn a_key_is_never_nulled() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id numeric PRIMARY KEY, u timestamptz NOT NULL);
             INSERT INTO t VALUES (1, '2024-01-01'), ('NaN', '2024-01-02'), (2, '2024-01-03')")
        .await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.rows, report.rejected), (2, 1));
    assert_eq!(rejects(&place, &report).await[0]["key"][0], "NaN");
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t WHERE id IS NULL").await, "0");
}

async fn a_key_is_never_another() {
    let place = Place::new().await;
    // two keys that would become one text
    let ascii = format!("{}_ascii", place.name);
    place
        .pg(&format!("CREATE DATABASE {ascii} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"))
        .await;
    let at = &place.stack.postgres;
    let url = format!("postgres://{}:{}@127.0.0.1:{}/{ascii}", at.user, at.password, at.port);
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    let fill = r"SET client_encoding = 'SQL_ASCII'; CREATE TABLE t (id text PRIMARY KEY, v text, u timestamptz NOT NULL);
                 INSERT INTO t VALUES (E'a\xff', '1', '2024-01-01'), (E'a\xfe', '2', '2024-01-01'), ('b', E'\xff', '2024-01-01')";
    sqlx::Executor::execute(&mut connection, sqlx::raw_sql(fill)).await.unwrap();
    place.write_config(&format!(
        "project: demo\ndataset: {}\nlocation: EU\nbucket: {}\nsources:\n  pg:\n    url: {url}\n    tables:\n      t: {{ cursor: u }}\n",
        place.name,
        place.bucket()
    ));
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.rows, report.rejected), (1, 2), "{report:?}");
    assert_eq!(place.bq("SELECT id, v FROM {d}.t").await, [vec![some("b"), some("\u{fffd}")]]);
}

async fn a_cursor_in_a_gap_of_its_zone_is_still_one() {
    let place = Place::new().await;
    place.my("CREATE TABLE t (id int PRIMARY KEY, v int, u datetime NOT NULL); INSERT INTO t VALUES (1, 1, '2024-03-31 01:59:00')").await;
    place.configure(&[], &["t: { cursor: u, naive_timestamps: { as: timestamp, timezone: Europe/Berlin } }"], "");
    place.sync(&["t"]).await;
    // a writer who does not know of summer
    place.my("UPDATE t SET v = 2, u = '2024-03-31 02:30:00'").await;
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!(finding(&report, "u"), (0, 1, 0, "1".into()));
    assert_eq!(place.bq_one("SELECT CAST(v AS STRING) FROM {d}.t").await, "2");
}
