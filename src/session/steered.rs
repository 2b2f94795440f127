//! What operators do to a session besides ending it: tell it something, look into it, follow it.

use super::{Phase, Session};
use crate::channel::{ChannelName, is_own};
use crate::protocol::centrifuge::reply::Push;
use crate::protocol::centrifuge::{Reply, Request};
use crate::protocol::codes::{ErrorCode, Unsubscribed};
use crate::telemetry::tap::{self, Subject};
use actix::prelude::*;
use bytes::Bytes;
use globset::GlobMatcher;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Subscriptions that a description lists.
const DESCRIBED_MAX: usize = 256;

// === Told ===
/// The client gets a message that belongs to no channel. Answered with whether it was meant.
#[derive(Clone, Message)]
#[rtype(result = "bool")]
pub struct Told {
    /// JSON on one line.
    pub data: Bytes,
    /// Only who is subscribed to a channel like this is meant.
    pub subscribed_to: Option<Arc<GlobMatcher>>,
}

impl Handler<Told> for Session {
    type Result = bool;

    fn handle(&mut self, Told { data, subscribed_to }: Told, _: &mut Self::Context) -> bool {
        let is_meant = subscribed_to.is_none_or(|pattern| self.subscriptions.keys().any(|channel| pattern.is_match(channel.as_str())));
        if !is_meant || !matches!(self.phase, Phase::Connected(_)) {
            return false;
        }
        self.reply(&Reply::Push(Push::Message(&data)));
        self.flush_replies();
        true
    }
}

// === Describe ===
/// Answered with what is inside the session.
#[derive(Message)]
#[rtype(result = "Description")]
pub struct Describe;

#[derive(Clone, Debug, Default)]
pub struct Description {
    /// The first of them, by name.
    pub subscriptions: Vec<DescribedSubscription>,
    pub subscriptions_in_all: usize,
    /// Commands that wait behind one that waits.
    pub commands_waiting: usize,
    pub is_waiting: bool,
    /// Calls of procedures under way.
    pub calls: u16,
    /// Errors answered in the present minute.
    pub errors: u32,
    pub is_pong_due: bool,
    /// How long ago the last ping went out.
    pub pinged_ago: Option<Duration>,
    /// Of the ping that was answered last.
    pub round_trip: Option<Duration>,
    /// Bytes that wait in the outbox.
    pub waiting_bytes: usize,
    pub pings_by_frame: bool,
    /// Bytes of a message that has not come in whole yet.
    pub unread_bytes: usize,
    pub worker: usize,
}

#[derive(Clone, Debug)]
pub struct DescribedSubscription {
    pub channel: ChannelName,
    pub is_server_side: bool,
    /// Unix seconds.
    pub expires_at: Option<i64>,
}

impl Handler<Describe> for Session {
    type Result = MessageResult<Describe>;

    fn handle(&mut self, _: Describe, _: &mut Self::Context) -> Self::Result {
        let mut channels: Vec<_> = self.subscriptions.iter().collect();
        channels.sort_unstable_by_key(|(channel, _)| *channel);
        let subscriptions = channels.into_iter().take(DESCRIBED_MAX).map(|(channel, subscription)| DescribedSubscription {
            channel: channel.clone(),
            is_server_side: subscription.is_server_side,
            expires_at: subscription.expires_at,
        });
        MessageResult(Description {
            subscriptions: subscriptions.collect(),
            subscriptions_in_all: self.subscriptions.len(),
            commands_waiting: self.todo.len(),
            is_waiting: self.is_waiting,
            calls: self.calls,
            errors: self.errors,
            is_pong_due: self.pong_due.is_some(),
            pinged_ago: self.pinged_at.map(|at| at.elapsed()),
            round_trip: self.round_trip,
            waiting_bytes: self.outbox.waiting(),
            pings_by_frame: self.pings_by_frame,
            unread_bytes: self.unread.len(),
            worker: self.worker.fan.index,
        })
    }
}

impl Session {
    /// The role has changed: whoever still may watch subscribes anew, as its SDK does by itself, and is judged anew.
    pub(super) fn leave_own_channels(&mut self) {
        let own: Vec<_> = self.subscriptions.keys().filter(|channel| is_own(channel)).cloned().collect();
        for channel in own {
            self.unsubscribe(&channel, Unsubscribed::INSUFFICIENT_STATE);
        }
    }

    /// Shows a command to those who trace this client or the command's channel. Tokens are never shown, and what a call carries neither: that
    /// may be anything.
    pub(super) fn trace_command(&self, id: u32, request: &Request) {
        let (channel, payload): (Option<&str>, &[u8]) = match request {
            Request::Subscribe(request) => (Some(&request.channel), &[]),
            Request::Unsubscribe(request) => (Some(&request.channel), &[]),
            Request::Publish(request) => (Some(&request.channel), &request.data),
            Request::Presence(request) => (Some(&request.channel), &[]),
            Request::PresenceStats(request) => (Some(&request.channel), &[]),
            Request::History(request) => (Some(&request.channel), &[]),
            Request::SubRefresh(request) => (Some(&request.channel), &[]),
            Request::Rpc(_) | Request::Connect(_) | Request::Refresh(_) | Request::Send(_) | Request::Pong | Request::Unknown => (None, &[]),
        };
        let mut more = Map::from_iter([("id".to_string(), json!(id))]);
        if let Request::Rpc(request) = request {
            let method: String = request.method.chars().take(64).collect();
            more.insert("method".to_string(), Value::String(method));
            more.insert("bytes".to_string(), json!(request.data.len()));
        }
        tap::trace(Subject { session: Some(self.id), user: Some(&self.user), channel }, request.name(), payload, more);
    }

    pub(super) fn trace_refusal(&self, id: u32, command: &'static str, error: ErrorCode) {
        let more = Map::from_iter([
            ("id".to_string(), json!(id)),
            ("command".to_string(), json!(command)),
            ("code".to_string(), json!(error.code)),
            ("message".to_string(), json!(error.message)),
        ]);
        tap::trace(Subject { session: Some(self.id), user: Some(&self.user), channel: None }, "refused", &[], more);
    }
}
