//! The object that says which task of an execution of a Cloud Run job moves which table.
//!
//! It lies below `staging/`, whose objects the bucket's lifecycle rule deletes after some days: no source can be called `.jobs`.
//! Every write is conditional on what was read, so that all tasks go by one plan. What they go by they have read or written.

use std::time::Duration;

use bytes::Bytes;

use crate::bucket::{Bucket, BucketError, ContentType, Generation, Precondition, Put};
use crate::model::{Class, Code, SHARES_VERSION, Shares};
use crate::net::{Attempts, Context, Interrupted};

/// The most bytes of a plan; 20,000 tables with long names fit.
const SHARES_BYTES_MAX: u64 = 8 << 20;
/// How often a task writes what others write too, before it is left to its next attempt.
const WRITE_ATTEMPTS_MAX: u32 = 20;
/// Wait between two looks for a plan that another task is to make.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why there are no shares to go by.
#[derive(Debug, thiserror::Error)]
pub enum SharesError {
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Not a plan.
    #[error("{address} is no plan of shares ({cause}); remove it")]
    Malformed {
        /// Where it lies.
        address: String,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
    /// Written by a newer version.
    #[error("{address} has version {version}, which this binary does not know; deploy the newer binary again")]
    Version {
        /// Where it lies.
        address: String,
        /// Its version.
        version: u32,
    },
    /// Made for another number of tasks.
    #[error(
        "{address} shares the tables among {planned} tasks, and CLOUD_RUN_TASK_COUNT is {tasks}; start a new execution"
    )]
    Tasks {
        /// Where it lies.
        address: String,
        /// The plan's number.
        planned: u32,
        /// This task's.
        tasks: u32,
    },
    /// More than is read again.
    #[error("{address} would have more than {SHARES_BYTES_MAX} bytes; sync fewer tables in one job")]
    TooLarge {
        /// Where it would lie.
        address: String,
    },
    /// No time for it, or too many tasks write at once.
    #[error("agreeing on the tasks' shares: {0}")]
    Interrupted(#[from] Interrupted),
}

impl SharesError {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::Bucket(error) => error.code(),
            Self::Malformed { .. } => Code::StateBroken,
            Self::Version { .. } => Code::StateNewer,
            Self::Tasks { .. } | Self::TooLarge { .. } => Code::Shares,
            Self::Interrupted(cause) => cause.code(),
        }
    }

    /// What may be done about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Bucket(error) => error.class(),
            Self::Malformed { .. } | Self::Version { .. } => Class::Permanent,
            Self::Tasks { .. } | Self::TooLarge { .. } => Class::Usage,
            Self::Interrupted(_) => Class::Transient,
        }
    }
}

/// A plan, and the version of the object that holds it.
type Found = (Shares, Generation);

/// Reads and writes the plan of one execution.
#[derive(Debug)]
pub struct ShareStore<'a, B> {
    bucket: &'a B,
    name: String,
    tasks: u32,
}

impl<'a, B: Bucket> ShareStore<'a, B> {
    /// That of the execution, of so many tasks. The name holds letters, digits, `_`, `-` and `.` only.
    pub fn new(bucket: &'a B, execution: &str, tasks: u32) -> Self {
        Self { bucket, name: format!("staging/.jobs/{execution}.json"), tasks }
    }

    /// The plan, once somebody has made it; `None` if nobody has within that time.
    ///
    /// # Errors
    /// The bucket cannot be read, or holds something else there.
    pub async fn follow(&self, cx: &Context, wait: Duration) -> Result<Option<Shares>, SharesError> {
        let until = tokio::time::Instant::now() + wait;
        loop {
            if let Some((shares, _)) = self.read(cx).await? {
                return Ok(Some(shares));
            }
            if tokio::time::Instant::now() + LOOK_EVERY > until {
                return Ok(None);
            }
            cx.sleep(LOOK_EVERY).await?;
        }
    }

    /// The plan that holds from now on: that which is there, as `amend` changes it, or else `made`, which needs no change.
    ///
    /// # Errors
    /// The bucket cannot be read or written, or holds something else there; or others write without end.
    pub async fn settle(
        &self,
        cx: &Context,
        made: &Shares,
        amend: impl Fn(&Shares) -> Option<Shares>,
    ) -> Result<Shares, SharesError> {
        let mut attempts = Attempts::counted(WRITE_ATTEMPTS_MAX);
        loop {
            let (wanted, precondition) = match self.read(cx).await? {
                None => (made.clone(), Precondition::Absent),
                Some((shares, generation)) => match amend(&shares) {
                    None => return Ok(shares),
                    Some(next) => (next, Precondition::Generation(generation)),
                },
            };
            attempts.count();
            let bytes = self.bytes(&wanted)?;
            // what came of a write that was not answered, the next read tells
            let failed = match self.bucket.put(cx, &self.name, bytes, ContentType::Json, precondition).await {
                Ok(Put::Stored(_)) => return Ok(wanted),
                Ok(Put::Mismatch) => None,
                Err(error @ (BucketError::Unsettled { .. } | BucketError::Unavailable { .. })) => Some(error),
                Err(error) => return Err(error.into()),
            };
            if !attempts.again(cx, failed.as_ref().and_then(BucketError::after)).await? {
                return Err(failed.map_or(SharesError::Interrupted(Interrupted::Budget), |error| {
                    error.tried(attempts.tried()).into()
                }));
            }
        }
    }

