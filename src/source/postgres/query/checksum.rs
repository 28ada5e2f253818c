//! The SQL of checksums and fingerprints, by the canonical text of each value. Pure.

use super::{Builder, Comparison, Param, condition, table_name};
use crate::mapping::{Canonical, SALT};
use crate::model::{Group, Label, Rows, SUMMED_DIGITS};
use crate::source::{Scan, SourceError, Which};

/// A statement whose columns are all text, and its parameters.
#[derive(Debug)]
pub(in crate::source::postgres) struct Statement {
    pub(in crate::source::postgres) sql: String,
    pub(in crate::source::postgres) params: Vec<Param>,
}

/// The statement of checksums: group, rows, sum, least, greatest.
pub(in crate::source::postgres) fn checksums(
    scan: &Scan<'_>,
    rows: &Rows,
    group_by: Group,
    groups_max: u64,
) -> Result<Statement, SourceError> {
    let query = scan.query(rows.from.as_deref(), rows.to.as_ref());
    let mut statement = Inner::new(scan, Builder::new(&query)?)?;
    statement.of_rows(rows)?;
    let (group, mark) = match group_by {
        Group::Extent | Group::Window => ("r.w".to_owned(), statement.mark()?),
        Group::Bucket(digits) => (format!("left(r.kd, {digits})"), None),
    };
    let ends = match mark {
        Some(_) => "min(r.m)::text, max(r.m)::text",
        None => "NULL::text, NULL::text",
    };
    let (inner, outer) = statement.inner(rows, mark.as_deref())?;
    let bits = u32::from(SUMMED_DIGITS) * 4;
    let sum = match group_by {
        Group::Extent => "'0'".to_owned(),
        Group::Window | Group::Bucket(_) => {
            format!("sum(('x' || left(r.h, {SUMMED_DIGITS}))::bit({bits})::int8)::text")
        }
    };
    let sql = format!(
        "SELECT {group}, count(*)::text, {sum}, {ends} FROM ({inner}) AS r{outer} GROUP BY 1 LIMIT {groups_max}"
    );
    Ok(Statement { sql, params: statement.builder.params })
}

/// The statement of fingerprints: the key's digest, the row's, whether it is settled, the key's values.
pub(in crate::source::postgres) fn fingerprints(
    scan: &Scan<'_>,
    which: Which<'_>,
    rows_max: u64,
) -> Result<Statement, SourceError> {
    let (from, to) = match which {
        Which::Rows(rows) => (rows.from.as_deref(), rows.to.as_ref()),
        Which::Keys(_) => (None, None),
    };
    let query = scan.query(from, to);
    let mut statement = Inner::new(scan, Builder::new(&query)?)?;
    let every = Rows { from: None, to: None, label: Label::Whole, windows: Vec::new(), buckets: Vec::new() };
    let (rows, settled) = match which {
        Which::Rows(rows) => {
            statement.of_rows(rows)?;
            (rows, "true".to_owned())
        }
        Which::Keys(keys) => {
            let unsettled = statement.unsettled()?;
            statement.builder.keys("key", Some(keys))?;
            statement.builder.conditions.extend(scan.filter.map(condition));
            (&every, format!("({unsettled}) IS NOT TRUE"))
        }
    };
    let texts = scan.key.iter().map(|&index| statement.text(index)).collect::<Result<Vec<_>, _>>()?;
    let mut more: Vec<String> = vec![format!("{settled} AS s")];
    more.extend(texts.iter().enumerate().map(|(place, text)| format!("{text} AS k{place}")));
    let (inner, outer) = statement.inner_with(rows, None, &more)?;
    let keys: String = (0..texts.len()).map(|place| format!(", r.k{place}")).collect();
    let sql = format!("SELECT r.kd, r.h, r.s::text{keys} FROM ({inner}) AS r{outer} LIMIT {rows_max}");
    Ok(Statement { sql, params: statement.builder.params })
}

struct Inner<'a, 'q> {
    scan: &'a Scan<'a>,
    builder: Builder<'q>,
}

impl<'a, 'q> Inner<'a, 'q> {
    fn new(scan: &'a Scan<'a>, builder: Builder<'q>) -> Result<Self, SourceError> {
        Ok(Self { scan, builder })
    }

    /// Only rows that should be in the target, within the bounds.
    fn of_rows(&mut self, rows: &Rows) -> Result<(), SourceError> {
        self.builder.bounds()?;
        if self.scan.cursor.is_some() && rows.from.is_none() && rows.to.is_none() && self.scan.watermark.is_some() {
            let cursor = self.scan.cursor.map(|cursor| super::field(&self.scan.columns[cursor]));
            self.builder.conditions.extend(cursor.map(|cursor| format!("{cursor} IS NOT NULL")));
        }
        let unsettled = self.unsettled()?;
        self.builder.conditions.push(format!("({unsettled}) IS NOT TRUE"));
        self.builder.conditions.extend(self.scan.filter.map(condition));
        Ok(())
    }

