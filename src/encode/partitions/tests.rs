//! What is told of partitions covers what was written, in few ranges; each unit, and what cannot be read.

#![expect(clippy::unwrap_used, reason = "tests")]

use jiff::civil::DateTime;
use proptest::prelude::*;

use super::*;
use crate::encode::json::{CIVIL_MICROS_MAX, CIVIL_MICROS_MIN, DAY_MAX, DAY_MIN};

fn by_time(ty: BqType, unit: TimeUnit) -> Grid {
    Grid::new(&Partitioning::Time { field: "p".into(), unit }, ty).unwrap()
}

fn by_range(start: i64, end: i64, interval: i64) -> Grid {
    Grid::new(&Partitioning::Range { field: "p".into(), start, end, interval }, BqType::Int64).unwrap()
}

fn told(grid: Grid, tokens: &[&str]) -> Option<Vec<(String, String)>> {
    let mut touched = Touched::new(grid);
    tokens.iter().for_each(|token| touched.value(token.as_bytes()));
    let pruned = touched.finish()?;
    Some(pruned.ranges().iter().map(|range| (range.from.clone(), range.to.clone())).collect())
}

fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
    Some(pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect())
}

#[test]
fn each_unit_whole_partitions_and_neighbours_are_one() {
    let day = by_time(BqType::Date, TimeUnit::Day);
    assert_eq!(
        told(day, &["\"2026-03-01\"", "\"2026-02-28\"", "\"2026-03-03\"", "\"2026-03-01\""]),
        pairs(&[("2026-02-28", "2026-03-01"), ("2026-03-03", "2026-03-03")])
    );
    let month = by_time(BqType::Date, TimeUnit::Month);
    assert_eq!(
        told(month, &["\"2024-02-10\"", "\"2026-12-31\"", "\"2027-01-01\""]),
        pairs(&[("2024-02-01", "2024-02-29"), ("2026-12-01", "2027-01-31")])
    );
    let hour = by_time(BqType::Timestamp, TimeUnit::Hour);
    assert_eq!(
        told(hour, &["\"1969-12-31T23:59:59.5Z\"", "\"1969-12-31T23:00:00Z\"", "\"2026-01-01T07:00:00Z\""]),
        pairs(&[
            ("1969-12-31T23:00:00.000000Z", "1969-12-31T23:59:59.999999Z"),
            ("2026-01-01T07:00:00.000000Z", "2026-01-01T07:59:59.999999Z")
        ])
    );
    let year = by_time(BqType::DateTime, TimeUnit::Year);
    assert_eq!(
        told(year, &["\"9999-12-31T23:59:59.999999\"", "\"0001-01-01T00:00:00\""]),
        pairs(&[
            ("0001-01-01T00:00:00.000000", "0001-12-31T23:59:59.999999"),
            ("9999-01-01T00:00:00.000000", "9999-12-31T23:59:59.999999")
        ])
    );
}

#[test]
fn ranges_of_numbers_and_what_is_outside_of_them() {
    let (least, greatest) = (i64::MIN.to_string(), i64::MAX.to_string());
    let grid = by_range(0, 25, 10);
    assert_eq!(told(grid.clone(), &["7", "\"24\""]), pairs(&[("0", "9"), ("20", "24")]));
    assert_eq!(told(grid.clone(), &["-1", "25"]), pairs(&[(&least, "-1"), ("25", &greatest)]));
    assert_eq!(told(grid, &["-1", "5", "15", "24", "99"]), pairs(&[(&least, &greatest)]));
    let widest = by_range(i64::MIN, i64::MAX, 1 << 62);
    assert_eq!(told(widest, &[&least]), pairs(&[(&least, "-4611686018427387905")]));
}

#[test]
fn what_cannot_be_read_leaves_nothing_out() {
    let stamp = || by_time(BqType::Timestamp, TimeUnit::Day);
    for token in [
        "\"2026-01-01T00:00:00\"",
        "\"2026-01-01T00:00:00+01:00\"",
        "\"2026-01-01T00:00:00+01:00Z\"",
        "\"2026-01-01 00:00:00Z\"",
        "\"2026-02-30T00:00:00Z\"",
        "1767225600",
        "",
        "\"",
    ] {
        assert_eq!(told(stamp(), &[token]), None, "{token}");
        assert_eq!(told(stamp(), &["\"2026-01-01T00:30:00Z\"", token]), None, "{token}");
    }
    assert_eq!(told(by_range(0, 10, 1), &["1.5"]), None);
    assert_eq!(told(by_range(0, 10, 1), &[]), None);
    let mut nulls = Touched::new(stamp());
    nulls.null();
    assert!(nulls.finish().is_some_and(|pruned| pruned.nulls() && pruned.ranges().is_empty()));
    let hourly = Partitioning::Time { field: "p".into(), unit: TimeUnit::Hour };
    assert_eq!(Grid::new(&hourly, BqType::Date), None);
    assert_eq!(Grid::new(&hourly, BqType::String), None);
}

