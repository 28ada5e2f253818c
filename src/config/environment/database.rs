//! One database: `{ID}_DB_…`, or `DB_…` for all, and `{ID}_TABLES`.

use std::net::Ipv6Addr;

use super::super::scalar;
use super::super::source::{encode, is_loopback};
use super::variables::{STAND_IN, Section, Variable, Variables, list};
use super::{DATABASES, flag, table};

/// Settings of a connection that `DB_…` may say for all databases.
pub(super) const SHARED: [&str; 16] = [
    "HOST",
    "PORT",
    "TYPE",
    "SSLMODE",
    "TLS_MODE",
    "TLS_CA_PATH",
    "TLS_CERT_PATH",
    "TLS_KEY_PATH",
    "TLS_SERVER_NAME",
    "MAX_OPEN_CONNECTIONS",
    "MAX_IDLE_CONNECTIONS",
    "CONN_MAX_LIFETIME",
    "CONN_TIMEOUT",
    "READ_TIMEOUT",
    "WRITE_TIMEOUT",
    "STATEMENT_TIMEOUT",
];
/// Settings of a connection that each database has of its own.
pub(super) const OWN: [&str; 3] = ["NAME", "USER", "PASSWORD"];

/// What became of settings that have no meaning here.
const REPLACED: [(&str, &str); 7] = [
    ("MAX_OPEN_CONNECTIONS", POOL),
    ("MAX_IDLE_CONNECTIONS", POOL),
    ("CONN_MAX_LIFETIME", POOL),
    ("CONN_TIMEOUT", TIMEOUTS),
    ("READ_TIMEOUT", TIMEOUTS),
    ("WRITE_TIMEOUT", TIMEOUTS),
    ("STATEMENT_TIMEOUT", TIMEOUTS),
];
const POOL: &str =
    "there is no pool: a run has one connection, and HIGHWATER_PARALLEL (4) says how many run side by side";
const TIMEOUTS: &str = "waits have limits of their own: 30 s for connecting, 60 s for a query of the catalog, 120 s for \
                        the next rows, and SYNC_TIMEOUT for all of a run";
const SERVER_NAME: &str = "the driver checks the certificate against the host and no other name: make it out to the \
                           host, or set the TLS mode to verify-ca";

/// A database of SYNC_DATABASES.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) name: String,
    /// What its variables begin with.
    pub(super) id: String,
}

/// TLS modes as libpq, MySQL's client and Go's driver write them, in lower case and with hyphens.
const MODES: [(&str, Mode); 12] = [
    ("disable", Mode::Is("disable")),
    ("disabled", Mode::Is("disable")),
    ("false", Mode::Is("disable")),
    ("allow", Mode::IfPossible),
    ("prefer", Mode::IfPossible),
    ("preferred", Mode::IfPossible),
    ("require", Mode::Is("require")),
    ("required", Mode::Is("require")),
    ("skip-verify", Mode::Is("require")),
    ("verify-ca", Mode::Is("verify-ca")),
    ("verify-full", Mode::Is(VERIFY_FULL)),
    ("verify-identity", Mode::Is(VERIFY_FULL)),
];
const VERIFY_FULL: &str = "verify-full";
const IF_POSSIBLE: &str = "TLS only where the server happens to have it protects from nobody: taken as require";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Is(&'static str),
    IfPossible,
}

/// The databases of SYNC_DATABASES.
pub(super) fn all(variables: &Variables<'_>) -> Vec<Database> {
    let mut databases: Vec<Database> = Vec::new();
    for name in variables.get(DATABASES).map(|names| list(names.value)).unwrap_or_default() {
        let id = id(&name);
        match databases.iter().find(|other| other.id == id) {
            Some(other) => {
                let problem = format!("{} and {name} have the same variables {id}_…; rename or remove one", other.name);
                variables.fault(DATABASES, &problem);
            }
            None => databases.push(Database { name, id }),
        }
    }
    databases
}

/// What the variables of a database or table are named by: capital letters, digits, and `_` for all else.
pub(super) fn id(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

impl Database {
    pub(super) fn is_enabled(&self, variables: &Variables<'_>) -> bool {
        flag(variables, &format!("{}_ENABLED", self.id), true)
    }

    fn own(&self, setting: &str) -> String {
        format!("{}_DB_{setting}", self.id)
    }

    /// What the database's own variable says, else what is said for all.
    fn pick<'a>(&self, variables: &Variables<'a>, setting: &str) -> Option<Variable<'a>> {
        variables.get(&self.own(setting)).or_else(|| variables.get(&format!("DB_{setting}")))
    }
}

