//! Which accepted sockets are the hub's own: those of its canaries, which come in as clients do and are counted as none.
//!
//! A canary says before it connects from which address of this machine it will. Two sockets cannot come from the same address and port while one of
//! them is open, so nobody else is taken for one, and there is no secret that could be lost.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// The addresses of canaries that are open or about to be.
#[derive(Debug, Default)]
pub struct Roost(Mutex<HashSet<SocketAddr>>);

impl Roost {
    /// A canary comes from here, for as long as the perch is kept. Whoever keeps it has a socket bound to the address.
    pub fn expect(self: &Arc<Self>, from: SocketAddr) -> Perch {
        let from = canonical(from);
        self.0.lock().insert(from);
        Perch { roost: Arc::clone(self), from }
    }

    pub fn knows(&self, peer: SocketAddr) -> bool {
        self.0.lock().contains(&canonical(peer))
    }

    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A listener for both families sees IPv4 addresses as mapped ones (RFC 4291, 2.5.5.2).
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A canary's place; dropping it gives it up.
#[derive(Debug)]
pub struct Perch {
    roost: Arc<Roost>,
    from: SocketAddr,
}

impl Drop for Perch {
    fn drop(&mut self) {
        self.roost.0.lock().remove(&self.from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_known_by_where_it_comes_from_while_it_lives() {
        let roost = Arc::new(Roost::default());
        let from: SocketAddr = "127.0.0.1:40000".parse().unwrap();
        let perch = roost.expect(from);
        assert!(roost.knows(from) && roost.knows("[::ffff:127.0.0.1]:40000".parse().unwrap()));
        assert!(!roost.knows("127.0.0.1:40001".parse().unwrap()) && !roost.knows("127.0.0.2:40000".parse().unwrap()));
        drop(perch);
        assert!(!roost.knows(from) && roost.is_empty());
    }
}