/// Whether every value, as a number in the order of its type, is within what is told.
fn covers(pruned: &Pruned, values: &[i128], number: impl Fn(&str) -> i128) -> bool {
    values
        .iter()
        .all(|value| pruned.ranges().iter().any(|range| number(&range.from) <= *value && *value <= number(&range.to)))
}

fn micros(text: &str) -> i128 {
    let at: DateTime = text.trim_end_matches('Z').parse().unwrap();
    at.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_micros()
}

fn unit() -> impl Strategy<Value = TimeUnit> {
    prop::sample::select(vec![TimeUnit::Hour, TimeUnit::Day, TimeUnit::Month, TimeUnit::Year])
}

/// Instants all over the calendar, and such as are near one another.
fn instants() -> impl Strategy<Value = Vec<i64>> {
    let anywhere = CIVIL_MICROS_MIN..=CIVIL_MICROS_MAX;
    let near = 1_700_000_000_000_000..1_700_864_000_000_000_i64;
    let one = prop_oneof![anywhere, near, Just(CIVIL_MICROS_MIN), Just(CIVIL_MICROS_MAX)];
    prop::collection::vec(one, 1..200)
}

fn collected(grid: Grid, tokens: impl Iterator<Item = Vec<u8>>) -> Pruned {
    let mut touched = Touched::new(grid);
    tokens.for_each(|token| touched.value(&token));
    touched.finish().unwrap()
}

proptest! {
    #[test]
    fn instants_are_covered_by_few_ranges(values in instants(), unit in unit(), zoned in any::<bool>()) {
        let ty = if zoned { BqType::Timestamp } else { BqType::DateTime };
        let tokens = values.iter().map(|value| {
            let mut token = Vec::new();
            let _exact = if zoned { json::timestamp(&mut token, *value) } else { json::datetime(&mut token, *value) };
            token
        });
        let pruned = collected(by_time(ty, unit), tokens);
        prop_assert!(pruned.ranges().len() <= Pruned::RANGES_MAX);
        let values: Vec<i128> = values.iter().copied().map(i128::from).collect();
        prop_assert!(covers(&pruned, &values, micros));
    }

    #[test]
    fn days_are_covered_by_few_ranges(values in prop::collection::vec(DAY_MIN..=DAY_MAX, 1..200), unit in unit()) {
        prop_assume!(unit != TimeUnit::Hour);
        let tokens = values.iter().map(|value| {
            let mut token = Vec::new();
            let _exact = json::date(&mut token, *value);
            token
        });
        let pruned = collected(by_time(BqType::Date, unit), tokens);
        prop_assert!(pruned.ranges().len() <= Pruned::RANGES_MAX);
        let values: Vec<i128> = values.iter().map(|days| i128::from(*days) * 86_400_000_000).collect();
        prop_assert!(covers(&pruned, &values, |text| micros(&(text.to_owned() + "T00:00:00"))));
    }

    #[test]
    fn numbers_are_covered_by_few_ranges(
        values in prop::collection::vec(prop_oneof![any::<i64>(), -100..100_000_i64], 1..200),
        start in prop_oneof![any::<i64>(), -50..50_i64],
        width in 1..100_000_i64,
        interval in 1..1_000_i64,
    ) {
        let end = start.saturating_add(width);
        prop_assume!(start < end);
        let tokens = values.iter().map(|value| {
            let mut token = Vec::new();
            json::integer(&mut token, *value);
            token
        });
        let pruned = collected(by_range(start, end, interval), tokens);
        prop_assert!(pruned.ranges().len() <= Pruned::RANGES_MAX);
        let values: Vec<i128> = values.iter().copied().map(i128::from).collect();
        prop_assert!(covers(&pruned, &values, |text| text.parse().unwrap()));
    }

    /// A value that is in no partition of a row's, nor between two that were joined, is left out.
    #[test]
    fn few_partitions_are_told_exactly(days in prop::collection::btree_set(0..10_000_i64, 1..=Pruned::RANGES_MAX)) {
        let tokens = days.iter().map(|value| {
            let mut token = Vec::new();
            let _exact = json::date(&mut token, *value);
            token
        });
        let pruned = collected(by_time(BqType::Date, TimeUnit::Day), tokens);
        let told: i128 = pruned.ranges().iter().map(|range| {
            let day = |text: &str| micros(&(text.to_owned() + "T00:00:00")) / 86_400_000_000;
            day(&range.to) - day(&range.from) + 1
        }).sum();
        prop_assert_eq!(told, i128::try_from(days.len()).unwrap());
    }
}
