//! The warehouse as the engine sees it: tables and jobs.
//!
//! The contract that every backend keeps:
//! - A job id is used once. [`Warehouse::submit`] may be called any number of times, by any number of processes,
//!   with the same id: the job runs once.
//! - A job that is done with an error has changed nothing.
//! - Every call here may be repeated and is retried inside, within the context.

pub mod bigquery;
pub mod dry;

use std::future::Future;
use std::time::Duration;

use crate::model::{
    BqTable, BqType, Checksum, Class, Code, Fingerprint, Group, Intent, JobId, LastRun, Partitioning, Rows, RunsDay,
    RunsLoad, RunsPlace, RunsScan, Schema, TableSpec, TargetColumn,
};
pub use crate::model::{JobFailure, JobStats, JobStatus};
use crate::net::{Context, Interrupted, Tried};

/// Datasets, tables and jobs.
pub trait Warehouse: Send + Sync {
    /// The table's columns and size; `None` if there is no such table or dataset.
    fn table(
        &self,
        cx: &Context,
        table: &BqTable,
    ) -> impl Future<Output = Result<Option<TableInfo>, WarehouseError>> + Send;

    /// Where the dataset is; `None` if there is none.
    fn dataset_location(
        &self,
        cx: &Context,
        project: &str,
        dataset: &str,
    ) -> impl Future<Output = Result<Option<String>, WarehouseError>> + Send;

    /// Creates the dataset in `location` if it is missing. One that exists elsewhere is
    /// [`WarehouseError::Location`].
    fn ensure_dataset(
        &self,
        cx: &Context,
        project: &str,
        dataset: &str,
        location: &str,
    ) -> impl Future<Output = Result<(), WarehouseError>> + Send;

    /// Creates the table; `Ok` too if it exists by now.
    fn create_table(&self, cx: &Context, spec: &TableSpec) -> impl Future<Output = Result<(), WarehouseError>> + Send;

    /// Replaces the table's columns by `schema` if the table is still at `etag`; `false` if it is not.
    fn patch_schema(
        &self,
        cx: &Context,
        table: &BqTable,
        schema: &Schema,
        etag: &str,
    ) -> impl Future<Output = Result<bool, WarehouseError>> + Send;

    /// Deletes the table; one that is not there is no error.
    fn delete_table(&self, cx: &Context, table: &BqTable) -> impl Future<Output = Result<(), WarehouseError>> + Send;

    /// Submits the job; a job of that id that exists already is success.
    fn submit(&self, cx: &Context, id: &JobId, job: Job<'_>)
    -> impl Future<Output = Result<(), WarehouseError>> + Send;

    /// The job's status; `None` if there is no job of that id.
    fn job(
        &self,
        cx: &Context,
        id: &JobId,
        project: &str,
        location: &str,
    ) -> impl Future<Output = Result<Option<JobStatus>, WarehouseError>> + Send;

    /// The checksums of the target's rows, group by group, in any order; at most `groups_max` groups. `request` is fresh
    /// for each question.
    fn checksums(
        &self,
        cx: &Context,
        scan: &TargetScan<'_>,
        rows: &Rows,
        group: Group,
        groups_max: u64,
        request: &str,
    ) -> impl Future<Output = Result<Scanned<Checksum>, WarehouseError>> + Send;

    /// The fingerprints of at most `rows_max` rows of the target, in any order.
    fn fingerprints(
        &self,
        cx: &Context,
        scan: &TargetScan<'_>,
        rows: &Rows,
        rows_max: u64,
        request: &str,
    ) -> impl Future<Output = Result<Scanned<Fingerprint>, WarehouseError>> + Send;
}

/// The table of runs, which no sync depends on. Every call here may be repeated and is retried inside, within the context.
pub trait RunsTable: Send + Sync {
    /// Makes dataset, table and the view over it, or brings what is there in line.
    fn make_runs(
        &self,
        cx: &Context,
        place: &RunsPlace,
        schema: &Schema,
    ) -> impl Future<Output = Result<(), WarehouseError>> + Send;

    /// Submits a job that appends reports, as [`Warehouse::submit`].
    fn load_runs(
        &self,
        cx: &Context,
        id: &JobId,
        load: RunsLoad<'_>,
    ) -> impl Future<Output = Result<(), WarehouseError>> + Send;

    /// The status of such a job, as [`Warehouse::job`].
    fn runs_job(
        &self,
        cx: &Context,
        id: &JobId,
        project: &str,
        location: &str,
    ) -> impl Future<Output = Result<Option<JobStatus>, WarehouseError>> + Send;

    /// The runs of each table and day, in any order.
    fn runs_by_day(
        &self,
        cx: &Context,
        scan: RunsScan<'_>,
    ) -> impl Future<Output = Result<Vec<RunsDay>, WarehouseError>> + Send;

    /// The last run of each table, in any order.
    fn last_runs(
        &self,
        cx: &Context,
        scan: RunsScan<'_>,
    ) -> impl Future<Output = Result<Vec<LastRun>, WarehouseError>> + Send;
}

/// What of a target is compared with its source.
#[derive(Clone, Copy, Debug)]
pub struct TargetScan<'a> {
    /// The table.
    pub table: &'a BqTable,
    /// The columns that are compared, in the order in which they are digested.
    pub columns: &'a [TargetColumn],
    /// Indexes into `columns` of those by which rows are named; empty if there is no such key.
    pub key: &'a [usize],
    /// Index into `columns` of the cursor.
    pub cursor: Option<usize>,
    /// The part of the table's blocks that is looked at, in percent; `None` for all.
    pub percent: Option<u8>,
    /// Whether rows that are marked as deleted are there, which do not count.
    pub soft_deletes: bool,
    /// Where the table is.
    pub location: &'a str,
    /// Whose jobs the questions are.
    pub job_project: &'a str,
}

