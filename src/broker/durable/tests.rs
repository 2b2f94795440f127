use super::super::Deliver;
use super::super::contract::{ALL, KEY_TTL, META_TTL, Recorder, Rig, contract_tests, history_of, number, offsets, without_history};
use super::super::memory::{MemoryBroker, MemoryBrokerSettings};
use super::*;
use crate::channel::{NameSyntax, Namespace, StreamPosition};
use crate::config::StoreConfig;
use crate::store;
use futures_util::future::join_all;
use tempfile::TempDir;

/// A broker over a real store, and what it takes to start it again.
struct DurableRig {
    broker: Arc<DurableBroker>,
    recorder: Arc<Recorder>,
    store: Arc<dyn Store>,
    clock: Clock,
    folder: Arc<TempDir>,
    durability: HistoryDurability,
}

/// The options of every channel of these tests.
fn options(durability: HistoryDurability, size: u32) -> ChannelOptions {
    ChannelOptions { history_durability: durability, ..history_of(size) }
}

fn rules(durability: HistoryDurability) -> Arc<ChannelRules> {
    let memory = Namespace { name: "memory".to_string(), options: history_of(10) };
    Arc::new(ChannelRules::new(NameSyntax::default(), options(durability, 10), vec![memory]).unwrap())
}

fn settings() -> MemoryBrokerSettings {
    MemoryBrokerSettings {
        history_bytes_max: 1 << 30,
        streams_max: 100_000,
        idempotency_keys_max: 100_000,
        idempotency_ttl: KEY_TTL,
        history_meta_ttl: META_TTL,
    }
}

impl DurableRig {
    async fn start(folder: Arc<TempDir>, clock: Clock, durability: HistoryDurability, queue_bytes_max: usize) -> Self {
        let recorder = Arc::new(Recorder::default());
        let store = store::open(&StoreConfig::default(), folder.path()).await.unwrap();
        let memory = Arc::new(MemoryBroker::new(settings(), clock.clone(), Arc::clone(&recorder) as Arc<dyn Deliver>));
        let broker = DurableBroker::new(memory, rules(durability), Arc::clone(&store), clock.clone(), queue_bytes_max);
        broker.open(&mut Past::wanting(0)).await.unwrap();
        Self { broker, recorder, store, clock, folder, durability }
    }

    async fn fresh(durability: HistoryDurability) -> Self {
        Self::start(Arc::new(tempfile::tempdir().unwrap()), Clock::manual(1_700_000_000_000), durability, 1 << 20).await
    }

    /// Stops in good order and starts again.
    async fn restarted(self) -> Self {
        self.broker.close(Duration::from_secs(10)).await;
        self.store.close().await.unwrap();
        Self::start(self.folder, self.clock, self.durability, 1 << 20).await
    }

    /// Starts again without having said that it stops.
    async fn crashed(self, durability: HistoryDurability) -> Self {
        drained(&self.broker).await;
        self.store.close().await.unwrap();
        Self::start(self.folder, self.clock, durability, 1 << 20).await
    }

    async fn publish(&self, channel: &str, publish: Publish) -> Result<Published, BrokerError> {
        self.broker.publish(&channel.into(), &options(self.durability, 10), publish).await
    }

    async fn history(&self, channel: &str) -> History {
        self.broker.history(&channel.into(), &options(self.durability, 10), ALL).await.unwrap()
    }
}

