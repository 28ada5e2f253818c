//! From a database's raw value bytes to NDJSON bytes: one encoder per column, chosen once, no value tree,
//! no allocation per row. Pure.
//!
//! `json` writes BigQuery's NDJSON forms and serves both databases; `line` frames a row; `postgres` and `mysql`
//! read the databases' binary forms.

pub mod json;
pub mod line;
pub mod mysql;
pub mod postgres;

/// A value's bytes are not what the catalog's type promises: a bug of ours or a broken server, never bad data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value's bytes do not have the form of its type")]
pub struct Malformed;
