//! What stops a run before it reads: a catalog that speaks against the settings, and settings that the watermark was not made
//! with.

use super::super::RunError;
use super::Wanted;
use crate::model::{Basis, Mode, TableSettings, TableState};
use crate::plan::table::TablePlan;
use crate::plan::{basis, prune};
use crate::report::RunReport;
use crate::source::{Description, SourceError};

/// What the catalog says against the settings, or against going on.
pub(super) fn refuse(
    settings: &TableSettings,
    state: &TableState,
    found: &Description,
    plan: &TablePlan,
    report: &mut RunReport,
) -> Result<(), RunError> {
    let sources = prune::check_promise(settings, plan, &super::present(found), &found.derived)?;
    if !sources.is_empty() {
        report.note(format!(
            "the partition column is generated from {sources:?}: `partition_immutable` promises that these never change either"
        ));
    }
    refuse_hidden(settings, state, found)
}

/// A column that was synced and may no longer be read is not gone: its values must not become NULL in silence.
fn refuse_hidden(settings: &TableSettings, state: &TableState, found: &Description) -> Result<(), RunError> {
    let synced = state.basis.iter().flat_map(|basis| &basis.columns).map(|column| &column.source);
    let absent = |name: &&String| found.columns.iter().all(|column| column.name != **name);
    let wanted = &settings.columns;
    let stays = |name: &&String| {
        !wanted.exclude.contains(*name) && wanted.include.as_ref().is_none_or(|include| include.contains(*name))
    };
    let mut lost = synced.filter(absent).filter(stays);
    let Some(column) = lost.find(|name| found.hides_some || found.hidden.contains(name)) else { return Ok(()) };
    let message = format!("column {column:?} was synced and may not be read any more, see `exclude_columns`");
    Err(SourceError::Denied { table: settings.table.to_string(), message }.into())
}

/// Refuses to go on from a watermark that the settings of now make wrong.
pub(super) fn check_basis(
    wanted: Wanted<'_>,
    state: &TableState,
    now: &Basis,
    report: &mut RunReport,
) -> Result<(), RunError> {
    let settings = wanted.settings;
    let hidden = basis::newly_left_out(state.basis.as_deref(), now);
    if !hidden.is_empty() && settings.mode != Mode::Replace {
        report.note(format!("columns {hidden:?} are left out from now on; what the target has in them stays as it is"));
    }
    let mut changes = basis::changes(state, now);
    // what is not added to the target is not included either
    let included = if settings.schema.add { basis::included(state.basis.as_deref(), now) } else { Vec::new() };
    if !included.is_empty()
        && settings.mode != Mode::Replace
        && state.watermark.is_some()
        && !settings.schema.backfill_added
    {
        changes.push(format!(
            "columns {included:?} were left out until now, and rows below the watermark would keep NULL in them \
             (`schema: {{backfill_added: true}}` reads them again)"
        ));
    }
    if changes.is_empty() {
        return Ok(());
    }
    if wanted.accept {
        tracing::warn!(?changes, "settings changed since the watermark was made, and that is accepted");
        return Ok(());
    }
    Err(RunError::Changed { table: settings.id.to_string(), changes })
}
