//! Merges that look at the partitions of their rows alone: rows that stay where they are, rows that do not, and settings
//! that cannot promise it. The emulator bills nothing, so what is compared here are rows and statements.

use highwater::model::Difference;
use highwater::report::{Outcome, VerifyOutcome};

use crate::drift::leave_pending;
use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![
        postgres_rows_in_old_and_new_partitions,
        mariadb_rows_in_old_and_new_partitions,
        a_row_that_moved_is_refused_by_the_sample,
        a_move_that_the_sample_misses_is_found_by_verify,
        a_pending_chunk_is_finished_without_the_setting,
        a_window_that_was_left_pending_is_read_again,
        promises_that_cannot_hold_are_refused,
        what_was_written_otherwise_turns_it_off,
        a_setting_that_was_away_while_the_column_was_written_otherwise,
        a_target_made_by_hand_and_a_promise_that_comes_back,
        a_rebuilt_target_and_a_window,
        a_partition_column_in_the_key_needs_no_promise,
    ]
}

/// The statements of all merges that were asked for, in order.
fn merges(place: &Place) -> Vec<String> {
    let seen = place.gate.seen();
    let merge = seen.iter().filter(|seen| seen.inserts_job().is_some_and(|id| id.starts_with("hw_merge_")));
    // a swap is a copy, and has no statement
    merge.filter_map(|seen| seen.body["configuration"]["query"]["query"].as_str().map(str::to_owned)).collect()
}

fn is_pruned(sql: &str) -> bool {
    sql.contains("BETWEEN") || sql.contains("T.`p` IS NULL")
}

/// Rows in four days, and without one.
const PG: &str = "
    CREATE TABLE t (id int PRIMARY KEY, v text, p timestamptz, u timestamptz NOT NULL);
    INSERT INTO t SELECT i, 'a', CASE WHEN i % 5 = 0 THEN NULL ELSE timestamptz '2026-01-01 12:00Z' + (i % 5) * interval '10 days' END,
                         timestamptz '2026-03-01Z' + i * interval '1 s' FROM generate_series(1, 300) i";

/// As [`PG`], in the days of a DATE and partitions of months.
const MY: &str = "
    CREATE TABLE t (id int PRIMARY KEY, v text, p date, u datetime(6) NOT NULL);
    INSERT INTO t SELECT seq, 'a', IF(seq % 5 = 0, NULL, DATE '2026-01-01' + INTERVAL (seq % 5) * 2 MONTH),
                         '2026-03-01' + INTERVAL seq SECOND FROM seq_1_to_300";

async fn old_and_new(place: &Place, change: impl AsyncFn(&str)) {
    place.sync(&["t"]).await;
    // an update in an old partition, one without a partition, a new row, one that comes late to an old partition
    change("UPDATE t SET v = 'b', u = '2026-03-02 00:00:01' WHERE id = 1; UPDATE t SET v = 'b', u = '2026-03-02 00:00:02' WHERE id = 5").await;
    change("INSERT INTO t VALUES (1001, 'n', '2026-06-01', '2026-03-02 00:00:03'), (1002, 'n', '2026-01-11', '2026-03-02 00:00:04')").await;
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.rows, report.outcome), (4, Outcome::Synced), "{report:?}");
    let last = merges(place).pop().unwrap();
    assert!(last.contains("BETWEEN") && last.contains("T.`p` IS NULL"), "{last}");
    // only rows without a partition
    change("UPDATE t SET v = 'c', u = '2026-03-03 00:00:01' WHERE id = 10").await;
    place.sync(&["t"]).await;
    let last = merges(place).pop().unwrap();
    assert!(last.contains("ON T.`id` = S.`id` AND (T.`p` IS NULL) WHEN"), "{last}");
    let report = place.assert_equal(&["t"]).await;
    assert_eq!((report.source_rows, report.target_rows), (302, 302));
    place.assert_clean().await;
}

async fn postgres_rows_in_old_and_new_partitions() {
    let place = Place::new().await;
    place.pg(PG).await;
    place.configure(&["t: { cursor: u, partition_by: p, partition_immutable: true, chunk_rows: 200 }"], &[], "");
    old_and_new(&place, async |sql| place.pg(sql).await).await;
}

async fn mariadb_rows_in_old_and_new_partitions() {
    let place = Place::new().await;
    place.my(MY).await;
    let table =
        "t: { cursor: u, partition_by: { column: p, unit: month }, partition_immutable: true, metadata_columns: true }";
    place.configure(&[], &[table], "");
    old_and_new(&place, async |sql| place.my(sql).await).await;
}

