//! `highwater reset`.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{EXIT_DONE, EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, output};
use crate::app::App;
use crate::engine::RunError;
use crate::model::{Class, Position};
use crate::net::Context;
use crate::state::transition::ResetTo;

/// The most time for a reset.
const RESET_MAX: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The table, as `source/table`.
    #[arg(value_name = "TABLE")]
    table: String,
    /// Read again from the row after this cursor and key; without it, from the beginning. The cursor's text is as
    /// `status --json` prints it.
    #[arg(long, value_name = "CURSOR", requires = "key")]
    cursor: Option<String>,
    /// The key's values that go with --cursor, one per column of the key.
    #[arg(long, value_name = "VALUE", num_args = 1.., requires = "cursor")]
    key: Vec<String>,
    /// Keep the watermark where it is; only with --drop-intent.
    #[arg(long, conflicts_with = "cursor", requires = "drop_intent")]
    keep_watermark: bool,
    /// Drop a pending intent, with --keep-watermark to read only its rows again. Refused where its rows are in the target
    /// already: then `sync` is what ends it.
    #[arg(long)]
    drop_intent: bool,
    /// In `mode: append`: read rows again although they are in the target, where they will be twice. Without it such a
    /// reset is refused.
    #[arg(long, conflicts_with = "keep_watermark")]
    again: bool,
}

pub(super) async fn run(app: &App, arguments: Arguments, json: bool, stop: CancellationToken) -> u8 {
    let table = match app.find(&arguments.table) {
        Ok(table) => table,
        Err(unknown) => {
            output::fault(&unknown.told());
            return EXIT_USAGE;
        }
    };
    let cx = Context::new(Instant::now() + RESET_MAX, stop);
    let result = async {
        let to = match arguments.cursor {
            Some(cursor) => ResetTo::At(Position { cursor: Some(cursor), key: arguments.key }),
            None if arguments.keep_watermark => ResetTo::Keep,
            None => ResetTo::Beginning,
        };
        app.reset(&cx, &table, to, arguments.drop_intent, arguments.again).await
    };
    match result.await {
        Ok(after) => {
            if json {
                output::json(&after.state);
            } else {
                let at = after.state.watermark.as_ref().and_then(|watermark| watermark.cursor.clone());
                output::line(&format!("{}: watermark is now {}", table.id, at.as_deref().unwrap_or("the beginning")));
            }
            EXIT_DONE
        }
        Err(error) => {
            output::fault(&error.failure().told().of(&table.id));
            match (&error, error.class()) {
                (RunError::Illegal(_), _) | (_, Class::Usage) => EXIT_USAGE,
                (_, Class::Permanent) => EXIT_FAILED,
                (_, Class::Transient) => EXIT_RETRY,
            }
        }
    }
}
