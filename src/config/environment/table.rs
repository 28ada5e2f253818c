//! One table: `{ID}_{TABLE}_…`.

use std::collections::HashMap;

use super::super::table::joined_target;
use super::database::{Database, id};
use super::variables::{Section, Variable, Variables, list};
use super::{NO_BATCHES, TRUNCATE, flag};

/// What a table's variables end with.
pub(super) const SETTINGS: [&str; 6] =
    ["ENABLED", "TARGET_TABLE", "PRIMARY_KEY", "TIMESTAMP_COLUMN", "COLUMNS", "BATCH_SIZE"];

/// Targets by their names, with the tables that have them.
pub(super) type Targets = HashMap<String, String>;

/// What a table's variables begin with.
pub(super) fn prefix(database: &Database, name: &str) -> String {
    format!("{}_{}_", database.id, id(name))
}

/// The tables that a database's list names.
pub(super) fn names(variables: &Variables<'_>, database: &Database, listed: &Variable<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in list(listed.value) {
        let prefix = prefix(database, &name);
        let is_set = || SETTINGS.iter().any(|setting| variables.get(&format!("{prefix}{setting}")).is_some());
        match names.iter().find(|other| id(other) == id(&name)) {
            Some(other) if *other == name => variables.fault(&listed.name, &format!("names {name} twice; remove one")),
            Some(other) if is_set() => {
                let problem =
                    format!("{other} and {name} have the same variables {prefix}…; only a file can tell them apart");
                variables.fault(&listed.name, &problem);
            }
            Some(_) | None => names.push(name),
        }
    }
    names
}

/// The table's settings; `None` if it is not enabled.
pub(super) fn section<'v, 'a>(
    variables: &'v Variables<'a>,
    database: &Database,
    name: &str,
    truncate: bool,
    targets: &mut Targets,
) -> Option<Section<'v, 'a>> {
    let prefix = prefix(database, name);
    let variable = |setting: &str| format!("{prefix}{setting}");
    if !flag(variables, &variable("ENABLED"), true) {
        return None;
    }
    let mut section = Section::new(variables);
    let timestamp = variables.get(&variable("TIMESTAMP_COLUMN"));
    let key = variables.get(&variable("PRIMARY_KEY"));
    let keys = key.as_ref().map(|key| list(key.value)).unwrap_or_default();
    match &timestamp {
        Some(cursor) if truncate => {
            variables
                .remark(&cursor.name, "TRUNCATE_ON_SYNC=true replaces whole tables, so there is nothing to go on from");
            section.put("mode", TRUNCATE, "replace");
        }
        Some(cursor) => section.put("cursor", &cursor.name, cursor.value),
        None => section.put("mode", &variable("TIMESTAMP_COLUMN"), "replace"),
    }
    if let Some(key) = key.filter(|_| !keys.is_empty()) {
        section.put_list("key", &key.name, &keys);
    }
    put_columns(&mut section, variables, &variable("COLUMNS"), &keys, timestamp.as_ref());
    put_target(&mut section, variables, database, name, targets);
    if let Some(rows) = variables.get(&variable("BATCH_SIZE")) {
        variables.remark(&rows.name, NO_BATCHES);
    }
    Some(section)
}

/// Rows cannot be told apart without their key, nor ordered without the timestamp.
fn put_columns(
    section: &mut Section<'_, '_>,
    variables: &Variables<'_>,
    name: &str,
    keys: &[String],
    timestamp: Option<&Variable<'_>>,
) {
    let Some(columns) = variables.get(name).filter(|columns| columns.value != "*") else { return };
    let mut columns = list(columns.value);
    let needed: Vec<String> = keys.iter().cloned().chain(timestamp.map(|column| column.value.to_owned())).collect();
    let listed = columns.len();
    for column in needed {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    if columns.len() > listed {
        variables.remark(name, "the columns of key and timestamp are synced although they are not named");
    }
    section.put_list("columns", name, &columns);
}

fn put_target(
    section: &mut Section<'_, '_>,
    variables: &Variables<'_>,
    database: &Database,
    name: &str,
    targets: &mut Targets,
) {
    let variable = format!("{}TARGET_TABLE", prefix(database, name));
    let said = variables.get(&variable).map(|target| target.value.to_owned()).or_else(|| joined_target(name));
    let mut target = said.clone().unwrap_or_else(|| name.to_owned());
    let table = format!("{}/{name}", database.name);
    if let Some(other) = targets.insert(target.clone(), table.clone()) {
        variables.fault(&variable, &format!("{other} and {table} have the same target {target}; set another one here"));
        // the reader would say it again, of keys that there are none of
        target = format!("{target}_{}", targets.len());
        section.put("target", &variable, &target);
    } else if said.is_some() {
        section.put("target", &variable, &target);
    }
}
