//! Canonical forms: equal values have equal texts. And the limits of BigQuery's types. Pure, no code of the program's.

/// A decimal number's sign, significant digits and exponent, exactly: `-12.50` and `-1250e-2` are both `-125e-1`.
pub fn decimal(text: &str) -> Option<String> {
    let (negative, digits, exponent) = parts(text)?;
    if digits.is_empty() {
        return Some("0".into());
    }
    Some(format!("{}{digits}e{exponent}", if negative { "-" } else { "" }))
}

/// Sign, significant digits without zeros at either end, exponent of ten.
fn parts(text: &str) -> Option<(bool, String, i64)> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
    let exponent = exponent - i64::try_from(fraction.len()).ok()? + zeros;
    Some((negative, significant.trim_start_matches('0').to_owned(), exponent))
}

/// Whether NUMERIC holds it: 29 digits before the point, 9 after it.
pub fn fits_numeric(text: &str) -> bool {
    parts(text).is_some_and(|(_, digits, exponent)| {
        digits.is_empty() || (exponent >= -9 && i64::try_from(digits.len()).is_ok_and(|count| count + exponent <= 29))
    })
}

/// Whether BIGNUMERIC holds it: a whole number of 10^-38 from -2^255 to 2^255-1.
pub fn fits_bignumeric(text: &str) -> bool {
    const MAX: &str = "57896044618658097711785492504343953926634992332820282019728792003956564819967";
    const MIN: &str = "57896044618658097711785492504343953926634992332820282019728792003956564819968";
    let Some((negative, digits, exponent)) = parts(text) else { return false };
    if digits.is_empty() {
        return true;
    }
    let Ok(zeros) = usize::try_from(exponent + 38) else { return false };
    if zeros + digits.len() > MAX.len() {
        return false;
    }
    let units = format!("{:0>width$}", format!("{digits}{}", "0".repeat(zeros)), width = MAX.len());
    units.as_str() <= if negative { MIN } else { MAX }
}

/// A double: the shortest text, the sign of a zero kept.
pub fn double(value: f64) -> String {
    format!("{value:e}")
}

/// A single: the shortest text.
pub fn single(value: f32) -> String {
    format!("{value:e}")
}

/// The single that a double's canonical form came from: it reads back as the single and has no more digits than it
/// needs (of two texts that are as short and as near, either will do: 2.25 may be written 2.2 or 2.3).
pub fn single_of_double(text: &str) -> Result<String, String> {
    let digits = |text: &str| text.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let value = single(text.parse().map_err(|_not| format!("no number: {text}"))?);
    if digits(text) <= digits(&value) { Ok(value) } else { Err(format!("{text} has more digits than {value}")) }
}

/// The days of a month in the Gregorian calendar; 0 for a month that there is not.
pub fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(400) || (year.is_multiple_of(4) && !year.is_multiple_of(100)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// A number of exactly so many digits.
fn number(digits: &str, count: usize) -> Option<u32> {
    let shaped = digits.len() == count && digits.bytes().all(|digit| digit.is_ascii_digit());
    shaped.then(|| digits.parse().ok())?
}

/// `YYYY-MM-DD` of the years 1 to 9999, if the calendar has the day.
pub fn date(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let exists = parts.next().is_none() && year >= 1 && (1..=days_in_month(year, month)).contains(&day);
    exists.then(|| text.to_owned())
}

/// `HH:MM:SS[.f…]` below 24:00:00 as microseconds.
pub fn time_micros(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(clock, fraction)| (clock, Some(fraction)));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    let micros = match fraction {
        None => 0,
        Some(digits) if (1..=6).contains(&digits.len()) => number(&format!("{digits:0<6}"), 6)?,
        Some(_) => return None,
    };
    let there = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    there.then(|| i64::from((hour * 60 + minute) * 60 + second) * 1_000_000 + i64::from(micros))
}

/// `HH:MM:SS.ffffff`.
pub fn time_text(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    format!("{:02}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, micros % 1_000_000)
}

/// `HH:MM:SS[.f…]` with all six digits.
pub fn time(text: &str) -> Option<String> {
    time_micros(text).map(time_text)
}

/// A date and a time with `between` between them.
pub fn civil(text: &str, between: char) -> Option<String> {
    let (day, clock) = text.split_once(between)?;
    Some(format!("{}T{}", date(day)?, time(clock)?))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of hexadecimal digits.
pub fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}
