//! `POST /auth/token`: the next cookie, and a new token for connections. What an SDK's `getToken` asks.

use super::{Call, Refusal, signed_in};
use actix_web::HttpResponse;
use serde::Deserialize;
use utoipa::ToSchema;

/// Gives a new token for connections and replaces the cookie. The one before stays good for a moment (`accounts.rotation_grace`); an older one
/// ends the login.
#[derive(Deserialize, ToSchema)]
pub(super) struct TokenRequest {}

pub(super) async fn call(call: &Call<'_>) -> Result<HttpResponse, Refusal> {
    let TokenRequest {} = call.body()?;
    Ok(signed_in(call, &call.accounts.refresh(call.refresh_token()?, call.place()).await?))
}
