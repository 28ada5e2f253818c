//! Numbers, times and addresses as a person reads them.

use std::fmt::Write as _;

use jiff::Timestamp;

/// The most characters of a message that is shown.
pub const MESSAGE_CHARS_MAX: usize = 800;

/// Seconds as the two greatest of their units.
pub fn duration(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let (mut text, mut rest, mut parts) = (String::new(), seconds, 0);
    for (unit, name) in UNITS {
        if (rest >= unit || parts > 0) && parts < 2 {
            text = format!("{text}{}{name}", rest / unit);
            rest %= unit;
            parts += 1;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Milliseconds, short.
pub(super) fn milliseconds(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        _ => duration(i64::try_from(ms / 1_000).unwrap_or(i64::MAX)),
    }
}

/// How far away an instant is.
pub(super) fn away(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    match seconds {
        0..=1 => "now".to_owned(),
        2.. => format!("{} ago", duration(seconds)),
        _ => format!("in {}", duration(seconds.saturating_neg())),
    }
}

/// An instant, whole.
pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// An instant as short as it is understood at `now`.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let form = if day(at) == day(now) { "%H:%M" } else { "%b %-d %H:%M" };
    at.strftime(form).to_string()
}

/// A number with a comma after every third digit from the right.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many of something there are.
pub(super) fn several(number: usize, one: &str, more: &str) -> String {
    format!("{} {}", count(number as u64), if number == 1 { one } else { more })
}

/// Bytes in the greatest unit that leaves a number before the point.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.into_iter().find(|(unit, _)| number >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", number / unit, number % unit * 10 / unit),
        None => format!("{number} B"),
    }
}

/// A message of a length that can be read.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The address of a table's page.
pub(super) fn address(source: &str, table: &str) -> String {
    let mut address = "/tables/".to_owned();
    segment(&mut address, source);
    address.push('/');
    segment(&mut address, table);
    address
}

/// Appends a text as one segment of a path, or one value of a query.
pub(super) fn segment(address: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') {
            address.push(char::from(byte));
        } else {
            // writing to a String cannot fail
            write!(address, "%{byte:02X}").unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_short() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (61, "1m1s"), (7_260, "2h1m"), (86_400, "1d0h"), (1_000_000, "11d13h")]
        {
            assert_eq!(duration(seconds), text);
        }
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        for (ms, text) in [(0, "0ms"), (1_250, "1.2s"), (61_000, "1m1s")] {
            assert_eq!(milliseconds(ms), text);
        }
        assert_eq!([bytes(1_023), bytes(1_536), bytes(5 << 30)], ["1023 B", "1.5 KiB", "5.0 GiB"]);
    }

    #[test]
    fn instants_are_told_from_now() {
        let at = |second: i64| Timestamp::from_second(second).unwrap_or_default();
        let now = at(86_400 * 2);
        assert_eq!(away(at(86_400 * 2 - 90), now), "1m30s ago");
        assert_eq!(away(at(86_400 * 2 + 120), now), "in 2m0s");
        assert_eq!(away(now, now), "now");
        assert_eq!(clock(at(86_400 * 2 + 60), now), "00:01");
        assert_eq!(clock(at(60), now), "Jan 1 00:01");
        assert_eq!(stamp(at(0)), "1970-01-01 00:00:00 UTC");
    }

    #[test]
    fn an_address_is_of_plain_characters() {
        assert_eq!(address("pg", "a/b <é>"), "/tables/pg/a%2Fb%20%3C%C3%A9%3E");
        assert!(short(&"x".repeat(10_000)).chars().count() < MESSAGE_CHARS_MAX + 5);
    }
}
