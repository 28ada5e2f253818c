//! The statements of checksums and fingerprints, by the canonical text of each value. Pure.
//!
//! Parameters stand in the order of the text, so each piece of it carries its own.

use super::{AFTER, Conditions, Ordered, Statement, condition, null_condition, ordering_cursor, position_values};
use crate::mapping::mysql::{Ident, Param, QualifiedTable};
use crate::mapping::{Canonical, SALT};
use crate::model::{Bound, Group, Label, Rows, SUMMED_DIGITS};
use crate::source::{ReadQuery, Scan, SourceError, Which};

/// A piece of a statement.
#[derive(Default)]
struct Piece {
    sql: String,
    params: Vec<Param>,
}

impl Piece {
    fn plain(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), params: Vec::new() }
    }

    /// Pieces with `between` them.
    fn joined(pieces: Vec<Self>, between: &str) -> Self {
        let mut sql = Vec::with_capacity(pieces.len());
        let mut params = Vec::new();
        for piece in pieces {
            sql.push(piece.sql);
            params.extend(piece.params);
        }
        Self { sql: sql.join(between), params }
    }

    /// The piece within more text.
    fn within(self, before: &str, after: &str) -> Self {
        Self { sql: format!("{before}{}{after}", self.sql), params: self.params }
    }
}

/// The statement of checksums: group, rows, sum, least, greatest.
pub(in crate::source::mysql) fn checksums(
    table: QualifiedTable<'_>,
    scan: &Scan<'_>,
    rows: &Rows,
    group_by: Group,
    groups_max: u64,
) -> Result<Statement, SourceError> {
    let (group, mark) = match group_by {
        Group::Extent | Group::Window => ("r.w".to_owned(), mark(scan)?),
        Group::Bucket(digits) => (format!("LEFT(r.kd, {digits})"), None),
    };
    let ends = match mark {
        Some(_) => "CAST(MIN(r.m) AS CHAR), CAST(MAX(r.m) AS CHAR)",
        None => "NULL, NULL",
    };
    let more = mark.map(|mark| mark.within("", " AS m")).into_iter().collect();
    let conditions = of_rows(scan, rows)?;
    let sum = match group_by {
        Group::Extent => "'0'".to_owned(),
        Group::Window | Group::Bucket(_) => {
            format!("CAST(SUM(CAST(CONV(LEFT(r.h, {SUMMED_DIGITS}), 16, 10) AS DECIMAL(20,0))) AS CHAR)")
        }
    };
    let before = format!("SELECT {group} AS g, CAST(COUNT(*) AS CHAR), {sum}, {ends} FROM (");
    let whole = inner(table, scan, rows, more, conditions)?.within(&before, &format!(" GROUP BY g LIMIT {groups_max}"));
    Ok(Statement { sql: whole.sql, params: whole.params })
}

/// The statement of fingerprints: the key's digest, the row's, whether it is settled, the key's values.
pub(in crate::source::mysql) fn fingerprints(
    table: QualifiedTable<'_>,
    scan: &Scan<'_>,
    which: Which<'_>,
    rows_max: u64,
) -> Result<Statement, SourceError> {
    let every = Rows { from: None, to: None, label: Label::Whole, windows: Vec::new(), buckets: Vec::new() };
    let (rows, settled, conditions) = match which {
        Which::Rows(rows) => (rows, Piece::plain("'true'"), of_rows(scan, rows)?),
        Which::Keys(keys) => {
            let query = scan.query(None, None);
            let mut conditions = Conditions::default();
            conditions.keys(&query, keys)?;
            let mut all = vec![Piece { sql: conditions.all.join(" AND "), params: conditions.params }];
            all.extend(scan.filter.map(|filter| Piece::plain(condition(filter))));
            let settled = unsettled(scan, &query)?.within("IF((", ") IS TRUE, 'false', 'true')");
            (&every, settled, Piece::joined(all, " AND "))
        }
    };
    let mut more = vec![settled.within("", " AS s")];
    for (place, &index) in scan.key.iter().enumerate() {
        let text = salted(scan, index, &scan.canonical(index)?.text);
        more.push(text.within("", &format!(" AS k{place}")));
    }
    let keys: String = (0..scan.key.len()).map(|place| format!(", r.k{place}")).collect();
    let before = format!("SELECT r.kd, r.h, r.s{keys} FROM (");
    let whole = inner(table, scan, rows, more, conditions)?.within(&before, &format!(" LIMIT {rows_max}"));
    Ok(Statement { sql: whole.sql, params: whole.params })
}

/// The rows with their digests, closed, and the condition on these.
fn inner(
    table: QualifiedTable<'_>,
    scan: &Scan<'_>,
    rows: &Rows,
    more: Vec<Piece>,
    conditions: Piece,
) -> Result<Piece, SourceError> {
    let key = if scan.key.is_empty() { scan.compared } else { scan.key };
    let mut select = vec![
        label(scan, &rows.label)?.within("", " AS w"),
        digest(scan, key)?.within("", " AS kd"),
        digest(scan, scan.compared)?.within("", " AS h"),
    ];
    select.extend(more);
    let mut pieces = vec![Piece::joined(select, ", ").within("SELECT ", &format!(" FROM {table}"))];
    if !conditions.sql.is_empty() {
        pieces.push(conditions.within(" WHERE ", ""));
    }
    pieces.push(Piece::plain(") AS r"));
    let mut outer = Vec::new();
    if !rows.windows.is_empty() {
        outer.push(words(&rows.windows).within("r.w IN (", ")"));
    }
    if let Some(first) = rows.buckets.first() {
        outer.push(words(&rows.buckets).within(&format!("LEFT(r.kd, {}) IN (", first.len()), ")"));
    }
    if !outer.is_empty() {
        pieces.push(Piece::joined(outer, " AND ").within(" WHERE ", ""));
    }
    Ok(Piece::joined(pieces, ""))
}

