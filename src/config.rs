//! From file and environment to one parsed [`Config`]. The only reader of the environment.
//!
//! A value that exists is valid: the document is read in one pass that collects every fault, each with its line or
//! variable and the way out. `env` captures the process's variables (`dotenv` those of `.env`), `tree` turns YAML into
//! nodes with places, `environment` turns variables into the same nodes, `reader` reads nodes, `placeholders`
//! fills in `${NAME}`, `scalar` parses texts, `source`, `table`, `columns`, `pattern`, `auth` and `reports` know the keys.
//! `document` is such a tree with its origin; it is printed again by `yaml`.

mod auth;
mod columns;
mod deletes;
mod document;
mod dotenv;
mod env;
mod environment;
pub mod import;
mod input;
mod lineage;
mod pattern;
mod placeholders;
mod reader;
mod reports;
mod scalar;
mod source;
mod table;
mod tree;
mod yaml;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use auth::Auth;
pub use document::Loaded;
pub use env::{Endpoint, Endpoints, Env};
pub use input::{Input, Look};
pub use pattern::{Patterns, name_pattern};
pub use reports::Reports;
pub use source::{Reached, SourceConfig, SourceKind, is_loopback, reach, tls_mode, tls_mode_name};

use self::document::Document;
use self::reader::{Findings, Map};
use crate::model::{BqTable, Code, Lineage, Notify, Parallel, RunsPlace, TableSettings, Told};

/// The most bytes of a configuration file.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Where the service listens if neither the file nor PORT says it.
const LISTEN_PORT_DEFAULT: u16 = 8080;
/// Time of a run by default: below Pub/Sub's longest acknowledgement deadline of 10 minutes.
const RUN_BUDGET_DEFAULT: Duration = Duration::from_secs(9 * 60);
/// The longest run: a Cloud Run job's task may take 168 h.
const RUN_BUDGET_MAX: Duration = Duration::from_secs(168 * 3600);
/// Runs at once in one process by default.
const CONCURRENT_RUNS_DEFAULT: u32 = 16;
/// The most runs at once in one process.
const CONCURRENT_RUNS_MAX: u64 = 1000;

/// The table of runs.
const RUNS: &str = "runs";

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Google Cloud project of the targets.
    pub project: String,
    /// The bucket's name.
    pub bucket: String,
    /// Path in the bucket below which everything lies; empty or ending in `/`.
    pub prefix: String,
    /// Where the state lies.
    pub state: State,
    /// The service.
    pub server: Server,
    /// Who may call the service; everybody who reaches it if nothing is said.
    pub auth: Option<Auth>,
    /// How many tables `sync` runs side by side.
    pub parallel: Parallel,
    /// What is kept of runs.
    pub reports: Reports,
    /// Who is told of troubles.
    pub notify: Notify,
    /// Who is told which tables became which.
    pub lineage: Option<Lineage>,
    /// Where the table of runs and its jobs are.
    pub runs: RunsPlace,
    /// The sources, in the file's order.
    pub sources: Vec<SourceConfig>,
    /// Where Cloud Storage, BigQuery and Pub/Sub are.
    pub endpoints: Endpoints,
}

/// Where the state lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// In the bucket, with everything else.
    Bucket,
    /// In another bucket, or below another path; as [`Config::bucket`] and [`Config::prefix`].
    Other {
        /// The bucket's name.
        bucket: String,
        /// The path in it.
        prefix: String,
    },
    /// In a folder of this machine.
    Folder(PathBuf),
}

/// Settings of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it listens; PORT wins over the file.
    pub listen_port: u16,
    /// The most time of one run.
    pub run_budget: Duration,
    /// The most runs at once; beyond it requests are answered with 429.
    pub max_concurrent_runs: u32,
}

/// Everything that is wrong with a configuration, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Told>);

impl ConfigErrors {
    /// The faults, in the file's order.
    pub fn told(&self) -> &[Told] {
        &self.0
    }

    /// The faults, each with the variable that is all that it wants.
    pub fn unset(&self) -> Vec<(String, Option<String>)> {
        self.0
            .iter()
            .map(|told| (told.message.clone(), placeholders::unset(&told.message).map(str::to_owned)))
            .collect()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&str> = self.0.iter().map(|told| told.message.as_str()).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(input: &Input, env: &Env) -> Result<Loaded, ConfigErrors> {
        let path = match input {
            Input::Environment => return environment::load(env),
            Input::File(path) => path,
        };
        let name = path.display().to_string();
        let text = read_file(path).map_err(|problem| {
            let text = format!(
                "{name}: the configuration cannot be read: {problem}; name another with --config or HIGHWATER_CONFIG, or \
                 name databases in {} and have no file",
                environment::DATABASES
            );
            ConfigErrors(vec![Told::new(Code::ConfigFile, &text)])
        })?;
        Document::parse(&text, &name)?.read(env, Findings::default(), Vec::new())
    }

    /// Parses the text of a file of that name.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, name: &str, env: &Env) -> Result<Self, ConfigErrors> {
        let loaded = Document::parse(text, name)?.read(env, Findings::default(), Vec::new())?;
        Ok(loaded.config)
    }
}

