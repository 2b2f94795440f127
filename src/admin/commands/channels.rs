//! `admin.channels.*`: what goes on in channels, and a word into one of them.

use super::{Failure, commands, part_of};
use crate::admin::arguments::{Field, Page, Pattern, Payload, arguments, choices};
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::broker::{HistoryFilter, Publish};
use crate::channel::{ChannelName, is_own};
use crate::protocol::codes::ClientError;
use crate::session::procedures::Caller;
use crate::topic::listing::PageAsked;
use crate::topic::meter;
use crate::topic::registry::WatchedChannel;
use bytes::Bytes;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Clients that are listed as present.
const PRESENT_MAX: usize = 200;

commands! {
    "admin.channels.browse" Some(Right::ChannelsRead), Reads, "pattern", Browse, browse, r#"{"sort":"rate","descending":true,"limit":20}"#,
        "Shows a part of the channels with subscribers in the order that is asked for, and how many there are.";
    "admin.channels.list" Some(Right::ChannelsRead), Reads, "pattern", List, list, r#"{"pattern":"news:*","limit":50}"#,
        "Lists channels with subscribers, ordered by name: subscribers, publications a second, kept publications.";
    "admin.channels.show" Some(Right::ChannelsRead), Reads, "channel", Show, show, r#"{"channel":"news:world"}"#,
        "Shows one channel: its options, subscribers, rate over the last minute, stream and who is present.";
    "admin.channels.publish" Some(Right::Broadcast), Changes, "channel", Send, publish, r#"{"channel":"news:world","data":{"text":"hello"}}"#,
        "Publishes into a channel, whatever its namespace allows clients.";
}

arguments! {
    List {
        /// Only channels like this: `*` any text, `?` one letter.
        pattern: Option<Pattern>,
        /// Begin behind this channel: `next` of the page before. Pages behind the first have no `count` and `subscribers` of all.
        after: Option<ChannelName>,
        /// Channels in one answer.
        limit: Page,
    }
}

async fn list(desk: Arc<Desk>, _: Caller, List { pattern, after, limit }: List) -> Result<Value, Failure> {
    let is_shown = |channel: &ChannelName| pattern.as_ref().is_none_or(|Pattern(glob)| glob.is_match(channel.as_str()));
    // The sums take a look at every channel, so only the first page has them.
    let mut sums = after.is_none().then_some((0usize, 0usize));
    if let Some((count, subscribers)) = &mut sums {
        desk.topics
            .for_each_watched(|watched| {
                if is_shown(&watched.channel) {
                    *count += 1;
                    *subscribers += watched.subscribers;
                }
            })
            .await;
    }
    let glob = pattern.as_ref().map_or("", |Pattern(glob)| glob.glob().glob());
    let page = desk.topics.watched_page(&PageAsked::like(glob, after, limit.0), is_shown).await;
    let mut channels = Vec::with_capacity(page.found.len());
    for watched in &page.found {
        channels.push(described(&desk, watched).await);
    }
    let next = page.next.map(|channel| channel.to_string());
    let (count, subscribers) = sums.unzip();
    Ok(json!({ "channels": channels, "next": next, "count": count, "subscribers": subscribers }))
}

/// What channels can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Name,
    Subscribers,
    Rate,
}

impl Order {
    const ALL: [Self; 3] = [Self::Name, Self::Subscribers, Self::Rate];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Subscribers => "subscribers",
            Self::Rate => "rate",
        }
    }

    /// No two are alike, so that a part of the list is always the same one. Those that are equally busy stand by name, whichever way.
    fn compare(self, descending: bool, one: &WatchedChannel, other: &WatchedChannel) -> Ordering {
        let by_name = || one.channel.cmp(&other.channel);
        let by_subscribers = || one.subscribers.cmp(&other.subscribers);
        let by_rate = || one.publications_per_second.total_cmp(&other.publications_per_second);
        let ordering = match self {
            Self::Name => by_name(),
            Self::Subscribers => by_subscribers().then_with(by_rate),
            Self::Rate => by_rate().then_with(by_subscribers),
        };
        if descending { ordering.reverse() } else { ordering }.then_with(by_name)
    }
}

choices! {
    Order, Order::ALL.map(Order::as_str), |word| Order::ALL.into_iter().find(|order| order.as_str() == word);
}

arguments! {
    Browse {
        /// Only channels like this: `*` any text, `?` one letter.
        pattern: Option<Pattern>,
        /// What they are ordered by; without it by name.
        sort: Option<Order>,
        /// The other way round.
        descending: bool,
        /// Begin behind so many.
        skip: Option<u64>,
        /// Channels in one answer.
        limit: Page,
    }
}

/// A part far behind the beginning needs all channels at hand: some ten megabytes for 100,000, and so for one caller at a time.
static AT_HAND: Semaphore = Semaphore::const_new(1);

