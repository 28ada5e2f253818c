//! Looks for rows of the target that are gone at the source: all keys are staged like a chunk, under an intent of their
//! own, and one statement compares.

use tokio::time::Instant;

use super::super::chunk::{self, Piece};
use super::super::faults::Point;
use super::super::finish;
use super::super::prepare::Prepared;
use super::super::{LookForDeletes, RunError};
use super::{PassEnd, Run, millis};
use crate::bucket::Bucket;
use crate::model::{DeletesPass, DeletesSettings, Fraction, Intent, Lane};
use crate::plan::deletes;
use crate::report::DeletesReport;
use crate::source::Session;
use crate::state::transition::Event;
use crate::warehouse::Warehouse;

impl<B: Bucket, W: Warehouse> Run<'_, B, W> {
    /// Takes away what is gone, if it is time to look. The session's snapshot must be no older than that of any row in the
    /// target: it is the one that this run's last rows came from, and a run that was faster makes the intent fail.
    pub(super) async fn deletes<S: Session>(
        &mut self,
        session: &mut S,
        prepared: &Prepared,
    ) -> Result<PassEnd, RunError> {
        let Some(settings) = self.settings.deletes.filter(|_| !self.deletes_done) else { return Ok(PassEnd::Done) };
        let now = matches!(self.options.deletes, LookForDeletes::Now { .. });
        if !now && !settings.is_due(self.at.state.deletes.as_ref(), prepared.now_us) {
            if let Some(counts) = self.at.state.deletes.as_ref().and_then(|last| last.refused.clone()) {
                self.report.note(format!("deletes were refused: {counts} rows are gone at the source"));
            }
            return Ok(PassEnd::Done);
        }
        if self.options.deletes == LookForDeletes::Never {
            self.report
                .note("it is time to look for rows that are gone at the source: a run would compare all keys".into());
            return Ok(PassEnd::Done);
        }
        if self.cx.is_stopping() {
            return Ok(PassEnd::OutOfTime);
        }
        let Some(intent) = self.stage_keys(session, prepared, settings).await? else { return Ok(PassEnd::Done) };
        if !self.write(Event::Begin(intent.clone())).await? {
            chunk::discard(self.engine, self.cx, &intent.parts).await;
            return Ok(PassEnd::Superseded);
        }
        self.engine.faults.at(Point::IntentWritten).await?;
        let begun = Instant::now();
        let applied = finish::finish(self.engine, self.cx, &intent, finish::progress(&intent, true)).await;
        self.report.durations_ms.apply += millis(begun.elapsed());
        Ok(match self.commit(&intent, applied, None).await? {
            super::Next::Superseded => PassEnd::Superseded,
            super::Next::Chunk(..) | super::Next::Nothing => PassEnd::Done,
        })
    }

    async fn stage_keys<S: Session>(
        &mut self,
        session: &mut S,
        prepared: &Prepared,
        settings: DeletesSettings,
    ) -> Result<Option<Box<Intent>>, RunError> {
        let LookForDeletes::Now { max_fraction: Some(max_fraction) } = self.options.deletes else {
            return self.stage_keys_up_to(session, prepared, settings).await;
        };
        self.stage_keys_up_to(session, prepared, DeletesSettings { max_fraction, ..settings }).await
    }

    async fn stage_keys_up_to<S: Session>(
        &mut self,
        session: &mut S,
        prepared: &Prepared,
        settings: DeletesSettings,
    ) -> Result<Option<Box<Intent>>, RunError> {
        let piece = Piece { deletes: pass(prepared, settings), ..Piece::new(Lane::Deletes) };
        let keys = Prepared { plan: prepared.plan.key_alone(), ..prepared.clone() };
        // keys are no rows that are moved: they are counted by themselves
        self.cx.watch().keys();
        let chunk = chunk::extract(self.engine, self.cx, self.settings, &keys, session, &piece).await?;
        self.report.durations_ms.extract += millis(chunk.took);
        let Some(mut intent) = chunk.intent else { return Ok(None) };
        // rows whose key cannot be written were rejected when they came, and are not in the target
        chunk::discard(self.engine, self.cx, &std::mem::take(&mut intent.rejects)).await;
        intent.rejected = 0;
        // an empty source is more often a mistake than the truth: somebody must say so, now
        if let Some(pass) = intent.deletes.as_mut().filter(|_| intent.rows == 0 && !self.may_empty()) {
            pass.max_fraction = pass.max_fraction.min(Fraction::NOT_ALL);
        }
        tracing::info!(intent = %intent.id, keys = intent.rows, "the source's keys are staged: looking for rows that are gone");
        Ok(Some(intent))
    }

    /// Whether somebody has said that the source may have no rows.
    fn may_empty(&self) -> bool {
        self.options.deletes == LookForDeletes::Now { max_fraction: Some(Fraction::ALL) }
    }

    /// What was refused, as an error: it must not pass in silence.
    pub(super) fn too_many(&self, intent: &Intent, counts: &str) -> RunError {
        let max = intent.deletes.as_ref().map_or(Fraction::ALL, |pass| pass.max_fraction);
        let (table, target, counts) = (self.settings.id.to_string(), intent.target.clone(), counts.to_owned());
        match intent.rows {
            0 => RunError::SourceEmpty { table, target, counts },
            _ => RunError::TooManyDeletes { table, target, counts, max },
        }
    }

    /// The keys were compared.
    pub(super) fn compared(&mut self, intent: &Intent, pass: &DeletesPass, affected: u64) {
        self.deletes_done = true;
        self.report.deletes = Some(DeletesReport { removal: pass.removal, keys: intent.rows, affected });
        tracing::info!(intent = %intent.id, keys = intent.rows, affected, removal = pass.removal.name(), "deletes committed");
    }
}

fn pass(prepared: &Prepared, settings: DeletesSettings) -> Option<DeletesPass> {
    let plan = &prepared.plan;
    let column = plan.columns.get(plan.cursor?)?;
    let ceiling = prepared.ceiling.as_ref().and_then(|ceiling| ceiling.bound.as_ref());
    let newest =
        ceiling.zip(column.cursor).and_then(|(bound, kind)| deletes::newest(bound, kind, column.ty, &prepared.zone));
    Some(DeletesPass {
        removal: settings.removal,
        max_fraction: settings.max_fraction,
        cursor: plan.names.get(plan.cursor?)?.clone(),
        cursor_type: column.ty,
        newest,
        at_us: prepared.now_us,
    })
}
