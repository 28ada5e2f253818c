//! Databases: the login, what the session may see, and each table.

use std::collections::HashSet;

use super::{Looks, Part, about, stopped};
use crate::app::expand::judge;
use crate::config::{SourceConfig, SourceKind, is_loopback};
use crate::engine::RunError;
use crate::model::{Address, Class, Connection, Finding, Rights, ServerFacts, Standing, TableId, TableSettings};
use crate::plan::check::{self, Readable, Site};
use crate::plan::draft::Dialect;
use crate::source::checkup::Checkup;
use crate::source::survey::Survey as _;
use crate::source::{Description, Session as _, Source, SourceError};

/// What was found of a source, and the tables that it comes to.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    pub(super) tables: Vec<TableSettings>,
    /// Those of them that a run of everything would tell and leave out.
    pub(super) left_out: HashSet<TableId>,
}

/// The most connections for a source's tables after the first. Whatever breaks connections, a check ends.
const RECONNECTS_MAX: u32 = 3;

/// The connection to a source that is being looked at.
struct Line<'a, S: Source> {
    source: &'a S,
    /// Nothing if it broke, and no other could be had.
    session: Option<S::Session>,
    reconnects_left: u32,
    /// Why there is none.
    down: String,
}

impl<S: Source> Line<'_, S> {
    /// Another connection for one that may be broken, if it can be had; it is not tried again and again.
    async fn renew(&mut self, looks: &Looks) {
        self.session = None;
        if self.reconnects_left == 0 {
            self.down = "its connections break".to_owned();
            return;
        }
        self.reconnects_left -= 1;
        match self.source.connect(&looks.look()).await {
            Ok(fresh) => self.session = Some(fresh),
            Err(error) => self.down = RunError::from(error).one_line(),
        }
    }
}

/// Looks at a source. Its named tables are known even where it does not answer.
pub(super) async fn check<S: Source>(
    looks: &Looks,
    source: &S,
    config: &SourceConfig,
    part: Part,
    now_us: &(dyn Fn() -> i64 + Sync),
) -> Checked
where
    S::Session: Checkup,
{
    let about_source = format!("source {}", config.name);
    let site = site(&about_source, config);
    let (whole, mut tables) = match part {
        Part::Whole => (true, config.tables.clone()),
        Part::Tables(tables) => (false, tables),
    };
    let mut findings = Vec::new();
    let error = match greet(looks, source, site, now_us, &mut findings).await {
        Ok((mut session, facts)) => {
            if whole && !config.patterns.is_empty() {
                match session.list(&looks.look(), config.patterns.only_schema()).await {
                    Ok(listed) => tables.extend(config.found(&listed)),
                    Err(error) => findings.push(failed(&about_source, "tables of patterns", error)),
                }
            }
            findings.extend(files(&about_source, &config.connection));
            let (session, down) = (Some(session), String::new());
            let mut line = Line { source, session, reconnects_left: RECONNECTS_MAX, down };
            let mut left_out = HashSet::new();
            for settings in &tables {
                let unnamed = whole && settings.matched.is_some();
                match table(looks, &mut line, site, &facts, settings).await {
                    Table::Unfit(finding) if unnamed => {
                        left_out.insert(settings.id.clone());
                        findings.push(check::left_out(finding));
                    }
                    Table::Unfit(finding) => findings.push(finding),
                    Table::Told(told) => findings.extend(told),
                }
            }
            if let Some(session) = line.session {
                session.close().await;
            }
            return Checked { findings, tables, left_out };
        }
        Err(error) => error,
    };
    if !matches!(error, SourceError::TlsFile { .. }) {
        findings.extend(files(&about_source, &config.connection));
    }
    let costs = "no table of it is synced";
    let mend = if let SourceError::Login { message, .. } = &error { check::admission(site, message) } else { None };
    let refused = failed(&about_source, "login", error).costs(costs);
    findings.push(Finding { mend, ..refused });
    let open = |settings: &TableSettings| {
        Finding::new(&about(&settings.id), "read", Standing::CannotTell)
            .found(format!("{about_source} could not be asked"))
    };
    findings.extend(tables.iter().map(open));
    Checked { findings, tables, left_out: HashSet::new() }
}

