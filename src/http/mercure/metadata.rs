//! What a client of the modern generation may read about how to get in (RFC 9728).

use super::{MercureState, Refusal};
use crate::http::respond;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

pub fn answer(state: &MercureState, request: &HttpRequest) -> Result<HttpResponse, Refusal> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(Refusal::method("GET, HEAD"));
    }
    let mut document = json!({
        "resource": state.resource,
        "bearer_methods_supported": ["header"],
        "authorization_details_types_supported": ["https://mercure.rocks/authorization-detail"],
        "mercure_cookie": super::token::MODERN_COOKIE,
    });
    if state.has_subscriptions {
        document["mercure_subscriptions"] = true.into();
    }
    if !state.issuer.is_empty() {
        document["authorization_servers"] = json!([state.issuer]);
    }
    Ok(respond::json(StatusCode::OK, document.to_string()))
}
