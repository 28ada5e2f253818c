//! Variables that look like ours and are not: a misspelt one would be without effect in silence.

use super::database::Database;
use super::variables::{Variables, list};
use super::{AUDIENCE, AUTH, INVOKERS, database, table};
use crate::model::nearest;

/// The variables that begin like ours and that nobody knows, in one line, each with the nearest of ours.
pub(super) fn unknown(variables: &Variables<'_>, databases: &[Database]) -> Option<String> {
    let shared = database::SHARED.map(|setting| format!("DB_{setting}"));
    let mut known: Vec<String> = shared.to_vec();
    known.extend([AUDIENCE, INVOKERS].map(str::to_owned));
    let mut prefixes = vec!["DB_".to_owned(), AUTH.to_owned()];
    let mut ids = Vec::new();
    for database in databases {
        let id = &database.id;
        known.extend(["ENABLED", "TABLES"].map(|setting| format!("{id}_{setting}")));
        known.extend(database::SHARED.iter().chain(&database::OWN).map(|setting| format!("{id}_DB_{setting}")));
        prefixes.push(format!("{id}_DB_"));
        let tables = variables.get(&format!("{id}_TABLES")).map(|names| list(names.value)).unwrap_or_default();
        for prefix in tables.iter().map(|name| table::prefix(database, name)) {
            known.extend(table::SETTINGS.map(|setting| format!("{prefix}{setting}")));
            prefixes.push(prefix);
        }
        ids.push(format!("{id}_"));
    }
    let looks_like_ours = |name: &str| {
        let of_table = |id: &String| {
            name.starts_with(id.as_str())
                && table::SETTINGS.iter().any(|setting| name.ends_with(&format!("_{setting}")))
        };
        prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())) || ids.iter().any(of_table)
    };
    let unknown = |name: &&str| looks_like_ours(name) && !known.iter().any(|known| known == name);
    let lines: Vec<String> = variables.all().into_iter().filter(unknown).map(|name| line(name, &known)).collect();
    (!lines.is_empty()).then(|| format!("unknown variables, which have no effect: {}", lines.join(", ")))
}

fn line(name: &str, known: &[String]) -> String {
    match nearest(name, known.iter().map(|known| (known.as_str(), known)), 1).pop() {
        Some(near) => format!("{name} (did you mean {near}?)"),
        None => name.to_owned(),
    }
}
