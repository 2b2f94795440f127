//! One subscription of one session: what it may, what it was promised, and its end.

use super::Session;
use crate::auth::ServerSub;
use crate::broker::Broker;
use crate::channel::{ChannelName, ChannelOptions, ClientInfo, Payload, TagsFilter, is_own};
use crate::hooks::Happened;
use crate::outbox::Outbox;
use crate::protocol::centrifuge::Reply;
use crate::protocol::centrifuge::reply::Push;
use crate::protocol::codes::{Disconnect, Unsubscribed};
use crate::telemetry::emit;
use crate::telemetry::sessions::SubscriptionEnded;
use crate::topic::shard::{Membership, Shard, Wants};
use bytes::Bytes;
use std::rc::Rc;
use std::sync::Arc;

/// The channel that a new subscription is for, and with which rights; what all ways to subscribe have in common.
#[derive(Clone)]
pub struct Grant {
    pub channel: ChannelName,
    /// The namespace's options with the overrides of a token applied.
    pub options: Arc<ChannelOptions>,
    /// What a token says of the client in this channel.
    pub chan_info: Bytes,
    /// Told to the client in the result.
    pub data: Bytes,
    /// Unix seconds.
    pub expires_at: Option<i64>,
    pub is_server_side: bool,
    pub is_positioned: bool,
    pub is_recoverable: bool,
    /// Joins and leaves are pushed.
    pub tells_presence: bool,
    /// Publications come as deltas, where that pays.
    pub tells_deltas: bool,
    /// Publications with certain tags only.
    pub filter: Option<Rc<TagsFilter>>,
}

impl Grant {
    /// What the client asked for, with nothing of a token or of the application in it, and not settled yet.
    pub fn of_client(channel: ChannelName, options: Arc<ChannelOptions>) -> Self {
        Self {
            channel,
            options,
            chan_info: Bytes::new(),
            data: Bytes::new(),
            expires_at: None,
            is_server_side: false,
            is_positioned: false,
            is_recoverable: false,
            tells_presence: false,
            tells_deltas: false,
            filter: None,
        }
    }

    /// What the client gets without asking, not settled yet.
    pub fn of_server(sub: ServerSub, options: &Arc<ChannelOptions>, expires_at: Option<i64>) -> Self {
        let ServerSub { channel, info, data, overrides } = sub;
        Self { chan_info: info, data, expires_at, is_server_side: true, ..Self::of_client(channel, overrides.apply(options)) }
    }
}

pub struct Subscription {
    /// Left first, so that the leave of this client is not pushed to itself.
    _membership: Membership,
    pub info: Arc<ClientInfo>,
    pub is_server_side: bool,
    /// Unix seconds.
    pub expires_at: Option<i64>,
    /// The application says whether it goes on when its time is over, in place of a token from the client.
    pub is_renewed_by_hook: bool,
    /// It is being asked.
    pub is_renewing: bool,
    presence: Option<PresenceGuard>,
}

impl Subscription {
    /// Joins `shard` from its present position on. `has`: the last publication that the client was given with the reply.
    pub fn join(
        shard: &Rc<Shard>,
        outbox: &Rc<Outbox>,
        grant: &Grant,
        has: Option<&Payload>,
        base: &Arc<ClientInfo>,
        broker: &Arc<dyn Broker>,
    ) -> Self {
        let info = if grant.chan_info.is_empty() {
            Arc::clone(base)
        } else {
            Arc::new(ClientInfo { chan_info: grant.chan_info.clone(), ..(**base).clone() })
        };
        let wants = Wants { presence: grant.tells_presence, position: grant.is_positioned, deltas: grant.tells_deltas };
        let membership = shard.join(outbox, wants, grant.filter.clone(), has);
        let presence = PresenceGuard::enter(grant, &info, broker);
        Self {
            _membership: membership,
            info,
            is_server_side: grant.is_server_side,
            expires_at: grant.expires_at,
            is_renewed_by_hook: grant.options.sub_refresh_proxy_enabled,
            is_renewing: false,
            presence,
        }
    }

