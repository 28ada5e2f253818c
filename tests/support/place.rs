//! A place of its own for each test: databases, bucket, dataset, gate, configuration.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::gate::Gate;
use super::process::{self, Ran, Service};
use super::stack::{Stack, stack};
use super::valve::Valve;

static NEXT: AtomicU32 = AtomicU32::new(1);

/// Rows as text; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// A test's place.
pub struct Place {
    pub stack: &'static Stack,
    pub gate: Gate,
    pub valve: Valve,
    pub name: String,
    pub folder: tempfile::TempDir,
    client: reqwest::Client,
}

impl Place {
    /// Makes databases, bucket and gate of a fresh name.
    pub async fn new() -> Self {
        let stack = tokio::task::spawn_blocking(stack).await.unwrap();
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let gate = Gate::open(&stack.bigquery, &stack.storage).await;
        let valve = Valve::open(&stack.storage).await;
        // the emulators close idle connections, which a request may be on its way over
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let place = Self { stack, gate, valve, name, folder: tempfile::tempdir().unwrap(), client };
        place.pg_in("postgres", &format!("CREATE DATABASE {}", place.name)).await;
        place.my_in("mysql", &format!("CREATE DATABASE {} CHARACTER SET utf8mb4", place.name)).await;
        let url = format!("{}/storage/v1/b?project=demo", stack.storage);
        let made = place.client.post(url).body(json!({"name": place.bucket()}).to_string()).send().await.unwrap();
        assert!(made.status().is_success());
        place
    }

    /// The bucket's name.
    pub fn bucket(&self) -> String {
        format!("b-{}", self.name.replace('_', "-"))
    }

    /// The source's url.
    pub fn pg_url(&self) -> String {
        let at = &self.stack.postgres;
        format!("postgres://{}:{}@127.0.0.1:{}/{}", at.user, at.password, at.port, self.name)
    }

    /// The source's url.
    pub fn my_url(&self) -> String {
        let at = &self.stack.mysql;
        format!("mysql://{}:{}@127.0.0.1:{}/{}", at.user, at.password, at.port, self.name)
    }

    /// A connection to the test's PostgreSQL database.
    pub async fn pg_connection(&self) -> sqlx::PgConnection {
        sqlx::PgConnection::connect(&self.pg_url()).await.unwrap()
    }

    /// Runs statements in the test's PostgreSQL database.
    pub async fn pg(&self, sql: &str) {
        self.pg_in(&self.name, sql).await;
    }

    async fn pg_in(&self, database: &str, sql: &str) {
        let at = &self.stack.postgres;
        let url = format!("postgres://{}:{}@127.0.0.1:{}/{database}", at.user, at.password, at.port);
        let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap_or_else(|e| panic!("{e}: {sql}"));
        connection.close().await.unwrap();
    }

    /// Runs statements in the test's MariaDB database.
    pub async fn my(&self, sql: &str) {
        self.my_in(&self.name, sql).await;
    }

    async fn my_in(&self, database: &str, sql: &str) {
        let at = &self.stack.mysql;
        let url = format!("mysql://{}:{}@127.0.0.1:{}/{database}?ssl-mode=disabled", at.user, at.password, at.port);
        let mut connection = my_connect(&url).await;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap_or_else(|e| panic!("{e}: {sql}"));
        connection.close().await.unwrap();
    }

