//! What people are told of settings that do not fit the table: codes and hints.

use super::PlanError;
use crate::model::Code;

impl PlanError {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::NoColumn { .. } => Code::ColumnUnknown,
            Self::NoColumns(_) => Code::ColumnsNone,
            Self::CursorNotOrdered { .. } | Self::CursorIsText { .. } => Code::CursorType,
            Self::NameTaken { .. } => Code::ColumnName,
            Self::LookbackOfNumber { .. } | Self::Zone { .. } => Code::CursorSettings,
            Self::NoKey { .. } => Code::KeyNone,
            Self::KeyNotEnforced { .. } => Code::KeyNotEnforced,
            Self::NeededLeftOut { .. } => Code::ColumnNeeded,
            Self::Type(_) => Code::ColumnType,
            Self::KeyNotComparable { .. } => Code::KeyType,
            Self::NotMeant { .. } => Code::Pattern,
            Self::NoCandidate { .. } => Code::CursorNone,
            Self::Partitioning { .. } => Code::PartitionType,
            Self::Promise(_) => Code::PartitionMoves,
        }
    }
}

/// The way out of a name that is not there.
pub(super) fn did_you_mean(similar: &[String]) -> String {
    if similar.is_empty() {
        "; correct the name, or remove it there".to_owned()
    } else {
        format!("; did you mean {}?", similar.join(" or "))
    }
}

/// A set of columns that would make a key.
pub(super) fn unique_hint(unique: &[Vec<String>]) -> String {
    match unique.first() {
        Some(columns) => format!(", for example [{}], which an index keeps unique", columns.join(", ")),
        None => String::new(),
    }
}
