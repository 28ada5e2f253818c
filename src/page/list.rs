//! The page of all tables.

use std::cmp::{Ordering, Reverse};

use jiff::Timestamp;
use maud::{Markup, html};

use super::standing::{Condition, Standing, by_urgency};
use super::{View, chart, frame, text, times};

/// The most tables whose trouble is told at length.
const TROUBLES_MAX: usize = 20;
/// The most bytes of what is looked for.
const QUERY_BYTES_MAX: usize = 200;

/// By what the tables are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The worst first.
    #[default]
    State,
    /// By name.
    Name,
    /// The longest lag first.
    Lag,
    /// The last run first.
    Last,
    /// The most rows of the last run first.
    Rows,
    /// The most rows in all first.
    Total,
    /// The next run first.
    Next,
}

impl Order {
    const ALL: [Self; 7] = [Self::Name, Self::State, Self::Lag, Self::Last, Self::Rows, Self::Total, Self::Next];

    fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Name => "name",
            Self::Lag => "lag",
            Self::Last => "last",
            Self::Rows => "rows",
            Self::Total => "total",
            Self::Next => "next",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::State => "State",
            Self::Name => "Table",
            Self::Lag => "Lag",
            Self::Last => "Last run",
            Self::Rows => "Last rows",
            Self::Total => "Rows in all",
            Self::Next => "Next run",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Lag | Self::Rows | Self::Total)
    }

    /// Whether the greatest comes first.
    fn is_descending(self) -> bool {
        matches!(self, Self::Lag | Self::Last | Self::Rows | Self::Total)
    }

    fn compare(self, one: &Standing, other: &Standing) -> Ordering {
        let by = |key: fn(&Standing) -> u64| Reverse(key(one)).cmp(&Reverse(key(other)));
        let order = match self {
            Self::State => Ordering::Equal,
            Self::Name => return one.id.cmp(&other.id),
            Self::Lag => Reverse(one.lag_seconds).cmp(&Reverse(other.lag_seconds)),
            Self::Last => {
                let ended = |table: &Standing| Reverse(table.last().map(|run| run.ended_at));
                ended(one).cmp(&ended(other))
            }
            Self::Rows => by(|table| table.last().map_or(0, |run| run.rows)),
            Self::Total => by(|table| table.kept.rows_total),
            Self::Next => {
                let next = |table: &Standing| (table.next_run_at.is_none(), table.next_run_at);
                next(one).cmp(&next(other))
            }
        };
        order.then_with(|| by_urgency(one, other))
    }
}

/// What of the list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// By what it is sorted.
    pub order: Order,
    /// A part of the names that are wanted; empty for all.
    pub query: String,
}

impl Asked {
    /// From what follows the `?`; what is not known there is passed over, as a browser's extensions add their own.
    pub fn parse(query: &str) -> Self {
        let mut asked = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "sort" => {
                    let known = Order::ALL.into_iter().find(|order| order.name() == value);
                    asked.order = known.unwrap_or_default();
                }
                "q" if value.len() <= QUERY_BYTES_MAX => asked.query = value.into_owned(),
                _ => {}
            }
        }
        asked
    }

    fn href(&self, order: Order) -> String {
        let mut href = format!("/?sort={}", order.name());
        if !self.query.is_empty() {
            href.push_str("&q=");
            text::segment(&mut href, &self.query);
        }
        href.push_str("#tables");
        href
    }
}

/// The page.
pub fn list(view: &View, asked: &Asked, now: Timestamp) -> Markup {
    let in_trouble = view.in_trouble();
    let heading = match (view.tables.len(), in_trouble) {
        (0, _) => "No table yet".to_owned(),
        (all, 0) if view.unseen() > 0 => {
            let (unseen, all) = (text::count(view.unseen() as u64), text::several(all, "table", "tables"));
            format!("No run seen of {unseen} of {all}")
        }
        (1, 0) => "The table is fine".to_owned(),
        (all, 0) => format!("All {} tables are fine", text::count(all as u64)),
        (1, _) => "The table needs you".to_owned(),
        (all, 1) => format!("1 of {} tables needs you", text::count(all as u64)),
        (all, some) => format!("{} of {} tables need you", text::count(some as u64), text::count(all as u64)),
    };
    let charts = chart::of_all(&view.tables, now);
    let body = html! {
        div data-live="top" {
            h1 { (heading) }
            (counts(view))
        }
        div data-live="trouble" { (troubles(view, now)) }
        div data-live="notes" { (frame::notes(&view.notes)) }
        section.charts aria-label="Charts" data-live="charts" {
            @for chart in &charts { (chart.draw()) }
        }
        section aria-labelledby="tables" {
            div.bar {
                h2 #tables tabindex="-1" { "Tables" }
                form method="get" action="/" role="search" {
                    @if asked.order != Order::default() { input type="hidden" name="sort" value=(asked.order.name()); }
                    label for="q" { "Filter" }
                    input #q type="search" name="q" value=(asked.query) maxlength="200" autocomplete="off" spellcheck="false";
                    button type="submit" data-plain { "Show" }
                }
            }
            p #shown role="status" { (shown(view, asked)) }
            div data-live="tables" { (tables(view, asked, now)) }
        }
    };
    let title = if in_trouble > 0 { format!("({in_trouble}) Tables") } else { "Tables".to_owned() };
    frame::page(&title, None, view, now, &body)
}

