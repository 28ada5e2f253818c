//! Which windows a backfill has, whether it may be asked for, and what of it is remembered. Pure.
//!
//! Windows of time are those of the calendar, cut at the ends that were asked for, so that everybody who asks for the same
//! finds the same windows. Ranges of numbers and keys are told by where rows are, so they are remembered with what was
//! asked for.

use std::cmp::Ordering;

use jiff::Unit;
use jiff::civil::{DateTime, DateTimeRound};

use super::verify::in_order;
use crate::mapping::CursorKind;
use crate::model::{Ask, Asks, Bound, Code, Window, WindowRange, WindowUnit};

/// The most windows of one backfill.
pub const WINDOWS_MAX: usize = 10_000;
/// Rows that a range of numbers or keys is to have, unless somebody says another number.
pub const WINDOW_ROWS_DEFAULT: u64 = 1_000_000;

/// What was asked for cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackfillError {
    /// A `replace` has no windows.
    #[error("{0} is in `mode: replace`, where there is nothing to fill in; each `highwater sync` copies all of it")]
    Replace(String),
    /// Windows in time of a cursor that has none.
    #[error("--by {by} divides time, and the cursor of {table} has no {by}s; say --by key, or leave --by out")]
    NoTime {
        /// The table.
        table: String,
        /// The unit.
        by: &'static str,
    },
    /// Ranges of keys have no ends in the cursor.
    #[error("--by key brings all rows; --from and --to bound the cursor; leave them out or choose another --by")]
    KeyBounds,
    /// The end is not above the beginning.
    #[error("--to {to} is not above --from {from}; give the earlier end as --from")]
    Empty {
        /// The beginning.
        from: String,
        /// The end.
        to: String,
    },
    /// All rows are the live sync's.
    #[error("{table} has no rows below {to}; `highwater sync` brings those from there on, and --to says another end")]
    NothingBelow {
        /// The table.
        table: String,
        /// Where the last whole unit ends that is safe to read.
        to: String,
    },
    /// Rows below the end can still appear.
    #[error(
        "rows of {table} from {ceiling} on may still change; choose --to at or below that, `highwater sync` brings the rest"
    )]
    Moving {
        /// The table.
        table: String,
        /// The ceiling.
        ceiling: String,
    },
    /// Too many windows.
    #[error(
        "{table} would have more than {WINDOWS_MAX} windows; choose a larger unit with --by, more --window-rows, or nearer ends"
    )]
    TooManyWindows {
        /// The table.
        table: String,
    },
    /// Too many backfills are remembered.
    #[error(
        "{table} has {} backfills that are remembered, with other units and ends; ask for one that goes on where one of them ends, or `highwater reset {table}` to read everything again",
        Asks::MAX
    )]
    TooManyAsks {
        /// The table.
        table: String,
    },
    /// In `append` rows would come twice.
    #[error("{table} is in `mode: append`, where a row that is brought twice is there twice: {why}")]
    Append {
        /// The table.
        table: String,
        /// What must be otherwise.
        why: String,
    },
    /// The table begins at a cursor, and ranges of keys bring everything.
    #[error(
        "`backfill_start` of {0} leaves out older rows, and --by key brings all; remove `backfill_start`, or choose another --by"
    )]
    StartAndKey(String),
    /// The table has no row yet.
    #[error(
        "{0} has no row that is safe to read yet, so there is nothing to fill in; `highwater sync` brings what comes"
    )]
    NoRows(String),
}

impl BackfillError {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::Replace(_) | Self::Append { .. } | Self::StartAndKey(_) => Code::BackfillMode,
            Self::NoTime { .. } | Self::KeyBounds | Self::Empty { .. } => Code::WindowBounds,
            Self::NothingBelow { .. } | Self::NoRows(_) => Code::BackfillNothing,
            Self::Moving { .. } => Code::BackfillMoving,
            Self::TooManyWindows { .. } => Code::WindowsTooMany,
            Self::TooManyAsks { .. } => Code::BackfillsTooMany,
        }
    }
}

/// A time on the grid at or before `text`; `None` if it is no time, or the unit is none of time.
pub fn floor(by: WindowUnit, text: &str) -> Option<String> {
    let at: DateTime = text.trim_end_matches('Z').parse().ok()?;
    let at = match by {
        WindowUnit::Hour => at.round(DateTimeRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Floor)).ok()?,
        WindowUnit::Day => at.date().to_datetime(jiff::civil::Time::midnight()),
        WindowUnit::Month => at.date().first_of_month().to_datetime(jiff::civil::Time::midnight()),
        WindowUnit::Number | WindowUnit::Key => return None,
    };
    Some(written(at, text))
}

