//! Bad input and bad services: one clear line, no state written, and the next run completes the work.

use std::time::Duration;

use highwater::report::Outcome;

use crate::served_tests;
use crate::support::Test;
use crate::support::gate::Fault;
use crate::support::place::Place;
use crate::support::valve::Leak;

pub fn tests() -> Vec<Test> {
    served_tests![
        a_wrong_configuration_is_told_in_full,
        a_wrong_password_host_or_database_is_told,
        bigquery_503_is_retried_within_the_budget,
        bigquery_down_for_good_is_worth_trying_again,
        answers_that_are_lost_or_garbled_change_nothing,
        cloud_storage_429_and_lost_answers_change_nothing,
        cloud_storage_down_for_good_is_worth_trying_again,
        a_job_that_fails_for_a_passing_reason_gets_another_attempt,
        a_source_that_dies_mid_stream_is_read_again,
        an_intent_whose_staging_expired_is_loaded_again,
        an_intent_that_lost_everything_is_dropped,
        a_job_of_another_identity_is_told,
        a_dataset_elsewhere_is_told,
        tls_and_sockets,
        a_replace_that_does_not_fit_is_told_and_a_chunk_is_cut,
    ]
}

async fn a_table(place: &Place, rows: u32) {
    place.pg(&format!("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL);
        INSERT INTO t SELECT i, md5(i::text), '2024-01-01' FROM generate_series(1, {rows}) i; CREATE INDEX ON t (u, id)")).await;
}

async fn count(place: &Place) -> String {
    place.bq_one("SELECT CONCAT(CAST(COUNT(*) AS STRING), ' ', CAST(COUNT(DISTINCT id) AS STRING)) FROM {d}.t").await
}

async fn a_wrong_configuration_is_told_in_full() {
    let place = Place::new().await;
    place.write_config("project: demo\nbucket: x\nsources: { a: { url: 'postgres://u:pw-secret@h/d', tabels: {} } }\n");
    let ran = place.run(&["sync", "--all"]).await;
    assert_eq!(ran.code, 2);
    for told in [
        "`dataset` is missing",
        "bucket: \"x\" is not a bucket's name",
        "did you mean `tables`?",
        "`tables` is missing",
    ] {
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("pw-secret"));
    let ran = place.run(&["--config", "nowhere.yaml", "status"]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("nowhere.yaml: the configuration cannot be read"), "{}", ran.stderr);
    assert_eq!(place.run(&["sync"]).await.code, 2);
}

async fn a_wrong_password_host_or_database_is_told() {
    let place = Place::new().await;
    let (pg, my) = (place.stack.postgres.port, place.stack.mysql.port);
    for (url, told, code) in [
        (format!("postgres://admin:wr0ng-pw@127.0.0.1:{pg}/{}", place.name), "refuses the login of user \"admin\"", 2),
        (format!("mysql://admin:wr0ng-pw@127.0.0.1:{my}/{}", place.name), "refuses the login of user \"admin\"", 2),
        (format!("postgres://admin:stack-admin@127.0.0.1:{pg}/nope"), "database \"nope\" does not exist", 2),
        (format!("mysql://admin:stack-admin@127.0.0.1:{my}/nope"), "nope", 2),
        ("postgres://admin:wr0ng-pw@127.0.0.1:1/d".to_owned(), "cannot connect to 127.0.0.1:1", 75),
        ("mysql://admin:wr0ng-pw@127.0.0.1:1/d".to_owned(), "cannot connect to 127.0.0.1:1", 75),
    ] {
        let text = format!(
            "project: demo\ndataset: {}\nbucket: {}\nserver: {{ run_budget: 20s }}\nsources: {{ s: {{ url: '{url}', tables: {{ t: {{ cursor: u }} }} }} }}\n",
            place.name,
            place.bucket()
        );
        place.write_config(&text);
        let ran = place.run(&["sync", "t"]).await;
        assert_eq!(ran.code, code, "{url}: {ran:?}");
        assert!(ran.stderr.contains(told), "{url}: {}", ran.stderr);
        assert!(!ran.stderr.contains("wr0ng-pw") && !ran.stdout.contains("wr0ng-pw"), "{ran:?}");
        assert_eq!(place.objects("s").await, Vec::<String>::new(), "neither state nor staging");
    }
}

async fn bigquery_503_is_retried_within_the_budget() {
    let place = Place::new().await;
    a_table(&place, 100).await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.gate.fault(2, Fault::Status(503), |seen| seen.inserts_job().is_some());
    place.gate.fault(2, Fault::Status(429), |seen| seen.method == "GET" && seen.path.contains("/jobs/"));
    place.gate.fault(1, Fault::Status(500), |seen| seen.method == "DELETE");
    assert_eq!(place.sync(&["t"]).await[0].rows, 100);
    assert_eq!(count(&place).await, "100 100");
    place.assert_clean().await;
}

async fn bigquery_down_for_good_is_worth_trying_again() {
    let place = Place::new().await;
    a_table(&place, 100).await;
    place.configure(&["t: { cursor: u }"], &[], "server: { run_budget: 12s }");
    place.gate.fault(1000, Fault::Status(503), |seen| seen.inserts_job().is_some_and(|id| id.starts_with("hw_load")));
    let service = place.serve().await;
    let (status, retry, body) = service.post("/sync/pg/t", "").await;
    assert_eq!((status, retry.as_deref()), (503, Some("30")), "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains("submitting job hw_load_"), "{body}");
    let state = place.object("state/pg/t.json").await.unwrap();
    assert!(state["intent"].is_object() && state["watermark"].is_null(), "{state}");
    // the service is back: a run of another process, without the source, finishes what is pending
    let place_of_old = &place;
    place_of_old.pg("ALTER TABLE t RENAME TO moved").await;
    let env = vec![
        ("STORAGE_EMULATOR_HOST".to_owned(), place.stack.storage.clone()),
        ("BIGQUERY_EMULATOR_HOST".to_owned(), place.stack.bigquery.clone()),
    ];
    let ran = crate::support::process::run(place.folder.path(), &env, &["sync", "t"]).await;
    assert_eq!(ran.code, 2, "the table is gone, which the run says after it has finished the intent: {ran:?}");
    assert_eq!(count(&place).await, "100 100");
    place.assert_clean().await;
}

async fn answers_that_are_lost_or_garbled_change_nothing() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id bigserial PRIMARY KEY, v text); INSERT INTO t (v) SELECT 'x' FROM generate_series(1, 100)").await;
    place.configure(&["t: { cursor: id, mode: append, chunk_rows: 40 }"], &[], "");
    // every job takes effect, and its first answer never comes: the ids make the second try harmless
    place.gate.fault(6, Fault::LostAnswer, |seen| seen.inserts_job().is_some());
    assert_eq!(place.sync(&["t"]).await[0].rows, 100);
    assert_eq!(count(&place).await, "100 100");
    place.pg("INSERT INTO t (v) SELECT 'y' FROM generate_series(1, 10)").await;
    // what is not BigQuery's is asked for again; what is and makes no sense ends the run
    place.gate.fault(2, Fault::Garbage, |seen| seen.method == "GET" && seen.path.contains("/jobs/hw_load"));
    place.gate.fault(1, Fault::Nonsense, |seen| seen.method == "GET" && seen.path.contains("/jobs/hw_merge"));
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 75, "{ran:?}");
    assert!(ran.stderr.contains("the answer cannot be read"), "{}", ran.stderr);
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.rows, report.recovered), (10, 1));
    assert_eq!(count(&place).await, "110 110");
    place.assert_clean().await;
}