async fn a_row_that_moved_is_refused_by_the_sample() {
    let place = Place::new().await;
    place.pg(PG).await;
    place.configure(&["t: { cursor: u, partition_by: p }"], &[], "");
    place.sync(&["t"]).await;
    assert!(!is_pruned(&merges(&place).pop().unwrap()));
    place.pg("UPDATE t SET p = '2025-05-05T01:02:03Z', u = '2026-03-02Z' WHERE id = 7").await;
    place.configure(&["t: { cursor: u, partition_by: p, partition_immutable: true }"], &[], "");
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let told = "`partition_immutable` is said of pg/t, and \"p\" has changed: the row with the key [\"7\"] has 2025-05-05T01:02:03Z \
                at the source and 2026-01-21T12:00:00.000000 in demo.";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let rows = "SELECT CAST(COUNT(*) AS STRING), CAST(MAX(p) < '2026-03-01' AS STRING) FROM {d}.t";
    assert_eq!(place.bq(rows).await, [[Some("300".to_owned()), Some("true".to_owned())]]);
    // without the promise the row goes where it belongs
    place.configure(&["t: { cursor: u, partition_by: p }"], &[], "");
    place.sync(&["t"]).await;
    assert!(!is_pruned(&merges(&place).pop().unwrap()));
    place.assert_equal(&["t"]).await;
    // and with it again, as nothing has moved since
    place.pg("UPDATE t SET v = 'x', u = '2026-03-03Z' WHERE id = 7").await;
    place.configure(&["t: { cursor: u, partition_by: p, partition_immutable: true }"], &[], "");
    place.sync(&["t"]).await;
    assert!(is_pruned(&merges(&place).pop().unwrap()));
    place.assert_equal(&["t"]).await;
    place.assert_clean().await;
}

async fn a_move_that_the_sample_misses_is_found_by_verify() {
    let place = Place::new().await;
    place.pg(PG).await;
    place.configure(&["t: { cursor: u, partition_by: p, partition_immutable: true }"], &[], "");
    let name = "state/pg/t.json".to_owned();
    place.sync(&["t"]).await;
    // the first run has nothing to compare with, so the second one looks at the day's sample
    assert!(place.object(&name).await.unwrap().get("partition_check").is_none());
    place.pg("UPDATE t SET v = 'b', u = '2026-03-01 12:00Z' WHERE id = 1").await;
    place.sync(&["t"]).await;
    assert_eq!(place.object(&name).await.unwrap()["partition_check"]["rows"], 300);
    place.pg("UPDATE t SET p = '2025-05-05Z', u = '2026-03-02Z' WHERE id = 7").await;
    place.sync(&["t"]).await;
    let twice = "SELECT CAST(COUNT(*) AS STRING) FROM {d}.t WHERE id = 7";
    assert_eq!(place.bq_one(twice).await, "2", "this is what the promise is about");
    let (code, report) = place.verify(&["t"]).await;
    let named: Vec<(Difference, Vec<String>)> = report.keys.iter().map(|key| (key.kind, key.key.clone())).collect();
    assert_eq!((code, report.outcome), (1, VerifyOutcome::Differs), "{report:?}");
    assert_eq!(named.iter().map(|(_, key)| key.as_slice()).collect::<Vec<_>>(), [["7"]], "{report:?}");
    // the next day's sample finds it too
    let mut state = place.object(&name).await.unwrap();
    let at_us = state["partition_check"]["at_us"].as_i64().unwrap();
    state["partition_check"]["at_us"] = (at_us - 25 * 3_600_000_000).into();
    place.put(&name, &state.to_string()).await;
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("\"p\" has changed: the row with the key [\"7\"]"), "{}", ran.stderr);
    // the way out: no promise, the older twin away
    place.configure(&["t: { cursor: u, partition_by: p }"], &[], "");
    place.bq("DELETE FROM {d}.t WHERE id = 7 AND p = '2026-01-21 12:00:00+00'").await;
    place.sync(&["t"]).await;
    place.assert_equal(&["t"]).await;
}

