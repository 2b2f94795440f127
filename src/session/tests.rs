//! Sessions on a real socket pair, with a real worker, broker and topics, and time that the tests move.

use super::facts::{Peer, Transport, device};
use super::hub::{Hub, SessionQuery};
use super::procedures::{CallError, Caller, Procedures};
use super::worker::{Shared, Worker};
use super::{Connection, Disconnected, Goodbye, Opening, Source};
use crate::auth::{Algorithm, Blocks, MintConnection, TokenKey, TokenSettings, TokenSigner, TokenVerifier};
use crate::broker::{Answer, Broker, IDEMPOTENCY_TTL, MemoryBroker, MemoryBrokerSettings, Publisher};
use crate::channel::{ChannelOptions, ChannelRules, NameSyntax};
use crate::clock::Clock;
use crate::config::Config;
use crate::guard::Ticket;
use crate::guard::admission::Admission;
use crate::guard::limits::Limits;
use crate::guard::reaper::Watches;
use crate::outbox::{Outbox, OutboxLimits, Socket};
use crate::protocol::centrifuge::{Codec, Wire};
use crate::protocol::codes::{Disconnect, ErrorCode};
use crate::store::{Block, BlockKind};
use crate::topic::TopicSettings;
use crate::topic::fanout::Fan;
use crate::topic::registry::Topics;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const WALL_MS: i64 = 1_800_000_000_000;
const SECRET: &[u8] = b"the secret of these tests";

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// Procedures that answer when the test says so.
#[derive(Default)]
struct Slow {
    gate: Arc<Notify>,
}

impl Procedures for Slow {
    fn call(&self, caller: Caller, method: String, data: Bytes) -> Answer<Result<Bytes, CallError>> {
        match method.as_str() {
            "echo" => Answer::Ready(Ok(data)),
            "who" => Answer::Ready(Ok(Bytes::from(
                json!({ "user": caller.user.as_str(), "address": caller.address, "jti": caller.jti.as_deref() }).to_string(),
            ))),
            "refused" => Answer::Ready(Err(CallError::new(ErrorCode::PERMISSION_DENIED, "operators only"))),
            "slow" => {
                let gate = Arc::clone(&self.gate);
                Answer::Later(Box::pin(async move {
                    gate.notified().await;
                    Ok(Bytes::from_static(b"\"late\""))
                }))
            }
            "never" => Answer::Later(Box::pin(std::future::pending())),
            _ => Answer::Ready(Err(ErrorCode::METHOD_NOT_FOUND.into())),
        }
    }

    fn may_watch(&self, _: &Caller, _: &str) -> bool {
        false
    }

    fn watches(&self, _: &Caller, _: &str) {}
}

struct House {
    worker: Rc<Worker>,
    hub: Arc<Hub>,
    clock: Clock,
    gate: Arc<Notify>,
    blocks: Arc<Blocks>,
    _store: tempfile::TempDir,
}

