//! The one place that names backends and wires them. Nothing is contacted here: connections open at first use.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bucket::gcs::GcsBucket;
use crate::config::{Config, Endpoint, SourceConfig, SourceKind};
use crate::engine::{Ambient, Engine, Question, RunError};
use crate::model::{SourceName, TableId, TableSettings};
use crate::net::{self, Context, Tokens};
use crate::report::{RunReport, VerifyReport};
use crate::source::mysql::MySqlSource;
use crate::source::postgres::PostgresSource;
use crate::state::Versioned;
use crate::state::transition::ResetTo;
use crate::warehouse::bigquery::BigQuery;

/// A wired Highwater.
#[derive(Debug)]
pub struct App {
    config: Config,
    engine: Engine<GcsBucket, BigQuery>,
    sources: HashMap<SourceName, AnySource>,
}

#[derive(Debug)]
enum AnySource {
    Postgres(PostgresSource),
    MySql(MySqlSource),
}

/// No such table in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no table {id} in the configuration; {known}")]
pub struct UnknownTable {
    id: String,
    known: String,
}

/// The most table names that an error lists.
const NAMES_LISTED_MAX: usize = 20;
/// The most bytes of a name that is compared with the tables' names.
const NAME_COMPARED_BYTES_MAX: usize = 200;

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
        let bucket = GcsBucket::new(&config.bucket, &config.prefix, url(storage), tokens(storage));
        let warehouse = BigQuery::new(url(bigquery), tokens(bigquery));
        let sources = config.sources.iter().map(|source| (source.name.clone(), any_source(source))).collect();
        Self { engine: Engine::new(bucket, warehouse, Arc::new(System)), sources, config }
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

    /// Every configured table, in the configuration's order.
    pub fn tables(&self) -> impl Iterator<Item = &TableSettings> {
        self.config.tables()
    }

    /// The table's settings.
    ///
    /// # Errors
    /// There is no such table; the error names those that there are.
    pub fn table(&self, id: &TableId) -> Result<&TableSettings, UnknownTable> {
        self.tables().find(|table| table.id == *id).ok_or_else(|| self.unknown(&id.to_string()))
    }

    /// The table that a person names: `source/table`, or `table` alone if only one source has it.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn find(&self, name: &str) -> Result<&TableSettings, UnknownTable> {
        if let Some(table) = self.tables().find(|table| table.id.to_string() == name) {
            return Ok(table);
        }
        let mut matching = self.tables().filter(|table| table.id.table.as_str() == name);
        match (matching.next(), matching.next()) {
            (Some(table), None) => Ok(table),
            (Some(one), Some(other)) => {
                let known = format!("say which: {} or {}", one.id, other.id);
                Err(UnknownTable { id: name.to_owned(), known })
            }
            (None, _) => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> UnknownTable {
        let distance = |table: &&TableSettings| strsim::damerau_levenshtein(&table.id.to_string(), name);
        let mut known: Vec<&TableSettings> = self.tables().collect();
        // anybody may ask for anything: a long name is near to none, and comparing it costs
        if name.len() <= NAME_COMPARED_BYTES_MAX {
            known.sort_by_cached_key(distance);
        }
        let more = known.len().saturating_sub(NAMES_LISTED_MAX);
        let listed: Vec<String> = known.iter().take(NAMES_LISTED_MAX).map(|table| table.id.to_string()).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        UnknownTable { id: name.to_owned(), known: format!("there are: {}{more}", listed.join(", ")) }
    }

    /// Runs the table. `accept` goes on from a watermark that was made with other settings.
    ///
    /// # Errors
    /// There is no such table. A run that fails is a report, not an error.
    pub async fn sync(&self, cx: &Context, id: &TableId, accept: bool) -> Result<RunReport, UnknownTable> {
        let table = self.table(id)?;
        let source = self.sources.get(&id.source).ok_or_else(|| self.unknown(&id.to_string()))?;
        let report = match source {
            AnySource::Postgres(source) => self.engine.run(cx, source, table, accept).await,
            AnySource::MySql(source) => self.engine.run(cx, source, table, accept).await,
        };
        log_report(&report);
        Ok(report)
    }

    /// Compares the table's source and target.
    ///
    /// # Errors
    /// There is no such table. A verification that fails is a report, not an error.
    pub async fn verify(&self, cx: &Context, id: &TableId, question: &Question) -> Result<VerifyReport, UnknownTable> {
        let table = self.table(id)?;
        let source = self.sources.get(&id.source).ok_or_else(|| self.unknown(&id.to_string()))?;
        Ok(match source {
            AnySource::Postgres(source) => self.engine.verify(cx, source, table, question).await,
            AnySource::MySql(source) => self.engine.verify(cx, source, table, question).await,
        })
    }

    /// The table's state.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn state(&self, cx: &Context, id: &TableId) -> Result<Versioned, RunError> {
        self.engine.state(cx, id).await
    }

    /// Sets the table's watermark.
    ///
    /// # Errors
    /// As [`Engine::reset`].
    pub async fn reset(
        &self,
        cx: &Context,
        id: &TableId,
        to: ResetTo,
        drop_intent: bool,
    ) -> Result<Versioned, RunError> {
        Box::pin(self.engine.reset(cx, id, to, drop_intent)).await
    }
}

/// The one line that says how a run ended.
fn log_report(report: &RunReport) {
    let (rows, bytes, chunks, ms) = (report.rows, report.bytes, report.chunks, report.durations_ms.total);
    let outcome = report.outcome.name();
    match &report.error {
        None => tracing::info!(outcome, rows, bytes, chunks, ms, held_by = report.held_by, "run ended"),
        Some(failure) => {
            tracing::error!(outcome, rows, bytes, chunks, ms, error = failure.message, class = ?failure.class, "run failed");
        }
    }
}

fn any_source(source: &SourceConfig) -> AnySource {
    let connection = source.connection.clone();
    match source.kind {
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
