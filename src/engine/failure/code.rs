//! What people are told of an error that ended a run: its code, and one line with the way out.

use super::RunError;
use crate::model::Code;
use crate::report::Failure;

impl RunError {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::Source(error) | Self::SourceGone { last: error, .. } => error.code(),
            Self::Bucket(error) => error.code(),
            Self::Warehouse(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Plan(error) => error.code(),
            Self::Verify(error) => error.code(),
            Self::Backfill(error) => error.code(),
            Self::Finish { error, .. } => error.code(),
            Self::Illegal(error) => error.code(),
            Self::Interrupted(cause) => cause.code(),
            Self::Unsettled { .. } | Self::Busy { .. } => Code::NotNow,
            Self::AppendedWindows { .. } => Code::RebuildAppend,
            Self::WindowPending { .. } => Code::IntentPending,
            Self::LoadLost { .. } => Code::LoadLost,
            Self::NoRepair(_) => Code::VerifyNothing,
            Self::Remove { .. } | Self::Widen { .. } => Code::TargetChange,
            Self::Drift { .. } => Code::TargetIncompatible,
            Self::Changed { .. } => Code::SettingsChanged,
            Self::TargetGone { .. } => Code::TargetGone,
            Self::TargetMissing { .. } => Code::TargetMissing,
            Self::Rejects { .. } => Code::Rejects,
            Self::Layout(_) => Code::TargetLayout,
            Self::RebuildFails(..) => Code::RebuildFailed,
            Self::Applied(_) => Code::IntentApplied,
            Self::NullKey { .. } => Code::KeyNull,
            Self::KeyUnmatched { .. } => Code::KeyUnmatched,
            Self::Twice { .. } => Code::ResetTwice,
            Self::Location { .. } => Code::Location,
            Self::TargetMoved(_) => Code::TargetMoved,
            Self::TooManyParts { .. } => Code::PartsTooMany,
            Self::WholeTooLong { .. } | Self::KeysTooLong { .. } => Code::TimeWhole,
            Self::NothingRead { .. } => Code::TimeNoRow,
            Self::TooManyDeletes { .. } | Self::SourceEmpty { .. } => Code::DeletesRefused,
            Self::PartitionMoved(_) => Code::PartitionMoves,
            Self::Superseded => Code::Superseded,
            Self::PartTaken(_) | Self::Compress(_) => Code::Bug,
        }
    }

    /// As reports have it.
    pub fn failure(&self) -> Failure {
        Failure { code: Some(self.code()), message: self.one_line(), class: self.class().into() }
    }

    /// The error and its causes in one line, no cause said twice, and the way out.
    pub fn one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        self.code().says(&line)
    }
}
