//! Sends events of lineage. The address and the token are in no error and no log.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;
use url::Url;

use super::Journal;
use crate::bucket::Bucket;
use crate::model::Lineage;
use crate::net::{CallError, Context, Http, Method, Request, Tokens};
use crate::warehouse::RunsTable;

/// The most bytes of an answer, which nobody reads.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Who is told of lineage, if somebody is; the client is made for the first event.
pub(super) struct Teller {
    lineage: Option<Lineage>,
    http: OnceLock<Http>,
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller").finish_non_exhaustive()
    }
}

impl Teller {
    pub(super) fn new(lineage: Option<Lineage>) -> Self {
        Self { lineage, http: OnceLock::new() }
    }

    async fn send(&self, cx: &Context, lineage: &Lineage, event: &Value) -> Result<(), String> {
        let url = Url::parse(lineage.url.expose()).map_err(|_invalid| "not a url".to_owned())?;
        let http = self.http.get_or_init(|| {
            let tokens = lineage.token.clone().map_or(Tokens::Anonymous, Tokens::Fixed);
            Http::of_secret_addresses().with_tokens(tokens).with_answer_bytes_max(ANSWER_BYTES_MAX)
        });
        let body = serde_json::to_vec(event).map_err(|error| error.to_string())?;
        let request = Request { method: Method::POST, url, body: Some(Bytes::from(body)), if_match: None };
        let answer = http.send(cx, &request, |_| false).await.map_err(|error| match error {
            CallError::Unavailable { tried, message } => format!("no answer after {tried}: {message}"),
            CallError::Credentials(message) => message,
            CallError::Interrupted(cause) => cause.to_string(),
        })?;
        match answer.status {
            200..=299 => Ok(()),
            // what it says may repeat what it was sent
            status => Err(format!("it answers with HTTP {status}")),
        }
    }
}

impl<B: Bucket, W: RunsTable> Journal<'_, B, W> {
    /// Sends an event, if somebody is told, in the time that the settings give it. An event that comes twice is the same.
    pub async fn tell_lineage(&self, cx: &Context, event: &Value) {
        let teller = &self.desk.teller;
        let Some(lineage) = &teller.lineage else { return };
        let cx = cx.after(lineage.timeout);
        let sent = cx.limit(lineage.timeout, Box::pin(teller.send(&cx, lineage, event))).await;
        if let Err(error) = sent.unwrap_or_else(|interrupted| Err(interrupted.to_string())) {
            let event = event["eventType"].as_str().unwrap_or_default();
            tracing::warn!(event, error, "the lineage endpoint could not be told of the run");
        }
    }
}
