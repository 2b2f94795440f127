//! What the application is asked: before a command is carried out, and when the time of a connection or a subscription is over.
//!
//! A command that asks is kept with everything behind it until the verdict is there, and is then carried out from its beginning with it: all
//! that the hub itself looks at has been looked at before the application is asked, and is looked at again.

use super::{Session, Step};
use crate::broker::Answer;
use crate::channel::{ChannelName, ClientInfo};
use crate::clock::Millis;
use crate::hooks::backend::Backend;
use crate::hooks::{Accepted, Admitted, Allowed, Asker, Heard, Hooks, Outcome, Question, Refused, Renewed, told};
use crate::protocol::centrifuge::Request;
use crate::protocol::codes::{Disconnect, Unsubscribed};
use crate::session::Phase;
use crate::session::subscription::Subscription;
use crate::telemetry::sessions::Ended;
use actix::prelude::*;
use std::sync::Arc;

/// Seconds that a connection or a subscription goes on when the application does not say whether it may.
const RESPITE_SECONDS: i64 = 60;

/// What the application said of the command that waits.
#[derive(Clone, Debug)]
pub(in crate::session) enum Verdict {
    Connect(Heard<Option<Admitted>>),
    Subscribe(Heard<Allowed>),
    Publish(Heard<Accepted>),
}

