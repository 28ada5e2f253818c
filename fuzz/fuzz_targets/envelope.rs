//! The Pub/Sub push envelope: what it names, found a second way.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use highwater_fuzz::choice;
use highwater_fuzz::server::table_of;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    // fuzzers do not guess base64: one kind of input is the data in plain, which is put into an envelope here
    let Some((kind, rest)) = choice(data, 2) else { return };
    match kind {
        0 => check(rest),
        _ => check(format!(r#"{{"message":{{"data":"{}"}}}}"#, STANDARD.encode(rest)).as_bytes()),
    }
});

fn check(body: &[u8]) {
    let named = table_of(body);
    // the product passes over what it does not need, also where that is nested too deep for a tree
    let Ok(envelope) = serde_json::from_slice::<Value>(body) else { return };
    let data = decoded(&envelope).unwrap_or_default();
    let beyond_a_tree = std::str::from_utf8(&data).is_ok() && serde_json::from_slice::<Value>(&data).is_err();
    if let (Ok(id), false) = (named, beyond_a_tree) {
        let (source, table) = names(&envelope).expect("no envelope, and still a table");
        assert_eq!((id.source.as_str(), id.table.as_str()), (source.as_str(), table.as_str()));
    }
    // written anew nothing is there twice, and both must agree
    let envelope = anew(envelope);
    let again = table_of(envelope.to_string().as_bytes()).ok();
    let wanted = names(&envelope).filter(|(source, table)| is_source(source) && is_table(table));
    assert_eq!(again.map(|id| (id.source.as_str().to_owned(), id.table.as_str().to_owned())), wanted);
}

/// The bytes of the data, if it is base64.
fn decoded(envelope: &Value) -> Option<Vec<u8>> {
    let text = envelope.pointer("/message/data")?.as_str()?;
    STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()
}

/// The envelope with its data written anew: as the JSON that it is, or as something that is none.
fn anew(mut envelope: Value) -> Value {
    if let Some(data) = decoded(&envelope).filter(|data| !data.is_empty()) {
        let inner =
            serde_json::from_slice::<Value>(&data).map_or_else(|_| "none".to_owned(), |inner| inner.to_string());
        envelope["message"]["data"] = Value::String(STANDARD.encode(inner));
    }
    envelope
}

/// Source and table by the rules: in `data`, else in `attributes`; every level is an object.
fn names(envelope: &Value) -> Option<(String, String)> {
    let message = envelope.as_object()?.get("message")?.as_object()?;
    let (by_attributes, whole) = match message.get("attributes") {
        None => ([None, None], false),
        Some(attributes) => {
            let names = pair(attributes)?;
            let whole = names.iter().all(Option::is_some);
            (names, whole)
        }
    };
    let data = message.get("data").map_or(Some(""), Value::as_str)?;
    let data = STANDARD.decode(data).or_else(|_| STANDARD_NO_PAD.decode(data)).ok()?;
    let by_data = match data.is_empty() {
        true => [None, None],
        false => match serde_json::from_slice::<Value>(&data).ok().as_ref().and_then(pair) {
            Some(names) => names,
            None if whole => [None, None],
            None => return None,
        },
    };
    let [source, table] = by_data;
    let [other_source, other_table] = by_attributes;
    Some((source.or(other_source)?, table.or(other_table)?))
}

/// `source` and `table` of an object: texts, or NULL, or absent.
fn pair(object: &Value) -> Option<[Option<String>; 2]> {
    let object = object.as_object()?;
    let name = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(name)) => Some(Some(name.clone())),
        Some(_) => None,
    };
    Some([name("source")?, name("table")?])
}

fn is_source(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_table(name: &str) -> bool {
    (1..=520).contains(&name.len()) && !name.chars().any(char::is_control)
}
