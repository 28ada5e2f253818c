//! `verify`: equal tables of every type are equal, differences are named by key, rows on their way are none, and
//! `--repair` mends what was named and nothing else.

mod types;

use highwater::model::Difference;
use highwater::report::{VerifyOutcome, VerifyReport, WindowVerdict};

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::sync::{my_wide, pg_wide};

pub fn tests() -> Vec<Test> {
    let mut tests = served_tests![
        postgres_differences_are_named_and_mended,
        mariadb_differences_are_named_and_mended,
        rows_on_their_way_are_no_differences,
        composite_and_text_keys,
        replace_and_tables_without_a_key,
        append_is_mended_by_rows_that_are_missing,
        numbers_and_bounds_make_windows,
        soft_deleted_and_filtered_rows_do_not_count,
        a_pending_intent_is_finished_first,
        a_repair_that_dies_is_finished_by_the_next_run,
        more_differences_than_are_named,
        output_for_people_and_spreadsheets,
    ];
    tests.extend(types::tests());
    tests
}

/// The large ones (`make soak`).
pub fn large() -> Vec<Test> {
    served_tests![a_million_rows_are_equal]
}

impl Place {
    /// Runs `highwater verify --json ARGS`; exit status and report.
    pub async fn verify(&self, args: &[&str]) -> (i32, VerifyReport) {
        let all: Vec<&str> = ["verify", "--json"].iter().chain(args).copied().collect();
        let ran = self.run(&all).await;
        let report = serde_json::from_str(ran.stdout.trim()).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
        (ran.code, report)
    }

    /// As [`Place::verify`]; the two must be equal.
    pub async fn assert_equal(&self, args: &[&str]) -> VerifyReport {
        let (code, report) = self.verify(args).await;
        assert_eq!((code, report.outcome), (0, VerifyOutcome::Equal), "{report:?}");
        report
    }
}

/// Kind and key of every difference, sorted.
fn named(report: &VerifyReport) -> Vec<(Difference, String)> {
    let mut keys: Vec<(Difference, String)> = report.keys.iter().map(|key| (key.kind, key.key.join("/"))).collect();
    keys.sort();
    keys
}

fn named_as(keys: &[(Difference, &str)]) -> Vec<(Difference, String)> {
    keys.iter().map(|(kind, key)| (*kind, (*key).to_owned())).collect()
}

async fn planted_and_mended(place: &Place, metadata: bool) {
    place.sync(&["wide", "--until-caught-up"]).await;
    let report = place.assert_equal(&["wide"]).await;
    assert_eq!((report.source_rows, report.target_rows), (5_000, 5_000));
    let left: Vec<&str> = report.not_compared.iter().map(|left| left.column.as_str()).collect();
    assert_eq!(left, ["f", "g", "r"], "{report:?}");
    place.bq("UPDATE {d}.wide SET j = 'other' WHERE id = 77").await;
    place.bq("DELETE FROM {d}.wide WHERE id = 4000").await;
    place.bq("INSERT INTO {d}.wide (id, a, e, h, j, updated_at) SELECT 900001, a, e, h, j, updated_at FROM {d}.wide WHERE id = 5").await;
    let planted =
        named_as(&[(Difference::Changed, "77"), (Difference::Missing, "4000"), (Difference::Extra, "900001")]);
    let (code, report) = place.verify(&["wide"]).await;
    assert_eq!((code, report.outcome, named(&report)), (1, VerifyOutcome::Differs, planted.clone()), "{report:?}");
    let state = place.objects("state/").await;
    let watermark = place.object(&state[0]).await.unwrap()["watermark"].clone();
    // what is extra stays without leave
    let (code, report) = place.verify(&["wide", "--repair"]).await;
    assert_eq!((code, report.outcome, named(&report)), (1, VerifyOutcome::Differs, planted), "{report:?}");
    let (code, report) = place.verify(&["wide"]).await;
    assert_eq!((code, named(&report)), (1, named_as(&[(Difference::Extra, "900001")])));
    let (code, report) = place.verify(&["wide", "--repair", "--delete-extra"]).await;
    assert_eq!((code, report.outcome), (0, VerifyOutcome::Repaired), "{report:?}");
    place.assert_equal(&["wide"]).await;
    assert_eq!(place.object(&state[0]).await.unwrap()["watermark"], watermark, "the watermark stays");
    let count = place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.wide").await;
    assert_eq!(count, if metadata { "5001" } else { "5000" });
    place.assert_clean().await;
}

async fn postgres_differences_are_named_and_mended() {
    let place = Place::new().await;
    place.pg(&pg_wide(5_000)).await;
    place.configure(&["wide: { cursor: updated_at, chunk_rows: 2000 }"], &[], "");
    planted_and_mended(&place, false).await;
}

