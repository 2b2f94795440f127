//! Who asks: from where, from which page, with which cookie. Whether it is one of our own pages, or no page at all.

use super::{Refusal, SEC_FETCH_SITE, cookie, refused};
use crate::auth::accounts::Place;
use crate::http::forwarded::client_address;
use crate::session::facts::device;
use crate::telemetry::accounts::LoginRefused;
use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN, USER_AGENT};
use std::net::IpAddr;

/// Whether the listener that a request came by speaks TLS: app data, put there where the listener is made.
#[derive(Clone, Copy, Debug)]
pub struct IsTls(pub bool);

/// What a proxy in front of us says of the client's connection to it. Only its `https` counts, and all it brings about is a cookie that goes
/// over TLS alone, so it may come from anybody.
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

pub(super) struct Caller {
    pub(super) place: Place,
    /// The refresh token that it showed.
    pub(super) cookie: Option<String>,
    /// Whether its browser keeps cookies for TLS alone.
    pub(super) is_secure: bool,
}

impl Caller {
    /// `changes`: whether the request may change something, and so must not come from a page of somebody else's.
    pub(super) fn of(request: &HttpRequest, changes: bool) -> Result<Self, Refusal> {
        let address = client_address(request);
        let headers = request.headers();
        let is_tls = request.app_data::<IsTls>().is_some_and(|IsTls(is_tls)| *is_tls);
        let is_secure = judge(headers, is_tls, changes).map_err(|foreign| {
            let reason = if matches!(foreign, Foreign::NotJson) { LoginRefused::MALFORMED } else { LoginRefused::ORIGIN };
            refused(address, reason, foreign.into())
        })?;
        let user_agent = headers.get(USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
        let place = Place { address, device: device(user_agent).into() };
        Ok(Self { place, cookie: cookie::find(headers, is_secure), is_secure })
    }
}

/// The login of whoever asks by one of our own pages, or by no page at all: its refresh token, and from where. For those who give something out, and
/// change nothing.
pub fn login_of(request: &HttpRequest) -> Option<(String, Place)> {
    is_ours(request.headers()).ok()?;
    let Caller { place, cookie, .. } = Caller::of(request, false).ok()?;
    Some((cookie?, place))
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Foreign {
    /// A page of another origin sent it.
    Origin,
    /// The connection can be read by others on the way.
    Insecure,
    NotJson,
}

impl From<Foreign> for Refusal {
    fn from(foreign: Foreign) -> Self {
        match foreign {
            Foreign::Origin => Self::new(StatusCode::FORBIDDEN, "origin", "This may only be asked by the hub's own pages."),
            Foreign::Insecure => Self::new(StatusCode::FORBIDDEN, "insecure", "Signing in needs https, except on this machine."),
            Foreign::NotJson => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", "The body must be application/json."),
        }
    }
}

/// The value of a header that a request has once at most.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Foreign> {
    let mut values = headers.get_all(name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Foreign::Origin),
        // No browser sends two; something on the way would read another one than we do.
        (Some(_), Some(_)) => Err(Foreign::Origin),
    }
}

/// Whether one of our own pages asks, or no page at all.
fn is_ours(headers: &HeaderMap) -> Result<(), Foreign> {
    match (one(headers, &SEC_FETCH_SITE)?, one(headers, &ORIGIN)?) {
        // The browser's own word, which no page can change. It holds behind a proxy that calls us by another name, too.
        (Some(site), _) if site != "same-origin" => Err(Foreign::Origin),
        (Some(_), _) | (None, None) => Ok(()),
        (None, Some(origin)) => {
            let host = one(headers, &HOST)?.unwrap_or_default();
            if authority(origin).is_some_and(|authority| authority.eq_ignore_ascii_case(host)) { Ok(()) } else { Err(Foreign::Origin) }
        }
    }
}

/// Whether the request may be taken; if so, whether its cookie is for TLS alone.
fn judge(headers: &HeaderMap, is_tls: bool, changes: bool) -> Result<bool, Foreign> {
    let host = one(headers, &HOST)?.unwrap_or_default();
    let origin = one(headers, &ORIGIN)?;
    one(headers, &SEC_FETCH_SITE)?;
    if changes {
        is_ours(headers)?;
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            return Err(Foreign::NotJson);
        }
    }
    let by_proxy = || headers.get(X_FORWARDED_PROTO).is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
    let is_secure = is_tls || by_proxy() || origin.is_some_and(|origin| origin.starts_with("https://"));
    let seen_at = origin.and_then(authority).unwrap_or(host);
    match (is_secure, changes) {
        (true, _) => Ok(true),
        (false, true) if !is_this_machine(seen_at) => Err(Foreign::Insecure),
        // Where the name is a public one, only the cookie that nobody else can set counts (RFC 6265bis, 4.1.3.2).
        (false, _) => Ok(!is_this_machine(seen_at)),
    }
}

/// Host and port of an origin.
fn authority(origin: &str) -> Option<&str> {
    origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).filter(|authority| !authority.is_empty())
}

