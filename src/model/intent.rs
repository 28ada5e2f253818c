//! The intent: the durable record of a chunk that is staged and about to be applied, and the ids made from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BqTable, DeletesPass, Position, Pruned, Schema};

/// What is done with a chunk's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Upsert by key; a row older than the target's is not written over it.
    Merge,
    /// Every chunk is appended exactly once.
    Append,
    /// The whole table replaces the target in one job.
    Replace,
}

impl Mode {
    /// As in the configuration and in the state object.
    pub fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Append => "append",
            Self::Replace => "replace",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which rows a chunk belongs to, and so what its commit moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Rows beyond the watermark; the commit moves the watermark.
    Live,
    /// Rows of the first interval in `rereads`; the commit moves that interval's position.
    Reread,
    /// Rows of a backfill's window, whose state is an object of its own; the commit moves the position there.
    Window,
    /// Rows whose cursor is NULL, read anew by each run; the commit moves nothing.
    Nulls,
    /// Rows below the watermark that `verify` found to differ, written as they are now; the commit moves nothing.
    Repair,
    /// The whole table (`replace`); the commit moves nothing.
    Whole,
    /// No rows: the staging table, built anew beside the target, replaces it; the commit ends the rebuild.
    Swap,
    /// The keys of all rows of the source; the target's rows without a match go. The commit notes when that was.
    Deletes,
}

/// What a merge says if its staging table does not hold the intent's rows: it changes nothing then.
pub const NOT_WHOLE: &str = "highwater: the staging table is not whole";

/// What a merge says, before two counts, if more rows would go than may: it changes nothing then.
pub const TOO_MANY_DELETES: &str = "highwater: too many rows are gone at the source";

/// A fresh id of a chunk: 26 characters, sorted by time, never used twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntentId(String);

impl IntentId {
    /// From the clock and from randomness, both given by the caller.
    pub fn new(now_ms: u64, random: u128) -> Self {
        Self(ulid::Ulid::from_parts(now_ms, random).to_string())
    }

    /// An id from its text; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let id = ulid::Ulid::from_string(text).ok()?.to_string();
        (id == text).then_some(Self(id))
    }

    /// The id's text: digits and capital letters only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of an attempt at a job, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(u32);

impl Attempt {
    /// The first attempt.
    pub const FIRST: Self = Self(1);

    /// The one after this.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number, from 1.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// The two jobs of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Parts into the staging table.
    Load,
    /// Staging table into the target, in every mode.
    Merge,
}

/// A BigQuery job id, `hw_load_<intent>_<n>`: equal for everybody who finishes the same intent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobId(String);

impl JobId {
    /// The id of that attempt at that job.
    pub fn new(kind: JobKind, intent: &IntentId, attempt: Attempt) -> Self {
        let kind = match kind {
            JobKind::Load => "load",
            JobKind::Merge => "merge",
        };
        Self(format!("hw_{kind}_{intent}_{}", attempt.get()))
    }

    /// The id of a job that changes the types of a target's columns; `id` is fresh.
    pub fn widen(id: &IntentId) -> Self {
        Self(format!("hw_widen_{id}"))
    }

    /// The id of a job that removes rows that the source does not have; `id` is fresh.
    pub fn remove(id: &IntentId) -> Self {
        Self(format!("hw_remove_{id}"))
    }

    /// The id of that attempt at loading a batch of reports; `batch` is of letters, digits and `_` only.
    pub fn runs(batch: &str, attempt: u32) -> Self {
        Self(format!("hw_runs_{batch}_{attempt}"))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A chunk that is staged completely and is to be applied. Self-contained: whoever finds it finishes it with
/// nothing but this record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Fresh for each staged chunk.
    pub id: IntentId,
    /// `gs://` addresses of the parts, all gzipped or all plain.
    pub parts: Vec<String>,
    /// Rows in the parts.
    pub rows: u64,
    /// NDJSON bytes of the parts before compression.
    pub bytes: u64,
    /// Which rows these are.
    pub lane: Lane,
    /// Where the chunk begins, exclusive; equals the lane's position in the state that the intent is written into.
    pub lower: Option<Position>,
    /// The last row's position; `None` only where rows have no order (`replace` without a key).
    pub upper: Option<Position>,
    /// The staged columns.
    pub schema: Schema,
    /// Names of the key's columns in BigQuery.
    pub key: Vec<String>,
    /// Whether the source enforces that the key is unique; if not, the merge keeps the newest row of each key.
    pub key_enforced: bool,
    /// Name of the cursor's column in BigQuery, by which a row that is older than the target's is told; `None` where rows
    /// are written as they are.
    pub cursor: Option<String>,
    /// Where the rows go.
    pub target: BqTable,
    /// The table that the parts are loaded into; shared by all attempts.
    pub staging: BqTable,
    /// BigQuery location of target, staging table and jobs.
    pub location: String,
    /// Project that the jobs run in.
    pub job_project: String,
    /// What is done with the rows.
    pub mode: Mode,
    /// Columns of the target that are no longer at the source: NULL in every row that is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleared: Vec<String>,
    /// Whether the target has `_synced_at` and `_deleted_at`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metadata: bool,
    /// Rows of the chunk that were rejected.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rejected: u64,
    /// `gs://` addresses of the objects with the rejected rows. They stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<String>,
    /// In the lane of deletes: which rows of the target go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletes: Option<Box<DeletesPass>>,
    /// The partitions of the target that the merge looks at; `None` for all. Rows with these keys are in no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Box<Pruned>>,
}

impl Intent {
    /// Whether its merge is right only as long as the rows of a key stay in their partitions: where the partition column is
    /// part of the key they do so by themselves.
    pub fn rests_on_promise(&self) -> bool {
        self.pruned.as_ref().is_some_and(|pruned| self.key.iter().all(|name| name != pruned.column()))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
