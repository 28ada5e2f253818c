//! The HTTP door: listens, bounds, routes, answers. Nothing is contacted before the first request.
//!
//! A run belongs to the server, not to its connection: a caller that gives up does not break the run off, and
//! its redelivery finds the work done or under way. Who may call is known before anything else of a request is looked at.

mod answer;
mod auth;
mod envelope;
mod pages;
mod route;
mod shared;
mod stream;
mod under_way;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use self::answer::{Answer, RETRY_AFTER_SECONDS};
use self::auth::{Email, Guard, Refusal};
use self::pages::Pages;
use self::route::{NoRoute, Route};
use self::stream::Stream;
use self::under_way::UnderWay;
use crate::app::App;
use crate::engine::RunOptions;
use crate::log;
use crate::model::{Code, TableId};
use crate::net::Context;

/// The most bytes of a request's body. A Pub/Sub message that names a table has some hundred.
const BODY_BYTES_MAX: u64 = 64 << 10;
/// The most bytes of a body that is too large that are read, so that its caller sees the answer.
const DISCARDED_BYTES_MAX: u64 = 4 << 20;
/// The most bytes of a request's line and headers. Google's front end and a token of Pub/Sub's need some thousand.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// The most time for a request's headers, waiting for the request included, and again for its body.
const RECEIVE_MAX: Duration = Duration::from_secs(10);
/// The most time that an answer may wait for its reader to take more of it.
const SEND_STALL_MAX: Duration = Duration::from_secs(10);
/// The most connections at once; beyond it they wait in the listen queue.
const CONNECTIONS_MAX: usize = 1024;
/// From SIGTERM to the end of the process: Cloud Run kills after 10 s.
const GRACE: Duration = Duration::from_secs(8);
/// Kept of [`GRACE`] for the answers to be written after the runs were cut off.
const GRACE_FOR_ANSWERS: Duration = Duration::from_secs(1);
/// The most characters of a path that the log repeats.
const PATH_CHARS_MAX: usize = 200;
/// Wait after an `accept` that failed (too many open files …).
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

struct Server {
    app: Arc<App>,
    /// Who may call; everybody if there is none.
    guard: Option<Guard>,
    pages: Pages,
    runs: Mutex<JoinSet<()>>,
    under_way: Arc<UnderWay>,
    slots: Arc<Semaphore>,
    /// Asks runs to end after what they are doing.
    stop: CancellationToken,
    /// Cuts them off.
    cancel: CancellationToken,
}