async fn mariadb_differences_are_named_and_mended() {
    let place = Place::new().await;
    place.my(&my_wide(5_000)).await;
    place.configure(&[], &["wide: { cursor: updated_at, chunk_rows: 2000, metadata_columns: true }"], "");
    planted_and_mended(&place, true).await;
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.wide WHERE _deleted_at IS NOT NULL").await, "1");
}

async fn rows_on_their_way_are_no_differences() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL);
             INSERT INTO t SELECT i, 'a', timestamptz '2026-01-01' + i * interval '1 min' FROM generate_series(1, 2000) i")
        .await;
    place
        .my("CREATE TABLE m (id int PRIMARY KEY, v text, u datetime(6) NOT NULL);
              INSERT INTO m SELECT seq, 'a', '2026-01-01' + INTERVAL seq MINUTE FROM seq_1_to_2000")
        .await;
    place.configure(&["t: { cursor: u }"], &["m: { cursor: u }"], "");
    place.sync(&["--all"]).await;
    // changed since, and new: beyond the watermark
    place.pg("UPDATE t SET v = 'b', u = now() WHERE id % 100 = 0; INSERT INTO t VALUES (5000, 'n', now())").await;
    place
        .my("UPDATE m SET v = 'b', u = utc_timestamp(6) WHERE id % 100 = 0;
              INSERT INTO m VALUES (5000, 'n', utc_timestamp(6))")
        .await;
    for table in ["t", "m"] {
        let report = place.assert_equal(&[table]).await;
        assert_eq!(report.moving, 20, "{report:?}");
        assert!(report.windows.iter().any(|window| window.checksum == WindowVerdict::Moving));
    }
    // and beside them, one that was lost
    place.bq("DELETE FROM {d}.t WHERE id = 7").await;
    let (code, report) = place.verify(&["t"]).await;
    assert_eq!((code, named(&report), report.moving), (1, named_as(&[(Difference::Missing, "7")]), 20), "{report:?}");
}

async fn composite_and_text_keys() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (a text, b bytea, c date, v text, u timestamptz NOT NULL, PRIMARY KEY (a, b, c));
             INSERT INTO t SELECT 'k''\\\" |~' || chr(9731) || i, decode(lpad(to_hex(i), 8, '0'), 'hex'), date '2026-01-01' + i, 'v', '2026-01-01'
               FROM generate_series(1, 300) i")
        .await;
    place.my("CREATE TABLE m (a varchar(20) COLLATE utf8mb4_general_ci, b varbinary(8), c enum('x','y'), d decimal(6,2), v text, u datetime NOT NULL,
                PRIMARY KEY (a, b, c, d));
              INSERT INTO m SELECT concat('K''\\\\\"', seq), unhex(lpad(hex(seq), 8, '0')), IF(seq % 2, 'x', 'y'), seq / 4, 'v', '2026-01-01' FROM seq_1_to_300").await;
    place.configure(&["t: { cursor: u }"], &["m: { cursor: u }"], "");
    place.sync(&["--all"]).await;
    for (table, last) in [("t", "2026-01-08"), ("m", "1.75")] {
        place.assert_equal(&[table]).await;
        place.bq(&format!("UPDATE {{d}}.{table} SET v = NULL WHERE TO_HEX(b) = '00000007'")).await;
        place.bq(&format!("DELETE FROM {{d}}.{table} WHERE TO_HEX(b) = '00000009'")).await;
        // of a key that differs by case alone, the source has none
        place.bq(&format!("UPDATE {{d}}.{table} SET a = LOWER(a), b = b'x' WHERE TO_HEX(b) = '0000000b'")).await;
        let (code, report) = place.verify(&[table]).await;
        let kinds: Vec<Difference> = named(&report).into_iter().map(|(kind, _)| kind).collect();
        let wanted = [Difference::Changed, Difference::Missing, Difference::Missing, Difference::Extra];
        assert_eq!((code, kinds.as_slice()), (1, wanted.as_slice()), "{report:?}");
        assert_eq!(named(&report)[0].1.rsplit('/').next(), Some(last), "{report:?}");
        let (code, report) = place.verify(&[table, "--repair", "--delete-extra"]).await;
        assert_eq!((code, report.outcome), (0, VerifyOutcome::Repaired), "{report:?}");
        place.assert_equal(&[table]).await;
    }
}

