//! `highwater deletes`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{EXIT_USAGE, output, sync, tables};
use crate::app::{App, Expansion};
use crate::engine::{LookForDeletes, RunOptions};
use crate::model::{Code, Fraction, Parallel, TableId, Told};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Tables, as `source/table`, or `table` where only one source has it.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "TABLE")]
    tables: Vec<String>,
    /// Every table of the configuration that has `deletes`.
    #[arg(long)]
    all: bool,
    /// The greatest part of a target's rows that may go, from 0 to 1 (default: the table's `max_delete_fraction`). With 1
    /// an empty source empties the target too.
    #[arg(long, value_name = "PART", value_parser = fraction)]
    max_fraction: Option<Fraction>,
    /// How many tables run side by side (default: `parallel` of the configuration).
    #[arg(long, value_name = "N", value_parser = sync::parallel)]
    parallel: Option<Parallel>,
}

fn fraction(text: &str) -> Result<Fraction, String> {
    Fraction::parse(text).ok_or_else(|| format!("{text:?} is not a number from 0 to 1 with at most six digits"))
}

pub(super) async fn run(app: Arc<App>, arguments: Arguments, json: bool, stop: CancellationToken) -> u8 {
    let (Expansion { tables, .. }, untold) = match tables::chosen(&app, &arguments.tables, arguments.all, &stop).await {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    if let Some(table) = tables.iter().find(|table| !arguments.all && table.deletes.is_none()) {
        let text = format!("{} has no `deletes`; say soft or hard in its settings", table.id);
        output::fault(&Told::new(Code::DeletesOff, &text));
        return EXIT_USAGE;
    }
    let ids: Vec<TableId> = tables.into_iter().filter(|table| table.deletes.is_some()).map(|table| table.id).collect();
    if ids.is_empty() {
        output::fault(&Told::new(Code::DeletesOff, "no table has `deletes`; say soft or hard in the settings of one"));
        return EXIT_USAGE;
    }
    let deletes = LookForDeletes::Now { max_fraction: arguments.max_fraction };
    let how =
        sync::How { until_caught_up: false, dry_run: false, options: RunOptions { deletes, ..RunOptions::default() } };
    let reports = sync::run_all(app, ids, arguments.parallel, how, json, stop).await;
    sync::worse(sync::exit_code(&reports), untold)
}
