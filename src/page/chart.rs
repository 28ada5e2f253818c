//! Charts: shapes in SVG that stretch to their place, with title and description for who does not see them. Texts are
//! beside the drawing, where they do not stretch.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::past::Run;
use super::standing::Standing;
use super::text;

/// The drawing's own width and height; the page stretches it.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 100.0;
/// The most columns of a chart over time.
const SLOTS: usize = 48;
/// The shortest time that a chart over time shows.
const SPAN_MIN: SignedDuration = SignedDuration::from_mins(2);

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A line from value to value.
    Line,
    /// A column each.
    Columns,
}

/// A chart of equally distant values.
#[derive(Debug)]
pub(super) struct Chart {
    /// Unique in the page.
    pub(super) id: &'static str,
    /// What it shows.
    pub(super) title: String,
    /// How a value is read.
    pub(super) unit: fn(u64) -> String,
    /// How it is drawn.
    pub(super) shape: Shape,
    /// The values; `None` where there is none.
    pub(super) values: Vec<Option<u64>>,
    /// Where something failed, by index.
    pub(super) marks: Vec<usize>,
    /// What stands below its left and its right end.
    pub(super) ends: (String, String),
}

impl Chart {
    /// The drawing and what is said of it.
    pub(super) fn draw(&self) -> Markup {
        let most = self.values.iter().flatten().copied().max();
        let last = self.values.iter().flatten().next_back().copied();
        let (Some(most), Some(last)) = (most, last) else {
            return html! { figure { figcaption { b { (self.title) } } p.none { "Nothing to draw yet." } } };
        };
        let (most_text, last_text) = ((self.unit)(most), (self.unit)(last));
        let failed = match self.marks.len() {
            0 => String::new(),
            marks => format!("; {marks} marked where a run failed"),
        };
        let said = format!("From {} to {}: at most {most_text}, last {last_text}{failed}.", self.ends.0, self.ends.1);
        let path = match self.shape {
            Shape::Line => self.line(most),
            Shape::Columns => self.columns(most),
        };
        let (title_id, said_id) = (format!("{}-t", self.id), format!("{}-d", self.id));
        html! {
            figure {
                figcaption { b { (self.title) } " " span { "most " (most_text) ", last " (last_text) } }
                svg role="img" aria-labelledby=(format!("{title_id} {said_id}")) viewBox="0 0 600 112" preserveAspectRatio="none" {
                    title id=(title_id) { (self.title) }
                    desc id=(said_id) { (said) }
                    path.grid d="M0 0H600M0 50H600M0 100H600" {}
                    @match self.shape {
                        Shape::Line => path.line d=(path) {},
                        Shape::Columns => path.bars d=(path) {},
                    }
                    @if !self.marks.is_empty() { path.bad d=(self.crosses()) {} }
                }
                p.ends { span { (self.ends.0) } span { (self.ends.1) } }
            }
        }
    }

    fn step(&self) -> f64 {
        WIDTH / self.values.len().max(1) as f64
    }

    fn line(&self, most: u64) -> String {
        let (mut path, mut pen) = (String::new(), 'M');
        for (at, value) in self.values.iter().enumerate() {
            let Some(value) = value else { continue };
            let (x, y) = ((at as f64 + 0.5) * self.step(), height(*value, most));
            // writing to a String cannot fail
            write!(path, "{pen}{x:.0} {:.0}", HEIGHT - y).unwrap_or_default();
            pen = 'L';
        }
        // a single value is a line too
        if path.contains('L') { path } else { format!("{path}h8") }
    }

    fn columns(&self, most: u64) -> String {
        let (mut path, step) = (String::new(), self.step());
        for (at, value) in self.values.iter().enumerate() {
            let Some(value) = value.filter(|value| *value > 0) else { continue };
            let (x, width) = (at as f64 * step + step * 0.12, (step * 0.76).min(40.0));
            let high = height(value, most).max(1.0);
            write!(path, "M{x:.0} 100v-{high:.0}h{width:.0}v{high:.0}z").unwrap_or_default();
        }
        path
    }

    fn crosses(&self) -> String {
        let mut path = String::new();
        for at in &self.marks {
            let x = (*at as f64 + 0.5) * self.step();
            // below the values
            write!(path, "M{:.0} 103l6 9M{:.0} 112l6 -9", x - 3.0, x - 3.0).unwrap_or_default();
        }
        path
    }
}

fn height(value: u64, most: u64) -> f64 {
    value as f64 / most.max(1) as f64 * HEIGHT
}

/// The time that a chart shows, in slots of the same length.
struct Slots {
    begin: Timestamp,
    span_ms: i128,
}

impl Slots {
    fn at(&self, at: Timestamp) -> usize {
        let passed = at.duration_since(self.begin).as_millis().clamp(0, self.span_ms - 1);
        usize::try_from(passed * SLOTS as i128 / self.span_ms).unwrap_or(0)
    }

    fn end(&self, slot: usize) -> Timestamp {
        let passed = self.span_ms * (slot as i128 + 1) / SLOTS as i128;
        let passed = SignedDuration::from_millis(i64::try_from(passed).unwrap_or(i64::MAX));
        self.begin.checked_add(passed).unwrap_or(self.begin)
    }
}

