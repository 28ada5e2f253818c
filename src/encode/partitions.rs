//! Which partitions of the target the rows of a read are in: told by what was written of each row, so that no setting of a
//! column and no conversion can be overlooked. Pure.
//!
//! Bounded: at most [`Pruned::RANGES_MAX`] ranges of partitions; beyond that the two nearest become one. What is told is
//! never less than what was written: a value that cannot be read here makes it nothing, and nothing is then left out.

use super::json;
use crate::model::{BqType, PartitionRange, PartitionType, Partitioning, Pruned, TimeUnit};

const HOUR_MICROS: i64 = 3_600_000_000;
const HOURS_OF_DAY: i64 = 24;
const MONTHS_OF_YEAR: i64 = 12;

/// How a target is divided, by a column that rows are written with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    column: String,
    ty: PartitionType,
    step: Step,
}

/// What a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Time(TimeUnit),
    Range { start: i64, end: i64, interval: i64 },
}

impl Grid {
    /// The partitions of a table whose partition column is of type `ty`; `None` if there are no such partitions.
    pub fn new(partitioning: &Partitioning, ty: BqType) -> Option<Self> {
        let (column, step) = match partitioning {
            Partitioning::Time { field, unit } => (field, Step::Time(*unit)),
            Partitioning::Range { field, start, end, interval } => {
                (field, Step::Range { start: *start, end: *end, interval: *interval })
            }
        };
        let ty = match (ty, step) {
            (BqType::Date, Step::Time(TimeUnit::Day | TimeUnit::Month | TimeUnit::Year)) => PartitionType::Date,
            (BqType::DateTime, Step::Time(_)) => PartitionType::DateTime,
            (BqType::Timestamp, Step::Time(_)) => PartitionType::Timestamp,
            (BqType::Int64, Step::Range { start, end, interval }) if start < end && interval > 0 => {
                PartitionType::Int64
            }
            (_, Step::Time(_) | Step::Range { .. }) => return None,
        };
        Some(Self { column: column.clone(), ty, step })
    }

    /// The partition column's name in BigQuery.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The number of the partition that a written value is in, in the order of partitions; `None` for what is not a value of
    /// the type in the form in which `json` writes it.
    fn partition(&self, token: &[u8]) -> Option<i64> {
        let text = std::str::from_utf8(token).ok()?;
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match (self.ty, self.step) {
            (PartitionType::Int64, Step::Range { start, end, interval }) => {
                let value: i64 = bare.unwrap_or(text).parse().ok()?;
                Some(number_of(value, start, end, interval))
            }
            (PartitionType::Date, Step::Time(unit)) => of_day(day(bare?)?, unit),
            (PartitionType::DateTime, Step::Time(unit)) => of_time(bare?, unit),
            (PartitionType::Timestamp, Step::Time(unit)) => of_time(bare?.strip_suffix('Z')?, unit),
            (PartitionType::Int64, Step::Time(_))
            | (PartitionType::Date | PartitionType::DateTime | PartitionType::Timestamp, Step::Range { .. }) => None,
        }
    }

    /// The values of these partitions, from the first to the last.
    fn values(&self, (first, last): (i64, i64)) -> Option<PartitionRange> {
        if let Step::Range { start, end, interval } = self.step {
            let (from, to) = (least(first, start, end, interval), greatest(last, start, end, interval));
            return Some(PartitionRange { from: from.to_string(), to: to.to_string() });
        }
        let Step::Time(unit) = self.step else { return None };
        let (from, _) = hours(first, unit)?;
        let (_, to) = hours(last, unit)?;
        let text = |micros: i64| {
            let (day, of_day) = (micros.div_euclid(json::DAY_MICROS), micros.rem_euclid(json::DAY_MICROS));
            let (year, month, day) = json::civil_from_days(day);
            let date = format!("{year:04}-{month:02}-{day:02}");
            let (second, micro) = (of_day / 1_000_000, of_day % 1_000_000);
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            let time = format!("T{hour:02}:{minute:02}:{second:02}.{micro:06}");
            match self.ty {
                PartitionType::Date | PartitionType::Int64 => date,
                PartitionType::DateTime => date + &time,
                PartitionType::Timestamp => date + &time + "Z",
            }
        };
        Some(PartitionRange { from: text(from), to: text(to) })
    }
}

