//! Tests everything that Highwater needs, one thing after the other, and says how each stands. What fails stops only what
//! cannot be told without it. Nothing that lasts is written.

mod google;
mod source;

use std::collections::HashSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::google::Google;
use super::App;
use super::expand::{Expansion, leave_out_shared};
use crate::config::{Config, SourceConfig};
use crate::engine::Ambient as _;
use crate::model::{Class, Finding, SourceName, Standing, TableId, TableSettings};
use crate::net::Context;
use crate::plan::check;

/// The most time for one look: a connection, a table, a request of Google's with all its attempts.
const LOOK_MAX: Duration = Duration::from_secs(20);

/// What is looked at. Nothing named is everything.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Whole sources.
    pub sources: HashSet<SourceName>,
    /// Tables.
    pub tables: Vec<TableSettings>,
}

impl Wanted {
    fn is_everything(&self) -> bool {
        self.sources.is_empty() && self.tables.is_empty()
    }

    /// What is wanted of the source; `None` for nothing.
    fn of(&self, source: &SourceConfig) -> Option<Part> {
        if self.is_everything() || self.sources.contains(&source.name) {
            return Some(Part::Whole);
        }
        let tables: Vec<TableSettings> =
            self.tables.iter().filter(|table| table.id.source == source.name).cloned().collect();
        (!tables.is_empty()).then_some(Part::Tables(tables))
    }
}

/// What of a source is looked at.
enum Part {
    Whole,
    Tables(Vec<TableSettings>),
}

/// How long one look may take, and when all end.
#[derive(Clone, Debug)]
struct Looks {
    stop: CancellationToken,
}

impl Looks {
    fn look(&self) -> Context {
        Context::new(Instant::now() + LOOK_MAX, self.stop.clone())
    }
}

impl App {
    /// Looks at what is wanted: Google's side first, then each source, at most [`crate::config::Config::parallel`] at once.
    pub async fn check(&self, wanted: &Wanted, stop: &CancellationToken) -> Vec<Finding> {
        let looks = Looks { stop: stop.clone() };
        let parallel = usize::try_from(self.config.parallel.get()).unwrap_or(1);
        let parts = self.config.sources.iter().filter_map(|source| Some((source, wanted.of(source)?)));
        let sources: Vec<_> = parts.map(|(config, part)| self.check_source(&looks, config, part)).collect();
        let of_sources: Vec<source::Checked> = stream::iter(sources).buffered(parallel).collect().await;
        let mut tables: Vec<TableSettings> = Vec::new();
        let mut left_out = HashSet::new();
        let mut later = Vec::new();
        for checked in of_sources {
            tables.extend(checked.tables);
            left_out.extend(checked.left_out);
            later.extend(checked.findings);
        }
        let (mut tables, shared) = apart(tables, &self.config);
        tables.retain(|table| !left_out.contains(&table.id));
        let google = Google {
            looks: &looks,
            bucket: self.engine.bucket(),
            warehouse: self.engine.warehouse(),
            config: &self.config,
            random: &|| self.system.random(),
            parallel,
        };
        let mut findings = Box::pin(google.check(&tables)).await;
        findings.extend(shared);
        findings.extend(later);
        findings
    }

    async fn check_source(&self, looks: &Looks, config: &SourceConfig, part: Part) -> source::Checked {
        let now = || self.system.now().as_microsecond();
        match self.sources.get(&config.name) {
            Some(super::AnySource::Postgres(source)) => {
                Box::pin(source::check(looks, source, config, part, &now)).await
            }
            Some(super::AnySource::MySql(source)) => Box::pin(source::check(looks, source, config, part, &now)).await,
            None => source::Checked::default(),
        }
    }

    /// The sources and tables that a person names.
    ///
    /// # Errors
    /// A name is neither.
    pub fn wanted(&self, names: &[String]) -> Result<Wanted, super::UnknownTable> {
        let mut wanted = Wanted::default();
        for name in names {
            match self.config.sources.iter().find(|source| source.name.as_str() == name) {
                Some(source) => {
                    wanted.sources.insert(source.name.clone());
                }
                None => wanted.tables.push(self.find(name)?.into_owned()),
            }
        }
        Ok(wanted)
    }
}

/// Takes out, as a run of everything does, what patterns found and whose target is another table's too, and says so.
fn apart(tables: Vec<TableSettings>, config: &Config) -> (Vec<TableSettings>, Vec<Finding>) {
    let wanted: HashSet<TableId> = tables.iter().map(|table| table.id.clone()).collect();
    let mut seen = HashSet::new();
    // what is named keeps its target, whether it is looked at or not
    let named = config.sources.iter().flat_map(|source| source.tables.iter().cloned());
    let all: Vec<TableSettings> =
        tables.into_iter().chain(named).filter(|table| seen.insert(table.id.clone())).collect();
    let mut expansion = Expansion { tables: all.clone(), faults: Vec::new() };
    leave_out_shared(&mut expansion);
    let kept: HashSet<&TableId> = expansion.tables.iter().map(|table| &table.id).collect();
    let lacks = |about: String, check, found| Finding::new(&about, check, Standing::Lacks).found(found);
    let mut findings: Vec<Finding> = expansion
        .faults
        .iter()
        .map(|fault| lacks(format!("source {}", fault.source), "targets", fault.told.message.clone()))
        .map(|finding| finding.costs("those of them that patterns found are not synced, and `--all` fails"))
        .collect();
    let out = all.iter().filter(|table| !kept.contains(&table.id));
    findings.extend(out.map(|table| {
        lacks(about(&table.id), "target", format!("{} is another table's too", table.target)).costs("it is not synced")
    }));
    expansion.tables.retain(|table| wanted.contains(&table.id));
    (expansion.tables, findings)
}

/// What an error says of the thing that it stopped: who did not answer leaves it open.
fn stopped(about: &str, check: &'static str, class: Class, said: String) -> Finding {
    match class {
        Class::Transient => Finding::new(about, check, Standing::CannotTell).found(said).unreached(),
        Class::Permanent | Class::Usage => Finding::new(about, check, Standing::Lacks).found(said),
    }
}

/// A table, as findings name it.
fn about(id: &TableId) -> String {
    format!("table {id}")
}

/// Variables of a configuration that could not be read for want of them, if that is all that is wrong with it.
pub fn unset(lines: &[(String, Option<String>)]) -> Option<Vec<Finding>> {
    lines.iter().map(|(line, name)| Some(check::google::unset(name.as_deref()?, line))).collect()
}
