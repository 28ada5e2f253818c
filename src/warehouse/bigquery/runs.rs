//! The table of runs and the view over it: statements (pure) and calls. Nothing of a sync goes through here.

use serde::Serialize;

use super::super::{RunsTable, WarehouseError};
use super::sql::{Literal, Path};
use super::wire::{Clustering, Fields, NewTable, TableReference, TimePartitioning};
use super::{BigQuery, jobs, queries, refused, tables, with_body};
use crate::model::{
    BqTable, JobId, JobStatus, LastRun, RUNS_ANSWER_MAX, RunsDay, RunsLoad, RunsPlace, RunsScan, Schema, TimeUnit,
};
use crate::net::{Context, Method};

/// The view's name.
const WINDOWS: &str = "windows";
const DAY_MS: u64 = 86_400_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewView {
    table_reference: TableReference,
    description: &'static str,
    view: View,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    query: String,
    use_legacy_sql: bool,
}

#[derive(Serialize)]
struct ViewPatch {
    view: View,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LifePatch {
    time_partitioning: TimePartitioning,
}

/// The windows of backfills as the newest run of each left them.
pub fn windows_query(runs: &BqTable) -> String {
    format!(
        "SELECT `source`, `table`, `window`, `window_from`, `window_to`, `window_rows` AS `rows`, \
         `window_complete` AS `complete`, `ended_at` AS `synced_at` FROM {} WHERE `window` IS NOT NULL \
         QUALIFY ROW_NUMBER() OVER (PARTITION BY `source`, `table`, `window` ORDER BY `ended_at` DESC, `run_id` DESC) = 1",
        Path(runs)
    )
}

/// Rows and runs by table and day. Every column is text.
pub fn days_statement(scan: &RunsScan<'_>) -> String {
    format!(
        "SELECT `source`, `table`, FORMAT_TIMESTAMP('%Y-%m-%d', `started_at`) AS day, CAST(SUM(`rows`) AS STRING), \
         CAST(COUNT(*) AS STRING), CAST(COUNTIF(`outcome` = 'failed') AS STRING), \
         FORMAT_TIMESTAMP('%Y-%m-%dT%H:%M:%E6SZ', MAX(`fresh_as_of`)) FROM {} WHERE {} \
         GROUP BY `source`, `table`, day LIMIT {RUNS_ANSWER_MAX}",
        Path(&scan.place.table),
        wanted(scan)
    )
}

/// The last run of each table. Every column is text.
pub fn last_statement(scan: &RunsScan<'_>) -> String {
    format!(
        "SELECT `source`, `table`, `run_id`, FORMAT_TIMESTAMP('%Y-%m-%dT%H:%M:%E6SZ', `ended_at`), `outcome`, `error`, \
         `error_class`, JSON_VALUE(`report`, '$.error.code') FROM {} WHERE {} AND `window` IS NULL \
         QUALIFY ROW_NUMBER() OVER (PARTITION BY `source`, `table` ORDER BY `ended_at` DESC, `run_id` DESC) = 1 \
         LIMIT {RUNS_ANSWER_MAX}",
        Path(&scan.place.table),
        wanted(scan)
    )
}

fn wanted(scan: &RunsScan<'_>) -> String {
    // a constant, so that only the partitions of these days are read
    let since = format!("`started_at` >= TIMESTAMP {}", Literal(&format!("{}T00:00:00Z", scan.since)));
    if scan.except.is_empty() {
        return since;
    }
    let ids: Vec<String> = scan.except.iter().map(|id| Literal(id).to_string()).collect();
    format!("{since} AND `run_id` NOT IN ({})", ids.join(", "))
}

impl RunsTable for BigQuery {
    async fn make_runs(&self, cx: &Context, place: &RunsPlace, schema: &Schema) -> Result<(), WarehouseError> {
        let table = &place.table;
        tables::ensure_dataset(self, cx, &table.project, &table.dataset, &place.location).await?;
        let what = format!("creating table {table}");
        let body = NewTable {
            table_reference: TableReference::from(table),
            schema: Fields::from(schema),
            description: Some("Highwater: a row for each run of a table".to_owned()),
            expiration_time: None,
            time_partitioning: Some(life(place)),
            range_partitioning: None,
            clustering: Some(Clustering { fields: vec!["source".to_owned(), "table".to_owned()] }),
        };
        let patch = LifePatch { time_partitioning: life(place) };
        make(self, cx, &what, table, &body, &patch).await?;
        let view = BqTable { table: WINDOWS.to_owned(), ..table.clone() };
        let what = format!("creating view {view}");
        let query = || View { query: windows_query(table), use_legacy_sql: false };
        let description = "Highwater: the windows of backfills as the newest run of each left them";
        let body = NewView { table_reference: TableReference::from(&view), description, view: query() };
        make(self, cx, &what, &view, &body, &ViewPatch { view: query() }).await
    }

