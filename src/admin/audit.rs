//! The audit log: who did what to what, from where, and what came of it. Append-only, each record chained to the one before.
//!
//! One task owns the chain and writes record after record; everybody else holds an [`Audit`] and asks it. An action is recorded by
//! [`Audit::begin`] *before* its effect and by [`Entry::finish`] after it; without the first record there is no effect. Deliberately absent:
//! judging who may do what, and the bytes of the records, which are the store's.

pub mod chain;
mod refusals;
#[cfg(test)]
mod tests;

use crate::clock::{Clock, Millis};
use crate::store::{AuditQuery, AuditRecord, Store, StoreError, WallMs};
use crate::telemetry::audit::{AuditFailed, AuditForgotten, AuditLost, AuditWritten};
use crate::telemetry::emit;
use crate::telemetry::watchdog::{RestartCause, Restarted, Watched};
use chain::{CHECKPOINT, Checkpoint, GENESIS, Head, Verdict as ChainVerdict, Verifier};
use parking_lot::Mutex;
use refusals::{OTHERS, Refusals, Verdict, WINDOW_MS};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Records that may wait for the writer. Beyond it actions are refused, and notes that nobody waits for are counted.
const QUEUE_MAX: usize = 256;

/// Outcomes and notes that are kept while the store does not take them. Beyond it they are counted, and the count is recorded.
const BACKLOG_MAX: usize = 1_024;

/// Time for a record to be written, its wait included. A little more than the store's own deadline, so that the store says why.
const WRITE_MAX: Duration = Duration::from_secs(5);

/// Between two looks at what is due: summaries of refused calls, the backlog, the head, old records.
const TICK: Duration = Duration::from_secs(1);

/// Between two looks for records that are old enough to be forgotten.
const RETENTION_INTERVAL_MS: Millis = 3_600_000;

/// Tries to find the end of a chain that another process writes to as well.
const TRIES: usize = 8;

/// Records that one read of a verification takes.
const PAGE: usize = 1_000;

/// Under this name the store keeps where the chain stands.
const HEAD_KEY: &str = "audit.head";

/// Bytes of a record's texts. What is longer is cut, and says so.
const ACTOR_BYTES_MAX: usize = 256;
const ORIGIN_BYTES_MAX: usize = 256;
const ACTION_BYTES_MAX: usize = 128;
const OBJECT_BYTES_MAX: usize = 512;
const DETAILS_BYTES_MAX: usize = 4_096;

/// The actor of what the hub does by itself.
pub const HUB: &str = "(hub)";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// Milliseconds that a record is kept. 0: for ever.
    pub retention_ms: i64,
    /// Records that are kept. 0: any number.
    pub records_max: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("the audit log cannot be written")]
    Store {
        #[from]
        source: StoreError,
    },
    #[error("too many records wait for the audit log")]
    Overloaded,
    #[error("the audit log did not take a record within {} s", WRITE_MAX.as_secs())]
    Timeout,
    #[error("the audit log is closed")]
    Closed,
    #[error("another process writes to the audit log without a pause")]
    Contended,
}

/// Who did what, from where, to what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Act {
    /// User, API key or part of the hub.
    pub actor: String,
    /// Address and kind of connection.
    pub origin: String,
    pub action: String,
    /// May be empty.
    pub object: String,
    /// Without secrets: whoever calls has taken them out.
    pub details: Value,
}

/// What came of an action that had begun.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Done(Value),
    Failed(String),
}

/// The way to the one writer. Clones are handles to the same.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
}

struct Shared {
    jobs: mpsc::Sender<Job>,
    clock: Clock,
    refusals: Mutex<Refusals>,
    /// Notes that found no room in the queue.
    lost: AtomicU64,
    store: Arc<dyn Store>,
}

enum Job {
    Append {
        draft: Draft,
        /// `None`: nobody waits, so what cannot be written now is kept for later.
        reply: Option<oneshot::Sender<Result<u64, AuditError>>>,
    },
    Forget(oneshot::Sender<Result<u64, AuditError>>),
    Stop(oneshot::Sender<()>),
}

