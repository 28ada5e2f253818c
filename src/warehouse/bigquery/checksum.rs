//! The statements of checksums and fingerprints of a target, by the canonical text of each value (`mapping::canonical`
//! makes the source's). Pure; every name is quoted by its type, every text by [`Literal`].

use super::super::{ExtraRows, TargetScan};
use super::sql::{Ident, Literal, Path};
use crate::model::{Bound, BqType, DELETED_AT, Group, Label, Rows, SUMMED_DIGITS, TargetColumn};

/// The canonical text of a column's values; NULL of NULL.
fn text(column: &TargetColumn) -> String {
    let name = format!("T.{}", Ident(&column.name));
    match column.ty {
        BqType::Int64 => format!("CAST({name} AS STRING)"),
        BqType::Numeric | BqType::BigNumeric => {
            let text = format!("CAST({name} AS STRING)");
            format!("IF(STRPOS({text}, '.') > 0, RTRIM(RTRIM({text}, '0'), '.'), {text})")
        }
        BqType::Bool => format!("CASE WHEN {name} THEN '1' WHEN NOT {name} THEN '0' END"),
        BqType::String => name,
        BqType::Bytes => format!("TO_HEX({name})"),
        BqType::Date => format!("FORMAT_DATE('%E4Y-%m-%d', {name})"),
        BqType::Time => format!("FORMAT_TIME('%H:%M:%E6S', {name})"),
        BqType::DateTime => format!("FORMAT_DATETIME('%E4Y-%m-%dT%H:%M:%E6S', {name})"),
        BqType::Timestamp => {
            let zone = column.zone.as_deref().unwrap_or("UTC");
            format!("FORMAT_TIMESTAMP('%E4Y-%m-%dT%H:%M:%E6S', {name}, {})", Literal(zone))
        }
        // never compared; a statement that asks for it all the same is refused
        BqType::Float64 | BqType::Json | BqType::Geography => format!("ERROR({})", Literal(column.ty.name())),
    }
}

/// What stands for a value in the text of a row: without the characters `|` and `~`.
fn piece(column: &TargetColumn) -> String {
    match column.ty {
        BqType::String | BqType::Bytes => format!("TO_HEX(MD5(T.{}))", Ident(&column.name)),
        BqType::Int64
        | BqType::Float64
        | BqType::Bool
        | BqType::Date
        | BqType::Time
        | BqType::DateTime
        | BqType::Timestamp
        | BqType::Numeric
        | BqType::BigNumeric
        | BqType::Json
        | BqType::Geography => text(column),
    }
}

/// The digest of these columns' values.
fn digest<'a>(columns: impl Iterator<Item = &'a TargetColumn>) -> String {
    let pieces: Vec<String> = columns.map(|column| format!("COALESCE({}, '~'), '|'", piece(column))).collect();
    format!("TO_HEX(MD5(CONCAT({})))", pieces.join(", "))
}

/// The value of a cursor's text, to compare the column with: constant, so that partitions are left out.
fn value(column: &TargetColumn, text: &str) -> String {
    match &column.zone {
        Some(zone) => format!("TIMESTAMP({}, {})", Literal(text), Literal(zone)),
        None => format!("CAST({} AS {})", Literal(text), column.ty),
    }
}

fn is_number(ty: BqType) -> bool {
    matches!(ty, BqType::Int64 | BqType::Numeric | BqType::BigNumeric)
}

fn words(words: &[String]) -> String {
    words.iter().map(|word| Literal(word).to_string()).collect::<Vec<_>>().join(", ")
}

/// The digests of the key and of the row.
fn digests(scan: &TargetScan<'_>) -> (String, String) {
    let row = digest(scan.columns.iter());
    let key = if scan.key.is_empty() { row.clone() } else { digest(scan.key.iter().map(|&at| &scan.columns[at])) };
    (key, row)
}

/// The conditions on a row's own columns.
fn conditions(scan: &TargetScan<'_>, rows: &Rows) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(cursor) = scan.cursor.map(|at| &scan.columns[at]) {
        let name = format!("T.{}", Ident(&cursor.name));
        if let Some(from) = &rows.from {
            all.push(format!("{name} >= {}", value(cursor, from)));
        }
        if let Some(Bound { value: to, inclusive }) = &rows.to {
            all.push(format!("{name} {} {}", if *inclusive { "<=" } else { "<" }, value(cursor, to)));
        }
        if all.is_empty() {
            all.push(format!("{name} IS NOT NULL"));
        }
    }
    if scan.soft_deletes {
        all.push(format!("T.{} IS NULL", Ident(DELETED_AT)));
    }
    all
}

fn label(scan: &TargetScan<'_>, label: &Label) -> String {
    let Some(cursor) = scan.cursor.map(|at| &scan.columns[at]) else { return "''".to_owned() };
    match label {
        Label::Whole => "''".to_owned(),
        Label::Ranges(bounds) if bounds.is_empty() => "''".to_owned(),
        Label::Prefix(chars) => format!("SUBSTR({}, 1, {chars})", text(cursor)),
        Label::Ranges(bounds) => {
            let name = format!("T.{}", Ident(&cursor.name));
            let below = bounds.iter().enumerate();
            let below =
                below.map(|(at, bound)| format!(" WHEN {name} < {} THEN '{at}'", value(cursor, &bound.to_string())));
            format!("CASE{} ELSE '{}' END", below.collect::<String>(), bounds.len())
        }
    }
}

