//! What happens to client connections.

use super::tap::{self, Kind};
use super::{Event, counter, counter_vec};
use crate::channel::{ChannelName, SessionId, UserId};
use crate::protocol::codes::{Disconnect, ErrorCode, Unsubscribed};
use prometheus::{IntCounter, IntCounterVec};
use serde_json::json;
use std::net::IpAddr;
use std::sync::LazyLock;

static OPENED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    const WITH_PROTOBUF: [&str; 2] = ["websocket", "http_stream"];
    const JSON_ALONE: [&str; 5] = ["sse", "uni_websocket", "uni_http_stream", "uni_sse", "mercure"];
    let json = WITH_PROTOBUF.into_iter().chain(JSON_ALONE).map(|transport| ["json", transport]);
    let values: Vec<_> = json.chain(WITH_PROTOBUF.map(|transport| ["protobuf", transport])).collect();
    let values: Vec<&[&str]> = values.iter().map(|value| &value[..]).collect();
    counter_vec("aether_sessions_opened_total", "Client connections opened, by codec and transport.", &["codec", "transport"], &values)
});
static CLOSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let values: Vec<_> = Ended::labels().map(|label| [label]).collect();
    let values: Vec<&[&str]> = values.iter().map(|value| &value[..]).collect();
    counter_vec("aether_sessions_closed_total", "Client connections closed, by cause.", &["cause"], &values)
});
static COMMANDS: LazyLock<[IntCounter; COMMAND_NAMES.len()]> = LazyLock::new(|| {
    let values = COMMAND_NAMES.map(|name| [name]);
    let family = counter_vec("aether_commands_total", "Commands of clients, by kind.", &["command"], &values.each_ref().map(|value| &value[..]));
    COMMAND_NAMES.map(|name| family.with_label_values(&[name]))
});
static ERRORS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let codes = ErrorCode::ALL.map(|error| error.code.to_string());
    let values: Vec<_> = codes.iter().map(String::as_str).chain([APPLICATION]).map(|code| [code]).collect();
    let values: Vec<&[&str]> = values.iter().map(|value| &value[..]).collect();
    counter_vec("aether_command_errors_total", "Commands answered with an error, by code.", &["code"], &values)
});
static UNSUBSCRIBED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let codes = Unsubscribed::ALL.map(|why| why.code.to_string());
    let values = codes.each_ref().map(|code| [code.as_str()]);
    counter_vec("aether_unsubscribed_total", "Subscriptions ended by the hub, by code.", &["code"], &values.each_ref().map(|value| &value[..]))
});
static RECOVERIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_recoveries_total",
        "Subscribers that came back asking for what they missed, by result.",
        &["result"],
        &[&["recovered"], &["unrecovered"]],
    )
});
static FRAME_ERRORS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let values = FRAME_ERROR_KINDS.map(|kind| [kind]);
    counter_vec("aether_frame_errors_total", "WebSocket frames that broke the rules, by kind.", &["kind"], &values.each_ref().map(|value| &value[..]))
});
static TOKENS_REFUSED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_tokens_refused_total", "Connection and subscription tokens that were refused."));

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&OPENED);
    LazyLock::force(&CLOSED);
    LazyLock::force(&COMMANDS);
    LazyLock::force(&ERRORS);
    LazyLock::force(&UNSUBSCRIBED);
    LazyLock::force(&RECOVERIES);
    LazyLock::force(&FRAME_ERRORS);
    LazyLock::force(&TOKENS_REFUSED);
}

/// Stands for all errors that are the application's own: their codes are no closed set.
const APPLICATION: &str = "application";

/// The kinds of commands, in the order of [`command_index`].
const COMMAND_NAMES: [&str; 13] = [
    "pong",
    "connect",
    "subscribe",
    "unsubscribe",
    "publish",
    "presence",
    "presence_stats",
    "history",
    "send",
    "rpc",
    "refresh",
    "sub_refresh",
    "unknown",
];

/// What [`crate::protocol::websocket::FrameError::kind`] can say; anything else is counted as the last one.
const FRAME_ERROR_KINDS: [&str; 15] = [
    "reserved_bits",
    "unknown_opcode",
    "unmasked",
    "fragmented_control",
    "oversized_control",
    "unexpected_continuation",
    "interleaved_message",
    "length_overflow",
    "too_big",
    "too_many_fragments",
    "close_code_cut",
    "close_code",
    "invalid_text",
    "invalid_close_reason",
    "other",
];

/// A command of a client, counted by kind.
pub struct CommandReceived {
    pub command: &'static str,
}
impl Event for CommandReceived {
    fn emit(self) {
        if let Some(index) = COMMAND_NAMES.iter().position(|name| *name == self.command) {
            COMMANDS[index].inc();
        }
    }
}

