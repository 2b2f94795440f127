//! What an HTTP answer, or its absence, means for a feed. Pure.
//!
//! Browsers give up for good on every answer but 200 with an event stream. A hub must not: nobody stands beside it to press reload.
//! So statuses that may pass are retried with backoff, and those that say *never* are parked and asked about every few minutes.

use super::machine::{Ending, Pace, Reason};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

/// Characters of a foreign error text that go into a log line.
const DETAIL_CHARS_MAX: usize = 200;

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Read it.
    Stream,
    /// Ask there.
    Redirect {
        to: Box<Url>,
        is_permanent: bool,
    },
    Refused(Ending),
}

/// Judges status and headers of the answer that `asked` gave.
pub fn judge(status: StatusCode, headers: &HeaderMap, asked: &Url, now: SystemTime) -> Verdict {
    let said = || format!("status {}", status.as_u16());
    let refused = |pace, detail: String| Verdict::Refused(Ending::new(Reason::HttpStatus, pace, detail));
    match status.as_u16() {
        200 => match stream_fault(headers) {
            None => Verdict::Stream,
            Some(detail) => Verdict::Refused(Ending::new(Reason::ContentType, Pace::Park, detail)),
        },
        301 | 302 | 303 | 307 | 308 => match redirect_target(headers, asked) {
            Ok(to) => Verdict::Redirect { to: Box::new(to), is_permanent: matches!(status.as_u16(), 301 | 308) },
            Err(detail) => Verdict::Refused(Ending::new(Reason::Redirect, Pace::Park, detail)),
        },
        204 => refused(Pace::Park, "status 204: the feed asks its readers to stop".to_string()),
        // A token may have been replaced since it was read.
        401 | 403 => refused(Pace::Credentials, said()),
        408 | 425 | 429 | 500..=599 => {
            let ending = Ending::new(Reason::HttpStatus, Pace::Retry, said());
            Verdict::Refused(Ending { not_before: retry_after(headers, now), ..ending })
        }
        _ => refused(Pace::Park, said()),
    }
}

fn stream_fault(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let content_type = text(CONTENT_TYPE).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("text/event-stream") {
        return Some(format!("content type {:?} instead of text/event-stream", shortened(essence)));
    }
    // We asked for none (Accept-Encoding: identity); what comes all the same cannot be read.
    let encoding = text(CONTENT_ENCODING).unwrap_or_default();
    let is_plain = encoding.is_empty() || encoding.trim().eq_ignore_ascii_case("identity");
    (!is_plain).then(|| format!("content encoding {:?}, which was not asked for", shortened(&encoding)))
}

fn redirect_target(headers: &HeaderMap, asked: &Url) -> Result<Url, Cow<'static, str>> {
    let location = headers.get(LOCATION).ok_or("redirected without a location")?;
    let location = location.to_str().map_err(|_| "redirected to a location that is not text")?;
    let to = asked.join(location).map_err(|_| "redirected to a location that is no URL")?;
    match (asked.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => Ok(to),
        ("https", "http") => Err("redirected from https to http".into()),
        (_, scheme) => Err(format!("redirected to {:?}, which is not HTTP", shortened(scheme)).into()),
    }
}

/// Seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    httpdate::parse_http_date(text).ok()?.duration_since(now).ok()
}

/// Whether the headers that the configuration names may go to `to`: they hold credentials, so only where the operator sent them, or to
/// the TLS port of the same host.
pub fn may_see_headers(configured: &Url, to: &Url) -> bool {
    let same_host = configured.host() == to.host();
    let same_port = configured.port_or_known_default() == to.port_or_known_default();
    let upgraded = configured.scheme() == "http" && to.scheme() == "https" && configured.port().is_none() && to.port().is_none();
    same_host && ((configured.scheme() == to.scheme() && same_port) || upgraded)
}

/// What kind of end a failed request or a broken body is.
pub fn ending_of(error: &reqwest::Error) -> Ending {
    let (reason, pace) = classify(error);
    Ending::new(reason, pace, shortened(&chain(error)).into_owned())
}

fn classify(error: &reqwest::Error) -> (Reason, Pace) {
    if error.is_dns() {
        return (Reason::Dns, Pace::Retry);
    }
    // First, because TLS faults are wrapped in kinds of `io::Error` that mean something else without one.
    if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return (Reason::Tls, pace_of_tls(tls));
    }
    let reason = causes(error).find_map(|cause| {
        let of_io = cause.downcast_ref::<io::Error>().and_then(|io| reason_of_io(io.kind()));
        of_io.or_else(|| cause.downcast_ref::<hyper::Error>().and_then(reason_of_http))
    });
    let reason = reason.unwrap_or_else(|| {
        if error.is_timeout() {
            Reason::Timeout
        } else if error.is_connect() {
            Reason::Refused
        } else {
            Reason::Rst
        }
    });
    (reason, Pace::Retry)
}

/// The error and everything below it. An error that travels in an `io::Error` is not among its sources (only that error's own sources
/// are), so it is looked for there as well.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
        None => error.source(),
    })
}

fn reason_of_http(error: &hyper::Error) -> Option<Reason> {
    if error.is_incomplete_message() {
        Some(Reason::Eof)
    } else if error.is_parse() {
        Some(Reason::Parse)
    } else {
        None
    }
}

/// A certificate that is not accepted now will not be accepted in a second either; all other faults of the handshake may pass.
fn pace_of_tls(error: &rustls::Error) -> Pace {
    if matches!(error, rustls::Error::InvalidCertificate(_)) { Pace::Park } else { Pace::Retry }
}

