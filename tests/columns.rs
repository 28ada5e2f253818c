//! What the column settings do: policies and rejects, overridden types, hashes, filters, metadata columns.

use highwater::report::RunReport;
use serde_json::Value;

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
        postgres_types_are_overridden,
        mariadb_types_are_overridden,
        overrides_that_can_lose_are_refused,
        naive_timestamps_numerics_and_arrays,
        columns_are_left_out_and_hashed,
        a_filter_selects_rows,
        metadata_columns_tell_when,
    ]
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
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

/// The findings of a column as (NULLs, adjusted, rejected, first key).
fn finding(report: &RunReport, column: &str) -> (u64, u64, u64, String) {
    let found = report.findings.iter().find(|finding| finding.column == column).cloned().unwrap_or_default();
    (found.unrepresentable, found.adjusted, found.rejected, found.first_key.join(","))
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

/// The types of a table's columns, arrays as `ARRAY<…>`.
async fn types(place: &Place, table: &str) -> Vec<(String, String)> {
    let table = place.table(table).await;
    let of = |field: &Value| {
        let (name, ty) = (field["name"].as_str().unwrap(), field["type"].as_str().unwrap());
        let ty = if field["mode"] == "REPEATED" { format!("ARRAY<{ty}>") } else { ty.to_owned() };
        (name.to_owned(), ty)
    };
    table["schema"]["fields"].as_array().unwrap().iter().map(of).collect()
}

/// One row's values as text, and the columns' types, per column of the target.
async fn compare(place: &Place, table: &str, wanted: &[(&str, &str, &str)]) {
    let types = types(place, table).await;
    for (column, ty, value) in wanted {
        let found = types.iter().find(|(name, _)| name == column).map(|(_, ty)| ty.as_str());
        assert_eq!(found, Some(*ty), "{column}");
        let text = match *ty {
            "JSON" => format!("TO_JSON_STRING({column})"),
            "BYTES" => format!("TO_HEX({column})"),
            ty if ty.starts_with("ARRAY") => format!("ARRAY_TO_STRING({column}, '|')"),
            "TIMESTAMP" => format!("CAST(UNIX_MICROS({column}) AS STRING)"),
            // the emulator writes every decimal that the type has
            "NUMERIC" | "BIGNUMERIC" => format!("CAST(CAST({column} AS FLOAT64) AS STRING)"),
            _ => format!("CAST({column} AS STRING)"),
        };
        let found = place.bq_one(&format!("SELECT {text} FROM {{d}}.{table} WHERE id = 1")).await;
        assert_eq!(found.trim_end_matches(".0"), *value, "{column}");
    }
}

async fn postgres_types_are_overridden() {
    let place = Place::new().await;
    place
        .pg(r#"CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL, i bigint, n numeric(10,2), w numeric(60,0), f float8, b bool, d date,
                z timestamptz, j json, js text, tx text, by bytea, ut bytea, uu uuid, a int[], ta text[], ia inet[], inf date, mo money);
              INSERT INTO t VALUES (1, '2024-01-01', 42, 12.50, 7, 0.25, true, '2024-02-29', '2024-06-30 20:00:00+02', '{"a": 1}', '{"b": [2]}',
                'txt', '\x00ff', '\x6869', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{1,2}', '{x,"y z"}', '{10.0.0.1}', 'infinity', 12.34)"#)
        .await;
    place.configure(
        &["t: { cursor: u, unrepresentable: reject, types: { id: NUMERIC, i: STRING, n: FLOAT64, w: INT64, f: NUMERIC, b: INT64, d: DATETIME,
            z: DATETIME, j: STRING, js: JSON, tx: BYTES, by: STRING, ut: STRING, uu: BYTES, a: 'ARRAY<INT64>', ta: array<string>, ia: 'ARRAY<STRING>', inf: STRING, mo: STRING } }"],
        &[],
        "",
    );
    let report = place.sync(&["t"]).await.remove(0);
    // two bytes that are no UTF-8 are no STRING
    assert_eq!((report.rows, report.rejected), (0, 1), "{report:?}");
    place.pg(r"UPDATE t SET by = '\x41', u = '2024-01-02'").await;
    place.sync(&["t"]).await;
    compare(
        &place,
        "t",
        &[
            ("id", "NUMERIC", "1"),
            ("i", "STRING", "42"),
            ("n", "FLOAT64", "12.5"),
            ("w", "INT64", "7"),
            ("f", "NUMERIC", "0.25"),
            ("b", "INT64", "1"),
            ("d", "DATETIME", "2024-02-29 00:00:00"),
            ("z", "DATETIME", "2024-06-30 18:00:00"),
            ("j", "STRING", r#"{"a": 1}"#),
            ("js", "JSON", r#"{"b":[2]}"#),
            ("tx", "BYTES", "747874"),
            ("by", "STRING", "A"),
            ("ut", "STRING", "hi"),
            ("uu", "BYTES", "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
            ("a", "ARRAY<INT64>", "1|2"),
            ("ta", "ARRAY<STRING>", "x|y z"),
            ("ia", "ARRAY<STRING>", "10.0.0.1/32"),
            ("inf", "STRING", "infinity"),
            ("mo", "STRING", "12.34"),
        ],
    )
    .await;
}

async fn mariadb_types_are_overridden() {
    let place = Place::new().await;
    place
        .my(r#"SET sql_mode = 'ALLOW_INVALID_DATES'; CREATE TABLE t (id bigint unsigned PRIMARY KEY, u datetime NOT NULL, b tinyint(1), bu bigint unsigned, n decimal(10,2),
                f float, z date, dt datetime, bits bit(8), js varchar(50), bl blob, x int, tx varchar(10), g point);
              INSERT INTO t VALUES (1, '2024-01-01', 7, 5, 12.50, 1.2345679, '0000-00-00', '2024-07-01 12:00:00', b'101', '{"b": [2]}', 'hi', 1, 'txt', ST_GeomFromText('POINT(1 2)', 4326))"#)
        .await;
    place.configure(
        &[],
        &["t: { cursor: u, unrepresentable: fail, naive_timestamps: { as: timestamp, timezone: Europe/Berlin }, types: { id: BIGNUMERIC, b: INT64, bu: INT64, n: STRING,
            f: STRING, z: STRING, bits: STRING, js: JSON, bl: STRING, x: BOOL, tx: BYTES, g: GEOGRAPHY, u: DATETIME } }"],
        "",
    );
    place.sync(&["t"]).await;
    compare(
        &place,
        "t",
        &[
            ("id", "BIGNUMERIC", "1"),
            ("u", "DATETIME", "2024-01-01 00:00:00"),
            ("b", "INT64", "7"),
            ("bu", "INT64", "5"),
            ("n", "STRING", "12.50"),
            ("z", "STRING", "0000-00-00"),
            ("dt", "TIMESTAMP", "1719828000000000"),
            ("bits", "STRING", "5"),
            ("js", "JSON", r#"{"b":[2]}"#),
            ("bl", "STRING", "hi"),
            ("x", "BOOL", "true"),
            ("tx", "BYTES", "747874"),
        ],
    )
    .await;
    let single: f32 = place.bq_one("SELECT f FROM {d}.t").await.parse().unwrap();
    assert_eq!(single.to_bits(), 1.234_567_9_f32.to_bits());
}

async fn overrides_that_can_lose_are_refused() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, n numeric(20,4), d timestamp, tx text, u timestamptz NOT NULL)")
        .await;
    for (settings, message) in [
        ("types: { n: INT64 }", "column \"n\" of public.t, numeric(20,4), cannot be INT64: some values may not fit"),
        ("types: { tx: JSON }", "column \"tx\" of public.t, text, cannot be JSON: some values may not fit"),
        ("types: { d: TIMESTAMP }", "it has no time zone: say `naive_timestamps"),
        ("types: { d: DATE }", "there is no such conversion"),
        ("types: { tx: INT64 }", "there is no such conversion"),
        ("types: { id: BOOL }, unrepresentable: clamp", "a column of the key and the cursor must keep every value"),
        ("types: { u: STRING }", "a column of the key and the cursor is compared as it is at the source"),
        ("types: { nn: STRING }", "table public.t has no column \"nn\" (named by `types`); did you mean"),
        ("types: { n: STRING }, key: [n]", "a column of the key and the cursor is compared as it is at the source"),
        ("hash: [id], hash_salt: s", "its value stands in the state as part of a position"),
        ("exclude_columns: [id]", "is needed for the cursor or the key and cannot be left out"),
        ("exclude_columns: [secrte]", "has no column \"secrte\" (named by `exclude_columns`)"),
        ("unrepresentable: { columns: { x: fail } }", "has no column \"x\" (named by `unrepresentable`)"),
    ] {
        place.configure(&[&format!("t: {{ cursor: u, {settings} }}")], &[], "");
        let ran = place.run(&["sync", "t"]).await;
        assert_eq!(ran.code, 2, "{settings}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(message), "{settings}: {}", ran.stderr);
    }
    assert_eq!(place.tables().await, Vec::<String>::new());
}

async fn naive_timestamps_numerics_and_arrays() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamp NOT NULL, n numeric, a int[], s text[]);
             INSERT INTO t VALUES (1, '2024-07-01 12:00', 1e60, '{3,4}', '{a,b}'), (2, '2024-10-27 02:30', 1, NULL, '{c,NULL}'), (3, '2024-12-01 12:00', 1, '{}', '{{x},{y}}')")
        .await;
    let zone = "naive_timestamps: { as: timestamp, timezone: Europe/Berlin }";
    place.configure(&[&format!("t: {{ cursor: u, numeric: string, arrays: repeated, {zone} }}")], &[], "");
    let report = place.sync(&["t"]).await.remove(0);
    // the hour that came twice; an array that is NULL, one that holds NULL and one of two dimensions
    assert_eq!(finding(&report, "u"), (0, 1, 0, "2".into()), "{report:?}");
    assert_eq!((finding(&report, "a"), finding(&report, "s")), ((1, 0, 0, "2".into()), (2, 0, 0, "2".into())));
    compare(
        &place,
        "t",
        &[
            ("u", "TIMESTAMP", "1719828000000000"),
            ("n", "STRING", &format!("1{}", "0".repeat(60))),
            ("a", "ARRAY<INT64>", "3|4"),
            ("s", "ARRAY<STRING>", "a|b"),
        ],
    )
    .await;
    place.pg("UPDATE t SET a = '{5}', u = '2025-01-01' WHERE id = 1").await;
    assert_eq!(place.sync(&["t"]).await[0].rows, 1);
    compare(&place, "t", &[("a", "ARRAY<INT64>", "5"), ("u", "TIMESTAMP", "1735686000000000")]).await;
}

async fn columns_are_left_out_and_hashed() {
    let place = Place::new().await;
    let rows = "VALUES (1, 'a@example.com', 'x', 5, '2024-01-01'), (2, NULL, 'y', 6, '2024-01-01')";
    place.pg(&format!("CREATE TABLE t (id int PRIMARY KEY, email text, secret text, n int, u timestamptz NOT NULL); INSERT INTO t {rows}; CREATE TABLE few AS SELECT * FROM t; CREATE TABLE texts (id int PRIMARY KEY, uu uuid, n numeric(10,2), m money, u timestamptz NOT NULL); INSERT INTO texts VALUES (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1.50, 12.34, '2024-01-01'); ALTER TABLE few ADD PRIMARY KEY (id)")).await;
    place.my(&format!("CREATE TABLE t (id int PRIMARY KEY, email varchar(50), secret text, n int, u datetime NOT NULL); INSERT INTO t {rows}")).await;
    place.configure(
        &[
            "t: { cursor: u, exclude_columns: [secret], hash: [email, n], target: pg_t }",
            "few: { cursor: u, columns: [id, u, n] }",
            "texts: { cursor: u, hash: [uu, n, m] }",
        ],
        &["t: { cursor: u, exclude_columns: [secret], hash: [email, n], target: my_t }"],
        "defaults: { hash_salt: 'pepper ' }",
    );
    place.sync(&["--all"]).await;
    for table in ["pg_t", "my_t"] {
        let names: Vec<String> = types(&place, table).await.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["id", "email", "n", "u"]);
        let hashes = place
            .bq(&format!("SELECT email, n, TO_HEX(SHA256('pepper a@example.com')) FROM {{d}}.{table} ORDER BY id"))
            .await;
        assert_eq!(hashes[0][0], hashes[0][2], "the same as in SQL");
        assert_eq!(hashes[0][1].as_ref().unwrap().len(), 64);
        assert_eq!(hashes[1][0], None);
    }
    let names: Vec<String> = types(&place, "few").await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["id", "n", "u"]);
    let texts = "SELECT uu = TO_HEX(SHA256('pepper a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')) AND n = TO_HEX(SHA256('pepper 1.50')) \
                 AND m = TO_HEX(SHA256('pepper 12.34')) FROM {d}.texts";
    assert_eq!(place.bq_one(texts).await, "true", "the text of a uuid, a numeric and a money");
    // neither value nor salt is anywhere that we write
    for name in place.objects("").await {
        let text = place.text(&name).await.unwrap();
        assert!(!text.contains("a@example.com") && !text.contains("pepper"), "{name}: {text}");
    }
}

