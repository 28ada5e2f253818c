//! What every remote call shares: the run's deadline and its cancelling, retry with backoff, tokens.

mod context;

pub use context::{Context, Interrupted};
