//! `highwater sync`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::task::{self, Task};
use super::{EXIT_DONE, EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, output, tables};
use crate::app::App;
use crate::audit::ColumnAudit;
use crate::config::Env;
use crate::engine::RunOptions;
use crate::model::{Parallel, Removal, TableId};
use crate::net::Context;
use crate::report::{DeletesReport, FailureClass, Outcome, RunReport};

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
            output::fault(&fault.to_string());
            return EXIT_USAGE;
        }
    };
    let (seen, untold) = match tables::chosen(&app, &arguments.tables, arguments.all, &stop).await {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    let ids = match Box::pin(task::share(&app, &task, seen, arguments.all, json, &stop)).await {
        Ok(ids) => ids,
        Err(code) => return code,
    };
    let options = RunOptions { accept: arguments.accept, ..RunOptions::default() };
    let how = How { until_caught_up: arguments.until_caught_up, options };
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
    let side_by_side = parallel.unwrap_or(app.config().parallel).get() as usize;
    let slots = Arc::new(Semaphore::new(side_by_side));
    let cancel = CancellationToken::new();
    let mut runs = JoinSet::new();
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
            Err(error) => output::fault(&format!("a run ended by itself: {error}")),
        }
    }
    reports.sort_by(|a, b| (&a.source, &a.table).cmp(&(&b.source, &b.table)));
    if !json {
        print(&reports);
    }
    reports
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
    loop {
        let cx = Context::new(Instant::now() + app.config().server.run_budget, cancel.clone()).with_stop(stop.clone());
        // not `info`: a filter that leaves out information must not take the names from warnings
        let span = tracing::error_span!("run", source = %id.source, table = %id.table);
        // the name was looked up before, so it is there
        let report = app.sync(&cx, id, how.options).instrument(span).await.ok()?;
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

fn print(reports: &[RunReport]) {
    let rows: Vec<Vec<String>> = reports
        .iter()
        .map(|report| {
            let watermark = report.watermark_after.as_ref().and_then(|watermark| watermark.cursor.clone());
            vec![
                format!("{}/{}", report.source, report.table),
                report.outcome.name().to_owned(),
                report.rows.to_string(),
                report.chunks.to_string(),
                format!("{}.{:03} s", report.durations_ms.total / 1000, report.durations_ms.total % 1000),
                watermark.unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    output::table(&["TABLE", "OUTCOME", "ROWS", "CHUNKS", "TIME", "WATERMARK"], &rows);
    for report in reports {
        let name = format!("{}/{}", report.source, report.table);
        if let Some(holder) = &report.held_by {
            output::line(&format!("{name}: rows are held back by {holder}"));
        }
        if let Some(rows) = report.null_cursor_rows {
            output::line(&format!("{name}: {rows} rows have NULL in the cursor; `null_cursor: include` syncs them"));
        }
        if let Some(deletes) = &report.deletes {
            output::line(&format!("{name}: {}", look(deletes)));
        }
        for finding in &report.findings {
            output::line(&format!("{name}: {}", describe(finding)));
        }
        if report.rejected > 0 {
            let objects = report.rejects.join(" ");
            output::line(&format!("{name}: {} rows were rejected and are in {objects}", report.rejected));
        }
        for note in &report.notes {
            output::line(&format!("{name}: {note}"));
        }
        if let Some(failure) = &report.error {
            output::fault(&format!("{name}: {}", failure.message));
        }
    }
}

/// A look for rows that are gone, in one line.
fn look(deletes: &DeletesReport) -> String {
    let became = match deletes.removal {
        Removal::Soft => "rows were marked as deleted, or came back",
        Removal::Hard => "rows were deleted",
    };
    format!("{} keys of the source compared: {} {became}", deletes.keys, deletes.affected)
}

/// A finding in one line.
fn describe(finding: &ColumnAudit) -> String {
    let counts = [
        (finding.unrepresentable, "values that BigQuery cannot hold became NULL"),
        (finding.adjusted, "values became the nearest that BigQuery holds"),
        (finding.replaced, "texts had bytes that are no UTF-8"),
        (finding.rejected, "rows were rejected"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let place =
        if finding.column.is_empty() { "rows too large".to_owned() } else { format!("column {}", finding.column) };
    format!("{place}: {}; first key {:?}", counts.collect::<Vec<_>>().join(", "), finding.first_key)
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
