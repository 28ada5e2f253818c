//! What an intent needs next: the decisions of the protocol's rules 2, 6 and 7, without the acts.
//!
//! The engine asks [`Progress::next`], does it, tells what it saw by [`Progress::learn`], and asks again.
//! Architecture Invariant: no job of a new attempt is asked for before the jobs of all earlier attempts were seen.

use crate::model::{Attempt, JobFailure, JobKind, JobStats, JobStatus};

/// The most attempts at one job of an intent.
pub const JOB_ATTEMPTS_MAX: u32 = 5;

/// What is to be done next for an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look the job up.
    Ask(JobKind, Attempt),
    /// Wait until the job is done.
    Wait(JobKind, Attempt),
    /// Look whether the staging table is there and how many rows it has.
    AskStaging,
    /// Create the staging table if it is missing, then submit the load job.
    SubmitLoad(Attempt),
    /// Create the staging table if it is missing: there are no rows, so no parts and nothing to load.
    CreateStaging,
    /// Submit the merge job.
    SubmitMerge(Attempt),
    /// Delete the staging table, so that no merge can succeed any more.
    DeleteStaging,
    /// The rows are in the target: commit.
    Commit(JobStats),
    /// Parts and staging table are gone and no merge took effect: drop the intent.
    Drop,
    /// It cannot be finished as it is.
    Fail(FinishError),
}

/// Why an intent cannot be finished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinishError {
    /// A job failed for a reason that trying again does not mend.
    #[error("the {} job failed: {failure}", kind_name(*.kind))]
    Job {
        /// Which of the two jobs.
        kind: JobKind,
        /// Its failure.
        failure: Box<JobFailure>,
    },
    /// Every attempt failed for a passing reason.
    #[error("the {} job failed {attempts} times, last: {last}", kind_name(*.kind))]
    Exhausted {
        /// Which of the two jobs.
        kind: JobKind,
        /// How many attempts were made.
        attempts: u32,
        /// The last failure.
        last: Box<JobFailure>,
    },
    /// The load succeeded with another number of rows than were staged.
    #[error("the load job took {loaded} rows of the {staged} that were staged")]
    Rows {
        /// Rows in the staging table.
        loaded: u64,
        /// Rows of the intent.
        staged: u64,
    },
    /// The staging table vanished again and again.
    #[error("the staging table was gone after each of {0} load jobs")]
    StagingGone(u32),
}

fn kind_name(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Load => "load",
        JobKind::Merge => "merge",
    }
}

