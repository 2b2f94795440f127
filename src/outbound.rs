//! What all HTTP clients of the hub have in common: they go nowhere that they were not told to go, and say who they are.
//!
//! Called by whoever asks other servers something: feeds and their doctor, key sets, hooks. Deliberately absent: times, limits and kept
//! connections, which each has of its own.

use reqwest::{Client, ClientBuilder, Url, redirect};
use std::net::IpAddr;

/// A client that follows no redirects, repeats nothing, and tells nobody where it came from. `is_local`: it asks only servers of this machine.
pub fn builder(is_local: bool) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("aether/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only();
    // The usual proxy variables of the environment count, but a proxy cannot reach this machine's own loopback.
    if is_local { builder.no_proxy() } else { builder }
}

/// Makes the client. Without any certificate on the machine no TLS can be verified, but plain servers can be asked all the same: `what` over
/// https then fails.
pub fn build(what: &str, builder: impl Fn() -> ClientBuilder) -> Result<Client, reqwest::Error> {
    builder().build().or_else(|error| {
        log::warn!("cannot use the certificates of this system, {what} over https will fail: {error}");
        builder().tls_certs_only([]).build()
    })
}

pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_name_and_by_address() {
        for (url, expected) in [
            ("http://localhost:1/", true),
            ("http://127.0.0.9/", true),
            ("http://[::1]:80/", true),
            ("http://10.0.0.1/", false),
            ("http://localhost.example/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
