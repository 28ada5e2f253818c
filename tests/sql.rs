//! Every statement that can be generated for BigQuery, through Google's own GoogleSQL analyser.

mod ddl;
mod runs;
mod verify;

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use highwater::model::{
    Bound, BqTable, BqType, DELETED_AT, DeletesPass, Field, FieldMode, Fraction, Intent, IntentId, Lane, Mode,
    PartitionRange, PartitionType, Pruned, Removal, SYNCED_AT, Schema,
};
use highwater::warehouse::bigquery::sql::{merge_statement, widen_statement};
use serde_json::{Value, json};

use crate::support::{Test, pure};

pub fn tests() -> Vec<Test> {
    vec![pure("sql::every_statement_is_googlesql", every_statement)]
}

const ODD: &str = "select `x` \\ \u{1f980}";

fn intent(mode: Mode, columns: &[(String, BqType)], key: &[String], cursor: Option<&str>, enforced: bool) -> Intent {
    let table = |name: &str| BqTable { project: "p-1".into(), dataset: "d_s".into(), table: name.into() };
    let fields = columns.iter().map(|(name, ty)| Field {
        name: name.clone(),
        ty: *ty,
        mode: FieldMode::Nullable,
        description: None,
    });
    Intent {
        id: IntentId::new(0, 0),
        parts: vec![],
        rows: 0,
        bytes: 0,
        lane: Lane::Live,
        lower: None,
        upper: None,
        schema: Schema(fields.collect()),
        key: key.to_vec(),
        key_enforced: enforced,
        cursor: cursor.map(str::to_owned),
        target: table("t-1 x"),
        staging: table("hw_staging_1"),
        location: "EU".into(),
        job_project: "p-1".into(),
        mode,
        cleared: vec![],
        metadata: false,
        rejected: 0,
        rejects: vec![],
        deletes: None,
        pruned: None,
    }
}

/// The declaration of a column for the analyser.
fn declared(field: &Field) -> Value {
    match field.mode {
        FieldMode::Repeated => json!(format!("ARRAY<{}>", field.ty)),
        FieldMode::Nullable | FieldMode::Required => json!(field.ty.name()),
    }
}

fn case(name: String, intent: &Intent) -> Value {
    let staged: serde_json::Map<String, Value> =
        intent.schema.0.iter().map(|field| (field.name.clone(), declared(field))).collect();
    let mut target = staged.clone();
    // what the target has besides: columns that the source dropped, and our own
    target.extend(intent.cleared.iter().map(|name| (name.clone(), json!("ARRAY<STRING>"))));
    if intent.metadata {
        target.extend([SYNCED_AT, DELETED_AT].map(|name| (name.to_owned(), json!("TIMESTAMP"))));
    }
    let name_of = |table: &BqTable| format!("{}.{}.{}", table.project, table.dataset, table.table);
    json!({"name": name, "sql": merge_statement(intent), "tables": {name_of(&intent.target): target, name_of(&intent.staging): staged}})
}

/// Each mode × key × enforced × cursor's type and place × columns of every type × odd names.
fn cases() -> Vec<Value> {
    let mut cases = Vec::new();
    let all: Vec<(String, BqType)> = BqType::ALL.iter().map(|ty| (format!("c_{ty}"), *ty)).collect();
    let keys: Vec<Vec<(String, BqType)>> = BqType::ALL
        .iter()
        .filter(|ty| ty.comparable())
        .map(|ty| vec![("k".to_owned(), *ty)])
        .chain([
            vec![("k".into(), BqType::Int64), ("k2".into(), BqType::String)],
            vec![(ODD.into(), BqType::Bytes), ("Group".into(), BqType::Date)],
        ])
        .collect();
    let cursors =
        [BqType::Timestamp, BqType::DateTime, BqType::Date, BqType::Int64, BqType::Numeric, BqType::BigNumeric];
    for mode in [Mode::Merge, Mode::Append, Mode::Replace] {
        for key in &keys {
            for enforced in [true, false] {
                if !enforced && key.iter().any(|(_, ty)| !ty.groupable()) {
                    continue; // the plan refuses it
                }
                for cursor in cursors {
                    for (shape, others) in [("wide", all.clone()), ("bare", Vec::new())] {
                        let mut columns = key.clone();
                        columns.push((format!("cursor {ODD}"), cursor));
                        columns.extend(others);
                        let names: Vec<String> = key.iter().map(|(name, _)| name.clone()).collect();
                        let cursor_name = (mode != Mode::Replace).then(|| format!("cursor {ODD}"));
                        let one = intent(mode, &columns, &names, cursor_name.as_deref(), enforced);
                        cases.push(case(format!("{mode} {names:?} enforced={enforced} cursor={cursor} {shape}"), &one));
                    }
                }
                // the cursor is the key, or part of it, and there is nothing else
                let names: Vec<String> = key.iter().map(|(name, _)| name.clone()).collect();
                let one = intent(mode, key, &names, Some(&names[0]), enforced);
                cases.push(case(format!("{mode} {names:?} enforced={enforced} cursor in key"), &one));
            }
        }
    }
    cases
}

