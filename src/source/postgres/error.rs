//! From the driver's errors to ours: what the server's SQLSTATE means for the run.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use sqlx::error::DatabaseError;

use crate::mapping::Column;
use crate::model::SourceTable;
use crate::net::Context;
use crate::source::{SourceError, tls};

/// Waits for `call` at most `limit`, half of the run's remaining time, or until the process stops.
pub(super) async fn limit<T>(
    cx: &Context,
    what: &'static str,
    limit: Duration,
    call: impl Future<Output = T>,
) -> Result<T, SourceError> {
    cx.attempt(limit, call).await.map_err(|cause| SourceError::Interrupted { what, cause })
}

/// A failed connection attempt.
pub(super) fn connect(address: &str, user: &str, cause: sqlx::Error) -> SourceError {
    let address = address.to_owned();
    if let Some(refusal) = cause.as_database_error() {
        let code = code(refusal);
        // invalid password, no entry in pg_hba.conf, no such database, no CONNECT on it
        if matches!(&*code, "28P01" | "28000" | "3D000" | "42501") {
            return SourceError::Login { address, user: user.to_owned(), message: refusal.message().to_owned() };
        }
    }
    if tls::is_tls(&cause) { tls::failed(address, cause) } else { SourceError::Connect { address, cause } }
}

/// A failed statement that is about no table in particular.
pub(super) fn query(what: &'static str, cause: sqlx::Error) -> SourceError {
    match cause.as_database_error() {
        Some(refusal) => refused(what, refusal),
        None => SourceError::Lost { what, cause },
    }
}

/// A failed statement on `table`.
pub(super) fn table_query(what: &'static str, table: &SourceTable, cause: sqlx::Error) -> SourceError {
    let Some(refusal) = cause.as_database_error() else { return query(what, cause) };
    let message = refusal.message();
    match &*code(refusal) {
        // a policy on a table below a view says so with the same code; a GRANT does not help there
        "42501" if !message.contains("row-level security") => {
            SourceError::Denied { table: table.to_string(), message: message.to_owned() }
        }
        "42P01" | "3F000" => SourceError::NoTable { table: table.to_string(), similar: Vec::new() },
        _ => query(what, cause),
    }
}

fn refused(what: &'static str, refusal: &dyn DatabaseError) -> SourceError {
    let code = code(refusal);
    let transient = is_transient(&code);
    SourceError::Query { what, message: refusal.message().to_owned(), code: code.into_owned(), transient }
}

fn code(refusal: &dyn DatabaseError) -> Cow<'_, str> {
    refusal.code().unwrap_or(Cow::Borrowed("no code"))
}

/// Whether the server cancelled the statement, as it does after `statement_timeout`.
pub(super) fn is_cancelled(cause: &sqlx::Error) -> bool {
    cause.as_database_error().is_some_and(|refusal| code(refusal) == "57014")
}

/// Whether a code is that of a value which a type's input does not take.
pub(super) fn is_bad_input(refusal: &dyn DatabaseError) -> bool {
    matches!(&*code(refusal), "22P02" | "22P03" | "22003" | "22007" | "22008" | "22023" | "2200M" | "42704")
}

/// Whether the server's code says that trying again can help
/// (PostgreSQL's manual, appendix A, "PostgreSQL Error Codes").
fn is_transient(code: &str) -> bool {
    let class = code.get(..2).unwrap_or_default();
    // connection exceptions, rolled-back transactions, insufficient resources
    matches!(class, "08" | "40" | "53")
        // cancelled (also by a timeout), shutting down, crashed, starting up, database dropped, idle too long
        || matches!(code, "57014" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05")
        // lock_timeout, idle_in_transaction_session_timeout, transaction_timeout, an I/O error
        || matches!(code, "55P03" | "25P03" | "25P04" | "58030")
}

/// A value that is not what the catalog promises.
pub(super) fn bad_value(column: &Column) -> SourceError {
    SourceError::BadValue { column: column.name.clone(), source_type: column.source_type.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Class;

    #[test]
    fn codes_that_pass_by_themselves() {
        for code in ["08006", "40001", "40P01", "53300", "57P01", "57P03", "57014", "55P03"] {
            assert!(is_transient(code), "{code}");
        }
        for code in ["42501", "42P01", "22P02", "28P01", "XX000", "no code", ""] {
            assert!(!is_transient(code), "{code}");
        }
    }

    #[test]
    fn a_broken_connection_is_transient() {
        let broken = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(query("reading rows", sqlx::Error::Io(broken())).class(), Class::Transient);
        assert!(matches!(connect("db:5432", "u", sqlx::Error::Io(broken())), SourceError::Connect { .. }));
    }

    #[test]
    fn a_failed_handshake_is_tls() {
        let inner = rustls::Error::General("no".to_owned());
        let handshake = sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, inner));
        assert!(matches!(connect("db:5432", "u", handshake), SourceError::Tls { .. }));
    }
}
