//! Who is told of a table's troubles: on failure, on drift, on recovery, and once.

use serde_json::Value;

use super::listener::{Listener, Mood, data};
use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::support::process::{self, Ran};

pub fn tests() -> Vec<Test> {
    served_tests![
        failure_and_recovery_are_told_once,
        drift_is_told_once,
        runs_that_overlap_tell_once,
        what_was_not_heard_is_told_again_and_fails_no_run,
    ]
}

const TOLD: &str = "notified/pg/t.json";
const SECRET: &str = "T0000-very-secret-part";

/// A place with a webhook and a topic that hear of everything.
struct Scene {
    place: Place,
    webhook: Listener,
    topic: Listener,
}

impl Scene {
    async fn new(table: &str) -> Self {
        let scene = Self { place: Place::new().await, webhook: Listener::open().await, topic: Listener::open().await };
        scene.place.configure(
            &[table],
            &[],
            "notify: [{ webhook: '${HOOK_URL}' }, { pubsub: projects/demo/topics/runs }]",
        );
        scene
    }

    async fn run(&self, args: &[&str]) -> Ran {
        let mut env = self.place.env();
        env.push(("HOOK_URL".into(), format!("{}/{SECRET}", self.webhook.url)));
        env.push(("PUBSUB_EMULATOR_HOST".into(), self.topic.url.clone()));
        env.push(("HIGHWATER_LOG".into(), "trace".into()));
        let ran = process::run(self.place.folder.path(), &env, args).await;
        assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:?}");
        ran
    }

    /// Runs the table; what both heard of it.
    async fn sync(&self, code: i32) -> Vec<String> {
        let ran = self.run(&["sync", "t"]).await;
        assert_eq!(ran.code, code, "{ran:?}");
        let (webhook, topic) = (self.webhook.events(), self.topic.events());
        assert_eq!(webhook, topic);
        webhook
    }

    /// Nothing that is kept names the webhook.
    async fn assert_secret(&self) {
        for name in self.place.objects("").await {
            let text = self.place.text(&name).await.unwrap();
            assert!(!text.contains(SECRET), "{name}: {text}");
        }
    }
}

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v int, u timestamptz NOT NULL); \
                     INSERT INTO t SELECT i, i, '2024-01-01' FROM generate_series(1, 10) i";
const NOTHING: Vec<String> = Vec::new();

async fn failure_and_recovery_are_told_once() {
    let scene = Scene::new("t: { cursor: u }").await;
    let ran = scene.run(&["config"]).await;
    assert!(ran.code == 0 && ran.stdout.contains("${HOOK_URL}"), "{ran:?}");
    let ran = scene.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 2, "there is no such table: {ran:?}");
    let heard = scene.webhook.heard();
    let [(path, body)] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!(path, &format!("/{SECRET}"));
    assert!(body["text"].as_str().unwrap().starts_with("Highwater: pg/t fails: "), "{body}");
    assert_eq!((body["event"].as_str(), body["source"].as_str()), (Some("failure"), Some("pg")));
    let heard = scene.topic.heard();
    let [(path, message)] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!(path, "/v1/projects/demo/topics/runs:publish");
    let attributes = &message["messages"][0]["attributes"];
    assert_eq!((attributes["table"].as_str(), attributes["event"].as_str()), (Some("t"), Some("failure")));
    let report = data(message);
    assert_eq!((&report["run_id"], report["outcome"].as_str()), (&body["run_id"], Some("failed")));
    // the report that the message names is there
    let name = body["report"].as_str().unwrap().split_once("/reports/").unwrap().1;
    assert_eq!(scene.place.object(&format!("reports/{name}")).await.unwrap(), report);

    assert_eq!(scene.sync(2).await, NOTHING);
    scene.place.pg(TABLE).await;
    assert_eq!(scene.sync(0).await, ["recovery"]);
    assert_eq!(scene.sync(0).await, NOTHING);
    // a failure that can pass is told when it lasts
    let told = scene.place.object(TOLD).await.unwrap();
    assert_eq!((&told["failing"], &told["outbox"]), (&Value::Null, &Value::Null));
    let port = scene.place.stack.postgres.port.to_string();
    let path = scene.place.folder.path().join("highwater.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    scene.place.write_config(&format!("{}\nserver: {{ run_budget: 4s }}\n", text.replace(&port, "9")));
    assert_eq!(scene.sync(75).await, NOTHING);
    let mut told = scene.place.object(TOLD).await.unwrap();
    told["failing"]["since"] = "2024-01-01T00:00:00Z".into();
    scene.place.put(TOLD, &told.to_string()).await;
    assert_eq!(scene.sync(75).await, ["failure"]);
    assert_eq!(scene.sync(75).await, NOTHING);
    scene.place.write_config(&text);
    assert_eq!(scene.sync(0).await, ["recovery"]);
    scene.assert_secret().await;
}