/// The number of a value's partition: -1 below all, and one more than the last's beyond them.
fn number_of(value: i64, start: i64, end: i64, interval: i64) -> i64 {
    if value < start {
        return -1;
    }
    let steps = |value: i64| (i128::from(value) - i128::from(start)) / i128::from(interval);
    let number = if value < end { steps(value) } else { steps(end - 1) + 1 };
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn least(number: i64, start: i64, end: i64, interval: i64) -> i64 {
    if number < 0 {
        return i64::MIN;
    }
    let first = i128::from(start) + i128::from(number) * i128::from(interval);
    i64::try_from(first).unwrap_or(end).min(end)
}

fn greatest(number: i64, start: i64, end: i64, interval: i64) -> i64 {
    if number < 0 {
        return start.saturating_sub(1);
    }
    let (from, next) = (least(number, start, end, interval), least(number.saturating_add(1), start, end, interval));
    if from >= end { i64::MAX } else { next - 1 }
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
fn day(text: &str) -> Option<i64> {
    let date: jiff::civil::Date = text.parse().ok()?;
    let epoch = jiff::civil::date(1970, 1, 1);
    let days = i64::from(date.since(epoch).ok()?.get_days());
    (text.len() == "YYYY-MM-DD".len() && (json::DAY_MIN..=json::DAY_MAX).contains(&days)).then_some(days)
}

fn of_day(days: i64, unit: TimeUnit) -> Option<i64> {
    let (year, month, _) = json::civil_from_days(days);
    match unit {
        TimeUnit::Hour => None,
        TimeUnit::Day => Some(days),
        TimeUnit::Month => Some(year * MONTHS_OF_YEAR + i64::from(month) - 1),
        TimeUnit::Year => Some(year),
    }
}

/// The partition of `YYYY-MM-DDTHH:MM:SS[.ffffff]`.
fn of_time(text: &str, unit: TimeUnit) -> Option<i64> {
    let at: jiff::civil::DateTime = text.parse().ok()?;
    let (date, time) = text.split_once('T')?;
    // an offset would say another time
    if !time.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.')) {
        return None;
    }
    let days = day(date)?;
    match unit {
        TimeUnit::Hour => Some(days * HOURS_OF_DAY + i64::from(at.hour())),
        TimeUnit::Day | TimeUnit::Month | TimeUnit::Year => of_day(days, unit),
    }
}

/// The first and the last microsecond of a partition in time.
fn hours(number: i64, unit: TimeUnit) -> Option<(i64, i64)> {
    let of = |number: i64| match unit {
        TimeUnit::Hour => Some(number * HOUR_MICROS),
        TimeUnit::Day => Some(number * json::DAY_MICROS),
        TimeUnit::Month => first_of(number.div_euclid(MONTHS_OF_YEAR), number.rem_euclid(MONTHS_OF_YEAR) + 1),
        TimeUnit::Year => first_of(number, 1),
    };
    // the last partition of all ends where the calendar does
    Some((of(number)?, of(number + 1).map_or(json::CIVIL_MICROS_MAX, |next| next - 1)))
}

fn first_of(year: i64, month: i64) -> Option<i64> {
    Some(day(&format!("{year:04}-{month:02}-01"))? * json::DAY_MICROS)
}

/// The partitions that rows were written to.
#[derive(Clone, Debug)]
pub struct Touched {
    grid: Grid,
    /// First and last numbers of partitions, ascending, with a partition between any two.
    ranges: Vec<(i64, i64)>,
    nulls: bool,
    /// A value could not be read.
    lost: bool,
    /// The value before, up to the place from which its partition does not depend on it.
    last: Vec<u8>,
}

impl Touched {
    /// No partition.
    pub fn new(grid: Grid) -> Self {
        Self { grid, ranges: Vec::new(), nulls: false, lost: false, last: Vec::new() }
    }

    /// A row has NULL.
    pub fn null(&mut self) {
        self.nulls = true;
    }

    /// A row has this value, as it is written.
    pub fn value(&mut self, token: &[u8]) {
        // most rows are in the partition of the row before
        let told = match self.grid.ty {
            PartitionType::Date | PartitionType::Int64 => token.len(),
            PartitionType::DateTime | PartitionType::Timestamp => "\"YYYY-MM-DDTHH".len(),
        };
        if token.get(..told) == Some(self.last.as_slice()) && token.get(told..).is_some_and(|rest| self.is_end(rest)) {
            return;
        }
        match self.grid.partition(token) {
            Some(partition) => {
                self.last.clear();
                self.last.extend_from_slice(token.get(..told).unwrap_or_default());
                self.add(partition);
            }
            None => self.lost = true,
        }
    }

    /// Whether these are minutes and seconds, and nothing that would say another hour.
    fn is_end(&self, rest: &[u8]) -> bool {
        let end = match self.grid.ty {
            PartitionType::Date | PartitionType::Int64 => return rest.is_empty(),
            PartitionType::DateTime => rest.strip_suffix(b"\""),
            PartitionType::Timestamp => rest.strip_suffix(b"Z\""),
        };
        end.is_some_and(|end| end.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.')))
    }

    fn add(&mut self, partition: i64) {
        let at = self.ranges.partition_point(|(_, last)| *last < partition);
        if self.ranges.get(at).is_some_and(|(first, _)| *first <= partition) {
            return;
        }
        self.ranges.insert(at, (partition, partition));
        self.join(|gap| gap <= 1);
        if self.ranges.len() > Pruned::RANGES_MAX {
            let gaps = self.ranges.windows(2).filter_map(gap);
            let least = gaps.min().unwrap_or(i64::MAX);
            self.join(|gap| gap <= least);
        }
    }

    /// Makes one of two neighbours that are so near.
    fn join(&mut self, near: impl Fn(i64) -> bool) {
        let mut joined: Vec<(i64, i64)> = Vec::with_capacity(self.ranges.len());
        for &(first, last) in &self.ranges {
            match joined.last_mut() {
                Some(before) if near(first.saturating_sub(before.1)) => before.1 = last,
                Some(_) | None => joined.push((first, last)),
            }
        }
        self.ranges = joined;
    }

    /// What the column can be in the rows; `None` if that cannot be told, or there was no row.
    pub fn finish(self) -> Option<Pruned> {
        if self.lost {
            return None;
        }
        let ranges: Option<Vec<PartitionRange>> = self.ranges.iter().map(|range| self.grid.values(*range)).collect();
        Pruned::new(self.grid.column.clone(), self.grid.ty, ranges?, self.nulls).ok()
    }
}

fn gap(pair: &[(i64, i64)]) -> Option<i64> {
    match pair {
        [(_, last), (first, _)] => Some(first.saturating_sub(*last)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
