//! What the tests share: the local stack, the gate, a place of one's own for each test, the real binary.

pub mod gate;
pub mod place;
pub mod process;
pub mod stack;
pub mod strict;
pub mod valve;

use std::future::Future;
use std::pin::Pin;

/// A test: its name and what it does.
pub struct Test {
    pub name: &'static str,
    pub run: Box<dyn FnOnce() + Send>,
}

/// A test that needs no server.
pub fn pure(name: &'static str, run: fn()) -> Test {
    Test { name, run: Box::new(run) }
}

type Done = Pin<Box<dyn Future<Output = ()>>>;

/// A test that works on servers; each has a runtime of its own.
pub fn served(name: &'static str, run: fn() -> Done) -> Test {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run());
        runtime.shutdown_background();
    };
    Test { name, run: Box::new(run) }
}

/// Lists async functions as tests, named by their module.
#[macro_export]
macro_rules! served_tests {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::support::served(
            concat!(module_path!(), "::", stringify!($name)),
            || Box::pin($name()),
        )),*]
    };
}
