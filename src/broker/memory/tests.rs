use super::*;
use crate::broker::contract::{ALL, KEY_TTL, META_TTL, Recorder, Rig, client, contract_tests, history_of, number, offsets, without_history};
use crate::channel::{Epoch, Payload};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Barrier;
use std::time::Duration;

struct MemoryRig {
    broker: MemoryBroker,
    recorder: Arc<Recorder>,
    clock: Clock,
}

impl Rig for MemoryRig {
    fn broker(&self) -> &dyn Broker {
        &self.broker
    }
    fn recorder(&self) -> &Recorder {
        &self.recorder
    }
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

fn roomy() -> MemoryBrokerSettings {
    MemoryBrokerSettings {
        history_bytes_max: 1 << 30,
        streams_max: 100_000,
        idempotency_keys_max: 100_000,
        idempotency_ttl: KEY_TTL,
        history_meta_ttl: META_TTL,
    }
}

fn rig_of(settings: MemoryBrokerSettings) -> MemoryRig {
    let (clock, recorder) = (Clock::manual(0), Arc::new(Recorder::default()));
    MemoryRig { broker: MemoryBroker::new(settings, clock.clone(), Arc::clone(&recorder) as Arc<dyn Deliver>), recorder, clock }
}

fn rig() -> MemoryRig {
    rig_of(roomy())
}

async fn contract_rig() -> MemoryRig {
    rig()
}

contract_tests!(contract_rig);

impl MemoryRig {
    fn publish(&self, channel: &str, options: &ChannelOptions, publish: Publish) -> Published {
        ready(self.broker.publish(&channel.into(), options, publish)).expect("publishing in memory does not fail")
    }
    fn history(&self, channel: &str, options: &ChannelOptions) -> History {
        ready(self.broker.history(&channel.into(), options, ALL)).expect("no position was asked for")
    }
    fn offsets(&self, channel: &str) -> Vec<u64> {
        offsets(&self.history(channel, &history_of(10)).publications)
    }
    fn seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn ready<T>(answer: Answer<T>) -> T {
    match answer {
        Answer::Ready(value) => value,
        Answer::Later(_) => panic!("memory answers at once"),
    }
}

/// A publish of that many bytes.
fn sized(bytes: usize) -> Publish {
    Publish { data: Payload::from_bytes(vec![b'x'; bytes].into()), ..Publish::default() }
}

#[test]
fn without_history_and_keys_nothing_is_kept() {
    let rig = rig();
    for n in 0..100 {
        rig.publish(&format!("plain{n}"), &without_history(), number(n));
        rig.publish(&format!("skipped{n}"), &history_of(5), Publish { skip_history: true, version: 3, ..number(n) });
        rig.history(&format!("read{n}"), &without_history());
    }
    assert_eq!(rig.broker.stats(), MemoryBrokerStats::default());
}

#[test]
fn history_does_not_hold_the_buffer_a_payload_was_cut_from() {
    let rig = rig();
    let buffer = Bytes::from(vec![b'7'; 1 << 16]);
    rig.publish("news", &history_of(1), Publish { data: Payload::from_json(buffer.slice(..1)), ..Publish::default() });
    assert!(buffer.is_unique());
    assert_eq!(rig.offsets("news"), [1]);
}

#[test]
fn at_the_byte_cap_a_stream_gives_up_its_own_oldest() {
    let rig = rig_of(MemoryBrokerSettings { history_bytes_max: 10_000, ..roomy() });
    let options = history_of(100);
    rig.publish("quiet", &options, sized(1_000));
    for _ in 0..50 {
        rig.publish("busy", &options, sized(1_000));
    }
    let kept = offsets(&rig.history("busy", &options).publications);
    assert_eq!(kept, ((51 - kept.len() as u64)..=50).collect::<Vec<_>>());
    assert!(kept.len() >= 6, "{kept:?}");
    assert_eq!(rig.offsets("quiet"), [1], "others do not pay");
    assert!(rig.broker.stats().bytes <= 10_000, "{:?}", rig.broker.stats());

    // Several small ones go for one large one.
    rig.publish("busy", &options, sized(3_500));
    let kept_after = offsets(&rig.history("busy", &options).publications);
    assert_eq!(kept_after.last(), Some(&51));
    assert!(kept_after.len() < kept.len() - 1, "{kept_after:?}");
    assert!(rig.broker.stats().bytes <= 10_000, "{:?}", rig.broker.stats());
}

#[test]
fn what_does_not_fit_at_all_is_delivered_and_empties_the_history() {
    let rig = rig_of(MemoryBrokerSettings { history_bytes_max: 2_000, ..roomy() });
    let options = history_of(10);
    rig.publish("news", &options, sized(10));
    let huge = rig.publish("news", &options, sized(3_000)).expect("a position");
    assert_eq!(huge.offset, 2);
    assert_eq!(rig.recorder.of(&"news".into()).len(), 2);
    let history = rig.history("news", &options);
    assert_eq!((history.publications.len(), history.position), (0, huge));
    rig.publish("news", &options, sized(10));
    assert_eq!(rig.offsets("news"), [3], "it goes on without a hole");
    assert!(COUNTERS.history_cut.get() >= 2);
}

#[test]
fn at_the_cap_on_streams_new_ones_replace_old_ones() {
    let rig = rig_of(MemoryBrokerSettings { streams_max: 200, ..roomy() });
    for n in 0..2_000 {
        let channel = format!("news{n}");
        let published = rig.publish(&channel, &history_of(10), number(n)).expect("a position");
        assert_eq!(rig.history(&channel, &history_of(10)).position, published);
    }
    let stats = rig.broker.stats();
    assert!((200..=200 + SHARDS).contains(&stats.streams), "{stats:?}");
    assert_eq!(stats.publications, stats.streams);
    assert!(COUNTERS.streams_evicted.get() >= 1_700);
}

#[test]
fn the_stream_to_drop_is_empty_or_else_the_longest_unused() {
    let budget = ByteBudget::new(1 << 20);
    let (kept_long, kept_short) = (history_of(10), ChannelOptions { history_ttl: HumanDuration::from_ms(1), ..history_of(10) });
    /// Name, time of last use, the options of what it holds.
    type Held<'a> = (&'a str, u64, Option<&'a ChannelOptions>);
    let cases: [(&[Held], Option<&str>); 5] = [
        (&[], None),
        (&[("a", 5, Some(&kept_long)), ("b", 3, Some(&kept_long)), ("c", 4, Some(&kept_long))], Some("b")),
        (&[("a", 5, Some(&kept_long)), ("b", 3, Some(&kept_long)), ("c", 9, None)], Some("c")),
        (&[("a", 8, None), ("b", 3, Some(&kept_long)), ("c", 7, None)], Some("c")),
        (&[("a", 8, None), ("b", 3, Some(&kept_long)), ("c", 7, Some(&kept_short))], Some("c")),
    ];
    for (n, (held, expected)) in cases.into_iter().enumerate() {
        let mut streams = Streams::default();
        for &(name, used_at, options) in held {
            let mut stream = Stream::new();
            if let Some(options) = options {
                let publication = Publication { offset: 0, data: Payload::default(), info: None, tags: None, update: None };
                let keeping = Keeping { size: options.history_size, ttl_ms: options.history_ttl.ms(), meta_ttl_ms: 0 };
                stream.append(publication, Version::default(), keeping, used_at, &budget);
            }
            stream.touch(used_at, 1_000);
            streams.by_channel.insert(name.into(), stream);
        }
        for _ in 0..3 {
            let victim = streams.next_victim(10).and_then(|index| streams.by_channel.get_index(index));
            assert_eq!(victim.map(|(name, _)| name.as_str()), expected, "case {n}");
        }
    }
}

#[test]
fn a_dropped_stream_begins_a_new_epoch() {
    let rig = rig_of(MemoryBrokerSettings { streams_max: 1, ..roomy() });
    let first = rig.publish("news", &history_of(10), number(1)).expect("a position");
    // Of so many, one falls into the same shard.
    for n in 0..20 * SHARDS {
        rig.history(&format!("other{n}"), &history_of(10));
    }
    let filter = HistoryFilter { since: Some(first.clone()), ..ALL };
    let answer = ready(rig.broker.history(&"news".into(), &history_of(10), filter));
    assert!(matches!(answer, Err(BrokerError::UnrecoverablePosition { ref current, .. }) if current.epoch != first.epoch), "{answer:?}");
}

#[test]
fn at_the_cap_on_keys_the_oldest_is_forgotten() {
    let rig = rig_of(MemoryBrokerSettings { idempotency_keys_max: 3, ..roomy() });
    let publish = |n: u64, key: &str| rig.publish("news", &history_of(100), Publish { idempotency_key: Some(key.to_string()), ..number(n) });
    for (n, key) in (1..).zip(["a", "b", "c", "d"]) {
        publish(n, key);
    }
    assert_eq!(rig.broker.stats().idempotency_keys, 3);
    assert_eq!(publish(5, "b").map(|position| position.offset), Some(2), "still known");
    assert_eq!(publish(6, "a").map(|position| position.offset), Some(5), "forgotten, so published again");
    assert_eq!(rig.broker.stats().idempotency_keys, 3);
    assert!(COUNTERS.idempotency_keys_forgotten.get() >= 2);
}

#[test]
fn sweeping_gives_memory_back_step_by_step() {
    let rig = rig();
    for n in 0..1_000 {
        let keyed = Publish { idempotency_key: Some("a".to_string()), ..number(n) };
        rig.publish(&format!("news{n}"), &history_of(5), keyed);
    }
    let full = rig.broker.stats();
    assert_eq!((full.streams, full.publications, full.idempotency_keys), (1_000, 1_000, 1_000));
    rig.broker.sweep(usize::MAX);
    assert_eq!(rig.broker.stats(), full, "nothing is over");

    rig.seconds(10);
    rig.broker.sweep(100);
    assert_eq!(rig.broker.stats().publications, 900, "a call keeps to its budget");
    for _ in 0..9 {
        rig.broker.sweep(100);
    }
    let entries_gone = rig.broker.stats();
    assert_eq!((entries_gone.streams, entries_gone.publications, entries_gone.idempotency_keys), (1_000, 0, 1_000));

    rig.seconds(50);
    for _ in 0..5 {
        rig.broker.sweep(100);
    }
    assert_eq!((rig.broker.stats().streams, rig.broker.stats().idempotency_keys), (500, 500));
    rig.broker.sweep(usize::MAX);
    assert_eq!(rig.broker.stats(), MemoryBrokerStats::default());
    let places: usize = rig.broker.shards.iter().map(|shard| shard.streams.lock().by_channel.capacity()).sum();
    assert!(places <= SHARDS * PLACES_MIN, "{places} places kept");
}

#[test]
fn presence_gives_memory_back() {
    let rig = rig();
    let crowd: Vec<_> = (0..1_000).map(|n| (ChannelName::from(format!("room{}", n % 300).as_str()), client(&n.to_string()))).collect();
    for (room, info) in &crowd {
        ready(rig.broker.add_presence(room, Arc::clone(info))).expect("present");
    }
    let stats = rig.broker.stats();
    assert_eq!((stats.presence_channels, stats.presence_entries), (300, 1_000));
    for (room, info) in &crowd {
        ready(rig.broker.remove_presence(room, info.client)).expect("gone");
    }
    assert_eq!(rig.broker.stats(), MemoryBrokerStats::default());
}

/// Asserts that every publication comes right after the one before it, per channel and thread-safe.
#[derive(Default)]
struct OrderChecker(Mutex<HashMap<ChannelName, u64>>, AtomicU64);

impl Deliver for OrderChecker {
    fn deliver(&self, channel: &ChannelName, event: ChannelEvent) {
        let ChannelEvent::Publication { publication, .. } = event else { return };
        let mut last = self.0.lock();
        let last = last.entry(channel.clone()).or_default();
        if publication.offset == *last + 1 {
            *last = publication.offset;
        } else {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn threads_that_publish_at_once_are_delivered_in_the_order_of_offsets() {
    const THREADS: u64 = 8;
    const PUBLISHES: u64 = 2_000;
    const CHANNELS: u64 = 4;
    let order = Arc::new(OrderChecker::default());
    let settings = MemoryBrokerSettings { history_bytes_max: 20_000, ..roomy() };
    let broker = MemoryBroker::new(settings, Clock::manual(0), Arc::clone(&order) as Arc<dyn Deliver>);
    let (start, options) = (Barrier::new(THREADS as usize), history_of(500));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (broker, start, options) = (&broker, &start, &options);
            scope.spawn(move || {
                start.wait();
                for n in 0..PUBLISHES {
                    let channel = ChannelName::from(format!("news{}", (n + thread) % CHANNELS).as_str());
                    ready(broker.publish(&channel, options, number(n))).expect("published");
                    if n % 64 == 0 {
                        let history = ready(broker.history(&channel, options, ALL)).expect("read");
                        assert_no_hole(&history);
                        broker.sweep(2);
                    }
                }
            });
        }
    });
    assert_eq!(order.1.load(Ordering::Relaxed), 0, "deliveries out of order");
    assert_eq!(order.0.lock().values().sum::<u64>(), THREADS * PUBLISHES);
    let stats = broker.stats();
    assert!(stats.bytes <= 20_000, "{stats:?}");
    let held = broker.shards.iter().flat_map(|shard| shard.streams.lock().by_channel.values().map(Stream::len).collect::<Vec<_>>()).sum::<usize>();
    assert_eq!(stats.publications, held);
}

fn assert_no_hole(history: &History) {
    let top = history.position.offset;
    let expected: Vec<u64> = (top + 1 - history.publications.len() as u64..=top).collect();
    assert_eq!(offsets(&history.publications), expected, "history has a hole");
}

// === Against a naive model ===

#[derive(Clone, Debug)]
enum Step {
    Publish { channel: usize, bytes: usize, skip_history: bool, key: Option<u8>, version: u64 },
    Read { channel: usize, limit: Option<usize>, since: Option<(u64, Since)>, reverse: bool },
    Remove { channel: usize },
    Pass { ms: u64 },
    Sweep { budget: usize },
}

#[derive(Clone, Copy, Debug)]
enum Since {
    Epoch,
    NoEpoch,
    OtherEpoch,
}

fn step(channels: usize) -> impl Strategy<Value = Step> {
    let since = (0..12u64, prop_oneof![3 => Just(Since::Epoch), 2 => Just(Since::NoEpoch), 1 => Just(Since::OtherEpoch)]);
    prop_oneof![
        8 => (0..channels, 0..400usize, prop::bool::weighted(0.1), prop::option::weighted(0.2, 0..3u8), prop_oneof![3 => Just(0), 1 => 1..6u64])
            .prop_map(|(channel, bytes, skip_history, key, version)| Step::Publish { channel, bytes, skip_history, key, version }),
        6 => (0..channels, prop::option::of(0..6usize), prop::option::of(since), any::<bool>())
            .prop_map(|(channel, limit, since, reverse)| Step::Read { channel, limit, since, reverse }),
        1 => (0..channels).prop_map(|channel| Step::Remove { channel }),
        3 => prop_oneof![0..3_000u64, 3_000..70_000u64].prop_map(|ms| Step::Pass { ms }),
        2 => prop_oneof![0..5usize, Just(usize::MAX)].prop_map(|budget| Step::Sweep { budget }),
    ]
}

/// A channel as the contract describes it, without any thought of memory or speed.
#[derive(Default)]
struct Model {
    /// None: the channel has not been seen, or was forgotten.
    epoch: Option<Epoch>,
    /// Every epoch that the channel had before.
    old_epochs: Vec<Epoch>,
    top: u64,
    /// Offset and data of everything since entries were last dropped.
    log: Vec<(u64, Bytes)>,
    version: u64,
    entries_until: u64,
    stream_until: u64,
    keys: HashMap<u8, (u64, Option<u64>)>,
}

impl Model {
    fn pass(&mut self, now: u64) {
        if self.epoch.is_some() && now >= self.stream_until {
            self.old_epochs.extend(self.epoch.take());
            (self.top, self.version) = (0, 0);
            self.log.clear();
        }
        if now >= self.entries_until {
            self.log.clear();
        }
    }

