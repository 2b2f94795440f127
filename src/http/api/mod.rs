//! The server API: an application publishes, inspects and steers. `POST {prefix}/{method}`, JSON in and out, one file a method.
//!
//! Called by backends that show an API key. Whoever has the key of the configuration may do everything, others what their key is for. The names, shapes and error
//! codes are those of Centrifugo's HTTP API, so that its client libraries work. Deliberately absent: methods of the application's own
//! (`rpc`), and the single address for all methods that Centrifugo is about to drop.

mod batch;
mod broadcast;
mod channels;
pub mod docs;
mod disconnect;
mod history;
mod history_remove;
mod info;
mod json;
mod metrics_history;
pub mod openapi;
mod presence;
mod presence_stats;
mod publish;
mod refresh;
mod report;
mod report_page;
mod rpc;
mod subscribe;
mod unsubscribe;
mod upstream_report;

#[cfg(test)]
mod tests;

use super::forwarded::client_address;
use super::respond;
use crate::auth::{ApiKeys, Caller};
use crate::broker::Publisher;
use crate::channel::{ChannelOptions, SessionId, UserId};
use crate::clock::{Clock, Millis};
use crate::guard::limits::{Limits, TooOften};
use crate::metrics::Observatory;
use crate::protocol::codes::{ClientError, ErrorCode, Refusal};
use crate::session::Session;
use crate::session::hub::{Found, Hub};
use crate::telemetry::api::{ApiCalled, ApiRefusal, ApiRefused};
use crate::telemetry::emit;
use crate::topic::registry::Topics;
use crate::upstream::Upstream;
use actix::dev::ToEnvelope;
use actix::{Handler, Message};
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::http::{Method as HttpMethod, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

/// Where callers may show their key, besides `Authorization: apikey …` and the query.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// With the value `transport`, errors come as HTTP statuses.
const ERROR_MODE: HeaderName = HeaderName::from_static("x-centrifugo-error-mode");

/// Publishes, or commands of a batch, that are carried out before other tasks of the thread get their turn: about half a millisecond.
const TURN: usize = 100;

/// Time that an answer waits for the connections that it is about. They carry out what they were told even if it takes them longer.
const TELL_MAX: Duration = Duration::from_secs(1);

/// What the API works with. One for all workers.
pub struct ApiState {
    /// The path that all addresses begin with: begins with a slash and does not end with one.
    pub prefix: String,
    /// Who may call. Without any key nobody may, unless `insecure`.
    pub keys: Arc<ApiKeys>,
    /// Everybody may call.
    pub insecure: bool,
    pub publisher: Publisher,
    pub hub: Arc<Hub>,
    pub limits: Arc<Limits>,
    pub topics: Arc<Topics>,
    /// The feeds, of which there are reports.
    pub upstream: Upstream,
    /// `None`: nothing is measured.
    pub metrics: Option<Arc<Observatory>>,
    pub clock: Clock,
    pub node: NodeInfo,
    /// Bytes of one body.
    pub body_bytes_max: usize,
    /// For a body to come, and again for the call to be carried out.
    pub timeout: Duration,
    /// The description of the API, where it is served: see [`openapi::document`].
    pub description: Option<Bytes>,
}

/// What this node tells of itself.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Random: different at every start.
    pub uid: String,
    pub name: String,
    pub version: String,
    /// On the monotonic clock.
    pub started: Millis,
}

/// Mounts the API under its prefix.
pub fn configure(api: Arc<ApiState>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |service| {
        let scope = web::scope(&api.prefix);
        service.service(scope.default_service(web::to(move |request, body| serve(Arc::clone(&api), request, body))));
    }
}

