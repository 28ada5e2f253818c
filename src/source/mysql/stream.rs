//! Runs statements: small ones whole, reads of rows as a stream of NDJSON blocks.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::mysql::{MySql, MySqlConnection, MySqlQueryResult, MySqlRow};
use sqlx::{AssertSqlSafe, Decode, Either, Executor as _, Row as _};

use super::query::{Statement, order_columns, ordering_cursor};
use super::{bad_value, error, position_text, read_of};
use crate::encode::Malformed;
use crate::encode::mysql::MyCodec;
use crate::encode::row::{RowWriter, Values, Written};
use crate::mapping::mysql::Param;
use crate::model::Position;
use crate::net::{Context, Interrupted};
use crate::source::{
    BLOCK_BYTES, Block, BlockSink, ReadDone, ReadEnd, ReadQuery, SCAN_MAX, STALL_MAX, SourceError, cells,
    check_rejects, row_error,
};

const READING: &str = "reading rows";

/// A cell's bytes as they came; `None` for NULL. Not asked for NULL by the driver's own test, which takes zero dates
/// for one.
pub(super) fn raw(row: &MySqlRow, index: usize) -> Option<&[u8]> {
    let value = row.try_get_raw(index).ok()?;
    <&[u8] as Decode<'_, MySql>>::decode(value).ok()
}

