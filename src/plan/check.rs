//! What a check has to say of databases and their tables, and the statement that mends each lack.
//!
//! `google` has the same of Cloud Storage and BigQuery.

pub mod google;

use crate::model::{
    Account, Activity, Address, Connection, Finding, Indexing, Mend, Rights, SECOND_MICROS, ServerFacts, SourceTable,
    Standing, TlsMode, Visibility,
};
use crate::plan::draft::{self, Dialect};

/// Clocks that differ by more are told. Nothing rests on ours; reports and schedules read it.
const CLOCKS_MAX_S: i64 = 30;
/// The schema of PostgreSQL's tables that are named without one.
const DEFAULT_SCHEMA: &str = "public";

/// A database, as a check speaks of it.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// `source NAME`.
    pub about: &'a str,
    /// Whose SQL it takes.
    pub dialect: Dialect,
    /// How it is reached.
    pub connection: &'a Connection,
    /// Whether nobody else can listen on the way.
    pub loopback: bool,
}

/// How a table can be read.
#[derive(Clone, Copy, Debug)]
pub struct Readable<'a> {
    /// The cursor, if its mode has one.
    pub cursor: Option<&'a str>,
    /// The key's columns.
    pub key: &'a [String],
    /// Columns that may not be read.
    pub hidden: &'a [String],
    /// Whether there are such whose names cannot be told.
    pub hides_some: bool,
    /// Whether an index begins with the cursor; `None` where there is no cursor.
    pub indexed: Option<bool>,
    /// How the table gets an index; one that gets none is not judged by it.
    pub indexing: Indexing,
}

/// What there is to say of a server that took the login.
pub fn server(site: Site<'_>, facts: &ServerFacts, activity: &Activity, ours_us: i64) -> Vec<Finding> {
    let ok = |check| Finding::new(site.about, check, Standing::Ok);
    let at = format!("{} at {}, user {}", facts.version, site.connection.address, written(&facts.account));
    vec![ok("login").found(at), tls(site, facts), clock(site, activity, ours_us), sessions(site, facts, activity)]
}

fn written(account: &Account) -> String {
    match &account.host {
        Some(host) => format!("{}@{host}", account.name),
        None => account.name.clone(),
    }
}

fn tls(site: Site<'_>, facts: &ServerFacts) -> Finding {
    const CHECK: &str = "tls";
    let ok = |found: String| Finding::new(site.about, CHECK, Standing::Ok).found(found);
    let optional = |found: String| Finding::new(site.about, CHECK, Standing::Optional).found(found);
    let version = facts.tls.clone().unwrap_or_else(|| "TLS".to_owned());
    match (&site.connection.address, site.connection.tls.mode) {
        (Address::Socket(_), _) => ok("none: a Unix socket".to_owned()),
        (Address::Tcp { .. }, TlsMode::Disable) if site.loopback => ok("none: a loopback address".to_owned()),
        (Address::Tcp { .. }, TlsMode::Disable) => optional("none; say `tls.mode: verify-full`".to_owned())
            .costs("whoever is on the way can read the password and every row"),
        (Address::Tcp { .. }, TlsMode::Require) => {
            optional(format!("{version}, the server's certificate is not verified; say `tls.mode: verify-full`"))
                .costs("whoever is on the way can pass for the server")
        }
        (Address::Tcp { .. }, TlsMode::VerifyCa) => ok(format!("{version}, the certificate's CA is verified")),
        (Address::Tcp { .. }, TlsMode::VerifyFull) => {
            ok(format!("{version}, the certificate and its name are verified"))
        }
    }
}

fn clock(site: Site<'_>, activity: &Activity, ours_us: i64) -> Finding {
    const CHECK: &str = "clock";
    let seconds = (activity.now_us - ours_us) / SECOND_MICROS;
    let found = format!("{} s {} this machine's", seconds.abs(), if seconds < 0 { "behind" } else { "ahead of" });
    if seconds.abs() <= CLOCKS_MAX_S {
        return Finding::new(site.about, CHECK, Standing::Ok).found(found);
    }
    let costs = "reports and schedules are off by that; what is read goes by the database's clock alone";
    Finding::new(site.about, CHECK, Standing::Optional).found(found).costs(costs)
}

/// What can be seen of other users' transactions, which the ceiling rests on.
fn sessions(site: Site<'_>, facts: &ServerFacts, activity: &Activity) -> Finding {
    const CHECK: &str = "open transactions";
    let finding = |standing| Finding::new(site.about, CHECK, standing);
    match activity.visibility {
        Visibility::Replica { replayed_us: Some(at) } => {
            let behind = (activity.now_us - at) / SECOND_MICROS;
            finding(Standing::Ok).found(format!("a replica; rows up to {behind} s ago are known to be there"))
        }
        Visibility::Replica { replayed_us: None } => match site.dialect {
            Dialect::Postgres => finding(Standing::CannotTell)
                .found("a replica that has replayed nothing yet")
                .costs("nothing is read until it has"),
            Dialect::MySql => finding(Standing::Lacks)
                .found("a replica, and how far it is cannot be told")
                .costs("nothing is read")
                .mend(Mend::Sql(grant(replication_right(facts), "ON *.* ", site.dialect, &facts.account))),
        },
        Visibility::Full | Visibility::Hidden { .. } if !facts.sees_others => {
            let (right, on) = match site.dialect {
                Dialect::Postgres => ("pg_read_all_stats", ""),
                Dialect::MySql => ("PROCESS", "ON *.* "),
            };
            finding(Standing::Lacks)
                .found(format!("those of other users cannot be seen: {right} is missing"))
                .costs(
                    "rows are read up to the clock less `lag`, and a transaction that is open for longer can slip by",
                )
                .mend(Mend::Sql(grant(right, on, site.dialect, &facts.account)))
        }
        Visibility::Hidden { .. } => finding(Standing::Optional)
            .found("some cannot be seen: a session that hides itself, or a node of a cluster")
            .costs("rows are read up to the clock less `lag`"),
        Visibility::Full => finding(Standing::Ok).found("all can be seen"),
    }
}

