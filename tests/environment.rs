//! No file, only variables: an environment of the scheme runs as it is.

use crate::served_tests;
use crate::support::Test;
use crate::support::place::{Place, Rows};
use crate::support::process::{self, Ran};

pub fn tests() -> Vec<Test> {
    served_tests![
        an_environment_of_two_databases_runs_unchanged,
        a_dotenv_file_is_below_the_environment,
        faults_of_the_environment_are_told_at_once,
        an_imported_configuration_is_printed,
    ]
}

const PG_PASSWORD: &str = "pG p@ss/w:rd#${X}%41 7f3b";
const MY_PASSWORD: &str = "mY-\"pass\"'91cd";

/// A PostgreSQL and a MariaDB database, seven tables and one that is not enabled, settings of each kind. `{…}` are the test's.
const EXAMPLE: &str = "
GCP_PROJECT_ID=demo
BQ_DATASET_ID={dataset}
HIGHWATER_BUCKET={bucket}
HIGHWATER_LOCATION=EU
SYNC_DATABASES=finance,web-shop
SYNC_TIMEOUT=4m30s
DRY_RUN=false
AUTO_CREATE_TABLES=true
TRUNCATE_ON_SYNC=false
ALLOW_TABLE_RECREATION=false
MAX_ROW_PARSE_FAILURES=1
DATE_FORMAT=2006-01-02 15:04:05
DEFAULT_BATCH_SIZE=1000
LOG_ENV=prod
LOG_LEVEL=debug
DB_HOST=127.0.0.1
DB_MAX_OPEN_CONNECTIONS=10
DB_CONN_MAX_LIFETIME=5m
DB_STATEMENT_TIMEOUT=30s
FINANCE_ENABLED=true
FINANCE_DB_TYPE=postgres
FINANCE_DB_PORT={pg_port}
FINANCE_DB_NAME={name}
FINANCE_DB_USER={name}
FINANCE_DB_PASSWORD={pg_password}
FINANCE_DB_SSLMODE=disable
FINANCE_TABLES=invoices, sales.orders, currencies, disabled
FINANCE_INVOICES_PRIMARY_KEY=tenant,id
FINANCE_INVOICES_TIMESTAMP_COLUMN=updated_at
FINANCE_INVOICES_COLUMNS=tenant,id,total,updated_at
FINANCE_INVOICES_BATCH_SIZE=500
FINANCE_SALES_ORDERS_PRIMARY_KEY=id
FINANCE_SALES_ORDERS_TIMESTAMP_COLUMN=updated_at
FINANCE_CURRENCIES_TARGET_TABLE=fx
FINANCE_DISABLED_ENABLED=false
WEB_SHOP_DB_PORT={my_port}
WEB_SHOP_DB_NAME={name}
WEB_SHOP_DB_USER={name}
WEB_SHOP_DB_PASSWORD={my_password}
WEB_SHOP_TABLES=customers,visits,items,stock
WEB_SHOP_CUSTOMERS_PRIMARY_KEY=id
WEB_SHOP_CUSTOMERS_TIMESTAMP_COLUMN=changed
WEB_SHOP_VISITS_PRIMARY_KEY=id
WEB_SHOP_VISITS_TIMESTAMP_COLUMN=changed
WEB_SHOP_VISITS_TARGET_TABLE=web_visits
WEB_SHOP_ITEMS_COLUMNS=id,name
WEB_SHOP_STOCK_PRIMARY_KEY=shop,sku
WEB_SHOP_STOCK_TIMESTAMP_COLUMN=changed
";

/// The example's variables, those changed that `changes` has.
fn example(place: &Place, changes: &str) -> Vec<(String, String)> {
    let mut all = vec![
        ("STORAGE_EMULATOR_HOST".to_owned(), place.valve.url.clone()),
        ("BIGQUERY_EMULATOR_HOST".to_owned(), place.gate.url.clone()),
        ("HIGHWATER_REPORTS_BIGQUERY".to_owned(), "false".to_owned()),
    ];
    for line in EXAMPLE.lines().chain(changes.lines()).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once('=').unwrap();
        let value = value
            .replace("{dataset}", &place.name)
            .replace("{bucket}", &place.bucket())
            .replace("{name}", &place.name)
            .replace("{pg_port}", &place.stack.postgres.port.to_string())
            .replace("{my_port}", &place.stack.mysql.port.to_string())
            .replace("{pg_password}", PG_PASSWORD)
            .replace("{my_password}", MY_PASSWORD);
        all.push((name.to_owned(), value));
    }
    all
}

