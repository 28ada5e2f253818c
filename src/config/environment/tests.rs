//! What environments come to, what each wrong one is told, and that what is printed comes to the same.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{Config, SourceKind};
use crate::model::{Address, HookAddress, Mode, Policy, Secret, TlsMode};

/// Two databases, as an environment of old has them.
const EXAMPLE: &str = "
GCP_PROJECT_ID=acme
BQ_DATASET_ID=analytics
HIGHWATER_BUCKET=acme-highwater
HIGHWATER_LOCATION=EU
SYNC_DATABASES=finance, web-shop
SYNC_TIMEOUT=1.5h
DB_TYPE=postgres
DB_HOST=10.0.0.5
DB_SSLMODE=verify-ca
DB_TLS_CA_PATH=/secrets/ca.pem
DB_MAX_OPEN_CONNECTIONS=10
DATE_FORMAT=2006-01-02 15:04:05
DEFAULT_BATCH_SIZE=1000
FINANCE_DB_NAME=fin
FINANCE_DB_USER=reader
FINANCE_DB_PASSWORD=p@ss ${word}
FINANCE_TABLES=invoices, public.audit ,sales.Line-Items
FINANCE_INVOICES_PRIMARY_KEY=tenant, id
FINANCE_INVOICES_TIMESTAMP_COLUMN=updated_at
FINANCE_INVOICES_COLUMNS=id,total
FINANCE_INVOICES_BATCH_SIZE=500
FINANCE_SALES_LINE_ITEMS_TARGET_TABLE=items
FINANCE_SALES_LINE_ITEMS_TIMESTAMP_COLUMN=changed
WEB_SHOP_DB_TYPE=mysql
WEB_SHOP_DB_HOST=/cloudsql/p:r:i
WEB_SHOP_DB_NAME=shop
WEB_SHOP_DB_USER=r
WEB_SHOP_DB_MAX_OPEN_CONNECTIONS=5
WEB_SHOP_TABLES=orders,old
WEB_SHOP_OLD_ENABLED=false
WEB_SHOP_ORDERS_TIMESTAMP_COLUMN=u
";

/// The example with these lines changed or added.
fn env(changes: &str) -> Env {
    let lines = EXAMPLE.lines().chain(changes.lines());
    let pair = |line: &str| line.trim().split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Env::new(lines.filter_map(pair))
}

fn faults(changes: &str) -> Vec<String> {
    load(&env(changes)).map(|_| ()).unwrap_err().told().iter().map(|told| told.message.clone()).collect()
}

fn loaded(changes: &str) -> Loaded {
    load(&env(changes)).unwrap()
}

#[test]
fn an_environment_of_old() {
    let config = loaded("").config;
    assert_eq!((config.project.as_str(), config.bucket.as_str()), ("acme", "acme-highwater"));
    assert_eq!(config.server.run_budget, Duration::from_secs(5400));
    let [finance, shop] = config.sources.as_slice() else { unreachable!("two sources") };
    assert_eq!((finance.kind, shop.kind), (SourceKind::Postgres, SourceKind::MySql));
    assert_eq!(finance.connection.address, Address::Tcp { host: "10.0.0.5".into(), port: 5432 });
    assert_eq!((finance.connection.user.as_str(), finance.connection.database.as_str()), ("reader", "fin"));
    assert_eq!(finance.connection.password.as_ref().unwrap().expose(), "p@ss ${word}");
    assert_eq!(finance.connection.tls.mode, TlsMode::VerifyCa);
    assert_eq!(finance.connection.tls.ca.as_ref().unwrap().to_str(), Some("/secrets/ca.pem"));
    // what is said for all is for those that can have it
    assert_eq!(shop.connection.address, Address::Socket("/cloudsql/p:r:i".into()));
    assert_eq!((shop.connection.tls.mode, shop.connection.tls.ca.clone()), (TlsMode::Disable, None));
    let [invoices, audit, items] = finance.tables.as_slice() else { unreachable!("three tables") };
    assert_eq!((invoices.mode, invoices.cursor.as_deref()), (Mode::Merge, Some("updated_at")));
    assert_eq!(invoices.key, Some(vec!["tenant".to_owned(), "id".to_owned()]));
    assert_eq!(invoices.columns.include, Some(["id", "total", "tenant", "updated_at"].map(str::to_owned).to_vec()));
    assert_eq!((invoices.columns.policy, invoices.max_rejects.get()), (Some(Policy::Reject), 100));
    assert_eq!((invoices.limits.chunk_rows.get(), invoices.create, invoices.schema.rebuild), (250_000, true, false));
    assert_eq!((audit.mode, audit.target.table.as_str()), (Mode::Replace, "public__audit"));
    assert_eq!((items.mode, items.target.table.as_str()), (Mode::Merge, "items"));
    assert_eq!((items.key.clone(), items.location.as_str()), (None, "EU"));
    assert_eq!(shop.tables.len(), 1);
}

