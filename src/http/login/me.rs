//! `GET /auth/me`: who is signed in, and what that allows.

use super::{Call, Refusal, ok};
use crate::auth::Right;
use crate::auth::accounts::UserInfo;
use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(super) struct MeAnswer {
    name: String,
    /// `viewer`, `publisher`, `operator` or `admin`.
    role: &'static str,
    /// Unix milliseconds.
    created_at: i64,
    /// Unix milliseconds.
    password_changed_at: i64,
    /// What the role allows, as words such as `sessions.read`.
    rights: Vec<&'static str>,
    /// What is granted in namespaces on top of their options: lists of `subscribe`, `publish`, `history` and `presence`.
    #[schema(value_type = Object)]
    grants: crate::auth::Grants,
}

pub(super) async fn call(call: &Call<'_>) -> Result<HttpResponse, Refusal> {
    let (user, _) = call.accounts.whose(call.refresh_token()?, call.place()).await?;
    let user = UserInfo::from(user);
    Ok(ok(&MeAnswer {
        name: user.name.to_string(),
        role: user.role.as_str(),
        created_at: user.created_at,
        password_changed_at: user.password_changed_at,
        rights: user.role.rights().map(Right::as_str).collect(),
        grants: user.grants,
    }))
}
