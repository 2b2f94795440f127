//! What happens to topics.

use super::watchdog::{RestartCause, Watched, count_restart};
use super::{Event, counter, counter_vec};
use crate::channel::ChannelName;
use prometheus::{IntCounter, IntCounterVec};
use std::sync::LazyLock;

static STARTED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_topics_started_total", "Topics that got their first subscriber on this node."));
static STOPPED: LazyLock<IntCounter> = LazyLock::new(|| counter("aether_topics_stopped_total", "Topics that ended."));
static DROPPED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_deliveries_dropped_total",
        "Events not handed on because the next stage was too far behind, by stage.",
        &["at"],
        &[&["topic"], &["worker"]],
    )
});
static COALESCED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_publications_coalesced_total",
        "Publications, counted for each subscriber, that were not given to it because a newer one of the channel took their place.",
        &["by"],
        &[&["throttle"], &["behind"]],
    )
});
static RESYNCED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_topic_resyncs_total",
        "Gaps in a channel on one worker, by whether history could fill them.",
        &["result"],
        &[&["filled"], &["lost"]],
    )
});

static PUBLISHED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_publications_total", "Publications of all channels, whether or not somebody listens."));
static PUBLISHED_BYTES: LazyLock<IntCounter> = LazyLock::new(|| counter("aether_publication_bytes_total", "Bytes of their payloads."));
static DELIVERED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_deliveries_total", "Events handed to the connections of subscribers, once for each of them."));
static DELIVERED_BYTES: LazyLock<IntCounter> = LazyLock::new(|| counter("aether_delivery_bytes_total", "Bytes of these, before TLS."));

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&STARTED);
    LazyLock::force(&STOPPED);
    LazyLock::force(&DROPPED);
    LazyLock::force(&RESYNCED);
    LazyLock::force(&COALESCED);
    LazyLock::force(&PUBLISHED);
    LazyLock::force(&PUBLISHED_BYTES);
    LazyLock::force(&DELIVERED);
    LazyLock::force(&DELIVERED_BYTES);
}

/// The broker handed on a publication.
pub struct Published {
    pub bytes: usize,
}
impl Event for Published {
    fn emit(self) {
        PUBLISHED.inc();
        PUBLISHED_BYTES.inc_by(self.bytes as u64);
    }
}

/// One worker handed events of one channel to its subscribers, all that a turn brought at once.
pub struct Delivered {
    pub events: u64,
    pub bytes: u64,
}
impl Event for Delivered {
    fn emit(self) {
        DELIVERED.inc_by(self.events);
        DELIVERED_BYTES.inc_by(self.bytes);
    }
}

pub struct TopicStarted<'a> {
    pub channel: &'a ChannelName,
}
impl Event for TopicStarted<'_> {
    fn emit(self) {
        log::debug!("topic of {} started", self.channel);
        STARTED.inc();
    }
}

pub struct TopicStopped<'a> {
    pub channel: &'a ChannelName,
}
impl Event for TopicStopped<'_> {
    fn emit(self) {
        log::debug!("topic of {} stopped", self.channel);
        STOPPED.inc();
    }
}

/// A topic was found dead.
pub struct TopicReplaced<'a> {
    pub channel: &'a ChannelName,
}
impl Event for TopicReplaced<'_> {
    fn emit(self) {
        log::error!("topic of {} had panicked and is started anew", self.channel);
        count_restart(Watched::Topic, RestartCause::Panicked);
    }
}

/// An event could not be handed to a topic, or by a topic to a worker, because too many bytes wait there already.
pub struct DeliveryDropped {
    pub at: &'static str,
}
impl Event for DeliveryDropped {
    fn emit(self) {
        DROPPED.with_label_values(&[self.at]).inc();
    }
}

/// Subscribers were not given publications, because newer ones took their place: `by` the channel's interval, or because the subscriber was behind.
pub struct PublicationsCoalesced {
    pub by: &'static str,
    pub count: usize,
}
impl Event for PublicationsCoalesced {
    fn emit(self) {
        COALESCED.with_label_values(&[self.by]).inc_by(self.count as u64);
    }
}

/// A worker had missed events of a channel.
pub struct TopicResynced<'a> {
    pub channel: &'a ChannelName,
    /// Publications that history still had; `None`: it had not all of them.
    pub filled: Option<usize>,
}
impl Event for TopicResynced<'_> {
    fn emit(self) {
        match self.filled {
            Some(count) => {
                log::info!("filled a gap of {count} publications in {} from history", self.channel);
                RESYNCED.with_label_values(&["filled"]).inc();
            }
            None => {
                log::warn!("a gap in {} cannot be filled from history: its subscribers are told", self.channel);
                RESYNCED.with_label_values(&["lost"]).inc();
            }
        }
    }
}
