//! The Mercure protocol at the edge: `/.well-known/mercure` and what lies below it. One file an endpoint.
//!
//! Tokens are judged here, and what is refused is answered in the words of the generation that asked ([`refusal`]). Every answer, errors
//! included, has the headers that let pages of other origins read it ([`cors`]).

mod cors;
mod metadata;
mod own;
mod publish;
mod refusal;
mod subscribe;
mod subscriptions;
mod token;

use crate::auth::accounts::Accounts;
use crate::auth::{MercureTokens, OriginError, OriginRule};
use crate::broker::Publisher;
use crate::clock::{Clock, Millis};
use crate::guard::limits::Limits;
use crate::mercure::MercureHub;
use crate::protocol::mercure::{Generation, HUB_PATH, Protocol};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, web};
use cors::Cors;
use refusal::Refusal;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Where the metadata of the protected resource are (RFC 9728, 3.1).
const METADATA_PATH: &str = "/.well-known/oauth-protected-resource/.well-known/mercure";

/// What the endpoints work with. One for all workers.
pub struct MercureState {
    pub hub: Arc<MercureHub>,
    pub tokens: MercureTokens,
    pub publisher: Publisher,
    /// Whose logins may watch the hub's own channels. `None`: the hub has no accounts.
    pub accounts: Option<Arc<Accounts>>,
    pub protocol: Protocol,
    /// The hub's own URL, as clients know it. Empty: not known.
    pub resource: String,
    /// Who issues the access tokens of the modern generation. Empty: nobody.
    pub issuer: String,
    pub has_subscriptions: bool,
    /// Subscribers need no token for what is public.
    pub anonymous: bool,
    /// Clients of all kinds. 0: no limit.
    pub connection_limit: usize,
    /// The longest that an answer lasts. `None`: no limit.
    pub write_timeout_ms: Option<Millis>,
    /// How long the oldest byte may wait for a subscriber.
    pub dispatch_timeout_ms: Millis,
    /// For a cookie that publishes.
    pub publish_origins: Origins,
    pub cors: Cors,
    pub limits: Arc<Limits>,
    pub clock: Clock,
    /// Bytes of one body.
    pub body_bytes_max: usize,
    /// For a body to come.
    pub timeout: Duration,
}

/// Origins of pages that may do something. The origin `null`, which any sandboxed page has, is one only where it is named.
pub struct Origins {
    rule: OriginRule,
    takes_null: bool,
}

impl Origins {
    pub fn new(patterns: &[String]) -> Result<Self, OriginError> {
        Ok(Self { rule: OriginRule::new(patterns)?, takes_null: patterns.iter().any(|pattern| pattern == "null") })
    }

    fn allow(&self, origin: &[u8]) -> bool {
        if origin == b"null" { self.takes_null } else { self.rule.allows(Some(origin)) }
    }
}

/// Which origins may read what the hub answers.
pub fn cors(patterns: &[String]) -> Result<Cors, OriginError> {
    Cors::new(patterns)
}

/// Mounts the endpoints.
pub fn configure(state: Arc<MercureState>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |service| {
        if state.protocol != Protocol::Legacy {
            let state = Arc::clone(&state);
            let serve = move |request: HttpRequest| {
                let state = Arc::clone(&state);
                async move { finished(&state, &request, metadata::answer(&state, &request)) }
            };
            service.route(METADATA_PATH, web::to(serve));
        }
        if state.has_subscriptions {
            let state = Arc::clone(&state);
            let serve = move |request: HttpRequest| {
                let state = Arc::clone(&state);
                async move {
                    if *request.method() == Method::OPTIONS && state.cors.is_preflight(&request) {
                        return with_security(state.cors.preflight(&request));
                    }
                    finished(&state, &request, subscriptions::answer(&state, &request))
                }
            };
            service.service(web::scope(&format!("{HUB_PATH}/subscriptions")).default_service(web::to(serve)));
        }
        service.route(HUB_PATH, web::to(move |request, body| serve(Arc::clone(&state), request, body)));
    }
}

/// One request to the hub's own address.
async fn serve(state: Arc<MercureState>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let answer = match *request.method() {
        Method::POST => publish::answer(&state, &request, body).await,
        Method::OPTIONS if state.cors.is_preflight(&request) => return with_security(state.cors.preflight(&request)),
        Method::GET | Method::HEAD => subscribe::answer(&state, &request, body).await,
        ref method if method.as_str() == subscribe::QUERY && state.protocol != Protocol::Legacy => subscribe::answer(&state, &request, body).await,
        _ => Err(Refusal::method("GET, HEAD, POST")),
    };
    finished(&state, &request, answer)
}

impl MercureState {
    /// Whether the request of a modern client is addressed to this hub, where it is known how it is called. A legacy client may call it as it
    /// likes.
    fn check_host(&self, request: &HttpRequest, generation: Generation) -> Result<(), Refusal> {
        let Ok(own) = Url::parse(&self.resource) else { return Ok(()) };
        let host = request.headers().get(HOST).and_then(|host| Url::parse(&format!("{}://{}/", own.scheme(), host.to_str().ok()?)).ok());
        let is_ours = host.is_some_and(|host| host.host() == own.host() && host.port() == own.port());
        if generation == Generation::Legacy || is_ours { Ok(()) } else { Err(Refusal::misdirected()) }
    }
}

/// What all answers have.
fn finished(state: &MercureState, request: &HttpRequest, answer: Result<HttpResponse, Refusal>) -> HttpResponse {
    let mut answer = answer.unwrap_or_else(|refusal| refusal.into_response(state));
    state.cors.decorate(request, &mut answer);
    with_security(answer)
}

fn with_security(mut answer: HttpResponse) -> HttpResponse {
    for (name, value) in security() {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

const fn security() -> [(HeaderName, &'static str); 3] {
    [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (X_FRAME_OPTIONS, "DENY"), (CONTENT_SECURITY_POLICY, "default-src 'self'")]
}
