//! The source as the engine sees it: catalog, activity, snapshot, reads in order, over a connection that may break.

use std::cmp::Ordering;
use std::time::Duration;

use highwater::audit::Audit;
use highwater::mapping::{self, Column};
use highwater::model::{
    Activity, Checksum, Fingerprint, Group, Indexing, OpenTransaction, Position, Rows, SourceTable, TableKind,
    Visibility,
};
use highwater::net::Context;
use highwater::source::{
    Block, BlockSink, Description, Nulls, Place, ReadDone, ReadEnd, ReadQuery, STALL_MAX, Scan, Session, Source,
    SourceError, Which,
};

use super::database::{Row, Snapshot, instant_text, value_of};
use super::plan::Sight;
use super::planted::Plant;
use super::world::{Shared, World};
use crate::tell;

/// The database, to connect to.
#[derive(Clone)]
pub struct SimSource(pub Shared);

/// A connection.
pub struct SimSession {
    world: Shared,
    snapshot: Option<Snapshot>,
    /// How far this connection's server is behind, if it is a replica.
    behind_us: i64,
}

fn column(name: &str, type_name: &str, modifier: i32, nullable: bool) -> Column {
    mapping::postgres::column(mapping::postgres::Facts {
        name: name.to_owned(),
        source_type: type_name.to_owned(),
        nullable,
        comment: None,
        type_name: type_name.to_owned(),
        type_schema: "pg_catalog".to_owned(),
        extension: None,
        kind: 'b',
        array: false,
        modifier,
        cast: type_name.to_owned(),
        operators: None,
    })
}

/// Something of the connection's that takes time and may fail.
async fn step(world: &Shared, cx: &Context, what: &'static str) -> Result<(), SourceError> {
    let (time, fails) = world.with(|world| {
        let rate = if world.calm { 0.0 } else { world.plan.fault_rate / 4.0 };
        (world.transit(), world.chance(rate))
    });
    let interrupted = |cause| SourceError::Interrupted { what, cause };
    cx.check().map_err(interrupted)?;
    cx.limit(STALL_MAX, tokio::time::sleep(time)).await.map_err(interrupted)?;
    if fails {
        world.with(|world| world.count("fault: source connection lost"));
        let (message, code) = ("the connection was lost".to_owned(), "08006".to_owned());
        return Err(SourceError::Query { what, message, code, transient: true });
    }
    Ok(())
}

impl Source for SimSource {
    type Session = SimSession;

    async fn connect(&self, cx: &Context) -> Result<SimSession, SourceError> {
        step(&self.0, cx, "connecting").await?;
        Ok(self.0.with(|world| {
            let behind = if world.plan.sight == Sight::Replica { world.plan.lag } else { Duration::ZERO };
            let behind_us = i64::try_from(world.between(Duration::ZERO, behind).as_micros()).unwrap();
            let early = (world.plant == Some(Plant::SnapshotBeforeTheLook)).then(|| world.database.now());
            SimSession { world: self.0.clone(), snapshot: early, behind_us }
        }))
    }
}

impl SimSession {
    /// The rows that this connection's server has now.
    fn rows(&self, world: &World) -> Snapshot {
        match world.plan.sight {
            Sight::Replica => world.database.then(world.now_us() - self.behind_us),
            Sight::Full | Sight::Hidden | Sight::Blind => world.database.now(),
        }
    }
}

/// Histories are of runs: nobody verifies.
fn not_asked(scan: &Scan<'_>) -> SourceError {
    SourceError::NoTable { table: scan.table.to_string(), similar: Vec::new() }
}

impl Session for SimSession {
    async fn describe(&mut self, cx: &Context, _: &SourceTable) -> Result<Description, SourceError> {
        step(&self.world, cx, "describing").await?;
        let digits = self.world.with(|world| world.plan.digits);
        let modifier = if digits == 6 { -1 } else { i32::from(digits) };
        Ok(Description {
            name: "t".to_owned(),
            kind: TableKind::Table,
            indexing: Indexing::Beside,
            columns: vec![
                column("id", "int8", -1, false),
                column("at", "timestamptz", modifier, true),
                column("seq", "int8", -1, false),
                column("v", "int8", -1, false),
                column("pad", "text", -1, true),
            ],
            hidden: Vec::new(),
            hides_some: false,
            primary_key: vec!["id".to_owned()],
            unique_keys: Vec::new(),
            comment: None,
            rows_estimate: None,
            derived: Vec::new(),
        })
    }

