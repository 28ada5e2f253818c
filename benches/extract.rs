//! `make bench`: how fast rows leave the database. Extract, encode and gzip into a bucket that throws away, beside
//! the database's own client on the same query in the same run.
//!
//! Starts its own PostgreSQL and MariaDB (`scripts/stack.py`), makes its data, prints a table, stops everything.
//! `BENCH_ROWS` (default 2000000) sets the PostgreSQL rows; MariaDB gets half. `BENCH_RUNS` (default 3) repeats.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads its settings from the environment")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use highwater::bucket::{Bucket, BucketError, ContentType, Generation, Object, Precondition, Put};
use highwater::engine::{Ambient, Engine, RunOptions};
use highwater::model::{
    Address, BqTable, Checksum, ChunkBytes, ChunkRows, ColumnSettings, Connection, Fingerprint, Group, JobId, JobStats,
    JobStatus, Limits, Login, MaxRejects, Mode, NullCursor, Rows, Schema, SchemaSettings, Secret, SourceTable, TableId,
    TableSettings, TableSpec, Tls, TlsMode,
};
use highwater::net::Context;
use highwater::report::{Outcome, RunReport};
use highwater::source::Source;
use highwater::source::mysql::MySqlSource;
use highwater::source::postgres::PostgresSource;
use highwater::warehouse::{Job, Scanned, TableInfo, TargetScan, Warehouse, WarehouseError};
use tokio_util::sync::CancellationToken;

const POSTGRES_TABLE: &str = "
CREATE UNLOGGED TABLE wide (
  id bigint PRIMARY KEY, a int NOT NULL, b int, c smallint, d bigint, e boolean NOT NULL, f real, g double precision,
  h numeric(18,4) NOT NULL, i numeric(12,2), j text NOT NULL, k varchar(40), l char(8), m date, n timestamp, o timestamptz,
  p uuid, q bytea, r jsonb, updated_at timestamptz NOT NULL);
INSERT INTO wide SELECT i, i % 100000, CASE WHEN i % 10 = 0 THEN NULL ELSE i * 7 % 1000003 END, i % 30000, i * 1000003::bigint,
  i % 2 = 0, i / 7.0, i / 3.0, i * 1.2345, (i % 999983) / 100.0, 'customer number ' || i || ' of the table', md5(i::text),
  'AB' || lpad((i % 1000000)::text, 6, '0'), date '2020-01-01' + i % 2000, timestamp '2024-01-01' + i * interval '1.000123 s',
  timestamptz '2024-01-01 00:00+00' + i * interval '1.5 s', md5(i::text)::uuid, decode(md5(i::text), 'hex'),
  jsonb_build_object('id', i, 'tags', jsonb_build_array('x', i % 10)), timestamptz '2024-01-01 00:00+00' + i * interval '10 ms'
FROM generate_series(1, ROWS) i;
CREATE INDEX ON wide (updated_at, id);
VACUUM ANALYZE wide;
";

const MYSQL_TABLE: &str = "
CREATE TABLE wide (
  id bigint PRIMARY KEY, a int NOT NULL, b int, c smallint, d bigint, e tinyint(1) NOT NULL, f float, g double,
  h decimal(18,4) NOT NULL, i decimal(12,2), j text NOT NULL, k varchar(40), l char(8), m date, n datetime, o datetime(6),
  p char(36), q binary(16), r varchar(200), updated_at datetime(6) NOT NULL);
INSERT INTO wide SELECT seq, seq % 100000, IF(seq % 10 = 0, NULL, seq * 7 % 1000003), seq % 30000, seq * 1000003, seq % 2,
  seq / 7, seq / 3, seq * 1.2345, (seq % 999983) / 100, concat('customer number ', seq, ' of the table'), md5(seq),
  concat('AB', lpad(seq % 1000000, 6, '0')), '2020-01-01' + INTERVAL seq % 2000 DAY, '2024-01-01' + INTERVAL seq SECOND,
  '2024-01-01' + INTERVAL seq * 1500 MICROSECOND, uuid(), unhex(md5(seq)), json_object('id', seq, 'tag', seq % 10),
  '2024-01-01' + INTERVAL seq * 10000 MICROSECOND FROM seq_1_to_ROWS;
