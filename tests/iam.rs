//! Cloud SQL: sockets named by instances, as Cloud Run mounts them, and logins by tokens instead of passwords.
//!
//! The tokens are those of a stand-in for Google that makes each the user's password as it gives it: whoever logs in with
//! an older one is refused.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::support::process::{self, Ran};
use crate::tls::{Authority, Kind, Server};

pub fn tests() -> Vec<Test> {
    served_tests![
        sockets_named_by_instances,
        postgres_takes_a_fresh_token_for_each_connection,
        postgres_takes_tokens_in_clear_text_over_tls,
        mariadb_takes_a_fresh_token_for_each_connection,
        mysql_is_sent_the_token_as_it_is_only_where_it_is_wanted,
        who_gives_no_token_is_told,
    ]
}

const INSTANCE: &str = "acme:europe-west3:shop";
const TOKEN: &str = "ya29.l0gin-token-of-the-test";
/// PostgreSQL's login by IAM is the service account without its ending.
const USER: &str = "hw@acme.iam";

/// Listens at `at` and hands every connection on to the socket `to`, as the Cloud SQL Auth Proxy does.
fn proxy(at: &Path, to: String, servers: &mut JoinSet<()>) {
    let listener = UnixListener::bind(at).unwrap();
    servers.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let to = to.clone();
            connections.spawn(async move {
                let mut server = UnixStream::connect(to).await.unwrap();
                tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop).unwrap_or_default();
            });
        }
    });
}

/// Places under a folder as Cloud Run's /cloudsql: urls without user, and who keeps them open.
struct CloudSql {
    pg: String,
    my: String,
    _folder: tempfile::TempDir,
    _servers: JoinSet<()>,
}

impl CloudSql {
    fn open(place: &Place) -> Self {
        // a socket's path has at most 107 bytes
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let (pg, my) = (folder.path().join("pg"), folder.path().join("my"));
        let mut servers = JoinSet::new();
        std::fs::create_dir_all(pg.join(INSTANCE)).unwrap();
        std::fs::create_dir_all(&my).unwrap();
        let at = &place.stack.postgres;
        let socket = format!("{}/.s.PGSQL.{}", at.socket_dir, at.port);
        proxy(&pg.join(INSTANCE).join(".s.PGSQL.5432"), socket, &mut servers);
        proxy(&my.join(INSTANCE), place.stack.mysql.socket.clone(), &mut servers);
        Self {
            pg: format!("@/{}?host={}/{INSTANCE}", place.name, pg.display()),
            my: format!("@/{}?socket={}/{INSTANCE}", place.name, my.display()),
            _folder: folder,
            _servers: servers,
        }
    }
}

fn configure(place: &Place, source: &str) {
    place.write_config(&format!(
        "project: demo\ndataset: {}\nlocation: EU\nbucket: {}\nsources:\n  s:\n{source}    tables: {{ t: {{ cursor: u }} }}\n",
        place.name,
        place.bucket()
    ));
}

async fn sockets_named_by_instances() {
    let place = Place::new().await;
    let sockets = CloudSql::open(&place);
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t VALUES (1, '2024-01-01')")
        .await;
    place
        .my("CREATE TABLE t (id int PRIMARY KEY, u datetime(6) NOT NULL); INSERT INTO t VALUES (1, '2024-01-01'), (2, '2024-01-01')")
        .await;
    let (pg, my) = (&place.stack.postgres, &place.stack.mysql);
    for (url, rows) in [
        (format!("postgres://{}:{}{}", pg.user, pg.password, sockets.pg), 1),
        (format!("postgres://{}:{}{}/.s.PGSQL.5432", pg.user, pg.password, sockets.pg), 0),
    ] {
        configure(&place, &format!("    url: {url}\n"));
        assert_eq!(place.sync(&["t"]).await[0].rows, rows, "{url}");
    }
    configure(
        &place,
        &format!("    url: mysql://{}:{}{}\n    dataset: {}_m\n", my.user, my.password, sockets.my, place.name),
    );
    place.run(&["reset", "t"]).await;
    assert_eq!(place.sync(&["t"]).await[0].rows, 2);
    let ran = place.run(&["check", "s", "--json"]).await;
    assert!(
        ran.stdout.contains(&format!("/{INSTANCE}, user ")) && ran.stdout.contains("none: a Unix socket"),
        "{ran:?}"
    );
}

type Set = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Makes a token the password of the user, as a statement in which `{}` is the token says.
fn in_postgres(place: &Arc<Place>, statement: String) -> Set {
    let place = place.clone();
    Arc::new(move |token| {
        let (place, sql) = (place.clone(), statement.replace("{}", &token));
        Box::pin(async move { place.pg(&sql).await })
    })
}

fn in_mariadb(place: &Arc<Place>, statement: String) -> Set {
    let place = place.clone();
    Arc::new(move |token| {
        let (place, sql) = (place.clone(), statement.replace("{}", &token));
        Box::pin(async move { place.my(&sql).await })
    })
}

/// Gives tokens, each of them the user's password from then on.
struct Google {
    /// What was asked for, as the assertion's payload.
    asked: Arc<Mutex<Vec<String>>>,
    env: Vec<(String, String)>,
    _servers: JoinSet<()>,
}

