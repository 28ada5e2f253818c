//! Who may import whom: the rules of the house, held against the code.

use std::path::{Path, PathBuf};

use crate::support::{Test, pure};

pub fn tests() -> Vec<Test> {
    vec![
        pure("architecture::imports_keep_the_rules", imports),
        pure("architecture::planted_violations_are_caught", planted),
        pure("architecture::one_tls_provider", one_tls),
    ]
}

const PURE: [&str; 7] = ["audit", "encode", "gzip", "mapping", "page", "plan", "report"];
const BACKENDS: [&str; 5] = ["postgres", "mysql", "gcs", "memory", "bigquery"];

/// The violations of one file: `room` is its module at the top, `text` its code.
fn violations(room: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    for path in paths(code) {
        let to = path.split("::").next().unwrap_or_default();
        let mut wrong = |why: &str| found.push(format!("{room}: crate::{path}: {why}"));
        if to == room {
            continue;
        }
        if room == "model" {
            wrong("model imports nothing of ours");
        }
        if PURE.contains(&room) && to != "model" && !PURE.contains(&to) {
            wrong("a pure room imports model and pure rooms only");
        }
        if room == "report" && to == "plan" {
            wrong("report does not look at plan");
        }
        if ["bucket", "source", "warehouse"].contains(&room) && ["bucket", "source", "warehouse", "state"].contains(&to)
        {
            wrong("adapters do not import each other");
        }
        if room == "state" && ["source", "warehouse"].contains(&to) {
            wrong("state uses the bucket alone");
        }
        if room == "engine" && path.split("::").any(|part| BACKENDS.contains(&part)) {
            wrong("the engine names no backend");
        }
        if ["app", "server", "cli"].contains(&to) && !["app", "server", "cli"].contains(&room) {
            wrong("nothing below imports the doors");
        }
    }
    let outside = ["sqlx::", "tokio::", "reqwest::", "std::fs", "std::net", "hyper::"];
    if PURE.contains(&room) || room == "model" {
        for name in outside.iter().filter(|name| code.contains(*name)) {
            found.push(format!("{room}: {name} in a pure room"));
        }
    }
    if room != "config" && code.contains("std::env::") {
        found.push(format!("{room}: only config reads the environment"));
    }
    found
}

/// Every path that follows `crate::`, with groups taken apart one level.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let inner = group.split('}').next().unwrap_or_default();
            paths.extend(inner.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()));
        } else {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
            paths.push(rest[..end].trim_end_matches(':').to_owned());
        }
    }
    paths
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn imports() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&source, &mut all);
    assert!(all.len() > 40, "only {} files were found", all.len());
    let mut found = Vec::new();
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        let inside = path.strip_prefix(&source).unwrap().to_string_lossy().into_owned();
        let room = inside.split(['/', '.']).next().unwrap().to_owned();
        assert!(text.starts_with("//!"), "{inside} does not say what it owns");
        found.extend(violations(&room, &text).into_iter().map(|line| format!("{inside}: {line}")));
    }
    assert_eq!(found, Vec::<String>::new());
}

fn planted() {
    for (room, text) in [
        ("model", "use crate::plan::X;"),
        ("plan", "use crate::source::X;"),
        ("encode", "use tokio::time;"),
        ("bucket", "use crate::warehouse::X;"),
        ("source", "use crate::{model::X, state::Y};"),
        ("engine", "use crate::source::postgres::X;"),
        ("engine", "use crate::app::App;"),
        ("state", "let x = crate::warehouse::f();"),
        ("net", "std::env::var(\"X\")"),
    ] {
        assert!(!violations(room, text).is_empty(), "{room}: {text}");
    }
    for (room, text) in
        [("engine", "use crate::source::Source;"), ("plan", "use crate::model::X;"), ("state", "use crate::bucket::X;")]
    {
        assert_eq!(violations(room, text), Vec::<String>::new());
    }
}

/// One provider of TLS in the tree: ring, under rustls.
fn one_tls() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let has = |name: &str| lock.contains(&format!("name = \"{name}\"\n"));
    assert!(has("ring") && has("rustls"));
    for other in ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "boring", "mbedtls"] {
        assert!(!has(other), "{other} is in the tree");
    }
}