    async fn read(&self, cx: &Context) -> Result<Option<Found>, SharesError> {
        let Some(object) = self.bucket.get(cx, &self.name, SHARES_BYTES_MAX).await? else { return Ok(None) };
        let malformed = |cause| SharesError::Malformed { address: self.address(), cause };
        let shares: Shares = serde_json::from_slice(&object.bytes).map_err(malformed)?;
        if shares.version != SHARES_VERSION {
            return Err(SharesError::Version { address: self.address(), version: shares.version });
        }
        if shares.tasks != self.tasks {
            return Err(SharesError::Tasks { address: self.address(), planned: shares.tasks, tasks: self.tasks });
        }
        Ok(Some((shares, object.generation)))
    }

    fn bytes(&self, shares: &Shares) -> Result<Bytes, SharesError> {
        let malformed = |cause| SharesError::Malformed { address: self.address(), cause };
        let bytes = serde_json::to_vec(shares).map_err(malformed)?;
        if bytes.len() as u64 > SHARES_BYTES_MAX {
            return Err(SharesError::TooLarge { address: self.address() });
        }
        Ok(Bytes::from(bytes))
    }

    fn address(&self) -> String {
        self.bucket.address(&self.name)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::bucket::memory::MemoryBucket;
    use crate::model::TableId;
    use crate::plan::shares;

    fn context() -> Context {
        Context::new(tokio::time::Instant::now() + Duration::from_secs(60), CancellationToken::new())
    }

    fn ids(names: &[&str]) -> Vec<TableId> {
        let id = |name: &&str| TableId { source: "s".parse().unwrap(), table: name.parse().unwrap() };
        names.iter().map(id).collect()
    }

    async fn settle(bucket: &MemoryBucket, task: u32, seen: &[&str]) -> Result<Shares, SharesError> {
        let seen = ids(seen);
        let sized: Vec<_> = seen.iter().map(|id| (id.clone(), Some(u64::from(task)))).collect();
        let store = ShareStore::new(bucket, "nightly-x7", 2);
        store.settle(&context(), &shares::deal(&sized, 2), |plan| shares::take(plan, &seen, task)).await
    }

    #[tokio::test(start_paused = true)]
    async fn all_go_by_the_first_plan_and_add_what_it_lacks() {
        let bucket = MemoryBucket::default();
        assert_eq!(ShareStore::new(&bucket, "nightly-x7", 2).follow(&context(), Duration::ZERO).await.unwrap(), None);
        let first = settle(&bucket, 0, &["a", "b"]).await.unwrap();
        assert_eq!(settle(&bucket, 1, &["a", "b"]).await.unwrap(), first, "whatever it would have made itself");
        let second = settle(&bucket, 1, &["b", "c"]).await.unwrap();
        assert_eq!(shares::own(&second, 1).last().unwrap().table.as_str(), "c");
        assert_eq!(settle(&bucket, 0, &["a", "b", "c"]).await.unwrap(), second);
        let followed = ShareStore::new(&bucket, "nightly-x7", 2).follow(&context(), Duration::ZERO).await.unwrap();
        assert_eq!(followed, Some(second));
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_of_another_kind_is_refused() {
        let bucket = MemoryBucket::default();
        settle(&bucket, 0, &["a"]).await.unwrap();
        let store = ShareStore::new(&bucket, "nightly-x7", 3);
        let error = store.follow(&context(), Duration::ZERO).await.unwrap_err();
        assert!(matches!(error.class(), Class::Usage) && error.to_string().contains("among 2 tasks"), "{error}");
        for (text, wanted) in [("{}", "is no plan"), (r#"{"version":9,"tasks":3,"tables":[]}"#, "has version 9")] {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            let name = "staging/.jobs/other.json";
            bucket.delete(&context(), name).await.unwrap();
            bucket.put(&context(), name, bytes, ContentType::Json, Precondition::Absent).await.unwrap();
            let error = ShareStore::new(&bucket, "other", 3).follow(&context(), Duration::ZERO).await.unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }
}
