//! Settings that a table got from a pattern, settled by what the catalog says of it. Pure.

use super::table::{Catalog, PlanError, is_cursor};
use crate::model::{Basis, Matched, TableKind, TableSettings};

/// The settings with the cursor chosen. The one that the watermark was made with stays, if it is still a candidate:
/// a column that appears later must not stop the table.
///
/// # Errors
/// The pattern does not mean such a table, or none of the candidates can be its cursor.
pub fn settle(
    settings: &TableSettings,
    matched: &Matched,
    (name, kind): (&str, TableKind),
    catalog: Catalog<'_>,
    was: Option<&Basis>,
) -> Result<TableSettings, PlanError> {
    let table = &settings.table;
    let not_meant = |why| Err(PlanError::NotMeant { table: table.clone(), pattern: matched.pattern.clone(), why });
    match kind {
        // its rows are its parent's, and would be there twice
        TableKind::Partition => return not_meant("is a partition; sync the table that it is a part of".to_owned()),
        TableKind::View if !matched.views => return not_meant("is a view; say `views: true`".to_owned()),
        TableKind::Table | TableKind::View => {}
    }
    // another spelling would be another table to us, with a watermark of its own and the same rows
    if name != table.name {
        return not_meant(format!("is {name:?} at the source; write it so"));
    }
    let mut settings = settings.clone();
    if matched.cursors.is_empty() {
        return Ok(settings);
    }
    let usable = |name: &&String| {
        catalog.columns.iter().find(|column| column.name == **name).is_some_and(|column| is_cursor(column, &settings))
    };
    let kept = was.and_then(|was| was.cursor.as_ref()).filter(|cursor| matched.cursors.contains(cursor));
    let Some(cursor) = kept.filter(usable).or_else(|| matched.cursors.iter().find(usable)).cloned() else {
        return Err(PlanError::NoCandidate { table: table.clone(), candidates: matched.cursors.clone() });
    };
    settings.cursor = Some(cursor);
    Ok(settings)
}
