//! Reads one chunk and stages it completely, under a fresh id.

use tokio::time::Instant;

use super::faults::Point;
use super::prepare::Prepared;
use super::{Engine, RunError, finish, stage};
use crate::audit::ColumnAudit;
use crate::bucket::Bucket;
use crate::model::{
    Bound, BqTable, DeletesPass, Intent, IntentId, Lane, Mode, Position, Reread, Step, TableSettings, Window,
    WindowRange,
};
use crate::net::Context;
use crate::source::{Nulls, Range, ReadEnd, ReadQuery, Session, SourceError};
use crate::state;
use crate::warehouse::Warehouse;

/// BigQuery's limit of URIs per load job (quotas, "Load jobs").
const PARTS_MAX: usize = 10_000;

/// What of the table is read now.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// Whose rows.
    pub(super) lane: Lane,
    /// The number of the run's chunk, from 1, for the log.
    pub(super) chunk: u64,
    /// Strictly after this.
    pub(super) lower: Option<Position>,
    /// The end of the live lane.
    pub(super) ceiling: Option<Bound>,
    /// Rows with a lesser cursor are left out.
    pub(super) from: Option<String>,
    /// The window of the window lane.
    pub(super) window: Option<Window>,
    /// The interval of the reread lane.
    pub(super) reread: Option<Reread>,
    /// Rows that may be rejected.
    pub(super) rejects_max: u64,
    /// In the lane of deletes: which rows of the target go.
    pub(super) deletes: Option<DeletesPass>,
    /// The rows of the repair lane, by their keys.
    pub(super) keys: Option<Vec<Vec<String>>>,
}

impl Piece {
    /// A piece of that lane from its beginning, without bounds.
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            lane,
            chunk: 0,
            lower: None,
            ceiling: None,
            from: None,
            window: None,
            reread: None,
            rejects_max: 0,
            deletes: None,
            keys: None,
        }
    }

    /// Whether all of it is read in one go: it cannot be cut.
    fn is_whole(&self) -> bool {
        matches!(self.lane, Lane::Whole | Lane::Deletes)
    }
}

/// A chunk that was read.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Its intent, not written yet; `None` if there was no row.
    pub(super) intent: Option<Box<Intent>>,
    /// Whether there may be more rows after it.
    pub(super) end: ReadEnd,
    /// Rows that were rejected.
    pub(super) rejected: u64,
    /// Values that did not arrive as they were.
    pub(super) findings: Vec<ColumnAudit>,
    /// How long it took.
    pub(super) took: std::time::Duration,
}

