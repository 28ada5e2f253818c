//! What the configuration says of one table, with every default filled in.

use std::time::Duration;

use super::{
    BqTable, ColumnSettings, DeletesSettings, Limits, Matched, MaxRejects, Mode, Schedule, SourceTable, TableId,
    TimeUnit,
};

/// One table's settings: all that a run needs besides the connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSettings {
    /// Its name in the configuration.
    pub id: TableId,
    /// The table at the source.
    pub table: SourceTable,
    /// The pattern that it was found by; `None` where it is named.
    pub matched: Option<Matched>,
    /// The table in BigQuery.
    pub target: BqTable,
    /// BigQuery location of target, staging tables and jobs.
    pub location: String,
    /// Project that the jobs run in.
    pub job_project: String,
    /// What is done with the rows.
    pub mode: Mode,
    /// The cursor's column at the source; `None` only in `replace`.
    pub cursor: Option<String>,
    /// The key's columns at the source; `None` takes the primary key.
    pub key: Option<Vec<String>>,
    /// Whether a target that does not exist is created.
    pub create: bool,
    /// Partitions of a target that Highwater creates.
    pub partitioning: Option<WantedPartitioning>,
    /// Whether it is promised that a row's value of the partition column never changes, so that a merge looks at the
    /// partitions of its rows alone.
    pub partition_immutable: bool,
    /// Clustering of a target that Highwater creates: columns at the source, at most 4.
    pub cluster_by: Vec<String>,
    /// Which columns, as what.
    pub columns: ColumnSettings,
    /// A condition in the source's SQL that rows must meet to be synced.
    pub filter: Option<String>,
    /// The most rows of one run that may be rejected.
    pub max_rejects: MaxRejects,
    /// What is done when the source's columns change.
    pub schema: SchemaSettings,
    /// Whether and how rows that are gone at the source leave the target (`merge`).
    pub deletes: Option<DeletesSettings>,
    /// Limits of chunks and parts.
    pub limits: Limits,
    /// The least cursor that the first run of the table begins with; `None` for its first row.
    pub backfill_start: Option<String>,
    /// How far behind the clock it is safe to read where other sessions cannot be seen.
    pub lag: Duration,
    /// How long an open transaction may hold the ceiling back.
    pub max_hold: Duration,
    /// How far below the watermark each run reads again (`merge`); zero for not at all.
    pub lookback: Duration,
    /// What is done with rows whose cursor is NULL.
    pub null_cursor: NullCursor,
    /// IANA name of the zone in which cursors without a zone are written.
    pub cursor_timezone: String,
    /// When `highwater schedule` runs it.
    pub schedule: Option<Schedule>,
}

/// What is done when the source's columns change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaSettings {
    /// Whether columns that appear at the source are added to the target.
    pub add: bool,
    /// Whether the table is read once again after columns were added, to fill them in rows that are there (`merge`).
    pub backfill_added: bool,
    /// Whether a target that cannot take the source's columns is built anew beside itself and replaced.
    pub rebuild: bool,
}

impl Default for SchemaSettings {
    fn default() -> Self {
        Self { add: true, backfill_added: false, rebuild: false }
    }
}

/// What is done with rows whose cursor is NULL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NullCursor {
    /// They are counted and reported.
    #[default]
    Report,
    /// They are synced on each run (`merge`).
    Include,
}

/// Partitions as configured; columns by their names at the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedPartitioning {
    /// By a date or time column.
    Time {
        /// The column at the source.
        column: String,
        /// The partition's length.
        unit: TimeUnit,
    },
    /// By an integer column, `start` inclusive, `end` exclusive.
    Range {
        /// The column at the source.
        column: String,
        /// First value of the first partition.
        start: i64,
        /// First value beyond the last partition.
        end: i64,
        /// Width of a partition, at least 1.
        interval: i64,
    },
}

impl WantedPartitioning {
    /// The column at the source.
    pub fn column(&self) -> &str {
        match self {
            Self::Time { column, .. } | Self::Range { column, .. } => column,
        }
    }
}
