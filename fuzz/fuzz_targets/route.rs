//! Methods and paths: what is found reads back, and nothing else is found.
#![no_main]

use highwater_fuzz::model::TableId;
use highwater_fuzz::one_line;
use highwater_fuzz::server::{Asked, route};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (method, path) = text.split_once(' ').unwrap_or(("POST", &text));
    let asked = route(method, path);
    assert_eq!(route(method, path), asked);
    match asked {
        Asked::Health => assert!(path.trim_start_matches('/') == "healthz" && matches!(method, "GET" | "HEAD")),
        Asked::PubSub => assert!(path.trim_start_matches('/') == "pubsub" && method == "POST"),
        Asked::Nothing(error) => assert!(one_line(&error), "{error:?}"),
        Asked::Sync(ref id) => {
            assert_eq!(method, "POST");
            assert_eq!(names_of(method, path, id, &asked), ["sync"]);
        }
        Asked::Page(ref about) => {
            assert!(matches!(method, "GET" | "HEAD"));
            match about {
                Some(id) => {
                    let before = names_of(method, path, id, &asked);
                    assert!(matches!(before.as_slice(), ["tables"] | ["api", "tables"]), "{before:?}");
                }
                None => {
                    let path = path.strip_prefix('/').unwrap_or(path);
                    assert!(matches!(path, "" | "api/tables" | "api/runs" | "metrics"), "{path:?}");
                }
            }
        }
    }
});

/// What stands before the names in the path. They are those of the table: no segment is taken away or made up, whatever
/// dots and slashes they hold, and the same names written otherwise are the same table.
fn names_of<'a>(method: &str, path: &'a str, id: &TableId, asked: &Asked) -> Vec<&'a str> {
    let (source, table) = (id.source.as_str(), id.table.as_str());
    assert!(source.len() <= 64 && !source.is_empty() && table.len() <= 520 && one_line(table));
    let mut segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    let (given_table, given_source) = (segments.pop().expect("a table"), segments.pop().expect("a source"));
    assert_eq!((decoded(given_source), decoded(given_table)), (source.into(), table.into()));
    for encode in [everything as fn(&str) -> String, what_must] {
        let written = format!("/{}/{}/{}", segments.join("/"), encode(source), encode(table));
        assert_eq!(route(method, &written), *asked);
    }
    segments
}

/// A second opinion on percent-encoding.
fn decoded(segment: &str) -> String {
    let mut parts = segment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("UTF-8")
}

fn everything(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn what_must(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
