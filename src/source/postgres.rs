//! PostgreSQL as a source, version 12 and later: one connection per session, pinned and read-only.
//!
//! Every statement of ours runs with `pg_catalog` alone in the search path, so its built-in names mean the built-in
//! things; tables, types and operators of anybody else are always written with their schema.

mod activity;
mod catalog;
mod checkup;
mod connect;
mod error;
mod explain;
mod query;
mod stream;
mod survey;

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, ValueRef as _};

use crate::encode::Malformed;
use crate::encode::postgres::EPOCH_MICROS;
use crate::mapping::Column;
use crate::model::{Activity, Checksum, Connection, Fingerprint, Group, Position, Rows, SourceTable};
use crate::net::{Context, Tokens};
use crate::source::verify::{checksum, fingerprint};
use crate::source::{
    BlockSink, CATALOG_MAX, Description, Place, ReadDone, ReadQuery, SCAN_MAX, Scan, Session, Source, SourceError,
    Which,
};

/// The schema of tables that are configured without one.
pub const DEFAULT_SCHEMA: &str = "public";
/// The name that our sessions go by in `pg_stat_activity`.
pub const APPLICATION_NAME: &str = "highwater";
/// The most time for saying goodbye.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// One PostgreSQL database.
#[derive(Debug)]
pub struct PostgresSource {
    config: Connection,
    tokens: Tokens,
}

impl PostgresSource {
    /// A source that connects as `config` says.
    pub fn new(config: Connection) -> Self {
        Self { config, tokens: Tokens::google() }
    }
}

impl Source for PostgresSource {
    type Session = PostgresSession;

    async fn connect(&self, cx: &Context) -> Result<PostgresSession, SourceError> {
        let connection = connect::connect(&self.config, &self.tokens, cx).await?;
        Ok(PostgresSession { connection })
    }
}

/// One connection to a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresSession {
    connection: PgConnection,
}

impl Session for PostgresSession {
    async fn describe(&mut self, cx: &Context, table: &SourceTable) -> Result<Description, SourceError> {
        const WHAT: &str = "reading the catalog";
        error::limit(cx, WHAT, CATALOG_MAX, catalog::describe(&mut self.connection, table)).await?
    }

    async fn activity(&mut self, cx: &Context) -> Result<Activity, SourceError> {
        error::limit(cx, activity::WHAT, CATALOG_MAX, activity::activity(&mut self.connection)).await?
    }

    async fn max_cursor(
        &mut self,
        cx: &Context,
        table: &SourceTable,
        column: &Column,
    ) -> Result<Option<String>, SourceError> {
        const WHAT: &str = "reading the greatest cursor";
        let (sql, slot) = query::max_cursor(table, column)?;
        execute(&mut self.connection, cx, WHAT, "SET statement_timeout = 0").await?;
        let row = scan(&mut self.connection, cx, WHAT, table, sql).await?;
        execute(&mut self.connection, cx, WHAT, connect::CATALOG_TIMEOUT).await?;
        let Some(row) = row else { return Ok(None) };
        let bad = |_malformed| error::bad_value(column);
        raw(&row, slot.index).map_err(bad)?.map(|bytes| slot.codec.position_text(bytes)).transpose().map_err(bad)
    }

    async fn begin(&mut self, cx: &Context) -> Result<(), SourceError> {
        // BEGIN alone takes no snapshot; the first query does
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
            SET LOCAL statement_timeout = 0; SELECT pg_catalog.pg_backend_pid()";
        execute(&mut self.connection, cx, "opening the snapshot", BEGIN).await
    }

    async fn check_filter(&mut self, cx: &Context, table: &SourceTable, filter: &str) -> Result<(), SourceError> {
        const WHAT: &str = "checking the filter";
        let query = sqlx::query(AssertSqlSafe(query::explain_filter(table, filter))).persistent(false);
        match error::limit(cx, WHAT, CATALOG_MAX, query.fetch_all(&mut self.connection)).await? {
            Ok(_plan) => Ok(()),
            Err(sqlx::Error::Database(said)) => {
                let message = said.message().replace(['\n', '\r'], " ");
                Err(SourceError::BadFilter { table: table.to_string(), message })
            }
            Err(cause) => Err(error::table_query(WHAT, table, cause)),
        }
    }

    async fn position(
        &mut self,
        cx: &Context,
        query: &ReadQuery<'_>,
        place: Place,
    ) -> Result<Option<Position>, SourceError> {
        stream::position(&mut self.connection, cx, query, place).await
    }

    async fn count_nulls(
        &mut self,
        cx: &Context,
        table: &SourceTable,
        column: &Column,
        filter: Option<&str>,
    ) -> Result<u64, SourceError> {
        const WHAT: &str = "counting rows without a cursor";
        let row = scan(&mut self.connection, cx, WHAT, table, query::count_nulls(table, column, filter)).await?;
        let count: Option<i64> =
            row.map(|row| row.try_get(0)).transpose().map_err(|cause| error::query(WHAT, cause))?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }

