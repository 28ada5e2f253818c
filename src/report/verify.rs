//! What `verify` found in one table. Pure.

use serde::{Deserialize, Serialize};

use super::{Failure, LISTED_MAX};
use crate::model::{Difference, Mode, Position, TableId};

/// How a verification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyOutcome {
    /// Source and target have the same rows.
    Equal,
    /// They differed, and every row that did was mended.
    Repaired,
    /// They differ.
    Differs,
    /// It failed; `error` says why.
    Failed,
}

impl VerifyOutcome {
    /// As the report writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Repaired => "repaired",
            Self::Differs => "differs",
            Self::Failed => "failed",
        }
    }
}

/// What became of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowVerdict {
    /// The checksums are equal.
    Ok,
    /// They differ.
    Differs,
    /// They differ by rows that are on their way.
    Moving,
}

impl WindowVerdict {
    /// As the report writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Differs => "differs",
            Self::Moving => "moving",
        }
    }
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowReport {
    /// The time that its rows' cursors begin with, the number of its range, or nothing for the whole table.
    pub window: String,
    /// The least cursor (the key's first column where there is none) at the source; the target's where the source has no row.
    pub from: Option<String>,
    /// The greatest.
    pub to: Option<String>,
    /// Rows of the source.
    pub source_rows: u64,
    /// Rows of the target.
    pub target_rows: u64,
    /// Whether they are the same rows.
    pub checksum: WindowVerdict,
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReport {
    /// How.
    pub kind: Difference,
    /// Its key.
    pub key: Vec<String>,
    /// Whether it was mended.
    #[serde(default)]
    pub repaired: bool,
}

/// A column that is not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotCompared {
    /// Its name at the source.
    pub column: String,
    /// Why.
    pub reason: String,
}

/// What `verify` found in one table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The source's name.
    pub source: String,
    /// The table's name.
    pub table: String,
    /// The BigQuery table, `project.dataset.table`.
    pub target: String,
    /// The mode.
    pub mode: Mode,
    /// How it ended.
    pub outcome: VerifyOutcome,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Up to which row the two were compared.
    pub watermark: Option<Position>,
    /// Rows of the source.
    pub source_rows: u64,
    /// Rows of the target.
    pub target_rows: u64,
    /// How many columns were compared.
    pub columns: u64,
    /// Columns that were not.
    pub not_compared: Vec<NotCompared>,
    /// The windows, in order.
    pub windows: Vec<WindowReport>,
    /// Rows that differ, as many as were asked for.
    pub keys: Vec<KeyReport>,
    /// Keys that seem to differ and were not looked at again, or not named: there were too many.
    pub unnamed: u64,
    /// Rows in parts of the table that were not looked into, of which some differ.
    pub unopened_rows: u64,
    /// Rows that seemed to differ and are on their way.
    pub moving: u64,
    /// Bytes that BigQuery processed for the questions.
    pub bytes_processed: u64,
    /// Milliseconds that it took.
    pub duration_ms: u64,
    /// What a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl VerifyReport {
    /// A report of nothing yet.
    pub fn new(id: &TableId, target: String, mode: Mode) -> Self {
        Self {
            source: id.source.to_string(),
            table: id.table.to_string(),
            target,
            mode,
            outcome: VerifyOutcome::Equal,
            error: None,
            watermark: None,
            source_rows: 0,
            target_rows: 0,
            columns: 0,
            not_compared: Vec::new(),
            windows: Vec::new(),
            keys: Vec::new(),
            unnamed: 0,
            unopened_rows: 0,
            moving: 0,
            bytes_processed: 0,
            duration_ms: 0,
            notes: Vec::new(),
        }
    }

    /// Adds what a person should know.
    pub fn note(&mut self, note: String) {
        if self.notes.len() < LISTED_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// How it ended, by what was found.
    pub fn conclude(&mut self) {
        let unnamed = self.unnamed + self.unopened_rows > 0;
        let window = self.windows.iter().any(|window| window.checksum == WindowVerdict::Differs);
        let open = self.keys.iter().any(|key| !key.repaired);
        self.outcome = match (unnamed || open || window && self.keys.is_empty(), self.keys.is_empty()) {
            (true, _) => VerifyOutcome::Differs,
            (false, true) => VerifyOutcome::Equal,
            (false, false) => VerifyOutcome::Repaired,
        };
    }
}
