//! The state object's content: all that Highwater remembers of one table.

use serde::{Deserialize, Serialize};

use super::{BqTable, DeletesDone, Intent, IntentId, Mode, PartitionBasis, PartitionCheck, Position, WindowState};

/// The version of the state object that this binary reads and writes.
pub const STATE_VERSION: u32 = 1;

/// What one table's state object holds. Every write of it is conditional on the generation that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableState {
    /// [`STATE_VERSION`].
    pub version: u32,
    /// The position of the last row known to be in BigQuery. Only ever grows.
    pub watermark: Option<Position>,
    /// The chunk that is staged and about to be applied. Set by the run that staged it, durable before any job of it.
    pub intent: Option<Intent>,
    /// The intent that was committed last: what is still staged for it is nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<IntentId>,
    /// An earlier look at the source, from which a ceiling ripens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    /// Intervals below the watermark to be read again, oldest first; at most [`TableState::REREADS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rereads: Vec<Reread>,
    /// Transactions that the ceiling went past because they were open longer than `max_hold`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// What the watermark rests on; `None` in a state that no run has written yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Box<Basis>>,
    /// The table that is built anew beside the target, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<Rebuild>,
    /// The last look for rows that are gone at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletes: Option<DeletesDone>,
    /// The last look whether rows stay in their partitions, where merges rest on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_check: Option<Box<PartitionCheck>>,
    /// The least cursor of rows that the live sync brings; `None` for all. What is below is left to backfills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
    /// The initial load by ranges of keys that is under way: rows up to the cursor that the watermark was set to are
    /// brought by its windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<IntentId>,
    /// In a window's own state object: the window, in which the watermark is a position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowState>,
    /// When this content was written, RFC 3339, by the container's clock; for people only.
    #[serde(default)]
    pub written_at: String,
    /// A word that no other write has: a writer whose answer was lost knows its own content by it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub written_by: String,
    /// Rows committed since the state began.
    #[serde(default)]
    pub rows_total: u64,
    /// Rows rejected since the state began.
    #[serde(default)]
    pub rejected_total: u64,
}

impl TableState {
    /// The most intervals remembered; beyond it nothing is added until one is done.
    pub const REREADS_MAX: usize = 32;
    /// The most held transactions remembered; beyond it the ceiling stops at the oldest.
    pub const HOLDS_MAX: usize = 32;

    /// The state of a table that was never synced.
    pub fn new() -> Self {
        Self {
            version: STATE_VERSION,
            watermark: None,
            intent: None,
            applied: None,
            note: None,
            rereads: Vec::new(),
            holds: Vec::new(),
            basis: None,
            rebuild: None,
            deletes: None,
            partition_check: None,
            began: None,
            load: None,
            window: None,
            written_at: String::new(),
            written_by: String::new(),
            rows_total: 0,
            rejected_total: 0,
        }
    }
}

impl Default for TableState {
    fn default() -> Self {
        Self::new()
    }
}

/// The settings and columns that a table was synced with last: if others make the watermark wrong, the run refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Where its rows went.
    pub target: BqTable,
    /// What was done with them.
    pub mode: Mode,
    /// The cursor's column at the source.
    pub cursor: Option<String>,
    /// The key's columns at the source, also where they are the primary key's.
    pub key: Vec<String>,
    /// The filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// The columns that were synced, and their names in BigQuery, which they keep.
    pub columns: Vec<SyncedColumn>,
    /// Columns that were synced once and are no longer at the source; the target has them still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<SyncedColumn>,
    /// Columns of the source that the settings left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Columns of which only a hash was synced, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashed: Vec<String>,
    /// A tag of the hashes' salt, too short to guess the salt by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// The zone of timestamps without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub naive_zone: Option<String>,
    /// How the column that the target is partitioned by is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Box<PartitionBasis>>,
    /// Whether an operator has set the watermark since: then other settings are taken as they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

/// A column that is synced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncedColumn {
    /// Its name at the source.
    pub source: String,
    /// Its name in BigQuery.
    pub name: String,
}

/// A table that is built anew beside the target and will replace it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuild {
    /// Where it is built; rows go there instead of into the target until it replaces it.
    pub table: BqTable,
    /// The target's own watermark: where it is, should this table never replace it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Position>,
    /// The target's own intervals to be read again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rereads: Vec<Reread>,
    /// What the target's own watermark rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Box<Basis>>,
}

/// A look at the source: what had been written by then is complete once every transaction open then has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The database's clock then, microseconds since the epoch.
    pub at_us: i64,
    /// The greatest value of a sequence cursor then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// PostgreSQL's `xmax` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xmax: Option<u64>,
}

/// An interval of cursor values to be read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reread {
    /// First cursor value, inclusive; `None` begins with the first row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Last cursor value, inclusive.
    pub to: String,
    /// The last row of it that was applied again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Position>,
    /// Whether it is that of a transaction that was gone past. Such a transaction can give a row an earlier cursor than
    /// the version has that is in the target already, so its rows are written as they are now, whatever their cursors.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passed: bool,
}

/// A transaction that was open too long to be waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The backend, as [`super::OpenTransaction::backend`].
    pub backend: String,
    /// When its transaction began, microseconds since the epoch, by the database's clock.
    pub started_us: i64,
    /// The least cursor value that it can have written; `None` if it can be any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}
