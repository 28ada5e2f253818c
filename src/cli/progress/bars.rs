//! What a bar says, and how it fits into a line. Pure.

use std::time::Duration;

use crate::cli::output::layout::{Style, bytes, grouped, padded, short, shortened, width as width_of};
use crate::model::{Glance, Step};

/// The least time from which rows a second are told.
const SPEED_MIN: Duration = Duration::from_millis(500);
/// Characters of a bar.
const BAR_MIN: usize = 8;
const BAR_MAX: usize = 30;
/// Names are shortened to a quarter of the line, and to no less than this.
const NAME_MIN: usize = 12;
/// Drawings that each sign stays for as long as a run is at work.
const SIGNS: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// Widths of what stands in every line, without the gap before it.
const ROWS: usize = 10;
const RATE: usize = 7;
const BYTES: usize = 8;
const STEP: usize = 12;
const TIME: usize = 8;
const PERCENT: usize = 4;
const GAP: usize = 2;

/// A run at a moment.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Nothing in it moves the cursor.
    pub(super) name: String,
    pub(super) glance: Glance,
    /// Rows a second of late.
    pub(super) rate: Option<u64>,
    /// Rows a second since it reads.
    pub(super) average: Option<u64>,
    pub(super) elapsed: Duration,
}

/// What is told of all runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Total {
    /// Runs that there is no line for.
    pub(super) hidden: usize,
    pub(super) done: usize,
    /// All that are to be, those that wait included.
    pub(super) wanted: usize,
}

/// Rows a second; `None` before that can be told.
pub(super) fn speed(rows: u64, time: Duration) -> Option<u64> {
    let millis = u64::try_from(time.as_millis()).ok().filter(|_| time >= SPEED_MIN)?;
    Some(rows.saturating_mul(1000) / millis)
}

/// The lines, each shorter than `width`.
pub(super) fn lines(shown: &[Shown], total: Total, frame: usize, width: usize, colour: bool) -> Vec<String> {
    if shown.is_empty() {
        return Vec::new();
    }
    // a terminal that fills its last column may go on in the next line
    let room = width.saturating_sub(1);
    let longest = shown.iter().map(|run| width_of(&run.name)).max().unwrap_or(0);
    let name = longest.min((room / 4).max(NAME_MIN));
    let mut lines: Vec<String> = shown.iter().map(|run| line(run, frame, name, room, colour)).collect();
    let mut rest = Vec::new();
    if total.hidden > 0 {
        rest.push(format!("…and {} more", total.hidden));
    }
    if total.wanted > 1 {
        rest.push(format!("{} of {} done", grouped(total.done as u64), grouped(total.wanted as u64)));
    }
    if !rest.is_empty() {
        lines.push(painted(Style::Faint, &shortened(&format!("  {}", rest.join("; ")), room), colour));
    }
    lines
}

fn painted(style: Style, text: &str, colour: bool) -> String {
    if colour { style.paint(text) } else { text.to_owned() }
}

/// Which parts of a line there is room for.
struct Fit {
    bytes: bool,
    rate: bool,
    time: bool,
    /// Characters of the bar; `None` where there is no estimate, or no room.
    bar: Option<usize>,
}

impl Fit {
    /// Bytes go first, then rows a second, then the time.
    fn of(name: usize, room: usize, estimated: bool) -> Self {
        let bar = PERCENT + BAR_MIN + 2 * GAP;
        let wanted = 1 + 1 + name + GAP + ROWS + GAP + STEP + if estimated { bar } else { 0 };
        let mut left = room.checked_sub(wanted);
        let mut take = |width: usize| {
            let after = left.and_then(|left| left.checked_sub(width + GAP));
            left = after.or(left);
            after.is_some()
        };
        let (time, rate, bytes) = (take(TIME), take(RATE), take(BYTES));
        Self { bytes, rate, time, bar: left.filter(|_| estimated).map(|left| (BAR_MIN + left).min(BAR_MAX)) }
    }
}

