//! Bugs that are planted between the engine and its world, and what finds each.

use std::time::Duration;

use highwater::model::WindowUnit;

use super::history;
use super::plan::{Fill, Kind, Plan, Sight};
use super::world::BEGINNING_US;

/// Seeds that are tried before a planted bug counts as not found.
const SEEDS_MAX: u64 = 3_000;

macro_rules! plants {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A bug, as if Highwater had it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Plant {
            $($(#[$doc])* $name,)*
        }

        impl Plant {
            const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

plants! {
    /// A merge that runs is taken for one that succeeded.
    CommitBeforeMerge,
    /// Every attempt at a job has the same id.
    JobIdWithoutAttempt,
    /// Every submission has an id of its own.
    JobIdAtRandom,
    /// The state is written whatever its generation is.
    StateWithoutPrecondition,
    /// A write whose answer never came is taken for one that was refused.
    LostAnswerTakenForRefusal,
    /// … for one that took effect.
    LostAnswerTakenForSuccess,
    /// A refused write of the state is taken for one that took effect.
    CommitIgnores412,
    /// The ceiling does not know of open transactions.
    OpenTransactionsUnseen,
    /// The snapshot is older than the look at the open transactions.
    SnapshotBeforeTheLook,
    /// A job that runs is taken for one that failed.
    RunningTakenForFailed,
    /// A load appends to what an attempt before has loaded.
    LoadAppends,
    /// Parts are deleted when the merge is submitted.
    PartsDeletedBeforeCommit,
    /// Parts of others are deleted without a write of the state before.
    SweepWithoutFence,
    /// An operator's reset leaves the parts and the staging table of the intent that it drops to whoever works at it.
    ResetLeavesChunk,
    /// A chunk begins with the last row of the one before.
    KeysetInclusive,
    /// Chunks are cut by the cursor, without the key.
    KeysetByCursorAlone,
    /// A connection that breaks is taken for the end of the rows.
    BrokenReadTakenForWhole,
    /// A staging table that is there is taken for one that is loaded.
    StagingNotLookedAt,
    /// A merge writes older rows over newer ones.
    MergeWithoutGuard,
    /// A window by key is complete when its first chunk is applied.
    WindowEndsWithItsFirstChunk,
    /// A window has the first row of the next one too.
    WindowEndInclusive,
    /// A window that was begun is taken for complete.
    BegunTakenForComplete,
    /// A load by key ends with the last row, whether or not rows before it may still appear.
    LoadBeyondTheCeiling,
    /// Rows that came after the keys were read are taken for gone.
    DeletesWhateverIsNewer,
    /// Nobody remembers where the live sync of a table began whose older rows are brought by windows.
    BeginningForgotten,
}

fn fill(by: WindowUnit) -> Fill {
    Fill { by, start: None, processes: 2, runs: 2, window_rows: 5 }
}

impl Plant {
    /// Makes histories in which the bug can show.
    pub fn prepare(self, plan: &mut Plan) {
        if self == Self::OpenTransactionsUnseen {
            plan.sight = Sight::Full;
        }
        // a matter of moments: many short transactions, and looks that take their time
        if self == Self::SnapshotBeforeTheLook {
            (plan.sight, plan.kind, plan.operator) = (Sight::Full, Kind::MergeTime, false);
            (plan.writers, plan.transactions, plan.processes, plan.runs) = (2, 20, 4, 3);
            (plan.span, plan.slow_rate) = (Duration::from_secs(20), 0.4);
        }
        if self == Self::MergeWithoutGuard {
            (plan.kind, plan.fill) = (Kind::MergeTime, Some(fill(WindowUnit::Hour)));
        }
        let by_key = [Self::WindowEndsWithItsFirstChunk, Self::BegunTakenForComplete, Self::LoadBeyondTheCeiling];
        if by_key.contains(&self) {
            (plan.fill, plan.operator) = (Some(fill(WindowUnit::Key)), false);
            if plan.kind == Kind::Replace {
                plan.kind = Kind::MergeTime;
            }
        }
        if self == Self::DeletesWhateverIsNewer {
            (plan.kind, plan.deletes, plan.operator) = (Kind::MergeTime, true, false);
            // in the future, so that nobody but windows brings rows
            let start = Some(BEGINNING_US + 3_600_000_000);
            plan.fill = Some(Fill { start, ..fill(WindowUnit::Hour) });
        }
        if matches!(self, Self::WindowEndInclusive | Self::BeginningForgotten) {
            let start = Some(i64::from(plan.rows / 2) + 1);
            (plan.kind, plan.fill) = (Kind::AppendNumber, Some(Fill { start, ..fill(WindowUnit::Number) }));
            plan.operator = false;
        }
        if self == Self::BrokenReadTakenForWhole {
            plan.kind = Kind::Replace;
        }
        if self == Self::KeysetByCursorAlone {
            plan.kind = Kind::AppendTime;
        }
        if self == Self::ResetLeavesChunk {
            (plan.kind, plan.operator, plan.max_hold) = (Kind::MergeTime, true, Duration::from_secs(3_600));
        }
    }
}

/// Each is caught within a bounded number of histories.
pub fn planted_bugs_are_caught() {
    let mut missed = Vec::new();
    for &plant in Plant::ALL {
        let found = (0..SEEDS_MAX).find_map(|seed| Some((seed, history::play(seed, Some(plant), false).broken?)));
        match found {
            Some((seed, broken)) => {
                eprintln!("planted {plant:?}: caught in history {seed} by {:?}", broken.invariant);
            }
            None => missed.push(plant),
        }
    }
    assert!(missed.is_empty(), "not caught within {SEEDS_MAX} histories: {missed:?}");
}