/// Serves until `stop` fires, then ends within 8 seconds.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(app: Arc<App>, address: SocketAddr, stop: CancellationToken) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, tables = app.tables().count(), "listening");
    let guard = app.config().auth.clone().map(Guard::new);
    log_guard(guard.as_ref());
    let slots = Arc::new(Semaphore::new(app.config().server.max_concurrent_runs as usize));
    let (under_way, cancel) = (Arc::new(UnderWay::default()), CancellationToken::new());
    let pages = Pages::new(app.clone(), under_way.clone(), cancel.clone());
    let server =
        Arc::new(Server { app, guard, pages, runs: Mutex::default(), under_way, slots, stop: stop.clone(), cancel });
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let permit = room.clone().acquire_owned();
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Ok(permit) = permit => tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted.map(|(stream, _peer)| (stream, permit)),
            },
        };
        match accepted {
            Ok((stream, permit)) => {
                let server = server.clone();
                connections.spawn(async move {
                    server.connection(stream).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    server.drain(connections).await;
    Ok(())
}

impl Server {
    /// Lets runs end after their step, then cuts them off; the connections get their answers.
    async fn drain(&self, mut connections: JoinSet<()>) {
        tracing::info!("stopping: runs end after the step that they are in");
        let mut runs = std::mem::take(&mut *self.runs.lock().await);
        let begun = Instant::now();
        let ended = tokio::time::timeout(GRACE.saturating_sub(GRACE_FOR_ANSWERS), async {
            while runs.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            tracing::warn!(runs = runs.len(), "cut off; the next run goes on from the state");
        }
        self.cancel.cancel();
        let answered = tokio::time::timeout(GRACE.saturating_sub(begun.elapsed()), async {
            while runs.join_next().await.is_some() {}
            while connections.join_next().await.is_some() {}
        });
        // what is still open after the grace is closed with the process
        answered.await.unwrap_or_default();
        tracing::info!(ms = begun.elapsed().as_millis(), "stopped");
    }

    async fn connection(self: &Arc<Self>, stream: TcpStream) {
        let server = self.clone();
        let service = hyper::service::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(RECEIVE_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            // also while it is not whole yet
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Stream::new(stream, SEND_STALL_MAX)), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let route = route::route(request.method().as_str(), request.uri().path());
        // before the body is read, and before a word of what there is and what there is not
        if !matches!(route, Ok(Route::Health))
            && let Some(refused) = Box::pin(self.refuse(&request)).await
        {
            return respond(refused);
        }
        let answer = match route {
            Ok(Route::Health) => Answer::health(),
            Ok(Route::Sync(id)) => {
                let trace = self.trace(request.headers());
                match receive(request).await {
                    Ok(_unused) => self.run(id, trace).await,
                    Err(answer) => answer,
                }
            }
            Ok(Route::PubSub) => {
                let trace = self.trace(request.headers());
                match receive(request).await.map(|body| envelope::table_of(&body)) {
                    Ok(Ok(id)) => self.run(id, trace).await,
                    Ok(Err(bad)) => Answer::fault(400, Code::HttpRequest, &bad.to_string()),
                    Err(answer) => answer,
                }
            }
            Ok(Route::Page(page)) => {
                let query = request.uri().query().unwrap_or_default();
                match Box::pin(self.pages.answer(&page, query, request.headers())).await {
                    Ok(page) => return page,
                    Err(answer) => answer,
                }
            }
            Err(error @ NoRoute::Path) => Answer::fault(404, Code::HttpPath, &error.to_string()),
            Err(error @ NoRoute::Method(allowed)) => {
                Answer::fault(405, Code::HttpMethod, &error.to_string()).allowing(allowed)
            }
            Err(error @ (NoRoute::Name(_) | NoRoute::Encoding)) => {
                Answer::fault(400, Code::HttpRequest, &error.to_string())
            }
        };
        respond(answer)
    }

    /// The answer to a caller that may not call.
    async fn refuse(&self, request: &Request<Incoming>) -> Option<Answer> {
        let guard = self.guard.as_ref()?;
        let refusal = match guard.admit(request.headers(), self.app.now()).await {
            Ok(caller) => {
                tracing::debug!(caller, "the caller may call");
                return None;
            }
            Err(refusal) => refusal,
        };
        let answer = refusal.reason.answer();
        self.log_refusal(&refusal, answer.status, request);
        Some(answer)
    }

    fn log_refusal(&self, refusal: &Refusal, status: u16, request: &Request<Incoming>) {
        let Refusal { reason, email } = refusal;
        let (email, claimed) = match email {
            Some(Email::Verified(email)) => (Some(email.as_str()), None),
            Some(Email::Claimed(email)) => (None, Some(email.as_str())),
            None => (None, None),
        };
        let path: String = request.uri().path().chars().take(PATH_CHARS_MAX).collect();
        let (code, reason) = (reason.code().as_str(), reason.to_string());
        let span = tracing::error_span!("caller", trace = self.trace(request.headers()));
        span.in_scope(|| tracing::warn!(status, reason, code, email, claimed, path, "a caller is refused"));
    }

    fn trace(&self, headers: &HeaderMap) -> Option<String> {
        let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        log::trace_of(&self.app.config().project, text("traceparent"), text("x-cloud-trace-context"))
    }

    /// Starts the run as a task of the server's and waits for its report.
    async fn run(self: &Arc<Self>, id: TableId, trace: Option<String>) -> Answer {
        if let Err(unknown) = self.app.table(&id) {
            return Answer::fault(404, unknown.code(), &unknown.to_string());
        }
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            return Answer::fault(
                429,
                Code::HttpBusy,
                "as many runs as `server.max_concurrent_runs` allows are under way",
            );
        };
        if self.stop.is_cancelled() {
            return Answer::fault(503, Code::Stopping, "the process is stopping");
        }
        let budget = self.app.config().server.run_budget;
        let cx = Context::new(Instant::now() + budget, self.cancel.clone()).with_stop(self.stop.clone());
        // not `info`: a filter that leaves out information must not take the names from warnings
        let span = tracing::error_span!("run", source = %id.source, table = %id.table, trace);
        let (done, report) = oneshot::channel();
        let (app, mark) = (self.app.clone(), self.under_way.begin(&id));
        let run = async move {
            let report = app.sync(&cx, &id, RunOptions::default()).await;
            drop((slot, mark));
            // nobody may be waiting any more
            done.send(report).unwrap_or_default();
        };
        {
            let mut runs = self.runs.lock().await;
            while runs.try_join_next().is_some() {}
            runs.spawn(run.instrument(span));
        }
        match report.await {
            Ok(Ok(report)) => Answer::of_run(&report),
            Ok(Err(unknown)) => Answer::fault(404, unknown.code(), &unknown.to_string()),
            Err(_gone) => Answer::fault(503, Code::Stopping, "the run was cut off"),
        }
    }
}

/// The one line that says who may call. It is no warning that nobody is checked: behind Cloud Run's own check, which is
/// how the service is deployed, nothing else would be right.
fn log_guard(guard: Option<&Guard>) {
    match guard.map(Guard::settings) {
        Some(auth) => tracing::info!(
            audience = auth.audiences.join(" "),
            invokers = auth.invokers.len(),
            "callers are checked: their identity tokens must be for this audience and of one of these accounts"
        ),
        None => tracing::info!(
            "callers are not checked here (no `auth`): whoever reaches this address can start runs, so let Cloud Run or \
             another front check them"
        ),
    }
}

async fn receive(request: Request<Incoming>) -> Result<Bytes, Answer> {
    // what is declared need not be waited for
    if request.body().size_hint().lower() > DISCARDED_BYTES_MAX {
        return Err(too_large());
    }
    let received = tokio::time::timeout(RECEIVE_MAX, read(request.into_body())).await;
    received.unwrap_or_else(|_elapsed| Err(Answer::fault(408, Code::HttpRequest, "the body did not come within 10 s")))
}

/// The body. One that is too large is taken for a while and thrown away: a caller that is still sending when the
/// connection is closed may never see its answer.
async fn read(mut body: Incoming) -> Result<Bytes, Answer> {
    let (mut kept, mut length) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| Answer::fault(400, Code::HttpRequest, "the body could not be read"))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if length > DISCARDED_BYTES_MAX {
            return Err(too_large());
        }
        match length <= BODY_BYTES_MAX {
            true => kept.extend_from_slice(&data),
            false => kept = BytesMut::new(),
        }
    }
    if length > BODY_BYTES_MAX { Err(too_large()) } else { Ok(kept.freeze()) }
}

fn too_large() -> Answer {
    Answer::fault(413, Code::HttpTooLarge, "the body has more than 65536 bytes; name one table per message")
}

fn respond(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    if let Some(challenge) = answer.challenge {
        headers.insert(header::WWW_AUTHENTICATE, http::HeaderValue::from_static(challenge));
    }
    if let Some(allowed) = answer.allowed {
        headers.insert(header::ALLOW, http::HeaderValue::from_static(allowed));
    }
    if answer.retry {
        headers.insert(header::RETRY_AFTER, http::HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}
