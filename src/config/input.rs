//! Where the configuration is, and what that means for the log, which starts before the configuration is read.

use std::path::{Path, PathBuf};

use super::env::Env;
use super::environment::{DATABASES, log};

/// The file that is read where none is named.
const FILE_DEFAULT: &str = "highwater.yaml";
/// Names the file.
const FILE_VARIABLE: &str = "HIGHWATER_CONFIG";
/// The log filter.
const LOG_VARIABLE: &str = "HIGHWATER_LOG";
/// The log filter where nobody says one.
const LOG_DEFAULT: &str = "info";

/// Where the configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// In a file.
    File(PathBuf),
    /// In variables.
    Environment,
}

/// How log lines are to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// For people on a terminal, for machines elsewhere.
    Any,
    /// For people.
    Human,
    /// For machines.
    Machine,
}

impl Input {
    /// The file that is named, or HIGHWATER_CONFIG, or the default one if it is there; else the environment if it names
    /// databases.
    pub fn choose(named: Option<&Path>, env: &Env) -> Self {
        let variable = || env.get(FILE_VARIABLE).filter(|path| !path.is_empty()).map(Path::new);
        if let Some(path) = named.filter(|path| !path.as_os_str().is_empty()).or_else(variable) {
            return Self::File(path.to_owned());
        }
        // one that may not be looked at is there
        let absent = matches!(Path::new(FILE_DEFAULT).try_exists(), Ok(false));
        match absent && env.get(DATABASES).is_some_and(|names| !names.trim().is_empty()) {
            true => Self::Environment,
            false => Self::File(PathBuf::from(FILE_DEFAULT)),
        }
    }

    /// The log filter: HIGHWATER_LOG, or LOG_LEVEL where the environment is the configuration, or `info`.
    pub fn log_filter<'a>(&self, env: &'a Env) -> &'a str {
        let own = env.get(LOG_VARIABLE).filter(|filter| !filter.is_empty());
        own.or_else(|| self.of_environment(|| log::filter(env))).unwrap_or(LOG_DEFAULT)
    }

    /// How log lines are to look: as LOG_ENV says where the environment is the configuration.
    pub fn log_look(&self, env: &Env) -> Look {
        self.of_environment(|| log::look(env)).unwrap_or(Look::Any)
    }

    fn of_environment<T>(&self, read: impl FnOnce() -> Option<T>) -> Option<T> {
        match self {
            Self::Environment => read(),
            Self::File(_) => None,
        }
    }
}
