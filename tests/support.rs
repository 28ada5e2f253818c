//! What the tests share: the local stack, the gate, a place of one's own for each test, the real binary.

pub mod calls;
pub mod gate;
pub mod listen;
pub mod place;
pub mod process;
pub mod pubsub;
pub mod stack;
pub mod strict;
pub mod valve;
pub mod wire;

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

/// A test: its name and what it does.
pub struct Test {
    pub name: Cow<'static, str>,
    pub run: Box<dyn FnOnce() + Send>,
}

/// A test that needs no server.
pub fn pure(name: &'static str, run: fn()) -> Test {
    Test { name: name.into(), run: Box::new(run) }
}

type Done = Pin<Box<dyn Future<Output = ()>>>;

/// A test that works on servers; each has a runtime of its own.
pub fn served(name: &'static str, run: fn() -> Done) -> Test {
    Test { name: name.into(), run: Box::new(move || block_on(run())) }
}

/// Runs a future on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    output
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
