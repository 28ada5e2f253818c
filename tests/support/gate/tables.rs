//! Datasets and tables as they were made: what the emulator knows late or not at all, and what it would let pass.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Inner, Reply, fault_reply};

impl Inner {
    /// The dataset's answer with the location that it was created in: the emulator knows a dataset a moment before its
    /// location.
    pub(super) fn with_location(&self, reply: Reply, key: &str) -> Reply {
        let Some(location) = self.memory.lock().unwrap().datasets.get(key).cloned() else { return reply };
        if reply.0 != 200 {
            return reply;
        }
        let mut body: Value = serde_json::from_slice(&reply.1).unwrap();
        body["location"] = json!(location);
        (200, Bytes::from(body.to_string()))
    }

    /// The table's answer with the modes and descriptions that it was created with.
    pub(super) fn with_modes(&self, reply: Reply, key: &str) -> Reply {
        let memory = self.memory.lock().unwrap();
        if reply.0 != 200 {
            return reply;
        }
        let mut body: Value = serde_json::from_slice(&reply.1).unwrap();
        if let Some(fields) = memory.tables.get(key) {
            body["schema"]["fields"] = Value::Array(fields.clone());
        }
        let dataset = key.rsplit_once('/').map(|(dataset, _)| dataset).unwrap_or_default();
        if let Some(location) = memory.datasets.get(dataset) {
            body["location"] = json!(location);
        }
        (200, Bytes::from(body.to_string()))
    }

    pub(super) fn refuse_patch(&self, key: &str, patch: &Value) -> Option<Reply> {
        let memory = self.memory.lock().unwrap();
        let (old, new) = (memory.tables.get(key)?, patch["schema"]["fields"].as_array()?);
        let refusal = |message: String| Some(fault_reply(400, "invalid", &message));
        let required = |field: &Value| field["mode"] == "REQUIRED";
        for field in old {
            match new.iter().find(|other| other["name"] == field["name"]) {
                None => {
                    return refusal(format!(
                        "Provided Schema does not match Table: field {} is missing",
                        field["name"]
                    ));
                }
                Some(other) if other["type"] != field["type"] => {
                    return refusal(format!("Field {} has changed type", field["name"]));
                }
                Some(other) if required(other) && !required(field) => {
                    return refusal(format!("Field {} has changed mode from NULLABLE to REQUIRED", field["name"]));
                }
                Some(_) => {}
            }
        }
        let added = new.iter().find(|field| required(field) && !old.iter().any(|other| other["name"] == field["name"]));
        added.and_then(|field| refusal(format!("Cannot add required field {}", field["name"])))
    }
}
