//! Counts the values that BigQuery cannot hold, per column, with the first row's key: exact, or said aloud. Pure.

use serde::{Deserialize, Serialize};

/// What became of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// Written as it was (a NULL included).
    Exact,
    /// The type cannot hold it; NULL was written in its place.
    Unrepresentable,
    /// Bytes that are no UTF-8 became U+FFFD; the rest arrived.
    Replaced,
}

/// The values of one column that did not arrive as they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnAudit {
    /// The column's name at the source.
    pub column: String,
    /// Values that became NULL because BigQuery's type cannot hold them.
    pub unrepresentable: u64,
    /// Texts in which bytes that are no UTF-8 became U+FFFD.
    pub replaced: u64,
    /// The key of the first such row, as in a position.
    pub first_key: Vec<String>,
}

/// The audit of one extraction: a slot per selected column.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    columns: Vec<ColumnAudit>,
}

impl Audit {
    /// An audit over columns of these names, in the order in which they are selected.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let columns = names.into_iter().map(|name| ColumnAudit { column: name.to_owned(), ..ColumnAudit::default() });
        Self { columns: columns.collect() }
    }

    /// Counts a value of column `index`; `key` is asked for only for the column's first.
    pub fn record(&mut self, index: usize, fidelity: Fidelity, key: impl FnOnce() -> Vec<String>) {
        let Some(slot) = self.columns.get_mut(index) else { return };
        match fidelity {
            Fidelity::Exact => return,
            Fidelity::Unrepresentable => slot.unrepresentable += 1,
            Fidelity::Replaced => slot.replaced += 1,
        }
        if slot.unrepresentable + slot.replaced == 1 {
            slot.first_key = key();
        }
    }

    /// The columns that have something to tell.
    pub fn findings(&self) -> Vec<ColumnAudit> {
        self.columns.iter().filter(|slot| slot.unrepresentable + slot.replaced > 0).cloned().collect()
    }
}
