//! Applies an intent: does what [`Progress`] says, tells it what it saw, until the rows are in the target.

use std::time::Duration;

use super::faults::Point;
use super::{Engine, RunError};
use crate::bucket::Bucket;
use crate::model::{self, Attempt, Intent, JobFailure, JobId, JobKind, JobStatus, Lane, TableSpec};
use crate::net::Context;
use crate::plan::finish::{Fact, Progress, Step};
use crate::report::JobReport;
use crate::warehouse::{ExtraRows, Job, Warehouse, Widening};

/// First wait between two looks at a job; grows by half.
const POLL_FIRST: Duration = Duration::from_millis(150);
/// The longest wait between two looks.
const POLL_MAX: Duration = Duration::from_secs(5);
/// Wait before the second attempt at a job; doubles up to half a minute.
const ATTEMPT_WAIT: Duration = Duration::from_secs(1);
/// How long a staging table lives: long enough for any retry, short enough to cost nothing.
const STAGING_LIFE: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
/// The most time that clean-up may take; what it leaves behind expires by itself.
pub(super) const CLEAN_MAX: Duration = Duration::from_secs(20);

/// What is known of an intent: nothing if it was found, that it has no jobs if it is our own and fresh.
pub(super) fn progress(intent: &Intent, fresh: bool) -> Progress {
    match (intent.lane, fresh) {
        (Lane::Swap, true) => Progress::fresh_swap(),
        (Lane::Swap, false) => Progress::found_swap(),
        (Lane::Live | Lane::Window | Lane::Reread | Lane::Nulls | Lane::Repair | Lane::Whole | Lane::Deletes, true) => {
            Progress::fresh(intent.rows)
        }
        (
            Lane::Live | Lane::Window | Lane::Reread | Lane::Nulls | Lane::Repair | Lane::Whole | Lane::Deletes,
            false,
        ) => Progress::found(intent.rows),
    }
}

/// Makes a column of the target wider, and waits for it.
pub(super) async fn widen<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    widening: &Widening,
) -> Result<(), RunError> {
    let id = JobId::widen(&engine.fresh_id());
    engine.warehouse.submit(cx, &id, Job::Widen(widening)).await?;
    let failure = ended(engine, cx, &id, &widening.job_project, &widening.location).await?;
    failure.map_or(Ok(()), |failure| Err(RunError::Widen { target: widening.table.clone(), failure }))
}

/// Removes rows of the target that the source does not have, and waits for it.
pub(super) async fn remove<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    extra: ExtraRows<'_>,
) -> Result<(), RunError> {
    let id = JobId::remove(&engine.fresh_id());
    engine.warehouse.submit(cx, &id, Job::Remove(extra)).await?;
    let failure = ended(engine, cx, &id, extra.scan.job_project, extra.scan.location).await?;
    failure.map_or(Ok(()), |failure| Err(RunError::Remove { target: extra.scan.table.clone(), failure }))
}

/// Waits for a job of no intent; gives its failure.
async fn ended<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    id: &JobId,
    project: &str,
    location: &str,
) -> Result<Option<Box<JobFailure>>, RunError> {
    let mut poll = POLL_FIRST;
    loop {
        cx.sleep(poll).await?;
        poll = (poll + poll / 2).min(POLL_MAX);
        match engine.warehouse.job(cx, id, project, location).await? {
            Some(JobStatus::Succeeded(_)) => return Ok(None),
            Some(JobStatus::Failed(failure)) => return Ok(Some(Box::new(failure))),
            Some(JobStatus::Running) | None => {}
        }
    }
}

/// How an intent ended.
#[derive(Debug)]
pub(super) enum Finished {
    /// Its rows are in the target.
    Applied(Vec<JobReport>),
    /// It can never be applied and must be dropped.
    Unappliable,
    /// Too many rows would go: nothing was changed, nothing of it can take effect any more, and it must be dropped.
    Refused(String),
}

