//! `highwater deletes`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{EXIT_DONE, EXIT_USAGE, output, sync, tables};
use crate::app::App;
use crate::engine::{LookForDeletes, RunOptions};
use crate::model::{Fraction, Parallel, TableId};

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
    let mut untold = EXIT_DONE;
    let ids: Vec<TableId> = if arguments.all {
        let expansion = app.expand(&stop).await;
        untold = tables::told(&expansion.faults);
        expansion.tables.into_iter().filter(|table| table.deletes.is_some()).map(|table| table.id).collect()
    } else {
        let mut ids = Vec::new();
        for name in &arguments.tables {
            match app.find(name) {
                Ok(table) if table.deletes.is_some() => ids.push(table.id.clone()),
                Ok(table) => {
                    output::fault(&format!("{} has no `deletes`: say soft or hard in its settings", table.id));
                    return EXIT_USAGE;
                }
                Err(unknown) => {
                    output::fault(&unknown.to_string());
                    return EXIT_USAGE;
                }
            }
        }
        ids
    };
    if ids.is_empty() {
        output::fault("no table has `deletes`: say soft or hard in the settings of one");
        return EXIT_USAGE;
    }
    let deletes = LookForDeletes::Now { max_fraction: arguments.max_fraction };
    let how = sync::How { until_caught_up: false, options: RunOptions { deletes, ..RunOptions::default() } };
    let reports = sync::run_all(app, ids, arguments.parallel, how, json, stop).await;
    sync::worse(sync::exit_code(&reports), untold)
}
