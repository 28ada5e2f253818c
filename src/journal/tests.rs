//! Processes that end at once, die at any call, or have clocks that differ: every report becomes one row.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::bucket::Object;
use crate::bucket::memory::MemoryBucket;
use crate::config::Env;
use crate::model::{
    BqTable, JobFailure, JobId, JobStats, JobStatus, LastRun, Mode, RunsDay, RunsLoad, RunsScan, Schema, TableId,
};
use crate::report::RunReport;
use crate::report::record::RunId;

/// What all processes share.
#[derive(Default)]
struct World {
    bucket: MemoryBucket,
    /// Jobs with what each loaded; `None` failed.
    jobs: Mutex<BTreeMap<String, Option<Vec<String>>>>,
    /// Whether the first attempt at each batch fails.
    first_fails: bool,
}

/// One process: it is gone from its `dies_at`-th call on, which may have taken effect.
struct Process<'a> {
    world: &'a World,
    calls: AtomicU32,
    dies_at: Option<(u32, bool)>,
}

impl Process<'_> {
    /// Whether the call takes effect, and whether that is heard of.
    async fn call(&self) -> (bool, bool) {
        for _ in 0..fastrand::u32(..4) {
            tokio::task::yield_now().await;
        }
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        match self.dies_at {
            Some((at, after)) if call == at => (after, false),
            Some((at, _)) if call > at => (false, false),
            Some(_) | None => (true, true),
        }
    }

    async fn ask<T, E>(&self, act: impl FnOnce() -> T, dead: impl FnOnce() -> E) -> Result<T, E> {
        let (effect, heard) = self.call().await;
        let done = effect.then(act);
        done.filter(|_| heard).ok_or_else(dead)
    }
}

fn dead() -> BucketError {
    BucketError::Interrupted { what: "asking", cause: Interrupted::Cancelled }
}

fn gone() -> WarehouseError {
    WarehouseError::Interrupted { what: "asking".to_owned(), cause: Interrupted::Cancelled }
}

impl Bucket for Process<'_> {
    fn address(&self, name: &str) -> String {
        self.world.bucket.address(name)
    }

    async fn get(&self, cx: &Context, name: &str, bytes_max: u64) -> Result<Option<Object>, BucketError> {
        let (effect, heard) = self.call().await;
        if effect && heard { self.world.bucket.get(cx, name, bytes_max).await } else { Err(dead()) }
    }

    async fn put(
        &self,
        cx: &Context,
        name: &str,
        bytes: Bytes,
        content: ContentType,
        precondition: Precondition,
    ) -> Result<Put, BucketError> {
        let (effect, heard) = self.call().await;
        let put =
            if effect { self.world.bucket.put(cx, name, bytes, content, precondition).await } else { Err(dead()) };
        if heard { put } else { Err(dead()) }
    }

    async fn list_from(&self, cx: &Context, prefix: &str, from: &str) -> Result<Vec<String>, BucketError> {
        let (effect, heard) = self.call().await;
        if effect && heard { self.world.bucket.list_from(cx, prefix, from).await } else { Err(dead()) }
    }

    async fn delete(&self, cx: &Context, name: &str) -> Result<(), BucketError> {
        self.world.bucket.delete(cx, name).await
    }
}

impl RunsTable for Process<'_> {
    async fn make_runs(&self, _: &Context, _: &RunsPlace, _: &Schema) -> Result<(), WarehouseError> {
        self.ask(|| (), gone).await
    }

    async fn load_runs(&self, _: &Context, id: &JobId, load: RunsLoad<'_>) -> Result<(), WarehouseError> {
        let load = || {
            let fails = self.world.first_fails && id.as_str().ends_with("_1");
            let rows = (!fails).then(|| load.reports.to_vec());
            // a job id is used once
            self.world.jobs.lock().unwrap().entry(id.to_string()).or_insert(rows);
        };
        self.ask(load, gone).await
    }

    async fn runs_job(
        &self,
        _: &Context,
        id: &JobId,
        _: &str,
        location: &str,
    ) -> Result<Option<JobStatus>, WarehouseError> {
        let failure = JobFailure {
            job: id.clone(),
            location: location.to_owned(),
            reason: "backendError".into(),
            message: "m".into(),
            retryable: true,
            parts_missing: false,
        };
        let look = || match self.world.jobs.lock().unwrap().get(id.as_str()) {
            None => None,
            Some(Some(rows)) => Some(JobStatus::Succeeded(JobStats { rows: rows.len() as u64, ..JobStats::default() })),
            Some(None) => Some(JobStatus::Failed(failure)),
        };
        self.ask(look, gone).await
    }

    async fn runs_by_day(&self, _: &Context, _: RunsScan<'_>) -> Result<Vec<RunsDay>, WarehouseError> {
        Err(gone())
    }

    async fn last_runs(&self, _: &Context, _: RunsScan<'_>) -> Result<Vec<LastRun>, WarehouseError> {
        Err(gone())
    }
}

