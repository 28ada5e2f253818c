//! How the tasks of a Cloud Run job share tables. Pure.
//!
//! Tasks can see different estimates and different tables, as they start at different moments. So a plan is made once for
//! an execution, and everybody goes by that (`state::ShareStore`): the largest table first, each to the task that has the
//! least. A table that the plan does not have is added to it by the task that sees it first, as its own.
//!
//! Architecture Invariant: whoever sees a table either finds it in the plan or puts it there; so none that a task saw is
//! nobody's.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use crate::model::{SHARES_VERSION, SharedTable, Shares, TableId};

/// What a table costs besides its rows, in rows: its jobs take some seconds, however few rows there are.
const TABLE_COST_ROWS: u64 = 10_000;

/// Deals the tables, each with an estimate of its rows, to so many tasks.
pub fn deal(tables: &[(TableId, Option<u64>)], tasks: u32) -> Shares {
    let mut largest_first: Vec<&(TableId, Option<u64>)> = tables.iter().collect();
    largest_first.sort_by(|(a, rows_of_a), (b, rows_of_b)| cost(*rows_of_b).cmp(&cost(*rows_of_a)).then(a.cmp(b)));
    largest_first.dedup_by(|(a, _), (b, _)| a == b);
    let mut loads: BinaryHeap<Reverse<(u64, u32)>> = (0..tasks).map(|task| Reverse((0, task))).collect();
    let mut shared = Vec::with_capacity(tables.len());
    for (id, rows) in largest_first {
        let Some(Reverse((load, task))) = loads.pop() else { break };
        shared.push(entry(id, *rows, task));
        loads.push(Reverse((load.saturating_add(cost(*rows)), task)));
    }
    Shares { version: SHARES_VERSION, tasks, tables: shared }
}

fn cost(rows: Option<u64>) -> u64 {
    rows.unwrap_or(0).saturating_add(TABLE_COST_ROWS)
}

fn entry(id: &TableId, rows: Option<u64>, task: u32) -> SharedTable {
    SharedTable { source: id.source.clone(), table: id.table.clone(), rows, task }
}

/// The plan with those of the tables that it lacks as this task's; `None` if it has all of them.
pub fn take(shares: &Shares, seen: &[TableId], task: u32) -> Option<Shares> {
    let known: HashSet<TableId> = shares.tables.iter().map(SharedTable::id).collect();
    let lacking: Vec<&TableId> = seen.iter().filter(|id| !known.contains(id)).collect();
    if lacking.is_empty() {
        return None;
    }
    let mut next = shares.clone();
    next.tables.extend(lacking.into_iter().map(|id| entry(id, None, task)));
    Some(next)
}

/// The tables of one task.
pub fn own(shares: &Shares, task: u32) -> Vec<&SharedTable> {
    shares.tables.iter().filter(|table| table.task == task).collect()
}

