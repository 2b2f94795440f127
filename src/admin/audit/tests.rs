//! The log on a real store: what is written, what is refused, what is found.

use super::chain::Fault;
use super::*;
use crate::config::StoreConfig;
use rusqlite::Connection;
use std::path::Path;

const FOR_EVER: AuditSettings = AuditSettings { retention_ms: 0, records_max: 0 };

struct Log {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    clock: Clock,
    audit: Audit,
    written: Arc<Mutex<Vec<u64>>>,
}

impl Log {
    async fn open(settings: AuditSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::open_in(folder, settings).await
    }

    async fn open_in(folder: tempfile::TempDir, settings: AuditSettings) -> Self {
        let store = crate::store::open(&StoreConfig::default(), folder.path()).await.unwrap();
        let clock = Clock::manual(1_800_000_000_000);
        let written = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&written);
        let audit = Audit::start(Arc::clone(&store), clock.clone(), settings, move |record| told.lock().push(record.sequence));
        Self { folder, store, clock, audit, written }
    }

    async fn records(&self) -> Vec<AuditRecord> {
        self.store.audit(&AuditQuery { limit: 10_000, ..AuditQuery::default() }).await.unwrap()
    }

    /// Stops log and store, so that somebody can lay hands on the file.
    async fn close(self) -> tempfile::TempDir {
        self.audit.stop().await;
        self.store.close().await.unwrap();
        self.folder
    }
}

fn act(actor: &str, action: &str) -> Act {
    Act { actor: actor.to_string(), origin: "192.0.2.1 websocket".to_string(), action: action.to_string(), ..Act::default() }
}

fn outcomes(records: &[AuditRecord]) -> Vec<(&str, &str)> {
    records.iter().map(|record| (record.action.as_str(), record.outcome.as_str())).collect()
}

#[actix_rt::test]
async fn an_action_stands_in_the_log_before_its_effect_and_what_came_of_it_behind_it() {
    let log = Log::open(FOR_EVER).await;
    let entry = log.audit.begin(act("alice", "sessions.kick")).await.unwrap();
    assert_eq!(outcomes(&log.records().await), [("sessions.kick", "begun")], "before anything is done");
    assert_eq!(*log.written.lock(), [1]);
    entry.finish(Outcome::Done(json!({ "kicked": 3 })));
    log.audit.begin(act("alice", "drain")).await.unwrap().finish(Outcome::Failed("no".to_string()));
    drop(log.audit.begin(act("alice", "lost")).await.unwrap());
    log.audit.note(act("bob", "login")).await.unwrap();
    log.audit.stop().await;
    let records = log.records().await;
    let mut seen = outcomes(&records);
    seen.sort_unstable();
    let mut expected = [
        ("sessions.kick", "begun"),
        ("sessions.kick", "done"),
        ("drain", "begun"),
        ("drain", "failed"),
        ("lost", "begun"),
        ("lost", "failed"),
        ("login", "noted"),
    ];
    expected.sort_unstable();
    assert_eq!(seen, expected);
    let done = records.iter().find(|record| record.outcome == "done").unwrap();
    assert_eq!(serde_json::from_str::<Value>(&done.details).unwrap(), json!({ "of": 1, "result": { "kicked": 3 } }));
    assert!(verify(&*log.store, &[]).await.unwrap().is_whole());
    assert!(matches!(log.audit.begin(act("alice", "late")).await.err(), Some(AuditError::Closed)));
}

#[actix_rt::test]
async fn without_a_record_nothing_begins() {
    let log = Log::open(FOR_EVER).await;
    log.audit.note(act("alice", "first")).await.unwrap();
    log.store.close().await.unwrap();
    let refused = log.audit.begin(act("alice", "sessions.kick")).await.err().expect("a closed store takes no record");
    assert!(matches!(refused, AuditError::Store { .. }), "{refused}");
}