/// A text file of a size that a person may have written.
fn read_file(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it has {size} bytes, more than {FILE_BYTES_MAX}"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn read(mut root: Map<'_>, env: &Env) -> Option<Config> {
    let project = root.required("project", scalar::project);
    let job_project = root.optional("job_project", scalar::project);
    let dataset = root.required("dataset", scalar::dataset);
    let location = root.optional("location", scalar::location).unwrap_or_else(|| "US".to_owned());
    let bucket = root.required("bucket", scalar::bucket);
    let prefix = root.optional("prefix", scalar::prefix).unwrap_or_default();
    let state = root.optional("state", |text| read_state(text, env)).unwrap_or(State::Bucket);
    let server = root.map("server").map_or_else(|| default_server(env), |map| read_server(map, env));
    let auth = auth::read(&mut root);
    let parallel = root.optional("parallel", scalar::limited::<Parallel>).unwrap_or_default();
    let reports = reports::read(&mut root);
    let notify = reports::read_notify(&mut root);
    let lineage = lineage::read(&mut root);
    let defaults = root.map("defaults").map(table::read_defaults).unwrap_or_default();
    let place = project.clone().zip(dataset).map(|(project, dataset)| source::Place {
        job_project: job_project.unwrap_or_else(|| project.clone()),
        project,
        dataset,
        location,
    });
    let sources = source::read_all(&mut root, place.as_ref(), &defaults);
    root.finish();
    let place = place?;
    let config = Config {
        runs: RunsPlace {
            table: BqTable { project: place.project, dataset: reports.dataset.clone(), table: RUNS.to_owned() },
            location: place.location,
            job_project: place.job_project,
            days: reports.days,
        },
        reports,
        notify,
        lineage,
        project: project?,
        bucket: bucket?,
        prefix,
        state,
        server,
        auth,
        parallel,
        sources: sources?,
        endpoints: env.endpoints().clone(),
    };
    Some(config)
}

/// `gs://bucket/path`, or a folder. A container's folder is gone with it.
fn read_state(text: &str, env: &Env) -> Result<State, String> {
    if let Some(rest) = text.strip_prefix("gs://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        return Ok(State::Other { bucket: scalar::bucket(bucket)?, prefix: scalar::prefix(prefix)? });
    }
    if text.contains("://") {
        return Err(format!("{text:?} is neither a folder nor gs://bucket/path"));
    }
    if ["K_SERVICE", "CLOUD_RUN_JOB"].iter().any(|name| env.get(name).is_some()) {
        return Err(
            "a folder of a Cloud Run container is gone with it; say gs://bucket/path, or leave it out".to_owned()
        );
    }
    scalar::text(text).map(|folder| State::Folder(PathBuf::from(folder)))
}

fn default_server(env: &Env) -> Server {
    Server {
        listen_port: env.port().unwrap_or(LISTEN_PORT_DEFAULT),
        run_budget: RUN_BUDGET_DEFAULT,
        max_concurrent_runs: CONCURRENT_RUNS_DEFAULT,
    }
}

fn read_server(mut map: Map<'_>, env: &Env) -> Server {
    let mut server = default_server(env);
    if let Some(port) = map.optional("listen_port", |text| scalar::number(text, 1, u64::from(u16::MAX)))
        && env.port().is_none()
    {
        server.listen_port = u16::try_from(port).unwrap_or(LISTEN_PORT_DEFAULT);
    }
    if let Some(budget) = map.optional("run_budget", |text| {
        let budget = scalar::duration(text)?;
        let fits = (Duration::from_secs(1)..=RUN_BUDGET_MAX).contains(&budget);
        if fits { Ok(budget) } else { Err("must be within 1s and 168h".to_owned()) }
    }) {
        server.run_budget = budget;
    }
    if let Some(runs) = map.optional("max_concurrent_runs", |text| scalar::number(text, 1, CONCURRENT_RUNS_MAX)) {
        server.max_concurrent_runs = u32::try_from(runs).unwrap_or(CONCURRENT_RUNS_DEFAULT);
    }
    map.finish();
    server
}

impl Config {
    /// Every table that is named, in the file's order.
    pub fn tables(&self) -> impl Iterator<Item = &TableSettings> {
        self.sources.iter().flat_map(|source| &source.tables)
    }
}

#[cfg(test)]
mod tests;
