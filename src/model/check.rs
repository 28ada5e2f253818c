//! What a check of everything that Highwater needs rests on, and what it finds.

use serde::Serialize;

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is as it should be.
    Ok,
    /// It is needed and not there.
    Lacks,
    /// It is not there, and nothing needs it.
    Optional,
    /// Neither can be said.
    CannotTell,
}

impl Standing {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Lacks => "lacks",
            Self::Optional => "optional",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// What the lifecycle rules of a bucket do to what is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How many there are.
    pub count: usize,
    /// Whether one deletes all that is old below `staging/`.
    pub sweeps: bool,
    /// The first that may delete what lies below `state/`, from 1.
    pub endangers: Option<usize>,
}

/// A command that mends a lack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mend {
    /// For an administrator of the database.
    Sql(String),
    /// For a shell of somebody who may grant roles.
    Shell(String),
}

impl Mend {
    /// The command.
    pub fn text(&self) -> &str {
        match self {
            Self::Sql(text) | Self::Shell(text) => text,
        }
    }
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: `bucket gs://b`, `source shop`, `table shop/orders` …
    pub about: String,
    /// What was looked at, in a few words.
    pub check: &'static str,
    /// How it stands.
    pub standing: Standing,
    /// What was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What its lack costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<String>,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<Mend>,
    /// Whether somebody who had to be asked did not answer, so that another check may tell.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unreached: bool,
}

impl Finding {
    /// A finding without more to say.
    pub fn new(about: &str, check: &'static str, standing: Standing) -> Self {
        Self { about: about.to_owned(), check, standing, found: None, costs: None, mend: None, unreached: false }
    }

    /// With what was seen.
    #[must_use]
    pub fn found(self, found: impl Into<String>) -> Self {
        Self { found: Some(found.into()), ..self }
    }

    /// With what the lack costs.
    #[must_use]
    pub fn costs(self, costs: impl Into<String>) -> Self {
        Self { costs: Some(costs.into()), ..self }
    }

    /// With the command that mends it.
    #[must_use]
    pub fn mend(self, mend: Mend) -> Self {
        Self { mend: Some(mend), ..self }
    }

    /// Of somebody who did not answer.
    #[must_use]
    pub fn unreached(self) -> Self {
        Self { unreached: true, ..self }
    }
}

/// The user that a session of a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// MySQL: the hosts that it may come from.
    pub host: Option<String>,
}

/// What a database server says of itself and of our session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Product and version.
    pub version: String,
    /// The user whose rights the session has.
    pub account: Account,
    /// Version of TLS, if the connection has it.
    pub tls: Option<String>,
    /// Whether other users' transactions can be seen (`pg_read_all_stats`, `PROCESS`).
    pub sees_others: bool,
}

/// Which rights to a table the session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// USAGE on its schema; MySQL has no such right.
    pub schema: bool,
    /// SELECT on all of it.
    pub table: bool,
}