async fn drift_is_told_once() {
    let scene = Scene::new("t: { cursor: u }").await;
    scene.place.pg(TABLE).await;
    assert_eq!(scene.sync(0).await, NOTHING);
    scene.place.pg("ALTER TABLE t ADD COLUMN w text").await;
    let ran = scene.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let body = scene.webhook.heard().remove(0).1;
    assert!(body["event"] == "drift" && body["drift"][0].as_str().unwrap().contains('w'), "{body}");
    assert!(body["text"].as_str().unwrap().contains("the columns of demo."), "{body}");
    assert_eq!(scene.topic.events(), ["drift"]);
    assert_eq!(scene.sync(0).await, NOTHING);
    // a change that stops the table is one message, and its end another
    scene.place.pg("ALTER TABLE t ALTER COLUMN v TYPE text").await;
    let ran = scene.run(&["sync", "t"]).await;
    assert_ne!(ran.code, 0, "{ran:?}");
    let heard = scene.webhook.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].1["event"] == "drift" && heard[0].1["outcome"] == "failed", "{heard:?}");
    scene.topic.events();
    let code = ran.code;
    assert_eq!(scene.sync(code).await, NOTHING);
    scene.place.pg("ALTER TABLE t ALTER COLUMN v TYPE int USING v::int").await;
    assert_eq!(scene.sync(0).await, ["recovery"]);
    scene.assert_secret().await;
}

async fn runs_that_overlap_tell_once() {
    let scene = Scene::new("t: { cursor: u }").await;
    let runs = (0..5).map(|_| scene.run(&["sync", "t"]));
    for ran in futures_util::future::join_all(runs).await {
        assert_eq!(ran.code, 2, "{ran:?}");
    }
    assert_eq!(
        (scene.webhook.events(), scene.topic.events()),
        (vec!["failure".to_owned()], vec!["failure".to_owned()])
    );
    scene.place.pg(TABLE).await;
    let runs = (0..5).map(|_| scene.run(&["sync", "t"]));
    for ran in futures_util::future::join_all(runs).await {
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(scene.webhook.events(), ["recovery"]);
}

async fn what_was_not_heard_is_told_again_and_fails_no_run() {
    let scene = Scene::new("t: { cursor: u }").await;
    scene.webhook.feels(Mood::Refuses(404));
    let ran = scene.run(&["sync", "t"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    let warnings = ran.stderr.lines().filter(|line| line.contains("a hook could not be told")).count();
    assert!(warnings == 1 && ran.stderr.contains("it answers with HTTP 404"), "{}", ran.stderr);
    assert_eq!(scene.topic.events(), ["failure"]);
    // for a while it is that run's; then anybody's, for the one that did not hear it
    scene.webhook.feels(Mood::Fine);
    assert_eq!(scene.sync(2).await, NOTHING);
    let late = async || {
        let mut told = scene.place.object(TOLD).await.unwrap();
        told["outbox"][0]["claimed_until"] = "2024-01-01T00:00:00Z".into();
        scene.place.put(TOLD, &told.to_string()).await;
        scene.run(&["sync", "t"]).await
    };
    for mood in [Mood::Refuses(503), Mood::Sleeps] {
        scene.webhook.feels(mood);
        let begun = std::time::Instant::now();
        let ran = late().await;
        assert_eq!(ran.code, 2, "{mood:?}: {ran:?}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(15), "{mood:?}: {:?}", begun.elapsed());
    }
    scene.webhook.feels(Mood::Fine);
    assert_eq!(late().await.code, 2);
    let heard = scene.webhook.heard();
    assert!(heard.len() == 1 && heard[0].1["event"] == "failure", "{heard:?}");
    assert_eq!(scene.topic.events(), NOTHING);
    assert!(scene.place.object(TOLD).await.unwrap()["outbox"].is_null());
    scene.assert_secret().await;
}