/// A catalog's cell as text.
pub(super) fn text(row: &MySqlRow, index: usize) -> Option<String> {
    raw(row, index).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

type Query = sqlx::query::Query<'static, MySql, sqlx::mysql::MySqlArguments>;

fn bound(statement: Statement) -> Query {
    // `Statement` is built from names that quote themselves and from bound values
    let query = sqlx::query(AssertSqlSafe(statement.sql));
    statement.params.into_iter().fold(query, |query, param| match param {
        Param::Signed(value) => query.bind(value),
        Param::Unsigned(value) => query.bind(value),
        Param::Double(value) => query.bind(value),
        Param::Text(value) => query.bind(value),
        Param::Bytes(value) => query.bind(value),
    })
}

/// Runs statements that give no rows.
pub(super) async fn execute(
    conn: &mut MySqlConnection,
    cx: &Context,
    limit: Duration,
    what: &'static str,
    sql: String,
) -> Result<(), SourceError> {
    let answer = cx.attempt(limit, conn.execute(sqlx::raw_sql(AssertSqlSafe(sql)))).await;
    error::answered(what, answer).map(drop)
}

/// All rows of a small result.
pub(super) async fn fetch(
    conn: &mut MySqlConnection,
    cx: &Context,
    limit: Duration,
    what: &'static str,
    statement: Statement,
) -> Result<Vec<MySqlRow>, SourceError> {
    error::answered(what, cx.attempt(limit, conn.fetch_all(bound(statement))).await)
}

/// All rows of a small result that takes a look at a whole table.
pub(super) async fn scan(
    conn: &mut MySqlConnection,
    cx: &Context,
    what: &'static str,
    statement: Statement,
) -> Result<Vec<MySqlRow>, SourceError> {
    let answer = cx.attempt(STALL_MAX, conn.fetch_all(bound(statement))).await;
    let rows = answer.map_err(|cause| SourceError::scanning(what, cause))?;
    rows.map_err(|cause| error::query(what, cause))
}

/// All rows of a query that scans a table and whose columns are text. It may take as long as it needs: the server sends
/// nothing before it has seen every row.
pub(super) async fn texts(
    conn: &mut MySqlConnection,
    cx: &Context,
    what: &'static str,
    statement: Statement,
) -> Result<Vec<Vec<Option<String>>>, SourceError> {
    let answer = cx.attempt(SCAN_MAX, conn.fetch_all(bound(statement))).await;
    let rows = answer.map_err(|cause| SourceError::scanning(what, cause))?;
    let rows = rows.map_err(|cause| error::query(what, cause))?;
    Ok(rows.iter().map(|row| (0..row.len()).map(|index| text(row, index)).collect()).collect())
}

/// All rows of a small result, with the driver's error for the caller to judge.
pub(super) async fn try_fetch(
    conn: &mut MySqlConnection,
    cx: &Context,
    limit: Duration,
    what: &'static str,
    statement: Statement,
) -> Result<Result<Vec<MySqlRow>, sqlx::Error>, SourceError> {
    let answer = cx.attempt(limit, conn.fetch_all(bound(statement))).await;
    answer.map_err(|cause| SourceError::Interrupted { what, cause })
}

type Rows<'a> = BoxStream<'a, Result<Either<MySqlQueryResult, MySqlRow>, sqlx::Error>>;

/// The next row.
enum Next {
    Row(MySqlRow),
    End,
    /// It is not there yet.
    Pending,
    /// Nothing came for so long.
    Silent(Duration),
}

/// The next row if it is there, without a timer.
async fn ready(rows: &mut Rows<'_>, table: &str) -> Result<Next, SourceError> {
    loop {
        let item = match poll_fn(|task| Poll::Ready(rows.as_mut().poll_next(task))).await {
            Poll::Ready(item) => item,
            Poll::Pending => return Ok(Next::Pending),
        };
        if let Some(next) = next_of(item, table)? {
            return Ok(next);
        }
    }
}

/// The next row, waited for.
async fn wait(rows: &mut Rows<'_>, cx: &Context, table: &str) -> Result<Next, SourceError> {
    loop {
        let item = match cx.attempt(STALL_MAX, rows.next()).await {
            Ok(item) => item,
            Err(Interrupted::TimedOut(waited)) => return Ok(Next::Silent(waited)),
            Err(cause) => return Err(SourceError::Interrupted { what: READING, cause }),
        };
        if let Some(next) = next_of(item, table)? {
            return Ok(next);
        }
    }
}

type Item = Option<Result<Either<MySqlQueryResult, MySqlRow>, sqlx::Error>>;

/// `None` for what is neither a row nor the end.
fn next_of(item: Item, table: &str) -> Result<Option<Next>, SourceError> {
    match item {
        Some(Ok(Either::Right(row))) => Ok(Some(Next::Row(row))),
        Some(Ok(Either::Left(_end_of_result))) => Ok(None),
        Some(Err(cause)) => Err(error::reading(READING, table, cause)),
        None => Ok(Some(Next::End)),
    }
}

/// Streams the rows of `statement`, which was built from `query`, into `sink`.
pub(super) async fn read<S: BlockSink>(
    conn: &mut MySqlConnection,
    cx: &Context,
    query: &ReadQuery<'_>,
    statement: Statement,
    sink: &mut S,
) -> Result<ReadDone, SourceError> {
    let interrupted = |cause| SourceError::Interrupted { what: READING, cause };
    let table = query.table.to_string();
    let mut encoder = RowEncoder::new(query)?;
    let mut rows: Rows<'_> = conn.fetch_many(bound(statement));
    let mut block = Block::empty();
    let (mut rows_done, mut rejected, mut bytes_done) = (0_u64, 0_u64, 0_u64);
    let (mut end, mut enough) = (None, false);
    loop {
        let mut next = ready(&mut rows, &table).await?;
        let read = rows_done + rejected;
        // a row that was read is worth ending with, even if the next does not come
        if matches!(next, Next::Pending) && !(read > 0 && sink.enough()) {
            next = wait(&mut rows, cx, &table).await?;
        }
        let row = match next {
            Next::Row(row) => row,
            Next::End => break,
            Next::Silent(waited) if read == 0 || !sink.enough() => {
                return Err(SourceError::Silent { what: READING, waited, rows: read });
            }
            Next::Silent(_) | Next::Pending => {
                end = Some(ReadEnd::CutByBytes);
                break;
            }
        };
        let before = block.bytes.len();
        match encoder.write(&row, &mut block)? {
            Written::Row => {
                block.rows += 1;
                rows_done += 1;
            }
            Written::Rejected(line) => {
                rejected += 1;
                cx.check().map_err(interrupted)?;
                check_rejects(query, &encoder.writer.audit)?;
                cx.limit(cx.remaining(), sink.reject(line)).await.map_err(interrupted)??;
            }
        }
        bytes_done += (block.bytes.len() - before) as u64;
        if block.bytes.len() >= BLOCK_BYTES {
            cx.check().map_err(interrupted)?;
            block = cx.limit(cx.remaining(), sink.send(block)).await.map_err(interrupted)??;
            block.clear();
            enough = sink.enough();
        }
        if enough || query.bytes_max.is_some_and(|max| bytes_done >= max) {
            end = Some(ReadEnd::CutByBytes);
            break;
        }
    }
    drop(rows);
    if block.rows > 0 {
        cx.limit(cx.remaining(), sink.send(block)).await.map_err(interrupted)??;
    }
    let end = end.unwrap_or(match query.rows_max {
        Some(max) if rows_done + rejected >= max => ReadEnd::CutByRows,
        Some(_) | None => ReadEnd::Exhausted,
    });
    let last = if rows_done + rejected > 0 { encoder.last_position()? } else { None };
    let partitions = encoder.writer.partitions();
    Ok(ReadDone { rows: rows_done, rejected, bytes: bytes_done, last, end, audit: encoder.writer.audit, partitions })
}

/// The position that a row of [`super::query::position`] says.
pub(super) fn position_of(query: &ReadQuery<'_>, row: &MySqlRow) -> Result<Position, SourceError> {
    let order = order_columns(query);
    let text = |index: usize| {
        let column = &query.columns[index];
        let place = order.iter().position(|&ordered| ordered == index).ok_or_else(|| bad_value(column))?;
        let value = raw(row, place).ok_or_else(|| bad_value(column))?;
        position_text(column, read_of(column)?.codec, value)
    };
    let cursor = ordering_cursor(query).map(text).transpose()?;
    let key = query.key.iter().map(|&index| text(index)).collect::<Result<Vec<_>, _>>()?;
    Ok(Position { cursor, key })
}

/// Writes rows; remembers where the last one was.
struct RowEncoder<'a> {
    query: &'a ReadQuery<'a>,
    codecs: Vec<MyCodec>,
    writer: RowWriter<'a, MyCodec>,
    /// Columns of a position: cursor (if it orders), then the key.
    marks: Vec<usize>,
    /// The last row's bytes of those columns, in buffers used again for each row.
    last: Vec<Mark>,
}

