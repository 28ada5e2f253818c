//! Reads PostgreSQL's binary values: one [`PgCodec`] per column, chosen once, from raw bytes to NDJSON. Pure.
//!
//! The binary forms are those of the types' `send` functions; dates and times count from 2000-01-01.
//! Types whose binary form is not known here are selected as `text` and read by [`PgCodec::Text`].

mod numeric;
mod position;
#[cfg(test)]
mod tests;

use crate::audit::Fidelity;
use crate::encode::row::ROW_BYTES_MAX;
use crate::encode::{Malformed, RowCodec, decimal, json, json_text};
use numeric::{Limit, Numeric};

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const EPOCH_DAYS: i64 = 10_957;
/// Microseconds from 1970-01-01 to 2000-01-01.
pub const EPOCH_MICROS: i64 = EPOCH_DAYS * json::DAY_MICROS;
/// The most dimensions of an array (`MAXDIM`).
const DIMENSIONS_MAX: i32 = 6;
/// The most seconds that a `timetz`'s zone is away from UTC: 15:59:59.
const ZONE_SECONDS_MAX: u32 = 16 * 3600 - 1;
/// The version byte in front of a `jsonb`'s text.
const JSONB_VERSION: u8 = 1;

/// How one column's bytes are read, and what they become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PgCodec {
    /// `boolean` → BOOL.
    Bool,
    /// `smallint` → INT64.
    Int2,
    /// `integer` → INT64.
    Int4,
    /// `bigint` → INT64.
    Int8,
    /// `oid`, unsigned → INT64.
    Oid,
    /// `real` → FLOAT64.
    Float4,
    /// `double precision` → FLOAT64.
    Float8,
    /// `numeric` → NUMERIC.
    Numeric,
    /// `numeric` → BIGNUMERIC.
    BigNumeric,
    /// `numeric` → STRING, with the scale that the database prints.
    NumericText,
    /// `date` → DATE.
    Date,
    /// `time` → TIME.
    Time,
    /// `timetz` → TIME in UTC.
    TimeTz,
    /// `timestamp` → DATETIME.
    Timestamp,
    /// `timestamptz` → TIMESTAMP.
    TimestampTz,
    /// `uuid` → STRING.
    Uuid,
    /// `bytea` → BYTES.
    Bytea,
    /// Any text → STRING.
    Text,
    /// The text of a `json` → JSON.
    Json,
    /// `jsonb` → JSON.
    Jsonb,
    /// `bytea` that may be no UTF-8 → STRING.
    Utf8,
    /// EWKT, of SRID 4326 → GEOGRAPHY.
    Wkt,
    /// Text that may be no JSON → JSON.
    CheckedJson,
    /// An array of one dimension without NULLs, each element read so → REPEATED.
    Repeated(&'static PgCodec),
}

impl PgCodec {
    /// Writes the value in BigQuery's NDJSON form. If it is unrepresentable, a piece of it may be written, which must be
    /// taken back.
    ///
    /// # Errors
    /// [`Malformed`] if `raw` is not of the type; `out` may then hold a piece of it.
    #[inline]
    pub fn write(self, out: &mut Vec<u8>, raw: &[u8]) -> Result<Fidelity, Malformed> {
        match self {
            Self::Bool => json::boolean(out, boolean(raw)?),
            Self::Int2 => json::integer(out, i16::from_be_bytes(array(raw)?).into()),
            Self::Int4 => json::integer(out, i32::from_be_bytes(array(raw)?).into()),
            Self::Int8 => json::integer(out, i64::from_be_bytes(array(raw)?)),
            Self::Oid => json::integer(out, u32::from_be_bytes(array(raw)?).into()),
            Self::Float4 => json::single(out, f32::from_be_bytes(array(raw)?)),
            Self::Float8 => json::double(out, f64::from_be_bytes(array(raw)?)),
            Self::NumericText => Numeric::parse(raw)?.write_text(out),
            Self::Uuid => {
                let bytes = array(raw)?;
                out.push(b'"');
                push_uuid(out, bytes);
                out.push(b'"');
            }
            Self::Bytea => json::bytes(out, raw),
            // the rest may not fit
            Self::Numeric => return Ok(Numeric::parse(raw)?.write_limited(out, Limit::NUMERIC)),
            Self::BigNumeric => return Ok(Numeric::parse(raw)?.write_limited(out, Limit::BIGNUMERIC)),
            Self::Date => return Ok(json::date(out, i64::from(i32::from_be_bytes(array(raw)?)) + EPOCH_DAYS)),
            Self::Time => return Ok(json::time(out, time_of_day(raw)?)),
            Self::TimeTz => return time_utc(out, raw),
            Self::Timestamp => return Ok(json::datetime(out, unix_micros(i64::from_be_bytes(array(raw)?)))),
            Self::TimestampTz => return Ok(json::timestamp(out, unix_micros(i64::from_be_bytes(array(raw)?)))),
            Self::Text => return Ok(json::string(out, raw)),
            Self::Json => return Ok(json_text(out, raw)),
            Self::Jsonb => return Ok(json_text(out, jsonb_text(raw)?)),
            Self::CheckedJson => return Ok(json_text::write_checked(out, raw)),
            Self::Utf8 => return Ok(json::checked_string(out, raw)),
            Self::Wkt => return Ok(json::geography(out, raw)),
            Self::Repeated(element) => return repeated(*element, out, raw),
        }
        Ok(Fidelity::Exact)
    }
}

