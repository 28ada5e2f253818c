//! PostgreSQL's binary values, read anew and compared with what the product's reader makes of them.

use crate::audit::Fidelity;
use crate::civil;
use crate::decimal::{BIGNUMERIC, Decimal, NUMERIC, Range};
use crate::encode::RowCodec as _;
use crate::encode::postgres::PgCodec;
use crate::kind::unbase64;
use crate::model::BqType;
use crate::value::{self, Column, Wrote, assert_json, assert_taken, assert_text, text};

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH: i64 = 10_957;
/// The most bytes of a `numeric` as text: 131,072 digits before the point, 65,535 behind it, what stands in the input.
const NUMERIC_BYTES_MAX: usize = 131_072 + 65_535 + 16;

/// Every reader of single values, and what it makes.
pub const CODECS: [(PgCodec, BqType); 23] = [
    (PgCodec::Bool, BqType::Bool),
    (PgCodec::Int2, BqType::Int64),
    (PgCodec::Int4, BqType::Int64),
    (PgCodec::Int8, BqType::Int64),
    (PgCodec::Oid, BqType::Int64),
    (PgCodec::Float4, BqType::Float64),
    (PgCodec::Float8, BqType::Float64),
    (PgCodec::Numeric, BqType::Numeric),
    (PgCodec::BigNumeric, BqType::BigNumeric),
    (PgCodec::NumericText, BqType::String),
    (PgCodec::Date, BqType::Date),
    (PgCodec::Time, BqType::Time),
    (PgCodec::TimeTz, BqType::Time),
    (PgCodec::Timestamp, BqType::DateTime),
    (PgCodec::TimestampTz, BqType::Timestamp),
    (PgCodec::Uuid, BqType::String),
    (PgCodec::Bytea, BqType::Bytes),
    (PgCodec::Text, BqType::String),
    (PgCodec::Json, BqType::Json),
    (PgCodec::Jsonb, BqType::Json),
    (PgCodec::Utf8, BqType::String),
    (PgCodec::Wkt, BqType::Geography),
    (PgCodec::CheckedJson, BqType::Json),
];

/// Reads the value of a column and checks everything.
pub fn check(codec: PgCodec, ty: BqType, raw: &[u8]) -> Wrote {
    let mut column = Column::new(ty, raw);
    if codec == PgCodec::NumericText {
        column.bytes_max += NUMERIC_BYTES_MAX;
    }
    let document = match codec {
        PgCodec::Json => Some(raw),
        PgCodec::Jsonb => raw.split_first().map(|(_, text)| text),
        _ => None,
    };
    column.vouched = document.is_none_or(is_json);
    let wrote = value::write(codec, &column, raw);
    let position = codec.position_text(raw);
    if let Wrote::Token(token, fidelity) = &wrote {
        meaning(codec, raw, token, *fidelity);
        if ty == BqType::Json && column.vouched {
            assert_taken(token);
        }
    }
    if let Wrote::Unrepresentable(nearest) = &wrote {
        assert!(may_not_fit(codec), "{codec:?} holds every value of its type");
        clamped(codec, raw, nearest.as_deref());
    }
    match codec {
        PgCodec::Json | PgCodec::CheckedJson => assert_json(&wrote, raw),
        PgCodec::Jsonb => assert_json(&wrote, document.filter(|_| raw[0] == 1).unwrap_or_default()),
        _ => {}
    }
    match position {
        Ok(position) => positioned(codec, raw, &position),
        Err(_) => assert!(wrote == Wrote::Malformed || std::str::from_utf8(raw).is_err(), "{codec:?} has no position"),
    }
    wrote
}

/// Whether the server takes it for JSON. What it holds in another encoding is shown with replacements.
fn is_json(text: &[u8]) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(&String::from_utf8_lossy(text)).is_ok()
}

fn may_not_fit(codec: PgCodec) -> bool {
    use PgCodec as Pg;
    match codec {
        Pg::Bool | Pg::Int2 | Pg::Int4 | Pg::Int8 | Pg::Oid | Pg::Float4 | Pg::Float8 | Pg::NumericText => false,
        Pg::Uuid | Pg::Bytea | Pg::Text => false,
        Pg::Numeric | Pg::BigNumeric | Pg::Date | Pg::Time | Pg::TimeTz | Pg::Timestamp | Pg::TimestampTz => true,
        Pg::Json | Pg::Jsonb | Pg::CheckedJson | Pg::Utf8 | Pg::Wkt | Pg::Repeated(_) => true,
    }
}

