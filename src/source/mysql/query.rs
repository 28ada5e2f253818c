//! Builds the statements: pure. Names quote themselves, values are bound.
//!
//! Keyset for MySQL's optimizer: `c >= ? AND (c > ? OR (c = ? AND (k > ? OR …)))`. The first condition says nothing new,
//! but it is a range on the index that every version sees; the nested ones are the ranges within it. Row
//! comparisons (`(c, k) > (?, ?)`) are not served by an index.

pub(super) mod checksum;

use crate::mapping::Column;
use crate::mapping::mysql::{Compare, Ident, Param, QualifiedTable};
use crate::model::{Bound, Position};
use crate::source::{Nulls, Place, ReadQuery, SourceError, condition};

use super::read_of;

/// A statement and the values to bind to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) params: Vec<Param>,
}

impl Statement {
    /// One without values.
    pub(super) fn plain(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), params: Vec::new() }
    }
}

/// One column of the order.
struct Ordered<'a> {
    column: &'a Column,
    compare: &'a Compare,
}

impl<'a> Ordered<'a> {
    fn new(column: &'a Column) -> Result<Self, SourceError> {
        Ok(Self { column, compare: &read_of(column)?.compare })
    }

    fn ident(&self) -> Ident<'a> {
        Ident(&self.column.name)
    }
}

/// A side of a position: all but the last value are compared by `strict`, the last by `last`; `implied` holds of the first.
struct Side {
    what: &'static str,
    strict: &'static str,
    implied: &'static str,
    last: &'static str,
}

/// Strictly after it.
const AFTER: Side = Side { what: "watermark", strict: ">", implied: ">=", last: ">" };
/// Up to it, itself included.
const UNTIL: Side = Side { what: "end of the window", strict: "<", implied: "<=", last: "<=" };

/// The conditions of a statement and the values in their order.
#[derive(Default)]
struct Conditions {
    all: Vec<String>,
    params: Vec<Param>,
}

impl Conditions {
    fn bind(&mut self, what: &'static str, ordered: &Ordered<'_>, text: &str) -> Result<(), SourceError> {
        let param = ordered.compare.param(text).ok_or_else(|| SourceError::BadPosition {
            what,
            column: ordered.column.name.clone(),
            value: text.to_owned(),
        })?;
        self.params.push(param);
        Ok(())
    }

    /// `column op ?`.
    fn compare(
        &mut self,
        what: &'static str,
        ordered: &Ordered<'_>,
        op: &str,
        text: &str,
    ) -> Result<String, SourceError> {
        self.bind(what, ordered, text)?;
        Ok(format!("{} {op} {}", ordered.compare.operand(ordered.ident()), ordered.compare.placeholder()))
    }

