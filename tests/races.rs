//! Processes at one table at the same time, and processes that are killed: the result is exact.

use std::time::Duration;

use futures_util::future::join_all;
use highwater::engine::faults::Point;
use highwater::report::{Outcome, RunReport};
use serde_json::json;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::support::process::{self, Ran};

pub fn tests() -> Vec<Test> {
    served_tests![
        two_four_and_eight_processes_at_one_table,
        eight_processes_of_which_some_die,
        two_pushes_at_one_table,
        deliveries_that_come_twice_and_out_of_order,
        killed_at_any_moment_the_next_run_completes,
    ]
}

/// The most times that a table is synced until nothing is left.
const RUNS_MAX: u32 = 6;

async fn append_table(place: &Place, rows: u32) {
    place.pg(&format!("CREATE TABLE t (id bigserial PRIMARY KEY, v text); INSERT INTO t (v) SELECT md5(i::text) FROM generate_series(1, {rows}) i")).await;
    place.configure(&["t: { mode: append, cursor: id, chunk_rows: 200 }"], &[], "");
}

/// Every row of the source once, and nothing is left of any run.
async fn assert_exact(place: &Place) {
    // a run that writes sweeps what others have left that died before their intents
    place.pg("INSERT INTO t (v) VALUES ('one more')").await;
    catch_up(place).await;
    let source = place.pg_rows("SELECT count(*)::text, count(*)::text FROM t").await;
    let counts = place.bq("SELECT CAST(COUNT(*) AS STRING), CAST(COUNT(DISTINCT id) AS STRING) FROM {d}.t").await;
    assert_eq!(counts, source);
    place.assert_clean().await;
}

/// Runs until nothing is left.
async fn catch_up(place: &Place) {
    for _ in 0..RUNS_MAX {
        if place.sync(&["t"]).await[0].outcome == Outcome::UpToDate {
            return;
        }
    }
    panic!("not caught up after {RUNS_MAX} runs");
}

/// Runs `highwater sync t` after so many milliseconds.
async fn run_after(place: &Place, ms: u64, faults: &str) -> Ran {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    let mut env = place.env();
    env.push(("HIGHWATER_FAULTS".into(), faults.into()));
    process::run(place.folder.path(), &env, &["sync", "t", "--json"]).await
}

async fn two_four_and_eight_processes_at_one_table() {
    let place = Place::new().await;
    append_table(&place, 0).await;
    let mut random = fastrand::Rng::with_seed(1);
    for processes in [2, 4, 8] {
        // all at once, and each at a moment of its own
        for spread_ms in [1, 1500] {
            place.pg("INSERT INTO t (v) SELECT md5(i::text) FROM generate_series(1, 500) i").await;
            let starts: Vec<u64> = (0..processes).map(|_| random.u64(0..spread_ms)).collect();
            let runs = join_all(starts.iter().map(|ms| run_after(&place, *ms, ""))).await;
            for ran in &runs {
                assert_eq!(ran.code, 0, "{ran:?}");
                // whoever is overtaken says so, and there is no third outcome
                let outcome = ran.report().outcome;
                assert!(matches!(outcome, Outcome::Synced | Outcome::UpToDate | Outcome::Superseded), "{ran:?}");
            }
            catch_up(&place).await;
            assert_exact(&place).await;
        }
    }
}

async fn eight_processes_of_which_some_die() {
    let place = Place::new().await;
    append_table(&place, 0).await;
    let mut random = fastrand::Rng::with_seed(2);
    let mut died = 0;
    for _ in 0..4 {
        place.pg("INSERT INTO t (v) SELECT md5(i::text) FROM generate_series(1, 500) i").await;
        let plans: Vec<(u64, String)> = (0..8)
            .map(|at| {
                let point = Point::ALL[random.usize(..Point::ALL.len())].name();
                let dies = if at % 2 == 0 { format!("{point}:crash@{}", random.u8(1..3)) } else { String::new() };
                (random.u64(0..1000), dies)
            })
            .collect();
        let runs = join_all(plans.iter().map(|(ms, faults)| run_after(&place, *ms, faults))).await;
        for ran in &runs {
            let crashed = ran.stderr.contains("a test's fault: crash");
            assert_eq!(ran.code, if crashed { -1 } else { 0 }, "{ran:?}");
            died += u32::from(crashed);
        }
        catch_up(&place).await;
        assert_exact(&place).await;
    }
    assert!(died >= 4, "only {died} processes died");
}

async fn two_pushes_at_one_table() {
    let place = Place::new().await;
    append_table(&place, 1000).await;
    let (one, two) = (place.serve().await, place.serve().await);
    let (a, b): (RunReport, RunReport) = tokio::join!(one.push("pg/t"), two.push("pg/t"));
    assert!(a.outcome != Outcome::Failed && b.outcome != Outcome::Failed, "{a:?} {b:?}");
    one.push("pg/t").await;
    assert_eq!(one.terminate().await.0, 0);
    assert_eq!(two.terminate().await.0, 0);
    assert_exact(&place).await;
}

/// Each message is delivered one to three times, in any order, to two instances; rows are added meanwhile.
async fn deliveries_that_come_twice_and_out_of_order() {
    let place = Place::new().await;
    append_table(&place, 300).await;
    place.my("CREATE TABLE m (id int PRIMARY KEY, u datetime NOT NULL); INSERT INTO m SELECT seq, '2024-01-01' FROM seq_1_to_300").await;
    place.configure(
        &["t: { mode: append, cursor: id, chunk_rows: 100 }"],
        &["m: { cursor: u, chunk_rows: 100 }"],
        "server: { max_concurrent_runs: 40 }",
    );
    let services = [place.serve().await, place.serve().await];
    let mut random = fastrand::Rng::with_seed(3);
    let mut deliveries = Vec::new();
    for message in 0..8 {
        let (source, table) = if message % 2 == 0 { ("pg", "t") } else { ("my", "m") };
        for _ in 0..random.u8(1..=3) {
            let envelope = json!({"message": {"attributes": {"source": source, "table": table}, "messageId": message.to_string()}});
            deliveries.push((envelope.to_string(), random.u64(0..3000), random.usize(0..2)));
        }
    }
    random.shuffle(&mut deliveries);
    let answers = join_all(deliveries.into_iter().map(|(envelope, ms, to)| {
        let service = &services[to];
        async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            service.post("/pubsub", envelope).await
        }
    }));
    let more = async {
        tokio::time::sleep(Duration::from_millis(1000)).await;
        place.pg("INSERT INTO t (v) SELECT md5(i::text) FROM generate_series(1, 300) i").await;
    };
    let (answers, ()) = tokio::join!(answers, more);
    for (status, _, body) in answers {
        assert_eq!(status, 200, "{body}");
    }
    catch_up(&place).await;
    assert_exact(&place).await;
    place.sync(&["m"]).await;
    assert_eq!(
        place
            .bq_one("SELECT CONCAT(CAST(COUNT(*) AS STRING), ' ', CAST(COUNT(DISTINCT id) AS STRING)) FROM {d}.m")
            .await,
        "300 300"
    );
}

async fn killed_at_any_moment_the_next_run_completes() {
    let place = Place::new().await;
    append_table(&place, 1000).await;
    let mut killed = 0;
    // moments spread over what a run takes
    for tenth in 1..=14 {
        let cut = tokio::time::timeout(Duration::from_millis(tenth * 120), place.run(&["sync", "t"]));
        killed += u32::from(cut.await.is_err());
    }
    assert!(killed >= 3, "only {killed} runs were killed");
    catch_up(&place).await;
    assert_exact(&place).await;
}
