//! What an earlier life of the hub has left in the log, and of which of its cursors everything that came after is still there.
//!
//! The log is in memory; what channels with durable history published is read into it at the start, in the order in which it was published. A cursor
//! from before then holds for whoever selects only such channels, by name, and only if nothing of theirs is missing behind it. Everybody else is told
//! `earliest`. Called by the hub, which forgets this when the log has.

use super::names::TopicNames;
use crate::broker::{Past, PastPublication, PastStream, order_of};
use crate::channel::{ChannelName, ChannelRules, HistoryDurability};
use crate::protocol::mercure::{HUB_PATH, SelectorText};
use crate::store::WallMs;
use std::collections::HashMap;

/// The part of the log that is from an earlier life: its first places.
#[derive(Debug)]
pub struct Before {
    /// By place, the first of which is 1.
    origins: Vec<Origin>,
    /// Of publications without an id of their own: by channel and offset.
    places: HashMap<(ChannelName, u64), u64>,
    streams: HashMap<ChannelName, PastStream>,
    is_whole: bool,
    /// When the hub started.
    started_at: WallMs,
}

#[derive(Debug)]
struct Origin {
    order: u64,
    channel: ChannelName,
    /// It stands where it stood: not so where an update is known by the channel of another of its topics only, which was published into later.
    is_in_place: bool,
}

impl Before {
    pub fn new(past: Past, started_at: WallMs) -> Self {
        let Past { streams, is_whole, .. } = past;
        Self { origins: Vec::new(), places: HashMap::new(), streams, is_whole, started_at }
    }

    /// The entry at the next place is this publication's.
    pub fn add(&mut self, past: &PastPublication) {
        let is_in_place = past.publication.update.as_ref().is_none_or(|update| update.channel == past.channel);
        self.origins.push(Origin { order: past.order, channel: past.channel.clone(), is_in_place });
        self.places.insert((past.channel.clone(), past.position.offset), self.end());
    }

    /// The last place that is from an earlier life.
    pub fn end(&self) -> u64 {
        self.origins.len() as u64
    }

    /// Of a cursor that an earlier life made: where it stands, if it is of one of these channels.
    pub fn place_of_made(&self, cursor: &str, channels: &[ChannelName]) -> Option<u64> {
        let mut parts = cursor.rsplit('-');
        let (offset, epoch) = (parts.next()?.parse().ok()?, parts.next()?);
        let is_its_channel = |channel: &&ChannelName| self.streams.get(*channel).is_some_and(|stream| stream.epoch.as_str() == epoch);
        let channel = channels.iter().find(is_its_channel)?;
        self.places.get(&(channel.clone(), offset)).copied()
    }

    /// Whether everything that came behind a place in these channels, until the hub started, is in the log.
    pub fn is_whole_behind(&self, place: u64, channels: &[ChannelName], rules: &ChannelRules) -> bool {
        let at = place.checked_sub(1).and_then(|index| self.origins.get(usize::try_from(index).ok()?));
        at.is_some_and(|at| at.is_in_place && !channels.is_empty() && channels.iter().all(|channel| self.has_all_behind(at, channel, rules)))
    }

    fn has_all_behind(&self, at: &Origin, channel: &ChannelName, rules: &ChannelRules) -> bool {
        let Ok(options) = rules.options(channel) else { return false };
        let is_durable = match options.history_durability {
            HistoryDurability::Memory => return false,
            HistoryDurability::Accepted => false,
            HistoryDurability::Durable => true,
        };
        let is_in_order =
            *channel == at.channel || (is_durable && rules.options(&at.channel).is_ok_and(|of| of.history_durability == HistoryDurability::Durable));
        match self.streams.get(channel) {
            Some(stream) => is_in_order && stream.first.is_some_and(|first| first <= at.order),
            // Never published into, if the cursor is younger than what is forgotten. Of an accepted one nobody knows, unless the cursor's own channel
            // would have been forgotten with it.
            None => {
                let is_young = at.order > order_of(self.started_at.saturating_sub_unsigned(options.history_ttl.ms()));
                let shares_its_fate = is_durable || rules.namespace(channel) == rules.namespace(&at.channel);
                self.is_whole && options.has_history() && is_young && shares_its_fate
            }
        }
    }
}

