//! `highwater verify`.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{EXIT_DONE, EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, output, progress, sync, tables};
use crate::app::{App, Expansion};
use crate::engine::Question;
use crate::net::Context;
use crate::plan::verify::By;
use crate::report::{FailureClass, VerifyOutcome, VerifyReport, WindowVerdict};

/// The most time for one table.
const VERIFY_MAX: Duration = Duration::from_secs(24 * 3600);
/// Keys that are named if nobody says how many.
const KEYS_DEFAULT: u16 = 100;
/// The most keys that are named, and repaired, at once.
const KEYS_MAX: i64 = 1_000;
/// The most windows that are printed for people; those that differ are always.
const WINDOWS_SHOWN: usize = 40;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Tables, as `source/table`, or `table` where only one source has it.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "TABLE")]
    tables: Vec<String>,
    /// Every table of the configuration.
    #[arg(long)]
    all: bool,
    /// The unit of windows in time (default: a day, or what is coarser where days are too many).
    #[arg(long, value_name = "UNIT", value_enum)]
    by: Option<Unit>,
    /// Only rows whose cursor is at least this: `2026-01-31`, `2026-01-31T12:00:00`, a whole number.
    #[arg(long, value_name = "CURSOR")]
    from: Option<String>,
    /// Only rows whose cursor is below this.
    #[arg(long, value_name = "CURSOR")]
    to: Option<String>,
    /// The most keys that are named; the rest is counted.
    #[arg(long, value_name = "N", default_value_t = KEYS_DEFAULT, value_parser = clap::value_parser!(u16).range(1..=KEYS_MAX))]
    keys: u16,
    /// Write the rows that are named again, as they are at the source. The watermark stays.
    #[arg(long)]
    repair: bool,
    /// With --repair: remove rows that the source does not have (with `metadata_columns`, `_deleted_at` is set).
    #[arg(long, requires = "repair")]
    delete_extra: bool,
    /// Print CSV: a line per window, then one per key.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Unit {
    Hour,
    Day,
    Month,
}

