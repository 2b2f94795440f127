//! Who signs in, and what becomes of logins.

use super::{Event, counter, counter_vec};
use crate::channel::UserId;
use prometheus::{IntCounter, IntCounterVec};
use std::net::IpAddr;
use std::sync::LazyLock;

static BEGAN: LazyLock<IntCounter> = LazyLock::new(|| counter("aether_logins_total", "Logins that began."));
static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let reasons: &[&[&str]] =
        &[&[LoginRefused::WRONG], &[LoginRefused::PAUSED], &[LoginRefused::BANNED], &[LoginRefused::ORIGIN], &[LoginRefused::MALFORMED]];
    counter_vec("aether_logins_refused_total", "Requests to sign in, or of somebody signed in, that were refused, by reason.", &["reason"], reasons)
});
static ENDED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let reasons: &[&[&str]] = &[&["idle"], &["absolute"], &["logout"], &["replayed"], &["revoked"], &["password"]];
    counter_vec("aether_logins_ended_total", "Logins that ended, by reason.", &["reason"], reasons)
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&BEGAN);
    LazyLock::force(&REFUSED);
    LazyLock::force(&ENDED);
}

/// Somebody signed in.
pub struct LoginBegan<'a> {
    pub user: &'a UserId,
    pub address: IpAddr,
}
impl Event for LoginBegan<'_> {
    fn emit(self) {
        log::info!("accounts: {} signed in from {}", self.user, self.address);
        BEGAN.inc();
    }
}

/// Somebody was not let in.
pub struct LoginRefused {
    /// One of the words below.
    pub reason: &'static str,
    pub address: IpAddr,
}
impl LoginRefused {
    /// Name or password.
    pub const WRONG: &'static str = "wrong";
    /// Too many tries before.
    pub const PAUSED: &'static str = "paused";
    /// By an operator.
    pub const BANNED: &'static str = "banned";
    /// A page of somebody else's sent it.
    pub const ORIGIN: &'static str = "origin";
    /// It is not what this address takes.
    pub const MALFORMED: &'static str = "malformed";
}
impl Event for LoginRefused {
    fn emit(self) {
        log::debug!("accounts: refused a request from {} ({})", self.address, self.reason);
        REFUSED.with_label_values(&[self.reason]).inc();
    }
}

/// Logins ended.
pub struct LoginsEnded {
    pub reason: &'static str,
    pub count: usize,
}
impl Event for LoginsEnded {
    fn emit(self) {
        if self.count > 0 {
            log::info!("accounts: {} logins ended ({})", self.count, self.reason);
            ENDED.with_label_values(&[self.reason]).inc_by(self.count as u64);
        }
    }
}
