//! The Live page at `/`, and what it asks the hub: where to connect, and which channels there are to look at.
//!
//! Open to everybody, so it tells nothing that an anonymous client could not find out: channels that one may subscribe to, and how busy they
//! are. Many open pages cost one look at the channels a second. Deliberately absent: keys, tokens, users, and channels that are not open.

use super::assets;
use super::respond::{self, secured};
use crate::auth::{Client, Granted, may_publish, may_subscribe};
use crate::broker::{Answer, HistoryFilter, Publisher};
use crate::channel::{ChannelName, ChannelOptions, SessionId, UserId};
use crate::clock::{Clock, Millis};
use crate::topic::registry::{Topics, WatchedChannel};
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Channels in one answer.
const CHANNELS_MAX: usize = 1_000;
const CHANNELS_DEFAULT: usize = 200;

/// How old an answer may be.
const FRESH_MS: Millis = 1_000;

/// Time that the broker has to tell the offsets of all listed channels; those that it does not tell in time have none.
const OFFSETS_MAX: Duration = Duration::from_secs(1);

/// Channels of the demo feed: CPU use many times a second, and all figures once a second.
const DEMO_PULSE: &str = "demo:pulse";
const DEMO_HOST: &str = "demo:host";

/// Where visitors of the page may write to one another.
const DEMO_CHAT: &str = "demo:chat";

/// What the page is told of the hub's configuration.
pub struct LiveSettings {
    /// Paths that the hub serves.
    pub websocket: String,
    pub api: String,
    pub node: String,
    pub version: String,
    /// Whether the demo feed runs.
    pub has_demo: bool,
    /// Whether clients without a token may connect.
    pub takes_anonymous: bool,
    /// Whether every client may do everything.
    pub is_insecure: bool,
}

/// One for all workers.
pub struct Live {
    config: Bytes,
    visitor: Visitor,
    publisher: Publisher,
    topics: Arc<Topics>,
    clock: Clock,
    /// Held while channels are collected: who asks meanwhile waits for that collection.
    latest: Mutex<Option<(Millis, Arc<Channels>)>>,
}

/// What `/live/config.json` says.
#[derive(Serialize)]
struct Config<'a> {
    websocket: &'a str,
    node: &'a str,
    version: &'a str,
    demo: Option<Demo>,
    chat: Option<&'static str>,
    api: &'a str,
}

#[derive(Serialize)]
struct Demo {
    channel: &'static str,
    host: &'static str,
}

/// What `/live/channels.json` says.
#[derive(Serialize)]
struct ChannelsAnswer<'a> {
    /// Most subscribers first.
    channels: &'a [Row],
    /// Open channels with subscribers, those that did not fit in included.
    total: usize,
    /// Unix time in milliseconds, by which the page learns how its clock differs.
    time: i64,
}

struct Channels {
    rows: Vec<Row>,
    total: usize,
}

#[derive(Debug, PartialEq, Serialize)]
struct Row {
    #[serde(serialize_with = "name")]
    name: ChannelName,
    subscribers: usize,
    /// Publications a second, over the last few.
    rate: f64,
    /// Of the newest publication; only with history.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

fn name<S: serde::Serializer>(name: &ChannelName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

/// Somebody who opens the page: a client without a token.
struct Visitor {
    user: UserId,
    session: SessionId,
    may_connect: bool,
    is_insecure: bool,
}

impl Visitor {
    fn client(&self) -> Client<'_> {
        Client { user: &self.user, session: self.session, is_insecure: self.is_insecure, role: None, granted: Granted::NOTHING }
    }

    /// The options of a channel that the visitor may subscribe to.
    fn options<'a>(&self, publisher: &'a Publisher, channel: &str) -> Option<&'a Arc<ChannelOptions>> {
        let options = publisher.rules.options_for_client(channel).ok()?;
        // The time only matters for tokens.
        let is_open = self.may_connect && may_subscribe(&publisher.rules, options, self.client(), channel, None, 0).is_ok();
        is_open.then_some(options)
    }
}

impl Live {
    pub fn new(settings: &LiveSettings, publisher: Publisher, topics: Arc<Topics>, clock: Clock) -> Arc<Self> {
        let visitor = Visitor {
            user: UserId::default(),
            session: SessionId::random(),
            may_connect: settings.takes_anonymous || settings.is_insecure,
            is_insecure: settings.is_insecure,
        };
        let has_demo = settings.has_demo && visitor.options(&publisher, DEMO_PULSE).is_some();
        let has_chat = visitor.options(&publisher, DEMO_CHAT).is_some_and(|options| may_publish(options, visitor.client(), true));
        let config = Config {
            websocket: &settings.websocket,
            node: &settings.node,
            version: &settings.version,
            demo: has_demo.then_some(Demo { channel: DEMO_PULSE, host: DEMO_HOST }),
            chat: has_chat.then_some(DEMO_CHAT),
            api: &settings.api,
        };
        let mut out = respond::buffer();
        respond::write_json(&config, &mut out);
        Arc::new(Self { config: out.freeze(), visitor, publisher, topics, clock, latest: Mutex::default() })
    }

