//! Which tables patterns mean, and what they come to.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use proptest::prelude::*;

use crate::config::{Config, Env, SourceConfig};
use crate::model::{Listed, Mode, SourceTable, TableKind, TableSettings};

fn source(url: &str, rest: &str) -> SourceConfig {
    let text = format!("project: p\ndataset: d\nbucket: acme-highwater\nsources:\n  s:\n    url: {url}\n{rest}");
    Config::parse(&text, "f.yaml", &Env::default()).unwrap().sources.remove(0)
}

fn postgres(rest: &str) -> SourceConfig {
    source("postgres://u@h/shop", rest)
}

fn listed(schema: Option<&str>, name: &str, kind: TableKind) -> Listed {
    Listed { table: SourceTable { schema: schema.map(str::to_owned), name: name.to_owned() }, kind }
}

/// What a table of that schema and name comes to: id, target, pattern.
fn found(source: &SourceConfig, schema: &str, name: &str) -> Option<(String, String, String)> {
    let tables = source.found(&[listed(Some(schema), name, TableKind::Table)]);
    tables
        .into_iter()
        .next()
        .map(|table| (table.id.table.to_string(), table.target.table, table.matched.unwrap().pattern))
}

fn owned(parts: [&str; 3]) -> Option<(String, String, String)> {
    let [id, target, pattern] = parts.map(str::to_owned);
    Some((id, target, pattern))
}

#[test]
fn exact_names_then_patterns_in_the_files_order() {
    let source = postgres(
        r#"    exclude: ["tmp_*", "crm.secret*"]
    tables:
      "audit_*": { mode: append, cursor: [seq, id] }
      audit_users: { cursor: updated_at }
      "sales.orders": { cursor: updated_at }
      "*": { cursor: updated_at }
      "sales.*": { mode: replace, target: "raw_{schema}_{table}" }
      "c[!x]m.*": { mode: replace }
"#,
    );
    assert_eq!(
        source.tables.iter().map(|table| table.id.table.as_str()).collect::<Vec<_>>(),
        ["audit_users", "sales.orders"]
    );
    for (schema, name, wanted) in [
        ("public", "audit_log", owned(["audit_log", "audit_log", "audit_*"])),
        ("public", "invoices", owned(["invoices", "invoices", "*"])),
        ("public", "we.ird na-me", owned(["\"we.ird na-me\"", "we_ird_na_me", "*"])),
        ("sales", "items", owned(["sales.items", "raw_sales_items", "sales.*"])),
        ("crm", "leads", owned(["crm.leads", "crm__leads", "c[!x]m.*"])),
        // named, excluded, of no pattern, the server's own
        ("public", "audit_users", None),
        ("sales", "orders", None),
        ("public", "tmp_x", None),
        ("sales", "tmp_x", None),
        ("crm", "secrets", None),
        ("cxm", "leads", None),
        ("pg_catalog", "pg_class", None),
        ("information_schema", "tables", None),
        // a name that no configuration could write
        ("public", "a\"b", None),
    ] {
        assert_eq!(found(&source, schema, name), wanted, "{schema}.{name}");
    }
    let audit = source.matched(&"audit_log".parse().unwrap()).unwrap();
    assert_eq!(
        (audit.mode, audit.cursor, audit.matched.unwrap().cursors),
        (Mode::Append, None, vec!["seq".to_owned(), "id".to_owned()])
    );
    // one table has one name
    let plain = source.matched(&"public.invoices".parse().unwrap()).unwrap();
    assert_eq!(plain.id.table.as_str(), "invoices");
    assert_eq!(source.matched(&"public.audit_users".parse().unwrap()), None);
    assert_eq!(source.matched(&"nowhere.invoices".parse().unwrap()), None);
    assert_eq!(source.patterns.only_schema(), None);
}

#[test]
fn views_partitions_and_what_narrows() {
    let kinds = |source: &SourceConfig| {
        let kinds = [TableKind::Table, TableKind::View, TableKind::Partition];
        kinds.map(|kind| !source.found(&[listed(Some("public"), "t", kind)]).is_empty())
    };
    assert_eq!(kinds(&postgres("    tables: { '*': { mode: replace } }\n")), [true, false, false]);
    assert_eq!(kinds(&postgres("    views: true\n    tables: { '*': { mode: replace } }\n")), [true, true, false]);
    let own = postgres("    views: true\n    tables: { 't*': { mode: replace, views: false } }\n");
    assert_eq!(kinds(&own), [true, false, false]);
    let narrowed = postgres("    include: ['in*', 'app.*']\n    tables: { '*.*': { mode: replace } }\n");
    assert!(found(&narrowed, "public", "invoices").is_some() && found(&narrowed, "app", "x").is_some());
    assert!(found(&narrowed, "public", "x").is_none());
}

#[test]
fn a_mysql_source_has_databases() {
    let source = source(
        "mysql://u@h/shop",
        "    tables:\n      shop.named: { cursor: c }\n      '*': { cursor: c, target: '{schema}_{table}' }\n      'other.*': { mode: replace }\n",
    );
    let table = |schema, name| source.found(&[listed(schema, name, TableKind::Table)]).pop();
    let settings: TableSettings = table(None, "t").unwrap();
    assert_eq!((settings.id.table.as_str(), settings.target.table.as_str()), ("t", "shop_t"));
    assert_eq!(table(Some("other"), "t").unwrap().target.table, "other__t");
    assert_eq!(table(None, "named"), None);
    assert_eq!(table(Some("mysql"), "user"), None);
    assert_eq!(source.matched(&"shop.t".parse().unwrap()).unwrap(), settings);
    assert_eq!(source.matched(&"shop.named".parse().unwrap()), None);
    assert_eq!(source.matched(&"named".parse().unwrap()), None);
}

#[test]
fn a_schedule_is_inherited_and_taken_away() {
    let source = postgres(
        "    defaults: { schedule: '*/5 * * * *', schedule_timezone: Europe/Berlin }\n    tables:\n      a: { cursor: c }\n      b: { cursor: c, schedule: none }\n      'c*': { cursor: c, schedule: '@daily', schedule_timezone: UTC }\n",
    );
    let shown = |table: &TableSettings| table.schedule.as_ref().map(|schedule| format!("{schedule} {}", schedule.zone));
    assert_eq!(shown(&source.tables[0]).as_deref(), Some("*/5 * * * * Europe/Berlin"));
    assert_eq!(shown(&source.tables[1]), None);
    assert_eq!(shown(&source.matched(&"cx".parse().unwrap()).unwrap()).as_deref(), Some("@daily UTC"));
}

proptest! {
    /// What a catalog lists is found again by the name that it got, with the same settings.
    #[test]
    fn a_found_table_has_a_name_that_finds_it(schema in "[a-c\\.*\\[ é]{1,4}|public", name in "[a-c\\.*?\\[\\]\" é-]{1,6}") {
        let source = postgres("    tables: { '*.*': { mode: replace } }\n");
        for table in source.found(&[listed(Some(&schema), &name, TableKind::Table)]) {
            prop_assert_eq!(Some(table.clone()), source.matched(&table.id.table));
        }
    }
}
