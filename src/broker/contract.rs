//! What every broker promises, as tests: written once, run against each implementation by `contract_tests!`.

use super::{Answer, Broker, BrokerError, ChannelEvent, Deliver, History, HistoryFilter, PresenceStats, Publish, Published};
use crate::channel::{ChannelName, ChannelOptions, ClientInfo, Epoch, Payload, Publication, SessionId, StreamPosition};
use crate::units::HumanDuration;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The general meta TTL that brokers under test are made with.
pub const META_TTL: HumanDuration = HumanDuration::from_secs(60);
/// The idempotency TTL that brokers under test are made with.
pub const KEY_TTL: HumanDuration = HumanDuration::from_secs(20);

/// A broker under test with what it stands on. A rig is fresh for each test.
pub trait Rig {
    fn broker(&self) -> &dyn Broker;
    fn recorder(&self) -> &Recorder;
    /// Lets time pass for the broker.
    async fn pass(&self, time: Duration);
}

/// Keeps what the broker delivers.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<(ChannelName, ChannelEvent)>>);

impl Deliver for Recorder {
    fn deliver(&self, channel: &ChannelName, event: ChannelEvent) {
        self.0.lock().push((channel.clone(), event));
    }
}

impl Recorder {
    /// What came for `channel` so far, each event as text: `offset:data`, with `-` for the offset where there is no position, `+user` or
    /// `-user`.
    pub fn of(&self, channel: &ChannelName) -> Vec<String> {
        self.0.lock().iter().filter(|(of, _)| of == channel).map(|(_, event)| describe(event)).collect()
    }

    /// Waits until `channel` got as many events as there are in `expected`, and compares.
    async fn expect(&self, channel: &ChannelName, expected: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.of(channel).len() < expected.len() && Instant::now() < deadline {
            actix_rt::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(self.of(channel), expected, "delivered to {channel}");
    }
}

fn describe(event: &ChannelEvent) -> String {
    match event {
        ChannelEvent::Publication { publication, position, .. } => {
            assert_eq!(publication.offset, position.as_ref().map_or(0, |position| position.offset), "offset and position differ");
            let offset = position.as_ref().map_or("-".to_string(), |position| position.offset.to_string());
            format!("{offset}:{}", String::from_utf8_lossy(&publication.data))
        }
        ChannelEvent::Join(info) => format!("+{}", info.user),
        ChannelEvent::Leave(info) => format!("-{}", info.user),
    }
}

/// Options with history of this size, which lives for ten seconds.
pub fn history_of(history_size: u32) -> ChannelOptions {
    ChannelOptions { history_size, history_ttl: HumanDuration::from_secs(10), ..ChannelOptions::default() }
}

pub fn without_history() -> ChannelOptions {
    ChannelOptions::default()
}

/// A publish of this number.
pub fn number(number: u64) -> Publish {
    Publish { data: Payload::from_json(Bytes::from(number.to_string())), ..Publish::default() }
}

pub const ALL: HistoryFilter = HistoryFilter { limit: None, since: None, reverse: false };

pub fn offsets(publications: &[Arc<Publication>]) -> Vec<u64> {
    publications.iter().map(|publication| publication.offset).collect()
}

pub fn client(user: &str) -> Arc<ClientInfo> {
    Arc::new(ClientInfo { user: user.into(), client: SessionId::random(), conn_info: Bytes::new(), chan_info: Bytes::new() })
}

async fn ok<T: Unpin + 'static>(answer: Answer<Result<T, BrokerError>>) -> T {
    answer.await.unwrap_or_else(|error| panic!("{error}"))
}

fn offset(published: &Published) -> u64 {
    published.as_ref().map_or(0, |position| position.offset)
}

/// A rig seen from one channel.
struct Bench<'a, R> {
    rig: &'a R,
    channel: ChannelName,
    options: ChannelOptions,
}

