//! The YAML of the Python upserter: `mappings` of MySQL tables to BigQuery tables.

use std::collections::BTreeSet;

use super::super::scalar;
use super::super::table::{is_name, start as start_of};
use super::page::Page;
use super::{Entry, FILL_IN, comment_rest, in_line, is_pattern, node_of, scalar_of, texts_of};
use crate::config::tree::{Kind, Node, Place};
use crate::model::Schedule;

/// The name of the source.
const SOURCE: &str = "mysql";
const TOP: [&str; 9] = [
    "schedule",
    "project",
    "dataset",
    "location",
    "allow_schema_additions",
    "state_store",
    "temp_bucket",
    "default_timezone",
    "mappings",
];
const MAPPING: [&str; 7] =
    ["name", "mysql_table", "bigquery_table", "primary_keys", "incremental_column", "mode", "backfill_start"];

/// Writes ours.
pub(super) fn write(entries: &[Entry]) -> String {
    let mut page = Page::default();
    page.comment(0, "Made from the configuration of the upserter. Look at the comments: they say what was not carried");
    page.comment(0, "over and what is to be filled in. Positions are not carried over: the first run reads every row.");
    page.carry("project", (entries, "project"), scalar::project, "GCP_PROJECT_ID");
    page.carry("dataset", (entries, "dataset"), scalar::dataset, "BQ_DATASET_ID");
    if scalar_of(entries, "location").is_some() {
        page.carry("location", (entries, "location"), scalar::location, "HIGHWATER_LOCATION");
    }
    page.carry("bucket", (entries, "temp_bucket"), scalar::bucket, "HIGHWATER_BUCKET");
    if scalar_of(entries, "temp_bucket").is_some() {
        page.comment(0, "the bucket keeps the state too: let its lifecycle rules delete below staging/ only");
    }
    match (node_of(entries, "state_store"), scalar_of(entries, "state_store").as_deref()) {
        (None, _) | (Some(_), Some("gcs")) => {}
        (Some(_), Some("local")) => page.entry(0, "state", "./state"),
        (Some(store), _) => {
            page.comment(0, &format!("`state_store: {}` is not known: the state lies on the bucket", in_line(store)));
        }
    }
    comment_rest(&mut page, 0, "", entries, &TOP);
    defaults(&mut page, entries);
    page.section(0, "sources");
    page.section(1, SOURCE);
    page.comment(2, "to be filled in: the upserter's configuration does not say how MySQL is reached");
    page.entry(2, "url", "mysql://${MYSQL_USER}@${MYSQL_HOST}:${MYSQL_PORT:-3306}/${MYSQL_DATABASE}");
    page.entry(2, "password", "${MYSQL_PASSWORD}");
    page.section(2, "tables");
    tables(&mut page, entries);
    page.finish()
}

fn defaults(page: &mut Page, entries: &[Entry]) {
    let mut section = Page::default();
    match scalar_of(entries, "allow_schema_additions").map(|text| (scalar::boolean(&text.to_ascii_lowercase()), text)) {
        Some((Ok(add), _)) => {
            section.section(1, "schema");
            section.entry(2, "add", &add.to_string());
        }
        Some((Err(_), text)) => page.comment(0, &format!("`allow_schema_additions: {text}` is not true or false")),
        None => {}
    }
    match scalar_of(entries, "default_timezone").map(|text| (scalar::zone(&text), text)) {
        Some((Ok(zone), _)) => {
            section.comment(
                1,
                "timestamps without a zone become TIMESTAMPs of `default_timezone`; where they are to stay",
            );
            section.comment(1, "DATETIMEs, say `cursor_timezone` instead, which only tells when cursors were written");
            section.section(1, "naive_timestamps");
            section.entry(2, "as", "timestamp");
            section.entry(2, "timezone", &zone);
        }
        Some((Err(_), text)) => page.comment(0, &format!("`default_timezone: {text}` is not the name of a time zone")),
        None => {}
    }
    schedule(page, &mut section, entries);
    if !section.is_empty() {
        page.section(0, "defaults");
        page.append(section);
    }
}

/// `schedule: {cron: …}`, for `highwater schedule`.
fn schedule(page: &mut Page, section: &mut Page, entries: &[Entry]) {
    let Some(node) = node_of(entries, "schedule") else { return };
    let cron = match &node.kind {
        Kind::Map(parts) => scalar_of(parts, "cron"),
        Kind::Scalar(text) => Some(text.clone()),
        Kind::Null | Kind::List(_) => None,
    };
    match cron.filter(|cron| Schedule::parse(cron, "UTC").is_ok()) {
        Some(cron) => {
            section.comment(1, "for `highwater schedule`, in UTC unless `schedule_timezone` says another zone");
            section.entry(1, "schedule", &cron);
        }
        None => {
            page.comment(0, &format!("`schedule: {}` is no cron expression and was not carried over", in_line(node)))
        }
    }
}

