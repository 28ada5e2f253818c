//! The page of one table.

use jiff::Timestamp;
use maud::{Markup, html};

use super::data::{Column, Detail, Progress, WindowRow};
use super::past::{self, Changed, Run};
use super::standing::Standing;
use super::{View, chart, frame, list, text, times};

/// The most columns that are shown.
const COLUMNS_MAX: usize = 500;
/// The most columns whose changed values are summed up on the page.
const SUMS_MAX: usize = 20;

/// The page.
pub fn table(view: &View, table: &Standing, detail: &Detail, now: Timestamp) -> Markup {
    let name = table.id.to_string();
    let charts = chart::of_table(&table.runs, now);
    let body = html! {
        div data-live="top" {
            h1 { (name) }
            @if table.message().is_some() {
                div.troubles role="group" aria-label="What is wrong" { ul { li { (list::trouble(table, now)) } } }
            } @else {
                p { (frame::word(table.condition)) }
            }
        }
        div data-live="notes" { (frame::notes(&detail.notes)) }
        section aria-labelledby="facts" {
            h2 #facts { "Now" }
            div data-live="facts" { (facts(table, detail, now)) }
        }
        section.charts.tall aria-label="Charts" data-live="charts" {
            @for chart in &charts { (chart.draw()) }
        }
        section aria-labelledby="runs" {
            h2 #runs { "Last runs" }
            div data-live="runs" { (runs(table, now)) }
        }
        div data-live="windows" {
            @if !detail.windows.is_empty() {
                section aria-labelledby="windows" {
                    h2 #windows { "Windows of backfills" }
                    (windows(detail))
                }
            }
        }
        section aria-labelledby="rejects" {
            h2 #rejects { "Rejected rows and changed values" }
            div data-live="rejects" { (rejects(table, detail, now)) }
        }
        section aria-labelledby="columns" {
            h2 #columns { "Columns" }
            div data-live="columns" { (columns(table, &detail.columns)) }
        }
        p { a href=(format!("/api{}", text::address(table.id.source.as_str(), table.id.table.as_str()))) { "This table as JSON" } }
    };
    frame::page(&name, Some(&name), view, now, &body)
}

fn facts(table: &Standing, detail: &Detail, now: Timestamp) -> Markup {
    let kept = &detail.kept;
    html! {
        dl.facts {
            dt { "Target" } dd { code { (table.target) } " " span.soft { (table.mode.name()) } }
            dt { "Lag" }
            dd {
                (table.lag_seconds.map_or_else(|| "not known".to_owned(), text::duration))
                " " span.soft { "behind after " (text::duration(table.behind_after_seconds)) }
            }
            dt { "Fresh as of" } dd { (times::maybe(table.fresh_as_of, now)) }
            dt { "Watermark" } dd { @match &kept.watermark { Some(cursor) => code { (cursor) }, None => "–" } }
            dt { "Pending" }
            dd {
                @match &kept.pending_intent {
                    Some(id) => { code { (id) } " " (text::several(to_usize(kept.pending_rows), "row", "rows")) },
                    None => "nothing",
                }
            }
            dt { "Under way" } dd { (text::several(table.under_way, "run", "runs")) " in this process" }
            dt { "Next run" }
            dd {
                (times::maybe(table.next_run_at, now))
                @if let Some(schedule) = &table.schedule { " " code { (schedule) } }
                @else { " " span.soft { "no " code { "schedule" } " in the configuration" } }
            }
            dt { "Rows moved" } dd { (text::count(kept.rows_total)) " since the state began" }
            @if let Some(rows) = detail.target_rows { dt { "Rows in BigQuery" } dd { (text::count(rows)) } }
            @if kept.rereads > 0 { dt { "Read again" } dd { (text::several(kept.rereads, "interval", "intervals")) } }
            @if kept.holds > 0 { dt { "Gone past" } dd { (text::several(kept.holds, "open transaction", "open transactions")) } }
            @if let Some(table) = &kept.rebuilding { dt { "Built anew as" } dd { code { (table) } } }
            dt { "State written" } dd { (times::maybe(kept.written_at, now)) }
        }
    }
}

fn to_usize(number: Option<u64>) -> usize {
    usize::try_from(number.unwrap_or(0)).unwrap_or(usize::MAX)
}

fn runs(table: &Standing, now: Timestamp) -> Markup {
    html! {
        @if table.runs.is_empty() {
            p.none { "No run of it is among the reports that were read." }
        } @else {
            table.cards.runs {
                caption { "The last runs, the last one first" }
                thead { tr {
                    th scope="col" { "Ended" } th scope="col" { "Outcome" } th.n scope="col" { "Rows" } th.n scope="col" { "Bytes" }
                    th.n scope="col" { "Took" } th.n scope="col" { "Lag" } th scope="col" { "What there is to say" }
                } }
                tbody { @for run in table.runs.iter().rev() { (run_row(run, now)) } }
            }
        }
    }
}