impl<'a, R: Rig> Bench<'a, R> {
    fn new(rig: &'a R, channel: &str, options: ChannelOptions) -> Self {
        Self { rig, channel: channel.into(), options }
    }
    async fn publish(&self, publish: Publish) -> Published {
        ok(self.rig.broker().publish(&self.channel, &self.options, publish)).await
    }
    async fn publish_numbers(&self, numbers: std::ops::RangeInclusive<u64>) {
        for n in numbers {
            self.publish(number(n)).await;
        }
    }
    async fn history(&self) -> History {
        ok(self.rig.broker().history(&self.channel, &self.options, ALL)).await
    }
    async fn read(&self, filter: HistoryFilter) -> Result<History, BrokerError> {
        self.rig.broker().history(&self.channel, &self.options, filter).await
    }
    async fn offsets(&self) -> Vec<u64> {
        offsets(&self.history().await.publications)
    }
    async fn position(&self) -> StreamPosition {
        self.history().await.position
    }
    async fn pass(&self, seconds: u64) {
        self.rig.pass(Duration::from_secs(seconds)).await;
    }
    async fn delivered(&self, expected: &[&str]) {
        self.rig.recorder().expect(&self.channel, expected).await;
    }
}

pub async fn offsets_count_from_one_and_deliveries_follow_them(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(10));
    let first = bench.publish(number(11)).await.expect("a position");
    let second = bench.publish(number(12)).await.expect("a position");
    assert_eq!((first.offset, second.offset), (1, 2));
    assert!(!first.epoch.is_empty());
    assert_eq!(first.epoch, second.epoch);
    let history = bench.history().await;
    assert_eq!(offsets(&history.publications), [1, 2]);
    assert_eq!(&history.publications[1].data[..], b"12");
    assert_eq!(history.position, second);
    bench.delivered(&["1:11", "2:12"]).await;
}

pub async fn author_and_tags_travel_along(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(10));
    let (author, tags) = (client("anna"), Arc::new([("a".to_string(), "b".to_string())].into()));
    bench.publish(Publish { info: Some(Arc::clone(&author)), tags: Some(Arc::clone(&tags)), ..number(1) }).await;
    let kept = bench.history().await.publications.remove(0);
    assert_eq!((kept.info.as_ref(), kept.tags.as_ref()), (Some(&author), Some(&tags)));
}

pub async fn a_channel_without_history_delivers_and_keeps_nothing(rig: &impl Rig) {
    let bench = Bench::new(rig, "plain", without_history());
    assert_eq!(bench.publish(number(1)).await, None);
    assert_eq!(bench.publish(Publish { version: 7, ..number(2) }).await, None);
    assert_eq!(bench.publish(Publish { version: 7, ..number(3) }).await, None);
    assert_eq!(bench.history().await, History { publications: Vec::new(), position: StreamPosition::default() });
    bench.delivered(&["-:1", "-:2", "-:3"]).await;
}

pub async fn a_publication_that_skips_history_takes_no_offset(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(10));
    bench.publish(number(1)).await;
    assert_eq!(bench.publish(Publish { skip_history: true, ..number(2) }).await, None);
    assert_eq!(offset(&bench.publish(number(3)).await), 2);
    assert_eq!(bench.offsets().await, [1, 2]);
    bench.delivered(&["1:1", "-:2", "2:3"]).await;
}

pub async fn channels_do_not_touch_one_another(rig: &impl Rig) {
    let (one, other) = (Bench::new(rig, "one", history_of(10)), Bench::new(rig, "other", history_of(10)));
    one.publish_numbers(1..=3).await;
    assert_eq!(offset(&other.publish(number(9)).await), 1);
    ok(rig.broker().remove_history(&one.channel)).await;
    assert_eq!(other.offsets().await, [1]);
    other.delivered(&["1:9"]).await;
}

