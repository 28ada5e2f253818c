//! What a run would do, up to its first row: the same steps as a run's, over a bucket and a warehouse that only read.

use std::collections::HashSet;

use super::super::chunk::{self, Ends, Piece};
use super::super::prepare::{self, Prepared, Ready};
use super::super::stage::Staged;
use super::super::{Engine, RunError, RunOptions};
use super::Run;
use crate::audit::Audit;
use crate::bucket::Bucket;
use crate::model::{
    Attempt, BqTable, Explained, Hints, Intent, JobId, JobKind, JobStatus, Lane, Mode, TableSettings, TableState,
};
use crate::net::Context;
use crate::plan::drift::Incompatible;
use crate::plan::finish::JOB_ATTEMPTS_MAX;
use crate::plan::table::{self, TablePlan};
use crate::report::RunReport;
use crate::source::explain::Explain;
use crate::source::{Block, BlockSink, Description, ReadDone, ReadEnd, ReadQuery, SinkClosed, Source};
use crate::state::transition::{self, Event};
use crate::warehouse::{Job, Warehouse};

/// The most rows that are read to tell in which partitions the next ones are.
const SAMPLE_ROWS_MAX: u64 = 1_000;
/// How often it is begun anew where a table is to be built beside the target.
const BEGINS_MAX: u32 = 3;

/// How a preview is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreviewOptions {
    /// As [`RunOptions::accept`].
    pub accept: bool,
    /// Whether rows are counted, instead of estimated only.
    pub count: bool,
}

/// What a run would do. What could not be told, for the error, is left out.
#[derive(Debug, Default)]
pub struct Preview {
    /// The state that the run would find.
    pub found: TableState,
    /// The state that its first row is read with: after a pending intent, a rebuild begun, intervals remembered.
    pub state: TableState,
    /// Whether a pending intent can be applied no more, as what was staged for it is gone.
    pub pending_lost: bool,
    /// What the catalog says of the table.
    pub description: Option<Description>,
    /// Its indexes.
    pub hints: Hints,
    /// Columns, key and target.
    pub plan: Option<TablePlan>,
    /// How rows would be read.
    pub reading: Option<Reading>,
    /// The difference for which the target is built anew.
    pub rebuilds_for: Option<Incompatible>,
    /// Notes, what changes in the target's columns, what holds the ceiling.
    pub report: Option<RunReport>,
    /// Why there would be no row.
    pub error: Option<RunError>,
}

/// How rows would be read and merged.
#[derive(Debug)]
pub struct Reading {
    /// The end; `None` where nothing is safe to read, and in `replace`.
    pub to: Option<crate::model::Bound>,
    /// The plan of the first chunk's statement.
    pub explained: Explained,
    /// An estimate of the rows up to the end.
    pub rows_estimate: Option<u64>,
    /// The rows, counted.
    pub rows_counted: Option<u64>,
    /// The intent that its first chunk would have, without parts: its MERGE is the very statement.
    pub intent: Box<Intent>,
    /// Whether it is time to look for rows that are gone.
    pub deletes_due: bool,
}

/// Looks as a run would.
pub(in crate::engine) async fn preview<B: Bucket, W: Warehouse, S: Source>(
    engine: &Engine<B, W>,
    cx: &Context,
    source: &S,
    settings: &TableSettings,
    options: PreviewOptions,
) -> Preview
where
    S::Session: Explain,
{
    let accept = RunOptions { accept: options.accept, ..RunOptions::default() };
    let mut run = Run::new(engine, cx, settings, accept);
    let mut preview = Preview::default();
    if let Err(error) = run.look(source, options, &mut preview).await {
        preview.error = Some(error);
    }
    preview.state = run.at.state;
    preview.report = Some(run.report);
    preview
}

