//! The settings of who may call the service: `auth: {audience, invokers, keys_url}`. Without them nobody is checked here.

use url::Url;

use super::reader::Map;
use super::scalar;
use crate::model::Code;

/// Where Google publishes the keys that its identity tokens are signed with: the `jwks_uri` of
/// <https://accounts.google.com/.well-known/openid-configuration>.
const KEYS_URL: &str = "https://www.googleapis.com/oauth2/v3/certs";
/// The most audiences.
const AUDIENCES_MAX: usize = 20;
/// The most bytes of an audience; addresses of services have less than 200.
const AUDIENCE_BYTES_MAX: usize = 500;
/// The most accounts that may call.
const INVOKERS_MAX: usize = 100;
/// The most bytes of an address of mail (RFC 5321, 4.5.3.1.3, less its angle brackets).
const EMAIL_BYTES_MAX: usize = 254;

/// Who may call the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// What tokens must be for; at least one.
    pub audiences: Vec<String>,
    /// The addresses of the accounts that may call, in small letters; at least one.
    pub invokers: Vec<String>,
    /// Where the keys are that tokens are signed with, as a JSON Web Key Set.
    pub keys_url: Url,
}

/// `auth: {audience: TEXT or [TEXT …], invokers: [EMAIL …], keys_url: URL}`.
pub(super) fn read(root: &mut Map<'_>) -> Option<Auth> {
    if root.is_null("auth") {
        // an empty value must not come to a service that is open
        root.fault(
            Code::ConfigMissing,
            "auth",
            "is empty; name `audience` and `invokers`, or remove the key, and nobody is checked here",
        );
    }
    let mut map = root.map("auth")?;
    if map.is_broken() {
        return None;
    }
    for key in ["audience", "invokers"].into_iter().filter(|key| !map.has(key)) {
        map.fault(
            Code::ConfigMissing,
            key,
            &format!("`{key}` is missing, and without it no token can be checked; add it"),
        );
    }
    let audiences = map.list("audience", audience);
    let invokers = map.list("invokers", email);
    let counts = [("audience", audiences.as_ref(), AUDIENCES_MAX), ("invokers", invokers.as_ref(), INVOKERS_MAX)];
    for (key, values, max) in counts {
        if values.is_some_and(|values| values.len() > max) {
            map.fault(Code::ConfigValue, key, &format!("has more than {max} entries"));
        }
    }
    let keys_url = map.optional("keys_url", keys_url).or_else(|| Url::parse(KEYS_URL).ok());
    map.finish();
    Some(Auth { audiences: audiences?, invokers: invokers?, keys_url: keys_url? })
}

fn audience(text: &str) -> Result<String, String> {
    let told = "say the one that tokens are made for, as the schedule or subscription names it: \
                https://highwater-….run.app";
    if text.trim().is_empty() {
        return Err(format!("must not be empty: {told}"));
    }
    if text.len() > AUDIENCE_BYTES_MAX || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("{text:?} is not an audience, which has no spaces and at most 500 bytes: {told}"));
    }
    Ok(text.to_owned())
}

/// An address in small letters: Google's are compared so.
fn email(text: &str) -> Result<String, String> {
    let fault =
        || format!("{text:?} is not an account's address; say for example NAME@PROJECT.iam.gserviceaccount.com");
    if text.starts_with("all") && !text.contains('@') {
        return Err(format!(
            "{text:?} is nobody's address; name accounts, or remove `auth`, and nobody is checked here"
        ));
    }
    if let Some((_, address)) = text.split_once(':').filter(|(kind, _)| kind.bytes().all(|b| b.is_ascii_alphabetic())) {
        return Err(format!("{text:?} is a member as IAM writes it; say the address alone, {address:?}"));
    }
    let (name, domain) = text.split_once('@').ok_or_else(fault)?;
    let plain = |part: &str, more: &[u8]| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    let fine = plain(name, b".!#$%&'*+/=?^_`{|}~-") && plain(domain, b".-") && domain.contains('.');
    if !fine || text.len() > EMAIL_BYTES_MAX {
        return Err(fault());
    }
    Ok(text.to_ascii_lowercase())
}

