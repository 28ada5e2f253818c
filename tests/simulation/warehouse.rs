//! The warehouse: tables that expire, jobs that run once per id and end one way or the other.
//!
//! A row is kept as the number of its version (`v`), of which the database knows the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::model::{
    BqTable, Checksum, DeletesPass, Fingerprint, Fraction, Group, Intent, JobFailure, JobId, JobStats, JobStatus, Mode,
    NOT_WHOLE, Rows, Schema, TOO_MANY_DELETES, TableSpec,
};
use highwater::net::Context;
use highwater::warehouse::{Job, Layout, Scanned, TableInfo, TargetScan, Warehouse, WarehouseError};

use super::bucket::delete_parts_of;
use super::database::value_of;
use super::planted::Plant;
use super::process::OPERATOR;
use super::world::{Failed, Shared, World};
use crate::tell;

/// Tables and jobs.
#[derive(Default)]
pub struct Tables {
    tables: BTreeMap<String, Table>,
    jobs: BTreeMap<String, SimJob>,
}

/// One table.
#[derive(Clone, Debug)]
pub struct Table {
    schema: Schema,
    pub rows: Vec<u64>,
    pub created_us: i64,
    pub expires_ms: Option<i64>,
}

struct SimJob {
    what: What,
    intent: Arc<Intent>,
    status: JobStatus,
    /// What a merge found in its staging table when it began.
    staged: Option<Vec<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Load,
    Merge,
}

impl Tables {
    pub fn get(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// Staging tables.
    pub fn staging(&self) -> impl Iterator<Item = (&String, &Table)> {
        self.tables.iter().filter(|(name, _)| name.starts_with("hw_staging_"))
    }

    /// What BigQuery does with tables whose time is over.
    pub fn expire(&mut self, now_us: i64) -> usize {
        let before = self.tables.len();
        self.tables.retain(|_, table| table.expires_ms.is_none_or(|at| at * 1_000 > now_us));
        before - self.tables.len()
    }
}

/// One process's client of the warehouse.
#[derive(Clone)]
pub struct SimWarehouse {
    pub world: Shared,
    pub name: &'static str,
    /// What a planted bug makes of job ids.
    pub aliases: Arc<Mutex<BTreeMap<String, String>>>,
}

/// The rows of a part, as numbers of versions.
pub fn versions_of(part: &[u8]) -> Vec<u64> {
    let text = std::str::from_utf8(part).unwrap();
    let version = |line: &str| line.split("\"v\":").nth(1).and_then(|rest| rest.split(',').next()).unwrap().parse();
    text.lines().map(|line| version(line).unwrap()).collect()
}

/// How many rows belong to each intent's chunk: `None` if a part is not there.
pub fn chunk_of(world: &World, intent: &Intent) -> Option<Vec<u64>> {
    let mut rows = Vec::new();
    for part in &intent.parts {
        rows.extend(versions_of(&world.objects.part(part)?));
    }
    Some(rows)
}

fn failure(id: &str, reason: &str, retryable: bool, parts_missing: bool) -> JobStatus {
    // only the text of the id is of interest
    let job = JobId::widen(&highwater::model::IntentId::new(0, 0));
    let message = format!("{id}: {reason}");
    JobStatus::Failed(JobFailure {
        job,
        location: "EU".to_owned(),
        reason: reason.to_owned(),
        message,
        retryable,
        parts_missing,
    })
}

impl World {
    fn submit(&mut self, shared: &Shared, who: &str, id: &str, what: What, intent: &Arc<Intent>) {
        if self.tables.jobs.contains_key(id) {
            tell!(self, "{who}: {id} exists already (409)");
            self.count("fault: 409 on a job");
            return;
        }
        tell!(self, "{who}: submitted {id}");
        self.count(if what == What::Load { "load jobs" } else { "merge jobs" });
        self.job_submitted(id, intent);
        let job = SimJob { what, intent: intent.clone(), status: JobStatus::Running, staged: None };
        self.tables.jobs.insert(id.to_owned(), job);
        if what == What::Merge && self.plant == Some(Plant::PartsDeletedBeforeCommit) {
            delete_parts_of(self, intent.id.as_str());
        }
        let pending = Duration::from_millis(self.rng.u64(0..500));
        let (most, early) = match self.rng.u32(0..20) {
            _ if self.calm => (2_000, false),
            0..=14 => (2_000, self.rng.bool()),
            15..=18 => (20_000, self.rng.bool()),
            _ => (600_000, self.rng.bool()),
        };
        let running = Duration::from_millis(self.rng.u64(50..most));
        let (shared, id) = (shared.clone(), id.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(pending).await;
            if early {
                shared.with(|world| world.read_early(&id));
            }
            tokio::time::sleep(running).await;
            shared.with(|world| world.end_job(&id));
        });
    }

