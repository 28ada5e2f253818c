//! `highwater status`.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{EXIT_DONE, EXIT_RETRY, EXIT_USAGE, output, tables};
use crate::app::App;
use crate::model::{IntentId, Position, TableSettings};
use crate::net::Context;

/// The most time for reading one table's state.
const READ_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Tables, as `source/table`; all if none is named.
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) async fn run(app: &App, arguments: Arguments, json: bool, stop: CancellationToken) -> u8 {
    let mut untold = EXIT_DONE;
    let tables: Result<Vec<TableSettings>, _> = if arguments.tables.is_empty() {
        let expansion = app.expand(&stop).await;
        untold = tables::told(&expansion.faults);
        Ok(expansion.tables)
    } else {
        arguments.tables.iter().map(|name| app.find(name).map(Cow::into_owned)).collect()
    };
    let tables = match tables {
        Ok(tables) => tables,
        Err(unknown) => {
            output::fault(&unknown.to_string());
            return EXIT_USAGE;
        }
    };
    let mut lines = Vec::with_capacity(tables.len());
    for table in tables {
        let line = read(app, &table, &stop).await;
        if json {
            output::json(&line);
        }
        lines.push(line);
    }
    if !json {
        print(&lines);
    }
    if lines.iter().any(|line| line.error.is_some()) { EXIT_RETRY } else { untold }
}

async fn read(app: &App, table: &TableSettings, stop: &CancellationToken) -> Line {
    let cx = Context::new(Instant::now() + READ_MAX, stop.clone());
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
        error: None,
    };
    match app.state(&cx, &table.id).await {
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
        Err(error) => line.error = Some(error.one_line()),
    }
    line
}

fn print(lines: &[Line]) {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let watermark = line.watermark.as_ref().and_then(|watermark| watermark.cursor.clone());
            let pending =
                line.pending_intent.as_ref().map(|id| format!("{id} ({} rows)", line.pending_rows.unwrap_or(0)));
            vec![
                format!("{}/{}", line.source, line.table),
                line.mode.to_owned(),
                or_dash(watermark),
                line.rows_total.to_string(),
                or_dash(pending),
                or_dash(line.written_at.clone()),
            ]
        })
        .collect();
    output::table(&["TABLE", "MODE", "WATERMARK", "ROWS", "PENDING", "WRITTEN"], &rows);
    for line in lines {
        let name = format!("{}/{}", line.source, line.table);
        if let Some(table) = &line.rebuilding {
            output::line(&format!("{name}: is built anew as {table}; the watermark is that table's"));
        }
        if line.rejected_total > 0 {
            output::line(&format!("{name}: {} rows were rejected so far", line.rejected_total));
        }
        if let Some(error) = &line.error {
            output::fault(&format!("{}/{}: {error}", line.source, line.table));
        }
    }
}
