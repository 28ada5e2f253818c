//! State at one place, everything else at another: `state: ./folder` beside a bucket for parts.

use bytes::Bytes;

use super::folder::FolderBucket;
use super::gcs::GcsBucket;
use super::{Bucket, BucketError, ContentType, Object, Precondition, Put};
use crate::net::Context;

/// The beginning of the names of state objects.
const STATE: &str = "state/";

/// A bucket whose state objects may lie elsewhere.
#[derive(Debug)]
pub struct Apart {
    /// Where parts and rejected rows lie, and the state unless it is elsewhere.
    pub bucket: GcsBucket,
    /// Where the state lies.
    pub state: StatePlace,
}

/// Where the state lies.
#[derive(Debug)]
pub enum StatePlace {
    /// With everything else.
    Bucket,
    /// In another bucket, or below another prefix.
    Other(Box<GcsBucket>),
    /// In a folder of this machine.
    Folder(FolderBucket),
}

/// Calls a method on the place of that name's objects.
macro_rules! at {
    ($self:ident, $name:ident, $place:ident => $call:expr) => {
        match &$self.state {
            StatePlace::Folder($place) if $name.starts_with(STATE) => $call,
            StatePlace::Other($place) if $name.starts_with(STATE) => $call,
            StatePlace::Bucket | StatePlace::Folder(_) | StatePlace::Other(_) => {
                let $place = &$self.bucket;
                $call
            }
        }
    };
}

impl Bucket for Apart {
    fn address(&self, name: &str) -> String {
        at!(self, name, place => place.address(name))
    }

    async fn get(&self, cx: &Context, name: &str, bytes_max: u64) -> Result<Option<Object>, BucketError> {
        at!(self, name, place => place.get(cx, name, bytes_max).await)
    }

    async fn put(
        &self,
        cx: &Context,
        name: &str,
        bytes: Bytes,
        content: ContentType,
        precondition: Precondition,
    ) -> Result<Put, BucketError> {
        at!(self, name, place => place.put(cx, name, bytes, content, precondition).await)
    }

    async fn list_from(&self, cx: &Context, prefix: &str, from: &str) -> Result<Vec<String>, BucketError> {
        at!(self, prefix, place => place.list_from(cx, prefix, from).await)
    }

    async fn delete(&self, cx: &Context, name: &str) -> Result<(), BucketError> {
        at!(self, name, place => place.delete(cx, name).await)
    }
}
