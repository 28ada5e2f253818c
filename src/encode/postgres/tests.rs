//! Values as `*_send` writes them, against what BigQuery and PostgreSQL read.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use proptest::prelude::*;

use super::PgCodec;
use crate::audit::Fidelity;
use crate::encode::Malformed;

/// What is written; `None` if it is unrepresentable.
fn written(codec: PgCodec, raw: &[u8]) -> Option<String> {
    let mut out = b"before".to_vec();
    let fidelity = codec.write(&mut out, raw).unwrap();
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("before").unwrap().to_owned();
    match fidelity {
        Fidelity::Exact | Fidelity::Adjusted | Fidelity::Replaced => Some(text),
        Fidelity::Unrepresentable => {
            assert_eq!(text, "", "something was left behind");
            None
        }
    }
}

fn position(codec: PgCodec, raw: &[u8]) -> String {
    codec.position_text(raw).unwrap()
}

/// A `numeric` as `numeric_send` writes it, from its text.
fn numeric(text: &str) -> Vec<u8> {
    let (sign, digits) = match text {
        "NaN" => return vec![0, 0, 0, 0, 0xC0, 0, 0, 0],
        "Infinity" => return vec![0, 0, 0, 0, 0xD0, 0, 0, 0],
        "-Infinity" => return vec![0, 0, 0, 0, 0xF0, 0, 0, 0],
        _ => match text.strip_prefix('-') {
            Some(rest) => (0x4000u16, rest),
            None => (0, text),
        },
    };
    let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let padded = format!("{}{integer}", "0".repeat((4 - integer.len() % 4) % 4));
    let mut weight = i16::try_from(padded.len() / 4).unwrap() - 1;
    let all = format!("{padded}{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let mut groups: Vec<u16> = all.as_bytes().chunks(4).map(|g| str::from_utf8(g).unwrap().parse().unwrap()).collect();
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let mut raw = Vec::new();
    raw.extend(u16::try_from(groups.len()).unwrap().to_be_bytes());
    raw.extend(weight.to_be_bytes());
    raw.extend(sign.to_be_bytes());
    raw.extend(u16::try_from(fraction.len()).unwrap().to_be_bytes());
    groups.iter().for_each(|group| raw.extend(group.to_be_bytes()));
    raw
}

fn quoted(text: &str) -> Option<String> {
    Some(format!("\"{text}\""))
}

#[test]
fn numbers() {
    assert_eq!(written(PgCodec::Int2, &(-32768i16).to_be_bytes()).unwrap(), "-32768");
    assert_eq!(written(PgCodec::Int4, &7i32.to_be_bytes()).unwrap(), "7");
    assert_eq!(written(PgCodec::Int8, &i64::MAX.to_be_bytes()), quoted("9223372036854775807"));
    assert_eq!(written(PgCodec::Oid, &u32::MAX.to_be_bytes()).unwrap(), "4294967295");
    assert_eq!(written(PgCodec::Float4, &0.1f32.to_be_bytes()).unwrap(), "0.1");
    assert_eq!(written(PgCodec::Float8, &f64::NAN.to_be_bytes()), quoted("NaN"));
    assert_eq!(written(PgCodec::Bool, &[1]).unwrap(), "true");
    assert_eq!(position(PgCodec::Float8, &f64::NEG_INFINITY.to_be_bytes()), "-Infinity");
    assert_eq!(position(PgCodec::Float8, &5e-324f64.to_be_bytes()), "5e-324");
    assert_eq!(position(PgCodec::Oid, &u32::MAX.to_be_bytes()), "4294967295");
}

#[test]
fn numerics_lose_needless_zeros_only() {
    for (given, want) in [
        ("0", "0"),
        ("0.000", "0"),
        ("-1.500", "-1.5"),
        ("1234567890.1234", "1234567890.1234"),
        ("10000", "10000"),
        ("100000000", "100000000"),
        ("0.0001", "0.0001"),
        ("0.000000001", "0.000000001"),
        ("-99999999999999999999999999999.999999999", "-99999999999999999999999999999.999999999"),
    ] {
        assert_eq!(written(PgCodec::Numeric, &numeric(given)), quoted(want), "{given}");
        assert_eq!(position(PgCodec::Numeric, &numeric(given)), want, "{given}");
    }
    assert_eq!(written(PgCodec::NumericText, &numeric("1.500")), quoted("1.500"));
    assert_eq!(written(PgCodec::NumericText, &numeric("-0.000010")), quoted("-0.000010"));
    assert_eq!(written(PgCodec::NumericText, &numeric("NaN")), quoted("NaN"));
    assert_eq!(position(PgCodec::BigNumeric, &numeric("-Infinity")), "-Infinity");
}

#[test]
fn leading_zeros_say_nothing() {
    let raw = |weight: i16, groups: &[u16]| {
        let words = [u16::try_from(groups.len()).unwrap(), weight.cast_unsigned(), 0, 0];
        words.iter().chain(groups).flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>()
    };
    for (weight, groups, want) in [
        (36, &[][..], "0"),
        (-9, &[], "0"),
        (40, &[0, 0], "0"),
        (20, &[0; 21], "0"),
        (10, &[0; 11], "0"),
        (9, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 7], "7"),
    ] {
        assert_eq!(written(PgCodec::Numeric, &raw(weight, groups)), quoted(want), "{weight} {groups:?}");
        assert_eq!(position(PgCodec::Numeric, &raw(weight, groups)), want, "{weight} {groups:?}");
    }
}

