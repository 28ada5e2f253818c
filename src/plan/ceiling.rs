//! The ceiling: up to which cursor value no more rows can appear. Pure.
//!
//! The facts ([`Activity`]) were read before the snapshot that the rows come from. Every rule here errs low: a
//! ceiling that is too low delays rows, one that is too high loses them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::mapping::CursorKind;
use crate::model::{Activity, Bound, Hold, Note, OpenTransaction, Reread, TableState, Visibility};

/// A backend fixes its transaction's start a moment before others can see it: the clock is never trusted nearer.
pub const GUARD: Duration = Duration::from_secs(1);
const DAY_SECONDS: i64 = 86_400;

/// How the source names a prepared transaction ([`OpenTransaction::backend`]).
pub const PREPARED: &str = "prepared transaction";

/// What the ceiling is decided from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The kind of cursor.
    pub kind: CursorKind,
    /// What the database said.
    pub activity: &'a Activity,
    /// The greatest value of a number cursor, read **before** `activity`; `None` for other cursors or an empty table.
    pub max: Option<&'a str>,
    /// How far behind the clock it is safe to read where other sessions cannot be seen.
    pub lag: Duration,
    /// How long an open transaction may hold the ceiling.
    pub max_hold: Duration,
    /// Whether the ceiling may go past such a transaction, to read its interval again later: not in `append`.
    pub may_pass: bool,
    /// The zone of cursors without a zone.
    pub zone: &'a TimeZone,
    /// What is remembered of earlier looks.
    pub state: &'a TableState,
}

/// Up to where to read, and what to remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// The end; `None` if nothing may be read yet.
    pub bound: Option<Bound>,
    /// The note to keep.
    pub note: Option<Note>,
    /// Transactions that were gone past and are still open.
    pub holds: Vec<Hold>,
    /// Intervals of transactions that were gone past and have ended now.
    pub rereads: Vec<Reread>,
    /// The oldest transaction that holds the ceiling.
    pub held_by: Option<OpenTransaction>,
    /// Transactions gone past in this look.
    pub passed: Vec<OpenTransaction>,
}

/// Decides the ceiling.
pub fn decide(input: Input<'_>) -> Ceiling {
    let state = input.state;
    // a backend that prepares its transaction is gone from the sessions, and its rows are not there yet: while any
    // is prepared, no hold counts as ended
    let prepared = input.activity.open.iter().any(|open| open.backend.starts_with(PREPARED));
    let is_open = |hold: &&Hold| {
        prepared
            || input.activity.open.iter().any(|open| open.backend == hold.backend && open.started_us == hold.started_us)
    };
    let (mut holds, ended): (Vec<Hold>, Vec<Hold>) = match input.activity.visibility {
        Visibility::Full => {
            let (open, ended): (Vec<&Hold>, Vec<&Hold>) = state.holds.iter().partition(is_open);
            (open.into_iter().cloned().collect(), ended.into_iter().cloned().collect())
        }
        // who cannot see cannot say that it has ended
        Visibility::Hidden { .. } | Visibility::Replica { .. } => (state.holds.clone(), Vec::new()),
    };
    let rereads = ended_intervals(&mut holds, ended, state);
    let (blocking, passed) = split(&input, &holds);
    for open in &passed {
        if !holds.iter().any(|hold| hold.backend == open.backend && hold.started_us == open.started_us) {
            holds.push(Hold {
                backend: open.backend.clone(),
                started_us: open.started_us,
                from: hold_from(&input, open),
            });
        }
    }
    let held_by = blocking.first().map(|open| (*open).clone());
    let oldest_us = held_by.as_ref().map(|open| open.started_us);
    let (bound, note) = match input.kind {
        CursorKind::Number => number(&input, oldest_us),
        CursorKind::Instant { .. } | CursorKind::Civil { .. } | CursorKind::Date => time(&input, oldest_us),
    };
    Ceiling { bound, note, holds, rereads, held_by, passed }
}

