//! Backfills beside the live sync: windows of time, of numbers and of keys; killed, resumed, shared; gaps found and filled.

mod changes;

use std::time::Duration;

use serde_json::Value;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::{Place, Rows};
use crate::support::process::{self, Ran};

pub fn tests() -> Vec<Test> {
    let mut tests = served_tests![
        windows_fill_what_is_below_the_start,
        a_window_never_writes_an_older_row_over_a_newer,
        killed_and_resumed_each_window_is_there_once,
        four_processes_share_the_windows,
        four_tasks_of_a_job_load_a_table_by_its_key,
        keys_of_every_kind_have_ranges,
        numbers_have_ranges,
        appended_windows_are_there_once,
        gaps_are_found_and_filled,
        windows_keep_their_state_in_a_folder,
        what_cannot_be_asked_for_is_told,
    ];
    tests.extend(changes::tests());
    tests
}

/// A table in both databases: a row each hour for ten days, of 2024.
async fn hours(place: &Place) {
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL);
             INSERT INTO t SELECT i, 'v' || i, '2024-01-01Z'::timestamptz + i * interval '1 h' FROM generate_series(0, 239) i")
        .await;
    place
        .my("CREATE TABLE t (id int PRIMARY KEY, v varchar(20), u datetime(3) NOT NULL);
             INSERT INTO t SELECT seq, concat('v', seq), timestamp('2024-01-01') + interval seq hour FROM seq_0_to_239")
        .await;
}

/// How many rows each day has.
async fn days(place: &Place, target: &str) -> Vec<(String, String)> {
    let sql =
        format!("SELECT CAST(DATE(u) AS STRING), CAST(COUNT(*) AS STRING) FROM {{d}}.{target} GROUP BY 1 ORDER BY 1");
    let pair = |row: Vec<Option<String>>| (row[0].clone().unwrap(), row[1].clone().unwrap());
    place.bq(&sql).await.into_iter().map(pair).collect()
}

async fn ids(place: &Place, target: &str) -> Rows {
    place.bq(&format!("SELECT CAST(id AS STRING), v FROM {{d}}.{target} ORDER BY id, v")).await
}

