//! The invariants of the protocol, looked at with every write of the state and at the end of every job.

mod windows;

use std::collections::BTreeMap;

use highwater::model::{Ask, Intent, Lane, Mode, Position, TableState};
use highwater::state::codec;

use super::bucket::intent_of;
use super::database::{Row, value_of};
use super::plan::Kind;
use super::process::OPERATOR;
use super::warehouse::chunk_of;
use super::world::World;
use crate::tell;

/// What became of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Pending,
    Committed,
    Dropped,
    /// An operator dropped it.
    Reset,
}

/// What the checker knows of an intent.
struct Known {
    chunk: Vec<u64>,
    merges: u32,
    end: End,
    ended_us: i64,
    rows: u64,
}

/// The name of the table's state object.
const LIVE: &str = "state/sim/t.json";

/// What the checker knows.
#[derive(Default)]
pub struct Check {
    state: TableState,
    /// The states of windows, by the names of their objects.
    windows: BTreeMap<String, TableState>,
    /// What was asked for.
    asks: Vec<Ask>,
    /// The cursor up to which the table is or was loaded by key.
    upto: Option<i64>,
    intents: BTreeMap<String, Known>,
    /// Watermarks that were, for an operator to go back to.
    pub watermarks: Vec<Position>,
}

impl Check {
    /// Whether that intent is pending.
    pub fn is_pending(&self, id: &str) -> bool {
        self.pending().any(|intent| intent.id.as_str() == id)
    }

    fn pending(&self) -> impl Iterator<Item = &Intent> {
        std::iter::once(&self.state).chain(self.windows.values()).filter_map(|state| state.intent.as_ref())
    }

    /// Rows that an intent's staging table is to have.
    pub fn rows_of(&self, staging: &str) -> Option<u64> {
        let id = staging.strip_prefix("hw_staging_")?;
        self.intents.get(id).map(|known| known.rows)
    }
}

fn sorted(rows: &[u64]) -> Vec<u64> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows
}

/// The lane's position in that state.
fn place(state: &TableState, lane: Lane) -> Option<&Position> {
    match lane {
        Lane::Live | Lane::Window => state.watermark.as_ref(),
        Lane::Reread => state.rereads.first().and_then(|reread| reread.at.as_ref()),
        Lane::Nulls | Lane::Repair | Lane::Whole | Lane::Swap | Lane::Deletes => None,
    }
}

/// A row's place in its order; without a cursor in order of keys.
fn place_of(position: &Position) -> (Option<i64>, i64) {
    (position.cursor.as_deref().map(value_of), value_of(&position.key[0]))
}

impl World {
    /// An object of the state has a new content.
    pub fn state_written(&mut self, name: &str, operator: bool, bytes: &[u8]) {
        self.count("state writes");
        if name != LIVE {
            return self.other_written(name, bytes);
        }
        let new = codec::decode(bytes).unwrap();
        let old = std::mem::take(&mut self.check.state);
        tell!(
            self,
            "state: watermark {:?}, began {:?}, load {:?}, intent {:?}, holds {:?}, rereads {:?}",
            new.watermark,
            new.began,
            new.load,
            new.intent.as_ref().map(|intent| (intent.id.as_str(), intent.lane, intent.rows)),
            new.holds,
            new.rereads
        );
        let committed = self.intents_changed(&old, &new, operator);
        if old.load != new.load && new.load.is_some() {
            self.load_begun(&old, &new);
        } else if !operator && old.watermark != new.watermark {
            self.watermark_moved(&old, &new, committed);
        }
        self.check.watermarks.extend(new.watermark.clone());
        self.check.state = new;
        if self.check.state.intent.is_none() || committed {
            self.nothing_slipped_by();
        }
    }

    /// Looks at the intents of an object of the state; whether one was committed.
    fn intents_changed(&mut self, old: &TableState, new: &TableState, operator: bool) -> bool {
        let ended = old.intent.as_ref().filter(|old| new.intent.as_ref().is_none_or(|new| new.id != old.id));
        let committed = ended.is_some_and(|intent| self.intent_ended(intent, old, new, operator));
        if let Some(intent) = new.intent.as_ref().filter(|new| old.intent.as_ref().is_none_or(|old| old.id != new.id)) {
            self.intent_begun(intent, new);
        }
        committed
    }

