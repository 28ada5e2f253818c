//! Every case of `tests/types/*.tsv` and every override of a type: what arrived is equal, by each policy; what did not
//! arrive is named; and every column that is not compared is listed.
//!
//! Each case is a column, and a row in which it alone has a value.

use highwater::report::{VerifyOutcome, VerifyReport};

use crate::cases::EMULATOR_CANNOT;
use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![postgres_every_type, mariadb_every_type, postgres_overridden_types, mariadb_overridden_types]
}

/// Name, declared type, expression, BigQuery type.
type Case = [String; 4];

fn cases(file: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(format!("{}/tests/types/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let case = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        [0, 1, 2, 3].map(|at| fields[at].to_owned())
    };
    lines.map(case).filter(|case| !EMULATOR_CANNOT.contains(&case[0].as_str())).collect()
}

/// Types that are listed and not compared.
fn is_listed(case: &Case) -> bool {
    ["FLOAT64", "JSON"].contains(&case[3].as_str())
}

fn listed(report: &VerifyReport) -> Vec<&str> {
    let mut columns: Vec<&str> = report.not_compared.iter().map(|left| left.column.as_str()).collect();
    columns.sort_unstable();
    columns
}

/// A table of the cases' columns, a row for each.
fn filled(cases: &[Case], table: &str, quote: char, null: &str) -> String {
    let columns: Vec<String> = cases.iter().map(|[name, ty, ..]| format!("{quote}{name}{quote} {ty}{null}")).collect();
    let create = format!("CREATE TABLE {table} (id int PRIMARY KEY, seen timestamp NOT NULL, {})", columns.join(", "));
    let insert = cases.iter().enumerate().map(|(id, [name, _, value, _])| {
        format!("; INSERT INTO {table} (id, seen, {quote}{name}{quote}) VALUES ({id}, '2026-01-01', {value})")
    });
    create + &insert.collect::<String>()
}

/// Each policy's table is equal to its source, and a value that is taken away is missed wherever it is compared.
async fn every_type(place: &Place, cases: &[Case]) {
    let mut expected: Vec<&str> = cases.iter().filter(|case| is_listed(case)).map(|case| case[0].as_str()).collect();
    expected.sort_unstable();
    for table in ["by_null", "by_clamp", "by_reject"] {
        place.sync(&[table]).await;
        let report = place.assert_equal(&[table]).await;
        assert_eq!(listed(&report), expected, "{table}");
        assert!(report.target_rows > 40, "{table}: {} rows", report.target_rows);
    }
    let mut planted = Vec::new();
    for (id, case) in cases.iter().enumerate().filter(|(_, case)| !is_listed(case)) {
        let name = &case[0];
        let there =
            place.bq_one(&format!("SELECT CAST(COUNT(`{name}`) AS STRING) FROM {{d}}.by_null WHERE id = {id}")).await;
        if there == "1" {
            // a serial is REQUIRED
            let other = if name == "bigserial" { "-1" } else { "NULL" };
            place.bq(&format!("UPDATE {{d}}.by_null SET `{name}` = {other} WHERE id = {id}")).await;
            planted.push(id.to_string());
        }
    }
    let (code, report) = place.verify(&["by_null"]).await;
    let mut named: Vec<String> = report.keys.iter().map(|key| key.key[0].clone()).collect();
    named.sort_by_key(|id| id.parse::<usize>().unwrap());
    assert_eq!((code, named), (1, planted));
    let (code, report) = place.verify(&["by_null", "--repair"]).await;
    assert_eq!((code, report.outcome), (0, VerifyOutcome::Repaired), "{report:?}");
    place.assert_equal(&["by_null"]).await;
}

const POLICIES: [&str; 3] = [
    "by_null: { cursor: seen }",
    "by_clamp: { cursor: seen, unrepresentable: clamp }",
    "by_reject: { cursor: seen, unrepresentable: reject }",
];

async fn postgres_every_type() {
    let place = Place::new().await;
    let cases = cases("postgres.tsv");
    place
        .pg("CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
             CREATE TYPE mood AS ENUM ('sad','ok'); CREATE DOMAIN posint AS int CHECK (value > 0);
             CREATE TYPE addr AS (street text, zip int)")
        .await;
    // the emulator's BIGNUMERIC does not hold the end of BigQuery's
    let (beyond, clamped): (Vec<Case>, Vec<Case>) =
        cases.iter().cloned().partition(|case| case[0] == "numeric_free_overflow");
    assert_eq!(beyond.len(), 1);
    for (table, cases) in [("by_null", &cases), ("by_clamp", &clamped), ("by_reject", &cases)] {
        place.pg(&filled(cases, table, '"', "")).await;
    }
    place.configure(&POLICIES, &[], "");
    every_type(&place, &cases).await;
}

async fn mariadb_every_type() {
    let place = Place::new().await;
    let cases = cases("mysql.tsv");
    for table in ["by_null", "by_clamp", "by_reject"] {
        let sql = filled(&cases, table, '`', " NULL");
        place.my(&format!("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'; {sql}")).await;
    }
    place.configure(&[], &POLICIES, "");
    every_type(&place, &cases).await;
}

/// What both databases are overridden with.
const OVERRIDDEN: &str = "{ cursor: seen, hash: [h_text, h_bytes, h_number], hash_salt: 'a|b''c', \
    naive_timestamps: { as: timestamp, timezone: Europe/Berlin }, unrepresentable: clamp, \
    types: { whole: INT64, small: NUMERIC, exact: BIGNUMERIC, truth: BOOL, text_of: STRING, day: TIMESTAMP, at: DATETIME, \
    raw: BYTES, digits: NUMERIC } }";

async fn postgres_overridden_types() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, seen timestamptz NOT NULL, h_text text, h_bytes bytea, h_number numeric(8,3),
               civil timestamp, whole numeric(20,4), small int, exact int8, truth int, text_of numeric(9,4), day date, at timestamptz,
               raw text, digits numeric(100,2), pad char(5), one timestamp(0));
             INSERT INTO t SELECT i, '2026-01-01', CASE WHEN i % 5 > 0 THEN 'naïve' || i END, decode(lpad(to_hex(i), 4, '0'), 'hex'), i / 8.0,
               timestamp '2026-10-25 00:15:00.5' + i * interval '10 min', i / 4.0, i, -i, i % 4, i / 16.0, date '2026-01-01' + i,
               timestamptz '2026-06-01 12:00:00+00' + i * interval '1 s', 'r☃' || i, 10.0 ^ i, 'p' || i % 10, '2026-03-29 02:30:00' FROM generate_series(1, 60) i;
             INSERT INTO t (id, seen, civil, day) VALUES (100, '2026-01-01', 'infinity', '-infinity'), (101, '2026-01-01', '2026-03-29 02:30:00', 'infinity')")
        .await;
    place.configure(&[&format!("t: {OVERRIDDEN}")], &[], "");
    place.sync(&["t"]).await;
    let report = place.assert_equal(&["t"]).await;
    assert_eq!(listed(&report), Vec::<&str>::new());
    for (id, column) in [(3, "h_text"), (4, "civil"), (6, "whole"), (7, "day"), (8, "at"), (9, "raw"), (11, "text_of")]
    {
        place.bq(&format!("UPDATE {{d}}.t SET {column} = NULL WHERE id = {id}")).await;
    }
    let (_, report) = place.verify(&["t", "--repair"]).await;
    assert_eq!((report.outcome, report.keys.len()), (VerifyOutcome::Repaired, 7), "{report:?}");
    place.assert_equal(&["t"]).await;
}

