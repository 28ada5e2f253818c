//! What can go wrong with a source database.

use std::path::PathBuf;
use std::time::Duration;

use super::SinkClosed;
use crate::model::{Class, Code};
use crate::net::{Interrupted, TokenError};

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
    #[error("{address} refuses the login of user {user:?}: {message}; check user, password and database of the source")]
    Login {
        /// Host and port, or socket path.
        address: String,
        /// The user's name.
        user: String,
        /// The server's message.
        message: String,
    },
    /// No token could be had for a login by IAM.
    #[error("no token for the login of user {user:?} at {address}: {cause}")]
    Token {
        /// Host and port, or socket path.
        address: String,
        /// The user's name.
        user: String,
        /// What who gives tokens says.
        cause: TokenError,
    },
    /// TLS could not be set up as configured.
    #[error("TLS with {address} failed: {cause}; {hint}")]
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
    #[error("`tls.{key}` of the source: {} {problem}; name another file there", .path.display())]
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
    #[error(
        "the source's user may not read {table}: {message}; GRANT SELECT on it (`highwater check` prints the statement)"
    )]
    Denied {
        /// As configured.
        table: String,
        /// The server's message.
        message: String,
    },
    /// A row has NULL in the key or the cursor, where no row may have it.
    #[error(
        "a row has NULL in column {column:?} of the key or the cursor, so that it has no place in the table's order; name \
         another `key`, or make the column NOT NULL"
    )]
    KeyNull {
        /// The column.
        column: String,
    },
    /// A position or bound of the state does not fit the column any more.
    #[error(
        "{what} of column {column:?} is not of its type: {value:?}; if the column's type was changed at the source, \
         `highwater reset` reads the table again"
    )]
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
    if similar.is_empty() {
        return "; correct its name in `tables`, or remove it there".to_owned();
    }
    format!("; did you mean {}?", similar.join(" or "))
}

impl SourceError {
    /// A query that scans a table, whose answer did not come or was cut off.
    pub(super) fn scanning(what: &'static str, cause: Interrupted) -> Self {
        match cause {
            Interrupted::TimedOut(waited) => Self::Silent { what, waited, rows: 0 },
            Interrupted::Budget | Interrupted::Cancelled => Self::Interrupted { what, cause },
        }
    }

    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::Connect { .. } => Code::SourceDown,
            Self::Login { .. } => Code::SourceLogin,
            Self::Token { .. } => Code::SourceToken,
            Self::Tls { .. } | Self::TlsFile { .. } => Code::SourceTls,
            Self::NoTable { .. } => Code::SourceNoTable,
            Self::Denied { .. } => Code::SourceDenied,
            Self::KeyNull { .. } => Code::KeyNull,
            Self::BadPosition { .. } => Code::WatermarkType,
            Self::BadValue { .. } => Code::SourceValue,
            Self::Unrepresentable { .. } => Code::Unrepresentable,
            Self::TooManyRejects { .. } => Code::Rejects,
            Self::BadFilter { .. } => Code::SourceFilter,
            Self::Query { transient: true, .. } => Code::SourceBusy,
            Self::Query { transient: false, .. } => Code::SourceQuery,
            Self::Lost { .. } | Self::Silent { .. } => Code::SourceLost,
            Self::Interrupted { cause, .. } => cause.code(),
            // who waits for the stage hears its own error instead
            Self::Sink(_) => Code::Bug,
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
            Self::Query { transient: true, .. } | Self::Token { cause: TokenError { passes: true, .. }, .. } => {
                Class::Transient
            }
            Self::Query { transient: false, .. } => Class::Permanent,
            Self::Token { cause: TokenError { passes: false, .. }, .. }
            | Self::Login { .. }
            | Self::Tls { .. }
            | Self::TlsFile { .. }
            | Self::NoTable { .. }
            | Self::Denied { .. }
            | Self::BadFilter { .. } => Class::Usage,
            Self::KeyNull { .. }
            | Self::BadPosition { .. }
            | Self::BadValue { .. }
            | Self::Unrepresentable { .. }
            | Self::TooManyRejects { .. } => Class::Permanent,
        }
    }
}
