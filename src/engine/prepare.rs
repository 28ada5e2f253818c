//! The way to a run's first row: catalog, plan, target, ceiling.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{Engine, RunError};
use crate::bucket::Bucket;
use crate::mapping::CursorKind;
use crate::model::{Activity, Mode, TableSettings, TableState, Visibility};
use crate::net::Context;
use crate::plan::ceiling::{self, Ceiling};
use crate::plan::drift::{self, Drift};
use crate::plan::table::{self, Catalog, TablePlan};
use crate::report::RunReport;
use crate::source::Session;
use crate::warehouse::Warehouse;

/// How often a number cursor's ceiling is looked for again within one run: transactions are mostly short.
const RIPEN_LOOKS_MAX: u32 = 6;
/// The wait between two such looks.
const RIPEN_WAIT: Duration = Duration::from_millis(400);

/// What a run reads with.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Columns, key, order, target.
    pub(super) plan: TablePlan,
    /// Up to where; `None` in `replace`.
    pub(super) ceiling: Option<Ceiling>,
}

/// Reads the catalog, brings the target in line with it, fixes the ceiling and opens the snapshot.
pub(super) async fn prepare<B: Bucket, W: Warehouse, S: Session>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    session: &mut S,
    state: &TableState,
    report: &mut RunReport,
) -> Result<Prepared, RunError> {
    let description = session.describe(cx, &settings.table).await?;
    let catalog = Catalog {
        columns: &description.columns,
        primary_key: &description.primary_key,
        unique_keys: &description.unique_keys,
        comment: description.comment.as_deref(),
    };
    let plan = table::decide(catalog, settings)?;
    let ceiling = match plan.cursor {
        Some(cursor) => Some(look(cx, settings, session, state, &plan, cursor, report).await?),
        None => None,
    };
    session.begin(cx).await?;
    check_nulls(cx, settings, session, &plan, report).await?;
    prepare_target(engine, cx, settings, &plan, report).await?;
    Ok(Prepared { plan, ceiling })
}

async fn look<S: Session>(
    cx: &Context,
    settings: &TableSettings,
    session: &mut S,
    state: &TableState,
    plan: &TablePlan,
    cursor: usize,
    report: &mut RunReport,
) -> Result<Ceiling, RunError> {
    let column = &plan.columns[cursor];
    let Some(kind) = column.cursor else {
        return Err(table::PlanError::CursorNotOrdered {
            table: settings.table.clone(),
            column: column.name.clone(),
            source_type: column.source_type.clone(),
        }
        .into());
    };
    // the configuration has checked the name; should the bundled zones differ, UTC would be a guess: say it
    let zone = TimeZone::get(&settings.cursor_timezone).map_err(|_unknown| table::PlanError::Zone {
        table: settings.table.clone(),
        zone: settings.cursor_timezone.clone(),
    })?;
    let mut known = state.clone();
    for attempt in 1.. {
        // before the activity: what was written by then ends with transactions that the activity shows
        let max = match kind {
            CursorKind::Number => session.max_cursor(cx, &settings.table, column).await?,
            CursorKind::Instant { .. } | CursorKind::Civil { .. } | CursorKind::Date => None,
        };
        let activity = session.activity(cx).await?;
        let found = ceiling::decide(ceiling::Input {
            kind,
            activity: &activity,
            max: max.as_deref(),
            lag: settings.lag,
            max_hold: settings.max_hold,
            may_pass: settings.mode == Mode::Merge,
            zone: &zone,
            state: &known,
        });
        let empty = kind == CursorKind::Number && max.is_none();
        if found.bound.is_some() || empty || attempt >= RIPEN_LOOKS_MAX {
            report_look(report, &found, &activity, empty);
            return Ok(found);
        }
        known.note = found.note;
        cx.sleep(RIPEN_WAIT).await?;
    }
    Err(RunError::Superseded)
}