async fn a_pending_chunk_is_finished_without_the_setting() {
    let place = Place::new().await;
    place.pg(PG).await;
    place.configure(&["t: { cursor: u, partition_by: p, partition_immutable: true }"], &[], "");
    place.sync(&["t"]).await;
    place.pg("UPDATE t SET v = 'b', u = '2026-03-02Z' WHERE id IN (1, 5)").await;
    leave_pending(&place, "t").await;
    place.configure(&["t: { cursor: u, partition_by: p }"], &[], "");
    place.pg("UPDATE t SET v = 'c', u = '2026-03-03Z' WHERE id = 2").await;
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.recovered, report.rows), (1, 3));
    let merges = merges(&place);
    let last: Vec<bool> = merges.iter().rev().take(2).map(|sql| is_pruned(sql)).collect();
    assert_eq!(last, [false, true], "the chunk that was found, then one of its own: {merges:?}");
    place.assert_equal(&["t"]).await;
    place.assert_clean().await;
}

async fn a_window_that_was_left_pending_is_read_again() {
    let place = Place::new().await;
    place.pg(PG).await;
    place.configure(&["t: { cursor: u, partition_by: p, partition_immutable: true }"], &[], "");
    place.sync(&["t"]).await;
    let backfill = ["backfill", "t", "--from", "2026-03-01", "--to", "2026-03-02"];
    place.gate.fail_jobs("_1", "quotaExceeded", "Quota exceeded: a test's");
    assert_eq!(place.run(&backfill).await.code, 75);
    place.gate.fail_jobs("(none)", "", "");
    let pending = place.objects("state/pg/t/windows/").await.remove(0);
    assert!(!place.object(&pending).await.unwrap()["intent"]["pruned"].is_null(), "{pending}");
    // the promise goes, a row moves and is brought: what was staged of it is older, and would not see it
    place.configure(&["t: { cursor: u, partition_by: p }"], &[], "");
    place.pg("UPDATE t SET p = '2025-05-05Z', u = '2026-03-02Z' WHERE id = 7").await;
    place.sync(&["t"]).await;
    let before = merges(&place).len();
    let ran = place.run(&backfill).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let merges = merges(&place).split_off(before);
    assert!(merges.len() == 1 && !is_pruned(&merges[0]), "{merges:?}");
    place.assert_equal(&["t"]).await;
    place.assert_clean().await;
}

