//! A configuration as one tree of our keys, from a file or from the environment: read into a [`Config`], and printed
//! again without its secrets.

use std::collections::HashSet;
use std::fmt;

use serde::ser::{Serialize, Serializer};

use super::env::Env;
use super::placeholders::{self, Hidden};
use super::reader::{Fault, Findings, Map, one_line};
use super::tree::{self, Kind, Node, Place};
use super::{Config, ConfigErrors, environment, yaml};
use crate::model::{Code, Told};

/// Where a document's keys are.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A file of that name.
    File(String),
    /// Variables: a place's line is the number of one, from 1.
    Environment(Vec<String>),
}

/// A tree of our keys. It holds secrets as they were given, so it has no `Debug`.
pub(super) struct Document {
    pub(super) root: Node,
    pub(super) origin: Origin,
}

/// A configuration that was read.
pub struct Loaded {
    /// What it came to.
    pub config: Config,
    /// What is not as one might think, a line each.
    pub warnings: Vec<String>,
    document: Document,
    secrets: Vec<(Place, Hidden)>,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, warnings, document: _, secrets: _ } = self;
        f.debug_struct("Loaded").field("config", config).field("warnings", warnings).finish_non_exhaustive()
    }
}

impl Document {
    /// The text of a file.
    pub(super) fn parse(text: &str, name: &str) -> Result<Self, ConfigErrors> {
        let root = tree::parse(text).map_err(|fault| ConfigErrors(vec![fault.in_file(name)]))?;
        Ok(Self { root, origin: Origin::File(name.to_owned()) })
    }

    /// Reads it. `findings` holds what was found wrong before.
    pub(super) fn read(self, env: &Env, findings: Findings, warnings: Vec<String>) -> Result<Loaded, ConfigErrors> {
        let config = super::read(Map::root(&self.root, env, &findings), env);
        let (faults, secrets) = findings.into_parts();
        let mut told: Vec<Told> = faults.iter().map(|fault| self.origin.line(fault)).collect();
        let of_env =
            |fault: &String| Told { code: Code::ConfigVariable, message: Code::ConfigVariable.completes(fault) };
        told.extend(env.faults().iter().map(of_env));
        if config.as_ref().is_some_and(|config| config.auth.is_none()) {
            told.extend(self.origin.ineffective_auth(env));
        }
        // a variable that counts for many is wrong once
        let mut seen = HashSet::new();
        told.retain(|fault| seen.insert(fault.clone()));
        match config {
            Some(config) if told.is_empty() => Ok(Loaded { config, warnings, document: self, secrets }),
            _ => Err(ConfigErrors(told)),
        }
    }
}

impl Origin {
    /// A variable that would have it that callers are checked, where nobody is: the service would be open in silence.
    fn ineffective_auth(&self, env: &Env) -> Option<Told> {
        let name = env.names().filter(|name| name.starts_with(environment::AUTH)).min()?;
        let (audience, invokers) = (environment::AUDIENCE, environment::INVOKERS);
        let text = match self {
            Self::File(file) => format!(
                "{name}: is set, and {file} says nothing of `auth`, so that nobody would be checked; say `auth: {{audience: …, \
                 invokers: …}}` there, from variables as `${{NAME}}`, or remove the variable"
            ),
            Self::Environment(_) => format!(
                "{name}: is not known, and nobody would be checked; set {audience} and {invokers}, or remove the variable"
            ),
        };
        Some(Told::new(Code::ConfigAuthIdle, &text))
    }

    fn line(&self, fault: &Fault) -> Told {
        let Fault { place, path, code, problem } = fault;
        let problem = &one_line(problem);
        let message = match self {
            Self::File(name) => {
                let text = if path.is_empty() { problem.clone() } else { format!("{path}: {problem}") };
                format!("{name}:{}:{}: {}", place.line, place.column, one_line(&code.completes(&text)))
            }
            Self::Environment(names) => {
                let name = place.line.checked_sub(1).and_then(|index| names.get(index));
                format!("{}: {}", name.map_or("the environment", String::as_str), code.completes(problem))
            }
        };
        Told { code: *code, message }
    }
}

impl Loaded {
    /// The configuration as YAML, with its variables filled in and its secrets left as theirs: read again, it comes to
    /// the same. A secret that no variable holds is masked.
    pub fn yaml(&self, env: &Env) -> String {
        yaml::write(&self.shown(env))
    }

    /// The same as JSON, which is YAML too.
    pub fn json(&self, env: &Env) -> impl Serialize {
        self.shown(env)
    }

    /// Where it came from, for people.
    pub fn origin(&self) -> &str {
        match &self.document.origin {
            Origin::File(name) => name,
            Origin::Environment(_) => "the environment",
        }
    }

    fn shown(&self, env: &Env) -> Node {
        let mut names: Vec<&str> = Vec::new();
        collect_names(&self.document.root, &self.secrets, &mut names);
        let secret = |name: &str| names.contains(&name);
        shown(&self.document.root, &self.secrets, env, &secret)
    }
}

fn hidden(place: Place, secrets: &[(Place, Hidden)]) -> Option<Hidden> {
    secrets.iter().find(|(at, _)| *at == place).map(|(_, hidden)| *hidden)
}

/// The variables that hold secrets: elsewhere too they are not filled in.
fn collect_names<'a>(node: &'a Node, secrets: &[(Place, Hidden)], names: &mut Vec<&'a str>) {
    match &node.kind {
        Kind::Null => {}
        Kind::Scalar(text) => match hidden(node.place, secrets) {
            Some(Hidden::Whole) => names.extend(placeholders::names(text)),
            Some(Hidden::UrlPassword) => names.extend(placeholders::password_names(text)),
            None => {}
        },
        Kind::List(items) => items.iter().for_each(|item| collect_names(item, secrets, names)),
        Kind::Map(entries) => entries.iter().for_each(|(_, _, value)| collect_names(value, secrets, names)),
    }
}

fn shown(node: &Node, secrets: &[(Place, Hidden)], env: &Env, secret: &dyn Fn(&str) -> bool) -> Node {
    let again = |node: &Node| shown(node, secrets, env, secret);
    let kind = match &node.kind {
        Kind::Null => Kind::Null,
        Kind::Scalar(text) => Kind::Scalar(match hidden(node.place, secrets) {
            Some(Hidden::Whole) => placeholders::masked(text),
            Some(Hidden::UrlPassword) => placeholders::masked_url(text, env, secret),
            None => placeholders::shown(text, env, secret),
        }),
        Kind::List(items) => Kind::List(items.iter().map(again).collect()),
        Kind::Map(entries) => {
            Kind::Map(entries.iter().map(|(key, place, value)| (key.clone(), *place, again(value))).collect())
        }
    };
    Node { place: node.place, kind }
}

/// Texts that are numbers or truth values are written as such, which reads as the same text.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.kind {
            Kind::Null => serializer.serialize_unit(),
            Kind::Scalar(text) => match (text.as_str(), text.parse::<i64>()) {
                ("true", _) => serializer.serialize_bool(true),
                ("false", _) => serializer.serialize_bool(false),
                (_, Ok(number)) if number.to_string() == *text => serializer.serialize_i64(number),
                _ => serializer.serialize_str(text),
            },
            Kind::List(items) => serializer.collect_seq(items),
            Kind::Map(entries) => serializer.collect_map(entries.iter().map(|(key, _, value)| (key, value))),
        }
    }
}
