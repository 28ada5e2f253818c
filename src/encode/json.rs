//! BigQuery's NDJSON form of each kind of value. Every function appends to `out` and allocates nothing.
//!
//! Forms (loading-data-cloud-storage-json): INT64 beyond ±(2^53−1) as a string; NUMERIC as a string; BYTES as
//! base64; DATE `YYYY-MM-DD`; TIME `HH:MM:SS[.ffffff]`; DATETIME with `T`; TIMESTAMP with `T` and `Z`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::audit::Fidelity;

/// The greatest integer that a JSON number carries exactly.
const EXACT_INTEGER_MAX: i64 = (1 << 53) - 1;
/// Days from 0000-03-01 to 1970-01-01, the shift of the civil-date algorithm.
const DAYS_TO_EPOCH: i64 = 719_468;
/// Days since 1970-01-01 of 0001-01-01, BigQuery's first.
pub const DAY_MIN: i64 = -719_162;
/// Days since 1970-01-01 of 9999-12-31, BigQuery's last.
pub const DAY_MAX: i64 = 2_932_896;
/// Microseconds since the epoch of 0001-01-01 00:00:00, BigQuery's first instant.
pub const CIVIL_MICROS_MIN: i64 = DAY_MIN * DAY_MICROS;
/// Microseconds since the epoch of 9999-12-31 23:59:59.999999, BigQuery's last.
pub const CIVIL_MICROS_MAX: i64 = (DAY_MAX + 1) * DAY_MICROS - 1;
/// Microseconds of a day.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// What a byte needs inside a JSON string: 0 nothing, `u` a `\u00XX`, else the letter after the backslash.
const ESCAPES: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Bytes that are looked at together: without a branch among them, the compiler does so with vector instructions.
const LANE: usize = 16;

/// Whether a JSON string holds the byte as it is, and it is a character by itself.
#[inline]
fn is_plain(byte: u8) -> bool {
    (0x20..0x80).contains(&byte) & (byte != b'"') & (byte != b'\\')
}

/// Whether a JSON string holds the text as it is, and it is ASCII, as most texts of most tables are.
#[inline]
fn all_plain(text: &[u8]) -> bool {
    let lane = |lane: &[u8; LANE]| lane.iter().fold(true, |plain, &byte| plain & is_plain(byte));
    match text.last_chunk() {
        // the last lane overlaps the one before it
        Some(last) => text.as_chunks().0.iter().all(lane) && lane(last),
        None => text.iter().fold(true, |plain, &byte| plain & is_plain(byte)),
    }
}

/// A JSON string of text that the source says is UTF-8. Bytes that are not become U+FFFD.
#[inline]
pub fn string(out: &mut Vec<u8>, text: &[u8]) -> Fidelity {
    if all_plain(text) {
        plain_string(out, text);
        return Fidelity::Exact;
    }
    escaped_string(out, text)
}

fn escaped_string(out: &mut Vec<u8>, text: &[u8]) -> Fidelity {
    out.push(b'"');
    let fidelity = match std::str::from_utf8(text) {
        Ok(_) => {
            escaped(out, text);
            Fidelity::Exact
        }
        Err(_) => {
            for chunk in text.utf8_chunks() {
                escaped(out, chunk.valid().as_bytes());
                if !chunk.invalid().is_empty() {
                    out.extend_from_slice("\u{fffd}".as_bytes());
                }
            }
            Fidelity::Replaced
        }
    };
    out.push(b'"');
    fidelity
}

/// A JSON string of bytes that must be UTF-8.
pub fn checked_string(out: &mut Vec<u8>, bytes: &[u8]) -> Fidelity {
    if std::str::from_utf8(bytes).is_err() {
        return Fidelity::Unrepresentable;
    }
    string(out, bytes)
}

/// GEOGRAPHY of EWKT: WKT of longitude and latitude, which SRID 4326 alone promises.
pub fn geography(out: &mut Vec<u8>, ewkt: &[u8]) -> Fidelity {
    match ewkt.strip_prefix(b"SRID=4326;") {
        Some(wkt) => string(out, wkt),
        None => Fidelity::Unrepresentable,
    }
}