fn site<'a>(about: &'a str, config: &'a SourceConfig) -> Site<'a> {
    let dialect = match config.kind {
        SourceKind::Postgres => Dialect::Postgres,
        SourceKind::MySql => Dialect::MySql,
    };
    let loopback = match &config.connection.address {
        Address::Tcp { host, .. } => is_loopback(host),
        Address::Socket(_) => false,
    };
    Site { about, dialect, connection: &config.connection, loopback }
}

/// Logs in and looks around.
async fn greet<S: Source>(
    looks: &Looks,
    source: &S,
    site: Site<'_>,
    now_us: &(dyn Fn() -> i64 + Sync),
    findings: &mut Vec<Finding>,
) -> Result<(S::Session, ServerFacts), SourceError>
where
    S::Session: Checkup,
{
    let mut session = source.connect(&looks.look()).await?;
    let facts = session.server(&looks.look()).await?;
    let activity = session.activity(&looks.look()).await?;
    findings.extend(check::server(site, &facts, &activity, now_us()));
    Ok((session, facts))
}

/// The files of the TLS settings are read before anything is connected.
fn files(about: &str, connection: &Connection) -> Option<Finding> {
    let files = [&connection.tls.ca, &connection.tls.cert, &connection.tls.key];
    let names: Vec<String> = files.into_iter().flatten().map(|path| path.display().to_string()).collect();
    (!names.is_empty()).then(|| Finding::new(about, "files of tls", Standing::Ok).found(names.join(", ")))
}

fn failed(about: &str, check: &'static str, error: SourceError) -> Finding {
    let check = if matches!(error, SourceError::TlsFile { .. }) { "files of tls" } else { check };
    let class = error.class();
    stopped(about, check, class, RunError::from(error).one_line())
}

/// What was found of a table.
enum Table {
    /// It cannot be synced as it is, and its database answered.
    Unfit(Finding),
    /// Anything else.
    Told(Vec<Finding>),
}

/// Looks at one table, and once more over another connection if that is what failed.
async fn table<S: Source>(
    looks: &Looks,
    line: &mut Line<'_, S>,
    site: Site<'_>,
    facts: &ServerFacts,
    settings: &TableSettings,
) -> Table
where
    S::Session: Checkup,
{
    let about = about(&settings.id);
    let site = Site { about: &about, ..site };
    let mut said = None;
    for _ in 0..2 {
        let Some(session) = &mut line.session else { break };
        match look(looks, session, site, facts, settings).await {
            Ok(told) => return told,
            Err(error) => {
                let broken = error.class() == Class::Transient;
                let finding = failed(&about, "read", error).costs("every run of the table fails");
                if !broken {
                    return Table::Told(vec![finding]);
                }
                said = Some(finding);
                line.renew(looks).await;
            }
        }
    }
    let lost = || {
        Finding::new(&about, "read", Standing::CannotTell)
            .found(format!("its source does not answer any more: {}", line.down))
            .unreached()
    };
    Table::Told(vec![said.unwrap_or_else(lost)])
}

async fn look<S: Checkup>(
    looks: &Looks,
    session: &mut S,
    site: Site<'_>,
    facts: &ServerFacts,
    settings: &TableSettings,
) -> Result<Table, SourceError> {
    let found = match session.describe(&looks.look(), &settings.table).await {
        Ok(found) => found,
        Err(error @ SourceError::Denied { .. }) => {
            let rights: Rights = session.rights(&looks.look(), &settings.table).await?;
            let said = RunError::from(error).one_line();
            return Ok(Table::Unfit(check::denied(site, facts, &settings.table, rights, said)));
        }
        Err(error) => return Err(error),
    };
    let judged = judge(settings.clone(), &found);
    if let Some(lacks) = judged.lacks {
        return Ok(Table::Unfit(check::unusable(site.about, lacks)));
    }
    let hints = session.hints(&looks.look(), &settings.table).await?;
    let Description { hidden, hides_some, indexing, .. } = &found;
    let begins = |cursor: &str| hints.indexes.iter().any(|index| index.first().is_some_and(|first| first == cursor));
    let cursor = judged.cursor.as_deref();
    let how = Readable {
        cursor,
        key: &judged.key,
        hidden,
        hides_some: *hides_some,
        indexed: cursor.map(begins),
        indexing: *indexing,
    };
    Ok(Table::Told(check::readable(site, facts, &settings.table, how)))
}
