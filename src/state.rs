//! The state object: codec, transitions and compare-and-swap.
//!
//! Architecture Invariant: a state is written only by [`Store::write`], with the generation that was read, and its
//! new content comes from [`transition::apply`] alone.

mod asks;
pub mod codec;
mod shares;
mod store;
pub mod transition;

pub use asks::AskStore;
pub use codec::CodecError;
pub use shares::{ShareStore, SharesError};
pub(crate) use store::escape;
pub use store::{
    Store, StoreError, Versioned, Write, object_name, source_folder, table_of, window_name, windows_folder,
};