/// A record before it has its place in the chain.
#[derive(Clone, Debug)]
struct Draft {
    at: WallMs,
    actor: String,
    origin: String,
    action: String,
    object: String,
    details: String,
    outcome: &'static str,
}

impl Draft {
    fn new(act: Act, outcome: &'static str, at: WallMs) -> Self {
        Self {
            at,
            actor: cut(act.actor, ACTOR_BYTES_MAX),
            origin: cut(act.origin, ORIGIN_BYTES_MAX),
            action: cut(act.action, ACTION_BYTES_MAX),
            object: cut(act.object, OBJECT_BYTES_MAX),
            details: details(&act.details),
            outcome,
        }
    }

    fn behind(&self, head: &Head) -> AuditRecord {
        let mut record = AuditRecord {
            sequence: head.sequence + 1,
            at: self.at,
            actor: self.actor.clone(),
            origin: self.origin.clone(),
            action: self.action.clone(),
            object: self.object.clone(),
            details: self.details.clone(),
            outcome: self.outcome.to_string(),
            previous: head.hash.clone(),
            hash: String::new(),
        };
        record.hash = chain::hash(&record);
        record
    }
}

/// At most `max` bytes of a text, cut between characters.
fn cut(mut text: String, max: usize) -> String {
    const MARK: &str = "…";
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - MARK.len()));
        text.push_str(MARK);
    }
    text
}

/// Details as JSON; of what is too long, how long it was and how it begins.
fn details(value: &Value) -> String {
    let text = if value.is_null() { "{}".to_string() } else { value.to_string() };
    if text.len() <= DETAILS_BYTES_MAX {
        return text;
    }
    let bytes = text.len();
    // Quoted once more, a text may become twice as long.
    json!({ "cut": bytes, "begins": cut(text, DETAILS_BYTES_MAX / 4) }).to_string()
}

impl Audit {
    /// Starts the writer on the calling runtime; it ends with [`Audit::stop`]. `on_record` is told every record that was written, from the
    /// writer's task, and must not wait.
    pub fn start(store: Arc<dyn Store>, clock: Clock, settings: AuditSettings, on_record: impl Fn(&AuditRecord) + Send + Sync + 'static) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let shared = Arc::new(Shared { jobs, clock: clock.clone(), refusals: Mutex::default(), lost: AtomicU64::new(0), store: Arc::clone(&store) });
        let writer = Writer {
            shared: Arc::clone(&shared),
            queue,
            store,
            clock,
            settings,
            on_record: Box::new(on_record),
            head: None,
            is_head_kept: true,
            backlog: VecDeque::new(),
            lost: 0,
            retention_due: 0,
            summaries_due: 0,
        };
        let writer = Arc::new(tokio::sync::Mutex::new(writer));
        tokio::spawn(async move {
            loop {
                let writing = Arc::clone(&writer);
                // A task that panicked gives its join handle an error; without a writer no action would ever be allowed again.
                if tokio::spawn(async move { writing.lock().await.run().await }).await.is_ok() {
                    return;
                }
                emit(Restarted { watched: Watched::Audit, cause: RestartCause::Panicked });
            }
        });
        Self { shared }
    }

    /// Records that an action begins. Its effect may come when this has been answered with `Ok`, and not before.
    pub async fn begin(&self, act: Act) -> Result<Entry, AuditError> {
        let draft = self.draft(act.clone(), "begun");
        let sequence = self.append(draft).await?;
        Ok(Entry { audit: self.clone(), act: Some(act), sequence })
    }

    /// Records something that has no effect, or that others have done already.
    pub async fn note(&self, act: Act) -> Result<(), AuditError> {
        let draft = self.draft(act, "noted");
        self.append(draft).await.map(|_| ())
    }

    /// Like [`Audit::note`], without waiting: it is written when the log can be.
    pub fn note_later(&self, act: Act) {
        let draft = self.draft(act, "noted");
        self.append_later(draft);
    }

    /// Records a call that was refused, or counts it, if its actor has been refused often of late.
    pub async fn refused(&self, act: Act) -> Result<(), AuditError> {
        let verdict = self.shared.refusals.lock().on(&act.actor, self.shared.clock.now());
        match verdict {
            Verdict::Count => Ok(()),
            Verdict::Record => {
                let draft = self.draft(act, "refused");
                self.append(draft).await.map(|_| ())
            }
        }
    }

