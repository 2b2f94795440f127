//! Feeds that Aether reads, and the demo feed that it brings along.

use super::Secret;
use crate::units::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Feeds of server-sent events to read. The times and sizes here hold for every feed that does not say otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamConfig {
    /// Feeds that may be configured. A guard against a generated file gone wrong.
    pub feeds_max: usize,
    /// From the first attempt to reach a feed to the headers of its answer.
    pub connect_timeout: HumanDuration,
    /// How long a feed may send nothing, not even a comment, before it is taken for dead and connected anew.
    pub idle_timeout: HumanDuration,
    /// How long a feed may send comments without an event before it is connected anew, if it is known never to be that silent: four times
    /// its own longest silence must be over as well. 0: for ever.
    pub data_idle_timeout: HumanDuration,
    /// Silence after which the kernel begins to ask whether the other side still lives.
    pub tcp_keepalive: HumanDuration,
    /// How long the other side may leave bytes unacknowledged.
    pub tcp_user_timeout: HumanDuration,
    /// The shortest wait before a feed is tried again, whatever its own `retry:` says.
    pub retry_min: HumanDuration,
    /// How often a feed is tried again soon after a failure: after about 1, 2, 3… times `retry_initial`.
    pub quick_retries: u32,
    /// The wait before the first quick retry, give or take a fifth. A feed's `retry:` takes its place.
    pub retry_initial: HumanDuration,
    /// The bound of the random wait when the quick retries are used up; it doubles with each further failure.
    pub cool_off: HumanDuration,
    /// The longest wait before a feed is tried again, whatever its own `retry:` says.
    pub retry_max: HumanDuration,
    /// The longest that a feed can make us wait by `Retry-After`.
    pub retry_after_max: HumanDuration,
    /// How long a connection must have delivered until the waits begin at `retry_initial` again.
    pub stable_after: HumanDuration,
    /// Bytes of one line of a feed. A longer one ends the connection.
    pub line_bytes_max: ByteSize,
    /// Bytes of one event of a feed. A longer one ends the connection.
    pub event_bytes_max: ByteSize,
    /// Events with ids that are remembered for each feed, to leave out what a feed repeats after a reconnect.
    pub duplicate_window: usize,
    /// Whether subscribers get a publication in place of events that were missed for sure.
    pub gap_markers: bool,
    /// Between two writes of the feeds' positions to the store; what came in the last such time is repeated after a crash.
    pub save_interval: HumanDuration,
    /// The folder of the files that feeds may name in `header_files` which are added while the hub runs. Empty: they may name none, so that who
    /// may add feeds cannot have other files of this machine sent away.
    pub credentials_dir: String,
    pub pool: FeedPoolConfig,
    pub health: FeedHealthConfig,
    pub emergency: FeedEmergencyConfig,
    pub feeds: Vec<FeedConfig>,
}

/// All feeds together: how many connections, how fast, how many to one host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedPoolConfig {
    /// Connections to feeds at once. Feeds beyond it wait, by priority; successors of a rotation come on top.
    pub connections_max: usize,
    /// The same for one host and port. 0: no limit of its own.
    pub host_connections_max: usize,
    /// Attempts to connect a second, over all feeds.
    pub start_rate: u32,
    /// Attempts that may be made at once after a pause.
    pub start_burst: u32,
    /// Every attempt is delayed by a random time up to this.
    pub start_jitter: HumanDuration,
    /// Waiting for a place this long counts as one step of priority.
    pub aging: HumanDuration,
    /// Failed attempts in a row, of more than one feed of a host, after which the host is left alone. 0: never.
    pub breaker_failures: u32,
    /// How long it is left alone at first; it doubles as long as the attempt after it fails.
    pub breaker_pause: HumanDuration,
    /// How long at the most.
    pub breaker_pause_max: HumanDuration,
    /// Feeds that run only while somebody listens, at once.
    pub on_demand_max: usize,
    /// How long such a feed runs on when the last listener has gone.
    pub on_demand_grace: HumanDuration,
    /// How long a feed that always runs is read while nobody listens to its channels, if none of them keeps history. 0: for ever.
    pub release_after: HumanDuration,
    /// While events come more often than once in this time over all feeds, what has come is read together, once in this time: that saves most
    /// of the CPU that reading costs, and adds no more than this to an event's way. 0: every event is read at once.
    pub coalesce: HumanDuration,
    /// Between two reports in the log.
    pub report_interval: HumanDuration,
    /// More errors between two reports make the report a warning.
    pub errors_warned: u64,
    /// More connections do so too.
    pub connections_warned: usize,
}

impl Default for FeedPoolConfig {
    fn default() -> Self {
        Self {
            connections_max: 50,
            host_connections_max: 0,
            start_rate: 20,
            start_burst: 20,
            start_jitter: HumanDuration::from_ms(250),
            aging: HumanDuration::from_secs(10),
            breaker_failures: 10,
            breaker_pause: HumanDuration::from_secs(5),
            breaker_pause_max: HumanDuration::from_secs(60),
            on_demand_max: 1_000,
            on_demand_grace: HumanDuration::from_secs(30),
            release_after: HumanDuration::from_secs(30 * 60),
            coalesce: HumanDuration::from_ms(3),
            report_interval: HumanDuration::from_secs(60),
            errors_warned: 100,
            connections_warned: 40,
        }
    }
}

