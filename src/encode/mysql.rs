//! Readers of MySQL binary values.
