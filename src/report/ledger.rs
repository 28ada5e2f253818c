//! Which reports are in BigQuery: the small object that makes each of them a row exactly once. Pure.
//!
//! Reports are loaded in batches. A batch is `pending` in this object, by a conditional write, before a job of it is
//! submitted, and leaves it, by another, after a job of it was seen to be done. Its job ids are made from its id and the
//! number of the attempt; an attempt is in the object before its job is submitted, and the next only after that job was
//! seen to have failed, which changed nothing. So any number of processes may carry on with what they find.
//!
//! Names are ordered by the clocks of where runs ended, which differ, and a report appears a moment after it is named. So
//! what is listed begins well before what was taken last, and what was taken there is remembered:
//! - a process reads the greatest name that was taken or is on its way before it names a report, at most `every` earlier, and
//!   names none before it: after one look a clock that is behind does no harm;
//! - a listing begins [`OVERLAP`] before `through` as it was **one batch ago**, and moves on by half as much again as `every` a
//!   batch, at the most: a report that was named by what a process knew a few seconds before is found also where a clock
//!   that is ahead has moved `through` far, and one batch after the other was due by what clocks say;
//! - names of more than [`AHEAD_MAX`] after the clock of who lists are left to their time.
//!
//! What is missed then is what a process whose clock is behind by more than half an hour names before its first look. It
//! stays on the bucket.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::record::{FOLDER, ReportName, RunId, object_at, objects_from};
use crate::model::{BqTable, JobFailure, JobId, JobStatus};

/// The object's name.
pub const OBJECT: &str = "reports/loaded.json";
/// The version of the object's form.
pub const VERSION: u32 = 1;
/// The most bytes of the object: a batch and the names of two more.
pub const BYTES_MAX: u64 = 4 << 20;
/// The most reports of a batch: what one load job takes (BigQuery, "Quotas": 10,000 source URIs).
pub const BATCH_MAX: usize = 10_000;
/// How far before what was taken a listing begins.
pub const OVERLAP: Duration = Duration::from_secs(30 * 60);
/// How far after the clock of who lists a name may be.
pub const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);
/// A listing moves on by half as much again as `every` a batch, or as this.
const STEP_FOR_MIN: Duration = Duration::from_secs(10 * 60);
/// The most names that are remembered; beyond it a listing begins later.
const TAKEN_MAX: usize = 2 * BATCH_MAX;
/// From this attempt on a report that BigQuery cannot read is left out, so that it does not hold the others for ever.
const LENIENT_FROM: u32 = 4;

/// What was loaded, and what is being loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// [`VERSION`].
    pub version: u32,
    /// The greatest name that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<ReportName>,
    /// Where a listing begins: every name from here on that was taken is in `taken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Names that were taken and that a listing can find again, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<ReportName>,
    /// The batch that is being loaded.
    pub pending: Option<Batch>,
    /// When a batch was last begun or tried again, by the clock of who did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What table and view were last made like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// The run that wrote this: no two writes have the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<RunId>,
}

impl Default for Ledger {
    fn default() -> Self {
        let (through, from, taken, pending) = (None, None, Vec::new(), None);
        Self { version: VERSION, through, from, taken, pending, at: None, made: None, written_by: None }
    }
}

/// A batch of reports on its way. It says all that its jobs need, whatever the configuration says by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Fresh for each batch.
    pub id: RunId,
    /// The attempt that may be under way, from 1.
    pub attempt: u32,
    /// Where the rows go.
    pub table: BqTable,
    /// Where the job runs.
    pub location: String,
    /// Whose job it is.
    pub job_project: String,
    /// The reports, in order.
    pub reports: Vec<ReportName>,
}

impl Batch {
    /// The id of the attempt's job.
    pub fn job(&self) -> JobId {
        JobId::runs(self.id.as_str(), self.attempt)
    }

