//! Maintenance: the hub takes no new clients and keeps the present ones.
//!
//! Entered and left by operators (`admin`), asked at every handshake and every connect command. It does not outlive the process: a restart
//! is how most maintenance ends.

use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// What somebody who wants to connect is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// For people; may be empty.
    pub message: String,
    /// Unix milliseconds.
    pub since: i64,
    pub by: String,
    /// Seconds after which it makes sense to come back.
    pub retry_after: u32,
}

#[derive(Debug, Default)]
pub struct Maintenance(ArcSwapOption<Notice>);

impl Maintenance {
    pub fn enter(&self, notice: Notice) {
        self.0.store(Some(Arc::new(notice)));
    }

    /// What had been said, if there was maintenance.
    pub fn leave(&self) -> Option<Arc<Notice>> {
        self.0.swap(None)
    }

    pub fn notice(&self) -> Option<Arc<Notice>> {
        self.0.load_full()
    }
}