/// Reads and stages the chunk. If it fails, its parts are deleted.
pub(super) async fn extract<B: Bucket, W: Warehouse, S: Session>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    prepared: &Prepared,
    session: &mut S,
    piece: &Piece,
) -> Result<Chunk, RunError> {
    let begun = Instant::now();
    let before = cx.watch().reading(if piece.lane == Lane::Deletes { Step::ReadingKeys } else { Step::Reading });
    let id = engine.fresh_id();
    let prefix = format!("{}{id}/", staging_folder(settings, piece.window.as_ref()));
    let rejects = format!("{}{id}", rejects_folder(settings));
    // half of the time that is left is for reading, so that what was read can still be applied
    let cut_at = (!piece.is_whole()).then(|| begun + cx.remaining() / 2);
    let (sink, pipeline) = stage::open(cx, settings.limits, cut_at, engine.faults.clone());
    let ends = Ends::of(piece);
    let query = query(settings, prepared, piece, &ends);
    let read = async move {
        let mut sink = sink;
        let done = session.read(cx, &query, &mut sink).await;
        // of too many rejects, those that were found are for people to look at
        if matches!(done, Ok(_) | Err(SourceError::TooManyRejects { .. })) {
            sink.finish().await?;
        }
        done
    };
    let (done, (staged, uploaded)) = tokio::join!(read, pipeline.upload(cx, engine, &prefix, &rejects));
    let stage::Staged { parts, rejects } = staged;
    let addresses = |names: &[String]| names.iter().map(|name| engine.bucket.address(name)).collect::<Vec<_>>();
    // nobody is sent to where nothing was stored
    let kept = |names: &[String]| if engine.bucket.keeps() { addresses(names) } else { Vec::new() };
    // if the stage failed, the read only says that its sink was closed
    let done = match (done, uploaded) {
        (Err(SourceError::Sink(_)) | Ok(_), Err(error)) => Err(error),
        (Err(error), _) => Err(error.into()),
        (Ok(done), Ok(())) if parts.len() > PARTS_MAX => {
            drop(done);
            Err(RunError::TooManyParts { parts: parts.len(), max: PARTS_MAX })
        }
        (Ok(done), Ok(())) => Ok(done),
    };
    let done = match done {
        Ok(done) => engine.faults.at(Point::Staged).await.map(|()| done).map_err(RunError::from),
        Err(error) => Err(error),
    };
    let done = match done {
        Ok(done) => done,
        Err(error) => {
            cx.watch().back_to(before);
            discard(engine, cx, &parts).await;
            let (rejects, error) = if let RunError::Source(cause @ SourceError::TooManyRejects { .. }) = error {
                let objects = kept(&rejects);
                (Vec::new(), RunError::Rejects { cause: Box::new(cause), objects })
            } else {
                (rejects, error)
            };
            discard(engine, cx, &rejects).await;
            return Err(of_lane(error, piece.lane, settings));
        }
    };
    let took = begun.elapsed();
    tracing::info!(chunk = piece.chunk, intent = %id, rows = done.rows, bytes = done.bytes, parts = parts.len(), lane = ?piece.lane, ms = took.as_millis(), "chunk staged");
    let (end, rejected, findings) = (done.end, done.rejected, done.audit.findings());
    let empty = done.rows + rejected == 0 && !piece.is_whole();
    let intent = (!empty).then(|| {
        let staged = stage::Staged { parts: addresses(&parts), rejects: kept(&rejects) };
        Box::new(intent(id, staged, done, settings, prepared, piece))
    });
    Ok(Chunk { intent, end, rejected, findings, took })
}

/// The error of a lane that begins at its first row again: it is not that only the time is up.
fn of_lane(error: RunError, lane: Lane, settings: &TableSettings) -> RunError {
    let table = || settings.id.to_string();
    match lane {
        Lane::Whole if error.is_budget() => RunError::WholeTooLong { table: table() },
        Lane::Deletes if error.is_budget() => RunError::KeysTooLong { table: table() },
        Lane::Live
        | Lane::Window
        | Lane::Reread
        | Lane::Nulls
        | Lane::Repair
        | Lane::Whole
        | Lane::Swap
        | Lane::Deletes => error,
    }
}

/// Between which rows a piece is read.
pub(super) struct Ends {
    after: Option<Position>,
    until: Option<Position>,
}

impl Ends {
    pub(super) fn of(piece: &Piece) -> Self {
        let window = piece.window.as_ref();
        Self {
            after: piece.lower.clone().or_else(|| window.and_then(Window::after)),
            until: window.and_then(Window::until),
        }
    }
}

/// The query of the piece.
pub(super) fn query<'a>(
    settings: &'a TableSettings,
    prepared: &'a Prepared,
    piece: &'a Piece,
    ends: &'a Ends,
) -> ReadQuery<'a> {
    let plan = &prepared.plan;
    let chunked = !piece.is_whole();
    let range = Range {
        after: ends.after.as_ref(),
        from: piece.from.as_deref(),
        ceiling: piece.ceiling.as_ref(),
        until: ends.until.as_ref(),
        nulls: match piece.lane {
            Lane::Live | Lane::Reread => Nulls::Skip,
            Lane::Window => match piece.window.as_ref().map(|window| &window.range) {
                Some(WindowRange::Key { .. }) => Nulls::SkipByKey,
                Some(WindowRange::Cursor { .. }) | None => Nulls::Skip,
            },
            Lane::Nulls => Nulls::Only,
            Lane::Whole | Lane::Swap | Lane::Repair | Lane::Deletes => Nulls::Any,
        },
        keys: piece.keys.as_deref(),
    };
    ReadQuery {
        table: &settings.table,
        columns: &plan.columns,
        names: &plan.names,
        cursor: plan.cursor.filter(|_| chunked),
        key: &plan.key,
        range,
        rows_max: chunked.then(|| settings.limits.chunk_rows.get()),
        bytes_max: chunked.then(|| settings.limits.chunk_bytes.get()),
        rejects_max: piece.rejects_max,
        filter: settings.filter.as_deref(),
        partition: prepared.pruning.of_lane(piece.lane),
    }
}

