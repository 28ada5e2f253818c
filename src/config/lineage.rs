//! `lineage`: who is told which tables became which.

use std::time::Duration;

use url::Url;

use super::placeholders::Hidden;
use super::reader::Map;
use super::scalar;
use crate::model::{Lineage, Secret};

/// The namespace of the jobs, unless the settings say it.
const JOB_NAMESPACE_DEFAULT: &str = "highwater";
/// The most time for one event, unless the settings say it.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// A run may wait twice that long.
const TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// The most bytes of a token.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// `lineage: {url, job_namespace, token, timeout}`.
pub(super) fn read(root: &mut Map<'_>) -> Option<Lineage> {
    let mut map = root.map("lineage")?;
    map.hide("url", Hidden::Whole);
    map.hide("token", Hidden::Whole);
    let url = map.required("url", url);
    let token = map.optional("token", token);
    let job_namespace = map.optional("job_namespace", scalar::text);
    let timeout = map.optional("timeout", |text| {
        let timeout = scalar::duration(text)?;
        let fits = (TIMEOUT_MIN..=TIMEOUT_MAX).contains(&timeout);
        if fits { Ok(timeout) } else { Err("must be within 1s and 30s".to_owned()) }
    });
    map.finish();
    Some(Lineage {
        url: url?,
        job_namespace: job_namespace.unwrap_or_else(|| JOB_NAMESPACE_DEFAULT.to_owned()),
        token,
        timeout: timeout.unwrap_or(TIMEOUT_DEFAULT),
    })
}

/// No fault repeats the url.
fn url(text: &str) -> Result<Secret, String> {
    let fault = || "is not a url: say for example `https://marquez.example.com/api/v1/lineage`".to_owned();
    let url = Url::parse(text).map_err(|_invalid| fault())?;
    let local = scalar::is_loopback(&url).ok_or_else(fault)?;
    match url.scheme() {
        "https" => {}
        "http" if local => {}
        _ => return Err("must begin with https://: a token and the names of columns are sent there".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password: say `token`".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

/// No fault repeats the token.
fn token(text: &str) -> Result<Secret, String> {
    let fine = !text.is_empty() && text.len() <= TOKEN_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fine {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err("must be of visible ASCII characters, 8192 at most".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Env};
    use super::*;

    fn parse(lineage: &str) -> Result<Option<Lineage>, String> {
        let text = format!(
            "project: demo\ndataset: d\nbucket: bbb\nsources: {{s: {{url: 'postgres://u@h/d', tables: {{t: {{cursor: c}}}}}}}}\nlineage: {lineage}\n"
        );
        Config::parse(&text, "f.yaml", &Env::default())
            .map(|config| config.lineage)
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn what_it_comes_to() {
        let lineage = Lineage {
            url: Secret::new("https://h/api/v1/lineage".to_owned()),
            job_namespace: "highwater".to_owned(),
            token: None,
            timeout: Duration::from_secs(5),
        };
        assert_eq!(parse("{url: 'https://h/api/v1/lineage'}"), Ok(Some(lineage.clone())));
        let all = Lineage {
            job_namespace: "prod".to_owned(),
            token: Some(Secret::new("abc".to_owned())),
            timeout: Duration::from_secs(10),
            ..lineage
        };
        let text = "{url: 'https://h/api/v1/lineage', job_namespace: prod, token: abc, timeout: 10s}";
        assert_eq!(parse(text), Ok(Some(all)));
        for (text, told) in [
            ("{token: x}", "`url` is missing"),
            ("{url: very-secret}", "lineage.url: is not a url"),
            ("{url: 'http://h/very-secret'}", "must begin with https://"),
            ("{url: 'https://u:very-secret@h/'}", "must not hold a user"),
            ("{url: 'https://h/', token: 'very secret'}", "lineage.token: must be of visible"),
            ("{url: 'https://h/', timeout: 1h}", "within 1s and 30s"),
            ("{url: 'https://h/', tokn: x}", "did you mean `token`?"),
        ] {
            let errors = parse(text).map(|_| String::new()).unwrap_or_else(|errors| errors);
            assert!(errors.contains(told) && !errors.contains("very"), "{text}: {errors}");
        }
    }
}