impl House {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let clock = Clock::manual(WALL_MS);
        let rules = Arc::new(
            ChannelRules::new(NameSyntax::default(), ChannelOptions { allow_subscribe_for_client: true, ..ChannelOptions::default() }, Vec::new())
                .unwrap(),
        );
        let settings = TopicSettings { linger_ms: 1_000, queue_bytes_max: 1 << 20, broker_ms_max: 1_000, patterns_max: 100 };
        let topics = Topics::new(vec![actix::Arbiter::current()], Arc::clone(&rules), settings, &clock);
        let settings = MemoryBrokerSettings {
            history_bytes_max: 1 << 20,
            streams_max: 1_000,
            idempotency_keys_max: 1_000,
            idempotency_ttl: IDEMPOTENCY_TTL,
            history_meta_ttl: config.channel.history_meta_ttl,
        };
        let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::new(settings, clock.clone(), Arc::clone(&topics) as _));
        topics.plug_in(Arc::clone(&broker));
        let tokens = TokenSettings { keys: vec![TokenKey::hmac(String::from_utf8(SECRET.to_vec()).unwrap())], ..TokenSettings::default() };
        let tokens = Arc::new(TokenVerifier::new(&tokens).unwrap());
        let (hub, slow) = (Arc::new(Hub::default()), Slow::default());
        let gate = Arc::clone(&slow.gate);
        let directory = tempfile::tempdir().unwrap();
        let store = crate::store::open(&config.store, directory.path()).await.unwrap();
        let blocks = Arc::new(Blocks::new(store, clock.clone()));
        let shared = Shared {
            settings: Arc::new(crate::app::settings::session(&config, "node")),
            publisher: Publisher { rules, content: Arc::default(), broker },
            tokens: Arc::clone(&tokens),
            subscription_tokens: tokens,
            hub: Arc::clone(&hub),
            blocks: Arc::clone(&blocks),
            limits: Arc::new(Limits::new(&crate::app::settings::limits(&config), &clock)),
            procedures: Arc::new(slow),
            hooks: None,
            events: None,
            maintenance: Arc::default(),
            clock: clock.clone(),
        };
        let outbox = OutboxLimits { bytes_max: 1 << 20, age_ms_max: 30_000, close_ms_max: 5_000 };
        let worker = Worker::start(shared, Fan::new(0, &topics, &clock), outbox);
        Self { worker, hub, clock, gate, blocks, _store: directory }
    }

    async fn client(&self, token: &str) -> Client {
        let mut client = self.open().await;
        let reply = client.call(json!({ "connect": { "token": token } })).await;
        assert!(reply.get("connect").is_some(), "{reply}");
        client
    }

    /// What a client that is not let in is told.
    async fn refused(&self, token: &str) -> Value {
        let mut client = self.open().await;
        client.send(json!({ "connect": { "token": token } })).await;
        client.message().await
    }

    async fn open(&self) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (socket, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (accepted, peer) = accepted.unwrap();
        let ticket = Ticket::new(Arc::new(Watches::default()).watch(accepted.as_raw_fd()), Admission::new(10, 0).admit(peer.ip()).unwrap());
        let (reader, writer) = accepted.into_split();
        let outbox = Outbox::new(Socket::Plain(writer), ticket, Wire::WebsocketJson, Rc::clone(&self.worker.outbox_limits), self.clock.clone());
        let peer = Peer { address: peer.ip(), device: device(b"a test"), transport: Transport::Websocket, codec: Codec::Json, headers: None };
        let (source, read_ahead) = (Source::Plain(reader), BytesMut::new());
        super::start(&self.worker, Connection { source, outbox, read_ahead, pings_by_frame: false, peer, opening: Opening::Nothing });
        Client { socket: socket.unwrap(), unread: BytesMut::new(), messages: VecDeque::new(), last_id: 0 }
    }
}

fn token(user: &str, jti: &str) -> String {
    let mint = MintConnection { user, expires_at: Some(WALL_MS / 1_000 + 600), ..MintConnection::default() };
    let mut claims = serde_json::to_value(&mint).unwrap();
    claims["jti"] = jti.into();
    TokenSigner::hmac(SECRET, Algorithm::HS256).unwrap().sign(&claims).unwrap()
}

/// The other end of the socket pair: masks by zeros, reads what is not masked.
struct Client {
    socket: TcpStream,
    unread: BytesMut,
    messages: VecDeque<Value>,
    last_id: u32,
}

impl Client {
    async fn send(&mut self, mut command: Value) -> u32 {
        self.last_id += 1;
        command["id"] = self.last_id.into();
        let payload = command.to_string();
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(payload.as_bytes());
        self.socket.write_all(&frame).await.unwrap();
        self.last_id
    }

    async fn call(&mut self, command: Value) -> Value {
        let id = self.send(command).await;
        let reply = self.message().await;
        assert_eq!(reply["id"], id, "{reply}");
        reply
    }

    /// The next message that is no ping; the end of the connection as `{"close": code}`.
    async fn message(&mut self) -> Value {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return message;
            }
            if let Some(frame) = self.frame() {
                self.messages.extend(frame);
                continue;
            }
            let read = tokio::time::timeout(DEADLINE, self.socket.read_buf(&mut self.unread)).await;
            assert!(read.expect("the hub should have said something").unwrap() > 0, "the hub hung up without a word");
        }
    }

    fn frame(&mut self) -> Option<Vec<Value>> {
        let [opcode, short, ..] = self.unread[..] else { return None };
        let (start, len) = match short {
            126 if self.unread.len() >= 4 => (4, usize::from(u16::from_be_bytes([self.unread[2], self.unread[3]]))),
            126 => return None,
            short => (2, usize::from(short)),
        };
        if self.unread.len() < start + len {
            return None;
        }
        let frame = self.unread.split_to(start + len);
        let payload = &frame[start..];
        if opcode == 0x88 {
            return Some(vec![json!({ "close": u16::from_be_bytes([payload[0], payload[1]]) })]);
        }
        let messages = payload.split(|byte| *byte == b'\n').map(|message| serde_json::from_slice(message).unwrap());
        Some(messages.filter(|message| *message != json!({})).collect())
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let waiting = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "{what} did not come");
}