#[test]
fn defaults_are_those_of_old() {
    let config = loaded("SYNC_TIMEOUT=\nDB_TYPE=\nDB_SSLMODE=\nDB_TLS_CA_PATH=\nDB_PORT=3307").config;
    assert_eq!(config.server.run_budget, Duration::from_secs(600));
    assert_eq!(config.sources[0].kind, SourceKind::MySql);
    assert_eq!(config.sources[0].connection.address, Address::Tcp { host: "10.0.0.5".into(), port: 3307 });
    assert_eq!(config.sources[0].connection.tls.mode, TlsMode::VerifyFull);
}

#[test]
fn switches() {
    let config = loaded(
        "AUTO_CREATE_TABLES=false\nTRUNCATE_ON_SYNC=1\nALLOW_TABLE_RECREATION=T\nMAX_ROW_PARSE_FAILURES=-1\n\
         HIGHWATER_CHUNK_ROWS=5\nHIGHWATER_PARALLEL=2\nHIGHWATER_PREFIX=hw\nWEB_SHOP_ENABLED=false",
    )
    .config;
    assert_eq!((config.sources.len(), config.prefix.as_str(), config.parallel.get()), (1, "hw/", 2));
    for table in config.tables() {
        assert_eq!((table.mode, table.create, table.schema.rebuild), (Mode::Replace, false, true));
        assert_eq!((table.max_rejects.get(), table.limits.chunk_rows.get()), (1_000_000, 5));
    }
}

#[test]
fn reports_and_hooks() {
    let url = "https://hooks.example.com/very-secret";
    let loaded = loaded(&format!(
        "HIGHWATER_REPORTS_BIGQUERY=false\nHIGHWATER_NOTIFY_WEBHOOK={url}\nHIGHWATER_NOTIFY_PUBSUB=projects/p/topics/runs"
    ));
    assert!(!loaded.config.reports.bigquery);
    let topic = HookAddress::Topic { project: "p".into(), topic: "runs".into() };
    let addresses: Vec<HookAddress> = loaded.config.notify.hooks.into_iter().map(|hook| hook.address).collect();
    assert_eq!(addresses, [HookAddress::Webhook(Secret::new(url.to_owned())), topic]);
}

#[test]
fn who_is_told_of_lineage() {
    assert_eq!(loaded("").config.lineage, None);
    let both = "HIGHWATER_LINEAGE_URL=https://h/api/v1/lineage\nHIGHWATER_LINEAGE_TOKEN=very-secret";
    let lineage = loaded(both).config.lineage.unwrap();
    assert_eq!(lineage.url, Secret::new("https://h/api/v1/lineage".to_owned()));
    assert_eq!(lineage.token, Some(Secret::new("very-secret".to_owned())));
}

#[test]
fn who_may_call() {
    assert_eq!(loaded("").config.auth, None);
    let both = "HIGHWATER_AUTH_AUDIENCE=https://hw.run.app\nHIGHWATER_AUTH_INVOKERS=A@b.c, d@e.f";
    let auth = loaded(both).config.auth.unwrap();
    assert_eq!(auth.audiences, ["https://hw.run.app"]);
    assert_eq!(auth.invokers, ["a@b.c", "d@e.f"]);
    for (changes, told) in [
        ("HIGHWATER_AUTH_AUDIENCE=x", "HIGHWATER_AUTH_AUDIENCE: `invokers` is missing"),
        ("HIGHWATER_AUTH_INVOKERS=a@b.c", "HIGHWATER_AUTH_INVOKERS: `audience` is missing"),
        (
            "HIGHWATER_AUTH_AUDIENCE=x\nHIGHWATER_AUTH_INVOKERS=allUsers",
            "HIGHWATER_AUTH_INVOKERS: \"allUsers\" is nobody's",
        ),
    ] {
        assert!(faults(changes).iter().any(|fault| fault.starts_with(told)), "{:?}", faults(changes));
    }
    // one that is misspelt would leave the service open
    let told = faults("HIGHWATER_AUTH_AUDIENCES=x");
    assert!(told.iter().any(|line| line.starts_with("HIGHWATER_AUTH_AUDIENCES: is not known")), "{told:?}");
    // beside the others it has no effect
    let warnings = loaded(&format!("{both}\nHIGHWATER_AUTH_AUDIENCES=x")).warnings;
    assert!(warnings.iter().any(|line| line.contains("(did you mean HIGHWATER_AUTH_AUDIENCE?)")), "{warnings:?}");
}

