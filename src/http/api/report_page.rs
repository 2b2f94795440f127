//! Reports as pages for people: the only answers of the API that a browser shows.
//!
//! Called for those methods that have one, by GET: their addresses can be kept. They need the key all the same.

use super::ApiState;
use crate::auth::Caller;
use crate::calendar::Period;
use crate::document::Document;
use crate::http::respond::{self, secured};
use crate::protocol::codes::ErrorCode;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

/// The page is text and one style of its own: nothing is fetched, nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Which report, as every method that has a page is asked.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Asked {
    pub period: Period,
    #[serde(default)]
    pub back: Option<u32>,
}

/// Answers with the document that `read` gives, for a caller that may call `method`.
pub async fn page(
    api: &ApiState,
    caller: &Caller,
    method: &str,
    request: &HttpRequest,
    read: impl AsyncFnOnce(Asked) -> Result<Document, ErrorCode>,
) -> HttpResponse {
    if !caller.may_call(method, false) {
        return respond::text(StatusCode::FORBIDDEN, "the key is not for reports");
    }
    let Ok(asked) = web::Query::<Asked>::from_query(request.query_string()) else {
        return respond::text(StatusCode::BAD_REQUEST, "the query must say period=day or period=week, and may say back=N");
    };
    match tokio::time::timeout(api.timeout, read(*asked)).await.unwrap_or(Err(ErrorCode::INTERNAL)) {
        Ok(document) => shown(&document),
        Err(error) if error == ErrorCode::NOT_FOUND => respond::text(StatusCode::NOT_FOUND, "there is no report of that time"),
        Err(error) if error == ErrorCode::NOT_AVAILABLE => respond::text(StatusCode::NOT_FOUND, "this hub keeps nothing to report on"),
        Err(_) => respond::text(StatusCode::INTERNAL_SERVER_ERROR, "the report cannot be read now"),
    }
}

fn shown(document: &Document) -> HttpResponse {
    let response = HttpResponse::Ok().insert_header((CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))).body(document.html());
    let mut response = secured(response);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
