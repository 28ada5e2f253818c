//! The page's JSON, and what is looked up for the page of one table alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::View;
use super::past::Run;
use super::standing::{Failures, Kept, Standing};
use crate::model::{Basis, Code, Schema, TableState};

/// The most runs of an answer about all tables.
pub const RUNS_LISTED_MAX: usize = 500;

/// What is looked up for the page of one table: its state as it is now, its target, its windows, its rejected rows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Detail {
    /// What its state tells.
    pub kept: Kept,
    /// Its columns.
    pub columns: Vec<Column>,
    /// The cursor's column at the source.
    pub cursor: Option<String>,
    /// The key's columns at the source.
    pub key: Vec<String>,
    /// Rows of the target's storage, as BigQuery says.
    pub target_rows: Option<u64>,
    /// The windows of its backfills.
    pub windows: Vec<WindowRow>,
    /// How many windows there are besides.
    pub windows_left_out: usize,
    /// `gs://` addresses of objects with rejected rows, the newest first.
    pub rejects: Vec<String>,
    /// How many more there are.
    pub rejects_left_out: usize,
    /// Whether there are still more, newer ones, that were not listed.
    pub rejects_unlisted: bool,
    /// What could not be read.
    pub notes: Vec<String>,
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name at the source; `None` where it is not one that is synced.
    pub source: Option<String>,
    /// Its name in BigQuery; `None` where it is left out.
    pub name: Option<String>,
    /// Its type in BigQuery.
    pub r#type: Option<&'static str>,
    /// Whether BigQuery takes NULL.
    pub nullable: Option<bool>,
    /// What it is for, or what became of it.
    pub note: String,
}

/// A window of a backfill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WindowRow {
    /// Its name.
    pub name: String,
    /// Rows of it that are in the target.
    pub rows: u64,
    /// How far it is.
    pub progress: Progress,
}

/// How far a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It cannot be told.
    Unreadable,
    /// A chunk of it is staged and not applied yet.
    Pending,
    /// Some of it may be in the target.
    Begun,
    /// Nothing of it was brought.
    Asked,
    /// All of it is in the target.
    Complete,
}

impl Progress {
    /// The word on the page.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Pending => "pending",
            Self::Begun => "begun",
            Self::Asked => "asked for",
            Self::Complete => "complete",
        }
    }

    /// How far the window of that state is; without a state it was only asked for.
    pub fn of(state: Option<&TableState>) -> Self {
        match state {
            None => Self::Asked,
            Some(state) if state.intent.is_some() => Self::Pending,
            Some(state) if state.window.as_ref().is_some_and(|window| window.complete) => Self::Complete,
            Some(_) => Self::Begun,
        }
    }
}

/// The columns that were synced last, those of the target beside them, and those that are no longer synced.
pub fn columns(basis: Option<&Basis>, target: Option<&Schema>) -> Vec<Column> {
    let field =
        |name: &str| target.and_then(|schema| schema.0.iter().find(|field| field.name.eq_ignore_ascii_case(name)));
    let column = |source: Option<&str>, name: &str, note: String| {
        let field = field(name);
        Column {
            source: source.map(str::to_owned),
            name: Some(name.to_owned()),
            r#type: field.map(|field| field.ty.name()),
            nullable: field.map(|field| field.mode != crate::model::FieldMode::Required),
            note,
        }
    };
    let mut columns = Vec::new();
    if let Some(basis) = basis {
        for synced in &basis.columns {
            columns.push(column(Some(&synced.source), &synced.name, role(basis, &synced.source)));
        }
        for gone in &basis.gone {
            columns.push(column(Some(&gone.source), &gone.name, "gone at the source".to_owned()));
        }
        for left_out in &basis.left_out {
            let note = "left out by the settings".to_owned();
            columns.push(Column { source: Some(left_out.clone()), note, ..Column::default() });
        }
    }
    for field in target.iter().flat_map(|schema| &schema.0) {
        let is_known = columns.iter().filter_map(|column| column.name.as_deref());
        if !is_known.into_iter().any(|name| name.eq_ignore_ascii_case(&field.name)) {
            let note = match basis {
                Some(_) => "in BigQuery alone",
                None => "",
            };
            columns.push(column(None, &field.name, note.to_owned()));
        }
    }
    columns
}

