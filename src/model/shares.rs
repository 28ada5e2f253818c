//! Who moves which table, of the tasks of one execution of a Cloud Run job.

use serde::{Deserialize, Serialize};

use super::{SourceName, TableId, TableName};

/// The version of the objects that this binary writes and reads.
pub const SHARES_VERSION: u32 = 1;

/// The plan of shares of one execution. A table that stands in it is one task's for good; others are added as they are seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shares {
    /// [`SHARES_VERSION`].
    pub version: u32,
    /// The number of tasks, at least 1.
    pub tasks: u32,
    /// The tables, each once.
    pub tables: Vec<SharedTable>,
}

/// One table of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedTable {
    /// Its source.
    pub source: SourceName,
    /// Its name there.
    pub table: TableName,
    /// The catalog's estimate of its rows, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The index of the task that moves it, below [`Shares::tasks`].
    pub task: u32,
}

impl SharedTable {
    /// The table's id.
    pub fn id(&self) -> TableId {
        TableId { source: self.source.clone(), table: self.table.clone() }
    }
}
