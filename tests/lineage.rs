//! A catalogue of lineage is told of runs, in the published form; and nothing depends on it.

mod schema;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::schema::Schemas;
use crate::served_tests;
use crate::support::listen::listen;
use crate::support::place::Place;
use crate::support::process::{self, Ran};
use crate::support::{Test, pure};

pub fn tests() -> Vec<Test> {
    let mut tests = vec![pure("lineage::events_that_are_not_as_published_are_caught", planted)];
    tests.extend(served_tests![
        runs_of_both_databases_are_told_in_the_published_form,
        an_endpoint_that_fails_changes_no_run
    ]);
    tests
}

const SCHEMAS: [&str; 7] = [
    include_str!("lineage/spec/OpenLineage.json"),
    include_str!("lineage/spec/ColumnLineageDatasetFacet.json"),
    include_str!("lineage/spec/DatasourceDatasetFacet.json"),
    include_str!("lineage/spec/ErrorMessageRunFacet.json"),
    include_str!("lineage/spec/JobTypeJobFacet.json"),
    include_str!("lineage/spec/OutputStatisticsOutputDatasetFacet.json"),
    include_str!("lineage/spec/SchemaDatasetFacet.json"),
];
const TOKEN: &str = "very-secret-token";
const PART: &str = "very-secret-part";

/// What a catalogue does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Fine,
    Refuses,
    Sleeps,
}

/// The header that says who sends, and the event.
type Heard = (Option<String>, Value);

/// A catalogue: what it was sent, with the header that says who sends.
struct Catalogue {
    url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    _server: JoinSet<()>,
}

impl Catalogue {
    async fn open(mood: Mood) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let at = heard.clone();
        let (url, server) = listen(move |request: Request<Incoming>| {
            let at = at.clone();
            async move {
                let header = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
                let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                at.lock().unwrap().push((header, serde_json::from_slice(&body).unwrap()));
                if mood == Mood::Sleeps {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                let status = if mood == Mood::Refuses { 500 } else { 201 };
                Response::builder().status(status).body(Full::new(Bytes::from(TOKEN))).unwrap()
            }
        })
        .await;
        Self { url: format!("{url}/{PART}/api/v1/lineage"), heard, _server: server }
    }

    /// What came since it was asked last; all by who may send, and all as it is published.
    fn events(&self) -> Vec<Value> {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        let events = heard.into_iter().map(|(header, event)| {
            assert_eq!(header.as_deref(), Some(format!("Bearer {TOKEN}").as_str()));
            assert_valid(&event);
            event
        });
        events.collect()
    }
}

/// Holds the event, and each facet, against the schema that it names itself.
fn assert_valid(event: &Value) {
    let schemas = Schemas::parse(&SCHEMAS);
    let check = |address: &str, value: &Value| {
        let faults = schemas.faults(address, value);
        assert!(faults.is_empty(), "{address}: {faults:?}: {value}");
    };
    check(event["schemaURL"].as_str().unwrap(), event);
    let places = ["/run/facets", "/job/facets", "/inputs/0/facets", "/outputs/0/facets", "/outputs/0/outputFacets"];
    for facet in places.iter().filter_map(|place| event.pointer(place)?.as_object()).flat_map(|facets| facets.values())
    {
        check(facet["_schemaURL"].as_str().unwrap(), facet);
    }
}

/// What the check of events would not find is no check.
fn planted() {
    let schemas = Schemas::parse(&SCHEMAS);
    let run = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
    let good = json!({
        "eventTime": "2026-01-01T00:00:00Z", "producer": "urn:x", "schemaURL": run, "eventType": "START",
        "run": { "runId": "019b76da-a800-7000-8000-000000000000" }, "job": { "namespace": "n", "name": "j" },
        "inputs": [{ "namespace": "n", "name": "t", "facets": { "f": { "_producer": "urn:x", "_schemaURL": run } } }],
    });
    assert_eq!(schemas.faults(run, &good), Vec::<String>::new());
    for (place, wrong) in [
        ("/eventTime", json!("yesterday")),
        ("/producer", json!("no uri")),
        ("/eventType", json!("BEGIN")),
        ("/run/runId", json!("01J00000000000000000000000")),
        ("/job", json!({ "name": "j" })),
        ("/inputs", json!({})),
        ("/inputs/0/facets/f", json!({ "_producer": "urn:x" })),
    ] {
        let mut event = good.clone();
        *event.pointer_mut(place).unwrap() = wrong;
        assert!(!schemas.faults(run, &event).is_empty(), "{place}");
    }
}

async fn run(place: &Place, url: &str, args: &[&str]) -> Ran {
    let mut env = place.env();
    env.push(("LINEAGE_URL".into(), url.to_owned()));
    env.push(("LINEAGE_TOKEN".into(), TOKEN.into()));
    env.push(("HIGHWATER_LOG".into(), "trace".into()));
    let ran = process::run(place.folder.path(), &env, args).await;
    for secret in [TOKEN, PART] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{secret}: {ran:?}");
    }
    ran
}

const LINEAGE: &str = "lineage: { url: '${LINEAGE_URL}', token: '${LINEAGE_TOKEN}', job_namespace: shop, timeout: 1s }";

/// Start and end of the only run of that job.
fn of_job<'a>(events: &'a [Value], job: &str) -> (&'a Value, &'a Value) {
    let mut of_job = events.iter().filter(|event| event["job"]["name"] == job);
    let (Some(start), Some(end), None) = (of_job.next(), of_job.next(), of_job.next()) else {
        panic!("{job}: {events:?}")
    };
    assert_eq!(start["eventType"], "START");
    assert_eq!((&start["run"]["runId"], &start["job"]["namespace"]), (&end["run"]["runId"], &json!("shop")));
    (start, end)
}

