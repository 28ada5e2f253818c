//! JSON documents: onto one line, and looked at first where the server does not vouch for them. A document that is
//! not JSON would fail the whole load job, so it is unrepresentable.

use crate::audit::Fidelity;

/// JSON that the server has parsed.
pub(crate) fn write(out: &mut Vec<u8>, text: &[u8]) -> Fidelity {
    if std::str::from_utf8(text).is_err() {
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
    fn what_is_not_json_is_unrepresentable() {
        for text in ["1.", "\"\\x\"", "", "{\"a\":1,}", "nul", "\u{1}1"] {
            assert_eq!(checked(text), None, "{text:?}");
        }
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(checked(&deep).unwrap(), deep);
        assert_eq!(write(&mut Vec::new(), b"\"\xff\""), Fidelity::Unrepresentable);
    }
}
