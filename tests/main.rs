//! Every test that needs more than one module: against real servers, with the real binary, through a strict gate.
//!
//! One binary, with a main of its own: the servers are started once and stopped at the end, whatever happens.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::exit,
    reason = "a test stops at the first surprise"
)]
#![expect(unreachable_pub, reason = "the modules of a test binary are nobody else's")]
#![expect(clippy::disallowed_methods, reason = "tests read their settings from the environment")]

mod architecture;
mod auth;
mod backfill;
mod buckets;
mod cases;
mod check;
mod columns;
mod coverage;
mod crash;
mod deletes;
mod discover;
mod door;
mod drift;
mod environment;
mod http_door;
mod iam;
mod jobs;
mod keys;
mod kills;
mod late;
mod lineage;
mod messages;
mod names;
mod network;
mod page;
mod plan;
mod policies;
mod progress;
mod prune;
mod pubsub;
mod races;
mod rebuild;
mod reports;
mod round_trip;
mod schedule;
mod secrets;
mod simulation;
mod soak;
mod sql;
mod startup;
mod support;
mod sync;
mod tls;
mod trouble;
mod verify;

use libtest_mimic::{Arguments, Trial};

fn main() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let mut arguments = Arguments::from_args();
    // more would only wait for the emulators
    arguments.test_threads = arguments.test_threads.or(Some(3));
    let tests: Vec<Vec<support::Test>> = vec![
        architecture::tests(),
        support::strict::tests(),
        sql::tests(),
        sync::tests(),
        jobs::tests(),
        keys::tests(),
        buckets::tests(),
        backfill::tests(),
        cases::tests(),
        round_trip::tests(),
        columns::tests(),
        policies::tests(),
        prune::tests(),
        progress::tests(),
        pubsub::tests(),
        drift::tests(),
        plan::tests(),
        deletes::tests(),
        environment::tests(),
        rebuild::tests(),
        reports::tests(),
        names::tests(),
        coverage::tests(),
        http_door::tests(),
        door::tests(),
        auth::tests(),
        check::tests(),
        iam::tests(),
        discover::tests(),
        schedule::tests(),
        startup::tests(),
        page::tests(),
        trouble::tests(),
        messages::tests(),
        verify::tests(),
        races::tests(),
        crash::tests(),
        network::tests(),
        late::tests(),
        lineage::tests(),
        tls::tests(),
        secrets::tests(),
        simulation::tests(),
    ];
    // the large ones take many minutes, so only `make soak` asks for them; nothing else runs then
    let tests = if std::env::var_os("HIGHWATER_SOAK").is_some() {
        vec![soak::tests(), verify::large(), late::large(), deletes::large(), kills::tests(), crash::tests()]
    } else {
        tests
    };
    let trial = |test: support::Test| {
        let run = test.run;
        Trial::test(test.name.trim_start_matches("main::"), move || {
            run();
            Ok(())
        })
    };
    let trials = tests.into_iter().flatten().map(trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    support::stack::stop();
    std::process::exit(i32::from(conclusion.has_failed()) * 101);
}
