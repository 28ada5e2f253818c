//! TLS with both databases: what each mode takes and refuses, with certificates and servers of the tests' own.
//!
//! A refusal is one line that says what to do, exit code 2, at once: nothing that is tried again until the time is up.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::support::process::Ran;

pub fn tests() -> Vec<Test> {
    served_tests![
        postgres_takes_and_refuses,
        mariadb_takes_and_refuses,
        servers_without_tls_are_refused,
        files_that_hold_no_certificate_are_told,
    ]
}

/// A refusal takes less: it is not tried again.
const REFUSED_WITHIN: Duration = Duration::from_secs(8);
const PASSWORD: &str = "tls-reader";

/// A certificate authority.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names and its key.
    pub fn issue(&self, names: &[&str], expired: bool) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "highwater test");
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
        }
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    MariaDb,
}

/// A server with TLS; it is stopped when dropped.
pub struct Server {
    kind: Kind,
    child: Child,
    port: u64,
    user: String,
    password: String,
    certificates: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // the script stops its servers when its stdin closes
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

impl Server {
    pub fn start(kind: Kind, folder: &Path) -> Self {
        let (name, key) = match kind {
            Kind::Postgres => ("postgres", "postgres"),
            Kind::MariaDb => ("mariadb", "mysql"),
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/stack.py");
        let mut command = Command::new("python3");
        command.arg(script).args(["--only", name, "--tls"]).arg(folder).arg("up");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at: Value = serde_json::from_str(&line).expect("the server with TLS does not start");
        let text = |field: &str| at[key][field].as_str().unwrap().to_owned();
        let port = at[key]["port"].as_u64().unwrap();
        Self { kind, child, port, user: text("user"), password: text("password"), certificates: text("tls_dir").into() }
    }

    /// The url of a user with that password.
    pub fn url(&self, user: &str, password: &str) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://{user}:{password}@127.0.0.1:{}/postgres", self.port),
            Kind::MariaDb => format!("mysql://{user}:{password}@127.0.0.1:{}/app", self.port),
        }
    }

    /// Runs statements as the administrator.
    pub async fn admin(&self, sql: &str) {
        let url = self.url(&self.user, &self.password);
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self.kind {
            Kind::Postgres => {
                let url = format!("{url}?sslmode=disable");
                sqlx::PgConnection::connect(&url).await.unwrap().execute(sql).await.map(|_done| ()).unwrap();
            }
            Kind::MariaDb => {
                let url = url.replace("/app", "/mysql") + "?ssl-mode=disabled";
                sqlx::MySqlConnection::connect(&url).await.unwrap().execute(sql).await.map(|_done| ()).unwrap();
            }
        }
    }

    /// A table, and users: one that TLS is demanded of, one that a certificate is demanded of.
    pub async fn create(&self) {
        self.admin(match self.kind {
            Kind::Postgres => {
                "CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t VALUES (1, '2024-01-01');
                 CREATE ROLE anybody LOGIN PASSWORD 'tls-reader' IN ROLE pg_read_all_stats, pg_read_all_data;
                 CREATE ROLE tls_only LOGIN PASSWORD 'tls-reader' IN ROLE pg_read_all_stats, pg_read_all_data;
                 CREATE ROLE certificate LOGIN PASSWORD 'tls-reader' IN ROLE pg_read_all_stats, pg_read_all_data"
            }
            Kind::MariaDb => {
                "CREATE DATABASE app; CREATE TABLE app.t (id int PRIMARY KEY, u datetime NOT NULL);
                 INSERT INTO app.t VALUES (1, '2024-01-01');
                 GRANT SELECT, PROCESS ON *.* TO anybody@'%' IDENTIFIED BY 'tls-reader';
                 GRANT SELECT, PROCESS ON *.* TO tls_only@'%' IDENTIFIED BY 'tls-reader' REQUIRE SSL;
                 GRANT SELECT, PROCESS ON *.* TO certificate@'%' IDENTIFIED BY 'tls-reader' REQUIRE X509"
            }
        })
        .await;
    }