fn desk() -> Desk {
    let table = BqTable { project: "p".into(), dataset: "_highwater".into(), table: "runs".into() };
    let place = RunsPlace { table, location: "EU".into(), job_project: "p".into(), days: 90 };
    let notify = Notify { hooks: Vec::new(), patience: Duration::ZERO, remind: Duration::ZERO };
    let endpoints = Env::new([]).endpoints().clone();
    Desk::new(Reports::default(), place, notify, &endpoints.pubsub)
}

fn record(minute: i64) -> RunRecord {
    let id = TableId { source: "pg".parse().unwrap(), table: "t".parse().unwrap() };
    let at = Timestamp::from_second(1_772_323_200).unwrap() + SignedDuration::from_mins(minute);
    RunRecord::new(RunId::new(at, fastrand::u128(..)), at, at, &RunReport::new(&id, "p.d.t".into(), Mode::Merge))
}

impl World {
    /// A process of its own runs a table once, and its clock says that it is so many minutes after the first.
    async fn run(&self, minute: i64, dies_at: Option<(u32, bool)>) {
        let process = Process { world: self, calls: AtomicU32::new(0), dies_at };
        let cx = Context::new(Instant::now() + Duration::from_secs(60), CancellationToken::new());
        Journal::new(&desk(), &process, &process).ended(&cx, &record(minute)).await;
    }

    /// Every report that was kept by then is one row, and none is two.
    async fn assert_once(&self, kept: &[String], what: &str) {
        let jobs = self.jobs.lock().unwrap().clone();
        let mut rows: Vec<String> = jobs.into_values().flatten().flatten().collect();
        rows.sort_unstable();
        let count = rows.len();
        rows.dedup();
        assert_eq!(rows.len(), count, "{what}: a run is there twice");
        for name in kept {
            assert!(rows.contains(&self.bucket.address(name)), "{what}: {name} is no row");
        }
    }

    async fn reports(&self) -> Vec<String> {
        let cx = Context::new(Instant::now() + Duration::from_secs(60), CancellationToken::new());
        let names = self.bucket.list(&cx, "reports/").await.unwrap();
        names.into_iter().filter(|name| ledger::is_report(name)).collect()
    }
}