/// A `numeric`: a number or a word.
fn numeric(raw: &[u8]) -> Result<Decimal, &'static str> {
    let words: Vec<u16> = raw.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
    match words[2] {
        0xC000 => Err("NaN"),
        0xD000 => Err("Infinity"),
        0xF000 => Err("-Infinity"),
        sign => Ok(Decimal::of_groups(sign == 0x4000, words[1].cast_signed(), &words[4..])),
    }
}

fn range(codec: PgCodec) -> &'static Range {
    if codec == PgCodec::Numeric { &NUMERIC } else { &BIGNUMERIC }
}

fn i64_of(raw: &[u8]) -> i64 {
    i64::from_be_bytes(raw.try_into().unwrap())
}

fn integer(codec: PgCodec, raw: &[u8]) -> i64 {
    match codec {
        PgCodec::Int2 => i16::from_be_bytes(raw.try_into().unwrap()).into(),
        PgCodec::Oid => u32::from_be_bytes(raw.try_into().unwrap()).into(),
        PgCodec::Int4 | PgCodec::Date => i32::from_be_bytes(raw.try_into().unwrap()).into(),
        _ => i64_of(raw),
    }
}

/// The token must be what the bytes say.
fn meaning(codec: PgCodec, raw: &[u8], token: &str, fidelity: Fidelity) {
    use PgCodec as Pg;
    if !matches!(codec, Pg::Text | Pg::Json | Pg::Jsonb | Pg::Wkt | Pg::Repeated(_)) {
        assert_eq!(fidelity, Fidelity::Exact);
    }
    match codec {
        Pg::Bool => assert_eq!(token == "true", raw == [1]),
        Pg::Int2 | Pg::Int4 | Pg::Int8 | Pg::Oid => {
            assert_eq!(token.trim_matches('"'), integer(codec, raw).to_string());
        }
        Pg::Float4 => {
            let value = f32::from_be_bytes(raw.try_into().unwrap());
            let read: f32 = token.trim_matches('"').parse().unwrap();
            assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()), "{token} is not {value}");
        }
        Pg::Float8 => {
            let value = f64::from_be_bytes(raw.try_into().unwrap());
            let read: f64 = token.trim_matches('"').parse().unwrap();
            assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()), "{token} is not {value}");
        }
        Pg::Numeric | Pg::BigNumeric => assert_eq!(Decimal::parse(&text(token)), numeric(raw).ok()),
        Pg::NumericText => match numeric(raw) {
            Ok(_) => numeric_text(raw, &text(token)),
            Err(word) => assert_eq!(text(token), word),
        },
        Pg::Date => assert_eq!(civil::date(&text(token)), Some(integer(codec, raw) + EPOCH)),
        Pg::Time => assert_eq!(civil::time(&text(token)), Some(i64_of(raw).into())),
        Pg::TimeTz => {
            let west = i32::from_be_bytes(raw[8..].try_into().unwrap());
            let utc = (i128::from(i64_of(&raw[..8])) + i128::from(west) * 1_000_000).rem_euclid(civil::DAY);
            assert_eq!(civil::time(&text(token)), Some(utc));
        }
        Pg::Timestamp | Pg::TimestampTz => {
            let written = text(token);
            let micros = civil::instant(written.trim_end_matches('Z'));
            assert_eq!(micros, Some(i128::from(i64_of(raw)) + i128::from(EPOCH) * civil::DAY));
        }
        Pg::Uuid => assert_eq!(text(token).replace('-', ""), hex(raw)),
        Pg::Bytea => assert_eq!(unbase64(&text(token)).as_deref(), Some(raw)),
        Pg::Text | Pg::Utf8 => assert_text(token, fidelity, raw),
        Pg::Wkt => assert_text(token, fidelity, raw.strip_prefix(b"SRID=4326;").expect("nothing else is GEOGRAPHY")),
        Pg::Json | Pg::Jsonb | Pg::CheckedJson | Pg::Repeated(_) => {}
    }
}

