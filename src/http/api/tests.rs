use super::*;
use crate::auth::ApiKey;
use crate::broker::{Answer, Broker, BrokerError, History, HistoryFilter, Publish, Published};
use crate::channel::{ChannelName, ClientInfo, PresenceStats, PublicationDataFormat};
use crate::config::StoreConfig;
use crate::guard::limits::{LimitSettings, Limits};
use crate::http::fixture::{Fixture, with_history};
use crate::store::{self, Store};
use crate::upstream::PoolSettings;
use actix_http::Request;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::{App, Error, test};
use futures_util::FutureExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const KEY: &str = "s3cret-key";
const BODY_BYTES_MAX: usize = 8 * 1_024;

/// A store that knows no keys. It goes with its folder: nothing is asked of it that is not in memory.
fn store() -> Arc<dyn Store> {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig::default();
    store::open(&config, folder.path()).now_or_never().expect("a file is opened at once").unwrap()
}

fn api(key: Option<&str>, insecure: bool) -> Arc<ApiState> {
    let chat = ChannelOptions { presence: true, ..with_history() };
    let objects = ChannelOptions { publication_data_format: PublicationDataFormat::JsonObject, ..ChannelOptions::default() };
    let Fixture { publisher, topics, clock } = Fixture::new(&[("chat", chat), ("objects", objects)]);
    Arc::new(ApiState {
        prefix: "/api".to_string(),
        keys: Arc::new(ApiKeys::new(key.and_then(ApiKey::new), store(), clock.clone())),
        insecure,
        publisher,
        hub: Arc::new(Hub::default()),
        limits: Arc::new(Limits::new(&LimitSettings::default(), &clock)),
        topics,
        upstream: Upstream::new(PoolSettings::default(), &clock).unwrap(),
        metrics: None,
        node: NodeInfo { uid: "node-1".to_string(), name: "hub".to_string(), version: "0.0.0".to_string(), started: clock.now() - 90_500 },
        clock,
        body_bytes_max: BODY_BYTES_MAX,
        timeout: Duration::from_secs(5),
        description: Some(openapi::document("/api", None)),
    })
}

/// What came back: status, text.
async fn send(api: &Arc<ApiState>, request: test::TestRequest) -> (u16, String) {
    let service = test::init_service(App::new().configure(configure(Arc::clone(api)))).await;
    answer_of(&service, request.to_request()).await
}

async fn answer_of<B: MessageBody>(service: &impl Service<Request, Response = ServiceResponse<B>, Error = Error>, request: Request) -> (u16, String) {
    let response = test::call_service(service, request).await;
    let status = response.status().as_u16();
    (status, String::from_utf8(test::read_body(response).await.to_vec()).unwrap())
}

fn post(path: &str, body: impl Into<String>) -> test::TestRequest {
    test::TestRequest::post().uri(path).insert_header(("X-API-Key", KEY)).set_payload(body.into())
}

/// What `method` answers to `body`, epochs replaced by `E` because they are random.
async fn call(api: &Arc<ApiState>, method: &str, body: Value) -> Value {
    let (status, text) = send(api, post(&format!("/api/{method}"), body.to_string())).await;
    assert_eq!(status, 200, "{text}");
    let mut value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    hide_epochs(&mut value);
    value
}

fn hide_epochs(value: &mut Value) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| match value {
            Value::String(epoch) if name == "epoch" => *epoch = "E".to_string(),
            _ => hide_epochs(value),
        }),
        Value::Array(values) => values.iter_mut().for_each(hide_epochs),
        _ => {}
    }
}

fn error(code: ErrorCode) -> Value {
    json!({ "error": { "code": code.code, "message": code.message } })
}

#[actix_web::test]
async fn only_who_shows_the_key_may_call() {
    let with_key = api(Some(KEY), false);
    let info = || test::TestRequest::post().uri("/api/info").set_payload("{}");
    let cases = [
        ("no key", info(), 401),
        ("the key as header", info().insert_header(("x-api-key", KEY)), 200),
        ("another key", info().insert_header(("x-api-key", "other")), 401),
        ("an empty key", info().insert_header(("x-api-key", "")), 401),
        ("the key as authorization", info().insert_header(("authorization", format!("apikey {KEY}"))), 200),
        ("the scheme in other letters", info().insert_header(("authorization", format!("ApiKey {KEY}"))), 200),
        ("another scheme", info().insert_header(("authorization", format!("Bearer {KEY}"))), 401),
        ("a scheme alone", info().insert_header(("authorization", "apikey")), 401),
        ("the key in the query", info().uri(&format!("/api/info?a=b&api_key={KEY}")), 200),
        ("another key in the query", info().uri("/api/info?api_key=other"), 401),
        ("the header counts before the query", info().uri(&format!("/api/info?api_key={KEY}")).insert_header(("x-api-key", "other")), 401),
    ];
    for (name, request, status) in cases {
        let answer = send(&with_key, request).await;
        assert_eq!(answer.0, status, "{name}: {}", answer.1);
        assert!(status == 200 || answer.1.is_empty(), "{name}: {}", answer.1);
    }
    let without_key = api(None, false);
    assert_eq!(send(&without_key, info()).await, (401, String::new()));
    assert_eq!(send(&without_key, info().insert_header(("x-api-key", ""))).await.0, 401);
    assert_eq!(send(&api(None, true), info()).await.0, 200);
}

