//! The status page, its JSON and its metrics: rendered from what is made up, and served by the real binary of real runs, looked
//! at with a real browser.

mod made_up;

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::served_tests;
use crate::support::Test;
use crate::support::calls::{Calls, Fault};
use crate::support::place::Place;
use crate::support::process::Service;
use crate::support::valve::Leak;

pub fn tests() -> Vec<Test> {
    let mut tests = served_tests![
        a_page_tells_what_runs_did,
        many_viewers_cost_one_look,
        many_at_once_on_tables_are_bounded,
        what_cannot_be_read_is_on_the_page,
        tables_of_patterns_are_those_with_states,
        nothing_but_looking_is_answered,
    ];
    tests.extend(made_up::tests());
    tests
}

/// A look is kept for so long.
const LOOK_KEPT: Duration = Duration::from_millis(5_200);

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

async fn get(service: &Service, path: &str) -> Response {
    client().get(format!("{}{path}", service.url)).send().await.unwrap()
}

async fn text(service: &Service, path: &str) -> String {
    let answer = get(service, path).await;
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

async fn data(service: &Service, path: &str) -> Value {
    serde_json::from_str(&text(service, path).await).unwrap()
}

/// What `/api/tables` says of a table.
fn table<'a>(all: &'a Value, name: &str) -> &'a Value {
    let tables = all["tables"].as_array().unwrap();
    tables.iter().find(|table| table["table"] == name).unwrap_or_else(|| panic!("{name} in {all}"))
}

/// Runs a script of the repository that must find nothing wrong; gives what it says.
fn script(program: &str, args: &[&str]) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(program).args(args).current_dir(root).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// What an OpenMetrics parser of somebody else's reads, a line of JSON for each sample.
fn parsed(metrics: &str) -> Vec<Value> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), metrics).unwrap();
    let program = "import json, sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n\
                   for family in read(open(sys.argv[1]).read()):\n    for sample in family.samples:\n        \
                   print(json.dumps({'name': sample.name, 'labels': sample.labels, 'value': sample.value, 'type': family.type}))";
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/.stack/page/bin/python");
    let said = script(python, &["-c", program, file.path().to_str().unwrap()]);
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A place with tables that go well, that fail, that reject rows, with a backfill, and with a name that is no name.
async fn lively() -> Place {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, v numeric(12,3), u timestamptz NOT NULL);
             INSERT INTO t SELECT i, CASE WHEN i % 10 = 0 THEN 'NaN'::numeric ELSE i END, now() - interval '1 h' FROM generate_series(1, 100) i;
             CREATE TABLE \"<script>alert(1)</script>\" (id int PRIMARY KEY, \"<b>\" text, u timestamptz NOT NULL);
             INSERT INTO \"<script>alert(1)</script>\" VALUES (1, 'x', now() - interval '1 h');
             CREATE TABLE old (id int PRIMARY KEY, u timestamptz NOT NULL);
             INSERT INTO old SELECT i, '2024-01-01Z'::timestamptz + i * interval '1 h' FROM generate_series(1, 70) i")
        .await;
    place.configure(
        &[
            "t: { cursor: u, unrepresentable: reject, schedule: '*/5 * * * *' }",
            "gone: { cursor: u }",
            "old: { cursor: u, backfill_start: 2024-01-03 }",
            "'<script>alert(1)</script>': { cursor: u, target: script }",
            "never: { cursor: u }",
        ],
        &[],
        "",
    );
    place
}

