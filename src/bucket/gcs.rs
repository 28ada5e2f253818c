//! Cloud Storage. Reads and writes go through Google's own client, each write as one multipart request with its
//! precondition; deletes go over the JSON API, which that client does not offer.

mod bridge;
pub mod check;

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use google_cloud_gax::error::Error as GaxError;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_storage::client::Storage;
use google_cloud_storage::read_resume_policy::NeverResume;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use self::bridge::credentials;
use super::{Bucket, BucketError, ContentType, Generation, LISTED_MAX, Object, Precondition, Put};
use crate::net::{
    Answer, Attempts, CallError, Context, Http, Interrupted, Method, Request, Tokens, Tried, retry_after,
};

/// Above any part: a write is one request, never a resumable upload, so that its precondition holds for all of it.
const RESUMABLE_THRESHOLD_BYTES: usize = 128 << 20;
/// The most time for the first attempt at a read, and for a write of no bytes. Cloud Storage answers a small request
/// within a second; an object of ours that is read is small.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// A write may take as long besides as this many bytes per second need.
const WRITE_BYTES_PER_SECOND_MIN: u64 = 256 << 10;
/// The most attempts at a read.
const READ_ATTEMPTS_MAX: u32 = 8;
const GOOGLE: &str = "https://storage.googleapis.com";

/// One bucket, below a prefix.
pub struct GcsBucket {
    bucket: String,
    prefix: String,
    endpoint: Option<Url>,
    tokens: Tokens,
    http: Http,
    /// Forgotten after a silence, and its connections with it: many requests share one connection of HTTP/2, and one that
    /// is dead would be taken again for the next attempt.
    storage: Mutex<Option<Storage>>,
}

