//! Changes a value that is written already into that of another BigQuery type: for columns whose type is overridden.
//! Works on the value's JSON token, so it serves both databases; only overridden columns pay for it. Pure.
//!
//! A value that the other type does not hold exactly is unrepresentable; a FLOAT64 holds a decimal if its shortest
//! text is that decimal.

use std::fmt;
use std::sync::Arc;

use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};
use sha2::{Digest as _, Sha256};

use super::{decimal, json};
use crate::audit::Fidelity;
use crate::model::Secret;

/// The most digits that an exponent may add to a float's text: beyond any type of BigQuery's.
const EXPONENT_MAX: u32 = 400;

/// What is made of a written value.
#[derive(Clone, PartialEq)]
pub enum Cast {
    /// INT64 of a number or BOOL.
    Integer,
    /// FLOAT64 of a number or BOOL.
    Float,
    /// NUMERIC of a number or BOOL.
    Numeric,
    /// BIGNUMERIC of a number or BOOL.
    BigNumeric,
    /// BOOL of a number: 0 and 1.
    Boolean,
    /// TIMESTAMP of a DATETIME or DATE in that zone.
    Instant(TimeZone),
    /// DATETIME of a TIMESTAMP (in UTC) or DATE.
    Civil,
    /// STRING: the SHA-256 of salt and value, in hexadecimal.
    Hash(Arc<Secret>),
}

impl fmt::Debug for Cast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "Integer",
            Self::Float => "Float",
            Self::Numeric => "Numeric",
            Self::BigNumeric => "BigNumeric",
            Self::Boolean => "Boolean",
            Self::Instant(_) => "Instant",
            Self::Civil => "Civil",
            Self::Hash(_) => "Hash",
        })
    }
}

impl Cast {
    /// Replaces the token at `out[start..]`, which was made of `raw`. If the outcome is unrepresentable, what is
    /// there is without meaning and must be taken back.
    pub fn apply(&self, out: &mut Vec<u8>, start: usize, raw: &[u8]) -> Fidelity {
        if let Self::Hash(salt) = self {
            out.truncate(start);
            return hash(out, salt, raw);
        }
        self.write(out, start, false)
    }

    /// Replaces the token by the nearest value of the type; `false` if there is none.
    pub fn clamp(&self, out: &mut Vec<u8>, start: usize) -> bool {
        self.write(out, start, true) != Fidelity::Unrepresentable
    }

    fn write(&self, out: &mut Vec<u8>, start: usize, clamp: bool) -> Fidelity {
        // tokens of numbers and times are ASCII
        let token = String::from_utf8_lossy(&out[start..]).into_owned();
        let text = token.trim_matches('"');
        out.truncate(start);
        match self {
            Self::Instant(zone) => instant(out, text, zone, clamp),
            Self::Civil => match text.strip_suffix('Z') {
                Some(civil) => quoted(out, civil, ""),
                None => quoted(out, text, "T00:00:00"),
            },
            Self::Hash(_) => Fidelity::Unrepresentable,
            Self::Integer | Self::Float | Self::Numeric | Self::BigNumeric | Self::Boolean => {
                let number = match text {
                    "true" => Some("1".to_owned()),
                    "false" => Some("0".to_owned()),
                    text => plain(text),
                };
                match number {
                    Some(number) => self.number(out, &number, clamp),
                    None if matches!(self, Self::Float) && matches!(text, "NaN" | "Infinity" | "-Infinity") => {
                        quoted(out, text, "")
                    }
                    None if clamp && matches!(text, "Infinity" | "-Infinity") => self.end(out, text.starts_with('-')),
                    None => Fidelity::Unrepresentable,
                }
            }
        }
    }

