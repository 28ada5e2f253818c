//! `EXPLAIN` of a read, and a count of its rows.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Row as _};

use super::{PostgresSession, error, execute, query, stream};
use crate::model::{Explained, Sort};
use crate::net::Context;
use crate::source::explain::{COUNT_MAX, Explain};
use crate::source::{CATALOG_MAX, ReadQuery, SourceError};

const EXPLAINING: &str = "asking how rows would be read";
const COUNTING: &str = "counting rows";
/// Slightly less than [`COUNT_MAX`]: the server gives up by itself, and does not go on for nobody.
const COUNT_TIMEOUT: &str = "SET statement_timeout = '55s'";
/// `query_canceled`.
const CANCELLED: &str = "57014";
/// The most nodes of a plan that are looked at: a table may have thousands of partitions.
const NODES_MAX: usize = 10_000;

impl Explain for PostgresSession {
    async fn explain(&mut self, cx: &Context, query: &ReadQuery<'_>) -> Result<Explained, SourceError> {
        let built = query::build(query)?;
        // never ANALYZE, which would run it
        let sql = format!("EXPLAIN (FORMAT JSON) {}", built.sql);
        let mut bound = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for param in &built.params {
            bound = bound.bind(param.value.as_str());
        }
        let row = error::limit(cx, EXPLAINING, CATALOG_MAX, bound.fetch_one(&mut self.connection)).await?;
        let row = row.map_err(|cause| stream::failed(EXPLAINING, query.table, &built.params, cause))?;
        let text = super::raw(&row, 0).ok().flatten().unwrap_or_default();
        let plan: Value = serde_json::from_slice(text).map_err(|_not_json| super::garbled(EXPLAINING))?;
        explained(&plan).ok_or_else(|| super::garbled(EXPLAINING))
    }

    async fn count(&mut self, cx: &Context, query: &ReadQuery<'_>) -> Result<Option<u64>, SourceError> {
        let built = query::build_count(query)?;
        execute(&mut self.connection, cx, COUNTING, COUNT_TIMEOUT).await?;
        let mut bound = sqlx::query(AssertSqlSafe(built.sql.clone())).persistent(false);
        for param in &built.params {
            bound = bound.bind(param.value.as_str());
        }
        let answer = match cx.attempt(COUNT_MAX, bound.fetch_one(&mut self.connection)).await {
            Ok(answer) => answer,
            Err(crate::net::Interrupted::TimedOut(_)) => return Ok(None),
            Err(cause) => return Err(SourceError::Interrupted { what: COUNTING, cause }),
        };
        match answer {
            Ok(row) => {
                let rows: i64 = row.try_get(0).map_err(|cause| error::query(COUNTING, cause))?;
                Ok(Some(rows.unsigned_abs()))
            }
            Err(sqlx::Error::Database(said)) if said.code().as_deref() == Some(CANCELLED) => Ok(None),
            Err(cause) => Err(stream::failed(COUNTING, query.table, &built.params, cause)),
        }
    }
}

/// What the plan says; `None` if it is not one.
fn explained(plan: &Value) -> Option<Explained> {
    let mut top = plan.get(0)?.get("Plan")?;
    if top.get("Node Type")?.as_str() == Some("Limit") {
        top = top.get("Plans")?.get(0)?;
    }
    let mut explained = Explained {
        rows: top.get("Plan Rows").and_then(Value::as_u64),
        row_bytes: top.get("Plan Width").and_then(Value::as_u64),
        ..Explained::default()
    };
    let mut nodes = vec![top];
    let mut seen = 0;
    while let Some(node) = nodes.pop() {
        seen += 1;
        if seen > NODES_MAX {
            break;
        }
        let kind = node.get("Node Type").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "Seq Scan" => explained.whole = true,
            "Sort" => explained.sort = Sort::Everything,
            "Incremental Sort" if explained.sort == Sort::Nothing => explained.sort = Sort::Ties,
            _ => {}
        }
        let index = node.get("Index Name").and_then(Value::as_str);
        explained.index = explained.index.or_else(|| index.map(str::to_owned));
        nodes.extend(node.get("Plans").and_then(Value::as_array).into_iter().flatten());
    }
    Some(explained)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plans_of_the_server_are_read() {
        let scan = json!([{"Plan": {"Node Type": "Limit", "Plan Rows": 100, "Plan Width": 40, "Plans": [
            {"Node Type": "Index Scan", "Index Name": "t_u_id", "Plan Rows": 5000, "Plan Width": 36}]}}]);
        let by_index = Explained {
            index: Some("t_u_id".into()),
            sort: Sort::Nothing,
            whole: false,
            rows: Some(5000),
            row_bytes: Some(36),
        };
        assert_eq!(explained(&scan), Some(by_index));
        let sorted = json!([{"Plan": {"Node Type": "Limit", "Plans": [
            {"Node Type": "Sort", "Plan Rows": 7, "Plans": [{"Node Type": "Seq Scan"}]}]}}]);
        let found = explained(&sorted).unwrap_or_default();
        assert_eq!((found.sort, found.whole, found.index, found.rows), (Sort::Everything, true, None, Some(7)));
        let ties = json!([{"Plan": {"Node Type": "Incremental Sort", "Plans": [
            {"Node Type": "Index Scan", "Index Name": "u"}]}}]);
        assert_eq!(explained(&ties).map(|found| found.sort), Some(Sort::Ties));
        assert_eq!(explained(&json!({})), None);
    }
}
