//! The cookie that a refresh token lives in. Over TLS its name begins with `__Host-`: browsers take such a cookie only from this very host, so
//! no other page of the same domain can put its own in our place (RFC 6265bis, 4.1.3.2).

use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};

const SECURE_NAME: &str = "__Host-aether";

/// On this machine without TLS, where browsers refuse the other name.
const PLAIN_NAME: &str = "aether";

/// The longest cookie that is looked at, bytes: ours has about 100.
const VALUE_BYTES_MAX: usize = 512;

const fn name(is_secure: bool) -> &'static str {
    if is_secure { SECURE_NAME } else { PLAIN_NAME }
}

/// The value of our cookie, if the request has one, and one only.
pub(super) fn find(headers: &HeaderMap, is_secure: bool) -> Option<String> {
    let name = name(is_secure);
    let pairs = headers.get_all(COOKIE).filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut values = pairs.filter_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
    let value = values.next().filter(|value| !value.is_empty() && value.len() <= VALUE_BYTES_MAX)?;
    values.next().is_none().then(|| value.to_string())
}

/// `value` must be text that needs no quotes, as refresh tokens are.
pub(super) fn set(is_secure: bool, value: &str, seconds: i64) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; Max-Age={}; HttpOnly{secure}; SameSite=Strict", name(is_secure), seconds.max(0));
    HeaderValue::try_from(text).unwrap_or_else(|_| clear(is_secure))
}

pub(super) fn clear(is_secure: bool) -> HeaderValue {
    HeaderValue::from_static(if is_secure {
        "__Host-aether=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"
    } else {
        "aether=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_says_where_it_may_go() {
        assert_eq!(set(true, "v1.x", 60), "__Host-aether=v1.x; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Strict");
        assert_eq!(set(false, "v1.x", -1), "aether=v1.x; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
        assert_eq!(set(true, "", 0), clear(true));
        assert_eq!(set(false, "", 0), clear(false));
        assert_eq!(set(true, "a\nb", 60), clear(true));
    }

    #[test]
    fn ours_is_found_among_others_and_only_if_it_is_the_only_one() {
        let find = |lines: &[&str], is_secure| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
            }
            super::find(&headers, is_secure)
        };
        let long = format!("aether={}", "x".repeat(VALUE_BYTES_MAX + 1));
        let cases: [(&[&str], bool, Option<&str>); 12] = [
            (&["aether=a.b"], false, Some("a.b")),
            (&["x=1; aether=a.b; y=2"], false, Some("a.b")),
            (&["x=1", "aether=a.b"], false, Some("a.b")),
            (&["__Host-aether=a.b; aether=evil"], true, Some("a.b")),
            (&["aether=evil"], true, None),
            (&["__Host-aether=a.b"], false, None),
            (&["aether=a; aether=b"], false, None),
            (&["aether="], false, None),
            (&["aether"], false, None),
            (&["aetherx=a", "xaether=b"], false, None),
            (&[&long], false, None),
            (&[], false, None),
        ];
        for (lines, is_secure, value) in cases {
            assert_eq!(find(lines, is_secure).as_deref(), value, "{lines:?}");
        }
    }
}
