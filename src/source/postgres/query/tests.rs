//! The SQL of reads, to the letter.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::mapping::postgres::{Facts, Operators, column};
use crate::model::{Bound, Position};
use crate::source::Range;

const ALL: Range<'static> =
    Range { after: None, from: None, ceiling: None, until: None, nulls: Nulls::Any, keys: None };

fn of_type(name: &str, type_name: &str, cast: &str) -> Facts {
    Facts {
        name: name.to_owned(),
        source_type: cast.to_owned(),
        nullable: true,
        comment: None,
        type_name: type_name.to_owned(),
        type_schema: "pg_catalog".to_owned(),
        extension: None,
        kind: 'b',
        array: false,
        modifier: -1,
        cast: cast.to_owned(),
        operators: None,
    }
}

/// `id bigint, updated timestamptz, "we""ird" text, tags integer[], tag public.citext`
pub(super) fn columns() -> Vec<Column> {
    let names = ["<", "<=", "=", ">=", ">"].map(str::to_owned);
    let operators = Some(Box::new(Operators { schema: "public".to_owned(), names }));
    let citext = of_type("tag", "citext", "public.citext");
    vec![
        column(of_type("id", "int8", "bigint")),
        column(of_type("updated", "timestamptz", "timestamp with time zone")),
        column(of_type("we\"ird", "text", "text")),
        column(Facts { array: true, ..of_type("tags", "_int4", "integer[]") }),
        column(Facts { type_schema: "public".to_owned(), operators, ..citext }),
    ]
}

fn built(cursor: Option<usize>, key: &[usize], range: Range<'_>) -> Result<Built, SourceError> {
    let table = SourceTable { schema: Some("s".to_owned()), name: "t\"x".to_owned() };
    let columns = columns();
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let rows_max = if key.is_empty() { None } else { Some(10) };
    build(&ReadQuery {
        table: &table,
        columns: &columns,
        names: &names,
        cursor,
        key,
        range,
        rows_max,
        bytes_max: None,
        rejects_max: 0,
        filter: None,
        partition: None,
    })
}

/// The SQL after FROM, and the parameters' texts.
fn tail(cursor: Option<usize>, key: &[usize], range: Range<'_>) -> (String, Vec<String>) {
    let built = built(cursor, key, range).unwrap();
    let (_, tail) = built.sql.split_once(" FROM \"s\".\"t\"\"x\" AS t").unwrap();
    (tail.to_owned(), built.params.into_iter().map(|param| param.value).collect())
}

fn position(cursor: Option<&str>, key: &[&str]) -> Position {
    Position { cursor: cursor.map(str::to_owned), key: key.iter().map(|value| (*value).to_owned()).collect() }
}

#[test]
fn without_a_key_rows_come_in_any_order() {
    let built = built(None, &[], ALL).unwrap();
    assert_eq!(
        built.sql,
        "SELECT t.\"id\", t.\"updated\", t.\"we\"\"ird\", pg_catalog.to_json(t.\"tags\")::text, t.\"tag\"::text \
         FROM \"s\".\"t\"\"x\" AS t"
    );
    assert!(built.key.is_empty() && built.cursor.is_none());
}

#[test]
fn a_first_read_leaves_null_cursors_out() {
    let (sql, params) = tail(Some(1), &[0], Range { nulls: Nulls::Skip, ..ALL });
    assert_eq!(sql, " WHERE t.\"updated\" IS NOT NULL ORDER BY t.\"updated\", t.\"id\" LIMIT 10");
    assert!(params.is_empty());
}

