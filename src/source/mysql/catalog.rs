//! Reads a table's columns, keys and size from `information_schema`.
//!
//! Names are compared there without regard to case on some servers and with it on others: the table is looked up by
//! name first, and everything else by the name that the server gave.

use sqlx::mysql::MySqlRow;

use super::query::{Statement, probe};
use super::stream::{fetch, text, try_fetch};
use super::{MySqlSession, error};
use crate::mapping::Column;
use crate::mapping::mysql::{CatalogColumn, Dialect, Ident, Param, QualifiedTable, column};
use crate::model::{Derivation, Derived, Indexing, SourceTable, TableKind, nearest};
use crate::net::Context;
use crate::source::{CATALOG_MAX, Description, SourceError};

const WHAT: &str = "reading the catalog";
/// The most tables that a misspelled name is compared with.
const NAMES_MAX: usize = 10_000;
/// Most names of similar tables in an error.
const SIMILAR_MAX: usize = 3;

const TABLE: &str = "\
SELECT TABLE_NAME, TABLE_TYPE, TABLE_COMMENT, CAST(TABLE_ROWS AS CHAR) FROM information_schema.tables \
WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?";

const COLUMNS: &str = "\
SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, CAST(NUMERIC_PRECISION AS CHAR), \
    CAST(NUMERIC_SCALE AS CHAR), CAST(DATETIME_PRECISION AS CHAR), COLUMN_COMMENT, EXTRA, GENERATION_EXPRESSION \
FROM information_schema.columns WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";

/// An index on a prefix keeps whole values unique too. One on an expression has parts without a column.
const UNIQUE: &str = "\
SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME FROM information_schema.statistics \
WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX";

const CHECKS: &str = "\
SELECT TABLE_NAME, CHECK_CLAUSE FROM information_schema.check_constraints \
WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ?";

/// Describes the table.
pub(super) async fn describe(
    session: &mut MySqlSession,
    cx: &Context,
    table: &SourceTable,
) -> Result<Description, SourceError> {
    let database = session.qualified(table).database.to_owned();
    let found = lookup(session, cx, &database, table, TABLE).await?;
    let Some(head) = found.first() else { return Err(absent(session, cx, table, &database).await) };
    let rows = lookup(session, cx, &database, table, COLUMNS).await?;
    let checked = match session.dialect {
        Dialect::MariaDb => checked_json(&lookup(session, cx, &database, table, CHECKS).await?, &rows),
        Dialect::MySql { .. } => Vec::new(),
    };
    let columns: Vec<Column> = rows
        .iter()
        .map(|row| {
            let facts = facts(row);
            let checked_json = checked.contains(&facts.name);
            column(&CatalogColumn { checked_json, ..facts }, session.dialect)
        })
        .collect();
    let (primary_key, unique_keys) = keys(&lookup(session, cx, &database, table, UNIQUE).await?);
    may_read(session, cx, table, &columns).await?;
    let hides_some = hides_some(session, cx, table).await?;
    let is_view = text(head, 1).is_some_and(|kind| kind.contains("VIEW"));
    Ok(Description {
        name: text(head, 0).unwrap_or_default(),
        kind: if is_view { TableKind::View } else { TableKind::Table },
        indexing: if is_view { Indexing::Never } else { Indexing::Beside },
        columns,
        hidden: Vec::new(),
        hides_some,
        primary_key,
        unique_keys,
        // the server fills a view's comment with the word VIEW
        comment: text(head, 2).filter(|comment| !comment.is_empty() && !is_view),
        rows_estimate: text(head, 3).and_then(|rows| rows.parse().ok()),
        derived: rows.iter().filter_map(derived).collect(),
    })
}