fn line(run: &Shown, frame: usize, name: usize, room: usize, colour: bool) -> String {
    let Shown { glance, .. } = run;
    // more than was expected: the estimate was no good
    let expected = glance.expected.filter(|expected| *expected >= glance.rows && *expected > 0);
    let fit = Fit::of(name, room, expected.is_some());
    let sign = SIGNS.get(frame % SIGNS.len()).copied().unwrap_or_default();
    let mut line = format!("{} {}", painted(Style::Moving, sign, colour), padded(&shortened(&run.name, name), name));
    if let (Some(expected), Some(bar)) = (expected, fit.bar) {
        let percent = u128::from(glance.rows) * 100 / u128::from(expected);
        let filled = usize::try_from(u128::from(glance.rows) * bar as u128 / u128::from(expected)).unwrap_or(bar);
        let (full, empty) = ("━".repeat(filled), "─".repeat(bar.saturating_sub(filled)));
        let bar = format!("{}{}", painted(Style::Moving, &full, colour), painted(Style::Faint, &empty, colour));
        line.push_str(&format!("  {bar}  {percent:>3}%"));
    }
    let unit = if glance.step == Step::ReadingKeys { "keys" } else { "rows" };
    line.push_str(&format!("  {:>ROWS$}", format!("{} {unit}", short(glance.rows))));
    if fit.rate {
        let rate = run.rate.filter(|_| glance.rows > 0).map(|rate| format!("{}/s", short(rate)));
        line.push_str(&format!("  {:>RATE$}", rate.unwrap_or_default()));
    }
    if fit.bytes {
        line.push_str(&format!("  {:>BYTES$}", if glance.bytes > 0 { bytes(glance.bytes) } else { String::new() }));
    }
    let room = room.saturating_sub(bare(&line) + GAP);
    let step: String = step(glance).chars().take(room).collect();
    let time = time(run, expected);
    if fit.time && step.chars().count().max(STEP) + GAP + time.chars().count() <= room {
        line.push_str(&format!("  {}  {time}", painted(Style::Faint, &format!("{step:<STEP$}"), colour)));
    } else {
        line.push_str(&format!("  {}", painted(Style::Faint, &step, colour)));
    }
    line
}

/// Columns that are seen.
fn bare(line: &str) -> usize {
    line.split('\u{1b}')
        .enumerate()
        .map(|(at, part)| if at == 0 { part } else { part.split_once('m').map_or("", |(_, seen)| seen) })
        .map(width_of)
        .sum()
}

/// What is done at the source, or else with what was read.
fn step(glance: &Glance) -> String {
    match (glance.step, glance.applying) {
        (Step::Connecting, _) if glance.connections > 1 => format!("connecting again ({})", glance.connections),
        (Step::Starting | Step::Nothing, Step::Nothing) => glance.step.name().to_owned(),
        (Step::Starting | Step::Nothing, applying) => applying.name().to_owned(),
        (step, _) => step.name().to_owned(),
    }
}

/// The time that is left, where there is an estimate, or else the time that has passed.
fn time(run: &Shown, expected: Option<u64>) -> String {
    let left = expected.map(|expected| expected.saturating_sub(run.glance.rows)).filter(|left| *left > 0);
    match left.zip(run.average.filter(|average| *average > 0)) {
        Some((left, average)) => format!("ETA {}", brief(left / average)),
        None => brief(run.elapsed.as_secs()),
    }
}

