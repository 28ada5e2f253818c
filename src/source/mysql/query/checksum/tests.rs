//! The statements of checksums.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::super::tests::{TABLE, columns};
use super::*;
use crate::model::{Position, SourceTable};

#[test]
fn parameters_stand_in_the_order_of_the_text() {
    let (table, columns) = (SourceTable { schema: None, name: "orders".to_owned() }, columns());
    let watermark = Position { cursor: Some("2026-01-02".into()), key: vec!["7".into()] };
    let scan = Scan {
        table: &table,
        columns: &columns,
        compared: &[0, 1, 2, 3],
        key: &[0],
        order: &[0],
        cursor: Some(1),
        watermark: Some(&watermark),
        moving_from: Some("2026-01-01"),
        filter: None,
    };
    let rows = Rows {
        from: Some("2025-12-31".into()),
        to: Some(Bound { value: "2026-01-02".into(), inclusive: true }),
        label: Label::Prefix(7),
        windows: vec!["2026-01".into()],
        buckets: vec![],
    };
    let built = checksums(TABLE, &scan, &rows, Group::Bucket(3), 5).unwrap();
    let wanted = " FROM `shop`.`orders` WHERE `at` >= CAST(? AS DATETIME(6)) AND `at` <= CAST(? AS DATETIME(6)) AND \
                  ((`at` >= CAST(? AS DATETIME(6)) AND (`at` > CAST(? AS DATETIME(6)) OR (`at` = CAST(? AS DATETIME(6)) \
                  AND (`id` > ?)))) OR `at` >= CAST(? AS DATETIME(6)) OR `at` IS NULL) IS NOT TRUE) AS r \
                  WHERE r.w IN (?) GROUP BY g LIMIT 5";
    assert!(built.sql.ends_with(wanted), "{}", built.sql);
    assert_eq!(built.params.len(), built.sql.matches('?').count());
    let keys = [vec!["7".to_owned()]];
    let built = fingerprints(TABLE, &scan, Which::Keys(&keys), 5).unwrap();
    assert_eq!(built.params.len(), built.sql.matches('?').count());
    assert!(built.sql.ends_with(" FROM `shop`.`orders` WHERE ((`id` = ?))) AS r LIMIT 5"), "{}", built.sql);
}