fn words(words: &[String]) -> Piece {
    let params = words.iter().map(|word| Param::Text(word.clone())).collect();
    Piece { sql: vec!["?"; words.len()].join(", "), params }
}

/// Only rows that should be in the target, within the bounds.
fn of_rows(scan: &Scan<'_>, rows: &Rows) -> Result<Piece, SourceError> {
    let query = scan.query(rows.from.as_deref(), rows.to.as_ref());
    let mut conditions = Conditions::default();
    null_condition(&query, &mut conditions)?;
    if let Some(cursor) = ordering_cursor(&query) {
        let cursor = Ordered::new(&query.columns[cursor])?;
        if let Some(from) = query.range.from {
            let from = conditions.compare("lower bound", &cursor, ">=", from)?;
            conditions.all.push(from);
        }
        if let Some(Bound { value, inclusive }) = query.range.ceiling {
            let ceiling = conditions.compare("ceiling", &cursor, if *inclusive { "<=" } else { "<" }, value)?;
            conditions.all.push(ceiling);
        }
    }
    let mut all = Vec::new();
    if !conditions.all.is_empty() {
        all.push(Piece { sql: conditions.all.join(" AND "), params: conditions.params });
    }
    all.push(unsettled(scan, &query)?.within("(", ") IS NOT TRUE"));
    all.extend(scan.filter.map(|filter| Piece::plain(condition(filter))));
    Ok(Piece::joined(all, " AND "))
}

/// Whether a row need not be in the target as it is: beyond the watermark, to be read again, or rejected.
fn unsettled(scan: &Scan<'_>, query: &ReadQuery<'_>) -> Result<Piece, SourceError> {
    let mut any = Vec::new();
    if let Some(after) = query.range.after {
        let mut beyond = Conditions::default();
        beyond.beyond(&AFTER, &position_values(query, AFTER.what, after)?)?;
        any.push(Piece { sql: format!("({})", beyond.all.join(" AND ")), params: beyond.params });
    }
    if let Some(cursor) = scan.cursor {
        let ordered = Ordered::new(&scan.columns[cursor])?;
        if let Some(from) = scan.moving_from {
            let mut moving = Conditions::default();
            let sql = moving.compare("lower bound", &ordered, ">=", from)?;
            any.push(Piece { sql, params: moving.params });
        }
        any.push(Piece::plain(format!("{} IS NULL", Ident(&scan.columns[cursor].name))));
    }
    for (index, column) in scan.columns.iter().enumerate() {
        // a column that is not compared does not say what is rejected for it
        if let Ok(Canonical { rejected: Some(rejected), .. }) = crate::mapping::canonical(column) {
            any.push(salted(scan, index, &rejected));
        }
    }
    Ok(if any.is_empty() { Piece::plain("FALSE") } else { Piece::joined(any, " OR ") })
}

/// SQL with the column's salt bound.
fn salted(scan: &Scan<'_>, index: usize, sql: &str) -> Piece {
    let params = vec![Param::Text(scan.salt(index).to_owned()); sql.matches(SALT).count()];
    Piece { sql: sql.replace(SALT, "?"), params }
}

/// The digest of these columns' values.
fn digest(scan: &Scan<'_>, columns: &[usize]) -> Result<Piece, SourceError> {
    let mut pieces = Vec::with_capacity(columns.len());
    for &index in columns {
        let canonical = scan.canonical(index)?;
        pieces.push(salted(scan, index, canonical.piece()).within("COALESCE(", ", '~'), '|'"));
    }
    Ok(Piece::joined(pieces, ", ").within("MD5(CONCAT(", "))"))
}

/// What least and greatest are taken of.
fn mark(scan: &Scan<'_>) -> Result<Option<Piece>, SourceError> {
    let Some(index) = scan.mark() else { return Ok(None) };
    let canonical = scan.canonical(index)?;
    Ok(Some(match canonical.number {
        Some(number) => Piece::plain(number),
        // byte by byte, as BigQuery orders text
        None => salted(scan, index, &canonical.text).within("CONVERT(", " USING utf8mb4) COLLATE utf8mb4_bin"),
    }))
}

fn label(scan: &Scan<'_>, label: &Label) -> Result<Piece, SourceError> {
    let Some(cursor) = scan.cursor else { return Ok(Piece::plain("''")) };
    let canonical = scan.canonical(cursor)?;
    Ok(Piece::plain(match label {
        Label::Whole => "''".to_owned(),
        Label::Ranges(bounds) if bounds.is_empty() => "''".to_owned(),
        Label::Prefix(chars) => format!("LEFT({}, {chars})", canonical.text),
        Label::Ranges(bounds) => {
            let number = canonical.number.unwrap_or(canonical.text);
            let below = bounds.iter().enumerate().map(|(at, bound)| format!(" WHEN {number} < {bound} THEN '{at}'"));
            format!("CASE{} ELSE '{}' END", below.collect::<String>(), bounds.len())
        }
    }))
}

#[cfg(test)]
mod tests;
