//! Which partitions of its target a chunk's rows are in, as constants that a merge compares the partition column with.

use serde::{Deserialize, Serialize};

use super::BqTable;

/// What a merge says if a staged row is in none of the partitions that it looks at: it changes nothing then.
pub const OUTSIDE: &str = "highwater: a staged row is outside of the partitions that the merge looks at";

/// The type of a partition column, and so of the constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PartitionType {
    /// `YYYY-MM-DD`.
    Date,
    /// `YYYY-MM-DDTHH:MM:SS.ffffff`.
    DateTime,
    /// `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
    Timestamp,
    /// A number.
    Int64,
}

/// Values of the partition column from one to another, both included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRange {
    /// The least.
    pub from: String,
    /// The greatest.
    pub to: String,
}

/// The values that the partition column can have in a chunk's rows. Every value of this type has constants of its
/// column's type, in ascending order without overlap, so that a statement can be made of it whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire")]
pub struct Pruned {
    column: String,
    #[serde(rename = "type")]
    ty: PartitionType,
    ranges: Vec<PartitionRange>,
    nulls: bool,
}

#[derive(Deserialize)]
struct Wire {
    column: String,
    #[serde(rename = "type")]
    ty: PartitionType,
    ranges: Vec<PartitionRange>,
    nulls: bool,
}

/// Constants that are none of the column's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the partitions of column {column:?} are not ascending ranges of its type")]
pub struct InvalidPruned {
    column: String,
}

impl TryFrom<Wire> for Pruned {
    type Error = InvalidPruned;

    fn try_from(wire: Wire) -> Result<Self, InvalidPruned> {
        Self::new(wire.column, wire.ty, wire.ranges, wire.nulls)
    }
}

impl Pruned {
    /// The most ranges.
    pub const RANGES_MAX: usize = 32;

    /// Rows whose `column`, as it is named in BigQuery, is in one of these ranges, or NULL if `nulls` says so.
    ///
    /// # Errors
    /// There is no range and no NULL, there are too many, or they are not ascending values of the type.
    pub fn new(
        column: String,
        ty: PartitionType,
        ranges: Vec<PartitionRange>,
        nulls: bool,
    ) -> Result<Self, InvalidPruned> {
        let ends = ranges.iter().flat_map(|range| [&range.from, &range.to]);
        let values: Option<Vec<i128>> = ends.map(|end| ty.order(end)).collect();
        // the greatest of a range and the least of the next differ, its own two ends need not
        let ascending = |values: &Vec<i128>| {
            values.windows(2).enumerate().all(|(at, pair)| {
                matches!(pair, [before, after] if before < after || at.is_multiple_of(2) && before == after)
            })
        };
        let some = nulls || !ranges.is_empty();
        if !some || ranges.len() > Self::RANGES_MAX || !values.is_some_and(|values| ascending(&values)) {
            return Err(InvalidPruned { column });
        }
        Ok(Self { column, ty, ranges, nulls })
    }

    /// The column's name in BigQuery.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Its type.
    pub fn ty(&self) -> PartitionType {
        self.ty
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[PartitionRange] {
        &self.ranges
    }

    /// Whether rows have NULL.
    pub fn nulls(&self) -> bool {
        self.nulls
    }
}

impl PartitionType {
    /// A number in the order of the values; `None` if the text is not of the type.
    fn order(self, text: &str) -> Option<i128> {
        match self {
            Self::Int64 => text.parse::<i64>().ok().filter(|number| number.to_string() == text).map(i128::from),
            Self::Date => (text.len() == "YYYY-MM-DD".len()).then(|| instant(&format!("{text}T00:00:00.000000")))?,
            Self::DateTime => instant(text),
            Self::Timestamp => instant(text.strip_suffix('Z')?),
        }
    }
}

/// Microseconds in the civil calendar; `None` for what is not written `YYYY-MM-DDTHH:MM:SS.ffffff`.
fn instant(text: &str) -> Option<i128> {
    let at: jiff::civil::DateTime = text.parse().ok()?;
    if format!("{at:.6}") != text || at.year() < 1 {
        return None;
    }
    let epoch = jiff::civil::date(1970, 1, 1).to_datetime(jiff::civil::Time::midnight());
    Some(at.duration_since(epoch).as_micros())
}

/// A column whose value the database itself makes when a row changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// Its name.
    pub column: String,
    /// How.
    pub how: Derivation,
}

