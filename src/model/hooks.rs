//! Who is told of a table's troubles, and of what.

use std::time::Duration;

use super::Secret;

/// What somebody is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A table's runs fail, and that does not pass by itself.
    Failure,
    /// A target's columns were changed, or a difference of columns stopped a run.
    Drift,
    /// A table that was told of as failed is fine again.
    Recovery,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 3] = [Self::Failure, Self::Drift, Self::Recovery];

    /// As in the configuration and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Drift => "drift",
            Self::Recovery => "recovery",
        }
    }
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAddress {
    /// A url that takes Slack's JSON. Who has it can write there, so it is a secret.
    Webhook(Secret),
    /// A topic of Pub/Sub's.
    Topic {
        /// Its project.
        project: String,
        /// Its id.
        topic: String,
    },
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Where.
    pub address: HookAddress,
    /// Of what; not empty.
    pub on: Vec<Event>,
}

/// Who is told, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Everybody who is told.
    pub hooks: Vec<Hook>,
    /// How long failures that can pass by themselves must last before they are told.
    pub patience: Duration,
    /// How often a failure that lasts is told again, at the most.
    pub remind: Duration,
}
