//! What must hold of backfills: their windows' states, what was asked for, and where the live sync goes on beside them.

use highwater::model::{Asks, Bound, Position, TableState, Window, WindowRange};
use highwater::plan::backfill;
use highwater::state::codec;

use super::super::database::{Row, value_of};
use super::super::plan::Kind;
use super::super::world::World;
use super::{place_of, sorted};
use crate::tell;

/// The name of the object that says what was asked for.
const ASKS: &str = "state/sim/t/windows.json";

fn within(bound: &Bound, value: i64) -> bool {
    let end = value_of(&bound.value);
    value < end || bound.inclusive && value == end
}

/// Whether the window has that row, whose cursor is `value`.
fn has(range: &WindowRange, value: i64, id: i64) -> bool {
    match range {
        WindowRange::Cursor { from, to } => value >= value_of(from) && value < value_of(to),
        WindowRange::Key { after, until, within: bound } => {
            let key = |key: &Option<Vec<String>>| key.as_ref().map(|key| value_of(&key[0]));
            let (after, until) = (key(after), key(until));
            within(bound, value) && after.is_none_or(|after| id > after) && until.is_none_or(|until| id <= until)
        }
    }
}

impl World {
    /// An object of the state that is not the table's own has a new content.
    pub(super) fn other_written(&mut self, name: &str, bytes: &[u8]) {
        if name == ASKS {
            let asks: Asks = serde_json::from_slice(bytes).unwrap();
            tell!(self, "asks: {:?}", asks.asks);
            self.check.asks = asks.asks;
            return;
        }
        let new = codec::decode(bytes).unwrap();
        let old = self.check.windows.get(name).cloned().unwrap_or_default();
        tell!(
            self,
            "window {name}: at {:?}, complete {:?}, intent {:?}",
            new.watermark,
            new.window.as_ref().map(|window| window.complete),
            new.intent.as_ref().map(|intent| (intent.id.as_str(), intent.rows))
        );
        self.window_changed(name, &old, &new);
        let committed = self.intents_changed(&old, &new, false);
        let begun_again = is_complete(&old) && !is_complete(&new) || old.watermark.is_some() && new.rows_total == 0;
        if old.watermark != new.watermark && !begun_again {
            self.window_moved(name, &old, &new, committed);
        }
        let ended = is_complete(&new) && !is_complete(&old);
        self.check.windows.insert(name.to_owned(), new);
        if ended {
            self.count("windows completed");
            self.window_is_whole(name);
        }
    }

    fn window_changed(&mut self, name: &str, old: &TableState, new: &TableState) {
        let range = |state: &TableState| state.window.as_ref().map(|window| window.range.clone());
        if range(new).is_none() || range(old).is_some() && range(old) != range(new) {
            self.broke("a window's rows are always the same", name.to_owned());
        }
        if is_complete(new) && new.intent.is_some() {
            self.broke("a window with an intent is not complete", name.to_owned());
        }
    }

    fn window_moved(&mut self, name: &str, old: &TableState, new: &TableState, committed: bool) {
        let place = |position: &Option<Position>| position.as_ref().map(place_of);
        let (before, after) = (place(&old.watermark), place(&new.watermark));
        if !committed {
            self.broke("a window moves only by a commit", name.to_owned());
        } else if after <= before {
            self.broke("a window never moves back", format!("{name}: {after:?}"));
        }
    }

    /// Every row that a complete window has is in the target, unless the live sync brings it yet.
    fn window_is_whole(&mut self, name: &str) {
        let state = &self.check.windows[name];
        let Some(window) = &state.window else { return };
        let column = self.plan.cursor().unwrap();
        let target = self.tables.get("t").map(|table| sorted(&table.rows)).unwrap_or_default();
        let missing = self.database.now().values().copied().find(|row| {
            let Some(value) = row.value(column).filter(|value| has(&window.range, *value, row.id)) else {
                return false;
            };
            target.binary_search(&row.v).is_err() && !self.comes_yet(row, value)
        });
        if let Some(row) = missing {
            self.broke("a complete window has all its rows", format!("{name}: {row:?}"));
        }
    }

    /// Whether the live sync is to bring the row, first or once more.
    pub(super) fn comes_yet(&self, row: &Row, value: i64) -> bool {
        let state = &self.check.state;
        let merge = matches!(self.plan.kind, Kind::MergeTime | Kind::MergeNumber);
        let above = state.watermark.as_ref().is_none_or(|watermark| (Some(value), row.id) > place_of(watermark));
        let began = state.began.as_deref().is_none_or(|began| value >= value_of(began));
        merge && above && began || self.comes_again(row, value)
    }

    /// Whether a row at or below the watermark is left to windows.
    pub(super) fn is_left_to_windows(&self, value: i64) -> bool {
        let state = &self.check.state;
        let loaded = state.load.is_some() && self.check.upto.is_some_and(|upto| value <= upto);
        loaded || state.began.as_deref().is_some_and(|began| value < value_of(began))
    }

    /// A table that was never read is loaded by ranges of keys: the watermark is where the live sync goes on. One that is
    /// synced stays where it is.
    pub(super) fn load_begun(&mut self, old: &TableState, new: &TableState) {
        self.count("loads by key");
        let upto = new.watermark.as_ref().map(place_of).filter(|_| old.watermark.is_none());
        let moved = old.watermark.is_some() && old.watermark != new.watermark;
        let begun = old.watermark.is_none() && old.intent.is_some();
        if moved || begun || old.load.is_some() || new.watermark.is_none() {
            return self.broke("a load moves no watermark but that of a table never read", format!("{:?}", new.load));
        }
        let remembered = self.check.asks.iter().any(|ask| Some(&ask.id) == new.load.as_ref());
        if !remembered {
            self.broke("a load is remembered before it begins", format!("{:?}", new.load));
        }
        self.check.upto = upto.and_then(|(cursor, _)| cursor);
    }

    /// Whether the row is one that was to be brought: by the live sync, or by a window that is complete.
    pub(super) fn is_asked_for(&self, row: &Row, value: i64) -> bool {
        let live = self.check.state.began.as_deref().is_none_or(|began| value >= value_of(began));
        let mut ranges = self.check.windows.values().filter_map(|state| state.window.as_ref());
        live || ranges.any(|window| window.complete && has(&window.range, value, row.id))
    }

    /// The windows that were begun, of all that was asked for.
    pub fn windows(&self) -> Vec<Window> {
        let windows = self.check.asks.iter().flat_map(|ask| backfill::windows("t", ask).unwrap());
        let object = |window: &Window| format!("state/sim/t/windows/{}.json", window.name.replace(':', "%3A"));
        let known = |window: &Window| self.check.windows.contains_key(&object(window));
        windows.filter(known).collect()
    }

    pub fn load_under_way(&self) -> bool {
        self.check.state.load.is_some()
    }

    /// After all: every window that was begun is complete.
    pub(super) fn check_windows_at_end(&mut self) {
        let open = self.check.windows.iter().find(|(_, state)| !is_complete(state)).map(|(name, _)| name.clone());
        if let Some(name) = open {
            self.broke("every window comes to its end", name);
        }
        if self.load_under_way() {
            self.broke("a load comes to its end", String::new());
        }
    }
}

fn is_complete(state: &TableState) -> bool {
    state.window.as_ref().is_some_and(|window| window.complete)
}