impl Google {
    async fn open(place: &Arc<Place>, set: Set) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let key = std::process::Command::new("openssl").args(["genrsa", "2048"]).output().unwrap().stdout;
        let account = serde_json::json!({
            "type": "service_account", "project_id": "acme", "client_email": "hw@acme.iam.gserviceaccount.com",
            "private_key": String::from_utf8(key).unwrap(), "token_uri": url,
        });
        let file = place.folder.path().join("account.json");
        std::fs::write(&file, account.to_string()).unwrap();
        let mut env = place.env();
        env.retain(|(name, _)| name != "HIGHWATER_LOG");
        env.push(("GOOGLE_APPLICATION_CREDENTIALS".into(), file.display().to_string()));
        env.push(("HIGHWATER_LOG".into(), "trace".into()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut servers = JoinSet::new();
        servers.spawn(serve(listener, set, asked.clone()));
        Self { asked, env, _servers: servers }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, set: Set, asked: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap().trim().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let body = String::from_utf8(body).unwrap();
        let payload = body.split("assertion=").nth(1).unwrap().split('.').nth(1).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches("%3D")).unwrap();
        asked.lock().unwrap().push(String::from_utf8(payload).unwrap());
        let token = format!("{TOKEN}-{}", asked.lock().unwrap().len());
        set(token.clone()).await;
        // so near to its end that nobody keeps it
        let answer = serde_json::json!({"access_token": token, "expires_in": 1, "token_type": "Bearer"}).to_string();
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";
        let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

async fn run(place: &Place, google: &Google, args: &[&str]) -> Ran {
    let ran = process::run(place.folder.path(), &google.env, args).await;
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains(TOKEN), "a token was written: {text}");
    }
    ran
}

/// Two runs, each over connections of its own, with rows in between.
async fn two_runs(place: &Place, google: &Google) {
    let ran = run(place, google, &["sync", "t", "--json"]).await;
    assert_eq!((ran.code, ran.report().rows), (0, 1), "{ran:?}");
    assert!(ran.stderr.contains("TRACE") || ran.stderr.contains("\"DEBUG\""), "the log is not talkative");
    let first = google.asked().len();
    assert!(first >= 1);
    let ran = run(place, google, &["sync", "t", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(google.asked().len() > first, "the second run took the first one's token");
    let ran = run(place, google, &["check", "--json"]).await;
    assert!(ran.stdout.contains("\"source s\",\"check\":\"login\",\"standing\":\"ok\""), "{ran:?}");
    for asked in google.asked() {
        assert!(
            asked.contains("https://www.googleapis.com/auth/sqlservice.login") && !asked.contains("cloud-platform")
        );
    }
    for object in place.objects("").await {
        assert!(!place.text(&object).await.unwrap_or_default().contains(TOKEN), "{object}");
    }
}

async fn postgres_takes_a_fresh_token_for_each_connection() {
    let place = Arc::new(Place::new().await);
    let user = format!("{USER}{}", place.name);
    place
        .pg(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t VALUES (1, '2024-01-01');
             CREATE ROLE \"{user}\" LOGIN IN ROLE pg_read_all_stats; GRANT SELECT ON t TO \"{user}\""
        ))
        .await;
    let sockets = CloudSql::open(&place);
    let google = Google::open(&place, in_postgres(&place, format!("ALTER ROLE \"{user}\" PASSWORD '{{}}'"))).await;
    configure(&place, &format!("    url: postgres://{}{}\n    login: iam\n", user.replace('@', "%40"), sockets.pg));
    two_runs(&place, &google).await;
}

async fn mariadb_takes_a_fresh_token_for_each_connection() {
    let place = Arc::new(Place::new().await);
    let user = format!("hw_{}", place.name);
    place
        .my(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, u datetime(6) NOT NULL); INSERT INTO t VALUES (1, '2024-01-01');
             CREATE USER '{user}'@'%' IDENTIFIED BY 'none'; GRANT SELECT, PROCESS ON *.* TO '{user}'@'%'"
        ))
        .await;
    let sockets = CloudSql::open(&place);
    let statement = format!("SET PASSWORD FOR '{user}'@'%' = PASSWORD('{{}}')");
    let google = Google::open(&place, in_mariadb(&place, statement)).await;
    configure(&place, &format!("    url: mysql://{user}{}\n    login: iam\n", sockets.my));
    two_runs(&place, &google).await;
}

