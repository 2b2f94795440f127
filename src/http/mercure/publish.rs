//! An update comes in.

use super::{MercureState, Refusal, token};
use crate::auth::MercureRole;
use crate::broker::PublishError;
use crate::http::api::{Unread, read};
use crate::http::forwarded::client_address;
use crate::mercure::selecting::{PATTERNS_OF_TOKEN_MAX, SelectionError};
use crate::protocol::codes::ClientError;
use crate::protocol::mercure::{Generation, PublishForm, Topic, pairs};
use crate::telemetry::mercure::Reason;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use std::sync::Arc;

pub async fn answer(state: &Arc<MercureState>, request: &HttpRequest, body: web::Payload) -> Result<HttpResponse, Refusal> {
    state.limits.api.take(None, "", Some(client_address(request))).map_err(Refusal::too_often)?;
    let query = pairs(request.query_string().as_bytes()).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let shown = token::shown(state, request, &query, None)?.ok_or_else(|| Refusal::no_token(state.usual_generation()))?;
    shown.check_origin(state, request)?;
    let rights = shown.verify(state, MercureRole::Publisher, None)?;
    let generation = rights.generation;
    state.check_host(request, generation)?;
    let granted = rights.publish.ok_or_else(|| Refusal::not_allowed(generation))?;
    let granted = state.hub.patterns().selection(&granted, PATTERNS_OF_TOKEN_MAX).map_err(|error| selection_refused(error, generation))?;

    let body = read(body, request.headers(), state.body_bytes_max, state.timeout).await.map_err(unread)?;
    let is_form = request.headers().get(CONTENT_TYPE).is_none_or(|kind| {
        let kind = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    });
    let fields = if is_form { pairs(&body).map_err(|error| Refusal::bad_request(error.to_string()))? } else { Vec::new() };
    let form = PublishForm::read(&fields, generation, state.hub.patterns().base()).map_err(|error| Refusal::form(error, generation))?;
    if !form.topics.iter().all(|topic| granted.matches([&Topic::new(topic)], state.hub.patterns().base())) {
        return Err(Refusal::not_allowed(generation));
    }

    // In a task of its own: a publisher that hangs up cannot stop half way what has been begun.
    let (hub, publisher) = (Arc::clone(&state.hub), state.publisher.clone());
    let published = actix_rt::spawn(async move { hub.publish(&publisher, form).await }).await;
    match published {
        Ok(Ok(id)) => {
            let kind = HeaderValue::from_static("text/plain; charset=utf-8");
            Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, kind)).body(id))
        }
        Ok(Err(error)) => Err(publish_refused(&error)),
        Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Reason::Failed, "the update was not published")),
    }
}

pub(super) fn unread(why: Unread) -> Refusal {
    match why {
        Unread::TooLarge { max } => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Reason::TooLarge, format!("the body is larger than {max} bytes")),
        Unread::TooSlow => Refusal::new(StatusCode::REQUEST_TIMEOUT, Reason::Malformed, "the body did not come in time"),
        Unread::Broken => Refusal::bad_request("the body cannot be read"),
    }
}

/// Selectors of a token that cannot be used.
fn selection_refused(error: SelectionError, generation: Generation) -> Refusal {
    match error {
        SelectionError::Invalid(_) | SelectionError::TooMany { .. } => Refusal::bad_token(generation),
        SelectionError::Full => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Reason::TooMany, error.to_string()),
    }
}

fn publish_refused(error: &PublishError) -> Refusal {
    match error {
        PublishError::Channel(_) | PublishError::Content(_) => Refusal::bad_request(error.refusal().message().into_owned()),
        PublishError::Broker(_) => {
            log::warn!("mercure: an update was not published: {error}");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Reason::Failed, "the update was not published")
        }
    }
}
