//! What is done with a value that BigQuery's type cannot hold.

/// The `unrepresentable` policy of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// It becomes NULL and is counted.
    #[default]
    Null,
    /// It becomes the nearest value that the type holds and is counted; NULL if there is none.
    Clamp,
    /// The row is not synced: it goes to `rejects/` on the bucket, with the reason.
    Reject,
    /// The run fails before anything of the chunk is applied.
    Fail,
}

impl Policy {
    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Clamp => "clamp",
            Self::Reject => "reject",
            Self::Fail => "fail",
        }
    }
}
