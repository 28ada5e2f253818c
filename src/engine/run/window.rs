//! A window of a backfill: brought like the table itself, by a state object of its own, below a ceiling that nothing goes
//! past.

use tokio::time::Instant;

use super::super::backfill::strict;
use super::super::chunk::Piece;
use super::super::prepare::{self, Prepared, Ready};
use super::super::{Engine, RunError, RunOptions};
use super::{PassEnd, Run, millis};
use crate::bucket::Bucket;
use crate::mapping::CursorKind;
use crate::model::{Bound, Intent, Lane, Mode, TableSettings, TableState, Window, WindowRange};
use crate::net::Context;
use crate::plan::verify::in_order;
use crate::plan::{backfill, basis, prune};
use crate::report::{RunReport, WindowRun};
use crate::source::{Session as _, Source};
use crate::state::Store;
use crate::state::transition::{self, Event, WindowEvent};
use crate::warehouse::Warehouse;

/// Brings the window, or the rest of it, and reports; `again` reads it from its first row, complete or not.
pub(in crate::engine) async fn window<B: Bucket, W: Warehouse, S: Source>(
    engine: &Engine<B, W>,
    cx: &Context,
    source: &S,
    settings: &TableSettings,
    window: &Window,
    again: bool,
) -> RunReport {
    let begun = Instant::now();
    let mut run = Run::new(engine, cx, settings, RunOptions::default());
    (run.window, run.again) = (Some(window), again);
    run.store = Store::of_window(&engine.bucket, &settings.id, &window.name);
    let result = run.go(source).await;
    let mut report = run.concluded(begun, result).await;
    report.window.get_or_insert_with(|| told(window, &TableState::new()));
    report
}

/// The window as a report tells it.
fn told(window: &Window, state: &TableState) -> WindowRun {
    WindowRun {
        name: window.name.clone(),
        from: window.from(),
        to: window.to(),
        rows: state.rows_total,
        complete: state.window.as_ref().is_some_and(|window| window.complete),
    }
}

