//! Keys of every kind and number of columns, cursors of every kind: chunk by chunk, nothing lost, nothing twice.

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![
        postgres_keys_and_cursors,
        mariadb_keys_and_cursors,
        unusable_keys_and_cursors_are_told,
        a_reset_brings_no_row_twice
    ]
}

const ROWS: u64 = 200;

/// A table's name, its key columns, their expression from `i`, the cursor's type and expression.
struct Shape {
    name: &'static str,
    key: &'static [(&'static str, &'static str)],
    cursor: (&'static str, &'static str),
}

const fn shape(
    name: &'static str,
    key: &'static [(&'static str, &'static str)],
    cursor: (&'static str, &'static str),
) -> Shape {
    Shape { name, key, cursor }
}

const PG: [Shape; 11] = [
    shape("k_int", &[("int", "i")], ("timestamptz", "timestamptz '2024-01-01' + (i / 9) * interval '1 s'")),
    shape(
        "k_text",
        &[("text", "'Ä' || md5(i::text)")],
        ("timestamp", "timestamp '2024-01-01' + (i / 9) * interval '1 us'"),
    ),
    shape("k_uuid", &[("uuid", "md5(i::text)::uuid")], ("date", "date '2024-01-01' + i / 9")),
    shape(
        "k_bytea",
        &[("bytea", "decode(md5(i::text), 'hex')")],
        ("timestamp(0)", "timestamp '2024-01-01' + (i / 9) * interval '1 s'"),
    ),
    shape("k_numeric", &[("numeric(30,10)", "i / 7.0 - 10")], ("bigint", "i / 9")),
    shape(
        "k_two",
        &[("int", "i % 3"), ("text", "'t' || i")],
        ("timestamptz(3)", "timestamptz '2024-01-01' + (i / 50) * interval '1 ms'"),
    ),
    shape(
        "k_three",
        &[("date", "date '2024-01-01' + i % 4"), ("uuid", "md5(i::text)::uuid"), ("smallint", "i % 5")],
        ("integer", "i / 50"),
    ),
    shape("k_ts", &[("timestamptz", "timestamptz '2024-01-01' + i * interval '1 us'")], ("numeric(20,0)", "i / 50")),
    shape("k_float", &[("double precision", "i / 3.0")], ("timestamptz", "timestamptz '2024-01-01'")),
    shape("k_bool", &[("boolean", "i % 2 = 0"), ("bigint", "i * 9007199254740993")], ("smallint", "i / 50")),
    shape("k_inet", &[("inet", "'10.0.0.0'::inet + i")], ("timestamp", "timestamp '2024-01-01'")),
];

const MY: [Shape; 11] = [
    shape("k_int", &[("int", "i")], ("timestamp", "'2024-01-01' + INTERVAL i DIV 9 SECOND")),
    shape(
        "k_text",
        &[("varchar(40)", "concat('Ä', md5(i))")],
        ("datetime(6)", "'2024-01-01' + INTERVAL i DIV 9 MICROSECOND"),
    ),
    shape("k_bin", &[("binary(16)", "unhex(md5(i))")], ("datetime", "'2024-01-01' + INTERVAL i DIV 9 SECOND")),
    shape("k_dec", &[("decimal(30,10)", "i / 7 - 10")], ("date", "'2024-01-01' + INTERVAL i DIV 9 DAY")),
    shape(
        "k_two",
        &[("int", "i % 3"), ("varchar(20)", "concat('t', i)")],
        ("datetime(3)", "'2024-01-01' + INTERVAL (i DIV 50) * 1000 MICROSECOND"),
    ),
    shape(
        "k_three",
        &[("date", "'2024-01-01' + INTERVAL i % 4 DAY"), ("binary(16)", "unhex(md5(i))"), ("smallint", "i % 5")],
        ("bigint", "i DIV 50"),
    ),
    shape("k_ubig", &[("bigint unsigned", "18446744073709551615 - i")], ("int", "i DIV 9")),
    shape(
        "k_uuid",
        &[("uuid", "concat('a0eebc99-9c0b-4ef8-bb6d-', lpad(hex(i * 7919 % 100003), 12, '0'))")],
        ("datetime", "'2024-01-01'"),
    ),
    shape("k_dt", &[("datetime(6)", "'2024-01-01' + INTERVAL i MICROSECOND")], ("bigint unsigned", "i DIV 50")),
    shape("k_enum", &[("enum('z','a','m')", "1 + i % 3"), ("int", "i")], ("decimal(20,0)", "i DIV 50")),
    shape("k_latin", &[("varchar(20) character set latin1", "concat('é', i)")], ("timestamp(6)", "'2024-01-01'")),
];

