//! The WebSocket transport: handshake (RFC 6455, 4.2), then the socket leaves HTTP and becomes a session's.
//!
//! The only file that knows the WebSocket types of the actix family; everything behind the handshake is ours.

use super::entrance::{Entrance, Turned, peer};
use crate::http::connection::{Connection, Parts};
use crate::http::forwarded::client_address;
use crate::http::stream::split;
use crate::outbox::Outbox;
use crate::protocol::centrifuge::command::ConnectRequest;
use crate::protocol::centrifuge::{Codec, Wire};
use crate::session::worker::Worker;
use crate::session::{self, Opening};
use crate::telemetry::emit;
use crate::telemetry::http::{HandshakeRefused, HandshakeVerdict};
use actix_codec::Framed;
use actix_http::{Request, RequestHead, StatusCode, h1, header};
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use actix_web_actors::ws::HandshakeError;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// What the transport needs to know of the configuration. Other paths than these are answered 404.
pub struct WebsocketSettings {
    /// The path for clients that ask and are told.
    pub path: Option<String>,
    /// The path for clients that only listen.
    pub uni_path: Option<String>,
    pub entrance: Arc<Entrance>,
}

/// Answers an upgrade request and, if it is good, starts the session.
pub async fn upgrade(worker: Rc<Worker>, settings: Arc<WebsocketSettings>, request: Request, framed: Framed<Connection, h1::Codec>) {
    let parts = framed.into_parts();
    let mut connection = parts.io;
    let address = settings.entrance.proxies.client(request.head().peer_addr, &request.head().headers);
    let judged =
        judge(&worker, &settings, request.head(), address, connection.is_canary()).and_then(|accepted| match connection.belongs_to(address) {
            Ok(()) => Ok(accepted),
            Err(_) => Err(Turned::full()),
        });
    match judged {
        Ok(Accepted { wire, pings_by_frame, opening, response }) => {
            let peer = peer(&request.head().headers, address, wire, &settings.entrance.passed_headers);
            drop(request);
            let Some(Parts { tcp, tls, ticket }) = connection.into_parts() else { return };
            let (source, socket) = split(tcp, tls);
            let outbox = Outbox::new(socket, ticket, wire, Rc::clone(&worker.outbox_limits), worker.clock.clone());
            outbox.send(&response);
            let read_ahead = if parts.read_buf.is_empty() { BytesMut::new() } else { BytesMut::from(&parts.read_buf[..]) };
            session::start(&worker, session::Connection { source, outbox, read_ahead, pings_by_frame, peer, opening });
        }
        Err(Turned { status, text, header, verdict }) => {
            emit(HandshakeRefused { verdict });
            let header = header.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
            let answer = format!(
                "HTTP/1.1 {status}\r\n{header}content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}\n",
                text.len() + 1
            );
            // The reaper ends the connection of a client that does not take its answer.
            if connection.write_all(answer.as_bytes()).await.is_ok() {
                let _ = connection.shutdown().await;
            }
        }
    }
}

/// Answers a request that is no handshake. A page is never told why its handshake failed; asking in this way, it hears whether it may come in
/// at all, and that the hub can be reached.
pub fn plain(entrance: &Entrance, request: &HttpRequest) -> HttpResponse {
    let knows = |worker: &Rc<Worker>| entrance.knows(worker, request.headers(), client_address(request));
    let turned = request.app_data::<Rc<Worker>>().and_then(|worker| knows(worker).err());
    turned.unwrap_or_else(no_handshake).into_response()
}

fn no_handshake() -> Turned {
    Turned::new(StatusCode::BAD_REQUEST, "this is not a WebSocket handshake", HandshakeVerdict::Malformed)
}

/// A handshake that is accepted, with its answer.
struct Accepted {
    wire: Wire,
    pings_by_frame: bool,
    opening: Opening,
    response: Bytes,
}

/// A canary of the hub's own comes in by the same handshake, and is judged by nothing that is about clients.
fn judge(worker: &Worker, settings: &WebsocketSettings, head: &RequestHead, address: IpAddr, is_canary: bool) -> Result<Accepted, Turned> {
    let is_asked_for = |path: &Option<String>| path.as_deref() == Some(head.uri.path());
    let is_unidirectional = is_asked_for(&settings.uni_path);
    if !is_unidirectional && !is_asked_for(&settings.path) {
        return Err(Turned::new(StatusCode::NOT_FOUND, "there is no such endpoint", HandshakeVerdict::Path));
    }
    if !is_canary {
        settings.entrance.knows(worker, &head.headers, address)?;
    }
    let handshake = actix_http::ws::handshake(head).map_err(|error| match error {
        HandshakeError::UnsupportedVersion => Turned {
            header: Some((header::SEC_WEBSOCKET_VERSION, "13".to_string())),
            ..Turned::new(StatusCode::UPGRADE_REQUIRED, "this endpoint speaks version 13 of the WebSocket protocol", HandshakeVerdict::Malformed)
        },
        _ => no_handshake(),
    })?;
    let query = head.uri.query().unwrap_or_default();
    let opening = if is_unidirectional { introduction(query)? } else { Opening::Nothing };
    if !is_canary {
        settings.entrance.takes(worker, query, address)?;
    }
    let response = { handshake }.finish();
    let accept = response.headers().get("sec-websocket-accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let offered =
        || head.headers.get_all("sec-websocket-protocol").filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim);
    let spoken = if is_unidirectional { &[Codec::Json][..] } else { &[Codec::Protobuf, Codec::Json] };
    let subprotocol = spoken.iter().copied().find(|codec| offered().any(|name| name == codec.subprotocol()));
    let asks = |pair: &str| query.split('&').any(|one| one == pair);
    let by_query = asks("cf_protocol=protobuf") || asks("format=protobuf");
    let codec = subprotocol.unwrap_or(if by_query { Codec::Protobuf } else { Codec::Json });
    let subprotocol_line = subprotocol.map(|codec| format!("sec-websocket-protocol: {}\r\n", codec.subprotocol())).unwrap_or_default();
    let response = Bytes::from(format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n{subprotocol_line}\r\n"
    ));
    let pings_by_frame = !is_unidirectional && asks("cf_ws_frame_ping_pong=true");
    let wire = if is_unidirectional { Wire::UniWebsocket } else { Wire::websocket(codec) };
    Ok(Accepted { wire, pings_by_frame, opening, response })
}

/// What a client that only listens says of itself in its URL, if it does not say it in its first message.
fn introduction(query: &str) -> Result<Opening, Turned> {
    #[derive(Deserialize)]
    struct Introduction {
        cf_connect: Option<String>,
    }
    let malformed = || Turned::new(StatusCode::BAD_REQUEST, "cf_connect is not the JSON of a connect request", HandshakeVerdict::Malformed);
    let Introduction { cf_connect } = Query::<Introduction>::from_query(query).map_err(|_| malformed())?.into_inner();
    match cf_connect {
        None => Ok(Opening::Nothing),
        Some(json) => ConnectRequest::alone(json.as_bytes()).map(|request| Opening::Connect(Box::new(request))).map_err(|_| malformed()),
    }
}
