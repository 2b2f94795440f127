//! The pages besides the Live page: signing in, the account, the dashboard and the connection test, and what every page is told first.
//!
//! All are the same file, which shows what its address asks for. Deliberately absent: whether anybody is signed in. The pages ask that
//! themselves, by the cookie, so that what is served here is the same for everybody.

use super::assets;
use super::respond::{self, secured};
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Serialize;
use std::future::ready;

/// Addresses of pages that need accounts, as the front end knows them.
const LOGIN: &str = "/login";
const ACCOUNT: &str = "/account";

/// The dashboard, and its views with those that have an address for each thing that they show.
const OVERVIEW: &str = "/overview";
const VIEWS: [&str; 10] = ["/channels", "/sessions", "/upstreams", "/alerts", "/reports", "/audit", "/console", "/access", "/settings", "/nodes"];

/// Where a browser tries every way in. For everybody, as the ways in are.
const CONNECTION_TEST: &str = "/connection-test";

/// Which pages there are, and where they ask.
#[derive(Serialize)]
pub struct PageSettings {
    /// Whether the Live page is served, at `/`.
    #[serde(rename = "live")]
    pub has_live: bool,
    /// The path that clients connect to; `None`: there is none.
    pub websocket: Option<String>,
    /// What the addresses for signing in begin with; `None`: there are no accounts.
    pub auth: Option<String>,
    pub transports: TransportPaths,
}

/// The ways in besides WebSocket that pages can go; `None`: off.
#[derive(Clone, Default, Serialize)]
pub struct TransportPaths {
    pub http_stream: Option<String>,
    pub sse: Option<String>,
    pub uni_sse: Option<String>,
    /// Where the commands of the first two go.
    pub emulation: Option<String>,
    pub mercure: Option<String>,
}

#[derive(Clone)]
pub struct Pages {
    config: Bytes,
    has_live: bool,
    has_accounts: bool,
}

impl Pages {
    /// `None`: not a single page is served.
    pub fn new(settings: &PageSettings) -> Option<Self> {
        let (has_live, has_accounts) = (settings.has_live, settings.auth.is_some());
        let mut out = respond::buffer();
        respond::write_json(settings, &mut out);
        (has_live || has_accounts).then(|| Self { config: out.freeze(), has_live, has_accounts })
    }

    /// Mounts the pages. The files that they consist of are found by the app's default service.
    pub fn configure(self, service: &mut web::ServiceConfig) {
        let config = self.config;
        service.route("/page.json", web::route().to(move |request: HttpRequest| ready(answer_config(&request, config.clone()))));
        let index = async |request: HttpRequest| assets::serve(&request, assets::INDEX);
        service.route(CONNECTION_TEST, web::route().to(index));
        if self.has_accounts {
            for path in [LOGIN, ACCOUNT, OVERVIEW].into_iter().chain(VIEWS) {
                service.route(path, web::route().to(index));
            }
            // A channel's name may hold slashes.
            for path in VIEWS {
                service.route(&format!("{path}/{{thing:.+}}"), web::route().to(index));
            }
            if !self.has_live {
                service.route("/", web::route().to(|request: HttpRequest| ready(answer_root(&request))));
            }
        }
    }
}

fn answer_config(request: &HttpRequest, config: Bytes) -> HttpResponse {
    if !is_read(request) {
        return secured(respond::method_not_allowed("GET, HEAD"));
    }
    let mut response = respond::json(StatusCode::OK, config);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    secured(response)
}

/// Without a Live page the dashboard is what there is. For now: the Live page may be switched on again.
fn answer_root(request: &HttpRequest) -> HttpResponse {
    if !is_read(request) {
        return secured(respond::method_not_allowed("GET, HEAD"));
    }
    let mut response = HttpResponse::Found().finish();
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(OVERVIEW));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    secured(response)
}

fn is_read(request: &HttpRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::dev::ServiceResponse;
    use actix_web::{App, test};
    use serde_json::{Value, json};

    fn settings(has_live: bool, auth: Option<&str>) -> PageSettings {
        let transports = TransportPaths { sse: Some("/connection/sse".to_string()), ..TransportPaths::default() };
        PageSettings { has_live, websocket: Some("/connection/websocket".to_string()), auth: auth.map(str::to_string), transports }
    }

    async fn ask(settings: &PageSettings, request: test::TestRequest) -> ServiceResponse {
        let pages = Pages::new(settings).unwrap();
        let service = test::init_service(App::new().configure(move |service| pages.configure(service))).await;
        let response = test::call_service(&service, request.to_request()).await;
        if response.status() != StatusCode::NOT_FOUND {
            let policy = response.headers().get("content-security-policy").unwrap();
            assert!(!policy.to_str().unwrap().contains("unsafe"));
        }
        response
    }

    #[actix_web::test]
    async fn pages_are_told_which_there_are_and_where_to_ask() {
        let answer = ask(&settings(true, Some("/auth")), test::TestRequest::get().uri("/page.json")).await;
        assert_eq!(answer.headers().get(CACHE_CONTROL).unwrap(), "no-store");
        let body: Value = test::read_body_json(answer).await;
        let transports = json!({ "http_stream": null, "sse": "/connection/sse", "uni_sse": null, "emulation": null, "mercure": null });
        assert_eq!(body, json!({ "live": true, "websocket": "/connection/websocket", "auth": "/auth", "transports": transports }));
        let answer = ask(&settings(true, None), test::TestRequest::get().uri("/page.json")).await;
        let body: Value = test::read_body_json(answer).await;
        assert_eq!(body["auth"], Value::Null);
        let answer = ask(&settings(true, None), test::TestRequest::post().uri("/page.json")).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[actix_web::test]
    async fn without_accounts_there_is_nothing_to_sign_in_to() {
        assert!(Pages::new(&settings(false, None)).is_none());
        for path in [LOGIN, ACCOUNT, OVERVIEW, "/sessions", "/channels/a", "/"] {
            // `/` is mounted by the Live page itself.
            assert_eq!(ask(&settings(true, None), test::TestRequest::get().uri(path)).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[actix_web::test]
    async fn without_a_live_page_the_root_leads_to_the_dashboard() {
        let answer = ask(&settings(false, Some("/auth")), test::TestRequest::get().uri("/")).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        assert_eq!(answer.headers().get(LOCATION).unwrap(), OVERVIEW);
        let answer = ask(&settings(false, Some("/auth")), test::TestRequest::post().uri("/")).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        let answer = ask(&settings(true, Some("/auth")), test::TestRequest::get().uri("/")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "the Live page's own address");
    }

    #[actix_web::test]
    async fn pages_are_only_read() {
        for path in [LOGIN, ACCOUNT, CONNECTION_TEST, OVERVIEW, "/channels", "/channels/chat:a/b", "/upstreams/ticks"] {
            let answer = ask(&settings(true, Some("/auth")), test::TestRequest::post().uri(path)).await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }
}
