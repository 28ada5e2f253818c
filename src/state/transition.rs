//! How a state may change: one pure function. Whatever is not here cannot happen to a state.

use crate::model::{
    Basis, BqTable, Code, DeletesDone, Hold, Intent, IntentId, Lane, Note, PartitionCheck, Position, Rebuild, Reread,
    TableState, WindowRange, WindowState,
};

/// A change of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A chunk is staged completely: record its intent.
    Begin(Box<Intent>),
    /// The intent's rows are in the target: move its lane, and record the next chunk's intent, if one is staged.
    Commit {
        /// The intent that was applied.
        id: IntentId,
        /// The next chunk's.
        next: Option<Box<Intent>>,
    },
    /// The intent can never be applied (its parts and its staging table are gone): forget it.
    Drop(IntentId),
    /// Too many rows would go: the intent of deletes is forgotten, and why is remembered.
    RefuseDeletes {
        /// The intent, which changed nothing.
        id: IntentId,
        /// How many of how many.
        why: String,
    },
    /// The interval that was read again is done.
    RereadDone,
    /// A table is built anew beside the target: everything is read again, into it.
    Rebuild(BqTable),
    /// The table that was built beside the target is gone: forget it, its rows, and a chunk that was to go into it. The
    /// target is where it was.
    RebuildLost,
    /// What a look at the source left to remember.
    Remember {
        /// The note.
        note: Option<Note>,
        /// Transactions gone past and still open.
        holds: Vec<Hold>,
        /// Intervals to be read again, in addition.
        rereads: Vec<Reread>,
        /// What the run syncs with.
        basis: Option<Box<Basis>>,
    },
    /// A sample of the target's rows was in the partitions of the source's; `None` if no merge rests on that any more.
    PartitionsChecked(Option<Box<PartitionCheck>>),
    /// A table that nothing was read of begins.
    BeginAt {
        /// Rows with a lesser cursor are left to backfills; `None` if nothing is.
        from: Option<String>,
        /// What windows sync with.
        basis: Option<Box<Basis>>,
    },
    /// The rows of a table that is synced are read again by ranges of keys.
    LoadAgain(IntentId),
    /// A table that nothing was read of is loaded by ranges of keys up to there; the live sync goes on after it.
    Load {
        /// The load.
        id: IntentId,
        /// The last row that the load brings, in the order of cursor and key.
        upto: Position,
        /// What the run syncs with.
        basis: Box<Basis>,
    },
    /// All windows of that load are complete.
    Loaded(IntentId),
    /// The state is a window's.
    Window(WindowEvent),
    /// An operator's command: the watermark goes there, and what was remembered for another is forgotten.
    Reset {
        /// Where to.
        to: ResetTo,
        /// Whether a pending intent may be dropped.
        drop_intent: bool,
    },
}

/// A change of a window's own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowEvent {
    /// It is that of this window, of which nothing was read yet, or that already.
    Open(WindowRange),
    /// All rows of the window are in the target.
    Complete,
    /// The window is read again from its first row.
    Again,
}

/// Where an operator sets a watermark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// Everything is read again.
    Beginning,
    /// Rows after this one are read again.
    At(Position),
    /// It stays, with all that is remembered; only a pending intent goes, and a table that is built beside the target.
    Keep,
}

/// A change that the protocol forbids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// An intent is pending.
    #[error(
        "intent {0} is pending; `highwater sync` finishes it, or a reset with --drop-intent --keep-watermark gives it up and \
         reads its rows again"
    )]
    Pending(IntentId),
    /// The intent is not the one that is pending.
    #[error("intent {0} is not pending")]
    NotPending(IntentId),
    /// The intent does not begin where its lane is.
    #[error("intent {0} does not begin at its lane's position")]
    Misplaced(IntentId),
    /// There is no interval to be read again.
    #[error("no interval is being read again")]
    NoReread,
    /// Rows of the table were read already.
    #[error("rows of the table were read already")]
    Begun,
    /// The state is not that of the window.
    #[error("the state is not that of this window")]
    NotTheWindow,
}

impl Illegal {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::Pending(_) => Code::IntentPending,
            Self::NotPending(_) | Self::Misplaced(_) | Self::NoReread | Self::Begun | Self::NotTheWindow => Code::Bug,
        }
    }
}

