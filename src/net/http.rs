//! JSON over HTTP, for calls that may be replayed: bounded, retried, counted.
//!
//! A call may be replayed because it reads, or names what it makes. So an attempt that is not answered soon is given up
//! for another: a request more than needed costs nothing, a minute at a dead connection costs the run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use url::Url;

use super::{Attempts, Context, Interrupted, Tokens, Tried};

pub use reqwest::Method;

/// The most time for the first attempt, its answer's body included. BigQuery answers such calls within a second or two;
/// whoever is slower gets more time with each attempt.
const FIRST_ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// The most time for a token, of an attempt that may take longer.
const TOKEN_MAX: Duration = Duration::from_secs(10);
/// The most time for opening a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The most attempts of one call.
const ATTEMPTS_MAX: u32 = 10;
/// The most bytes of an answer, unless the client says less.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// The most bytes of a body that an error message repeats.
const SHOWN_BYTES_MAX: usize = 300;

/// Makes ring the process's TLS provider; again is without harm.
pub fn install_tls() {
    // an error only says that one is installed already
    rustls::crypto::ring::default_provider().install_default().unwrap_or_default();
}

/// A client of one service.
#[derive(Clone, Debug)]
pub struct Http {
    /// Made for the first request, as it reads every certificate authority of the system, and start-up waits for nothing.
    /// Forgotten after a silence, and its connections with it: many requests share one connection of HTTP/2, and one that
    /// is dead would be taken again for the next attempt.
    client: Arc<Mutex<Option<reqwest::Client>>>,
    tokens: Tokens,
    /// Whether the address is a secret, so that nothing of it is logged.
    secret: bool,
    answer_bytes_max: usize,
}

/// A request that may be sent any number of times.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: Url,
    /// A JSON body.
    pub body: Option<Bytes>,
    /// `If-Match`.
    pub if_match: Option<String>,
}

/// An answer that is not one to try again after.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The entity's version.
    pub etag: Option<String>,
    /// For how long it may be kept, where it says so: `max-age` of its `Cache-Control`, less its `Age`.
    pub max_age: Option<Duration>,
    /// The body.
    pub body: Bytes,
}

/// No answer that could be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Every attempt failed, or the time for another is not there.
    #[error("no answer after {tried}: {message}")]
    Unavailable {
        /// How often it was tried, and how long.
        tried: Tried,
        /// The last answer.
        message: String,
    },
    /// No token could be had.
    #[error("{0}")]
    Credentials(String),
    /// The run's time is up or the process is stopping.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

enum Attempt {
    Answered(Answer),
    Again { message: String, after: Option<Duration> },
}

impl Http {
    /// A client that sends these tokens.
    pub fn new(tokens: Tokens) -> Self {
        install_tls();
        Self { client: Arc::default(), tokens, secret: false, answer_bytes_max: ANSWER_BYTES_MAX }
    }

    /// A client of services whose addresses are secrets. It sends no tokens.
    pub fn of_secret_addresses() -> Self {
        install_tls();
        Self { client: Arc::default(), tokens: Tokens::Anonymous, secret: true, answer_bytes_max: ANSWER_BYTES_MAX }
    }

    /// The same, with these tokens.
    #[must_use]
    pub fn with_tokens(self, tokens: Tokens) -> Self {
        Self { tokens, ..self }
    }

    /// The same, for a service whose answers have at most so many bytes.
    #[must_use]
    pub fn with_answer_bytes_max(self, answer_bytes_max: usize) -> Self {
        Self { answer_bytes_max, ..self }
    }

    /// Sends the request until it is answered with something else than 408, 429, 5xx, a redirect or what `again`
    /// recognises.
    ///
    /// # Errors
    /// It never was, no token could be had, or the run's time is up.
    pub async fn send(
        &self,
        cx: &Context,
        request: &Request,
        again: impl Fn(&Answer) -> bool + Send,
    ) -> Result<Answer, CallError> {
        let mut attempts = Attempts::new(ATTEMPTS_MAX, FIRST_ATTEMPT_MAX);
        loop {
            // the time of an attempt may end while it waits for a token, which is not the service's silence
            let has_token = AtomicBool::new(false);
            let attempt = Box::pin(self.attempt(cx, request, &again, &has_token));
            let (message, after) = match attempts.make(cx, attempt).await {
                Ok(Ok(Attempt::Answered(answer))) => return Ok(answer),
                Ok(Ok(Attempt::Again { message, after })) => (message, after),
                Ok(Err(error)) => return Err(error),
                Err(silence @ Interrupted::TimedOut(_)) if !has_token.load(Ordering::Relaxed) => {
                    (format!("no token: {silence}"), None)
                }
                Err(silence @ Interrupted::TimedOut(_)) => {
                    *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    (silence.to_string(), None)
                }
                Err(interrupted) => return Err(interrupted.into()),
            };
            let url = if self.secret { "(secret)" } else { request.url.path() };
            tracing::debug!(url, tried = %attempts.tried(), message, "call failed");
            if !attempts.again(cx, after).await? {
                return Err(CallError::Unavailable { tried: attempts.tried(), message });
            }
        }
    }

    fn client(&self) -> reqwest::Client {
        let mut slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert_with(|| client(self.secret)).clone()
    }

