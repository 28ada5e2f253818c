//! The source database as the engine sees it: one session per run and table, read-only.
//!
//! The contract that every backend keeps:
//! - **Read only.** No statement of ours writes, locks rows or waits for a lock longer than a few seconds.
//! - **Pinned.** A session's settings (time zone, date style, SQL mode, float digits, select limit …) are set by
//!   us right after connecting; defaults of server, database or role change nothing.
//! - **One snapshot.** [`Session::begin`] opens the snapshot that all later reads of the session see.
//!   [`Session::activity`] and [`Session::max_cursor`] are called before it.
//! - **Whole or nothing.** [`Session::read`] gives every row of its query, in order, or an error. After an error,
//!   or after [`ReadEnd::CutByBytes`], the session must not be used again: drop it.
//! - **Bounded.** Memory is that of one row and one block. A database that is silent for [`STALL_MAX`], or for half of
//!   the time that the run has left, is an error; if rows came before and the sink has had its time, the read ends there.

pub mod checkup;
mod error;
pub mod explain;
mod login;
pub mod mysql;
pub mod postgres;
pub mod survey;
mod tls;
mod verify;

use std::future::Future;
use std::time::Duration;

pub use error::SourceError;
pub use verify::{Scan, Which};

use crate::audit::Audit;
use crate::encode::partitions::Grid;
use crate::encode::row::{Cell, RowError, Values};
use crate::gzip::Fields;
use crate::mapping::Column;
use crate::model::{
    Activity, Bound, Checksum, Derived, Fingerprint, Group, Indexing, Position, Pruned, Rows, SourceTable, TableKind,
};
use crate::net::Context;

/// A source that sends nothing for this long is taken for dead; or for half of the run's remaining time, if that is less.
pub const STALL_MAX: Duration = Duration::from_secs(120);
/// The most time for connecting, authentication included.
pub const CONNECT_MAX: Duration = Duration::from_secs(30);
/// The most time for one catalog query.
pub const CATALOG_MAX: Duration = Duration::from_secs(60);
/// The most time for a query that scans a table and answers when it has seen all of it.
const SCAN_MAX: Duration = Duration::from_secs(3600);
/// A block is handed on when it holds at least this many bytes of NDJSON.
pub const BLOCK_BYTES: usize = 256 << 10;

/// Connects to one source database.
pub trait Source: Send + Sync {
    /// A connection to it.
    type Session: Session;

    /// Opens a connection, pins its settings, and checks nothing else.
    fn connect(&self, cx: &Context) -> impl Future<Output = Result<Self::Session, SourceError>> + Send;
}

/// One connection, used by one run for one table.
pub trait Session: Send {
    /// Reads the table's columns, keys and size from the system catalogs.
    ///
    /// # Errors
    /// [`SourceError::NoTable`] names tables that look alike; [`SourceError::Denied`] if it may not be read.
    fn describe(
        &mut self,
        cx: &Context,
        table: &SourceTable,
    ) -> impl Future<Output = Result<Description, SourceError>> + Send;

    /// The database's clock and the transactions that can still write.
    fn activity(&mut self, cx: &Context) -> impl Future<Output = Result<Activity, SourceError>> + Send;