async fn a_page_tells_what_runs_did() {
    let place = lively().await;
    let service = place.serve().await;
    service.push("pg/t").await;
    service.push("pg/old").await;
    service.push("pg/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    for _ in 0..2 {
        assert_eq!(service.post("/sync/pg/gone", "").await.0, 500);
    }
    let ran = place.run(&["backfill", "pg/old", "--from", "2024-01-01", "--to", "2024-01-03"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let all = data(&service, "/api/tables").await;
    assert_eq!(all["need_you"], 1, "{all}");
    assert_eq!(all["tables"][0]["table"], "gone", "the worst first");
    let gone = table(&all, "gone");
    assert_eq!((&gone["state"], &gone["failures"]["in_a_row"]), (&json!("failing"), &json!(2)), "{gone}");
    assert!(gone["message"].as_str().unwrap().contains("public.gone"), "{gone}");
    assert!(
        gone["way_out"].as_str().unwrap().len() > 20 && gone["code"].as_str().unwrap().starts_with("HW-"),
        "{gone}"
    );
    let t = table(&all, "t");
    assert_eq!((&t["state"], &t["rows_total"], &t["rejected_total"]), (&json!("ok"), &json!(90), &json!(10)), "{t}");
    assert!(t["lag_seconds"].as_i64().unwrap() < 300 && t["next_run_at"].is_string(), "{t}");
    assert_eq!(table(&all, "never")["state"], "never");
    let runs = data(&service, "/api/runs").await;
    assert!(runs["runs"].as_array().unwrap().len() >= 7, "{runs}");
    check_table_pages(&service).await;
    check_metrics(&text(&service, "/metrics").await);
    let list = text(&service, "/").await;
    assert!(
        list.contains("1 of 5 tables needs you") && list.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{list}"
    );
    assert!(!list.contains("<script>alert"), "{list}");
    let url = format!("{}/", service.url);
    let said =
        tokio::task::spawn_blocking(move || script("python3", &["scripts/browser.py", "check", &url, "/tables/pg/t"]));
    let said = said.await.unwrap();
    assert!(said.lines().count() == 11 && said.contains("without JavaScript: 5 tables"), "{said}");
    assert_eq!(service.terminate().await.0, 0);
}

async fn check_table_pages(service: &Service) {
    let t = data(service, "/api/tables/pg/t").await;
    let columns = t["detail"]["columns"].as_array().unwrap();
    let types: Vec<(&str, &str)> =
        columns.iter().map(|column| (column["name"].as_str().unwrap(), column["type"].as_str().unwrap())).collect();
    assert_eq!(types, [("id", "INT64"), ("v", "NUMERIC"), ("u", "TIMESTAMP")]);
    let rejects = t["detail"]["rejects"].as_array().unwrap();
    assert!(rejects.len() == 1 && rejects[0].as_str().unwrap().starts_with("gs://"), "{t}");
    assert_eq!(t["runs"][0]["rejected"], 10, "{t}");
    let page = text(service, "/tables/pg/t").await;
    for told in ["NUMERIC", rejects[0].as_str().unwrap(), "10 rejected", "*/5 * * * * UTC"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let old = data(service, "/api/tables/pg/old").await;
    let windows = old["detail"]["windows"].as_array().unwrap();
    assert_eq!(windows.len(), 2, "{old}");
    assert!(windows.iter().all(|window| window["progress"] == "complete"), "{old}");
    assert!(text(service, "/tables/pg/old").await.contains("2 of 2 complete"));
    let odd = text(service, "/tables/pg/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert!(odd.contains("&lt;b&gt;") && !odd.contains("<script>alert"), "{odd}");
    let unknown = get(service, "/tables/pg/none").await;
    assert_eq!(unknown.status(), 404);
    let why: Value = unknown.json().await.unwrap();
    assert!(why["error"].as_str().unwrap().contains("no table pg/none"), "{why}");
}

fn check_metrics(metrics: &str) {
    let samples = parsed(metrics);
    let of = |name: &str, table: &str| {
        let found = samples.iter().find(|sample| sample["name"] == name && sample["labels"]["table"] == table);
        found.map(|sample| sample["value"].as_f64().unwrap())
    };
    assert_eq!(of("highwater_rows_total", "t"), Some(90.0), "{metrics}");
    assert_eq!(of("highwater_rejected_rows_total", "t"), Some(10.0), "{metrics}");
    assert_eq!(of("highwater_consecutive_failures", "gone"), Some(2.0), "{metrics}");
    assert_eq!(of("highwater_pending_intents", "t"), Some(0.0), "{metrics}");
    assert!(of("highwater_lag_seconds", "t").unwrap() < 300.0, "{metrics}");
    assert_eq!(of("highwater_lag_seconds", "gone"), None, "{metrics}");
    assert_eq!(of("highwater_rows_total", "<script>alert(1)</script>"), Some(1.0), "{metrics}");
    let outcome = samples
        .iter()
        .find(|sample| sample["name"] == "highwater_last_run_outcome" && sample["labels"]["table"] == "gone");
    assert_eq!(outcome.unwrap()["labels"]["outcome"], "failed");
    for name in
        ["highwater_build_info", "process_resident_memory_bytes", "process_open_fds", "highwater_runs_in_progress"]
    {
        assert!(samples.iter().any(|sample| sample["name"] == name), "{name}: {metrics}");
    }
}

/// So many tables of which nothing is known, a way to the bucket, the paths that were asked for on it, and the
/// environment of a service that takes it.
async fn counted(place: &Place, tables: usize) -> (Calls, Arc<Mutex<Vec<String>>>, Vec<(String, String)>) {
    let tables: Vec<String> = (0..tables).map(|number| format!("t{number}: {{ cursor: u }}")).collect();
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    place.configure(&tables, &[], "");
    let calls = Calls::open(&place.valve.url).await;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = seen.clone();
    calls.decide(move |call| {
        told.lock().unwrap().push(call.path.clone());
        None
    });
    let mut env = place.env();
    env[0].1 = calls.url.clone();
    (calls, seen, env)
}

async fn many_viewers_cost_one_look() {
    let place = Place::new().await;
    let (_calls, seen, mut env) = counted(&place, 20).await;
    // whatever else were asked would not answer, and be seen
    env[1].1 = "http://127.0.0.1:1".to_owned();
    let service = Service::start(place.folder.path(), &env).await;
    let viewers = (0..50).map(|number| {
        let path = ["/", "/api/tables", "/metrics", "/api/runs"][number % 4];
        get(&service, path)
    });
    for answer in join_all(viewers).await {
        assert_eq!(answer.status(), 200);
    }
    let states = || std::mem::take(&mut *seen.lock().unwrap()).iter().filter(|path| path.contains("state%2F")).count();
    assert_eq!(states(), 20, "one look at each state");
    tokio::time::sleep(LOOK_KEPT).await;
    assert_eq!(get(&service, "/").await.status(), 200);
    // states are a minute old at the most, reports are listed anew
    assert!(!seen.lock().unwrap().is_empty());
    assert_eq!(states(), 0);
}

async fn many_at_once_on_tables_are_bounded() {
    let place = Place::new().await;
    let (calls, seen, env) = counted(&place, 40).await;
    let service = Service::start(place.folder.path(), &env).await;
    assert_eq!(get(&service, "/").await.status(), 200);
    seen.lock().unwrap().clear();
    // many on one table: one closer look
    let paths: Vec<&str> = (0..40).map(|number| ["/tables/pg/t0", "/api/tables/pg/t0"][number % 2]).collect();
    for answer in join_all(paths.iter().map(|path| get(&service, path))).await {
        assert_eq!(answer.status(), 200);
    }
    let states = seen.lock().unwrap().iter().filter(|path| path.contains("state%2Fpg%2Ft0.json")).count();
    assert_eq!(states, 1, "{seen:?}");
    // many on many, and what is looked at does not answer: sixteen wait, for as long as a look may take, the rest shall come again
    calls.decide(|call| call.path.contains("state%2F").then_some(Fault::Stall));
    let (client, begun) = (client(), Instant::now());
    let one = |number: u32| client.get(format!("{}/tables/pg/t{number}", service.url)).send();
    let answers: Vec<Response> = join_all((1..40).map(one)).await.into_iter().map(Result::unwrap).collect();
    let busy: Vec<&Response> = answers.iter().filter(|answer| answer.status() == 429).collect();
    assert_eq!(busy.len(), 39 - 16, "{answers:?}");
    assert!(busy.iter().all(|answer| answer.headers().contains_key("retry-after")));
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    calls.decide(|_| None);
    assert_eq!(get(&service, "/tables/pg/t39").await.status(), 200);
}

async fn what_cannot_be_read_is_on_the_page() {
    let place = Place::new().await;
    place.configure(&["bad: { cursor: u }", "fine: { cursor: u }"], &[], "");
    place.put("state/pg/bad.json", "{\"version\": 99}").await;
    place.put("reports/2024/01/01/000000-01HK000000000000000000000A.json", "{}").await;
    let service = place.serve().await;
    let all = data(&service, "/api/tables").await;
    let bad = table(&all, "bad");
    assert_eq!((&bad["state"], &bad["needs_you"]), (&json!("unreadable"), &json!(true)), "{bad}");
    assert!(bad["message"].as_str().unwrap().contains("state/pg/bad.json"), "{bad}");
    assert_eq!(table(&all, "fine")["state"], "never");
    let list = text(&service, "/").await;
    assert!(list.contains("state/pg/bad.json") && list.contains("1 of 2 tables needs you"), "{list}");
    // a bucket that is away: the page comes all the same, and says so
    place.valve.leak(u32::MAX, Leak::Status(503), |_, _| true);
    tokio::time::sleep(LOOK_KEPT).await;
    let list = text(&service, "/").await;
    assert!(list.contains("the reports of runs cannot be listed"), "{list}");
    place.valve.mend();
}

async fn tables_of_patterns_are_those_with_states() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE a_1 (id int PRIMARY KEY, updated_at timestamptz NOT NULL);
             CREATE TABLE a_2 (id int PRIMARY KEY, updated_at timestamptz NOT NULL);
             INSERT INTO a_1 SELECT i, now() - interval '1 h' FROM generate_series(1, 5) i")
        .await;
    place.configure(&["'a_*': { cursor: updated_at }"], &[], "");
    let service = place.serve().await;
    assert_eq!(data(&service, "/api/tables").await["tables"], json!([]));
    assert!(text(&service, "/").await.contains("No table yet"));
    service.push("pg/a_1").await;
    tokio::time::sleep(LOOK_KEPT).await;
    let all = data(&service, "/api/tables").await;
    let names: Vec<&Value> = all["tables"].as_array().unwrap().iter().map(|table| &table["table"]).collect();
    assert_eq!(names, ["a_1"], "{all}");
    // a name that a pattern means has a page, whether there is such a table or not: only the source could tell
    assert_eq!(data(&service, "/api/tables/pg/a_2").await["state"], "never");
}

async fn nothing_but_looking_is_answered() {
    let place = Place::new().await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let service = place.serve().await;
    let send = |method: Method, path: &str| client().request(method, format!("{}{path}", service.url)).send();
    for path in ["/", "/tables/pg/t", "/api/tables", "/api/tables/pg/t", "/api/runs", "/metrics"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = send(method.clone(), path).await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["allow"]),
                (405, &"GET, HEAD".parse().unwrap()),
                "{method} {path}"
            );
            assert!(answer.headers().get("access-control-allow-origin").is_none());
        }
        let got = send(Method::GET, path).await.unwrap();
        let head = send(Method::HEAD, path).await.unwrap();
        assert_eq!((got.status().as_u16(), head.status().as_u16()), (200, 200), "{path}");
        let (headers, of_head) = (got.headers().clone(), head.headers().clone());
        assert_eq!(headers["content-type"], of_head["content-type"], "{path}");
        assert!(head.bytes().await.unwrap().is_empty() && !got.bytes().await.unwrap().is_empty(), "{path}");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    assert_eq!(send(Method::GET, "/sync/pg/t").await.unwrap().headers()["allow"], "POST");
    let metrics = send(Method::GET, "/metrics").await.unwrap();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(metrics.headers()["content-type"], kind);
    assert!(metrics.text().await.unwrap().ends_with("\n# EOF\n"));
    let packed = client().get(format!("{}/", service.url)).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert_eq!(packed.bytes().await.unwrap()[..2], [0x1f, 0x8b]);
}
