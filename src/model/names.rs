//! Names: of sources, of tables at the source, of tables in BigQuery.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest source or table name taken, in bytes. PostgreSQL's identifiers end at 63 bytes, MySQL's at
/// 64 characters; two of them and a dot fit.
const NAME_BYTES_MAX: usize = 520;

/// A name that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {:?} {problem}", shown(.value))]
pub struct InvalidName {
    /// What the name was to be: `source name`, `table name`, `dataset`.
    pub what: &'static str,
    /// What was given.
    pub value: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The most characters of an invalid name that are shown.
const SHOWN_CHARS_MAX: usize = 100;

/// The name, cut where it goes on for too long.
fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown
}

/// The name of a source in the configuration: letters, digits, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceName(String);

/// The name of a table in the configuration: `invoices` or `schema.invoices`; any characters but control ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName(String);

/// One configured table: `source/table`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    /// The source that it belongs to.
    pub source: SourceName,
    /// Its name there.
    pub table: TableName,
}

/// A table as the source database knows it: schema (MySQL: database) and name, both unquoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceTable {
    /// Schema for PostgreSQL, database for MySQL; `None` is the default one (`public`, the connection's database).
    pub schema: Option<String>,
    /// The table, view or materialized view.
    pub name: String,
}

/// What kind of table a catalog says that there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableKind {
    /// A table, partitioned or not, or a foreign one.
    #[default]
    Table,
    /// A partition of another table, whose rows are that one's.
    Partition,
    /// A view or materialized view.
    View,
}

/// How an index on a relation is made, as its catalog tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Indexing {
    /// While others write.
    #[default]
    Beside,
    /// Nobody writes as long as it takes: PostgreSQL refuses `CONCURRENTLY` for a table that has partitions.
    Locking,
    /// Not here: a view, or a foreign table, whose indexes are the other server's.
    Never,
}

/// A BigQuery table. Displays as `project.dataset.table`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BqTable {
    /// Project id.
    pub project: String,
    /// Dataset id.
    pub dataset: String,
    /// Table id.
    pub table: String,
}

impl SourceName {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TableName {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let fault = |problem| InvalidName { what: "source name", value: text.to_owned(), problem };
        if text.is_empty() || text.len() > 64 {
            return Err(fault("must have 1 to 64 characters"));
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Err(fault("may hold letters, digits, _ and - only"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for TableName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let fault = |problem| InvalidName { what: "table name", value: text.to_owned(), problem };
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(fault("must have 1 to 520 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(fault("has a control character"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for SourceName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl TryFrom<String> for TableName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<SourceName> for String {
    fn from(name: SourceName) -> Self {
        name.0
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.table)
    }
}

/// The name in characters that need no care anywhere.
pub fn plain_name(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

impl SourceTable {
    /// What it is called in BigQuery if nobody says it.
    pub fn target_name(&self, default_schema: Option<&str>) -> String {
        let name = plain_name(&self.name);
        match self.schema.as_deref().filter(|schema| Some(*schema) != default_schema) {
            Some(schema) => format!("{}__{name}", plain_name(schema)),
            None => name,
        }
    }
}

impl fmt::Display for SourceTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl fmt::Display for BqTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.project, self.dataset, self.table)
    }
}
