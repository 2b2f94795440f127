//! Whose request it is, when a proxy stands between: the address that a trusted proxy says, and nobody else.
//!
//! Proxies append the address they were called from to a header, so the list is read from its end: each hop is believed as long as the one
//! behind it, which said so, is trusted. The first that is not trusted is the client, whatever stands before it, because that is what the
//! client may have written itself. Only the one configured header is looked at: a proxy that sets one of them passes the other on unread.

use actix_http::header::{HeaderMap, HeaderName};
use actix_web::HttpRequest;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Hops that are looked at.
const HOPS_MAX: usize = 32;

/// The header that the trusted proxies set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ForwardedBy {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl ForwardedBy {
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Some(Self::XForwardedFor),
            "forwarded" => Some(Self::Forwarded),
            _ => None,
        }
    }
    const fn header(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => HeaderName::from_static("forwarded"),
        }
    }
}

/// Who is believed about clients' addresses. One for the process; app data of every listener.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<Trusted>);

#[derive(Debug, Default)]
struct Trusted {
    networks: Vec<IpNet>,
    by: ForwardedBy,
}

impl TrustedProxies {
    pub fn new(networks: Vec<IpNet>, by: ForwardedBy) -> Self {
        Self(Arc::new(Trusted { networks, by }))
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.networks.iter().any(|network| network.contains(&address))
    }

    /// The client of a request that came from `peer`. (A socket that has no peer any more is about to fail; what is said of it does not matter.)
    pub fn client(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
        if !self.trusts(client) {
            return client;
        }
        let lines: Vec<&str> = match headers.get_all(self.0.by.header()).map(|value| value.to_str()).collect::<Result<_, _>>() {
            Ok(lines) => lines,
            Err(_) => return client,
        };
        // Several lines are one list (RFC 9110, 5.3).
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')).take(HOPS_MAX) {
            let address = match self.0.by {
                ForwardedBy::XForwardedFor => address(hop.trim()),
                ForwardedBy::Forwarded => forwarded_for(hop),
            };
            // A hop that hides its client (RFC 7239, 6) or writes nonsense is itself the best that is known.
            let Some(address) = address else { return client };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

/// The client of a request.
pub fn client_address(request: &HttpRequest) -> IpAddr {
    let proxies = request.app_data::<TrustedProxies>().cloned().unwrap_or_default();
    proxies.client(request.peer_addr(), request.headers())
}

/// With or without a port, as proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

/// `for="[2001:db8::1]:80";proto=https` (RFC 7239, 4). Commas inside quotes, which no address has, make nonsense of an element here.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let value = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    })?;
    address(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_http::header::HeaderValue;

    fn client(by: ForwardedBy, peer: &str, lines: &[&str]) -> String {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()], by);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(by.header(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        // What the other header says counts for nothing.
        let other = if by == ForwardedBy::Forwarded { ForwardedBy::XForwardedFor } else { ForwardedBy::Forwarded };
        headers.append(other.header(), HeaderValue::from_static("for=6.6.6.6, 6.6.6.6"));
        proxies.client(Some(SocketAddr::new(peer.parse().unwrap(), 1)), &headers).to_string()
    }

    #[test]
    fn the_client_is_the_first_hop_from_the_end_that_is_not_trusted() {
        for (peer, lines, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["6.6.6.6", "198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.2, 10.0.0.3"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
            ("10.0.0.1", &["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["6.6.6.6, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6,"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db9::1]:4711"], "2001:db9::1"),
            ("2001:db8::9", &["2001:db9::1"], "2001:db9::1"),
            ("10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7\u{e9}"], "10.0.0.1"),
        ] {
            assert_eq!(client(ForwardedBy::XForwardedFor, peer, lines), expected, "{peer} {lines:?}");
        }
        let endless = format!("6.6.6.6{}", ", 10.0.0.2".repeat(100_000));
        assert_eq!(client(ForwardedBy::XForwardedFor, "10.0.0.1", &[&endless]), "10.0.0.2");
    }

    #[test]
    fn the_standard_s_header_is_read_by_its_own_rules() {
        for (line, expected) in [
            ("for=198.51.100.7", "198.51.100.7"),
            ("For=\"[2001:db9::1]:4711\";proto=https;by=10.0.0.9", "2001:db9::1"),
            ("for=6.6.6.6, for=198.51.100.7;host=x, for=10.0.0.2", "198.51.100.7"),
            ("for=6.6.6.6, for=_hidden", "10.0.0.1"),
            ("for=6.6.6.6, proto=https", "10.0.0.1"),
            ("198.51.100.7", "10.0.0.1"),
            ("for=\"198.51.100.7", "10.0.0.1"),
        ] {
            assert_eq!(client(ForwardedBy::Forwarded, "10.0.0.1", &[line]), expected, "{line}");
        }
    }

    #[test]
    fn nobody_is_trusted_unless_it_is_said() {
        assert!(!TrustedProxies::default().trusts(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(ForwardedBy::parse("X-Forwarded-For"), Some(ForwardedBy::XForwardedFor));
        assert_eq!(ForwardedBy::parse("x-real-ip"), None);
    }
}
