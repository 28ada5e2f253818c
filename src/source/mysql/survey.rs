//! Looks around in `information_schema`.

use std::collections::{BTreeSet, HashMap};

use super::MySqlSession;
use super::query::Statement;
use super::stream::{fetch, text};
use crate::mapping::mysql::Param;
use crate::model::{Hints, Listed, SourceTable, TableKind};
use crate::net::Context;
use crate::source::survey::{LISTED_MAX, Survey, too_many};
use crate::source::{CATALOG_MAX, SourceError};

const LISTING: &str = "listing the tables";
const SIZING: &str = "reading estimates of rows";
const HINTING: &str = "reading indexes and defaults";

/// The size is not asked for: it makes some servers open every table.
const TABLES: &str = "\
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.tables \
WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') \
    AND TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')";

const SIZES: &str = "\
SELECT TABLE_SCHEMA, TABLE_NAME, CAST(TABLE_ROWS AS CHAR) FROM information_schema.tables \
WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND TABLE_SCHEMA IN";

/// An index on an expression has parts without a column, one on a prefix serves no order.
const INDEXES: &str = "\
SELECT INDEX_NAME, IF(SUB_PART IS NULL, COLUMN_NAME, NULL) FROM information_schema.statistics \
WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND INDEX_TYPE = 'BTREE' ORDER BY INDEX_NAME, SEQ_IN_INDEX";

const EXTRAS: &str = "\
SELECT COLUMN_NAME, EXTRA FROM information_schema.columns \
WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND EXTRA <> '' ORDER BY ORDINAL_POSITION";

impl Survey for MySqlSession {
    async fn list(&mut self, cx: &Context, schema: Option<&str>) -> Result<Vec<Listed>, SourceError> {
        let only = if schema.is_some() { " AND TABLE_SCHEMA = ?" } else { "" };
        let sql = format!("{TABLES}{only} ORDER BY TABLE_SCHEMA, TABLE_NAME LIMIT {}", LISTED_MAX + 1);
        let params = schema.map(|schema| Param::Text(schema.to_owned())).into_iter().collect();
        let rows = fetch(&mut self.conn, cx, CATALOG_MAX, LISTING, Statement { sql, params }).await?;
        if rows.len() > LISTED_MAX {
            return Err(too_many(LISTING));
        }
        let word = |row, index| text(row, index).unwrap_or_default();
        let listed = |row| Listed {
            table: SourceTable {
                schema: Some(word(row, 0)).filter(|schema| *schema != self.database),
                name: word(row, 1),
            },
            kind: if word(row, 2) == "VIEW" { TableKind::View } else { TableKind::Table },
        };
        Ok(rows.iter().map(listed).collect())
    }

    async fn sizes(&mut self, cx: &Context, tables: &[SourceTable]) -> Result<Vec<Option<u64>>, SourceError> {
        let schema = |table: &SourceTable| table.schema.clone().unwrap_or_else(|| self.database.clone());
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let of: Vec<String> = tables.iter().map(schema).collect();
        let schemas: BTreeSet<String> = of.iter().cloned().collect();
        let places = vec!["?"; schemas.len()].join(", ");
        let sql = format!("{SIZES} ({places}) LIMIT {LISTED_MAX}");
        let params = schemas.into_iter().map(Param::Text).collect();
        let rows = fetch(&mut self.conn, cx, CATALOG_MAX, SIZING, Statement { sql, params }).await?;
        let word = |row, index| text(row, index).unwrap_or_default();
        let size = |row| ((word(row, 0), word(row, 1)), text(row, 2).and_then(|rows| rows.parse::<u64>().ok()));
        let sized: HashMap<(String, String), Option<u64>> = rows.iter().map(size).collect();
        let names = of.into_iter().zip(tables.iter().map(|table| table.name.clone()));
        Ok(names.map(|name| *sized.get(&name)?).collect())
    }

    async fn hints(&mut self, cx: &Context, table: &SourceTable) -> Result<Hints, SourceError> {
        let database = self.qualified(table).database.to_owned();
        let statement = |sql: &str| Statement {
            sql: sql.to_owned(),
            params: vec![Param::Text(database.clone()), Param::Text(table.name.clone())],
        };
        let indexes = fetch(&mut self.conn, cx, CATALOG_MAX, HINTING, statement(INDEXES)).await?;
        let extras = fetch(&mut self.conn, cx, CATALOG_MAX, HINTING, statement(EXTRAS)).await?;
        let with = |wanted: &str| {
            let has = |extra: String| extra.to_ascii_lowercase().contains(wanted);
            let rows = extras.iter().filter(|row| text(row, 1).is_some_and(has));
            rows.filter_map(|row| text(row, 0)).collect::<Vec<String>>()
        };
        Ok(Hints {
            indexes: leading(indexes.iter().map(|row| (text(row, 0).unwrap_or_default(), text(row, 1)))),
            generated: with("auto_increment"),
            touched: with("on update current_timestamp"),
        })
    }
}

/// The columns of each index up to the first part that is none.
fn leading(parts: impl Iterator<Item = (String, Option<String>)>) -> Vec<Vec<String>> {
    let mut indexes: Vec<(String, Vec<String>, bool)> = Vec::new();
    for (index, column) in parts {
        if indexes.last().is_none_or(|(last, ..)| *last != index) {
            indexes.push((index, Vec::new(), true));
        }
        let Some((_, columns, open)) = indexes.last_mut() else { continue };
        match column {
            Some(column) if *open => columns.push(column),
            Some(_) | None => *open = false,
        }
    }
    indexes.into_iter().map(|(_, columns, _)| columns).filter(|columns| !columns.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_count_up_to_what_is_no_column() {
        let part = |index: &str, column: Option<&str>| (index.to_owned(), column.map(str::to_owned));
        let parts =
            [part("a", Some("x")), part("a", None), part("a", Some("y")), part("b", None), part("c", Some("z"))];
        assert_eq!(leading(parts.into_iter()), [vec!["x".to_owned()], vec!["z".to_owned()]]);
    }
}
