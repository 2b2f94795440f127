//! Why a request is not carried out, and how each generation says so: the one table of statuses.

use super::{METADATA_PATH, MercureState};
use crate::guard::limits::TooOften;
use crate::http::respond;
use crate::protocol::mercure::{Generation, PublishFormError};
use crate::telemetry::emit;
use crate::telemetry::mercure::{MercureRefused, Reason};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use std::borrow::Cow;
use url::Url;

#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    text: Cow<'static, str>,
    reason: Reason,
    /// What stands in the challenge (RFC 6750, 3): `Some(None)`: no error code.
    challenge: Option<Option<&'static str>>,
    retry_after: Option<u64>,
    allow: Option<&'static str>,
}

impl Refusal {
    pub fn new(status: StatusCode, reason: Reason, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), reason, challenge: None, retry_after: None, allow: None }
    }

    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Reason::Malformed, text)
    }

    pub fn method(allow: &'static str) -> Self {
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, Reason::Malformed, "this address is not asked in this way");
        Self { allow: Some(allow), ..refusal }
    }

    pub fn too_often(too_often: TooOften) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, Reason::TooMany, "too many requests in too short a time");
        Self { retry_after: Some(too_often.seconds()), ..refusal }
    }

    /// Not now.
    pub fn unavailable(text: &'static str, retry_after: u32) -> Self {
        Self { retry_after: Some(retry_after.into()), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, Reason::Failed, text) }
    }

    /// No token is shown, and one is needed.
    pub fn no_token(generation: Generation) -> Self {
        let refusal = Self::new(StatusCode::UNAUTHORIZED, Reason::NoToken, "a token is needed");
        Self { challenge: (generation == Generation::Modern).then_some(None), ..refusal }
    }

    /// The header with the token cannot be understood, or a cookie is shown without saying by which page.
    pub fn unclear_token(generation: Generation, text: &'static str) -> Self {
        match generation {
            Generation::Legacy => Self::new(StatusCode::UNAUTHORIZED, Reason::BadToken, text),
            Generation::Modern => Self { challenge: Some(Some("invalid_request")), ..Self::new(StatusCode::BAD_REQUEST, Reason::BadToken, text) },
        }
    }

    /// The token is not good. Why, stands in the log.
    pub fn bad_token(generation: Generation) -> Self {
        let refusal = Self::new(StatusCode::UNAUTHORIZED, Reason::BadToken, "the token is not valid");
        Self { challenge: (generation == Generation::Modern).then_some(Some("invalid_token")), ..refusal }
    }

    /// A page of another origin would use the visitor's cookie.
    pub fn foreign_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, Reason::Origin, "pages of this origin may not publish")
    }

    /// The token is good, but not for this.
    pub fn not_allowed(generation: Generation) -> Self {
        let text = "the token does not allow this";
        match generation {
            Generation::Legacy => Self::new(StatusCode::UNAUTHORIZED, Reason::NotAllowed, text),
            Generation::Modern => Self { challenge: Some(Some("insufficient_scope")), ..Self::new(StatusCode::FORBIDDEN, Reason::NotAllowed, text) },
        }
    }

    /// The request is for another host (RFC 9110, 15.5.20).
    pub fn misdirected() -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, Reason::Malformed, "this hub is not known by that name")
    }

    pub fn form(error: PublishFormError, generation: Generation) -> Self {
        let is_forbidden = error == PublishFormError::Reserved && generation == Generation::Legacy;
        let status = if is_forbidden { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
        Self::new(status, Reason::Malformed, error.to_string())
    }

    pub fn into_response(self, state: &MercureState) -> HttpResponse {
        emit(MercureRefused { reason: self.reason });
        let mut answer = respond::text(self.status, &self.text);
        let headers = answer.headers_mut();
        if let Some(error) = self.challenge {
            let mut challenge = String::from("Bearer ");
            if let Some(error) = error {
                challenge.push_str(&format!("error=\"{error}\", "));
            }
            challenge.push_str(&format!("resource_metadata=\"{}\"", state.metadata_url()));
            if let Ok(challenge) = HeaderValue::try_from(challenge) {
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        answer
    }
}

impl MercureState {
    /// Where the metadata are: at the hub's own host, as far as that is known.
    fn metadata_url(&self) -> String {
        match Url::parse(&self.resource).ok().and_then(|url| url.join(METADATA_PATH).ok()) {
            Some(url) => url.into(),
            None => METADATA_PATH.to_string(),
        }
    }
}
