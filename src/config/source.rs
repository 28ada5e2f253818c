//! The `sources` section: connections and their tables.

use std::collections::HashMap;
use std::path::PathBuf;

use url::Url;

use super::env::Env;
use super::pattern::{self, Patterns, Scope};
use super::placeholders::{self, Hidden};
use super::reader::Map;
use super::scalar;
use super::table::{self, Defaults, Entry};
use crate::model::{
    Address, BqTable, Code, Connection, Listed, Login, Secret, SourceName, TableName, TableSettings, Tls, TlsMode,
};

/// Stands for an empty host while a url is parsed; `.invalid` is nobody's (RFC 2606).
const NO_HOST: &str = "no-host.invalid";

/// The most bytes of a url's scheme that is shown.
const SCHEME_BYTES_MAX: usize = 20;

/// Which database a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
}

/// One source.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Its name.
    pub name: SourceName,
    /// Which database it is.
    pub kind: SourceKind,
    /// How it is reached.
    pub connection: Connection,
    /// The tables that are named, in the file's order.
    pub tables: Vec<TableSettings>,
    /// The patterns of other tables.
    pub patterns: Patterns,
}

impl SourceConfig {
    /// The settings of the table of that name, if a pattern means it and it is not named itself. The name alone
    /// decides: whether there is such a table, the catalog says.
    pub fn matched(&self, name: &TableName) -> Option<TableSettings> {
        self.patterns.named(name).filter(|table| !self.names(table))
    }

    /// Those of the listed tables that a pattern means and that are not named themselves.
    pub fn found(&self, listed: &[Listed]) -> Vec<TableSettings> {
        let found = listed.iter().filter_map(|listed| self.patterns.listed(listed));
        found.filter(|table| !self.names(table)).collect()
    }

    fn names(&self, table: &TableSettings) -> bool {
        // in MySQL a table of the url's database may be named with it or without
        let schema =
            |table: &'_ TableSettings| table.table.schema.clone().filter(|name| *name != self.connection.database);
        let same = |named: &TableSettings| {
            let mysql = self.kind == SourceKind::MySql && schema(named) == schema(table);
            named.table.name == table.table.name && (mysql || named.table.schema == table.table.schema)
        };
        self.tables.iter().any(same)
    }
}

/// Where targets are, unless a table says otherwise.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) project: String,
    pub(super) job_project: String,
    pub(super) dataset: String,
    pub(super) location: String,
}

/// A database that a url names.
#[derive(Clone, Debug)]
pub struct Reached {
    /// Which database it is.
    pub kind: SourceKind,
    /// How it is reached, by the defaults.
    pub connection: Connection,
}

/// Reads a url outside of a file, variables replaced.
///
/// # Errors
/// What is wrong with it, without what it holds.
pub fn reach(text: &str, env: &Env) -> Result<Reached, String> {
    let Parsed { kind, address, user, password, database } = url(&placeholders::fill(text, env)?)?;
    let tls = Tls { mode: default_mode(Some(&address)), ..Tls::default() };
    let connection = Connection { address, user, login: Login::Password, password, database, tls };
    Ok(Reached { kind, connection })
}

/// The modes of TLS.
const TLS_MODES: [(&str, TlsMode); 4] = [
    ("disable", TlsMode::Disable),
    ("require", TlsMode::Require),
    ("verify-ca", TlsMode::VerifyCa),
    ("verify-full", TlsMode::VerifyFull),
];

/// Reads a mode of TLS.
///
/// # Errors
/// It is none.
pub fn tls_mode(text: &str) -> Result<TlsMode, String> {
    scalar::word(text, &TLS_MODES)
}

/// The mode as the configuration writes it.
pub fn tls_mode_name(mode: TlsMode) -> &'static str {
    TLS_MODES.iter().find(|(_, known)| *known == mode).map_or("verify-full", |(name, _)| name)
}

/// How users prove who they are.
const LOGINS: [(&str, Login); 2] = [("password", Login::Password), ("iam", Login::Iam)];

