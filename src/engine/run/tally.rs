//! What a run counts and reports of its chunks, and what it sweeps at its end.

use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::super::chunk::Chunk;
use super::super::prepare::Prepared;
use super::super::{RunError, finish, sweep};
use super::{Run, millis};
use crate::bucket::Bucket;
use crate::mapping::CursorKind;
use crate::model::{Becomes, Bound, Class, Flow, FlowColumn, Intent, Lane, Position, TableSettings};
use crate::plan::{expected, freshness};
use crate::report::{JobReport, Outcome, RunReport};
use crate::warehouse::Warehouse;

/// What a look at the source came to, for what is said of the target's freshness.
pub(super) struct Seen {
    kind: Option<CursorKind>,
    bound: Option<Bound>,
    seen_us: Option<i64>,
    zone: TimeZone,
}

impl Seen {
    pub(super) fn of(prepared: &Prepared, settings: &TableSettings) -> Self {
        let plan = &prepared.plan;
        Self {
            kind: plan.cursor.and_then(|cursor| plan.columns.get(cursor)?.cursor),
            bound: prepared.ceiling.as_ref().and_then(|ceiling| ceiling.bound.clone()),
            seen_us: prepared.seen_us,
            zone: TimeZone::get(&settings.cursor_timezone).unwrap_or_else(|_unknown| prepared.zone.clone()),
        }
    }
}

