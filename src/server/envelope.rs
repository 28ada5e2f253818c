//! The Pub/Sub push envelope. Pure.
//!
//! Form: "Receive push messages" of the Pub/Sub documentation: `message.data` is base64, `message.attributes` a map.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::model::{InvalidName, TableId};

/// A JSON object. A derived reader alone takes a list of the fields' values as well, and `[["…"]]` is no envelope.
#[derive(Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[derive(Deserialize)]
struct Envelope {
    message: Object<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    data: String,
    #[serde(default)]
    attributes: Object<Named>,
}

#[derive(Default, Deserialize)]
struct Named {
    source: Option<String>,
    table: Option<String>,
}

/// A body that names no table.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadEnvelope {
    /// Not JSON of the form.
    #[error("the body is not a Pub/Sub push envelope: {0}")]
    Envelope(serde_json::Error),
    /// The data is not base64.
    #[error("message.data is not base64")]
    Base64,
    /// The data is not JSON of the form.
    #[error("message.data is not {{\"source\": …, \"table\": …}}: {0}")]
    Data(serde_json::Error),
    /// Neither data nor attributes name both.
    #[error("neither message.data nor message.attributes name both `source` and `table`")]
    Unnamed,
    /// A name cannot be one.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

/// The table that the envelope names: by `message.data` as `{"source": …, "table": …}`, else by attributes.
///
/// # Errors
/// The body names no table.
pub(super) fn table_of(body: &[u8]) -> Result<TableId, BadEnvelope> {
    let Object(Envelope { message: Object(message) }) = parse(body).map_err(BadEnvelope::Envelope)?;
    let Object(attributes) = message.attributes;
    let data = STANDARD
        .decode(&message.data)
        .or_else(|_padded| STANDARD_NO_PAD.decode(&message.data))
        .map_err(|_invalid| BadEnvelope::Base64)?;
    let from_data: Named = match data.is_empty() {
        true => Named::default(),
        false => match parse(&data) {
            Ok(Object(named)) => named,
            // attributes that name both make the data somebody else's business
            Err(_) if attributes.source.is_some() && attributes.table.is_some() => Named::default(),
            Err(error) => return Err(BadEnvelope::Data(error)),
        },
    };
    let source = from_data.source.or(attributes.source).ok_or(BadEnvelope::Unnamed)?;
    let table = from_data.table.or(attributes.table).ok_or(BadEnvelope::Unnamed)?;
    Ok(TableId { source: source.parse()?, table: table.parse()? })
}

/// Reads JSON, which is UTF-8 throughout: the reader alone does not look into texts that nobody asks for.
fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_str(std::str::from_utf8(bytes).map_err(serde::de::Error::custom)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn envelope(data: &str, attributes: &str) -> String {
        let data = STANDARD.encode(data);
        format!(
            r#"{{"message":{{"data":"{data}","attributes":{attributes},"messageId":"1"}},"subscription":"s","deliveryAttempt":2}}"#
        )
    }

    #[test]
    fn names_come_from_data_or_attributes() {
        let named =
            |body: String| table_of(body.as_bytes()).map(|id| id.to_string()).map_err(|error| error.to_string());
        assert_eq!(named(envelope(r#"{"source":"a","table":"b"}"#, "{}")), Ok("a/b".into()));
        assert_eq!(named(envelope("", r#"{"source":"a","table":"b"}"#)), Ok("a/b".into()));
        assert_eq!(named(envelope("not json", r#"{"source":"a","table":"b"}"#)), Ok("a/b".into()));
        assert_eq!(named(r#"{"message":{"attributes":{"source":"a","table":"b"}}}"#.into()), Ok("a/b".into()));
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"message":{}}"#,
            r#"{"message":{"data":"%%%"}}"#,
            r#"{"message":{"data":"bm90IGpzb24="}}"#,
            r#"{"message":{"attributes":{"source":"a b","table":"b"}}}"#,
            // the fields' values in a list are no object, on any level
            r#"[{"attributes":{"source":"a","table":"b"}}]"#,
            r#"{"message":["",{"source":"a","table":"b"}]}"#,
            r#"{"message":{"attributes":["a","b"]}}"#,
            &envelope(r#"["a","b"]"#, "{}"),
        ] {
            assert!(named(bad.into()).is_err(), "{bad}");
        }
        let latin1 = b"{\"message\":{\"attributes\":{\"source\":\"a\",\"table\":\"b\",\"note\":\"\xfc\"}}}";
        assert!(table_of(latin1).is_err());
    }

    proptest! {
        #[test]
        fn no_body_panics(body in any::<Vec<u8>>()) {
            drop(table_of(&body));
        }
    }
}
