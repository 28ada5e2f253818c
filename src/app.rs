//! The one place that names backends and wires them. Nothing is contacted here: connections open at first use.

mod check;
mod dry;
mod expand;
mod lineage;
mod look;
mod plan;
mod shares;
mod survey;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

pub use check::{Wanted, unset};
pub use dry::Rehearsal;
pub use expand::{Expansion, ExpansionFault, Inspected};
pub use look::{Memory, TABLES_MAX};
pub use shares::Sharer;
pub use survey::{SurveyedTable, survey};

use crate::bucket::apart::{Apart, StatePlace};
use crate::bucket::folder::FolderBucket;
use crate::bucket::gcs::GcsBucket;
use crate::config::{Config, Endpoint, SourceConfig, SourceKind, State};
use crate::engine::{Ambient, Backfill, BackfillQuestion, Engine, Gaps, GapsQuestion, Question, RunError, RunOptions};
use crate::journal::{Desk, Journal};
use crate::model::{Code, Connection, SourceName, TableId, TableSettings, Told, Window, nearest};
use crate::net::{self, Context, Tokens};
use crate::report::history::History;
use crate::report::record::{RunId, RunRecord};
use crate::report::{Outcome, RunReport, VerifyReport};
use crate::source::mysql::MySqlSource;
use crate::source::postgres::PostgresSource;
use crate::state::Versioned;
use crate::state::transition::ResetTo;
use crate::warehouse::bigquery::BigQuery;

/// A wired Highwater.
#[derive(Debug)]
pub struct App {
    config: Config,
    engine: Engine<Apart, BigQuery>,
    desk: Desk,
    system: System,
    sources: HashMap<SourceName, AnySource>,
}

#[derive(Debug)]
enum AnySource {
    Postgres(PostgresSource),
    MySql(MySqlSource),
}

/// A name that means no table of the configuration, or more than one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTable {
    /// There is none.
    #[error("no table {id} in the configuration; {known}")]
    None {
        /// What was asked for.
        id: String,
        /// The nearest, and those that there are.
        known: String,
    },
    /// More than one source has it.
    #[error("more than one source has a table {id}; say which: {}", .ids.join(" or "))]
    Ambiguous {
        /// What was asked for.
        id: String,
        /// Those that it may mean.
        ids: Vec<String>,
    },
    /// A pattern means it, and its target is that of a table that is named.
    #[error(
        "a pattern means {id}, and its target {target} is that of {other}; name it with a `target` of its own, or exclude it"
    )]
    SharedTarget {
        /// What was asked for.
        id: String,
        /// The target.
        target: String,
        /// Whose it is.
        other: String,
    },
}

impl UnknownTable {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::None { .. } => Code::TableUnknown,
            Self::Ambiguous { .. } => Code::TableAmbiguous,
            Self::SharedTarget { .. } => Code::TargetShared,
        }
    }

    /// As people are told.
    pub fn told(&self) -> Told {
        Told::new(self.code(), &self.to_string())
    }
}

/// The most table names and patterns that an error lists.
const NAMES_LISTED_MAX: usize = 20;
/// The most characters of a name that an error repeats.
const NAME_CHARS_MAX: usize = 200;

impl App {
    /// Wires everything from the configuration.
    pub fn new(config: Config) -> Self {
        net::install_tls();
        let tokens = |endpoint: &Endpoint| match endpoint {
            Endpoint::Google => Tokens::google(),
            Endpoint::Emulator(_) => Tokens::Anonymous,
        };
        let url = |endpoint: &Endpoint| match endpoint {
            Endpoint::Google => None,
            Endpoint::Emulator(url) => Some(url.clone()),
        };
        let (storage, bigquery) = (&config.endpoints.storage, &config.endpoints.bigquery);
        let gcs = |bucket: &str, prefix: &str| GcsBucket::new(bucket, prefix, url(storage), tokens(storage));
        let state = match &config.state {
            State::Bucket => StatePlace::Bucket,
            State::Other { bucket, prefix } => StatePlace::Other(Box::new(gcs(bucket, prefix))),
            State::Folder(folder) => StatePlace::Folder(FolderBucket::new(folder.clone())),
        };
        let bucket = Apart { bucket: gcs(&config.bucket, &config.prefix), state };
        let warehouse = BigQuery::new(url(bigquery), tokens(bigquery));
        let sources = config.sources.iter().map(|source| (source.name.clone(), any_source(source))).collect();
        let (reports, runs, notify) = (config.reports.clone(), config.runs.clone(), config.notify.clone());
        let desk = Desk::new(reports, runs, notify, &config.endpoints.pubsub).with_lineage(config.lineage.clone());
        Self { engine: Engine::new(bucket, warehouse, Arc::new(System)), desk, system: System, sources, config }
    }

