//! Why a caller is not let in: one precise line for the log, one that gives nothing away for the caller. Pure.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::model::Code;
use crate::server::answer::Answer;

/// The most characters of a text of the caller's that the log repeats.
const SHOWN_CHARS_MAX: usize = 200;

/// A caller that is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Refusal {
    /// Why.
    pub(in crate::server) reason: Reason,
    /// The account that the token names.
    pub(in crate::server) email: Option<Email>,
}

/// An account's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Email {
    /// Google's signature says so.
    Verified(String),
    /// The caller says so, and nobody else.
    Claimed(String),
}

/// Why a caller is not let in. No reason holds the token, or a part of it that is worth anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Reason {
    /// There is no `Authorization`; whether there is an `X-Serverless-Authorization`.
    Missing { elsewhere: bool },
    /// More than one `Authorization`.
    Repeated,
    /// Not `Bearer TOKEN`.
    Scheme,
    /// More bytes than a token may have.
    TooLong { bytes: usize },
    /// Not three parts of base64 with dots in between.
    NotJwt,
    /// Google has taken the signature away.
    SignatureRemoved,
    /// The token's header cannot be read.
    Header(String),
    /// Signed in another way than RS256, or not at all.
    Algorithm(String),
    /// It demands what is not understood (`crit`; RFC 7515, 4.1.11).
    Critical,
    /// It does not name its key.
    NoKid,
    /// None of Google's keys has that id.
    UnknownKid(String),
    /// The signature is not that of the key.
    Signature,
    /// What the token says cannot be read.
    Claims(String),
    /// Made by somebody else.
    Issuer(String),
    /// Made for another service.
    Audience(Vec<String>),
    /// Too old.
    Expired { at: i64, now: Timestamp },
    /// Too young: its `iat` or `nbf` is yet to come.
    NotYet { claim: &'static str, at: i64, now: Timestamp },
    /// It names no account.
    NoEmail,
    /// Google does not vouch for the account's address.
    NotVerified,
    /// The account is not among those that may call.
    NotInvoker,
    /// The keys cannot be had.
    NoKeys(String),
}

/// What a reason comes to for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NoToken,
    BadToken,
    NotAllowed,
    NobodyCanTell,
}

impl Reason {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } => Kind::NoToken,
            Self::NoEmail | Self::NotVerified | Self::NotInvoker => Kind::NotAllowed,
            Self::NoKeys(_) => Kind::NobodyCanTell,
            Self::Repeated
            | Self::Scheme
            | Self::TooLong { .. }
            | Self::NotJwt
            | Self::SignatureRemoved
            | Self::Header(_)
            | Self::Algorithm(_)
            | Self::Critical
            | Self::NoKid
            | Self::UnknownKid(_)
            | Self::Signature
            | Self::Claims(_)
            | Self::Issuer(_)
            | Self::Audience(_)
            | Self::Expired { .. }
            | Self::NotYet { .. } => Kind::BadToken,
        }
    }

    /// The code that people look up, as the answer and the log have it.
    pub(in crate::server) fn code(&self) -> Code {
        match self.kind() {
            Kind::NoToken | Kind::BadToken => Code::AuthToken,
            Kind::NotAllowed => Code::AuthForbidden,
            Kind::NobodyCanTell => Code::AuthKeys,
        }
    }

    /// The answer. What exactly is wrong stays in the log: whoever may know it can read that.
    pub(in crate::server) fn answer(&self) -> Answer {
        match self.kind() {
            // RFC 6750, 3.1: whoever sent no token is told of no error
            Kind::NoToken => {
                Answer::fault(401, self.code(), "no token; send `Authorization: Bearer` with an identity token")
                    .with_challenge("Bearer")
            }
            Kind::BadToken => Answer::fault(401, self.code(), "the token is not accepted; the service's log says why")
                .with_challenge("Bearer error=\"invalid_token\""),
            Kind::NotAllowed => {
                Answer::fault(403, self.code(), "this caller may not start runs; the service's log says why")
            }
            Kind::NobodyCanTell => {
                Answer::fault(503, self.code(), "callers cannot be checked at the moment; try again")
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { elsewhere: false } => f.write_str("the request has no Authorization header"),
            Self::Missing { elsewhere: true } => f.write_str(
                "the request has no Authorization header, and that of X-Serverless-Authorization is for Cloud Run alone, \
                 which takes its signature away; send the token in Authorization too",
            ),
            Self::Repeated => f.write_str("the request has more than one Authorization header"),
            Self::Scheme => f.write_str("Authorization is not `Bearer TOKEN`"),
            Self::TooLong { bytes } => write!(f, "the token has {bytes} bytes, more than any of Google's"),
            Self::NotJwt => f.write_str("the token is no identity token (JWT); an access token does not do"),
            Self::SignatureRemoved => f.write_str(
                "Google has replaced the token's signature (SIGNATURE_REMOVED_BY_GOOGLE), so that nobody can verify it: \
                 Cloud Run checks the callers of this service itself; remove `auth`, or deploy with --no-invoker-iam-check",
            ),
            Self::Header(problem) => write!(f, "the token's header cannot be read: {}", shown(problem)),
            Self::Algorithm(algorithm) => write!(f, "the token's algorithm is {}, not RS256", quoted(algorithm)),
            Self::Critical => f.write_str("the token has critical extensions (`crit`), which none of Google's has"),
            Self::NoKid => f.write_str("the token does not name its key (`kid`)"),
            Self::UnknownKid(kid) => write!(f, "none of the keys at `auth.keys_url` has the token's id {}", quoted(kid)),
            Self::Signature => f.write_str("the token's signature is wrong"),
            Self::Claims(problem) => write!(f, "what the token says cannot be read: {}", shown(problem)),
            Self::Issuer(issuer) => write!(f, "the token's issuer is {}, not Google", quoted(issuer)),
            Self::Audience(audiences) => {
                let theirs: Vec<String> = audiences.iter().map(|audience| quoted(audience)).collect();
                let theirs = shown(&theirs.join(", "));
                write!(f, "the token's audience {theirs} is not one of `auth.audience`, letter for letter")
            }
            Self::Expired { at, now } => write!(f, "the token expired at {}", moment(*at, *now)),
            Self::NotYet { claim, at, now } => {
                write!(f, "the token is of the future (`{claim}`), from {}; is a clock wrong?", moment(*at, *now))
            }
            Self::NoEmail => f.write_str("the token has no `email`: ask for one (gcloud: --include-email)"),
            Self::NotVerified => f.write_str("Google has not verified the token's `email`"),
            Self::NotInvoker => f.write_str("the account is not one of `auth.invokers`"),
            Self::NoKeys(problem) => write!(f, "the keys cannot be fetched: {}", shown(problem)),
        }
    }
}

/// A moment, and how far away it is.
fn moment(at: i64, now: Timestamp) -> String {
    let Ok(at) = Timestamp::from_second(at) else { return format!("second {at}") };
    let apart: SignedDuration = at.duration_since(now);
    let seconds = apart.as_secs().unsigned_abs();
    let apart = if apart.is_negative() { format!("{seconds} s ago") } else { format!("in {seconds} s") };
    format!("{at} ({apart})")
}

/// A text of the caller's, of a length that can be read, on one line.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn quoted(text: &str) -> String {
    format!("{:?}", shown(text))
}
