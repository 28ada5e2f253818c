//! Logins, and the variables that a source wants.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::config::Config;

const BASE: &str = "project: p\ndataset: d\nbucket: acme-highwater\n";

fn env() -> Env {
    Env::new(Vec::<(String, String)>::new())
}

fn source(tables: &str) -> String {
    format!("{BASE}sources:\n  s:\n    url: mysql://u:${{PW}}@10.0.0.5/db\n    tables:\n{tables}")
}

#[test]
fn logins_by_iam_go_over_verified_tls_or_a_socket() {
    for rest in [
        "url: 'postgres://hw%40acme.iam@10.0.0.5/app', login: iam",
        "url: 'mysql://hw@10.0.0.5/app', login: iam, tls: { mode: verify-ca }",
        "url: 'postgres://hw%40acme.iam@/app?host=/cloudsql/acme:europe-west3:shop', login: iam",
        "url: 'mysql://hw@/app?socket=/cloudsql/acme:europe-west3:shop', login: iam",
    ] {
        let text = format!("{BASE}sources: {{ s: {{ {rest}, tables: {{ t: {{ mode: replace }} }} }} }}");
        let config = Config::parse(&text, "f.yaml", &env()).unwrap();
        let connection = &config.sources[0].connection;
        assert_eq!((connection.login, &connection.password), (Login::Iam, &None), "{rest}");
    }
}

#[test]
fn variables_that_are_not_set_are_told_by_name() {
    let text = source("      t: {mode: replace, where: '${A} ${B}', target: '${C_1}'}");
    let errors = Config::parse(&text, "f.yaml", &env()).unwrap_err();
    let names: Vec<Option<String>> = errors.unset().into_iter().map(|(_, name)| name).collect();
    let mut told: Vec<String> = names.into_iter().flatten().collect();
    told.sort();
    assert_eq!(told, ["A", "C_1", "PW"]);
    let other = Config::parse(&source("      t: 5").replace("${PW}", "x"), "f.yaml", &env()).unwrap_err();
    assert!(other.unset().iter().all(|(_, name)| name.is_none()));
}
