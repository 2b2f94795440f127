//! What operators do while the hub runs: feeds come and go, rest, and are made to try again.

use crate::pool::store_in;
use crate::source::{Fault, Source};
use crate::support::*;
use aether::channel::ChannelName;
use aether::config::{FeedConfig, Secret};
use aether::upstream::{FeedLimits, Origin, Pause, Places, PoolSettings, Reconnect, RosterError, State};
use std::sync::Arc;
use std::time::Duration;

fn definition(name: &str, url: &str, channel: &str) -> FeedConfig {
    FeedConfig { name: name.to_string(), url: url.to_string(), channel: channel.to_string(), ..FeedConfig::default() }
}

async fn reconnect(world: &World, feed: Option<&str>) -> usize {
    in_time("the order to reconnect", world.pool.send(Reconnect { feed: feed.map(String::from) })).await.unwrap()
}

async fn pause(world: &World, feed: Option<&str>, is_paused: bool) -> bool {
    in_time("the order to pause", world.pool.send(Pause { feed: feed.map(String::from), is_paused })).await.unwrap()
}

#[actix_rt::test]
async fn a_feed_that_is_added_is_read_at_once_and_after_every_start_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (source, other) = (Source::start(Duration::from_millis(3)).await, Source::start(Duration::from_millis(3)).await);
    let settings = || PoolSettings { feeds: vec![feed("fixed", &other.url(), quick())], feeds_max: 3, ..pool_settings() };
    let store = store_in(folder.path()).await;
    let world = World::prepare(settings());
    let not_yet = world.upstream.add(definition("late", &source.url(), "ticks:late")).await;
    assert!(matches!(not_yet, Err(RosterError::NotYet)));
    world.upstream.keep(Arc::clone(&store), Arc::new(Shop::default())).await.unwrap();
    let world = world.begin();
    world.upstream.add(definition("late", &source.url(), "ticks:late")).await.unwrap();
    let seen = |world: &World| world.broker.records().iter().filter(|record| record.channel == "ticks:late").count();
    eventually("read", || world.show(), || (seen(&world) > 5).then_some(())).await;
    assert_eq!(world.report().feed("late").unwrap().origin, Origin::Added);

    let taken = world.upstream.add(definition("fixed", &source.url(), "ticks:x")).await.unwrap_err();
    assert!(matches!(taken, RosterError::Taken { .. }), "{taken}");
    let mut secret = definition("secret", "nonsense", "ticks:x");
    secret.headers.insert("Authorization".to_string(), Secret::new("topsecret"));
    let RosterError::Invalid { problems } = world.upstream.add(secret).await.unwrap_err() else { panic!("it was taken") };
    assert!(problems.len() == 2 && problems[0].starts_with("headers: ") && !format!("{problems:?}").contains("topsecret"), "{problems:?}");
    let broken = world.upstream.add(definition("much", &source.url(), &"x".repeat(100_000))).await.unwrap_err();
    assert!(matches!(broken, RosterError::Invalid { .. }), "{broken}");
    world.upstream.add(definition("third", &source.url(), "ticks:third")).await.unwrap();
    let full = world.upstream.add(definition("fourth", &source.url(), "ticks:x")).await.unwrap_err();
    assert!(matches!(full, RosterError::TooMany { max: 3 }), "{full}");
    world.upstream.remove("third").await.unwrap();
    let broker = Arc::clone(&world.broker);
    world.stop().await;
    let until = broker.records().iter().rfind(|record| record.channel == "ticks:late").unwrap().data.parse::<u64>().unwrap();

    // The next start: it is there again and goes on.
    let world = World::prepare(settings());
    assert_eq!(world.upstream.keep(Arc::clone(&store), Arc::new(Shop::default())).await.unwrap(), 2);
    let world = world.begin();
    eventually("read again", || world.show(), || (seen(&world) > 5).then_some(())).await;
    let first = world.broker.records().iter().find(|record| record.channel == "ticks:late").unwrap().data.parse::<u64>().unwrap();
    assert_eq!(first, until + 1, "it goes on where it was");
    let fixed = world.upstream.remove("fixed").await.unwrap_err();
    assert!(matches!(fixed, RosterError::Configured { .. }), "{fixed}");
    let unknown = world.upstream.remove("third").await.unwrap_err();
    assert!(matches!(unknown, RosterError::Unknown { .. }), "{unknown}");
    world.upstream.remove("late").await.unwrap();
    let gone = || (world.report().feeds.len() == 1 && source.open_connections() == 0 && world.report().places.held == 1).then_some(());
    eventually("gone", || world.show(), gone).await;
    world.stop().await;

    let world = World::prepare(settings());
    world.upstream.keep(Arc::clone(&store), Arc::new(Shop::default())).await.unwrap();
    assert_eq!(world.upstream.report(0).feeds.len(), 1, "and it stays away");
    assert!(world.upstream.added().await.is_empty());
    store.close().await.unwrap();
}