async fn a_filter_selects_rows() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, kind text, u timestamptz NOT NULL); INSERT INTO t SELECT i, CASE i % 3 WHEN 0 THEN 'a;b' WHEN 1 THEN 'it''s' END, '2024-01-01' FROM generate_series(1, 30) i").await;
    place.my("CREATE TABLE t (id int PRIMARY KEY, kind text, u datetime NOT NULL); INSERT INTO t SELECT seq, ELT(seq % 3 + 1, 'a;b', 'it''s'), '2024-01-01' FROM seq_1_to_30").await;
    place.configure(
        &["t: { cursor: u, chunk_rows: 4, where: \"kind = 'a;b' OR kind = 'it''s' -- these\", target: pg_t }"],
        &["t: { cursor: u, chunk_rows: 4, where: \"kind = 'a;b' OR kind = 'it''s' -- these\", target: my_t }"],
        "",
    );
    for report in place.sync(&["--all"]).await {
        assert_eq!((report.rows, report.chunks), (20, 5), "{report:?}");
    }
    for table in ["pg_t", "my_t"] {
        assert_eq!(place.bq_one(&format!("SELECT CAST(COUNT(DISTINCT id) AS STRING) FROM {{d}}.{table}")).await, "20");
    }
    for (filter, message) in [
        ("nope = 1", "nope"),
        ("id = ", "is not a condition"),
        ("1=1) OR (1=1", "is not a condition"),
        ("id = 1; DROP TABLE t", "is not a condition"),
        ("id = 1 THEN 1 END, CASE WHEN id = 2", "is not a condition"),
    ] {
        for source in ["pg", "my"] {
            let table = format!("t: {{ cursor: u, where: \"{filter}\", target: other }}");
            let none: &[&str] = &[];
            let of = |name: &str| if name == source { vec![table.as_str()] } else { none.to_vec() };
            place.configure(&of("pg"), &of("my"), "");
            place.run(&["reset", "t"]).await;
            let ran = place.run(&["sync", "t"]).await;
            assert_eq!(ran.code, 2, "{source} {filter}: {}", ran.stderr);
            assert!(ran.stderr.contains("`where` of") && ran.stderr.contains(message), "{filter}: {}", ran.stderr);
        }
    }
}

