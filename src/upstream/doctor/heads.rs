//! What an answer's status and headers mean for the hub. Pure. The verdict is the hub's own (`answer::judge`), the words are for people.

use super::finding::{Check, Finding, quoted, time};
use crate::said::{Sentence, said};
use crate::upstream::answer::{Verdict, judge};
use crate::upstream::machine::{Ending, Pace, Reason};
use reqwest::header::{
    AGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, SERVER, VIA, WWW_AUTHENTICATE,
};
use reqwest::{StatusCode, Url};
use std::time::{Duration, SystemTime};

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Headers by which proxies and caches make themselves known.
const PROXY_HEADERS: [&str; 7] = ["x-cache", "x-served-by", "cf-ray", "x-amz-cf-id", "x-varnish", "x-envoy-upstream-service-time", "fly-request-id"];

/// An answer slower than this leaves little of the default `connect_timeout`.
const SLOW: Duration = Duration::from_secs(3);

/// The answer to one request.
pub struct Answer<'a> {
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
    pub asked: &'a Url,
    pub took: Duration,
    pub now: SystemTime,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Read,
    /// It is no event stream by its headers; its body may say what it is.
    Peek,
    Follow(Box<Url>),
    End,
}

impl Answer<'_> {
    pub fn judge(&self) -> (Vec<Finding>, Next) {
        match judge(self.status, self.headers, self.asked, self.now) {
            Verdict::Stream => (self.of_stream(), Next::Read),
            Verdict::Redirect { to, is_permanent } => {
                let finding = redirect(self.status, &to, is_permanent);
                (vec![finding], Next::Follow(to))
            }
            Verdict::Refused(ending) => self.of_refusal(&ending),
        }
    }

    fn text(&self, name: &HeaderName) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    fn of_refusal(&self, ending: &Ending) -> (Vec<Finding>, Next) {
        match ending.reason {
            Reason::ContentType => {
                let status = Finding::fine(Check::Status, self.answered());
                if let Some(encoding) = self.text(&CONTENT_ENCODING).filter(|encoding| !encoding.trim().is_empty()) {
                    let finding = Finding::problem(
                        Check::Headers,
                        said!("headers.compressed", "the body is compressed, Content-Encoding {encoding}", encoding = quoted(&encoding)),
                        said!(
                            "headers.compressed.cure",
                            "The hub asks for none (Accept-Encoding: identity) and reads none: who compresses holds events back until there is enough \
                             to compress. Switch it off for this path. The hub parks the feed."
                        ),
                    );
                    return (vec![status, finding], Next::End);
                }
                (vec![status], Next::Peek)
            }
            Reason::Redirect => {
                let result = said!("redirect.refused", "{status}: {detail}", status = self.status.to_string(), detail = ending.detail.to_string());
                (vec![Finding::problem(Check::Redirect, result, what_the_hub_does(ending))], Next::End)
            }
            _ => (vec![self.refused(ending)], Next::End),
        }
    }

    fn answered(&self) -> Sentence {
        said!("status.answered", "{status} after {took_ms}", status = self.status.to_string(), took_ms = time(self.took))
    }

    fn refused(&self, ending: &Ending) -> Finding {
        let asks_for = self.text(&WWW_AUTHENTICATE).and_then(|text| text.split_whitespace().next().map(quoted));
        let cure = match self.status.as_u16() {
            204 => said!("status.stop", "By this status a feed asks its readers to stop."),
            401 | 407 => match asks_for {
                None => said!("status.credentials", "Credentials are missing, wrong or expired; give them by --header-file."),
                Some(scheme) => said!(
                    "status.credentials_of",
                    "Credentials are missing, wrong or expired; give them by --header-file. It asks for {scheme}.",
                    scheme
                ),
            },
            403 => said!("status.forbidden", "The credentials, or this machine's address, may not read it."),
            404 | 410 => said!("status.no_feed", "There is no feed at this path."),
            405 | 406 | 415 => {
                said!("status.no_stream", "This address does not serve an event stream to a GET that accepts text/event-stream.")
            }
            429 => said!("status.too_many", "Too many requests or connections of this address or these credentials."),
            500..=599 => said!("status.trouble", "The server or a proxy before it is in trouble."),
            _ => said!("status.other", "This is not the answer of a feed."),
        };
        let result = match ending.not_before {
            None => self.answered(),
            Some(wait) => said!(
                "status.answered_later",
                "{status} after {took_ms}; Retry-After: {wait_ms}",
                status = self.status.to_string(),
                took_ms = time(self.took),
                wait_ms = time(wait)
            ),
        };
        Finding::problem(Check::Status, result, [cure, what_the_hub_does(ending)])
    }

    /// A good answer, header by header.
    fn of_stream(&self) -> Vec<Finding> {
        let mut findings = vec![Finding::fine(Check::Status, self.answered())];
        if self.took > SLOW {
            findings[0] = Finding::warning(
                Check::Status,
                said!("status.slow", "{status}, but only after {took_ms}", status = self.status.to_string(), took_ms = time(self.took)),
                said!(
                    "status.slow.cure",
                    "Some servers send their headers with the first event. They should send them at once: after connect_timeout the hub gives up."
                ),
            );
        }
        findings.push(self.content_type());
        let length = self.text(&CONTENT_LENGTH);
        if let Some(length) = length {
            findings.push(Finding::problem(
                Check::Headers,
                said!("headers.length", "Content-Length {length}", length = quoted(&length)),
                said!(
                    "headers.length.cure",
                    "A stream has no length: it ends when so many bytes have come. This is a document, or a cache has made one of it."
                ),
            ));
        }
        if let Some(age) = self.text(&AGE).filter(|age| age.trim() != "0") {
            findings.push(Finding::problem(
                Check::Headers,
                said!("headers.age", "it comes from a cache, Age {age}", age = quoted(&age)),
                said!(
                    "headers.age.cure",
                    "This is a stored answer. The cache must pass this path through, and the feed should send \"Cache-Control: no-store\"."
                ),
            ));
        }
        findings.push(self.cache_control());
        findings.extend(self.proxies());
        if self.text(&CONNECTION).is_some_and(|text| text.to_ascii_lowercase().contains("upgrade")) {
            findings.push(Finding::note(
                Check::Headers,
                said!("headers.upgrade", "the server offers to upgrade the connection, which the hub does not do"),
            ));
        }
        findings
    }

    fn content_type(&self) -> Finding {
        let text = self.text(&CONTENT_TYPE).unwrap_or_default();
        let charset = text
            .to_ascii_lowercase()
            .split(';')
            .skip(1)
            .find_map(|part| part.trim().strip_prefix("charset=").map(|name| name.trim_matches('"').to_string()));
        let result = said!("content_type.is", "{content_type}", content_type = quoted(&text));
        match charset {
            Some(charset) if !matches!(charset.as_str(), "utf-8" | "utf8") => Finding::warning(
                Check::ContentType,
                result,
                said!(
                    "content_type.charset",
                    "Event streams are UTF-8, and readers decode them so whatever the charset says. If the data is in another one, it is garbled."
                ),
            ),
            _ => Finding::fine(Check::ContentType, result),
        }
    }

    fn cache_control(&self) -> Finding {
        let text = self.text(&CACHE_CONTROL).unwrap_or_default();
        let lower = text.to_ascii_lowercase();
        let named = said!("headers.cache_control", "Cache-Control {cache_control}", cache_control = quoted(&text));
        if lower.contains("no-cache") || lower.contains("no-store") {
            return Finding::fine(Check::Headers, named);
        }
        let result = if text.is_empty() { said!("headers.no_cache_control", "no Cache-Control") } else { named };
        Finding::note(Check::Headers, result)
            .advise(said!("headers.cache_control.cure", "A cache on the way may keep the stream. The feed should send \"Cache-Control: no-store\"."))
    }

    /// Who stands between, as far as it says so.
    fn proxies(&self) -> Option<Finding> {
        let mut signs: Vec<String> = [(SERVER, "Server"), (VIA, "Via")]
            .into_iter()
            .filter_map(|(name, shown)| Some(format!("{shown} {}", quoted(&self.text(&name)?))))
            .collect();
        signs.extend(PROXY_HEADERS.iter().filter(|name| self.headers.contains_key(**name)).map(|name| (*name).to_string()));
        if signs.is_empty() {
            return None;
        }
        let passes = self.text(&X_ACCEL_BUFFERING).is_some_and(|text| text.trim().eq_ignore_ascii_case("no"));
        let is_nginx = self.text(&SERVER).is_some_and(|server| server.to_ascii_lowercase().contains("nginx"));
        let finding = Finding::note(Check::Headers, said!("headers.proxies", "on the way: {signs}", signs = signs.join(", ")));
        Some(match is_nginx && !passes {
            true => finding.advise(said!(
                "headers.nginx",
                "nginx collects what it proxies, unless \"proxy_buffering off;\" is set or the feed sends \"X-Accel-Buffering: no\"."
            )),
            false => finding,
        })
    }
}