    fn intent_begun(&mut self, intent: &Intent, state: &TableState) {
        self.count(match intent.lane {
            Lane::Live => "chunks: live",
            Lane::Window => "chunks: window",
            Lane::Reread => "chunks: reread",
            Lane::Nulls => "chunks: nulls",
            Lane::Repair => "chunks: repair",
            Lane::Whole | Lane::Swap => "chunks: whole",
            Lane::Deletes => "chunks: deletes",
        });
        let id = intent.id.to_string();
        if self.check.intents.contains_key(&id) {
            return self.broke("an intent is written once", id);
        }
        let Some(chunk) = chunk_of(self, intent) else {
            return self.broke("a part exists before its intent", id);
        };
        if chunk.len() as u64 != intent.rows {
            return self.broke("a part is whole before its intent", format!("{id}: {} rows", chunk.len()));
        }
        if intent.parts.len() > 1 {
            self.count("chunks of several parts");
        }
        if intent.lower.as_ref() != place(state, intent.lane) && !matches!(intent.lane, Lane::Nulls) {
            return self.broke("an intent's lower is its lane's position", format!("{id}: {:?}", intent.lower));
        }
        if matches!(intent.lane, Lane::Whole | Lane::Deletes) && !self.database.held(&sorted(&chunk)) {
            return self.broke("a whole copy is the source at one moment", id);
        }
        let known = Known { chunk: sorted(&chunk), merges: 0, end: End::Pending, ended_us: 0, rows: intent.rows };
        self.check.intents.insert(id, known);
    }

    /// Whether the intent that is no longer pending was committed.
    fn intent_ended(&mut self, intent: &Intent, old: &TableState, new: &TableState, operator: bool) -> bool {
        let now_us = self.now_us();
        let id = intent.id.to_string();
        let moved = new.rows_total != old.rows_total || place(new, intent.lane) != place(old, intent.lane);
        let Some(known) = self.check.intents.get_mut(&id) else { return false };
        let applied = known.merges > 0;
        known.ended_us = now_us;
        known.end = match (operator, applied) {
            (true, _) => End::Reset,
            (false, true) => End::Committed,
            (false, false) => End::Dropped,
        };
        if operator {
            self.count("intents dropped by an operator");
            return false;
        }
        if !applied && moved {
            self.broke("the watermark moves only after the merge", id);
            return false;
        }
        let counted = if intent.lane == Lane::Deletes { 0 } else { intent.rows };
        if applied && new.rows_total != old.rows_total + counted {
            self.broke("an intent that was applied is committed", id);
            return false;
        }
        if !applied {
            self.count("intents dropped");
            let refused = new.deletes.as_ref().is_some_and(|last| last.refused.is_some());
            if intent.lane == Lane::Deletes && refused {
                return false;
            }
            if chunk_of(self, intent).is_some() {
                self.broke("an intent is dropped only when its parts are gone", id);
            }
            return false;
        }
        if matches!(intent.lane, Lane::Live | Lane::Window) && new.watermark != intent.upper {
            self.broke("a commit moves the watermark to the intent's upper", id);
        }
        true
    }

    fn watermark_moved(&mut self, old: &TableState, new: &TableState, committed: bool) {
        let Some(intent) = old.intent.as_ref().filter(|intent| committed && intent.lane == Lane::Live) else {
            return self.broke("the watermark moves only by a commit", format!("{:?}", new.watermark));
        };
        let (before, after) = (old.watermark.as_ref().map(place_of), new.watermark.as_ref().map(place_of));
        if after <= before {
            self.broke("the watermark never moves back", format!("{} to {after:?}", intent.id));
        }
    }

    /// Every row that is at or below the watermark now is in the target, unless it is to be read again.
    fn nothing_slipped_by(&mut self) {
        if self.plan.kind == Kind::Replace {
            return;
        }
        let state = &self.check.state;
        let Some(watermark) = state.watermark.as_ref().map(place_of) else { return };
        let column = self.plan.cursor().unwrap();
        let target = self.tables.get("t").map(|table| sorted(&table.rows)).unwrap_or_default();
        let missing = self.database.now().values().copied().find(|row| {
            let Some(value) = row.value(column) else { return false };
            (Some(value), row.id) <= watermark
                && target.binary_search(&row.v).is_err()
                && !self.comes_again(row, value)
                && !self.is_left_to_windows(value)
        });
        if let Some(row) = missing {
            self.broke("no row slips below the watermark", format!("{row:?}, watermark {watermark:?}"));
        }
    }

    /// Whether the row's interval is to be read again.
    fn comes_again(&self, row: &Row, value: i64) -> bool {
        let state = &self.check.state;
        let held = state.holds.iter().map(|hold| hold.from.as_deref().map_or(i64::MIN, value_of)).min();
        let in_interval = |reread: &highwater::model::Reread| {
            let after = reread.at.as_ref().map(place_of).is_none_or(|at| (Some(value), row.id) > at);
            after && reread.from.as_deref().is_none_or(|from| value >= value_of(from)) && value <= value_of(&reread.to)
        };
        held.is_some_and(|from| value >= from) || state.rereads.iter().any(in_interval)
    }

    pub fn job_submitted(&mut self, id: &str, intent: &Intent) {
        if !self.check.intents.contains_key(intent.id.as_str()) {
            self.broke("an intent exists before its jobs", id.to_owned());
        }
    }

