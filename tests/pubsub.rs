//! Pub/Sub end to end, on Google's own emulator: it pushes to the real service, which runs tables of a real database. What
//! failed is delivered again, what is done is not, what cannot be done goes to the dead-letter topic, and however often
//! a message comes, each row is there once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::served_tests;
use crate::support::Test;
use crate::support::gate::Fault;
use crate::support::place::Place;
use crate::support::process::{self, Service};
use crate::support::pubsub::{Delivery, PubSub, Relay};

pub fn tests() -> Vec<Test> {
    served_tests![
        many_messages_run_their_tables,
        messages_that_come_twice_append_once,
        what_fails_comes_again_until_it_is_done,
        what_cannot_be_done_is_given_up,
        a_run_beyond_the_deadline_overlaps,
        notices_are_published,
    ]
}

/// For so long nothing may come any more: the emulator delivers again after a second, three where it has failed before.
const QUIET: Duration = Duration::from_secs(5);

/// A deadline that no run here comes near to.
const PATIENT: u32 = 120;
/// The least that there is.
const DEADLINE_MIN: u32 = 10;

/// A service behind a relay, a topic `runs` that is pushed to it, and what is given up in `dead`.
struct Scene {
    place: Place,
    service: Service,
    relay: Relay,
    pubsub: PubSub,
}

impl Scene {
    /// Over the tables that were configured in `place`; a push may take so many seconds.
    async fn new(place: Place, seconds: u32) -> Self {
        let (service, pubsub) = (place.serve().await, PubSub::new(&place.name).await);
        let relay = Relay::open(&service.url).await;
        pubsub.make_topic("runs").await;
        pubsub.make_topic("dead").await;
        pubsub.make_pull("dead", "dead").await;
        pubsub.make_push("one", "runs", &relay.url, "dead", seconds).await;
        Self { place, service, relay, pubsub }
    }

    /// Waits until each of these messages was taken by each of the subscriptions, and then for a while: none comes again.
    async fn acknowledged(&self, messages: &[String], subscriptions: usize) {
        for message in messages {
            let done = |delivery: &Delivery| delivery.message == *message && delivery.status == Some(200);
            self.relay.until(subscriptions, done).await;
        }
        let before = self.relay.deliveries().len();
        tokio::time::sleep(QUIET).await;
        assert_eq!(self.relay.deliveries().len(), before, "what is done comes again: {:?}", self.relay.deliveries());
    }

    /// What was answered to one message, in order.
    fn answers(&self, message: &str) -> Vec<u16> {
        self.relay.of(message).iter().filter_map(|delivery| delivery.status).collect()
    }

    /// The target has the source's rows, each once.
    async fn assert_same(&self, table: &str) -> usize {
        let mut source = self.place.pg_rows(&format!("SELECT id::text, v FROM {table}")).await;
        let mut target = self.place.bq(&format!("SELECT CAST(id AS STRING), v FROM {{d}}.{table}")).await;
        source.sort();
        target.sort();
        // not `assert_eq`, which would print all of them
        let lacks = source.iter().filter(|row| target.binary_search(row).is_err()).count();
        assert!(
            source == target,
            "{table}: {} rows, {lacks} of them not among {} in the target: {:?}",
            source.len(),
            target.len(),
            self.relay.deliveries()
        );
        source.len()
    }

    async fn stop(self) {
        self.pubsub.forget("one").await;
        assert_eq!(self.service.terminate().await.0, 0);
    }
}

async fn pg_table(place: &Place, name: &str, rows: u32) {
    place.pg(&format!("CREATE TABLE {name} (id int PRIMARY KEY, v text, u timestamptz NOT NULL); INSERT INTO {name} SELECT i, md5(i::text), '2024-01-01' FROM generate_series(1, {rows}) i")).await;
}

async fn many_messages_run_their_tables() {
    let place = Place::new().await;
    for (name, rows) in [("a", 3_000), ("b", 500), ("c", 40)] {
        pg_table(&place, name, rows).await;
    }
    place.configure(
        &["a: { cursor: u, chunk_rows: 1000 }", "b: { mode: append, cursor: id }", "c: { mode: replace }"],
        &[],
        "",
    );
    let scene = Scene::new(place, PATIENT).await;
    let mut messages = Vec::new();
    for round in 0..4 {
        for table in ["a", "b", "c"] {
            // by data, or by attributes
            messages.push(if round % 2 == 0 {
                scene.pubsub.publish_table("runs", table).await
            } else {
                scene.pubsub.publish("runs", "", json!({"source": "pg", "table": table})).await
            });
        }
    }
    scene.acknowledged(&messages, 1).await;
    let (a, b, c) = (scene.assert_same("a").await, scene.assert_same("b").await, scene.assert_same("c").await);
    let deliveries = scene.relay.deliveries();
    let mut outcomes: Vec<String> = deliveries.iter().filter_map(|delivery| delivery.outcome.clone()).collect();
    outcomes.sort();
    eprintln!(
        "pubsub: {} messages, {} deliveries, {a} + {b} + {c} rows, {outcomes:?}",
        messages.len(),
        deliveries.len()
    );
    assert_eq!(deliveries.len(), messages.len(), "each is delivered once: {deliveries:?}");
    // and what changes later is a message away
    scene.place.pg("UPDATE a SET v = 'new', u = now() - interval '5 s' WHERE id <= 7; INSERT INTO b SELECT i, 'later', now() FROM generate_series(501, 520) i").await;
    let later = [scene.pubsub.publish_table("runs", "a").await, scene.pubsub.publish_table("runs", "b").await];
    scene.acknowledged(&later, 1).await;
    assert_eq!((scene.assert_same("a").await, scene.assert_same("b").await), (3_000, 520));
    scene.place.assert_clean().await;
    scene.stop().await;
}