/// The rows with their digests, and the condition on these.
fn inner(scan: &TargetScan<'_>, rows: &Rows, more: &[String]) -> String {
    let (key, row) = digests(scan);
    let mut select = vec![format!("{} AS w", label(scan, &rows.label)), format!("{key} AS kd"), format!("{row} AS h")];
    select.extend(more.iter().cloned());
    let conditions = conditions(scan, rows);
    let clause = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let mut outer = Vec::new();
    if !rows.windows.is_empty() {
        outer.push(format!("R.w IN ({})", words(&rows.windows)));
    }
    if let Some(first) = rows.buckets.first() {
        outer.push(format!("SUBSTR(R.kd, 1, {}) IN ({})", first.len(), words(&rows.buckets)));
    }
    let outer = if outer.is_empty() { String::new() } else { format!(" WHERE {}", outer.join(" AND ")) };
    let part = scan.percent.map(|percent| format!(" TABLESAMPLE SYSTEM ({percent} PERCENT)")).unwrap_or_default();
    format!("(SELECT {} FROM {} AS T{part}{clause}) AS R{outer}", select.join(", "), Path(scan.table))
}

/// The statement of checksums: group, rows, sum, least, greatest.
pub fn checksums_statement(scan: &TargetScan<'_>, rows: &Rows, group_by: Group, groups_max: u64) -> String {
    let mark = scan.cursor.or_else(|| scan.key.first().copied()).map(|at| &scan.columns[at]);
    let mark = mark.filter(|_| !matches!(group_by, Group::Bucket(_)));
    let of = |column: &TargetColumn| match is_number(column.ty) {
        true => format!("T.{}", Ident(&column.name)),
        false => text(column),
    };
    let more: Vec<String> = mark.map(|column| format!("{} AS m", of(column))).into_iter().collect();
    let ends = match mark {
        Some(_) => "CAST(MIN(R.m) AS STRING), CAST(MAX(R.m) AS STRING)",
        None => "CAST(NULL AS STRING), CAST(NULL AS STRING)",
    };
    let group = match group_by {
        Group::Extent | Group::Window => "R.w".to_owned(),
        Group::Bucket(digits) => format!("SUBSTR(R.kd, 1, {digits})"),
    };
    let sum = match group_by {
        Group::Extent => "'0'".to_owned(),
        Group::Window | Group::Bucket(_) => format!(
            "CAST(SUM(CAST(CAST(CONCAT('0x', SUBSTR(R.h, 1, {SUMMED_DIGITS})) AS INT64) AS NUMERIC)) AS STRING)"
        ),
    };
    format!(
        "SELECT {group} AS g, CAST(COUNT(*) AS STRING), {sum}, {ends} FROM {} GROUP BY g \
         LIMIT {groups_max}",
        inner(scan, rows, &more)
    )
}

/// The statement of fingerprints: the key's digest, the row's, the key's values.
pub fn fingerprints_statement(scan: &TargetScan<'_>, rows: &Rows, rows_max: u64) -> String {
    let keys = || scan.key.iter().enumerate();
    let more: Vec<String> = keys().map(|(place, &at)| format!("{} AS k{place}", text(&scan.columns[at]))).collect();
    let names: String = keys().map(|(place, _)| format!(", R.k{place}")).collect();
    format!("SELECT R.kd, R.h{names} FROM {} LIMIT {rows_max}", inner(scan, rows, &more))
}

/// The statement that removes these rows, each told by the digests of its key and of itself, so that one that was written
/// since stays: they are deleted, or marked where the table has soft deletes.
pub fn remove_statement(extra: &ExtraRows<'_>) -> String {
    let ExtraRows { scan, rows, mark } = *extra;
    let (key, row) = digests(scan);
    let both: Vec<String> = rows.iter().map(|(key, row)| format!("{key}{row}")).collect();
    let told = format!("CONCAT({key}, {row}) IN ({})", words(&both));
    let path = Path(scan.table);
    if mark {
        let deleted = Ident(DELETED_AT);
        return format!("UPDATE {path} AS T SET {deleted} = CURRENT_TIMESTAMP() WHERE T.{deleted} IS NULL AND {told}");
    }
    format!("DELETE FROM {path} AS T WHERE {told}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BqTable;

    #[test]
    fn checksums_of_windows_within_bounds() {
        let table = BqTable { project: "p".into(), dataset: "d".into(), table: "t".into() };
        let column = |name: &str, ty| TargetColumn { name: name.into(), ty, zone: None };
        let columns = [column("id", BqType::Int64), column("u", BqType::Timestamp), column("s", BqType::String)];
        let scan = TargetScan {
            table: &table,
            columns: &columns,
            key: &[0],
            cursor: Some(1),
            percent: None,
            soft_deletes: true,
            location: "EU",
            job_project: "p",
        };
        let rows = Rows {
            from: None,
            to: Some(Bound { value: "2026-01-01T00:00:00Z".into(), inclusive: true }),
            label: Label::Prefix(10),
            windows: vec![],
            buckets: vec!["0a".into()],
        };
        let sql = checksums_statement(&scan, &rows, Group::Window, 7);
        assert!(
            sql.contains("T.`u` <= CAST('2026-01-01T00:00:00Z' AS TIMESTAMP) AND T.`_deleted_at` IS NULL"),
            "{sql}"
        );
        assert!(sql.contains("TO_HEX(MD5(CONCAT(COALESCE(CAST(T.`id` AS STRING), '~'), '|'))) AS kd"), "{sql}");
        assert!(sql.contains("COALESCE(TO_HEX(MD5(T.`s`)), '~'), '|'"), "{sql}");
        assert!(sql.ends_with("WHERE SUBSTR(R.kd, 1, 2) IN ('0a') GROUP BY g LIMIT 7"), "{sql}");
        let removal = remove_statement(&ExtraRows { scan: &scan, rows: &[("k".into(), "r".into())], mark: true });
        assert!(removal.starts_with("UPDATE `p`.`d`.`t` AS T SET `_deleted_at` = CURRENT_TIMESTAMP()"), "{removal}");
    }
}
