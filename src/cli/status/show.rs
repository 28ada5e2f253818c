//! What `status` prints for a person.

use jiff::{SignedDuration, Timestamp};

use super::Line;
use crate::cli::output;
use crate::model::Told;
use crate::page::text::duration;
use crate::report::Outcome;

/// The most days that have a column of their own; `--json` has them all.
const COLUMNS_MAX: u32 = 14;

/// The days that are shown, the last first.
pub(super) fn days(now: Timestamp, count: u32) -> Vec<String> {
    let day = |back| now.checked_sub(SignedDuration::from_hours(24 * i64::from(back))).ok();
    let text = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    (0..count.min(COLUMNS_MAX)).filter_map(day).map(text).collect()
}

pub(super) fn print(lines: &[Line], days: &[String]) {
    print_states(lines);
    if lines.iter().any(|line| !line.days.is_empty()) {
        output::line("");
        print_days(lines, days);
    }
    for line in lines {
        let name = format!("{}/{}", line.source, line.table);
        if let Some(table) = &line.rebuilding {
            output::line(&format!("{name}: is built anew as {table}; the watermark is that table's"));
        }
        if line.rejected_total > 0 {
            output::line(&format!("{name}: {} rows were rejected so far", line.rejected_total));
        }
        let failed = line.last_run.as_ref().filter(|last| last.outcome == Outcome::Failed.name());
        if let Some(last) = failed {
            let why = last.error.as_deref().unwrap_or("it does not say why");
            let code = last.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
            output::line(&format!("{name}: failed at {}: {code}{why}", second(&last.ended_at)));
        }
        if let Some((code, error)) = line.code.zip(line.error.as_ref()) {
            output::fault(&Told { code, message: format!("{name}: {error}") });
        }
    }
}

fn print_states(lines: &[Line]) {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let row = |line: &Line| {
        let watermark = line.watermark.as_ref().and_then(|watermark| watermark.cursor.clone());
        let pending = line.pending_intent.as_ref().map(|id| format!("{id} ({} rows)", line.pending_rows.unwrap_or(0)));
        let last = line.last_run.as_ref();
        vec![
            format!("{}/{}", line.source, line.table),
            line.mode.to_owned(),
            or_dash(watermark),
            line.rows_total.to_string(),
            or_dash(pending),
            or_dash(line.written_at.clone()),
            or_dash(line.lag_seconds.map(duration)),
            or_dash(last.map(|last| last.outcome.clone())),
            or_dash(last.map(|last| second(&last.ended_at))),
        ]
    };
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    output::table(&["TABLE", "MODE", "WATERMARK", "ROWS", "PENDING", "WRITTEN", "LAG", "LAST RUN", "ENDED"], &rows);
}

fn print_days(lines: &[Line], days: &[String]) {
    let row = |line: &Line| {
        let rows = days.iter().map(|day| line.days.get(day).map_or_else(|| "-".to_owned(), |sum| sum.rows.to_string()));
        [format!("{}/{}", line.source, line.table)].into_iter().chain(rows).collect()
    };
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    let header: Vec<&str> = ["ROWS ON"].into_iter().chain(days.iter().map(String::as_str)).collect();
    output::table(&header, &rows);
}

/// An instant without its fraction.
fn second(at: &str) -> String {
    match at.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_short() {
        assert_eq!(second("2026-01-02T03:04:05.678900Z"), "2026-01-02T03:04:05Z");
        assert_eq!(days(Timestamp::UNIX_EPOCH, 2), ["1970-01-01", "1969-12-31"]);
    }
}