pub async fn history_gives_what_the_filter_asks_for(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(4));
    bench.publish_numbers(1..=6).await;
    let epoch = bench.position().await.epoch;
    // Kept are 3 to 6.
    let (forward, reverse) = (false, true);
    /// Limit, since, direction, what comes.
    type Case<'a> = (Option<usize>, Option<u64>, bool, &'a [u64]);
    let cases: [Case; 26] = [
        (None, None, forward, &[3, 4, 5, 6]),
        (Some(0), None, forward, &[]),
        (Some(1), None, forward, &[3]),
        (Some(3), None, forward, &[3, 4, 5]),
        (Some(9), None, forward, &[3, 4, 5, 6]),
        (None, None, reverse, &[6, 5, 4, 3]),
        (Some(0), None, reverse, &[]),
        (Some(2), None, reverse, &[6, 5]),
        (None, Some(0), forward, &[3, 4, 5, 6]),
        (None, Some(1), forward, &[3, 4, 5, 6]),
        (None, Some(2), forward, &[3, 4, 5, 6]),
        (None, Some(3), forward, &[4, 5, 6]),
        (None, Some(5), forward, &[6]),
        (None, Some(6), forward, &[]),
        (None, Some(7), forward, &[]),
        (None, Some(u64::MAX), forward, &[]),
        (Some(2), Some(1), forward, &[3, 4]),
        (Some(2), Some(3), forward, &[4, 5]),
        (Some(0), Some(3), forward, &[]),
        (None, Some(0), reverse, &[]),
        (None, Some(3), reverse, &[]),
        (None, Some(4), reverse, &[3]),
        (Some(2), Some(6), reverse, &[5, 4]),
        (None, Some(7), reverse, &[6, 5, 4, 3]),
        (Some(1), Some(100), reverse, &[6]),
        (None, Some(u64::MAX), reverse, &[6, 5, 4, 3]),
    ];
    for (limit, since, reverse, expected) in cases {
        for epoch in [epoch.clone(), Epoch::default()] {
            let filter = HistoryFilter { limit, since: since.map(|offset| StreamPosition { offset, epoch }), reverse };
            let history = bench.read(filter.clone()).await.unwrap_or_else(|error| panic!("{filter:?}: {error}"));
            assert_eq!(offsets(&history.publications), expected, "{filter:?}");
            assert_eq!(history.position.offset, 6, "{filter:?}");
        }
    }
}

pub async fn a_position_of_another_epoch_is_refused(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(4));
    bench.publish_numbers(1..=2).await;
    let current = bench.position().await;
    for (limit, reverse) in [(None, false), (Some(0), false), (None, true)] {
        let since = StreamPosition { offset: 1, epoch: Epoch::new("other") };
        let answer = bench.read(HistoryFilter { limit, since: Some(since.clone()), reverse }).await;
        assert_eq!(answer, Err(BrokerError::UnrecoverablePosition { channel: bench.channel.clone(), since, current: current.clone() }));
    }
}

pub async fn reading_an_unseen_channel_begins_its_stream(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(4));
    let first = bench.history().await;
    assert_eq!((first.publications.len(), first.position.offset), (0, 0));
    assert!(!first.position.epoch.is_empty());
    assert_eq!(bench.position().await, first.position);
    let published = bench.publish(number(1)).await;
    assert_eq!(published, Some(StreamPosition { offset: 1, epoch: first.position.epoch }));
}

pub async fn history_keeps_the_newest_up_to_its_size(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(3));
    bench.publish_numbers(1..=5).await;
    assert_eq!(bench.offsets().await, [3, 4, 5]);
    let smaller = Bench::new(rig, "news", history_of(1));
    smaller.publish(number(6)).await;
    assert_eq!(bench.offsets().await, [6]);
}

pub async fn entries_end_with_their_ttl_and_each_publish_renews_it(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(10));
    bench.publish(number(1)).await;
    bench.pass(6).await;
    bench.publish(number(2)).await;
    bench.pass(6).await;
    assert_eq!(bench.offsets().await, [1, 2]);
    let before = bench.position().await;
    bench.pass(4).await;
    assert_eq!(bench.offsets().await, [0; 0], "reading must not renew the entries");
    assert_eq!(bench.position().await, before);
    assert_eq!(bench.publish(number(3)).await, Some(StreamPosition { offset: 3, epoch: before.epoch }));
    assert_eq!(bench.offsets().await, [3]);
}