/// Waits until nothing waits for the store.
async fn drained(broker: &DurableBroker) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while broker.waiting() > 0 {
        assert!(Instant::now() < deadline, "{} jobs still wait", broker.waiting());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The contract, with every channel's options asking for the durability of the rig.
struct ContractRig {
    rig: DurableRig,
    broker: Overriding,
}

/// The contract makes its own options; this adds the durability to them.
struct Overriding {
    broker: Arc<DurableBroker>,
    durability: HistoryDurability,
}

impl Overriding {
    fn with_durability(&self, options: &ChannelOptions) -> ChannelOptions {
        ChannelOptions { history_durability: self.durability, ..options.clone() }
    }
}

impl Broker for Overriding {
    fn publish(&self, channel: &ChannelName, options: &ChannelOptions, publish: Publish) -> Answer<Result<Published, BrokerError>> {
        self.broker.publish(channel, &self.with_durability(options), publish)
    }
    fn join(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        self.broker.join(channel, info)
    }
    fn leave(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        self.broker.leave(channel, info)
    }
    fn history(&self, channel: &ChannelName, options: &ChannelOptions, filter: HistoryFilter) -> Answer<Result<History, BrokerError>> {
        self.broker.history(channel, &self.with_durability(options), filter)
    }
    fn remove_history(&self, channel: &ChannelName) -> Answer<Result<(), BrokerError>> {
        self.broker.remove_history(channel)
    }
    fn add_presence(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        self.broker.add_presence(channel, info)
    }
    fn remove_presence(&self, channel: &ChannelName, session: SessionId) -> Answer<Result<(), BrokerError>> {
        self.broker.remove_presence(channel, session)
    }
    fn presence(&self, channel: &ChannelName) -> Answer<Result<Vec<Arc<ClientInfo>>, BrokerError>> {
        self.broker.presence(channel)
    }
    fn presence_stats(&self, channel: &ChannelName) -> Answer<Result<PresenceStats, BrokerError>> {
        self.broker.presence_stats(channel)
    }
}

impl Rig for ContractRig {
    fn broker(&self) -> &dyn Broker {
        &self.broker
    }
    fn recorder(&self) -> &Recorder {
        &self.rig.recorder
    }
    async fn pass(&self, time: Duration) {
        self.rig.clock.advance(time);
    }
}

async fn contract_rig(durability: HistoryDurability) -> ContractRig {
    let rig = DurableRig::fresh(durability).await;
    ContractRig { broker: Overriding { broker: Arc::clone(&rig.broker), durability }, rig }
}

mod durable {
    use super::*;
    async fn rig() -> ContractRig {
        contract_rig(HistoryDurability::Durable).await
    }
    contract_tests!(rig);
}

mod accepted {
    use super::*;
    async fn rig() -> ContractRig {
        contract_rig(HistoryDurability::Accepted).await
    }
    contract_tests!(rig);
}

const BOTH: [HistoryDurability; 2] = [HistoryDurability::Durable, HistoryDurability::Accepted];

/// Keeps the store from writing until it is dropped, as another program would.
struct Frozen(rusqlite::Connection);

impl Frozen {
    fn new(folder: &TempDir) -> Self {
        let connection = rusqlite::Connection::open(folder.path().join("aether.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }
    fn thaw(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

fn keyed(n: u64, key: &str) -> Publish {
    Publish { idempotency_key: Some(key.to_string()), ..number(n) }
}

#[actix_rt::test]
async fn a_restart_goes_on_where_the_last_process_was() {
    for durability in BOTH {
        let rig = DurableRig::fresh(durability).await;
        let author = super::super::contract::client("anna");
        let tags = Arc::new([("a".to_string(), "b".to_string())].into());
        for n in 1..=11 {
            rig.publish("news", number(n)).await.unwrap();
        }
        let last = Publish { info: Some(author), tags: Some(tags), version: 5, version_epoch: "v".to_string(), ..keyed(12, "once") };
        let position = rig.publish("news", last).await.unwrap();
        let before = rig.history("news").await;
        assert_eq!(offsets(&before.publications), (3..=12).collect::<Vec<_>>());

        let rig = rig.restarted().await;
        assert_eq!(rig.history("news").await, before, "{durability:?}: author, tags and payloads included");
        assert_eq!(rig.publish("news", keyed(13, "once")).await.unwrap(), position, "a key is remembered");
        let old = Publish { version: 5, version_epoch: "v".to_string(), ..number(14) };
        assert_eq!(rig.publish("news", old).await.unwrap(), position, "and so is a version");
        assert_eq!(rig.publish("news", number(15)).await.unwrap(), Some(StreamPosition { offset: 13, ..before.position }));
        assert_eq!(rig.recorder.of(&"news".into()), ["13:15"], "what was loaded is not delivered again");
    }
}

#[actix_rt::test]
async fn after_a_crash_only_what_was_written_first_is_trusted() {
    use HistoryDurability::{Accepted, Durable};
    for (before, after, goes_on) in [(Durable, Durable, true), (Durable, Accepted, true), (Accepted, Accepted, false), (Accepted, Durable, false)] {
        let rig = DurableRig::fresh(before).await;
        rig.publish("news", number(1)).await.unwrap();
        let position = rig.history("news").await.position;
        let rig = rig.crashed(after).await;
        let history = rig.history("news").await;
        assert_eq!(history.position == position, goes_on, "{before:?} then {after:?}");
        assert_eq!(history.publications.len(), usize::from(goes_on), "{before:?} then {after:?}");
        // What goes on is trusted from now on as what it is now.
        rig.publish("news", number(2)).await.unwrap();
        let position = rig.history("news").await.position;
        let rig = rig.restarted().await;
        assert_eq!(rig.history("news").await.position, position, "{before:?} then {after:?}, and a good end");
    }
}

#[actix_rt::test]
async fn streams_that_nobody_wants_written_any_more_are_forgotten() {
    let rig = DurableRig::fresh(HistoryDurability::Durable).await;
    rig.publish("news", number(1)).await.unwrap();
    let position = rig.history("news").await.position;
    let rig = rig.crashed(HistoryDurability::Memory).await;
    assert_ne!(rig.history("news").await.position.epoch, position.epoch);
    assert_eq!(rig.store.streams(None, 10).await.unwrap(), []);
}

#[actix_rt::test]
async fn many_at_once_get_offsets_without_a_hole_and_come_in_their_order() {
    for durability in BOTH {
        let rig = DurableRig::fresh(durability).await;
        let channels = ["a", "b", "c"];
        let publishes = (0..600).map(|n| rig.publish(channels[n % 3], number(n as u64 / 3)));
        let published: Vec<_> = join_all(publishes).await.into_iter().map(|result| result.unwrap().unwrap().offset).collect();
        assert_eq!(published, (0..600).map(|n| n / 3 + 1).collect::<Vec<u64>>());
        drained(&rig.broker).await;
        for channel in channels {
            let expected: Vec<_> = (0..200).map(|n| format!("{}:{n}", n + 1)).collect();
            assert_eq!(rig.recorder.of(&channel.into()), expected, "{durability:?}");
            let stored: Vec<_> = rig.store.publications(&channel.into()).await.unwrap().iter().map(|publication| publication.offset).collect();
            assert_eq!(stored, (191..=200).collect::<Vec<_>>());
        }
    }
}

#[actix_rt::test]
async fn the_same_key_twice_at_once_publishes_once() {
    let rig = DurableRig::fresh(HistoryDurability::Durable).await;
    let both = join_all([rig.publish("news", keyed(1, "k")), rig.publish("news", keyed(2, "k"))]).await;
    assert_eq!(both[0], both[1]);
    let versions = [1, 1, 2].map(|version| rig.publish("other", Publish { version, ..number(version) }));
    let offsets: Vec<_> = join_all(versions).await.into_iter().map(|result| result.unwrap().unwrap().offset).collect();
    assert_eq!(offsets, [1, 1, 2]);
    assert_eq!(
        (rig.recorder.of(&"news".into()), rig.recorder.of(&"other".into())),
        (vec!["1:1".to_string()], vec!["1:1".to_string(), "2:2".to_string()])
    );
}

#[actix_rt::test]
async fn a_store_that_stands_still_fails_durable_publishes_in_time_and_nothing_else() {
    let rig = DurableRig::fresh(HistoryDurability::Durable).await;
    rig.publish("news", number(1)).await.unwrap();
    let frozen = Frozen::new(&rig.folder);
    let begun = Instant::now();
    let failed = join_all((2..=4).map(|n| rig.publish("news", number(n)))).await;
    assert!(failed.iter().all(|result| *result == Err(NOT_WRITTEN)), "{failed:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let memory = rig.broker.publish(&"memory:x".into(), &history_of(10), number(1));
    assert!(matches!(memory, Answer::Ready(Ok(Some(_)))), "what is in memory needs no store");
    let plain = rig.broker.publish(&"plain".into(), &without_history(), number(1));
    assert!(matches!(plain, Answer::Ready(Ok(None))));
    assert_eq!(rig.recorder.of(&"news".into()), ["1:1"], "nobody saw what was not written");
    assert_eq!(offsets(&rig.history("news").await.publications), [1]);

    frozen.thaw();
    let deadline = Instant::now() + Duration::from_secs(20);
    let position = loop {
        match rig.publish("news", number(9)).await {
            Ok(position) => break position.unwrap(),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    // Of those that failed some may have been written after all; offsets follow one another in any case.
    let history = rig.history("news").await;
    assert_eq!(offsets(&history.publications), (1..=position.offset).collect::<Vec<_>>());
    assert_eq!(rig.recorder.of(&"news".into()).len() as u64, position.offset);
    let rig = rig.crashed(HistoryDurability::Durable).await;
    assert_eq!(rig.history("news").await, history);
}

#[actix_rt::test]
async fn what_is_accepted_is_written_when_the_store_is_back() {
    let rig = DurableRig::fresh(HistoryDurability::Accepted).await;
    let frozen = Frozen::new(&rig.folder);
    for n in 1..=5 {
        rig.publish("news", number(n)).await.unwrap();
    }
    assert_eq!(rig.recorder.of(&"news".into()).len(), 5, "nobody waits");
    frozen.thaw();
    drained(&rig.broker).await;
    let before = rig.history("news").await;
    let rig = rig.restarted().await;
    assert_eq!(rig.history("news").await, before);
}

#[actix_rt::test]
async fn what_finds_no_room_costs_its_stream_the_epoch_at_the_next_start() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let rig = DurableRig::start(folder, Clock::manual(1_700_000_000_000), HistoryDurability::Accepted, 4_000).await;
    rig.publish("sound", number(1)).await.unwrap();
    drained(&rig.broker).await;
    let frozen = Frozen::new(&rig.folder);
    for n in 1..=100 {
        rig.publish("flood", number(n)).await.unwrap();
    }
    assert_eq!(rig.recorder.of(&"flood".into()).len(), 100, "it is delivered all the same");
    assert_eq!(offsets(&rig.history("flood").await.publications), (91..=100).collect::<Vec<_>>());
    frozen.thaw();
    let (flood, sound) = (rig.history("flood").await.position, rig.history("sound").await);
    let rig = rig.restarted().await;
    assert_ne!(rig.history("flood").await.position.epoch, flood.epoch);
    assert_eq!(rig.history("sound").await, sound);
}

#[actix_rt::test]
async fn a_full_queue_refuses_durable_publishes() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let rig = DurableRig::start(folder, Clock::manual(0), HistoryDurability::Durable, 100).await;
    assert_eq!(rig.publish("news", number(1)).await, Err(lane::NO_ROOM));
    assert_eq!(rig.broker.waiting(), 0);
}

#[actix_rt::test]
async fn removed_history_stays_removed() {
    for durability in BOTH {
        let rig = DurableRig::fresh(durability).await;
        rig.publish("news", number(1)).await.unwrap();
        rig.broker.remove_history(&"news".into()).await.unwrap();
        let before = rig.history("news").await;
        assert_eq!((before.publications.len(), before.position.offset), (0, 1));
        let rig = rig.restarted().await;
        assert_eq!(rig.history("news").await, before, "{durability:?}");
        assert_eq!(rig.publish("news", number(2)).await.unwrap().unwrap().offset, 2);
    }
}

#[actix_rt::test]
async fn time_goes_on_while_nobody_runs() {
    for durability in BOTH {
        let rig = DurableRig::fresh(durability).await;
        rig.publish("news", number(1)).await.unwrap();
        rig.clock.advance(Duration::from_secs(6));
        let before = rig.history("news").await;
        let rig = rig.restarted().await;
        assert_eq!(rig.history("news").await, before);
        rig.clock.advance(Duration::from_secs(4));
        let after = rig.history("news").await;
        assert_eq!((after.publications.len(), &after.position), (0, &before.position), "ten seconds after it was published");
        let rig = rig.restarted().await;
        assert_eq!(rig.history("news").await, after);
        rig.clock.advance(Duration::from_secs(60));
        let rig = rig.restarted().await;
        assert_ne!(rig.history("news").await.position.epoch, before.position.epoch);
    }
}

#[actix_rt::test]
async fn what_is_loaded_has_no_hole() {
    let rig = DurableRig::fresh(HistoryDurability::Durable).await;
    for n in 1..=3 {
        rig.publish("news", number(n)).await.unwrap();
    }
    let newest = rig.store.publications(&"news".into()).await.unwrap().pop().unwrap();
    // Somebody had a hand in the file: 4 is missing, 7 cannot be read.
    for (offset, is_readable) in [(5, true), (6, true), (7, false), (8, true), (9, true)] {
        let body = if is_readable { newest.body.clone() } else { bytes::Bytes::from_static(b"\xff\xff") };
        rig.store.append_publications(&[store::StoredPublication { offset, body, ..newest.clone() }]).await.unwrap();
    }
    let rig = rig.restarted().await;
    assert_eq!(offsets(&rig.history("news").await.publications), [8, 9]);
    assert_eq!(rig.publish("news", number(10)).await.unwrap().unwrap().offset, 10);
}

#[actix_rt::test]
async fn a_stream_that_had_to_make_room_goes_on_in_a_new_epoch() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let clock = Clock::manual(1_700_000_000_000);
    let recorder = Arc::new(Recorder::default());
    let store = store::open(&StoreConfig::default(), folder.path()).await.unwrap();
    let small = MemoryBrokerSettings { streams_max: 1, ..settings() };
    let memory = Arc::new(MemoryBroker::new(small, clock.clone(), Arc::clone(&recorder) as Arc<dyn Deliver>));
    let broker = DurableBroker::new(memory, rules(HistoryDurability::Durable), Arc::clone(&store), clock, 1 << 20);
    broker.open(&mut Past::wanting(0)).await.unwrap();
    let mut epochs = std::collections::HashSet::new();
    for n in 0..200 {
        // Of two hundred channels some share a shard with another one.
        let channel = ChannelName::new(&format!("c{}", n % 100));
        let position = broker.publish(&channel, &options(HistoryDurability::Durable, 10), number(n)).await.unwrap().unwrap();
        assert!(epochs.insert((channel.clone(), position.epoch.clone(), position.offset)), "{position:?} was given to {channel} twice");
        let stored = store.publications(&channel).await.unwrap();
        assert_eq!(stored.last().map(|last| (last.offset, last.epoch.as_str())), Some((position.offset, position.epoch.as_str())));
    }
}