    /// Rows of a query whose columns are all text.
    pub async fn pg_rows(&self, sql: &str) -> Rows {
        let mut connection = self.pg_connection().await;
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut connection)
            .await
            .unwrap_or_else(|e| panic!("{e}: {sql}"));
        rows.iter().map(|row| texts(row, |row, i| sqlx::Row::get::<Option<String>, _>(row, i))).collect()
    }

    /// Rows of a query whose columns are all text.
    pub async fn my_rows(&self, sql: &str) -> Rows {
        let url = format!("{}?ssl-mode=disabled", self.my_url());
        let mut connection = my_connect(&url).await;
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut connection)
            .await
            .unwrap_or_else(|e| panic!("{e}: {sql}"));
        rows.iter().map(|row| texts(row, |row, i| sqlx::Row::get::<Option<String>, _>(row, i))).collect()
    }

    /// Rows of a query in BigQuery, all pages. `{d}` stands for the test's dataset.
    pub async fn bq(&self, sql: &str) -> Rows {
        let sql = sql.replace("{d}", &self.name);
        let base = format!("{}/bigquery/v2/projects/demo/queries", self.stack.bigquery);
        let body = json!({"query": sql, "useLegacySql": false, "maxResults": 50_000, "timeoutMs": 200_000});
        let mut answer: Value = self.call(self.client.post(&base).body(body.to_string())).await;
        let mut rows = Vec::new();
        loop {
            assert!(answer["error"].is_null(), "{answer}: {sql}");
            rows.extend(answer["rows"].as_array().into_iter().flatten().map(|row| {
                let cells = row["f"].as_array().unwrap().iter();
                cells.map(|cell| cell["v"].as_str().map(str::to_owned)).collect::<Vec<_>>()
            }));
            let (Some(token), Some(job)) = (answer["pageToken"].as_str(), answer["jobReference"]["jobId"].as_str())
            else {
                return rows;
            };
            let url = format!("{base}/{job}?pageToken={token}&maxResults=50000");
            answer = self.call(self.client.get(url)).await;
        }
    }

    /// The first cell of a query in BigQuery.
    pub async fn bq_one(&self, sql: &str) -> String {
        self.bq(sql).await.remove(0).remove(0).unwrap_or_else(|| "NULL".into())
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> Value {
        let bytes = request.header("content-type", "application/json").send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Names of the objects in the test's bucket below `prefix`.
    pub async fn objects(&self, prefix: &str) -> Vec<String> {
        let url = format!("{}/storage/v1/b/{}/o?prefix={prefix}", self.stack.storage, self.bucket());
        let answer = self.call(self.client.get(url)).await;
        answer["items"].as_array().into_iter().flatten().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Tables of the test's dataset.
    pub async fn tables(&self) -> Vec<String> {
        let url = format!("{}/bigquery/v2/projects/demo/datasets/{}/tables", self.stack.bigquery, self.name);
        let answer = self.call(self.client.get(url)).await;
        let id = |table: &Value| table["tableReference"]["tableId"].as_str().unwrap().to_owned();
        answer["tables"].as_array().into_iter().flatten().map(id).collect()
    }

    /// The table's resource, as the gate gives it.
    pub async fn table(&self, table: &str) -> Value {
        let url = format!("{}/bigquery/v2/projects/demo/datasets/{}/tables/{table}", self.gate.url, self.name);
        self.call(self.client.get(url)).await
    }

    /// An object's content as JSON; `None` if there is none.
    pub async fn object(&self, name: &str) -> Option<Value> {
        self.text(name).await.map(|text| serde_json::from_str(&text).unwrap())
    }

    /// An object's content; `None` if there is none.
    pub async fn text(&self, name: &str) -> Option<String> {
        let name = name.replace('%', "%25").replace('/', "%2F");
        let url = format!("{}/storage/v1/b/{}/o/{name}?alt=media", self.stack.storage, self.bucket());
        let answer = self.client.get(url).send().await.unwrap();
        if answer.status() == 404 { None } else { Some(answer.text().await.unwrap()) }
    }

    /// Writes an object.
    pub async fn put(&self, name: &str, text: &str) {
        let name = name.replace('/', "%2F");
        let url =
            format!("{}/upload/storage/v1/b/{}/o?uploadType=media&name={name}", self.stack.storage, self.bucket());
        let answer = self.client.post(url).body(text.to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Deletes an object.
    pub async fn delete(&self, name: &str) {
        let name = name.replace('/', "%2F");
        let url = format!("{}/storage/v1/b/{}/o/{name}", self.stack.storage, self.bucket());
        assert!(self.client.delete(url).send().await.unwrap().status().is_success());
    }

    /// Writes a configuration with a PostgreSQL source `pg` and a MySQL source `my` with these tables (YAML flow
    /// mappings' content, one per line), and more keys at the top.
    pub fn configure(&self, pg: &[&str], my: &[&str], top: &str) -> PathBuf {
        let section = |name: &str, url: String, tables: &[&str]| {
            if tables.is_empty() {
                return String::new();
            }
            let lines: String = tables.iter().map(|table| format!("      {table}\n")).collect();
            format!("  {name}:\n    url: {url}\n    tables:\n{lines}")
        };
        let text = format!(
            "project: demo\ndataset: {}\nlocation: EU\nbucket: {}\n{top}\nsources:\n{}{}",
            self.name,
            self.bucket(),
            section("pg", self.pg_url(), pg),
            section("my", self.my_url(), my)
        );
        self.write_config(&text)
    }

    /// Writes a configuration as it stands; one that says nothing of reports keeps them out of BigQuery, which gets slower
    /// with each table.
    pub fn write_config(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("highwater.yaml");
        let says = text.lines().any(|line| line.starts_with("reports:"));
        let quiet = if says { "" } else { "\nreports: { bigquery: false }\n" };
        std::fs::write(&path, format!("{text}{quiet}")).unwrap();
        path
    }

    /// The environment of the binary: Cloud Storage through the valve, BigQuery through the gate.
    pub fn env(&self) -> Vec<(String, String)> {
        vec![
            ("STORAGE_EMULATOR_HOST".into(), self.valve.url.clone()),
            ("BIGQUERY_EMULATOR_HOST".into(), self.gate.url.clone()),
            ("HIGHWATER_LOG".into(), "highwater=debug".into()),
            // of a configuration by variables
            ("HIGHWATER_REPORTS_BIGQUERY".into(), "false".into()),
        ]
    }

    /// Runs `highwater ARGS`.
    pub async fn run(&self, args: &[&str]) -> Ran {
        process::run(self.folder.path(), &self.env(), args).await
    }

    /// As [`Place::run`], with the process's highest resident size in KiB.
    pub async fn run_measured(&self, args: &[&str]) -> (Ran, u64) {
        process::run_measured(self.folder.path(), &self.env(), args).await
    }

    /// Runs `highwater sync --json TABLE…`; every run must end well.
    pub async fn sync(&self, tables: &[&str]) -> Vec<highwater::report::RunReport> {
        let mut args = vec!["sync", "--json"];
        args.extend(tables);
        let ran = self.run(&args).await;
        assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
        ran.reports()
    }

    /// Starts the service.
    pub async fn serve(&self) -> Service {
        Service::start(self.folder.path(), &self.env()).await
    }

    /// Nothing is left of any run: no part, no staging table, no pending intent.
    pub async fn assert_clean(&self) {
        assert_eq!(self.objects("staging/").await, Vec::<String>::new());
        let staging: Vec<String> =
            self.tables().await.into_iter().filter(|table| table.starts_with("hw_staging")).collect();
        assert_eq!(staging, Vec::<String>::new());
        for name in self.objects("state/").await {
            let state = self.object(&name).await.unwrap();
            assert!(state["intent"].is_null(), "{name}: {state}");
        }
    }
}

/// The most time for taking a place away.
const AWAY_MAX: Duration = Duration::from_secs(20);

impl Drop for Place {
    /// Takes its dataset away: the emulator gets slower with each table that it has.
    fn drop(&mut self) {
        if let Err(error) = self.delete_dataset() {
            eprintln!("the dataset {} stays: {error}", self.name);
        }
    }
}

impl Place {
    // no runtime can be waited for here
    fn delete_dataset(&self) -> std::io::Result<()> {
        let host = self.stack.bigquery.trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(host)?;
        stream.set_read_timeout(Some(AWAY_MAX))?;
        let path = format!("/bigquery/v2/projects/demo/datasets/{}?deleteContents=true", self.name);
        write!(stream, "DELETE {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        // 404: the test has made none
        match &answer[9..] {
            b"200" | b"204" | b"404" => Ok(()),
            _ => Err(std::io::Error::other(String::from_utf8_lossy(&answer).into_owned())),
        }
    }
}

fn texts<R: sqlx::Row>(row: &R, get: impl Fn(&R, usize) -> Option<String>) -> Vec<Option<String>> {
    (0..row.len()).map(|index| get(row, index)).collect()
}

/// A connection that does not depend on the server's settings, which a test may have changed.
async fn my_connect(url: &str) -> sqlx::MySqlConnection {
    let mut connection = sqlx::MySqlConnection::connect(url).await.unwrap();
    let modes = "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
                 sql_select_limit = 18446744073709551615, autocommit = 1, completion_type = 0, sql_auto_is_null = 0";
    connection.execute(modes).await.unwrap();
    connection
}