    async fn activity(&mut self, cx: &Context) -> Result<Activity, SourceError> {
        let clock = self.world.with(|world| world.now_us());
        step(&self.world, cx, "looking at transactions").await?;
        let behind_us = self.behind_us;
        Ok(self.world.with(|world| activity(world, clock, behind_us)))
    }

    async fn check_filter(&mut self, _: &Context, _: &SourceTable, _: &str) -> Result<(), SourceError> {
        Ok(())
    }

    async fn max_cursor(
        &mut self,
        cx: &Context,
        _: &SourceTable,
        column: &Column,
    ) -> Result<Option<String>, SourceError> {
        step(&self.world, cx, "looking at the maximum").await?;
        let rows = self.world.with(|world| self.rows(world));
        Ok(rows.values().filter_map(|row| row.value(&column.name)).max().map(|max| max.to_string()))
    }

    async fn begin(&mut self, cx: &Context) -> Result<(), SourceError> {
        step(&self.world, cx, "opening the snapshot").await?;
        if self.snapshot.is_none() {
            self.snapshot = Some(self.world.with(|world| self.rows(world)));
        }
        Ok(())
    }

    async fn position(
        &mut self,
        cx: &Context,
        query: &ReadQuery<'_>,
        place: Place,
    ) -> Result<Option<Position>, SourceError> {
        step(&self.world, cx, "looking for a position").await?;
        let plant = self.world.with(|world| world.plant);
        let mut query = *query;
        if place == Place::Last && plant == Some(Plant::LoadBeyondTheCeiling) {
            query.range.ceiling = None;
        }
        let query = &query;
        let rows = select(self.snapshot.as_ref().unwrap(), query, None);
        let row = match place {
            Place::After(others) => rows.get(usize::try_from(others).unwrap()),
            Place::Last => rows.last(),
        };
        Ok(row.map(|row| position(query, row)))
    }

    async fn count_nulls(
        &mut self,
        cx: &Context,
        _: &SourceTable,
        column: &Column,
        _: Option<&str>,
    ) -> Result<u64, SourceError> {
        step(&self.world, cx, "counting").await?;
        let rows = self.snapshot.iter().flat_map(|rows| rows.values());
        Ok(rows.filter(|row| row.value(&column.name).is_none()).count() as u64)
    }

    async fn read<S: BlockSink>(
        &mut self,
        cx: &Context,
        query: &ReadQuery<'_>,
        sink: &mut S,
    ) -> Result<ReadDone, SourceError> {
        let what = "reading rows";
        step(&self.world, cx, what).await?;
        let (plant, fat) = self.world.with(|world| (world.plant, world.plan.fat));
        let mut rows = select(self.snapshot.as_ref().unwrap(), query, plant);
        let limit = query.rows_max.map_or(usize::MAX, |max| usize::try_from(max).unwrap());
        let mut end = if rows.len() >= limit { ReadEnd::CutByRows } else { ReadEnd::Exhausted };
        rows.truncate(limit);
        if query.range.nulls == Nulls::SkipByKey && plant == Some(Plant::WindowEndsWithItsFirstChunk) {
            end = ReadEnd::Exhausted;
        }
        let (mut done, mut bytes) = (0, 0);
        while done < rows.len() {
            let many = self.world.with(|world| world.rng.usize(1..6)).min(rows.len() - done);
            let broken = step(&self.world, cx, what).await;
            if broken.is_err() && plant == Some(Plant::BrokenReadTakenForWhole) {
                end = ReadEnd::Exhausted;
                break;
            }
            broken?;
            let mut block = Block::default();
            for row in &rows[done..done + many] {
                write_line(&mut block.bytes, row, fat);
                block.rows += 1;
            }
            done += many;
            bytes += block.bytes.len() as u64;
            sink.send(block).await?;
            if done < rows.len() {
                if sink.enough() {
                    self.world.with(|world| world.count("reads cut by time"));
                    end = ReadEnd::CutByBytes;
                    break;
                }
                cx.check().map_err(|cause| SourceError::Interrupted { what, cause })?;
            }
        }
        rows.truncate(done);
        let last = rows.last().map(|row| position(query, row));
        let audit = Audit::new(query.columns.iter().map(|column| column.name.as_str()));
        Ok(ReadDone { rows: done as u64, rejected: 0, bytes, last, end, audit, partitions: None })
    }

    async fn checksums(
        &mut self,
        _: &Context,
        scan: &Scan<'_>,
        _: &Rows,
        _: Group,
        _: u64,
    ) -> Result<Vec<Checksum>, SourceError> {
        Err(not_asked(scan))
    }

