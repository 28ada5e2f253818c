//! The canonical text of PostgreSQL's values. Pure. Every session has `pg_catalog` alone in its search path and UTC.

use super::{Ident, Read, Wrap};
use crate::encode::cast::Cast;
use crate::encode::postgres::PgCodec;
use crate::mapping::Column;
use crate::mapping::canonical::{
    ARRAYS, BIGNUMERIC, BYTES_AS_TEXT, Canonical, FLOATS, GEOGRAPHY, INT64, JSON, Limits, NUMERIC, OTHER_FORM, SALT,
    Value, quoted,
};

const CIVIL: &str = "'YYYY-MM-DD\"T\"HH24:MI:SS.US'";
const MIDNIGHT: &str = "'T00:00:00.000000'";

/// How the column's values are compared.
pub(in crate::mapping) fn canonical(column: &Column, read: &Read) -> Result<Canonical, &'static str> {
    let plain = format!("t.{}", Ident(&column.name));
    let selected = read.select.sql(&plain);
    let value = match &column.cast {
        None => natural(read, &plain, &selected)?,
        Some(Cast::Hash(_)) => hashed(read, &plain, &selected)?,
        Some(Cast::Civil) => civil(read.codec, &selected)?,
        Some(Cast::Instant(zone)) => instant(read.codec, &selected, zone.iana_name().unwrap_or("UTC"))?,
        Some(Cast::Float) => return Err(FLOATS),
        Some(Cast::Integer) => number(&digits(read.codec, &selected)?, INT64),
        Some(Cast::Numeric) => number(&digits(read.codec, &selected)?, NUMERIC),
        Some(Cast::BigNumeric) => number(&digits(read.codec, &selected)?, BIGNUMERIC),
        Some(Cast::Boolean) => boolean(&digits(read.codec, &selected)?),
    };
    value.under(column.policy)
}

fn natural(read: &Read, plain: &str, selected: &str) -> Result<Value, &'static str> {
    Ok(match read.codec {
        PgCodec::Bool => Value::plain(format!("CASE WHEN {selected} THEN '1' WHEN NOT {selected} THEN '0' END")),
        PgCodec::Int2 | PgCodec::Int4 | PgCodec::Int8 | PgCodec::Oid => {
            let number = Some(format!("{selected}::int8::numeric"));
            Value { number, ..Value::plain(format!("{selected}::text")) }
        }
        PgCodec::Numeric => number(selected, NUMERIC),
        PgCodec::BigNumeric => number(selected, BIGNUMERIC),
        PgCodec::Float4 | PgCodec::Float8 => return Err(FLOATS),
        PgCodec::Date => date(selected),
        PgCodec::Timestamp => time(selected, "timestamp"),
        PgCodec::TimestampTz => time(selected, "timestamptz"),
        PgCodec::Time => Value {
            unfit: Some(format!("({selected} >= time '24:00:00')")),
            // `least` passes NULL by
            nearest: Some(format!(
                "CASE WHEN {selected} IS NOT NULL THEN to_char(least({selected}, time '23:59:59.999999'), 'HH24:MI:SS.US') END"
            )),
            ..Value::plain(format!("to_char({selected}, 'HH24:MI:SS.US')"))
        },
        PgCodec::TimeTz => timetz(selected),
        PgCodec::Uuid | PgCodec::NumericText => text(&format!("{selected}::text")),
        PgCodec::Text => text(&as_text(read, plain, selected)),
        PgCodec::Bytea => {
            let bytes = as_bytes(read, plain, selected);
            Value { digest: Some(format!("md5({bytes})")), ..Value::plain(format!("encode({bytes}, 'hex')")) }
        }
        PgCodec::Json | PgCodec::Jsonb | PgCodec::CheckedJson => return Err(JSON),
        PgCodec::Utf8 => return Err(BYTES_AS_TEXT),
        PgCodec::Wkt => return Err(GEOGRAPHY),
        PgCodec::Repeated(_) => return Err(ARRAYS),
    })
}

fn text(text: &str) -> Value {
    Value { digest: Some(format!("md5(convert_to({text}, 'UTF8'))")), ..Value::plain(text) }
}

/// Text as it is read. `concat` uses the type's own output, with the blanks of a bpchar, and knows no NULL.
fn as_text(read: &Read, plain: &str, selected: &str) -> String {
    if read.select == Wrap::default() {
        format!("CASE WHEN {plain} IS NOT NULL THEN concat({plain}) END")
    } else {
        selected.to_owned()
    }
}

/// The bytes that are read as BYTES: a bytea's, a uuid's, or those of a text.
fn as_bytes(read: &Read, plain: &str, selected: &str) -> String {
    match read.cast.as_str() {
        "bytea" => selected.to_owned(),
        "uuid" => format!("uuid_send({selected})"),
        _ => format!("convert_to({}, 'UTF8')", as_text(read, plain, selected)),
    }
}

/// A number; `sql` is a `numeric`. NaN is greater than any.
fn number(sql: &str, limits: Limits) -> Value {
    let Limits { least, greatest, scale } = limits;
    let nearest = format!("least(greatest(round({sql}, {scale}), {least}), {greatest})");
    Value {
        text: trimmed(&format!("{sql}::text")),
        digest: None,
        number: Some(sql.to_owned()),
        unfit: Some(format!("({sql} > {greatest} OR {sql} < {least} OR {sql} <> trunc({sql}, {scale}))")),
        nearest: Some(format!("CASE WHEN {sql} <> 'NaN' THEN {} END", trimmed(&format!("{nearest}::text")))),
    }
}

/// A number's text without zeros that say nothing.
fn trimmed(text: &str) -> String {
    format!("CASE WHEN strpos({text}, '.') > 0 THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END")
}

