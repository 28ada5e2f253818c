//! When a run looks for what crashed runs have left, and when it may delete it.

use super::Run;
use crate::bucket::Bucket;
use crate::engine::{RunError, finish, sweep};
use crate::report::Outcome;
use crate::warehouse::Warehouse;

impl<B: Bucket, W: Warehouse> Run<'_, B, W> {
    /// Lists what is staged, once a run and before it stages anything itself.
    pub(super) async fn look_for_leftovers(&mut self) {
        if self.leftovers.is_none() {
            self.fenced = false;
            self.leftovers = Some(sweep::find(self.engine, self.cx, self.settings).await);
        }
    }

    /// Deletes leftovers that nobody can use any more. What cannot be deleted now is found again or expires, so an
    /// error is only logged.
    pub(super) async fn sweep(&mut self, outcome: Outcome) {
        match self.cx.limit(finish::CLEAN_MAX, self.sweep_once(outcome)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = error.one_line(), "leftovers are left to the next run"),
            Err(interrupted) => tracing::info!(%interrupted, "leftovers are left to the next run"),
        }
    }

    async fn sweep_once(&mut self, outcome: Outcome) -> Result<(), RunError> {
        let Some(leftovers) = self.leftovers.take().filter(|found| found.any(&self.at.state)) else { return Ok(()) };
        // a run that had nothing to write writes the state as it is: from then on they are nobody's
        if !self.fenced && outcome == Outcome::UpToDate {
            self.at.state.written_at = self.engine.ambient.now().to_string();
            self.flush().await?;
        }
        if !self.fenced {
            return Ok(());
        }
        sweep::delete(self.engine, self.cx, self.settings, leftovers, &self.at.state).await
    }
}