#[test]
fn tls_modes_of_every_spelling() {
    let mode = |changes: &str| loaded(changes).config.sources[0].connection.tls.mode;
    for (said, wanted) in [
        ("disable", TlsMode::Disable),
        ("prefer", TlsMode::Require),
        ("skip-verify", TlsMode::Require),
        ("VERIFY_CA", TlsMode::VerifyCa),
        ("VERIFY_IDENTITY", TlsMode::VerifyFull),
        ("true", TlsMode::VerifyFull),
    ] {
        assert_eq!(mode(&format!("DB_TLS_MODE={said}")), wanted, "{said}");
    }
    // a database's own wins over what is said for all
    assert_eq!(mode("DB_TLS_MODE=verify-full\nFINANCE_DB_SSLMODE=require"), TlsMode::Require);
    assert_eq!(mode("DB_HOST=localhost\nDB_SSLMODE=prefer"), TlsMode::Disable);
    assert_eq!(mode("DB_HOST=localhost\nDB_SSLMODE=\nFINANCE_DB_TLS_CA_PATH=/ca"), TlsMode::VerifyFull);
}

#[test]
fn each_fault_names_the_variable_and_the_way_out() {
    for (changes, wanted) in [
        ("GCP_PROJECT_ID=", "GCP_PROJECT_ID: is not set; set it to the Google Cloud project of the targets"),
        (
            "HIGHWATER_BUCKET=",
            "HIGHWATER_BUCKET: is not set; set it to the Cloud Storage bucket for state and parts, which the variables of old \
             have no name for",
        ),
        ("BQ_DATASET_ID=a-b", "BQ_DATASET_ID: \"a-b\" is not a dataset; say letters, digits and _ only"),
        ("SYNC_TIMEOUT=10", "SYNC_TIMEOUT: \"10\" is not a duration; say for example 90s, 1m30s, 1.5h or 500ms"),
        ("SYNC_TIMEOUT=200h", "SYNC_TIMEOUT: must be within 1s and 168h"),
        (
            "DRY_RUN=true",
            "DRY_RUN: a run that writes nothing is not supported; `DRY_RUN=false highwater config` shows what would be \
             synced, unset it to sync",
        ),
        ("AUTO_CREATE_TABLES=yes", "AUTO_CREATE_TABLES: \"yes\" is not true or false"),
        ("MAX_ROW_PARSE_FAILURES=-2", "MAX_ROW_PARSE_FAILURES: \"-2\" is not a number of rows, or -1 for any"),
        ("MAX_ROW_PARSE_FAILURES=lots", "MAX_ROW_PARSE_FAILURES: \"lots\" is not a number of rows, or -1 for any"),
        ("DB_TYPE=oracle", "DB_TYPE: \"oracle\" is not one of mysql, mariadb, postgres, postgresql"),
        ("FINANCE_DB_PORT=http", "FINANCE_DB_PORT: \"http\" is not a whole number from 1 to 65535"),
        (
            "DB_HOST=",
            "FINANCE_DB_HOST: is not set; set it to the database's host, or a socket's path (DB_HOST says it for all databases)",
        ),
        (
            "DB_HOST=mysql://u:p@ss@h/d",
            "DB_HOST: is not a host; say a name, an address or a socket's path; the port goes",
        ),
        (
            "FINANCE_DB_TLS_CERT_PATH=/c\nFINANCE_DB_TLS_KEY_PATH=/k\nFINANCE_DB_SSLMODE=disable",
            "FINANCE_DB_TLS_KEY_PATH: certificates are given, and `mode: disable` would not look at them",
        ),
        ("WEB_SHOP_DB_USER=", "WEB_SHOP_DB_USER: is not set; set it to the database's user"),
        ("FINANCE_DB_NAME=", "FINANCE_DB_NAME: is not set; set it to the database's name"),
        ("FINANCE_DB_NAME=a/b", "FINANCE_DB_NAME: \"a/b\" is not a database's name: it may hold no `/`"),
        ("FINANCE_TABLES=", "FINANCE_TABLES: is not set; set it to the list of tables, with commas between them"),
        ("WEB_SHOP_ORDERS_ENABLED=false", "WEB_SHOP_TABLES: names no table; name at least one"),
        ("FINANCE_ENABLED=0\nWEB_SHOP_ENABLED=0", "SYNC_DATABASES: names no source; name at least one database"),
        (
            "SYNC_DATABASES=finance,web-shop,web_shop",
            "SYNC_DATABASES: web-shop and web_shop have the same variables WEB_SHOP_…; rename or remove one",
        ),
        ("WEB_SHOP_TABLES=orders,orders", "WEB_SHOP_TABLES: names orders twice; remove one"),
        (
            "WEB_SHOP_TABLES=a.b,a_b\nWEB_SHOP_A_B_COLUMNS=x",
            "WEB_SHOP_TABLES: a.b and a_b have the same variables WEB_SHOP_A_B_…; only a file can tell them apart",
        ),
        (
            "WEB_SHOP_ORDERS_TARGET_TABLE=invoices",
            "WEB_SHOP_ORDERS_TARGET_TABLE: finance/invoices and web-shop/orders have the same target invoices; set another \
             one here",
        ),
        (
            "WEB_SHOP_ORDERS_TARGET_TABLE=a;b",
            "WEB_SHOP_ORDERS_TARGET_TABLE: \"a;b\" is not a BigQuery table name; say letters, digits, _, - and spaces only",
        ),
        (
            "DB_SSLMODE=tls",
            "DB_SSLMODE: \"tls\" is not one of disable, disabled, false, allow, prefer, preferred, require",
        ),
        ("DB_TLS_CERT_PATH=/cert", "DB_TLS_CERT_PATH: `cert` and `key` go together; give both or neither"),
        ("LOG_LEVEL=loud", "LOG_LEVEL: \"loud\" is not one of debug, info, warn"),
        ("LOG_ENV=test", "LOG_ENV: \"test\" is not one of dev, prod"),
        ("HIGHWATER_CHUNK_ROWS=0", "HIGHWATER_CHUNK_ROWS: 0 is not within 1 to 1000000000 rows"),
    ] {
        let told = faults(changes);
        assert!(told.len() == 1 && told[0].starts_with(wanted), "{changes}: wanted {wanted}\ngot {told:#?}");
    }
}