impl RowCodec for PgCodec {
    #[inline]
    fn write(self, out: &mut Vec<u8>, raw: &[u8]) -> Result<Fidelity, Malformed> {
        self.write(out, raw)
    }

    fn clamp(self, out: &mut Vec<u8>, raw: &[u8]) -> Result<bool, Malformed> {
        let instant = |micros: i64| unix_micros(micros).clamp(json::CIVIL_MICROS_MIN, json::CIVIL_MICROS_MAX);
        let written = match self {
            Self::Numeric => return clamp_numeric(out, raw, &decimal::NUMERIC),
            Self::BigNumeric => return clamp_numeric(out, raw, &decimal::BIGNUMERIC),
            Self::Date => {
                let days = i64::from(i32::from_be_bytes(array(raw)?)) + EPOCH_DAYS;
                json::date(out, days.clamp(json::DAY_MIN, json::DAY_MAX))
            }
            Self::Timestamp => json::datetime(out, instant(i64::from_be_bytes(array(raw)?))),
            Self::TimestampTz => json::timestamp(out, instant(i64::from_be_bytes(array(raw)?))),
            Self::Utf8 => {
                json::string(out, raw);
                Fidelity::Exact
            }
            // 24:00:00 alone is beyond the day
            Self::Time => json::time(out, time_of_day(raw)?.min(json::DAY_MICROS - 1)),
            Self::TimeTz => {
                let (_, west_seconds) = split_timetz(raw)?;
                json::time(
                    out,
                    (json::DAY_MICROS - 1 + i64::from(west_seconds) * 1_000_000).rem_euclid(json::DAY_MICROS),
                )
            }
            Self::Bool
            | Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Oid
            | Self::Float4
            | Self::Float8
            | Self::NumericText
            | Self::Uuid
            | Self::Bytea
            | Self::Text
            | Self::Json
            | Self::Jsonb
            | Self::CheckedJson
            | Self::Wkt
            | Self::Repeated(_) => Fidelity::Unrepresentable,
        };
        Ok(written == Fidelity::Exact)
    }

    fn position_text(self, raw: &[u8]) -> Result<String, Malformed> {
        self.position_text(raw)
    }

    fn repeated(self) -> bool {
        matches!(self, Self::Repeated(_))
    }
}

fn clamp_numeric(out: &mut Vec<u8>, raw: &[u8], limits: &decimal::Limits) -> Result<bool, Malformed> {
    let mut text = Vec::new();
    Numeric::parse(raw)?.push_text(&mut text, None);
    match text.as_slice() {
        b"NaN" => return Ok(false),
        b"Infinity" => decimal::end(out, false, limits),
        b"-Infinity" => decimal::end(out, true, limits),
        digits => decimal::clamp(out, digits, limits)?,
    }
    Ok(true)
}

