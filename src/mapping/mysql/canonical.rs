//! The canonical text of MySQL's and MariaDB's values. Pure. Every session speaks utf8mb4, is in UTC, and takes invalid
//! dates as they are stored.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};

use super::{Compare, Read};
use crate::encode::cast::Cast;
use crate::encode::mysql::MyCodec;
use crate::mapping::canonical::{
    BIGNUMERIC, BYTES_AS_TEXT, Canonical, FLOATS, GEOGRAPHY, INT64, JSON, Limits, NUMERIC, OTHER_FORM, SALT, Value,
};
use crate::mapping::{Column, CursorKind};

/// As many digits of [`BIGNUMERIC`]'s ends as a DECIMAL has; one with 39 digits before the point has no more behind it.
const BIGNUMERIC_HERE: Limits = Limits {
    least: "-578960446186580977117854925043439539266.34992332820282019728792003",
    greatest: "578960446186580977117854925043439539266.34992332820282019728792003",
    scale: BIGNUMERIC.scale,
};
/// Most fractional digits of a DECIMAL, on the server that has the most.
const SCALE_MAX: u32 = 30;

/// How the column's values are compared.
pub(in crate::mapping) fn canonical(column: &Column, read: &Read) -> Result<Canonical, &'static str> {
    let sql = read.expr.as_str();
    let value = match &column.cast {
        None => natural(column, read)?,
        Some(Cast::Hash(_)) => hashed(read)?,
        Some(Cast::Civil) => of_civil(column, read)?,
        Some(Cast::Instant(zone)) => instant(of_civil(column, read)?, zone),
        Some(Cast::Float) => return Err(FLOATS),
        Some(Cast::Integer) => number(&digits(read.codec, sql)?, INT64),
        Some(Cast::Numeric) => number(&digits(read.codec, sql)?, NUMERIC),
        Some(Cast::BigNumeric) => number(&digits(read.codec, sql)?, BIGNUMERIC_HERE),
        Some(Cast::Boolean) => boolean(&digits(read.codec, sql)?),
    };
    value.under(column.policy)
}

fn natural(column: &Column, read: &Read) -> Result<Value, &'static str> {
    use MyCodec as My;
    let sql = read.expr.as_str();
    Ok(match read.codec {
        My::Bool => boolean(&format!("({sql}+0)")),
        My::BitBool => Value::plain(format!("CASE WHEN {sql}+0 = 0 THEN '0' WHEN {sql}+0 <> 0 THEN '1' END")),
        // plus nothing: ZEROFILL is not seen any more, and a bit is a number
        My::Signed | My::Unsigned | My::UnsignedNumeric | My::Bit | My::BitNumeric => {
            let number = Some(format!("CAST({sql}+0 AS DECIMAL(65,0))"));
            Value { number, ..Value::plain(format!("CAST({sql}+0 AS CHAR)")) }
        }
        My::Numeric | My::BigNumeric => {
            let number = format!("({sql}+0)");
            Value { text: trimmed(&format!("CAST({number} AS CHAR)")), number: Some(number), ..Value::default() }
        }
        My::DecimalText => text(&format!("CAST({sql} AS CHAR)")),
        My::Single | My::Double => return Err(FLOATS),
        My::Date => date(sql),
        My::DateTime | My::Timestamp => datetime(column, sql),
        My::Time => Value {
            unfit: Some(format!("({sql} < '00:00:00' OR {sql} >= '24:00:00')")),
            nearest: Some(format!(
                "CASE WHEN {sql} < '00:00:00' THEN '00:00:00.000000' WHEN {sql} >= '24:00:00' THEN '23:59:59.999999' \
                 ELSE TIME_FORMAT({sql}, '%H:%i:%s.%f') END"
            )),
            ..Value::plain(format!("TIME_FORMAT({sql}, '%H:%i:%s.%f')"))
        },
        My::Text => text(&format!("CONVERT({sql} USING utf8mb4)")),
        My::Bytes => {
            let bytes = as_bytes(read);
            Value { digest: Some(format!("MD5({bytes})")), ..Value::plain(format!("LOWER(HEX({bytes}))")) }
        }
        My::Utf8 => return Err(BYTES_AS_TEXT),
        My::Wkt => return Err(GEOGRAPHY),
        My::Json | My::UncheckedJson => return Err(JSON),
    })
}