/// As the database prints it: with as many decimals as it says.
fn numeric_text(raw: &[u8], text: &str) {
    let scale = usize::from(u16::from_be_bytes([raw[6], raw[7]]));
    assert_eq!(text.split_once('.').map_or(0, |(_, fraction)| fraction.len()), scale, "{text}");
    let words: Vec<u16> = raw.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
    // digits behind the scale are never sent; were they, they would not be printed
    let behind = (words.len() as i64 - 4 - i64::from(words[1].cast_signed()) - 1) * 4;
    if behind <= scale as i64 {
        assert_eq!(Decimal::parse(text), numeric(raw).ok());
    }
}

/// What is written instead must be the nearest value, where there is one.
fn clamped(codec: PgCodec, raw: &[u8], nearest: Option<&str>) {
    use PgCodec as Pg;
    match codec {
        Pg::Numeric | Pg::BigNumeric => {
            let wanted = match numeric(raw) {
                Ok(value) => {
                    assert!(!value.within(range(codec)), "{value:?} fits");
                    Some(value.nearest(range(codec)))
                }
                Err("NaN") => None,
                Err(word) => Some(Decimal::end(word.starts_with('-'), range(codec))),
            };
            assert_eq!(nearest.map(text).as_deref().and_then(Decimal::parse), wanted);
        }
        Pg::Date => {
            let past = integer(codec, raw) < 0;
            assert_eq!(nearest, Some(if past { "\"0001-01-01\"" } else { "\"9999-12-31\"" }));
        }
        Pg::Timestamp | Pg::TimestampTz => {
            let wanted = if i64_of(raw) < 0 { "0001-01-01T00:00:00" } else { "9999-12-31T23:59:59.999999" };
            assert_eq!(nearest.map(text).as_deref().map(|text| text.trim_end_matches('Z')), Some(wanted));
        }
        Pg::Time => assert_eq!((i128::from(i64_of(raw)), nearest), (civil::DAY, Some("\"23:59:59.999999\""))),
        Pg::TimeTz => assert!(i128::from(i64_of(&raw[..8])) == civil::DAY && nearest.is_some()),
        Pg::Utf8 => assert_text(nearest.unwrap(), Fidelity::Replaced, raw),
        _ => assert_eq!(nearest, None),
    }
}

/// The position must read back as the very value.
fn positioned(codec: PgCodec, raw: &[u8], position: &str) {
    use PgCodec as Pg;
    match codec {
        Pg::Bool => assert_eq!(position == "true", raw == [1]),
        Pg::Int2 | Pg::Int4 | Pg::Int8 | Pg::Oid => assert_eq!(position, integer(codec, raw).to_string()),
        Pg::Float4 | Pg::Float8 => assert!(position.parse::<f64>().is_ok(), "{position}"),
        Pg::Numeric | Pg::BigNumeric | Pg::NumericText => match numeric(raw) {
            Ok(value) => assert_eq!(Decimal::parse(position), Some(value)),
            Err(word) => assert_eq!(position, word),
        },
        Pg::Date => match integer(codec, raw) {
            value if value == i64::from(i32::MAX) => assert_eq!(position, "infinity"),
            value if value == i64::from(i32::MIN) => assert_eq!(position, "-infinity"),
            value => assert_eq!(day_with_era(position), Some(value + EPOCH), "{position}"),
        },
        Pg::Timestamp | Pg::TimestampTz => match i64_of(raw) {
            i64::MAX => assert_eq!(position, "infinity"),
            i64::MIN => assert_eq!(position, "-infinity"),
            value => {
                let wanted = i128::from(value) + i128::from(EPOCH) * civil::DAY;
                assert_eq!(instant_with_era(position, codec == Pg::TimestampTz), Some(wanted), "{position}");
            }
        },
        Pg::Time => assert_eq!(civil::time(position), Some(i64_of(raw).into())),
        Pg::TimeTz => {
            let at = position.rfind(['+', '-']).expect("a zone");
            assert_eq!(civil::time(&position[..at]), Some(i64_of(&raw[..8]).into()));
            let west = i32::from_be_bytes(raw[8..].try_into().unwrap());
            let seconds = civil::time(&position[at + 1..]).unwrap() / 1_000_000;
            let sign = if position.as_bytes()[at] == b'-' { 1 } else { -1 };
            assert_eq!(seconds * sign, i128::from(west));
        }
        Pg::Uuid => assert_eq!(position.replace('-', ""), hex(raw)),
        Pg::Bytea | Pg::Utf8 => assert_eq!(position, format!("\\x{}", hex(raw))),
        Pg::Text | Pg::Json | Pg::CheckedJson | Pg::Wkt => assert_eq!(position.as_bytes(), raw),
        Pg::Jsonb => assert_eq!(position.as_bytes(), &raw[1..]),
        Pg::Repeated(_) => {}
    }
}

