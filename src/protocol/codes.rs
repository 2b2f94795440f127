//! Every code that a client can see: errors, disconnects, unsubscribes. Nothing else in the house writes a code number.
//!
//! Source of the numbers and texts: the Centrifuge client protocol. What clients do with them: disconnect codes 3500-3999 and 4500-4999
//! are final, all others from 3000 on make the client reconnect; unsubscribe codes from 2500 on make it subscribe again.

use std::borrow::Cow;
use std::fmt::Display;

/// One row of the error table, as it stands in a reply's `error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode {
    pub code: u32,
    pub message: &'static str,
    /// Whether the same request may succeed when repeated later.
    pub temporary: bool,
    /// Status of the server API when errors are asked for as HTTP statuses.
    pub http_status: u16,
}

impl ErrorCode {
    const fn new(code: u32, message: &'static str, temporary: bool, http_status: u16) -> Self {
        Self { code, message, temporary, http_status }
    }
    pub const INTERNAL: Self = Self::new(100, "internal server error", true, 500);
    pub const UNAUTHORIZED: Self = Self::new(101, "unauthorized", false, 401);
    pub const UNKNOWN_CHANNEL: Self = Self::new(102, "unknown channel", false, 404);
    pub const PERMISSION_DENIED: Self = Self::new(103, "permission denied", false, 403);
    pub const METHOD_NOT_FOUND: Self = Self::new(104, "method not found", false, 404);
    pub const ALREADY_SUBSCRIBED: Self = Self::new(105, "already subscribed", false, 400);
    pub const LIMIT_EXCEEDED: Self = Self::new(106, "limit exceeded", false, 400);
    pub const BAD_REQUEST: Self = Self::new(107, "bad request", false, 400);
    pub const NOT_AVAILABLE: Self = Self::new(108, "not available", false, 400);
    pub const TOKEN_EXPIRED: Self = Self::new(109, "token expired", false, 401);
    pub const EXPIRED: Self = Self::new(110, "expired", false, 400);
    pub const TOO_MANY_REQUESTS: Self = Self::new(111, "too many requests", true, 429);
    pub const UNRECOVERABLE_POSITION: Self = Self::new(112, "unrecoverable position", false, 416);
    /// The server API's words for 104, where it cannot even say which method was meant.
    pub const NOT_FOUND: Self = Self::new(104, "not found", false, 404);
    /// An error that an application says. `None`: no number that it may say.
    pub fn of_application(code: u32, temporary: bool) -> Option<Self> {
        match Self::ALL.into_iter().find(|row| row.code == code) {
            Some(row) => Some(row),
            None => (100..=1_999).contains(&code).then_some(Self { code, message: "application error", temporary, http_status: 500 }),
        }
    }

    pub const ALL: [Self; 13] = [
        Self::INTERNAL,
        Self::UNAUTHORIZED,
        Self::UNKNOWN_CHANNEL,
        Self::PERMISSION_DENIED,
        Self::METHOD_NOT_FOUND,
        Self::ALREADY_SUBSCRIBED,
        Self::LIMIT_EXCEEDED,
        Self::BAD_REQUEST,
        Self::NOT_AVAILABLE,
        Self::TOKEN_EXPIRED,
        Self::EXPIRED,
        Self::TOO_MANY_REQUESTS,
        Self::UNRECOVERABLE_POSITION,
    ];
}

/// What somebody is told of an error: a row of the table and, where more can be said than the row does, that too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub row: ErrorCode,
    detail: Option<Box<str>>,
}

impl Refusal {
    /// Bytes of the detail. It may quote member names of a payload, which have no other bound than the payload's.
    const DETAIL_BYTES_MAX: usize = 512;

    /// The row, with a detail behind its text: `bad request: /age is not of type "integer"`.
    pub fn with_detail(row: ErrorCode, detail: impl Display) -> Self {
        // It may quote the payload, and lines of logs and answers are to stay lines.
        let mut detail: String = detail.to_string().chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
        detail.truncate(detail.floor_char_boundary(Self::DETAIL_BYTES_MAX));
        Self { row, detail: Some(detail.into_boxed_str()) }
    }

