//! BigQuery by REST. `tables`, `jobs` and `queries` are the calls, `sql`, `ddl` and `checksum` the statements, `runs` all about the table of runs, `wire` the bodies.

pub mod check;
pub mod checksum;
pub mod ddl;
mod jobs;
mod queries;
pub mod runs;
pub mod sql;
mod tables;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use url::Url;

use self::wire::ErrorBody;
use super::{Job, Scanned, TableInfo, TargetScan, Warehouse, WarehouseError};
use crate::model::{BqTable, Checksum, Fingerprint, Group, JobId, JobStatus, Rows, Schema, TableSpec};
use crate::net::{Answer, CallError, Context, Http, Method, Request, Tokens};

const GOOGLE: &str = "https://bigquery.googleapis.com";
/// The reason of a quota that is refilled in minutes or hours: the call may succeed then, not in this run.
const QUOTA: &str = "quotaExceeded";
/// Reasons of a 403 that pass (BigQuery, "Error messages": rateLimitExceeded).
const PASSING_REASONS: [&str; 2] = ["rateLimitExceeded", "jobRateLimitExceeded"];

/// BigQuery.
#[derive(Debug)]
pub struct BigQuery {
    endpoint: Option<Url>,
    http: Http,
}

impl BigQuery {
    /// BigQuery at an emulator's address, or Google's if `None`. Nothing is contacted yet.
    pub fn new(endpoint: Option<Url>, tokens: Tokens) -> Self {
        Self { endpoint, http: Http::new(tokens) }
    }

    fn url(&self, what: &str, segments: &[&str]) -> Result<Url, WarehouseError> {
        let fault = || WarehouseError::Garbled { what: what.to_owned(), message: "not an address".to_owned() };
        let mut url = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => Url::parse(GOOGLE).map_err(|_invalid| fault())?,
        };
        url.path_segments_mut()
            .map_err(|()| fault())?
            .pop_if_empty()
            .extend(["bigquery", "v2", "projects"])
            .extend(segments);
        Ok(url)
    }

    async fn call(&self, cx: &Context, what: &str, request: &Request) -> Result<Answer, WarehouseError> {
        let passing = |answer: &Answer| {
            !wire::is_bigquerys(&request.method, answer)
                || answer.status == 403 && PASSING_REASONS.contains(&ErrorBody::of(answer).reason().as_str())
        };
        self.http.send(cx, request, passing).await.map_err(|error| match error {
            CallError::Unavailable { tried, message } => {
                let (attempts, elapsed) = (tried.attempts, tried.elapsed);
                WarehouseError::Unavailable { what: what.to_owned(), attempts, elapsed, message }
            }
            CallError::Credentials(message) => WarehouseError::Credentials(message),
            CallError::Interrupted(cause) => WarehouseError::Interrupted { what: what.to_owned(), cause },
        })
    }
}

fn get(url: Url) -> Request {
    Request { method: Method::GET, url, body: None, if_match: None }
}

fn with_body(method: Method, what: &str, url: Url, body: &impl Serialize) -> Result<Request, WarehouseError> {
    let body = serde_json::to_vec(body).map_err(|error| garbled(what, &error))?;
    Ok(Request { method, url, body: Some(Bytes::from(body)), if_match: None })
}

fn garbled(what: &str, error: &impl ToString) -> WarehouseError {
    WarehouseError::Garbled { what: what.to_owned(), message: error.to_string() }
}

/// An answer that says no.
fn refused(what: &str, answer: &Answer) -> WarehouseError {
    let error = ErrorBody::of(answer);
    if error.reason() == QUOTA {
        let (what, message) = (what.to_owned(), error.message().to_owned());
        return WarehouseError::Unavailable { what, attempts: 1, elapsed: Duration::ZERO, message };
    }
    let message = if error.message().is_empty() { answer.shown() } else { error.message().to_owned() };
    WarehouseError::Refused { what: what.to_owned(), status: answer.status, reason: error.reason(), message }
}

impl Warehouse for BigQuery {
    async fn table(&self, cx: &Context, table: &BqTable) -> Result<Option<TableInfo>, WarehouseError> {
        tables::table(self, cx, table).await
    }

    async fn dataset_location(
        &self,
        cx: &Context,
        project: &str,
        dataset: &str,
    ) -> Result<Option<String>, WarehouseError> {
        tables::dataset_location(self, cx, project, dataset).await
    }

    async fn ensure_dataset(
        &self,
        cx: &Context,
        project: &str,
        dataset: &str,
        location: &str,
    ) -> Result<(), WarehouseError> {
        tables::ensure_dataset(self, cx, project, dataset, location).await
    }

    async fn create_table(&self, cx: &Context, spec: &TableSpec) -> Result<(), WarehouseError> {
        tables::create_table(self, cx, spec).await
    }

    async fn patch_schema(
        &self,
        cx: &Context,
        table: &BqTable,
        schema: &Schema,
        etag: &str,
    ) -> Result<bool, WarehouseError> {
        tables::patch_schema(self, cx, table, schema, etag).await
    }

    async fn delete_table(&self, cx: &Context, table: &BqTable) -> Result<(), WarehouseError> {
        tables::delete_table(self, cx, table).await
    }

    async fn submit(&self, cx: &Context, id: &JobId, job: Job<'_>) -> Result<(), WarehouseError> {
        jobs::submit(self, cx, id, job).await
    }

    async fn job(
        &self,
        cx: &Context,
        id: &JobId,
        project: &str,
        location: &str,
    ) -> Result<Option<JobStatus>, WarehouseError> {
        jobs::job(self, cx, id, project, location).await
    }

    async fn checksums(
        &self,
        cx: &Context,
        scan: &TargetScan<'_>,
        rows: &Rows,
        group: Group,
        groups_max: u64,
        request: &str,
    ) -> Result<Scanned<Checksum>, WarehouseError> {
        queries::checksums(self, cx, scan, rows, group, groups_max, request).await
    }

    async fn fingerprints(
        &self,
        cx: &Context,
        scan: &TargetScan<'_>,
        rows: &Rows,
        rows_max: u64,
        request: &str,
    ) -> Result<Scanned<Fingerprint>, WarehouseError> {
        queries::fingerprints(self, cx, scan, rows, rows_max, request).await
    }
}
