//! Dates and times of a position: parsed by us, so that the server never gets a text that it would cut, round or
//! take for a zero date with no more than a warning.

/// `YYYY-MM-DD[(T| )HH:MM:SS[.f…]][Z]` as the literal that the server reads. Zero parts are taken: MySQL has such dates.
pub(super) fn datetime(text: &str) -> Option<String> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let date = day(text.get(..10)?)?;
    let clock = match text.get(10..)? {
        "" => "00:00:00",
        rest => rest.strip_prefix(['T', ' '])?,
    };
    let (hours, rest) = clock.split_at_checked(2)?;
    number(hours, 23)?;
    minutes_on(rest)?;
    Some(format!("{date} {clock}"))
}

/// `YYYY-MM-DD`, perhaps with a time that says midnight.
pub(super) fn date(text: &str) -> Option<String> {
    let whole = datetime(text)?;
    let (date, clock) = whole.split_once(' ')?;
    clock.bytes().all(|byte| matches!(byte, b'0' | b':' | b'.')).then(|| date.to_owned())
}

/// `[-]HH[H]:MM:SS[.f…]`.
pub(super) fn time(text: &str) -> Option<String> {
    let span = text.strip_prefix('-').unwrap_or(text);
    let hours = span.find(':').filter(|length| (2..=3).contains(length))?;
    number(&span[..hours], 838)?;
    minutes_on(&span[hours..])?;
    Some(text.to_owned())
}

fn day(text: &str) -> Option<&str> {
    let (year, rest) = text.split_at_checked(4)?;
    let (month, day) = rest.strip_prefix('-')?.split_once('-')?;
    number(year, 9999)?;
    number(month, 12).filter(|_| month.len() == 2)?;
    number(day, 31).filter(|_| day.len() == 2)?;
    Some(text)
}

/// `:MM:SS[.f…]`, up to six fractional digits.
fn minutes_on(text: &str) -> Option<()> {
    let (minutes, seconds) = text.strip_prefix(':')?.split_once(':')?;
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    number(minutes, 59).filter(|_| minutes.len() == 2)?;
    number(seconds, 59).filter(|_| seconds.len() == 2)?;
    number(fraction, 999_999).filter(|_| fraction.len() <= 6)?;
    Some(())
}

fn number(digits: &str, max: u32) -> Option<u32> {
    let value: u32 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    (value <= max).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_civil_times() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(datetime("2026-01-01T00:00:00.123456Z"), some("2026-01-01 00:00:00.123456"));
        assert_eq!(datetime("2026-01-01 00:00:00"), some("2026-01-01 00:00:00"));
        assert_eq!(datetime("2026-01-01"), some("2026-01-01 00:00:00"));
        assert_eq!(datetime("0000-00-00T00:00:00"), some("0000-00-00 00:00:00"));
        for wrong in
            ["", "2026-1-01", "2026-01-01T", "2026-01-01T24:00:00", "2026-13-01", "2026-01-01T00:00:00.1234567"]
        {
            assert_eq!(datetime(wrong), None, "{wrong:?}");
        }
        for wrong in ["2026-01-01T00:00:00+01:00", "2026-01-01T00:00", "x026-01-01", "2026-01-01'", "\u{fc}026-01-01"] {
            assert_eq!(datetime(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn dates_and_spans() {
        assert_eq!(date("2024-05-00"), Some("2024-05-00".to_owned()));
        assert_eq!(date("2024-05-01T00:00:00Z"), Some("2024-05-01".to_owned()));
        assert_eq!(date("2024-05-01T00:00:01"), None);
        assert_eq!(time("-838:59:59.000000"), Some("-838:59:59.000000".to_owned()));
        assert_eq!(time("12:00:00"), Some("12:00:00".to_owned()));
        for wrong in ["839:00:00", "1:00:00", "12:60:00", "--1:00:00", ""] {
            assert_eq!(time(wrong), None, "{wrong:?}");
        }
    }
}