    pub fn message(&self) -> Cow<'static, str> {
        match &self.detail {
            None => Cow::Borrowed(self.row.message),
            Some(detail) => Cow::Owned(format!("{}: {detail}", self.row.message)),
        }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(row: ErrorCode) -> Self {
        Self { row, detail: None }
    }
}

/// Why the server closes a connection: code and reason of the WebSocket close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Disconnect {
    pub code: u16,
    pub reason: &'static str,
}

impl Disconnect {
    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }
    /// RFC 6455, 7.4.1: codes of the WebSocket layer, without a reason of ours.
    pub const WS_NORMAL: Self = Self::new(1000, "");
    pub const WS_PROTOCOL_ERROR: Self = Self::new(1002, "");
    pub const WS_INVALID_TEXT: Self = Self::new(1007, "");
    pub const WS_TOO_BIG: Self = Self::new(1009, "");

    /// The client left; never sent.
    pub const CONNECTION_CLOSED: Self = Self::new(3000, "connection closed");
    pub const SHUTDOWN: Self = Self::new(3001, "shutdown");
    pub const SERVER_ERROR: Self = Self::new(3004, "internal server error");
    pub const EXPIRED: Self = Self::new(3005, "connection expired");
    pub const SUBSCRIPTION_EXPIRED: Self = Self::new(3006, "subscription expired");
    pub const SLOW: Self = Self::new(3008, "slow");
    pub const WRITE_ERROR: Self = Self::new(3009, "write error");
    pub const INSUFFICIENT_STATE: Self = Self::new(3010, "insufficient state");
    pub const FORCE_RECONNECT: Self = Self::new(3011, "force reconnect");
    pub const NO_PONG: Self = Self::new(3012, "no pong");
    pub const TOO_MANY_REQUESTS: Self = Self::new(3013, "too many requests");

    pub const INVALID_TOKEN: Self = Self::new(3500, "invalid token");
    pub const BAD_REQUEST: Self = Self::new(3501, "bad request");
    pub const STALE: Self = Self::new(3502, "stale");
    pub const FORCE_NO_RECONNECT: Self = Self::new(3503, "force disconnect");
    pub const CONNECTION_LIMIT: Self = Self::new(3504, "connection limit");
    pub const CHANNEL_LIMIT: Self = Self::new(3505, "channel limit");
    pub const INAPPROPRIATE_PROTOCOL: Self = Self::new(3506, "inappropriate protocol");
    pub const PERMISSION_DENIED: Self = Self::new(3507, "permission denied");
    pub const NOT_AVAILABLE: Self = Self::new(3508, "not available");
    pub const TOO_MANY_ERRORS: Self = Self::new(3509, "too many errors");
    pub const ALL: [Self; 25] = [
        Self::WS_NORMAL,
        Self::WS_PROTOCOL_ERROR,
        Self::WS_INVALID_TEXT,
        Self::WS_TOO_BIG,
        Self::CONNECTION_CLOSED,
        Self::SHUTDOWN,
        Self::SERVER_ERROR,
        Self::EXPIRED,
        Self::SUBSCRIPTION_EXPIRED,
        Self::SLOW,
        Self::WRITE_ERROR,
        Self::INSUFFICIENT_STATE,
        Self::FORCE_RECONNECT,
        Self::NO_PONG,
        Self::TOO_MANY_REQUESTS,
        Self::INVALID_TOKEN,
        Self::BAD_REQUEST,
        Self::STALE,
        Self::FORCE_NO_RECONNECT,
        Self::CONNECTION_LIMIT,
        Self::CHANNEL_LIMIT,
        Self::INAPPROPRIATE_PROTOCOL,
        Self::PERMISSION_DENIED,
        Self::NOT_AVAILABLE,
        Self::TOO_MANY_ERRORS,
    ];

    /// What a client is told that cannot be answered with an error, because it only listens.
    pub fn in_place_of(error: ErrorCode) -> Self {
        match error {
            ErrorCode::TOKEN_EXPIRED | ErrorCode::EXPIRED => Self::EXPIRED,
            ErrorCode::TOO_MANY_REQUESTS => Self::TOO_MANY_REQUESTS,
            ErrorCode::PERMISSION_DENIED => Self::PERMISSION_DENIED,
            _ => Self::SERVER_ERROR,
        }
    }

    /// Whether SDKs stay away after this close.
    pub const fn is_final(self) -> bool {
        matches!(self.code, 3500..=3999 | 4500..=4999 | 1009)
    }
}

