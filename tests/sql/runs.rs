//! Every statement about the table of runs, with the columns that it is made with.

use highwater::model::{BqTable, FieldMode, RunsPlace, RunsScan};
use highwater::report::record::columns;
use highwater::warehouse::bigquery::runs::{days_statement, last_statement, windows_query};
use serde_json::{Value, json};

pub fn cases() -> Vec<Value> {
    let table = BqTable { project: "p-1".into(), dataset: "_highwater".into(), table: "runs".into() };
    let declared = columns().0.into_iter().map(|field| {
        let ty = match field.mode {
            FieldMode::Repeated => format!("ARRAY<{}>", field.ty),
            FieldMode::Nullable | FieldMode::Required => field.ty.to_string(),
        };
        (field.name, json!(ty))
    });
    let tables = json!({ table.to_string(): declared.collect::<serde_json::Map<String, Value>>() });
    let place = RunsPlace { table: table.clone(), location: "EU".into(), job_project: "p-1".into(), days: 90 };
    let mut cases = vec![json!({"name": "runs: windows", "sql": windows_query(&table), "tables": tables})];
    for except in [vec![], vec!["01J".to_owned(), "'; DROP".to_owned()]] {
        let scan = RunsScan { place: &place, since: "2026-01-31", except: &except, request: "r" };
        for (name, sql) in [("days", days_statement(&scan)), ("last", last_statement(&scan))] {
            let name = format!("runs: {name} but {}", except.len());
            cases.push(json!({"name": name, "sql": sql, "tables": tables}));
        }
    }
    cases
}
