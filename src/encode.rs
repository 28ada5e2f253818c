//! From a database's raw value bytes to NDJSON bytes: one encoder per column, chosen once, no value tree,
//! no allocation per row. Pure.
//!
//! `json` writes BigQuery's NDJSON forms and serves both databases; `postgres` and `mysql` read the databases' binary
//! forms; `cast` changes a written value into another type's; `line` frames a row; `partitions` tells which partitions rows are in;
//! `row` writes whole rows and knows what is done with values that BigQuery cannot hold.

pub mod cast;
mod decimal;
pub mod json;
mod json_text;
pub mod line;
pub mod mysql;
pub mod partitions;
pub mod postgres;
pub mod row;

use crate::audit::Fidelity;

/// A value's bytes are not what the catalog's type promises: a bug of ours or a broken server, never bad data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value's bytes do not have the form of its type")]
pub struct Malformed;

/// The reader of one column's values, chosen once per read.
pub trait RowCodec: Copy + Send + Sync {
    /// Appends a value, which is not NULL, in BigQuery's NDJSON form. If it is unrepresentable, what was appended is
    /// without meaning and must be taken back.
    ///
    /// # Errors
    /// [`Malformed`] if `raw` is not of the type.
    fn write(self, out: &mut Vec<u8>, raw: &[u8]) -> Result<Fidelity, Malformed>;

    /// Appends the nearest value that BigQuery's type holds, for one that is unrepresentable; `false`, and nothing
    /// appended, if there is none (NaN, JSON that is none).
    ///
    /// # Errors
    /// [`Malformed`] if `raw` is not of the type.
    fn clamp(self, out: &mut Vec<u8>, raw: &[u8]) -> Result<bool, Malformed>;

    /// The value as text that the database takes back, exactly.
    ///
    /// # Errors
    /// [`Malformed`] if `raw` is not of the type, or is text that is no UTF-8.
    fn position_text(self, raw: &[u8]) -> Result<String, Malformed>;

    /// Whether the values become a REPEATED column's, which has no NULL.
    fn repeated(self) -> bool {
        false
    }
}