/// Why the server ends one subscription: code and reason of the `unsubscribe` push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unsubscribed {
    pub code: u32,
    pub reason: &'static str,
}

impl Unsubscribed {
    /// By the client itself; never sent.
    pub const CLIENT: Self = Self { code: 0, reason: "client unsubscribed" };
    pub const SERVER: Self = Self { code: 2000, reason: "server unsubscribe" };
    pub const INSUFFICIENT_STATE: Self = Self { code: 2500, reason: "insufficient state" };
    pub const EXPIRED: Self = Self { code: 2501, reason: "subscription expired" };
    pub const ALL: [Self; 3] = [Self::SERVER, Self::INSUFFICIENT_STATE, Self::EXPIRED];
}

/// An error of an inner room that a client may have to be told: it picks its row of the table.
pub trait ClientError {
    fn code(&self) -> ErrorCode;

    /// What the client is told: the row alone, unless the error has more to say to whoever caused it.
    fn refusal(&self) -> Refusal {
        self.code().into()
    }
}

impl ClientError for crate::channel::ChannelError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownNamespace { .. } => ErrorCode::UNKNOWN_CHANNEL,
            Self::Reserved { .. } => ErrorCode::PERMISSION_DENIED,
            Self::TooLong { .. } | Self::BadName { .. } | Self::Pattern { .. } => ErrorCode::BAD_REQUEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_stands_once_and_its_reason_fits_a_close_frame() {
        assert_eq!(ErrorCode::ALL.iter().map(|row| row.code).collect::<HashSet<_>>().len(), ErrorCode::ALL.len());
        assert_eq!(Disconnect::ALL.iter().map(|row| row.code).collect::<HashSet<_>>().len(), Disconnect::ALL.len());
        // RFC 6455, 5.5: a control frame carries at most 125 bytes, two of them the code.
        assert!(Disconnect::ALL.iter().all(|row| row.reason.len() <= 123));
    }

    #[test]
    fn a_detail_follows_the_text_of_its_row_and_is_cut() {
        assert_eq!(Refusal::from(ErrorCode::BAD_REQUEST).message(), "bad request");
        assert_eq!(Refusal::with_detail(ErrorCode::BAD_REQUEST, "/a: no").message(), "bad request: /a: no");
        assert_eq!(Refusal::with_detail(ErrorCode::BAD_REQUEST, "/a\n\u{1b}[0m").message(), "bad request: /a\u{fffd}\u{fffd}[0m");
        let long = Refusal::with_detail(ErrorCode::BAD_REQUEST, "é".repeat(1_000)).message().into_owned();
        assert_eq!(long.len(), "bad request: ".len() + Refusal::DETAIL_BYTES_MAX);
    }

    #[test]
    fn the_page_knows_the_same_codes() {
        let page = include_str!("../../static/src/client/codes.ts");
        let list = |name: &str| {
            let (_, rest) = page.split_once(&format!("export const {name} = [\n")).unwrap();
            rest.split_once("] as const").unwrap().0.to_string()
        };
        let lines = |rows: Vec<(u32, &str)>| rows.iter().map(|(code, text)| format!("  [{code}, \"{text}\"],\n")).collect::<String>();
        assert_eq!(list("ERRORS"), lines(ErrorCode::ALL.iter().map(|row| (row.code, row.message)).collect()));
        assert_eq!(list("DISCONNECTS"), lines(Disconnect::ALL.iter().map(|row| (u32::from(row.code), row.reason)).collect()));
        assert_eq!(list("UNSUBSCRIBES"), lines(Unsubscribed::ALL.iter().map(|row| (row.code, row.reason)).collect()));
    }

    #[test]
    fn sdks_stay_away_after_final_codes_only() {
        assert!(Disconnect::INVALID_TOKEN.is_final());
        assert!(!Disconnect::SHUTDOWN.is_final());
        assert!(!Disconnect::SLOW.is_final());
    }
}