/// When a connection that works is replaced all the same, and when it counts as degraded. Intervals and ages are spread by a fifth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedHealthConfig {
    /// Between two checks of a feed.
    pub check_interval: HumanDuration,
    /// Connections older than this are replaced at a check. 0: never.
    pub age_max: HumanDuration,
    /// More errors between two checks are a reason to replace a connection.
    pub errors_max: u64,
    /// A silence of so many check intervals is one too, if it is also four times the feed's own longest. 0: none is.
    pub silence_intervals: u32,
    /// Between two rounds of upkeep.
    pub upkeep_interval: HumanDuration,
    /// Connections older than this are replaced at the upkeep. 0: never.
    pub upkeep_age_max: HumanDuration,
    /// Of a hundred attempts between two rounds, more failures are a reason to replace a connection.
    pub failure_percent: u64,
    /// Of a hundred connections, how many may be replaced at once; at least one.
    pub rotation_percent: usize,
    /// How long the old and the new connection may stay open side by side.
    pub overlap: HumanDuration,
    /// Between two samples that judge whether a connection is degraded.
    pub sample_interval: HumanDuration,
    /// Fewer events a minute are too few, if they are also below the share of what is usual for the feed.
    pub rate_min: u64,
    /// That share, in percent.
    pub rate_percent: u64,
    /// More errors a minute are too many.
    pub errors_per_minute_max: u64,
    /// Events later than this on the average are too late, where the feed tells its time.
    pub latency_max: HumanDuration,
    /// More failures in a row before a connection stood are too many.
    pub retries_max: u32,
    /// Bad samples in a row that make a connection degraded.
    pub bad_samples: u32,
    /// Good samples in a row that make it well again.
    pub good_samples: u32,
}

impl Default for FeedHealthConfig {
    fn default() -> Self {
        Self {
            check_interval: HumanDuration::from_secs(5 * 60),
            age_max: HumanDuration::from_secs(24 * 60 * 60),
            errors_max: 10,
            silence_intervals: 2,
            upkeep_interval: HumanDuration::from_secs(15 * 60),
            upkeep_age_max: HumanDuration::from_secs(12 * 60 * 60),
            failure_percent: 10,
            rotation_percent: 10,
            overlap: HumanDuration::from_secs(30),
            sample_interval: HumanDuration::from_secs(15),
            rate_min: 10,
            rate_percent: 20,
            errors_per_minute_max: 5,
            latency_max: HumanDuration::from_secs(1),
            retries_max: 3,
            bad_samples: 2,
            good_samples: 4,
        }
    }
}

/// When the feeds as a whole are in trouble, which is met by measures for all of them and told as an error in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedEmergencyConfig {
    pub enabled: bool,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Between two looks. Two bad ones in a row begin an emergency, six good ones end it.
    pub look_interval: HumanDuration,
    /// More errors in a minute over all feeds: the feeds that have them are rotated, and every line about them is logged. 0: never.
    pub errors_per_minute: u64,
    /// More use of this process's memory or descriptors, in percent: feeds that nobody listens to end at once, and the cap on connections goes down
    /// by tenths, to the half at the lowest. 0: never.
    pub used_percent: u8,
    /// Of a hundred connections, more that are degraded, but at least three: they are rotated and judged more often. 0: never.
    pub degraded_percent: usize,
    /// How long every line about an affected feed is logged.
    pub detail_for: HumanDuration,
}

impl Default for FeedEmergencyConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            dry_run: false,
            look_interval: HumanDuration::from_secs(10),
            errors_per_minute: 60,
            used_percent: 90,
            degraded_percent: 30,
            detail_for: HumanDuration::from_secs(10 * 60),
        }
    }
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            feeds_max: 500,
            connect_timeout: HumanDuration::from_secs(10),
            idle_timeout: HumanDuration::from_secs(90),
            data_idle_timeout: HumanDuration::from_secs(10 * 60),
            tcp_keepalive: HumanDuration::from_secs(15),
            tcp_user_timeout: HumanDuration::from_secs(30),
            retry_min: HumanDuration::from_ms(100),
            quick_retries: 3,
            retry_initial: HumanDuration::from_secs(1),
            cool_off: HumanDuration::from_secs(5),
            retry_max: HumanDuration::from_secs(30),
            retry_after_max: HumanDuration::from_secs(15 * 60),
            stable_after: HumanDuration::from_secs(30),
            line_bytes_max: ByteSize::mib(1),
            event_bytes_max: ByteSize::mib(4),
            duplicate_window: 1_024,
            gap_markers: true,
            save_interval: HumanDuration::from_secs(1),
            credentials_dir: String::new(),
            pool: FeedPoolConfig::default(),
            health: FeedHealthConfig::default(),
            emergency: FeedEmergencyConfig::default(),
            feeds: Vec::new(),
        }
    }
}