/// The rows that a run says it moved.
fn rows_told(end: &Value) -> u64 {
    end["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"].as_u64().unwrap()
}

async fn runs_of_both_databases_are_told_in_the_published_form() {
    let place = Place::new().await;
    let catalogue = Catalogue::open(Mood::Fine).await;
    place
        .pg("CREATE TABLE people (id int PRIMARY KEY, mail text, age int); INSERT INTO people SELECT i, 'm' || i, i FROM generate_series(1, 5) i")
        .await;
    place.my("CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders VALUES (1, 'a'), (2, 'b')").await;
    let people = "people: { cursor: id, hash: [mail], hash_salt: pepper, types: { age: STRING } }";
    place.configure(&[people], &["orders: { cursor: id }"], LINEAGE);
    let ran = run(&place, &catalogue.url, &["config"]).await;
    assert!(ran.code == 0 && ran.stdout.contains("${LINEAGE_TOKEN}"), "{ran:?}");
    let ran = run(&place, &catalogue.url, &["sync", "--all"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let events = catalogue.events();
    assert_eq!(events.len(), 4, "{events:?}");

    let (start, end) = of_job(&events, "pg/people");
    let (host, database) = (format!("127.0.0.1:{}", place.stack.postgres.port), &place.name);
    for event in [start, end] {
        assert_eq!(event["inputs"][0]["namespace"], format!("postgres://{host}"));
        assert_eq!(event["inputs"][0]["name"], format!("{database}.public.people"));
        assert_eq!(event["outputs"][0]["namespace"], "bigquery");
        assert_eq!(event["outputs"][0]["name"], format!("demo.{database}.people"));
    }
    assert_eq!(end["eventType"], "COMPLETE");
    let output = &end["outputs"][0];
    assert_eq!(rows_told(end), 5);
    let origin = |column: &str| {
        let origin = &output["facets"]["columnLineage"]["fields"][column]["inputFields"][0];
        let how = &origin["transformations"][0];
        (origin["field"].clone(), how["subtype"].clone(), how["masking"].clone())
    };
    assert_eq!(origin("id"), (json!("id"), json!("IDENTITY"), json!(false)));
    assert_eq!(origin("mail"), (json!("mail"), json!("TRANSFORMATION"), json!(true)));
    assert_eq!(origin("age"), (json!("age"), json!("TRANSFORMATION"), json!(false)));
    assert_eq!(end["inputs"][0]["facets"]["schema"]["fields"][1]["type"], "text");
    assert_eq!(output["facets"]["schema"]["fields"][0]["type"], "INT64");

    let (_, end) = of_job(&events, "my/orders");
    assert_eq!(end["inputs"][0]["namespace"], format!("mysql://127.0.0.1:{}", place.stack.mysql.port));
    assert_eq!(end["inputs"][0]["name"], format!("{database}.orders"));
    // other tests' transactions on the same server hold the ceiling of a number: each run tells what it moved
    let mut told = rows_told(end);
    for _look in 0..60 {
        if told > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        run(&place, &catalogue.url, &["sync", "orders"]).await;
        let events = catalogue.events();
        told = rows_told(of_job(&events, "my/orders").1);
    }
    assert_eq!(told, 2);

    // a run that moves nothing is a run
    run(&place, &catalogue.url, &["sync", "orders"]).await;
    let events = catalogue.events();
    let (_, end) = of_job(&events, "my/orders");
    assert_eq!((&end["eventType"], rows_told(end)), (&json!("COMPLETE"), 0));

    // one that fails says why
    place.my("DROP TABLE orders").await;
    let ran = run(&place, &catalogue.url, &["sync", "orders"]).await;
    assert_ne!(ran.code, 0);
    let events = catalogue.events();
    let (_, end) = of_job(&events, "my/orders");
    let error = &end["run"]["facets"]["errorMessage"];
    assert_eq!(end["eventType"], "FAIL");
    assert!(error["message"].as_str().unwrap().contains("has no table") && error["stackTrace"].is_null(), "{error}");
    // what is kept of runs has no columns of lineage, and no secret
    for name in place.objects("").await {
        let text = place.text(&name).await.unwrap();
        assert!(!text.contains(TOKEN) && !text.contains(PART) && !text.contains("\"flow\""), "{name}: {text}");
    }
}

async fn an_endpoint_that_fails_changes_no_run() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    place.configure(&["t: { cursor: id }"], &[], LINEAGE);
    let (refuses, sleeps) = (Catalogue::open(Mood::Refuses).await, Catalogue::open(Mood::Sleeps).await);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = format!("http://127.0.0.1:{port}/{PART}");
    for (row, url) in [refuses.url.as_str(), sleeps.url.as_str(), gone.as_str()].into_iter().enumerate() {
        place.pg(&format!("INSERT INTO t VALUES ({})", row + 10)).await;
        let begun = Instant::now();
        let ran = run(&place, url, &["sync", "t", "--json"]).await;
        assert_eq!((ran.code, ran.report().error), (0, None), "{url}: {}", ran.stderr);
        assert!(ran.report().rows > 0, "{url}: {}", ran.stdout);
        // twice the timeout, beside the run
        assert!(begun.elapsed() < Duration::from_secs(20), "{url}: {:?}", begun.elapsed());
        let warnings = ran.stderr.lines().filter(|line| line.contains("the lineage endpoint could not be told"));
        assert_eq!(warnings.count(), 2, "one for each event: {}", ran.stderr);
    }
    assert!(!refuses.events().is_empty() && !sleeps.events().is_empty());
}
