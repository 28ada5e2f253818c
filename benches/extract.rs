//! The engine without BigQuery, as a program of its own: reads one table, encodes, compresses and stages it, and prints
//! what that took as one line of JSON. `bench/bench.py` starts it once per measurement, so that time, CPU and peak memory
//! are a process's own.
//!
//! The settings are one JSON object, the first argument that begins with `{`. BigQuery is an adapter in this process that
//! says yes to everything at once; parts go nowhere, to a folder or to a (local) Cloud Storage, as `parts_to` says.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use highwater::bucket::gcs::GcsBucket;
use highwater::bucket::{Bucket, BucketError, ContentType, Generation, Object, Precondition, Put};
use highwater::engine::{Ambient, Engine, RunOptions};
use highwater::model::{
    Address, BqTable, Checksum, ChunkBytes, ChunkRows, ColumnSettings, Connection, Fingerprint, Group, GzipLevel,
    JobId, JobStats, JobStatus, Limits, Login, MaxRejects, Mode, NullCursor, PartBytes, Rows, Schema, SchemaSettings,
    Secret, SourceTable, TableId, TableSettings, TableSpec, Tls, TlsMode,
};
use highwater::net::{Context, Tokens};
use highwater::report::{Outcome, RunReport};
use highwater::source::Source;
use highwater::source::mysql::MySqlSource;
use highwater::source::postgres::PostgresSource;
use highwater::warehouse::{Job, Scanned, TableInfo, TargetScan, Warehouse, WarehouseError};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

/// To compare it with the system's, which the program has.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is measured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    source: Database,
    port: u16,
    user: String,
    password: String,
    database: String,
    schema: Option<String>,
    table: String,
    /// Without one the whole table is copied (`mode: replace`), in no order.
    cursor: Option<String>,
    gzip_level: u64,
    /// The product's default, if it is left out.
    chunk_rows: Option<u64>,
    parts_to: PartsTo,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Database {
    Postgres,
    Mysql,
}

/// Where parts go.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum PartsTo {
    /// They are counted and forgotten.
    Nowhere,
    /// Files of this folder. States are forgotten.
    Folder(PathBuf),
    /// A Cloud Storage, with the states.
    Storage { url: String, bucket: String, prefix: String },
}

/// A bucket that counts what it is given.
struct Sink {
    to: To,
    bytes: AtomicU64,
}

enum To {
    Nowhere,
    Folder(PathBuf),
    Storage(Box<GcsBucket>),
}

impl Sink {
    fn new(to: &PartsTo) -> Self {
        let to = match to {
            PartsTo::Nowhere => To::Nowhere,
            PartsTo::Folder(folder) => To::Folder(folder.clone()),
            PartsTo::Storage { url, bucket, prefix } => {
                let storage = Some(url.parse().unwrap());
                To::Storage(Box::new(GcsBucket::new(bucket, prefix, storage, Tokens::Anonymous)))
            }
        };
        Self { to, bytes: AtomicU64::new(0) }
    }
}

/// The file of a part: its name, which holds the intent's id, without folders.
fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(name.replace('/', "-"))
}

impl Bucket for Sink {
    fn address(&self, name: &str) -> String {
        match &self.to {
            To::Nowhere | To::Folder(_) => format!("null://{name}"),
            To::Storage(bucket) => bucket.address(name),
        }
    }

    async fn get(&self, cx: &Context, name: &str, bytes_max: u64) -> Result<Option<Object>, BucketError> {
        match &self.to {
            To::Nowhere | To::Folder(_) => Ok(None),
            To::Storage(bucket) => bucket.get(cx, name, bytes_max).await,
        }
    }

    async fn put(
        &self,
        cx: &Context,
        name: &str,
        bytes: Bytes,
        content: ContentType,
        precondition: Precondition,
    ) -> Result<Put, BucketError> {
        let part = content != ContentType::Json;
        if part {
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        match &self.to {
            To::Storage(bucket) => return bucket.put(cx, name, bytes, content, precondition).await,
            To::Folder(folder) if part => {
                let file = file(folder, name);
                // not by `tokio::fs::write`, which copies the bytes first
                tokio::task::spawn_blocking(move || std::fs::write(file, &bytes)).await.unwrap().unwrap();
            }
            To::Folder(_) | To::Nowhere => {}
        }
        Ok(Put::Stored(Generation(1)))
    }

    async fn list_from(&self, cx: &Context, prefix: &str, from: &str) -> Result<Vec<String>, BucketError> {
        match &self.to {
            To::Nowhere | To::Folder(_) => Ok(Vec::new()),
            To::Storage(bucket) => bucket.list_from(cx, prefix, from).await,
        }
    }

    async fn delete(&self, cx: &Context, name: &str) -> Result<(), BucketError> {
        match &self.to {
            // the files stay: who measures counts their rows
            To::Nowhere | To::Folder(_) => Ok(()),
            To::Storage(bucket) => bucket.delete(cx, name).await,
        }
    }
}

/// Says yes to everything at once.
#[derive(Default)]
struct YesWarehouse {
    /// Rows of the intent whose job was submitted last.
    rows: AtomicU64,
}

impl Warehouse for YesWarehouse {
    async fn table(&self, _: &Context, _: &BqTable) -> Result<Option<TableInfo>, WarehouseError> {
        Ok(None)
    }

