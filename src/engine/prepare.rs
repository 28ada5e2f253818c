//! The way to a run's first row: catalog, plan, target, ceiling.

mod key;
mod refuse;
mod target;

use std::borrow::Cow;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::time::Instant;

use self::target::{Ahead, Found, Target};
use super::faults::Point;
use super::{Engine, RunError};
use crate::bucket::Bucket;
use crate::mapping::CursorKind;
use crate::model::{Activity, Basis, Mode, SECOND_MICROS, Step, TableSettings, TableState, Visibility};
use crate::net::Context;
use crate::plan::ceiling::{self, Ceiling};
use crate::plan::drift::{self, Incompatible};
use crate::plan::prune::{self, Pruning};
use crate::plan::table::{self, Catalog, PlanError, TablePlan};
use crate::plan::{basis, columns, freshness, matched};
use crate::report::RunReport;
use crate::source::{Description, Session, Source};
use crate::warehouse::Warehouse;

/// How often a number cursor's ceiling is looked for again within one run: transactions are mostly short.
const RIPEN_LOOKS_MAX: u32 = 6;
/// The wait between two such looks.
const RIPEN_WAIT: Duration = Duration::from_millis(400);

/// What a run reads with.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Columns, key, order, target.
    pub(super) plan: TablePlan,
    /// Up to where; `None` in `replace`.
    pub(super) ceiling: Option<Ceiling>,
    /// The source's clock when the ceiling was fixed, microseconds since the epoch; 0 in `replace`.
    pub(super) now_us: i64,
    /// For numbers and in `replace`: an instant whose rows are all within the ceiling, microseconds since the epoch.
    pub(super) seen_us: Option<i64>,
    /// Whether the session is of a replica: another session's server may have more rows.
    pub(super) replica: bool,
    /// The zone in which civil cursors become instants.
    pub(super) zone: TimeZone,
    /// Whether reading up to the ceiling is reading all that the table had when it was fixed.
    pub(super) whole: bool,
    /// What the watermark rests on from now on.
    pub(super) basis: Basis,
    /// Columns of the target that are no longer at the source.
    pub(super) cleared: Vec<String>,
    /// The planner's estimate of the table's rows.
    pub(super) rows_estimate: Option<u64>,
    /// Whether columns were added that rows below the watermark have no values in.
    pub(super) backfill: bool,
    /// How merges look for rows in the target.
    pub(super) pruning: Pruning,
    /// Rows in the target's storage.
    pub(super) target_rows: u64,
}

/// Whether the target can take rows.
#[derive(Debug)]
pub(super) enum Ready {
    /// It can.
    Yes(Box<Prepared>),
    /// Its columns cannot be brought in line.
    Incompatible(Incompatible),
    /// The table that is built beside the target is gone, with the rows that were in it.
    RebuildLost,
}

/// What a run is asked to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The table's settings.
    pub(super) settings: &'a TableSettings,
    /// Whether other settings than the watermark's are accepted.
    pub(super) accept: bool,
    /// Whether the ceiling may go past transactions that are open too long: their intervals are remembered in the state.
    pub(super) may_pass: bool,
}

/// What the source says, with the snapshot open.
struct Reading<'a> {
    /// The settings, with what a pattern had left open.
    settings: Cow<'a, TableSettings>,
    plan: TablePlan,
    ceiling: Option<Ceiling>,
    whole: bool,
    now_us: i64,
    seen_us: Option<i64>,
    replica: bool,
    /// Names of all columns, readable or not.
    present: Vec<String>,
    left_out: Vec<String>,
    rows_estimate: Option<u64>,
}

impl Reading<'_> {
    /// What a watermark rests on from now on.
    fn basis(&self, state: &TableState) -> Basis {
        let Self { plan, settings, present, left_out, .. } = self;
        basis::now(plan, settings, &plan.key_names, present, left_out.clone(), state.basis.as_deref())
    }
}

