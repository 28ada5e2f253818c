//! The SQL of reads: keyset, bounds and order, with every value bound. Pure.

pub(super) mod checksum;

use super::DEFAULT_SCHEMA;
use crate::encode::postgres::PgCodec;
use crate::mapping::postgres::{Comparison, Ident, Read, Wrap};
use crate::mapping::{self, Column};
use crate::model::{Position, SourceTable};
use crate::source::{Nulls, Place, ReadQuery, SourceError, condition};

/// A read as SQL.
#[derive(Debug)]
pub(super) struct Built {
    /// The text; parameters are `$1` to `$n`, all of them text.
    pub(super) sql: String,
    /// The parameters.
    pub(super) params: Vec<Param>,
    /// How each selected column is read.
    pub(super) codecs: Vec<PgCodec>,
    /// The cursor's place in a row, if rows have one.
    pub(super) cursor: Option<Slot>,
    /// The key columns' places in a row; empty if rows have no order.
    pub(super) key: Vec<Slot>,
}

/// A bound value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Param {
    /// What it is: `watermark`, `ceiling` …
    pub(super) what: &'static str,
    /// The column that it belongs to.
    pub(super) column: String,
    /// Its text.
    pub(super) value: String,
}

/// Where in a row a position's value is, and how its text is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Index into the row.
    pub(super) index: usize,
    /// How it is read.
    pub(super) codec: PgCodec,
    /// Index into the query's columns.
    pub(super) column: usize,
}

/// The greatest value of a column that is not NULL. Not `max()`, which not every ordered type has.
pub(super) fn max_cursor(table: &SourceTable, column: &Column) -> Result<(String, Slot), SourceError> {
    let read = read_of(column)?;
    let name = field(column);
    let (wrap, codec) = position_of(read);
    let value = wrap.sql(&name);
    let sql =
        format!("SELECT {value} FROM {} AS t WHERE {name} IS NOT NULL ORDER BY {name} DESC LIMIT 1", table_name(table));
    Ok((sql, Slot { index: 0, codec, column: 0 }))
}

/// How many of the rows that meet the filter have NULL in a column.
pub(super) fn count_nulls(table: &SourceTable, column: &Column, filter: Option<&str>) -> String {
    let filter = filter.map(|filter| format!(" AND {}", condition(filter))).unwrap_or_default();
    format!("SELECT count(*) FROM {} AS t WHERE {} IS NULL{filter}", table_name(table), field(column))
}

/// Plans the filter, without running it. Once between parentheses and once between keywords: a text that closes what
/// it did not open fits one of the two places at the most.
pub(super) fn explain_filter(table: &SourceTable, filter: &str) -> String {
    let condition = condition(filter);
    let table = table_name(table);
    format!("EXPLAIN SELECT CASE WHEN {filter}\n THEN 1 END FROM {table} AS t WHERE {condition}")
}

/// The SQL of `query`.
pub(super) fn build(query: &ReadQuery<'_>) -> Result<Built, SourceError> {
    let mut builder = Builder::new(query)?;
    builder.slots()?;
    builder.bounds()?;
    builder.keyset()?;
    builder.keys("key", query.range.keys)?;
    builder.conditions.extend(query.filter.map(condition));
    Ok(builder.finish())
}

/// The SQL of how many rows `query` has, without its limit.
pub(super) fn build_count(query: &ReadQuery<'_>) -> Result<Built, SourceError> {
    let unlimited = ReadQuery { rows_max: None, ..*query };
    let mut builder = Builder::new(&unlimited)?;
    builder.selected = vec!["count(*)".to_owned()];
    builder.bounds()?;
    builder.keyset()?;
    builder.keys("key", query.range.keys)?;
    builder.conditions.extend(query.filter.map(condition));
    builder.order.clear();
    Ok(builder.finish())
}

/// The SQL of the position of one row of `query`: nothing but its values is selected.
pub(super) fn build_position(query: &ReadQuery<'_>, place: Place) -> Result<Built, SourceError> {
    let mut builder = Builder::new(query)?;
    builder.selected.clear();
    builder.cursor_slot = builder.cursor.map(|index| builder.own_slot(index));
    builder.key_slots = query.key.iter().map(|index| builder.own_slot(*index)).collect();
    builder.bounds()?;
    builder.keyset()?;
    builder.keys("key", query.range.keys)?;
    builder.conditions.extend(query.filter.map(condition));
    let (after, descending) = match place {
        Place::After(rows) => (rows, false),
        Place::Last => (0, true),
    };
    let order: Vec<String> = builder
        .order
        .iter()
        .map(|index| format!("{}{}", field(&query.columns[*index]), if descending { " DESC" } else { "" }))
        .collect();
    builder.order.clear();
    let mut built = builder.finish();
    built.sql.push_str(&format!(
        " ORDER BY {} LIMIT 1 OFFSET {}",
        order.join(", "),
        after.min(i64::MAX.unsigned_abs())
    ));
    Ok(built)
}

