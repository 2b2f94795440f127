//! `admin.channels.*`: what goes on in channels, and a word into one of them.

use super::{Failure, commands};
use crate::admin::arguments::{Page, Pattern, Payload, arguments};
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::broker::{HistoryFilter, Publish};
use crate::channel::{ChannelName, OWN_PREFIX};
use crate::protocol::codes::ClientError;
use crate::session::procedures::Caller;
use crate::topic::fanout::PROBE;
use crate::topic::listing::PageAsked;
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;

/// Clients that are listed as present.
const PRESENT_MAX: usize = 200;

commands! {
    "admin.channels.list" Some(Right::ChannelsRead), Reads, "pattern", List, list, r#"{"pattern":"news:*","limit":50}"#,
        "Lists channels with subscribers, ordered by name: subscribers, publications a second, kept publications.";
    "admin.channels.show" Some(Right::ChannelsRead), Reads, "channel", Show, show, r#"{"channel":"news:world"}"#,
        "Shows one channel: its options, subscribers, stream and who is present.";
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
    let is_shown = |channel: &ChannelName| **channel != *PROBE && pattern.as_ref().is_none_or(|Pattern(glob)| glob.is_match(channel.as_str()));
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
        channels.push(json!({
            "channel": watched.channel.as_str(),
            "subscribers": watched.subscribers,
            "publications_per_second": watched.publications_per_second,
            "history": stream(&desk, &watched.channel).await,
        }));
    }
    let next = page.next.map(|channel| channel.to_string());
    let (count, subscribers) = sums.unzip();
    Ok(json!({ "channels": channels, "next": next, "count": count, "subscribers": subscribers }))
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
    if channel.starts_with(OWN_PREFIX) {
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
