//! A subscriber comes in: judged here, then its connection leaves HTTP and becomes a seat in the crowd.
//!
//! In this order: what it asks for, its token, whether the hub can take it, where its cursor stands, the head of the answer. What is published from
//! the moment the cursor was looked up is its own, however long the rest takes.

use super::subscriptions::describe;
use super::{MercureState, Refusal, own, token};
use crate::auth::{MercureRights, MercureRole};
use crate::http::api::read;
use crate::http::forwarded::client_address;
use crate::http::stream::{self, Stream, hangup};
use crate::mercure::crowd::{COMMENT, Crowd, Entitlement, Newcomer};
use crate::mercure::selecting::{PATTERNS_OF_ONE_MAX, PATTERNS_OF_TOKEN_MAX, SelectionError};
use crate::mercure::{Begin, subscriber};
use crate::outbox::OutboxLimits;
use crate::protocol::centrifuge::Wire;
use crate::protocol::mercure::{Generation, Pair, Presence, SelectorText, pairs, selectors_of};
use crate::session::worker::Worker;
use crate::telemetry::mercure::Reason;
use actix_web::http::header::{HeaderName, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// The method of a question with a body, spoken by the modern generation.
pub const QUERY: &str = "QUERY";

/// As much as the head of a request may have.
const QUERY_BYTES_MAX: usize = 128 * 1_024;

/// A cursor is an id, and ids are no longer than this.
const CURSOR_BYTES_MAX: usize = 1_024;

/// Of what a wire decides, nothing happens here: updates come written, and an answer ends without words.
const WIRE: Wire = Wire::UniSse;

pub(super) const CONTENT_TYPE: &str = "text/event-stream";

pub async fn answer(state: &Arc<MercureState>, request: &HttpRequest, body: web::Payload) -> Result<HttpResponse, Refusal> {
    let worker = request.app_data::<Rc<Worker>>().ok_or_else(unavailable)?;
    // Parameters may also come as a form in the body of a QUERY; those of the address count first.
    let form = if request.method().as_str() == QUERY {
        read(body, request.headers(), QUERY_BYTES_MAX, state.timeout).await.map_err(super::publish::unread)?
    } else {
        Bytes::new()
    };
    let mut query = pairs(request.query_string().as_bytes()).map_err(|error| Refusal::bad_request(error.to_string()))?;
    query.extend(pairs(&form).map_err(|error| Refusal::bad_request(error.to_string()))?);
    let (generation, texts) = selectors_of(&query, state.protocol).map_err(|error| Refusal::bad_request(error.to_string()))?;
    state.check_host(request, generation)?;
    let address = client_address(request);
    if worker.blocks.has_address(address) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, Reason::NotAllowed, "this address may not connect"));
    }
    if own::is_asked_for(&texts)? {
        return own::watch(state, worker, request, generation, &texts).await;
    }
    let rights = match token::shown(state, request, &query, Some(generation))? {
        Some(shown) => Some(shown.verify(state, MercureRole::Subscriber, Some(generation))?),
        None if state.anonymous => None,
        None => return Err(Refusal::no_token(generation)),
    };
    let patterns = state.hub.patterns();
    let selection = patterns.selection(&texts, PATTERNS_OF_ONE_MAX).map_err(selection_refused)?;
    let entitlement = match &rights {
        Some(rights) => {
            // A pattern of the token that cannot be used grants nothing else than it names.
            let rights = patterns.selection(&rights.subscribe, PATTERNS_OF_TOKEN_MAX).map_err(|error| match error {
                SelectionError::Full => selection_refused(error),
                SelectionError::Invalid(_) | SelectionError::TooMany { .. } => Refusal::bad_token(generation),
            })?;
            Some(Entitlement(rights))
        }
        None => None,
    };
    if let Some(notice) = worker.maintenance.notice() {
        return Err(Refusal::unavailable("the hub is in maintenance", notice.retry_after));
    }
    if state.is_full(worker) {
        return Err(too_many());
    }
    worker.limits.connects.take(None, "", Some(address)).map_err(Refusal::too_often)?;

    let attendance = state.hub.attend();
    let Begin { place, told } = state.hub.begin(cursor(request, &query, generation).as_deref(), &texts, rights.is_some());
    let headers = headers(state, request, generation, told);
    let lines: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if *request.method() == Method::HEAD {
        return Ok(head_only(&lines));
    }
    let mut head = stream::head(CONTENT_TYPE, &lines);
    head.extend_from_slice(&COMMENT);
    let limits = outbox_limits(state, worker);
    let left = stream::leave_http(request, WIRE, limits, state.clock.clone(), &head).await;
    let Stream { outbox, source } = left.ok_or_else(too_many)?;

    let now = state.clock.now();
    let presences = if state.has_subscriptions { presences(state, &texts, rights.as_ref()) } else { Vec::new() };
    let newcomer = Newcomer {
        outbox: Rc::clone(&outbox),
        selection,
        attendance,
        entitlement,
        place,
        // The last fifth is chance, so that those who came together do not come back together; and the end comes before the deadline of what is
        // written last.
        ends_at: state.write_timeout_ms.map(|longest| {
            let life = longest - rand::random_range(0..=longest / 5);
            now + life.saturating_sub(state.dispatch_timeout_ms).max(life / 2)
        }),
        expires_at_ms: rights.and_then(|rights| rights.expires_at).map(|seconds| seconds.saturating_mul(1_000)),
    };
    subscriber::start(&crowd(state), newcomer, presences, state.hub.listen(&texts), hangup(source, &outbox));
    Ok(stream::left())
}

