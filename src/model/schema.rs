//! BigQuery types, fields and schemas. They serialise as BigQuery's REST API writes them (`TableFieldSchema`),
//! so that an intent carries its schema in the form in which it is sent.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::BqTable;

/// A BigQuery type that a source column can become. Array columns are `Json` (TYPES of the design).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum BqType {
    /// 64-bit integer.
    Int64,
    /// IEEE double.
    Float64,
    /// Boolean.
    Bool,
    /// Unicode text.
    String,
    /// Bytes; base64 in NDJSON.
    Bytes,
    /// Calendar date.
    Date,
    /// Time of day, microseconds.
    Time,
    /// Civil date and time without zone, microseconds.
    DateTime,
    /// Instant, microseconds.
    Timestamp,
    /// Decimal, 29 integer digits and 9 fractional ones.
    Numeric,
    /// Decimal, 38 integer digits and 38 fractional ones.
    BigNumeric,
    /// JSON.
    Json,
    /// Geography (WKT in NDJSON).
    Geography,
}

impl BqType {
    /// Every type, for tests over all of them.
    pub const ALL: [Self; 13] = [
        Self::Int64,
        Self::Float64,
        Self::Bool,
        Self::String,
        Self::Bytes,
        Self::Date,
        Self::Time,
        Self::DateTime,
        Self::Timestamp,
        Self::Numeric,
        Self::BigNumeric,
        Self::Json,
        Self::Geography,
    ];

    /// The name in GoogleSQL, which the REST API takes as well.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int64 => "INT64",
            Self::Float64 => "FLOAT64",
            Self::Bool => "BOOL",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Date => "DATE",
            Self::Time => "TIME",
            Self::DateTime => "DATETIME",
            Self::Timestamp => "TIMESTAMP",
            Self::Numeric => "NUMERIC",
            Self::BigNumeric => "BIGNUMERIC",
            Self::Json => "JSON",
            Self::Geography => "GEOGRAPHY",
        }
    }

    /// From a name of GoogleSQL or a legacy one of the REST API (`INTEGER`, `FLOAT`, `BOOLEAN`).
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "INTEGER" => Some(Self::Int64),
            "FLOAT" => Some(Self::Float64),
            "BOOLEAN" => Some(Self::Bool),
            upper => Self::ALL.into_iter().find(|ty| ty.name() == upper),
        }
    }

    /// Whether values of the type can be compared with `=` and ordered, which a key's must.
    pub fn comparable(self) -> bool {
        !matches!(self, Self::Json | Self::Geography)
    }

    /// Whether rows can be grouped by values of the type, which making a key unique needs.
    pub fn groupable(self) -> bool {
        self.comparable() && self != Self::Float64
    }
}

impl TryFrom<String> for BqType {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::from_name(&name).ok_or_else(|| format!("{name:?} is not a type of BigQuery's"))
    }
}

impl From<BqType> for &'static str {
    fn from(ty: BqType) -> &'static str {
        ty.name()
    }
}

impl fmt::Display for BqType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A column's mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldMode {
    /// It may be NULL.
    #[default]
    Nullable,
    /// It is never NULL.
    Required,
    /// It holds an array, empty or not, but never NULL.
    Repeated,
}

impl FieldMode {
    /// As BigQuery's REST API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nullable => "NULLABLE",
            Self::Required => "REQUIRED",
            Self::Repeated => "REPEATED",
        }
    }
}

/// One column of a BigQuery table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WireField", into = "WireField")]
pub struct Field {
    /// The column's name in BigQuery.
    pub name: String,
    /// Its type.
    pub ty: BqType,
    /// Whether it holds NULL, or an array.
    pub mode: FieldMode,
    /// Its description, from the source's column comment.
    pub description: Option<String>,
}

/// `TableFieldSchema` of the REST API, the part that we read and write.
#[derive(Clone, Serialize, Deserialize)]
struct WireField {
    name: String,
    #[serde(rename = "type")]
    ty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl TryFrom<WireField> for Field {
    type Error = String;

    fn try_from(wire: WireField) -> Result<Self, String> {
        let ty = BqType::from_name(&wire.ty)
            .ok_or_else(|| format!("column {:?} has the type {}, which is not one of ours", wire.name, wire.ty))?;
        let mode = match wire.mode.as_deref() {
            None | Some("NULLABLE") => FieldMode::Nullable,
            Some("REQUIRED") => FieldMode::Required,
            Some("REPEATED") => FieldMode::Repeated,
            Some(other) => return Err(format!("column {:?} is {other}, which is not a mode of ours", wire.name)),
        };
        Ok(Self { name: wire.name, ty, mode, description: wire.description })
    }
}

impl From<Field> for WireField {
    fn from(field: Field) -> Self {
        Self {
            name: field.name,
            ty: field.ty.name().to_owned(),
            mode: Some(field.mode.name().to_owned()),
            description: field.description,
        }
    }
}

/// The columns of a BigQuery table, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema(pub Vec<Field>);

impl Schema {
    /// The field of that name. BigQuery's column names are equal regardless of case.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.0.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }
}

/// The unit of a time partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TimeUnit {
    /// One partition an hour (not for DATE columns).
    Hour,
    /// One partition a day.
    Day,
    /// One partition a month.
    Month,
    /// One partition a year.
    Year,
}

/// How a BigQuery table is partitioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// By a DATE, DATETIME or TIMESTAMP column.
    Time {
        /// The column's name in BigQuery.
        field: String,
        /// The partition's length.
        unit: TimeUnit,
    },
    /// By an INT64 column, `start` inclusive, `end` exclusive.
    Range {
        /// The column's name in BigQuery.
        field: String,
        /// First value of the first partition.
        start: i64,
        /// First value beyond the last partition.
        end: i64,
        /// Width of a partition, at least 1.
        interval: i64,
    },
}

/// What a table is created from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// The table.
    pub table: BqTable,
    /// Its columns.
    pub schema: Schema,
    /// The table's description.
    pub description: Option<String>,
    /// Its partitions, if any.
    pub partitioning: Option<Partitioning>,
    /// Clustering columns, at most 4 (BigQuery's limit).
    pub clustering: Vec<String>,
    /// When it expires, milliseconds since the epoch; `None` keeps the dataset's default.
    pub expires_at_ms: Option<i64>,
}
