//! The subscription API: who is subscribed to what.

use super::{MercureState, Refusal, token};
use crate::auth::{MercureRights, MercureRole};
use crate::http::respond;
use crate::mercure::selecting::PATTERNS_OF_TOKEN_MAX;
use crate::protocol::mercure::{Generation, HUB_PATH, MatchKind, Presence, SelectorText, Topic, collection, escaped, pairs, single, unescaped};
use crate::telemetry::mercure::Reason;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, LINK};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::value::RawValue;
use std::sync::Arc;

/// What a token says of its bearer as a subscriber of `selector`: the payload of the first detail that is for it.
pub fn describe(state: &MercureState, rights: &MercureRights, selector: &SelectorText) -> Option<Arc<RawValue>> {
    let topic = Topic::new(&selector.text);
    let patterns = state.hub.patterns();
    let is_for_it = |selectors: &Vec<SelectorText>| {
        selectors.is_empty() || patterns.selection(selectors, PATTERNS_OF_TOKEN_MAX).is_ok_and(|it| it.matches([&topic], patterns.base()))
    };
    rights.payloads.iter().find(|(selectors, _)| is_for_it(selectors)).map(|(_, payload)| Arc::clone(payload))
}

/// What is asked for.
enum Asked {
    All,
    Of(SelectorText),
    One(SelectorText, String),
}

pub fn answer(state: &MercureState, request: &HttpRequest) -> Result<HttpResponse, Refusal> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(Refusal::method("GET, HEAD"));
    }
    let query = pairs(request.query_string().as_bytes()).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let shown = token::shown(state, request, &query, None)?.ok_or_else(|| Refusal::no_token(state.usual_generation()))?;
    let rights = shown.verify(state, MercureRole::Subscriber, None)?;
    let generation = rights.generation;
    state.check_host(request, generation)?;
    // As it was sent: what is encoded in a segment must not become a separator.
    let path = request.uri().path();
    let asked_url = request.uri().path_and_query().map_or(path, |both| both.as_str());
    let patterns = state.hub.patterns();
    let granted = patterns.selection(&rights.subscribe, PATTERNS_OF_TOKEN_MAX).map_err(|_| Refusal::bad_token(generation))?;
    let resource = if generation == Generation::Legacy { asked_url } else { path };
    if !granted.matches([&Topic::new(resource)], patterns.base()) {
        return Err(Refusal::not_allowed(generation));
    }
    let segments: Vec<&str> =
        path.strip_prefix(HUB_PATH).and_then(|rest| rest.strip_prefix("/subscriptions")).unwrap_or_default().split('/').skip(1).collect();
    let asked = asked(generation, &segments)?;
    let last_id = state.hub.last_id();
    let (tag, link) = match generation {
        Generation::Legacy => (last_id.to_string(), None),
        Generation::Modern => {
            let id = escaped_for_a_tag(&last_id);
            (
                format!("\"{id}\""),
                Some(format!("<{HUB_PATH}>; rel=\"mercure\"; last-event-id=\"{id}\"; type=\"mercure\"; content-type=\"application/json\"")),
            )
        }
    };
    let is_known = request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let speaks = |presence: &&Arc<Presence>| presence.selector.kind.generation() == generation;
    let of_many = |found: &[Arc<Presence>]| collection(generation, asked_url, &last_id, found.iter().filter(speaks).map(|presence| &**presence));
    let presences = state.hub.presences();
    let document = match asked {
        Asked::All => of_many(&presences.list(|presence| presence.selector.kind.generation() == generation)),
        Asked::Of(selector) => of_many(&presences.of(&selector)),
        Asked::One(selector, subscriber) => match presences.find(&selector, &subscriber) {
            Some(presence) => single(&presence, &last_id),
            None => return Err(unknown()),
        },
    };
    let mut answer = if is_known { HttpResponse::new(StatusCode::NOT_MODIFIED) } else { respond::json(StatusCode::OK, document) };
    let headers = answer.headers_mut();
    if generation == Generation::Legacy && !is_known {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/ld+json"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    for (name, value) in [(ETAG, Some(tag)), (LINK, link)] {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }
    Ok(answer)
}

fn unknown() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Reason::Malformed, "there is no such subscription")
}

fn asked(generation: Generation, segments: &[&str]) -> Result<Asked, Refusal> {
    let decoded = |segment: &str| unescaped(segment).ok_or_else(unknown);
    match (generation, segments) {
        (_, []) => Ok(Asked::All),
        (Generation::Legacy, [topic]) => Ok(Asked::Of(SelectorText::new(MatchKind::Template, &decoded(topic)?))),
        (Generation::Legacy, [topic, subscriber]) => Ok(Asked::One(SelectorText::new(MatchKind::Template, &decoded(topic)?), decoded(subscriber)?)),
        (Generation::Modern, [kind, text, rest @ ..]) => {
            let kind = MatchKind::parse(kind).ok_or_else(|| Refusal::bad_request("there is no such kind of match"))?;
            let selector = SelectorText::new(kind, &decoded(text)?);
            match rest {
                [] => Ok(Asked::Of(selector)),
                [subscriber] => Ok(Asked::One(selector, decoded(subscriber)?)),
                _ => Err(unknown()),
            }
        }
        _ => Err(unknown()),
    }
}

/// What may stand between the quotes of a tag (RFC 9110, 8.8.3), the rest percent-encoded.
fn escaped_for_a_tag(id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && !"\"%\\".contains(c);
    id.chars().map(|c| if is_plain(c) { c.to_string() } else { escaped(c.encode_utf8(&mut [0; 4])) }).collect()
}
