//! Jobs: submitted under ids of ours, looked up by them.

use serde::Serialize;

use super::super::{Job, WarehouseError};
use super::wire::{ErrorProto, Fields, JobBody, TableReference};
use super::{BigQuery, checksum, garbled, get, refused, sql, with_body};
use crate::model::{Intent, JobFailure, JobId, JobStats, JobStatus, Lane, RunsLoad};
use crate::net::{Context, Method};

/// Reasons after which BigQuery asks to submit the work again, under a new id
/// (cloud.google.com/bigquery/docs/error-messages, "Error table").
const RETRYABLE_REASONS: [&str; 8] = [
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "jobRateLimitExceeded",
    "rateLimitExceeded",
    "tableUnavailable",
    "timeout",
];
/// What failures that pass say under reasons that do not: two mutating statements in conflict, a full queue of 20 of
/// them (data-manipulation-language, "DML statement conflicts", "Concurrent jobs"), updates of a table faster than its
/// rate limit (troubleshoot-quotas). Nothing was changed.
const PASSING_TEXTS: [&str; 4] = [
    "could not serialize access to table",
    "due to concurrent update",
    "too many dml statements outstanding",
    "exceeded rate limits",
];
/// Entries of `errors[]` that a message repeats.
const ERRORS_SHOWN: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewJob<'a> {
    job_reference: JobReference<'a>,
    configuration: Configuration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobReference<'a> {
    project_id: &'a str,
    job_id: &'a str,
    location: &'a str,
}

