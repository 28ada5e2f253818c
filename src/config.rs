//! From file and environment to one parsed [`Config`]. The only reader of the environment.
//!
//! A value that exists is valid: the file is read in one pass that collects every fault, each with its line and the
//! way out. `env` captures the process's variables, `tree` turns YAML into nodes with places, `reader` reads nodes,
//! `scalar` parses texts, `source`, `table`, `columns` and `pattern` know the keys.

mod columns;
mod env;
mod pattern;
mod reader;
mod scalar;
mod source;
mod table;
mod tree;

use std::fmt;
use std::path::Path;
use std::time::Duration;

pub use env::{Endpoint, Endpoints, Env};
pub use pattern::{Patterns, name_pattern};
pub use source::{Reached, SourceConfig, SourceKind, reach, tls_mode, tls_mode_name};

use self::reader::{Faults, Map};
use crate::model::{Parallel, TableSettings};

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

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Google Cloud project of the targets.
    pub project: String,
    /// The bucket's name.
    pub bucket: String,
    /// Path in the bucket below which everything lies; empty or ending in `/`.
    pub prefix: String,
    /// The service.
    pub server: Server,
    /// How many tables `sync` runs side by side.
    pub parallel: Parallel,
    /// The sources, in the file's order.
    pub sources: Vec<SourceConfig>,
    /// Where Cloud Storage and BigQuery are.
    pub endpoints: Endpoints,
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
pub struct ConfigErrors(Vec<String>);

impl ConfigErrors {
    /// The faults, in the file's order.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\nhighwater: "))
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path, env: &Env) -> Result<Self, ConfigErrors> {
        let name = path.display().to_string();
        let fail = |problem: String| ConfigErrors(vec![format!("{name}: {problem}")]);
        let size = std::fs::metadata(path).map_err(|error| {
            fail(format!("the configuration cannot be read: {error}; name another with --config or HIGHWATER_CONFIG"))
        })?;
        if size.len() > FILE_BYTES_MAX {
            return Err(fail(format!("the file has {} bytes, more than {FILE_BYTES_MAX}", size.len())));
        }
        let text = std::fs::read_to_string(path).map_err(|error| fail(format!("it cannot be read: {error}")))?;
        Self::parse(&text, &name, env)
    }

    /// Parses the text of a file of that name.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, name: &str, env: &Env) -> Result<Self, ConfigErrors> {
        let root = tree::parse(text).map_err(|fault| ConfigErrors(vec![fault.in_file(name)]))?;
        let faults = Faults::default();
        let config = read(Map::root(&root, env, &faults), env);
        let mut found = faults.into_lines(name);
        found.extend(env.faults().iter().cloned());
        match config {
            Some(config) if found.is_empty() => Ok(config),
            _ => Err(ConfigErrors(found)),
        }
    }
}

fn read(mut root: Map<'_>, env: &Env) -> Option<Config> {
    let project = root.required("project", scalar::project);
    let job_project = root.optional("job_project", scalar::project);
    let dataset = root.required("dataset", scalar::dataset);
    let location = root.optional("location", scalar::location).unwrap_or_else(|| "US".to_owned());
    let bucket = root.required("bucket", scalar::bucket);
    let prefix = root.optional("prefix", scalar::prefix).unwrap_or_default();
    let server = root.map("server").map_or_else(|| default_server(env), |map| read_server(map, env));
    let parallel = root.optional("parallel", scalar::limited::<Parallel>).unwrap_or_default();
    let defaults = root.map("defaults").map(table::read_defaults).unwrap_or_default();
    let place = project.clone().zip(dataset).map(|(project, dataset)| source::Place {
        job_project: job_project.unwrap_or_else(|| project.clone()),
        project,
        dataset,
        location,
    });
    let sources = source::read_all(&mut root, place.as_ref(), &defaults);
    root.finish();
    let config = Config {
        project: project?,
        bucket: bucket?,
        prefix,
        server,
        parallel,
        sources: sources?,
        endpoints: env.endpoints().clone(),
    };
    Some(config)
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
