//! What happens to topics.

use super::{Event, counter, counter_vec};
use crate::channel::ChannelName;
use prometheus::{IntCounter, IntCounterVec};
use std::sync::LazyLock;

static STARTED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_topics_started_total", "Topics that got their first subscriber on this node."));
static STOPPED: LazyLock<IntCounter> = LazyLock::new(|| counter("aether_topics_stopped_total", "Topics that ended."));
static REPLACED: LazyLock<IntCounter> = LazyLock::new(|| counter("aether_topics_replaced_total", "Topics that died and were started anew."));
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
        log::error!("topic of {} had died and is started anew", self.channel);
        REPLACED.inc();
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
