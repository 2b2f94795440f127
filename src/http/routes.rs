//! The whole URL table.

use super::api::{self, ApiState};
use super::assets;
use super::debug::{self, DebugKey};
use super::health::{self, Readiness};
use super::live::{self, Live};
use super::login::{self, LoginState};
use super::mercure::{self, MercureState};
use super::metrics::{self, MetricsGate};
use super::pages::Pages;
use super::respond;
use super::transports::streams::{self, StreamSettings};
use super::transports::websocket;
use crate::app::state::State;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use std::sync::Arc;

/// What the routes need, and which of them there are.
#[derive(Clone)]
pub struct Routes {
    pub readiness: web::Data<Readiness>,
    pub state: web::Data<State>,
    pub debug_key: web::Data<DebugKey>,
    /// Paths; `None`: not served.
    pub health: Option<String>,
    pub ready: Option<String>,
    pub metrics: Option<String>,
    pub metrics_gate: web::Data<MetricsGate>,
    /// Where WebSocket handshakes are taken.
    pub websockets: Vec<String>,
    pub streams: Arc<StreamSettings>,
    pub is_debug_served: bool,
    /// `None`: there is no server API.
    pub api: Option<Arc<ApiState>>,
    /// `None`: there is no Mercure hub.
    pub mercure: Option<Arc<MercureState>>,
    /// `None`: nobody can sign in.
    pub login: Option<Arc<LoginState>>,
    /// `None`: there is no Live page.
    pub live: Option<Arc<Live>>,
    /// `None`: there is not a single page.
    pub pages: Option<Pages>,
}

impl Routes {
    pub fn configure(&self, service: &mut web::ServiceConfig) {
        service.app_data(self.readiness.clone()).app_data(self.state.clone()).app_data(self.debug_key.clone());
        if let Some(path) = &self.health {
            service.route(path, web::get().to(health::health));
        }
        if let Some(path) = &self.ready {
            service.route(path, web::get().to(health::ready));
        }
        if let Some(path) = &self.metrics {
            service.app_data(self.metrics_gate.clone()).route(path, web::get().to(metrics::metrics));
        }
        for path in &self.websockets {
            // Handshakes never come here: they are taken out of HTTP before.
            let entrance = Arc::clone(&self.streams.entrance);
            service.route(path, web::to(move |request: HttpRequest| std::future::ready(websocket::plain(&entrance, &request))));
        }
        service.configure(streams::configure(&self.streams));
        if let Some(api) = &self.api {
            service.configure(api::configure(Arc::clone(api)));
        }
        if let Some(mercure) = &self.mercure {
            service.configure(mercure::configure(Arc::clone(mercure)));
        }
        if let Some(login) = &self.login {
            service.configure(login::configure(Arc::clone(login)));
        }
        if let Some(live) = &self.live {
            service.configure(live::configure(Arc::clone(live)));
        }
        if let Some(pages) = &self.pages {
            pages.clone().configure(service);
        }
        // Nothing here is for search engines (RFC 9309, 2.2).
        service.route(
            "/robots.txt",
            web::get().to(|| std::future::ready(respond::secured(respond::text(StatusCode::OK, "User-agent: *\nDisallow: /")))),
        );
        if self.is_debug_served {
            service.route("/debug/state", web::get().to(debug::state));
            #[cfg(feature = "test-hooks")]
            service.route("/debug/panic", web::post().to(debug::panic));
        }
        // Everything else is a file of the front end, where a page is served that needs them.
        let has_pages = self.pages.is_some();
        service.default_service(web::to(move |request: HttpRequest| {
            std::future::ready(match request.path().strip_prefix('/') {
                Some(path) if has_pages => assets::serve(&request, path),
                _ => respond::secured(respond::not_found()),
            })
        }));
    }
}