/// Bytes at the text's beginning that need no escape.
fn clean_length(text: &[u8]) -> usize {
    let clean = |lane: &&[u8; LANE]| {
        lane.iter().fold(true, |clean, &byte| clean & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'))
    };
    let lanes = text.as_chunks::<LANE>().0.iter().take_while(clean).count() * LANE;
    lanes + text[lanes..].iter().take_while(|&&byte| ESCAPES[usize::from(byte)] == 0).count()
}

fn escaped(out: &mut Vec<u8>, mut text: &[u8]) {
    loop {
        let (clean, rest) = text.split_at(clean_length(text));
        out.extend_from_slice(clean);
        let Some((&byte, after)) = rest.split_first() else { return };
        text = after;
        let escape = ESCAPES[usize::from(byte)];
        if escape == b'u' {
            let hex = b"0123456789abcdef";
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]]);
        } else {
            out.extend_from_slice(&[b'\\', escape]);
        }
    }
}

/// A JSON string of text that needs no escape: digits, dates, uuids. The caller knows.
pub fn plain_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// JSON text from the source, in one line: line ends between tokens become spaces (inside strings JSON has none).
pub fn raw_json(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(text);
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// INT64.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(value).as_bytes();
    if (-EXACT_INTEGER_MAX..=EXACT_INTEGER_MAX).contains(&value) {
        out.extend_from_slice(digits);
    } else {
        plain_string(out, digits);
    }
}

/// NUMERIC from an unsigned integer.
pub fn unsigned_numeric(out: &mut Vec<u8>, value: u64) {
    plain_string(out, itoa::Buffer::new().format(value).as_bytes());
}

/// FLOAT64 of a double: the shortest text that reads back the same.
pub fn double(out: &mut Vec<u8>, value: f64) {
    match non_finite(value.is_nan(), value.is_infinite(), value.is_sign_negative()) {
        Some(word) => plain_string(out, word),
        None => out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes()),
    }
}

/// FLOAT64 of a single: the shortest text that reads back the same single.
pub fn single(out: &mut Vec<u8>, value: f32) {
    match non_finite(value.is_nan(), value.is_infinite(), value.is_sign_negative()) {
        Some(word) => plain_string(out, word),
        None => out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes()),
    }
}

fn non_finite(nan: bool, infinite: bool, negative: bool) -> Option<&'static [u8]> {
    match (nan, infinite, negative) {
        (true, _, _) => Some(b"NaN"),
        (_, true, true) => Some(b"-Infinity"),
        (_, true, false) => Some(b"Infinity"),
        (false, false, _) => None,
    }
}

/// BOOL.
pub fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// BYTES.
pub fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    let start = out.len();
    // three bytes become four characters, the last group padded
    out.resize(start + value.len().div_ceil(3) * 4, 0);
    // the slice has exactly the length that the encoding needs, so it cannot fail
    let written = STANDARD.encode_slice(value, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
    out.push(b'"');
}

/// The civil date of a day number (days since 1970-01-01). For days within [`DAY_MIN`] to [`DAY_MAX`].
/// The algorithm is Howard Hinnant's `civil_from_days`.
pub fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let shifted = days + DAYS_TO_EPOCH;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, small(month), small(day))
}

/// A number below 100 as a byte.
fn small(value: i64) -> u8 {
    u8::try_from(value).unwrap_or(0)
}

/// Year (1 to 9999), month and day of a day number within [`DAY_MIN`] to [`DAY_MAX`]: the same as [`civil_from_days`],
/// without a division that takes long. The algorithm is Cassio Neri's and Lorenz Schneider's (“Euclidean affine functions
/// and their application to calendar algorithms”, 2022).
#[inline]
fn civil_of_era(days: i64) -> (u32, u32, u32) {
    // within the range this is positive, and four times it fits
    let number = 4 * u32::try_from(days + DAYS_TO_EPOCH).unwrap_or(0) + 3;
    let (century, of_century) = (number / 146_097, number % 146_097 / 4);
    let product = 2_939_745 * u64::from(4 * of_century + 3);
    let of_years = product >> 32;
    let day_of_year = (product & 0xffff_ffff) / 2_939_745 / 4;
    let shifted = 2_141 * day_of_year + 197_913;
    let (month, day) = (shifted >> 16, (shifted & 0xffff) / 2_141 + 1);
    let (next_year, month) = if day_of_year >= 306 { (1, month - 12) } else { (0, month) };
    let narrow = |value: u64| u32::try_from(value).unwrap_or(0);
    (100 * century + narrow(of_years) + next_year, narrow(month), narrow(day))
}