impl fmt::Debug for GcsBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcsBucket").field("bucket", &self.bucket).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl GcsBucket {
    /// The bucket of that name; every object lies below `prefix` (empty or ending in `/`). `endpoint` is an
    /// emulator's, `None` is Google's. Nothing is contacted yet.
    pub fn new(bucket: &str, prefix: &str, endpoint: Option<Url>, tokens: Tokens) -> Self {
        let http = Http::new(tokens.clone());
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        Self { bucket, prefix, endpoint, tokens, http, storage: Mutex::default() }
    }

    async fn storage(&self) -> Result<Storage, BucketError> {
        let mut slot = self.storage.lock().await;
        if let Some(storage) = &*slot {
            return Ok(storage.clone());
        }
        let mut builder = Storage::builder()
            .with_credentials(credentials(&self.tokens))
            // every attempt is counted here
            .with_retry_policy(NeverRetry)
            .with_read_resume_policy(NeverResume)
            .with_resumable_upload_threshold(RESUMABLE_THRESHOLD_BYTES);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
        }
        let storage = builder.build().await.map_err(|error| BucketError::Credentials(error.to_string()))?;
        *slot = Some(storage.clone());
        Ok(storage)
    }

    fn path(&self) -> String {
        format!("projects/_/buckets/{}", self.bucket)
    }

    /// The bucket's address.
    fn root(&self) -> String {
        format!("gs://{}", self.bucket)
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn refused(&self, what: &'static str, name: &str, status: u16, message: String) -> BucketError {
        BucketError::Refused { what, bucket: self.root(), name: self.full(name), status, message }
    }

    fn too_large(&self, name: &str, bytes_max: u64) -> BucketError {
        BucketError::TooLarge { bucket: self.root(), name: self.full(name), bytes_max }
    }

    async fn read_once(&self, name: &str, bytes_max: u64) -> Result<Option<Object>, Failed> {
        let storage = self.storage().await.map_err(Failed::Final)?;
        let read = storage.read_object(self.path(), self.full(name)).send().await;
        let mut reader = match read {
            Ok(reader) => reader,
            Err(error) if error.http_status_code() == Some(404) => return Ok(None),
            Err(error) => return Err(self.read_failed(name, &error)),
        };
        let generation = Generation(reader.object().generation);
        let mut bytes = BytesMut::new();
        while let Some(chunk) = reader.next().await {
            let chunk = chunk.map_err(|error| self.read_failed(name, &error))?;
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > bytes_max {
                return Err(Failed::Final(self.too_large(name, bytes_max)));
            }
        }
        Ok(Some(Object { bytes: bytes.freeze(), generation }))
    }

    fn read_failed(&self, name: &str, error: &GaxError) -> Failed {
        match error.http_status_code() {
            Some(status) if (400..500).contains(&status) && !matches!(status, 408 | 429) => {
                Failed::Final(self.refused("reading", name, status, one_line(error)))
            }
            _ if error.is_authentication() => Failed::Final(BucketError::Credentials(one_line(error))),
            _ => Failed::Again(one_line(error), asked(error)),
        }
    }

    fn write_failed(&self, name: &str, begun: Instant, error: &GaxError) -> Result<Put, BucketError> {
        let message = one_line(error);
        let unavailable = |message| BucketError::Unavailable {
            what: "writing",
            bucket: self.root(),
            name: self.full(name),
            attempts: 1,
            elapsed: begun.elapsed(),
            message,
            after_seconds: asked(error),
        };
        match error.http_status_code() {
            Some(412) => Ok(Put::Mismatch),
            // not taken in, so without effect
            Some(429) => Err(unavailable(message)),
            Some(status) if (400..500).contains(&status) && status != 408 => {
                Err(self.refused("writing", name, status, message))
            }
            None if error.is_authentication() => Err(BucketError::Credentials(message)),
            None if error.is_connect() => Err(unavailable(message)),
            _ => Err(self.unsettled(name, begun, message, asked(error))),
        }
    }

    fn unsettled(&self, name: &str, begun: Instant, message: String, after_seconds: Option<u32>) -> BucketError {
        let (bucket, name) = (self.bucket.clone(), self.full(name));
        BucketError::Unsettled { bucket, name, attempts: 1, elapsed: begun.elapsed(), message, after_seconds }
    }

    /// The JSON API's address of an object.
    fn object_url(&self, name: &str) -> Result<Url, BucketError> {
        self.base(&["storage", "v1", "b", &self.bucket, "o", &self.full(name)], name)
    }

    /// The address of these segments; `name` is for the error.
    fn base(&self, path: &[&str], name: &str) -> Result<Url, BucketError> {
        let fault = || self.refused("addressing", name, 400, "not an address".to_owned());
        let mut url = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => Url::parse(GOOGLE).map_err(|_invalid| fault())?,
        };
        url.path_segments_mut().map_err(|()| fault())?.pop_if_empty().extend(path);
        Ok(url)
    }

    async fn call(
        &self,
        cx: &Context,
        what: &'static str,
        name: &str,
        request: &Request,
        is_own: fn(&[u8]) -> bool,
    ) -> Result<Answer, BucketError> {
        // a page that comes with a 200 is somebody else's
        let again = |answer: &Answer| answer.status < 300 && !is_own(&answer.body);
        let answer = self.http.send(cx, request, again).await.map_err(|error| match error {
            CallError::Unavailable { tried, message } => {
                let (bucket, name, attempts, elapsed) =
                    (self.bucket.clone(), self.full(name), tried.attempts, tried.elapsed);
                BucketError::Unavailable { what, bucket, name, attempts, elapsed, message, after_seconds: None }
            }
            CallError::Credentials(message) => BucketError::Credentials(message),
            CallError::Interrupted(cause) => BucketError::Interrupted { what, cause },
        })?;
        if (200..300).contains(&answer.status) || answer.status == 404 {
            return Ok(answer);
        }
        Err(self.refused(what, name, answer.status, answer.shown()))
    }
}

/// The kind of the resource that a list is.
const LIST_KIND: &str = "storage#objects";

/// A page of a list.
#[derive(Deserialize)]
struct Page {
    kind: String,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    name: String,
}

enum Failed {
    Final(BucketError),
    Again(String, Option<u32>),
}

/// How many seconds the service asks to wait.
fn asked(error: &GaxError) -> Option<u32> {
    let asked = error.http_headers().and_then(retry_after)?;
    Some(u32::try_from(asked.as_secs()).unwrap_or(u32::MAX))
}

fn one_line(error: &GaxError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.replace(['\n', '\r'], " ")
}

impl Bucket for GcsBucket {
    fn address(&self, name: &str) -> String {
        format!("{}/{}", self.root(), self.full(name))
    }