fn counts(view: &View) -> Markup {
    let of = |condition| view.tables.iter().filter(|table| table.condition == condition).count();
    let counts = Condition::ALL.into_iter().map(|condition| (condition, of(condition))).filter(|(_, count)| *count > 0);
    html! {
        ul.counts aria-label="Tables by state" {
            @for (condition, count) in counts { li { b { (count) } " " (frame::word(condition)) } }
        }
    }
}

fn troubles(view: &View, now: Timestamp) -> Markup {
    let bad: Vec<&Standing> = view.tables.iter().filter(|table| table.condition.needs_you()).collect();
    html! {
        @if !bad.is_empty() {
            section aria-labelledby="wrong" {
                h2 #wrong { "What is wrong" }
                ul.troubles {
                    @for table in bad.iter().take(TROUBLES_MAX) { li { (trouble(table, now)) } }
                }
                @if bad.len() > TROUBLES_MAX {
                    p { "And " (bad.len() - TROUBLES_MAX) " more: they are the first in " a href="#tables" { "the list" } "." }
                }
            }
        }
    }
}

/// What is wrong with a table, since when, and the way out.
pub(super) fn trouble(table: &Standing, now: Timestamp) -> Markup {
    let failures = table.failures;
    html! {
        p.what {
            (frame::word(table.condition)) " "
            a href=(text::address(table.id.source.as_str(), table.id.table.as_str())) { (table.id.to_string()) }
            @if let Some(since) = failures.since {
                " " span.since {
                    (failures.in_a_row) @if failures.at_least { " or more" }
                    @if failures.in_a_row == 1 { " failure" } @else { " failures in a row" }
                    ", since " @if failures.at_least { "at least " } (times::both(since, now))
                }
            }
            @if let Some(code) = table.code() { " " code.code { (code) } }
            @if let Some(class) = table.last().and_then(|run| run.error_class) { " " span.class { (class.name()) } }
        }
        @if let Some(message) = table.message() { p.message { (text::short(&message)) } }
        @if let Some(way_out) = table.way_out() { p.out { b { "Way out: " } (marked(&way_out)) } }
        @if let Some(code) = table.code() { p.soft { code { "highwater explain " (code) } " tells more." } }
    }
}

/// A text of ours, in which what stands in backquotes is code.
fn marked(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

fn wanted<'a>(view: &'a View, asked: &Asked) -> Vec<&'a Standing> {
    let wanted = asked.query.to_lowercase();
    let is_wanted = |table: &&Standing| wanted.is_empty() || table.id.to_string().to_lowercase().contains(&wanted);
    view.tables.iter().filter(is_wanted).collect()
}

/// How many are shown. The script keeps it: a part that is replaced would be read out each time.
fn shown(view: &View, asked: &Asked) -> String {
    let all = text::several(view.tables.len(), "table", "tables");
    match asked.query.is_empty() {
        true => all,
        false => format!("{} of {all}", text::count(wanted(view, asked).len() as u64)),
    }
}

fn tables(view: &View, asked: &Asked, now: Timestamp) -> Markup {
    let mut shown = wanted(view, asked);
    shown.sort_by(|one, other| asked.order.compare(one, other));
    html! {
        @if view.tables.is_empty() {
            p.none { "The configuration names no table, and no table of its patterns was synced yet." }
        } @else {
            table.tables.cards {
                caption { "Tables, their states and their last runs" }
                thead { tr { @for order in Order::ALL { (heading(order, asked)) } } }
                tbody { @for table in shown { (row(table, now)) } }
            }
        }
        @if view.left_out > 0 {
            p { "And " (text::count(view.left_out as u64)) " more tables, which are too many for this page." }
        }
    }
}

fn heading(order: Order, asked: &Asked) -> Markup {
    let direction = if order.is_descending() { "descending" } else { "ascending" };
    let sorted = (order == asked.order).then_some(direction);
    let class = order.is_number().then_some("n");
    html! {
        th scope="col" class=[class] aria-sort=[sorted] {
            a id=(format!("by-{}", order.name())) href=(asked.href(order)) { (order.heading()) }
        }
    }
}

fn row(table: &Standing, now: Timestamp) -> Markup {
    let id = &table.id;
    let last = table.last();
    html! {
        tr {
            th scope="row" {
                a href=(text::address(id.source.as_str(), id.table.as_str())) { (id.source.as_str()) "/" b { (id.table.as_str()) } }
            }
            td { (frame::word(table.condition)) }
            td.n { (table.lag_seconds.map_or_else(|| "–".to_owned(), text::duration)) }
            td {
                @match last {
                    Some(run) => { (times::both(run.ended_at, now)) " " span.o { (run.outcome.name().replace('_', " ")) } },
                    None => { "–" },
                }
            }
            td.n { (last.map_or_else(|| "–".to_owned(), |run| text::count(run.rows))) }
            td.n { (text::count(table.kept.rows_total)) }
            td { (times::maybe(table.next_run_at, now)) }
        }
    }
}