    /// Learns the epoch of a stream that has just begun; otherwise it must be the known one.
    fn meet(&mut self, epoch: &Epoch) {
        assert!(!epoch.is_empty() && !self.old_epochs.contains(epoch), "{epoch:?} is not new");
        assert_eq!(self.epoch.get_or_insert_with(|| epoch.clone()), epoch);
    }

    fn kept(&self, size: u32) -> Vec<(u64, Bytes)> {
        self.log[self.log.len().saturating_sub(size as usize)..].to_vec()
    }
}

fn options_of(channel: usize) -> ChannelOptions {
    match channel {
        0 => without_history(),
        1 => history_of(1),
        2 => ChannelOptions { history_ttl: HumanDuration::from_secs(2), history_meta_ttl: HumanDuration::from_secs(5), ..history_of(3) },
        _ => history_of(5),
    }
}

fn check_against_model(steps: Vec<Step>) {
    let rig = rig();
    let mut models: HashMap<usize, Model> = HashMap::new();
    let mut delivered: HashMap<usize, Vec<String>> = HashMap::new();
    for (n, step) in steps.into_iter().enumerate() {
        let now = rig.clock.now();
        match step {
            Step::Publish { channel, bytes: _, skip_history, key, version } => {
                let options = options_of(channel);
                let model = models.entry(channel).or_default();
                model.pass(now);
                let publish = Publish { skip_history, idempotency_key: key.map(|key| key.to_string()), version, ..number(n as u64) };
                let data = publish.data.bytes().clone();
                let published = rig.publish(&channel.to_string(), &options, publish);
                let known = key.and_then(|key| model.keys.get(&key)).filter(|(until, _)| now < *until);
                if let Some((_, first)) = known {
                    assert_eq!(published.map(|position| position.offset), *first, "step {n}: not the first result");
                    continue;
                }
                let has_history = options.has_history() && !skip_history;
                assert_eq!(published.is_some(), has_history, "step {n}");
                if let Some(position) = &published {
                    model.meet(&position.epoch);
                    let is_skipped = version > 0 && version <= model.version;
                    if !is_skipped {
                        model.top += 1;
                        model.version = if version > 0 { version } else { model.version };
                        model.log.push((model.top, data.clone()));
                        model.entries_until = now + options.history_ttl.ms();
                        delivered.entry(channel).or_default().push(format!("{}:{n}", model.top));
                    }
                    model.stream_until = model.entries_until.max(now + history_meta_ttl(&options, META_TTL).ms());
                    assert_eq!(position.offset, model.top, "step {n}");
                } else {
                    delivered.entry(channel).or_default().push(format!("-:{n}"));
                }
                if let Some(key) = key {
                    model.keys.insert(key, (now + KEY_TTL.ms(), published.map(|position| position.offset)));
                }
            }
            Step::Read { channel, limit, since, reverse } => {
                let options = options_of(channel);
                let model = models.entry(channel).or_default();
                model.pass(now);
                let epoch_of = |kind| match kind {
                    Since::Epoch => model.epoch.clone().unwrap_or_default(),
                    Since::NoEpoch => Epoch::default(),
                    Since::OtherEpoch => Epoch::new("other"),
                };
                let position = since.map(|(offset, kind)| StreamPosition { offset, epoch: epoch_of(kind) });
                let answer =
                    ready(rig.broker.history(&channel.to_string().as_str().into(), &options, HistoryFilter { limit, since: position, reverse }));
                if !options.has_history() {
                    assert_eq!(answer, Ok(History { publications: Vec::new(), position: StreamPosition::default() }));
                    continue;
                }
                model.stream_until = model.entries_until.max(now + history_meta_ttl(&options, META_TTL).ms());
                if let Some((_, Since::OtherEpoch)) = since {
                    let Err(BrokerError::UnrecoverablePosition { current, .. }) = answer else { panic!("step {n}: {answer:?}") };
                    model.meet(&current.epoch);
                    assert_eq!(current.offset, model.top, "step {n}");
                    continue;
                }
                let history = answer.unwrap_or_else(|error| panic!("step {n}: {error}"));
                model.meet(&history.position.epoch);
                assert_eq!(history.position.offset, model.top, "step {n}");
                let mut expected = model.kept(options.history_size);
                if reverse {
                    expected.reverse();
                }
                expected.retain(|(offset, _)| since.is_none_or(|(since, _)| if reverse { *offset < since } else { *offset > since }));
                expected.truncate(limit.unwrap_or(usize::MAX));
                let got: Vec<_> = history.publications.iter().map(|publication| (publication.offset, publication.data.bytes().clone())).collect();
                assert_eq!(got, expected, "step {n}");
            }
            Step::Remove { channel } => {
                ready(rig.broker.remove_history(&channel.to_string().as_str().into())).expect("removed");
                models.entry(channel).or_default().log.clear();
            }
            Step::Pass { ms } => rig.clock.advance(Duration::from_millis(ms)),
            Step::Sweep { budget } => {
                rig.broker.sweep(budget);
                if budget == usize::MAX {
                    models.values_mut().for_each(|model| model.pass(now));
                    let stats = rig.broker.stats();
                    assert_eq!(stats.streams, models.values().filter(|model| model.epoch.is_some()).count(), "step {n}");
                    let kept: usize = models.iter().map(|(channel, model)| model.kept(options_of(*channel).history_size).len()).sum();
                    assert_eq!(stats.publications, kept, "step {n}");
                }
            }
        }
    }
    for (channel, expected) in delivered {
        assert_eq!(rig.recorder.of(&channel.to_string().as_str().into()), expected, "delivered to {channel}");
    }
    assert_all_memory_returns(&rig);
}

/// Under caps so tight that they are hit all the time, what is given out must still be true.
fn check_under_tight_caps(steps: Vec<Step>) {
    const STREAMS_MAX: usize = 6;
    const BYTES_MAX: usize = 6_000;
    let rig = rig_of(MemoryBrokerSettings { history_bytes_max: BYTES_MAX, streams_max: STREAMS_MAX, idempotency_keys_max: 2, ..roomy() });
    let options = history_of(8);
    let mut published: HashMap<(usize, String, u64), Bytes> = HashMap::new();
    for (n, step) in steps.into_iter().enumerate() {
        match step {
            Step::Publish { channel, bytes, skip_history, key, version } => {
                let publish = Publish { skip_history, idempotency_key: key.map(|key| key.to_string()), version, ..sized(bytes) };
                let data = publish.data.bytes().clone();
                if let Some(position) = rig.publish(&channel.to_string(), &options, publish) {
                    published.entry((channel, position.epoch.as_str().to_string(), position.offset)).or_insert(data);
                }
            }
            Step::Read { channel, .. } => {
                let history = rig.history(&channel.to_string(), &options);
                assert_no_hole(&history);
                for publication in &history.publications {
                    let first = published.get(&(channel, history.position.epoch.as_str().to_string(), publication.offset));
                    assert_eq!(first, Some(publication.data.bytes()), "step {n}: offset {} was given twice", publication.offset);
                }
            }
            Step::Remove { channel } => ready(rig.broker.remove_history(&channel.to_string().as_str().into())).expect("removed"),
            Step::Pass { ms } => rig.clock.advance(Duration::from_millis(ms)),
            Step::Sweep { budget } => rig.broker.sweep(budget),
        }
        let stats = rig.broker.stats();
        let bytes_max = BYTES_MAX + stats.streams * (STREAM_BYTES + 2);
        let is_within = stats.streams <= STREAMS_MAX + SHARDS && stats.bytes <= bytes_max && stats.idempotency_keys <= 2;
        assert!(is_within, "step {n}: {stats:?}");
    }
    assert_all_memory_returns(&rig);
}

fn assert_all_memory_returns(rig: &MemoryRig) {
    rig.seconds(3_600);
    rig.broker.sweep(usize::MAX);
    assert_eq!(rig.broker.stats(), MemoryBrokerStats::default());
}

proptest! {
    #[test]
    fn a_broker_does_what_the_model_does(steps in prop::collection::vec(step(4), 0..120)) {
        check_against_model(steps);
    }

    #[test]
    fn under_tight_caps_history_is_cut_but_true(steps in prop::collection::vec(step(40), 0..200)) {
        check_under_tight_caps(steps);
    }
}
