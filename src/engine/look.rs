//! What a person is shown of a table: its windows and its rejected rows. Nothing is written, and no source is asked.

use std::collections::{HashSet, VecDeque};

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Engine, RunError, chunk};
use crate::bucket::{Bucket, LISTED_MAX};
use crate::model::{TableId, TableSettings, TableState};
use crate::net::Context;
use crate::plan::backfill;
use crate::state::{AskStore, Store, window_name, windows_folder};

/// The most windows whose states are read; of more those that were asked for last.
const WINDOWS_MAX: usize = 200;
/// States that are read at once.
const READS_AT_ONCE: usize = 16;
/// The most objects of rejected rows that are named.
const REJECTS_MAX: usize = 50;
/// The most pages of a listing of rejected rows' objects.
const PAGES_MAX: usize = 10;

/// A window, and its state; `None` if there is none yet.
pub type WindowSeen = (String, Result<Option<TableState>, String>);

/// The windows of a table's backfills.
#[derive(Debug, Default)]
pub struct WindowsSeen {
    /// Each with its state, or why that cannot be read; the last first.
    pub windows: Vec<WindowSeen>,
    /// How many more there are.
    pub left_out: usize,
}

/// Objects of a table's rejected rows.
#[derive(Debug, Default)]
pub struct RejectsSeen {
    /// Their addresses, the last first.
    pub objects: Vec<String>,
    /// How many more were listed.
    pub left_out: usize,
    /// Whether there are still more, newer ones, beyond what is listed.
    pub unlisted: bool,
}

pub(super) async fn windows<B: Bucket, W>(
    engine: &Engine<B, W>,
    cx: &Context,
    id: &TableId,
) -> Result<WindowsSeen, RunError> {
    let (asks, _) = AskStore::new(&engine.bucket, id).read(cx).await?;
    let mut names: Vec<String> = Vec::new();
    for ask in &asks.asks {
        let windows = backfill::windows(&id.to_string(), ask)?;
        names.extend(windows.into_iter().map(|window| window.name));
    }
    // windows that were brought without being asked for lie there as well
    let folder = windows_folder(id);
    let listed = engine.bucket.list(cx, &folder).await?;
    let asked: HashSet<String> = names.iter().map(|name| window_name(id, name)).collect();
    let unasked = listed.into_iter().filter(|object| !asked.contains(object));
    names.extend(unasked.map(|object| {
        let name = object.strip_prefix(&folder).unwrap_or(&object);
        name.strip_suffix(".json").unwrap_or(name).to_owned()
    }));
    let mut known = HashSet::new();
    names.retain(|name| known.insert(name.clone()));
    let left_out = names.len().saturating_sub(WINDOWS_MAX);
    let read = |name: String| async move {
        let state = Store::of_window(&engine.bucket, id, &name).read(cx).await;
        let state = state.map(|found| found.generation.map(|_| found.state));
        (name, state.map_err(|error| RunError::from(error).one_line()))
    };
    let wanted = names.into_iter().rev().take(WINDOWS_MAX);
    Ok(WindowsSeen { windows: stream::iter(wanted).map(read).buffered(READS_AT_ONCE).collect().await, left_out })
}

pub(super) async fn rejects<B: Bucket, W>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
) -> Result<RejectsSeen, RunError> {
    let folder = chunk::rejects_folder(settings);
    let (mut newest, mut listed, mut from) = (VecDeque::with_capacity(REJECTS_MAX), 0, String::new());
    for _ in 0..PAGES_MAX {
        // names are made of ids that grow, so the newest are the last of the last page
        let page = engine.bucket.list_from(cx, &folder, &from).await?;
        let is_last = page.len() < LISTED_MAX;
        // beyond that name: no name goes on after the end of another
        from = page.last().map(|last| format!("{last}~")).unwrap_or_default();
        listed += page.len();
        newest.extend(page);
        newest.drain(..newest.len().saturating_sub(REJECTS_MAX));
        if is_last {
            return Ok(rejects_seen(engine, &newest, listed, false));
        }
    }
    Ok(rejects_seen(engine, &newest, listed, true))
}

fn rejects_seen<B: Bucket, W>(
    engine: &Engine<B, W>,
    newest: &VecDeque<String>,
    listed: usize,
    unlisted: bool,
) -> RejectsSeen {
    let objects: Vec<String> = newest.iter().rev().map(|object| engine.bucket.address(object)).collect();
    RejectsSeen { left_out: listed - objects.len(), objects, unlisted }
}
