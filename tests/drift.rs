//! What becomes of a target when the source's columns, or the settings, change between two runs.

use highwater::report::Outcome;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::support::process;

pub fn tests() -> Vec<Test> {
    served_tests![
        a_new_column_is_added_also_after_a_pending_intent,
        a_new_column_can_be_left_out_or_backfilled,
        a_dropped_column_is_null_from_now_on,
        not_null_is_relaxed,
        types_are_widened_in_place_also_after_a_pending_intent,
        a_narrower_source_type_goes_into_the_wider_column,
        an_incompatible_type_is_told_and_an_override_keeps_it,
        settings_that_make_the_watermark_wrong_are_refused,
        columns_that_were_left_out_are_not_forgotten,
        a_target_that_is_gone_is_told,
        a_target_that_goes_while_the_source_is_looked_at_is_told,
        a_target_is_created_only_where_that_is_wanted,
        names_stay_when_columns_come_and_go,
        a_column_that_may_not_be_read_any_more_is_told,
        a_column_that_mariadb_hides_is_told,
        a_whole_copy_leaves_no_watermark_behind,
        columns_that_settings_name_may_be_dropped,
    ]
}

pub fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub async fn field(place: &Place, table: &str, column: &str) -> (String, String) {
    let table = place.table(table).await;
    let fields = table["schema"]["fields"].as_array().unwrap();
    let found = fields.iter().find(|field| field["name"] == column).unwrap_or_else(|| panic!("{column}: {fields:?}"));
    (found["type"].as_str().unwrap().to_owned(), found["mode"].as_str().unwrap_or("NULLABLE").to_owned())
}

/// A run whose first job fails for a passing reason that this run does not wait for: its intent stays pending.
pub async fn leave_pending(place: &Place, table: &str) {
    place.gate.fail_jobs("_1", "quotaExceeded", "Quota exceeded: a test's");
    let ran = place.run(&["sync", table]).await;
    assert_eq!(ran.code, 75, "{}", ran.stderr);
    place.gate.fail_jobs("(none)", "", "");
    let name = place.objects("state/").await.remove(0);
    assert!(!place.object(&name).await.unwrap()["intent"].is_null());
}

const DAYS: [&str; 4] = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"];

async fn a_new_column_is_added_also_after_a_pending_intent() {
    let place = Place::new().await;
    place
        .my(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, u datetime NOT NULL); INSERT INTO t VALUES (1, '{}')",
            DAYS[0]
        ))
        .await;
    place.configure(&[], &["t: { cursor: u }"], "");
    place.sync(&["t"]).await;
    place.my(&format!("INSERT INTO t VALUES (2, '{}')", DAYS[1])).await;
    leave_pending(&place, "t").await;
    place.my(&format!("ALTER TABLE t ADD COLUMN v varchar(20) NOT NULL DEFAULT 'd' COMMENT 'new'; INSERT INTO t VALUES (3, '{}', 'x')", DAYS[2])).await;
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.recovered, report.rows), (1, 2));
    assert_eq!(field(&place, "t", "v").await, ("STRING".into(), "NULLABLE".into()));
    let rows = place.bq("SELECT CAST(id AS STRING), v FROM {d}.t ORDER BY id").await;
    assert_eq!(rows, [vec![some("1"), None], vec![some("2"), None], vec![some("3"), some("x")]]);
    place.assert_clean().await;
}

