//! Pub/Sub by Google's own emulator, over its REST API; and a relay between it and the service, which counts deliveries.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::stack;

use crate::support::listen::listen;

/// How often a message is delivered before it is given up.
const DELIVERIES_MAX: u32 = 5;
/// The most time for anything that is waited for.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Topics and subscriptions whose names begin with the test's.
pub struct PubSub {
    url: String,
    prefix: String,
    client: reqwest::Client,
}

impl PubSub {
    /// The emulator, started at the first use.
    pub async fn new(prefix: &str) -> Self {
        let url = tokio::task::spawn_blocking(stack::pubsub).await.unwrap().to_owned();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url, prefix: prefix.replace('_', "-"), client }
    }

    /// Its address, as PUBSUB_EMULATOR_HOST says it: without a scheme.
    pub fn host(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// The whole name of a topic.
    pub fn topic(&self, topic: &str) -> String {
        format!("projects/demo/topics/{}-{topic}", self.prefix)
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let request = self.client.request(method, format!("{}/v1/{path}", self.url));
        let answer = request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Makes a topic.
    pub async fn make_topic(&self, topic: &str) {
        self.call(reqwest::Method::PUT, &self.topic(topic), json!({})).await;
    }

    /// Makes a subscription that is pulled from.
    pub async fn make_pull(&self, name: &str, topic: &str) {
        self.subscribe(name, json!({"topic": self.topic(topic)})).await;
    }

    /// Makes a subscription that pushes to `url`, each time for so many seconds (10 to 600), and gives messages up to the topic
    /// `dead`.
    pub async fn make_push(&self, name: &str, topic: &str, url: &str, dead: &str, seconds: u32) {
        let subscription = json!({
            "topic": self.topic(topic),
            "ackDeadlineSeconds": seconds,
            "pushConfig": {"pushEndpoint": format!("{url}/pubsub")},
            "deadLetterPolicy": {"deadLetterTopic": self.topic(dead), "maxDeliveryAttempts": DELIVERIES_MAX},
        });
        self.subscribe(name, subscription).await;
    }

    async fn subscribe(&self, name: &str, body: Value) {
        self.call(reqwest::Method::PUT, &self.subscription(name), body).await;
    }

    fn subscription(&self, name: &str) -> String {
        format!("projects/demo/subscriptions/{}-{name}", self.prefix)
    }

    /// Takes a subscription away: nothing is pushed any more.
    pub async fn forget(&self, name: &str) {
        self.call(reqwest::Method::DELETE, &self.subscription(name), json!({})).await;
    }

    /// Publishes a message; gives its id.
    pub async fn publish(&self, topic: &str, data: &str, attributes: Value) -> String {
        let message = json!({"data": STANDARD.encode(data), "attributes": attributes});
        let path = format!("{}:publish", self.topic(topic));
        let receipt = self.call(reqwest::Method::POST, &path, json!({"messages": [message]})).await;
        receipt["messageIds"][0].as_str().unwrap().to_owned()
    }

    /// Publishes the name of a table of the source `pg`.
    pub async fn publish_table(&self, topic: &str, table: &str) -> String {
        self.publish(topic, &json!({"source": "pg", "table": table}).to_string(), json!({})).await
    }

    /// Pulls until there are so many messages, and acknowledges them: data and attributes.
    pub async fn pull(&self, name: &str, count: usize) -> Vec<(String, Value)> {
        let (subscription, until) = (self.subscription(name), Instant::now() + WAIT_MAX);
        let mut pulled = Vec::new();
        while pulled.len() < count {
            assert!(Instant::now() < until, "{} of {count} messages came to {name}", pulled.len());
            let wanted = json!({"maxMessages": 100, "returnImmediately": true});
            let answer = self.call(reqwest::Method::POST, &format!("{subscription}:pull"), wanted).await;
            let messages = answer["receivedMessages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let acks: Vec<&Value> = messages.iter().map(|message| &message["ackId"]).collect();
            self.call(reqwest::Method::POST, &format!("{subscription}:acknowledge"), json!({"ackIds": acks})).await;
            pulled.extend(messages.iter().map(|received| {
                let message = &received["message"];
                let data = STANDARD.decode(message["data"].as_str().unwrap_or_default()).unwrap();
                (String::from_utf8(data).unwrap(), message["attributes"].clone())
            }));
        }
        pulled
    }
}

/// One push as it came and was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The message's id.
    pub message: String,
    /// The subscription that pushed it.
    pub subscription: String,
    /// What the service answered; `None` while it has not.
    pub status: Option<u16>,
    /// The outcome of the run, where it ended well.
    pub outcome: Option<String>,
}

struct Inner {
    service: String,
    client: reqwest::Client,
    deliveries: Mutex<Vec<Delivery>>,
}

/// Passes pushes on to the service as they are; it ends when dropped.
pub struct Relay {
    pub url: String,
    inner: Arc<Inner>,
    _server: JoinSet<()>,
}

impl Relay {
    /// Opens one before the service.
    pub async fn open(service: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let inner = Arc::new(Inner { service: service.to_owned(), client, deliveries: Mutex::default() });
        let at = inner.clone();
        let (url, server) = listen(move |request| {
            let at = at.clone();
            async move { at.answer(request).await }
        })
        .await;
        Self { url, inner, _server: server }
    }

    /// The pushes so far, in the order in which they came.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.inner.deliveries.lock().unwrap().clone()
    }

    /// Those of one message.
    pub fn of(&self, message: &str) -> Vec<Delivery> {
        self.deliveries().into_iter().filter(|delivery| delivery.message == message).collect()
    }

    /// Waits until so many of the deliveries fit.
    pub async fn until(&self, count: usize, fits: impl Fn(&Delivery) -> bool) {
        let until = Instant::now() + WAIT_MAX;
        loop {
            let seen = self.deliveries();
            if seen.iter().filter(|delivery| fits(delivery)).count() >= count {
                return;
            }
            assert!(Instant::now() < until, "{count} are awaited: {seen:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let envelope: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (message, subscription) = (text(&envelope["message"]["messageId"]), text(&envelope["subscription"]));
        let at = {
            let mut deliveries = self.deliveries.lock().unwrap();
            deliveries.push(Delivery { message, subscription, status: None, outcome: None });
            deliveries.len() - 1
        };
        let sent = self.client.post(format!("{}{path}", self.service)).body(body).send().await;
        let (status, answer) = match sent {
            Ok(answer) => (answer.status().as_u16(), answer.bytes().await.unwrap_or_default()),
            // nobody listens
            Err(_) => (502, Bytes::new()),
        };
        let report: Value = serde_json::from_slice(&answer).unwrap_or_default();
        {
            let mut deliveries = self.deliveries.lock().unwrap();
            deliveries[at].status = Some(status);
            deliveries[at].outcome = report["outcome"].as_str().map(str::to_owned);
        }
        Response::builder().status(status).body(Full::new(answer)).unwrap()
    }
}
