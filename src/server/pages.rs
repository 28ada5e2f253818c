//! What people and monitoring look at: the status page, its JSON, the metrics.
//!
//! Everybody sees one look, which is kept for some seconds and taken by one task at a time, so that many viewers cost what
//! one does; so is what was made of it for a kind of page. Nothing is started, nothing is written, and no source is asked.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::route::Page;
use super::shared::{self, Part, Shared};
use super::under_way::UnderWay;
use crate::app::{App, Memory};
use crate::model::{Code, TableId, TableSettings};
use crate::net::Context;
use crate::page::standing::Standing;
use crate::page::{self, Asked, Detail, Order, View, data, metrics};

/// For how long a look is good.
const LOOK_KEPT: Duration = Duration::from_secs(5);
/// The most time of a look.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// The most tables whose details are kept.
const DETAILS_MAX: usize = 64;
/// The most tables that wait for a closer look, the one that is looked at among them.
const CLOSER_MAX: usize = 16;
/// The fewest bytes of a body that is worth compressing.
const GZIP_BYTES_MIN: usize = 1_024;
/// How hard is compressed: a page of 500 tables in some milliseconds.
const GZIP_LEVEL: u32 = 6;

/// A look, and what was made of it.
struct Look {
    at: Instant,
    view: View,
    bodies: Mutex<Vec<(Made, Arc<Body>)>>,
}

/// What is made of a look once for all who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    List(Order),
    Tables,
    Runs,
}

/// What is sent.
struct Body {
    kind: &'static str,
    plain: Bytes,
    /// Made at its first use; `None` where it is not worth it.
    packed: OnceLock<Option<Bytes>>,
}

/// Serves pages.
pub(super) struct Pages {
    looks: Arc<Looks>,
    /// A look belongs here and not to a request: a caller that gives up does not take it from others.
    looking: Mutex<JoinSet<()>>,
    started_at: Timestamp,
}

struct Looks {
    app: Arc<App>,
    under_way: Arc<UnderWay>,
    cancel: CancellationToken,
    memory: tokio::sync::Mutex<Memory>,
    last: Mutex<Option<Arc<Look>>>,
    details: Mutex<HashMap<TableId, (Instant, Arc<Detail>)>>,
    /// Looks at everything.
    wide: Shared<(), Arc<Look>>,
    /// Closer looks at one table.
    closer: Shared<TableId, Arc<Detail>>,
    /// Held by who looks closer at a table.
    turn: tokio::sync::Mutex<()>,
}

impl Pages {
    /// Pages of that, looked at by nobody yet. `cancel` cuts a look off.
    pub(super) fn new(app: Arc<App>, under_way: Arc<UnderWay>, cancel: CancellationToken) -> Self {
        let started_at = app.now();
        let looks = Looks {
            app,
            under_way,
            cancel,
            memory: tokio::sync::Mutex::default(),
            last: Mutex::default(),
            details: Mutex::default(),
            wide: Shared::new(1),
            closer: Shared::new(CLOSER_MAX),
            turn: tokio::sync::Mutex::default(),
        };
        Self { looks: Arc::new(looks), looking: Mutex::default(), started_at }
    }

