//! Reads mappings: known keys, required ones, faults with their places, and `${NAME}` from the environment.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use super::env::Env;
use super::placeholders::{self, Hidden};
use super::scalar;
use super::tree::{Kind, Node, Place};
use crate::model::{Code, Secret, nearest};

/// The most faults that are listed.
const FAULTS_MAX: usize = 200;
/// The most characters of a fault that are shown.
const FAULT_CHARS_MAX: usize = 1000;

/// What is found while a document is read: its faults, and the places of its secrets.
#[derive(Debug, Default)]
pub(super) struct Findings {
    faults: RefCell<Vec<Fault>>,
    secrets: RefCell<Vec<(Place, Hidden)>>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) place: Place,
    /// The key, and those above it.
    pub(super) path: String,
    pub(super) code: Code,
    pub(super) problem: String,
}

impl Findings {
    pub(super) fn fault(&self, code: Code, place: Place, path: &str, problem: &str) {
        self.faults.borrow_mut().push(Fault { place, path: path.to_owned(), code, problem: problem.to_owned() });
    }

    /// The faults in the document's order, and the secrets.
    pub(super) fn into_parts(self) -> (Vec<Fault>, Vec<(Place, Hidden)>) {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.place);
        faults.dedup();
        faults.truncate(FAULTS_MAX);
        (faults, self.secrets.into_inner())
    }
}

/// A mapping that is being read. Every key that is asked for counts as known; [`Map::finish`] reports the others.
#[derive(Debug)]
pub(super) struct Map<'a> {
    place: Place,
    path: String,
    entries: HashMap<&'a str, (Place, &'a Node)>,
    order: Vec<&'a str>,
    known: Vec<&'static str>,
    env: &'a Env,
    findings: &'a Findings,
    broken: bool,
}

/// A value with its place, for checks that need more than one key.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) place: Place,
    pub(super) value: T,
}

impl<'a> Map<'a> {
    /// The file's top.
    pub(super) fn root(node: &'a Node, env: &'a Env, findings: &'a Findings) -> Self {
        Self::of(node, String::new(), env, findings)
    }

    fn of(node: &'a Node, path: String, env: &'a Env, findings: &'a Findings) -> Self {
        let mut entries = HashMap::new();
        let mut order = Vec::new();
        let broken = matches!(node.kind, Kind::Scalar(_) | Kind::List(_));
        match &node.kind {
            Kind::Null => {}
            Kind::Map(pairs) => {
                for (key, place, value) in pairs {
                    if entries.insert(key.as_str(), (*place, value)).is_some() {
                        findings.fault(
                            Code::ConfigConflict,
                            *place,
                            &join(&path, key),
                            "the key is there twice; remove one",
                        );
                    } else {
                        order.push(key.as_str());
                    }
                }
            }
            Kind::Scalar(_) | Kind::List(_) => {
                findings.fault(
                    Code::ConfigValue,
                    node.place,
                    &path,
                    &format!("must be a mapping (`key: value` lines), not {}", name_of(node)),
                );
            }
        }
        Self { place: node.place, path, entries, order, known: Vec::new(), env, findings, broken }
    }

    /// Whether there was no mapping to read; the fault is reported already.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Reports a fault of this mapping.
    pub(super) fn fault(&self, code: Code, key: &str, problem: &str) {
        let place = self.entries.get(key).map_or(self.place, |(place, _)| *place);
        self.fault_at(code, place, key, problem);
    }

    /// Reports a fault at a place.
    pub(super) fn fault_at(&self, code: Code, place: Place, key: &str, problem: &str) {
        let path = if key.is_empty() { self.path.clone() } else { join(&self.path, key) };
        self.findings.fault(code, place, &path, problem);
    }

    /// Reports a value that is not what it should be, or the variable in it that is not set.
    fn bad_value(&self, place: Place, key: &str, problem: &str) {
        let code = if placeholders::unset(problem).is_some() { Code::ConfigUnset } else { Code::ConfigValue };
        self.fault_at(code, place, key, problem);
    }