impl<B: Bucket, W: Warehouse> Run<'_, B, W> {
    /// Takes the window's state as it is found; `true` if nothing is left to bring.
    pub(super) fn open(&mut self, window: &Window) -> Result<bool, RunError> {
        self.at.state = transition::apply(&self.at.state, Event::Window(WindowEvent::Open(window.range.clone())))?;
        if self.again {
            self.at.state = transition::apply(&self.at.state, Event::Window(WindowEvent::Again))?;
            (self.again, self.dirty) = (false, true);
        }
        let told = told(window, &self.at.state);
        let complete = told.complete;
        self.report.window = Some(told);
        Ok(complete)
    }

    /// One connection's worth of work at the window.
    pub(super) async fn window_pass<S: Source>(&mut self, source: &S, window: &Window) -> Result<PassEnd, RunError> {
        let begun = Instant::now();
        let live = self.live().await?;
        let (mut session, ready) =
            prepare::connect(self.engine, self.cx, self.wanted(), source, &live, &mut self.report).await?;
        self.report.durations_ms.plan += millis(begun.elapsed());
        let prepared = match ready {
            Ready::Yes(prepared) => *prepared,
            Ready::Incompatible(cause) => {
                let target = self.settings.target.clone();
                return Err(RunError::Drift { target, cause: Box::new(cause) });
            }
            Ready::RebuildLost => return Err(RunError::Superseded),
        };
        self.check_noted(&live, &prepared)?;
        self.keep_basis(&prepared)?;
        self.check_partitions(&mut session, &prepared, live.partition_check.as_deref()).await?;
        self.keep_flow(&prepared);
        let piece = self.window_piece(window, &prepared)?;
        self.expect(&prepared, piece.lower.as_ref(), piece.from.as_deref(), piece.ceiling.as_ref());
        let end = self.drive(&mut session, &prepared, piece).await?;
        let end = if end == PassEnd::Done {
            self.cx.limit(self.cx.remaining(), session.close()).await.unwrap_or_default();
            if self.write(Event::Window(WindowEvent::Complete)).await? { PassEnd::Done } else { PassEnd::Superseded }
        } else {
            end
        };
        self.report.window = Some(told(window, &self.at.state));
        Ok(end)
    }

    /// The table's own state, by which its columns keep their names.
    async fn live(&self) -> Result<TableState, RunError> {
        let live = Store::new(&self.engine.bucket, &self.settings.id).read(self.cx).await?.state;
        if live.rebuild.is_some() {
            let why = "it is being built anew".to_owned();
            return Err(RunError::Busy { table: self.settings.id.to_string(), why });
        }
        if live.intent.as_ref().is_some_and(Intent::rests_on_promise) && !self.settings.partition_immutable {
            // it was staged under the promise: newer rows may not come before it
            let table = self.settings.id.to_string();
            let why = format!(
                "a chunk of when it had `partition_immutable` is pending, and `highwater sync {table}` ends it"
            );
            return Err(RunError::Busy { table, why });
        }
        Ok(strict(&live))
    }

    /// Merges of the live sync rest on how its own state says that the partition column was written.
    fn check_noted(&self, live: &TableState, prepared: &Prepared) -> Result<(), RunError> {
        let noted = live.basis.as_ref().and_then(|basis| basis.partition.as_deref());
        if prune::is_noted(noted, prepared.basis.partition.as_deref()) {
            return Ok(());
        }
        let table = self.settings.id.to_string();
        let why =
            format!("its partition column is written otherwise now, and `highwater sync {table}` notes that first");
        Err(RunError::Busy { table, why })
    }

    /// A position in a window is one in the order of its settings. With others it is read from its first row, where rows may
    /// be written twice.
    fn keep_basis(&mut self, prepared: &Prepared) -> Result<(), RunError> {
        // a window that nothing was read of has no position that could be wrong
        let changes = basis::changes(&self.at.state, &prepared.basis);
        if !changes.is_empty() {
            if self.settings.mode != Mode::Merge {
                return Err(RunError::Changed { table: self.settings.id.to_string(), changes });
            }
            self.report.note(format!("its settings changed ({}): it is read from its first row", changes.join("; ")));
            self.at.state = transition::apply(&self.at.state, Event::Window(WindowEvent::Again))?;
        }
        let basis = Some(Box::new(prepared.basis.clone()));
        let event = Event::Remember { note: None, holds: Vec::new(), rereads: Vec::new(), basis };
        self.at.state = transition::apply(&self.at.state, event)?;
        self.dirty = true;
        Ok(())
    }

    /// What of the window is left to read.
    fn window_piece(&self, window: &Window, prepared: &Prepared) -> Result<Piece, RunError> {
        let kind = prepared.plan.cursor_kind();
        let safe = prepared.ceiling.as_ref().and_then(|ceiling| ceiling.bound.as_ref());
        let safe = kind.zip(safe).map(|(kind, bound)| backfill::safe_end(kind, bound));
        let (from, ceiling) = match &window.range {
            WindowRange::Cursor { from, to } => {
                // a number that was safe stays so, even if the greatest is deleted and the ceiling falls
                if prepared.replica || kind != Some(CursorKind::Number) {
                    self.check_safe(window, Some(to), safe.as_deref())?;
                }
                (Some(from.clone()), Bound { value: to.clone(), inclusive: false })
            }
            WindowRange::Key { within, .. } => {
                // its bound was safe when the load was asked for; another replica may be farther behind
                if prepared.replica {
                    let end = kind.and_then(|kind| backfill::just_above(kind, within));
                    self.check_safe(window, end.as_ref(), safe.as_deref())?;
                }
                (None, within.clone())
            }
        };
        let (lower, window) = (self.at.state.watermark.clone(), Some(window.clone()));
        Ok(Piece { lower, from, ceiling: Some(ceiling), window, ..Piece::new(Lane::Window) })
    }

    /// Whether all rows of the window, which has those below `end`, can be seen.
    fn check_safe(&self, window: &Window, end: Option<&String>, safe: Option<&str>) -> Result<(), RunError> {
        if end.zip(safe).is_some_and(|(end, safe)| in_order(end, safe).is_le()) {
            return Ok(());
        }
        let (table, safe) = (self.settings.id.to_string(), safe.unwrap_or("nothing yet"));
        let why = format!("rows of window {} may still change (they are safe below {safe})", window.name);
        Err(RunError::Busy { table, why })
    }
}
