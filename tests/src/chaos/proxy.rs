//! A TCP proxy that delays, swallows, resets and cuts what passes between a client and a server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes that one read takes at most.
const CHUNK: usize = 64 * 1024;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// When an armed fault happens: once, on the first connection that comes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before a request that contains the text reaches the server.
    Request(&'static str),
    /// After such a request was passed on, before any byte of its reply reaches the client.
    Reply(&'static str),
    /// When so many bytes have gone one way over one connection.
    Bytes(Direction, usize),
}

/// What then happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset.
    Reset,
    /// Every connection is reset, and every new one until the proxy heals.
    Refuse,
    /// Nothing passes any more until the proxy heals; then what waited does.
    BlackHole,
}

/// What happens to everything that passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Weather {
    /// Each piece is this much late, in each direction.
    latency: Duration,
    /// Nothing passes and nothing closes, as when packets are dropped. What waits passes when it heals.
    black_hole: bool,
    /// New connections are reset.
    refuse: bool,
    /// Counts resets of all connections.
    resets: u64,
    /// Counts half-closes, by direction.
    closed: [u64; 2],
}

#[derive(Debug)]
struct State {
    weather: watch::Sender<Weather>,
    armed: Mutex<Option<(Moment, Fault)>>,
    faults: watch::Sender<u64>,
}

/// A running proxy. Dropping it closes its port and resets its connections.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on a free port of this machine and passes everything to `target`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("bind a fault proxy")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            weather: watch::Sender::new(Weather::default()),
            armed: Mutex::new(None),
            faults: watch::Sender::new(0),
        });
        let accepting = shared::task::spawn("fault proxy", accept(listener, target, Arc::clone(&state)));
        Ok(Self { address, state, accepting })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes each piece late by `latency`, in each direction.
    pub fn slow_down(&self, latency: Duration) {
        self.state.weather.send_modify(|weather| weather.latency = latency);
    }

    /// From now on nothing passes and nothing closes, on connections old and new.
    pub fn black_hole(&self) {
        self.state.weather.send_modify(|weather| weather.black_hole = true);
    }

    /// Resets every connection and every new one.
    pub fn refuse(&self) {
        self.state.weather.send_modify(|weather| weather.refuse = true);
        self.reset();
    }

    /// Ends latency, black hole and refusal; what waited in a black hole passes.
    pub fn heal(&self) {
        self.state.weather.send_modify(|weather| {
            weather.latency = Duration::ZERO;
            weather.black_hole = false;
            weather.refuse = false;
        });
    }

    /// Resets every open connection (RST); new ones are passed on.
    pub fn reset(&self) {
        self.state.weather.send_modify(|weather| weather.resets += 1);
    }

    /// Closes one direction of every open connection, as a peer that has said all it wants (FIN).
    pub fn half_close(&self, direction: Direction) {
        self.state.weather.send_modify(|weather| weather.closed[direction as usize] += 1);
    }

    /// Arms a fault, which replaces one that has not happened.
    pub fn arm(&self, moment: Moment, fault: Fault) {
        *self.state.armed.lock() = Some((moment, fault));
    }

    /// Waits until `count` armed faults have happened since the start.
    pub async fn faults(&self, count: u64) {
        // The sender lives as long as `self`.
        let _ = self.state.faults.subscribe().wait_for(|faults| *faults >= count).await;
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.refuse();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: Arc<State>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let state = Arc::clone(&state);
        shared::task::spawn("fault proxy connection", async move {
            // A connection that fails is what this is for; its ends notice.
            let _ = carry(client, target, &state).await;
        });
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr, state: &State) -> io::Result<()> {
    let mut weather = state.weather.subscribe();
    let now = *weather.borrow_and_update();
    if now.refuse {
        return client.set_zero_linger();
    }
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ended = {
        let (client_out, client_in) = client.split();
        let (server_out, server_in) = server.split();
        let line = Line { state, since: now, doomed: Mutex::new(None) };
        tokio::select! {
            both = async { tokio::try_join!(
                line.pump(Direction::ToServer, client_out, server_in),
                line.pump(Direction::ToClient, server_out, client_in),
            ) } => both.map(drop),
            _ = weather.wait_for(|weather| weather.resets != now.resets) => Err(reset()),
        }
    };
    if ended.is_err() {
        client.set_zero_linger()?;
        server.set_zero_linger()?;
    }
    ended
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// One connection.
struct Line<'a> {
    state: &'a State,
    /// The weather when it was opened.
    since: Weather,
    /// A request passed whose reply must not.
    doomed: Mutex<Option<Fault>>,
}

