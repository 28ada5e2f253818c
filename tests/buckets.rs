//! What every place for objects promises, and the state in a folder of one's own.

use std::time::Duration;

use highwater::bucket::folder::FolderBucket;
use highwater::bucket::gcs::GcsBucket;
use highwater::bucket::memory::MemoryBucket;
use highwater::bucket::{Bucket, BucketError, ContentType, Generation, Precondition, Put};
use highwater::net::{Context, Tokens};
use highwater::report::Outcome;
use tokio_util::sync::CancellationToken;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![
        every_bucket_keeps_the_contract,
        one_of_many_writers_wins,
        a_folder_holds_the_state,
        processes_that_share_a_folder_lose_nothing,
        a_folder_on_cloud_run_is_refused,
    ]
}

fn cx() -> Context {
    Context::new(tokio::time::Instant::now() + Duration::from_secs(60), CancellationToken::new())
}

async fn put(bucket: &impl Bucket, name: &str, text: &str, precondition: Precondition) -> Option<Generation> {
    let bytes = text.to_owned().into_bytes().into();
    match bucket.put(&cx(), name, bytes, ContentType::Json, precondition).await.unwrap() {
        Put::Stored(generation) => Some(generation),
        Put::Mismatch => None,
    }
}

async fn contract(bucket: &impl Bucket) {
    let name = "state/s/a%2Fb.json";
    assert_eq!(bucket.get(&cx(), name, 10).await.unwrap(), None);
    assert_eq!(put(bucket, name, "0", Precondition::Generation(Generation(1))).await, None, "there is nothing yet");
    let first = put(bucket, name, "one", Precondition::Absent).await.unwrap();
    assert_eq!(put(bucket, name, "two", Precondition::Absent).await, None, "it is there");
    let found = bucket.get(&cx(), name, 3).await.unwrap().unwrap();
    assert_eq!((&found.bytes[..], found.generation), (&b"one"[..], first));
    assert!(matches!(bucket.get(&cx(), name, 2).await, Err(BucketError::TooLarge { bytes_max: 2, .. })));
    let second = put(bucket, name, "two", Precondition::Generation(first)).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(put(bucket, name, "three", Precondition::Generation(first)).await, None, "another was faster");
    assert_eq!(&bucket.get(&cx(), name, 10).await.unwrap().unwrap().bytes[..], b"two");
    put(bucket, "state/s/c.json", "", Precondition::Absent).await.unwrap();
    put(bucket, "state/other/d.json", "", Precondition::Absent).await.unwrap();
    assert_eq!(bucket.list(&cx(), "state/s/").await.unwrap(), [name, "state/s/c.json"]);
    assert_eq!(bucket.list(&cx(), "state/s/c").await.unwrap(), ["state/s/c.json"]);
    assert_eq!(bucket.list(&cx(), "nothing/").await.unwrap(), Vec::<String>::new());
    assert_eq!(bucket.list_from(&cx(), "state/s/", "state/s/c").await.unwrap(), ["state/s/c.json"]);
    assert_eq!(bucket.list_from(&cx(), "state/s/", "state/s/c.json").await.unwrap(), ["state/s/c.json"]);
    assert_eq!(bucket.list_from(&cx(), "state/s/", "state/t").await.unwrap(), Vec::<String>::new());
    bucket.delete(&cx(), name).await.unwrap();
    bucket.delete(&cx(), name).await.unwrap();
    assert_eq!(bucket.get(&cx(), name, 10).await.unwrap(), None);
    assert_eq!(put(bucket, name, "three", Precondition::Generation(second)).await, None, "it is gone");
}

fn gcs(place: &Place) -> GcsBucket {
    GcsBucket::new(&place.bucket(), "p/", Some(place.stack.storage.parse().unwrap()), Tokens::Anonymous)
}

async fn every_bucket_keeps_the_contract() {
    let place = Place::new().await;
    contract(&MemoryBucket::default()).await;
    contract(&FolderBucket::new(place.folder.path().join("made/by/the/first"))).await;
    contract(&gcs(&place)).await;
}