/// Intervals to read again; a hold stays where there is no room for its interval.
fn ended_intervals(holds: &mut Vec<Hold>, ended: Vec<Hold>, state: &TableState) -> Vec<Reread> {
    let mut rereads = Vec::new();
    for hold in ended {
        match state.watermark.as_ref().and_then(|watermark| watermark.cursor.clone()) {
            // beyond the watermark its rows are read anyway
            Some(to) if state.rereads.len() + rereads.len() < TableState::REREADS_MAX => {
                rereads.push(Reread { from: hold.from, to, at: None, passed: true });
            }
            Some(_) => holds.push(hold),
            None => {}
        }
    }
    rereads
}

/// The open transactions that hold the ceiling, oldest first, and those that are gone past.
fn split<'a>(input: &Input<'a>, holds: &[Hold]) -> (Vec<&'a OpenTransaction>, Vec<OpenTransaction>) {
    let mut room = TableState::HOLDS_MAX.saturating_sub(holds.len());
    let (mut blocking, mut passed) = (Vec::new(), Vec::new());
    for open in &input.activity.open {
        let held_before = holds.iter().any(|hold| hold.backend == open.backend && hold.started_us == open.started_us);
        let too_old = input.activity.now_us.saturating_sub(open.started_us) > micros(input.max_hold);
        if input.may_pass && (held_before || (too_old && room > 0)) {
            room -= usize::from(!held_before);
            passed.push(open.clone());
        } else {
            blocking.push(open);
        }
    }
    (blocking, passed)
}

/// The least cursor value that a transaction can have written.
fn hold_from(input: &Input<'_>, open: &OpenTransaction) -> Option<String> {
    match input.kind {
        // no note taken after its start has ripened, so all its numbers lie above the watermark of now
        CursorKind::Number => input.state.watermark.as_ref().and_then(|watermark| watermark.cursor.clone()),
        kind @ (CursorKind::Instant { .. } | CursorKind::Civil { .. } | CursorKind::Date) => {
            cursor_text(kind, open.started_us, input.zone)
        }
    }
}

fn time(input: &Input<'_>, oldest_us: Option<i64>) -> (Option<Bound>, Option<Note>) {
    let now_us = input.activity.now_us;
    let lag_us = micros(input.lag);
    let old = input.state.note.clone();
    let (limit_us, note) = match input.activity.visibility {
        Visibility::Full => (Some(oldest_us.unwrap_or(i64::MAX).min(now_us - micros(GUARD))), None),
        Visibility::Hidden { snapshot: None } => (Some(now_us - lag_us), None),
        Visibility::Hidden { snapshot: Some((xmin, xmax)) } => {
            let fresh = Some(Note { at_us: now_us, max: None, xmax: Some(xmax) });
            let ripe = old.as_ref().filter(|note| note.xmax.is_some_and(|noted| xmin >= noted));
            match (xmin >= xmax, ripe) {
                (true, _) => (Some(now_us - lag_us), fresh),
                (false, Some(note)) => (Some(note.at_us - lag_us), fresh),
                (false, None) => (None, old.or(fresh)),
            }
        }
        Visibility::Replica { replayed_us } => (replayed_us.map(|replayed| replayed - lag_us), None),
    };
    let value = limit_us.and_then(|limit| cursor_text(input.kind, limit, input.zone));
    (value.map(|value| Bound { value, inclusive: false }), note)
}

fn number(input: &Input<'_>, oldest_us: Option<i64>) -> (Option<Bound>, Option<Note>) {
    let Some(max) = input.max else { return (None, input.state.note.clone()) };
    let xmax = match input.activity.visibility {
        Visibility::Hidden { snapshot } => snapshot.map(|(_, xmax)| xmax),
        Visibility::Full | Visibility::Replica { .. } => None,
    };
    let fresh = Note { at_us: input.activity.now_us, max: Some(max.to_owned()), xmax };
    let old = input.state.note.as_ref().filter(|note| note.max.is_some());
    let bound = |note: &Note| note.max.clone().map(|value| Bound { value, inclusive: true });
    if ripe(input, &fresh, oldest_us) {
        // nothing to remember: the next look is as good
        return (bound(&fresh), None);
    }
    match old {
        Some(note) if ripe(input, note, oldest_us) => (bound(note), Some(fresh)),
        Some(note) => (None, Some(note.clone())),
        None => (None, Some(fresh)),
    }
}

