//! What an intent needs next: the decisions of the protocol's rules 2, 6 and 7, without the acts.
//!
//! The engine asks [`Progress::next`], does it, tells what it saw by [`Progress::learn`], and asks again.
//! Architecture Invariant: no job of a new attempt is asked for before the jobs of all earlier attempts were seen.

use crate::model::{Attempt, Code, JobFailure, JobKind, JobStats, JobStatus, NOT_WHOLE, TOO_MANY_DELETES};

/// The most attempts at one job of an intent that one run submits; the next run may try again.
pub const JOB_ATTEMPTS_PER_RUN: u32 = 5;
/// The most attempts at one job of an intent in all; beyond it the chunk is given up and read again.
pub const JOB_ATTEMPTS_MAX: u32 = 50;
/// BigQuery's reason for a quota that is refilled in minutes or hours: another attempt is for the next run.
const QUOTA: &str = "quotaExceeded";

/// BigQuery's reason for a table that is not there.
const NOT_FOUND: &str = "notFound";

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

impl FinishError {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::Job { .. } | Self::Rows { .. } => Code::JobFailed,
            Self::Exhausted { .. } | Self::StagingGone(_) => Code::JobExhausted,
        }
    }
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
    /// It was not loaded from parts: as long as it is there, it is what is to be applied.
    Standing,
    /// To be deleted before anything else: the intent is to be given up.
    Doomed,
    /// Deleted by us because the intent is given up, or gone by itself: nothing can bring it back.
    Condemned,
}

/// What is known of an intent's jobs.
#[derive(Clone, Debug)]
pub struct Progress {
    rows: u64,
    load: (Attempt, Seen),
    merge: (Attempt, Seen),
    staging: Staging,
    /// Attempts that we submitted, and the failure before the last.
    submitted: u32,
    last: Option<JobFailure>,
    /// What the merge said that was not willing.
    refused: Option<String>,
}

impl Progress {
    /// Of an intent that was found: nothing is known of it. `rows` are the intent's.
    pub fn found(rows: u64) -> Self {
        let unasked = (Attempt::FIRST, Seen::Unasked);
        Self {
            rows,
            load: unasked.clone(),
            merge: unasked,
            staging: Staging::Unknown,
            submitted: 0,
            last: None,
            refused: None,
        }
    }

    /// Of an intent that we have just written ourselves: no job of it can be older than our first, and if another
    /// process was faster, submitting the same id shows it.
    pub fn fresh(rows: u64) -> Self {
        let absent = (Attempt::FIRST, Seen::Absent);
        Self {
            rows,
            load: absent.clone(),
            merge: absent,
            staging: Staging::NotReady,
            submitted: 0,
            last: None,
            refused: None,
        }
    }

    /// Of a swap that was found: its staging table was built chunk by chunk, and there is nothing to load.
    pub fn found_swap() -> Self {
        Self { staging: Staging::Standing, ..Self::found(0) }
    }

    /// Of a swap that we have just written ourselves.
    pub fn fresh_swap() -> Self {
        Self { staging: Staging::Standing, ..Self::fresh(0) }
    }

    /// Of an intent that is to be given up: its staging table goes first, so that no merge can begin to succeed, and it
    /// is dropped unless one has succeeded already.
    pub fn given_up(rows: u64) -> Self {
        Self { staging: Staging::Doomed, ..Self::found(rows) }
    }