async fn browse(desk: Arc<Desk>, _: Caller, Browse { pattern, sort, descending, skip, limit }: Browse) -> Result<Value, Failure> {
    let order = sort.unwrap_or(Order::Name);
    let compare = |one: &WatchedChannel, other: &WatchedChannel| order.compare(descending, one, other);
    let skip = usize::try_from(skip.unwrap_or(0)).unwrap_or(usize::MAX);
    let wanted = skip.saturating_add(limit.0);
    let turn = AT_HAND.acquire().await;
    let mut kept: Vec<WatchedChannel> = Vec::new();
    let (mut count, mut subscribers) = (0usize, 0usize);
    desk.topics
        .for_each_watched(|watched| {
            if pattern.as_ref().is_some_and(|Pattern(glob)| !glob.is_match(watched.channel.as_str())) {
                return;
            }
            count += 1;
            subscribers += watched.subscribers;
            kept.push(watched);
            // Sorted out once in a while, so that no more is kept than the part needs, and each channel costs the same however many there are.
            if kept.len() >= wanted.max(256).saturating_mul(4) {
                kept.select_nth_unstable_by(wanted, compare);
                kept.truncate(wanted);
            }
        })
        .await;
    let part = part_of(kept, skip, limit.0, compare);
    drop(turn);
    let mut channels = Vec::with_capacity(part.len());
    for watched in &part {
        channels.push(described(&desk, watched).await);
    }
    Ok(json!({ "channels": channels, "count": count, "subscribers": subscribers }))
}

async fn described(desk: &Desk, watched: &WatchedChannel) -> Value {
    json!({
        "channel": watched.channel.as_str(),
        "subscribers": watched.subscribers,
        "publications_per_second": watched.publications_per_second,
        "history": stream(desk, &watched.channel).await,
    })
}

/// The stream of a channel that keeps one.
async fn stream(desk: &Desk, channel: &ChannelName) -> Value {
    let Some(options) = desk.publisher.rules.options(channel).ok().filter(|options| options.has_history()) else { return Value::Null };
    match desk.publisher.broker.history(channel, options, HistoryFilter { limit: None, since: None, reverse: false }).await {
        Err(error) => json!({ "error": error.to_string() }),
        Ok(history) => json!({
            "publications": history.publications.len(),
            "bytes": history.publications.iter().map(|publication| publication.weight()).sum::<usize>(),
            "offset": history.position.offset,
            "epoch": history.position.epoch.as_str(),
        }),
    }
}

arguments! {
    Show {
        /// The channel.
        channel: ChannelName,
    }
}

async fn show(desk: Arc<Desk>, _: Caller, Show { channel }: Show) -> Result<Value, Failure> {
    let options = desk.publisher.rules.options_of_any(&channel).map_err(|error| Failure::NotFound(error.to_string()))?;
    let present = if options.presence {
        let present = desk.publisher.broker.presence(&channel).await.map_err(|error| Failure::Failed(error.to_string()))?;
        let listed = present.iter().take(PRESENT_MAX).map(|info| json!({ "user": info.user.as_str(), "session": info.client.to_string() }));
        json!({ "count": present.len(), "first": listed.collect::<Vec<_>>() })
    } else {
        Value::Null
    };
    let topic = desk.topics.describe(&channel);
    Ok(json!({
        "channel": channel.as_str(),
        "pattern": options.is_pattern,
        "subscribers": topic.as_ref().map_or(0, |topic| topic.subscribers),
        "publications_per_second": topic.as_ref().map_or(0.0, |topic| topic.publications_per_second),
        "curve": topic.as_ref().map(|topic| json!({ "step_ms": meter::WINDOW_MS, "publications_per_second": topic.curve })),
        "history": stream(&desk, &channel).await,
        "present": present,
        "options": **options,
    }))
}

arguments! {
    Send {
        /// The channel.
        channel: ChannelName,
        /// What to publish.
        data: Payload,
        /// Not kept in the history.
        skip_history: bool,
    }
}

async fn publish(desk: Arc<Desk>, _: Caller, Send { channel, data, skip_history }: Send) -> Result<Value, Failure> {
    if is_own(&channel) {
        return Err(Failure::Bad("into these channels only the hub itself publishes".to_string()));
    }
    let data = crate::channel::Payload::from_json(Bytes::from(data.0.to_string()));
    let published = desk.publisher.publish(&channel, Publish { data, skip_history, ..Publish::default() }).await;
    match published {
        Ok(position) => Ok(json!({ "offset": position.as_ref().map(|at| at.offset), "epoch": position.as_ref().map(|at| at.epoch.as_str()) })),
        Err(error) if error.code().temporary => Err(Failure::Failed(error.to_string())),
        Err(error) => Err(Failure::Bad(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_come_first_or_last_and_those_alike_always_by_name() {
        let watched = |name: &str, subscribers, rate| WatchedChannel { channel: name.into(), subscribers, publications_per_second: rate };
        let all = [watched("b", 1, 0.0), watched("d", 1, 5.0), watched("a", 1, 0.0), watched("c", 7, 0.0)];
        for (order, descending, expected) in [
            (Order::Name, false, "abcd"),
            (Order::Name, true, "dcba"),
            (Order::Rate, true, "dcab"),
            (Order::Rate, false, "abcd"),
            (Order::Subscribers, true, "cdab"),
            (Order::Subscribers, false, "abdc"),
        ] {
            let mut sorted = all.to_vec();
            sorted.sort_by(|one, other| order.compare(descending, one, other));
            let names: String = sorted.iter().map(|watched| watched.channel.as_str()).collect();
            assert_eq!(names, expected, "{order:?}, descending: {descending}");
        }
    }
}