fn hex(raw: &[u8]) -> String {
    raw.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Days of `YYYY-MM-DD[ BC]`.
fn day_with_era(text: &str) -> Option<i64> {
    let (date, before_christ) = text.strip_suffix(" BC").map_or((text, false), |date| (date, true));
    let (year, month, day) = civil::parts(date)?;
    let year = if before_christ { 1 - year } else { year };
    civil::exists(year, month, day).then(|| civil::days(year, month, day))
}

fn instant_with_era(text: &str, zone: bool) -> Option<i128> {
    let (instant, era) = text.strip_suffix(" BC").map_or((text, ""), |instant| (instant, " BC"));
    let instant = if zone { instant.strip_suffix('Z')? } else { instant };
    let (date, clock) = instant.split_once('T')?;
    Some(i128::from(day_with_era(&format!("{date}{era}"))?) * civil::DAY + civil::time(clock)?)
}

/// Reads an array of such elements and checks it and each of them.
pub fn check_array(index: usize, raw: &[u8]) {
    let (element, ty) = CODECS[index];
    let codec = PgCodec::Repeated(&CODECS[index].0);
    assert!(codec.repeated());
    let elements = elements(raw);
    let growth = if element == PgCodec::NumericText { NUMERIC_BYTES_MAX * (raw.len() / 12 + 1) } else { 0 };
    let column = Column {
        repeated: true,
        bytes_max: Column::new(ty, raw).bytes_max * 4 + growth,
        vouched: elements.iter().flatten().flatten().all(|value| match element {
            PgCodec::Json => is_json(value),
            PgCodec::Jsonb => value.split_first().is_none_or(|(_, text)| is_json(text)),
            _ => true,
        }),
        ..Column::new(ty, raw)
    };
    let wrote = value::write(codec, &column, raw);
    let Some(elements) = elements else {
        assert!(!matches!(wrote, Wrote::Token(..)), "no array, and still {wrote:?}");
        return;
    };
    let each: Vec<Wrote> = elements.iter().flatten().map(|raw| check(element, ty, raw)).collect();
    match &wrote {
        Wrote::Token(token, _) if column.vouched => {
            let written: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(token).unwrap();
            assert_eq!(written.len(), elements.len(), "{token}");
            for (written, alone) in written.iter().zip(&each) {
                let Wrote::Token(alone, _) = alone else { panic!("an element was made up: {written}") };
                assert_eq!(written.get(), alone.trim_matches([' ', '\t']));
            }
        }
        Wrote::Token(..) => {}
        Wrote::Unrepresentable(_) => {
            let whole = each.len() == elements.len();
            let none = |wrote: &Wrote| match wrote {
                Wrote::Token(token, _) => token == "null",
                Wrote::Unrepresentable(_) => true,
                Wrote::Malformed => false,
            };
            assert!(!whole || each.iter().any(none), "every element fits");
        }
        Wrote::Malformed => assert!(each.contains(&Wrote::Malformed), "every element is well-formed"),
    }
}

/// The elements of an array of at most one dimension; `None` for anything else.
fn elements(raw: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let word = |at: usize| raw.get(at..at + 4).map(|four| i32::from_be_bytes(four.try_into().unwrap()));
    match word(0)? {
        0 => return (raw.len() == 12).then(Vec::new),
        1 => {}
        _ => return None,
    }
    let count = usize::try_from(word(12)?).ok()?;
    word(16)?;
    let (mut at, mut elements) = (20, Vec::new());
    for _ in 0..count {
        let length = word(at)?;
        at += 4;
        if length == -1 {
            elements.push(None);
            continue;
        }
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        elements.push(Some(raw.get(at..end)?));
        at = end;
    }
    (at == raw.len()).then_some(elements)
}
