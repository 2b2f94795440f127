//! Where the token of a request is: in its header, in its query (legacy only), in a cookie.

use super::{MercureState, Refusal};
use crate::auth::{MercureRights, MercureRole, TokenError};
use crate::protocol::mercure::{Generation, Pair};
use crate::telemetry::emit;
use crate::telemetry::mercure::MercureTokenRefused;
use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, COOKIE, ORIGIN, REFERER};
use std::borrow::Cow;
use url::Url;

pub const LEGACY_COOKIE: &str = "mercureAuthorization";
pub const MODERN_COOKIE: &str = "__Secure-mercure_access_token";

/// A token as it is shown.
pub struct Shown<'a> {
    token: Cow<'a, str>,
    is_cookie: bool,
}

/// The token that a request shows. `generation`: what the rest of the request speaks, where that is known.
pub fn shown<'a>(
    state: &MercureState,
    request: &'a HttpRequest,
    query: &'a [Pair<'_>],
    generation: Option<Generation>,
) -> Result<Option<Shown<'a>>, Refusal> {
    // A header that is there counts, even where a good cookie is there too.
    if let Some(token) = in_header(request, generation.unwrap_or(state.usual_generation()))? {
        return Ok(Some(Shown { token: token.into(), is_cookie: false }));
    }
    let speaks = |asked| state.protocol.speaks(asked) && generation.is_none_or(|generation| generation == asked);
    if speaks(Generation::Legacy)
        && let Some(pair) = query.iter().find(|pair| pair.name == "authorization")
    {
        return Ok(Some(Shown { token: pair.value.as_ref().into(), is_cookie: false }));
    }
    let names = [(Generation::Modern, MODERN_COOKIE), (Generation::Legacy, LEGACY_COOKIE)];
    let found = names.iter().filter(|(asked, _)| speaks(*asked)).find_map(|(_, name)| cookie(request, name));
    Ok(found.map(|token| Shown { token: token.into(), is_cookie: true }))
}

/// The token in the header, if there is one.
pub fn in_header(request: &HttpRequest, generation: Generation) -> Result<Option<&str>, Refusal> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let Some(header) = headers.next() else { return Ok(None) };
    let token = header.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ')).then_some(token)
    });
    match (token, headers.next()) {
        (Some(token), None) => Ok(Some(token)),
        _ => Err(Refusal::unclear_token(generation, "the Authorization header is not one Bearer token")),
    }
}

fn cookie<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let pairs = request.headers().get_all(COOKIE).filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let value = pairs.filter_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('=')).next()?;
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)).filter(|value| !value.is_empty())
}

impl Shown<'_> {
    /// What the token allows. In what words it is answered if it allows nothing: of the request's generation, else of its own.
    pub fn verify(&self, state: &MercureState, role: MercureRole, generation: Option<Generation>) -> Result<MercureRights, Refusal> {
        state.tokens.verify(role, &self.token, state.clock.wall_seconds()).map_err(|error: TokenError| {
            let method = if role == MercureRole::Publisher { "publisher" } else { "subscriber" };
            emit(MercureTokenRefused { error: &error, method });
            Refusal::bad_token(generation.unwrap_or_else(|| self.generation(state)))
        })
    }

    /// What the token claims to be.
    pub fn generation(&self, state: &MercureState) -> Generation {
        state.tokens.generation_of(&self.token)
    }

    /// A cookie comes along with whatever page sends the request, so it must be one that may.
    pub fn check_origin(&self, state: &MercureState, request: &HttpRequest) -> Result<(), Refusal> {
        if !self.is_cookie {
            return Ok(());
        }
        let unclear = || Refusal::unclear_token(self.generation(state), "a cookie publishes only with an Origin or a Referer");
        let mut origins = request.headers().get_all(ORIGIN);
        let origin: Cow<'_, [u8]> = match (origins.next(), origins.next()) {
            (Some(origin), None) => origin.as_bytes().into(),
            (Some(_), Some(_)) => return Err(unclear()),
            (None, _) => {
                let referer = request.headers().get(REFERER).and_then(|referer| referer.to_str().ok()).ok_or_else(unclear)?;
                let url = Url::parse(referer).map_err(|_| unclear())?;
                url.origin().ascii_serialization().into_bytes().into()
            }
        };
        if state.publish_origins.allow(&origin) { Ok(()) } else { Err(Refusal::foreign_origin()) }
    }
}

impl MercureState {
    /// What a request is taken to speak that does not show it.
    pub fn usual_generation(&self) -> Generation {
        if self.protocol.speaks(Generation::Legacy) { Generation::Legacy } else { Generation::Modern }
    }
}
