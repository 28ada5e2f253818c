//! MySQL's and MariaDB's types: what each becomes, how it is selected, how its bytes are read, and how a position's
//! text is compared with it. Pure.
//!
//! Decided by the catalog's type alone. The driver's idea of a type is not asked: it takes MariaDB's JSON and text
//! with a binary collation for bytes, and a `tinyint(1)` that holds 2 for true.

mod canonical;
mod compare;
mod labels;
mod quote;
mod temporal;

pub(super) use canonical::canonical;
pub use compare::{Compare, Param};
pub use labels::Labels;
pub use quote::{Ident, QualifiedTable};

use super::retarget::Form;
use super::{Column, CursorKind};
use crate::encode::mysql::MyCodec;
use crate::model::{BqType, Policy};

/// How a column is selected and read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The select list's expression: the quoted column, or its text form by the server.
    pub expr: String,
    /// The reader of its values.
    pub codec: MyCodec,
    /// How it is compared and ordered.
    pub compare: Compare,
    /// Whether the server must be asked to write longitude first (MySQL 8).
    pub long_lat: bool,
}

/// The two families of servers, where they differ in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// MariaDB.
    MariaDb,
    /// MySQL and what is built from it.
    MySql {
        /// Its major version.
        major: u16,
    },
}

impl Dialect {
    /// From `@@version` (`10.11.6-MariaDB`, `8.0.36-google`). MariaDB's says its name.
    pub fn from_version(version: &str) -> Self {
        if version.to_ascii_lowercase().contains("mariadb") {
            return Self::MariaDb;
        }
        Self::MySql { major: version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(8) }
    }
}

/// What `information_schema.columns` says of one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogColumn {
    /// `COLUMN_NAME`.
    pub name: String,
    /// `DATA_TYPE`: `decimal`.
    pub data_type: String,
    /// `COLUMN_TYPE`: `decimal(18,4) unsigned`.
    pub column_type: String,
    /// `IS_NULLABLE`.
    pub nullable: bool,
    /// `NUMERIC_PRECISION`; for BIT its width.
    pub precision: u32,
    /// `NUMERIC_SCALE`.
    pub scale: u32,
    /// `DATETIME_PRECISION`.
    pub digits: u8,
    /// `COLUMN_COMMENT`, if not empty.
    pub comment: Option<String>,
    /// Whether a check promises `json_valid`, which is how MariaDB declares JSON.
    pub checked_json: bool,
}

/// What a type becomes.
struct Plan {
    ty: BqType,
    codec: MyCodec,
    compare: Compare,
    fallible: bool,
    cursor: Option<CursorKind>,
    known: bool,
}

impl Plan {
    fn new(ty: BqType, codec: MyCodec, compare: Compare) -> Self {
        Self { ty, codec, compare, fallible: false, cursor: None, known: true }
    }

    fn cursor(self, kind: CursorKind) -> Self {
        Self { cursor: Some(kind), ..self }
    }

    fn fallible(self) -> Self {
        Self { fallible: true, ..self }
    }
}

/// The column that the catalog's facts make.
pub fn column(facts: &CatalogColumn, dialect: Dialect) -> Column {
    let name = Ident(&facts.name);
    let data_type = facts.data_type.to_ascii_lowercase();
    let (expr, plan) = match native(&data_type, facts) {
        Some(plan) => (name.to_string(), plan),
        None => as_text(&data_type, name, dialect),
    };
    let long_lat = matches!(dialect, Dialect::MySql { major: 8.. });
    Column {
        name: facts.name.clone(),
        source_type: facts.column_type.clone(),
        ty: plan.ty,
        nullable: facts.nullable,
        fallible: plan.fallible,
        comment: facts.comment.clone(),
        cursor: plan.cursor,
        read: super::Read::MySql(Read { expr, codec: plan.codec, compare: plan.compare, long_lat }),
        cast: None,
        repeated: false,
        known: plan.known,
        exact: false,
        policy: Policy::default(),
    }
}

/// Types whose values are read from the protocol's own form.
fn native(data_type: &str, facts: &CatalogColumn) -> Option<Plan> {
    use BqType as Bq;
    use MyCodec as My;
    let column_type = facts.column_type.to_ascii_lowercase();
    let unsigned = column_type.contains("unsigned");
    let digits = facts.digits.min(6);
    Some(match data_type {
        "tinyint" if column_type == "tinyint(1)" => Plan::new(Bq::Bool, My::Bool, Compare::Signed).fallible(),
        "bigint" if unsigned => {
            Plan::new(Bq::Numeric, My::UnsignedNumeric, Compare::Unsigned).cursor(CursorKind::Number)
        }
        "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "bigint" => {
            let (codec, compare) =
                if unsigned { (My::Unsigned, Compare::Unsigned) } else { (My::Signed, Compare::Signed) };
            Plan::new(Bq::Int64, codec, compare).cursor(CursorKind::Number)
        }
        "decimal" | "numeric" => decimal(facts).cursor(CursorKind::Number),
        "float" => Plan::new(Bq::Float64, My::Single, Compare::Single),
        "double" | "real" => Plan::new(Bq::Float64, My::Double, Compare::Double),
        "bit" => match facts.precision {
            0 | 1 => Plan::new(Bq::Bool, My::BitBool, Compare::Unsigned),
            2..64 => Plan::new(Bq::Int64, My::Bit, Compare::Unsigned),
            _ => Plan::new(Bq::Numeric, My::BitNumeric, Compare::Unsigned),
        },
        "year" => Plan::new(Bq::Int64, My::Unsigned, Compare::Year),
        "date" => Plan::new(Bq::Date, My::Date, Compare::Date).fallible().cursor(CursorKind::Date),
        "datetime" => {
            Plan::new(Bq::DateTime, My::DateTime, Compare::DateTime).fallible().cursor(CursorKind::Civil { digits })
        }
        "timestamp" => {
            Plan::new(Bq::Timestamp, My::Timestamp, Compare::DateTime).fallible().cursor(CursorKind::Instant { digits })
        }
        "time" => Plan::new(Bq::Time, My::Time, Compare::Time).fallible(),
        "longtext" if facts.checked_json => Plan::new(Bq::Json, My::UncheckedJson, Compare::Text).fallible(),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
            Plan::new(Bq::String, My::Text, Compare::Text)
        }
        "enum" | "set" => Plan::new(Bq::String, My::Text, Compare::Labels(Labels::parse(&facts.column_type))),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            Plan::new(Bq::Bytes, My::Bytes, Compare::Bytes)
        }
        "json" => {
            let text = format!("CAST({} AS CHAR)", Ident(&facts.name));
            Plan::new(Bq::Json, My::Json, Compare::Expression(text)).fallible()
        }
        _ => return None,
    })
}

