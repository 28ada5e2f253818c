//! The words of the design as types: names, types, positions, intents, state.
//!
//! Architecture Invariant: this module imports nothing of ours and does no I/O.

mod activity;
mod check;
mod class;
mod code;
mod column_settings;
mod connection;
mod deletes;
mod explain;
mod hints;
mod hooks;
mod intent;
mod job;
mod lineage;
mod names;
mod near;
mod pattern;
mod policy;
mod position;
mod prune;
mod runs;
mod schedule;
mod schema;
mod settings;
mod shares;
mod table_settings;
mod table_state;
mod verify;
mod watch;
mod window;

pub use activity::{Activity, OpenTransaction, Visibility};
pub use check::{Account, Finding, Mend, Rights, Rules, ServerFacts, Standing};
pub use class::Class;
pub use code::{Code, NoCode, Told, cause_and_way_out};
pub use column_settings::{ArraysAs, ColumnSettings, DELETED_AT, NumericAs, SYNCED_AT, WantedType};
pub use connection::{Address, Connection, Login, Secret, Tls, TlsMode};
pub use deletes::{DeletesDone, DeletesPass, DeletesSettings, Fraction, Removal};
pub use explain::{Explained, Sort};
pub use hints::Hints;
pub use hooks::{Event, Hook, HookAddress, Notify};
pub use intent::{Attempt, Intent, IntentId, JobId, JobKind, Lane, Mode, NOT_WHOLE, TOO_MANY_DELETES};
pub use job::{JobFailure, JobStats, JobStatus};
pub use lineage::{Becomes, Flow, FlowColumn, Lineage};
pub use names::{BqTable, Indexing, InvalidName, SourceName, SourceTable, TableId, TableKind, TableName, plain_name};
pub use near::nearest;
pub use pattern::{Glob, InvalidGlob, Listed, Matched, NamePattern};
pub use policy::Policy;
pub use position::{Bound, Position};
pub use prune::{
    Derivation, Derived, InvalidPruned, OUTSIDE, PartitionBasis, PartitionCheck, PartitionRange, PartitionType, Pruned,
};
pub use runs::{LastRun, RUNS_ANSWER_MAX, RunsDay, RunsLoad, RunsPlace, RunsScan};
pub use schedule::{InvalidSchedule, Schedule};
pub use schema::{BqType, Field, FieldMode, Partitioning, Schema, TableSpec, TimeUnit};
pub use settings::{
    ChunkBytes, ChunkRows, GzipLevel, Limits, MaxRejects, OutOfRange, Parallel, PartBytes, SCHEMA_LINE, SECOND_MICROS,
};
pub use shares::{SHARES_VERSION, SharedTable, Shares};
pub use table_settings::{NullCursor, SchemaSettings, TableSettings, WantedPartitioning};
pub use table_state::{Basis, Hold, Note, Rebuild, Reread, STATE_VERSION, SyncedColumn, TableState};
pub use verify::{Checksum, DIGEST_DIGITS, Difference, Fingerprint, Group, Label, Rows, SUMMED_DIGITS, TargetColumn};
pub use watch::{Glance, ReadSoFar, Step, Watch};
pub use window::{ASKS_VERSION, Ask, Asks, Window, WindowRange, WindowState, WindowUnit};