/// The right to see how far a replica is.
fn replication_right(facts: &ServerFacts) -> &'static str {
    if facts.version.starts_with("MariaDB") { "SLAVE MONITOR" } else { "REPLICATION CLIENT" }
}

fn grant(right: &str, on: &str, dialect: Dialect, account: &Account) -> String {
    format!("GRANT {right} {on}TO {};", grantee(dialect, account))
}

/// The account as GRANT takes it. MySQL takes backticks in every SQL mode.
fn grantee(dialect: Dialect, account: &Account) -> String {
    let name = draft::quote(&account.name, dialect);
    match &account.host {
        Some(host) => format!("{name}@{}", draft::quote(host, dialect)),
        None => name,
    }
}

/// The statement that lets the user into the database, if that is what the server refuses. Servers that do not speak English
/// get none.
pub fn admission(site: Site<'_>, said: &str) -> Option<Mend> {
    let database = &site.connection.database;
    let (on, account) = match site.dialect {
        Dialect::Postgres => {
            said.starts_with("permission denied for database").then_some(())?;
            let on = format!("CONNECT ON DATABASE {}", draft::quote(database, site.dialect));
            (on, Account { name: site.connection.user.clone(), host: None })
        }
        Dialect::MySql => {
            // the account that the server found for the login
            let (_, account) = said.split_once("Access denied for user '")?;
            let (name, host) = account.split_once("' to database")?.0.rsplit_once("'@'")?;
            // wildcards where a whole database is meant
            let pattern = database.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%");
            let on = format!("SELECT ON {}.*", draft::quote(&pattern, site.dialect));
            (on, Account { name: name.to_owned(), host: Some(host.to_owned()) })
        }
    };
    Some(Mend::Sql(grant(&on, "", site.dialect, &account)))
}

/// A table that may not be read.
pub fn denied(site: Site<'_>, facts: &ServerFacts, table: &SourceTable, rights: Rights, said: String) -> Finding {
    let (schema, name) = names(site, table);
    let full = format!("{}.{}", draft::quote(&schema, site.dialect), draft::quote(&name, site.dialect));
    let mut grants = Vec::new();
    if !rights.schema {
        let on = format!("ON SCHEMA {} ", draft::quote(&schema, site.dialect));
        grants.push(grant("USAGE", &on, site.dialect, &facts.account));
    }
    if !rights.table {
        grants.push(grant("SELECT", &format!("ON {full} "), site.dialect, &facts.account));
    }
    Finding::new(site.about, "read", Standing::Lacks)
        .found(said)
        .costs("every run of the table fails")
        .mend(Mend::Sql(grants.join(" ")))
}

fn names(site: Site<'_>, table: &SourceTable) -> (String, String) {
    let default = match site.dialect {
        Dialect::Postgres => DEFAULT_SCHEMA,
        Dialect::MySql => &site.connection.database,
    };
    (table.schema.clone().unwrap_or_else(|| default.to_owned()), table.name.clone())
}

/// A table that cannot be synced, for another reason than a right.
pub fn unusable(about: &str, said: String) -> Finding {
    Finding::new(about, "read", Standing::Lacks).found(said).costs("every run of the table fails")
}

/// What a table lacks that nobody named: a run of everything tells it, and goes on.
pub fn left_out(finding: Finding) -> Finding {
    const COSTS: &str = "a pattern found it, and it is left out; if it was synced before, its runs fail";
    Finding { standing: Standing::Optional, ..finding }.costs(COSTS)
}

/// A table that can be read.
pub fn readable(site: Site<'_>, facts: &ServerFacts, table: &SourceTable, how: Readable<'_>) -> Vec<Finding> {
    let mut found = match how.cursor {
        Some(cursor) => format!("cursor {cursor}, "),
        None => String::new(),
    };
    found += &if how.key.is_empty() { "no key".to_owned() } else { format!("key {}", how.key.join(", ")) };
    let mut findings = vec![Finding::new(site.about, "read", Standing::Ok).found(found)];
    if how.hides_some || !how.hidden.is_empty() {
        let which = if how.hidden.is_empty() { "some".to_owned() } else { how.hidden.join(", ") };
        let said = format!("columns that may not be read: {which}");
        let rights = Rights { schema: true, table: false };
        let finding = denied(site, facts, table, rights, said).costs("they are not synced");
        findings.push(Finding { check: "columns", standing: Standing::Optional, ..finding });
    }
    let indexed = how.indexed.filter(|_| how.indexing != Indexing::Never);
    findings.extend(indexed.zip(how.cursor).map(|(indexed, cursor)| match indexed {
        true => Finding::new(site.about, "index", Standing::Ok),
        false => {
            let (schema, name) = names(site, table);
            let table = SourceTable { schema: Some(schema), name };
            let mut columns = vec![cursor.to_owned()];
            columns.extend(how.key.iter().filter(|column| *column != cursor).cloned());
            let locks = if how.indexing == Indexing::Locking { draft::LOCKS } else { "" };
            let mend = draft::create_index(&table, &columns, site.dialect, how.indexing).map(Mend::Sql);
            let finding = Finding::new(site.about, "index", Standing::Optional)
                .found(format!("no index begins with the cursor{locks}"))
                .costs("each chunk reads the whole table");
            Finding { mend, ..finding }
        }
    }));
    findings
}

#[cfg(test)]
mod tests;
