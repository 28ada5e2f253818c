//! Which tokens are good, and what is told of each that is not.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use proptest::prelude::*;
use ring::hmac;
use serde_json::json;

use super::super::keys::tests::{key, pair, sign};
use super::*;

/// 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600;
const AUDIENCE: &str = "https://hw.run.app";
const CALLER: &str = "caller@acme.iam.gserviceaccount.com";

fn auth() -> Auth {
    let (audiences, invokers) = (vec!["other".to_owned(), AUDIENCE.to_owned()], vec![CALLER.to_owned()]);
    Auth { audiences, invokers, keys_url: "https://keys.example.com".parse().unwrap() }
}

fn claims() -> Value {
    json!({
        "iss": "https://accounts.google.com", "aud": AUDIENCE, "azp": "1", "sub": "1", "email": CALLER,
        "email_verified": true, "iat": NOW - 60, "exp": NOW + 3540
    })
}

/// The claims with one of them another, or gone where it is NULL.
fn but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn token(header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", encoded(header), encoded(claims));
    let signature = sign(&pair(0), &signed);
    format!("{signed}.{signature}")
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "a", "typ": "JWT"})
}

fn headers(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// Who is calling, or status, reason and account.
fn admit(headers: &HeaderMap) -> Result<String, (u16, String, Option<Email>)> {
    let now = Timestamp::from_second(NOW).unwrap();
    let verified = Token::of(headers).and_then(|token| {
        assert_eq!(token.kid(), "a");
        token.verify(&key(&pair(0)), &auth(), now)
    });
    verified.map_err(|refusal| (refusal.reason.answer().status, refusal.reason.to_string(), refusal.email))
}

fn admit_token(token: &str) -> Result<String, (u16, String, Option<Email>)> {
    admit(&headers(&[&format!("Bearer {token}")]))
}

fn admit_claims(claims: &Value) -> Result<String, (u16, String, Option<Email>)> {
    admit_token(&token(&header(), claims))
}

#[test]
fn good_tokens_are_taken() {
    assert_eq!(admit_claims(&claims()), Ok(CALLER.to_owned()));
    for fine in [
        but("iss", json!("accounts.google.com")),
        but("aud", json!("other")),
        but("aud", json!(["x", AUDIENCE])),
        // clocks may differ a little
        but("exp", json!(NOW - CLOCK_SKEW_MAX + 1)),
        but("iat", json!(NOW + CLOCK_SKEW_MAX)),
        but("nbf", json!(NOW + CLOCK_SKEW_MAX)),
        but("email", json!("Caller@ACME.iam.gserviceaccount.com")),
    ] {
        assert!(admit_claims(&fine).is_ok(), "{fine}");
    }
    let good = token(&header(), &claims());
    for value in [format!("bearer {good}"), format!("BEARER  {good} ")] {
        assert!(admit(&headers(&[&value])).is_ok(), "{value}");
    }
}

#[test]
fn each_claim_that_is_wrong_is_told() {
    let verified = Some(Email::Verified(CALLER.to_owned()));
    for (claims, status, told) in [
        (
            but("iss", json!("https://accounts.example.com")),
            401,
            "issuer is \"https://accounts.example.com\", not Google",
        ),
        (but("iss", json!("https://accounts.google.com/")), 401, "issuer is"),
        (but("aud", json!("https://HW.run.app")), 401, "audience \"https://HW.run.app\" is not one of"),
        (
            but("aud", json!("https://hw.run.app/")),
            401,
            "audience \"https://hw.run.app/\" is not one of `auth.audience`",
        ),
        (but("aud", json!([])), 401, "audience  is not one of"),
        (but("exp", json!(NOW - CLOCK_SKEW_MAX)), 401, "expired at 2025-12-31T23:59:30Z (30 s ago)"),
        (but("exp", json!(i64::MIN)), 401, "expired at second -9223372036854775808"),
        (but("iat", json!(NOW + 31)), 401, "of the future (`iat`), from 2026-01-01T00:00:31Z (in 31 s)"),
        (but("iat", json!(i64::MAX)), 401, "of the future (`iat`)"),
        (but("nbf", json!(NOW + 3600)), 401, "of the future (`nbf`)"),
        (but("email_verified", json!(false)), 403, "has not verified"),
        (but("email_verified", json!(null)), 403, "has not verified"),
    ] {
        let refused = admit_claims(&claims).unwrap_err();
        assert!(refused.0 == status && refused.1.contains(told) && refused.2 == verified, "{claims}: {refused:?}");
    }
    let (status, told, _) = admit_claims(&but("email", json!(null))).unwrap_err();
    assert!(status == 403 && told.contains("has no `email`"), "{told}");
    // the sign of Kelvin becomes a k where it is made small
    for email in
        ["other@acme.iam.gserviceaccount.com", "caller@acme.iam.gserviceaccount.com.evil.example", "", "\u{212a}@a.b"]
    {
        let wanted =
            (403, "the account is not one of `auth.invokers`".to_owned(), Some(Email::Verified(email.to_owned())));
        assert_eq!(admit_claims(&but("email", json!(email))), Err(wanted));
    }
    for claims in [
        but("exp", json!(null)),
        but("exp", json!("1767225600")),
        but("exp", json!(1e300)),
        but("iat", json!(null)),
        but("nbf", json!("0")),
        but("aud", json!(null)),
        but("aud", json!(7)),
        but("iss", json!(null)),
        but("email_verified", json!("true")),
        but("email", json!(["caller@acme.iam.gserviceaccount.com"])),
        json!("claims"),
    ] {
        let (status, told, _) = admit_claims(&claims).unwrap_err();
        assert!(status == 401 && told.contains("what the token says cannot be read"), "{claims}: {told}");
    }
    // twice is not once
    let double = claims().to_string().replacen('{', "{\"email\":\"x@y.z\",", 1);
    let signed = format!("{}.{}", encoded(&header()), URL_SAFE_NO_PAD.encode(double));
    assert!(admit_token(&format!("{signed}.{}", sign(&pair(0), &signed))).unwrap_err().1.contains("duplicate field"));
}

#[test]
fn only_the_signature_of_the_key_is_taken() {
    let good = token(&header(), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let claimed = Some(Email::Claimed(CALLER.to_owned()));
    let wrong = Err((401, "the token's signature is wrong".to_owned(), claimed.clone()));
    let signed = format!("{}.{}", parts[0], parts[1]);
    assert_eq!(admit_token(&format!("{signed}.{}", sign(&pair(1), &signed))), wrong);
    assert_eq!(admit_token(&format!("{signed}.")), wrong);
    assert_eq!(admit_token(&format!("{signed}.{}", sign(&pair(0), &signed[1..]))), wrong);
    let other = encoded(&but("aud", json!("other")));
    assert_eq!(admit_token(&format!("{}.{other}.{}", parts[0], parts[2])), wrong);

    let (status, told, email) = admit_token(&format!("{signed}.{SIGNATURE_REMOVED}")).unwrap_err();
    assert!(status == 401 && told.contains("remove `auth`, or deploy with --no-invoker-iam-check"), "{told}");
    assert_eq!(email, claimed);
}

#[test]
fn no_token_chooses_its_algorithm() {
    let public = pair(0).public().as_ref().to_vec();
    let mac = |secret: &[u8], signed: &str| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        URL_SAFE_NO_PAD.encode(tag)
    };
    let with = |header: Value, signature: &dyn Fn(&str) -> String| {
        let signed = format!("{}.{}", encoded(&header), encoded(&claims()));
        let signature = signature(&signed);
        format!("{signed}.{signature}")
    };
    let none = |_: &str| String::new();
    for algorithm in ["none", "None", "NONE", "", "rs256", "RS512", "PS256", "ES256"] {
        let token = with(json!({"alg": algorithm, "kid": "a"}), &none);
        let told = admit_token(&token).unwrap_err().1;
        assert_eq!(told, format!("the token's algorithm is {algorithm:?}, not RS256"));
    }
    let hs256 = with(json!({"alg": "HS256", "kid": "a"}), &|signed| mac(&public, signed));
    assert!(admit_token(&hs256).unwrap_err().1.contains("algorithm is \"HS256\""));
    // the same that says to be RS256
    let lies = with(header(), &|signed| mac(&public, signed));
    assert!(admit_token(&lies).unwrap_err().1.contains("signature is wrong"));
    for (header, told) in [
        (json!({"alg": "RS256"}), "does not name its key"),
        (json!({"alg": "RS256", "kid": "a", "crit": ["b64"], "b64": false}), "critical extensions"),
        (json!({"kid": "a"}), "header cannot be read: missing field `alg`"),
        (json!({"alg": "RS256", "kid": 7}), "header cannot be read"),
        (json!("RS256"), "header cannot be read"),
    ] {
        assert!(admit_token(&token(&header, &claims())).unwrap_err().1.contains(told), "{header}");
    }
}

#[test]
fn what_is_no_token_is_told() {
    let good = token(&header(), &claims());
    let long = format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX));
    for (values, told) in [
        (vec![], "has no Authorization header"),
        (vec![format!("Bearer {good}"), format!("Bearer {good}")], "more than one Authorization"),
        (vec!["Bearer".to_owned()], "is not `Bearer TOKEN`"),
        (vec!["Bearer ".to_owned()], "is not `Bearer TOKEN`"),
        (vec![good.clone()], "is not `Bearer TOKEN`"),
        (vec!["Basic dXNlcjpwYXNz".to_owned()], "is not `Bearer TOKEN`"),
        (vec!["Bearer ya29.a0AfH6SMB".to_owned()], "is no identity token (JWT); an access token does not do"),
        (vec!["Bearer x".to_owned()], "is no identity token"),
        (vec![format!("Bearer {good}.x")], "is no identity token"),
        (vec![format!("Bearer {}", good.replace('.', ".."))], "is no identity token"),
        (vec![format!("Bearer {good}=")], "is no identity token"),
        (vec![format!("Bearer {good} {good}")], "is no identity token"),
        (vec![format!("Bearer {long}")], "bytes, more than any of Google's"),
    ] {
        let headers = headers(&values.iter().map(String::as_str).collect::<Vec<_>>());
        let (status, said, _) = admit(&headers).unwrap_err();
        assert!(status == 401 && said.contains(told), "{values:?}: {said}");
        assert!(!said.contains("dXNl") && !said.contains("ya29") && !said.contains("eyJ"), "{said}");
    }
    let mut elsewhere = HeaderMap::new();
    elsewhere.insert(OF_CLOUD_RUN, HeaderValue::from_str(&format!("Bearer {good}")).unwrap());
    assert!(admit(&elsewhere).unwrap_err().1.contains("X-Serverless-Authorization is for Cloud Run alone"));
}