    /// A query reads what was there when it began.
    fn read_early(&mut self, id: &str) {
        self.expire();
        let Tables { tables, jobs } = &mut self.tables;
        let job = jobs.get_mut(id).unwrap();
        job.staged = tables.get(&job.intent.staging.table).map(|table| table.rows.clone());
    }

    fn end_job(&mut self, id: &str) {
        self.expire();
        let rate = if self.calm { 0.0 } else { self.plan.job_fault_rate };
        let job = &self.tables.jobs[id];
        let (what, intent, staged) = (job.what, job.intent.clone(), job.staged.clone());
        let status = if self.chance(rate) {
            if self.chance(0.15) {
                self.count("fault: job failed by quota");
                failure(id, "quotaExceeded", false, false)
            } else {
                self.count("fault: job failed for a passing reason");
                failure(id, "backendError", true, false)
            }
        } else {
            match what {
                What::Load => self.load(id, &intent),
                What::Merge => self.merge(id, &intent, staged),
            }
        };
        match &status {
            JobStatus::Failed(failure) => tell!(self, "{id} failed: {}", failure.reason),
            JobStatus::Succeeded(stats) => tell!(self, "{id} succeeded with {} rows", stats.rows),
            JobStatus::Running => {}
        }
        self.tables.jobs.get_mut(id).unwrap().status = status;
    }

    fn load(&mut self, id: &str, intent: &Intent) -> JobStatus {
        let Some(rows) = chunk_of(self, intent) else {
            self.count("fault: parts missing at a load");
            return failure(id, "notFound", false, true);
        };
        let appends = self.plant == Some(Plant::LoadAppends);
        let Some(table) = self.tables.tables.get_mut(&intent.staging.table) else {
            self.count("fault: staging table missing at a load");
            return failure(id, "notFound", false, false);
        };
        if !appends {
            table.rows.clear();
        }
        let stats = JobStats { rows: rows.len() as u64, bytes_billed: 0 };
        table.rows.extend(rows);
        JobStatus::Succeeded(stats)
    }

    fn merge(&mut self, id: &str, intent: &Intent, staged: Option<Vec<u64>>) -> JobStatus {
        let found = staged.or_else(|| self.tables.get(&intent.staging.table).map(|table| table.rows.clone()));
        let Some(staged) = found.filter(|_| self.tables.tables.contains_key(&intent.target.table)) else {
            self.count("fault: staging table missing at a merge");
            return failure(id, "notFound", false, false);
        };
        // the statement itself looks whether the table is whole
        if staged.len() as u64 != intent.rows && self.plant != Some(Plant::StagingNotLookedAt) {
            self.count("fault: staging table not whole at a merge");
            return failure(id, NOT_WHOLE, false, false);
        }
        if let Some(pass) = &intent.deletes {
            return self.delete_gone(id, intent, pass, &staged);
        }
        self.merging(id, intent, &staged);
        let guard = intent.cursor.as_deref().filter(|_| self.plant != Some(Plant::MergeWithoutGuard));
        let mut back = None;
        let World { tables, database, .. } = self;
        let target = &mut tables.tables.get_mut(&intent.target.table).unwrap().rows;
        match intent.mode {
            Mode::Append => target.extend(&staged),
            Mode::Replace => target.clone_from(&staged),
            Mode::Merge => {
                for &v in &staged {
                    let new = database.version(v);
                    match target.iter_mut().find(|old| database.version(**old).id == new.id) {
                        None => target.push(v),
                        Some(old) => {
                            let newer = guard.is_none_or(|column| match database.version(*old).value(column) {
                                None => true,
                                Some(value) => new.value(column).is_some_and(|new| new >= value),
                            });
                            if newer {
                                // what is read again as it is now may be older than what a window has brought since
                                back = back.or((intent.cursor.is_some() && *old > v).then_some((*old, v)));
                                *old = v;
                            }
                        }
                    }
                }
            }
        }
        if let Some((old, new)) = back {
            self.broke("no older row is written over a newer one", format!("{id}: v{new} over v{old}"));
        }
        self.merged(id, intent);
        JobStatus::Succeeded(JobStats { rows: staged.len() as u64, bytes_billed: 0 })
    }

