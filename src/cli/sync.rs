//! `highwater sync`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::task::{self, Task};
use super::{EXIT_DONE, EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, output, progress, summary, tables};
use crate::app::App;
use crate::config::Env;
use crate::engine::RunOptions;
use crate::model::{Code, Parallel, TableId, Told};
use crate::net::Context;
use crate::report::{FailureClass, Outcome, RunReport};

/// From a signal to the end of the process, as for the service.
const GRACE: Duration = Duration::from_secs(8);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Tables, as `source/table`, or `table` where only one source has it.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "TABLE")]
    tables: Vec<String>,
    /// Every table of the configuration, those that its patterns find included. A task of a Cloud Run job moves its share of
    /// these, or of the tables that are named.
    #[arg(long)]
    all: bool,
    /// Run again until nothing is left below the ceiling.
    #[arg(long)]
    until_caught_up: bool,
    /// Go on from the watermark although the table's settings (cursor, key, mode, where, target, hash …) changed since
    /// it was made. Without it such a run refuses and says what changed.
    #[arg(long)]
    accept: bool,
    /// Read and encode as a run would, and write nothing: no part, no state, no job, no report.
    #[arg(long)]
    dry_run: bool,
    /// How many tables run side by side (default: `parallel` of the configuration).
    #[arg(long, value_name = "N", value_parser = parallel)]
    parallel: Option<Parallel>,
}

pub(super) fn parallel(text: &str) -> Result<Parallel, String> {
    let number: u64 = text.parse().map_err(|_not_a_number| format!("{text:?} is not a number"))?;
    Parallel::try_from(number).map_err(|fault| fault.to_string())
}

pub(super) async fn run(app: Arc<App>, arguments: Arguments, json: bool, env: &Env, stop: CancellationToken) -> u8 {
    let task = match Task::of(env) {
        Ok(task) => task,
        Err(fault) => {
            output::fault(&fault.told());
            return EXIT_USAGE;
        }
    };
    let (seen, untold) = match tables::chosen(&app, &arguments.tables, arguments.all, &stop).await {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    if arguments.dry_run && task.count > 1 {
        let shared =
            "--dry-run does not share tables out among tasks, which is written down; set no CLOUD_RUN_TASK_COUNT";
        output::fault(&Told::new(Code::Usage, shared));
        return EXIT_USAGE;
    }
    let ids = match Box::pin(task::share(&app, &task, seen, arguments.all, json, &stop)).await {
        Ok(ids) => ids,
        Err(code) => return code,
    };
    let options = RunOptions { accept: arguments.accept, ..RunOptions::default() };
    let how = How { until_caught_up: arguments.until_caught_up, dry_run: arguments.dry_run, options };
    let mut reports = run_all(app, ids, arguments.parallel, how, json, stop).await;
    // nobody named what a pattern found: that it lacks something is told, and stops nothing
    reports.retain(|report| !arguments.all || report.outcome != Outcome::Unusable);
    worse(exit_code(&reports), untold)
}

/// Runs these tables side by side, and prints how.
pub(super) async fn run_all(
    app: Arc<App>,
    ids: Vec<TableId>,
    parallel: Option<Parallel>,
    how: How,
    json: bool,
    stop: CancellationToken,
) -> Vec<RunReport> {
    let begun = Instant::now();
    let side_by_side = parallel.unwrap_or(app.config().parallel).get() as usize;
    let slots = Arc::new(Semaphore::new(side_by_side));
    let cancel = CancellationToken::new();
    let mut runs = JoinSet::new();
    progress::expect(ids.len());
    for id in ids {
        let (app, slots, stop, cancel) = (app.clone(), slots.clone(), stop.clone(), cancel.clone());
        runs.spawn(async move {
            let _slot = slots.acquire_owned().await;
            // the next start takes up what has not begun
            if stop.is_cancelled() {
                return None;
            }
            sync_one(&app, &id, how, &stop, &cancel).await
        });
    }
    let mut reports = Vec::new();
    let mut cut = JoinSet::new();
    cut.spawn(cut_after_grace(stop, cancel));
    while let Some(ended) = runs.join_next().await {
        match ended {
            Ok(Some(report)) => {
                if json {
                    output::json(&report);
                }
                reports.push(report);
            }
            Ok(None) => {}
            Err(error) => output::fault(&ended_by_itself(&error)),
        }
    }
    reports.sort_by(|a, b| (&a.source, &a.table).cmp(&(&b.source, &b.table)));
    progress::draw_now();
    if !json {
        summary::print(&reports, begun.elapsed());
    }
    reports
}

/// A task that panicked.
pub(super) fn ended_by_itself(error: &JoinError) -> Told {
    Told::new(Code::Bug, &format!("a run ended by itself: {error}"))
}

/// The worse of two exit statuses.
pub(super) fn worse(one: u8, other: u8) -> u8 {
    let worst = [EXIT_USAGE, EXIT_FAILED, EXIT_RETRY].into_iter().find(|code| [one, other].contains(code));
    worst.unwrap_or(EXIT_DONE)
}

/// Cuts off what still runs when the grace after a signal is over.
pub(super) async fn cut_after_grace(stop: CancellationToken, cancel: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
    cancel.cancel();
}

/// How tables are run.
#[derive(Clone, Copy)]
pub(super) struct How {
    /// Run after run, until nothing is left.
    pub(super) until_caught_up: bool,
    /// With nothing written.
    pub(super) dry_run: bool,
    /// How each is run.
    pub(super) options: RunOptions,
}

/// One table; with `until_caught_up`, run after run, their reports added up.
pub(super) async fn sync_one(
    app: &App,
    id: &TableId,
    how: How,
    stop: &CancellationToken,
    cancel: &CancellationToken,
) -> Option<RunReport> {
    let mut sum: Option<RunReport> = None;
    // one for all its runs: each goes on where the one before would have
    let rehearsal = how.dry_run.then(|| app.rehearsal());
    let watching = progress::watch(id.to_string());
    loop {
        let cx = Context::new(Instant::now() + app.config().server.run_budget, cancel.clone())
            .with_stop(stop.clone())
            .with_watch(watching.watch());
        // not `info`: a filter that leaves out information must not take the names from warnings
        let dry_run = how.dry_run.then_some(true);
        let span = tracing::error_span!("run", source = %id.source, table = %id.table, dry_run);
        let run = async {
            match &rehearsal {
                Some(rehearsal) => Box::pin(rehearsal.sync(&cx, id, how.options)).await,
                None => app.sync(&cx, id, how.options).await,
            }
        };
        // the name was looked up before, so it is there
        let report = run.instrument(span).await.ok()?;
        let again = how.until_caught_up && report.outcome == Outcome::Partial && !stop.is_cancelled();
        sum = Some(match sum {
            None => report,
            Some(before) => before.followed_by(report),
        });
        if !again {
            return sum;
        }
    }
}

/// The worst of all: usage, then failure, then what is worth trying again.
pub(super) fn exit_code(reports: &[RunReport]) -> u8 {
    let class = |wanted| reports.iter().any(|report| report.error.as_ref().is_some_and(|error| error.class == wanted));
    if class(FailureClass::Usage) {
        EXIT_USAGE
    } else if class(FailureClass::Permanent) {
        EXIT_FAILED
    } else if class(FailureClass::Transient) || reports.iter().any(|report| report.outcome == Outcome::Partial) {
        EXIT_RETRY
    } else {
        EXIT_DONE
    }
}
