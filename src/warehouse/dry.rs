//! A warehouse that reads and never writes: tables that a dry run makes or changes are remembered, over what is there,
//! and its jobs are taken to succeed.
//!
//! It has no way to the real warehouse but reads, so that a dry run cannot write whatever the engine does. Memory: the
//! columns of at most a few tables (target, staging, one built anew), and one entry per job of a chunk until the chunk's
//! staging table is deleted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Job, Layout, Scanned, TableInfo, TargetScan, Warehouse, WarehouseError, Widening};
use crate::model::{
    BqTable, Checksum, Fingerprint, Group, Intent, JobId, JobStats, JobStatus, Lane, Rows, Schema, TableSpec,
};
use crate::net::Context;

/// The most changes that are listed.
const CHANGES_MAX: usize = 100;
/// The version of a table that is only here.
const ETAG: &str = "dry";

/// What would have been changed in the warehouse, besides rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A dataset, where there may be one.
    Dataset {
        /// Its project.
        project: String,
        /// Its name.
        dataset: String,
        /// Where.
        location: String,
    },
    /// A new table.
    Table(Box<TableSpec>),
    /// Columns added, or REQUIRED relaxed.
    Columns {
        /// The table.
        table: BqTable,
        /// Its columns.
        before: Schema,
        /// Its columns then.
        after: Schema,
    },
    /// A column of a wider type.
    Widen(Widening),
    /// A table put in the place of another.
    Swap {
        /// Which.
        built: BqTable,
        /// In whose place.
        target: BqTable,
    },
}

#[derive(Debug, Default)]
struct Over {
    /// `None` is a table that was deleted here.
    tables: HashMap<BqTable, Option<TableInfo>>,
    jobs: HashMap<JobId, (JobStats, BqTable)>,
    changes: Vec<Change>,
    /// Where the target's dataset is, or would be.
    location: String,
}

/// A warehouse over another that is only read.
#[derive(Debug)]
pub struct DryWarehouse<'a, W> {
    below: &'a W,
    over: Mutex<Over>,
}

impl<'a, W> DryWarehouse<'a, W> {
    /// Nothing is changed here yet.
    pub fn new(below: &'a W) -> Self {
        Self { below, over: Mutex::default() }
    }

