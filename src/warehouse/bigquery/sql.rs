//! The statements that move a staging table's rows into the target. Pure; every name is quoted by its type.

mod deletes;
mod prune;

use std::fmt;

use crate::model::{BqTable, BqType, DELETED_AT, Field, FieldMode, Intent, Mode, NOT_WHOLE, OUTSIDE, SYNCED_AT};

/// A quoted identifier: a column, or one part of a path.
#[derive(Clone, Copy, Debug)]
pub struct Ident<'a>(pub &'a str);

impl fmt::Display for Ident<'_> {
    /// Between backticks, backslash and backtick escaped (GoogleSQL, "Lexical structure: quoted identifiers").
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for c in self.0.chars() {
            if matches!(c, '`' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("`")
    }
}

/// A quoted text.
#[derive(Clone, Copy, Debug)]
pub struct Literal<'a>(pub &'a str);

impl fmt::Display for Literal<'_> {
    /// Between single quotes; backslash, quote and control characters escaped (GoogleSQL, "String literals").
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for c in self.0.chars() {
            match c {
                '\'' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("'")
    }
}

/// A quoted table path.
pub(super) struct Path<'a>(pub(super) &'a BqTable);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", Ident(&self.0.project), Ident(&self.0.dataset), Ident(&self.0.table))
    }
}

/// The one statement that applies the intent.
///
/// - `merge`: rows are matched by key; a row whose cursor is older than the target's does not overwrite it, and a
///   NULL cursor counts as older than any value. A key that is not enforced is made unique first, newest row first. Of a
///   chunk that says in which partitions its rows are, no other partition of the target is looked at; the statement fails
///   without effect if a row is in another all the same.
/// - `append`: every row is inserted.
/// - of the lane of deletes: rows of the target without a match go.
/// - `replace`: all rows of the target go and all of the staging table come, in one atomic statement. The table
///   itself stays, with its policies, descriptions and REQUIRED columns.
///
/// The staging table is read only if it holds the intent's number of rows: it may have expired and been made again, empty,
/// since somebody looked. The test stands on a row of its own, which is there also where the table has none.
///
/// Columns of the target that the intent does not have are left alone in rows that exist and NULL in new ones; those
/// that the source has dropped become NULL in rows that are written again.
pub fn merge_statement(intent: &Intent) -> String {
    if let Some(pass) = &intent.deletes {
        return deletes::statement(intent, pass);
    }
    let target = Path(&intent.target);
    let columns = list(intent.schema.0.iter().map(|field| Ident(&field.name).to_string()));
    match intent.mode {
        Mode::Merge => merge(intent, &columns),
        Mode::Append => {
            let (also, now) = metadata_insert(intent);
            let source = whole(intent, &columns, "");
            format!("INSERT INTO {target} ({columns}{also}) SELECT {columns}{now} FROM ({source})")
        }
        Mode::Replace => {
            let values = list(intent.schema.0.iter().map(|field| format!("S.{}", Ident(&field.name))));
            let (also, now) = metadata_insert(intent);
            let source = whole(intent, &columns, "");
            format!(
                "MERGE INTO {target} T USING ({source}) S ON FALSE \
                 WHEN NOT MATCHED BY TARGET THEN INSERT ({columns}{also}) VALUES ({values}{now}) \
                 WHEN NOT MATCHED BY SOURCE THEN DELETE"
            )
        }
    }
}

/// The staging table's rows that meet `condition`, or an error if it does not hold all of the intent's.
fn whole(intent: &Intent, columns: &str, condition: &str) -> String {
    let (staging, rows) = (Path(&intent.staging), intent.rows);
    let nulls = list(intent.schema.0.iter().map(|_| "NULL".to_owned()));
    let inside = intent.pruned.as_deref().map(|pruned| {
        let inside = prune::condition(pruned, "");
        format!(" OR IF((SELECT COUNTIF({inside}) FROM {staging}) = {rows}, FALSE, ERROR('{OUTSIDE}'))")
    });
    format!(
        "(SELECT {columns} FROM {staging}{condition}) UNION ALL (SELECT {nulls} FROM UNNEST([0]) WHERE \
         IF((SELECT COUNT(*) FROM {staging}) = {rows}, FALSE, ERROR('{NOT_WHOLE}')){})",
        inside.unwrap_or_default()
    )
}

/// What an INSERT names and gives besides, if the target has the metadata columns.
fn metadata_insert(intent: &Intent) -> (String, &'static str) {
    match intent.metadata {
        true => (format!(", {}", Ident(SYNCED_AT)), ", CURRENT_TIMESTAMP()"),
        false => (String::new(), ""),
    }
}

