//! Which of the source's columns are synced, and as what: the column settings applied to the catalog. Pure.

use jiff::tz::TimeZone;
use std::sync::Arc;

use super::table::{BadType, Catalog, PlanError};
use crate::encode::cast::Cast;
use crate::mapping::{self, Column, Retargeted};
use crate::model::{
    ArraysAs, Basis, BqType, ColumnSettings, Mode, NumericAs, Policy, Secret, TableSettings, WantedType,
};

/// The columns of `catalog` that are synced, in its order, each as the settings want it. `key` names the key's columns,
/// `was` is what was synced before.
///
/// # Errors
/// Settings that name no column, or want of one what cannot be.
pub(super) fn select(
    catalog: Catalog<'_>,
    settings: &TableSettings,
    key: &[String],
    was: Option<&Basis>,
) -> Result<Vec<Column>, PlanError> {
    let (wanted, cursor) = (&settings.columns, settings.cursor.as_deref());
    check_names(catalog, settings, was)?;
    let zone = wanted.naive_zone.as_deref().map(|name| zone(name, settings)).transpose()?;
    let mut columns = Vec::new();
    for column in catalog.columns {
        let ordered = Some(column.name.as_str()) == cursor || key.contains(&column.name);
        if is_left_out(column, wanted) {
            if ordered {
                return Err(PlanError::NeededLeftOut { table: settings.table.clone(), column: column.name.clone() });
            }
            continue;
        }
        let in_key = key.contains(&column.name);
        let made = one(column, settings, zone.as_ref(), ordered)?;
        let exact = in_key && settings.mode == Mode::Merge;
        let is_cursor = Some(column.name.as_str()) == cursor;
        columns.push(Column { policy: policy(column, wanted, exact, is_cursor), exact, ..made });
    }
    Ok(columns)
}

/// Names of the catalog's columns that the settings leave out.
pub fn left_out(catalog: Catalog<'_>, settings: &ColumnSettings) -> Vec<String> {
    catalog.columns.iter().filter(|column| is_left_out(column, settings)).map(|column| column.name.clone()).collect()
}

fn is_left_out(column: &Column, wanted: &ColumnSettings) -> bool {
    wanted.include.as_ref().is_some_and(|include| !include.contains(&column.name))
        || wanted.exclude.contains(&column.name)
}