fn text(text: &str) -> Value {
    Value { digest: Some(format!("MD5({text})")), ..Value::plain(text) }
}

/// The bytes that are read as BYTES: a binary column's, or those of a text.
fn as_bytes(read: &Read) -> String {
    if read.compare == Compare::Bytes { read.expr.clone() } else { format!("CONVERT({} USING utf8mb4)", read.expr) }
}

/// A number's text without zeros that say nothing.
fn trimmed(text: &str) -> String {
    format!("IF(INSTR({text}, '.') > 0, TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text})), {text})")
}

fn number(sql: &str, limits: Limits) -> Value {
    let Limits { least, greatest, scale } = limits;
    // more digits than a DECIMAL has are none to be cut off
    let scale = scale.min(SCALE_MAX);
    let fraction =
        if limits.scale > SCALE_MAX { String::new() } else { format!(" OR {sql} <> TRUNCATE({sql}, {scale})") };
    let nearest = format!("CAST(LEAST(GREATEST(ROUND({sql}, {scale}), {least}), {greatest}) AS CHAR)");
    Value {
        text: trimmed(&format!("CAST({sql} AS CHAR)")),
        digest: None,
        number: Some(sql.to_owned()),
        unfit: Some(format!("({sql} > {greatest} OR {sql} < {least}{fraction})")),
        nearest: Some(trimmed(&nearest)),
    }
}

/// The number that is cast, as a DECIMAL.
fn digits(codec: MyCodec, sql: &str) -> Result<String, &'static str> {
    use MyCodec as My;
    match codec {
        My::Bool | My::Signed | My::Unsigned | My::UnsignedNumeric | My::BitBool | My::Bit | My::BitNumeric => {
            Ok(format!("CAST({sql}+0 AS DECIMAL(65,0))"))
        }
        My::Numeric | My::BigNumeric | My::DecimalText => Ok(format!("({sql}+0)")),
        My::Single
        | My::Double
        | My::Date
        | My::DateTime
        | My::Timestamp
        | My::Time
        | My::Text
        | My::Bytes
        | My::Utf8
        | My::Wkt
        | My::Json
        | My::UncheckedJson => Err(FLOATS),
    }
}

fn boolean(number: &str) -> Value {
    Value {
        unfit: Some(format!("({number} NOT IN (0, 1))")),
        nearest: Some(format!("CASE WHEN {number} = 0 THEN '0' WHEN {number} <> 0 THEN '1' END")),
        ..Value::plain(format!("CASE WHEN {number} = 0 THEN '0' WHEN {number} = 1 THEN '1' END"))
    }
}

/// Whether a day's text (`YYYY-MM-DD`) names none that the calendar has.
fn no_day(day: &str) -> String {
    format!(
        "(LEFT({day}, 4) = '0000' OR SUBSTR({day}, 6, 2) = '00' OR SUBSTR({day}, 9, 2) = '00' \
         OR SUBSTR({day}, 9, 2) > DAY(LAST_DAY(CONCAT(LEFT({day}, 8), '01'))))"
    )
}

/// The nearest day's text: the first of a month or year for a part that is zero, the month's last for one beyond it.
fn nearest_day(day: &str) -> String {
    let month = format!("CONCAT(GREATEST(LEFT({day}, 4), '0001'), '-', GREATEST(SUBSTR({day}, 6, 2), '01'), '-')");
    let last = format!("DAY(LAST_DAY(CONCAT({month}, '01')))");
    format!("CONCAT({month}, LPAD(LEAST(GREATEST(SUBSTR({day}, 9, 2)+0, 1), {last}), 2, '0'))")
}

