//! Random values of every type, read through a session of the program's own, against the database's own text of them.
//!
//! `HIGHWATER_PROPERTY_CASES` sets how many values of each type (200 by default). A failure shows the smallest batch
//! that fails; it is all that is needed to see it again.

mod canon;
mod json;
mod meaning;
mod mysql;
mod postgres;
mod reader;
pub mod run;
mod strategies;

use crate::support::Test;

pub fn tests() -> Vec<Test> {
    let mut tests = vec![crate::support::pure("round_trip::planted_mistakes_are_caught", run::planted)];
    tests.extend(postgres::tests());
    tests.extend(mysql::tests());
    tests
}

/// The test of one type.
fn test(server: &str, name: &str, run: impl FnOnce() + Send + 'static) -> Test {
    let name = format!("round_trip::{server}::{name}");
    // names of tests live as long as the process
    Test { name: name.into(), run: Box::new(run) }
}
