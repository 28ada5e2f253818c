//! Values of MySQL's binary protocol, read anew and compared with what the product's reader makes of them.

use crate::audit::Fidelity;
use crate::civil;
use crate::decimal::{BIGNUMERIC, Decimal, NUMERIC, Range};
use crate::encode::mysql::MyCodec;
use crate::kind::unbase64;
use crate::model::BqType;
use crate::value::{self, Column, Wrote, assert_json, assert_taken, assert_text, text};

/// Every reader, and what it makes.
pub const CODECS: [(MyCodec, BqType); 22] = [
    (MyCodec::Bool, BqType::Bool),
    (MyCodec::Signed, BqType::Int64),
    (MyCodec::Unsigned, BqType::Int64),
    (MyCodec::UnsignedNumeric, BqType::Numeric),
    (MyCodec::BitBool, BqType::Bool),
    (MyCodec::Bit, BqType::Int64),
    (MyCodec::BitNumeric, BqType::Numeric),
    (MyCodec::Single, BqType::Float64),
    (MyCodec::Double, BqType::Float64),
    (MyCodec::Numeric, BqType::Numeric),
    (MyCodec::BigNumeric, BqType::BigNumeric),
    (MyCodec::DecimalText, BqType::String),
    (MyCodec::Date, BqType::Date),
    (MyCodec::DateTime, BqType::DateTime),
    (MyCodec::Timestamp, BqType::Timestamp),
    (MyCodec::Time, BqType::Time),
    (MyCodec::Text, BqType::String),
    (MyCodec::Bytes, BqType::Bytes),
    (MyCodec::Utf8, BqType::String),
    (MyCodec::Wkt, BqType::Geography),
    (MyCodec::Json, BqType::Json),
    (MyCodec::UncheckedJson, BqType::Json),
];

/// Reads the value of a column and checks everything.
pub fn check(codec: MyCodec, ty: BqType, raw: &[u8]) -> Wrote {
    let mut column = Column::new(ty, raw);
    column.vouched = codec != MyCodec::Json || serde_json::from_slice::<serde::de::IgnoredAny>(raw).is_ok();
    let wrote = value::write(codec, &column, raw);
    let position = codec.position_text(raw);
    match &wrote {
        Wrote::Token(token, fidelity) => {
            meaning(codec, raw, token, *fidelity);
            if ty == BqType::Json && column.vouched {
                assert_taken(token);
            }
        }
        Wrote::Unrepresentable(nearest) => clamped(codec, raw, nearest.as_deref()),
        Wrote::Malformed => {}
    }
    if matches!(codec, MyCodec::Json | MyCodec::UncheckedJson) {
        assert_json(&wrote, raw);
    }
    let endless = matches!(codec, MyCodec::Single | MyCodec::Double) && !finite(raw);
    match position {
        Ok(position) => positioned(codec, raw, &position),
        Err(_) => {
            let excused = wrote == Wrote::Malformed || endless || std::str::from_utf8(raw).is_err();
            assert!(excused, "{codec:?} has no position");
        }
    }
    wrote
}

fn finite(raw: &[u8]) -> bool {
    float(raw).is_none_or(f64::is_finite)
}

fn float(raw: &[u8]) -> Option<f64> {
    match raw.len() {
        4 => raw.try_into().ok().map(|four| f32::from_le_bytes(four).into()),
        8 => raw.try_into().ok().map(f64::from_le_bytes),
        _ => None,
    }
}