async fn run(place: &Place, env: &[(String, String)], args: &[&str]) -> Ran {
    process::run(place.folder.path(), env, args).await
}

/// Databases with users of their own, whose passwords have everything that a url gives a meaning to.
async fn fill(place: &Place) {
    let name = &place.name;
    let password = PG_PASSWORD.replace('\'', "''");
    place
        .pg(&format!(
            "CREATE TABLE invoices (tenant int, id int, total numeric(12,2), secret text, updated_at timestamptz NOT NULL,
               PRIMARY KEY (tenant, id));
             INSERT INTO invoices SELECT i % 3, i, i * 1.25, 'private', timestamptz '2024-01-01Z' + i * interval '1 s'
               FROM generate_series(1, 1000) i;
             CREATE SCHEMA sales;
             CREATE TABLE sales.orders (id int PRIMARY KEY, at timestamptz, updated_at timestamp NOT NULL);
             INSERT INTO sales.orders SELECT i, '2024-01-01Z', timestamp '2024-01-01' + i * interval '1 s'
               FROM generate_series(1, 200) i;
             INSERT INTO sales.orders VALUES (900, 'infinity', '2024-01-02');
             CREATE TABLE currencies (code text PRIMARY KEY, rate numeric(9,4));
             INSERT INTO currencies VALUES ('EUR', 1), ('CHF', 0.9512);
             CREATE TABLE disabled (id int PRIMARY KEY);
             CREATE ROLE {name} LOGIN PASSWORD '{password}';
             GRANT USAGE ON SCHEMA public, sales TO {name};
             GRANT SELECT ON ALL TABLES IN SCHEMA public, sales TO {name};
             GRANT pg_read_all_stats TO {name};"
        ))
        .await;
    let password = MY_PASSWORD.replace('\'', "''");
    place
        .my(&format!(
            "CREATE TABLE customers (id int PRIMARY KEY, name varchar(40), changed datetime(6) NOT NULL);
             INSERT INTO customers SELECT seq, concat('n', seq), '2024-01-01' + INTERVAL seq SECOND FROM seq_1_to_500;
             CREATE TABLE visits (id bigint PRIMARY KEY, page text, changed timestamp NOT NULL);
             INSERT INTO visits SELECT seq, concat('/', seq), '2024-01-01' + INTERVAL seq SECOND FROM seq_1_to_300;
             CREATE TABLE items (id int, name text, price double);
             INSERT INTO items SELECT seq, concat('i', seq), 1.5 FROM seq_1_to_50;
             CREATE TABLE stock (shop int, sku varchar(20), n int, changed datetime NOT NULL, PRIMARY KEY (shop, sku));
             INSERT INTO stock SELECT seq % 4, concat('s', seq), seq, '2024-01-01' + INTERVAL seq SECOND FROM seq_1_to_120;
             CREATE USER '{name}'@'%' IDENTIFIED BY '{password}';
             GRANT SELECT ON {name}.* TO '{name}'@'%';
             GRANT PROCESS ON *.* TO '{name}'@'%';"
        ))
        .await;
}

/// Source and target hold the same rows.
async fn compare(place: &Place) {
    let pairs: [(&str, Rows, &str); 7] = [
        (
            "invoices",
            place.pg_rows("SELECT tenant::text, id::text, total::float8::text FROM invoices").await,
            "SELECT CAST(tenant AS STRING), CAST(id AS STRING), CAST(CAST(total AS FLOAT64) AS STRING) FROM {d}.invoices",
        ),
        (
            "sales.orders",
            place.pg_rows("SELECT id::text FROM sales.orders WHERE at < 'infinity'").await,
            "SELECT CAST(id AS STRING) FROM {d}.sales__orders",
        ),
        (
            "currencies",
            place.pg_rows("SELECT code, rate::float8::text FROM currencies").await,
            "SELECT code, CAST(CAST(rate AS FLOAT64) AS STRING) FROM {d}.fx",
        ),
        (
            "customers",
            place.my_rows("SELECT CAST(id AS CHAR), name FROM customers").await,
            "SELECT CAST(id AS STRING), name FROM {d}.customers",
        ),
        (
            "visits",
            place.my_rows("SELECT CAST(id AS CHAR), page FROM visits").await,
            "SELECT CAST(id AS STRING), page FROM {d}.web_visits",
        ),
        (
            "items",
            place.my_rows("SELECT CAST(id AS CHAR), name FROM items").await,
            "SELECT CAST(id AS STRING), name FROM {d}.items",
        ),
        (
            "stock",
            place.my_rows("SELECT CAST(shop AS CHAR), sku, CAST(n AS CHAR) FROM stock").await,
            "SELECT CAST(shop AS STRING), sku, CAST(n AS STRING) FROM {d}.stock",
        ),
    ];
    for (table, source, sql) in pairs {
        let number = |text: &String| text.parse::<f64>().map_or_else(|_| text.clone(), |number| number.to_string());
        let canon = |rows: Rows| -> Rows {
            let mut rows: Rows =
                rows.iter().map(|row| row.iter().map(|cell| cell.as_ref().map(number)).collect()).collect();
            rows.sort();
            rows
        };
        assert_eq!(canon(source), canon(place.bq(sql).await), "{table}");
    }
}

