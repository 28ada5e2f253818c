//! How old a row of the target must be to count as gone. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::mapping::CursorKind;
use crate::model::{Bound, BqType};

/// The ceiling as a value of the cursor's column in BigQuery; `None` where it is not one of the same kind. Then nothing but
/// the order of intents keeps rows from being taken for gone that came after the keys were read, which is enough: a chunk
/// that is applied after the keys were read makes their intent impossible to write.
pub fn newest(ceiling: &Bound, kind: CursorKind, ty: BqType, zone: &TimeZone) -> Option<Bound> {
    let value = match (kind, ty) {
        (CursorKind::Civil { .. }, BqType::Timestamp) => {
            let civil: jiff::civil::DateTime = ceiling.value.parse().ok()?;
            format!("{:.6}", civil.to_zoned(zone.clone()).ok()?.timestamp())
        }
        (CursorKind::Instant { .. }, BqType::DateTime) => {
            let instant: Timestamp = ceiling.value.parse().ok()?;
            format!("{:.6}", instant.to_zoned(TimeZone::UTC).datetime())
        }
        (CursorKind::Civil { .. }, BqType::DateTime)
        | (CursorKind::Instant { .. }, BqType::Timestamp)
        | (CursorKind::Date, BqType::Date)
        | (CursorKind::Number, BqType::Int64 | BqType::Numeric | BqType::BigNumeric) => ceiling.value.clone(),
        _ => return None,
    };
    Some(Bound { value, inclusive: ceiling.inclusive })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_written_as_bigquery_has_it() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
        let instant = CursorKind::Instant { digits: 6 };
        let civil = CursorKind::Civil { digits: 0 };
        for (value, kind, ty, wanted) in [
            ("2026-01-01T00:00:00.5Z", instant, BqType::Timestamp, Some("2026-01-01T00:00:00.5Z")),
            ("2026-01-01T00:00:00.5Z", instant, BqType::DateTime, Some("2026-01-01T00:00:00.500000")),
            ("2026-01-01T00:00:00", civil, BqType::DateTime, Some("2026-01-01T00:00:00")),
            ("2026-01-01T00:00:00", civil, BqType::Timestamp, Some("2025-12-31T23:00:00.000000Z")),
            ("2026-01-01", CursorKind::Date, BqType::Date, Some("2026-01-01")),
            ("7", CursorKind::Number, BqType::Numeric, Some("7")),
            ("7", CursorKind::Number, BqType::Float64, None),
            ("2026-01-01", CursorKind::Date, BqType::Timestamp, None),
        ] {
            let found = newest(&Bound { value: value.to_owned(), inclusive: true }, kind, ty, &berlin);
            assert_eq!(found.map(|bound| bound.value).as_deref(), wanted, "{value} {kind:?} {ty}");
        }
    }
}
