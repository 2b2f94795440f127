//! Which web pages may connect: the rule for the `Origin` header.
//!
//! Asked by the HTTP edge before an upgrade and for CORS. A page of the hub's own origin gets no silent exception: the hub does not know
//! under which names it is reached, and the `Host` header is the client's to choose.

use globset::{GlobBuilder, GlobMatcher};

/// The longest origin that is looked at, in bytes: `https://`, a host name of 253 (RFC 1035, 2.3.4) and a port fit many times.
const ORIGIN_BYTES_MAX: usize = 1_024;

/// Built once from `allowed_origins`, then only read.
#[derive(Debug)]
pub struct OriginRule {
    allows_all: bool,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
enum Pattern {
    /// A plain origin in lower case. It is not read as a glob: in one, `[::1]` would be a set of characters, and `http://1` would match.
    Origin(String),
    Glob(GlobMatcher),
}

#[derive(Debug, thiserror::Error)]
#[error("\"{pattern}\" in allowed_origins is not a glob pattern")]
pub struct OriginError {
    pub pattern: String,
    source: globset::Error,
}

impl OriginRule {
    /// `*` alone allows everything; elsewhere `*` stands for any characters, dots included, `?` for one, `[…]` for a set, `{a,b}` for a choice.
    pub fn new<S: AsRef<str>>(allowed_origins: &[S]) -> Result<Self, OriginError> {
        let patterns = allowed_origins.iter().map(|pattern| Pattern::new(pattern.as_ref())).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { allows_all: allowed_origins.iter().any(|pattern| pattern.as_ref() == "*"), patterns })
    }

    /// Whether a request with this `Origin` header (`None`: without one, so not from a page) may come in. A request with several such
    /// headers must be refused by the caller: it does not come from a browser that we know how to judge.
    pub fn allows(&self, origin: Option<&[u8]>) -> bool {
        let Some(origin) = origin else { return true };
        if self.allows_all {
            return true;
        }
        let Some(origin) = std::str::from_utf8(origin).ok().filter(|origin| is_an_origin(origin)) else { return false };
        let origin = origin.to_ascii_lowercase();
        self.patterns.iter().any(|pattern| match pattern {
            Pattern::Origin(allowed) => *allowed == origin,
            Pattern::Glob(glob) => glob.is_match(&origin),
        })
    }
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self, OriginError> {
        let lower = pattern.to_ascii_lowercase();
        if is_an_origin(&lower) {
            return Ok(Self::Origin(lower));
        }
        let glob = GlobBuilder::new(&lower).literal_separator(false).build();
        Ok(Self::Glob(glob.map_err(|source| OriginError { pattern: pattern.to_string(), source })?.compile_matcher()))
    }
}

/// `null`, or scheme, host and perhaps a port, and nothing else (RFC 6454, 7.1): with a path or a user name in it, a pattern such as
/// `https://*.example.com` would match `https://evil.example/.example.com`.
fn is_an_origin(origin: &str) -> bool {
    if origin.len() > ORIGIN_BYTES_MAX {
        return false;
    }
    if origin == "null" {
        return true;
    }
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit()));
    is_scheme && is_host && is_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_refuses_every_page_and_only_pages() {
        let rule = OriginRule::new::<&str>(&[]).unwrap();
        assert!(rule.allows(None));
        for origin in ["https://good.com", "http://localhost:8000", "null", "", "*"] {
            assert!(!rule.allows(Some(origin.as_bytes())), "{origin}");
        }
    }

    #[test]
    fn a_lone_star_allows_everything() {
        let rule = OriginRule::new(&["https://good.com", "*"]).unwrap();
        assert!(rule.allows(None));
        for origin in ["https://evil.com", "null", "", "whatever it is"] {
            assert!(rule.allows(Some(origin.as_bytes())), "{origin}");
        }
        assert!(rule.allows(Some(b"\xff")));
    }

    #[test]
    fn patterns_decide_and_look_alikes_do_not_pass() {
        let allowed = ["https://good.com", "https://*.Example.com", "http://localhost:*", "http://[::1]:8000", "{app,capacitor}://local"];
        let rule = OriginRule::new(&allowed).unwrap();
        assert!(rule.allows(None));
        for origin in [
            "https://good.com",
            "HTTPS://GOOD.COM",
            "https://Good.Com",
            "https://a.example.com",
            "https://a.b.EXAMPLE.com",
            "http://localhost:8000",
            "http://localhost:65535",
            "http://[::1]:8000",
            "app://local",
            "capacitor://local",
        ] {
            assert!(rule.allows(Some(origin.as_bytes())), "{origin}");
        }
        for origin in [
            "",
            "null",
            "*",
            "good.com",
            "//good.com",
            "http://good.com",
            "https://good.com.",
            "https://good.com:443",
            "https://good.com:8443",
            "https://good.com/",
            "https://good.com/path",
            "https://good.evil.com",
            "https://evilgood.com",
            "https://good.com.evil.com",
            "https://good.com@evil.com",
            "https://good.com%2eevil.com",
            "https://good.com evil.com",
            "https://good.com, https://evil.com",
            "https://good.com\t",
            " https://good.com",
            "https://g\u{43e}od.com",
            "https://xn--gd-fkaa.com",
            "https://example.com",
            "https://evilexample.com",
            "https://evil.com/.example.com",
            "https://evil.com#.example.com",
            "https://evil.com?.example.com",
            "https://evil.com\\.example.com",
            "https://evil.com:80.example.com",
            "https://user:pass@a.example.com",
            "https://a.example.com.",
            "http://localhost",
            "http://localhost:",
            "http://localhost:+80",
            "http://localhost:99999",
            "http://localhost:8000.evil.com",
            "http://localhost:8000@evil.com",
            "http://[::1]:8001",
            "http://[::1",
            "http://1:8000",
            "https://",
            "https://:443",
            "javascript:alert(1)",
            "file://",
            "data:text/html,x",
        ] {
            assert!(!rule.allows(Some(origin.as_bytes())), "{origin:?}");
        }
        assert!(!rule.allows(Some(b"https://good.com\xff")));
        assert!(!rule.allows(Some(format!("https://{}.example.com", "a".repeat(2_000)).as_bytes())));
    }

    #[test]
    fn null_must_be_named() {
        assert!(OriginRule::new(&["null"]).unwrap().allows(Some(b"null")));
        assert!(!OriginRule::new(&["https://*"]).unwrap().allows(Some(b"null")));
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        let error = OriginRule::new(&["https://good.com", "https://{a"]).expect_err("an unclosed choice");
        assert_eq!(error.to_string(), "\"https://{a\" in allowed_origins is not a glob pattern");
    }
}
