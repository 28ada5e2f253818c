//! A wire between Highwater and a database: bytes go through as they are, until it is told to break.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Time between two bytes of a drip.
pub const DRIP: Duration = Duration::from_millis(50);
/// Bytes that are carried at once.
const CARRIED_BYTES: usize = 16 << 10;

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The client is sent a RST.
    Reset,
    /// The connection is closed in order, in the middle of what was said.
    Close,
    /// Nothing more goes through, and nothing is closed.
    Stall,
    /// The server's side is closed; the client's stays open, and nobody reads it.
    HalfOpen,
    /// What the server says comes byte by byte.
    Drip,
}

/// Whose bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Server,
    Client,
}

/// One connection's fate: after so many bytes of that side it breaks.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    pub how: Break,
    pub from: From,
    pub after_bytes: u64,
}

type Fates = Box<dyn FnMut(u64) -> Option<Fate> + Send>;

/// What went through, and what befell it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Connections, or calls.
    pub all: u64,
    pub faults: BTreeMap<String, u64>,
}

impl Tally {
    /// How many faults there were.
    pub fn faulty(&self) -> u64 {
        self.faults.values().sum()
    }
}

struct Inner {
    peer: SocketAddr,
    fates: Mutex<Fates>,
    tally: Mutex<Tally>,
}

/// A running wire; it ends, with every connection over it, when dropped.
pub struct Wire {
    pub port: u16,
    inner: Arc<Inner>,
    server: JoinSet<()>,
}

impl Wire {
    /// Opens a wire before a server on this machine.
    pub async fn open(peer_port: u16) -> Self {
        let peer = SocketAddr::from(([127, 0, 0, 1], peer_port));
        let inner = Arc::new(Inner { peer, fates: Mutex::new(Box::new(|_| None)), tally: Mutex::default() });
        let mut wire = Self { port: 0, inner, server: JoinSet::new() };
        wire.listen().await;
        wire
    }

    /// Connections are accepted, at the port that was used before.
    pub async fn listen(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        let inner = self.inner.clone();
        self.server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let fate = inner.fate();
                connections.spawn(carry(client, inner.peer, fate));
                while connections.try_join_next().is_some() {}
            }
        });
    }

    /// Nobody listens any more: new connections are refused, and those that there are are gone.
    pub async fn refuse(&mut self) {
        self.server.shutdown().await;
    }

    /// From now on the fate of the n-th connection (from 0) is this.
    pub fn decide(&self, fates: impl FnMut(u64) -> Option<Fate> + Send + 'static) {
        *self.inner.fates.lock().unwrap() = Box::new(fates);
        *self.inner.tally.lock().unwrap() = Tally::default();
    }

    /// Connections that are opened from now on do not break.
    pub fn heal(&self) {
        self.decide(|_| None);
    }

    /// What went through since the last decision.
    pub fn tally(&self) -> Tally {
        self.inner.tally.lock().unwrap().clone()
    }
}

impl Inner {
    fn fate(&self) -> Option<Fate> {
        let mut tally = self.tally.lock().unwrap();
        let fate = (self.fates.lock().unwrap())(tally.all);
        tally.all += 1;
        if let Some(fate) = fate {
            *tally.faults.entry(format!("{:?}", fate.how)).or_default() += 1;
        }
        fate
    }
}

/// Resets the client's connection.
pub fn reset(client: TcpStream) {
    client.set_zero_linger().unwrap();
    drop(client);
}

async fn carry(client: TcpStream, peer: SocketAddr, fate: Option<Fate>) {
    let Ok(server) = TcpStream::connect(peer).await else { return reset(client) };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap_or_default();
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let limit = |from| fate.filter(|fate| fate.from == from).map(|fate| fate.after_bytes);
    let broken = tokio::select! {
        broken = pass(&mut from_client, &mut to_server, limit(From::Client)) => broken,
        broken = pass(&mut from_server, &mut to_client, limit(From::Server)) => broken,
    };
    let client = from_client.reunite(to_client).unwrap();
    let (Some(fate), true) = (fate, broken) else { return };
    match fate.how {
        Break::Reset => reset(client),
        Break::Close => {}
        Break::Stall => {
            let _kept = (client, from_server, to_server);
            std::future::pending::<()>().await;
        }
        Break::HalfOpen => {
            drop((from_server, to_server));
            let _kept = client;
            std::future::pending::<()>().await;
        }
        Break::Drip => {
            let (mut from_client, mut to_client) = client.into_split();
            tokio::select! {
                _ = pass(&mut from_client, &mut to_server, None) => {}
                () = drip(&mut from_server, &mut to_client) => {}
            }
        }
    }
}

/// Carries bytes until one side ends or `limit` of them went through; whether it was the limit.
async fn pass(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, limit: Option<u64>) -> bool {
    let mut left = limit;
    let mut bytes = vec![0; CARRIED_BYTES];
    loop {
        if left == Some(0) {
            return true;
        }
        let room = left.map_or(CARRIED_BYTES, |left| CARRIED_BYTES.min(usize::try_from(left).unwrap_or(CARRIED_BYTES)));
        match from.read(&mut bytes[..room]).await {
            Ok(0) | Err(_) => return false,
            Ok(count) => {
                if to.write_all(&bytes[..count]).await.is_err() {
                    return false;
                }
                left = left.map(|left| left - count as u64);
            }
        }
    }
}

async fn drip(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) {
    let mut byte = [0; 1];
    while matches!(from.read(&mut byte).await, Ok(1)) && to.write_all(&byte).await.is_ok() {
        tokio::time::sleep(DRIP).await;
    }
}
