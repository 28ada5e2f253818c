//! Parsers of single values. Each error says what is wrong and what would be right; none echoes a secret.

use std::time::Duration;

use url::Url;

use crate::model::{OutOfRange, nearest};

type Parsed<T> = Result<T, String>;

/// Any text but the empty one.
pub(super) fn text(text: &str) -> Parsed<String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// A Google Cloud project id, perhaps of a domain (`example.com:project`).
pub(super) fn project(text: &str) -> Parsed<String> {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:_".contains(&byte);
    if text.is_empty() || text.len() > 100 || !text.bytes().all(fine) {
        return Err(format!("{text:?} is not a project id"));
    }
    Ok(text.to_owned())
}

/// A dataset id.
pub(super) fn dataset(text: &str) -> Parsed<String> {
    if text.is_empty() || text.len() > 1024 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(format!("{text:?} is not a dataset; say letters, digits and _ only"));
    }
    Ok(text.to_owned())
}

/// The name of a source's database, as a url can have it.
pub(super) fn database(text: &str) -> Parsed<String> {
    if text.is_empty() || text.contains('/') || matches!(text, "." | "..") {
        return Err(format!("{text:?} is not a database's name: it may hold no `/`"));
    }
    Ok(text.to_owned())
}

/// A BigQuery table id. BigQuery takes more, but these need no care anywhere.
pub(super) fn table(text: &str) -> Parsed<String> {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
    if text.is_empty() || text.len() > 1024 || !text.chars().all(fine) {
        return Err(format!("{text:?} is not a BigQuery table name; say letters, digits, _, - and spaces only"));
    }
    Ok(text.to_owned())
}

/// A BigQuery location.
pub(super) fn location(text: &str) -> Parsed<String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(format!("{text:?} is not a location; say for example EU, US or europe-west1"));
    }
    Ok(text.to_owned())
}

/// A bucket, with or without `gs://`.
pub(super) fn bucket(text: &str) -> Parsed<String> {
    let name = text.strip_prefix("gs://").unwrap_or(text).trim_end_matches('/');
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if !(3..=222).contains(&name.len()) || !name.bytes().all(fine) {
        return Err(format!("{text:?} is not a bucket's name; a path inside it goes into `prefix`"));
    }
    Ok(name.to_owned())
}

/// A path in the bucket; given back without a leading and with a trailing `/`.
pub(super) fn prefix(text: &str) -> Parsed<String> {
    let path = text.trim_matches('/');
    if path.len() > 200 || path.chars().any(char::is_control) {
        return Err("must have at most 200 bytes and no control characters".to_owned());
    }
    Ok(if path.is_empty() { String::new() } else { format!("{path}/") })
}

/// A whole number within limits; `_` may group digits.
pub(super) fn number(text: &str, min: u64, max: u64) -> Parsed<u64> {
    let value: u64 =
        text.replace('_', "").parse().map_err(|_not| format!("{text:?} is not a whole number from {min} to {max}"))?;
    if (min..=max).contains(&value) { Ok(value) } else { Err(format!("must be from {min} to {max}, not {value}")) }
}

/// A signed whole number.
pub(super) fn integer(text: &str) -> Parsed<i64> {
    text.replace('_', "").parse().map_err(|_not| format!("{text:?} is not a whole number"))
}

/// One of the limited numbers of the model, as a count or as bytes with a unit (`8 MiB`).
pub(super) fn limited<T: TryFrom<u64, Error = OutOfRange>>(text: &str) -> Parsed<T> {
    let value = bytes(text)?;
    T::try_from(value).map_err(|fault| fault.to_string())
}

/// A number with an optional unit of bytes.
fn bytes(text: &str) -> Parsed<u64> {
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'_').count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(format!("{text:?} is not a number or size; say for example 250000 or 8 MiB")),
    };
    let number: u64 = number
        .replace('_', "")
        .parse()
        .map_err(|_not| format!("{text:?} is not a number or size; say for example 8 MiB"))?;
    number.checked_mul(factor).ok_or_else(|| format!("{text:?} is too large"))
}

/// A duration: `90s`, `1m30s`, `2h`, `500ms`, `1d`.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    let fault = || format!("{text:?} is not a duration; say for example 90s, 1m30s or 2h");
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(fault());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = rest[..digits].parse().map_err(|_not| fault())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            "d" => Duration::from_secs(86_400),
            _ => return Err(fault()),
        };
        rest = rest[letters..].trim_start();
        total = unit.checked_mul(number).and_then(|part| total.checked_add(part)).ok_or_else(fault)?;
    }
    if total > Duration::from_secs(366 * 86_400) { Err("must be at most 366d".to_owned()) } else { Ok(total) }
}

/// One of a few words.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Parsed<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = nearest(text, all.iter().map(|word| (*word, *word)), 1).pop();
        let way_out = near.map_or_else(|| "say one of them".to_owned(), |near| format!("did you mean {near}?"));
        format!("{text:?} is not one of {}; {way_out}", all.join(", "))
    })
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Parsed<bool> {
    word(text, &[("true", true), ("false", false)])
}

/// Whether the url's host is this machine; `None` if it has no host.
pub(super) fn is_loopback(url: &Url) -> Option<bool> {
    Some(match url.host()? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    })
}

/// The name of a time zone.
pub(super) fn zone(text: &str) -> Parsed<String> {
    match jiff::tz::TimeZone::get(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_unknown) => Err(format!("{text:?} is not a time zone; say for example UTC or Europe/Berlin")),
    }
}
