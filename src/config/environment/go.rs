//! Values as Go writes them: durations and truth values.

use std::time::Duration;

/// Nanoseconds of each unit of `time.ParseDuration`, longer names first.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3600 * 1_000_000_000),
];
/// The most digits of a number that count: a duration has at most 19 before its point.
const DIGITS_MAX: usize = 19;

/// Parses `1m30s`, `500ms`, `1.5h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("{text:?} is not a duration; say for example 90s, 1m30s, 1.5h or 500ms");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(fault());
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let whole = digits(&mut rest);
        let fraction = match rest.strip_prefix('.') {
            Some(after) => {
                rest = after;
                digits(&mut rest)
            }
            None => "",
        };
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > DIGITS_MAX {
            return Err(fault());
        }
        let length = rest.bytes().take_while(|byte| !byte.is_ascii_digit() && *byte != b'.').count();
        let name = rest.get(..length).ok_or_else(fault)?;
        let (_, unit) = UNITS.iter().find(|(known, _)| *known == name).ok_or_else(fault)?;
        rest = &rest[length..];
        let fraction = &fraction[..fraction.len().min(DIGITS_MAX)];
        let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
        let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let unit = u128::from(*unit);
        nanos += number(whole).ok_or_else(fault)? * unit + number(fraction).ok_or_else(fault)? * unit / scale;
    }
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_too_long| fault())
}

fn digits<'a>(rest: &mut &'a str) -> &'a str {
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, after) = rest.split_at(length);
    *rest = after;
    digits
}

/// Parses what `strconv.ParseBool` takes.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{text:?} is not true or false")),
    }
}

/// A duration as our files have it, to the millisecond, rounded up.
pub(super) fn in_file(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (millis, "ms")];
    let text: String =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use proptest::prelude::*;

    use super::super::super::scalar;
    use super::*;

    #[test]
    fn durations_as_go_parses_them() {
        for (text, nanos) in [
            ("1m30s", 90_000_000_000),
            ("500ms", 500_000_000),
            ("1.5h", 5_400_000_000_000),
            ("10m", 600_000_000_000),
            ("0", 0),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("+2h45m", 9_900_000_000_000),
            ("100µs", 100_000),
            ("1us1ns", 1_001),
            ("0.3333333333333333333333s", 333_333_333),
        ] {
            assert_eq!(duration(text).map(|it| it.as_nanos()), Ok(nanos), "{text}");
        }
        for text in
            ["", "+", "5", "1x", "-1s", "1.5", ".s", "1m 30s", "99999999999h", "123456789012345678901s", "1d", "µ"]
        {
            assert!(duration(text).unwrap_err().contains("1m30s"), "{text}");
        }
        assert_eq!(in_file(Duration::from_millis(5_400_500)), "1h30m500ms");
        assert_eq!(in_file(Duration::from_nanos(1)), "1ms");
    }

    proptest! {
        #[test]
        fn files_read_what_is_written(millis in 0_u64..86_400_000 * 300) {
            let written = in_file(Duration::from_millis(millis));
            prop_assert_eq!(scalar::duration(&written), Ok(Duration::from_millis(millis)));
        }

        #[test]
        fn no_text_panics(text in "[0-9.hmsuµ+-]{0,30}") {
            drop(duration(&text));
        }
    }
}
