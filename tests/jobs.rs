//! `sync` as the tasks of a Cloud Run job, with the real binary: N processes with the variables that Cloud Run sets. Each table
//! is one task's, all tables are somebody's, whatever is killed, started again, or appears in between.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::support::process::{self, Ran};
use crate::support::valve::Leak;

pub fn tests() -> Vec<Test> {
    served_tests![
        tasks_share_tables_by_their_rows,
        a_killed_task_goes_on_with_its_share,
        more_tasks_than_tables,
        tables_come_and_go_between_the_starts,
        a_plan_younger_than_what_a_task_saw_holds,
        a_source_that_does_not_answer_has_a_share_too,
        without_an_execution_names_decide,
        bad_variables_are_refused,
    ]
}

/// The environment of one task.
fn task(place: &Place, execution: &str, index: usize, count: usize, attempt: u32) -> Vec<(String, String)> {
    let mut env = place.env();
    env.push(("CLOUD_RUN_TASK_INDEX".into(), index.to_string()));
    env.push(("CLOUD_RUN_TASK_COUNT".into(), count.to_string()));
    env.push(("CLOUD_RUN_TASK_ATTEMPT".into(), attempt.to_string()));
    env.push(("CLOUD_RUN_EXECUTION".into(), execution.into()));
    env
}

async fn run(place: &Place, env: &[(String, String)], args: &[&str]) -> Ran {
    process::run(place.folder.path(), env, args).await
}

/// All tasks at once.
async fn run_all(place: &Place, execution: &str, count: usize, args: &[&str]) -> Vec<Ran> {
    let envs: Vec<_> = (0..count).map(|index| task(place, execution, index, count, 0)).collect();
    let ran = futures_util::future::join_all(envs.iter().map(|env| run(place, env, args))).await;
    assert!(ran.iter().all(|ran| ran.code == 0), "{ran:?}");
    ran
}

/// The tables that a command ran, with the rows that it moved of each.
fn moved(ran: &Ran) -> BTreeMap<String, u64> {
    ran.reports().into_iter().map(|report| (format!("{}/{}", report.source, report.table), report.rows)).collect()
}

/// The line of the log that says what a task's share is.
fn share(ran: &Ran) -> String {
    let line = ran.stderr.lines().find(|line| line.contains("\"task ")).unwrap_or_else(|| panic!("{ran:?}"));
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["message"].as_str().unwrap().to_owned()
}

async fn pg_table(place: &Place, name: &str, rows: u32) {
    place.pg(&format!("CREATE TABLE {name} (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO {name} SELECT i, '2024-01-01' FROM generate_series(1, {rows}) i; ANALYZE {name}")).await;
}

async fn my_table(place: &Place, name: &str, rows: u32) {
    place.my(&format!("CREATE TABLE {name} (id int PRIMARY KEY, u datetime(6) NOT NULL); INSERT INTO {name} SELECT seq, '2024-01-01' FROM seq_1_to_{rows}; ANALYZE TABLE {name}")).await;
}

/// Rows in the target, and how many different ids they have.
async fn target(place: &Place, table: &str) -> (String, String) {
    let count = |what: &str| format!("SELECT CAST(COUNT({what}) AS STRING) FROM {{d}}.{table}");
    (place.bq_one(&count("*")).await, place.bq_one(&count("DISTINCT id")).await)
}

async fn assert_rows(place: &Place, table: &str, rows: u32) {
    assert_eq!(target(place, table).await, (rows.to_string(), rows.to_string()), "{table}");
}

/// No part is left; the plans of shares are the lifecycle rule's.
async fn assert_no_parts(place: &Place) {
    let left = place.objects("staging/").await.into_iter().filter(|name| !name.starts_with("staging/.jobs/"));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
}

