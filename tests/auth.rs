//! Who may call the service: the real binary, tokens of the tests' own, and a server that gives their keys.

mod issuer;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};

use self::issuer::{KeyServer, Mood, Pair, signed};
use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::support::process::Service;

pub fn tests() -> Vec<Test> {
    served_tests![
        only_good_tokens_start_runs,
        every_path_but_health_wants_a_token,
        pages_want_a_token_too,
        keys_are_fetched_once_and_rotate,
        unknown_keys_are_asked_for_once_a_minute,
        keys_are_kept_as_long_as_they_may_be,
        no_keys_is_worth_trying_again,
        without_auth_nobody_is_checked_and_the_log_says_so,
        wrong_settings_do_not_start,
    ]
}

const AUDIENCE: &str = "https://highwater-abc-ew.a.run.app";
const CALLER: &str = "caller@acme.iam.gserviceaccount.com";
/// The least time that the service keeps keys.
const KEPT_MIN: Duration = Duration::from_secs(10);
/// How soon after a failure it asks for keys again.
const FAILED_PAUSE: Duration = Duration::from_secs(10);
/// What a clock's tick and a busy machine may add.
const SLACK: Duration = Duration::from_secs(4);

/// A service over a table `pg/t` of 100 rows that checks its callers.
struct Scene {
    place: Place,
    keys: KeyServer,
    service: Service,
    client: reqwest::Client,
}

/// Status, `WWW-Authenticate`, `Retry-After` and body.
#[derive(Debug)]
struct Answer {
    status: u16,
    challenge: Option<String>,
    retry: Option<String>,
    body: Value,
}

impl Scene {
    async fn open(mood: Mood) -> Self {
        let keys = KeyServer::open(mood).await;
        let place = place_with_table().await;
        let top =
            format!("auth: {{ audience: [other, '{AUDIENCE}'], invokers: ['{CALLER}'], keys_url: '{}' }}", keys.url);
        place.configure(&["t: { cursor: u }"], &[], &top);
        // tokens must not be in the log however much is logged
        let mut env = place.env();
        env.push(("HIGHWATER_LOG".into(), "trace".into()));
        let service = Service::start(place.folder.path(), &env).await;
        Self { place, keys, service, client: client() }
    }

    async fn post(&self, path: &str, token: Option<&str>) -> Answer {
        let headers: Vec<(&str, String)> =
            token.map(|token| ("authorization", format!("Bearer {token}"))).into_iter().collect();
        post(&self.client, &format!("{}{path}", self.service.url), &headers).await
    }

    /// The answer to a caller who names a table that is not there: 404 to those that may call.
    async fn door(&self, token: &str) -> u16 {
        self.post("/sync/pg/none", Some(token)).await.status
    }

    /// The status of a run with this token.
    async fn status(&self, token: &str) -> u16 {
        self.post("/sync/pg/t", Some(token)).await.status
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.folder.path().join("serve.log")).unwrap()
    }

    /// The lines of the log that say this.
    fn logged(&self, message: &str) -> Vec<Value> {
        let lines = self.log();
        lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|l| l["message"] == message)
            .collect()
    }
}

fn client() -> reqwest::Client {
    // the service closes idle connections, which a request may be on its way over
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

async fn post(client: &reqwest::Client, url: &str, headers: &[(&str, String)]) -> Answer {
    let mut request = client.post(url);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (status, challenge, retry) = (answer.status().as_u16(), header("www-authenticate"), header("retry-after"));
    Answer { status, challenge, retry, body: serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap() }
}

async fn place_with_table() -> Place {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO t SELECT i, '2024-01-01' FROM generate_series(1, 100) i").await;
    place
}

/// The claims of a good token, as Cloud Scheduler's and Pub/Sub's have them.
fn claims() -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({
        "aud": AUDIENCE, "azp": "1", "email": CALLER, "email_verified": true, "exp": now + 3600, "iat": now,
        "iss": "https://accounts.google.com", "sub": "1"
    })
}

