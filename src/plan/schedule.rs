//! When a schedule comes next. Pure: now is an argument.
//!
//! Where clocks are turned, a schedule that names times of the day comes once for each: a time that is left out comes
//! when the clock has been turned, one that is there twice comes the first time. A schedule of every hour goes by the
//! time that passes: it comes in both of two equal hours, and not for an hour that was left out.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

use crate::model::Schedule;

/// The most days that are looked at: a 29th of February can be 8 years away.
const DAYS_MAX: u32 = 9 * 366;
/// The most times that clocks are turned between two runs of a schedule of every hour.
const TURNS_MAX: u32 = 100;

/// The first time after `after`; `None` if there is none that can be told.
pub fn next(schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
    let zone = TimeZone::get(&schedule.zone).ok()?;
    if schedule.hourly() { next_passing(schedule, &zone, after) } else { next_named(schedule, &zone, after) }
}

/// By the times of the day, each of which is one instant; their order is the instants'.
fn next_named(schedule: &Schedule, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut civil = zone.to_datetime(after);
    loop {
        civil = next_civil(schedule, civil)?;
        let ambiguous = zone.to_ambiguous_timestamp(civil);
        let instant = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(civil).ok()?
            }
            // read by the clock as it was before, it is after the turn: the turn is the last one before that
            AmbiguousOffset::Gap { before, .. } => {
                let beyond = before.to_timestamp(civil).ok()?.checked_add(1.second()).ok()?;
                zone.preceding(beyond).next()?.timestamp()
            }
        };
        if instant > after {
            return Some(instant);
        }
    }
}

/// By the time that passes: what the clock shows, whichever time it shows it.
fn next_passing(schedule: &Schedule, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let (mut from, mut civil) = (after, zone.to_datetime(after));
    for _ in 0..TURNS_MAX {
        let offset = zone.to_offset(from);
        let instant = offset.to_timestamp(next_civil(schedule, civil)?).ok()?;
        match zone.following(from).next().map(|turn| turn.timestamp()) {
            // the clock is turned before: go on by what it shows then, that moment included
            Some(turn) if turn <= instant => {
                (from, civil) = (turn, zone.to_datetime(turn).checked_sub(1.second()).ok()?);
            }
            Some(_) | None => return Some(instant),
        }
    }
    None
}

/// The first date and time after `after` that the schedule names.
fn next_civil(schedule: &Schedule, after: DateTime) -> Option<DateTime> {
    let mut date = after.date();
    if let Some(time) = next_time(schedule, Some(after.time())).filter(|_| is_day(schedule, date)) {
        return Some(date.to_datetime(time));
    }
    for _ in 0..DAYS_MAX {
        date = date.tomorrow().ok()?;
        if is_day(schedule, date) {
            return next_time(schedule, None).map(|time| date.to_datetime(time));
        }
    }
    None
}

fn is_day(schedule: &Schedule, date: Date) -> bool {
    let day = has(schedule.days, date.day());
    let weekday = has(schedule.weekdays, date.weekday().to_sunday_zero_offset());
    has(schedule.months, date.month()) && if schedule.either_day { day || weekday } else { day && weekday }
}

fn has(set: u64, number: i8) -> bool {
    u32::try_from(number).is_ok_and(|number| set & (1 << number) != 0)
}

/// The first time of a day, or the first after another; whole seconds.
fn next_time(schedule: &Schedule, after: Option<Time>) -> Option<Time> {
    let Some(after) = after else {
        return time(first(schedule.hours, 0)?, first(schedule.minutes, 0)?, first(schedule.seconds, 0)?);
    };
    let (hour, minute, second) = (bit(after.hour()), bit(after.minute()), bit(after.second()));
    if has(schedule.hours, after.hour()) {
        if has(schedule.minutes, after.minute())
            && let Some(second) = first(schedule.seconds, second + 1)
        {
            return time(hour, minute, second);
        }
        if let Some(minute) = first(schedule.minutes, minute + 1) {
            return time(hour, minute, first(schedule.seconds, 0)?);
        }
    }
    time(first(schedule.hours, hour + 1)?, first(schedule.minutes, 0)?, first(schedule.seconds, 0)?)
}

