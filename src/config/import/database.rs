//! The JSON of one database: `sourceDb`, `schema`, `timestampColumn`, `includeTables` …

use super::super::pattern::name_pattern;
use super::super::scalar;
use super::super::source::encode;
use super::super::table::is_name;
use super::page::Page;
use super::{Entry, FILL_IN, comment_rest, in_line, is_pattern, node_of, scalar_of, texts_of};
use crate::config::tree::Kind;
use crate::model::Parallel;

/// The name of the source.
const SOURCE: &str = "source";
const TOP: [&str; 7] =
    ["sourceDb", "schema", "timestampColumn", "parallel", "batchSize", "includeTables", "excludeTables"];
/// What an object `sourceDb` says of the connection, by the names that tools give it.
const CONNECTION: [&str; 11] =
    ["type", "dialect", "driver", "host", "port", "user", "username", "database", "dbname", "name", "password"];

/// How the database is reached, as far as the input says.
struct Connection {
    url: String,
    /// Whether the password is a variable of its own.
    password: bool,
    mysql: bool,
}

/// Writes ours.
pub(super) fn write(entries: &[Entry]) -> String {
    let mut page = Page::default();
    page.comment(
        0,
        "Made from a JSON configuration. Look at the comments: they say what was not carried over and what is",
    );
    page.comment(0, "to be filled in. Positions are not carried over: the first run reads every row.");
    for (key, variable) in [("project", "GCP_PROJECT_ID"), ("dataset", "BQ_DATASET_ID"), ("bucket", "HIGHWATER_BUCKET")]
    {
        page.comment(0, &format!("to be filled in: set {variable}"));
        page.entry(0, key, &format!("${{{variable}}}"));
    }
    if let Some(parallel) = node_of(entries, "parallel") {
        match scalar_of(entries, "parallel").filter(|text| scalar::limited::<Parallel>(text).is_ok()) {
            Some(tables) => page.entry(0, "parallel", &tables),
            None => page.comment(
                0,
                &format!(
                    "`parallel: {}` was not carried over: `parallel` is from 1 to {}",
                    in_line(parallel),
                    Parallel::MAX
                ),
            ),
        }
    }
    if let Some(size) = node_of(entries, "batchSize") {
        page.comment(
            0,
            &format!("`batchSize: {}` has no counterpart: rows go in chunks of `chunk_rows` (250000)", in_line(size)),
        );
    }
    comment_rest(&mut page, 0, "", entries, &TOP);
    source(&mut page, entries);
    page.finish()
}

fn source(page: &mut Page, entries: &[Entry]) {
    page.section(0, "sources");
    page.section(1, SOURCE);
    let connection = connection(page, entries);
    page.entry(2, "url", &connection.url);
    if connection.password {
        page.entry(2, "password", "${SOURCE_PASSWORD}");
    }
    match (node_of(entries, "schema"), scalar_of(entries, "schema")) {
        (None, _) => {}
        (Some(_), Some(schema)) if !connection.mysql => page.entry(2, "schema", &schema),
        (Some(schema), _) => {
            let why = "MySQL's tables are in the database of the url";
            page.comment(2, &format!("`schema: {}` was not carried over: {why}", in_line(schema)));
        }
    }
    page.section(2, "defaults");
    match (node_of(entries, "timestampColumn"), scalar_of(entries, "timestampColumn")) {
        (_, Some(column)) => page.entry(3, "cursor", &column),
        (said, None) => {
            let said = said.map(|node| format!("`timestampColumn: {}`: ", in_line(node))).unwrap_or_default();
            page.comment(3, &format!("{said}without a cursor each run replaces whole tables"));
            page.entry(3, "mode", "replace");
        }
    }
    let excluded = excluded(entries);
    if !excluded.is_empty() {
        page.list(2, "exclude", &excluded);
    }
    if let Some(node) = node_of(entries, "excludeTables").filter(|node| texts_of(node).len() > excluded.len()) {
        page.comment(2, &format!("`excludeTables: {}`: what is no table's name was left out", in_line(node)));
    }
    page.section(2, "tables");
    tables(page, entries);
}

