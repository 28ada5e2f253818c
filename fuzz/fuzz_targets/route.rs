//! Methods and paths: what is found reads back, and nothing else is found.
#![no_main]

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
            let (source, table) = (id.source.as_str(), id.table.as_str());
            assert!(source.len() <= 64 && !source.is_empty() && table.len() <= 520 && one_line(table));
            // no segment is taken away or made up, whatever dots and slashes the names hold
            let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
            let [sync, given_source, given_table] = segments.as_slice() else { panic!("{} segments", segments.len()) };
            assert_eq!((*sync, decoded(given_source), decoded(given_table)), ("sync", source.into(), table.into()));
            for encode in [everything as fn(&str) -> String, what_must] {
                assert_eq!(route("POST", &format!("/sync/{}/{}", encode(source), encode(table))), asked);
            }
        }
    }
});

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
