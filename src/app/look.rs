//! What a person is shown of all tables: states and reports from the bucket, and of one table its target in BigQuery. No
//! source is asked, nothing is written, and no query is run.
//!
//! Tables that a pattern means are known by their states: what the source has besides, only the source could tell.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::Instant;

use super::App;
use crate::bucket::{Bucket as _, LISTED_MAX};
use crate::config::SourceConfig;
use crate::engine::{RejectsSeen, RunError, WindowsSeen};
use crate::journal::Reader;
use crate::model::{Class, Code, SourceName, TableId, TableSettings, Told};
use crate::net::Context;
use crate::page::View;
use crate::page::data::{self, Detail, Progress, WindowRow};
use crate::page::past::Past;
use crate::page::standing::{Kept, Known, Standing, by_urgency};
use crate::state::{Versioned, source_folder, table_of};
use crate::warehouse::{TableInfo, Warehouse as _, WarehouseError};

/// The most tables that are shown.
pub const TABLES_MAX: usize = 2_000;
/// States that are read at once.
const STATES_AT_ONCE: usize = 32;
/// A state is read again after this, or as soon as there is a report of its table.
const STATE_AGE_MAX: Duration = Duration::from_secs(60);
/// The most pages of a listing of states.
const PAGES_MAX: usize = 20;

/// What a process that is looked at remembers from look to look.
#[derive(Debug, Default)]
pub struct Memory {
    reader: Reader,
    past: Past,
    states: HashMap<TableId, Seen>,
    /// Tables of the patterns of each source, as they were listed last.
    listed: HashMap<SourceName, Vec<TableSettings>>,
}

/// A state as it was read.
#[derive(Debug)]
struct Seen {
    read_at: Instant,
    kept: Kept,
    /// Whether reading it again was tried since, in vain.
    is_old: bool,
}

/// What came of reading states.
#[derive(Default)]
struct Unread {
    /// Those of which nothing can be told, and why.
    unknown: HashMap<TableId, Told>,
    /// How many are shown as they were read before.
    kept: usize,
    /// How old the oldest of those is.
    age: Duration,
    /// Why the first of them was not read.
    first: Option<String>,
}

impl App {
    /// The states of these tables, side by side, in their order.
    pub async fn states(&self, cx: &Context, ids: &[TableId]) -> Vec<Result<Versioned, RunError>> {
        let reads: Vec<_> = ids.iter().map(|id| self.state(cx, id)).collect();
        stream::iter(reads).buffered(STATES_AT_ONCE).collect().await
    }

    /// Looks at everything. `under_way` says how many runs of a table are under way in this process.
    pub async fn look(&self, cx: &Context, memory: &mut Memory, under_way: impl Fn(&TableId) -> usize) -> View {
        let (begun, at) = (Instant::now(), self.now());
        // whatever becomes of the reports, there is time for the states
        let half = cx.within(cx.remaining() / 2);
        let (mut notes, mut moved, is_first) = (Vec::new(), HashSet::new(), !memory.reader.has_looked());
        let recent = async { self.journal().recent(&half, at, &mut memory.reader).await };
        let (found, recent) = tokio::join!(self.known_tables(&half, &mut memory.listed), Box::pin(recent));
        let (mut tables, unlisted) = found;
        notes.extend(unlisted);
        notes.extend(recent.notes);
        for record in &recent.records {
            memory.past.add(record);
            moved.insert((record.source.clone(), record.table.clone()));
        }
        // one without a state was never run
        let has_state = |id: &TableId| memory.states.get(id).is_some_and(|seen| seen.kept.exists);
        let is_unseen = |id: &TableId| has_state(id) && !memory.past.knows(id.source.as_str(), id.table.as_str());
        if !is_first && (memory.reader.hole().is_some() || tables.iter().any(|table| is_unseen(&table.id))) {
            let earlier = Box::pin(async { self.journal().earlier(&half, at, &mut memory.reader).await }).await;
            earlier.records.iter().for_each(|record| memory.past.add(record));
            notes.extend(earlier.notes);
        }
        self.add_seen(&mut tables, &memory.past);
        let left_out = tables.len().saturating_sub(TABLES_MAX);
        tables.truncate(TABLES_MAX);
        let there: HashSet<(&str, &str)> = tables.iter().map(|table| names(&table.id)).collect();
        memory.past.keep(|source, table| there.contains(&(source, table)));
        memory.states.retain(|id, _| there.contains(&names(id)));
        let unread = Box::pin(self.read_states(cx, memory, &tables, &moved)).await;
        notes.extend(unread.note());
        let hole = memory.reader.hole();
        let judge = |settings: &TableSettings| {
            let kept = match (memory.states.get(&settings.id), unread.unknown.get(&settings.id)) {
                (Some(seen), _) => Ok(seen.kept.clone()),
                (None, why) => Err(why.cloned().unwrap_or_else(|| Told::new(Code::Bug, "its state was not looked at"))),
            };
            let (source, table) = names(&settings.id);
            let (runs, under_way) = (memory.past.of(source, table), under_way(&settings.id));
            Standing::judge(Known { settings, kept, runs, under_way, hole }, at)
        };
        let mut standings: Vec<Standing> = tables.iter().map(judge).collect();
        standings.sort_by(by_urgency);
        View {
            at,
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            project: self.config().project.clone(),
            tables: standings,
            left_out,
            runs: memory.past.count(),
            since: memory.past.since(),
            notes,
        }
    }

