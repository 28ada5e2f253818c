//! The object that says which backfills of a table were asked for. Nothing of the protocol rests on it: windows have states
//! of their own. It is how everybody finds the same ranges of keys, and how `gaps` knows what should be there.

use bytes::Bytes;

use super::codec::{CodecError, STATE_BYTES_MAX};
use super::store::{StoreError, asks_name};
use crate::bucket::{Bucket, BucketError, ContentType, Generation, Precondition, Put};
use crate::model::{ASKS_VERSION, Asks, TableId};
use crate::net::Context;

/// Reads and writes what was asked for of one table.
#[derive(Debug)]
pub struct AskStore<'a, B> {
    bucket: &'a B,
    name: String,
}

impl<'a, B: Bucket> AskStore<'a, B> {
    /// That of the table.
    pub fn new(bucket: &'a B, id: &TableId) -> Self {
        Self { bucket, name: asks_name(id) }
    }

    /// What was asked for, and the version of the object.
    ///
    /// # Errors
    /// The bucket cannot be read, or holds something else there.
    pub async fn read(&self, cx: &Context) -> Result<(Asks, Option<Generation>), StoreError> {
        let Some(object) = self.bucket.get(cx, &self.name, STATE_BYTES_MAX).await? else {
            return Ok((Asks::none(), None));
        };
        let fault = |cause| StoreError::Codec { address: self.bucket.address(&self.name), cause };
        let asks: Asks = serde_json::from_slice(&object.bytes).map_err(|error| fault(CodecError::Malformed(error)))?;
        if asks.version != ASKS_VERSION {
            return Err(fault(CodecError::Version(asks.version.into())));
        }
        Ok((asks, Some(object.generation)))
    }

    /// Writes `asks` if the object is still of that version; `false` if it is not, or if nobody knows whether it was
    /// written: then read again, what is wanted may be there.
    ///
    /// # Errors
    /// The bucket cannot be written.
    pub async fn write(&self, cx: &Context, asks: &Asks, before: Option<Generation>) -> Result<bool, StoreError> {
        let fault = |cause| StoreError::Codec { address: self.bucket.address(&self.name), cause };
        let bytes = serde_json::to_vec_pretty(asks).map_err(|error| fault(CodecError::Malformed(error)))?;
        if bytes.len() as u64 > STATE_BYTES_MAX {
            return Err(fault(CodecError::TooLarge));
        }
        let precondition = before.map_or(Precondition::Absent, Precondition::Generation);
        match self.bucket.put(cx, &self.name, Bytes::from(bytes), ContentType::Json, precondition).await {
            Ok(Put::Stored(_)) => Ok(true),
            Ok(Put::Mismatch) | Err(BucketError::Unsettled { .. } | BucketError::Unavailable { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets it all.
    ///
    /// # Errors
    /// The bucket does not delete it.
    pub async fn forget(&self, cx: &Context) -> Result<(), StoreError> {
        Ok(self.bucket.delete(cx, &self.name).await?)
    }
}
