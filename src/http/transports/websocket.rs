//! The WebSocket transport: handshake (RFC 6455, 4.2), then the socket leaves HTTP and becomes a session's.
//!
//! The only file that knows the WebSocket types of the actix family; everything behind the handshake is ours.

use crate::auth::OriginRule;
use crate::clock::{Clock, Millis};
use crate::http::connection::Connection;
use crate::http::forwarded::TrustedProxies;
use crate::outbox::{Outbox, Socket};
use crate::protocol::centrifuge::Codec;
use crate::session::facts::{Peer, Transport, device};
use crate::session::worker::Worker;
use crate::session::{self, Source};
use crate::telemetry::emit;
use crate::telemetry::http::{HandshakeRefused, HandshakeVerdict};
use actix_codec::Framed;
use actix_http::{Request, RequestHead, h1};
use actix_web_actors::ws::HandshakeError;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// In the query of the URL: the client comes to steer. During maintenance it gets as far as its connect command, where its token is looked at;
/// all others are refused before. It says nothing of who the client is.
const FOR_ADMIN: &str = "for=admin";

/// What the transport needs to know of the configuration.
pub struct WebsocketSettings {
    /// The path that is upgraded; others are answered 404.
    pub path: String,
    pub is_disabled: bool,
    pub origins: OriginRule,
    /// Sessions on this node. 0: no limit.
    pub session_limit: usize,
    pub rate: Option<ConnectRate>,
    pub proxies: TrustedProxies,
}

/// Connections that may begin per second.
pub struct ConnectRate {
    per_second: u32,
    clock: Clock,
    window: Mutex<(Millis, u32)>,
}

impl ConnectRate {
    pub fn new(per_second: u32, clock: Clock) -> Self {
        Self { per_second, clock, window: Mutex::new((0, 0)) }
    }

    fn takes(&self) -> bool {
        let second = self.clock.now() / 1_000;
        let mut window = self.window.lock();
        if window.0 != second {
            *window = (second, 0);
        }
        window.1 += 1;
        window.1 <= self.per_second
    }
}

/// Why a handshake is answered otherwise than with 101.
struct Turned {
    status: &'static str,
    text: Cow<'static, str>,
    header: Cow<'static, str>,
    verdict: HandshakeVerdict,
}