async fn messages_that_come_twice_append_once() {
    let place = Place::new().await;
    pg_table(&place, "t", 4_000).await;
    place.configure(&["t: { mode: append, cursor: id, chunk_rows: 1000 }"], &[], "");
    let scene = Scene::new(place, PATIENT).await;
    scene.pubsub.make_push("two", "runs", &scene.relay.url, "dead", PATIENT).await;
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(scene.pubsub.publish_table("runs", "t").await);
    }
    scene.acknowledged(&messages, 2).await;
    let subscriptions: BTreeSet<String> =
        scene.relay.deliveries().into_iter().map(|delivery| delivery.subscription).collect();
    assert_eq!(subscriptions.len(), 2);
    let runs = scene.relay.deliveries().len();
    let last = scene.pubsub.publish_table("runs", "t").await;
    scene.acknowledged(&[last], 2).await;
    let mut outcomes: Vec<String> =
        scene.relay.deliveries().into_iter().filter_map(|delivery| delivery.outcome).collect();
    outcomes.sort();
    let count = scene.assert_same("t").await;
    eprintln!("pubsub: append, 2 subscriptions, {runs} + 2 deliveries: {count} rows, each once; {outcomes:?}");
    assert_eq!((count, runs), (4_000, 6));
    assert!(outcomes.iter().any(|outcome| outcome == "synced"), "{outcomes:?}");
    scene.place.assert_clean().await;
    scene.pubsub.forget("two").await;
    scene.stop().await;
}

async fn what_fails_comes_again_until_it_is_done() {
    let place = Place::new().await;
    pg_table(&place, "t", 200).await;
    let path = place.configure(&["t: { cursor: u }"], &[], "server: { run_budget: 15s }");
    // a database that is down: nobody listens at its port, until somebody does
    let text = std::fs::read_to_string(&path).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let down = text.replace(&format!("127.0.0.1:{}/", place.stack.postgres.port), &format!("127.0.0.1:{port}/"));
    assert_ne!(text, down);
    place.write_config(&down);
    let scene = Scene::new(place, PATIENT).await;
    let message = scene.pubsub.publish_table("runs", "t").await;
    scene.relay.until(2, |delivery| delivery.status == Some(503)).await;
    let server = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let postgres = scene.place.stack.postgres.port;
    let mut tunnel = tokio::task::JoinSet::new();
    tunnel.spawn(async move {
        while let Ok((mut near, _)) = server.accept().await {
            tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(("127.0.0.1", postgres)).await.unwrap();
                // the end of either is the end of both
                tokio::io::copy_bidirectional(&mut near, &mut far).await.unwrap_or_default();
            });
        }
    });
    scene.relay.until(1, |delivery| delivery.outcome.is_some() && delivery.status == Some(200)).await;
    scene.acknowledged(std::slice::from_ref(&message), 1).await;
    let answers = scene.answers(&message);
    assert!(answers.len() >= 3 && answers[..answers.len() - 1].iter().all(|status| *status == 503), "{answers:?}");
    // BigQuery that refuses for a while
    scene.place.pg("INSERT INTO t SELECT i, 'more', now() - interval '5 s' FROM generate_series(201, 250) i").await;
    scene.place.gate.fault(10_000, Fault::Status(503), |seen| seen.inserts_job().is_some());
    let other = scene.pubsub.publish_table("runs", "t").await;
    scene.relay.until(1, |delivery| delivery.message == other && delivery.status == Some(503)).await;
    scene.place.gate.forgive();
    scene.acknowledged(std::slice::from_ref(&other), 1).await;
    // a run whose time was up has done its part, which acknowledges: another message goes on
    let mut more = 0;
    while scene.relay.deliveries().last().is_some_and(|delivery| delivery.outcome.as_deref() != Some("up_to_date")) {
        more += 1;
        assert!(more <= 5, "{:?}", scene.relay.deliveries());
        let next = scene.pubsub.publish_table("runs", "t").await;
        scene.acknowledged(&[next], 1).await;
    }
    let rows = scene.assert_same("t").await;
    eprintln!("pubsub: database down: {answers:?}; BigQuery down: {:?}; {rows} rows", scene.answers(&other));
    assert_eq!(rows, 250);
    scene.place.assert_clean().await;
    scene.stop().await;
}

