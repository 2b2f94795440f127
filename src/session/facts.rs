//! What is known of a connection: who, from where, by what, since when. For the hub's look-ups and whoever steers through them.
//!
//! Written by the session as it goes on, read by anybody at any time without asking the session. Costs an idle connection a few hundred bytes.

use crate::auth::{Bearer, Blocks, ConnectionClaims, Role, Visitor};
use crate::channel::{SessionId, UserId};
use crate::clock::Millis;
use crate::hooks::PassedHeaders;
use crate::protocol::centrifuge::{Codec, Wire};
use crate::store::{BlockKind, LoginId};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes of a user agent that are kept. Those of browsers have 80 to 150.
pub const DEVICE_BYTES_MAX: usize = 256;

/// How a client reaches the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Websocket,
    HttpStream,
    Sse,
    UniWebsocket,
    UniHttpStream,
    UniSse,
    /// An `EventSource` on the Mercure address, which watches channels of the hub's own. Those who listen to all other topics there are no sessions.
    Mercure,
}

impl Transport {
    pub const ALL: [Self; 7] = [Self::Websocket, Self::HttpStream, Self::Sse, Self::UniWebsocket, Self::UniHttpStream, Self::UniSse, Self::Mercure];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Websocket => "websocket",
            Self::HttpStream => "http_stream",
            Self::Sse => "sse",
            Self::UniWebsocket => "uni_websocket",
            Self::UniHttpStream => "uni_http_stream",
            Self::UniSse => "uni_sse",
            Self::Mercure => "mercure",
        }
    }
}

impl From<Wire> for Transport {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::WebsocketJson | Wire::WebsocketProtobuf => Self::Websocket,
            Wire::StreamJson | Wire::StreamProtobuf => Self::HttpStream,
            Wire::Sse => Self::Sse,
            Wire::UniWebsocket => Self::UniWebsocket,
            Wire::UniStream => Self::UniHttpStream,
            Wire::UniSse => Self::UniSse,
            Wire::Mercure => Self::Mercure,
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Of the client itself where a trusted proxy says which that is.
    pub address: IpAddr,
    /// What the user agent says of itself: see [`device`]. May be empty.
    pub device: Box<str>,
    pub transport: Transport,
    pub codec: Codec,
    /// Of its request, as far as some hook is told of them.
    pub headers: Option<PassedHeaders>,
}

/// A user agent's text as it may be kept and shown: cut to [`DEVICE_BYTES_MAX`] and without control characters, which could forge lines of a
/// log or steer a terminal.
pub fn device(user_agent: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(&user_agent[..user_agent.len().min(DEVICE_BYTES_MAX)]);
    let mut kept: String = text.chars().filter(|letter| !letter.is_control()).collect();
    // A letter that was cut in two has become a longer replacement.
    while kept.len() > DEVICE_BYTES_MAX {
        kept.pop();
    }
    kept.into_boxed_str()
}

/// What a connection was let in by. A refresh replaces it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    pub role: Option<Role>,
    pub login: Option<LoginId>,
    /// The token's own id.
    pub jti: Option<Arc<str>>,
    /// Unix seconds; `None`: never.
    pub expires_at: Option<i64>,
}

impl From<&ConnectionClaims> for Credentials {
    fn from(claims: &ConnectionClaims) -> Self {
        let Bearer { role, login, ref jti, .. } = claims.bearer;
        Self { role, login, jti: jti.as_deref().map(Arc::from), expires_at: claims.expires_at }
    }
}

/// What a client is told that has no connection to speak on, and nobody else: whoever says it is that client. Beside it the client id, which
/// others may know, says which session is meant.
pub struct SessionKey([u8; 16]);

impl SessionKey {
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(***)")
    }
}

#[derive(Debug)]
pub struct SessionFacts {
    pub session: SessionId,
    pub user: UserId,
    pub peer: Arc<Peer>,
    /// When it was connected, on the monotonic clock.
    pub since: Millis,
    /// The same as Unix time in ms.
    pub since_wall_ms: i64,
    /// `None`: the client speaks on its connection, and is known by that.
    key: Option<SessionKey>,
    last_seen: AtomicU64,
    subscriptions: AtomicU32,
    credentials: Mutex<Credentials>,
}

impl SessionFacts {
    pub fn new(session: SessionId, user: UserId, peer: Arc<Peer>, now: Millis, wall_ms: i64, credentials: Credentials) -> Self {
        Self {
            session,
            user,
            peer,
            since: now,
            since_wall_ms: wall_ms,
            key: None,
            last_seen: AtomicU64::new(now),
            subscriptions: AtomicU32::new(0),
            credentials: Mutex::new(credentials),
        }
    }

