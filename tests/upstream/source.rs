//! A feed that counts: an event every few milliseconds, each with the next number as id and data, kept, so that a reader that comes back with
//! `Last-Event-ID` misses nothing. And it can be made to fail in every way we know, for as long as the test wants.

use crate::support::*;
use rand::prelude::*;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is wrong with it. All but the last two also end the connections that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    Fin,
    Rst,
    ResetInsteadOfAnswer,
    NoAnswer,
    HalfAnAnswer,
    NoHttp,
    Status500,
    Status503WithRetryAfter,
    Status429,
    Status401,
    Status204,
    Status404,
    Html,
    RedirectLoop,
    BrokenFraming,
    EndWithinChunk,
    LongLine,
    /// Connections stay and nothing comes: what a black hole looks like.
    Silence,
    /// Comments come, and no event.
    CommentsOnly,
}

impl Fault {
    pub const ALL: [Self; 19] = [
        Self::Fin,
        Self::Rst,
        Self::ResetInsteadOfAnswer,
        Self::NoAnswer,
        Self::HalfAnAnswer,
        Self::NoHttp,
        Self::Status500,
        Self::Status503WithRetryAfter,
        Self::Status429,
        Self::Status401,
        Self::Status204,
        Self::Status404,
        Self::Html,
        Self::RedirectLoop,
        Self::BrokenFraming,
        Self::EndWithinChunk,
        Self::LongLine,
        Self::Silence,
        Self::CommentsOnly,
    ];

    /// The answer to a request while it lasts; `None`: an ordinary stream, in which the fault then shows.
    fn answer(self) -> Option<String> {
        let status = |line: &str, headers: &str| Some(format!("HTTP/1.1 {line}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"));
        match self {
            Self::NoHttp => Some("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_string()),
            Self::HalfAnAnswer => Some("HTTP/1.1 200 OK\r\nContent-Type: text/eve".to_string()),
            Self::Status500 => status("500 Internal Server Error", ""),
            Self::Status503WithRetryAfter => status("503 Service Unavailable", "Retry-After: 0\r\n"),
            Self::Status429 => status("429 Too Many Requests", ""),
            Self::Status401 => status("401 Unauthorized", ""),
            Self::Status204 => status("204 No Content", ""),
            Self::Status404 => status("404 Not Found", ""),
            Self::Html => status("200 OK", "Content-Type: text/html\r\n"),
            Self::RedirectLoop => status("302 Found", "Location: /events\r\n"),
            Self::Fin => Some(HEAD.to_string()),
            Self::BrokenFraming => Some(format!("{CHUNKED}xyz\r\n")),
            Self::EndWithinChunk => Some(format!("{CHUNKED}ff\r\n:")),
            Self::LongLine => Some(format!("{HEAD}data: {}", "x".repeat(20_000))),
            Self::Rst | Self::ResetInsteadOfAnswer | Self::NoAnswer | Self::Silence | Self::CommentsOnly => None,
        }
    }

    fn resets(self) -> bool {
        matches!(self, Self::Rst | Self::ResetInsteadOfAnswer)
    }
}

pub struct Source {
    pub address: SocketAddr,
    shared: Rc<Shared>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

struct Shared {
    /// The number of the latest event.
    count: watch::Sender<u64>,
    fault: watch::Sender<Option<Fault>>,
    /// Counts how often what was connected has been cut off.
    cuts: watch::Sender<u64>,
    has_ids: Cell<bool>,
    open: Cell<usize>,
    open_max: Cell<usize>,
    requests: Cell<usize>,
    /// Attempts that a fault answered, and those that met a feed that was well.
    failed: Cell<usize>,
    welcomed: Cell<usize>,
    of_loop: Cell<usize>,
}

impl Source {
    /// Begins to count at once.
    pub async fn start(every: Duration) -> Self {
        Self::serving(TcpListener::bind("127.0.0.1:0").await.unwrap(), every)
    }

    /// The same on a socket of another network.
    pub fn listening(listener: std::net::TcpListener, every: Duration) -> Self {
        listener.set_nonblocking(true).unwrap();
        Self::serving(TcpListener::from_std(listener).unwrap(), every)
    }

