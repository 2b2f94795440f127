//! The streaming transports from the outside: an answer without an end, and requests beside it. Written from the protocol and sharing
//! nothing with the hub.

use super::http::{request_text, try_request};
use super::websocket::{Dial, Head, Stream};
use super::{Codec, within};
use serde_json::{Value, json};

/// How a client reaches the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    HttpStream,
    Sse,
}

/// A transport and a codec that it can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    pub transport: Transport,
    pub codec: Codec,
}

impl Via {
    pub const HTTP_STREAM_JSON: Self = Self { transport: Transport::HttpStream, codec: Codec::Json };
    pub const HTTP_STREAM_PROTOBUF: Self = Self { transport: Transport::HttpStream, codec: Codec::Protobuf };
    pub const SSE: Self = Self { transport: Transport::Sse, codec: Codec::Json };
}

impl From<Codec> for Via {
    fn from(codec: Codec) -> Self {
        Self { transport: Transport::WebSocket, codec }
    }
}

/// How the bytes of an endless answer are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    Lines,
    Delimited,
    Events,
}

/// An answer that has begun.
pub struct Endless {
    pub stream: Stream,
    pub head: Head,
    received: Vec<u8>,
    /// As proxies pass answers on: chunks that are not taken apart yet. `None`: it comes as it is.
    chunks: Option<Vec<u8>>,
    pieces: Pieces,
}

impl Endless {
    /// Sends a request and reads the head of its answer.
    pub async fn open(dial: &Dial, pieces: Pieces, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut stream = dial.stream().await.unwrap_or_else(|error| panic!("cannot reach {}: {error}", dial.to));
        let _ = within("send a request", stream.write_all(&request_text(dial.to, method, path, headers, body))).await;
        let mut received = Vec::new();
        let end = within("read the head of an answer", async {
            loop {
                if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                    break end + 4;
                }
                assert_ne!(stream.read(&mut received).await.unwrap_or(0), 0, "the hub hung up; it said {:?}", String::from_utf8_lossy(&received));
            }
        })
        .await;
        let head = Head::parse(&received[..end]);
        received.drain(..end);
        let is_chunked = head.header("transfer-encoding").is_some_and(|encoding| encoding.eq_ignore_ascii_case("chunked"));
        let mut answer = Self { stream, head, received, chunks: is_chunked.then(Vec::new), pieces };
        if let Some(chunks) = &mut answer.chunks {
            chunks.append(&mut answer.received);
            answer.join_chunks();
        }
        answer
    }

    /// Takes the chunks that have come in whole.
    fn join_chunks(&mut self) {
        let Some(chunks) = &mut self.chunks else { return };
        while let Some(end) = chunks.windows(2).position(|window| window == b"\r\n") {
            let size = std::str::from_utf8(&chunks[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok()).expect("a chunk's size");
            let Some(chunk) = chunks.get(end + 2..end + 2 + size + 2) else { return };
            self.received.extend_from_slice(&chunk[..size]);
            chunks.drain(..end + 2 + size + 2);
        }
    }

    /// The next piece without what is around it; `None` at the end.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(piece) = self.take() {
                return Some(piece);
            }
            let Self { stream, received, chunks, .. } = self;
            let read = stream.read(chunks.as_mut().unwrap_or(received)).await;
            self.join_chunks();
            if !matches!(read, Ok(1..)) {
                assert!(self.received.is_empty(), "the answer ended within a piece: {:?}", String::from_utf8_lossy(&self.received));
                return None;
            }
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let (piece, end) = match self.pieces {
            Pieces::Lines => {
                let end = self.received.iter().position(|&byte| byte == b'\n')?;
                (self.received[..end].to_vec(), end + 1)
            }
            Pieces::Delimited => {
                let (mut length, mut at) = (0_usize, 0);
                loop {
                    let byte = *self.received.get(at)?;
                    length |= usize::from(byte & 0x7f) << (7 * at);
                    at += 1;
                    if byte < 0x80 {
                        break;
                    }
                }
                (self.received.get(..at + length)?.to_vec(), at + length)
            }
            Pieces::Events => {
                // The stream opens with an empty line.
                if let Some(rest) = self.received.strip_prefix(b"\r\n") {
                    self.received = rest.to_vec();
                }
                let end = self.received.windows(2).position(|window| window == b"\n\n")?;
                let event = self.received[..end].to_vec();
                let data = event.strip_prefix(b"data: ").unwrap_or_else(|| panic!("not an event: {:?}", String::from_utf8_lossy(&event)));
                assert!(!data.contains(&b'\n') && !data.contains(&b'\r'), "an event is one line");
                (data.to_vec(), end + 2)
            }
        };
        self.received.drain(..end);
        Some(piece)
    }
}