    /// Rows of the target that are not among the staged keys go.
    fn delete_gone(&mut self, id: &str, intent: &Intent, pass: &DeletesPass, staged: &[u64]) -> JobStatus {
        let keys: BTreeSet<i64> = staged.iter().map(|v| self.database.version(*v).id).collect();
        let newest = pass.newest.as_ref().filter(|_| self.plant != Some(Plant::DeletesWhateverIsNewer));
        let newest = newest.map(|bound| (value_of(&bound.value), bound.inclusive));
        let is_gone = |v: &u64| {
            let row = self.database.version(*v);
            let older = row.value(&pass.cursor).zip(newest);
            !keys.contains(&row.id)
                && older.is_none_or(|(value, (newest, inclusive))| value < newest || inclusive && value == newest)
        };
        let target = &self.tables.get(&intent.target.table).unwrap().rows;
        let (gone, stay): (Vec<u64>, Vec<u64>) = target.iter().copied().partition(is_gone);
        if !gone.is_empty() && stay.is_empty() && pass.max_fraction < Fraction::ALL {
            self.count("deletes refused");
            let counts = gone.len();
            return failure(id, &format!("{TOO_MANY_DELETES}: {counts} of {counts}"), false, false);
        }
        self.merging(id, intent, staged);
        self.deleted(id, &gone);
        self.tables.tables.get_mut(&intent.target.table).unwrap().rows = stay;
        JobStatus::Succeeded(JobStats { rows: gone.len() as u64, bytes_billed: 0 })
    }

    fn create(&mut self, who: &str, spec: &TableSpec) {
        let created_us = self.now_us();
        let name = &spec.table.table;
        if self.tables.tables.contains_key(name) {
            return;
        }
        tell!(self, "{who}: created table {name}");
        let table = Table { schema: spec.schema.clone(), rows: Vec::new(), created_us, expires_ms: spec.expires_at_ms };
        self.tables.tables.insert(name.clone(), table);
    }

    pub fn delete_table(&mut self, who: &str, name: &str) {
        if self.tables.tables.remove(name).is_some() {
            tell!(self, "{who}: deleted table {name}");
        }
    }

    fn info(&self, name: &str, location: &str) -> Option<TableInfo> {
        let table = self.tables.get(name)?;
        let mut rows = table.rows.len() as u64;
        if self.plant == Some(Plant::StagingNotLookedAt) {
            rows = self.check.rows_of(name).unwrap_or(rows);
        }
        let (etag, layout) = ("1".to_owned(), Some(Layout::default()));
        Some(TableInfo { schema: table.schema.clone(), etag, rows, bytes: 0, location: location.to_owned(), layout })
    }

    /// What expires by itself.
    pub fn expire(&mut self) {
        let now_us = self.now_us();
        if self.tables.expire(now_us) > 0 {
            self.count("fault: staging tables expired");
        }
        if self.objects.expire(now_us) > 0 {
            self.count("fault: parts expired");
        }
    }
}

impl SimWarehouse {
    async fn call<T: Send + 'static>(
        &self,
        cx: &Context,
        what: &str,
        effect: impl FnOnce(&mut World) -> T + Clone + Send + 'static,
    ) -> Result<T, WarehouseError> {
        let expired = move |world: &mut World| {
            world.expire();
            effect(world)
        };
        self.world.call(cx, expired).await.map_err(|failed| match failed {
            Failed::Unavailable(attempts) => WarehouseError::Unavailable {
                what: what.to_owned(),
                attempts,
                elapsed: Duration::ZERO,
                message: "HTTP 503".to_owned(),
            },
            Failed::Interrupted(cause) => WarehouseError::Interrupted { what: what.to_owned(), cause },
        })
    }

    /// The id under which a job is submitted or asked for.
    fn id(&self, id: &JobId, submitting: bool) -> String {
        let plant = self.world.with(|world| world.plant);
        match plant {
            Some(Plant::JobIdWithoutAttempt) => id.as_str().rsplit_once('_').unwrap().0.to_owned(),
            Some(Plant::JobIdAtRandom) => {
                let mut aliases = self.aliases.lock().unwrap();
                if submitting {
                    let random = self.world.with(|world| world.rng.u32(..));
                    aliases.insert(id.to_string(), format!("{id}_{random:x}"));
                }
                aliases.get(id.as_str()).cloned().unwrap_or_else(|| id.to_string())
            }
            _ => id.to_string(),
        }
    }
}

