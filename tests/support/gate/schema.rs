//! What jobs do to the columns that the gate remembers of a table.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Inner, Reply, Seen};

/// `project/dataset/table`.
fn key_of(reference: &Value) -> String {
    let part = |name: &str| reference[name].as_str().unwrap_or_default().to_owned();
    format!("{}/{}/{}", part("projectId"), part("datasetId"), part("tableId"))
}

/// The table, the column and its new type of an ALTER TABLE of ours.
fn altered(sql: &str) -> Option<(String, String, String)> {
    let rest = sql.strip_prefix("ALTER TABLE ")?;
    let (path, action) = rest.split_once(" ALTER COLUMN ")?;
    let (name, ty) = action.split_once(" SET DATA TYPE ")?;
    let key = path.replace("`.`", "/").trim_matches('`').to_owned();
    Some((key, name.trim_matches('`').to_owned(), ty.to_owned()))
}

impl Inner {
    /// The emulator's BIGNUMERIC has fewer digits than its NUMERIC before the point and is not reached by ALTER: the
    /// column is copied into one of the new type. The job then counts as done.
    pub(super) async fn widen_by_copy(&self, seen: &Seen) -> Option<Reply> {
        let (key, name, ty) = altered(seen.body["configuration"]["query"]["query"].as_str()?)?;
        {
            let memory = self.memory.lock().unwrap();
            let is_numeric = |field: &Value| field["name"] == name.as_str() && field["type"] == "NUMERIC";
            if ty != "BIGNUMERIC" || !memory.tables.get(&key)?.iter().any(is_numeric) {
                return None;
            }
        }
        let table = format!("`{}`", key.replace('/', "`.`"));
        for sql in [
            format!("ALTER TABLE {table} ADD COLUMN hw_new BIGNUMERIC"),
            format!("UPDATE {table} SET hw_new = CAST(`{name}` AS BIGNUMERIC) WHERE TRUE"),
            format!("ALTER TABLE {table} DROP COLUMN `{name}`"),
            format!("ALTER TABLE {table} RENAME COLUMN hw_new TO `{name}`"),
        ] {
            let query = Seen {
                method: "POST".into(),
                path: format!("/bigquery/v2/projects/{}/queries", key.split('/').next().unwrap_or_default()),
                body: json!({"query": sql, "useLegacySql": false}),
            };
            let body = Bytes::from(query.body.to_string());
            let (status, answer) = self.forward(&query, body, None).await;
            assert_eq!(status, 200, "{sql}: {}", String::from_utf8_lossy(&answer));
        }
        let mut memory = self.memory.lock().unwrap();
        let fields = memory.tables.get_mut(&key)?;
        fields.iter_mut().filter(|field| field["name"] == name.as_str()).for_each(|field| field["type"] = json!(ty));
        let project = key.split('/').next().unwrap_or_default();
        let id = seen.body["jobReference"]["jobId"].as_str()?;
        memory.jobs.get_mut(&format!("{project}/{id}"))?.done = true;
        Some((200, Bytes::from(json!({"kind": "bigquery#job", "status": {"state": "RUNNING"}}).to_string())))
    }

    /// What a job that succeeded has done to the columns of a table: the emulator forgets modes.
    pub(super) async fn learn_job(&self, project: &str, id: &str, configuration: &Value) {
        let copy = &configuration["copy"];
        let altered = configuration["query"]["query"].as_str().and_then(altered);
        if !copy.is_object() && altered.is_none() {
            return;
        }
        let path = format!("/bigquery/v2/projects/{project}/jobs/{id}");
        let (_, body) = self.send(&Seen { method: "GET".into(), path, body: Value::Null }, Bytes::new(), None).await;
        let job: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !job["status"]["errorResult"].is_null() {
            return;
        }
        let mut memory = self.memory.lock().unwrap();
        if copy.is_object() {
            let (from, to) = (key_of(&copy["sourceTable"]), key_of(&copy["destinationTable"]));
            if let Some(fields) = memory.tables.get(&from).cloned() {
                memory.tables.insert(to, fields);
            }
        }
        if let Some((key, name, ty)) = altered
            && let Some(fields) = memory.tables.get_mut(&key)
        {
            fields
                .iter_mut()
                .filter(|field| field["name"] == name.as_str())
                .for_each(|field| field["type"] = json!(ty));
        }
    }
}
