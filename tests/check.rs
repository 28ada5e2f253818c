//! `highwater check`: everything that is needed, on real servers and refused by proxies; each command that is printed for a
//! database is executed, and mends what it was printed for.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::served_tests;
use crate::support::Test;
use crate::support::calls::{Calls, Fault};
use crate::support::gate;
use crate::support::place::Place;
use crate::support::process;

pub fn tests() -> Vec<Test> {
    served_tests![
        all_that_is_needed_is_there,
        what_postgres_lacks_is_mended_by_what_is_printed,
        what_mariadb_lacks_is_mended_by_what_is_printed,
        one_source_that_fails_leaves_the_others,
        a_bucket_and_a_dataset_that_are_missing,
        objects_that_are_refused,
        rights_to_objects_are_those_that_the_service_tells,
        bigquery_that_refuses,
        variables_that_are_not_set,
        nobody_to_be,
        what_is_named_is_checked_alone,
    ]
}

const PASSWORD: &str = "check-reader";
/// Where the emulator of Cloud Storage puts its buckets.
const LOCATION: &str = "US-CENTRAL1";

/// A place with users of its own that may nothing, and a configuration that reads as them.
struct Scene {
    place: Place,
    user: String,
}

impl Scene {
    async fn new() -> Self {
        let place = Place::new().await;
        let user = format!("check_{}", place.name);
        place
            .pg(&format!(
                "CREATE TABLE orders (id int PRIMARY KEY, u timestamptz NOT NULL, secret text); CREATE INDEX ON orders (u, id);
                 INSERT INTO orders VALUES (1, '2024-01-01'); CREATE SCHEMA closed;
                 CREATE TABLE closed.\"Odd table\" (id int PRIMARY KEY, u timestamptz NOT NULL);
                 CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'"
            ))
            .await;
        place
            .my(&format!(
                "CREATE TABLE visits (id int PRIMARY KEY, u datetime(6) NOT NULL, secret text, KEY (u, id));
                 INSERT INTO visits VALUES (1, '2024-01-01', NULL);
                 CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'"
            ))
            .await;
        let scene = Self { place, user };
        scene.configure(&scene.place.bucket(), PASSWORD, PASSWORD, "");
        scene
    }

    fn configure(&self, bucket: &str, pg: &str, my: &str, top: &str) {
        let (place, user) = (&self.place, &self.user);
        self.place.write_config(&format!(
            "project: demo\ndataset: {name}\nlocation: {LOCATION}\nbucket: {bucket}\n{top}\nsources:\n  \
             pg:\n    url: postgres://{user}@127.0.0.1:{pg_port}/{name}\n    password: {pg}\n    tables:\n      \
             orders: {{ cursor: u }}\n      \"closed.Odd table\": {{ cursor: u }}\n  \
             my:\n    url: mysql://{user}@127.0.0.1:{my_port}/{name}\n    password: {my}\n    tables:\n      \
             visits: {{ cursor: u }}\n",
            name = place.name,
            pg_port = place.stack.postgres.port,
            my_port = place.stack.mysql.port,
        ));
    }

    async fn grant_everything(&self) {
        let (user, name) = (&self.user, &self.place.name);
        let pg = format!(
            "GRANT pg_read_all_stats TO {user}; GRANT USAGE ON SCHEMA closed TO {user};
             GRANT SELECT ON ALL TABLES IN SCHEMA public, closed TO {user}; CREATE INDEX ON closed.\"Odd table\" (u, id)"
        );
        self.place.pg(&pg).await;
        self.place.my(&format!("GRANT SELECT ON {name}.* TO {user}@'%'; GRANT PROCESS ON *.* TO {user}@'%'")).await;
        self.make_dataset(LOCATION).await;
    }

    async fn make_dataset(&self, location: &str) {
        let url = format!("{}/bigquery/v2/projects/demo/datasets", self.place.gate.url);
        let body =
            json!({"datasetReference": {"projectId": "demo", "datasetId": self.place.name}, "location": location});
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let made = client.post(url).header("content-type", "application/json").body(body.to_string()).send().await;
        assert!(made.unwrap().status().is_success());
    }

