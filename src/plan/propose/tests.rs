//! What tables are proposed to be.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::mapping::mysql::{CatalogColumn, Dialect, column};

fn columns(of: &[(&str, &str, bool)]) -> Vec<Column> {
    let facts = |(name, ty, nullable): &(&str, &str, bool)| CatalogColumn {
        name: (*name).to_owned(),
        data_type: ty.split('(').next().unwrap().to_owned(),
        column_type: (*ty).to_owned(),
        nullable: *nullable,
        precision: 0,
        scale: 0,
        digits: 0,
        comment: None,
        checked_json: false,
    };
    of.iter().map(|of| column(&facts(of), Dialect::MariaDb)).collect()
}

/// A table with columns (name, type, nullable), primary key and hints.
struct Given {
    name: &'static str,
    columns: Vec<Column>,
    primary: Vec<String>,
    unique: Vec<Vec<String>>,
    hints: Hints,
    rows: Option<u64>,
}

fn given(name: &'static str, of: &[(&str, &str, bool)], primary: &[&str], rows: u64) -> Given {
    let primary: Vec<String> = primary.iter().map(|name| (*name).to_owned()).collect();
    let hints = Hints { indexes: vec![primary.clone()], ..Hints::default() };
    Given { name, columns: columns(of), primary, unique: Vec::new(), hints, rows: Some(rows) }
}

fn proposed(given: &Given) -> Proposal {
    propose(Seen {
        name: given.name,
        kind: TableKind::Table,
        indexing: Indexing::Beside,
        catalog: Catalog {
            columns: &given.columns,
            hidden: &[],
            primary_key: &given.primary,
            unique_keys: &given.unique,
            comment: None,
        },
        hints: &given.hints,
        rows: given.rows,
    })
}

fn sync(mode: Mode, cursor: Option<&str>) -> Way {
    Way::Sync { mode, cursor: cursor.map(str::to_owned), key: None }
}

const LARGE: u64 = SMALL_ROWS_MAX + 1;

#[test]
fn a_column_that_grows_with_each_change_is_merged_by() {
    for name in
        ["updated_at", "updatedAt", "UpdatedAt", "last_modified", "mtime", "date_changed", "UPDATED", "row_update_ts"]
    {
        let given = given(
            "t",
            &[("id", "int", false), ("created_at", "datetime", false), (name, "datetime", false)],
            &["id"],
            3,
        );
        let found = proposed(&given);
        assert_eq!(found.way, sync(Mode::Merge, Some(name)), "{name}");
        let columns = vec![name.to_owned(), "id".to_owned()];
        assert_eq!(found.index, Some(Wanted { columns, indexing: Indexing::Beside }));
        assert!(found.why.iter().any(|why| why.contains("cursor_timezone")), "{found:?}");
    }
    // a part of the row, a text, a number
    for (name, ty) in
        [("password_changed_at", "datetime"), ("updated_at", "varchar"), ("updated", "int"), ("updated_by", "datetime")]
    {
        let given = given("t", &[("id", "int", false), (name, ty, false)], &["id"], LARGE);
        assert_eq!(proposed(&given).way, Way::Lacking, "{name}");
    }
}

#[test]
fn the_surest_column_is_taken() {
    let mut given = given(
        "t",
        &[
            ("id", "int", false),
            ("changed", "timestamp", false),
            ("modified_at", "timestamp", false),
            ("updated_on", "date", false),
            ("v", "timestamp", false),
        ],
        &["id"],
        3,
    );
    // a date only where there is nothing better
    assert_eq!(proposed(&given).way, sync(Mode::Merge, Some("modified_at")));
    given.hints.touched = vec!["v".to_owned()];
    let found = proposed(&given);
    assert_eq!(found.way, sync(Mode::Merge, Some("v")));
    assert!(found.why[0].contains("the database sets on each update"), "{found:?}");
    given.hints.indexes.push(vec!["v".to_owned()]);
    assert_eq!(proposed(&given).index, None);
}

#[test]
fn a_unique_index_is_a_key_too() {
    let mut given = given("t", &[("a", "int", false), ("b", "int", true), ("updated_at", "timestamp", true)], &[], 3);
    // NULLs make no key, so the small table is copied
    given.unique = vec![vec!["b".to_owned()]];
    assert_eq!(proposed(&given).way, sync(Mode::Replace, None));
    given.unique.push(vec!["a".to_owned()]);
    let found = proposed(&given);
    let key = Some(vec!["a".to_owned()]);
    assert_eq!(found.way, Way::Sync { mode: Mode::Merge, cursor: Some("updated_at".to_owned()), key });
    assert!(found.why.iter().any(|why| why.contains("NULL in the cursor")), "{found:?}");
}

#[test]
fn logs_are_appended_and_small_tables_copied() {
    let counted = |name, rows| {
        let mut given = given(name, &[("id", "bigint", false), ("created_at", "timestamp", false)], &["id"], rows);
        given.hints.generated = vec!["id".to_owned()];
        given
    };
    let found = proposed(&counted("audit_log", 3));
    assert_eq!((found.way, found.index), (sync(Mode::Append, Some("id")), None));
    assert!(found.why[0].contains("would be missed"));
    assert_eq!(proposed(&counted("payments", LARGE)).way, sync(Mode::Append, Some("id")));
    assert_eq!(proposed(&counted("payments", 3)).way, sync(Mode::Replace, None));
    // nothing counts the id up: the time of creation does as well
    let mut given = counted("events", LARGE);
    given.hints.generated.clear();
    assert_eq!(proposed(&given).way, sync(Mode::Append, Some("created_at")));
    // neither a log nor small
    let mut given = given_plain(LARGE);
    assert_eq!(proposed(&given).way, Way::Lacking);
    given.rows = None;
    let found = proposed(&given);
    assert!(found.way == Way::Lacking && found.why.iter().any(|why| why.contains("not known")), "{found:?}");
}

fn given_plain(rows: u64) -> Given {
    let mut given = given("customers", &[("id", "bigint", false), ("name", "text", true)], &["id"], rows);
    given.hints.generated = vec!["id".to_owned()];
    given
}