    async fn fingerprints(
        &mut self,
        _: &Context,
        scan: &Scan<'_>,
        _: Which<'_>,
        _: u64,
    ) -> Result<Vec<Fingerprint>, SourceError> {
        Err(not_asked(scan))
    }

    async fn close(self) {}
}

/// The column that the rows of the query are ordered by before the key.
fn ordering<'a>(query: &ReadQuery<'a>) -> Option<&'a str> {
    let by_key = matches!(query.range.nulls, Nulls::Only | Nulls::SkipByKey);
    query.cursor.filter(|_| !by_key).map(|index| query.columns[index].name.as_str())
}

fn position(query: &ReadQuery<'_>, row: &Row) -> Position {
    Position { cursor: ordering(query).and_then(|name| text(row, name)), key: vec![row.id.to_string()] }
}

/// A cursor's value as a position has it.
fn text(row: &Row, column: &str) -> Option<String> {
    let value = row.value(column)?;
    Some(if column == "at" { instant_text(value) } else { value.to_string() })
}

fn write_line(out: &mut Vec<u8>, row: &Row, fat: bool) {
    let at = row.at.map_or("null".to_owned(), |at| format!("\"{}\"", instant_text(at)));
    let pad = "x".repeat(if fat { 15_000 + usize::try_from(row.v % 7).unwrap() * 2_000 } else { 3 });
    let line = format!("{{\"id\":{},\"at\":{at},\"seq\":{},\"v\":{},\"pad\":\"{pad}\"}}\n", row.id, row.seq, row.v);
    out.extend_from_slice(line.as_bytes());
}

/// The rows of the query, in its order.
fn select(snapshot: &Snapshot, query: &ReadQuery<'_>, plant: Option<Plant>) -> Vec<Row> {
    let range = query.range;
    let column = query.cursor.map(|index| query.columns[index].name.as_str());
    let order = ordering(query);
    let place = |row: &Row| (order.and_then(|name| row.value(name)), row.id);
    let place_of = |position: &Position| {
        let cursor = order.and(position.cursor.as_deref());
        (cursor.map(value_of), value_of(&position.key[0]))
    };
    let (after, until) = (range.after.map(place_of), range.until.map(place_of));
    let from = range.from.map(value_of);
    let ceiling = range.ceiling.map(|bound| (value_of(&bound.value), bound.inclusive));
    let is_wanted = |row: &&Row| {
        let Some(name) = column else { return true };
        let Some(value) = row.value(name) else { return matches!(range.nulls, Nulls::Only | Nulls::Any) };
        let next = plant == Some(Plant::WindowEndInclusive);
        let below = ceiling
            .map(|(end, inclusive)| (end, inclusive || next))
            .is_none_or(|(end, inclusive)| value < end || inclusive && value == end);
        let starts = plant != Some(Plant::BeginningForgotten) || range.ceiling.is_none_or(|bound| !bound.inclusive);
        range.nulls != Nulls::Only && below && from.is_none_or(|from| !starts || value >= from)
    };
    let is_after = |row: &&Row| {
        after.is_none_or(|after| match plant {
            Some(Plant::KeysetInclusive) => place(row) >= after,
            Some(Plant::KeysetByCursorAlone) => place(row).0 > after.0,
            _ => place(row).cmp(&after) == Ordering::Greater,
        })
    };
    let is_within = |row: &&Row| until.is_none_or(|until| place(row) <= until);
    let wanted = snapshot.values().filter(is_wanted).filter(is_after).filter(is_within);
    let mut rows: Vec<Row> = wanted.copied().collect();
    rows.sort_by_key(place);
    rows
}

fn activity(world: &mut World, now_us: i64, behind_us: i64) -> Activity {
    let visibility = match world.plan.sight {
        Sight::Full => Visibility::Full,
        Sight::Hidden => Visibility::Hidden { snapshot: Some(world.database.snapshot_numbers()) },
        Sight::Blind => Visibility::Hidden { snapshot: None },
        Sight::Replica => Visibility::Replica { replayed_us: Some(world.now_us() - behind_us) },
    };
    let mut open: Vec<OpenTransaction> = Vec::new();
    if visibility == Visibility::Full && world.plant != Some(Plant::OpenTransactionsUnseen) {
        let shown = world.database.open().filter(|(_, transaction)| transaction.shown);
        open.extend(shown.map(|(pid, transaction)| OpenTransaction {
            backend: format!("pid {pid}"),
            user: None,
            started_us: transaction.started_us,
        }));
    }
    open.sort_by_key(|transaction| transaction.started_us);
    tell!(world, "a look at the source: {} open, {visibility:?}", open.len());
    Activity { now_us, open, visibility }
}
