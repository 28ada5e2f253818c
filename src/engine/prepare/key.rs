//! Refuses a key by which rows of the target are not found: a merge would insert each of them a second time.

use super::super::RunError;
use super::Wanted;
use super::target::Found;
use crate::encode::cast::Cast;
use crate::model::{Basis, Mode, TableState};
use crate::plan::basis;
use crate::plan::table::TablePlan;
use crate::warehouse::TableInfo;

/// Refuses a key with a column that the target, which has rows, lacks. Before that column is added: then nobody could tell
/// any more.
///
/// # Errors
/// [`RunError::KeyUnmatched`].
pub(super) fn refuse_absent(wanted: Wanted<'_>, plan: &TablePlan, info: &TableInfo) -> Result<(), RunError> {
    if wanted.settings.mode != Mode::Merge || info.rows == 0 {
        return Ok(());
    }
    let names = plan.key.iter().filter_map(|at| plan.names.get(*at));
    let Some(absent) = names.into_iter().find(|name| info.schema.field(name).is_none()) else { return Ok(()) };
    let way_out = "delete the target, or its rows, and run again".to_owned();
    Err(unmatched(wanted, plan, format!("it has no column {absent:?}, which is of the key"), way_out))
}

/// Refuses, after a reset, a key whose values in the target's rows may be others. Without a reset
/// [`basis::changes`] does.
///
/// # Errors
/// [`RunError::KeyUnmatched`].
pub(super) fn refuse_unmatched(
    wanted: Wanted<'_>,
    state: &TableState,
    plan: &TablePlan,
    now: &Basis,
    found: &Found,
) -> Result<(), RunError> {
    let Some(was) = state.basis.as_deref().filter(|was| was.reset && was.target == now.target) else { return Ok(()) };
    if wanted.accept || wanted.settings.mode != Mode::Merge || found.rows == 0 {
        return Ok(());
    }
    let mut key = plan.key.iter().filter_map(|at| plan.columns.get(*at));
    let zoned = key.any(|column| matches!(column.cast, Some(Cast::Instant(_))));
    let changes = basis::key_changes(was, now, zoned);
    if changes.is_empty() {
        return Ok(());
    }
    let way_out = format!(
        "delete the target, or its rows, and run again, or, if every row of it has the values of this key already, \
         `highwater sync --accept {}`",
        wanted.settings.id
    );
    Err(unmatched(wanted, plan, changes.join(", "), way_out))
}

fn unmatched(wanted: Wanted<'_>, plan: &TablePlan, why: String, way_out: String) -> RunError {
    let (table, target) = (wanted.settings.id.to_string(), Box::new(plan.target.table.clone()));
    RunError::KeyUnmatched { table, target, why, way_out }
}