/// Whether the host of an authority is this machine, as browsers see it (Secure Contexts, 3.1).
fn is_this_machine(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let is_name = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    is_name || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    type Headers<'a> = &'a [(&'static str, &'static str)];

    fn headers(pairs: Headers<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_pages_and_programs_may_change_something() {
        let json = ("content-type", "application/json");
        let cases: [(&str, Headers<'_>, bool, Result<bool, Foreign>); 26] = [
            ("a program on this machine", &[("host", "127.0.0.1:8000"), json], false, Ok(false)),
            ("a program over TLS", &[("host", "hub.example"), json], true, Ok(true)),
            ("a program without TLS from elsewhere", &[("host", "hub.example:8000"), json], false, Err(Foreign::Insecure)),
            ("the same behind a proxy", &[("host", "hub.example"), ("x-forwarded-proto", "https"), json], false, Ok(true)),
            ("our page", &[("host", "hub.example"), ("origin", "https://hub.example"), ("sec-fetch-site", "same-origin"), json], true, Ok(true)),
            ("our page, old browser", &[("host", "hub.example"), ("origin", "https://hub.example"), json], true, Ok(true)),
            ("our page on this machine", &[("host", "localhost:8000"), ("origin", "http://localhost:8000"), json], false, Ok(false)),
            (
                "behind a proxy with another name",
                &[("host", "127.0.0.1:8000"), ("origin", "https://hub.example"), ("sec-fetch-site", "same-origin"), json],
                false,
                Ok(true),
            ),
            ("the same, old browser", &[("host", "127.0.0.1:8000"), ("origin", "https://hub.example"), json], false, Err(Foreign::Origin)),
            ("our page without TLS", &[("host", "hub.example"), ("origin", "http://hub.example"), json], false, Err(Foreign::Insecure)),
            (
                "another site",
                &[("host", "hub.example"), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), json],
                true,
                Err(Foreign::Origin),
            ),
            ("another site, old browser", &[("host", "hub.example"), ("origin", "https://evil.example"), json], true, Err(Foreign::Origin)),
            (
                "a sister domain",
                &[("host", "hub.example"), ("origin", "https://a.hub.example"), ("sec-fetch-site", "same-site"), json],
                true,
                Err(Foreign::Origin),
            ),
            ("another port", &[("host", "localhost:8000"), ("origin", "http://localhost:3000"), json], false, Err(Foreign::Origin)),
            ("typed into the address bar", &[("host", "hub.example"), ("sec-fetch-site", "none"), json], true, Err(Foreign::Origin)),
            ("a sandboxed frame", &[("host", "hub.example"), ("origin", "null"), json], true, Err(Foreign::Origin)),
            (
                "an origin with more behind it",
                &[("host", "hub.example"), ("origin", "https://hub.example@evil.example"), json],
                true,
                Err(Foreign::Origin),
            ),
            ("an origin that goes on", &[("host", "hub.example"), ("origin", "https://hub.example.evil.example"), json], true, Err(Foreign::Origin)),
            ("an empty origin", &[("host", "hub.example"), ("origin", ""), json], true, Err(Foreign::Origin)),
            ("no host to compare with", &[("origin", "https://"), json], true, Err(Foreign::Origin)),
            (
                "two origins",
                &[("host", "hub.example"), ("origin", "https://hub.example"), ("origin", "https://evil.example"), json],
                true,
                Err(Foreign::Origin),
            ),
            (
                "two words of the browser",
                &[("host", "hub.example"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site"), json],
                true,
                Err(Foreign::Origin),
            ),
            ("a form", &[("host", "hub.example"), ("content-type", "application/x-www-form-urlencoded")], true, Err(Foreign::NotJson)),
            ("a form that looks like JSON", &[("host", "hub.example"), ("content-type", "text/plain;application/json")], true, Err(Foreign::NotJson)),
            ("no type", &[("host", "hub.example")], true, Err(Foreign::NotJson)),
            ("a type with a parameter", &[("host", "hub.example"), ("content-type", "Application/JSON; charset=utf-8")], true, Ok(true)),
        ];
        for (name, pairs, is_tls, expected) in cases {
            assert_eq!(judge(&headers(pairs), is_tls, true), expected, "{name}");
        }
    }

    #[test]
    fn looking_is_free_but_the_cookie_that_others_could_set_counts_on_this_machine_alone() {
        for (host, is_tls, is_secure) in [
            ("localhost:8000", false, false),
            ("127.0.0.1", false, false),
            ("[::1]:8000", false, false),
            ("hub.example", false, true),
            ("localhost", true, true),
        ] {
            assert_eq!(judge(&headers(&[("host", host)]), is_tls, false), Ok(is_secure), "{host}");
        }
    }

    #[test]
    fn this_machine_is_told_from_names_that_look_like_it() {
        for (authority, expected) in [
            ("localhost", true),
            ("LOCALHOST:80", true),
            ("app.localhost:8000", true),
            ("127.0.0.1:1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("[::1]:8000", true),
            ("localhost.evil.example", false),
            ("notlocalhost", false),
            ("127.0.0.1.evil.example", false),
            ("192.0.2.1", false),
            ("0.0.0.0", false),
            ("[::]", false),
            ("", false),
        ] {
            assert_eq!(is_this_machine(authority), expected, "{authority}");
        }
    }
}