    async fn read<S: BlockSink>(
        &mut self,
        cx: &Context,
        query: &ReadQuery<'_>,
        sink: &mut S,
    ) -> Result<ReadDone, SourceError> {
        stream::read(&mut self.connection, cx, query, sink).await
    }

    async fn checksums(
        &mut self,
        cx: &Context,
        scan: &Scan<'_>,
        rows: &Rows,
        group: Group,
        groups_max: u64,
    ) -> Result<Vec<Checksum>, SourceError> {
        const WHAT: &str = "computing checksums";
        let statement = query::checksum::checksums(scan, rows, group, groups_max)?;
        let rows = texts(&mut self.connection, cx, WHAT, scan.table, &statement).await?;
        rows.into_iter().map(|row| row.try_into().ok().and_then(checksum).ok_or_else(|| garbled(WHAT))).collect()
    }

    async fn fingerprints(
        &mut self,
        cx: &Context,
        scan: &Scan<'_>,
        which: Which<'_>,
        rows_max: u64,
    ) -> Result<Vec<Fingerprint>, SourceError> {
        const WHAT: &str = "reading fingerprints";
        let statement = query::checksum::fingerprints(scan, which, rows_max)?;
        let rows = texts(&mut self.connection, cx, WHAT, scan.table, &statement).await?;
        rows.into_iter().map(|row| fingerprint(row).ok_or_else(|| garbled(WHAT))).collect()
    }

    async fn close(self) {
        // the server ends the transaction with the session
        drop(tokio::time::timeout(CLOSE_MAX, self.connection.close()).await);
    }
}

/// Runs statements without parameters or results in one round trip.
async fn execute(
    connection: &mut PgConnection,
    cx: &Context,
    what: &'static str,
    sql: &'static str,
) -> Result<(), SourceError> {
    let done = error::limit(cx, what, CATALOG_MAX, sqlx::raw_sql(sql).execute(connection)).await?;
    done.map(|_done| ()).map_err(|cause| error::query(what, cause))
}

/// Runs a query that scans the table and answers at most one row.
async fn scan(
    connection: &mut PgConnection,
    cx: &Context,
    what: &'static str,
    table: &SourceTable,
    sql: String,
) -> Result<Option<PgRow>, SourceError> {
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    let row = cx.attempt(SCAN_MAX, query.fetch_optional(connection)).await;
    let row = row.map_err(|cause| SourceError::scanning(what, cause))?;
    row.map_err(|cause| error::table_query(what, table, cause))
}

/// All rows of a query that scans the table and whose columns are text.
async fn texts(
    connection: &mut PgConnection,
    cx: &Context,
    what: &'static str,
    table: &SourceTable,
    statement: &query::checksum::Statement,
) -> Result<Vec<Vec<Option<String>>>, SourceError> {
    let mut bound = sqlx::query(AssertSqlSafe(statement.sql.clone())).persistent(false);
    for param in &statement.params {
        bound = bound.bind(param.value.as_str());
    }
    let rows = cx.attempt(SCAN_MAX, bound.fetch_all(connection)).await;
    let rows = rows.map_err(|cause| SourceError::scanning(what, cause))?;
    let rows = rows.map_err(|cause| stream::failed(what, table, &statement.params, cause))?;
    let cell = |row: &PgRow, index| raw(row, index).ok().flatten().map(|raw| String::from_utf8_lossy(raw).into_owned());
    Ok(rows.iter().map(|row| (0..row.len()).map(|index| cell(row, index)).collect()).collect())
}

/// An answer that is not what was asked for.
fn garbled(what: &'static str) -> SourceError {
    let (message, code) = ("the answer is not what was asked for".to_owned(), "-".to_owned());
    SourceError::Query { what, message, code, transient: false }
}

/// The bytes of a value; `None` for NULL.
fn raw(row: &PgRow, index: usize) -> Result<Option<&[u8]>, Malformed> {
    // looked at where it is: to move it takes longer than all else that is done here
    match &row.try_get_raw(index) {
        Ok(value) if value.is_null() => Ok(None),
        Ok(value) => value.as_bytes().map(Some).map_err(|_null| Malformed),
        Err(_out_of_bounds) => Err(Malformed),
    }
}

/// Microseconds since 1970 of a `timestamptz`; `None` for NULL.
fn instant_us(row: &PgRow, index: usize) -> Result<Option<i64>, Malformed> {
    let Some(bytes) = raw(row, index)? else { return Ok(None) };
    let micros = i64::from_be_bytes(bytes.try_into().map_err(|_length| Malformed)?);
    Ok(Some(micros.saturating_add(EPOCH_MICROS)))
}
