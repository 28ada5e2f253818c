//! `highwater status`.

mod show;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{EXIT_RETRY, output, tables};
use crate::app::{App, Expansion};
use crate::engine::RunError;
use crate::model::{Code, IntentId, LastRun, Position, TableId, TableSettings};
use crate::net::Context;
use crate::report::history::{Day, History};
use crate::state::Versioned;

/// The most time for reading the states, which are read side by side.
const READ_MAX: Duration = Duration::from_secs(60);
/// The most time for reading what is kept of past runs.
const HISTORY_MAX: Duration = Duration::from_secs(45);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Tables, as `source/table`; all if none is named.
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// How many days of past runs are counted, today included; days are those of UTC.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
}

#[derive(Serialize)]
struct Line {
    source: String,
    table: String,
    target: String,
    mode: &'static str,
    watermark: Option<Position>,
    pending_intent: Option<IntentId>,
    pending_rows: Option<u64>,
    rereads: usize,
    rows_total: u64,
    rejected_total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilding: Option<String>,
    written_at: Option<String>,
    /// Every row that the source had then is in the target.
    fresh_as_of: Option<String>,
    /// Seconds since then.
    lag_seconds: Option<i64>,
    last_run: Option<Last>,
    /// By day, UTC.
    days: BTreeMap<String, Day>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
}

#[derive(Serialize)]
struct Last {
    run_id: String,
    ended_at: String,
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl From<LastRun> for Last {
    fn from(run: LastRun) -> Self {
        let LastRun { run_id, ended_at, outcome, error, error_class, code, .. } = run;
        Self { run_id, ended_at, outcome, error, error_class, code }
    }
}

pub(super) async fn run(app: &App, arguments: Arguments, json: bool, stop: CancellationToken) -> u8 {
    let all = arguments.tables.is_empty();
    let (Expansion { tables, .. }, untold) = match tables::chosen(app, &arguments.tables, all, &stop).await {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    let cx = Context::new(Instant::now() + HISTORY_MAX, stop.clone());
    let mut history = app.history(&cx, arguments.days).await;
    // states are there without it
    history.notes.iter().for_each(|note| output::note(&format!("past runs: {note}")));
    let cx = Context::new(Instant::now() + READ_MAX, stop.clone());
    let ids: Vec<TableId> = tables.iter().map(|table| table.id.clone()).collect();
    let states = Box::pin(app.states(&cx, &ids)).await;
    let mut lines = Vec::with_capacity(tables.len());
    for (table, state) in tables.iter().zip(states) {
        let mut line = line(table, state);
        add_history(&mut line, &mut history, app.now());
        if json {
            output::json(&line);
        }
        lines.push(line);
    }
    if !json {
        show::print(&lines, &show::days(app.now(), arguments.days));
    }
    if lines.iter().any(|line| line.error.is_some()) { EXIT_RETRY } else { untold }
}

fn line(table: &TableSettings, state: Result<Versioned, RunError>) -> Line {
    let mut line = Line {
        source: table.id.source.to_string(),
        table: table.id.table.to_string(),
        target: table.target.to_string(),
        mode: table.mode.name(),
        watermark: None,
        pending_intent: None,
        pending_rows: None,
        rereads: 0,
        rows_total: 0,
        rejected_total: 0,
        rebuilding: None,
        written_at: None,
        fresh_as_of: None,
        lag_seconds: None,
        last_run: None,
        days: BTreeMap::new(),
        error: None,
        code: None,
    };
    match state {
        Ok(found) => {
            let state = found.state;
            line.watermark = state.watermark;
            line.pending_rows = state.intent.as_ref().map(|intent| intent.rows);
            line.pending_intent = state.intent.map(|intent| intent.id);
            line.rereads = state.rereads.len();
            line.rows_total = state.rows_total;
            line.rejected_total = state.rejected_total;
            line.rebuilding = state.rebuild.map(|rebuild| rebuild.table.to_string());
            line.written_at = found.generation.map(|_| state.written_at);
        }
        Err(error) => {
            line.error = Some(error.one_line());
            line.code = Some(error.code());
        }
    }
    line
}

fn add_history(line: &mut Line, history: &mut History, now: Timestamp) {
    let Some(past) = history.tables.remove(&(line.source.clone(), line.table.clone())) else { return };
    line.fresh_as_of = past.fresh_as_of.map(|at| format!("{at:.6}"));
    // the source's clock may be ahead of ours
    line.lag_seconds = past.fresh_as_of.map(|at| now.duration_since(at).as_secs().max(0));
    line.last_run = past.last.map(Last::from);
    line.days = past.days;
}
