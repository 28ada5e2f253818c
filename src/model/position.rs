//! Where a reader is: (cursor, key) values as text that the source database reads back exactly.

use serde::{Deserialize, Serialize};

/// The (cursor, key) of one row. Each value is text in the form the source's own input takes for the column's
/// type: `42`, `2026-01-01T00:00:00.123456Z`, a uuid, `\x00ff` for bytes of PostgreSQL, `00FF` (hex) for those of MySQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The cursor's value; `None` where rows are read by key alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The values of the key's columns, in the key's order.
    pub key: Vec<String>,
}

/// An upper end of cursor values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The cursor value as text, in the form of [`Position`].
    pub value: String,
    /// Whether rows with exactly this cursor are within it.
    pub inclusive: bool,
}