#[derive(Default)]
struct Mark {
    null: bool,
    bytes: Vec<u8>,
}

/// A row as the writer sees it.
struct RowValues<'a> {
    row: &'a MySqlRow,
    key: &'a [usize],
    codecs: &'a [MyCodec],
}

impl Values for RowValues<'_> {
    fn raw(&self, index: usize) -> Result<Option<&[u8]>, Malformed> {
        Ok(raw(self.row, index))
    }

    /// What has no text is left empty.
    fn key(&self) -> Vec<String> {
        let text = |&index: &usize| self.codecs.get(index)?.position_text(raw(self.row, index)?).ok();
        self.key.iter().map(|index| text(index).unwrap_or_default()).collect()
    }
}

impl<'a> RowEncoder<'a> {
    fn new(query: &'a ReadQuery<'a>) -> Result<Self, SourceError> {
        let codec = |column| read_of(column).map(|read| read.codec);
        let marks: Vec<usize> = match query.key {
            [] => Vec::new(),
            key => ordering_cursor(query).into_iter().chain(key.iter().copied()).collect(),
        };
        Ok(Self {
            query,
            codecs: query.columns.iter().map(codec).collect::<Result<_, SourceError>>()?,
            writer: RowWriter::new(cells(query, |_index, column| codec(column), |index| marks.contains(&index))?)
                .watching(query.partition),
            last: marks.iter().map(|_| Mark::default()).collect(),
            marks,
        })
    }

    fn write(&mut self, row: &MySqlRow, block: &mut Block) -> Result<Written, SourceError> {
        let values = RowValues { row, key: self.query.key, codecs: &self.codecs };
        let written = self.writer.write(&mut block.bytes, &mut block.fields, &values);
        let written = written.map_err(|error| row_error(self.query.columns, &error, &values))?;
        for (mark, &index) in self.last.iter_mut().zip(&self.marks) {
            let value = raw(row, index);
            mark.null = value.is_none();
            mark.bytes.clear();
            mark.bytes.extend_from_slice(value.unwrap_or_default());
        }
        Ok(written)
    }

    /// The last row's position; `None` if the rows have no order.
    fn last_position(&self) -> Result<Option<Position>, SourceError> {
        if self.query.key.is_empty() {
            return Ok(None);
        }
        let mut texts = Vec::with_capacity(self.marks.len());
        for (mark, &index) in self.last.iter().zip(&self.marks) {
            let column = &self.query.columns[index];
            if mark.null {
                return Err(bad_value(column));
            }
            texts.push(position_text(column, self.codecs[index], &mark.bytes)?);
        }
        let cursor = ordering_cursor(self.query).is_some().then(|| texts.remove(0));
        Ok(Some(Position { cursor, key: texts }))
    }
}