    /// What there was at most [`FRESH_MS`] ago.
    async fn channels(&self) -> Arc<Channels> {
        let mut latest = self.latest.lock().await;
        let now = self.clock.now();
        if let Some((at, channels)) = &*latest
            && now < at + FRESH_MS
        {
            return Arc::clone(channels);
        }
        let channels = Arc::new(self.collect().await);
        *latest = Some((now, Arc::clone(&channels)));
        channels
    }

    async fn collect(&self) -> Channels {
        let mut total = 0;
        // The smallest on top, to be replaced by a larger one: never more than the answer may hold.
        let mut largest = BinaryHeap::new();
        self.topics
            .for_each_watched(|WatchedChannel { channel, subscribers, publications_per_second }| {
                if self.visitor.options(&self.publisher, &channel).is_none() {
                    return;
                }
                total += 1;
                // Tenths: that is as exact as it is.
                let rate_tenths = (publications_per_second * 10.0).round() as u64;
                largest.push(Reverse((subscribers, Reverse(channel), rate_tenths)));
                if largest.len() > CHANNELS_MAX {
                    largest.pop();
                }
            })
            .await;
        let largest = largest.into_sorted_vec().into_iter().map(|Reverse((subscribers, Reverse(name), rate_tenths))| {
            let rate = rate_tenths as f64 / 10.0;
            Row { name, subscribers, rate, offset: None }
        });
        let mut rows: Vec<_> = largest.collect();
        let offsets = rows.iter_mut().map(async |row| row.offset = self.offset(&row.name).await);
        // What is not told in time is left out.
        let _ = tokio::time::timeout(OFFSETS_MAX, futures_util::future::join_all(offsets)).await;
        Channels { rows, total }
    }

    async fn offset(&self, channel: &ChannelName) -> Option<u64> {
        let options = self.publisher.rules.options(channel).ok().filter(|options| options.has_history())?;
        let position = HistoryFilter { limit: Some(0), since: None, reverse: false };
        let answer: Answer<_> = self.publisher.broker.history(channel, options, position);
        Some(answer.await.ok()?.position.offset)
    }
}

/// Mounts the page and what it asks. The files that the page consists of are found by the app's default service.
pub fn configure(live: Arc<Live>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |service| {
        let config = live.config.clone();
        service.route("/", web::route().to(async |request: HttpRequest| assets::serve(&request, assets::INDEX)));
        service.route("/live/config.json", web::route().to(move |request: HttpRequest| std::future::ready(answer_config(&request, config.clone()))));
        service.route("/live/channels.json", web::route().to(move |request: HttpRequest| answer_channels(Arc::clone(&live), request)));
    }
}

fn answer_config(request: &HttpRequest, config: Bytes) -> HttpResponse {
    if !is_read(request) {
        return secured(respond::method_not_allowed("GET, HEAD"));
    }
    json(config)
}

async fn answer_channels(live: Arc<Live>, request: HttpRequest) -> HttpResponse {
    #[derive(Deserialize)]
    struct Query {
        limit: Option<usize>,
    }
    if !is_read(&request) {
        return secured(respond::method_not_allowed("GET, HEAD"));
    }
    let Ok(query) = web::Query::<Query>::from_query(request.query_string()) else {
        return secured(respond::text(StatusCode::BAD_REQUEST, "limit is a number of channels"));
    };
    let channels = live.channels().await;
    let limit = query.limit.unwrap_or(CHANNELS_DEFAULT).min(channels.rows.len());
    let mut out = respond::buffer();
    respond::write_json(&ChannelsAnswer { channels: &channels.rows[..limit], total: channels.total, time: live.clock.wall_ms() }, &mut out);
    json(out.freeze())
}

