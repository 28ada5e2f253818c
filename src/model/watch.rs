//! Who looks on while a run works: what it has read and which step it is at, as atomics, so that the run waits for nobody.
//! Where nobody looks on, nothing is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It looks what is known of the table, and what is pending.
    Starting,
    /// To the source.
    Connecting,
    /// Catalog, plan, ceiling, target.
    Planning,
    /// Rows, into parts.
    Reading,
    /// Keys, of which those that are gone are found.
    ReadingKeys,
    /// Both sides' checksums.
    Comparing,
    /// Rows that differ.
    Repairing,
    /// A chunk is loaded into its staging table.
    Loading,
    /// A chunk is merged into the target.
    Merging,
    /// The state is written.
    Committing,
    /// Nothing of that kind.
    Nothing,
}

impl Step {
    /// In the order of their numbers.
    const ALL: [Self; 11] = [
        Self::Starting,
        Self::Connecting,
        Self::Planning,
        Self::Reading,
        Self::ReadingKeys,
        Self::Comparing,
        Self::Repairing,
        Self::Loading,
        Self::Merging,
        Self::Committing,
        Self::Nothing,
    ];

    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Connecting => "connecting",
            Self::Planning => "planning",
            Self::Reading => "reading",
            Self::ReadingKeys => "reading keys",
            Self::Comparing => "comparing",
            Self::Repairing => "repairing",
            Self::Loading => "loading",
            Self::Merging => "merging",
            Self::Committing => "committing",
            Self::Nothing => "",
        }
    }

    fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Nothing)
    }
}

/// What stands for "not known" among the rows that are expected.
const UNKNOWN: u64 = u64::MAX;

#[derive(Debug)]
struct Counters {
    rows: AtomicU64,
    bytes: AtomicU64,
    expected: AtomicU64,
    step: AtomicU8,
    applying: AtomicU8,
    connections: AtomicU32,
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Rows read and not given up.
    pub rows: u64,
    /// NDJSON bytes of them.
    pub bytes: u64,
    /// Rows that will have been read at the end, by an estimate; `None` without one.
    pub expected: Option<u64>,
    /// What is done at the source.
    pub step: Step,
    /// What is done meanwhile with the chunk before.
    pub applying: Step,
    /// Connections since rows were last committed: from the second on, it is tried again.
    pub connections: u32,
}

/// Rows and bytes at a moment, to which the counters go back where what was read since is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadSoFar {
    rows: u64,
    bytes: u64,
}

/// Where a run notes how far it is; cheap to clone and to pass.
#[derive(Clone, Debug, Default)]
pub struct Watch(Option<Arc<Counters>>);

impl Watch {
    /// One that somebody looks at.
    pub fn open() -> Self {
        Self(Some(Arc::new(Counters {
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            expected: AtomicU64::new(UNKNOWN),
            step: AtomicU8::new(Step::Starting as u8),
            applying: AtomicU8::new(Step::Nothing as u8),
            connections: AtomicU32::new(0),
        })))
    }

    /// How far it is now; `None` where nobody looks on.
    pub fn glance(&self) -> Option<Glance> {
        let counters = self.0.as_ref()?;
        let expected = counters.expected.load(Ordering::Relaxed);
        Some(Glance {
            rows: counters.rows.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            expected: (expected != UNKNOWN).then_some(expected),
            step: Step::of(counters.step.load(Ordering::Relaxed)),
            applying: Step::of(counters.applying.load(Ordering::Relaxed)),
            connections: counters.connections.load(Ordering::Relaxed),
        })
    }

    /// What is done at the source from now on.
    pub fn step(&self, step: Step) {
        if let Some(counters) = &self.0 {
            counters.step.store(step as u8, Ordering::Relaxed);
        }
    }

    /// A connection to the source begins.
    pub fn connecting(&self) {
        if let Some(counters) = &self.0 {
            counters.connections.fetch_add(1, Ordering::Relaxed);
        }
        self.step(Step::Connecting);
    }

    /// What is done with a chunk that was read, from now on.
    pub fn applying(&self, step: Step) {
        if let Some(counters) = &self.0 {
            counters.applying.store(step as u8, Ordering::Relaxed);
        }
    }

    /// From now on keys are read, and counted instead of rows.
    pub fn keys(&self) {
        self.back_to(ReadSoFar { rows: 0, bytes: 0 });
        self.expect(None);
    }

    /// A chunk is in the target.
    pub fn committed(&self) {
        if let Some(counters) = &self.0 {
            counters.connections.store(0, Ordering::Relaxed);
        }
        self.applying(Step::Nothing);
    }

    /// A block of rows was read. Called per block, never per row.
    pub fn block(&self, rows: u64, bytes: usize) {
        if let Some(counters) = &self.0 {
            counters.rows.fetch_add(rows, Ordering::Relaxed);
            counters.bytes.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Rows or keys are read from now on; gives what was read until now.
    pub fn reading(&self, step: Step) -> ReadSoFar {
        self.step(step);
        let load = |counter: fn(&Counters) -> &AtomicU64| {
            self.0.as_ref().map_or(0, |counters| counter(counters).load(Ordering::Relaxed))
        };
        ReadSoFar { rows: load(|counters| &counters.rows), bytes: load(|counters| &counters.bytes) }
    }

    /// What was read since is given up.
    pub fn back_to(&self, before: ReadSoFar) {
        if let Some(counters) = &self.0 {
            counters.rows.store(before.rows, Ordering::Relaxed);
            counters.bytes.store(before.bytes, Ordering::Relaxed);
        }
    }

    /// So many rows are left to read, by an estimate; `None` without one.
    pub fn expect(&self, left: Option<u64>) {
        if let Some(counters) = &self.0 {
            let rows = counters.rows.load(Ordering::Relaxed);
            let expected = left.and_then(|left| rows.checked_add(left)).unwrap_or(UNKNOWN);
            counters.expected.store(expected, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_survive_their_numbers() {
        for step in Step::ALL {
            assert_eq!(Step::of(step as u8), step);
        }
        assert_eq!(Step::of(200), Step::Nothing);
    }

    #[test]
    fn what_is_given_up_is_not_counted() {
        let watch = Watch::open();
        watch.expect(Some(100));
        watch.block(10, 1000);
        let before = watch.reading(Step::Reading);
        watch.block(5, 500);
        watch.back_to(before);
        watch.connecting();
        watch.connecting();
        let glance = watch.glance().map(|now| (now.rows, now.bytes, now.expected, now.step, now.connections));
        assert_eq!(glance, Some((10, 1000, Some(100), Step::Connecting, 2)));
        watch.committed();
        // what is left comes after what is there
        watch.expect(Some(7));
        assert_eq!(watch.glance().map(|now| (now.expected, now.connections)), Some((Some(17), 0)));
        watch.expect(None);
        assert_eq!(watch.glance().and_then(|now| now.expected), None);
    }

    #[test]
    fn nobody_looks_on() {
        let watch = Watch::default();
        watch.block(1, 1);
        watch.connecting();
        assert_eq!((watch.glance(), watch.reading(Step::Reading)), (None, ReadSoFar { rows: 0, bytes: 0 }));
    }
}
