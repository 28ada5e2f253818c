//! Counts the values that did not arrive as they were, per column, with the first row's key: exact, or said aloud. Pure.

use serde::{Deserialize, Serialize};

/// What became of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// Written as it was (a NULL included).
    Exact,
    /// The type cannot hold it.
    Unrepresentable,
    /// Another value was written: the nearest that the type holds, or the earlier of two instants that a clock turned
    /// back makes of one civil time.
    Adjusted,
    /// Bytes that are no UTF-8 became U+FFFD; the rest arrived.
    Replaced,
}

/// What a finding counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A value became NULL.
    Null,
    /// Another value was written.
    Adjusted,
    /// Text lost bytes that are no UTF-8.
    Replaced,
    /// The value made its row a reject.
    Rejected,
}

/// The values of one column that did not arrive as they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnAudit {
    /// The column's name at the source; empty for rows that are too large as a whole.
    pub column: String,
    /// Values that became NULL (in an array column: the empty array) because BigQuery's type cannot hold them.
    pub unrepresentable: u64,
    /// Values that became the nearest one that BigQuery's type holds.
    #[serde(default)]
    pub adjusted: u64,
    /// Texts in which bytes that are no UTF-8 became U+FFFD.
    pub replaced: u64,
    /// Rows that were rejected because of this column.
    #[serde(default)]
    pub rejected: u64,
    /// The key of the first such row, as in a position.
    pub first_key: Vec<String>,
}

impl ColumnAudit {
    /// How many values, or rows, this tells of.
    pub fn total(&self) -> u64 {
        self.unrepresentable + self.adjusted + self.replaced + self.rejected
    }

    /// Adds the counts of the same column in a later read.
    pub fn add(&mut self, other: &Self) {
        self.unrepresentable += other.unrepresentable;
        self.adjusted += other.adjusted;
        self.replaced += other.replaced;
        self.rejected += other.rejected;
    }
}

/// The audit of one extraction: a slot per selected column, and one for rows as a whole.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    columns: Vec<ColumnAudit>,
}

impl Audit {
    /// An audit over columns of these names, in the order in which they are selected.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let slot = |name: &str| ColumnAudit { column: name.to_owned(), ..ColumnAudit::default() };
        Self { columns: names.into_iter().chain([""]).map(slot).collect() }
    }

    /// Counts a value of column `index`, or with the number of columns a row; `key` is asked for only for the first.
    pub fn record(&mut self, index: usize, finding: Finding, key: impl FnOnce() -> Vec<String>) {
        let Some(slot) = self.columns.get_mut(index) else { return };
        match finding {
            Finding::Null => slot.unrepresentable += 1,
            Finding::Adjusted => slot.adjusted += 1,
            Finding::Replaced => slot.replaced += 1,
            Finding::Rejected => slot.rejected += 1,
        }
        if slot.total() == 1 {
            slot.first_key = key();
        }
    }

    /// The columns that have something to tell.
    pub fn findings(&self) -> Vec<ColumnAudit> {
        self.columns.iter().filter(|slot| slot.total() > 0).cloned().collect()
    }

    /// Rows that were rejected.
    pub fn rejected(&self) -> u64 {
        self.columns.iter().map(|slot| slot.rejected).sum()
    }
}
