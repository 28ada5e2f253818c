//! The SQL of checksums.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::super::tests::columns;
use super::*;
use crate::mapping::Column;
use crate::model::{Bound, Position, SourceTable};

fn scan<'a>(table: &'a SourceTable, columns: &'a [Column], watermark: Option<&'a Position>) -> Scan<'a> {
    Scan {
        table,
        columns,
        compared: &[0, 1, 2],
        key: &[0],
        order: &[0],
        cursor: Some(1),
        watermark,
        moving_from: None,
        filter: Some("id > 0"),
    }
}

#[test]
fn rows_up_to_the_watermark_by_day() {
    let (table, columns) = (SourceTable { schema: None, name: "t".to_owned() }, columns());
    let watermark = Position { cursor: Some("2026-01-02".into()), key: vec!["7".into()] };
    let rows = Rows {
        from: None,
        to: Some(Bound { value: "2026-01-02".into(), inclusive: true }),
        label: Label::Prefix(10),
        windows: vec![],
        buckets: vec!["0a".into()],
    };
    let built = checksums(&scan(&table, &columns, Some(&watermark)), &rows, Group::Window, 11).unwrap();
    let wanted = "WHERE t.\"updated\" <= $1::text::timestamp with time zone AND (((t.\"updated\", t.\"id\") > \
                  ($2::text::timestamp with time zone, $3::text::bigint)) OR (t.\"updated\" IS NULL)) IS NOT TRUE \
                  AND (id > 0\n)) AS r WHERE left(r.kd, 2) IN ($4::text) GROUP BY 1 LIMIT 11";
    assert!(built.sql.ends_with(wanted), "{}", built.sql);
    assert!(
        built.sql.contains("md5(array_to_string(ARRAY[coalesce(t.\"id\"::text, '~')], '|') || '|') AS kd"),
        "{}",
        built.sql
    );
    let params: Vec<&str> = built.params.iter().map(|param| param.value.as_str()).collect();
    assert_eq!(params, ["2026-01-02", "2026-01-02", "7", "0a"]);
}

#[test]
fn keys_are_looked_up_wherever_they_are() {
    let (table, columns) = (SourceTable { schema: None, name: "t".to_owned() }, columns());
    let keys = [vec!["7".to_owned()], vec!["8".to_owned()]];
    let built = fingerprints(&scan(&table, &columns, None), Which::Keys(&keys), 9).unwrap();
    assert!(built.sql.contains("((t.\"updated\" IS NULL)) IS NOT TRUE AS s, t.\"id\"::text AS k0"), "{}", built.sql);
    assert!(
        built.sql.contains("WHERE ((t.\"id\" = $1::text::bigint) OR (t.\"id\" = $2::text::bigint))"),
        "{}",
        built.sql
    );
    assert!(built.sql.ends_with("AS r LIMIT 9"), "{}", built.sql);
}
