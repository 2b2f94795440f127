//! What clients ask, one file a command. Permissions are judged by `auth`, offsets by the broker, places by the topic; here it is put
//! together in the order that the protocol demands, and answered.

mod connect;
mod history;
mod hooked;
mod presence;
pub mod publish;
mod refresh;
mod rpc;
mod subscribe;

pub(super) use hooked::Verdict;
pub(super) use subscribe::Asked;

use super::{Phase, Session, Step};
use crate::auth::{Client, Granted, Jwks, KeyNews};
use crate::broker::Answer;
use crate::channel::{ChannelOptions, ClientInfo};
use crate::protocol::centrifuge::{Reply, Request};
use crate::protocol::codes::{ClientError, Disconnect, ErrorCode, Unsubscribed};
use crate::session::hub::why_blocked;
use crate::store::BlockKind;
use actix::prelude::*;
use std::sync::Arc;

impl Session {
    /// Carries a command out. One that brings a token by a key unheard of waits until the published keys have been looked at.
    pub(super) fn command(&mut self, id: u32, request: &Request, ctx: &mut Context<Self>) -> Step {
        let Some(keys) = self.asks_for_keys(request) else {
            let step = self.carry_out(id, request, ctx);
            // What the application said is kept only for a command that starts over.
            if self.verdict.is_some() && step != Step::Again {
                self.verdict = None;
            }
            return step;
        };
        let request = request.clone();
        self.with_answer(Answer::Later(Box::pin(keys.ask())), ctx, move |session, asked, ctx| {
            if asked == KeyNews::NoAnswer && session.asks_for_keys(&request).is_some() {
                // Whether the token is good nobody can say now, so the client is told to try again and not that it is wrong.
                return match request {
                    Request::Connect(_) => session.turn_away(id, connect::Refused::Error(ErrorCode::INTERNAL)),
                    _ => session.refuse(id, request.name(), ErrorCode::INTERNAL),
                };
            }
            let step = session.carry_out(id, &request, ctx);
            if step == Step::Again {
                session.put_back(id, request);
            }
            step
        })
    }

    fn asks_for_keys(&self, request: &Request) -> Option<Arc<Jwks>> {
        let (verifier, token) = match (&self.phase, request) {
            (Phase::Fresh, Request::Connect(request)) => (&self.worker.tokens, &request.token),
            (Phase::Connected(_), Request::Refresh(request)) => (&self.worker.tokens, &request.token),
            (Phase::Connected(_), Request::Subscribe(request)) => (&self.worker.subscription_tokens, &request.token),
            (Phase::Connected(_), Request::SubRefresh(request)) => (&self.worker.subscription_tokens, &request.token),
            _ => return None,
        };
        if token.is_empty() { None } else { verifier.asks_for_keys(token, self.worker.clock.wall_seconds()) }
    }

    fn carry_out(&mut self, id: u32, request: &Request, ctx: &mut Context<Self>) -> Step {
        let is_connect = matches!(request, Request::Connect(_));
        let is_allowed = match self.phase {
            Phase::Fresh => is_connect,
            Phase::Connected(_) => !is_connect,
            Phase::Refused { .. } | Phase::Closing => return Step::Done,
        };
        if !is_allowed {
            return self.drop_client(Disconnect::BAD_REQUEST);
        }
        // What an SDK does by itself, for as long as it runs, is no sign of anybody being there.
        if !matches!(request, Request::Pong | Request::Refresh(_) | Request::SubRefresh(_)) {
            self.active_at = self.worker.clock.now();
        }
        match request {
            Request::Pong => {
                self.pong();
                Step::Done
            }
            Request::Connect(request) => self.connect(id, request, ctx),
            Request::Subscribe(request) => self.subscribe(id, request, ctx),
            Request::Unsubscribe(request) => {
                if request.channel.is_empty() {
                    return self.drop_client(Disconnect::BAD_REQUEST);
                }
                if let Some((channel, _)) = self.subscriptions.remove_entry(request.channel.as_str()) {
                    self.tell_unsubscribed(&channel, Unsubscribed::CLIENT);
                }
                self.count_subscriptions();
                self.reply(&Reply::Unsubscribe { id });
                Step::Done
            }
            Request::Publish(request) => self.publish(id, request, ctx),
            Request::Presence(request) => self.presence(id, &request.channel, ctx),
            Request::PresenceStats(request) => self.presence_stats(id, &request.channel, ctx),
            Request::History(request) => self.history(id, request, ctx),
            Request::Rpc(request) => self.rpc(id, request, ctx),
            Request::Send(_) => self.drop_client(Disconnect::NOT_AVAILABLE),
            Request::Refresh(request) => self.refresh(id, request),
            Request::SubRefresh(request) => self.sub_refresh(id, request),
            Request::Unknown => self.drop_client(Disconnect::BAD_REQUEST),
        }
    }

    fn drop_client(&mut self, why: Disconnect) -> Step {
        self.disconnect(why);
        Step::Done
    }

    /// Who asks, with what it has been granted in the namespace of `channel`.
    fn client(&self, channel: &str) -> Client<'_> {
        let granted =
            if self.bearer.grants.is_empty() { Granted::NOTHING } else { self.bearer.grants.of(self.worker.publisher.rules.namespace(channel)) };
        Client { user: &self.user, session: self.id, is_insecure: self.worker.settings.is_insecure, role: self.bearer.role, granted }
    }

    fn keep_out(&mut self, kind: BlockKind) -> Step {
        self.token_refused(&format_args!("its {} is blocked", kind.as_str()));
        self.drop_client(why_blocked(kind))
    }

    fn is_subscribed(&self, channel: &str) -> bool {
        self.subscriptions.contains_key(channel)
    }

    /// The options of a channel that a client named, or the error for it.
    fn options(&self, channel: &str) -> Result<Arc<ChannelOptions>, ErrorCode> {
        self.worker.publisher.rules.options_for_client(channel).cloned().map_err(|error| error.code())
    }

    /// What others may know of this client, in `channel` if it is subscribed there.
    fn info_in(&self, channel: &str) -> Option<Arc<ClientInfo>> {
        match self.subscriptions.get(channel) {
            Some(subscription) => Some(Arc::clone(&subscription.info)),
            None => self.identity().map(|identity| Arc::clone(&identity.info)),
        }
    }

    /// Goes on with a broker's answer: in this turn if it is there, else as soon as it is, with everything behind it waiting.
    pub(super) fn with_answer<T: 'static>(
        &mut self,
        answer: Answer<T>,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, T, &mut Context<Self>) -> Step + 'static,
    ) -> Step {
        match answer {
            Answer::Ready(value) => then(self, value, ctx),
            Answer::Later(future) => {
                ctx.wait(future.into_actor(self).map(move |value, session, ctx| {
                    // What waits again, for something else, goes on by itself then, with everything behind it.
                    if matches!(session.phase, Phase::Closing) || then(session, value, ctx) != Step::Later {
                        session.go_on(ctx);
                    }
                }));
                Step::Later
            }
        }
    }
}

/// The longest time that a client is told: a year. SDKs set a timer for it.
const TTL_SECONDS_MAX: i64 = 365 * 24 * 3_600;

/// Seconds from now until `expires_at`, as clients are told: at least one.
pub(super) fn ttl(expires_at: Option<i64>, wall_seconds: i64) -> Option<u32> {
    expires_at.map(|at| at.saturating_sub(wall_seconds).clamp(1, TTL_SECONDS_MAX) as u32)
}