#[actix_rt::test]
async fn a_flood_of_refused_calls_is_counted_in_one_record() {
    let log = Log::open(FOR_EVER).await;
    for _ in 0..50 {
        log.audit.refused(act("eve", "sessions.kick")).await.unwrap();
    }
    log.audit.refused(act("bob", "sessions.kick")).await.unwrap();
    log.audit.stop().await;
    let records = log.records().await;
    let of_eve = records.iter().filter(|record| record.actor == "eve").count();
    let summary = records.iter().find(|record| record.action == "audit.refusals").expect("a summary");
    assert_eq!((of_eve, summary.object.as_str(), summary.details.as_str()), (refusals::RECORDED_MAX as usize, "eve", r#"{"left_out":40}"#));
    assert_eq!(records.len(), refusals::RECORDED_MAX as usize + 2);
}

#[actix_rt::test]
async fn texts_of_any_length_become_records_of_a_bounded_one() {
    let log = Log::open(FOR_EVER).await;
    let long = "ä".repeat(100_000);
    let hostile = Act { actor: long.clone(), origin: long.clone(), action: long.clone(), object: long.clone(), details: json!({ "x": long }) };
    log.audit.note(hostile).await.unwrap();
    log.audit.note(Act { actor: "\0\n\u{1b}[2J\"'; DROP TABLE audit;--".to_string(), ..Act::default() }).await.unwrap();
    let records = log.records().await;
    assert_eq!(records.len(), 2);
    assert!(records[0].actor.len() <= ACTOR_BYTES_MAX && records[0].actor.ends_with('…'));
    assert!(records[0].details.len() <= DETAILS_BYTES_MAX, "{}", records[0].details.len());
    assert!(serde_json::from_str::<Value>(&records[0].details).is_ok(), "still JSON");
    assert!(verify(&*log.store, &[]).await.unwrap().is_whole());
}

#[actix_rt::test]
async fn the_chain_goes_on_after_a_restart_and_beside_another_process() {
    let log = Log::open(FOR_EVER).await;
    log.audit.note(act("a", "one")).await.unwrap();
    // Another writer on the same store, as the command line is.
    let other = Audit::start(Arc::clone(&log.store), log.clock.clone(), FOR_EVER, |_| {});
    other.note(act("b", "two")).await.unwrap();
    log.audit.note(act("a", "three")).await.unwrap();
    other.note(act("b", "four")).await.unwrap();
    other.stop().await;
    let log = Log::open_in(log.close().await, FOR_EVER).await;
    log.audit.note(act("a", "five")).await.unwrap();
    let records = log.records().await;
    assert_eq!(records.iter().map(|record| record.action.as_str()).collect::<Vec<_>>(), ["one", "two", "three", "four", "five"]);
    assert_eq!(records.iter().map(|record| record.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(verify(&*log.store, &[]).await.unwrap().is_whole());
}

#[actix_rt::test]
async fn old_records_are_forgotten_and_the_rest_stays_proven() {
    let log = Log::open(AuditSettings { retention_ms: 1_000_000, records_max: 100 }).await;
    for number in 0..90 {
        log.audit.note(act("a", &format!("n{number}"))).await.unwrap();
    }
    assert_eq!(log.audit.forget().await.unwrap(), 0, "neither old nor too many");
    for number in 90..130 {
        log.audit.note(act("a", &format!("n{number}"))).await.unwrap();
    }
    assert_eq!(log.audit.forget().await.unwrap(), 40, "down to nine tenths");
    let verdict = log.audit.verify(&[]).await.unwrap();
    assert_eq!((verdict.is_whole(), verdict.records, verdict.forgotten), (true, 91, 40));
    log.clock.advance(Duration::from_secs(2_000));
    log.audit.note(act("a", "young")).await.unwrap();
    assert_eq!(log.audit.forget().await.unwrap(), 91, "by age");
    let records = log.records().await;
    assert_eq!(records.iter().map(|record| record.action.as_str()).collect::<Vec<_>>(), ["young", CHECKPOINT]);
    let verdict = log.audit.verify(&[]).await.unwrap();
    assert!(verdict.is_whole(), "{:?}", verdict.faults);
    // The checkpoint does not cover more than it says.
    let log = Log::open_in(log.close().await, FOR_EVER).await;
    for _ in 0..3 {
        log.audit.note(act("a", "more")).await.unwrap();
    }
    log.store.forget_audit(records[0].sequence + 1).await.unwrap();
    let faults = log.audit.verify(&[]).await.unwrap().faults;
    assert_eq!(faults, [Fault::Removed { from: records[0].sequence, to: records[0].sequence }]);
}

/// What somebody with the file and a database program can do.
#[actix_rt::test]
async fn tampering_with_the_file_is_found_and_named() {
    let tampering = [
        ("UPDATE audit SET actor = 'mallory' WHERE sequence = 3", Fault::Changed { sequence: 3 }),
        ("UPDATE audit SET details = '{\"user\":\"bob\"}' WHERE sequence = 1", Fault::Changed { sequence: 1 }),
        ("UPDATE audit SET at = at - 1 WHERE sequence = 5", Fault::Changed { sequence: 5 }),
        ("DELETE FROM audit WHERE sequence = 4", Fault::Removed { from: 4, to: 4 }),
        ("DELETE FROM audit WHERE sequence <= 2", Fault::BeginsLate { sequence: 3 }),
        ("DELETE FROM audit WHERE sequence >= 5", Fault::Removed { from: 5, to: 6 }),
        ("DELETE FROM audit", Fault::Removed { from: 1, to: 6 }),
        (
            "UPDATE audit SET sequence = 99 WHERE sequence = 2; UPDATE audit SET sequence = 2 WHERE sequence = 3; UPDATE audit SET sequence = 3 WHERE sequence = 99",
            Fault::Changed { sequence: 2 },
        ),
    ];
    for (sql, fault) in tampering {
        let log = Log::open(FOR_EVER).await;
        for number in 1..=6 {
            log.audit.note(act("alice", &format!("n{number}"))).await.unwrap();
        }
        let folder = log.close().await;
        tamper(folder.path(), sql);
        let log = Log::open_in(folder, FOR_EVER).await;
        let faults = log.audit.verify(&[]).await.unwrap().faults;
        assert!(faults.contains(&fault), "{sql}: {faults:?}");
        log.close().await;
    }
}

fn tamper(folder: &Path, sql: &str) {
    Connection::open(folder.join("aether.db")).unwrap().execute_batch(sql).unwrap();
}
