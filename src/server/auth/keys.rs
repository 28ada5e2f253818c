//! The keys that tokens are signed with: how a set of them is read, for how long it serves, when to ask for another. Pure.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

/// The least time that keys are kept, whatever their Cache-Control says: else each request could ask for them.
const KEPT_MIN: Duration = Duration::from_secs(10);
/// The most: a key that is withdrawn is believed no longer than this while its server answers.
const KEPT_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long keys are kept that come without a `max-age`. Google's say some hours.
const KEPT_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// How much longer keys go on to be used while no newer ones can be had. Then nobody is let in.
const KEPT_BEYOND_MAX: Duration = Duration::from_secs(6 * 3600);
/// How often, at the most, keys are asked for because a token names one that is not among them: anybody can make such
/// tokens.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(60);
/// How soon after a failure keys are asked for again.
const FAILED_PAUSE: Duration = Duration::from_secs(10);
/// The most keys of a set. Google has two or three.
const KEYS_MAX: usize = 100;
/// The bytes of a modulus: 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// The most bytes of an exponent, which is 65537 everywhere.
const EXPONENT_BYTES_MAX: usize = 4;

/// An RSA key. What it verifies is RS256 and nothing else, whatever a token says of itself.
#[derive(Clone)]
pub(super) struct PublicKey(Arc<RsaPublicKeyComponents<Vec<u8>>>);

impl PublicKey {
    /// The key of modulus and exponent in base64url (RFC 7518, 6.3.1).
    fn new(modulus: &str, exponent: &str) -> Option<Self> {
        let number = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            let first = bytes.iter().position(|byte| *byte != 0)?;
            Some(bytes[first..].to_vec())
        };
        let (n, e) = (number(modulus)?, number(exponent)?);
        let fits = MODULUS_BYTES.contains(&n.len()) && e.len() <= EXPONENT_BYTES_MAX;
        fits.then(|| Self(Arc::new(RsaPublicKeyComponents { n, e })))
    }

    /// Whether the message was signed with the key's other half: RSASSA-PKCS1-v1_5 with SHA-256.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} bits)", self.0.n.len() * 8)
    }
}

/// Keys by their ids; at least one.
#[derive(Clone, Debug)]
pub(super) struct KeySet(HashMap<String, PublicKey>);

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    n: String,
    e: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
}

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517, 5). Keys of other kinds and for other uses are passed over.
    ///
    /// # Errors
    /// It is none, or none of its keys verifies RS256.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let set: Jwks = serde_json::from_slice(body).map_err(|error| format!("no JSON Web Key Set: {error}"))?;
        if set.keys.len() > KEYS_MAX {
            return Err(format!("a set of {} keys, more than {KEYS_MAX}", set.keys.len()));
        }
        let key = |value: Value| {
            let key: Jwk = serde_json::from_value(value).ok()?;
            let ours = key.kty == "RSA"
                && key.alg.as_deref().is_none_or(|alg| alg == "RS256")
                && key.usage.as_deref().is_none_or(|usage| usage == "sig");
            let parsed = PublicKey::new(&key.n, &key.e).filter(|_| ours)?;
            Some((key.kid, parsed))
        };
        let keys: HashMap<String, PublicKey> = set.keys.into_iter().filter_map(key).collect();
        if keys.is_empty() { Err("a set without a key for RS256".to_owned()) } else { Ok(Self(keys)) }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

/// What is known of the keys.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    kept: Option<Kept>,
    /// The last look for keys failed.
    failure: Option<Failure>,
    /// When keys were asked for, the last time, because of one that was not among them.
    unknown_at: Option<Instant>,
}

#[derive(Debug)]
struct Kept {
    keys: KeySet,
    fresh_until: Instant,
    usable_until: Instant,
}

#[derive(Debug)]
struct Failure {
    at: Instant,
    message: String,
}

/// What a look for a key comes to.
#[derive(Clone, Debug)]
pub(super) enum Look {
    /// The key.
    Key(PublicKey),
    /// Ask for keys and look again.
    Fetch,
    /// There is no such key.
    Unknown,
    /// Nobody can tell, for this reason.
    Unavailable(String),
}

impl Keyring {
    /// Looks for the key of that id.
    pub(super) fn look(&self, kid: &str, now: Instant) -> Look {
        let paused = self.failure.as_ref().filter(|failure| now < failure.at + FAILED_PAUSE);
        let Some(kept) = self.kept.as_ref().filter(|kept| now < kept.usable_until) else {
            return paused.map_or(Look::Fetch, |failure| Look::Unavailable(failure.message.clone()));
        };
        if now >= kept.fresh_until && paused.is_none() {
            return Look::Fetch;
        }
        if let Some(key) = kept.keys.0.get(kid) {
            return Look::Key(key.clone());
        }
        let may_ask = self.unknown_at.is_none_or(|at| now >= at + UNKNOWN_PAUSE);
        match &self.failure {
            _ if may_ask && paused.is_none() => Look::Fetch,
            // it may be among those that could not be had
            Some(failure) => Look::Unavailable(failure.message.clone()),
            None => Look::Unknown,
        }
    }

    /// Notes that keys are asked for, for the sake of this id.
    pub(super) fn ask(&mut self, kid: &str, now: Instant) {
        // keys that are fresh are asked for only because this one is not among them
        if self.kept.as_ref().is_some_and(|kept| now < kept.fresh_until && !kept.keys.0.contains_key(kid)) {
            self.unknown_at = Some(now);
        }
    }

    /// Keeps what was asked for, for the sake of this id.
    pub(super) fn keep(&mut self, keys: KeySet, max_age: Option<Duration>, kid: &str, now: Instant) {
        if !keys.0.contains_key(kid) {
            self.unknown_at = Some(now);
        }
        let fresh_until = now + max_age.unwrap_or(KEPT_DEFAULT).clamp(KEPT_MIN, KEPT_MAX);
        self.kept = Some(Kept { keys, fresh_until, usable_until: fresh_until + KEPT_BEYOND_MAX });
        self.failure = None;
    }

    /// Notes that no keys could be had; gives whether known ones serve on.
    pub(super) fn fail(&mut self, message: String, now: Instant) -> bool {
        self.failure = Some(Failure { at: now, message });
        self.kept.as_ref().is_some_and(|kept| now < kept.usable_until)
    }
}

#[cfg(test)]
pub(super) mod tests;
