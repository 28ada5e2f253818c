//! The process's environment and `.env`, captured once.

use std::collections::HashMap;
use std::path::Path;

use url::Url;

use super::dotenv;

/// The variables that interpolation and a few settings read.
#[derive(Clone, Default)]
pub struct Env {
    variables: HashMap<String, String>,
    endpoints: Endpoints,
    port: Option<u16>,
    faults: Vec<String>,
}

/// Where a Google service is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// Google's own, with credentials.
    #[default]
    Google,
    /// An emulator; it is sent no credentials.
    Emulator(Url),
}

/// Where Cloud Storage, BigQuery and Pub/Sub are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Cloud Storage (STORAGE_EMULATOR_HOST).
    pub storage: Endpoint,
    /// BigQuery (BIGQUERY_EMULATOR_HOST).
    pub bigquery: Endpoint,
    /// Pub/Sub (PUBSUB_EMULATOR_HOST).
    pub pubsub: Endpoint,
}

// variables hold secrets
impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").field("variables", &self.variables.len()).finish_non_exhaustive()
    }
}

impl Env {
    /// The process's environment, and below it `.env` in the working directory. Variables that are not Unicode are left
    /// out.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_process() -> Self {
        let own: HashMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        match read_dotenv(&own) {
            Ok(mut below) => {
                below.extend(own);
                Self::new(below)
            }
            Err(fault) => {
                let mut env = Self::new(own);
                env.faults.push(fault);
                env
            }
        }
    }

    /// These variables and no others.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut env = Self { variables: variables.into_iter().collect(), ..Self::default() };
        env.endpoints.storage = env.endpoint("STORAGE_EMULATOR_HOST");
        env.endpoints.bigquery = env.endpoint("BIGQUERY_EMULATOR_HOST");
        env.endpoints.pubsub = env.endpoint("PUBSUB_EMULATOR_HOST");
        if let Some(port) = env.get("PORT").filter(|port| !port.is_empty()) {
            match port.parse() {
                Ok(port) if port != 0 => env.port = Some(port),
                _ => env.faults.push(format!("PORT={port:?} is not a port; say a number from 1 to 65535")),
            }
        }
        env
    }

    /// The names of all variables, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    fn endpoint(&mut self, name: &str) -> Endpoint {
        let Some(value) = self.get(name).filter(|value| !value.is_empty()).map(str::to_owned) else {
            return Endpoint::Google;
        };
        let with_scheme = if value.contains("://") { value.clone() } else { format!("http://{value}") };
        match Url::parse(&with_scheme) {
            Ok(url) if url.has_host() && matches!(url.scheme(), "http" | "https") => Endpoint::Emulator(url),
            _ => {
                self.faults.push(format!("{name}={value:?} is not an address; say for example 127.0.0.1:9050"));
                Endpoint::Google
            }
        }
    }

    /// A variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Where the services are.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// PORT.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether colours are wanted on a terminal (<https://no-color.org>: NO_COLOR counts unless it is empty).
    pub fn colour(&self) -> bool {
        self.get("NO_COLOR").is_none_or(str::is_empty) && !self.dumb_terminal()
    }

    /// Whether the terminal, if there is one, can do no more than write lines.
    pub fn dumb_terminal(&self) -> bool {
        self.get("TERM") == Some("dumb")
    }

    /// Variables that cannot be read, a line each.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }
}

/// A folder of that name is not ours: virtual environments of Python are often called so.
fn read_dotenv(own: &HashMap<String, String>) -> Result<HashMap<String, String>, String> {
    let path = Path::new(dotenv::FILE);
    if matches!(path.try_exists(), Ok(false)) || path.is_dir() {
        return Ok(HashMap::new());
    }
    let text = super::read_file(path).map_err(|problem| format!("{}: it cannot be read: {problem}", dotenv::FILE))?;
    dotenv::parse(&text, own)
}