    /// Reports that the attempt may leave out.
    pub fn bad_max(&self) -> u32 {
        if self.attempt < LENIENT_FROM { 0 } else { u32::try_from(self.reports.len()).unwrap_or(u32::MAX) }
    }
}

/// What is to be done about a batch whose job was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The rows are there; this is the ledger then.
    Loaded(Ledger),
    /// It is under way.
    Waits,
    /// Nobody has submitted the attempt yet.
    Submit,
    /// It failed and changed nothing: the next attempt, once this is written.
    Again(Ledger, JobFailure),
    /// Reports of it are gone: what is left is taken again, once this is written.
    Dropped(Ledger, JobFailure),
}

impl Ledger {
    /// Whether it is time for a batch. A clock that was set back does not stop it.
    pub fn is_due(&self, now: Timestamp, every: Duration) -> bool {
        self.at.is_none_or(|at| at.duration_since(now).unsigned_abs() >= every)
    }

    /// What the pending batch needs; nothing pending is [`Settled::Loaded`] as it is.
    pub fn settle(&self, status: Option<JobStatus>, now: Timestamp, every: Duration) -> Settled {
        let Some(batch) = &self.pending else { return Settled::Loaded(self.clone()) };
        match status {
            None => Settled::Submit,
            Some(JobStatus::Running) => Settled::Waits,
            Some(JobStatus::Succeeded(_)) => Settled::Loaded(self.loaded(batch, every)),
            Some(JobStatus::Failed(failure)) if failure.parts_missing => {
                Settled::Dropped(Self { pending: None, ..self.clone() }, failure)
            }
            Some(JobStatus::Failed(failure)) => {
                let pending = Some(Batch { attempt: batch.attempt.saturating_add(1), ..batch.clone() });
                // the table may be what is missing
                Settled::Again(Self { pending, at: Some(now), made: None, ..self.clone() }, failure)
            }
        }
    }

    fn loaded(&self, batch: &Batch, every: Duration) -> Self {
        let mut taken: Vec<ReportName> = self.taken.iter().chain(&batch.reports).cloned().collect();
        taken.sort_unstable();
        taken.dedup();
        let through = batch.reports.last().max(self.through.as_ref()).cloned();
        // by what was taken before this batch
        let before = self.through.as_ref().and_then(ReportName::at);
        let from = before.and_then(|at| at.checked_sub(signed(OVERLAP)).ok());
        let step = signed(every.max(STEP_FOR_MIN)).saturating_mul(3) / 2;
        let most = match &self.from {
            Some(from) => object_at(from).and_then(|from| from.checked_add(step).ok()),
            None => taken.first().and_then(ReportName::at).and_then(|first| first.checked_sub(signed(OVERLAP)).ok()),
        };
        let from = from.map(|from| objects_from(most.map_or(from, |most| from.min(most))));
        let mut from = from.max(self.from.clone());
        let many = taken.len().saturating_sub(TAKEN_MAX);
        if many > 0 {
            taken.drain(..many);
            from = from.max(taken.first().map(ReportName::object));
        }
        if let Some(from) = &from {
            taken.retain(|name| name.object() >= *from);
        }
        Self { through, from, taken, pending: None, ..self.clone() }
    }

    /// The greatest name that was taken or is on its way: no report is named before it any more.
    pub fn reached(&self) -> Option<&ReportName> {
        self.pending.as_ref().and_then(|batch| batch.reports.last()).max(self.through.as_ref())
    }

    /// The least object's name of a listing, where nothing older than `oldest` is wanted.
    pub fn list_from(&self, oldest: Timestamp) -> String {
        let oldest = objects_from(oldest);
        self.from.clone().map_or_else(|| oldest.clone(), |from| from.max(oldest.clone()))
    }

