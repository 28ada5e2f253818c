//! Who may call: the check of the identity token that Cloud Scheduler and Pub/Sub send, where `auth` is configured.
//!
//! `token` says what is right with a token, `keys` when keys serve and when to ask for others, `refusal` what is told;
//! all of them are pure. Here is what is done: nothing before the first token comes, then one request for keys at a time.

mod keys;
mod refusal;
mod token;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::keys::{KeySet, Keyring, Look, PublicKey};
use self::token::Token;
use crate::config::Auth;
use crate::net::{Context, Http, Method, Request, Tokens};

pub(super) use self::refusal::{Email, Reason, Refusal};

/// The most time for fetching keys, every attempt included: so long a request may have to wait for its answer.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// The most bytes of a set of keys. Google's has some two thousand.
const KEYS_BYTES_MAX: usize = 64 << 10;

/// The check of callers.
pub(super) struct Guard {
    auth: Auth,
    keys: Arc<Keys>,
    /// What fetches keys belongs here and not to a request: a caller that gives up does not keep keys from others.
    fetching: Mutex<JoinSet<()>>,
}

struct Keys {
    http: Http,
    url: Url,
    ring: Mutex<Keyring>,
    /// Held by who fetches.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Guard {
    /// A check that has fetched nothing yet.
    pub(super) fn new(auth: Auth) -> Self {
        let http = Http::new(Tokens::Anonymous).with_answer_bytes_max(KEYS_BYTES_MAX);
        let keys = Keys { http, url: auth.keys_url.clone(), ring: Mutex::default(), turn: Arc::default() };
        Self { auth, keys: Arc::new(keys), fetching: Mutex::default() }
    }

    /// What it was made of.
    pub(super) fn settings(&self) -> &Auth {
        &self.auth
    }

    /// Who is calling, if they may.
    ///
    /// # Errors
    /// They may not, or nobody can tell.
    pub(super) async fn admit(&self, headers: &HeaderMap, now: Timestamp) -> Result<String, Refusal> {
        let token = Token::of(headers)?;
        let refuse = |reason| Refusal { reason, email: token.claimed() };
        let key = self.key(token.kid()).await.map_err(refuse)?;
        token.verify(&key, &self.auth, now)
    }

    async fn key(&self, kid: &str) -> Result<PublicKey, Reason> {
        let mut looked = self.keys.look(kid);
        if matches!(looked, Look::Fetch) {
            self.fetch(kid).await;
            looked = self.keys.look(kid);
        }
        match looked {
            Look::Key(key) => Ok(key),
            Look::Unknown => Err(Reason::UnknownKid(kid.to_owned())),
            Look::Unavailable(problem) => Err(Reason::NoKeys(problem)),
            Look::Fetch => Err(Reason::NoKeys("those that came were too old at once".to_owned())),
        }
    }

    /// Waits until nobody else is fetching, and fetches if that is wanted still.
    async fn fetch(&self, kid: &str) {
        let turn = self.keys.turn.clone().lock_owned().await;
        if !matches!(self.keys.look(kid), Look::Fetch) {
            return;
        }
        let (keys, kid) = (self.keys.clone(), kid.to_owned());
        let (done, fetched) = oneshot::channel();
        let fetch = async move {
            keys.fetch(&kid).await;
            drop(turn);
            // nobody may be waiting any more
            done.send(()).unwrap_or_default();
        };
        {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            while fetching.try_join_next().is_some() {}
            fetching.spawn(fetch);
        }
        // it is never cut off while the guard lives
        fetched.await.unwrap_or_default();
    }
}

impl Keys {
    fn look(&self, kid: &str) -> Look {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).look(kid, Instant::now())
    }

    async fn fetch(&self, kid: &str) {
        let begun = Instant::now();
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).ask(kid, begun);
        let answer = Box::pin(self.get()).await;
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok((keys, max_age)) => {
                let max_age_s = max_age.map(|max_age| max_age.as_secs());
                tracing::debug!(keys = keys.count(), max_age_s, "keys of callers' tokens fetched");
                // they were as old as that when they were sent
                ring.keep(keys, max_age, kid, begun);
            }
            Err(problem) => {
                let known_serve = ring.fail(problem.clone(), Instant::now());
                let (url, error) = (self.url.as_str(), problem);
                match known_serve {
                    true => {
                        tracing::warn!(url, error, "the keys of callers' tokens cannot be fetched; known ones serve on")
                    }
                    false => tracing::error!(url, error, "the keys of callers' tokens cannot be fetched"),
                }
            }
        }
    }

    async fn get(&self) -> Result<(KeySet, Option<Duration>), String> {
        let cx = Context::new(Instant::now() + FETCH_MAX, CancellationToken::new());
        let request = Request { method: Method::GET, url: self.url.clone(), body: None, if_match: None };
        let answer = self.http.send(&cx, &request, |_| false).await.map_err(|error| error.to_string())?;
        match answer.status {
            200 => Ok((KeySet::parse(&answer.body)?, answer.max_age)),
            _ => Err(answer.shown()),
        }
    }
}
