//! `highwater gaps`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{EXIT_DONE, EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, backfill, output, progress, sync, tables};
use crate::app::{App, Expansion};
use crate::engine::{Gaps, GapsQuestion};
use crate::model::{Mode, Parallel, TableId};
use crate::net::Context;
use crate::plan::verify::By;
use crate::report::{FailureClass, GapKind, GapsOutcome, GapsReport};

/// The most time for one table's look.
const LOOK_MAX: Duration = Duration::from_secs(3600);
/// The most gaps that a terminal is shown of one table.
const GAPS_SHOWN: usize = 100;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Tables, as `source/table`, or `table` where only one source has it.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "TABLE")]
    tables: Vec<String>,
    /// Every table of the configuration but those in `mode: replace`.
    #[arg(long)]
    all: bool,
    /// Only rows whose cursor is at least this.
    #[arg(long, value_name = "CURSOR")]
    from: Option<String>,
    /// Only rows whose cursor is below this.
    #[arg(long, value_name = "CURSOR")]
    to: Option<String>,
    /// The unit of windows whose rows are counted (default: days, or what is coarser where these are too many).
    #[arg(long, value_enum, value_name = "UNIT")]
    by: Option<Unit>,
    /// Fill them, oldest first, and look again.
    #[arg(long)]
    fill: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Unit {
    Hour,
    Day,
    Month,
}

pub(super) async fn run(app: Arc<App>, arguments: Arguments, json: bool, stop: CancellationToken) -> u8 {
    let (Expansion { tables, .. }, mut worst) =
        match tables::chosen(&app, &arguments.tables, arguments.all, &stop).await {
            Ok(chosen) => chosen,
            Err(code) => return code,
        };
    // of all, those that have no windows are none
    let tables = tables.into_iter().filter(|table| !arguments.all || table.mode != Mode::Replace);
    let by = arguments.by.map(|unit| match unit {
        Unit::Hour => By::Hour,
        Unit::Day => By::Day,
        Unit::Month => By::Month,
    });
    let question = GapsQuestion { by, from: arguments.from, to: arguments.to };
    for id in tables.map(|table| table.id) {
        let code = one(&app, &id, &question, arguments.fill, json, &stop).await;
        worst = sync::worse(worst, code);
    }
    worst
}

async fn one(
    app: &Arc<App>,
    id: &TableId,
    question: &GapsQuestion,
    fill: bool,
    json: bool,
    stop: &CancellationToken,
) -> u8 {
    let Some(Gaps { report, fill: windows }) = look(app, id, question, stop).await else { return EXIT_USAGE };
    show(&report, json);
    if !fill || report.outcome == GapsOutcome::Failed {
        return code(&report);
    }
    if !json && !windows.is_empty() {
        output::line(&format!("{id}: filling {} windows, oldest first", windows.len()));
    }
    let filled = !windows.is_empty();
    let reports = backfill::bring(app, id, windows, Parallel::ONE, json, stop).await;
    // a load by keys ends with its last window, which another may have brought
    let cx = Context::new(Instant::now() + LOOK_MAX, stop.clone());
    if let Ok(Err(error)) = app.settle(&cx, id, &[]).await {
        output::fault(&error.failure().told().of(id));
    }
    for report in reports.iter().filter(|report| report.error.is_some()) {
        let window = report.window.as_ref().map(|window| window.name.clone()).unwrap_or_default();
        if let Some(failure) = &report.error {
            output::fault(&failure.told().of(format_args!("{id}: window {window}")));
        }
    }
    if !filled {
        return code(&report);
    }
    let Some(Gaps { report, .. }) = look(app, id, question, stop).await else { return EXIT_USAGE };
    show(&report, json);
    sync::worse(backfill::exit_code(&reports), code(&report))
}

async fn look(app: &App, id: &TableId, question: &GapsQuestion, stop: &CancellationToken) -> Option<Gaps> {
    let watching = progress::look(id.to_string());
    let cx = Context::new(Instant::now() + LOOK_MAX, stop.clone()).with_watch(watching.watch());
    let span = tracing::error_span!("gaps", source = %id.source, table = %id.table);
    match app.gaps(&cx, id, question).instrument(span).await {
        Ok(gaps) => Some(gaps),
        Err(unknown) => {
            output::fault(&unknown.told());
            None
        }
    }
}

fn code(report: &GapsReport) -> u8 {
    match (report.outcome, report.error.as_ref().map(|failure| failure.class)) {
        (GapsOutcome::Complete, _) => EXIT_DONE,
        (GapsOutcome::Failed, Some(FailureClass::Usage)) => EXIT_USAGE,
        (GapsOutcome::Failed, Some(FailureClass::Transient)) => EXIT_RETRY,
        (GapsOutcome::Gaps | GapsOutcome::Failed, _) => EXIT_FAILED,
    }
}

fn show(report: &GapsReport, json: bool) {
    if json {
        output::json(report);
        return;
    }
    let name = format!("{}/{}", report.source, report.table);
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let count = |rows: Option<u64>| rows.map_or_else(|| "-".to_owned(), |rows| rows.to_string());
    let row = |gap: &crate::report::GapReport| {
        vec![
            name.clone(),
            gap.window.clone(),
            gap.kind.name().to_owned(),
            count(gap.source_rows),
            count(gap.target_rows),
            shown(&gap.from),
            shown(&gap.to),
        ]
    };
    if !report.gaps.is_empty() {
        let rows: Vec<Vec<String>> = report.gaps.iter().take(GAPS_SHOWN).map(row).collect();
        output::table(&["TABLE", "WINDOW", "GAP", "SOURCE", "TARGET", "FROM", "TO"], &rows);
    }
    if report.gaps.len() > GAPS_SHOWN {
        output::line(&format!("{name}: {} more; --json shows them all", report.gaps.len() - GAPS_SHOWN));
    }
    if report.gaps.iter().any(|gap| gap.kind == GapKind::Extra) {
        output::line(&format!(
            "{name}: what the target has more was deleted at the source, or has changed since the last sync: \
             `highwater verify {name}` tells which"
        ));
    }
    for note in &report.notes {
        output::line(&format!("{name}: {note}"));
    }
    output::line(&format!(
        "{name}: {}; {} windows of backfills, {} windows counted, {} rows at the source, {} in the target",
        report.outcome.name(),
        report.asked,
        report.counted,
        report.source_rows,
        report.target_rows
    ));
    if let Some(failure) = &report.error {
        output::fault(&failure.told().of(&name));
    }
}
