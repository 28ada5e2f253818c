//! What a look at the source leaves in the state, before anything is read.

use super::super::RunError;
use super::super::prepare::Prepared;
use super::Run;
use crate::bucket::Bucket;
use crate::model::{Reread, TableState};
use crate::plan::{ceiling, verify};
use crate::state::transition::{self, Event};
use crate::warehouse::Warehouse;

impl<B: Bucket, W: Warehouse> Run<'_, B, W> {
    /// Where the settings say that a table begins that nothing was read of yet.
    fn begin_at(&mut self, prepared: &Prepared) -> Result<(), RunError> {
        let state = &self.at.state;
        let Some(start) = &self.settings.backfill_start else { return Ok(()) };
        let table = format!("{} (`backfill_start`)", self.settings.id);
        let from = verify::bound(&table, prepared.plan.cursor_kind(), start)?;
        if state.began.is_none() && state.watermark.is_none() && state.rebuild.is_none() {
            self.at.state = transition::apply(state, Event::BeginAt { from: Some(from), basis: None })?;
            self.dirty = true;
        } else if state.load.is_none() && state.began.as_ref() != Some(&from) {
            let began = state.began.as_deref().unwrap_or("its first row");
            self.report.note(format!(
                "`backfill_start` is {from}, and the sync began with {began}: `highwater backfill` brings what is below, \
                 `highwater reset` begins anew"
            ));
        }
        Ok(())
    }

    /// Takes what the look at the source left to remember into the state; it is written with the next write.
    pub(super) fn remember(&mut self, prepared: &Prepared) -> Result<(), RunError> {
        self.begin_at(prepared)?;
        if self.at.state.load.is_some() {
            self.report.note(format!(
                "its initial load is not complete: `highwater backfill {}` goes on with it",
                self.settings.id
            ));
        }
        let state = &self.at.state;
        let (note, holds, mut rereads) = match &prepared.ceiling {
            Some(found) => (found.note.clone(), found.holds.clone(), found.rereads.clone()),
            None => (state.note.clone(), state.holds.clone(), Vec::new()),
        };
        if prepared.backfill
            && let Some(to) = state.watermark.as_ref().and_then(|watermark| watermark.cursor.clone())
        {
            let below = match self.from() {
                Some(from) => {
                    format!(" from {from} on; `highwater backfill --again` reads those that backfills brought")
                }
                None => String::new(),
            };
            self.report.note(format!("columns were added: rows up to the watermark are read again{below}"));
            let again = Reread { from: self.from(), to, at: None, passed: false };
            rereads.extend((!self.at.state.rereads.contains(&again)).then_some(again));
        }
        rereads.extend(self.lookback(prepared));
        let event = Event::Remember { note, holds, rereads, basis: Some(Box::new(prepared.basis.clone())) };
        let next = transition::apply(&self.at.state, event)?;
        self.dirty |= next != self.at.state;
        self.at.state = next;
        Ok(())
    }

    /// The interval below the watermark that each run reads again.
    fn lookback(&mut self, prepared: &Prepared) -> Option<Reread> {
        let plan = &prepared.plan;
        let room = self.at.state.rereads.len() < TableState::REREADS_MAX;
        if self.settings.lookback.is_zero() || self.lookback_done || !room {
            return None;
        }
        self.lookback_done = true;
        let kind = plan.columns.get(plan.cursor?)?.cursor?;
        let to = self.at.state.watermark.as_ref()?.cursor.clone()?;
        let from = ceiling::cursor_before(kind, &to, self.settings.lookback)?;
        Some(Reread { from: Some(from), to, at: None, passed: false })
    }
}
