//! A connection to a hub, as any client of the protocol has one: JSON over a WebSocket, one command at a time.
//!
//! Everything waits for a time that is known. What the hub says of its own accord while an answer is waited for is kept, up to a number.

use crate::cli::target::{Target, Trust, tls_config};
use crate::cli::wire::{self, Head, WireError};
use anyhow::Context;
use rustls::ClientConfig;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

/// For TCP, TLS and the handshake together.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// For one answer. The hub gives commands 20 s, and says so when they take longer.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How much later than announced a ping may come.
const PING_DELAY_MAX: Duration = Duration::from_secs(10);

/// Bytes of a refusal that are read, and characters of it that are shown.
const REFUSAL_BYTES_MAX: u64 = 4_096;
const REFUSAL_SHOWN_MAX: usize = 300;

/// Pushes that are kept while an answer is waited for; the oldest go first.
const PUSHES_MAX: usize = 4_096;

/// Who comes to steer says so, and gets as far as its token during maintenance.
const FOR_ADMIN: &str = "for=admin";

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no hub answers at {at}; does it run, and is this its address?")]
    Unreachable { at: String, source: io::Error },
    #[error("no hub answers at {at} within {} s; does it run, and is this its address?", CONNECT_MAX.as_secs())]
    Slow { at: String },
    #[error("{at} cannot be trusted")]
    Untrusted { at: String, source: io::Error },
    #[error("the hub takes nobody now (status 503): {text}")]
    Unavailable { text: String },
    #[error("{at} does not let this in (status {status}): {text}")]
    Turned { at: String, status: u16, text: String },
    #[error("what answers at {at} is no hub")]
    NotAHub { at: String, source: WireError },
    /// 3500, as `protocol::codes` has it: the hub says no more of a token.
    #[error("the hub does not take the token: it has expired, was revoked, or is not signed with this hub's key")]
    BadToken,
    #[error("the hub closed the connection: {reason} ({code})")]
    Closed { code: u16, reason: String },
    #[error("{message} ({code})")]
    Refused { code: u32, message: String },
    #[error("the connection to the hub was lost")]
    Lost {
        #[source]
        source: Option<io::Error>,
    },
    #[error("the hub did not answer within {} s", ANSWER_MAX.as_secs())]
    Silent,
    #[error("the hub's answer cannot be understood: {0}")]
    Wire(WireError),
}

impl ClientError {
    /// Whether another try may get further.
    pub fn is_passing(&self) -> bool {
        match self {
            // Those after which a client is not to come back (the protocol's ranges).
            Self::Closed { code, .. } => !matches!(code, 3_500..=3_999 | 4_500..=4_999),
            Self::Unreachable { .. } | Self::Slow { .. } | Self::Unavailable { .. } | Self::Lost { .. } | Self::Silent => true,
            Self::Turned { status, .. } => *status == 429,
            Self::NotAHub { .. } | Self::Untrusted { .. } | Self::BadToken | Self::Refused { .. } | Self::Wire(_) => false,
        }
    }
}

impl From<WireError> for ClientError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Closed { code: 3_500, .. } => Self::BadToken,
            WireError::Closed { code, reason } => Self::Closed { code, reason },
            other => Self::Wire(other),
        }
    }
}

fn lost(source: io::Error) -> ClientError {
    ClientError::Lost { source: Some(source) }
}

trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// Where a hub is, and how to know that it is the one.
pub struct Way {
    target: Target,
    tls: Option<Arc<ClientConfig>>,
}

impl Way {
    pub fn new(target: &Target, trust: Trust<'_>) -> anyhow::Result<Self> {
        let tls = if target.is_secure { Some(tls_config(trust).context("cannot speak TLS")?) } else { None };
        Ok(Self { target: target.with_query(FOR_ADMIN), tls })
    }

    pub async fn connect(&self) -> Result<Client, ClientError> {
        let at = || self.target.host.clone();
        match timeout(CONNECT_MAX, self.upgrade()).await {
            Err(_) => Err(ClientError::Slow { at: at() }),
            Ok(Err(source)) if source.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => Err(ClientError::Untrusted { at: at(), source }),
            Ok(Err(source)) => Err(ClientError::Unreachable { at: at(), source }),
            Ok(Ok(upgraded)) => upgraded,
        }
    }

    /// The outer error: nobody is there, or goes away.
    async fn upgrade(&self) -> io::Result<Result<Client, ClientError>> {
        let tcp = TcpStream::connect(self.target.address).await?;
        let mut io: Box<dyn Io> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = self.target.server_name().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{error:#}")))?;
                Box::new(TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?)
            }
        };
        io.write_all(&wire::upgrade_request(&self.target.host, &self.target.path_for(""), None)).await?;
        let not_a_hub = |source| ClientError::NotAHub { at: self.target.host.clone(), source };
        let mut incoming = Vec::new();
        let head = loop {
            if io.read_buf(&mut incoming).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match Head::read(&incoming) {
                Ok(None) => {}
                Ok(Some(head)) => break head,
                Err(error) => return Ok(Err(not_a_hub(error))),
            }
        };
        match head.expect_upgrade() {
            Ok(()) => {
                incoming.drain(..head.len);
                Ok(Ok(Client { io, incoming, messages: VecDeque::new(), pushes: VecDeque::new(), last_id: 0, silence_max: ANSWER_MAX }))
            }
            Err(WireError::Status { status, .. }) => {
                let mut body = incoming.split_off(head.len);
                // Closed behind the answer; what does not come is not shown.
                let _ = io.take(REFUSAL_BYTES_MAX).read_to_end(&mut body).await;
                let text: String = String::from_utf8_lossy(&body).trim().chars().take(REFUSAL_SHOWN_MAX).collect();
                Ok(Err(match status {
                    503 => ClientError::Unavailable { text },
                    _ => ClientError::Turned { at: self.target.host.clone(), status, text },
                }))
            }
            Err(error) => Ok(Err(not_a_hub(error))),
        }
    }
}

