//! The condition by which a merge looks at some partitions alone: constants of the column's own type, so that BigQuery leaves
//! the others out before it reads anything ("Pruning partitions when using a MERGE statement").

use super::{Ident, Literal};
use crate::model::{PartitionRange, PartitionType, Pruned};

/// Whether the partition column of `of` (`T.`, or nothing) is in these partitions; NULL where it is NULL and that is not one
/// of them.
pub(super) fn condition(pruned: &Pruned, of: &str) -> String {
    let column = format!("{of}{}", Ident(pruned.column()));
    let within = |range: &PartitionRange| {
        let constant = |text: &str| constant(pruned.ty(), text);
        format!("{column} BETWEEN {} AND {}", constant(&range.from), constant(&range.to))
    };
    let nulls = pruned.nulls().then(|| format!("{column} IS NULL"));
    pruned.ranges().iter().map(within).chain(nulls).collect::<Vec<_>>().join(" OR ")
}

fn constant(ty: PartitionType, text: &str) -> String {
    let name = match ty {
        PartitionType::Date => "DATE",
        PartitionType::DateTime => "DATETIME",
        PartitionType::Timestamp => "TIMESTAMP",
        // a number of the type, by its type
        PartitionType::Int64 => return text.to_owned(),
    };
    format!("{name} {}", Literal(text))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn pruned(ty: PartitionType, ranges: &[(&str, &str)], nulls: bool) -> Pruned {
        let range = |&(from, to): &(&str, &str)| PartitionRange { from: from.into(), to: to.into() };
        Pruned::new("p`".into(), ty, ranges.iter().map(range).collect(), nulls).unwrap()
    }

    #[test]
    fn constants_of_each_type() {
        let days = pruned(PartitionType::Date, &[("2026-01-01", "2026-01-02"), ("2026-02-01", "2026-02-01")], true);
        assert_eq!(
            condition(&days, "T."),
            "T.`p\\`` BETWEEN DATE '2026-01-01' AND DATE '2026-01-02' OR T.`p\\`` BETWEEN DATE '2026-02-01' AND \
             DATE '2026-02-01' OR T.`p\\`` IS NULL"
        );
        let hour = ("2026-01-01T00:00:00.000000Z", "2026-01-01T00:59:59.999999Z");
        assert_eq!(
            condition(&pruned(PartitionType::Timestamp, &[hour], false), ""),
            "`p\\`` BETWEEN TIMESTAMP '2026-01-01T00:00:00.000000Z' AND TIMESTAMP '2026-01-01T00:59:59.999999Z'"
        );
        let civil = ("2026-01-01T00:00:00.000000", "2026-01-01T00:59:59.999999");
        assert_eq!(
            condition(&pruned(PartitionType::DateTime, &[civil], false), ""),
            "`p\\`` BETWEEN DATETIME '2026-01-01T00:00:00.000000' AND DATETIME '2026-01-01T00:59:59.999999'"
        );
        let below = ("-9223372036854775808", "-1");
        assert_eq!(
            condition(&pruned(PartitionType::Int64, &[below], false), "T."),
            "T.`p\\`` BETWEEN -9223372036854775808 AND -1"
        );
        assert_eq!(condition(&pruned(PartitionType::Int64, &[], true), "T."), "T.`p\\`` IS NULL");
    }
}