#[actix_rt::test]
async fn a_call_is_answered_by_whoever_is_plugged_in() {
    let house = House::new(|_| {}).await;
    let mut client = house.client(&token("alice", "t1")).await;
    assert_eq!(client.call(json!({ "rpc": { "method": "echo", "data": { "a": 1 } } })).await["rpc"], json!({ "data": { "a": 1 } }));
    let who = client.call(json!({ "rpc": { "method": "who" } })).await;
    assert_eq!(who["rpc"]["data"], json!({ "user": "alice", "address": "127.0.0.1", "jti": "t1" }));
    let refused = client.call(json!({ "rpc": { "method": "refused" } })).await;
    assert_eq!(refused["error"], json!({ "code": 103, "message": "operators only" }));
    assert_eq!(client.call(json!({ "rpc": { "method": "unheard" } })).await["error"], json!({ "code": 104, "message": "method not found" }));
}

#[actix_rt::test]
async fn a_late_answer_holds_nobody_back_and_calls_under_way_are_bounded() {
    let house = House::new(|config| config.client.rpc_limit = 2).await;
    let mut client = house.client(&token("alice", "t1")).await;
    let first = client.send(json!({ "rpc": { "method": "slow" } })).await;
    let second = client.send(json!({ "rpc": { "method": "slow" } })).await;
    assert_eq!(client.call(json!({ "rpc": { "method": "slow" } })).await["error"]["code"], 111);
    assert!(client.call(json!({ "subscribe": { "channel": "a" } })).await.get("subscribe").is_some(), "other commands go on");
    house.gate.notify_waiters();
    let mut answers = [client.message().await, client.message().await];
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(answers, [first, second].map(|id| json!({ "id": id, "rpc": { "data": "late" } })));
    let third = client.send(json!({ "rpc": { "method": "slow" } })).await;
    house.gate.notify_one();
    assert_eq!(client.message().await["id"], third, "there is room again");
}

#[actix_rt::test]
async fn a_call_that_is_never_answered_ends_by_its_deadline() {
    let house = House::new(|config| config.client.rpc_timeout = crate::units::HumanDuration::from_ms(50)).await;
    let mut client = house.client(&token("alice", "t1")).await;
    let late = client.call(json!({ "rpc": { "method": "never" } })).await;
    assert_eq!(late["error"], json!({ "code": 100, "message": "the procedure did not answer in time", "temporary": true }));
}

#[actix_rt::test]
async fn who_waits_for_an_answer_is_told_goodbye_after_it() {
    let house = House::new(|_| {}).await;
    let mut client = house.client(&token("alice", "t1")).await;
    let first = client.send(json!({ "rpc": { "method": "slow" } })).await;
    client.call(json!({ "subscribe": { "channel": "a" } })).await;
    house.hub.of_token("t1")[0].addr.send(Goodbye).await.unwrap();
    house.gate.notify_one();
    assert_eq!(client.message().await, json!({ "id": first, "rpc": { "data": "late" } }));
    assert_eq!(client.message().await, json!({ "close": Disconnect::SHUTDOWN.code }));
    let mut other = house.client(&token("bob", "t2")).await;
    house.hub.of_token("t2")[0].addr.do_send(Goodbye);
    assert_eq!(other.message().await, json!({ "close": Disconnect::SHUTDOWN.code }), "who waits for nothing is told at once");
}

#[actix_rt::test]
async fn a_client_that_does_nothing_is_sent_away_after_the_idle_timeout() {
    let house = House::new(|config| config.client.idle_timeout = crate::units::HumanDuration::from_secs(5)).await;
    let mut client = house.client(&token("alice", "t1")).await;
    house.clock.advance(Duration::from_secs(4));
    client.call(json!({ "subscribe": { "channel": "a" } })).await;
    house.clock.advance(Duration::from_secs(4));
    assert!(client.call(json!({ "refresh": { "token": token("alice", "t2") } })).await.get("refresh").is_some(), "it is still there");
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(client.message().await, json!({ "close": Disconnect::STALE.code }), "a refresh is nobody's doing");
}

#[actix_rt::test]
async fn no_connection_gets_older_than_it_may() {
    let house = House::new(|config| {
        config.client.session_max_age = crate::units::HumanDuration::from_secs(100);
        config.client.ping_interval = crate::units::HumanDuration::from_secs(-1);
    })
    .await;
    let mut client = house.client(&token("alice", "t1")).await;
    house.clock.advance(Duration::from_secs(89));
    client.call(json!({ "subscribe": { "channel": "a" } })).await;
    house.clock.advance(Duration::from_secs(11));
    assert_eq!(client.message().await, json!({ "close": Disconnect::EXPIRED.code }));
}