fn merge(intent: &Intent, columns: &str) -> String {
    let target = Path(&intent.target);
    let is_key = |name: &str| intent.key.iter().any(|key| key == name);
    let quoted_key = || intent.key.iter().map(|key| Ident(key).to_string());
    let mut newest = String::new();
    if !intent.key_enforced {
        let order = match &intent.cursor {
            Some(cursor) => format!("{} DESC NULLS LAST", Ident(cursor)),
            None => list(quoted_key()),
        };
        let partition = list(quoted_key());
        newest = format!(" WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY {partition} ORDER BY {order}) = 1");
    }
    let source = whole(intent, columns, &newest);
    let mut matched: Vec<String> = intent.key.iter().map(|key| format!("T.{0} = S.{0}", Ident(key))).collect();
    matched.extend(intent.pruned.as_deref().map(|pruned| format!("({})", prune::condition(pruned, "T."))));
    let newer = match &intent.cursor {
        Some(cursor) => format!(" AND (T.{0} IS NULL OR S.{0} >= T.{0})", Ident(cursor)),
        None => String::new(),
    };
    let others = intent.schema.0.iter().filter(|field| !is_key(&field.name));
    let staged = others.map(|field| format!("{0} = S.{0}", Ident(&field.name)));
    let cleared = intent.cleared.iter().map(|name| format!("{0} = IF(FALSE, T.{0}, NULL)", Ident(name)));
    let metadata = [(SYNCED_AT, "CURRENT_TIMESTAMP()"), (DELETED_AT, "CAST(NULL AS TIMESTAMP)")]
        .into_iter()
        .filter(|_| intent.metadata);
    let metadata = metadata.map(|(name, value)| format!("{} = {value}", Ident(name)));
    let assignments = list(staged.chain(cleared).chain(metadata));
    // a table that is all key has nothing to update
    let update = match assignments.is_empty() {
        true => String::new(),
        false => format!(" WHEN MATCHED{newer} THEN UPDATE SET {assignments}"),
    };
    let values = list(intent.schema.0.iter().map(|field| format!("S.{}", Ident(&field.name))));
    let (also, now) = metadata_insert(intent);
    format!(
        "MERGE INTO {target} T USING ({source}) S ON {}{update} WHEN NOT MATCHED THEN INSERT ({columns}{also}) VALUES ({values}{now})",
        matched.join(" AND ")
    )
}

/// The intent's statement with no row to move, for asking what it would cost before there is a staging table: that is a
/// subselect of the same columns and types. Equal but for the bytes of the staging table.
pub fn merge_without_staging(intent: &Intent) -> String {
    let column = |field: &Field| match field.mode {
        FieldMode::Repeated => format!("CAST([] AS ARRAY<{}>) AS {}", field.ty, Ident(&field.name)),
        FieldMode::Nullable | FieldMode::Required => format!("CAST(NULL AS {}) AS {}", field.ty, Ident(&field.name)),
    };
    let columns = list(intent.schema.0.iter().map(column));
    let nothing = format!("(SELECT {columns} FROM UNNEST([0]) WHERE FALSE)");
    // no other table has the name of an intent's
    merge_statement(intent).replace(&Path(&intent.staging).to_string(), &nothing)
}

