//! Decisions about a table before anything is read or written. Pure.
