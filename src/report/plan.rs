//! What `plan` says of one table: what its next run would do, and what that rests on. A line of `plan --json`.

use serde::Serialize;

use super::Failure;
use crate::model::{Lane, Mode, Policy};

/// What the next run of a table would do.
#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    /// The source's name.
    pub source: String,
    /// The table's name in the configuration.
    pub table: String,
    /// Which database the source is: `postgres` or `mysql`.
    pub source_kind: &'static str,
    /// The database's name.
    pub database: String,
    /// The table as the database knows it, `schema.table`.
    pub source_table: String,
    /// The BigQuery table, `project.dataset.table`.
    pub target: String,
    /// BigQuery's location.
    pub location: String,
    /// The mode.
    pub mode: Mode,
    /// The cursor; nothing in `replace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<PlannedCursor>,
    /// The key; nothing where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PlannedKey>,
    /// What the next run reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<NextRun>,
    /// How its rows are found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<PlannedScan>,
    /// How much there is to move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// The columns that are synced, in the table's order.
    pub columns: Vec<PlannedColumn>,
    /// Columns of the source that are not synced, at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// What is changed in BigQuery before rows are written.
    pub changes: Vec<PlannedChange>,
    /// The jobs of the next run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<PlannedJobs>,
    /// What one MERGE costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<PlannedCost>,
    /// Load jobs against BigQuery's limits, at the configured schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<PlannedQuota>,
    /// What a person should do something about, a line each.
    pub warnings: Vec<String>,
    /// What a person should know, a line each.
    pub notes: Vec<String>,
    /// Why the table cannot be synced as it is, as the run would say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Whether a pattern found it and it was never synced: then a run of everything tells the error and goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unusable: bool,
}

/// The cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedCursor {
    /// The column at the source.
    pub column: String,
    /// Its type there.
    pub source_type: String,
}

/// The key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedKey {
    /// Its columns at the source.
    pub columns: Vec<String>,
    /// `configuration` or `primary_key`.
    pub from: &'static str,
    /// Whether the source keeps it unique and not NULL.
    pub enforced: bool,
}

/// What the next run does with a table as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NextKind {
    /// Nothing was read yet: it begins with the first row.
    FirstRun,
    /// It reads on from the watermark.
    GoesOn,
    /// It reads the whole table (`replace`).
    Replaces,
    /// It builds the table anew beside the target.
    Rebuilds,
}

/// What the next run reads.
#[derive(Clone, Debug, Serialize)]
pub struct NextRun {
    /// How it begins.
    pub kind: NextKind,
    /// The intent of an earlier run that is finished first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finishes_first: Option<PlannedIntent>,
    /// The cursor that it reads on from, exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The cursor up to which it reads; nothing where no row is safe to read yet, or in `replace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether rows with exactly that cursor are read too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_inclusive: Option<bool>,
    /// The transaction that holds the ceiling back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    /// Intervals below the watermark that are read again first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rereads: Vec<PlannedReread>,
    /// Rows whose cursor is NULL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_cursor_rows: Option<u64>,
    /// Whether it is time to look for rows that are gone at the source.
    pub deletes_due: bool,
}

/// An intent that is pending.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedIntent {
    /// Its id.
    pub id: String,
    /// Which rows it has.
    pub lane: Lane,
    /// How many.
    pub rows: u64,
    /// Whether what was staged for it is gone: it is dropped, and its rows are read again.
    pub lost: bool,
}

/// An interval that is read again.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedReread {
    /// First cursor value; nothing begins with the first row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Last cursor value.
    pub to: String,
}

/// How the database finds the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Served {
    /// By an index in the order of the read.
    Index,
    /// There is such an index, and the planner reads the whole table all the same: it is small, or one chunk.
    Small,
    /// By an index that finds the range, whose ties are sorted.
    Partly,
    /// Each chunk reads or sorts the whole table, or all that is left of it.
    Unserved,
    /// All rows are read, in one go.
    Whole,
}