    /// Gives the server another certificate.
    async fn present(&self, (certificate, key): &(String, String)) {
        // written over, not anew: the files are the server's
        std::fs::write(self.certificates.join("server.crt"), certificate).unwrap();
        std::fs::write(self.certificates.join("server.key"), key).unwrap();
        self.admin(match self.kind {
            Kind::Postgres => "SELECT pg_reload_conf()",
            Kind::MariaDb => "FLUSH SSL",
        })
        .await;
        if self.kind == Kind::Postgres {
            // the postmaster hears of it by a signal
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// The scene of one database.
struct Scene {
    place: Place,
    server: Server,
}

impl Scene {
    /// One run as `user` with these TLS settings. It must not have been tried again.
    async fn sync(&self, user: &str, tls: &str) -> Ran {
        let tls = if tls.is_empty() { String::new() } else { format!("    tls: {{ {tls} }}\n") };
        self.place.write_config(&format!(
            "project: demo\ndataset: {}\nlocation: EU\nbucket: {}\nsources:\n  s:\n    url: {}\n{tls}    tables:\n      t: {{ cursor: u }}\n",
            self.place.name,
            self.place.bucket(),
            self.server.url(user, PASSWORD),
        ));
        self.place.run(&["sync", "t", "--json"]).await
    }

    async fn taken(&self, user: &str, tls: &str) {
        let ran = self.sync(user, tls).await;
        assert_eq!(ran.code, 0, "{user} {tls}: {ran:?}");
    }

    /// One line, exit code 2, at once; the line has all of `wanted`.
    async fn refused(&self, user: &str, tls: &str, wanted: &[&str]) {
        let begun = Instant::now();
        let ran = self.sync(user, tls).await;
        let case = format!("{:?}: {user} {tls}: {ran:?}", self.server.kind);
        assert_eq!(ran.code, 2, "{case}");
        assert!(begun.elapsed() < REFUSED_WITHIN, "{:?} {case}", begun.elapsed());
        assert!(!ran.stderr.contains("connecting again"), "{case}");
        let message = ran.report().error.expect("a run that is refused says why").message;
        assert!(!message.contains('\n') && wanted.iter().all(|wanted| message.contains(wanted)), "{wanted:?} {case}");
    }
}

async fn takes_and_refuses(kind: Kind) {
    let place = Place::new().await;
    let (ca, other) = (Authority::new("the right CA"), Authority::new("another CA"));
    let folder = place.folder.path().to_owned();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name).display().to_string()
    };
    let right = ca.issue(&["127.0.0.1", "localhost"], false);
    let (ca_file, other_file) = (write("ca.pem", &ca.pem), write("other.pem", &other.pem));
    let clients = Authority::new("the clients' CA");
    for (name, text) in [("server.crt", &right.0), ("server.key", &right.1), ("clients.crt", &clients.pem)] {
        write(name, text);
    }
    let client = clients.issue(&["client"], false);
    let (cert, key) = (write("client.crt", &client.0), write("client.key", &client.1));
    let stranger = other.issue(&["client"], false);
    let (strange_cert, strange_key) = (write("strange.crt", &stranger.0), write("strange.key", &stranger.1));
    let started = folder.clone();
    let server = tokio::task::spawn_blocking(move || Server::start(kind, &started)).await.unwrap();
    let scene = Scene { place, server };
    scene.server.create().await;

    // the right certificate
    let full = format!("mode: verify-full, ca: {ca_file}");
    scene.taken("tls_only", &full).await;
    assert_eq!(scene.place.bq_one("SELECT CAST(COUNT(*) AS STRING) FROM {d}.t").await, "1");
    scene.taken("tls_only", &format!("mode: verify-ca, ca: {ca_file}")).await;
    scene.taken("tls_only", "mode: require").await;
    scene.taken("anybody", "mode: disable").await;
    // loopback is the one place where the default is no TLS
    scene.taken("anybody", "").await;
    let login = ["refuses the login of user \"tls_only\"", "check"];
    scene.refused("tls_only", "mode: disable", &login).await;
    // a CA that did not sign it, and the system's, which did not either
    for mode in ["verify-ca", "verify-full"] {
        scene.refused("anybody", &format!("mode: {mode}, ca: {other_file}"), &["UnknownIssuer", "`tls.ca`"]).await;
        scene.refused("anybody", &format!("mode: {mode}"), &["UnknownIssuer", "`tls.ca`"]).await;
    }
    // client certificates
    let with = |cert: &str, key: &str| format!("{full}, cert: {cert}, key: {key}");
    scene.taken("certificate", &with(&cert, &key)).await;
    scene.taken("certificate", &format!("mode: require, cert: {cert}, key: {key}")).await;
    scene.refused("certificate", &full, &["refuses the login of user \"certificate\"", "check"]).await;
    scene.refused("certificate", &with(&strange_cert, &strange_key), &["check"]).await;
    scene.refused("certificate", &with(&cert, &strange_key), &["`tls.cert`"]).await;
    // somebody else's name
    scene.server.present(&ca.issue(&["db.elsewhere.test"], false)).await;
    scene.taken("tls_only", &format!("mode: verify-ca, ca: {ca_file}")).await;
    scene.refused("anybody", &full, &["db.elsewhere.test", "`tls.mode: verify-ca`"]).await;
    scene.refused("anybody", &format!("mode: verify-ca, ca: {other_file}"), &["UnknownIssuer"]).await;
    // out of date
    scene.server.present(&ca.issue(&["127.0.0.1"], true)).await;
    for mode in ["verify-ca", "verify-full"] {
        scene.refused("anybody", &format!("mode: {mode}, ca: {ca_file}"), &["expired", "certificate"]).await;
    }
    // who looks at no certificate takes it
    scene.taken("tls_only", "mode: require").await;
}

async fn postgres_takes_and_refuses() {
    takes_and_refuses(Kind::Postgres).await;
}

async fn mariadb_takes_and_refuses() {
    takes_and_refuses(Kind::MariaDb).await;
}

/// A source of the common servers, which have no TLS, with these settings.
async fn plain_server(place: &Place, url: &str, tls: &str) -> Ran {
    place.write_config(&format!(
        "project: demo\ndataset: {}\nlocation: EU\nbucket: {}\nsources:\n  s: {{ url: '{url}', tls: {{ {tls} }}, tables: {{ t: {{ cursor: u }} }} }}\n",
        place.name,
        place.bucket()
    ));
    let begun = Instant::now();
    let ran = place.run(&["sync", "t", "--json"]).await;
    assert!(begun.elapsed() < REFUSED_WITHIN, "{:?} {ran:?}", begun.elapsed());
    ran
}

async fn servers_without_tls_are_refused() {
    let place = Place::new().await;
    for url in [place.pg_url(), place.my_url()] {
        for mode in ["require", "verify-ca", "verify-full"] {
            let ran = plain_server(&place, &url, &format!("mode: {mode}")).await;
            assert_eq!(ran.code, 2, "{ran:?}");
            let message = ran.report().error.unwrap().message;
            assert!(message.contains("TLS with 127.0.0.1") && message.contains("`tls.mode: disable`"), "{message}");
            assert!(!ran.stderr.contains("connecting again"), "{ran:?}");
        }
    }
}

async fn files_that_hold_no_certificate_are_told() {
    let place = Place::new().await;
    let file = |name: &str, text: &str| {
        let path = place.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (empty, garbage) = (file("empty.pem", ""), file("garbage.pem", "this is no PEM\n"));
    let (cert, key) = Authority::new("CA").issue(&["client"], false);
    let (cert, key) = (file("cert.pem", &cert), file("key.pem", &key));
    for url in [place.pg_url(), place.my_url()] {
        for (tls, wanted) in [
            (format!("mode: verify-full, ca: {empty}"), "empty.pem"),
            (format!("mode: verify-full, ca: {garbage}"), "garbage.pem"),
            (format!("mode: verify-full, ca: {key}"), "key.pem"),
            ("mode: verify-full, ca: /nowhere/ca.pem".to_owned(), "/nowhere/ca.pem"),
            (format!("mode: require, cert: {empty}, key: {key}"), "empty.pem"),
            (format!("mode: require, cert: {cert}, key: {cert}"), "cert.pem"),
            (format!("mode: require, cert: {cert}, key: {garbage}"), "garbage.pem"),
        ] {
            let ran = plain_server(&place, &url, &tls).await;
            assert_eq!(ran.code, 2, "{tls}: {ran:?}");
            let message = ran.report().error.unwrap().message;
            assert!(
                message.contains(wanted) && message.contains("holds no") | message.contains("cannot be read"),
                "{tls}: {message}"
            );
        }
    }
}
