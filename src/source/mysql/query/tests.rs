//! The statements, to the letter.

use super::*;
use crate::mapping::mysql::{CatalogColumn, Dialect, column};
use crate::model::SourceTable;
use crate::source::Range;

pub(super) const TABLE: QualifiedTable<'static> = QualifiedTable { database: "shop", table: "orders" };

pub(super) fn columns() -> Vec<Column> {
    let of = |name: &str, data_type: &str, column_type: &str, nullable| {
        let facts = CatalogColumn {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            column_type: column_type.to_owned(),
            nullable,
            precision: 10,
            scale: 2,
            ..CatalogColumn::default()
        };
        column(&facts, Dialect::MariaDb)
    };
    vec![
        of("id", "bigint", "bigint(20)", false),
        of("at", "datetime", "datetime", true),
        of("amount", "decimal", "decimal(10,2)", false),
        of("kind", "enum", "enum('a','b')", false),
    ]
}

struct Case<'a> {
    cursor: Option<usize>,
    key: &'a [usize],
    range: Range<'a>,
    rows_max: Option<u64>,
}

const ALL: Range<'static> =
    Range { after: None, from: None, ceiling: None, until: None, nulls: Nulls::Skip, keys: None };

fn built(case: &Case<'_>) -> Result<(String, Vec<Param>), SourceError> {
    let columns = columns();
    let table = SourceTable { schema: None, name: "orders".to_owned() };
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let query = ReadQuery {
        table: &table,
        columns: &columns[..],
        names: &names,
        cursor: case.cursor,
        key: case.key,
        range: case.range,
        rows_max: case.rows_max,
        bytes_max: None,
        rejects_max: 0,
        filter: None,
        partition: None,
    };
    let statement = rows(TABLE, &query)?;
    let tail =
        statement.sql.strip_prefix("SELECT `id`, `at`, `amount`, `kind` FROM `shop`.`orders`").map(str::to_owned);
    Ok((tail.unwrap_or(statement.sql), statement.params))
}

fn position(cursor: Option<&str>, key: &[&str]) -> Position {
    Position { cursor: cursor.map(str::to_owned), key: key.iter().map(|&text| text.to_owned()).collect() }
}

#[test]
fn everything_without_an_order() {
    let case = Case { cursor: None, key: &[], range: Range { nulls: Nulls::Any, ..ALL }, rows_max: None };
    assert_eq!(built(&case).ok(), Some((String::new(), vec![])));
}

#[test]
fn cursor_and_composite_key() {
    let after = position(Some("2026-01-01T00:00:00"), &["7", "1.50", "b"]);
    let ceiling = Bound { value: "2026-02-01".to_owned(), inclusive: false };
    let range = Range { after: Some(&after), ceiling: Some(&ceiling), ..ALL };
    let case = Case { cursor: Some(1), key: &[0, 2, 3], range, rows_max: Some(10) };
    let Ok((sql, params)) = built(&case) else { unreachable!("a good query") };
    let at = "CAST(? AS DATETIME(6))";
    let amount = "CAST(? AS DECIMAL(65,2))";
    assert_eq!(
        sql,
        format!(
            " WHERE `at` < {at} AND `at` >= {at} AND (`at` > {at} OR (`at` = {at} AND (`id` > ? OR (`id` = ? AND \
             (`amount` > {amount} OR (`amount` = {amount} AND ((`kind`+0) > ?))))))) \
             ORDER BY `at`, `id`, `amount`, `kind` LIMIT 10"
        )
    );
    assert_eq!(params.len(), 9);
    assert_eq!(params[4..6], [Param::Signed(7), Param::Signed(7)]);
    assert_eq!(params[8], Param::Unsigned(2));
}

#[test]
fn a_cursor_within_the_key_comes_once() {
    let after = position(Some("42"), &["42"]);
    let case = Case { cursor: Some(0), key: &[0], range: Range { after: Some(&after), ..ALL }, rows_max: None };
    assert_eq!(built(&case).ok(), Some((" WHERE `id` > ? ORDER BY `id`".into(), vec![Param::Signed(42)])));
}

#[test]
fn key_order_alone() {
    let after = position(None, &["1.00", "3"]);
    let range = Range { after: Some(&after), nulls: Nulls::Any, ..ALL };
    let case = Case { cursor: None, key: &[2, 0], range, rows_max: Some(5) };
    let amount = "CAST(? AS DECIMAL(65,2))";
    let expected = format!(
        " WHERE `amount` >= {amount} AND (`amount` > {amount} OR (`amount` = {amount} AND (`id` > ?))) \
         ORDER BY `amount`, `id` LIMIT 5"
    );
    assert_eq!(built(&case).ok().map(|built| built.0), Some(expected));
}

