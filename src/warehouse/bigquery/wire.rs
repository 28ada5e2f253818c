//! Bodies of BigQuery's REST API, the parts that we send and read (cloud.google.com/bigquery/docs/reference/rest/v2).

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Layout;
use crate::model::{BqTable, Field, Partitioning, Schema, TimeUnit};
use crate::net::{Answer, Method};

/// Whether an answer is BigQuery's own: a resource names its kind, a refusal is an `error`, a deletion says nothing.
/// A page of some proxy on the way may come with any status, and must not pass for a table without columns or for a
/// job that does not exist.
pub(super) fn is_bigquerys(method: &Method, answer: &Answer) -> bool {
    #[derive(Deserialize)]
    struct Any<'a> {
        #[serde(borrow, default)]
        kind: Cow<'a, str>,
        error: Option<IgnoredAny>,
    }
    if method == Method::DELETE && answer.status < 300 && answer.body.is_empty() {
        return true;
    }
    let Ok(body) = serde_json::from_slice::<Any<'_>>(&answer.body) else { return false };
    if answer.status < 300 { body.kind.starts_with("bigquery#") } else { body.error.is_some() }
}

/// An error answer.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorBody {
    #[serde(default)]
    error: ErrorContent,
}

#[derive(Debug, Default, Deserialize)]
struct ErrorContent {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<ErrorProto>,
}

/// `ErrorProto`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorProto {
    pub(super) reason: String,
    pub(super) location: String,
    pub(super) message: String,
}

impl ErrorBody {
    /// The answer's error; empty if it has none.
    pub(super) fn of(answer: &Answer) -> Self {
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    pub(super) fn reason(&self) -> String {
        self.error.errors.first().map(|error| error.reason.clone()).unwrap_or_default()
    }

    pub(super) fn message(&self) -> &str {
        &self.error.message
    }
}

/// `TableReference`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TableReference {
    project_id: String,
    dataset_id: String,
    table_id: String,
}

impl From<&BqTable> for TableReference {
    fn from(table: &BqTable) -> Self {
        Self { project_id: table.project.clone(), dataset_id: table.dataset.clone(), table_id: table.table.clone() }
    }
}

/// `TableSchema`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fields {
    fields: Vec<Field>,
}

impl From<&Schema> for Fields {
    fn from(schema: &Schema) -> Self {
        Self { fields: schema.0.clone() }
    }
}

/// `Table` as sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewTable {
    pub(super) table_reference: TableReference,
    pub(super) schema: Fields,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expiration_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time_partitioning: Option<TimePartitioning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) range_partitioning: Option<RangePartitioning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clustering: Option<Clustering>,
}

/// `TimePartitioning`.
#[derive(Debug, Serialize)]
pub(super) struct TimePartitioning {
    #[serde(rename = "type")]
    unit: TimeUnit,
    field: String,
    #[serde(rename = "expirationMs", skip_serializing_if = "Option::is_none")]
    expiration_ms: Option<String>,
}

impl TimePartitioning {
    /// Partitions that are dropped that many milliseconds after their end.
    pub(super) fn expiring(unit: TimeUnit, field: &str, expiration_ms: u64) -> Self {
        Self { unit, field: field.to_owned(), expiration_ms: Some(expiration_ms.to_string()) }
    }
}

/// `RangePartitioning`.
#[derive(Debug, Serialize)]
pub(super) struct RangePartitioning {
    field: String,
    range: Range,
}

#[derive(Debug, Serialize)]
struct Range {
    start: String,
    end: String,
    interval: String,
}

/// `Clustering`.
#[derive(Debug, Serialize)]
pub(super) struct Clustering {
    pub(super) fields: Vec<String>,
}

/// The two fields of a table, of which one at the most is set.
pub(super) fn partitioning(wanted: Option<&Partitioning>) -> (Option<TimePartitioning>, Option<RangePartitioning>) {
    match wanted {
        None => (None, None),
        Some(Partitioning::Time { field, unit }) => {
            (Some(TimePartitioning { unit: *unit, field: field.clone(), expiration_ms: None }), None)
        }
        Some(Partitioning::Range { field, start, end, interval }) => {
            let range = Range { start: start.to_string(), end: end.to_string(), interval: interval.to_string() };
            (None, Some(RangePartitioning { field: field.clone(), range }))
        }
    }
}

/// `Streamingbuffer` as read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct StreamingBuffer {
    pub(super) estimated_rows: Count,
}