/// The task of a table where there is no plan: by its name alone, so that all tasks agree whatever they see.
pub fn by_name(id: &TableId, tasks: u32) -> u32 {
    // FNV-1a of 64 bits: the same in every version
    let hash = id
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // the low bits alone are those of the last characters
    let mixed = hash ^ (hash >> 32);
    u32::try_from(mixed % u64::from(tasks.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn id(name: &str) -> TableId {
        TableId {
            source: "s".parse().unwrap_or_else(|_| unreachable!("a name")),
            table: name.parse().unwrap_or_else(|_| unreachable!("a name")),
        }
    }

    fn names(shares: &Shares, task: u32) -> Vec<String> {
        own(shares, task).into_iter().map(|table| table.table.to_string()).collect()
    }

    fn load(shares: &Shares, task: u32) -> u64 {
        own(shares, task).into_iter().map(|table| cost(table.rows)).sum()
    }

    #[test]
    fn the_largest_is_alone() {
        let tables = [("a", 1_000), ("big", 10_000_000), ("c", 900_000), ("d", 800_000), ("e", 100_000)];
        let tables: Vec<_> = tables.iter().map(|(name, rows)| (id(name), Some(*rows))).collect();
        let shares = deal(&tables, 3);
        assert_eq!([names(&shares, 0), names(&shares, 1), names(&shares, 2)].concat().len(), 5);
        assert_eq!(
            (names(&shares, 0), names(&shares, 1)),
            (vec!["big".to_owned()], vec!["c".to_owned(), "a".to_owned()])
        );
        assert_eq!(names(&shares, 2), ["d", "e"]);
    }

    #[test]
    fn without_estimates_each_gets_as_many() {
        let tables: Vec<_> = (0..10).map(|at| (id(&format!("t{at}")), None)).collect();
        let shares = deal(&tables, 4);
        let counts: Vec<usize> = (0..4).map(|task| own(&shares, task).len()).collect();
        assert_eq!(counts, [3, 3, 2, 2]);
        let more_tasks = deal(&tables[..2], 4);
        let counts: Vec<usize> = (0..4).map(|task| own(&more_tasks, task).len()).collect();
        assert_eq!(counts, [1, 1, 0, 0]);
    }

    #[test]
    fn who_sees_a_table_first_takes_it() {
        let shares = deal(&[(id("a"), Some(5)), (id("b"), None)], 2);
        assert_eq!(take(&shares, &[id("a"), id("b")], 1), None);
        // also one that this task does not see stays in
        let Some(next) = take(&shares, &[id("b"), id("new")], 1) else { unreachable!("it lacks one") };
        assert_eq!((names(&next, 0), names(&next, 1)), (vec!["a".to_owned()], vec!["b".to_owned(), "new".to_owned()]));
        assert_eq!(take(&next, &[id("new"), id("a")], 0), None, "it is the other's");
    }

    #[test]
    fn names_alone_spread() {
        let mut counts = [0_u32; 8];
        for at in 0..800 {
            let task = by_name(&id(&format!("table_{at}")), 8);
            counts[task as usize] += 1;
        }
        assert!(counts.iter().all(|count| (60..=140).contains(count)), "{counts:?}");
        assert_eq!(by_name(&id("invoices"), 8), by_name(&id("invoices"), 8));
        assert_eq!(by_name(&id("invoices"), 1), 0);
    }

    proptest! {
        #[test]
        fn each_table_is_one_tasks(sizes in prop::collection::vec(prop::option::of(0_u64..1 << 40), 0..60), tasks in 1_u32..70) {
            let tables: Vec<_> = sizes.iter().enumerate().map(|(at, rows)| (id(&format!("t{at}")), *rows)).collect();
            let shares = deal(&tables, tasks);
            let all: Vec<String> = (0..tasks).flat_map(|task| names(&shares, task)).collect();
            prop_assert_eq!(all.len(), tables.len());
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), tables.len());
            // the order that the tables came in decides nothing
            let mut turned = tables.clone();
            turned.reverse();
            prop_assert_eq!(&deal(&turned, tasks), &shares);
            // a greedy deal: no task has more than its fair part and the largest table
            let most = (0..tasks).map(|task| load(&shares, task)).max().unwrap_or(0);
            let total: u64 = tables.iter().map(|(_, rows)| cost(*rows)).sum();
            let largest = tables.iter().map(|(_, rows)| cost(*rows)).max().unwrap_or(0);
            prop_assert!(most <= total / u64::from(tasks) + largest, "{} of {}", most, total);
        }

        /// Tasks that see different tables, in any order, starting and starting again: what any of them saw is somebody's, and
        /// a table stays whose it was.
        #[test]
        fn what_a_task_saw_is_somebodys(
            views in prop::collection::vec((0_u32..4, prop::collection::btree_set(0_u8..12, 0..12)), 1..12),
        ) {
            let mut plan: Option<Shares> = None;
            let mut taken: std::collections::HashMap<TableId, u32> = std::collections::HashMap::new();
            for (task, seen) in &views {
                let seen: Vec<TableId> = seen.iter().map(|at| id(&format!("t{at}"))).collect();
                let sized: Vec<_> = seen.iter().map(|id| (id.clone(), Some(u64::from(*task) * 1_000_000))).collect();
                let before = plan.take().unwrap_or_else(|| deal(&sized, 4));
                let after = take(&before, &seen, *task).unwrap_or(before);
                for table in &after.tables {
                    prop_assert_eq!(*taken.entry(table.id()).or_insert(table.task), table.task);
                }
                prop_assert!(seen.iter().all(|id| taken.contains_key(id)));
                plan = Some(after);
            }
        }
    }
}
