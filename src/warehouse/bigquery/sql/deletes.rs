//! The statement that takes rows out of the target that are gone at the source.

use super::{Ident, Literal, Path, list};
use crate::model::{DELETED_AT, DeletesPass, Fraction, Intent, NOT_WHOLE, Removal, TOO_MANY_DELETES};

/// One MERGE of the staged keys: rows of the target without a match go, or get their time in `_deleted_at`; rows that have
/// one and are matched have come back.
///
/// It changes nothing, and says why, if the staging table does not hold the intent's number of keys, or if a greater part
/// of the rows would go than may. Rows that are newer than the keys do not count as gone.
pub(super) fn statement(intent: &Intent, pass: &DeletesPass) -> String {
    let (target, staging) = (Path(&intent.target), Path(&intent.staging));
    let keys = list(intent.key.iter().map(|key| Ident(key).to_string()));
    let nulls = list(intent.key.iter().map(|_| "NULL".to_owned()));
    let matched: Vec<String> = intent.key.iter().map(|key| format!("T.{0} = S.{0}", Ident(key))).collect();
    let matched = matched.join(" AND ");
    // a key that the source does not keep unique would match a row twice
    let distinct = if intent.key_enforced { "" } else { "DISTINCT " };
    let known = format!("SELECT {distinct}{keys} FROM {staging}");
    let alive = match pass.removal {
        Removal::Soft => format!("T.{} IS NULL", Ident(DELETED_AT)),
        Removal::Hard => "TRUE".to_owned(),
    };
    let older = older(pass);
    let gone = match intent.key.first() {
        Some(key) => format!("S.{} IS NULL AND {older}", Ident(key)),
        None => "FALSE".to_owned(),
    };
    let (most, whole) = (pass.max_fraction.millionths(), Fraction::WHOLE);
    // a row of its own, which is there also where there are no keys
    let guard = format!(
        "SELECT {nulls} FROM (SELECT COUNT(*) AS total, COUNTIF({gone}) AS gone FROM {target} T LEFT JOIN ({known}) S ON \
         {matched} WHERE {alive}) WHERE IF((SELECT COUNT(*) FROM {staging}) = {}, FALSE, ERROR('{NOT_WHOLE}')) OR \
         IF(gone * {whole} <= total * {most}, FALSE, ERROR(CONCAT('{TOO_MANY_DELETES}: ', CAST(gone AS STRING), ' of ', \
         CAST(total AS STRING))))",
        intent.rows
    );
    let actions = match pass.removal {
        Removal::Soft => {
            let deleted_at = Ident(DELETED_AT);
            format!(
                "WHEN MATCHED AND T.{deleted_at} IS NOT NULL THEN UPDATE SET {deleted_at} = CAST(NULL AS TIMESTAMP) \
                 WHEN NOT MATCHED BY SOURCE AND {alive} AND {older} THEN UPDATE SET {deleted_at} = CURRENT_TIMESTAMP()"
            )
        }
        Removal::Hard => format!("WHEN NOT MATCHED BY SOURCE AND {older} THEN DELETE"),
    };
    format!("MERGE INTO {target} T USING (({known}) UNION ALL ({guard})) S ON {matched} {actions}")
}

/// Whether the target's row is as old as the keys. A NULL cursor is older than any value.
fn older(pass: &DeletesPass) -> String {
    let Some(newest) = &pass.newest else { return "TRUE".to_owned() };
    let cursor = Ident(&pass.cursor);
    let operator = if newest.inclusive { "<=" } else { "<" };
    let newest = Literal(&newest.value);
    format!("(T.{cursor} IS NULL OR T.{cursor} {operator} CAST({newest} AS {}))", pass.cursor_type)
}