CREATE INDEX by_update ON wide (updated_at, id);
ANALYZE TABLE wide;
";

struct Stack {
    process: Child,
    at: serde_json::Value,
}

impl Stack {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/stack.py");
        let mut process =
            Command::new("python3").args([script, "up"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { at: serde_json::from_str(&line).unwrap(), process }
    }

    fn text(&self, server: &str, field: &str) -> String {
        let value = &self.at[server][field];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    fn connection(&self, server: &str, database: &str) -> Connection {
        Connection {
            address: Address::Tcp { host: "127.0.0.1".into(), port: self.text(server, "port").parse().unwrap() },
            user: self.text(server, "user"),
            login: Login::Password,
            password: Some(Secret::new(self.text(server, "password"))),
            database: database.into(),
            tls: Tls { mode: TlsMode::Disable, ..Tls::default() },
        }
    }

    fn psql(&self) -> Command {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", &self.text("postgres", "port")]);
        command.args(["-U", &self.text("postgres", "user"), "-d", "postgres"]);
        command.env("PGPASSWORD", self.text("postgres", "password"));
        command
    }

    fn mariadb(&self, database: &str) -> Command {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--quick", "-B", "-h", "127.0.0.1", "-P", &self.text("mysql", "port")]);
        command.args(["-u", &self.text("mysql", "user"), "-D", database]);
        command.env("MYSQL_PWD", self.text("mysql", "password"));
        command
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // its servers stop when its stdin closes
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

fn timed(mut command: Command, what: &str) -> Duration {
    let begun = Instant::now();
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{what} failed: {status}");
    begun.elapsed()
}

/// Forgets what it is given.
struct NullBucket;

impl Bucket for NullBucket {
    fn address(&self, name: &str) -> String {
        format!("null://{name}")
    }

    async fn get(&self, _: &Context, _: &str, _: u64) -> Result<Option<Object>, BucketError> {
        Ok(None)
    }

    async fn put(&self, _: &Context, _: &str, _: Bytes, _: ContentType, _: Precondition) -> Result<Put, BucketError> {
        Ok(Put::Stored(Generation(1)))
    }

    async fn list_from(&self, _: &Context, _: &str, _: &str) -> Result<Vec<String>, BucketError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _: &Context, _: &str) -> Result<(), BucketError> {
        Ok(())
    }
}

/// Says yes to everything at once.
struct NullWarehouse {
    rows: u64,
}

impl Warehouse for NullWarehouse {
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

    async fn submit(&self, _: &Context, _: &JobId, _: Job<'_>) -> Result<(), WarehouseError> {
        Ok(())
    }

    async fn job(&self, _: &Context, _: &JobId, _: &str, _: &str) -> Result<Option<JobStatus>, WarehouseError> {
        Ok(Some(JobStatus::Succeeded(JobStats { rows: self.rows, bytes_billed: 0 })))
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

fn settings(database: Option<&str>) -> TableSettings {
    let table = BqTable { project: "p".into(), dataset: "d".into(), table: "wide".into() };
    TableSettings {
        id: TableId { source: "bench".parse().unwrap(), table: "wide".parse().unwrap() },
        table: SourceTable { schema: database.map(str::to_owned), name: "wide".into() },
        deletes: None,
        matched: None,
        target: table,
        location: "US".into(),
        job_project: "p".into(),
        mode: Mode::Merge,
        cursor: Some("updated_at".into()),
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
            chunk_rows: ChunkRows::try_from(100_000_000).unwrap(),
            chunk_bytes: ChunkBytes::try_from(ChunkBytes::MAX).unwrap(),
            ..Limits::default()
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

fn ours<S: Source>(runtime: &tokio::runtime::Runtime, source: &S, settings: &TableSettings, rows: u64) -> RunReport {
    let engine = Engine::new(NullBucket, NullWarehouse { rows }, Arc::new(Real));
    let cx = Context::new(tokio::time::Instant::now() + Duration::from_secs(3600), CancellationToken::new());
    let report = runtime.block_on(engine.run(&cx, source, settings, RunOptions::default()));
    assert_eq!((report.outcome, report.rows), (Outcome::Synced, rows), "{:?}", report.error);
    report
}

fn median(mut times: Vec<Duration>) -> (Duration, Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[0], times[times.len() - 1])
}

/// Runs both sides alternately and prints a row for each; gives ours as a fraction of the client's speed.
fn compare(
    name: &str,
    client: &str,
    rows: u64,
    runs: usize,
    client_run: impl Fn() -> Duration,
    our_run: impl Fn() -> RunReport,
) {
    let (mut theirs, mut times, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..runs {
        theirs.push(client_run());
        let report = our_run();
        times.push(Duration::from_millis(report.durations_ms.extract));
        bytes = report.bytes;
    }
    let ((their, their_min, their_max), (our, our_min, our_max)) = (median(theirs), median(times));
    #[expect(clippy::cast_precision_loss, reason = "for a table")]
    let (rows, megabytes) = (rows as f64, bytes as f64 / 1e6);
    let seconds = |time: Duration| time.as_secs_f64();
    let print = |what: &str, median: Duration, min: Duration, max: Duration, mb: Option<f64>| {
        let speed = mb.map_or_else(|| "-".to_owned(), |mb| format!("{:.0}", mb / seconds(median)));
        println!(
            "| {name} | {what} | {:.2} | {:.2} | {:.2} | {:.0} | {speed} | {:.0} % |",
            seconds(median),
            seconds(min),
            seconds(max),
            rows / seconds(median),
            100.0 * seconds(their) / seconds(median)
        );
    };
    print(client, their, their_min, their_max, None);
    print("highwater: extract + encode + gzip 1", our, our_min, our_max, Some(megabytes));
}

fn main() {
    let number = |name: &str, default: u64| std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let (rows, runs) = (number("BENCH_ROWS", 2_000_000), usize::try_from(number("BENCH_RUNS", 3)).unwrap());
    highwater::net::install_tls();
    let stack = Stack::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("| source | what | median s | min s | max s | rows/s | NDJSON MB/s | of the client's speed |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");

    let mut fill = stack.psql();
    fill.args(["-c", "SET synchronous_commit = off"]);
    for statement in POSTGRES_TABLE.replace("ROWS", &rows.to_string()).split(";\n").filter(|sql| !sql.trim().is_empty())
    {
        fill.args(["-c", statement]);
    }
    timed(fill, "filling PostgreSQL");
    let postgres = PostgresSource::new(stack.connection("postgres", "postgres"));
    let settings_pg = settings(Some("public"));
    let copy = || {
        let mut copy = stack.psql();
        copy.args(["-c", "COPY (SELECT * FROM wide ORDER BY updated_at, id) TO STDOUT (FORMAT binary)"]);
        timed(copy, "psql")
    };
    compare("PostgreSQL", "psql COPY binary > /dev/null", rows, runs, copy, || {
        ours(&runtime, &postgres, &settings_pg, rows)
    });

    let mut create = stack.mariadb("mysql");
    create.args(["-e", "CREATE DATABASE bench"]);
    timed(create, "creating the database");
    let mut fill = stack.mariadb("bench");
    fill.args(["-e", &MYSQL_TABLE.replace("ROWS", &(rows / 2).to_string())]);
    timed(fill, "filling MariaDB");
    let mysql = MySqlSource::new(stack.connection("mysql", "bench"));
    let settings_my = settings(None);
    let quick = || {
        let mut quick = stack.mariadb("bench");
        quick.args(["-e", "SELECT * FROM wide ORDER BY updated_at, id"]);
        timed(quick, "mariadb")
    };
    compare("MariaDB", "mariadb --quick -B > /dev/null", rows / 2, runs, quick, || {
        ours(&runtime, &mysql, &settings_my, rows / 2)
    });
}