#[test]
fn later_reads_compare_rows() {
    let after = position(Some("2026-01-01T00:00:00Z"), &["42"]);
    let ceiling = Bound { value: "2026-02-01T00:00:00Z".to_owned(), inclusive: false };
    let range = Range { after: Some(&after), ceiling: Some(&ceiling), nulls: Nulls::Skip, ..ALL };
    let (sql, params) = tail(Some(1), &[0], range);
    assert_eq!(
        sql,
        " WHERE t.\"updated\" < $1::text::timestamp with time zone AND (t.\"updated\", t.\"id\") > \
         ($2::text::timestamp with time zone, $3::text::bigint) ORDER BY t.\"updated\", t.\"id\" LIMIT 10"
    );
    assert_eq!(params, ["2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z", "42"]);
}

#[test]
fn bounds_are_inclusive_where_asked() {
    let ceiling = Bound { value: "9".to_owned(), inclusive: true };
    let range =
        Range { from: Some("1"), ceiling: Some(&ceiling), nulls: Nulls::Skip, after: None, until: None, keys: None };
    let (sql, params) = tail(Some(0), &[0], range);
    let want = " WHERE t.\"id\" >= $1::text::bigint AND t.\"id\" <= $2::text::bigint ORDER BY t.\"id\" LIMIT 10";
    assert_eq!((sql.as_str(), params.len()), (want, 2));
}

#[test]
fn a_cursor_within_the_key_comes_first_and_once() {
    let after = position(Some("5"), &["a", "5"]);
    let (sql, params) = tail(Some(0), &[2, 0], Range { after: Some(&after), nulls: Nulls::Skip, ..ALL });
    assert_eq!(
        sql,
        " WHERE (t.\"id\", t.\"we\"\"ird\") > ($1::text::bigint, $2::text::text) ORDER BY t.\"id\", t.\"we\"\"ird\" LIMIT 10"
    );
    assert_eq!(params, ["5", "a"]);
    let built = built(Some(0), &[2, 0], Range { nulls: Nulls::Skip, ..ALL }).unwrap();
    assert_eq!(built.cursor.map(|slot| slot.index), Some(0));
    assert_eq!(built.key.iter().map(|slot| slot.index).collect::<Vec<_>>(), [2, 0]);
}

#[test]
fn null_cursors_are_read_in_order_of_the_key() {
    let after = position(None, &["42"]);
    let (sql, params) = tail(Some(1), &[0], Range { after: Some(&after), nulls: Nulls::Only, ..ALL });
    assert_eq!(sql, " WHERE t.\"updated\" IS NULL AND t.\"id\" > $1::text::bigint ORDER BY t.\"id\" LIMIT 10");
    assert_eq!(params, ["42"]);
}

#[test]
fn a_type_with_operators_of_its_own_is_compared_by_them() {
    let after = position(None, &["Ab", "42"]);
    let (sql, _) = tail(None, &[4, 0], Range { after: Some(&after), ..ALL });
    assert_eq!(
        sql,
        " WHERE t.\"tag\" OPERATOR(\"public\".>=) $1::text::public.citext AND \
         (t.\"tag\" OPERATOR(\"public\".>) $1::text::public.citext OR \
         (t.\"tag\" OPERATOR(\"public\".=) $1::text::public.citext AND t.\"id\" > $2::text::bigint)) \
         ORDER BY t.\"tag\", t.\"id\" LIMIT 10"
    );
}

#[test]
fn a_value_whose_json_cannot_be_bound_is_selected_again() {
    let built = built(None, &[3], ALL).unwrap();
    assert!(built.sql.contains(", t.\"tag\"::text, t.\"tags\"::text FROM"), "{}", built.sql);
    assert_eq!(built.key, [Slot { index: 5, codec: PgCodec::Text, column: 3 }]);
}

#[test]
fn positions_of_another_shape_are_refused() {
    let short = position(Some("2026-01-01T00:00:00Z"), &[]);
    let without_cursor = position(None, &["42"]);
    for after in [&short, &without_cursor] {
        let range = Range { after: Some(after), nulls: Nulls::Skip, ..ALL };
        assert!(matches!(built(Some(1), &[0], range), Err(SourceError::BadPosition { .. })));
    }
}