/// Histories are of runs: nobody verifies.
fn not_asked(scan: &TargetScan<'_>) -> WarehouseError {
    WarehouseError::Garbled { what: format!("{} is not verified here", scan.table), message: String::new() }
}

impl Warehouse for SimWarehouse {
    async fn table(&self, cx: &Context, table: &BqTable) -> Result<Option<TableInfo>, WarehouseError> {
        let name = table.table.clone();
        self.call(cx, "reading a table", move |world| world.info(&name, "EU")).await
    }

    async fn dataset_location(&self, cx: &Context, _: &str, _: &str) -> Result<Option<String>, WarehouseError> {
        self.call(cx, "looking at the dataset", |_| Some("EU".to_owned())).await
    }

    async fn ensure_dataset(&self, cx: &Context, _: &str, _: &str, _: &str) -> Result<(), WarehouseError> {
        self.call(cx, "looking at the dataset", |_| ()).await
    }

    async fn create_table(&self, cx: &Context, spec: &TableSpec) -> Result<(), WarehouseError> {
        let (spec, who) = (spec.clone(), self.name);
        self.call(cx, "creating a table", move |world| world.create(who, &spec)).await
    }

    async fn patch_schema(&self, _: &Context, table: &BqTable, _: &Schema, _: &str) -> Result<bool, WarehouseError> {
        let what = format!("the columns of {table} never change here");
        Err(WarehouseError::Garbled { what, message: String::new() })
    }

    async fn delete_table(&self, cx: &Context, table: &BqTable) -> Result<(), WarehouseError> {
        let (name, who) = (table.table.clone(), self.name);
        let delete = move |world: &mut World| {
            if world.plant != Some(Plant::ResetLeavesChunk) || who != OPERATOR {
                world.delete_table(who, &name);
            }
        };
        self.call(cx, "deleting a table", delete).await
    }

    async fn submit(&self, cx: &Context, id: &JobId, job: Job<'_>) -> Result<(), WarehouseError> {
        let (what, intent) = match job {
            Job::Load(intent) => (What::Load, intent),
            Job::Merge(intent) => (What::Merge, intent),
            Job::Widen(widening) => {
                let what = format!("the columns of {} never change here", widening.table);
                return Err(WarehouseError::Garbled { what, message: String::new() });
            }
            Job::Remove(removal) => return Err(not_asked(removal.scan)),
        };
        let (intent, shared, id, who) = (Arc::new(intent.clone()), self.world.clone(), self.id(id, true), self.name);
        self.call(cx, "submitting a job", move |world| world.submit(&shared, who, &id, what, &intent)).await
    }

    async fn checksums(
        &self,
        _: &Context,
        scan: &TargetScan<'_>,
        _: &Rows,
        _: Group,
        _: u64,
        _: &str,
    ) -> Result<Scanned<Checksum>, WarehouseError> {
        Err(not_asked(scan))
    }

    async fn fingerprints(
        &self,
        _: &Context,
        scan: &TargetScan<'_>,
        _: &Rows,
        _: u64,
        _: &str,
    ) -> Result<Scanned<Fingerprint>, WarehouseError> {
        Err(not_asked(scan))
    }

    async fn job(&self, cx: &Context, id: &JobId, _: &str, _: &str) -> Result<Option<JobStatus>, WarehouseError> {
        let id = self.id(id, false);
        let look = move |world: &mut World| {
            let early = world.plant == Some(Plant::CommitBeforeMerge);
            let hasty = world.plant == Some(Plant::RunningTakenForFailed);
            let job = world.tables.jobs.get(&id)?;
            if early && job.what == What::Merge && job.status == JobStatus::Running {
                return Some(JobStatus::Succeeded(JobStats { rows: job.intent.rows, bytes_billed: 0 }));
            }
            if hasty && job.status == JobStatus::Running {
                return Some(failure(&id, "backendError", true, false));
            }
            Some(job.status.clone())
        };
        self.call(cx, "looking at a job", look).await
    }
}