async fn a_new_column_can_be_left_out_or_backfilled() {
    let place = Place::new().await;
    for table in ["kept", "filled"] {
        place.pg(&format!("CREATE TABLE {table} (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO {table} SELECT i, '2024-01-01' FROM generate_series(1, 50) i")).await;
    }
    place.configure(
        &[
            "kept: { cursor: u, schema: { add: false } }",
            "filled: { cursor: u, chunk_rows: 20, schema: { backfill_added: true } }",
        ],
        &[],
        "",
    );
    place.sync(&["--all"]).await;
    for table in ["kept", "filled"] {
        place.pg(&format!("ALTER TABLE {table} ADD COLUMN v int NOT NULL DEFAULT 7; INSERT INTO {table} VALUES (51, '2024-01-02', 8)")).await;
    }
    let report = place.sync(&["kept"]).await.remove(0);
    assert_eq!(report.rows, 1);
    assert!(report.notes[0].contains("left out (`schema: {add: false}`): [\"v\"]"), "{:?}", report.notes);
    assert_eq!(place.table("kept").await["schema"]["fields"].as_array().unwrap().len(), 2);
    assert_eq!(place.sync(&["kept"]).await[0].outcome, Outcome::UpToDate);
    let report = place.sync(&["filled"]).await.remove(0);
    assert_eq!((report.rows, report.chunks), (51, 4), "{report:?}");
    let sums = place.bq("SELECT CAST(COUNT(*) AS STRING), CAST(SUM(v) AS STRING) FROM {d}.filled").await;
    assert_eq!(sums, [vec![some("51"), some("358")]]);
    assert_eq!(place.sync(&["filled"]).await[0].outcome, Outcome::UpToDate);
    // to add it after all leaves the rows of before without it, which is told
    place.configure(&["kept: { cursor: u }"], &[], "");
    let ran = place.run(&["sync", "kept"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("columns [\"v\"] were left out until now"), "{}", ran.stderr);
    assert_eq!(place.run(&["sync", "kept", "--accept"]).await.code, 0);
    assert_eq!(place.table("kept").await["schema"]["fields"].as_array().unwrap().len(), 3);
}

async fn a_dropped_column_is_null_from_now_on() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, gone text NOT NULL, tags text[], u timestamptz NOT NULL); INSERT INTO t VALUES (1, 'a', '{x}', '2024-01-01'), (2, 'b', '{y}', '2024-01-01')").await;
    place.configure(&["t: { cursor: u, arrays: repeated }"], &[], "");
    place.sync(&["t"]).await;
    place.pg("ALTER TABLE t DROP COLUMN gone, DROP COLUMN tags; UPDATE t SET u = '2024-01-02' WHERE id = 1; INSERT INTO t VALUES (3, '2024-01-02')").await;
    place.sync(&["t"]).await;
    let read = "SELECT CAST(id AS STRING), gone, ARRAY_TO_STRING(tags, '|') FROM {d}.t ORDER BY id";
    let empty = |row: &Vec<Option<String>>| row[2].as_deref().unwrap_or_default().is_empty();
    let rows = place.bq(read).await;
    assert_eq!((rows[0][1].clone(), rows[1][1].clone(), rows[2][1].clone()), (None, some("b"), None));
    assert!(empty(&rows[0]) && !empty(&rows[1]) && empty(&rows[2]), "{rows:?}");
    // also by the next run, whose state has to remember it
    place.pg("UPDATE t SET u = '2024-01-03' WHERE id = 2").await;
    place.sync(&["t"]).await;
    assert_eq!(place.bq(read).await[1][1], None);
    // a column that somebody added to the target is not ours to clear
    place.bq("ALTER TABLE {d}.t ADD COLUMN mine STRING").await;
    place.bq("UPDATE {d}.t SET mine = 'm' WHERE TRUE").await;
    place.pg("UPDATE t SET u = '2024-01-04'").await;
    place.sync(&["t"]).await;
    assert_eq!(place.bq_one("SELECT STRING_AGG(mine, '') FROM {d}.t").await, "mmm");
}

async fn not_null_is_relaxed() {
    let place = Place::new().await;
    place.my("CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL, u datetime NOT NULL); INSERT INTO t VALUES (1, 1, '2024-01-01')").await;
    place.configure(&[], &["t: { cursor: u }"], "");
    place.sync(&["t"]).await;
    assert_eq!(field(&place, "t", "v").await.1, "REQUIRED");
    place.my("ALTER TABLE t MODIFY v int NULL; INSERT INTO t VALUES (2, NULL, '2024-01-02')").await;
    place.sync(&["t"]).await;
    assert_eq!(field(&place, "t", "v").await.1, "NULLABLE");
    assert_eq!(place.bq("SELECT CAST(v AS STRING) FROM {d}.t ORDER BY id").await, [vec![some("1")], vec![None]]);
}

async fn types_are_widened_in_place_also_after_a_pending_intent() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, a int, b bigint, c int, d numeric(10,2), v varchar(3), u timestamptz NOT NULL);
             INSERT INTO t VALUES (1, 1, 1, 1, 1.5, 'abc', '2024-01-01')")
        .await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    place.pg("INSERT INTO t VALUES (2, 2, 2, 2, 2.5, 'abc', '2024-01-02')").await;
    leave_pending(&place, "t").await;
    place
        .pg("ALTER TABLE t ALTER a TYPE numeric(20,3), ALTER b TYPE numeric(30,15), ALTER c TYPE float8, ALTER d TYPE numeric(30,12), ALTER v TYPE varchar(50);
             INSERT INTO t VALUES (3, 3.125, 3.123456789012345, 3.25, 3.123456789012, 'abcdef', '2024-01-03')")
        .await;
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.recovered, report.rows), (1, 2), "{report:?}");
    for (column, ty) in [("a", "NUMERIC"), ("b", "BIGNUMERIC"), ("c", "FLOAT64"), ("d", "BIGNUMERIC"), ("v", "STRING")]
    {
        assert_eq!(field(&place, "t", column).await.0, ty, "{column}");
    }
    let rows = place.bq("SELECT CAST(a AS STRING), CAST(b AS STRING), CAST(c AS STRING), CAST(d AS STRING), v FROM {d}.t ORDER BY id").await;
    let number =
        |text: &Option<String>| text.as_deref().unwrap().trim_end_matches('0').trim_end_matches('.').to_owned();
    let plain = |row: &Vec<Option<String>>| row.iter().take(4).map(number).collect::<Vec<_>>();
    assert_eq!(plain(&rows[0]), ["1", "1", "1", "1.5"]);
    assert_eq!(plain(&rows[1]), ["2", "2", "2", "2.5"]);
    assert_eq!(plain(&rows[2]), ["3.125", "3.123456789012345", "3.25", "3.123456789012"]);
    assert_eq!(place.gate.inserted("hw_widen_").len(), 4);
}

