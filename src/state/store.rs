//! Compare-and-swap of one table's state object.

use std::fmt::Write as _;

use bytes::Bytes;

use super::codec::{self, CodecError, STATE_BYTES_MAX};
use crate::bucket::{Bucket, BucketError, ContentType, Generation, Precondition, Put};
use crate::model::{Class, Code, SourceName, TableId, TableState};
use crate::net::{Attempts, Context, Interrupted};

/// How often a write that had no effect is sent. Cloud Storage takes one write per second per object name (quotas).
const WRITE_ATTEMPTS_MAX: u32 = 6;

/// A state and the version of the object that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The content; a fresh state if there is no object yet.
    pub state: TableState,
    /// The object's version; `None` if there is no object yet.
    pub generation: Option<Generation>,
}

/// The outcome of a conditional write.
#[derive(Debug)]
pub enum Write {
    /// It took effect.
    Done(Versioned),
    /// Somebody else wrote first; this is what is there now.
    Lost(Versioned),
}

/// An error of the state.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The content.
    #[error("the state object {address} cannot be read: {cause}")]
    Codec {
        /// Where it lies.
        address: String,
        /// What is wrong with it.
        cause: CodecError,
    },
    /// The run's time is up.
    #[error("writing the state: {0}")]
    Interrupted(#[from] Interrupted),
}

impl StoreError {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::Bucket(error) => error.code(),
            Self::Codec { cause, .. } => cause.code(),
            Self::Interrupted(cause) => cause.code(),
        }
    }

    /// What may be done about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Bucket(error) => error.class(),
            Self::Codec { .. } => Class::Permanent,
            Self::Interrupted(_) => Class::Transient,
        }
    }
}

/// The name of a table's state object. Bytes outside `[A-Za-z0-9_.-]` of the table's name are written `%XX`.
pub fn object_name(id: &TableId) -> String {
    let mut name = format!("state/{}/", id.source);
    escape(&mut name, id.table.as_str());
    name.push_str(".json");
    name
}

/// Where the state objects of a source's tables lie.
pub fn source_folder(source: &SourceName) -> String {
    format!("state/{source}/")
}

/// The table whose state object has that name; `None` if it is another kind of object.
pub fn table_of(object: &str) -> Option<TableId> {
    let (source, escaped) = object.strip_prefix("state/")?.strip_suffix(".json")?.split_once('/')?;
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            // an object of a table's own folder
            b'/' => return None,
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
            }
            other => bytes.push(other),
        }
    }
    let table = String::from_utf8(bytes).ok()?;
    Some(TableId { source: source.parse().ok()?, table: table.parse().ok()? })
}

/// The name of the state object of a window of that table.
pub fn window_name(id: &TableId, window: &str) -> String {
    let mut name = windows_folder(id);
    escape(&mut name, window);
    name.push_str(".json");
    name
}

/// Where the state objects of a table's windows lie.
pub fn windows_folder(id: &TableId) -> String {
    folder(id, "windows/")
}

/// The name of the object that says which backfills of the table were asked for.
pub(super) fn asks_name(id: &TableId) -> String {
    format!("{}.json", folder(id, "windows"))
}

/// `state/source/table/` and what lies there.
fn folder(id: &TableId, inside: &str) -> String {
    let name = object_name(id);
    format!("{}/{inside}", name.strip_suffix(".json").unwrap_or(&name))
}

/// Appends `text` with every byte outside `[A-Za-z0-9_.-]` as `%XX`, so that it is one segment of an object's name.
pub(crate) fn escape(name: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') {
            name.push(char::from(byte));
        } else {
            // writing to a String cannot fail
            write!(name, "%{byte:02X}").unwrap_or_default();
        }
    }
}

/// Reads and writes one table's state.
#[derive(Debug)]
pub struct Store<'a, B> {
    bucket: &'a B,
    name: String,
}

impl<'a, B: Bucket> Store<'a, B> {
    /// The state of that table.
    pub fn new(bucket: &'a B, id: &TableId) -> Self {
        Self { bucket, name: object_name(id) }
    }

    /// The state of that window of the table.
    pub fn of_window(bucket: &'a B, id: &TableId, window: &str) -> Self {
        Self::at(bucket, window_name(id, window))
    }

    /// The state in the object of that name.
    pub fn at(bucket: &'a B, name: String) -> Self {
        Self { bucket, name }
    }