/// Finishes `intent`, whoever wrote it.
pub(super) async fn finish<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    intent: &Intent,
    mut progress: Progress,
) -> Result<Finished, RunError> {
    let warehouse = &engine.warehouse;
    let mut jobs: Vec<JobReport> = Vec::new();
    let mut poll = POLL_FIRST;
    loop {
        let step = progress.next();
        tracing::debug!(intent = %intent.id, ?step, "next step of the intent");
        cx.watch().applying(told(&step));
        let fact = match step {
            Step::Ask(kind, attempt) => {
                let id = JobId::new(kind, &intent.id, attempt);
                let status = warehouse.job(cx, &id, &intent.job_project, &intent.location).await?;
                remember(&mut jobs, &id, status.as_ref());
                Fact::Job(kind, attempt, status)
            }
            Step::Wait(kind, attempt) => {
                cx.sleep(poll.mul_f64(0.8 + 0.4 * fastrand::f64())).await?;
                poll = (poll + poll / 2).min(POLL_MAX);
                let id = JobId::new(kind, &intent.id, attempt);
                let status = warehouse.job(cx, &id, &intent.job_project, &intent.location).await?;
                remember(&mut jobs, &id, status.as_ref());
                engine.faults.at(polled(kind)).await?;
                Fact::Job(kind, attempt, status)
            }
            Step::AskStaging => Fact::Staging(warehouse.table(cx, &intent.staging).await?.map(|info| info.rows)),
            Step::CreateStaging => {
                warehouse.create_table(cx, &staging_spec(engine, intent)).await?;
                engine.faults.at(Point::StagingCreated).await?;
                Fact::Staging(Some(0))
            }
            Step::SubmitLoad(attempt) => {
                settle(cx, attempt).await?;
                warehouse.create_table(cx, &staging_spec(engine, intent)).await?;
                engine.faults.at(Point::StagingCreated).await?;
                poll = POLL_FIRST;
                let kind = JobKind::Load;
                warehouse.submit(cx, &JobId::new(kind, &intent.id, attempt), Job::Load(intent)).await?;
                engine.faults.at(Point::LoadSubmitted).await?;
                Fact::Submitted(kind, attempt)
            }
            Step::SubmitMerge(attempt) => {
                settle(cx, attempt).await?;
                engine.faults.at(Point::Loaded).await?;
                poll = POLL_FIRST;
                let kind = JobKind::Merge;
                warehouse.submit(cx, &JobId::new(kind, &intent.id, attempt), Job::Merge(intent)).await?;
                engine.faults.at(Point::MergeSubmitted).await?;
                Fact::Submitted(kind, attempt)
            }
            Step::DeleteStaging => {
                warehouse.delete_table(cx, &intent.staging).await?;
                Fact::StagingDeleted
            }
            Step::Commit(_) => {
                engine.faults.at(Point::Merged).await?;
                return Ok(Finished::Applied(jobs));
            }
            Step::Drop => {
                return Ok(progress.refused().map_or(Finished::Unappliable, Finished::Refused));
            }
            Step::Fail(error) => return Err(RunError::Finish { intent: intent.id.clone(), error }),
        };
        progress.learn(fact);
    }
}

/// Before another attempt, what made the one before fail gets time to pass.
async fn settle(cx: &Context, attempt: Attempt) -> Result<(), RunError> {
    if attempt == Attempt::FIRST {
        return Ok(());
    }
    let doublings = (attempt.get() - 2).min(5);
    Ok(cx.sleep((ATTEMPT_WAIT * 2u32.pow(doublings)).mul_f64(0.5 + fastrand::f64() / 2.0)).await?)
}

/// The step as who looks on is told of it.
fn told(step: &Step) -> model::Step {
    match step {
        Step::Ask(JobKind::Load, _) | Step::Wait(JobKind::Load, _) => model::Step::Loading,
        Step::AskStaging | Step::CreateStaging | Step::SubmitLoad(_) => model::Step::Loading,
        Step::Ask(JobKind::Merge, _) | Step::Wait(JobKind::Merge, _) => model::Step::Merging,
        Step::SubmitMerge(_) | Step::DeleteStaging => model::Step::Merging,
        Step::Commit(_) => model::Step::Committing,
        Step::Drop | Step::Fail(_) => model::Step::Nothing,
    }
}

fn polled(kind: JobKind) -> Point {
    match kind {
        JobKind::Load => Point::LoadPolled,
        JobKind::Merge => Point::MergePolled,
    }
}

fn remember(jobs: &mut Vec<JobReport>, id: &JobId, status: Option<&JobStatus>) {
    if let Some(JobStatus::Succeeded(stats)) = status
        && jobs.iter().all(|job| job.id != id.as_str())
    {
        jobs.push(JobReport { id: id.to_string(), rows: stats.rows, bytes_billed: stats.bytes_billed });
    }
}

fn staging_spec<B, W>(engine: &Engine<B, W>, intent: &Intent) -> TableSpec {
    let expires = engine.ambient.now().checked_add(STAGING_LIFE).ok();
    TableSpec {
        table: intent.staging.clone(),
        schema: intent.schema.clone(),
        description: Some(format!("Highwater: rows on their way to {}", intent.target)),
        partitioning: None,
        clustering: Vec::new(),
        expires_at_ms: expires.map(jiff::Timestamp::as_millisecond),
    }
}

/// Deletes what an intent that is not pending any more has left: parts and staging table. What cannot be deleted
/// now expires by itself (lifecycle rule, table expiration), so an error is only logged.
pub(super) async fn clean<B: Bucket, W: Warehouse>(engine: &Engine<B, W>, cx: &Context, intent: &Intent) {
    let clean = async {
        engine.warehouse.delete_table(cx, &intent.staging).await?;
        engine.faults.at(Point::StagingDeleted).await?;
        delete_parts(engine, cx, &intent.parts).await?;
        Ok::<(), RunError>(engine.faults.at(Point::Cleaned).await?)
    };
    match cx.limit(CLEAN_MAX, clean).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(intent = %intent.id, error = error.one_line(), "clean-up left to expiration"),
        Err(interrupted) => tracing::info!(intent = %intent.id, %interrupted, "clean-up left to expiration"),
    }
}

/// Deletes parts by their `gs://` addresses or names.
pub(super) async fn delete_parts<B: Bucket, W>(
    engine: &Engine<B, W>,
    cx: &Context,
    parts: &[String],
) -> Result<(), RunError> {
    let root = engine.bucket.address("");
    for part in parts {
        engine.bucket.delete(cx, part.strip_prefix(&root).unwrap_or(part)).await?;
        engine.faults.at(Point::PartDeleted).await?;
    }
    Ok(())
}
