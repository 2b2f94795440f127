//! Sessions on answers without an end: `http_stream` and `sse`, whose clients ask by requests of their own ([`super::emulation`]), and
//! `uni_http_stream` and `uni_sse`, whose clients say who they are and listen.
//!
//! For clients behind proxies that break WebSocket, for `EventSource` without a library, and for `curl`.

use super::entrance::{Entrance, Turned, peer};
use crate::http::api::{Unread, read};
use crate::http::forwarded::client_address;
use crate::http::stream::{self, Stream};
use crate::protocol::centrifuge::command::ConnectRequest;
use crate::protocol::centrifuge::{Framing, Wire};
use crate::session::worker::Worker;
use crate::session::{self, Opening};
use crate::telemetry::emit;
use crate::telemetry::http::{HandshakeRefused, HandshakeVerdict};
use actix_http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Seconds for which a browser remembers that a page may ask (the protocol's number).
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("300");

/// Which of the transports are served, and where. One for all workers.
pub struct StreamSettings {
    pub entrance: Arc<Entrance>,
    pub http_stream: Option<Endpoint>,
    pub sse: Option<Endpoint>,
    pub uni_http_stream: Option<Endpoint>,
    pub uni_sse: Option<Endpoint>,
    /// Served where one of the first two is.
    pub emulation: Option<Endpoint>,
    /// For a body to come, and for commands to be taken.
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub path: String,
    /// Bytes of one request.
    pub body_bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    HttpStream,
    Sse,
    UniHttpStream,
    UniSse,
}

impl Kind {
    /// `EventSource` cannot post, and cannot help but get.
    const fn takes_get(self) -> bool {
        matches!(self, Self::Sse | Self::UniSse)
    }

    const fn methods(self) -> &'static str {
        if self.takes_get() { "GET, POST, OPTIONS" } else { "POST, OPTIONS" }
    }
}

/// Mounts the endpoints that are served.
pub fn configure(settings: &Arc<StreamSettings>) -> impl FnOnce(&mut web::ServiceConfig) {
    let settings = Arc::clone(settings);
    move |service| {
        let kinds = [
            (Kind::HttpStream, &settings.http_stream),
            (Kind::Sse, &settings.sse),
            (Kind::UniHttpStream, &settings.uni_http_stream),
            (Kind::UniSse, &settings.uni_sse),
        ];
        for (kind, endpoint) in kinds {
            let Some(Endpoint { path, body_bytes_max }) = endpoint.clone() else { continue };
            let settings = Arc::clone(&settings);
            service.route(&path, web::to(move |request, body| serve(kind, Arc::clone(&settings), body_bytes_max, request, body)));
        }
        if let Some(endpoint) = &settings.emulation {
            let (path, body_bytes_max, settings) = (endpoint.path.clone(), endpoint.body_bytes_max, Arc::clone(&settings));
            service.route(&path, web::to(move |request, body| super::emulation::serve(Arc::clone(&settings), body_bytes_max, request, body)));
        }
    }
}

async fn serve(kind: Kind, settings: Arc<StreamSettings>, body_bytes_max: usize, request: HttpRequest, body: web::Payload) -> HttpResponse {
    if request.method() == Method::OPTIONS {
        return preflight(&settings.entrance, kind.methods(), request.headers());
    }
    match begin(kind, &settings, body_bytes_max, &request, body).await {
        Ok(()) => stream::left(),
        Err(turned) => {
            emit(HandshakeRefused { verdict: turned.verdict });
            for_pages(turned.into_response(), &settings.entrance, request.headers())
        }
    }
}

