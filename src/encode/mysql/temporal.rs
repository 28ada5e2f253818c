//! Dates and times. MySQL holds what no calendar has (`0000-00-00`, `2024-05-00`, by leave of
//! `ALLOW_INVALID_DATES` also `2024-02-31`): a position carries them, BigQuery does not.

use crate::audit::Fidelity;
use crate::encode::{Malformed, json};

/// A date and time as it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Civil {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    micros: u32,
}

impl Civil {
    /// Reads DATE, DATETIME and TIMESTAMP: a length byte, then as many parts as are not zero.
    pub(super) fn read(raw: &[u8]) -> Result<Self, Malformed> {
        let (&length, parts) = raw.split_first().ok_or(Malformed)?;
        if usize::from(length) != parts.len() {
            return Err(Malformed);
        }
        let mut value = Self::default();
        match *parts {
            [] => return Ok(value),
            [_, _, _, _] => {}
            [_, _, _, _, hour, minute, second] => (value.hour, value.minute, value.second) = (hour, minute, second),
            [_, _, _, _, hour, minute, second, a, b, c, d] => {
                (value.hour, value.minute, value.second) = (hour, minute, second);
                value.micros = u32::from_le_bytes([a, b, c, d]);
            }
            _ => return Err(Malformed),
        }
        value.year = u16::from_le_bytes([parts[0], parts[1]]);
        (value.month, value.day) = (parts[2], parts[3]);
        let sane = value.year <= 9999 && value.month <= 12 && value.day <= 31;
        if sane && value.hour <= 23 && value.minute <= 59 && value.second <= 59 && value.micros <= 999_999 {
            Ok(value)
        } else {
            Err(Malformed)
        }
    }

    /// Whether the calendar has the day, and BigQuery the year.
    fn exists(self) -> bool {
        let every = |years| self.year.is_multiple_of(years);
        let leap = every(4) && (!every(100) || every(400));
        let days = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 0,
        };
        self.year >= 1 && (1..=days).contains(&self.day)
    }

    /// DATE.
    pub(super) fn write_date(self, out: &mut Vec<u8>) -> Fidelity {
        if !self.exists() {
            return Fidelity::Unrepresentable;
        }
        out.push(b'"');
        json::push_date(out, self.year.into(), self.month.into(), self.day.into());
        out.push(b'"');
        Fidelity::Exact
    }

    /// DATETIME, or TIMESTAMP if `end` says so.
    pub(super) fn write(self, out: &mut Vec<u8>, end: &[u8]) -> Fidelity {
        if !self.exists() {
            return Fidelity::Unrepresentable;
        }
        out.push(b'"');
        self.push(out);
        out.extend_from_slice(end);
        Fidelity::Exact
    }

    /// The nearest day that the calendar has: the first of a month or year for a part that is zero, the last of the
    /// month for a day beyond it.
    pub(super) fn nearest(self) -> Self {
        let mut near = Self { year: self.year.max(1), month: self.month.max(1), day: self.day.max(1), ..self };
        while !near.exists() {
            near.day -= 1;
        }
        near
    }

    fn push(self, out: &mut Vec<u8>) {
        json::push_date(out, self.year.into(), self.month.into(), self.day.into());
        out.push(b'T');
        json::push_time(out, self.hour.into(), self.minute.into(), self.second.into(), self.micros);
    }

    /// `YYYY-MM-DD` of a position.
    pub(super) fn date_text(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// `YYYY-MM-DDTHH:MM:SS[.ffffff]` of a position.
    pub(super) fn text(self, end: &str) -> String {
        let mut out = Vec::with_capacity(27);
        self.push(&mut out);
        String::from_utf8_lossy(&out).into_owned() + end
    }
}

/// A TIME: a span from -838:59:59 to 838:59:59.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    negative: bool,
    hours: u32,
    minute: u8,
    second: u8,
    micros: u32,
}

impl Clock {
    /// Reads TIME: a length byte, sign, days, hours, minutes, seconds and perhaps microseconds.
    pub(super) fn read(raw: &[u8]) -> Result<Self, Malformed> {
        let (&length, parts) = raw.split_first().ok_or(Malformed)?;
        if usize::from(length) != parts.len() {
            return Err(Malformed);
        }
        let (head, micros) = match *parts {
            [] => return Ok(Self::default()),
            [_, _, _, _, _, _, _, _] => (parts, 0),
            [ref head @ .., a, b, c, d] if head.len() == 8 => (head, u32::from_le_bytes([a, b, c, d])),
            _ => return Err(Malformed),
        };
        let &[sign, a, b, c, d, hour, minute, second] = head else { return Err(Malformed) };
        let days = u32::from_le_bytes([a, b, c, d]);
        if sign > 1 || days > 34 || hour > 23 || minute > 59 || second > 59 || micros > 999_999 {
            return Err(Malformed);
        }
        Ok(Self { negative: sign == 1, hours: days * 24 + u32::from(hour), minute, second, micros })
    }