/// `"schema"."table"`.
fn table_name(table: &SourceTable) -> String {
    let schema = table.schema.as_deref().unwrap_or(DEFAULT_SCHEMA);
    format!("{}.{}", Ident(schema), Ident(&table.name))
}

/// The column of the table's row. Never the bare name: in ORDER BY that would be the selected expression.
fn field(column: &Column) -> String {
    format!("t.{}", Ident(&column.name))
}

/// The PostgreSQL reading of a column of ours.
fn read_of(column: &Column) -> Result<&Read, SourceError> {
    match &column.read {
        mapping::Read::Postgres(read) => Ok(read),
        mapping::Read::MySql(_) => Err(super::error::bad_value(column)),
    }
}

/// What is selected for a position's value, and how it is read.
fn position_of(read: &Read) -> (&Wrap, PgCodec) {
    match &read.position {
        Some(wrap) => (wrap, PgCodec::Text),
        None => (&read.select, read.codec),
    }
}

struct Builder<'a> {
    query: &'a ReadQuery<'a>,
    reads: Vec<&'a Read>,
    selected: Vec<String>,
    conditions: Vec<String>,
    params: Vec<Param>,
    /// The cursor, unless rows are not ordered by it.
    cursor: Option<usize>,
    /// The cursor, unless it plays no part.
    bounded: Option<usize>,
    /// What rows are ordered by: the cursor, and the key without it.
    order: Vec<usize>,
    cursor_slot: Option<Slot>,
    key_slots: Vec<Slot>,
}

impl<'a> Builder<'a> {
    fn new(query: &'a ReadQuery<'a>) -> Result<Self, SourceError> {
        let reads = query.columns.iter().map(read_of).collect::<Result<Vec<_>, _>>()?;
        let selected = query.columns.iter().zip(&reads).map(|(column, read)| read.select.sql(&field(column)));
        let (cursor, bounded) = match query.range.nulls {
            Nulls::Skip => (query.cursor, query.cursor),
            Nulls::SkipByKey => (None, query.cursor),
            Nulls::Only | Nulls::Any => (None, None),
        };
        let order = if query.key.is_empty() {
            Vec::new()
        } else {
            let rest = query.key.iter().copied().filter(|index| Some(*index) != cursor);
            cursor.into_iter().chain(rest).collect()
        };
        Ok(Self {
            query,
            selected: selected.collect(),
            reads,
            conditions: Vec::new(),
            params: Vec::new(),
            cursor,
            bounded,
            order,
            cursor_slot: None,
            key_slots: Vec::new(),
        })
    }

    /// Finds the places of the position's values, selecting those besides that are not read from their column's own.
    fn slots(&mut self) -> Result<(), SourceError> {
        if self.query.key.is_empty() {
            return Ok(());
        }
        self.cursor_slot = self.cursor.map(|index| self.slot(index));
        self.key_slots = self.query.key.iter().map(|index| self.slot(*index)).collect();
        Ok(())
    }

    fn slot(&mut self, column: usize) -> Slot {
        let (wrap, codec) = position_of(self.reads[column]);
        if self.reads[column].position.is_none() {
            return Slot { index: column, codec, column };
        }
        self.selected.push(wrap.sql(&field(&self.query.columns[column])));
        Slot { index: self.selected.len() - 1, codec, column }
    }

    /// The place of a position's value that is selected for it alone.
    fn own_slot(&mut self, column: usize) -> Slot {
        let (wrap, codec) = position_of(self.reads[column]);
        self.selected.push(wrap.sql(&field(&self.query.columns[column])));
        Slot { index: self.selected.len() - 1, codec, column }
    }

    /// Adds a parameter and gives its SQL: a text, cast to the column's type.
    fn bind(&mut self, what: &'static str, column: usize, value: &str) -> String {
        let name = self.query.columns[column].name.clone();
        self.params.push(Param { what, column: name, value: value.to_owned() });
        format!("${}::text::{}", self.params.len(), self.reads[column].cast)
    }

    /// `left op right`, by the operator of the column's own type: an extension's operators are in no search path,
    /// and `citext > citext` would silently be that of `text`.
    fn compare(&self, column: usize, comparison: Comparison, right: &str) -> String {
        let operator = comparison.sql(self.reads[column].operators.as_deref());
        format!("{} {operator} {right}", field(&self.query.columns[column]))
    }

    fn bounds(&mut self) -> Result<(), SourceError> {
        let range = self.query.range;
        if range.nulls == Nulls::Only
            && let Some(cursor) = self.query.cursor
        {
            self.conditions.push(format!("{} IS NULL", field(&self.query.columns[cursor])));
        }
        let Some(cursor) = self.bounded else { return Ok(()) };
        if let Some(from) = range.from {
            let value = self.bind("lower bound", cursor, from);
            self.conditions.push(self.compare(cursor, Comparison::GreaterEqual, &value));
        }
        if let Some(ceiling) = range.ceiling {
            let value = self.bind("ceiling", cursor, &ceiling.value);
            let comparison = if ceiling.inclusive { Comparison::LessEqual } else { Comparison::Less };
            self.conditions.push(self.compare(cursor, comparison, &value));
        }
        if range.from.is_none() && range.ceiling.is_none() && range.after.is_none() {
            self.conditions.push(format!("{} IS NOT NULL", field(&self.query.columns[cursor])));
        }
        Ok(())
    }

