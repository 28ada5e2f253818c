//! Readers of MySQL's and MariaDB's binary protocol values. Pure.
//!
//! A reader is chosen once per column, by the catalog's type; each value then is one `match` and no allocation.
//! Forms (protocol documentation, "Binary Protocol Value"): integers little-endian in the width of their type;
//! DECIMAL as text; BIT big-endian; dates and times with their own length byte in front, in which trailing zero parts
//! are left out.

mod temporal;

use super::{Malformed, RowCodec, decimal, json, json_text};
use crate::audit::Fidelity;
use temporal::{Civil, Clock};

/// How the bytes of a column's values are read, and what is written for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MyCodec {
    /// `tinyint(1)` as BOOL; other values than 0 and 1 are unrepresentable.
    Bool,
    /// A signed integer of any width as INT64.
    Signed,
    /// An unsigned integer of any width, or a year, as INT64; beyond 2^63−1 unrepresentable.
    Unsigned,
    /// An unsigned integer as NUMERIC.
    UnsignedNumeric,
    /// `bit(1)` as BOOL.
    BitBool,
    /// `bit(n)` as INT64; beyond 2^63−1 unrepresentable.
    Bit,
    /// `bit(64)` as NUMERIC.
    BitNumeric,
    /// `float` as FLOAT64.
    Single,
    /// `double` as FLOAT64.
    Double,
    /// A decimal as NUMERIC.
    Numeric,
    /// A decimal as BIGNUMERIC.
    BigNumeric,
    /// A decimal as STRING, digit by digit.
    DecimalText,
    /// `date` as DATE; zero and partial dates are unrepresentable.
    Date,
    /// `datetime` as DATETIME; zero and partial dates are unrepresentable.
    DateTime,
    /// `timestamp`, or a `datetime` that is known to be UTC, as TIMESTAMP.
    Timestamp,
    /// `time` as TIME; negative ones and 24:00:00 and beyond are unrepresentable.
    Time,
    /// Text, sent as utf8mb4, as STRING.
    Text,
    /// Bytes as BYTES.
    Bytes,
    /// Bytes that may be no UTF-8 as STRING.
    Utf8,
    /// EWKT, of SRID 4326, as GEOGRAPHY.
    Wkt,
    /// JSON that the server has parsed (MySQL's `json`).
    Json,
    /// JSON text that may be none: MariaDB's `json_valid` takes `1.` and `"\x"`, and checks can be switched off.
    UncheckedJson,
}

impl MyCodec {
    /// Appends a value, which is not NULL, in BigQuery's NDJSON form. If it is unrepresentable, what was appended is
    /// without meaning and must be taken back.
    pub fn write(self, out: &mut Vec<u8>, raw: &[u8]) -> Result<Fidelity, Malformed> {
        match self {
            Self::Bool => match signed(raw)? {
                0 => json::boolean(out, false),
                1 => json::boolean(out, true),
                _other => return Ok(Fidelity::Unrepresentable),
            },
            Self::Signed => json::integer(out, signed(raw)?),
            Self::Unsigned => return Ok(unsigned_integer(out, unsigned(raw)?)),
            Self::UnsignedNumeric => json::unsigned_numeric(out, unsigned(raw)?),
            Self::BitBool => json::boolean(out, bits(raw)? != 0),
            Self::Bit => return Ok(unsigned_integer(out, bits(raw)?)),
            Self::BitNumeric => json::unsigned_numeric(out, bits(raw)?),
            Self::Single => json::single(out, single(raw)?),
            Self::Double => json::double(out, double(raw)?),
            Self::Numeric => return decimal::write(out, raw, &decimal::NUMERIC),
            Self::BigNumeric => return decimal::write(out, raw, &decimal::BIGNUMERIC),
            Self::DecimalText => json::plain_string(out, decimal::checked(raw)?),
            Self::Date => return Ok(Civil::read(raw)?.write_date(out)),
            Self::DateTime => return Ok(Civil::read(raw)?.write(out, b"\"")),
            Self::Timestamp => return Ok(Civil::read(raw)?.write(out, b"Z\"")),
            Self::Time => return Ok(Clock::read(raw)?.write(out)),
            Self::Text => return Ok(json::string(out, raw)),
            Self::Bytes => json::bytes(out, raw),
            Self::Utf8 => return Ok(json::checked_string(out, raw)),
            Self::Wkt => return Ok(json::geography(out, raw)),
            Self::Json => return Ok(json_text::write(out, raw)),
            Self::UncheckedJson => return Ok(json_text::write_checked(out, raw)),
        }
        Ok(Fidelity::Exact)
    }