    async fn check(&self, names: &[&str]) -> Checked {
        self.check_with(self.place.env(), names).await
    }

    async fn check_with(&self, env: Vec<(String, String)>, names: &[&str]) -> Checked {
        let args = [&["check", "--json"], names].concat();
        let ran = process::run(self.place.folder.path(), &env, &args).await;
        let findings = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let written = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!written.contains(PASSWORD), "{written}");
        Checked { code: ran.code, findings, stderr: ran.stderr }
    }

    /// The environment with Cloud Storage elsewhere.
    fn env_with_storage(&self, url: &str) -> Vec<(String, String)> {
        let mut env = self.place.env();
        env.retain(|(name, _)| name != "STORAGE_EMULATOR_HOST");
        env.push(("STORAGE_EMULATOR_HOST".into(), url.into()));
        env
    }
}

#[derive(Debug)]
struct Checked {
    code: i32,
    findings: Vec<Value>,
    stderr: String,
}

impl Checked {
    /// Findings that stand so, as `about, check`.
    fn standing(&self, standing: &str) -> Vec<String> {
        let found = self.findings.iter().filter(|finding| finding["standing"] == standing);
        found.map(|finding| format!("{}, {}", text(finding, "about"), text(finding, "check"))).collect()
    }

    fn finding(&self, about: &str, check: &str) -> &Value {
        let is = |finding: &&Value| finding["about"] == about && finding["check"] == check;
        self.findings.iter().find(is).unwrap_or_else(|| panic!("no {about}, {check}: {self:?}"))
    }

    /// The commands of that kind of what lacks or is advised.
    fn mends(&self, kind: &str) -> Vec<String> {
        let open = self.findings.iter().filter(|finding| finding["standing"] != "ok");
        open.filter_map(|finding| finding["mend"][kind].as_str().map(str::to_owned)).collect()
    }
}

fn text<'a>(finding: &'a Value, key: &str) -> &'a str {
    finding[key].as_str().unwrap_or_else(|| panic!("no {key}: {finding}"))
}