/// The longest lag of any table as it was at the time, and rows, since the oldest run that is remembered.
pub(super) fn of_all(tables: &[Standing], now: Timestamp) -> [Chart; 2] {
    let runs = || tables.iter().flat_map(|table| &table.runs).filter(|run| run.window.is_none());
    let first = runs().map(|run| run.ended_at).min().unwrap_or(now);
    let span = now.duration_since(first).max(SPAN_MIN);
    let slots = Slots { begin: now.checked_sub(span).unwrap_or(first), span_ms: span.as_millis() };
    let (mut rows, mut marks) = (vec![None; SLOTS], Vec::new());
    for run in runs() {
        let at = slots.at(run.ended_at);
        if let Some(sum) = rows.get_mut(at) {
            *sum = Some(sum.unwrap_or(0) + run.rows);
        }
        if run.is_bad() && !marks.contains(&at) {
            marks.push(at);
        }
    }
    let mut lag = vec![None; SLOTS];
    for table in tables {
        lags(&table.runs, &slots, &mut lag);
    }
    let each = text::duration((span.as_secs() / i64::try_from(SLOTS).unwrap_or(1)).max(1));
    let ends = (text::clock(slots.begin, now), text::clock(now, now));
    let (shape, unit) = (Shape::Line, seconds as fn(u64) -> String);
    let title = "Longest lag of any table".to_owned();
    let lag = Chart { id: "lag", title, unit, shape, values: lag, marks: marks.clone(), ends: ends.clone() };
    let (shape, unit) = (Shape::Columns, text::count as fn(u64) -> String);
    let rows = Chart { id: "rows", title: format!("Rows moved, per {each}"), unit, shape, values: rows, marks, ends };
    [lag, rows]
}

/// Raises each slot to the table's lag at its end, as far as the runs until then tell it.
fn lags(runs: &[Arc<Run>], slots: &Slots, longest: &mut [Option<u64>]) {
    let (mut fresh, mut rest) = (None, runs.iter().peekable());
    for (slot, longest) in longest.iter_mut().enumerate() {
        let end = slots.end(slot);
        while let Some(run) = rest.next_if(|run| run.ended_at <= end) {
            fresh = fresh.max(run.fresh_as_of);
        }
        let lag = fresh.and_then(|fresh| u64::try_from(end.duration_since(fresh).as_secs().max(0)).ok());
        *longest = (*longest).max(lag);
    }
}

/// Lag, and rows a second, of each of a table's runs.
pub(super) fn of_table(runs: &[Arc<Run>], now: Timestamp) -> [Chart; 2] {
    let live: Vec<&Arc<Run>> = runs.iter().filter(|run| run.window.is_none()).collect();
    let lag = live.iter().map(|run| run.lag_seconds.and_then(|lag| u64::try_from(lag).ok())).collect();
    let per_second = |run: &&Arc<Run>| Some(run.rows.saturating_mul(1_000) / run.duration_ms.max(1));
    let speed = live.iter().map(per_second).collect();
    let marks: Vec<usize> = live.iter().enumerate().filter(|(_, run)| run.is_bad()).map(|(at, _)| at).collect();
    let end = |run: Option<&&Arc<Run>>| run.map_or_else(String::new, |run| text::clock(run.ended_at, now));
    let ends = (end(live.first()), end(live.last()));
    let title = "Lag at the end of each run".to_owned();
    let (shape, unit) = (Shape::Line, seconds as fn(u64) -> String);
    let lag = Chart { id: "lag", title, unit, shape, values: lag, marks: marks.clone(), ends: ends.clone() };
    let (shape, unit) = (Shape::Columns, rate as fn(u64) -> String);
    let rows =
        Chart { id: "rows", title: "Rows a second of each run".to_owned(), unit, shape, values: speed, marks, ends };
    [lag, rows]
}

fn seconds(seconds: u64) -> String {
    text::duration(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn rate(rows: u64) -> String {
    format!("{}/s", text::count(rows))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::model::{Mode, TableId};
    use crate::report::RunReport;
    use crate::report::record::{RunId, RunRecord};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn run(ended: i64, fresh: Option<i64>) -> Arc<Run> {
        let id = TableId { source: "pg".parse().unwrap(), table: "t".parse().unwrap() };
        let mut report = RunReport::new(&id, "p.d.t".to_owned(), Mode::Merge);
        report.fresh_as_of = fresh.map(|fresh| at(fresh).to_string());
        Arc::new(Run::of(&RunRecord::new(RunId::new(at(ended), 1), at(ended), at(ended), &report)))
    }

    #[test]
    fn lag_grows_until_the_next_run_of_that_table() {
        // 48 slots of 10 s
        let slots = Slots { begin: at(10_000), span_ms: 480_000 };
        let mut longest = vec![None; SLOTS];
        // one table of runs far apart, the second of which says nothing; and one that lags by an hour all the while
        lags(&[run(10_035, Some(10_030)), run(10_095, None), run(10_205, Some(10_200))], &slots, &mut longest);
        let alone = longest.clone();
        assert_eq!(alone[..3], [None; 3]);
        let grows: Vec<Option<u64>> = (0..17).map(|slot| Some(10 + slot * 10)).collect();
        assert_eq!(alone[3..20], grows);
        assert_eq!((alone[20], alone[47]), (Some(10), Some(280)));
        lags(&[run(10_015, Some(6_415))], &slots, &mut longest);
        assert_eq!(longest[..3], [None, Some(3_605), Some(3_615)]);
        // the other's runs between its own do not take the line down
        assert!(longest[1..].windows(2).all(|pair| pair[0] < pair[1]), "{longest:?}");
    }
}
