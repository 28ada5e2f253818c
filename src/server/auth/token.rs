//! An identity token as a request brings it, and whether it is one of Google's for this service and its callers. Pure.
//!
//! The algorithm is ours to say: RS256 by the primitive of [`PublicKey`]. No comparison here has to take constant time:
//! the signature is verified with a public key, and issuer, audience and accounts, which are no secrets, are compared
//! only after it held. Somebody who learned them from the time that it takes would have learned what they may ask.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::keys::PublicKey;
use super::refusal::{Email, Reason, Refusal, shown};
use crate::config::Auth;

/// The most bytes of a token. Google's have about a thousand.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// How much the clock of this machine and Google's may differ, in seconds.
const CLOCK_SKEW_MAX: i64 = 30;
/// The issuer of Google's tokens: "Validating an ID token" of "OpenID Connect" names both forms.
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// What Cloud Run puts in a signature's place: "Identity token signature redacted by Google" of "Troubleshoot Cloud Run
/// issues".
const SIGNATURE_REMOVED: &str = "SIGNATURE_REMOVED_BY_GOOGLE";
/// Where Cloud Run looks first for the token of its own check, whose signature it removes: "Authenticating
/// service-to-service".
const OF_CLOUD_RUN: &str = "x-serverless-authorization";

/// A token whose form is right. Nothing that it says is to be believed before [`Token::verify`].
pub(super) struct Token<'a> {
    kid: String,
    /// What is signed.
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: OneOrMany,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    email: Option<String>,
    email_verified: Option<bool>,
}

/// RFC 7519, 4.1.3.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Claimed {
    email: Option<String>,
}

impl<'a> Token<'a> {
    /// The token of a request.
    ///
    /// # Errors
    /// There is none, or it is no token that could be one of Google's.
    pub(super) fn of(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let token = bearer(headers).map_err(|reason| Refusal { reason, email: None })?;
        Self::parse(token).map_err(|reason| Refusal { reason, email: claimed(token.split('.').nth(1)) })
    }

    fn parse(token: &'a str) -> Result<Self, Reason> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Reason::TooLong { bytes: token.len() });
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Reason::NotJwt)?;
        let (header, claims) =
            signed.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or(Reason::NotJwt)?;
        let decoded = URL_SAFE_NO_PAD.decode(header).map_err(|_invalid| Reason::NotJwt)?;
        if signature == SIGNATURE_REMOVED {
            return Err(Reason::SignatureRemoved);
        }
        let header: Header = serde_json::from_slice(&decoded).map_err(|error| Reason::Header(error.to_string()))?;
        if header.alg != "RS256" {
            return Err(Reason::Algorithm(header.alg));
        }
        if header.crit.is_some() {
            return Err(Reason::Critical);
        }
        let kid = header.kid.ok_or(Reason::NoKid)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_invalid| Reason::NotJwt)?;
        Ok(Self { kid, signed, claims, signature })
    }

    /// The id of the key that it says to be signed with.
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// The account that it names, which nobody has verified.
    pub(super) fn claimed(&self) -> Option<Email> {
        claimed(Some(self.claims))
    }

    /// The account that Google says to be calling, if it may call.
    ///
    /// # Errors
    /// The token is not Google's, not for this service or not valid now, or the account may not call.
    pub(super) fn verify(&self, key: &PublicKey, auth: &Auth, now: Timestamp) -> Result<String, Refusal> {
        if !key.verifies(self.signed.as_bytes(), &self.signature) {
            return Err(Refusal { reason: Reason::Signature, email: self.claimed() });
        }
        let claims = self.claims().map_err(|reason| Refusal { reason, email: self.claimed() })?;
        match check(&claims, auth, now) {
            Ok(()) => Ok(claims.email.unwrap_or_default()),
            Err(reason) => Err(Refusal { reason, email: claims.email.map(|email| Email::Verified(shown(&email))) }),
        }
    }

    fn claims(&self) -> Result<Claims, Reason> {
        let fault = |problem: &dyn std::fmt::Display| Reason::Claims(problem.to_string());
        let bytes = URL_SAFE_NO_PAD.decode(self.claims).map_err(|error| fault(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| fault(&error))
    }
}

/// The one token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Result<&str, Reason> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let elsewhere = headers.contains_key(OF_CLOUD_RUN);
    let value: &HeaderValue = values.next().ok_or(Reason::Missing { elsewhere })?;
    if values.next().is_some() {
        return Err(Reason::Repeated);
    }
    let text = value.to_str().map_err(|_not_text| Reason::Scheme)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => Ok(token.trim()),
        _ => Err(Reason::Scheme),
    }
}

/// What may be believed of a token whose signature held.
fn check(claims: &Claims, auth: &Auth, now: Timestamp) -> Result<(), Reason> {
    if !ISSUERS.contains(&claims.iss.as_str()) {
        return Err(Reason::Issuer(claims.iss.clone()));
    }
    let audiences = match &claims.aud {
        OneOrMany::One(audience) => std::slice::from_ref(audience),
        OneOrMany::Many(audiences) => audiences,
    };
    if !audiences.iter().any(|audience| auth.audiences.contains(audience)) {
        return Err(Reason::Audience(audiences.to_vec()));
    }
    let second = now.as_second();
    if claims.exp.saturating_add(CLOCK_SKEW_MAX) <= second {
        return Err(Reason::Expired { at: claims.exp, now });
    }
    for (claim, at) in [("iat", Some(claims.iat)), ("nbf", claims.nbf)] {
        if let Some(at) = at.filter(|at| at.saturating_sub(CLOCK_SKEW_MAX) > second) {
            return Err(Reason::NotYet { claim, at, now });
        }
    }
    let email = claims.email.as_deref().ok_or(Reason::NoEmail)?;
    if claims.email_verified != Some(true) {
        return Err(Reason::NotVerified);
    }
    // Google's accounts do not differ by case. No letters but those of ASCII are alike here: of others, some become ASCII
    // when they are made small
    match auth.invokers.iter().any(|invoker| invoker.eq_ignore_ascii_case(email)) {
        true => Ok(()),
        false => Err(Reason::NotInvoker),
    }
}

/// The account that the claims name, whoever made them.
fn claimed(claims: Option<&str>) -> Option<Email> {
    let claims = claims.filter(|claims| claims.len() <= TOKEN_BYTES_MAX)?;
    let claimed: Claimed = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    claimed.email.map(|email| Email::Claimed(shown(&email)))
}

#[cfg(test)]
mod tests;
