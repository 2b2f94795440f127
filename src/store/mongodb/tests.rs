//! The contract against a server that speaks MongoDB's protocol, and what is MongoDB's own.

use super::super::contract::contract_tests;
use super::super::{Store, StoreError};
use super::{MongodbSettings, MongodbStore, OpenError, nobody};
use crate::config::Secret;
use bytes::Bytes;
use mongodb::bson::{Document, doc};
use secantus::Secantus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

#[path = "../../../tests/peers/secantus.rs"]
mod secantus;

fn settings(uri: &str) -> MongodbSettings {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    MongodbSettings {
        uri: Secret::new(uri),
        database: format!("aether{}", COUNT.fetch_add(1, Ordering::Relaxed)),
        timeout: Duration::from_millis(2_500),
        queue_max: 10_000,
        pool_max: 10,
        server_selection_timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(2),
    }
}

/// A server for all tests that do nothing to it; each has a database of its own.
async fn shared_server() -> &'static Secantus {
    static SERVER: OnceCell<Secantus> = OnceCell::const_new();
    SERVER.get_or_init(Secantus::start).await
}

async fn rig() -> (Arc<MongodbStore>, ()) {
    let settings = MongodbSettings { timeout: Duration::from_secs(30), ..settings(&shared_server().await.uri()) };
    (Arc::new(MongodbStore::open(settings).await.unwrap()), ())
}

contract_tests!(rig);

/// Waits until it is so; a failure tells the last state. A server that never answers is one too.
async fn eventually<T, E: std::fmt::Debug>(what: &str, probe: impl AsyncFn() -> Result<T, E>) -> T {
    let mut last = None;
    let probing = async {
        loop {
            match probe().await {
                Ok(value) => return value,
                Err(state) => last = Some(state),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(30), probing).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come true: {last:?}"),
    }
}

/// The collections of which something expires even when nobody sweeps.
const EXPIRING: [&str; 4] = ["blocks", "logins", "publications", "streams"];

async fn expiring(database: &mongodb::Database) -> Vec<String> {
    let mut names = database.list_collection_names().await.unwrap();
    names.sort();
    let mut expiring = Vec::new();
    for name in names {
        let indexes = database.run_command(doc! { "listIndexes": &name }).await.unwrap();
        let indexes = indexes.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).unwrap();
        if indexes.iter().filter_map(|index| index.as_document()).any(|index| index.contains_key("expireAfterSeconds")) {
            expiring.push(name);
        }
    }
    expiring
}

#[tokio::test]
async fn a_new_database_expires_what_nobody_sweeps_before_anything_is_in_it() {
    let (store, ()) = rig().await;
    let database = store.connection.database().await.unwrap();
    assert_eq!(expiring(&database).await, EXPIRING);
}

