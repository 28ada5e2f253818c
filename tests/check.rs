//! `highwater check`: everything that is needed, on real servers and refused by proxies; each command that is printed for a
//! database is executed, and mends what it was printed for.

mod google;

use serde_json::{Value, json};

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::support::process::{self, Ran};
use crate::support::wire::{Break, Fate, From, Wire};

pub fn tests() -> Vec<Test> {
    let mut tests = served_tests![
        all_that_is_needed_is_there,
        what_postgres_lacks_is_mended_by_what_is_printed,
        what_mariadb_lacks_is_mended_by_what_is_printed,
        one_source_that_fails_leaves_the_others,
        variables_that_are_not_set,
        what_is_named_is_checked_alone,
        an_index_is_advised_as_the_server_takes_it,
        what_patterns_find_is_told_as_a_run_of_everything_does,
        tables_of_one_target_are_not_fine,
        a_source_that_breaks_midway_is_asked_once_more,
    ];
    tests.extend(google::tests());
    tests
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
        let written = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!written.contains(PASSWORD), "{written}");
        Checked::of(ran)
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
    fn of(ran: Ran) -> Self {
        let findings = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { code: ran.code, findings, stderr: ran.stderr }
    }

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
    // PostgreSQL lets everybody into a database, unless somebody says no
    scene.place.pg(&format!("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", scene.place.name)).await;
    let checked = scene.check(&["pg"]).await;
    assert_eq!((checked.code, checked.standing("lacks")), (1, vec!["source pg, login".to_owned()]), "{checked:?}");
    scene.place.pg(&checked.mends("sql")[0]).await;
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
    let mends = checked.mends("sql");
    assert_eq!(mends, [format!("GRANT SELECT ON `{}`.* TO `{user}`@`%`;", name.replace('_', "\\_"))]);
    scene.place.my(&mends[0]).await;
    let let_in = scene.check(&["my"]).await;
    assert_eq!(let_in.standing("lacks"), ["source my, open transactions"], "{let_in:?}");
    // a right to another table opens the database, too
    scene
        .place
        .my(&format!(
            "{} CREATE TABLE other (id int PRIMARY KEY); GRANT SELECT ON {name}.other TO {user}@'%'",
            mends[0].replace("GRANT", "REVOKE").replace(" TO ", " FROM ")
        ))
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

async fn an_index_is_advised_as_the_server_takes_it() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE parted (id int, u timestamptz NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id);
             CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
             CREATE TABLE plain (id int PRIMARY KEY, u timestamptz NOT NULL); CREATE FOREIGN DATA WRAPPER nobody;
             CREATE SERVER elsewhere FOREIGN DATA WRAPPER nobody;
             CREATE FOREIGN TABLE far (id int NOT NULL, u timestamptz NOT NULL) SERVER elsewhere;")
        .await;
    place.configure(&["parted: { cursor: u }", "plain: { cursor: u }", "far: { cursor: u, key: id }"], &[], "");
    let checked = Checked::of(place.run(&["check", "--json", "pg"]).await);
    let sql = |table: &str| text(&checked.finding(table, "index")["mend"], "sql").to_owned();
    let statements = [sql("table pg/parted"), sql("table pg/plain")];
    assert_eq!(
        statements,
        [
            "CREATE INDEX ON \"public\".\"parted\" (\"u\", \"id\");",
            "CREATE INDEX CONCURRENTLY ON \"public\".\"plain\" (\"u\", \"id\");"
        ]
    );
    assert!(text(checked.finding("table pg/parted", "index"), "found").contains("nobody can write"), "{checked:?}");
    assert_eq!(checked.finding("table pg/far", "read")["standing"], "ok");
    assert_eq!(checked.mends("sql").len(), 2, "{checked:?}");
    for sql in statements {
        place.pg(&sql).await;
    }
    assert_eq!(Checked::of(place.run(&["check", "--json", "pg"]).await).mends("sql"), Vec::<String>::new());
}

async fn what_patterns_find_is_told_as_a_run_of_everything_does() {
    let scene = Scene::new().await;
    scene.grant_everything().await;
    let place = &scene.place;
    place.pg("CREATE TABLE loose (x int); CREATE TABLE shut (id int PRIMARY KEY, u timestamptz NOT NULL)").await;
    place.pg(&format!("GRANT SELECT ON loose TO {}", scene.user)).await;
    let path = place.folder.path().join("highwater.yaml");
    let good = std::fs::read_to_string(&path).unwrap();
    // nobody makes a target for what is left out
    let patterns = good
        .replace("    tables:\n      orders", "    tables:\n      \"*\": { cursor: u, create: false }\n      orders");
    std::fs::write(&path, patterns).unwrap();
    let checked = scene.check(&["pg"]).await;
    let out = ["table pg/loose, read", "table pg/shut, read"];
    assert_eq!((checked.code, checked.standing("lacks")), (0, Vec::new()), "{checked:?}");
    let optional = checked.standing("optional");
    assert!(out.iter().all(|out| optional.iter().any(|told| told == out)), "{checked:?}");
    let shut = checked.finding("table pg/shut", "read");
    assert!(text(shut, "costs").starts_with("a pattern found it, and it is left out"), "{shut}");
    assert!(text(&shut["mend"], "sql").starts_with("GRANT SELECT ON \"public\".\"shut\""), "{shut}");
    // what is named is wanted, by an argument too
    let named = scene.check(&["pg/shut"]).await;
    assert_eq!(named.code, 1, "{named:?}");
    assert!(named.standing("lacks").contains(&"table pg/shut, read".to_owned()), "{named:?}");
}

