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

pub mod mysql;
pub mod postgres;
mod tls;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use crate::audit::Audit;
use crate::encode::cast::Cast;
use crate::encode::row::{Cell, RowError, Values};
use crate::mapping::{self, Canonical, Column};
use crate::model::{Activity, Bound, Checksum, Class, Fingerprint, Group, Position, Rows, SourceTable};
use crate::net::{Context, Interrupted};

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

/// What the catalog says of one table.
#[derive(Clone, Debug)]
pub struct Description {
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
}

/// What of a table is compared with the target.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The table.
    pub table: &'a SourceTable,
    /// Its columns that are synced.
    pub columns: &'a [Column],
    /// Indexes of those that are compared, in the order in which they are digested: columns with a canonical text.
    pub compared: &'a [usize],
    /// Indexes of the columns by which rows are named; empty if there is no such key.
    pub key: &'a [usize],
    /// Indexes of the columns whose values are a position's key.
    pub order: &'a [usize],
    /// Index of the cursor.
    pub cursor: Option<usize>,
    /// Only rows up to this one should be in the target.
    pub watermark: Option<&'a Position>,
    /// Rows from this cursor on are to be read again.
    pub moving_from: Option<&'a str>,
    /// A condition in the source's SQL that rows must meet.
    pub filter: Option<&'a str>,
}

/// Which rows are named.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// Those that should be in the target, of these.
    Rows(&'a Rows),
    /// Those with these keys, each value as canonical text, wherever they are.
    Keys(&'a [Vec<String>]),
}

impl<'a> Scan<'a> {
    /// The cursor's column, or the key's first: what least and greatest are told of.
    fn mark(&self) -> Option<usize> {
        self.cursor.or_else(|| self.key.first().copied())
    }

    /// The canonical form of a column.
    fn canonical(&self, index: usize) -> Result<Canonical, SourceError> {
        let column = self.columns.get(index).ok_or_else(|| SourceError::BadValue {
            column: String::new(),
            source_type: String::new(),
        })?;
        mapping::canonical(column).map_err(|_not_compared| SourceError::BadValue {
            column: column.name.clone(),
            source_type: column.source_type.clone(),
        })
    }

    /// The read whose bounds are those of `rows`, for the builders of statements.
    fn query(&self, from: Option<&'a str>, to: Option<&'a Bound>) -> ReadQuery<'a> {
        let nulls = if self.cursor.is_some() { Nulls::Skip } else { Nulls::Any };
        ReadQuery {
            table: self.table,
            columns: self.columns,
            names: &[],
            cursor: self.cursor,
            key: if self.order.is_empty() { self.key } else { self.order },
            range: Range { after: self.watermark, from, ceiling: to, nulls, keys: None },
            rows_max: None,
            bytes_max: None,
            rejects_max: 0,
            filter: self.filter,
        }
    }

    /// The salt of a column that is hashed.
    fn salt(&self, index: usize) -> &'a str {
        match self.columns.get(index).and_then(|column| column.cast.as_ref()) {
            Some(Cast::Hash(salt)) => salt.expose(),
            Some(_) | None => "",
        }
    }
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
    /// Only rows with these keys, each value as canonical text (`mapping::canonical`).
    pub keys: Option<&'a [Vec<String>]>,
}

/// Rows with a NULL cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// Are left out (any bound on the cursor leaves them out too).
    Skip,
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

