//! `/health` and `/ready`: is the process alive, and does it do its work?

use crate::broker::{Answer, Publish};
use crate::channel::{ChannelName, ChannelOptions, Payload};
use crate::guard::maintenance::Maintenance;
use crate::store::Store;
use crate::topic::fanout::PROBE;
use crate::topic::registry::Topics;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Time for a publication to come back through every worker.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// What readiness depends on.
pub struct Readiness {
    pub topics: Arc<Topics>,
    /// Live traffic does without it, so that it can be degraded, but not unready.
    pub store: Arc<dyn Store>,
    pub is_draining: Arc<AtomicBool>,
    pub maintenance: Arc<Maintenance>,
    pub workers: usize,
    last_probe: AtomicU64,
}

/// Why the hub is not ready.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    #[error("the hub is draining")]
    Draining,
    #[error("maintenance: {message}")]
    Maintenance { message: String },
    #[error("{missing} of {workers} workers have not started yet")]
    Starting { missing: usize, workers: usize },
    #[error("the broker does not take publications")]
    Broker,
    #[error("worker {worker} did not receive a publication within {} ms", PROBE_MAX.as_millis())]
    Worker { worker: usize },
}

impl Readiness {
    pub fn new(topics: Arc<Topics>, store: Arc<dyn Store>, is_draining: Arc<AtomicBool>, maintenance: Arc<Maintenance>, workers: usize) -> Arc<Self> {
        Arc::new(Self { topics, store, is_draining, maintenance, workers, last_probe: AtomicU64::new(0) })
    }

    /// Publishes and receives through the broker and every worker.
    pub async fn check(&self) -> Result<(), NotReady> {
        if self.is_draining.load(Ordering::Relaxed) {
            return Err(NotReady::Draining);
        }
        if let Some(notice) = self.maintenance.notice() {
            return Err(NotReady::Maintenance { message: notice.message.clone() });
        }
        let ports: Vec<_> = (0..self.workers).filter_map(|index| self.topics.worker(index)).collect();
        if ports.len() < self.workers {
            return Err(NotReady::Starting { missing: self.workers - ports.len(), workers: self.workers });
        }
        let number = self.last_probe.fetch_add(1, Ordering::Relaxed) + 1;
        let publish = Publish { data: Payload::from_json(Bytes::from(number.to_string())), ..Publish::default() };
        let answer: Answer<_> = self.topics.broker().publish(&ChannelName::new(PROBE), &ChannelOptions::default(), publish);
        let deadline = tokio::time::Instant::now() + PROBE_MAX;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Err(NotReady::Broker),
        }
        for (worker, port) in ports.iter().enumerate() {
            if tokio::time::timeout_at(deadline, port.probed(number)).await.is_err() {
                return Err(NotReady::Worker { worker });
            }
        }
        Ok(())
    }
}

/// Answers as long as the event loop turns.
pub async fn health() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body("{}")
}

pub async fn ready(readiness: web::Data<Readiness>) -> HttpResponse {
    match readiness.check().await {
        Ok(()) => match readiness.store.state().trouble {
            None => HttpResponse::Ok().content_type("application/json").body("{\"ready\":true}"),
            Some(_) => HttpResponse::Ok().json(serde_json::json!({ "ready": true, "degraded": ["store"] })),
        },
        Err(why) => HttpResponse::ServiceUnavailable().json(serde_json::json!({ "ready": false, "reason": why.to_string() })),
    }
}