    /// TIME.
    pub(super) fn write(self, out: &mut Vec<u8>) -> Fidelity {
        match self.hours {
            hour @ 0..24 if !self.negative => {
                out.push(b'"');
                json::push_time(out, hour, self.minute.into(), self.second.into(), self.micros);
                out.push(b'"');
                Fidelity::Exact
            }
            _ => Fidelity::Unrepresentable,
        }
    }

    /// The nearest time of a day.
    pub(super) fn nearest(self) -> Self {
        if self.negative {
            return Self::default();
        }
        Self { negative: false, hours: 23, minute: 59, second: 59, micros: 999_999 }
    }

    /// `[-]HH:MM:SS.ffffff` of a position, hours up to 838.
    pub(super) fn text(self) -> String {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{:02}:{:02}:{:02}.{:06}", self.hours, self.minute, self.second, self.micros)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    fn civil(raw: &[u8]) -> (String, String) {
        let value = Civil::read(raw).unwrap();
        let mut out = Vec::new();
        let written = match value.write(&mut out, b"\"") {
            Fidelity::Exact => String::from_utf8(out).unwrap(),
            Fidelity::Unrepresentable | Fidelity::Adjusted | Fidelity::Replaced => "!".to_owned(),
        };
        (written, value.text(""))
    }

    #[test]
    fn parts_that_are_zero_are_not_sent() {
        assert_eq!(civil(&[0]), ("!".into(), "0000-00-00T00:00:00".into()));
        assert_eq!(civil(&[4, 0xe8, 7, 2, 29]), ("\"2024-02-29T00:00:00\"".into(), "2024-02-29T00:00:00".into()));
        assert_eq!(civil(&[7, 0xe8, 7, 2, 29, 12, 34, 56]).0, "\"2024-02-29T12:34:56\"");
        assert_eq!(civil(&[11, 0xe8, 7, 2, 29, 12, 34, 56, 100, 0, 0, 0]).1, "2024-02-29T12:34:56.000100");
    }

    #[test]
    fn days_that_no_calendar_has() {
        for (month, day) in [(0, 1), (5, 0), (2, 30), (4, 31)] {
            assert_eq!(civil(&[4, 0xe8, 7, month, day]).0, "!", "{month} {day}");
        }
        assert_eq!(civil(&[4, 0x6c, 7, 2, 29]).0, "!", "1900 was no leap year");
        assert_eq!(Civil::read(&[4, 0xe8, 7, 13, 1]), Err(Malformed));
        assert_eq!(Civil::read(&[5, 0xe8, 7, 2, 1]), Err(Malformed));
        assert_eq!(Civil::read(&[]), Err(Malformed));
    }

    #[test]
    fn the_nearest_day_and_time() {
        let near = |raw: &[u8]| Civil::read(raw).unwrap().nearest().date_text();
        assert_eq!(near(&[0]), "0001-01-01");
        assert_eq!(near(&[4, 0xe8, 7, 5, 0]), "2024-05-01");
        assert_eq!(near(&[4, 0xe8, 7, 2, 31]), "2024-02-29");
        assert_eq!(Clock::read(&[8, 1, 0, 0, 0, 0, 1, 0, 0]).unwrap().nearest().text(), "00:00:00.000000");
        assert_eq!(Clock::read(&[8, 0, 34, 0, 0, 0, 22, 59, 59]).unwrap().nearest().text(), "23:59:59.999999");
    }

    #[test]
    fn times_are_spans() {
        let write = |raw: &[u8]| {
            let value = Clock::read(raw).unwrap();
            let mut out = Vec::new();
            let exact = value.write(&mut out) == Fidelity::Exact;
            (exact.then(|| String::from_utf8(out).unwrap()), value.text())
        };
        assert_eq!(write(&[0]), (Some("\"00:00:00\"".into()), "00:00:00.000000".into()));
        assert_eq!(write(&[8, 0, 0, 0, 0, 0, 23, 59, 59]).0.unwrap(), "\"23:59:59\"");
        assert_eq!(write(&[12, 0, 0, 0, 0, 0, 12, 0, 0, 0x20, 0xa1, 7, 0]).0.unwrap(), "\"12:00:00.500000\"");
        assert_eq!(write(&[8, 0, 34, 0, 0, 0, 22, 59, 59]), (None, "838:59:59.000000".into()));
        assert_eq!(write(&[8, 1, 0, 0, 0, 0, 1, 0, 0]), (None, "-01:00:00.000000".into()));
        assert_eq!(Clock::read(&[8, 2, 0, 0, 0, 0, 1, 0, 0]), Err(Malformed));
        assert_eq!(Clock::read(&[4, 0, 0, 0, 0]), Err(Malformed));
    }
}
