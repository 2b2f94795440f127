//! `POST /emulation`: what clients say whose connection is an endless answer.
//!
//! A request names the node and the session, by the id that only its client knows; that is the proof. Its commands are carried out in the
//! session, and their replies come on the session's connection. Deliberately absent: sending a request on to another node.

use super::entrance::Turned;
use super::streams::{StreamSettings, for_pages, is_binary, preflight, unread};
use crate::http::api::read;
use crate::http::forwarded::client_address;
use crate::protocol::centrifuge::{Codec, EmulationRequest};
use crate::session::emulated::{Emulated, Outcome};
use crate::session::facts::Transport;
use crate::session::worker::Worker;
use crate::telemetry::emit;
use crate::telemetry::http::{EmulationRefused, HandshakeVerdict};
use actix_http::header;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::oneshot;

const METHODS: &str = "POST, OPTIONS";

pub(super) async fn serve(settings: Arc<StreamSettings>, body_bytes_max: usize, request: HttpRequest, body: web::Payload) -> HttpResponse {
    if request.method() == Method::OPTIONS {
        return preflight(&settings.entrance, METHODS, request.headers());
    }
    let response = match pass_on(&settings, body_bytes_max, &request, body).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(turned) => {
            emit(EmulationRefused { status: turned.status.as_u16() });
            turned.into_response()
        }
    };
    for_pages(response, &settings.entrance, request.headers())
}

async fn pass_on(settings: &StreamSettings, body_bytes_max: usize, request: &HttpRequest, body: web::Payload) -> Result<(), Turned> {
    let refused = |status, text| Turned::new(status, text, HandshakeVerdict::Malformed);
    if request.method() != Method::POST {
        let turned = refused(StatusCode::METHOD_NOT_ALLOWED, "this address is not asked in this way");
        return Err(Turned { header: Some((header::ALLOW, METHODS.to_string())), ..turned });
    }
    let Some(worker) = request.app_data::<Rc<Worker>>() else { return Err(Turned::full()) };
    settings.entrance.knows(worker, request.headers(), client_address(request))?;
    let body = read(body, request.headers(), body_bytes_max, settings.timeout).await.map_err(unread)?;
    let codec = if is_binary(request.headers()) { Codec::Protobuf } else { Codec::Json };
    let EmulationRequest { node, session, data } = EmulationRequest::decode(codec, &body).map_err(|error| {
        log::debug!("emulation: {error}");
        refused(StatusCode::BAD_REQUEST, "this is not an emulation request")
    })?;
    if node != worker.settings.node {
        return Err(refused(StatusCode::NOT_FOUND, "this node is not known here"));
    }
    let found = worker.hub.find_by_secret_id(&session);
    // One that is gone is told so by the end of its connection, which the client may not have seen yet.
    let Some(found) = found.filter(|found| matches!(found.facts.peer.transport, Transport::HttpStream | Transport::Sse)) else { return Ok(()) };
    let (done, outcome) = oneshot::channel();
    found.addr.do_send(Emulated { data, done });
    match tokio::time::timeout(settings.timeout, outcome).await {
        Ok(Ok(Outcome::Taken)) => Ok(()),
        // The session has ended meanwhile.
        Ok(Err(_)) => Ok(()),
        Ok(Ok(Outcome::TooMany)) => Err(refused(StatusCode::TOO_MANY_REQUESTS, "too many requests of this session wait already")),
        Err(_) => Err(refused(StatusCode::SERVICE_UNAVAILABLE, "the commands before these are still being carried out")),
    }
}
