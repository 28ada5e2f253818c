//! A column read in another form than its own: for overridden types and hashes. Pure.

use super::{Elements, Read, Wrap};
use crate::encode::postgres::PgCodec;
use crate::mapping::retarget::Form;
use crate::mapping::{self, Column};
use crate::model::BqType;

/// The column read in another form; `None` if it has none such.
pub(in crate::mapping) fn reform(column: &Column, read: &Read, form: Form) -> Option<Column> {
    let mut read = read.clone();
    let mut repeated = false;
    let natural = read.codec;
    // what is read is not what positions are made of
    let own_position = |read: &mut Read| {
        read.position = read.position.take().or_else(|| Some(Wrap::text()));
    };
    match form {
        Form::Text => {
            as_text(&mut read);
            own_position(&mut read);
        }
        Form::PlainText if natural == PgCodec::Text => {}
        Form::PlainText => {
            let is_money = read.select == Wrap::around("", "::numeric");
            read.select = if is_money { Wrap::around("", "::numeric::text") } else { Wrap::text() };
            read.codec = PgCodec::Text;
        }
        Form::Digits => read.codec = digits(natural)?,
        Form::CheckedJson if natural == PgCodec::Text => {
            read.codec = PgCodec::CheckedJson;
            own_position(&mut read);
        }
        Form::Bytes if matches!(natural, PgCodec::Text | PgCodec::Uuid) => {
            read.codec = PgCodec::Bytea;
            own_position(&mut read);
        }
        Form::Utf8 if natural == PgCodec::Bytea => {
            read.codec = PgCodec::Utf8;
            own_position(&mut read);
        }
        Form::Geography => {
            let schema = read.select.before.strip_suffix(".st_astext(")?.to_owned();
            read.select = Wrap::around(format!("{schema}.st_asewkt("), ")");
            read.codec = PgCodec::Wkt;
        }
        Form::Elements(ty) => {
            let elements = elements(&read, ty)?;
            (read.select, read.codec, repeated) = (elements.select, elements.codec, true);
        }
        Form::CheckedJson | Form::Bytes | Form::Utf8 => return None,
    }
    Some(Column { read: mapping::Read::Postgres(read), repeated, ..column.clone() })
}

/// The blanks of a bpchar, and an inet's netmask, are in the text that is selected already; a money is selected as a
/// numeric, and a numeric's digits are read from its own form.
fn as_text(read: &mut Read) {
    if matches!(read.codec, PgCodec::Numeric | PgCodec::BigNumeric | PgCodec::NumericText) {
        read.codec = PgCodec::NumericText;
    } else if read.codec != PgCodec::Text {
        (read.select, read.codec) = (Wrap::text(), PgCodec::Text);
    }
}

/// How a number's digits are read, none lost.
fn digits(natural: PgCodec) -> Option<PgCodec> {
    match natural {
        PgCodec::Numeric | PgCodec::BigNumeric | PgCodec::NumericText => Some(PgCodec::NumericText),
        PgCodec::Bool
        | PgCodec::Int2
        | PgCodec::Int4
        | PgCodec::Int8
        | PgCodec::Oid
        | PgCodec::Float4
        | PgCodec::Float8 => Some(natural),
        PgCodec::Date
        | PgCodec::Time
        | PgCodec::TimeTz
        | PgCodec::Timestamp
        | PgCodec::TimestampTz
        | PgCodec::Uuid
        | PgCodec::Bytea
        | PgCodec::Text
        | PgCodec::Json
        | PgCodec::Jsonb
        | PgCodec::Utf8
        | PgCodec::Wkt
        | PgCodec::CheckedJson
        | PgCodec::Repeated(_) => None,
    }
}

/// How an array is read whose elements must become `ty`. Any array can be one of texts.
fn elements(read: &Read, ty: BqType) -> Option<Elements> {
    let own = read.elements.clone()?;
    if own.ty == ty {
        return Some(own);
    }
    let codec = PgCodec::Repeated(&PgCodec::Text);
    (ty == BqType::String).then(|| Elements { ty, select: Wrap::around("", "::text[]"), codec })
}
