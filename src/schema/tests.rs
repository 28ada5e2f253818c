//! The schema and the reader have the same keys.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::config::{Config, Env};

/// A key that the reader does not know in any mapping that it has; too long to be alike to one that it knows.
fn stray() -> String {
    "z".repeat(65)
}

/// Documents with every mapping that there is, each with a stray key, and where in the schema it is described.
fn documents() -> Vec<(String, Vec<(&'static str, &'static str)>)> {
    let stray = format!("{}: 1", stray());
    let shared = "deletes: {mode: none, Z}, unrepresentable: {Z}, naive_timestamps: {as: datetime, Z}, schema: {Z}";
    let whole = format!(
        "Z\nserver: {{Z}}\nauth: {{Z}}\nreports: {{Z}}\nlineage: {{Z}}\nnotify: {{Z, hooks: [{{pubsub: projects/demo/topics/abc, Z}}]}}\n\
         defaults: {{Z, {shared}}}\nsources:\n  s:\n    url: postgres://u@h/d\n    Z\n    tls: {{Z}}\n    defaults: {{Z}}\n    \
         tables:\n      t: {{cursor: c, Z, partition_by: {{column: c, Z}}, {shared}}}\n"
    );
    let places = vec![
        ("", ""),
        ("server", "Server"),
        ("auth", "Auth"),
        ("reports", "Reports"),
        ("lineage", "Lineage"),
        ("notify", "Told"),
        ("notify.hooks[0]", "Hook"),
        ("defaults", "Shared"),
        ("defaults.deletes", "DeletesEvery"),
        ("defaults.unrepresentable", "Policies"),
        ("defaults.naive_timestamps", "Zoned"),
        ("defaults.schema", "SchemaChanges"),
        ("sources.s", "Source"),
        ("sources.s.tls", "Tls"),
        ("sources.s.defaults", "Shared"),
        ("sources.s.tables.t", "Table"),
        ("sources.s.tables.t.deletes", "DeletesEvery"),
        ("sources.s.tables.t.unrepresentable", "Policies"),
        ("sources.s.tables.t.naive_timestamps", "Zoned"),
        ("sources.s.tables.t.schema", "SchemaChanges"),
        ("sources.s.tables.t.partition_by", "Divided"),
    ];
    let pattern = "sources:\n  s:\n    url: postgres://u@h/d\n    tables:\n      \"t*\": {cursor: c, Z}\n".to_owned();
    let fill = |text: String| text.replace('Z', &stray);
    vec![(fill(whole), places), (fill(pattern), vec![("sources.s.tables.t*", "Table")])]
}

