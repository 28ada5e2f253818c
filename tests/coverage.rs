//! Every type of both databases has a mapping that somebody decided, and relations of every kind are read.

use std::time::Duration;

use highwater::mapping::Column;
use highwater::model::SourceTable;
use highwater::net::Context;
use highwater::source::mysql::MySqlSource;
use highwater::source::postgres::PostgresSource;
use highwater::source::{Session as _, Source};
use tokio_util::sync::CancellationToken;

use crate::round_trip::run::connection;
use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![
        every_type_of_postgres_is_known,
        every_type_of_mariadb_is_known,
        a_type_that_nobody_knows_is_told,
        postgres_arrays_domains_and_composites,
        postgis_becomes_wkt_or_geography,
        postgres_relations_of_every_kind,
        mariadb_relations_of_every_kind,
        tables_as_wide_as_the_databases_have_them,
        a_row_of_20_mb,
        a_row_beyond_100_mb_is_a_reject,
    ]
}

/// The columns of a table as a session describes them.
async fn columns<S: Source>(source: &S, schema: &str, table: &str) -> Vec<Column> {
    let cx = Context::new(tokio::time::Instant::now() + Duration::from_secs(60), CancellationToken::new());
    let mut session = source.connect(&cx).await.unwrap();
    let table = SourceTable { schema: Some(schema.to_owned()), name: table.to_owned() };
    session.describe(&cx, &table).await.unwrap().columns
}

async fn every_type_of_postgres_is_known() {
    let place = Place::new().await;
    let rows = place
        .pg_rows(
            "SELECT typname::text, (typarray <> 0)::text FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
              WHERE nspname = 'pg_catalog' AND typtype IN ('b', 'r', 'm', 'e') AND typcategory <> 'A' ORDER BY 1",
        )
        .await;
    assert!(rows.len() > 70, "{rows:?}");
    let names = |array: bool| {
        let wanted = rows.iter().filter(move |row| !array || row[1].as_deref() == Some("true"));
        wanted.filter_map(|row| row[0].as_deref())
    };
    let single: Vec<String> = names(false).map(|name| format!("\"{name}\" pg_catalog.\"{name}\"")).collect();
    let arrays: Vec<String> = names(true).map(|name| format!("\"{name}[]\" pg_catalog.\"{name}\"[]")).collect();
    place.pg(&format!("CREATE TABLE each ({}); CREATE TABLE arrays ({})", single.join(", "), arrays.join(", "))).await;
    let source = PostgresSource::new(connection(&place.stack.postgres, &place.name));
    for (table, count) in [("each", single.len()), ("arrays", arrays.len())] {
        let columns = columns(&source, "public", table).await;
        assert_eq!(columns.len(), count);
        let unknown: Vec<&str> =
            columns.iter().filter(|column| !column.known).map(|column| column.source_type.as_str()).collect();
        assert_eq!(unknown, Vec::<&str>::new(), "types without a deliberate mapping");
    }
    // and what is selected for each of them is SQL: rows of NULLs are read
    place.pg("INSERT INTO each DEFAULT VALUES; INSERT INTO arrays DEFAULT VALUES").await;
    place.configure(&["each: { mode: replace }", "arrays: { mode: replace }"], &[], "");
    for report in place.sync(&["--all"]).await {
        assert_eq!((report.rows, report.findings.len()), (1, 0), "{report:?}");
    }
}

