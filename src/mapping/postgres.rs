//! PostgreSQL's types: what each becomes, how it is selected, how its bytes are read, how its values are bound. Pure.
//!
//! Types are recognised by the catalog's facts (schema, name, extension, kind), never by what a search path finds:
//! an extension may live in any schema, and anybody may create a type named `text`.

mod canonical;
mod reform;

use std::fmt;

pub(super) use canonical::canonical;
pub(super) use reform::reform;

use super::{Column, CursorKind};
use crate::encode::postgres::PgCodec;
use crate::model::{BqType, Policy};

/// `VARHDRSZ`: what `numeric`'s type modifier is shifted by.
const TYPMOD_SHIFT: i32 = 4;
/// Types of the server's own that are STRING, in their own text form.
const TEXT_TYPES: [&str; 35] = [
    "macaddr",
    "macaddr8",
    "bit",
    "varbit",
    "point",
    "lseg",
    "path",
    "box",
    "polygon",
    "line",
    "circle",
    "interval",
    "xml",
    "jsonpath",
    "tsvector",
    "tsquery",
    "gtsvector",
    "pg_lsn",
    "tid",
    "xid",
    "xid8",
    "cid",
    "txid_snapshot",
    "pg_snapshot",
    "refcursor",
    "char",
    "aclitem",
    "int2vector",
    "oidvector",
    "pg_node_tree",
    "pg_ndistinct",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
];
/// Names of objects: they print as names, whatever the search path.
const NAME_TYPES: [&str; 11] = [
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regclass",
    "regcollation",
    "regtype",
    "regrole",
    "regnamespace",
    "regconfig",
    "regdictionary",
];
/// Most fractional digits of a second.
const SECOND_DIGITS_MAX: u8 = 6;

/// How a column is selected, read and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What is selected for its value.
    pub select: Wrap,
    /// Which binary form that has.
    pub codec: PgCodec,
    /// What is selected besides for its place in a position; `None` if the value's own bytes give it.
    pub position: Option<Wrap>,
    /// The types that a bound text is cast through, the last being the column's: `bigint`, `public.citext`.
    pub cast: String,
    /// The type's comparison operators, if they are not those of `pg_catalog`.
    pub operators: Option<Box<Operators>>,
    /// Of an array: how it is read as a REPEATED column.
    pub elements: Option<Elements>,
}

/// How an array is read as a REPEATED column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elements {
    /// What each element becomes.
    pub ty: BqType,
    /// What is selected for the array.
    pub select: Wrap,
    /// The array's binary form.
    pub codec: PgCodec,
}

/// The operators of a type's default btree operator class: those of the order that ORDER BY and unique indexes use.
/// An extension keeps them in its own schema, and not always under the usual names (hstore's `>` is `#>#`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operators {
    /// The schema that they are in.
    pub schema: String,
    /// Their names, in the order of btree's strategies: `<`, `<=`, `=`, `>=`, `>`.
    pub names: [String; 5],
}

/// A comparison, by its place among btree's strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterEqual,
    /// `>`
    Greater,
}

impl Comparison {
    /// The operator in SQL, with its schema.
    pub fn sql(self, operators: Option<&Operators>) -> String {
        let (place, usual) = match self {
            Self::Less => (0, "<"),
            Self::LessEqual => (1, "<="),
            Self::Equal => (2, "="),
            Self::GreaterEqual => (3, ">="),
            Self::Greater => (4, ">"),
        };
        match operators {
            Some(operators) => format!("OPERATOR({}.{})", Ident(&operators.schema), operators.names[place]),
            None => usual.to_owned(),
        }
    }
}

/// SQL around a column: `pg_catalog.to_json(` … `)::text`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wrap {
    /// What stands before it.
    pub before: String,
    /// What stands after it.
    pub after: &'static str,
}

/// What the catalog says of one column. The type's facts are those of the base type if it is a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The column's name.
    pub name: String,
    /// The declared type as `format_type` prints it.
    pub source_type: String,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// The column's comment.
    pub comment: Option<String>,
    /// `pg_type.typname`.
    pub type_name: String,
    /// The schema that the type is in.
    pub type_schema: String,
    /// The extension that the type belongs to.
    pub extension: Option<String>,
    /// `pg_type.typtype`: `b` base, `c` composite, `e` enum, `r` range, `m` multirange, `p` pseudo.
    pub kind: char,
    /// Whether it is an array.
    pub array: bool,
    /// The type modifier; -1 for none.
    pub modifier: i32,
    /// The type as `format_type(oid, -1)` prints it with nothing but `pg_catalog` in the search path: with its
    /// schema, quoted where needed, without a modifier (a cast to `numeric(10,2)` would round a bound).
    pub cast: String,
    /// The type's own comparison operators; `None` if it has none of its own.
    pub operators: Option<Box<Operators>>,
}

/// An identifier that quotes itself.
#[derive(Clone, Copy, Debug)]
pub struct Ident<'a>(pub &'a str);

impl fmt::Display for Ident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl Wrap {
    fn around(before: impl Into<String>, after: &'static str) -> Self {
        Self { before: before.into(), after }
    }

