//! What happens to names and values of columns on their way: what `mapping`, the encoders and the audit know. Pure.

use crate::encode::cast::Cast;
use crate::mapping::{Column, Read};
use crate::model::{BqType, FieldMode, Policy, Schema};
use crate::plan::table::TablePlan;
use crate::report::plan::{PlannedColumn, policy_says};

/// Every column of the plan.
pub fn planned(plan: &TablePlan) -> Vec<PlannedColumn> {
    let of = |(column, name): (&Column, &String)| one(column, name, &plan.target.schema);
    plan.columns.iter().zip(&plan.names).map(of).collect()
}

fn one(column: &Column, name: &str, schema: &Schema) -> PlannedColumn {
    let mut changed = Vec::new();
    if column.name != name {
        changed.push(format!("the name becomes {name}: BigQuery does not take {:?}", column.name));
    }
    let hashed = matches!(column.cast, Some(Cast::Hash(_)));
    changed.extend(form(column));
    let misfits = if hashed { None } else { misfits(column) };
    if let Some(what) = misfits {
        changed.push(format!("{what} {}", outcome(column)));
    }
    let array = column.repeated;
    PlannedColumn {
        name: column.name.clone(),
        source_type: column.source_type.clone(),
        target_name: name.to_owned(),
        target_type: if array { format!("ARRAY<{}>", column.ty) } else { column.ty.to_string() },
        target_mode: schema.field(name).map_or(FieldMode::Nullable, |field| field.mode).name(),
        policy: misfits.map(|_| column.policy.name()),
        lossy: hashed || misfits.is_some(),
        changed,
    }
}

/// What becomes of a value that does not fit.
fn outcome(column: &Column) -> &'static str {
    match column.policy {
        // in an array there is no NULL
        Policy::Null if column.repeated => "make the array empty",
        Policy::Null | Policy::Clamp | Policy::Reject | Policy::Fail => policy_says(column.policy),
    }
}

/// How values are written other than in the type's own form.
fn form(column: &Column) -> Option<String> {
    match &column.cast {
        Some(Cast::Hash(_)) => return Some("only the SHA-256 of salt and value is written".to_owned()),
        Some(Cast::Instant(zone)) => {
            let zone = zone.iana_name().unwrap_or("a fixed offset");
            return Some(format!("civil times are taken as of {zone}; of one that comes twice the first"));
        }
        Some(Cast::Civil) => return Some("instants become civil times in UTC".to_owned()),
        Some(Cast::Integer | Cast::Float | Cast::Numeric | Cast::BigNumeric | Cast::Boolean) => {
            return Some(format!("cast from {} to {}", column.source_type, column.ty));
        }
        None => {}
    }
    if !column.known {
        return Some(format!("{} is not a type that Highwater knows: as the database prints it", column.source_type));
    }
    let source = column.source_type.to_ascii_lowercase();
    let numeric = source.starts_with("numeric") || source.starts_with("decimal");
    match column.ty {
        BqType::String if numeric => Some("digits as text: more than BIGNUMERIC holds".to_owned()),
        BqType::String if !is_text(column) => Some("as text".to_owned()),
        BqType::Json if source.ends_with("[]") => Some("the array as JSON".to_owned()),
        BqType::Json if !source.starts_with("json") && source != "longtext" => Some("as JSON".to_owned()),
        BqType::Time if source.contains("with time zone") => Some("in UTC, without the zone".to_owned()),
        BqType::String
        | BqType::Json
        | BqType::Time
        | BqType::Int64
        | BqType::Float64
        | BqType::Bool
        | BqType::Bytes
        | BqType::Date
        | BqType::DateTime
        | BqType::Timestamp
        | BqType::Numeric
        | BqType::BigNumeric
        | BqType::Geography => None,
    }
}

/// Which values of the column its BigQuery type cannot hold; `None` if it holds them all.
fn misfits(column: &Column) -> Option<&'static str> {
    if !column.fallible {
        return None;
    }
    let mysql = matches!(column.read, Read::MySql(_));
    Some(match column.ty {
        BqType::Date | BqType::DateTime | BqType::Timestamp if mysql => "zero dates and days that no calendar has",
        BqType::Date | BqType::DateTime | BqType::Timestamp => "infinity and years outside 1 to 9999",
        BqType::Time if mysql => "negative times and those of 24 hours or more",
        BqType::Time => "24:00:00",
        BqType::Numeric => "NaN, and more than 29 digits before the point or 9 after it,",
        BqType::BigNumeric => "NaN, and more than 38 digits before the point or after it,",
        BqType::Bool => "numbers other than 0 and 1",
        BqType::Json => "numbers beyond a double and half surrogate pairs",
        BqType::Int64 => "numbers with a fraction or beyond 64 bits",
        BqType::Float64 => "numbers that a double does not hold exactly",
        BqType::Geography => "shapes of another SRID than 4326",
        BqType::String | BqType::Bytes => "bytes that are no UTF-8",
    })
}

fn is_text(column: &Column) -> bool {
    const TEXTS: [&str; 11] = [
        "text",
        "character varying",
        "character",
        "varchar",
        "char",
        "bpchar",
        "name",
        "citext",
        "tinytext",
        "mediumtext",
        "longtext",
    ];
    let source = column.source_type.to_ascii_lowercase();
    let base = source.split('(').next().unwrap_or_default().trim();
    TEXTS.contains(&base) || base.starts_with("enum") || base.starts_with("set") || base == "uuid"
}
