//! Signing in: what the login page and signed-in pages ask, as JSON under `/auth`. One file an endpoint.
//!
//! The rules are those of `auth::accounts`; here are the cookie, who may send it, and the answers. Pages of other origins are refused three
//! times over: the cookie is `SameSite=Strict`, the browser's own word about the request is looked at, and a body must be JSON, which no form
//! can send. Deliberately absent: users in general (they are administered by commands) and anything that needs no account.

mod caller;
mod cookie;
mod logins;
mod logout;
mod me;
pub mod openapi;
mod password;
mod sign_in;
mod subscription_token;
mod token;

pub use caller::{IsTls, login_of};

use super::api::{Unread, read};
use super::respond::{self, secured};
use crate::auth::accounts::{AccountError, Accounts, EndReason, Place, SignedIn};
use crate::auth::passwords::PASSWORD_BYTES;
use crate::store::LoginId;
use crate::telemetry::accounts::LoginRefused;
use crate::telemetry::emit;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use caller::Caller;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Bytes of one body: two passwords of the greatest length, with every letter escaped, fit in several times.
const BODY_BYTES_MAX: usize = 64 * 1_024;

/// Seconds after which those are asked to come again who came at a bad moment.
const AGAIN_SECONDS: u64 = 1;

/// What the endpoints work with. One for all workers.
pub struct LoginState {
    /// The path that all addresses begin with: begins with a slash and does not end with one.
    pub prefix: String,
    pub accounts: Arc<Accounts>,
    /// For a body to come.
    pub timeout: Duration,
}

/// Mounts the endpoints under their prefix.
pub fn configure(state: Arc<LoginState>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |service| {
        let scope = web::scope(&state.prefix);
        service.service(scope.default_service(web::to(move |request, body| serve(Arc::clone(&state), request, body))));
    }
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    SignIn,
    Token,
    SubscriptionToken,
    Logout,
    LogoutEverywhere,
    Me,
    Password,
    Logins,
    EndLogin(Option<LoginId>),
}

impl Endpoint {
    /// By the path behind the prefix.
    fn find(path: &str) -> Option<Self> {
        Some(match path {
            "/login" => Self::SignIn,
            "/token" => Self::Token,
            "/subscription-token" => Self::SubscriptionToken,
            "/logout" => Self::Logout,
            "/logout-everywhere" => Self::LogoutEverywhere,
            "/me" => Self::Me,
            "/password" => Self::Password,
            "/sessions" => Self::Logins,
            path => Self::EndLogin(path.strip_prefix("/sessions/").filter(|id| !id.contains('/')).map(LoginId::parse)?),
        })
    }

    fn method(self) -> Method {
        match self {
            Self::Me | Self::Logins => Method::GET,
            Self::EndLogin(_) => Method::DELETE,
            Self::SignIn | Self::Token | Self::SubscriptionToken | Self::Logout | Self::LogoutEverywhere | Self::Password => Method::POST,
        }
    }
}

/// What is at hand while one request is carried out.
struct Call<'a> {
    accounts: &'a Accounts,
    caller: Caller,
    body: Bytes,
}

impl Call<'_> {
    fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| Refusal::malformed(format!("The body is not what this address takes: {error}.")))
    }

    /// The refresh token in the cookie.
    fn refresh_token(&self) -> Result<&str, Refusal> {
        self.caller.cookie.as_deref().ok_or_else(|| Refusal::from(AccountError::SignedOut { reason: EndReason::None }))
    }

    fn place(&self) -> &Place {
        &self.caller.place
    }
}

/// One request, from its address to its answer.
async fn serve(state: Arc<LoginState>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let path = request.path().strip_prefix(&state.prefix).unwrap_or_default();
    let Some(endpoint) = Endpoint::find(path) else {
        return finished(Refusal::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.").into_response());
    };
    let mut answer = match carry_out(&state, endpoint, &request, body).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.into_response(),
    };
    if answer.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Ok(allowed) = HeaderValue::from_str(endpoint.method().as_str())
    {
        answer.headers_mut().insert(ALLOW, allowed);
    }
    finished(answer)
}