/// A client on an endless answer that says what it says in requests of its own.
pub struct Emulated {
    dial: Dial,
    via: Via,
    answer: Option<Endless>,
    /// What the connect reply called the session, and the node.
    pub address: Option<(String, String)>,
}

impl Emulated {
    pub fn new(dial: &Dial, via: Via) -> Self {
        Self { dial: dial.clone(), via, answer: None, address: None }
    }

    pub fn has_begun(&self) -> bool {
        self.answer.is_some()
    }

    /// The first thing that is said opens the answer.
    pub async fn begin(&mut self, commands: &[u8]) {
        let Via { transport, codec } = self.via;
        let headers: Vec<_> = self.dial.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = match (transport, codec) {
            (Transport::Sse, _) => {
                let path = format!("/connection/sse?cf_connect={}", escaped(commands));
                Endless::open(&self.dial, Pieces::Events, "GET", &path, &headers, b"").await
            }
            (_, codec) => {
                let (pieces, kind) = match codec {
                    Codec::Json => (Pieces::Lines, "application/json"),
                    Codec::Protobuf => (Pieces::Delimited, "application/octet-stream"),
                };
                let headers = [&headers[..], &[("Content-Type", kind)]].concat();
                Endless::open(&self.dial, pieces, "POST", "/connection/http_stream", &headers, commands).await
            }
        };
        assert_eq!(answer.head.status, 200, "{:?}", answer.head);
        self.answer = Some(answer);
    }

    /// Says more, by a request of its own. A hub that is gone meanwhile is found by the next read.
    pub async fn say(&self, commands: &[u8]) {
        let (session, node) = self.address.as_ref().expect("the address of the session is known");
        let (kind, body) = match self.via.codec {
            Codec::Json => {
                let data = std::str::from_utf8(commands).map(str::to_owned).unwrap_or_else(|_| String::from_utf8_lossy(commands).into_owned());
                ("application/json", json!({ "session": session, "node": node, "data": data }).to_string().into_bytes())
            }
            Codec::Protobuf => ("application/octet-stream", super::codec::emulation_request(node, session, commands)),
        };
        if let Some(answer) = try_request(&self.dial, "POST", "/emulation", &[("Content-Type", kind)], &body).await {
            assert_eq!(answer.status(), 204, "{}", answer.text());
        }
    }

    /// The messages of the next piece; `None` at the end.
    pub async fn read(&mut self) -> Option<Vec<Value>> {
        let piece = self.answer.as_mut()?.next().await?;
        Some(self.via.codec.decode(&piece))
    }

    /// `None` where nothing has been said yet.
    pub fn stream(self) -> Option<Stream> {
        self.answer.map(|answer| answer.stream)
    }
}

/// Percent-encoded, as in a query.
pub fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Runs each scenario on every transport in every codec that it carries.
#[macro_export]
macro_rules! on_all_transports {
    ($($scenario:ident),+ $(,)?) => {
        $(mod $scenario {
            use $crate::support::{Codec, Via};
            #[tokio::test]
            async fn json() {
                super::$scenario(Codec::Json.into()).await;
            }
            #[tokio::test]
            async fn protobuf() {
                super::$scenario(Codec::Protobuf.into()).await;
            }
            #[tokio::test]
            async fn http_stream_json() {
                super::$scenario(Via::HTTP_STREAM_JSON).await;
            }
            #[tokio::test]
            async fn http_stream_protobuf() {
                super::$scenario(Via::HTTP_STREAM_PROTOBUF).await;
            }
            #[tokio::test]
            async fn sse() {
                super::$scenario(Via::SSE).await;
            }
        })+
    };
}