async fn a_narrower_source_type_goes_into_the_wider_column() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id bigint PRIMARY KEY, a numeric(20,2), u timestamptz NOT NULL); INSERT INTO t VALUES (1, 7, '2024-01-01')").await;
    place.configure(&["t: { cursor: u, types: { id: NUMERIC } }"], &[], "");
    place.sync(&["t"]).await;
    place.pg("ALTER TABLE t ALTER a TYPE int; INSERT INTO t VALUES (2, 8, '2024-01-02'); UPDATE t SET a = 9, u = '2024-01-03' WHERE id = 1").await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    assert_eq!(
        (field(&place, "t", "id").await.0, field(&place, "t", "a").await.0),
        ("NUMERIC".into(), "NUMERIC".into())
    );
    assert_eq!(
        place.bq_one("SELECT STRING_AGG(CAST(CAST(a AS INT64) AS STRING), ',' ORDER BY id) FROM {d}.t").await,
        "9,8"
    );
}

async fn an_incompatible_type_is_told_and_an_override_keeps_it() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL); INSERT INTO t VALUES (1, '1', '2024-01-01')").await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    let before = place.object("state/pg/t.json").await.unwrap();
    place.pg("ALTER TABLE t ALTER v TYPE int USING v::int; INSERT INTO t VALUES (2, 2, '2024-01-02')").await;
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 1);
    let cause = "column \"v\" is STRING in BigQuery, and the source's type becomes INT64\n";
    let way_out = "way out: say `types: {v: STRING}` to keep the column as it is, or `schema: {incompatible: rebuild}`";
    assert!(ran.stderr.contains(cause) && ran.stderr.contains(way_out), "{}", ran.stderr);
    assert_eq!(place.object("state/pg/t.json").await.unwrap(), before, "nothing was written");
    place.configure(&["t: { cursor: u, types: { v: STRING } }"], &[], "");
    place.sync(&["t"]).await;
    assert_eq!(place.bq_one("SELECT STRING_AGG(v, ',' ORDER BY id) FROM {d}.t").await, "1,2");
}

async fn settings_that_make_the_watermark_wrong_are_refused() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, k int NOT NULL UNIQUE, e text, u timestamptz NOT NULL, w timestamptz NOT NULL); INSERT INTO t SELECT i, i, 'e', '2024-01-01', '2024-01-01' FROM generate_series(1, 5) i").await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    let before = place.object("state/pg/t.json").await.unwrap();
    for (settings, change) in [
        ("cursor: w", "cursor was `u`, is `w`"),
        ("cursor: u, key: k", "key was [\"id\"], is [\"k\"]"),
        ("cursor: u, mode: append", "mode was merge, is append"),
        ("cursor: u, where: id > 2", "where was none, is `id > 2`"),
        ("cursor: u, target: other", "target was demo."),
        ("cursor: u, hash: [e], hash_salt: s", "hash was [], is [\"e\"]"),
    ] {
        place.configure(&[&format!("t: {{ {settings} }}")], &[], "");
        let ran = place.run(&["sync", "t"]).await;
        assert_eq!(ran.code, 2, "{settings}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(change)
                && ran.stderr.contains("`highwater reset pg/t`")
                && ran.stderr.contains("--accept"),
            "{}",
            ran.stderr
        );
        assert_eq!(place.object("state/pg/t.json").await.unwrap(), before, "{settings}");
    }
    // the first way on
    place.configure(&["t: { cursor: w }"], &[], "");
    assert_eq!(place.run(&["reset", "t"]).await.code, 0);
    assert_eq!(place.sync(&["t"]).await[0].rows, 5);
    // the second
    place.configure(&["t: { cursor: w, where: id > 2 }"], &[], "");
    place.pg("UPDATE t SET w = '2024-01-02'").await;
    let report = place.sync(&["t", "--accept"]).await.remove(0);
    assert_eq!(report.rows, 3);
    // and is needed once
    assert_eq!(place.sync(&["t"]).await[0].outcome, Outcome::UpToDate);
    // a replace needs no watermark
    place.configure(&["t: { mode: replace }"], &[], "");
    assert_eq!(place.sync(&["t"]).await[0].rows, 5);
    place.configure(&["t: { mode: append, cursor: id }"], &[], "");
    assert_eq!(place.run(&["sync", "t"]).await.code, 2);
}