/// What an attempt that ended so means for the feed.
pub fn what_the_hub_does(ending: &Ending) -> Sentence {
    match (ending.pace, ending.not_before) {
        (Pace::Park, _) => said!("hub.parks", "The hub parks such a feed: it asks again only every few minutes."),
        (Pace::Credentials, _) => said!("hub.asks_once_more", "The hub reads the credentials anew and asks once more, then parks the feed."),
        (_, Some(_)) => said!("hub.waits", "The hub waits that long, within bounds, before it tries again."),
        _ => said!("hub.retries", "The hub tries again, ever more slowly."),
    }
}

fn redirect(status: StatusCode, to: &Url, is_permanent: bool) -> Finding {
    let to = without_query(to);
    let finding = Finding::note(Check::Redirect, said!("redirect.to", "{status} to {to}", status = status.to_string(), to = quoted(&to)));
    match is_permanent {
        true => finding.advise(said!("redirect.moved", "The feed has moved for good: configure the new address.")),
        false => finding,
    }
}

/// An address without what may be a secret in it.
pub fn without_query(url: &Url) -> String {
    let mut shown = url.clone();
    let had_query = shown.query().is_some();
    shown.set_query(None);
    shown.set_fragment(None);
    // Addresses with a host can be without a user and a password.
    let _ = (shown.set_username(""), shown.set_password(None));
    if had_query { format!("{shown}?…") } else { shown.to_string() }
}