    async fn attempt(
        &self,
        cx: &Context,
        request: &Request,
        again: &(impl Fn(&Answer) -> bool + Send),
        has_token: &AtomicBool,
    ) -> Result<Attempt, CallError> {
        let token = match cx.limit(TOKEN_MAX, self.tokens.bearer()).await {
            Ok(Ok(token)) => token,
            Ok(Err(error)) if error.passes => {
                return Ok(Attempt::Again { message: format!("no token: {error}"), after: None });
            }
            Ok(Err(error)) => return Err(CallError::Credentials(error.to_string())),
            Err(silence @ Interrupted::TimedOut(_)) => {
                return Ok(Attempt::Again { message: format!("no token: {silence}"), after: None });
            }
            Err(interrupted) => return Err(interrupted.into()),
        };
        has_token.store(true, Ordering::Relaxed);
        let mut sent =
            self.client().request(request.method.clone(), request.url.clone()).headers(headers(request, token)?);
        if let Some(body) = &request.body {
            sent = sent.body(body.clone());
        }
        let lost = |error: reqwest::Error| Attempt::Again { message: describe(&error), after: None };
        let mut response = match sent.send().await {
            Ok(response) => response,
            Err(error) => return Ok(lost(error)),
        };
        let status = response.status().as_u16();
        let after = retry_after(response.headers());
        let etag = response.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // Google's APIs that are called here never redirect: it is a captive portal or a wrong endpoint
        if (300..400).contains(&status) && status != 304 {
            return Ok(Attempt::Again { message: format!("an unexpected redirect ({status})"), after });
        }
        let max_age = max_age(response.headers());
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= self.answer_bytes_max => body.extend_from_slice(&chunk),
                Ok(Some(_)) => {
                    let message = format!("an answer of more than {} KiB", self.answer_bytes_max >> 10);
                    return Ok(Attempt::Again { message, after: None });
                }
                Ok(None) => break,
                Err(error) => return Ok(lost(error)),
            }
        }
        let answer = Answer { status, etag, max_age, body: body.freeze() };
        let passing = matches!(status, 408 | 429 | 500 | 502 | 503 | 504) || again(&answer);
        // a page may repeat the address that was asked for
        let shown = || if self.secret { format!("HTTP {status}") } else { answer.shown() };
        Ok(if passing { Attempt::Again { message: shown(), after } } else { Attempt::Answered(answer) })
    }
}

/// A client with no connection yet.
fn client(secret: bool) -> reqwest::Client {
    let builder = reqwest::Client::builder();
    // what speaks HTTP/2 may log the path of a request
    let builder = if secret { builder.http1_only() } else { builder };
    builder
        .user_agent(concat!("highwater/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_MAX)
        .redirect(reqwest::redirect::Policy::none())
        // nothing but what the code says decides where tokens are sent
        .no_proxy()
        // every attempt is counted here
        .retry(reqwest::retry::never())
        .build()
        .unwrap_or_default()
}

impl Answer {
    /// Status and beginning of the body, on one line.
    pub fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let short: String = text.chars().take(SHOWN_BYTES_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("HTTP {}: {}", self.status, short.trim())
    }
}

fn headers(request: &Request, token: Option<String>) -> Result<HeaderMap, CallError> {
    let mut headers = HeaderMap::new();
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|_invalid| CallError::Credentials("a token with odd characters".to_owned()))
    };
    if let Some(token) = token {
        let mut bearer = value(&format!("Bearer {token}"))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    if request.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(etag) = &request.if_match {
        headers.insert(HeaderName::from_static("if-match"), value(etag)?);
    }
    Ok(headers)
}

/// The driver's error without the url, with its causes.
fn describe(error: &reqwest::Error) -> String {
    let mut text = if error.is_connect() { "cannot connect".to_owned() } else { "the connection broke".to_owned() };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// How long the service asks to wait: `Retry-After` in seconds, or as a date, which is counted from the answer's own.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let asked = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (until, now) = (httpdate::parse_http_date(asked).ok()?, httpdate::parse_http_date(text(DATE)?).ok()?);
    // a date that has passed asks for nothing
    until.duration_since(now).ok()
}

/// For how long an answer may be kept (RFC 9111, 4.2.1 and 4.2.3): not at all if it is not to be.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut asked = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return Some(Duration::ZERO),
                "max-age" => asked = value.trim().trim_matches('"').parse().ok().map(Duration::from_secs),
                _ => {}
            }
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
    asked.map(|asked: Duration| asked.saturating_sub(age.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_long_it_may_be_kept() {
        let kept = |values: &[&'static str], age: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
            }
            if let Some(age) = age {
                headers.insert(AGE, HeaderValue::from_static(age));
            }
            max_age(&headers).map(|kept| kept.as_secs())
        };
        assert_eq!(kept(&["public, max-age=22000, must-revalidate, no-transform"], None), Some(22_000));
        assert_eq!(kept(&["public", "Max-Age = \"60\""], Some("13")), Some(47));
        assert_eq!(kept(&["max-age=60"], Some("61")), Some(0));
        assert_eq!(kept(&["max-age=60, no-store"], None), Some(0));
        assert_eq!(kept(&["s-maxage=60"], None), None);
        assert_eq!(kept(&["max-age=soon"], None), None);
        assert_eq!(kept(&["max-age=-1"], None), None);
        assert_eq!(kept(&[], Some("5")), None);
    }

    #[test]
    fn retry_after_comes_in_seconds_or_as_a_date() {
        let asked = |after: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(after).ok()?);
            if let Some(date) = date {
                headers.insert(DATE, HeaderValue::from_str(date).ok()?);
            }
            retry_after(&headers)
        };
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(asked("7", None), Some(Duration::from_secs(7)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:07 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(asked("Sunday, 06-Nov-94 08:50:07 GMT", now), Some(Duration::from_secs(30)));
        for nothing in ["Sun, 06 Nov 1994 08:49:07 GMT", "soon", "", "-1", "1e9", "99999999999999999999999"] {
            assert_eq!(asked(nothing, now), None, "{nothing:?}");
        }
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
    }
}