#[test]
fn the_schema_has_the_keys_that_the_reader_knows() {
    let schema = schema();
    let mut described = BTreeSet::new();
    for (text, places) in documents() {
        let errors = Config::parse(&text, "f", &Env::default()).unwrap_err();
        for (path, definition) in places {
            let at = if path.is_empty() { stray() } else { format!("{path}.{}", stray()) };
            let told = errors
                .told()
                .iter()
                .find_map(|told| told.message.split_once(&format!(" {at}: unknown key; known here: ")));
            let (_, known) = told.unwrap_or_else(|| panic!("{path}: {errors}"));
            let known: BTreeSet<&str> = known.split(", ").collect();
            let object = if definition.is_empty() { &schema } else { &schema["definitions"][definition] };
            let properties = object["properties"].as_object().unwrap_or_else(|| panic!("{definition}: {schema:#}"));
            let mut keys: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
            // of the tables that are named one knows whether they are views
            if definition == "Table" && !path.contains('*') {
                keys.remove("views");
            }
            assert_eq!(keys, known, "{path}");
            assert_eq!(object["additionalProperties"], false, "{definition}");
            described.insert(definition);
        }
    }
    // nor is anything described that is in no file
    let objects =
        schema["definitions"].as_object().into_iter().flatten().filter(|(_, value)| value["properties"].is_object());
    let rest: Vec<&String> = objects.map(|(name, _)| name).filter(|name| !described.contains(name.as_str())).collect();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn every_key_says_what_it_means() {
    let schema = schema();
    let objects = schema["definitions"].as_object().into_iter().flatten().map(|(_, object)| object).chain([&schema]);
    let mut seen = 0;
    for (key, value) in objects.filter_map(|object| object["properties"].as_object()).flatten() {
        assert!(value["description"].is_string(), "{key}: {value}");
        seen += 1;
    }
    assert!(seen > 80, "{seen}");
}

/// A document with every mapping that there is, and where in it each object of the schema stands.
fn places() -> (Value, BTreeMap<&'static str, &'static str>) {
    let document = json!({
        "project": "acme", "dataset": "d", "bucket": "acme-highwater", "server": {}, "reports": {}, "defaults": {},
        "auth": {"audience": "https://a.run.app", "invokers": "a@b.c"},
        "lineage": {"url": "https://marquez.example.com/api/v1/lineage"},
        "notify": {"hooks": [{"pubsub": "projects/acme/topics/abc"}]},
        "sources": {"s": {"url": "postgres://u@10.0.0.5/d", "tables": {"t": {
            "cursor": "c", "partition_by": {"column": "c"}, "deletes": {"mode": "hard"}, "schema": {}, "hash_salt": "salt",
        }, "p*": {"cursor": "c"}}}},
    });
    let table = "/sources/s/tables/t";
    let places = [
        ("", ""),
        ("Server", "/server"),
        ("Auth", "/auth"),
        ("Reports", "/reports"),
        ("Lineage", "/lineage"),
        ("Told", "/notify"),
        ("Hook", "/notify/hooks/0"),
        ("Source", "/sources/s"),
        ("Shared", "/defaults"),
        ("Table", table),
        ("DeletesEvery", "/sources/s/tables/t/deletes"),
        ("SchemaChanges", "/sources/s/tables/t/schema"),
        ("Divided", "/sources/s/tables/t/partition_by"),
    ];
    (document, places.into_iter().collect())
}

/// What the reader makes of that document when the key at `place` says this, or nothing.
fn read(place: &str, key: &str, said: Option<&Value>) -> String {
    let (mut document, _) = places();
    let object = document.pointer_mut(place).and_then(Value::as_object_mut).unwrap();
    object.remove(key);
    object.extend(said.map(|value| (key.to_owned(), value.clone())));
    if key == "webhook" {
        object.remove("pubsub");
    }
    let names = ["FINANCE_PASSWORD", "SLACK_URL", "OPENLINEAGE_API_KEY", "HASH_SALT", "GCP_PROJECT_ID"];
    let env = Env::new(names.map(|name| (name.to_owned(), "acme-corp".to_owned())));
    let text = document.to_string().replace("${SLACK_URL}", "https://example.com");
    let config = Config::parse(&text, "f", &env).map_err(|errors| format!("{place}/{key}: {said:?}: {errors}"));
    format!("{:?}", config.unwrap())
}

/// Every key with where it stands, and what the schema says of it.
fn keys() -> Vec<(&'static str, String, Value)> {
    let (schema, (_, places)) = (schema(), places());
    let mut keys = Vec::new();
    for (name, place) in places {
        let object = if name.is_empty() { &schema } else { &schema["definitions"][name] };
        let properties = object["properties"].as_object().unwrap().iter();
        keys.extend(properties.map(|(key, value)| (place, key.clone(), value.clone())));
    }
    keys
}

#[test]
fn a_stated_default_is_the_readers() {
    let stated: Vec<_> = keys().into_iter().filter(|(_, _, value)| value.get("default").is_some()).collect();
    for (place, key, value) in &stated {
        assert_eq!(read(place, key, value.get("default")), read(place, key, None), "{place}/{key}");
    }
    assert!(stated.len() > 50, "{}", stated.len());
}

#[test]
fn the_reader_takes_every_example() {
    let mut seen = 0;
    // a table's policies per column are not for all tables
    for (place, key, value) in keys().into_iter().filter(|(place, _, _)| *place != "/defaults") {
        for example in value["examples"].as_array().into_iter().flatten() {
            assert!(!read(place, &key, Some(example)).is_empty());
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn the_committed_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/highwater.schema.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == text(), "docs/highwater.schema.json is not current: run `make schema`");
}
