//! When a table is run: a cron expression and the zone that it is read in. `plan::schedule` says when that is.

use std::fmt;

use super::near::nearest;

/// Words for whole expressions.
const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Days of each month, in a leap year.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// The most bytes of an expression.
const TEXT_BYTES_MAX: usize = 500;

/// What is wrong with an expression, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSchedule(String);

/// A cron expression that comes, in a zone. A number *n* is in a set if bit *n* is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    /// IANA name of the zone.
    pub zone: String,
    /// 0 to 59.
    pub seconds: u64,
    /// 0 to 59.
    pub minutes: u64,
    /// 0 to 23.
    pub hours: u64,
    /// Of the month, 1 to 31.
    pub days: u64,
    /// 1 to 12.
    pub months: u64,
    /// 0 (Sunday) to 6.
    pub weekdays: u64,
    /// Whether a day that is in one of `days` and `weekdays` is enough, as where neither begins with `*`.
    pub either_day: bool,
}

/// One field of an expression.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", min: 0, max: 59, names: &[] };
const MINUTE: Field = Field { name: "minute", min: 0, max: 59, names: &[] };
const HOUR: Field = Field { name: "hour", min: 0, max: 23, names: &[] };
const DAY: Field = Field { name: "day of the month", min: 1, max: 31, names: &[] };
const MONTH: Field = Field { name: "month", min: 1, max: 12, names: &MONTHS };
// 7 is Sunday too
const WEEKDAY: Field = Field { name: "day of the week", min: 0, max: 7, names: &WEEKDAYS };

impl Schedule {
    /// Reads five fields (minute, hour, day of the month, month, day of the week), six with seconds before them, or
    /// one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    ///
    /// # Errors
    /// What is wrong with it; a day that no month has, too.
    pub fn parse(text: &str, zone: &str) -> Result<Self, InvalidSchedule> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(InvalidSchedule(format!("has more than {TEXT_BYTES_MAX} bytes")));
        }
        let fields: Vec<&str> = expand(text.trim())?.split_ascii_whitespace().collect();
        let (second, rest) = match fields.as_slice() {
            [minute, hour, day, month, weekday] => ("0", [*minute, *hour, *day, *month, *weekday]),
            [second, minute, hour, day, month, weekday] => (*second, [*minute, *hour, *day, *month, *weekday]),
            other => {
                return Err(InvalidSchedule(format!(
                    "{text:?} has {} fields; it takes 5, minute hour day-of-month month day-of-week: `*/5 * * * *` is \
                     every 5 minutes, `30 2 * * *` each day at 2:30",
                    other.len()
                )));
            }
        };
        let [minute, hour, day, month, weekday] = rest;
        let mut weekdays = WEEKDAY.read(weekday)?;
        weekdays = (weekdays | weekdays >> 7) & 0x7f;
        let schedule = Self {
            text: text.trim().to_owned(),
            zone: zone.to_owned(),
            seconds: SECOND.read(second)?,
            minutes: MINUTE.read(minute)?,
            hours: HOUR.read(hour)?,
            days: DAY.read(day)?,
            months: MONTH.read(month)?,
            weekdays,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        if !schedule.comes() {
            return Err(InvalidSchedule(format!("{text:?} never comes: none of its months has such a day")));
        }
        Ok(schedule)
    }

    /// Whether it runs at every hour of the day; else it names times of the day.
    pub fn hourly(&self) -> bool {
        self.hours == (1 << 24) - 1
    }

    /// Whether a month has one of the days; weekdays always come.
    fn comes(&self) -> bool {
        let has = |(month, days): (u32, &u32)| self.months & (1 << month) != 0 && self.days & ((2 << days) - 2) != 0;
        self.either_day || (1..).zip(&MONTH_DAYS).any(has)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn expand(text: &str) -> Result<&str, InvalidSchedule> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let lower = text.to_ascii_lowercase();
    let known = WORDS.iter().find(|(word, _)| *word == lower).map(|(_, fields)| *fields);
    known.ok_or_else(|| {
        let words = WORDS.map(|(word, _)| word).join(", ");
        let near = nearest(&lower, WORDS.map(|(word, _)| (word, word)), 1).pop();
        let hint = near.map_or_else(|| format!("there are {words}"), |word| format!("did you mean {word}?"));
        InvalidSchedule(format!("{text:?} is no word for a schedule; {hint}"))
    })
}

impl Field {
    /// The set that a field's text stands for.
    fn read(&self, text: &str) -> Result<u64, InvalidSchedule> {
        let mut set = 0;
        for item in text.split(',') {
            set |= self.item(item)?;
        }
        Ok(set)
    }

