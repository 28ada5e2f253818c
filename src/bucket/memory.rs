//! A bucket in memory, for tests: the contract and nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{Bucket, BucketError, ContentType, Generation, LISTED_MAX, Object, Precondition, Put};
use crate::net::Context;

/// Objects by name.
#[derive(Debug, Default)]
pub struct MemoryBucket {
    objects: Mutex<(i64, BTreeMap<String, Object>)>,
}

impl MemoryBucket {
    fn with<T>(&self, act: impl FnOnce(&mut i64, &mut BTreeMap<String, Object>) -> T) -> T {
        let mut guard = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, objects) = &mut *guard;
        act(last, objects)
    }
}

impl Bucket for MemoryBucket {
    fn address(&self, name: &str) -> String {
        format!("gs://memory/{name}")
    }

    async fn get(&self, _: &Context, name: &str, bytes_max: u64) -> Result<Option<Object>, BucketError> {
        let object = self.with(|_, objects| objects.get(name).cloned());
        match object {
            Some(object) if object.bytes.len() as u64 > bytes_max => {
                Err(BucketError::TooLarge { bucket: "memory".to_owned(), name: name.to_owned(), bytes_max })
            }
            object => Ok(object),
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
        Ok(self.with(|last, objects| {
            let holds = match precondition {
                Precondition::Absent => !objects.contains_key(name),
                Precondition::Generation(wanted) => objects.get(name).is_some_and(|object| object.generation == wanted),
            };
            if !holds {
                return Put::Mismatch;
            }
            *last += 1;
            let generation = Generation(*last);
            objects.insert(name.to_owned(), Object { bytes, generation });
            Put::Stored(generation)
        }))
    }

    async fn list_from(&self, _: &Context, prefix: &str, from: &str) -> Result<Vec<String>, BucketError> {
        Ok(self.with(|_, objects| {
            let found = objects.keys().filter(|name| name.starts_with(prefix) && name.as_str() >= from);
            found.take(LISTED_MAX).cloned().collect()
        }))
    }

    async fn delete(&self, _: &Context, name: &str) -> Result<(), BucketError> {
        self.with(|_, objects| objects.remove(name));
        Ok(())
    }
}