#[test]
fn the_greatest_cursor_needs_no_max() {
    let table = SourceTable { schema: None, name: "t".to_owned() };
    let (sql, slot) = max_cursor(&table, &columns()[0]).unwrap();
    assert_eq!(
        sql,
        "SELECT t.\"id\" FROM \"public\".\"t\" AS t WHERE t.\"id\" IS NOT NULL ORDER BY t.\"id\" DESC LIMIT 1"
    );
    assert_eq!(slot.codec, PgCodec::Int8);
    assert_eq!(
        count_nulls(&table, &columns()[1], None),
        "SELECT count(*) FROM \"public\".\"t\" AS t WHERE t.\"updated\" IS NULL"
    );
}

#[test]
fn ranges_of_keys_and_where_they_end() {
    let (after, until) = (position(None, &["7", "a"]), position(None, &["9", "b"]));
    let ceiling = Bound { value: "2026-02-01".to_owned(), inclusive: true };
    let range =
        Range { after: Some(&after), until: Some(&until), ceiling: Some(&ceiling), nulls: Nulls::SkipByKey, ..ALL };
    let (sql, params) = tail(Some(1), &[0, 2], range);
    assert_eq!(
        sql,
        " WHERE t.\"updated\" <= $1::text::timestamp with time zone AND (t.\"id\", t.\"we\"\"ird\") > \
         ($2::text::bigint, $3::text::text) AND (t.\"id\", t.\"we\"\"ird\") <= ($4::text::bigint, $5::text::text) \
         ORDER BY t.\"id\", t.\"we\"\"ird\" LIMIT 10"
    );
    assert_eq!(params, ["2026-02-01", "7", "a", "9", "b"]);
    // an extension's type by its own operators
    let until = position(None, &["x", "9"]);
    let range = Range { until: Some(&until), nulls: Nulls::SkipByKey, ..ALL };
    let (sql, _) = tail(None, &[4, 0], range);
    assert_eq!(
        sql,
        " WHERE t.\"tag\" OPERATOR(\"public\".<=) $1::text::public.citext AND (t.\"tag\" OPERATOR(\"public\".<) \
         $1::text::public.citext OR (t.\"tag\" OPERATOR(\"public\".=) $1::text::public.citext AND t.\"id\" <= \
         $2::text::bigint)) ORDER BY t.\"tag\", t.\"id\" LIMIT 10"
    );
}

#[test]
fn a_position_is_looked_up_without_reading_rows() {
    let table = SourceTable { schema: None, name: "t".to_owned() };
    let columns = columns();
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let ceiling = Bound { value: "9".to_owned(), inclusive: false };
    let query = ReadQuery {
        table: &table,
        columns: &columns,
        names: &names,
        cursor: Some(1),
        key: &[0],
        range: Range { ceiling: Some(&ceiling), nulls: Nulls::Skip, ..ALL },
        rows_max: None,
        bytes_max: None,
        rejects_max: 0,
        filter: Some("x > 1"),
        partition: None,
    };
    let last = build_position(&query, Place::Last).unwrap();
    let (_, sql) = last.sql.split_once(" FROM ").unwrap();
    assert_eq!(
        sql,
        "\"public\".\"t\" AS t WHERE t.\"updated\" < $1::text::timestamp with time zone AND (x > 1\n) \
         ORDER BY t.\"updated\" DESC, t.\"id\" DESC LIMIT 1 OFFSET 0"
    );
    assert_eq!((last.cursor.unwrap().index, last.key[0].index), (0, 1));
    let by_key = ReadQuery { range: Range { nulls: Nulls::SkipByKey, ..query.range }, ..query };
    let end = build_position(&by_key, Place::After(41)).unwrap();
    assert!(end.sql.ends_with("ORDER BY t.\"id\" LIMIT 1 OFFSET 41") && end.cursor.is_none(), "{}", end.sql);
}
