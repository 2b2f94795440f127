//! The way from an event to its publication: sieve, mapping, broker, position. One a feed, used by all its connections, one event at a time.
//!
//! Two connections of one feed are open while it is rotated. What one of them publishes the other must know before it judges its own next
//! event, so each event goes the whole way before the next one begins.

use super::events::GapFound;
use super::feed::Tenure;
use super::gap::{Cause, Continuity, Gap};
use super::machine::{Ending, Pace, Reason};
use super::publication::{Channels, Route, publish_of};
use super::sieve::{Side, Sieve, Verdict};
use crate::broker::{Answer, Publish, Publisher};
use crate::channel::ChannelName;
use crate::clock::Clock;
use crate::protocol::codes::ClientError;
use crate::protocol::event_stream::StreamEvent;
use crate::telemetry::emit;
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Pauses between two attempts to publish the same event: the first, doubling up to the longest.
const PUBLISH_PAUSE_INITIAL: Duration = Duration::from_millis(50);
const PUBLISH_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Bytes of a foreign event type, or of what is wrong with a payload, that are repeated in the log.
const SHOWN_BYTES_MAX: usize = 200;

/// An event that claims to be older is not late: its clock, or the pointer to its time, is wrong.
const LATE_MS_MAX: i64 = 60 * 60 * 1_000;

pub struct Outlet {
    tenure: Tenure,
    publisher: Publisher,
    clock: Clock,
    turn: tokio::sync::Mutex<()>,
    /// Never borrowed over an await.
    state: RefCell<State>,
}

struct State {
    channels: Channels,
    sieve: Sieve,
    continuity: Continuity,
    has_published: bool,
}

/// What one portion held.
#[derive(Debug, Default)]
pub struct Tally {
    pub bytes: u64,
    pub events: u64,
    pub dropped: u64,
    /// Why the first one was dropped, for the log.
    pub dropped_because: Option<String>,
    /// Left out because the configuration does not want them.
    pub unwanted: u64,
    /// Left out because they had been published.
    pub repeated: u64,
    /// While two connections were open: the first one brought what the second had brought, or the other way round.
    pub met_second: bool,
    pub met_first: bool,
    /// How late the events were that told their time, added up, and how many they were.
    pub late_ms: u64,
    pub timed: u64,
    /// The reconnection time that the stream has asked for, if any.
    pub retry: Option<Duration>,
}

impl Outlet {
    pub fn new(tenure: Tenure, publisher: Publisher, clock: Clock) -> Self {
        let settings = &tenure.feed().settings;
        let channels = Channels::new(settings.mapping.clone(), Arc::clone(&publisher.rules));
        let sieve = Sieve::new(settings.limits.duplicate_window);
        let state = State { channels, sieve, continuity: Continuity::default(), has_published: false };
        Self { tenure, publisher, clock, turn: tokio::sync::Mutex::new(()), state: RefCell::new(state) }
    }

    pub fn tenure(&self) -> &Tenure {
        &self.tenure
    }

    /// The feed is connected anew after nothing was read for a while. `Some`: something was missed for sure.
    pub fn reconnected(&self, resumed_after: &str) -> Option<Gap> {
        let mut state = self.state.borrow_mut();
        state.sieve.reconnected();
        state.continuity.reconnected();
        (state.has_published && resumed_after.is_empty()).then(|| Gap { cause: Cause::NoIds, after: Arc::from(""), missing: None })
    }

    pub fn begin_overlap(&self) {
        self.state.borrow_mut().sieve.begin_overlap();
    }

    pub fn end_overlap(&self) {
        self.state.borrow_mut().sieve.end_overlap();
    }

    pub fn hand_over(&self) {
        self.state.borrow_mut().sieve.hand_over();
    }