    /// `*`, `n`, `a-b`, each perhaps with `/step`.
    fn item(&self, text: &str) -> Result<u64, InvalidSchedule> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step)?)),
            None => (text, None),
        };
        let (low, high) = if range == "*" {
            // 7 is the same day as 0
            (self.min, if self.max == 7 { 6 } else { self.max })
        } else if let Some((low, high)) = range.split_once('-') {
            (self.number(low)?, self.number(high)?)
        } else if step.is_some() {
            (self.number(range)?, self.max)
        } else {
            let number = self.number(range)?;
            (number, number)
        };
        if low > high {
            return Err(self.fault(&format!("{range:?} goes down; write `{low}-{},{}-{high}`", self.max, self.min)));
        }
        let mut set = 0;
        let mut number = low;
        while number <= high {
            set |= 1 << number;
            number += step.unwrap_or(1);
        }
        Ok(set)
    }

    fn step(&self, text: &str) -> Result<u32, InvalidSchedule> {
        match plain(text) {
            Some(step) if step > 0 && step <= self.max => Ok(step),
            Some(_) | None => Err(self.fault(&format!("{text:?} is not a step; say 1 to {}, as in `*/5`", self.max))),
        }
    }

    fn number(&self, text: &str) -> Result<u32, InvalidSchedule> {
        if let Some(number) = plain(text) {
            let fits = (self.min..=self.max).contains(&number);
            return if fits { Ok(number) } else { Err(self.fault(&format!("{number} is out of its range"))) };
        }
        let lower = text.to_ascii_lowercase();
        let name = (self.min..).zip(self.names).find(|(_, name)| **name == lower).map(|(number, _)| number);
        name.ok_or_else(|| {
            self.fault(&match self.names {
                [first, .., last] => format!("{text:?} is none; say a number, or {first} to {last}"),
                _ => format!("{text:?} is no number"),
            })
        })
    }

    fn fault(&self, problem: &str) -> InvalidSchedule {
        InvalidSchedule(format!("the {} ({} to {}): {problem}", self.name, self.min, self.max))
    }
}

/// Digits and nothing else.
fn plain(text: &str) -> Option<u32> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use proptest::prelude::*;

    use super::*;

    fn set(numbers: impl IntoIterator<Item = u32>) -> u64 {
        numbers.into_iter().fold(0, |set, number| set | 1 << number)
    }

    #[test]
    fn fields_are_sets() {
        let parsed = Schedule::parse("*/20 8-18/5,23 1,15 jan-MAR,12 Mon-fri", "UTC").unwrap();
        assert_eq!((parsed.seconds, parsed.minutes), (1, set([0, 20, 40])));
        assert_eq!((parsed.hours, parsed.days), (set([8, 13, 18, 23]), set([1, 15])));
        assert_eq!((parsed.months, parsed.weekdays), (set([1, 2, 3, 12]), set(1..6)));
        assert!(parsed.either_day && !parsed.hourly());
        assert_eq!(Schedule::parse("* * * * 7", "UTC").unwrap().weekdays, 1);
        assert_eq!(Schedule::parse("* * * * 5-7", "UTC").unwrap().weekdays, set([0, 5, 6]));
        assert_eq!(Schedule::parse("* * * * */2", "UTC").unwrap().weekdays, set([0, 2, 4, 6]));
        assert_eq!(Schedule::parse("5/20 * * * *", "UTC").unwrap().minutes, set([5, 25, 45]));
        assert_eq!(Schedule::parse("*/10 * * * * *", "UTC").unwrap().seconds, set([0, 10, 20, 30, 40, 50]));
        let hourly = Schedule::parse(" @Hourly ", "UTC").unwrap();
        assert!(hourly.hourly() && hourly.minutes == 1 && hourly.to_string() == "@Hourly");
        for (word, fields) in WORDS {
            let (word, fields) = (Schedule::parse(word, "UTC").unwrap(), Schedule::parse(fields, "UTC").unwrap());
            assert_eq!(Schedule { text: String::new(), ..word }, Schedule { text: String::new(), ..fields });
        }
        assert!(Schedule::parse("0 0 29 2 *", "UTC").is_ok());
        // a Friday, or the 31st of a month that has none
        assert!(Schedule::parse("0 0 31 2 5", "UTC").is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_right() {
        for (text, told) in [
            ("", "has 0 fields; it takes 5"),
            ("5 * * *", "has 4 fields; it takes 5"),
            ("1 2 3 4 5 6 7", "has 7 fields"),
            ("60 * * * *", "the minute (0 to 59): 60 is out of its range"),
            ("* 24 * * *", "the hour (0 to 23): 24"),
            ("* * 0 * *", "the day of the month (1 to 31): 0"),
            ("* * * 13 *", "the month (1 to 12): 13"),
            ("* * * foo *", "\"foo\" is none; say a number, or jan to dec"),
            ("* * * * 8", "the day of the week (0 to 7): 8"),
            ("*/0 * * * *", "\"0\" is not a step; say 1 to 59, as in `*/5`"),
            ("*/90 * * * *", "\"90\" is not a step"),
            ("* 22-6 * * *", "\"22-6\" goes down; write `22-23,0-6`"),
            ("1, * * * *", "\"\" is no number"),
            ("+1 * * * *", "\"+1\" is no number"),
            ("* * L * *", "\"L\" is no number"),
            ("0 0 30 2 *", "never comes"),
            ("0 0 31 4,6,9,11 *", "never comes"),
            ("@dayly", "did you mean @daily?"),
            ("@reboot_now_please", "there are @yearly"),
        ] {
            let fault = Schedule::parse(text, "UTC").unwrap_err().to_string();
            assert!(fault.contains(told), "{text}: {fault}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9a-z@*/, -]{0,40}") {
            drop(Schedule::parse(&text, "UTC"));
        }
    }
}