/// What a source's url says.
struct Parsed {
    kind: SourceKind,
    address: Address,
    user: String,
    password: Option<Secret>,
    database: String,
}

/// Reads every source. `None` if there is none, or one has a fault.
pub(super) fn read_all(root: &mut Map<'_>, place: Option<&Place>, defaults: &Defaults) -> Option<Vec<SourceConfig>> {
    let Some(mut map) = root.map("sources") else {
        root.fault(Code::ConfigMissing, "", "`sources` is missing; name at least one database");
        return None;
    };
    let named = map.named();
    if named.is_empty() {
        map.fault(Code::ConfigMissing, "", "names no source; name at least one database");
    }
    let mut sources = Vec::new();
    let mut complete = !named.is_empty();
    for (key, entry) in named {
        let name: Option<SourceName> =
            key.value.parse().map_err(|fault| map.fault_at(Code::ConfigValue, key.place, "", &format!("{fault}"))).ok();
        match read_one(entry, name, place, defaults) {
            Some(source) => sources.push(source),
            None => complete = false,
        }
    }
    refuse_shared_targets(&map, &sources);
    refuse_shared_patterns(&map, &sources);
    complete.then_some(sources)
}

fn read_one(
    mut map: Map<'_>,
    name: Option<SourceName>,
    place: Option<&Place>,
    defaults: &Defaults,
) -> Option<SourceConfig> {
    map.hide("url", Hidden::UrlPassword);
    let parsed = map.required("url", url);
    let password = map.secret("password");
    let tls = read_tls(&mut map, parsed.as_ref().map(|parsed| &parsed.address));
    let login = map.optional("login", |text| scalar::word(text, &LOGINS)).unwrap_or_default();
    if login == Login::Iam {
        let given = password.is_some() || parsed.as_ref().is_some_and(|parsed| parsed.password.is_some());
        check_iam(&map, given, parsed.as_ref().map(|parsed| &parsed.address), &tls);
    }
    let dataset = map.optional("dataset", scalar::dataset);
    let schema = map.optional("schema", scalar::text);
    if schema.is_some() && parsed.as_ref().is_some_and(|parsed| parsed.kind == SourceKind::MySql) {
        map.fault(Code::ConfigConflict, "schema", "is for PostgreSQL; a MySQL source reads the database of its url");
    }
    let defaults = match map.map("defaults") {
        Some(own) => table::read_defaults(own).over(defaults),
        None => defaults.clone(),
    };
    let place = place.map(|place| Place { dataset: dataset.unwrap_or_else(|| place.dataset.clone()), ..place.clone() });
    let (views, include) = (map.optional("views", scalar::boolean), pattern::read_list(&mut map, "include"));
    let exclude = pattern::read_list(&mut map, "exclude");
    let scope = name.clone().zip(parsed.as_ref()).map(|(source, parsed)| Scope {
        source,
        kind: parsed.kind,
        database: parsed.database.clone(),
        schema: match parsed.kind {
            SourceKind::Postgres => Some(schema.unwrap_or_else(|| "public".to_owned())),
            SourceKind::MySql => None,
        },
    });
    let context = scope.clone().zip(place.as_ref()).map(|(scope, place)| table::Context {
        place,
        scope,
        views: views.unwrap_or(false),
    });
    let entries = read_tables(&mut map, context.as_ref(), &defaults);
    let (mut tables, mut patterns) = (Vec::new(), Vec::new());
    for entry in entries.iter().flatten() {
        match entry {
            Entry::Table(table) => tables.push(TableSettings::clone(table)),
            Entry::Pattern(pattern) => patterns.push(pattern::TablePattern::clone(pattern)),
        }
    }
    if entries.is_some() && patterns.is_empty() {
        let idle = ["include", "exclude", "views"].into_iter().filter(|key| map.has(key)).collect::<Vec<_>>();
        idle.iter().for_each(|key| {
            map.fault(Code::ConfigConflict, key, "is about patterns, and `tables` has none; remove it")
        });
    }
    map.finish();
    let Parsed { kind, address, user, password: url_password, database } = parsed?;
    let connection = Connection { address, user, login, password: password.or(url_password), database, tls };
    entries?;
    let patterns = Patterns { entries: patterns, include, exclude, scope: scope? };
    Some(SourceConfig { name: name?, kind, connection, tables, patterns })
}

