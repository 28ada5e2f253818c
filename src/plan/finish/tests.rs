//! Stories of intents: what is seen, and what is to be done next.

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
fn a_staging_table_that_expires_under_its_load_is_created_again() {
    walk(
        Progress::found(ROWS),
        vec![
            (Step::Ask(Merge, at(1)), job(Merge, 1, None)),
            (Step::AskStaging, Fact::Staging(Some(0))),
            (Step::Ask(Load, at(1)), job(Load, 1, None)),
            (Step::SubmitLoad(at(1)), Fact::Submitted(Load, at(1))),
            (Step::Wait(Load, at(1)), failed(Load, 1, "notFound", false)),
            (Step::Ask(Load, at(2)), job(Load, 2, None)),
            (Step::SubmitLoad(at(2)), Fact::Submitted(Load, at(2))),
            (Step::Wait(Load, at(2)), job(Load, 2, OK)),
        ],
        Step::SubmitMerge(at(1)),
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
    // those of earlier runs are looked up, all of them, and do not count as ours
    let mut progress = Progress::found(ROWS);
    for attempt in 1..=7 {
        assert_eq!(progress.next(), Step::Ask(Merge, at(attempt)));
        progress.learn(failed(Merge, attempt, "backendError", true));
    }
    progress.learn(job(Merge, 8, None));
    progress.learn(Fact::Staging(Some(ROWS)));
    for attempt in 8..8 + JOB_ATTEMPTS_PER_RUN {
        assert_eq!(progress.next(), Step::SubmitMerge(at(attempt)));
        progress.learn(Fact::Submitted(Merge, at(attempt)));
        progress.learn(failed(Merge, attempt, "backendError", true));
        progress.learn(job(Merge, attempt + 1, None));
        progress.learn(Fact::Staging(Some(ROWS)));
    }
    assert!(matches!(progress.next(), Step::Fail(FinishError::Exhausted { attempts: 12, .. })));
    // and there is an end to all of them
    let mut progress = Progress::found(ROWS);
    for attempt in 1..=JOB_ATTEMPTS_MAX {
        progress.learn(failed(Merge, attempt, "backendError", true));
    }
    // the chunk is given up and read again, unless a merge took effect after all
    assert_eq!(progress.next(), Step::DeleteStaging);
    progress.learn(Fact::StagingDeleted);
    assert_eq!(progress.next(), Step::Ask(Merge, at(JOB_ATTEMPTS_MAX)));
    let mut applied = progress.clone();
    applied.learn(job(Merge, JOB_ATTEMPTS_MAX, OK));
    assert_eq!(applied.next(), Step::Commit(DONE));
    progress.learn(failed(Merge, JOB_ATTEMPTS_MAX, "backendError", true));
    assert_eq!(progress.next(), Step::Drop);
    let mut progress = Progress::found(ROWS);
    progress.learn(job(Merge, 1, None));
    progress.learn(Fact::Staging(None));
    for attempt in 1..=JOB_ATTEMPTS_MAX {
        progress.learn(failed(Load, attempt, "accessDenied", false));
    }
    assert_eq!(progress.next(), Step::DeleteStaging);
}

#[test]
fn what_an_earlier_run_failed_with_may_have_been_mended() {
    walk(
        Progress::found(ROWS),
        vec![
            (Step::Ask(Merge, at(1)), job(Merge, 1, None)),
            (Step::AskStaging, Fact::Staging(Some(0))),
            (Step::Ask(Load, at(1)), failed(Load, 1, "accessDenied", false)),
            (Step::Ask(Load, at(2)), job(Load, 2, None)),
            (Step::SubmitLoad(at(2)), Fact::Submitted(Load, at(2))),
            (Step::Wait(Load, at(2)), failed(Load, 2, "accessDenied", false)),
        ],
        Step::Fail(FinishError::Job { kind: Load, failure: Box::new(failure("accessDenied", false, false)) }),
    );
}

#[test]
fn a_staging_table_that_expires_under_its_jobs_is_made_again() {
    walk(
        Progress::fresh(ROWS),
        vec![
            (Step::SubmitLoad(at(1)), Fact::Submitted(Load, at(1))),
            (Step::Wait(Load, at(1)), failed(Load, 1, "notFound", false)),
            (Step::Ask(Load, at(2)), job(Load, 2, None)),
            (Step::SubmitLoad(at(2)), Fact::Submitted(Load, at(2))),
            (Step::Wait(Load, at(2)), job(Load, 2, OK)),
            (Step::SubmitMerge(at(1)), Fact::Submitted(Merge, at(1))),
            (Step::Wait(Merge, at(1)), failed(Merge, 1, "notFound", false)),
            (Step::Ask(Merge, at(2)), job(Merge, 2, None)),
            (Step::AskStaging, Fact::Staging(None)),
            (Step::Ask(Load, at(2)), job(Load, 2, OK)),
            (Step::Ask(Load, at(3)), job(Load, 3, None)),
        ],
        Step::SubmitLoad(at(3)),
    );
}

#[test]
fn what_is_given_up_is_dropped_only_if_no_merge_took_effect() {
    let given_up = || Progress::given_up(ROWS);
    let deleted = || (Step::DeleteStaging, Fact::StagingDeleted);
    walk(given_up(), vec![deleted(), (Step::Ask(Merge, at(1)), job(Merge, 1, None))], Step::Drop);
    walk(given_up(), vec![deleted(), (Step::Ask(Merge, at(1)), job(Merge, 1, OK))], Step::Commit(DONE));
    walk(
        given_up(),
        vec![
            deleted(),
            (Step::Ask(Merge, at(1)), job(Merge, 1, RUNNING)),
            (Step::Wait(Merge, at(1)), failed(Merge, 1, "invalidQuery", false)),
            (Step::Ask(Merge, at(2)), job(Merge, 2, None)),
        ],
        Step::Drop,
    );
}

#[test]
fn a_quota_is_left_to_the_next_run() {
    let mut progress = Progress::fresh(ROWS);
    progress.learn(Fact::Submitted(Load, at(1)));
    progress.learn(failed(Load, 1, "quotaExceeded", false));
    assert!(matches!(progress.next(), Step::Fail(FinishError::Exhausted { attempts: 1, .. })));
    walk(
        Progress::found(ROWS),
        vec![
            (Step::Ask(Merge, at(1)), job(Merge, 1, None)),
            (Step::AskStaging, Fact::Staging(None)),
            (Step::Ask(Load, at(1)), failed(Load, 1, "quotaExceeded", false)),
            (Step::Ask(Load, at(2)), job(Load, 2, None)),
        ],
        Step::SubmitLoad(at(2)),
    );
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

#[test]
fn a_merge_that_would_delete_too_much_is_given_up() {
    let refused = |attempt| {
        let message = format!("{TOO_MANY_DELETES}: 3 of 11; at [1:2]");
        let failure = JobFailure { message, ..failure("invalidQuery", false, false) };
        Fact::Job(Merge, at(attempt), Some(JobStatus::Failed(failure)))
    };
    let story = || {
        vec![
            (Step::SubmitLoad(at(1)), Fact::Submitted(Load, at(1))),
            (Step::Wait(Load, at(1)), job(Load, 1, OK)),
            (Step::SubmitMerge(at(1)), Fact::Submitted(Merge, at(1))),
            (Step::Wait(Merge, at(1)), refused(1)),
            (Step::DeleteStaging, Fact::StagingDeleted),
            (Step::Ask(Merge, at(1)), refused(1)),
        ]
    };
    walk(Progress::fresh(ROWS), [story(), vec![(Step::Ask(Merge, at(2)), job(Merge, 2, None))]].concat(), Step::Drop);
    // somebody's second attempt found fewer rows gone
    let other = vec![(Step::Ask(Merge, at(2)), job(Merge, 2, RUNNING)), (Step::Wait(Merge, at(2)), job(Merge, 2, OK))];
    walk(Progress::fresh(ROWS), [story(), other].concat(), Step::Commit(DONE));
    let mut progress = Progress::found(ROWS);
    progress.learn(refused(1));
    assert_eq!((progress.refused().as_deref(), progress.next()), (Some("3 of 11"), Step::DeleteStaging));
}
