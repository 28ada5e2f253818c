//! HTTP/1.1 by hand: what no well-behaved client sends, and every answer as it came.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest that anything may take to be answered or closed: the server's limit of 10 s, and a busy machine.
pub const ANSWER_MAX: Duration = Duration::from_secs(20);
/// How long an answer to a whole request is waited for before the client says that it will send no more.
const PATIENCE: Duration = Duration::from_millis(500);
/// The most bytes of a refusal: one line that a person reads.
const REFUSAL_BYTES_MAX: usize = 8 << 10;

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (given, value) = line.split_once(':')?;
            given.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// One clear line of JSON; where the request was not even HTTP, the status alone.
    pub fn check_refusal(&self) -> Result<(), String> {
        let shown = || format!("{} {}", self.status, String::from_utf8_lossy(&self.body[..self.body.len().min(500)]));
        if !(400..500).contains(&self.status) {
            return Err(format!("no refusal: {}", shown()));
        }
        if self.body.is_empty() {
            let closes = self.header("connection") == Some("close");
            return if closes { Ok(()) } else { Err(format!("nothing said, and still open: {}", shown())) };
        }
        let error = serde_json::from_slice::<Value>(&self.body).ok().and_then(|body| {
            let only = body.as_object().filter(|fields| fields.len() == 2)?;
            let has_code = only.get("code")?.as_str()?.starts_with("HW-");
            only.get("error")?.as_str().filter(|_| has_code).map(str::to_owned)
        });
        let one_line = !self.body.contains(&b'\n') && self.body.len() <= REFUSAL_BYTES_MAX;
        let typed = self.header("content-type") == Some("application/json");
        match error {
            Some(error) if one_line && typed && error.len() > 5 => Ok(()),
            _ => Err(format!("no clear refusal: {}", shown())),
        }
    }
}

/// A connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    /// Connects to the service.
    pub fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(ANSWER_MAX)).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Sends bytes. That the other end may have closed is for the reading to find out.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next answer; `None` if the connection ends before one.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answer_within(ANSWER_MAX).unwrap_or_else(|_| panic!("neither an answer nor an end in {ANSWER_MAX:?}"))
    }

    /// The answer to what was sent, which may be no whole request: if none comes, the client ends its side.
    pub fn settle(&mut self) -> Option<Answer> {
        self.answer_within(PATIENCE).unwrap_or_else(|_| {
            // the other end may be gone already
            self.stream.shutdown(Shutdown::Write).unwrap_or_default();
            self.answer()
        })
    }

    /// An answer of 2xx to 5xx; an error if the time is up.
    fn answer_within(&mut self, time: Duration) -> Result<Option<Answer>, ErrorKind> {
        let until = Instant::now() + time;
        loop {
            if let Some((answer, end)) = parse(&self.buffer) {
                self.buffer.drain(..end);
                if answer.status >= 200 {
                    return Ok(Some(answer));
                }
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut);
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut some = [0; 4096];
            match self.stream.read(&mut some) {
                Ok(0) => return Ok(None),
                Ok(count) => self.buffer.extend_from_slice(&some[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // reset: closed with something of ours unread
                Err(_) => return Ok(None),
            }
        }
    }

    /// Waits until the other end has closed; gives how long that took.
    pub fn closed(&mut self) -> Duration {
        let begun = Instant::now();
        while let Some(answer) = self.answer() {
            assert!(begun.elapsed() < ANSWER_MAX, "still answering: {answer:?}");
        }
        begun.elapsed()
    }
}

/// The first whole answer and where it ends.
fn parse(bytes: &[u8]) -> Option<(Answer, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head:?}"));
    let mut answer = Answer { status, head, body: Vec::new() };
    let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
    answer.body = bytes.get(end..end + length)?.to_vec();
    Some((answer, end + length))
}

/// A POST with a body of declared length.
pub fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let mut request =
        format!("POST {path} HTTP/1.1\r\nhost: door\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    request.extend_from_slice(body);
    request
}

/// A POST in chunks of this size.
pub fn post_chunked(path: &str, body: &[u8], size: usize) -> Vec<u8> {
    let mut request = format!("POST {path} HTTP/1.1\r\nhost: door\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(size) {
        request.extend(format!("{:x};note=\"of a client's\"\r\n", chunk.len()).into_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\nx-trailer: 1\r\n\r\n");
    request
}
