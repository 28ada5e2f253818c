//! The hot path: rows from the server to NDJSON blocks. Nothing is allocated per row by us, and no clock is read
//! while rows keep coming.

use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Either, Executor as _};

use super::query::{Built, Param, Slot};
use super::{error, query, raw};
use crate::encode::Malformed;
use crate::encode::postgres::PgCodec;
use crate::encode::row::{RowWriter, Values, Written};
use crate::mapping::Column;
use crate::model::{Position, SourceTable};
use crate::net::{Context, Interrupted};
use crate::source::{
    BLOCK_BYTES, Block, BlockSink, Place, ReadDone, ReadEnd, ReadQuery, SCAN_MAX, STALL_MAX, SourceError, cells,
    check_rejects, row_error,
};

const WHAT: &str = "reading rows";

/// Streams the rows of `query` into `sink`.
pub(super) async fn read<S: BlockSink>(
    connection: &mut PgConnection,
    cx: &Context,
    query: &ReadQuery<'_>,
    sink: &mut S,
) -> Result<ReadDone, SourceError> {
    let built = query::build(query)?;
    // not `fetch`, which passes each row through one more future
    let mut rows = connection.fetch_many(bound(&built));
    let mut lines = Lines::new(query, &built)?;
    let mut block = Block::empty();
    let (mut sent_bytes, mut sent_rows, mut rejected) = (0u64, 0u64, 0u64);
    let mut end = ReadEnd::Exhausted;
    cx.check().map_err(|cause| SourceError::Interrupted { what: WHAT, cause })?;
    loop {
        // a row that is there costs no timer; one that was read is worth ending with, even if the next does not come
        let read = sent_rows + block.rows + rejected;
        let waited = match rows.next().now_or_never() {
            Some(next) => Ok(next),
            None if read > 0 && sink.enough() => Err(Duration::ZERO),
            None => wait(cx, &mut rows).await?,
        };
        let next = match waited {
            Ok(next) => next,
            Err(_) if read > 0 && sink.enough() => {
                end = ReadEnd::CutByBytes;
                break;
            }
            Err(waited) => return Err(SourceError::Silent { what: WHAT, waited, rows: read }),
        };
        let Some(row) = next else { break };
        let row = match row.map_err(|cause| failed(WHAT, query.table, &built.params, cause))? {
            Either::Right(row) => row,
            Either::Left(_end_of_result) => continue,
        };
        match lines.write(&mut block, row)? {
            Written::Row => block.rows += 1,
            Written::Rejected(line) => {
                rejected += 1;
                cx.check().map_err(|cause| SourceError::Interrupted { what: WHAT, cause })?;
                check_rejects(query, &lines.writer.audit)?;
                sink.reject(line).await?;
            }
        }
        let bytes = sent_bytes + length(&block);
        if query.bytes_max.is_some_and(|max| bytes >= max) && query.rows_max != Some(sent_rows + block.rows + rejected)
        {
            end = ReadEnd::CutByBytes;
            break;
        }
        if block.bytes.len() >= BLOCK_BYTES {
            sent_bytes = bytes;
            sent_rows += block.rows;
            block = sink.send(block).await?;
            block.clear();
            if sink.enough() {
                end = ReadEnd::CutByBytes;
                break;
            }
            cx.check().map_err(|cause| SourceError::Interrupted { what: WHAT, cause })?;
        }
    }
    sent_bytes += length(&block);
    sent_rows += block.rows;
    if block.rows > 0 {
        sink.send(block).await?;
    }
    if end == ReadEnd::Exhausted && query.rows_max == Some(sent_rows + rejected) {
        end = ReadEnd::CutByRows;
    }
    let last = lines.last_position()?;
    let partitions = lines.writer.partitions();
    Ok(ReadDone { rows: sent_rows, rejected, bytes: sent_bytes, last, end, audit: lines.writer.audit, partitions })
}

/// The position of one row of `query`.
pub(super) async fn position(
    connection: &mut PgConnection,
    cx: &Context,
    query: &ReadQuery<'_>,
    place: Place,
) -> Result<Option<Position>, SourceError> {
    const WHAT: &str = "looking for where windows end";
    let built = query::build_position(query, place)?;
    let row = cx.attempt(SCAN_MAX, bound(&built).fetch_optional(connection)).await;
    let row = row.map_err(|cause| SourceError::scanning(WHAT, cause))?;
    let row = row.map_err(|cause| failed(WHAT, query.table, &built.params, cause))?;
    row.map(|row| position_of(query.columns, &built, &row)).transpose()
}

