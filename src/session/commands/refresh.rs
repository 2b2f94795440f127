//! `refresh` and `sub_refresh`: a client brings a new token before the old one's time is over.

use super::{Session, Step, ttl};
use crate::auth::{TokenError, must_be_for};
use crate::channel::ChannelName;
use crate::protocol::centrifuge::command::{RefreshRequest, SubRefreshRequest};
use crate::protocol::centrifuge::{RefreshResult, Reply};
use crate::protocol::codes::{Disconnect, ErrorCode};
use crate::session::Phase;
use crate::session::facts::Credentials;

impl Session {
    pub(super) fn refresh(&mut self, id: u32, request: &RefreshRequest) -> Step {
        if request.token.is_empty() {
            return self.drop_client(Disconnect::BAD_REQUEST);
        }
        // The application says how long the connection lasts: a token has no say in it.
        if self.renewed_by().is_some() {
            return self.drop_client(Disconnect::BAD_REQUEST);
        }
        let wall_seconds = self.worker.clock.wall_seconds();
        let claims = match self.worker.tokens.verify_connection(&request.token, wall_seconds) {
            Ok(claims) => claims,
            Err(error @ TokenError::Invalid { .. }) => {
                self.token_refused(&error);
                return self.drop_client(Disconnect::INVALID_TOKEN);
            }
            Err(TokenError::Expired) => return self.drop_client(Disconnect::EXPIRED),
        };
        if claims.user != self.user {
            self.token_refused(&"it is of another user");
            return self.drop_client(Disconnect::INVALID_TOKEN);
        }
        if claims.expires_at.is_some_and(|at| at <= wall_seconds) {
            return self.drop_client(Disconnect::EXPIRED);
        }
        let Phase::Connected(identity) = &mut self.phase else { return Step::Done };
        if !claims.subs.iter().map(|sub| &sub.channel).eq(&identity.token_channels) {
            // The rights have changed: the client connects anew and gets what it has now.
            return self.drop_client(Disconnect::INSUFFICIENT_STATE);
        }
        identity.expires_at = claims.expires_at;
        identity.facts.set_credentials(Credentials::from(&claims));
        if let Some(kind) = identity.facts.block(&self.worker.blocks) {
            return self.keep_out(kind);
        }
        // As at the connect: the login may have ended since the token was looked at.
        let still_good = self.worker.tokens.still_good(&claims);
        let has_changed = self.bearer.role != claims.bearer.role;
        self.bearer = claims.bearer;
        if still_good.is_err() {
            return self.drop_client(Disconnect::INVALID_TOKEN);
        }
        if has_changed {
            self.leave_own_channels();
        }
        self.reply(&Reply::Refresh { id, result: RefreshResult { ttl: ttl(claims.expires_at, wall_seconds) } });
        self.schedule(self.worker.clock.now());
        Step::Done
    }

    pub(super) fn sub_refresh(&mut self, id: u32, request: &SubRefreshRequest) -> Step {
        if request.channel.is_empty() {
            return self.drop_client(Disconnect::BAD_REQUEST);
        }
        if !self.is_subscribed(&request.channel) {
            return self.refuse(id, "sub_refresh", ErrorCode::PERMISSION_DENIED);
        }
        if self.subscriptions.get(request.channel.as_str()).is_some_and(|subscription| subscription.is_renewed_by_hook) {
            return self.refuse(id, "sub_refresh", ErrorCode::NOT_AVAILABLE);
        }
        if request.token.is_empty() {
            return self.refuse(id, "sub_refresh", ErrorCode::BAD_REQUEST);
        }
        let wall_seconds = self.worker.clock.wall_seconds();
        let claims = match self.worker.subscription_tokens.verify_subscription(&request.token, wall_seconds) {
            Ok(claims) => claims,
            Err(error @ TokenError::Invalid { .. }) => {
                self.token_refused(&error);
                return self.drop_client(Disconnect::INVALID_TOKEN);
            }
            // Answered with success it would make the subscription eternal; the client gets a new token when it reconnects.
            Err(TokenError::Expired) => return self.drop_client(Disconnect::SUBSCRIPTION_EXPIRED),
        };
        if let Err(refused) = must_be_for(&claims, self.client(&request.channel), &request.channel) {
            self.token_refused(&refused);
            return self.drop_client(Disconnect::INVALID_TOKEN);
        }
        if claims.expires_at.is_some_and(|at| at <= wall_seconds) {
            return self.drop_client(Disconnect::SUBSCRIPTION_EXPIRED);
        }
        if let Some(subscription) = self.subscriptions.get_mut(&ChannelName::new(&request.channel)) {
            subscription.expires_at = claims.expires_at;
        }
        self.reply(&Reply::SubRefresh { id, result: RefreshResult { ttl: ttl(claims.expires_at, wall_seconds) } });
        self.schedule(self.worker.clock.now());
        Step::Done
    }
}
