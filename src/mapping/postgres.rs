//! PostgreSQL's types: what each becomes, how it is selected, how its bytes are read. Pure.

/// How a column is selected and read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {}
