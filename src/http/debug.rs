//! `/debug/state`: exact counts of everything that must be back at its baseline when its users are gone. Needs the API key.
//!
//! In builds with the feature `test-hooks` also `/debug/panic`, which makes a named actor panic so that tests can see the house heal.

use crate::app::state::State;
use crate::auth::ApiKeys;
use actix_web::{HttpRequest, HttpResponse, web};
use std::sync::Arc;

/// The key that opens the debug pages: the server API's that may do everything.
pub struct DebugKey(pub Arc<ApiKeys>);

impl DebugKey {
    fn opens(&self, request: &HttpRequest) -> bool {
        let shown = request.headers().get("x-api-key").map(|value| value.as_bytes());
        shown.is_some_and(|shown| self.0.is_unscoped(shown))
    }
}

pub async fn state(request: HttpRequest, key: web::Data<DebugKey>, state: web::Data<State>) -> HttpResponse {
    if !key.opens(&request) {
        return HttpResponse::Unauthorized().finish();
    }
    HttpResponse::Ok().json(state.counts().await)
}

#[cfg(feature = "test-hooks")]
pub use hooks::panic;

#[cfg(feature = "test-hooks")]
mod hooks {
    use super::{DebugKey, State};
    use crate::channel::SessionId;
    use crate::{metrics, session, topic, upstream};
    use actix_web::{HttpRequest, HttpResponse, web};
    use serde::Deserialize;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    /// Who is to panic.
    #[derive(Deserialize)]
    pub struct Target {
        target: String,
        #[serde(default)]
        session: String,
        #[serde(default)]
        channel: String,
        #[serde(default)]
        worker: usize,
        #[serde(default)]
        ms: u64,
        feed: Option<String>,
    }

    pub async fn panic(request: HttpRequest, key: web::Data<DebugKey>, state: web::Data<State>, target: web::Query<Target>) -> HttpResponse {
        if !key.opens(&request) {
            return HttpResponse::Unauthorized().finish();
        }
        let asked = match target.target.as_str() {
            "session" => SessionId::parse(&target.session)
                .and_then(|session| state.hub.find(session))
                .map(|found| found.addr.do_send(session::Panic))
                .is_some(),
            "topic" => state.topics.find(&target.channel).map(|topic| topic.do_send(topic::Panic)).is_some(),
            "fanout" => state.topics.worker(target.worker).map(|port| port.panic()).is_some(),
            "upstream" => state.upstream().map(|pool| pool.do_send(upstream::Panic { feed: target.feed.clone() })).is_some(),
            "metrics" => state.metrics().map(|metrics| metrics.do_send(metrics::Panic)).is_some(),
            "canaries" => state.canaries.get().map(|field| field.panics.store(true, Ordering::Relaxed)).is_some(),
            // Held up, which is worse than dead: nobody is told.
            "workers" => {
                let ports: Vec<_> = (0..).map_while(|index| state.topics.worker(index)).collect();
                ports.iter().for_each(|port| port.freeze(Duration::from_millis(target.ms)));
                !ports.is_empty()
            }
            _ => false,
        };
        if asked { HttpResponse::Accepted().finish() } else { HttpResponse::NotFound().finish() }
    }
}
