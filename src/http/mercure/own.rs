//! The hub's own channels, for those who watch them by `EventSource`: judged as everywhere, carried by a session.
//!
//! No selector of a Mercure token opens them, and none matches them: only a topic that is such a channel's name asks for it, and only a role of the hub's
//! does. It is shown by a token as a connection brings it, in the `Authorization` header, or by the cookie of the hub's own login, from a page of the
//! hub's own. What comes of it is a session like every other that only listens, on a wire that has the words of this protocol: so its limits, its
//! expiry, its end with the login's and its place in the audit log are those of sessions.

use super::subscribe::{CONTENT_TYPE, head_only, headers, too_many};
use super::{MercureState, Refusal, token};
use crate::auth::TokenError;
use crate::auth::accounts::AccountError;
use crate::channel::{SessionId, is_own};
use crate::http::forwarded::client_address;
use crate::http::login::login_of;
use crate::http::stream::{self, Stream};
use crate::http::transports::entrance::peer;
use crate::mercure::crowd::COMMENT;
use crate::protocol::centrifuge::Wire;
use crate::protocol::centrifuge::command::{ConnectRequest, SubscribeRequest};
use crate::protocol::mercure::{Generation, SelectorText};
use crate::session::procedures::Caller;
use crate::session::worker::Worker;
use crate::session::{self, Connection, Opening};
use crate::telemetry::emit;
use crate::telemetry::mercure::{MercureTokenRefused, Reason};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use bytes::BytesMut;
use std::rc::Rc;

/// What a client is called among the sessions that says no name.
const NAME: &str = "mercure";

/// Whether these are channels of the hub's own. They are asked for alone: what a token of the Mercure hub allows says nothing of them.
pub(super) fn is_asked_for(texts: &[SelectorText]) -> Result<bool, Refusal> {
    let is_one = |text: &SelectorText| is_own(&text.text) && !text.may_be_a_pattern();
    match texts.iter().filter(|text| is_one(text)).count() {
        0 => Ok(false),
        count if count == texts.len() => Ok(true),
        _ => Err(Refusal::bad_request("the hub's own topics are asked for by a request of their own")),
    }
}

pub(super) async fn watch(
    state: &MercureState,
    worker: &Rc<Worker>,
    request: &HttpRequest,
    generation: Generation,
    topics: &[SelectorText],
) -> Result<HttpResponse, Refusal> {
    let address = client_address(request);
    let token = shown(state, request, generation).await?;
    let peer = peer(request.headers(), address, Wire::Mercure, &[]);
    // Said here, where it is still an answer; the session asks for itself, and what has changed until then ends it.
    if let Some(keys) = worker.tokens.asks_for_keys(&token, worker.clock.wall_seconds()) {
        keys.ask().await;
    }
    let claims = worker.tokens.verify_connection(&token, worker.clock.wall_seconds()).map_err(|error| bad_token(&error, generation))?;
    let caller = Caller::connecting(SessionId::random(), &peer, &claims);
    if !topics.iter().all(|topic| worker.procedures.may_watch(&caller, &topic.text)) {
        return Err(Refusal::not_allowed(generation));
    }
    if let Some(notice) = worker.maintenance.notice() {
        return Err(Refusal::unavailable("the hub is in maintenance", notice.retry_after));
    }
    if state.is_full(worker) {
        return Err(too_many());
    }
    worker.limits.connects.take(None, "", Some(address)).map_err(Refusal::too_often)?;

    let headers = headers(state, request, generation, None);
    let lines: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if *request.method() == Method::HEAD {
        return Ok(head_only(&lines));
    }
    let mut head = stream::head(CONTENT_TYPE, &lines);
    head.extend_from_slice(&COMMENT);
    let left = stream::leave_http(request, Wire::Mercure, Rc::clone(&worker.outbox_limits), worker.clock.clone(), &head).await;
    let Stream { outbox, source } = left.ok_or_else(too_many)?;
    let subs = topics.iter().map(|topic| (topic.text.to_string(), SubscribeRequest::default())).collect();
    let opening = Opening::Connect(Box::new(ConnectRequest { token, subs, name: NAME.to_string(), ..ConnectRequest::default() }));
    session::start(worker, Connection { source, outbox, read_ahead: BytesMut::new(), pings_by_frame: false, peer, opening });
    Ok(stream::left())
}

/// The token that a connection would bring: in the header, where there is one, else of the login whose cookie came along.
async fn shown(state: &MercureState, request: &HttpRequest, generation: Generation) -> Result<String, Refusal> {
    if let Some(shown) = token::in_header(request, generation)? {
        return Ok(shown.to_string());
    }
    let login = state.accounts.as_ref().zip(login_of(request));
    let Some((accounts, (cookie, place))) = login else { return Err(Refusal::no_token(generation)) };
    accounts.connection_token(&cookie, &place).await.map_err(|error| match error {
        AccountError::Store { .. } | AccountError::StoreTimeout | AccountError::Busy => {
            log::warn!("mercure: {:#}", anyhow::Error::from(error));
            Refusal::unavailable("the hub cannot look up accounts at this moment", 1)
        }
        AccountError::Banned { .. } => Refusal::new(StatusCode::FORBIDDEN, Reason::NotAllowed, "this account is kept out"),
        _ => Refusal::no_token(generation),
    })
}

fn bad_token(error: &TokenError, generation: Generation) -> Refusal {
    emit(MercureTokenRefused { error, method: "watcher" });
    Refusal::bad_token(generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::mercure::MatchKind;

    #[test]
    fn own_topics_are_asked_for_by_name_and_alone() {
        let asked =
            |texts: &[(MatchKind, &str)]| is_asked_for(&texts.iter().map(|(kind, text)| SelectorText::new(*kind, text)).collect::<Vec<_>>()).ok();
        use MatchKind::{Exact, Template, UrlPattern};
        for (texts, expected) in [
            (&[(Template, "$metrics:overview")][..], Some(true)),
            (&[(Exact, "$metrics:overview"), (Exact, "$admin:{x}")], Some(true)),
            (&[(Template, "$metrics:overview"), (Template, "news")], None),
            (&[(Template, "$metrics:overview"), (Template, "*")], None),
            (&[(Template, "*")], Some(false)),
            (&[(Template, "$metrics:{name}")], Some(false)),
            (&[(UrlPattern, "$metrics:overview")], Some(false)),
            (&[(Template, "%24metrics%3Aoverview")], Some(false)),
            (&[], Some(false)),
        ] {
            assert_eq!(asked(texts), expected, "{texts:?}");
        }
    }
}