/// The source that the database is.
pub(super) fn section<'v, 'a>(
    variables: &'v Variables<'a>,
    database: &Database,
    truncate: bool,
    targets: &mut table::Targets,
) -> Section<'v, 'a> {
    let mut section = Section::new(variables);
    let host = database.pick(variables, "HOST").unwrap_or_else(|| {
        variables.required(
            &database.own("HOST"),
            "the database's host, or a socket's path (DB_HOST says it for all databases)",
        )
    });
    let host_name = variables.parse(&host, host_name).unwrap_or_else(|| STAND_IN.to_owned());
    section.put("url", &host.name, &url(variables, database, &host_name));
    let password = database.own("PASSWORD");
    // not `get`: a password may begin with a space
    if variables.get(&password).is_some() {
        section.put_unescaped("password", &password, &format!("${{{password}}}"));
    }
    put_tls(&mut section, variables, database, &host_name);
    remark(variables, database, host.value);
    let tables = format!("{}_TABLES", database.id);
    let names = variables.required(&tables, "the list of tables, with commas between them");
    let mut entries = Section::new(variables);
    for name in table::names(variables, database, &names) {
        if let Some(entry) = table::section(variables, database, &name, truncate, targets) {
            entries.put_section(&name, &tables, entry);
        }
    }
    section.put_section("tables", &tables, entries);
    section
}

/// A host as a url has it, or the path of a socket. It is not repeated: who gives a whole url gives a password.
fn host_name(text: &str) -> Result<String, String> {
    let bare = text.trim_matches(['[', ']']);
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Ok(format!("[{bare}]"));
    }
    match text.starts_with('/') || text.chars().all(|c| c.is_alphanumeric() || "-._".contains(c)) {
        true => Ok(text.to_owned()),
        false => Err("is not a host; say a name, an address or a socket's path; the port goes into DB_PORT".to_owned()),
    }
}

fn url(variables: &Variables<'_>, database: &Database, host: &str) -> String {
    let kinds = [("mysql", "mysql"), ("mariadb", "mysql"), ("postgres", "postgres"), ("postgresql", "postgres")];
    let kind = database.pick(variables, "TYPE");
    let kind = kind.and_then(|kind| variables.parse(&kind, |text| scalar::word(&text.to_ascii_lowercase(), &kinds)));
    let kind = kind.unwrap_or("mysql");
    let port = database.pick(variables, "PORT");
    let port = port.and_then(|port| variables.parse(&port, |text| scalar::number(text, 1, u64::from(u16::MAX))));
    let user = variables.required(&database.own("USER"), "the database's user");
    let name = variables.required(&database.own("NAME"), "the database's name");
    let name = variables.parse(&name, scalar::database).unwrap_or_else(|| STAND_IN.to_owned());
    let (user, name) = (encode(user.value), encode(&name));
    let path = encode(host).replace("%2F", "/");
    match (host.starts_with('/'), kind, port) {
        (false, _, port) => {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            format!("{kind}://{user}@{host}{port}/{name}")
        }
        (true, "mysql", _) => format!("mysql://{user}@/{name}?socket={path}"),
        (true, _, Some(port)) => format!("{kind}://{user}@/{name}?host={path}/.s.PGSQL.{port}"),
        (true, _, None) => format!("{kind}://{user}@/{name}?host={path}"),
    }
}

fn put_tls(section: &mut Section<'_, '_>, variables: &Variables<'_>, database: &Database, host: &str) {
    let socket = host.starts_with('/');
    let own = ["TLS_MODE", "SSLMODE"].map(|setting| variables.get(&database.own(setting)));
    // what is said for all is for those that can have it
    let shared = ["DB_TLS_MODE", "DB_SSLMODE"].map(|name| variables.get(name).filter(|_| !socket));
    let said = own.into_iter().chain(shared).flatten().next();
    let near = socket || is_loopback(host.trim_matches(['[', ']']));
    let mode = said.as_ref().and_then(|said| match variables.parse(said, mode)? {
        Mode::Is(mode) => Some(mode),
        Mode::IfPossible if near => None,
        Mode::IfPossible => {
            variables.remark(&said.name, IF_POSSIBLE);
            Some("require")
        }
    });
    let plain = mode == Some("disable") || (mode.is_none() && near);
    let mut from = said.map_or_else(|| database.own("TLS_MODE"), |said| said.name);
    let mode_from = from.clone();
    let mut files = Section::new(variables);
    for (key, setting) in [("ca", "TLS_CA_PATH"), ("cert", "TLS_CERT_PATH"), ("key", "TLS_KEY_PATH")] {
        let own = variables.get(&database.own(setting));
        let shared = variables.get(&format!("DB_{setting}")).filter(|_| !plain);
        if let Some(path) = own.or(shared) {
            files.put(key, &path.name, path.value);
            from = path.name;
        }
    }
    let mut tls = Section::new(variables);
    if let Some(mode) = mode.or_else(|| (!files.is_empty() && !socket).then_some(VERIFY_FULL)) {
        tls.put("mode", &mode_from, mode);
    }
    tls.append(files);
    if !tls.is_empty() {
        section.put_section("tls", &from, tls);
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    // Go's driver says `true` for what others call by name
    let text = text.to_ascii_lowercase().replace('_', "-");
    scalar::word(if text == "true" { VERIFY_FULL } else { &text }, &MODES)
}

/// Names what is not taken as it stands.
fn remark(variables: &Variables<'_>, database: &Database, host: &str) {
    for (setting, what) in REPLACED {
        if let Some(variable) = database.pick(variables, setting) {
            variables.remark(&variable.name, what);
        }
    }
    if let Some(name) = database.pick(variables, "TLS_SERVER_NAME").filter(|name| name.value != host) {
        variables.remark(&name.name, SERVER_NAME);
    }
}