/// What MariaDB's own help lists under data types, and columns of it; none for what is no type of a column.
const MARIADB_TYPES: [(&str, &str); 54] = [
    ("BIGINT", "bigint"),
    ("BINARY", "binary(3)"),
    ("BIT", "bit(5)"),
    ("BLOB", "blob"),
    ("BOOL", "bool"),
    ("BOOLEAN", "boolean"),
    ("CHAR", "char(3)"),
    ("CHAR BYTE", "char(3) byte"),
    ("CHAR VARYING", "char varying(3)"),
    ("CHARACTER", "character(3)"),
    ("CLOB", ""),
    ("DATE", "date"),
    ("DATETIME", "datetime"),
    ("DEC", "dec"),
    ("DECIMAL", "decimal"),
    ("DOUBLE", "double"),
    ("DOUBLE PRECISION", "double precision"),
    ("ENUM", "enum('a')"),
    ("FIXED", "fixed"),
    ("FLOAT", "float"),
    ("FLOAT4", "float4"),
    ("FLOAT8", "float8"),
    ("INET4", "inet4"),
    ("INET6", "inet6"),
    ("INT", "int unsigned"),
    ("INT1", "int1"),
    ("INT2", "int2"),
    ("INT3", "int3"),
    ("INT4", "int4"),
    ("INT8", "int8"),
    ("INTEGER", "integer"),
    ("JSON Data Type", "json"),
    ("LONG VARBINARY", "long varbinary"),
    ("LONG VARCHAR", "long varchar"),
    ("LONGBLOB", "longblob"),
    ("LONGTEXT", "longtext"),
    ("MEDIUMBLOB", "mediumblob"),
    ("MEDIUMINT", "mediumint"),
    ("MEDIUMTEXT", "mediumtext"),
    ("MIDDLEINT", "middleint"),
    ("NATIONAL VARCHAR", "national varchar(3)"),
    ("NUMERIC", "numeric(3,1)"),
    ("REAL", "real"),
    ("SET Data Type", "set('a')"),
    ("SMALLINT", "smallint"),
    ("TEXT", "text"),
    ("TIME", "time(3)"),
    ("TIMESTAMP", "timestamp null"),
    ("TINYBLOB", "tinyblob"),
    ("TINYINT", "tinyint"),
    ("TINYTEXT", "tinytext"),
    ("UUID Data Type", "uuid"),
    ("VARBINARY", "varbinary(3)"),
    ("YEAR Data Type", "year"),
];
/// Other names of those, types of another mode or version, and chapters that are no type.
const MARIADB_OTHERS: [&str; 44] = [
    "AUTO\\_INCREMENT",
    "AUTO\\_INCREMENT FAQ",
    "BLOB and TEXT Data Types",
    "Character Set and Collation Overview",
    "Coordinated Universal Time",
    "Data Type Storage Requirements",
    "DEC, NUMERIC, FIXED",
    "Floating-point Accuracy",
    "Locales Plugin",
    "LONG and LONG VARCHAR",
    "LONG CHAR VARYING",
    "LONG CHARACTER VARYING",
    "LONG VARCHARACTER",
    "NATIONAL CHAR",
    "NATIONAL CHAR VARYING",
    "NATIONAL CHARACTER",
    "NATIONAL CHARACTER VARYING",
    "NATIONAL VARCHARACTER",
    "NCHAR",
    "NCHAR VARCHAR",
    "NCHAR VARCHARACTER",
    "NCHAR VARYING",
    "NULL Values",
    "NUMBER",
    "Numeric Data Type Overview",
    "RAW",
    "ROW",
    "ROW TYPE OF",
    "SERIAL",
    "Server Locale",
    "SET CHARACTER SET",
    "SET NAMES",
    "Setting Character Sets and Collations",
    "Setting the Language for Error Messages",
    "SQL\\_TSI\\_YEAR",
    "Supported Character Sets and Collations",
    "Time Zones",
    "TYPE OF",
    "Unicode",
    "VARCHAR",
    "VARCHAR2",
    "VARCHARACTER",
    "VECTOR",
    "XMLTYPE",
];
/// Types that the help counts elsewhere.
const MARIADB_GEOMETRY: [&str; 8] = [
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
];