fn read_tables(map: &mut Map<'_>, context: Option<&table::Context<'_>>, defaults: &Defaults) -> Option<Vec<Entry>> {
    let Some(mut tables) = map.map("tables") else {
        map.fault(Code::ConfigMissing, "", "`tables` is missing; name at least one table");
        return None;
    };
    let named = tables.named();
    if named.is_empty() {
        tables.fault(Code::ConfigMissing, "", "names no table; name at least one");
        return None;
    }
    let read = named.into_iter().map(|(key, entry)| table::read(entry, &key, context, defaults));
    // every table is read, so that every fault is reported
    read.collect::<Vec<_>>().into_iter().collect()
}

fn read_tls(map: &mut Map<'_>, address: Option<&Address>) -> Tls {
    let mut tls = Tls { mode: default_mode(address), ..Tls::default() };
    let Some(mut section) = map.map("tls") else { return tls };
    if let Some(mode) = section.optional("mode", tls_mode) {
        tls.mode = mode;
    }
    let mut path = |key| section.optional(key, |text| scalar::text(text).map(PathBuf::from));
    (tls.ca, tls.cert, tls.key) = (path("ca"), path("cert"), path("key"));
    if tls.cert.is_some() != tls.key.is_some() {
        section.fault(Code::ConfigConflict, "", "`cert` and `key` go together; give both or neither");
    }
    if tls.mode == TlsMode::Disable && (tls.ca.is_some() || tls.cert.is_some()) {
        section.fault(
            Code::ConfigConflict,
            "",
            "certificates are given, and `mode: disable` would not look at them; remove one of them",
        );
    }
    if matches!(address, Some(Address::Socket(_))) && tls.mode != TlsMode::Disable {
        section.fault(Code::ConfigConflict, "mode", "a Unix socket has no TLS; remove it");
    }
    section.finish();
    tls
}

/// A token is as good as the identity that it is of: it goes to nobody but the server, and nobody can listen.
fn check_iam(map: &Map<'_>, password: bool, address: Option<&Address>, tls: &Tls) {
    if password {
        map.fault(
            Code::ConfigConflict,
            "login",
            "`iam` logs in by a token, and there is a password too; remove one of them",
        );
    }
    let verified = matches!(tls.mode, TlsMode::VerifyCa | TlsMode::VerifyFull);
    if matches!(address, Some(Address::Tcp { .. })) && !verified {
        map.fault(
            Code::ConfigConflict, "login",
            "`iam` sends a token, which over TCP is sent to a verified server only; say `tls.mode: verify-full` or `verify-ca`, or a Unix socket in the url",
        );
    }
}

/// Verified unless nobody else can listen.
fn default_mode(address: Option<&Address>) -> TlsMode {
    match address {
        Some(Address::Socket(_)) => TlsMode::Disable,
        Some(Address::Tcp { host, .. }) if is_loopback(host) => TlsMode::Disable,
        Some(Address::Tcp { .. }) | None => TlsMode::VerifyFull,
    }
}

