//! What a reset does to the windows of a table's backfills: to the beginning they are forgotten; where intents are dropped,
//! theirs are too.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Engine, RunError, finish};
use crate::bucket::Bucket;
use crate::model::{Intent, TableId};
use crate::net::Context;
use crate::plan::backfill;
use crate::state::transition::{self, Event};
use crate::state::{AskStore, Store, Versioned, Write, window_name, windows_folder};
use crate::warehouse::Warehouse;

/// Objects that are read or deleted side by side.
const CALLS_MAX: usize = 16;

/// The windows of a table.
#[derive(Debug)]
pub(super) struct Windows {
    /// The names of their state objects.
    names: Vec<String>,
    /// Those with intents that were given up, or had been applied.
    pending: Vec<Pending>,
}

/// A window with an intent.
#[derive(Debug)]
struct Pending {
    name: String,
    at: Versioned,
    intent: Intent,
    applied: bool,
}

impl Windows {
    /// Looks for them; a window with a pending intent is refused, or its intent given up.
    pub(super) async fn find<B: Bucket, W: Warehouse>(
        engine: &Engine<B, W>,
        cx: &Context,
        id: &TableId,
        drop_intent: bool,
    ) -> Result<Self, RunError> {
        let (asks, _) = AskStore::new(&engine.bucket, id).read(cx).await?;
        let mut names = Vec::new();
        for ask in &asks.asks {
            let windows = backfill::windows(&id.to_string(), ask)?;
            names.extend(windows.into_iter().map(|window| window_name(id, &window.name)));
        }
        // those that were read again for their counts were never asked for
        names.extend(engine.bucket.list(cx, &windows_folder(id)).await?);
        names.sort_unstable();
        names.dedup();
        let read = |name: &String| {
            let store = Store::at(&engine.bucket, name.clone());
            async move { store.read(cx).await }
        };
        let reads: Vec<_> = names.iter().map(read).collect();
        let states: Vec<Versioned> = stream::iter(reads).buffered(CALLS_MAX).try_collect().await?;
        let mut pending = Vec::new();
        for (name, at) in names.iter().zip(states) {
            let Some(intent) = at.state.intent.clone() else { continue };
            if !drop_intent {
                return Err(RunError::WindowPending { table: id.to_string(), window: name.clone(), intent: intent.id });
            }
            // that its rows are in the target already is no harm: they stay, or all is read again
            let applied = match engine.give_up(cx, &intent).await {
                Ok(()) => false,
                Err(RunError::Applied(_)) => true,
                Err(error) => return Err(error),
            };
            pending.push(Pending { name: name.clone(), at, intent, applied });
        }
        Ok(Self { names, pending })
    }

    /// Takes their intents out of their states: of those that had been applied the position moves, the others' rows are read
    /// again.
    pub(super) async fn drop_intents<B: Bucket, W: Warehouse>(
        self,
        engine: &Engine<B, W>,
        cx: &Context,
    ) -> Result<(), RunError> {
        for Pending { name, at, intent, applied } in self.pending {
            let id = intent.id.clone();
            let event = if applied { Event::Commit { id, next: None } } else { Event::Drop(id) };
            let mut state = transition::apply(&at.state, event)?;
            engine.stamp(&mut state);
            match Store::at(&engine.bucket, name).write(cx, &at, state).await? {
                Write::Done(_) => finish::clean(engine, cx, &intent).await,
                Write::Lost(_) => return Err(RunError::Superseded),
            }
        }
        Ok(())
    }

    /// Forgets them, what was asked for last.
    pub(super) async fn forget<B: Bucket, W: Warehouse>(
        self,
        engine: &Engine<B, W>,
        cx: &Context,
        id: &TableId,
    ) -> Result<(), RunError> {
        for pending in &self.pending {
            finish::clean(engine, cx, &pending.intent).await;
        }
        let deletes: Vec<_> = self.names.iter().map(|name| engine.bucket.delete(cx, name)).collect();
        stream::iter(deletes).buffered(CALLS_MAX).try_collect::<Vec<()>>().await?;
        Ok(AskStore::new(&engine.bucket, id).forget(cx).await?)
    }
}
