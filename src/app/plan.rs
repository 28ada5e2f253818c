//! What the next run of each table would do: a preview by the engine, and what it means. Nothing is written.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{AnySource, App};
use crate::bucket::dry::DryBucket;
use crate::config::{SourceConfig, SourceKind};
use crate::engine::{Ambient as _, Preview, PreviewOptions, Reading};
use crate::journal::{Journal, Reader};
use crate::mapping::Column;
use crate::model::{Intent, Mode, Partitioning, SourceTable, TableSettings};
use crate::net::Context;
use crate::plan::draft::Dialect;
use crate::plan::preview::{self, ChunkLimits, MergeBytes, Past, columns, index};
use crate::report::plan::{
    NextKind, NextRun, PlanReport, PlannedChange, PlannedCursor, PlannedIntent, PlannedKey, PlannedReread,
};
use crate::report::{LISTED_MAX, Outcome};
use crate::warehouse::Warehouse as _;
use crate::warehouse::bigquery::check::DryRun;
use crate::warehouse::bigquery::{ddl, sql};
use crate::warehouse::dry::Change;

/// The most time for one table, a count of its rows not included.
const TABLE_MAX: Duration = Duration::from_secs(120);
/// The most time for reading the reports of past runs.
const PAST_MAX: Duration = Duration::from_secs(20);
/// The most past runs of a table that an estimate rests on: the newest tell most.
const PAST_RUNS_MAX: u64 = 20;

/// Past runs by source and table.
type Pasts = HashMap<(String, String), Past>;

impl App {
    /// Looks at each of these tables, at most [`crate::config::Config::parallel`] at once. What is wrong with one is in its
    /// report.
    pub async fn plan(
        &self,
        tables: &[TableSettings],
        options: PreviewOptions,
        stop: &CancellationToken,
    ) -> Vec<PlanReport> {
        let parallel = usize::try_from(self.config.parallel.get()).unwrap_or(1);
        let pasts = Box::pin(self.pasts(stop)).await;
        let planned: Vec<_> = tables
            .iter()
            .filter_map(|settings| {
                let config = self.config.sources.iter().find(|source| source.name == settings.id.source)?;
                // what is logged of a look is no run's: metrics leave it out
                let id = &settings.id;
                let span = tracing::error_span!("plan", source = %id.source, table = %id.table, dry_run = true);
                Some(Box::pin(self.plan_one(config, settings, options, &pasts, stop).instrument(span)))
            })
            .collect();
        stream::iter(planned).buffered(parallel).collect().await
    }

    async fn pasts(&self, stop: &CancellationToken) -> Pasts {
        let cx = Context::new(Instant::now() + PAST_MAX, stop.clone());
        // it reads only, and could do nothing else
        let bucket = DryBucket::new(self.engine.bucket());
        let journal = Journal::new(&self.desk, &bucket, self.engine.warehouse());
        let mut pasts = Pasts::new();
        for record in journal.recent(&cx, self.system.now(), &mut Reader::default()).await.records.iter().rev() {
            let past = pasts.entry((record.source.clone(), record.table.clone())).or_default();
            let moved = matches!(record.outcome, Outcome::Synced | Outcome::Partial) && record.rows > 0;
            if moved && past.runs < PAST_RUNS_MAX {
                past.runs += 1;
                past.rows += record.rows;
                past.bytes += record.bytes;
                past.ms += record.report.durations_ms.total;
            }
        }
        pasts
    }

    async fn plan_one(
        &self,
        config: &SourceConfig,
        settings: &TableSettings,
        options: PreviewOptions,
        pasts: &Pasts,
        stop: &CancellationToken,
    ) -> PlanReport {
        let count = if options.count { crate::source::explain::COUNT_MAX } else { Duration::ZERO };
        let cx = Context::new(Instant::now() + TABLE_MAX + count, stop.clone());
        let engine = self.dry_engine();
        let preview = match self.sources.get(&settings.id.source) {
            Some(AnySource::Postgres(source)) => engine.preview(&cx, source, settings, options).await,
            Some(AnySource::MySql(source)) => engine.preview(&cx, source, settings, options).await,
            None => Preview::default(),
        };
        let changes = engine.warehouse().changes();
        let key = (settings.id.source.to_string(), settings.id.table.to_string());
        let past = pasts.get(&key).copied().unwrap_or_default();
        let mut report = begun(config, settings, &preview);
        report.changes = statements(&changes);
        look(&mut report, config, settings, &preview, past, &changes);
        if let Some(reading) = &preview.reading {
            Box::pin(self.cost(&cx, &mut report, settings, reading, &changes)).await;
        }
        report
    }

