//! `POST /auth/login`: name and password for a login.

use super::{Call, Password, Refusal, signed_in};
use crate::auth::accounts::AccountError;
use crate::auth::passwords::PASSWORD_BYTES;
use actix_web::HttpResponse;
use secrecy::ExposeSecret;
use serde::Deserialize;
use utoipa::ToSchema;

/// Signs in. Sets the cookie that all other addresses here ask for, and gives a token for connections.
#[derive(Deserialize, ToSchema)]
pub(super) struct SignInRequest {
    name: String,
    /// 1,024 bytes at most.
    #[schema(value_type = String)]
    password: Password,
}

pub(super) async fn call(call: &Call<'_>) -> Result<HttpResponse, Refusal> {
    let SignInRequest { name, password: Password(password) } = call.body()?;
    // Refused unhashed: nobody has such a password. One that is too short is looked at like any other, so as to tell no rules to guessers.
    if password.expose_secret().len() > *PASSWORD_BYTES.end() {
        return Err(AccountError::PasswordLength.into());
    }
    Ok(signed_in(call, &call.accounts.login(&name, password, call.place()).await?))
}