impl UpstreamConfig {
    /// The limits of one feed: its own where it has them, those of all feeds otherwise.
    pub fn limits(&self, feed: &FeedConfig) -> FeedLimits {
        FeedLimits {
            connect_timeout: feed.connect_timeout.unwrap_or(self.connect_timeout),
            idle_timeout: feed.idle_timeout.unwrap_or(self.idle_timeout),
            data_idle_timeout: feed.data_idle_timeout.unwrap_or(self.data_idle_timeout),
            retry_min: feed.retry_min.unwrap_or(self.retry_min),
            retry_initial: feed.retry_initial.unwrap_or(self.retry_initial),
            retry_max: feed.retry_max.unwrap_or(self.retry_max),
            stable_after: feed.stable_after.unwrap_or(self.stable_after),
            line_bytes_max: feed.line_bytes_max.unwrap_or(self.line_bytes_max),
            event_bytes_max: feed.event_bytes_max.unwrap_or(self.event_bytes_max),
        }
    }
}

/// One feed. Its events become publications of one or several channels.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedConfig {
    /// What logs and metrics call it: letters, digits, `-`, `_`, `.`; unique.
    pub name: String,
    /// Where it is: http or https. A word in braces is a parameter, which makes this a feed for each value: see `start`.
    pub url: String,
    /// Whether it always runs or only while somebody listens. A feed with parameters runs on demand: `?symbol={symbol}` with the channel
    /// `ticks:{symbol}` is read for each symbol that has subscribers.
    pub start: FeedStart,
    /// Feeds of higher priority are let in first where `upstream.pool.connections_max` is reached.
    pub priority: i32,
    /// The channel of its events. `{name}` stands for the feed's name, `{event}` for the event's type, `{/symbol}` for what a JSON pointer
    /// (RFC 6901) finds in its data. Empty: only events with a channel of their own are published.
    pub channel: String,
    /// Channels of their own for some types of events.
    pub event_channels: BTreeMap<String, String>,
    /// Only events of these types are published. Empty: all.
    pub only_events: Vec<String>,
    /// Events of these types are not published.
    pub except_events: Vec<String>,
    /// Only events are published in whose data each of these JSON pointers finds one of its values.
    pub only_where: BTreeMap<String, Vec<String>>,
    /// JSON pointer to the time of an event, in seconds or milliseconds since 1970: with it latency is measured.
    pub event_time: String,
    pub format: FeedFormat,
    /// Headers to send, for instance `Authorization`. Their values are never shown.
    pub headers: BTreeMap<String, Secret>,
    /// Headers whose values are in files: read anew for each attempt, so that a token can be replaced while the hub runs.
    pub header_files: BTreeMap<String, String>,
    /// In place of `upstream.connect_timeout`.
    pub connect_timeout: Option<HumanDuration>,
    /// In place of `upstream.idle_timeout`.
    pub idle_timeout: Option<HumanDuration>,
    /// In place of `upstream.data_idle_timeout`.
    pub data_idle_timeout: Option<HumanDuration>,
    /// In place of `upstream.retry_min`.
    pub retry_min: Option<HumanDuration>,
    /// In place of `upstream.retry_initial`.
    pub retry_initial: Option<HumanDuration>,
    /// In place of `upstream.retry_max`.
    pub retry_max: Option<HumanDuration>,
    /// In place of `upstream.stable_after`.
    pub stable_after: Option<HumanDuration>,
    /// In place of `upstream.line_bytes_max`.
    pub line_bytes_max: Option<ByteSize>,
    /// In place of `upstream.event_bytes_max`.
    pub event_bytes_max: Option<ByteSize>,
}

/// When a feed runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedStart {
    /// From the start of the hub to its end, unless its URL has parameters.
    #[default]
    Always,
    /// From the first subscriber of a channel of it to some time after the last.
    OnDemand,
}

/// Whether braces around this word in a feed's URL make it a parameter: a word of its own, not one that means something already.
pub fn is_url_parameter(name: &str) -> bool {
    let is_word = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word && name != "name" && name != "event"
}

/// What a feed's event becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedFormat {
    /// The event's data: JSON as it is, anything else as a JSON string; the event's type and id become tags.
    #[default]
    Data,
    /// `{"event":…,"id":…,"data":"…"}` with the data as text.
    Envelope,
}

/// The limits of one feed, settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedLimits {
    pub connect_timeout: HumanDuration,
    pub idle_timeout: HumanDuration,
    pub data_idle_timeout: HumanDuration,
    pub retry_min: HumanDuration,
    pub retry_initial: HumanDuration,
    pub retry_max: HumanDuration,
    pub stable_after: HumanDuration,
    pub line_bytes_max: ByteSize,
    pub event_bytes_max: ByteSize,
}

/// A feed of figures of this machine, served by Aether itself and read back like any other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DemoConfig {
    pub enabled: bool,
    /// Where it is served: address and port. Port 0: any free one.
    pub address: String,
    /// Between two events.
    pub interval: HumanDuration,
}

impl Default for DemoConfig {
    fn default() -> Self {
        Self { enabled: false, address: "127.0.0.1:0".to_string(), interval: HumanDuration::from_ms(100) }
    }
}
