//! `highwater backfill`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::task::Task;
use super::{EXIT_DONE, EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, output, progress, sync};
use crate::app::App;
use crate::config::Env;
use crate::engine::{Backfill, BackfillQuestion, RunError};
use crate::model::{Class, Code, Parallel, TableId, Told, Window, WindowUnit};
use crate::net::Context;
use crate::plan::backfill::WINDOW_ROWS_DEFAULT;
use crate::report::{FailureClass, Outcome, RunReport};

/// The most time for deciding the windows, and for looking how many are left.
const LOOK_MAX: Duration = Duration::from_secs(3600);
/// The most time for looking how many windows are left when all are done or it was told to stop.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// So many windows that fail one after the other end the command: the cause is not in the windows.
const FAILURES_MAX: u32 = 3;
/// How long a task that is not the first waits for the first to begin a load by keys.
const FOLLOW_MAX: Duration = Duration::from_secs(30);
/// How often a window that somebody else is at is looked at again.
const REVISITS_MAX: u32 = 20;
/// Wait before that.
const REVISIT_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The table, as `source/table`, or `table` where only one source has it.
    #[arg(value_name = "TABLE")]
    table: String,
    /// Only rows whose cursor is at least this; by default from the first row.
    #[arg(long, value_name = "CURSOR")]
    from: Option<String>,
    /// Only rows whose cursor is below this; by default up to the last whole unit that can no longer change.
    #[arg(long, value_name = "CURSOR")]
    to: Option<String>,
    /// What divides it into windows: a unit of the cursor's time (default: day), or the key. By key a table that was never
    /// synced is loaded in parallel, and its sync goes on from where the load ends.
    #[arg(long, value_enum, value_name = "UNIT")]
    by: Option<Unit>,
    /// Rows of a window by key, or of a cursor that is a number, about.
    #[arg(long, value_name = "N", default_value_t = WINDOW_ROWS_DEFAULT, value_parser = clap::value_parser!(u64).range(1..))]
    window_rows: u64,
    /// Read windows that are complete once again (not in `mode: append`).
    #[arg(long)]
    again: bool,
    /// How many windows are brought side by side (default: `parallel` of the configuration).
    #[arg(long, value_name = "N", value_parser = sync::parallel)]
    parallel: Option<Parallel>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Unit {
    Hour,
    Day,
    Month,
    Key,
}

pub(super) async fn run(app: Arc<App>, arguments: Arguments, json: bool, env: &Env, stop: CancellationToken) -> u8 {
    let task = match Task::of(env) {
        Ok(task) => task,
        Err(fault) => return usage(&fault.told()),
    };
    let table = match app.find(&arguments.table) {
        Ok(table) => table.into_owned(),
        Err(unknown) => return usage(&unknown.told()),
    };
    if arguments.again && table.mode == crate::model::Mode::Append {
        let text = format!(
            "{} is in `mode: append`, where --again would append the same rows once more; leave it out",
            table.id
        );
        return usage(&Told::new(Code::Usage, &text));
    }
    let by = arguments.by.map(|unit| match unit {
        Unit::Hour => WindowUnit::Hour,
        Unit::Day => WindowUnit::Day,
        Unit::Month => WindowUnit::Month,
        Unit::Key => WindowUnit::Key,
    });
    let question = BackfillQuestion {
        by,
        from: arguments.from,
        to: arguments.to,
        window_rows: arguments.window_rows,
        // the first of a job's tasks decides the ranges; should it be late, the others do
        follow: if task.index == 0 { Duration::ZERO } else { FOLLOW_MAX },
        again: arguments.again,
    };
    let watching = progress::look(table.id.to_string());
    let cx = Context::new(Instant::now() + LOOK_MAX, stop.clone()).with_watch(watching.watch());
    let backfill = match app.ask(&cx, &table.id, &question).await {
        Ok(Ok(backfill)) => backfill,
        Ok(Err(error)) => return failed(&table.id, &error),
        Err(unknown) => return usage(&unknown.told()),
    };
    drop(watching);
    let own = backfill.windows.iter().enumerate().filter(|(at, _)| task.has(*at));
    let own: Vec<(Window, bool)> = own.map(|(_, window)| (window.clone(), arguments.again)).collect();
    if !json {
        let (all, mine) = (backfill.windows.len(), own.len());
        let of_task = if task.count > 1 { format!(", {mine} of them by this task") } else { String::new() };
        output::line(&format!("{}: {all} windows by {}{of_task}", table.id, backfill.ask.by.name()));
        backfill.notes.iter().for_each(|note| output::line(&format!("{}: {note}", table.id)));
    }
    let side_by_side = arguments.parallel.unwrap_or(app.config().parallel);
    let reports = bring(&app, &table.id, own, side_by_side, json, &stop).await;
    // also when it was told to stop: how far it came is worth a moment
    let cx = Context::new(Instant::now() + SETTLE_MAX, CancellationToken::new());
    let left = match app.settle(&cx, &table.id, &backfill.windows).await {
        Ok(Ok(left)) => left,
        Ok(Err(error)) => return sync::worse(exit_code(&reports), failed(&table.id, &error)),
        Err(unknown) => return usage(&unknown.told()),
    };
    summary(&table.id, &backfill, &reports, left, json);
    match exit_code(&reports) {
        // of a job's windows others are the other tasks'
        EXIT_DONE if left > 0 && task.count == 1 => EXIT_RETRY,
        code => code,
    }
}

fn usage(fault: &Told) -> u8 {
    output::fault(fault);
    EXIT_USAGE
}

