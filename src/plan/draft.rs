//! A configuration as text, with a comment for each table. Pure.
//!
//! Names come from databases and may hold anything: in the text each stands as a YAML scalar that means itself, and in
//! comments without control characters, so that none can be more than a name.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::propose::{Proposal, Wanted, Way};
use crate::model::{Indexing, Mode, SCHEMA_LINE, SourceTable};

/// The variable of a project that nobody named.
const PROJECT: &str = "${HIGHWATER_PROJECT}";
/// The variable of a bucket that nobody named.
const BUCKET: &str = "${HIGHWATER_BUCKET}";

/// What is said beside the statement where the server cannot make an index beside writers.
pub const LOCKS: &str = "; the table has partitions, so nobody can write to it while the index is built";

/// What the file says above its sources.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The Google Cloud project; `None` takes it from a variable.
    pub project: Option<String>,
    /// The dataset.
    pub dataset: String,
    /// The location; `None` leaves the default.
    pub location: Option<String>,
    /// The bucket; `None` takes it from a variable.
    pub bucket: Option<String>,
}

/// One source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name in the configuration.
    pub name: String,
    /// Its url, without a secret; references to variables are kept.
    pub url: String,
    /// The variable that holds its password, if not the url's.
    pub password: Option<String>,
    /// `tls.mode`, where it is not the default.
    pub tls_mode: Option<&'static str>,
    /// `tls.ca`.
    pub tls_ca: Option<String>,
    /// The dataset, where it is not the file's.
    pub dataset: Option<String>,
    /// The schema of names without one.
    pub schema: Option<String>,
    /// Which dialect index advice is in.
    pub dialect: Dialect,
    /// Its tables.
    pub tables: Vec<Table>,
}

/// How names are quoted in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

/// One table.
#[derive(Clone, Debug)]
pub struct Table {
    /// The table.
    pub table: SourceTable,
    /// The catalog's estimate of its rows.
    pub rows: Option<u64>,
    /// How it can be synced, or why it could not be looked at.
    pub proposal: Result<Proposal, String>,
}

/// Writes the file. Variables are those of the environment, `${NAME}`.
pub fn write(head: &Head, sources: &[Source]) -> String {
    let mut text = format!(
        "{SCHEMA_LINE}\n# Proposed by `highwater discover` from names, types and indexes: look it over before the first sync.\n",
    );
    let lines = [
        format!("project: {}", head.project.as_deref().map_or_else(|| PROJECT.to_owned(), value)),
        format!("dataset: {} # created when missing", value(&head.dataset)),
        match &head.location {
            Some(location) => format!("location: {}", value(location)),
            None => "# location: EU # of dataset and jobs; US by default".to_owned(),
        },
        format!("bucket: {}", head.bucket.as_deref().map_or_else(|| BUCKET.to_owned(), value)),
        "sources:".to_owned(),
    ];
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    for source in sources {
        write_source(&mut text, source);
    }
    text
}

fn write_source(text: &mut String, source: &Source) {
    // a source without tables is none
    let synced = |table: &Table| matches!(&table.proposal, Ok(Proposal { way: Way::Sync { .. }, .. }));
    let mark = if source.tables.iter().any(synced) { "" } else { "# " };
    let mut lines = vec![format!("  {}:", scalar(&source.name)), format!("    url: {}", quoted(&source.url))];
    lines.extend(source.password.as_ref().map(|name| format!("    password: ${{{name}}}")));
    let ca = source.tls_ca.as_ref().map(|ca| format!("ca: {}", value(ca)));
    let tls: Vec<String> = source.tls_mode.map(|mode| format!("mode: {mode}")).into_iter().chain(ca).collect();
    lines.extend((!tls.is_empty()).then(|| format!("    tls: {{ {} }}", tls.join(", "))));
    lines.extend(source.dataset.as_ref().map(|dataset| format!("    dataset: {}", value(dataset))));
    lines.extend(source.schema.as_ref().map(|schema| format!("    schema: {}", value(schema))));
    lines.push("    tables:".to_owned());
    let mut targets = HashSet::new();
    for table in &source.tables {
        lines.extend(table_lines(table, source, &mut targets));
    }
    for line in lines {
        text.push_str(mark);
        text.push_str(&line);
        text.push('\n');
    }
}

