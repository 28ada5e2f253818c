//! The text of a value in the form that the type's own input takes and reads back exactly: positions, bounds, keys
//! in reports. Written once per chunk, not per row.

use super::numeric::Numeric;
use super::{EPOCH_DAYS, PgCodec, array, boolean, hex, jsonb_text, push_uuid, split_timetz, time_of_day};
use crate::encode::{Malformed, json};

impl PgCodec {
    /// The value's text, exact: `42`, `2026-01-01T00:00:00.123456Z`, `\x00ff`, `infinity` …
    ///
    /// # Errors
    /// [`Malformed`] if `raw` is not of the type, or is text that is no UTF-8 (it could not be bound again).
    pub fn position_text(self, raw: &[u8]) -> Result<String, Malformed> {
        let mut out = Vec::new();
        match self {
            Self::Bool => out.extend_from_slice(if boolean(raw)? { b"true" } else { b"false" }),
            Self::Int2 => return Ok(i16::from_be_bytes(array(raw)?).to_string()),
            Self::Int4 => return Ok(i32::from_be_bytes(array(raw)?).to_string()),
            Self::Int8 => return Ok(i64::from_be_bytes(array(raw)?).to_string()),
            Self::Oid => return Ok(u32::from_be_bytes(array(raw)?).to_string()),
            Self::Float4 => json::single(&mut out, f32::from_be_bytes(array(raw)?)),
            Self::Float8 => json::double(&mut out, f64::from_be_bytes(array(raw)?)),
            Self::Numeric | Self::BigNumeric | Self::NumericText => Numeric::parse(raw)?.push_text(&mut out, None),
            Self::Date => push_date(&mut out, i32::from_be_bytes(array(raw)?)),
            Self::Time => push_time(&mut out, time_of_day(raw)?),
            Self::TimeTz => push_timetz(&mut out, raw)?,
            Self::Timestamp => push_instant(&mut out, i64::from_be_bytes(array(raw)?), b""),
            Self::TimestampTz => push_instant(&mut out, i64::from_be_bytes(array(raw)?), b"Z"),
            Self::Uuid => push_uuid(&mut out, array(raw)?),
            Self::Bytea | Self::Utf8 => {
                out.extend_from_slice(b"\\x");
                raw.iter().for_each(|byte| out.extend_from_slice(&hex(*byte)));
            }
            Self::Text | Self::Json | Self::CheckedJson | Self::Wkt => out.extend_from_slice(raw),
            Self::Jsonb => out.extend_from_slice(jsonb_text(raw)?),
            // never part of a key; for people, as it would be written
            Self::Repeated(_) => drop(self.write(&mut out, raw)?),
        }
        if matches!(self, Self::Float4 | Self::Float8) {
            // NaN and the infinities are JSON strings
            out.retain(|byte| *byte != b'"');
        }
        String::from_utf8(out).map_err(|_utf8| Malformed)
    }
}

fn push_date(out: &mut Vec<u8>, days: i32) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let before_christ = push_days(out, i64::from(days) + EPOCH_DAYS);
            out.extend_from_slice(if before_christ { b" BC" } else { b"" });
        }
    }
}

fn push_instant(out: &mut Vec<u8>, micros: i64, zone: &[u8]) {
    match micros {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let days = micros.div_euclid(json::DAY_MICROS) + EPOCH_DAYS;
            let before_christ = push_days(out, days);
            out.push(b'T');
            json::push_time_micros(out, micros.rem_euclid(json::DAY_MICROS));
            out.extend_from_slice(zone);
            out.extend_from_slice(if before_christ { b" BC" } else { b"" });
        }
    }
}

/// Writes the date of a day number since 1970 without its era; true if the year is before Christ.
fn push_days(out: &mut Vec<u8>, days: i64) -> bool {
    let (year, month, day) = json::civil_from_days(days);
    // there is no year 0: 1 BC is what astronomers call 0
    let before_christ = year <= 0;
    let year = if before_christ { 1 - year } else { year };
    out.extend_from_slice(format!("{year:04}-{month:02}-{day:02}").as_bytes());
    before_christ
}

/// 24:00:00 is a time of PostgreSQL.
fn push_time(out: &mut Vec<u8>, micros: i64) {
    if micros == json::DAY_MICROS {
        out.extend_from_slice(b"24:00:00");
    } else {
        json::push_time_micros(out, micros);
    }
}

fn push_timetz(out: &mut Vec<u8>, raw: &[u8]) -> Result<(), Malformed> {
    let (micros, west) = split_timetz(raw)?;
    push_time(out, micros);
    let east = west.unsigned_abs();
    let sign = if west > 0 { '-' } else { '+' };
    let zone = format!("{sign}{:02}:{:02}:{:02}", east / 3600, east / 60 % 60, east % 60);
    out.extend_from_slice(zone.as_bytes());
    Ok(())
}
