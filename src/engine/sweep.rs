//! What crashed runs have left: parts that belong to no intent, and their staging tables.
//!
//! Whether an intent can still be written is told by the state's generation, not by a clock: leftovers are listed
//! *before* a write of the state of ours and deleted *after* it. Every other run that had staged them by then had
//! read an older generation, so its intent can never be written any more, and an intent that had been written is in
//! the state that we hold. A run that wrote nothing deletes what is left of the intent that was committed
//! last, and writes the state as it is where it finds parts of older ones.

use std::collections::BTreeMap;
use std::time::Duration;

use super::faults::Point;
use super::{Engine, RunError, chunk};
use crate::bucket::Bucket;
use crate::model::{BqTable, IntentId, TableSettings, TableState, Window};
use crate::net::Context;
use crate::warehouse::Warehouse;

/// The most time for listing them: no run waits for longer to tidy up.
const LIST_MAX: Duration = Duration::from_secs(5);

/// Names of objects by the intent that they were staged for.
#[derive(Clone, Debug, Default)]
pub(super) struct Leftovers(BTreeMap<String, Vec<String>>);

impl Leftovers {
    /// Whether there are parts of intents that are older than the one that was committed last, while none is pending:
    /// most likely a dead run's. Newer ones may be a living run's, which a write of the state would set back.
    pub(super) fn outlived(&self, state: &TableState) -> bool {
        let applied = state.applied.as_ref().map(IntentId::as_str);
        state.intent.is_none() && self.0.keys().any(|id| applied.is_some_and(|applied| id.as_str() < applied))
    }

    /// The intents whose parts nobody can use any more, if `state` is as it is now. `fenced` says that we have written
    /// it since these were listed.
    pub(super) fn dead(&self, state: &TableState, fenced: bool) -> Vec<String> {
        let pending = state.intent.as_ref().map(|intent| intent.id.as_str());
        let applied = state.applied.as_ref().map(IntentId::as_str);
        let is_dead = |id: &&String| Some(id.as_str()) != pending && (fenced || Some(id.as_str()) == applied);
        self.0.keys().filter(is_dead).cloned().collect()
    }
}

/// Lists what is staged for the table, or for the window. A bucket that may not be listed only means that leftovers expire.
pub(super) async fn find<B: Bucket, W>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    window: Option<&Window>,
) -> Leftovers {
    let prefix = chunk::staging_folder(settings, window);
    let names = match cx.limit(LIST_MAX, engine.bucket.list(cx, &prefix)).await {
        Ok(Ok(names)) => names,
        Ok(Err(error)) => {
            tracing::warn!(%error, "leftovers of crashed runs cannot be listed: they are left to a later run");
            return Leftovers::default();
        }
        Err(interrupted) => {
            tracing::warn!(%interrupted, "leftovers of crashed runs cannot be listed: they are left to a later run");
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

/// Deletes the parts and staging tables of these intents.
pub(super) async fn delete<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    leftovers: &Leftovers,
    ids: &[String],
) -> Result<(), RunError> {
    engine.faults.at(Point::Fenced).await?;
    for id in ids {
        let parts = leftovers.0.get(id).map(Vec::as_slice).unwrap_or_default();
        tracing::info!(intent = id, parts = parts.len(), "deleting what a run has left that did not come to its end");
        let staging = BqTable { table: chunk::staging_table(id), ..settings.target.clone() };
        // first the table: as long as a part is there, the table is found again
        engine.warehouse.delete_table(cx, &staging).await?;
        for part in parts {
            engine.bucket.delete(cx, part).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_deleted() {
        let id = |number| IntentId::new(0, number);
        let leftovers = Leftovers((1..=3).map(|number| (id(number).to_string(), Vec::new())).collect());
        let mut state = TableState { applied: Some(id(2)), ..TableState::new() };
        let dead = |state: &TableState, fenced| leftovers.dead(state, fenced);
        // without a write of ours another run may still write the intents of 1 and 3
        assert_eq!(dead(&state, false), [id(2).to_string()]);
        assert_eq!(dead(&state, true).len(), 3);
        assert!(leftovers.outlived(&state));
        assert!(!leftovers.outlived(&TableState { applied: Some(id(1)), ..TableState::new() }));
        state.applied = None;
        assert_eq!(dead(&state, false), Vec::<String>::new());
    }
}
