//! How rows that are gone at the source leave the target.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Bound, BqType, OutOfRange};

/// What becomes of a row of the target that is gone at the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// It stays, with the time in `_deleted_at`; a row that comes back has NULL there again.
    Soft,
    /// It is deleted.
    Hard,
}

impl Removal {
    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }
}

/// A table's settings for rows that are gone at the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletesSettings {
    /// What becomes of them.
    pub removal: Removal,
    /// How often they are looked for, by the source's clock; zero for each run.
    pub every: Duration,
    /// The greatest part of the target's rows that may go at once.
    pub max_fraction: Fraction,
}

/// A part of a whole, from 0 to 1, to a millionth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Fraction(u32);

impl Fraction {
    /// The whole, in the unit that [`Fraction::millionths`] gives.
    pub const WHOLE: u32 = 1_000_000;
    /// Everything.
    pub const ALL: Self = Self(Self::WHOLE);
    /// Everything but a millionth.
    pub const NOT_ALL: Self = Self(Self::WHOLE - 1);

    /// From a decimal number such as `0.2`; `None` if it is none from 0 to 1 with at most six digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
        if digits.len() > 6 || !(digits.bytes().chain(whole.bytes())).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let whole: u32 = whole.parse().ok()?;
        let part: u32 = format!("{digits:0<6}").parse().ok()?;
        Self::try_from(whole.checked_mul(Self::WHOLE)?.checked_add(part)?).ok()
    }

    /// Millionths of the whole.
    pub fn millionths(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Fraction {
    type Error = OutOfRange;

    fn try_from(millionths: u32) -> Result<Self, OutOfRange> {
        if millionths > Self::WHOLE {
            let max = Self::WHOLE.into();
            return Err(OutOfRange { value: millionths.into(), min: 0, max, unit: "millionths" });
        }
        Ok(Self(millionths))
    }
}

impl From<Fraction> for u32 {
    fn from(fraction: Fraction) -> u32 {
        fraction.0
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{}.{:06}", self.0 / Self::WHOLE, self.0 % Self::WHOLE);
        f.write_str(digits.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// What an intent says whose parts hold the source's keys: the target's rows without a match go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletesPass {
    /// What becomes of them.
    pub removal: Removal,
    /// The greatest part of the target's rows that may go; more, and the statement changes nothing.
    pub max_fraction: Fraction,
    /// Name of the cursor's column in BigQuery.
    pub cursor: String,
    /// The cursor's type in BigQuery.
    pub cursor_type: BqType,
    /// Rows whose cursor is beyond it are newer than the keys, and stay. As BigQuery writes a value of that type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Bound>,
    /// The source's clock before the keys were read, microseconds since the epoch.
    pub at_us: i64,
}

/// What the state remembers of the last look for rows that are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletesDone {
    /// The source's clock before its keys were read, microseconds since the epoch.
    pub at_us: i64,
    /// Why nothing was deleted, if too many rows would have gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl DeletesSettings {
    /// Whether it is time to look, by the source's clock.
    pub fn is_due(&self, last: Option<&DeletesDone>, now_us: i64) -> bool {
        let every_us = i64::try_from(self.every.as_micros()).unwrap_or(i64::MAX);
        last.is_none_or(|last| now_us.saturating_sub(last.at_us) >= every_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_read_and_written() {
        for (text, millionths) in
            [("0", 0), ("1", 1_000_000), ("0.2", 200_000), ("1.000000", 1_000_000), ("0.000001", 1)]
        {
            assert_eq!(Fraction::parse(text).map(Fraction::millionths), Some(millionths), "{text}");
        }
        for text in ["", ".5", "1.1", "2", "-0.1", "0.1234567", "20%", "0,2", "1e-1", "99999999999"] {
            assert_eq!(Fraction::parse(text), None, "{text}");
        }
        assert_eq!(Fraction::parse("0.20").map(|fraction| fraction.to_string()), Some("0.2".to_owned()));
        assert_eq!(Fraction::ALL.to_string(), "1");
    }

    #[test]
    fn the_cadence_is_by_the_sources_clock() {
        let settings =
            DeletesSettings { removal: Removal::Soft, every: Duration::from_secs(60), max_fraction: Fraction::ALL };
        let last = DeletesDone { at_us: 1_000_000, refused: None };
        assert!(settings.is_due(None, 0));
        assert!(!settings.is_due(Some(&last), 60_999_999));
        assert!(settings.is_due(Some(&last), 61_000_000));
    }
}