    /// The value as text of a position: read back by `mapping::mysql::Compare`, exactly.
    ///
    /// # Errors
    /// Also for text that is no UTF-8: a position made of replaced characters would point elsewhere.
    pub fn position_text(self, raw: &[u8]) -> Result<String, Malformed> {
        Ok(match self {
            Self::Bool | Self::Signed => signed(raw)?.to_string(),
            Self::Unsigned | Self::UnsignedNumeric => unsigned(raw)?.to_string(),
            Self::BitBool | Self::Bit | Self::BitNumeric => bits(raw)?.to_string(),
            Self::Single => zmij::Buffer::new().format_finite(finite(single(raw)?)?).to_owned(),
            Self::Double => zmij::Buffer::new().format_finite(finite(double(raw)?)?).to_owned(),
            Self::Numeric | Self::BigNumeric | Self::DecimalText => text(decimal::checked(raw)?)?,
            Self::Date => Civil::read(raw)?.date_text(),
            Self::DateTime => Civil::read(raw)?.text(""),
            Self::Timestamp => Civil::read(raw)?.text("Z"),
            Self::Time => Clock::read(raw)?.text(),
            Self::Text | Self::Json | Self::UncheckedJson | Self::Wkt => text(raw)?,
            Self::Bytes | Self::Utf8 => hex(raw),
        })
    }
}

impl RowCodec for MyCodec {
    #[inline]
    fn write(self, out: &mut Vec<u8>, raw: &[u8]) -> Result<Fidelity, Malformed> {
        self.write(out, raw)
    }

    fn clamp(self, out: &mut Vec<u8>, raw: &[u8]) -> Result<bool, Malformed> {
        match self {
            Self::Bool => json::boolean(out, true),
            Self::Unsigned | Self::Bit => json::integer(out, i64::MAX),
            Self::Utf8 => drop(json::string(out, raw)),
            Self::Numeric => decimal::clamp(out, raw, &decimal::NUMERIC)?,
            Self::BigNumeric => decimal::clamp(out, raw, &decimal::BIGNUMERIC)?,
            Self::Date => return Ok(Civil::read(raw)?.nearest().write_date(out) == Fidelity::Exact),
            Self::DateTime => return Ok(Civil::read(raw)?.nearest().write(out, b"\"") == Fidelity::Exact),
            Self::Timestamp => return Ok(Civil::read(raw)?.nearest().write(out, b"Z\"") == Fidelity::Exact),
            Self::Time => return Ok(Clock::read(raw)?.nearest().write(out) == Fidelity::Exact),
            Self::Signed
            | Self::UnsignedNumeric
            | Self::BitBool
            | Self::BitNumeric
            | Self::Single
            | Self::Double
            | Self::DecimalText
            | Self::Text
            | Self::Bytes
            | Self::Wkt
            | Self::Json
            | Self::UncheckedJson => return Ok(false),
        }
        Ok(true)
    }

    fn position_text(self, raw: &[u8]) -> Result<String, Malformed> {
        self.position_text(raw)
    }
}

fn text(raw: &[u8]) -> Result<String, Malformed> {
    std::str::from_utf8(raw).map(str::to_owned).map_err(|_not_utf8| Malformed)
}

fn hex(raw: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    raw.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte)]).collect()
}

fn unsigned_integer(out: &mut Vec<u8>, value: u64) -> Fidelity {
    match i64::try_from(value) {
        Ok(value) => {
            json::integer(out, value);
            Fidelity::Exact
        }
        Err(_beyond) => Fidelity::Unrepresentable,
    }
}

fn signed(raw: &[u8]) -> Result<i64, Malformed> {
    Ok(match *raw {
        [a] => i64::from(i8::from_le_bytes([a])),
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        _ => i64::from_le_bytes(raw.try_into().map_err(|_length| Malformed)?),
    })
}

fn unsigned(raw: &[u8]) -> Result<u64, Malformed> {
    Ok(match *raw {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        _ => u64::from_le_bytes(raw.try_into().map_err(|_length| Malformed)?),
    })
}

