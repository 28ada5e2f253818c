//! What the source database says about time and open transactions: the facts that the ceiling is decided from.

/// Facts read from the source in one go, **before** the snapshot that the rows come from.
/// All instants are microseconds since the Unix epoch by the database's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// The database's clock.
    pub now_us: i64,
    /// Transactions and running statements that can still write, oldest first, ours excluded.
    /// Empty if `visibility` is not `Full`.
    pub open: Vec<OpenTransaction>,
    /// How much of the other sessions could be seen.
    pub visibility: Visibility,
}

/// Whether other sessions could be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Every session that can write was seen.
    Full,
    /// The right is missing (`pg_read_all_stats`, `PROCESS`).
    Hidden {
        /// PostgreSQL's snapshot: every transaction below `xmin` has ended, none at or above `xmax` had begun
        /// to write. `None` for MySQL, which has no such numbers.
        snapshot: Option<(u64, u64)>,
    },
    /// A standby or replica: its rows are those of an earlier moment of the primary.
    Replica {
        /// Everything that the primary committed before this instant has been replayed; `None` if unknown.
        replayed_us: Option<i64>,
    },
}

/// One transaction or running statement of another session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Names the backend for a person: `pid 4242`, `thread 17`, `prepared transaction 'x'`.
    pub backend: String,
    /// Its user, where known.
    pub user: Option<String>,
    /// When it began, rounded down to what the database can tell.
    pub started_us: i64,
}