/// Connects, and does as [`prepare`].
pub(super) async fn connect<B: Bucket, W: Warehouse, S: Source>(
    engine: &Engine<B, W>,
    cx: &Context,
    wanted: Wanted<'_>,
    source: &S,
    state: &TableState,
    report: &mut RunReport,
) -> Result<(S::Session, Ready), RunError> {
    let reading = async {
        cx.watch().connecting();
        let mut session = source.connect(cx).await?;
        engine.faults.at(Point::Connected).await?;
        let reading = read(engine, cx, wanted, &mut session, state, report).await?;
        Ok((session, reading))
    };
    let ((session, reading), ahead) = tokio::try_join!(Box::pin(reading), ahead(engine, cx, wanted, state))?;
    let ready = take(engine, cx, wanted, reading, ahead, state, report).await?;
    Ok((session, ready))
}

/// Reads the catalog, fixes the ceiling, opens the snapshot and brings the target in line.
pub(super) async fn prepare<B: Bucket, W: Warehouse, S: Session>(
    engine: &Engine<B, W>,
    cx: &Context,
    wanted: Wanted<'_>,
    session: &mut S,
    state: &TableState,
    report: &mut RunReport,
) -> Result<Ready, RunError> {
    let reading = Box::pin(read(engine, cx, wanted, session, state, report));
    let (reading, ahead) = tokio::try_join!(reading, ahead(engine, cx, wanted, state))?;
    take(engine, cx, wanted, reading, ahead, state, report).await
}

/// Looks at the target while the source is looked at: a run that finds nothing to do is these two. What it fails with is kept
/// for later: what the source says against the run is said first, and no look that failed is waited for twice.
async fn ahead<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    wanted: Wanted<'_>,
    state: &TableState,
) -> Result<Ahead, RunError> {
    let target = state.rebuild.as_ref().map_or(&wanted.settings.target, |rebuild| &rebuild.table);
    let found = engine.warehouse.table(cx, target).await;
    Ok(Ahead { found, at: Instant::now() })
}

/// Reads the catalog, fixes the ceiling, opens the snapshot.
async fn read<'a, B: Bucket, W: Warehouse, S: Session>(
    engine: &Engine<B, W>,
    cx: &Context,
    wanted: Wanted<'a>,
    session: &mut S,
    state: &TableState,
    report: &mut RunReport,
) -> Result<Reading<'a>, RunError> {
    cx.watch().step(Step::Planning);
    let description = session.describe(cx, &wanted.settings.table).await?;
    let catalog = catalog(&description);
    let settled = settle(wanted.settings, &description, catalog, state)?;
    let settings = settled.as_ref();
    let wanted = Wanted { settings, ..wanted };
    let mut plan = table::decide(catalog, settings, state.basis.as_deref())?;
    if let Some(rebuild) = &state.rebuild {
        plan.target.table = rebuild.table.clone();
    }
    note_unknown_types(&plan, report);
    refuse::refuse(settings, state, &description, &plan, report)?;
    let present = present(&description);
    let left_out = columns::left_out(catalog, &settings.columns);
    let was = state.basis.as_deref();
    let now = basis::now(&plan, settings, &plan.key_names, &present, left_out.clone(), was);
    refuse::check_basis(wanted, state, &now, report)?;
    if let Some(filter) = &settings.filter {
        session.check_filter(cx, &settings.table, filter).await?;
    }
    let (ceiling, whole, (now_us, seen_us, replica)) = match plan.cursor {
        Some(cursor) => {
            let found = look(cx, wanted, session, state, &plan, cursor, report).await?;
            let whole = found.empty || found.ceiling.bound.is_some();
            (Some(found.ceiling), whole, (found.now_us, found.seen_us, found.replica))
        }
        None => (None, true, (0, freshness::clock_us(&session.activity(cx).await?), false)),
    };
    engine.faults.at(Point::Described).await?;
    session.begin(cx).await?;
    check_nulls(cx, wanted, session, &plan, report).await?;
    let rows_estimate = description.rows_estimate;
    Ok(Reading { settings: settled, plan, ceiling, whole, now_us, seen_us, replica, present, left_out, rows_estimate })
}

