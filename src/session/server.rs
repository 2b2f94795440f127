//! What the server side tells a session: the server API, the drain, operators. Every message is answered by what it does to the client.

use super::commands::Asked;
use super::subscription::Grant;
use super::{Phase, Session};
use crate::auth::ServerSub;
use crate::channel::{ChannelName, ClientInfo, StreamPosition};
use crate::protocol::centrifuge::reply::Push;
use crate::protocol::centrifuge::{Body, RefreshResult, Reply};
use crate::protocol::codes::{Disconnect, Unsubscribed};
use crate::telemetry::sessions::Ended;
use actix::prelude::*;
use bytes::Bytes;
use std::sync::Arc;

/// Subscriptions that may wait for their channels to be attached; the server API asks for one at a time.
const WAITING_MAX: usize = 128;

// === Disconnected ===
/// The connection is closed with this code and reason.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Disconnected {
    pub code: u16,
    pub reason: String,
}

impl Disconnected {
    pub fn because(why: Disconnect) -> Self {
        Self { code: why.code, reason: why.reason.to_string() }
    }
}

impl Handler<Disconnected> for Session {
    type Result = ();

    fn handle(&mut self, Disconnected { code, reason }: Disconnected, _: &mut Self::Context) {
        let ours = Disconnect::ALL.into_iter().find(|row| row.code == code);
        self.disconnect_with(code, &reason, Ended::ByHub(ours.unwrap_or(Disconnect::FORCE_NO_RECONNECT)));
    }
}

// === Goodbye ===
/// The hub stops: the connection is closed as soon as the calls under way are answered, among them an operator's own for the hub to stop.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Goodbye;

impl Handler<Goodbye> for Session {
    type Result = ();

    fn handle(&mut self, _: Goodbye, _: &mut Self::Context) {
        self.is_leaving = true;
        self.leave();
    }
}

impl Session {
    /// Closes the connection of a client that is to leave and waits for no answer any more.
    pub(super) fn leave(&mut self) {
        if self.is_leaving && self.calls == 0 {
            self.disconnect(Disconnect::SHUTDOWN);
        }
    }
}

// === Unsubscribe ===
/// One subscription ends, or all of them.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Unsubscribe {
    pub channel: Option<ChannelName>,
}

impl Handler<Unsubscribe> for Session {
    type Result = ();

    fn handle(&mut self, Unsubscribe { channel }: Unsubscribe, _: &mut Self::Context) {
        let channels = match channel {
            Some(channel) => vec![channel],
            None => self.subscriptions.keys().cloned().collect(),
        };
        for channel in channels {
            self.unsubscribe(&channel, Unsubscribed::SERVER);
        }
        self.flush_replies();
    }
}

// === Subscribed ===
/// The client gets a server-side subscription.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Subscribed {
    pub sub: ServerSub,
    /// Unix seconds; `None`: never.
    pub expires_at: Option<i64>,
    pub since: Option<StreamPosition>,
}

impl Handler<Subscribed> for Session {
    type Result = ();

    fn handle(&mut self, subscribed: Subscribed, ctx: &mut Self::Context) {
        if self.server_todo.len() < WAITING_MAX {
            self.server_todo.push(subscribed);
            self.subscribe_waiting(ctx);
        } else {
            log::warn!("session {}: {WAITING_MAX} subscriptions wait already, {} is left out", self.id, subscribed.sub.channel);
        }
    }
}

impl Session {
    /// Subscribes to those of the waiting channels that are attached by now.
    pub(super) fn subscribe_waiting(&mut self, ctx: &mut Context<Self>) {
        if !matches!(self.phase, Phase::Connected(_)) {
            self.server_todo = Vec::new();
            return;
        }
        for subscribed in std::mem::take(&mut self.server_todo) {
            let Ok(options) = self.worker.publisher.rules.options(&subscribed.sub.channel).cloned() else { continue };
            if self.subscriptions.contains_key(&subscribed.sub.channel) {
                continue;
            }
            let has_room = !options.is_pattern || self.pattern_count() < self.worker.settings.wildcard_limit;
            if self.subscriptions.len() >= self.worker.settings.channel_limit || !has_room {
                return self.disconnect(Disconnect::CHANNEL_LIMIT);
            }
            let shard = self.worker.fan.shard(&subscribed.sub.channel, &options);
            if !shard.is_live_or_tell(&self.outbox) {
                self.server_todo.push(subscribed);
                continue;
            }
            let asked = Asked { since: subscribed.since.clone(), ..Asked::default() };
            let mut grant = Grant::of_server(subscribed.sub, &options, subscribed.expires_at);
            self.settle(&mut grant, &asked);
            let Some(answer) = self.read_missed(&shard, &grant, &asked) else {
                self.added(&shard, &grant, &asked, None);
                continue;
            };
            let step = self.with_answer(answer, ctx, move |session, history, _| {
                session.added(&shard, &grant, &asked, history.ok());
                super::Step::Done
            });
            if step == super::Step::Later {
                self.is_waiting = true;
            }
        }
        self.flush_replies();
    }

    /// Tells the client of its new subscription, gives it what it missed, and goes live, in one turn.
    fn added(&mut self, shard: &std::rc::Rc<crate::topic::shard::Shard>, grant: &Grant, asked: &Asked, history: Option<crate::broker::History>) {
        let (result, recovery) = self.result(shard, grant, asked, history);
        self.reply(&Reply::Push(Push::Subscribe { channel: &grant.channel, result: &result }));
        for publication in recovery.into_iter().flat_map(|recovery| recovery.publications) {
            self.reply(&Reply::Push(Push::Publication { channel: &grant.channel, publication: &publication, body: Body::Plain }));
        }
        self.join(shard, grant, None);
        self.schedule(self.worker.clock.now());
    }
}

// === Refreshed ===
/// The connection's expiry changes.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Refreshed {
    pub is_expired: bool,
    /// Unix seconds; `None`: never.
    pub expires_at: Option<i64>,
    /// Replaces what others may know of the client.
    pub info: Option<Bytes>,
}

impl Handler<Refreshed> for Session {
    type Result = ();

    fn handle(&mut self, refreshed: Refreshed, _: &mut Self::Context) {
        let wall_seconds = self.worker.clock.wall_seconds();
        if refreshed.is_expired || refreshed.expires_at.is_some_and(|at| at <= wall_seconds) {
            return self.disconnect(Disconnect::EXPIRED);
        }
        let Phase::Connected(identity) = &mut self.phase else { return };
        identity.expires_at = refreshed.expires_at;
        identity.facts.set_expiry(refreshed.expires_at);
        if let Some(conn_info) = refreshed.info {
            identity.info = Arc::new(ClientInfo { conn_info, ..(*identity.info).clone() });
        }
        let ttl = super::commands::ttl(refreshed.expires_at.filter(|_| self.renewed_by().is_none()), wall_seconds);
        self.reply(&Reply::Push(Push::Refresh(RefreshResult { ttl })));
        self.schedule(self.worker.clock.now());
        self.flush_replies();
    }
}