/// The way that Cloud SQL asks PostgreSQL's clients: for the password as it is, over TLS.
async fn postgres_takes_tokens_in_clear_text_over_tls() {
    let place = Arc::new(Place::new().await);
    let ca = Authority::new("the instance's CA");
    let folder = place.folder.path().to_owned();
    let (certificate, key) = ca.issue(&["127.0.0.1"], false);
    let clients = Authority::new("the clients' CA").pem;
    for (name, text) in
        [("ca.pem", &ca.pem), ("server.crt", &certificate), ("server.key", &key), ("clients.crt", &clients)]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let started = folder.clone();
    let server = tokio::task::spawn_blocking(move || Server::start(Kind::Postgres, &started)).await.unwrap();
    server.create().await;
    server.admin(&format!("CREATE ROLE \"{USER}\" LOGIN IN ROLE pg_read_all_stats, pg_read_all_data")).await;
    let server = Arc::new(server);
    let at = server.clone();
    let google = Google::open(
        &place,
        Arc::new(move |token| {
            let at = at.clone();
            Box::pin(async move { at.admin(&format!("ALTER ROLE \"{USER}\" PASSWORD '{token}'")).await })
        }),
    )
    .await;
    let url = server.url("hw%40acme.iam", "none").replace(":none@", "@");
    configure(
        &place,
        &format!("    url: {url}\n    login: iam\n    tls: {{ mode: verify-full, ca: {}/ca.pem }}\n", folder.display()),
    );
    two_runs(&place, &google).await;
    // who is not the server gets no token: the handshake comes first
    configure(&place, &format!("    url: {url}\n    login: iam\n    tls: {{ mode: verify-full }}\n"));
    let ran = run(&place, &google, &["sync", "t", "--json"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.report().error.unwrap().message.contains("UnknownIssuer"), "{ran:?}");
}

/// A packet of MySQL's protocol.
fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&length[..3], &[number], body].concat()
}

async fn read_packet(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.ok()?;
    let mut body = vec![0; usize::from(head[0]) | usize::from(head[1]) << 8];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// A server that asks every login for its password as it is, as Cloud SQL does for IAM, keeps what it gets, and refuses.
async fn asks_for_clear_text(listener: UnixListener, got: Arc<Mutex<Vec<Vec<u8>>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut greeting = b"\x0a8.0.36\x00\x01\x00\x00\x00abcdefgh\x00".to_vec();
        // PROTOCOL_41, SECURE_CONNECTION, CONNECT_WITH_DB; PLUGIN_AUTH
        greeting.extend([0x08, 0x82, 0x21, 0x02, 0x00, 0x08, 0x00, 0x15]);
        greeting.extend([0; 10]);
        greeting.extend(b"ijklmnopqrst\x00mysql_native_password\x00");
        stream.write_all(&packet(0, &greeting)).await.unwrap();
        let Some(_response) = read_packet(&mut stream).await else { continue };
        stream.write_all(&packet(2, b"\xfemysql_clear_password\x00")).await.unwrap();
        if let Some(password) = read_packet(&mut stream).await {
            got.lock().unwrap().push(password);
            stream.write_all(&packet(4, b"\xff\x15\x04#28000Access denied")).await.unwrap();
        }
    }
}

async fn mysql_is_sent_the_token_as_it_is_only_where_it_is_wanted() {
    let place = Arc::new(Place::new().await);
    let google = Google::open(&place, in_mariadb(&place, "SELECT '{}'".to_owned())).await;
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let socket = folder.path().join(INSTANCE);
    let got = Arc::new(Mutex::new(Vec::new()));
    let mut servers = JoinSet::new();
    servers.spawn(asks_for_clear_text(UnixListener::bind(&socket).unwrap(), got.clone()));
    let at = format!("/app?socket={}", socket.display());
    configure(&place, &format!("    url: mysql://hw@{at}\n    login: iam\n"));
    let ran = run(&place, &google, &["sync", "t", "--json"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.report().error.unwrap().message.contains("refuses the login of user \"hw\""), "{ran:?}");
    let sent = got.lock().unwrap().clone();
    assert_eq!(sent, [[TOKEN.as_bytes(), b"-1\0"].concat()]);
    // a password is not sent so, whoever asks
    configure(&place, &format!("    url: mysql://hw:a-password@{at}\n"));
    let ran = run(&place, &google, &["sync", "t", "--json"]).await;
    assert_ne!(ran.code, 0, "{ran:?}");
    assert_eq!(got.lock().unwrap().len(), 1, "{:?}", got.lock().unwrap());
}

async fn who_gives_no_token_is_told() {
    let place = Arc::new(Place::new().await);
    let sockets = CloudSql::open(&place);
    let mut google = Google::open(&place, in_postgres(&place, "SELECT '{}'".to_owned())).await;
    let file = place.folder.path().join("account.json");
    configure(&place, &format!("    url: postgres://hw%40acme.iam{}\n    login: iam\n", sockets.pg));
    // a key that is none
    std::fs::write(&file, "{}").unwrap();
    let ran = run(&place, &google, &["sync", "t", "--json"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.report().error.unwrap().message.contains("no token for the login of user \"hw@acme.iam\""), "{ran:?}");
    assert_eq!(google.asked(), Vec::<String>::new());
    // a token goes nowhere in clear text over TCP: nothing is even asked
    google.env.retain(|(name, _)| name != "HIGHWATER_LOG");
    for tls in ["", "    tls: { mode: disable }\n", "    tls: { mode: require }\n"] {
        configure(&place, &format!("    url: mysql://hw@127.0.0.1:1/app\n    login: iam\n{tls}"));
        let ran = run(&place, &google, &["sync", "t"]).await;
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains("way out: say `tls.mode: verify-full` or `verify-ca`"), "{ran:?}");
    }
}