    /// What a MERGE into the target as it is now costs.
    async fn cost(
        &self,
        cx: &Context,
        report: &mut PlanReport,
        settings: &TableSettings,
        reading: &Reading,
        changes: &[Change],
    ) {
        if settings.mode == Mode::Append {
            report.notes.push("rows are appended by INSERT, which reads the chunk alone".to_owned());
            return;
        }
        let warehouse = self.engine.warehouse();
        let target = match warehouse.table(cx, &reading.intent.target).await {
            Ok(Some(target)) => target,
            Ok(None) => {
                report
                    .notes
                    .push("the cost of a MERGE is told once the target is there: it reads the target".to_owned());
                return;
            }
            Err(error) => {
                report.notes.push(format!("the cost of a MERGE cannot be told: {error}"));
                return;
            }
        };
        // a statement about columns that are not there yet would be refused
        let (mut dry_run, mut pruned) = (None, None);
        if changes.is_empty() {
            let whole = Intent { pruned: None, ..(*reading.intent).clone() };
            dry_run = self.asked(cx, report, settings, &whole).await;
            if reading.intent.pruned.is_some() {
                pruned = self.asked(cx, report, settings, &reading.intent).await;
            }
        }
        let partitioned = target.layout.as_ref().and_then(|layout| layout.partitioning.as_ref());
        // a promise that was made needs no advice, and of the cursor it cannot be made
        let advised = partitioned
            .map(column_of)
            .filter(|column| !settings.partition_immutable && reading.intent.cursor.as_deref() != Some(column));
        let bytes = MergeBytes { dry_run, pruned, rows_sampled: reading.intent.rows, table: target.bytes };
        report.cost = Some(preview::cost(bytes, advised));
    }

    /// What BigQuery says of the bytes of the intent's MERGE.
    async fn asked(
        &self,
        cx: &Context,
        report: &mut PlanReport,
        settings: &TableSettings,
        intent: &Intent,
    ) -> Option<u64> {
        let statement = sql::merge_without_staging(intent);
        let place = (settings.job_project.as_str(), settings.location.as_str());
        let said = match self.engine.warehouse().dry_run(cx, place, &statement).await {
            Ok(DryRun::Fine { bytes, .. }) => return bytes,
            Ok(DryRun::Refused(said)) => said,
            Err(error) => error.to_string(),
        };
        report.notes.push(format!("BigQuery does not say what a MERGE costs: {said}"));
        None
    }
}

fn column_of(partitioning: &Partitioning) -> &str {
    match partitioning {
        Partitioning::Time { field, .. } | Partitioning::Range { field, .. } => field,
    }
}

fn statements(changes: &[Change]) -> Vec<PlannedChange> {
    let statements = changes.iter().flat_map(ddl::statements);
    statements.map(|(sql, by)| PlannedChange { sql, by }).take(LISTED_MAX).collect()
}

/// What is told of the table in any case.
fn begun(config: &SourceConfig, settings: &TableSettings, preview: &Preview) -> PlanReport {
    let table = named(config, settings, preview);
    let shown = match &table.schema {
        Some(schema) => format!("{schema}.{}", table.name),
        None => table.name,
    };
    let notes = preview.report.as_ref().map(|report| report.notes.clone()).unwrap_or_default();
    let created = |note: &String| note.starts_with("created ");
    PlanReport {
        source: settings.id.source.to_string(),
        table: settings.id.table.to_string(),
        source_kind: match config.kind {
            SourceKind::Postgres => "postgres",
            SourceKind::MySql => "mysql",
        },
        database: config.connection.database.clone(),
        source_table: shown,
        target: settings.target.to_string(),
        location: settings.location.clone(),
        mode: settings.mode,
        cursor: None,
        key: None,
        next: None,
        scan: None,
        amount: None,
        columns: Vec::new(),
        left_out: Vec::new(),
        changes: Vec::new(),
        jobs: None,
        cost: None,
        quota: None,
        warnings: Vec::new(),
        // what is created stands among the changes
        notes: notes.into_iter().filter(|note| !created(note)).collect(),
        unusable: settings.matched.is_some()
            && preview.found.basis.is_none()
            && preview.error.as_ref().is_some_and(crate::engine::RunError::is_unfit),
        error: preview.error.as_ref().map(crate::engine::RunError::failure),
    }
}

/// The table as the database names it, with its schema.
fn named(config: &SourceConfig, settings: &TableSettings, preview: &Preview) -> SourceTable {
    let default = match config.kind {
        SourceKind::Postgres => crate::source::postgres::DEFAULT_SCHEMA,
        SourceKind::MySql => &config.connection.database,
    };
    let schema = settings.table.schema.clone().unwrap_or_else(|| default.to_owned());
    let name = preview.description.as_ref().map_or(&settings.table.name, |found| &found.name);
    SourceTable { schema: Some(schema), name: name.clone() }
}

