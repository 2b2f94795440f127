//! What commands work with: the rooms that they look into and act on.

use super::arguments::SecretName;
use super::audit::Audit;
use super::checkup::Checkup;
use super::gate::{AUDIT, EVENTS, TRACE_PREFIX};
use super::looks::Looks;
use crate::auth::accounts::Accounts;
use crate::auth::{ApiKeys, Blocks, Keyring};
use crate::broker::Publish;
use crate::broker::Publisher;
use crate::channel::{ChannelName, ChannelOptions, Payload, SessionId};
use crate::clock::{Clock, Millis};
use crate::guard::maintenance::Maintenance;
use crate::metrics::Observatory;
use crate::metrics::heap::HeapProfiler;
use crate::session::hub::Hub;
use crate::store::{AuditRecord, Store};
use crate::telemetry::tap::{Kind, tap};
use crate::topic::registry::Topics;
use crate::upstream::{Upstream, UpstreamPool};
use actix::Addr;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What only the app can do, as it alone knows all rooms and its configuration.
#[async_trait]
pub trait House: Send + Sync {
    /// Exact counts of everything that lives in the process.
    async fn counts(&self) -> Value;
    /// The actor that holds the feeds, while it lives.
    fn pool(&self) -> Option<Addr<UpstreamPool>>;
    /// Begins to drain, to be done `within`. `false`: it does so already.
    fn drain(&self, within: Option<Duration>) -> bool;
    fn is_draining(&self) -> bool;
    /// Where clients can reach it.
    fn listeners(&self) -> Vec<Listener>;
    /// Reads the configuration anew and takes over what can change at run time.
    async fn reload(&self) -> Result<Reloaded, String>;
    /// Takes over a secret that has changed in the configuration; the one before is good for `grace`. Which options those were.
    async fn take_over(&self, secret: SecretName, grace: Duration) -> Result<Vec<&'static str>, String>;
    /// Has the certificate's files read anew. `false`: there is no certificate.
    fn reload_certificate(&self) -> bool;
}

/// A socket that clients are accepted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub address: SocketAddr,
    pub is_tls: bool,
}

/// What came of reading the configuration anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Options that have changed and whose new values count now.
    pub applied: Vec<String>,
    /// Options that have changed and whose new values count from the next start on.
    pub needs_restart: Vec<String>,
}

/// A trace, and when it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub owner: SessionId,
    pub until: Millis,
}

pub struct Desk {
    parts: DeskParts,
    pub(super) traces: Mutex<HashMap<u64, Running>>,
    pub(super) looks: Mutex<Looks>,
    pub(super) checkup: Checkup,
    next_trace: AtomicU64,
}

impl Deref for Desk {
    type Target = DeskParts;
    fn deref(&self) -> &DeskParts {
        &self.parts
    }
}

/// What the configuration says of this room.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    pub version: String,
    pub node: String,
    /// Whether traces may show payloads.
    pub trace_payloads: bool,
    /// Methods of the server API.
    pub api_methods: Vec<&'static str>,
    pub heap: Arc<HeapProfiler>,
}

/// Everything that a desk is made from.
pub struct DeskParts {
    pub clock: Clock,
    pub hub: Arc<Hub>,
    pub topics: Arc<Topics>,
    pub publisher: Publisher,
    pub store: Arc<dyn Store>,
    pub audit: Audit,
    pub maintenance: Arc<Maintenance>,
    pub blocks: Arc<Blocks>,
    /// `None`: the hub has none of its own.
    pub accounts: Option<Arc<Accounts>>,
    pub keyring: Keyring,
    pub api_keys: Arc<ApiKeys>,
    pub upstream: Upstream,
    /// `None`: nothing is measured.
    pub metrics: Option<Arc<Observatory>>,
    pub house: Arc<dyn House>,
    pub settings: AdminSettings,
}

impl Desk {
    pub fn new(parts: DeskParts) -> Self {
        Self { parts, traces: Mutex::default(), looks: Mutex::default(), checkup: Checkup::default(), next_trace: AtomicU64::new(1) }
    }

    pub(super) fn next_trace(&self) -> u64 {
        self.next_trace.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends a trace and tells its follower why. Whether there was one.
    pub(super) fn end_trace(&self, id: u64, why: &'static str) -> bool {
        let is_ended = tap().end(id);
        self.traces.lock().remove(&id);
        if is_ended {
            self.publish_trace(id, &json!({ "what": "ended", "why": why }));
        }
        is_ended
    }

    pub(super) fn publish_trace(&self, id: u64, data: &Value) {
        publish(&self.publisher, &ChannelName::new(&format!("{TRACE_PREFIX}{id}")), data);
    }

    pub(super) fn publish_event(&self, kind: &str, data: &Value) {
        let event = json!({ "kind": kind, "at": self.clock.wall_ms(), "data": data });
        publish(&self.publisher, &ChannelName::new(EVENTS), &event);
    }

    /// Whether somebody follows the events of the house.
    pub(super) fn is_watched(&self) -> bool {
        self.topics.describe(EVENTS).is_some_and(|topic| topic.subscribers > 0)
    }
}

/// What happened by an operator's doing is told to those who watch.
pub(super) fn tell(kind: Kind, data: impl FnOnce() -> Value) {
    crate::telemetry::tap::event(kind, data);
}

/// A record as clients and exports have it.
pub fn record(record: &AuditRecord) -> Value {
    json!({
        "sequence": record.sequence,
        "at": record.at,
        "actor": record.actor,
        "origin": record.origin,
        "action": record.action,
        "object": record.object,
        "details": serde_json::from_str(&record.details).unwrap_or_else(|_| json!(record.details)),
        "outcome": record.outcome,
        "previous": record.previous,
        "hash": record.hash,
    })
}

/// Shows a new record of the audit log to those who follow it.
pub fn publish_record(publisher: &Publisher, written: &AuditRecord) {
    publish(publisher, &ChannelName::new(AUDIT), &record(written));
}

/// Publishes into one of the hub's own channels: by the broker, like everything, and past the rules, which refuse these names to everybody.
fn publish(publisher: &Publisher, channel: &ChannelName, data: &Value) {
    let publish = Publish { data: Payload::from_json(Bytes::from(data.to_string())), ..Publish::default() };
    publisher.broker.publish(channel, &ChannelOptions::default(), publish).detach();
}
