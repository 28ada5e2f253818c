//! Two hundred kills by chance (`make soak`): rows are added and changed without pause, and every run is killed at a
//! moment that nobody chose. Nothing is lost, nothing is doubled.

use std::time::Duration;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::{Place, Rows};

pub fn tests() -> Vec<Test> {
    served_tests![two_hundred_kills]
}

/// Kills of each of the two tables.
const KILLS: u32 = 100;
/// A run is killed within this time from its start.
const LIFE_MS_MAX: u64 = 2_000;
/// Rows that are added between two kills.
const ROWS: u32 = 300;
/// Runs that may end by themselves before they are killed, for each that is killed.
const RUNS_MAX: u32 = 4 * KILLS;

async fn two_hundred_kills() {
    let place = Place::new().await;
    place.pg("CREATE TABLE a (id bigserial PRIMARY KEY, v text, u timestamptz NOT NULL DEFAULT now())").await;
    place.my("CREATE TABLE m (id int PRIMARY KEY AUTO_INCREMENT, v varchar(60), u datetime(6) NOT NULL DEFAULT utc_timestamp(6))").await;
    place.configure(&["a: { mode: append, cursor: id, chunk_rows: 100 }"], &["m: { cursor: u, chunk_rows: 100 }"], "");
    let appended = kill(&place, "a", async || {
        place.pg(&format!("INSERT INTO a (v) SELECT md5(i::text) FROM generate_series(1, {ROWS}) i")).await;
    });
    let merged = kill(&place, "m", async || {
        let add = format!("INSERT INTO m (v) SELECT md5(seq) FROM seq_1_to_{ROWS}");
        place
            .my(&format!("{add}; UPDATE m SET v = concat('changed ', id), u = utc_timestamp(6) WHERE id % 97 = 5"))
            .await;
    });
    let (appended, merged) = tokio::join!(appended, merged);
    // so that the last run writes: then it sweeps what is left of those that were killed before their intents
    place.pg("INSERT INTO a (v) VALUES ('last')").await;
    place.my("INSERT INTO m (v) VALUES ('last')").await;
    // what was written in the last second is not safe to read before it is over
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ran = place.run(&["sync", "--all", "--until-caught-up", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let source = place.pg_rows("SELECT id::text, v FROM a ORDER BY a.id").await;
    let (lost, doubled) = differences(&source, &place.bq("SELECT CAST(id AS STRING), v FROM {d}.a").await);
    eprintln!(
        "kills: append, PostgreSQL: {appended} kills, {} rows, {lost} lost, {doubled} doubled or wrong",
        source.len()
    );
    assert_eq!((lost, doubled), (0, 0));
    let source = place.my_rows("SELECT CAST(id AS char), v FROM m").await;
    let (lost, doubled) = differences(&source, &place.bq("SELECT CAST(id AS STRING), v FROM {d}.m").await);
    eprintln!("kills: merge, MariaDB: {merged} kills, {} rows, {lost} lost, {doubled} doubled or wrong", source.len());
    assert_eq!((lost, doubled), (0, 0));
    place.assert_clean().await;
}

/// Adds rows and kills the run, again and again; how many were killed.
async fn kill(place: &Place, table: &str, add: impl AsyncFn()) -> u32 {
    let mut random = fastrand::Rng::new();
    eprintln!("kills: {table}: seed {}", random.get_seed());
    let (mut killed, mut runs) = (0, 0);
    while killed < KILLS {
        add().await;
        runs += 1;
        assert!(runs <= RUNS_MAX, "{runs} runs, of which {killed} lived long enough to be killed");
        let life = Duration::from_millis(random.u64(1..LIFE_MS_MAX));
        // a command that is dropped is killed with SIGKILL
        match tokio::time::timeout(life, place.run(&["sync", table])).await {
            Err(_) => killed += 1,
            Ok(ran) => assert_eq!(ran.code, 0, "{ran:?}"),
        }
    }
    killed
}

/// Rows of the source that the target has not, and rows that it has besides.
fn differences(source: &Rows, target: &Rows) -> (usize, usize) {
    let (mut source, mut target) = (source.clone(), target.clone());
    source.sort();
    target.sort();
    let lost = source.iter().filter(|row| target.binary_search(row).is_err()).count();
    (lost, target.len() - (source.len() - lost))
}