/// Runs a command that must end well, and gives its lines of JSON.
async fn lines(place: &Place, args: &[&str]) -> Vec<Value> {
    let ran = place.run(args).await;
    assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn windows_fill_what_is_below_the_start() {
    let place = Place::new().await;
    hours(&place).await;
    let table = |target: &str| format!("t: {{ cursor: u, target: {target}, backfill_start: 2024-01-08 }}");
    place.configure(&[&table("p")], &[&table("m")], "");
    for (source, target) in [("pg", "p"), ("my", "m")] {
        let name = format!("{source}/t");
        assert_eq!(place.sync(&[&name]).await[0].rows, 72, "{source}: three days");
        let before = place.object(&format!("state/{source}/t.json")).await.unwrap();
        let reports = lines(&place, &["backfill", &name, "--from", "2024-01-05", "--to", "2024-01-08", "--json"]).await;
        assert_eq!(reports.len(), 3, "{source}");
        for report in &reports {
            assert_eq!((&report["rows"], &report["window"]["complete"]), (&24.into(), &true.into()), "{report}");
        }
        let after = place.object(&format!("state/{source}/t.json")).await.unwrap();
        assert_eq!(before, after, "{source}: the live sync's state is as it was");
        let found = days(&place, target).await;
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(found.iter().all(|(_, rows)| rows == "24"), "{found:?}");
        // without ends: from the first row up to the last whole day that is safe; what is complete is not read again
        let ran = place.run(&["backfill", &name, "--to", "2024-01-11"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.contains("10 of 10 windows are complete; 168 rows now"), "{}", ran.stdout);
        assert!(ran.stdout.contains("2024-01-01..2024-01-02  complete  24 rows"), "{}", ran.stdout);
        assert_eq!(days(&place, target).await.len(), 10);
        assert_eq!(place.sync(&[&name]).await[0].rows, 0, "{source}: nothing is read a second time");
    }
    place.assert_clean().await;
}

async fn a_window_never_writes_an_older_row_over_a_newer() {
    let place = Place::new().await;
    hours(&place).await;
    place.configure(&["t: { cursor: u, chunk_rows: 50 }"], &[], "");
    place.sync(&["t"]).await;
    // the window's rows are staged, and its process is dead before they are merged
    let mut env = place.env();
    env.push(("HIGHWATER_FAULTS".into(), "loaded:crash".into()));
    let args = ["backfill", "t", "--from", "2024-01-02", "--to", "2024-01-03"];
    let died = process::run(place.folder.path(), &env, &args).await;
    assert_eq!(died.code, -1, "{died:?}");
    // meanwhile the live sync brings newer versions of some of them
    place.pg("UPDATE t SET v = 'new', u = now() - interval '1 h' WHERE id BETWEEN 30 AND 33").await;
    assert_eq!(place.sync(&["t"]).await[0].rows, 4);
    // and the window is merged after all
    let reports = lines(&place, &[&args[..], &["--json"]].concat()).await;
    assert_eq!((reports[0]["recovered"].as_u64(), reports[0]["rows"].as_u64()), (Some(1), Some(24)), "{reports:?}");
    assert_eq!(ids(&place, "t").await, place.pg_rows("SELECT id::text, v FROM t ORDER BY t.id").await);
    place.assert_clean().await;
}

async fn killed_and_resumed_each_window_is_there_once() {
    let place = Place::new().await;
    hours(&place).await;
    place.configure(
        &["t: { mode: append, cursor: u, backfill_start: 2024-01-10, chunk_rows: 10 }"],
        &["t: { cursor: u, target: m, chunk_rows: 10 }"],
        "",
    );
    place.sync(&["pg/t"]).await;
    let mut random = fastrand::Rng::new();
    eprintln!("backfill: seed {}", random.get_seed());
    for (table, to) in [("pg/t", "2024-01-10"), ("my/t", "2024-01-11")] {
        let args = ["backfill", table, "--from", "2024-01-01", "--to", to, "--parallel", "2"];
        let mut kills = 0;
        for round in 0..40_u32 {
            // on a slow machine the last ones live long enough
            let life = Duration::from_millis(random.u64(300..1_500)) * (1 + round / 4);
            match tokio::time::timeout(life, place.run(&args)).await {
                Err(_) => kills += 1,
                Ok(ran) => {
                    assert_eq!(ran.code, 0, "{ran:?}");
                    break;
                }
            }
        }
        assert_eq!(place.run(&args).await.code, 0);
        let ran = place.run(&args).await;
        assert!(ran.code == 0 && ran.stdout.contains("windows are complete; 0 rows now"), "{ran:?}");
        eprintln!("backfill: {table}: {kills} kills");
    }
    assert_eq!(ids(&place, "t").await, place.pg_rows("SELECT id::text, v FROM t ORDER BY t.id").await);
    assert_eq!(ids(&place, "m").await, place.my_rows("SELECT CAST(id AS char), v FROM t ORDER BY t.id").await);
    for (source, windows) in [("pg", 9), ("my", 10)] {
        let names = place.objects(&format!("state/{source}/t/windows/")).await;
        assert_eq!(names.len(), windows, "{names:?}");
        for name in names {
            let state = place.object(&name).await.unwrap();
            assert_eq!((&state["rows_total"], &state["window"]["complete"]), (&24.into(), &true.into()), "{state}");
        }
    }
}

/// Runs a command as the tasks of a Cloud Run job.
async fn tasks(place: &Place, count: usize, args: &[&str]) -> Vec<Ran> {
    let run = |index: usize| {
        let mut env = place.env();
        env.push(("CLOUD_RUN_TASK_INDEX".into(), index.to_string()));
        env.push(("CLOUD_RUN_TASK_COUNT".into(), count.to_string()));
        async move { process::run(place.folder.path(), &env, args).await }
    };
    let ran = futures_util::future::join_all((0..count).map(run)).await;
    assert!(ran.iter().all(|ran| ran.code == 0), "{ran:?}");
    ran
}

async fn four_processes_share_the_windows() {
    let place = Place::new().await;
    hours(&place).await;
    place.configure(&["t: { mode: append, cursor: u, backfill_start: 2024-01-11 }"], &[], "");
    let args = ["backfill", "t", "--from", "2024-01-01", "--to", "2024-01-11", "--json"];
    let ran = tasks(&place, 4, &args).await;
    let reports: Vec<_> = ran.iter().flat_map(Ran::reports).collect();
    let mut names: Vec<String> = reports.iter().map(|report| report.window.as_ref().unwrap().name.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!((reports.len(), names.len()), (10, 10), "each window once");
    assert_eq!(reports.iter().map(|report| report.rows).sum::<u64>(), 240);
    assert!(ran.iter().all(|ran| (2..=3).contains(&ran.reports().len())), "{ran:?}");
    assert_eq!(ids(&place, "t").await, place.pg_rows("SELECT id::text, v FROM t ORDER BY t.id").await);
    // four that nobody told of each other, at the same windows
    place.configure(&["t: { mode: append, cursor: u, target: other, backfill_start: 2024-01-11 }"], &[], "");
    // a reset forgets the windows too
    let ran = place.run(&["reset", "t"]).await;
    assert_eq!((ran.code, place.objects("state/pg/t/").await.len()), (0, 0), "{ran:?}");
    assert!(place.object("state/pg/t/windows.json").await.is_none());
    let runs = (0..4).map(|_| place.run(&args));
    for ran in futures_util::future::join_all(runs).await {
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(ids(&place, "other").await, place.pg_rows("SELECT id::text, v FROM t ORDER BY t.id").await);
    place.assert_clean().await;
}

async fn four_tasks_of_a_job_load_a_table_by_its_key() {
    let place = Place::new().await;
    // cursors in no order of the key
    place
        .pg("CREATE TABLE t (a int, b text, v text, id int NOT NULL, u timestamptz NOT NULL, PRIMARY KEY (a, b));
             INSERT INTO t SELECT i % 7, 'k' || i, 'v' || i, i, '2024-01-01Z'::timestamptz + (i * 7919 % 1000) * interval '1 min' FROM generate_series(1, 1000) i;
             CREATE TABLE log (id int PRIMARY KEY, v text); INSERT INTO log SELECT i, 'v' || i FROM generate_series(1, 1000) i")
        .await;
    place.configure(&["t: { cursor: u }", "log: { mode: append, cursor: id }"], &[], "");
    for table in ["t", "log"] {
        let args = ["backfill", table, "--by", "key", "--window-rows", "120", "--json"];
        let mut env = place.env();
        env.push(("HIGHWATER_FAULTS".into(), "committed:crash".into()));
        let died = process::run(place.folder.path(), &env, &args).await;
        assert_eq!(died.code, -1, "{died:?}");
        // the live sync goes on from where the load ends, before the load does
        let (changes, moved) = match table {
            "t" => (
                "INSERT INTO t VALUES (9, 'new', 'new', 2000, now() - interval '1 h');
                 UPDATE t SET v = 'changed', u = now() - interval '1 h' WHERE id BETWEEN 10 AND 14",
                6,
            ),
            _ => ("INSERT INTO log VALUES (2000, 'new')", 1),
        };
        place.pg(changes).await;
        let report = place.sync(&[table]).await.remove(0);
        assert_eq!(report.rows, moved, "{report:?}");
        assert!(report.notes.iter().any(|note| note.contains("its initial load is not complete")), "{report:?}");
        let reports: Vec<_> = tasks(&place, 4, &args).await.iter().flat_map(Ran::reports).collect();
        assert!(reports.len() >= 9 - 1, "{}", reports.len());
        // where the rows have gone that were changed meanwhile, no second read goes
        let report = place.sync(&[table]).await.remove(0);
        assert_eq!((report.rows, report.notes.len()), (0, 0), "{report:?}");
        let source = place.pg_rows(&format!("SELECT id::text, v FROM {table} ORDER BY {table}.id, v")).await;
        assert_eq!(ids(&place, table).await, source, "{table}");
        let state = place.object(&format!("state/pg/{table}.json")).await.unwrap();
        assert!(state["load"].is_null(), "{state}");
    }
    place.assert_clean().await;
}

async fn keys_of_every_kind_have_ranges() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE u (k uuid PRIMARY KEY, id int, v text, at date NOT NULL);
             INSERT INTO u SELECT md5(i::text)::uuid, i, 'v', '2024-01-01' FROM generate_series(1, 50) i;
             CREATE TABLE n (k numeric(20, 5), l bytea, id bigint NOT NULL, v text, PRIMARY KEY (k, l));
             INSERT INTO n SELECT (i % 5) + 0.5, decode(md5(i::text), 'hex'), i, 'v' FROM generate_series(1, 50) i;
             CREATE EXTENSION citext; CREATE TABLE c (a citext, k text COLLATE \"C\", id int, v text, at timestamptz NOT NULL, PRIMARY KEY (a, k));
             INSERT INTO c SELECT chr(65 + i % 3), 'é''\"' || i, i, 'v', '2024-01-01' FROM generate_series(1, 50) i;
             CREATE TABLE s (at timestamptz PRIMARY KEY, id int, v text);
             INSERT INTO s SELECT '2024-01-01'::timestamptz + i * interval '1.000001 s', i, 'v' FROM generate_series(1, 50) i")
        .await;
    place
        .my("CREATE TABLE e (a enum('z', 'y', 'x'), b varbinary(16), id int NOT NULL, v text, u timestamp(6) NOT NULL, PRIMARY KEY (a, b));
             INSERT INTO e SELECT 1 + seq % 3, unhex(md5(seq)), seq, 'v', '2024-01-01' FROM seq_1_to_50;
             CREATE TABLE l (k varchar(20) CHARACTER SET latin1, f bigint unsigned, id int, v text, u datetime NOT NULL, PRIMARY KEY (k, f));
             INSERT INTO l SELECT concat('ä', seq % 4), 18446744073709551615 - seq, seq, 'v', '2024-01-01' FROM seq_1_to_50")
        .await;
    place.configure(
        &["u: { cursor: at }", "n: { cursor: id }", "c: { cursor: at }", "s: { cursor: at }"],
        &["e: { cursor: u }", "l: { cursor: u }"],
        "",
    );
    for table in ["pg/u", "pg/n", "pg/c", "pg/s", "my/e", "my/l"] {
        let reports = lines(&place, &["backfill", table, "--by", "key", "--window-rows", "7", "--json"]).await;
        assert_eq!(reports.len(), 8, "{table}");
        let rows: Vec<u64> = reports.iter().map(|report| report["rows"].as_u64().unwrap()).collect();
        assert_eq!((rows.iter().sum::<u64>(), rows.iter().max()), (50, Some(&7)), "{table}: {rows:?}");
        assert_eq!(place.sync(&[table]).await[0].rows, 0, "{table}");
        let target = table.split_once('/').unwrap().1;
        let sql = format!("SELECT CAST(COUNT(DISTINCT id) AS STRING), CAST(COUNT(*) AS STRING) FROM {{d}}.{target}");
        assert_eq!(place.bq(&sql).await[0], [Some("50".to_owned()), Some("50".to_owned())], "{table}");
    }
    place.assert_clean().await;
}

async fn numbers_have_ranges() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id bigint PRIMARY KEY, v text);
             INSERT INTO t SELECT CASE WHEN i > 500 THEN i * 1000000 ELSE i END, 'v' FROM generate_series(1, 1000) i")
        .await;
    place.my("CREATE TABLE t (k int PRIMARY KEY, id decimal(12, 2) NOT NULL, v text); INSERT INTO t SELECT seq, seq / 4, 'v' FROM seq_1_to_1000").await;
    place.configure(
        &["t: { mode: append, cursor: id, backfill_start: 900000000 }"],
        &["t: { cursor: id, target: m, backfill_start: 200 }"],
        "",
    );
    for (table, target) in [("pg/t", "t"), ("my/t", "m")] {
        let reports = lines(&place, &["backfill", table, "--window-rows", "300", "--json"]).await;
        let rows: Vec<u64> = reports.iter().map(|report| report["rows"].as_u64().unwrap()).collect();
        assert!(rows.iter().all(|rows| *rows <= 304), "about three hundred: {rows:?}");
        place.sync(&[table]).await;
        assert_eq!(place.sync(&[table]).await[0].rows, 0);
        let sql = format!("SELECT CAST(COUNT(DISTINCT id) AS STRING), CAST(COUNT(*) AS STRING) FROM {{d}}.{target}");
        assert_eq!(place.bq(&sql).await[0], [Some("1000".to_owned()), Some("1000".to_owned())], "{table}: {rows:?}");
    }
    // asked for again, its windows are the same and complete
    let again = lines(&place, &["backfill", "pg/t", "--window-rows", "10", "--json"]).await;
    assert!(again.len() < 10 && again.iter().all(|report| report["rows"] == 0), "{again:?}");
    let ran = place.run(&["backfill", "pg/t", "--to", "100"]).await;
    assert!(ran.code == 2 && ran.told().contains("the windows overlap those"), "{ran:?}");
    place.assert_clean().await;
}

async fn appended_windows_are_there_once() {
    let place = Place::new().await;
    hours(&place).await;
    place.configure(&["t: { mode: append, cursor: u }"], &[], "");
    let refused = async |args: &[&str], why: &str| {
        let ran = place.run(args).await;
        assert!(ran.code == 2 && ran.told().contains(why), "{args:?}: {ran:?}");
    };
    refused(&["backfill", "t", "--to", "2024-01-03"], "say `backfill_start` before the first sync").await;
    place.configure(&["t: { mode: append, cursor: u, backfill_start: 2024-01-05T12:00:00 }"], &[], "");
    let day = ["--from", "2024-01-03", "--to", "2024-01-04", "--json"];
    assert_eq!(lines(&place, &[&["backfill", "t"][..], &day].concat()).await[0]["rows"], 24);
    assert_eq!(place.sync(&["t"]).await[0].rows, 132);
    refused(&["backfill", "t", "--to", "2024-01-06"], "its sync brings rows from 2024-01-05T12:00:00.000000 on").await;
    refused(&["backfill", "t", "--by", "hour", "--to", "2024-01-05"], "asked for by day before").await;
    refused(&["backfill", "t", "--by", "key"], "--by key brings all").await;
    refused(&["backfill", "t", "--again"], "--again would append the same rows once more").await;
    refused(&["backfill", "t", "--from", "2024-01-02T03:00:00"], "is within one").await;
    // what is left below the start, and no more
    let reports = lines(&place, &["backfill", "t", "--json"]).await;
    assert_eq!(reports.iter().map(|report| report["rows"].as_u64().unwrap()).sum::<u64>(), 84);
    assert_eq!(ids(&place, "t").await, place.pg_rows("SELECT id::text, v FROM t ORDER BY t.id").await);
    // a start that is changed later is told
    place.configure(&["t: { mode: append, cursor: u, backfill_start: 2024-01-04 }"], &[], "");
    let report = place.sync(&["t"]).await.remove(0);
    assert!(report.notes.iter().any(|note| note.contains("`backfill_start` is 2024-01-04")), "{report:?}");
    place.assert_clean().await;
}

async fn gaps_are_found_and_filled() {
    let place = Place::new().await;
    hours(&place).await;
    place.configure(&["t: { cursor: u, target: p }"], &["t: { cursor: u, target: m }"], "");
    for (table, target) in [("pg/t", "p"), ("my/t", "m")] {
        place.sync(&[table]).await;
        let complete = lines(&place, &["gaps", table, "--json"]).await;
        assert_eq!((&complete[0]["outcome"], complete[0]["counted"].as_u64()), (&"complete".into(), Some(10)));
        // two planted gaps, a window that was interrupted, and one that was never begun
        place.bq(&format!("DELETE FROM {{d}}.{target} WHERE DATE(u) = '2024-01-03' OR id = 200")).await;
        let mut env = place.env();
        env.push(("HIGHWATER_FAULTS".into(), "staged:crash".into()));
        let args = ["backfill", table, "--from", "2024-01-05", "--to", "2024-01-07", "--parallel", "1"];
        let died = process::run(place.folder.path(), &env, &args).await;
        assert_eq!(died.code, -1, "{died:?}");
        env.last_mut().unwrap().1 = "committed:crash".into();
        let died = process::run(place.folder.path(), &env, &args).await;
        assert_eq!(died.code, -1, "{died:?}");
        let ran = place.run(&["gaps", table, "--json"]).await;
        assert_eq!(ran.code, 1, "{ran:?}");
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        let gap = |gap: &Value| format!("{} {}", gap["window"].as_str().unwrap(), gap["kind"].as_str().unwrap());
        let gaps: Vec<String> = found["gaps"].as_array().unwrap().iter().map(gap).collect();
        assert_eq!(
            gaps,
            [
                "2024-01-05..2024-01-06 interrupted",
                "2024-01-06..2024-01-07 never",
                "2024-01-03..2024-01-04 missing",
                "2024-01-09..2024-01-10 missing"
            ],
            "{table}"
        );
        let ran = place.run(&["gaps", table, "--fill"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let order: Vec<&str> = ran
            .stdout
            .lines()
            .filter(|line| line.contains("  complete  "))
            .map(|line| line.split("  ").nth(1).unwrap())
            .collect();
        assert_eq!(
            order,
            ["2024-01-03..2024-01-04", "2024-01-05..2024-01-06", "2024-01-06..2024-01-07", "2024-01-09..2024-01-10"],
            "oldest first"
        );
        assert!(
            ran.stdout.contains("complete; 2 windows of backfills, 10 windows counted, 240 rows"),
            "{}",
            ran.stdout
        );
        assert_eq!(days(&place, target).await.len(), 10);
        assert_eq!(ids(&place, target).await.len(), 240);
    }
    // rows that are gone at the source, or have moved on, are no gap
    place.pg("DELETE FROM t WHERE id = 7; UPDATE t SET u = now() - interval '1 h' WHERE id = 8").await;
    let ran = place.run(&["gaps", "pg/t"]).await;
    assert!(ran.code == 0 && ran.stdout.contains("extra") && ran.stdout.contains("pg/t: complete;"), "{ran:?}");
    place.assert_clean().await;
}

async fn windows_keep_their_state_in_a_folder() {
    let place = Place::new().await;
    hours(&place).await;
    place.configure(&["t: { cursor: u, backfill_start: 2024-01-09 }"], &[], "state: ./kept");
    place.sync(&["t"]).await;
    let args = ["backfill", "t", "--from", "2024-01-06", "--to", "2024-01-09", "--json"];
    assert_eq!(lines(&place, &args).await.len(), 3);
    assert!(lines(&place, &args).await.iter().all(|report| report["rows"] == 0), "they are known to be complete");
    assert!(lines(&place, &["gaps", "t", "--json"]).await[0]["asked"] == 3);
    assert!(place.folder.path().join("kept/state/pg/t/windows/2024-01-06..2024-01-07.json").is_file());
    assert_eq!(place.objects("state/").await, Vec::<String>::new());
    assert_eq!(place.run(&["reset", "t"]).await.code, 0);
    assert!(!place.folder.path().join("kept/state/pg/t/windows.json").exists());
    assert!(!place.folder.path().join("kept/state/pg/t/windows/2024-01-06..2024-01-07.json").exists());
}

async fn what_cannot_be_asked_for_is_told() {
    let place = Place::new().await;
    hours(&place).await;
    place.pg("CREATE TABLE d (id int PRIMARY KEY, at date NOT NULL); CREATE TABLE empty (id int PRIMARY KEY, u timestamptz NOT NULL)").await;
    place.configure(
        &["t: { cursor: u }", "r: { mode: replace }", "d: { cursor: at }", "i: { cursor: id }", "empty: { cursor: u }"],
        &[],
        "",
    );
    let refused = async |args: &[&str], why: &str| {
        let ran = place.run(args).await;
        assert!(ran.code == 2 && ran.told().contains(why), "{args:?}: {ran:?}");
        assert_eq!(ran.stderr.trim().lines().filter(|line| line.starts_with("highwater:")).count(), 1, "{ran:?}");
    };
    refused(&["backfill", "r"], "each `highwater sync` copies all of it").await;
    refused(&["gaps", "r"], "each `highwater sync` copies all of it").await;
    refused(&["backfill", "t", "--from", "yesterday"], "\"yesterday\" is not a value of the cursor of pg/t").await;
    refused(&["backfill", "t", "--from", "2024-01-02", "--to", "2024-01-01"], "is not above --from").await;
    refused(&["backfill", "t", "--to", "2999-01-01"], "on may still change").await;
    refused(&["backfill", "t", "--by", "hour", "--from", "1900-01-01"], "more than 10000 windows").await;
    refused(&["backfill", "t", "--by", "key", "--from", "2024-01-01"], "--from and --to bound the cursor").await;
    refused(&["backfill", "d", "--by", "hour"], "the cursor of pg/d has no hours").await;
    refused(&["backfill", "empty"], "no row that is safe to read yet").await;
    refused(&["backfill", "nothing"], "no table nothing in the configuration").await;
    let mut env = place.env();
    env.push(("CLOUD_RUN_TASK_INDEX".into(), "4".into()));
    env.push(("CLOUD_RUN_TASK_COUNT".into(), "4".into()));
    let ran = process::run(place.folder.path(), &env, &["backfill", "t"]).await;
    assert!(ran.code == 2 && ran.stderr.contains("CLOUD_RUN_TASK_INDEX=4 is not below"), "{ran:?}");
    // windows ask for nothing where the target is out of line with what the table is synced with
    place.sync(&["t"]).await;
    place.configure(&["t: { cursor: u, where: id > 5 }"], &[], "");
    refused(&["backfill", "t", "--to", "2024-01-03"], "the settings of pg/t changed since its watermark was made")
        .await;
}
