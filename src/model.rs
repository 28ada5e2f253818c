//! The words of the design as types: names, types, positions, intents, state.
//!
//! Architecture Invariant: this module imports nothing of ours and does no I/O.

mod activity;
mod class;
mod intent;
mod job;
mod names;
mod position;
mod schema;
mod settings;
mod table_settings;
mod table_state;

pub use activity::{Activity, OpenTransaction, Visibility};
pub use class::Class;
pub use intent::{Attempt, Intent, IntentId, JobId, JobKind, Lane, Mode};
pub use job::{JobFailure, JobStats, JobStatus};
pub use names::{BqTable, InvalidName, SourceName, SourceTable, TableId, TableName};
pub use position::{Bound, Position};
pub use schema::{BqType, Field, Partitioning, Schema, TableSpec, TimeUnit};
pub use settings::{ChunkBytes, ChunkRows, GzipLevel, Limits, OutOfRange, Parallel, PartBytes, SECOND_MICROS};
pub use table_settings::{NullCursor, TableSettings, WantedPartitioning};
pub use table_state::{Hold, Note, Reread, STATE_VERSION, TableState};
