//! How a database would read rows.

/// The plan of a statement that reads rows of one table, as `EXPLAIN` tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explained {
    /// The index that the rows come by.
    pub index: Option<String>,
    /// What is sorted before the first row comes.
    pub sort: Sort,
    /// Whether the table is read from its first row to its last, by no index.
    pub whole: bool,
    /// The planner's estimate of the rows, without the statement's limit.
    pub rows: Option<u64>,
    /// The planner's estimate of a row's bytes.
    pub row_bytes: Option<u64>,
}

/// What a database sorts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Nothing: rows come in order.
    #[default]
    Nothing,
    /// Rows that are equal in the index's columns.
    Ties,
    /// All rows.
    Everything,
}