impl<B: Bucket, W: Warehouse> Run<'_, B, W> {
    async fn look<S: Source>(
        &mut self,
        source: &S,
        options: PreviewOptions,
        preview: &mut Preview,
    ) -> Result<(), RunError>
    where
        S::Session: Explain,
    {
        self.at = self.store.read(self.cx).await?;
        preview.found = self.at.state.clone();
        if let Some(intent) = self.at.state.intent.clone() {
            let event = self.outcome_of(&intent).await?;
            preview.pending_lost = !matches!(event, Event::Commit { .. });
            self.at.state = transition::apply(&self.at.state, event)?;
        }
        for _ in 0..BEGINS_MAX {
            let mut session = source.connect(self.cx).await?;
            describe(self, &mut session, preview).await?;
            let (state, wanted) = (&self.at.state, self.wanted());
            let ready = prepare::prepare(self.engine, self.cx, wanted, &mut session, state, &mut self.report).await?;
            let event = match ready {
                Ready::Yes(prepared) => return self.read_on(session, &prepared, options, preview).await,
                Ready::RebuildLost => Event::RebuildLost,
                Ready::Incompatible(cause) => {
                    let target = self.settings.target.clone();
                    if !self.settings.schema.rebuild {
                        return Err(RunError::Drift { target, cause: Box::new(cause) });
                    }
                    preview.rebuilds_for = Some(cause);
                    let table = format!("hw_rebuild_{}", self.engine.fresh_id());
                    Event::Rebuild(BqTable { table, ..target })
                }
            };
            self.at.state = transition::apply(&self.at.state, event)?;
        }
        Err(RunError::TargetMoved(self.settings.target.clone()))
    }

    /// What a run makes of a pending intent, without waiting for its jobs. A swap is done, over what is there: what comes
    /// next finds the target as it will be.
    async fn outcome_of(&self, intent: &Intent) -> Result<Event, RunError> {
        if self.is_lost(intent).await? {
            return Ok(Event::RebuildLost);
        }
        let (warehouse, cx) = (&self.engine.warehouse, self.cx);
        let [applied, lost] = [Event::Commit { id: intent.id.clone(), next: None }, Event::Drop(intent.id.clone())];
        let mut attempt = Attempt::FIRST;
        while attempt.get() <= JOB_ATTEMPTS_MAX {
            let id = JobId::new(JobKind::Merge, &intent.id, attempt);
            match warehouse.job(cx, &id, &intent.job_project, &intent.location).await? {
                Some(JobStatus::Succeeded(_)) => return Ok(applied),
                Some(JobStatus::Failed(_)) => attempt = attempt.next(),
                Some(JobStatus::Running) | None => break,
            }
        }
        let staging = warehouse.table(cx, &intent.staging).await?;
        if intent.lane == Lane::Swap {
            if staging.is_none() {
                return Ok(lost);
            }
            let id = JobId::new(JobKind::Merge, &intent.id, attempt);
            warehouse.submit(cx, &id, Job::Merge(intent)).await?;
            return Ok(applied);
        }
        let loaded = staging.is_some_and(|staging| staging.rows == intent.rows);
        Ok(if loaded || self.has_parts(intent).await? { applied } else { lost })
    }

    /// Whether all parts of the intent are in the bucket.
    async fn has_parts(&self, intent: &Intent) -> Result<bool, RunError> {
        let root = self.engine.bucket.address("");
        let mut listed = HashSet::new();
        let mut folders = HashSet::new();
        for part in &intent.parts {
            let name = part.strip_prefix(&root).unwrap_or(part);
            let folder = name.rfind('/').and_then(|end| name.get(..=end)).unwrap_or(name);
            // they lie in one
            if folders.insert(folder) {
                listed.extend(self.engine.bucket.list(self.cx, folder).await?);
            }
            if !listed.contains(name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The lanes of now, and how the first rows of the last of them would be read.
    async fn read_on<S: Explain>(
        &mut self,
        mut session: S,
        prepared: &Prepared,
        options: PreviewOptions,
        preview: &mut Preview,
    ) -> Result<(), RunError> {
        preview.plan = Some(prepared.plan.clone());
        self.remember(prepared)?;
        let whole = self.settings.mode == Mode::Replace;
        let to = prepared.ceiling.as_ref().and_then(|found| found.bound.clone());
        let piece = if whole {
            Piece::new(Lane::Whole)
        } else {
            let (lower, from) = (self.at.state.watermark.clone(), self.from());
            Piece { lower, ceiling: to.clone(), from, ..Piece::new(Lane::Live) }
        };
        let ends = Ends::of(&piece);
        let query = chunk::query(self.settings, prepared, &piece, &ends);
        let explained = session.explain(self.cx, &query).await?;
        let nothing = !whole && to.is_none();
        let rows_estimate = if nothing {
            Some(0)
        } else {
            session.explain(self.cx, &ReadQuery { rows_max: None, ..query }).await?.rows
        };
        let done = if query.partition.is_some() && !nothing {
            let first = ReadQuery { rows_max: query.rows_max.map(|rows| rows.min(SAMPLE_ROWS_MAX)), ..query };
            session.read(self.cx, &first, &mut Nowhere).await?
        } else {
            let (audit, end) = (Audit::default(), ReadEnd::Exhausted);
            ReadDone { rows: 0, rejected: 0, bytes: 0, last: None, end, audit, partitions: None }
        };
        let rows_counted = match (options.count && done.end != ReadEnd::CutByBytes, nothing) {
            (true, true) => Some(0),
            (true, false) => session.count(self.cx, &query).await?,
            (false, _) => None,
        };
        session.close().await;
        let settings = self.settings;
        let deletes_due =
            settings.deletes.is_some_and(|wanted| wanted.is_due(self.at.state.deletes.as_ref(), prepared.now_us));
        let id = self.engine.fresh_id();
        let intent = Box::new(chunk::intent(id, Staged::default(), done, settings, prepared, &piece));
        preview.reading = Some(Reading { to, explained, rows_estimate, rows_counted, intent, deletes_due });
        Ok(())
    }
}

/// Takes rows that nobody wants.
struct Nowhere;

impl BlockSink for Nowhere {
    async fn send(&mut self, mut block: Block) -> Result<Block, SinkClosed> {
        block.clear();
        Ok(block)
    }

    async fn reject(&mut self, _line: Vec<u8>) -> Result<(), SinkClosed> {
        Ok(())
    }
}

/// What can be told of the table whatever else fails.
async fn describe<B: Bucket, W: Warehouse, S: Explain>(
    run: &Run<'_, B, W>,
    session: &mut S,
    preview: &mut Preview,
) -> Result<(), RunError> {
    let (cx, settings) = (run.cx, run.settings);
    let description = session.describe(cx, &settings.table).await?;
    preview.hints = session.hints(cx, &settings.table).await?;
    let catalog = prepare::catalog(&description);
    let settled = prepare::settle(settings, &description, catalog, &run.at.state)?;
    preview.plan = Some(table::decide(catalog, settled.as_ref(), run.at.state.basis.as_deref())?);
    preview.description = Some(description);
    Ok(())
}
