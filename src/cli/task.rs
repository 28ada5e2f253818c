//! A task of a Cloud Run job: which it is, and which tables are its share. Anywhere else there is one task, and it has all.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, output};
use crate::app::{App, Expansion, ExpansionFault, Sharer};
use crate::config::Env;
use crate::model::{Class, Code, SharedTable, SourceName, TableId, Told};
use crate::net::Context;
use crate::plan::shares;

/// The most tasks of an execution (Cloud Run, "Quotas and limits").
const TASKS_MAX: u32 = 10_000;
/// The most characters of an execution's name. Cloud Run's have some seventy.
const EXECUTION_CHARS_MAX: usize = 200;
/// The most time for agreeing on the shares.
const SHARE_MAX: Duration = Duration::from_secs(120);
/// How long a task that is not the first waits for the first to make the plan, so that catalogs are asked once.
const FOLLOW_MAX: Duration = Duration::from_secs(10);

/// One task of a job (container runtime contract, "Environment variables for jobs").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// Its index, below `count`.
    pub(super) index: u32,
    /// The number of tasks, at least 1.
    pub(super) count: u32,
    /// How often it was started before.
    attempt: u32,
    /// The name of the execution that all tasks belong to.
    execution: Option<String>,
}

/// Variables that say no task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadTask {
    /// Not a number.
    #[error("{name}={value:?} is not a number")]
    Number {
        /// The variable.
        name: &'static str,
        /// What it says.
        value: String,
    },
    /// One without the other.
    #[error("{there} is set and {lacks} is not: a task of a job has both")]
    Half {
        /// The variable that is set.
        there: &'static str,
        /// The other.
        lacks: &'static str,
    },
    /// More than Cloud Run takes.
    #[error("CLOUD_RUN_TASK_COUNT={0} is not from 1 to {TASKS_MAX}")]
    Count(u32),
    /// There is no such task.
    #[error("CLOUD_RUN_TASK_INDEX={index} is not below CLOUD_RUN_TASK_COUNT={count}")]
    Index {
        /// Its index.
        index: u32,
        /// The number of tasks.
        count: u32,
    },
    /// No name of an execution.
    #[error(
        "CLOUD_RUN_EXECUTION is no name of an execution: letters, digits, -, _ and . only, at most {EXECUTION_CHARS_MAX}"
    )]
    Execution,
}

impl BadTask {
    /// As people are told.
    pub(super) fn told(&self) -> Told {
        Told::new(Code::Task, &self.to_string())
    }
}

const INDEX: &str = "CLOUD_RUN_TASK_INDEX";
const COUNT: &str = "CLOUD_RUN_TASK_COUNT";

impl Task {
    /// That which the variables say.
    pub(super) fn of(env: &Env) -> Result<Self, BadTask> {
        let said = |name| env.get(name).filter(|text| !text.is_empty());
        let number = |name| {
            let read =
                |text: &str| text.parse::<u32>().map_err(|_not| BadTask::Number { name, value: text.to_owned() });
            said(name).map(read).transpose()
        };
        let (index, count) = match (number(INDEX)?, number(COUNT)?) {
            (Some(index), Some(count)) => (index, count),
            (None, None) => (0, 1),
            (Some(_), None) => return Err(BadTask::Half { there: INDEX, lacks: COUNT }),
            (None, Some(_)) => return Err(BadTask::Half { there: COUNT, lacks: INDEX }),
        };
        if !(1..=TASKS_MAX).contains(&count) {
            return Err(BadTask::Count(count));
        }
        if index >= count {
            return Err(BadTask::Index { index, count });
        }
        let attempt = number("CLOUD_RUN_TASK_ATTEMPT")?.unwrap_or(0);
        let execution = said("CLOUD_RUN_EXECUTION").map(execution).transpose()?;
        Ok(Self { index, count, attempt, execution })
    }

    /// Whether the window at this place is this task's.
    pub(super) fn has(&self, at: usize) -> bool {
        at % self.count as usize == self.index as usize
    }
}

/// The name becomes a part of an object's.
fn execution(name: &str) -> Result<String, BadTask> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name.len() <= EXECUTION_CHARS_MAX && name.chars().all(fine) {
        true => Ok(name.to_owned()),
        false => Err(BadTask::Execution),
    }
}

