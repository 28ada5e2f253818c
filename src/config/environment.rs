//! Variables as a configuration, where there is no file: `SYNC_DATABASES`, `{ID}_DB_HOST`, `{ID}_{TABLE}_PRIMARY_KEY` …
//! become the same tree that a file is parsed into, so that the same reader makes the same [`super::Config`] of it.
//!
//! The names and defaults are those of an older tool, whose environments run unchanged. Every variable is honoured, or
//! refused, or named in one warning with what takes its place.

mod database;
mod go;
mod known;
pub(super) mod log;
mod table;
mod variables;

#[cfg(test)]
mod tests;

use self::database::Database;
use self::variables::{Section, Variables};
use super::document::{Document, Loaded};
use super::env::Env;
use super::reader::Findings;
use super::tree::Node;
use super::{ConfigErrors, scalar};
use crate::model::MaxRejects;

/// Names the databases; where it is set, a configuration needs no file.
pub(super) const DATABASES: &str = "SYNC_DATABASES";
const PROJECT: &str = "GCP_PROJECT_ID";
const DATASET: &str = "BQ_DATASET_ID";
const BUCKET: &str = "HIGHWATER_BUCKET";
const LOCATION: &str = "HIGHWATER_LOCATION";
const PREFIX: &str = "HIGHWATER_PREFIX";
const PARALLEL: &str = "HIGHWATER_PARALLEL";
const CHUNK_ROWS: &str = "HIGHWATER_CHUNK_ROWS";
const REPORTS: &str = "HIGHWATER_REPORTS_BIGQUERY";
const WEBHOOK: &str = "HIGHWATER_NOTIFY_WEBHOOK";
const PUBSUB: &str = "HIGHWATER_NOTIFY_PUBSUB";
const LINEAGE_URL: &str = "HIGHWATER_LINEAGE_URL";
const LINEAGE_TOKEN: &str = "HIGHWATER_LINEAGE_TOKEN";
pub(super) const AUDIENCE: &str = "HIGHWATER_AUTH_AUDIENCE";
pub(super) const INVOKERS: &str = "HIGHWATER_AUTH_INVOKERS";
/// What the variables of who may call begin with.
pub(super) const AUTH: &str = "HIGHWATER_AUTH_";
const TIMEOUT: &str = "SYNC_TIMEOUT";
const DRY_RUN: &str = "DRY_RUN";
const AUTO_CREATE: &str = "AUTO_CREATE_TABLES";
const TRUNCATE: &str = "TRUNCATE_ON_SYNC";
const RECREATION: &str = "ALLOW_TABLE_RECREATION";
const PARSE_FAILURES: &str = "MAX_ROW_PARSE_FAILURES";
const DATE_FORMAT: &str = "DATE_FORMAT";
const BATCH_SIZE: &str = "DEFAULT_BATCH_SIZE";

/// Time of a run where SYNC_TIMEOUT says none.
const TIMEOUT_DEFAULT: &str = "10m";
/// Rows of a run that may be rejected where MAX_ROW_PARSE_FAILURES says nothing.
const PARSE_FAILURES_DEFAULT: i64 = 100;
/// MAX_ROW_PARSE_FAILURES for any number of rows.
const PARSE_FAILURES_UNLIMITED: i64 = -1;

/// What became of batch sizes.
const NO_BATCHES: &str = "rows are not inserted in batches but loaded in chunks of HIGHWATER_CHUNK_ROWS (250000), \
                          for which a batch's size would be far too small";

/// Reads the configuration that the variables make.
pub(super) fn load(env: &Env) -> Result<Loaded, ConfigErrors> {
    let findings = Findings::default();
    let variables = Variables::new(env, &findings);
    let databases = database::all(&variables);
    let root = root(&variables, &databases);
    let unknown = known::unknown(&variables, &databases);
    let (origin, remarks) = variables.into_parts();
    let warnings = remarks.into_iter().chain(unknown).collect();
    Document { root, origin }.read(env, findings, warnings)
}

fn root(variables: &Variables<'_>, databases: &[Database]) -> Node {
    let mut root = Section::new(variables);
    for (key, name, what) in [
        ("project", PROJECT, "the Google Cloud project of the targets"),
        ("dataset", DATASET, "the BigQuery dataset of the targets"),
        ("bucket", BUCKET, "the Cloud Storage bucket for state and parts, which the variables of old have no name for"),
    ] {
        root.put(key, name, variables.required(name, what).value);
    }
    for (key, name) in [("location", LOCATION), ("prefix", PREFIX), ("parallel", PARALLEL)] {
        if let Some(variable) = variables.get(name) {
            root.put(key, name, variable.value);
        }
    }
    let mut server = Section::new(variables);
    server.put("run_budget", TIMEOUT, &run_budget(variables));
    root.put_section("server", TIMEOUT, server);
    if let Some(variable) = variables.get(REPORTS) {
        let mut reports = Section::new(variables);
        reports.put("bigquery", REPORTS, variable.value);
        root.put_section("reports", REPORTS, reports);
    }
    root.append(notify(variables));
    root.append(lineage(variables));
    root.append(auth(variables));
    refuse_dry_run(variables);
    log::check(variables);
    root.put_section("defaults", PARSE_FAILURES, defaults(variables));
    for (name, what) in [(DATE_FORMAT, "values are written by their types, not by a layout"), (BATCH_SIZE, NO_BATCHES)]
    {
        if variables.get(name).is_some() {
            variables.remark(name, what);
        }
    }
    root.put_section("sources", DATABASES, sources(variables, databases));
    root.into_node(DATABASES)
}