    async fn load_runs(&self, cx: &Context, id: &JobId, load: RunsLoad<'_>) -> Result<(), WarehouseError> {
        jobs::submit_runs(self, cx, id, load).await
    }

    async fn runs_job(
        &self,
        cx: &Context,
        id: &JobId,
        project: &str,
        location: &str,
    ) -> Result<Option<JobStatus>, WarehouseError> {
        jobs::job(self, cx, id, project, location).await
    }

    async fn runs_by_day(&self, cx: &Context, scan: RunsScan<'_>) -> Result<Vec<RunsDay>, WarehouseError> {
        let what = format!("reading {}", scan.place.table);
        let rows = queries::rows(self, cx, place_of(&scan), &what, &days_statement(&scan), scan.request).await?;
        let days: Option<Vec<RunsDay>> = rows.into_iter().map(day_of).collect();
        days.ok_or_else(|| super::garbled(&what, &"not the runs of a day"))
    }

    async fn last_runs(&self, cx: &Context, scan: RunsScan<'_>) -> Result<Vec<LastRun>, WarehouseError> {
        let what = format!("reading the last runs of {}", scan.place.table);
        let rows = queries::rows(self, cx, place_of(&scan), &what, &last_statement(&scan), scan.request).await?;
        let last: Option<Vec<LastRun>> = rows.into_iter().map(last_of).collect();
        last.ok_or_else(|| super::garbled(&what, &"not a run"))
    }
}

fn place_of<'a>(scan: &RunsScan<'a>) -> (&'a str, &'a str) {
    (&scan.place.job_project, &scan.place.location)
}

fn life(place: &RunsPlace) -> TimePartitioning {
    let expires = u64::from(place.days) * DAY_MS;
    TimePartitioning::expiring(TimeUnit::Day, "started_at", expires)
}

/// Makes a table or view, or brings one that is there in line.
async fn make(
    api: &BigQuery,
    cx: &Context,
    what: &str,
    table: &BqTable,
    body: &impl Serialize,
    patch: &impl Serialize,
) -> Result<(), WarehouseError> {
    let url = api.url(what, &[&table.project, "datasets", &table.dataset, "tables"])?;
    let answer = api.call(cx, what, &with_body(Method::POST, what, url, body)?).await?;
    match answer.status {
        200 => return Ok(()),
        409 => {}
        _ => return Err(refused(what, &answer)),
    }
    let url = api.url(what, &[&table.project, "datasets", &table.dataset, "tables", &table.table])?;
    let answer = api.call(cx, what, &with_body(Method::PATCH, what, url, patch)?).await?;
    if answer.status == 200 { Ok(()) } else { Err(refused(what, &answer)) }
}

fn day_of(cells: Vec<Option<String>>) -> Option<RunsDay> {
    let [source, table, day, rows, runs, failed, fresh_as_of] = <[Option<String>; 7]>::try_from(cells).ok()?;
    // an emulator writes sums with a fraction
    let number = |text: Option<String>| text?.split('.').next()?.parse().ok();
    let (rows, runs, failed) = (number(rows)?, number(runs)?, number(failed)?);
    Some(RunsDay { source: source?, table: table?, day: day?, rows, runs, failed, fresh_as_of })
}

fn last_of(cells: Vec<Option<String>>) -> Option<LastRun> {
    let [source, table, run_id, ended_at, outcome, error, error_class, code] =
        <[Option<String>; 8]>::try_from(cells).ok()?;
    let (source, table, run_id) = (source?, table?, run_id?);
    Some(LastRun { source, table, run_id, ended_at: ended_at?, outcome: outcome?, error, error_class, code })
}
