//! Which pages of other origins may read answers (Fetch Standard, 3.3). A foreign page is served all the same, only without these headers: it is
//! the browser that keeps the answer from it.

use super::Origins;
use crate::auth::OriginError;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use actix_web::{HttpRequest, HttpResponse};

const METHODS: &str = "GET, HEAD, POST";
const HEADERS: &str = "authorization, cache-control, last-event-id, content-type";
const EXPOSED: &str = "Link, Last-Event-ID, Mercure-Last-Event-ID, ETag";

/// Seconds for which a browser need not ask again.
const MAX_AGE: &str = "600";

pub struct Cors {
    /// `None`: no other origin is known, and no header is sent.
    origins: Option<Origins>,
    /// `*` is the only one: anybody may read, but nobody with cookies.
    is_public: bool,
}

impl Cors {
    pub fn new(patterns: &[String]) -> Result<Self, OriginError> {
        let origins = if patterns.is_empty() { None } else { Some(Origins::new(patterns)?) };
        Ok(Self { origins, is_public: matches!(patterns, [only] if only == "*") })
    }

    pub fn is_preflight(&self, request: &HttpRequest) -> bool {
        self.origins.is_some() && request.headers().contains_key(ORIGIN) && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The headers for an answer to this request.
    pub fn headers(&self, request: &HttpRequest) -> Vec<(HeaderName, HeaderValue)> {
        let Some(origins) = &self.origins else { return Vec::new() };
        if self.is_public {
            let any = HeaderValue::from_static("*");
            return vec![(ACCESS_CONTROL_ALLOW_ORIGIN, any), (ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED))];
        }
        let mut headers = vec![(VARY, HeaderValue::from_static("Origin"))];
        let mut named = request.headers().get_all(ORIGIN);
        if let (Some(origin), None) = (named.next(), named.next())
            && origins.allow(origin.as_bytes())
        {
            headers.push((ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()));
            headers.push((ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
            headers.push((ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED)));
        }
        headers
    }

    pub fn decorate(&self, request: &HttpRequest, answer: &mut HttpResponse) {
        for (name, value) in self.headers(request) {
            answer.headers_mut().append(name, value);
        }
    }

    pub fn preflight(&self, request: &HttpRequest) -> HttpResponse {
        let mut answer = HttpResponse::new(StatusCode::NO_CONTENT);
        let headers = self.headers(request);
        let is_allowed = headers.iter().any(|(name, _)| name == ACCESS_CONTROL_ALLOW_ORIGIN);
        let own = answer.headers_mut();
        for (name, value) in headers.into_iter().filter(|(name, _)| name != VARY && name != ACCESS_CONTROL_EXPOSE_HEADERS) {
            own.append(name, value);
        }
        own.append(VARY, HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"));
        if is_allowed {
            own.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            own.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
            own.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        }
        answer
    }
}
