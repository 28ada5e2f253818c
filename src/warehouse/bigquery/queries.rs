//! Queries whose rows are read: `jobs.query` and `jobs.getQueryResults`. Every column of theirs is STRING, and every
//! statement has a LIMIT.

use serde::{Deserialize, Serialize};

use super::super::{Scanned, TargetScan, WarehouseError};
use super::wire::Count;
use super::{BigQuery, checksum, garbled, get, refused, with_body};
use crate::model::{Checksum, Fingerprint, Group, Rows};
use crate::net::{Answer, Context, Method};

/// How long one request waits for the query to end, in milliseconds: below the least time that a request gets.
const WAIT_MS: u32 = 5_000;
/// Rows of one page.
const PAGE_ROWS: u32 = 20_000;

pub(super) type Cells = Vec<Option<String>>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewQuery<'a> {
    query: &'a str,
    use_legacy_sql: bool,
    location: &'a str,
    timeout_ms: u32,
    max_results: u32,
    /// The same query sent again is the same query (15 minutes).
    request_id: &'a str,
    labels: Labels,
}

#[derive(Serialize)]
struct Labels {
    app: &'static str,
}

/// `QueryResponse` and `GetQueryResultsResponse`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Page {
    job_complete: bool,
    job_reference: JobReference,
    rows: Vec<Row>,
    page_token: Option<String>,
    total_bytes_processed: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JobReference {
    job_id: String,
}

#[derive(Debug, Deserialize)]
struct Row {
    f: Vec<Cell>,
}

#[derive(Debug, Deserialize)]
struct Cell {
    v: Option<String>,
}

pub(super) async fn checksums(
    api: &BigQuery,
    cx: &Context,
    scan: &TargetScan<'_>,
    rows: &Rows,
    group: Group,
    groups_max: u64,
    request: &str,
) -> Result<Scanned<Checksum>, WarehouseError> {
    let what = format!("computing checksums of {}", scan.table);
    let sql = checksum::checksums_statement(scan, rows, group, groups_max);
    let (rows, bytes) = run(api, cx, (scan.job_project, scan.location), &what, &sql, request).await?;
    let found: Option<Vec<Checksum>> = rows.into_iter().map(checksum_of).collect();
    let found = found.ok_or_else(|| garbled(&what, &"not a checksum"))?;
    Ok(Scanned { found, bytes })
}

pub(super) async fn fingerprints(
    api: &BigQuery,
    cx: &Context,
    scan: &TargetScan<'_>,
    rows: &Rows,
    rows_max: u64,
    request: &str,
) -> Result<Scanned<Fingerprint>, WarehouseError> {
    let what = format!("reading fingerprints of {}", scan.table);
    let sql = checksum::fingerprints_statement(scan, rows, rows_max);
    let (rows, bytes) = run(api, cx, (scan.job_project, scan.location), &what, &sql, request).await?;
    let found: Option<Vec<Fingerprint>> = rows.into_iter().map(fingerprint_of).collect();
    let found = found.ok_or_else(|| garbled(&what, &"not a fingerprint"))?;
    Ok(Scanned { found, bytes })
}

fn checksum_of(cells: Cells) -> Option<Checksum> {
    let [group, rows, sum, least, greatest] = <[Option<String>; 5]>::try_from(cells).ok()?;
    // an emulator writes the zeros of a NUMERIC's fraction
    let sum = sum?.split('.').next()?.parse().ok()?;
    Some(Checksum { group: group?, rows: rows?.parse().ok()?, sum, least, greatest })
}

fn fingerprint_of(mut cells: Cells) -> Option<Fingerprint> {
    let key = cells.split_off(2.min(cells.len())).into_iter().map(Option::unwrap_or_default).collect();
    let [key_digest, digest] = <[Option<String>; 2]>::try_from(cells).ok()?;
    Some(Fingerprint { key_digest: key_digest?, digest: digest?, key, settled: true })
}

/// The rows of a query.
pub(super) async fn rows(
    api: &BigQuery,
    cx: &Context,
    place: (&str, &str),
    what: &str,
    sql: &str,
    request: &str,
) -> Result<Vec<Cells>, WarehouseError> {
    Ok(run(api, cx, place, what, sql, request).await?.0)
}

/// Runs the query in that project and location to its end and reads its rows; with the bytes that it processed.
async fn run(
    api: &BigQuery,
    cx: &Context,
    (project, location): (&str, &str),
    what: &str,
    sql: &str,
    request: &str,
) -> Result<(Vec<Cells>, u64), WarehouseError> {
    let body = NewQuery {
        query: sql,
        use_legacy_sql: false,
        location,
        timeout_ms: WAIT_MS,
        max_results: PAGE_ROWS,
        request_id: request,
        labels: Labels { app: "highwater" },
    };
    let url = api.url(what, &[project, "queries"])?;
    let mut page = read(what, &api.call(cx, what, &with_body(Method::POST, what, url, &body)?).await?)?;
    let job = page.job_reference.job_id.clone();
    let mut rows: Vec<Cells> = Vec::new();
    loop {
        if page.job_complete {
            rows.extend(page.rows.into_iter().map(|row| row.f.into_iter().map(|cell| cell.v).collect()));
            if page.page_token.is_none() {
                return Ok((rows, page.total_bytes_processed.0));
            }
        }
        let mut url = api.url(what, &[project, "queries", &job])?;
        url.query_pairs_mut()
            .append_pair("location", location)
            .append_pair("timeoutMs", &WAIT_MS.to_string())
            .append_pair("maxResults", &PAGE_ROWS.to_string());
        if let Some(token) = &page.page_token {
            url.query_pairs_mut().append_pair("pageToken", token);
        }
        page = read(what, &api.call(cx, what, &get(url)).await?)?;
    }
}

fn read(what: &str, answer: &Answer) -> Result<Page, WarehouseError> {
    if answer.status != 200 {
        return Err(refused(what, answer));
    }
    serde_json::from_slice(&answer.body).map_err(|error| garbled(what, &error))
}