fn create(shape: &Shape, series: &str, options: &str) -> String {
    let names: Vec<String> = (0..shape.key.len()).map(|n| format!("k{n}")).collect();
    let columns: Vec<String> =
        names.iter().zip(shape.key).map(|(name, (ty, _))| format!("{name} {ty} NOT NULL")).collect();
    let values: Vec<&str> = shape.key.iter().map(|(_, value)| *value).collect();
    format!(
        "CREATE TABLE {0} ({1}, c {2} NOT NULL{options}, n int, PRIMARY KEY ({3})); INSERT INTO {0} SELECT {4}, {5}, i FROM {series};",
        shape.name,
        columns.join(", "),
        shape.cursor.0,
        names.join(", "),
        values.join(", "),
        shape.cursor.1
    )
}

async fn check(place: &Place, source: &str, shapes: &[Shape]) {
    let tables: Vec<String> =
        shapes.iter().map(|shape| format!("{}: {{ cursor: c, chunk_rows: 67 }}", shape.name)).collect();
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    if source == "pg" {
        place.configure(&tables, &[], "")
    } else {
        place.configure(&[], &tables, "")
    };
    let reports = place.sync(&["--all"]).await;
    assert_eq!(reports.len(), shapes.len());
    for report in reports {
        assert_eq!((report.rows, report.chunks), (ROWS, 3), "{report:?}");
    }
    // the keys are many enough that a row lost or doubled by one chunk's edge shows
    let counts: Vec<String> = shapes
        .iter()
        .map(|shape| format!("SELECT '{0}', CAST(COUNT(*) AS STRING), CAST(COUNT(DISTINCT n) AS STRING), CAST(SUM(n) AS STRING) FROM {{d}}.{0}", shape.name))
        .collect();
    for row in place.bq(&counts.join(" UNION ALL ")).await {
        let row: Vec<String> = row.into_iter().map(Option::unwrap).collect();
        assert_eq!(row[1..], [ROWS.to_string(), ROWS.to_string(), (ROWS * (ROWS + 1) / 2).to_string()], "{}", row[0]);
    }
    for report in place.sync(&["--all"]).await {
        assert_eq!(report.rows, 0, "{report:?}");
    }
    place.assert_clean().await;
}

async fn postgres_keys_and_cursors() {
    let place = Place::new().await;
    let sql: String = PG.iter().map(|shape| create(shape, &format!("generate_series(1, {ROWS}) i"), "")).collect();
    place.pg(&sql).await;
    check(&place, "pg", &PG).await;
}

async fn mariadb_keys_and_cursors() {
    let place = Place::new().await;
    let sql: String = MY
        .iter()
        .map(|shape| {
            // or MariaDB makes the first timestamp follow every uuate
            let options = if shape.cursor.0.starts_with("timestamp") { " DEFAULT '2000-01-01'" } else { "" };
            create(shape, &format!("(SELECT CAST(seq AS SIGNED) AS i FROM seq_1_to_{ROWS}) s"), options)
        })
        .collect();
    place.my(&sql).await;
    check(&place, "my", &MY).await;
}

