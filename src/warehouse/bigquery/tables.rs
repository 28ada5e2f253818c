//! Datasets and tables.

use serde::Serialize;
use serde_json::Value;

use super::super::{TableInfo, WarehouseError};
use super::wire::{
    Clustering, DatasetBody, DatasetReference, Fields, NewDataset, NewTable, TableBody, TableReference, partitioning,
};
use super::{BigQuery, garbled, get, refused, with_body};
use crate::model::{BqTable, Field, FieldMode, Schema, TableSpec};
use crate::net::{Context, Method, Request};

pub(super) async fn table(api: &BigQuery, cx: &Context, table: &BqTable) -> Result<Option<TableInfo>, WarehouseError> {
    let what = format!("reading table {table}");
    let url = api.url(&what, &[&table.project, "datasets", &table.dataset, "tables", &table.table])?;
    let answer = api.call(cx, &what, &get(url)).await?;
    match answer.status {
        200 => {}
        404 => return Ok(None),
        _ => return Err(refused(&what, &answer)),
    }
    let body: TableBody = serde_json::from_slice(&answer.body).map_err(|error| garbled(&what, &error))?;
    let layout = body.layout();
    // columns of types that are not ours stay as they are: they are neither read nor written
    let fields = body.schema.fields.into_iter().filter_map(|field| serde_json::from_value::<Field>(field).ok());
    let etag = if body.etag.is_empty() { answer.etag.unwrap_or_default() } else { body.etag };
    let schema = Schema(fields.collect());
    let streamed = body.streaming_buffer.map_or(0, |buffer| buffer.estimated_rows.0);
    Ok(Some(TableInfo {
        schema,
        etag,
        rows: body.num_rows.0.saturating_add(streamed),
        bytes: body.num_bytes.0,
        location: body.location,
        layout,
    }))
}

pub(super) async fn dataset_location(
    api: &BigQuery,
    cx: &Context,
    project: &str,
    dataset: &str,
) -> Result<Option<String>, WarehouseError> {
    let what = format!("looking at dataset {project}.{dataset}");
    let answer = api.call(cx, &what, &get(api.url(&what, &[project, "datasets", dataset])?)).await?;
    match answer.status {
        200 => {
            let body: DatasetBody = serde_json::from_slice(&answer.body).map_err(|error| garbled(&what, &error))?;
            Ok(Some(body.location))
        }
        404 => Ok(None),
        _ => Err(refused(&what, &answer)),
    }
}

pub(super) async fn ensure_dataset(
    api: &BigQuery,
    cx: &Context,
    project: &str,
    dataset: &str,
    location: &str,
) -> Result<(), WarehouseError> {
    let what = format!("looking at dataset {project}.{dataset}");
    let url = api.url(&what, &[project, "datasets", dataset])?;
    // twice: between a look that finds nothing and the insert somebody else may create it
    for _ in 0..2 {
        let answer = api.call(cx, &what, &get(url.clone())).await?;
        match answer.status {
            200 => {
                let body: DatasetBody = serde_json::from_slice(&answer.body).map_err(|error| garbled(&what, &error))?;
                if body.location.eq_ignore_ascii_case(location) {
                    return Ok(());
                }
                let (dataset, wanted) = (format!("{project}.{dataset}"), location.to_owned());
                return Err(WarehouseError::Location { dataset, found: body.location, wanted });
            }
            404 => {}
            _ => return Err(refused(&what, &answer)),
        }
        let what = format!("creating dataset {project}.{dataset} in {location}");
        let body =
            NewDataset { dataset_reference: DatasetReference { project_id: project, dataset_id: dataset }, location };
        let request = with_body(Method::POST, &what, api.url(&what, &[project, "datasets"])?, &body)?;
        let answer = api.call(cx, &what, &request).await?;
        match answer.status {
            200 => return Ok(()),
            409 => {}
            _ => return Err(refused(&what, &answer)),
        }
    }
    Err(WarehouseError::Garbled { what, message: "it exists and does not exist".to_owned() })
}