    fn text() -> Self {
        Self::around("", "::text")
    }

    /// The SQL with `column`, itself SQL, in the middle.
    pub fn sql(&self, column: &str) -> String {
        format!("{}{column}{}", self.before, self.after)
    }
}

/// What a type becomes.
struct Mapped {
    ty: BqType,
    codec: PgCodec,
    select: Wrap,
    fallible: bool,
    cursor: Option<CursorKind>,
    position: Option<Wrap>,
    /// A type that a bound text is cast to first.
    cast_first: Option<&'static str>,
    /// Whether the type is one that we know.
    known: bool,
    /// Of an array.
    elements: Option<Elements>,
}

impl Mapped {
    fn plain(ty: BqType, codec: PgCodec) -> Self {
        let select = Wrap::default();
        Self {
            ty,
            codec,
            select,
            fallible: false,
            cursor: None,
            position: None,
            cast_first: None,
            known: true,
            elements: None,
        }
    }

    fn selected(self, select: Wrap) -> Self {
        Self { select, ..self }
    }

    fn fallible(self) -> Self {
        Self { fallible: true, ..self }
    }

    fn cursor(self, kind: CursorKind) -> Self {
        Self { cursor: Some(kind), ..self }
    }

    /// The database's own text form.
    fn text() -> Self {
        Self::plain(BqType::String, PgCodec::Text).selected(Wrap::text())
    }

    /// Text too, for want of knowledge.
    fn unknown() -> Self {
        Self { known: false, ..Self::text() }
    }

    /// `to_json` uses the type's own cast to json where it has one (hstore).
    fn to_json() -> Self {
        let select = Wrap::around("pg_catalog.to_json(", ")::text");
        let json = Self::plain(BqType::Json, PgCodec::Json).selected(select).fallible();
        Self { position: Some(Wrap::text()), ..json }
    }
}

/// The column of these facts.
pub fn column(facts: Facts) -> Column {
    let mapped = map(&facts);
    let cast = match mapped.cast_first {
        Some(first) => format!("{first}::{}", facts.cast),
        None => facts.cast,
    };
    let operators = facts.operators.filter(|operators| operators.schema != "pg_catalog");
    let read = Read {
        select: mapped.select,
        codec: mapped.codec,
        position: mapped.position,
        cast,
        operators,
        elements: mapped.elements,
    };
    Column {
        name: facts.name,
        source_type: facts.source_type,
        ty: mapped.ty,
        nullable: facts.nullable,
        fallible: mapped.fallible,
        comment: facts.comment,
        cursor: mapped.cursor,
        read: super::Read::Postgres(read),
        cast: None,
        repeated: false,
        known: mapped.known,
        exact: false,
        policy: Policy::default(),
    }
}

fn map(facts: &Facts) -> Mapped {
    if facts.array {
        return Mapped { elements: elements(facts), ..Mapped::to_json() };
    }
    match facts.kind {
        'c' => return Mapped::to_json(),
        'b' => {}
        // enums, ranges, multiranges
        'e' | 'r' | 'm' => return Mapped::text(),
        _ => return Mapped::unknown(),
    }
    if facts.type_schema == "pg_catalog" {
        return map_builtin(&facts.type_name, facts.modifier);
    }
    match (facts.extension.as_deref(), facts.type_name.as_str()) {
        (Some("hstore"), "hstore") => Mapped::to_json(),
        (Some("postgis"), "geometry" | "geography") => {
            let wkt = Wrap::around(format!("{}.st_astext(", Ident(&facts.type_schema)), ")");
            Mapped { position: Some(Wrap::text()), ..Mapped::text().selected(wkt) }
        }
        (Some("citext"), "citext") | (Some("ltree"), "ltree" | "lquery" | "ltxtquery") => Mapped::text(),
        _ => Mapped::unknown(),
    }
}

