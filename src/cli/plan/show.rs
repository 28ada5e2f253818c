//! A plan for a person: a head, aligned facts, warnings last. Prose is at most [`WIDTH`] wide; statements, which are to be
//! copied, are not broken.

use crate::cli::output::layout::{bytes, grouped, shown, wrap};
use crate::report::plan::{
    Amount, NextKind, NextRun, PlanReport, PlannedColumn, PlannedCost, PlannedJobs, PlannedScan, Served,
};

/// Characters of a line.
const WIDTH: usize = 100;
/// Characters before the facts.
const INDENT: usize = 14;
/// The most columns that are shown one by one where nothing happens to them.
const NAMES_SHOWN_MAX: usize = 40;

/// The lines of one table.
pub(super) fn lines(report: &PlanReport) -> Vec<String> {
    let mut page = Page::default();
    page.lines.push(shown(&format!("{}/{}  →  {}", report.source, report.table, report.target)));
    let at = format!("{} {}, {}", report.source_kind, report.database, report.source_table);
    page.fact("source", &at);
    page.fact("target", &format!("{} in {}, mode {}", report.target, report.location, report.mode));
    if let Some(cursor) = &report.cursor {
        page.fact("cursor", &format!("{}, {}", cursor.column, cursor.source_type));
    }
    if let Some(key) = &report.key {
        let from = if key.from == "configuration" { "by the configuration" } else { "the primary key" };
        let enforced = if key.enforced { "" } else { "; the source does not keep it unique, the MERGE does" };
        page.fact("key", &format!("{}, {from}{enforced}", key.columns.join(", ")));
    }
    if let Some(next) = &report.next {
        tell_next(&mut page, next);
    }
    if let Some(scan) = &report.scan {
        page.fact("index", &index(scan));
    }
    if let Some(amount) = &report.amount {
        page.fact("to move", &to_move(amount));
    }
    tell_columns(&mut page, report);
    tell_changes(&mut page, report);
    if let Some(planned) = &report.jobs {
        page.fact("jobs", &jobs(planned));
    }
    if let Some(told) = &report.cost {
        page.fact("cost", &cost(told));
    }
    if let Some(quota) = &report.quota {
        page.fact(
            "quota",
            &format!(
                "`{}`: {} runs and up to {} load jobs a day of the project's {}; none of them into the target, so that \
                 BigQuery's 1,500 a table do not matter",
                quota.schedule,
                grouped(quota.runs_per_day),
                grouped(quota.load_jobs_per_day),
                grouped(quota.project_limit_per_day)
            ),
        );
    }
    report.notes.iter().for_each(|note| page.fact("note", note));
    for warning in &report.warnings {
        page.fact("warning", warning);
    }
    if let Some(sql) = report.scan.as_ref().and_then(|scan| scan.create_index.as_ref()) {
        page.statement(sql);
    }
    if let Some(error) = &report.error {
        page.fact("cannot run", &error.message);
    }
    page.lines
}

#[derive(Default)]
struct Page {
    lines: Vec<String>,
}

impl Page {
    /// A fact, wrapped.
    fn fact(&mut self, name: &str, text: &str) {
        let mut name = format!("  {name:<columns$}", columns = INDENT - 2);
        for line in wrap(&shown(text), WIDTH - INDENT) {
            self.lines.push(format!("{name}{line}"));
            name = " ".repeat(INDENT);
        }
    }

    /// A statement, as it stands.
    fn statement(&mut self, sql: &str) {
        self.lines.extend(sql.lines().map(|line| format!("{}{}", " ".repeat(INDENT), shown(line))));
    }
}

fn tell_next(page: &mut Page, next: &NextRun) {
    if let Some(intent) = &next.finishes_first {
        let (id, rows) = (&intent.id, grouped(intent.rows));
        let what = if intent.lost {
            format!("drops intent {id} first: what was staged for it is gone, and its {rows} rows are read again")
        } else {
            format!("finishes intent {id} first, {rows} rows")
        };
        page.fact("next run", &what);
    }
    for reread in &next.rereads {
        let from = reread.from.as_deref().unwrap_or("the first row");
        page.fact("next run", &format!("reads again from {from} to {}", reread.to));
    }
    let to = match (&next.to, next.to_inclusive) {
        (Some(to), Some(true)) => format!("up to {to}, that included"),
        (Some(to), _) => format!("up to {to}, that not included"),
        (None, _) => "nothing: no row is safe to read yet".to_owned(),
    };
    let text = match (next.kind, &next.from) {
        (NextKind::Replaces, _) => "reads all rows, which replace those of the target in one job".to_owned(),
        (NextKind::Rebuilds, _) => format!("builds the table anew beside the target and replaces it; {to}"),
        (NextKind::FirstRun, Some(from)) => format!("the first; from {from} {to}"),
        (NextKind::FirstRun, None) => format!("the first; from the first row {to}"),
        (NextKind::GoesOn, Some(from)) => format!("reads on from {from} {to}"),
        (NextKind::GoesOn, None) => format!("reads on {to}"),
    };
    page.fact("next run", &text);
    if let Some(holder) = &next.held_by {
        page.fact("held back", &format!("by {holder}"));
    }
    if let Some(rows) = next.null_cursor_rows {
        page.fact("NULL cursor", &format!("{} rows; `null_cursor: include` syncs them", grouped(rows)));
    }
    if next.deletes_due {
        page.fact("deletes", "it is time to look for rows that are gone: all keys are compared");
    }
}

