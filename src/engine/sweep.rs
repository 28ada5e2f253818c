//! What crashed runs have left: parts that belong to no intent, and their staging tables.
//!
//! Whether an intent can still be written is told by the state's generation, not by a clock: leftovers are listed
//! *before* a write of the state of ours and deleted *after* it. Every other run that had staged them by then had
//! read an older generation, so its intent can never be written any more, and an intent that had been written is in
//! the state that we hold.

use std::collections::BTreeMap;

use super::faults::Point;
use super::{Engine, RunError, chunk};
use crate::bucket::Bucket;
use crate::model::{BqTable, IntentId, TableSettings, TableState};
use crate::net::Context;
use crate::warehouse::Warehouse;

/// Names of objects by the intent that they were staged for.
#[derive(Clone, Debug, Default)]
pub(super) struct Leftovers(BTreeMap<String, Vec<String>>);

impl Leftovers {
    /// Whether there is anything that `state` does not need.
    pub(super) fn any(&self, state: &TableState) -> bool {
        self.0.keys().any(|id| !needs(state, id))
    }
}

fn needs(state: &TableState, id: &str) -> bool {
    state.intent.as_ref().is_some_and(|intent| intent.id.as_str() == id)
}

/// Lists what is staged for the table. A bucket that may not be listed only means that leftovers expire.
pub(super) async fn find<B: Bucket, W>(engine: &Engine<B, W>, cx: &Context, settings: &TableSettings) -> Leftovers {
    let prefix = chunk::staging_folder(settings);
    let names = match engine.bucket.list(cx, &prefix).await {
        Ok(names) => names,
        Err(error) => {
            tracing::warn!(%error, "leftovers of crashed runs cannot be listed: they are left to expiration");
            return Leftovers::default();
        }
    };
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names {
        let id =
            name.strip_prefix(&prefix).and_then(|rest| rest.split_once('/')).and_then(|(id, _)| IntentId::parse(id));
        if let Some(id) = id {
            found.entry(id.to_string()).or_default().push(name);
        }
    }
    Leftovers(found)
}

/// Deletes leftovers that were listed before `state` was written.
pub(super) async fn delete<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    leftovers: Leftovers,
    state: &TableState,
) -> Result<(), RunError> {
    engine.faults.at(Point::Fenced).await?;
    for (id, parts) in leftovers.0.into_iter().filter(|(id, _)| !needs(state, id)) {
        tracing::info!(intent = id, parts = parts.len(), "deleting what a run has left that did not come to its end");
        let staging = BqTable { table: chunk::staging_table(&id), ..settings.target.clone() };
        // first the table: as long as a part is there, the table is found again
        engine.warehouse.delete_table(cx, &staging).await?;
        for part in parts {
            engine.bucket.delete(cx, &part).await?;
        }
    }
    Ok(())
}
