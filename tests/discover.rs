//! Tables that nobody named: patterns, what they come to.

use highwater::report::{Outcome, RunReport};
use serde_json::{Value, json};

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![
        patterns_find_tables_of_postgres,
        patterns_find_tables_of_mariadb,
        a_pushed_table_is_matched_by_its_name,
        a_source_that_is_down_does_not_stop_the_others,
        two_tables_of_one_target_are_told,
        the_cursor_of_the_watermark_stays,
        a_synced_table_that_becomes_unusable_fails,
    ]
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
