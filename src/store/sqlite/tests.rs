//! The contract against SQLite, and what is SQLite's own.

use super::super::contract::contract_tests;
use super::super::{Store, StoreError};
use super::open::OpenError;
use super::{Fault, SqliteSettings, SqliteStore};
use crate::config::Synchronous;
use crate::telemetry::store::StorePart;
use bytes::Bytes;
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

fn settings() -> SqliteSettings {
    SqliteSettings { timeout: Duration::from_millis(2_500), queue_max: 10_000, synchronous: Synchronous::Full }
}

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, &settings())
}

async fn rig() -> (Arc<SqliteStore>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Arc::new(open(&directory.path().join("made/aether.db")).unwrap()), directory)
}

contract_tests!(rig);

/// Holds the writing thread until the sender is used or dropped. What was begun before is done then.
async fn hold(store: &Arc<SqliteStore>) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (mut begun, store) = (Some(begun), Arc::clone(store));
    tokio::spawn(async move {
        let held = store.write(StorePart::Care, "wait", move |_| {
            if let Some(begun) = begun.take() {
                let _ = begun.send(());
            }
            let _ = released.recv();
            Ok(())
        });
        held.await
    });
    has_begun.await.unwrap();
    release
}

#[tokio::test]
async fn what_was_answered_is_there_after_the_next_start_in_a_file_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/aether.db");
    let store = open(&path).unwrap();
    store.put_value("a", Bytes::from_static(b"1")).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    store.close().await.unwrap();
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "a clean close leaves one file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(store.value("a").await.unwrap(), Some(Bytes::from_static(b"1")));
}