#[test]
fn numerics_beyond_the_limits_are_unrepresentable() {
    for beyond in ["NaN", "Infinity", "-Infinity", "100000000000000000000000000000", "0.0000000001"] {
        assert_eq!(written(PgCodec::Numeric, &numeric(beyond)), None, "{beyond}");
    }
    let greatest = "578960446186580977117854925043439539266.34992332820282019728792003956564819967";
    let least = "-578960446186580977117854925043439539266.34992332820282019728792003956564819968";
    let tiny = format!("0.{}1", "0".repeat(37));
    for within in
        [greatest, least, &tiny, "99999999999999999999999999999999999999", "578960446186580977117854925043439539266"]
    {
        assert_eq!(written(PgCodec::BigNumeric, &numeric(within)), quoted(within), "{within}");
    }
    for beyond in [
        "578960446186580977117854925043439539266.34992332820282019728792003956564819968",
        "-578960446186580977117854925043439539266.34992332820282019728792003956564819969",
        "578960446186580977117854925043439539267",
        "1000000000000000000000000000000000000000",
        "1000000000000000000000000000000000000000000000000000000000000",
        "NaN",
    ] {
        assert_eq!(written(PgCodec::BigNumeric, &numeric(beyond)), None, "{beyond}");
    }
    let tiny = format!("0.{}1", "0".repeat(38));
    assert_eq!(written(PgCodec::BigNumeric, &numeric(&tiny)), None);
}

const DAY: i64 = 86_400_000_000;

