//! Finds what is compared: the table's plan by its catalog and the settings, and the target as it is. Nothing is changed.

use super::super::{Engine, RunError, prepare};
use crate::bucket::Bucket;
use crate::mapping::CursorKind;
use crate::model::{Basis, Mode, Schema, Step, TableSettings, TableState};
use crate::net::Context;
use crate::plan::table::{self, TablePlan};
use crate::plan::verify::{self, Compared, VerifyError};
use crate::plan::{basis, columns, drift};
use crate::source::{Description, Scan, Session};
use crate::warehouse::{TargetScan, Warehouse};

/// What is compared.
#[derive(Debug)]
pub(super) struct Looked {
    /// The table's columns as they are synced; those that the target does not have yet are not among them.
    pub(super) plan: TablePlan,
    /// What of them is compared.
    pub(super) compared: Compared,
    /// The key among the columns that are compared.
    key_places: Vec<usize>,
    /// The cursor among them.
    cursor_place: Option<usize>,
    /// What the table is synced with now.
    pub(super) basis: Basis,
    /// Columns of the target that are no longer at the source.
    pub(super) cleared: Vec<String>,
    soft_deletes: bool,
}

/// Looks at the table's catalog and at the target.
pub(super) async fn look<B: Bucket, W: Warehouse, S: Session>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    session: &mut S,
    state: &TableState,
) -> Result<Looked, RunError> {
    cx.watch().step(Step::Planning);
    let description = session.describe(cx, &settings.table).await?;
    let catalog = prepare::catalog(&description);
    let settled = prepare::settle(settings, &description, catalog, state)?;
    let settings = settled.as_ref();
    let plan = table::decide(catalog, settings, state.basis.as_deref())?;
    let present: Vec<String> =
        description.columns.iter().map(|column| column.name.clone()).chain(description.hidden.clone()).collect();
    let left_out = columns::left_out(catalog, &settings.columns);
    let basis = basis::now(&plan, settings, &plan.key_names, &present, left_out, state.basis.as_deref());
    let changes = basis::changes(state, &basis);
    if !changes.is_empty() {
        return Err(RunError::Changed { table: settings.id.to_string(), changes });
    }
    if let Some(filter) = &settings.filter {
        session.check_filter(cx, &settings.table, filter).await?;
    }
    let target = &settings.target;
    let Some(info) = engine.warehouse.table(cx, target).await? else {
        return Err(RunError::TargetGone { table: settings.id.to_string(), target: target.clone() });
    };
    Ok(decide(settings, plan, &description, basis, &info.schema)?)
}

fn decide(
    settings: &TableSettings,
    plan: TablePlan,
    description: &Description,
    basis: Basis,
    found: &Schema,
) -> Result<Looked, VerifyError> {
    let missing: Vec<String> = drift::missing(found, &plan.target.schema).map(|field| field.name.clone()).collect();
    // told by the whole plan, which names what the target does not have
    let whole = verify::decide(&plan, found, &[]);
    let plan = plan.without(&missing);
    // a `replace` needs no key, and has one to name rows by
    let key = match (&settings.key, settings.mode) {
        (None, Mode::Replace) => &description.primary_key,
        (_, Mode::Replace | Mode::Merge | Mode::Append) => &plan.key_names,
    };
    let compared = Compared { left: whole.left, ..verify::decide(&plan, found, key) };
    if compared.indexes.is_empty() {
        return Err(VerifyError::NothingToCompare(settings.id.to_string()));
    }
    let key_places = compared.key.iter().filter_map(|&index| compared.place(index)).collect();
    // BigQuery would compare numbers that are STRING as texts
    let ordered = |place: &usize| compared.columns[*place].ty != crate::model::BqType::String;
    let cursor_place = plan.cursor.and_then(|cursor| compared.place(cursor)).filter(ordered);
    let cleared =
        basis.gone.iter().map(|column| column.name.clone()).filter(|name| found.field(name).is_some()).collect();
    let soft_deletes = settings.columns.metadata && found.field(crate::model::DELETED_AT).is_some();
    Ok(Looked { plan, compared, key_places, cursor_place, basis, cleared, soft_deletes })
}

impl Looked {
    /// What the source is asked for.
    pub(super) fn scan<'a>(&'a self, settings: &'a TableSettings, state: &'a TableState) -> Scan<'a> {
        Scan {
            table: &settings.table,
            columns: &self.plan.columns,
            compared: &self.compared.indexes,
            key: &self.compared.key,
            order: &self.plan.key,
            cursor: self.plan.cursor,
            watermark: state.watermark.as_ref().filter(|_| settings.mode != Mode::Replace),
            moving_from: super::moving_from(state).filter(|_| settings.mode != Mode::Replace),
            filter: settings.filter.as_deref(),
        }
    }

    /// What the target is asked for.
    pub(super) fn target<'a>(&'a self, settings: &'a TableSettings) -> TargetScan<'a> {
        TargetScan {
            table: &settings.target,
            columns: &self.compared.columns,
            key: &self.key_places,
            cursor: self.cursor_place,
            percent: None,
            soft_deletes: self.soft_deletes,
            location: &settings.location,
            job_project: &settings.job_project,
        }
    }

    /// The cursor's kind.
    pub(super) fn kind(&self) -> Option<CursorKind> {
        self.plan.cursor_kind()
    }
}