fn map_builtin(name: &str, modifier: i32) -> Mapped {
    let number = |codec| Mapped::plain(BqType::Int64, codec).cursor(CursorKind::Number);
    match name {
        "int2" => number(PgCodec::Int2),
        "int4" => number(PgCodec::Int4),
        "int8" => number(PgCodec::Int8),
        "oid" => number(PgCodec::Oid),
        "float4" => Mapped::plain(BqType::Float64, PgCodec::Float4),
        "float8" => Mapped::plain(BqType::Float64, PgCodec::Float8),
        "numeric" => map_numeric(modifier),
        // its bytes are a count of units that the database's lc_monetary defines; its text is in that locale
        "money" => {
            let select = Wrap::around("", "::numeric");
            let money = Mapped::plain(BqType::Numeric, PgCodec::Numeric).selected(select);
            Mapped { cast_first: Some("numeric"), ..money }
        }
        "bool" => Mapped::plain(BqType::Bool, PgCodec::Bool),
        // not as ::text, which cuts the blanks off a bpchar
        "text" | "varchar" | "bpchar" | "name" => Mapped::plain(BqType::String, PgCodec::Text),
        "bytea" => Mapped::plain(BqType::Bytes, PgCodec::Bytea),
        "date" => Mapped::plain(BqType::Date, PgCodec::Date).fallible().cursor(CursorKind::Date),
        "time" => Mapped::plain(BqType::Time, PgCodec::Time).fallible(),
        "timetz" => Mapped::plain(BqType::Time, PgCodec::TimeTz).fallible(),
        "timestamp" => {
            let kind = CursorKind::Civil { digits: second_digits(modifier) };
            Mapped::plain(BqType::DateTime, PgCodec::Timestamp).fallible().cursor(kind)
        }
        "timestamptz" => {
            let kind = CursorKind::Instant { digits: second_digits(modifier) };
            Mapped::plain(BqType::Timestamp, PgCodec::TimestampTz).fallible().cursor(kind)
        }
        "uuid" => Mapped::plain(BqType::String, PgCodec::Uuid),
        // a JSON null is a value here and NULL to a load job, so these cannot be REQUIRED
        "json" => Mapped::plain(BqType::Json, PgCodec::Json).fallible(),
        "jsonb" => Mapped::plain(BqType::Json, PgCodec::Jsonb).fallible(),
        // as they print: ::text of an inet adds the /32 that its output leaves out
        "inet" => Mapped::text().selected(Wrap::around("pg_catalog.inet_out(", ")::text")),
        "cidr" => Mapped::text().selected(Wrap::around("pg_catalog.cidr_out(", ")::text")),
        _ if TEXT_TYPES.contains(&name) || NAME_TYPES.contains(&name) => Mapped::text(),
        _ => Mapped::unknown(),
    }
}

/// How an array of one of the server's own types is read element by element; of others, as text.
fn elements(facts: &Facts) -> Option<Elements> {
    let builtin = facts.type_name.strip_prefix('_').filter(|_| facts.type_schema == "pg_catalog");
    let text = || Elements {
        ty: BqType::String,
        select: Wrap::around("", "::text[]"),
        codec: PgCodec::Repeated(&PgCodec::Text),
    };
    let Some(name) = builtin else { return Some(text()) };
    let element = map_builtin(name, facts.modifier);
    let codec: &'static PgCodec = match element.codec {
        _ if element.select != Wrap::default() => return Some(text()),
        PgCodec::Bool => &PgCodec::Bool,
        PgCodec::Int2 => &PgCodec::Int2,
        PgCodec::Int4 => &PgCodec::Int4,
        PgCodec::Int8 => &PgCodec::Int8,
        PgCodec::Oid => &PgCodec::Oid,
        PgCodec::Float4 => &PgCodec::Float4,
        PgCodec::Float8 => &PgCodec::Float8,
        PgCodec::Numeric => &PgCodec::Numeric,
        PgCodec::BigNumeric => &PgCodec::BigNumeric,
        PgCodec::NumericText => &PgCodec::NumericText,
        PgCodec::Date => &PgCodec::Date,
        PgCodec::Time => &PgCodec::Time,
        PgCodec::TimeTz => &PgCodec::TimeTz,
        PgCodec::Timestamp => &PgCodec::Timestamp,
        PgCodec::TimestampTz => &PgCodec::TimestampTz,
        PgCodec::Uuid => &PgCodec::Uuid,
        PgCodec::Bytea => &PgCodec::Bytea,
        PgCodec::Text => &PgCodec::Text,
        PgCodec::Json => &PgCodec::Json,
        PgCodec::Jsonb => &PgCodec::Jsonb,
        PgCodec::CheckedJson | PgCodec::Utf8 | PgCodec::Wkt | PgCodec::Repeated(_) => return Some(text()),
    };
    Some(Elements { ty: element.ty, select: Wrap::default(), codec: PgCodec::Repeated(codec) })
}

fn map_numeric(modifier: i32) -> Mapped {
    // NaN is a value of every numeric
    let (ty, codec, fallible) = match numeric_digits(modifier) {
        None => (BqType::BigNumeric, PgCodec::BigNumeric, true),
        Some((integer, scale)) if integer <= 29 && scale <= 9 => (BqType::Numeric, PgCodec::Numeric, true),
        Some((integer, scale)) if integer <= 38 && scale <= 38 => (BqType::BigNumeric, PgCodec::BigNumeric, true),
        Some(_) => (BqType::String, PgCodec::NumericText, false),
    };
    Mapped { fallible, ..Mapped::plain(ty, codec).cursor(CursorKind::Number) }
}

/// Digits before the point (precision less scale) and scale of a `numeric`'s modifier; `None` for one without.
fn numeric_digits(modifier: i32) -> Option<(i32, i32)> {
    let packed = modifier.checked_sub(TYPMOD_SHIFT).filter(|packed| *packed >= 0)?;
    let precision = packed >> 16 & 0xffff;
    // 11 bits with a sign since PostgreSQL 15, which knows scales from -1000 to 1000
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    Some((precision - scale, scale))
}

/// Fractional digits of seconds by the modifier of a time type.
fn second_digits(modifier: i32) -> u8 {
    u8::try_from(modifier).unwrap_or(SECOND_DIGITS_MAX).min(SECOND_DIGITS_MAX)
}

#[cfg(test)]
mod tests;