async fn cloud_storage_429_and_lost_answers_change_nothing() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id bigserial PRIMARY KEY, v text); INSERT INTO t (v) SELECT 'x' FROM generate_series(1, 100)").await;
    place.configure(&["t: { cursor: id, mode: append, chunk_rows: 40 }"], &[], "");
    let part = |method: &str, named: &str| method == "POST" && named.contains("staging/pg/t");
    let state = |method: &str, named: &str| method == "POST" && named.contains("state/pg/t.json");
    place.valve.leak(2, Leak::Status(429), part);
    place.valve.leak(1, Leak::LostAnswer, part);
    place.valve.leak(1, Leak::Status(503), |method, named| method == "GET" && named.contains("state"));
    place.valve.leak(2, Leak::Status(429), state);
    place.valve.leak(3, Leak::LostAnswer, state);
    place.valve.leak(1, Leak::Status(500), |method, _| method == "DELETE");
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.rows, report.chunks), (100, 3));
    assert_eq!(count(&place).await, "100 100");
    place.assert_clean().await;
}

async fn cloud_storage_down_for_good_is_worth_trying_again() {
    let place = Place::new().await;
    a_table(&place, 100).await;
    place.configure(&["t: { cursor: u }"], &[], "server: { run_budget: 12s }");
    let service = place.serve().await;
    place.valve.leak(1000, Leak::Status(429), |method, named| method == "POST" && named.contains("staging"));
    let (status, retry, body) = service.post("/sync/pg/t", "").await;
    assert_eq!((status, retry.as_deref()), (503, Some("30")), "{body}");
    assert_eq!(place.objects("state/").await, Vec::<String>::new());
    place.valve.mend();
    place.valve.leak(1000, Leak::Status(503), |method, named| method == "GET" && named.contains("state"));
    assert_eq!(service.post("/sync/pg/t", "").await.0, 503);
    place.valve.mend();
    assert_eq!(service.push("pg/t").await.rows, 100);
    assert_eq!(count(&place).await, "100 100");
}