/// The state after the event.
///
/// # Errors
/// An event that the protocol forbids in this state; nothing is changed.
pub fn apply(state: &TableState, event: Event) -> Result<TableState, Illegal> {
    let mut next = state.clone();
    match event {
        Event::Begin(intent) => begin(&mut next, intent)?,
        Event::Commit { id, next: following } => {
            let intent = take(&mut next, &id)?;
            advance(&mut next, &intent)?;
            if let Some(following) = following {
                begin(&mut next, following)?;
            }
        }
        Event::Drop(id) => {
            // a swap whose table is gone: what was read into it is to be read again
            if take(&mut next, &id)?.lane == Lane::Swap {
                give_up_rebuild(&mut next);
            }
        }
        Event::RefuseDeletes { id, why } => {
            let at_us = take(&mut next, &id)?.deletes.map(|pass| pass.at_us);
            next.deletes = at_us.map(|at_us| DeletesDone { at_us, refused: Some(why) });
        }
        Event::RereadDone => {
            refuse_pending(&next)?;
            if next.rereads.is_empty() {
                return Err(Illegal::NoReread);
            }
            next.rereads.remove(0);
        }
        Event::Rebuild(table) => {
            refuse_pending(&next)?;
            // one that was being built already is not where the target is
            give_up_rebuild(&mut next);
            let (before, rereads) = (next.watermark.take(), std::mem::take(&mut next.rereads));
            next.rebuild = Some(Rebuild { table, before, rereads, basis: next.basis.clone() });
        }
        Event::RebuildLost => {
            let lost = next.rebuild.as_ref().map(|rebuild| rebuild.table.clone());
            match &next.intent {
                Some(intent) if Some(&intent.target) == lost.as_ref() => next.intent = None,
                _ => refuse_pending(&next)?,
            }
            give_up_rebuild(&mut next);
        }
        Event::Remember { note, holds, rereads, basis } => {
            refuse_pending(&next)?;
            keep_for_target(&mut next, &holds);
            next.note = note;
            next.holds = holds;
            next.rereads.extend(rereads);
            next.basis = basis;
        }
        Event::PartitionsChecked(check) => next.partition_check = check,
        Event::BeginAt { from, basis } => begin_at(&mut next, from, basis)?,
        Event::LoadAgain(id) => load_again(&mut next, id)?,
        Event::Load { id, upto, basis } => {
            refuse_begun(&next)?;
            (next.watermark, next.load, next.basis, next.began) = (Some(upto), Some(id), Some(basis), None);
        }
        Event::Loaded(id) => {
            if next.load.as_ref() == Some(&id) {
                next.load = None;
            }
        }
        Event::Window(event) => change_window(&mut next, event)?,
        Event::Reset { to, drop_intent } => {
            if !drop_intent {
                refuse_pending(&next)?;
            }
            reset(&mut next, to);
        }
    }
    Ok(next)
}

/// A transaction that ended while a table is built beside the target has rows for the target too, should it stay.
fn keep_for_target(state: &mut TableState, holds: &[Hold]) {
    let Some(rebuild) = &mut state.rebuild else { return };
    let Some(to) = rebuild.before.as_ref().and_then(|before| before.cursor.clone()) else { return };
    let ended = state.holds.iter().filter(|hold| !holds.contains(hold));
    rebuild.rereads.extend(ended.map(|hold| Reread {
        from: hold.from.clone(),
        to: to.clone(),
        at: None,
        passed: true,
    }));
}

/// The target is where it was before a table was built beside it. Transactions that the ceiling went past are still
/// open, and stay known.
fn give_up_rebuild(state: &mut TableState) {
    if let Some(rebuild) = state.rebuild.take() {
        (state.watermark, state.rereads) = (rebuild.before, rebuild.rereads);
        // also where it has none: what is known of the table that was built is not known of the target
        state.basis = rebuild.basis;
    }
}

fn reset(state: &mut TableState, to: ResetTo) {
    state.intent = None;
    give_up_rebuild(state);
    let watermark = match to {
        ResetTo::Keep => return,
        ResetTo::Beginning => None,
        ResetTo::At(position) => Some(position),
    };
    // columns keep their names; the settings of then are nobody's any more
    let basis = state.basis.take().map(|basis| Box::new(Basis { reset: true, ..*basis }));
    let (rows_total, rejected_total, applied) = (state.rows_total, state.rejected_total, state.applied.take());
    // below a position, what windows have brought and bring is as it was
    let (began, load) = if watermark.is_some() { (state.began.take(), state.load.take()) } else { (None, None) };
    *state = TableState { watermark, basis, applied, began, load, rows_total, rejected_total, ..TableState::new() };
}

