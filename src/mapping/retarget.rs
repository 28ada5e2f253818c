//! A column as another type than its own: by another reading of its values, or by a [`Cast`] of what was written. Pure.

use jiff::tz::TimeZone;

use super::{Column, Read, mysql, postgres};
use crate::encode::cast::Cast;
use crate::model::{BqType, WantedType};

/// Significant digits that a FLOAT64 always keeps (DBL_DIG).
const FLOAT_DIGITS: u32 = 15;
/// Digits of which every number is an INT64.
const INTEGER_DIGITS: u32 = 18;

/// Whether a column can be another type.
#[derive(Clone, Debug, PartialEq)]
pub enum Retargeted {
    /// Every value that its own type holds, the other holds.
    Fits(Column),
    /// Some values may not fit: a policy must say what is done with them.
    MayLose(Column),
    /// It needs the zone in which the values are written, and nobody says it.
    NeedsZone,
    /// There is no way.
    Never,
}

/// Another reading of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The database's own text.
    Text,
    /// The same, as the very bytes that are read.
    PlainText,
    /// A number's digits, none lost.
    Digits,
    /// Text that must be JSON.
    CheckedJson,
    /// A text's or uuid's bytes.
    Bytes,
    /// Bytes that must be UTF-8.
    Utf8,
    /// WKT of SRID 4326.
    Geography,
    /// An array's elements, which must become this.
    Elements(BqType),
}

/// The column read as the bytes of its text; `None` if it has none.
pub fn as_plain_text(column: &Column) -> Option<Column> {
    reform(column, Form::PlainText)
}

/// The column as `wanted`; `zone` is that of times without one.
pub fn retarget(column: &Column, wanted: WantedType, zone: Option<&TimeZone>) -> Retargeted {
    use BqType as Bq;
    let to = wanted.ty;
    if wanted.repeated {
        let made = reform(column, Form::Elements(to));
        return made.map_or(Retargeted::Never, |made| Retargeted::Fits(Column { ty: to, ..made }));
    }
    if column.repeated {
        return Retargeted::Never;
    }
    if column.ty == to {
        return Retargeted::Fits(column.clone());
    }
    match (column.ty, to) {
        (Bq::Bytes, Bq::String) => read_so(column, Form::Utf8, to, true),
        (_, Bq::String) => read_so(column, Form::Text, to, false),
        (Bq::String, Bq::Json) => read_so(column, Form::CheckedJson, to, true),
        (Bq::String, Bq::Bytes) => read_so(column, Form::Bytes, to, false),
        (Bq::String, Bq::Geography) => read_so(column, Form::Geography, to, true),
        (Bq::Date | Bq::DateTime, Bq::Timestamp) => match zone {
            Some(zone) => cast(column.clone(), to, Cast::Instant(zone.clone()), false),
            None => Retargeted::NeedsZone,
        },
        (Bq::Date | Bq::Timestamp, Bq::DateTime) => cast(column.clone(), to, Cast::Civil, false),
        (from, Bq::Int64 | Bq::Numeric | Bq::BigNumeric | Bq::Float64 | Bq::Bool) => number(column, from, to),
        _ => Retargeted::Never,
    }
}

fn reform(column: &Column, form: Form) -> Option<Column> {
    match &column.read {
        Read::Postgres(read) => postgres::reform(column, read, form),
        Read::MySql(read) => mysql::reform(column, read, form),
    }
}

fn read_so(column: &Column, form: Form, to: BqType, may_lose: bool) -> Retargeted {
    let Some(made) = reform(column, form) else { return Retargeted::Never };
    let made = Column { ty: to, fallible: may_lose, ..made };
    if may_lose { Retargeted::MayLose(made) } else { Retargeted::Fits(made) }
}

fn cast(column: Column, to: BqType, cast: Cast, may_lose: bool) -> Retargeted {
    let fallible = column.fallible || may_lose;
    let made = Column { ty: to, fallible, cast: Some(cast), ..column };
    if may_lose { Retargeted::MayLose(made) } else { Retargeted::Fits(made) }
}

fn number(column: &Column, from: BqType, to: BqType) -> Retargeted {
    use BqType as Bq;
    // text is no number, unless it holds the digits of a decimal that is too wide for any
    let is_decimal =
        matches!(from, Bq::Numeric | Bq::BigNumeric) || from == Bq::String && reform(column, Form::Digits).is_some();
    if !is_decimal && !matches!(from, Bq::Int64 | Bq::Bool | Bq::Float64) {
        return Retargeted::Never;
    }
    let Some(digits) = reform(column, Form::Digits) else { return Retargeted::Never };
    let width = width(column);
    let (made, may_lose) = match to {
        Bq::Bool => (Cast::Boolean, true),
        Bq::Int64 => {
            let fits = width.is_some_and(|(precision, scale)| scale == 0 && precision <= INTEGER_DIGITS);
            (Cast::Integer, from != Bq::Bool && !fits)
        }
        Bq::Float64 => {
            let fits = width.is_some_and(|(precision, _)| precision <= FLOAT_DIGITS);
            (Cast::Float, from != Bq::Bool && !fits)
        }
        Bq::Numeric => (Cast::Numeric, is_decimal || from == Bq::Float64),
        Bq::BigNumeric => (Cast::BigNumeric, from == Bq::String || from == Bq::Float64),
        Bq::String | Bq::Bytes | Bq::Date | Bq::Time | Bq::DateTime | Bq::Timestamp | Bq::Json | Bq::Geography => {
            return Retargeted::Never;
        }
    };
    cast(Column { fallible: column.fallible, ..digits }, to, made, may_lose)
}

/// Most digits of a column's numbers and how many of them are behind the point; `None` if the type does not say.
fn width(column: &Column) -> Option<(u32, u32)> {
    let ty = column.source_type.to_ascii_lowercase();
    let name = ty.split(['(', ' ']).next()?;
    match name {
        "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "oid" | "year" => Some((10, 0)),
        "numeric" | "decimal" => {
            let inside = ty.split_once('(')?.1.split_once(')')?.0;
            let (precision, scale) = inside.split_once(',').unwrap_or((inside, "0"));
            Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?))
        }
        _ => None,
    }
}