async fn unusable_keys_and_cursors_are_told() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int, v text, j jsonb, u timestamptz); CREATE UNIQUE INDEX ON t (v); INSERT INTO t VALUES (1, NULL, '1', '2024-01-01')").await;
    for (table, told) in [
        (
            "t: { cursor: u }",
            "table public.t has no primary key, and `mode: merge` needs a key; say `key: [...]`, for example [v], which an index keeps unique",
        ),
        (
            "t: { cursor: v, key: id }",
            "column \"v\" of public.t cannot be a cursor: text is not ordered in time or by a sequence",
        ),
        ("t: { cursor: uu, key: id }", "table public.t has no column \"uu\" (named by `cursor`); did you mean u?"),
        ("t: { cursor: u, key: [id, vv] }", "table public.t has no column \"vv\" (named by `key`); did you mean v"),
        ("t: { cursor: u, key: v }", "1 rows of public.t have NULL in key column \"v\""),
        ("t: { cursor: u, key: j }", "column \"j\" of public.t cannot be part of the key"),
        (
            "t: { cursor: u, key: id, mode: append }",
            "`mode: append` needs a key that the database keeps unique and not NULL",
        ),
        (
            "t: { cursor: u, key: id, partition_by: v }",
            "`partition_by: v` of public.t does not fit: a STRING column cannot be partitioned by time",
        ),
    ] {
        place.configure(&[table], &[], "");
        let ran = place.run(&["sync", "t"]).await;
        assert_eq!(ran.code, 2, "{table}: {ran:?}");
        assert!(ran.told().contains(told), "{table}: {}", ran.stderr);
        assert_eq!(place.objects("state/").await, Vec::<String>::new(), "{table}");
    }
    // a key that is not enforced: the newest row of each key wins
    place
        .pg("UPDATE t SET v = 'x'; INSERT INTO t VALUES (1, 'y', '2', '2024-01-02'), (2, 'z', '3', '2024-01-02')")
        .await;
    place.configure(&["t: { cursor: u, key: id }"], &[], "");
    place.sync(&["t"]).await;
    assert_eq!(place.bq_one("SELECT STRING_AGG(v, ',' ORDER BY v) FROM {d}.t").await, "y,z");
}

/// What doubles rows is refused: an `append` that is read again, and a merge by a key that the target's rows do not have.
async fn a_reset_brings_no_row_twice() {
    let place = Place::new().await;
    place.pg("CREATE TABLE log (id bigserial PRIMARY KEY, v text); INSERT INTO log (v) SELECT 'v' || i FROM generate_series(1, 5) i").await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL UNIQUE, u timestamptz); INSERT INTO t SELECT i, 'c' || i, '2024-01-01' FROM generate_series(1, 5) i").await;
    let log = "log: { mode: append, cursor: id }";
    place.configure(&[log, "t: { cursor: u }"], &[], "");
    place.sync(&["--all"]).await;
    let rows = |table: &str| format!("SELECT CONCAT(COUNT(*), ' ', COUNT(DISTINCT id)) FROM {{d}}.{table}");

    for args in [&["reset", "log"][..], &["reset", "log", "--cursor", "2", "--key", "2"]] {
        let ran = place.run(args).await;
        assert!(ran.code == 2 && ran.stderr.contains("HW-RESET-TWICE"), "{ran:?}");
        assert!(ran.stderr.contains("5 rows are in"), "{ran:?}");
    }
    assert_eq!(place.sync(&["log"]).await[0].rows, 0);
    // the emulator tells the rows of a table without those that were deleted since only where it is made anew
    place.bq("DROP TABLE {d}.log").await;
    assert_eq!(place.run(&["reset", "log"]).await.code, 0);
    assert_eq!(place.sync(&["log"]).await[0].rows, 5);
    assert_eq!(place.run(&["reset", "log", "--again"]).await.code, 0);
    assert_eq!(place.sync(&["log"]).await[0].rows, 5);
    assert_eq!(place.bq_one(&rows("log")).await, "10 5", "it was asked for");

    // a key whose values are there, and which nothing says of
    place.configure(&[log, "t: { cursor: u, key: code }"], &[], "");
    assert_eq!(place.run(&["reset", "t"]).await.code, 0);
    let ran = place.run(&["sync", "t"]).await;
    assert!(ran.code == 2 && ran.stderr.contains("HW-KEY-UNMATCHED"), "{ran:?}");
    assert!(ran.stderr.contains("it was [\"id\"], is [\"code\"]"), "{ran:?}");
    let ran = place.run(&["sync", "t", "--accept"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(place.bq_one(&rows("t")).await, "5 5");

    // a key that the target does not have: not even with leave
    place.pg("ALTER TABLE t RENAME code TO number").await;
    place.configure(&[log, "t: { cursor: u, key: number }"], &[], "");
    assert_eq!(place.run(&["reset", "t"]).await.code, 0);
    for args in [&["sync", "t"][..], &["sync", "t", "--accept"]] {
        let ran = place.run(args).await;
        assert!(ran.code == 2 && ran.stderr.contains("it has no column \"number\""), "{ran:?}");
    }
    assert_eq!(place.bq_one(&rows("t")).await, "5 5");
    place.bq("DROP TABLE {d}.t").await;
    assert_eq!(place.sync(&["t"]).await[0].rows, 5);
    assert_eq!(place.bq_one("SELECT CONCAT(COUNT(*), ' ', COUNT(DISTINCT number)) FROM {d}.t").await, "5 5");
}
