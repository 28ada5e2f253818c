//! What the gate wants of queries whose rows are read.

use bytes::Bytes;

use super::{Inner, Reply, Seen, fault_reply};

impl Inner {
    /// A query, or a look at its rows.
    pub(super) async fn query(&self, seen: &Seen, body: Bytes) -> Reply {
        match refusal(seen) {
            Some(refusal) => refusal,
            None => self.send(seen, body, None).await,
        }
    }
}

/// Why a query is none of ours; `None` if it is.
fn refusal(seen: &Seen) -> Option<Reply> {
    if seen.method == "GET" {
        let fault = "the gate wants every look at a query's rows to name its location";
        return (!seen.path.contains("location=")).then(|| fault_reply(400, "invalid", fault));
    }
    let (sql, location) =
        (seen.body["query"].as_str().unwrap_or_default(), seen.body["location"].as_str().unwrap_or_default());
    if location.is_empty() {
        return Some(fault_reply(400, "invalid", "the gate wants every query to name its location"));
    }
    if !sql.starts_with("SELECT ") || !sql.contains(" LIMIT ") || seen.body["useLegacySql"] != false {
        return Some(fault_reply(400, "invalidQuery", "the gate wants a SELECT with a LIMIT in standard SQL"));
    }
    let request = seen.body["requestId"].as_str().unwrap_or_default();
    let fine = !request.is_empty() && request.len() <= 36 && request.is_ascii();
    (!fine).then(|| fault_reply(400, "invalid", &format!("Invalid request ID {request:?}")))
}