    /// Like [`Audit::refused`], without waiting.
    pub fn refused_later(&self, act: Act) {
        if self.shared.refusals.lock().on(&act.actor, self.shared.clock.now()) == Verdict::Record {
            let draft = self.draft(act, "refused");
            self.append_later(draft);
        }
    }

    /// Looks through the whole log. `known`: what an operator has noted of it at another place.
    pub async fn verify(&self, known: &[Head]) -> Result<ChainVerdict, AuditError> {
        Ok(verify(&*self.shared.store, known).await?)
    }

    pub async fn list(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, AuditError> {
        Ok(self.shared.store.audit(query).await?)
    }

    /// Forgets now what is old enough, instead of within the hour. How many records that were.
    pub async fn forget(&self) -> Result<u64, AuditError> {
        let (reply, answer) = oneshot::channel();
        self.shared.jobs.try_send(Job::Forget(reply)).map_err(|_| AuditError::Overloaded)?;
        answer.await.map_err(|_| AuditError::Closed)?
    }

    /// Writes what is queued and ends the writer. Later calls fail.
    pub async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.shared.jobs.send(Job::Stop(reply)).await.is_ok() {
            let _ = stopped.await;
        }
    }

    fn draft(&self, act: Act, outcome: &'static str) -> Draft {
        Draft::new(act, outcome, self.shared.clock.wall_ms())
    }

    async fn append(&self, draft: Draft) -> Result<u64, AuditError> {
        let (reply, answer) = oneshot::channel();
        self.shared.jobs.try_send(Job::Append { draft, reply: Some(reply) }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AuditError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => AuditError::Closed,
        })?;
        match tokio::time::timeout(WRITE_MAX, answer).await {
            Err(_) => Err(AuditError::Timeout),
            Ok(Err(_)) => Err(AuditError::Closed),
            Ok(Ok(result)) => result,
        }
    }

    fn append_later(&self, draft: Draft) {
        if self.shared.jobs.try_send(Job::Append { draft, reply: None }).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An action that has begun. Finish it; one that is dropped is recorded as failed.
#[must_use = "what came of the action is to be recorded"]
pub struct Entry {
    audit: Audit,
    act: Option<Act>,
    sequence: u64,
}

impl Entry {
    /// The number of the record that says that the action begins.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Records what came of it. When the log cannot be written now, it is written later; the effect has been had in any case.
    pub fn finish(mut self, outcome: Outcome) {
        self.record(outcome);
    }

    fn record(&mut self, outcome: Outcome) {
        let Some(act) = self.act.take() else { return };
        let (word, details) = match outcome {
            Outcome::Done(Value::Null) => ("done", json!({ "of": self.sequence })),
            Outcome::Done(result) => ("done", json!({ "of": self.sequence, "result": result })),
            Outcome::Failed(why) => ("failed", json!({ "of": self.sequence, "why": why })),
        };
        let draft = self.audit.draft(Act { details, ..act }, word);
        self.audit.append_later(draft);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.record(Outcome::Failed("it was given up".to_string()));
    }
}

/// The owner of the chain.
struct Writer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Job>,
    store: Arc<dyn Store>,
    clock: Clock,
    settings: AuditSettings,
    on_record: Box<dyn Fn(&AuditRecord) + Send + Sync>,
    /// Where the chain stands. `None`: it is to be read, because nobody knows what became of the last write.
    head: Option<Head>,
    /// Whether the store has been told.
    is_head_kept: bool,
    backlog: VecDeque<Draft>,
    /// Given up and not yet recorded as such.
    lost: u64,
    retention_due: Millis,
    summaries_due: Millis,
}