    /// On that side of the values, in lexical order.
    fn beyond(&mut self, side: &Side, values: &[(Ordered<'_>, &str)]) -> Result<(), SourceError> {
        let what = side.what;
        let Some(((first, text), rest)) = values.split_first() else { return Ok(()) };
        if rest.is_empty() {
            let only = self.compare(what, first, side.last, text)?;
            self.all.push(only);
            return Ok(());
        }
        let range = self.compare(what, first, side.implied, text)?;
        let mut nested = String::new();
        for (depth, (ordered, text)) in values.iter().enumerate() {
            let more = depth + 1 < values.len();
            nested.push_str(&self.compare(what, ordered, if more { side.strict } else { side.last }, text)?);
            if more {
                nested.push_str(" OR (");
                nested.push_str(&self.compare(what, ordered, "=", text)?);
                nested.push_str(" AND (");
            }
        }
        nested.push_str(&"))".repeat(values.len() - 1));
        self.all.push(range);
        self.all.push(format!("({nested})"));
        Ok(())
    }

    /// Only rows with one of these keys.
    fn keys(&mut self, query: &ReadQuery<'_>, keys: &[Vec<String>]) -> Result<(), SourceError> {
        const WHAT: &str = "key";
        let mut any = Vec::with_capacity(keys.len());
        for key in keys {
            if key.len() != query.key.len() || key.is_empty() {
                let value = format!("{key:?}");
                return Err(SourceError::BadPosition { what: WHAT, column: String::new(), value });
            }
            let mut all = Vec::with_capacity(key.len());
            for (&column, text) in query.key.iter().zip(key) {
                all.push(self.compare(WHAT, &Ordered::new(&query.columns[column])?, "=", text)?);
            }
            any.push(format!("({})", all.join(" AND ")));
        }
        // of no keys there are no rows
        self.all.push(if any.is_empty() { "FALSE".to_owned() } else { format!("({})", any.join(" OR ")) });
        Ok(())
    }

    fn clause(&self) -> String {
        if self.all.is_empty() { String::new() } else { format!(" WHERE {}", self.all.join(" AND ")) }
    }
}

/// The statement of a read.
pub(super) fn rows(table: QualifiedTable<'_>, query: &ReadQuery<'_>) -> Result<Statement, SourceError> {
    let select = query
        .columns
        .iter()
        .map(|column| Ok(read_of(column)?.expr.as_str()))
        .collect::<Result<Vec<_>, SourceError>>()?;
    let order = order(query)?;
    let conditions = conditions(query)?;
    let mut sql = format!("SELECT {} FROM {table}{}", select.join(", "), conditions.clause());
    if !order.is_empty() {
        sql.push_str(" ORDER BY ");
        sql.push_str(&order.join(", "));
    }
    if let Some(rows_max) = query.rows_max {
        sql.push_str(&format!(" LIMIT {rows_max}"));
    }
    Ok(Statement { sql, params: conditions.params })
}

/// The statement of how many rows there are, without the limit.
pub(super) fn count(table: QualifiedTable<'_>, query: &ReadQuery<'_>) -> Result<Statement, SourceError> {
    let conditions = conditions(query)?;
    let sql = format!("SELECT CAST(COUNT(*) AS CHAR) FROM {table}{}", conditions.clause());
    Ok(Statement { sql, params: conditions.params })
}

/// The statement of the position of one row: its values in the order of [`order_columns`].
pub(super) fn position(
    table: QualifiedTable<'_>,
    query: &ReadQuery<'_>,
    place: Place,
) -> Result<Statement, SourceError> {
    let value = |index: usize| Ok(read_of(&query.columns[index])?.expr.as_str());
    let select = order_columns(query).into_iter().map(value).collect::<Result<Vec<_>, SourceError>>()?;
    let conditions = conditions(query)?;
    let (after, direction) = match place {
        Place::After(rows) => (rows, ""),
        Place::Last => (0, " DESC"),
    };
    let order: Vec<String> = order(query)?.into_iter().map(|term| format!("{term}{direction}")).collect();
    let (select, clause, order) = (select.join(", "), conditions.clause(), order.join(", "));
    let sql = format!("SELECT {select} FROM {table}{clause} ORDER BY {order} LIMIT 1 OFFSET {after}");
    Ok(Statement { sql, params: conditions.params })
}

fn conditions(query: &ReadQuery<'_>) -> Result<Conditions, SourceError> {
    let mut conditions = Conditions::default();
    null_condition(query, &mut conditions)?;
    if let Some(cursor) = bounded_cursor(query) {
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
    if let Some(after) = query.range.after {
        conditions.beyond(&AFTER, &position_values(query, AFTER.what, after)?)?;
    }
    if let Some(until) = query.range.until {
        conditions.beyond(&UNTIL, &position_values(query, UNTIL.what, until)?)?;
    }
    if let Some(keys) = query.range.keys {
        conditions.keys(query, keys)?;
    }
    conditions.all.extend(query.filter.map(condition));
    Ok(conditions)
}

/// Index of the cursor, if the rows are ordered by it.
pub(super) fn ordering_cursor(query: &ReadQuery<'_>) -> Option<usize> {
    match query.range.nulls {
        Nulls::Skip => query.cursor,
        Nulls::SkipByKey | Nulls::Only | Nulls::Any => None,
    }
}

/// Index of the cursor, if bounds on it hold.
fn bounded_cursor(query: &ReadQuery<'_>) -> Option<usize> {
    match query.range.nulls {
        Nulls::Skip | Nulls::SkipByKey => query.cursor,
        Nulls::Only | Nulls::Any => None,
    }
}

/// The condition on NULL cursors; none where a bound on the cursor implies it.
fn null_condition(query: &ReadQuery<'_>, conditions: &mut Conditions) -> Result<(), SourceError> {
    let Some(cursor) = query.cursor else { return Ok(()) };
    let column = Ordered::new(&query.columns[cursor])?.ident();
    let within = query.range.from.is_some() || query.range.ceiling.is_some();
    // by key alone, a position says nothing of the cursor
    let bounded = within || (query.range.after.is_some() && query.range.nulls == Nulls::Skip);
    match query.range.nulls {
        Nulls::Skip | Nulls::SkipByKey if !bounded && query.columns[cursor].nullable => {
            conditions.all.push(format!("{column} IS NOT NULL"))
        }
        Nulls::Only => conditions.all.push(format!("{column} IS NULL")),
        Nulls::Skip | Nulls::SkipByKey | Nulls::Any => {}
    }
    Ok(())
}

/// Indexes of the columns that the rows are ordered by: the cursor, then the key without it.
pub(super) fn order_columns(query: &ReadQuery<'_>) -> Vec<usize> {
    if query.key.is_empty() {
        return Vec::new();
    }
    let cursor = ordering_cursor(query);
    cursor.into_iter().chain(query.key.iter().copied().filter(|&key| Some(key) != cursor)).collect()
}

fn order(query: &ReadQuery<'_>) -> Result<Vec<String>, SourceError> {
    let term = |index: usize| {
        let ordered = Ordered::new(&query.columns[index])?;
        Ok(ordered.compare.order(ordered.ident()))
    };
    order_columns(query).into_iter().map(term).collect()
}

/// The position's values in the order of [`order_columns`].
fn position_values<'a>(
    query: &ReadQuery<'a>,
    what: &'static str,
    position: &'a Position,
) -> Result<Vec<(Ordered<'a>, &'a str)>, SourceError> {
    let shape = |index: usize| SourceError::BadPosition {
        what,
        column: query.columns[index].name.clone(),
        value: format!("{} key values", position.key.len()),
    };
    let cursor = ordering_cursor(query);
    let mut values = Vec::with_capacity(query.key.len() + 1);
    for index in order_columns(query) {
        let text = if Some(index) == cursor {
            position.cursor.as_deref()
        } else {
            let place = query.key.iter().position(|&key| key == index);
            place.and_then(|place| position.key.get(place)).map(String::as_str)
        };
        values.push((Ordered::new(&query.columns[index])?, text.ok_or_else(|| shape(index))?));
    }
    match query.key.first() {
        Some(&first) if position.key.len() != query.key.len() => Err(shape(first)),
        _ => Ok(values),
    }
}

/// The greatest value; an index on the column gives it at once.
pub(super) fn max_cursor(table: QualifiedTable<'_>, column: &Column) -> Result<Statement, SourceError> {
    let ordered = Ordered::new(column)?;
    let (expr, name) = (&read_of(column)?.expr, ordered.ident());
    let order = ordered.compare.order(name);
    Ok(Statement::plain(format!("SELECT {expr} FROM {table} WHERE {name} IS NOT NULL ORDER BY {order} DESC LIMIT 1")))
}

/// How many of the rows that meet the filter have no value.
pub(super) fn count_nulls(table: QualifiedTable<'_>, column: &Column, filter: Option<&str>) -> Statement {
    let filter = filter.map(|filter| format!(" AND {}", condition(filter))).unwrap_or_default();
    let column = Ident(&column.name);
    Statement::plain(format!("SELECT CAST(COUNT(*) AS CHAR) FROM {table} WHERE {column} IS NULL{filter}"))
}

/// Plans the filter, without running it. Once between parentheses and once between keywords: a text that closes what
/// it did not open fits one of the two places at the most.
pub(super) fn explain_filter(table: QualifiedTable<'_>, filter: &str) -> Statement {
    let condition = condition(filter);
    Statement::plain(format!("EXPLAIN SELECT CASE WHEN {filter}\n THEN 1 END FROM {table} WHERE {condition}"))
}

/// No row, but every right and every expression is looked at.
pub(super) fn probe(table: QualifiedTable<'_>, columns: &[Column]) -> Result<Statement, SourceError> {
    let select =
        columns.iter().map(|column| Ok(read_of(column)?.expr.as_str())).collect::<Result<Vec<_>, SourceError>>()?;
    let select = if select.is_empty() { "1".to_owned() } else { select.join(", ") };
    Ok(Statement::plain(format!("SELECT {select} FROM {table} LIMIT 0")))
}

#[cfg(test)]
mod tests;