/// How a database makes a column's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Derivation {
    /// The time of the change (`ON UPDATE CURRENT_TIMESTAMP`).
    OnUpdate,
    /// By this expression, of other columns.
    Expression(String),
}

/// A sample of a target's rows was compared with the source: none had moved to another partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionCheck {
    /// The table whose rows were looked at.
    pub table: BqTable,
    /// The partition column's name in BigQuery.
    pub column: String,
    /// How it was written, as [`PartitionBasis::written`].
    pub written: String,
    /// When, microseconds since the epoch, by the source's clock.
    pub at_us: i64,
    /// How many rows both sides had.
    pub rows: u64,
}

/// How a table's partition column is written, for the basis: rows that were written otherwise may be in other partitions
/// than they would be now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionBasis {
    /// Its name at the source.
    pub column: String,
    /// From what to what, by which policy, in which zone.
    pub written: String,
    /// How it was written before, where rows of the target may be written so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pruned(ty: PartitionType, ranges: &[(&str, &str)], nulls: bool) -> Result<Pruned, InvalidPruned> {
        let range = |&(from, to): &(&str, &str)| PartitionRange { from: from.into(), to: to.into() };
        Pruned::new("p".into(), ty, ranges.iter().map(range).collect(), nulls)
    }

    #[test]
    fn only_ascending_constants_of_the_type() {
        use PartitionType::{Date, DateTime, Int64, Timestamp};
        assert!(pruned(Date, &[("2026-01-01", "2026-01-01"), ("2026-01-02", "9999-12-31")], false).is_ok());
        assert!(pruned(Date, &[], true).is_ok());
        assert!(pruned(DateTime, &[("0001-01-01T00:00:00.000000", "9999-12-31T23:59:59.999999")], true).is_ok());
        assert!(pruned(Timestamp, &[("2026-01-01T00:00:00.000000Z", "2026-01-01T23:59:59.999999Z")], true).is_ok());
        assert!(pruned(Int64, &[("-9223372036854775808", "-1"), ("0", "9223372036854775807")], true).is_ok());
        for (ty, from, to) in [
            (Date, "2026-01-02", "2026-01-01"),
            (Date, "2026-1-2", "2026-01-03"),
            (Date, "2026-01-01", "2026-02-30"),
            (Date, "2026-01-01", "2026-01-02' OR TRUE --"),
            (DateTime, "2026-01-01", "2026-01-02"),
            (Timestamp, "2026-01-01T00:00:00.000000", "2026-01-01T23:59:59.999999"),
            (Int64, "1", "9223372036854775808"),
            (Int64, "01", "2"),
            (Int64, "1 OR TRUE", "2"),
        ] {
            assert!(pruned(ty, &[(from, to)], false).is_err(), "{ty:?} {from} {to}");
        }
        assert!(pruned(Int64, &[], false).is_err());
        assert!(pruned(Int64, &[("1", "2"), ("2", "3")], false).is_err());
        let many: Vec<(String, String)> = (0..33).map(|at| (format!("{}", at * 2), format!("{}", at * 2))).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        assert!(pruned(Int64, &many, false).is_err());
        assert!(pruned(Int64, &many[..32], false).is_ok());
    }

    #[test]
    fn what_is_read_is_held_to_the_same() {
        let fine = r#"{"column":"p","type":"INT64","ranges":[{"from":"1","to":"2"}],"nulls":false}"#;
        let read: Pruned = serde_json::from_str(fine).unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(serde_json::to_string(&read).unwrap_or_default(), fine);
        let error = serde_json::from_str::<Pruned>(&fine.replace("\"2\"", "\"0\"")).err();
        assert!(error.is_some_and(|error| error.to_string().contains("are not ascending ranges of its type")));
    }
}
