//! A table built anew beside the target: when one is begun, when it is lost, how it replaces the target.

use super::super::prepare::Prepared;
use super::super::{RunError, chunk, finish};
use super::{Next, PassEnd, Run};
use crate::bucket::Bucket;
use crate::model::{BqTable, Intent, Mode};
use crate::plan::drift::Incompatible;
use crate::state::transition::Event;
use crate::warehouse::Warehouse;

/// How many tables a run begins to build beside the target before it gives up.
const REBUILDS_MAX: u32 = 2;

impl<B: Bucket, W: Warehouse> Run<'_, B, W> {
    /// Whether the intent's rows were to go into a table beside the target that is there no longer.
    pub(super) async fn is_lost(&self, intent: &Intent) -> Result<bool, RunError> {
        let built = self.at.state.rebuild.as_ref().is_some_and(|rebuild| rebuild.table == intent.target);
        Ok(built && self.engine.warehouse.table(self.cx, &intent.target).await?.is_none())
    }

    /// A change of the state by itself, and then a new look at everything.
    pub(super) async fn step(&mut self, event: Event) -> Result<PassEnd, RunError> {
        // lanes that this run has been through were another table's
        (self.nulls_done, self.nulls_at, self.lookback_done) = (false, None, false);
        Ok(if self.write(event).await? { PassEnd::Reconnect } else { PassEnd::Superseded })
    }

    /// Begins to build the table anew beside the target, if the settings want it so.
    pub(super) async fn rebuild(&mut self, cause: Incompatible) -> Result<PassEnd, RunError> {
        let target = self.settings.target.clone();
        if !self.settings.schema.rebuild {
            return Err(RunError::Drift { target, cause: Box::new(cause) });
        }
        let state = &self.at.state;
        if self.settings.mode == Mode::Append && (state.began.is_some() || state.load.is_some()) {
            return Err(RunError::AppendedWindows { table: self.settings.id.to_string(), cause: Box::new(cause) });
        }
        self.rebuilds += 1;
        if self.rebuilds > REBUILDS_MAX {
            return Err(RunError::RebuildFails(Box::new((target, cause))));
        }
        let table = BqTable { table: format!("hw_rebuild_{}", self.engine.fresh_id()), ..target };
        tracing::warn!(%table, %cause, drift = true, "the target cannot take the source's columns: it is built anew");
        self.report.note(format!("{cause}; it is built anew as {table}"));
        self.report.drifted(format!("{cause}; it is built anew and then replaced"));
        let before = self.at.state.rebuild.clone();
        let end = self.step(Event::Rebuild(table)).await?;
        // the columns changed again while one was built; nobody's chunk goes there any more
        if let (PassEnd::Reconnect, Some(before)) = (end, before) {
            self.engine.warehouse.delete_table(self.cx, &before.table).await?;
        }
        Ok(end)
    }

    /// Puts the table that was built beside the target in its place.
    pub(super) async fn swap(&mut self, prepared: &Prepared) -> Result<PassEnd, RunError> {
        let Some(rebuild) = self.at.state.rebuild.clone() else { return Ok(PassEnd::Done) };
        if !prepared.whole {
            if self.dirty {
                self.flush().await?;
            }
            self.report.note(format!("{} is not complete yet and does not replace the target", rebuild.table));
            return Ok(PassEnd::Done);
        }
        let (engine, cx) = (self.engine, self.cx);
        let intent = chunk::swap_intent(engine, self.settings, prepared, &rebuild.table);
        if !self.write(Event::Begin(intent.clone())).await? {
            return Ok(PassEnd::Superseded);
        }
        let applied = finish::finish(engine, cx, &intent, finish::progress(&intent, true)).await;
        Ok(match self.commit(&intent, applied, None).await? {
            Next::Superseded => PassEnd::Superseded,
            Next::Chunk(..) | Next::Nothing => {
                self.report.note(format!("{} replaced {} in one job", rebuild.table, intent.target));
                PassEnd::Done
            }
        })
    }
}