async fn replace_and_tables_without_a_key() {
    let place = Place::new().await;
    place.pg("CREATE TABLE keyed (id int PRIMARY KEY, v text); INSERT INTO keyed SELECT i, 'v' || i FROM generate_series(1, 500) i;
              CREATE TABLE bare (v text, n int); INSERT INTO bare SELECT 'v' || i % 7, i % 3 FROM generate_series(1, 500) i").await;
    place.configure(&["keyed: { mode: replace }", "bare: { mode: replace }"], &[], "");
    place.sync(&["--all"]).await;
    assert_eq!(place.assert_equal(&["keyed"]).await.windows.len(), 1);
    place.assert_equal(&["bare"]).await;
    place.bq("UPDATE {d}.keyed SET v = 'x' WHERE id = 3").await;
    place.bq("DELETE FROM {d}.bare WHERE v = 'v1' AND n = 1").await;
    let (code, report) = place.verify(&["keyed"]).await;
    assert_eq!((code, named(&report)), (1, named_as(&[(Difference::Changed, "3")])), "{report:?}");
    let (code, report) = place.verify(&["bare"]).await;
    assert_eq!((code, report.outcome, report.keys.len()), (1, VerifyOutcome::Differs, 0), "{report:?}");
    assert!(
        report.source_rows > report.target_rows && report.notes.iter().any(|note| note.contains("cannot be named")),
        "{report:?}"
    );
    let (code, report) = place.verify(&["keyed", "--repair"]).await;
    assert_eq!(code, 2, "{report:?}");
    assert!(report.error.unwrap().message.contains("mode: replace"));
}

async fn append_is_mended_by_rows_that_are_missing() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i").await;
    place.configure(&["t: { mode: append, cursor: id }"], &[], "");
    place.sync(&["t"]).await;
    place.assert_equal(&["t"]).await;
    place.bq("DELETE FROM {d}.t WHERE id IN (5, 500)").await;
    place.bq("UPDATE {d}.t SET v = 'x' WHERE id = 9").await;
    let (code, report) = place.verify(&["t", "--repair"]).await;
    let planted = [(Difference::Changed, "9"), (Difference::Missing, "5"), (Difference::Missing, "500")];
    assert_eq!((code, report.outcome, named(&report)), (1, VerifyOutcome::Differs, named_as(&planted)), "{report:?}");
    let (code, report) = place.verify(&["t"]).await;
    assert_eq!((code, named(&report)), (1, named_as(&planted[..1])), "{report:?}");
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "1000");
}

async fn numbers_and_bounds_make_windows() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t SELECT i * 10 - 5000, 'v' FROM generate_series(1, 250000) i;
              CREATE TABLE days (id int PRIMARY KEY, u timestamp NOT NULL);
              INSERT INTO days SELECT i, timestamp '2026-01-01' + i * interval '1 hour' FROM generate_series(1, 240) i").await;
    place.configure(&["t: { cursor: id, chunk_rows: 1000000 }", "days: { cursor: u }"], &[], "");
    place.sync(&["--all"]).await;
    let report = place.assert_equal(&["t"]).await;
    assert_eq!(report.windows.len(), 3, "{:?}", report.windows);
    assert_eq!(
        (report.windows[0].from.as_deref(), report.source_rows),
        (Some("-4990"), 250_000),
        "{:?}",
        report.windows
    );
    place.bq("UPDATE {d}.t SET v = 'x' WHERE id = 5000").await;
    let (_, report) = place.verify(&["t"]).await;
    let differ: Vec<bool> = report.windows.iter().map(|window| window.checksum == WindowVerdict::Differs).collect();
    assert_eq!((differ, named(&report)), (vec![true, false, false], named_as(&[(Difference::Changed, "5000")])));
    assert_eq!(place.assert_equal(&["t", "--from", "5001"]).await.source_rows, 250_000 - 1_000);
    let report = place.assert_equal(&["days"]).await;
    let windows: Vec<&str> = report.windows.iter().map(|window| window.window.as_str()).collect();
    assert_eq!((windows.len(), windows[0]), (11, "2026-01-01"));
    assert_eq!(place.assert_equal(&["days", "--by", "hour"]).await.windows.len(), 240);
    assert_eq!(place.assert_equal(&["days", "--by", "month"]).await.windows.len(), 1);
    let report = place.assert_equal(&["days", "--from", "2026-01-03", "--to", "2026-01-04T12:00:00"]).await;
    assert_eq!(report.source_rows, 36);
    for wrong in [["days", "--from", "yesterday"], ["t", "--by", "day"]] {
        assert_eq!(place.verify(&wrong).await.0, 2);
    }
}

async fn soft_deleted_and_filtered_rows_do_not_count() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL);
              INSERT INTO t SELECT i, 'v', '2026-01-01' FROM generate_series(1, 100) i")
        .await;
    place.configure(&["t: { cursor: u, where: 'id > 10', metadata_columns: true }"], &[], "");
    place.sync(&["t"]).await;
    assert_eq!(place.assert_equal(&["t"]).await.source_rows, 90);
    place.bq("UPDATE {d}.t SET _deleted_at = CURRENT_TIMESTAMP() WHERE id = 50").await;
    let (_, report) = place.verify(&["t"]).await;
    assert_eq!(named(&report), named_as(&[(Difference::Missing, "50")]));
    place.pg("DELETE FROM t WHERE id = 50").await;
    place.assert_equal(&["t"]).await;
}

