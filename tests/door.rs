//! Bad input at the door and more of it than there is room for, against the real service: what is malformed is refused
//! in one clear line and starts nothing, who is slow is cut off, who comes too many is put off, and a valid push works.

mod overload;
mod strategies;
mod wire;

use std::cell::Cell;
use std::time::{Duration, Instant};

use highwater::config::{Config, Env};
use highwater::model::Told;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config as Runs, RngAlgorithm, TestCaseError, TestCaseResult, TestRng, TestRunner};
use serde_json::{Value, json};

use self::wire::{ANSWER_MAX, Answer, Wire, post, post_chunked};
use crate::served_tests;
use crate::support::place::Place;
use crate::support::process::Service;
use crate::support::{Test, pure};

/// Cases of each property.
const CASES: u32 = 300;
/// The server's limit for receiving and for a stalled answer.
const RECEIVE_MAX: Duration = Duration::from_secs(10);
/// The most that cutting off may come later, on a busy machine.
const SLACK: Duration = Duration::from_secs(5);
/// How soon a run that has no room must be put off.
const PUT_OFF_MAX: Duration = Duration::from_secs(1);

pub fn tests() -> Vec<Test> {
    let mut tests = served_tests![
        envelopes_are_taken_or_refused,
        paths_are_found_or_refused,
        headers_are_borne_or_refused,
        nothing_malformed_runs_a_table_that_is_named,
        bodies_have_a_limit,
        requests_in_a_row_are_answered_in_order,
        who_is_slow_is_cut_off,
    ];
    tests.extend(overload::tests());
    tests.push(pure("door::configurations_are_read_or_refused", configurations_are_read_or_refused));
    tests
}

/// A service over a table `pg/t` of 100 rows.
struct Door {
    place: Place,
    service: Service,
    address: String,
}

impl Door {
    async fn open() -> Self {
        let place = Place::new().await;
        table(&place, "t").await;
        place.configure(&["t: { cursor: u }"], &[], "");
        Self::serve(place).await
    }

    async fn serve(place: Place) -> Self {
        let service = place.serve().await;
        let address = service.url.trim_start_matches("http://").to_owned();
        Self { place, service, address }
    }

    /// What the service has logged.
    fn log(&self) -> String {
        std::fs::read_to_string(self.place.folder.path().join("serve.log")).unwrap()
    }

    /// Runs that have ended so far.
    fn runs(&self) -> usize {
        self.log().lines().filter(|line| line.contains("\"run ended\"")).count()
    }

    /// Runs a blocking client beside the runtime.
    async fn client<T: Send + 'static>(&self, act: impl FnOnce(&str) -> T + Send + 'static) -> T {
        let address = self.address.clone();
        tokio::task::spawn_blocking(move || act(&address)).await.unwrap()
    }

    /// Runs the property against the service; each case has a connection of its own.
    async fn property<S>(&self, cases: S, check: fn(&str, S::Value) -> Result<(), String>)
    where
        S: Strategy + Send + 'static,
    {
        self.client(move |address| property(cases, |case| check(address, case))).await;
    }

    /// Nothing was started so far, nothing has panicked, and a valid push works.
    async fn still_works(&self) {
        assert_eq!(self.runs(), 0, "{}", self.log());
        assert_eq!(self.place.objects("state/").await, Vec::<String>::new());
        assert_eq!(self.service.push("pg/t").await.rows, 100);
        let log = self.log();
        assert!(!log.contains("panicked") && !log.contains("\"ERROR\""), "{log}");
    }
}

async fn table(place: &Place, name: &str) {
    place.pg(&format!("CREATE TABLE {name} (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO {name} SELECT i, '2024-01-01' FROM generate_series(1, 100) i")).await;
}