/// Whether nobody else can listen on the way to the host.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Parses a url. No error echoes it: it holds a password.
fn url(text: &str) -> Result<Parsed, String> {
    const EXAMPLE: &str = "say for example postgres://user:${PASSWORD}@host:5432/database";
    let (scheme, _) = text.split_once("://").ok_or_else(|| format!("is not a database url; {EXAMPLE}"))?;
    let (kind, port) = match scheme {
        "postgres" | "postgresql" => (SourceKind::Postgres, 5432),
        "mysql" | "mariadb" => (SourceKind::MySql, 3306),
        // where the scheme was forgotten, a password can stand before `://`
        other if other.bytes().all(|byte| byte.is_ascii_alphanumeric()) && other.len() <= SCHEME_BYTES_MAX => {
            return Err(format!("{other}:// is not a database of ours; say postgres:// or mysql://"));
        }
        _ => return Err(format!("is not a database url; {EXAMPLE}")),
    };
    // libpq's form for sockets has no host, which a url with a user must have
    let text = text.replacen("@/", &format!("@{NO_HOST}/"), 1);
    let url = Url::parse(&text).map_err(|fault| {
        format!(
            "is not a url ({fault}); characters such as @ / # in a password are written %40 %2F %23, or use `password`"
        )
    })?;
    let mut socket = None;
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "host" | "socket" if value.starts_with('/') => socket = Some(PathBuf::from(value.as_ref())),
            "sslmode" | "ssl-mode" | "sslrootcert" | "sslcert" | "sslkey" | "ssl-ca" => {
                return Err(format!("`{name}` in the url; use the source's `tls: {{mode, ca, cert, key}}`"));
            }
            _ => return Err(format!("`{name}` in the url is not known; there are host and socket, with a path")),
        }
    }
    let decode = |part: &str| decode(part).ok_or_else(|| "has a broken %-escape".to_owned());
    let host = url.host_str().filter(|host| !host.is_empty() && *host != NO_HOST);
    let address = match (socket, host) {
        (Some(path), _) => Address::Socket(path),
        // an IPv6 address stands in brackets in a url only
        (None, Some(host)) => {
            Address::Tcp { host: decode(host.trim_matches(['[', ']']))?, port: url.port().unwrap_or(port) }
        }
        (None, None) => return Err(format!("names no host; {EXAMPLE}")),
    };
    let user = decode(url.username())?;
    if user.is_empty() {
        return Err(format!("names no user; {EXAMPLE}"));
    }
    let database = decode(url.path().trim_start_matches('/'))?;
    if database.is_empty() || database.contains('/') {
        return Err(format!("names no database; {EXAMPLE}"));
    }
    let password = url.password().map(decode).transpose()?.map(Secret::new);
    Ok(Parsed { kind, address, user, password, database })
}

/// Everything that has a meaning in a url as `%XX`.
pub(super) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn refuse_shared_targets(map: &Map<'_>, sources: &[SourceConfig]) {
    let mut seen: HashMap<&BqTable, &TableSettings> = HashMap::new();
    // what patterns come to is known when the catalog was asked
    for table in sources.iter().flat_map(|source| &source.tables) {
        if let Some(other) = seen.insert(&table.target, table) {
            map.fault(
                Code::ConfigConflict,
                "",
                &format!("{} and {} have the same target {}; set `target` on one", other.id, table.id, table.target),
            );
        }
    }
}

/// Patterns that mean the same names, of two sources or two schemas, must not come to the same targets.
fn refuse_shared_patterns(map: &Map<'_>, sources: &[SourceConfig]) {
    for (at, source) in sources.iter().enumerate() {
        if let Some((one, two)) = source.patterns.blind_to_schema() {
            let which = if one.id == two.id { one.id.to_string() } else { format!("{} and {}", one.id, two.id) };
            let problem = "can mean tables of one name in several schemas, which would have the same target";
            map.fault(Code::ConfigConflict, "", &format!("{which} {problem}; put {{schema}} into `target`"));
        }
        for other in &sources[..at] {
            if let Some((one, two)) = other.patterns.shared_target(&source.patterns) {
                let dataset = &one.target.dataset;
                map.fault(
                    Code::ConfigConflict,
                    "",
                    &format!(
                        "{} and {} can mean tables of one name, which would have the same target in {dataset}; say \
                         `target: \"{}_{{table}}\"` for one, or another `dataset` for its source",
                        one.id, two.id, source.name
                    ),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