#[actix_web::test]
async fn requests_that_are_no_calls_are_answered_as_http_does() {
    let api = api(Some(KEY), false);
    let keyed = |request: test::TestRequest| request.insert_header(("x-api-key", KEY));
    let cases = [
        ("another HTTP method", keyed(test::TestRequest::get().uri("/api/info")), 405),
        ("a method that there is not", post("/api/nothing", "{}"), 404),
        ("no method", post("/api", "{}"), 404),
        ("no method behind the slash", post("/api/", "{}"), 404),
        ("a longer path", post("/api/publish/more", "{}"), 404),
        ("no JSON", post("/api/publish", "{\"channel\":"), 400),
        ("no body", post("/api/info", ""), 400),
        ("something behind the JSON", post("/api/info", "{}{}"), 400),
        ("not an object", post("/api/info", "1"), 400),
        ("a number for a text", post("/api/publish", r#"{"channel":1,"data":1}"#), 400),
        ("a text for a number", post("/api/publish", r#"{"channel":"a","data":1,"version":"1"}"#), 400),
        ("data that is not UTF-8", keyed(test::TestRequest::post().uri("/api/publish")).set_payload(&b"{\"data\":\"\xff\"}"[..]), 400),
        ("a body over the limit", post("/api/publish", format!("{{\"channel\":\"{}\"}}", "a".repeat(BODY_BYTES_MAX))), 413),
        ("a batch with a command that is no object", post("/api/batch", r#"{"commands":[1]}"#), 400),
        ("a batch with a malformed command", post("/api/batch", r#"{"commands":[{"publish":{"channel":1}}]}"#), 400),
    ];
    for (name, request, status) in cases {
        let answer = send(&api, request).await;
        assert_eq!(answer.0, status, "{name}: {}", answer.1);
        assert!(answer.1.ends_with('\n') && !answer.1.starts_with('{'), "{name}: {:?}", answer.1);
    }
    let (_, why) = send(&api, post("/api/publish", r#"{"channel":1}"#)).await;
    assert!(why.contains("publish") && why.contains("a text"), "{why}");
}

#[actix_web::test]
async fn a_body_in_pieces_is_put_together_and_counted() {
    async fn read_pieces(pieces: &'static [&'static [u8]], max: usize) -> Result<Bytes, Unread> {
        let stream = futures_util::stream::iter(pieces.iter().map(|piece| Ok(Bytes::from_static(piece))));
        let mut request = test::TestRequest::default().to_srv_request();
        request.set_payload(actix_web::dev::Payload::Stream { payload: Box::pin(stream) });
        let body = request.extract::<web::Payload>().await.unwrap();
        read(body, &HeaderMap::new(), max, Duration::from_secs(5)).await
    }
    assert_eq!(read_pieces(&[], 10).await, Ok(Bytes::new()));
    assert_eq!(read_pieces(&[b"0123456789"], 10).await, Ok(Bytes::from("0123456789")));
    assert_eq!(read_pieces(&[b"01234", b"567", b"89"], 10).await, Ok(Bytes::from("0123456789")));
    assert_eq!(read_pieces(&[b"0123456789a"], 10).await, Err(Unread::TooLarge { max: 10 }));
    assert_eq!(read_pieces(&[b"0123456789", b"a"], 10).await, Err(Unread::TooLarge { max: 10 }));
}

#[actix_web::test]
async fn a_body_that_does_not_come_is_waited_for_and_no_longer() {
    let never = futures_util::stream::pending::<Result<Bytes, actix_web::error::PayloadError>>();
    let mut request = test::TestRequest::default().to_srv_request();
    request.set_payload(actix_web::dev::Payload::Stream { payload: Box::pin(never) });
    let body = request.extract::<web::Payload>().await.unwrap();
    assert_eq!(read(body, &HeaderMap::new(), 10, Duration::from_millis(1)).await, Err(Unread::TooSlow));
}

#[actix_web::test]
async fn a_publication_gets_its_offset_and_its_bytes_stay_as_they_are() {
    let api = api(Some(KEY), false);
    let body = r#"{"channel":"chat:a","data":{"b":1.50, "a":[1e2,12345678901234567890123]},"tags":{"k":"v"},"unknown":1}"#;
    let (status, text) = send(&api, post("/api/publish", body)).await;
    assert_eq!(status, 200);
    assert!(text.starts_with(r#"{"result":{"offset":1,"epoch":""#), "{text}");
    assert_eq!(call(&api, "publish", json!({ "channel": "chat:a", "data": null })).await, json!({ "result": { "offset": 2, "epoch": "E" } }));
    assert_eq!(call(&api, "publish", json!({ "channel": "plain", "data": 1 })).await, json!({ "result": {} }));

    let (_, history) = send(&api, post("/api/history", r#"{"channel":"chat:a","limit":-1}"#)).await;
    let expected = r#"{"result":{"publications":[{"data":{"b":1.50, "a":[1e2,12345678901234567890123]},"offset":1,"tags":{"k":"v"}},{"data":null,"offset":2}],"epoch":"#;
    assert!(history.starts_with(expected), "{history}");
    assert!(history.ends_with(r#","offset":2}}"#), "{history}");
}

#[actix_web::test]
async fn a_publish_is_refused_for_a_reason() {
    let api = api(Some(KEY), false);
    let (bad, unknown) = (error(ErrorCode::BAD_REQUEST), error(ErrorCode::UNKNOWN_CHANNEL));
    let cases = [
        (json!({ "data": 1 }), &bad),
        (json!({ "channel": "", "data": 1 }), &bad),
        (json!({ "channel": null, "data": 1 }), &bad),
        (json!({ "channel": "a" }), &bad),
        (json!({ "channel": "none:a", "data": 1 }), &unknown),
        (json!({ "channel": "none:a" }), &unknown),
        (json!({ "channel": "a", "b64data": "?" }), &bad),
        (json!({ "channel": "a", "data": 1, "b64data": "?" }), &bad),
        (json!({ "channel": "objects:a", "data": 1 }), &bad),
        (json!({ "channel": "objects:a", "b64data": "/w==" }), &bad),
    ];
    for (body, expected) in cases {
        assert_eq!(&call(&api, "publish", body.clone()).await, expected, "{body}");
    }
    let (status, why) = send(&api, post("/api/publish", json!({ "channel": "a", "data": 1, "tags": many_tags(65) }).to_string())).await;
    assert_eq!(status, 400);
    assert!(why.contains("at most 64"), "{why}");
    assert_eq!(call(&api, "publish", json!({ "channel": "a", "data": 1, "tags": many_tags(64) })).await, json!({ "result": {} }));
}

fn many_tags(count: usize) -> Value {
    (0..count).map(|number| (number.to_string(), json!("v"))).collect::<serde_json::Map<_, _>>().into()
}

#[actix_web::test]
async fn bytes_that_are_not_json_are_published_and_read_in_base64() {
    let api = api(Some(KEY), false);
    call(&api, "publish", json!({ "channel": "chat:b", "data": 1, "b64data": "/w==" })).await;
    call(&api, "publish", json!({ "channel": "chat:b", "b64data": "eyJhIjoxfQ==" })).await;
    let history = call(&api, "history", json!({ "channel": "chat:b", "limit": 2 })).await;
    let publications = json!([{ "b64data": "/w==", "offset": 1 }, { "data": { "a": 1 }, "offset": 2 }]);
    assert_eq!(history, json!({ "result": { "publications": publications, "epoch": "E", "offset": 2 } }));
}

#[actix_web::test]
async fn publishing_twice_with_one_key_or_with_an_old_version_is_publishing_once() {
    let api = api(Some(KEY), false);
    let at = |offset: u64| json!({ "result": { "offset": offset, "epoch": "E" } });
    let keyed = json!({ "channel": "chat:c", "data": 1, "idempotency_key": "k" });
    assert_eq!(call(&api, "publish", keyed.clone()).await, at(1));
    assert_eq!(call(&api, "publish", json!({ "channel": "chat:c", "data": 2, "version": 7 })).await, at(2));
    assert_eq!(call(&api, "publish", keyed).await, at(1), "the first result again");
    assert_eq!(
        call(&api, "publish", json!({ "channel": "chat:c", "data": 3, "version": 7 })).await,
        at(2),
        "the top, since the version is not above"
    );
    assert_eq!(call(&api, "publish", json!({ "channel": "chat:c", "data": 4, "version": 1, "version_epoch": "new" })).await, at(3));
    assert_eq!(call(&api, "publish", json!({ "channel": "chat:c", "data": 5, "skip_history": true })).await, json!({ "result": {} }));
    let history = call(&api, "history", json!({ "channel": "chat:c", "limit": -1 })).await;
    let kept: Vec<_> = history["result"]["publications"].as_array().unwrap().iter().map(|publication| &publication["data"]).collect();
    assert_eq!(kept, [1, 2, 4]);
}

#[actix_web::test]
async fn a_broadcast_answers_for_each_channel_in_order() {
    let api = api(Some(KEY), false);
    let answer = call(&api, "broadcast", json!({ "channels": ["chat:d", "none:d", "", "plain", "chat:d"], "data": 1 })).await;
    let responses = json!([
        { "result": { "offset": 1, "epoch": "E" } },
        error(ErrorCode::UNKNOWN_CHANNEL),
        error(ErrorCode::BAD_REQUEST),
        { "result": {} },
        { "result": { "offset": 2, "epoch": "E" } },
    ]);
    assert_eq!(answer, json!({ "result": { "responses": responses } }));
    for body in
        [json!({ "channels": [], "data": 1 }), json!({ "data": 1 }), json!({ "channels": ["a"] }), json!({ "channels": ["a"], "b64data": "?" })]
    {
        assert_eq!(call(&api, "broadcast", body.clone()).await, error(ErrorCode::BAD_REQUEST), "{body}");
    }
}

#[actix_web::test]
async fn history_is_read_by_limit_position_and_direction() {
    let api = api(Some(KEY), false);
    for data in 1..=4 {
        call(&api, "publish", json!({ "channel": "chat:e", "data": data })).await;
    }
    let read = async |body: Value| {
        let answer = call(&api, "history", body).await;
        let publications = answer["result"]["publications"].as_array().unwrap_or_else(|| panic!("{answer}"));
        publications.iter().map(|publication| publication["offset"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(read(json!({ "channel": "chat:e" })).await, [0; 0]);
    assert_eq!(read(json!({ "channel": "chat:e", "limit": 2 })).await, [1, 2]);
    assert_eq!(read(json!({ "channel": "chat:e", "limit": -1 })).await, [1, 2, 3, 4]);
    assert_eq!(read(json!({ "channel": "chat:e", "limit": 2, "reverse": true })).await, [4, 3]);
    assert_eq!(read(json!({ "channel": "chat:e", "limit": 9, "since": { "offset": 2 } })).await, [3, 4]);
    let cases = [
        (json!({ "channel": "chat:e", "limit": 9, "since": { "offset": 2, "epoch": "none" } }), ErrorCode::UNRECOVERABLE_POSITION),
        (json!({ "channel": "chat:e", "reverse": true, "since": { "epoch": "x" } }), ErrorCode::BAD_REQUEST),
        (json!({ "channel": "plain" }), ErrorCode::NOT_AVAILABLE),
        (json!({ "channel": "none:e" }), ErrorCode::UNKNOWN_CHANNEL),
        (json!({}), ErrorCode::BAD_REQUEST),
    ];
    for (body, code) in cases {
        assert_eq!(call(&api, "history", body.clone()).await, error(code), "{body}");
    }
    assert_eq!(call(&api, "history_remove", json!({ "channel": "chat:e" })).await, json!({ "result": {} }));
    let empty = json!({ "result": { "publications": [], "epoch": "E", "offset": 4 } });
    assert_eq!(call(&api, "history", json!({ "channel": "chat:e", "limit": -1 })).await, empty);
    assert_eq!(call(&api, "history_remove", json!({ "channel": "plain" })).await, error(ErrorCode::NOT_AVAILABLE));
}

#[actix_web::test]
async fn presence_is_told_with_what_is_known_of_each_client() {
    let api = api(Some(KEY), false);
    let none = json!({ "result": { "presence": {} } });
    assert_eq!(call(&api, "presence", json!({ "channel": "chat:f" })).await, none);
    let (ada, bob) = (SessionId::random(), SessionId::random());
    let conn_info = Bytes::from_static(br#"{"name": "Ada"}"#);
    for (user, client, conn_info, chan_info) in [("42", ada, conn_info, Bytes::new()), ("", bob, Bytes::new(), Bytes::from_static(b"\xff"))] {
        let info = Arc::new(ClientInfo { user: user.into(), client, conn_info, chan_info });
        api.publisher.broker.add_presence(&"chat:f".into(), info).await.unwrap();
    }
    let (ada, bob) = (ada.to_string(), bob.to_string());
    let presence = json!({
        &ada: { "user": "42", "client": &ada, "conn_info": { "name": "Ada" } },
        &bob: { "user": "", "client": &bob, "b64chan_info": "/w==" },
    });
    assert_eq!(call(&api, "presence", json!({ "channel": "chat:f" })).await, json!({ "result": { "presence": presence } }));
    assert_eq!(call(&api, "presence_stats", json!({ "channel": "chat:f" })).await, json!({ "result": { "num_clients": 2, "num_users": 2 } }));
    for method in ["presence", "presence_stats"] {
        for (channel, code) in [("plain", ErrorCode::NOT_AVAILABLE), ("none:f", ErrorCode::UNKNOWN_CHANNEL), ("", ErrorCode::BAD_REQUEST)] {
            assert_eq!(call(&api, method, json!({ "channel": channel })).await, error(code), "{method} {channel:?}");
        }
    }
}

#[actix_web::test]
async fn telling_nobody_succeeds_and_telling_all_anonymous_ones_does_not() {
    let api = api(Some(KEY), false);
    let done = json!({ "result": {} });
    let (bad, unknown) = (error(ErrorCode::BAD_REQUEST), error(ErrorCode::UNKNOWN_CHANNEL));
    let somebody = SessionId::random().to_string();
    let cases = [
        ("subscribe", json!({ "user": "42", "channel": "chat:g" }), &done),
        ("subscribe", json!({ "user": "42" }), &bad),
        ("subscribe", json!({ "channel": "chat:g" }), &bad),
        ("subscribe", json!({ "user": "42", "channel": "none:g" }), &unknown),
        ("subscribe", json!({ "user": "42", "channel": "chat:g", "b64info": "?" }), &bad),
        ("unsubscribe", json!({ "user": "42" }), &done),
        ("unsubscribe", json!({ "user": "42", "channel": "chat:g" }), &done),
        ("unsubscribe", json!({ "user": "42", "channel": "none:g" }), &unknown),
        ("unsubscribe", json!({}), &bad),
        ("disconnect", json!({ "user": "42" }), &done),
        ("disconnect", json!({ "client": somebody }), &done),
        ("disconnect", json!({ "client": "not an id" }), &done),
        ("disconnect", json!({}), &bad),
        ("disconnect", json!({ "user": "42", "disconnect": { "code": 4501, "reason": "r".repeat(123) } }), &done),
        ("disconnect", json!({ "user": "42", "disconnect": { "code": 4501, "reason": "r".repeat(124) } }), &bad),
        ("disconnect", json!({ "user": "42", "disconnect": { "code": 1005 } }), &bad),
        ("disconnect", json!({ "user": "42", "disconnect": { "code": 5000 } }), &bad),
        ("refresh", json!({ "user": "42", "expired": true }), &done),
        ("refresh", json!({}), &bad),
        ("rpc", json!({ "method": "x" }), &error(ErrorCode::NOT_FOUND)),
    ];
    for (method, body, expected) in cases {
        assert_eq!(&call(&api, method, body.clone()).await, expected, "{method} {body}");
    }
}

#[actix_web::test]
async fn a_node_tells_of_itself() {
    let api = api(Some(KEY), false);
    let node = json!({
        "uid": "node-1", "name": "hub", "version": "0.0.0",
        "num_clients": 0, "num_users": 0, "num_subs": 0, "num_channels": 0, "uptime": 90,
    });
    assert_eq!(call(&api, "info", json!({})).await, json!({ "result": { "nodes": [node] } }));
}

#[actix_web::test]
async fn channels_are_told_as_long_as_they_have_subscribers() {
    let api = api(Some(KEY), false);
    api.topics.attach(&"chat:h".into(), 0);
    assert_eq!(call(&api, "channels", json!({})).await, json!({ "result": { "channels": {} } }));
    let audience = api.topics.attach(&"chat:i".into(), 0);
    audience.joined();
    api.topics.attach(&"chat:i".into(), 1).joined();
    api.topics.attach(&"plain".into(), 0).joined();
    let chat = json!({ "result": { "channels": { "chat:i": { "num_clients": 2 } } } });
    assert_eq!(call(&api, "channels", json!({ "pattern": "chat:*" })).await, chat);
    for (pattern, found) in [("", 2), ("*", 2), ("p?ain", 1), ("{plain,chat:?}", 2), ("chat", 0), ("[a-c]hat:i", 1)] {
        let answer = call(&api, "channels", json!({ "pattern": pattern })).await;
        assert_eq!(answer["result"]["channels"].as_object().unwrap().len(), found, "{pattern:?}: {answer}");
    }
    let node = call(&api, "info", json!({})).await["result"]["nodes"][0].clone();
    assert_eq!((node["num_channels"].as_u64(), node["num_subs"].as_u64()), (Some(2), Some(3)), "{node}");
    audience.left();
    api.topics.attach(&"chat:i".into(), 0).left();
    assert_eq!(call(&api, "channels", json!({ "pattern": "chat:*" })).await, json!({ "result": { "channels": {} } }));
    assert_eq!(call(&api, "channels", json!({ "pattern": "[" })).await, error(ErrorCode::BAD_REQUEST));
    assert_eq!(call(&api, "channels", json!({ "pattern": "*".repeat(1_025) })).await, error(ErrorCode::BAD_REQUEST));
}

#[actix_web::test]
async fn channels_come_page_by_page_where_that_is_asked_for() {
    let api = api(Some(KEY), false);
    for channel in ["chat:c", "chat:a", "plain", "chat:b", "chat:e"] {
        api.topics.attach(&channel.into(), 0).joined();
    }
    // Somebody is attached, and nobody subscribed.
    api.topics.attach(&"chat:d".into(), 0);
    for (asked, found, next) in [
        (json!({ "limit": 2 }), &["chat:a", "chat:b"][..], json!("chat:b")),
        (json!({ "limit": 2, "after": "chat:b" }), &["chat:c", "chat:e"], json!("chat:e")),
        (json!({ "limit": 2, "after": "chat:e" }), &["plain"], Value::Null),
        (json!({ "limit": 2, "after": "plain" }), &[], Value::Null),
        (json!({ "limit": 2, "after": "chat:bb", "pattern": "chat:?" }), &["chat:c", "chat:e"], Value::Null),
        (json!({ "limit": 1, "pattern": "*:[b-c]" }), &["chat:b"], json!("chat:b")),
        (json!({ "limit": null, "after": null, "pattern": "pl*" }), &["plain"], Value::Null),
        (json!({ "limit": 10_000 }), &["chat:a", "chat:b", "chat:c", "chat:e", "plain"], Value::Null),
    ] {
        let answer = call(&api, "channels", asked.clone()).await;
        let names: Vec<_> = answer["result"]["channels"].as_object().unwrap().keys().cloned().collect();
        assert_eq!((names, &answer["result"]["next"]), (found.iter().map(ToString::to_string).collect(), &next), "{asked}");
    }
    for refused in [json!({ "limit": 10_001 }), json!({ "after": "chat:a" }), json!({ "limit": 0, "after": "chat:a" })] {
        assert_eq!(call(&api, "channels", refused.clone()).await, error(ErrorCode::BAD_REQUEST), "{refused}");
    }
}

#[actix_web::test]
async fn a_batch_replies_command_by_command_unwrapped() {
    let api = api(Some(KEY), false);
    for parallel in [false, true] {
        let channel = format!("chat:batch-{parallel}");
        let commands = json!([
            { "publish": { "channel": channel, "data": 1 } },
            { "publish": { "channel": channel, "data": 2 } },
            { "unknown": {} },
            { "batch": { "commands": [] } },
            {},
            { "publish": { "channel": "none:a", "data": 1 } },
            { "unknown": {}, "presence_stats": { "channel": channel } },
            { "rpc": { "method": "x" } },
        ]);
        let answer = call(&api, "batch", json!({ "commands": commands, "parallel": parallel })).await;
        let replies = json!([
            { "publish": { "offset": 1, "epoch": "E" } },
            { "publish": { "offset": 2, "epoch": "E" } },
            error(ErrorCode::NOT_FOUND),
            error(ErrorCode::NOT_FOUND),
            error(ErrorCode::NOT_FOUND),
            error(ErrorCode::UNKNOWN_CHANNEL),
            { "presence_stats": { "num_clients": 0, "num_users": 0 } },
            error(ErrorCode::NOT_FOUND),
        ]);
        assert_eq!(answer, json!({ "replies": replies }));
    }
    assert_eq!(call(&api, "batch", json!({})).await, json!({ "replies": [] }));
    let (status, why) = send(&api, post("/api/batch", json!({ "commands": vec![json!({}); 1_001] }).to_string())).await;
    assert_eq!(status, 400);
    assert!(why.contains("at most 1000"), "{why}");
    assert_eq!(call(&api, "batch", json!({ "commands": vec![json!({}); 1_000] })).await["replies"].as_array().unwrap().len(), 1_000);
}

#[actix_web::test]
async fn errors_come_as_statuses_where_they_are_asked_for_so() {
    let api = api(Some(KEY), false);
    let transport = |request: test::TestRequest| request.insert_header(("X-Centrifugo-Error-Mode", "transport"));
    let cases = [
        ("publish", json!({ "channel": "none:a", "data": 1 }), 404, ErrorCode::UNKNOWN_CHANNEL),
        ("publish", json!({}), 400, ErrorCode::BAD_REQUEST),
        ("history", json!({ "channel": "plain" }), 400, ErrorCode::NOT_AVAILABLE),
        ("history", json!({ "channel": "chat:i", "since": { "offset": 1, "epoch": "none" } }), 416, ErrorCode::UNRECOVERABLE_POSITION),
        ("rpc", json!({}), 404, ErrorCode::NOT_FOUND),
    ];
    for (method, body, status, code) in cases {
        let answer = send(&api, transport(post(&format!("/api/{method}"), body.to_string()))).await;
        assert_eq!(answer, (status, json!({ "code": code.code, "message": code.message }).to_string()), "{method} {body}");
    }
    let answer = send(&api, transport(post("/api/publish", r#"{"channel":"a","data":1}"#))).await;
    assert_eq!(answer, (200, r#"{"result":{}}"#.to_string()));
}

#[actix_web::test]
async fn every_method_is_counted_under_its_own_name() {
    let names: Vec<_> = Method::ALL.iter().map(|method| method.name()).chain([batch::NAME]).collect();
    assert_eq!(names, crate::telemetry::api::METHODS);
    for method in Method::ALL {
        assert_eq!(Method::find(method.name()), Some(*method));
    }
}

/// All objects in `value` that refer to a schema.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| match value {
            Value::String(reference) if name == "$ref" => found.push(reference),
            _ => references(value, found),
        }),
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[actix_web::test]
async fn the_description_has_every_method_and_error_and_nothing_dangling() {
    let description: Value = serde_json::from_slice(&openapi::document("/prefix", None)).unwrap();
    let mut described: Vec<_> = description["paths"].as_object().unwrap().keys().map(|path| path.strip_prefix("/prefix/").unwrap()).collect();
    let mut methods: Vec<_> = Method::ALL.iter().map(|method| method.name()).chain([batch::NAME]).collect();
    described.sort_unstable();
    methods.sort_unstable();
    assert_eq!(described, methods);

    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(found.len() > 30, "{found:?}");
    for reference in found {
        let schema = description.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} is not there"));
        assert!(schema.is_object(), "{reference}");
    }
    let text = description["info"]["description"].as_str().unwrap();
    for code in [100, 102, 104, 106, 107, 108, 112] {
        assert!(text.contains(&format!("| {code} |")), "{code}");
    }
    assert!(description["paths"]["/prefix/upstream_report"]["get"]["responses"]["200"]["content"]["text/html"].is_object());
    assert_eq!(description["paths"]["/prefix/report"]["get"]["operationId"], "report_page");
    let publish = &description["components"]["schemas"]["PublishRequest"];
    assert_eq!(publish["required"], json!(["channel"]));
    assert_eq!(publish["properties"]["version"]["type"], "integer");
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
            let is_self_explaining = ["channel", "code", "message", "offset"].contains(&member.as_str());
            let is_referred = schema.get("$ref").is_some() || schema.get("oneOf").is_some();
            assert!(is_self_explaining || is_referred || schema.get("description").is_some(), "{name}.{member} is not explained: {schema}");
        }
    }
}

#[actix_web::test]
async fn accounts_are_described_where_there_are_any() {
    let description: Value = serde_json::from_slice(&openapi::document("/api", Some("/auth"))).unwrap();
    let paths = description["paths"].as_object().unwrap();
    let mut described = BTreeSet::new();
    for (path, item) in paths.iter().filter_map(|(path, item)| Some((path.strip_prefix("/auth/")?, item))) {
        for (method, operation) in item.as_object().unwrap() {
            described.insert(format!("{method} {path}"));
            let is_public = path == "login";
            assert_eq!(operation["security"] == json!([]), is_public, "{path}: {operation}");
            assert!(operation["responses"]["503"].is_object() && operation["description"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
            if method == "post" {
                assert!(operation["requestBody"]["content"]["application/json"]["example"].is_object(), "{path} has no example");
            }
        }
    }
    let expected = [
        "delete sessions/{id}",
        "get me",
        "get sessions",
        "post login",
        "post logout",
        "post logout-everywhere",
        "post password",
        "post subscription-token",
        "post token",
    ];
    assert_eq!(described, expected.map(String::from).into());
    let mut found = Vec::new();
    references(&description, &mut found);
    for reference in found {
        assert!(description.pointer(reference.trim_start_matches('#')).is_some(), "{reference} is not there");
    }
}

#[actix_web::test]
async fn the_examples_of_the_description_are_taken_and_given() {
    let api = api(Some(KEY), false);
    let description: Value = serde_json::from_slice(&openapi::document("/api", None)).unwrap();
    let schemas = &description["components"]["schemas"];
    for (path, item) in description["paths"].as_object().unwrap() {
        let example = &item["post"]["requestBody"]["content"]["application/json"]["example"];
        assert!(example.is_object(), "{path} has no example");
        let schema = &item["post"]["requestBody"]["content"]["application/json"]["schema"];
        let schema = schema["$ref"].as_str().and_then(|reference| description.pointer(&reference[1..])).unwrap_or(schema);
        for member in example.as_object().unwrap().keys() {
            assert!(schema["properties"].get(member).is_some(), "{path}: {member} is not described");
        }
        let (status, answer) = send(&api, post(path, example.to_string())).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
    for (method, schema, example) in [
        ("publish", "PublishResult", publish::EXAMPLE_RESULT),
        ("presence_stats", "PresenceStatsResult", presence_stats::EXAMPLE_RESULT),
        ("history", "HistoryResult", history::EXAMPLE_RESULT),
        ("info", "InfoResult", info::EXAMPLE_RESULT),
        ("report", "ReportResult", report::EXAMPLE_RESULT),
        ("channels", "ChannelsResult", channels::EXAMPLE_RESULT),
        ("presence", "PresenceResult", presence::EXAMPLE_RESULT),
        ("broadcast", "BroadcastResult", broadcast::EXAMPLE_RESULT),
    ] {
        let example: Value = serde_json::from_str(example).unwrap();
        for member in example.as_object().unwrap().keys() {
            assert!(schemas[schema]["properties"].get(member).is_some(), "{method}: {member} is not described");
        }
    }
}

#[actix_web::test]
async fn the_description_needs_no_key_and_is_there_only_where_it_is_wanted() {
    let mut api = api(Some(KEY), false);
    let get = |path: &str| test::TestRequest::get().uri(path);
    let (status, text) = send(&api, get("/api/openapi.json")).await;
    assert_eq!((status, serde_json::from_str::<Value>(&text).unwrap()["openapi"].as_str()), (200, Some("3.1.0")));
    let (status, page) = send(&api, get("/api/docs")).await;
    assert_eq!(status, 200);
    assert!(!page.contains("://") && !page.contains("<style") && !page.contains("style=") && !page.contains("<script>"), "{page}");
    assert_eq!(send(&api, get("/api/docs/start.js")).await.0, 200);
    assert_eq!(send(&api, get("/api/docs/../index.html")).await.0, 404);
    assert_eq!(send(&api, post("/api/docs", "{}")).await.0, 405);
    Arc::get_mut(&mut api).unwrap().description = None;
    for path in ["/api/openapi.json", "/api/docs", "/api/docs/start.js", "/api/docs/swagger-ui.css"] {
        assert_eq!(send(&api, get(path)).await.0, 404, "{path}");
    }
}

/// A broker on a network that swallows everything.
struct Silent;

fn never<T: Send + 'static>() -> Answer<T> {
    Answer::Later(Box::pin(std::future::pending()))
}

impl Broker for Silent {
    fn publish(&self, _: &ChannelName, _: &ChannelOptions, _: Publish) -> Answer<Result<Published, BrokerError>> {
        never()
    }
    fn join(&self, _: &ChannelName, _: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        never()
    }
    fn leave(&self, _: &ChannelName, _: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        never()
    }
    fn history(&self, _: &ChannelName, _: &ChannelOptions, _: HistoryFilter) -> Answer<Result<History, BrokerError>> {
        never()
    }
    fn remove_history(&self, _: &ChannelName) -> Answer<Result<(), BrokerError>> {
        never()
    }
    fn add_presence(&self, _: &ChannelName, _: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        never()
    }
    fn remove_presence(&self, _: &ChannelName, _: SessionId) -> Answer<Result<(), BrokerError>> {
        never()
    }
    fn presence(&self, _: &ChannelName) -> Answer<Result<Vec<Arc<ClientInfo>>, BrokerError>> {
        never()
    }
    fn presence_stats(&self, _: &ChannelName) -> Answer<Result<PresenceStats, BrokerError>> {
        never()
    }
}

#[actix_web::test]
async fn a_broker_that_does_not_answer_is_not_waited_for_longer_than_allowed() {
    let mut api = api(Some(KEY), false);
    let changed = Arc::get_mut(&mut api).unwrap();
    changed.publisher.broker = Arc::new(Silent);
    changed.timeout = Duration::from_millis(5);
    let internal = error(ErrorCode::INTERNAL);
    assert_eq!(call(&api, "publish", json!({ "channel": "chat:a", "data": 1 })).await, internal);
    assert_eq!(call(&api, "broadcast", json!({ "channels": ["chat:a", "chat:b"], "data": 1 })).await, internal);
    let publish = json!({ "publish": { "channel": "chat:a", "data": 1 } });
    let commands = json!([publish, { "info": {} }, publish]);
    for parallel in [false, true] {
        let replies = call(&api, "batch", json!({ "commands": commands, "parallel": parallel })).await["replies"].clone();
        assert_eq!((&replies[0], &replies[2]), (&internal, &internal), "{replies}");
        assert!(replies[1].get("info").is_some(), "what needs no broker is answered: {replies}");
    }
}

#[actix_web::test]
async fn reports_of_the_feeds_are_json_for_programs_and_pages_for_people() {
    let api = api(Some(KEY), false);
    assert_eq!(call(&api, "upstream_report", json!({ "period": "day" })).await, error(ErrorCode::NOT_FOUND), "nothing was noted yet");
    assert_eq!(send(&api, post("/api/upstream_report", r#"{"period":"year"}"#)).await.0, 400);
    let get = |query: &str| test::TestRequest::get().uri(&format!("/api/upstream_report{query}"));
    let keyed = |query: &str| get(query).insert_header(("x-api-key", KEY));
    for (name, request, status) in [
        ("no key", get("?period=week"), 401),
        ("nothing noted", keyed("?period=week&back=1"), 404),
        ("no period", keyed(""), 400),
        ("another period", keyed("?period=year"), 400),
        ("another method", test::TestRequest::put().uri("/api/upstream_report").insert_header(("x-api-key", KEY)), 405),
    ] {
        let (got, text) = send(&api, request).await;
        assert_eq!(got, status, "{name}: {text}");
    }
    // Of the whole hub there are none here, where nothing is measured.
    assert_eq!(call(&api, "report", json!({ "period": "day" })).await, error(ErrorCode::NOT_AVAILABLE));
    let (status, text) = send(&api, test::TestRequest::get().uri("/api/report?period=week").insert_header(("x-api-key", KEY))).await;
    assert!(status == 404 && text.contains("nothing to report on"), "{status} {text}");
}
