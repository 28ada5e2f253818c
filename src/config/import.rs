//! Other tools' configurations as YAML of ours, for `highwater config --import`.
//!
//! Every key of the input is carried over or named in a comment. What the input does not say and ours needs is a
//! variable to be set. Values of unknown keys are not repeated: they may be secrets.

mod database;
mod page;
mod upserter;

#[cfg(test)]
mod tests;

use std::path::Path;

use self::page::Page;
use super::tree::{self, Kind, Node, Place};
use super::{ConfigErrors, read_file};
use crate::model::{Code, Told};

/// Reads the file and writes what it says as YAML of ours.
///
/// # Errors
/// It cannot be read, or is of no tool that is known.
pub fn read(path: &Path) -> Result<String, ConfigErrors> {
    let name = path.display().to_string();
    let text = read_file(path)
        .map_err(|problem| ConfigErrors(vec![Told::new(Code::ConfigImport, &format!("{name}: {problem}"))]))?;
    convert(&text, &name)
}

/// As [`read`], of a text.
///
/// # Errors
/// As [`read`].
pub fn convert(text: &str, name: &str) -> Result<String, ConfigErrors> {
    let fail = |problem: &str| ConfigErrors(vec![Told::new(Code::ConfigImport, &format!("{name}: {problem}"))]);
    // JSON is not quite YAML: tabs, and halves of surrogate pairs
    let root = match serde_json::from_str(text) {
        Ok(value) => of_json(value),
        Err(error) if text.trim_start().starts_with('{') => return Err(fail(&format!("not JSON: {error}"))),
        Err(_not_json) => tree::parse(text).map_err(|fault| ConfigErrors(vec![fault.in_file(name)]))?,
    };
    let Kind::Map(entries) = root.kind else { return Err(fail("must be a mapping of keys")) };
    let has = |keys: &[&str]| entries.iter().any(|(key, _, _)| keys.contains(&key.as_str()));
    if has(&["mappings"]) {
        Ok(upserter::write(&entries))
    } else if has(&["sourceDb", "includeTables", "excludeTables"]) {
        Ok(database::write(&entries))
    } else {
        Err(fail("is of no tool that is known: there is neither `mappings` nor `sourceDb`"))
    }
}

fn of_json(value: serde_json::Value) -> Node {
    use serde_json::Value;
    let kind = match value {
        Value::Null => Kind::Null,
        Value::Bool(truth) => Kind::Scalar(truth.to_string()),
        Value::Number(number) => Kind::Scalar(number.to_string()),
        Value::String(text) => Kind::Scalar(text),
        Value::Array(items) => Kind::List(items.into_iter().map(of_json).collect()),
        Value::Object(entries) => {
            Kind::Map(entries.into_iter().map(|(key, value)| (key, Place::default(), of_json(value))).collect())
        }
    };
    Node { place: Place::default(), kind }
}

/// Stands for the name of a table where the input names none.
const FILL_IN: &str = "fill_in";

/// Names the keys that nothing was made of, without their values.
fn comment_rest(page: &mut Page, depth: usize, above: &str, entries: &[Entry], known: &[&str]) {
    for (key, ..) in entries.iter().filter(|(key, _, _)| !known.contains(&key.as_str())) {
        page.comment(depth, &format!("`{above}{key}` is not known and was not carried over"));
    }
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', '%'])
}

/// A key and its value.
type Entry = (String, Place, Node);

/// The scalar that a key holds, if it holds one.
fn scalar_of(entries: &[Entry], key: &str) -> Option<String> {
    match &node_of(entries, key)?.kind {
        Kind::Scalar(text) if !text.is_empty() => Some(text.clone()),
        Kind::Scalar(_) | Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

fn node_of<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Node> {
    entries.iter().find(|(known, _, _)| known == key).map(|(_, _, node)| node)
}

/// A text, or the texts of a list.
fn texts_of(node: &Node) -> Vec<String> {
    match &node.kind {
        Kind::Scalar(text) if text.is_empty() => Vec::new(),
        Kind::Scalar(text) => vec![text.clone()],
        Kind::List(items) => items.iter().flat_map(texts_of).collect(),
        Kind::Null | Kind::Map(_) => Vec::new(),
    }
}

/// A value in one line, for a comment.
fn in_line(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "null".to_owned(),
        Kind::Scalar(text) => super::yaml::scalar(text),
        Kind::List(items) => format!("[{}]", items.iter().map(in_line).collect::<Vec<_>>().join(", ")),
        Kind::Map(entries) => {
            let entry = |(key, _, node): &Entry| format!("{key}: {}", in_line(node));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}