/// The next time of the grid after `text`, which may be between two.
fn next(by: WindowUnit, text: &str) -> Option<String> {
    let at: DateTime = floor(by, text)?.parse().ok()?;
    let step = match by {
        WindowUnit::Hour => jiff::Span::new().hours(1),
        WindowUnit::Day => jiff::Span::new().days(1),
        WindowUnit::Month => jiff::Span::new().months(1),
        WindowUnit::Number | WindowUnit::Key => return None,
    };
    Some(written(at.checked_add(step).ok()?, text))
}

/// As the cursor's text is: a date, or a time.
fn written(at: DateTime, like: &str) -> String {
    if like.contains(['T', ' ']) { format!("{at:.6}") } else { at.date().to_string() }
}

/// The unit where nobody says one.
pub fn unit_default(kind: CursorKind) -> WindowUnit {
    match kind {
        CursorKind::Number => WindowUnit::Number,
        CursorKind::Instant { .. } | CursorKind::Civil { .. } | CursorKind::Date => WindowUnit::Day,
    }
}

/// Whether a cursor of that kind can be divided so.
///
/// # Errors
/// It cannot.
pub fn check_unit(table: &str, kind: CursorKind, by: WindowUnit) -> Result<(), BackfillError> {
    let fits = match (kind, by) {
        (_, WindowUnit::Key) | (CursorKind::Number, WindowUnit::Number) => true,
        (CursorKind::Number, _) | (_, WindowUnit::Number) | (CursorKind::Date, WindowUnit::Hour) => false,
        (CursorKind::Instant { .. } | CursorKind::Civil { .. } | CursorKind::Date, _) => true,
    };
    if fits { Ok(()) } else { Err(BackfillError::NoTime { table: table.to_owned(), by: by.name() }) }
}

/// The cursor value from which on rows may still appear, exclusive; of numbers the whole one above the bound.
pub fn safe_end(kind: CursorKind, bound: &Bound) -> String {
    match kind {
        CursorKind::Number => {
            let whole = whole_below(&bound.value).parse::<i128>().ok();
            // a fraction below the next whole number may still appear, and is the live sync's
            let exact = bound.inclusive && !bound.value.contains('.');
            whole.map_or_else(|| bound.value.clone(), |whole| (whole + i128::from(exact)).to_string())
        }
        CursorKind::Instant { .. } | CursorKind::Civil { .. } | CursorKind::Date => {
            bound.value.trim_end_matches('Z').to_owned()
        }
    }
}

/// The first cursor value above those within the bound; `None` if its text is not of that kind.
pub fn just_above(kind: CursorKind, bound: &Bound) -> Option<String> {
    let text = bound.value.trim_end_matches('Z');
    if !bound.inclusive && kind != CursorKind::Number {
        return Some(text.to_owned());
    }
    match kind {
        CursorKind::Number => {
            let whole: i128 = whole_below(text).parse().ok()?;
            Some((whole + i128::from(bound.inclusive || text.contains('.'))).to_string())
        }
        CursorKind::Date => {
            let date: jiff::civil::Date = text.parse().ok()?;
            Some(date.tomorrow().ok()?.to_string())
        }
        CursorKind::Instant { .. } | CursorKind::Civil { .. } => {
            let at: DateTime = text.parse().ok()?;
            Some(format!("{:.6}", at.checked_add(jiff::Span::new().microseconds(1)).ok()?))
        }
    }
}

/// The cursor value that a window which has this one first begins with.
pub fn start_of(kind: CursorKind, text: &str) -> Option<String> {
    match kind {
        CursorKind::Number => Some(whole_below(text)),
        CursorKind::Date => Some(text.get(..10)?.to_owned()),
        CursorKind::Instant { .. } | CursorKind::Civil { .. } => {
            let at: DateTime = text.trim_end_matches('Z').parse().ok()?;
            Some(format!("{at:.6}"))
        }
    }
}

/// The whole number at or below a number's text.
pub fn whole_below(text: &str) -> String {
    let whole = text.split('.').next().unwrap_or_default();
    match (whole.parse::<i128>(), text.contains('.') && text.starts_with('-')) {
        (Ok(number), true) => (number - 1).to_string(),
        (Ok(number), false) => number.to_string(),
        (Err(_), _) => text.to_owned(),
    }
}

