//! The table `wide`: 20 columns of mixed types in both databases, and how its rows are compared with the target's.

use crate::support::place::Rows;

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