/// The statement with its values.
fn bound(built: &Built) -> Query<'_, Postgres, PgArguments> {
    let statement = sqlx::query(AssertSqlSafe(built.sql.clone())).persistent(false);
    built.params.iter().fold(statement, |statement, param| statement.bind(param.value.as_str()))
}

/// What came next, or how long nothing did.
async fn wait<R>(
    cx: &Context,
    rows: &mut (impl Stream<Item = R> + Unpin),
) -> Result<Result<Option<R>, Duration>, SourceError> {
    match cx.attempt(STALL_MAX, rows.next()).await {
        Ok(next) => Ok(Ok(next)),
        Err(Interrupted::TimedOut(waited)) => Ok(Err(waited)),
        Err(cause) => Err(SourceError::Interrupted { what: WHAT, cause }),
    }
}

fn length(block: &Block) -> u64 {
    u64::try_from(block.bytes.len()).unwrap_or(u64::MAX)
}

/// A value that the column's type does not take names itself in the server's message.
pub(super) fn failed(what: &'static str, table: &SourceTable, params: &[Param], cause: sqlx::Error) -> SourceError {
    if let Some(refusal) = cause.as_database_error()
        && error::is_bad_input(refusal)
        && let Some(param) = params.iter().find(|param| refusal.message().contains(&format!("\"{}\"", param.value)))
    {
        return SourceError::BadPosition { what: param.what, column: param.column.clone(), value: param.value.clone() };
    }
    error::table_query(what, table, cause)
}

/// Turns rows into lines and remembers the last one.
struct Lines<'a> {
    columns: &'a [Column],
    built: &'a Built,
    writer: RowWriter<'a, PgCodec>,
    last: Option<PgRow>,
}

/// A row as the writer sees it.
struct RowValues<'a> {
    row: &'a PgRow,
    built: &'a Built,
}

impl Values for RowValues<'_> {
    fn raw(&self, index: usize) -> Result<Option<&[u8]>, Malformed> {
        raw(self.row, index)
    }

    /// What cannot be told is left empty.
    fn key(&self) -> Vec<String> {
        let text = |slot: &Slot| slot_text(self.row, slot).ok().flatten().unwrap_or_default();
        self.built.key.iter().map(text).collect()
    }
}

impl<'a> Lines<'a> {
    fn new(query: &ReadQuery<'a>, built: &'a Built) -> Result<Self, SourceError> {
        let codec =
            |index: usize, column: &Column| built.codecs.get(index).copied().ok_or_else(|| error::bad_value(column));
        let ordered = |index: usize| built.key.iter().chain(&built.cursor).any(|slot| slot.column == index);
        let writer = RowWriter::new(cells(query, codec, ordered)?).watching(query.partition);
        Ok(Self { columns: query.columns, built, writer, last: None })
    }

    fn write(&mut self, block: &mut Block, row: PgRow) -> Result<Written, SourceError> {
        let values = RowValues { row: &row, built: self.built };
        let written = self.writer.write(&mut block.bytes, &mut block.fields, &values);
        let written = written.map_err(|error| row_error(self.columns, &error, &values))?;
        self.last = Some(row);
        Ok(written)
    }

    /// The last row's position.
    fn last_position(&self) -> Result<Option<Position>, SourceError> {
        let (Some(row), false) = (&self.last, self.built.key.is_empty()) else { return Ok(None) };
        position_of(self.columns, self.built, row).map(Some)
    }
}

fn position_of(columns: &[Column], built: &Built, row: &PgRow) -> Result<Position, SourceError> {
    let text = |slot: &Slot| {
        let column = &columns[slot.column];
        slot_text(row, slot).map_err(|_malformed| error::bad_value(column))?.ok_or_else(|| null_in_key(column))
    };
    let cursor = built.cursor.as_ref().map(text).transpose()?;
    let key = built.key.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    Ok(Position { cursor, key })
}

fn slot_text(row: &PgRow, slot: &Slot) -> Result<Option<String>, Malformed> {
    raw(row, slot.index)?.map(|bytes| slot.codec.position_text(bytes)).transpose()
}

/// Rows with NULL in the key would be passed over by every later read: better to stop.
fn null_in_key(column: &Column) -> SourceError {
    SourceError::KeyNull { column: column.name.clone() }
}
