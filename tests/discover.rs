//! Tables that nobody named: patterns, what they come to, and configurations from live databases.

use highwater::config::{Config, Env};
use highwater::model::{Indexing, Mode, SourceTable};
use highwater::plan::draft::{self, Dialect, Head, Source, Table};
use highwater::plan::propose::{Proposal, Wanted, Way};
use highwater::report::{Outcome, RunReport};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::served_tests;
use crate::support::place::Place;
use crate::support::{Test, process, pure};

pub fn tests() -> Vec<Test> {
    let mut tests = served_tests![
        patterns_find_tables_of_postgres,
        patterns_find_tables_of_mariadb,
        a_pushed_table_is_matched_by_its_name,
        a_source_that_is_down_does_not_stop_the_others,
        two_tables_of_one_target_are_told,
        the_cursor_of_the_watermark_stays,
        a_synced_table_that_becomes_unusable_fails,
        a_discovered_configuration_syncs_both_databases,
        discover_shows_no_password_and_overwrites_nothing,
    ];
    tests.push(pure("main::discover::a_draft_means_what_it_was_written_from", drafts));
    tests
}

const PATTERNS: [&str; 4] = [
    "\"audit_*\": { mode: append, cursor: [seq, id] }",
    "audit_users: { cursor: updated_at }",
    "\"*\": { cursor: [updated_at, modified] }",
    "\"sales.*\": { cursor: updated_at, target: \"raw_{schema}_{table}\" }",
];

