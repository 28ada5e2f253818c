//! What a check asks BigQuery: datasets, rights to tables, and what it says of statements that it does not run.

use serde::{Deserialize, Serialize};

use super::super::WarehouseError;
use super::wire::{Count, DatasetBody};
use super::{BigQuery, garbled, get, refused, with_body};
use crate::model::BqTable;
use crate::net::{CallError, Context, Method};

/// A dataset as far as it may be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dataset {
    /// There is none of that name.
    Missing,
    /// It may not be looked at; what BigQuery says.
    Hidden(String),
    /// It is in that location.
    There(String),
}

/// What BigQuery says of a statement that it was asked not to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// It would run.
    Fine {
        /// Whose job it would be (`Job.user_email`).
        identity: Option<String>,
        /// Bytes that it would process; `None` where the service does not say.
        bytes: Option<u64>,
    },
    /// It would not; what BigQuery says.
    Refused(String),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewJob<'a> {
    job_reference: Reference<'a>,
    configuration: Configuration<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference<'a> {
    project_id: &'a str,
    location: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Configuration<'a> {
    dry_run: bool,
    query: Query<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Query<'a> {
    query: &'a str,
    use_legacy_sql: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Job {
    #[serde(rename = "user_email")]
    identity: Option<String>,
    statistics: Statistics,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Statistics {
    total_bytes_processed: Option<Count>,
}

#[derive(Serialize)]
struct Permissions<'a> {
    permissions: &'a [&'a str],
}

/// `TestIamPermissionsResponse`: without any permission it is empty.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Granted {
    permissions: Vec<String>,
}

impl BigQuery {
    /// Looks at a dataset.
    ///
    /// # Errors
    /// BigQuery does not answer.
    pub async fn dataset(&self, cx: &Context, project: &str, dataset: &str) -> Result<Dataset, WarehouseError> {
        let what = format!("looking at dataset {project}.{dataset}");
        let answer = self.call(cx, &what, &get(self.url(&what, &[project, "datasets", dataset])?)).await?;
        match answer.status {
            200 => {
                let body: DatasetBody = serde_json::from_slice(&answer.body).map_err(|error| garbled(&what, &error))?;
                Ok(Dataset::There(body.location))
            }
            404 => Ok(Dataset::Missing),
            403 => Ok(Dataset::Hidden(refused(&what, &answer).to_string())),
            _ => Err(refused(&what, &answer)),
        }
    }

    /// What BigQuery says of the statement, which it does not run: no job comes of it, and it costs nothing (`dryRun`).
    ///
    /// # Errors
    /// BigQuery does not answer.
    pub async fn dry_run(
        &self,
        cx: &Context,
        (project, location): (&str, &str),
        sql: &str,
    ) -> Result<DryRun, WarehouseError> {
        let what = "asking BigQuery about a statement";
        let body = NewJob {
            job_reference: Reference { project_id: project, location },
            configuration: Configuration { dry_run: true, query: Query { query: sql, use_legacy_sql: false } },
        };
        let url = self.url(what, &[project, "jobs"])?;
        let answer = self.call(cx, what, &with_body(Method::POST, what, url, &body)?).await?;
        match answer.status {
            200 => {
                let job: Job = serde_json::from_slice(&answer.body).map_err(|error| garbled(what, &error))?;
                let bytes = job.statistics.total_bytes_processed.map(|bytes| bytes.0);
                Ok(DryRun::Fine { identity: job.identity, bytes })
            }
            _ => {
                let error = refused(what, &answer);
                let WarehouseError::Refused { status, reason, message, .. } = &error else { return Err(error) };
                // a plan that fails for want of a right may come as a 400
                let denied = *status == 403 || reason == "accessDenied" || message.starts_with("Access Denied");
                if denied { Ok(DryRun::Refused(format!("{status} {reason}: {message}"))) } else { Err(error) }
            }
        }
    }

    /// Those of the permissions to a table that the identity has (BigQuery, "Method: tables.testIamPermissions", which
    /// says that it may claim too much); `None` where the service has no such call.
    ///
    /// # Errors
    /// BigQuery does not answer.
    pub async fn granted(
        &self,
        cx: &Context,
        table: &BqTable,
        permissions: &[&str],
    ) -> Result<Option<Vec<String>>, WarehouseError> {
        let what = format!("asking for the rights to {table}");
        let named = format!("{}:testIamPermissions", table.table);
        let url = self.url(&what, &[&table.project, "datasets", &table.dataset, "tables", &named])?;
        let request = with_body(Method::POST, &what, url, &Permissions { permissions })?;
        // its answer names no kind
        let own = |body: &[u8]| serde_json::from_slice::<Granted>(body);
        let answer = self.http.send(cx, &request, |answer| answer.status < 300 && own(&answer.body).is_err()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(CallError::Credentials(message)) => return Err(WarehouseError::Credentials(message)),
            Err(CallError::Interrupted(cause)) => return Err(WarehouseError::Interrupted { what, cause }),
            Err(CallError::Unavailable { tried, message }) => {
                let (attempts, elapsed) = (tried.attempts, tried.elapsed);
                return Err(WarehouseError::Unavailable { what, attempts, elapsed, message });
            }
        };
        match answer.status {
            200 => Ok(Some(own(&answer.body).map_err(|error| garbled(&what, &error))?.permissions)),
            404 | 405 | 501 => Ok(None),
            _ => Err(refused(&what, &answer)),
        }
    }
}
