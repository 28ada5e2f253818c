//! A way to sync a table that nobody has configured: mode, cursor and key, and why. Pure.
//!
//! It guesses by names, types and indexes, so each proposal says what it rests on. What can lose changes (`append`) is
//! proposed only where the table looks like a log.

use super::table::Catalog;
use crate::mapping::{Column, CursorKind};
use crate::model::{BqType, Hints, Indexing, Mode, TableKind};

/// The most rows, by the catalog's estimate, of a table that may be copied whole on each run.
pub const SMALL_ROWS_MAX: u64 = 50_000;

/// Words in a column's name that say that it grows with each change, the surest first.
const CHANGED: [&str; 9] =
    ["updated", "modified", "changed", "mtime", "lastmodified", "update", "modification", "change", "touched"];
/// Words that say that it is set once.
const CREATED: [&str; 9] =
    ["created", "inserted", "occurred", "ctime", "logged", "recorded", "creation", "received", "added"];
/// Words that say nothing of what was changed. Any other names a part of the row: `password_changed_at`.
const FILLERS: [&str; 19] = [
    "at",
    "on",
    "time",
    "date",
    "datetime",
    "ts",
    "timestamp",
    "tstamp",
    "dt",
    "utc",
    "last",
    "latest",
    "row",
    "record",
    "sys",
    "system",
    "db",
    "tm",
    "when",
];
/// Words in a table's name that say that rows are only added.
const LOG: [&str; 12] =
    ["log", "logs", "event", "events", "audit", "audits", "history", "journal", "trail", "clicks", "visits", "archive"];

/// What is known of a table.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its name, without a schema.
    pub name: &'a str,
    /// What it is.
    pub kind: TableKind,
    /// How it gets an index.
    pub indexing: Indexing,
    /// Columns and keys.
    pub catalog: Catalog<'a>,
    /// Indexes and what fills columns.
    pub hints: &'a Hints,
    /// The catalog's estimate of its rows.
    pub rows: Option<u64>,
}

/// A way to sync it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// How, or what it lacks.
    pub way: Way,
    /// What a person should know, a sentence each.
    pub why: Vec<String>,
    /// Columns that an index is wanted on.
    pub index: Option<Wanted>,
}

/// An index that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its columns.
    pub columns: Vec<String>,
    /// How the table gets it.
    pub indexing: Indexing,
}

/// How a table is synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// So.
    Sync {
        /// The mode.
        mode: Mode,
        /// The cursor.
        cursor: Option<String>,
        /// The key, where it is not the primary key.
        key: Option<Vec<String>>,
    },
    /// Not as it is.
    Lacking,
}

/// Proposes.
pub fn propose(seen: Seen<'_>) -> Proposal {
    let key = key(seen);
    let by_change = seen.catalog.columns.iter().filter_map(|column| Some((change_rank(column, seen.hints)?, column)));
    let by_change = by_change.min_by_key(|(rank, _)| *rank).map(|(_, column)| column);
    let log = words(seen.name).iter().any(|word| LOG.contains(&word.as_str()));
    let small = seen.rows.is_some_and(|rows| rows <= SMALL_ROWS_MAX) && seen.kind == TableKind::Table;
    if let (Some(cursor), Some(key)) = (by_change, &key) {
        return merge(seen, cursor, key);
    }
    if log || !small {
        let grows = key.as_ref().and_then(|key| Some((growing(seen, key)?, key)));
        let created = seen.catalog.columns.iter().any(is_creation);
        if let Some((cursor, key)) = grows.filter(|_| log || created) {
            return append(seen, cursor, key, log);
        }
    }
    if small {
        let mut why = vec![match by_change {
            Some(cursor) => format!("{} could be the cursor, but no column is a key", cursor.name),
            None => "no column says when a row changed".to_owned(),
        }];
        why.push("it is small, so it is copied whole each time".to_owned());
        return Proposal { way: Way::Sync { mode: Mode::Replace, cursor: None, key: None }, why, index: None };
    }
    lacking(seen, by_change, key.as_ref())
}

/// Columns that tell rows apart, and whether they are the primary key.
struct Key {
    columns: Vec<String>,
    primary: bool,
}

fn key(seen: Seen<'_>) -> Option<Key> {
    let column = |name: &String| seen.catalog.columns.iter().find(|column| column.name == *name);
    let fits = |names: &&[String]| {
        let fits = |column: &Column| !column.nullable && column.ty.comparable();
        !names.is_empty() && names.iter().all(|name| column(name).is_some_and(fits))
    };
    let primary = Some(seen.catalog.primary_key).filter(fits);
    let unique = || seen.catalog.unique_keys.iter().map(Vec::as_slice).find(fits);
    let columns = primary.or_else(unique)?.to_vec();
    Some(Key { columns, primary: primary.is_some() })
}

/// How sure it is that the column grows with each change, 0 the surest; `None` if nothing says so.
fn change_rank(column: &Column, hints: &Hints) -> Option<(bool, usize, bool, bool)> {
    let time = is_time(column)?;
    let touched = hints.touched.contains(&column.name);
    let rank = if touched { Some(0) } else { named_by(&column.name, &CHANGED).map(|rank| rank + 1) };
    Some((time == CursorKind::Date, rank?, column.nullable, !is_indexed(&column.name, hints)))
}

fn is_creation(column: &Column) -> bool {
    is_time(column).is_some() && named_by(&column.name, &CREATED).is_some()
}