impl Line<'_> {
    /// Passes bytes one way until their sender closes, or fails when the connection is to be reset.
    async fn pump(
        &self,
        direction: Direction,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
    ) -> io::Result<()> {
        let mut weather = self.state.weather.subscribe();
        let place = direction as usize;
        let mut piece = vec![0; CHUNK];
        let mut passed = 0;
        // The end of the last piece, so that a text on the border of two is seen.
        let mut seen = Vec::new();
        loop {
            let read = tokio::select! {
                read = from.read(&mut piece) => read?,
                _ = weather.wait_for(|weather| weather.closed[place] != self.since.closed[place]) => 0,
            };
            let (allowed, fault) = self.judge(direction, &mut seen, &piece[..read], passed);
            to.write_all(&piece[..allowed]).await?;
            if let Some(fault) = fault {
                self.happen(fault)?;
            }
            // The sender of the weather lives as long as the connection.
            let now = weather.wait_for(|weather| !weather.black_hole).await.map(|now| *now);
            if let Ok(Weather { latency, .. }) = now
                && !latency.is_zero()
            {
                tokio::time::sleep(latency).await;
            }
            if read == 0 {
                return to.shutdown().await;
            }
            to.write_all(&piece[allowed..read]).await?;
            passed += read;
        }
    }

    /// How much of `piece` passes at once, and what happens then.
    fn judge(
        &self,
        direction: Direction,
        seen: &mut Vec<u8>,
        piece: &[u8],
        passed: usize,
    ) -> (usize, Option<Fault>) {
        if direction == Direction::ToClient
            && let Some(fault) = self.doomed.lock().take()
        {
            return (0, Some(fault));
        }
        let mut armed = self.state.armed.lock();
        match *armed {
            Some((Moment::Bytes(of, bytes), fault)) if of == direction && passed + piece.len() > bytes => {
                *armed = None;
                (bytes.saturating_sub(passed), Some(fault))
            }
            Some((Moment::Request(text), fault))
                if direction == Direction::ToServer && contains(seen, piece, text) =>
            {
                *armed = None;
                (0, Some(fault))
            }
            Some((Moment::Reply(text), fault))
                if direction == Direction::ToServer && contains(seen, piece, text) =>
            {
                *armed = None;
                *self.doomed.lock() = Some(fault);
                (0, None)
            }
            _ => (0, None),
        }
    }

    fn happen(&self, fault: Fault) -> io::Result<()> {
        self.state.weather.send_modify(|weather| match fault {
            Fault::Reset => {}
            Fault::BlackHole => weather.black_hole = true,
            Fault::Refuse => {
                weather.refuse = true;
                weather.resets += 1;
            }
        });
        self.state.faults.send_modify(|faults| *faults += 1);
        if fault == Fault::BlackHole { Ok(()) } else { Err(reset()) }
    }
}

/// Whether `text` stands in what has passed, of which `seen` keeps the end.
fn contains(seen: &mut Vec<u8>, piece: &[u8], text: &str) -> bool {
    seen.extend_from_slice(piece);
    let found = seen.windows(text.len()).any(|window| window == text.as_bytes());
    seen.drain(..seen.len().saturating_sub(text.len()));
    found
}
