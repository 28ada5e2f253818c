//! The bucket as the engine sees it: small objects, conditional writes.
//!
//! The contract that every backend keeps:
//! - Reads after writes are strongly consistent, and a read gives the generation of exactly the bytes that it gives.
//! - A write takes effect only if its precondition holds, atomically.
//! - A write is sent **once**; the backend never repeats it by itself. [`BucketError::Unsettled`] says that it may
//!   or may not have taken effect; the caller settles it by reading.
//! - Reads, lists and deletes may be repeated and are retried inside, within the context.

pub mod apart;
pub mod dry;
pub mod folder;
pub mod gcs;
pub mod memory;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::model::{Class, Code};
use crate::net::{Context, Interrupted, Tried};

/// The most names that a list gives: one page of Cloud Storage's.
pub const LISTED_MAX: usize = 1_000;

/// The version number of one object's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub i64);

/// What must hold for a write to take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// No such object exists.
    Absent,
    /// The object is at exactly this generation.
    Generation(Generation),
}

/// An object as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its content.
    pub bytes: Bytes,
    /// Its version.
    pub generation: Generation,
}

/// The outcome of a conditional write that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It took effect; this is the new version.
    Stored(Generation),
    /// The precondition did not hold (412); nothing was changed.
    Mismatch,
}

/// What a write's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`.
    Json,
    /// `application/x-ndjson`.
    Ndjson,
    /// `application/gzip`; stored as it is, never decompressed on the way.
    Gzip,
}

/// Where objects are kept. Names are paths without a leading slash.
pub trait Bucket: Send + Sync {
    /// The address of an object of that name: `gs://bucket/name`.
    fn address(&self, name: &str) -> String;

    /// Whether an object that was written is there for others to look at, and may be named to them.
    fn keeps(&self) -> bool {
        true
    }

    /// The object's content and generation; `None` if there is none. More than `bytes_max` bytes is an error.
    fn get(
        &self,
        cx: &Context,
        name: &str,
        bytes_max: u64,
    ) -> impl Future<Output = Result<Option<Object>, BucketError>> + Send;

    /// Writes the object if `precondition` holds, in one request.
    fn put(
        &self,
        cx: &Context,
        name: &str,
        bytes: Bytes,
        content: ContentType,
        precondition: Precondition,
    ) -> impl Future<Output = Result<Put, BucketError>> + Send;

    /// Names of objects that begin with `prefix`: the first [`LISTED_MAX`] of them.
    fn list(&self, cx: &Context, prefix: &str) -> impl Future<Output = Result<Vec<String>, BucketError>> + Send {
        self.list_from(cx, prefix, "")
    }

    /// Names of objects that begin with `prefix` and are not before `from`, in order: the first [`LISTED_MAX`] of them.
    fn list_from(
        &self,
        cx: &Context,
        prefix: &str,
        from: &str,
    ) -> impl Future<Output = Result<Vec<String>, BucketError>> + Send;

    /// Deletes the object; one that is not there is no error.
    fn delete(&self, cx: &Context, name: &str) -> impl Future<Output = Result<(), BucketError>> + Send;
}

/// An error of the bucket.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The service refused, for good: no bucket, no right, bad request.
    #[error("{what} {bucket}/{name} was refused with {status}: {message}")]
    Refused {
        /// `reading`, `writing` …
        what: &'static str,
        /// The bucket's address: `gs://…`, or a folder.
        bucket: String,
        /// The object.
        name: String,
        /// The HTTP status.
        status: u16,
        /// The service's message.
        message: String,
    },
    /// A folder or file that cannot be used as it is.
    #[error("{what} {bucket}/{name} failed: {message}")]
    Folder {
        /// `reading`, `writing` …
        what: &'static str,
        /// The folder.
        bucket: String,
        /// The object.
        name: String,
        /// What the operating system says.
        message: String,
    },
    /// A read, delete or list did not succeed in time; or a write was answered with 429 or another status that
    /// says it had no effect. Nothing was changed.
    #[error("{what} {bucket}/{name} failed after {}: {message}", Tried { attempts: *attempts, elapsed: *elapsed })]
    Unavailable {
        /// `reading`, `writing` …
        what: &'static str,
        /// The bucket's address: `gs://…`, or a folder.
        bucket: String,
        /// The object.
        name: String,
        /// How often it was tried.
        attempts: u32,
        /// How long.
        elapsed: Duration,
        /// The last answer.
        message: String,
        /// How many seconds the service asks to wait.
        after_seconds: Option<u32>,
    },
    /// A write whose answer never came or was a 5xx: it may have taken effect.
    #[error("writing {bucket}/{name} was not answered after {}: {message}", Tried { attempts: *attempts, elapsed: *elapsed })]
    Unsettled {
        /// The bucket's address: `gs://…`, or a folder.
        bucket: String,
        /// The object.
        name: String,
        /// How often it was tried; of one write once, see [`BucketError::tried`].
        attempts: u32,
        /// How long.
        elapsed: Duration,
        /// What came instead.
        message: String,
        /// How many seconds the service asks to wait.
        after_seconds: Option<u32>,
    },
    /// The object is larger than it may be.
    #[error("{bucket}/{name} has more than {bytes_max} bytes; repair or remove it")]
    TooLarge {
        /// The bucket's address: `gs://…`, or a folder.
        bucket: String,
        /// The object.
        name: String,
        /// The limit.
        bytes_max: u64,
    },
    /// No token could be had.
    #[error("no Google credentials for Cloud Storage: {0}")]
    Credentials(String),
    /// The run's time is up or the process is stopping.
    #[error("{what}: {cause}")]
    Interrupted {
        /// What was being done.
        what: &'static str,
        /// Why.
        cause: Interrupted,
    },
}

impl BucketError {
    /// How long the service asks to wait before another attempt.
    pub fn after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { after_seconds, .. } | Self::Unsettled { after_seconds, .. } => {
                after_seconds.map(|seconds| Duration::from_secs(seconds.into()))
            }
            Self::Refused { .. }
            | Self::Folder { .. }
            | Self::TooLarge { .. }
            | Self::Credentials(_)
            | Self::Interrupted { .. } => None,
        }
    }

    /// The error of the last of so many attempts: what a caller says that has sent a write again and again.
    #[must_use]
    pub fn tried(mut self, tried: Tried) -> Self {
        match &mut self {
            Self::Unavailable { attempts, elapsed, .. } | Self::Unsettled { attempts, elapsed, .. } => {
                (*attempts, *elapsed) = (tried.attempts, tried.elapsed);
            }
            Self::Refused { .. }
            | Self::Folder { .. }
            | Self::TooLarge { .. }
            | Self::Credentials(_)
            | Self::Interrupted { .. } => {}
        }
        self
    }

    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            // an object that is not there is no error, so it is the bucket
            Self::Refused { status: 404, .. } => Code::BucketMissing,
            Self::Refused { status: 401 | 403, .. } => Code::BucketDenied,
            Self::Refused { .. } => Code::BucketRefused,
            Self::Folder { .. } => Code::StateFolder,
            Self::Unavailable { .. } | Self::Unsettled { .. } => Code::BucketDown,
            Self::TooLarge { .. } => Code::StateTooLarge,
            Self::Credentials(_) => Code::Credentials,
            Self::Interrupted { cause, .. } => cause.code(),
        }
    }

    /// What may be done about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused { .. } | Self::Folder { .. } | Self::TooLarge { .. } => Class::Permanent,
            Self::Unavailable { .. } | Self::Unsettled { .. } | Self::Credentials(_) | Self::Interrupted { .. } => {
                Class::Transient
            }
        }
    }
}
