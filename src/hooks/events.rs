//! What the application is told: who left, which channels somebody listens to.
//!
//! Events are taken in by whoever sees them happen, on any thread, without waiting; a [`Courier`] carries them, each with an id of its own.

use super::HooksError;
use super::courier::{Courier, CourierSettings, Waiting};
use crate::channel::{ChannelName, SessionId, UserId};
use crate::clock::Clock;
use crate::config::{HookEventKind, HookEventsConfig};
use bytes::Bytes;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Happened<'a> {
    /// A client that had been let in is gone, and with it all its subscriptions.
    Disconnect { client: SessionId, user: &'a UserId, transport: &'static str, code: u16, reason: &'a str, lived_ms: u64 },
    /// A client that stays has left a channel.
    Unsubscribe { client: SessionId, user: &'a UserId, channel: &'a ChannelName, code: u32, reason: &'a str },
    /// A channel has its first subscriber on this node.
    Occupied { channel: &'a ChannelName },
    /// It has lost its last one.
    Vacated { channel: &'a ChannelName },
}

impl Happened<'_> {
    const fn kind(&self) -> HookEventKind {
        match self {
            Self::Disconnect { .. } => HookEventKind::Disconnect,
            Self::Unsubscribe { .. } => HookEventKind::Unsubscribe,
            Self::Occupied { .. } => HookEventKind::Occupied,
            Self::Vacated { .. } => HookEventKind::Vacated,
        }
    }
}

#[derive(Serialize, Default)]
struct Wire<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Unix time in ms.
    time: i64,
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lived_ms: Option<u64>,
}

pub struct Events {
    kinds: Vec<HookEventKind>,
    node: String,
    clock: Clock,
    courier: Arc<Courier>,
}

impl Events {
    /// `None`: nobody is told anything. `node`: what this node calls itself.
    pub fn start(config: &HookEventsConfig, node: &str, clock: &Clock) -> Result<Option<Arc<Self>>, HooksError> {
        let settings = CourierSettings {
            waiting: Waiting {
                path: "hooks.events",
                timeout: config.timeout.duration(),
                retry_initial: config.retry_initial.duration(),
                retry_max: config.retry_max.duration(),
                events_max: config.queue_max,
                bytes_max: config.queue_size_max.bytes(),
                // The application is told everything that happened, however late.
                age_max: None,
                batch_max: config.batch_max,
                gather: Duration::ZERO,
            },
            endpoint: &config.endpoint,
            secret: &config.secret,
            static_headers: &config.static_headers,
            keep: None,
        };
        let courier = Courier::start(&settings, clock)?;
        Ok(courier.map(|courier| Arc::new(Self { kinds: config.types.clone(), node: node.to_string(), clock: clock.clone(), courier })))
    }

    /// Takes note. Never waits.
    pub fn tell(&self, happened: Happened<'_>) {
        let kind = happened.kind();
        if !self.kinds.contains(&kind) {
            return;
        }
        let base =
            Wire { id: uuid::Uuid::new_v4().to_string(), kind: kind.as_str(), time: self.clock.wall_ms(), node: &self.node, ..Wire::default() };
        let wire = match happened {
            Happened::Disconnect { client, user, transport, code, reason, lived_ms } => Wire {
                client: Some(client.to_string()),
                user: Some(user.as_str()),
                transport: Some(transport),
                code: Some(u32::from(code)),
                reason: Some(reason),
                lived_ms: Some(lived_ms),
                ..base
            },
            Happened::Unsubscribe { client, user, channel, code, reason } => Wire {
                client: Some(client.to_string()),
                user: Some(user.as_str()),
                channel: Some(channel.as_str()),
                code: Some(code),
                reason: Some(reason),
                ..base
            },
            Happened::Occupied { channel } | Happened::Vacated { channel } => Wire { channel: Some(channel.as_str()), ..base },
        };
        let Ok(event) = serde_json::to_vec(&wire) else { return };
        self.courier.take(Bytes::from(event));
    }

    /// The hub stops: what waits is told as far as `deadline` allows, and what is left is counted.
    pub async fn close(&self, deadline: Duration) {
        self.courier.close(deadline).await;
    }
}