impl<B: Bucket, W: Warehouse> Run<'_, B, W> {
    /// Keeps what the look at the source came to, for what is said of the run while it lasts and at its end.
    pub(super) fn look_at(&mut self, prepared: &Prepared) {
        self.seen = Some(Seen::of(prepared, self.settings));
        self.keep_flow(prepared);
        let bound = prepared.ceiling.as_ref().and_then(|ceiling| ceiling.bound.as_ref());
        self.expect(prepared, self.at.state.watermark.as_ref(), self.settings.backfill_start.as_deref(), bound);
    }

    /// Keeps which columns become which, for who is told of lineage.
    pub(super) fn keep_flow(&mut self, prepared: &Prepared) {
        let plan = &prepared.plan;
        let wanted = &self.settings.columns;
        let columns = plan.columns.iter().zip(&plan.names).map(|(column, target)| FlowColumn {
            source: column.name.clone(),
            source_type: column.source_type.clone(),
            target: target.clone(),
            becomes: if wanted.hash.contains(&column.name) {
                Becomes::Hash
            } else if column.cast.is_some() || wanted.types.contains_key(&column.name) {
                Becomes::Cast
            } else {
                Becomes::Same
            },
        });
        let target = plan.target.schema.0.iter().map(|field| (field.name.clone(), field.ty.to_string()));
        self.report.flow = Some(Box::new(Flow { columns: columns.collect(), target: target.collect() }));
    }

    /// Tells who looks on how many rows may be left, from `lower` (or `from`) up to `upper`.
    pub(super) fn expect(
        &self,
        prepared: &Prepared,
        lower: Option<&Position>,
        from: Option<&str>,
        upper: Option<&Bound>,
    ) {
        let state = &self.at.state;
        self.cx.watch().expect(expected::rows(expected::Input {
            table_rows: prepared.rows_estimate.filter(|_| self.window.is_none()),
            synced: state.rows_total,
            mode: self.settings.mode,
            filtered: self.settings.filter.is_some(),
            whole_numbers: prepared.plan.cursor_kind() == Some(CursorKind::Number),
            lower: lower.and_then(|at| at.cursor.as_deref()).or(from),
            begun: lower.is_some(),
            bounded_below: from.is_some() || state.began.is_some(),
            upper: upper.map(|bound| bound.value.as_str()),
        }));
    }

    /// The report of a run that ended so.
    pub(super) async fn concluded(mut self, begun: Instant, result: Result<Outcome, RunError>) -> RunReport {
        if result.is_ok() {
            self.sweep().await;
        }
        let fresh_as_of = self.fresh_as_of(&result);
        let mut report = self.report;
        report.fresh_as_of = fresh_as_of;
        report.durations_ms.total = millis(begun.elapsed());
        match result {
            Ok(outcome) => report.outcome = outcome,
            Err(RunError::Superseded) => report.outcome = Outcome::Superseded,
            Err(error) if error.is_budget() => {
                report.outcome = Outcome::Partial;
                report.note("the time budget is spent; the next run goes on".into());
            }
            Err(error) => {
                // what was synced before and cannot be any more is never only told
                let unusable = self.settings.matched.is_some() && self.at.state.basis.is_none() && error.is_unfit();
                report.outcome = if unusable { Outcome::Unusable } else { Outcome::Failed };
                if error.is_drift() {
                    report.drifted(error.one_line());
                }
                report.error = Some(error.failure());
            }
        }
        report
    }

    /// Up to which instant every row of the source is in the target, after a run that ended so.
    pub(super) fn fresh_as_of(&self, result: &Result<Outcome, RunError>) -> Option<String> {
        // a table that is built beside the target is not the target yet, and a load that is under way lacks rows
        let state = &self.at.state;
        let seen = self.seen.as_ref().filter(|_| state.rebuild.is_none() && state.load.is_none())?;
        let caught_up = matches!(result, Ok(Outcome::Synced | Outcome::UpToDate));
        let Seen { kind, ref bound, seen_us, ref zone } = *seen;
        let input = freshness::Input { kind, zone, bound: bound.as_ref(), seen_us, caught_up, state: &self.at.state };
        freshness::as_of(input).map(|at| format!("{at:.6}"))
    }

    pub(super) fn rejects_left(&self) -> u64 {
        self.settings.max_rejects.get().saturating_sub(self.rejected)
    }

    pub(super) fn has_time(&self) -> bool {
        !self.cx.is_stopping() && self.cx.remaining() > self.last_chunk + self.last_chunk / 5
    }

    pub(super) fn extracted(&mut self, chunk: &Chunk) {
        self.report.durations_ms.extract += millis(chunk.took);
        self.last_chunk = self.last_chunk.max(chunk.took);
        self.rejected += chunk.rejected;
        for finding in &chunk.findings {
            // once per column and run; the report counts them all
            if self.report.findings.iter().all(|known| known.column != finding.column) {
                tracing::warn!(
                    column = finding.column,
                    unrepresentable = finding.unrepresentable,
                    adjusted = finding.adjusted,
                    replaced = finding.replaced,
                    rejected = finding.rejected,
                    first_key = ?finding.first_key,
                    "values that did not arrive as they were"
                );
            }
        }
        self.report.add_findings(chunk.findings.clone());
    }

    pub(super) fn committed(&mut self, intent: &Intent, jobs: Vec<JobReport>, recovered: bool) {
        self.cx.watch().committed();
        self.report.recovered += u64::from(recovered);
        if let Some(pass) = &intent.deletes {
            let affected = jobs.iter().find(|job| job.id.starts_with("hw_merge_")).map_or(0, |job| job.rows);
            self.compared(intent, pass, affected);
            self.report.add_jobs(jobs);
            return;
        }
        self.report.rows += intent.rows;
        self.report.bytes += intent.bytes;
        self.report.parts += intent.parts.len() as u64;
        self.report.chunks += 1;
        self.report.add_rejects(intent.rejected, &intent.rejects);
        tracing::info!(chunk = self.report.chunks, intent = %intent.id, rows = intent.rows, "chunk committed");
        self.report.add_jobs(jobs);
        if !intent.rejects.is_empty() {
            tracing::warn!(rejected = intent.rejected, objects = ?intent.rejects, "rows were rejected and are kept");
        }
        if intent.lane == Lane::Nulls && !recovered {
            self.nulls_at.clone_from(&intent.upper);
        }
    }
    /// Whether the intent that could not be finished is not pending any more: another run has finished it and cleaned up
    /// while this one was at it. The state is then the one that is there now.
    pub(super) async fn is_overtaken(&mut self, intent: &Intent, error: &RunError) -> Result<bool, RunError> {
        if error.class() == Class::Transient {
            return Ok(false);
        }
        let now = self.store.read(self.cx).await?;
        let overtaken = now.state.intent.as_ref().is_none_or(|pending| pending.id != intent.id);
        if overtaken {
            tracing::info!(intent = %intent.id, error = error.one_line(), "another run has finished the intent meanwhile");
            (self.at, self.dirty) = (now, false);
            self.report.watermark_after.clone_from(&self.at.state.watermark);
        }
        Ok(overtaken)
    }

    /// Deletes leftovers that nobody can use any more. What cannot be deleted now is found again or expires, so an
    /// error is only logged.
    pub(super) async fn sweep(&mut self) {
        // a run that had nothing to write writes the state as it is: from then on they are nobody's
        if !self.fenced
            && self.leftovers.outlived(&self.at.state)
            && let Err(error) = self.flush().await
        {
            tracing::info!(error = error.one_line(), "leftovers are left to the next run");
        }
        let ids = self.leftovers.dead(&self.at.state, self.fenced);
        if ids.is_empty() {
            return;
        }
        let delete = sweep::delete(self.engine, self.cx, self.settings, &self.leftovers, &ids);
        match self.cx.limit(finish::CLEAN_MAX, delete).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = error.one_line(), "leftovers are left to the next run"),
            Err(interrupted) => tracing::info!(%interrupted, "leftovers are left to the next run"),
        }
    }
}
