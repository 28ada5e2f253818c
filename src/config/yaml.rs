//! Writes trees as YAML: mappings as blocks, lists and what is in them in one line.

use super::tree::{Kind, Node};

/// Spaces of one level.
const INDENT: usize = 2;

/// The tree's text.
pub(super) fn write(root: &Node) -> String {
    let mut out = String::new();
    block(root, 0, &mut out);
    out
}

fn block(node: &Node, depth: usize, out: &mut String) {
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            for (key, _, value) in entries {
                out.push_str(&" ".repeat(depth * INDENT));
                out.push_str(&scalar(key));
                out.push(':');
                match &value.kind {
                    Kind::Map(inner) if !inner.is_empty() => {
                        out.push('\n');
                        block(value, depth + 1, out);
                    }
                    Kind::Map(_) | Kind::List(_) | Kind::Scalar(_) | Kind::Null => {
                        out.push(' ');
                        flow(value, false, out);
                        out.push('\n');
                    }
                }
            }
        }
        Kind::Map(_) | Kind::List(_) | Kind::Scalar(_) | Kind::Null => {
            flow(node, false, out);
            out.push('\n');
        }
    }
}

fn flow(node: &Node, inside: bool, out: &mut String) {
    let join = |out: &mut String, index: usize| out.push_str(if index == 0 { "" } else { ", " });
    match &node.kind {
        Kind::Null => out.push_str("null"),
        // braces and commas end a plain scalar inside a list
        Kind::Scalar(text) if inside && text.contains(['{', '}', ',', '?']) => out.push_str(&quoted(text)),
        Kind::Scalar(text) => out.push_str(&scalar(text)),
        Kind::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                join(out, index);
                flow(item, true, out);
            }
            out.push(']');
        }
        Kind::Map(entries) => {
            out.push('{');
            for (index, (key, _, value)) in entries.iter().enumerate() {
                join(out, index);
                out.push_str(&quoted(key));
                out.push_str(": ");
                flow(value, true, out);
            }
            out.push('}');
        }
    }
}

/// A text as a scalar: as it stands where every YAML reader takes it so, else in double quotes.
pub(super) fn scalar(text: &str) -> String {
    let begins = |first: char| first.is_ascii_alphanumeric() || matches!(first, '_' | '/' | '$' | '.');
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+*${}?=&~ ".contains(c);
    let fine = text.starts_with(begins)
        && text.chars().all(plain)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !["null", "Null", "NULL", "..."].contains(&text);
    if fine { text.to_owned() } else { quoted(text) }
}

/// A text in double quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            // what YAML does not take as it stands, or takes for a line's end
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use proptest::prelude::*;

    use super::super::tree::{self, Place};
    use super::*;

    fn nodes() -> impl Strategy<Value = Node> {
        let node = |kind| Node { place: Place::default(), kind };
        let text = || prop_oneof!["[ -~]{0,12}", any::<String>(), "null|true|1.5|~|\\$\\{A\\}|- x|a: b|'|#x|\\.\\.\\."];
        let leaf = prop_oneof![Just(Kind::Null), text().prop_map(Kind::Scalar)].prop_map(node);
        leaf.prop_recursive(4, 32, 5, move |inner| {
            let entries = prop::collection::vec((text(), inner.clone()), 0..5);
            let map = |entries: Vec<(String, Node)>| {
                Kind::Map(entries.into_iter().map(|(key, value)| (key, Place::default(), value)).collect())
            };
            prop_oneof![prop::collection::vec(inner, 0..5).prop_map(Kind::List), entries.prop_map(map)].prop_map(node)
        })
    }

    /// Without places.
    fn bare(node: &Node) -> String {
        match &node.kind {
            Kind::Null => "null".to_owned(),
            Kind::Scalar(text) => format!("{text:?}"),
            Kind::List(items) => format!("{:?}", items.iter().map(bare).collect::<Vec<_>>()),
            Kind::Map(entries) => {
                format!("{:?}", entries.iter().map(|(key, _, value)| (key, bare(value))).collect::<Vec<_>>())
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same(node in nodes()) {
            let text = write(&node);
            let read = tree::parse(&text).map_err(|fault| fault.in_file(&text)).unwrap();
            prop_assert_eq!(bare(&read), bare(&node), "{}", text);
        }
    }
}