fn index(scan: &PlannedScan) -> String {
    let order = scan.order.join(", ");
    let by = scan.index.as_ref().map(|index| format!(" (the planner takes {index})")).unwrap_or_default();
    match scan.served {
        Served::Index => format!("serves the order ({order}){by}"),
        Served::Small => {
            format!("fits the order ({order}); the planner reads the whole table, as it is no more than a chunk")
        }
        Served::Partly => format!("serves the range of {order}, ties of the cursor are sorted{by}"),
        Served::Unserved => format!("none serves the order ({order}){by}"),
        Served::Whole => "not needed: all rows are read".to_owned(),
    }
}

fn to_move(amount: &Amount) -> String {
    let rows = match (amount.rows_counted, amount.rows_estimate) {
        (Some(rows), _) => format!("{} rows, counted", grouped(rows)),
        (None, Some(rows)) => format!("about {} rows, the database's estimate", grouped(rows)),
        (None, None) => "rows unknown: the database has no estimate".to_owned(),
    };
    let from = if amount.bytes_from == Some("past_runs") { "of NDJSON by past runs" } else { "by statistics" };
    match amount.bytes_estimate {
        Some(size) => format!("{rows}; about {} {from}", bytes(size)),
        None => rows,
    }
}

fn tell_columns(page: &mut Page, report: &PlanReport) {
    if report.columns.is_empty() {
        return;
    }
    let (changed, same): (Vec<&PlannedColumn>, Vec<&PlannedColumn>) =
        report.columns.iter().partition(|column| !column.changed.is_empty());
    let lossy = report.columns.iter().filter(|column| column.lossy).count();
    let (all, many) = (report.columns.len(), changed.len());
    page.fact("columns", &format!("{all}; to {many} of them something happens, {lossy} can lose values"));
    for column in changed {
        let mark = if column.lossy { "!" } else { "~" };
        let what = column.changed.join("; ");
        let required = if column.target_mode == "REQUIRED" { " NOT NULL" } else { "" };
        let types = format!("{} → {}{required}", column.source_type, column.target_type);
        page.fact("", &format!("{mark} {}, {types}: {what}", column.name));
    }
    let names: Vec<String> =
        same.iter().take(NAMES_SHOWN_MAX).map(|column| format!("{} {}", column.name, column.target_type)).collect();
    let more = same.len().saturating_sub(NAMES_SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if !names.is_empty() {
        page.fact("", &format!("as they are: {}{more}", names.join(", ")));
    }
    if !report.left_out.is_empty() {
        page.fact("", &format!("not synced: {}", report.left_out.join(", ")));
    }
}

fn tell_changes(page: &mut Page, report: &PlanReport) {
    if report.changes.is_empty() {
        if report.error.is_none() {
            page.fact("changes", "none in BigQuery but rows");
        }
        return;
    }
    for change in &report.changes {
        page.fact("changes", &format!("by {}, which comes to:", change.by));
        page.statement(&format!("{};", change.sql));
    }
}

fn jobs(jobs: &PlannedJobs) -> String {
    let other = match jobs.other_jobs {
        0 => String::new(),
        other => format!(", {other} other"),
    };
    let time = match (jobs.seconds_estimate, jobs.past_rows_per_second) {
        (Some(seconds), Some(speed)) => {
            format!("about {seconds} s, by {speed} rows/s of the last {} runs", jobs.past_runs)
        }
        (_, _) => "how long is not known: no run of the last days moved rows".to_owned(),
    };
    format!("{} load, {} to the target{other}; {time}", grouped(jobs.load_jobs), grouped(jobs.merge_jobs))
}

fn cost(cost: &PlannedCost) -> String {
    let most = if cost.at_most { "at most " } else { "" };
    let from = if cost.from == "dry_run" { "BigQuery's dry run" } else { "the target's size" };
    let read = bytes(cost.merge_bytes);
    let pruned = match (cost.pruned_bytes, cost.pruned_dollars) {
        (Some(size), Some(dollars)) => {
            let rows = grouped(cost.pruned_rows_sampled.unwrap_or(0));
            format!("; with pruning, for the next {rows} rows: {}, ${dollars:.5}", bytes(size))
        }
        (_, _) => String::new(),
    };
    let advice = cost.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
    format!(
        "one MERGE reads {most}{read} of the target, ${:.5} on demand, by {from}, besides the chunk{pruned}{advice}",
        cost.merge_dollars
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_wrapped_and_statements_are_not() {
        let mut page = Page::default();
        page.fact("note", &"word ".repeat(60));
        assert!(
            page.lines.len() > 2 && page.lines.iter().all(|line| line.chars().count() <= WIDTH),
            "{:?}",
            page.lines
        );
        assert!(page.lines[1].starts_with(&format!("{}word", " ".repeat(INDENT))));
        let mut page = Page::default();
        page.statement(&"x".repeat(200));
        assert_eq!(page.lines[0].len(), 200 + INDENT);
    }
}