fn role(basis: &Basis, source: &str) -> String {
    let is = |what: bool, name: &'static str| what.then_some(name);
    let roles = [
        is(basis.key.iter().any(|key| key == source), "key"),
        is(basis.cursor.as_deref() == Some(source), "cursor"),
        is(basis.hashed.iter().any(|hashed| hashed == source), "hashed"),
    ];
    roles.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[derive(Serialize)]
struct Tables<'a> {
    seen_at: Timestamp,
    took_ms: u64,
    need_you: usize,
    states: BTreeMap<&'static str, usize>,
    left_out: usize,
    notes: &'a [String],
    tables: Vec<Table<'a>>,
}

#[derive(Serialize)]
struct Table<'a> {
    source: &'a str,
    table: &'a str,
    target: &'a str,
    mode: &'static str,
    state: &'static str,
    needs_you: bool,
    code: Option<Code>,
    message: Option<String>,
    way_out: Option<String>,
    lag_seconds: Option<i64>,
    behind_after_seconds: i64,
    fresh_as_of: Option<Timestamp>,
    failures: Failures,
    runs_in_progress: usize,
    schedule: Option<&'a str>,
    next_run_at: Option<Timestamp>,
    #[serde(flatten)]
    kept: &'a Kept,
    last_run: Option<&'a Run>,
}

impl<'a> From<&'a Standing> for Table<'a> {
    fn from(table: &'a Standing) -> Self {
        Self {
            source: table.id.source.as_str(),
            table: table.id.table.as_str(),
            target: &table.target,
            mode: table.mode.name(),
            state: table.condition.name(),
            needs_you: table.condition.needs_you(),
            code: table.code(),
            message: table.message(),
            way_out: table.way_out(),
            lag_seconds: table.lag_seconds,
            behind_after_seconds: table.behind_after_seconds,
            fresh_as_of: table.fresh_as_of,
            failures: table.failures,
            runs_in_progress: table.under_way,
            schedule: table.schedule.as_deref(),
            next_run_at: table.next_run_at,
            kept: &table.kept,
            last_run: table.last().map(Arc::as_ref),
        }
    }
}

/// All tables as JSON.
///
/// # Errors
/// None in practice: nothing here has keys that are not text.
pub fn tables(view: &View) -> Result<String, serde_json::Error> {
    let mut states = BTreeMap::new();
    for table in &view.tables {
        *states.entry(table.condition.name()).or_default() += 1;
    }
    serde_json::to_string(&Tables {
        seen_at: view.at,
        took_ms: view.took_ms,
        need_you: view.in_trouble(),
        states,
        left_out: view.left_out,
        notes: &view.notes,
        tables: view.tables.iter().map(Table::from).collect(),
    })
}

#[derive(Serialize)]
struct One<'a> {
    seen_at: Timestamp,
    #[serde(flatten)]
    table: Table<'a>,
    detail: &'a Detail,
    runs: Vec<&'a Run>,
}

/// One table as JSON, its last run first.
///
/// # Errors
/// As [`tables`].
pub fn one(view: &View, table: &Standing, detail: &Detail) -> Result<String, serde_json::Error> {
    let runs = table.runs.iter().rev().map(Arc::as_ref).collect();
    serde_json::to_string(&One { seen_at: view.at, table: Table::from(table), detail, runs })
}

#[derive(Serialize)]
struct Runs<'a> {
    seen_at: Timestamp,
    remembered: usize,
    since: Option<Timestamp>,
    runs: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    source: &'a str,
    table: &'a str,
    #[serde(flatten)]
    run: &'a Run,
}

/// The last runs of all tables as JSON, the last first, at most [`RUNS_LISTED_MAX`].
///
/// # Errors
/// As [`tables`].
pub fn runs(view: &View) -> Result<String, serde_json::Error> {
    fn listed(table: &Standing) -> impl Iterator<Item = Listed<'_>> {
        let (source, name) = (table.id.source.as_str(), table.id.table.as_str());
        table.runs.iter().map(move |run| Listed { source, table: name, run })
    }
    let mut runs: Vec<Listed<'_>> = view.tables.iter().flat_map(listed).collect();
    runs.sort_by(|one, other| (other.run.ended_at, &other.run.run_id).cmp(&(one.run.ended_at, &one.run.run_id)));
    runs.truncate(RUNS_LISTED_MAX);
    serde_json::to_string(&Runs { seen_at: view.at, remembered: view.runs, since: view.since, runs })
}