#[actix_rt::test]
async fn a_family_that_is_added_finds_who_listens_already_and_takes_all_along_when_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::start(Duration::from_millis(3)).await;
    let store = store_in(folder.path()).await;
    let world = World::prepare(pool_settings());
    let listened = vec![ChannelName::new("ticks:A"), ChannelName::new("ticks:B"), ChannelName::new("other:A")];
    listened.iter().for_each(|channel| world.upstream.wanted(channel));
    let shop = Shop { listened, upstream: Some(world.upstream.clone()), ..Shop::default() };
    world.upstream.keep(Arc::clone(&store), Arc::new(shop)).await.unwrap();
    let world = world.begin();
    let url = format!("http://{}/events?symbol={{symbol}}", source.address);
    world.upstream.add(definition("quotes", &url, "ticks:{symbol}")).await.unwrap();
    eventually("read", || world.show(), || (source.open_connections() == 2).then_some(())).await;
    let names: Vec<_> = world.report().feeds.iter().map(|feed| (feed.name.to_string(), feed.origin)).collect();
    assert_eq!(names, [("quotes[A]".to_string(), Origin::OnDemand), ("quotes[B]".to_string(), Origin::OnDemand)]);

    assert!(pause(&world, Some("quotes"), true).await);
    eventually("at rest", || world.show(), || (source.open_connections() == 0).then_some(())).await;
    world.upstream.wanted(&ChannelName::new("ticks:C"));
    assert!(pause(&world, Some("quotes[C]"), true).await && pause(&world, Some("quotes"), false).await);
    eventually("read but for one", || world.show(), || (source.open_connections() == 2).then_some(())).await;
    assert!(world.report().feed("quotes[C]").unwrap().is_paused);
    world.upstream.remove("quotes").await.unwrap();
    let gone = || (source.open_connections() == 0 && world.report().feeds.is_empty() && world.report().places == Places::default()).then_some(());
    eventually("gone", || world.show(), gone).await;
    world.stop().await;
    store.close().await.unwrap();
}

#[actix_rt::test]
async fn a_feed_rests_until_it_is_resumed_and_misses_nothing() {
    let source = Source::start(Duration::from_millis(3)).await;
    let other = Source::start(Duration::from_millis(3)).await;
    let mut settings = pool_settings();
    settings.feeds = vec![feed("feed", &source.url(), quick()), feed("other", &other.url(), quick())];
    let world = World::with(settings);
    let events = |name: &str| world.report().feed(name).unwrap().events;
    eventually("flowing", || world.show(), || (events("feed") > 5 && events("other") > 5).then_some(())).await;
    assert!(!pause(&world, Some("nobody"), true).await);
    assert!(pause(&world, Some("feed"), true).await);
    eventually("at rest", || world.show(), || (source.open_connections() == 0 && world.report().places.held == 1).then_some(())).await;
    let (rested, seen) = (world.report().feed("feed").unwrap().clone(), events("other"));
    assert_eq!((rested.state, rested.is_paused, rested.errors), (State::Closed, true, 0));
    eventually("the other flows", || world.show(), || (events("other") > seen + 20).then_some(())).await;
    assert_eq!(events("feed"), rested.events);

    assert!(pause(&world, None, true).await);
    eventually("all at rest", || world.show(), || (world.report().places == Places::default()).then_some(())).await;
    assert!(pause(&world, Some("feed"), false).await, "one of all");
    eventually("flowing again", || world.show(), || (events("feed") > rested.events + 5).then_some(())).await;
    assert_eq!((other.open_connections(), world.report().feed("other").unwrap().is_paused), (0, true));
    let mut numbers: Vec<u64> = world.broker.data().iter().map(|data| data.parse().unwrap()).collect();
    numbers.sort_unstable();
    let until = *numbers.last().unwrap();
    assert!((1..=until).filter(|number| *number > 3).all(|number| numbers.binary_search(&number).is_ok()), "nothing is missing: {numbers:?}");
    assert!(pause(&world, None, false).await);
    eventually("all flow", || world.show(), || (other.open_connections() == 1).then_some(())).await;
    world.stop().await;
}

#[actix_rt::test]
async fn a_parked_feed_tries_again_when_it_is_told_to_and_an_open_one_connects_anew() {
    let source = Source::start(Duration::from_millis(3)).await;
    source.break_with(Fault::Status404);
    let limits = FeedLimits { park_initial: Duration::from_secs(600), ..quick() };
    let world = World::reading(&source.url(), limits);
    world.until("parked", |feed| feed.state == State::Parked).await;
    assert_eq!(reconnect(&world, Some("feed")).await, 1);
    world.until("tried in vain", |feed| feed.attempts == 2 && feed.state == State::Parked).await;
    source.heal();
    assert_eq!((reconnect(&world, Some("nobody")).await, reconnect(&world, None).await), (0, 1));
    world.until("flowing", |feed| feed.events > 10 && feed.state == State::Open).await;
    for round in 1..=5 {
        assert_eq!(reconnect(&world, Some("feed")).await, 1);
        let seen = world.feed().events;
        world.until("connected anew", |feed| feed.attempts == 3 + round && feed.events > seen + 5 && feed.state == State::Open).await;
    }
    let numbers: Vec<u64> = world.broker.data().iter().map(|data| data.parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!((world.feed().gaps, world.feed().errors, source.open_max()), (0, 2, 1), "only the refusals are errors");
    world.stop().await;
}