/// Minutes between two runs, so that each finds a batch due.
const STEP: i64 = 11;

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_any_call_neither_loses_a_report_nor_doubles_it() {
    fastrand::seed(7);
    for first_fails in [false, true] {
        for (dies_at, after) in (0..12).flat_map(|call| [(call, false), (call, true)]) {
            let world = World { first_fails, ..World::default() };
            for run in 0..5 {
                // those that follow find what it left
                let dies = (1..3).contains(&run).then_some((dies_at, after));
                tokio::join!(world.run(run * STEP, dies), world.run(run * STEP, None));
            }
            let kept = world.reports().await;
            assert!(kept.len() >= 8, "{kept:?}");
            for run in 5..12 {
                world.run(run * STEP, None).await;
            }
            world
                .assert_once(&kept, &format!("dies at call {dies_at}, after {after}, first fails {first_fails}"))
                .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_neither_lose_a_report_nor_double_it() {
    for seed in 0..60 {
        fastrand::seed(seed);
        let world = World { first_fails: seed % 3 == 0, ..World::default() };
        // most are off by some minutes, one is hours ahead or behind
        let odd = fastrand::i64(-300..300);
        for run in 0..20 {
            let now = run * STEP;
            let near = || fastrand::i64(-5..5);
            tokio::join!(
                world.run(now + near(), None),
                world.run(now + near(), None),
                world.run(now + if fastrand::bool() { odd } else { near() }, None),
            );
        }
        let kept = world.reports().await;
        for run in 0..40 {
            world.run(20 * STEP + run * STEP, None).await;
        }
        world.assert_once(&kept, &format!("seed {seed}, {odd} minutes")).await;
    }
}

/// A bucket of which some objects cannot be read.
struct Broken<'a> {
    bucket: &'a MemoryBucket,
    is_bad: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

impl Bucket for Broken<'_> {
    fn address(&self, name: &str) -> String {
        self.bucket.address(name)
    }

    async fn get(&self, cx: &Context, name: &str, bytes_max: u64) -> Result<Option<Object>, BucketError> {
        if !(self.is_bad)(name) {
            return self.bucket.get(cx, name, bytes_max).await;
        }
        let (bucket, name, message) = ("memory".to_owned(), name.to_owned(), "away".to_owned());
        let elapsed = Duration::ZERO;
        Err(BucketError::Unavailable {
            what: "reading",
            bucket,
            name,
            attempts: 1,
            elapsed,
            message,
            after_seconds: None,
        })
    }

    async fn put(
        &self,
        cx: &Context,
        name: &str,
        bytes: Bytes,
        content: ContentType,
        precondition: Precondition,
    ) -> Result<Put, BucketError> {
        self.bucket.put(cx, name, bytes, content, precondition).await
    }

    async fn list_from(&self, cx: &Context, prefix: &str, from: &str) -> Result<Vec<String>, BucketError> {
        self.bucket.list_from(cx, prefix, from).await
    }

    async fn delete(&self, cx: &Context, name: &str) -> Result<(), BucketError> {
        self.bucket.delete(cx, name).await
    }
}

fn minute(minute: i64) -> Timestamp {
    record(minute).ended_at
}

impl World {
    /// Puts a report there, padded with so many bytes; gives its object's name.
    async fn put(&self, record: &RunRecord, padding: usize) -> String {
        let cx = Context::new(Instant::now() + Duration::from_secs(60), CancellationToken::new());
        let name = ReportName::new(record.ended_at, &record.run_id).object();
        let mut bytes = serde_json::to_vec(record).unwrap();
        bytes.resize(bytes.len() + padding, b' ');
        let put = self.bucket.put(&cx, &name, bytes.into(), ContentType::Json, Precondition::Absent).await;
        assert!(matches!(put, Ok(Put::Stored(_))));
        name
    }

    /// What that reader finds at that minute, where such objects cannot be read; read on backwards if `earlier`.
    async fn look(&self, at: i64, reader: &mut Reader, bad: Option<&str>, earlier: bool) -> Recent {
        let bad = bad.map(str::to_owned);
        let is_bad = Box::new(move |name: &str| bad.as_ref().is_some_and(|bad| name.starts_with(bad)));
        let bucket = Broken { bucket: &self.bucket, is_bad };
        let process = Process { world: self, calls: AtomicU32::new(0), dies_at: None };
        let cx = Context::new(Instant::now() + Duration::from_secs(60), CancellationToken::new());
        let desk = desk();
        let journal = Journal::new(&desk, &bucket, &process);
        if earlier {
            journal.earlier(&cx, minute(at), reader).await
        } else {
            journal.recent(&cx, minute(at), reader).await
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_pause_left_out_is_told_and_read_backwards() {
    let (world, mut reader) = (World::default(), Reader::default());
    for at in 0..5 {
        world.put(&record(at), 0).await;
    }
    assert_eq!(world.look(60, &mut reader, None, false).await.records.len(), 5);
    assert!(reader.hole().is_none() && world.look(61, &mut reader, None, false).await.records.is_empty());
    // nobody looked for two hours
    for run in 0..1_500 {
        world.put(&record(65 + run / 15), 0).await;
    }
    let newest = world.look(180, &mut reader, None, false).await;
    assert_eq!(newest.records.len(), 1_000);
    assert!(newest.notes.iter().any(|note| note.contains("left out")), "{:?}", newest.notes);
    let hole = reader.hole().unwrap();
    assert!(newest.records.iter().all(|record| record.ended_at >= hole) && hole > minute(65));
    let mut read: Vec<RunId> = newest.records.into_iter().map(|record| record.run_id).collect();
    for _ in 0..2 {
        let earlier = world.look(180, &mut reader, None, true).await.records;
        assert_eq!(earlier.len(), 250);
        read.extend(earlier.into_iter().map(|record| record.run_id));
    }
    read.sort_unstable();
    read.dedup();
    assert_eq!((read.len(), reader.hole()), (1_500, None));
    assert!(world.look(180, &mut reader, None, true).await.records.is_empty());
    let last = world.look(181, &mut reader, None, false).await;
    assert!(last.records.is_empty() && last.notes.is_empty(), "{:?}", last.notes);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_cannot_be_read_holds_up_no_other() {
    let (world, mut reader) = (World::default(), Reader::default());
    world.put(&record(0), 3 << 20).await;
    let bad = world.put(&record(1), 0).await;
    let mut told = Vec::new();
    for at in 2..8 {
        world.put(&record(at), 0).await;
        let recent = world.look(at, &mut reader, Some(&bad), false).await;
        assert_eq!(recent.records.len(), 1, "minute {at}");
        told.push(recent.notes);
    }
    let says = |notes: &[String], what: &str| notes.iter().filter(|note| note.contains(what)).count();
    // the one that is too large at once, the other after five looks
    assert_eq!((says(&told[0], "given up"), says(&told[0], "tried again")), (1, 1), "{told:?}");
    assert_eq!((says(&told[5], "given up"), says(&told[5], "tried again")), (2, 0), "{told:?}");
    // an hour later nobody is told any more
    assert!(world.look(80, &mut reader, None, false).await.notes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_report_is_given_up_while_the_bucket_is_away() {
    let (world, mut reader) = (World::default(), Reader::default());
    for at in 0..3 {
        world.put(&record(at), 0).await;
    }
    for at in 3..30 {
        let recent = world.look(at, &mut reader, Some("reports/"), false).await;
        assert!(recent.records.is_empty() && recent.notes.len() == 1, "{:?}", recent.notes);
    }
    assert_eq!(world.look(30, &mut reader, None, false).await.records.len(), 3);
}
