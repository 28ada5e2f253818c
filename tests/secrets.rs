//! Secrets stay secret: at the most talkative log level, through success and every kind of failure, nothing that
//! Highwater writes, answers or stores holds a password, a salt, a key or a token, in whatever encoding.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use highwater::app::App;
use highwater::config::{Config, Env};
use highwater::net::{Context, Http, Method, Request, Tokens};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;

use crate::served_tests;
use crate::support::place::Place;
use crate::support::process::{self, Service};
use crate::support::{Test, pure};

pub fn tests() -> Vec<Test> {
    let mut all = served_tests![nothing_that_is_written_holds_a_secret];
    all.push(pure("secrets::debug_prints_none", debug_prints_none));
    all.push(pure("secrets::tokens_are_not_logged", tokens_are_not_logged));
    all.push(pure("secrets::the_search_finds_every_encoding", the_search_finds_every_encoding));
    all
}

const PG_PASSWORD: &str = "pG-pa%ss/w@rd#?é\"\\x7f3b";
const MY_PASSWORD: &str = "mY $ecret: {pass} & 'word' 91cd";
const WRONG_PASSWORD: &str = "wr0ng-pa55word-4e8a";
const SALT: &str = "s@lt \"of\" hashes \\ 5d2f";

/// Every byte that is not a letter or digit as %XX.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The forms in which a secret may be found.
fn encodings(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![
        secret.to_owned(),
        percent(secret),
        percent(secret).to_lowercase(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        json.trim_matches('"').to_owned(),
        // JSON in JSON, and as Debug prints it
        serde_json::to_string(&json).unwrap().trim_matches(['"', '\\']).to_owned(),
        format!("{secret:?}").trim_matches('"').to_owned(),
        format!("{:?}", secret.as_bytes()).trim_matches(['[', ']']).to_owned(),
        hex.to_uppercase(),
        hex,
    ];
    // base64 of it wherever it stands in what is encoded: the letters that its neighbours have no part in
    for before in 0..3 {
        let text = ["x".repeat(before).as_bytes(), secret.as_bytes()].concat();
        let whole = STANDARD.encode(&text);
        let (from, to) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
        all.push(whole[from..to].to_owned());
        all.push(whole[from..to].replace('+', "-").replace('/', "_"));
    }
    all
}

/// Everything that was written, each with its origin.
#[derive(Default)]
struct Written(Vec<(String, String)>);

impl Written {
    fn add(&mut self, origin: impl Into<String>, text: impl Into<String>) {
        self.0.push((origin.into(), text.into()));
    }

    /// Where a secret was found.
    fn leaks(&self, secrets: &[(&str, &str)]) -> Vec<String> {
        let mut leaks = Vec::new();
        for (name, secret) in secrets {
            for encoding in encodings(secret) {
                for (origin, text) in &self.0 {
                    if let Some(at) = text.find(&encoding) {
                        let from = text[..at].char_indices().rev().nth(100).map_or(0, |(index, _)| index);
                        leaks
                            .push(format!("{name} as {encoding:?} in {origin}: …{}", &text[from..at + encoding.len()]));
                    }
                }
            }
        }
        leaks
    }
}

fn the_search_finds_every_encoding() {
    let secret = "a+b/ \"c\"\\é 1234567";
    for text in [
        format!("x{secret}y"),
        serde_json::json!({"line": format!("password={secret}")}).to_string(),
        serde_json::json!({"line": serde_json::json!({"p": secret}).to_string()}).to_string(),
        format!("postgres://u:{}@h", percent(secret)),
        STANDARD.encode(format!("user:{secret}:more")),
        STANDARD.encode(format!("us:{secret}")),
        STANDARD.encode(format!("u:{secret}!")),
        format!("{:?}", format!("{secret}\n").as_bytes()),
    ] {
        let mut written = Written::default();
        written.add("a text", text.clone());
        assert!(!written.leaks(&[("it", secret)]).is_empty(), "{text}");
    }
}

/// A key as PEM and the part of it that is the secret.
fn client_key() -> (String, String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
    let cert = params.self_signed(&key).unwrap().pem();
    let pem = key.serialize_pem();
    let line = pem.lines().nth(1).unwrap().to_owned();
    (cert, pem, line)
}

/// The scene: users with distinctive passwords, and a configuration with all kinds of secrets.
struct Scene {
    place: Place,
    key_line: String,
    written: Written,
}

impl Scene {
    async fn new() -> Self {
        let place = Place::new().await;
        let user = format!("secret_{}", place.name);
        let sql = |password: &str| password.replace('\'', "''");
        place
            .pg(&format!(
                "CREATE TABLE t (id int PRIMARY KEY, email text, n numeric, u timestamptz NOT NULL);
                 INSERT INTO t SELECT i, 'a' || i || '@b.c', CASE WHEN i = 7 THEN 'NaN'::numeric ELSE 1 END, '2024-01-01'
                   FROM generate_series(1, 30000) i;
                 CREATE ROLE {user} LOGIN PASSWORD '{}' IN ROLE pg_read_all_stats; GRANT SELECT ON t TO {user}",
                sql(PG_PASSWORD)
            ))
            .await;
        place
            .my(&format!(
                "CREATE TABLE t (id int PRIMARY KEY, email varchar(40), u datetime NOT NULL);
                 INSERT INTO t VALUES (1, 'a@b.c', '2024-01-01');
                 CREATE USER {user}@'%' IDENTIFIED BY '{}'; GRANT SELECT ON {}.* TO {user}@'%'; GRANT PROCESS ON *.* TO {user}@'%'",
                sql(MY_PASSWORD),
                place.name
            ))
            .await;
        let (cert, key, key_line) = client_key();
        std::fs::write(place.folder.path().join("client.crt"), cert).unwrap();
        std::fs::write(place.folder.path().join("client.key"), key).unwrap();
        Self { place, key_line, written: Written::default() }
    }

    fn env(&self) -> Vec<(String, String)> {
        let mut env = self.place.env();
        env.retain(|(name, _)| name != "HIGHWATER_LOG");
        for (name, value) in [("HIGHWATER_LOG", "trace"), ("MY_PASSWORD", MY_PASSWORD), ("HASH_SALT", SALT)] {
            env.push((name.to_owned(), value.to_owned()));
        }
        env
    }

    fn config(&self) -> String {
        let (place, user) = (&self.place, format!("secret_{}", self.place.name));
        let (pg, my) = (place.stack.postgres.port, place.stack.mysql.port);
        let (password, wrong, name) = (percent(PG_PASSWORD), WRONG_PASSWORD, &place.name);
        let table = "tables: { t: { cursor: u, target: TARGET } }";
        let source = |id: &str, rest: &str| format!("  {id}: {{ {rest}, {} }}\n", table.replace("TARGET", id));
        let mut text = format!(
            "project: demo\ndataset: {name}\nlocation: EU\nbucket: {}\nserver: {{ run_budget: 120s }}\ndefaults: {{ hash_salt: '${{HASH_SALT}}' }}\nsources:\n",
            place.bucket()
        );
        text += &format!(
            "  pg:\n    url: 'postgres://{user}:{password}@127.0.0.1:{pg}/{name}'\n    tables:\n      \
             t: {{ cursor: u, target: pg, hash: email, part_bytes: 64 KiB, types: {{ n: NUMERIC }}, unrepresentable: reject }}\n"
        );
        text += &source("my", &format!("url: 'mysql://{user}@127.0.0.1:{my}/{name}', password: '${{MY_PASSWORD}}'"));
        text += &source("pg_wrong", &format!("url: 'postgres://{user}:{wrong}@127.0.0.1:{pg}/{name}'"));
        text += &source("my_wrong", &format!("url: 'mysql://{user}:{wrong}@127.0.0.1:{my}/{name}'"));
        text += &source("pg_away", &format!("url: 'postgres://{user}:{password}@127.0.0.1:9/{name}'"));
        text += &source("my_away", &format!("url: 'mysql://{user}:{wrong}@no-such-host.invalid/{name}'"));
        let tls = "tls: { mode: require, cert: client.crt, key: client.key }";
        text += &source("pg_tls", &format!("url: 'postgres://{user}:{password}@127.0.0.1:{pg}/{name}', {tls}"));
        text += &source("my_tls", &format!("url: 'mysql://{user}:{wrong}@127.0.0.1:{my}/{name}', {tls}"));
        text += &source(
            "my_badkey",
            &format!(
                "url: 'mysql://{user}:{wrong}@127.0.0.1:{my}/{name}', tls: {{ mode: require, cert: client.key, key: client.crt }}"
            ),
        );
        text
    }

    async fn run(&mut self, args: &[&str]) -> i32 {
        let ran = process::run(self.place.folder.path(), &self.env(), args).await;
        self.written.add(format!("stdout of {args:?}"), ran.stdout);
        self.written.add(format!("stderr of {args:?}"), ran.stderr);
        ran.code
    }

    /// Configurations that are refused, each with a secret where the fault is.
    async fn refused_configurations(&mut self) {
        let good = self.config();
        let (port, password) = (self.place.stack.postgres.port, percent(PG_PASSWORD));
        let url = format!("@127.0.0.1:{port}/");
        for (what, bad) in [
            ("a port that is none", good.replace(&url, "@127.0.0.1:99999/")),
            ("an unknown scheme", good.replace("postgres://", "oracle://")),
            ("no scheme", good.replace("postgres://", "")),
            ("a password as it stands", good.replace(&password, PG_PASSWORD)),
            ("a broken escape", good.replace(&password, &format!("{password}%zz"))),
            (
                "an option",
                good.replace(&format!("{url}{}", self.place.name), &format!("{url}x?password={WRONG_PASSWORD}")),
            ),
            ("no database", good.replace(&format!("{url}{}", self.place.name), &url)),
            ("a quote that is not closed", good.replace("'postgres://", "\"postgres://")),
            ("a list for a password", good.replace("password: '${MY_PASSWORD}'", "password: ['${MY_PASSWORD}']")),
            ("a mapping for a salt", good.replace("hash_salt: '${HASH_SALT}'", "hash_salt: { salt: '${HASH_SALT}' }")),
            ("an unknown key", good.replace("password: '${MY_PASSWORD}'", "passwort: '${MY_PASSWORD}'")),
            ("a secret as a number", good.replace("run_budget: 120s", "run_budget: '${HASH_SALT}'")),
            ("a variable that is not set", good.replace("${MY_PASSWORD}", "${NOT_SET}")),
        ] {
            assert_ne!(bad, good, "{what}");
            self.place.write_config(&bad);
            let code = self.run(&["status"]).await;
            assert_eq!(code, 2, "{what}: {:?}", self.written.0.last());
        }
        self.place.write_config(&good);
    }

    /// Sessions are shot while they read.
    async fn server_down(&mut self) {
        let place = &self.place;
        // the server itself shoots: who comes by a connection for each shot may miss a fast run
        let shoot = format!(
            "DO $$ BEGIN LOOP
               PERFORM pg_stat_clear_snapshot();
               PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = 'highwater' AND usename = 'secret_{}' AND query LIKE '%FROM \"public\".\"t\"%';
               PERFORM pg_sleep(0.001);
             END LOOP; END $$",
            place.name
        );
        let (folder, env) = (place.folder.path(), self.env());
        let run = process::run(folder, &env, &["sync", "pg/t", "--json"]);
        let ran = tokio::select! {
            ran = run => ran,
            () = place.pg(&shoot) => unreachable!("it shoots for ever"),
        };
        place
            .pg("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO $$ BEGIN LOOP%' AND datname = current_database()")
            .await;
        assert_eq!(ran.code, 75, "{}", ran.stdout);
        self.written.add("stdout of a run whose server went down", ran.stdout);
        self.written.add("stderr of a run whose server went down", ran.stderr);
    }

    async fn served(&mut self) {
        let service = Service::start(self.place.folder.path(), &self.env()).await;
        let cmdline = std::fs::read(format!("/proc/{}/cmdline", service.pid())).unwrap();
        self.written.add("the command line", String::from_utf8_lossy(&cmdline));
        let push = |id: &str| {
            let data = STANDARD.encode(format!("{{\"source\":\"{id}\",\"table\":\"t\"}}"));
            format!("{{\"message\":{{\"data\":\"{data}\",\"messageId\":\"1\"}},\"subscription\":\"s\"}}")
        };
        for id in ["pg", "my", "pg_wrong", "my_wrong", "my_away", "pg_tls", "my_tls", "my_badkey", "nobody"] {
            for (path, body) in [(format!("/sync/{id}/t"), String::new()), ("/pubsub".to_owned(), push(id))] {
                let client = reqwest::Client::builder().no_proxy().build().unwrap();
                let answer = client.post(format!("{}{path}", service.url)).body(body).send().await.unwrap();
                self.written.add(format!("headers of {path} for {id}"), format!("{:?}", answer.headers()));
                self.written.add(format!("answer of {path} for {id}"), answer.text().await.unwrap());
            }
        }
        assert_eq!(service.terminate().await.0, 0);
        let log = std::fs::read_to_string(self.place.folder.path().join("serve.log")).unwrap();
        assert!(log.contains("TRACE") || log.contains("\"severity\":\"DEBUG\""), "the log is not talkative");
        self.written.add("the service's log", log);
    }

    async fn stored(&mut self) {
        let names = self.place.objects("").await;
        assert!(names.iter().any(|name| name.starts_with("state/")), "{names:?}");
        assert!(names.iter().any(|name| name.starts_with("rejects/")), "{names:?}");
        for name in names {
            let text = self.place.text(&name).await.unwrap_or_default();
            self.written.add(format!("object {name}"), text);
            self.written.add("an object's name", name);
        }
    }
}

async fn nothing_that_is_written_holds_a_secret() {
    let mut scene = Scene::new().await;
    scene.place.write_config(&scene.config());
    scene.server_down().await;
    assert_eq!(scene.run(&["sync", "pg/t", "my/t", "--json"]).await, 0, "{:?}", scene.written.0);
    let changed = scene.config().replace("hash_salt: '${HASH_SALT}'", "hash_salt: '${MY_PASSWORD}'");
    scene.place.write_config(&changed);
    assert_eq!(scene.run(&["sync", "pg/t"]).await, 2);
    scene.place.write_config(&scene.config());
    for (id, code) in [
        ("pg_wrong", 2),
        ("my_wrong", 2),
        ("pg_away", 75),
        ("my_away", 75),
        ("pg_tls", 2),
        ("my_tls", 2),
        ("my_badkey", 2),
    ] {
        assert_eq!(scene.run(&["sync", id]).await, 2, "a table of that name is not there");
        let table = format!("{id}/t");
        assert_eq!(scene.run(&["sync", &table, "--json"]).await, code, "{id}: {:?}", scene.written.0.last());
        if code == 2 {
            scene.run(&["sync", &table]).await;
        }
    }
    assert_eq!(scene.run(&["status"]).await, 0);
    assert_eq!(scene.run(&["status", "--json"]).await, 0);
    scene.refused_configurations().await;
    scene.served().await;
    scene.stored().await;
    assert_eq!(scene.run(&["reset", "my/t", "--json"]).await, 0);
    assert_eq!(scene.run(&["reset", "my/t"]).await, 0);
    let bytes: usize = scene.written.0.iter().map(|(_, text)| text.len()).sum();
    eprintln!("secrets: {} texts of {bytes} bytes searched", scene.written.0.len());
    let key = scene.key_line.clone();
    let secrets = [
        ("PostgreSQL's password", PG_PASSWORD),
        ("MySQL's password", MY_PASSWORD),
        ("the wrong password", WRONG_PASSWORD),
        ("the salt", SALT),
        ("the client's key", &key),
    ];
    let leaks = scene.written.leaks(&secrets);
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

fn debug_prints_none() {
    let text = format!(
        "project: demo\ndataset: d\nbucket: b-b\ndefaults: {{ hash_salt: '${{HASH_SALT}}' }}\nsources:\n  \
         a: {{ url: 'postgres://u:{}@h/d', tables: {{ t: {{ cursor: u, hash: email }} }} }}\n  \
         b: {{ url: 'mysql://u@h/d', password: '${{MY_PASSWORD}}', tables: {{ t: {{ cursor: u, target: o }} }} }}\n",
        percent(PG_PASSWORD)
    );
    let variables = [("HASH_SALT", SALT), ("MY_PASSWORD", MY_PASSWORD)];
    let env = Env::new(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let config = Config::parse(&text, "x.yaml", &env).unwrap();
    let exposed = |index: usize| config.sources[index].connection.password.as_ref().unwrap().expose();
    assert_eq!((exposed(0), exposed(1)), (PG_PASSWORD, MY_PASSWORD));
    assert_eq!(config.sources[0].tables[0].columns.salt.as_ref().unwrap().expose(), SALT);
    let mut written = Written::default();
    written.add("Env", format!("{env:?} {env:#?}"));
    written.add("Config", format!("{config:?} {config:#?}"));
    for source in &config.sources {
        written.add("Connection", format!("{:?} {}", source.connection, source.connection.address));
        written.add("TableSettings", format!("{:#?}", source.tables));
    }
    written.add("App", format!("{:?}", App::new(config)));
    let leaks = written.leaks(&[("a password", PG_PASSWORD), ("another", MY_PASSWORD), ("the salt", SALT)]);
    assert!(leaks.is_empty(), "{leaks:?}");
}

/// What is logged, for a test to read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const TOKEN: &str = "ya29.t0ken-of-the-test_6b1e";

/// Gives the token to who asks at /token, and what it was sent to everybody else. The token in an answer's body would be
/// no leak of ours, so there is none.
async fn google(listener: tokio::net::TcpListener, seen: Arc<Mutex<Vec<String>>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let all = seen.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let seen = all.clone();
            async move {
                let sent = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let answer = if path == "/token" {
                    seen.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
                    serde_json::json!({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}).to_string()
                } else {
                    seen.lock().unwrap().push(sent.unwrap_or_default());
                    "{}".to_owned()
                };
                Ok::<_, std::convert::Infallible>(hyper::Response::new(Full::new(Bytes::from(answer))))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move { connection.await.unwrap_or_default() });
    }
}

fn tokens_are_not_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // one thread, so that all that happens is heard
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let made = std::process::Command::new("openssl").args(["genrsa", "2048"]).output();
    let key = String::from_utf8(made.expect("openssl makes the service account's key").stdout).unwrap();
    let lines: Vec<String> = key.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect();
    assert!(lines.len() > 10, "{key}");
    let seen = Arc::new(Mutex::new(Vec::new()));
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            let account = serde_json::json!({
                "type": "service_account", "project_id": "demo", "client_email": "hw@demo.invalid",
                "private_key": key, "token_uri": format!("{base}/token"),
            });
            let account = gcp_auth::CustomServiceAccount::from_json(&account.to_string()).unwrap();
            let provider: Arc<dyn gcp_auth::TokenProvider> = Arc::new(account);
            let tokens = Tokens::Google(Arc::new(tokio::sync::OnceCell::new_with(Some(provider))));
            let http = Http::new(tokens.clone());
            let cx = Context::new(tokio::time::Instant::now() + Duration::from_secs(20), Default::default());
            let request =
                Request { method: Method::GET, url: format!("{base}/x").parse().unwrap(), body: None, if_match: None };
            let work = async {
                assert_eq!(http.send(&cx, &request, |_| false).await.unwrap().status, 200);
                tracing::trace!(?tokens, ?http, "what Debug tells of them");
                // and where nobody answers
                let url = "http://127.0.0.1:9/x".parse().unwrap();
                let soon = Context::new(tokio::time::Instant::now() + Duration::from_secs(1), Default::default());
                let error = http.send(&soon, &Request { url, ..request.clone() }, |_| false).await.unwrap_err();
                tracing::trace!(%error, ?error, "a call that failed");
            };
            tokio::select! {
                () = work => {}
                () = google(listener, seen.clone()) => {}
            }
        });
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.last().unwrap(), &format!("Bearer {TOKEN}"), "the token was sent: {seen:?}");
    assert!(log.contains("requesting token") && log.contains("a call that failed"), "{log}");
    let mut written = Written::default();
    written.add("the log", log);
    // what was signed with the key is as good as the key for an hour
    let assertion = seen[0].split("assertion=").nth(1).unwrap().to_owned();
    let mut secrets = vec![("the token", TOKEN), ("the signed assertion", assertion.as_str())];
    secrets.extend(lines.iter().filter(|line| line.len() > 20).map(|line| ("the account's key", line.as_str())));
    let leaks = written.leaks(&secrets);
    assert!(leaks.is_empty(), "{leaks:?}");
}
