//! What configurations come to, and what each wrong one is told.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use proptest::prelude::*;

use super::*;
use crate::model::{
    Address, ArraysAs, BqType, DeletesSettings, Fraction, Mode, NullCursor, NumericAs, Policy, Removal, SchemaSettings,
    SourceTable, TimeUnit, TlsMode, WantedPartitioning, WantedType,
};

const BASE: &str = "project: p\ndataset: d\nbucket: acme-highwater\n";

fn env(pairs: &[(&str, &str)]) -> Env {
    Env::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn parse(text: &str, pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    Config::parse(text, "f.yaml", &env(pairs))
        .map_err(|errors| errors.told().iter().map(|told| told.message.clone()).collect())
}

fn source(tables: &str) -> String {
    format!("{BASE}sources:\n  s:\n    url: mysql://u:pw-secret@10.0.0.5/db\n    tables:\n{tables}")
}

#[test]
fn a_whole_configuration() {
    let text = r#"
project: ${GCP_PROJECT_ID}
dataset: analytics
location: EU
bucket: gs://acme-highwater
prefix: /hw/
parallel: 2
server: { run_budget: 4m30s, max_concurrent_runs: 8 }
defaults: { chunk_rows: 250000, part_bytes: 4 MiB, lookback: 5s }
sources:
  finance:
    url: mysql://reader:p%40ss@10.0.0.5/finance
    tls: { mode: verify-ca, ca: /secrets/ca.pem }
    tables:
      invoices: { cursor: updated_at, partition_by: created_at, cluster_by: [customer_id] }
      audit: { mode: append, cursor: id, key: [id], chunk_rows: 10 }
      currencies: { mode: replace, create: false }
  web:
    url: postgresql://reader@/shop?host=/cloudsql/p:r:i
    password: ${PW:-none}
    dataset: web
    tables:
      "sales.\"odd.name\"":
        cursor: updated_at
        partition_by: { column: n, start: 0, end: 100, interval: 10 }
        target: other.odd
        null_cursor: include
      orders: { cursor: c, cursor_timezone: Europe/Berlin, partition_by: { column: d, unit: month } }
"#;
    let config = parse(text, &[("GCP_PROJECT_ID", "acme"), ("PORT", "9000")]).unwrap();
    assert_eq!((config.bucket.as_str(), config.prefix.as_str()), ("acme-highwater", "hw/"));
    assert_eq!((config.server.listen_port, config.server.run_budget), (9000, Duration::from_secs(270)));
    let [finance, web] = config.sources.as_slice() else { unreachable!("two sources") };
    assert_eq!(finance.connection.address, Address::Tcp { host: "10.0.0.5".into(), port: 3306 });
    assert_eq!(finance.connection.password.as_ref().unwrap().expose(), "p@ss");
    assert_eq!(finance.connection.tls.mode, TlsMode::VerifyCa);
    assert_eq!(web.connection.address, Address::Socket("/cloudsql/p:r:i".into()));
    assert_eq!(web.connection.tls.mode, TlsMode::Disable);
    assert_eq!(web.connection.password.as_ref().unwrap().expose(), "none");
    let [invoices, audit, currencies] = finance.tables.as_slice() else { unreachable!("three tables") };
    assert_eq!(invoices.target.to_string(), "acme.analytics.invoices");
    assert_eq!(
        invoices.partitioning,
        Some(WantedPartitioning::Time { column: "created_at".into(), unit: TimeUnit::Day })
    );
    assert_eq!((invoices.limits.chunk_rows.get(), invoices.limits.part_bytes.get()), (250_000, 4 << 20));
    assert_eq!((invoices.lookback, audit.lookback), (Duration::from_secs(5), Duration::ZERO));
    assert_eq!((audit.mode, audit.limits.chunk_rows.get()), (Mode::Append, 10));
    assert_eq!((currencies.mode, currencies.cursor.clone()), (Mode::Replace, None));
    let [odd, orders] = web.tables.as_slice() else { unreachable!("two tables") };
    assert_eq!(odd.table, SourceTable { schema: Some("sales".into()), name: "odd.name".into() });
    assert_eq!((odd.target.to_string().as_str(), odd.null_cursor), ("acme.other.odd", NullCursor::Include));
    assert_eq!(orders.table, SourceTable { schema: Some("public".into()), name: "orders".into() });
    assert_eq!(orders.target.to_string(), "acme.web.orders");
    assert_eq!((orders.create, currencies.create), (true, false));
    assert!(!format!("{config:?}").contains("p@ss"));
}

#[test]
fn tls_is_verified_unless_nobody_else_can_listen() {
    let mode = |host: &str| {
        let text = format!("{BASE}sources: {{s: {{url: 'postgres://u@{host}/d', tables: {{t: {{mode: replace}}}}}}}}");
        parse(&text, &[]).unwrap().sources[0].connection.tls.mode
    };
    assert_eq!(mode("db.example.com"), TlsMode::VerifyFull);
    assert_eq!(mode("10.1.2.3"), TlsMode::VerifyFull);
    assert_eq!(mode("127.0.0.1"), TlsMode::Disable);
    assert_eq!(mode("[::1]"), TlsMode::Disable);
    assert_eq!(mode("localhost"), TlsMode::Disable);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of configurations and what each is told")]
fn each_fault_says_where_and_the_way_out() {
    let table: Vec<(String, &str)> = vec![
        (String::new(), "f.yaml:1:1: the file is empty; mend the file at that place (line and column)"),
        (
            "a: b: c".into(),
            "f.yaml:1:5: not YAML: mapping values are not allowed in this context; mend the file at that place (line and column)",
        ),
        (
            source("      t: {curser: x, mode: replace}"),
            "f.yaml:8:11: sources.s.tables.t.curser: unknown key; did you mean `cursor`?",
        ),
        (
            source("      t: {}"),
            "f.yaml:8:10: sources.s.tables.t: `cursor` is missing; name the column that grows when a row changes, or say `mode: replace`",
        ),
        (
            source("      t: {mode: upsert, cursor: c}"),
            "f.yaml:8:17: sources.s.tables.t.mode: \"upsert\" is not one of merge, append, replace; say one of them",
        ),
        (
            source("      t: {cursor: c, chunk_rows: lots}"),
            "f.yaml:8:34: sources.s.tables.t.chunk_rows: \"lots\" is not a number or size; say for example 250000 or 8 MiB",
        ),
        (
            source("      t: {cursor: c, chunk_rows: 0}"),
            "f.yaml:8:34: sources.s.tables.t.chunk_rows: 0 is not within 1 to 1000000000 rows; give a value that the key takes",
        ),
        (
            source("      t: {cursor: c, gzip_level: 10}"),
            "f.yaml:8:34: sources.s.tables.t.gzip_level: 10 is not within 0 to 9 (gzip level); give a value that the key takes",
        ),
        (
            source("      t: {cursor: c, lag: 5}"),
            "f.yaml:8:27: sources.s.tables.t.lag: \"5\" is not a duration; say for example 90s, 1m30s or 2h",
        ),
        (
            source("      t: {cursor: c, cursor_timezone: Berlin}"),
            "f.yaml:8:39: sources.s.tables.t.cursor_timezone: \"Berlin\" is not a time zone; say for example UTC or Europe/Berlin",
        ),
        (
            source("      t: {mode: replace, cursor: c}"),
            "f.yaml:8:26: sources.s.tables.t.cursor: `mode: replace` reads the whole table each time and has no cursor; remove one of them",
        ),
        (
            source("      t: {mode: append, cursor: c, lookback: 1s}"),
            "f.yaml:8:36: sources.s.tables.t.lookback: rows are read again only in `mode: merge`; remove one of them",
        ),
        (
            source("      t: {cursor: c}\n      t: {cursor: c}"),
            "f.yaml:9:7: sources.s.tables.t: the key is there twice; remove one",
        ),
        (
            source("      'tmp_[a*': {cursor: c}"),
            "f.yaml:8:7: sources.s.tables.tmp_[a*: has a `[` without its `]`; a name with brackets in it stands in double quotes",
        ),
        (
            source("      't*': {cursor: c, target: 'x{schema}'}"),
            "f.yaml:8:33: sources.s.tables.t*.target: \"x{schema}\": every table of the pattern would have this target; say where its name goes, as in \"raw_{table}\"",
        ),
        (
            source("      't*': {cursor: c, target: '{tables}{table}'}"),
            "f.yaml:8:33: sources.s.tables.t*.target: \"{tables}\" is not known here; there are {schema} and {table}",
        ),
        (
            source("      'a.*': {cursor: c, target: 'x_{table}'}\n      'b.*': {cursor: c, target: 'x_{table}'}"),
            "f.yaml:5:3: sources: s/a.* and s/b.* can mean tables of one name in several schemas, which would have the same target; put {schema} into `target`",
        ),
        (
            source("      'x*.*': {cursor: c, target: 'x_{table}'}"),
            "f.yaml:5:3: sources: s/x*.* can mean tables of one name in several schemas, which would have the same target; put {schema} into `target`",
        ),
        (
            source("      t: {cursor: c, schedule: '*/5 * * *'}"),
            "f.yaml:8:32: sources.s.tables.t.schedule: \"*/5 * * *\" has 4 fields; it takes 5, minute hour day-of-month month day-of-week: `*/5 * * * *` is every 5 minutes, `30 2 * * *` each day at 2:30",
        ),
        (
            source("      t: {cursor: c}\n    exclude: tmp_*"),
            "f.yaml:9:5: sources.s.exclude: is about patterns, and `tables` has none; remove it",
        ),
        (
            format!(
                "{BASE}sources:\n  a: {{url: 'mysql://u@h/d', tables: {{'x*': {{mode: replace}}}}}}\n  b: {{url: 'mysql://u@h/e', tables: {{'?y': {{mode: replace}}}}}}"
            ),
            "f.yaml:5:3: sources: a/x* and b/?y can mean tables of one name, which would have the same target in d; say `target: \"b_{table}\"` for one, or another `dataset` for its source",
        ),
        (
            source("      a.b.c: {cursor: c}"),
            "f.yaml:8:7: sources.s.tables.a.b.c: has more than two parts; say `table` or `schema.table`, names with a dot in double quotes",
        ),
        (
            source("      t: {cursor: c, target: 'a;b'}"),
            "f.yaml:8:30: sources.s.tables.t.target: \"a;b\" is not a BigQuery table name; say letters, digits, _, - and spaces only",
        ),
        (
            source("      a: {cursor: c, target: x}\n      b: {cursor: c, target: x}"),
            "f.yaml:5:3: sources: s/a and s/b have the same target p.d.x; set `target` on one",
        ),
        (
            source("      t: {cursor: c, cluster_by: [a, b, c, d, e]}"),
            "f.yaml:8:22: sources.s.tables.t.cluster_by: BigQuery clusters by at most 4 columns; give a value that the key takes",
        ),
        (
            source("      t: {cursor: c, partition_by: {column: a, start: 1}}"),
            "f.yaml:8:36: sources.s.tables.t.partition_by: a range needs `start`, `end` and `interval`; say all three",
        ),
        (
            source("      t: {cursor: c, partition_immutable: true}"),
            "f.yaml:8:22: sources.s.tables.t.partition_immutable: it is about the column of `partition_by`, which is missing; add that, or remove this",
        ),
        (
            source("      t: {mode: append, cursor: c, partition_by: d, partition_immutable: true}"),
            "f.yaml:8:53: sources.s.tables.t.partition_immutable: only `mode: merge` looks for rows in the target; remove one of them",
        ),
        (
            source("      t: {cursor: [a, b]}"),
            "f.yaml:8:11: sources.s.tables.t.cursor: a list of columns to choose from is for patterns; name the one column",
        ),
        (
            source("      t: 5"),
            "f.yaml:8:10: sources.s.tables.t: must be a mapping (`key: value` lines), not one value; give a value that the key takes",
        ),
        (
            format!("{BASE}sources: {{s: {{url: 'oracle://x', tables: {{t: {{mode: replace}}}}}}}}"),
            "f.yaml:4:20: sources.s.url: oracle:// is not a database of ours; say postgres:// or mysql://",
        ),
        (
            format!("{BASE}sources: {{s: {{url: 'mysql://u:${{NOPE}}@h/d', tables: {{t: {{mode: replace}}}}}}}}"),
            "f.yaml:4:20: sources.s.url: the variable NOPE is not set; set it, or say `${NOPE:-default}`",
        ),
        (
            format!(
                "{BASE}sources: {{s: {{url: 'postgres://u@h/d?sslmode=require', tables: {{t: {{mode: replace}}}}}}}}"
            ),
            "f.yaml:4:20: sources.s.url: `sslmode` in the url; use the source's `tls: {mode, ca, cert, key}`",
        ),
        (
            format!("{BASE}sources: {{s: {{url: 'postgres://u@h', tables: {{t: {{mode: replace}}}}}}}}"),
            "f.yaml:4:20: sources.s.url: names no database; say for example postgres://user:${PASSWORD}@host:5432/database",
        ),
        (
            format!(
                "{BASE}sources: {{s: {{url: 'postgres://u:pw@h/d', login: iam, tables: {{t: {{mode: replace}}}}}}}}"
            ),
            "f.yaml:4:43: sources.s.login: `iam` logs in by a token, and there is a password too; remove one of them",
        ),
        (
            format!(
                "{BASE}sources: {{s: {{url: 'mysql://u@h/d', login: iam, tls: {{mode: require}}, tables: {{t: {{mode: replace}}}}}}}}"
            ),
            "f.yaml:4:37: sources.s.login: `iam` sends a token, which over TCP is sent to a verified server only; say `tls.mode: verify-full` or `verify-ca`, or a Unix socket in the url",
        ),
        (
            format!(
                "{BASE}sources: {{s: {{url: 'mysql://u@localhost/d', login: iam, tables: {{t: {{mode: replace}}}}}}}}"
            ),
            "f.yaml:4:45: sources.s.login: `iam` sends a token, which over TCP is sent to a verified server only; say `tls.mode: verify-full` or `verify-ca`, or a Unix socket in the url",
        ),
        (
            format!("{BASE}sources: {{s: {{url: 'mysql://u@h/d', login: token, tables: {{t: {{mode: replace}}}}}}}}"),
            "f.yaml:4:44: sources.s.login: \"token\" is not one of password, iam; say one of them",
        ),
        (
            format!("{BASE}sources: {{s: {{url: 'mysql://u@h/d', schema: x, tables: {{t: {{mode: replace}}}}}}}}"),
            "f.yaml:4:37: sources.s.schema: is for PostgreSQL; a MySQL source reads the database of its url",
        ),
        (
            format!(
                "{BASE}sources: {{s: {{url: 'mysql://u@h/d', tls: {{cert: a}}, tables: {{t: {{mode: replace}}}}}}}}"
            ),
            "f.yaml:4:42: sources.s.tls: `cert` and `key` go together; give both or neither",
        ),
        (BASE.to_owned(), "f.yaml:1:1: `sources` is missing; name at least one database"),
        (
            "dataset: d\nbucket: acme-hw\nsources: {s: {url: 'mysql://u@h/d', tables: {t: {mode: replace}}}}".into(),
            "f.yaml:1:1: `project` is missing; add it",
        ),
        (
            format!("{BASE}serverr: 1\nsources: {{s: {{url: 'mysql://u@h/d', tables: {{t: {{mode: replace}}}}}}}}"),
            "f.yaml:4:1: serverr: unknown key; did you mean `server`?",
        ),
        (
            format!("{BASE}schedule: 1\nsources: {{s: {{url: 'mysql://u@h/d', tables: {{t: {{mode: replace}}}}}}}}"),
            "f.yaml:4:1: schedule: unknown key; known here: auth, bucket, dataset, defaults, job_project, lineage, location, notify, parallel, prefix, project, reports, server, sources, state",
        ),
    ];
    let mut wrong = Vec::new();
    for (text, wanted) in table {
        let told = parse(&text, &[]).err();
        if told != Some(vec![wanted.to_owned()]) {
            wrong.push(format!("wanted {wanted}\n   got {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_fault_is_reported_at_once_and_no_secret() {
    let text = "project: P!\nbucket: x\nsources:\n  's s':\n    url: mysql://u:pw-secret@h/\n    tables:\n      t: {modee: 1}\n";
    let faults = parse(text, &[("PORT", "http")]).unwrap_err();
    assert_eq!(faults.len(), 8, "{faults:#?}");
    assert!(faults.iter().all(|fault| !fault.contains("pw-secret")));
}

#[test]
fn variables_cannot_break_out_of_their_value() {
    let text = format!(
        "{BASE}sources: {{s: {{url: 'mysql://u@h/d', password: '${{PW}}$${{x}}', tables: {{t: {{mode: replace}}}}}}}}"
    );
    let evil = "a: b\n- \"}#${HOME}";
    let config = parse(&text, &[("PW", evil)]).unwrap();
    let password = config.sources[0].connection.password.as_ref().unwrap();
    assert_eq!(password.expose(), format!("{evil}${{x}}"));
}

#[test]
fn emulators_come_from_the_environment() {
    let text = source("      t: {mode: replace}");
    let config =
        parse(&text, &[("STORAGE_EMULATOR_HOST", "127.0.0.1:4443"), ("BIGQUERY_EMULATOR_HOST", "http://h:1")]).unwrap();
    assert_eq!(config.endpoints.storage, Endpoint::Emulator("http://127.0.0.1:4443".parse().unwrap()));
    assert_eq!(config.endpoints.bigquery, Endpoint::Emulator("http://h:1".parse().unwrap()));
    assert!(parse(&text, &[("STORAGE_EMULATOR_HOST", "::")]).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "[ -~\n\t${}:\\[\\]\"'&*!|>]{0,200}") {
        drop(parse(&text, &[]));
    }

    #[test]
    fn no_url_panics(text in any::<String>()) {
        let quoted = serde_json::to_string(&text).unwrap();
        drop(parse(&format!("{BASE}sources: {{s: {{url: {quoted}, tables: {{t: {{mode: replace}}}}}}}}"), &[]));
    }
}

#[test]
fn column_settings_are_read_and_inherited() {
    let text = format!(
        "{}{}",
        source(
            r#"      a:
        cursor: u
        unrepresentable: { default: clamp, columns: { x: null, y: fail } }
        types: { x: string, y: "ARRAY<INT64>" }
        hash: [email]
        exclude_columns: secret
        where: "kind <> 'x'"
        schema: { incompatible: rebuild }
      b: { cursor: u, unrepresentable: null, naive_timestamps: datetime, columns: [id, u] }
      c: { mode: append, cursor: id }
"#
        ),
        r#"    defaults:
      hash_salt: ${SALT}
      unrepresentable: reject
      max_rejects: 5
      numeric: string
      arrays: repeated
      metadata_columns: true
      naive_timestamps: { as: timestamp, timezone: Europe/Berlin }
      schema: { add: false, backfill_added: true }
"#
    );
    let config = parse(&text, &[("SALT", "pepper")]).unwrap();
    let [a, b, c] = config.sources[0].tables.as_slice() else { unreachable!("three tables") };
    assert_eq!((a.columns.policy, a.columns.policies["x"]), (Some(Policy::Clamp), Policy::Null));
    assert_eq!((a.columns.policies["y"], a.max_rejects.get()), (Policy::Fail, 5));
    assert_eq!(a.columns.types["x"], WantedType { ty: BqType::String, repeated: false });
    assert_eq!(a.columns.types["y"], WantedType { ty: BqType::Int64, repeated: true });
    assert_eq!(
        (a.columns.hash.as_slice(), a.columns.salt.as_ref().unwrap().expose()),
        (&["email".to_owned()][..], "pepper")
    );
    assert_eq!((a.columns.exclude.as_slice(), a.filter.as_deref()), (&["secret".to_owned()][..], Some("kind <> 'x'")));
    assert_eq!(a.schema, SchemaSettings { add: false, backfill_added: true, rebuild: true });
    assert_eq!(
        (a.columns.numeric, a.columns.arrays, a.columns.metadata),
        (NumericAs::String, ArraysAs::Repeated, true)
    );
    // the word null is a policy, and what a table says wins
    assert_eq!((b.columns.policy, b.columns.naive_zone.clone()), (Some(Policy::Null), None));
    assert_eq!((c.columns.policy, c.columns.naive_zone.as_deref()), (Some(Policy::Reject), Some("Europe/Berlin")));
    assert_eq!((b.cursor_timezone.as_str(), c.cursor_timezone.as_str()), ("UTC", "Europe/Berlin"));
    assert_eq!((c.schema.backfill_added, c.columns.salt.clone()), (false, None));
    assert!(!format!("{config:?}").contains("pepper"));
}

#[test]
fn column_settings_that_are_wrong_are_told() {
    for (settings, fault) in [
        ("unrepresentable: drop", "unrepresentable: \"drop\" is not one of null, clamp, reject, fail"),
        ("unrepresentable: { columns: { x: drop } }", "unrepresentable.columns.x: \"drop\" is not one of"),
        ("unrepresentable: { colums: { x: fail } }", "did you mean `columns`?"),
        ("types: { x: VARCHAR }", "types.x: \"VARCHAR\" is not a type; there are INT64"),
        ("types: { x: 'NUMERIC(10,2)' }", "parameters are not supported; say NUMERIC"),
        ("types: { x: }", "types.x: \"\" is not a type"),
        ("naive_timestamps: timestamp", "`as: timestamp` needs `timezone`"),
        ("naive_timestamps: { as: timestamp }", "`as: timestamp` needs `timezone`"),
        ("naive_timestamps: { as: timestamp, timezone: Berlin }", "\"Berlin\" is not a time zone"),
        ("naive_timestamps: { as: datetime, timezone: UTC }", "a DATETIME has no zone"),
        ("hash: email", "needs `hash_salt`"),
        ("hash: email, hash_salt: s, types: { email: STRING }", "stands in `types` too"),
        ("columns: [a], exclude_columns: [a]", "stands in `columns` too"),
        ("max_rejects: -1", "is not a number"),
        ("metadata_columns: yes", "\"yes\" is not one of true, false"),
        ("schema: { incompatible: drop }", "\"drop\" is not one of fail, rebuild"),
        ("mode: append, schema: { backfill_added: true }", "which only `mode: merge` can"),
        ("deletes: yes", "deletes: \"yes\" is not one of none, soft, hard"),
        ("deletes: { every: 6h }", "t.deletes: `mode` is missing"),
        ("deletes: { mode: soft, evry: 6h }", "did you mean `every`?"),
        ("deletes: soft, max_delete_fraction: 20%", "\"20%\" is not a part of the whole; say a number from 0 to 1"),
        ("deletes: soft, metadata_columns: false", "marks rows in `_deleted_at`, which is one of them"),
        ("mode: append, deletes: hard", "`mode: append` keeps every row that ever was"),
    ] {
        let faults = parse(&source(&format!("      t: {{ cursor: u, {settings} }}\n")), &[]).unwrap_err();
        assert!(faults.iter().any(|line| line.contains(fault)), "{settings}: {faults:?}");
    }
    let faults =
        parse(&format!("{BASE}defaults: {{ unrepresentable: {{ columns: {{ x: fail }} }} }}\n"), &[]).unwrap_err();
    assert!(faults.iter().any(|line| line.contains("only `default` can be inherited")), "{faults:?}");
}

#[test]
fn a_fault_is_one_line_of_a_length_that_can_be_read() {
    let long = "x".repeat(100_000);
    for (key, shown) in
        [("\"a\\nb\"", "a\\nb"), ("\"\\e[2J\"", "\\u{1b}[2J"), (&long, "xxx …"), ("\"\\0\"", "\\u{0}: unknown")]
    {
        let faults = parse(&format!("{BASE}? {key}\n: 1\n"), &[]).unwrap_err();
        assert!(faults.iter().any(|line| line.contains(shown)), "{shown}");
        for line in faults {
            assert!(!line.chars().any(char::is_control) && line.len() < 1100, "{line:?}");
        }
    }
}

#[test]
fn a_password_before_a_scheme_is_not_shown() {
    let text = format!("{BASE}sources: {{ s: {{ url: 'u:hunter2@h/d?x://', tables: {{ t: {{ cursor: c }} }} }} }}\n");
    let faults = parse(&text, &[]).unwrap_err();
    assert!(faults.iter().any(|line| line.contains("is not a database url")), "{faults:?}");
    assert!(!faults.iter().any(|line| line.contains("hunter2")), "{faults:?}");
}

#[test]
fn aliases_cannot_fill_the_memory() {
    // 1 MiB of text a thousand times, and a billion laughs
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(1000));
    let faults = parse(&text, &[]).unwrap_err();
    assert!(faults[0].contains("aliases repeat more than"), "{faults:?}");
    let mut laughs = "a0: &a0 lol\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let faults = parse(&laughs, &[]).unwrap_err();
    assert!(faults[0].contains("aliases repeat more than 200000 values"), "{faults:?}");
    let nested = format!(
        "a: {}{}{}\n",
        (0..20).map(|at| format!("&n{at} [")).collect::<String>(),
        "x".repeat(1 << 20),
        "]".repeat(20)
    );
    let faults = parse(&nested, &[]).unwrap_err();
    assert!(faults[0].contains("anchors hold more than 16 MiB"), "{faults:?}");
}

#[test]
fn faults_do_not_repeat_what_a_variable_holds() {
    let text = format!("{BASE}parallel: ${{SALT}}\nserver: {{ run_budget: 'x${{SALT}}', listen_port: '${{SALT}}' }}\n");
    let faults = parse(&text, &[("SALT", "a \"secret\"\\")]).unwrap_err();
    assert_eq!(faults.iter().filter(|line| line.contains("${SALT}\" is not a")).count(), 3, "{faults:?}");
    assert!(faults.iter().all(|line| !line.contains("secret")), "{faults:?}");
}

#[test]
fn deletes_are_read_and_inherited() {
    let text = "      a: { cursor: u }\n      b: { cursor: u, deletes: none }\n      c: { mode: append, cursor: id }\n      \
                d: { cursor: u, deletes: { mode: hard, every: 6h }, max_delete_fraction: 0.05 }\n";
    let config = parse(&format!("{}defaults: {{ deletes: soft }}\n", source(text)), &[]).unwrap();
    let deletes: Vec<_> = config.tables().map(|table| table.deletes).collect();
    let day = Duration::from_secs(86_400);
    let of =
        |removal, every, part| Some(DeletesSettings { removal, every, max_fraction: Fraction::parse(part).unwrap() });
    let hard = of(Removal::Hard, Duration::from_secs(6 * 3600), "0.05");
    assert_eq!(deletes, [of(Removal::Soft, day, "0.2"), None, None, hard]);
    // rows are marked in a column of ours
    let metadata: Vec<bool> = config.tables().map(|table| table.columns.metadata).collect();
    assert_eq!(metadata, [true, false, false, false]);
}