    /// What would have been changed so far, in order; staging tables are not among it.
    pub fn changes(&self) -> Vec<Change> {
        self.with(|over| over.changes.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Over) -> T) -> T {
        act(&mut self.over.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Over {
    fn change(&mut self, change: Change) {
        if self.changes.len() < CHANGES_MAX {
            self.changes.push(change);
        }
    }

    fn loaded(&mut self, intent: &Intent) -> JobStats {
        if let Some(Some(staging)) = self.tables.get_mut(&intent.staging) {
            staging.rows = intent.rows;
        }
        JobStats { rows: intent.rows, bytes_billed: 0 }
    }

    fn merged(&mut self, intent: &Intent, built: Option<TableInfo>) -> JobStats {
        if intent.lane != Lane::Swap {
            // how many rows a look for deleted ones would take is not known
            return JobStats { rows: if intent.deletes.is_some() { 0 } else { intent.rows }, bytes_billed: 0 };
        }
        self.tables.insert(intent.target.clone(), built);
        self.change(Change::Swap { built: intent.staging.clone(), target: intent.target.clone() });
        JobStats::default()
    }
}

impl<W: Warehouse> Warehouse for DryWarehouse<'_, W> {
    async fn table(&self, cx: &Context, table: &BqTable) -> Result<Option<TableInfo>, WarehouseError> {
        match self.with(|over| over.tables.get(table).cloned()) {
            Some(found) => Ok(found),
            None => self.below.table(cx, table).await,
        }
    }

    async fn dataset_location(
        &self,
        cx: &Context,
        project: &str,
        dataset: &str,
    ) -> Result<Option<String>, WarehouseError> {
        self.below.dataset_location(cx, project, dataset).await
    }

    async fn ensure_dataset(
        &self,
        cx: &Context,
        project: &str,
        dataset: &str,
        location: &str,
    ) -> Result<(), WarehouseError> {
        let found = self.below.dataset_location(cx, project, dataset).await?;
        let [project, dataset, wanted] = [project, dataset, location].map(str::to_owned);
        if let Some(found) = found.as_ref().filter(|found| !found.eq_ignore_ascii_case(location)) {
            let (dataset, found) = (format!("{project}.{dataset}"), found.clone());
            return Err(WarehouseError::Location { dataset, found, wanted });
        }
        self.with(|over| {
            over.location.clone_from(&wanted);
            let change = Change::Dataset { project, dataset, location: wanted };
            if found.is_none() && !over.changes.contains(&change) {
                over.change(change);
            }
        });
        Ok(())
    }

    async fn create_table(&self, _: &Context, spec: &TableSpec) -> Result<(), WarehouseError> {
        self.with(|over| {
            if over.tables.get(&spec.table).is_some_and(Option::is_some) {
                return;
            }
            let layout = Layout { partitioning: spec.partitioning.clone(), clustering: spec.clustering.clone() };
            let info = TableInfo {
                schema: spec.schema.clone(),
                etag: ETAG.to_owned(),
                rows: 0,
                bytes: 0,
                location: over.location.clone(),
                layout: Some(layout),
            };
            over.tables.insert(spec.table.clone(), Some(info));
            // what expires is a staging table
            if spec.expires_at_ms.is_none() {
                over.change(Change::Table(Box::new(spec.clone())));
            }
        });
        Ok(())
    }

    async fn patch_schema(
        &self,
        cx: &Context,
        table: &BqTable,
        schema: &Schema,
        etag: &str,
    ) -> Result<bool, WarehouseError> {
        let Some(info) = self.table(cx, table).await?.filter(|info| info.etag == etag) else { return Ok(false) };
        self.with(|over| {
            let before = info.schema.clone();
            over.change(Change::Columns { table: table.clone(), before, after: schema.clone() });
            over.tables.insert(table.clone(), Some(TableInfo { schema: schema.clone(), ..info }));
        });
        Ok(true)
    }

    async fn delete_table(&self, _: &Context, table: &BqTable) -> Result<(), WarehouseError> {
        self.with(|over| {
            over.jobs.retain(|_, (_, staging)| staging != table);
            // one that was only here is gone without a trace
            match over.tables.get(table) {
                Some(Some(info)) if info.etag == ETAG => over.tables.remove(table),
                Some(_) | None => over.tables.insert(table.clone(), None),
            }
        });
        Ok(())
    }

    async fn submit(&self, cx: &Context, id: &JobId, job: Job<'_>) -> Result<(), WarehouseError> {
        let found = match job {
            Job::Widen(widening) => self.table(cx, &widening.table).await?,
            Job::Merge(intent) if intent.lane == Lane::Swap => self.table(cx, &intent.staging).await?,
            Job::Load(_) | Job::Merge(_) | Job::Remove(_) => None,
        };
        self.with(|over| {
            let (stats, table) = match job {
                Job::Load(intent) => (over.loaded(intent), &intent.staging),
                Job::Merge(intent) => (over.merged(intent, found), &intent.staging),
                Job::Widen(widening) => {
                    over.change(Change::Widen(widening.clone()));
                    if let Some(mut info) = found {
                        let fields = info.schema.0.iter_mut();
                        fields.filter(|field| field.name == widening.column).for_each(|field| field.ty = widening.ty);
                        over.tables.insert(widening.table.clone(), Some(info));
                    }
                    (JobStats::default(), &widening.table)
                }
                Job::Remove(extra) => (JobStats::default(), extra.scan.table),
            };
            over.jobs.insert(id.clone(), (stats, table.clone()));
        });
        Ok(())
    }

    async fn job(
        &self,
        cx: &Context,
        id: &JobId,
        project: &str,
        location: &str,
    ) -> Result<Option<JobStatus>, WarehouseError> {
        match self.with(|over| over.jobs.get(id).map(|(stats, _)| *stats)) {
            Some(stats) => Ok(Some(JobStatus::Succeeded(stats))),
            None => self.below.job(cx, id, project, location).await,
        }
    }

    async fn checksums(
        &self,
        cx: &Context,
        scan: &TargetScan<'_>,
        rows: &Rows,
        group: Group,
        groups_max: u64,
        request: &str,
    ) -> Result<Scanned<Checksum>, WarehouseError> {
        self.below.checksums(cx, scan, rows, group, groups_max, request).await
    }

    /// None: it is a query that is billed, for a look at a sample that a dry run does without.
    async fn fingerprints(
        &self,
        _: &Context,
        _: &TargetScan<'_>,
        _: &Rows,
        _: u64,
        _: &str,
    ) -> Result<Scanned<Fingerprint>, WarehouseError> {
        Ok(Scanned { found: Vec::new(), bytes: 0 })
    }
}