fn decimal(facts: &CatalogColumn) -> Plan {
    let scale = facts.scale;
    let compare = Compare::Decimal { scale };
    match facts.precision.saturating_sub(scale) {
        0..=29 if scale <= 9 => Plan::new(BqType::Numeric, MyCodec::Numeric, compare),
        0..=38 if scale <= 38 => Plan::new(BqType::BigNumeric, MyCodec::BigNumeric, compare),
        _ => Plan::new(BqType::String, MyCodec::DecimalText, compare),
    }
}

/// Types that the server writes as text.
fn as_text(data_type: &str, name: Ident<'_>, dialect: Dialect) -> (String, Plan) {
    let (expr, compare) = match data_type {
        // ordered and compared as they are; text is taken in by their own rules
        "uuid" | "inet4" | "inet6" => (format!("CAST({name} AS CHAR)"), Compare::Text),
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geometrycollection" | "geomcollection" => {
            let wkt = format!("ST_AsText({name})");
            (wkt.clone(), Compare::Expression(wkt))
        }
        "vector" => {
            let text = match dialect {
                Dialect::MySql { .. } => format!("VECTOR_TO_STRING({name})"),
                Dialect::MariaDb => format!("VEC_ToText({name})"),
            };
            (text.clone(), Compare::Expression(text))
        }
        _ => {
            let text = format!("CAST({name} AS CHAR)");
            (text.clone(), Compare::Expression(text))
        }
    };
    let known = KNOWN_TEXT.contains(&data_type);
    (expr, Plan { known, ..Plan::new(BqType::String, MyCodec::Text, compare) })
}

/// The types of [`as_text`] that we know.
const KNOWN_TEXT: [&str; 13] = [
    "uuid",
    "inet4",
    "inet6",
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
    "vector",
];

/// The column read in another form; `None` if it has none such.
pub(super) fn reform(column: &Column, read: &Read, form: Form) -> Option<Column> {
    use MyCodec as My;
    let mut read = read.clone();
    let name = Ident(&column.name);
    match (form, read.codec) {
        (Form::Text | Form::PlainText, My::Numeric | My::BigNumeric | My::DecimalText) => read.codec = My::DecimalText,
        (Form::Text | Form::PlainText, My::Json | My::UncheckedJson | My::Text) => read.codec = My::Text,
        (Form::Text | Form::PlainText, My::Bit | My::BitBool | My::BitNumeric) => {
            (read.expr, read.codec) = (format!("CAST({name}+0 AS CHAR)"), My::Text);
        }
        // CAST of a float rounds to six digits
        (Form::Text | Form::PlainText, My::Single) => {
            (read.expr, read.codec) = (format!("CAST({name}+0E0 AS CHAR)"), My::Text)
        }
        (Form::Text | Form::PlainText, _) => (read.expr, read.codec) = (format!("CAST({name} AS CHAR)"), My::Text),
        (Form::Digits, My::Bool) => read.codec = My::Signed,
        (Form::Digits, My::BitBool) => read.codec = My::Bit,
        (Form::Digits, My::Numeric | My::BigNumeric | My::DecimalText) => read.codec = My::DecimalText,
        (
            Form::Digits,
            My::Signed | My::Unsigned | My::UnsignedNumeric | My::Bit | My::BitNumeric | My::Single | My::Double,
        ) => {}
        (Form::CheckedJson, My::Text) => read.codec = My::UncheckedJson,
        (Form::Bytes, My::Text) => read.codec = My::Bytes,
        (Form::Utf8, My::Bytes) => read.codec = My::Utf8,
        (Form::Geography, My::Text) => {
            let wkt = read.expr.strip_prefix("ST_AsText(")?.strip_suffix(')')?.to_owned();
            // without it, MySQL 8 writes latitude first
            let order = if read.long_lat { ", 'axis-order=long-lat'" } else { "" };
            read.expr = format!("CONCAT('SRID=', ST_SRID({wkt}), ';', ST_AsText({wkt}{order}))");
            read.codec = My::Wkt;
        }
        _ => return None,
    }
    Some(Column { read: super::Read::MySql(read), ..column.clone() })
}

#[cfg(test)]
mod tests;
