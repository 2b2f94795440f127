//! What every accepted socket is held by, from the accept to the close: its place among the admitted ([`admission`]) and its place among
//! the watched ([`reaper`]). It stays with the socket when that leaves HTTP and becomes a session's. Whether there are to be new ones at all
//! ([`maintenance`]), and which of them are the hub's own ([`roost`]).

pub mod admission;
pub mod limits;
pub mod maintenance;
pub mod reaper;
pub mod roost;

use admission::{Admitted, Refused};
use reaper::{Watch, WatchGuard};
use std::net::IpAddr;
use std::ops::Deref;

/// One socket's places; dropping it gives both back. Whoever owns the socket drops this first (see [`WatchGuard`]).
#[derive(Debug)]
pub struct Ticket {
    watch: WatchGuard,
    /// `None`: a canary of the hub's own, which takes nobody's place.
    admitted: Option<Admitted>,
}

impl Ticket {
    pub fn new(watch: WatchGuard, admitted: Admitted) -> Self {
        Self { watch, admitted: Some(admitted) }
    }

    /// For a canary of the hub's own.
    pub fn of_canary(watch: WatchGuard) -> Self {
        Self { watch, admitted: None }
    }

    pub fn is_canary(&self) -> bool {
        self.admitted.is_none()
    }

    /// Counts the connection as one from this address; for those that a proxy has passed on.
    pub fn belongs_to(&mut self, address: IpAddr) -> Result<(), Refused> {
        self.admitted.as_mut().map_or(Ok(()), |admitted| admitted.belongs_to(address))
    }
}

impl Deref for Ticket {
    type Target = Watch;
    fn deref(&self) -> &Watch {
        &self.watch
    }
}