fn reason_of_io(kind: io::ErrorKind) -> Option<Reason> {
    use io::ErrorKind::*;
    match kind {
        ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable | NetworkDown => Some(Reason::Refused),
        ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected => Some(Reason::Rst),
        UnexpectedEof => Some(Reason::Eof),
        TimedOut => Some(Reason::Timeout),
        // The framing of a chunked body.
        InvalidInput | InvalidData => Some(Reason::Parse),
        _ => None,
    }
}

/// The error and its causes. Without the URL, which reqwest puts into its own text and which may hold credentials.
fn chain(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes(error).skip(1) {
        let text = cause.to_string();
        // Many layers repeat the text of the one below.
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    if texts.is_empty() { "request failed".to_string() } else { texts.join(": ") }
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(DETAIL_CHARS_MAX) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn verdict(status: u16, pairs: &[(HeaderName, &str)]) -> Verdict {
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 10:00:00 GMT").unwrap();
        judge(StatusCode::from_u16(status).unwrap(), &headers(pairs), &url("https://a/b/c?d"), now)
    }

    fn refusal(status: u16, pairs: &[(HeaderName, &str)]) -> (Reason, Pace, Option<u64>) {
        match verdict(status, pairs) {
            Verdict::Refused(ending) => (ending.reason, ending.pace, ending.not_before.map(|wait| wait.as_secs())),
            other => panic!("{status}: {other:?}"),
        }
    }

    #[test]
    fn only_an_event_stream_is_read() {
        for good in [
            "text/event-stream",
            "text/event-stream; charset=utf-8",
            "TEXT/Event-Stream;x=y",
            " text/event-stream ",
            "text/event-stream;charset=latin1",
        ] {
            assert_eq!(verdict(200, &[(CONTENT_TYPE, good)]), Verdict::Stream, "{good}");
        }
        for bad in ["text/html", "", "text/event-streams", "application/json", "text/plain; text/event-stream"] {
            assert_eq!(refusal(200, &[(CONTENT_TYPE, bad)]), (Reason::ContentType, Pace::Park, None), "{bad}");
        }
        assert_eq!(refusal(200, &[]), (Reason::ContentType, Pace::Park, None));
        let stream = (CONTENT_TYPE, "text/event-stream");
        assert_eq!(refusal(200, &[stream.clone(), (CONTENT_ENCODING, "gzip")]), (Reason::ContentType, Pace::Park, None));
        assert_eq!(verdict(200, &[stream, (CONTENT_ENCODING, "identity")]), Verdict::Stream);
    }

    #[test]
    fn statuses_that_may_pass_are_retried_and_the_others_parked() {
        for status in [408, 425, 429, 500, 502, 503, 504, 520, 599] {
            assert_eq!(refusal(status, &[]), (Reason::HttpStatus, Pace::Retry, None), "{status}");
        }
        for status in [201, 204, 206, 300, 304, 305, 400, 402, 404, 405, 406, 410, 415, 418, 451, 600, 999] {
            assert_eq!(refusal(status, &[]), (Reason::HttpStatus, Pace::Park, None), "{status}");
        }
    }

    #[test]
    fn refused_credentials_have_their_own_pace() {
        for status in [401, 403] {
            assert_eq!(refusal(status, &[]), (Reason::HttpStatus, Pace::Credentials, None), "{status}");
        }
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let cases = [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("0", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sat, 21 Nov 2026 10:02:00 GMT", Some(120)),
            ("Sat, 21 Nov 2026 09:00:00 GMT", None),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(refusal(503, &[(RETRY_AFTER, text)]), (Reason::HttpStatus, Pace::Retry, seconds), "{text:?}");
        }
        assert_eq!(refusal(404, &[(RETRY_AFTER, "5")]).2, None, "a refusal has its own pace");
    }

    #[test]
    fn redirects_are_resolved_and_never_leave_tls() {
        for (status, is_permanent) in [(301, true), (302, false), (303, false), (307, false), (308, true)] {
            let to = Box::new(url("https://a/x"));
            assert_eq!(verdict(status, &[(LOCATION, "/x")]), Verdict::Redirect { to, is_permanent }, "{status}");
        }
        assert_eq!(verdict(302, &[(LOCATION, "//b/x")]), Verdict::Redirect { to: Box::new(url("https://b/x")), is_permanent: false });
        for bad in ["http://a/x", "ftp://a/x", "javascript:1", "https://", "file:///etc/passwd"] {
            assert_eq!(refusal(302, &[(LOCATION, bad)]), (Reason::Redirect, Pace::Park, None), "{bad}");
        }
        assert_eq!(refusal(302, &[]), (Reason::Redirect, Pace::Park, None));
    }

    #[test]
    fn credentials_stay_where_the_operator_sent_them() {
        let cases = [
            ("http://a/x", "http://a/y", true),
            ("http://a/x", "http://a:80/y", true),
            ("http://a/x", "https://a/y", true),
            ("http://a:8080/x", "https://a:8443/y", false),
            ("http://a:8080/x", "https://a/y", false),
            ("https://a/x", "http://a/y", false),
            ("http://a/x", "http://b/x", false),
            ("http://a/x", "http://a.b/x", false),
            ("http://a/x", "http://a:81/x", false),
        ];
        for (configured, to, expected) in cases {
            assert_eq!(may_see_headers(&url(configured), &url(to)), expected, "{configured} to {to}");
        }
    }

    #[test]
    fn foreign_texts_are_shortened_between_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(300)).chars().count(), DETAIL_CHARS_MAX + 1);
    }
}