/// The intent of a piece that was staged so.
pub(super) fn intent(
    id: IntentId,
    staged: stage::Staged,
    done: crate::source::ReadDone,
    settings: &TableSettings,
    prepared: &Prepared,
    piece: &Piece,
) -> Intent {
    let plan = &prepared.plan;
    let name_of = |index: usize| plan.names[index].clone();
    // without a cursor the merge has no guard; a key that is not enforced needs it to tell the newest of equal keys
    let again = piece.lane == Lane::Repair || piece.reread.as_ref().is_some_and(|reread| reread.passed);
    let as_it_is = again && plan.key_enforced;
    let target = plan.target.table.clone();
    Intent {
        staging: BqTable { table: staging_table(id.as_str()), ..target.clone() },
        id,
        parts: staged.parts,
        rows: done.rows,
        bytes: done.bytes,
        lane: piece.lane,
        lower: piece.lower.clone(),
        upper: done.last.clone(),
        schema: plan.staged(),
        key: if settings.mode == Mode::Merge { plan.key.iter().copied().map(name_of).collect() } else { Vec::new() },
        key_enforced: plan.key_enforced,
        cursor: plan.cursor.filter(|_| !as_it_is).map(name_of),
        target,
        location: settings.location.clone(),
        job_project: settings.job_project.clone(),
        mode: settings.mode,
        cleared: prepared.cleared.clone(),
        metadata: settings.columns.metadata,
        rejected: done.rejected,
        rejects: staged.rejects,
        deletes: piece.deletes.clone().map(Box::new),
        pruned: done.partitions.map(Box::new),
    }
}

/// `kind/source/table/`.
fn folder(kind: &str, settings: &TableSettings) -> String {
    let mut folder = format!("{kind}/{}/", settings.id.source);
    state::escape(&mut folder, settings.id.table.as_str());
    format!("{folder}/")
}

/// Where the table's rejected rows lie.
pub(super) fn rejects_folder(settings: &TableSettings) -> String {
    folder("rejects", settings)
}

/// Where the parts of the table's chunks lie, each chunk's below its intent's id.
/// Those of a window lie beside them, so that the table's runs and the window's do not tidy up after one another.
pub(super) fn staging_folder(settings: &TableSettings, window: Option<&Window>) -> String {
    let folder = folder("staging", settings);
    let Some(window) = window else { return folder };
    // `@` is in no table's name as it is written here
    let mut beside = format!("{}@", folder.trim_end_matches('/'));
    state::escape(&mut beside, &window.name);
    format!("{beside}/")
}

/// The name of the staging table of that intent.
pub(super) fn staging_table(id: &str) -> String {
    format!("hw_staging_{id}")
}

/// The intent that puts the table that was built beside the target in its place.
pub(super) fn swap_intent<B, W>(
    engine: &Engine<B, W>,
    settings: &TableSettings,
    prepared: &Prepared,
    built: &BqTable,
) -> Box<Intent> {
    Box::new(Intent {
        id: engine.fresh_id(),
        parts: Vec::new(),
        rows: 0,
        bytes: 0,
        lane: Lane::Swap,
        lower: None,
        upper: None,
        schema: prepared.plan.target.schema.clone(),
        key: Vec::new(),
        key_enforced: true,
        cursor: None,
        target: settings.target.clone(),
        staging: built.clone(),
        location: settings.location.clone(),
        job_project: settings.job_project.clone(),
        mode: settings.mode,
        cleared: Vec::new(),
        metadata: false,
        rejected: 0,
        rejects: Vec::new(),
        deletes: None,
        pruned: None,
    })
}

/// Deletes the parts of a chunk whose intent was certainly not written.
pub(super) async fn discard<B: Bucket, W: Warehouse>(engine: &Engine<B, W>, cx: &Context, parts: &[String]) {
    if let Err(error) = finish::delete_parts(engine, cx, parts).await {
        tracing::info!(error = error.one_line(), "parts of an abandoned chunk are left to the bucket's lifecycle rule");
    }
}
