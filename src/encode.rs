//! From a database's raw value bytes to NDJSON bytes: one encoder per column, chosen once, no value tree,
//! no allocation per row. Pure.