    /// Deals with one event, whole. An error ends the connection; what it is about is asked for again. Says whether to go on: behind an
    /// event that the second connection has brought too, the first one has nothing more to bring.
    pub async fn take(&self, side: Side, event: StreamEvent, tally: &mut Tally) -> Result<ControlFlow<()>, Ending> {
        let arrived = std::time::Instant::now();
        let _turn = self.turn.lock().await;
        tally.events += 1;
        let (id, has_id) = (Arc::clone(&event.last_event_id), event.has_id);
        let (key, missing, route) = {
            let State { channels, sieve, continuity, .. } = &mut *self.state.borrow_mut();
            let key = sieve.key(&event);
            if let Verdict::Repeated { other_side } = sieve.judge(side, key, has_id) {
                tally.repeated += 1;
                tally.met_second |= other_side && side == Side::First;
                tally.met_first |= other_side && side == Side::Second;
                return Ok(if other_side && side == Side::First { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
            }
            let missing = if has_id { continuity.on(&id) } else { None };
            (key, missing, channels.route(event.event_type_or_message(), &event.data))
        };
        if missing.is_some() {
            let after = self.tenure.feed().last_event_id();
            self.tell(&Gap { cause: Cause::NotResumed, after, missing }).await;
        }
        match route {
            Route::To { channel, event_time_ms } => {
                tally.note_time(event_time_ms, self.clock.wall_ms());
                self.hand_on(channel, event, arrived, tally).await?;
            }
            Route::Nowhere => tally.drop_event(&format!("type {:?} leads to no channel", shown(&event.event_type))),
            Route::Unwanted => tally.unwanted += 1,
        }
        let mut state = self.state.borrow_mut();
        state.sieve.published(side, key, has_id);
        state.has_published = true;
        drop(state);
        // After the event was handed on, never before: a crash between the two repeats an event, the other order would lose it.
        self.save(&id);
        Ok(ControlFlow::Continue(()))
    }

    /// A portion is read to its end. A block without data may have moved the id as well.
    pub fn portion_read(&self, side: Side, last_event_id: &Arc<str>) {
        if !self.state.borrow().sieve.is_behind(side) {
            self.save(last_event_id);
        }
    }

    /// Subscribers are told that something is missing, on every channel that this feed is known to lead to.
    pub async fn tell_gap(&self, gap: &Gap) {
        let _turn = self.turn.lock().await;
        self.tell(gap).await;
    }

    async fn tell(&self, gap: &Gap) {
        let settings = &self.tenure.feed().settings;
        let channels = self.state.borrow().channels.known();
        emit(GapFound { feed: &settings.name, cause: gap.cause, missing: gap.missing, after: &gap.after, channels: channels.len() });
        self.tenure.write(|ledger| ledger.gaps += 1);
        if !settings.limits.gap_markers {
            return;
        }
        let deadline = Instant::now() + settings.limits.publish_timeout;
        for channel in channels {
            let answer = self.publisher.publish(&channel, gap.marker(&settings.name, settings.format));
            let outcome = timeout_at(deadline, answer).await;
            // The gap is counted in any case; a namespace may refuse what is not of its schema.
            if !matches!(outcome, Ok(Ok(_))) {
                log::debug!("feed {}: a gap could not be told to one of its channels", settings.name);
            }
        }
    }

    /// Publishes, again and again while the broker cannot, for as long as the feed's settings allow.
    async fn hand_on(&self, channel: ChannelName, event: StreamEvent, arrived: std::time::Instant, tally: &mut Tally) -> Result<(), Ending> {
        let settings = &self.tenure.feed().settings;
        let mut publish = Publish { arrived: Some(arrived), ..publish_of(event, settings.format) };
        let admitted = match self.publisher.rules.options(&channel) {
            Ok(options) => self.publisher.admit(&channel, options, publish.data).map(|data| (Arc::clone(options), data)),
            Err(error) => {
                tally.drop_event(&error.to_string());
                return Ok(());
            }
        };
        let options = match admitted {
            Ok((options, data)) => {
                publish.data = data;
                options
            }
            // Once more would be no better: the feed brings what the namespace does not take.
            Err(error) => {
                tally.drop_event(shown(&error.refusal().message()));
                return Ok(());
            }
        };
        let deadline = Instant::now() + settings.limits.publish_timeout;
        let mut pause = PUBLISH_PAUSE_INITIAL;
        let mut waiting = None;
        loop {
            let answer = self.publisher.publish_admitted(&channel, &options, publish.clone());
            if matches!(answer, Answer::Later(_)) {
                waiting.get_or_insert_with(|| Waiting::begin(&self.tenure));
            }
            let detail = match timeout_at(deadline, answer).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "broker does not answer".to_string(),
            };
            if Instant::now() + pause >= deadline {
                return Err(Ending::new(Reason::Broker, Pace::Retry, detail));
            }
            waiting.get_or_insert_with(|| Waiting::begin(&self.tenure));
            sleep(pause).await;
            pause = (pause * 2).min(PUBLISH_PAUSE_MAX);
        }
    }

    fn save(&self, id: &Arc<str>) {
        self.tenure.write(|ledger| {
            if ledger.last_event_id != *id {
                ledger.last_event_id = Arc::clone(id);
            }
        });
    }
}

/// Says in the ledger that this feed waits for the broker, until it is dropped.
struct Waiting<'a>(&'a Tenure);

impl<'a> Waiting<'a> {
    fn begin(tenure: &'a Tenure) -> Self {
        tenure.write(|ledger| ledger.waits_for_broker = true);
        Self(tenure)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.write(|ledger| ledger.waits_for_broker = false);
    }
}

impl Tally {
    fn drop_event(&mut self, why: &str) {
        self.dropped += 1;
        if self.dropped_because.is_none() {
            self.dropped_because = Some(why.to_string());
        }
    }

    fn note_time(&mut self, event_time_ms: Option<i64>, now_ms: i64) {
        let late = event_time_ms.map(|at| now_ms.saturating_sub(at)).filter(|late| (-LATE_MS_MAX..=LATE_MS_MAX).contains(late));
        if let Some(late) = late {
            // A clock that is ahead of ours makes an event early; it is not late then.
            self.late_ms += late.max(0).unsigned_abs();
            self.timed += 1;
        }
    }
}

fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)]
}