async fn tasks_share_tables_by_their_rows() {
    let place = Place::new().await;
    let pg = [("big", 60_000), ("c", 3_000), ("d", 2_000), ("e", 50)];
    let my = [("m", 6_000), ("n", 100)];
    for (name, rows) in pg {
        pg_table(&place, name, rows).await;
    }
    for (name, rows) in my {
        my_table(&place, name, rows).await;
    }
    place.configure(
        &["\"*\": { cursor: u }", "c: { cursor: u }"],
        &["\"*\": { cursor: u, target: \"my_{table}\" }"],
        "",
    );
    let ran = run_all(&place, "nightly-x7k2p", 3, &["sync", "--all", "--json"]).await;
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for ran in &ran {
        eprintln!("jobs: {}: {:?}", share(ran), moved(ran));
        for (table, rows) in moved(ran) {
            assert!(all.insert(table.clone(), rows).is_none(), "{table} is two tasks'");
        }
    }
    let wanted = pg.iter().map(|(name, rows)| (format!("pg/{name}"), u64::from(*rows)));
    let wanted: BTreeMap<String, u64> =
        wanted.chain(my.iter().map(|(name, rows)| (format!("my/{name}"), u64::from(*rows)))).collect();
    assert_eq!(all, wanted, "the union of the shares is all of it");
    let alone = ran.iter().find(|ran| moved(ran).contains_key("pg/big")).unwrap();
    assert_eq!(moved(alone).len(), 1, "the largest is alone");
    assert!(share(alone).contains(": 1 of 6 tables, about 60000 rows"), "{}", share(alone));
    for (name, rows) in pg {
        assert_rows(&place, name, rows).await;
    }
    for (name, rows) in my {
        assert_rows(&place, &format!("my_{name}"), rows).await;
    }
    // the estimates are those of the catalogs
    let plan = place.object("staging/.jobs/nightly-x7k2p.json").await.unwrap();
    let estimated = plan["tables"].as_array().unwrap().iter();
    let estimated: Vec<u64> =
        estimated.map(|table| table["rows"].as_u64().unwrap_or_else(|| panic!("{table}"))).collect();
    assert!(estimated.contains(&60_000) && estimated.contains(&50), "{estimated:?}");
    assert_no_parts(&place).await;
}

async fn a_killed_task_goes_on_with_its_share() {
    let place = Place::new().await;
    pg_table(&place, "big", 40_000).await;
    for name in ["a", "b"] {
        pg_table(&place, name, 100).await;
    }
    let big = "big: { mode: append, cursor: id, chunk_rows: 5000 }";
    place.configure(&[big, "a: { cursor: u }", "b: { cursor: u }"], &[], "");
    let args = ["sync", "--all", "--until-caught-up", "--json"];
    // the first task has the largest table; it is killed when part of it is in the target
    let (mut child, _log) = process::start(place.folder.path(), &task(&place, "kill-1", 0, 2, 0), &args);
    let committed = loop {
        let state = place.object("state/pg/big.json").await;
        let rows = state.and_then(|state| state["rows_total"].as_u64()).unwrap_or(0);
        if rows > 0 {
            break rows;
        }
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it was killed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    child.kill().await.unwrap();
    let other = run(&place, &task(&place, "kill-1", 1, 2, 0), &args).await;
    assert_eq!(moved(&other), BTreeMap::from([("pg/a".to_owned(), 100), ("pg/b".to_owned(), 100)]), "{other:?}");
    let again = run(&place, &task(&place, "kill-1", 0, 2, 1), &args).await;
    assert_eq!(again.code, 0, "{again:?}");
    let rows = moved(&again);
    eprintln!("jobs: killed after {committed} of 40000 rows; {}: {rows:?}", share(&again));
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["pg/big"], "the same share");
    assert!(rows["pg/big"] < 40_000, "it went on where it was: {rows:?}");
    assert_rows(&place, "big", 40_000).await;
    // a third start finds nothing to do
    let done = run(&place, &task(&place, "kill-1", 0, 2, 2), &args).await;
    assert_eq!((done.code, moved(&done)["pg/big"]), (0, 0), "{done:?}");
    assert_no_parts(&place).await;
}

