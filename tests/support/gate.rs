//! The gate: an HTTP proxy before the BigQuery emulator that is as strict as BigQuery where the emulator is not.
//!
//! - a job id is used once: the second insert is answered 409, however close the two are;
//! - a job must name a location, and it must be its dataset's; a job outside US and EU is found only with it;
//! - every part of a load is checked against the load's schema (see `strict`); a bad one fails the job;
//! - tables keep the modes that they were created with, and take only the changes of schema that BigQuery takes;
//! - a query whose rows are read is a SELECT with a LIMIT and names its location, and so does every look at its rows.
//!
//! It records every request, and can be told to answer some with faults.

mod query;
mod schema;
mod tables;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use highwater::model::Schema;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::strict;

use crate::support::listen::listen;

const URIS_MAX: usize = 10_000;
const LOADS_PER_TABLE_MAX: u32 = 1_500;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub body: Value,
}

impl Seen {
    /// The id of a job that this inserts.
    pub fn inserts_job(&self) -> Option<&str> {
        if self.method != "POST" || !self.path.split('?').next().unwrap_or_default().ends_with("/jobs") {
            return None;
        }
        self.body["jobReference"]["jobId"].as_str()
    }
}

/// What is done with a request instead of the usual.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Answered with this status, not forwarded.
    Status(u16),
    /// Forwarded, and the answer thrown away: 503.
    LostAnswer,
    /// Answered 200 with something that is no JSON.
    Garbage,
    /// Answered 200 with a resource that makes no sense.
    Nonsense,
    /// Held for this long, then forwarded.
    Delay(Duration),
}

struct Rule {
    matches: Box<dyn Fn(&Seen) -> bool + Send>,
    fault: Fault,
    times: u32,
}

struct JobEntry {
    location: String,
    failure: Option<Value>,
    /// The gate itself has done it.
    done: bool,
}

#[derive(Default)]
struct Memory {
    seen: Vec<Seen>,
    rules: Vec<Rule>,
    jobs: HashMap<String, JobEntry>,
    /// Location of each dataset, `project/dataset`.
    datasets: HashMap<String, String>,
    /// Fields of each table as created and patched, `project/dataset/table`.
    tables: HashMap<String, Vec<Value>>,
    loads: HashMap<String, u32>,
    /// Rows of parts with the part's URI.
    kept: Option<Vec<(String, Value)>>,
    /// Jobs whose id ends so fail with this reason and message.
    failing: Option<(String, Value)>,
}

/// The emulator's writes collide where BigQuery's do not: all gates of the process let one through at a time.
static ONE_WRITE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// The most time for a job of the emulator.
const JOB_MAX: Duration = Duration::from_secs(250);

struct Inner {
    bigquery: String,
    storage: String,
    client: reqwest::Client,
    memory: Mutex<Memory>,
}

/// A running gate; it ends when dropped.
pub struct Gate {
    pub url: String,
    inner: Arc<Inner>,
    _server: JoinSet<()>,
}

type Reply = (u16, Bytes);

fn fault_reply(status: u16, reason: &str, message: &str) -> Reply {
    let body =
        json!({"error": {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}});
    (status, Bytes::from(body.to_string()))
}

impl Gate {
    /// Opens a gate before the emulator.
    pub async fn open(bigquery: &str, storage: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let inner =
            Arc::new(Inner { bigquery: bigquery.into(), storage: storage.into(), client, memory: Mutex::default() });
        let at = inner.clone();
        let (url, server) = listen(move |request| {
            let at = at.clone();
            async move { at.answer(request).await }
        })
        .await;
        Self { url, inner, _server: server }
    }