/// Only a table that nothing was read of may begin elsewhere than with its first row.
fn refuse_begun(state: &TableState) -> Result<(), Illegal> {
    refuse_pending(state)?;
    if state.watermark.is_some() || state.rebuild.is_some() || state.window.is_some() {
        return Err(Illegal::Begun);
    }
    Ok(())
}

fn load_again(state: &mut TableState, id: IntentId) -> Result<(), Illegal> {
    if state.watermark.is_none() || state.rebuild.is_some() || state.load.is_some() {
        return Err(Illegal::Begun);
    }
    state.load = Some(id);
    Ok(())
}

fn begin_at(state: &mut TableState, from: Option<String>, basis: Option<Box<Basis>>) -> Result<(), Illegal> {
    refuse_begun(state)?;
    // windows below the one may have been brought already
    if state.began.is_some() && state.began != from {
        return Err(Illegal::Begun);
    }
    state.began = from;
    state.basis = basis.or_else(|| state.basis.take());
    Ok(())
}

fn change_window(state: &mut TableState, event: WindowEvent) -> Result<(), Illegal> {
    if let WindowEvent::Open(range) = event {
        return match &state.window {
            Some(known) if known.range == range => Ok(()),
            None if state.watermark.is_none() && state.intent.is_none() => {
                state.window = Some(WindowState { range, complete: false });
                Ok(())
            }
            Some(_) | None => Err(Illegal::NotTheWindow),
        };
    }
    refuse_pending(state)?;
    let window = state.window.as_mut().ok_or(Illegal::NotTheWindow)?;
    window.complete = event == WindowEvent::Complete;
    if !window.complete {
        (state.watermark, state.rows_total, state.rejected_total) = (None, 0, 0);
    }
    Ok(())
}

fn refuse_pending(state: &TableState) -> Result<(), Illegal> {
    match &state.intent {
        Some(intent) => Err(Illegal::Pending(intent.id.clone())),
        None => Ok(()),
    }
}

fn begin(state: &mut TableState, intent: Box<Intent>) -> Result<(), Illegal> {
    refuse_pending(state)?;
    let here = match intent.lane {
        Lane::Live => state.window.is_none() && intent.lower == state.watermark && intent.upper.is_some(),
        Lane::Window => {
            let open = state.window.as_ref().is_some_and(|window| !window.complete);
            open && intent.lower == state.watermark && intent.upper.is_some()
        }
        Lane::Reread => state.rereads.first().is_some_and(|reread| intent.lower == reread.at) && intent.upper.is_some(),
        Lane::Nulls | Lane::Repair | Lane::Whole => true,
        // what is built beside the target has no row that is gone
        Lane::Deletes => state.rebuild.is_none() && intent.deletes.is_some(),
        Lane::Swap => state.rebuild.as_ref().is_some_and(|rebuild| rebuild.table == intent.staging),
    };
    if !here {
        return Err(Illegal::Misplaced(intent.id));
    }
    state.intent = Some(*intent);
    Ok(())
}

fn take(state: &mut TableState, id: &IntentId) -> Result<Intent, Illegal> {
    match state.intent.take() {
        Some(intent) if intent.id == *id => Ok(intent),
        _ => Err(Illegal::NotPending(id.clone())),
    }
}

fn advance(state: &mut TableState, intent: &Intent) -> Result<(), Illegal> {
    state.applied = Some(intent.id.clone());
    if let Some(pass) = &intent.deletes {
        state.deletes = Some(DeletesDone { at_us: pass.at_us, refused: None });
        return Ok(());
    }
    state.rows_total = state.rows_total.saturating_add(intent.rows);
    state.rejected_total = state.rejected_total.saturating_add(intent.rejected);
    match intent.lane {
        Lane::Live | Lane::Window => state.watermark.clone_from(&intent.upper),
        Lane::Reread => {
            let reread = state.rereads.first_mut().ok_or(Illegal::NoReread)?;
            reread.at.clone_from(&intent.upper);
        }
        Lane::Nulls | Lane::Repair | Lane::Deletes => {}
        // an older watermark says nothing of what is in the target now
        Lane::Whole => {
            state.watermark = None;
            state.rereads.clear();
        }
        Lane::Swap => state.rebuild = None,
    }
    Ok(())
}

#[cfg(test)]
mod tests;