async fn tables_of_one_target_are_not_fine() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE \"a-b\" (id int PRIMARY KEY); CREATE TABLE a_b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)")
        .await;
    place.configure(&["\"*\": { mode: replace }"], &[], "");
    let checked = Checked::of(place.run(&["check", "--json"]).await);
    let targets = checked.finding("source pg", "targets");
    assert_eq!((checked.code, &targets["standing"]), (1, &json!("lacks")), "{checked:?}");
    assert!(text(targets, "found").contains("pg/a-b and pg/a_b have the same target"), "{targets}");
    let standing = |table: &str| checked.finding(table, "target")["standing"].clone();
    assert_eq!(["table pg/a-b", "table pg/a_b", "table pg/c"].map(standing), ["lacks", "lacks", "ok"]);
    // one that is named keeps its target, and the other is told, whatever is looked at; twice named is not two tables
    place.configure(&["\"*\": { mode: replace }", "a_b: { mode: replace }"], &[], "");
    let checked = Checked::of(place.run(&["check", "--json"]).await);
    assert_eq!((checked.code, checked.standing("lacks").len()), (1, 2), "{checked:?}");
    assert_eq!(checked.finding("table pg/a_b", "target")["standing"], "ok");
    let twice = Checked::of(place.run(&["check", "--json", "a_b", "pg/a_b"]).await);
    assert_eq!((twice.code, twice.standing("lacks")), (0, Vec::new()), "{twice:?}");
}

/// Tables of the source that breaks, and after how many bytes of the server: in the midst of them.
const MANY: usize = 100;
const MIDWAY_BYTES: u64 = 15_000;

async fn a_source_that_breaks_midway_is_asked_once_more() {
    let place = Place::new().await;
    let names: Vec<String> = (0..MANY).map(|number| format!("t{number:03}")).collect();
    let make = |name: &String| format!("CREATE TABLE {name} (id int PRIMARY KEY, u timestamptz NOT NULL);");
    place.pg(&names.iter().map(make).collect::<String>()).await;
    let lines: Vec<String> = names.iter().map(|name| format!("{name}: {{ cursor: u }}")).collect();
    let path = place.configure(&lines.iter().map(String::as_str).collect::<Vec<_>>(), &[], "");
    let wire = Wire::open(place.stack.postgres.port).await;
    let config = std::fs::read_to_string(&path).unwrap();
    let port = |port: u16| format!(":{port}/");
    std::fs::write(&path, config.replace(&port(place.stack.postgres.port), &port(wire.port))).unwrap();
    let check = async || Checked::of(place.run(&["check", "--json", "pg"]).await);
    let reads = |checked: &Checked, standing: &str| {
        checked.standing(standing).iter().filter(|finding| finding.ends_with(", read")).count()
    };
    let midway = |from, after_bytes| Fate { how: Break::Close, from, after_bytes };
    // one connection breaks: the table that it broke at is looked at once more
    wire.decide(move |number| (number == 0).then(|| midway(From::Server, MIDWAY_BYTES)));
    let checked = check().await;
    assert_eq!((checked.code, reads(&checked, "ok")), (0, MANY), "{checked:?}");
    assert_eq!((wire.tally().all, wire.tally().faulty()), (2, 1));
    // and no other can be had: the rest is not asked for one by one
    wire.decide(move |number| Some(midway(From::Server, if number == 0 { MIDWAY_BYTES } else { 0 })));
    let checked = check().await;
    let (fine, lost) = (reads(&checked, "ok"), reads(&checked, "cannot_tell"));
    assert_eq!((checked.code, wire.tally().all, fine + lost), (75, 2, MANY), "{checked:?}");
    assert!(fine > 0 && lost > 1, "{fine} {lost}");
    let last = checked.finding(&format!("table pg/t{:03}", MANY - 1), "read");
    assert!(last["unreached"] == true && text(last, "found").contains("does not answer any more"), "{last}");
    // or every connection breaks
    wire.decide(move |_| Some(midway(From::Server, MIDWAY_BYTES)));
    let checked = check().await;
    assert_eq!((checked.code, reads(&checked, "ok") + reads(&checked, "cannot_tell")), (75, MANY), "{checked:?}");
    assert_eq!(wire.tally().all, 4);
}