#[test]
fn nulls_are_left_out_or_alone() {
    let case = Case { cursor: Some(1), key: &[0], range: ALL, rows_max: None };
    assert_eq!(built(&case).ok().map(|built| built.0), Some(" WHERE `at` IS NOT NULL ORDER BY `at`, `id`".into()));
    let case = Case { cursor: Some(1), key: &[0], range: Range { from: Some("2026-01-01"), ..ALL }, rows_max: None };
    let bounded = " WHERE `at` >= CAST(? AS DATETIME(6)) ORDER BY `at`, `id`";
    assert_eq!(built(&case).ok().map(|built| built.0), Some(bounded.into()));
    let after = position(None, &["9"]);
    let range = Range { after: Some(&after), nulls: Nulls::Only, ..ALL };
    let case = Case { cursor: Some(1), key: &[0], range, rows_max: None };
    let only = " WHERE `at` IS NULL AND `id` > ? ORDER BY `id`";
    assert_eq!(built(&case).ok().map(|built| built.0), Some(only.into()));
}

#[test]
fn positions_that_do_not_fit() {
    for after in [position(Some("yesterday"), &["1"]), position(Some("2026-01-01"), &["x"]), position(None, &["1"])] {
        let case = Case { cursor: Some(1), key: &[0], range: Range { after: Some(&after), ..ALL }, rows_max: None };
        assert!(matches!(built(&case), Err(SourceError::BadPosition { .. })), "{after:?}");
    }
    let short = position(Some("2026-01-01"), &["1", "2"]);
    let case = Case { cursor: Some(1), key: &[0], range: Range { after: Some(&short), ..ALL }, rows_max: None };
    assert!(matches!(built(&case), Err(SourceError::BadPosition { .. })));
    let ceiling = Bound { value: "soon".to_owned(), inclusive: true };
    let case = Case { cursor: Some(1), key: &[0], range: Range { ceiling: Some(&ceiling), ..ALL }, rows_max: None };
    assert!(matches!(built(&case), Err(SourceError::BadPosition { what: "ceiling", .. })));
}

#[test]
fn ranges_of_keys_and_where_they_end() {
    let (after, until) = (position(None, &["7", "a"]), position(None, &["9", "b"]));
    let ceiling = Bound { value: "2026-02-01".to_owned(), inclusive: true };
    let range =
        Range { after: Some(&after), until: Some(&until), ceiling: Some(&ceiling), nulls: Nulls::SkipByKey, ..ALL };
    let case = Case { cursor: Some(1), key: &[0, 3], range, rows_max: Some(5) };
    let Ok((sql, params)) = built(&case) else { unreachable!("a good query") };
    assert_eq!(
        sql,
        " WHERE `at` <= CAST(? AS DATETIME(6)) AND `id` >= ? AND (`id` > ? OR (`id` = ? AND ((`kind`+0) > ?))) AND \
         `id` <= ? AND (`id` < ? OR (`id` = ? AND ((`kind`+0) <= ?))) ORDER BY `id`, `kind` LIMIT 5"
    );
    assert_eq!(params.len(), 9);
    // without a bound on the cursor, rows without one are left out by name
    let range = Range { until: Some(&until), nulls: Nulls::SkipByKey, ..ALL };
    let case = Case { cursor: Some(1), key: &[0, 3], range, rows_max: None };
    assert!(built(&case).is_ok_and(|(sql, _)| sql.starts_with(" WHERE `at` IS NOT NULL AND `id` <= ?")));
}

#[test]
fn a_position_is_looked_up_without_reading_rows() {
    let columns = columns();
    let table = SourceTable { schema: None, name: "orders".to_owned() };
    let query = ReadQuery {
        table: &table,
        columns: &columns[..],
        names: &[],
        cursor: Some(1),
        key: &[0],
        range: Range { from: Some("2026-01-01"), ..ALL },
        rows_max: None,
        bytes_max: None,
        rejects_max: 0,
        filter: None,
        partition: None,
    };
    let sql = |place, query: &ReadQuery<'_>| super::position(TABLE, query, place).map(|statement| statement.sql).ok();
    assert_eq!(
        sql(Place::Last, &query).as_deref(),
        Some(
            "SELECT `at`, `id` FROM `shop`.`orders` WHERE `at` >= CAST(? AS DATETIME(6)) ORDER BY `at` DESC, `id` DESC \
             LIMIT 1 OFFSET 0"
        )
    );
    let by_key = ReadQuery { range: Range { nulls: Nulls::SkipByKey, ..query.range }, ..query };
    assert!(sql(Place::After(41), &by_key).is_some_and(|sql| sql.ends_with("ORDER BY `id` LIMIT 1 OFFSET 41")));
}