    /// The end of the type, which is nearest to an infinity.
    fn end(&self, out: &mut Vec<u8>, negative: bool) -> Fidelity {
        match self {
            Self::Integer => json::integer(out, if negative { i64::MIN } else { i64::MAX }),
            Self::Numeric => decimal::end(out, negative, &decimal::NUMERIC),
            Self::BigNumeric => decimal::end(out, negative, &decimal::BIGNUMERIC),
            Self::Boolean => json::boolean(out, true),
            Self::Float | Self::Instant(_) | Self::Civil | Self::Hash(_) => return Fidelity::Unrepresentable,
        }
        Fidelity::Adjusted
    }

    fn number(&self, out: &mut Vec<u8>, number: &str, clamp: bool) -> Fidelity {
        let bounded = |out: &mut Vec<u8>, limits: &decimal::Limits| {
            let written = decimal::write(out, number.as_bytes(), limits);
            match written {
                Ok(Fidelity::Unrepresentable) if clamp => {
                    decimal::clamp(out, number.as_bytes(), limits).map(|()| Fidelity::Adjusted)
                }
                written => written,
            }
            .unwrap_or(Fidelity::Unrepresentable)
        };
        match self {
            Self::Numeric => bounded(out, &decimal::NUMERIC),
            Self::BigNumeric => bounded(out, &decimal::BIGNUMERIC),
            Self::Float => float(out, number, clamp),
            Self::Integer => integer(out, number, clamp),
            Self::Boolean => match (normal(number).as_str(), clamp) {
                (digit @ ("0" | "1"), _) => {
                    json::boolean(out, digit == "1");
                    Fidelity::Exact
                }
                (_, true) => {
                    json::boolean(out, true);
                    Fidelity::Adjusted
                }
                (_, false) => Fidelity::Unrepresentable,
            },
            Self::Instant(_) | Self::Civil | Self::Hash(_) => Fidelity::Unrepresentable,
        }
    }
}

fn quoted(out: &mut Vec<u8>, text: &str, end: &str) -> Fidelity {
    json::plain_string(out, &[text.as_bytes(), end.as_bytes()].concat());
    Fidelity::Exact
}

/// `SHA256(CONCAT(salt, value))`, so that SQL can make the same.
fn hash(out: &mut Vec<u8>, salt: &Secret, raw: &[u8]) -> Fidelity {
    let digest = Sha256::new().chain_update(salt.expose().as_bytes()).chain_update(raw).finalize();
    out.push(b'"');
    for byte in digest {
        let hex = b"0123456789abcdef";
        out.extend_from_slice(&[hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]]);
    }
    out.push(b'"');
    Fidelity::Exact
}

fn float(out: &mut Vec<u8>, number: &str, clamp: bool) -> Fidelity {
    let Ok(value) = number.parse::<f64>() else { return Fidelity::Unrepresentable };
    let shortest = value.is_finite().then(|| plain(zmij::Buffer::new().format_finite(value))).flatten();
    let exact = shortest.is_some_and(|shortest| normal(&shortest) == normal(number));
    if !exact && !clamp {
        return Fidelity::Unrepresentable;
    }
    json::double(out, value.clamp(f64::MIN, f64::MAX));
    if exact { Fidelity::Exact } else { Fidelity::Adjusted }
}

fn integer(out: &mut Vec<u8>, number: &str, clamp: bool) -> Fidelity {
    let normal = normal(number);
    if let Ok(value) = normal.parse::<i64>() {
        json::integer(out, value);
        return Fidelity::Exact;
    }
    if !clamp {
        return Fidelity::Unrepresentable;
    }
    let (whole, fraction) = normal.split_once('.').unwrap_or((&normal, ""));
    let negative = whole.starts_with('-');
    let end = if negative { i64::MIN } else { i64::MAX };
    // rounded half away from zero
    let away = i64::from(fraction.as_bytes().first().is_some_and(|&digit| digit >= b'5'));
    let away = if negative { -away } else { away };
    json::integer(out, whole.parse::<i64>().map_or(end, |whole| whole.saturating_add(away)));
    Fidelity::Adjusted
}