/// A command was answered with an error.
pub struct CommandRefused {
    pub session: SessionId,
    pub command: &'static str,
    pub error: ErrorCode,
}
impl Event for CommandRefused {
    fn emit(self) {
        log::debug!("session {}: {} answered with error {} ({})", self.session, self.command, self.error.code, self.error.message);
        let code = self.error.code.to_string();
        let is_ours = ErrorCode::ALL.iter().any(|row| row.code == self.error.code);
        ERRORS.with_label_values(&[if is_ours { &code } else { APPLICATION }]).inc();
    }
}

pub struct SessionOpened {
    pub session: SessionId,
    pub transport: &'static str,
    pub codec: &'static str,
}
impl Event for SessionOpened {
    fn emit(self) {
        log::debug!("session {} opened ({}, {})", self.session, self.transport, self.codec);
        OPENED.with_label_values(&[self.codec, self.transport]).inc();
    }
}

/// A client has said who it is.
pub struct SessionConnected<'a> {
    pub session: SessionId,
    pub user: &'a UserId,
    pub address: IpAddr,
}
impl Event for SessionConnected<'_> {
    fn emit(self) {
        tap::event(
            Kind::SessionConnected,
            || json!({ "session": self.session.to_string(), "user": self.user.as_str(), "address": self.address.to_string() }),
        );
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client closed it, or its network went away.
    ByClient,
    /// We closed it, for this reason.
    ByHub(Disconnect),
    /// It broke the rules of the WebSocket protocol.
    Protocol,
    /// The reaper found it silent.
    Silent,
    /// The reaper found that it takes nothing.
    Stuck,
}

impl Ended {
    fn label(self) -> &'static str {
        match self {
            Self::ByClient => "client",
            Self::Protocol => "protocol",
            Self::Silent => "silent",
            // Too much waiting for too long, and too much of it, are one thing to an operator.
            Self::Stuck => Disconnect::SLOW.reason,
            Self::ByHub(why) if why.reason.is_empty() => "protocol",
            Self::ByHub(why) => why.reason,
        }
    }
    fn labels() -> impl Iterator<Item = &'static str> {
        let ours = Disconnect::ALL.into_iter().map(|why| why.reason).filter(|reason| !reason.is_empty());
        ["client", "protocol", "silent", "other"].into_iter().chain(ours)
    }
}

pub struct SessionClosed {
    pub session: SessionId,
    pub user: UserId,
    pub how: Ended,
    pub lived_ms: u64,
    /// Whether it had said who it is before.
    pub was_connected: bool,
}
impl Event for SessionClosed {
    fn emit(self) {
        let Self { session, user, how, lived_ms, was_connected } = self;
        let label = how.label();
        if was_connected {
            tap::event(
                Kind::SessionClosed,
                || json!({ "session": session.to_string(), "user": user.as_str(), "how": label.to_string(), "lived_ms": lived_ms }),
            );
        }
        match how {
            Ended::ByHub(Disconnect::SLOW) | Ended::Stuck => log::info!("session {session} of user {user:?} cut as slow after {lived_ms} ms"),
            _ => log::debug!("session {session} of user {user:?} closed after {lived_ms} ms: {label}"),
        }
        let label = if Ended::labels().any(|known| known == label) { label } else { "other" };
        CLOSED.with_label_values(&[label]).inc();
    }
}

/// A frame or a sequence of frames broke RFC 6455 or a limit of ours.
pub struct FrameRefused {
    pub session: SessionId,
    pub kind: &'static str,
}
impl Event for FrameRefused {
    fn emit(self) {
        log::debug!("session {}: frame refused ({})", self.session, self.kind);
        let kind = FRAME_ERROR_KINDS.into_iter().find(|known| *known == self.kind).unwrap_or("other");
        FRAME_ERRORS.with_label_values(&[kind]).inc();
    }
}

/// A token was refused. The client is not told why; this line is the answer to "why does my client get 3500".
pub struct TokenRefused<'a> {
    pub session: SessionId,
    pub why: &'a dyn std::fmt::Display,
}
impl Event for TokenRefused<'_> {
    fn emit(self) {
        log::info!("session {}: token refused: {}", self.session, self.why);
        TOKENS_REFUSED.inc();
    }
}

/// The hub ended a subscription.
pub struct SubscriptionEnded<'a> {
    pub session: SessionId,
    pub channel: &'a ChannelName,
    pub why: Unsubscribed,
}
impl Event for SubscriptionEnded<'_> {
    fn emit(self) {
        log::debug!("session {}: unsubscribed from {}: {}", self.session, self.channel, self.why.reason);
        UNSUBSCRIBED.with_label_values(&[&self.why.code.to_string()]).inc();
    }
}

/// A subscriber came back.
pub struct SubscriberRecovered {
    pub is_recovered: bool,
}
impl Event for SubscriberRecovered {
    fn emit(self) {
        RECOVERIES.with_label_values(&[if self.is_recovered { "recovered" } else { "unrecovered" }]).inc();
    }
}
