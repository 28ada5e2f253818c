//! Runs with nothing written: the same engine, over a bucket and a warehouse that only read.

use std::sync::Arc;

use super::{AnySource, App, System, UnknownTable, log_report};
use crate::bucket::apart::Apart;
use crate::bucket::dry::DryBucket;
use crate::engine::{Engine, LookForDeletes, LookForMoves, RunOptions};
use crate::model::TableId;
use crate::net::Context;
use crate::report::{Outcome, RunReport};
use crate::warehouse::bigquery::BigQuery;
use crate::warehouse::dry::DryWarehouse;

/// An engine that cannot write.
pub(super) type DryEngine<'a> = Engine<DryBucket<'a, Apart>, DryWarehouse<'a, BigQuery>>;

/// Runs of which nothing is written. What one leaves is what the next begins with, in memory.
#[derive(Debug)]
pub struct Rehearsal<'a> {
    app: &'a App,
    engine: DryEngine<'a>,
}

impl App {
    /// A rehearsal that begins with what is there now.
    pub fn rehearsal(&self) -> Rehearsal<'_> {
        Rehearsal { app: self, engine: self.dry_engine() }
    }

    pub(super) fn dry_engine(&self) -> DryEngine<'_> {
        let (bucket, warehouse) = (DryBucket::new(self.engine.bucket()), DryWarehouse::new(self.engine.warehouse()));
        Engine::new(bucket, warehouse, Arc::new(System))
    }
}

impl Rehearsal<'_> {
    /// Runs the table, writing nothing; no report is kept, and nobody is told.
    ///
    /// # Errors
    /// There is no such table. A run that fails is a report, not an error.
    pub async fn sync(&self, cx: &Context, id: &TableId, options: RunOptions) -> Result<RunReport, UnknownTable> {
        let table = self.app.table(id)?;
        let source = self.app.sources.get(&id.source).ok_or_else(|| self.app.unknown(&id.to_string()))?;
        let options = RunOptions { deletes: LookForDeletes::Never, moves: LookForMoves::Never, ..options };
        let before = self.engine.bucket().staged().bytes;
        let report = match source {
            AnySource::Postgres(source) => self.engine.run(cx, source, &table, options).await,
            AnySource::MySql(source) => self.engine.run(cx, source, &table, options).await,
        };
        let mut report = marked(report, self.engine.bucket().staged().bytes - before);
        if table.partition_immutable {
            report.note(
                "whether rows stay in their partitions is not looked at: a run asks BigQuery for a sample".to_owned(),
            );
        }
        log_report(&report);
        Ok(report)
    }
}

/// The report of a run that did not take place: it names nothing that is not there.
fn marked(mut report: RunReport, staged_bytes: u64) -> RunReport {
    let notes = std::mem::take(&mut report.notes);
    let pending = report.recovered;
    let mut marked = RunReport {
        dry_run: true,
        staged_bytes: Some(staged_bytes),
        outcome: if report.outcome == Outcome::Synced { Outcome::WouldSync } else { report.outcome },
        jobs: Vec::new(),
        rejects: Vec::new(),
        deletes: None,
        fresh_as_of: None,
        ..report
    };
    marked.note("nothing was written: this is what a run would have done".to_owned());
    if pending > 0 {
        marked.note(format!(
            "{pending} pending intent of an earlier run is left as it is; a run finishes it first, and its rows are counted here"
        ));
    }
    notes.into_iter().for_each(|note| marked.note(note));
    marked
}