    /// A merge job is about to take effect with these rows.
    pub fn merging(&mut self, id: &str, intent: &Intent, staged: &[u64]) {
        let Some(known) = self.check.intents.get_mut(intent.id.as_str()) else { return };
        known.merges += 1;
        let whole = known.chunk == sorted(staged);
        match (known.merges, known.end) {
            (2.., _) => self.broke("a chunk is applied once", id.to_owned()),
            (_, End::Dropped | End::Reset) => self.broke("no job of a dropped intent takes effect", id.to_owned()),
            (_, End::Pending | End::Committed) if whole => {}
            (_, End::Pending | End::Committed) => {
                self.broke("a merge applies its intent's rows", format!("{id}: {} rows", staged.len()));
            }
        }
    }

    /// A merge job has taken effect.
    pub fn merged(&mut self, id: &str, intent: &Intent) {
        self.count("merges");
        let target = &self.tables.get(&intent.target.table).unwrap().rows;
        let mut ids: Vec<i64> = target.iter().map(|v| self.database.version(*v).id).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            self.broke("no row is in the target twice", format!("row {} after {id}", twice[0]));
        }
    }

    /// These rows are taken for gone.
    pub fn deleted(&mut self, id: &str, gone: &[u64]) {
        self.count("deletes");
        let column = self.plan.cursor().unwrap();
        let rows = self.database.now();
        let there = gone.iter().find_map(|v| rows.get(&self.database.version(*v).id).filter(|row| row.v == *v));
        let lost = there.copied().filter(|row| match row.value(column) {
            Some(value) => !self.comes_yet(row, value),
            None => !self.plan.nulls,
        });
        *self.counts.entry("rows deleted").or_default() += gone.len() as u64;
        if let Some(row) = lost {
            self.broke("no row is taken for gone that is there", format!("{id}: {row:?}"));
        }
    }

    pub fn part_deleted(&mut self, who: &str, name: &str) {
        if who == OPERATOR {
            return;
        }
        let id = intent_of(name);
        if self.check.is_pending(id) && self.check.intents.get(id).is_some_and(|known| known.merges == 0) {
            self.broke("parts of a pending intent are not deleted", name.to_owned());
        }
    }

    /// After all runs: the target is the source, and nothing is left.
    pub fn check_end(&mut self) {
        let pending = self.check.pending().next().map(|intent| intent.id.to_string());
        if let Some(intent) = pending {
            self.broke("no intent is left", intent);
        }
        self.check_windows_at_end();
        let (mode, nulls) = (self.plan.mode(), self.plan.nulls);
        let column = self.plan.cursor();
        let rows = self.database.now();
        let wanted = |row: &&Row| {
            let Some(name) = column else { return true };
            row.value(name).map_or(nulls, |value| self.is_asked_for(row, value))
        };
        let source = sorted(&rows.values().filter(wanted).map(|row| row.v).collect::<Vec<u64>>());
        let target = self.tables.get("t").map(|table| sorted(&table.rows)).unwrap_or_default();
        // without deletes a row that was deleted at the source stays as it was
        let deletes = self.plan.deletes;
        let stays = |v: &u64| deletes || mode != Mode::Merge || rows.contains_key(&self.database.version(*v).id);
        // and one that nobody asked for may have come, as it is now, where an interval was read again
        let unasked =
            |v: &u64| mode == Mode::Merge && rows.get(&self.database.version(*v).id).is_some_and(|row| row.v == *v);
        let target: Vec<u64> =
            target.into_iter().filter(stays).filter(|v| source.binary_search(v).is_ok() || !unasked(v)).collect();
        if target != source {
            let missing = source.iter().find(|v| !target.contains(v)).map(|v| self.database.version(*v));
            let foreign = target.iter().find(|v| !source.contains(v)).map(|v| self.database.version(*v));
            self.broke("the target is the source", format!("missing {missing:?}, instead {foreign:?}"));
        }
        // nobody writes a window's state again that is complete: what runs have left that were late expires
        let late = |part: &&String| part.starts_with("staging/sim/t%") || part.starts_with("staging/sim/t@");
        let expiring = |part: &&String| late(part) && !self.check.intents.contains_key(intent_of(part));
        let (late, left): (Vec<&String>, Vec<&String>) = self.objects.parts().partition(expiring);
        let (late, left) = (late.len(), left.first().map(|part| (*part).clone()));
        *self.counts.entry("parts of overtaken runs of windows, left to expire").or_default() += late as u64;
        if let Some(part) = left {
            self.broke("no part is left", part);
        }
        self.check_staging_tables();
    }

    /// A staging table may be left only where nobody could find it any more, and then it expires.
    fn check_staging_tables(&mut self) {
        let mut expiring = 0;
        let mut left = None;
        for (name, table) in self.tables.staging() {
            let id = name.trim_start_matches("hw_staging_");
            let nobodys =
                self.check.intents.get(id).is_none_or(|known| {
                    known.rows == 0 || known.end != End::Pending && table.created_us >= known.ended_us
                });
            match table.expires_ms {
                Some(_) if nobodys => expiring += 1,
                _ => left = Some(name.clone()),
            }
        }
        *self.counts.entry("staging tables of overtaken runs, left to expire").or_default() += expiring;
        if let Some(name) = left {
            self.broke("no staging table is left", name);
        }
    }
}
