//! A database and a mode: fresh tables, runs with faults, and the comparison of source and target.

use std::time::{Duration, Instant};

use highwater::engine::faults::Point;
use highwater::model::Mode;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use crate::support::place::{Place, Rows};
use crate::support::process::{self, Ran};

/// Cloud Run kills ten seconds after SIGTERM.
pub const STOP_SECONDS_MAX: f64 = 10.0;
/// The time that a run has for its step when it is told to stop, but for what the test itself takes.
pub const GRACE_SPENT: Duration = Duration::from_secs(7);
/// How long a held step waits.
const HELD_MS: u32 = 700;
/// The most time until a point is reached, and until a process ends.
const PROCESS_MAX: Duration = Duration::from_secs(60);
/// Rows of a chunk, except in `replace`.
pub const CHUNK_ROWS: u32 = 20;
/// Runs until a table is caught up, at the most.
const RUNS_MAX: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Postgres,
    MariaDb,
}

impl Database {
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
        }
    }
}

fn settings(mode: Mode) -> &'static str {
    match mode {
        Mode::Merge => "cursor: u, chunk_rows: 20",
        Mode::Append => "mode: append, cursor: id, chunk_rows: 20",
        Mode::Replace => "mode: replace",
    }
}

/// A database and a mode, and the table that is in work.
pub struct Board {
    pub database: Database,
    pub mode: Mode,
    place: Place,
    tables: u32,
    /// Counts what was begun with new rows; each has a day of its own for its cursor.
    day: u32,
    /// The greatest id before them.
    base: u32,
    /// Whether something went wrong with the table.
    pub is_spoilt: bool,
}

impl Board {
    pub async fn new(database: Database, mode: Mode) -> Self {
        let place = Place::new().await;
        Self { database, mode, place, tables: 0, day: 0, base: 0, is_spoilt: true }
    }

    fn table(&self) -> String {
        format!("t{}", self.tables)
    }

    async fn sql(&self, sql: &str) {
        match self.database {
            Database::Postgres => self.place.pg(sql).await,
            Database::MariaDb => self.place.my(sql).await,
        }
    }

    /// From now on a table that was never synced.
    pub async fn fresh_table(&mut self) {
        self.tables += 1;
        let table = self.table();
        let settings = format!("{table}: {{ {} }}", settings(self.mode));
        let (time, text) = match self.database {
            Database::Postgres => ("timestamptz", "text"),
            Database::MariaDb => ("datetime", "varchar(40)"),
        };
        match self.database {
            Database::Postgres => self.place.configure(&[&settings], &[], ""),
            Database::MariaDb => self.place.configure(&[], &[&settings], ""),
        };
        self.sql(&format!("CREATE TABLE {table} (id int PRIMARY KEY, v {text} NOT NULL, u {time} NOT NULL)")).await;
    }

    /// New rows beyond all others: `chunks` chunks of them.
    pub async fn new_rows(&mut self, chunks: u32) {
        self.base += 1000;
        self.day += 1;
        self.insert(1, chunks * CHUNK_ROWS).await;
    }

    async fn insert(&self, from: u32, to: u32) {
        let (table, base, day) = (self.table(), self.base, self.day);
        let values = match self.database {
            Database::Postgres => format!(
                "i, md5(i::text), timestamptz '2024-01-01Z' + {day} * interval '1 day' + i * interval '1 s' FROM \
                 generate_series({}, {}) i",
                base + from,
                base + to
            ),
            Database::MariaDb => format!(
                "seq, md5(seq), timestamp('2024-01-01') + INTERVAL {day} DAY + INTERVAL seq SECOND FROM seq_{}_to_{}",
                base + from,
                base + to
            ),
        };
        self.sql(&format!("INSERT INTO {table} SELECT {values}")).await;
    }

    /// More new rows; where rows may change, changed ones; where they may go, some that are gone.
    pub async fn change_rows(&self) {
        let (table, base) = (self.table(), self.base);
        self.insert(101, 105).await;
        if self.mode != Mode::Append {
            let later = match self.database {
                Database::Postgres => "u + interval '2 hours'",
                Database::MariaDb => "u + INTERVAL 2 HOUR",
            };
            self.sql(&format!(
                "UPDATE {table} SET v = 'changed', u = {later} WHERE id IN ({}, {}, {})",
                base + 2,
                base + CHUNK_ROWS,
                base + 101
            ))
            .await;
        }
        if self.mode == Mode::Replace {
            self.sql(&format!("DELETE FROM {table} WHERE id BETWEEN {} AND {}", base + 5, base + 8)).await;
        }
    }

    fn env(&self, faults: &str) -> Vec<(String, String)> {
        let mut env = self.place.env();
        env.push(("HIGHWATER_FAULTS".into(), faults.into()));
        env
    }

    /// A run with these faults.
    pub async fn run(&self, faults: &str) -> Ran {
        process::run(self.place.folder.path(), &self.env(faults), &["sync", &self.table(), "--json"]).await
    }