/// The number that is cast, as a `numeric`.
fn digits(codec: PgCodec, selected: &str) -> Result<String, &'static str> {
    match codec {
        PgCodec::Bool => Ok(format!("{selected}::int4::numeric")),
        PgCodec::Int2 | PgCodec::Int4 | PgCodec::Int8 | PgCodec::Oid => Ok(format!("{selected}::int8::numeric")),
        PgCodec::Numeric | PgCodec::BigNumeric | PgCodec::NumericText => Ok(selected.to_owned()),
        PgCodec::Float4
        | PgCodec::Float8
        | PgCodec::Date
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
        | PgCodec::Repeated(_) => Err(FLOATS),
    }
}

fn boolean(number: &str) -> Value {
    Value {
        unfit: Some(format!("({number} NOT IN (0, 1))")),
        nearest: Some(format!("CASE WHEN {number} = 0 THEN '0' WHEN {number} <> 'NaN' THEN '1' END")),
        ..Value::plain(format!("CASE WHEN {number} = 0 THEN '0' WHEN {number} = 1 THEN '1' END"))
    }
}

fn date(sql: &str) -> Value {
    let nearest = format!("least(greatest({sql}, date '0001-01-01'), date '9999-12-31')");
    Value {
        unfit: Some(format!("({sql} < date '0001-01-01' OR {sql} > date '9999-12-31')")),
        // `least` and `greatest` pass NULL by
        nearest: Some(format!("CASE WHEN {sql} IS NOT NULL THEN to_char({nearest}, 'YYYY-MM-DD') END")),
        ..Value::plain(format!("to_char({sql}, 'YYYY-MM-DD')"))
    }
}

fn time(sql: &str, ty: &str) -> Value {
    let (first, last) = (format!("{ty} '0001-01-01 00:00:00'"), format!("{ty} '9999-12-31 23:59:59.999999'"));
    let nearest = format!("to_char(least(greatest({sql}, {first}), {last}), {CIVIL})");
    Value {
        unfit: Some(format!("({sql} < {first} OR {sql} > {last})")),
        nearest: Some(format!("CASE WHEN {sql} IS NOT NULL THEN {nearest} END")),
        ..Value::plain(format!("to_char({sql}, {CIVIL})"))
    }
}

/// In UTC; 24:00:00 of whatever zone does not fit, and is nearest to the last microsecond of its own day.
fn timetz(sql: &str) -> Value {
    let unfit = format!("({sql}::time >= time '24:00:00')");
    let utc = format!("to_char(timezone('UTC', {sql})::time, 'HH24:MI:SS.US')");
    let last = format!("time '23:59:59.999999' - make_interval(secs => extract(timezone FROM {sql})::float8)");
    let nearest = Some(format!("CASE WHEN {unfit} THEN to_char({last}, 'HH24:MI:SS.US') ELSE {utc} END"));
    Value { unfit: Some(unfit), nearest, ..Value::plain(utc) }
}

/// DATETIME of an instant in UTC or of a date.
fn civil(codec: PgCodec, sql: &str) -> Result<Value, &'static str> {
    if codec == PgCodec::TimestampTz {
        return Ok(time(sql, "timestamptz"));
    }
    if codec == PgCodec::Timestamp {
        return Ok(time(sql, "timestamp"));
    }
    if codec != PgCodec::Date {
        return Err(OTHER_FORM);
    }
    let value = date(sql);
    let midnight = |text: String| format!("(({text}) || {MIDNIGHT})");
    Ok(Value { text: midnight(value.text), nearest: value.nearest.map(midnight), ..value })
}

/// TIMESTAMP of a civil time, as the civil time of the zone, which the target tells of its instant. A time that the zone
/// never had does not fit; it is nearest to the one that the clock showed after it was put forward.
fn instant(codec: PgCodec, sql: &str, zone: &str) -> Result<Value, &'static str> {
    let value = civil(codec, sql)?;
    if zone == "UTC" {
        return Ok(value);
    }
    let (zone, civil) = (quoted(zone), format!("{sql}::timestamp"));
    let at = format!("timezone({zone}, {civil})");
    let (first, last) = ("timestamptz '0001-01-01 00:00:00'", "timestamptz '9999-12-31 23:59:59.999999'");
    let (finite, back) = (format!("isfinite({civil})"), format!("timezone({zone}, {at})"));
    let beyond = format!("({at} < {first} OR {at} > {last})");
    // first as a civil time, then as an instant: both have ends
    let civil_last = if codec == PgCodec::Date {
        "timestamp '9999-12-31 00:00:00'"
    } else {
        "timestamp '9999-12-31 23:59:59.999999'"
    };
    let near = format!("timezone({zone}, least(greatest({civil}, timestamp '0001-01-01 00:00:00'), {civil_last}))");
    let nearest = format!("to_char(timezone({zone}, least(greatest({near}, {first}), {last})), {CIVIL})");
    Ok(Value {
        unfit: Some(format!("(NOT {finite} OR {beyond} OR {back} <> {civil})")),
        nearest: Some(format!("CASE WHEN {sql} IS NOT NULL THEN {nearest} END")),
        ..value
    })
}

/// SHA-256 of salt and value.
fn hashed(read: &Read, plain: &str, selected: &str) -> Result<Value, &'static str> {
    let bytes = if read.codec == PgCodec::Text {
        format!("convert_to({}, 'UTF8')", as_text(read, plain, selected))
    } else if read.codec == PgCodec::Bytea {
        as_bytes(read, plain, selected)
    } else {
        return Err(OTHER_FORM);
    };
    Ok(text(&format!("encode(sha256(convert_to({SALT}, 'UTF8') || {bytes}), 'hex')")))
}
