//! `channels`: which channels have subscribers.

use super::Call;
use super::json::Text;
use crate::channel::ChannelName;
use crate::protocol::codes::ErrorCode;
use globset::Glob;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// Channels in one answer: about 10 MB of it. A hub with more is asked by pattern.
const CHANNELS_MAX: usize = 100_000;

/// Bytes of a pattern. It is compiled, which costs more than its length.
const PATTERN_BYTES_MAX: usize = 1_024;

pub const EXAMPLE: &str = r#"{"pattern":"news:*"}"#;
pub const EXAMPLE_RESULT: &str = r#"{"channels":{"news:world":{"num_clients":12}}}"#;

/// Asks which channels have subscribers now.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChannelsRequest<'a> {
    /// Only channels whose whole name matches: `*` any characters, `?` one, `[ab]` one of these, `{a,b}` one of these texts. 1024 bytes at
    /// most. Empty: all channels.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub pattern: Text<'a>,
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
    if request.pattern.len() > PATTERN_BYTES_MAX {
        return Err(ErrorCode::BAD_REQUEST);
    }
    let matcher = match &*request.pattern {
        "" => None,
        pattern => Some(Glob::new(pattern).map_err(|_| ErrorCode::BAD_REQUEST)?.compile_matcher()),
    };
    let mut result = ChannelsResult::default();
    call.api
        .topics
        .for_each_watched(|watched| {
            if !call.caller.may_name(call.api.publisher.rules.namespace(&watched.channel)) {
                return;
            }
            if matcher.as_ref().is_some_and(|matcher| !matcher.is_match(watched.channel.as_str())) {
                return;
            }
            if result.channels.len() < CHANNELS_MAX {
                result.channels.push((watched.channel, ChannelView { num_clients: watched.subscribers }));
            } else {
                result.truncated = true;
            }
        })
        .await;
    Ok(result)
}