#[test]
fn dates_and_times() {
    assert_eq!(written(PgCodec::Date, &0i32.to_be_bytes()), quoted("2000-01-01"));
    assert_eq!(written(PgCodec::Date, &i32::MAX.to_be_bytes()), None);
    assert_eq!(written(PgCodec::Timestamp, &(-1i64).to_be_bytes()), quoted("1999-12-31T23:59:59.999999"));
    assert_eq!(written(PgCodec::TimestampTz, &DAY.to_be_bytes()), quoted("2000-01-02T00:00:00Z"));
    for end in [i64::MAX, i64::MIN] {
        assert_eq!(written(PgCodec::TimestampTz, &end.to_be_bytes()), None);
        assert_eq!(written(PgCodec::Timestamp, &end.to_be_bytes()), None);
    }
    assert_eq!(written(PgCodec::Time, &DAY.to_be_bytes()), None);
    let timetz = |micros: i64, west: i32| [&micros.to_be_bytes()[..], &west.to_be_bytes()].concat();
    // 01:30 two hours east of UTC is 23:30 of the day before
    assert_eq!(written(PgCodec::TimeTz, &timetz(5_400_000_000, -7200)), quoted("23:30:00"));
    assert_eq!(written(PgCodec::TimeTz, &timetz(DAY, 0)), None);
    assert_eq!(position(PgCodec::TimeTz, &timetz(5_400_000_000, -7200)), "01:30:00+02:00:00");
    assert_eq!(position(PgCodec::TimeTz, &timetz(DAY, 19800)), "24:00:00-05:30:00");
}

#[test]
fn positions_of_instants_reach_beyond_bigquery() {
    let instant = |micros: i64| position(PgCodec::TimestampTz, &micros.to_be_bytes());
    assert_eq!(instant(0), "2000-01-01T00:00:00Z");
    assert_eq!(instant(500_000), "2000-01-01T00:00:00.500000Z");
    assert_eq!(instant(i64::MAX), "infinity");
    assert_eq!(instant(i64::MIN), "-infinity");
    assert_eq!(position(PgCodec::Timestamp, &1i64.to_be_bytes()), "2000-01-01T00:00:00.000001");
    // days from 2000-01-01 back to 0001-01-01
    assert_eq!(instant(-730_119 * DAY), "0001-01-01T00:00:00Z");
    assert_eq!(instant(-730_120 * DAY), "0001-12-31T00:00:00Z BC");
    assert_eq!(position(PgCodec::Date, &2_921_940i32.to_be_bytes()), "10000-01-01");
    assert_eq!(position(PgCodec::Date, &i32::MIN.to_be_bytes()), "-infinity");
}