async fn what_cannot_be_done_is_given_up() {
    let place = Place::new().await;
    pg_table(&place, "t", 10).await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let scene = Scene::new(place, PATIENT).await;
    let poison = [
        ("not json", json!({"who": "nobody"}), 400),
        ("", json!({"who": "nothing"}), 400),
        (r#"{"source":"pg","table":"unknown"}"#, json!({"who": "unknown"}), 404),
    ];
    let mut messages = Vec::new();
    for (data, attributes, _) in &poison {
        messages.push(scene.pubsub.publish("runs", data, attributes.clone()).await);
    }
    // what is fine is not held up by what is not
    let fine = scene.pubsub.publish_table("runs", "t").await;
    let dead = scene.pubsub.pull("dead", poison.len()).await;
    for ((data, attributes, status), message) in poison.iter().zip(&messages) {
        let (of, found) = dead.iter().find(|(_, found)| found["who"] == attributes["who"]).unwrap();
        assert_eq!(of, data);
        assert_eq!(found["CloudPubSubDeadLetterSourceDeliveryCount"], "5", "{found}");
        let source = found["CloudPubSubDeadLetterSourceSubscription"].as_str().unwrap();
        assert!(source.ends_with("-one"), "{found}");
        let answers = scene.answers(message);
        eprintln!("pubsub: {data:?} was answered {answers:?} and is in the dead-letter topic, from {source}");
        assert_eq!(answers, vec![*status; 5], "{data}");
    }
    scene.acknowledged(std::slice::from_ref(&fine), 1).await;
    assert_eq!((scene.answers(&fine), scene.assert_same("t").await), (vec![200], 10));
    assert_eq!(scene.place.objects("state/").await, ["state/pg/t.json"]);
    scene.stop().await;
}

async fn a_run_beyond_the_deadline_overlaps() {
    let place = Place::new().await;
    pg_table(&place, "t", 3_000).await;
    place.configure(&["t: { mode: append, cursor: id, chunk_rows: 1000 }"], &[], "");
    // the first chunk's merge alone takes longer than the deadline, and twice: its first request is given up after 10 s
    let slow = |seen: &crate::support::gate::Seen| seen.inserts_job().is_some_and(|id| id.starts_with("hw_merge_"));
    place.gate.fault(2, Fault::Delay(Duration::from_secs(u64::from(DEADLINE_MIN) + 3)), slow);
    let scene = Scene::new(place, DEADLINE_MIN).await;
    let message = scene.pubsub.publish_table("runs", "t").await;
    scene.relay.until(2, |delivery| delivery.message == message).await;
    let overlaps = scene.relay.deliveries()[0].status.is_none();
    assert!(overlaps, "the second came after the first was answered: {:?}", scene.relay.deliveries());
    scene.relay.until(2, |delivery| delivery.status == Some(200)).await;
    scene.acknowledged(std::slice::from_ref(&message), 1).await;
    let deliveries = scene.relay.of(&message);
    let outcomes: Vec<&str> = deliveries.iter().filter_map(|delivery| delivery.outcome.as_deref()).collect();
    let rows = scene.assert_same("t").await;
    eprintln!("pubsub: {} deliveries of one message overlap: {outcomes:?}; {rows} rows, each once", deliveries.len());
    assert_eq!(rows, 3_000);
    scene.place.assert_clean().await;
    scene.stop().await;
}

async fn notices_are_published() {
    let place = Place::new().await;
    let pubsub = PubSub::new(&place.name).await;
    pubsub.make_topic("notices").await;
    pubsub.make_pull("ops", "notices").await;
    place.configure(&["t: { cursor: u }"], &[], &format!("notify: [{{ pubsub: {} }}]", pubsub.topic("notices")));
    let mut env = place.env();
    env.push(("PUBSUB_EMULATOR_HOST".into(), pubsub.host()));
    let sync = async || process::run(place.folder.path(), &env, &["sync", "t", "--json"]).await;
    let failed = sync().await;
    assert_eq!(failed.code, 2, "there is no such table: {failed:?}");
    pg_table(&place, "t", 10).await;
    let well = sync().await;
    assert_eq!(well.code, 0, "{well:?}");
    let pulled = pubsub.pull("ops", 2).await;
    for ((event, ran), (data, attributes)) in [("failure", &failed), ("recovery", &well)].into_iter().zip(&pulled) {
        let (run_id, report) = (ran.report().run_id.unwrap(), serde_json::from_str::<Value>(data).unwrap());
        let wanted = json!({"source": "pg", "table": "t", "event": event, "run_id": run_id});
        assert_eq!((attributes, &report["run_id"]), (&wanted, &json!(run_id)), "{pulled:?}");
        eprintln!("pubsub: a notice of {event} was pulled: {attributes}, {} bytes of report", data.len());
    }
}
