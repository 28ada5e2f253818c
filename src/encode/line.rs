//! Frames one row: `{"a":1,"b":"x"}` and a line feed. A NULL is written by leaving its field out, which BigQuery
//! reads as NULL and which costs no byte.

use super::json;

/// The `"name":` prefixes of a row's fields, made once per read.
#[derive(Clone, Debug)]
pub struct FieldNames {
    prefixes: Vec<Box<[u8]>>,
}

impl FieldNames {
    /// Prefixes for fields of these BigQuery names.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let prefix = |name: &str| {
            let mut bytes = Vec::with_capacity(name.len() + 3);
            json::string(&mut bytes, name.as_bytes());
            bytes.push(b':');
            bytes.into_boxed_slice()
        };
        Self { prefixes: names.into_iter().map(prefix).collect() }
    }

    /// Begins a row.
    pub fn open(&self, out: &mut Vec<u8>) {
        out.push(b'{');
    }

    /// Writes the prefix of field `index`; its value must follow, then a `,`. To take the field back, because its
    /// value turned out to be NULL, truncate `out` to the length that this returns.
    pub fn field(&self, out: &mut Vec<u8>, index: usize) -> usize {
        let start = out.len();
        out.extend_from_slice(&self.prefixes[index]);
        start
    }

    /// Ends a row whose every field was followed by a `,`.
    pub fn close(&self, out: &mut Vec<u8>) {
        if out.last() == Some(&b',') {
            out.pop();
        }
        out.extend_from_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_rows_with_and_without_fields() {
        let names = FieldNames::new(["a", "sch\u{f6}n \"b\""]);
        let mut out = Vec::new();
        names.open(&mut out);
        names.field(&mut out, 0);
        out.extend_from_slice(b"1,");
        let start = names.field(&mut out, 1);
        out.truncate(start);
        names.close(&mut out);
        names.open(&mut out);
        names.close(&mut out);
        names.open(&mut out);
        names.field(&mut out, 1);
        out.extend_from_slice(b"2,");
        names.close(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), "{\"a\":1}\n{}\n{\"sch\u{f6}n \\\"b\\\"\":2}\n");
    }
}