/// The windows of what was asked for, first to last.
///
/// # Errors
/// There are too many.
pub fn windows(table: &str, ask: &Ask) -> Result<Vec<Window>, BackfillError> {
    let windows = match ask.by {
        WindowUnit::Key => of_keys(ask),
        WindowUnit::Number => {
            let bounds: Vec<String> = ask.bounds.iter().filter_map(|bound| bound.first().cloned()).collect();
            between(ask, bounds)
        }
        WindowUnit::Hour | WindowUnit::Day | WindowUnit::Month => between(ask, calendar(ask)),
    };
    if windows.len() > WINDOWS_MAX {
        return Err(BackfillError::TooManyWindows { table: table.to_owned() });
    }
    Ok(windows)
}

/// The times of the grid between the ends; one more than may be at the most.
fn calendar(ask: &Ask) -> Vec<String> {
    let (Some(from), Some(to)) = (&ask.from, &ask.to) else { return Vec::new() };
    let mut bounds = Vec::new();
    let mut at = next(ask.by, from);
    while let Some(bound) = at.filter(|bound| bound < to && bounds.len() <= WINDOWS_MAX) {
        at = next(ask.by, &bound);
        bounds.push(bound);
    }
    bounds
}

fn between(ask: &Ask, bounds: Vec<String>) -> Vec<Window> {
    let (Some(from), Some(to)) = (&ask.from, &ask.to) else { return Vec::new() };
    let begins = std::iter::once(from.clone()).chain(bounds.iter().cloned());
    let ends = bounds.iter().cloned().chain(std::iter::once(to.clone()));
    begins.zip(ends).map(|(from, to)| cursor_window(from, to)).collect()
}

/// The window of these cursor values.
pub fn cursor_window(from: String, to: String) -> Window {
    Window { name: format!("{}..{}", short(&from), short(&to)), range: WindowRange::Cursor { from, to } }
}

/// A time without what it has no need of: `2026-01-01`, `2026-01-01T05:00`.
fn short(text: &str) -> String {
    let trimmed = text.strip_suffix("T00:00:00.000000").or_else(|| text.strip_suffix(":00.000000"));
    trimmed.or_else(|| text.strip_suffix(".000000")).unwrap_or(text).to_owned()
}

fn of_keys(ask: &Ask) -> Vec<Window> {
    let Some(within) = &ask.within else { return Vec::new() };
    let begins = std::iter::once(None).chain(ask.bounds.iter().cloned().map(Some));
    let ends = ask.bounds.iter().cloned().map(Some).chain(std::iter::once(None));
    let window = |(at, (after, until))| Window {
        name: format!("{}.{at:05}", ask.id),
        range: WindowRange::Key { after, until, within: within.clone() },
    };
    begins.zip(ends).enumerate().map(window).collect()
}

/// The window of a calendar's label, such as `2026-01` or `2026-01-03T05`, not beyond `end`; `None` if it is none.
pub fn labelled(label: &str, like: &str, end: &str) -> Option<Window> {
    let (by, from) = match label.len() {
        4 => (None, format!("{label}-01-01")),
        7 => (Some(WindowUnit::Month), format!("{label}-01")),
        10 => (Some(WindowUnit::Day), label.to_owned()),
        13 => (Some(WindowUnit::Hour), format!("{label}:00:00")),
        _ => return None,
    };
    let from: DateTime = from.parse().ok()?;
    let from = written(from, like);
    let to = match by {
        Some(by) => next(by, &from)?,
        None => written(from.parse::<DateTime>().ok()?.checked_add(jiff::Span::new().years(1)).ok()?, like),
    };
    let to = if in_order(&to, end) == Ordering::Greater { end.to_owned() } else { to };
    (in_order(&from, &to) == Ordering::Less).then(|| cursor_window(from, to))
}

/// What else is known of a table when a backfill is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The table.
    pub table: &'a str,
    /// Whether rows are appended: each may be brought once only.
    pub append: bool,
    /// The least cursor that the live sync brings.
    pub began: Option<&'a str>,
}

