//! Answers, written: JSON into one buffer, errors of the table as HTTP, plain texts for those who cannot be answered in JSON.

use crate::protocol::codes::Refusal;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use utoipa::ToSchema;

/// Bytes that most answers fit in.
const ANSWER_BYTES: usize = 128;

/// An answer that is being written.
pub fn buffer() -> BytesMut {
    BytesMut::with_capacity(ANSWER_BYTES)
}

/// Appends `value`. All that is written here are texts, numbers and JSON that came through a parser: nothing of it can fail to be written.
pub fn write_json(value: &impl Serialize, out: &mut BytesMut) {
    serde_json::to_writer(out.writer(), value).expect("writing plain values into memory does not fail");
}

/// An error of the table, as the server API shows it: without `temporary`, which is the client protocol's.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    pub code: u32,
    #[schema(value_type = String)]
    pub message: Cow<'static, str>,
}

impl From<&Refusal> for ErrorBody {
    fn from(error: &Refusal) -> Self {
        Self { code: error.row.code, message: error.message() }
    }
}

pub fn write_error(error: &Refusal, out: &mut BytesMut) {
    write_json(&ErrorBody::from(error), out);
}

pub fn json(status: StatusCode, body: impl Into<Bytes>) -> HttpResponse {
    HttpResponse::build(status).insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json"))).body(body.into())
}

/// A line for people. It may repeat what was asked for, so no browser may take it for a page.
pub fn text(status: StatusCode, line: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .body(format!("{line}\n"))
}

pub fn not_found() -> HttpResponse {
    text(StatusCode::NOT_FOUND, "there is nothing at this address")
}

/// 405: the address is right, the way of asking is not.
pub fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this address is not asked in this way");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Answers for browsers, pages or not, go out with these.
const SECURITY: [(HeaderName, HeaderValue); 6] = [
    // Everything from here and nothing inline: what a channel's data might smuggle into the page finds nothing that runs it.
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // For browsers that do not know `frame-ancestors`.
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

pub fn secured(mut response: HttpResponse) -> HttpResponse {
    for (name, value) in SECURITY {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Bytes as a JSON value, if they are one and only one.
pub fn as_json(bytes: &[u8]) -> Option<&RawValue> {
    if bytes.is_empty() { None } else { serde_json::from_slice(bytes).ok() }
}