    /// The answer to a request for a page.
    ///
    /// # Errors
    /// There is no such table, too many are looked at, or the process is stopping.
    pub(super) async fn answer(
        &self,
        wanted: &Page,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Full<Bytes>>, Answer> {
        let app = &self.looks.app;
        let body = match wanted {
            Page::Table(id) | Page::TableData(id) => self.one(id, matches!(wanted, Page::Table(_))).await?,
            Page::List => {
                let (look, asked) = (self.look().await?, Asked::parse(query));
                let make = || Ok(Body::new(HTML, page::list(&look.view, &asked, app.now()).into_string()));
                // there are as many questions as people ask
                if asked.query.is_empty() { look.body(Made::List(asked.order), make)? } else { Arc::new(make()?) }
            }
            Page::Tables => {
                let look = self.look().await?;
                look.body(Made::Tables, || json(data::tables(&look.view)))?
            }
            Page::Runs => {
                let look = self.look().await?;
                look.body(Made::Runs, || json(data::runs(&look.view)))?
            }
            Page::Metrics => {
                let text = metrics::metrics(&self.look().await?.view, &self.process(), app.now());
                Arc::new(Body::new(metrics::CONTENT_TYPE, text))
            }
        };
        Ok(respond(&body, takes_gzip(headers)))
    }

    async fn one(&self, id: &TableId, is_page: bool) -> Result<Arc<Body>, Answer> {
        let app = &self.looks.app;
        let settings =
            app.table(id).map_err(|unknown| Answer::fault(404, unknown.code(), &unknown.to_string()))?.into_owned();
        let look = self.look().await?;
        let (view, detail) = (&look.view, self.detail(&settings).await?);
        let known = view.tables.iter().find(|table| table.id == *id);
        let standing = match known {
            Some(standing) => standing.clone(),
            // a pattern means the name, and nothing of it is known; or it is one too many for the list
            None => Standing::unseen(&settings, detail.kept.clone(), view.at),
        };
        match is_page {
            true => Ok(Arc::new(Body::new(HTML, page::table(view, &standing, &detail, app.now()).into_string()))),
            false => Ok(Arc::new(json(data::one(view, &standing, &detail))?)),
        }
    }

    /// The look that everybody sees; a new one if it is too old.
    async fn look(&self) -> Result<Arc<Look>, Answer> {
        if let Some(look) = self.looks.fresh() {
            return Ok(look);
        }
        let receiver = match self.looks.wide.join(&()) {
            Part::Wait(receiver) => receiver,
            Part::Begin(receiver) => {
                let ending = Ending { looks: self.looks.clone(), of: |looks| &looks.wide, key: Some(()), value: None };
                self.spawn(async move { ending.looks.clone().look(ending).await });
                receiver
            }
            Part::Full => return Err(busy()),
        };
        shared::wait(receiver).await.ok_or_else(|| self.nothing())
    }

    async fn detail(&self, settings: &TableSettings) -> Result<Arc<Detail>, Answer> {
        let id = &settings.id;
        if let Some(detail) = self.looks.fresh_detail(id) {
            return Ok(detail);
        }
        let receiver = match self.looks.closer.join(id) {
            Part::Wait(receiver) => receiver,
            Part::Begin(receiver) => {
                let (settings, deadline) = (settings.clone(), Instant::now() + LOOK_MAX);
                let ending =
                    Ending { looks: self.looks.clone(), of: |looks| &looks.closer, key: Some(id.clone()), value: None };
                self.spawn(async move { ending.looks.clone().look_closer(&settings, deadline, ending).await });
                receiver
            }
            Part::Full => return Err(busy()),
        };
        shared::wait(receiver).await.ok_or_else(|| self.nothing())
    }

    /// Does it as a task of ours.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        while looking.try_join_next().is_some() {}
        looking.spawn(work);
    }

    /// The answer where a look came to nothing.
    fn nothing(&self) -> Answer {
        match self.looks.cancel.is_cancelled() {
            true => Answer::fault(503, Code::Stopping, "the process is stopping"),
            false => Answer::fault(503, Code::HttpBusy, "others were looked at for as long as a look may take"),
        }
    }

    fn process(&self) -> metrics::Process {
        let (resident_bytes, open_files) = own_sizes();
        metrics::Process {
            started_at: self.started_at,
            runs: self.looks.under_way.counts().values().sum(),
            runs_max: self.looks.app.config().server.max_concurrent_runs as usize,
            resident_bytes,
            open_files,
        }
    }
}

impl Looks {
    fn fresh(&self) -> Option<Arc<Look>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|look| look.at.elapsed() < LOOK_KEPT).cloned()
    }

    fn fresh_detail(&self, id: &TableId) -> Option<Arc<Detail>> {
        let details = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        details.get(id).filter(|(at, _)| at.elapsed() < LOOK_KEPT).map(|(_, detail)| detail.clone())
    }

    async fn look(&self, mut ending: Ending<(), Arc<Look>>) {
        let mut memory = self.memory.lock().await;
        if let Some(look) = self.fresh() {
            ending.value = Some(look);
            return;
        }
        let cx = Context::new(Instant::now() + LOOK_MAX, self.cancel.clone());
        let counts = self.under_way.counts();
        let under_way = |id: &TableId| counts.get(id).copied().unwrap_or(0);
        let view = Box::pin(self.app.look(&cx, &mut memory, under_way)).await;
        let (tables, ms, faults) = (view.tables.len(), view.took_ms, view.notes.len());
        tracing::debug!(tables, ms, faults, "looked at all tables for a page");
        let look = Arc::new(Look { at: Instant::now(), view, bodies: Mutex::default() });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(look.clone());
        ending.value = Some(look);
    }

    /// One at a time. `deadline` is for waiting as well, and who nobody waits for any more gives up its turn.
    async fn look_closer(&self, settings: &TableSettings, deadline: Instant, mut ending: Ending<TableId, Arc<Detail>>) {
        let Ok(_turn) = tokio::time::timeout_at(deadline, self.turn.lock()).await else { return };
        if self.closer.is_left(&settings.id) {
            return ending.forget();
        }
        let cx = Context::new(deadline, self.cancel.clone());
        let detail = Arc::new(Box::pin(self.app.look_closer(&cx, settings)).await);
        let mut details = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        details.retain(|_, (at, _)| at.elapsed() < LOOK_KEPT);
        if details.len() < DETAILS_MAX {
            details.insert(settings.id.clone(), (Instant::now(), detail.clone()));
        }
        ending.value = Some(detail);
    }
}