/// The table of methods: what each one takes and gives, and who carries it out. `batch` is not in it, because it does not go into itself.
macro_rules! methods {
    ($($name:ident $Method:ident ($Request:ty) -> $Result:ty;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Method {
            $($Method,)*
        }

        impl Method {
            const ALL: &[Self] = &[$(Self::$Method,)*];

            fn find(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$Method),)*
                    _ => None,
                }
            }
            const fn name(self) -> &'static str {
                match self {
                    $(Self::$Method => stringify!($name),)*
                }
            }
        }

        /// A method and what it is asked with.
        enum Command<'a> {
            $($Method($Request),)*
        }

        impl<'a> Command<'a> {
            fn parse(method: Method, body: &'a [u8]) -> Result<Self, serde_json::Error> {
                match method {
                    $(Method::$Method => serde_json::from_slice(body).map(Self::$Method),)*
                }
            }

            /// The value of `method`'s member in a batch.
            fn next_value<A: serde::de::MapAccess<'a>>(method: Method, members: &mut A) -> Result<Self, A::Error> {
                match method {
                    $(Method::$Method => members.next_value().map(Self::$Method),)*
                }
            }

            const fn method(&self) -> Method {
                match self {
                    $(Self::$Method(_) => Method::$Method,)*
                }
            }

            async fn carry_out(self, call: &Call<'_>) -> Result<Reply, Refusal> {
                let method = self.method();
                let is_allowed = call.caller.may_call(method.name(), method.is_about_channels());
                let result = match self {
                    _ if !is_allowed => Err(ErrorCode::PERMISSION_DENIED.into()),
                    $(Self::$Method(request) => $name::call(call, request).await.map(Reply::$Method).map_err(Refusal::from),)*
                };
                emit(ApiCalled { method: method.name(), error: result.as_ref().err() });
                result
            }
        }

        /// Describes every method of the table.
        #[expect(clippy::extra_unused_lifetimes, reason = "the request types of the table name it")]
        fn describe<'a>(description: &mut openapi::Description) {
            $(description.method::<$Request, $Result>(stringify!($name), $name::EXAMPLE, $name::EXAMPLE_RESULT);)*
        }

        /// What a method gave.
        enum Reply {
            $($Method($Result),)*
        }

        impl Serialize for Reply {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$Method(result) => result.serialize(serializer),)*
                }
            }
        }
    };
}