impl Writer {
    async fn run(&mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                job = self.queue.recv() => match job {
                    Some(Job::Append { draft, reply }) => self.take(draft, reply).await,
                    Some(Job::Forget(reply)) => {
                        let result = self.forget().await;
                        let _ = reply.send(result);
                    }
                    Some(Job::Stop(reply)) => {
                        self.queue.close();
                        // What was sent before the gate closed is still written.
                        while let Some(job) = self.queue.recv().await {
                            if let Job::Append { draft, reply } = job {
                                self.take(draft, reply).await;
                            }
                        }
                        self.look_after_it(true).await;
                        let _ = reply.send(());
                        return;
                    }
                    None => return,
                },
                _ = ticks.tick() => self.look_after_it(false).await,
            }
        }
    }

    async fn take(&mut self, draft: Draft, reply: Option<oneshot::Sender<Result<u64, AuditError>>>) {
        // Nobody waits for it any more, so its action has been refused: a record would say that it began.
        if reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
            return;
        }
        match (self.append(&draft).await, reply) {
            (result, Some(reply)) => {
                let _ = reply.send(result);
            }
            (Ok(_), None) => {}
            (Err(_), None) => self.keep(draft),
        }
    }

    fn keep(&mut self, draft: Draft) {
        if self.backlog.len() < BACKLOG_MAX {
            self.backlog.push_back(draft);
        } else {
            self.lost += 1;
            emit(AuditLost { count: 1 });
        }
    }

    /// Writes a record at the end of the chain, wherever that is.
    async fn append(&mut self, draft: &Draft) -> Result<u64, AuditError> {
        let result = self.try_append(draft).await;
        if let Err(error) = &result {
            self.head = None;
            emit(AuditFailed { why: &with_cause(error) });
        }
        result
    }

    async fn try_append(&mut self, draft: &Draft) -> Result<u64, AuditError> {
        for _ in 0..TRIES {
            let head = match self.head.take() {
                Some(head) => head,
                None => read_head(&*self.store).await?,
            };
            let record = draft.behind(&head);
            match self.store.append_audit(&record).await {
                Ok(()) => {}
                // Another process wrote there, or this very record came there by a write that seemed to have failed.
                Err(StoreError::Conflict { .. }) => {
                    let last = read_head(&*self.store).await?;
                    if last.hash != record.hash {
                        self.head = Some(last);
                        continue;
                    }
                }
                Err(error) => return Err(error.into()),
            }
            self.head = Some(Head { sequence: record.sequence, hash: record.hash.clone() });
            self.is_head_kept = false;
            emit(AuditWritten {
                sequence: record.sequence,
                actor: &record.actor,
                action: &record.action,
                object: &record.object,
                outcome: draft.outcome,
                hash: &record.hash,
            });
            (self.on_record)(&record);
            return Ok(record.sequence);
        }
        Err(AuditError::Contended)
    }

    /// What is due; with `is_last` also what would be due later.
    async fn look_after_it(&mut self, is_last: bool) {
        let now = self.clock.now();
        if is_last || now >= self.summaries_due {
            self.summaries_due = now + WINDOW_MS / 60;
            let due = self.shared.refusals.lock().due(if is_last { now + WINDOW_MS } else { now });
            for (actor, count) in due {
                let object = if actor == OTHERS { String::new() } else { actor };
                let details = json!({ "left_out": count });
                let act = Act { actor: HUB.to_string(), action: "audit.refusals".to_string(), object, details, ..Act::default() };
                self.keep(Draft::new(act, "noted", self.clock.wall_ms()));
            }
        }
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            emit(AuditLost { count: lost });
            self.lost += lost;
        }
        while let Some(draft) = self.backlog.pop_front() {
            if self.append(&draft).await.is_err() {
                self.backlog.push_front(draft);
                return;
            }
        }
        if self.lost > 0 {
            let details = json!({ "records": self.lost });
            let act = Act { actor: HUB.to_string(), action: "audit.lost".to_string(), details, ..Act::default() };
            if self.append(&Draft::new(act, "noted", self.clock.wall_ms())).await.is_ok() {
                self.lost = 0;
            }
        }
        self.keep_head().await;
        if now >= self.retention_due && !is_last {
            self.retention_due = now + RETENTION_INTERVAL_MS;
            if let Err(error) = self.forget().await {
                emit(AuditFailed { why: &with_cause(&error) });
            }
        }
    }

    /// Tells the store where the chain stands, at most once a tick.
    async fn keep_head(&mut self) {
        let Some(head) = self.head.as_ref().filter(|_| !self.is_head_kept) else { return };
        let value = json!(head).to_string();
        match self.store.put_value(HEAD_KEY, value.into()).await {
            Ok(()) => self.is_head_kept = true,
            Err(error) => log::debug!("audit: cannot keep the head: {error}"),
        }
    }

    /// Forgets what is old enough. First a record says up to where, and what the last forgotten one's hash was; so the chain begins with
    /// something that is proven, wherever this is interrupted.
    async fn forget(&mut self) -> Result<u64, AuditError> {
        let one = |query: AuditQuery| AuditQuery { limit: 1, ..query };
        let Some(oldest) = self.store.audit(&one(AuditQuery::default())).await?.pop() else { return Ok(0) };
        let last = read_head(&*self.store).await?;
        let by_age = if self.settings.retention_ms > 0 {
            let from = Some(self.clock.wall_ms().saturating_sub(self.settings.retention_ms));
            match self.store.audit(&one(AuditQuery { from, ..AuditQuery::default() })).await?.pop() {
                Some(first_young) => first_young.sequence.saturating_sub(1),
                None => last.sequence,
            }
        } else {
            0
        };
        let count = last.sequence.saturating_sub(oldest.sequence) + 1;
        // A tenth more than necessary, so that a full log is not cut at every look.
        let max = self.settings.records_max;
        let by_count = if max > 0 && count > max { last.sequence - (max - max / 10) } else { 0 };
        let up_to = by_age.max(by_count);
        if up_to < oldest.sequence {
            return Ok(0);
        }
        let Some(end) = self.store.audit(&one(AuditQuery { after: Some(up_to - 1), ..AuditQuery::default() })).await?.pop() else { return Ok(0) };
        let checkpoint = Checkpoint { forgotten: end.sequence, hash: end.hash };
        let act = Act { actor: HUB.to_string(), action: CHECKPOINT.to_string(), details: json!(checkpoint), ..Act::default() };
        self.append(&Draft::new(act, "noted", self.clock.wall_ms())).await?;
        let count = self.store.forget_audit(checkpoint.forgotten + 1).await?;
        emit(AuditForgotten { up_to: checkpoint.forgotten, count });
        Ok(count)
    }
}