#[tokio::test]
async fn indexes_that_an_old_database_lacks_are_made_beside_the_work() {
    let settings = settings(&shared_server().await.uri());
    let name = settings.database.clone();
    let (other, ()) = rig().await;
    let database = other.connection.database().await.unwrap().client().database(&name);
    database.collection::<Document>("about").insert_one(doc! { "_id": "schema", "version": 1_i64 }).await.unwrap();
    let store = MongodbStore::open(settings).await.unwrap();
    store.ping().await.unwrap();
    eventually("the indexes", async || match expiring(&database).await {
        found if found == EXPIRING => Ok(()),
        found => Err(found),
    })
    .await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let settings = MongodbSettings { timeout: Duration::from_secs(30), ..settings(&shared_server().await.uri()) };
    let name = settings.database.clone();
    let (other, ()) = rig().await;
    let database = other.connection.database().await.unwrap().client().database(&name);
    database.collection::<Document>("about").insert_one(doc! { "_id": "schema", "version": 4_711_i64 }).await.unwrap();
    let store = MongodbStore::open(settings).await.unwrap();
    // The very first call too.
    match store.put_value("a", Bytes::new()).await {
        Err(StoreError::Unavailable { reason, .. }) => {
            assert!(reason.contains("newer") && reason.contains("schema 4711, this one knows 1"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(database.list_collection_names().await.unwrap(), ["about"]);
}

#[tokio::test]
async fn what_cannot_be_an_address_is_refused_at_once_and_without_its_password() {
    for uri in ["mongodb://aether:hushhush@", "mongodb://aether:hush:hush@localhost", "mongodb://aether:hushhush@localhost/?w=nonsense&tls=perhaps"] {
        let refused = MongodbStore::open(settings(uri)).await.map(drop);
        assert!(matches!(&refused, Err(OpenError::Uri { reason }) if !reason.contains("hush")), "{refused:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_without_either() {
    let uri = shared_server().await.uri();
    let secret = uri.split(['@', ':']).nth(2).unwrap().to_string();
    let store = MongodbStore::open(settings(&uri.replace(&secret, "hushhush"))).await.unwrap();
    let started = Instant::now();
    let error = store.ping().await.unwrap_err().to_string();
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(!error.contains("hush") && !error.contains(&secret), "{error}");
}

/// The store starts without its server, fails in time while it is away or silent, and is back by itself.
#[tokio::test]
async fn a_server_may_be_away_or_frozen() {
    let mut server = Secantus::start().await;
    server.kill();
    let store = MongodbStore::open(settings(&server.uri())).await.unwrap();
    let fails_in_time = async |store: &MongodbStore| {
        let started = Instant::now();
        let error = store.put_value("a", Bytes::from_static(b"0")).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        assert!(matches!(error, StoreError::Unavailable { .. } | StoreError::Timeout { .. }), "{error:?}");
        assert!(server.secrets().iter().all(|secret| !error.to_string().contains(secret)), "{error}");
    };
    fails_in_time(&store).await;
    assert!(store.state().trouble.is_some());
    // Beside others it may be the call's own limit that comes first.
    eventually("the address and the cause, in few words", async || match store.put_value("a", Bytes::from_static(b"0")).await {
        Err(error) if error.to_string().ends_with("I/O error: Connection refused (os error 111))") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    server.start_again().await;
    eventually("the server's use", async || store.put_value("a", Bytes::from_static(b"1")).await).await;
    assert_eq!(store.state().trouble, None);

    server.freeze();
    let started = Instant::now();
    let all = futures_util::future::join_all((0..100).map(|number| store.put_value("a", Bytes::from(number.to_string())))).await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(all.iter().all(Result::is_err), "{all:?}");
    // The driver's monitor notices, and what waits for an answer is ended: nothing piles up.
    eventually("the end of what waits", async || match store.state().waiting {
        0 => Ok(()),
        waiting => Err(waiting),
    })
    .await;
    server.thaw();
    eventually("the server's return", async || store.put_value("a", Bytes::from_static(b"2")).await).await;
    eventually("its value", async || match store.value("a").await {
        Ok(Some(value)) if *value == *b"2" => Ok(()),
        other => Err(other),
    })
    .await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn calls_that_wait_are_bounded() {
    let server = Secantus::start().await;
    let store = MongodbStore::open(MongodbSettings { queue_max: 3, ..settings(&server.uri()) }).await.unwrap();
    eventually("a first answer", async || store.ping().await).await;
    server.freeze();
    let outcomes = futures_util::future::join_all((0..5).map(|_| store.ping())).await;
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Overloaded { .. }))).count();
    assert!(refused >= 2, "{outcomes:?}");
    server.thaw();
    eventually("its return", async || store.ping().await).await;
}

#[test]
fn of_servers_that_cannot_be_reached_the_address_and_the_cause_are_told() {
    let said = "Server selection timeout: No available servers. Topology: { Type: ReplicaSetNoPrimary, Set Name: rs0, Servers: [ { Address: db1:27017, \
                Type: Unknown, Error: Kind: I/O error: Connection refused (os error 111), labels: {\"RetryableError\"}, source: None, server response: None }, \
                { Address: db2:27017, Type: RsSecondary, Average RTT: 1ms } ] }";
    assert_eq!(nobody(said), "no server can be used (db1:27017: I/O error: Connection refused (os error 111))");
    assert_eq!(nobody("none at all"), "none at all");
}
