//! A tenth of everything fails, at random, by a seed.

use std::time::{Duration, Instant};

use highwater::model::Mode;
use highwater::report::{FailureClass, RunReport};
use serde_json::json;

use super::{Net, make};
use crate::served_tests;
use crate::support::Test;
use crate::support::calls::Fault;
use crate::support::wire::{Break, Fate, From, Tally};

pub fn tests() -> Vec<Test> {
    served_tests![a_tenth_of_all_calls_fail]
}

/// Calls of a hundred.
const FAULTY: u8 = 10;
/// Connections to a database of a hundred: there are few of them, and each is for dozens of reads.
const FAULTY_CONNECTIONS: u8 = 30;
/// They break before this many bytes; connecting and the catalog take some 20 KB.
const BREAK_BYTES_MAX: u64 = 40_000;
/// Rows of each table.
const ROWS: u32 = 300;
/// Seconds of a run's time.
const BUDGET: u64 = 30;
/// Runs that each round may take: a push that was answered with 503 is delivered again.
const RUNS_MAX: u32 = 12;
/// How long a server may keep sessions whose connections broke.
const HELD_SECONDS_MAX: u32 = 120;

async fn a_tenth_of_all_calls_fail() {
    let seed = std::env::var("HIGHWATER_SEED").ok().map_or(4, |seed| seed.parse().unwrap());
    let mut net = Net::new().await;
    let modes = [
        ("m", "cursor: id, chunk_rows: 50"),
        ("a", "mode: append, cursor: id, chunk_rows: 50"),
        ("r", "mode: replace"),
    ];
    let lines = |source: &str| -> Vec<String> {
        let line = |(name, settings): &(&str, &str)| {
            format!("{source}_{name}: {{ {settings}, part_bytes: 64 KiB, gzip_level: 1 }}")
        };
        modes.iter().map(line).collect()
    };
    for source in ["pg", "my"] {
        for (name, _) in modes {
            make(&net.place, source, &format!("{source}_{name}"), ROWS, 8).await;
        }
    }
    net.configure(&lines("pg"), &lines("my"));
    // the emulator shows a dataset in US for the moment in which it is being made
    let dataset = json!({"datasetReference": {"projectId": "demo", "datasetId": net.place.name}, "location": "EU"});
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/bigquery/v2/projects/demo/datasets", net.place.gate.url);
    assert_eq!(client.post(url).body(dataset.to_string()).send().await.unwrap().status(), 200);
    break_a_tenth(&net, seed);
    let begun = Instant::now();
    let mut runs = complete(&net).await;
    // more rows, in all tables
    let more = |table: &str, text: &str| {
        format!("INSERT INTO {table} SELECT id + {ROWS}, {text} FROM {table} WHERE id <= 100")
    };
    for (name, _) in modes {
        net.place.pg(&more(&format!("pg_{name}"), "md5(v)")).await;
        net.place.my(&more(&format!("my_{name}"), "md5(v)")).await;
    }
    runs += complete(&net).await;
    let took = begun.elapsed();
    let (calls, connections) = tally(&net);
    eprintln!(
        "a tenth of all calls fails, seed {seed}: {} calls, {} faults {:?}; {} database connections, {} broken {:?}; 6 tables, 2 rounds, {runs} runs, {took:.1?}",
        calls.all,
        calls.faulty(),
        calls.faults,
        connections.all,
        connections.faulty(),
        connections.faults,
    );
    assert!(calls.faulty() > 20 && connections.faulty() > 0, "{calls:?} {connections:?}");
    net.heal();
    unheld(&net).await;
    for source in ["pg", "my"] {
        for (name, _) in modes {
            net.assert_exact(&format!("{source}/{source}_{name}"), "after all").await;
        }
    }
    net.assert_settled().await;
}

fn break_a_tenth(net: &Net, seed: u64) {
    for (number, wire) in [&net.storage, &net.bigquery].into_iter().enumerate() {
        let mut random = fastrand::Rng::with_seed(seed + number as u64);
        wire.decide(move |_| (random.u8(0..100) < FAULTY).then(|| *random.choice(&Fault::ALL).unwrap()));
    }
    for (number, wire) in [&net.pg, &net.my].into_iter().enumerate() {
        let mut random = fastrand::Rng::with_seed(seed + 100 + number as u64);
        let hows = [Break::Reset, Break::Close, Break::Stall, Break::HalfOpen, Break::Drip];
        wire.decide(move |_| {
            (random.u8(0..100) < FAULTY_CONNECTIONS).then(|| Fate {
                how: *random.choice(&hows).unwrap(),
                from: From::Server,
                after_bytes: random.u64(0..BREAK_BYTES_MAX),
            })
        });
    }
}

/// Runs all tables until nothing is left to do, as a queue does that delivers again; how many runs it took.
async fn complete(net: &Net) -> u32 {
    for run in 1..=RUNS_MAX {
        let (ran, _) = net.run(&["--all", "--parallel", "6"], BUDGET).await;
        if ran.code == 0 {
            return run;
        }
        // what is not worth trying again is looked at below
        assert!(matches!(ran.code, 1 | 75), "{ran:?}");
        for report in ran.reports() {
            if let Some(error) = report.error {
                // a connection that drips through a whole copy looks like a copy that takes too long
                let whole = report.mode == Mode::Replace && error.message.contains("could not be read as a whole");
                assert!(whole || error.class == FailureClass::Transient, "{}: {}", report.table, error.message);
                eprintln!("  run {run}, {}/{}: {}", report.source, report.table, error.message);
            }
        }
    }
    panic!("not done after {RUNS_MAX} runs");
}

/// Runs all tables until no transaction holds rows back: where a connection broke, its session's ends when the server sees
/// it.
async fn unheld(net: &Net) {
    for _ in 0..HELD_SECONDS_MAX {
        let (ran, _) = net.run(&["--all"], BUDGET).await;
        let held = |report: &RunReport| {
            report.held_by.is_some() || report.notes.iter().any(|note| note.starts_with("nothing is safe to read yet"))
        };
        if ran.code == 0 && !ran.reports().iter().any(held) {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("rows are held back for {HELD_SECONDS_MAX} s");
}

fn tally(net: &Net) -> (Tally, Tally) {
    let sum = |tallies: [Tally; 2]| {
        let mut sum = Tally::default();
        for tally in tallies {
            sum.all += tally.all;
            for (fault, count) in tally.faults {
                *sum.faults.entry(fault).or_default() += count;
            }
        }
        sum
    };
    (sum([net.storage.tally(), net.bigquery.tally()]), sum([net.pg.tally(), net.my.tally()]))
}