    /// The same, with these faults.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_faults(self, faults: crate::engine::faults::Faults) -> Self {
        Self { engine: self.engine.with_faults(faults), ..self }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Every table that the configuration names, in its order. [`App::expand`] has those of patterns too.
    pub fn tables(&self) -> impl Iterator<Item = &TableSettings> {
        self.config.tables()
    }

    /// The table's settings, where it is named or a pattern means it. Whether the source has it is not looked at.
    ///
    /// # Errors
    /// There is no such table; the error names those that there are.
    pub fn table(&self, id: &TableId) -> Result<Cow<'_, TableSettings>, UnknownTable> {
        if let Some(table) = self.tables().find(|table| table.id == *id) {
            return Ok(Cow::Borrowed(table));
        }
        let source = self.config.sources.iter().find(|source| source.name == id.source);
        let matched = source.and_then(|source| source.matched(&id.table));
        let matched = matched.ok_or_else(|| self.unknown(&id.to_string()))?;
        match self.tables().find(|table| table.target == matched.target) {
            Some(other) => Err(UnknownTable::SharedTarget {
                id: id.to_string(),
                target: matched.target.to_string(),
                other: other.id.to_string(),
            }),
            None => Ok(Cow::Owned(matched)),
        }
    }

    /// The table that a person names: `source/table`, or `table` alone if only one source has it.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn find(&self, name: &str) -> Result<Cow<'_, TableSettings>, UnknownTable> {
        if let Some(table) = self.tables().find(|table| table.id.to_string() == name) {
            return Ok(Cow::Borrowed(table));
        }
        let exact = self.tables().filter(|table| table.id.table.as_str() == name);
        let mut matching: Vec<Cow<'_, TableSettings>> = exact.map(Cow::Borrowed).collect();
        if matching.is_empty() {
            let of_source = name.split_once('/').and_then(|(source, table)| {
                let source = self.config.sources.iter().find(|known| known.name.as_str() == source)?;
                Some(TableId { source: source.name.clone(), table: table.parse().ok()? })
            });
            if let Some(id) = of_source {
                return self.table(&id);
            }
            if let Ok(table) = name.parse() {
                let ids = self.config.sources.iter().filter_map(|source| Some(source.matched(&table)?.id));
                matching = ids.filter_map(|id| self.table(&id).ok()).collect();
            }
        }
        match matching.as_slice() {
            [one, other, ..] => {
                let ids = vec![one.id.to_string(), other.id.to_string()];
                Err(UnknownTable::Ambiguous { id: name.to_owned(), ids })
            }
            _ => matching.pop().ok_or_else(|| self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> UnknownTable {
        let patterns = self
            .config
            .sources
            .iter()
            .flat_map(|source| source.patterns.names().map(|pattern| format!("{}/{pattern}", source.name)));
        let tables: Vec<String> = self.tables().map(|table| table.id.to_string()).collect();
        // with and without its source, as people name it
        let names = self.tables().map(|table| table.id.table.as_str());
        let meant = tables.iter().map(String::as_str).zip(&tables).chain(names.zip(&tables));
        let near = nearest(name, meant, 1).pop().map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        let mut known: Vec<String> = tables.iter().cloned().chain(patterns).collect();
        let more = known.len().saturating_sub(NAMES_LISTED_MAX);
        known.truncate(NAMES_LISTED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let known = format!("{near}there are: {}{more}", known.join(", "));
        UnknownTable::None { id: name.chars().take(NAME_CHARS_MAX).collect(), known }
    }

    /// Runs the table, and keeps and tells how that ended.
    ///
    /// # Errors
    /// There is no such table. A run that fails is a report, not an error.
    pub async fn sync(&self, cx: &Context, id: &TableId, options: RunOptions) -> Result<RunReport, UnknownTable> {
        let table = self.table(id)?;
        let source = self.sources.get(&id.source).ok_or_else(|| self.unknown(&id.to_string()))?;
        let run = async {
            match source {
                AnySource::Postgres(source) => self.engine.run(cx, source, &table, options).await,
                AnySource::MySql(source) => self.engine.run(cx, source, &table, options).await,
            }
        };
        Ok(self.kept(cx, &table, None, run).await)
    }

    /// A run with what goes along with it: events of lineage at both ends; then the log's line, its report, messages.
    async fn kept(
        &self,
        cx: &Context,
        table: &TableSettings,
        window: Option<&Window>,
        run: impl Future<Output = RunReport>,
    ) -> RunReport {
        let began = self.system.now();
        let run_id = self.run_id(began);
        let lines = self.lineage_of(table, window, &run_id);
        let mut report = Box::pin(self.with_start(cx, lines.as_ref(), began, run)).await;
        report.run_id = Some(run_id.as_str().to_owned());
        log_report(&report);
        let ended = self.system.now();
        let record = RunRecord::new(run_id, began, ended, &report);
        let journal = self.journal();
        let kept = Box::pin(journal.ended(cx, &record));
        tokio::join!(kept, Box::pin(self.tell_end(cx, lines.as_ref(), ended, &report)));
        report
    }

    fn run_id(&self, at: jiff::Timestamp) -> RunId {
        RunId::new(at, self.system.random())
    }

    fn journal(&self) -> Journal<'_, Apart, BigQuery> {
        Journal::new(&self.desk, self.engine.bucket(), self.engine.warehouse())
    }

    /// Past runs of so many days, today included; what cannot be read is said in its notes.
    pub async fn history(&self, cx: &Context, days: u32) -> History {
        let now = self.system.now();
        Box::pin(self.journal().history(cx, now, days, &self.run_id(now))).await
    }

    /// The clock of this machine.
    pub fn now(&self) -> jiff::Timestamp {
        self.system.now()
    }

    /// Compares the table's source and target.
    ///
    /// # Errors
    /// There is no such table. A verification that fails is a report, not an error.
    pub async fn verify(&self, cx: &Context, id: &TableId, question: &Question) -> Result<VerifyReport, UnknownTable> {
        let table = self.table(id)?;
        let source = self.sources.get(&id.source).ok_or_else(|| self.unknown(&id.to_string()))?;
        Ok(match source {
            AnySource::Postgres(source) => self.engine.verify(cx, source, &table, question).await,
            AnySource::MySql(source) => self.engine.verify(cx, source, &table, question).await,
        })
    }

    /// Decides the windows of a backfill of the table.
    ///
    /// # Errors
    /// There is no such table; the inner one says why there are no windows.
    pub async fn ask(
        &self,
        cx: &Context,
        id: &TableId,
        question: &BackfillQuestion,
    ) -> Result<Result<Backfill, RunError>, UnknownTable> {
        let table = self.table(id)?;
        let source = self.sources.get(&id.source).ok_or_else(|| self.unknown(&id.to_string()))?;
        Ok(match source {
            AnySource::Postgres(source) => self.engine.ask(cx, source, &table, question).await,
            AnySource::MySql(source) => self.engine.ask(cx, source, &table, question).await,
        })
    }

    /// Brings a window of the table.
    ///
    /// # Errors
    /// There is no such table. A window that fails is a report, not an error.
    pub async fn window(
        &self,
        cx: &Context,
        id: &TableId,
        window: &Window,
        again: bool,
    ) -> Result<RunReport, UnknownTable> {
        let table = self.table(id)?;
        let source = self.sources.get(&id.source).ok_or_else(|| self.unknown(&id.to_string()))?;
        let run = async {
            match source {
                AnySource::Postgres(source) => self.engine.window(cx, source, &table, window, again).await,
                AnySource::MySql(source) => self.engine.window(cx, source, &table, window, again).await,
            }
        };
        Ok(self.kept(cx, &table, Some(window), run).await)
    }

    /// Ends a load by keys whose windows are all complete; gives how many of these windows are not.
    ///
    /// # Errors
    /// There is no such table; the inner one is that of [`Engine::settle`].
    pub async fn settle(
        &self,
        cx: &Context,
        id: &TableId,
        windows: &[Window],
    ) -> Result<Result<usize, RunError>, UnknownTable> {
        let table = self.table(id)?;
        Ok(self.engine.settle(cx, &table, windows).await)
    }

    /// Looks for gaps of the table.
    ///
    /// # Errors
    /// There is no such table. A look that fails is a report, not an error.
    pub async fn gaps(&self, cx: &Context, id: &TableId, question: &GapsQuestion) -> Result<Gaps, UnknownTable> {
        let table = self.table(id)?;
        let source = self.sources.get(&id.source).ok_or_else(|| self.unknown(&id.to_string()))?;
        Ok(match source {
            AnySource::Postgres(source) => self.engine.gaps(cx, source, &table, question).await,
            AnySource::MySql(source) => self.engine.gaps(cx, source, &table, question).await,
        })
    }

    /// The table's state.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn state(&self, cx: &Context, id: &TableId) -> Result<Versioned, RunError> {
        self.engine.state(cx, id).await
    }

    /// Sets the table's watermark; with `again` also where rows that are read again will be in the target twice.
    ///
    /// # Errors
    /// As [`Engine::reset`] and [`Engine::refuse_twice`].
    pub async fn reset(
        &self,
        cx: &Context,
        settings: &TableSettings,
        to: ResetTo,
        drop_intent: bool,
        again: bool,
    ) -> Result<Versioned, RunError> {
        if to != ResetTo::Keep && !again {
            self.engine.refuse_twice(cx, settings).await?;
        }
        Box::pin(self.engine.reset(cx, &settings.id, to, drop_intent)).await
    }
}