    async fn dataset_location(&self, _: &Context, _: &str, _: &str) -> Result<Option<String>, WarehouseError> {
        Ok(None)
    }

    async fn ensure_dataset(&self, _: &Context, _: &str, _: &str, _: &str) -> Result<(), WarehouseError> {
        Ok(())
    }

    async fn create_table(&self, _: &Context, _: &TableSpec) -> Result<(), WarehouseError> {
        Ok(())
    }

    async fn patch_schema(&self, _: &Context, _: &BqTable, _: &Schema, _: &str) -> Result<bool, WarehouseError> {
        Ok(true)
    }

    async fn delete_table(&self, _: &Context, _: &BqTable) -> Result<(), WarehouseError> {
        Ok(())
    }

    async fn submit(&self, _: &Context, _: &JobId, job: Job<'_>) -> Result<(), WarehouseError> {
        if let Job::Load(intent) | Job::Merge(intent) = job {
            self.rows.store(intent.rows, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn job(&self, _: &Context, _: &JobId, _: &str, _: &str) -> Result<Option<JobStatus>, WarehouseError> {
        let rows = self.rows.load(Ordering::Relaxed);
        Ok(Some(JobStatus::Succeeded(JobStats { rows, bytes_billed: 0 })))
    }

    async fn checksums(
        &self,
        _: &Context,
        _: &TargetScan<'_>,
        _: &Rows,
        _: Group,
        _: u64,
        _: &str,
    ) -> Result<Scanned<Checksum>, WarehouseError> {
        Ok(Scanned { found: Vec::new(), bytes: 0 })
    }

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

#[derive(Debug)]
struct Real;

impl Ambient for Real {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn random(&self) -> u128 {
        fastrand::u128(..)
    }
}

fn settings(job: &Settings) -> TableSettings {
    let defaults = Limits::default();
    let chunk_rows = job.chunk_rows.map_or(defaults.chunk_rows, |rows| ChunkRows::try_from(rows).unwrap());
    TableSettings {
        id: TableId { source: "bench".parse().unwrap(), table: job.table.parse().unwrap() },
        table: SourceTable { schema: job.schema.clone(), name: job.table.clone() },
        deletes: None,
        matched: None,
        target: BqTable { project: "p".into(), dataset: "d".into(), table: job.table.clone() },
        location: "US".into(),
        job_project: "p".into(),
        mode: if job.cursor.is_some() { Mode::Merge } else { Mode::Replace },
        cursor: job.cursor.clone(),
        key: None,
        create: true,
        partitioning: None,
        partition_immutable: false,
        cluster_by: Vec::new(),
        columns: ColumnSettings::default(),
        filter: None,
        max_rejects: MaxRejects::default(),
        schema: SchemaSettings::default(),
        limits: Limits {
            chunk_rows,
            // rows alone say where a chunk ends
            chunk_bytes: ChunkBytes::try_from(ChunkBytes::MAX).unwrap(),
            part_bytes: PartBytes::default(),
            gzip_level: GzipLevel::try_from(job.gzip_level).unwrap(),
        },
        lag: Duration::from_secs(60),
        max_hold: Duration::from_secs(3600),
        lookback: Duration::ZERO,
        backfill_start: None,
        null_cursor: NullCursor::Report,
        cursor_timezone: "UTC".into(),
        schedule: None,
    }
}

async fn sync<S: Source>(source: &S, job: &Settings) -> (RunReport, u64) {
    let engine = Engine::new(Sink::new(&job.parts_to), YesWarehouse::default(), Arc::new(Real));
    let cx = Context::new(tokio::time::Instant::now() + Duration::from_secs(3600), CancellationToken::new());
    let report = engine.run(&cx, source, &settings(job), RunOptions::default()).await;
    assert_eq!(report.outcome, Outcome::Synced, "{:?}", report.error);
    let staged = engine.bucket().bytes.load(Ordering::Relaxed);
    (report, staged)
}

/// The most that this process has held in memory, kilobytes.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn main() {
    // `cargo bench` without settings is no error: bench.py is the one who has them
    let Some(text) = std::env::args().find(|argument| argument.starts_with('{')) else {
        println!("extract: settings are missing; run `make bench`");
        return;
    };
    let job: Settings = serde_json::from_str(&text).unwrap();
    highwater::net::install_tls();
    let connection = Connection {
        address: Address::Tcp { host: "127.0.0.1".into(), port: job.port },
        user: job.user.clone(),
        login: Login::Password,
        password: Some(Secret::new(job.password.clone())),
        database: job.database.clone(),
        tls: Tls { mode: TlsMode::Disable, ..Tls::default() },
    };
    // as the program's own
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (report, staged) = match job.source {
        Database::Postgres => runtime.block_on(sync(&PostgresSource::new(connection), &job)),
        Database::Mysql => runtime.block_on(sync(&MySqlSource::new(connection), &job)),
    };
    let line = serde_json::json!({
        "rows": report.rows, "bytes": report.bytes, "staged_bytes": staged, "parts": report.parts,
        "chunks": report.chunks, "durations_ms": report.durations_ms, "peak_kib": peak_kib(),
    });
    println!("{line}");
}