/// Brings the target in line with what the source says.
async fn take<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    wanted: Wanted<'_>,
    mut reading: Reading<'_>,
    ahead: Ahead,
    state: &TableState,
    report: &mut RunReport,
) -> Result<Ready, RunError> {
    let wanted = Wanted { settings: &reading.settings.clone(), ..wanted };
    let settings = wanted.settings;
    let found = match target::settle(engine, cx, wanted, state, &reading.plan, ahead, report).await? {
        Target::Moved => return Err(RunError::TargetMoved(reading.plan.target.table)),
        Target::Ready(found) => found,
        Target::Incompatible(cause) => return Ok(Ready::Incompatible(cause)),
        Target::RebuildLost => return Ok(Ready::RebuildLost),
    };
    key::refuse_unmatched(wanted, state, &reading.plan, &reading.basis(state), &found)?;
    let missing: Vec<String> =
        drift::missing(&found.schema, &reading.plan.target.schema).map(|field| field.name.clone()).collect();
    if !missing.is_empty() {
        report.note(format!("columns that are not in BigQuery are left out (`schema: {{add: false}}`): {missing:?}"));
        let before: Vec<String> = reading.plan.columns.iter().map(|column| column.name.clone()).collect();
        let plan = reading.plan.without(&missing);
        let gone = before.into_iter().filter(|name| plan.columns.iter().all(|column| column.name != *name));
        reading.left_out.extend(gone);
        reading.plan = plan;
    }
    let mut basis = reading.basis(state);
    let pruning = pruning(settings, &reading.plan, &found, &mut basis, state, report);
    Ok(Ready::Yes(Box::new(Prepared {
        cleared: cleared(&basis, &found),
        backfill: backfills(settings, state, &basis),
        rows_estimate: reading.rows_estimate,
        plan: reading.plan,
        ceiling: reading.ceiling,
        now_us: reading.now_us,
        seen_us: reading.seen_us,
        replica: reading.replica,
        zone: zone(settings, settings.columns.naive_zone.as_ref().unwrap_or(&settings.cursor_timezone))?,
        whole: reading.whole,
        basis,
        pruning,
        target_rows: found.rows,
    })))
}

/// What the plan of a table is decided from.
pub(super) fn catalog(description: &Description) -> Catalog<'_> {
    Catalog {
        columns: &description.columns,
        hidden: &description.hidden,
        primary_key: &description.primary_key,
        unique_keys: &description.unique_keys,
        comment: description.comment.as_deref(),
    }
}

/// Columns of the target that are no longer at the source.
fn cleared(basis: &Basis, found: &Found) -> Vec<String> {
    let gone = basis.gone.iter().map(|column| column.name.clone());
    gone.filter(|name| found.schema.field(name).is_some()).collect()
}

/// How merges look for rows in the target; what its rows were written with is noted in the basis.
fn pruning(
    settings: &TableSettings,
    plan: &TablePlan,
    found: &Found,
    basis: &mut Basis,
    state: &TableState,
    report: &mut RunReport,
) -> Pruning {
    basis.partition = prune::basis(settings, &plan.columns, state.basis.as_deref(), found.rows == 0);
    let (schema, partitioning) = (&found.schema, found.partitioning.as_ref());
    let pruning =
        prune::decide(settings, plan, prune::Target { schema, partitioning, written: basis.partition.as_deref() });
    if let Some(off) = pruning.refusal() {
        report.note(format!("merges look at the whole target in spite of `partition_immutable`: {off}"));
    }
    pruning
}

/// The settings, with what a pattern left open.
pub(super) fn settle<'a>(
    settings: &'a TableSettings,
    found: &Description,
    catalog: Catalog<'_>,
    state: &TableState,
) -> Result<Cow<'a, TableSettings>, PlanError> {
    let Some(by) = &settings.matched else { return Ok(Cow::Borrowed(settings)) };
    let was = state.basis.as_deref();
    matched::settle(settings, by, (&found.name, found.kind), catalog, was).map(Cow::Owned)
}

/// Names of all columns, readable or not.
fn present(found: &Description) -> Vec<String> {
    found.columns.iter().map(|column| column.name.clone()).chain(found.hidden.clone()).collect()
}