#[test]
fn what_the_log_repeats_is_one_short_line() {
    let evil = format!("a\nb\u{1b}[31m{}", "x".repeat(5000));
    for claims in
        [but("iss", json!(evil)), but("aud", json!([evil, evil])), but("email", json!(evil)), but("exp", json!(evil))]
    {
        let (_, told, email) = admit_claims(&claims).unwrap_err();
        let email = format!("{email:?}");
        for line in [told, email] {
            assert!(line.len() < 700 && !line.chars().any(char::is_control), "{line}");
        }
    }
    let (_, told, _) = admit_token(&token(&json!({"alg": evil, "kid": "a"}), &claims())).unwrap_err();
    assert!(told.len() < 700 && !told.chars().any(char::is_control), "{told}");
}

#[test]
fn the_caller_is_told_no_more_than_that_and_the_header_says_which_token() {
    let missing = Reason::Missing { elsewhere: false }.answer();
    assert_eq!((missing.status, missing.challenge, missing.retry), (401, Some("Bearer"), false));
    let audience = Reason::Audience(vec!["theirs".to_owned()]).answer();
    assert_eq!((audience.status, audience.challenge), (401, Some("Bearer error=\"invalid_token\"")));
    assert_eq!(
        audience.body,
        "{\"error\":\"the token is not accepted; the service's log says why\",\"code\":\"HW-AUTH-TOKEN\"}"
    );
    let other = Reason::NotInvoker.answer();
    assert_eq!((other.status, other.challenge, other.retry), (403, None, false));
    let no_keys = Reason::NoKeys("10.0.0.1".to_owned()).answer();
    assert_eq!((no_keys.status, no_keys.challenge, no_keys.retry), (503, None, true));
    assert!(!no_keys.body.contains("10.0.0.1"));
}

proptest! {
    #[test]
    fn no_header_panics(value in "[ -~]{0,300}", one in any::<Vec<u8>>(), two in any::<Vec<u8>>()) {
        drop(admit(&headers(&[&value])));
        let [one, two] = [one, two].map(|part| URL_SAFE_NO_PAD.encode(part));
        let token = format!("{one}.{two}.{one}");
        prop_assert!(admit_token(&token).is_err());
    }

    #[test]
    fn no_changed_token_is_taken(at in any::<prop::sample::Index>(), byte in "[A-Za-z0-9_-]") {
        let good = token(&header(), &claims());
        let at = at.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(at..=at, &byte);
        if changed != good {
            // another header may name another key
            let headers = headers(&[&format!("Bearer {changed}")]);
            let now = Timestamp::from_second(NOW).unwrap();
            let taken = Token::of(&headers).and_then(|token| token.verify(&key(&pair(0)), &auth(), now));
            prop_assert!(taken.is_err(), "{}", changed);
        }
    }
}