/// Every writer adds one to the number that it finds, again and again, until its own write took effect.
async fn count(bucket: &(impl Bucket + 'static), writers: u64, times: u64) {
    let add = async |writer: u64| {
        let mut lost = 0;
        for turn in 0..times {
            loop {
                let found = bucket.get(&cx(), "state/n", 1000).await.unwrap();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let number: u64 =
                    found.as_ref().map_or(0, |found| text(&found.bytes).split(' ').next().unwrap().parse().unwrap());
                let precondition =
                    found.map_or(Precondition::Absent, |found| Precondition::Generation(found.generation));
                let next = format!("{} {writer} {turn}", number + 1);
                if put(bucket, "state/n", &next, precondition).await.is_some() {
                    break;
                }
                lost += 1;
            }
        }
        lost
    };
    let lost: Vec<u64> = futures_util::future::join_all((0..writers).map(add)).await;
    let found = bucket.get(&cx(), "state/n", 1000).await.unwrap().unwrap();
    let number = String::from_utf8(found.bytes.to_vec()).unwrap().split(' ').next().unwrap().parse::<u64>().unwrap();
    assert_eq!(number, writers * times);
    assert!(lost.iter().sum::<u64>() > 0, "nobody was in anybody's way");
}

async fn one_of_many_writers_wins() {
    let place = Place::new().await;
    count(&FolderBucket::new(place.folder.path().to_owned()), 8, 25).await;
    count(&gcs(&place), 4, 5).await;
}

async fn a_folder_holds_the_state() {
    let place = Place::new().await;
    place.pg("CREATE TABLE \"a/b\" (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO \"a/b\" VALUES (1, '2024-01-01')").await;
    place.configure(&["a/b: { cursor: u, target: t }"], &[], "state: ./own/state");
    place.sync(&["pg/a/b"]).await;
    let folder = place.folder.path().join("own/state");
    let file = folder.join("state/pg/a%2Fb.json");
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(state["watermark"]["cursor"], "2024-01-01T00:00:00Z");
    let others: Vec<String> =
        place.objects("").await.into_iter().filter(|name| !name.starts_with("reports/")).collect();
    assert_eq!(others, Vec::<String>::new(), "the bucket holds parts and reports alone");
    assert_eq!(place.objects("reports/").await.len(), 1);
    assert_eq!(place.sync(&["pg/a/b"]).await[0].outcome, Outcome::UpToDate);
    // a part of a state is never seen: what a dead writer left is nobody's
    std::fs::write(folder.join("state/pg/a%2Fb.json.unfinished"), "{").unwrap();
    place.pg("INSERT INTO \"a/b\" VALUES (2, '2024-01-02')").await;
    assert_eq!(place.sync(&["pg/a/b"]).await[0].rows, 1);
    let ran = place.run(&["reset", "pg/a/b"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(place.sync(&["pg/a/b"]).await[0].rows, 2);
    std::fs::write(&file, "{").unwrap();
    let ran = place.run(&["sync", "pg/a/b"]).await;
    assert!(ran.code == 1 && ran.stderr.contains("own/state/state/pg/a%2Fb.json"), "{ran:?}");
}

async fn processes_that_share_a_folder_lose_nothing() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 300)").await;
    place.configure(&["t: { mode: append, cursor: id, chunk_rows: 50 }"], &[], "state: state");
    let crash = |point: &str| [place.env(), vec![("HIGHWATER_FAULTS".into(), format!("{point}:crash@2"))]].concat();
    let died = crate::support::process::run(place.folder.path(), &crash("merged"), &["sync", "t"]).await;
    assert_eq!(died.code, -1, "{died:?}");
    let runs = (0..4).map(|_| place.run(&["sync", "t", "--until-caught-up"]));
    for ran in futures_util::future::join_all(runs).await {
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    place.sync(&["t"]).await;
    let counts = "SELECT CAST(COUNT(*) AS STRING), CAST(COUNT(DISTINCT id) AS STRING) FROM {d}.t";
    let wanted = Some("300".to_owned());
    assert_eq!(place.bq(counts).await, [[wanted.clone(), wanted]]);
    place.assert_clean().await;
}

async fn a_folder_on_cloud_run_is_refused() {
    let place = Place::new().await;
    place.configure(&["t: { cursor: u }"], &[], "state: ./state");
    for name in ["K_SERVICE", "CLOUD_RUN_JOB"] {
        let env = [place.env(), vec![(name.into(), "x".into())]].concat();
        let ran = crate::support::process::run(place.folder.path(), &env, &["status"]).await;
        assert!(ran.code == 2 && ran.stderr.contains("a folder of a Cloud Run container is gone with it"), "{ran:?}");
    }
}