async fn a_pending_intent_is_finished_first() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t VALUES (1, '2026-01-01')")
        .await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.assert_equal(&["t"]).await;
    let mut env = place.env();
    env.push(("HIGHWATER_FAULTS".into(), "intent-written:crash".into()));
    crate::support::process::run(place.folder.path(), &env, &["sync", "t"]).await;
    let (code, report) = place.verify(&["t"]).await;
    assert_eq!(code, 75, "{report:?}");
    assert!(report.error.unwrap().message.contains("is pending"));
    place.sync(&["t"]).await;
    assert_eq!(place.assert_equal(&["t"]).await.source_rows, 1);
}

async fn a_repair_that_dies_is_finished_by_the_next_run() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL);
              INSERT INTO t SELECT i, 'v', '2026-01-01' FROM generate_series(1, 100) i")
        .await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    let watermark = place.object("state/pg/t.json").await.unwrap()["watermark"].clone();
    for point in ["staged", "intent-written", "loaded", "merged"] {
        place.bq("DELETE FROM {d}.t WHERE id IN (5, 50)").await;
        // whatever its cursor says, what is at the source counts
        place.bq("UPDATE {d}.t SET v = 'x', u = TIMESTAMP '2025-01-01' WHERE id = 7").await;
        let mut env = place.env();
        env.push(("HIGHWATER_FAULTS".into(), format!("{point}:crash")));
        crate::support::process::run(place.folder.path(), &env, &["verify", "t", "--repair"]).await;
        place.sync(&["t"]).await;
        let (code, report) = place.verify(&["t", "--repair"]).await;
        let wanted = if point == "staged" { VerifyOutcome::Repaired } else { VerifyOutcome::Equal };
        assert_eq!((code, report.outcome), (0, wanted), "{point}: {report:?}");
        assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "100", "{point}");
        assert_eq!(place.object("state/pg/t.json").await.unwrap()["watermark"], watermark, "{point}");
    }
}

async fn more_differences_than_are_named() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, v int, u timestamptz NOT NULL);
              INSERT INTO t SELECT i, i, '2026-01-01' FROM generate_series(1, 3000) i")
        .await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    place.bq("UPDATE {d}.t SET v = 0 WHERE TRUE").await;
    let (code, report) = place.verify(&["t", "--keys", "10"]).await;
    assert_eq!((code, report.keys.len()), (1, 10), "{report:?}");
    assert_eq!(report.keys.len() as u64 + report.unnamed + report.unopened_rows, 3_000, "{report:?}");
}

async fn output_for_people_and_spreadsheets() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, v text, f float8, u timestamptz NOT NULL);
              INSERT INTO t SELECT i, 'v', i, '2026-01-01' FROM generate_series(1, 10) i")
        .await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    place.bq("DELETE FROM {d}.t WHERE id = 3").await;
    let ran = place.run(&["verify", "t"]).await;
    assert_eq!(ran.code, 1);
    for line in
        ["2026-01-01", "pg/t: missing [\"3\"]", "pg/t: column f is not compared: ", "bytes processed by BigQuery"]
    {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    let ran = place.run(&["verify", "t", "--csv"]).await;
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "source,table,kind,window,from,to,source_rows,target_rows,verdict,key");
    assert_eq!(lines[1], "pg,t,window,2026-01-01,2026-01-01T00:00:00.000000,2026-01-01T00:00:00.000000,10,9,differs,");
    assert_eq!(lines[2], "pg,t,missing,,,,,,missing,3");
    assert_eq!(lines.last(), Some(&"pg,t,total,,,,10,9,differs,"));
}

async fn a_million_rows_are_equal() {
    const ROWS: u32 = 1_000_000;
    let place = Place::new().await;
    place.pg(&pg_wide(ROWS)).await;
    place.configure(&["wide: { cursor: updated_at }"], &[], "server: { run_budget: 2h }");
    let synced = place.sync(&["wide", "--until-caught-up"]).await.remove(0);
    let report = place.assert_equal(&["wide"]).await;
    assert_eq!((report.source_rows, report.target_rows), (ROWS.into(), ROWS.into()));
    eprintln!(
        "soak: verify of {ROWS} rows, {} columns: {} ms; the sync of them took {} ms",
        report.columns, report.duration_ms, synced.durations_ms.total
    );
    place.bq("UPDATE {d}.wide SET j = 'other' WHERE id = 777777").await;
    place.bq("DELETE FROM {d}.wide WHERE id = 400000").await;
    let (_, report) = place.verify(&["wide"]).await;
    let planted = [(Difference::Changed, "777777"), (Difference::Missing, "400000")];
    assert_eq!(named(&report), named_as(&planted));
    eprintln!("soak: two differences of {ROWS} rows named in {} ms", report.duration_ms);
}