fn tables(page: &mut Page, entries: &[Entry]) {
    let dataset = scalar_of(entries, "dataset");
    let project = scalar_of(entries, "project");
    let (mut names, mut targets) = (BTreeSet::new(), BTreeSet::new());
    let mappings = match node_of(entries, "mappings").map(|node| &node.kind) {
        Some(Kind::List(mappings)) => mappings.as_slice(),
        Some(Kind::Null | Kind::Scalar(_) | Kind::Map(_)) | None => &[],
    };
    for (index, mapping) in mappings.iter().enumerate() {
        let Kind::Map(mapping) = &mapping.kind else {
            page.comment(3, &format!("mapping {} is not a mapping of keys and was left out", index + 1));
            continue;
        };
        let mut block = Page::default();
        let table = scalar_of(mapping, "mysql_table").map(|name| name.replace('`', "")).unwrap_or_default();
        let target = target(&mut block, mapping, project.as_deref(), dataset.as_deref());
        let refused = if is_pattern(&table) {
            Some("a pattern means many tables, and a mapping is of one")
        } else if !is_name(&table) {
            Some("`mysql_table` is no table's name")
        } else if !names.insert(table.clone()) {
            Some("the table has a mapping already: name the database as a second source")
        } else if !targets.insert(target.clone().unwrap_or_else(|| table.clone())) {
            Some("another mapping has the same target")
        } else {
            None
        };
        if let Some(why) = refused {
            let all = in_line(&known_of(mapping));
            page.comment(3, &format!("left out: {all}: {why}"));
            comment_rest(page, 3, "", mapping, &MAPPING);
            continue;
        }
        page.section(3, &table);
        settings(page, mapping, target.filter(|target| *target != table));
        page.append(block);
        comment_rest(page, 4, "", mapping, &MAPPING);
    }
    if names.is_empty() {
        page.comment(3, "to be filled in: no mapping could be carried over");
        page.section(3, FILL_IN);
        page.entry(4, "mode", "replace");
    }
}

/// The keys of a mapping whose values may be shown.
fn known_of(mapping: &[Entry]) -> Node {
    let known = mapping.iter().filter(|(key, _, _)| MAPPING.contains(&key.as_str())).cloned().collect();
    Node { place: Place::default(), kind: Kind::Map(known) }
}

/// The target as ours names it; what cannot be one is told.
fn target(block: &mut Page, mapping: &[Entry], project: Option<&str>, dataset: Option<&str>) -> Option<String> {
    let said = scalar_of(mapping, "bigquery_table")?.replace('`', "");
    let parts: Vec<&str> = said.split('.').collect();
    let (of_project, of_dataset, table) = match parts.as_slice() {
        [table] => (None, None, *table),
        [dataset, table] => (None, Some(*dataset), *table),
        [project, dataset, table] => (Some(*project), Some(*dataset), *table),
        _ => (None, None, said.as_str()),
    };
    if scalar::table(table).is_err() || of_dataset.is_some_and(|dataset| scalar::dataset(dataset).is_err()) {
        block.comment(4, &format!("`bigquery_table: {said}` cannot be a target; the table's own name is taken"));
        return None;
    }
    if of_project.is_some() && of_project != project {
        block.comment(4, &format!("`bigquery_table: {said}`: targets are in the one `project` that the file names"));
    }
    match of_dataset.filter(|of| Some(*of) != dataset) {
        Some(of) => Some(format!("{of}.{table}")),
        None => Some(table.to_owned()),
    }
}

fn settings(page: &mut Page, mapping: &[Entry], target: Option<String>) {
    if let Some(name) = node_of(mapping, "name") {
        page.comment(4, &format!("`name: {}`: here a table is named {SOURCE}/{{table}}", in_line(name)));
    }
    let cursor = scalar_of(mapping, "incremental_column");
    let mode = scalar_of(mapping, "mode");
    let ours = match (mode.as_deref(), cursor.is_some()) {
        (Some("append"), true) => "append",
        (_, true) => "merge",
        (_, false) => "replace",
    };
    match (mode.as_deref(), ours) {
        (Some("upsert" | "append") | None, "merge" | "append") => {}
        (Some(other), "merge") => page.comment(4, &format!("`mode: {other}` is not known; merge is taken")),
        (mode, _) => {
            let said = mode.map(|mode| format!("`mode: {mode}` without `incremental_column`: ")).unwrap_or_default();
            page.comment(4, &format!("{said}without a cursor each run replaces the whole table"));
        }
    }
    if ours == "append" {
        page.comment(4, "rows that are in the target already are appended again by the first run: empty it before, or");
        page.comment(4, "set the position with `highwater reset TABLE --cursor … --key …`");
    }
    page.entry(4, "mode", ours);
    if let Some(cursor) = cursor {
        page.entry(4, "cursor", &cursor);
    }
    match scalar_of(mapping, "backfill_start") {
        Some(start) if ours != "replace" && start_of(&start).is_ok() => page.entry(4, "backfill_start", &start),
        Some(start) if ours == "replace" => {
            page.comment(
                4,
                &format!("`backfill_start: {start}`: a replace reads the whole table, `where` can leave out rows"),
            );
        }
        Some(start) => page.comment(4, &format!("`backfill_start: {start}` is no time and no number")),
        None => {}
    }
    let keys = node_of(mapping, "primary_keys").map(texts_of).unwrap_or_default();
    if !keys.is_empty() {
        page.list(4, "key", &keys);
    }
    if let Some(target) = target {
        page.entry(4, "target", &target);
    }
}
