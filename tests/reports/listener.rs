//! Somebody who is told: a small HTTP server that remembers what it is sent.

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

use crate::support::listen::listen;

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// 200, to a publish request with an id.
    Fine,
    /// This status, with the path that was asked for.
    Refuses(u16),
    /// Nothing, for a while.
    Sleeps,
}

struct Inner {
    mood: Mutex<Mood>,
    heard: Mutex<Vec<(String, Value)>>,
}

/// A listener; it ends when dropped.
pub struct Listener {
    pub url: String,
    inner: Arc<Inner>,
    _server: JoinSet<()>,
}

impl Listener {
    /// Opens one on a free port.
    pub async fn open() -> Self {
        let inner = Arc::new(Inner { mood: Mutex::new(Mood::Fine), heard: Mutex::default() });
        let at = inner.clone();
        let (url, server) = listen(move |request| {
            let at = at.clone();
            async move { at.answer(request).await }
        })
        .await;
        Self { url, inner, _server: server }
    }

    /// From now on it answers so.
    pub fn feels(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = mood;
    }

    /// What it took since it was asked last: path and body.
    pub fn heard(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.inner.heard.lock().unwrap())
    }

    /// The events of what it took since it was asked last, sent to a webhook or to a topic.
    pub fn events(&self) -> Vec<String> {
        let event = |(_, body): (String, Value)| {
            let of_topic = body["messages"][0]["attributes"]["event"].as_str().map(str::to_owned);
            of_topic.or_else(|| body["event"].as_str().map(str::to_owned)).unwrap()
        };
        self.heard().into_iter().map(event).collect()
    }
}

/// The data of a published message.
pub fn data(body: &Value) -> Value {
    let data = body["messages"][0]["data"].as_str().unwrap();
    serde_json::from_slice(&STANDARD.decode(data).unwrap()).unwrap()
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let mood = *self.mood.lock().unwrap();
        let (status, answer) = match mood {
            Mood::Refuses(status) => (status, format!("Cannot POST {path}")),
            Mood::Sleeps => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                (200, "late".to_owned())
            }
            Mood::Fine => {
                self.heard.lock().unwrap().push((path.clone(), serde_json::from_slice(&body).unwrap()));
                let publishes = path.ends_with(":publish");
                (200, if publishes { json!({"messageIds": ["1"]}).to_string() } else { "ok".to_owned() })
            }
        };
        Response::builder().status(status).body(Full::new(Bytes::from(answer))).unwrap()
    }
}
