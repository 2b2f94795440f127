//! The least that a WebSocket fan-out server can do: the physical limit beside which `make bench` sets Aether.
//!
//! `bench-bare PORT THREADS`. One epoll loop a thread, all listening on one port (SO_REUSEPORT). `GET /ws?topic=T` subscribes, `GET /pub`
//! publishes text frames `TOPIC\nPAYLOAD`. A publication is framed once; what one turn of the loop brought for a topic goes to each of its
//! subscribers by one write(2).
//!
//! Deliberately absent: sessions, a protocol, history, pings, limits worth the name, TLS, metrics. It is no server for anybody.

mod handshake;
mod system;

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use system::{Epoll, Socket};

/// Bytes that may wait for one subscriber; beyond it, it is dropped.
const BACKLOG_BYTES_MAX: usize = 16 << 20;
/// What one read takes, and the longest request head or frame.
const BUFFER_BYTES: usize = 256 << 10;
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Epoll's names of what is no connection.
const LISTENER: u64 = u64::MAX;
const MAILBOX: u64 = u64::MAX - 1;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u16>());
    let (Some(Ok(port)), Some(Ok(threads @ 1..=256)), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        eprintln!("usage: bench-bare PORT THREADS");
        return ExitCode::FAILURE;
    };
    if let Err(error) = run(port, usize::from(threads)) {
        eprintln!("bench-bare: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run(port: u16, threads: usize) -> std::io::Result<()> {
    system::raise_descriptor_limit()?;
    let mailboxes: Arc<Vec<Mailbox>> = Arc::new((0..threads).map(|_| Mailbox::new()).collect::<Result<_, _>>()?);
    let loops: Vec<Loop> = (0..threads).map(|me| Loop::new(me, port, Arc::clone(&mailboxes))).collect::<Result<_, _>>()?;
    let running: Vec<_> = loops.into_iter().map(|own| std::thread::spawn(move || own.run())).collect();
    for thread in running {
        thread.join().unwrap_or_else(|_| Err(std::io::Error::other("a loop panicked")))?;
    }
    Ok(())
}

/// Frames from the other threads.
struct Mailbox {
    frames: Mutex<Vec<(String, Arc<[u8]>)>>,
    bell: Socket,
}

impl Mailbox {
    fn new() -> std::io::Result<Self> {
        Ok(Self { frames: Mutex::default(), bell: Socket::bell()? })
    }
}

#[derive(Default)]
struct Topic {
    subscribers: Vec<RawFd>,
    /// Frames of this turn.
    batch: Vec<u8>,
}

enum Role {
    Requesting,
    Subscriber { topic: usize },
    Publisher,
}

struct Connection {
    socket: Socket,
    role: Role,
    partial: Vec<u8>,
    backlog: Vec<u8>,
}

struct Loop {
    me: usize,
    epoll: Epoll,
    listener: Socket,
    mailboxes: Arc<Vec<Mailbox>>,
    /// By descriptor.
    connections: Vec<Option<Connection>>,
    names: HashMap<String, usize>,
    topics: Vec<Topic>,
    /// Topics with a batch.
    changed: Vec<usize>,
    buffer: Vec<u8>,
}

impl Loop {
    fn new(me: usize, port: u16, mailboxes: Arc<Vec<Mailbox>>) -> std::io::Result<Self> {
        let (epoll, listener) = (Epoll::new()?, Socket::listen(port)?);
        epoll.add(&listener, LISTENER, false)?;
        epoll.add(&mailboxes[me].bell, MAILBOX, false)?;
        let (names, topics, changed) = Default::default();
        Ok(Self { me, epoll, listener, mailboxes, connections: Vec::new(), names, topics, changed, buffer: vec![0; BUFFER_BYTES] })
    }

    fn run(mut self) -> std::io::Result<()> {
        loop {
            for index in 0..self.epoll.wait()? {
                let (name, readable, writable) = self.epoll.ready(index);
                match name {
                    LISTENER => self.accept()?,
                    MAILBOX => self.collect_mail(),
                    name => {
                        let descriptor = name as RawFd;
                        let fine = (!writable || self.flush_backlog(descriptor)) && (!readable || self.receive(descriptor));
                        if !fine {
                            self.drop_connection(descriptor);
                        }
                    }
                }
            }
            self.fan_out();
        }
    }

    fn accept(&mut self) -> std::io::Result<()> {
        while let Some(socket) = self.listener.accept()? {
            let descriptor = socket.descriptor();
            self.epoll.add(&socket, descriptor as u64, false)?;
            let slot = descriptor as usize;
            if self.connections.len() <= slot {
                self.connections.resize_with(slot + 1, || None);
            }
            self.connections[slot] = Some(Connection { socket, role: Role::Requesting, partial: Vec::new(), backlog: Vec::new() });
        }
        Ok(())
    }

    fn collect_mail(&mut self) {
        let mailboxes = Arc::clone(&self.mailboxes);
        mailboxes[self.me].bell.silence();
        let frames = std::mem::take(&mut *mailboxes[self.me].frames.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        for (topic, frame) in frames {
            self.append(&topic, &frame);
        }
    }

    /// Reads once; false when the connection is to be dropped.
    fn receive(&mut self, descriptor: RawFd) -> bool {
        let Some(connection) = &mut self.connections[descriptor as usize] else { return true };
        let Some(count) = connection.socket.read(&mut self.buffer) else { return false };
        if count == 0 {
            return true;
        }
        if let Role::Subscriber { .. } = connection.role {
            // Whatever subscribers say (a close, a pong) is the end or nothing.
            return self.buffer[0] & 0x0f != 8;
        }
        if connection.partial.len() + count > MESSAGE_BYTES_MAX {
            return false;
        }
        let mut bytes = std::mem::take(&mut connection.partial);
        bytes.extend_from_slice(&self.buffer[..count]);
        let used = match connection.role {
            Role::Requesting => self.request(descriptor, &bytes),
            _ => self.publications(&mut bytes),
        };
        let Some(used) = used else { return false };
        if used < bytes.len()
            && let Some(connection) = &mut self.connections[descriptor as usize]
        {
            connection.partial.extend_from_slice(&bytes[used..]);
        }
        true
    }

    /// The upgrade; how many bytes it took, or `None` to drop the connection.
    fn request(&mut self, descriptor: RawFd, bytes: &[u8]) -> Option<usize> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Some(0) };
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let path = head.strip_prefix("GET ")?.split(' ').next()?;
        let key = head.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))?.1.trim();
        let role = match path.strip_prefix("/ws?topic=") {
            Some(topic) => Role::Subscriber { topic: self.topic(topic) },
            None if path == "/pub" => Role::Publisher,
            None => return None,
        };
        if let Role::Subscriber { topic } = role {
            self.topics[topic].subscribers.push(descriptor);
        }
        let connection = self.connections[descriptor as usize].as_mut()?;
        connection.role = role;
        let answer = handshake::answer(key);
        (connection.socket.write(answer.as_bytes())? == answer.len()).then_some(end + 4)
    }

    fn topic(&mut self, name: &str) -> usize {
        if let Some(&index) = self.names.get(name) {
            return index;
        }
        self.topics.push(Topic::default());
        self.names.insert(name.to_string(), self.topics.len() - 1);
        self.topics.len() - 1
    }

    /// Takes whole frames of a publisher; how many bytes that were, or `None` to drop the connection.
    fn publications(&mut self, bytes: &mut [u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let (start, end, mask) = match bytes[at..] {
                [first, second, ..] if first & 0x0f == 8 || second & 0x80 == 0 => return None,
                [_, 0xfe, high, low, a, b, c, d, ..] => (at + 8, at + 8 + usize::from(u16::from_be_bytes([high, low])), [a, b, c, d]),
                [_, 0xff, ..] => return None,
                [_, second @ 0x80..=0xfd, a, b, c, d, ..] => (at + 6, at + 6 + usize::from(second & 0x7f), [a, b, c, d]),
                _ => return Some(at),
            };
            if end > bytes.len() {
                return Some(at);
            }
            for (index, byte) in bytes[start..end].iter_mut().enumerate() {
                *byte ^= mask[index & 3];
            }
            let line = bytes[start..end].iter().position(|&byte| byte == b'\n')?;
            let topic = std::str::from_utf8(&bytes[start..start + line]).ok()?;
            let frame = text_frame(&bytes[start + line + 1..end]);
            self.append(topic, &frame);
            if self.mailboxes.len() > 1 {
                let frame: Arc<[u8]> = frame.into();
                for mailbox in self.mailboxes.iter().enumerate().filter(|(index, _)| *index != self.me).map(|(_, mailbox)| mailbox) {
                    mailbox.frames.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((topic.to_string(), Arc::clone(&frame)));
                    mailbox.bell.ring();
                }
            }
            at = end;
        }
    }

    fn append(&mut self, name: &str, frame: &[u8]) {
        if let Some(&index) = self.names.get(name) {
            let topic = &mut self.topics[index];
            if topic.batch.is_empty() {
                self.changed.push(index);
            }
            topic.batch.extend_from_slice(frame);
        }
    }

    /// One write for each subscriber of each topic that this turn brought something for.
    fn fan_out(&mut self) {
        while let Some(index) = self.changed.pop() {
            let batch = std::mem::take(&mut self.topics[index].batch);
            let mut slow = Vec::new();
            for &descriptor in &self.topics[index].subscribers {
                let Some(connection) = &mut self.connections[descriptor as usize] else { continue };
                let written = if connection.backlog.is_empty() { connection.socket.write(&batch) } else { Some(0) };
                match written {
                    Some(count) if count == batch.len() => {}
                    Some(count) if connection.backlog.len() + batch.len() <= BACKLOG_BYTES_MAX => {
                        if connection.backlog.is_empty() {
                            let _ = self.epoll.change(&connection.socket, descriptor as u64, true);
                        }
                        connection.backlog.extend_from_slice(&batch[count..]);
                    }
                    _ => slow.push(descriptor),
                }
            }
            slow.into_iter().for_each(|descriptor| self.drop_connection(descriptor));
            let topic = &mut self.topics[index];
            topic.batch = batch;
            topic.batch.clear();
        }
    }

    fn flush_backlog(&mut self, descriptor: RawFd) -> bool {
        let Some(connection) = &mut self.connections[descriptor as usize] else { return true };
        let Some(count) = connection.socket.write(&connection.backlog) else { return false };
        connection.backlog.drain(..count);
        if connection.backlog.is_empty() {
            connection.backlog = Vec::new();
            return self.epoll.change(&connection.socket, descriptor as u64, false).is_ok();
        }
        true
    }

    fn drop_connection(&mut self, descriptor: RawFd) {
        if let Some(Connection { role: Role::Subscriber { topic }, .. }) = self.connections[descriptor as usize].take() {
            let subscribers = &mut self.topics[topic].subscribers;
            if let Some(place) = subscribers.iter().position(|&other| other == descriptor) {
                subscribers.swap_remove(place);
            }
        }
    }
}

/// An unmasked text frame (RFC 6455, 5.2).
fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 4);
    frame.push(0x81);
    match payload.len() {
        len @ 0..126 => frame.push(len as u8),
        len => {
            frame.push(126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}