async fn every_type_of_mariadb_is_known() {
    let place = Place::new().await;
    let topics = place
        .my_rows("SELECT t.name FROM mysql.help_topic AS t JOIN mysql.help_category AS c USING (help_category_id) WHERE c.name LIKE '%Data Types%' ORDER BY 1")
        .await;
    let plugins = place
        .my_rows("SELECT CAST(PLUGIN_NAME AS CHAR) FROM information_schema.PLUGINS WHERE PLUGIN_TYPE = 'DATA TYPE'")
        .await;
    assert!(topics.len() > 60 && plugins.len() >= 3, "{topics:?} {plugins:?}");
    for name in topics.into_iter().chain(plugins).filter_map(|mut row| row.remove(0)) {
        let known = MARIADB_TYPES.iter().any(|(topic, _)| topic.eq_ignore_ascii_case(&name));
        let known = known || MARIADB_TYPES.iter().any(|(_, declared)| declared.eq_ignore_ascii_case(&name));
        assert!(known || MARIADB_OTHERS.contains(&name.as_str()), "a type that nobody looked at: {name:?}");
    }
    let declared = MARIADB_TYPES.iter().map(|(_, declared)| *declared).chain(MARIADB_GEOMETRY);
    let declared: Vec<&str> = declared.filter(|declared| !declared.is_empty()).collect();
    let columns_sql: Vec<String> =
        declared.iter().enumerate().map(|(index, declared)| format!("c{index} {declared}")).collect();
    place
        .my(&format!("CREATE TABLE every_type ({}); INSERT INTO every_type () VALUES ()", columns_sql.join(", ")))
        .await;
    let source = MySqlSource::new(connection(&place.stack.mysql, &place.name));
    let columns = columns(&source, &place.name, "every_type").await;
    assert_eq!(columns.len(), declared.len());
    let unknown: Vec<&str> =
        columns.iter().filter(|column| !column.known).map(|column| column.source_type.as_str()).collect();
    assert_eq!(unknown, Vec::<&str>::new(), "types without a deliberate mapping");
    place.configure(&[], &["every_type: { mode: replace }"], "");
    assert_eq!(place.sync(&["every_type"]).await[0].rows, 1);
}

async fn a_type_that_nobody_knows_is_told() {
    let place = Place::new().await;
    place.pg("CREATE EXTENSION cube; CREATE TABLE t (id int PRIMARY KEY, v cube, u timestamptz NOT NULL); INSERT INTO t VALUES (1, '(1,2)', '2024-01-01')").await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let report = place.sync(&["t"]).await.remove(0);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("column \"v\" has the type public.cube, which Highwater does not know")),
        "{:?}",
        report.notes
    );
    assert_eq!(place.bq_one("SELECT v FROM {d}.t").await, "(1, 2)");
}

