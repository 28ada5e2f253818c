//! Variables as they are asked for: each becomes a place of the tree, so that a fault names it.

use std::cell::RefCell;

use super::super::document::Origin;
use super::super::env::Env;
use super::super::placeholders::escape;
use super::super::reader::Findings;
use super::super::tree::{Kind, Node, Place};
use crate::model::Code;

/// What a key holds that must be there and is not: the configuration is refused, and its other faults are told too.
pub(super) const STAND_IN: &str = "missing";

/// The variables, and what is found about them.
#[derive(Debug)]
pub(super) struct Variables<'a> {
    env: &'a Env,
    findings: &'a Findings,
    /// Asked for, in this order.
    names: RefCell<Vec<String>>,
    nodes: RefCell<usize>,
    remarks: RefCell<Vec<(String, Vec<String>)>>,
}

/// A variable that is set.
#[derive(Clone, Debug)]
pub(super) struct Variable<'a> {
    pub(super) name: String,
    pub(super) value: &'a str,
}

impl<'a> Variables<'a> {
    pub(super) fn new(env: &'a Env, findings: &'a Findings) -> Self {
        Self { env, findings, names: RefCell::default(), nodes: RefCell::default(), remarks: RefCell::default() }
    }

    /// A variable, without spaces around it. An empty one counts as not set.
    pub(super) fn get(&self, name: &str) -> Option<Variable<'a>> {
        let value = self.env.get(name)?.trim();
        (!value.is_empty()).then(|| Variable { name: name.to_owned(), value })
    }

    /// As [`Variables::get`], parsed. A fault counts as not set.
    pub(super) fn parsed<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.parse(&self.get(name)?, parse)
    }

    /// Parses a variable's value.
    pub(super) fn parse<T>(&self, variable: &Variable<'a>, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        parse(variable.value).map_err(|problem| self.fault(&variable.name, &problem)).ok()
    }

    /// A variable that must be set; `what` says what it is.
    pub(super) fn required(&self, name: &str, what: &str) -> Variable<'a> {
        self.get(name).unwrap_or_else(|| {
            self.findings.fault(Code::ConfigMissing, self.place(name), "", &format!("is not set; set it to {what}"));
            Variable { name: name.to_owned(), value: STAND_IN }
        })
    }

    /// The names of all variables that are set, sorted.
    pub(super) fn all(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.env.names().collect();
        names.sort_unstable();
        names
    }

    pub(super) fn fault(&self, name: &str, problem: &str) {
        self.findings.fault(Code::ConfigVariable, self.place(name), "", problem);
    }

    /// Notes what became of a variable that is not taken as it was; those of one kind are told together.
    pub(super) fn remark(&self, name: &str, what: &str) {
        let mut remarks = self.remarks.borrow_mut();
        match remarks.iter_mut().find(|(known, _)| known == what) {
            Some((_, names)) if names.iter().any(|known| known == name) => {}
            Some((_, names)) => names.push(name.to_owned()),
            None => remarks.push((what.to_owned(), vec![name.to_owned()])),
        }
    }

    /// A place of the tree that stands for the variable; no two are the same.
    pub(super) fn place(&self, name: &str) -> Place {
        let mut names = self.names.borrow_mut();
        let index = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        let mut nodes = self.nodes.borrow_mut();
        *nodes += 1;
        Place { line: index + 1, column: *nodes }
    }

    /// Where the places lead to, and the remarks in one line, if there are any.
    pub(super) fn into_parts(self) -> (Origin, Option<String>) {
        let remarks = self.remarks.into_inner();
        let line = |(what, names): &(String, Vec<String>)| format!("{}: {what}", names.join(", "));
        let lines: Vec<String> = remarks.iter().map(line).collect();
        let remarks =
            (!lines.is_empty()).then(|| format!("variables that are not taken as they stand: {}", lines.join("; ")));
        (Origin::Environment(self.names.into_inner()), remarks)
    }
}

/// A mapping that is being made.
#[derive(Debug)]
pub(super) struct Section<'v, 'a> {
    variables: &'v Variables<'a>,
    entries: Vec<(String, Place, Node)>,
}

impl<'v, 'a> Section<'v, 'a> {
    pub(super) fn new(variables: &'v Variables<'a>) -> Self {
        Self { variables, entries: Vec::new() }
    }

    /// A text that stands for itself.
    pub(super) fn put(&mut self, key: &str, from: &str, text: &str) {
        self.put_unescaped(key, from, &escape(text));
    }

    /// A text that `${NAME}` may be in.
    pub(super) fn put_unescaped(&mut self, key: &str, from: &str, text: &str) {
        self.put_kind(key, from, Kind::Scalar(text.to_owned()));
    }

    pub(super) fn put_list(&mut self, key: &str, from: &str, texts: &[String]) {
        let node = |text: &String| Node { place: self.variables.place(from), kind: Kind::Scalar(escape(text)) };
        let nodes = texts.iter().map(node).collect();
        self.put_kind(key, from, Kind::List(nodes));
    }

    /// A list of what was made before.
    pub(super) fn put_nodes(&mut self, key: &str, from: &str, nodes: Vec<Node>) {
        self.put_kind(key, from, Kind::List(nodes));
    }

    /// A mapping; an empty one only where `empty` says that it is wanted all the same.
    pub(super) fn put_section(&mut self, key: &str, from: &str, section: Section<'_, '_>) {
        self.put_kind(key, from, Kind::Map(section.entries));
    }

    /// Adds the entries of another.
    pub(super) fn append(&mut self, other: Section<'_, '_>) {
        self.entries.extend(other.entries);
    }

    /// What was put in, as a node.
    pub(super) fn into_node(self, from: &str) -> Node {
        Node { place: self.variables.place(from), kind: Kind::Map(self.entries) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn put_kind(&mut self, key: &str, from: &str, kind: Kind) {
        let (key_place, place) = (self.variables.place(from), self.variables.place(from));
        self.entries.push((key.to_owned(), key_place, Node { place, kind }));
    }
}

/// The items of a list that commas separate, without spaces around them.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}