#[test]
fn every_fault_is_reported_at_once_and_no_secret() {
    let told =
        faults("GCP_PROJECT_ID=\nHIGHWATER_BUCKET=\nDRY_RUN=1\nDB_PORT=x\nFINANCE_DB_USER=\nSYNC_TIMEOUT=x\nLOG_ENV=x");
    assert_eq!(told.len(), 7, "{told:#?}");
    assert!(told.iter().all(|line| !line.contains("p@ss")), "{told:#?}");
}

#[test]
fn one_warning_names_what_has_no_meaning_here() {
    let loaded = loaded("DB_TLS_SERVER_NAME=db.internal\nMAX_ROW_PARSE_FAILURES=-1\nDB_READ_TIMEOUT=30s");
    let [warning] = loaded.warnings.as_slice() else { unreachable!("one warning: {:#?}", loaded.warnings) };
    for part in [
        "DB_MAX_OPEN_CONNECTIONS, WEB_SHOP_DB_MAX_OPEN_CONNECTIONS: there is no pool",
        "DATE_FORMAT: values are written by their types",
        "DEFAULT_BATCH_SIZE, FINANCE_INVOICES_BATCH_SIZE: rows are not inserted in batches",
        "FINANCE_INVOICES_COLUMNS: the columns of key and timestamp are synced",
        "DB_TLS_SERVER_NAME: the driver checks the certificate against the host",
        "DB_READ_TIMEOUT: waits have limits of their own",
        "MAX_ROW_PARSE_FAILURES: the most rows of a run that may be rejected are 1000000",
    ] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    let quiet = "DB_MAX_OPEN_CONNECTIONS=\nWEB_SHOP_DB_MAX_OPEN_CONNECTIONS=\nDATE_FORMAT=\nDEFAULT_BATCH_SIZE=\n\
                 FINANCE_INVOICES_BATCH_SIZE=\nFINANCE_INVOICES_COLUMNS=*";
    assert_eq!(self::loaded(quiet).warnings, Vec::<String>::new());
    let replaced = self::loaded("TRUNCATE_ON_SYNC=true").warnings.join("");
    assert!(replaced.contains("WEB_SHOP_ORDERS_TIMESTAMP_COLUMN: TRUNCATE_ON_SYNC=true replaces"), "{replaced}");
}

#[test]
fn unknown_variables_of_ours_are_named() {
    let loaded = loaded(
        "FINANCE_DB_HOTS=x\nFINANCE_INVOICES_PRIMARYKEY=id\nFINANCE_INVOICE_TIMESTAMP_COLUMN=u\nDB_PASSWORD=s3cret\n\
         FINANCE_HOME=/x\nSHOP_DB_HOST=x\nWEB_SHOP_OLD_COLUMNS=a",
    );
    assert_eq!(
        loaded.warnings[1],
        "unknown variables, which have no effect: DB_PASSWORD, FINANCE_DB_HOTS (did you mean FINANCE_DB_HOST?), \
         FINANCE_INVOICES_PRIMARYKEY (did you mean FINANCE_INVOICES_PRIMARY_KEY?), FINANCE_INVOICE_TIMESTAMP_COLUMN (did \
         you mean FINANCE_INVOICES_TIMESTAMP_COLUMN?)"
    );
}

