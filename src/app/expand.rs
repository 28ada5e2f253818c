//! What the configuration comes to: the tables that are named, and those that patterns find in the catalogs.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{AnySource, App};
use crate::config::SourceConfig;
use crate::engine::RunError;
use crate::model::{BqTable, Class, Code, Listed, SourceName, TableSettings, Told};
use crate::net::Context;
use crate::plan::matched;
use crate::plan::table::{self, Catalog};
use crate::source::survey::Survey;
use crate::source::{Description, Session, Source, SourceError};

/// The most time for looking at one source's catalog.
const LOOK_MAX: Duration = Duration::from_secs(120);

/// Every table that there is, and what is wrong with the others.
#[derive(Debug, Default)]
pub struct Expansion {
    /// The tables: of each source those that are named, then those that patterns found, in the order of their names.
    pub tables: Vec<TableSettings>,
    /// What could not be told, or must not be run.
    pub faults: Vec<ExpansionFault>,
}

/// A source or a table that the expansion leaves out.
#[derive(Clone, Debug)]
pub struct ExpansionFault {
    /// The source.
    pub source: SourceName,
    /// What is wrong.
    pub told: Told,
    /// What may be done.
    pub class: Class,
    /// Whether the source could not be asked, so that of its tables nobody knows.
    pub unasked: bool,
}

/// What a run of a table would rest on.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The table's settings.
    pub settings: TableSettings,
    /// The cursor, as configured or chosen.
    pub cursor: Option<String>,
    /// The key's columns.
    pub key: Vec<String>,
    /// What it lacks, or why it could not be looked at.
    pub lacks: Option<String>,
    /// Whether the catalog answered.
    pub answered: bool,
}

impl App {
    /// Asks the catalog of each source that has patterns, side by side. A source that does not answer costs only what
    /// its patterns would have found.
    pub async fn expand(&self, stop: &CancellationToken) -> Expansion {
        let found = join_all(self.config.sources.iter().map(|source| self.find_in(source, stop))).await;
        let mut expansion = Expansion::default();
        for (source, found) in self.config.sources.iter().zip(found) {
            expansion.tables.extend(source.tables.iter().cloned());
            match found {
                Ok(found) => expansion.tables.extend(found),
                Err(error) => {
                    let error = RunError::from(error);
                    let told = Told { code: error.code(), message: error.one_line() };
                    let told = told.of(format_args!("the tables of {} could not be listed", source.name));
                    let source = source.name.clone();
                    expansion.faults.push(ExpansionFault { source, told, class: error.class(), unasked: true });
                }
            }
        }
        leave_out_shared(&mut expansion);
        expansion
    }

    /// The tables of a source that its patterns find.
    async fn find_in(
        &self,
        config: &SourceConfig,
        stop: &CancellationToken,
    ) -> Result<Vec<TableSettings>, SourceError> {
        let patterns = &config.patterns;
        let Some(source) = self.sources.get(&config.name).filter(|_| !patterns.is_empty()) else {
            return Ok(Vec::new());
        };
        let cx = Context::new(Instant::now() + LOOK_MAX, stop.clone());
        let listed = match source {
            AnySource::Postgres(source) => list(&cx, source, patterns.only_schema()).await?,
            AnySource::MySql(source) => list(&cx, source, patterns.only_schema()).await?,
        };
        Ok(config.found(&listed))
    }

    /// Looks at each of these tables as a run would, one connection a source.
    pub async fn inspect(&self, tables: Vec<TableSettings>, stop: &CancellationToken) -> Vec<Inspected> {
        let of = |name: &SourceName| tables.iter().filter(|table| table.id.source == *name).cloned().collect();
        let sources = self.config.sources.iter().filter_map(|source| {
            let tables: Vec<TableSettings> = of(&source.name);
            Some((self.sources.get(&source.name)?, tables))
        });
        let inspected = sources.map(|(source, tables)| async move {
            match source {
                AnySource::Postgres(source) => Box::pin(inspect(stop, source, tables)).await,
                AnySource::MySql(source) => Box::pin(inspect(stop, source, tables)).await,
            }
        });
        join_all(inspected).await.into_iter().flatten().collect()
    }
}

