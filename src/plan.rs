//! Decisions about a table before anything is read or written. Pure: no I/O, no clock.
//!
//! `table` chooses key and order, `columns` which columns and as what; `basis` says whether a watermark still fits
//! the settings; `ceiling` says up to where it is safe to read; `drift` compares the
//! columns with BigQuery's; `deletes` says which rows can be gone; `expected` how many there may be to read; `finish` says what an intent needs next; `freshness` up to when a target is complete. `matched` settles what a pattern leaves open,
//! `propose` and `draft` write a configuration for tables that have none, `schedule` and `timetable` say when a table
//! runs, `shares` which task of a job moves which table.
//! `prune` says which partitions of the target a merge has to look at.
//! `verify` says what is compared with the target, and what the checksums mean.

pub mod backfill;
pub mod basis;
pub mod ceiling;
pub mod check;
pub mod columns;
pub mod deletes;
pub mod draft;
pub mod drift;
pub mod expected;
pub mod finish;
pub mod freshness;
pub mod matched;
pub mod preview;
pub mod propose;
pub mod prune;
pub mod schedule;
pub mod shares;
pub mod table;
pub mod timetable;
pub mod verify;