fn connection(page: &mut Page, entries: &[Entry]) -> Connection {
    let whole = |mysql| Connection { url: "${SOURCE_URL}".to_owned(), password: false, mysql };
    let of_parts = |host: &str, port: &str, user: &str, database: &str, mysql: bool| {
        let scheme = if mysql { "mysql" } else { "postgres" };
        Connection { url: format!("{scheme}://{user}@{host}{port}/{database}"), password: true, mysql }
    };
    const KIND: &str = "taken for PostgreSQL: if it is MySQL, say mysql:// and remove `schema`";
    match node_of(entries, "sourceDb").map(|node| &node.kind) {
        Some(Kind::Scalar(text)) if text.contains("://") => {
            let mysql =
                ["mysql:", "mariadb:"].iter().any(|scheme| text.trim_start_matches("jdbc:").starts_with(scheme));
            page.comment(2, "to be filled in: `sourceDb` is a url, which is not repeated as it may hold a password:");
            page.comment(2, "set SOURCE_URL=postgres://user:password@host:5432/database, or mysql://…");
            whole(mysql)
        }
        Some(Kind::Scalar(name)) if scalar::database(name).is_ok() => {
            page.comment(2, "to be filled in: set SOURCE_USER, SOURCE_PASSWORD and SOURCE_HOST");
            page.comment(2, KIND);
            of_parts("${SOURCE_HOST}", "", "${SOURCE_USER}", &encode(name), false)
        }
        Some(Kind::Map(parts)) => {
            let any = |names: &[&str]| names.iter().find_map(|name| scalar_of(parts, name));
            let kind = any(&["type", "dialect", "driver"]);
            let mysql = kind.as_ref().is_some_and(|kind| kind.contains("mysql") || kind.contains("maria"));
            if kind.is_none() {
                page.comment(2, KIND);
            }
            let placeholder =
                |text: Option<String>, name: &str| text.map_or_else(|| format!("${{{name}}}"), |text| encode(&text));
            page.comment(
                2,
                "to be filled in: set SOURCE_PASSWORD, which `sourceDb` may hold and which is not repeated, and",
            );
            page.comment(2, "whatever other variable stands in the url");
            comment_rest(page, 2, "sourceDb.", parts, &CONNECTION);
            let port = any(&["port"]).filter(|port| scalar::number(port, 1, u64::from(u16::MAX)).is_ok());
            of_parts(
                &any(&["host"]).unwrap_or_else(|| "${SOURCE_HOST}".to_owned()),
                &port.map(|port| format!(":{port}")).unwrap_or_default(),
                &placeholder(any(&["user", "username"]), "SOURCE_USER"),
                &placeholder(
                    any(&["database", "dbname", "name"]).filter(|name| scalar::database(name).is_ok()),
                    "SOURCE_DATABASE",
                ),
                mysql,
            )
        }
        other @ (Some(Kind::Scalar(_) | Kind::Null | Kind::List(_)) | None) => {
            if other.is_some() {
                page.comment(2, "`sourceDb` is neither a database's name nor a url nor a connection: not carried over");
            }
            page.comment(
                2,
                "to be filled in: set SOURCE_URL=postgres://user:password@host:5432/database, or mysql://…",
            );
            whole(false)
        }
    }
}

/// The tables that are left out, and patterns of them.
fn excluded(entries: &[Entry]) -> Vec<String> {
    let mut names = node_of(entries, "excludeTables").map(texts_of).unwrap_or_default();
    names.retain(|name| name_pattern(name).is_ok());
    names
}

fn tables(page: &mut Page, entries: &[Entry]) {
    let excluded = excluded(entries);
    let included = node_of(entries, "includeTables").map(texts_of).unwrap_or_default();
    let mut names: Vec<&String> = Vec::new();
    for name in &included {
        let why = if !is_name(name) && !is_pattern(name) || is_pattern(name) && name_pattern(name).is_err() {
            "it is no table's name"
        } else if excluded.contains(name) {
            "`excludeTables` names it too"
        } else if names.contains(&name) {
            "it is there twice"
        } else {
            names.push(name);
            page.bare(3, name);
            continue;
        };
        page.comment(3, &format!("`{name}` of `includeTables` was left out: {why}"));
    }
    if node_of(entries, "includeTables").is_none() {
        page.bare(3, "*");
    } else if names.is_empty() {
        page.comment(3, "to be filled in: `includeTables` names no table that could be carried over");
        page.bare(3, FILL_IN);
    }
}