    /// What is to be done next.
    pub fn next(&self) -> Step {
        if self.staging == Staging::Doomed {
            return Step::DeleteStaging;
        }
        let (attempt, seen) = &self.merge;
        match seen {
            Seen::Unasked => Step::Ask(JobKind::Merge, *attempt),
            Seen::Running => Step::Wait(JobKind::Merge, *attempt),
            Seen::Succeeded(stats) => Step::Commit(*stats),
            Seen::Failed(_) if attempt.get() >= JOB_ATTEMPTS_MAX && self.staging == Staging::Condemned => Step::Drop,
            Seen::Failed(_) if attempt.get() >= JOB_ATTEMPTS_MAX && self.staging != Staging::Standing => {
                Step::DeleteStaging
            }
            Seen::Failed(failure) => Step::Fail(final_failure(JobKind::Merge, *attempt, failure)),
            Seen::Absent => match self.staging {
                Staging::Unknown => Step::AskStaging,
                Staging::Ready | Staging::Standing => {
                    self.unless_exhausted(JobKind::Merge, *attempt, Step::SubmitMerge(*attempt))
                }
                Staging::NotReady => self.next_of_load(),
                Staging::Condemned => Step::Drop,
                Staging::Doomed => Step::DeleteStaging,
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
            Seen::Absent => self.unless_exhausted(JobKind::Load, *attempt, Step::SubmitLoad(*attempt)),
            Seen::Running => Step::Wait(JobKind::Load, *attempt),
            Seen::Failed(failure) if failure.parts_missing => Step::DeleteStaging,
            Seen::Failed(_) if attempt.get() >= JOB_ATTEMPTS_MAX => Step::DeleteStaging,
            Seen::Failed(failure) => Step::Fail(final_failure(JobKind::Load, *attempt, failure)),
            // `learn` moves a success on: it is either ready, or another number of rows
            Seen::Succeeded(stats) if stats.rows != self.rows => {
                Step::Fail(FinishError::Rows { loaded: stats.rows, staged: self.rows })
            }
            Seen::Succeeded(_) => Step::Fail(FinishError::StagingGone(attempt.get())),
        }
    }

    fn unless_exhausted(&self, kind: JobKind, attempt: Attempt, step: Step) -> Step {
        match &self.last {
            Some(last) if self.submitted >= JOB_ATTEMPTS_PER_RUN => {
                let last = Box::new(last.clone());
                Step::Fail(FinishError::Exhausted { kind, attempts: attempt.get() - 1, last })
            }
            _ => step,
        }
    }

    /// Takes in what was seen.
    pub fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Job(JobKind::Merge, attempt, status) => self.learn_merge(attempt, seen(status)),
            Fact::Job(JobKind::Load, attempt, status) => self.learn_load(attempt, seen(status)),
            Fact::Submitted(kind, attempt) => {
                self.submitted += 1;
                let job = if kind == JobKind::Merge { &mut self.merge } else { &mut self.load };
                *job = (attempt, Seen::Running);
            }
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
        if let Some(why) = refusal(&seen).filter(|_| self.staging != Staging::Condemned) {
            // trying again would say the same; nobody else's attempt may succeed behind our back
            (self.refused, self.staging) = (Some(why), Staging::Doomed);
            self.merge = (attempt, seen);
            return;
        }
        // a staging table that expired under the merge is loaded again: the failed job has changed nothing
        let vanished = staging_vanished(&seen);
        // of an intent that is given up it only matters whether a merge succeeded
        let given_up = self.staging == Staging::Condemned && matches!(seen, Seen::Failed(_));
        let again = vanished || given_up || self.may_try_again(&self.merge, &seen);
        if again && attempt.get() < JOB_ATTEMPTS_MAX {
            self.remember(&seen);
            self.merge = (attempt.next(), Seen::Unasked);
            if vanished && matches!(self.load.1, Seen::Succeeded(_)) {
                self.load.1 = Seen::Unasked;
            }
            self.staging = match self.staging {
                Staging::Condemned => Staging::Condemned,
                Staging::Doomed => Staging::Doomed,
                Staging::Standing if vanished => Staging::Condemned,
                Staging::Standing => Staging::Standing,
                Staging::Unknown | Staging::Ready | Staging::NotReady => Staging::Unknown,
            };
        } else {
            self.merge = (attempt, seen);
        }
    }

    /// What the merge said that was not willing to delete so much; the intent is to be given up.
    pub fn refused(&self) -> Option<String> {
        self.refused.clone()
    }

    fn learn_load(&mut self, attempt: Attempt, seen: Seen) {
        let more = attempt.get() < JOB_ATTEMPTS_MAX;
        // a staging table that expired under the load is created again before the next attempt
        if more && (staging_vanished(&seen) || self.may_try_again(&self.load, &seen)) {
            self.remember(&seen);
            self.load = (attempt.next(), Seen::Unasked);
            return;
        }
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
            Seen::Unasked | Seen::Absent | Seen::Running | Seen::Succeeded(_) | Seen::Failed(_) => {
                self.load = (attempt, seen);
            }
        }
    }
}

impl Progress {
    /// Whether a job that was seen so may be submitted again, under the next attempt's id.
    fn may_try_again(&self, before: &(Attempt, Seen), now: &Seen) -> bool {
        match now {
            Seen::Failed(failure) if failure.parts_missing => false,
            // a quota that we have just run into ourselves is not there a moment later
            Seen::Failed(failure) if failure.reason == QUOTA => before.1 != Seen::Running,
            // what an earlier run failed with may have been mended since: a right that was missing, a job that somebody
            // cancelled
            Seen::Failed(failure) => failure.retryable || before.1 != Seen::Running,
            Seen::Unasked | Seen::Absent | Seen::Running | Seen::Succeeded(_) => false,
        }
    }

    fn remember(&mut self, seen: &Seen) {
        if let Seen::Failed(failure) = seen {
            self.last = Some(failure.clone());
        }
    }
}

/// Whether the job found no staging table, or one that was made anew since. A load that misses its parts is another matter.
fn staging_vanished(seen: &Seen) -> bool {
    let Seen::Failed(failure) = seen else { return false };
    failure.reason == NOT_FOUND && !failure.parts_missing || failure.message.contains(NOT_WHOLE)
}

/// What a merge says that would delete too much.
fn refusal(seen: &Seen) -> Option<String> {
    let Seen::Failed(failure) = seen else { return None };
    let from = failure.message.find(TOO_MANY_DELETES)? + TOO_MANY_DELETES.len();
    let counts = failure.message[from..].trim_start_matches(':').trim();
    Some(counts.chars().take_while(|c| c.is_ascii_digit() || " of".contains(*c)).collect::<String>().trim().to_owned())
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
    if failure.retryable || failure.reason == QUOTA {
        FinishError::Exhausted { kind, attempts: attempt.get(), last: Box::new(failure.clone()) }
    } else {
        FinishError::Job { kind, failure: Box::new(failure.clone()) }
    }
}

#[cfg(test)]
mod tests;
