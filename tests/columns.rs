//! What the column settings do: overridden types, hashes, filters, metadata columns.

use highwater::report::RunReport;
use serde_json::Value;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![
        postgres_types_are_overridden,
        mariadb_types_are_overridden,
        overrides_that_can_lose_are_refused,
        naive_timestamps_numerics_and_arrays,
        columns_are_left_out_and_hashed,
        a_filter_selects_rows,
        metadata_columns_tell_when,
    ]
}

pub fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The findings of a column as (NULLs, adjusted, rejected, first key).
pub fn finding(report: &RunReport, column: &str) -> (u64, u64, u64, String) {
    let found = report.findings.iter().find(|finding| finding.column == column).cloned().unwrap_or_default();
    (found.unrepresentable, found.adjusted, found.rejected, found.first_key.join(","))
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
        ("types: { d: TIMESTAMP }", "it has no time zone; say `naive_timestamps"),
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
        assert!(ran.told().contains(message), "{settings}: {}", ran.stderr);
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
