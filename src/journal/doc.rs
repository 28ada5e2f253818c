//! One small JSON object that is changed by compare and swap.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::JournalError;
use crate::bucket::{Bucket, BucketError, ContentType, Generation, Precondition, Put};
use crate::net::Context;

/// The object.
#[derive(Debug)]
pub(super) struct Doc<'a, B> {
    bucket: &'a B,
    name: String,
    bytes_max: u64,
    version: u32,
}

/// Its content, and the version that it was read at; by default where there is none.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) generation: Option<Generation>,
}

impl<'a, B: Bucket> Doc<'a, B> {
    pub(super) fn new(bucket: &'a B, name: String, bytes_max: u64, version: u32) -> Self {
        Self { bucket, name, bytes_max, version }
    }

    pub(super) async fn read<T: Default + DeserializeOwned>(&self, cx: &Context) -> Result<Found<T>, JournalError> {
        #[derive(serde::Deserialize)]
        struct Version {
            version: u64,
        }
        let Some(object) = self.bucket.get(cx, &self.name, self.bytes_max).await? else {
            return Ok(Found { value: T::default(), generation: None });
        };
        let address = || self.bucket.address(&self.name);
        let malformed = |cause| JournalError::Malformed { address: address(), cause };
        let Version { version } = serde_json::from_slice(&object.bytes).map_err(malformed)?;
        if version != u64::from(self.version) {
            return Err(JournalError::Version { address: address(), version });
        }
        let value = serde_json::from_slice(&object.bytes).map_err(malformed)?;
        Ok(Found { value, generation: Some(object.generation) })
    }

    /// Writes `value` if the object is still as it was found; its version then, `None` if somebody else wrote first.
    /// It is sent once: if the answer is lost, a look tells whether it took effect. No two writes may have the same bytes.
    pub(super) async fn write<T: Serialize>(
        &self,
        cx: &Context,
        value: &T,
        found: Option<Generation>,
    ) -> Result<Option<Generation>, JournalError> {
        let malformed = |cause| JournalError::Malformed { address: self.bucket.address(&self.name), cause };
        let bytes = Bytes::from(serde_json::to_vec(value).map_err(malformed)?);
        let precondition = found.map_or(Precondition::Absent, Precondition::Generation);
        match self.bucket.put(cx, &self.name, bytes.clone(), ContentType::Json, precondition).await {
            Ok(Put::Stored(generation)) => Ok(Some(generation)),
            Ok(Put::Mismatch) => Ok(None),
            Err(error @ BucketError::Unsettled { .. }) => {
                match self.bucket.get(cx, &self.name, self.bytes_max).await? {
                    Some(object) if object.bytes == bytes => Ok(Some(object.generation)),
                    // it may still take effect
                    Some(object) if Some(object.generation) == found => Err(error.into()),
                    None if found.is_none() => Err(error.into()),
                    Some(_) | None => Ok(None),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}
