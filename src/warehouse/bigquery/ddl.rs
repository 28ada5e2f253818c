//! What changes of datasets and tables come to, as GoogleSQL that a person can read and compare. Pure.
//!
//! Only wider types are really changed by such a statement; the rest is done by the API's own methods, as `by` says: they
//! take preconditions, which DDL does not.

use super::sql::{Ident, Literal, Path, widen_statement};
use crate::model::{BqType, Field, FieldMode, Partitioning, Schema, TableSpec, TimeUnit};
use crate::warehouse::dry::Change;

/// A change as a statement, and what really does it.
pub fn statements(change: &Change) -> Vec<(String, &'static str)> {
    match change {
        Change::Dataset { project, dataset, location } => {
            let name = format!("{}.{}", Ident(project), Ident(dataset));
            vec![(format!("CREATE SCHEMA {name} OPTIONS(location={})", Literal(location)), "datasets.insert")]
        }
        Change::Table(spec) => vec![(create_table(spec), "tables.insert")],
        Change::Columns { table, before, after } => {
            let alter = |what: String| format!("ALTER TABLE {} {what}", Path(table));
            altered(before, after).into_iter().map(|what| (alter(what), "tables.patch")).collect()
        }
        Change::Widen(widening) => {
            vec![(widen_statement(&widening.table, &widening.column, widening.ty), "query job")]
        }
        Change::Swap { built, target } => {
            vec![(format!("CREATE OR REPLACE TABLE {} COPY {}", Path(target), Path(built)), "copy job")]
        }
    }
}

/// The statement that makes the table.
pub fn create_table(spec: &TableSpec) -> String {
    let columns: Vec<String> = spec.schema.0.iter().map(|field| format!("  {}", column(field, true))).collect();
    let mut sql = format!("CREATE TABLE {} (\n{}\n)", Path(&spec.table), columns.join(",\n"));
    if let Some(partitioning) = &spec.partitioning {
        sql.push_str(&format!("\nPARTITION BY {}", partition(partitioning, &spec.schema)));
    }
    if !spec.clustering.is_empty() {
        let columns: Vec<String> = spec.clustering.iter().map(|name| Ident(name).to_string()).collect();
        sql.push_str(&format!("\nCLUSTER BY {}", columns.join(", ")));
    }
    if let Some(description) = &spec.description {
        sql.push_str(&format!("\nOPTIONS(description={})", Literal(description)));
    }
    sql
}

fn column(field: &Field, with_mode: bool) -> String {
    let ty = match field.mode {
        FieldMode::Repeated => format!("ARRAY<{}>", field.ty),
        FieldMode::Nullable | FieldMode::Required => field.ty.to_string(),
    };
    let required = if with_mode && field.mode == FieldMode::Required { " NOT NULL" } else { "" };
    let description = field.description.as_ref().map(|text| format!(" OPTIONS(description={})", Literal(text)));
    format!("{} {ty}{required}{}", Ident(&field.name), description.unwrap_or_default())
}

fn partition(partitioning: &Partitioning, schema: &Schema) -> String {
    match partitioning {
        Partitioning::Range { field, start, end, interval } => {
            format!("RANGE_BUCKET({}, GENERATE_ARRAY({start}, {end}, {interval}))", Ident(field))
        }
        Partitioning::Time { field, unit } => {
            let unit_name = match unit {
                TimeUnit::Hour => "HOUR",
                TimeUnit::Day => "DAY",
                TimeUnit::Month => "MONTH",
                TimeUnit::Year => "YEAR",
            };
            match (schema.field(field).map(|column| column.ty), unit) {
                (Some(BqType::Timestamp), _) => format!("TIMESTAMP_TRUNC({}, {unit_name})", Ident(field)),
                (Some(BqType::DateTime), _) => format!("DATETIME_TRUNC({}, {unit_name})", Ident(field)),
                (_, TimeUnit::Day) => Ident(field).to_string(),
                (_, _) => format!("DATE_TRUNC({}, {unit_name})", Ident(field)),
            }
        }
    }
}

/// What makes `after` of `before`: columns are added or relaxed, nothing else.
fn altered(before: &Schema, after: &Schema) -> Vec<String> {
    let added = after.0.iter().filter(|field| before.field(&field.name).is_none());
    let added: Vec<String> = added.map(|field| format!("ADD COLUMN {}", column(field, false))).collect();
    let relaxed = after.0.iter().filter(|field| {
        let was = before.field(&field.name).map(|was| was.mode);
        was == Some(FieldMode::Required) && field.mode == FieldMode::Nullable
    });
    let relaxed = relaxed.map(|field| format!("ALTER COLUMN {} DROP NOT NULL", Ident(&field.name)));
    let added = (!added.is_empty()).then(|| added.join(", "));
    added.into_iter().chain(relaxed).collect()
}