/// The rows of a catalog query about the table, which is first in each; those of a table that differs by case only
/// where there is none of the very name.
async fn lookup(
    session: &mut MySqlSession,
    cx: &Context,
    database: &str,
    table: &SourceTable,
    sql: &str,
) -> Result<Vec<MySqlRow>, SourceError> {
    let params = vec![Param::Text(database.to_owned()), Param::Text(table.name.clone())];
    let statement = Statement { sql: sql.to_owned(), params };
    let rows = fetch(&mut session.conn, cx, CATALOG_MAX, WHAT, statement).await?;
    let exact = |row: &MySqlRow| text(row, 0).is_some_and(|name| name == table.name);
    if rows.iter().any(exact) {
        return Ok(rows.into_iter().filter(exact).collect());
    }
    Ok(rows)
}

fn facts(row: &MySqlRow) -> CatalogColumn {
    let word = |index| text(row, index).unwrap_or_default();
    CatalogColumn {
        name: word(1),
        data_type: word(2),
        column_type: word(3),
        nullable: word(4).eq_ignore_ascii_case("YES"),
        precision: word(5).parse().unwrap_or(0),
        scale: word(6).parse().unwrap_or(0),
        digits: word(7).parse().unwrap_or(0),
        comment: text(row, 8).filter(|comment| !comment.is_empty()),
        checked_json: false,
    }
}

/// What the server says of a column that it makes itself. An expression is NULL or empty where there is none.
fn derived(row: &MySqlRow) -> Option<Derived> {
    let extra = text(row, 9).unwrap_or_default();
    let how = match text(row, 10).filter(|expression| !expression.is_empty()) {
        Some(expression) => Derivation::Expression(expression),
        None if extra.to_ascii_lowercase().contains("on update") => Derivation::OnUpdate,
        None => return None,
    };
    Some(Derived { column: text(row, 1)?, how })
}

/// Names of the columns for which a check promises `json_valid`.
fn checked_json(checks: &[MySqlRow], columns: &[MySqlRow]) -> Vec<String> {
    let clauses: Vec<String> = checks.iter().filter_map(|row| text(row, 1)).collect();
    let names = columns.iter().filter_map(|row| text(row, 1));
    names.filter(|name| clauses.iter().any(|clause| promises_json(clause, name))).collect()
}

fn promises_json(clause: &str, column: &str) -> bool {
    let promise = format!("json_valid({})", Ident(column));
    let rest = clause.trim().strip_prefix(promise.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" and "))
}

/// The primary key's columns, and those of the other unique indexes.
fn keys(rows: &[MySqlRow]) -> (Vec<String>, Vec<Vec<String>>) {
    let parts = rows.iter().map(|row| (text(row, 1).unwrap_or_default(), text(row, 2)));
    group(parts)
}

fn group(parts: impl Iterator<Item = (String, Option<String>)>) -> (Vec<String>, Vec<Vec<String>>) {
    let mut indexes: Vec<(String, Option<Vec<String>>)> = Vec::new();
    for (index, column) in parts {
        if indexes.last().is_none_or(|(last, _)| *last != index) {
            indexes.push((index, Some(Vec::new())));
        }
        let Some((_, columns)) = indexes.last_mut() else { continue };
        *columns = columns.take().zip(column).map(|(mut columns, column)| {
            columns.push(column);
            columns
        });
    }
    let (mut primary, mut unique) = (Vec::new(), Vec::new());
    for (index, columns) in indexes {
        match columns {
            Some(columns) if index == "PRIMARY" => primary = columns,
            Some(columns) => unique.push(columns),
            None => {}
        }
    }
    (primary, unique)
}

/// Looks at every right and every expression before anything is written anywhere.
async fn may_read(
    session: &mut MySqlSession,
    cx: &Context,
    table: &SourceTable,
    columns: &[Column],
) -> Result<(), SourceError> {
    let statement = probe(session.qualified(table), columns)?;
    let answer = try_fetch(&mut session.conn, cx, CATALOG_MAX, WHAT, statement).await?;
    answer.map(drop).map_err(|cause| error::reading(WHAT, &table.to_string(), cause))
}

