//! Tokens over bad networks: they go nowhere but to the service that they are for, and who gives them may fall silent.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gcp_auth::{Token, TokenProvider};
use highwater::bucket::gcs::GcsBucket;
use highwater::bucket::{Bucket as _, ContentType, Precondition};
use highwater::net::{Context, Http, Method, Request, Tokens};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::served_tests;
use crate::support::Test;
use crate::support::calls::{Calls, Fault};
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![redirects_take_no_token_along, who_gives_tokens_may_be_silent_or_fail]
}

const SECRET: &str = "ya29.a-token-of-the-test";

/// What becomes of the next requests for a token.
#[derive(Clone, Copy)]
enum Next {
    Fails,
    Silent,
}

#[derive(Default)]
struct Provider {
    next: Mutex<VecDeque<Next>>,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<Arc<T>, gcp_auth::Error>> + Send + 'a>>;

impl TokenProvider for Provider {
    fn token<'a, 'b, 'c, 'r>(&'a self, _: &'b [&'c str]) -> Answer<'r, Token>
    where
        'a: 'r,
        'b: 'r,
        'c: 'r,
        Self: 'r,
    {
        Box::pin(async move {
            let next = self.next.lock().unwrap().pop_front();
            match next {
                Some(Next::Fails) => Err(gcp_auth::Error::Str("the metadata server is away")),
                Some(Next::Silent) => std::future::pending().await,
                None => {
                    Ok(Arc::new(serde_json::from_value(json!({"access_token": SECRET, "expires_in": 3600})).unwrap()))
                }
            }
        })
    }

    fn project_id<'a, 'r>(&'a self) -> Answer<'r, str>
    where
        'a: 'r,
        Self: 'r,
    {
        Box::pin(async { Ok(Arc::from("demo")) })
    }
}

fn tokens(next: &[Next]) -> Tokens {
    let provider: Arc<dyn TokenProvider> = Arc::new(Provider { next: Mutex::new(next.iter().copied().collect()) });
    Tokens::Google(Arc::new(tokio::sync::OnceCell::new_with(Some(provider))))
}

fn context(seconds: u64) -> Context {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(seconds);
    Context::new(deadline, CancellationToken::new())
}

fn get(url: &str) -> Request {
    Request { method: Method::GET, url: url.parse().unwrap(), body: None, if_match: None }
}

async fn redirects_take_no_token_along() {
    let place = Place::new().await;
    let wire = Calls::open(&place.stack.storage).await;
    let bucket = GcsBucket::new(&place.bucket(), "", Some(wire.url.parse().unwrap()), tokens(&[]));
    let http = Http::new(tokens(&[]));
    for status in [301, 302, 303, 307, 308] {
        wire.decide(move |_| Some(Fault::Redirect(status)));
        assert!(bucket.get(&context(2), "x", 1000).await.is_err());
        let bytes = Bytes::from_static(b"rows");
        let put = bucket.put(&context(2), "x", bytes, ContentType::Ndjson, Precondition::Absent).await;
        assert!(put.is_err(), "{status}");
        assert!(bucket.delete(&context(2), "x").await.is_err());
        let error = http.send(&context(2), &get(&wire.url), |_| false).await.unwrap_err().to_string();
        assert!(error.contains(&format!("an unexpected redirect ({status})")), "{error}");
    }
    assert!(wire.tally().faulty() >= 4);
    assert_eq!(wire.trapped(), Vec::<String>::new());
    // the same bucket works where nobody redirects
    wire.heal();
    assert_eq!(bucket.get(&context(5), "x", 1000).await.unwrap(), None);
}

async fn who_gives_tokens_may_be_silent_or_fail() {
    let place = Place::new().await;
    let wire = Calls::open(&place.stack.storage).await;
    let url = format!("{}/storage/v1/b?project=demo", wire.url);
    // both pass
    let http = Http::new(tokens(&[Next::Fails, Next::Silent]));
    let answer = http.send(&context(8), &get(&url), |_| false).await.unwrap();
    assert_eq!((answer.status, wire.tally().all), (200, 1));
    // for good: within the run's time, and said; nothing is sent without a token
    for (next, told) in [(Next::Fails, "no token: the metadata server is away"), (Next::Silent, "no token: no answer")]
    {
        wire.heal();
        let begun = Instant::now();
        let http = Http::new(tokens(&[next; 20]));
        let error = http.send(&context(6), &get(&url), |_| false).await.unwrap_err().to_string();
        assert!(begun.elapsed() < Duration::from_millis(6500), "{:?}", begun.elapsed());
        assert!(error.contains(told) && error.contains(" attempts in "), "{error}");
        assert!(!error.contains(SECRET));
        assert_eq!(wire.tally().all, 0);
    }
    let bucket = GcsBucket::new(&place.bucket(), "", Some(wire.url.parse().unwrap()), tokens(&[Next::Silent; 20]));
    let begun = Instant::now();
    let error = bucket.get(&context(6), "x", 1000).await.unwrap_err().to_string();
    assert!(begun.elapsed() < Duration::from_millis(6500) && error.contains(" attempts in "), "{error}");
    assert_eq!(wire.tally().all, 0);
}