/// What is remembered from now on; `None` if it covers `ask` already.
///
/// # Errors
/// In `append` rows would come twice; too many backfills are remembered.
pub fn remember(asks: &Asks, ask: &Ask, known: Known<'_>) -> Result<Option<Asks>, BackfillError> {
    if known.append {
        check_append(asks, ask, known)?;
    }
    let covers = |other: &Ask| {
        // windows of keys are named after the one who asked
        let named = ask.by != WindowUnit::Key || other.id == ask.id;
        named && other.by == ask.by && other.bounds == ask.bounds && other.within == ask.within && holds(other, ask)
    };
    if asks.asks.iter().any(covers) {
        return Ok(None);
    }
    let mut next = asks.clone();
    let full = next.asks.len() >= Asks::MAX;
    match next.asks.iter_mut().find(|other| joins(other, ask, known)) {
        Some(other) => {
            other.from = least(other.from.take(), ask.from.clone(), Ordering::Less);
            other.to = least(other.to.take(), ask.to.clone(), Ordering::Greater);
        }
        None if full => {
            return Err(BackfillError::TooManyAsks { table: known.table.to_owned() });
        }
        None => next.asks.push(ask.clone()),
    }
    Ok(Some(next))
}

/// Whether the two have the same windows, whatever their names.
pub fn is_same(one: &Ask, other: &Ask) -> bool {
    Ask { id: other.id.clone(), ..one.clone() } == *other
}

fn least(one: Option<String>, other: Option<String>, wanted: Ordering) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) if in_order(&other, &one) == wanted => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

fn ends(ask: &Ask) -> Option<(&str, &str)> {
    ask.from.as_deref().zip(ask.to.as_deref())
}

/// Whether the one's ends are around the other's, so that the other's windows are among its own.
fn holds(outer: &Ask, inner: &Ask) -> bool {
    match (ends(outer), ends(inner)) {
        (None, None) => true,
        (Some((from, to)), Some((first, last))) => {
            let inside = in_order(from, first) != Ordering::Greater && in_order(last, to) != Ordering::Greater;
            inside && on_grid(inner.by, first, from) && on_grid(inner.by, last, to)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Whether windows end at `text` in any case: on the grid, or where all ends.
fn on_grid(by: WindowUnit, text: &str, end: &str) -> bool {
    text == end || floor(by, text).as_deref() == Some(text)
}

/// Whether the two are one: of the same unit of time, without a hole between, and their windows are those of the whole.
fn joins(other: &Ask, ask: &Ask, known: Known<'_>) -> bool {
    let (Some((from, to)), Some((first, last))) = (ends(other), ends(ask)) else { return false };
    let end = known.began.unwrap_or_default();
    let aligned = [from, to, first, last].into_iter().all(|text| on_grid(ask.by, text, end));
    let touching = in_order(first, to) != Ordering::Greater && in_order(from, last) != Ordering::Greater;
    other.by == ask.by && aligned && touching
}

/// In `append` windows must lie below what the live sync brings, and be the same for everybody.
fn check_append(asks: &Asks, ask: &Ask, known: Known<'_>) -> Result<(), BackfillError> {
    let refuse = |why: String| Err(BackfillError::Append { table: known.table.to_owned(), why });
    let Some((from, to)) = ends(ask) else {
        return if asks.asks.iter().all(|other| other.by == WindowUnit::Key) {
            Ok(())
        } else {
            refuse(
                "other windows were asked for before, and a load by key brings their rows too; choose the same --by"
                    .to_owned(),
            )
        };
    };
    let Some(began) = known.began else {
        return refuse(
            "its sync begins with the first row; say `backfill_start` before the first sync, and fill in what is below"
                .to_owned(),
        );
    };
    if in_order(to, began) == Ordering::Greater {
        return refuse(format!("its sync brings rows from {began} on; choose --to {began} or below"));
    }
    if let Some(other) = asks.asks.iter().find(|other| other.by != ask.by) {
        return refuse(format!("its windows were asked for by {} before; choose the same", other.by.name()));
    }
    if ask.by == WindowUnit::Number {
        let apart = |other: &Ask| {
            ends(other).is_none_or(|(first, last)| {
                in_order(last, from) != Ordering::Greater || in_order(to, first) != Ordering::Greater
            })
        };
        return match asks.asks.iter().find(|other| other.id != ask.id && !apart(other)) {
            Some(other) => refuse(format!(
                "the windows overlap those from {:?} to {:?}; choose ends beyond those",
                other.from, other.to
            )),
            None => Ok(()),
        };
    }
    match [from, to].into_iter().find(|end| !on_grid(ask.by, end, began)) {
        Some(end) => {
            refuse(format!("its windows are whole {}s, and {end} is within one; choose the end of one", ask.by.name()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
