//! JSON over HTTP, for calls that may be replayed: bounded, retried, counted.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use tokio::time::Instant;
use url::Url;

use super::{Backoff, Context, Interrupted, Tokens};

pub use reqwest::Method;

/// The most time for one attempt, its body included.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);
/// The most time for opening a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The most attempts of one call.
const ATTEMPTS_MAX: u32 = 10;
/// The most bytes of an answer.
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
    client: reqwest::Client,
    tokens: Tokens,
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
    /// The body.
    pub body: Bytes,
}

/// No answer that could be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Every attempt failed, or the time for another is not there.
    #[error("no answer after {attempts} attempts in {elapsed:.1?}: {message}")]
    Unavailable {
        /// How often it was tried.
        attempts: u32,
        /// How long.
        elapsed: Duration,
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
        let client = reqwest::Client::builder()
            .user_agent(concat!("highwater/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_MAX)
            .redirect(reqwest::redirect::Policy::none())
            // nothing but what the code says decides where tokens are sent
            .no_proxy()
            .build()
            .unwrap_or_default();
        Self { client, tokens }
    }

    /// Sends the request until it is answered with something else than 408, 429, 5xx or what `again` recognises.
    ///
    /// # Errors
    /// It never was, no token could be had, or the run's time is up.
    pub async fn send(
        &self,
        cx: &Context,
        request: &Request,
        again: impl Fn(&Answer) -> bool + Send,
    ) -> Result<Answer, CallError> {
        let begun = Instant::now();
        let mut backoff = Backoff::default();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (message, after) = match cx.limit(ATTEMPT_MAX, self.attempt(request, &again)).await {
                Ok(Ok(Attempt::Answered(answer))) => return Ok(answer),
                Ok(Ok(Attempt::Again { message, after })) => (message, after),
                Ok(Err(error)) => return Err(error),
                Err(timeout @ Interrupted::TimedOut(_)) => (timeout.to_string(), None),
                Err(interrupted) => return Err(interrupted.into()),
            };
            tracing::debug!(url = %request.url.path(), attempts, message, "call failed, trying again");
            let unavailable = |message| CallError::Unavailable { attempts, elapsed: begun.elapsed(), message };
            if attempts >= ATTEMPTS_MAX {
                return Err(unavailable(message));
            }
            match cx.sleep(backoff.wait(after)).await {
                Ok(()) => {}
                // what went wrong says more than that there is no time to try again
                Err(Interrupted::Budget) => return Err(unavailable(message)),
                Err(interrupted) => return Err(interrupted.into()),
            }
        }
    }

    async fn attempt(
        &self,
        request: &Request,
        again: &(impl Fn(&Answer) -> bool + Send),
    ) -> Result<Attempt, CallError> {
        let token = self.tokens.bearer().await.map_err(|error| CallError::Credentials(error.to_string()))?;
        let mut sent =
            self.client.request(request.method.clone(), request.url.clone()).headers(headers(request, token)?);
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
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => body.extend_from_slice(&chunk),
                Ok(Some(_)) => {
                    return Ok(Attempt::Again { message: "an answer of more than 32 MiB".to_owned(), after: None });
                }
                Ok(None) => break,
                Err(error) => return Ok(lost(error)),
            }
        }
        let answer = Answer { status, etag, body: body.freeze() };
        let passing = matches!(status, 408 | 429 | 500 | 502 | 503 | 504) || again(&answer);
        // Google's APIs that are called here never redirect: it is a captive portal or a wrong endpoint
        if (300..400).contains(&status) && status != 304 {
            return Ok(Attempt::Again { message: format!("an unexpected redirect ({status})"), after: None });
        }
        Ok(if passing { Attempt::Again { message: answer.shown(), after } } else { Attempt::Answered(answer) })
    }
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

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}
