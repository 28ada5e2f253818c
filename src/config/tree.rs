//! YAML as nodes that know their place. Scalars stay text: what they mean is the reader's business.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser's events are not ours: a new one is no YAML that we take"
)]

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::reader::one_line;
use crate::model::{Code, Told};

/// The deepest nesting taken.
const DEPTH_MAX: usize = 32;
/// The most nodes taken, those of aliases counted each time.
const NODES_MAX: usize = 200_000;
/// The most bytes of text that aliases may repeat.
const REPEATED_BYTES_MAX: usize = 16 << 20;

/// A place in the file, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Nothing, `~` or `null`, unquoted.
    Null,
    /// Text as it stands, quotes and escapes resolved.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the file's order, duplicates and all.
    Map(Vec<(String, Place, Node)>),
}

/// The file is no YAML that we take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotYaml {
    place: Place,
    problem: String,
}

impl NotYaml {
    pub(super) fn in_file(&self, name: &str) -> Told {
        let line = format!("{name}:{}:{}: {}", self.place.line, self.place.column, one_line(&self.problem));
        Told::new(Code::ConfigSyntax, &line)
    }
}

/// Parses one document.
pub(super) fn parse(text: &str) -> Result<Node, NotYaml> {
    let mut builder =
        Builder { events: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0, repeated_bytes: 0 };
    let mut root = None;
    loop {
        let (event, place) = builder.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            event if root.is_none() => root = Some(builder.node(event, place, 0)?),
            _ => return Err(NotYaml { place, problem: "a second document: one file holds one configuration".into() }),
        }
    }
    root.ok_or_else(|| NotYaml { place: Place { line: 1, column: 1 }, problem: "the file is empty".into() })
}

struct Builder<'a> {
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Anchor>,
    nodes: usize,
    repeated_bytes: usize,
}

/// What an alias stands for, and what repeating it costs.
struct Anchor {
    node: Node,
    nodes: usize,
    bytes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Place), NotYaml> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, place(span))),
            Some(Err(error)) => {
                let at = error.marker();
                let place = Place { line: at.line(), column: at.col() + 1 };
                Err(NotYaml { place, problem: format!("not YAML: {}", error.info()) })
            }
            None => Ok((Event::StreamEnd, Place::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Node, NotYaml> {
        let fault = |problem: &str| NotYaml { place, problem: problem.to_owned() };
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(fault("the file has more than 200000 values"));
        }
        if depth > DEPTH_MAX {
            return Err(fault("nested deeper than 32 levels"));
        }
        let (anchor, kind) = match event {
            Event::Scalar(text, style, anchor, _tag) => {
                let null = style == ScalarStyle::Plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                (anchor, if null { Kind::Null } else { Kind::Scalar(text.into_owned()) })
            }
            Event::SequenceStart(anchor, _tag) => {
                let mut items = Vec::new();
                loop {
                    let (event, place) = self.next()?;
                    match event {
                        Event::SequenceEnd => break,
                        event => items.push(self.node(event, place, depth + 1)?),
                    }
                }
                (anchor, Kind::List(items))
            }
            Event::MappingStart(anchor, _tag) => (anchor, Kind::Map(self.entries(depth)?)),
            Event::Alias(anchor) => {
                let found = self.anchors.get(&anchor).ok_or_else(|| fault("an alias to nothing"))?;
                self.nodes += found.nodes;
                self.repeated_bytes += found.bytes;
                if self.nodes > NODES_MAX || self.repeated_bytes > REPEATED_BYTES_MAX {
                    return Err(fault("aliases repeat more than 200000 values or 16 MiB"));
                }
                return Ok(Node { place, kind: found.node.kind.clone() });
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(fault("not YAML: a value is missing")),
        };
        let node = Node { place, kind };
        if anchor != 0 {
            let (nodes, bytes) = size(&node);
            // an anchor around anchors holds them once more
            self.repeated_bytes += bytes;
            if self.repeated_bytes > REPEATED_BYTES_MAX {
                return Err(fault("anchors hold more than 16 MiB"));
            }
            self.anchors.insert(anchor, Anchor { node: node.clone(), nodes, bytes });
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(String, Place, Node)>, NotYaml> {
        let mut entries = Vec::new();
        loop {
            let (event, place) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(entries),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(NotYaml { place, problem: "a key must be a text".into() }),
            };
            let (event, value_place) = self.next()?;
            entries.push((key, place, self.node(event, value_place, depth + 1)?));
        }
    }
}

fn place(span: Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}

/// How many nodes there are in it, itself included, and how many bytes of text.
fn size(node: &Node) -> (usize, usize) {
    let sum = |(nodes, bytes): (usize, usize), (more_nodes, more_bytes): (usize, usize)| {
        (nodes + more_nodes, bytes + more_bytes)
    };
    match &node.kind {
        Kind::Null => (1, 0),
        Kind::Scalar(text) => (1, text.len()),
        Kind::List(items) => items.iter().map(size).fold((1, 0), sum),
        Kind::Map(entries) => entries.iter().map(|(key, _, node)| sum((0, key.len()), size(node))).fold((1, 0), sum),
    }
}
