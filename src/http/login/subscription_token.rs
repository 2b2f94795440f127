//! `POST /auth/subscription-token`: a token for a channel that is only subscribed to with one.

use super::{Call, Refusal, ok};
use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Gives a subscription token, where the user's grants allow to subscribe to the channel.
#[derive(Deserialize, ToSchema)]
pub(super) struct SubscriptionTokenRequest {
    channel: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SubscriptionTokenAnswer {
    token: String,
}

pub(super) async fn call(call: &Call<'_>) -> Result<HttpResponse, Refusal> {
    let request: SubscriptionTokenRequest = call.body()?;
    let token = call.accounts.subscription_token(call.refresh_token()?, &request.channel, call.place()).await?;
    Ok(ok(&SubscriptionTokenAnswer { token }))
}