fn date(sql: &str) -> Value {
    let text = format!("CAST({sql} AS CHAR)");
    Value { unfit: Some(no_day(&text)), nearest: Some(nearest_day(&text)), ..Value::plain(text) }
}

fn datetime(column: &Column, sql: &str) -> Value {
    let printed = format!("CAST({sql} AS CHAR)");
    let has_fraction =
        matches!(column.cursor, Some(CursorKind::Instant { digits: 1.. } | CursorKind::Civil { digits: 1.. }));
    let point = if has_fraction { printed.clone() } else { format!("CONCAT({printed}, '.')") };
    let (day, clock) = (format!("LEFT({printed}, 10)"), format!("SUBSTR(RPAD({point}, 26, '0'), 12)"));
    Value {
        unfit: Some(no_day(&day)),
        nearest: Some(format!("CONCAT({}, 'T', {clock})", nearest_day(&day))),
        ..Value::plain(format!("CONCAT({day}, 'T', {clock})"))
    }
}

/// DATETIME or TIMESTAMP of a civil time or date.
fn of_civil(column: &Column, read: &Read) -> Result<Value, &'static str> {
    if matches!(read.codec, MyCodec::DateTime | MyCodec::Timestamp) {
        return Ok(datetime(column, &read.expr));
    }
    if read.codec != MyCodec::Date {
        return Err(OTHER_FORM);
    }
    let value = date(&read.expr);
    let midnight = |text: String| format!("CONCAT({text}, 'T00:00:00.000000')");
    Ok(Value { text: midnight(value.text), nearest: value.nearest.map(midnight), ..value })
}

/// TIMESTAMP of a civil time, as the civil time of the zone. The civil times of BigQuery's first and last instant are the
/// ends. Whether the zone ever had a time between them is not asked: the server may know no zones.
fn instant(value: Value, zone: &TimeZone) -> Value {
    let (first, last) = ends(zone);
    let Value { text, unfit, nearest, .. } = value;
    let beyond = |text: &str| format!("({text} < '{first}' OR {text} > '{last}')");
    let unfit = unfit.map(|unfit| format!("({unfit} OR {})", beyond(&text)));
    let nearest = nearest.map(|nearest| format!("LEAST(GREATEST({nearest}, '{first}'), '{last}')"));
    Value { unfit, nearest, ..Value::plain(text) }
}

/// The civil times, as canonical text, between which every instant of the zone is one of BigQuery's.
fn ends(zone: &TimeZone) -> (String, String) {
    let (first, last) = (civil::date(1, 1, 1).at(0, 0, 0, 0), civil::date(9999, 12, 31).at(23, 59, 59, 999_999_000));
    let begin = zone.to_offset(Timestamp::MIN).seconds().max(0);
    let end = zone.to_offset(Timestamp::MAX).seconds().min(0);
    let at = |civil: civil::DateTime, seconds: i32| civil.saturating_add(SignedDuration::from_secs(seconds.into()));
    (format!("{:.6}", at(first, begin)), format!("{:.6}", at(last, end)))
}

/// SHA-256 of salt and value, byte by byte.
fn hashed(read: &Read) -> Result<Value, &'static str> {
    let bytes = if read.codec == MyCodec::Text {
        format!("CONVERT({} USING utf8mb4)", read.expr)
    } else if read.codec == MyCodec::DecimalText {
        format!("CAST({} AS CHAR)", read.expr)
    } else if read.codec == MyCodec::Bytes {
        as_bytes(read)
    } else {
        return Err(OTHER_FORM);
    };
    Ok(text(&format!("SHA2(CONCAT(CAST({SALT} AS BINARY), CAST({bytes} AS BINARY)), 256)")))
}
