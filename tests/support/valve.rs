//! A valve before the Cloud Storage emulator: forwards everything as it is, and can be told to fail.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::task::JoinSet;

use crate::support::listen::listen;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Leak {
    /// Answered with this status, not forwarded.
    Status(u16),
    /// Forwarded, and answered 503: it took effect, and nobody hears of it.
    LostAnswer,
}

type Matches = Box<dyn Fn(&str, &str) -> bool + Send>;

struct Inner {
    storage: String,
    client: reqwest::Client,
    rules: Mutex<Vec<(Matches, Leak, u32)>>,
}

/// A running valve; it ends when dropped.
pub struct Valve {
    pub url: String,
    inner: Arc<Inner>,
    _server: JoinSet<()>,
}

impl Valve {
    /// Opens a valve before the emulator.
    pub async fn open(storage: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let inner = Arc::new(Inner { storage: storage.into(), client, rules: Mutex::default() });
        let at = inner.clone();
        let (url, server) = listen(move |request| {
            let at = at.clone();
            async move { at.answer(request).await }
        })
        .await;
        Self { url, inner, _server: server }
    }

    /// The next `times` requests whose method and path (with query) match leak.
    pub fn leak(&self, times: u32, leak: Leak, matches: impl Fn(&str, &str) -> bool + Send + 'static) {
        self.inner.rules.lock().unwrap().push((Box::new(matches), leak, times));
    }

    /// No more leaks.
    pub fn mend(&self) {
        self.inner.rules.lock().unwrap().clear();
    }
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        // the object's name is in the metadata, which comes first in the body of an upload
        let named = format!("{path} {}", String::from_utf8_lossy(&body[..body.len().min(600)]));
        let leak = {
            let mut rules = self.rules.lock().unwrap();
            let rule =
                rules.iter_mut().find(|(matches, _, times)| *times > 0 && matches(parts.method.as_str(), &named));
            rule.map(|(_, leak, times)| {
                *times -= 1;
                *leak
            })
        };
        let failed =
            |status: u16| Response::builder().status(status).body(Full::new(Bytes::from_static(b"a leak"))).unwrap();
        if let Some(Leak::Status(status)) = leak {
            return failed(status);
        }
        let mut headers = parts.headers;
        headers.remove("host");
        let sent =
            self.client.request(parts.method, format!("{}{path}", self.storage)).headers(headers).body(body).send();
        let Ok(answer) = sent.await else { return failed(502) };
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers().iter().filter(|(name, _)| *name != "transfer-encoding") {
            response = response.header(name, value);
        }
        let bytes = answer.bytes().await.unwrap_or_default();
        if matches!(leak, Some(Leak::LostAnswer)) { failed(503) } else { response.body(Full::new(bytes)).unwrap() }
    }
}