fn run_row(run: &Run, now: Timestamp) -> Markup {
    let outcome = run.outcome.name().replace('_', " ");
    let lag = run.lag_seconds.map_or_else(|| "–".to_owned(), text::duration);
    html! {
        tr {
            th scope="row" { (times::both(run.ended_at, now)) }
            td {
                @if run.is_bad() { span.s.failing { (outcome) } } @else { span.s.ok { (outcome) } }
                @if let Some(window) = &run.window { " " small { "window " (window) } }
            }
            td.n { (text::count(run.rows)) @if run.rejected > 0 { small.block { (text::count(run.rejected)) " rejected" } } }
            td.n { (text::bytes(run.bytes)) }
            td.n { (text::milliseconds(run.duration_ms)) }
            td.n { (lag) }
            td.say {
                @if let Some(error) = &run.error { p.message { (error) } }
                @if let Some(held_by) = &run.held_by { p { "held back by " (held_by) } }
                @for line in run.drift.iter().chain(&run.notes) { p { (line) } }
                @for finding in &run.findings { p { (changed(finding)) } }
                small { (run.run_id) }
            }
        }
    }
}

fn windows(detail: &Detail) -> Markup {
    let complete = detail.windows.iter().filter(|window| window.progress == Progress::Complete).count();
    html! {
        p { (complete) " of " (detail.windows.len()) " complete"
            @if detail.windows_left_out > 0 { ", and " (text::count(detail.windows_left_out as u64)) " more that are not looked at" } "." }
        table {
            caption { "Windows of backfills" }
            thead { tr { th scope="col" { "Window" } th scope="col" { "State" } th.n scope="col" { "Rows" } } }
            tbody { @for window in &detail.windows { (window_row(window)) } }
        }
    }
}

fn window_row(window: &WindowRow) -> Markup {
    let class = match window.progress {
        Progress::Unreadable => "unreadable",
        Progress::Pending => "pending",
        Progress::Begun => "running",
        Progress::Asked => "never",
        Progress::Complete => "ok",
    };
    html! {
        tr {
            th scope="row" { code { (window.name) } }
            td { span class=(format!("s {class}")) { (window.progress.word()) } }
            td.n { (text::count(window.rows)) }
        }
    }
}

fn changed(changed: &Changed) -> Markup {
    html! {
        @if changed.column.is_empty() { "rows too large as a whole: " } @else { "column " code { (changed.column) } ": " }
        (changed.told())
    }
}

fn rejects(table: &Standing, detail: &Detail, now: Timestamp) -> Markup {
    let sums = past::changed(&table.runs);
    let rejected = text::several(to_usize(Some(detail.kept.rejected_total)), "row", "rows");
    html! {
        p {
            @if detail.kept.rejected_total == 0 { "No row was rejected since the state began." }
            @else { (rejected) " rejected since the state began." }
            @if sums.is_empty() { " No value was changed in the last runs." }
            @else { " In the last " (text::several(table.runs.len(), "run", "runs")) ":" }
        }
        @if !sums.is_empty() {
            ul.sums { @for sum in sums.iter().take(SUMS_MAX) { li { (changed(sum)) } } }
            @if sums.len() > SUMS_MAX { p { "and " (text::several(sums.len() - SUMS_MAX, "more column", "more columns")) "." } }
        }
        @if !detail.rejects.is_empty() {
            p { "The rows as they were read, a line each, with the reason:" }
            ul { @for object in &detail.rejects { li { (object_row(table, object, now)) } } }
            @if detail.rejects_left_out > 0 {
                p { "and " @if detail.rejects_unlisted { "at least " } (text::count(detail.rejects_left_out as u64)) " more in the same folder"
                    @if detail.rejects_unlisted { ", the newest among them: there are too many to list" }
                    "." }
            }
        }
    }
}

/// An object of rejected rows, with the end of its run where that is remembered.
fn object_row(table: &Standing, object: &str, now: Timestamp) -> Markup {
    let run = table.runs.iter().find(|run| run.rejects.iter().any(|known| known == object));
    html! { code { (object) } @if let Some(run) = run { " " (times::both(run.ended_at, now)) } }
}

fn columns(table: &Standing, columns: &[Column]) -> Markup {
    html! {
        @if columns.is_empty() {
            p.none { "Not known before the first run." }
        } @else {
            div.scroll #column-list tabindex="0" role="group" aria-label="Table of columns" {
                table {
                    caption { "Columns of " (table.id.to_string()) }
                    thead { tr { th scope="col" { "At the source" } th scope="col" { "In BigQuery" } th scope="col" { "Type" } th scope="col" { "Note" } } }
                    tbody { @for column in columns.iter().take(COLUMNS_MAX) { (column_row(column)) } }
                }
            }
            @if columns.len() > COLUMNS_MAX { p { "And " (columns.len() - COLUMNS_MAX) " more." } }
        }
    }
}

fn column_row(column: &Column) -> Markup {
    let or_dash = |name: &Option<String>| name.clone().unwrap_or_else(|| "–".to_owned());
    html! {
        tr {
            th scope="row" { (or_dash(&column.source)) }
            td { (or_dash(&column.name)) }
            td {
                @match column.r#type {
                    Some(name) => { code { (name) } @if column.nullable == Some(false) { " " small { "required" } } },
                    None => "–",
                }
            }
            td { (column.note) }
        }
    }
}
