//! What a feed is, checked: made from the configuration before anything is started.

use super::demand::FeedTemplate;
use super::emergency::EmergencySettings;
use super::gate::GateSettings;
use super::health::HealthSettings;
use super::publication::{ChannelTemplate, Format, Mapping, TemplateError};
use crate::protocol::event_stream::EventStreamLimits;
use regex::Regex;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Headers that the connection sets itself; another value would break resuming or framing.
pub(super) const HEADERS_OF_OURS: [&str; 9] =
    ["accept", "accept-encoding", "cache-control", "connection", "content-length", "host", "last-event-id", "te", "transfer-encoding"];

/// How long and how much one feed may keep us waiting and make us hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedLimits {
    /// From the beginning of an attempt to the headers of the answer; anew for each redirect.
    pub connect_timeout: Duration,
    /// Without a byte, comments included, until the connection counts as dead.
    pub idle_timeout: Duration,
    /// Without an event, though bytes come, until the connection counts as dead, if the feed is known never to be that silent. Zero: never.
    pub data_idle_timeout: Duration,
    /// No wait is shorter, and no `retry:` below it is followed.
    pub retry_min: Duration,
    /// Retries at about 1, 2, 3… times `retry_initial` before the slow pace begins.
    pub quick_retries: u32,
    /// The wait before the first quick retry, until the feed says `retry:`.
    pub retry_initial: Duration,
    /// Bound of the first random wait after the quick retries. It doubles with each further failure.
    pub cool_off: Duration,
    /// No wait is longer (but after `Retry-After` or a refusal), and no `retry:` above it is followed.
    pub retry_max: Duration,
    /// The longest wait that a server's `Retry-After` can cause; more would be a way to switch a feed off.
    pub retry_after_max: Duration,
    /// A connection must last this long for the waits to be short again.
    pub stable_after: Duration,
    /// Bound of the first wait after a refusal (a status that trying again soon does not change); at least half of it is waited.
    pub park_initial: Duration,
    pub park_max: Duration,
    /// How long the broker may take for one event, retries included, before the connection is given up, to resume where it was.
    pub publish_timeout: Duration,
    /// The kernel's probes on a silent connection begin after this time, so that a peer that vanished is noticed before `idle_timeout`.
    pub tcp_keepalive: Duration,
    /// Bytes of ours (a request, a probe) that nobody acknowledges for this long end the connection (`TCP_USER_TIMEOUT`, tcp(7)).
    pub tcp_user_timeout: Duration,
    /// Events with ids that are remembered, to know those again that a feed repeats after a reconnect.
    pub duplicate_window: usize,
    /// Whether subscribers are told where events were missed.
    pub gap_markers: bool,
    /// How long a connection and its successor may stay open side by side.
    pub overlap: Duration,
    pub stream: EventStreamLimits,
}

impl Default for FeedLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(90),
            data_idle_timeout: Duration::from_secs(10 * 60),
            retry_min: Duration::from_millis(100),
            quick_retries: 3,
            retry_initial: Duration::from_secs(1),
            cool_off: Duration::from_secs(5),
            retry_max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(15 * 60),
            stable_after: Duration::from_secs(30),
            park_initial: Duration::from_secs(60),
            park_max: Duration::from_secs(15 * 60),
            publish_timeout: Duration::from_secs(30),
            tcp_keepalive: Duration::from_secs(15),
            tcp_user_timeout: Duration::from_secs(30),
            duplicate_window: 1_024,
            gap_markers: true,
            overlap: Duration::from_secs(30),
            stream: EventStreamLimits::default(),
        }
    }
}

/// One feed. `Debug` shows neither header values nor the URL, which may hold credentials.
#[derive(Clone)]
pub struct FeedSettings {
    pub name: Arc<str>,
    pub url: Url,
    pub mapping: Mapping,
    /// The more, the sooner it is let in where there are not enough places.
    pub priority: i32,
    pub format: Format,
    pub headers: HeaderMap,
    /// Headers whose values are read from files anew for each attempt, so that a credential can be replaced while the hub runs.
    pub header_files: Vec<(HeaderName, PathBuf)>,
    /// What its channels look like, if it may be let go while nobody listens. Empty: it is read in any case.
    pub audience: Vec<Regex>,
    pub limits: FeedLimits,
}

impl std::fmt::Debug for FeedSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedSettings").field("name", &self.name).field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    #[error("the name of a feed is empty")]
    NoName,
    #[error("feed {feed}: cannot read its URL: {reason}")]
    Url { feed: String, reason: String },
    #[error("feed {feed}: its URL begins with {scheme}:, only http: and https: can be read")]
    Scheme { feed: String, scheme: String },
    #[error("feed {feed}: {source}")]
    Channel { feed: String, source: TemplateError },
    #[error("feed {feed}: its URL names the parameter {parameter}, which is not in each of its channels")]
    Parameter { feed: String, parameter: String },
    #[error("feed {feed}: {header:?} is not the name of a header")]
    HeaderName { feed: String, header: String },
    #[error("feed {feed}: the value of header {header} contains a line end or another control character")]
    HeaderValue { feed: String, header: String },
    #[error("feed {feed}: header {header} is set by the hub itself")]
    ReservedHeader { feed: String, header: String },
}

