//! Makes the target, or brings it in line with the plan.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{Engine, RunError, finish};
use super::{Wanted, key};
use crate::bucket::Bucket;
use crate::model::{Mode, Partitioning, Schema, TableSettings, TableSpec, TableState};
use crate::net::Context;
use crate::plan::drift::{self, Drift, Incompatible};
use crate::plan::table::TablePlan;
use crate::report::RunReport;
use crate::warehouse::{TableInfo, Warehouse, WarehouseError, Widening};

/// How often the target is looked at again when its columns were changed in between.
const TARGET_LOOKS_MAX: u32 = 3;

/// What became of the target.
pub(super) enum Target {
    /// It can take rows.
    Ready(Found),
    /// Its columns cannot be brought in line.
    Incompatible(Incompatible),
    /// It was being built, and is gone.
    RebuildLost,
    /// It was changed in between, by another run or by ourselves, if the answer was lost.
    Moved,
}

/// A target that can take rows.
pub(super) struct Found {
    /// Its columns.
    pub(super) schema: Schema,
    /// How it is partitioned; `None` if by no column.
    pub(super) partitioning: Option<Partitioning>,
    /// Rows in its storage.
    pub(super) rows: u64,
}

/// For how long a look at the target that was made while the source was looked at counts as one made now.
const AHEAD_MAX: Duration = Duration::from_secs(5);

/// A look at the target that was made while the source was looked at. It is taken at its word where it says that rows are
/// there and nothing stands against more: all else may be long past, and is looked at again.
pub(super) struct Ahead {
    /// What it came to.
    pub(super) found: Result<Option<TableInfo>, WarehouseError>,
    /// When.
    pub(super) at: Instant,
}

impl Ahead {
    /// The target with its rows, if that can still be taken for what it is now.
    fn recent(self) -> Result<Option<TableInfo>, WarehouseError> {
        let age = self.at.elapsed();
        Ok(self.found?.filter(|info| info.rows > 0 && age < AHEAD_MAX))
    }
}

/// The table to create. One that will replace the target is laid out as that is: BigQuery copies no table over one with
/// other partitions.
async fn as_target<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    plan: &TablePlan,
) -> Result<TableSpec, RunError> {
    let mut spec = plan.target.clone();
    if spec.table != settings.target
        && let Some(layout) = engine.warehouse.table(cx, &settings.target).await?.and_then(|info| info.layout)
    {
        (spec.partitioning, spec.clustering) = (layout.partitioning, layout.clustering);
    }
    Ok(spec)
}

/// Brings the target in line, again if it was changed since it was looked at.
pub(super) async fn settle<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    wanted: Wanted<'_>,
    state: &TableState,
    plan: &TablePlan,
    ahead: Ahead,
    report: &mut RunReport,
) -> Result<Target, RunError> {
    if let Some(info) = ahead.recent()? {
        match prepare_target(engine, cx, wanted, state, plan, Some(info), report).await {
            Ok(target @ Target::Ready(_)) => return Ok(target),
            Ok(Target::Incompatible(_) | Target::Moved | Target::RebuildLost)
            | Err(RunError::KeyUnmatched { .. } | RunError::Layout(_) | RunError::Location { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    for _ in 1..TARGET_LOOKS_MAX {
        let info = engine.warehouse.table(cx, &plan.target.table).await?;
        let target = prepare_target(engine, cx, wanted, state, plan, info, report).await?;
        if !matches!(target, Target::Moved) {
            return Ok(target);
        }
    }
    let info = engine.warehouse.table(cx, &plan.target.table).await?;
    prepare_target(engine, cx, wanted, state, plan, info, report).await
}

async fn prepare_target<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    wanted: Wanted<'_>,
    state: &TableState,
    plan: &TablePlan,
    info: Option<TableInfo>,
    report: &mut RunReport,
) -> Result<Target, RunError> {
    let settings = wanted.settings;
    let target = &plan.target.table;
    let Some(info) = info else {
        let has_rows = state.watermark.is_some() && settings.mode != Mode::Replace;
        if has_rows && state.rebuild.is_some() {
            return Ok(Target::RebuildLost);
        }
        if has_rows && !wanted.accept {
            return Err(RunError::TargetGone { table: settings.id.to_string(), target: target.clone() });
        }
        // a table that is built beside its target is ours alone
        if !settings.create && *target == settings.target {
            return Err(RunError::TargetMissing { table: settings.id.to_string(), target: target.clone() });
        }
        engine.warehouse.ensure_dataset(cx, &target.project, &target.dataset, &settings.location).await?;
        let spec = as_target(engine, cx, wanted.settings, plan).await?;
        engine.warehouse.create_table(cx, &spec).await?;
        report.note(format!("created {target} with {} columns", plan.target.schema.0.len()));
        let (schema, partitioning) = (plan.target.schema.clone(), spec.partitioning);
        return Ok(Target::Ready(Found { schema, partitioning, rows: 0 }));
    };
    let partitioning = info.layout.as_ref().and_then(|layout| layout.partitioning.clone());
    let ready = |schema| Target::Ready(Found { schema, partitioning, rows: info.rows });
    if !info.location.eq_ignore_ascii_case(&settings.location) {
        let (found, wanted) = (info.location, settings.location.clone());
        return Err(RunError::Location { target: target.clone(), found, wanted });
    }
    key::refuse_absent(wanted, plan, &info)?;
    let mut columns = plan.target.schema.clone();
    if !settings.schema.add {
        // what a merge needs is added all the same: without it no row could be written
        let needed = |name: &str| {
            plan.names
                .iter()
                .position(|known| known == name)
                .is_none_or(|at| plan.cursor == Some(at) || plan.key.contains(&at))
        };
        columns.0.retain(|field| info.schema.field(&field.name).is_some() || needed(&field.name));
    }
    let changes = match drift::decide(&info.schema, &columns) {
        Drift::None => return Ok(ready(info.schema)),
        Drift::Incompatible(_) if settings.schema.rebuild && info.layout.is_none() => {
            return Err(RunError::Layout(target.clone()));
        }
        Drift::Incompatible(cause) => return Ok(Target::Incompatible(cause)),
        Drift::Changes(changes) => changes,
    };
    let after = changes.patch.clone().unwrap_or_else(|| info.schema.clone());
    if let Some(schema) = &changes.patch
        && !engine.warehouse.patch_schema(cx, target, schema, &info.etag).await?
    {
        return Ok(Target::Moved);
    }
    for (column, ty) in changes.widened {
        let (location, job_project) = (settings.location.clone(), settings.job_project.clone());
        let widening = Widening { table: target.clone(), column, ty, location, job_project };
        finish::widen(engine, cx, &widening).await?;
    }
    for change in changes.lines {
        tracing::warn!(change, drift = true, "target's columns changed");
        report.drifted(change.clone());
        report.note(change);
    }
    Ok(ready(after))
}