#[tokio::test]
async fn what_is_no_store_of_this_version_is_refused_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    std::fs::write(file("text.db"), "no database, but more than a hundred bytes of text ".repeat(90)).unwrap();
    std::fs::write(file("folder"), "").unwrap();
    Connection::open(file("foreign.db")).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    drop(open(&file("newer.db")).unwrap());
    let newer = Connection::open(file("newer.db")).unwrap();
    newer.pragma_update(None, "user_version", 4_711).unwrap();
    open(&file("damaged.db")).unwrap().close().await.unwrap();
    let mut bytes = std::fs::read(file("damaged.db")).unwrap();
    bytes[4_096..16_384].fill(0xaa);
    std::fs::write(file("damaged.db"), bytes).unwrap();
    let cases = [
        ("text.db", "is a database of another program"),
        ("foreign.db", "set store.sqlite.path to another file"),
        ("newer.db", "schema 4711, this one knows"),
        ("damaged.db", "put a backup in its place"),
        ("folder/aether.db", "set data_dir or store.sqlite.path"),
        ("/proc/aether.db", "set data_dir or store.sqlite.path"),
    ];
    for (name, expected) in cases {
        let error = open(&file(name)).map(drop).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[tokio::test]
async fn what_waits_shares_one_commit_and_fails_alone() {
    let (store, _rig) = rig().await;
    let release = hold(&store).await;
    let failing = store.write(StorePart::Values, "fail", |db| {
        db.execute_batch("INSERT INTO value VALUES ('half', x'00'); INSERT INTO value VALUES ('half', x'00')")?;
        Ok(())
    });
    let (before, failed, after, ()) = tokio::join!(store.put_value("before", Bytes::new()), failing, store.put_value("after", Bytes::new()), async {
        release.send(()).unwrap();
    });
    before.unwrap();
    after.unwrap();
    assert!(matches!(failed, Err(StoreError::Unavailable { what: "fail", .. })), "{failed:?}");
    assert_eq!(store.value("half").await.unwrap(), None);
    assert!(store.value("before").await.unwrap().is_some() && store.value("after").await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_disk_fails_what_is_too_large_and_nothing_beside_it() {
    let (store, _rig) = rig().await;
    // SQLite answers "full" beyond this, and gives up the whole transaction, as with a full disk.
    let shrink = store.write(StorePart::Care, "shrink", |db| Ok(db.pragma_update_and_check(None, "max_page_count", 60, |_| Ok(()))?));
    shrink.await.unwrap();
    let release = hold(&store).await;
    let large = Bytes::from(vec![7; 1_000_000]);
    let (small, large, other, ()) =
        tokio::join!(store.put_value("small", Bytes::new()), store.put_value("large", large), store.put_value("other", Bytes::new()), async {
            release.send(()).unwrap();
        });
    small.unwrap();
    other.unwrap();
    assert!(matches!(&large, Err(StoreError::Unavailable { reason, .. }) if reason.contains("full")), "{large:?}");
    assert_eq!(store.value("large").await.unwrap(), None);
    assert!(store.value("other").await.unwrap().is_some());
}

#[tokio::test]
async fn a_writer_that_hangs_is_reported_in_time_and_its_queue_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { timeout: Duration::from_millis(100), queue_max: 2, ..settings() };
    let store = Arc::new(SqliteStore::open(&directory.path().join("aether.db"), &settings).unwrap());
    let release = hold(&store).await;
    let (one, two, three) = tokio::join!(store.ping(), store.ping(), store.ping());
    for late in [one, two] {
        assert!(matches!(late, Err(StoreError::Timeout { waited_ms: 100, .. })), "{late:?}");
    }
    assert!(matches!(three, Err(StoreError::Overloaded { .. })), "{three:?}");
    assert!(store.state().trouble.is_some());
    assert_eq!(store.value("a").await.unwrap(), None, "reading goes on");
    // Nobody waits for those two any more, so that they take no room.
    let (four, ()) = tokio::join!(store.ping(), async { release.send(()).unwrap() });
    four.unwrap();
    assert_eq!(store.state().trouble, None);
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_ended_and_its_thread_is_free_again() {
    let directory = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { timeout: Duration::from_millis(100), ..settings() };
    let store = SqliteStore::open(&directory.path().join("aether.db"), &settings).unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    for _ in 0..4 {
        let outcome = store.read(StorePart::Values, "count", |db| Ok::<u64, Fault>(db.query_row(endless, [], |row| row.get(0))?)).await;
        assert!(matches!(outcome, Err(StoreError::Timeout { .. } | StoreError::Unavailable { .. })), "{outcome:?}");
    }
    assert_eq!(store.value("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_panic_is_its_callers_alone() {
    let (store, _rig) = rig().await;
    let written = store.write(StorePart::Care, "panic", |_| -> Result<(), Fault> { panic!("on purpose") }).await;
    let read = store.read(StorePart::Care, "panic", |_| -> Result<(), Fault> { panic!("on purpose") }).await;
    for outcome in [written, read] {
        assert!(matches!(outcome, Err(StoreError::Unavailable { .. })), "{outcome:?}");
    }
    store.put_value("a", Bytes::from_static(b"1")).await.unwrap();
    assert_eq!(store.value("a").await.unwrap(), Some(Bytes::from_static(b"1")));
}

#[tokio::test]
async fn another_process_may_write_too() {
    let (store, rig) = rig().await;
    let path = rig.path().join("made/aether.db");
    let other = open(&path).unwrap();
    other.put_value("a", Bytes::from_static(b"1")).await.unwrap();
    assert_eq!(store.value("a").await.unwrap(), Some(Bytes::from_static(b"1")));
    store.put_value("a", Bytes::from_static(b"2")).await.unwrap();
    assert_eq!(other.value("a").await.unwrap(), Some(Bytes::from_static(b"2")));
    other.close().await.unwrap();
}

#[tokio::test]
async fn space_is_given_back() {
    let (store, rig) = rig().await;
    let size = || rig.path().join("made/aether.db").metadata().unwrap().len();
    store.put_value("a", Bytes::from(vec![1; 8_000_000])).await.unwrap();
    store.put_value("a", Bytes::new()).await.unwrap();
    let mut given = 0;
    loop {
        match store.compact().await.unwrap() {
            0 => break,
            bytes => given += bytes,
        }
    }
    assert!(given >= 8_000_000, "{given}");
    store.close().await.unwrap();
    assert!(size() < 1_000_000, "{}", size());
}