impl FeedSettings {
    pub fn new<'a>(
        name: &str,
        url: &str,
        channel: &str,
        format: Format,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        limits: FeedLimits,
    ) -> Result<Self, FeedError> {
        let feed = || name.to_string();
        if name.is_empty() {
            return Err(FeedError::NoName);
        }
        let url = Url::parse(url).map_err(|error| FeedError::Url { feed: feed(), reason: error.to_string() })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FeedError::Scheme { feed: feed(), scheme: url.scheme().to_string() });
        }
        let template = ChannelTemplate::parse(channel, name).map_err(|source| FeedError::Channel { feed: feed(), source })?;
        let mut map = HeaderMap::new();
        for (header, value) in headers {
            let key = header_name(name, header)?;
            let bad_value = |_| FeedError::HeaderValue { feed: feed(), header: key.to_string() };
            let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(bad_value)?;
            value.set_sensitive(true);
            map.append(key, value);
        }
        Ok(Self {
            name: Arc::from(name),
            url,
            mapping: Mapping::to(template),
            priority: 0,
            format,
            headers: map,
            header_files: Vec::new(),
            audience: Vec::new(),
            limits,
        })
    }

    /// The same feed, with these headers read from files at every attempt.
    pub fn with_header_files<'a>(mut self, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, FeedError> {
        for (header, file) in files {
            self.header_files.push((header_name(&self.name, header)?, PathBuf::from(file)));
        }
        Ok(self)
    }
}

fn header_name(feed: &str, header: &str) -> Result<HeaderName, FeedError> {
    let fault = |_| FeedError::HeaderName { feed: feed.to_string(), header: header.to_string() };
    let name = HeaderName::from_bytes(header.as_bytes()).map_err(fault)?;
    if HEADERS_OF_OURS.contains(&name.as_str()) {
        return Err(FeedError::ReservedHeader { feed: feed.to_string(), header: name.to_string() });
    }
    Ok(name)
}

/// Every feed of a pool, and the rules for all of them together.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// More feeds than this are refused when the pool is made.
    pub feeds_max: usize,
    pub feeds: Vec<FeedSettings>,
    /// Feeds that run while somebody listens.
    pub templates: Vec<FeedTemplate>,
    /// Feeds of templates at once.
    pub on_demand_max: usize,
    /// How long such a feed runs on when nobody listens any more.
    pub on_demand_grace: Duration,
    /// How long a feed that always runs, and whose events are kept nowhere, runs while nobody listens. Zero: for ever.
    pub release_after: Duration,
    pub gate: GateSettings,
    pub health: HealthSettings,
    pub emergency: EmergencySettings,
    /// Between two looks of the pool at its feeds.
    pub sweep_interval: Duration,
    /// Between two writes of the feeds' positions to the store.
    pub save_interval: Duration,
    /// Between two reports, and what makes one a warning.
    pub report_interval: Duration,
    pub errors_warned: u64,
    pub connections_warned: usize,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            feeds_max: 500,
            feeds: Vec::new(),
            templates: Vec::new(),
            on_demand_max: 1_000,
            on_demand_grace: Duration::from_secs(30),
            release_after: Duration::from_secs(30 * 60),
            gate: GateSettings::default(),
            health: HealthSettings::default(),
            emergency: EmergencySettings::default(),
            sweep_interval: Duration::from_millis(500),
            save_interval: Duration::from_secs(1),
            report_interval: Duration::from_secs(60),
            errors_warned: 100,
            connections_warned: 40,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(name: &str, url: &str, channel: &str, headers: &[(&str, &str)]) -> Result<FeedSettings, FeedError> {
        FeedSettings::new(name, url, channel, Format::Data, headers.iter().copied(), FeedLimits::default())
    }

    #[test]
    fn what_cannot_work_is_refused_and_named() {
        let ok = "http://127.0.0.1:1/events";
        assert!(feed("a", ok, "ticks:{event}", &[("Authorization", "Bearer x")]).is_ok());
        assert_eq!(feed("", ok, "c", &[]).unwrap_err(), FeedError::NoName);
        assert!(matches!(feed("a", "nonsense", "c", &[]).unwrap_err(), FeedError::Url { .. }));
        assert!(matches!(feed("a", "http://", "c", &[]).unwrap_err(), FeedError::Url { .. }));
        assert!(matches!(feed("a", "ftp://x/", "c", &[]).unwrap_err(), FeedError::Scheme { scheme, .. } if scheme == "ftp"));
        assert!(matches!(feed("a", ok, "{what}", &[]).unwrap_err(), FeedError::Channel { .. }));
        assert!(matches!(feed("a", ok, "c", &[("X Y", "1")]).unwrap_err(), FeedError::HeaderName { .. }));
        assert!(matches!(feed("a", ok, "c", &[("X", "1\r\nY: 2")]).unwrap_err(), FeedError::HeaderValue { .. }));
        assert!(matches!(feed("a", ok, "c", &[("last-event-ID", "1")]).unwrap_err(), FeedError::ReservedHeader { .. }));
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", feed("a", "http://user:pass@h/?key=topsecret", "c", &[("Authorization", "topsecret")]).unwrap());
        assert!(!shown.contains("topsecret") && !shown.contains("pass"), "{shown}");
    }
}