/// Whether every transaction that was open at the note has ended.
fn ripe(input: &Input<'_>, note: &Note, oldest_us: Option<i64>) -> bool {
    let lag_us = micros(input.lag);
    match input.activity.visibility {
        Visibility::Full => oldest_us.is_none_or(|oldest| oldest > note.at_us),
        Visibility::Hidden { snapshot } => {
            let ended = match (snapshot, note.xmax) {
                (Some((xmin, _)), Some(noted)) => xmin >= noted,
                (Some(_), None) => false,
                (None, _) => true,
            };
            ended && input.activity.now_us - note.at_us >= lag_us
        }
        Visibility::Replica { replayed_us } => replayed_us.is_some_and(|replayed| replayed - note.at_us >= lag_us),
    }
}

/// A duration in microseconds, at most some 290,000 years.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

/// An instant as the text of a cursor of that kind, rounded down to what the column keeps; `None` beyond what a
/// calendar can tell.
pub fn cursor_text(kind: CursorKind, at_us: i64, zone: &TimeZone) -> Option<String> {
    let digits = match kind {
        CursorKind::Instant { digits } | CursorKind::Civil { digits } => digits,
        CursorKind::Date => 0,
        CursorKind::Number => return None,
    };
    let step = 10i64.pow(6 - u32::from(digits.min(6)));
    let at = Timestamp::from_microsecond(at_us.div_euclid(step) * step).ok()?;
    Some(match kind {
        CursorKind::Instant { .. } => format!("{:.6}", at),
        CursorKind::Civil { .. } => format!("{:.6}", zone.to_datetime(at)),
        CursorKind::Date => zone.to_datetime(at).date().to_string(),
        CursorKind::Number => return None,
    })
}

