//! What happens at the edge, before there is a session.

use super::{Event, counter_vec};
use prometheus::IntCounterVec;
use std::sync::LazyLock;

static HANDSHAKES_REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let values = HandshakeVerdict::ALL.map(|verdict| [verdict.as_str()]);
    counter_vec(
        "aether_handshakes_refused_total",
        "WebSocket handshakes, and requests for endless answers, that were refused, by reason.",
        &["reason"],
        &values.each_ref().map(|value| &value[..]),
    )
});
static CONNECTIONS_REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_connections_refused_total",
        "Connections refused at accept or during the TLS handshake, by reason.",
        &["reason"],
        &[&["full"], &["full_for_address"], &["draining"], &["tls"]],
    )
});
static EMULATION_REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_emulation_refused_total",
        "Requests with commands for a session that were refused, by HTTP status.",
        &["status"],
        &EMULATION_STATUSES.map(|(_, status)| [status]).each_ref().map(|value| &value[..]),
    )
});
static REAPED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec("aether_connections_reaped_total", "Connections ended because a stage of theirs was overdue.", &["by"], &[&["reaper"]])
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&HANDSHAKES_REFUSED);
    LazyLock::force(&CONNECTIONS_REFUSED);
    LazyLock::force(&EMULATION_REFUSED);
    LazyLock::force(&REAPED);
}

/// Why a handshake was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeVerdict {
    Path,
    Origin,
    Malformed,
    Full,
    Blocked,
    Maintenance,
    TooOften,
}

impl HandshakeVerdict {
    const ALL: [Self; 7] = [Self::Path, Self::Origin, Self::Malformed, Self::Full, Self::Blocked, Self::Maintenance, Self::TooOften];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Origin => "origin",
            Self::Malformed => "malformed",
            Self::Full => "full",
            Self::Blocked => "blocked",
            Self::Maintenance => "maintenance",
            Self::TooOften => "too_often",
        }
    }
}

pub struct HandshakeRefused {
    pub verdict: HandshakeVerdict,
}
impl Event for HandshakeRefused {
    fn emit(self) {
        log::debug!("handshake refused ({})", self.verdict.as_str());
        HANDSHAKES_REFUSED.with_label_values(&[self.verdict.as_str()]).inc();
    }
}

/// The statuses that requests with commands are refused with; others do not occur and would count as the first.
const EMULATION_STATUSES: [(u16, &str); 8] =
    [(400, "400"), (403, "403"), (404, "404"), (405, "405"), (408, "408"), (413, "413"), (429, "429"), (503, "503")];

/// A request with commands for a session was refused.
pub struct EmulationRefused {
    pub status: u16,
}
impl Event for EmulationRefused {
    fn emit(self) {
        log::debug!("emulation request refused ({})", self.status);
        let (_, label) = EMULATION_STATUSES.into_iter().find(|(status, _)| *status == self.status).unwrap_or(EMULATION_STATUSES[0]);
        EMULATION_REFUSED.with_label_values(&[label]).inc();
    }
}

/// A connection did not get as far as a request.
pub struct ConnectionRefused {
    pub reason: &'static str,
}
impl Event for ConnectionRefused {
    fn emit(self) {
        log::debug!("connection refused ({})", self.reason);
        CONNECTIONS_REFUSED.with_label_values(&[self.reason]).inc();
    }
}

/// The reaper ended connections.
pub struct ConnectionsReaped {
    pub count: usize,
}
impl Event for ConnectionsReaped {
    fn emit(self) {
        log::info!("{} overdue connections ended", self.count);
        REAPED.with_label_values(&["reaper"]).inc_by(self.count as u64);
    }
}