async fn columns_that_were_left_out_are_not_forgotten() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, v int, u timestamptz NOT NULL); INSERT INTO t VALUES (1, 7, '2024-01-01')").await;
    place.configure(&["t: { cursor: u, exclude_columns: [v] }"], &[], "");
    place.sync(&["t"]).await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("columns [\"v\"] were left out until now"), "{}", ran.stderr);
    place.configure(&["t: { cursor: u, schema: { backfill_added: true } }"], &[], "");
    place.sync(&["t"]).await;
    assert_eq!(place.bq_one("SELECT CAST(v AS STRING) FROM {d}.t").await, "7");
    // to leave out what was synced leaves it as it is
    place.configure(&["t: { cursor: u, exclude_columns: [v] }"], &[], "");
    place.pg("UPDATE t SET v = 8, u = '2024-01-02'").await;
    assert_eq!(place.sync(&["t"]).await[0].rows, 1);
    assert_eq!(place.bq_one("SELECT CAST(v AS STRING) FROM {d}.t").await, "7");
}

async fn a_target_that_is_gone_is_told() {
    let place = Place::new().await;
    place.my("CREATE TABLE t (id int PRIMARY KEY, u datetime NOT NULL); INSERT INTO t VALUES (1, '2024-01-01')").await;
    place.configure(&[], &["t: { cursor: u }"], "");
    place.sync(&["t"]).await;
    place.bq("DROP TABLE {d}.t").await;
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("is gone, and the watermark of my/t says that rows are in it"), "{}", ran.stderr);
    assert_eq!(place.run(&["reset", "t"]).await.code, 0);
    assert_eq!(place.sync(&["t"]).await[0].rows, 1);
}

async fn a_target_that_goes_while_the_source_is_looked_at_is_told() {
    let place = Place::new().await;
    place.my("CREATE TABLE t (id int PRIMARY KEY, u datetime NOT NULL); INSERT INTO t VALUES (1, '2024-01-01')").await;
    place.configure(&[], &["t: { cursor: u }"], "");
    place.sync(&["t"]).await;
    place.my("INSERT INTO t VALUES (2, '2024-01-02')").await;
    // the look at the target that is made beside the source's is old when it is needed
    let mut env = place.env();
    env.push(("HIGHWATER_FAULTS".into(), "described:delay=8000".into()));
    let (ran, _) = tokio::join!(process::run(place.folder.path(), &env, &["sync", "t"]), async {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        place.bq("DROP TABLE {d}.t").await;
    });
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("is gone, and the watermark of my/t says that rows are in it"), "{}", ran.stderr);
    let state = place.objects("state/").await.remove(0);
    assert!(place.object(&state).await.unwrap()["intent"].is_null());
}

async fn a_target_is_created_only_where_that_is_wanted() {
    let place = Place::new().await;
    place.my("CREATE TABLE t (id int PRIMARY KEY, u datetime NOT NULL); INSERT INTO t VALUES (1, '2024-01-01')").await;
    place.configure(&[], &["t: { cursor: u }"], "defaults: { create: false }");
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("does not exist, and the settings of my/t say `create: false`"), "{}", ran.stderr);
    assert_eq!(place.tables().await, Vec::<String>::new());
    // one that somebody made is filled
    place.configure(&[], &["t: { cursor: u }"], "");
    place.sync(&["t"]).await;
    assert_eq!(place.run(&["reset", "t"]).await.code, 0);
    place.configure(&[], &["t: { cursor: u, create: false }"], "");
    assert_eq!(place.sync(&["t"]).await[0].rows, 1);
}

