//! Decisions about a table before anything is read or written. Pure: no I/O, no clock.
//!
//! `table` chooses columns, key and order; `ceiling` says up to where it is safe to read; `drift` compares the
//! columns with BigQuery's; `finish` says what an intent needs next.

pub mod ceiling;
pub mod drift;
pub mod finish;
pub mod table;
