//! What a backfill has to bring: its windows, told by the source's rows, and remembered so that everybody finds the same.
//!
//! A load by ranges of keys of a table that nothing was read of sets the watermark to the last row that is safe to read,
//! before any of it is brought: the live sync goes on from there at once, and the windows bring all that is not beyond it.
//! Rows that change meanwhile come with the live sync, and the merge keeps the newer of two versions.

mod keys;
mod settle;

use std::time::Duration;

pub(super) use self::settle::{left, settle};
use super::prepare::{self, Prepared, Ready, Wanted};
use super::{Engine, RunError};
use crate::bucket::Bucket;
use crate::mapping::CursorKind;
use crate::model::{Ask, Asks, Bound, Mode, Position, TableSettings, TableState, Window, WindowUnit};
use crate::net::Context;
use crate::plan::backfill::{self, BackfillError, Known};
use crate::plan::verify::{self, in_order};
use crate::report::RunReport;
use crate::source::{Nulls, Place, Range, ReadQuery, Session, Source};
use crate::state::transition::{self, Event};
use crate::state::{AskStore, Store, Versioned, Write};
use crate::warehouse::Warehouse;

/// How often what was asked for is written again when somebody else was faster.
const WRITES_MAX: u32 = 10;

/// What a backfill is asked to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillQuestion {
    /// What divides it; `None` takes days, of a number ranges, and ranges of keys where a load by them is under way.
    pub by: Option<WindowUnit>,
    /// Only rows whose cursor is at least this; `None` begins with the first row.
    pub from: Option<String>,
    /// Only rows whose cursor is below this; `None` ends with the last whole unit that is safe to read.
    pub to: Option<String>,
    /// Rows of a range, about.
    pub window_rows: u64,
    /// How long to wait for somebody else to begin a load by keys.
    pub follow: Duration,
    /// Whether what is complete is read again.
    pub again: bool,
}

/// What a backfill comes to.
#[derive(Clone, Debug)]
pub struct Backfill {
    /// Its windows, first to last.
    pub windows: Vec<Window>,
    /// What was asked for.
    pub ask: Ask,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Decides the windows, and remembers that they were asked for.
pub(super) async fn ask<B: Bucket, W: Warehouse, S: Source>(
    engine: &Engine<B, W>,
    cx: &Context,
    source: &S,
    settings: &TableSettings,
    question: &BackfillQuestion,
) -> Result<Backfill, RunError> {
    let table = settings.id.to_string();
    if settings.mode == Mode::Replace {
        return Err(BackfillError::Replace(table).into());
    }
    let store = Store::new(&engine.bucket, &settings.id);
    let at = store.read(cx).await?;
    if at.state.rebuild.is_some() {
        return Err(RunError::Busy { table, why: "it is being built anew".to_owned() });
    }
    let mut asking = Asking { engine, cx, settings, store, at, report: report(settings) };
    let bounded = question.from.is_some() || question.to.is_some();
    let by = question.by.or_else(|| (asking.at.state.load.is_some() && !bounded).then_some(WindowUnit::Key));
    if by == Some(WindowUnit::Key) {
        if bounded {
            return Err(BackfillError::KeyBounds.into());
        }
        if let Some(ask) = asking.known_load(question.again).await? {
            return asking.backfill(ask);
        }
        asking.follow(question.follow).await?;
        if let Some(ask) = asking.known_load(question.again).await? {
            return asking.backfill(ask);
        }
    }
    cx.watch().connecting();
    let mut session = source.connect(cx).await?;
    let prepared = asking.prepare(&mut session).await?;
    asking.check_ripe(&prepared).await?;
    let Some(kind) = prepared.plan.cursor_kind() else { return Err(BackfillError::NoRows(table).into()) };
    let by = by.unwrap_or_else(|| backfill::unit_default(kind));
    backfill::check_unit(&table, kind, by)?;
    let look = Look { prepared: &prepared, kind, by };
    let ask = if by == WindowUnit::Key {
        asking.by_key(&mut session, look, question).await?
    } else {
        asking.by_cursor(&mut session, look, question).await?
    };
    session.close().await;
    asking.backfill(ask)
}

fn report(settings: &TableSettings) -> RunReport {
    RunReport::new(&settings.id, settings.target.to_string(), settings.mode)
}

/// The table's state as windows go by it. Transactions that were gone past hold a window's ceiling: their rows are not read
/// again here. Of a table that nothing was read of but windows, settings and target must be those of the windows too.
pub(super) fn strict(live: &TableState) -> TableState {
    let windows = Position { cursor: None, key: Vec::new() };
    let begun = live.basis.as_ref().is_some_and(|basis| !basis.reset);
    let watermark = live.watermark.clone().or_else(|| begun.then_some(windows));
    TableState { holds: Vec::new(), rereads: Vec::new(), watermark, ..live.clone() }
}

/// What the source says.
#[derive(Clone, Copy)]
struct Look<'a> {
    prepared: &'a Prepared,
    kind: CursorKind,
    by: WindowUnit,
}

