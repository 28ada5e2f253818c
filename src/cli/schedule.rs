//! `highwater schedule`: each table by its cron expression, in one process.
//!
//! `plan::timetable` decides what begins; here are the clock, the runs and the signals.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::sync::{self, How};
use super::{EXIT_DONE, EXIT_USAGE, output, tables};
use crate::app::{App, Expansion};
use crate::engine::RunOptions;
use crate::model::{Code, Schedule, TableId, Told};
use crate::net::Context;
use crate::plan::timetable::{Begin, Timetable};
use crate::report::RunReport;

/// How often the catalogs are asked for tables that patterns find.
const EXPAND_EVERY: Duration = Duration::from_secs(600);
/// The same, while one of them does not answer.
const EXPAND_AGAIN: Duration = Duration::from_secs(60);
/// The most time for reading one table's state.
const READ_MAX: Duration = Duration::from_secs(60);
/// States that are read at once.
const READS_AT_ONCE: usize = 16;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Run a table at once if its time came while no process was there. Without it, it waits for its next time.
    #[arg(long)]
    catch_up: bool,
}

/// What is under way.
struct Board {
    app: Arc<App>,
    timetable: Timetable,
    runs: JoinSet<Option<RunReport>>,
    names: HashMap<Id, TableId>,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
    cancel: CancellationToken,
    json: bool,
}

type Entry = (TableId, Schedule, Option<Timestamp>);

pub(super) async fn run(app: Arc<App>, arguments: Arguments, json: bool, stop: CancellationToken) -> u8 {
    let expansion = app.expand(&stop).await;
    // a source that is down may be back at the next look
    tables::told(&expansion.faults);
    let mut entries = scheduled(&expansion);
    if entries.is_empty() && !app.config().sources.iter().any(|source| source.patterns.is_scheduled()) {
        let text = "no table has a `schedule`; say for example `schedule: \"*/5 * * * *\"` in `defaults`";
        output::fault(&Told::new(Code::ScheduleNone, text));
        return EXIT_USAGE;
    }
    if arguments.catch_up {
        entries = with_last(&app, entries, &stop).await;
    }
    let slots = Arc::new(Semaphore::new(app.config().parallel.get() as usize));
    let cancel = CancellationToken::new();
    let (runs, names) = (JoinSet::new(), HashMap::new());
    let mut board =
        Board { app, timetable: Timetable::default(), runs, names, slots, stop: stop.clone(), cancel, json };
    board.timetable.set(entries, Timestamp::now());
    board.announce(&expansion);
    board.watch(expansion).await;
    tracing::info!(runs = board.runs.len(), "stopping: runs end after the step that they are in");
    let mut cut = JoinSet::new();
    cut.spawn(sync::cut_after_grace(stop, board.cancel.clone()));
    while let Some(ended) = board.runs.join_next_with_id().await {
        board.ended(ended);
    }
    EXIT_DONE
}

fn scheduled(expansion: &Expansion) -> Vec<Entry> {
    let entry = |table: &crate::model::TableSettings| Some((table.id.clone(), table.schedule.clone()?, None));
    expansion.tables.iter().filter_map(entry).collect()
}

/// The entries with when each table's state was last written.
async fn with_last(app: &App, entries: Vec<Entry>, stop: &CancellationToken) -> Vec<Entry> {
    let read = |(id, schedule, _): Entry| async move {
        let cx = Context::new(Instant::now() + READ_MAX, stop.clone());
        let last = match app.state(&cx, &id).await {
            Ok(found) if found.generation.is_none() => Some(Timestamp::UNIX_EPOCH),
            Ok(found) => found.state.written_at.parse().ok(),
            Err(error) => {
                tracing::warn!(table = %id, error = error.one_line(), "the state could not be read: nothing is caught up");
                None
            }
        };
        (id, schedule, last)
    };
    futures_util::stream::iter(entries).map(read).buffered(READS_AT_ONCE).collect().await
}

