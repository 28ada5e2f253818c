//! Looks around in `information_schema`.

use super::MySqlSession;
use super::query::Statement;
use super::stream::{fetch, text};
use crate::mapping::mysql::Param;
use crate::model::{Listed, SourceTable, TableKind};
use crate::net::Context;
use crate::source::survey::{LISTED_MAX, Survey, too_many};
use crate::source::{CATALOG_MAX, SourceError};

const LISTING: &str = "listing the tables";

/// The size is not asked for: it makes some servers open every table.
const TABLES: &str = "\
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.tables \
WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') \
    AND TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')";

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
}