/// How the next chunk's rows are found.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedScan {
    /// How.
    pub served: Served,
    /// The index that the planner takes, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// The columns that the rows are ordered by.
    pub order: Vec<String>,
    /// The statement that makes an index that serves it, for an administrator of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_index: Option<String>,
}

/// How much there is to move.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Amount {
    /// An estimate of the rows: the planner's, or of a whole table the catalog's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_estimate: Option<u64>,
    /// The rows, counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_counted: Option<u64>,
    /// An estimate of their bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_estimate: Option<u64>,
    /// What that rests on: `past_runs` (bytes of NDJSON) or `statistics` (bytes of the database's rows).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_from: Option<&'static str>,
}

impl Amount {
    /// The best that is known of the rows.
    pub fn rows(&self) -> Option<u64> {
        self.rows_counted.or(self.rows_estimate)
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedColumn {
    /// Its name at the source.
    pub name: String,
    /// Its type there.
    pub source_type: String,
    /// Its name in BigQuery.
    pub target_name: String,
    /// Its type there.
    pub target_type: String,
    /// Its mode there.
    pub target_mode: &'static str,
    /// What is done with a value that the type cannot hold; nothing where it holds them all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<&'static str>,
    /// Whether values can be lost: some do not fit, or what arrives does not tell them.
    pub lossy: bool,
    /// What happens to name and values, a line each; empty where they arrive as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
}

/// A change of a dataset or table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedChange {
    /// It as GoogleSQL.
    pub sql: String,
    /// What does it: `datasets.insert`, `tables.insert`, `tables.patch`, a `query job` of this very text, or a `copy job`.
    pub by: &'static str,
}

/// The jobs of the next run, should it read all that there is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedJobs {
    /// Chunks.
    pub chunks: u64,
    /// Load jobs, one a chunk.
    pub load_jobs: u64,
    /// Jobs that bring rows into the target, one a chunk.
    pub merge_jobs: u64,
    /// Other jobs: wider columns, copies, the look for deleted rows.
    pub other_jobs: u64,
    /// An estimate of how long it takes; nothing where no past run tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_estimate: Option<f64>,
    /// Rows a second of the past runs that this rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past_rows_per_second: Option<f64>,
    /// How many past runs that are.
    pub past_runs: u64,
}

/// What one MERGE costs on demand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedCost {
    /// Bytes that it is billed for, without those of the chunk itself.
    pub merge_bytes: u64,
    /// What it comes to.
    pub merge_dollars: f64,
    /// Whether it can be less: the number is an upper bound.
    pub at_most: bool,
    /// What the number rests on: `dry_run` or `table_size`.
    pub from: &'static str,
    /// Bytes of a MERGE that looks at the partitions of the next rows alone (at most 1,000 of them are read to tell which
    /// these are); nothing where the table's merges look at all, or no row is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned_bytes: Option<u64>,
    /// What that comes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned_dollars: Option<f64>,
    /// How many rows were read to tell; a chunk has more rows, as a rule, and may be in more partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned_rows_sampled: Option<u64>,
    /// How it could be less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Load jobs a day, should each run find rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedQuota {
    /// The schedule.
    pub schedule: String,
    /// Runs on a day on which it comes.
    pub runs_per_day: u64,
    /// Load jobs, one a run.
    pub load_jobs_per_day: u64,
    /// What of BigQuery's limit for a project that is.
    pub project_limit_per_day: u64,
    /// Load jobs into the target itself: each chunk has a staging table of its own, so BigQuery's limit for one table is
    /// never near.
    pub load_jobs_into_target_per_day: u64,
}

/// What is done with a value that does not fit, as a plan says it.
pub fn policy_says(policy: Policy) -> &'static str {
    match policy {
        Policy::Null => "become NULL",
        Policy::Clamp => "become the nearest that fits",
        Policy::Reject => "make their row a reject",
        Policy::Fail => "fail the run",
    }
}