/// The cursor text of `lookback` before the cursor text `cursor`; `None` if it cannot be read as that kind.
pub fn cursor_before(kind: CursorKind, cursor: &str, lookback: Duration) -> Option<String> {
    let back = jiff::SignedDuration::try_from(lookback).ok()?;
    match kind {
        CursorKind::Instant { .. } => {
            let at: Timestamp = cursor.parse().ok()?;
            Some(format!("{:.6}", at.checked_sub(back).ok()?))
        }
        CursorKind::Civil { .. } => {
            let at: jiff::civil::DateTime = cursor.parse().ok()?;
            Some(format!("{:.6}", at.checked_sub(back).ok()?))
        }
        CursorKind::Date => {
            let at: jiff::civil::Date = cursor.parse().ok()?;
            let days = back.as_secs().div_euclid(DAY_SECONDS) + i64::from(back.as_secs().rem_euclid(DAY_SECONDS) > 0);
            Some(at.checked_sub(jiff::Span::new().try_days(days).ok()?).ok()?.to_string())
        }
        CursorKind::Number => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Position, SECOND_MICROS};

    const NOW: i64 = 1_772_323_200 * SECOND_MICROS; // 2026-03-01T00:00:00Z
    const INSTANT: CursorKind = CursorKind::Instant { digits: 6 };

    fn open(backend: &str, seconds_ago: i64) -> OpenTransaction {
        OpenTransaction { backend: backend.into(), user: None, started_us: NOW - seconds_ago * SECOND_MICROS }
    }

    fn look(kind: CursorKind, activity: &Activity, max: Option<&str>, state: &TableState, may_pass: bool) -> Ceiling {
        let (lag, max_hold) = (Duration::from_secs(60), Duration::from_secs(3600));
        decide(Input { kind, activity, max, lag, max_hold, may_pass, zone: &TimeZone::UTC, state })
    }

    fn full(open: Vec<OpenTransaction>) -> Activity {
        Activity { now_us: NOW, open, visibility: Visibility::Full }
    }

    fn bound(ceiling: &Ceiling) -> Option<(&str, bool)> {
        ceiling.bound.as_ref().map(|bound| (bound.value.as_str(), bound.inclusive))
    }

    #[test]
    fn an_idle_database_is_read_up_to_the_guard() {
        let ceiling = look(INSTANT, &full(vec![]), None, &TableState::new(), true);
        assert_eq!(bound(&ceiling), Some(("2026-02-28T23:59:59.000000Z", false)));
    }

    #[test]
    fn the_oldest_open_transaction_is_the_ceiling() {
        let ceiling = look(INSTANT, &full(vec![open("pid 1", 90), open("pid 2", 5)]), None, &TableState::new(), true);
        assert_eq!(bound(&ceiling), Some(("2026-02-28T23:58:30.000000Z", false)));
        assert_eq!(ceiling.held_by, Some(open("pid 1", 90)));
    }

    #[test]
    fn the_ceiling_is_rounded_down_to_what_the_column_keeps() {
        let mut activity = full(vec![open("pid 1", 1)]);
        activity.open[0].started_us += 654_321;
        let at = |kind| look(kind, &activity, None, &TableState::new(), true).bound.map(|bound| bound.value);
        // the guard is lower than the transaction here: the clock less one second
        assert_eq!(at(INSTANT).as_deref(), Some("2026-02-28T23:59:59.000000Z"));
        activity.open[0].started_us -= SECOND_MICROS;
        let at = |kind| look(kind, &activity, None, &TableState::new(), true).bound.map(|bound| bound.value);
        assert_eq!(at(CursorKind::Civil { digits: 3 }).as_deref(), Some("2026-02-28T23:59:58.654000"));
        assert_eq!(at(CursorKind::Civil { digits: 0 }).as_deref(), Some("2026-02-28T23:59:58.000000"));
        assert_eq!(at(CursorKind::Date).as_deref(), Some("2026-02-28"));
    }

    #[test]
    fn civil_cursors_are_in_the_zone_of_their_writers() -> Result<(), jiff::Error> {
        let zone = TimeZone::get("America/New_York")?;
        let text = cursor_text(CursorKind::Civil { digits: 0 }, NOW, &zone);
        assert_eq!(text.as_deref(), Some("2026-02-28T19:00:00.000000"));
        Ok(())
    }

    #[test]
    fn a_transaction_open_too_long_is_gone_past_and_read_again_when_it_ends() {
        let mut state = TableState::new();
        state.watermark = Some(Position { cursor: Some("2026-02-28T20:00:00Z".into()), key: vec!["1".into()] });
        let long = open("pid 1", 4000);
        let first = look(INSTANT, &full(vec![long.clone(), open("pid 2", 10)]), None, &state, true);
        assert_eq!(bound(&first), Some(("2026-02-28T23:59:50.000000Z", false)));
        assert_eq!(first.passed, vec![long.clone()]);
        assert_eq!(first.holds.len(), 1);
        state.holds = first.holds;
        let still = look(INSTANT, &full(vec![long]), None, &state, true);
        assert_eq!((still.holds.len(), still.rereads.len()), (1, 0));
        let ended = look(INSTANT, &full(vec![]), None, &state, true);
        assert_eq!(ended.holds, vec![]);
        let from = Some("2026-02-28T22:53:20.000000Z".to_owned());
        assert_eq!(ended.rereads, vec![Reread { from, to: "2026-02-28T20:00:00Z".into(), at: None, passed: true }]);
    }

    #[test]
    fn a_hold_may_hide_behind_a_prepared_transaction() {
        let mut state = TableState::new();
        state.watermark = Some(Position { cursor: Some("2026-02-28T23:00:00Z".into()), key: vec!["1".into()] });
        state.holds = vec![Hold { backend: "pid 1".into(), started_us: NOW - 5000 * SECOND_MICROS, from: None }];
        let hidden = look(INSTANT, &full(vec![open("prepared transaction 'x'", 3700)]), None, &state, true);
        assert_eq!((hidden.rereads.len(), hidden.holds.len()), (0, 2));
        state.holds = hidden.holds;
        let ended = look(INSTANT, &full(vec![]), None, &state, true);
        assert_eq!((ended.rereads.len(), ended.holds.len()), (2, 0));
    }

    #[test]
    fn append_never_goes_past() {
        let ceiling = look(INSTANT, &full(vec![open("pid 1", 4000)]), None, &TableState::new(), false);
        assert_eq!(bound(&ceiling), Some(("2026-02-28T22:53:20.000000Z", false)));
    }

    #[test]
    fn numbers_ripen_when_those_open_at_the_note_have_ended() {
        let kind = CursorKind::Number;
        let idle = look(kind, &full(vec![]), Some("100"), &TableState::new(), true);
        assert_eq!(bound(&idle), Some(("100", true)));
        let busy = look(kind, &full(vec![open("pid 1", 3)]), Some("100"), &TableState::new(), true);
        assert_eq!(bound(&busy), None);
        let mut state = TableState::new();
        state.note = busy.note;
        let mut later = full(vec![open("pid 2", -5)]);
        later.now_us += 10 * SECOND_MICROS;
        let ripe = look(kind, &later, Some("200"), &state, true);
        assert_eq!(bound(&ripe), Some(("100", true)));
        assert_eq!(ripe.note.and_then(|note| note.max).as_deref(), Some("200"));
        // the transaction of the first look is still there: the old note is kept, or it would never ripen
        let mut held = full(vec![open("pid 1", 3)]);
        held.now_us += 10 * SECOND_MICROS;
        let waiting = look(kind, &held, Some("200"), &state, true);
        assert_eq!(bound(&waiting), None);
        assert_eq!(waiting.note, state.note);
    }

    #[test]
    fn who_cannot_see_stays_behind_by_the_lag() {
        let hidden = |snapshot| Activity { now_us: NOW, open: vec![], visibility: Visibility::Hidden { snapshot } };
        let quiet = look(INSTANT, &hidden(Some((7, 7))), None, &TableState::new(), true);
        assert_eq!(bound(&quiet), Some(("2026-02-28T23:59:00.000000Z", false)));
        let busy = look(INSTANT, &hidden(Some((7, 9))), None, &TableState::new(), true);
        assert_eq!(bound(&busy), None);
        let mut state = TableState::new();
        state.note = Some(Note { at_us: NOW - 30 * SECOND_MICROS, max: None, xmax: Some(6) });
        let ripe = look(INSTANT, &hidden(Some((7, 9))), None, &state, true);
        assert_eq!(bound(&ripe), Some(("2026-02-28T23:58:30.000000Z", false)));
        let blind = look(INSTANT, &hidden(None), None, &TableState::new(), true);
        assert_eq!(bound(&blind), Some(("2026-02-28T23:59:00.000000Z", false)));
    }

    #[test]
    fn a_standby_is_read_up_to_what_it_has_replayed() {
        let at = |replayed_us| Activity { now_us: NOW, open: vec![], visibility: Visibility::Replica { replayed_us } };
        let known = look(INSTANT, &at(Some(NOW - 10 * SECOND_MICROS)), None, &TableState::new(), true);
        assert_eq!(bound(&known), Some(("2026-02-28T23:58:50.000000Z", false)));
        assert_eq!(bound(&look(INSTANT, &at(None), None, &TableState::new(), true)), None);
    }

    #[test]
    fn lookback_is_taken_from_the_cursor_of_each_kind() {
        let back = Duration::from_secs(90);
        let civil = CursorKind::Civil { digits: 6 };
        assert_eq!(
            cursor_before(INSTANT, "2026-03-01T00:00:00.5Z", back).as_deref(),
            Some("2026-02-28T23:58:30.500000Z")
        );
        assert_eq!(cursor_before(civil, "2026-03-01T00:00:00", back).as_deref(), Some("2026-02-28T23:58:30.000000"));
        assert_eq!(cursor_before(CursorKind::Date, "2026-03-01", back).as_deref(), Some("2026-02-28"));
        assert_eq!(cursor_before(CursorKind::Number, "7", back), None);
    }
}
