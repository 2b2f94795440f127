//! `admin.channels.*`: what goes on in channels, and a word into one of them.

use super::{Failure, commands};
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

/// Clients that are listed as present.
const PRESENT_MAX: usize = 200;

commands! {
    "admin.channels.list" Some(Right::ChannelsRead), Reads, "pattern", List, list, r#"{"pattern":"news:*","limit":50}"#,
        "Lists channels with subscribers, ordered by name: subscribers, publications a second, kept publications.";
    "admin.channels.show" Some(Right::ChannelsRead), Reads, "channel", Show, show, r#"{"channel":"news:world"}"#,
        "Shows one channel: its options, subscribers, rate over the last minute, stream and who is present.";
    "admin.channels.top" Some(Right::ChannelsRead), Reads, "pattern", Top, top, r#"{"by":"rate","limit":20}"#,
        "Lists the channels with the most subscribers, or the most publications a second.";
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

/// What makes a channel a busy one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Subscribers,
    Rate,
}

impl Load {
    const ALL: [Self; 2] = [Self::Subscribers, Self::Rate];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribers => "subscribers",
            Self::Rate => "rate",
        }
    }

    /// The busiest first, and no two alike.
    fn compare(self, one: &WatchedChannel, other: &WatchedChannel) -> Ordering {
        let by_subscribers = || other.subscribers.cmp(&one.subscribers);
        let by_rate = || other.publications_per_second.total_cmp(&one.publications_per_second);
        match self {
            Self::Subscribers => by_subscribers().then_with(by_rate),
            Self::Rate => by_rate().then_with(by_subscribers),
        }
        .then_with(|| one.channel.cmp(&other.channel))
    }
}

choices! {
    Load, Load::ALL.map(Load::as_str), |word| Load::ALL.into_iter().find(|load| load.as_str() == word);
}

arguments! {
    Top {
        /// By what they are ordered.
        by: Load,
        /// Only channels like this: `*` any text, `?` one letter.
        pattern: Option<Pattern>,
        /// Channels in the answer.
        limit: Page,
    }
}

async fn top(desk: Arc<Desk>, _: Caller, Top { by, pattern, limit }: Top) -> Result<Value, Failure> {
    let mut busiest: Vec<WatchedChannel> = Vec::new();
    let (mut count, mut subscribers) = (0usize, 0usize);
    desk.topics
        .for_each_watched(|watched| {
            if pattern.as_ref().is_some_and(|Pattern(glob)| !glob.is_match(watched.channel.as_str())) {
                return;
            }
            count += 1;
            subscribers += watched.subscribers;
            busiest.push(watched);
            // Sorted out once in a while: what is kept is bounded, and each channel costs the same however many there are.
            if busiest.len() >= 4 * limit.0.max(64) {
                busiest.select_nth_unstable_by(limit.0, |one, other| by.compare(one, other));
                busiest.truncate(limit.0);
            }
        })
        .await;
    busiest.sort_unstable_by(|one, other| by.compare(one, other));
    busiest.truncate(limit.0);
    let mut channels = Vec::with_capacity(busiest.len());
    for watched in &busiest {
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