    fn serving(listener: TcpListener, every: Duration) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Rc::new(Shared {
            count: watch::Sender::new(0),
            fault: watch::Sender::new(None),
            cuts: watch::Sender::new(0),
            has_ids: Cell::new(true),
            open: Cell::default(),
            open_max: Cell::default(),
            requests: Cell::default(),
            failed: Cell::default(),
            welcomed: Cell::default(),
            of_loop: Cell::default(),
        });
        let (counting, serving) = (Rc::clone(&shared), Rc::clone(&shared));
        let counter = tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(every).await;
                counting.count.send_modify(|count| *count += 1);
            }
        });
        let server = tokio::task::spawn_local(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Rc::clone(&serving);
                tokio::task::spawn_local(async move {
                    shared.open.set(shared.open.get() + 1);
                    shared.open_max.set(shared.open_max.get().max(shared.open.get()));
                    // A reader that goes in the middle is no fault of the test.
                    let _ = serve(socket, &shared).await;
                    shared.open.set(shared.open.get() - 1);
                });
            }
        });
        Self { address, shared, tasks: vec![counter, server] }
    }

    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }
    pub fn break_with(&self, fault: Fault) {
        self.shared.fault.send_replace(Some(fault));
    }
    pub fn heal(&self) {
        self.shared.fault.send_replace(None);
    }
    /// Ends the connections that are there. New ones are welcome.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }
    /// From now on events have no ids, and nobody can resume.
    pub fn forget_ids(&self) {
        self.shared.has_ids.set(false);
    }
    pub fn count(&self) -> u64 {
        *self.shared.count.borrow()
    }
    pub fn open_connections(&self) -> usize {
        self.shared.open.get()
    }
    pub fn open_max(&self) -> usize {
        self.shared.open_max.get()
    }
    pub fn requests(&self) -> usize {
        self.shared.requests.get()
    }
    pub fn failed_requests(&self) -> usize {
        self.shared.failed.get()
    }
    pub fn welcomed_requests(&self) -> usize {
        self.shared.welcomed.get()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn serve(mut socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    // First of all: whoever is counted as open can be cut.
    let mut cuts = shared.cuts.subscribe();
    socket.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if socket.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let after = text.lines().find_map(|line| line.strip_prefix("last-event-id: ")?.parse::<u64>().ok());
    shared.requests.set(shared.requests.get() + 1);
    let mut faults = shared.fault.subscribe();
    let fault = *faults.borrow_and_update();
    if let Some(fault) = fault {
        // A reader follows a loop of redirects for eleven requests, and that is one attempt.
        let of_loop = shared.of_loop.get();
        shared.of_loop.set((of_loop + usize::from(fault == Fault::RedirectLoop)) % 11);
        if fault != Fault::RedirectLoop || of_loop == 0 {
            shared.failed.set(shared.failed.get() + 1);
        }
        if fault.resets() {
            return reset(&socket);
        }
        if let Some(answer) = fault.answer() {
            socket.write_all(answer.as_bytes()).await?;
            if fault == Fault::LongLine {
                faults.changed().await.map_err(std::io::Error::other)?;
            }
            return socket.shutdown().await;
        }
        if fault == Fault::NoAnswer {
            faults.changed().await.map_err(std::io::Error::other)?;
            return Ok(());
        }
    } else {
        shared.welcomed.set(shared.welcomed.get() + 1);
    }
    socket.write_all(HEAD.as_bytes()).await?;
    let mut counts = shared.count.subscribe();
    // Who names no id gets what is new.
    let mut next = after.unwrap_or(*counts.borrow()) + 1;
    let mut ignored = [0; 64];
    loop {
        let fault = *faults.borrow_and_update();
        match fault {
            Some(Fault::Silence | Fault::NoAnswer) => {
                tokio::select! {
                    _ = faults.changed() => continue,
                    read = socket.read(&mut ignored) => if read? == 0 { return Ok(()) },
                }
            }
            Some(Fault::CommentsOnly) => {
                socket.write_all(b":\n").await?;
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(10)) => {}
                    read = socket.read(&mut ignored) => if read? == 0 { return Ok(()) },
                }
                continue;
            }
            Some(fault) if fault.resets() => return reset(&socket),
            Some(Fault::LongLine) => {
                socket.write_all(format!("data: {}", "x".repeat(20_000)).as_bytes()).await?;
                return socket.shutdown().await;
            }
            Some(_) => return socket.shutdown().await,
            None => {}
        }
        let count = *counts.borrow_and_update();
        let mut events = String::new();
        while next <= count {
            let id = if shared.has_ids.get() { format!("id: {next}\n") } else { String::new() };
            events.push_str(&format!("{id}data: {next}\n\n"));
            next += 1;
        }
        socket.write_all(events.as_bytes()).await?;
        tokio::select! {
            _ = counts.changed() => {}
            _ = faults.changed() => {}
            _ = cuts.changed() => return socket.shutdown().await,
            read = socket.read(&mut ignored) => if read? == 0 { return Ok(()) },
        }
    }
}

fn reset(socket: &TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

pub fn any_fault(dice: &mut StdRng) -> Fault {
    Fault::ALL[dice.random_range(0..Fault::ALL.len())]
}