    /// Everything that came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.memory.lock().unwrap().seen.clone()
    }

    /// Ids of the jobs that were inserted and begin so, answered 409 or not.
    pub fn inserted(&self, prefix: &str) -> Vec<String> {
        let ids = self.seen().iter().filter_map(|seen| seen.inserts_job().map(str::to_owned)).collect::<Vec<_>>();
        ids.into_iter().filter(|id| id.starts_with(prefix)).collect()
    }

    /// From now on jobs whose id ends in `suffix` fail so, without effect.
    pub fn fail_jobs(&self, suffix: &str, reason: &str, message: &str) {
        let failure = json!({"reason": reason, "message": message});
        self.inner.memory.lock().unwrap().failing = Some((suffix.to_owned(), failure));
    }

    /// From now on keeps the rows of every part, to be asked for by [`Gate::kept`].
    pub fn keep_rows(&self) {
        self.inner.memory.lock().unwrap().kept = Some(Vec::new());
    }

    /// The rows of the last load of rows for that target, each as its JSON.
    pub fn kept(&self, table: &str) -> Vec<Value> {
        let memory = self.inner.memory.lock().unwrap();
        let of_table = memory.kept.iter().flatten().filter(|(uri, _)| uri.contains(&format!("/{table}/")));
        of_table.map(|(_, row)| row.clone()).collect()
    }

    /// Forgets every fault.
    pub fn forgive(&self) {
        self.inner.memory.lock().unwrap().rules.clear();
    }

    /// The next `times` requests that match are answered with the fault.
    pub fn fault(&self, times: u32, fault: Fault, matches: impl Fn(&Seen) -> bool + Send + 'static) {
        self.inner.memory.lock().unwrap().rules.push(Rule { matches: Box::new(matches), fault, times });
    }
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let method = request.method().to_string();
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let if_match = request.headers().get("if-match").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let seen = Seen { method, path, body: serde_json::from_slice(&body).unwrap_or(Value::Null) };
        let fault = self.take_fault(&seen);
        let (status, body) = match fault {
            Some(Fault::Status(status)) => fault_reply(status, "backendError", "a fault of the test's"),
            Some(Fault::Garbage) => (200, Bytes::from_static(b"<html>not JSON")),
            Some(Fault::Nonsense) => (200, Bytes::from_static(b"{\"kind\": \"bigquery#job\", \"status\": 7}")),
            Some(Fault::LostAnswer) => {
                self.route(&seen, body, if_match).await;
                fault_reply(503, "backendError", "the answer was lost")
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.route(&seen, body, if_match).await
            }
            None => self.route(&seen, body, if_match).await,
        };
        let builder = Response::builder().status(status).header("content-type", "application/json");
        builder.body(Full::new(body)).unwrap()
    }

    fn take_fault(&self, seen: &Seen) -> Option<Fault> {
        let mut memory = self.memory.lock().unwrap();
        memory.seen.push(seen.clone());
        let rule = memory.rules.iter_mut().find(|rule| rule.times > 0 && (rule.matches)(seen))?;
        rule.times -= 1;
        Some(rule.fault)
    }

    async fn route(&self, seen: &Seen, body: Bytes, if_match: Option<String>) -> Reply {
        let path = seen.path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_start_matches("/bigquery/v2/projects/").split('/').collect();
        match (seen.method.as_str(), parts.as_slice()) {
            ("POST", [project, "jobs"]) => self.insert_job(project, seen, body).await,
            ("GET", [project, "jobs", id]) => self.get_job(project, id, seen).await,
            (_, [_, "queries", ..]) => self.query(seen, body).await,
            ("POST", [project, "datasets"]) => {
                // known before it is made: somebody may look at it as soon as it is there
                let id = seen.body["datasetReference"]["datasetId"].as_str().unwrap_or_default();
                let location = seen.body["location"].as_str().unwrap_or("US").to_owned();
                self.memory.lock().unwrap().datasets.entry(format!("{project}/{id}")).or_insert(location);
                self.forward(seen, body, if_match).await
            }
            ("POST", [project, "datasets", dataset, "tables"]) => {
                let id = seen.body["tableReference"]["tableId"].as_str().unwrap_or_default();
                let fields = seen.body["schema"]["fields"].as_array().cloned().unwrap_or_default();
                let key = format!("{project}/{dataset}/{id}");
                // known before it is made, as its dataset
                self.memory.lock().unwrap().tables.entry(key).or_insert(fields);
                self.forward(seen, body, if_match).await
            }
            ("GET", [project, "datasets", dataset]) => {
                let reply = self.forward(seen, body, if_match).await;
                self.with_location(reply, &format!("{project}/{dataset}"))
            }
            ("GET", [project, "datasets", dataset, "tables", id]) => {
                let reply = self.forward(seen, body, if_match).await;
                self.with_modes(reply, &format!("{project}/{dataset}/{id}"))
            }
            ("PATCH", [project, "datasets", dataset, "tables", id]) => {
                let key = format!("{project}/{dataset}/{id}");
                if let Some(refusal) = self.refuse_patch(&key, &seen.body) {
                    return refusal;
                }
                let reply = self.forward(seen, body, if_match).await;
                if let (200, Some(fields)) = (reply.0, seen.body["schema"]["fields"].as_array()) {
                    self.memory.lock().unwrap().tables.insert(key, fields.clone());
                }
                reply
            }
            ("DELETE", [project, "datasets", dataset, "tables", id]) => {
                self.memory.lock().unwrap().tables.remove(&format!("{project}/{dataset}/{id}"));
                self.forward(seen, body, if_match).await
            }
            _ => self.forward(seen, body, if_match).await,
        }
    }

    async fn forward(&self, seen: &Seen, body: Bytes, if_match: Option<String>) -> Reply {
        let _one = if seen.method == "GET" { None } else { Some(ONE_WRITE.lock().await) };
        self.send(seen, body, if_match).await
    }

    /// Forwards the insert of a job and waits until the emulator has done it.
    async fn forward_job(&self, project: &str, id: &str, seen: &Seen, body: Bytes) -> Reply {
        let _one = ONE_WRITE.lock().await;
        let reply = self.send(seen, body, None).await;
        let look = Seen {
            method: "GET".into(),
            path: format!("/bigquery/v2/projects/{project}/jobs/{id}"),
            body: Value::Null,
        };
        let until = tokio::time::Instant::now() + JOB_MAX;
        while reply.0 == 200 && tokio::time::Instant::now() < until {
            let (_, body) = self.send(&look, Bytes::new(), None).await;
            let state: Value = serde_json::from_slice(&body).unwrap_or_default();
            if state["status"]["state"] == "DONE" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        reply
    }

    async fn send(&self, seen: &Seen, body: Bytes, if_match: Option<String>) -> Reply {
        let method = reqwest::Method::from_bytes(seen.method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{}", self.bigquery, seen.path)).body(body);
        request = request.header("content-type", "application/json");
        if let Some(etag) = if_match {
            request = request.header("if-match", etag);
        }
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                (status, answer.bytes().await.unwrap_or_default())
            }
            Err(error) => fault_reply(502, "backendError", &error.to_string()),
        }
    }

    async fn insert_job(&self, project: &str, seen: &Seen, body: Bytes) -> Reply {
        let id = seen.body["jobReference"]["jobId"].as_str().unwrap_or_default();
        let location = seen.body["jobReference"]["location"].as_str().unwrap_or_default();
        // no job comes of it, so it has no id
        if seen.body["configuration"]["dryRun"] == true && id.is_empty() && !location.is_empty() {
            return self.send(seen, body, None).await;
        }
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if id.is_empty() || id.len() > 1024 || !id.bytes().all(fine) {
            return fault_reply(400, "invalid", &format!("Invalid job ID {id:?}"));
        }
        if location.is_empty() {
            return fault_reply(400, "invalid", "the gate wants every job to name its location");
        }
        let load = &seen.body["configuration"]["load"];
        if let Some(refusal) = self.refuse_location(project, load, location) {
            return refusal;
        }
        {
            let mut memory = self.memory.lock().unwrap();
            let key = format!("{project}/{id}");
            if memory.jobs.contains_key(&key) {
                return fault_reply(409, "duplicate", &format!("Already Exists: Job {project}:{location}.{id}"));
            }
            let failure = memory
                .failing
                .as_ref()
                .filter(|(suffix, _)| id.ends_with(suffix.as_str()))
                .map(|(_, failure)| failure.clone());
            let fails = failure.is_some();
            memory.jobs.insert(key, JobEntry { location: location.to_owned(), failure, done: false });
            if fails {
                return (200, Bytes::from(json!({"kind": "bigquery#job", "status": {"state": "RUNNING"}}).to_string()));
            }
        }
        if load.is_object()
            && let Err((reason, message)) = self.check_load(load).await
        {
            let failure = json!({"reason": reason, "message": message});
            let mut memory = self.memory.lock().unwrap();
            memory.jobs.get_mut(&format!("{project}/{id}")).unwrap().failure = Some(failure);
            return (200, Bytes::from(json!({"kind": "bigquery#job", "status": {"state": "RUNNING"}}).to_string()));
        }
        if let Some(reply) = self.widen_by_copy(seen).await {
            return reply;
        }
        let reply = self.forward_job(project, id, seen, body).await;
        self.learn_job(project, id, &seen.body["configuration"]).await;
        reply
    }

    fn refuse_location(&self, project: &str, load: &Value, location: &str) -> Option<Reply> {
        let dataset = load["destinationTable"]["datasetId"].as_str()?;
        let memory = self.memory.lock().unwrap();
        let known = memory.datasets.get(&format!("{project}/{dataset}"))?;
        (!known.eq_ignore_ascii_case(location)).then(|| {
            fault_reply(
                404,
                "notFound",
                &format!("Not found: Dataset {project}:{dataset} was not found in location {location}"),
            )
        })
    }

    async fn get_job(&self, project: &str, id: &str, seen: &Seen) -> Reply {
        let not_found = || fault_reply(404, "notFound", &format!("Not found: Job {project}:{id}"));
        let asked =
            seen.path.split_once("location=").map(|(_, rest)| rest.split('&').next().unwrap_or_default().to_owned());
        {
            let memory = self.memory.lock().unwrap();
            let Some(entry) = memory.jobs.get(&format!("{project}/{id}")) else { return not_found() };
            let multi_region = matches!(entry.location.to_ascii_uppercase().as_str(), "US" | "EU");
            let matches = asked.as_ref().is_some_and(|asked| asked.eq_ignore_ascii_case(&entry.location));
            if !matches && (!multi_region || asked.is_some()) {
                return not_found();
            }
            if entry.done {
                return (
                    200,
                    Bytes::from(
                        json!({"kind": "bigquery#job", "status": {"state": "DONE"}, "statistics": {}}).to_string(),
                    ),
                );
            }
            if let Some(failure) = &entry.failure {
                let body = json!({"kind": "bigquery#job", "status": {"state": "DONE", "errorResult": failure, "errors": [failure]}, "statistics": {}});
                return (200, Bytes::from(body.to_string()));
            }
        }
        self.forward(seen, Bytes::new(), None).await
    }

    /// What BigQuery would say of the load's parts.
    async fn check_load(&self, load: &Value) -> Result<(), (&'static str, String)> {
        let invalid = |message: String| ("invalid", message);
        let uris: Vec<&str> = load["sourceUris"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if uris.is_empty() || uris.len() > URIS_MAX {
            return Err(invalid(format!("{} source URIs", uris.len())));
        }
        let destination = load["destinationTable"].to_string();
        {
            let mut memory = self.memory.lock().unwrap();
            let loads = memory.loads.entry(destination).or_default();
            *loads += 1;
            if *loads > LOADS_PER_TABLE_MAX {
                return Err(("quotaExceeded", "Exceeded rate limits: load jobs per table".into()));
            }
        }
        let schema: Schema =
            serde_json::from_value(load["schema"]["fields"].clone()).map_err(|error| invalid(error.to_string()))?;
        let mut gzipped = None;
        for uri in uris {
            let path = uri.strip_prefix("gs://").and_then(|path| path.split_once('/'));
            let (bucket, name) = path.ok_or_else(|| invalid(format!("not a URI: {uri}")))?;
            let name = name.replace('%', "%25").replace('/', "%2F");
            let url = format!("{}/storage/v1/b/{bucket}/o/{name}?alt=media", self.storage);
            let answer = self.client.get(url).send().await.map_err(|error| ("backendError", error.to_string()))?;
            if answer.status() == 404 {
                return Err(("notFound", format!("Not found: URI {uri}")));
            }
            let bytes = answer.bytes().await.map_err(|error| ("backendError", error.to_string()))?;
            let is_gzip = bytes.starts_with(&[0x1f, 0x8b]);
            if *gzipped.get_or_insert(is_gzip) != is_gzip {
                return Err(invalid("gzipped and plain files in one load".into()));
            }
            self.keep(uri, &bytes);
            let (uri, schema) = (uri.to_owned(), schema.clone());
            let checked = tokio::task::spawn_blocking(move || {
                strict::check_part(&schema, &bytes)
                    .map_err(|problem| format!("Error while reading data, file {uri}: {problem}"))
            });
            checked.await.unwrap().map_err(invalid)?;
        }
        Ok(())
    }

    fn keep(&self, uri: &str, bytes: &[u8]) {
        if let Some(kept) = &mut self.memory.lock().unwrap().kept {
            let rows =
                strict::lines(bytes).into_iter().map(|line| (uri.to_owned(), serde_json::from_str(&line).unwrap()));
            kept.extend(rows);
        }
    }
}