pub async fn a_stream_unused_for_its_meta_ttl_begins_a_new_epoch(rig: &impl Rig) {
    for options in [history_of(10), ChannelOptions { history_meta_ttl: HumanDuration::from_secs(60), ..history_of(10) }] {
        let bench = Bench::new(rig, if options.history_meta_ttl.is_zero() { "general" } else { "own" }, options);
        let first = bench.publish(number(1)).await.expect("a position");
        bench.pass(59).await;
        assert_eq!(bench.position().await, first, "reading is use");
        bench.pass(59).await;
        let second = bench.publish(number(2)).await.expect("a position");
        assert_eq!(second, StreamPosition { offset: 2, ..first.clone() }, "publishing is use");
        bench.pass(60).await;
        let third = bench.position().await;
        assert_eq!(third.offset, 0);
        assert_ne!(third.epoch, first.epoch);
        let late = bench.read(HistoryFilter { since: Some(second), ..ALL }).await;
        assert!(matches!(late, Err(BrokerError::UnrecoverablePosition { .. })), "{late:?}");
    }
}

pub async fn a_stream_outlives_its_entries(rig: &impl Rig) {
    let options = ChannelOptions { history_ttl: HumanDuration::from_secs(50), history_meta_ttl: HumanDuration::from_secs(5), ..history_of(10) };
    let bench = Bench::new(rig, "news", options);
    let position = bench.publish(number(1)).await;
    bench.pass(45).await;
    assert_eq!((bench.offsets().await, Some(bench.position().await)), (vec![1], position));
}

pub async fn removing_history_keeps_the_position(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(10));
    ok(rig.broker().remove_history(&bench.channel)).await;
    bench.publish_numbers(1..=3).await;
    let before = bench.position().await;
    ok(rig.broker().remove_history(&bench.channel)).await;
    let after = bench.history().await;
    assert_eq!((after.publications.len(), &after.position), (0, &before));
    assert_eq!(bench.publish(number(4)).await, Some(StreamPosition { offset: 4, epoch: before.epoch }));
    assert_eq!(bench.offsets().await, [4]);
}

pub async fn a_key_publishes_once(rig: &impl Rig) {
    let keyed = |n: u64, key: &str| Publish { idempotency_key: Some(key.to_string()), ..number(n) };
    let bench = Bench::new(rig, "news", history_of(10));
    let first = bench.publish(keyed(1, "a")).await;
    bench.publish(number(2)).await;
    assert_eq!(bench.publish(keyed(3, "a")).await, first, "the first result again");
    assert_eq!(offset(&bench.publish(keyed(4, "b")).await), 3);
    assert_eq!(offset(&bench.publish(keyed(5, "")).await), 4, "an empty key is none");
    assert_eq!(offset(&bench.publish(keyed(6, "")).await), 5);
    bench.delivered(&["1:1", "2:2", "3:4", "4:5", "5:6"]).await;

    let other = Bench::new(rig, "other", history_of(10));
    assert_eq!(offset(&other.publish(keyed(1, "a")).await), 1, "keys are per channel");

    let plain = Bench::new(rig, "plain", without_history());
    for n in 1..=2 {
        assert_eq!(plain.publish(keyed(n, "a")).await, None);
    }
    plain.delivered(&["-:1"]).await;

    bench.pass(19).await;
    assert_eq!(bench.publish(keyed(7, "a")).await, first);
    bench.pass(1).await;
    assert_eq!(offset(&bench.publish(keyed(8, "a")).await), 6, "the key has ended");
    bench.delivered(&["1:1", "2:2", "3:4", "4:5", "5:6", "6:8"]).await;
}

pub async fn an_older_version_is_skipped(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(10));
    // version, its epoch, offset afterwards: the same as before where it is skipped
    let steps = [
        (0, "", 1),
        (5, "", 2),
        (5, "", 2),
        (4, "", 2),
        (0, "", 3),
        (5, "", 3),
        (6, "", 4),
        (1, "x", 5),
        (1, "x", 5),
        (2, "x", 6),
        (2, "", 6),
        (3, "", 7),
        (1, "y", 8),
    ];
    for (n, (version, epoch, top)) in (1..).zip(steps) {
        let published = bench.publish(Publish { version, version_epoch: epoch.to_string(), ..number(n) }).await;
        assert_eq!(offset(&published), top, "step {n}: version {version} of {epoch:?}");
        assert_eq!(bench.position().await.offset, top);
    }
    bench.delivered(&["1:1", "2:2", "3:5", "4:7", "5:8", "6:10", "7:12", "8:13"]).await;
}