methods! {
    publish Publish(publish::PublishRequest<'a>) -> publish::PublishResult;
    broadcast Broadcast(broadcast::BroadcastRequest<'a>) -> broadcast::BroadcastResult;
    subscribe Subscribe(subscribe::SubscribeRequest<'a>) -> Empty;
    unsubscribe Unsubscribe(unsubscribe::UnsubscribeRequest<'a>) -> Empty;
    disconnect Disconnect(disconnect::DisconnectRequest<'a>) -> Empty;
    refresh Refresh(refresh::RefreshRequest<'a>) -> Empty;
    presence Presence(presence::PresenceRequest<'a>) -> presence::PresenceResult;
    presence_stats PresenceStats(presence_stats::PresenceStatsRequest<'a>) -> presence_stats::PresenceStatsResult;
    history History(history::HistoryRequest<'a>) -> history::HistoryResult;
    history_remove HistoryRemove(history_remove::HistoryRemoveRequest<'a>) -> Empty;
    channels Channels(channels::ChannelsRequest<'a>) -> channels::ChannelsResult;
    info Info(info::InfoRequest) -> info::InfoResult;
    rpc Rpc(rpc::RpcRequest<'a>) -> Empty;
    metrics_history MetricsHistory(metrics_history::MetricsHistoryRequest) -> metrics_history::MetricsHistoryResult;
    report Report(report::ReportRequest) -> report::ReportResult;
    upstream_report UpstreamReport(upstream_report::UpstreamReportRequest) -> upstream_report::UpstreamReportResult;
}

impl Method {
    /// Whether what it does is done to the channels that it names, or shown of those that the caller may name.
    const fn is_about_channels(self) -> bool {
        match self {
            Self::Publish
            | Self::Broadcast
            | Self::Subscribe
            | Self::Unsubscribe
            | Self::Presence
            | Self::PresenceStats
            | Self::History
            | Self::HistoryRemove
            | Self::Channels => true,
            Self::Disconnect | Self::Refresh | Self::Info | Self::Rpc | Self::MetricsHistory | Self::Report | Self::UpstreamReport => false,
        }
    }
}

impl Method {
    /// Whether it may be asked by GET too, for something to read or to keep.
    const fn has_page(self) -> bool {
        matches!(self, Self::MetricsHistory | Self::Report | Self::UpstreamReport)
    }
}

/// The names of all methods that a key can be for.
pub fn methods() -> impl Iterator<Item = &'static str> {
    Method::ALL.iter().map(|method| method.name())
}

/// Nothing to tell, besides that it was done.
#[derive(Debug, Serialize, ToSchema)]
struct Empty {}

/// A result, or why there is none: `{"result":…}` or `{"error":…}`.
#[derive(Debug)]
struct Outcome<T>(Result<T, Refusal>);

impl<T: Serialize> Serialize for Outcome<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(result) => serializer.collect_map([("result", result)]),
            Err(error) => serializer.collect_map([("error", respond::ErrorBody::from(error))]),
        }
    }
}

/// What is at hand while one request is carried out.
#[derive(Clone, Copy)]
struct Call<'a> {
    api: &'a ApiState,
    /// What it may do is asked for each command, those of a batch included, and for each channel.
    caller: &'a Caller,
    /// What the request's texts and payloads are slices of.
    body: &'a Bytes,
    /// For the whole request: commands of a batch share it.
    deadline: Instant,
}

impl<'a> Call<'a> {
    /// The options of a channel that the caller may name.
    fn options(&self, channel: &str) -> Result<&'a Arc<ChannelOptions>, ErrorCode> {
        let rules = &self.api.publisher.rules;
        if !self.caller.may_name(rules.namespace(channel)) {
            return Err(ErrorCode::PERMISSION_DENIED);
        }
        rules.options(channel).map_err(|error| error.code())
    }

    /// Tells `connections`, and waits until they did it.
    async fn tell<M>(&self, connections: Vec<Found>, message: &M) -> Result<Empty, ErrorCode>
    where
        M: Message<Result = ()> + Clone + Send + 'static,
        Session: Handler<M>,
        <Session as actix::Actor>::Context: ToEnvelope<Session, M>,
    {
        // Each address is a fresh handle, which always gets one message into its mailbox, full or not: it is there when `send` returns.
        let told: Vec<_> = connections.iter().map(|found| found.addr.send(message.clone())).collect();
        let all_done = futures_util::future::join_all(told);
        if tokio::time::timeout(TELL_MAX, all_done).await.is_err() {
            log::warn!("api: not all of {} connections did in {} ms what they were told", connections.len(), TELL_MAX.as_millis());
        }
        Ok(Empty {})
    }
}

/// Which connections a request is about.
struct Addressed<'a> {
    user: &'a str,
    client: &'a str,
    session: &'a str,
}

impl Addressed<'_> {
    /// The connections that match; none is not an error. An empty user alone would be every anonymous one, which nobody means.
    fn connections(&self, api: &ApiState) -> Result<Vec<Found>, ErrorCode> {
        if self.user.is_empty() && self.client.is_empty() {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let client = SessionId::parse(self.client);
        let mut connections = if self.user.is_empty() {
            client.and_then(|client| api.hub.find(client)).into_iter().collect()
        } else {
            api.hub.of_user(&UserId::new(self.user))
        };
        if !self.client.is_empty() {
            connections.retain(|found| Some(found.facts.session) == client);
        }
        if !self.session.is_empty() {
            connections.retain(|found| found.facts.has_secret_id(self.session));
        }
        Ok(connections)
    }
}

/// One request, from its address to its answer.
async fn serve(api: Arc<ApiState>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let name = request.path().strip_prefix(&api.prefix).and_then(|tail| tail.strip_prefix('/')).unwrap_or_default();
    let method = Method::find(name);
    if method.is_none() && name != batch::NAME {
        return api.description.as_ref().and_then(|description| docs::serve(&request, name, description)).unwrap_or_else(respond::not_found);
    }
    let has_page = method.is_some_and(Method::has_page);
    let page = method.filter(|_| has_page && matches!(*request.method(), HttpMethod::GET | HttpMethod::HEAD));
    if request.method() != HttpMethod::POST && page.is_none() {
        return respond::method_not_allowed(if has_page { "GET, HEAD, POST" } else { "POST" });
    }
    if let Err(refused) = api.limits.api.take(None, "", Some(client_address(&request))) {
        return too_often(refused);
    }
    let Some(caller) = api.caller(&request) else {
        emit(ApiRefused { why: ApiRefusal::Key });
        return HttpResponse::Unauthorized().finish();
    };
    if let Err(refused) = api.limits.keys.take(None, caller.name(), None) {
        return too_often(refused);
    }
    if let Some(method) = page {
        return shown(&api, &caller, method, &request).await;
    }
    let body = match read(body, request.headers(), api.body_bytes_max, api.timeout).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    let call = Call { api: &api, caller: &caller, body: &body, deadline: Instant::now() + api.timeout };
    let answer = match method {
        Some(method) => answer(call, method, &request).await,
        None => batch::answer(call).await,
    };
    answer.unwrap_or_else(|error| {
        emit(ApiRefused { why: ApiRefusal::Malformed });
        respond::text(StatusCode::BAD_REQUEST, &format!("the body is not what {name} takes: {error}"))
    })
}

/// What a method that may be asked by GET gives.
async fn shown(api: &ApiState, caller: &Caller, method: Method, request: &HttpRequest) -> HttpResponse {
    match method {
        Method::MetricsHistory => metrics_history::file(api, caller, request).await,
        Method::Report => report_page::page(api, caller, report::NAME, request, async |asked| report::document(api, asked).await).await,
        _ => report_page::page(api, caller, upstream_report::NAME, request, async |asked| upstream_report::document(api, asked).await).await,
    }
}

fn too_often(refused: TooOften) -> HttpResponse {
    emit(ApiRefused { why: ApiRefusal::TooOften });
    HttpResponse::TooManyRequests().insert_header((header::RETRY_AFTER, refused.seconds().to_string())).finish()
}

async fn answer(call: Call<'_>, method: Method, request: &HttpRequest) -> Result<HttpResponse, serde_json::Error> {
    let command = Command::parse(method, call.body)?;
    Ok(match in_time(call, command).await {
        Ok(reply) => {
            let mut out = respond::buffer();
            out.put_slice(b"{\"result\":");
            respond::write_json(&reply, &mut out);
            out.put_u8(b'}');
            respond::json(StatusCode::OK, out)
        }
        Err(error) => error_response(&error, request.headers()),
    })
}

/// What a command gives, or an internal error if it takes too long.
async fn in_time(call: Call<'_>, command: Command<'_>) -> Result<Reply, Refusal> {
    let name = command.method().name();
    tokio::time::timeout_at(call.deadline, command.carry_out(&call)).await.unwrap_or_else(|_| {
        log::error!("api: {name} was given up after {} ms", call.api.timeout.as_millis());
        Err(ErrorCode::INTERNAL.into())
    })
}

fn error_response(error: &Refusal, headers: &HeaderMap) -> HttpResponse {
    let mut out = respond::buffer();
    if headers.get(ERROR_MODE).is_some_and(|mode| mode == "transport") {
        respond::write_error(error, &mut out);
        return respond::json(StatusCode::from_u16(error.row.http_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), out);
    }
    out.put_slice(b"{\"error\":");
    respond::write_error(error, &mut out);
    out.put_u8(b'}');
    respond::json(StatusCode::OK, out)
}

impl ApiState {
    /// Whose key the request shows. Where it shows several, the first of header, authorization and query counts.
    fn caller(&self, request: &HttpRequest) -> Option<Caller> {
        if self.insecure {
            return Some(Caller::UNSCOPED);
        }
        let headers = request.headers();
        if let Some(shown) = headers.get(API_KEY) {
            return self.keys.verify(shown.as_bytes());
        }
        if let Some(shown) = headers.get(header::AUTHORIZATION) {
            let (scheme, shown) = shown.as_bytes().split_at_checked(7).unwrap_or_default();
            return scheme.eq_ignore_ascii_case(b"apikey ").then(|| self.keys.verify(shown.trim_ascii())).flatten();
        }
        #[derive(Deserialize)]
        struct Query {
            api_key: String,
        }
        let query = web::Query::<Query>::from_query(request.query_string()).ok()?;
        self.keys.verify(query.api_key.as_bytes())
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge {
        max: usize,
    },
    TooSlow,
    /// The connection broke, or its framing is not HTTP.
    Broken,
}

impl Unread {
    fn into_response(self) -> HttpResponse {
        match self {
            Self::TooLarge { max } => {
                emit(ApiRefused { why: ApiRefusal::TooLarge });
                respond::text(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is larger than {max} bytes"))
            }
            Self::TooSlow => {
                emit(ApiRefused { why: ApiRefusal::TooSlow });
                respond::text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")
            }
            Self::Broken => {
                emit(ApiRefused { why: ApiRefusal::Malformed });
                respond::text(StatusCode::BAD_REQUEST, "the body cannot be read")
            }
        }
    }
}

/// The whole body. Where it came in one piece, which is what small ones do, it is not copied.
pub(super) async fn read(mut body: web::Payload, headers: &HeaderMap, max: usize, timeout: Duration) -> Result<Bytes, Unread> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(Unread::TooLarge { max });
    }
    let all = async {
        let Some(first) = body.next().await else { return Ok(Bytes::new()) };
        let mut whole = Whole::One(first.map_err(|_| Unread::Broken)?);
        while let Some(more) = body.next().await {
            whole = whole.and(&more.map_err(|_| Unread::Broken)?, announced.unwrap_or(0), max)?;
        }
        whole.into_bytes(max)
    };
    tokio::time::timeout(timeout, all).await.unwrap_or(Err(Unread::TooSlow))
}

enum Whole {
    One(Bytes),
    Many(BytesMut),
}

impl Whole {
    fn and(self, more: &Bytes, announced: usize, max: usize) -> Result<Self, Unread> {
        let mut all = match self {
            Self::Many(all) => all,
            Self::One(first) => {
                let mut all = BytesMut::with_capacity(announced.max(first.len() + more.len()));
                all.put_slice(&first);
                all
            }
        };
        if all.len() + more.len() > max {
            return Err(Unread::TooLarge { max });
        }
        all.put_slice(more);
        Ok(Self::Many(all))
    }

    fn into_bytes(self, max: usize) -> Result<Bytes, Unread> {
        let all = match self {
            Self::One(first) => first,
            Self::Many(all) => all.freeze(),
        };
        if all.len() > max { Err(Unread::TooLarge { max }) } else { Ok(all) }
    }
}