    /// Looks whether `filter` is a condition on the table's rows, without reading any.
    ///
    /// # Errors
    /// [`SourceError::BadFilter`] with what the server says of it.
    fn check_filter(
        &mut self,
        cx: &Context,
        table: &SourceTable,
        filter: &str,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// The greatest value of `column` now, as text in the form of [`Position`]; `None` for an empty table.
    fn max_cursor(
        &mut self,
        cx: &Context,
        table: &SourceTable,
        column: &Column,
    ) -> impl Future<Output = Result<Option<String>, SourceError>> + Send;

    /// Opens the READ ONLY snapshot.
    fn begin(&mut self, cx: &Context) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// The position of one of the rows of `query`; `None` if there is none at that place.
    ///
    /// # Errors
    /// As [`Session::read`]. The session can be used again.
    fn position(
        &mut self,
        cx: &Context,
        query: &ReadQuery<'_>,
        place: Place,
    ) -> impl Future<Output = Result<Option<Position>, SourceError>> + Send;

    /// How many of the rows that meet `filter` have NULL in `column`.
    fn count_nulls(
        &mut self,
        cx: &Context,
        table: &SourceTable,
        column: &Column,
        filter: Option<&str>,
    ) -> impl Future<Output = Result<u64, SourceError>> + Send;

    /// Streams the rows of `query` as NDJSON lines into `sink`.
    fn read<S: BlockSink>(
        &mut self,
        cx: &Context,
        query: &ReadQuery<'_>,
        sink: &mut S,
    ) -> impl Future<Output = Result<ReadDone, SourceError>> + Send;

    /// The rows' checksums, group by group, in any order; at most `groups_max` groups.
    fn checksums(
        &mut self,
        cx: &Context,
        scan: &Scan<'_>,
        rows: &Rows,
        group: Group,
        groups_max: u64,
    ) -> impl Future<Output = Result<Vec<Checksum>, SourceError>> + Send;

    /// The fingerprints of at most `rows_max` rows, in any order.
    fn fingerprints(
        &mut self,
        cx: &Context,
        scan: &Scan<'_>,
        which: Which<'_>,
        rows_max: u64,
    ) -> impl Future<Output = Result<Vec<Fingerprint>, SourceError>> + Send;

    /// Ends the transaction and closes the connection; errors do not matter any more.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Which of a query's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one after so many others.
    After(u64),
    /// The last.
    Last,
}

/// What the catalog says of one table.
#[derive(Clone, Debug)]
pub struct Description {
    /// The name as the catalog writes it, which on some servers can differ by case from the one that was asked for.
    pub name: String,
    /// What it is.
    pub kind: TableKind,
    /// How an index is made on it.
    pub indexing: Indexing,
    /// The columns that can be selected, in the table's order; dropped ones are not among them.
    pub columns: Vec<Column>,
    /// Names of columns that are there and may not be selected.
    pub hidden: Vec<String>,
    /// Whether there are columns that may not be selected and whose names cannot be told.
    pub hides_some: bool,
    /// Names of the primary key's columns, in its order; empty if there is none.
    pub primary_key: Vec<String>,
    /// Column sets that the database keeps unique (unique indexes that are valid, not partial, not on expressions,
    /// not deferrable), the primary key not among them. Columns may be nullable.
    pub unique_keys: Vec<Vec<String>>,
    /// The table's comment.
    pub comment: Option<String>,
    /// The planner's estimate of the number of rows.
    pub rows_estimate: Option<u64>,
    /// Columns whose values the database itself makes when a row changes.
    pub derived: Vec<Derived>,
}

/// One read of rows.
#[derive(Clone, Copy, Debug)]
pub struct ReadQuery<'a> {
    /// The table.
    pub table: &'a SourceTable,
    /// The columns to select, in the order in which they are written.
    pub columns: &'a [Column],
    /// The columns' names in BigQuery, in the same order.
    pub names: &'a [String],
    /// Index into `columns` of the cursor; `None` reads by key alone.
    pub cursor: Option<usize>,
    /// Indexes into `columns` of the key's columns, in the key's order. May contain the cursor. Empty only if all
    /// rows are read in any order, in one query without limit.
    pub key: &'a [usize],
    /// Which rows.
    pub range: Range<'a>,
    /// Rows at the most; `None` reads all.
    pub rows_max: Option<u64>,
    /// NDJSON bytes after which the read ends at the next row.
    pub bytes_max: Option<u64>,
    /// Rejected rows that are borne; one more is [`SourceError::TooManyRejects`].
    pub rejects_max: u64,
    /// A condition in the source's SQL that rows must meet besides.
    pub filter: Option<&'a str>,
    /// The target's partitions, of which those that the rows are in are told: by the column of this index.
    pub partition: Option<(usize, &'a Grid)>,
}

/// Which rows are read, in ascending order of (cursor, key).
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// Strictly after this row.
    pub after: Option<&'a Position>,
    /// Only rows whose cursor is at least this value (as text).
    pub from: Option<&'a str>,
    /// Only rows whose cursor is within this bound.
    pub ceiling: Option<&'a Bound>,
    /// Which rows regarding a NULL cursor.
    pub nulls: Nulls,
    /// Up to this row, itself included, in the order of the read.
    pub until: Option<&'a Position>,
    /// Only rows with these keys, each value as canonical text (`mapping::canonical`).
    pub keys: Option<&'a [Vec<String>]>,
}

/// Rows with a NULL cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// Are left out (any bound on the cursor leaves them out too).
    Skip,
    /// Are left out, and the rest is read in order of the key alone; bounds on the cursor hold all the same.
    SkipByKey,
    /// Are the only ones read, in order of the key alone; the cursor plays no other part.
    Only,
    /// Are read like the others: `cursor` is `None` or is not looked at.
    Any,
}