    /// Strictly after the position, and up to the other: comparisons of rows, which an index on the columns or the first of
    /// them serves.
    fn keyset(&mut self) -> Result<(), SourceError> {
        if let Some(after) = self.query.range.after {
            let values = self.position("watermark", after)?;
            let condition = self.beyond(&values, Comparison::Greater, Comparison::GreaterEqual, Comparison::Greater);
            self.conditions.push(condition);
        }
        if let Some(until) = self.query.range.until {
            let values = self.position("end of the window", until)?;
            let condition = self.beyond(&values, Comparison::Less, Comparison::LessEqual, Comparison::LessEqual);
            self.conditions.push(condition);
        }
        Ok(())
    }

    /// The position's values, bound, in the order of the read.
    fn position(&mut self, what: &'static str, position: &Position) -> Result<Vec<(usize, String)>, SourceError> {
        let no_fit = |column: usize| SourceError::BadPosition {
            what,
            column: self.query.columns.get(column).map(|column| column.name.clone()).unwrap_or_default(),
            value: format!("{:?}, {:?}", position.cursor, position.key),
        };
        if position.key.len() != self.query.key.len() || self.order.is_empty() {
            return Err(no_fit(self.query.key.first().copied().unwrap_or_default()));
        }
        let mut values = Vec::with_capacity(self.order.len());
        for column in self.order.clone() {
            let value = if Some(column) == self.cursor {
                position.cursor.as_deref()
            } else {
                let place = self.query.key.iter().position(|key| *key == column);
                place.and_then(|place| position.key.get(place)).map(String::as_str)
            };
            let value = value.ok_or_else(|| no_fit(column))?;
            values.push((column, self.bind(what, column, value)));
        }
        Ok(values)
    }

    /// Only rows with one of these keys.
    fn keys(&mut self, what: &'static str, keys: Option<&[Vec<String>]>) -> Result<(), SourceError> {
        let Some(keys) = keys else { return Ok(()) };
        let mut any = Vec::with_capacity(keys.len());
        for key in keys {
            if key.len() != self.query.key.len() || key.is_empty() {
                let value = format!("{key:?}");
                return Err(SourceError::BadPosition { what, column: String::new(), value });
            }
            let mut all = Vec::with_capacity(key.len());
            for (column, value) in self.query.key.iter().zip(key) {
                // bytes are hexadecimal
                let prefix = if self.reads[*column].cast == "bytea" { "\\x" } else { "" };
                let value = self.bind(what, *column, &format!("{prefix}{value}"));
                all.push(self.compare(*column, Comparison::Equal, &value));
            }
            any.push(format!("({})", all.join(" AND ")));
        }
        // of no keys there are no rows
        self.conditions.push(if any.is_empty() { "false".to_owned() } else { format!("({})", any.join(" OR ")) });
        Ok(())
    }

    /// On that side of the values, in lexical order: `strict` compares all but the last, `last` the last, and `implied`
    /// is what holds of the first.
    fn beyond(&self, values: &[(usize, String)], strict: Comparison, implied: Comparison, last: Comparison) -> String {
        if let [(column, value)] = values {
            return self.compare(*column, last, value);
        }
        if values.iter().all(|(column, _)| self.reads[*column].operators.is_none()) {
            let left: Vec<String> = values.iter().map(|(column, _)| field(&self.query.columns[*column])).collect();
            let right: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
            return format!("({}) {} ({})", left.join(", "), last.sql(None), right.join(", "));
        }
        // one operator compares whole rows, and these types' operators have different names
        let mut condition = String::new();
        for (column, value) in values.iter().rev() {
            condition = if condition.is_empty() {
                self.compare(*column, last, value)
            } else {
                let beyond = self.compare(*column, strict, value);
                format!("({beyond} OR ({} AND {condition}))", self.compare(*column, Comparison::Equal, value))
            };
        }
        match values.first() {
            // implied, and what an index can serve
            Some((column, value)) => {
                format!("{} AND {condition}", self.compare(*column, implied, value))
            }
            None => condition,
        }
    }

    fn finish(self) -> Built {
        let mut sql = format!("SELECT {} FROM {} AS t", self.selected.join(", "), table_name(self.query.table));
        if !self.conditions.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&self.conditions.join(" AND "));
        }
        if !self.order.is_empty() {
            let order: Vec<String> = self.order.iter().map(|index| field(&self.query.columns[*index])).collect();
            sql.push_str(" ORDER BY ");
            sql.push_str(&order.join(", "));
        }
        if let Some(rows) = self.query.rows_max {
            sql.push_str(&format!(" LIMIT {}", rows.min(i64::MAX.unsigned_abs())));
        }
        let codecs = self.reads.iter().map(|read| read.codec).collect();
        Built { sql, params: self.params, codecs, cursor: self.cursor_slot, key: self.key_slots }
    }
}

#[cfg(test)]
mod tests;