async fn read_head(store: &dyn Store) -> Result<Head, StoreError> {
    let last = store.last_audit().await?;
    Ok(last.map_or_else(|| Head { sequence: 0, hash: GENESIS.to_string() }, |last| Head { sequence: last.sequence, hash: last.hash }))
}

/// An error with what caused it, on one line.
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Looks through all of a store's log, in bounded memory, while others may write to it.
pub async fn verify(store: &dyn Store, known: &[Head]) -> Result<ChainVerdict, StoreError> {
    let mut checkpoint = newest_checkpoint(store).await?;
    loop {
        let mut all_known = known.to_vec();
        // Read first: what is written behind it meanwhile is only more.
        if let Some(head) = store.value(HEAD_KEY).await?.and_then(|value| serde_json::from_slice(&value).ok()) {
            all_known.push(head);
        }
        let mut verifier = Verifier::new(checkpoint.clone(), all_known);
        let mut after = None;
        loop {
            let page = store.audit(&AuditQuery { after, limit: PAGE, ..AuditQuery::default() }).await?;
            page.iter().for_each(|record| verifier.read(record));
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.sequence),
                _ => break,
            }
        }
        let verdict = verifier.finish();
        let newest = newest_checkpoint(store).await?;
        // Records were forgotten under our eyes: once more, with what that left.
        if verdict.is_whole() || newest == checkpoint {
            return Ok(verdict);
        }
        checkpoint = newest;
    }
}

async fn newest_checkpoint(store: &dyn Store) -> Result<Option<Checkpoint>, StoreError> {
    let query = AuditQuery { action: Some(CHECKPOINT.to_string()), newest_first: true, limit: 1, ..AuditQuery::default() };
    Ok(store.audit(&query).await?.first().and_then(Checkpoint::of))
}
