//! `POST /auth/password`: another password for whoever knows the present one.

use super::{Call, Password, Refusal, done};
use crate::auth::accounts::AccountError;
use crate::auth::passwords::PASSWORD_BYTES;
use actix_web::HttpResponse;
use secrecy::ExposeSecret;
use serde::Deserialize;
use utoipa::ToSchema;

/// Changes the password, and ends all other logins of the user with their live connections.
#[derive(Deserialize, ToSchema)]
pub(super) struct PasswordRequest {
    #[schema(value_type = String)]
    current: Password,
    /// 8 to 1,024 bytes.
    #[schema(value_type = String)]
    new: Password,
}

pub(super) async fn call(call: &Call<'_>) -> Result<HttpResponse, Refusal> {
    let PasswordRequest { current: Password(current), new: Password(new) } = call.body()?;
    if current.expose_secret().len() > *PASSWORD_BYTES.end() {
        return Err(AccountError::PasswordLength.into());
    }
    call.accounts.change_password(call.refresh_token()?, current, new, call.place()).await?;
    Ok(done())
}