fn bits(raw: &[u8]) -> Result<u64, Malformed> {
    if raw.is_empty() || raw.len() > 8 {
        return Err(Malformed);
    }
    Ok(raw.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

fn single(raw: &[u8]) -> Result<f32, Malformed> {
    raw.try_into().map(f32::from_le_bytes).map_err(|_length| Malformed)
}

fn double(raw: &[u8]) -> Result<f64, Malformed> {
    raw.try_into().map(f64::from_le_bytes).map_err(|_length| Malformed)
}

/// A float of a position. MySQL stores no others.
fn finite<F: Into<f64> + Copy>(value: F) -> Result<F, Malformed> {
    if value.into().is_finite() { Ok(value) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    fn written(codec: MyCodec, raw: &[u8]) -> String {
        let mut out = Vec::new();
        match codec.write(&mut out, raw).unwrap() {
            Fidelity::Unrepresentable => "!".to_owned(),
            Fidelity::Exact | Fidelity::Adjusted | Fidelity::Replaced => String::from_utf8(out).unwrap(),
        }
    }

    #[test]
    fn integers_of_every_width() {
        assert_eq!(written(MyCodec::Signed, &[0x80]), "-128");
        assert_eq!(written(MyCodec::Unsigned, &[0xff]), "255");
        assert_eq!(written(MyCodec::Signed, &[0, 0x80]), "-32768");
        assert_eq!(written(MyCodec::Unsigned, &[0x6b, 0x08]), "2155");
        assert_eq!(written(MyCodec::Unsigned, &[0xff; 4]), "4294967295");
        assert_eq!(written(MyCodec::Signed, &i64::MAX.to_le_bytes()), "\"9223372036854775807\"");
        assert_eq!(written(MyCodec::UnsignedNumeric, &[0xff; 8]), "\"18446744073709551615\"");
        assert_eq!(written(MyCodec::Unsigned, &[0xff; 8]), "!");
        assert_eq!(MyCodec::Signed.write(&mut Vec::new(), &[0; 3]), Err(Malformed));
        assert_eq!(MyCodec::Signed.write(&mut Vec::new(), &[]), Err(Malformed));
    }

    #[test]
    fn booleans_are_zero_and_one() {
        assert_eq!(written(MyCodec::Bool, &[0]), "false");
        assert_eq!(written(MyCodec::Bool, &[1]), "true");
        assert_eq!(written(MyCodec::Bool, &[7]), "!");
        assert_eq!(written(MyCodec::BitBool, &[1]), "true");
        assert_eq!(MyCodec::Bool.position_text(&[7]).unwrap(), "7");
    }

    #[test]
    fn bits_are_big_endian() {
        assert_eq!(written(MyCodec::Bit, &[0x81]), "129");
        assert_eq!(written(MyCodec::Bit, &[1, 0]), "256");
        assert_eq!(written(MyCodec::BitNumeric, &[0xff; 8]), "\"18446744073709551615\"");
        assert_eq!(MyCodec::Bit.write(&mut Vec::new(), &[0; 9]), Err(Malformed));
    }

    #[test]
    fn floats_are_their_own_width() {
        assert_eq!(written(MyCodec::Single, &1.234_567_9_f32.to_le_bytes()), "1.2345679");
        assert_eq!(written(MyCodec::Double, &0.1_f64.to_le_bytes()), "0.1");
        assert_eq!(MyCodec::Single.position_text(&0.1_f32.to_le_bytes()).unwrap(), "0.1");
        assert_eq!(MyCodec::Double.position_text(&f64::NAN.to_le_bytes()), Err(Malformed));
    }

    #[test]
    fn positions_of_bytes_and_text() {
        assert_eq!(MyCodec::Bytes.position_text(&[0, 0xab, 0xff]).unwrap(), "00ABFF");
        assert_eq!(MyCodec::Text.position_text("na\u{ef}ve".as_bytes()).unwrap(), "na\u{ef}ve");
        assert_eq!(MyCodec::Text.position_text(&[0xff]), Err(Malformed));
        assert_eq!(written(MyCodec::Bytes, &[0xff, 0, 0, 0]), "\"/wAAAA==\"");
    }
}
