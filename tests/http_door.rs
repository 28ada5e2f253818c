//! The HTTP contract.

use base64::Engine as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::served_tests;
use crate::support::Test;
use crate::support::gate::Fault;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![
        each_request_has_its_answer,
        pubsub_envelopes_run_the_table_they_name,
        more_runs_than_allowed_are_put_off,
        sigterm_lets_the_step_end_and_the_next_run_go_on,
        logs_are_json_with_severity_and_trace,
    ]
}

async fn place_with_table() -> Place {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t SELECT i, '2024-01-01' FROM generate_series(1, 100) i").await;
    place
}

async fn each_request_has_its_answer() {
    let place = place_with_table().await;
    place.configure(&["t: { cursor: u }", "missing: { cursor: u }"], &[], "");
    let service = place.serve().await;
    let (status, _, body) = service.post("/sync/pg/t", "").await;
    assert_eq!((status, &body["outcome"], &body["rows"]), (200, &json!("synced"), &json!(100)));
    let (status, _, body) = service.post("/sync/pg/t", "{\"ignored\": true}").await;
    assert_eq!((status, &body["outcome"]), (200, &json!("up_to_date")));
    let (status, _, body) = service.post("/sync/pg/tt", "").await;
    assert_eq!(status, 404);
    assert_eq!(body["error"], "no table pg/tt in the configuration; did you mean pg/t? there are: pg/t, pg/missing");
    assert_eq!(body["code"], "HW-TABLE-UNKNOWN");
    let (status, _, body) = service.post("/sync/pg/missing", "").await;
    assert_eq!((status, &body["error"]["class"]), (500, &json!("usage")), "{body}");
    assert_eq!(body["error"]["code"], "HW-SOURCE-NO-TABLE", "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains("the source has no table public.missing"), "{body}");
    assert_eq!(service.post("/nowhere", "").await.0, 404);
    assert_eq!(service.post("/healthz", "").await.0, 405);
    assert_eq!(service.post("/sync/pg/%zz", "").await.0, 400);
    assert_eq!(service.post("/pubsub", "not json").await.0, 400);
    assert_eq!(service.post("/pubsub", "x".repeat(70_000)).await.0, 413);
    // a request that is no HTTP, and one that is cut: neither harms the service
    let address = service.url.trim_start_matches("http://").to_owned();
    let mut raw = tokio::net::TcpStream::connect(&address).await.unwrap();
    raw.write_all(b"\x16\x03\x01 garbage\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    raw.read_to_end(&mut answer).await.unwrap();
    let mut cut = tokio::net::TcpStream::connect(&address).await.unwrap();
    cut.write_all(b"POST /pubsub HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
    drop(cut);
    assert_eq!(service.push("pg/t").await.rows, 0);
    assert_eq!(service.terminate().await.0, 0);
}

async fn pubsub_envelopes_run_the_table_they_name() {
    let place = place_with_table().await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let service = place.serve().await;
    let data = base64::engine::general_purpose::STANDARD.encode(r#"{"source":"pg","table":"t"}"#);
    let by_data = json!({"message": {"data": data, "messageId": "1"}, "subscription": "s", "deliveryAttempt": 1});
    let (status, _, body) = service.post("/pubsub", by_data.to_string()).await;
    assert_eq!((status, &body["rows"]), (200, &json!(100)), "{body}");
    let by_attributes = json!({"message": {"attributes": {"source": "pg", "table": "t"}, "messageId": "2"}});
    assert_eq!(service.post("/pubsub", by_attributes.to_string()).await.0, 200);
    let unknown = json!({"message": {"attributes": {"source": "pg", "table": "zz"}}});
    assert_eq!(service.post("/pubsub", unknown.to_string()).await.0, 404);
    let unnamed = json!({"message": {"attributes": {"source": "pg"}}});
    assert_eq!(service.post("/pubsub", unnamed.to_string()).await.0, 400);
}

async fn more_runs_than_allowed_are_put_off() {
    let place = place_with_table().await;
    place.configure(&["t: { cursor: u }"], &[], "server: { max_concurrent_runs: 1 }");
    place.gate.fault(1, Fault::Delay(std::time::Duration::from_secs(3)), |seen| seen.path.contains("/tables/t"));
    let service = place.serve().await;
    let (first, second) = tokio::join!(service.post("/sync/pg/t", ""), async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        service.post("/sync/pg/t", "").await
    });
    assert_eq!(first.0, 200, "{first:?}");
    assert_eq!((second.0, second.1.as_deref()), (429, Some("30")), "{second:?}");
}

async fn sigterm_lets_the_step_end_and_the_next_run_go_on() {
    let place = place_with_table().await;
    place.configure(&["t: { cursor: u, chunk_rows: 10 }"], &[], "");
    let service = place.serve().await;
    let (url, client) = (format!("{}/sync/pg/t", service.url), reqwest::Client::builder().no_proxy().build().unwrap());
    let pushed =
        tokio::spawn(async move { client.post(url).send().await.unwrap().json::<serde_json::Value>().await.unwrap() });
    while place.gate.inserted("hw_merge_").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (code, took) = service.terminate().await;
    assert_eq!(code, 0);
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    let report = pushed.await.unwrap();
    // where the step does not end within the grace, it is cut off, and its intent is finished by the next run
    let cut = report["error"]["message"].as_str().is_some_and(|message| message.contains("the process is stopping"));
    assert!(report["outcome"] == "partial" || cut, "{report}");
    let moved = report["rows"].as_u64().unwrap();
    assert!((10..100).contains(&moved), "{report}");
    assert_eq!(place.sync(&["t"]).await[0].rows, 100 - moved);
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "100");
    place.assert_clean().await;
}

async fn logs_are_json_with_severity_and_trace() {
    let place = place_with_table().await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let service = place.serve().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = client
        .post(format!("{}/sync/pg/t", service.url))
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    assert_eq!(request.send().await.unwrap().status(), 200);
    service.terminate().await;
    let log = std::fs::read_to_string(place.folder.path().join("serve.log")).unwrap();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    assert!(lines.iter().all(|line| line["severity"].is_string() && line["message"].is_string()), "{log}");
    let ended = lines.iter().find(|line| line["message"] == "run ended").unwrap();
    assert_eq!((&ended["source"], &ended["table"], &ended["rows"]), (&json!("pg"), &json!("t"), &json!(100)));
    assert!(ended["lagSeconds"].as_i64().is_some_and(|lag| (0..60).contains(&lag)), "{ended}");
    assert_eq!(ended["logging.googleapis.com/trace"], format!("projects/demo/traces/{trace}"));
    let staged = lines.iter().find(|line| line["message"] == "chunk staged").unwrap();
    assert!(staged["intent"].is_string() && staged["chunk"] == 1, "{staged}");
    assert!(!log.contains(&place.stack.postgres.password), "the log has the password");
}