#[derive(Serialize)]
struct Configuration {
    labels: Labels,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<Query>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copy: Option<Copy>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Copy {
    source_table: TableReference,
    destination_table: TableReference,
    write_disposition: &'static str,
    create_disposition: &'static str,
}

#[derive(Serialize)]
struct Labels {
    app: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Load {
    source_uris: Vec<String>,
    destination_table: TableReference,
    schema: Fields,
    source_format: &'static str,
    write_disposition: &'static str,
    create_disposition: &'static str,
    max_bad_records: u32,
    ignore_unknown_values: bool,
    autodetect: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    schema_update_options: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Query {
    query: String,
    use_legacy_sql: bool,
    use_query_cache: bool,
}

pub(super) async fn submit(api: &BigQuery, cx: &Context, id: &JobId, job: Job<'_>) -> Result<(), WarehouseError> {
    let (location, project) = match job {
        Job::Load(intent) | Job::Merge(intent) => (intent.location.as_str(), intent.job_project.as_str()),
        Job::Widen(widening) => (widening.location.as_str(), widening.job_project.as_str()),
        Job::Remove(removal) => (removal.scan.location, removal.scan.job_project),
    };
    let work = match job {
        Job::Load(intent) => (Some(load(intent)), None, None),
        Job::Merge(intent) if intent.lane == Lane::Swap => (None, None, Some(copy(intent))),
        Job::Merge(intent) => (None, Some(query(sql::merge_statement(intent))), None),
        Job::Widen(widening) => {
            (None, Some(query(sql::widen_statement(&widening.table, &widening.column, widening.ty))), None)
        }
        Job::Remove(extra) => (None, Some(query(checksum::remove_statement(&extra))), None),
    };
    insert(api, cx, id, (project, location), work).await
}

/// What a job does: one of the three.
type Work = (Option<Load>, Option<Query>, Option<Copy>);

async fn insert(
    api: &BigQuery,
    cx: &Context,
    id: &JobId,
    (project, location): (&str, &str),
    (load, query, copy): Work,
) -> Result<(), WarehouseError> {
    let what = format!("submitting job {id} in {location}");
    let body = NewJob {
        job_reference: JobReference { project_id: project, job_id: id.as_str(), location },
        configuration: Configuration { labels: Labels { app: "highwater" }, load, query, copy },
    };
    let url = api.url(&what, &[project, "jobs"])?;
    let answer = api.call(cx, &what, &with_body(Method::POST, &what, url, &body)?).await?;
    match answer.status {
        // 409: the id was used before, by us or by somebody who finishes the same intent
        200 | 409 => Ok(()),
        _ => Err(refused(&what, &answer)),
    }
}

fn load(intent: &Intent) -> Load {
    Load {
        source_uris: intent.parts.clone(),
        destination_table: TableReference::from(&intent.staging),
        schema: Fields::from(&intent.schema),
        source_format: "NEWLINE_DELIMITED_JSON",
        write_disposition: "WRITE_TRUNCATE",
        // the staging table is created before, with its expiration: a load alone would make one that stays
        create_disposition: "CREATE_NEVER",
        max_bad_records: 0,
        ignore_unknown_values: false,
        autodetect: false,
        schema_update_options: Vec::new(),
    }
}

/// Submits a job that appends reports to the table of runs; one of that id that exists already is success.
pub(super) async fn submit_runs(
    api: &BigQuery,
    cx: &Context,
    id: &JobId,
    runs: RunsLoad<'_>,
) -> Result<(), WarehouseError> {
    let load = Load {
        source_uris: runs.reports.to_vec(),
        destination_table: TableReference::from(runs.table),
        schema: Fields::from(runs.schema),
        source_format: "NEWLINE_DELIMITED_JSON",
        write_disposition: "WRITE_APPEND",
        create_disposition: "CREATE_NEVER",
        max_bad_records: runs.bad_max,
        // of a later version, which says more
        ignore_unknown_values: true,
        autodetect: false,
        // of an earlier version's table
        schema_update_options: vec!["ALLOW_FIELD_ADDITION"],
    };
    insert(api, cx, id, (runs.job_project, runs.location), (Some(load), None, None)).await
}

fn query(query: String) -> Query {
    Query { query, use_legacy_sql: false, use_query_cache: false }
}

/// A copy that truncates is one atomic update of the target (managing-tables, "Copy a table"), and free.
fn copy(intent: &Intent) -> Copy {
    Copy {
        source_table: TableReference::from(&intent.staging),
        destination_table: TableReference::from(&intent.target),
        write_disposition: "WRITE_TRUNCATE",
        create_disposition: "CREATE_IF_NEEDED",
    }
}

pub(super) async fn job(
    api: &BigQuery,
    cx: &Context,
    id: &JobId,
    project: &str,
    location: &str,
) -> Result<Option<JobStatus>, WarehouseError> {
    let what = format!("looking up job {id} in {location}");
    let mut url = api.url(&what, &[project, "jobs", id.as_str()])?;
    url.query_pairs_mut().append_pair("location", location);
    let answer = api.call(cx, &what, &get(url)).await?;
    match answer.status {
        200 => {}
        404 => return Ok(None),
        // one's own job may always be looked up (BigQuery, "jobs.get"); ids are the same whoever submits
        403 => return Err(anothers(project, refused(&what, &answer))),
        _ => return Err(refused(&what, &answer)),
    }
    let body: JobBody = serde_json::from_slice(&answer.body).map_err(|error| garbled(&what, &error))?;
    let status = match (body.status.state.as_str(), body.status.error_result) {
        ("DONE", None) => JobStatus::Succeeded(JobStats {
            // one of the two, by the kind of job
            rows: body.statistics.load.output_rows.0 + body.statistics.query.num_dml_affected_rows.0,
            bytes_billed: body.statistics.query.total_bytes_billed.0,
        }),
        ("DONE", Some(error)) => JobStatus::Failed(failure(id, location, error, &body.status.errors)),
        ("PENDING" | "RUNNING", _) => JobStatus::Running,
        (other, _) => return Err(garbled(&what, &format!("a job in state {other:?}"))),
    };
    Ok(Some(status))
}

/// A job that may not be looked up is another identity's, and what became of it decides what is done next.
fn anothers(project: &str, mut error: WarehouseError) -> WarehouseError {
    if let WarehouseError::Refused { message, .. } = &mut error {
        message.push_str(&format!(
            "; another identity submitted it: grant this one bigquery.jobs.get on project {project}, which \
             roles/bigquery.resourceViewer has, or run once more as the other"
        ));
    }
    error
}

fn failure(id: &JobId, location: &str, error: ErrorProto, errors: &[ErrorProto]) -> JobFailure {
    let mut message = error.message.clone();
    for other in errors.iter().filter(|other| other.message != error.message).take(ERRORS_SHOWN) {
        message = format!("{message}; {}", other.message);
        if !other.location.is_empty() {
            message = format!("{message} at {}", other.location);
        }
    }
    let lower = message.to_lowercase();
    let names_a_part = message.contains("gs://") || error.location.contains("gs://");
    JobFailure {
        job: id.clone(),
        location: location.to_owned(),
        retryable: RETRYABLE_REASONS.contains(&error.reason.as_str())
            || PASSING_TEXTS.iter().any(|text| lower.contains(text)),
        parts_missing: names_a_part && (error.reason == "notFound" || lower.contains("404 not found")),
        reason: error.reason,
        message: message.replace(['\n', '\r'], " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Attempt, IntentId, JobKind};

    fn judge(reason: &str, message: &str) -> (bool, bool) {
        let id = JobId::new(JobKind::Load, &IntentId::new(0, 0), Attempt::FIRST);
        let error = ErrorProto { reason: reason.into(), location: String::new(), message: message.into() };
        let failure = failure(&id, "EU", error, &[]);
        (failure.retryable, failure.parts_missing)
    }

    #[test]
    fn reasons_are_judged_as_bigquery_documents_them() {
        assert_eq!(judge("backendError", "x"), (true, false));
        assert_eq!(
            judge("invalidQuery", "Could not serialize access to table p:d.t due to concurrent update"),
            (true, false)
        );
        assert_eq!(judge("invalid", "Error while reading data"), (false, false));
        assert_eq!(judge("notFound", "Not found: URI gs://b/x.ndjson.gz"), (false, true));
        assert_eq!(judge("notFound", "Not found: Table p:d.t"), (false, false));
        assert_eq!(
            judge("resourcesExceeded", "Too many DML statements outstanding against table p:d.t"),
            (true, false)
        );
        assert_eq!(judge("quotaExceeded", "x"), (false, false));
        assert_eq!(judge("accessDenied", "x"), (false, false));
    }
}
