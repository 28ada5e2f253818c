//! Which tables begin now, in a process that runs them by their schedules. Pure: now is an argument.
//!
//! A table runs once at a time: what comes while it runs is counted and left out, and the next one is taken.

use jiff::{Timestamp, ToSpan as _};

use super::schedule;
use crate::model::{Schedule, TableId};

/// The longest sleep: a clock that is set while the process sleeps, or a machine that does, is noticed within it.
pub const SLEEP_SECONDS_MAX: i64 = 60;
/// A clock that goes back further than this was set: what is due is told anew by it.
const BACK_SECONDS_MAX: i64 = 120;

/// The tables and when they are due.
#[derive(Debug, Default)]
pub struct Timetable {
    entries: Vec<Entry>,
    /// The last look at the clock.
    seen: Option<Timestamp>,
}

#[derive(Debug)]
struct Entry {
    id: TableId,
    schedule: Schedule,
    due: Option<Timestamp>,
    running: bool,
    missed: u64,
}

/// A table that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Which.
    pub id: TableId,
    /// How many times it was due while it ran, since it last began.
    pub missed: u64,
}

impl Timetable {
    /// Takes these tables, and no others from now on. One that is there already, by the same schedule, stays as it is;
    /// one that ran before and is due since `last` begins at once.
    pub fn set(&mut self, tables: impl IntoIterator<Item = (TableId, Schedule, Option<Timestamp>)>, now: Timestamp) {
        let mut before = std::mem::take(&mut self.entries);
        for (id, schedule, last) in tables {
            let at = before.iter().position(|entry| entry.id == id);
            let known = at.map(|at| before.swap_remove(at));
            let due = schedule::next(&schedule, last.map_or(now, |last| last.min(now)));
            self.entries.push(match known {
                Some(known) if known.schedule == schedule => Entry { due: known.due.or(due), ..known },
                Some(known) => Entry { schedule, due, ..known },
                None => Entry { id, schedule, due, running: false, missed: 0 },
            });
        }
        // should one that still runs come back, it must not run twice
        let running = before.into_iter().filter(|entry| entry.running);
        self.entries.extend(running.map(|entry| Entry { due: None, ..entry }));
    }

    /// The tables that begin now; each counts as running until [`Timetable::ended`]. However often one was due since
    /// the last look, it begins once.
    pub fn begin(&mut self, now: Timestamp) -> Vec<Begin> {
        let set_back = self.seen.is_some_and(|seen| seconds_between(now, seen) > BACK_SECONDS_MAX);
        self.seen = Some(now);
        let mut begun = Vec::new();
        for entry in &mut self.entries {
            if set_back {
                entry.due = schedule::next(&entry.schedule, now);
            }
            if entry.due.is_none_or(|due| due > now) {
                continue;
            }
            entry.due = schedule::next(&entry.schedule, now);
            if entry.running {
                entry.missed += 1;
                continue;
            }
            entry.running = true;
            begun.push(Begin { id: entry.id.clone(), missed: std::mem::take(&mut entry.missed) });
        }
        begun
    }

    /// The table's run is over.
    pub fn ended(&mut self, id: &TableId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.id == *id) {
            entry.running = false;
        }
    }

    /// When to look again: at what is due next, and within a minute.
    pub fn look_again(&self, now: Timestamp) -> Timestamp {
        let limit = now.checked_add(SLEEP_SECONDS_MAX.seconds()).unwrap_or(Timestamp::MAX);
        self.entries.iter().filter_map(|entry| entry.due).fold(limit, Timestamp::min).max(now)
    }

    /// When the table is due next.
    pub fn due(&self, id: &TableId) -> Option<Timestamp> {
        self.entries.iter().find(|entry| entry.id == *id)?.due
    }
}

