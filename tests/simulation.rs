//! The engine in a simulated world: thousands of histories, each from one seed, none of them lost or doubled a row.
//!
//! `HIGHWATER_SIMULATIONS=N` plays N histories; `HIGHWATER_SIMULATION_SEED=S` plays one and prints its log.

mod bucket;
mod check;
mod database;
mod fill;
mod history;
mod plan;
mod planted;
mod process;
mod source;
mod warehouse;
mod world;
mod writers;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use highwater::engine::faults::Point;

use self::history::{Story, play};
use self::plan::Kind;
use crate::support::{Test, pure};

/// Histories of one run of the tests.
const HISTORIES: u64 = 10_000;
/// Every so many, a history is played twice: it must be the same.
const TWICE_EVERY: u64 = 100;
/// How often each fault point must be passed, and crashed at, in [`HISTORIES`] histories.
const PASSED_LEAST: u64 = 500;
const CRASHED_LEAST: u64 = 5;
/// What must happen in [`HISTORIES`] histories, or they show nothing.
const HAPPENS: [&str; 32] = [
    "backfills by key",
    "backfills by the cursor",
    "chunks of several parts",
    "chunks: deletes",
    "chunks: live",
    "chunks: nulls",
    "chunks: reread",
    "chunks: whole",
    "chunks: window",
    "fault: 409 on a job",
    "fault: 412 on a part",
    "fault: 412 on the state",
    "fault: connection reset before the request",
    "fault: effect after the caller gave up",
    "fault: effect and silence",
    "fault: effect without answer",
    "fault: job failed by quota",
    "fault: job failed for a passing reason",
    "fault: parts expired",
    "fault: parts missing at a load",
    "fault: refused with 429 or 503",
    "fault: source connection lost",
    "fault: staging tables expired",
    "intents dropped",
    "loads by key",
    "processes frozen",
    "reads cut by time",
    "rows deleted",
    "rows that came back",
    "runs that finished another's intent",
    "transactions longer than max_hold",
    "windows completed",
];
/// Lines of a failed history's log that are shown.
const TAIL: usize = 80;

pub fn tests() -> Vec<Test> {
    vec![
        pure(concat!(module_path!(), "::ten_thousand_histories"), ten_thousand_histories),
        pure(concat!(module_path!(), "::planted_bugs_are_caught"), planted::planted_bugs_are_caught),
    ]
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// What all histories came to.
#[derive(Default)]
struct Total {
    kinds: BTreeMap<Kind, u64>,
    counts: BTreeMap<&'static str, u64>,
    points: BTreeMap<Point, u64>,
    crashed_at: BTreeMap<Point, u64>,
    failed: Vec<u64>,
}

impl Total {
    fn add(&mut self, seed: u64, story: Story) {
        *self.kinds.entry(story.kind).or_default() += 1;
        self.failed.extend(story.broken.is_some().then_some(seed));
        for (what, times) in story.counts {
            *self.counts.entry(what).or_default() += times;
        }
        for (point, times) in story.points {
            *self.points.entry(point).or_default() += times;
        }
        for (point, times) in story.crashed_at {
            *self.crashed_at.entry(point).or_default() += times;
        }
    }

    /// What was to be seen was seen.
    fn assert_coverage(&self) {
        let rare = HAPPENS.iter().filter(|what| !self.counts.contains_key(*what)).collect::<Vec<_>>();
        assert!(rare.is_empty(), "did not happen in any history: {rare:?}");
        let seldom = |times: &BTreeMap<Point, u64>, least| {
            let few = Point::ALL.iter().filter(|point| times.get(point).is_none_or(|times| *times < least));
            few.map(|point| point.name()).collect::<Vec<_>>()
        };
        let (passed, crashed) = (seldom(&self.points, PASSED_LEAST), seldom(&self.crashed_at, CRASHED_LEAST));
        assert!(passed.is_empty() && crashed.is_empty(), "hardly passed: {passed:?}, hardly crashed at: {crashed:?}");
    }

    fn print(&self) {
        eprintln!("histories: {:?}", self.kinds);
        for (what, times) in &self.counts {
            eprintln!("  {times:>9} {what}");
        }
        for (point, times) in &self.points {
            let crashes = self.crashed_at.get(point).copied().unwrap_or_default();
            eprintln!("  {times:>9} passed {}, {crashes} crashed there", point.name());
        }
    }
}

fn ten_thousand_histories() {
    if let Some(seed) = number("HIGHWATER_SIMULATION_SEED") {
        return replay(seed, usize::MAX);
    }
    let histories = number("HIGHWATER_SIMULATIONS").unwrap_or(HISTORIES);
    let (next, total) = (AtomicU64::new(0), Mutex::new(Total::default()));
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= histories || total.lock().unwrap().failed.len() >= 5 {
                        return;
                    }
                    if seed % TWICE_EVERY == 0 {
                        assert_same(seed);
                    }
                    let story = play(seed, None, false);
                    total.lock().unwrap().add(seed, story);
                }
            });
        }
    });
    let mut total = total.into_inner().unwrap();
    total.print();
    total.failed.sort_unstable();
    if let Some(&seed) = total.failed.first() {
        eprintln!("histories that failed: {:?}", total.failed);
        replay(seed, TAIL);
    }
    if histories >= HISTORIES {
        total.assert_coverage();
    }
}

/// A history is the same each time that it is played, down to the last line of its log.
fn assert_same(seed: u64) {
    let (first, second) = (play(seed, None, true).log, play(seed, None, true).log);
    let differ = first.iter().zip(&second).find(|(one, other)| one != other);
    assert!(!first.is_empty() && differ.is_none(), "history {seed} played twice: {differ:?}");
    assert_eq!(first.len(), second.len(), "history {seed} played twice");
}

/// Plays one history and shows the end of its log.
fn replay(seed: u64, lines: usize) {
    let story = play(seed, None, true);
    for line in &story.log[story.log.len().saturating_sub(lines)..] {
        eprintln!("{line}");
    }
    if let Some(broken) = story.broken {
        panic!(
            "history {seed} breaks {:?}: {}; HIGHWATER_SIMULATION_SEED={seed} cargo test --features testing --test main \
             -- simulation::ten_thousand_histories plays it alone",
            broken.invariant, broken.detail
        );
    }
}
