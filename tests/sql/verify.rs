//! Every statement of `verify`: columns of each type and zone, each kind of window, buckets, keys, removals.

use highwater::model::{Bound, BqTable, BqType, DELETED_AT, Group, Label, Rows, TargetColumn};
use highwater::warehouse::bigquery::checksum::{checksums_statement, fingerprints_statement, remove_statement};
use highwater::warehouse::{ExtraRows, TargetScan};
use serde_json::{Value, json};

use super::ODD;

/// The type of the cursor, a text of it, and how windows of it are told.
fn cursors() -> Vec<(BqType, Option<&'static str>, &'static str, Label)> {
    let time = "2026-01-01T00:00:00.000000";
    vec![
        (BqType::Timestamp, None, "2026-01-01T00:00:00.000000Z", Label::Prefix(10)),
        (BqType::Timestamp, Some("Europe/Berlin"), time, Label::Prefix(13)),
        (BqType::DateTime, None, time, Label::Prefix(7)),
        (BqType::Date, None, "2026-01-01", Label::Prefix(4)),
        (BqType::Int64, None, "-42", Label::Ranges(vec![-7, 0, 12])),
        (BqType::Numeric, None, "-42.5", Label::Ranges(vec![-7])),
        (BqType::BigNumeric, None, "42", Label::Ranges(vec![])),
        (BqType::Int64, None, "42", Label::Whole),
    ]
}

pub fn cases() -> Vec<Value> {
    let table = BqTable { project: "p-1".into(), dataset: "d_s".into(), table: "t-1 x".into() };
    let compared = |ty: &&BqType| !matches!(ty, BqType::Float64 | BqType::Json | BqType::Geography);
    let column = |name: String, ty: BqType| TargetColumn { name, ty, zone: None };
    let mut cases = Vec::new();
    for (ty, zone, text, label) in cursors() {
        let mut columns: Vec<TargetColumn> =
            BqType::ALL.iter().filter(compared).map(|ty| column(format!("c_{ty}"), *ty)).collect();
        columns.push(TargetColumn { name: format!("cursor {ODD}"), ty, zone: zone.map(str::to_owned) });
        let last = columns.len() - 1;
        for (key, cursor, soft_deletes) in [
            (vec![0], Some(last), false),
            (vec![last, 2, 3], Some(last), true),
            (vec![], None, true),
            (vec![1], None, false),
        ] {
            let scan = TargetScan {
                table: &table,
                columns: &columns,
                key: &key,
                cursor,
                percent: None,
                soft_deletes,
                location: "EU",
                job_project: "p-1",
            };
            let all = Rows { from: None, to: None, label: label.clone(), windows: vec![], buckets: vec![] };
            let some = Rows {
                from: Some(text.to_owned()),
                to: Some(Bound { value: text.to_owned(), inclusive: true }),
                windows: vec!["2026-01-01".to_owned(), ODD.to_owned()],
                buckets: vec!["0a".to_owned(), "ff".to_owned()],
                ..all.clone()
            };
            let rows = [("k".repeat(32), "r'\\".to_owned())];
            let mut sql = vec![remove_statement(&ExtraRows { scan: &scan, rows: &rows, mark: soft_deletes })];
            for rows in [&all, &some] {
                for group in [Group::Extent, Group::Window, Group::Bucket(3)] {
                    sql.push(checksums_statement(&scan, rows, group, 10));
                }
                sql.push(fingerprints_statement(&scan, rows, 10));
                sql.push(fingerprints_statement(&TargetScan { percent: Some(1), ..scan }, rows, 10));
            }
            let mut declared: serde_json::Map<String, Value> =
                columns.iter().map(|column| (column.name.clone(), json!(column.ty.name()))).collect();
            declared.insert(DELETED_AT.to_owned(), json!("TIMESTAMP"));
            let tables = json!({table.to_string(): declared});
            cases.extend(sql.into_iter().enumerate().map(|(at, sql)| {
                json!({"name": format!("verify {ty} {label:?} key {key:?} {at}"), "sql": sql, "tables": tables})
            }));
        }
    }
    cases
}
