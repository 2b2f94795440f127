//! `POST /auth/logout` and `POST /auth/logout-everywhere`: the end of this login, or of all logins of its user.

use super::{Call, Refusal, cookie, done};
use actix_web::HttpResponse;
use actix_web::http::header::SET_COOKIE;
use serde::Deserialize;
use utoipa::ToSchema;

/// Ends the login and the live connections that it has let in.
#[derive(Deserialize, ToSchema)]
pub(super) struct LogoutRequest {}

/// Ends all logins of the user, this one included, and their live connections.
#[derive(Deserialize, ToSchema)]
pub(super) struct LogoutEverywhereRequest {}

pub(super) async fn call(call: &Call<'_>) -> Result<HttpResponse, Refusal> {
    let LogoutRequest {} = call.body()?;
    call.accounts.logout(call.refresh_token()?, call.place()).await?;
    Ok(without_cookie(call))
}

pub(super) async fn everywhere(call: &Call<'_>) -> Result<HttpResponse, Refusal> {
    let LogoutEverywhereRequest {} = call.body()?;
    call.accounts.logout_everywhere(call.refresh_token()?, call.place()).await?;
    Ok(without_cookie(call))
}

/// The answer to somebody who is not signed in any more.
pub(super) fn without_cookie(call: &Call<'_>) -> HttpResponse {
    let mut answer = done();
    answer.headers_mut().append(SET_COOKIE, cookie::clear(call.caller.is_secure));
    answer
}