#[test]
fn what_is_printed_comes_to_the_same() {
    for changes in [
        "",
        "TRUNCATE_ON_SYNC=true\nAUTO_CREATE_TABLES=f\nALLOW_TABLE_RECREATION=1",
        "DB_HOST=fd00::1\nDB_PORT=5433\nDB_SSLMODE=prefer\nFINANCE_DB_USER=a@b:c/d?e#f%\nFINANCE_DB_NAME=d ${x}",
        "FINANCE_DB_HOST=/run/pg\nFINANCE_DB_PORT=5433\nFINANCE_INVOICES_PRIMARY_KEY=${id},{a},#,'\"\nHIGHWATER_PREFIX=${p}",
    ] {
        let env = env(changes);
        let before = load(&env).unwrap();
        let yaml = before.yaml(&env);
        let again = Config::parse(&yaml, "printed.yaml", &env).map_err(|errors| format!("{errors}\n{yaml}")).unwrap();
        assert_eq!(format!("{again:?}"), format!("{:?}", before.config), "{yaml}");
        assert!(!yaml.contains("p@ss") && yaml.contains("password: ${FINANCE_DB_PASSWORD}"), "{yaml}");
        let password = |config: &Config| config.sources[0].connection.password.as_ref().unwrap().expose().to_owned();
        assert_eq!(password(&again), password(&before.config));
        // JSON is YAML too
        let json = serde_json::to_string(&before.json(&env)).unwrap();
        let again = Config::parse(&json, "printed.json", &env).unwrap();
        assert_eq!(format!("{again:?}"), format!("{:?}", before.config), "{json}");
    }
}

#[test]
fn files_are_printed_without_their_secrets() {
    let text = "project: ${P}\ndataset: d\nbucket: acme-highwater\ndefaults: { hash_salt: '${SALT}' }\nsources:\n  \
                s:\n    url: mysql://u:hunter2@${HOST}:3307/d\n    tables: { t: { cursor: c, where: \"x = '${SALT}'\", hash: e } }\n  \
                v: { url: '${URL}', password: swordfish, tables: { t: { mode: replace, target: v } } }\n";
    let pairs = [("P", "acme"), ("SALT", "pepper"), ("HOST", "h"), ("URL", "postgres://a:correcthorse@b/c")];
    let env = Env::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let loaded = Document::parse(text, "f.yaml").unwrap().read(&env, Findings::default(), Vec::new()).unwrap();
    let yaml = loaded.yaml(&env);
    for part in [
        "project: acme\n",
        "hash_salt: ${SALT}\n",
        "url: mysql://u:********@h:3307/d\n",
        "where: \"x = '${SALT}'\"\n",
        "url: ${URL}\n",
        "password: \"********\"\n",
        "hash: e\n",
    ] {
        assert!(yaml.contains(part), "{part}: {yaml}");
    }
    let json = serde_json::to_string(&loaded.json(&env)).unwrap();
    for secret in ["hunter2", "pepper", "swordfish", "correcthorse"] {
        assert!(!yaml.contains(secret) && !json.contains(secret), "{secret}");
    }
    let printed = format!("{loaded:?}");
    assert!(!["hunter2", "swordfish", "correcthorse"].iter().any(|secret| printed.contains(secret)), "{printed}");
    let again = Config::parse(&yaml, "printed.yaml", &env).unwrap();
    let tables = |config: &Config| format!("{:?}", config.tables().collect::<Vec<_>>());
    assert_eq!(tables(&again), tables(&loaded.config));
}

proptest! {
    #[test]
    fn no_environment_panics(name in 0_usize..40, value in any::<String>()) {
        let names: Vec<&str> = EXAMPLE.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        let changes = format!("{}={}", names[name % names.len()], value.replace(['\n', '\r'], ""));
        let env = env(&changes);
        if let Ok(loaded) = load(&env) {
            let yaml = loaded.yaml(&env);
            let again = Config::parse(&yaml, "printed.yaml", &env).map_err(|errors| format!("{errors}\n{yaml}")).unwrap();
            prop_assert_eq!(format!("{again:?}"), format!("{:?}", loaded.config), "{}", yaml);
        }
    }
}
