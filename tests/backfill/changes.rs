//! Backfills of tables whose settings change, that are reset, read again, or found by a pattern.

use super::{hours, ids, lines};
use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::support::process;

pub fn tests() -> Vec<Test> {
    served_tests![
        windows_go_by_the_settings_that_they_were_begun_with,
        a_windows_intent_can_be_dropped,
        a_synced_table_is_read_again_by_its_key,
        gaps_of_tables_that_a_pattern_found,
    ]
}

/// A command that dies at that point.
async fn dies(place: &Place, point: &str, args: &[&str]) {
    let mut env = place.env();
    env.push(("HIGHWATER_FAULTS".into(), format!("{point}:crash")));
    let died = process::run(place.folder.path(), &env, args).await;
    assert_eq!(died.code, -1, "{died:?}");
}

async fn windows_go_by_the_settings_that_they_were_begun_with() {
    let place = Place::new().await;
    hours(&place).await;
    place
        .pg("ALTER TABLE t ADD w timestamptz; UPDATE t SET w = u - interval '2 h'; ALTER TABLE t ALTER w SET NOT NULL")
        .await;
    let day = ["backfill", "t", "--from", "2024-01-02", "--to", "2024-01-03", "--json"];
    let configure = |table: &str| place.configure(&[table], &[], "");
    configure("t: { cursor: u, chunk_rows: 10 }");
    dies(&place, "committed", &day).await;
    // nothing was synced yet, and still a position in another order would leave rows out
    configure("t: { cursor: w, chunk_rows: 10 }");
    let ran = place.run(&day).await;
    assert!(ran.code == 2 && ran.stderr.contains("the settings of pg/t changed"), "{ran:?}");
    configure("t: { cursor: u, chunk_rows: 10 }");
    assert_eq!(lines(&place, &day).await[0]["window"]["rows"], 24);
    place.sync(&["t", "--until-caught-up"]).await;
    // settings that somebody accepts: what was begun with the others is read from its first row
    let next = ["backfill", "t", "--from", "2024-01-05", "--to", "2024-01-06", "--json"];
    dies(&place, "committed", &next).await;
    configure("t: { cursor: u, chunk_rows: 10, where: id >= 0 }");
    place.sync(&["t", "--accept"]).await;
    let report = lines(&place, &next).await.remove(0);
    // a chunk of then was pending, and is finished as it was
    assert_eq!((&report["recovered"], &report["window"]["rows"]), (&1.into(), &24.into()), "{report}");
    assert!(report["notes"][0].as_str().unwrap().contains("it is read from its first row"), "{report}");
    // a target that is gone is not filled by windows as if nothing had been
    assert_eq!(ids(&place, "t").await, place.pg_rows("SELECT id::text, v FROM t ORDER BY t.id").await);
    place.bq("DROP TABLE {d}.t").await;
    let ran = place.run(&["backfill", "t", "--from", "2024-01-07", "--to", "2024-01-08"]).await;
    assert!(ran.code == 2 && ran.stderr.contains(" is gone, and the watermark of pg/t says"), "{ran:?}");
}

async fn a_windows_intent_can_be_dropped() {
    let place = Place::new().await;
    hours(&place).await;
    place.configure(&["t: { mode: append, cursor: u, backfill_start: 2024-01-08 }"], &[], "");
    place.sync(&["t"]).await;
    let args = ["backfill", "t", "--from", "2024-01-06", "--to", "2024-01-08", "--parallel", "1"];
    dies(&place, "intent-written", &args).await;
    let ran = place.run(&["reset", "t"]).await;
    assert!(ran.code == 2 && ran.stderr.contains("HW-RESET-TWICE"), "{ran:?}");
    let ran = place.run(&["reset", "t", "--again"]).await;
    assert!(ran.code == 2 && ran.stderr.contains("of a backfill is pending (state/pg/t/windows/2024-01-06"), "{ran:?}");
    let before = place.object("state/pg/t.json").await.unwrap();
    assert_eq!(place.run(&["reset", "t", "--drop-intent", "--keep-watermark"]).await.code, 0);
    assert_eq!(place.object("state/pg/t.json").await.unwrap()["watermark"], before["watermark"]);
    place.assert_clean().await;
    // one that was applied already is not dropped: its rows would come twice
    dies(&place, "merged", &args).await;
    assert_eq!(place.run(&["reset", "t", "--drop-intent", "--keep-watermark"]).await.code, 0);
    assert_eq!(place.run(&args).await.code, 0);
    let source = place.pg_rows("SELECT id::text, v FROM t WHERE u >= '2024-01-06Z' ORDER BY t.id").await;
    assert_eq!(ids(&place, "t").await, source);
    place.assert_clean().await;
}

async fn a_synced_table_is_read_again_by_its_key() {
    let place = Place::new().await;
    hours(&place).await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    place.bq("DELETE FROM {d}.t WHERE id IN (5, 105, 205)").await;
    let args = ["backfill", "t", "--by", "key", "--window-rows", "100", "--json"];
    assert_eq!(lines(&place, &args).await.len(), 3);
    assert_eq!(ids(&place, "t").await.len(), 240);
    let again = lines(&place, &args).await;
    assert!(again.len() == 3 && again.iter().all(|report| report["rows"] == 0), "what is complete is not read again");
    place.bq("DELETE FROM {d}.t WHERE id = 7").await;
    assert_eq!(lines(&place, &[&args[..], &["--again"]].concat()).await.len(), 3);
    assert_eq!(ids(&place, "t").await.len(), 240);
    assert!(place.object("state/pg/t.json").await.unwrap()["load"].is_null());
    place.assert_clean().await;
}

async fn gaps_of_tables_that_a_pattern_found() {
    let place = Place::new().await;
    hours(&place).await;
    place.configure(&["\"*\": { cursor: [changed, u] }"], &[], "");
    place.sync(&["--all"]).await;
    place.bq("DELETE FROM {d}.t WHERE id = 30").await;
    let ran = place.run(&["gaps", "--all"]).await;
    assert!(ran.code == 1 && ran.stdout.contains("2024-01-02..2024-01-03"), "{ran:?}");
    let ran = place.run(&["gaps", "t", "--from", "2024-01-03", "--fill"]).await;
    assert!(ran.code == 0 && ran.stdout.contains("8 windows counted"), "{ran:?}");
    assert_eq!(place.run(&["gaps", "--all", "--fill"]).await.code, 0);
    assert_eq!(ids(&place, "t").await.len(), 240);
    place.assert_clean().await;
}