/// An error of a source database.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The server cannot be reached, or does not answer as a database.
    #[error("cannot connect to {address}")]
    Connect {
        /// Host and port, or socket path; never user or password.
        address: String,
        /// What the driver says.
        #[source]
        cause: sqlx::Error,
    },
    /// Wrong user, password or database.
    #[error("{address} refuses the login of user {user:?}: {message}; check the source's url")]
    Login {
        /// Host and port, or socket path.
        address: String,
        /// The user's name.
        user: String,
        /// The server's message.
        message: String,
    },
    /// TLS could not be set up as configured.
    #[error("TLS with {address} failed; {hint}")]
    Tls {
        /// Host and port.
        address: String,
        /// What may be done.
        hint: &'static str,
        /// What the driver says.
        #[source]
        cause: sqlx::Error,
    },
    /// A file of the TLS settings is not what it should be.
    #[error("`tls.{key}` of the source: {} {problem}", .path.display())]
    TlsFile {
        /// The setting.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The table is not there.
    #[error("the source has no table {table}{}", hint(.similar))]
    NoTable {
        /// As configured.
        table: String,
        /// Tables with similar names.
        similar: Vec<String>,
    },
    /// The table may not be read.
    #[error("the source's user may not read {table}: {message}; GRANT SELECT on it")]
    Denied {
        /// As configured.
        table: String,
        /// The server's message.
        message: String,
    },
    /// A position or bound of the state does not fit the column any more.
    #[error("{what} of column {column:?} is not of its type: {value:?}")]
    BadPosition {
        /// `watermark`, `ceiling` …
        what: &'static str,
        /// The column.
        column: String,
        /// The text.
        value: String,
    },
    /// A value's bytes are not what the catalog's type promises.
    #[error("column {column:?} holds a value that is not a {source_type}")]
    BadValue {
        /// The column.
        column: String,
        /// The type by the catalog.
        source_type: String,
    },
    /// A value that BigQuery's type cannot hold, in a column whose policy is `fail`.
    #[error(
        "column {column:?} of the row with key {key:?} holds a value that cannot be a {becomes}, and its policy is \
         `unrepresentable: fail`; mend the row, or say null, clamp or reject"
    )]
    Unrepresentable {
        /// The column.
        column: String,
        /// BigQuery's type.
        becomes: String,
        /// The row's key.
        key: Vec<String>,
    },
    /// More rows were rejected than is borne.
    #[error(
        "more rows than `max_rejects` cannot be held by BigQuery, the first of this chunk for column {column:?} with key \
         {key:?}; mend them, raise `max_rejects`, or choose another `unrepresentable` policy"
    )]
    TooManyRejects {
        /// The column of the first.
        column: String,
        /// Its key.
        key: Vec<String>,
    },
    /// The filter is not a condition on the table's rows.
    #[error("`where` of {table} is not a condition that its rows can be tested with: {message}")]
    BadFilter {
        /// As configured.
        table: String,
        /// The server's message.
        message: String,
    },
    /// The server refused a query.
    #[error("{what} failed: {message} ({code})")]
    Query {
        /// What was being done.
        what: &'static str,
        /// The server's message.
        message: String,
        /// SQLSTATE, or the server's error number.
        code: String,
        /// Whether the server's code says that trying again can help.
        transient: bool,
    },
    /// The connection broke or fell silent.
    #[error("{what}: the connection was lost")]
    Lost {
        /// What was being done.
        what: &'static str,
        /// What the driver says.
        #[source]
        cause: sqlx::Error,
    },
    /// No answer in time, or the run's time is up.
    #[error("{what}: {cause}")]
    Interrupted {
        /// What was being done.
        what: &'static str,
        /// Why.
        cause: Interrupted,
    },
    /// Rows were asked for and did not come, and none came before that could be kept.
    #[error("{what}: no row came for {waited:.1?}, after {rows} rows")]
    Silent {
        /// What was being done.
        what: &'static str,
        /// How long it was waited for.
        waited: Duration,
        /// Rows that came before.
        rows: u64,
    },
    /// The stage behind has failed and says why itself.
    #[error(transparent)]
    Sink(#[from] SinkClosed),
}

fn hint(similar: &[String]) -> String {
    if similar.is_empty() { String::new() } else { format!("; did you mean {}?", similar.join(" or ")) }
}

impl SourceError {
    /// A query that scans a table, whose answer did not come or was cut off.
    fn scanning(what: &'static str, cause: Interrupted) -> Self {
        match cause {
            Interrupted::TimedOut(waited) => Self::Silent { what, waited, rows: 0 },
            Interrupted::Budget | Interrupted::Cancelled => Self::Interrupted { what, cause },
        }
    }

    /// What may be done about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Connect { .. }
            | Self::Lost { .. }
            | Self::Interrupted { .. }
            | Self::Silent { .. }
            | Self::Sink(_) => Class::Transient,
            Self::Query { transient, .. } => {
                if *transient {
                    Class::Transient
                } else {
                    Class::Permanent
                }
            }
            Self::Login { .. }
            | Self::Tls { .. }
            | Self::TlsFile { .. }
            | Self::NoTable { .. }
            | Self::Denied { .. }
            | Self::BadFilter { .. } => Class::Usage,
            Self::BadPosition { .. }
            | Self::BadValue { .. }
            | Self::Unrepresentable { .. }
            | Self::TooManyRejects { .. } => Class::Permanent,
        }
    }
}

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
        RowError::Null { .. } => SourceError::BadPosition { what: "the key's value", column, value: "NULL".to_owned() },
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

/// What a server says of one group, all of it as text.
fn checksum(cells: [Option<String>; 5]) -> Option<Checksum> {
    let [group, rows, sum, least, greatest] = cells;
    Some(Checksum { group: group?, rows: rows?.parse().ok()?, sum: sum?.parse().ok()?, least, greatest })
}

/// What a server says of one row: the key's digest, the row's, whether it is settled, the key's values.
fn fingerprint(mut cells: Vec<Option<String>>) -> Option<Fingerprint> {
    let key = cells.split_off(3.min(cells.len()));
    let [key_digest, digest, settled] = <[Option<String>; 3]>::try_from(cells).ok()?;
    let key = key.into_iter().map(Option::unwrap_or_default).collect();
    Some(Fingerprint { key_digest: key_digest?, digest: digest?, key, settled: settled? == "true" })
}
