//! The servers, started by `scripts/stack.py` at the first use and stopped at the end of the process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde::Deserialize;

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

static STACK: OnceLock<Stack> = OnceLock::new();
static PROCESS: Mutex<Option<Child>> = Mutex::new(None);

/// The servers; the first caller starts them. If they cannot be started, the process ends: nothing is skipped.
pub fn stack() -> &'static Stack {
    STACK.get_or_init(|| {
        if let Ok(line) = std::env::var("HIGHWATER_TEST_STACK") {
            return serde_json::from_str(&line).unwrap();
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/stack.py");
        let mut command = Command::new("python3");
        command.args([script, "--keep-logs", concat!(env!("CARGO_MANIFEST_DIR"), "/.stack/test-logs"), "up"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        *PROCESS.lock().unwrap() = Some(child);
        serde_json::from_str(&line).unwrap_or_else(|_| {
            eprintln!("the servers did not start; run `make test`, which installs them");
            std::process::exit(101);
        })
    })
}

/// Stops the servers if they were started.
pub fn stop() {
    if let Some(mut child) = PROCESS.lock().unwrap().take() {
        // they stop when their starter's stdin closes
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
