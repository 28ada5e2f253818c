//! The report of a look for gaps.

use serde::{Deserialize, Serialize};

use super::{Failure, LISTED_MAX};
use crate::model::TableId;

/// How a look for gaps ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapsOutcome {
    /// Every window that was asked for is complete, and no row is missing.
    Complete,
    /// There are gaps.
    Gaps,
    /// It failed; `error` says why.
    Failed,
}

impl GapsOutcome {
    /// As the report writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Gaps => "gaps",
            Self::Failed => "failed",
        }
    }
}

/// What is wrong with a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// It was asked for and never begun.
    Never,
    /// It was begun and not completed.
    Interrupted,
    /// The source has more rows of it than the target.
    Missing,
    /// The target has more rows of it than the source: they were deleted there, or changed since the last sync.
    Extra,
}

impl GapKind {
    /// As the report writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Interrupted => "interrupted",
            Self::Missing => "missing",
            Self::Extra => "extra",
        }
    }
}

/// One window that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapReport {
    /// Its name.
    pub window: String,
    /// Its first cursor value or key; of counted windows the least that is there.
    pub from: Option<String>,
    /// Its end; of counted windows the greatest that is there.
    pub to: Option<String>,
    /// What is wrong.
    pub kind: GapKind,
    /// Rows at the source, where they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_rows: Option<u64>,
    /// Rows in the target, where they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_rows: Option<u64>,
}

/// What a look for gaps of one table found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GapsReport {
    /// The source's name.
    pub source: String,
    /// The table's name.
    pub table: String,
    /// The BigQuery table, `project.dataset.table`.
    pub target: String,
    /// How it ended.
    pub outcome: GapsOutcome,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Windows that are not as they should be.
    pub gaps: Vec<GapReport>,
    /// Windows of backfills that were looked at.
    pub asked: u64,
    /// Windows whose rows were counted.
    pub counted: u64,
    /// Rows at the source, up to the watermark.
    pub source_rows: u64,
    /// Rows in the target, up to the watermark.
    pub target_rows: u64,
    /// Bytes that BigQuery processed.
    pub bytes_processed: u64,
    /// What a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}

impl GapsReport {
    /// A report of a look that has seen nothing yet.
    pub fn new(id: &TableId, target: String) -> Self {
        Self {
            source: id.source.to_string(),
            table: id.table.to_string(),
            target,
            outcome: GapsOutcome::Complete,
            error: None,
            gaps: Vec::new(),
            asked: 0,
            counted: 0,
            source_rows: 0,
            target_rows: 0,
            bytes_processed: 0,
            notes: Vec::new(),
            duration_ms: 0,
        }
    }

    /// Adds a note, up to [`LISTED_MAX`].
    pub fn note(&mut self, note: String) {
        if self.notes.len() < LISTED_MAX {
            self.notes.push(note);
        }
    }
}