pub async fn a_skipped_version_is_remembered_by_its_key(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(10));
    bench.publish(Publish { version: 5, ..number(1) }).await;
    let retried = |version| Publish { version, idempotency_key: Some("a".to_string()), ..number(2) };
    let first = bench.publish(retried(5)).await;
    bench.publish(Publish { version: 6, ..number(3) }).await;
    assert_eq!(bench.publish(retried(7)).await, first);
    bench.delivered(&["1:1", "2:3"]).await;
}

pub async fn joins_and_leaves_keep_their_place_among_publications(rig: &impl Rig) {
    let bench = Bench::new(rig, "news", history_of(10));
    let anna = client("anna");
    ok(rig.broker().join(&bench.channel, Arc::clone(&anna))).await;
    bench.publish(number(1)).await;
    ok(rig.broker().leave(&bench.channel, anna)).await;
    bench.delivered(&["+anna", "1:1", "-anna"]).await;
    assert_eq!(bench.offsets().await, [1], "history is of publications only");
}

pub async fn presence_knows_exactly_who_is_there(rig: &impl Rig) {
    let (room, other): (ChannelName, ChannelName) = ("room".into(), "other".into());
    let broker = rig.broker();
    let (anna, ben, nobody, nobody_else) = (client("anna"), client("ben"), client(""), client(""));
    for info in [&anna, &ben, &nobody, &nobody_else] {
        ok(broker.add_presence(&room, Arc::clone(info))).await;
    }
    ok(broker.add_presence(&other, Arc::clone(&anna))).await;
    assert_eq!(ok(broker.presence_stats(&room)).await, PresenceStats { clients: 4, users: 3 });

    let renamed = Arc::new(ClientInfo { conn_info: Bytes::from_static(b"{}"), ..(*anna).clone() });
    ok(broker.add_presence(&room, Arc::clone(&renamed))).await;
    ok(broker.remove_presence(&room, nobody.client)).await;
    ok(broker.remove_presence(&room, nobody.client)).await;
    ok(broker.remove_presence(&room, SessionId::random())).await;
    let mut present = ok(broker.presence(&room)).await;
    present.sort_by_key(|info| info.user.clone());
    assert_eq!(present, [nobody_else, renamed, ben]);
    assert_eq!(ok(broker.presence_stats(&room)).await, PresenceStats { clients: 3, users: 3 });

    ok(broker.remove_presence(&other, anna.client)).await;
    assert_eq!(ok(broker.presence(&other)).await, []);
    assert_eq!(ok(broker.presence_stats(&other)).await, PresenceStats::default());
    assert_eq!(ok(broker.presence(&"never seen".into())).await, []);
}

/// Runs the whole contract against the rigs that the async function `$rig` makes.
macro_rules! contract_tests {
    ($rig:path) => {
        $crate::broker::contract::contract_tests! {
            $rig:
            offsets_count_from_one_and_deliveries_follow_them,
            author_and_tags_travel_along,
            a_channel_without_history_delivers_and_keeps_nothing,
            a_publication_that_skips_history_takes_no_offset,
            channels_do_not_touch_one_another,
            history_gives_what_the_filter_asks_for,
            a_position_of_another_epoch_is_refused,
            reading_an_unseen_channel_begins_its_stream,
            history_keeps_the_newest_up_to_its_size,
            entries_end_with_their_ttl_and_each_publish_renews_it,
            a_stream_unused_for_its_meta_ttl_begins_a_new_epoch,
            a_stream_outlives_its_entries,
            removing_history_keeps_the_position,
            a_key_publishes_once,
            an_older_version_is_skipped,
            a_skipped_version_is_remembered_by_its_key,
            joins_and_leaves_keep_their_place_among_publications,
            presence_knows_exactly_who_is_there,
        }
    };
    ($rig:path: $($name:ident,)+) => {
        $(
            #[actix_rt::test]
            async fn $name() {
                $crate::broker::contract::$name(&$rig().await).await;
            }
        )+
    };
}
pub(in crate::broker) use contract_tests;