async fn metadata_columns_tell_when() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, _synced_at text, u timestamptz NOT NULL); INSERT INTO t VALUES (1, 'mine', '2024-01-01'), (2, 'mine', '2024-01-01');
              CREATE TABLE log (id bigint PRIMARY KEY); INSERT INTO log VALUES (1); CREATE TABLE whole (id int); INSERT INTO whole VALUES (1)").await;
    place.configure(
        &["t: { cursor: u }", "log: { mode: append, cursor: id }", "whole: { mode: replace }"],
        &[],
        "defaults: { metadata_columns: true }",
    );
    place.sync(&["--all"]).await;
    for table in ["t", "log", "whole"] {
        let now = format!(
            "SELECT CAST(COUNTIF(_synced_at > TIMESTAMP '2024-06-01' AND _deleted_at IS NULL) AS STRING) FROM {{d}}.{table}"
        );
        assert_eq!(place.bq_one(&now).await, if table == "t" { "2" } else { "1" }, "{table}");
    }
    // the source's own column of that name has another
    assert_eq!(place.bq_one("SELECT _synced_at_2 FROM {d}.t WHERE id = 1").await, "mine");
    let before = place.bq("SELECT CAST(UNIX_MICROS(_synced_at) AS STRING) FROM {d}.t ORDER BY id").await;
    place.pg("UPDATE t SET u = '2024-01-02' WHERE id = 1").await;
    place.sync(&["t"]).await;
    let after = place.bq("SELECT CAST(UNIX_MICROS(_synced_at) AS STRING) FROM {d}.t ORDER BY id").await;
    assert!(after[0] > before[0] && after[1] == before[1], "{before:?} {after:?}");
}
