//! WebSocket from the outside, frame by frame, so that a scenario can be as rude as it likes: raw bytes, wrong masks, half frames,
//! sockets that are cut by RST or never read.

use super::{DEADLINE, within};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};

/// How to reach the hub.
#[derive(Clone, Debug)]
pub struct Dial {
    pub to: SocketAddr,
    pub tls: bool,
    /// The address to come from, where a limit counts by address.
    pub from: Ipv4Addr,
    /// Bytes of the kernel's receive buffer, for clients that shall look slow soon.
    pub receive_buffer: Option<usize>,
    pub path: String,
    pub subprotocol: Option<String>,
    pub headers: Vec<(String, String)>,
}

impl Dial {
    pub fn new(to: SocketAddr) -> Self {
        Self {
            to,
            tls: false,
            from: Ipv4Addr::LOCALHOST,
            receive_buffer: None,
            path: "/connection/websocket".to_owned(),
            subprotocol: None,
            headers: Vec::new(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// TCP alone.
    pub async fn tcp(&self) -> io::Result<TcpStream> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(u32::try_from(bytes).unwrap_or(u32::MAX))?;
        }
        socket.bind(SocketAddr::new(IpAddr::V4(self.from), 0))?;
        let stream = tokio::time::timeout(DEADLINE, socket.connect(self.to)).await??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// TCP, and TLS where asked for.
    pub async fn stream(&self) -> io::Result<Stream> {
        let tcp = self.tcp().await?;
        if !self.tls {
            return Ok(Stream::Plain(tcp));
        }
        let connector = tokio_rustls::TlsConnector::from(trusting_everybody());
        let name = ServerName::try_from("localhost").expect("a host name");
        let tls = tokio::time::timeout(DEADLINE, connector.connect(name, tcp)).await??;
        Ok(Stream::Tls(Box::new(tls)))
    }

    /// The upgrade; the answer's head where the hub refuses.
    pub async fn websocket(&self) -> io::Result<Result<WebSocket, Head>> {
        let mut stream = self.stream().await?;
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            self.path, self.to
        );
        if let Some(subprotocol) = &self.subprotocol {
            request.push_str(&format!("Sec-WebSocket-Protocol: {subprotocol}\r\n"));
        }
        for (name, value) in &self.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut received = Vec::new();
        let end = loop {
            if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if tokio::time::timeout(DEADLINE, stream.read(&mut received)).await?? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head = Head::parse(&received[..end]);
        if head.status != 101 {
            return Ok(Err(head));
        }
        // RFC 6455, 1.3: the accept value that belongs to the sample key above.
        assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(head.header("sec-websocket-protocol"), self.subprotocol.as_deref(), "the subprotocol is echoed, or absent where none was offered");
        received.drain(..end);
        Ok(Ok(WebSocket { stream, received }))
    }
}

/// The development certificate is self-signed; what is tested here is the hub, not trust.
fn trusting_everybody() -> Arc<ClientConfig> {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};
    #[derive(Debug)]
    struct Anybody;
    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("the provider has the default versions");
    Arc::new(config.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth())
}

/// The head of an HTTP answer.
#[derive(Clone, Debug)]
pub struct Head {
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn parse(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no status line in {text:?}"));
        let headers =
            lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Self { status, headers }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    pub async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(into).await,
            Self::Tls(stream) => stream.read_buf(into).await,
        }
    }

    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Ends the connection by RST, as a crashed host or a middle box does.
    pub fn cut(self) {
        socket2::SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO)).expect("linger can be set on a TCP socket");
    }

    /// FIN, while still reading.
    pub fn half_close(&self) {
        // A peer that is gone already has closed its half, too.
        let _ = socket2::SockRef::from(self.tcp()).shutdown(std::net::Shutdown::Write);
    }
}

/// RFC 6455, 5.2.
pub mod opcode {
    pub const CONTINUATION: u8 = 0;
    pub const TEXT: u8 = 1;
    pub const BINARY: u8 = 2;
    pub const CLOSE: u8 = 8;
    pub const PING: u8 = 9;
    pub const PONG: u8 = 10;
}

#[derive(Debug)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// How the hub ended a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By a close frame.
    Closed { code: u16, reason: String },
    /// By the end of TCP alone.
    Dropped,
}

pub struct WebSocket {
    pub stream: Stream,
    received: Vec<u8>,
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as a client must send it: masked.
pub fn masked_frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first_byte];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

impl WebSocket {
    /// A whole message in one frame. A hub that closed in the meantime is found by the next read.
    pub async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let _ = within("send a frame", self.stream.write_all(&masked_frame(0x80 | opcode, payload))).await;
    }

    /// Bytes as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        within("send raw bytes", self.stream.write_all(bytes)).await
    }

    /// The next frame; `None` at the end of TCP.
    pub async fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            match self.stream.read(&mut self.received).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let [first, second, rest @ ..] = &self.received[..] else { return None };
        assert_eq!(first & 0x70, 0, "the hub sets no reserved bits");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        assert_eq!(first & 0x80, 0x80, "the hub sends whole messages");
        let (length, header) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
            length => (u64::from(length), 2),
        };
        let end = header + usize::try_from(length).expect("the hub's frames fit into memory");
        let payload = self.received.get(header..end)?.to_vec();
        let opcode = first & 0x0f;
        self.received.drain(..end);
        Some(Frame { opcode, payload })
    }

    /// Reads on until the hub ends the connection, answering its close frame.
    pub async fn ending(&mut self) -> Ending {
        within("be closed by the hub", async {
            while let Some(frame) = self.read().await {
                if frame.opcode == opcode::CLOSE {
                    self.send(opcode::CLOSE, &frame.payload).await;
                    return close_of(&frame.payload);
                }
            }
            Ending::Dropped
        })
        .await
    }
}

pub fn close_of(payload: &[u8]) -> Ending {
    let Some((code, reason)) = payload.split_first_chunk() else { return Ending::Closed { code: 1005, reason: String::new() } };
    Ending::Closed { code: u16::from_be_bytes(*code), reason: String::from_utf8(reason.to_vec()).expect("a close reason is UTF-8") }
}