fn assert_no_secret(text: &str) {
    for password in [PG_PASSWORD, MY_PASSWORD] {
        let json = serde_json::to_string(password).unwrap();
        for form in [password, json.trim_matches('"'), "7f3b", "91cd"] {
            assert!(!text.contains(form), "{form} in {text}");
        }
    }
}

async fn an_environment_of_two_databases_runs_unchanged() {
    let place = Place::new().await;
    fill(&place).await;
    let env = example(&place, "");
    let ran = run(&place, &env, &["sync", "--all", "--json"]).await;
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_no_secret(&format!("{}{}", ran.stdout, ran.stderr));
    compare(&place).await;
    let reports = ran.reports();
    assert_eq!(reports.len(), 7, "{reports:#?}");
    let orders = reports.iter().find(|report| report.table == "sales.orders").unwrap();
    assert_eq!((orders.rows, orders.rejected), (200, 1), "{orders:?}");
    assert!(!place.tables().await.contains(&"disabled".to_owned()));
    assert_eq!(place.table("invoices").await["schema"]["fields"].as_array().unwrap().len(), 4);
    // one warning, of what has no meaning here
    let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("not taken as they stand")).collect();
    assert_eq!(warnings.len(), 1, "{}", ran.stderr);
    for name in ["DATE_FORMAT", "DEFAULT_BATCH_SIZE", "DB_MAX_OPEN_CONNECTIONS", "FINANCE_INVOICES_BATCH_SIZE"] {
        assert!(warnings[0].contains(name), "{name}: {}", warnings[0]);
    }
    // LOG_ENV=prod and LOG_LEVEL=debug
    assert!(ran.stderr.lines().all(|line| line.starts_with('{')), "{}", ran.stderr);
    assert!(ran.stderr.contains("\"severity\":\"DEBUG\""), "{}", ran.stderr);

    // only the changes move
    place.pg("UPDATE invoices SET total = 7, updated_at = '2024-02-01Z' WHERE id = 5; DELETE FROM currencies WHERE code = 'CHF'").await;
    place
        .my("UPDATE customers SET name = 'new', changed = '2024-02-01' WHERE id = 7; DELETE FROM items WHERE id > 40")
        .await;
    let ran = run(&place, &env, &["sync", "--all", "--json"]).await;
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let rows = |table: &str| ran.reports().iter().find(|report| report.table == table).unwrap().rows;
    assert_eq!((rows("invoices"), rows("customers"), rows("visits")), (1, 1, 0));
    compare(&place).await;
    place.assert_clean().await;

    // what is printed is a file that is the same configuration, and no secret is in it
    let printed = run(&place, &env, &["config"]).await;
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    assert_no_secret(&format!("{}{}", printed.stdout, printed.stderr));
    assert!(printed.stdout.contains("password: ${WEB_SHOP_DB_PASSWORD}"), "{}", printed.stdout);
    place.write_config(&printed.stdout);
    let ran = run(&place, &env, &["sync", "--all", "--json"]).await;
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let again = run(&place, &env, &["config"]).await;
    let body = |text: &str| text.split_once('\n').unwrap().1.to_owned();
    assert_eq!(body(&again.stdout), body(&printed.stdout));
    let json = run(&place, &env, &["config", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["sources"]["web-shop"]["password"], "${WEB_SHOP_DB_PASSWORD}");
    place.pg(&format!("DROP OWNED BY {0}; DROP ROLE {0}", place.name)).await;
    place.my(&format!("DROP USER '{}'@'%'", place.name)).await;
}