async fn more_tasks_than_tables() {
    let place = Place::new().await;
    for name in ["a", "b", "c"] {
        pg_table(&place, name, 10).await;
    }
    place.configure(&["a: { cursor: u }", "b: { cursor: u }", "c: { cursor: u }"], &[], "");
    // tables that are named are shared alike, and no others
    let ran = run_all(&place, "wide", 5, &["sync", "a", "pg/b"]).await;
    let idle: Vec<&Ran> = ran.iter().filter(|ran| share(ran).ends_with("nothing to do")).collect();
    assert_eq!(idle.len(), 3, "{ran:?}");
    for ran in &ran {
        eprintln!("jobs: {}", share(ran));
        assert!(ran.stdout.starts_with(&share(ran)), "{ran:?}");
    }
    assert!(share(&ran[4]).starts_with("task 5 of 5: none of 2 tables is its share"), "{}", share(&ran[4]));
    assert_eq!(place.objects("state/pg/").await, ["state/pg/a.json", "state/pg/b.json"]);
    for name in ["a", "b"] {
        assert_rows(&place, name, 10).await;
    }
}

async fn tables_come_and_go_between_the_starts() {
    let place = Place::new().await;
    pg_table(&place, "large", 9_000).await;
    for name in ["a", "b"] {
        pg_table(&place, name, 10).await;
    }
    place.configure(&["\"*\": { cursor: u }"], &[], "");
    let args = ["sync", "--all", "--json"];
    let first = run(&place, &task(&place, "late-1", 0, 2, 0), &args).await;
    assert_eq!(moved(&first).keys().collect::<Vec<_>>(), ["pg/large"], "{first:?}");
    // one appears and one goes before the second task starts
    pg_table(&place, "late", 20).await;
    place.pg("DROP TABLE b").await;
    let second = run(&place, &task(&place, "late-1", 1, 2, 0), &args).await;
    assert_eq!(second.code, 0, "{second:?}");
    let wanted = BTreeMap::from([("pg/a".to_owned(), 10), ("pg/late".to_owned(), 20)]);
    assert_eq!(moved(&second), wanted, "who sees it first takes it");
    // whoever comes later leaves it to the second, also when it starts again
    let again = run(&place, &task(&place, "late-1", 0, 2, 1), &args).await;
    assert_eq!(moved(&again).keys().collect::<Vec<_>>(), ["pg/large"], "{again:?}");
    let again = run(&place, &task(&place, "late-1", 1, 2, 1), &args).await;
    assert_eq!(moved(&again).keys().collect::<Vec<_>>(), ["pg/a", "pg/late"], "{again:?}");
    eprintln!("jobs: {}; {}", share(&second), share(&again));
    assert_rows(&place, "late", 20).await;
    // another execution has a plan of its own; one of another number of tasks is not gone by
    let other = run(&place, &task(&place, "late-2", 0, 2, 0), &args).await;
    assert!(other.code == 0 && share(&other).contains("of 3 tables"), "{other:?}");
    let wrong = run(&place, &task(&place, "late-2", 0, 3, 0), &args).await;
    assert!(wrong.code == 2 && wrong.stderr.contains("among 2 tasks, and CLOUD_RUN_TASK_COUNT is 3"), "{wrong:?}");
}

/// A task lists its tables and waits for the plan; meanwhile a table appears, and the first task deals it to the waiting one.
async fn a_plan_younger_than_what_a_task_saw_holds() {
    let place = Place::new().await;
    pg_table(&place, "old", 9_000).await;
    place.configure(&["\"*\": { cursor: u }"], &[], "");
    let args = ["sync", "--all", "--json"];
    let (first, second) = (task(&place, "young", 0, 2, 0), task(&place, "young", 1, 2, 0));
    let started = async {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        pg_table(&place, "new", 10).await;
        run(&place, &first, &args).await
    };
    let (first, second) = tokio::join!(started, run(&place, &second, &args));
    assert_eq!((first.code, second.code), (0, 0), "{first:?} {second:?}");
    let mut all = moved(&first);
    all.extend(moved(&second));
    assert_eq!(all, BTreeMap::from([("pg/new".to_owned(), 10), ("pg/old".to_owned(), 9_000)]), "{first:?} {second:?}");
    eprintln!("jobs: {:?}; {:?}", moved(&first), moved(&second));
    // a table that is named twice is one
    let twice = run(&place, &place.env(), &["sync", "new", "pg/new", "--json"]).await;
    assert_eq!(twice.reports().len(), 1, "{twice:?}");
}