pub struct Client {
    io: Box<dyn Io>,
    /// Bytes that have come and are no whole frame yet.
    incoming: Vec<u8>,
    /// Messages of a frame that have not been looked at.
    messages: VecDeque<Value>,
    /// What was said while an answer was waited for.
    pushes: VecDeque<Value>,
    last_id: u32,
    silence_max: Duration,
}

impl Client {
    /// Says who this is. How long the token is good for, if it ends.
    pub async fn introduce(&mut self, token: &str) -> Result<Option<Duration>, ClientError> {
        let connected = self.call("connect", json!({ "token": token, "name": "aether admin" })).await?;
        if let Some(ping) = connected["ping"].as_u64().filter(|ping| *ping > 0) {
            self.silence_max = Duration::from_secs(ping) + PING_DELAY_MAX;
        }
        Ok(ttl(&connected))
    }

    /// Shows a newer token, before the time of the one before is over.
    pub async fn refresh(&mut self, token: &str) -> Result<Option<Duration>, ClientError> {
        Ok(ttl(&self.call("refresh", json!({ "token": token })).await?))
    }

    /// The result of an operator's command.
    pub async fn command(&mut self, name: &str, arguments: Value) -> Result<Value, ClientError> {
        Ok(self.call("rpc", json!({ "method": name, "data": arguments })).await?["data"].take())
    }

    /// One command of the protocol and its result.
    pub async fn call(&mut self, command: &str, request: Value) -> Result<Value, ClientError> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(wire::OP_TEXT, json!({ "id": id, command: request }).to_string().as_bytes()).await?;
        let deadline = Instant::now() + ANSWER_MAX;
        loop {
            let mut message = self.message(deadline).await?.ok_or(ClientError::Silent)?;
            if message["id"].as_u64() == Some(u64::from(id)) {
                let error = message["error"].take();
                return match error["code"].as_u64() {
                    None => Ok(message[command].take()),
                    Some(code) => Err(ClientError::Refused {
                        code: u32::try_from(code).unwrap_or(u32::MAX),
                        message: error["message"].as_str().unwrap_or_default().to_string(),
                    }),
                };
            }
            if self.pushes.len() >= PUSHES_MAX {
                self.pushes.pop_front();
            }
            self.pushes.push_back(message);
        }
    }

    /// What the hub says next of its own accord; `None` at the deadline.
    pub async fn push(&mut self, deadline: Option<Instant>) -> Result<Option<Value>, ClientError> {
        match self.pushes.pop_front() {
            Some(kept) => Ok(Some(kept)),
            // Without a deadline the hub's pings are waited for, and with them whatever else it has to say.
            None => self.message(deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600))).await,
        }
    }

    /// The next message that says something. Pings are answered; a hub that sends none any more is gone.
    async fn message(&mut self, deadline: Instant) -> Result<Option<Value>, ClientError> {
        let mut heard = Instant::now();
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(Some(message));
            }
            if let Some(frame) = wire::next_frame(&self.incoming, 0)? {
                let payload = self.incoming[frame.start..frame.end].to_vec();
                self.incoming.drain(..frame.end);
                match frame.opcode {
                    wire::OP_TEXT => self.messages_of(&payload).await?,
                    wire::OP_PING => self.send(wire::OP_PONG, &payload).await?,
                    wire::OP_PONG => {}
                    wire::OP_CLOSE => return Err(wire::close_reason(&payload).into()),
                    _ => return Err(WireError::Frame.into()),
                }
                heard = Instant::now();
                continue;
            }
            let silent = heard + self.silence_max;
            match tokio::time::timeout_at(deadline.min(silent), self.io.read_buf(&mut self.incoming)).await {
                Ok(Ok(0)) => return Err(ClientError::Lost { source: None }),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(lost(error)),
                Err(_) if silent < deadline => return Err(ClientError::Lost { source: Some(io::ErrorKind::TimedOut.into()) }),
                Err(_) => return Ok(None),
            }
        }
    }

    async fn messages_of(&mut self, frame: &[u8]) -> Result<(), ClientError> {
        for line in frame.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if line == b"{}" {
                self.send(wire::OP_TEXT, b"{}").await?;
                continue;
            }
            let message = serde_json::from_slice(line).map_err(|_| WireError::Message { start: "it is not JSON".to_string() })?;
            self.messages.push_back(message);
        }
        Ok(())
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<(), ClientError> {
        let mut frame = Vec::with_capacity(payload.len() + 14);
        wire::put_frame(&mut frame, opcode, payload);
        match timeout(ANSWER_MAX, self.io.write_all(&frame)).await {
            Ok(written) => written.map_err(lost),
            Err(_) => Err(ClientError::Silent),
        }
    }

    /// Says goodbye. A hub that does not hear it notices all the same.
    pub async fn leave(mut self) {
        if self.send(wire::OP_CLOSE, &1_000u16.to_be_bytes()).await.is_ok() {
            let _ = timeout(Duration::from_secs(1), self.io.shutdown()).await;
        }
    }
}

fn ttl(result: &Value) -> Option<Duration> {
    result["ttl"].as_u64().filter(|ttl| *ttl > 0).map(Duration::from_secs)
}