fn failed(id: &TableId, error: &RunError) -> u8 {
    output::fault(&error.failure().told().of(id));
    match error.class() {
        Class::Usage => EXIT_USAGE,
        Class::Permanent => EXIT_FAILED,
        Class::Transient => EXIT_RETRY,
    }
}

fn summary(id: &TableId, backfill: &Backfill, reports: &[RunReport], left: usize, json: bool) {
    if json {
        return;
    }
    let rows: u64 = reports.iter().map(|report| report.rows).sum();
    let complete = backfill.windows.len() - left;
    output::line(&format!("{id}: {complete} of {} windows are complete; {rows} rows now", backfill.windows.len()));
    for report in reports {
        if let Some(failure) = &report.error {
            let window = report.window.as_ref().map(|window| window.name.clone()).unwrap_or_default();
            output::fault(&failure.told().of(format_args!("{id}: window {window}")));
        }
    }
}

/// A window that is to be brought, whether from its first row again, and how often it was somebody else's.
type Turn = (Window, bool, u32);

/// What is left to bring.
#[derive(Debug, Default)]
struct Turns {
    left: VecDeque<Turn>,
    /// Windows that failed since one came to a good end.
    failures: u32,
}

impl Turns {
    /// Counts the end of a window. What would fail all of them ends the command at once.
    fn ended(&mut self, report: &RunReport) {
        match report.error.as_ref().map(|failure| failure.class) {
            None => self.failures = 0,
            Some(FailureClass::Usage) => self.failures = FAILURES_MAX,
            Some(FailureClass::Transient | FailureClass::Permanent) => self.failures += 1,
        }
        if self.failures >= FAILURES_MAX && !self.left.is_empty() {
            output::note(&format!("{} windows are left, as those before them failed", self.left.len()));
            self.left.clear();
        }
    }
}

/// Brings these windows, first to last, so many side by side, each until it is complete.
pub(super) async fn bring(
    app: &Arc<App>,
    id: &TableId,
    windows: Vec<(Window, bool)>,
    side_by_side: Parallel,
    json: bool,
    stop: &CancellationToken,
) -> Vec<RunReport> {
    let left: VecDeque<Turn> = windows.into_iter().map(|(window, again)| (window, again, 0)).collect();
    let most = left.len();
    progress::expect(most);
    let turns = Arc::new(Mutex::new(Turns { left, failures: 0 }));
    let cancel = CancellationToken::new();
    let mut cut = JoinSet::new();
    cut.spawn(sync::cut_after_grace(stop.clone(), cancel.clone()));
    let mut workers = JoinSet::new();
    for _ in 0..(side_by_side.get() as usize).min(most) {
        let (app, id, turns, stop, cancel) = (app.clone(), id.clone(), turns.clone(), stop.clone(), cancel.clone());
        workers.spawn(async move {
            let mut reports = Vec::new();
            while let Some((window, again, times)) = next(&turns, &stop) {
                let Some(report) = bring_one(&app, &id, &window, again, &stop, &cancel).await else { break };
                if report.outcome == Outcome::Superseded && times < REVISITS_MAX {
                    // somebody else is at it: it is looked at again when the others are done
                    tokio::time::sleep(REVISIT_WAIT.mul_f64(fastrand::f64())).await;
                    lock(&turns).left.push_back((window, false, times + 1));
                    continue;
                }
                lock(&turns).ended(&report);
                tell(&report, json);
                reports.push(report);
            }
            reports
        });
    }
    let mut reports = Vec::new();
    while let Some(ended) = workers.join_next().await {
        match ended {
            Ok(done) => reports.extend(done),
            Err(error) => output::fault(&sync::ended_by_itself(&error)),
        }
    }
    reports
}

fn lock(turns: &Mutex<Turns>) -> std::sync::MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next window; none when the process is told to stop.
fn next(turns: &Mutex<Turns>, stop: &CancellationToken) -> Option<Turn> {
    if stop.is_cancelled() { None } else { lock(turns).left.pop_front() }
}

/// Run after run, until the window is complete.
async fn bring_one(
    app: &App,
    id: &TableId,
    window: &Window,
    again: bool,
    stop: &CancellationToken,
    cancel: &CancellationToken,
) -> Option<RunReport> {
    let mut sum: Option<RunReport> = None;
    let watching = progress::watch(format!("{id} {}", window.name));
    loop {
        let cx = Context::new(Instant::now() + app.config().server.run_budget, cancel.clone())
            .with_stop(stop.clone())
            .with_watch(watching.watch());
        let span = tracing::error_span!("window", source = %id.source, table = %id.table, window = window.name);
        // what was begun anew by the first run is gone on with by the next
        let report = app.window(&cx, id, window, again && sum.is_none()).instrument(span).await.ok()?;
        let more = report.outcome == Outcome::Partial && !stop.is_cancelled();
        sum = Some(match sum {
            None => report,
            Some(before) => before.followed_by(report),
        });
        if !more {
            return sum;
        }
    }
}

/// One line a window.
fn tell(report: &RunReport, json: bool) {
    if json {
        output::json(report);
        return;
    }
    let Some(window) = &report.window else { return };
    let state = if window.complete { "complete" } else { report.outcome.name() };
    output::line(&format!(
        "{}/{}  {}  {state}  {} rows  {}.{:03} s",
        report.source,
        report.table,
        window.name,
        window.rows,
        report.durations_ms.total / 1000,
        report.durations_ms.total % 1000
    ));
}

/// As for `sync`, of windows.
pub(super) fn exit_code(reports: &[RunReport]) -> u8 {
    let code = sync::exit_code(reports);
    let open = reports.iter().any(|report| report.window.as_ref().is_some_and(|window| !window.complete));
    if code == EXIT_DONE && open { EXIT_RETRY } else { code }
}
