//! `EXPLAIN` of a read, and a count of its rows.

use serde_json::Value;

use super::query::Statement;
use super::{MySqlSession, error, query, stream};
use crate::mapping::mysql::{Dialect, Param};
use crate::model::{Explained, Sort};
use crate::net::{Context, Interrupted};
use crate::source::explain::{COUNT_MAX, Explain};
use crate::source::{CATALOG_MAX, ReadQuery, SourceError};

const EXPLAINING: &str = "asking how rows would be read";
const COUNTING: &str = "counting rows";
/// Slightly less than [`COUNT_MAX`]: the server gives up by itself, and does not go on for nobody. Milliseconds.
const COUNT_TIMEOUT_MYSQL: &str = "SET max_execution_time = 55000";
/// The same on MariaDB, seconds.
const COUNT_TIMEOUT_MARIADB: &str = "SET max_statement_time = 55";
/// The most nodes of a plan that are looked at.
const NODES_MAX: usize = 10_000;

/// The engine's estimate of a row's bytes.
const ROW_BYTES: &str = "\
SELECT CAST(AVG_ROW_LENGTH AS CHAR) FROM information_schema.tables WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?";

impl Explain for MySqlSession {
    async fn explain(&mut self, cx: &Context, query: &ReadQuery<'_>) -> Result<Explained, SourceError> {
        let statement = query::rows(self.qualified(query.table), query)?;
        // never ANALYZE, which would run it
        let statement = Statement { sql: format!("EXPLAIN FORMAT=JSON {}", statement.sql), ..statement };
        let rows = stream::fetch(&mut self.conn, cx, CATALOG_MAX, EXPLAINING, statement).await?;
        let plan = rows.first().and_then(|row| stream::text(row, 0)).unwrap_or_default();
        let plan: Value = serde_json::from_str(&plan).map_err(|_not_json| super::garbled(EXPLAINING))?;
        let database = self.qualified(query.table).database.to_owned();
        let params = vec![Param::Text(database), Param::Text(query.table.name.clone())];
        let statement = Statement { sql: ROW_BYTES.to_owned(), params };
        let sizes = stream::fetch(&mut self.conn, cx, CATALOG_MAX, EXPLAINING, statement).await?;
        let row_bytes = sizes.first().and_then(|row| stream::text(row, 0)).and_then(|bytes| bytes.parse().ok());
        Ok(Explained { row_bytes, ..explained(&plan) })
    }

    async fn count(&mut self, cx: &Context, query: &ReadQuery<'_>) -> Result<Option<u64>, SourceError> {
        let statement = query::count(self.qualified(query.table), query)?;
        let timeout = match self.dialect {
            Dialect::MySql { .. } => COUNT_TIMEOUT_MYSQL,
            Dialect::MariaDb => COUNT_TIMEOUT_MARIADB,
        };
        stream::execute(&mut self.conn, cx, CATALOG_MAX, COUNTING, timeout.to_owned()).await?;
        match stream::try_fetch(&mut self.conn, cx, COUNT_MAX, COUNTING, statement).await {
            Ok(Ok(rows)) => {
                let count = rows.first().and_then(|row| stream::text(row, 0)).and_then(|count| count.parse().ok());
                count.map(Some).ok_or_else(|| super::garbled(COUNTING))
            }
            Ok(Err(cause)) if error::server(&cause).is_some_and(|said| error::OUT_OF_TIME.contains(&said.number())) => {
                Ok(None)
            }
            Ok(Err(cause)) => Err(error::reading(COUNTING, &query.table.to_string(), cause)),
            Err(SourceError::Interrupted { cause: Interrupted::TimedOut(_), .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What the plan says: that of MySQL and that of MariaDB have other names for some things.
fn explained(plan: &Value) -> Explained {
    let mut explained = Explained::default();
    let mut nodes = vec![plan];
    let mut seen = 0;
    while let Some(node) = nodes.pop() {
        seen += 1;
        if seen > NODES_MAX {
            break;
        }
        match node {
            Value::Object(fields) => {
                let sorts = fields.contains_key("filesort") || fields.contains_key("read_sorted_file");
                if sorts || fields.get("using_filesort") == Some(&Value::Bool(true)) {
                    explained.sort = Sort::Everything;
                }
                if let Some(access) = fields.get("access_type").and_then(Value::as_str) {
                    explained.whole |= access == "ALL";
                    let index = fields.get("key").and_then(Value::as_str).map(str::to_owned);
                    explained.index = explained.index.or(index);
                    explained.rows = explained.rows.or_else(|| rows(node));
                }
                nodes.extend(fields.values());
            }
            Value::Array(items) => nodes.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    explained
}

/// Rows that are looked at, less what conditions are thought to leave out.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and it is an estimate")]
fn rows(table: &Value) -> Option<u64> {
    let number = |name: &str| {
        let value = table.get(name)?;
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    };
    let looked_at = number("rows").or_else(|| number("rows_examined_per_scan"))?;
    Some((looked_at * number("filtered").unwrap_or(100.0) / 100.0).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plans_of_both_servers_are_read() {
        // MariaDB 10.11
        let range = json!({"query_block": {"select_id": 1, "nested_loop": [{"table": {
            "table_name": "t", "access_type": "range", "key": "u", "rows": 40, "filtered": 50}}]}});
        let by_index =
            Explained { index: Some("u".into()), sort: Sort::Nothing, whole: false, rows: Some(20), row_bytes: None };
        assert_eq!(explained(&range), by_index);
        let sorted = json!({"query_block": {"nested_loop": [{"read_sorted_file": {"filesort": {
            "sort_key": "t.u", "table": {"access_type": "ALL", "rows": 9, "filtered": 100}}}}]}});
        let found = explained(&sorted);
        assert_eq!((found.sort, found.whole, found.index, found.rows), (Sort::Everything, true, None, Some(9)));
        // MySQL 8
        let ordered = json!({"query_block": {"ordering_operation": {"using_filesort": true, "table": {
            "access_type": "ALL", "rows_examined_per_scan": 10, "filtered": "33.33"}}}});
        let found = explained(&ordered);
        assert_eq!((found.sort, found.whole, found.rows), (Sort::Everything, true, Some(4)));
        let ordered = json!({"query_block": {"ordering_operation": {"using_filesort": false, "table": {
            "access_type": "index", "key": "PRIMARY", "rows_examined_per_scan": 10, "filtered": "100.00"}}}});
        let found = explained(&ordered);
        assert_eq!((found.sort, found.whole, found.index.as_deref()), (Sort::Nothing, false, Some("PRIMARY")));
    }
}
