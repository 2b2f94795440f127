//! The HTTP side: one request for an event stream, redirects followed by hand.

use super::answer::{Verdict, ending_of, judge, may_see_headers};
use super::machine::{Ending, Pace, Reason};
use super::settings::{FeedLimits, FeedSettings};
use crate::outbound::{self, is_loopback};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url};
use std::time::{Duration, SystemTime};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// As many as the Fetch standard allows is twenty; more than ten is a loop in all but name.
const REDIRECTS_MAX: usize = 10;

/// Bytes of a file that holds the value of a header.
const CREDENTIAL_BYTES_MAX: u64 = 16 * 1_024;

/// Between two probes of the kernel on a silent connection, and how many go unanswered before it is given up.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// What distinguishes HTTP clients of one pool; feeds with the same share one, since each holds a copy of the system's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKind {
    connect_timeout: Duration,
    tcp_keepalive: Duration,
    tcp_user_timeout: Duration,
    is_local: bool,
}

impl ClientKind {
    pub fn of(settings: &FeedSettings) -> Self {
        let FeedLimits { connect_timeout, tcp_keepalive, tcp_user_timeout, .. } = settings.limits;
        Self { connect_timeout, tcp_keepalive, tcp_user_timeout, is_local: is_loopback(&settings.url) }
    }

    /// A client that keeps no connection for later: every attempt resolves the name anew and opens a socket of its own, because what is
    /// left of a dead connection is the last thing to reuse.
    pub fn build(&self) -> Result<Client, reqwest::Error> {
        outbound::build("feeds", || {
            outbound::builder(self.is_local)
                .pool_max_idle_per_host(0)
                // Per address, where a name has several: shared out by the connector, so that a dead first address leaves time for the next.
                .connect_timeout(self.connect_timeout)
                .tcp_nodelay(true)
                .tcp_keepalive(self.tcp_keepalive)
                .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
                .tcp_keepalive_retries(KEEPALIVE_PROBES)
                .tcp_user_timeout(self.tcp_user_timeout)
        })
    }
}

/// A good answer, ready to be read.
pub struct Opened {
    pub body: Response,
    /// Where permanent redirects led, before any temporary one.
    pub moved_to: Option<Url>,
}

/// Asks `start` for the events after `last_event_id` and follows redirects.
pub async fn open(settings: &FeedSettings, client: &Client, start: Url, last_event_id: &str) -> Result<Opened, Ending> {
    let (mut url, mut moved_to, mut all_permanent) = (start, None, true);
    let credentials = credentials(settings).await?;
    for _ in 0..=REDIRECTS_MAX {
        let body = request(settings, &credentials, client, &url, last_event_id).await?;
        match judge(body.status(), body.headers(), &url, SystemTime::now()) {
            Verdict::Stream => return Ok(Opened { body, moved_to }),
            Verdict::Refused(ending) => return Err(ending),
            Verdict::Redirect { to, is_permanent } => {
                url = *to;
                all_permanent &= is_permanent;
                if all_permanent {
                    moved_to = Some(url.clone());
                }
            }
        }
    }
    Err(Ending::new(Reason::Redirect, Pace::Park, format!("redirected more than {REDIRECTS_MAX} times")))
}

/// The headers of the configuration, those from files included.
pub(super) async fn credentials(settings: &FeedSettings) -> Result<HeaderMap, Ending> {
    let mut headers = settings.headers.clone();
    for (name, file) in &settings.header_files {
        let fault = |what: &str| Ending::new(Reason::Credentials, Pace::Retry, format!("the file of header {name} {what}"));
        let read = async {
            let mut bytes = Vec::new();
            let file = tokio::fs::File::open(file).await?;
            file.take(CREDENTIAL_BYTES_MAX).read_to_end(&mut bytes).await.map(|_| bytes)
        };
        let bytes = match timeout(settings.limits.connect_timeout, read).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Err(fault(&format!("cannot be read: {}", error.kind()))),
            Err(_) => return Err(fault("cannot be read in time")),
        };
        let mut value = HeaderValue::from_bytes(bytes.trim_ascii()).map_err(|_| fault("holds what a header cannot"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

async fn request(settings: &FeedSettings, credentials: &HeaderMap, client: &Client, url: &Url, last_event_id: &str) -> Result<Response, Ending> {
    let limit = settings.limits.connect_timeout;
    let headers = request_headers(&settings.url, credentials, url, last_event_id);
    match timeout(limit, client.get(url.clone()).headers(headers).send()).await {
        Ok(answer) => answer.map_err(|error| ending_of(&error)),
        Err(_) => Err(Ending::new(Reason::Timeout, Pace::Retry, format!("no answer within {limit:?}"))),
    }
}

/// What goes with a request to `url` of the feed at `feed`, whose credentials other hosts are not shown.
pub(super) fn request_headers(feed: &Url, credentials: &HeaderMap, url: &Url, last_event_id: &str) -> HeaderMap {
    let mut headers = if may_see_headers(feed, url) { credentials.clone() } else { HeaderMap::new() };
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // A proxy that compresses holds events back until its window is full.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    // Ids with control characters fit no header; such a feed is read from now on instead.
    if let Ok(value) = HeaderValue::from_bytes(last_event_id.as_bytes())
        && !last_event_id.is_empty()
    {
        headers.insert(LAST_EVENT_ID, value);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::publication::Format;

    fn settings() -> FeedSettings {
        let headers = [("Authorization", "Bearer x"), ("X-Key", "y")];
        FeedSettings::new("a", "http://feed.example/events", "c", Format::Data, headers, FeedLimits::default()).unwrap()
    }

    #[test]
    fn a_request_names_what_it_wants_and_where_it_was() {
        let settings = settings();
        let headers = request_headers(&settings.url, &settings.headers, &settings.url, "ä7");
        let pairs = [("accept", "text/event-stream"), ("cache-control", "no-cache"), ("accept-encoding", "identity"), ("authorization", "Bearer x")];
        for (name, value) in pairs {
            assert_eq!(headers.get(name).unwrap().to_str().unwrap(), value, "{name}");
        }
        assert_eq!(headers.get("last-event-id").unwrap().as_bytes(), "ä7".as_bytes());
        for unusable in ["", "a\u{1}b", "a\u{7f}"] {
            assert!(!request_headers(&settings.url, &settings.headers, &settings.url, unusable).contains_key("last-event-id"), "{unusable:?}");
        }
    }

    #[test]
    fn another_host_gets_no_headers_of_the_configuration() {
        let headers = request_headers(&settings().url, &settings().headers, &Url::parse("http://elsewhere.example/events").unwrap(), "7");
        assert!(!headers.contains_key("authorization") && !headers.contains_key("x-key"));
        assert!(headers.contains_key("last-event-id") && headers.contains_key("accept"));
    }
}
