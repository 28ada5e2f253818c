//! Frames one row: `{"a":1,"b":"x"}` and a line feed. A NULL is written by leaving its field out, which BigQuery
//! reads as NULL and which costs no byte.
//!
//! Every field is written with a comma in front, the first too: the row's end turns that one into its brace.

use super::json;

/// Bytes of a prefix that are copied at once, which is faster than to copy as many as there are.
const HEAD_BYTES: usize = 32;

/// The `,"name":` prefixes of a row's fields, made once per read.
#[derive(Clone, Debug)]
pub struct FieldNames {
    prefixes: Vec<Prefix>,
}

#[derive(Clone, Debug)]
struct Prefix {
    bytes: Box<[u8]>,
    /// Its first bytes, then spaces.
    head: [u8; HEAD_BYTES],
}

impl Prefix {
    fn new(name: &str) -> Self {
        let mut bytes = Vec::with_capacity(name.len() + 4);
        bytes.push(b',');
        json::string(&mut bytes, name.as_bytes());
        bytes.push(b':');
        let mut head = [b' '; HEAD_BYTES];
        for (to, from) in head.iter_mut().zip(&bytes) {
            *to = *from;
        }
        Self { bytes: bytes.into_boxed_slice(), head }
    }
}

impl FieldNames {
    /// Prefixes for fields of these BigQuery names.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { prefixes: names.into_iter().map(Prefix::new).collect() }
    }

    /// Writes the prefix of field `index`; its value must follow. To take the field back, because its value turned out to
    /// be NULL, truncate `out` to the length that this returns.
    #[inline]
    pub fn field(&self, out: &mut Vec<u8>, index: usize) -> usize {
        let start = out.len();
        let Prefix { bytes, head } = &self.prefixes[index];
        if bytes.len() <= HEAD_BYTES {
            out.extend_from_slice(head);
            out.truncate(start + bytes.len());
        } else {
            out.extend_from_slice(bytes);
        }
        start
    }

    /// Ends the row whose fields were written from `row_start` on.
    #[inline]
    pub fn close(&self, out: &mut Vec<u8>, row_start: usize) {
        match out.get_mut(row_start) {
            Some(comma) => *comma = b'{',
            None => out.push(b'{'),
        }
        out.extend_from_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_rows_with_and_without_fields() {
        let long = "n".repeat(300);
        let names = FieldNames::new(["a", "sch\u{f6}n \"b\"", &long]);
        let mut out = Vec::new();
        names.field(&mut out, 0);
        out.extend_from_slice(b"1");
        let start = names.field(&mut out, 1);
        out.truncate(start);
        names.close(&mut out, 0);
        let start = out.len();
        names.close(&mut out, start);
        let start = out.len();
        names.field(&mut out, 1);
        out.extend_from_slice(b"2");
        names.field(&mut out, 2);
        out.extend_from_slice(b"3");
        names.close(&mut out, start);
        let wanted = format!("{{\"a\":1}}\n{{}}\n{{\"sch\u{f6}n \\\"b\\\"\":2,\"{long}\":3}}\n");
        assert_eq!(String::from_utf8_lossy(&out), wanted);
    }
}
