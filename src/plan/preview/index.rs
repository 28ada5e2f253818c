//! Whether an index serves a chunk's read, and which one would. Pure.
//!
//! The catalog is asked first and `EXPLAIN` second: of a small table the planner reads all rows whatever indexes there are,
//! and of a large one it tells whether the index that fits is taken.

use crate::mapping::{Column, Read};
use crate::model::{Explained, Hints, Indexing, Sort, SourceTable};
use crate::plan::draft::{self, Dialect};
use crate::plan::propose::SMALL_ROWS_MAX;
use crate::report::plan::{PlannedScan, Served};

/// Columns of an index (PostgreSQL: INDEX_MAX_KEYS 32; MySQL: 16).
const INDEX_COLUMNS_MAX: usize = 16;
/// Bytes of an entry of an InnoDB index (MySQL, "InnoDB Limits"); PostgreSQL's B-tree takes 2,704.
const INDEX_BYTES_MAX: u64 = 2_700;
/// The most bytes of a character.
const CHARACTER_BYTES_MAX: u64 = 4;
/// Bytes of a value of a type without a length.
const VALUE_BYTES: u64 = 16;

/// What an index is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The table, with its schema.
    pub table: &'a SourceTable,
    /// The columns that rows are ordered by: the cursor, then the key without it; empty where there is no order.
    pub order: &'a [&'a Column],
    /// The primary key's columns.
    pub primary_key: &'a [String],
    /// The indexes of the catalog.
    pub hints: &'a Hints,
    /// How the table gets one.
    pub indexing: Indexing,
    /// The database.
    pub dialect: Dialect,
    /// The plan of the statement.
    pub explained: &'a Explained,
    /// The catalog's estimate of the table's rows.
    pub rows: Option<u64>,
    /// Rows of a chunk: a table that has no more is read in one go, and rightly without an index.
    pub chunk_rows: u64,
    /// Whether all rows are read, in one go.
    pub whole: bool,
}

/// How rows are found, and a warning where that is by reading too many.
pub fn judge(input: Input<'_>) -> (PlannedScan, Option<String>) {
    let Input { explained, .. } = input;
    let order: Vec<String> = input.order.iter().map(|column| column.name.clone()).collect();
    let scan =
        |served| PlannedScan { served, index: explained.index.clone(), order: order.clone(), create_index: None };
    if input.whole {
        return (scan(Served::Whole), None);
    }
    let Some(first) = order.first() else { return (scan(Served::Whole), None) };
    let sorts = explained.whole || explained.sort == Sort::Everything;
    let large = input.rows.is_some_and(|rows| rows > SMALL_ROWS_MAX.max(input.chunk_rows));
    let fits = input.hints.indexes.iter().any(|index| serves(index, &order, input));
    if fits {
        return match (sorts, large) {
            (false, _) => (scan(Served::Index), None),
            (true, false) => (scan(Served::Small), None),
            (true, true) => {
                let why =
                    "an index fits, and the planner reads or sorts all rows all the same: its statistics may be old";
                let mend = match input.dialect {
                    Dialect::Postgres => format!("ANALYZE {}", name(input)),
                    Dialect::MySql => format!("ANALYZE TABLE {}", name(input)),
                };
                (scan(Served::Unserved), Some(format!("{why}: {mend};")))
            }
        };
    }
    let begins = input.hints.indexes.iter().any(|index| index.first() == Some(first));
    // a range that comes by the index, and few rows of equal cursors that are sorted
    if begins && (!sorts || input.dialect == Dialect::Postgres && !large) {
        return (scan(Served::Partly), None);
    }
    let create_index =
        columns(input).and_then(|columns| draft::create_index(input.table, &columns, input.dialect, input.indexing));
    let columns = order.join(", ");
    let lacks = format!("no index serves the order ({columns}): each chunk reads or sorts the whole table");
    let warning = match (&create_index, input.indexing) {
        (_, Indexing::Never) => format!("{lacks}; none can be made on what is no table of this server's"),
        (Some(_), Indexing::Locking) => format!("{lacks}; this makes one, and nobody writes meanwhile:"),
        (Some(_), Indexing::Beside) => format!("{lacks}; this makes one:"),
        (None, Indexing::Locking | Indexing::Beside) => format!("{lacks}; values of {first} are too long for an index"),
    };
    (PlannedScan { create_index, ..scan(Served::Unserved) }, Some(warning))
}

fn name(input: Input<'_>) -> String {
    let quote = |name: &str| draft::quote(name, input.dialect);
    let schema = input.table.schema.as_deref().map(|schema| format!("{}.", quote(schema))).unwrap_or_default();
    format!("{schema}{}", quote(&input.table.name))
}

/// Whether rows come in this order by the index. InnoDB's indexes end with the primary key's columns, written or not.
fn serves(index: &[String], order: &[String], input: Input<'_>) -> bool {
    let mut all = index.to_vec();
    if input.dialect == Dialect::MySql {
        all.extend(input.primary_key.iter().filter(|column| !index.contains(column)).cloned());
    }
    all.starts_with(order)
}

/// The columns of an index that serves the order, as many of them as fit; `None` if not even the first does.
fn columns(input: Input<'_>) -> Option<Vec<String>> {
    let mut bytes = 0;
    let mut columns = Vec::new();
    for column in input.order.iter().take(INDEX_COLUMNS_MAX) {
        // what is in an index of its own fits into one
        let indexed = input.hints.indexes.iter().any(|index| index.contains(&column.name));
        bytes += length(column).or_else(|| indexed.then_some(VALUE_BYTES)).unwrap_or(INDEX_BYTES_MAX + 1);
        if bytes > INDEX_BYTES_MAX {
            break;
        }
        columns.push(column.name.clone());
    }
    (!columns.is_empty()).then_some(columns)
}

/// The most bytes of a value of the column; `None` if there is no such bound.
fn length(column: &Column) -> Option<u64> {
    let text = column.source_type.to_ascii_lowercase();
    let (base, rest) = text.split_once('(').unwrap_or((&text, ""));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let said = digits.parse::<u64>().ok();
    match (base.trim(), &column.read) {
        ("character varying" | "character" | "varchar" | "char", _) => {
            said.map(|length| length.saturating_mul(CHARACTER_BYTES_MAX))
        }
        ("varbinary" | "binary", _) => said,
        (
            "text" | "citext" | "bytea" | "json" | "jsonb" | "xml" | "hstore" | "longtext" | "mediumtext" | "tinytext"
            | "blob" | "longblob" | "mediumblob" | "tinyblob" | "geometry",
            _,
        ) => None,
        // numbers, times, uuids, enums
        (_, Read::Postgres(_) | Read::MySql(_)) => Some(VALUE_BYTES),
    }
}