pub(super) fn too_many() -> Refusal {
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, Reason::TooMany, "there are too many connections")
}

impl MercureState {
    /// Whether there are as many clients as there may be.
    pub(super) fn is_full(&self, worker: &Worker) -> bool {
        self.connection_limit > 0 && worker.hub.len() + self.hub.subscribers() >= self.connection_limit
    }
}

fn unavailable() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Reason::Failed, "the hub cannot take subscribers now")
}

/// Selectors of a stranger that cannot be used.
fn selection_refused(error: SelectionError) -> Refusal {
    match error {
        SelectionError::Invalid(_) | SelectionError::TooMany { .. } => Refusal::bad_request(error.to_string()),
        SelectionError::Full => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Reason::TooMany, error.to_string()),
    }
}

/// From where on the client has missed updates: its header counts before its query, since a browser that comes back by itself can change only
/// that one.
fn cursor(request: &HttpRequest, query: &[Pair<'_>], generation: Generation) -> Option<String> {
    let header = request.headers().get("last-event-id").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let name = if generation == Generation::Legacy { "lastEventID" } else { "last_event_id" };
    let from_query = || query.iter().find(|pair| pair.name == name).map(|pair| pair.value.to_string());
    let cursor = header.filter(|cursor| !cursor.is_empty()).or_else(from_query)?;
    match cursor.is_empty() {
        // An empty one asks for nothing. The modern generation is told where it stands all the same.
        true if generation == Generation::Legacy => None,
        _ if cursor.len() > CURSOR_BYTES_MAX => Some(String::new()),
        _ => Some(cursor),
    }
}

pub(super) fn headers(state: &MercureState, request: &HttpRequest, generation: Generation, told: Option<String>) -> Vec<(String, String)> {
    let cursor_header = if generation == Generation::Legacy { "last-event-id" } else { "mercure-last-event-id" };
    let mut headers: Vec<(String, String)> = told.map(|told| (cursor_header.to_string(), told)).into_iter().collect();
    let text = |name: HeaderName, value: &[u8]| (name.as_str().to_string(), String::from_utf8_lossy(value).into_owned());
    headers.extend(state.cors.headers(request).into_iter().map(|(name, value)| text(name, value.as_bytes())));
    // What the head of an endless answer has by itself is not said twice.
    let security = super::security().into_iter().filter(|(name, _)| name != X_CONTENT_TYPE_OPTIONS);
    headers.extend(security.map(|(name, value)| text(name, value.as_bytes())));
    headers
}

/// The head alone, for those who only look.
pub(super) fn head_only(headers: &[(&str, &str)]) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.content_type(CONTENT_TYPE).insert_header(("cache-control", "private, no-cache, no-store, must-revalidate, max-age=0, no-transform"));
    answer.insert_header(("pragma", "no-cache")).insert_header(("x-accel-buffering", "no"));
    for header in headers {
        answer.insert_header(*header);
    }
    answer.finish()
}

/// One description for each selector, all of the same subscriber.
fn presences(state: &MercureState, texts: &[SelectorText], rights: Option<&MercureRights>) -> Vec<Presence> {
    let subscriber: Arc<str> = format!("urn:uuid:{}", uuid::Uuid::new_v4()).into();
    let payload = |text: &SelectorText| rights.and_then(|rights| describe(state, rights, text));
    texts.iter().map(|text| Presence { selector: text.clone(), subscriber: Arc::clone(&subscriber), payload: payload(text) }).collect()
}

thread_local! {
    static CROWD: RefCell<Option<Rc<Crowd>>> = const { RefCell::new(None) };
    static LIMITS: RefCell<Option<Rc<OutboxLimits>>> = const { RefCell::new(None) };
}

/// The crowd of this worker, which begins with its first subscriber.
fn crowd(state: &MercureState) -> Rc<Crowd> {
    CROWD.with_borrow_mut(|slot| match slot {
        Some(crowd) if Arc::ptr_eq(&crowd.hub, &state.hub) => Rc::clone(crowd),
        _ => Rc::clone(slot.insert(Crowd::start(&state.hub))),
    })
}

fn outbox_limits(state: &MercureState, worker: &Worker) -> Rc<OutboxLimits> {
    LIMITS.with_borrow_mut(|slot| {
        let limits = slot.get_or_insert_with(|| Rc::new(OutboxLimits { age_ms_max: state.dispatch_timeout_ms, ..(*worker.outbox_limits).clone() }));
        Rc::clone(limits)
    })
}
