//! The MySQL and MariaDB source: one connection per session, read-only, values from the binary protocol.
//!
//! Works with MySQL 5.7 and later and MariaDB 10.5 and later. No pool: a session that was not read to its end is
//! dropped, and the server ends with it.

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

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection as _, Executor as _};

use super::{
    BlockSink, CATALOG_MAX, Description, Place, ReadDone, ReadQuery, Scan, Session, Source, SourceError, Which,
};
use crate::encode::mysql::MyCodec;
use crate::mapping::mysql::{Dialect, QualifiedTable, Read};
use crate::mapping::{self, Column};
use crate::model::{Activity, Checksum, Connection, Fingerprint, Group, Position, Rows, SourceTable};
use crate::net::{Context, Tokens};
use crate::source::verify::{checksum, fingerprint};

/// The most time for a polite end.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Connects to one MySQL or MariaDB database.
#[derive(Clone, Debug)]
pub struct MySqlSource {
    connection: Connection,
    tokens: Tokens,
}

impl MySqlSource {
    /// A source that connects so; nothing is connected yet.
    pub fn new(connection: Connection) -> Self {
        Self { connection, tokens: Tokens::google() }
    }
}

impl Source for MySqlSource {
    type Session = MySqlSession;

    async fn connect(&self, cx: &Context) -> Result<MySqlSession, SourceError> {
        connect::connect(&self.connection, &self.tokens, cx).await
    }
}

/// One pinned connection.
#[derive(Debug)]
pub struct MySqlSession {
    conn: MySqlConnection,
    dialect: Dialect,
    /// The database of tables that name none.
    database: String,
    /// How the last look at the open transactions was marked.
    marker: bool,
}

impl MySqlSession {
    /// The table's full name.
    fn qualified<'a>(&'a self, table: &'a SourceTable) -> QualifiedTable<'a> {
        QualifiedTable { database: table.schema.as_deref().unwrap_or(&self.database), table: &table.name }
    }
}

impl Session for MySqlSession {
    async fn describe(&mut self, cx: &Context, table: &SourceTable) -> Result<Description, SourceError> {
        catalog::describe(self, cx, table).await
    }

    async fn activity(&mut self, cx: &Context) -> Result<Activity, SourceError> {
        activity::read(self, cx).await
    }

    async fn max_cursor(
        &mut self,
        cx: &Context,
        table: &SourceTable,
        column: &Column,
    ) -> Result<Option<String>, SourceError> {
        const WHAT: &str = "reading the greatest cursor";
        let codec = read_of(column)?.codec;
        let statement = query::max_cursor(self.qualified(table), column)?;
        let rows = stream::scan(&mut self.conn, cx, WHAT, statement).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        stream::raw(row, 0).map(|raw| position_text(column, codec, raw)).transpose()
    }

    async fn begin(&mut self, cx: &Context) -> Result<(), SourceError> {
        const WHAT: &str = "opening the snapshot";
        let sql = sqlx::raw_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
        let answer = cx.attempt(CATALOG_MAX, self.conn.execute(sql)).await;
        error::answered(WHAT, answer).map(drop)
    }

    async fn check_filter(&mut self, cx: &Context, table: &SourceTable, filter: &str) -> Result<(), SourceError> {
        const WHAT: &str = "checking the filter";
        let statement = query::explain_filter(self.qualified(table), filter);
        match stream::try_fetch(&mut self.conn, cx, CATALOG_MAX, WHAT, statement).await? {
            Ok(_plan) => Ok(()),
            Err(sqlx::Error::Database(said)) => {
                let message = said.message().replace(['\n', '\r'], " ");
                Err(SourceError::BadFilter { table: table.to_string(), message })
            }
            Err(cause) => Err(error::reading(WHAT, &table.to_string(), cause)),
        }
    }

    async fn position(
        &mut self,
        cx: &Context,
        query: &ReadQuery<'_>,
        place: Place,
    ) -> Result<Option<Position>, SourceError> {
        const WHAT: &str = "looking for where windows end";
        let statement = query::position(self.qualified(query.table), query, place)?;
        let rows = stream::scan(&mut self.conn, cx, WHAT, statement).await?;
        rows.first().map(|row| stream::position_of(query, row)).transpose()
    }

    async fn count_nulls(
        &mut self,
        cx: &Context,
        table: &SourceTable,
        column: &Column,
        filter: Option<&str>,
    ) -> Result<u64, SourceError> {
        const WHAT: &str = "counting the rows without a cursor";
        let statement = query::count_nulls(self.qualified(table), column, filter);
        let rows = stream::scan(&mut self.conn, cx, WHAT, statement).await?;
        let count = rows.first().and_then(|row| stream::text(row, 0)).and_then(|count| count.parse().ok());
        count.ok_or_else(|| bad_value(column))
    }

    async fn read<S: BlockSink>(
        &mut self,
        cx: &Context,
        query: &ReadQuery<'_>,
        sink: &mut S,
    ) -> Result<ReadDone, SourceError> {
        let statement = query::rows(self.qualified(query.table), query)?;
        stream::read(&mut self.conn, cx, query, statement, sink).await
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
        let statement = query::checksum::checksums(self.qualified(scan.table), scan, rows, group, groups_max)?;
        let rows = stream::texts(&mut self.conn, cx, WHAT, statement).await?;
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
        let statement = query::checksum::fingerprints(self.qualified(scan.table), scan, which, rows_max)?;
        let rows = stream::texts(&mut self.conn, cx, WHAT, statement).await?;
        rows.into_iter().map(|row| fingerprint(row).ok_or_else(|| garbled(WHAT))).collect()
    }

    async fn close(self) {
        // a connection that does not end politely is dropped, which ends it too
        if let Ok(Err(error)) = tokio::time::timeout(CLOSE_MAX, self.conn.close()).await {
            tracing::debug!(%error, "the source connection did not close cleanly");
        }
    }
}

/// The column's reading by `mapping::mysql`.
fn read_of(column: &Column) -> Result<&Read, SourceError> {
    match &column.read {
        mapping::Read::MySql(read) => Ok(read),
        mapping::Read::Postgres(_) => Err(bad_value(column)),
    }
}

fn position_text(column: &Column, codec: MyCodec, raw: &[u8]) -> Result<String, SourceError> {
    codec.position_text(raw).map_err(|_malformed| bad_value(column))
}

/// An answer that is not what was asked for.
fn garbled(what: &'static str) -> SourceError {
    let (message, code) = ("the answer is not what was asked for".to_owned(), "-".to_owned());
    SourceError::Query { what, message, code, transient: false }
}

fn bad_value(column: &Column) -> SourceError {
    SourceError::BadValue { column: column.name.clone(), source_type: column.source_type.clone() }
}