impl Board {
    /// Says what runs when, and what does not run.
    fn announce(&self, expansion: &Expansion) {
        for table in &expansion.tables {
            let due = self.timetable.due(&table.id).map(|due| due.to_string());
            match (&table.schedule, due) {
                (Some(schedule), Some(due)) => {
                    self.say(&format!("{}: {schedule} ({}), next {due}", table.id, schedule.zone));
                    tracing::info!(table = %table.id, schedule = %schedule, due, "scheduled");
                }
                (_, _) => {
                    self.say(&format!("{}: has no `schedule` and does not run", table.id));
                    tracing::warn!(table = %table.id, "the table has no schedule and does not run");
                }
            }
        }
    }

    /// A line for a person who looks on; the log has it all.
    fn say(&self, text: &str) {
        if !self.json && output::is_watched() {
            output::line(text);
        }
    }

    /// Begins runs at their times until the process is told to stop.
    async fn watch(&mut self, mut known: Expansion) {
        let mut looks: JoinSet<Expansion> = JoinSet::new();
        let wait = |seen: &Expansion| if seen.faults.is_empty() { EXPAND_EVERY } else { EXPAND_AGAIN };
        let mut look_at = Instant::now() + wait(&known);
        let patterns = self.app.config().sources.iter().any(|source| !source.patterns.is_empty());
        loop {
            let now = Timestamp::now();
            for begin in self.timetable.begin(now) {
                self.begin(begin);
            }
            if patterns && looks.is_empty() && Instant::now() >= look_at {
                let (app, stop) = (self.app.clone(), self.stop.clone());
                looks.spawn(async move { app.expand(&stop).await });
            }
            let sleep = Duration::try_from(self.timetable.look_again(now).duration_since(now)).unwrap_or_default();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(sleep) => {}
                Some(ended) = self.runs.join_next_with_id() => self.ended(ended),
                Some(looked) = looks.join_next() => {
                    look_at = Instant::now() + EXPAND_AGAIN;
                    if let Ok(mut found) = looked {
                        look_at = Instant::now() + wait(&found);
                        tables::told(&found.faults);
                        keep_unheard(&mut found, &known);
                        self.timetable.set(scheduled(&found), Timestamp::now());
                        known = found;
                    }
                }
            }
        }
    }

    fn begin(&mut self, begin: Begin) {
        let Begin { id, missed } = begin;
        if missed > 0 {
            self.say(&format!("{id}: was due {missed} times while it still ran"));
            tracing::warn!(table = %id, missed, "the table was due while it still ran");
        }
        let (app, slots, stop, cancel) = (self.app.clone(), self.slots.clone(), self.stop.clone(), self.cancel.clone());
        let name = id.clone();
        let task = self.runs.spawn(async move {
            let _slot = slots.acquire_owned().await;
            if stop.is_cancelled() {
                return None;
            }
            sync::sync_one(
                &app,
                &id,
                How { until_caught_up: false, dry_run: false, options: RunOptions::default() },
                &stop,
                &cancel,
            )
            .await
        });
        self.names.insert(task.id(), name);
    }

    fn ended(&mut self, ended: Result<(Id, Option<RunReport>), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        if let Some(table) = self.names.remove(&id) {
            self.timetable.ended(&table);
        }
        match ended {
            Ok((_, Some(report))) if self.json => output::json(&report),
            Ok((_, Some(report))) => {
                let failure = report.error.as_ref().map(|error| format!(": {}: {}", error.told().code, error.message));
                let failure = failure.unwrap_or_default();
                let (name, ms) = (format!("{}/{}", report.source, report.table), report.durations_ms.total);
                let (outcome, rows) = (report.outcome.name(), report.rows);
                self.say(&format!("{} {name} {outcome}, {rows} rows, {ms} ms{failure}", Timestamp::now()));
            }
            Ok((_, None)) => {}
            Err(error) => output::fault(&sync::ended_by_itself(&error)),
        }
    }
}

/// Tables of sources that did not answer stay as they were.
fn keep_unheard(found: &mut Expansion, known: &Expansion) {
    let unheard = |table: &&crate::model::TableSettings| {
        found.faults.iter().any(|fault| fault.source == table.id.source)
            && found.tables.iter().all(|other| other.id != table.id)
    };
    let kept: Vec<_> = known.tables.iter().filter(unheard).cloned().collect();
    found.tables.extend(kept);
}
