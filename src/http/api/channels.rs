//! `channels`: which channels have subscribers.

use super::Call;
use super::json::{Text, null_as_default};
use crate::channel::ChannelName;
use crate::protocol::codes::ErrorCode;
use crate::topic::listing::PageAsked;
use crate::topic::registry::WatchedChannel;
use globset::Glob;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// Channels in one answer to whoever asks for all of them: about 10 MB of it. A hub with more is asked page by page.
const CHANNELS_MAX: usize = 100_000;

/// Channels in one page: about 1 MB of it.
const PAGE_MAX: usize = 10_000;

/// Bytes of a pattern. It is compiled, which costs more than its length.
const PATTERN_BYTES_MAX: usize = 1_024;

pub const EXAMPLE: &str = r#"{"pattern":"news:*","limit":1}"#;
pub const EXAMPLE_RESULT: &str = r#"{"channels":{"news:world":{"num_clients":12}},"next":"news:world"}"#;

/// Asks which channels have subscribers now.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChannelsRequest<'a> {
    /// Only channels whose whole name matches: `*` any characters, `?` one, `[ab]` one of these, `{a,b}` one of these texts. 1024 bytes at
    /// most. Empty: all channels.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub pattern: Text<'a>,
    /// Asks for a page: so many channels at most, in the order of their names, from 1 to 10000. Absent or 0: all in one answer, in no order.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schema(maximum = 10000)]
    pub limit: usize,
    /// Only channels behind this one: `next` of the page before. Needs `limit`.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub after: Text<'a>,
}

/// The channels by their names.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ChannelsResult {
    /// Each under its name.
    #[serde(serialize_with = "by_name")]
    #[schema(value_type = std::collections::BTreeMap<String, ChannelView>)]
    pub channels: Vec<(ChannelName, ChannelView)>,
    /// There are more: only the first 100000 that were met are here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// There may be more: what to ask for with `after`. A page is only looked for so long, so it may be shorter than `limit`, or empty, and
    /// still have a next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelView {
    /// Subscribed connections, at least 1.
    pub num_clients: usize,
}

fn by_name<S: Serializer>(channels: &[(ChannelName, ChannelView)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(channels.iter().map(|(channel, view)| (channel.as_str(), view)))
}

pub async fn call(call: &Call<'_>, request: ChannelsRequest<'_>) -> Result<ChannelsResult, ErrorCode> {
    let is_page = request.limit > 0;
    if request.pattern.len() > PATTERN_BYTES_MAX || request.limit > PAGE_MAX || (!request.after.is_empty() && !is_page) {
        return Err(ErrorCode::BAD_REQUEST);
    }
    let matcher = match &*request.pattern {
        "" => None,
        pattern => Some(Glob::new(pattern).map_err(|_| ErrorCode::BAD_REQUEST)?.compile_matcher()),
    };
    let is_asked_for = |channel: &ChannelName| {
        call.caller.may_name(call.api.publisher.rules.namespace(channel)) && matcher.as_ref().is_none_or(|matcher| matcher.is_match(channel.as_str()))
    };
    let view = |watched: WatchedChannel| (watched.channel, ChannelView { num_clients: watched.subscribers });
    if is_page {
        let after = (!request.after.is_empty()).then(|| ChannelName::new(&request.after));
        let page = call.api.topics.watched_page(&PageAsked::like(&request.pattern, after, request.limit), is_asked_for).await;
        let channels = page.found.into_iter().map(view).collect();
        return Ok(ChannelsResult { channels, truncated: false, next: page.next.map(|next| next.to_string()) });
    }
    let mut result = ChannelsResult::default();
    call.api
        .topics
        .for_each_watched(|watched| {
            if !is_asked_for(&watched.channel) {
                return;
            }
            if result.channels.len() < CHANNELS_MAX {
                result.channels.push(view(watched));
            } else {
                result.truncated = true;
            }
        })
        .await;
    Ok(result)
}