    /// Whether a row need not be in the target as it is: beyond the watermark, to be read again, or rejected.
    fn unsettled(&mut self) -> Result<String, SourceError> {
        let before = self.builder.conditions.len();
        self.builder.keyset()?;
        let mut any = self.builder.conditions.split_off(before);
        if let Some(cursor) = self.scan.cursor {
            if let Some(from) = self.scan.moving_from {
                let value = self.builder.bind("lower bound", cursor, from);
                any.push(self.builder.compare(cursor, Comparison::GreaterEqual, &value));
            }
            any.push(format!("{} IS NULL", super::field(&self.scan.columns[cursor])));
        }
        for (index, column) in self.scan.columns.iter().enumerate() {
            // a column that is not compared does not say what is rejected for it
            if let Ok(Canonical { rejected: Some(rejected), .. }) = crate::mapping::canonical(column) {
                any.push(self.salted(index, &rejected));
            }
        }
        let any: Vec<String> = any.into_iter().map(|one| format!("({one})")).collect();
        Ok(if any.is_empty() { "false".to_owned() } else { any.join(" OR ") })
    }

    /// SQL with the column's salt bound.
    fn salted(&mut self, index: usize, sql: &str) -> String {
        if !sql.contains(SALT) {
            return sql.to_owned();
        }
        let column = self.scan.columns[index].name.clone();
        self.builder.params.push(Param { what: "salt", column, value: self.scan.salt(index).to_owned() });
        sql.replace(SALT, &format!("${}::text", self.builder.params.len()))
    }

    fn text(&mut self, index: usize) -> Result<String, SourceError> {
        let canonical = self.scan.canonical(index)?;
        Ok(self.salted(index, &canonical.text))
    }

    /// The digest of these columns' values.
    fn digest(&mut self, columns: &[usize]) -> Result<String, SourceError> {
        let mut pieces = Vec::with_capacity(columns.len());
        for &index in columns {
            let canonical = self.scan.canonical(index)?;
            pieces.push(format!("coalesce({}, '~')", self.salted(index, canonical.piece())));
        }
        // not by `||` from piece to piece, which copies a wide row for each of its columns
        Ok(format!("md5(array_to_string(ARRAY[{}], '|') || '|')", pieces.join(", ")))
    }

    /// What least and greatest are taken of.
    fn mark(&mut self) -> Result<Option<String>, SourceError> {
        let Some(index) = self.scan.mark() else { return Ok(None) };
        let canonical = self.scan.canonical(index)?;
        Ok(Some(match canonical.number {
            Some(number) => number,
            None => format!("({}) COLLATE \"C\"", self.salted(index, &canonical.text)),
        }))
    }

    fn label(&mut self, label: &Label) -> Result<String, SourceError> {
        let Some(cursor) = self.scan.cursor else { return Ok("''".to_owned()) };
        let canonical = self.scan.canonical(cursor)?;
        Ok(match label {
            Label::Whole => "''".to_owned(),
            Label::Ranges(bounds) if bounds.is_empty() => "''".to_owned(),
            Label::Prefix(chars) => format!("left({}, {chars})", canonical.text),
            Label::Ranges(bounds) => {
                let number = canonical.number.unwrap_or(canonical.text);
                let below =
                    bounds.iter().enumerate().map(|(at, bound)| format!(" WHEN {number} < {bound} THEN '{at}'"));
                format!("CASE{} ELSE '{}' END", below.collect::<String>(), bounds.len())
            }
        })
    }

    fn inner(&mut self, rows: &Rows, mark: Option<&str>) -> Result<(String, String), SourceError> {
        self.inner_with(rows, mark, &[])
    }

    /// The rows with their digests, and the condition on these.
    fn inner_with(
        &mut self,
        rows: &Rows,
        mark: Option<&str>,
        more: &[String],
    ) -> Result<(String, String), SourceError> {
        let label = self.label(&rows.label)?;
        let digest = self.digest(self.scan.compared)?;
        let key = if self.scan.key.is_empty() { digest.clone() } else { self.digest(self.scan.key)? };
        let mut select = vec![format!("{label} AS w"), format!("{key} AS kd"), format!("{digest} AS h")];
        select.extend(mark.map(|mark| format!("{mark} AS m")));
        select.extend(more.iter().cloned());
        let mut inner = format!("SELECT {} FROM {} AS t", select.join(", "), table_name(self.scan.table));
        if !self.builder.conditions.is_empty() {
            inner.push_str(" WHERE ");
            inner.push_str(&self.builder.conditions.join(" AND "));
        }
        let mut outer = Vec::new();
        if !rows.windows.is_empty() {
            outer.push(format!("r.w IN ({})", self.words(&rows.windows)));
        }
        if let Some(first) = rows.buckets.first() {
            let digits = first.len();
            outer.push(format!("left(r.kd, {digits}) IN ({})", self.words(&rows.buckets)));
        }
        let outer = if outer.is_empty() { String::new() } else { format!(" WHERE {}", outer.join(" AND ")) };
        Ok((inner, outer))
    }

    fn words(&mut self, words: &[String]) -> String {
        let mut bound = Vec::with_capacity(words.len());
        for word in words {
            self.builder.params.push(Param { what: "group", column: String::new(), value: word.clone() });
            bound.push(format!("${}::text", self.builder.params.len()));
        }
        bound.join(", ")
    }
}

#[cfg(test)]
mod tests;
