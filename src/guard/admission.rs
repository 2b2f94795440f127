//! How many connections there may be: in all, and from one address.
//!
//! Counted by us, well below the limits of the accept loop and of the process, because those stall where this refuses: a client that is
//! refused can go elsewhere, one that hangs in the backlog cannot.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There are as many connections as may be.
    Full,
    /// There are as many from this address as may be.
    FullForAddress,
    /// The hub is about to stop.
    Draining,
}

impl Refused {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::FullForAddress => "full_for_address",
            Self::Draining => "draining",
        }
    }
}

#[derive(Debug)]
pub struct Admission {
    limit: usize,
    /// 0: no limit.
    limit_per_address: usize,
    count: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

impl Admission {
    pub fn new(limit: usize, limit_per_address: usize) -> Arc<Self> {
        Arc::new(Self { limit, limit_per_address, count: AtomicUsize::new(0), addresses: Mutex::default() })
    }

    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Refused> {
        let mut admitted = self.admit_anybody()?;
        admitted.belongs_to(address)?;
        Ok(admitted)
    }

    /// For a connection of which it is not known yet whose it is.
    pub fn admit_anybody(self: &Arc<Self>) -> Result<Admitted, Refused> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Full);
        }
        Ok(Admitted { admission: Arc::clone(self), address: None })
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// One IPv6 user holds a whole /64, so that is what counts as one address.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// One connection's place; dropping it gives it back.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

impl Admitted {
    /// Counts the connection as one from this address, unless there are as many as may be. Said once.
    pub fn belongs_to(&mut self, address: IpAddr) -> Result<(), Refused> {
        let limit = self.admission.limit_per_address;
        if limit == 0 || self.address.is_some() {
            return Ok(());
        }
        let address = network_of(address);
        let mut addresses = self.admission.addresses.lock();
        let count = addresses.entry(address).or_default();
        if *count >= limit {
            return Err(Refused::FullForAddress);
        }
        *count += 1;
        self.address = Some(address);
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.count.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut addresses = self.admission.addresses.lock();
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_by_address_and_given_back() {
        let admission = Admission::new(3, 2);
        let one: IpAddr = "127.0.0.1".parse().unwrap();
        let other: IpAddr = "127.0.0.2".parse().unwrap();
        let first = admission.admit(one).unwrap();
        let _second = admission.admit("::ffff:127.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(admission.admit(one).unwrap_err(), Refused::FullForAddress);
        let _third = admission.admit(other).unwrap();
        assert_eq!(admission.admit(other).unwrap_err(), Refused::Full);
        drop(first);
        let _again = admission.admit(one).unwrap();
        assert_eq!(admission.count(), 3);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let admission = Admission::new(10, 1);
        let _first = admission.admit("2001:db8::1".parse().unwrap()).unwrap();
        assert_eq!(admission.admit("2001:db8::2".parse().unwrap()).unwrap_err(), Refused::FullForAddress);
        assert!(admission.admit("2001:db8:0:1::1".parse().unwrap()).is_ok());
    }
}