    /// Reads the states that are too old to be shown. One that cannot be read just now is kept as it was.
    async fn read_states(
        &self,
        cx: &Context,
        memory: &mut Memory,
        tables: &[TableSettings],
        moved: &HashSet<(String, String)>,
    ) -> Unread {
        let is_old = |id: &&TableId| {
            let (source, table) = names(id);
            let is_moved = moved.contains(&(source.to_owned(), table.to_owned()));
            let is_old = |seen: &Seen| seen.is_old || seen.read_at.elapsed() >= STATE_AGE_MAX;
            is_moved || memory.states.get(id).is_none_or(is_old)
        };
        let old: Vec<TableId> = tables.iter().map(|table| &table.id).filter(is_old).cloned().collect();
        let mut unread = Unread::default();
        for (id, read) in old.iter().zip(self.states(cx, &old).await) {
            let known = memory.states.get_mut(id);
            match (read, known) {
                (Ok(found), _) => {
                    let kept = Kept::of(&found.state, found.generation.is_some());
                    memory.states.insert(id.clone(), Seen { read_at: Instant::now(), kept, is_old: false });
                }
                (Err(error), Some(seen)) if error.class() == Class::Transient => {
                    seen.is_old = true;
                    unread.kept += 1;
                    unread.age = unread.age.max(seen.read_at.elapsed());
                    unread.first.get_or_insert_with(|| error.one_line());
                }
                (Err(error), _) => {
                    memory.states.remove(id);
                    unread.unknown.insert(id.clone(), error.failure().told());
                }
            }
        }
        unread
    }

    /// Tables of patterns that have no state yet, and of which there are runs: those that failed from the first on.
    fn add_seen(&self, tables: &mut Vec<TableSettings>, past: &Past) {
        let there: HashSet<TableId> = tables.iter().map(|table| table.id.clone()).collect();
        let matched = |(source, table): (&str, &str)| {
            let source = self.config.sources.iter().find(|known| known.name.as_str() == source)?;
            source.matched(&table.parse().ok()?)
        };
        tables.extend(past.names().filter_map(matched).filter(|table| !there.contains(&table.id)));
    }

    /// Every table that is named or has a state, and what could not be listed.
    async fn known_tables(
        &self,
        cx: &Context,
        listed: &mut HashMap<SourceName, Vec<TableSettings>>,
    ) -> (Vec<TableSettings>, Vec<String>) {
        let (mut tables, mut notes) = (Vec::new(), Vec::new());
        for source in &self.config.sources {
            tables.extend(source.tables.iter().cloned());
            if source.patterns.is_empty() {
                continue;
            }
            match self.with_states(cx, source).await {
                Ok((found, more)) => {
                    tables.extend(found.iter().cloned());
                    listed.insert(source.name.clone(), found);
                    if more {
                        notes.push(format!("{} has more states than are listed", source.name));
                    }
                }
                Err(error) => {
                    let error = error.one_line();
                    // they are shown as they were listed before
                    tables.extend(listed.get(&source.name).into_iter().flatten().cloned());
                    notes.push(format!("the tables of the patterns of {} cannot be listed: {error}", source.name));
                }
            }
        }
        (tables, notes)
    }