/// The look for rows that are gone: each key × enforced × removal × the cursor's type.
fn deletes() -> Vec<Value> {
    let mut cases = Vec::new();
    let bounds = [
        (BqType::Timestamp, "2026-01-01T00:00:00.5Z"),
        (BqType::DateTime, "2026-01-01T00:00:00"),
        (BqType::Date, "2026-01-01"),
        (BqType::Int64, "7"),
        (BqType::BigNumeric, "7.5"),
    ];
    for key in BqType::ALL.iter().filter(|ty| ty.comparable()) {
        for enforced in [true, false].into_iter().filter(|enforced| *enforced || key.groupable()) {
            for removal in [Removal::Soft, Removal::Hard] {
                for (cursor_type, value) in bounds {
                    let columns = [("k".to_owned(), *key), (ODD.to_owned(), BqType::String)];
                    let mut one = intent(Mode::Merge, &columns, &["k".to_owned(), ODD.to_owned()], None, enforced);
                    one.deletes = Some(Box::new(DeletesPass {
                        removal,
                        max_fraction: Fraction::NOT_ALL,
                        cursor: "c".to_owned(),
                        cursor_type,
                        newest: Some(Bound { value: value.to_owned(), inclusive: enforced }),
                        at_us: 0,
                    }));
                    let mut analysed =
                        case(format!("deletes {removal:?} {key} enforced={enforced} {cursor_type}"), &one);
                    let target = format!("{}.{}.{}", one.target.project, one.target.dataset, one.target.table);
                    analysed["tables"][target.as_str()]["c"] = json!(cursor_type.name());
                    analysed["tables"][target.as_str()][DELETED_AT] = json!("TIMESTAMP");
                    cases.push(analysed);
                }
            }
        }
    }
    cases
}

/// Columns that were dropped at the source, our own, arrays, and staged columns that are narrower than the target's.
fn more_cases() -> Vec<Value> {
    let columns = [("k".to_owned(), BqType::Int64), ("c".to_owned(), BqType::Timestamp)];
    let mut cases = Vec::new();
    for mode in [Mode::Merge, Mode::Append, Mode::Replace] {
        let mut one = intent(mode, &columns, &["k".to_owned()], Some("c"), false);
        (one.cleared, one.metadata) = (vec![ODD.to_owned()], true);
        let arrays = BqType::ALL.iter().map(|ty| Field {
            name: format!("a_{ty}"),
            ty: *ty,
            mode: FieldMode::Repeated,
            description: None,
        });
        one.schema.0.extend(arrays);
        cases.push(case(format!("{mode} with arrays, cleared and metadata columns"), &one));
        let pairs = [
            (BqType::Int64, BqType::Numeric),
            (BqType::Int64, BqType::BigNumeric),
            (BqType::Numeric, BqType::BigNumeric),
            (BqType::Int64, BqType::Float64),
        ];
        for (staged, found) in pairs {
            let columns = [("k".to_owned(), staged), ("c".to_owned(), staged), ("v".to_owned(), staged)];
            let enforced = staged.groupable();
            let mut one = case(
                format!("{mode} {staged} into {found}"),
                &intent(mode, &columns, &["k".to_owned()], Some("c"), enforced),
            );
            one["tables"]["p-1.d_s.t-1 x"] = json!({"k": found.name(), "c": found.name(), "v": found.name()});
            cases.push(one);
        }
    }
    cases
}

