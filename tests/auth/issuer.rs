//! Who makes the tests' tokens, in Google's place: key pairs, and a server that gives their public keys.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use ring::rsa::PublicKeyComponents;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::listen::listen;

/// A key pair that is in the repository for the tests, and used for nothing else.
pub struct Pair {
    pub kid: &'static str,
    keys: RsaKeyPair,
}

impl Pair {
    pub fn first() -> Self {
        Self::read("first", include_str!("test-key-1.pem"))
    }

    pub fn second() -> Self {
        Self::read("second", include_str!("test-key-2.pem"))
    }

    /// One whose public key nobody gives away.
    pub fn third() -> Self {
        Self::read("third", include_str!("test-key-3.pem"))
    }

    fn read(kid: &'static str, pem: &str) -> Self {
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Self { kid, keys: RsaKeyPair::from_pkcs8(&STANDARD.decode(base64).unwrap()).unwrap() }
    }

    /// The public key as a set has it.
    pub fn jwk(&self) -> Value {
        let public: PublicKeyComponents<Vec<u8>> = self.keys.public().into();
        let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
        json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.kid, "n": n, "e": e})
    }

    /// The public key in DER (PKCS #1).
    pub fn public_der(&self) -> &[u8] {
        self.keys.public_key().as_ref()
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_of_kid(self.kid, claims)
    }

    /// The same, which says to be signed with another key.
    pub fn token_of_kid(&self, kid: &str, claims: &Value) -> String {
        let signed = signed(&json!({"alg": "RS256", "kid": kid, "typ": "JWT"}), claims);
        let mut signature = vec![0; self.keys.public().modulus_len()];
        let random = ring::rand::SystemRandom::new();
        self.keys.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The part of a token that is signed.
pub fn signed(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// What the server answers.
#[derive(Clone)]
pub struct Mood {
    pub status: u16,
    pub body: String,
    pub max_age: u64,
    pub delay: Duration,
}

impl Mood {
    /// The public keys of these pairs.
    pub fn gives(pairs: &[&Pair], max_age: u64) -> Self {
        let keys: Vec<Value> = pairs.iter().map(|pair| pair.jwk()).collect();
        Self { status: 200, body: json!({ "keys": keys }).to_string(), max_age, delay: Duration::ZERO }
    }

    /// This status.
    pub fn fails(status: u16) -> Self {
        Self { status, body: "down".to_owned(), max_age: 3600, delay: Duration::ZERO }
    }
}

struct Inner {
    mood: Mutex<Mood>,
    asked: Mutex<u32>,
}

/// A server of keys; it ends when dropped.
pub struct KeyServer {
    pub url: String,
    inner: Arc<Inner>,
    _server: JoinSet<()>,
}

impl KeyServer {
    /// Opens one on a free port.
    pub async fn open(mood: Mood) -> Self {
        let inner = Arc::new(Inner { mood: Mutex::new(mood), asked: Mutex::new(0) });
        let at = inner.clone();
        let (url, server) = listen(move |request| {
            let at = at.clone();
            async move { at.answer(&request).await }
        })
        .await;
        Self { url: format!("{url}/certs"), inner, _server: server }
    }

    /// From now on it answers so.
    pub fn feels(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = mood;
    }

    /// How often it was asked since this was looked at last.
    pub fn asked(&self) -> u32 {
        std::mem::take(&mut *self.inner.asked.lock().unwrap())
    }
}

impl Inner {
    async fn answer(&self, request: &hyper::Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
        *self.asked.lock().unwrap() += 1;
        let mood = self.mood.lock().unwrap().clone();
        // nobody is told who calls the service
        let bare = request.method() == "GET" && !request.headers().contains_key("authorization");
        tokio::time::sleep(mood.delay).await;
        Response::builder()
            .status(if bare { mood.status } else { 400 })
            .header("cache-control", format!("public, max-age={}, must-revalidate", mood.max_age))
            .body(Full::new(Bytes::from(mood.body)))
            .unwrap()
    }
}
