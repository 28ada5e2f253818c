//! The status page, its JSON and its metrics: what is made of what was looked at. Pure: `app/look` reads, `server/pages` serves.
//!
//! Architecture Invariant: every text that is not ours goes through `maud`, which escapes it. `PreEscaped` is for the style
//! and the script, whose hashes the page's policy names.

mod chart;
pub mod data;
mod frame;
mod list;
pub mod metrics;
pub mod past;
pub mod standing;
mod table;
pub mod text;
mod times;

pub use data::Detail;
pub use frame::policy;
pub use list::{Asked, Order, list};
pub use table::table;

use jiff::Timestamp;

use self::standing::Standing;

/// What was seen in one look.
#[derive(Debug)]
pub struct View {
    /// When it was looked.
    pub at: Timestamp,
    /// How long that took, milliseconds.
    pub took_ms: u64,
    /// The project of the configuration.
    pub project: String,
    /// The tables, the worst first.
    pub tables: Vec<Standing>,
    /// How many more there are than are shown.
    pub left_out: usize,
    /// How many runs are remembered.
    pub runs: usize,
    /// The end of the oldest of them.
    pub since: Option<Timestamp>,
    /// What could not be read, or was left out, a line each.
    pub notes: Vec<String>,
}

impl View {
    /// How many tables need a person.
    pub fn in_trouble(&self) -> usize {
        self.tables.iter().filter(|table| table.condition.needs_you()).count()
    }

    /// Of how many tables it is not known how their last run ended.
    pub fn unseen(&self) -> usize {
        self.tables.iter().filter(|table| table.condition == standing::Condition::Unseen).count()
    }
}
