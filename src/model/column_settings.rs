//! What the configuration says of a table's columns: which, as what, and what is done with values that do not fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BqType, Policy, Secret};

/// The column settings of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSettings {
    /// The only columns that are synced, by their names at the source; `None` for all.
    pub include: Option<Vec<String>>,
    /// Columns that are not synced.
    pub exclude: Vec<String>,
    /// Types that columns become instead of their own.
    pub types: BTreeMap<String, WantedType>,
    /// What is done with values that do not fit, where the column does not say; `None` if nobody said anything.
    pub policy: Option<Policy>,
    /// What is done with values of these columns that do not fit.
    pub policies: BTreeMap<String, Policy>,
    /// IANA name of the zone of timestamps without one, which then become TIMESTAMP.
    pub naive_zone: Option<String>,
    /// What a `numeric` without precision becomes.
    pub numeric: NumericAs,
    /// What arrays become.
    pub arrays: ArraysAs,
    /// Columns of which only a hash is synced.
    pub hash: Vec<String>,
    /// What is hashed in front of a value; there if `hash` names a column.
    pub salt: Option<Arc<Secret>>,
    /// Whether the target has `_synced_at` and `_deleted_at`.
    pub metadata: bool,
}

/// A type that a column is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedType {
    /// The type, or that of the elements.
    pub ty: BqType,
    /// Whether it is `ARRAY<…>`.
    pub repeated: bool,
}

/// What a `numeric` without precision becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumericAs {
    /// BIGNUMERIC; what does not fit is unrepresentable.
    #[default]
    BigNumeric,
    /// STRING, digit by digit.
    String,
}

/// What arrays become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArraysAs {
    /// JSON, which holds every array.
    #[default]
    Json,
    /// REPEATED columns; arrays that are NULL, hold NULL or are nested are unrepresentable.
    Repeated,
}

/// Name of the column that says when a row was last written.
pub const SYNCED_AT: &str = "_synced_at";
/// Name of the column that says when a row was found deleted at the source.
pub const DELETED_AT: &str = "_deleted_at";