#[test]
fn bytes_and_texts() {
    let uuid = [0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11];
    assert_eq!(written(PgCodec::Uuid, &uuid), quoted("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
    assert_eq!(position(PgCodec::Uuid, &uuid), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    assert_eq!(written(PgCodec::Bytea, &[0xde, 0xad]), quoted("3q0="));
    assert_eq!(position(PgCodec::Bytea, &[0x00, 0xff]), "\\x00ff");
    assert_eq!(position(PgCodec::Bytea, &[]), "\\x");
    assert_eq!(written(PgCodec::Text, b"a\n"), quoted("a\\n"));
    assert_eq!(position(PgCodec::Text, b"a\n"), "a\n");
    assert_eq!(written(PgCodec::Json, b"{\"a\":\n1}").unwrap(), "{\"a\": 1}");
    assert_eq!(written(PgCodec::Jsonb, b"\x01[1]").unwrap(), "[1]");
    assert_eq!(written(PgCodec::Json, b"\"\xff\"").unwrap(), "\"\u{fffd}\"");
    assert_eq!(PgCodec::Text.position_text(b"\xff"), Err(Malformed));
}

#[test]
fn other_bytes_are_malformed() {
    let mut out = Vec::new();
    for (codec, raw) in [
        (PgCodec::Int4, &[0u8; 3][..]),
        (PgCodec::Int8, &[0; 4]),
        (PgCodec::Bool, &[2]),
        (PgCodec::Jsonb, &[2, b'1']),
        (PgCodec::Jsonb, &[]),
        (PgCodec::Uuid, &[0; 15]),
        (PgCodec::TimeTz, &[0; 8]),
        (PgCodec::Numeric, &[0; 7]),
        (PgCodec::Numeric, &[0, 1, 0, 0, 0, 0, 0, 0]),
        (PgCodec::Numeric, &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]),
        (PgCodec::Numeric, &[0, 0, 0, 0, 0x12, 0x34, 0, 0]),
        // more decimals than there can be, times of no day, a zone that is none
        (PgCodec::NumericText, &[0, 0, 0, 0, 0, 0, 0x40, 0]),
        (PgCodec::Time, &(-1i64).to_be_bytes()),
        (PgCodec::Time, &86_400_000_001i64.to_be_bytes()),
        (PgCodec::TimeTz, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xe1, 0]),
        (PgCodec::TimeTz, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        assert_eq!(codec.write(&mut out, raw), Err(Malformed), "{codec:?} {raw:?}");
        assert_eq!(codec.position_text(raw), Err(Malformed), "{codec:?} {raw:?}");
    }
}

#[test]
fn arrays_that_are_none_are_malformed() {
    let array = |words: &[i32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let codec = PgCodec::Repeated(&PgCodec::Int4);
    assert_eq!(written(codec, &array(&[1, 0, 23, 2, 1, 4, 7, 4, 8])).unwrap(), "[7,8]");
    for words in [
        &[0, 0, 23, 0][..],         // no dimension, and then something
        &[-1, 0, 23],               // fewer dimensions than none
        &[7, 0, 23, 1, 1],          // more than there can be
        &[1, 0, 23, -1, 1],         // fewer elements than none
        &[1, 0, 23, 1, 1, 4, 7, 0], // more behind the last
        &[1, 0, 23, 1, 1, -2, 7],   // a length that is none, and not that of NULL
        &[1, 0, 23, 2, 1, 4, 7],    // fewer elements than said
    ] {
        assert_eq!(codec.write(&mut Vec::new(), &array(words)), Err(Malformed), "{words:?}");
    }
}

proptest! {
    #[test]
    fn any_numeric_reads_back(integer in "[1-9][0-9]{0,60}|0", fraction in "[0-9]{0,60}", negative: bool) {
        let zero = integer == "0" && fraction.bytes().all(|digit| digit == b'0');
        let sign = if negative && !zero { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        let text = format!("{sign}{integer}{point}{fraction}");
        prop_assert_eq!(written(PgCodec::NumericText, &numeric(&text)), quoted(&text));
        let trimmed = if point.is_empty() { text.as_str() } else { text.trim_end_matches('0').trim_end_matches('.') };
        prop_assert_eq!(position(PgCodec::Numeric, &numeric(&text)), trimmed);
        let fraction = fraction.trim_end_matches('0');
        if integer.len() != 39 {
            let fits = integer.len() <= 38 && fraction.len() <= 38;
            prop_assert_eq!(written(PgCodec::BigNumeric, &numeric(&text)), if fits { quoted(trimmed) } else { None });
        }
        let fits = integer.len() <= 29 && fraction.len() <= 9;
        prop_assert_eq!(written(PgCodec::Numeric, &numeric(&text)), if fits { quoted(trimmed) } else { None });
    }

    #[test]
    fn any_instant_is_what_jiff_says(micros in -63_082_281_600_000_000i64..252_455_615_999_999_999) {
        let text = position(PgCodec::TimestampTz, &micros.to_be_bytes());
        let read: jiff::Timestamp = text.parse().unwrap();
        prop_assert_eq!(read.as_microsecond(), micros + super::EPOCH_MICROS);
        let line = written(PgCodec::TimestampTz, &micros.to_be_bytes());
        prop_assert_eq!(line, quoted(&text));
    }

    #[test]
    fn no_bytes_make_it_panic(raw: Vec<u8>) {
        for codec in [PgCodec::Numeric, PgCodec::BigNumeric, PgCodec::NumericText, PgCodec::TimeTz, PgCodec::Text,
                      PgCodec::Json, PgCodec::Jsonb, PgCodec::Uuid, PgCodec::Time, PgCodec::Date, PgCodec::Timestamp] {
            let wrote = codec.write(&mut Vec::new(), &raw).is_ok();
            prop_assert!(wrote || codec.position_text(&raw).is_err());
        }
    }
}