/// What a body that is not declared to be an event stream looks like.
pub fn of_body(headers: &HeaderMap, beginning: &[u8]) -> Finding {
    let declared = headers.get(CONTENT_TYPE).map(|value| quoted(&String::from_utf8_lossy(value.as_bytes())));
    let text = String::from_utf8_lossy(beginning);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let is_field = ["data:", "event:", "id:", "retry:", ":"].iter().any(|field| text.starts_with(field));
    let looks = if is_field {
        said!("body.stream", "The body looks like an event stream all the same: let the server send \"Content-Type: text/event-stream\".")
    } else if text.starts_with('<') {
        said!("body.page", "The body is a page: a login, an error, or another address than the feed's.")
    } else if text.starts_with(['{', '[']) {
        said!("body.json", "The body is JSON: an API's answer, or JSON lines, which are not an event stream.")
    } else {
        said!("body.other", "This is no event stream.")
    };
    let result = match declared {
        Some(declared) => said!("content_type.other", "{content_type} instead of text/event-stream", content_type = declared),
        None => said!("content_type.missing", "missing instead of text/event-stream"),
    };
    Finding::problem(Check::ContentType, result, [looks, said!("hub.parks_it", "The hub parks such a feed.")])
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use reqwest::header::HeaderValue;

    fn judged(status: u16, pairs: &[(&'static str, &str)], took_ms: u64) -> (Vec<Finding>, Next) {
        let headers: HeaderMap =
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect();
        let asked = Url::parse("https://a.example/b").unwrap();
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 10:00:00 GMT").unwrap();
        let took = Duration::from_millis(took_ms);
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: &headers, asked: &asked, took, now }.judge()
    }

    const STREAM: (&str, &str) = ("content-type", "text/event-stream");

    #[test]
    fn statuses_and_what_the_hub_does() {
        for (status, pairs, result, advice) in [
            (204, &[][..], "204", "parks"),
            (401, &[("www-authenticate", "Bearer realm=\"x\"")], "401", "It asks for \"Bearer\""),
            (403, &[], "403", "parks"),
            (404, &[], "404", "no feed at this path"),
            (429, &[("retry-after", "120")], "Retry-After: 2 min", "waits that long"),
            (503, &[("retry-after", "Sat, 21 Nov 2026 10:00:30 GMT")], "Retry-After: 30.0 s", "in trouble"),
            (500, &[], "500", "ever more slowly"),
            (418, &[], "418", "not the answer of a feed"),
        ] {
            let (findings, next) = judged(status, pairs, 5);
            let [finding] = &findings[..] else { panic!("{findings:?}") };
            assert_eq!((finding.check, finding.level, &next), (Check::Status, Level::Problem, &Next::End), "{status}");
            assert!(finding.result.contains(result) && finding.advice.as_ref().is_some_and(|text| text.contains(advice)), "{finding:?}");
        }
    }

    #[test]
    fn redirects_hop_by_hop_without_secrets() {
        let (findings, next) = judged(301, &[("location", "https://u:p@b.example/c?token=hush#x")], 5);
        assert!(matches!(&next, Next::Follow(to) if to.host_str() == Some("b.example")), "{next:?}");
        assert!(findings[0].result.contains("\"https://b.example/c?…\"") && findings[0].advice.is_some(), "{findings:?}");
        assert!(judged(302, &[("location", "/c")], 5).0[0].advice.is_none());
        for bad in ["http://a.example/", "ftp://a/"] {
            let (findings, next) = judged(302, &[("location", bad)], 5);
            assert!(next == Next::End && findings[0].level == Level::Problem, "{bad}: {findings:?}");
        }
    }

    #[test]
    fn headers_of_a_good_answer() {
        let level = |pairs: &[(&'static str, &str)], word: &str| {
            let (findings, next) = judged(200, &[&[STREAM], pairs].concat(), 5);
            assert_eq!(next, Next::Read);
            let found = findings.iter().find(|finding| finding.result.contains(word)).unwrap_or_else(|| panic!("no {word} in {findings:#?}"));
            (found.level, found.advice.is_some())
        };
        assert_eq!(level(&[("cache-control", "no-cache")], "Cache-Control"), (Level::Fine, false));
        assert_eq!(level(&[], "no Cache-Control"), (Level::Note, true));
        assert_eq!(level(&[("cache-control", "max-age=60")], "max-age"), (Level::Note, true));
        assert_eq!(level(&[("age", "7")], "from a cache"), (Level::Problem, true));
        assert_eq!(level(&[("content-length", "99")], "Content-Length"), (Level::Problem, true));
        assert_eq!(level(&[("server", "nginx")], "nginx"), (Level::Note, true));
        assert_eq!(level(&[("server", "nginx"), ("x-accel-buffering", "no")], "nginx"), (Level::Note, false));
        assert_eq!(level(&[("via", "1.1 x"), ("cf-ray", "7")], "cf-ray"), (Level::Note, false));
        assert!(judged(200, &[STREAM], 9_000).0[0].level == Level::Warning, "a slow answer");
        let (findings, _) = judged(200, &[("content-type", "text/event-stream; charset=\"ISO-8859-1\"")], 5);
        assert_eq!(findings[1].level, Level::Warning, "{findings:?}");
        let (findings, _) = judged(200, &[("content-type", "text/event-stream;charset=UTF-8")], 5);
        assert_eq!(findings[1].level, Level::Fine, "{findings:?}");
    }

    #[test]
    fn what_is_no_event_stream() {
        let (findings, next) = judged(200, &[STREAM, ("content-encoding", "gzip")], 5);
        assert!(next == Next::End && findings[1].result.contains("compressed") && findings[1].level == Level::Problem, "{findings:?}");
        assert_eq!(judged(200, &[("content-type", "text/html")], 5).1, Next::Peek);
        for (body, word) in [
            ("<!doctype html>", "page"),
            ("\u{feff}data: 1\n\n", "all the same"),
            (": hello\n", "all the same"),
            ("{\"error\":1}", "JSON"),
            ("", "no event stream"),
        ] {
            let finding = of_body(&HeaderMap::new(), body.as_bytes());
            assert!(finding.level == Level::Problem && finding.advice.as_ref().is_some_and(|text| text.contains(word)), "{finding:?}");
        }
    }
}