/// A binary array (`array_send`): dimensions, a flag, the element's type; per dimension its length and lower bound; per
/// element its length, -1 for NULL, and its bytes. What is larger than any row is not written to its end.
fn repeated(element: PgCodec, out: &mut Vec<u8>, raw: &[u8]) -> Result<Fidelity, Malformed> {
    let (head, rest) = raw.split_at_checked(12).ok_or(Malformed)?;
    match i32::from_be_bytes(array(&head[..4])?) {
        0 if rest.is_empty() => {
            out.extend_from_slice(b"[]");
            return Ok(Fidelity::Exact);
        }
        1 => {}
        2..=DIMENSIONS_MAX => return Ok(Fidelity::Unrepresentable),
        _ => return Err(Malformed),
    }
    let (bounds, mut rest) = rest.split_at_checked(8).ok_or(Malformed)?;
    let count = u32::try_from(i32::from_be_bytes(array(&bounds[..4])?)).map_err(|_negative| Malformed)?;
    let mut fidelity = Fidelity::Exact;
    let array_start = out.len();
    out.push(b'[');
    for index in 0..count {
        let (length, tail) = rest.split_at_checked(4).ok_or(Malformed)?;
        let length = match i32::from_be_bytes(array(length)?) {
            -1 => return Ok(Fidelity::Unrepresentable),
            length => usize::try_from(length).map_err(|_negative| Malformed)?,
        };
        let (value, tail) = tail.split_at_checked(length).ok_or(Malformed)?;
        rest = tail;
        if index > 0 {
            out.push(b',');
        }
        let start = out.len();
        match element.write(out, value)? {
            // an array of JSON may hold JSON's null, which a REPEATED column takes for NULL
            Fidelity::Exact if &out[start..] == b"null" => return Ok(Fidelity::Unrepresentable),
            Fidelity::Exact => {}
            Fidelity::Unrepresentable => return Ok(Fidelity::Unrepresentable),
            other @ (Fidelity::Adjusted | Fidelity::Replaced) => fidelity = other,
        }
        // the row is too large already, whatever follows: twelve bytes of `numeric` can be 147,000 characters
        if out.len() - array_start > ROW_BYTES_MAX {
            return Ok(fidelity);
        }
    }
    out.push(b']');
    if rest.is_empty() { Ok(fidelity) } else { Err(Malformed) }
}

/// The bytes as an array of the type's own length.
#[inline]
fn array<const N: usize>(raw: &[u8]) -> Result<[u8; N], Malformed> {
    raw.try_into().map_err(|_length| Malformed)
}

fn boolean(raw: &[u8]) -> Result<bool, Malformed> {
    match raw {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(Malformed),
    }
}

/// Microseconds since 1970 of microseconds since 2000. The infinities are the ends of `i64` and stay far beyond
/// what BigQuery holds, so saturation keeps them unrepresentable.
#[inline]
fn unix_micros(micros: i64) -> i64 {
    micros.saturating_add(EPOCH_MICROS)
}

/// Microseconds since midnight, 24:00:00 included.
#[inline]
fn time_of_day(raw: &[u8]) -> Result<i64, Malformed> {
    let micros = i64::from_be_bytes(array(raw)?);
    if (0..=json::DAY_MICROS).contains(&micros) { Ok(micros) } else { Err(Malformed) }
}

/// A `timetz` is the local time and the zone's seconds west of UTC.
fn split_timetz(raw: &[u8]) -> Result<(i64, i32), Malformed> {
    let (micros, west) = raw.split_at_checked(8).ok_or(Malformed)?;
    let west = i32::from_be_bytes(array(west)?);
    if west.unsigned_abs() > ZONE_SECONDS_MAX {
        return Err(Malformed);
    }
    Ok((time_of_day(micros)?, west))
}

fn time_utc(out: &mut Vec<u8>, raw: &[u8]) -> Result<Fidelity, Malformed> {
    let (local, west_seconds) = split_timetz(raw)?;
    if !(0..json::DAY_MICROS).contains(&local) {
        return Ok(Fidelity::Unrepresentable);
    }
    Ok(json::time(out, (local + i64::from(west_seconds) * 1_000_000).rem_euclid(json::DAY_MICROS)))
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex(byte: u8) -> [u8; 2] {
    [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

/// Where each byte's digits are in `8-4-4-4-12` hex digits.
const UUID_DIGITS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// `8-4-4-4-12` hex digits.
#[inline]
fn push_uuid(out: &mut Vec<u8>, bytes: [u8; 16]) {
    out.extend_from_slice(&[b'-'; 36]);
    // written where they stay: what was written byte by byte is slow to copy
    if let Some(text) = out.last_chunk_mut::<36>() {
        for (at, byte) in UUID_DIGITS.into_iter().zip(bytes) {
            [text[at], text[at + 1]] = hex(byte);
        }
    }
}

fn jsonb_text(raw: &[u8]) -> Result<&[u8], Malformed> {
    match raw.split_first() {
        Some((&JSONB_VERSION, text)) => Ok(text),
        Some(_) | None => Err(Malformed),
    }
}

/// A server without an encoding (`SQL_ASCII`) sends any bytes, also inside JSON.
fn json_text(out: &mut Vec<u8>, text: &[u8]) -> Fidelity {
    if !json_text::holds(text) {
        Fidelity::Unrepresentable
    } else if std::str::from_utf8(text).is_ok() {
        json::raw_json(out, text);
        Fidelity::Exact
    } else {
        json::raw_json(out, String::from_utf8_lossy(text).as_bytes());
        Fidelity::Replaced
    }
}