    /// Whether the key is there with a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|(_, node)| !matches!(node.kind, Kind::Null))
    }

    /// Whether the key is there without a value.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|(_, node)| matches!(node.kind, Kind::Null))
    }

    /// A scalar that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.known.push(key);
            self.fault(Code::ConfigMissing, "", &format!("`{key}` is missing"));
            return None;
        }
        self.optional(key, parse)
    }

    /// A scalar that may be there. A fault counts as absent.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.placed(key, parse).map(|placed| placed.value)
    }

    /// As [`Map::optional`], with its place.
    pub(super) fn placed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        self.known.push(key);
        let (_, node) = *self.entries.get(key)?;
        let parsed = match &node.kind {
            Kind::Null => return None,
            Kind::Scalar(text) => self.parse(text, parse),
            Kind::List(_) | Kind::Map(_) => Err(format!("must be one value, not {}", name_of(node))),
        };
        match parsed {
            Ok(value) => Some(Placed { place: node.place, value }),
            Err(problem) => {
                self.bad_value(node.place, key, &problem);
                None
            }
        }
    }

    /// A scalar that must not be seen.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.hide(key, Hidden::Whole);
        self.optional(key, |text| scalar::text(text).map(Secret::new))
    }

    /// Notes that a scalar holds a secret.
    pub(super) fn hide(&self, key: &str, hidden: Hidden) {
        if let Some((_, node)) = self.entries.get(key) {
            self.findings.secrets.borrow_mut().push((node.place, hidden));
        }
    }

    /// A scalar that may be there, or YAML's NULL, which counts as given.
    pub(super) fn optional_or_null<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(Option<&str>) -> Result<T, String>,
    ) -> Option<T> {
        match self.entries.get(key) {
            Some((_, node)) if matches!(node.kind, Kind::Null) => {
                self.known.push(key);
                parse(None).ok()
            }
            _ => self.optional(key, |text| parse(Some(text))),
        }
    }

    /// Every entry of a mapping whose keys are names and whose values are scalars, or NULL.
    pub(super) fn scalars<T>(self, parse: impl Fn(Option<&str>) -> Result<T, String>) -> BTreeMap<String, T> {
        let mut values = BTreeMap::new();
        for key in &self.order {
            let Some((_, node)) = self.entries.get(key) else { continue };
            let parsed = match &node.kind {
                Kind::Null => parse(None),
                Kind::Scalar(text) => self.parse(text, |text| parse(Some(text))),
                Kind::List(_) | Kind::Map(_) => Err(format!("must be one value, not {}", name_of(node))),
            };
            match parsed {
                Ok(value) => drop(values.insert((*key).to_owned(), value)),
                Err(problem) => self.bad_value(node.place, key, &problem),
            }
        }
        values
    }

    /// A text, or a list of texts.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.list(key, scalar::text)
    }

    /// A scalar, or a list of scalars, at least one. Every fault is told, each at its own place.
    pub(super) fn list<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        self.known.push(key);
        let (_, node) = *self.entries.get(key)?;
        let nodes: &[Node] = match &node.kind {
            Kind::Null => return None,
            Kind::Scalar(_) => std::slice::from_ref(node),
            Kind::List(items) => items,
            Kind::Map(_) => {
                self.bad_value(node.place, key, "must be a value or a list, not a mapping");
                return None;
            }
        };
        let item = |node: &Node| {
            let parsed = match &node.kind {
                Kind::Scalar(text) => self.parse(text, &parse),
                Kind::Null | Kind::List(_) | Kind::Map(_) => Err(format!("must be a text, not {}", name_of(node))),
            };
            parsed.map_err(|problem| self.bad_value(node.place, key, &problem)).ok()
        };
        // all are read before it is said whether all are fine
        let items: Vec<Option<T>> = nodes.iter().map(item).collect();
        if items.is_empty() {
            self.bad_value(node.place, key, "the list is empty; name a value or remove the key");
            return None;
        }
        items.into_iter().collect()
    }

    /// A mapping that may be there.
    pub(super) fn map(&mut self, key: &'static str) -> Option<Map<'a>> {
        self.known.push(key);
        let (_, node) = *self.entries.get(key)?;
        match node.kind {
            Kind::Null => None,
            Kind::Scalar(_) | Kind::List(_) | Kind::Map(_) => {
                Some(Self::of(node, join(&self.path, key), self.env, self.findings))
            }
        }
    }

    /// A list of mappings; nothing if the key is not there.
    pub(super) fn maps(&mut self, key: &'static str) -> Vec<Map<'a>> {
        self.known.push(key);
        let Some((_, node)) = self.entries.get(key).copied() else { return Vec::new() };
        match &node.kind {
            Kind::Null => Vec::new(),
            Kind::List(items) => {
                let path = |number: usize| format!("{}[{number}]", join(&self.path, key));
                let item = |(number, item)| Self::of(item, path(number), self.env, self.findings);
                items.iter().enumerate().map(item).collect()
            }
            Kind::Scalar(_) | Kind::Map(_) => {
                self.bad_value(
                    node.place,
                    key,
                    &format!("must be a list (`- key: value` lines), not {}", name_of(node)),
                );
                Vec::new()
            }
        }
    }

    /// Whether the key holds a mapping rather than one value.
    pub(super) fn is_map(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|(_, node)| matches!(node.kind, Kind::Map(_)))
    }

    /// Every entry of a mapping whose keys are names, in the file's order, each a mapping itself.
    pub(super) fn named(&mut self) -> Vec<(Placed<&'a str>, Map<'a>)> {
        let named = |key: &&'a str| {
            let (place, node) = *self.entries.get(key)?;
            Some((Placed { place, value: *key }, Self::of(node, join(&self.path, key), self.env, self.findings)))
        };
        self.order.iter().filter_map(named).collect()
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        for key in &self.order {
            if self.known.contains(key) {
                continue;
            }
            let near = nearest(key, self.known.iter().map(|known| (*known, *known)), 1).pop();
            let mut known = self.known.clone();
            known.sort_unstable();
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.fault(Code::ConfigUnknownKey, key, &format!("unknown key; {hint}"));
        }
    }

    /// Parses a scalar. A fault repeats it as the file has it: what a variable holds may be a secret in the wrong place.
    fn parse<T>(&self, text: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
        let value = placeholders::fill(text, self.env)?;
        parse(&value).map_err(|problem| problem.replace(&format!("{value:?}"), &format!("{text:?}")))
    }
}

/// A fault in one line of a length that can be read: keys and names are the file's and may hold anything.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == FAULT_CHARS_MAX {
            line.push_str(" …");
            break;
        }
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

fn name_of(node: &Node) -> &'static str {
    match node.kind {
        Kind::Null => "nothing",
        Kind::Scalar(_) => "one value",
        Kind::List(_) => "a list",
        Kind::Map(_) => "a mapping",
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
