//! Situations in which a run fails.

use highwater::model::Code;

use super::page::{Case, Page};
use crate::support::gate::Fault;

/// A configuration with one table, and more lines of its source.
fn config(table: &str, source: &str) -> String {
    format!(
        "project: demo\ndataset: DATASET\nlocation: EU\nbucket: BUCKET\nsources:\n  shop:\n    url: POSTGRES{source}\n    tables:\n      {table}"
    )
}

const ORDERS: &str = "orders: { cursor: updated_at }";

pub async fn tell(page: &mut Page) {
    page.chapter(
        "Situations",
        "The database has a table `orders (id, note, amount, updated_at)`; what else was done is said.",
    );
    page.place
        .pg("CREATE TABLE orders (id int PRIMARY KEY, note text, amount numeric(10,2), updated_at timestamptz NOT NULL); \
             CREATE INDEX ON orders (updated_at, id); \
             INSERT INTO orders SELECT i, 'note ' || i, i, '2026-01-01' FROM generate_series(1, 3) i")
        .await;
    database(page).await;
    names(page).await;
    rights(page).await;
    google(page).await;
    machine(page).await;
    changes(page).await;
    values(page).await;
    deletes(page).await;
}

async fn told(page: &mut Page, (title, what): (&str, &str), config: &str, args: &[&str], (exit, code): (i32, Code)) {
    page.case(Case { title, what, config, env: &[], args, exit, codes: &[code] }).await;
}

const SYNC: &[&str] = &["sync", "orders"];

async fn database(page: &mut Page) {
    let down = config(ORDERS, "").replace("POSTGRES", "postgres://reader:${PASSWORD}@127.0.0.1:1/shop");
    let about = ("The database is down", "Nobody listens on the port.");
    told(page, about, &down, SYNC, (75, Code::SourceDown)).await;
    let about = ("A wrong password", "The database is there and refuses the login.");
    let env = [("PASSWORD", "wr0ng")];
    let case = Case {
        title: about.0,
        what: about.1,
        config: &config(ORDERS, ""),
        env: &env,
        args: SYNC,
        exit: 2,
        codes: &[Code::SourceLogin],
    };
    page.case(case).await;
    let about = ("TLS that the server does not have", "The source says `require`.");
    told(page, about, &config(ORDERS, "\n    tls: { mode: require }"), SYNC, (2, Code::SourceTls)).await;
}

async fn names(page: &mut Page) {
    let about = ("A table that the configuration lacks", "Misspelt on the command line.");
    told(page, about, &config(ORDERS, ""), &["sync", "ordes"], (2, Code::TableUnknown)).await;
    let about = ("A table that the database lacks", "Misspelt in the configuration, or renamed at the source.");
    told(page, about, &config("orderss: { cursor: updated_at }", ""), &["sync", "orderss"], (2, Code::SourceNoTable))
        .await;
    let about = ("A cursor that the table lacks", "Misspelt, or dropped at the source.");
    told(page, about, &config("orders: { cursor: update_at }", ""), SYNC, (2, Code::ColumnUnknown)).await;
}

async fn rights(page: &mut Page) {
    let (role, password) = (format!("{}_shut", page.place.name), page.place.stack.postgres.password.clone());
    page.place.pg(&format!("CREATE ROLE {role} LOGIN PASSWORD '{password}' IN ROLE pg_read_all_stats")).await;
    let url = format!("postgres://DATASET_shut:${{PASSWORD}}@127.0.0.1:{}/DATASET", page.place.stack.postgres.port);
    let shut = config(ORDERS, "").replace("POSTGRES", &url);
    let about = ("No right to read", "The user has no SELECT on the table.");
    told(page, about, &shut, SYNC, (2, Code::SourceDenied)).await;
    page.place.pg(&format!("DROP ROLE {role}")).await;
}

async fn google(page: &mut Page) {
    let about = ("No bucket", "The bucket's name is wrong.");
    told(page, about, &config(ORDERS, "").replace("BUCKET", "acme-hihgwater"), SYNC, (1, Code::BucketMissing)).await;
    page.place.gate.fault(1, Fault::Status(403), |seen| seen.path.contains("/tables/orders"));
    let about = ("BigQuery refuses", "The account may not see the target; the refusal is one of the test's.");
    told(page, about, &config(ORDERS, ""), SYNC, (1, Code::BigQueryDenied)).await;
}

async fn machine(page: &mut Page) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let env = [("PORT", port.as_str())];
    let case = Case {
        title: "The port is taken",
        what: "Another process listens there.",
        config: &config(ORDERS, ""),
        env: &env,
        args: &["serve", "--listen", "127.0.0.1"],
        exit: 1,
        codes: &[Code::Listen],
    };
    page.case_at(case, &port).await;
    std::fs::write(page.place.folder.path().join("state"), "a file").unwrap();
    let about = ("A state's folder that cannot be one", "`state` names a file.");
    told(page, about, &format!("state: ./state\n{}", config(ORDERS, "")), SYNC, (1, Code::StateFolder)).await;
}

async fn changes(page: &mut Page) {
    page.place.pg("CREATE TABLE carts AS SELECT * FROM orders; ALTER TABLE carts ADD PRIMARY KEY (id)").await;
    let carts = config("carts: { cursor: updated_at }", "");
    page.quietly(&carts, &["sync", "carts"]).await;
    let about = ("Other settings than the watermark's", "Synced once; then the cursor became `id`.");
    let args = &["sync", "carts"];
    told(page, about, &config("carts: { cursor: id }", ""), args, (2, Code::SettingsChanged)).await;
    page.place.pg("ALTER TABLE carts ALTER note TYPE int USING id; UPDATE carts SET updated_at = '2026-01-02'").await;
    let about = ("A column of another type", "Synced once; then `note` became an integer at the source.");
    told(page, about, &carts, args, (1, Code::TargetIncompatible)).await;
    page.drop_target("carts").await;
    let about = ("The target is gone", "Synced once; then somebody deleted the table in BigQuery.");
    told(page, about, &carts, args, (2, Code::TargetGone)).await;
}

async fn values(page: &mut Page) {
    page.place
        .pg("CREATE TABLE prices (code text, amount numeric, updated_at timestamptz NOT NULL); \
             INSERT INTO prices VALUES (NULL, 1, '2026-01-01'), ('a', 'NaN', '2026-01-01')")
        .await;
    let about = ("NULL in the key", "The table has no primary key, and the column that is named as `key` has NULLs.");
    let args = &["sync", "prices"];
    told(page, about, &config("prices: { cursor: updated_at, key: code }", ""), args, (2, Code::KeyNull)).await;
    page.place.pg("DELETE FROM prices WHERE code IS NULL").await;
    let about = ("More rejects than are borne", "A NaN, for which BigQuery's decimals have no place.");
    let table = "prices: { cursor: updated_at, key: code, unrepresentable: reject, max_rejects: 0 }";
    told(page, about, &config(table, ""), args, (1, Code::Rejects)).await;
}

async fn deletes(page: &mut Page) {
    let table = config("orders: { cursor: updated_at, deletes: hard }", "");
    page.quietly(&table, SYNC).await;
    page.place.pg("DELETE FROM orders").await;
    let about = ("The source is empty", "Synced once; then all rows were deleted, perhaps by mistake.");
    told(page, about, &table, &["deletes", "orders"], (1, Code::DeletesRefused)).await;
}