    /// The state as it is now.
    ///
    /// # Errors
    /// The bucket cannot be read, or holds something that is no state.
    pub async fn read(&self, cx: &Context) -> Result<Versioned, StoreError> {
        match self.bucket.get(cx, &self.name, STATE_BYTES_MAX).await? {
            None => Ok(Versioned { state: TableState::new(), generation: None }),
            Some(object) => {
                let state = codec::decode(&object.bytes).map_err(|cause| self.fault(cause))?;
                Ok(Versioned { state, generation: Some(object.generation) })
            }
        }
    }

    /// Writes `state` if the object is still the one that `before` was read from. An answer that never came is
    /// settled by reading: the object then holds our content, or it does not.
    ///
    /// # Errors
    /// The bucket cannot be written or read; the write then may or may not have taken effect, and the next run
    /// finds a state that is right in both cases.
    pub async fn write(&self, cx: &Context, before: &Versioned, state: TableState) -> Result<Write, StoreError> {
        let bytes = Bytes::from(codec::encode(&state).map_err(|cause| self.fault(cause))?);
        let precondition = before.generation.map_or(Precondition::Absent, Precondition::Generation);
        let mut attempts = Attempts::counted(WRITE_ATTEMPTS_MAX);
        loop {
            attempts.count();
            let failed = match self.bucket.put(cx, &self.name, bytes.clone(), ContentType::Json, precondition).await {
                Ok(Put::Stored(generation)) => {
                    return Ok(Write::Done(Versioned { state, generation: Some(generation) }));
                }
                // of an attempt whose answer never came, the first may have taken effect: 412 then is our own doing
                Ok(Put::Mismatch) => return self.settle(cx, state, &bytes).await,
                Err(error @ BucketError::Unsettled { .. }) => {
                    match self.bucket.get(cx, &self.name, STATE_BYTES_MAX).await {
                        Ok(Some(object)) if object.bytes == bytes => {
                            return Ok(Write::Done(Versioned { state, generation: Some(object.generation) }));
                        }
                        Ok(Some(object)) if Some(object.generation) == before.generation => {}
                        Ok(None) if before.generation.is_none() => {}
                        Ok(_) => return self.settle(cx, state, &bytes).await,
                        // that the write is not settled says more than that there is no time to settle it
                        Err(BucketError::Interrupted { cause: Interrupted::Budget, .. }) => {
                            return Err(error.tried(attempts.tried()).into());
                        }
                        Err(error) => return Err(error.into()),
                    }
                    error
                }
                Err(error @ BucketError::Unavailable { .. }) => error,
                Err(error) => return Err(error.into()),
            };
            if !attempts.again(cx, failed.after()).await? {
                return Err(failed.tried(attempts.tried()).into());
            }
        }
    }

    async fn settle(&self, cx: &Context, state: TableState, bytes: &Bytes) -> Result<Write, StoreError> {
        match self.read_object(cx).await? {
            Some(object) if object.bytes == *bytes => {
                Ok(Write::Done(Versioned { state, generation: Some(object.generation) }))
            }
            Some(object) => {
                let found = codec::decode(&object.bytes).map_err(|cause| self.fault(cause))?;
                Ok(Write::Lost(Versioned { state: found, generation: Some(object.generation) }))
            }
            None => Ok(Write::Lost(Versioned { state: TableState::new(), generation: None })),
        }
    }

    async fn read_object(&self, cx: &Context) -> Result<Option<crate::bucket::Object>, StoreError> {
        Ok(self.bucket.get(cx, &self.name, STATE_BYTES_MAX).await?)
    }