    async fn get(&self, cx: &Context, name: &str, bytes_max: u64) -> Result<Option<Object>, BucketError> {
        let what = "reading";
        let mut attempts = Attempts::new(READ_ATTEMPTS_MAX, ATTEMPT_MAX);
        let interrupted = |cause| BucketError::Interrupted { what, cause };
        loop {
            let (message, after_seconds) = match attempts.make(cx, Box::pin(self.read_once(name, bytes_max))).await {
                Ok(Ok(object)) => return Ok(object),
                Ok(Err(Failed::Final(error))) => return Err(error),
                Ok(Err(Failed::Again(message, after_seconds))) => (message, after_seconds),
                Err(silence @ Interrupted::TimedOut(_)) => {
                    self.storage.lock().await.take();
                    (silence.to_string(), None)
                }
                Err(cause) => return Err(interrupted(cause)),
            };
            let (bucket, name) = (self.bucket.clone(), self.full(name));
            let Tried { attempts: made, elapsed } = attempts.tried();
            let error =
                BucketError::Unavailable { what, bucket, name, attempts: made, elapsed, message, after_seconds };
            if !attempts.again(cx, error.after()).await.map_err(interrupted)? {
                return Err(error);
            }
        }
    }

    async fn put(
        &self,
        cx: &Context,
        name: &str,
        bytes: Bytes,
        content: ContentType,
        precondition: Precondition,
    ) -> Result<Put, BucketError> {
        let begun = Instant::now();
        let limit = ATTEMPT_MAX + Duration::from_millis(bytes.len() as u64 * 1000 / WRITE_BYTES_PER_SECOND_MIN);
        let storage = self.storage().await?;
        let expected = match precondition {
            Precondition::Absent => 0,
            Precondition::Generation(generation) => generation.0,
        };
        let content = match content {
            ContentType::Json => "application/json",
            ContentType::Ndjson => "application/x-ndjson",
            // and no Content-Encoding: nobody is to unpack it on the way
            ContentType::Gzip => "application/gzip",
        };
        // known before it is sent, so that the service refuses a body that was damaged on the way; a checksum that
        // follows the body would make it a request of three parts, which emulators take for content
        let checksum = crc32c::crc32c(&bytes);
        let write = storage
            .write_object(self.path(), self.full(name), bytes)
            .with_known_crc32c(checksum)
            .set_if_generation_match(expected)
            .set_content_type(content)
            .send_unbuffered();
        match cx.attempt(limit, Box::pin(write)).await {
            // every object has a version: what has none is no answer of Cloud Storage's
            Ok(Ok(object)) if object.generation > 0 => Ok(Put::Stored(Generation(object.generation))),
            Ok(Ok(_)) => Err(self.unsettled(name, begun, "an answer that names no generation".to_owned(), None)),
            Ok(Err(error)) => self.write_failed(name, begun, &error),
            Err(silence @ Interrupted::TimedOut(_)) => {
                self.storage.lock().await.take();
                Err(self.unsettled(name, begun, silence.to_string(), None))
            }
            Err(cause) => Err(BucketError::Interrupted { what: "writing", cause }),
        }
    }

    async fn list_from(&self, cx: &Context, prefix: &str, from: &str) -> Result<Vec<String>, BucketError> {
        let what = "listing";
        let mut url = self.base(&["storage", "v1", "b", &self.bucket, "o"], prefix)?;
        url.query_pairs_mut()
            .append_pair("prefix", &self.full(prefix))
            .append_pair("maxResults", &LISTED_MAX.to_string())
            .append_pair("fields", "kind,items(name)");
        if !from.is_empty() {
            url.query_pairs_mut().append_pair("startOffset", &self.full(from));
        }
        let request = Request { method: Method::GET, url, body: None, if_match: None };
        let is_own = |body: &[u8]| serde_json::from_slice::<Page>(body).is_ok_and(|page| page.kind == LIST_KIND);
        let answer = self.call(cx, what, prefix, &request, is_own).await?;
        if answer.status == 404 {
            return Err(self.refused(what, prefix, answer.status, answer.shown()));
        }
        let page: Page = serde_json::from_slice(&answer.body).map_err(|error| {
            self.refused(what, prefix, answer.status, format!("the answer cannot be read: {error}"))
        })?;
        let names = page.items.into_iter().filter_map(|item| item.name.strip_prefix(&self.prefix).map(str::to_owned));
        Ok(names.take(LISTED_MAX).collect())
    }

    async fn delete(&self, cx: &Context, name: &str) -> Result<(), BucketError> {
        let url = self.object_url(name)?;
        let request = Request { method: Method::DELETE, url, body: None, if_match: None };
        // what is deleted is answered with nothing, or a null
        let is_own = |body: &[u8]| matches!(body.trim_ascii(), b"" | b"null");
        self.call(cx, "deleting", name, &request, is_own).await.map(drop)
    }
}