    /// A run that dies where the point is passed the `nth` time; whether it did.
    pub async fn run_until_death(&self, point: Point, nth: u32) -> Result<bool, String> {
        let ran = self.run(&format!("{}:crash@{nth}", point.name())).await;
        let died = ran.stderr.contains("a test's fault: crash");
        match (died, ran.code) {
            (true, -1) => Ok(true),
            (false, 0) => Ok(false),
            (_, code) => Err(format!("exit code {code}: {}", ran.stderr)),
        }
    }

    /// A run that waits at the point.
    pub async fn start_held(&self, point: Point) -> Result<Held, String> {
        let faults = format!("{}:delay={HELD_MS}", point.name());
        let (child, stderr) = process::start(self.place.folder.path(), &self.env(&faults), &["sync", &self.table()]);
        let mut held = Held { child, lines: BufReader::new(stderr).lines(), log: String::new() };
        let reached = tokio::time::timeout(PROCESS_MAX, held.read_until(Some("a test's fault: delay"))).await;
        if reached != Ok(true) {
            return Err(format!("{} was not passed: {}", point.name(), held.log));
        }
        Ok(held)
    }

    /// Runs until nothing is left to do; `replace` always has something to do.
    pub async fn run_to_the_end(&self) -> Result<(), String> {
        for _ in 0..RUNS_MAX {
            let ran = self.run("").await;
            let outcome = if ran.code == 0 { ran.report().outcome.name() } else { "failed" };
            match outcome {
                "synced" | "up_to_date" => return Ok(()),
                "superseded" | "partial" => {}
                _ => return Err(format!("exit code {}: {}", ran.code, ran.stderr)),
            }
        }
        Err(format!("not done after {RUNS_MAX} runs"))
    }

    pub async fn no_intent_is_left(&self) -> Result<(), String> {
        let source = if self.database == Database::Postgres { "pg" } else { "my" };
        match self.place.object(&format!("state/{source}/{}.json", self.table())).await {
            Some(state) if !state["intent"].is_null() => Err(format!("an intent is left: {state}")),
            _ => Ok(()),
        }
    }

    /// New rows that are in the target.
    pub async fn rows_of_cell(&self) -> u64 {
        let sql = format!("SELECT CAST(COUNT(*) AS STRING) FROM {{d}}.{} WHERE id > {}", self.table(), self.base);
        self.place.bq_one(&sql).await.parse().unwrap()
    }

    /// Source and target row by row, and nothing is left of any run.
    pub async fn compare(&self) -> Result<(), String> {
        let (table, base) = (self.table(), self.base);
        let (id, u) = match self.database {
            Database::Postgres => ("id::text", "to_char(u AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"),
            Database::MariaDb => ("CAST(id AS char)", "DATE_FORMAT(u, '%Y-%m-%d %H:%i:%s')"),
        };
        let count = id.replace("id", "count(*)");
        let source =
            format!("SELECT {id}, v, {u} FROM {table} WHERE id > {base} UNION ALL SELECT {count}, '', '' FROM {table}");
        let source: Rows = match self.database {
            Database::Postgres => self.place.pg_rows(&source).await,
            Database::MariaDb => self.place.my_rows(&source).await,
        };
        let target = format!(
            "SELECT CAST(id AS STRING), v, FORMAT_TIMESTAMP('%Y-%m-%d %H:%M:%S', TIMESTAMP(u)) FROM {{d}}.{table} WHERE id > {base} \
             UNION ALL SELECT CAST(COUNT(*) AS STRING), '', '' FROM {{d}}.{table}"
        );
        let (source, target) = (sorted(source), sorted(self.place.bq(&target).await));
        if source != target {
            let lost = source.iter().filter(|row| !target.contains(row)).collect::<Vec<_>>();
            let more = target.iter().filter(|row| !source.contains(row)).collect::<Vec<_>>();
            return Err(format!(
                "{} rows became {}; lost {lost:?}, not the source's {more:?}",
                source.len() - 1,
                target.len() - 1
            ));
        }
        self.no_intent_is_left().await?;
        let parts = self.place.objects("staging/").await;
        let mut tables = self.place.tables().await;
        tables.retain(|table| table.starts_with("hw_staging"));
        if parts.is_empty() && tables.is_empty() { Ok(()) } else { Err(format!("left behind: {parts:?} {tables:?}")) }
    }
}

fn sorted(mut rows: Rows) -> Rows {
    rows.sort();
    rows
}

/// A process that waits at a point.
pub struct Held {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    log: String,
}

impl Held {
    /// Reads its log until a line has the text, or to its end.
    async fn read_until(&mut self, text: Option<&str>) -> bool {
        while let Ok(Some(line)) = self.lines.next_line().await {
            let found = text.is_some_and(|text| line.contains(text));
            self.log += &line;
            self.log.push('\n');
            if found {
                return true;
            }
        }
        false
    }

    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it has ended already").to_string();
        let done = tokio::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().await.unwrap();
        assert!(done.success());
    }

    /// Its exit code, and how long it took to end.
    pub async fn end(mut self) -> Result<(i32, Duration), String> {
        let begun = Instant::now();
        let ended = tokio::time::timeout(PROCESS_MAX, async {
            self.read_until(None).await;
            self.child.wait().await
        });
        match ended.await {
            Ok(status) => Ok((status.unwrap().code().unwrap_or(-1), begun.elapsed())),
            Err(_) => Err(format!("it hangs: {}", self.log)),
        }
    }
}