async fn carry_out(state: &LoginState, endpoint: Endpoint, request: &HttpRequest, body: web::Payload) -> Result<HttpResponse, Refusal> {
    if endpoint.method() != *request.method() {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", "This address is not asked in this way."));
    }
    let changes = endpoint.method() != Method::GET;
    let caller = Caller::of(request, changes)?;
    let is_secure = caller.is_secure;
    let body = if changes { read(body, request.headers(), BODY_BYTES_MAX, state.timeout).await.map_err(Refusal::from)? } else { Bytes::new() };
    let call = Call { accounts: &state.accounts, caller, body };
    let answer = match endpoint {
        Endpoint::SignIn => sign_in::call(&call).await,
        Endpoint::Token => token::call(&call).await,
        Endpoint::SubscriptionToken => subscription_token::call(&call).await,
        Endpoint::Logout => logout::call(&call).await,
        Endpoint::LogoutEverywhere => logout::everywhere(&call).await,
        Endpoint::Me => me::call(&call).await,
        Endpoint::Password => password::call(&call).await,
        Endpoint::Logins => logins::list(&call).await,
        Endpoint::EndLogin(id) => logins::end(&call, id).await,
    };
    // A cookie that opens nothing is taken back.
    answer.map_err(|refusal| Refusal { takes_cookie_of: refusal.is_signed_out().then_some(is_secure), ..refusal })
}

/// What all answers have: nobody between here and the browser may keep them.
fn finished(answer: HttpResponse) -> HttpResponse {
    let mut answer = secured(answer);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Who is signed in, and with what.
#[derive(Serialize, ToSchema)]
struct SignedInAnswer<'a> {
    user: SignedInUser<'a>,
    /// For the `connect` and `refresh` commands of a connection.
    token: &'a str,
    /// Seconds until the token expires.
    expires_in: i64,
}

#[derive(Serialize, ToSchema)]
struct SignedInUser<'a> {
    name: &'a str,
    /// `viewer`, `publisher`, `operator` or `admin`.
    role: &'static str,
}

fn signed_in(call: &Call<'_>, signed_in: &SignedIn) -> HttpResponse {
    let user = SignedInUser { name: signed_in.user.as_str(), role: signed_in.role.as_str() };
    let mut answer = ok(&SignedInAnswer { user, token: &signed_in.token, expires_in: (signed_in.token_ttl_ms / 1_000).max(1) });
    answer
        .headers_mut()
        .append(SET_COOKIE, cookie::set(call.caller.is_secure, &signed_in.refresh, signed_in.refresh_ttl_ms.saturating_add(999) / 1_000));
    answer
}

fn ok(body: &impl Serialize) -> HttpResponse {
    let mut out = respond::buffer();
    respond::write_json(body, &mut out);
    respond::json(StatusCode::OK, out)
}

