//! How fresh a target is: up to which instant every row of the source is in it. Pure, and errs low.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::mapping::CursorKind;
use crate::model::{Activity, Bound, TableState, Visibility};

/// What a run knows at its end.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The kind of cursor; `None` in `replace`.
    pub kind: Option<CursorKind>,
    /// The zone of cursors without a zone.
    pub zone: &'a TimeZone,
    /// Up to where rows were to be read.
    pub bound: Option<&'a Bound>,
    /// For numbers and in `replace`: an instant whose rows are all at or below the bound, microseconds since the epoch.
    pub seen_us: Option<i64>,
    /// Whether the run applied everything up to the bound.
    pub caught_up: bool,
    /// The state that it left.
    pub state: &'a TableState,
}

/// The source's clock, microseconds since the epoch: of a replica the moment that its rows are those of.
pub fn clock_us(activity: &Activity) -> Option<i64> {
    match activity.visibility {
        Visibility::Full | Visibility::Hidden { .. } => Some(activity.now_us),
        Visibility::Replica { replayed_us } => replayed_us,
    }
}

/// The instant; `None` if it cannot be told.
pub fn as_of(input: Input<'_>) -> Option<Timestamp> {
    let state = input.state;
    let reached = match input.kind {
        None | Some(CursorKind::Number) if input.caught_up => Timestamp::from_microsecond(input.seen_us?).ok()?,
        None | Some(CursorKind::Number) => return None,
        Some(kind @ (CursorKind::Instant { .. } | CursorKind::Civil { .. } | CursorKind::Date)) => {
            let watermark = state.watermark.as_ref().and_then(|watermark| watermark.cursor.as_deref());
            let ceiling = input.bound.filter(|_| input.caught_up).map(|bound| bound.value.as_str());
            instant(kind, ceiling.or(watermark)?, input.zone)?
        }
    };
    let mut reached = reached;
    // what a transaction writes that was gone past comes later
    for hold in &state.holds {
        reached = reached.min(Timestamp::from_microsecond(hold.started_us).ok()?);
    }
    for reread in state.rereads.iter().filter(|reread| reread.passed) {
        reached = reached.min(instant(input.kind?, reread.from.as_deref()?, input.zone)?);
    }
    Some(reached)
}

/// The earliest instant that a cursor's text can mean.
fn instant(kind: CursorKind, text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let civil = match kind {
        CursorKind::Instant { .. } => return text.parse().ok(),
        CursorKind::Civil { .. } => text.parse::<jiff::civil::DateTime>().ok()?,
        CursorKind::Date => text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0),
        CursorKind::Number => return None,
    };
    zone.to_ambiguous_timestamp(civil).earlier().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Hold, Position, Reread};

    const SEEN_US: i64 = 1_772_323_200_000_000; // 2026-03-01T00:00:00Z

    fn told(kind: Option<CursorKind>, bound: Option<&str>, caught_up: bool, state: &TableState) -> Option<String> {
        let zone = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
        let bound = bound.map(|value| Bound { value: value.to_owned(), inclusive: false });
        let input = Input { kind, zone: &zone, bound: bound.as_ref(), seen_us: Some(SEEN_US), caught_up, state };
        as_of(input).map(|at| at.to_string())
    }

    #[test]
    fn a_run_that_caught_up_is_as_fresh_as_its_ceiling_and_another_as_its_watermark() {
        let mut state = TableState::new();
        state.watermark = Some(Position { cursor: Some("2026-02-01T00:00:00".into()), key: vec![] });
        let (civil, instant) = (CursorKind::Civil { digits: 0 }, CursorKind::Instant { digits: 6 });
        let (early, late) = (Some("2026-01-31T23:00:00Z"), Some("2026-02-28T23:00:00Z"));
        assert_eq!(told(Some(civil), Some("2026-03-01T00:00:00"), true, &state).as_deref(), late);
        assert_eq!(told(Some(civil), Some("2026-03-01T00:00:00"), false, &state).as_deref(), early);
        assert_eq!(told(Some(civil), None, true, &state).as_deref(), early);
        assert_eq!(told(Some(instant), Some("2026-02-28T23:00:00Z"), true, &state).as_deref(), late);
        assert_eq!(told(Some(CursorKind::Date), Some("2026-03-01"), true, &state).as_deref(), late);
        assert_eq!(told(Some(instant), None, true, &TableState::new()), None);
        // the clock is turned back from 03:00 to 02:00: the first of both
        let twice = told(Some(civil), Some("2026-10-25T02:30:00"), true, &state);
        assert_eq!(twice.as_deref(), Some("2026-10-25T00:30:00Z"));
        for kind in [None, Some(CursorKind::Number)] {
            assert_eq!(told(kind, Some("7"), true, &state).as_deref(), Some("2026-03-01T00:00:00Z"));
            assert_eq!(told(kind, Some("7"), false, &state), None);
        }
    }

    #[test]
    fn transactions_that_were_gone_past_hold_it_back() {
        let mut state = TableState::new();
        let number = Some(CursorKind::Number);
        state.holds = vec![Hold { backend: "pid 1".into(), started_us: SEEN_US - 5_000_000, from: None }];
        assert_eq!(told(number, Some("7"), true, &state).as_deref(), Some("2026-02-28T23:59:55Z"));
        state.holds.clear();
        let reread = |from: Option<&str>, passed| Reread {
            from: from.map(str::to_owned),
            to: "2026-02-28T00:00:00Z".into(),
            at: None,
            passed,
        };
        let instant = Some(CursorKind::Instant { digits: 6 });
        let ceiling = Some("2026-03-01T00:00:00Z");
        state.rereads = vec![reread(None, false)];
        assert_eq!(told(instant, ceiling, true, &state).as_deref(), ceiling);
        state.rereads = vec![reread(Some("2026-02-27T00:00:00Z"), true)];
        assert_eq!(told(instant, ceiling, true, &state).as_deref(), Some("2026-02-27T00:00:00Z"));
        state.rereads = vec![reread(None, true)];
        assert_eq!(told(instant, ceiling, true, &state), None);
    }
}
