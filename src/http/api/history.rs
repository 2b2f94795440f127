//! `history`: what was published into a channel.

use super::Call;
use super::json::{Text, null_as_default};
use super::presence::{ClientView, json_or_base64};
use super::subscribe::Position;
use crate::broker::HistoryFilter;
use crate::channel::{ChannelName, ChannelOptions, Publication, StreamPosition, Tags};
use crate::protocol::codes::{ClientError, ErrorCode};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::ToSchema;

pub const EXAMPLE: &str = r#"{"channel":"news:world","limit":10,"since":{"offset":1,"epoch":"kXqp"}}"#;
pub const EXAMPLE_RESULT: &str = r#"{"publications":[{"data":{"title":"A launch"},"offset":2}],"epoch":"kXqp","offset":2}"#;

/// Reads a channel's history. Needs history in its namespace (else error 108).
#[derive(Debug, Deserialize, ToSchema)]
pub struct HistoryRequest<'a> {
    #[serde(default, borrow)]
    #[schema(value_type = String, required = true)]
    pub channel: Text<'a>,
    /// Most publications to return. 0: none, only the stream's position. Negative: all.
    #[serde(default, deserialize_with = "null_as_default")]
    pub limit: i64,
    /// Begin after this position. With an epoch that is not the stream's: error 112.
    #[serde(default, borrow)]
    pub since: Option<Position<'a>>,
    /// Newest first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub reverse: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryResult {
    /// In the order of their offsets, or against it.
    #[serde(serialize_with = "publications")]
    #[schema(value_type = Vec<PublicationView>)]
    pub publications: Vec<Arc<Publication>>,
    /// Which life of the stream the offsets belong to.
    pub epoch: String,
    /// The stream's newest offset.
    pub offset: u64,
}

/// One message of a channel.
#[derive(Serialize, ToSchema)]
pub struct PublicationView<'a> {
    /// As it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    data: Option<&'a RawValue>,
    /// `data` as Base64, where it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    b64data: Option<String>,
    /// The client that published it; nobody where it came by this API or from a feed.
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<ClientView<'a>>,
    offset: u64,
    /// Texts that travelled with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    tags: Option<&'a Tags>,
}

impl<'a> From<&'a Publication> for PublicationView<'a> {
    fn from(publication: &'a Publication) -> Self {
        let (data, b64data) = json_or_base64(&publication.data);
        Self { data, b64data, info: publication.info.as_deref().map(ClientView::from), offset: publication.offset, tags: publication.tags.as_deref() }
    }
}

fn publications<S: Serializer>(publications: &[Arc<Publication>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(publications.iter().map(|publication| PublicationView::from(publication.as_ref())))
}

pub async fn call(call: &Call<'_>, request: HistoryRequest<'_>) -> Result<HistoryResult, ErrorCode> {
    let (channel, options) = channel_with_history(call, &request.channel)?;
    let since = request.since.map(StreamPosition::from);
    if request.reverse && since.as_ref().is_some_and(|since| since.offset == 0) {
        return Err(ErrorCode::BAD_REQUEST);
    }
    let filter = HistoryFilter { limit: usize::try_from(request.limit).ok(), since, reverse: request.reverse };
    let history = call.api.publisher.broker.history(&channel, options, filter).await.map_err(|error| error.code())?;
    let (epoch, offset) = (history.position.epoch.as_str().to_string(), history.position.offset);
    Ok(HistoryResult { publications: history.publications, epoch, offset })
}

/// The channel and its options, if it is there and its namespace keeps history.
pub fn channel_with_history<'a>(call: &Call<'a>, channel: &str) -> Result<(ChannelName, &'a Arc<ChannelOptions>), ErrorCode> {
    if channel.is_empty() {
        return Err(ErrorCode::BAD_REQUEST);
    }
    let options = call.options(channel)?;
    if options.has_history() { Ok((ChannelName::new(channel), options)) } else { Err(ErrorCode::NOT_AVAILABLE) }
}
