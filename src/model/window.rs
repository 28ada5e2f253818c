//! Windows of a backfill: ranges of rows that are brought beside the live sync, each with a state object of its own,
//! and what backfills of a table were asked for.

use serde::{Deserialize, Serialize};

use super::{Bound, IntentId, Position};

/// The version of the object that lists what was asked for.
pub const ASKS_VERSION: u32 = 1;

/// What divides a table's rows into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowUnit {
    /// Hours of the cursor.
    Hour,
    /// Days of the cursor.
    Day,
    /// Months of the cursor.
    Month,
    /// Ranges of a cursor that is a number, about equally many rows in each.
    Number,
    /// Ranges of the key, about equally many rows in each.
    Key,
}

impl WindowUnit {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Number => "number",
            Self::Key => "key",
        }
    }
}

/// Which rows a window has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WindowRange {
    /// Rows whose cursor is at least `from` and below `to`.
    Cursor {
        /// The first cursor value.
        from: String,
        /// The first beyond it.
        to: String,
    },
    /// Rows whose key is after the one and not after the other, and whose cursor is within the bound.
    Key {
        /// The key of the last row before the window; `None` begins with the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Vec<String>>,
        /// The key of the window's last row; `None` ends with the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Vec<String>>,
        /// Rows with a greater cursor are the live sync's.
        within: Bound,
    },
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its name: that of its state object.
    pub name: String,
    /// Its rows.
    pub range: WindowRange,
}

impl Window {
    /// Where it begins, inclusive, for people; of a range of keys the key before it.
    pub fn from(&self) -> Option<String> {
        match &self.range {
            WindowRange::Cursor { from, .. } => Some(from.clone()),
            WindowRange::Key { after, .. } => after.as_ref().map(|key| key.join(", ")),
        }
    }

    /// Where it ends, exclusive; of a range of keys its last key.
    pub fn to(&self) -> Option<String> {
        match &self.range {
            WindowRange::Cursor { to, .. } => Some(to.clone()),
            WindowRange::Key { until, .. } => until.as_ref().map(|key| key.join(", ")),
        }
    }

    /// The position after which its rows begin, where that is one of a row.
    pub fn after(&self) -> Option<Position> {
        match &self.range {
            WindowRange::Cursor { .. } => None,
            WindowRange::Key { after, .. } => Some(Position { cursor: None, key: after.clone()? }),
        }
    }

    /// The position of its last row, where that is known.
    pub fn until(&self) -> Option<Position> {
        match &self.range {
            WindowRange::Cursor { .. } => None,
            WindowRange::Key { until, .. } => Some(Position { cursor: None, key: until.clone()? }),
        }
    }
}

/// What a window's state object says of the window; its watermark is the position within it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowState {
    /// Its rows.
    pub range: WindowRange,
    /// Whether all of them are in the target.
    pub complete: bool,
}

/// A backfill that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Its id.
    pub id: IntentId,
    /// What divides it.
    pub by: WindowUnit,
    /// The first cursor value; of ranges of keys `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The first beyond it; of ranges of keys `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Of ranges: where windows end, ascending, each as the values of one position; the last window has no entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<Vec<String>>,
    /// Of ranges of keys: rows with a greater cursor are the live sync's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Bound>,
}

/// All backfills of a table that were asked for: by it `gaps` knows which windows there should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asks {
    /// [`ASKS_VERSION`].
    pub version: u32,
    /// Oldest first, at most [`Asks::MAX`].
    pub asks: Vec<Ask>,
}

impl Asks {
    /// The most that are remembered.
    pub const MAX: usize = 100;

    /// Nothing was asked for.
    pub fn none() -> Self {
        Self { version: ASKS_VERSION, asks: Vec::new() }
    }
}