/// `targets` are those of the tables before, in the source's dataset.
fn table_lines(table: &Table, source: &Source, targets: &mut HashSet<String>) -> Vec<String> {
    let rows = table.rows.map_or_else(|| "rows not known".to_owned(), |rows| format!("about {rows} rows"));
    let comment = |text: &str| format!("      # {}", printable(text));
    let Some(name) = key(&table.table, source) else {
        return vec![comment(&format!("{}: its name cannot be written in a configuration", table.table))];
    };
    let proposal = match &table.proposal {
        Ok(proposal) => proposal,
        Err(problem) => return vec![comment(&format!("{name}: {problem}"))],
    };
    let why = format!("{rows}; {}", proposal.why.join("; "));
    let Way::Sync { mode, cursor, key } = &proposal.way else { return vec![comment(&format!("{name}: {why}"))] };
    let target = fresh_target(&table.table, source, targets);
    let entry = entry(*mode, cursor.as_deref(), key.as_deref(), target.as_deref());
    let mut lines = vec![comment(&why)];
    if let Some(Wanted { columns, indexing }) = &proposal.index
        && let Some(statement) = create_index(&table.table, columns, source.dialect, *indexing)
    {
        let locks = if *indexing == Indexing::Locking { LOCKS } else { "" };
        lines.push(comment(&format!("no index serves the cursor{locks}: {statement}")));
    }
    lines.push(format!("      {}: {entry}", scalar(&name)));
    lines
}

fn entry(mode: Mode, cursor: Option<&str>, key: Option<&[String]>, target: Option<&str>) -> String {
    let mut parts = Vec::new();
    if mode != Mode::Merge {
        parts.push(format!("mode: {}", mode.name()));
    }
    parts.extend(cursor.map(|cursor| format!("cursor: {}", value(cursor))));
    let list = |key: &[String]| key.iter().map(|column| value(column)).collect::<Vec<_>>().join(", ");
    parts.extend(key.map(|key| format!("key: [{}]", list(key))));
    parts.extend(target.map(|target| format!("target: {}", value(target))));
    format!("{{ {} }}", parts.join(", "))
}

/// A target of its own for a table whose default one is that of a table before.
fn fresh_target(table: &SourceTable, source: &Source, targets: &mut HashSet<String>) -> Option<String> {
    let name = table.target_name(source.default_schema());
    if targets.insert(name.clone()) {
        return None;
    }
    let fresh = (2..).map(|number| format!("{name}_{number}")).find(|fresh| targets.insert(fresh.clone()));
    Some(fresh.unwrap_or(name))
}

impl Source {
    /// The schema that a name without one is in; a MySQL source has none.
    fn default_schema(&self) -> Option<&str> {
        match self.dialect {
            Dialect::Postgres => Some(self.schema.as_deref().unwrap_or("public")),
            Dialect::MySql => None,
        }
    }
}

/// The table's name as the configuration takes it; `None` if it takes no such name.
fn key(table: &SourceTable, source: &Source) -> Option<String> {
    let part = |name: &str| match name {
        _ if name.contains('"') || name.chars().any(char::is_control) => None,
        _ if name.contains(['.', '*', '?', '[']) => Some(format!("\"{name}\"")),
        _ => Some(name.to_owned()),
    };
    match &table.schema {
        Some(schema) if Some(schema.as_str()) != source.default_schema() => {
            Some(format!("{}.{}", part(schema)?, part(&table.name)?))
        }
        Some(_) | None => part(&table.name),
    }
}

/// A scalar that means the text: plain where nothing can be mistaken, else in double quotes.
fn scalar(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && !text.eq_ignore_ascii_case("null");
    if plain { text.to_owned() } else { quoted(text) }
}

/// As [`scalar`], where variables are looked for.
fn value(text: &str) -> String {
    scalar(&text.replace("${", "$${"))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            // YAML takes these escapes of JSON's
            other if other.is_control() || matches!(other, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                write!(out, "\\U{:08x}", u32::from(other)).unwrap_or_default();
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn printable(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        match character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}') {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

/// A name in the quotes of the database's SQL.
pub fn quote(name: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
        Dialect::MySql => format!("`{}`", name.replace('`', "``")),
    }
}

/// The statement that makes an index on these columns; none where the relation takes none.
pub fn create_index(table: &SourceTable, columns: &[String], dialect: Dialect, indexing: Indexing) -> Option<String> {
    let quote = |name: &str| quote(name, dialect);
    let on: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    let name = match &table.schema {
        Some(schema) => format!("{}.{}", quote(schema), quote(&table.name)),
        None => quote(&table.name),
    };
    let create = match (dialect, indexing) {
        (_, Indexing::Never) => return None,
        (Dialect::Postgres, Indexing::Beside) => "CREATE INDEX CONCURRENTLY",
        (Dialect::Postgres, Indexing::Locking) => "CREATE INDEX",
        (Dialect::MySql, Indexing::Beside | Indexing::Locking) => "CREATE INDEX highwater_cursor",
    };
    Some(format!("{create} ON {name} ({});", on.join(", ")))
}
