//! Rows that are written again by their keys: a chunk of a lane of its own.

use super::super::chunk::Piece;
use super::super::prepare::Prepared;
use super::super::{Engine, RunError, RunOptions};
use super::{PassEnd, Run};
use crate::bucket::Bucket;
use crate::model::{Basis, Lane, TableSettings};
use crate::net::{Context, Interrupted};
use crate::plan::prune;
use crate::source::{Session as _, Source};
use crate::state::transition::{self, Event};
use crate::warehouse::Warehouse;

/// Writes the rows with these keys again, as they are now, by the protocol of a chunk; gives how many there were. The
/// watermark stays.
pub(in crate::engine) async fn repair<B: Bucket, W: Warehouse, S: Source>(
    engine: &Engine<B, W>,
    cx: &Context,
    source: &S,
    settings: &TableSettings,
    prepared: &Prepared,
    keys: Vec<Vec<String>>,
) -> Result<u64, RunError> {
    let mut run = Run::new(engine, cx, settings, RunOptions::default());
    // before the rows are read: what is committed from here on makes the intent's write fail
    run.at = run.store.read(cx).await?;
    if run.at.state.rebuild.is_some() {
        // the note of what is written would be that of the other table
        let why = "it is being built anew".to_owned();
        return Err(RunError::Busy { table: settings.id.to_string(), why });
    }
    run.note_written(prepared)?;
    let mut session = source.connect(cx).await?;
    session.begin(cx).await?;
    let piece = Piece { keys: Some(keys), ..Piece::new(Lane::Repair) };
    match run.drive(&mut session, prepared, piece).await? {
        PassEnd::Done => Ok(run.report.rows),
        PassEnd::Superseded => Err(RunError::Superseded),
        PassEnd::Reconnect | PassEnd::OutOfTime => Err(Interrupted::Budget.into()),
    }
}

impl<B: Bucket, W: Warehouse> Run<'_, B, W> {
    /// Notes how these rows write the partition column, together with their intent.
    fn note_written(&mut self, prepared: &Prepared) -> Result<(), RunError> {
        let state = &self.at.state;
        let Some(basis) = &state.basis else { return Ok(()) };
        let partition = prune::basis(self.settings, &prepared.plan.columns, Some(basis.as_ref()), false);
        let basis = Some(Box::new(Basis { partition, ..basis.as_ref().clone() }));
        let (note, holds, rereads) = (state.note.clone(), state.holds.clone(), Vec::new());
        self.at.state = transition::apply(state, Event::Remember { note, holds, rereads, basis })?;
        Ok(())
    }
}