/// Merges that look at some partitions alone: each type, one range and as many as there may be, with NULL and without.
fn pruned() -> Vec<Value> {
    let years: Vec<(String, String)> =
        (0..Pruned::RANGES_MAX).map(|at| (format!("{}-01-01", 1990 + at), format!("{}-06-30", 1990 + at))).collect();
    let of = |ty: PartitionType| -> Vec<(String, String)> {
        let ends = |(from, to): &(String, String)| match ty {
            PartitionType::Date => (from.clone(), to.clone()),
            PartitionType::DateTime => (format!("{from}T00:00:00.000000"), format!("{to}T23:59:59.999999")),
            PartitionType::Timestamp => (format!("{from}T00:00:00.000000Z"), format!("{to}T23:59:59.999999Z")),
            PartitionType::Int64 => (from[..4].to_owned(), from[..4].to_owned()),
        };
        let mut ranges: Vec<(String, String)> = years.iter().map(ends).collect();
        if ty == PartitionType::Int64 {
            ranges[0].0 = i64::MIN.to_string();
            ranges.last_mut().unwrap().1 = i64::MAX.to_string();
        }
        ranges
    };
    let mut cases = Vec::new();
    for (ty, becomes) in [
        (PartitionType::Date, BqType::Date),
        (PartitionType::DateTime, BqType::DateTime),
        (PartitionType::Timestamp, BqType::Timestamp),
        (PartitionType::Int64, BqType::Int64),
    ] {
        for (many, nulls) in [(0, true), (1, false), (1, true), (Pruned::RANGES_MAX, false), (Pruned::RANGES_MAX, true)]
        {
            for enforced in [true, false] {
                let columns =
                    [("k".to_owned(), BqType::String), ("c".to_owned(), BqType::Int64), (ODD.to_owned(), becomes)];
                let mut one = intent(Mode::Merge, &columns, &["k".to_owned()], Some("c"), enforced);
                let ranges = of(ty).into_iter().take(many).map(|(from, to)| PartitionRange { from, to }).collect();
                one.pruned = Some(Box::new(Pruned::new(ODD.to_owned(), ty, ranges, nulls).unwrap()));
                let case =
                    case(format!("pruned by {many} ranges of {becomes} nulls={nulls} enforced={enforced}"), &one);
                assert!(case["sql"].as_str().unwrap().contains(" AND ("), "{case}");
                cases.push(case);
            }
        }
    }
    cases
}

/// Statements that the analyser must refuse, so that its yes is worth something.
fn wrong() -> Vec<Value> {
    let tables = json!({"p-1.d_s.t": {"id": "INT64", "v": "STRING"}, "p-1.d_s.s": {"id": "INT64", "v": "STRING"}});
    [
        ("no such column", "MERGE `p-1`.`d_s`.`t` T USING `p-1`.`d_s`.`s` S ON T.`nope` = S.`id` WHEN NOT MATCHED THEN INSERT (id) VALUES (S.id)"),
        ("wrong type", "MERGE `p-1`.`d_s`.`t` T USING `p-1`.`d_s`.`s` S ON T.id = S.id WHEN MATCHED THEN UPDATE SET v = S.id"),
        ("empty update", "MERGE `p-1`.`d_s`.`t` T USING `p-1`.`d_s`.`s` S ON T.id = S.id WHEN MATCHED THEN UPDATE SET"),
        ("arity", "INSERT INTO `p-1`.`d_s`.`t` (`id`, `v`) SELECT `id` FROM `p-1`.`d_s`.`s`"),
        ("unquoted reserved word", "INSERT INTO `p-1`.`d_s`.`t` (select) SELECT 1"),
        ("no such table", "INSERT INTO `p-1`.`d_s`.`x` (`id`) SELECT `id` FROM `p-1`.`d_s`.`s`"),
    ]
    .into_iter()
    .map(|(name, sql)| json!({"name": name, "sql": sql, "tables": tables, "expect": "error"}))
    .collect()
}

fn widening() -> Value {
    let table = BqTable { project: "p-1".into(), dataset: "d_s".into(), table: "t".into() };
    let sql = widen_statement(&table, ODD, BqType::Float64);
    json!({"name": "widening", "sql": sql, "tables": {"p-1.d_s.t": {"a": "INT64", ODD: "INT64"}}})
}

fn every_statement() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/.stack/googlesql");
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/googlesql-check");
    let installed = Command::new("bash").args([&format!("{scripts}/setup.sh"), root]).status().unwrap();
    assert!(installed.success(), "the analyser could not be installed");
    let mut cases = cases();
    cases.extend(more_cases());
    cases.extend(pruned());
    cases.extend(deletes());
    cases.push(widening());
    cases.extend(ddl::cases());
    cases.extend(verify::cases());
    cases.extend(runs::cases());
    let wrong = wrong();
    let total = cases.len() + wrong.len();
    let mut lines = String::new();
    for case in cases.into_iter().chain(wrong) {
        writeln!(lines, "{case}").unwrap();
    }
    let mut child = Command::new(format!("{root}/venv/bin/python"))
        .args([&format!("{scripts}/check.py"), root])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let failed: Vec<&str> = text.lines().filter(|line| line.starts_with("FAIL")).take(5).collect();
    assert_eq!(failed, Vec::<&str>::new());
    assert_eq!(text.lines().last(), Some(format!("{total} ok, 0 failed").as_str()));
    assert!(output.status.success());
}