    /// What others may know of the client in this channel has changed.
    pub fn set_info(&mut self, chan_info: bytes::Bytes) {
        self.info = Arc::new(ClientInfo { chan_info, ..(*self.info).clone() });
        if let Some(presence) = &mut self.presence {
            presence.tell(&self.info);
        }
    }
}

/// Says that a client is there, and when dropped that it is not.
struct PresenceGuard {
    broker: Arc<dyn Broker>,
    channel: ChannelName,
    info: Arc<ClientInfo>,
    is_listed: bool,
    is_announced: bool,
}

impl PresenceGuard {
    fn enter(grant: &Grant, info: &Arc<ClientInfo>, broker: &Arc<dyn Broker>) -> Option<Self> {
        let (is_listed, is_announced) = (grant.options.presence, grant.options.join_leave);
        if is_listed {
            broker.add_presence(&grant.channel, Arc::clone(info)).detach();
        }
        if is_announced {
            broker.join(&grant.channel, Arc::clone(info)).detach();
        }
        (is_listed || is_announced).then(|| Self {
            broker: Arc::clone(broker),
            channel: grant.channel.clone(),
            info: Arc::clone(info),
            is_listed,
            is_announced,
        })
    }

    fn tell(&mut self, info: &Arc<ClientInfo>) {
        self.info = Arc::clone(info);
        if self.is_listed {
            self.broker.add_presence(&self.channel, Arc::clone(info)).detach();
        }
    }
}

impl Drop for PresenceGuard {
    fn drop(&mut self) {
        if self.is_listed {
            self.broker.remove_presence(&self.channel, self.info.client).detach();
        }
        if self.is_announced {
            self.broker.leave(&self.channel, Arc::clone(&self.info)).detach();
        }
    }
}

impl Session {
    /// Ends a subscription and tells the client so.
    pub(super) fn unsubscribe(&mut self, channel: &ChannelName, why: Unsubscribed) {
        let Some(subscription) = self.subscriptions.remove(channel) else { return };
        drop(subscription);
        self.count_subscriptions();
        emit(SubscriptionEnded { session: self.id, channel, why });
        self.tell_unsubscribed(channel, why);
        self.reply(&Reply::Push(Push::Unsubscribe { channel, why }));
    }

    /// Tells the application, if it wants to know.
    pub(super) fn tell_unsubscribed(&self, channel: &ChannelName, why: Unsubscribed) {
        if let Some(events) = &self.worker.events
            && !is_own(channel)
        {
            events.tell(Happened::Unsubscribe { client: self.id, user: &self.user, channel, code: why.code, reason: why.reason });
        }
    }

    /// Tells the hub's look-ups how many there are now.
    pub(super) fn count_subscriptions(&self) {
        if let Some(identity) = self.identity() {
            identity.facts.has_subscriptions(self.subscriptions.len());
        }
    }

    /// Publications of this channel were missed and cannot be given in order: the client recovers for itself.
    pub(super) fn lost_position(&mut self, channel: &ChannelName) {
        match self.subscriptions.get(channel) {
            Some(subscription) if subscription.is_server_side => self.disconnect(Disconnect::INSUFFICIENT_STATE),
            Some(_) => self.unsubscribe(channel, Unsubscribed::INSUFFICIENT_STATE),
            None => {}
        }
    }

    /// Ends the subscriptions whose grace after expiry is over.
    pub(super) fn expire_subscriptions(&mut self, wall_ms: i64) {
        let grace = self.worker.settings.expired_sub_close_ms as i64;
        let is_over = |subscription: &Subscription| {
            let is_asked = subscription.is_renewed_by_hook;
            !is_asked && subscription.expires_at.is_some_and(|at| wall_ms >= at.saturating_mul(1_000).saturating_add(grace))
        };
        let over: Vec<_> = self
            .subscriptions
            .iter()
            .filter(|(_, subscription)| is_over(subscription))
            .map(|(name, one)| (name.clone(), one.is_server_side))
            .collect();
        for (channel, is_server_side) in over {
            if is_server_side {
                return self.disconnect(Disconnect::SUBSCRIPTION_EXPIRED);
            }
            self.unsubscribe(&channel, Unsubscribed::EXPIRED);
        }
    }
}