/// What the engine saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The job's status; `None` if there is no such job.
    Job(JobKind, Attempt, Option<JobStatus>),
    /// A job was submitted, or existed already.
    Submitted(JobKind, Attempt),
    /// Rows of the staging table; `None` if there is none.
    Staging(Option<u64>),
    /// The staging table is deleted.
    StagingDeleted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Unasked,
    Absent,
    Running,
    Succeeded(JobStats),
    Failed(JobFailure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Staging {
    Unknown,
    Ready,
    NotReady,
    /// Deleted by us because the parts are gone: nothing can bring it back.
    Condemned,
}

/// What is known of an intent's jobs.
#[derive(Clone, Debug)]
pub struct Progress {
    rows: u64,
    load: (Attempt, Seen),
    merge: (Attempt, Seen),
    staging: Staging,
}

impl Progress {
    /// Of an intent that was found: nothing is known of it. `rows` are the intent's.
    pub fn found(rows: u64) -> Self {
        let unasked = (Attempt::FIRST, Seen::Unasked);
        Self { rows, load: unasked.clone(), merge: unasked, staging: Staging::Unknown }
    }

    /// Of an intent that we have just written ourselves: no job of it can be older than our first, and if another
    /// process was faster, submitting the same id shows it.
    pub fn fresh(rows: u64) -> Self {
        let absent = (Attempt::FIRST, Seen::Absent);
        Self { rows, load: absent.clone(), merge: absent, staging: Staging::NotReady }
    }

    /// What is to be done next.
    pub fn next(&self) -> Step {
        let (attempt, seen) = &self.merge;
        match seen {
            Seen::Unasked => Step::Ask(JobKind::Merge, *attempt),
            Seen::Running => Step::Wait(JobKind::Merge, *attempt),
            Seen::Succeeded(stats) => Step::Commit(*stats),
            Seen::Failed(failure) => Step::Fail(final_failure(JobKind::Merge, *attempt, failure)),
            Seen::Absent => match self.staging {
                Staging::Unknown => Step::AskStaging,
                Staging::Ready => Step::SubmitMerge(*attempt),
                Staging::NotReady => self.next_of_load(),
                Staging::Condemned => Step::Drop,
            },
        }
    }

    fn next_of_load(&self) -> Step {
        if self.rows == 0 {
            return Step::CreateStaging;
        }
        let (attempt, seen) = &self.load;
        match seen {
            Seen::Unasked => Step::Ask(JobKind::Load, *attempt),
            Seen::Absent => Step::SubmitLoad(*attempt),
            Seen::Running => Step::Wait(JobKind::Load, *attempt),
            Seen::Failed(failure) if failure.parts_missing => Step::DeleteStaging,
            Seen::Failed(failure) => Step::Fail(final_failure(JobKind::Load, *attempt, failure)),
            // `learn` moves a success on: it is either ready, or another number of rows
            Seen::Succeeded(stats) if stats.rows != self.rows => {
                Step::Fail(FinishError::Rows { loaded: stats.rows, staged: self.rows })
            }
            Seen::Succeeded(_) => Step::Fail(FinishError::StagingGone(attempt.get())),
        }
    }

    /// Takes in what was seen.
    pub fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Job(JobKind::Merge, attempt, status) => self.learn_merge(attempt, seen(status)),
            Fact::Job(JobKind::Load, attempt, status) => self.learn_load(attempt, seen(status)),
            Fact::Submitted(JobKind::Merge, attempt) => self.merge = (attempt, Seen::Running),
            Fact::Submitted(JobKind::Load, attempt) => self.load = (attempt, Seen::Running),
            Fact::Staging(rows) => {
                self.staging = if rows == Some(self.rows) { Staging::Ready } else { Staging::NotReady };
            }
            Fact::StagingDeleted => {
                self.staging = Staging::Condemned;
                // somebody may have submitted the merge while the table was still there
                self.merge.1 = Seen::Unasked;
            }
        }
    }

    fn learn_merge(&mut self, attempt: Attempt, seen: Seen) {
        // a staging table that expired under the merge is loaded again: the failed job has changed nothing
        let again = matches!(&seen, Seen::Failed(failure) if failure.retryable || failure.reason == "notFound");
        if again && attempt.get() < JOB_ATTEMPTS_MAX {
            self.merge = (attempt.next(), Seen::Unasked);
            if self.staging != Staging::Condemned {
                self.staging = Staging::Unknown;
            }
        } else {
            self.merge = (attempt, seen);
        }
    }

    fn learn_load(&mut self, attempt: Attempt, seen: Seen) {
        let more = attempt.get() < JOB_ATTEMPTS_MAX;
        match &seen {
            Seen::Succeeded(stats) if stats.rows == self.rows => {
                if self.load == (attempt, Seen::Running) {
                    // we saw it end: its rows are there now
                    self.load = (attempt, seen);
                    self.staging = Staging::Ready;
                } else if more {
                    // it succeeded long ago and the table is gone since: load again
                    self.load = (attempt.next(), Seen::Unasked);
                } else {
                    self.load = (attempt, seen);
                }
            }
            Seen::Failed(failure) if failure.retryable && more => self.load = (attempt.next(), Seen::Unasked),
            Seen::Unasked | Seen::Absent | Seen::Running | Seen::Succeeded(_) | Seen::Failed(_) => {
                self.load = (attempt, seen);
            }
        }
    }
}

fn seen(status: Option<JobStatus>) -> Seen {
    match status {
        None => Seen::Absent,
        Some(JobStatus::Running) => Seen::Running,
        Some(JobStatus::Succeeded(stats)) => Seen::Succeeded(stats),
        Some(JobStatus::Failed(failure)) => Seen::Failed(failure),
    }
}