/// Tells those who wait when the work ends, however it does.
struct Ending<K: Eq + Hash + Clone, V: Clone> {
    looks: Arc<Looks>,
    of: fn(&Looks) -> &Shared<K, V>,
    key: Option<K>,
    value: Option<V>,
}

impl<K: Eq + Hash + Clone, V: Clone> Ending<K, V> {
    /// Nobody waits, and another may have begun the same.
    fn forget(mut self) {
        self.key = None;
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Drop for Ending<K, V> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            (self.of)(&self.looks).end(&key, self.value.take());
        }
    }
}

impl Look {
    /// What was made of it for that kind of page; made now if it was not yet.
    fn body(&self, made: Made, make: impl FnOnce() -> Result<Body, Answer>) -> Result<Arc<Body>, Answer> {
        let lock = || self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().iter().find(|(known, _)| *known == made).map(|(_, body)| body.clone());
        if let Some(body) = known {
            return Ok(body);
        }
        let body = Arc::new(make()?);
        lock().push((made, body.clone()));
        Ok(body)
    }
}

impl Body {
    fn new(kind: &'static str, text: String) -> Self {
        Self { kind, plain: Bytes::from(text), packed: OnceLock::new() }
    }

    fn packed(&self) -> Option<Bytes> {
        let pack = || (self.plain.len() >= GZIP_BYTES_MIN).then(|| pack(&self.plain)).flatten().map(Bytes::from);
        self.packed.get_or_init(pack).clone()
    }
}

fn busy() -> Answer {
    Answer::fault(429, Code::HttpBusy, "as many tables as may be are looked at")
}

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

fn json(text: Result<String, serde_json::Error>) -> Result<Body, Answer> {
    match text {
        Ok(text) => Ok(Body::new(JSON, text)),
        Err(error) => Err(Answer::fault(500, Code::Bug, &format!("the answer cannot be written: {error}"))),
    }
}

fn respond(body: &Body, gzip: bool) -> Response<Full<Bytes>> {
    let (kind, packed) = (body.kind, gzip.then(|| body.packed()).flatten());
    let is_packed = packed.is_some();
    let mut response = Response::new(Full::new(packed.unwrap_or_else(|| body.plain.clone())));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.insert(header::CONTENT_TYPE, fixed(kind));
    headers.insert(header::CACHE_CONTROL, fixed("no-store"));
    headers.insert(header::VARY, fixed("Accept-Encoding"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(header::REFERRER_POLICY, fixed("no-referrer"));
    let policy = if kind == HTML { page::policy() } else { "default-src 'none'; frame-ancestors 'none'" };
    headers.insert(header::CONTENT_SECURITY_POLICY, fixed(policy));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, fixed("gzip"));
    }
    response
}

fn pack(body: &[u8]) -> Option<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(GZIP_LEVEL));
    packed.write_all(body).ok()?;
    packed.finish().ok()
}

/// Whether the client takes gzip (RFC 9110, 12.5.3): it names it, or `*`, and not with a weight of 0.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut by_star = false;
    for item in texts.flat_map(|text| text.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight =
            parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.trim().parse::<f32>().ok());
        let wanted = weight.is_none_or(|weight| weight > 0.0);
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return wanted;
        }
        by_star |= name == "*" && wanted;
    }
    by_star
}

/// Resident size and open files, as Linux tells them; others tell nothing.
fn own_sizes() -> (Option<u64>, Option<usize>) {
    let status = std::fs::read_to_string("/proc/self/status").ok();
    let line = status.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("VmRSS:")));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok());
    let files = std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
    (kib.map(|kib| kib * 1_024), files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        let takes = |text: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(text))]))
        };
        for text in ["gzip", "br, gzip;q=0.5", "GZIP", "*", "deflate;q=0,*;q=0.1"] {
            assert!(takes(text), "{text}");
        }
        for text in ["", "br", "gzip;q=0", "*, gzip; q=0", "*;q=0", "gzipped"] {
            assert!(!takes(text), "{text}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
