//! JSON documents: onto one line, and looked at first where the server does not vouch for them. A document that is
//! not JSON would fail the whole load job, so it is unrepresentable.

use crate::audit::Fidelity;

/// JSON that the server has parsed.
pub(crate) fn write(out: &mut Vec<u8>, text: &[u8]) -> Fidelity {
    if std::str::from_utf8(text).is_err() || !holds(text) {
        return Fidelity::Unrepresentable;
    }
    one_line(out, text);
    Fidelity::Exact
}

/// JSON that may be none.
pub(crate) fn write_checked(out: &mut Vec<u8>, text: &[u8]) -> Fidelity {
    let start = out.len();
    if write(out, text) == Fidelity::Unrepresentable {
        return Fidelity::Unrepresentable;
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(&out[start..]) {
        Ok(_) => Fidelity::Exact,
        Err(_not_json) => Fidelity::Unrepresentable,
    }
}

/// Whether BigQuery's JSON can hold the document, which is one by its syntax: its strings are Unicode, so that half a
/// surrogate pair is none, its numbers are finite doubles, and it is not nested too deep.
pub(crate) fn holds(text: &[u8]) -> bool {
    /// No number of fewer characters without an exponent is beyond a double (its greatest is 1.8e308).
    const SAFE_BYTES: usize = 308;
    let doubtful = text.len() > SAFE_BYTES || memchr::memchr(b'\\', text).is_some() || has_exponent(text);
    !doubtful || holds_all(text)
}

/// Whether somewhere an `e` follows a digit. Without a branch per byte, so that many bytes are looked at at once.
fn has_exponent(text: &[u8]) -> bool {
    let pairs = text.iter().zip(text.get(1..).unwrap_or_default());
    pairs.fold(false, |found, (first, second)| found | (first.is_ascii_digit() & (second | 0x20 == b'e')))
}

fn holds_all(mut rest: &[u8]) -> bool {
    let mut depth = 0usize;
    while let Some((&first, tail)) = rest.split_first() {
        rest = match first {
            b'"' => match after_string(tail) {
                Some(rest) => rest,
                None => return false,
            },
            b'-' | b'0'..=b'9' => {
                let more = |byte: &&u8| matches!(**byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let (number, after) = rest.split_at(1 + tail.iter().take_while(more).count());
                let value = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok());
                if !value.is_some_and(f64::is_finite) {
                    return false;
                }
                after
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return false;
                }
                tail
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                tail
            }
            _ => tail,
        };
    }
    true
}

/// What follows the string whose opening quote was read; `None` if it holds half a surrogate pair.
fn after_string(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        let (&found, tail) = rest[at..].split_first()?;
        if found == b'"' {
            return Some(tail);
        }
        rest = match unit(&rest[at..]) {
            None => tail.get(1..)?,
            Some(0xd800..=0xdbff) => {
                unit(rest.get(at + UNIT..)?).filter(|low| (0xdc00..=0xdfff).contains(low))?;
                rest.get(at + 2 * UNIT..)?
            }
            Some(0xdc00..=0xdfff) => return None,
            Some(_) => rest.get(at + UNIT..)?,
        };
    }
}

/// BigQuery's limit of nesting (json-data, "Limitations").
const DEPTH_MAX: usize = 500;
/// Bytes of `\u` and its four digits.
const UNIT: usize = 6;

/// The UTF-16 unit that `\u` and four digits stand for.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.get(..UNIT)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Control characters become spaces between tokens and escapes inside strings, which changes no meaning.
fn one_line(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().all(|&byte| byte >= 0x20) {
        out.extend_from_slice(text);
        return;
    }
    let mut in_string = false;
    let mut escaped = false;
    for &byte in text {
        match byte {
            0..0x20 if in_string => {
                let hex = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]]);
            }
            b'\n' | b'\r' | b'\t' => out.push(b' '),
            _ => out.push(byte),
        }
        in_string ^= byte == b'"' && !escaped;
        escaped = in_string && byte == b'\\' && !escaped;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    fn checked(text: &str) -> Option<String> {
        let mut out = Vec::new();
        match write_checked(&mut out, text.as_bytes()) {
            Fidelity::Exact => Some(String::from_utf8(out).unwrap()),
            Fidelity::Unrepresentable | Fidelity::Adjusted | Fidelity::Replaced => None,
        }
    }

    #[test]
    fn lines_are_joined() {
        assert_eq!(checked("{\n\t\"a\": \"b\\\"\n\" }\r\n").unwrap(), "{  \"a\": \"b\\\"\\u000a\" }  ");
        assert_eq!(checked("\"a\\\\\"\n").unwrap(), "\"a\\\\\" ");
    }

    #[test]
    fn half_pairs_and_endless_numbers_are_unrepresentable() {
        for text in [
            "\"\\ud800\"",
            "\"\\udc00\"",
            "{\"\\ud83d\\u0041\": 1}",
            "[\"\\ud83d\"]",
            "1e400",
            "[-1E309]",
            "[1, 2e999]",
        ] {
            assert_eq!(checked(text), None, "{text}");
        }
        assert_eq!(checked(&"9".repeat(400)), None);
        for text in ["\"\\ud83d\\ude00 \\\\ud800\"", "\"1e400\"", "1e308", "-0", "[1e-400]", "{\"e\": true}"] {
            assert_eq!(checked(text).as_deref(), Some(text));
        }
        let long = format!("[\"{}\", 1.5]", "1".repeat(400));
        assert_eq!(checked(&long), Some(long));
    }

    #[test]
    fn what_is_not_json_is_unrepresentable() {
        for text in ["1.", "\"\\x\"", "", "{\"a\":1,}", "nul", "\u{1}1"] {
            assert_eq!(checked(text), None, "{text:?}");
        }
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(checked(&deep(500)).unwrap(), deep(500));
        assert_eq!(checked(&deep(501)), None);
        assert_eq!(write(&mut Vec::new(), b"\"\xff\""), Fidelity::Unrepresentable);
    }
}