/// The claims with one of them another, or gone where it is NULL.
fn but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

/// A token with a MAC in the place of a signature.
fn with_mac(header: &Value, secret: &[u8]) -> String {
    let signed = signed(header, &claims());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The public key as a file of PEM.
fn pem(pair: &Pair) -> String {
    let base64 = STANDARD.encode(pair.public_der());
    let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", lines.join("\n"))
}

/// Tokens that are not good, with the status and what the log says of each.
fn bad_tokens(first: &Pair, third: &Pair) -> Vec<(String, u16, &'static str)> {
    let now = jiff::Timestamp::now().as_second();
    let good = first.token(&claims());
    let unsigned = |algorithm: &str| format!("{}.", signed(&json!({"alg": algorithm, "kid": first.kid}), &claims()));
    let claimed = |name: &str, value: Value| first.token(&but(name, value));
    let (rest, signature) = good.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let hs256 = json!({"alg": "HS256", "kid": first.kid});
    vec![
        (claimed("exp", json!(now - 100)), 401, "the token expired at 20"),
        (claimed("exp", json!(null)), 401, "missing field `exp`"),
        (claimed("iat", json!(now + 600)), 401, "the token is of the future (`iat`)"),
        (claimed("nbf", json!(now + 600)), 401, "the token is of the future (`nbf`)"),
        (
            claimed("aud", json!("https://elsewhere.run.app")),
            401,
            "audience \"https://elsewhere.run.app\" is not one of",
        ),
        (claimed("iss", json!("https://accounts.example.com")), 401, "issuer is \"https://accounts.example.com\""),
        (claimed("email", json!("x@acme.iam.gserviceaccount.com")), 403, "not one of `auth.invokers`"),
        (claimed("email", json!(null)), 403, "has no `email`"),
        (claimed("email_verified", json!(false)), 403, "has not verified"),
        (claimed("email_verified", json!(null)), 403, "has not verified"),
        (third.token_of_kid(first.kid, &claims()), 401, "signature is wrong"),
        (format!("{rest}.{flipped}{}", &signature[1..]), 401, "signature is wrong"),
        (format!("{rest}.SIGNATURE_REMOVED_BY_GOOGLE"), 401, "remove `auth`, or deploy with --no-invoker-iam-check"),
        (unsigned("none"), 401, "algorithm is \"none\", not RS256"),
        (unsigned("RS256"), 401, "signature is wrong"),
        (with_mac(&hs256, pem(first).as_bytes()), 401, "algorithm is \"HS256\", not RS256"),
        (with_mac(&hs256, first.public_der()), 401, "algorithm is \"HS256\", not RS256"),
        (with_mac(&json!({"alg": "RS256", "kid": first.kid}), first.public_der()), 401, "signature is wrong"),
        (format!("{good}{}", "A".repeat(10_000)), 401, "bytes, more than any of Google's"),
        ("ya29.access-token-of-somebody".to_owned(), 401, "is no identity token"),
    ]
}

async fn only_good_tokens_start_runs() {
    let (first, third) = (Pair::first(), Pair::third());
    let scene = Scene::open(Mood::gives(&[&first], 3600)).await;
    let bad = bad_tokens(&first, &third);
    for (token, status, told) in &bad {
        let answer = scene.post("/sync/pg/t", Some(token)).await;
        let challenge = (*status == 401).then_some("Bearer error=\"invalid_token\"");
        assert_eq!((answer.status, answer.challenge.as_deref()), (*status, challenge), "{told}: {answer:?}");
        // the caller hears no more than that
        assert!(answer.body["error"].as_str().unwrap().ends_with("the service's log says why"), "{answer:?}");
        let line = scene.logged("a caller is refused").pop().unwrap();
        assert!(line["reason"].as_str().unwrap().contains(told), "{told}: {line}");
        assert_eq!((&line["severity"], &line["status"]), (&json!("WARNING"), &json!(status)), "{line}");
    }
    let refused = scene.logged("a caller is refused");
    assert_eq!(refused.len(), bad.len());
    // an address that Google vouches for, and one that anybody could have written
    assert_eq!((&refused[0]["email"], &refused[10]["claimed"]), (&json!(CALLER), &json!(CALLER)));
    assert!(refused[10]["email"].is_null() && refused[0]["path"] == "/sync/pg/t", "{:?}", refused[10]);
    // a token as long as a head may be is no head any more
    let huge = format!("{}{}", first.token(&claims()), "A".repeat(40_000));
    let sent = scene.client.post(format!("{}/sync/pg/t", scene.service.url)).bearer_auth(huge).send().await;
    assert!(sent.is_err() || sent.unwrap().status() == 431);
    assert!(scene.logged("run ended").is_empty() && scene.place.objects("state/").await.is_empty());

    let good = first.token(&claims());
    let answer = scene.post("/sync/pg/t", Some(&good)).await;
    assert_eq!((answer.status, &answer.body["rows"]), (200, &json!(100)), "{answer:?}");
    assert_eq!(scene.status(&first.token(&but("email", json!("Caller@ACME.iam.gserviceaccount.com")))).await, 200);
    assert_eq!(scene.status(&first.token(&but("aud", json!("other")))).await, 200);
    // all of that with one look for keys
    assert_eq!(scene.keys.asked(), 1);
    let log = scene.log();
    for (token, ..) in bad.iter().chain([&(good, 200, "")]) {
        for part in token.split('.').filter(|part| part.len() > 30) {
            assert!(!log.contains(&part[..30]), "the log has {part}");
        }
    }
    assert!(!log.contains("panicked"));
}

async fn every_path_but_health_wants_a_token() {
    let first = Pair::first();
    let scene = Scene::open(Mood::gives(&[&first], 3600)).await;
    let line = scene
        .logged("callers are checked: their identity tokens must be for this audience and of one of these accounts");
    assert_eq!((&line[0]["audience"], &line[0]["invokers"]), (&json!(format!("other {AUDIENCE}")), &json!(1)));
    for path in ["/healthz", "/healthz?x=y"] {
        let health = scene.client.get(format!("{}{path}", scene.service.url)).send().await.unwrap();
        assert_eq!(health.status(), 200);
    }
    // nothing says what there is and what there is not
    let paths = ["/sync/pg/t", "/sync/pg/none", "/sync/none/t", "/sync/pg/%zz", "/pubsub", "/nowhere", "/healthz", "/"];
    for path in paths {
        let answer = scene.post(path, None).await;
        assert_eq!((answer.status, answer.challenge.as_deref()), (401, Some("Bearer")), "{path}");
        assert_eq!(
            answer.body,
            json!({"error": "no token; send `Authorization: Bearer` with an identity token", "code": "HW-AUTH-TOKEN"})
        );
    }
    let got = scene.client.get(format!("{}/sync/pg/t", scene.service.url)).send().await.unwrap();
    assert_eq!(got.status(), 401);
    let good = format!("Bearer {}", first.token(&claims()));
    let url = format!("{}/sync/pg/none", scene.service.url);
    for headers in [
        vec![("authorization", good.clone()), ("authorization", good.clone())],
        vec![("authorization", format!("Basic {}", STANDARD.encode("user:password")))],
        vec![("x-serverless-authorization", good.clone())],
        vec![("proxy-authorization", good.clone())],
    ] {
        assert_eq!(post(&scene.client, &url, &headers).await.status, 401);
    }
    // keys were not needed for any of that
    assert_eq!(scene.keys.asked(), 0);
    // with a token each has the answer that it always had
    for (path, status) in
        [("/sync/pg/none", 404), ("/sync/pg/%zz", 400), ("/pubsub", 400), ("/nowhere", 404), ("/healthz", 405)]
    {
        assert_eq!(
            post(&scene.client, &format!("{}{path}", scene.service.url), &[("authorization", good.clone())])
                .await
                .status,
            status,
            "{path}"
        );
    }
    let envelope = json!({"message": {"attributes": {"source": "pg", "table": "t"}}}).to_string();
    let pushed =
        scene.client.post(format!("{}/pubsub", scene.service.url)).header("authorization", &good).body(envelope);
    assert_eq!(pushed.send().await.unwrap().status(), 200);
    // a body that never comes is not waited for
    let address = scene.service.url.trim_start_matches("http://").to_owned();
    let (status, took) = tokio::task::spawn_blocking(move || unsent_body(&address)).await.unwrap();
    assert!(status.starts_with("HTTP/1.1 401") && took < Duration::from_secs(5), "{took:?}: {status}");
}

/// What is looked at tells of tables, so nobody without a token hears any of it, by whatever method.
async fn pages_want_a_token_too() {
    let first = Pair::first();
    let scene = Scene::open(Mood::gives(&[&first], 3600)).await;
    let good = first.token(&claims());
    assert_eq!(scene.status(&good).await, 200);
    let expired = first.token(&but("exp", json!(1)));
    let send = |method: &Method, path: &str, token: Option<&str>| {
        let mut request = scene.client.request(method.clone(), format!("{}{path}", scene.service.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send()
    };
    let pages = ["/", "/?q=t", "/tables/pg/t", "/api/tables", "/api/tables/pg/t", "/api/runs", "/metrics"];
    for path in pages.into_iter().chain(["/tables/pg/none", "/api/none"]) {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
            for token in [None, Some(expired.as_str())] {
                let answer = send(&method, path, token).await.unwrap();
                assert_eq!(answer.status(), 401, "{method} {path}");
                let headers = format!("{:?}", answer.headers());
                let body = answer.text().await.unwrap();
                // the same is said of every path, so that nothing tells what there is
                let said =
                    body.is_empty() || body.contains("no token; send") || body.contains("the service's log says why");
                assert!(said && !body.contains("pg") && !headers.contains("pg"), "{method} {path}: {headers} {body}");
                assert!(
                    !headers.contains("\"allow\"") && !headers.contains("access-control"),
                    "{method} {path}: {headers}"
                );
            }
        }
    }
    for path in pages {
        for (method, status) in [(Method::GET, 200), (Method::HEAD, 200), (Method::POST, 405), (Method::OPTIONS, 405)] {
            let answer = send(&method, path, Some(&good)).await.unwrap();
            assert_eq!(answer.status(), status, "{method} {path}");
            let body = answer.text().await.unwrap();
            assert!(method != Method::GET || body.contains("pg"), "{method} {path}: {body}");
        }
    }
    assert_eq!(send(&Method::GET, "/tables/pg/none", Some(&good)).await.unwrap().status(), 404);
}

/// Declares a body and does not send it; the first line of the answer, and how long it took.
fn unsent_body(address: &str) -> (String, Duration) {
    use std::io::{BufRead as _, BufReader, Write as _};
    let begun = Instant::now();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"POST /pubsub HTTP/1.1\r\nhost: d\r\ncontent-length: 60000\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    (line, begun.elapsed())
}

async fn keys_are_fetched_once_and_rotate() {
    let (first, second) = (Pair::first(), Pair::second());
    let slow = Mood { delay: Duration::from_secs(1), ..Mood::gives(&[&first], 3600) };
    let scene = Scene::open(slow).await;
    assert_eq!(scene.keys.asked(), 0);
    // many at once, and some that give up: one look for keys
    let (path, good) = ("/sync/pg/none", first.token(&claims()));
    let impatient = reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(300)).build().unwrap();
    let url = format!("{}{path}", scene.service.url);
    let gave_up = (0..5).map(|_| impatient.post(&url).bearer_auth(&good).send());
    assert!(futures_util::future::join_all(gave_up).await.iter().all(Result::is_err));
    let statuses = futures_util::future::join_all((0..40).map(|_| scene.post(path, Some(&good)))).await;
    assert!(statuses.iter().all(|answer| answer.status == 404), "{statuses:?}");
    assert_eq!(scene.keys.asked(), 1);

    // a new key appears: the first token of it makes the service look
    scene.keys.feels(Mood::gives(&[&first, &second], 3600));
    assert_eq!((scene.status(&good).await, scene.keys.asked()), (200, 0));
    let newer = second.token(&claims());
    assert_eq!((scene.status(&newer).await, scene.keys.asked()), (200, 1));
    assert_eq!((scene.status(&good).await, scene.status(&newer).await, scene.keys.asked()), (200, 200, 0));
}

async fn unknown_keys_are_asked_for_once_a_minute() {
    let (first, third) = (Pair::first(), Pair::third());
    let scene = Scene::open(Mood::gives(&[&first], 3600)).await;
    assert_eq!((scene.status(&first.token(&claims())).await, scene.keys.asked()), (200, 1));
    let tokens: Vec<String> =
        (0..30).map(|number| third.token_of_kid(&format!("made-up-{number}"), &claims())).collect();
    let begun = Instant::now();
    let answers =
        futures_util::future::join_all(tokens.iter().map(|token| scene.post("/sync/pg/t", Some(token)))).await;
    assert!(answers.iter().all(|answer| answer.status == 401), "{answers:?}");
    for token in &tokens {
        assert_eq!(scene.status(token).await, 401);
    }
    assert!(begun.elapsed() < Duration::from_secs(50), "the machine is too busy for this test: {:?}", begun.elapsed());
    assert_eq!(scene.keys.asked(), 1);
    let line = scene.logged("a caller is refused").pop().unwrap();
    assert!(line["reason"].as_str().unwrap().contains("has the token's id \"made-up-29\""), "{line}");
    // those that are known are served all the while
    assert_eq!(scene.status(&first.token(&claims())).await, 200);
}

async fn keys_are_kept_as_long_as_they_may_be() {
    let (first, second) = (Pair::first(), Pair::second());
    let scene = Scene::open(Mood::gives(&[&first], 0)).await;
    let (old, new) = (first.token(&claims()), second.token(&claims()));
    // of a table that is not there nothing is run, so that nothing but the keys takes time
    let begun = Instant::now();
    assert_eq!((scene.door(&old).await, scene.door(&old).await), (404, 404));
    assert!(begun.elapsed() < KEPT_MIN, "the machine is too busy for this test: {:?}", begun.elapsed());
    assert_eq!(scene.keys.asked(), 1);
    // what Cache-Control allows is over, and the key is gone at the server
    scene.keys.feels(Mood::gives(&[&second], 0));
    tokio::time::sleep(KEPT_MIN + SLACK).await;
    assert_eq!((scene.door(&old).await, scene.keys.asked()), (401, 1));
    assert_eq!(scene.door(&new).await, 404);
    // it is over again, and the server is down: known keys serve on, and a caller with another key may come again
    scene.keys.feels(Mood::fails(500));
    tokio::time::sleep(KEPT_MIN + SLACK).await;
    assert_eq!(scene.door(&new).await, 404);
    assert!(scene.keys.asked() >= 1);
    assert_eq!(scene.door(&old).await, 503);
    assert_eq!(scene.logged("the keys of callers' tokens cannot be fetched; known ones serve on").len(), 1);
}

async fn no_keys_is_worth_trying_again() {
    let first = Pair::first();
    let good = first.token(&claims());
    let scene = Scene::open(Mood::fails(500)).await;
    let large = Mood { body: " ".repeat(100 << 10), ..Mood::gives(&[&first], 3600) };
    let silent = Mood { delay: Duration::from_secs(30), ..Mood::gives(&[&first], 3600) };
    let other = Mood { body: "<html>login</html>".to_owned(), ..Mood::gives(&[&first], 3600) };
    let empty = Mood { body: r#"{"keys":[]}"#.to_owned(), ..Mood::gives(&[&first], 3600) };
    for (mood, told) in [
        (Mood::fails(500), "HTTP 500: down"),
        (Mood::fails(404), "HTTP 404: down"),
        (large, "an answer of more than 64 KiB"),
        (silent, "no answer"),
        (other, "no JSON Web Key Set"),
        (empty, "a set without a key for RS256"),
    ] {
        scene.keys.feels(mood);
        scene.keys.asked();
        let begun = Instant::now();
        let answer = scene.post("/sync/pg/t", Some(&good)).await;
        assert_eq!((answer.status, answer.retry.as_deref()), (503, Some("30")), "{told}: {answer:?}");
        assert_eq!(answer.body["error"], "callers cannot be checked at the moment; try again");
        assert!(begun.elapsed() < Duration::from_secs(5) + SLACK, "{told}: {:?}", begun.elapsed());
        assert!(scene.keys.asked() >= 1, "{told}");
        // the next ones are told at once, and nobody is asked for a while
        let begun = Instant::now();
        assert_eq!((scene.status(&good).await, scene.keys.asked()), (503, 0), "{told}");
        assert!(begun.elapsed() < SLACK, "{told}: {:?}", begun.elapsed());
        let failed = scene.logged("the keys of callers' tokens cannot be fetched").pop().unwrap();
        assert!(failed["error"].as_str().unwrap().contains(told) && failed["severity"] == "ERROR", "{told}: {failed}");
        let refused = scene.logged("a caller is refused").pop().unwrap();
        assert_eq!((&refused["status"], &refused["claimed"]), (&json!(503), &json!(CALLER)));
        tokio::time::sleep(FAILED_PAUSE).await;
    }
    assert!(scene.logged("run ended").is_empty());
    scene.keys.feels(Mood::gives(&[&first], 3600));
    assert_eq!((scene.status(&good).await, scene.keys.asked()), (200, 1));
}

async fn without_auth_nobody_is_checked_and_the_log_says_so() {
    let place = place_with_table().await;
    place.configure(&["t: { cursor: u }"], &[], "");
    let service = place.serve().await;
    assert_eq!(service.push("pg/t").await.rows, 100);
    let url = format!("{}/sync/pg/t", service.url);
    assert_eq!(post(&client(), &url, &[("authorization", "Bearer nonsense".to_owned())]).await.status, 200);
    let log = std::fs::read_to_string(place.folder.path().join("serve.log")).unwrap();
    let lines: Vec<&str> =
        log.lines().filter(|line| line.contains("callers are not checked here (no `auth`)")).collect();
    assert!(lines.len() == 1 && lines[0].contains("\"INFO\""), "{log}");
}

async fn wrong_settings_do_not_start() {
    let place = Place::new().await;
    let top = "auth:\n  audience: []\n  invokers: [allUsers]\n  keys_url: http://keys.example.com/";
    place.configure(&["t: { cursor: u }"], &[], top);
    let ran = place.run(&["serve"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    for told in [
        "highwater.yaml:6:13: auth.audience: the list is empty; name a value or remove the key",
        "highwater.yaml:7:14: auth.invokers: \"allUsers\" is nobody's address; name accounts, or remove `auth`",
        "highwater.yaml:8:13: auth.keys_url: \"http://keys.example.com/\" must begin with https://",
    ] {
        assert!(ran.told().contains(told), "{told}\n{}", ran.stderr);
    }
    // what is printed reads as the same
    place.configure(&["t: { cursor: u }"], &[], &format!("auth: {{ audience: '{AUDIENCE}', invokers: ['{CALLER}'] }}"));
    let ran = place.run(&["config"]).await;
    assert!(ran.stdout.contains(&format!("auth:\n  audience: {AUDIENCE}\n")), "{}", ran.stdout);
}