impl Session {
    /// Keeps a command until its verdict is there.
    pub(super) fn with_verdict<T: Unpin + 'static>(
        &mut self,
        id: u32,
        request: Request,
        answer: Answer<Outcome<T>>,
        ctx: &mut Context<Self>,
        verdict: fn(Heard<T>) -> Verdict,
    ) -> Step {
        self.with_answer(answer, ctx, move |session, outcome, ctx| {
            session.verdict = Some(Box::new(verdict(told(outcome))));
            let step = session.carry_out(id, &request, ctx);
            if step == Step::Again {
                session.put_back(id, request);
            } else {
                session.verdict = None;
            }
            step
        })
    }

    pub(super) fn hooks(&self) -> Option<&Hooks> {
        self.worker.hooks.as_deref()
    }

    /// A question about this client, without what is particular to it.
    pub(super) fn question(&self) -> Question<'_> {
        let user = matches!(self.phase, Phase::Connected(_)).then_some(self.user.as_str());
        Question {
            client: self.id.to_string(),
            transport: self.peer.transport.as_str(),
            protocol: self.codec().as_str(),
            user,
            ..Question::default()
        }
    }

    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { headers: self.peer.headers.as_ref(), meta: self.identity().and_then(|identity| identity.meta.as_deref()) }
    }

    /// The application turned the client away: with an error in the place of a reply, or with the end of the connection.
    pub(super) fn refuse_as(&mut self, id: u32, command: &'static str, refused: &Refused) -> Step {
        match refused {
            Refused::Error { error, message } => self.refuse_with(id, command, *error, message),
            Refused::Disconnect { code, reason } => {
                self.disconnect_as(*code, reason);
                Step::Done
            }
        }
    }

    fn disconnect_as(&mut self, code: u16, reason: &str) {
        let ours = Disconnect::ALL.into_iter().find(|row| row.code == code);
        self.disconnect_with(code, reason, Ended::ByHub(ours.unwrap_or(Disconnect::FORCE_NO_RECONNECT)));
    }

    /// Who says whether the connection goes on when its time is over. The hub's own logins renew their tokens themselves.
    pub(in crate::session) fn renewed_by(&self) -> Option<&Arc<Backend>> {
        self.hooks()?.refresh.as_ref().filter(|_| self.bearer.login.is_none())
    }

    /// Asks about the connection and its subscriptions as far as their time is over.
    pub(in crate::session) fn renew(&mut self, wall_ms: i64, ctx: &mut Context<Self>) {
        if self.worker.hooks.is_none() {
            return;
        }
        let is_over = |at: Option<i64>| at.is_some_and(|at| wall_ms >= at.saturating_mul(1_000));
        if !self.is_renewing
            && is_over(self.identity().and_then(|identity| identity.expires_at))
            && let Some(backend) = self.renewed_by()
        {
            let answer = backend.ask(self.question(), &[], self.asker());
            self.is_renewing = true;
            ctx.spawn(answer.into_actor(self).map(|outcome, session, _| {
                session.is_renewing = false;
                session.renewed(outcome);
                session.flush_replies();
            }));
        }
        let is_due = |one: &Subscription| one.is_renewed_by_hook && !one.is_renewing && is_over(one.expires_at);
        let due: Vec<ChannelName> = self.subscriptions.iter().filter(|(_, one)| is_due(one)).map(|(channel, _)| channel.clone()).collect();
        for channel in due {
            self.renew_subscription(channel, ctx);
        }
    }

    fn renewed(&mut self, outcome: Outcome<Renewed>) {
        let wall_seconds = self.worker.clock.wall_seconds();
        let Phase::Connected(identity) = &mut self.phase else { return };
        let expires_at = match outcome {
            Ok(Err(Refused::Disconnect { code, reason })) => return self.disconnect_as(code, &reason),
            Ok(Err(Refused::Error { error, .. })) if !error.temporary => return self.disconnect(Disconnect::EXPIRED),
            Ok(Err(Refused::Error { .. })) | Err(_) => Some(wall_seconds + RESPITE_SECONDS),
            Ok(Ok(Renewed { is_expired, expires_at, info, meta })) => {
                if is_expired || expires_at.is_some_and(|at| at <= wall_seconds) {
                    return self.disconnect(Disconnect::EXPIRED);
                }
                if let Some(conn_info) = info {
                    identity.info = Arc::new(ClientInfo { conn_info, ..(*identity.info).clone() });
                }
                if let Some(meta) = meta {
                    identity.meta = Some(Box::new(meta));
                }
                expires_at
            }
        };
        identity.expires_at = expires_at;
        identity.facts.set_expiry(expires_at);
        self.schedule(self.worker.clock.now());
    }

    fn renew_subscription(&mut self, channel: ChannelName, ctx: &mut Context<Self>) {
        let Ok(options) = self.worker.publisher.rules.options(&channel) else { return };
        let Some(backend) = self.hooks().and_then(|hooks| hooks.sub_refresh(&options.sub_refresh_proxy_name)) else { return };
        let answer = backend.ask(Question { channel: Some(&channel), ..self.question() }, &[], self.asker());
        if let Some(subscription) = self.subscriptions.get_mut(&channel) {
            subscription.is_renewing = true;
        }
        ctx.spawn(answer.into_actor(self).map(move |outcome, session, _| {
            session.subscription_renewed(&channel, outcome);
            session.flush_replies();
        }));
    }

    fn subscription_renewed(&mut self, channel: &ChannelName, outcome: Outcome<Renewed>) {
        let wall_seconds = self.worker.clock.wall_seconds();
        // The client may have left the channel meanwhile, and even have come back: that one is another subscription.
        let Some(subscription) = self.subscriptions.get_mut(channel).filter(|one| one.is_renewing) else { return };
        subscription.is_renewing = false;
        let is_over = match outcome {
            Ok(Err(Refused::Disconnect { code, reason })) => return self.disconnect_as(code, &reason),
            Ok(Err(Refused::Error { error, .. })) if !error.temporary => true,
            Ok(Err(Refused::Error { .. })) | Err(_) => {
                subscription.expires_at = Some(wall_seconds + RESPITE_SECONDS);
                false
            }
            Ok(Ok(Renewed { is_expired, expires_at, info, meta: _ })) => {
                if let Some(chan_info) = info {
                    subscription.set_info(chan_info);
                }
                subscription.expires_at = expires_at;
                is_expired || expires_at.is_some_and(|at| at <= wall_seconds)
            }
        };
        match (is_over, subscription.is_server_side) {
            (true, true) => self.disconnect(Disconnect::SUBSCRIPTION_EXPIRED),
            (true, false) => self.unsubscribe(channel, Unsubscribed::EXPIRED),
            (false, _) => self.schedule(self.worker.clock.now()),
        }
    }

    /// When something is to be done about an expiry: at once where the application is asked, after some grace where the client is to act.
    pub(in crate::session) fn grace_ms(is_asked: bool, is_asking: bool, grace_ms: Millis) -> Option<Millis> {
        match (is_asked, is_asking) {
            (true, true) => None,
            (true, false) => Some(0),
            (false, _) => Some(grace_ms),
        }
    }
}