async fn a_job_that_fails_for_a_passing_reason_gets_another_attempt() {
    let place = Place::new().await;
    a_table(&place, 50).await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.gate.fail_jobs("_1", "backendError", "Error encountered during execution. Retrying may solve the problem.");
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!(report.rows, 50);
    let attempts: Vec<String> =
        place.gate.inserted("hw_").iter().map(|id| id.rsplit('_').next().unwrap().to_owned()).collect();
    assert_eq!(attempts, ["1", "2", "1", "2"]);
    // a reason that does not pass: the intent stays, the error says what to do
    place.pg("UPDATE t SET u = '2024-01-02'").await;
    place.gate.fail_jobs("_1", "accessDenied", "Permission denied");
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("Permission denied (reason accessDenied, job hw_load_"), "{}", ran.stderr);
    assert!(ran.stderr.contains("reset TABLE --drop-intent --keep-watermark"), "{}", ran.stderr);
    let refused = place.run(&["reset", "t"]).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    place.gate.fail_jobs("never", "", "");
    let dropped = place.run(&["reset", "t", "--drop-intent", "--keep-watermark"]).await;
    assert_eq!(dropped.code, 0, "{dropped:?}");
    assert_eq!(place.sync(&["t"]).await[0].rows, 50);
    place.assert_clean().await;
}

async fn a_source_that_dies_mid_stream_is_read_again() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, v text, u timestamptz NOT NULL);
              INSERT INTO t SELECT i, repeat(md5(i::text), 30), '2024-01-01' FROM generate_series(1, 60000) i")
        .await;
    place.configure(&["t: { cursor: u, part_bytes: 64 KiB, gzip_level: 9 }"], &[], "");
    let killer = async {
        // once the first part is there, the backend is shot
        while place.objects("staging/").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        place.pg("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'highwater' AND datname = current_database()").await;
    };
    let (reports, ()) = tokio::join!(place.sync(&["t"]), killer);
    assert_eq!((reports[0].outcome, reports[0].rows), (Outcome::Synced, 60_000));
    assert_eq!(count(&place).await, "60000 60000");
    place.assert_clean().await;
}

/// A place whose table has an intent pending: the load cannot be submitted, the budget ends.
async fn pending(rows: u32) -> Place {
    let place = Place::new().await;
    a_table(&place, rows).await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.gate.fault(1, Fault::Status(400), |seen| seen.inserts_job().is_some_and(|id| id.starts_with("hw_merge")));
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(place.tables().await.iter().filter(|table| table.starts_with("hw_staging")).count(), 1);
    place
}

async fn delete_staging(place: &Place) {
    for table in place.tables().await.iter().filter(|table| table.starts_with("hw_staging")) {
        let url = format!("{}/bigquery/v2/projects/demo/datasets/{}/tables/{table}", place.stack.bigquery, place.name);
        reqwest::Client::builder().no_proxy().build().unwrap().delete(url).send().await.unwrap();
    }
}

async fn an_intent_whose_staging_expired_is_loaded_again() {
    let place = pending(70).await;
    delete_staging(&place).await;
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.rows, report.recovered), (70, 1));
    assert_eq!(place.gate.inserted("hw_load").len(), 2);
    assert_eq!(count(&place).await, "70 70");
    place.assert_clean().await;
}

async fn an_intent_that_lost_everything_is_dropped() {
    let place = pending(70).await;
    delete_staging(&place).await;
    for object in place.objects("staging/").await {
        let url = format!("{}/storage/v1/b/{}/o/{}", place.stack.storage, place.bucket(), object.replace('/', "%2F"));
        reqwest::Client::builder().no_proxy().build().unwrap().delete(url).send().await.unwrap();
    }
    let report = place.sync(&["t"]).await.remove(0);
    assert_eq!((report.rows, report.recovered), (70, 0), "{report:?}");
    assert!(report.notes.iter().any(|note| note.contains("had lost its parts and was dropped")), "{:?}", report.notes);
    assert_eq!(count(&place).await, "70 70");
    place.assert_clean().await;
}