async fn list<S: Source>(cx: &Context, source: &S, schema: Option<&str>) -> Result<Vec<Listed>, SourceError>
where
    S::Session: Survey,
{
    let mut session = source.connect(cx).await?;
    let listed = session.list(cx, schema).await?;
    session.close().await;
    Ok(listed)
}

async fn inspect<S: Source>(stop: &CancellationToken, source: &S, tables: Vec<TableSettings>) -> Vec<Inspected> {
    let mut session = None;
    // a source that cannot be reached is not waited for once for each table
    let mut down: Option<String> = None;
    let mut inspected = Vec::with_capacity(tables.len());
    for settings in tables {
        let cx = Context::new(Instant::now() + LOOK_MAX, stop.clone());
        if session.is_none() && down.is_none() {
            match source.connect(&cx).await {
                Ok(opened) => session = Some(opened),
                Err(error) => down = Some(RunError::from(error).one_line()),
            }
        }
        let Some(open) = &mut session else {
            inspected.push(unanswered(settings, down.clone().unwrap_or_default()));
            continue;
        };
        inspected.push(match open.describe(&cx, &settings.table).await {
            Ok(found) => judge(settings, &found),
            Err(error) => {
                // after an error of the connection the next table has another
                let broken = error.class() == Class::Transient;
                if broken {
                    session = None;
                }
                Inspected { answered: !broken, ..unanswered(settings, RunError::from(error).one_line()) }
            }
        });
    }
    if let Some(session) = session {
        session.close().await;
    }
    inspected
}

/// What there is to say of a table that could not be looked at.
fn unanswered(settings: TableSettings, why: String) -> Inspected {
    let (cursor, key) = (settings.cursor.clone(), settings.key.clone().unwrap_or_default());
    Inspected { settings, cursor, key, lacks: Some(why), answered: false }
}

/// Decides as a run would.
pub(super) fn judge(settings: TableSettings, found: &Description) -> Inspected {
    let Description { columns, hidden, primary_key, unique_keys, comment, .. } = found;
    let catalog = Catalog { columns, hidden, primary_key, unique_keys, comment: comment.as_deref() };
    let settled = match &settings.matched {
        Some(by) => matched::settle(&settings, by, (&found.name, found.kind), catalog, None),
        None => Ok(settings.clone()),
    };
    let plan = settled.and_then(|settled| Ok((settled.cursor.clone(), table::decide(catalog, &settled, None)?)));
    match plan {
        Ok((cursor, plan)) => Inspected { settings, cursor, key: plan.key_names, lacks: None, answered: true },
        Err(error) => Inspected { answered: true, ..unanswered(settings, error.to_string()) },
    }
}

/// Of tables that come to one target the ones that patterns found are left out, all of them: none has the better right.
pub(super) fn leave_out_shared(expansion: &mut Expansion) {
    let mut by_target: HashMap<BqTable, Vec<usize>> = HashMap::new();
    for (at, table) in expansion.tables.iter().enumerate() {
        by_target.entry(table.target.clone()).or_default().push(at);
    }
    let mut out = Vec::new();
    for (target, shared) in by_target.into_iter().filter(|(_, shared)| shared.len() > 1) {
        let ids: Vec<String> = shared.iter().map(|&at| expansion.tables[at].id.to_string()).collect();
        let text = format!(
            "{} have the same target {target}; name one of them with a `target` of its own, or exclude it",
            ids.join(" and ")
        );
        let told = Told::new(Code::TargetShared, &text);
        let source = expansion.tables[shared[0]].id.source.clone();
        expansion.faults.push(ExpansionFault { source, told, class: Class::Usage, unasked: false });
        out.extend(shared.into_iter().filter(|&at| expansion.tables[at].matched.is_some()));
    }
    expansion.faults.sort_by(|a, b| (&a.source, &a.told.message).cmp(&(&b.source, &b.told.message)));
    let mut at = 0;
    expansion.tables.retain(|_| {
        at += 1;
        !out.contains(&(at - 1))
    });
}