fn instant(out: &mut Vec<u8>, text: &str, zone: &TimeZone, clamp: bool) -> Fidelity {
    let civil = text.parse::<civil::DateTime>();
    let Ok(civil) = civil else { return Fidelity::Unrepresentable };
    let (offset, unique) = match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => (offset, true),
        // of a time that comes twice the first
        AmbiguousOffset::Fold { before, .. } => (before, false),
        // one that never comes would be another's instant
        AmbiguousOffset::Gap { before, .. } if clamp => (before, false),
        AmbiguousOffset::Gap { .. } => return Fidelity::Unrepresentable,
    };
    // the library's instants end a day before BigQuery's, so they are counted here
    let since_epoch = civil.duration_since(civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let Ok(micros) = i64::try_from(since_epoch.as_micros()) else { return Fidelity::Unrepresentable };
    let micros = micros - i64::from(offset.seconds()) * 1_000_000;
    let near = if clamp { micros.clamp(json::CIVIL_MICROS_MIN, json::CIVIL_MICROS_MAX) } else { micros };
    let written = json::timestamp(out, near);
    if written == Fidelity::Exact && !(unique && near == micros) { Fidelity::Adjusted } else { written }
}

/// A number's text without an exponent; `None` for what is no finite number.
fn plain(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let figures = format!("{whole}{fraction}");
    if figures.is_empty()
        || !figures.bytes().all(|byte| byte.is_ascii_digit())
        || exponent.unsigned_abs() > EXPONENT_MAX
    {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()? + exponent;
    let (left, right) = match usize::try_from(point) {
        Ok(point) if point <= figures.len() => (figures[..point].to_owned(), figures[point..].to_owned()),
        Ok(point) => (format!("{figures}{}", "0".repeat(point - figures.len())), String::new()),
        Err(_negative) => (String::new(), format!("{}{figures}", "0".repeat(point.unsigned_abs() as usize))),
    };
    Some(if right.is_empty() { format!("{sign}{left}") } else { format!("{sign}{left}.{right}") })
}

/// A plain number without zeros that say nothing.
fn normal(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    match (whole, fraction) {
        ("0", "") => "0".to_owned(),
        (_, "") => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cast(cast: &Cast, token: &str) -> String {
        let mut out = token.as_bytes().to_vec();
        match cast.apply(&mut out, 0, token.as_bytes()) {
            Fidelity::Unrepresentable => {
                let mut out = token.as_bytes().to_vec();
                let near = cast.clamp(&mut out, 0);
                if near { format!("!{}", String::from_utf8_lossy(&out)) } else { "!".to_owned() }
            }
            Fidelity::Adjusted => format!("~{}", String::from_utf8_lossy(&out)),
            Fidelity::Exact | Fidelity::Replaced => String::from_utf8_lossy(&out).into_owned(),
        }
    }

    #[test]
    fn numbers_keep_their_value_or_say_so() {
        assert_eq!(cast(&Cast::Integer, "\"12.00\""), "12");
        assert_eq!(cast(&Cast::Integer, "\"12.50\""), "!13");
        assert_eq!(cast(&Cast::Integer, "\"-12.50\""), "!-13");
        assert_eq!(cast(&Cast::Integer, "\"18446744073709551615\""), "!\"9223372036854775807\"");
        assert_eq!(cast(&Cast::Integer, "true"), "1");
        assert_eq!(cast(&Cast::Integer, "1e3"), "1000");
        assert_eq!(cast(&Cast::Integer, "\"NaN\""), "!");
        assert_eq!(cast(&Cast::Float, "\"0.10\""), "0.1");
        assert_eq!(cast(&Cast::Float, "\"9007199254740993\""), "!9007199254740992.0");
        assert_eq!(cast(&Cast::Float, "\"3.14159265358979323846\""), "!3.141592653589793");
        assert_eq!(cast(&Cast::Float, "\"NaN\""), "\"NaN\"");
        assert_eq!(cast(&Cast::Float, "-0.0"), "-0.0");
        assert_eq!(cast(&Cast::Numeric, "1e-7"), "\"0.0000001\"");
        assert_eq!(cast(&Cast::Numeric, "1e-10"), "!\"0.000000000\"");
        assert_eq!(cast(&Cast::BigNumeric, "-5e-324"), format!("!\"-0.{}\"", "0".repeat(38)));
        assert_eq!(cast(&Cast::Boolean, "1"), "true");
        assert_eq!(cast(&Cast::Boolean, "7"), "!true");
    }

    #[test]
    fn infinities_are_nearest_to_the_ends() {
        assert_eq!(cast(&Cast::Integer, "\"-Infinity\""), "!\"-9223372036854775808\"");
        assert_eq!(cast(&Cast::Numeric, "\"Infinity\""), "!\"99999999999999999999999999999.999999999\"");
        assert!(cast(&Cast::BigNumeric, "\"-Infinity\"").starts_with("!\"-578960446186580977117854925043439539266."));
        assert_eq!(cast(&Cast::Boolean, "\"Infinity\""), "!true");
        assert_eq!(cast(&Cast::Float, "\"Infinity\""), "\"Infinity\"");
    }

    #[test]
    fn endless_exponents_are_no_numbers() {
        for token in ["1e-2147483648", "1e2147483647", "1e99999999999", "1e401", "1e-401"] {
            assert_eq!(cast(&Cast::Numeric, token), "!", "{token}");
        }
    }

    #[test]
    fn civil_times_become_instants_of_their_zone() -> Result<(), jiff::Error> {
        let berlin = Cast::Instant(TimeZone::get("Europe/Berlin")?);
        assert_eq!(cast(&berlin, "\"2024-01-15T12:00:00.5\""), "\"2024-01-15T11:00:00.500000Z\"");
        assert_eq!(cast(&berlin, "\"2024-07-01\""), "\"2024-06-30T22:00:00Z\"");
        // the hour that comes twice, and the one that never comes
        assert_eq!(cast(&berlin, "\"2024-10-27T02:30:00\""), "~\"2024-10-27T00:30:00Z\"");
        assert_eq!(cast(&berlin, "\"2024-03-31T02:30:00\""), "!\"2024-03-31T01:30:00Z\"");
        // the local times before and behind BigQuery's first and last instant
        assert_eq!(cast(&berlin, "\"0001-01-01T00:00:00\""), "!\"0001-01-01T00:00:00Z\"");
        let york = Cast::Instant(TimeZone::get("America/New_York")?);
        assert_eq!(cast(&york, "\"9999-12-31T23:00:00\""), "!\"9999-12-31T23:59:59.999999Z\"");
        assert_eq!(cast(&berlin, "\"9999-12-31T23:59:59.999999\""), "\"9999-12-31T22:59:59.999999Z\"");
        assert_eq!(cast(&Cast::Instant(TimeZone::UTC), "\"9999-12-31\""), "\"9999-12-31T00:00:00Z\"");
        assert_eq!(cast(&Cast::Civil, "\"2024-07-01T10:00:00Z\""), "\"2024-07-01T10:00:00\"");
        assert_eq!(cast(&Cast::Civil, "\"2024-07-01\""), "\"2024-07-01T00:00:00\"");
        Ok(())
    }

    #[test]
    fn a_hash_is_that_of_salt_and_value() {
        let hash = Cast::Hash(Arc::new(Secret::new("abc".to_owned())));
        // SHA-256 of "abcabc"
        let expected = "bbb59da3af939f7af5f360f2ceb80a496e3bae1cd87dde426db0ae40677e1c2c";
        assert_eq!(cast(&hash, "abc"), format!("\"{expected}\""));
        assert_eq!(format!("{hash:?}"), "Hash");
    }
}
