//! What a person is told of runs that have ended: a table of them, and what one should know of each.

use std::time::Duration;

use super::output::{
    self,
    layout::{self, Style},
};
use crate::audit::ColumnAudit;
use crate::model::Removal;
use crate::report::{DeletesReport, Outcome, RunReport};

const HEADER: [&str; 8] = ["TABLE", "OUTCOME", "ROWS", "ROWS/S", "BYTES", "CHUNKS", "TIME", "WATERMARK"];
/// The columns that a narrow terminal goes without, least wanted first: chunks, bytes, watermark, rows a second.
const SPARE: [usize; 4] = [5, 4, 7, 3];
/// The outcome's place.
const OUTCOME: usize = 1;

/// Prints runs that took `elapsed`, side by side.
pub(super) fn print(reports: &[RunReport], elapsed: Duration) {
    output::fitted(&HEADER, &rows(reports, elapsed), &SPARE, style);
    reports.iter().for_each(print_notes);
}

fn rows(reports: &[RunReport], elapsed: Duration) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = reports.iter().map(row).collect();
    if reports.len() > 1 {
        let sum = |count: fn(&RunReport) -> u64| reports.iter().map(count).sum::<u64>();
        let failed = reports.iter().filter(|report| report.error.is_some()).count();
        let outcome = if failed > 0 { format!("{failed} failed") } else { "-".to_owned() };
        let (moved, bytes, chunks) = (sum(|run| run.rows), sum(|run| run.bytes), sum(|run| run.chunks));
        let mut total = vec![format!("{} tables", layout::grouped(reports.len() as u64)), outcome];
        total.extend(counts(moved, bytes, chunks, elapsed));
        total.push("-".to_owned());
        rows.push(total);
    }
    rows
}

fn row(report: &RunReport) -> Vec<String> {
    let watermark = report.watermark_after.as_ref().and_then(|watermark| watermark.cursor.clone());
    let mut row = vec![format!("{}/{}", report.source, report.table), report.outcome.name().to_owned()];
    row.extend(counts(report.rows, report.bytes, report.chunks, Duration::from_millis(report.durations_ms.total)));
    row.push(watermark.unwrap_or_else(|| "-".to_owned()));
    row
}

/// Rows, rows a second, bytes, chunks, time.
fn counts(rows: u64, bytes: u64, chunks: u64, time: Duration) -> [String; 5] {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = if rows > 0 { layout::grouped(rows.saturating_mul(1000) / millis) } else { "-".to_owned() };
    let size = if bytes > 0 { layout::bytes(bytes) } else { "-".to_owned() };
    [layout::grouped(rows), rate, size, layout::grouped(chunks), layout::span(time)]
}

fn style(column: usize, cell: &str) -> Option<Style> {
    if column != OUTCOME {
        return None;
    }
    let outcomes = [
        Outcome::Synced,
        Outcome::WouldSync,
        Outcome::UpToDate,
        Outcome::Partial,
        Outcome::Superseded,
        Outcome::Unusable,
        Outcome::Failed,
    ];
    match outcomes.into_iter().find(|outcome| outcome.name() == cell) {
        Some(Outcome::Synced) => Some(Style::Good),
        Some(Outcome::UpToDate | Outcome::Superseded) => Some(Style::Faint),
        Some(Outcome::WouldSync | Outcome::Partial | Outcome::Unusable) => Some(Style::Open),
        Some(Outcome::Failed) => Some(Style::Bad),
        // of the sums
        None => cell.ends_with("failed").then_some(Style::Bad),
    }
}

fn print_notes(report: &RunReport) {
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
        output::line(&format!("{name}: {}", rejected(report)));
    }
    for note in &report.notes {
        output::line(&format!("{name}: {note}"));
    }
    if let Some(failure) = &report.error {
        output::fault(&failure.told().of(&name));
    }
}

/// Rejected rows in one line.
fn rejected(report: &RunReport) -> String {
    let rows = report.rejected;
    if report.dry_run {
        return format!("{rows} rows would be rejected");
    }
    format!("{rows} rows were rejected and are in {}", report.rejects.join(" "))
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