async fn postgres_arrays_domains_and_composites() {
    let place = Place::new().await;
    place
        .pg(r#"CREATE TYPE addr AS (street text, zip int); CREATE DOMAIN zips AS int[]; CREATE DOMAIN deep AS zips CHECK (array_length(value, 1) < 9);
              CREATE TYPE mood AS ENUM ('sad','ok'); CREATE TYPE person AS (name text, home addr, moods mood[]);
              CREATE TABLE t (id int PRIMARY KEY, a addr[], z zips, y deep, m mood[], p person, b bytea[], n numeric[], d date[], j jsonb[], nest text[], i interval[]);
              INSERT INTO t VALUES (1, ARRAY[ROW('x "y"', 1)::addr, NULL], '{1,NULL}', '{2}', '{ok,sad,NULL}', ROW('n', ROW(NULL, 5), '{ok}')::person,
                ARRAY['\x00ff'::bytea], '{1.50,NaN}', '{2024-01-01,infinity}', ARRAY['{"a": [1]}'::jsonb, 'null'], '{{a,NULL},{"b,c",d}}', '{1 day}')"#)
        .await;
    place.configure(&["t: { mode: replace }"], &[], "");
    assert_eq!(place.sync(&["t"]).await[0].findings, vec![]);
    for (column, expected) in [
        ("a", r#"[{"street":"x \"y\"","zip":1},null]"#),
        ("z", "[1,null]"),
        ("y", "[2]"),
        ("m", r#"["ok","sad",null]"#),
        ("p", r#"{"name":"n","home":{"street":null,"zip":5},"moods":["ok"]}"#),
        ("b", r#"["\\x00ff"]"#),
        ("n", r#"[1.50,"NaN"]"#),
        ("d", r#"["2024-01-01","infinity"]"#),
        ("j", r#"[{"a":[1]},null]"#),
        ("nest", r#"[["a",null],["b,c","d"]]"#),
        ("i", r#"["P1D"]"#),
    ] {
        let found = place.bq_one(&format!("SELECT TO_JSON_STRING({column}) FROM {{d}}.t")).await;
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(&found), parse(expected), "{column}");
    }
}

async fn postgis_becomes_wkt_or_geography() {
    let place = Place::new().await;
    place
        .pg("CREATE SCHEMA \"geo schema\"; CREATE EXTENSION postgis SCHEMA \"geo schema\"; SET search_path = public, \"geo schema\";
             CREATE TABLE t (id int PRIMARY KEY, g geometry, a geography(Point), l geometry(LineString, 4326), n geometry, u timestamptz NOT NULL);
             INSERT INTO t VALUES (1, 'SRID=4326;POINT(13.4 52.5)', 'POINT(13.4 52.5)', 'SRID=4326;LINESTRING(0 0,1 1)', NULL, '2024-01-01'),
             (2, 'SRID=3857;POINT(1 2)', 'POINT(1 2)', NULL, 'POLYGON((0 0,0 1,1 1,0 0))', '2024-01-02')")
        .await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.findings.len(), report.notes.len()), (0, 1), "{report:?}");
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        place.bq("SELECT g, a, l, n FROM {d}.t ORDER BY id").await,
        [
            vec![some("POINT(13.4 52.5)"), some("POINT(13.4 52.5)"), some("LINESTRING(0 0,1 1)"), None],
            vec![some("POINT(1 2)"), some("POINT(1 2)"), None, some("POLYGON((0 0,0 1,1 1,0 0))")],
        ]
    );
    // as GEOGRAPHY: only longitude and latitude are; the emulator's own text of one is compared by its points
    place.gate.keep_rows();
    let types = "types: { g: GEOGRAPHY, a: GEOGRAPHY, l: GEOGRAPHY, n: GEOGRAPHY }, unrepresentable: null";
    place.configure(&[&format!("t: {{ cursor: u, {types}, target: geographies }}")], &[], "");
    place.run(&["reset", "t"]).await;
    let report = place.sync(&["t"]).await.remove(0);
    let counted: Vec<(&str, u64)> =
        report.findings.iter().map(|finding| (finding.column.as_str(), finding.unrepresentable)).collect();
    assert_eq!(counted, [("g", 1), ("n", 1)], "another SRID, and none");
    let rows = place.gate.kept("t");
    assert_eq!((&rows[0]["g"], &rows[0]["a"]), (&"POINT(13.4 52.5)".into(), &"POINT(13.4 52.5)".into()));
    assert_eq!((rows[1].get("g"), rows[1].get("n"), &rows[1]["a"]), (None, None, &"POINT(1 2)".into()));
    let table = place.table("geographies").await;
    assert_eq!(table["schema"]["fields"][1]["type"], "GEOGRAPHY");
}

/// Count and sum of `v` in the target.
async fn sums(place: &Place, table: &str) -> (String, String) {
    let row = place
        .bq(&format!("SELECT CAST(COUNT(*) AS STRING), CAST(SUM(v) AS STRING) FROM {{d}}.{table}"))
        .await
        .remove(0);
    (row[0].clone().unwrap(), row[1].clone().unwrap_or_default())
}

async fn postgres_relations_of_every_kind() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE plain (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone int, v int, twice int GENERATED ALWAYS AS (v * 2) STORED, u timestamptz NOT NULL DEFAULT '2024-01-01');
             INSERT INTO plain (gone, v) SELECT 0, i FROM generate_series(1, 10) i; ALTER TABLE plain DROP COLUMN gone;
             CREATE VIEW seen AS SELECT id, v, u FROM plain WHERE v > 5;
             CREATE MATERIALIZED VIEW held AS SELECT id, v, u FROM plain WHERE v <= 5; CREATE UNIQUE INDEX ON held (id);
             CREATE TABLE parted (id int, v int, u timestamptz NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id);
             CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (6); CREATE TABLE parted_2 PARTITION OF parted DEFAULT;
             INSERT INTO parted SELECT id, v, u FROM plain;
             CREATE TABLE parent (id int PRIMARY KEY, v int, u timestamptz NOT NULL); CREATE TABLE child (w int) INHERITS (parent);
             INSERT INTO parent SELECT id, v, u FROM plain WHERE id <= 4; INSERT INTO child SELECT id, v, u, 1 FROM plain WHERE id > 4")
        .await;
    place.configure(
        &[
            "plain: { cursor: u }",
            "seen: { cursor: u, key: id }",
            "held: { cursor: u, key: id }",
            "parted: { cursor: u }",
            "parted_1: { cursor: u }",
            "parent: { cursor: u, key: id }",
        ],
        &[],
        "",
    );
    place.sync(&["--all"]).await;
    for (table, count, sum) in [
        ("plain", "10", "55"),
        ("seen", "5", "40"),
        ("held", "5", "15"),
        ("parted", "10", "55"),
        ("parted_1", "5", "15"),
        ("parent", "10", "55"),
    ] {
        assert_eq!(sums(&place, table).await, (count.to_owned(), sum.to_owned()), "{table}");
    }
    assert_eq!(place.bq_one("SELECT CAST(SUM(twice) AS STRING) FROM {d}.plain").await, "110");
    place.pg("UPDATE parted SET v = 100, u = '2024-01-02' WHERE id = 1; INSERT INTO child VALUES (11, 11, '2024-01-02', 1)").await;
    place.sync(&["--all"]).await;
    assert_eq!(sums(&place, "parted").await.1, "154");
    assert_eq!(sums(&place, "parent").await, ("11".to_owned(), "66".to_owned()));
}

async fn mariadb_relations_of_every_kind() {
    let place = Place::new().await;
    place
        .my("CREATE TABLE plain (id int AUTO_INCREMENT PRIMARY KEY, v int, hidden int INVISIBLE DEFAULT 7, twice int AS (v * 2) VIRTUAL, thrice int AS (v * 3) PERSISTENT, u datetime NOT NULL DEFAULT '2024-01-01');
             INSERT INTO plain (v) SELECT seq FROM seq_1_to_10; CREATE VIEW seen AS SELECT id, v, u FROM plain WHERE v > 5;
             CREATE TABLE parted (id int PRIMARY KEY, v int, u datetime NOT NULL) PARTITION BY HASH (id) PARTITIONS 3; INSERT INTO parted SELECT id, v, u FROM plain")
        .await;
    place.configure(&[], &["plain: { cursor: u }", "seen: { cursor: u, key: id }", "parted: { cursor: u }"], "");
    place.sync(&["--all"]).await;
    for (table, count, sum) in [("plain", "10", "55"), ("seen", "5", "40"), ("parted", "10", "55")] {
        assert_eq!(sums(&place, table).await, (count.to_owned(), sum.to_owned()), "{table}");
    }
    let all = "SELECT CONCAT(CAST(SUM(hidden) AS STRING), ' ', CAST(SUM(twice) AS STRING), ' ', CAST(SUM(thrice) AS STRING)) FROM {d}.plain";
    assert_eq!(place.bq_one(all).await, "70 110 165");
}

async fn tables_as_wide_as_the_databases_have_them() {
    let place = Place::new().await;
    let columns = |count: usize| (2..=count).map(|n| format!("c{n} int")).collect::<Vec<_>>().join(", ");
    let values = |count: usize, row: usize| (2..=count).map(|n| (n * row).to_string()).collect::<Vec<_>>().join(", ");
    // the databases' limits: 1,600 columns, and InnoDB's 1,017
    place
        .pg(&format!(
            "CREATE TABLE wide (c1 int PRIMARY KEY, {}); INSERT INTO wide VALUES (1, {}), (2, {})",
            columns(1600),
            values(1600, 1),
            values(1600, 2)
        ))
        .await;
    place
        .my(&format!(
            "CREATE TABLE narrower (c1 int PRIMARY KEY, {}); INSERT INTO narrower VALUES (1, {}), (2, {})",
            columns(1000),
            values(1000, 1),
            values(1000, 2)
        ))
        .await;
    place.configure(&["wide: { mode: append, cursor: c1 }"], &["narrower: { cursor: c1 }"], "");
    for report in place.sync(&["--all"]).await {
        assert_eq!(report.rows, 2, "{report:?}");
    }
    for (table, count) in [("wide", 1600), ("narrower", 1000)] {
        let all: Vec<String> = (1..=count).map(|n| format!("CAST(c{n} AS STRING)")).collect();
        let rows = place.bq(&format!("SELECT {} FROM {{d}}.{table} ORDER BY c1", all.join(", "))).await;
        for (row, number) in rows.iter().zip(1..) {
            let wanted: Vec<Option<String>> = (1..=count).map(|n| Some((n * number).to_string())).collect();
            assert_eq!(row, &wanted, "{table}");
        }
        assert_eq!(rows.len(), 2);
    }
    place.pg("INSERT INTO wide (c1) VALUES (3)").await;
    place.my("UPDATE narrower SET c1000 = NULL WHERE c1 = 1; INSERT INTO narrower (c1) VALUES (3)").await;
    for report in place.sync(&["--all"]).await {
        assert_eq!(report.rows, 1, "{report:?}");
    }
}

async fn a_row_of_20_mb() {
    const BYTES: usize = 20_000_000;
    let place = Place::new().await;
    // digits of hashes: they shrink to a little more than half
    let text = |each: &str| format!("repeat({each}, {})", BYTES / 320);
    place.pg(&format!("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL); INSERT INTO t SELECT i, {}, '2024-01-01' FROM generate_series(1, 2) i", text("(SELECT string_agg(md5((i * 100 + n)::text), '') FROM generate_series(1, 10) n)"))).await;
    place.my(&format!("CREATE TABLE m (id int PRIMARY KEY, v longtext, u datetime NOT NULL); INSERT INTO m SELECT seq, {}, '2024-01-01' FROM seq_1_to_2", text("CONCAT(MD5(seq), MD5(seq+1), MD5(seq+2), MD5(seq+3), MD5(seq+4), MD5(seq+5), MD5(seq+6), MD5(seq+7), MD5(seq+8), MD5(seq+9))"))).await;
    place.configure(&["t: { cursor: u }"], &["m: { cursor: u }"], "");
    for table in ["t", "m"] {
        let (ran, peak_kib) = place.run_measured(&["sync", "--json", table]).await;
        assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
        let report = ran.reports().remove(0);
        assert_eq!((report.rows, report.bytes > 2 * BYTES as u64), (2, true), "{report:?}");
        eprintln!("a row of {BYTES} bytes of {table}: peak memory {peak_kib} KiB");
        // the driver's row, ours as JSON in a buffer that doubles, what waits for the compressor, parts
        assert!(peak_kib * 1024 < 9 * BYTES as u64 + (64 << 20), "{peak_kib} KiB");
    }
}

async fn a_row_beyond_100_mb_is_a_reject() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
             INSERT INTO t VALUES (1, 'small', '2024-01-01'), (2, repeat('x', 101000000), '2024-01-01'), (3, 'small', '2024-01-01')")
        .await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let (ran, peak_kib) = place.run_measured(&["sync", "--json", "t"]).await;
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let report = ran.reports().remove(0);
    assert_eq!((report.rows, report.rejected, report.rejects.len()), (2, 1, 1), "{report:?}");
    assert_eq!(
        (report.findings[0].column.as_str(), report.findings[0].first_key.as_slice()),
        ("", &["2".to_owned()][..])
    );
    let name = report.rejects[0].strip_prefix(&format!("gs://{}/", place.bucket())).unwrap();
    let line = place.text(name).await.unwrap();
    assert!(line.starts_with("{\"reason\":\"the row has more than 100000000 bytes as JSON\""), "{}", &line[..200]);
    assert!(line.len() < 2 << 20, "{} bytes", line.len());
    eprintln!("a row of 101,000,000 bytes that is rejected: peak memory {peak_kib} KiB");
    assert!(peak_kib * 1024 < 4 * 101_000_000, "{peak_kib} KiB");
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "2");
}