/// A misspelled name in a list of what to hide or to change would show what should not be seen.
fn check_names(catalog: Catalog<'_>, settings: &TableSettings, was: Option<&Basis>) -> Result<(), PlanError> {
    let wanted = &settings.columns;
    let lists: [(&'static str, Vec<&String>); 5] = [
        ("columns", wanted.include.iter().flatten().collect()),
        ("exclude_columns", wanted.exclude.iter().filter(|name| !catalog.hidden.contains(name)).collect()),
        ("types", wanted.types.keys().collect()),
        ("unrepresentable", wanted.policies.keys().collect()),
        ("hash", wanted.hash.iter().collect()),
    ];
    // a column that was there and was dropped at the source does not stop the table
    let known = |name: &String| {
        was.is_some_and(|was| {
            was.left_out.contains(name) || was.columns.iter().chain(&was.gone).any(|column| column.source == *name)
        })
    };
    for (setting, names) in lists {
        for name in names.into_iter().filter(|name| !known(name)) {
            super::table::index(catalog.columns, &settings.table, name, setting)?;
        }
    }
    Ok(())
}

fn zone(name: &str, settings: &TableSettings) -> Result<TimeZone, PlanError> {
    TimeZone::get(name).map_err(|_unknown| PlanError::Zone { table: settings.table.clone(), zone: name.to_owned() })
}

/// NULL in a key matches nothing: the row would be inserted again by each merge that brings it. And a clamped key is
/// another row's. A cursor of NULL is older than any: the row would not be written over the one that is there.
fn policy(column: &Column, wanted: &ColumnSettings, in_key: bool, is_cursor: bool) -> Policy {
    let policy = wanted.policies.get(&column.name).copied().or(wanted.policy).unwrap_or_default();
    match policy {
        Policy::Null | Policy::Clamp if in_key => Policy::Reject,
        Policy::Null if is_cursor => Policy::Clamp,
        Policy::Null | Policy::Clamp | Policy::Reject | Policy::Fail => policy,
    }
}

fn one(column: &Column, settings: &TableSettings, zone: Option<&TimeZone>, ordered: bool) -> Result<Column, PlanError> {
    let wanted = &settings.columns;
    let refused = |to: String, why: &'static str| {
        let (table, column, from) = (settings.table.to_string(), column.name.clone(), column.source_type.clone());
        PlanError::Type(Box::new(BadType { table, column, from, to, why }))
    };
    if wanted.hash.contains(&column.name) {
        let salt = wanted.salt.clone().unwrap_or_else(|| Arc::new(Secret::new(String::new())));
        return match hashed(column, salt) {
            _ if ordered => Err(refused(
                "hash".into(),
                "its value stands in the state as part of a position; leave it out of `hash`",
            )),
            Some(made) => Ok(made),
            None => Err(refused("hash".into(), "it has no text form; leave it out of `hash`")),
        };
    }
    let explicit = wanted.types.get(&column.name).copied();
    let Some(to) = explicit.or_else(|| implied(column, wanted, zone)) else { return Ok(column.clone()) };
    let name = if to.repeated { format!("ARRAY<{}>", to.ty) } else { to.ty.to_string() };
    let has_policy = wanted.policy.is_some() || wanted.policies.contains_key(&column.name);
    let made = match mapping::retarget(column, to, zone) {
        Retargeted::Fits(made) => made,
        Retargeted::MayLose(_) if ordered => {
            return Err(refused(
                name,
                "a column of the key and the cursor must keep every value; leave it out of `types`",
            ));
        }
        Retargeted::MayLose(made) if has_policy => made,
        Retargeted::MayLose(_) => {
            return Err(refused(
                name,
                "some values may not fit; say what is done with them by `unrepresentable: {columns: {…: null, clamp, reject or fail}}`",
            ));
        }
        Retargeted::NeedsZone => {
            return Err(refused(name, "it has no time zone; say `naive_timestamps: {as: timestamp, timezone: …}`"));
        }
        Retargeted::Never => return Err(refused(name, "there is no such conversion; choose another type")),
    };
    // 1.0 and 1.00 are one key at the source and two texts
    let becomes_text = made.ty == BqType::String && column.ty != BqType::String;
    if ordered && (becomes_text || !mapping::same_positions(column, &made)) {
        return Err(refused(
            name,
            "a column of the key and the cursor is compared as it is at the source; leave it out of `types`",
        ));
    }
    Ok(made)
}

/// What the settings for whole kinds of types want of the column.
fn implied(column: &Column, wanted: &ColumnSettings, zone: Option<&TimeZone>) -> Option<WantedType> {
    let plain = |ty| WantedType { ty, repeated: false };
    if column.ty == BqType::DateTime && zone.is_some() {
        return Some(plain(BqType::Timestamp));
    }
    if wanted.numeric == NumericAs::String && column.source_type == "numeric" {
        return Some(plain(BqType::String));
    }
    match wanted.arrays {
        ArraysAs::Repeated => mapping::elements(column).map(|ty| WantedType { ty, repeated: true }),
        ArraysAs::Json => None,
    }
}

/// The column as the hash of its text; of bytes, of the bytes.
fn hashed(column: &Column, salt: Arc<Secret>) -> Option<Column> {
    let text = if column.ty == BqType::Bytes { column.clone() } else { mapping::as_plain_text(column)? };
    Some(Column { ty: BqType::String, fallible: false, cursor: None, cast: Some(Cast::Hash(salt)), ..text })
}