/// The one line that says how a run ended.
fn log_report(report: &RunReport) {
    let (rows, bytes, chunks, ms) = (report.rows, report.bytes, report.chunks, report.durations_ms.total);
    let (outcome, run) = (report.outcome.name(), report.run_id.as_deref());
    let lag_seconds = report.lag_seconds(jiff::Timestamp::now());
    if report.dry_run {
        return log_rehearsal(report);
    }
    match &report.error {
        Some(failure) if report.outcome == Outcome::Unusable => {
            let code = failure.told().code.as_str();
            tracing::warn!(outcome, run, ms, error = failure.message, code, "the table cannot be synced as it is");
        }
        None => {
            let held_by = report.held_by.as_deref();
            tracing::info!(outcome, run, rows, bytes, chunks, ms, lag_seconds, held_by, "run ended");
        }
        Some(failure) => {
            let (error, class, code) = (&failure.message, failure.class, failure.told().code.as_str());
            tracing::error!(outcome, run, rows, bytes, chunks, ms, lag_seconds, error, code, ?class, "run failed");
        }
    }
}

/// Of a run that did not take place there is a line of its own, without a run's id: metrics and alerts are of runs.
fn log_rehearsal(report: &RunReport) {
    let (rows, bytes, chunks, ms) = (report.rows, report.bytes, report.chunks, report.durations_ms.total);
    let (outcome, dry_run) = (report.outcome.name(), true);
    match &report.error {
        None => tracing::info!(dry_run, outcome, rows, bytes, chunks, ms, "dry run ended"),
        Some(failure) => {
            let (error, class, code) = (&failure.message, failure.class, failure.told().code.as_str());
            tracing::error!(dry_run, outcome, rows, bytes, chunks, ms, error, code, ?class, "dry run failed");
        }
    }
}

fn any_source(source: &SourceConfig) -> AnySource {
    connect_by(source.kind, source.connection.clone())
}

fn connect_by(kind: SourceKind, connection: Connection) -> AnySource {
    match kind {
        SourceKind::Postgres => AnySource::Postgres(PostgresSource::new(connection)),
        SourceKind::MySql => AnySource::MySql(MySqlSource::new(connection)),
    }
}

/// The real clock and the operating system's randomness.
#[derive(Debug)]
struct System;

impl Ambient for System {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => u128::from_le_bytes(bytes),
            // no machine that runs this lacks a source of randomness; the process's own generator is seeded from it
            Err(_unavailable) => fastrand::u128(..),
        }
    }
}