/// A little-endian number of any width.
fn unsigned(raw: &[u8]) -> u64 {
    raw.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn signed(raw: &[u8]) -> i64 {
    let shift = 64 - 8 * raw.len();
    (unsigned(raw) << shift).cast_signed() >> shift
}

fn bits(raw: &[u8]) -> u64 {
    raw.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Year, month, day, and microseconds of the day.
fn civil(raw: &[u8]) -> (i64, i64, i64, i128) {
    let at = |index: usize| i128::from(raw.get(index).copied().unwrap_or(0));
    let year = at(1) + at(2) * 256;
    let micros = raw.get(8..12).map_or(0, |four| u32::from_le_bytes(four.try_into().unwrap()));
    let clock = ((at(5) * 60 + at(6)) * 60 + at(7)) * 1_000_000 + i128::from(micros);
    (i64::try_from(year).unwrap(), i64::from(raw.get(3).copied().unwrap_or(0)), at(4) as i64, clock)
}

/// Microseconds of a TIME, negative ones below zero.
fn span(raw: &[u8]) -> i128 {
    let Some(days) = raw.get(2..6) else { return 0 };
    let days = i128::from(u32::from_le_bytes(days.try_into().unwrap()));
    let micros = raw.get(9..13).map_or(0, |four| u32::from_le_bytes(four.try_into().unwrap()));
    let seconds = ((days * 24 + i128::from(raw[6])) * 60 + i128::from(raw[7])) * 60 + i128::from(raw[8]);
    let span = seconds * 1_000_000 + i128::from(micros);
    if raw[1] == 1 { -span } else { span }
}

fn range(codec: MyCodec) -> &'static Range {
    if codec == MyCodec::Numeric { &NUMERIC } else { &BIGNUMERIC }
}

fn decimal(raw: &[u8]) -> Decimal {
    Decimal::parse(std::str::from_utf8(raw).expect("digits")).expect("a decimal")
}

/// The token must be what the bytes say.
fn meaning(codec: MyCodec, raw: &[u8], token: &str, fidelity: Fidelity) {
    use MyCodec as My;
    if !matches!(codec, My::Text | My::Wkt) {
        assert_eq!(fidelity, Fidelity::Exact);
    }
    match codec {
        My::Bool => assert_eq!(token, if signed(raw) == 1 { "true" } else { "false" }),
        My::Signed => assert_eq!(token.trim_matches('"'), signed(raw).to_string()),
        My::Unsigned | My::UnsignedNumeric => assert_eq!(token.trim_matches('"'), unsigned(raw).to_string()),
        My::BitBool => assert_eq!(token == "true", bits(raw) != 0),
        My::Bit | My::BitNumeric => assert_eq!(token.trim_matches('"'), bits(raw).to_string()),
        My::Single | My::Double => {
            let (value, read) = (float(raw).unwrap(), token.trim_matches('"'));
            let same = match codec {
                My::Single => f64::from(read.parse::<f32>().unwrap()).to_bits() == value.to_bits(),
                _ => read.parse::<f64>().unwrap().to_bits() == value.to_bits(),
            };
            assert!(same || (read == "NaN" && value.is_nan()), "{token} is not {value}");
        }
        My::Numeric | My::BigNumeric => assert_eq!(Decimal::parse(&text(token)), Some(decimal(raw))),
        My::DecimalText => assert_eq!(text(token).as_bytes(), raw),
        My::Date => {
            let (year, month, day, _) = civil(raw);
            assert_eq!(civil::parts(&text(token)), Some((year, month, day)));
        }
        My::DateTime | My::Timestamp => {
            let (year, month, day, clock) = civil(raw);
            let written = text(token);
            let wanted = i128::from(civil::days(year, month, day)) * civil::DAY + clock;
            assert_eq!(civil::instant(written.trim_end_matches('Z')), Some(wanted));
        }
        My::Time => assert_eq!(civil::time(&text(token)), Some(span(raw))),
        My::Text | My::Utf8 => assert_text(token, fidelity, raw),
        My::Wkt => assert_text(token, fidelity, raw.strip_prefix(b"SRID=4326;").expect("nothing else is GEOGRAPHY")),
        My::Bytes => assert_eq!(unbase64(&text(token)).as_deref(), Some(raw)),
        My::Json | My::UncheckedJson => {}
    }
}

/// What is written instead must be the nearest value, where there is one; and the value must indeed not fit.
fn clamped(codec: MyCodec, raw: &[u8], nearest: Option<&str>) {
    use MyCodec as My;
    match codec {
        My::Bool => assert!(!(0..=1).contains(&signed(raw)) && nearest == Some("true")),
        My::Unsigned => {
            assert!(i64::try_from(unsigned(raw)).is_err());
            assert_eq!(nearest.map(text), Some(i64::MAX.to_string()));
        }
        My::Bit => {
            assert!(i64::try_from(bits(raw)).is_err());
            assert_eq!(nearest.map(text), Some(i64::MAX.to_string()));
        }
        My::Numeric | My::BigNumeric => {
            let value = decimal(raw);
            assert!(!value.within(range(codec)), "{value:?} fits");
            assert_eq!(nearest.map(text).as_deref().and_then(Decimal::parse), Some(value.nearest(range(codec))));
        }
        My::Date | My::DateTime | My::Timestamp => {
            let (year, month, day, clock) = civil(raw);
            assert!(year == 0 || !civil::exists(year, month, day));
            let (year, month, mut day) = (year.max(1), month.max(1), day.max(1));
            while !civil::exists(year, month, day) {
                day -= 1;
            }
            let nearest = nearest.map(text).expect("a day is near");
            let (date, time) = nearest.trim_end_matches('Z').split_once('T').unwrap_or((&nearest, "00:00:00"));
            assert_eq!(civil::parts(date), Some((year, month, day)));
            assert!(codec == My::Date || civil::time(time) == Some(clock));
        }
        My::Time => {
            let span = span(raw);
            assert!(!(0..civil::DAY).contains(&span) || raw[1] == 1);
            let negative = raw[1] == 1;
            assert_eq!(nearest, Some(if negative { "\"00:00:00\"" } else { "\"23:59:59.999999\"" }));
        }
        My::Utf8 => assert_text(nearest.unwrap(), Fidelity::Replaced, raw),
        My::Wkt => assert!(!raw.starts_with(b"SRID=4326;") && nearest.is_none()),
        My::Json | My::UncheckedJson => assert_eq!(nearest, None),
        My::Signed | My::UnsignedNumeric | My::BitBool | My::BitNumeric | My::Single | My::Double => {
            panic!("{codec:?} holds every value of its type")
        }
        My::DecimalText | My::Text | My::Bytes => panic!("{codec:?} holds every value of its type"),
    }
}

/// The position must read back as the very value.
fn positioned(codec: MyCodec, raw: &[u8], position: &str) {
    use MyCodec as My;
    match codec {
        My::Bool | My::Signed => assert_eq!(position, signed(raw).to_string()),
        My::Unsigned | My::UnsignedNumeric => assert_eq!(position, unsigned(raw).to_string()),
        My::BitBool | My::Bit | My::BitNumeric => assert_eq!(position, bits(raw).to_string()),
        My::Single => {
            assert_eq!(f64::from(position.parse::<f32>().unwrap()).to_bits(), float(raw).unwrap().to_bits());
        }
        My::Double => assert_eq!(position.parse::<f64>().unwrap().to_bits(), float(raw).unwrap().to_bits()),
        My::Numeric | My::BigNumeric | My::DecimalText => assert_eq!(position.as_bytes(), raw),
        My::Date => {
            let (year, month, day, _) = civil(raw);
            assert_eq!(civil::parts(position), Some((year, month, day)));
        }
        My::DateTime | My::Timestamp => {
            let (year, month, day, clock) = civil(raw);
            let (date, time) = position.trim_end_matches('Z').split_once('T').expect("a date and a time");
            assert_eq!((civil::parts(date), civil::time(time)), (Some((year, month, day)), Some(clock)));
        }
        My::Time => {
            let (sign, clock) = position.strip_prefix('-').map_or((1, position), |clock| (-1, clock));
            let (hours, rest) = clock.split_once(':').expect("hours");
            let hours: i128 = hours.parse().unwrap();
            let rest = civil::time(&format!("00:{rest}")).expect("minutes and seconds");
            assert_eq!(sign * (hours * 3_600_000_000 + rest), span(raw));
        }
        My::Text | My::Json | My::UncheckedJson | My::Wkt => assert_eq!(position.as_bytes(), raw),
        My::Bytes | My::Utf8 => {
            let hex: String = raw.iter().map(|byte| format!("{byte:02X}")).collect();
            assert_eq!(position, hex);
        }
    }
}
