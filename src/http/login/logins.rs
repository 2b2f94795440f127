//! `GET /auth/sessions` and `DELETE /auth/sessions/{id}`: the user's own logins, seen and ended.

use super::logout::without_cookie;
use super::{Call, Refusal, done, ok};
use crate::auth::accounts::{AccountError, LiveSession, OwnLogin};
use crate::store::LoginId;
use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

/// Connections that are told of one login.
const LIVE_MAX: usize = 100;

/// The user's logins that have not ended, the most recently used first.
#[derive(Serialize, ToSchema)]
pub(super) struct LoginsAnswer {
    sessions: Vec<LoginRow>,
}

#[derive(Serialize, ToSchema)]
struct LoginRow {
    id: String,
    /// What the user agent said of itself.
    device: String,
    /// As of the last use.
    address: String,
    /// Unix milliseconds.
    created_at: i64,
    /// Unix milliseconds.
    last_seen_at: i64,
    /// Whether it is the one that asks.
    is_current: bool,
    /// Connections that it has let in, 100 at most.
    live: Vec<LiveRow>,
}

#[derive(Serialize, ToSchema)]
struct LiveRow {
    client: String,
    transport: &'static str,
    address: String,
    /// Unix milliseconds.
    since: i64,
}

impl From<OwnLogin> for LoginRow {
    fn from(own: OwnLogin) -> Self {
        let OwnLogin { login, is_current, live } = own;
        Self {
            id: login.id.to_string(),
            device: login.device,
            address: login.address,
            created_at: login.created_at,
            last_seen_at: login.last_seen_at,
            is_current,
            live: live.into_iter().take(LIVE_MAX).map(LiveRow::from).collect(),
        }
    }
}

impl From<LiveSession> for LiveRow {
    fn from(live: LiveSession) -> Self {
        Self { client: live.client.to_string(), transport: live.transport, address: live.address, since: live.since }
    }
}

pub(super) async fn list(call: &Call<'_>) -> Result<HttpResponse, Refusal> {
    let logins = call.accounts.own_logins(call.refresh_token()?, call.place()).await?;
    Ok(ok(&LoginsAnswer { sessions: logins.into_iter().map(LoginRow::from).collect() }))
}

/// `id`: `None` where the address names none that could be.
pub(super) async fn end(call: &Call<'_>, id: Option<LoginId>) -> Result<HttpResponse, Refusal> {
    let id = id.ok_or(AccountError::NoSuchLogin)?;
    let is_current = call.accounts.end_own_login(call.refresh_token()?, id, call.place()).await?;
    Ok(if is_current { without_cookie(call) } else { done() })
}