#[actix_rt::test]
async fn the_hub_finds_sessions_by_what_is_known_of_them() {
    let house = House::new(|_| {}).await;
    let mut alice = house.client(&token("alice", "t1")).await;
    let _bob = house.client(&token("bob", "t2")).await;
    let mut bob_too = house.client(&token("bob", "t3")).await;
    let hub = &house.hub;
    assert_eq!((hub.of_token("t1").len(), hub.of_token("t9").len(), hub.of_user(&"bob".into()).len()), (1, 0, 2));
    assert_eq!((hub.of_address("127.0.0.0/8".parse().unwrap()).len(), hub.of_address("10.0.0.0/8".parse().unwrap()).len()), (3, 0));
    let everybody = SessionQuery::default();
    let all = hub.list(&everybody, None, 10);
    assert!(all.len() == 3 && all.is_sorted_by_key(|facts| facts.session));
    let first = hub.list(&everybody, None, 2);
    let rest = hub.list(&everybody, Some(first[1].session), 2);
    let paged: Vec<_> = first.iter().chain(&rest).map(|facts| facts.session).collect();
    assert_eq!(paged, all.iter().map(|facts| facts.session).collect::<Vec<_>>());
    assert!(hub.list(&everybody, None, 0).is_empty());
    let bobs = SessionQuery { user: Some("bob".into()), ..SessionQuery::default() };
    assert_eq!((hub.count(&bobs), hub.list(&bobs, None, 10).len()), (2, 2));
    assert_eq!(hub.count(&SessionQuery { token: Some("t3".to_string()), ..bobs }), 1);

    let facts = Arc::clone(&hub.of_token("t1")[0].facts);
    assert_eq!((&*facts.peer.device, facts.subscriptions(), facts.credentials().expires_at), ("a test", 0, Some(WALL_MS / 1_000 + 600)));
    house.clock.advance(Duration::from_secs(7));
    alice.call(json!({ "subscribe": { "channel": "a" } })).await;
    until("the subscription's count", || facts.subscriptions() == 1).await;
    assert_eq!((facts.since_wall_ms, facts.last_seen_wall_ms()), (WALL_MS, WALL_MS + 7_000));
    alice.call(json!({ "refresh": { "token": token("alice", "t4") } })).await;
    assert!(hub.of_token("t1").is_empty() && hub.of_token("t4").len() == 1, "it lives on the new token now");
    assert_eq!(facts.subscriptions(), 1, "a refresh drops no subscription");
    alice.call(json!({ "unsubscribe": { "channel": "a" } })).await;
    assert_eq!(facts.subscriptions(), 0);

    hub.of_token("t3")[0].addr.do_send(Disconnected::because(Disconnect::FORCE_NO_RECONNECT));
    assert_eq!(bob_too.message().await, json!({ "close": 3503 }));
    assert_eq!(hub.of_user(&"bob".into()).len(), 1, "who is being closed is not found any more");
}

#[actix_rt::test]
async fn who_is_blocked_is_sent_away_at_once_and_kept_out() {
    let house = House::new(|_| {}).await;
    let mut alice = house.client(&token("alice", "t1")).await;
    let mut alice_too = house.client(&token("alice", "t2")).await;
    let mut bob = house.client(&token("bob", "t3")).await;
    let keeping = actix_rt::spawn(Arc::clone(&house.blocks).keep(Duration::from_secs(3_600), Arc::clone(&house.hub) as _));
    let block = |kind, subject: &str| Block {
        kind,
        subject: subject.to_string(),
        reason: String::new(),
        by: "tests".to_string(),
        since: WALL_MS,
        until: None,
    };
    let started = std::time::Instant::now();
    house.blocks.put(block(BlockKind::Token, "t1")).await.unwrap();
    assert_eq!(alice.message().await, json!({ "close": 3500 }));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(house.refused(&token("alice", "t1")).await, json!({ "close": 3500 }));
    assert_eq!(alice_too.call(json!({ "rpc": { "method": "echo", "data": 1 } })).await["rpc"]["data"], 1, "another token of hers is good");
    alice_too.send(json!({ "refresh": { "token": token("alice", "t1") } })).await;
    assert_eq!(alice_too.message().await, json!({ "close": 3500 }), "a revoked token refreshes nothing");
    house.blocks.put(block(BlockKind::User, "bob")).await.unwrap();
    assert_eq!(bob.message().await, json!({ "close": 3503 }));
    assert_eq!(house.refused(&token("bob", "t4")).await, json!({ "close": 3503 }));
    house.blocks.remove(BlockKind::User, "bob").await.unwrap();
    let mut bob = house.client(&token("bob", "t4")).await;
    house.blocks.put(block(BlockKind::Address, "127.0.0.0/8")).await.unwrap();
    assert_eq!(bob.message().await, json!({ "close": 3503 }));
    until("the hub's being empty", || house.hub.is_empty()).await;
    keeping.abort();
}
