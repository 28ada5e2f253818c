//! What a catalog tells of a table beyond what a run needs.

/// What proposals of cursors rest on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// The leading columns of every index that serves all rows, in the indexes' order.
    pub indexes: Vec<Vec<String>>,
    /// Columns that a sequence, an identity or AUTO_INCREMENT fills.
    pub generated: Vec<String>,
    /// Columns that the database itself sets on each update (`ON UPDATE CURRENT_TIMESTAMP`).
    pub touched: Vec<String>,
}
