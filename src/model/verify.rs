//! What `verify` asks of both sides, and what they say: which rows, in which groups, and their checksums.
//!
//! Whatever stands here is computed by source and target from the same canonical text of each value, so that it is
//! equal where the rows are.

use serde::{Deserialize, Serialize};

use super::{Bound, BqType};

/// How a row's window is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// All rows are one window.
    Whole,
    /// By the first characters of the cursor's canonical text, which is a time.
    Prefix(u8),
    /// By the cursor's number: the window's number is how many of these bounds, ascending, are not beyond it.
    Ranges(Vec<i128>),
}

/// Which rows are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Only rows whose cursor is at least this.
    pub from: Option<String>,
    /// Only rows whose cursor is within this bound.
    pub to: Option<Bound>,
    /// How their windows are told.
    pub label: Label,
    /// Only rows of these windows; empty for all.
    pub windows: Vec<String>,
    /// Only rows whose key's digest begins with one of these, which are equally long; empty for all.
    pub buckets: Vec<String>,
}

/// What rows are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Their window, and no sum is wanted: only how many rows there are, and between which ends.
    Extent,
    /// Their window.
    Window,
    /// So many first characters of their key's digest, at least one.
    Bucket(u8),
}

/// What one side says of one group of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// The window's label, or the digest's first characters.
    pub group: String,
    /// How many rows.
    pub rows: u64,
    /// The sum of 60 bits of each row's digest.
    pub sum: u128,
    /// The least cursor (the key's first column where there is no cursor), as canonical text.
    pub least: Option<String>,
    /// The greatest.
    pub greatest: Option<String>,
}

/// What one side says of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The digest of its key; of the row where there is no key.
    pub key_digest: String,
    /// The digest of all its compared values.
    pub digest: String,
    /// The key's values as canonical text.
    pub key: Vec<String>,
    /// Whether it should be in the target as it is here. `false` where its cursor is beyond the watermark, where its
    /// interval is to be read again, and where it is rejected.
    pub settled: bool,
}

/// A column of a target that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: BqType,
    /// Of a TIMESTAMP made of civil times: the zone in which they were written; `None` for UTC.
    pub zone: Option<String>,
}

/// How a key differs between source and target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Both have the row, with other values.
    Changed,
    /// The source has it, the target does not.
    Missing,
    /// The target has it, the source does not.
    Extra,
}

impl Difference {
    /// As the report writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Extra => "extra",
        }
    }
}

/// Hexadecimal digits of a digest (MD5).
pub const DIGEST_DIGITS: u8 = 32;
/// Hexadecimal digits of a row's digest that are summed: 60 bits, which every database has an integer for.
pub const SUMMED_DIGITS: u8 = 15;