    /// Tables of a source's patterns that have a state, and whether there may be more.
    async fn with_states(&self, cx: &Context, source: &SourceConfig) -> Result<(Vec<TableSettings>, bool), RunError> {
        let folder = source_folder(&source.name);
        let (mut tables, mut from) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let page =
                self.engine.bucket().list_from(cx, &folder, &from).await.map_err(crate::state::StoreError::from)?;
            let ids = page.iter().filter_map(|object| table_of(object));
            tables.extend(ids.filter_map(|id| source.matched(&id.table)));
            match page.last() {
                Some(last) if page.len() >= LISTED_MAX => from = beyond(last),
                Some(_) | None => return Ok((tables, false)),
            }
        }
        Ok((tables, true))
    }

    /// Looks closer at one table.
    pub async fn look_closer(&self, cx: &Context, settings: &TableSettings) -> Detail {
        let id = &settings.id;
        let (state, windows, rejects, target) = tokio::join!(
            Box::pin(self.state(cx, id)),
            Box::pin(self.engine.windows(cx, id)),
            Box::pin(self.engine.rejects(cx, settings)),
            Box::pin(self.engine.warehouse().table(cx, &settings.target)),
        );
        detail(state, windows, rejects, target)
    }
}

impl Unread {
    fn note(&self) -> Option<String> {
        let (first, age) = (self.first.as_ref()?, self.age.as_secs());
        Some(format!("states that are shown as they were read up to {age} s ago: {}; {first}", self.kept))
    }
}

fn detail(
    state: Result<Versioned, RunError>,
    windows: Result<WindowsSeen, RunError>,
    rejects: Result<RejectsSeen, RunError>,
    target: Result<Option<TableInfo>, WarehouseError>,
) -> Detail {
    let mut notes = Vec::new();
    let mut note = |what: &str, error: RunError| notes.push(format!("{what}: {}", error.one_line()));
    let state = state.map_err(|error| note("the state", error)).ok();
    let windows = windows.map_err(|error| note("the windows of backfills", error)).unwrap_or_default();
    let rejects = rejects.map_err(|error| note("the rejected rows", error)).unwrap_or_default();
    let target = target.map_err(|error| note("the target", error.into())).ok().flatten();
    let basis = state.as_ref().and_then(|found| found.state.basis.as_deref());
    let window = |(name, state): (String, Result<Option<_>, String>)| match state {
        Ok(state) => {
            let rows = state.as_ref().map_or(0, |state: &crate::model::TableState| state.rows_total);
            WindowRow { name, rows, progress: Progress::of(state.as_ref()) }
        }
        Err(_unread) => WindowRow { name, rows: 0, progress: Progress::Unreadable },
    };
    Detail {
        kept: state.as_ref().map(|found| Kept::of(&found.state, found.generation.is_some())).unwrap_or_default(),
        columns: data::columns(basis, target.as_ref().map(|target| &target.schema)),
        cursor: basis.and_then(|basis| basis.cursor.clone()),
        key: basis.map(|basis| basis.key.clone()).unwrap_or_default(),
        target_rows: target.map(|target| target.rows),
        windows: windows.windows.into_iter().map(window).collect(),
        windows_left_out: windows.left_out,
        rejects: rejects.objects,
        rejects_left_out: rejects.left_out,
        rejects_unlisted: rejects.unlisted,
        notes,
    }
}

fn names(id: &TableId) -> (&str, &str) {
    (id.source.as_str(), id.table.as_str())
}

/// What a listing of states goes on with behind that name: windows of one table can be many, and none is a table.
fn beyond(object: &str) -> String {
    match object.split_once("/windows/") {
        // `0` follows `/`
        Some((table, _)) => format!("{table}/windows0"),
        None => format!("{object}~"),
    }
}
