//! What the house says of itself to the room that measures: from every room what it counts, each asked for what it can tell at once.

use super::drain::Draining;
use super::state::State;
use crate::admin::commands::feeds_of;
use crate::calendar::Period;
use crate::guard::maintenance::Maintenance;
use crate::metrics::sample::Figures;
use crate::metrics::{House, WORKER_ANSWER_MAX};
use crate::said::said;
use crate::session::facts::Transport;
use crate::upstream::Week as FeedsDigest;
use actix_web::web;
use async_trait::async_trait;
use serde_json::Value;
use std::sync::Arc;

pub struct Measured {
    pub state: web::Data<State>,
    pub draining: Arc<Draining>,
    pub maintenance: Arc<Maintenance>,
    pub connections_max: usize,
    pub feed_connections_max: usize,
}

#[async_trait]
impl House for Measured {
    async fn figures(&self, dear: bool) -> Figures {
        let state = &self.state;
        let not_ready = if self.draining.is_draining() {
            Some(said!("ready.draining", "the hub is draining"))
        } else {
            self.maintenance.notice().map(|notice| said!("ready.maintenance", "maintenance: {message}", message = notice.message.as_str()))
        };
        Figures {
            sessions: state.hub.len(),
            users: state.hub.users(),
            by_transport: Transport::ALL.map(|transport| state.hub.on(transport)),
            connections: state.admission.count(),
            connections_max: self.connections_max,
            channels: state.topics.len(),
            workers: state.topics.feel_workers(WORKER_ANSWER_MAX).await,
            broker: dear.then(|| state.broker.stats()),
            store: state.store.state(),
            history_waiting: state.history.as_ref().map_or(0, |history| history.waiting()),
            mercure_subscribers: state.mercure.as_ref().map_or(0, |hub| hub.subscribers()),
            feeds: state.upstream.report(state.clock.now()),
            feed_connections_max: self.feed_connections_max,
            not_ready,
        }
    }

    fn feeds(&self) -> Value {
        feeds_of(&self.state.upstream.report(self.state.clock.now()))
    }

    async fn feeds_digest(&self, period: Period, number: i64) -> Option<FeedsDigest> {
        // What is wrong with the store is told where every call of it is.
        self.state.upstream.digest(period, number).await.ok().flatten()
    }
}
