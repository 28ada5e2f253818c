//! What other tools' files become: all of it is carried over or named, and what is written is a configuration.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use proptest::prelude::*;

use super::*;
use crate::config::{Config, Env, SourceKind};
use crate::model::Mode;

/// Every variable that is to be filled in.
fn env() -> Env {
    let pairs = [
        ("GCP_PROJECT_ID", "acme"),
        ("BQ_DATASET_ID", "analytics"),
        ("HIGHWATER_BUCKET", "acme-highwater"),
        ("HIGHWATER_LOCATION", "EU"),
        ("MYSQL_USER", "reader"),
        ("MYSQL_PASSWORD", "pw"),
        ("MYSQL_HOST", "10.0.0.5"),
        ("MYSQL_DATABASE", "shop"),
        ("SOURCE_URL", "postgres://u:pw@h/d"),
        ("SOURCE_USER", "u"),
        ("SOURCE_PASSWORD", "pw"),
        ("SOURCE_HOST", "h"),
        ("SOURCE_DATABASE", "d"),
    ];
    Env::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

fn imported(text: &str) -> (String, Config) {
    let written = convert(text, "in").unwrap();
    let config = Config::parse(&written, "out.yaml", &env()).map_err(|errors| format!("{errors}\n{written}")).unwrap();
    (written, config)
}

const UPSERTER: &str = r#"
project: acme
dataset: analytics
location: europe-west1
allow_schema_additions: False
state_store: gcs
temp_bucket: gs://acme-temp
default_timezone: Europe/Berlin
schedule: { cron: "*/15 * * * *" }
log_level: s3cret-value
mappings:
  - name: orders sync
    mysql_table: orders
    bigquery_table: orders
    primary_keys: [tenant, id]
    incremental_column: updated_at
    mode: upsert
    backfill_start: 2020-01-01
  - { name: events, mysql_table: logs.events, bigquery_table: other.raw_events, primary_keys: id, incremental_column: id, mode: append, batch: 5 }
  - { mysql_table: currencies, bigquery_table: acme.analytics.fx, mode: upsert }
  - { mysql_table: orders, bigquery_table: orders2, mode: upsert, incremental_column: u }
  - { mysql_table: odd, bigquery_table: elsewhere.analytics.odd, mode: mirror, incremental_column: u }
  - { mysql_table: "tmp_*", bigquery_table: tmp }
  - nonsense
"#;

#[test]
fn the_upserter() {
    let (written, config) = imported(UPSERTER);
    assert_eq!((config.project.as_str(), config.bucket.as_str()), ("acme", "acme-temp"));
    let source = &config.sources[0];
    assert_eq!((source.kind, source.connection.password.as_ref().unwrap().expose()), (SourceKind::MySql, "pw"));
    let [orders, events, fx, odd] = source.tables.as_slice() else { unreachable!("four tables: {written}") };
    assert_eq!((orders.mode, orders.cursor.as_deref()), (Mode::Merge, Some("updated_at")));
    assert_eq!(orders.key, Some(vec!["tenant".to_owned(), "id".to_owned()]));
    assert_eq!((orders.schema.add, orders.columns.naive_zone.as_deref()), (false, Some("Europe/Berlin")));
    assert_eq!(
        (orders.location.as_str(), orders.target.to_string().as_str()),
        ("europe-west1", "acme.analytics.orders")
    );
    assert_eq!(orders.backfill_start.as_deref(), Some("2020-01-01"));
    assert_eq!((events.mode, events.target.to_string().as_str()), (Mode::Append, "acme.other.raw_events"));
    assert_eq!((fx.mode, fx.target.to_string().as_str()), (Mode::Replace, "acme.analytics.fx"));
    assert!(source.tables.iter().all(|table| table.schedule.is_some()), "{written}");
    assert_eq!((odd.mode, odd.target.to_string().as_str()), (Mode::Merge, "acme.analytics.odd"));
    for comment in [
        "# `log_level` is not known and was not carried over",
        "# `name: orders sync`: here a table is named mysql/{table}",
        "# `batch` is not known",
        "# rows that are in the target already are appended again",
        "# `mode: upsert` without `incremental_column`: without a cursor each run replaces the whole table",
        "# left out: {mysql_table: orders, bigquery_table: orders2, mode: upsert, incremental_column: u}: the table has a",
        "# `mode: mirror` is not known; merge is taken",
        "# `bigquery_table: elsewhere.analytics.odd`: targets are in the one `project`",
        "bigquery_table: tmp}: a pattern means many tables, and a mapping is of one",
        "# mapping 7 is not a mapping",
        "# the bucket keeps the state too",
    ] {
        assert!(written.contains(comment), "{comment}\n{written}");
    }
    assert!(!written.contains("s3cret-value"), "{written}");
}

#[test]
fn an_upserter_that_says_little() {
    let (written, config) = imported("mappings: []\nproject: 'P!'\n");
    assert_eq!((config.project.as_str(), config.sources[0].tables.len()), ("acme", 1));
    assert!(written.contains("# `project: P!` cannot be taken as `project`: set GCP_PROJECT_ID"), "{written}");
    assert!(written.contains("# to be filled in: no mapping could be carried over"), "{written}");
    assert!(
        written.contains("# to be filled in, as the input has no `temp_bucket`: set HIGHWATER_BUCKET"),
        "{written}"
    );
}

#[test]
fn a_json_file() {
    let (written, config) = imported(
        "{\n\t\"sourceDb\": \"shop db\", \"schema\": \"sales\", \"timestampColumn\": \"updated_at\", \"parallel\": 8,\n\
         \t\"batchSize\": 5000, \"includeTables\": [\"orders\", \"items\", \"tmp_*\", \"audit\", \"orders\"],\n\
         \t\"excludeTables\": [\"audit\"], \"token\": \"s3cret-value\"}",
    );
    let source = &config.sources[0];
    assert_eq!((source.kind, source.connection.database.as_str()), (SourceKind::Postgres, "shop db"));
    assert_eq!((config.parallel.get(), source.connection.user.as_str()), (8, "u"));
    let [orders, items] = source.tables.as_slice() else { unreachable!("two tables: {written}") };
    assert_eq!((orders.mode, orders.cursor.as_deref()), (Mode::Merge, Some("updated_at")));
    assert_eq!(items.table.schema.as_deref(), Some("sales"));
    let found = |name: &str| source.matched(&name.parse().unwrap()).is_some();
    assert!(found("tmp_1") && !found("other"), "{written}");
    assert!(written.contains("exclude: [\"audit\"]"), "{written}");
    for comment in [
        "# `batchSize: 5000` has no counterpart",
        "# `audit` of `includeTables` was left out: `excludeTables` names it too",
        "# `orders` of `includeTables` was left out: it is there twice",
        "# `token` is not known",
    ] {
        assert!(written.contains(comment), "{comment}\n{written}");
    }
    assert!(!written.contains("s3cret-value"), "{written}");
}

#[test]
fn connections_of_every_form() {
    let of = |db: &str| imported(&format!("{{\"sourceDb\": {db}, \"schema\": \"s\", \"includeTables\": [\"t\"]}}"));
    let (written, config) = of("\"postgres://u:hunter2@h/d\"");
    assert!(written.contains("url: ${SOURCE_URL}") && !written.contains("hunter2"), "{written}");
    assert_eq!(config.sources[0].tables[0].mode, Mode::Replace);
    let (written, config) =
        of(r#"{"type": "mysql", "host": "db", "port": 3307, "user": "a@b", "password": "hunter2", "ssl": true}"#);
    let connection = &config.sources[0].connection;
    assert_eq!((connection.address.to_string().as_str(), connection.user.as_str()), ("db:3307", "a@b"));
    assert!(!written.contains("hunter2") && written.contains("`sourceDb.ssl` is not known"), "{written}");
    assert!(written.contains("`schema: s` was not carried over: MySQL's tables"), "{written}");
    let (written, config) = imported(r#"{"includeTables": [], "parallel": true, "timestampColumn": null}"#);
    assert_eq!(config.sources[0].tables.len(), 1);
    assert!(written.contains("`parallel: true` was not carried over"), "{written}");
}

#[test]
fn what_is_of_no_tool_is_told() {
    for (text, wanted) in [
        ("a: 1", "in: is of no tool that is known: there is neither `mappings` nor `sourceDb`"),
        ("- a", "in: must be a mapping of keys"),
        ("{\"a\": }", "in: not JSON: expected value"),
        ("a: b: c", "in:1:5: not YAML"),
    ] {
        let told = convert(text, "in").unwrap_err().to_string();
        assert!(told.starts_with(wanted), "{told}");
    }
}

proptest! {
    #[test]
    fn every_value_is_a_comment_or_a_value(key in 0_usize..14, value in any::<String>()) {
        let keys = ["project", "dataset", "location", "temp_bucket", "state_store", "default_timezone", "x"];
        let own = ["name", "mysql_table", "bigquery_table", "primary_keys", "incremental_column", "mode", "y"];
        let mut top = serde_json::Map::new();
        let mut mapping = serde_json::Map::new();
        mapping.insert("mysql_table".into(), "t".into());
        match own.get(key) {
            Some(name) => mapping.insert((*name).into(), value.clone().into()),
            None => top.insert(keys[key - own.len()].into(), value.clone().into()),
        };
        top.insert("mappings".into(), vec![serde_json::Value::Object(mapping)].into());
        // what is a variable there is one here: it may not be set
        prop_assume!(!value.contains("${"));
        imported(&serde_json::Value::Object(top).to_string());
    }

    #[test]
    fn every_json_value_is_a_comment_or_a_value(key in 0_usize..6, value in any::<String>()) {
        let keys = ["sourceDb", "schema", "timestampColumn", "parallel", "includeTables", "excludeTables"];
        prop_assume!(!value.contains("${"));
        let mut top = serde_json::Map::new();
        top.insert("sourceDb".into(), "d".into());
        top.insert(keys[key].into(), value.into());
        imported(&serde_json::Value::Object(top).to_string());
    }
}