/// The same cases each time; a failure is made smaller.
fn property<S: Strategy>(cases: S, check: impl Fn(S::Value) -> Result<(), String>) {
    let runs = Runs { cases: CASES, failure_persistence: None, max_shrink_time: 20_000, ..Runs::default() };
    let mut runner = TestRunner::new_with_rng(runs, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let ran = runner.run(&cases, |case| -> TestCaseResult { check(case).map_err(TestCaseError::fail) });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A refusal, or the end of the connection without a word.
fn refused(answer: Option<&Answer>) -> Result<(), String> {
    answer.map_or(Ok(()), Answer::check_refusal)
}

async fn envelopes_are_taken_or_refused() {
    let door = Door::open().await;
    // by the rules: a table that there is not is 404, everything else is 400
    door.property(strategies::envelopes(), |address, envelope| {
        let mut wire = Wire::open(address);
        wire.send(&post("/pubsub", &envelope.body.0));
        let answer = wire.answer().ok_or("no answer")?;
        answer.check_refusal()?;
        let wanted = if envelope.names { 404 } else { 400 };
        (answer.status == wanted).then_some(()).ok_or_else(|| format!("{} {}", answer.status, answer.json()))
    })
    .await;
    door.property(strategies::broken_envelopes(), |address, body| {
        let mut wire = Wire::open(address);
        wire.send(&post("/pubsub", &body.0));
        wire.answer().ok_or("no answer")?.check_refusal()
    })
    .await;
    door.still_works().await;
}

async fn paths_are_found_or_refused() {
    let door = Door::open().await;
    door.property(strategies::paths(), |address, path| {
        let mut wire = Wire::open(address);
        wire.send(&post(&path, b""));
        refused(wire.settle().as_ref())
    })
    .await;
    door.still_works().await;
}

async fn headers_are_borne_or_refused() {
    let door = Door::open().await;
    door.property(strategies::headers(), |address, headers| {
        for (line, fine) in [("GET /healthz HTTP/1.1", Some(200)), ("POST /sync/pq/none HTTP/1.1", None)] {
            let mut wire = Wire::open(address);
            wire.send(&[line.as_bytes(), b"\r\nhost: door\r\n", &headers.0, b"\r\n"].concat());
            match wire.settle() {
                Some(answer) if Some(answer.status) == fine => {}
                answer => refused(answer.as_ref())?,
            }
        }
        Ok(())
    })
    .await;
    // a head of the length that front ends make is borne, one beyond the limit is not kept
    door.client(|address| {
        for (length, wanted) in [(20_000, 200), (40_000, 431)] {
            let mut wire = Wire::open(address);
            let value = "v".repeat(length);
            wire.send(format!("GET /healthz HTTP/1.1\r\nhost: d\r\nx: {value}\r\n\r\n").as_bytes());
            let status = wire.settle().map(|answer| answer.status);
            assert!(status == Some(wanted) || (status.is_none() && wanted != 200), "{length}: {status:?}");
        }
    })
    .await;
    door.still_works().await;
}

/// Each of these is near to a request that would run `pg/t`.
fn nearly() -> Vec<Vec<u8>> {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(r#"{"source":"pg","table":"t"}"#);
    let list = base64::engine::general_purpose::STANDARD.encode(r#"["pg","t"]"#);
    let envelope = json!({"message": {"data": data}}).to_string();
    let mut requests: Vec<Vec<u8>> = [
        format!(r#"[["{data}"]]"#),
        format!(r#"{{"message":["{data}"]}}"#),
        format!(r#"{{"message":{{"data":"{list}"}}}}"#),
        r#"{"message":{"attributes":["pg","t"]}}"#.to_owned(),
        format!(r#"{{"message":{{"data":"{data}","data":"{data}"}}}}"#),
        format!(r#"{{"message":{{"data":"{data}"}},"message":{{}}}}"#),
        format!("{envelope}{envelope}"),
        format!("\u{feff}{envelope}"),
        envelope[..envelope.len() - 1].to_owned(),
        envelope.replace("ey", "-_"),
        format!(r#"{{"message":"{}"}}"#, envelope.replace('"', "\\\"")),
    ]
    .iter()
    .map(|body| post("/pubsub", body.as_bytes()))
    .collect();
    let paths = [
        "/sync/pg/t/",
        "/sync//pg/t",
        "//sync/pg/t",
        "/sync/pg/./t",
        "/sync/x/../pg/t",
        "/SYNC/pg/t",
        "/sync/pg%2Ft",
        "/sync/pg/t%00",
        "/sync/pg/t%",
        "/sync/pg/%7",
        "/sync/pg/t%20",
        "/sync/pg;a=1/t",
        "/%73ync/pg/t",
        "sync/pg/t",
        "/sync/pg/\u{ff54}",
        "/sync/pg\\t",
        "/sync/pg/t%0d%0ax:1",
    ];
    requests.extend(paths.iter().map(|path| post(path, b"")));
    let heads = [
        "GET /sync/pg/t HTTP/1.1\r\nhost: d",
        "PUT /sync/pg/t HTTP/1.1\r\nhost: d",
        "post /sync/pg/t HTTP/1.1\r\nhost: d",
        "POST /sync/pg/t HTTP/1.1\r\nhost: d\r\ncontent-length: 5\r\ncontent-length: 6",
        "POST /sync/pg/t HTTP/1.1\r\nhost: d\r\ncontent-length: +0",
        "POST /sync/pg/t HTTP/1.1\r\nhost: d\r\ncontent-length: -1",
        "POST /sync/pg/t HTTP/1.1\r\nhost: d\r\ncontent-length: 0, 1",
        "POST /sync/pg/t HTTP/1.1\r\nhost: d\r\ntransfer-encoding: xchunked",
        "POST /sync/pg/t HTTP/1.1\r\nhost: d\r\ntransfer-encoding : chunked",
        "POST /sync/pg/t HTTP/1.1\r\nhost: d\r\nx\u{0}: 1",
        "POST /sync/pg/t HTTP/9.9\r\nhost: d",
        "POST /sync/pg/t\r\nhost: d",
        "POST  /sync/pg/t HTTP/1.1\r\nhost: d",
        "PRI * HTTP/2.0\r\n\r\nSM",
    ];
    requests.extend(heads.iter().map(|head| format!("{head}\r\n\r\n").into_bytes()));
    requests
}

async fn nothing_malformed_runs_a_table_that_is_named() {
    let door = Door::open().await;
    door.client(|address| {
        for request in nearly() {
            let mut wire = Wire::open(address);
            wire.send(&request);
            let answer = wire.settle();
            refused(answer.as_ref()).unwrap_or_else(|why| panic!("{why}: {:?}", String::from_utf8_lossy(&request)));
        }
    })
    .await;
    assert!(door.place.gate.seen().is_empty(), "{:?}", door.place.gate.seen());
    // what is well-formed in an unusual way runs it
    door.client(|address| {
        let requests = ["POST /sync/%70%67/%74 HTTP/1.1", "POST http://elsewhere/sync/pg/t?x=/y HTTP/1.1"];
        for request in requests {
            let mut wire = Wire::open(address);
            wire.send(format!("{request}\r\nhost: d\r\ncontent-length: 0\r\n\r\n").as_bytes());
            assert_eq!(wire.answer().map(|answer| answer.status), Some(200), "{request}");
        }
    })
    .await;
    assert_eq!(door.runs(), 2);
}

async fn bodies_have_a_limit() {
    let door = Door::open().await;
    door.client(|address| {
        // declared: refused before a byte of it came; and when all of it came
        for path in ["/pubsub", "/sync/pg/t"] {
            let mut wire = Wire::open(address);
            let begun = Instant::now();
            wire.send(format!("POST {path} HTTP/1.1\r\nhost: d\r\ncontent-length: 99999999999\r\n\r\n").as_bytes());
            assert_eq!(wire.answer().map(|answer| answer.status), Some(413));
            assert!(begun.elapsed() < PUT_OFF_MAX, "{:?}", begun.elapsed());
            wire.closed();
        }
        // a caller that sends somewhat too much sees the answer, every time
        for more in [1, 4_000, 1 << 20].repeat(30) {
            let mut wire = Wire::open(address);
            assert!(wire.send(&post("/pubsub", &vec![b' '; (64 << 10) + more])));
            assert_eq!(wire.answer().map(|answer| answer.status), Some(413), "{more} bytes too many");
        }
        // of the greatest length it is read, and is no envelope
        let mut wire = Wire::open(address);
        wire.send(&post("/pubsub", &[b' '; 64 << 10]));
        assert_eq!(wire.answer().map(|answer| answer.status), Some(400));
        // undeclared and without an end: the service stops reading
        let mut wire = Wire::open(address);
        wire.send(b"POST /pubsub HTTP/1.1\r\nhost: d\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
        let (begun, mut sent) = (Instant::now(), 0);
        while wire.send(&chunk) {
            sent += chunk.len();
            assert!(begun.elapsed() < ANSWER_MAX && sent < 64 << 20, "{sent} bytes were taken");
        }
        assert!(wire.answer().is_none_or(|answer| answer.status == 413));
    })
    .await;
    door.still_works().await;
}

async fn requests_in_a_row_are_answered_in_order() {
    let door = Door::open().await;
    door.client(|address| {
        let envelope = json!({"message": {"attributes": {"source": "pg", "table": "t"}}}).to_string();
        let all = [
            post("/sync/pg/t", b""),
            b"GET /healthz HTTP/1.1\r\nhost: d\r\n\r\n".to_vec(),
            post("/sync/pg/none", b"{}"),
            post_chunked("/pubsub", envelope.as_bytes(), 7),
            post("/nowhere", b"x"),
        ];
        let mut wire = Wire::open(address);
        wire.send(&all.concat());
        let answers: Vec<Answer> = (0..all.len()).map(|_| wire.answer().expect("an answer")).collect();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 200, 404, 200, 404]);
        let outcome = |at: usize| answers[at].json()["outcome"].clone();
        assert_eq!((outcome(0), outcome(1), outcome(3)), (json!("synced"), Value::Null, json!("up_to_date")));
        // byte by byte it is the same
        let mut wire = Wire::open(address);
        for byte in post_chunked("/pubsub", envelope.as_bytes(), 1) {
            wire.send(&[byte]);
        }
        assert_eq!(wire.answer().map(|answer| answer.status), Some(200));
    })
    .await;
}

/// A client that sends `first`, then a piece of `then` each second, until the service has closed; gives the status it
/// was answered with, if with any, and how long it took.
fn drip(address: &str, first: &[u8], then: &[u8]) -> (Option<u16>, Duration) {
    let mut wire = Wire::open(address);
    wire.send(first);
    let begun = Instant::now();
    while begun.elapsed() < RECEIVE_MAX + SLACK && wire.send(then) {
        std::thread::sleep(Duration::from_secs(1));
    }
    let status = wire.answer().map(|answer| answer.status);
    (status, begun.elapsed())
}

async fn who_is_slow_is_cut_off() {
    let door = Door::open().await;
    let health = b"GET /healthz HTTP/1.1\r\nhost: d\r\n\r\n".as_slice();
    let body = b"POST /sync/pg/t HTTP/1.1\r\nhost: d\r\ncontent-length: 1000\r\n\r\n".as_slice();
    let chunks = b"POST /pubsub HTTP/1.1\r\nhost: d\r\ntransfer-encoding: chunked\r\n\r\n".as_slice();
    let again = [health, b"GET /hea"].concat();
    let slow = [
        (b"GET /healthz HTTP/1.1\r\n".to_vec(), b"x: y\r\n".to_vec(), vec![None]),
        (b"P".to_vec(), b"O".to_vec(), vec![None, Some(400)]),
        (again, b"x".to_vec(), vec![Some(200)]),
        (body.to_vec(), b"z".to_vec(), vec![None, Some(408)]),
        (chunks.to_vec(), b"1\r\nz\r\n".to_vec(), vec![None, Some(408)]),
        (
            b"POST /nowhere HTTP/1.1\r\nhost: d\r\ncontent-length: 1000\r\n\r\n".to_vec(),
            b"z".to_vec(),
            vec![None, Some(404)],
        ),
    ];
    let mut clients = tokio::task::JoinSet::new();
    for (first, then, statuses) in slow {
        let address = door.address.clone();
        clients.spawn_blocking(move || {
            let (status, took) = drip(&address, &first, &then);
            let shown = String::from_utf8_lossy(&first).into_owned();
            assert!(statuses.contains(&status), "{status:?}: {shown:?}");
            assert!(took < RECEIVE_MAX + SLACK, "{took:?}: {shown:?}");
        });
    }
    // asks and never reads: once the answers fill what lies between, the connection is given up
    let address = door.address.clone();
    clients.spawn_blocking(move || {
        let (mut wire, begun) = (Wire::open(&address), Instant::now());
        let many = health.repeat(1000);
        let mut stalled = None;
        while wire.send(&many) {
            stalled = Some(Instant::now());
        }
        assert!(stalled.expect("something was taken").elapsed() < RECEIVE_MAX + SLACK, "{:?}", begun.elapsed());
    });
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    door.still_works().await;
}

const CONFIGURATION: &str = r#"project: ${PROJECT}
dataset: analytics
bucket: acme-highwater
server: { run_budget: 4m30s, max_concurrent_runs: 8 }
defaults: { chunk_rows: 250_000, lookback: 5s }
sources:
  finance:
    url: mysql://reader:${DB_PASSWORD}@10.0.0.5/finance
    tls: { mode: verify-ca, ca: /secrets/ca.pem }
    tables:
      invoices: &i { cursor: updated_at, partition_by: created_at, cluster_by: [customer_id] }
      "odd.\"name\"": { mode: append, cursor: id, key: [id], types: { x: STRING } }
      currencies: { mode: replace, target: other.money }
      "log_[0-9]*": { mode: append, cursor: [id, at], target: "raw_{schema}_{table}", schedule: "@hourly" }
  web:
    url: postgres://reader@/shop?host=/cloudsql/p:r:i
    password: ${DB_PASSWORD}
    exclude: [tmp_*, "x.*"]
    tables: { orders: *i, "*.a?": { mode: replace, views: true } }
"#;

/// Any change of a configuration gives a configuration, or faults that name their places and no secret.
fn configurations_are_read_or_refused() {
    const SECRET: &str = "hunter2-hunter2";
    let env = Env::new([("PROJECT", "acme"), ("DB_PASSWORD", SECRET)].map(|(name, value)| (name.into(), value.into())));
    Config::parse(CONFIGURATION, "f.yaml", &env).unwrap();
    let (read, told) = (Cell::new(0), Cell::new(0));
    property(strategies::configurations(CONFIGURATION), |text| match Config::parse(&text, "f.yaml", &env) {
        Ok(config) => {
            read.set(read.get() + 1);
            let shown = format!("{config:?}").contains(SECRET);
            if shown { Err("the configuration shows a password".to_owned()) } else { Ok(()) }
        }
        Err(errors) => {
            told.set(told.get() + 1);
            let fine = |told: &Told| {
                let line = &told.message;
                line.starts_with("f.yaml:") && !line.chars().any(char::is_control) && !line.contains(SECRET)
            };
            let lines = errors.told();
            let all = !lines.is_empty() && lines.len() <= 200 && lines.iter().all(fine);
            if all { Ok(()) } else { Err(format!("{lines:?}")) }
        }
    });
    assert!(read.get() >= 30 && told.get() >= 100, "{read:?} were read, {told:?} refused");
}
