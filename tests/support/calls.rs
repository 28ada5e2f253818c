//! A wire between Highwater and a service that speaks HTTP: calls go through byte for byte, and any of them can be
//! broken, answered by somebody else, or lose its answer after it took effect.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::wire::{DRIP, Tally, reset};

/// What befalls a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Reset before the request is read to its end.
    Reset,
    /// Accepted, and never read or answered.
    HalfOpen,
    /// Read, and neither forwarded nor answered.
    Stall,
    /// It takes effect, and its answer never comes.
    StalledAnswer,
    /// It takes effect, and the connection is reset.
    LostAnswer,
    /// It takes effect, and half of its answer comes.
    CutAnswer,
    /// It takes effect, and its answer comes byte by byte.
    DrippingAnswer,
    /// Answered with this status.
    Status(u16),
    /// Answered 429 with this Retry-After; `+N` is a date in so many seconds.
    TooMany(&'static str),
    /// Answered with this status and the address of the trap.
    Redirect(u16),
    /// Answered 200 with a page of HTML.
    Page,
    /// Answered 200 with half a JSON object.
    HalfJson,
    /// Answered 200 with an object of JSON that is none of the service's.
    OtherJson,
    /// Answered 200 with this JSON.
    Says(&'static str),
    /// Answered 200 with nothing.
    Empty,
    /// Answered 200 with less than its Content-Length says, then closed.
    WrongLength,
    /// Answered 200 with 40 MiB.
    Large,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 22] = [
        Self::Reset,
        Self::HalfOpen,
        Self::Stall,
        Self::StalledAnswer,
        Self::LostAnswer,
        Self::CutAnswer,
        Self::DrippingAnswer,
        Self::Status(500),
        Self::Status(502),
        Self::Status(503),
        Self::Status(429),
        Self::TooMany("1"),
        Self::TooMany("+1"),
        Self::Redirect(301),
        Self::Redirect(302),
        Self::Redirect(307),
        Self::Page,
        Self::HalfJson,
        Self::OtherJson,
        Self::Empty,
        Self::WrongLength,
        Self::Large,
    ];

    /// Whether it costs the caller its patience.
    pub fn is_silent(self) -> bool {
        matches!(self, Self::HalfOpen | Self::Stall | Self::StalledAnswer | Self::DrippingAnswer)
    }

    /// Without what is in it.
    fn name(self) -> String {
        format!("{self:?}").replace('"', "")
    }
}

/// A call, before it is forwarded.
#[derive(Debug)]
pub struct Call {
    /// Of the calls since the last decision, from 0.
    pub number: u64,
    pub method: String,
    /// Path and query.
    pub path: String,
}

type Faults = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

struct Inner {
    /// Host and port.
    peer: String,
    trap: String,
    faults: Mutex<Faults>,
    tally: Mutex<Tally>,
    trapped: Mutex<Vec<String>>,
}

/// A running wire; it ends, with every connection over it, when dropped.
pub struct Calls {
    pub url: String,
    inner: Arc<Inner>,
    _servers: JoinSet<()>,
}

impl Calls {
    /// Opens a wire before the service at that url.
    pub async fn open(peer: &str) -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (listener, trap) = (bind().await.unwrap(), bind().await.unwrap());
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            peer: peer.trim_start_matches("http://").trim_end_matches('/').to_owned(),
            trap: format!("http://{}/trap", trap.local_addr().unwrap()),
            faults: Mutex::new(Box::new(|_| None)),
            tally: Mutex::default(),
            trapped: Mutex::default(),
        });
        let mut servers = JoinSet::new();
        let at = inner.clone();
        servers.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let at = at.clone();
                connections.spawn(async move { at.serve(client).await });
                while connections.try_join_next().is_some() {}
            }
        });
        let at = inner.clone();
        servers.spawn(async move {
            while let Ok((mut client, _)) = trap.accept().await {
                let head = read_head(&mut client).await.unwrap_or_default();
                at.trapped.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
            }
        });
        Self { url, inner, _servers: servers }
    }

    /// From now on this befalls calls.
    pub fn decide(&self, faults: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        *self.inner.faults.lock().unwrap() = Box::new(faults);
        *self.inner.tally.lock().unwrap() = Tally::default();
    }

    /// Calls go through from now on.
    pub fn heal(&self) {
        self.decide(|_| None);
    }

    /// What went through since the last decision.
    pub fn tally(&self) -> Tally {
        self.inner.tally.lock().unwrap().clone()
    }

    /// Requests that followed a redirect.
    pub fn trapped(&self) -> Vec<String> {
        self.inner.trapped.lock().unwrap().clone()
    }
}

impl Inner {
    fn fault(&self, head: &str) -> Option<Fault> {
        let mut words = head.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut tally = self.tally.lock().unwrap();
        let fault = (self.faults.lock().unwrap())(&Call { number: tally.all, method, path });
        tally.all += 1;
        if let Some(fault) = fault {
            *tally.faults.entry(fault.name()).or_default() += 1;
        }
        fault
    }

