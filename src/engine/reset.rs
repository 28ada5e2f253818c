//! What a reset to the beginning does to the windows of a table's backfills: they are forgotten.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Engine, RunError, finish};
use crate::bucket::Bucket;
use crate::model::{Intent, TableId};
use crate::net::Context;
use crate::plan::backfill;
use crate::state::transition::Illegal;
use crate::state::{AskStore, Store, window_name, windows_folder};
use crate::warehouse::Warehouse;

/// Objects that are read or deleted side by side.
const CALLS_MAX: usize = 16;

/// The windows of a table.
#[derive(Debug)]
pub(super) struct Windows {
    /// The names of their state objects.
    names: Vec<String>,
    /// Intents of theirs that were given up.
    dropped: Vec<Intent>,
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
            async move { store.read(cx).await.map(|at| at.state.intent) }
        };
        let reads: Vec<_> = names.iter().map(read).collect();
        let intents: Vec<Option<Intent>> = stream::iter(reads).buffered(CALLS_MAX).try_collect().await?;
        let dropped: Vec<Intent> = intents.into_iter().flatten().collect();
        if let Some(intent) = dropped.first().filter(|_| !drop_intent) {
            return Err(Illegal::Pending(intent.id.clone()).into());
        }
        for intent in &dropped {
            engine.give_up(cx, intent).await?;
        }
        Ok(Self { names, dropped })
    }

    /// Forgets them, what was asked for last.
    pub(super) async fn forget<B: Bucket, W: Warehouse>(
        self,
        engine: &Engine<B, W>,
        cx: &Context,
        id: &TableId,
    ) -> Result<(), RunError> {
        for intent in &self.dropped {
            finish::clean(engine, cx, intent).await;
        }
        let deletes: Vec<_> = self.names.iter().map(|name| engine.bucket.delete(cx, name)).collect();
        stream::iter(deletes).buffered(CALLS_MAX).try_collect::<Vec<()>>().await?;
        Ok(AskStore::new(&engine.bucket, id).forget(cx).await?)
    }
}
