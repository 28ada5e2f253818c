//! Whether rows stay in their partitions, where merges rest on that: a sample of the target's rows is compared with the
//! source's, before the first such merge and then once a day.
//!
//! The target is asked first, and the source by the snapshot that the run reads from: what it has of a row is what a merge
//! of this run would bring. A row that differs has moved, whoever wrote it and when; one that the source does not have is
//! no row that a merge could bring.

use std::collections::BTreeMap;

use super::super::prepare::Prepared;
use super::super::{LookForMoves, RunError};
use super::Run;
use crate::bucket::Bucket;
use crate::model::{Fingerprint, Label, PartitionCheck, Rows};
use crate::plan::prune::{self, Draw, Looked, PartitionMove, Probe, SAMPLE_ROWS_MAX};
use crate::source::{Block, BlockSink, Nulls, Range, ReadQuery, Scan, Session, SinkClosed, Which};
use crate::state::transition::{self, Event};
use crate::warehouse::{TargetScan, Warehouse};

/// Keys that the source is asked for at once.
const KEYS_AT_ONCE: usize = 250;

impl<B: Bucket, W: Warehouse> Run<'_, B, W> {
    /// Looks at a sample, if merges rest on a promise and it is time; `other` is a look of which another state knows. What
    /// it came to is written with the next write of the state.
    pub(super) async fn check_partitions<S: Session>(
        &mut self,
        session: &mut S,
        prepared: &Prepared,
        other: Option<&PartitionCheck>,
    ) -> Result<(), RunError> {
        let Some(probe) = prepared.pruning.probe() else { return self.forget_look() };
        let (table, now_us) = (&prepared.plan.target.table, prepared.now_us);
        let (column, written) = (probe.plan.names.last().cloned().unwrap_or_default(), probe.written.clone());
        let looked = Looked { table, column: &column, written: &written };
        // a window does not hear of a promise that was away: the table's own look, which went with it, tells
        let own = self.at.state.partition_check.as_deref().filter(|_| self.window.is_none() || other.is_some());
        let due = prune::is_due(&[own, other], looked, now_us);
        // where there is nothing to compare nothing is known: the next run looks
        if !due || self.options.moves == LookForMoves::Never || prepared.target_rows == 0 {
            return Ok(());
        }
        let rows = Box::pin(self.compare_sample(session, prepared, probe)).await?;
        tracing::info!(%table, column, rows, "a sample of rows has not moved to other partitions");
        let check = PartitionCheck { table: table.clone(), column, written, at_us: now_us, rows };
        self.at.state = transition::apply(&self.at.state, Event::PartitionsChecked(Some(Box::new(check))))?;
        self.dirty = true;
        Ok(())
    }

    /// Rows may move while nothing is promised: a promise that is made again needs a look of its own.
    fn forget_look(&mut self) -> Result<(), RunError> {
        if self.at.state.partition_check.is_some() {
            self.at.state = transition::apply(&self.at.state, Event::PartitionsChecked(None))?;
            self.dirty = true;
        }
        Ok(())
    }

    /// How many rows both sides had, none of which has moved.
    async fn compare_sample<S: Session>(
        &self,
        session: &mut S,
        prepared: &Prepared,
        probe: &Probe,
    ) -> Result<u64, RunError> {
        let (settings, engine, cx) = (self.settings, self.engine, self.cx);
        let every: Vec<usize> = (0..probe.compared.columns.len()).collect();
        let Draw { percent, buckets } = prune::draw(prepared.target_rows, engine.ambient.random());
        let target = TargetScan {
            table: &prepared.plan.target.table,
            columns: &probe.compared.columns,
            key: &every,
            cursor: None,
            percent,
            // a row that is marked may come back, and is then one that a merge brings
            soft_deletes: false,
            location: &settings.location,
            job_project: &settings.job_project,
        };
        let rows = Rows { from: None, to: None, label: Label::Whole, windows: Vec::new(), buckets };
        let request = engine.fresh_id();
        let there = engine.warehouse.fingerprints(cx, &target, &rows, SAMPLE_ROWS_MAX, request.as_str()).await?.found;
        let mut both = 0;
        for there in there.chunks(KEYS_AT_ONCE) {
            both += self.compare_some(session, probe, there).await?;
        }
        Ok(both)
    }

    async fn compare_some<S: Session>(
        &self,
        session: &mut S,
        probe: &Probe,
        there: &[Fingerprint],
    ) -> Result<u64, RunError> {
        let key_of = |row: &Fingerprint| row.key.get(..probe.plan.key.len()).unwrap_or_default().to_vec();
        let keys: Vec<Vec<String>> = there.iter().map(key_of).collect();
        let scan = Scan {
            table: &self.settings.table,
            columns: &probe.plan.columns,
            compared: &probe.compared.indexes,
            key: &probe.compared.key,
            order: &probe.plan.key,
            cursor: None,
            watermark: None,
            moving_from: None,
            filter: self.settings.filter.as_deref(),
        };
        // a key that the target has twice is looked for once
        let most = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        let here = session.fingerprints(self.cx, &scan, Which::Keys(&keys), most).await?;
        let here: BTreeMap<&[String], &Fingerprint> = here.iter().map(|row| (row.key.as_slice(), row)).collect();
        let mut both = 0;
        for (row, key) in there.iter().zip(&keys) {
            match here.get(key.as_slice()) {
                None => {}
                Some(same) if same.digest == row.digest => both += 1,
                Some(_) => return Err(self.moved(session, probe, row, key).await?),
            }
        }
        Ok(both)
    }

    /// The error that names the row.
    async fn moved<S: Session>(
        &self,
        session: &mut S,
        probe: &Probe,
        row: &Fingerprint,
        key: &[String],
    ) -> Result<RunError, RunError> {
        let keys = [key.to_vec()];
        let query = ReadQuery {
            table: &self.settings.table,
            columns: &probe.plan.columns,
            names: &probe.plan.names,
            cursor: None,
            key: &probe.plan.key,
            range: Range { after: None, from: None, ceiling: None, until: None, nulls: Nulls::Any, keys: Some(&keys) },
            rows_max: Some(1),
            bytes_max: None,
            rejects_max: 1,
            filter: self.settings.filter.as_deref(),
            partition: None,
        };
        let mut lines = Lines(Vec::new());
        session.read(self.cx, &query, &mut lines).await?;
        let name = probe.plan.names.last().cloned().unwrap_or_default();
        let line: serde_json::Value = serde_json::from_slice(&lines.0).unwrap_or_default();
        let here = line.get(&name).map_or("NULL".to_owned(), |value| value.to_string().replace('"', ""));
        let there = row.key.last().filter(|text| !text.is_empty()).cloned().unwrap_or_else(|| "NULL".to_owned());
        Ok(RunError::PartitionMoved(Box::new(PartitionMove {
            table: self.settings.id.to_string(),
            target: self.settings.target.to_string(),
            column: name,
            key: key.to_vec(),
            here,
            there,
        })))
    }
}

/// The lines of one row.
struct Lines(Vec<u8>);

impl BlockSink for Lines {
    async fn send(&mut self, mut block: Block) -> Result<Block, SinkClosed> {
        self.0.append(&mut block.bytes);
        Ok(block)
    }

    async fn reject(&mut self, _line: Vec<u8>) -> Result<(), SinkClosed> {
        Ok(())
    }
}