fn seconds_between(early: Timestamp, late: Timestamp) -> i64 {
    late.as_second().saturating_sub(early.as_second())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn id(name: &str) -> TableId {
        TableId { source: "s".parse().unwrap(), table: name.parse().unwrap() }
    }

    fn at(text: &str) -> Timestamp {
        format!("2024-01-01T{text}Z").parse().unwrap()
    }

    fn table(tables: &[(&str, &str)], now: &str) -> Timetable {
        let mut timetable = Timetable::default();
        let entries = tables.iter().map(|(name, text)| (id(name), Schedule::parse(text, "UTC").unwrap(), None));
        timetable.set(entries, at(now));
        timetable
    }

    fn begun(timetable: &mut Timetable, now: &str) -> Vec<(String, u64)> {
        timetable.begin(at(now)).into_iter().map(|begin| (begin.id.table.to_string(), begin.missed)).collect()
    }

    #[test]
    fn each_begins_at_its_time_and_once() {
        let mut timetable = table(&[("a", "*/5 * * * *"), ("b", "3 * * * *")], "00:00:00");
        assert_eq!(timetable.look_again(at("00:00:00")), at("00:01:00"));
        assert_eq!(timetable.look_again(at("00:02:30")), at("00:03:00"));
        assert_eq!(begun(&mut timetable, "00:02:59"), []);
        assert_eq!(begun(&mut timetable, "00:03:00"), [("b".to_owned(), 0)]);
        assert_eq!(begun(&mut timetable, "00:03:00"), []);
        assert_eq!(begun(&mut timetable, "00:05:01"), [("a".to_owned(), 0)]);
        assert_eq!(timetable.due(&id("a")), Some(at("00:10:00")));
    }

    #[test]
    fn what_comes_while_it_runs_is_counted_and_left_out() {
        let mut timetable = table(&[("a", "*/5 * * * *")], "00:00:00");
        assert_eq!(begun(&mut timetable, "00:05:00"), [("a".to_owned(), 0)]);
        assert_eq!(begun(&mut timetable, "00:10:00"), []);
        assert_eq!(begun(&mut timetable, "00:15:00"), []);
        timetable.ended(&id("a"));
        // not at once: at its next time
        assert_eq!(begun(&mut timetable, "00:16:00"), []);
        assert_eq!(begun(&mut timetable, "00:20:00"), [("a".to_owned(), 2)]);
        timetable.ended(&id("a"));
        assert_eq!(begun(&mut timetable, "00:25:00"), [("a".to_owned(), 0)]);
    }

    #[test]
    fn clocks_that_jump() {
        let mut timetable = table(&[("a", "*/5 * * * *")], "00:00:00");
        // a machine that slept for hours: one run
        assert_eq!(begun(&mut timetable, "07:01:00"), [("a".to_owned(), 0)]);
        timetable.ended(&id("a"));
        assert_eq!(timetable.due(&id("a")), Some(at("07:05:00")));
        // set back by a little: nothing twice
        assert_eq!(begun(&mut timetable, "07:05:00"), [("a".to_owned(), 0)]);
        timetable.ended(&id("a"));
        assert_eq!(begun(&mut timetable, "07:04:30"), []);
        assert_eq!(begun(&mut timetable, "07:05:00"), []);
        // set back by hours: it does not wait for them
        assert_eq!(begun(&mut timetable, "03:02:00"), []);
        assert_eq!(timetable.due(&id("a")), Some(at("03:05:00")));
    }

    #[test]
    fn tables_come_and_go() {
        let mut timetable = table(&[("a", "*/5 * * * *"), ("b", "*/5 * * * *")], "00:00:00");
        assert_eq!(begun(&mut timetable, "00:05:00").len(), 2);
        let every = Schedule::parse("*/5 * * * *", "UTC").unwrap();
        timetable.set([(id("a"), every.clone(), None), (id("c"), every.clone(), None)], at("00:06:00"));
        // a still runs
        assert_eq!(begun(&mut timetable, "00:10:00"), [("c".to_owned(), 0)]);
        // one that was gone while it ran, and is back
        timetable.set([(id("c"), every.clone(), None)], at("00:11:00"));
        timetable.set([(id("a"), every.clone(), None)], at("00:11:00"));
        assert_eq!(begun(&mut timetable, "00:15:00"), []);
        timetable.ended(&id("a"));
        assert_eq!(begun(&mut timetable, "00:20:00"), [("a".to_owned(), 2)]);
        let mut timetable = Timetable::default();
        // d was last written before its time, e after
        timetable.set(
            [(id("d"), every.clone(), Some(at("00:08:00"))), (id("e"), every, Some(at("00:11:00")))],
            at("00:12:00"),
        );
        assert_eq!(begun(&mut timetable, "00:12:00"), [("d".to_owned(), 0)]);
    }
}