/// A read that went to its end.
#[derive(Debug)]
pub struct ReadDone {
    /// Rows written.
    pub rows: u64,
    /// Rows rejected; they count for `rows_max` too.
    pub rejected: u64,
    /// NDJSON bytes written.
    pub bytes: u64,
    /// The last row's position; `None` if there was no row or the query has no order.
    pub last: Option<Position>,
    /// Why it ended.
    pub end: ReadEnd,
    /// Values that did not arrive as they were.
    pub audit: Audit,
    /// What the partition column can be in the rows; `None` if nobody asked, or it cannot be told.
    pub partitions: Option<Pruned>,
}

/// Why a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// No more rows.
    Exhausted,
    /// `rows_max` rows were read; there may be more.
    CutByRows,
    /// `bytes_max` was reached or the sink had enough; the session must be dropped.
    CutByBytes,
}

/// Whole NDJSON lines on their way to a part.
#[derive(Debug, Default)]
pub struct Block {
    /// The lines, each ended by `\n`.
    pub bytes: Vec<u8>,
    /// How many.
    pub rows: u64,
    /// Where their fields begin.
    pub fields: Fields,
}

impl Block {
    /// One with room for [`BLOCK_BYTES`] and the row that goes beyond them.
    pub fn empty() -> Self {
        Self { bytes: Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 4), ..Self::default() }
    }

    /// Takes everything out; the room stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.rows = 0;
        self.fields.clear();
    }
}

/// Takes blocks; the await is the backpressure.
pub trait BlockSink: Send {
    /// Hands a block on and gives an empty one, its buffer perhaps used before.
    fn send(&mut self, block: Block) -> impl Future<Output = Result<Block, SinkClosed>> + Send;

    /// Takes a rejected row's line, without its line feed.
    fn reject(&mut self, line: Vec<u8>) -> impl Future<Output = Result<(), SinkClosed>> + Send;

    /// Whether the read should end now, as if `bytes_max` were reached; asked after each block.
    fn enough(&self) -> bool {
        false
    }
}

/// Nobody takes blocks any more: the stage behind has failed and knows why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the staging of parts has stopped")]
pub struct SinkClosed;

/// A filter as one term of a WHERE. The line feed ends a comment that it may end with.
fn condition(filter: &str) -> String {
    format!("({filter}\n)")
}

/// The columns of a query as the row writer sees them; `codec_of` gives each one's reader, `ordered` says which are in
/// positions.
fn cells<'a, C>(
    query: &ReadQuery<'a>,
    codec_of: impl Fn(usize, &'a Column) -> Result<C, SourceError>,
    ordered: impl Fn(usize) -> bool,
) -> Result<Vec<Cell<'a, C>>, SourceError> {
    let cell = |(index, (column, name)): (usize, (&'a Column, &'a String))| {
        Ok(Cell {
            name: &column.name,
            field: name,
            codec: codec_of(index, column)?,
            cast: column.cast.as_ref(),
            policy: column.policy,
            becomes: column.ty.name(),
            ordered: ordered(index),
            exact: column.exact,
        })
    };
    query.columns.iter().zip(query.names).enumerate().map(cell).collect()
}

/// A row that cannot be written, as an error of the source.
fn row_error(columns: &[Column], error: &RowError, row: &impl Values) -> SourceError {
    let (RowError::Malformed { column } | RowError::Null { column } | RowError::Unrepresentable { column }) = error;
    let Some(found) = columns.get(*column) else {
        return SourceError::BadValue { column: String::new(), source_type: String::new() };
    };
    let column = found.name.clone();
    match error {
        // rows with NULL in the key would be passed over by every later read: better to stop
        RowError::Null { .. } => SourceError::KeyNull { column },
        RowError::Malformed { .. } => SourceError::BadValue { column, source_type: found.source_type.clone() },
        RowError::Unrepresentable { .. } => {
            SourceError::Unrepresentable { column, becomes: found.ty.to_string(), key: row.key() }
        }
    }
}

/// Whether no more rows may be rejected than have been.
fn check_rejects(query: &ReadQuery<'_>, audit: &Audit) -> Result<(), SourceError> {
    if audit.rejected() <= query.rejects_max {
        return Ok(());
    }
    let first = audit.findings().into_iter().find(|finding| finding.rejected > 0).unwrap_or_default();
    Err(SourceError::TooManyRejects { column: first.column, key: first.first_key })
}