fn is_read(request: &HttpRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

fn json(body: Bytes) -> HttpResponse {
    let mut response = respond::json(StatusCode::OK, body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    secured(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Publish;
    use crate::channel::Payload;
    use crate::http::fixture::{Fixture, with_history};
    use actix_web::{App, test};
    use serde_json::{Value, json};

    fn open() -> ChannelOptions {
        ChannelOptions { allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true, ..with_history() }
    }

    fn demo() -> ChannelOptions {
        ChannelOptions { allow_publish_for_subscriber: true, allow_publish_for_anonymous: true, ..open() }
    }

    fn settings() -> LiveSettings {
        LiveSettings {
            websocket: "/connection/websocket".to_string(),
            api: "/api".to_string(),
            node: "hub".to_string(),
            version: "0.0.0".to_string(),
            has_demo: true,
            takes_anonymous: true,
            is_insecure: false,
        }
    }

    struct Page {
        fixture: Fixture,
        live: Arc<Live>,
    }

    impl Page {
        fn new(settings: &LiveSettings) -> Self {
            let members = ChannelOptions { allow_subscribe_for_anonymous: false, ..open() };
            let plain = ChannelOptions { history_size: 0, ..open() };
            let fixture = Fixture::new(&[("demo", demo()), ("open", open()), ("plain", plain), ("members", members)]);
            let live = Live::new(settings, fixture.publisher.clone(), Arc::clone(&fixture.topics), fixture.clock.clone());
            Self { fixture, live }
        }

        fn subscribe(&self, channel: &str, times: usize) {
            let audience = self.fixture.topics.attach(&channel.into(), 0);
            (0..times).for_each(|_| audience.joined());
        }

        fn publish(&self, channel: &str) {
            let publish = Publish { data: Payload::from_json(Bytes::from_static(b"1")), ..Publish::default() };
            let answer = self.fixture.publisher.publish(&channel.into(), publish);
            assert!(matches!(answer, Answer::Ready(Ok(_))));
        }

        async fn get(&self, path: &str) -> (StatusCode, String) {
            let service = test::init_service(App::new().configure(configure(Arc::clone(&self.live)))).await;
            let response = test::call_service(&service, test::TestRequest::get().uri(path).to_request()).await;
            let policy = response.headers().get("content-security-policy").map(|policy| policy.to_str().unwrap().to_string());
            assert!(policy.is_some_and(|policy| !policy.contains("unsafe")), "{path}");
            (response.status(), String::from_utf8(test::read_body(response).await.to_vec()).unwrap())
        }

        async fn json(&self, path: &str) -> Value {
            let (status, text) = self.get(path).await;
            assert_eq!(status, StatusCode::OK, "{text}");
            serde_json::from_str(&text).unwrap()
        }
    }

    #[actix_web::test]
    async fn the_page_is_told_where_to_connect_and_what_there_is() {
        let config = Page::new(&settings()).json("/live/config.json").await;
        let expected = json!({
            "websocket": "/connection/websocket", "node": "hub", "version": "0.0.0", "api": "/api",
            "demo": { "channel": "demo:pulse", "host": "demo:host" }, "chat": "demo:chat",
        });
        assert_eq!(config, expected);
        for settings in [LiveSettings { takes_anonymous: false, ..settings() }, LiveSettings { has_demo: false, ..settings() }] {
            let config = Page::new(&settings).json("/live/config.json").await;
            assert_eq!(config["demo"], Value::Null);
            assert_eq!(config["chat"].is_null(), !settings.takes_anonymous, "{config}");
        }
    }

    #[actix_web::test]
    async fn only_channels_that_are_open_to_everybody_are_shown() {
        let page = Page::new(&settings());
        for channel in ["open:a", "plain:b", "members:c", "$open:d", "none:e", "f"] {
            page.subscribe(channel, 1);
        }
        page.subscribe("open:a", 1);
        page.publish("open:a");
        let answer = page.json("/live/channels.json").await;
        let rows = json!([
            { "name": "open:a", "subscribers": 2, "rate": 0.3, "offset": 1 },
            { "name": "plain:b", "subscribers": 1, "rate": 0.0 },
        ]);
        assert_eq!(answer, json!({ "channels": rows, "total": 2, "time": 1_700_000_000_000u64 }));

        let nobody = Page::new(&LiveSettings { takes_anonymous: false, ..settings() });
        nobody.subscribe("open:a", 1);
        assert_eq!(nobody.json("/live/channels.json").await["total"], 0);
        let insecure = Page::new(&LiveSettings { takes_anonymous: false, is_insecure: true, ..settings() });
        insecure.subscribe("members:c", 1);
        assert_eq!(insecure.json("/live/channels.json").await["total"], 1);
    }

    #[actix_web::test]
    async fn the_busiest_channels_are_shown_and_all_are_counted() {
        let page = Page::new(&settings());
        for number in 0..CHANNELS_MAX + 10 {
            page.subscribe(&format!("open:{number:04}"), 1);
        }
        page.subscribe("open:0700", 5);
        let answer = page.json("/live/channels.json?limit=2").await;
        let names: Vec<_> = answer["channels"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["open:0700", "open:0000"]);
        assert_eq!(answer["total"], CHANNELS_MAX + 10);
        let count = async |path| page.json(path).await["channels"].as_array().unwrap().len();
        assert_eq!(count("/live/channels.json").await, CHANNELS_DEFAULT);
        assert_eq!(count("/live/channels.json?limit=0").await, 0);
        assert_eq!(count("/live/channels.json?limit=18446744073709551615").await, CHANNELS_MAX);
        for wrong in ["-1", "many", "1.5"] {
            assert_eq!(page.get(&format!("/live/channels.json?limit={wrong}")).await.0, StatusCode::BAD_REQUEST, "{wrong}");
        }
    }

    #[actix_web::test]
    async fn many_pages_cost_one_look_a_second() {
        let page = Page::new(&settings());
        assert_eq!(page.json("/live/channels.json").await["total"], 0);
        page.subscribe("open:a", 1);
        page.fixture.clock.advance(Duration::from_millis(FRESH_MS - 1));
        assert_eq!(page.json("/live/channels.json").await["total"], 0);
        page.fixture.clock.advance(Duration::from_millis(1));
        assert_eq!(page.json("/live/channels.json").await["total"], 1);
    }
}
