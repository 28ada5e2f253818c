//! How many rows a run may have to read: by the source's statistics, or by the distance of two numbers. Where neither says
//! anything, there is no estimate: none is made up. Pure.

use crate::model::Mode;

/// What is known before the first row.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The planner's estimate of the table's rows; `None` where it has none, or where only a part of the table is read.
    pub table_rows: Option<u64>,
    /// Rows that were committed since the state began.
    pub synced: u64,
    /// The mode.
    pub mode: Mode,
    /// Whether a condition leaves rows out.
    pub filtered: bool,
    /// Whether the cursor is a number.
    pub whole_numbers: bool,
    /// The cursor above which rows are read.
    pub lower: Option<&'a str>,
    /// Whether rows were read before: `lower` is the last one's.
    pub begun: bool,
    /// Whether the table's first rows are left to others.
    pub bounded_below: bool,
    /// The cursor up to which rows are read.
    pub upper: Option<&'a str>,
}

/// Rows that are left to read, about; `None` if nothing tells.
pub fn rows(input: Input<'_>) -> Option<u64> {
    if input.filtered {
        return None;
    }
    if input.mode == Mode::Replace {
        return input.table_rows;
    }
    let between = if input.whole_numbers { distance(input.lower, input.upper) } else { None };
    let left = if input.bounded_below { None } else { input.table_rows.and_then(|rows| rest(rows, input)) };
    match (between, left) {
        // numbers have gaps: there are not more rows than numbers, and there may be fewer
        (Some(between), Some(left)) => Some(between.min(left)),
        (Some(between), None) => Some(between.min(input.table_rows.unwrap_or(between))),
        (None, left) => left,
    }
}

/// What is left of the whole table. Rows that came twice count twice among those that were synced: then, and where the
/// difference is no greater than the error of statistics, nothing can be told.
fn rest(rows: u64, input: Input<'_>) -> Option<u64> {
    if !input.begun {
        return Some(rows);
    }
    let far = u128::from(input.synced) * 10 < u128::from(rows) * 9;
    far.then(|| rows - input.synced)
}

fn distance(lower: Option<&str>, upper: Option<&str>) -> Option<u64> {
    let (lower, upper): (i128, i128) = (lower?.parse().ok()?, upper?.parse().ok()?);
    u64::try_from(upper.checked_sub(lower)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Input<'_> = Input {
        table_rows: Some(1000),
        synced: 0,
        mode: Mode::Merge,
        filtered: false,
        whole_numbers: false,
        lower: None,
        begun: false,
        bounded_below: false,
        upper: Some("2026-01-01"),
    };

    #[test]
    fn the_first_sync_reads_the_table() {
        assert_eq!(rows(FIRST), Some(1000));
        assert_eq!(rows(Input { table_rows: None, ..FIRST }), None);
        // how many rows a condition leaves, and how many lie below a bound, nobody knows
        assert_eq!(rows(Input { filtered: true, ..FIRST }), None);
        assert_eq!(rows(Input { bounded_below: true, ..FIRST }), None);
    }

    #[test]
    fn a_sync_that_goes_on_has_an_estimate_only_while_much_is_left() {
        let later = Input { lower: Some("2025-01-01"), begun: true, ..FIRST };
        assert_eq!(rows(Input { synced: 250, ..later }), Some(750));
        assert_eq!(rows(Input { synced: 950, ..later }), None);
        assert_eq!(rows(Input { synced: 5000, ..later }), None);
        assert_eq!(rows(Input { synced: 5000, mode: Mode::Replace, ..later }), Some(1000));
    }

    #[test]
    fn numbers_say_how_far_it_is() {
        let numbers = Input { whole_numbers: true, begun: true, synced: 5000, upper: Some("150"), ..FIRST };
        assert_eq!(rows(Input { lower: Some("100"), ..numbers }), Some(50));
        assert_eq!(rows(Input { lower: Some("100"), synced: 990, bounded_below: true, ..numbers }), Some(50));
        // sparse numbers: the table has no more rows than it has
        assert_eq!(rows(Input { lower: Some("-99999"), ..numbers }), Some(1000));
        assert_eq!(rows(Input { lower: Some("0.5"), ..numbers }), None);
        assert_eq!(rows(Input { lower: Some("200"), ..numbers }), None);
    }
}
