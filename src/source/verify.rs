//! What `verify` asks of a source.

use super::{Nulls, Range, ReadQuery, SourceError};
use crate::encode::cast::Cast;
use crate::mapping::{self, Canonical, Column};
use crate::model::{Bound, Checksum, Fingerprint, Position, Rows, SourceTable};

/// What of a table is compared with the target.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The table.
    pub table: &'a SourceTable,
    /// Its columns that are synced.
    pub columns: &'a [Column],
    /// Indexes of those that are compared, in the order in which they are digested: columns with a canonical text.
    pub compared: &'a [usize],
    /// Indexes of the columns by which rows are named; empty if there is no such key.
    pub key: &'a [usize],
    /// Indexes of the columns whose values are a position's key.
    pub order: &'a [usize],
    /// Index of the cursor.
    pub cursor: Option<usize>,
    /// Only rows up to this one should be in the target.
    pub watermark: Option<&'a Position>,
    /// Rows from this cursor on are to be read again.
    pub moving_from: Option<&'a str>,
    /// A condition in the source's SQL that rows must meet.
    pub filter: Option<&'a str>,
}

/// Which rows are named.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// Those that should be in the target, of these.
    Rows(&'a Rows),
    /// Those with these keys, each value as canonical text, wherever they are.
    Keys(&'a [Vec<String>]),
}

impl<'a> Scan<'a> {
    /// The cursor's column, or the key's first: what least and greatest are told of.
    pub(super) fn mark(&self) -> Option<usize> {
        self.cursor.or_else(|| self.key.first().copied())
    }

    /// The canonical form of a column.
    pub(super) fn canonical(&self, index: usize) -> Result<Canonical, SourceError> {
        let column = self
            .columns
            .get(index)
            .ok_or_else(|| SourceError::BadValue { column: String::new(), source_type: String::new() })?;
        mapping::canonical(column).map_err(|_not_compared| SourceError::BadValue {
            column: column.name.clone(),
            source_type: column.source_type.clone(),
        })
    }

    /// The read whose bounds are those of `rows`, for the builders of statements.
    pub(super) fn query(&self, from: Option<&'a str>, to: Option<&'a Bound>) -> ReadQuery<'a> {
        let nulls = if self.cursor.is_some() { Nulls::Skip } else { Nulls::Any };
        ReadQuery {
            table: self.table,
            columns: self.columns,
            names: &[],
            cursor: self.cursor,
            key: if self.order.is_empty() { self.key } else { self.order },
            range: Range { after: self.watermark, from, ceiling: to, until: None, nulls, keys: None },
            rows_max: None,
            bytes_max: None,
            rejects_max: 0,
            filter: self.filter,
            partition: None,
        }
    }

    /// The salt of a column that is hashed.
    pub(super) fn salt(&self, index: usize) -> &'a str {
        match self.columns.get(index).and_then(|column| column.cast.as_ref()) {
            Some(Cast::Hash(salt)) => salt.expose(),
            Some(_) | None => "",
        }
    }
}

/// What a server says of one group, all of it as text.
pub(super) fn checksum(cells: [Option<String>; 5]) -> Option<Checksum> {
    let [group, rows, sum, least, greatest] = cells;
    Some(Checksum { group: group?, rows: rows?.parse().ok()?, sum: sum?.parse().ok()?, least, greatest })
}

/// What a server says of one row: the key's digest, the row's, whether it is settled, the key's values.
pub(super) fn fingerprint(mut cells: Vec<Option<String>>) -> Option<Fingerprint> {
    let key = cells.split_off(3.min(cells.len()));
    let [key_digest, digest, settled] = <[Option<String>; 3]>::try_from(cells).ok()?;
    let key = key.into_iter().map(Option::unwrap_or_default).collect();
    Some(Fingerprint { key_digest: key_digest?, digest: digest?, key, settled: settled? == "true" })
}