/// Who may not look up a job that somebody else submitted does not go on without knowing what became of it.
async fn a_job_of_another_identity_is_told() {
    let place = Place::new().await;
    a_table(&place, 50).await;
    place.configure(&["t: { mode: append, cursor: id }"], &[], "");
    let lookup = |seen: &crate::support::gate::Seen| seen.method == "GET" && seen.path.contains("/jobs/hw_");
    place.gate.fault(u32::MAX, Fault::Status(403), lookup);
    for _ in 0..2 {
        let ran = place.run(&["sync", "t", "--json"]).await;
        let report = ran.report();
        let told = report.error.map(|failure| failure.message).unwrap_or_default();
        assert_eq!((ran.code, report.outcome), (1, Outcome::Failed), "{ran:?}");
        assert!(
            told.contains("another identity submitted it: grant this one bigquery.jobs.get on project demo"),
            "{told}"
        );
    }
    place.gate.forgive();
    assert_eq!(place.sync(&["t"]).await[0].rows, 50);
    assert_eq!(count(&place).await, "50 50");
    place.assert_clean().await;
}

async fn a_dataset_elsewhere_is_told() {
    let place = Place::new().await;
    a_table(&place, 5).await;
    place.configure(&["t: { cursor: u }"], &[], "");
    place.sync(&["t"]).await;
    let path = place.folder.path().join("highwater.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("location: EU", "location: US")).unwrap();
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.told().contains("is in EU, the configuration says US; set `location: EU`"), "{}", ran.stderr);
}

async fn tls_and_sockets() {
    let place = Place::new().await;
    a_table(&place, 5).await;
    place.my("CREATE TABLE t (id int PRIMARY KEY, u datetime NOT NULL); INSERT INTO t VALUES (1, '2024-01-01')").await;
    let (pg, my) = (&place.stack.postgres, &place.stack.mysql);
    let pg_socket =
        format!("postgres://{}:{}@/{}?host={}/.s.PGSQL.{}", pg.user, pg.password, place.name, pg.socket_dir, pg.port);
    let my_socket = format!("mysql://{}:{}@/{}?socket={}", my.user, my.password, place.name, my.socket);
    place.write_config(&format!(
        "project: demo\ndataset: {}\nlocation: EU\nbucket: {}\nsources:\n  p: {{ url: '{pg_socket}', tables: {{ t: {{ cursor: u, target: p }} }} }}\n  m: {{ url: '{my_socket}', tables: {{ t: {{ cursor: u, target: m }} }} }}\n",
        place.name,
        place.bucket()
    ));
    let rows: Vec<u64> = place.sync(&["p/t", "m/t"]).await.iter().map(|report| report.rows).collect();
    assert_eq!(rows.iter().sum::<u64>(), 6);
    // TLS that the server does not offer is refused, not given up
    let path = place.configure(&["t: { cursor: u }"], &[], "");
    let text =
        std::fs::read_to_string(&path).unwrap().replace("    tables:", "    tls: { mode: require }\n    tables:");
    std::fs::write(&path, text).unwrap();
    let ran = place.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("TLS with 127.0.0.1"), "{}", ran.stderr);
}

async fn a_replace_that_does_not_fit_is_told_and_a_chunk_is_cut() {
    let place = Place::new().await;
    // each row takes the server some milliseconds
    place
        .pg("CREATE TABLE base (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO base SELECT i, timestamptz '2024-01-01' + i * interval '1 s' FROM generate_series(1, 30000) i;
             CREATE FUNCTION slow_text(n int) RETURNS text STABLE LANGUAGE plpgsql COST 100000
               AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.001); RETURN pg_catalog.repeat(''x'', 2000); END';
             CREATE VIEW slow AS SELECT id, u, slow_text(id) AS v FROM base;
             CREATE VIEW slow_first AS SELECT id, u, slow_text(id) AS v FROM base ORDER BY md5(slow_text(id)) OFFSET 0")
        .await;
    place.configure(&["slow: { mode: replace }"], &[], "server: { run_budget: 15s }");
    let ran = place.run(&["sync", "slow"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("could not be read as a whole within the run's time"), "{}", ran.stderr);
    // where not even the first row comes in time, the next run would fare no better
    place.configure(&["slow_first: { cursor: u, key: id }"], &[], "server: { run_budget: 15s }");
    let ran = place.run(&["sync", "slow_first"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("no chunk of pg/slow_first could be read within the run's time"), "{}", ran.stderr);
    // in merge the chunk is cut where the time is half spent, and is applied
    place.configure(&["slow: { cursor: u, key: id, target: cut }"], &[], "server: { run_budget: 30s }");
    let ran = place.run(&["sync", "slow", "--json"]).await;
    let report = ran.report();
    assert_eq!((ran.code, report.outcome), (75, Outcome::Partial), "{report:?}");
    assert!((1..30_000).contains(&report.rows), "{report:?}");
    // the merge of a last chunk may be done without its commit: the next run finds it so
    let moved: u64 = place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.cut").await.parse().unwrap();
    assert!((report.rows..30_000).contains(&moved), "{moved} {report:?}");
}
