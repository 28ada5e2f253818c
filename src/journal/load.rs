//! Reports into the table of runs: settles the batch that is on its way, and begins the next.
//!
//! A job is submitted and not waited for: the next run that finds a batch due looks what became of it.

use jiff::{SignedDuration, Timestamp};

use super::doc::Found;
use super::{Journal, JournalError};
use crate::bucket::{Bucket, LISTED_MAX};
use crate::model::{JobFailure, RunsLoad, RunsPlace};
use crate::net::Context;
use crate::report::ledger::{self, Batch, Ledger, Settled};
use crate::report::record::{self, FOLDER, ReportName, RunId, RunRecord};
use crate::warehouse::RunsTable;

/// The most pages of a listing: a batch, and twice as many names that were taken.
const PAGES_MAX: usize = 3 * ledger::BATCH_MAX / LISTED_MAX + 1;
/// Changed with what the table or the view is made like.
const FORM: u32 = 1;

/// Reports that are not rows yet.
#[derive(Debug, Default)]
pub(super) struct Untaken {
    /// In order.
    pub(super) names: Vec<ReportName>,
    /// Whether there may be more.
    pub(super) more: bool,
}

impl<B: Bucket, W: RunsTable> Journal<'_, B, W> {
    /// Goes on with what was found, if it is time.
    pub(super) async fn load(
        &self,
        cx: &Context,
        found: Found<Ledger>,
        record: &RunRecord,
    ) -> Result<(), JournalError> {
        let (now, by) = (record.ended_at, &record.run_id);
        if !found.value.is_due(now, self.desk.reports.every) {
            return Ok(());
        }
        match self.settled(cx, &found, now, by).await? {
            Some(ledger) => self.begin(cx, &found, ledger, now, by).await,
            None => Ok(()),
        }
    }

    /// The ledger without a batch on its way, to be written; `None` while one is.
    pub(super) async fn settled(
        &self,
        cx: &Context,
        found: &Found<Ledger>,
        now: Timestamp,
        by: &RunId,
    ) -> Result<Option<Ledger>, JournalError> {
        let Some(batch) = &found.value.pending else { return Ok(Some(found.value.clone())) };
        let status = self.warehouse.runs_job(cx, &batch.job(), &batch.job_project, &batch.location).await?;
        match found.value.settle(status, now, self.desk.reports.every) {
            Settled::Loaded(next) => {
                tracing::info!(job = %batch.job(), reports = batch.reports.len(), "runs are in BigQuery");
                Ok(Some(next))
            }
            Settled::Waits => Ok(None),
            // who recorded it did not come to that
            Settled::Submit => self.submit(cx, batch).await.map(|()| None),
            Settled::Again(mut next, failure) => {
                self.failed(&failure);
                next.written_by = Some(by.clone());
                if self.ledger().write(cx, &next, found.generation).await?.is_some()
                    && let Some(batch) = &next.pending
                {
                    self.warehouse.make_runs(cx, &self.place_of(batch), &record::columns()).await?;
                    self.submit(cx, batch).await?;
                }
                Ok(None)
            }
            Settled::Dropped(next, failure) => {
                self.failed(&failure);
                Ok(Some(next))
            }
        }
    }

    /// Takes the reports that are not rows yet, if there are any.
    async fn begin(
        &self,
        cx: &Context,
        found: &Found<Ledger>,
        ledger: Ledger,
        now: Timestamp,
        by: &RunId,
    ) -> Result<(), JournalError> {
        let place = &self.desk.runs;
        let mut reports = self.untaken(cx, &ledger, now, ledger::BATCH_MAX).await?.names;
        reports.truncate(ledger::BATCH_MAX);
        if reports.is_empty() {
            return self.keep(cx, found, ledger, by).await.map(drop);
        }
        let made = format!("{FORM} {} {} {}", place.table, place.location, place.days);
        if ledger.made.as_ref() != Some(&made) {
            self.warehouse.make_runs(cx, place, &record::columns()).await?;
        }
        let batch = Batch {
            id: by.clone(),
            attempt: 1,
            table: place.table.clone(),
            location: place.location.clone(),
            job_project: place.job_project.clone(),
            reports,
        };
        let next = Ledger { written_by: Some(by.clone()), ..ledger.begun(batch.clone(), now, made) };
        match self.ledger().write(cx, &next, found.generation).await? {
            Some(_) => {
                self.desk.learn(&next);
                self.submit(cx, &batch).await
            }
            // another run was first
            None => Ok(()),
        }
    }

    /// Writes the ledger if it is another than was found; whether it is the one that is there.
    pub(super) async fn keep(
        &self,
        cx: &Context,
        found: &Found<Ledger>,
        mut ledger: Ledger,
        by: &RunId,
    ) -> Result<bool, JournalError> {
        if ledger == found.value {
            return Ok(true);
        }
        ledger.written_by = Some(by.clone());
        let written = self.ledger().write(cx, &ledger, found.generation).await?;
        self.desk.learn(&ledger);
        Ok(written.is_some())
    }

    async fn submit(&self, cx: &Context, batch: &Batch) -> Result<(), JournalError> {
        let reports: Vec<String> = batch.reports.iter().map(|name| self.bucket.address(&name.object())).collect();
        let load = RunsLoad {
            table: &batch.table,
            schema: &record::columns(),
            reports: &reports,
            bad_max: batch.bad_max(),
            location: &batch.location,
            job_project: &batch.job_project,
        };
        self.warehouse.load_runs(cx, &batch.job(), load).await?;
        tracing::info!(job = %batch.job(), reports = reports.len(), "reports are on their way to BigQuery");
        Ok(())
    }

    fn failed(&self, failure: &JobFailure) {
        tracing::warn!(job = %failure.job, error = failure.message, reason = failure.reason, "reports could not be loaded");
    }

    fn place_of(&self, batch: &Batch) -> RunsPlace {
        let (table, location) = (batch.table.clone(), batch.location.clone());
        RunsPlace { table, location, job_project: batch.job_project.clone(), days: self.desk.runs.days }
    }

    /// Reports that are not rows yet, at least `wanted` of them if there are so many, the oldest first.
    pub(super) async fn untaken(
        &self,
        cx: &Context,
        ledger: &Ledger,
        now: Timestamp,
        wanted: usize,
    ) -> Result<Untaken, JournalError> {
        // what is older would be dropped as soon as it is loaded
        let life = SignedDuration::from_hours(24 * i64::from(self.desk.reports.days));
        let oldest = now.checked_sub(life).unwrap_or(now);
        let mut from = ledger.list_from(oldest);
        let mut untaken = Untaken { names: Vec::new(), more: true };
        for _ in 0..PAGES_MAX {
            let page = self.bucket.list_from(cx, FOLDER, &from).await?;
            untaken.names.extend(ledger.untaken(&page, now));
            match page.last() {
                Some(last) if page.len() >= LISTED_MAX && ledger::is_report(last) => from = after(last),
                Some(_) | None => {
                    untaken.more = false;
                    break;
                }
            }
            if untaken.names.len() >= wanted {
                break;
            }
        }
        Ok(untaken)
    }
}

/// What a listing begins with that goes on behind this name.
pub(super) fn after(name: &str) -> String {
    // no report's name is between the two
    format!("{name}~")
}
