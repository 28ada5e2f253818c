//! A bucket that reads and never writes: what a dry run writes stays in memory, over what is there.
//!
//! It has no way to the real bucket but reads, so that a dry run cannot write whatever the engine does. Objects below
//! `state/` are kept, as later steps of the same run read them; parts and rejected rows are only counted. Others' writes
//! are seen until the first one here of the same object.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{Bucket, BucketError, ContentType, Generation, Object, Precondition, Put};
use crate::net::Context;

/// The beginning of the names of objects that are kept in memory.
const STATE: &str = "state/";
/// The beginning of the names of parts.
const STAGING: &str = "staging/";
/// Generations of what is only here begin after this: no real one, microseconds since the epoch, comes near.
const GENERATIONS_AFTER: i64 = i64::MAX / 2;

/// What would have been staged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Staged {
    /// Parts.
    pub parts: u64,
    /// Their bytes as they would be stored, compressed or not.
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct Over {
    writes: i64,
    /// `None` is an object that was deleted here.
    objects: HashMap<String, Option<Object>>,
    staged: Staged,
}

/// A bucket over another that is only read.
#[derive(Debug)]
pub struct DryBucket<'a, B> {
    below: &'a B,
    over: Mutex<Over>,
}

impl<'a, B> DryBucket<'a, B> {
    /// Nothing is written here yet.
    pub fn new(below: &'a B) -> Self {
        Self { below, over: Mutex::default() }
    }

    /// What would have been staged so far.
    pub fn staged(&self) -> Staged {
        self.with(|over| over.staged)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Over) -> T) -> T {
        act(&mut self.over.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<B: Bucket> Bucket for DryBucket<'_, B> {
    fn address(&self, name: &str) -> String {
        self.below.address(name)
    }

    fn keeps(&self) -> bool {
        false
    }

    async fn get(&self, cx: &Context, name: &str, bytes_max: u64) -> Result<Option<Object>, BucketError> {
        match self.with(|over| over.objects.get(name).cloned()) {
            Some(object) => Ok(object),
            None => self.below.get(cx, name, bytes_max).await,
        }
    }

    async fn put(
        &self,
        _: &Context,
        name: &str,
        bytes: Bytes,
        _: ContentType,
        precondition: Precondition,
    ) -> Result<Put, BucketError> {
        Ok(self.with(|over| {
            over.writes += 1;
            let generation = Generation(GENERATIONS_AFTER + over.writes);
            if name.starts_with(STAGING) {
                over.staged.parts += 1;
                over.staged.bytes += bytes.len() as u64;
            }
            if name.starts_with(STATE) {
                let known = over.objects.get(name).map(|object| object.as_ref().map(|object| object.generation));
                let holds = match (precondition, known) {
                    // of what is below nobody here writes: the caller has just read it
                    (_, None) | (Precondition::Absent, Some(None)) => true,
                    (Precondition::Generation(wanted), Some(Some(found))) => wanted == found,
                    (Precondition::Absent, Some(Some(_))) | (Precondition::Generation(_), Some(None)) => false,
                };
                if !holds {
                    return Put::Mismatch;
                }
                over.objects.insert(name.to_owned(), Some(Object { bytes, generation }));
            }
            Put::Stored(generation)
        }))
    }

    async fn list_from(&self, cx: &Context, prefix: &str, from: &str) -> Result<Vec<String>, BucketError> {
        self.below.list_from(cx, prefix, from).await
    }

    async fn delete(&self, _: &Context, name: &str) -> Result<(), BucketError> {
        if name.starts_with(STATE) {
            self.with(|over| over.objects.insert(name.to_owned(), None));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::time::Duration;

    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::bucket::memory::MemoryBucket;

    #[tokio::test]
    async fn what_is_written_is_read_again_and_is_nowhere_else() {
        let cx = Context::new(Instant::now() + Duration::from_secs(60), CancellationToken::new());
        let below = MemoryBucket::default();
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let json = ContentType::Json;
        below.put(&cx, "state/a", text("old"), json, Precondition::Absent).await.unwrap();
        let before = below.get(&cx, "state/a", 9).await.unwrap().unwrap();
        let dry = DryBucket::new(&below);
        assert_eq!(dry.get(&cx, "state/a", 9).await.unwrap().as_ref(), Some(&before));
        let first = Precondition::Generation(before.generation);
        let Put::Stored(written) = dry.put(&cx, "state/a", text("new"), json, first).await.unwrap() else {
            unreachable!("it was read just now")
        };
        assert_eq!(dry.put(&cx, "state/a", text("newer"), json, first).await.unwrap(), Put::Mismatch);
        assert_eq!(dry.put(&cx, "state/a", text("newer"), json, Precondition::Absent).await.unwrap(), Put::Mismatch);
        let next = Precondition::Generation(written);
        assert!(matches!(dry.put(&cx, "state/a", text("newer"), json, next).await.unwrap(), Put::Stored(_)));
        assert_eq!(dry.get(&cx, "state/a", 9).await.unwrap().unwrap().bytes, text("newer"));
        for part in ["staging/x/part-00000", "staging/x/part-00001"] {
            let stored = dry.put(&cx, part, text("12345"), ContentType::Gzip, Precondition::Absent).await.unwrap();
            assert!(matches!(stored, Put::Stored(_)));
        }
        assert_eq!(dry.staged(), Staged { parts: 2, bytes: 10 });
        dry.delete(&cx, "state/a").await.unwrap();
        assert_eq!(dry.get(&cx, "state/a", 9).await.unwrap(), None);
        assert_eq!(below.get(&cx, "state/a", 9).await.unwrap(), Some(before));
        assert_eq!(below.list(&cx, "").await.unwrap(), ["state/a"]);
    }
}