/// What a question found, and what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned<T> {
    /// What it found.
    pub found: Vec<T>,
    /// Bytes that the warehouse processed.
    pub bytes: u64,
}

/// Rows of a target that are to be removed. Done twice it is as if done once.
#[derive(Clone, Copy, Debug)]
pub struct ExtraRows<'a> {
    /// The target.
    pub scan: &'a TargetScan<'a>,
    /// The digests of each row's key and of the row: one that was written since is another.
    pub rows: &'a [(String, String)],
    /// Whether they are marked as deleted, instead of deleted.
    pub mark: bool,
}

/// The jobs that finish an intent, which is all that they need, and one that prepares its target.
#[derive(Clone, Copy, Debug)]
pub enum Job<'a> {
    /// Loads the intent's parts into its staging table, replacing what is there (WRITE_TRUNCATE).
    Load(&'a Intent),
    /// Moves the staging table's rows into the target, by the intent's mode; of a [`crate::model::Lane::Swap`], puts
    /// the staging table in the target's place, schema and all, in one step.
    Merge(&'a Intent),
    /// Changes a column of a table to a wider type.
    Widen(&'a Widening),
    /// Removes rows that the source does not have.
    Remove(ExtraRows<'a>),
}

/// A column whose type becomes a wider one. Done twice it is as if done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widening {
    /// The table.
    pub table: BqTable,
    /// The column's name.
    pub column: String,
    /// Its new type.
    pub ty: BqType,
    /// Where the job runs.
    pub location: String,
    /// Whose job it is.
    pub job_project: String,
}

/// What the warehouse says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its columns. Columns of types that are not ours are left out.
    pub schema: Schema,
    /// Its version, for [`Warehouse::patch_schema`].
    pub etag: String,
    /// Rows in its storage, and about how many that were streamed and are not there yet.
    pub rows: u64,
    /// Logical bytes of them.
    pub bytes: u64,
    /// Its location.
    pub location: String,
    /// How it is laid out; `None` if in a way that Highwater does not make.
    pub layout: Option<Layout>,
}

/// How a table is laid out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Its partitions.
    pub partitioning: Option<Partitioning>,
    /// Its clustering columns.
    pub clustering: Vec<String>,
}

/// BigQuery's reasons for a limit that is reached (BigQuery, "Error messages"); all come with 403.
const QUOTA_REASONS: [&str; 3] = ["quotaExceeded", "rateLimitExceeded", "resourcesExceeded"];

/// An error of the warehouse.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// The service refused, for good.
    #[error("{what} was refused with {status} {reason}: {message}")]
    Refused {
        /// What was being done, with the table or job.
        what: String,
        /// The HTTP status.
        status: u16,
        /// BigQuery's reason.
        reason: String,
        /// BigQuery's message.
        message: String,
    },
    /// It did not succeed in time.
    #[error("{what} failed after {}: {message}", Tried { attempts: *attempts, elapsed: *elapsed })]
    Unavailable {
        /// What was being done.
        what: String,
        /// How often it was tried.
        attempts: u32,
        /// How long.
        elapsed: Duration,
        /// The last answer.
        message: String,
    },
    /// The dataset lies elsewhere than configured.
    #[error("dataset {dataset} is in {found}, the configuration says {wanted}; set `location: {found}`")]
    Location {
        /// The dataset.
        dataset: String,
        /// Where it is.
        found: String,
        /// Where it should be.
        wanted: String,
    },
    /// An answer that is not what the API promises.
    #[error("{what}: the answer cannot be read: {message}")]
    Garbled {
        /// What was being done.
        what: String,
        /// What is wrong with it.
        message: String,
    },
    /// No token could be had.
    #[error("no Google credentials for BigQuery: {0}")]
    Credentials(String),
    /// The run's time is up or the process is stopping.
    #[error("{what}: {cause}")]
    Interrupted {
        /// What was being done.
        what: String,
        /// Why.
        cause: Interrupted,
    },
}

impl WarehouseError {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused { reason, .. } if QUOTA_REASONS.contains(&reason.as_str()) => Code::BigQueryQuota,
            Self::Refused { status: 401 | 403, .. } => Code::BigQueryDenied,
            Self::Refused { status: 404, .. } => Code::BigQueryMissing,
            Self::Refused { .. } => Code::BigQueryRefused,
            Self::Unavailable { .. } | Self::Garbled { .. } => Code::BigQueryDown,
            Self::Location { .. } => Code::Location,
            Self::Credentials(_) => Code::Credentials,
            Self::Interrupted { cause, .. } => cause.code(),
        }
    }

    /// What may be done about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused { .. } => Class::Permanent,
            Self::Location { .. } => Class::Usage,
            Self::Unavailable { .. } | Self::Garbled { .. } | Self::Credentials(_) | Self::Interrupted { .. } => {
                Class::Transient
            }
        }
    }
}
