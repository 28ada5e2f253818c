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

    /// The log filter: HIGHWATER_LOG, or LOG_LEVEL where the environment is the configuration, or `otherwise`.
    pub fn log_filter<'a>(&self, env: &'a Env, otherwise: &'a str) -> &'a str {
        let own = env.get(LOG_VARIABLE).filter(|filter| !filter.is_empty());
        own.or_else(|| self.of_environment(|| log::filter(env))).unwrap_or(otherwise)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        Env::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn a_file_that_is_named_wins_over_variables() {
        let file = |path: &str| Input::File(path.into());
        // the project's own folder has no highwater.yaml
        for (named, pairs, wanted) in [
            (None, vec![], file(FILE_DEFAULT)),
            (None, vec![(DATABASES, " ")], file(FILE_DEFAULT)),
            (None, vec![(DATABASES, "a")], Input::Environment),
            (None, vec![(DATABASES, "a"), (FILE_VARIABLE, "b.yaml")], file("b.yaml")),
            (Some(""), vec![(DATABASES, "a"), (FILE_VARIABLE, "")], Input::Environment),
            (Some("c.yaml"), vec![(DATABASES, "a"), (FILE_VARIABLE, "b.yaml")], file("c.yaml")),
        ] {
            assert_eq!(Input::choose(named.map(Path::new), &env(&pairs)), wanted, "{named:?} {pairs:?}");
        }
    }

    #[test]
    fn log_variables_count_where_variables_are_the_configuration() {
        let env = env(&[("LOG_LEVEL", "WARN"), ("LOG_ENV", "prod")]);
        assert_eq!(
            (Input::Environment.log_filter(&env, "info"), Input::Environment.log_look(&env)),
            ("warn", Look::Machine)
        );
        let file = Input::File(FILE_DEFAULT.into());
        assert_eq!((file.log_filter(&env, "info"), file.log_look(&env)), ("info", Look::Any));
        let own = self::env(&[("LOG_LEVEL", "warn"), (LOG_VARIABLE, "trace"), ("LOG_ENV", "loud")]);
        assert_eq!(
            (Input::Environment.log_filter(&own, "info"), Input::Environment.log_look(&own)),
            ("trace", Look::Any)
        );
    }
}
