//! Reads mappings: known keys, required ones, faults with their places, and `${NAME}` from the environment.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use super::env::Env;
use super::tree::{Kind, Node, Place};

/// The most faults that are listed.
const FAULTS_MAX: usize = 200;
/// The most characters of a fault that are shown.
const FAULT_CHARS_MAX: usize = 1000;
/// The most bytes of an unknown key that is compared with the known ones.
const NEAR_BYTES_MAX: usize = 64;

/// Faults as they are found.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<Vec<(Place, String)>>);

impl Faults {
    pub(super) fn add(&self, place: Place, path: &str, problem: &str) {
        let line = if path.is_empty() { problem.to_owned() } else { format!("{path}: {problem}") };
        self.0.borrow_mut().push((place, line));
    }

    /// The faults in the file's order, each with the file's name.
    pub(super) fn into_lines(self, name: &str) -> Vec<String> {
        let mut faults = self.0.into_inner();
        faults.sort_by_key(|(place, _)| *place);
        faults.dedup();
        faults.truncate(FAULTS_MAX);
        let line =
            |(place, text): (Place, String)| format!("{name}:{}:{}: {}", place.line, place.column, one_line(&text));
        faults.into_iter().map(line).collect()
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
    faults: &'a Faults,
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
    pub(super) fn root(node: &'a Node, env: &'a Env, faults: &'a Faults) -> Self {
        Self::of(node, String::new(), env, faults)
    }

    fn of(node: &'a Node, path: String, env: &'a Env, faults: &'a Faults) -> Self {
        let mut entries = HashMap::new();
        let mut order = Vec::new();
        let broken = matches!(node.kind, Kind::Scalar(_) | Kind::List(_));
        match &node.kind {
            Kind::Null => {}
            Kind::Map(pairs) => {
                for (key, place, value) in pairs {
                    if entries.insert(key.as_str(), (*place, value)).is_some() {
                        faults.add(*place, &join(&path, key), "the key is there twice; remove one");
                    } else {
                        order.push(key.as_str());
                    }
                }
            }
            Kind::Scalar(_) | Kind::List(_) => {
                faults.add(
                    node.place,
                    &path,
                    &format!("must be a mapping (`key: value` lines), not {}", name_of(node)),
                );
            }
        }
        Self { place: node.place, path, entries, order, known: Vec::new(), env, faults, broken }
    }

    /// Whether there was no mapping to read; the fault is reported already.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Reports a fault of this mapping.
    pub(super) fn fault(&self, key: &str, problem: &str) {
        let place = self.entries.get(key).map_or(self.place, |(place, _)| *place);
        self.fault_at(place, key, problem);
    }

    /// Reports a fault at a place.
    pub(super) fn fault_at(&self, place: Place, key: &str, problem: &str) {
        let path = if key.is_empty() { self.path.clone() } else { join(&self.path, key) };
        self.faults.add(place, &path, problem);
    }

    /// Whether the key is there with a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|(_, node)| !matches!(node.kind, Kind::Null))
    }

    /// A scalar that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.known.push(key);
            self.fault("", &format!("`{key}` is missing"));
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
                self.fault_at(node.place, key, &problem);
                None
            }
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
                Err(problem) => self.fault_at(node.place, key, &problem),
            }
        }
        values
    }

    /// A text, or a list of texts.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.known.push(key);
        let (_, node) = *self.entries.get(key)?;
        let nodes: &[Node] = match &node.kind {
            Kind::Null => return None,
            Kind::Scalar(_) => std::slice::from_ref(node),
            Kind::List(items) => items,
            Kind::Map(_) => {
                self.fault_at(node.place, key, "must be a value or a list, not a mapping");
                return None;
            }
        };
        let text = |node: &Node| {
            let text = match &node.kind {
                Kind::Scalar(text) => self.interpolate(text),
                Kind::Null | Kind::List(_) | Kind::Map(_) => Err(format!("must be a text, not {}", name_of(node))),
            };
            let text =
                text.and_then(|text| if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text) });
            text.map_err(|problem| self.fault_at(node.place, key, &problem)).ok()
        };
        let texts: Option<Vec<String>> = nodes.iter().map(text).collect();
        match texts {
            Some(texts) if texts.is_empty() => {
                self.fault_at(node.place, key, "the list is empty; name a value or remove the key");
                None
            }
            texts => texts,
        }
    }

    /// A mapping that may be there.
    pub(super) fn map(&mut self, key: &'static str) -> Option<Map<'a>> {
        self.known.push(key);
        let (_, node) = *self.entries.get(key)?;
        match node.kind {
            Kind::Null => None,
            Kind::Scalar(_) | Kind::List(_) | Kind::Map(_) => {
                Some(Self::of(node, join(&self.path, key), self.env, self.faults))
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
            Some((Placed { place, value: *key }, Self::of(node, join(&self.path, key), self.env, self.faults)))
        };
        self.order.iter().filter_map(named).collect()
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        for key in &self.order {
            if self.known.contains(key) {
                continue;
            }
            let alike = self.known.iter().filter(|_| key.len() <= NEAR_BYTES_MAX);
            let near = alike.min_by_key(|known| strsim::damerau_levenshtein(known, key));
            let near = near.filter(|known| strsim::damerau_levenshtein(known, key) <= 1 + key.len() / 4);
            let mut known = self.known.clone();
            known.sort_unstable();
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.fault(key, &format!("unknown key; {hint}"));
        }
    }

    /// Parses a scalar. A fault repeats it as the file has it: what a variable holds may be a secret in the wrong place.
    fn parse<T>(&self, text: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
        let value = self.interpolate(text)?;
        parse(&value).map_err(|problem| problem.replace(&format!("{value:?}"), &format!("{text:?}")))
    }

    /// The text comes from a parsed scalar, so what a variable holds cannot change the file's structure.
    fn interpolate(&self, text: &str) -> Result<String, String> {
        interpolate(text, self.env)
    }
}

/// Replaces `${NAME}` and `${NAME:-default}`; `$${` is a literal `${`.
pub(super) fn interpolate(text: &str, env: &Env) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = inner.find('}').ok_or_else(|| "`${` without `}`; write `$${` for the characters".to_owned())?;
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..end], None),
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("`${{{name}}}` is not a variable's name"));
        }
        let value = env.get(name).filter(|value| !value.is_empty() || default.is_none()).or(default);
        let value =
            value.ok_or_else(|| format!("the variable {name} is not set; set it, or say `${{{name}:-default}}`"))?;
        out.push_str(value);
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
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