async fn promises_that_cannot_hold_are_refused() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE c (id int PRIMARY KEY, u timestamptz NOT NULL);
             CREATE TABLE g (id int PRIMARY KEY, u timestamptz NOT NULL, d date GENERATED ALWAYS AS ((u AT TIME ZONE 'UTC')::date) STORED);
             CREATE TABLE k (id int NOT NULL, p date NOT NULL, u timestamptz NOT NULL)")
        .await;
    place
        .my("CREATE TABLE o (id int PRIMARY KEY, u datetime NOT NULL, p timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP);
              CREATE TABLE m (id int PRIMARY KEY, u datetime NOT NULL, d date AS (DATE(u)) STORED)")
        .await;
    place.configure(
        &[
            "c: { cursor: u, partition_by: u, partition_immutable: true }",
            "g: { cursor: u, partition_by: d, partition_immutable: true }",
            "k: { cursor: u, key: [id], partition_by: p, partition_immutable: true }",
        ],
        &[
            "o: { cursor: u, partition_by: p, partition_immutable: true }",
            "m: { cursor: u, partition_by: d, partition_immutable: true }",
        ],
        "",
    );
    let ways_out = "remove the setting, or partition by a column that is written once";
    for (table, column, why) in [
        ("pg/c", "u", "it is the cursor, which grows when a row changes"),
        ("pg/g", "d", "it is generated from \"u\", which changes with the row"),
        ("pg/k", "p", "the database does not keep the key unique"),
        ("my/o", "p", "the server sets it to the time of each change (`ON UPDATE`)"),
        ("my/m", "d", "it is generated from \"u\", which changes with the row"),
    ] {
        let ran = place.run(&["sync", table]).await;
        assert_eq!(ran.code, 2, "{table}: {}", ran.stderr);
        let told = format!("`partition_immutable: true` cannot hold for \"{column}\" of ");
        assert!(
            ran.stderr.contains(&told) && ran.stderr.contains(why) && ran.stderr.contains(ways_out),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(place.tables().await, Vec::<String>::new());
}

async fn what_was_written_otherwise_turns_it_off() {
    let place = Place::new().await;
    place.pg(PG).await;
    place.pg("INSERT INTO t VALUES (500, 'i', 'infinity', '2026-03-01 01:00Z')").await;
    let promise = "cursor: u, partition_by: p, partition_immutable: true";
    place.configure(&[&format!("t: {{ {promise} }}")], &[], "");
    place.sync(&["t"]).await;
    // what was NULL would be another partition's now
    place.configure(&[&format!("t: {{ {promise}, unrepresentable: {{ columns: {{ p: clamp }} }} }}")], &[], "");
    place.pg("UPDATE t SET v = 'j', u = '2026-03-02Z' WHERE id = 500").await;
    let report = place.sync(&["t"]).await.remove(0);
    assert!(!is_pruned(&merges(&place).pop().unwrap()));
    let note = "merges look at the whole target in spite of `partition_immutable`: `p` was written";
    assert!(report.notes.iter().any(|line| line.starts_with(note)), "{report:?}");
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t WHERE id = 500").await, "1");
    // back again: both kinds are there
    place.configure(&[&format!("t: {{ {promise} }}")], &[], "");
    place.pg("UPDATE t SET v = 'k', u = '2026-03-03Z' WHERE id = 500").await;
    place.sync(&["t"]).await;
    assert!(!is_pruned(&merges(&place).pop().unwrap()));
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t WHERE id = 500").await, "1");
    // a target that is made anew has rows of one kind
    place.bq("DROP TABLE {d}.t").await;
    assert_eq!(place.run(&["reset", "t"]).await.code, 0);
    place.sync(&["t"]).await;
    assert!(is_pruned(&merges(&place).pop().unwrap()));
    // a target with other partitions
    place.bq("CREATE TABLE {d}.x (id INT64 NOT NULL, v STRING, p TIMESTAMP, u TIMESTAMP NOT NULL)").await;
    place.configure(&[&format!("t: {{ {promise}, target: x }}")], &[], "");
    let ran = place.run(&["sync", "t", "--accept", "--json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let note = "in spite of `partition_immutable`: the target is not partitioned by `p`";
    assert!(ran.report().notes.iter().any(|line| line.ends_with(note)), "{}", ran.stdout);
}

const ONE_ROW: &str = "SELECT CAST(COUNT(*) AS STRING) FROM {d}.t WHERE id = 500";

async fn a_setting_that_was_away_while_the_column_was_written_otherwise() {
    let place = Place::new().await;
    place.pg(PG).await;
    place.pg("INSERT INTO t VALUES (500, 'i', 'infinity', '2026-03-01 01:00Z')").await;
    let promise = "cursor: u, partition_by: p, partition_immutable: true";
    place.configure(&[&format!("t: {{ {promise} }}")], &[], "");
    place.sync(&["t"]).await;
    assert!(is_pruned(&merges(&place).pop().unwrap()));
    // a window would leave no note for the live sync, whose merges rest on it
    place.configure(&["t: { cursor: u, unrepresentable: { columns: { p: clamp } } }"], &[], "");
    let backfill = ["backfill", "t", "--from", "2026-03-01", "--to", "2026-03-02"];
    let ran = place.run(&backfill).await;
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("its partition column is written otherwise now"), "{}", ran.stderr);
    // the live sync notes it, though nothing says any more that the column is one of partitions
    place.pg("UPDATE t SET v = 'j', u = '2026-03-02Z' WHERE id = 500").await;
    place.sync(&["t"]).await;
    place.configure(&[&format!("t: {{ {promise} }}")], &[], "");
    place.pg("UPDATE t SET v = 'k', u = '2026-03-03Z' WHERE id = 500").await;
    let report = place.sync(&["t"]).await.remove(0);
    assert!(!is_pruned(&merges(&place).pop().unwrap()));
    assert!(report.notes.iter().any(|line| line.contains("`p` was written in other ways too")), "{report:?}");
    assert_eq!(place.bq_one(ONE_ROW).await, "1");
    let ran = place.run(&backfill).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!is_pruned(&merges(&place).pop().unwrap()));
    assert_eq!(place.bq_one(ONE_ROW).await, "1");
}

async fn a_target_made_by_hand_and_a_promise_that_comes_back() {
    let place = Place::new().await;
    place.pg(PG).await;
    let (promised, not) = ("cursor: u, partition_by: p, partition_immutable: true", "cursor: u, partition_by: p");
    let set = |how: &str, target: &str| place.configure(&[&format!("t: {{ {how}, target: {target} }}")], &[], "");
    let columns = "(id INT64 NOT NULL, v STRING, p TIMESTAMP, u TIMESTAMP NOT NULL) PARTITION BY DATE(p)";
    // makes the dataset where it should be
    place.pg("CREATE TABLE s (id int PRIMARY KEY)").await;
    place.configure(&["s: { cursor: id }"], &[], "");
    place.sync(&["s"]).await;
    place.bq(&format!("CREATE TABLE {{d}}.x {columns}")).await;
    place.bq("INSERT INTO {d}.x VALUES (1, 'x', '2020-01-01 00:00:00+00', '2020-01-01 00:00:00+00')").await;
    set(promised, "x");
    let report = place.sync(&["t"]).await.remove(0);
    assert!(!is_pruned(&merges(&place).pop().unwrap()));
    let note = "`p` was written in a way that was not noted";
    assert!(report.notes.iter().any(|line| line.contains(note)), "{report:?}");
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.x WHERE id = 1").await, "1");
    // an empty one
    place.bq(&format!("CREATE TABLE {{d}}.t {columns}")).await;
    assert_eq!(place.run(&["reset", "t"]).await.code, 0);
    set(promised, "t");
    place.sync(&["t"]).await;
    assert!(is_pruned(&merges(&place).pop().unwrap()));
    // the look is of a promise that is no more
    let name = "state/pg/t.json".to_owned();
    place.sync(&["t"]).await;
    assert_eq!(place.object(&name).await.unwrap()["partition_check"]["rows"], 300);
    set(not, "t");
    place.sync(&["t"]).await;
    assert!(place.object(&name).await.unwrap().get("partition_check").is_none());
    place.pg("UPDATE t SET p = '2025-05-05Z', u = '2026-03-02Z' WHERE id = 7").await;
    set(promised, "t");
    let ran = place.run(&["sync", "t", "--dry-run"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stderr.contains("has not moved"), "{}", ran.stderr);
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("\"p\" has changed: the row with the key [\"7\"]"), "{}", ran.stderr);
}

async fn a_rebuilt_target_and_a_window() {
    let place = Place::new().await;
    place.pg(PG).await;
    let promise = "cursor: u, partition_by: p, partition_immutable: true, schema: { incompatible: rebuild }";
    place.configure(&[&format!("t: {{ {promise}, unrepresentable: {{ columns: {{ p: clamp }} }} }}")], &[], "");
    place.sync(&["t"]).await;
    // what the old target's rows are like is nothing to the new one
    place.configure(&[&format!("t: {{ {promise} }}")], &[], "");
    place.pg("ALTER TABLE t ALTER v TYPE int USING id").await;
    place.sync(&["t"]).await;
    place.pg("UPDATE t SET v = 0, u = '2026-03-02Z' WHERE id = 7").await;
    place.sync(&["t"]).await;
    assert!(is_pruned(&merges(&place).pop().unwrap()));
    let before = merges(&place).len();
    let ran = place.run(&["backfill", "t", "--from", "2026-03-01", "--to", "2026-03-02"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let merges = merges(&place);
    assert!(merges.len() > before && is_pruned(merges.last().unwrap()));
    place.assert_equal(&["t"]).await;
    place.assert_clean().await;
}

async fn a_partition_column_in_the_key_needs_no_promise() {
    let place = Place::new().await;
    place
        .my("CREATE TABLE t (id int, p date, v text, u datetime NOT NULL, PRIMARY KEY (id, p));
              INSERT INTO t VALUES (1, '2026-01-01', 'a', '2026-03-01'), (1, '2026-01-02', 'b', '2026-03-01')")
        .await;
    place.configure(&[], &["t: { cursor: u, partition_by: p }"], "");
    place.sync(&["t"]).await;
    // the key of a row is another row's now
    place.my("UPDATE t SET p = '2026-01-03', u = '2026-03-02' WHERE p = '2026-01-02'; UPDATE t SET v = 'c', u = '2026-03-02' WHERE p = '2026-01-01'").await;
    place.sync(&["t"]).await;
    let last = merges(&place).pop().unwrap();
    assert!(
        last.contains("BETWEEN DATE '2026-01-01' AND DATE '2026-01-01' OR T.`p` BETWEEN DATE '2026-01-03'"),
        "{last}"
    );
    let rows = place.bq("SELECT CAST(p AS STRING), v FROM {d}.t ORDER BY p").await;
    let row = |p: &str, v: &str| vec![Some(p.to_owned()), Some(v.to_owned())];
    assert_eq!(rows, [row("2026-01-01", "c"), row("2026-01-02", "b"), row("2026-01-03", "b")]);
}