/// The digits of 0 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut value = 0u8;
    while value < 100 {
        pairs[value as usize] = [b'0' + value / 10, b'0' + value % 10];
        value += 1;
    }
    pairs
};

/// The last two digits of a number.
#[inline]
pub(crate) fn pair(value: u32) -> [u8; 2] {
    PAIRS[(value % 100) as usize]
}

/// `YYYY-MM-DD` without quotes.
#[inline]
pub fn push_date(out: &mut Vec<u8>, year: u32, month: u32, day: u32) {
    let ([a, b], [c, d], [e, f], [g, h]) = (pair(year / 100), pair(year), pair(month), pair(day));
    out.extend_from_slice(&[a, b, c, d, b'-', e, f, b'-', g, h]);
}

/// `HH:MM:SS[.ffffff]` without quotes; no fraction if `micros` is 0. `micros` below a million.
#[inline]
pub fn push_time(out: &mut Vec<u8>, hour: u32, minute: u32, second: u32, micros: u32) {
    let ([a, b], [c, d], [e, f]) = (pair(hour), pair(minute), pair(second));
    let ([g, h], [i, j], [k, l]) = (pair(micros / 10_000), pair(micros / 100), pair(micros));
    out.extend_from_slice(&[a, b, b':', c, d, b':', e, f, b'.', g, h, i, j, k, l]);
    if micros == 0 {
        out.truncate(out.len() - ".ffffff".len());
    }
}

/// `HH:MM:SS[.ffffff]` of microseconds since midnight, below [`DAY_MICROS`], without quotes.
#[inline]
pub fn push_time_micros(out: &mut Vec<u8>, micros: i64) {
    let narrow = |value: i64| u32::try_from(value).unwrap_or(0);
    let (seconds, fraction) = (narrow(micros / 1_000_000), narrow(micros % 1_000_000));
    push_time(out, seconds / 3600, seconds / 60 % 60, seconds % 60, fraction);
}

/// `YYYY-MM-DDTHH:MM:SS[.ffffff]` of microseconds since 1970-01-01, without quotes; `None`, and nothing written,
/// beyond the years 1 to 9999.
pub fn push_civil_micros(out: &mut Vec<u8>, micros: i64) -> Option<()> {
    let days = micros.div_euclid(DAY_MICROS);
    if !(DAY_MIN..=DAY_MAX).contains(&days) {
        return None;
    }
    let (year, month, day) = civil_of_era(days);
    push_date(out, year, month, day);
    out.push(b'T');
    push_time_micros(out, micros.rem_euclid(DAY_MICROS));
    Some(())
}

/// DATE of a day number.
pub fn date(out: &mut Vec<u8>, days: i64) -> Fidelity {
    if !(DAY_MIN..=DAY_MAX).contains(&days) {
        return Fidelity::Unrepresentable;
    }
    let (year, month, day) = civil_of_era(days);
    out.push(b'"');
    push_date(out, year, month, day);
    out.push(b'"');
    Fidelity::Exact
}

/// DATETIME of microseconds since 1970-01-01 00:00:00.
pub fn datetime(out: &mut Vec<u8>, micros: i64) -> Fidelity {
    quoted_civil(out, micros, b"\"")
}

/// TIMESTAMP of microseconds since the epoch.
pub fn timestamp(out: &mut Vec<u8>, micros: i64) -> Fidelity {
    quoted_civil(out, micros, b"Z\"")
}

fn quoted_civil(out: &mut Vec<u8>, micros: i64, end: &[u8]) -> Fidelity {
    let start = out.len();
    out.push(b'"');
    if push_civil_micros(out, micros).is_none() {
        out.truncate(start);
        return Fidelity::Unrepresentable;
    }
    out.extend_from_slice(end);
    Fidelity::Exact
}