    /// The client can be addressed by a session id that it alone knows.
    #[must_use]
    pub fn with_key(self, key: SessionKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The session id, for the client alone. Empty: there is none.
    pub fn secret_id(&self) -> String {
        self.key.as_ref().map(|SessionKey(key)| format!("{}.{:032x}", self.session, u128::from_be_bytes(*key))).unwrap_or_default()
    }

    /// Whether this is the session id. Takes the same time whatever is shown.
    pub fn has_secret_id(&self, shown: &str) -> bool {
        self.key.is_some() && verify_slices_are_equal(self.secret_id().as_bytes(), shown.as_bytes()).is_ok()
    }

    pub fn credentials(&self) -> Credentials {
        self.credentials.lock().clone()
    }

    /// Why the client is kept out, if it is.
    pub(super) fn block(&self, blocks: &Blocks) -> Option<BlockKind> {
        let credentials = self.credentials.lock();
        blocks.find(&Visitor { user: &self.user, jti: credentials.jti.as_deref(), address: self.peer.address })
    }

    pub(super) fn set_credentials(&self, credentials: Credentials) {
        *self.credentials.lock() = credentials;
    }

    pub(super) fn set_expiry(&self, expires_at: Option<i64>) {
        self.credentials.lock().expires_at = expires_at;
    }

    /// When something last came from the client, pongs included, as Unix time in ms. Follows the monotonic clock from `since` on.
    pub fn last_seen_wall_ms(&self) -> i64 {
        let lived = self.last_seen.load(Ordering::Relaxed).saturating_sub(self.since);
        self.since_wall_ms.saturating_add(i64::try_from(lived).unwrap_or(i64::MAX))
    }

    pub(super) fn seen(&self, now: Millis) {
        self.last_seen.store(now, Ordering::Relaxed);
    }

    pub fn subscriptions(&self) -> u32 {
        self.subscriptions.load(Ordering::Relaxed)
    }

    pub(super) fn has_subscriptions(&self, count: usize) {
        self.subscriptions.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_short_and_has_no_control_characters() {
        assert_eq!(&*device(b"Mozilla/5.0 (X11)"), "Mozilla/5.0 (X11)");
        assert_eq!(&*device(b"a\r\nforged: line\x1b[2J\0"), "aforged: line[2J");
        assert_eq!(&*device("a\u{85}b".as_bytes()), "ab");
        assert_eq!(device(&[b'x'; 5_000]).len(), DEVICE_BYTES_MAX);
        for length in 250..260 {
            let cut = device(format!("{}{}", "x".repeat(length), "ä".repeat(200)).as_bytes());
            assert!(cut.len() <= DEVICE_BYTES_MAX && cut.len() >= 253, "{length}: {}", cut.len());
        }
        assert!(device(&[0xff; 5_000]).len() <= DEVICE_BYTES_MAX);
    }

    #[test]
    fn only_the_whole_session_id_is_one() {
        let peer =
            || Arc::new(Peer { address: [127, 0, 0, 1].into(), device: device(b"x"), transport: Transport::Sse, codec: Codec::Json, headers: None });
        let facts = |id| SessionFacts::new(id, "alice".into(), peer(), 0, 0, Credentials::default());
        let id = SessionId::random();
        let (one, other) = (facts(id).with_key(SessionKey::random()), facts(id).with_key(SessionKey::random()));
        let secret = one.secret_id();
        assert!(one.has_secret_id(&secret) && !other.has_secret_id(&secret));
        assert!(secret.starts_with(&format!("{id}.")));
        for wrong in [&id.to_string(), "", &secret[..secret.len() - 1], &format!("{secret}0"), &secret.to_uppercase()] {
            assert!(!one.has_secret_id(wrong), "{wrong}");
        }
        assert!(!facts(id).has_secret_id("") && facts(id).secret_id().is_empty(), "who has none is not found by none");
        assert!(!format!("{one:?}").contains(&secret[secret.len() - 32..]));
    }

    #[test]
    fn last_seen_follows_the_monotonic_clock() {
        let peer = Arc::new(Peer {
            address: [127, 0, 0, 1].into(),
            device: device(b"x"),
            transport: Transport::Websocket,
            codec: Codec::Json,
            headers: None,
        });
        let facts = SessionFacts::new(SessionId::random(), "alice".into(), peer, 500, 1_800_000_000_000, Credentials::default());
        assert_eq!(facts.last_seen_wall_ms(), 1_800_000_000_000);
        facts.seen(2_000);
        assert_eq!(facts.last_seen_wall_ms(), 1_800_000_001_500);
    }
}