/// `Table` as read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TableBody {
    pub(super) etag: String,
    pub(super) num_rows: Count,
    pub(super) num_bytes: Count,
    /// Rows that were streamed and are not in storage yet.
    pub(super) streaming_buffer: Option<StreamingBuffer>,
    pub(super) location: String,
    pub(super) schema: FieldsRead,
    time_partitioning: Option<TimePartitioningRead>,
    range_partitioning: Option<RangePartitioningRead>,
    clustering: Option<ClusteringRead>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TimePartitioningRead {
    #[serde(rename = "type")]
    unit: String,
    field: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RangePartitioningRead {
    field: String,
    range: RangeRead,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RangeRead {
    start: Value,
    end: Value,
    interval: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClusteringRead {
    fields: Vec<String>,
}

impl TableBody {
    /// Partitions and clustering; `None` if the partitions are of a kind that we do not make (by the time of loading).
    pub(super) fn layout(&self) -> Option<Layout> {
        let clustering = self.clustering.as_ref().map(|clustering| clustering.fields.clone()).unwrap_or_default();
        let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        let partitioning = match (&self.time_partitioning, &self.range_partitioning) {
            (None, None) => None,
            (Some(time), _) => {
                let unit = serde_json::from_value(Value::from(time.unit.as_str())).ok()?;
                Some(Partitioning::Time { field: time.field.clone()?, unit })
            }
            (None, Some(ranges)) => Some(Partitioning::Range {
                field: ranges.field.clone(),
                start: number(&ranges.range.start)?,
                end: number(&ranges.range.end)?,
                interval: number(&ranges.range.interval)?,
            }),
        };
        Some(Layout { partitioning, clustering })
    }
}

/// Fields of any type; those that are not ours are left out by the reader.
#[derive(Debug, Default, Deserialize)]
pub(super) struct FieldsRead {
    #[serde(default)]
    pub(super) fields: Vec<Value>,
}

/// An int64 of the API: a decimal string, or of some emulators a number.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Count(pub(super) u64);

impl TryFrom<Value> for Count {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let number = match &value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_u64(),
            Value::Null => Some(0),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        number.map(Self).ok_or_else(|| format!("{value} is not a count"))
    }
}

/// `Dataset` as sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewDataset<'a> {
    pub(super) dataset_reference: DatasetReference<'a>,
    pub(super) location: &'a str,
}

/// `DatasetReference`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DatasetReference<'a> {
    pub(super) project_id: &'a str,
    pub(super) dataset_id: &'a str,
}

/// `Dataset` as read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DatasetBody {
    pub(super) location: String,
}

/// `Job` as read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobBody {
    pub(super) status: Status,
    pub(super) statistics: Statistics,
}

/// `JobStatus`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    pub(super) state: String,
    pub(super) error_result: Option<ErrorProto>,
    pub(super) errors: Vec<ErrorProto>,
}

/// `JobStatistics`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Statistics {
    pub(super) load: LoadStatistics,
    pub(super) query: QueryStatistics,
}

/// `JobStatistics3`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LoadStatistics {
    pub(super) output_rows: Count,
}

/// `JobStatistics2`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct QueryStatistics {
    pub(super) num_dml_affected_rows: Count,
    pub(super) total_bytes_billed: Count,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_page_of_somebody_else_is_not_bigquerys() {
        let is = |method: Method, status, body: &'static str| {
            is_bigquerys(
                &method,
                &Answer { status, etag: None, max_age: None, body: Bytes::from_static(body.as_bytes()) },
            )
        };
        for (status, body) in [
            (200, r#"{"kind": "bigquery#table", "schema": {}}"#),
            (404, r#"{"error": {"code": 404, "message": "Not found"}}"#),
        ] {
            assert!(is(Method::GET, status, body), "{status} {body}");
        }
        for (status, body) in [
            (200, ""),
            (200, "<html>Log in</html>"),
            (200, r#"{"kind": "bigquery#ta"#),
            (200, r#"{"status": "fine"}"#),
            (200, "[]"),
            (404, "<html>no such page</html>"),
            (404, "{}"),
            (403, ""),
        ] {
            assert!(!is(Method::GET, status, body), "{status} {body}");
        }
        assert!(is(Method::DELETE, 204, "") && is(Method::DELETE, 200, ""));
        assert!(!is(Method::DELETE, 200, "<html>Log in</html>") && !is(Method::GET, 204, ""));
    }
}
