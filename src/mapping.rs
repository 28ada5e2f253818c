//! What each source type becomes: pure functions from the catalog's facts to a [`Column`].
//!
//! `postgres` and `mysql` map their own types; `names` makes BigQuery column names. No I/O.

pub mod mysql;
pub mod names;
pub mod postgres;

use crate::model::BqType;

/// One column of a source table, with all that later steps need to select, encode, order and create it.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name at the source, unquoted.
    pub name: String,
    /// The type as the source prints it: `numeric(18,4)`, `bigint(20) unsigned`.
    pub source_type: String,
    /// The BigQuery type.
    pub ty: BqType,
    /// Whether the source allows NULL.
    pub nullable: bool,
    /// Whether a non-NULL value can be unrepresentable in `ty` (infinity, zero date …). Such a column is never REQUIRED.
    pub fallible: bool,
    /// The source's column comment.
    pub comment: Option<String>,
    /// What kind of cursor the column can be; `None` if its values do not grow in an order that we know.
    pub cursor: Option<CursorKind>,
    /// How its value is selected and read.
    pub read: Read,
}

/// The kinds of cursor: what the ceiling and its rounding are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorKind {
    /// An instant (`timestamptz`, MySQL's `timestamp`).
    Instant {
        /// Fractional digits that the column keeps, 0 to 6.
        digits: u8,
    },
    /// A civil date and time without a zone (`timestamp`, `datetime`).
    Civil {
        /// Fractional digits that the column keeps, 0 to 6.
        digits: u8,
    },
    /// A date.
    Date,
    /// An integer or decimal from a sequence.
    Number,
}

/// The source's own reading of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// Of a PostgreSQL column.
    Postgres(postgres::Read),
    /// Of a MySQL or MariaDB column.
    MySql(mysql::Read),
}