/// Which of the words the name is made of, besides words that say nothing.
fn named_by(name: &str, meanings: &[&str]) -> Option<usize> {
    let words = words(name);
    let known = |word: &String| meanings.contains(&word.as_str()) || FILLERS.contains(&word.as_str());
    let meaning = meanings.iter().position(|word| words.iter().any(|own| own == word));
    meaning.filter(|_| words.iter().all(known))
}

/// The column's kind of cursor if it is one of time.
fn is_time(column: &Column) -> Option<CursorKind> {
    column.cursor.filter(|kind| *kind != CursorKind::Number && column.ty != BqType::String)
}

fn is_indexed(column: &str, hints: &Hints) -> bool {
    hints.indexes.iter().any(|index| index.first().is_some_and(|first| first == column))
}

/// A column that grows with each row that is added: a number that the database counts up, else a time of creation.
fn growing<'a>(seen: Seen<'a>, key: &Key) -> Option<&'a Column> {
    let counted = |column: &&Column| {
        let number = column.cursor == Some(CursorKind::Number) && column.ty == BqType::Int64 && !column.nullable;
        number && seen.hints.generated.contains(&column.name)
    };
    let mut counted = seen.catalog.columns.iter().filter(counted);
    let own = counted.clone().find(|column| key.columns.contains(&column.name));
    own.or_else(|| counted.next()).or_else(|| seen.catalog.columns.iter().find(|column| is_creation(column)))
}

fn merge(seen: Seen<'_>, cursor: &Column, key: &Key) -> Proposal {
    let mut why = vec![match seen.hints.touched.contains(&cursor.name) {
        true => format!("cursor: {}, {}, which the database sets on each update", cursor.name, cursor.source_type),
        false => format!("cursor: {}, {}, by its name", cursor.name, cursor.source_type),
    }];
    why.push(key_reason(key));
    Proposal {
        way: Way::Sync {
            mode: Mode::Merge,
            cursor: Some(cursor.name.clone()),
            key: (!key.primary).then(|| key.columns.clone()),
        },
        why: [why, cautions(cursor)].concat(),
        index: wanted_index(seen, cursor, key),
    }
}

fn append(seen: Seen<'_>, cursor: &Column, key: &Key, log: bool) -> Proposal {
    let counted = cursor.cursor == Some(CursorKind::Number);
    let why = vec![
        format!(
            "rows seem to be added only ({}), so each is appended once: changes to rows that are there would be missed",
            if log { "by the table's name" } else { "they have a time of creation and none of change" }
        ),
        match counted {
            true => format!("cursor: {}, {}, which the database counts up", cursor.name, cursor.source_type),
            false => format!("cursor: {}, {}, by its name", cursor.name, cursor.source_type),
        },
        key_reason(key),
    ];
    Proposal {
        way: Way::Sync {
            mode: Mode::Append,
            cursor: Some(cursor.name.clone()),
            key: (!key.primary).then(|| key.columns.clone()),
        },
        why: [why, cautions(cursor)].concat(),
        index: wanted_index(seen, cursor, key),
    }
}

fn lacking(seen: Seen<'_>, cursor: Option<&Column>, key: Option<&Key>) -> Proposal {
    let mut why = Vec::new();
    if cursor.is_none() {
        why.push("lacks a cursor: a time or date that grows with each change, such as updated_at".to_owned());
    }
    if key.is_none() {
        why.push("lacks a key: a primary key, or a unique index on columns that are NOT NULL".to_owned());
    }
    why.push(match seen.rows {
        Some(_) => {
            "it is too large to be copied whole each time without being asked; `mode: replace` does it".to_owned()
        }
        None => "its size is not known; `mode: replace` copies it whole each time".to_owned(),
    });
    Proposal { way: Way::Lacking, why, index: None }
}

fn key_reason(key: &Key) -> String {
    let kind = if key.primary { "the primary key" } else { "a unique index" };
    format!("key: {}, {kind}", key.columns.join(", "))
}

fn cautions(cursor: &Column) -> Vec<String> {
    let mut cautions = Vec::new();
    if cursor.nullable {
        cautions.push("rows with NULL in the cursor are told and not synced".to_owned());
    }
    match cursor.cursor {
        Some(CursorKind::Civil { .. }) => {
            cautions.push("it is taken to be written in UTC: say `cursor_timezone` if it is not".to_owned());
        }
        Some(CursorKind::Date) => cautions.push("a day's rows come when it is over".to_owned()),
        Some(CursorKind::Instant { .. } | CursorKind::Number) | None => {}
    }
    cautions
}

/// Cursor and key, if no index begins with the cursor.
fn wanted_index(seen: Seen<'_>, cursor: &Column, key: &Key) -> Option<Wanted> {
    if is_indexed(&cursor.name, seen.hints) || seen.indexing == Indexing::Never {
        return None;
    }
    let rest = key.columns.iter().filter(|column| **column != cursor.name);
    let columns = std::iter::once(&cursor.name).chain(rest).cloned().collect();
    Some(Wanted { columns, indexing: seen.indexing })
}

/// The words of a name, in small letters: `updatedAt`, `Updated_AT` and `updated-at` are updated, at.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for character in name.chars() {
        let new = !character.is_alphanumeric() || (character.is_uppercase() && small);
        if new {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
        small = character.is_lowercase() || character.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests;
