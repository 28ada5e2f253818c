//! Which column of the source becomes which of the target, and who is told of it.

use std::time::Duration;

use super::Secret;

/// Where events of lineage go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The address that takes them; it may hold a secret.
    pub url: Secret,
    /// The namespace of the jobs.
    pub job_namespace: String,
    /// A token that is sent along.
    pub token: Option<Secret>,
    /// The most time for one event.
    pub timeout: Duration,
}

/// What becomes of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// Themselves.
    Same,
    /// Values of another type, as the settings say.
    Cast,
    /// A hash.
    Hash,
}

/// A column on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowColumn {
    /// Its name at the source.
    pub source: String,
    /// Its type as the source prints it.
    pub source_type: String,
    /// Its name in the target.
    pub target: String,
    /// What becomes of its values.
    pub becomes: Becomes,
}

/// The columns of a table as a run moves them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Those that are read, in the table's order.
    pub columns: Vec<FlowColumn>,
    /// Names and types of the target's.
    pub target: Vec<(String, String)>,
}