    fn fault(&self, cause: CodecError) -> StoreError {
        StoreError::Codec { address: self.bucket.address(&self.name), cause }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::bucket::Object;
    use crate::bucket::memory::MemoryBucket;

    /// What becomes of the next writes: whether they take effect; whether that is answered.
    type Plan = Vec<(bool, bool)>;

    /// A bucket whose writes are lost, or whose answers are.
    struct Lossy {
        inner: MemoryBucket,
        plan: Mutex<Plan>,
    }

    impl Bucket for Lossy {
        fn address(&self, name: &str) -> String {
            self.inner.address(name)
        }

        async fn get(&self, cx: &Context, name: &str, bytes_max: u64) -> Result<Option<Object>, BucketError> {
            self.inner.get(cx, name, bytes_max).await
        }

        async fn put(
            &self,
            cx: &Context,
            name: &str,
            bytes: Bytes,
            content: ContentType,
            precondition: Precondition,
        ) -> Result<Put, BucketError> {
            let (applied, answered) = self.plan.lock().unwrap().pop().unwrap_or((true, true));
            let unsettled = || BucketError::Unsettled {
                bucket: String::new(),
                name: name.to_owned(),
                attempts: 1,
                elapsed: Duration::ZERO,
                message: "no answer".to_owned(),
                after_seconds: None,
            };
            if !applied {
                return Err(unsettled());
            }
            let put = self.inner.put(cx, name, bytes, content, precondition).await;
            if answered { put } else { Err(unsettled()) }
        }

        async fn list_from(&self, cx: &Context, prefix: &str, from: &str) -> Result<Vec<String>, BucketError> {
            self.inner.list_from(cx, prefix, from).await
        }

        async fn delete(&self, cx: &Context, name: &str) -> Result<(), BucketError> {
            self.inner.delete(cx, name).await
        }
    }

    fn context() -> Context {
        Context::new(Instant::now() + Duration::from_secs(60), CancellationToken::new())
    }

    fn state(rows_total: u64) -> TableState {
        TableState { rows_total, ..TableState::new() }
    }

    fn id() -> TableId {
        TableId { source: "s".parse().unwrap(), table: "a/b \u{e9}".parse().unwrap() }
    }

    async fn written(plan: Plan) -> (Write, Versioned) {
        let (bucket, cx) = (Lossy { inner: MemoryBucket::default(), plan: Mutex::new(plan) }, context());
        let store = Store::new(&bucket, &id());
        let before = store.read(&cx).await.unwrap();
        let write = store.write(&cx, &before, state(1)).await.unwrap();
        (write, store.read(&cx).await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_takes_effect_once_whatever_becomes_of_its_answer() {
        for plan in [
            vec![(true, true)],
            vec![(true, false)],
            vec![(true, true), (false, false)],
            vec![(true, false), (false, false), (false, false)],
        ] {
            let (write, after) = written(plan.clone()).await;
            let Write::Done(done) = write else { unreachable!("it is ours: {plan:?}") };
            assert_eq!((done.generation, done.state.rows_total), (after.generation, 1), "{plan:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_second_is_told_what_is_there() {
        let (bucket, cx) = (Lossy { inner: MemoryBucket::default(), plan: Mutex::default() }, context());
        let store = Store::new(&bucket, &id());
        let before = store.read(&cx).await.unwrap();
        assert_eq!(before, Versioned { state: TableState::new(), generation: None });
        assert!(matches!(store.write(&cx, &before, state(1)).await, Ok(Write::Done(_))));
        // also if the second does not hear of it at first
        bucket.plan.lock().unwrap().push((false, false));
        let Ok(Write::Lost(found)) = store.write(&cx, &before, state(2)).await else { unreachable!("lost") };
        assert_eq!((found.state.rows_total, found.generation), (1, store.read(&cx).await.unwrap().generation));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_given_up_says_how_often_it_was_tried() {
        let plan = Mutex::new(vec![(false, false); 20]);
        let (bucket, cx) = (Lossy { inner: MemoryBucket::default(), plan }, context());
        let store = Store::new(&bucket, &id());
        let before = store.read(&cx).await.unwrap();
        let error = store.write(&cx, &before, state(1)).await.unwrap_err();
        assert_eq!(error.class(), Class::Transient);
        assert!(error.to_string().contains("was not answered after 6 attempts in "), "{error}");
        assert_eq!(bucket.plan.lock().unwrap().len(), 14, "no more than that were sent");
    }

    #[test]
    fn a_tables_name_is_one_segment_of_the_objects() {
        assert_eq!(object_name(&id()), "state/s/a%2Fb%20%C3%A9.json");
        assert_eq!(window_name(&id(), "1..2"), "state/s/a%2Fb%20%C3%A9/windows/1..2.json");
        assert_eq!(table_of(&object_name(&id())), Some(id()));
        for other in
            [&window_name(&id(), "1..2"), &asks_name(&id()), "state/s/a%2.json", "state/s/a%zz.json", "reports/x.json"]
        {
            assert_eq!(table_of(other), None, "{other}");
        }
        assert_eq!(asks_name(&id()), "state/s/a%2Fb%20%C3%A9/windows.json");
    }
}
