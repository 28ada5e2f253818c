//! Readers of PostgreSQL binary values.