/// TIME of microseconds since midnight; 24:00:00 and beyond is unrepresentable.
pub fn time(out: &mut Vec<u8>, micros: i64) -> Fidelity {
    if !(0..DAY_MICROS).contains(&micros) {
        return Fidelity::Unrepresentable;
    }
    out.push(b'"');
    push_time_micros(out, micros);
    out.push(b'"');
    Fidelity::Exact
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_beyond_53_bits_are_strings() {
        assert_eq!(text(|out| integer(out, 9_007_199_254_740_991)), "9007199254740991");
        assert_eq!(text(|out| integer(out, 9_007_199_254_740_992)), "\"9007199254740992\"");
        assert_eq!(text(|out| integer(out, -9_007_199_254_740_992)), "\"-9007199254740992\"");
        assert_eq!(text(|out| integer(out, i64::MIN)), "\"-9223372036854775808\"");
    }

    #[test]
    fn floats_are_short_and_whole() {
        assert_eq!(text(|out| double(out, 0.1)), "0.1");
        assert_eq!(text(|out| single(out, 0.1)), "0.1");
        assert_eq!(text(|out| double(out, 5e-324)), "5e-324");
        assert_eq!(text(|out| double(out, -0.0)), "-0.0");
        assert_eq!(text(|out| double(out, f64::NAN)), "\"NaN\"");
        assert_eq!(text(|out| double(out, f64::NEG_INFINITY)), "\"-Infinity\"");
        assert_eq!(text(|out| single(out, f32::INFINITY)), "\"Infinity\"");
    }

    #[test]
    fn invalid_utf8_is_replaced_and_said() {
        let mut out = Vec::new();
        assert_eq!(string(&mut out, b"a\xff\"b"), Fidelity::Replaced);
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\u{fffd}\\\"b\"");
    }

    #[test]
    fn the_ends_of_time() {
        assert_eq!(text(|out| assert_eq!(date(out, DAY_MIN), Fidelity::Exact)), "\"0001-01-01\"");
        assert_eq!(text(|out| assert_eq!(date(out, DAY_MAX), Fidelity::Exact)), "\"9999-12-31\"");
        assert_eq!(text(|out| assert_eq!(date(out, DAY_MAX + 1), Fidelity::Unrepresentable)), "");
        let last = (DAY_MAX + 1) * DAY_MICROS - 1;
        assert_eq!(text(|out| assert_eq!(timestamp(out, last), Fidelity::Exact)), "\"9999-12-31T23:59:59.999999Z\"");
        assert_eq!(text(|out| assert_eq!(timestamp(out, last + 1), Fidelity::Unrepresentable)), "");
        assert_eq!(text(|out| assert_eq!(time(out, DAY_MICROS), Fidelity::Unrepresentable)), "");
    }

    #[test]
    fn every_day_of_both_algorithms() {
        for day in DAY_MIN..=DAY_MAX {
            let (year, month, of_month) = civil_of_era(day);
            assert_eq!((i64::from(year), month, of_month), {
                let (year, month, of_month) = civil_from_days(day);
                (year, u32::from(month), u32::from(of_month))
            });
        }
    }

    #[test]
    fn each_byte_at_each_place_of_a_text() {
        for length in [0, 1, 7, 15, 16, 17, 31, 32, 33, 50] {
            for (place, byte) in (0..length).flat_map(|place| (0..=127).map(move |byte| (place, byte))) {
                let mut value = vec![b'x'; length];
                value[place] = byte;
                let written = text(|out| assert_eq!(string(out, &value), Fidelity::Exact));
                assert_eq!(serde_json::from_str::<String>(&written).unwrap().as_bytes(), value);
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_back(value in any::<String>()) {
            let written = text(|out| { string(out, value.as_bytes()); });
            prop_assert!(!written.contains('\n'));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), value);
        }

        #[test]
        fn any_double_reads_back(value in any::<f64>()) {
            prop_assume!(value.is_finite());
            let written = text(|out| double(out, value));
            prop_assert_eq!(written.parse::<f64>().unwrap().to_bits(), value.to_bits());
        }

        #[test]
        fn any_instant_is_what_jiff_says(micros in (DAY_MIN * DAY_MICROS)..(DAY_MAX * DAY_MICROS)) {
            let written = text(|out| { datetime(out, micros); });
            let read: jiff::civil::DateTime = written.trim_matches('"').parse().unwrap();
            let back = read.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_microsecond();
            prop_assert_eq!(back, micros);
        }

        #[test]
        fn any_bytes_read_back(value in any::<Vec<u8>>()) {
            let written = text(|out| bytes(out, &value));
            prop_assert_eq!(STANDARD.decode(written.trim_matches('"')).unwrap(), value);
        }
    }
}