async fn all_that_is_needed_is_there() {
    let scene = Scene::new().await;
    scene.grant_everything().await;
    let checked = scene.check(&[]).await;
    assert_eq!(checked.code, 0, "{checked:?}");
    let bucket = format!("bucket gs://{}", scene.place.bucket());
    // the emulator of Cloud Storage knows no rules, and neither rights; what is there is told by a probe
    assert_eq!(checked.standing("optional"), [format!("{bucket}, lifecycle")], "{checked:?}");
    assert_eq!(checked.standing("cannot_tell"), Vec::<String>::new());
    for check in ["read objects", "write objects", "list objects", "delete objects"] {
        assert_eq!(text(checked.finding(&bucket, check), "found"), "by a probe object");
    }
    let found = |about: &str, check: &str| text(checked.finding(about, check), "found").to_owned();
    assert!(found("project demo", "run jobs").contains("as local-bigquery@localhost"));
    assert!(found("source pg", "login").starts_with("PostgreSQL "));
    assert!(found("source my", "login").contains(&format!("user {}@%", scene.user)));
    assert_eq!(found("source my", "open transactions"), "all can be seen");
    assert_eq!(found("table pg/orders", "read"), "cursor u, key id");
    assert_eq!(found("source pg", "tls"), "none: a loopback address");
    // nothing is left, and nothing was made
    assert_eq!(scene.place.objects("").await, Vec::<String>::new());
    assert_eq!(scene.place.tables().await, Vec::<String>::new());
    assert!(found("table my/visits", "target").contains("which the first run makes"));
    scene.place.sync(&["--all"]).await;
    let again = scene.check(&[]).await;
    assert_eq!(again.code, 0, "{again:?}");
    assert!(text(again.finding("table my/visits", "target"), "found").ends_with("by testIamPermissions"));
    // for people: a line each, and a count
    let ran = scene.place.run(&["check"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("ok           source pg, login: PostgreSQL"), "{}", ran.stdout);
    assert!(ran.stdout.contains("in a shell: echo '{\"rule\""), "{}", ran.stdout);
    assert!(ran.stdout.ends_with(" ok, 0 lacks, 1 optional, 0 cannot tell\n"), "{}", ran.stdout);
}

async fn what_postgres_lacks_is_mended_by_what_is_printed() {
    let scene = Scene::new().await;
    scene.make_dataset(LOCATION).await;
    // of one table some columns
    scene.place.pg(&format!("GRANT SELECT (id, u) ON orders TO {}", scene.user)).await;
    let checked = scene.check(&["pg"]).await;
    assert_eq!(checked.code, 1, "{checked:?}");
    assert_eq!(
        checked.standing("lacks"),
        ["source pg, open transactions", "table pg/closed.Odd table, read"],
        "{checked:?}"
    );
    let stats = checked.finding("source pg", "open transactions");
    assert_eq!(text(&stats["mend"], "sql"), format!("GRANT pg_read_all_stats TO \"{}\";", scene.user));
    assert!(text(stats, "costs").contains("`lag`"));
    assert!(text(checked.finding("table pg/orders", "columns"), "found").ends_with(": secret"));
    let mends = checked.mends("sql");
    assert_eq!(mends.len(), 3, "{mends:?}");
    for sql in &mends {
        scene.place.pg(sql).await;
    }
    let mended = scene.check(&["pg"]).await;
    assert_eq!((mended.code, mended.standing("lacks")), (0, Vec::new()), "{mended:?}");
    // an index is advised once the table can be read, and its command makes it
    let index = mended.mends("sql");
    assert_eq!(index.len(), 1, "{mended:?}");
    assert!(index[0].starts_with("CREATE INDEX CONCURRENTLY ON \"closed\".\"Odd table\""), "{index:?}");
    scene.place.pg(&index[0]).await;
    assert_eq!(scene.check(&["pg"]).await.mends("sql"), Vec::<String>::new());
    scene.place.sync(&["pg/orders", "pg/closed.Odd table"]).await;
}

async fn what_mariadb_lacks_is_mended_by_what_is_printed() {
    let scene = Scene::new().await;
    scene.make_dataset(LOCATION).await;
    let (user, name) = (&scene.user, &scene.place.name);
    // without any right to the database, not even the login is taken
    let checked = scene.check(&["my"]).await;
    assert_eq!((checked.code, checked.standing("lacks")), (1, vec!["source my, login".to_owned()]), "{checked:?}");
    scene
        .place
        .my(&format!("CREATE TABLE other (id int PRIMARY KEY); GRANT SELECT ON {name}.other TO {user}@'%'"))
        .await;
    let checked = scene.check(&["my"]).await;
    let lacks = ["source my, open transactions", "table my/visits, read"];
    assert_eq!((checked.code, checked.standing("lacks")), (1, lacks.map(str::to_owned).to_vec()), "{checked:?}");
    let sql = format!("GRANT PROCESS ON *.* TO `{user}`@`%`;");
    assert_eq!(checked.finding("source my", "open transactions")["mend"]["sql"], sql);
    for sql in checked.mends("sql") {
        scene.place.my(&sql).await;
    }
    let mended = scene.check(&["my"]).await;
    assert_eq!((mended.code, mended.standing("lacks")), (0, Vec::new()), "{mended:?}");
    scene.place.sync(&["my/visits"]).await;
}

async fn one_source_that_fails_leaves_the_others() {
    let scene = Scene::new().await;
    scene.grant_everything().await;
    let bucket = scene.place.bucket();
    for (pg, my, wrong, right) in
        [("wr0ng", PASSWORD, "source pg", "source my"), (PASSWORD, "wr0ng", "source my", "source pg")]
    {
        scene.configure(&bucket, pg, my, "");
        let checked = scene.check(&[]).await;
        assert_eq!((checked.code, checked.standing("lacks")), (1, vec![format!("{wrong}, login")]), "{checked:?}");
        assert!(text(checked.finding(wrong, "login"), "found").contains("refuses the login of user"), "{checked:?}");
        assert_eq!(checked.finding(right, "open transactions")["standing"], "ok");
        assert!(!format!("{checked:?}").contains("wr0ng"));
    }
    // a server that is down
    scene.configure(&bucket, PASSWORD, PASSWORD, "");
    let path = scene.place.folder.path().join("highwater.yaml");
    let good = std::fs::read_to_string(&path).unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (port, down, up) in [
        (scene.place.stack.postgres.port, "source pg", "table my/visits"),
        (scene.place.stack.mysql.port, "source my", "table pg/orders"),
    ] {
        std::fs::write(&path, good.replace(&format!(":{port}/"), &format!(":{nobody}/"))).unwrap();
        let checked = scene.check(&[]).await;
        assert_eq!((checked.code, checked.standing("lacks")), (75, Vec::new()), "{checked:?}");
        let login = checked.finding(down, "login");
        assert_eq!((&login["standing"], &login["unreached"]), (&json!("cannot_tell"), &json!(true)));
        assert_eq!(checked.finding(up, "read")["standing"], "ok");
    }
    // a file that is not there
    let tls = "    tls: { mode: verify-full, ca: /nowhere/ca.pem }\n    tables:\n      orders";
    std::fs::write(&path, good.replace("    tables:\n      orders", tls)).unwrap();
    let checked = scene.check(&["pg"]).await;
    assert_eq!(
        (checked.code, checked.standing("lacks")),
        (1, vec!["source pg, files of tls".to_owned()]),
        "{checked:?}"
    );
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
    for (place, standing, code) in [("./state", "ok", 0), ("gs://no-such-state/x", "lacks", 1)] {
        scene.configure(&scene.place.bucket(), PASSWORD, PASSWORD, &format!("state: {place}"));
        let checked = scene.check(&["my"]).await;
        assert_eq!(checked.code, code, "{checked:?}");
        let (about, check) =
            if code == 0 { ("state folder", "write objects") } else { ("bucket gs://no-such-state", "exists") };
        assert_eq!(checked.finding(about, check)["standing"], standing);
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

async fn variables_that_are_not_set() {
    let scene = Scene::new().await;
    scene.configure(&scene.place.bucket(), "${CHECK_NOT_SET}", "${CHECK_NOT_SET_EITHER}", "");
    let checked = scene.check(&[]).await;
    let lacks = ["variable CHECK_NOT_SET, is set", "variable CHECK_NOT_SET_EITHER, is set"];
    assert_eq!((checked.code, checked.standing("lacks")), (1, lacks.map(str::to_owned).to_vec()), "{checked:?}");
    let shell = text(&checked.finding("variable CHECK_NOT_SET", "is set")["mend"], "shell");
    assert!(shell.starts_with("gcloud secrets add-iam-policy-binding CHECK_NOT_SET "), "{shell}");
    // what else is wrong is bad usage
    scene.configure(&scene.place.bucket(), "${CHECK_NOT_SET}", PASSWORD, "nonsense: 1");
    let checked = scene.check(&[]).await;
    assert_eq!((checked.code, checked.findings.len()), (2, 0), "{checked:?}");
    assert!(checked.stderr.contains("nonsense") && checked.stderr.contains("CHECK_NOT_SET"), "{checked:?}");
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

async fn what_is_named_is_checked_alone() {
    let scene = Scene::new().await;
    scene.grant_everything().await;
    let abouts = |checked: &Checked| {
        let databases = |about: &&str| about.starts_with("source") || about.starts_with("table");
        let mut all: Vec<String> = checked
            .findings
            .iter()
            .map(|finding| text(finding, "about"))
            .filter(databases)
            .map(str::to_owned)
            .collect();
        all.sort();
        all.dedup();
        all
    };
    assert_eq!(abouts(&scene.check(&["my"]).await), ["source my", "table my/visits"]);
    assert_eq!(abouts(&scene.check(&["orders"]).await), ["source pg", "table pg/orders"]);
    assert_eq!(
        abouts(&scene.check(&["orders", "my"]).await),
        ["source my", "source pg", "table my/visits", "table pg/orders"]
    );
    let unknown = scene.check(&["nowhere"]).await;
    assert_eq!((unknown.code, unknown.findings.len()), (2, 0), "{unknown:?}");
    assert!(unknown.stderr.contains("no table nowhere in the configuration"), "{unknown:?}");
}
