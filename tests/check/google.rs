//! Google's side of a check: what is missing, and what proxies refuse.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{LOCATION, PASSWORD, Scene, text};
use crate::served_tests;
use crate::support::Test;
use crate::support::calls::{Calls, Fault};
use crate::support::gate;

pub fn tests() -> Vec<Test> {
    served_tests![
        a_bucket_and_a_dataset_that_are_missing,
        objects_that_are_refused,
        rights_to_objects_are_those_that_the_service_tells,
        bigquery_that_refuses,
        nobody_to_be,
        rules_that_delete_states,
        rights_below_a_prefix_are_tried,
    ]
}

async fn a_bucket_and_a_dataset_that_are_missing() {
    let scene = Scene::new().await;
    scene.grant_everything().await;
    scene.configure("no-such-bucket", PASSWORD, PASSWORD, "reports: { dataset: no_such_dataset }");
    let checked = scene.check(&[]).await;
    assert_eq!(checked.code, 1, "{checked:?}");
    assert_eq!(checked.standing("lacks"), ["bucket gs://no-such-bucket, exists"]);
    let make = text(&checked.finding("bucket gs://no-such-bucket", "exists")["mend"], "shell");
    assert!(make.starts_with("gcloud storage buckets create gs://no-such-bucket --project=demo"), "{make}");
    let dataset = checked.finding("dataset demo.no_such_dataset", "exists");
    assert_eq!(dataset["standing"], "optional");
    assert_eq!(text(&dataset["mend"], "shell"), format!("bq --location={LOCATION} mk --dataset demo:no_such_dataset"));
    // the state has a place of its own
    let folder = scene.place.folder.path().join("state");
    for (place, about, check, standing, code) in [
        ("./state", "state folder", "exists", "optional", 0),
        ("./state", "state folder", "read and write", "ok", 0),
        ("gs://no-such-state/x", "bucket gs://no-such-state", "exists", "lacks", 1),
    ] {
        scene.configure(&scene.place.bucket(), PASSWORD, PASSWORD, &format!("state: {place}"));
        let checked = scene.check(&["my"]).await;
        assert_eq!(checked.code, code, "{checked:?}");
        assert_eq!(checked.finding(about, check)["standing"], standing);
        // it is neither made nor written to
        assert_eq!(folder.exists(), standing != "optional", "{checked:?}");
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }
    // one that is elsewhere, and a target that nobody may make
    let top = "defaults: { create: false }";
    scene.configure(&scene.place.bucket(), PASSWORD, PASSWORD, top);
    let path = scene.place.folder.path().join("highwater.yaml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace(LOCATION, "EU")).unwrap();
    let checked = scene.check(&["pg/orders"]).await;
    let lacks = [format!("dataset demo.{}, location", scene.place.name), "table pg/orders, target".to_owned()];
    assert_eq!((checked.code, checked.standing("lacks")), (1, lacks.to_vec()), "{checked:?}");
}

async fn objects_that_are_refused() {
    let scene = Scene::new().await;
    scene.grant_everything().await;
    let wire = Calls::open(&scene.place.stack.storage).await;
    let env = scene.env_with_storage(&wire.url);
    let about = format!("bucket gs://{}", scene.place.bucket());
    for (check, method, part) in [
        ("write objects", "POST", "/upload/"),
        ("delete objects", "DELETE", "/o/"),
        ("list objects", "GET", "/o?"),
        ("read objects", "GET", "alt=media"),
    ] {
        wire.decide(move |call| (call.method == method && call.path.contains(part)).then_some(Fault::Status(403)));
        let checked = scene.check_with(env.clone(), &["my"]).await;
        assert_eq!((checked.code, checked.standing("lacks")), (1, vec![format!("{about}, {check}")]), "{checked:?}");
        let mend = text(&checked.finding(&about, check)["mend"], "shell").to_owned();
        let wanted = format!(
            "gcloud storage buckets add-iam-policy-binding gs://{} --member=user:local-bigquery@localhost --role=roles/storage.objectUser",
            scene.place.bucket()
        );
        assert_eq!(mend, wanted);
    }
    // what may not be deleted is named
    let left = scene.place.objects("check/").await;
    assert_eq!(left.len(), 1, "{left:?}");
    // the bucket itself may be hidden
    wire.decide(|call| (call.path.contains("fields=kind%2Clocation")).then_some(Fault::Status(403)));
    let checked = scene.check_with(env.clone(), &["my"]).await;
    let hidden = format!("{about}, location and lifecycle");
    assert_eq!((checked.code, checked.standing("cannot_tell")), (0, vec![hidden]), "{checked:?}");
    // and the service away
    wire.decide(|_| Some(Fault::Status(503)));
    let checked = scene.check_with(env, &["my"]).await;
    assert_eq!((checked.code, checked.standing("cannot_tell")), (75, vec![format!("{about}, exists")]), "{checked:?}");
}

/// A Cloud Storage of the test's that tells rights and rules, and has no objects.
async fn storage(permissions: Arc<Mutex<Vec<&'static str>>>, servers: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    servers.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let body = if head.contains("/iam/testPermissions?") {
                let asked = |permission: &&&str| head.contains(&format!("permissions={permission}"));
                let granted: Vec<&str> = permissions.lock().unwrap().iter().filter(asked).copied().collect();
                let list = if granted.is_empty() { json!({}) } else { json!({"permissions": granted}) };
                let mut body = json!({"kind": "storage#testIamPermissionsResponse"});
                body.as_object_mut().unwrap().extend(list.as_object().unwrap().clone());
                body
            } else {
                let rule =
                    json!({"action": {"type": "Delete"}, "condition": {"age": 7, "matchesPrefix": ["staging/"]}});
                json!({"kind": "storage#bucket", "location": LOCATION, "lifecycle": {"rule": [rule]}})
            };
            let (body, head) =
                (body.to_string(), "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json");
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

async fn rights_to_objects_are_those_that_the_service_tells() {
    let scene = Scene::new().await;
    scene.grant_everything().await;
    let all = ["storage.objects.get", "storage.objects.create", "storage.objects.list", "storage.objects.delete"];
    let permissions = Arc::new(Mutex::new(all.to_vec()));
    let mut servers = JoinSet::new();
    let env = scene.env_with_storage(&storage(permissions.clone(), &mut servers).await);
    let checked = scene.check_with(env.clone(), &["my"]).await;
    assert_eq!((checked.code, checked.standing("optional")), (0, Vec::new()), "{checked:?}");
    let about = format!("bucket gs://{}", scene.place.bucket());
    assert_eq!(text(checked.finding(&about, "list objects"), "found"), "by testPermissions");
    permissions.lock().unwrap().retain(|permission| !permission.ends_with("delete"));
    let checked = scene.check_with(env.clone(), &["my"]).await;
    assert_eq!((checked.code, checked.standing("lacks")), (1, vec![format!("{about}, delete objects")]), "{checked:?}");
    permissions.lock().unwrap().clear();
    assert_eq!(scene.check_with(env, &["my"]).await.standing("lacks").len(), 4);
}

async fn bigquery_that_refuses() {
    let scene = Scene::new().await;
    scene.grant_everything().await;
    scene.place.sync(&["my/visits"]).await;
    let place = &scene.place;
    let sql = |seen: &gate::Seen| seen.body["configuration"]["query"]["query"].as_str().unwrap_or_default().to_owned();
    let refused = |matches: fn(&str, &gate::Seen) -> bool| {
        place.gate.forgive();
        place.gate.fault(100, gate::Fault::Status(403), move |seen| matches(&sql(seen), seen));
    };
    let dataset = format!("dataset demo.{}", place.name);
    let editor = format!("ON SCHEMA `demo`.`{}` TO \"user:local-bigquery@localhost\"'", place.name);
    for (matches, about, check, mend) in [
        (
            (|sql, _| sql == "SELECT 1") as fn(&str, &gate::Seen) -> bool,
            "project demo",
            "run jobs",
            "gcloud projects add-iam-policy-binding demo --member=serviceAccount:SERVICE_ACCOUNT --role=roles/bigquery.jobUser",
        ),
        (|sql, _| sql.starts_with("CREATE TABLE"), dataset.as_str(), "make tables", editor.as_str()),
        (|_, seen| seen.method == "GET" && !seen.path.contains("/tables/"), dataset.as_str(), "look", editor.as_str()),
    ] {
        refused(matches);
        let checked = scene.check(&["my"]).await;
        assert_eq!((checked.code, checked.standing("lacks")), (1, vec![format!("{about}, {check}")]), "{checked:?}");
        let shell = text(&checked.finding(about, check)["mend"], "shell");
        assert!(shell.ends_with(mend), "{shell}");
    }
    // a service without testIamPermissions is asked by a dry run of a statement
    let no_call = |seen: &gate::Seen| seen.path.ends_with(":testIamPermissions");
    place.gate.forgive();
    place.gate.fault(100, gate::Fault::Status(404), no_call);
    let checked = scene.check(&["my"]).await;
    assert!(text(checked.finding("table my/visits", "target"), "found").ends_with("by a dry run"), "{checked:?}");
    place.gate.fault(100, gate::Fault::Status(403), move |seen| sql(seen).starts_with("DELETE FROM"));
    let checked = scene.check(&["my"]).await;
    assert_eq!(
        (checked.code, checked.standing("lacks")),
        (1, vec!["table my/visits, target".to_owned()]),
        "{checked:?}"
    );
    // nothing of the check was run
    assert_eq!(place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.visits").await, "1");
    assert_eq!(place.tables().await, ["visits"]);
}

async fn nobody_to_be() {
    let scene = Scene::new().await;
    scene.grant_everything().await;
    let file = scene.place.folder.path().join("account.json");
    std::fs::write(&file, "{}").unwrap();
    let credentials = ("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), file.display().to_string());
    // Google's own services, which nothing is sent to without a token
    let checked = scene.check_with(vec![credentials], &["my"]).await;
    assert_eq!(checked.code, 1, "{checked:?}");
    let about = format!("bucket gs://{}, credentials", scene.place.bucket());
    assert!(checked.standing("lacks").contains(&about), "{checked:?}");
    assert!(checked.mends("shell").iter().all(|shell| shell == "gcloud auth application-default login"), "{checked:?}");
    assert_eq!(checked.finding("table my/visits", "read")["standing"], "ok");
}

async fn rules_that_delete_states() {
    let scene = Scene::new().await;
    scene.grant_everything().await;
    let wire = Calls::open(&scene.place.stack.storage).await;
    let env = scene.env_with_storage(&wire.url);
    let name = scene.place.bucket();
    let about = format!("bucket gs://{name}");
    let told = |top: &'static str, rules: &'static str| {
        let (scene, wire, env, name) = (&scene, &wire, env.clone(), name.clone());
        async move {
            scene.configure(&name, PASSWORD, PASSWORD, top);
            wire.decide(move |call| call.path.contains("fields=kind%2Clocation").then_some(Fault::Says(rules)));
            scene.check_with(env, &["my"]).await
        }
    };
    const ALL: &str = r#"{"kind": "storage#bucket", "location": "US-CENTRAL1",
        "lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"age": 30}}]}}"#;
    const VERSIONS: &str = r#"{"kind": "storage#bucket", "location": "US-CENTRAL1",
        "lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"isLive": false}}]}}"#;
    let checked = told("", ALL).await;
    assert_eq!((checked.code, checked.standing("lacks")), (1, vec![format!("{about}, lifecycle")]), "{checked:?}");
    let finding = checked.finding(&about, "lifecycle");
    assert!(text(finding, "costs").contains("begins at the first row"), "{finding}");
    assert_eq!(
        text(&finding["mend"], "shell"),
        format!(
            "gcloud storage buckets describe gs://{name} --format=\"default(lifecycle_config)\"; echo \
             '{{\"rule\":[{{\"action\":{{\"type\":\"Delete\"}},\"condition\":{{\"age\":7,\"matchesPrefix\":[\"staging/\"]}}}}]}}' \
             | gcloud storage buckets update gs://{name} --lifecycle-file=/dev/stdin"
        )
    );
    let checked = told("", VERSIONS).await;
    let optional = (0, vec![format!("{about}, lifecycle")]);
    assert_eq!((checked.code, checked.standing("optional")), optional, "{checked:?}");
    // the states lie elsewhere, and it matters there alone
    let checked = told("state: gs://other-states/x", ALL).await;
    assert_eq!(checked.finding(&about, "lifecycle")["standing"], "ok");
    let other = checked.finding("bucket gs://other-states", "lifecycle");
    assert_eq!(other["standing"], "lacks");
    assert!(text(&other["mend"], "shell").ends_with("gs://other-states --clear-lifecycle"), "{other}");
    let checked = told("state: gs://other-states/x", VERSIONS).await;
    assert_eq!(checked.finding("bucket gs://other-states", "lifecycle")["standing"], "ok");
}

async fn rights_below_a_prefix_are_tried() {
    let scene = Scene::new().await;
    scene.grant_everything().await;
    let wire = Calls::open(&scene.place.stack.storage).await;
    let env = scene.env_with_storage(&wire.url);
    let name = scene.place.bucket();
    let about = format!("bucket gs://{name}");
    // the bucket's own policy grants nothing; one with a condition on names may
    const NONE: &str = r#"{"kind": "storage#testIamPermissionsResponse"}"#;
    let tested = |path: &str| path.contains("/iam/testPermissions");
    wire.decide(move |call| tested(&call.path).then_some(Fault::Says(NONE)));
    let checked = scene.check_with(env.clone(), &["my"]).await;
    assert_eq!((checked.code, checked.standing("lacks").len()), (1, 4), "{checked:?}");
    scene.configure(&name, PASSWORD, PASSWORD, "prefix: hw");
    let checked = scene.check_with(env.clone(), &["my"]).await;
    assert_eq!((checked.code, checked.standing("lacks")), (0, Vec::new()), "{checked:?}");
    let found = text(checked.finding(&about, "write objects"), "found");
    assert!(found.starts_with("by a probe object, since rights to hw/ alone"), "{found}");
    wire.decide(move |call| match tested(&call.path) {
        true => Some(Fault::Says(NONE)),
        false => call.path.contains("/upload/").then_some(Fault::Status(403)),
    });
    let checked = scene.check_with(env, &["my"]).await;
    assert_eq!((checked.code, checked.standing("lacks")), (1, vec![format!("{about}, write objects")]), "{checked:?}");
    assert_eq!(scene.place.objects("").await, Vec::<String>::new());
}