struct Asking<'a, B, W> {
    engine: &'a Engine<B, W>,
    cx: &'a Context,
    settings: &'a TableSettings,
    store: Store<'a, B>,
    at: Versioned,
    report: RunReport,
}

impl<B: Bucket, W: Warehouse> Asking<'_, B, W> {
    fn table(&self) -> String {
        self.settings.id.to_string()
    }

    fn backfill(self, ask: Ask) -> Result<Backfill, RunError> {
        let windows = backfill::windows(&self.table(), &ask)?;
        Ok(Backfill { windows, ask, notes: self.report.notes })
    }

    async fn asks(&self) -> Result<Asks, RunError> {
        Ok(AskStore::new(&self.engine.bucket, &self.settings.id).read(self.cx).await?.0)
    }

    async fn prepare<S: Session>(&mut self, session: &mut S) -> Result<Prepared, RunError> {
        let strict = strict(&self.at.state);
        let wanted = Wanted { settings: self.settings, accept: false, may_pass: false };
        match prepare::prepare(self.engine, self.cx, wanted, session, &strict, &mut self.report).await? {
            Ready::Yes(prepared) => Ok(*prepared),
            Ready::Incompatible(cause) => {
                Err(RunError::Drift { target: self.settings.target.clone(), cause: Box::new(cause) })
            }
            Ready::RebuildLost => Err(RunError::Superseded),
        }
    }

    /// Whether anything is safe to read. If transactions of this look have to end first, what it saw is kept for the next.
    async fn check_ripe(&mut self, prepared: &Prepared) -> Result<(), RunError> {
        let Some(ceiling) = prepared.ceiling.as_ref().filter(|ceiling| ceiling.bound.is_none() && !prepared.whole)
        else {
            return Ok(());
        };
        let state = &self.at.state;
        if state.intent.is_none() && state.note != ceiling.note {
            let (holds, basis, note) = (state.holds.clone(), state.basis.clone(), ceiling.note.clone());
            // somebody else's look is as good
            self.change(Event::Remember { note, holds, rereads: Vec::new(), basis }).await?;
        }
        let why = self.report.notes.last().cloned().unwrap_or_default();
        Err(RunError::Busy { table: self.table(), why })
    }

    /// Windows of the cursor.
    async fn by_cursor<S: Session>(
        &mut self,
        session: &mut S,
        look: Look<'_>,
        question: &BackfillQuestion,
    ) -> Result<Ask, RunError> {
        let table = self.table();
        let bound = look.prepared.ceiling.as_ref().and_then(|ceiling| ceiling.bound.as_ref());
        let Some(safe) = bound.map(|bound| backfill::safe_end(look.kind, bound)) else {
            return Err(BackfillError::NoRows(table).into());
        };
        let began = self.began(look.kind)?;
        let to = match &question.to {
            Some(to) => verify::bound(&table, Some(look.kind), to)?,
            None => {
                let end = backfill::floor(look.by, &safe).unwrap_or_else(|| safe.clone());
                // what is appended by the live sync is not appended again
                let own = began.clone().filter(|began| self.is_append() && in_order(began, &end).is_lt());
                own.unwrap_or(end)
            }
        };
        let numbers = self.last_numbers(look, question).await?;
        if let Some((known, done)) = &numbers
            && (!done || known.to.as_ref().is_some_and(|end| in_order(end, &to).is_ge()))
        {
            if known.to.as_ref().is_some_and(|end| in_order(end, &to).is_lt()) {
                self.report
                    .note("these are the windows that were asked for before; run it again for what is beyond".into());
            }
            return Ok(known.clone());
        }
        let from = match (&question.from, numbers.and_then(|(known, _)| known.to)) {
            (Some(from), _) => verify::bound(&table, Some(look.kind), from)?,
            (None, Some(end)) => end,
            (None, None) => self.first_asked(look, self.first(session, look, &safe).await?).await?,
        };
        if in_order(&to, &safe).is_gt() {
            return Err(BackfillError::Moving { table, ceiling: safe }.into());
        }
        if !in_order(&from, &to).is_lt() {
            let asked = question.from.is_some() || question.to.is_some();
            let none = BackfillError::NothingBelow { table, to: to.clone() };
            return Err(if asked { BackfillError::Empty { from, to } } else { none }.into());
        }
        let id = self.engine.fresh_id();
        let mut ask = Ask { id, by: look.by, from: Some(from), to: Some(to), bounds: Vec::new(), within: None };
        if look.by == WindowUnit::Number {
            if let Some(known) = self.same_ends(&ask, question).await? {
                return Ok(known);
            }
            ask.bounds = self.ends(session, look, &ask, question.window_rows).await?;
        }
        // before anything is remembered: there must not be too many
        backfill::windows(&table, &ask)?;
        self.begin_at(began.filter(|_| self.is_append()), look).await?;
        match self.remember(&ask).await {
            // somebody else has asked for the same in this moment
            Err(error @ RunError::Backfill(BackfillError::Append { .. })) if look.by == WindowUnit::Number => {
                self.same_ends(&ask, question).await?.ok_or(error)
            }
            remembered => remembered.map(|()| ask),
        }
    }

    fn is_append(&self) -> bool {
        self.settings.mode == Mode::Append
    }

    /// The least cursor that the live sync brings, or will.
    fn began(&self, kind: CursorKind) -> Result<Option<String>, RunError> {
        let state = &self.at.state;
        if state.watermark.is_some() || state.began.is_some() {
            return Ok(state.began.clone());
        }
        let start = self.settings.backfill_start.as_deref();
        Ok(start.map(|start| verify::bound(&self.table(), Some(kind), start)).transpose()?)
    }

    /// The time on the grid at or before the first row; of numbers the first row's.
    async fn first<S: Session>(&self, session: &mut S, look: Look<'_>, safe: &str) -> Result<String, RunError> {
        let below = Bound { value: safe.to_owned(), inclusive: false };
        let query = query(self.settings, look.prepared, Nulls::Skip, Range { ceiling: Some(&below), ..ALL });
        let first = session.position(self.cx, &query, Place::After(0)).await?.and_then(|first| first.cursor);
        let first = first.ok_or_else(|| BackfillError::NoRows(self.table()))?;
        let first = match look.kind {
            CursorKind::Number => backfill::whole_below(&first),
            CursorKind::Instant { .. } | CursorKind::Civil { .. } | CursorKind::Date => {
                verify::bound(&self.table(), Some(look.kind), &first)?
            }
        };
        Ok(backfill::floor(look.by, &first).unwrap_or(first))
    }

    /// Where nobody says an end: the ranges of numbers that reach farthest, and whether they are complete. The end would be
    /// another each time: they are gone on with, and what is beyond comes after them.
    async fn last_numbers(&self, look: Look<'_>, question: &BackfillQuestion) -> Result<Option<(Ask, bool)>, RunError> {
        if look.by != WindowUnit::Number || question.to.is_some() || question.from.is_some() || question.again {
            return Ok(None);
        }
        let asks = self.asks().await?.asks.into_iter().filter(|ask| ask.by == look.by);
        let end = |ask: &Ask| ask.to.clone().unwrap_or_default();
        let Some(last) = asks.max_by(|a, b| in_order(&end(a), &end(b))) else { return Ok(None) };
        let done = settle::is_done(self.engine, self.cx, self.settings, &last).await?;
        Ok(Some((last, done)))
    }

    /// Where nobody says a beginning: that of what was asked for before, if it is below the first row. Rows that were the
    /// first then may be gone, and windows are to be the same for everybody.
    async fn first_asked(&self, look: Look<'_>, first: String) -> Result<String, RunError> {
        let asks = self.asks().await?.asks.into_iter().filter(|ask| ask.by == look.by).filter_map(|ask| ask.from);
        Ok(asks.chain([first]).min_by(|a, b| in_order(a, b)).unwrap_or_default())
    }

    /// Ranges of numbers that were asked for before, with the same ends. Where nobody says where they begin, rows that were
    /// the first then may be gone by now.
    async fn same_ends(&self, ask: &Ask, question: &BackfillQuestion) -> Result<Option<Ask>, RunError> {
        let begins = |known: &Ask| match (&known.from, &ask.from) {
            (Some(known), Some(from)) if question.from.is_none() => in_order(known, from).is_le(),
            (known, from) => known == from,
        };
        let same = |known: &Ask| known.by == ask.by && known.to == ask.to && begins(known);
        Ok(self.asks().await?.asks.into_iter().find(same))
    }

    /// Where windows of about so many rows end.
    async fn ends<S: Session>(
        &self,
        session: &mut S,
        look: Look<'_>,
        ask: &Ask,
        rows: u64,
    ) -> Result<Vec<Vec<String>>, RunError> {
        let by_key = look.by == WindowUnit::Key;
        let below = ask.to.clone().map(|value| Bound { value, inclusive: false });
        let mut ends: Vec<Vec<String>> = Vec::new();
        let mut after: Option<Position> = None;
        while ends.len() <= backfill::WINDOWS_MAX {
            let range = Range {
                after: after.as_ref(),
                from: ask.from.as_deref(),
                ceiling: ask.within.as_ref().or(below.as_ref()),
                ..ALL
            };
            let nulls = if by_key { Nulls::SkipByKey } else { Nulls::Skip };
            let query = query(self.settings, look.prepared, nulls, range);
            // of a key's range the end is its last row, of a number's the first of the next
            let place = Place::After(if by_key { rows.saturating_sub(1) } else { rows });
            let Some(found) = session.position(self.cx, &query, place).await? else { break };
            let end = if by_key {
                found.key.clone()
            } else {
                found.cursor.iter().map(|at| backfill::whole_below(at)).collect()
            };
            // many rows of one number are one window
            if ends.last() != Some(&end) && (by_key || ask.from.as_ref() != end.first()) {
                ends.push(end);
            }
            after = Some(found);
        }
        Ok(ends)
    }

    /// Before anything is brought of a table that nothing was read of, its state says with what settings, and where the live
    /// sync of an appended table begins.
    async fn begin_at(&mut self, began: Option<String>, look: Look<'_>) -> Result<(), RunError> {
        for _ in 0..WRITES_MAX {
            let state = &self.at.state;
            let says = state.began.is_some() || began.is_none();
            // what it has now says where windows may be, whoever wrote it
            if state.watermark.is_some() || (says && state.basis.is_some()) {
                return Ok(());
            }
            let from = state.began.clone().or_else(|| began.clone());
            if self.change(Event::BeginAt { from, basis: Some(Box::new(look.prepared.basis.clone())) }).await? {
                return Ok(());
            }
        }
        Err(RunError::Superseded)
    }

    /// Changes the table's state; `false` if somebody else was faster, whose state is then ours.
    async fn change(&mut self, event: Event) -> Result<bool, RunError> {
        let mut next = transition::apply(&self.at.state, event)?;
        self.engine.stamp(&mut next);
        let (now, done) = match self.store.write(self.cx, &self.at, next).await? {
            Write::Done(now) => (now, true),
            Write::Lost(now) => (now, false),
        };
        self.at = now;
        Ok(done)
    }

    async fn remember(&self, ask: &Ask) -> Result<(), RunError> {
        let store = AskStore::new(&self.engine.bucket, &self.settings.id);
        let table = self.table();
        let known = Known { table: &table, append: self.is_append(), began: self.at.state.began.as_deref() };
        for _ in 0..WRITES_MAX {
            let (asks, generation) = store.read(self.cx).await?;
            let next = match backfill::remember(&asks, ask, known) {
                Err(BackfillError::TooManyAsks { .. }) if !known.append => {
                    backfill::remember(&self.open(asks).await?, ask, known)
                }
                decided => decided,
            };
            let Some(next) = next? else { return Ok(()) };
            if store.write(self.cx, &next, generation).await? {
                return Ok(());
            }
            self.cx.sleep(Duration::from_millis(fastrand::u64(50..500))).await?;
        }
        Err(RunError::Superseded)
    }

    /// Of what was asked for, that which is not done.
    async fn open(&self, mut asks: Asks) -> Result<Asks, RunError> {
        let mut open = Vec::new();
        for ask in asks.asks {
            let load = self.at.state.load.as_ref() == Some(&ask.id);
            if load || !settle::is_done(self.engine, self.cx, self.settings, &ask).await? {
                open.push(ask);
            }
        }
        asks.asks = open;
        Ok(asks)
    }

    /// Nobody will bring these windows.
    async fn forget(&self, ask: &Ask) -> Result<(), RunError> {
        let store = AskStore::new(&self.engine.bucket, &self.settings.id);
        for _ in 0..WRITES_MAX {
            let (mut asks, generation) = store.read(self.cx).await?;
            let before = asks.asks.len();
            asks.asks.retain(|known| known.id != ask.id);
            if asks.asks.len() == before || store.write(self.cx, &asks, generation).await? {
                return Ok(());
            }
        }
        Ok(())
    }
}

const ALL: Range<'static> =
    Range { after: None, from: None, ceiling: None, until: None, nulls: Nulls::Skip, keys: None };

/// A look for positions: no row is read.
fn query<'a>(settings: &'a TableSettings, prepared: &'a Prepared, nulls: Nulls, range: Range<'a>) -> ReadQuery<'a> {
    let plan = &prepared.plan;
    ReadQuery {
        table: &settings.table,
        columns: &plan.columns,
        names: &plan.names,
        cursor: plan.cursor,
        key: &plan.key,
        range: Range { nulls, ..range },
        rows_max: None,
        bytes_max: None,
        rejects_max: 0,
        filter: settings.filter.as_deref(),
        partition: None,
    }
}
