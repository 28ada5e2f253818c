//! Sets of keys, when they serve, and when others are asked for; and the keys of the other tests.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::json;

use super::*;

/// Key pairs that are in the repository for the tests, and used for nothing else.
const PAIRS: [&str; 2] =
    [include_str!("../../../../tests/auth/test-key-1.pem"), include_str!("../../../../tests/auth/test-key-2.pem")];

/// A key pair of the tests'.
pub(in crate::server::auth) fn pair(number: usize) -> RsaKeyPair {
    let base64: String = PAIRS[number].lines().filter(|line| !line.starts_with('-')).collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(base64).unwrap()).unwrap()
}

/// A signature in base64url.
pub(in crate::server::auth) fn sign(pair: &RsaKeyPair, message: &str) -> String {
    let mut signature = vec![0; pair.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
    URL_SAFE_NO_PAD.encode(signature)
}

/// The pair's public key as a set has it.
pub(in crate::server::auth) fn jwk(pair: &RsaKeyPair, kid: &str) -> Value {
    let public: RsaPublicKeyComponents<Vec<u8>> = pair.public().into();
    let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
    json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": n, "e": e})
}

/// A set of these keys.
pub(in crate::server::auth) fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// The only key of a set.
pub(in crate::server::auth) fn key(pair: &RsaKeyPair) -> PublicKey {
    set(&[jwk(pair, "a")]).0.remove("a").unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

fn ids(ids: &[&str]) -> KeySet {
    let pair = pair(0);
    set(&ids.iter().map(|id| jwk(&pair, id)).collect::<Vec<_>>())
}

/// What a look comes to, in a word.
fn look(ring: &Keyring, kid: &str, now: Instant) -> &'static str {
    match ring.look(kid, now) {
        Look::Key(_) => "key",
        Look::Fetch => "fetch",
        Look::Unknown => "unknown",
        Look::Unavailable(_) => "unavailable",
    }
}

#[test]
fn sets_are_read_and_what_is_for_others_is_passed_over() {
    let (one, two) = (pair(0), pair(1));
    let with = |name: &str, value: Value| {
        let mut key = jwk(&one, name);
        key[name] = value;
        key
    };
    let others = [
        with("kty", json!("EC")),
        with("alg", json!("HS256")),
        with("alg", json!("RS512")),
        with("use", json!("enc")),
        with("n", json!("AQAB")),
        with("n", json!("not base64!")),
        with("n", json!(URL_SAFE_NO_PAD.encode([255; 1025]))),
        with("e", json!("")),
        with("e", json!(URL_SAFE_NO_PAD.encode([1; 9]))),
        with("kid", json!(7)),
        json!({"kty": "oct", "kid": "k", "k": "AAAA"}),
        json!(null),
    ];
    for other in &others {
        let told = KeySet::parse(json!({"keys": [other]}).to_string().as_bytes()).unwrap_err();
        assert_eq!(told, "a set without a key for RS256", "{other}");
    }
    let mut all = others.to_vec();
    all.push(jwk(&two, "b"));
    assert_eq!(set(&all).0.keys().collect::<Vec<_>>(), ["b"]);
    for bad in ["", "{}", "[]", "<html>", r#"{"keys": {}}"#, r#"{"keys": []}"#] {
        assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let many: Vec<Value> = (0..=KEYS_MAX).map(|number| jwk(&one, &number.to_string())).collect();
    assert!(KeySet::parse(json!({ "keys": many }).to_string().as_bytes()).unwrap_err().contains("more than 100"));
}

#[test]
fn a_key_verifies_what_its_pair_has_signed_and_nothing_else() {
    let (one, two) = (pair(0), pair(1));
    let decoded = |signature: String| URL_SAFE_NO_PAD.decode(signature).unwrap();
    let signature = decoded(sign(&one, "message"));
    assert!(key(&one).verifies(b"message", &signature));
    assert!(!key(&two).verifies(b"message", &signature));
    assert!(!key(&one).verifies(b"massage", &signature));
    assert!(!key(&one).verifies(b"message", &signature[1..]));
    assert!(!key(&one).verifies(b"message", b""));
    // a number may begin with zeros, as some write it
    let mut padded = jwk(&one, "a");
    let public: RsaPublicKeyComponents<Vec<u8>> = one.public().into();
    padded["n"] = json!(URL_SAFE_NO_PAD.encode([&[0], public.n.as_slice()].concat()));
    assert!(set(&[padded]).0["a"].verifies(b"message", &signature));
}

#[test]
fn keys_serve_as_long_as_they_may_be_kept_within_limits() {
    let begun = Instant::now();
    for (max_age, kept) in
        [(Some(0), KEPT_MIN), (Some(3600), 3600 * SECOND), (Some(u64::MAX), KEPT_MAX), (None, KEPT_DEFAULT)]
    {
        let mut ring = Keyring::default();
        assert_eq!(look(&ring, "a", begun), "fetch");
        ring.ask("a", begun);
        ring.keep(ids(&["a"]), max_age.map(Duration::from_secs), "a", begun);
        assert_eq!(look(&ring, "a", begun + kept - SECOND), "key", "{max_age:?}");
        assert_eq!(look(&ring, "a", begun + kept), "fetch", "{max_age:?}");
    }
}

#[test]
fn an_unknown_key_is_asked_for_once_a_minute() {
    let mut now = Instant::now();
    let mut ring = Keyring::default();
    ring.ask("a", now);
    ring.keep(ids(&["a"]), Some(3600 * SECOND), "a", now);
    // a key that came since: at once
    assert_eq!(look(&ring, "b", now), "fetch");
    ring.ask("b", now);
    ring.keep(ids(&["b"]), Some(3600 * SECOND), "b", now);
    assert_eq!((look(&ring, "b", now), look(&ring, "a", now)), ("key", "unknown"));
    let mut asked = 0;
    for number in 0..600 {
        let kid = format!("made up {number}");
        if look(&ring, &kid, now) == "fetch" {
            asked += 1;
            ring.ask(&kid, now);
            ring.keep(ids(&["b"]), Some(3600 * SECOND), &kid, now);
        }
        assert_eq!(look(&ring, &kid, now), "unknown");
        now += SECOND;
    }
    assert_eq!(asked, 9);
    // the first set of all does not have it: that was the look for this minute
    let mut ring = Keyring::default();
    ring.ask("z", now);
    ring.keep(ids(&["a"]), None, "z", now);
    assert_eq!((look(&ring, "z", now), look(&ring, "z", now + 59 * SECOND)), ("unknown", "unknown"));
    assert_eq!(look(&ring, "z", now + 60 * SECOND), "fetch");
}

#[test]
fn known_keys_serve_on_while_no_others_can_be_had_and_not_for_ever() {
    let begun = Instant::now();
    let mut ring = Keyring::default();
    ring.ask("a", begun);
    assert!(!ring.fail("down".to_owned(), begun));
    assert_eq!(look(&ring, "a", begun + SECOND), "unavailable");
    assert_eq!(look(&ring, "a", begun + FAILED_PAUSE), "fetch");
    ring.keep(ids(&["a"]), Some(60 * SECOND), "a", begun);
    let stale = begun + 60 * SECOND;
    assert_eq!(look(&ring, "a", stale), "fetch");
    ring.ask("a", stale);
    assert!(ring.fail("down".to_owned(), stale));
    assert_eq!((look(&ring, "a", stale), look(&ring, "b", stale)), ("key", "unavailable"));
    // asked for again after a while, for the known and the unknown
    let again = stale + FAILED_PAUSE;
    assert_eq!((look(&ring, "a", again), look(&ring, "b", again)), ("fetch", "fetch"));
    let last = stale + KEPT_BEYOND_MAX;
    assert!(ring.fail("down".to_owned(), last - SECOND));
    assert_eq!((look(&ring, "a", last - SECOND), look(&ring, "a", last)), ("key", "unavailable"));
    assert!(!ring.fail("down".to_owned(), last));
    // back again
    ring.keep(ids(&["b"]), Some(60 * SECOND), "b", last);
    assert_eq!(look(&ring, "b", last), "key");
}

#[test]
fn an_unknown_key_is_nobodys_fault_while_keys_cannot_be_had() {
    let begun = Instant::now();
    let mut ring = Keyring::default();
    ring.keep(ids(&["a"]), Some(3600 * SECOND), "a", begun);
    assert_eq!(look(&ring, "b", begun), "fetch");
    ring.ask("b", begun);
    assert!(ring.fail("down".to_owned(), begun));
    // keys that are fresh serve; whether the other is one cannot be told for a minute
    for (after, b) in [(0, "unavailable"), (59, "unavailable"), (60, "fetch")] {
        let now = begun + after * SECOND;
        assert_eq!((look(&ring, "a", now), look(&ring, "b", now)), ("key", b), "{after}");
    }
}

proptest! {
    #[test]
    fn no_set_panics(body in any::<Vec<u8>>(), n in any::<Vec<u8>>(), e in any::<Vec<u8>>()) {
        drop(KeySet::parse(&body));
        let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
        let key = json!({"keys": [{"kty": "RSA", "kid": "a", "n": n, "e": e}]});
        drop(KeySet::parse(key.to_string().as_bytes()).map(|set| set.0["a"].verifies(b"m", &[0; 256])));
    }
}