async fn names_stay_when_columns_come_and_go() {
    let place = Place::new().await;
    place.pg(r#"CREATE TABLE t (id int PRIMARY KEY, "a b" int, a_b int, u timestamptz NOT NULL); INSERT INTO t VALUES (1, 1, 2, '2024-01-01')"#).await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    let read = "SELECT CAST(a_b AS STRING), CAST(a_b_2 AS STRING) FROM {d}.t ORDER BY id";
    assert_eq!(place.bq(read).await, [vec![some("1"), some("2")]]);
    place.pg(r#"ALTER TABLE t DROP COLUMN "a b"; INSERT INTO t VALUES (2, 5, '2024-01-02')"#).await;
    place.sync(&["t"]).await;
    assert_eq!(place.bq(read).await[1], [None, some("5")]);
}

async fn a_column_that_may_not_be_read_any_more_is_told() {
    let place = Place::new().await;
    let role = format!("r_{}", place.name);
    place
        .pg(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, v int, u timestamptz NOT NULL); INSERT INTO t VALUES (1, 7, '2024-01-01');
             CREATE ROLE {role} LOGIN PASSWORD 'pw'; GRANT SELECT ON t TO {role}; GRANT pg_read_all_stats TO {role}"
        ))
        .await;
    let port = place.stack.postgres.port;
    let config = |table: &str| {
        place.write_config(&format!(
            "project: demo\ndataset: {}\nlocation: EU\nbucket: {}\nsources:\n  pg:\n    url: postgres://{role}:pw@127.0.0.1:{port}/{}\n    tables:\n      t: {table}\n",
            place.name,
            place.bucket(),
            place.name
        ))
    };
    config("{ cursor: u }");
    place.sync(&["t"]).await;
    place
        .pg(&format!(
            "REVOKE SELECT ON t FROM {role}; GRANT SELECT (id, u) ON t TO {role}; UPDATE t SET u = '2024-01-02'"
        ))
        .await;
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("column \"v\" was synced and may not be read any more"), "{}", ran.stderr);
    config("{ cursor: u, exclude_columns: [v] }");
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(place.bq_one("SELECT CAST(v AS STRING) FROM {d}.t").await, "7", "it is left as it was");
}

async fn a_column_that_mariadb_hides_is_told() {
    let place = Place::new().await;
    let user = format!("u_{}", place.name);
    let grant = |columns: &str| format!("GRANT SELECT ({columns}) ON {}.t TO '{user}'@'%'", place.name);
    place
        .my(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, v int, u datetime NOT NULL); INSERT INTO t VALUES (1, 7, '2024-01-01');
             CREATE USER '{user}'@'%' IDENTIFIED BY 'pw'; {}; GRANT PROCESS ON *.* TO '{user}'@'%'",
            grant("id, v, u")
        ))
        .await;
    let port = place.stack.mysql.port;
    place.write_config(&format!(
        "project: demo\ndataset: {}\nlocation: EU\nbucket: {}\nsources:\n  my:\n    url: mysql://{user}:pw@127.0.0.1:{port}/{}\n    tables:\n      t: {{ cursor: u }}\n",
        place.name,
        place.bucket(),
        place.name
    ));
    place.sync(&["t"]).await;
    place.my(&format!("REVOKE SELECT (v) ON {}.t FROM '{user}'@'%'; UPDATE t SET u = '2024-01-02'", place.name)).await;
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("column \"v\" was synced and may not be read any more"), "{}", ran.stderr);
    assert_eq!(place.bq_one("SELECT CAST(v AS STRING) FROM {d}.t").await, "7");
}

async fn a_whole_copy_leaves_no_watermark_behind() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t SELECT i, '2024-01-01' FROM generate_series(1, 10) i").await;
    for (settings, rows) in [("cursor: u", 10), ("mode: replace, where: id > 5", 5), ("cursor: u", 10)] {
        place.configure(&[&format!("t: {{ {settings} }}")], &[], "");
        assert_eq!(place.sync(&["t"]).await[0].rows, rows, "{settings}");
    }
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "10");
}

async fn columns_that_settings_name_may_be_dropped() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, email text, ssn text, n int, u timestamptz NOT NULL); INSERT INTO t VALUES (1, 'e', 's', 5, '2024-01-01')").await;
    place.configure(
        &["t: { cursor: u, hash: [email], hash_salt: s, exclude_columns: [ssn], types: { n: STRING } }"],
        &[],
        "",
    );
    place.sync(&["t"]).await;
    place.pg("ALTER TABLE t DROP COLUMN email, DROP COLUMN ssn, DROP COLUMN n; UPDATE t SET u = '2024-01-02'").await;
    assert_eq!(place.sync(&["t"]).await[0].rows, 1);
    place.pg("UPDATE t SET u = '2024-01-03'").await;
    assert_eq!(place.sync(&["t"]).await[0].rows, 1);
    assert_eq!(place.bq("SELECT email, n FROM {d}.t").await, [vec![None, None]]);
}
