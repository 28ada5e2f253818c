//! What became of a job.

use super::JobId;

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// Pending or running.
    Running,
    /// Done, and took effect.
    Succeeded(JobStats),
    /// Done, and changed nothing.
    Failed(JobFailure),
}

/// What a job did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobStats {
    /// Rows loaded, or rows inserted, updated and deleted.
    pub rows: u64,
    /// Bytes billed by a query job.
    pub bytes_billed: u64,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (reason {reason}, job {job} in {location})")]
pub struct JobFailure {
    /// The job.
    pub job: JobId,
    /// Where it ran.
    pub location: String,
    /// BigQuery's reason: `invalid`, `backendError` …
    pub reason: String,
    /// BigQuery's message, with up to 5 entries of `errors[]`.
    pub message: String,
    /// Whether BigQuery documents the reason as one to submit the work again for, under a new id.
    pub retryable: bool,
    /// Whether it says that a staged part is not there.
    pub parts_missing: bool,
}