/// Answers an upgrade request and, if it is good, starts the session.
pub async fn upgrade(worker: Rc<Worker>, settings: Arc<WebsocketSettings>, request: Request, framed: Framed<Connection, h1::Codec>) {
    let parts = framed.into_parts();
    let mut connection = parts.io;
    let address = settings.proxies.client(request.head().peer_addr, &request.head().headers);
    let judged = judge(&worker, &settings, request.head(), address).and_then(|accepted| match connection.belongs_to(address) {
        Ok(()) => Ok(accepted),
        Err(_) => Err(full()),
    });
    match judged {
        Ok(accepted) => {
            let peer = peer(request.head(), address, accepted.codec);
            drop(request);
            let (tcp, tls, ticket) = connection.into_parts();
            let (reader, writer) = tcp.into_split();
            let (source, socket) = match tls {
                None => (Source::Plain(reader), Socket::Plain(writer)),
                Some(mut tls) => {
                    // Plain bytes that the TLS layer holds already are asked for by the first read; no more than one record may wait.
                    tls.set_buffer_limit(None);
                    let tls = Rc::new(RefCell::new(tls));
                    (Source::Tls(reader, Rc::clone(&tls)), Socket::Tls(writer, tls))
                }
            };
            let outbox = Outbox::new(socket, ticket, accepted.codec, Rc::clone(&worker.outbox_limits), worker.clock.clone());
            outbox.send(&accepted.response);
            let read_ahead = if parts.read_buf.is_empty() { BytesMut::new() } else { BytesMut::from(&parts.read_buf[..]) };
            session::start(&worker, session::Connection { source, outbox, read_ahead, pings_by_frame: accepted.pings_by_frame, peer });
        }
        Err(Turned { status, text, header, verdict }) => {
            emit(HandshakeRefused { verdict });
            let answer = format!(
                "HTTP/1.1 {status}\r\n{header}content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            );
            // The reaper ends the connection of a client that does not take its answer.
            if connection.write_all(answer.as_bytes()).await.is_ok() {
                let _ = connection.shutdown().await;
            }
        }
    }
}

/// Who is at the other end.
fn peer(head: &RequestHead, address: IpAddr, codec: Codec) -> Peer {
    Peer {
        address,
        device: device(head.headers.get("user-agent").map(|value| value.as_bytes()).unwrap_or_default()),
        transport: Transport::Websocket,
        codec,
    }
}

fn full() -> Turned {
    Turned {
        status: "503 Service Unavailable",
        text: "the hub takes no more connections now\n".into(),
        header: Cow::Borrowed("retry-after: 1\r\n"),
        verdict: HandshakeVerdict::Full,
    }
}

/// A handshake that is accepted, with its answer.
struct Accepted {
    codec: Codec,
    pings_by_frame: bool,
    response: Bytes,
}

fn judge(worker: &Worker, settings: &WebsocketSettings, head: &RequestHead, address: IpAddr) -> Result<Accepted, Turned> {
    let turned = |status, text: &'static str, verdict| Turned { status, text: text.into(), header: "".into(), verdict };
    if settings.is_disabled || head.uri.path() != settings.path {
        return Err(turned("404 Not Found", "there is no such endpoint\n", HandshakeVerdict::Path));
    }
    if worker.blocks.has_address(address) {
        return Err(turned("403 Forbidden", "this address may not connect\n", HandshakeVerdict::Blocked));
    }
    let mut origins = head.headers.get_all("origin");
    let origin = origins.next();
    if origins.next().is_some() || !settings.origins.allows(origin.map(|value| value.as_bytes())) {
        return Err(turned("403 Forbidden", "this origin may not connect: see client.allowed_origins\n", HandshakeVerdict::Origin));
    }
    let handshake = actix_http::ws::handshake(head).map_err(|error| match error {
        HandshakeError::UnsupportedVersion => Turned {
            status: "426 Upgrade Required",
            text: "this endpoint speaks version 13 of the WebSocket protocol\n".into(),
            header: "sec-websocket-version: 13\r\n".into(),
            verdict: HandshakeVerdict::Malformed,
        },
        _ => turned("400 Bad Request", "this is not a WebSocket handshake\n", HandshakeVerdict::Malformed),
    })?;
    if let Some(notice) = worker.maintenance.notice()
        && !head.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == FOR_ADMIN))
    {
        let message: Cow<'static, str> =
            if notice.message.is_empty() { "the hub is in maintenance\n".into() } else { format!("{}\n", notice.message).into() };
        return Err(Turned {
            status: "503 Service Unavailable",
            text: message,
            header: format!("retry-after: {}\r\n", notice.retry_after).into(),
            verdict: HandshakeVerdict::Maintenance,
        });
    }
    let is_full = settings.session_limit > 0 && worker.hub.len() >= settings.session_limit;
    if is_full || settings.rate.as_ref().is_some_and(|rate| !rate.takes()) {
        return Err(full());
    }
    if let Err(too_often) = worker.limits.connects.take(None, "", Some(address)) {
        return Err(Turned {
            status: "429 Too Many Requests",
            text: "too many connections in too short a time\n".into(),
            header: format!("retry-after: {}\r\n", too_often.seconds()).into(),
            verdict: HandshakeVerdict::TooOften,
        });
    }
    let response = { handshake }.finish();
    let accept = response.headers().get("sec-websocket-accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let offered =
        || head.headers.get_all("sec-websocket-protocol").filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim);
    let subprotocol = [Codec::Protobuf, Codec::Json].into_iter().find(|codec| offered().any(|name| name == codec.subprotocol()));
    let query = head.uri.query().unwrap_or_default();
    let asks = |pair: &str| query.split('&').any(|one| one == pair);
    let by_query = asks("cf_protocol=protobuf") || asks("format=protobuf");
    let codec = subprotocol.unwrap_or(if by_query { Codec::Protobuf } else { Codec::Json });
    let subprotocol_line = subprotocol.map(|codec| format!("sec-websocket-protocol: {}\r\n", codec.subprotocol())).unwrap_or_default();
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n{subprotocol_line}\r\n"
    );
    Ok(Accepted { codec, pings_by_frame: asks("cf_ws_frame_ping_pong=true"), response: Bytes::from(response) })
}