/// A time in one unit.
fn brief(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6_000 => format!("{}m", seconds / 60),
        6_000..360_000 => format!("{}h", seconds / 3600),
        _ => format!("{}d", (seconds / 86_400).min(999)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLANCE: Glance = Glance {
        rows: 123_456,
        bytes: 45 << 20,
        expected: Some(500_000),
        step: Step::Reading,
        applying: Step::Nothing,
        connections: 1,
    };
    const ALONE: Total = Total { hidden: 0, done: 0, wanted: 1 };

    fn run(name: &str, glance: Glance) -> Shown {
        let elapsed = Duration::from_secs(12);
        Shown { name: name.to_owned(), glance, rate: Some(56_789), average: Some(10_288), elapsed }
    }

    fn one(name: &str, glance: Glance, width: usize) -> String {
        lines(&[run(name, glance)], ALONE, 0, width, false).concat()
    }

    #[test]
    fn a_wide_line_says_everything() {
        assert_eq!(
            one("pg/orders", GLANCE, 120),
            "⠋ pg/orders  ━━━━━━━───────────────────────   24%   123k rows  56.7k/s  45.0 MiB  reading       ETA 36s"
        );
    }

    #[test]
    fn a_narrow_line_keeps_the_bar_and_drops_bytes() {
        let line = one("pg/orders", GLANCE, 80);
        assert!(line.contains("━━") && line.contains("24%") && line.contains("ETA 36s"), "{line}");
        assert!(line.contains("56.7k/s") && !line.contains("MiB"), "{line}");
        // without an estimate there is room for them
        let line = one("pg/orders", Glance { expected: None, ..GLANCE }, 80);
        assert!(line.contains("45.0 MiB") && line.ends_with("12s") && !line.contains(['━', '%']), "{line}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [1, 10, 20, 40, 60, 79, 80, 81, 100, 120, 200] {
            for step in [Step::Starting, Step::Connecting, Step::ReadingKeys, Step::Nothing] {
                for expected in [None, Some(0), Some(123_456), Some(u64::MAX - 1)] {
                    let glance = Glance { step, expected, applying: Step::Committing, connections: 3, ..GLANCE };
                    for name in ["t", "pg/public.a_table_with_a_rather_long_name 2024-01-01..2024-01-02"] {
                        let plain = lines(&[run(name, glance)], ALONE, 3, width, false);
                        let coloured = lines(&[run(name, glance)], ALONE, 3, width, true);
                        assert_eq!(bare(&coloured[0]), plain[0].chars().count());
                        // below that there is nothing to be told
                        if width >= 40 {
                            assert!(plain[0].chars().count() < width, "{width}: {:?}", plain[0]);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn wide_names_take_their_columns() {
        let runs = [run("注文", GLANCE), run("abcd", GLANCE)];
        let all = lines(&runs, ALONE, 0, 80, false);
        assert_eq!(bare(&all[0]), bare(&all[1]));
        assert_eq!(all[0].chars().count() + 2, all[1].chars().count());
    }

    #[test]
    fn an_estimate_that_was_too_low_is_none() {
        let line = one("t", Glance { expected: Some(100), ..GLANCE }, 120);
        assert!(!line.contains("ETA") && !line.contains('%'), "{line}");
    }

    #[test]
    fn steps_tell_what_goes_on() {
        let name = |step_now, applying, connections| step(&Glance { step: step_now, applying, connections, ..GLANCE });
        assert_eq!(name(Step::Connecting, Step::Nothing, 1), "connecting");
        assert_eq!(name(Step::Connecting, Step::Nothing, 2), "connecting again (2)");
        assert_eq!(name(Step::Reading, Step::Merging, 0), "reading");
        assert_eq!(name(Step::Nothing, Step::Merging, 0), "merging");
        assert_eq!(name(Step::Starting, Step::Loading, 0), "loading");
        assert_eq!(name(Step::Starting, Step::Nothing, 0), "starting");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let runs = [run("a", GLANCE), run("b", GLANCE)];
        let all = lines(&runs, Total { hidden: 12, done: 3, wanted: 1200 }, 0, 80, false);
        assert_eq!(all.len(), 3);
        assert_eq!(all[2], "  …and 12 more; 3 of 1,200 done");
        assert!(lines(&[], ALONE, 0, 80, false).is_empty());
    }

    #[test]
    fn speeds_and_times() {
        assert_eq!(speed(1000, Duration::from_millis(100)), None);
        assert_eq!(speed(1000, Duration::from_millis(500)), Some(2000));
        assert_eq!(speed(u64::MAX, Duration::from_secs(10)), Some(u64::MAX / 10_000));
        assert_eq!([brief(0), brief(99), brief(100), brief(6_000), brief(u64::MAX)], ["0s", "99s", "1m", "1h", "999d"]);
    }
}