fn final_failure(kind: JobKind, attempt: Attempt, failure: &JobFailure) -> FinishError {
    if failure.retryable {
        FinishError::Exhausted { kind, attempts: attempt.get(), last: Box::new(failure.clone()) }
    } else {
        FinishError::Job { kind, failure: Box::new(failure.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IntentId, JobId};

    const ROWS: u64 = 10;
    const DONE: JobStats = JobStats { rows: ROWS, bytes_billed: 0 };

    fn at(attempt: u32) -> Attempt {
        (1..attempt).fold(Attempt::FIRST, |attempt, _| attempt.next())
    }

    fn failure(reason: &str, retryable: bool, parts_missing: bool) -> JobFailure {
        let job = JobId::new(JobKind::Load, &IntentId::new(0, 0), Attempt::FIRST);
        JobFailure { job, location: "EU".into(), reason: reason.into(), message: "m".into(), retryable, parts_missing }
    }

    fn failed(kind: JobKind, attempt: u32, reason: &str, retryable: bool) -> Fact {
        Fact::Job(kind, at(attempt), Some(JobStatus::Failed(failure(reason, retryable, reason == "gone"))))
    }

    fn job(kind: JobKind, attempt: u32, status: Option<JobStatus>) -> Fact {
        Fact::Job(kind, at(attempt), status)
    }

    /// Tells the facts one by one; before each, the step is the one on its left.
    fn walk(mut progress: Progress, story: Vec<(Step, Fact)>, end: Step) {
        for (number, (step, fact)) in story.into_iter().enumerate() {
            assert_eq!(progress.next(), step, "before fact {number}");
            progress.learn(fact);
        }
        assert_eq!(progress.next(), end);
    }

    use JobKind::{Load, Merge};
    const OK: Option<JobStatus> = Some(JobStatus::Succeeded(DONE));
    const RUNNING: Option<JobStatus> = Some(JobStatus::Running);

    #[test]
    fn a_fresh_intent_needs_no_look_up() {
        walk(
            Progress::fresh(ROWS),
            vec![
                (Step::SubmitLoad(at(1)), Fact::Submitted(Load, at(1))),
                (Step::Wait(Load, at(1)), job(Load, 1, RUNNING)),
                (Step::Wait(Load, at(1)), job(Load, 1, OK)),
                (Step::SubmitMerge(at(1)), Fact::Submitted(Merge, at(1))),
                (Step::Wait(Merge, at(1)), job(Merge, 1, OK)),
            ],
            Step::Commit(DONE),
        );
    }

    #[test]
    fn an_intent_without_rows_needs_no_load() {
        let empty = JobStats { rows: 3, bytes_billed: 0 };
        walk(
            Progress::fresh(0),
            vec![
                (Step::CreateStaging, Fact::Staging(Some(0))),
                (Step::SubmitMerge(at(1)), Fact::Submitted(Merge, at(1))),
                (Step::Wait(Merge, at(1)), job(Merge, 1, Some(JobStatus::Succeeded(empty)))),
            ],
            Step::Commit(empty),
        );
        walk(
            Progress::found(0),
            vec![(Step::Ask(Merge, at(1)), job(Merge, 1, None)), (Step::AskStaging, Fact::Staging(None))],
            Step::CreateStaging,
        );
    }

    #[test]
    fn a_found_intent_is_taken_up_where_it_is() {
        let found = || Progress::found(ROWS);
        // the merge is done
        walk(found(), vec![(Step::Ask(Merge, at(1)), job(Merge, 1, OK))], Step::Commit(DONE));
        // the merge is running
        walk(found(), vec![(Step::Ask(Merge, at(1)), job(Merge, 1, RUNNING))], Step::Wait(Merge, at(1)));
        // loaded, not merged
        walk(
            found(),
            vec![(Step::Ask(Merge, at(1)), job(Merge, 1, None)), (Step::AskStaging, Fact::Staging(Some(ROWS)))],
            Step::SubmitMerge(at(1)),
        );
        // the load is running
        walk(
            found(),
            vec![
                (Step::Ask(Merge, at(1)), job(Merge, 1, None)),
                (Step::AskStaging, Fact::Staging(Some(0))),
                (Step::Ask(Load, at(1)), job(Load, 1, RUNNING)),
                (Step::Wait(Load, at(1)), job(Load, 1, OK)),
            ],
            Step::SubmitMerge(at(1)),
        );
        // nothing was submitted
        walk(
            found(),
            vec![
                (Step::Ask(Merge, at(1)), job(Merge, 1, None)),
                (Step::AskStaging, Fact::Staging(None)),
                (Step::Ask(Load, at(1)), job(Load, 1, None)),
            ],
            Step::SubmitLoad(at(1)),
        );
    }

    #[test]
    fn an_expired_staging_table_is_loaded_again() {
        walk(
            Progress::found(ROWS),
            vec![
                (Step::Ask(Merge, at(1)), job(Merge, 1, None)),
                (Step::AskStaging, Fact::Staging(None)),
                (Step::Ask(Load, at(1)), job(Load, 1, OK)),
                (Step::Ask(Load, at(2)), job(Load, 2, None)),
                (Step::SubmitLoad(at(2)), Fact::Submitted(Load, at(2))),
                (Step::Wait(Load, at(2)), job(Load, 2, OK)),
            ],
            Step::SubmitMerge(at(1)),
        );
    }

    #[test]
    fn parts_that_are_gone_drop_the_intent_only_if_no_merge_took_effect() {
        let until_gone = || {
            vec![
                (Step::Ask(Merge, at(1)), job(Merge, 1, None)),
                (Step::AskStaging, Fact::Staging(None)),
                (Step::Ask(Load, at(1)), failed(Load, 1, "gone", false)),
                (Step::DeleteStaging, Fact::StagingDeleted),
            ]
        };
        let mut dropped = until_gone();
        dropped.push((Step::Ask(Merge, at(1)), job(Merge, 1, None)));
        walk(Progress::found(ROWS), dropped, Step::Drop);
        let mut merged = until_gone();
        merged.push((Step::Ask(Merge, at(1)), job(Merge, 1, OK)));
        walk(Progress::found(ROWS), merged, Step::Commit(DONE));
        let mut failed_since = until_gone();
        failed_since.push((Step::Ask(Merge, at(1)), failed(Merge, 1, "notFound", false)));
        failed_since.push((Step::Ask(Merge, at(2)), job(Merge, 2, None)));
        walk(Progress::found(ROWS), failed_since, Step::Drop);
    }

    #[test]
    fn attempts_go_on_only_for_passing_reasons_and_end() {
        walk(
            Progress::fresh(ROWS),
            vec![
                (Step::SubmitLoad(at(1)), Fact::Submitted(Load, at(1))),
                (Step::Wait(Load, at(1)), failed(Load, 1, "backendError", true)),
                (Step::Ask(Load, at(2)), job(Load, 2, None)),
            ],
            Step::SubmitLoad(at(2)),
        );
        walk(
            Progress::fresh(ROWS),
            vec![
                (Step::SubmitLoad(at(1)), Fact::Submitted(Load, at(1))),
                (Step::Wait(Load, at(1)), failed(Load, 1, "invalid", false)),
            ],
            Step::Fail(FinishError::Job { kind: Load, failure: Box::new(failure("invalid", false, false)) }),
        );
        let mut progress = Progress::found(ROWS);
        for attempt in 1..=JOB_ATTEMPTS_MAX {
            assert_eq!(progress.next(), Step::Ask(Merge, at(attempt)));
            progress.learn(failed(Merge, attempt, "backendError", true));
        }
        assert!(matches!(progress.next(), Step::Fail(FinishError::Exhausted { attempts: JOB_ATTEMPTS_MAX, .. })));
    }

    #[test]
    fn a_load_of_another_number_of_rows_fails() {
        let short = JobStats { rows: 9, bytes_billed: 0 };
        walk(
            Progress::fresh(ROWS),
            vec![
                (Step::SubmitLoad(at(1)), Fact::Submitted(Load, at(1))),
                (Step::Wait(Load, at(1)), job(Load, 1, Some(JobStatus::Succeeded(short)))),
            ],
            Step::Fail(FinishError::Rows { loaded: 9, staged: ROWS }),
        );
    }
}