async fn fill_postgres(place: &Place) {
    place
        .pg("CREATE TABLE audit_log (id bigserial PRIMARY KEY, v text); INSERT INTO audit_log (v) VALUES ('a'), ('b');
             CREATE TABLE audit_users (id int PRIMARY KEY, updated_at timestamptz NOT NULL);
             INSERT INTO audit_users VALUES (1, '2024-01-01');
             CREATE TABLE invoices (id int PRIMARY KEY, modified timestamptz NOT NULL);
             INSERT INTO invoices VALUES (1, '2024-01-01'), (2, '2024-01-02'), (3, '2024-01-03');
             CREATE TABLE parted (id int, updated_at timestamptz NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id);
             CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
             INSERT INTO parted VALUES (1, '2024-01-01');
             CREATE VIEW seen AS SELECT * FROM invoices;
             CREATE TABLE loose (x int);
             CREATE TABLE tmp_x (id int PRIMARY KEY, updated_at timestamptz);
             CREATE SCHEMA sales;
             CREATE TABLE sales.items (id int PRIMARY KEY, updated_at timestamptz NOT NULL);
             INSERT INTO sales.items VALUES (1, '2024-01-01');")
        .await;
}

/// The configuration with `exclude: [tmp_*]`.
fn configure(place: &Place, pg: &[&str], my: &[&str]) {
    let path = place.configure(pg, my, "");
    let text = std::fs::read_to_string(&path).unwrap();
    place.write_config(&text.replace("    tables:\n", "    exclude: [\"tmp_*\"]\n    tables:\n"));
}

fn outcomes(reports: &[RunReport]) -> Vec<(&str, Outcome, u64)> {
    reports.iter().map(|report| (report.table.as_str(), report.outcome, report.rows)).collect()
}

/// `sync --all --json`: exit code and reports, by table.
async fn sync_all(place: &Place) -> (i32, Vec<RunReport>) {
    let ran = place.run(&["sync", "--all", "--json"]).await;
    let mut reports = ran.reports();
    reports.sort_by(|a, b| (&a.source, &a.table).cmp(&(&b.source, &b.table)));
    (ran.code, reports)
}

async fn patterns_find_tables_of_postgres() {
    let place = Place::new().await;
    fill_postgres(&place).await;
    configure(&place, &PATTERNS, &[]);
    let ran = place.run(&["tables", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown =
        |name: &str| lines.iter().find(|line| line["table"] == name).unwrap_or_else(|| panic!("{name}: {lines:?}"));
    let names: Vec<&str> = lines.iter().map(|line| line["table"].as_str().unwrap()).collect();
    assert_eq!(names, ["audit_users", "audit_log", "invoices", "loose", "parted", "sales.items"]);
    assert_eq!((&shown("audit_users")["pattern"], &shown("audit_log")["pattern"]), (&Value::Null, &json!("audit_*")));
    assert_eq!((&shown("audit_log")["cursor"], &shown("audit_log")["mode"]), (&json!("id"), &json!("append")));
    assert_eq!((&shown("invoices")["cursor"], &shown("invoices")["key"]), (&json!("modified"), &json!(["id"])));
    assert_eq!(shown("sales.items")["target"], format!("demo.{}.raw_sales_items", place.name));
    assert!(shown("loose")["lacks"].as_str().unwrap().contains("none of the columns [\"updated_at\", \"modified\"]"));

    let (code, reports) = sync_all(&place).await;
    use Outcome::{Synced, Unusable};
    let wanted = [
        ("audit_log", Synced, 2),
        ("audit_users", Synced, 1),
        ("invoices", Synced, 3),
        ("loose", Unusable, 0),
        ("parted", Synced, 1),
        ("sales.items", Synced, 1),
    ];
    assert_eq!((code, outcomes(&reports)), (0, wanted.to_vec()), "{reports:?}");
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.raw_sales_items").await, "1");
    let status = place.run(&["status", "--json"]).await;
    assert_eq!((status.code, status.stdout.lines().count()), (0, 6), "{status:?}");
    // who names it wants it
    let named = place.run(&["sync", "pg/loose", "--json"]).await;
    assert_eq!((named.code, named.report().outcome), (2, Unusable), "{named:?}");
    place.assert_clean().await;
}

async fn patterns_find_tables_of_mariadb() {
    let place = Place::new().await;
    place
        .my("CREATE TABLE audit_log (id bigint PRIMARY KEY AUTO_INCREMENT, v text); INSERT INTO audit_log (v) VALUES ('a'), ('b');
             CREATE TABLE invoices (id int PRIMARY KEY, modified datetime(6) NOT NULL);
             INSERT INTO invoices VALUES (1, '2024-01-01'), (2, '2024-01-02');
             CREATE VIEW seen AS SELECT * FROM invoices;
             CREATE TABLE loose (x int);
             CREATE TABLE tmp_x (id int PRIMARY KEY);")
        .await;
    configure(&place, &[], &PATTERNS[..1]);
    assert_eq!(outcomes(&sync_all(&place).await.1), [("audit_log", Outcome::Synced, 2)]);
    configure(&place, &[], &[PATTERNS[0], "\"*\": { cursor: [updated_at, modified], views: true, key: id }"]);
    let (code, reports) = sync_all(&place).await;
    use Outcome::{Synced, Unusable, UpToDate};
    let wanted = [("audit_log", UpToDate, 0), ("invoices", Synced, 2), ("loose", Unusable, 0), ("seen", Synced, 2)];
    assert_eq!((code, outcomes(&reports)), (0, wanted.to_vec()), "{reports:?}");
}

async fn a_pushed_table_is_matched_by_its_name() {
    let place = Place::new().await;
    fill_postgres(&place).await;
    configure(&place, &PATTERNS, &[]);
    let service = place.serve().await;
    assert_eq!(service.push("pg/invoices").await.rows, 3);
    // the same table by its longer name: one state, one watermark
    let again = service.push("pg/public.invoices").await;
    assert_eq!((again.table.as_str(), again.outcome), ("invoices", Outcome::UpToDate));
    let by_attributes = json!({"message": {"attributes": {"source": "pg", "table": "sales.items"}}});
    assert_eq!(service.post("/pubsub", by_attributes.to_string()).await.0, 200);
    for (table, status, told) in [
        ("tmp_x", 404, "there are: "),
        ("nowhere.x", 404, "pg/audit_*"),
        ("parted_low", 500, "is a partition; sync the table that it is a part of"),
        ("seen", 500, "is a view; say `views: true`"),
        ("gone", 500, "the source has no table public.gone"),
        ("pg_catalog.pg_class", 404, "there are: "),
    ] {
        let (found, _, body) = service.post(&format!("/sync/pg/{table}"), "").await;
        assert_eq!(found, status, "{table}: {body}");
        assert!(body.to_string().contains(told), "{table}: {body}");
    }
    assert_eq!(service.terminate().await.0, 0);
}

async fn a_source_that_is_down_does_not_stop_the_others() {
    let place = Place::new().await;
    place
        .my("CREATE TABLE t (id int PRIMARY KEY, u datetime(6) NOT NULL); INSERT INTO t VALUES (1, '2024-01-01')")
        .await;
    let path = place.configure(&["\"*\": { cursor: u, target: \"pg_{table}\" }"], &["\"*\": { cursor: u }"], "");
    let text = std::fs::read_to_string(&path).unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    place.write_config(&text.replace(&place.stack.postgres.port.to_string(), &nobody.to_string()));
    let ran = place.run(&["sync", "--all", "--json"]).await;
    assert_eq!((ran.code, outcomes(&ran.reports())), (75, vec![("t", Outcome::Synced, 1)]), "{ran:?}");
    assert!(ran.stderr.contains("the tables of pg could not be listed: cannot connect to 127.0.0.1"), "{ran:?}");
    let status = place.run(&["status", "--json"]).await;
    assert_eq!((status.code, status.stdout.lines().count()), (75, 1), "{status:?}");
}

async fn two_tables_of_one_target_are_told() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE \"a-b\" (id int PRIMARY KEY); CREATE TABLE a_b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)")
        .await;
    place.configure(&["\"*\": { mode: replace }"], &[], "");
    let ran = place.run(&["sync", "--all", "--json"]).await;
    assert_eq!((ran.code, outcomes(&ran.reports())), (2, vec![("c", Outcome::Synced, 0)]), "{ran:?}");
    assert!(ran.stderr.contains("pg/a-b and pg/a_b have the same target"), "{ran:?}");
    // one that is named keeps its target
    place.configure(&["\"*\": { mode: replace }", "a_b: { mode: replace }"], &[], "");
    let ran = place.run(&["sync", "a_b", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = place.run(&["sync", "pg/a-b"]).await;
    assert!(ran.code == 2 && ran.stderr.contains("is that of pg/a_b"), "{ran:?}");
}

async fn the_cursor_of_the_watermark_stays() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id bigserial PRIMARY KEY, v int); INSERT INTO t (v) VALUES (1), (2)").await;
    place.configure(&["\"*\": { mode: append, cursor: [created_at, id] }"], &[], "");
    assert_eq!(place.sync(&["t"]).await[0].rows, 2);
    place.pg("ALTER TABLE t ADD created_at timestamptz DEFAULT now(); INSERT INTO t (v) VALUES (3)").await;
    let reports = place.sync(&["--all"]).await;
    assert_eq!(outcomes(&reports), [("t", Outcome::Synced, 1)]);
    assert_eq!(reports[0].watermark_after.as_ref().unwrap().cursor.as_deref(), Some("3"));
}

async fn a_synced_table_that_becomes_unusable_fails() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t VALUES (1, '2024-01-01')")
        .await;
    place.configure(&["\"*\": { cursor: [u] }"], &[], "");
    assert_eq!(place.sync(&["--all"]).await[0].rows, 1);
    place.pg("ALTER TABLE t RENAME u TO w").await;
    let (code, reports) = sync_all(&place).await;
    assert_eq!((code, outcomes(&reports)), (2, vec![("t", Outcome::Failed, 0)]), "{reports:?}");
}

/// `url` without its password.
fn bare(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (login, host) = rest.rsplit_once('@').unwrap();
    format!("{scheme}://{}@{host}", login.split(':').next().unwrap())
}

async fn a_discovered_configuration_syncs_both_databases() {
    let place = Place::new().await;
    fill_postgres(&place).await;
    place
        .pg("INSERT INTO tmp_x VALUES (1, '2024-01-01'); CREATE TABLE \"Odd.na\"\"me\" (id int PRIMARY KEY);
             CREATE TABLE \"odd.* x\" (\"i d\" int PRIMARY KEY, \"updatedAt\" timestamp NOT NULL);
             INSERT INTO \"odd.* x\" VALUES (1, '2024-01-01'); ANALYZE;")
        .await;
    place
        .my("CREATE TABLE orders (id int PRIMARY KEY AUTO_INCREMENT, v int, ts timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY (ts));
             INSERT INTO orders (v, ts) VALUES (1, '2024-01-01'), (2, '2024-01-02');
             CREATE TABLE click_events (id bigint PRIMARY KEY AUTO_INCREMENT, v int); INSERT INTO click_events (v) VALUES (1), (2), (3);
             CREATE TABLE currencies (code char(3) PRIMARY KEY); INSERT INTO currencies VALUES ('EUR'), ('SEK');
             CREATE VIEW seen AS SELECT * FROM orders; ANALYZE TABLE orders, click_events, currencies;")
        .await;
    let mut env = place.env();
    let variable = |suffix: &str| format!("{}{suffix}_PASSWORD", place.name.to_uppercase());
    env.push((variable(""), place.stack.postgres.password.clone()));
    env.push((variable("_2"), place.stack.mysql.password.clone()));
    env.push(("HIGHWATER_PROJECT".into(), "demo".into()));
    let bucket = place.bucket();
    let (pg, my) = (bare(&place.pg_url()), bare(&place.my_url()));
    let arguments = ["discover", &pg, &my, "--bucket", &bucket, "--location", "EU", "--exclude", "tmp_*"];
    let written = [arguments.as_slice(), &["--output", "highwater.yaml"]].concat();
    let ran = process::run(place.folder.path(), &env, &written).await;
    let text = std::fs::read_to_string(place.folder.path().join("highwater.yaml")).unwrap_or_default();
    assert_eq!(ran.code, 0, "{ran:?}\n{text}");
    for line in [
        "      audit_log: { mode: append, cursor: id }",
        "      audit_users: { cursor: updated_at }",
        "      invoices: { cursor: modified }",
        "      sales.items: { cursor: updated_at }",
        "\"\\\"odd.* x\\\"\": { cursor: updatedAt }",
        "      # no index serves the cursor: CREATE INDEX CONCURRENTLY ON \"public\".\"invoices\" (\"modified\", \"id\");",
        "      # about 1 rows; cursor: updated_at, timestamp with time zone, by its name; key: id, the primary key\n      \
         # no index serves the cursor; the table has partitions, so nobody can write to it while the index is built: \
         CREATE INDEX ON \"public\".\"parted\" (\"updated_at\", \"id\");",
        "      # public.Odd.na\"me: its name cannot be written in a configuration",
        "      orders: { cursor: ts }",
        "      click_events: { mode: append, cursor: id }",
        "      currencies: { mode: replace }",
        "which the database sets on each update",
        &format!("    password: ${{{}}}", variable("")),
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("tmp_x") && !text.contains("parted_low") && !text.contains("seen"), "{text}");
    let ran = process::run(place.folder.path(), &env, &["sync", "--all", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}\n{text}");
    let rows = |name: &str| ran.reports().iter().find(|report| report.table == name).map(|report| report.rows);
    assert_eq!((rows("invoices"), rows("\"odd.* x\""), rows("orders")), (Some(3), Some(1), Some(2)), "{ran:?}");
    assert_eq!((rows("click_events"), rows("currencies"), rows("parted")), (Some(3), Some(2), Some(1)), "{ran:?}");
}

async fn discover_shows_no_password_and_overwrites_nothing() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz NOT NULL)").await;
    let secret = place.stack.postgres.password.clone();
    let env = |name: &str, value: &str| {
        let mut env = place.env();
        env.push((name.into(), value.into()));
        env
    };
    let bare = bare(&place.pg_url());
    let referred = place.pg_url().replace(&format!(":{secret}@"), ":${THE_PASSWORD}@");
    for (name, url, kept) in [
        (
            "PGPASSWORD",
            bare.as_str(),
            format!("url: \"{bare}\"\n    password: ${{{}_PASSWORD}}", place.name.to_uppercase()),
        ),
        ("HIGHWATER_PASSWORD", bare.as_str(), format!("url: \"{bare}\"")),
        ("THE_PASSWORD", referred.as_str(), format!("url: \"{referred}\"")),
        ("THE_URL", "${THE_URL}", "url: \"${THE_URL}\"".to_owned()),
        ("X", &place.pg_url(), format!("url: \"{bare}\"\n    password: ")),
    ] {
        let value = if name == "THE_URL" { place.pg_url() } else { secret.clone() };
        let ran = process::run(place.folder.path(), &env(name, &value), &["discover", url]).await;
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        assert!(ran.stdout.contains(&kept) && ran.stdout.contains("t: { cursor: updated_at }"), "{name}: {ran:?}");
        assert!(!ran.stdout.contains(&secret) && !ran.stderr.contains(&secret), "{name}");
        assert_eq!(ran.stderr.contains("a password in an argument can be seen"), name == "X", "{name}: {ran:?}");
    }
    place.pg("CREATE SCHEMA sales; CREATE TABLE sales.items (id int PRIMARY KEY, updated_at timestamptz)").await;
    let ran =
        process::run(place.folder.path(), &env("PGPASSWORD", &secret), &["discover", &bare, "--schema", "sales"]).await;
    assert!(ran.stdout.contains("schema: sales") && ran.stdout.contains("      items: {"), "{ran:?}");
    assert!(!ran.stdout.contains(" t: {"), "{ran:?}");
    let mine = place.folder.path().join("mine.yaml");
    std::fs::write(&mine, "mine").unwrap();
    let ran =
        process::run(place.folder.path(), &env("PGPASSWORD", &secret), &["discover", &bare, "--output", "mine.yaml"])
            .await;
    assert!(ran.code == 2 && ran.stderr.contains("is there already"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
    let ran = process::run(place.folder.path(), &env("PGPASSWORD", "wrong"), &["discover", &bare]).await;
    assert!(ran.code != 0 && ran.stdout.is_empty() && ran.stderr.contains("refuses the login"), "{ran:?}");
    let ran =
        process::run(place.folder.path(), &place.env(), &["discover", &place.pg_url().replace("postgres:", "oracle:")])
            .await;
    assert!(ran.code == 2 && !ran.stderr.contains(&secret), "{ran:?}");
}

/// Whatever the names are, the text parses, and its tables are those that it was written from.
fn drafts() {
    let name = || "[a-zA-Z_ .*?\\[\\]{}:#,&!'\"`$%@\\\\\n\u{85}\u{2028}é-]{1,12}|null|true|\\$\\{HOME\\}";
    let strategy = proptest::collection::vec((name(), name(), proptest::option::of(name())), 1..6);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    // no two of one name, but some of one in BigQuery
    let name_of = |at: usize, name: &str| format!("{name}{}", ["é", "ö", "ü", "-", " ", "+"][at]);
    let ran = runner.run(&strategy, |names| {
        let proposal = |cursor: &str, key: &Option<String>| Proposal {
            way: Way::Sync {
                mode: Mode::Merge,
                cursor: Some(cursor.to_owned()),
                key: key.as_ref().map(|key| vec![key.clone(), "b".to_owned()]),
            },
            why: vec![format!("cursor: {cursor}")],
            index: Some(Wanted { columns: vec![cursor.to_owned()], indexing: Indexing::Beside }),
        };
        let table = |(at, (name, cursor, key)): (usize, &(String, String, Option<String>))| Table {
            table: SourceTable { schema: Some("public".to_owned()), name: name_of(at, name) },
            rows: Some(1),
            proposal: Ok(proposal(cursor, key)),
        };
        let source = Source {
            name: "s".to_owned(),
            url: "postgres://u@h/d".to_owned(),
            password: None,
            tls_mode: Some("require"),
            tls_ca: None,
            dataset: None,
            schema: None,
            dialect: Dialect::Postgres,
            tables: names.iter().enumerate().map(table).collect(),
        };
        let head =
            Head { project: Some("p".into()), dataset: "d".into(), location: None, bucket: Some("acme-hw".into()) };
        let text = draft::write(&head, &[source]);
        let env = Env::new([("HOME".to_owned(), "/root".to_owned())]);
        let writable = |name: &String| !name.contains('"') && !name.chars().any(char::is_control);
        let wanted: Vec<_> = names.iter().enumerate().filter(|(_, (name, ..))| writable(name)).collect();
        let parsed = Config::parse(&text, "f.yaml", &env);
        if wanted.is_empty() {
            return Ok(());
        }
        let config = match parsed {
            Ok(config) => config,
            Err(errors) => return Err(TestCaseError::fail(format!("{errors}\n{text}"))),
        };
        let tables = &config.sources[0].tables;
        prop_assert_eq!(tables.len(), wanted.len(), "{}", text);
        for (table, (at, (name, cursor, key))) in tables.iter().zip(wanted) {
            prop_assert_eq!(&table.table.name, &name_of(at, name));
            prop_assert_eq!(table.cursor.as_ref(), Some(cursor));
            prop_assert_eq!(table.key.clone(), key.as_ref().map(|key| vec![key.clone(), "b".to_owned()]));
        }
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}