pub(super) async fn create_table(api: &BigQuery, cx: &Context, spec: &TableSpec) -> Result<(), WarehouseError> {
    let table = &spec.table;
    let what = format!("creating table {table}");
    let (time_partitioning, range_partitioning) = partitioning(spec.partitioning.as_ref());
    let clustering = (!spec.clustering.is_empty()).then(|| Clustering { fields: spec.clustering.clone() });
    let body = NewTable {
        table_reference: TableReference::from(table),
        schema: Fields::from(&spec.schema),
        description: spec.description.clone(),
        expiration_time: spec.expires_at_ms.map(|at| at.to_string()),
        time_partitioning,
        range_partitioning,
        clustering,
    };
    let url = api.url(&what, &[&table.project, "datasets", &table.dataset, "tables"])?;
    let answer = api.call(cx, &what, &with_body(Method::POST, &what, url, &body)?).await?;
    match answer.status {
        200 | 409 => Ok(()),
        _ => Err(refused(&what, &answer)),
    }
}

#[derive(Serialize)]
struct SchemaPatch {
    schema: RawFields,
}

#[derive(Serialize)]
struct RawFields {
    fields: Vec<Value>,
}

pub(super) async fn patch_schema(
    api: &BigQuery,
    cx: &Context,
    table: &BqTable,
    schema: &Schema,
    etag: &str,
) -> Result<bool, WarehouseError> {
    let what = format!("changing the columns of {table}");
    let url = api.url(&what, &[&table.project, "datasets", &table.dataset, "tables", &table.table])?;
    let answer = api.call(cx, &what, &get(url.clone())).await?;
    if answer.status != 200 {
        return Err(refused(&what, &answer));
    }
    let body: TableBody = serde_json::from_slice(&answer.body).map_err(|error| garbled(&what, &error))?;
    let fields = patched(body.schema.fields, schema).map_err(|error| garbled(&what, &error))?;
    let mut request = with_body(Method::PATCH, &what, url, &SchemaPatch { schema: RawFields { fields } })?;
    request.if_match = Some(etag.to_owned());
    let answer = api.call(cx, &what, &request).await?;
    match answer.status {
        200 => Ok(true),
        412 => Ok(false),
        _ => Err(refused(&what, &answer)),
    }
}

/// The table's own fields with our changes: modes of fields that are there, fields that are not. What we do not know
/// of a field (policy tags, default values, collation) and fields of types that are not ours stay as they are.
fn patched(mut fields: Vec<Value>, schema: &Schema) -> Result<Vec<Value>, serde_json::Error> {
    for wanted in &schema.0 {
        let same = |field: &&mut Value| {
            field.get("name").and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case(&wanted.name))
        };
        match fields.iter_mut().find(same) {
            Some(Value::Object(field)) if wanted.mode == FieldMode::Nullable => {
                field.insert("mode".to_owned(), Value::from("NULLABLE"));
            }
            Some(_) => {}
            None => fields.push(serde_json::to_value(wanted)?),
        }
    }
    Ok(fields)
}

pub(super) async fn delete_table(api: &BigQuery, cx: &Context, table: &BqTable) -> Result<(), WarehouseError> {
    let what = format!("deleting table {table}");
    let url = api.url(&what, &[&table.project, "datasets", &table.dataset, "tables", &table.table])?;
    let answer = api.call(cx, &what, &Request { method: Method::DELETE, url, body: None, if_match: None }).await?;
    match answer.status {
        200..=299 | 404 => Ok(()),
        _ => Err(refused(&what, &answer)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::BqType;

    #[test]
    fn a_patch_keeps_what_is_not_ours() -> Result<(), serde_json::Error> {
        let found = vec![
            json!({"name": "ID", "type": "INTEGER", "mode": "REQUIRED", "policyTags": {"names": ["x"]}}),
            json!({"name": "nested", "type": "RECORD", "fields": []}),
        ];
        let field =
            |name: &str| Field { name: name.into(), ty: BqType::Int64, mode: FieldMode::Nullable, description: None };
        assert_eq!(
            patched(found, &Schema(vec![field("id"), field("new")]))?,
            vec![
                json!({"name": "ID", "type": "INTEGER", "mode": "NULLABLE", "policyTags": {"names": ["x"]}}),
                json!({"name": "nested", "type": "RECORD", "fields": []}),
                json!({"name": "new", "type": "INT64", "mode": "NULLABLE"}),
            ]
        );
        Ok(())
    }
}