/// The channels that selectors name. `None`: they may match more than they name, or what the hub says of its subscribers.
pub fn channels_of(selectors: &[SelectorText], names: &TopicNames, sees_private: bool) -> Option<Vec<ChannelName>> {
    let mut channels = Vec::with_capacity(selectors.len() * 2);
    for selector in selectors {
        if selector.is_everything() || selector.may_be_a_pattern() || selector.text.contains(HUB_PATH) {
            return None;
        }
        channels.push(names.channel(&selector.text, false));
        if sees_private {
            channels.push(names.channel(&selector.text, true));
        }
    }
    Some(channels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{ChannelOptions, Epoch, NameSyntax, Namespace, Payload, Publication, StreamPosition};
    use crate::protocol::mercure::MatchKind;
    use crate::units::HumanDuration;
    use std::sync::Arc;

    const START: WallMs = 10_000_000;

    fn names() -> TopicNames {
        TopicNames::new("", ["d", "a", "m"].into_iter().map(str::to_string), ":", "$", "#")
    }

    fn selectors(texts: &[&str]) -> Vec<SelectorText> {
        texts.iter().map(|text| SelectorText::new(MatchKind::Template, text)).collect()
    }

    #[test]
    fn only_names_name_channels() {
        let of = |texts: &[&str], sees_private| channels_of(&selectors(texts), &names(), sees_private);
        let named = |names: &[&str]| Some(names.iter().map(|name| ChannelName::new(name)).collect::<Vec<_>>());
        assert_eq!(of(&["d:x", "plain"], false), named(&["d:x", "plain"]));
        assert_eq!(of(&["d:x"], true), named(&["d:x", "$d:x"]));
        for more in ["*", "d:{x}", "/.well-known/mercure/subscriptions/a"] {
            assert_eq!(of(&["d:x", more], false), None, "{more}");
        }
    }

    /// `first`: of the streams of these channels. The cursor stands at number `at`, in `channel`.
    fn is_whole(first: &[(&str, u64)], channel: &str, at: u64, selected: &[&str], is_whole: bool) -> bool {
        let namespace = |name: &str, history_durability| Namespace {
            name: name.to_string(),
            options: ChannelOptions {
                history_size: 10,
                history_ttl: HumanDuration::from_secs(1_000),
                history_durability,
                ..ChannelOptions::default()
            },
        };
        let (durable, accepted) = (namespace("d", HistoryDurability::Durable), namespace("a", HistoryDurability::Accepted));
        let namespaces = vec![durable, accepted, namespace("b", HistoryDurability::Accepted), namespace("m", HistoryDurability::Memory)];
        let rules = ChannelRules::new(NameSyntax::default(), ChannelOptions::default(), namespaces).unwrap();
        let mut past = Past::wanting(10);
        past.is_whole = is_whole;
        let stream = |first: &u64| PastStream { epoch: Epoch::new("e"), first: Some(*first) };
        past.streams = first.iter().map(|(name, first)| (ChannelName::new(name), stream(first))).collect();
        let mut before = Before::new(past, START);
        let publication = Publication { offset: 1, data: Payload::from_bytes("1".into()), info: None, tags: None, update: None };
        before.add(&PastPublication {
            order: at,
            channel: ChannelName::new(channel),
            position: StreamPosition { offset: 1, epoch: Epoch::new("e") },
            publication: Arc::new(publication),
        });
        let selected: Vec<_> = selected.iter().map(|name| ChannelName::new(name)).collect();
        before.is_whole_behind(1, &selected, &rules)
    }
    #[test]
    fn a_cursor_holds_where_nothing_can_be_missing() {
        let now = order_of(START) - 1_000;
        for (first, channel, at, selected, store_is_whole, expected) in [
            (&[("d:x", 5)][..], "d:x", now, &["d:x"][..], false, true),
            (&[("d:x", now), ("d:y", 5)], "d:x", now, &["d:x", "d:y"], false, true),
            (&[("d:x", now), ("d:y", now + 1)], "d:x", now, &["d:x", "d:y"], true, false),
            (&[("d:x", 5)], "d:x", now, &["d:x", "d:never"], true, true),
            (&[("d:x", 5)], "d:x", now, &["d:x", "d:never"], false, false),
            (&[("d:x", 5)], "d:x", order_of(START - 1_000_000), &["d:x", "d:never"], true, false),
            (&[("d:x", 5)], "d:x", now, &["d:x", "m:x"], true, false),
            (&[("d:x", 5)], "d:x", now, &[], true, false),
            (&[("a:x", 5)], "a:x", now, &["a:x", "$a:x"], true, true),
            (&[("a:x", 5), ("a:y", 5)], "a:x", now, &["a:x", "a:y"], true, false),
            (&[("a:x", 5), ("d:y", 5)], "a:x", now, &["a:x", "d:y"], true, false),
            (&[("d:x", 5), ("a:y", 5)], "d:x", now, &["d:x", "a:y"], true, false),
            (&[("a:x", 5)], "a:x", now, &["a:x", "b:never"], true, false),
            (&[("d:x", 5)], "d:x", now, &["d:x", "a:never"], true, false),
        ] {
            assert_eq!(is_whole(first, channel, at, selected, store_is_whole), expected, "{first:?} {channel} {selected:?} {store_is_whole}");
        }
    }
}