async fn a_dotenv_file_is_below_the_environment() {
    let place = Place::new().await;
    place.my("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)").await;
    let at = &place.stack.mysql;
    let dotenv = format!(
        "# what the environment does not say\nGCP_PROJECT_ID=demo\nexport BQ_DATASET_ID='{}'\nHIGHWATER_BUCKET={}\n\
         HIGHWATER_LOCATION=EU\nSYNC_DATABASES=a\nA_DB_HOST=wrong.invalid\nA_DB_PORT={}\nA_DB_NAME=${{BQ_DATASET_ID}}\n\
         A_DB_USER=\"{}\"\nA_DB_PASSWORD='{}'\nA_TABLES=t # the only one\n",
        place.name,
        place.bucket(),
        at.port,
        at.user,
        at.password
    );
    std::fs::write(place.folder.path().join(".env"), dotenv).unwrap();
    let mut env = place.env();
    env.push(("A_DB_HOST".into(), "127.0.0.1".into()));
    let ran = run(&place, &env, &["sync", "t", "--json"]).await;
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.report().rows, 2);
    // and it serves the variables of a file
    let text = run(&place, &env, &["config"]).await.stdout;
    place.write_config(&text);
    let ran = run(&place, &env, &["sync", "t", "--json"]).await;
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    // a line that cannot be read is told without what it holds
    std::fs::write(place.folder.path().join(".env"), "A=1\nA_DB_PASSWORD hunter2\n").unwrap();
    let ran = run(&place, &env, &["status"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains(".env:2: is not `NAME=value`") && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

async fn faults_of_the_environment_are_told_at_once() {
    let place = Place::new().await;
    let env = example(&place, "DRY_RUN=true\nFINANCE_DB_PORT=abc\nHIGHWATER_BUCKET=\nWEB_SHOP_DB_USER=\n");
    let ran = run(&place, &env, &["sync", "--all"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    for fault in
        ["DRY_RUN: a run that writes nothing", "FINANCE_DB_PORT: \"abc\"", "HIGHWATER_BUCKET:", "WEB_SHOP_DB_USER:"]
    {
        assert!(ran.stderr.contains(fault), "{fault}: {}", ran.stderr);
    }
    assert_no_secret(&ran.stderr);
    // without a file and without databases, both ways are told
    let ran = run(&place, &place.env(), &["status"]).await;
    assert!(ran.stderr.contains("--config") && ran.stderr.contains("SYNC_DATABASES"), "{}", ran.stderr);
    // a file that is named wins, and must be there
    let mut env = example(&place, "");
    env.push(("HIGHWATER_CONFIG".into(), "other.yaml".into()));
    let ran = run(&place, &env, &["status"]).await;
    assert!(ran.code == 2 && ran.stderr.contains("other.yaml: the configuration cannot be read"), "{}", ran.stderr);
}

async fn an_imported_configuration_is_printed() {
    let place = Place::new().await;
    place.my("CREATE TABLE t (id int PRIMARY KEY, u datetime NOT NULL); INSERT INTO t VALUES (1, '2024-01-01')").await;
    let text = format!(
        "project: demo\ndataset: {}\nlocation: EU\ntemp_bucket: {}\nmappings:\n  - {{ name: t, mysql_table: t, \
         bigquery_table: copy, primary_keys: [id], incremental_column: u, mode: upsert, backfill_start: 2020-01-01 }}\n",
        place.name,
        place.bucket()
    );
    std::fs::write(place.folder.path().join("old.yaml"), text).unwrap();
    let ran = place.run(&["config", "--import", "old.yaml"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains(" backfill_start: 2020-01-01"), "{}", ran.stdout);
    place.write_config(&ran.stdout);
    let at = &place.stack.mysql;
    let mut env = place.env();
    for (name, value) in [
        ("MYSQL_HOST", "127.0.0.1"),
        ("MYSQL_PORT", &at.port.to_string()),
        ("MYSQL_USER", &at.user),
        ("MYSQL_PASSWORD", &at.password),
        ("MYSQL_DATABASE", &place.name),
    ] {
        env.push((name.to_owned(), value.to_owned()));
    }
    let ran = run(&place, &env, &["sync", "--all", "--json"]).await;
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.copy").await, "1");
}