/// Why no row is safe to read, and the way out.
fn why_nothing(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Full => "nothing is safe to read yet: transactions that were open at the first look have not ended",
        Visibility::Hidden { .. } => {
            "nothing is safe to read yet: other sessions cannot be seen, so rows are read once those that were open have \
             ended and `lag` has passed; GRANT pg_read_all_stats (PostgreSQL) or PROCESS (MySQL) to the source's user"
        }
        Visibility::Replica { replayed_us: None } => {
            "nothing is safe to read: how far this replica is cannot be told; GRANT REPLICATION CLIENT (MariaDB: SLAVE \
             MONITOR) to the source's user, or read from the primary"
        }
        Visibility::Replica { replayed_us: Some(_) } => {
            "nothing is safe to read yet: the replica is behind by more than `lag`"
        }
    }
}

fn report_look(report: &mut RunReport, found: &Ceiling, activity: &Activity, empty: bool) {
    let (now_us, visibility) = (activity.now_us, activity.visibility);
    report.ceiling = found.bound.as_ref().map(|bound| bound.value.clone());
    let say = |open: &crate::model::OpenTransaction| {
        let user = open.user.as_deref().unwrap_or("?");
        let age = now_us.saturating_sub(open.started_us) / crate::model::SECOND_MICROS;
        format!("{} of {user}, open for {age} s", open.backend)
    };
    report.held_by = found.held_by.as_ref().map(say);
    for open in &found.passed {
        let line = say(open);
        tracing::warn!(
            holder = line,
            "a transaction is open longer than max_hold: going past it, its interval is read again when it has ended"
        );
        report.note(format!("went past {line}: beyond max_hold; its interval is read again when it has ended"));
    }
    if found.bound.is_none() && !empty {
        report.note(why_nothing(visibility).into());
    }
}

async fn check_nulls<S: Session>(
    cx: &Context,
    settings: &TableSettings,
    session: &mut S,
    plan: &TablePlan,
    report: &mut RunReport,
) -> Result<(), RunError> {
    for &index in plan.key.iter().filter(|&&index| plan.columns[index].nullable) {
        let rows = session.count_nulls(cx, &settings.table, &plan.columns[index]).await?;
        if rows > 0 {
            let column = plan.columns[index].name.clone();
            return Err(RunError::NullKey { table: settings.table.to_string(), column, rows });
        }
    }
    if let Some(cursor) = plan.cursor.filter(|&cursor| plan.columns[cursor].nullable) {
        let rows = session.count_nulls(cx, &settings.table, &plan.columns[cursor]).await?;
        report.null_cursor_rows = (rows > 0).then_some(rows);
    }
    Ok(())
}

async fn prepare_target<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    plan: &TablePlan,
    report: &mut RunReport,
) -> Result<(), RunError> {
    let target = &settings.target;
    let Some(info) = engine.warehouse.table(cx, target).await? else {
        engine.warehouse.ensure_dataset(cx, &target.project, &target.dataset, &settings.location).await?;
        engine.warehouse.create_table(cx, &plan.target).await?;
        report.note(format!("created {target} with {} columns", plan.target.schema.0.len()));
        return Ok(());
    };
    if !info.location.eq_ignore_ascii_case(&settings.location) {
        let (found, wanted) = (info.location, settings.location.clone());
        return Err(RunError::Location { target: target.clone(), found, wanted });
    }
    match drift::decide(&info.schema, &plan.target.schema) {
        Drift::None => Ok(()),
        Drift::Incompatible(cause) => Err(RunError::Drift { target: target.clone(), cause }),
        Drift::Patch { schema, changes } => {
            if !engine.warehouse.patch_schema(cx, target, &schema, &info.etag).await? {
                return Err(RunError::TargetMoved(target.clone()));
            }
            for change in changes {
                tracing::info!(change, "target's columns changed");
                report.note(change);
            }
            Ok(())
        }
    }
}