fn bit(number: i8) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// The least number of the set that is at least `min`.
fn first(set: u64, min: u32) -> Option<u32> {
    let rest = set.checked_shr(min)?;
    (rest != 0).then(|| min + rest.trailing_zeros())
}

fn time(hour: u32, minute: u32, second: u32) -> Option<Time> {
    Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?, 0).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The times after `after` as a clock in the zone shows them, with its offset.
    fn times(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(text, zone).unwrap();
        let zone = TimeZone::get(zone).unwrap();
        let mut now = at(after);
        let mut shown = Vec::new();
        for _ in 0..count {
            now = next(&schedule, now).unwrap();
            shown.push(now.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %z").to_string());
        }
        shown
    }

    #[test]
    fn plain_days() {
        for (text, after, expected) in [
            ("*/5 * * * *", "2024-01-01T00:00:00Z", ["2024-01-01 00:05:00 +0000", "2024-01-01 00:10:00 +0000"]),
            ("*/5 * * * *", "2024-01-01T00:04:59.999Z", ["2024-01-01 00:05:00 +0000", "2024-01-01 00:10:00 +0000"]),
            ("30 2 * * *", "2024-02-28T02:30:00Z", ["2024-02-29 02:30:00 +0000", "2024-03-01 02:30:00 +0000"]),
            ("0 0 29 2 *", "2024-03-01T00:00:00Z", ["2028-02-29 00:00:00 +0000", "2032-02-29 00:00:00 +0000"]),
            ("0 0 29 2 *", "2096-03-01T00:00:00Z", ["2104-02-29 00:00:00 +0000", "2108-02-29 00:00:00 +0000"]),
            ("0 12 31 * *", "2024-01-31T12:00:00Z", ["2024-03-31 12:00:00 +0000", "2024-05-31 12:00:00 +0000"]),
            // a day of the month or of the week; both, where one begins with a star
            ("0 0 13 * 5", "2024-09-06T00:00:00Z", ["2024-09-13 00:00:00 +0000", "2024-09-20 00:00:00 +0000"]),
            ("0 0 */13 * 5", "2024-09-01T00:00:00Z", ["2024-09-27 00:00:00 +0000", "2024-11-01 00:00:00 +0000"]),
            ("@monthly", "2024-12-31T23:59:59Z", ["2025-01-01 00:00:00 +0000", "2025-02-01 00:00:00 +0000"]),
            ("*/20 * * * * *", "2024-12-31T23:59:30Z", ["2024-12-31 23:59:40 +0000", "2025-01-01 00:00:00 +0000"]),
            (
                "15,45 9-10 * * mon-fri",
                "2024-06-07T10:15:00Z",
                ["2024-06-07 10:45:00 +0000", "2024-06-10 09:15:00 +0000"],
            ),
        ] {
            assert_eq!(times(text, "UTC", after, 2), expected, "{text}");
        }
    }

    #[test]
    fn a_time_that_is_left_out_comes_when_the_clock_was_turned() {
        // Berlin, 2024-03-31: after 1:59:59 comes 3:00
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2024-03-29T22:00:00Z", 3),
            ["2024-03-30 02:30:00 +0100", "2024-03-31 03:00:00 +0200", "2024-04-01 02:30:00 +0200"]
        );
        // several of them, and the one that the clock shows then, are one run
        assert_eq!(
            times("*/20 2-3 * * *", "Europe/Berlin", "2024-03-31T00:00:00Z", 3),
            ["2024-03-31 03:00:00 +0200", "2024-03-31 03:20:00 +0200", "2024-03-31 03:40:00 +0200"]
        );
        // midnight itself is left out in Beirut
        assert_eq!(
            times("0 0 * * *", "Asia/Beirut", "2024-03-30T12:00:00Z", 2),
            ["2024-03-31 01:00:00 +0300", "2024-04-01 00:00:00 +0300"]
        );
    }

    #[test]
    fn a_time_that_is_there_twice_comes_once() {
        // Berlin, 2024-10-27: after 2:59:59 comes 2:00 again
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2024-10-25T22:00:00Z", 3),
            ["2024-10-26 02:30:00 +0200", "2024-10-27 02:30:00 +0200", "2024-10-28 02:30:00 +0100"]
        );
        assert_eq!(
            times("*/30 2-3 * * *", "Europe/Berlin", "2024-10-26T23:59:00Z", 4),
            [
                "2024-10-27 02:00:00 +0200",
                "2024-10-27 02:30:00 +0200",
                "2024-10-27 03:00:00 +0100",
                "2024-10-27 03:30:00 +0100"
            ]
        );
    }

    #[test]
    fn every_hour_goes_by_the_time_that_passes() {
        assert_eq!(
            times("30 * * * *", "Europe/Berlin", "2024-03-31T00:00:00Z", 3),
            ["2024-03-31 01:30:00 +0100", "2024-03-31 03:30:00 +0200", "2024-03-31 04:30:00 +0200"]
        );
        assert_eq!(
            times("30 * * * *", "Europe/Berlin", "2024-10-27T00:00:00Z", 3),
            ["2024-10-27 02:30:00 +0200", "2024-10-27 02:30:00 +0100", "2024-10-27 03:30:00 +0100"]
        );
        // the moment of the turn itself
        assert_eq!(
            times("0 * * * *", "Europe/Berlin", "2024-10-26T23:30:00Z", 3),
            ["2024-10-27 02:00:00 +0200", "2024-10-27 02:00:00 +0100", "2024-10-27 03:00:00 +0100"]
        );
        // half an hour, in Lord Howe
        assert_eq!(
            times("*/30 * * * *", "Australia/Lord_Howe", "2024-04-06T14:00:00Z", 4),
            [
                "2024-04-07 01:30:00 +1100",
                "2024-04-07 01:30:00 +1030",
                "2024-04-07 02:00:00 +1030",
                "2024-04-07 02:30:00 +1030"
            ]
        );
    }

    proptest! {
        #[test]
        fn the_next_is_the_first_that_the_clock_shows(
            minute in 0_u32..60, hour in 0_u32..24, start in 1_704_000_000_i64..1_735_000_000, every in any::<bool>(),
        ) {
            let text = if every { format!("{minute} * * * *") } else { format!("{minute} {hour} * * *") };
            for name in ["UTC", "Europe/Berlin", "America/Santiago", "Asia/Kolkata"] {
                let zone = TimeZone::get(name).unwrap();
                let schedule = Schedule::parse(&text, name).unwrap();
                let after = Timestamp::from_second(start).unwrap();
                let found = next(&schedule, after).unwrap();
                prop_assert!(found > after);
                // nothing between is lost: going on from any moment before it finds the same
                let between = Timestamp::from_second((start + found.as_second() - 1) / 2).unwrap().max(after);
                prop_assert_eq!(next(&schedule, between), Some(found));
                let shown = zone.to_datetime(found);
                let turned = zone.preceding(found.checked_add(1.second()).unwrap()).next();
                let turn = turned.is_some_and(|turn| turn.timestamp() == found);
                let named = bit(shown.minute()) == minute && (every || bit(shown.hour()) == hour);
                prop_assert!(turn || named);
                // days are as long as they are: never more than a day and an hour
                let limit = if every { 3600 + 3600 } else { 25 * 3600 };
                prop_assert!(found.as_second() - start <= limit, "{name} {text} {after} {found}");
            }
        }
    }
}