/// Who may call the service. One variable without the other is a fault of the settings that they make.
fn auth<'v, 'a>(variables: &'v Variables<'a>) -> Section<'v, 'a> {
    let mut auth = Section::new(variables);
    let mut from = None;
    for (key, name) in [("audience", AUDIENCE), ("invokers", INVOKERS)] {
        if let Some(variable) = variables.get(name) {
            auth.put_list(key, name, &variables::list(variable.value));
            from = Some(name);
        }
    }
    let mut section = Section::new(variables);
    if let Some(from) = from {
        section.put_section("auth", from, auth);
    }
    section
}

/// Who is told of troubles. The url of a webhook is a secret, so it stays in its variable.
fn notify<'v, 'a>(variables: &'v Variables<'a>) -> Section<'v, 'a> {
    let mut hooks = Vec::new();
    if variables.get(WEBHOOK).is_some() {
        let mut hook = Section::new(variables);
        hook.put_unescaped("webhook", WEBHOOK, &format!("${{{WEBHOOK}}}"));
        hooks.push(hook.into_node(WEBHOOK));
    }
    if let Some(topic) = variables.get(PUBSUB) {
        let mut hook = Section::new(variables);
        hook.put("pubsub", PUBSUB, topic.value);
        hooks.push(hook.into_node(PUBSUB));
    }
    let mut section = Section::new(variables);
    if !hooks.is_empty() {
        section.put_nodes("notify", WEBHOOK, hooks);
    }
    section
}

/// Who is told of lineage. Address and token are secrets, so they stay in their variables.
fn lineage<'v, 'a>(variables: &'v Variables<'a>) -> Section<'v, 'a> {
    let mut lineage = Section::new(variables);
    let mut from = None;
    for (key, name) in [("token", LINEAGE_TOKEN), ("url", LINEAGE_URL)] {
        if variables.get(name).is_some() {
            lineage.put_unescaped(key, name, &format!("${{{name}}}"));
            from = Some(name);
        }
    }
    let mut section = Section::new(variables);
    if let Some(from) = from {
        section.put_section("lineage", from, lineage);
    }
    section
}

fn run_budget(variables: &Variables<'_>) -> String {
    variables.parsed(TIMEOUT, go::duration).map_or_else(|| TIMEOUT_DEFAULT.to_owned(), go::in_file)
}

/// Who asks for a dry run wants nothing written.
fn refuse_dry_run(variables: &Variables<'_>) {
    if flag(variables, DRY_RUN, false) {
        variables.fault(
            DRY_RUN,
            "a run that writes nothing is not supported; `DRY_RUN=false highwater config` shows what would be synced, \
             unset it to sync",
        );
    }
}

/// A variable that is true or false.
fn flag(variables: &Variables<'_>, name: &str, default: bool) -> bool {
    variables.parsed(name, go::boolean).unwrap_or(default)
}

/// Settings of every table.
fn defaults<'v, 'a>(variables: &'v Variables<'a>) -> Section<'v, 'a> {
    let mut defaults = Section::new(variables);
    if !flag(variables, AUTO_CREATE, true) {
        defaults.put("create", AUTO_CREATE, "false");
    }
    if flag(variables, RECREATION, false) {
        let mut schema = Section::new(variables);
        schema.put("incompatible", RECREATION, "rebuild");
        defaults.put_section("schema", RECREATION, schema);
    }
    // a row that could not be parsed was passed by and counted, which is what becomes of a rejected one
    defaults.put("unrepresentable", PARSE_FAILURES, "reject");
    defaults.put("max_rejects", PARSE_FAILURES, &max_rejects(variables).to_string());
    if let Some(rows) = variables.get(CHUNK_ROWS) {
        defaults.put("chunk_rows", CHUNK_ROWS, rows.value);
    }
    defaults
}

fn max_rejects(variables: &Variables<'_>) -> u64 {
    let rows = variables.parsed(PARSE_FAILURES, |text| match scalar::integer(text) {
        Ok(rows) if rows >= PARSE_FAILURES_UNLIMITED => Ok(rows),
        Ok(_) | Err(_) => Err(format!("{text:?} is not a number of rows, or -1 for any")),
    });
    match u64::try_from(rows.unwrap_or(PARSE_FAILURES_DEFAULT)) {
        Ok(rows) if rows <= MaxRejects::MAX => rows,
        Ok(_) | Err(_) => {
            variables.remark(PARSE_FAILURES, "the most rows of a run that may be rejected are 1000000");
            MaxRejects::MAX
        }
    }
}

fn sources<'v, 'a>(variables: &'v Variables<'a>, databases: &[Database]) -> Section<'v, 'a> {
    let mut sources = Section::new(variables);
    let truncate = flag(variables, TRUNCATE, false);
    let mut targets = table::Targets::default();
    for database in databases.iter().filter(|database| database.is_enabled(variables)) {
        let section = database::section(variables, database, truncate, &mut targets);
        sources.put_section(&database.name, DATABASES, section);
    }
    sources
}