/// Whether the table has columns that the user has no right to: the catalog shows those that it has alone.
async fn hides_some(session: &mut MySqlSession, cx: &Context, table: &SourceTable) -> Result<bool, SourceError> {
    let statement = Statement::plain(format!("SELECT * FROM {} LIMIT 0", session.qualified(table)));
    match try_fetch(&mut session.conn, cx, CATALOG_MAX, WHAT, statement).await? {
        Ok(_no_rows) => Ok(false),
        Err(cause) => match error::server(&cause).map(|said| said.number()) {
            Some(number) if error::DENIED_COLUMN.contains(&number) => Ok(true),
            Some(_) | None => Err(error::reading(WHAT, &table.to_string(), cause)),
        },
    }
}

/// Why the catalog does not show the table: it hides what the user has no right to.
async fn absent(session: &mut MySqlSession, cx: &Context, table: &SourceTable, database: &str) -> SourceError {
    match try_probe(session, cx, table).await {
        Ok(Some(cause)) => match error::server(&cause).map(|said| said.number()) {
            Some(number) if error::NO_TABLE.contains(&number) => {}
            Some(_) | None => return error::reading(WHAT, &table.to_string(), cause),
        },
        Ok(None) => {}
        Err(interrupted) => return interrupted,
    }
    match names(session, cx, database).await {
        Ok(names) => SourceError::NoTable { table: table.to_string(), similar: similar(&table.name, &names) },
        Err(error) => error,
    }
}

async fn try_probe(
    session: &mut MySqlSession,
    cx: &Context,
    table: &SourceTable,
) -> Result<Option<sqlx::Error>, SourceError> {
    let QualifiedTable { database, table } = session.qualified(table);
    if database.is_empty() {
        return Ok(None);
    }
    let statement = probe(QualifiedTable { database, table }, &[])?;
    Ok(try_fetch(&mut session.conn, cx, CATALOG_MAX, WHAT, statement).await?.err())
}

async fn names(session: &mut MySqlSession, cx: &Context, database: &str) -> Result<Vec<String>, SourceError> {
    let sql = format!("SELECT TABLE_NAME FROM information_schema.tables WHERE TABLE_SCHEMA = ? LIMIT {NAMES_MAX}");
    let statement = Statement { sql, params: vec![Param::Text(database.to_owned())] };
    let rows = fetch(&mut session.conn, cx, CATALOG_MAX, WHAT, statement).await?;
    Ok(rows.iter().filter_map(|row| text(row, 0)).collect())
}
/// Names that are near, the nearest first.
fn similar(name: &str, names: &[String]) -> Vec<String> {
    nearest(name, names.iter().map(|other| (other.as_str(), other.clone())), SIMILAR_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_the_best_first() {
        let names = ["invoices", "invoice_items", "customers", "Invoice", "x"].map(str::to_owned);
        assert_eq!(similar("invoces", &names), ["invoices", "Invoice"]);
    }

    #[test]
    fn checks_that_promise_json() {
        assert!(promises_json("json_valid(`a``b`)", "a`b"));
        assert!(promises_json("json_valid(`a`) and `a` <> ''", "a"));
        assert!(!promises_json("json_valid(`a`) or `a` = ''", "a"));
        assert!(!promises_json("json_valid(`b`)", "a"));
    }

    #[test]
    fn indexes_on_expressions_are_no_keys() {
        let part = |index: &str, column: Option<&str>| (index.to_owned(), column.map(str::to_owned));
        let parts = [
            part("PRIMARY", Some("a")),
            part("PRIMARY", Some("b")),
            part("u", Some("c")),
            part("v", Some("d")),
            part("v", None),
            part("w", Some("e")),
        ];
        let (primary, unique) = group(parts.into_iter());
        assert_eq!(primary, ["a", "b"]);
        assert_eq!(unique, [vec!["c".to_owned()], vec!["e".to_owned()]]);
    }
}