    /// One connection: call after call, until it breaks.
    async fn serve(&self, mut client: TcpStream) {
        client.set_nodelay(true).unwrap_or_default();
        while let Some(head) = read_head(&mut client).await {
            let fault = self.fault(&String::from_utf8_lossy(&head));
            match fault {
                Some(Fault::Reset) => return reset(client),
                Some(Fault::HalfOpen) => return std::future::pending().await,
                _ => {}
            }
            let Some(request) = read_body(&mut client, head, false).await else { return };
            let Some(fault) = fault else {
                let Some(answer) = self.forward(&request).await else { return };
                if client.write_all(&answer).await.is_err() {
                    return;
                }
                continue;
            };
            if !self.befall(&mut client, &request, fault).await {
                if fault == Fault::LostAnswer {
                    reset(client);
                }
                return;
            }
        }
    }

    /// Whether the connection lives on.
    async fn befall(&self, client: &mut TcpStream, request: &[u8], fault: Fault) -> bool {
        let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
        let said = match fault {
            Fault::Reset | Fault::HalfOpen | Fault::Stall => return std::future::pending().await,
            Fault::StalledAnswer => {
                self.forward(request).await;
                return std::future::pending().await;
            }
            Fault::LostAnswer => {
                self.forward(request).await;
                return false;
            }
            Fault::CutAnswer => {
                let Some(answer) = self.forward(request).await else { return false };
                client.write_all(&half(&answer)).await.unwrap_or_default();
                return false;
            }
            Fault::DrippingAnswer => {
                for byte in self.forward(request).await.unwrap_or_default() {
                    tokio::time::sleep(DRIP).await;
                    if client.write_all(&[byte]).await.is_err() {
                        return false;
                    }
                }
                return true;
            }
            Fault::Status(status) => answer(status, "", b"a fault of the test's"),
            Fault::TooMany(after) => answer(429, &retry_after(after), b"slow down"),
            Fault::Redirect(status) => answer(status, &format!("location: {}\r\n", self.trap), b""),
            Fault::Page => answer(200, "content-type: text/html\r\n", b"<html>Please log in</html>"),
            Fault::HalfJson => answer(200, JSON, br#"{"kind": "bigquery#job", "generation": "17", "sta"#),
            Fault::OtherJson => answer(200, JSON, br#"{"weather": {"rain": true}}"#),
            Fault::Says(json) => answer(200, JSON, json.as_bytes()),
            Fault::Empty => answer(200, "", b""),
            Fault::WrongLength => {
                let text =
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n{\"kind\":";
                client.write_all(text.as_bytes()).await.unwrap_or_default();
                return false;
            }
            Fault::Large => answer(200, JSON, &vec![b' '; 40 << 20]),
        };
        client.write_all(&said).await.is_ok()
    }

    /// The service's answer, byte for byte.
    async fn forward(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mut server = TcpStream::connect(&self.peer).await.ok()?;
        server.set_nodelay(true).ok()?;
        server.write_all(request).await.ok()?;
        let head = read_head(&mut server).await?;
        read_body(&mut server, head, true).await
    }
}

const JSON: &str = "content-type: application/json\r\n";

/// A whole answer of ours.
fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} Said\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn retry_after(text: &str) -> String {
    let Some(seconds) = text.strip_prefix('+') else { return format!("retry-after: {text}\r\n") };
    let now = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let then = now + Duration::from_secs(seconds.parse().unwrap());
    format!("date: {}\r\nretry-after: {}\r\n", httpdate::fmt_http_date(now), httpdate::fmt_http_date(then))
}

/// Everything up to the empty line; `None` if the connection ends before.
async fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(head)
}

/// The message whose head this is, with its body.
async fn read_body(stream: &mut TcpStream, mut message: Vec<u8>, is_answer: bool) -> Option<Vec<u8>> {
    let head = String::from_utf8_lossy(&message).to_ascii_lowercase();
    let header = |name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned())
    };
    if header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(stream.read_u8().await.ok()?);
            }
            let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).ok()?;
            message.extend_from_slice(&line);
            read_more(stream, &mut message, size + 2).await?;
            if size == 0 {
                return Some(message);
            }
        }
    }
    match header("content-length") {
        Some(length) => read_more(stream, &mut message, length.parse().ok()?).await?,
        None if is_answer && !head.contains(" 204 ") => {
            stream.read_to_end(&mut message).await.ok()?;
        }
        None => {}
    }
    Some(message)
}

async fn read_more(stream: &mut TcpStream, message: &mut Vec<u8>, count: usize) -> Option<()> {
    let begun = message.len();
    message.resize(begun + count, 0);
    stream.read_exact(&mut message[begun..]).await.ok().map(drop)
}
