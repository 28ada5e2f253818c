//! The real binary: as a command, and as a service.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use highwater::report::RunReport;
use serde_json::Value;
use tokio::process::{Child, ChildStderr, Command};

const COMMAND_MAX: Duration = Duration::from_secs(1800);

/// What a command printed, and how it exited.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What was printed for a person, each error on one line as logs and reports have it.
    pub fn told(&self) -> String {
        self.stderr.replace("\n  way out: ", "; ")
    }

    /// The JSON reports that it printed.
    pub fn reports(&self) -> Vec<RunReport> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}\n{self:?}")))
            .collect()
    }

    /// Its only report.
    pub fn report(&self) -> RunReport {
        let mut reports = self.reports();
        assert_eq!(reports.len(), 1, "{self:?}");
        reports.remove(0)
    }
}

fn command(folder: &Path, env: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    for name in ["PORT", "HIGHWATER_CONFIG", "SYNC_DATABASES", "GOOGLE_APPLICATION_CREDENTIALS"] {
        command.env_remove(name);
    }
    command.envs(env.iter().map(|(name, value)| (name, value)));
    command
}

/// Runs `highwater ARGS` in `folder`.
pub async fn run(folder: &Path, env: &[(String, String)], args: &[&str]) -> Ran {
    let output = command(folder, env).args(args).output();
    let output: Output = tokio::time::timeout(COMMAND_MAX, output).await.expect("the command hangs").unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The code of `highwater ARGS` whose output nobody reads, nor its log: both pipes are closed before it writes.
pub async fn run_unread(folder: &Path, env: &[(String, String)], args: &[&str]) -> i32 {
    let mut child = command(folder, env).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    let status = tokio::time::timeout(COMMAND_MAX, child.wait()).await.expect("the command hangs").unwrap();
    status.code().unwrap_or(-1)
}

/// The code and the stderr of `highwater ARGS` whose output goes to a device that is full.
pub async fn run_into_full(folder: &Path, env: &[(String, String)], args: &[&str]) -> (i32, String) {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    // `output` would put a pipe in its place
    let ran = command(folder, env).args(args).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = tokio::time::timeout(COMMAND_MAX, ran.wait_with_output()).await.expect("the command hangs").unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

/// What a terminal of so many columns got from `highwater ARGS`, all of it as it was written: the code, and the text.
/// Standard output is that terminal too, unless it goes to `out`.
pub async fn run_on_terminal(
    folder: &Path,
    env: &[(String, String)],
    columns: u16,
    out: Option<&Path>,
    args: &[&str],
) -> (i32, String) {
    let mut python = Command::new("python3");
    python.arg("-c").arg(include_str!("terminal.py")).arg(columns.to_string());
    python.arg(out.unwrap_or(Path::new("-"))).arg(env!("CARGO_BIN_EXE_highwater")).args(args);
    python.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    for name in ["PORT", "HIGHWATER_CONFIG", "SYNC_DATABASES", "HIGHWATER_LOG", "NO_COLOR"] {
        python.env_remove(name);
    }
    python.env("TERM", "xterm-256color").envs(env.iter().map(|(name, value)| (name, value)));
    let output = tokio::time::timeout(COMMAND_MAX, python.output()).await.expect("the command hangs").unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stdout).unwrap())
}

/// Starts `highwater ARGS` in `folder` and gives its log.
pub fn start(folder: &Path, env: &[(String, String)], args: &[&str]) -> (Child, ChildStderr) {
    let mut child = command(folder, env).args(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    (child, stderr)
}

/// As [`run`], looking at the process's highest resident size (KiB, the kernel's VmHWM) until it ends.
pub async fn run_measured(folder: &Path, env: &[(String, String)], args: &[&str]) -> (Ran, u64) {
    let child = command(folder, env).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id().unwrap());
    let mut highest = 0;
    let mut output = Box::pin(child.wait_with_output());
    let output = loop {
        let wait = tokio::time::timeout(Duration::from_millis(20), &mut output).await;
        if let Ok(output) = wait {
            break output.unwrap();
        }
        // it may have ended just now
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmHWM")).and_then(|line| line.split_whitespace().nth(1));
        highest = line.and_then(|kib| kib.parse().ok()).unwrap_or(highest).max(highest);
    };
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    (ran, highest)
}

/// `highwater serve` on a free port.
pub struct Service {
    pub url: String,
    child: Child,
    client: reqwest::Client,
}

impl Service {
    /// Starts it and waits until it answers.
    pub async fn start(folder: &Path, env: &[(String, String)]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(folder.join("serve.log")).unwrap();
        let mut command = command(folder, env);
        command
            .args(["serve", "--listen", "127.0.0.1"])
            .env("PORT", port.to_string())
            .stdout(Stdio::null())
            .stderr(log);
        let service = Self {
            url: format!("http://127.0.0.1:{port}"),
            child: command.spawn().unwrap(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        for _ in 0..200 {
            if service.client.get(format!("{}/healthz", service.url)).send().await.is_ok() {
                return service;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the service does not answer: {}", std::fs::read_to_string(folder.join("serve.log")).unwrap());
    }

    /// Status, Retry-After and JSON body of a POST.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Option<String>, Value) {
        let answer = self.client.post(format!("{}{path}", self.url)).body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        let retry = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        (status, retry, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    /// Pushes a table; the run must not fail.
    pub async fn push(&self, table: &str) -> RunReport {
        let (status, _, body) = self.post(&format!("/sync/{table}"), "").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_value(body).unwrap()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// SIGTERM; gives the exit code and how long it took.
    pub async fn terminate(mut self) -> (i32, Duration) {
        let begun = std::time::Instant::now();
        let killed = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().await.unwrap();
        assert!(killed.success());
        let status =
            tokio::time::timeout(Duration::from_secs(15), self.child.wait()).await.expect("it does not stop").unwrap();
        (status.code().unwrap_or(-1), begun.elapsed())
    }
}