async fn mariadb_overridden_types() {
    let place = Place::new().await;
    place
        .my("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00';
             CREATE TABLE t (id int PRIMARY KEY, seen timestamp(3) NOT NULL, h_text text, h_bytes varbinary(9), h_number decimal(8,3),
               civil datetime(1) NULL, whole decimal(20,4), small int, exact bigint unsigned, truth int, text_of decimal(9,4), day date, at timestamp(6) NULL,
               raw text, digits decimal(60,2), flag tinyint(1), zeros int(9) zerofill, span time(2));
             INSERT INTO t SELECT seq, '2026-01-01', IF(seq % 5, concat('naïve', seq), NULL), unhex(lpad(hex(seq), 4, '0')), seq / 8,
               timestamp('2026-10-25 00:15:00.5') + INTERVAL seq * 10 MINUTE, seq / 4, seq, seq, seq % 4, seq / 16, date '2026-01-01' + INTERVAL seq DAY,
               timestamp('2026-06-01 12:00:00') + INTERVAL seq SECOND, concat('r☃', seq), pow(10, seq % 40), seq % 3, seq, sec_to_time(CAST(seq AS SIGNED) * 5000 - 9000) FROM seq_1_to_60;
             INSERT INTO t (id, seen, civil, day) VALUES (100, '2026-01-01', '0000-00-00', '2024-02-31'), (101, '2026-01-01', '2024-05-00 01:02:03.4', '0000-00-00')")
        .await;
    place.configure(&[], &[&format!("t: {OVERRIDDEN}")], "");
    place.sync(&["t"]).await;
    let report = place.assert_equal(&["t"]).await;
    assert_eq!(listed(&report), Vec::<&str>::new());
    for (id, column) in [(3, "h_text"), (4, "civil"), (6, "whole"), (7, "day"), (8, "at"), (9, "raw"), (11, "zeros")] {
        place.bq(&format!("UPDATE {{d}}.t SET {column} = NULL WHERE id = {id}")).await;
    }
    let (_, report) = place.verify(&["t", "--repair"]).await;
    assert_eq!((report.outcome, report.keys.len()), (VerifyOutcome::Repaired, 7), "{report:?}");
    place.assert_equal(&["t"]).await;
}