/// Starts the session, or says why not.
async fn begin(kind: Kind, settings: &StreamSettings, body_bytes_max: usize, request: &HttpRequest, body: web::Payload) -> Result<(), Turned> {
    let malformed = |text| Turned::new(StatusCode::BAD_REQUEST, text, HandshakeVerdict::Malformed);
    let Some(worker) = request.app_data::<Rc<Worker>>() else { return Err(Turned::full()) };
    let is_get = request.method() == Method::GET;
    if request.method() != Method::POST && !(is_get && kind.takes_get()) {
        return Err(Turned {
            header: Some((header::ALLOW, kind.methods().to_string())),
            ..Turned::new(StatusCode::METHOD_NOT_ALLOWED, "this address is not asked in this way", HandshakeVerdict::Malformed)
        });
    }
    let address = client_address(request);
    settings.entrance.knows(worker, request.headers(), address)?;
    let said = if is_get {
        in_query(request.query_string(), body_bytes_max)?
    } else {
        Some(read(body, request.headers(), body_bytes_max, settings.timeout).await.map_err(unread)?)
    };
    let (wire, opening) = match kind {
        Kind::HttpStream if is_binary(request.headers()) => (Wire::StreamProtobuf, Opening::Commands(said.unwrap_or_default())),
        Kind::HttpStream => (Wire::StreamJson, Opening::Commands(said.unwrap_or_default())),
        Kind::Sse => (Wire::Sse, Opening::Commands(said.ok_or_else(|| malformed("cf_connect with the commands to begin with is missing"))?)),
        Kind::UniHttpStream | Kind::UniSse => {
            let request = ConnectRequest::alone(&said.unwrap_or_default()).map_err(|_| malformed("this is not the JSON of a connect request"))?;
            (if kind == Kind::UniSse { Wire::UniSse } else { Wire::UniStream }, Opening::Connect(Box::new(request)))
        }
    };
    settings.entrance.takes(worker, request.query_string(), address)?;

    let head = head(wire, &settings.entrance, request.headers());
    let peer = peer(request.headers(), address, wire, &settings.entrance.passed_headers);
    let limits = Rc::clone(&worker.outbox_limits);
    let Stream { outbox, source } = stream::leave_http(request, wire, limits, worker.clock.clone(), &head).await.ok_or_else(Turned::full)?;
    session::start(worker, session::Connection { source, outbox, read_ahead: BytesMut::new(), pings_by_frame: false, peer, opening });
    Ok(())
}

/// What a `GET` says: the same as the body of a `POST`.
fn in_query(query: &str, bytes_max: usize) -> Result<Option<Bytes>, Turned> {
    #[derive(Deserialize)]
    struct Said {
        cf_connect: Option<String>,
    }
    let said = web::Query::<Said>::from_query(query)
        .map_err(|_| Turned::new(StatusCode::BAD_REQUEST, "the query is not what forms send", HandshakeVerdict::Malformed))?
        .into_inner()
        .cf_connect;
    if said.as_ref().is_some_and(|said| said.len() > bytes_max) {
        return Err(Turned::new(StatusCode::URI_TOO_LONG, "cf_connect is too large: post it", HandshakeVerdict::Malformed));
    }
    Ok(said.map(Bytes::from))
}

/// Why a body was not read, as a transport says it.
pub(super) fn unread(why: Unread) -> Turned {
    match why {
        Unread::TooLarge { .. } => Turned::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large", HandshakeVerdict::Malformed),
        Unread::TooSlow => Turned::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time", HandshakeVerdict::Malformed),
        Unread::Broken => Turned::new(StatusCode::BAD_REQUEST, "the body cannot be read", HandshakeVerdict::Malformed),
    }
}

/// Whether the client speaks Protobuf.
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    const BINARY: &str = "application/octet-stream";
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.get(..BINARY.len()).is_some_and(|start| start.eq_ignore_ascii_case(BINARY))
}

/// The head of the answer and, where one is needed for the client to see that it has begun, the first bytes of its body.
fn head(wire: Wire, entrance: &Entrance, headers: &HeaderMap) -> Vec<u8> {
    let origin = entrance.origin(headers).ok().flatten().and_then(|origin| origin.to_str().ok());
    let for_page = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN.as_str(), origin.unwrap_or_default()),
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS.as_str(), "true"),
        (header::VARY.as_str(), "Origin"),
    ];
    let for_page = if origin.is_some() { &for_page[..] } else { &[] };
    match wire.framing() {
        Framing::EventStream => [&stream::head("text/event-stream; charset=utf-8", for_page)[..], b"\r\n"].concat(),
        Framing::Delimited => stream::head("application/octet-stream", for_page),
        Framing::Lines | Framing::Websocket => stream::head("application/json; charset=utf-8", for_page),
    }
}

/// The answer as the page may read it that asked.
pub(super) fn for_pages(mut response: HttpResponse, entrance: &Entrance, headers: &HeaderMap) -> HttpResponse {
    if let Ok(Some(origin)) = entrance.origin(headers) {
        let out = response.headers_mut();
        out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        out.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        out.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// A browser asks whether a page may ask.
pub(super) fn preflight(entrance: &Entrance, methods: &'static str, headers: &HeaderMap) -> HttpResponse {
    if entrance.origin(headers).is_err() {
        return HttpResponse::Forbidden().finish();
    }
    let mut response = HttpResponse::NoContent();
    response
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS))
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods)));
    if let Some(wanted) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        response.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone()));
    }
    for_pages(response.finish(), entrance, headers)
}