/// Who answers at the address decides whose tokens are good, so nobody in between may.
fn keys_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_invalid| format!("{text:?} is not a url; say for example {KEYS_URL}"))?;
    match (url.scheme(), scalar::is_loopback(&url)) {
        ("https", Some(_)) | ("http", Some(true)) => {}
        _ => return Err(format!("{text:?} must begin with https://: who gives the keys decides who may call")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("may hold no user and password: keys are public, and are asked for without them".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::config::{Config, Env};

    const BASE: &str = "project: p\ndataset: d\nbucket: acme-highwater\n\
                        sources: { s: { url: 'mysql://u:pw@10.0.0.5/db', tables: { t: { mode: replace } } } }\n";

    fn parse(more: &str) -> Result<Option<Auth>, String> {
        let env =
            Env::new([("URL", "https://hw.run.app"), ("SECRET", "pw very-secret")].map(|(n, v)| (n.into(), v.into())));
        let config = Config::parse(&format!("{BASE}{more}"), "f.yaml", &env);
        config.map(|config| config.auth).map_err(|errors| errors.to_string())
    }

    #[test]
    fn audience_and_invokers_make_the_check() {
        assert_eq!(parse(""), Ok(None));
        let auth =
            parse("auth: { audience: '${URL}', invokers: [Caller@Acme.iam.gserviceaccount.com] }").unwrap().unwrap();
        assert_eq!(auth.audiences, ["https://hw.run.app"]);
        assert_eq!(auth.invokers, ["caller@acme.iam.gserviceaccount.com"]);
        assert_eq!(auth.keys_url.as_str(), KEYS_URL);
        let more = "auth: { audience: [a, b], invokers: x@y.z, keys_url: 'http://127.0.0.1:80/keys' }";
        let auth = parse(more).unwrap().unwrap();
        assert_eq!(
            (auth.audiences.len(), auth.invokers.len(), auth.keys_url.port_or_known_default()),
            (2, 1, Some(80))
        );
    }

    #[test]
    fn variables_of_the_check_do_not_leave_a_file_open() {
        let named = |name: &str| Env::new([(name.to_owned(), "https://hw.run.app".to_owned())]);
        let told = |name: &str, more: &str| {
            let read = Config::parse(&format!("{BASE}{more}"), "f.yaml", &named(name));
            read.map(|config| config.auth.is_some()).map_err(|errors| errors.to_string())
        };
        for name in ["HIGHWATER_AUTH_AUDIENCE", "HIGHWATER_AUTH_INVOKER"] {
            let fault = told(name, "").unwrap_err();
            assert!(fault.starts_with(&format!("{name}: is set, and f.yaml says nothing of `auth`")), "{fault}");
        }
        let filled = "auth: { audience: '${HIGHWATER_AUTH_AUDIENCE}', invokers: x@y.z }";
        assert_eq!(told("HIGHWATER_AUTH_AUDIENCE", filled), Ok(true));
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_way_out() {
        let with = |audience: &str, invokers: &str| format!("auth: {{ audience: {audience}, invokers: {invokers} }}");
        let url = |url: &str| format!("auth: {{ audience: a, invokers: x@y.z, keys_url: '{url}' }}");
        let table = [
            ("auth:".to_owned(), "f.yaml:5:1: auth: is empty; name `audience` and `invokers`, or remove the key"),
            ("auth: true".into(), "f.yaml:5:7: auth: must be a mapping"),
            ("auth: {}".into(), "auth.audience: `audience` is missing"),
            ("auth: { audience: a }".into(), "f.yaml:5:7: auth.invokers: `invokers` is missing"),
            (with("''", "x@y.z"), "f.yaml:5:19: auth.audience: must not be empty"),
            (with("[]", "x@y.z"), "auth.audience: the list is empty"),
            (with("[a, '']", "x@y.z"), "auth.audience: must not be empty"),
            (with("'${SECRET}'", "x@y.z"), "\"${SECRET}\" is not an audience"),
            (with("{a: b}", "x@y.z"), "auth.audience: must be a value or a list"),
            (with("a", "[]"), "f.yaml:5:32: auth.invokers: the list is empty"),
            (with("a", "[x@y.z, nobody]"), "f.yaml:5:40: auth.invokers: \"nobody\" is not an account's address; say"),
            (with("a", "[x@y.z, 'a b@y.z']"), "\"a b@y.z\" is not an account's address"),
            (with("a", "['x@y@z.a']"), "is not an account's address"),
            (with("a", "['\u{fc}@y.z']"), "is not an account's address"),
            (with("a", "['serviceAccount:x@y.z']"), "say the address alone, \"x@y.z\""),
            (with("a", "[allUsers]"), "\"allUsers\" is nobody's address"),
            (with("a", "['${SECRET}']"), "\"${SECRET}\" is not an account's address"),
            (url("http://keys.example.com/"), "must begin with https://"),
            (url("http://10.0.0.1/"), "must begin with https://"),
            (url("file:///keys"), "must begin with https://"),
            (url("keys"), "is not a url; say"),
            (url("https://u:p@keys.example.com/"), "may hold no user and password"),
            ("auth: { audience: a, invokers: x@y.z, issuer: i }".into(), "auth.issuer: unknown key"),
        ];
        for (more, told) in table {
            let faults = parse(&more).unwrap_err();
            assert!(faults.contains(told) && !faults.contains("very-secret"), "{more}: {faults}");
        }
        let many: String = (0..=INVOKERS_MAX).map(|number| format!("x{number}@y.z, ")).collect();
        assert!(parse(&with("a", &format!("[{many}]"))).unwrap_err().contains("has more than 100 entries"));
    }
}