    /// The reports among these objects that were not taken yet, in order; those that are named for a later time are left.
    pub fn untaken(&self, objects: &[String], now: Timestamp) -> Vec<ReportName> {
        let taken: HashSet<&ReportName> = self.taken.iter().collect();
        let limit = now.checked_add(signed(AHEAD_MAX)).ok().map(objects_from);
        let soon = |object: &&String| limit.as_ref().is_none_or(|limit| *object < limit);
        let names = objects.iter().filter(soon).filter_map(|object| ReportName::of_object(object));
        names.filter(|name| !taken.contains(name)).collect()
    }

    /// The ledger with that batch pending.
    #[must_use]
    pub fn begun(&self, batch: Batch, now: Timestamp, made: String) -> Self {
        Self { pending: Some(batch), at: Some(now), made: Some(made), ..self.clone() }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// The name that a report is given at `now`, by who knows what was reached.
pub fn name(now: Timestamp, id: &RunId, reached: Option<&ReportName>) -> ReportName {
    let known = reached.and_then(ReportName::at);
    ReportName::new(known.map_or(now, |known| known.max(now)), id)
}

/// Whether an object's name can be one of a report.
pub fn is_report(object: &str) -> bool {
    object.strip_prefix(FOLDER).is_some_and(|name| name.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::model::JobStats;

    const EVERY: Duration = Duration::from_secs(600);

    fn at(text: &str) -> Timestamp {
        format!("2026-01-31T{text}Z").parse().unwrap()
    }

    fn report(time: &str, random: u128) -> ReportName {
        ReportName::new(at(time), &RunId::new(at(time), random))
    }

    fn objects(names: &[&ReportName]) -> Vec<String> {
        names.iter().map(|name| name.object()).collect()
    }

    fn batch(reports: Vec<ReportName>) -> Batch {
        let table = BqTable { project: "p".into(), dataset: "_highwater".into(), table: "runs".into() };
        let id = RunId::new(at("12:00:00"), 1);
        Batch { id, attempt: 1, table, location: "EU".into(), job_project: "p".into(), reports }
    }

    fn succeeded() -> Option<JobStatus> {
        Some(JobStatus::Succeeded(JobStats::default()))
    }

    /// Takes these, as if loaded at once.
    fn take(ledger: &Ledger, reports: Vec<ReportName>, now: &str) -> Ledger {
        let begun = ledger.begun(batch(reports), at(now), "made".into());
        let Settled::Loaded(next) = begun.settle(succeeded(), at(now), EVERY) else { unreachable!("loaded") };
        next
    }

    #[test]
    fn a_batch_is_tried_until_it_is_loaded_and_never_twice_at_once() {
        let failure = |parts_missing| JobFailure {
            job: batch(vec![]).job(),
            location: "EU".into(),
            reason: "backendError".into(),
            message: "m".into(),
            retryable: true,
            parts_missing,
        };
        let begun = Ledger::default().begun(batch(vec![report("11:00:00", 1)]), at("12:00:00"), "made".into());
        assert_eq!(begun.settle(None, at("12:10:00"), EVERY), Settled::Submit);
        assert_eq!(begun.settle(Some(JobStatus::Running), at("12:10:00"), EVERY), Settled::Waits);
        let Settled::Again(again, _) = begun.settle(Some(JobStatus::Failed(failure(false))), at("12:10:00"), EVERY)
        else {
            unreachable!("again")
        };
        let pending = again.pending.clone().unwrap();
        assert_eq!((pending.attempt, pending.bad_max(), again.made.as_deref()), (2, 0, None));
        assert!(pending.job().as_str().ends_with("_2") && !again.is_due(at("12:11:00"), EVERY));
        assert_eq!(Batch { attempt: LENIENT_FROM, ..pending }.bad_max(), 1);
        let Settled::Dropped(dropped, _) = begun.settle(Some(JobStatus::Failed(failure(true))), at("12:10:00"), EVERY)
        else {
            unreachable!("dropped")
        };
        assert_eq!((dropped.pending, dropped.through), (None, None));
        let Settled::Loaded(loaded) = begun.settle(succeeded(), at("12:10:00"), EVERY) else { unreachable!("loaded") };
        assert_eq!((loaded.pending, loaded.through), (None, Some(report("11:00:00", 1))));
    }

    #[test]
    fn it_is_due_again_after_a_while_whatever_clocks_say() {
        let ledger = Ledger { at: Some(at("12:00:00")), ..Ledger::default() };
        for (now, due) in [("12:00:00", false), ("12:09:59", false), ("12:10:00", true), ("11:55:00", false)] {
            assert_eq!(ledger.is_due(at(now), EVERY), due, "{now}");
        }
        assert!(ledger.is_due(at("11:00:00"), EVERY) && Ledger::default().is_due(at("12:00:00"), EVERY));
    }

    #[test]
    fn a_report_with_an_older_name_that_appears_later_is_taken_once() {
        let (early, late) = (report("11:50:00", 1), report("12:00:00", 2));
        let first = take(&Ledger::default(), vec![late.clone()], "12:00:10");
        let from = first.list_from(at("00:00:00"));
        assert!(early.object() >= from && late.object() >= from, "{from}");
        assert_eq!(first.untaken(&objects(&[&early, &late]), at("12:01:00")), std::slice::from_ref(&early));
        let second = take(&first, vec![early.clone()], "12:10:10");
        assert_eq!(second.through, Some(late.clone()));
        assert_eq!(second.untaken(&objects(&[&early, &late]), at("12:11:00")), []);
    }

    #[test]
    fn a_clock_that_is_ahead_moves_nobody_out_of_sight() {
        let now = at("12:00:00");
        let usual = take(&Ledger::default(), vec![report("11:59:00", 1)], "12:00:00");
        // named by a clock that is six hours ahead: left until then, unless who lists has the same clock
        let ahead = report("18:00:00", 2);
        assert_eq!(usual.untaken(&objects(&[&ahead]), now), []);
        let moved = take(&usual, vec![ahead.clone()], "18:00:00");
        // who knows it names nothing before it; who does not yet is found by the next listing
        assert_eq!(name(now, &RunId::new(now, 3), moved.reached()).at(), ahead.at());
        let behind = report("12:00:01", 4);
        assert!(behind.object() >= moved.list_from(at("00:00:00")));
        assert_eq!(moved.untaken(&objects(&[&behind, &ahead]), now), [behind]);
    }

    #[test]
    fn what_is_remembered_is_what_can_be_listed_again() {
        let mut ledger = Ledger::default();
        for hour in 10..20 {
            ledger = take(&ledger, vec![report(&format!("{hour}:00:00"), 1)], &format!("{hour}:00:01"));
        }
        let from = ledger.list_from(at("00:00:00"));
        // it lags behind after hours without a run, and catches up with what is taken
        assert_eq!((ledger.taken.len(), from.as_str()), (8, "reports/2026/01/31/113000"));
        for minute in 0..60 {
            ledger = take(&ledger, vec![report(&format!("19:{minute:02}:30"), 1)], "19:59:59");
        }
        let from = ledger.list_from(at("00:00:00"));
        assert_eq!((ledger.taken.len(), from.as_str()), (32, "reports/2026/01/31/192830"));
        // as many as there may be: the listing begins later instead
        let many: Vec<ReportName> = (0..u128::from(u16::MAX)).map(|random| report("20:00:00", random)).collect();
        let full = take(&ledger, many, "20:00:01");
        assert_eq!((full.taken.len(), full.from.clone()), (TAKEN_MAX, Some(full.taken[0].object())));
        let text =
            serde_json::to_vec(&full.begun(batch(full.taken[..BATCH_MAX].to_vec()), at("21:00:00"), String::new()));
        assert!((text.unwrap().len() as u64) < BYTES_MAX);
        // nothing older is asked for than the table keeps
        assert_eq!(ledger.list_from(at("19:45:00")), "reports/2026/01/31/194500");
        assert!(is_report(&full.taken[0].object()) && !is_report(OBJECT));
    }
}