/// The statement that changes a column's type to a wider one. One column a statement, as BigQuery's DDL has it.
pub fn widen_statement(table: &BqTable, column: &str, ty: BqType) -> String {
    format!("ALTER TABLE {} ALTER COLUMN {} SET DATA TYPE {ty}", Path(table), Ident(column))
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IntentId, Lane, Schema};

    fn intent(mode: Mode, columns: &[&str], key: &[&str], cursor: Option<&str>, key_enforced: bool) -> Intent {
        let table = |name: &str| BqTable { project: "p-1".into(), dataset: "d".into(), table: name.into() };
        let field = |name: &&str| Field {
            name: (*name).into(),
            ty: BqType::Int64,
            mode: FieldMode::Nullable,
            description: None,
        };
        Intent {
            id: IntentId::new(0, 0),
            parts: vec![],
            rows: 0,
            bytes: 0,
            lane: Lane::Live,
            lower: None,
            upper: None,
            schema: Schema(columns.iter().map(field).collect()),
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            key_enforced,
            cursor: cursor.map(str::to_owned),
            target: table("t"),
            staging: table("s"),
            location: "EU".into(),
            job_project: "p".into(),
            mode,
            cleared: vec![],
            metadata: false,
            rejected: 0,
            rejects: vec![],
            deletes: None,
            pruned: None,
        }
    }

    #[test]
    fn merge_by_an_enforced_key() {
        assert_eq!(
            merge_statement(&intent(Mode::Merge, &["id", "c", "v"], &["id"], Some("c"), true)),
            "MERGE INTO `p-1`.`d`.`t` T USING ((SELECT `id`, `c`, `v` FROM `p-1`.`d`.`s`) UNION ALL \
             (SELECT NULL, NULL, NULL FROM UNNEST([0]) WHERE IF((SELECT COUNT(*) FROM `p-1`.`d`.`s`) = 0, FALSE, \
             ERROR('highwater: the staging table is not whole')))) S ON T.`id` = S.`id` \
             WHEN MATCHED AND (T.`c` IS NULL OR S.`c` >= T.`c`) THEN UPDATE SET `c` = S.`c`, `v` = S.`v` \
             WHEN NOT MATCHED THEN INSERT (`id`, `c`, `v`) VALUES (S.`id`, S.`c`, S.`v`)"
        );
    }

    #[test]
    fn merge_by_a_key_that_is_not_enforced_keeps_the_newest() {
        assert_eq!(
            merge_statement(&intent(Mode::Merge, &["a", "b", "c"], &["a", "b"], Some("c"), false)),
            "MERGE INTO `p-1`.`d`.`t` T USING ((SELECT `a`, `b`, `c` FROM `p-1`.`d`.`s` WHERE TRUE QUALIFY ROW_NUMBER() \
             OVER (PARTITION BY `a`, `b` ORDER BY `c` DESC NULLS LAST) = 1) UNION ALL \
             (SELECT NULL, NULL, NULL FROM UNNEST([0]) WHERE IF((SELECT COUNT(*) FROM `p-1`.`d`.`s`) = 0, FALSE, \
             ERROR('highwater: the staging table is not whole')))) S ON T.`a` = S.`a` AND T.`b` = S.`b` \
             WHEN MATCHED AND (T.`c` IS NULL OR S.`c` >= T.`c`) THEN UPDATE SET `c` = S.`c` \
             WHEN NOT MATCHED THEN INSERT (`a`, `b`, `c`) VALUES (S.`a`, S.`b`, S.`c`)"
        );
    }

    #[test]
    fn a_table_that_is_all_key_is_only_inserted_into() {
        let sql = merge_statement(&intent(Mode::Merge, &["id"], &["id"], Some("id"), true));
        assert!(!sql.contains("WHEN MATCHED"), "{sql}");
    }

    #[test]
    fn dropped_columns_are_cleared_and_metadata_is_kept() {
        let mut intent = intent(Mode::Merge, &["id", "c"], &["id"], Some("c"), true);
        intent.cleared = vec!["old".into()];
        intent.metadata = true;
        let sql = merge_statement(&intent);
        let update = "UPDATE SET `c` = S.`c`, `old` = IF(FALSE, T.`old`, NULL), \
             `_synced_at` = CURRENT_TIMESTAMP(), `_deleted_at` = CAST(NULL AS TIMESTAMP)";
        assert!(sql.contains(update), "{sql}");
        assert!(sql.ends_with("INSERT (`id`, `c`, `_synced_at`) VALUES (S.`id`, S.`c`, CURRENT_TIMESTAMP())"), "{sql}");
        intent.mode = Mode::Append;
        let sql = merge_statement(&intent);
        assert!(sql.contains("(`id`, `c`, `_synced_at`) SELECT `id`, `c`, CURRENT_TIMESTAMP() FROM"), "{sql}");
    }

    #[test]
    fn a_type_is_widened() {
        let table = BqTable { project: "p".into(), dataset: "d".into(), table: "t".into() };
        assert_eq!(
            widen_statement(&table, "a", BqType::Numeric),
            "ALTER TABLE `p`.`d`.`t` ALTER COLUMN `a` SET DATA TYPE NUMERIC"
        );
    }

    #[test]
    fn append_and_replace() {
        assert_eq!(
            merge_statement(&intent(Mode::Append, &["a", "b"], &[], Some("a"), true)),
            "INSERT INTO `p-1`.`d`.`t` (`a`, `b`) SELECT `a`, `b` FROM ((SELECT `a`, `b` FROM `p-1`.`d`.`s`) UNION ALL \
             (SELECT NULL, NULL FROM UNNEST([0]) WHERE IF((SELECT COUNT(*) FROM `p-1`.`d`.`s`) = 0, FALSE, \
             ERROR('highwater: the staging table is not whole'))))"
        );
        assert_eq!(
            merge_statement(&intent(Mode::Replace, &["a", "b"], &[], None, false)),
            "MERGE INTO `p-1`.`d`.`t` T USING ((SELECT `a`, `b` FROM `p-1`.`d`.`s`) UNION ALL (SELECT NULL, NULL \
             FROM UNNEST([0]) WHERE IF((SELECT COUNT(*) FROM `p-1`.`d`.`s`) = 0, FALSE, \
             ERROR('highwater: the staging table is not whole')))) S ON FALSE WHEN NOT MATCHED BY TARGET THEN INSERT (`a`, `b`) \
             VALUES (S.`a`, S.`b`) WHEN NOT MATCHED BY SOURCE THEN DELETE"
        );
    }

    #[test]
    fn names_cannot_break_out() {
        assert_eq!(Literal("a'); DROP \\ \n\u{2028}").to_string(), "'a\\'); DROP \\\\ \\u000a\\u2028'");
        assert_eq!(Ident("a`; DROP \\ x").to_string(), "`a\\`; DROP \\\\ x`");
    }
}
