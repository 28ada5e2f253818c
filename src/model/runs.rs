//! The table of runs: where it is, what is loaded into it, what is read from it.

use super::{BqTable, Schema};

/// Where the table of runs is, and how it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunsPlace {
    /// The table.
    pub table: BqTable,
    /// Where it and its jobs are.
    pub location: String,
    /// Whose jobs they are.
    pub job_project: String,
    /// For how many days a row is kept.
    pub days: u32,
}

/// Reports that a job appends to the table of runs.
#[derive(Clone, Copy, Debug)]
pub struct RunsLoad<'a> {
    /// The table.
    pub table: &'a BqTable,
    /// Its columns.
    pub schema: &'a Schema,
    /// `gs://` addresses of the reports, one row each.
    pub reports: &'a [String],
    /// How many of them may be left out because they cannot be read.
    pub bad_max: u32,
    /// Where the job runs.
    pub location: &'a str,
    /// Whose job it is.
    pub job_project: &'a str,
}

/// The most rows of an answer about runs: tables, times days.
pub const RUNS_ANSWER_MAX: usize = 100_000;

/// Which runs are asked for.
#[derive(Clone, Copy, Debug)]
pub struct RunsScan<'a> {
    /// Where they are.
    pub place: &'a RunsPlace,
    /// The first day, `YYYY-MM-DD` in UTC.
    pub since: &'a str,
    /// Ids of runs that are not wanted, of letters and digits only.
    pub except: &'a [String],
    /// Fresh for each question.
    pub request: &'a str,
}

/// The runs of a table on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunsDay {
    /// The source's name.
    pub source: String,
    /// The table's name.
    pub table: String,
    /// `YYYY-MM-DD`, UTC, by when they began.
    pub day: String,
    /// Rows that were committed.
    pub rows: u64,
    /// How many runs there were.
    pub runs: u64,
    /// How many of them failed.
    pub failed: u64,
    /// The latest `fresh_as_of`, RFC 3339.
    pub fresh_as_of: Option<String>,
}

/// The last run of a table that was not about a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// The source's name.
    pub source: String,
    /// The table's name.
    pub table: String,
    /// The run's id.
    pub run_id: String,
    /// When it ended, RFC 3339.
    pub ended_at: String,
    /// How it ended.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether trying again can help.
    pub error_class: Option<String>,
    /// The code of that, where the run's version had codes.
    pub code: Option<String>,
}
