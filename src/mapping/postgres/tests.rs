//! Each row of the table of types.