pub(super) async fn run(app: &App, arguments: Arguments, json: bool, stop: CancellationToken) -> u8 {
    let (Expansion { tables, .. }, untold) = match tables::chosen(app, &arguments.tables, arguments.all, &stop).await {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    let by = arguments.by.map(|unit| match unit {
        Unit::Hour => By::Hour,
        Unit::Day => By::Day,
        Unit::Month => By::Month,
    });
    let question = Question {
        by,
        from: arguments.from,
        to: arguments.to,
        keys_max: usize::from(arguments.keys),
        repair: arguments.repair,
        delete_extra: arguments.delete_extra,
    };
    if arguments.csv {
        output::line("source,table,kind,window,from,to,source_rows,target_rows,verdict,key");
    }
    let mut reports = Vec::with_capacity(tables.len());
    progress::expect(tables.len());
    for id in tables.into_iter().map(|table| table.id) {
        let watching = progress::watch(id.to_string());
        let cx = Context::new(Instant::now() + VERIFY_MAX, stop.clone()).with_watch(watching.watch());
        let span = tracing::error_span!("verify", source = %id.source, table = %id.table);
        let report = match app.verify(&cx, &id, &question).instrument(span).await {
            Ok(report) => report,
            Err(unknown) => {
                output::fault(&unknown.told());
                return EXIT_USAGE;
            }
        };
        drop(watching);
        match (json, arguments.csv) {
            (true, _) => output::json(&report),
            (false, true) => csv(&report),
            (false, false) => print(&report),
        }
        reports.push(report);
    }
    sync::worse(exit_code(&reports), untold)
}

/// The worst of all: usage, then failure, then what differs, then what is worth trying again.
fn exit_code(reports: &[VerifyReport]) -> u8 {
    let class = |wanted| reports.iter().any(|report| report.error.as_ref().is_some_and(|error| error.class == wanted));
    if class(FailureClass::Usage) {
        EXIT_USAGE
    } else if class(FailureClass::Permanent) || reports.iter().any(|report| report.outcome == VerifyOutcome::Differs) {
        EXIT_FAILED
    } else if class(FailureClass::Transient) {
        EXIT_RETRY
    } else {
        EXIT_DONE
    }
}

fn print(report: &VerifyReport) {
    let name = format!("{}/{}", report.source, report.table);
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let few = report.windows.len() <= WINDOWS_SHOWN;
    let windows = report.windows.iter().filter(|window| few || window.checksum != WindowVerdict::Ok);
    let mut rows: Vec<Vec<String>> = windows
        .map(|window| {
            let label = if window.window.is_empty() { "all" } else { &window.window };
            vec![
                name.clone(),
                label.to_owned(),
                shown(&window.from),
                shown(&window.to),
                window.source_rows.to_string(),
                window.target_rows.to_string(),
                window.checksum.name().to_owned(),
            ]
        })
        .collect();
    rows.push(vec![
        name.clone(),
        "total".to_owned(),
        "-".to_owned(),
        "-".to_owned(),
        report.source_rows.to_string(),
        report.target_rows.to_string(),
        report.outcome.name().to_owned(),
    ]);
    output::table(&["TABLE", "WINDOW", "FROM", "TO", "SOURCE", "TARGET", "CHECKSUM"], &rows);
    if !few {
        output::line(&format!("{name}: {} windows; those that are equal are not shown", report.windows.len()));
    }
    for key in &report.keys {
        let repaired = if key.repaired { ", repaired" } else { "" };
        output::line(&format!("{name}: {} {:?}{repaired}", key.kind.name(), key.key));
    }
    for left in &report.not_compared {
        output::line(&format!("{name}: column {} is not compared: {}", left.column, left.reason));
    }
    let counts = [
        (report.unnamed, "more keys seem to differ; --keys names more"),
        (report.unopened_rows, "rows are in parts that were not looked into, of which some differ"),
        (report.moving, "rows seemed to differ and are on their way"),
    ];
    for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
        output::line(&format!("{name}: {count} {what}"));
    }
    for note in &report.notes {
        output::line(&format!("{name}: {note}"));
    }
    let (ms, bytes) = (report.duration_ms, report.bytes_processed);
    output::line(&format!("{name}: {}.{:03} s, {bytes} bytes processed by BigQuery", ms / 1000, ms % 1000));
    if let Some(failure) = &report.error {
        output::fault(&failure.told().of(&name));
    }
}

/// Lines of CSV (RFC 4180).
fn csv(report: &VerifyReport) {
    let line = |cells: [&str; 8]| {
        let cells = [report.source.as_str(), report.table.as_str()].into_iter().chain(cells);
        output::line(&cells.map(quoted).collect::<Vec<_>>().join(","));
    };
    for window in &report.windows {
        let (from, to) = (window.from.as_deref().unwrap_or_default(), window.to.as_deref().unwrap_or_default());
        let (here, there) = (window.source_rows.to_string(), window.target_rows.to_string());
        line(["window", &window.window, from, to, &here, &there, window.checksum.name(), ""]);
    }
    for key in &report.keys {
        let verdict = if key.repaired { "repaired" } else { key.kind.name() };
        let text = if let [only] = key.key.as_slice() { only.clone() } else { format!("{:?}", key.key) };
        line([key.kind.name(), "", "", "", "", "", verdict, &text]);
    }
    for left in &report.not_compared {
        line(["not_compared", "", "", "", "", "", &left.reason, &left.column]);
    }
    let (here, there) = (report.source_rows.to_string(), report.target_rows.to_string());
    line(["total", "", "", "", &here, &there, report.outcome.name(), ""]);
    if let Some(failure) = &report.error {
        output::fault(&failure.told().of(format_args!("{}/{}", report.source, report.table)));
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_csv() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
    }
}
