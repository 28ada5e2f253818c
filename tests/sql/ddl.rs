//! The statements of `plan`: what changes come to, and the MERGE that BigQuery is asked about.

use highwater::model::{
    BqTable, BqType, Field, FieldMode, Intent, Lane, Mode, Partitioning, Schema, TableSpec, TimeUnit,
};
use highwater::warehouse::bigquery::ddl::statements;
use highwater::warehouse::bigquery::sql::merge_without_staging;
use highwater::warehouse::dry::Change;
use serde_json::{Value, json};

use super::{ODD, intent};

fn table(name: &str) -> BqTable {
    BqTable { project: "p-1".into(), dataset: "d_s".into(), table: name.into() }
}

fn field(name: &str, ty: BqType, mode: FieldMode) -> Field {
    Field { name: name.into(), ty, mode, description: Some("it's \\ odd\n`x`".into()) }
}

fn spec(partitioning: Option<Partitioning>, mode: FieldMode) -> TableSpec {
    let mut fields: Vec<Field> = BqType::ALL.iter().map(|ty| field(&format!("c_{ty}"), *ty, mode)).collect();
    fields.push(field(ODD, BqType::String, FieldMode::Nullable));
    let clustering = if mode == FieldMode::Repeated { vec![] } else { vec!["c_INT64".to_owned(), ODD.to_owned()] };
    let description = Some("a 'table'".to_owned());
    TableSpec {
        table: table("t x"),
        schema: Schema(fields),
        description,
        partitioning,
        clustering,
        expires_at_ms: None,
    }
}

fn changes() -> Vec<Change> {
    let units = [TimeUnit::Hour, TimeUnit::Day, TimeUnit::Month, TimeUnit::Year];
    let by_time = [BqType::Date, BqType::DateTime, BqType::Timestamp].into_iter().flat_map(|ty| {
        let fits = move |unit: &TimeUnit| ty != BqType::Date || *unit != TimeUnit::Hour;
        units.into_iter().filter(fits).map(move |unit| Partitioning::Time { field: format!("c_{ty}"), unit })
    });
    let by_range = Partitioning::Range { field: "c_INT64".into(), start: -5, end: 100, interval: 7 };
    let partitioned = by_time.chain([by_range]).map(|partitioning| spec(Some(partitioning), FieldMode::Required));
    let plain = [spec(None, FieldMode::Nullable), spec(None, FieldMode::Repeated)];
    let mut changes: Vec<Change> =
        plain.into_iter().chain(partitioned).map(|spec| Change::Table(Box::new(spec))).collect();
    let before = vec![field("a", BqType::Int64, FieldMode::Required), field(ODD, BqType::Date, FieldMode::Required)];
    let mut after: Vec<Field> =
        before.iter().map(|field| Field { mode: FieldMode::Nullable, ..field.clone() }).collect();
    after.extend(BqType::ALL.iter().map(|ty| field(&format!("n_{ty}"), *ty, FieldMode::Nullable)));
    after.push(field("many", BqType::String, FieldMode::Repeated));
    changes.push(Change::Columns { table: table("t"), before: Schema(before), after: Schema(after) });
    let [project, dataset, location] = ["p-1", "d_s", "EU"].map(str::to_owned);
    changes.push(Change::Dataset { project, dataset, location });
    changes.push(Change::Swap { built: table("s"), target: table("t") });
    changes
}

/// Every change, and the MERGE of each mode with columns of every type.
pub fn cases() -> Vec<Value> {
    let columns = json!({"a": "INT64", ODD: "DATE"});
    let tables = json!({"p-1.d_s.t": columns, "p-1.d_s.s": columns});
    let mut cases = Vec::new();
    for change in changes() {
        for (sql, by) in statements(&change) {
            let name = format!("{by}: {}", sql.lines().collect::<String>().chars().take(80).collect::<String>());
            cases.push(json!({"name": name, "sql": sql, "tables": tables}));
        }
    }
    let all: Vec<(String, BqType)> = [("k".to_owned(), BqType::Int64)]
        .into_iter()
        .chain(BqType::ALL.iter().map(|ty| (format!("c_{ty}"), *ty)))
        .collect();
    for mode in [Mode::Merge, Mode::Append, Mode::Replace] {
        for enforced in [true, false] {
            let mut one: Intent = intent(mode, &all, &["k".to_owned()], Some("c_TIMESTAMP"), enforced);
            one.lane = Lane::Live;
            one.schema.0.push(field("many", BqType::Int64, FieldMode::Repeated));
            let mut target: serde_json::Map<String, Value> =
                all.iter().map(|(name, ty)| (name.clone(), json!(ty.name()))).collect();
            target.insert("many".to_owned(), json!("ARRAY<INT64>"));
            let sql = merge_without_staging(&one);
            assert!(!sql.contains(&one.staging.table), "{sql}");
            let name = format!("{mode} without a staging table, enforced={enforced}");
            cases.push(json!({"name": name, "sql": sql, "tables": {"p-1.d_s.t-1 x": target}}));
        }
    }
    cases
}
