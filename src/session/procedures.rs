//! Procedures that clients call by the command `rpc`: the port through which a session reaches whoever carries them out.
//!
//! Declared here and plugged in by the app, because those who answer stand behind this room. The session decides who is asking, how many
//! calls of one connection may be under way and how long one may take; it knows no procedure and asks for no permission.

use super::facts::{Peer, SessionFacts, Transport};
use crate::auth::{ConnectionClaims, Role};
use crate::broker::Answer;
use crate::channel::{SessionId, UserId};
use crate::protocol::codes::ErrorCode;
use crate::store::LoginId;
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;

/// What the names of the hub's own procedures begin with. All others are the application's, where it answers calls.
pub const OWN_METHODS: &str = "admin.";

/// Who answers calls.
pub trait Procedures: Send + Sync {
    /// Carries `method` out, or says that there is none such.
    ///
    /// Called on the caller's worker thread, so an answer that takes more than a moment is given later. Calls of one connection may overtake
    /// each other once they are later ones. When the caller leaves, or its time is over, the answer is dropped where it waits: what must not
    /// stop half-way is handed to somebody who finishes it without a listener.
    fn call(&self, caller: Caller, method: String, data: Bytes) -> Answer<Result<Bytes, CallError>>;

    /// Whether `caller` may watch one of the hub's own channels. Asked at the subscribe, and again when that had to wait for the channel; at the
    /// connect, of those who say there what they want to watch. Called on the caller's worker thread, and must not wait.
    fn may_watch(&self, caller: &Caller, channel: &str) -> bool;

    /// `caller`, who may, watches from now on. Called once, before the client is told; must not wait.
    fn watches(&self, caller: &Caller, channel: &str);
}

/// Who calls: what was known of the connection at the moment of the call.
#[derive(Clone, Debug)]
pub struct Caller {
    pub session: SessionId,
    pub user: UserId,
    pub role: Option<Role>,
    pub login: Option<LoginId>,
    /// The id of the token that the connection lives on.
    pub jti: Option<Arc<str>>,
    pub address: IpAddr,
    pub transport: Transport,
}

impl Caller {
    /// Whoever shows `claims` as it connects: `session` is about to be one.
    pub fn connecting(session: SessionId, peer: &Peer, claims: &ConnectionClaims) -> Self {
        Self {
            session,
            user: claims.user.clone(),
            role: claims.bearer.role,
            login: claims.bearer.login,
            jti: claims.bearer.jti.as_deref().map(Arc::from),
            address: peer.address,
            transport: peer.transport,
        }
    }

    pub(super) fn of(facts: &SessionFacts) -> Self {
        let credentials = facts.credentials();
        Self {
            session: facts.session,
            user: facts.user.clone(),
            role: credentials.role,
            login: credentials.login,
            jti: credentials.jti,
            address: facts.peer.address,
            transport: facts.peer.transport,
        }
    }
}

/// Why a call has no result. The message is the code's own unless there is more to say; it is shown to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    pub code: ErrorCode,
    pub message: Option<String>,
}

impl CallError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(self.code.message)
    }
}

impl From<ErrorCode> for CallError {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}