fn note_unknown_types(plan: &TablePlan, report: &mut RunReport) {
    for column in plan.columns.iter().filter(|column| !column.known) {
        report.note(format!(
            "column {:?} has the type {}, which Highwater does not know: it is read as the database prints it",
            column.name, column.source_type
        ));
    }
}

/// Whether the rows below the watermark are read again for columns that they have no values in.
fn backfills(settings: &TableSettings, state: &TableState, basis: &Basis) -> bool {
    settings.schema.backfill_added
        && settings.mode == Mode::Merge
        && state.watermark.is_some()
        && !basis::added(state.basis.as_deref(), basis).is_empty()
}

/// The zone of that name. The configuration has checked it; should the bundled zones differ, UTC would be a guess: say it.
fn zone(settings: &TableSettings, name: &str) -> Result<TimeZone, table::PlanError> {
    TimeZone::get(name)
        .map_err(|_unknown| table::PlanError::Zone { table: settings.table.clone(), zone: name.to_owned() })
}

/// What a look at the source says.
struct Look {
    ceiling: Ceiling,
    /// Whether the table has no row with a cursor at all.
    empty: bool,
    /// The source's clock.
    now_us: i64,
    /// Of a number cursor: an instant whose rows are all within the ceiling.
    seen_us: Option<i64>,
    /// Whether it is a replica.
    replica: bool,
}

async fn look<S: Session>(
    cx: &Context,
    wanted: Wanted<'_>,
    session: &mut S,
    state: &TableState,
    plan: &TablePlan,
    cursor: usize,
    report: &mut RunReport,
) -> Result<Look, RunError> {
    let Wanted { settings, may_pass, .. } = wanted;
    let column = &plan.columns[cursor];
    let Some(kind) = column.cursor else {
        return Err(table::PlanError::CursorNotOrdered {
            table: settings.table.clone(),
            column: column.name.clone(),
            source_type: column.source_type.clone(),
        }
        .into());
    };
    let zone = zone(settings, &settings.cursor_timezone)?;
    let mut known = state.clone();
    for attempt in 1.. {
        let begun = Instant::now();
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
            may_pass: may_pass && settings.mode == Mode::Merge,
            zone: &zone,
            state: &known,
        });
        let empty = kind == CursorKind::Number && max.is_none();
        if found.bound.is_some() || empty || attempt >= RIPEN_LOOKS_MAX {
            report_look(report, &found, &activity, empty);
            let asked_us = i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX);
            let seen_us = match (&found.note, &known.note) {
                // the greatest number is that of an earlier look
                (Some(_), Some(note)) if !empty => Some(note.at_us - SECOND_MICROS),
                (Some(_), None) if !empty => None,
                (_, _) => freshness::clock_us(&activity).map(|now_us| now_us.saturating_sub(asked_us)),
            };
            let seen_us = seen_us.filter(|_| empty || found.bound.is_some());
            let replica = matches!(activity.visibility, Visibility::Replica { .. });
            return Ok(Look { ceiling: found, empty, now_us: activity.now_us, seen_us, replica });
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
             ended and `lag` has passed; GRANT pg_read_all_stats (PostgreSQL) or PROCESS (MySQL) to the source's user: \
             `highwater check` prints the statement"
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
        let age = now_us.saturating_sub(open.started_us) / SECOND_MICROS;
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
    wanted: Wanted<'_>,
    session: &mut S,
    plan: &TablePlan,
    report: &mut RunReport,
) -> Result<(), RunError> {
    let settings = wanted.settings;
    let filter = settings.filter.as_deref();
    for &index in plan.key.iter().filter(|&&index| plan.columns[index].nullable) {
        let rows = session.count_nulls(cx, &settings.table, &plan.columns[index], filter).await?;
        if rows > 0 {
            let column = plan.columns[index].name.clone();
            return Err(RunError::NullKey { table: settings.table.to_string(), column, rows });
        }
    }
    // for windows it need not be counted each time
    if let Some(cursor) = plan.cursor.filter(|&cursor| wanted.may_pass && plan.columns[cursor].nullable) {
        let rows = session.count_nulls(cx, &settings.table, &plan.columns[cursor], filter).await?;
        report.null_cursor_rows = (rows > 0).then_some(rows);
    }
    Ok(())
}
