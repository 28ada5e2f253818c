//! Sends a message to a webhook or to a topic of Pub/Sub's. The url of a webhook is in no error and no log.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use crate::config::Endpoint;
use crate::model::{Event, Hook, HookAddress};
use crate::net::{Answer, CallError, Context, Http, Method, Request, Tokens};
use crate::report::notice::Notice;

/// The most time for one message to one hook, every attempt included.
const SEND_MAX: Duration = Duration::from_secs(5);
const PUBSUB: &str = "https://pubsub.googleapis.com";

/// The clients, made when the first message is sent.
pub(super) struct Hooks {
    webhooks: OnceLock<Http>,
    pubsub: OnceLock<Http>,
    endpoint: Endpoint,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// A message for one hook.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) notice: &'a Notice,
    pub(super) event: Event,
    /// The report as JSON, if it could be had.
    pub(super) report: Option<&'a [u8]>,
    /// Where the report lies.
    pub(super) address: &'a str,
}

/// Why a hook was not told. It does not name the hook.
#[derive(Debug)]
pub(super) struct NotTold {
    pub(super) kind: &'static str,
    pub(super) message: String,
}

#[derive(Serialize)]
struct Publish<'a> {
    messages: [Published<'a>; 1],
}

#[derive(Serialize)]
struct Published<'a> {
    data: String,
    attributes: Attributes<'a>,
}

#[derive(Serialize)]
struct Attributes<'a> {
    source: &'a str,
    table: &'a str,
    event: &'static str,
    run_id: &'a str,
}

/// What Pub/Sub answers.
#[derive(Deserialize)]
struct Receipt {
    #[serde(rename = "messageIds")]
    message_ids: Vec<String>,
}

impl Hooks {
    /// Clients; Pub/Sub is at that endpoint.
    pub(super) fn new(pubsub: &Endpoint) -> Self {
        Self { webhooks: OnceLock::new(), pubsub: OnceLock::new(), endpoint: pubsub.clone() }
    }

    /// Sends the message.
    pub(super) async fn send(&self, cx: &Context, hook: &Hook, message: Message<'_>) -> Result<(), NotTold> {
        let kind = match &hook.address {
            HookAddress::Webhook(_) => "webhook",
            HookAddress::Topic { .. } => "pubsub",
        };
        let send = async {
            match &hook.address {
                HookAddress::Webhook(url) => self.webhook(cx, url.expose(), message).await,
                HookAddress::Topic { project, topic } => self.publish(cx, project, topic, message).await,
            }
        };
        let sent = cx.limit(SEND_MAX, Box::pin(send)).await;
        let sent = sent.unwrap_or_else(|interrupted| Err(interrupted.to_string()));
        sent.map_err(|message| NotTold { kind, message })
    }

    async fn webhook(&self, cx: &Context, url: &str, message: Message<'_>) -> Result<(), String> {
        let url = Url::parse(url).map_err(|_invalid| "not a url".to_owned())?;
        let answer = call(
            self.webhooks.get_or_init(Http::of_secret_addresses),
            &cx.after(SEND_MAX),
            url,
            &slack(message),
            |_| false,
        )
        .await?;
        match answer.status {
            200..=299 => Ok(()),
            // what it says may repeat the url
            status => Err(format!("it answers with HTTP {status}")),
        }
    }

    async fn publish(&self, cx: &Context, project: &str, topic: &str, message: Message<'_>) -> Result<(), String> {
        let (tokens, mut url) = match &self.endpoint {
            Endpoint::Emulator(url) => (Tokens::Anonymous, url.clone()),
            Endpoint::Google => (Tokens::google(), Url::parse(PUBSUB).map_err(|_invalid| "not an address".to_owned())?),
        };
        let http = self.pubsub.get_or_init(|| Http::new(tokens));
        url.path_segments_mut().map_err(|()| "not an address".to_owned())?.pop_if_empty().extend([
            "v1",
            "projects",
            project,
            "topics",
            &format!("{topic}:publish"),
        ]);
        let notice = message.notice;
        let data = message.report.map_or_else(|| serde_json::to_vec(notice).unwrap_or_default(), <[u8]>::to_vec);
        let attributes = Attributes {
            source: &notice.source,
            table: &notice.table,
            event: message.event.name(),
            run_id: notice.run_id.as_str(),
        };
        let body = Publish { messages: [Published { data: STANDARD.encode(data), attributes }] };
        // a page that comes with a 200 is somebody else's
        let again = |answer: &Answer| answer.status == 200 && !is_receipt(&answer.body);
        let answer = call(http, &cx.after(SEND_MAX), url, &body, again).await?;
        match answer.status {
            200 => Ok(()),
            _ => Err(format!("projects/{project}/topics/{topic}: {}", answer.shown())),
        }
    }
}

fn is_receipt(body: &[u8]) -> bool {
    serde_json::from_slice::<Receipt>(body).is_ok_and(|receipt| !receipt.message_ids.is_empty())
}

/// What Slack and those who take its messages read; the fields beside `text` are for machines.
fn slack(message: Message<'_>) -> serde_json::Value {
    let notice = message.notice;
    // Slack, "Formatting text": the three characters that mean something
    let text = notice.text(message.event).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({
        "text": format!("Highwater: {text}"),
        "event": message.event.name(),
        "again": notice.again,
        "source": notice.source,
        "table": notice.table,
        "target": notice.target,
        "outcome": notice.outcome,
        "error": notice.error,
        "drift": notice.drift,
        "since": notice.since,
        "at": notice.at,
        "run_id": notice.run_id,
        "report": message.address,
    })
}

async fn call(
    http: &Http,
    cx: &Context,
    url: Url,
    body: &impl Serialize,
    again: impl Fn(&Answer) -> bool + Send,
) -> Result<Answer, String> {
    let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
    let request = Request { method: Method::POST, url, body: Some(Bytes::from(body)), if_match: None };
    http.send(cx, &request, again).await.map_err(|error| match error {
        CallError::Unavailable { tried, message } => format!("no answer after {tried}: {message}"),
        CallError::Credentials(message) => message,
        CallError::Interrupted(cause) => cause.to_string(),
    })
}