/// Everything that the preview tells.
fn look(
    report: &mut PlanReport,
    config: &SourceConfig,
    settings: &TableSettings,
    preview: &Preview,
    past: Past,
    changes: &[Change],
) {
    let (Some(plan), Some(found)) = (&preview.plan, &preview.description) else { return };
    let cursor = plan.cursor.and_then(|cursor| plan.columns.get(cursor));
    report.cursor =
        cursor.map(|column| PlannedCursor { column: column.name.clone(), source_type: column.source_type.clone() });
    report.key = (!plan.key_names.is_empty()).then(|| PlannedKey {
        columns: plan.key_names.clone(),
        from: if settings.key.is_some() { "configuration" } else { "primary_key" },
        enforced: plan.key_enforced,
    });
    report.columns = columns::planned(plan);
    let synced = |name: &&String| plan.columns.iter().all(|column| column.name != **name);
    let names = found.columns.iter().map(|column| &column.name).chain(&found.hidden);
    report.left_out = names.filter(synced).take(LISTED_MAX).cloned().collect();
    report.next = Some(next(settings, preview));
    let Some(reading) = &preview.reading else { return };
    let whole = settings.mode == Mode::Replace;
    let order: Vec<&Column> = order(plan).collect();
    let table = named(config, settings, preview);
    let dialect = match config.kind {
        SourceKind::Postgres => Dialect::Postgres,
        SourceKind::MySql => Dialect::MySql,
    };
    let (scan, warning) = index::judge(index::Input {
        table: &table,
        order: &order,
        primary_key: &found.primary_key,
        hints: &preview.hints,
        indexing: found.indexing,
        dialect,
        explained: &reading.explained,
        rows: found.rows_estimate,
        chunk_rows: settings.limits.chunk_rows.get(),
        whole,
    });
    report.scan = Some(scan);
    report.warnings.extend(warning);
    let row_bytes = reading.explained.row_bytes;
    // of a whole table the catalog knows more than the planner, which guesses what a ceiling leaves out
    let all = report.next.as_ref().is_some_and(|next| next.kind != NextKind::GoesOn && next.from.is_none());
    let catalogs = found.rows_estimate.filter(|_| all && settings.filter.is_none() && (whole || reading.to.is_some()));
    let amount = preview::amount(catalogs.or(reading.rows_estimate), reading.rows_counted, row_bytes, past);
    let limits = settings.limits;
    let limits = ChunkLimits { rows: (!whole).then(|| limits.chunk_rows.get()), bytes: limits.chunk_bytes.get() };
    let is_job = |change: &&Change| matches!(change, Change::Widen(_));
    let other = changes.iter().filter(is_job).count()
        + usize::from(preview.rebuilds_for.is_some())
        + 2 * usize::from(reading.deletes_due);
    report.jobs = preview::jobs(&amount, limits, u64::try_from(other).unwrap_or(u64::MAX), past);
    report.amount = Some(amount);
    // a run of the schedule finds what has come since the one before: one chunk, as a rule
    report.quota = settings.schedule.as_ref().map(|schedule| preview::quota(schedule, 1));
}

/// The columns that rows are ordered by.
fn order(plan: &crate::plan::table::TablePlan) -> impl Iterator<Item = &Column> {
    let rest = plan.key.iter().copied().filter(|&key| Some(key) != plan.cursor);
    plan.cursor.into_iter().chain(rest).filter_map(|at| plan.columns.get(at))
}

fn next(settings: &TableSettings, preview: &Preview) -> NextRun {
    let (found, state) = (&preview.found, &preview.state);
    let kind = match (settings.mode, &preview.rebuilds_for, &state.rebuild, &state.watermark) {
        (Mode::Replace, _, _, _) => NextKind::Replaces,
        (Mode::Merge | Mode::Append, Some(_), _, _) | (Mode::Merge | Mode::Append, None, Some(_), _) => {
            NextKind::Rebuilds
        }
        (Mode::Merge | Mode::Append, None, None, Some(_)) => NextKind::GoesOn,
        (Mode::Merge | Mode::Append, None, None, None) => NextKind::FirstRun,
    };
    let bound = preview.reading.as_ref().and_then(|reading| reading.to.as_ref());
    let run = preview.report.as_ref();
    let merges = settings.mode == Mode::Merge;
    let rereads = state.rereads.iter().filter(|_| merges);
    NextRun {
        kind,
        finishes_first: found.intent.as_ref().map(|intent| PlannedIntent {
            id: intent.id.to_string(),
            lane: intent.lane,
            rows: intent.rows,
            lost: preview.pending_lost,
        }),
        from: state.watermark.as_ref().and_then(|watermark| watermark.cursor.clone()).or_else(|| state.began.clone()),
        to: bound.map(|bound| bound.value.clone()),
        to_inclusive: bound.map(|bound| bound.inclusive),
        held_by: run.and_then(|run| run.held_by.clone()),
        rereads: rereads.map(|reread| PlannedReread { from: reread.from.clone(), to: reread.to.clone() }).collect(),
        null_cursor_rows: run.and_then(|run| run.null_cursor_rows),
        deletes_due: preview.reading.as_ref().is_some_and(|reading| reading.deletes_due),
    }
}
