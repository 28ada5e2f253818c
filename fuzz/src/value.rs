//! What every reader of a database's values promises, whatever the type.

use crate::audit::Fidelity;
use crate::encode::{Malformed, RowCodec};
use crate::kind;
use crate::model::BqType;

/// What stands in the buffer before the value.
const BEFORE: &[u8] = b"{\"a\":\"before\xf0\",";
/// What a token may have more than its input.
const TOKEN_BYTES_MORE: usize = 64;
/// Bytes of a token per byte of its input, at most: `\u0000` of a control character.
const TOKEN_BYTES_PER_BYTE: usize = 6;

/// The column that values are read for.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// BigQuery's type, of the elements if it is REPEATED.
    pub ty: BqType,
    /// Whether it is an array.
    pub repeated: bool,
    /// The most bytes of a token of this input.
    pub bytes_max: usize,
    /// Whether the input is what its database can send: what is made of other JSON is nobody's promise.
    pub vouched: bool,
}

impl Column {
    /// A column of single values whose tokens grow with their input alone.
    pub fn new(ty: BqType, raw: &[u8]) -> Self {
        let bytes_max = TOKEN_BYTES_PER_BYTE * raw.len() + TOKEN_BYTES_MORE;
        Self { ty, repeated: false, bytes_max, vouched: true }
    }
}

/// What became of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Wrote {
    /// A token.
    Token(String, Fidelity),
    /// Nothing; the nearest value, if there is one.
    Unrepresentable(Option<String>),
    /// The bytes are not of the type.
    Malformed,
}

/// Writes the value, and its nearest one if it has no place in the type, and holds both against the contract.
pub fn write<C: RowCodec>(codec: C, column: &Column, raw: &[u8]) -> Wrote {
    let (written, out) = appended(|out| codec.write(out, raw));
    assert_eq!(appended(|out| codec.write(out, raw)), (written, out.clone()), "the same value, written otherwise");
    match written {
        Err(Malformed) => Wrote::Malformed,
        Ok(Fidelity::Unrepresentable) => {
            let (clamped, out) = appended(|out| codec.clamp(out, raw));
            let clamped = clamped.expect("what could be written can be clamped");
            assert!(clamped || out.is_empty(), "nothing to clamp to, and something was left behind");
            Wrote::Unrepresentable(clamped.then(|| token(column, out)))
        }
        Ok(fidelity) => Wrote::Token(token(column, out), fidelity),
    }
}

/// Runs a writer on a buffer that holds something already; gives what it appended.
fn appended<T>(write: impl Fn(&mut Vec<u8>) -> T) -> (T, Vec<u8>) {
    let mut out = BEFORE.to_vec();
    let written = write(&mut out);
    let after = out.strip_prefix(BEFORE).expect("what stood in the buffer is gone").to_vec();
    (written, after)
}

fn token(column: &Column, out: Vec<u8>) -> String {
    assert!(out.len() <= column.bytes_max, "{} bytes, more than {}", out.len(), column.bytes_max);
    let token = String::from_utf8(out).expect("a token is UTF-8");
    assert!(!token.contains(['\n', '\r']), "a line end within a row: {token:?}");
    if column.vouched {
        assert_kind(column.ty, column.repeated, &token);
    }
    token
}

/// The token must be one of the type, or an array of such without a null.
pub fn assert_kind(ty: BqType, repeated: bool, token: &str) {
    if !repeated {
        assert!(kind::is_one(ty, token), "no {ty}: {token}");
        return;
    }
    let elements: Vec<&serde_json::value::RawValue> = serde_json::from_str(token).expect("an array");
    for element in elements {
        assert!(element.get() != "null" && kind::is_one(ty, element.get()), "no element {ty}: {}", element.get());
    }
}

/// The text of a token that is a JSON string.
pub fn text(token: &str) -> String {
    serde_json::from_str(token).expect("a JSON string")
}

/// The token must be the text that the bytes hold, and the fidelity must say whether bytes were lost.
pub fn assert_text(token: &str, fidelity: Fidelity, raw: &[u8]) {
    assert_eq!(text(token), String::from_utf8_lossy(raw));
    let whole = std::str::from_utf8(raw).is_ok();
    assert_eq!(fidelity, if whole { Fidelity::Exact } else { Fidelity::Replaced });
}

/// A document that JSON's strict reader takes must be written, and mean the same.
pub fn assert_json(wrote: &Wrote, raw: &[u8]) {
    let Ok(document) = serde_json::from_slice::<serde_json::Value>(raw) else { return };
    let Wrote::Token(token, Fidelity::Exact) = wrote else { panic!("a document was not written: {wrote:?}") };
    assert_eq!(serde_json::from_str::<serde_json::Value>(token).expect("JSON"), document);
}

/// Half of a surrogate pair, a number beyond a double and the like: what is written must not hold them.
pub fn assert_taken(token: &str) {
    let read = serde_json::from_str::<serde_json::Value>(token);
    let deep = |error: &serde_json::Error| error.to_string().starts_with("recursion limit");
    assert!(read.as_ref().map_or_else(deep, |_| true), "BigQuery would refuse {token:?}: {read:?}");
}
