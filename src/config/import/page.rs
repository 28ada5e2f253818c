//! The YAML that is being written, with its comments.

use super::super::placeholders::{escape, is_well_formed, names};
use super::super::reader::one_line;
use super::super::yaml;
use super::{Entry, scalar_of};
use crate::model::SCHEMA_LINE;

/// Spaces of one level.
const INDENT: usize = 2;

/// Lines of YAML.
#[derive(Debug, Default)]
pub(super) struct Page {
    lines: Vec<String>,
}

impl Page {
    fn line(&mut self, depth: usize, text: &str) {
        self.lines.push(format!("{}{text}", " ".repeat(depth * INDENT)));
    }

    pub(super) fn comment(&mut self, depth: usize, text: &str) {
        self.line(depth, &format!("# {}", one_line(text)));
    }

    /// A key that a mapping follows.
    pub(super) fn section(&mut self, depth: usize, key: &str) {
        self.line(depth, &format!("{}:", yaml::scalar(key)));
    }

    /// A key and its value, which may have variables.
    pub(super) fn entry(&mut self, depth: usize, key: &str, value: &str) {
        self.line(depth, &format!("{}: {}", yaml::scalar(key), yaml::scalar(&text(value))));
    }

    /// A key and a list.
    pub(super) fn list(&mut self, depth: usize, key: &str, values: &[String]) {
        let values: Vec<String> = values.iter().map(|value| yaml::quoted(&text(value))).collect();
        self.line(depth, &format!("{key}: [{}]", values.join(", ")));
    }

    /// A key without settings.
    pub(super) fn bare(&mut self, depth: usize, key: &str) {
        self.line(depth, &format!("{}: {{}}", yaml::scalar(key)));
    }

    /// What the input says for a key that must be there, else a variable that is to be set.
    pub(super) fn carry<T>(
        &mut self,
        key: &str,
        (entries, from): (&[Entry], &str),
        parse: impl FnOnce(&str) -> Result<T, String>,
        variable: &str,
    ) {
        let why = match scalar_of(entries, from) {
            // what a variable holds is looked at when it is set
            Some(value) if !names(&value).is_empty() || parse(&value).is_ok() => return self.entry(0, key, &value),
            Some(value) => format!("`{from}: {value}` cannot be taken as `{key}`: set {variable}"),
            None => format!("to be filled in, as the input has no `{from}`: set {variable}"),
        };
        self.comment(0, &why);
        self.entry(0, key, &format!("${{{variable}}}"));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn append(&mut self, other: Self) {
        self.lines.extend(other.lines);
    }

    pub(super) fn finish(self) -> String {
        format!("{SCHEMA_LINE}\n{}\n", self.lines.join("\n"))
    }
}

/// Text that is read again as it is, but for its variables.
fn text(value: &str) -> String {
    if is_well_formed(value) { value.to_owned() } else { escape(value) }
}
