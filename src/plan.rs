//! Decisions about a table before anything is read or written. Pure: no I/O, no clock.
//!
//! `table` chooses key and order, `columns` which columns and as what; `basis` says whether a watermark still fits
//! the settings; `ceiling` says up to where it is safe to read; `drift` compares the
//! columns with BigQuery's; `finish` says what an intent needs next; `verify` what is
//! compared with the target, and what the checksums mean.

pub mod basis;
pub mod ceiling;
pub mod columns;
pub mod drift;
pub mod finish;
pub mod table;
pub mod verify;
