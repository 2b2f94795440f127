//! Who may come in, whatever the transport: asked of every handshake and of every endless answer, before there is a session.

use crate::auth::OriginRule;
use crate::clock::{Clock, Millis};
use crate::hooks::{PASSED_BYTES_MAX, PassedHeaders};
use crate::http::forwarded::TrustedProxies;
use crate::http::respond;
use crate::protocol::centrifuge::Wire;
use crate::session::facts::{Peer, device};
use crate::session::worker::Worker;
use crate::telemetry::http::HandshakeVerdict;
use actix_http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// In the query of the URL: the client comes to steer. During maintenance it gets as far as its connect command, where its token is looked at;
/// all others are refused before. It says nothing of who the client is.
const FOR_ADMIN: &str = "for=admin";

/// What all transports need to know of the configuration. One for all workers.
pub struct Entrance {
    pub origins: OriginRule,
    /// Sessions on this node. 0: no limit.
    pub session_limit: usize,
    pub rate: Option<ConnectRate>,
    pub proxies: TrustedProxies,
    /// Names of headers that hooks are told, in lower case.
    pub passed_headers: Arc<[String]>,
}

/// Connections that may begin per second.
pub struct ConnectRate {
    per_second: u32,
    clock: Clock,
    window: Mutex<(Millis, u32)>,
}

impl ConnectRate {
    pub fn new(per_second: u32, clock: Clock) -> Self {
        Self { per_second, clock, window: Mutex::new((0, 0)) }
    }

    fn takes(&self) -> bool {
        let second = self.clock.now() / 1_000;
        let mut window = self.window.lock();
        if window.0 != second {
            *window = (second, 0);
        }
        window.1 += 1;
        window.1 <= self.per_second
    }
}

/// Why somebody does not come in, and how it is said.
pub struct Turned {
    pub status: StatusCode,
    pub text: Cow<'static, str>,
    pub header: Option<(HeaderName, String)>,
    pub verdict: HandshakeVerdict,
}

impl Turned {
    pub fn new(status: StatusCode, text: &'static str, verdict: HandshakeVerdict) -> Self {
        Self { status, text: Cow::Borrowed(text), header: None, verdict }
    }

    pub fn full() -> Self {
        Self {
            header: Some((header::RETRY_AFTER, "1".to_string())),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "the hub takes no more connections now", HandshakeVerdict::Full)
        }
    }

    pub fn into_response(self) -> HttpResponse {
        let mut response = respond::text(self.status, &self.text);
        if let Some((name, value)) = self.header
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl Entrance {
    /// Whether this address and the page that asks, if it is one, may come in at all.
    pub fn knows(&self, worker: &Worker, headers: &HeaderMap, address: IpAddr) -> Result<(), Turned> {
        if worker.blocks.has_address(address) {
            return Err(Turned::new(StatusCode::FORBIDDEN, "this address may not connect", HandshakeVerdict::Blocked));
        }
        if self.origin(headers).is_err() {
            let text = "this origin may not connect: see client.allowed_origins";
            return Err(Turned::new(StatusCode::FORBIDDEN, text, HandshakeVerdict::Origin));
        }
        Ok(())
    }

    /// The page that asks, if a page asks. An error: it may not, or there are several.
    pub(super) fn origin<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a HeaderValue>, ()> {
        let mut origins = headers.get_all(header::ORIGIN);
        let origin = origins.next();
        if origins.next().is_some() || !self.origins.allows(origin.map(HeaderValue::as_bytes)) {
            return Err(());
        }
        Ok(origin)
    }

    /// Whether one more is taken now. Counts it, so it is asked last.
    pub fn takes(&self, worker: &Worker, query: &str, address: IpAddr) -> Result<(), Turned> {
        if let Some(notice) = worker.maintenance.notice()
            && !query.split('&').any(|pair| pair == FOR_ADMIN)
        {
            let text = if notice.message.is_empty() { Cow::Borrowed("the hub is in maintenance") } else { Cow::Owned(notice.message.clone()) };
            return Err(Turned {
                status: StatusCode::SERVICE_UNAVAILABLE,
                text,
                header: Some((header::RETRY_AFTER, notice.retry_after.to_string())),
                verdict: HandshakeVerdict::Maintenance,
            });
        }
        let is_full = self.session_limit > 0 && worker.hub.len() >= self.session_limit;
        if is_full || self.rate.as_ref().is_some_and(|rate| !rate.takes()) {
            return Err(Turned::full());
        }
        worker.limits.connects.take(None, "", Some(address)).map_err(|too_often| Turned {
            header: Some((header::RETRY_AFTER, too_often.seconds().to_string())),
            ..Turned::new(StatusCode::TOO_MANY_REQUESTS, "too many connections in too short a time", HandshakeVerdict::TooOften)
        })
    }
}

/// The headers that hooks are told. Each idle connection keeps them, so their bytes are bounded; what would go beyond is left out.
fn passed(headers: &HeaderMap, names: &[String]) -> Option<PassedHeaders> {
    let mut bytes = 0;
    let mut passed: Vec<(Box<str>, Box<[u8]>)> = Vec::new();
    for name in names {
        for value in headers.get_all(name) {
            bytes += name.len() + value.len();
            if bytes <= PASSED_BYTES_MAX {
                passed.push((name.as_str().into(), value.as_bytes().into()));
            }
        }
    }
    (!passed.is_empty()).then(|| passed.into())
}

/// Who is at the other end. `passed_headers`: those that hooks are told.
pub fn peer(headers: &HeaderMap, address: IpAddr, wire: Wire, passed_headers: &[String]) -> Peer {
    Peer {
        address,
        device: device(headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default()),
        transport: wire.into(),
        codec: wire.codec(),
        headers: passed(headers, passed_headers),
    }
}
