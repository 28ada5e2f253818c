//! What may be done about an error: the one question every caller asks.

/// Every error of ours answers `class()` by an exhaustive match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Trying again later can help: HTTP 503, exit 75.
    Transient,
    /// Trying again cannot help until somebody changes something: HTTP 500, exit 1.
    Permanent,
    /// What was asked for or configured is wrong: HTTP 4xx or 500, exit 2.
    Usage,
}
