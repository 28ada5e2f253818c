//! How many windows are left, and the end of a load whose windows are all complete.

use super::WRITES_MAX;
use crate::bucket::Bucket;
use crate::engine::{Engine, RunError, gaps};
use crate::model::{TableSettings, TableState, Window, WindowUnit};
use crate::net::Context;
use crate::plan::backfill;
use crate::state::transition::{self, Event};
use crate::state::{AskStore, Store, Write};
use crate::warehouse::Warehouse;

/// Ends a load that is under way if all its windows are complete.
pub(in crate::engine) async fn settle<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
) -> Result<(), RunError> {
    let store = Store::new(&engine.bucket, &settings.id);
    for _ in 0..WRITES_MAX {
        let at = store.read(cx).await?;
        let Some(id) = at.state.load.clone() else { return Ok(()) };
        let (asks, _) = AskStore::new(&engine.bucket, &settings.id).read(cx).await?;
        let Some(ask) = asks.asks.into_iter().find(|ask| ask.id == id) else { return Ok(()) };
        let windows = backfill::windows(&settings.id.to_string(), &ask)?;
        if left(engine, cx, settings, &windows).await? > 0 {
            return Ok(());
        }
        let mut next = transition::apply(&at.state, Event::Loaded(id))?;
        engine.stamp(&mut next);
        if matches!(store.write(cx, &at, next).await?, Write::Done(_)) {
            return Ok(());
        }
    }
    Err(RunError::Superseded)
}

/// How many of these windows are not complete.
pub(in crate::engine) async fn left<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    windows: &[Window],
) -> Result<usize, RunError> {
    let states = gaps::states(engine, cx, settings, windows).await?;
    let complete = |state: &&TableState| state.window.as_ref().is_some_and(|window| window.complete);
    Ok(windows.len() - states.iter().filter(complete).count())
}

/// Whether nothing is left of what was asked for, and no load goes by it.
pub(super) async fn is_done<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    ask: &crate::model::Ask,
) -> Result<bool, RunError> {
    let windows = backfill::windows(&settings.id.to_string(), ask)?;
    let left = left(engine, cx, settings, &windows).await?;
    Ok(left == 0 || (ask.by == WindowUnit::Key && left == windows.len()))
}
