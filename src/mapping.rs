//! What each source type becomes: pure functions from the catalog's facts to a [`Column`].
//!
//! `postgres` and `mysql` map their own types; `retarget` makes a column another type than its own; `canonical` is the text
//! by which a value is compared with BigQuery's; `names` makes BigQuery column names. No I/O.

mod canonical;
pub mod mysql;
pub mod names;
pub mod postgres;
mod retarget;

pub use canonical::{Canonical, SALT, canonical};
pub use retarget::{Retargeted, as_plain_text, retarget};

use crate::encode::cast::Cast;
use crate::model::{BqType, Policy};

/// One column of a source table, with all that later steps need to select, encode, order and create it.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name at the source, unquoted.
    pub name: String,
    /// The type as the source prints it: `numeric(18,4)`, `bigint(20) unsigned`.
    pub source_type: String,
    /// The BigQuery type; of the elements if it is REPEATED.
    pub ty: BqType,
    /// Whether it is an array of `ty`.
    pub repeated: bool,
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
    /// What is made of a value that was read, where the type is overridden.
    pub cast: Option<Cast>,
    /// Whether somebody decided what the type becomes; `false` for one that we do not know, which is read as text.
    pub known: bool,
    /// Whether a value that is not written as it was does not fit: a key's, which would be another row's.
    pub exact: bool,
    /// What is done with a value that `ty` cannot hold.
    pub policy: Policy,
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

/// What the elements of an array column become; `None` if it is no array that can be a REPEATED column.
pub fn elements(column: &Column) -> Option<BqType> {
    match &column.read {
        Read::Postgres(read) => read.elements.as_ref().map(|elements| elements.ty),
        Read::MySql(_) => None,
    }
}

/// Whether positions made of `other`'s values are those of `column`'s.
pub fn same_positions(column: &Column, other: &Column) -> bool {
    use crate::encode::mysql::MyCodec;
    use crate::encode::postgres::PgCodec;
    match (&column.read, &other.read) {
        (Read::Postgres(a), Read::Postgres(b)) => {
            a.select == b.select && (a.codec == b.codec || b.codec == PgCodec::NumericText)
        }
        (Read::MySql(a), Read::MySql(b)) => {
            let digits = matches!(b.codec, MyCodec::DecimalText | MyCodec::Signed | MyCodec::Bit);
            a.expr == b.expr && (a.codec == b.codec || digits)
        }
        _ => false,
    }
}