async fn a_source_that_does_not_answer_has_a_share_too() {
    let place = Place::new().await;
    pg_table(&place, "a", 10).await;
    let path = place.configure(&["a: { cursor: u }"], &["m: { cursor: u }"], "server: { run_budget: 60s }");
    let text = std::fs::read_to_string(&path).unwrap();
    let down = text.replace(&format!("127.0.0.1:{}/", place.stack.mysql.port), "127.0.0.1:9/");
    assert_ne!(text, down);
    place.write_config(&down);
    // without an estimate `m` counts alike, and `a` has its rows besides
    let fine = run(&place, &task(&place, "down", 0, 2, 0), &["sync", "--all", "--json"]).await;
    assert!(fine.code == 0 && fine.stderr.contains("no estimates of rows: its tables count alike"), "{fine:?}");
    assert_eq!(moved(&fine), BTreeMap::from([("pg/a".to_owned(), 10)]));
    place.write_config(&down.replace("60s", "4s"));
    let failed = run(&place, &task(&place, "down", 1, 2, 0), &["sync", "--all", "--json"]).await;
    assert_eq!((failed.code, moved(&failed)), (75, BTreeMap::from([("my/m".to_owned(), 0)])), "{failed:?}");
    // nor does the job go on where the plan cannot be had
    place.valve.leak(1_000, Leak::Status(503), |_, named| named.contains(".jobs"));
    let mut env = task(&place, "other", 0, 2, 0);
    env.push(("HIGHWATER_LOG".into(), "info".into()));
    let begun = std::time::Instant::now();
    let none = run(&place, &env, &["sync", "a"]).await;
    assert_eq!(none.code, 75, "{none:?}");
    assert!(none.stderr.contains("/staging/.jobs/other.json failed after "), "{none:?}");
    eprintln!("jobs: without a plan it ends after {:.0?}: {}", begun.elapsed(), none.stderr.lines().last().unwrap());
}

async fn without_an_execution_names_decide() {
    let place = Place::new().await;
    for at in 0..6 {
        pg_table(&place, &format!("t{at}"), 10).await;
    }
    place.configure(&["\"*\": { cursor: u }"], &[], "");
    let mut all = Vec::new();
    for index in 0..3 {
        let mut env = task(&place, "", index, 3, 0);
        env.retain(|(name, _)| name != "CLOUD_RUN_EXECUTION");
        let ran = run(&place, &env, &["sync", "--all", "--json"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        eprintln!("jobs: {}: {:?}", share(&ran), moved(&ran).keys());
        all.extend(moved(&ran).into_keys());
    }
    all.sort();
    assert_eq!(all, (0..6).map(|at| format!("pg/t{at}")).collect::<Vec<_>>());
    assert_eq!(place.objects("staging/").await, Vec::<String>::new());
}

async fn bad_variables_are_refused() {
    let place = Place::new().await;
    place.configure(&["t: { cursor: u }"], &[], "");
    for (name, value, wanted) in [
        ("CLOUD_RUN_TASK_INDEX", "2", "CLOUD_RUN_TASK_INDEX=2 is not below CLOUD_RUN_TASK_COUNT=2"),
        ("CLOUD_RUN_TASK_INDEX", "first", "CLOUD_RUN_TASK_INDEX=\"first\" is not a number"),
        ("CLOUD_RUN_TASK_COUNT", "0", "CLOUD_RUN_TASK_COUNT=0 is not from 1 to 10000"),
        ("CLOUD_RUN_TASK_COUNT", "", "CLOUD_RUN_TASK_INDEX is set and CLOUD_RUN_TASK_COUNT is not"),
        ("CLOUD_RUN_TASK_ATTEMPT", "x", "CLOUD_RUN_TASK_ATTEMPT=\"x\" is not a number"),
        ("CLOUD_RUN_EXECUTION", "a/b", "CLOUD_RUN_EXECUTION is no name of an execution"),
    ] {
        let mut env = task(&place, "bad", 1, 2, 0);
        env.push((name.to_owned(), value.to_owned()));
        for args in [["sync", "t"], ["sync", "--all"], ["backfill", "t"]] {
            let ran = run(&place, &env, &args).await;
            assert!(ran.code == 2 && ran.stderr.contains(wanted), "{args:?}: {ran:?}");
            assert_eq!(ran.stderr.lines().count(), 3, "cause, way out, where there is more: {ran:?}");
        }
    }
    assert_eq!(place.objects("").await, Vec::<String>::new());
}
