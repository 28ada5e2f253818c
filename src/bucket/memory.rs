//! A bucket in memory, for tests.