/// The tables that this task moves, of those that it sees, which are `all` or some that are named; says which share that
/// is. The error is an exit status.
pub(super) async fn share(
    app: &App,
    task: &Task,
    seen: Expansion,
    all: bool,
    json: bool,
    stop: &CancellationToken,
) -> Result<Vec<TableId>, u8> {
    let Expansion { tables, faults } = seen;
    let ids: Vec<TableId> = tables.iter().map(|table| table.id.clone()).collect();
    if task.count == 1 {
        return Ok(ids);
    }
    let Some(execution) = &task.execution else {
        let count = ids.len();
        let own: Vec<TableId> = ids.into_iter().filter(|id| shares::by_name(id, task.count) == task.index).collect();
        tell(task, (own.len(), count), None, json);
        return Ok(own);
    };
    // the first task makes the plan; should it be late, the others do. A task that starts again need not wait for it
    let wait = if task.index == 0 || task.attempt > 0 { Duration::ZERO } else { FOLLOW_MAX };
    let sharer = Sharer { execution, task: task.index, tasks: task.count, wait };
    let cx = Context::new(Instant::now() + SHARE_MAX, stop.clone());
    let plan = Box::pin(app.share(&cx, sharer, &tables)).await.map_err(|error| {
        output::fault(&Told::new(error.code(), &error.to_string()).of("the tasks' shares"));
        match error.class() {
            Class::Usage => EXIT_USAGE,
            Class::Permanent => EXIT_FAILED,
            Class::Transient => EXIT_RETRY,
        }
    })?;
    let mut seen = Seen { tables: ids.into_iter().collect(), unasked: unasked(&faults) };
    if all && shares::own(&plan, task.index).into_iter().any(|table| !seen.knows(table)) {
        // the plan can be younger than what this task saw
        let Expansion { tables, faults } = app.expand(stop).await;
        seen = Seen { tables: tables.into_iter().map(|table| table.id).collect(), unasked: unasked(&faults) };
    }
    // what is gone since the plan was made is nobody's
    let own: Vec<&SharedTable> = shares::own(&plan, task.index).into_iter().filter(|table| seen.knows(table)).collect();
    let rows = own.iter().filter_map(|table| table.rows).fold(0_u64, u64::saturating_add);
    tell(task, (own.len(), plan.tables.len()), Some(rows), json);
    Ok(own.into_iter().map(SharedTable::id).collect())
}

/// What a task saw when it looked for tables.
struct Seen {
    tables: HashSet<TableId>,
    /// Sources that did not answer, of whose tables nobody knows.
    unasked: HashSet<SourceName>,
}

impl Seen {
    fn knows(&self, table: &SharedTable) -> bool {
        self.tables.contains(&table.id()) || self.unasked.contains(&table.source)
    }
}

fn unasked(faults: &[ExpansionFault]) -> HashSet<SourceName> {
    faults.iter().filter(|fault| fault.unasked).map(|fault| fault.source.clone()).collect()
}

/// One line of the log, and one for a person.
fn tell(task: &Task, (own, all): (usize, usize), rows: Option<u64>, json: bool) {
    let (number, count) = (task.index + 1, task.count);
    let (execution, attempt) = (task.execution.as_deref(), task.attempt);
    let about = rows.map(|rows| format!(", about {rows} rows")).unwrap_or_default();
    let share = match own {
        0 => format!("task {number} of {count}: none of {all} tables is its share, nothing to do"),
        _ => format!("task {number} of {count}: {own} of {all} tables{about}"),
    };
    tracing::info!(task = task.index, tasks = count, attempt, execution, tables = own, of = all, rows, "{share}");
    if !json {
        output::line(&share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Index, count, other variables, and a part of what is said of them.
    type Bad<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

    fn task(index: &str, count: &str, more: &[(&str, &str)]) -> Result<Task, String> {
        let variables = [(INDEX, index), (COUNT, count)].into_iter().chain(more.iter().copied());
        let env = Env::new(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Task::of(&env).map_err(|fault| fault.to_string())
    }

    #[test]
    fn variables_say_which_task_it_is() {
        let alone = Task { index: 0, count: 1, attempt: 0, execution: None };
        assert_eq!(task("", "", &[]), Ok(alone));
        let third = task("2", "4", &[("CLOUD_RUN_TASK_ATTEMPT", "1"), ("CLOUD_RUN_EXECUTION", "sync-x7k2p")]);
        let wanted = Task { index: 2, count: 4, attempt: 1, execution: Some("sync-x7k2p".to_owned()) };
        assert_eq!(third, Ok(wanted.clone()));
        assert_eq!((0..8).filter(|at| wanted.has(*at)).collect::<Vec<_>>(), [2, 6]);
    }

    #[test]
    fn variables_that_say_none_are_told_in_one_line() {
        let attempt = [("CLOUD_RUN_TASK_ATTEMPT", "second")];
        let long = "x".repeat(EXECUTION_CHARS_MAX + 1);
        let bad: [Bad<'_>; 10] = [
            ("x", "4", &[], "CLOUD_RUN_TASK_INDEX=\"x\" is not a number"),
            ("-1", "4", &[], "CLOUD_RUN_TASK_INDEX=\"-1\" is not a number"),
            ("0", "4.5", &[], "CLOUD_RUN_TASK_COUNT=\"4.5\" is not a number"),
            ("0", "99999999999999999999", &[], "is not a number"),
            ("4", "4", &[], "CLOUD_RUN_TASK_INDEX=4 is not below CLOUD_RUN_TASK_COUNT=4"),
            ("0", "0", &[], "CLOUD_RUN_TASK_COUNT=0 is not from 1 to 10000"),
            ("0", "", &[], "CLOUD_RUN_TASK_INDEX is set and CLOUD_RUN_TASK_COUNT is not"),
            ("", "3", &[], "CLOUD_RUN_TASK_COUNT is set and CLOUD_RUN_TASK_INDEX is not"),
            ("0", "1", &attempt, "CLOUD_RUN_TASK_ATTEMPT=\"second\" is not a number"),
            ("0", "2", &[("CLOUD_RUN_EXECUTION", "../x")], "CLOUD_RUN_EXECUTION is no name"),
        ];
        for (index, count, more, wanted) in bad {
            let fault = task(index, count, more).err().unwrap_or_default();
            assert!(fault.contains(wanted) && !fault.contains('\n'), "{fault}");
        }
        assert!(task("0", "2", &[("CLOUD_RUN_EXECUTION", &long)]).is_err());
    }
}
