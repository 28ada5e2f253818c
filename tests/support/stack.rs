//! The servers, started by `scripts/stack.py` at their first use and stopped at the end of the process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Where the servers are, as `scripts/stack.py up` prints it.
#[derive(Debug, Deserialize)]
pub struct Stack {
    pub postgres: Database,
    pub mysql: Database,
    pub storage: String,
    pub bigquery: String,
}

/// One database server and its administrator.
#[derive(Debug, Deserialize)]
pub struct Database {
    pub port: u16,
    pub user: String,
    pub password: String,
    /// PostgreSQL's socket folder.
    #[serde(default)]
    pub socket_dir: String,
    /// MySQL's socket.
    #[serde(default)]
    pub socket: String,
}

/// Where the emulator of Pub/Sub is.
#[derive(Debug, Deserialize)]
struct PubSub {
    pubsub: String,
}

static STACK: OnceLock<Stack> = OnceLock::new();
static PUBSUB: OnceLock<PubSub> = OnceLock::new();
static PROCESSES: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// The servers; the first caller starts them. If they cannot be started, the process ends: nothing is skipped.
pub fn stack() -> &'static Stack {
    STACK.get_or_init(|| match std::env::var("HIGHWATER_TEST_STACK") {
        Ok(line) => serde_json::from_str(&line).unwrap(),
        Err(_) => start(&[]),
    })
}

/// The url of the emulator of Pub/Sub, Google's own; the first caller starts it.
pub fn pubsub() -> &'static str {
    &PUBSUB.get_or_init(|| start(&["--only", "pubsub"])).pubsub
}

fn start<T: DeserializeOwned>(options: &[&str]) -> T {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/stack.py");
    let mut command = Command::new("python3");
    command.args([script, "--keep-logs", concat!(env!("CARGO_MANIFEST_DIR"), "/.stack/test-logs")]).args(options);
    let mut child = command.arg("up").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    PROCESSES.lock().unwrap().push(child);
    serde_json::from_str(&line).unwrap_or_else(|_| {
        eprintln!("the servers did not start; run `make test`, which installs them");
        std::process::exit(101);
    })
}

/// Stops the servers that were started.
pub fn stop() {
    for mut child in PROCESSES.lock().unwrap().drain(..) {
        // they stop when their starter's stdin closes
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