/// Done, and nothing to tell.
fn done() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// Why something was not done.
#[derive(Debug, Serialize, ToSchema)]
struct Refusal {
    #[serde(skip)]
    #[schema(ignore)]
    status: StatusCode,
    /// A word for programs.
    code: &'static str,
    /// A sentence for people.
    #[schema(value_type = String)]
    message: Cow<'static, str>,
    /// With `wrong`: tries before a pause of `pause` seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    tries_left: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<u64>,
    /// With `paused`, `busy` and `store`: seconds after which it may be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// With `signed_out`: `idle`, `absolute`, `logout`, `replayed`, `revoked`, `password` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip)]
    #[schema(ignore)]
    takes_cookie_of: Option<bool>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { status, code, message, tries_left: None, pause: None, retry_after: None, reason: None, takes_cookie_of: None }
    }

    fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    fn again_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    fn is_signed_out(&self) -> bool {
        self.reason.is_some()
    }

    fn into_response(self) -> HttpResponse {
        let mut out = respond::buffer();
        respond::write_json(&self, &mut out);
        let mut response = respond::json(self.status, out);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(is_secure) = self.takes_cookie_of {
            response.headers_mut().append(SET_COOKIE, cookie::clear(is_secure));
        }
        response
    }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge { max } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("The body is larger than {max} bytes.")),
            Unread::TooSlow => Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "The body did not come in time."),
            Unread::Broken => Self::malformed("The body cannot be read."),
        }
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store { .. } | AccountError::StoreTimeout => {
                log::warn!("accounts: {:#}", anyhow::Error::from(error));
                let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "store", "The hub cannot look up accounts at this moment.");
                refusal.again_after(AGAIN_SECONDS)
            }
            AccountError::Busy => {
                let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many people sign in at this moment.");
                refusal.again_after(AGAIN_SECONDS)
            }
            AccountError::Hash { .. } | AccountError::Token { .. } => {
                log::error!("accounts: {:#}", anyhow::Error::from(error));
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The hub could not do it.")
            }
            AccountError::Wrong { tries_left, pause_ms } => {
                let tries = if tries_left == 1 { "try" } else { "tries" };
                let message = format!("Name or password is wrong. {tries_left} {tries} left before a pause of {}.", in_words(pause_ms));
                let refusal = Self::new(StatusCode::UNAUTHORIZED, "wrong", message);
                Self { tries_left: Some(tries_left), pause: Some(pause_ms.div_ceil(1_000)), ..refusal }
            }
            AccountError::Paused { for_ms } => {
                let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "paused", format!("Too many tries. Wait {}.", in_words(for_ms)));
                refusal.again_after(for_ms.div_ceil(1_000))
            }
            AccountError::SignedOut { reason } => {
                let message = match reason {
                    EndReason::Idle => "Signed out: it was not used for too long.",
                    EndReason::Absolute => "Signed out: it is time to sign in again.",
                    EndReason::Logout => "Signed out.",
                    EndReason::Replayed => "Signed out: an old copy of this login was used, so somebody else may have it.",
                    EndReason::Revoked => "Signed out: the login was ended.",
                    EndReason::Password => "Signed out: the password was changed.",
                    EndReason::None => "Not signed in.",
                };
                Self { reason: Some(reason.as_str()), ..Self::new(StatusCode::UNAUTHORIZED, "signed_out", message) }
            }
            AccountError::Banned { .. } => Self::new(StatusCode::FORBIDDEN, "banned", "This account is kept out."),
            AccountError::NoSuchLogin => Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such login."),
            AccountError::NotGranted { .. } => Self::new(StatusCode::FORBIDDEN, "forbidden", "You may not subscribe to this channel."),
            AccountError::PasswordLength => {
                let message = format!("A password has {} to {} bytes.", PASSWORD_BYTES.start(), PASSWORD_BYTES.end());
                Self::new(StatusCode::BAD_REQUEST, "password", message)
            }
            AccountError::BadName => Self::new(StatusCode::BAD_REQUEST, "name", format!("{error}.")),
            AccountError::NoSuchUser { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such user."),
            AccountError::UserExists { .. } => Self::new(StatusCode::CONFLICT, "exists", "There is a user of this name already."),
            AccountError::LastAdmin => Self::new(StatusCode::CONFLICT, "last_admin", "Somebody must stay admin."),
        }
    }
}

/// A pause, as people say it: `1 min`, `15 min`, `40 s`.
fn in_words(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    if seconds < 60 { format!("{} s", seconds.max(1)) } else { format!("{} min", seconds.div_ceil(60)) }
}

/// A password in a request. Wiped when it is dropped, and shown nowhere.
struct Password(secrecy::SecretString);

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// A request of no page of ours.
fn refused(caller: std::net::IpAddr, reason: &'static str, refusal: Refusal) -> Refusal {
    emit(LoginRefused { reason, address: caller });
    refusal
}

/// Headers of browsers that say where a request comes from (Fetch Metadata, 2).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_found_by_their_paths() {
        let id = LoginId::random();
        for (path, endpoint) in [
            ("/login", Some(Endpoint::SignIn)),
            ("/logout-everywhere", Some(Endpoint::LogoutEverywhere)),
            ("/sessions", Some(Endpoint::Logins)),
            (&format!("/sessions/{id}"), Some(Endpoint::EndLogin(Some(id)))),
            ("/sessions/x", Some(Endpoint::EndLogin(None))),
            ("/sessions/x/y", None),
            ("/sessions/", Some(Endpoint::EndLogin(None))),
            ("/login/", None),
            ("", None),
            ("/", None),
            ("/Login", None),
        ] {
            assert_eq!(Endpoint::find(path), endpoint, "{path}");
        }
    }

    #[test]
    fn pauses_are_told_in_words() {
        for (ms, words) in [(0, "1 s"), (1, "1 s"), (59_001, "1 min"), (40_000, "40 s"), (60_000, "1 min"), (61_000, "2 min"), (900_000, "15 min")] {
            assert_eq!(in_words(ms), words);
        }
    }
}
