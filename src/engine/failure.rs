//! What can end a run before its work is done.

mod code;

use crate::bucket::BucketError;
use crate::model::{BqTable, Class, Fraction, IntentId, JobFailure, cause_and_way_out};
use crate::net::{Interrupted, Tried};
use crate::plan::backfill::BackfillError;
use crate::plan::drift::Incompatible;
use crate::plan::finish::FinishError;
use crate::plan::prune::PartitionMove;
use crate::plan::table::PlanError;
use crate::plan::verify::VerifyError;
use crate::source::SourceError;
use crate::state::StoreError;
use crate::state::transition::Illegal;
use crate::warehouse::WarehouseError;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The source database.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source database, again and again.
    #[error("given up after {tried}: {last}")]
    SourceGone {
        /// How often the run connected, and for how long.
        tried: Tried,
        /// The last failure.
        #[source]
        last: SourceError,
    },
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// BigQuery.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The state object.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The settings do not fit the table.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What was asked of `verify` cannot be.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The target is about to change, by what the state says.
    #[error("{table} cannot be compared now: {why}; `highwater sync {table}` goes on with it, then try again")]
    Unsettled {
        /// The table.
        table: String,
        /// What is about to happen.
        why: String,
    },
    /// What was asked of a backfill cannot be.
    #[error(transparent)]
    Backfill(#[from] BackfillError),
    /// A table that is appended, windows of backfills included, is not built anew: their rows would come twice, or never.
    #[error(
        "{}, and {table} is in `mode: append` with rows of backfills, which a table that is built anew would lack or have \
         twice; say `types`, or `highwater reset {table}` after deleting the target",
        .cause.what()
    )]
    AppendedWindows {
        /// The table.
        table: String,
        /// Why it is to be built anew.
        cause: Box<Incompatible>,
    },
    /// A window has an intent.
    #[error(
        "intent {intent} of a backfill is pending ({window}); `highwater backfill {table}` or `highwater gaps --fill {table}` \
         finishes it, `highwater reset {table} --drop-intent --keep-watermark` gives it up and reads its rows again"
    )]
    WindowPending {
        /// The table.
        table: String,
        /// The window's state object.
        window: String,
        /// The intent.
        intent: IntentId,
    },
    /// A load by keys is under way, and its windows are forgotten.
    #[error(
        "the load of {table} by keys is under way, and which windows it has is lost (the object beside its state is gone); \
         `highwater reset {table}` begins anew"
    )]
    LoadLost {
        /// The table.
        table: String,
    },
    /// Windows cannot be brought now.
    #[error("windows of {table} cannot be brought now: {why}; try again later")]
    Busy {
        /// The table.
        table: String,
        /// What must end first.
        why: String,
    },
    /// A `replace` is not mended row by row.
    #[error("{0} is in `mode: replace`, where nothing is repaired row by row; `highwater sync` writes it anew")]
    NoRepair(String),
    /// Rows of the target could not be removed.
    #[error("rows of {target} could not be removed: {failure}")]
    Remove {
        /// The target.
        target: BqTable,
        /// Why.
        failure: Box<JobFailure>,
    },
    /// The columns do not fit the target.
    #[error("{target}: {cause}")]
    Drift {
        /// The target.
        target: BqTable,
        /// Why.
        cause: Box<Incompatible>,
    },
    /// The settings are not those that the watermark was made with.
    #[error(
        "the settings of {table} changed since its watermark was made: {}; `highwater reset {table}` reads everything \
         again, `highwater sync --accept {table}` goes on from the watermark as it is",
        .changes.join("; ")
    )]
    Changed {
        /// The table.
        table: String,
        /// One line per change.
        changes: Vec<String>,
    },
    /// The target is gone, and the watermark says that rows are in it.
    #[error(
        "{target} is gone, and the watermark of {table} says that rows are in it; restore it, or `highwater reset \
         {table}` to copy everything again, or `highwater sync --accept {table}` to go on into an empty one"
    )]
    TargetGone {
        /// The table.
        table: String,
        /// The target.
        target: BqTable,
    },
    /// The target does not exist, and is not to be created.
    #[error(
        "{target} does not exist, and the settings of {table} say `create: false`; create it, or say `create: true` \
         (AUTO_CREATE_TABLES=true)"
    )]
    TargetMissing {
        /// The table.
        table: String,
        /// The target.
        target: BqTable,
    },
    /// More rows were rejected than is borne.
    #[error("{}", with_objects(.cause, .objects))]
    Rejects {
        /// How many, and the first.
        cause: Box<SourceError>,
        /// `gs://` addresses of the objects that hold them.
        objects: Vec<String>,
    },
    /// Columns of the target could not be made wider.
    #[error("{target}: its columns could not be widened: {failure}")]
    Widen {
        /// The target.
        target: BqTable,
        /// Why.
        failure: Box<JobFailure>,
    },
    /// The target cannot be replaced by a table that Highwater builds.
    #[error(
        "{0} is partitioned by the time of loading, which a table that is built anew is not, so it cannot be replaced in one \
         job; change its columns by hand, or say `types`"
    )]
    Layout(BqTable),
    /// The table that is built beside the target does not take the source's columns either, again and again.
    #[error(
        "{} was built anew and does not take the source's columns either: {}; name the column's type in `types`, or leave it \
         out with `exclude_columns`",
        .0.0,
        .0.1.what()
    )]
    RebuildFails(Box<(BqTable, Incompatible)>),
    /// An intent's jobs failed for good.
    #[error(
        "{error}, and intent {intent} stays pending; mend the cause and run again, or, if its jobs can never succeed, \
         `highwater reset TABLE --drop-intent --keep-watermark` to read its rows again"
    )]
    Finish {
        /// The intent.
        intent: IntentId,
        /// Why.
        error: FinishError,
    },
    /// An intent that is to be dropped has been applied.
    #[error(
        "the rows of intent {0} are in the target already; run `highwater sync`, which only moves the watermark past them, and \
         then reset"
    )]
    Applied(IntentId),
    /// Rows of the target are not found by the key, and would be inserted a second time.
    #[error("rows of {target} would not be found by the key of {table}, and be there twice: {why}; {way_out}")]
    KeyUnmatched {
        /// The table.
        table: String,
        /// Its target.
        target: Box<BqTable>,
        /// What is wrong with the key.
        why: String,
        /// What may be done.
        way_out: String,
    },
    /// Rows that are read again would be in the target twice.
    #[error(
        "{table} is in `mode: append`, and {rows} rows are in {target}: those that are read again would be there twice; delete \
         the target or its rows first, or say `--again` if that is wanted"
    )]
    Twice {
        /// The table.
        table: String,
        /// Its target.
        target: BqTable,
        /// How many rows it has.
        rows: u64,
    },
    /// The key holds NULLs.
    #[error(
        "{rows} rows of {table} have NULL in key column {column:?}, by which they cannot be told apart; name another `key`"
    )]
    NullKey {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// How many rows.
        rows: u64,
    },
    /// The target lies in another location than configured.
    #[error("{target} is in {found}, the configuration says {wanted}; set `location: {found}`")]
    Location {
        /// The target.
        target: BqTable,
        /// Where it is.
        found: String,
        /// Where it should be.
        wanted: String,
    },
    /// The target's columns were changed by somebody else at the same moment.
    #[error("the columns of {0} were changed by somebody else at the same moment")]
    TargetMoved(BqTable),
    /// A `replace` has more parts than one load job takes.
    #[error("the chunk has {parts} parts, one load job takes {max}; set a larger `part_bytes`")]
    TooManyParts {
        /// How many.
        parts: usize,
        /// BigQuery's limit.
        max: usize,
    },
    /// A `replace` reads the whole table in one go, and the time for it is not there.
    #[error(
        "{table} could not be read as a whole within the run's time; raise `server.run_budget`, or sync it from a Cloud Run job, where a run may take longer"
    )]
    WholeTooLong {
        /// The table.
        table: String,
    },
    /// More rows are gone at the source than may be deleted.
    #[error(
        "{counts} rows of {target} are gone at the source, more than `max_delete_fraction` {max}: nothing was deleted; if \
         that is right, `highwater deletes --max-fraction 1 {table}`"
    )]
    TooManyDeletes {
        /// The table.
        table: String,
        /// Its target.
        target: BqTable,
        /// How many of how many.
        counts: String,
        /// What may go.
        max: Fraction,
    },
    /// A row's partition column has changed, and `partition_immutable` says that it never does.
    #[error(transparent)]
    PartitionMoved(Box<PartitionMove>),
    /// The source has no rows, the target has.
    #[error(
        "{table} has no rows at the source, so {counts} rows of {target} would go: nothing was deleted; if that is right, \
         `highwater deletes --max-fraction 1 {table}`"
    )]
    SourceEmpty {
        /// The table.
        table: String,
        /// Its target.
        target: BqTable,
        /// How many of how many.
        counts: String,
    },
    /// The keys could not be read in time.
    #[error(
        "the keys of {table} could not be read within the run's time, so rows that are gone were not looked for; raise \
         `server.run_budget`, or run `highwater deletes` from a Cloud Run job, where a run may take longer"
    )]
    KeysTooLong {
        /// The table.
        table: String,
    },
    /// The run's time was over before a chunk was read.
    #[error(
        "no chunk of {table} could be read within the run's time; an index on cursor and key lets rows come at once, else raise `server.run_budget` or lower `chunk_rows`"
    )]
    NothingRead {
        /// The table.
        table: String,
    },
    /// A part of a fresh name exists already; a bug of ours, or a copied bucket.
    #[error("{0} exists already although its name is fresh")]
    PartTaken(String),
    /// The step is not one that the protocol allows; a bug of ours.
    #[error("the protocol does not allow this step: {0}")]
    Illegal(#[from] Illegal),
    /// The compressing thread ended by itself; a bug of ours.
    #[error("the compressing thread failed: {0}")]
    Compress(String),
    /// The run's time is up or the process is stopping.
    #[error("{0}")]
    Interrupted(#[from] Interrupted),
    /// Another run is ahead.
    #[error("another run changed the table's state at the same moment; try again")]
    Superseded,
}

impl RunError {
    /// What may be done about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Source(error) | Self::SourceGone { last: error, .. } => error.class(),
            Self::Bucket(error) => error.class(),
            Self::Warehouse(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Plan(_)
            | Self::Verify(_)
            | Self::Backfill(_)
            | Self::LoadLost { .. }
            | Self::WindowPending { .. }
            | Self::AppendedWindows { .. }
            | Self::NoRepair(_)
            | Self::KeyUnmatched { .. }
            | Self::Twice { .. }
            | Self::NullKey { .. }
            | Self::Applied(_)
            | Self::Location { .. }
            | Self::Changed { .. }
            | Self::TargetGone { .. }
            | Self::TargetMissing { .. }
            | Self::Layout(_)
            | Self::TooManyParts { .. } => Class::Usage,
            Self::Widen { failure, .. } | Self::Remove { failure, .. } if failure.retryable => Class::Transient,
            Self::Finish { error: FinishError::Exhausted { .. }, .. } => Class::Transient,
            Self::Drift { .. }
            | Self::Rejects { .. }
            | Self::Widen { .. }
            | Self::Remove { .. }
            | Self::RebuildFails(..)
            | Self::Finish { .. }
            | Self::WholeTooLong { .. }
            | Self::NothingRead { .. }
            | Self::TooManyDeletes { .. }
            | Self::SourceEmpty { .. }
            | Self::PartitionMoved(_)
            | Self::KeysTooLong { .. }
            | Self::Illegal(_)
            | Self::Compress(_) => Class::Permanent,
            Self::Unsettled { .. }
            | Self::Busy { .. }
            | Self::TargetMoved(_)
            | Self::PartTaken(_)
            | Self::Interrupted(_)
            | Self::Superseded => Class::Transient,
        }
    }

    /// Whether the table is not one that can be synced with its settings, or by this user.
    pub fn is_unfit(&self) -> bool {
        matches!(self, Self::Plan(_) | Self::NullKey { .. } | Self::Source(SourceError::Denied { .. }))
    }

    /// Whether the source's columns stopped the run, because the target cannot be brought in line with them.
    pub fn is_drift(&self) -> bool {
        matches!(self, Self::Drift { .. } | Self::Layout(_) | Self::RebuildFails(..))
    }

    /// Whether only the run's time is up: the next run goes on where this one was.
    pub fn is_budget(&self) -> bool {
        self.interrupted() == Some(Interrupted::Budget)
    }

    fn interrupted(&self) -> Option<Interrupted> {
        match self {
            Self::Source(SourceError::Interrupted { cause, .. })
            | Self::Bucket(BucketError::Interrupted { cause, .. })
            | Self::Store(StoreError::Bucket(BucketError::Interrupted { cause, .. }))
            | Self::Warehouse(WarehouseError::Interrupted { cause, .. })
            | Self::Store(StoreError::Interrupted(cause))
            | Self::Interrupted(cause) => Some(*cause),
            Self::Source(_)
            | Self::SourceGone { .. }
            | Self::Bucket(_)
            | Self::Store(_)
            | Self::Warehouse(_)
            | Self::Plan(_)
            | Self::Verify(_)
            | Self::Backfill(_)
            | Self::LoadLost { .. }
            | Self::WindowPending { .. }
            | Self::AppendedWindows { .. }
            | Self::Unsettled { .. }
            | Self::Busy { .. }
            | Self::NoRepair(_)
            | Self::Remove { .. }
            | Self::Drift { .. }
            | Self::Changed { .. }
            | Self::TargetGone { .. }
            | Self::TargetMissing { .. }
            | Self::Rejects { .. }
            | Self::Widen { .. }
            | Self::Layout(_)
            | Self::RebuildFails(..)
            | Self::Finish { .. }
            | Self::Applied(_)
            | Self::KeyUnmatched { .. }
            | Self::Twice { .. }
            | Self::NullKey { .. }
            | Self::Location { .. }
            | Self::TargetMoved(_)
            | Self::TooManyParts { .. }
            | Self::PartTaken(_)
            | Self::WholeTooLong { .. }
            | Self::NothingRead { .. }
            | Self::TooManyDeletes { .. }
            | Self::SourceEmpty { .. }
            | Self::PartitionMoved(_)
            | Self::KeysTooLong { .. }
            | Self::Illegal(_)
            | Self::Compress(_)
            | Self::Superseded => None,
        }
    }
}

/// The line about rejected rows, with the objects that hold them before the way out.
fn with_objects(cause: &SourceError, objects: &[String]) -> String {
    let line = cause.to_string();
    // none is there where the first one was too many
    if objects.is_empty() {
        return line;
    }
    let (cause, way_out) = cause_and_way_out(&line);
    format!("{cause}, and those that were found are in {}; {}", objects.join(", "), way_out.unwrap_or_default())
}
