//! `highwater tables`.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{EXIT_DONE, EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, output};
use crate::app::{App, Expansion, ExpansionFault, Inspected};
use crate::model::{Class, Told};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

#[derive(Serialize)]
struct Line {
    source: String,
    table: String,
    /// The pattern that found it; nothing where it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    mode: &'static str,
    cursor: Option<String>,
    key: Vec<String>,
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lacks: Option<String>,
}

pub(super) async fn run(app: &App, _: Arguments, json: bool, stop: CancellationToken) -> u8 {
    let expansion = app.expand(&stop).await;
    let inspected = app.inspect(expansion.tables, &stop).await;
    let answered = inspected.iter().all(|inspected| inspected.answered);
    let lines: Vec<Line> = inspected.into_iter().map(line).collect();
    if json {
        lines.iter().for_each(output::json);
    } else {
        print(&lines);
    }
    match told(&expansion.faults) {
        EXIT_DONE if !answered => EXIT_RETRY,
        code => code,
    }
}

/// The tables that a command is about: those that are named, or with `all` every one that there is; and the exit status of
/// what could not be told.
///
/// # Errors
/// A name is unknown, which was told: the exit status.
pub(super) async fn chosen(
    app: &App,
    names: &[String],
    all: bool,
    stop: &CancellationToken,
) -> Result<(Expansion, u8), u8> {
    if all {
        let expansion = app.expand(stop).await;
        let untold = told(&expansion.faults);
        return Ok((expansion, untold));
    }
    let mut seen = HashSet::new();
    let found = names.iter().map(|name| app.find(name).map(Cow::into_owned));
    // one that is named twice is one
    let found: Result<Vec<_>, _> =
        found.filter(|found| found.as_ref().map_or(true, |table| seen.insert(table.id.clone()))).collect();
    found.map(|tables| (Expansion { tables, faults: Vec::new() }, EXIT_DONE)).map_err(|unknown| {
        output::fault(&unknown.told());
        EXIT_USAGE
    })
}

/// Says what an expansion left out, and what that means for the exit status.
pub(super) fn told(faults: &[ExpansionFault]) -> u8 {
    let all: Vec<Told> = faults.iter().map(|fault| fault.told.clone()).collect();
    output::faults(&all);
    let class = |wanted| faults.iter().any(|fault| fault.class == wanted);
    if class(Class::Usage) {
        EXIT_USAGE
    } else if class(Class::Permanent) {
        EXIT_FAILED
    } else if class(Class::Transient) {
        EXIT_RETRY
    } else {
        EXIT_DONE
    }
}

fn line(inspected: Inspected) -> Line {
    let settings = inspected.settings;
    Line {
        source: settings.id.source.to_string(),
        table: settings.id.table.to_string(),
        pattern: settings.matched.map(|matched| matched.pattern),
        mode: settings.mode.name(),
        cursor: inspected.cursor,
        key: inspected.key,
        target: settings.target.to_string(),
        schedule: settings.schedule.map(|schedule| schedule.to_string()),
        lacks: inspected.lacks,
    }
}

fn print(lines: &[Line]) {
    let or_dash = |text: Option<&str>| text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned();
    let row = |line: &Line| {
        vec![
            format!("{}/{}", line.source, line.table),
            line.pattern.clone().unwrap_or_else(|| "(named)".to_owned()),
            line.mode.to_owned(),
            or_dash(line.cursor.as_deref()),
            or_dash(Some(&line.key.join(", "))),
            line.target.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    output::table(&["TABLE", "PATTERN", "MODE", "CURSOR", "KEY", "TARGET"], &rows);
    for line in lines {
        if let Some(lacks) = &line.lacks {
            output::line(&format!("{}/{} cannot be synced: {lacks}", line.source, line.table));
        }
    }
}
