//! What the upstream room tells the log and the counters.

use super::emergency::{Incident, Phase};
use super::gate::Places;
use super::machine::{Edge, Reason, State};
use super::{gap, health};
use crate::clock::Millis;
use crate::telemetry::Event;
use crate::telemetry::tap::{self, Kind};
use crate::telemetry::watchdog::{RestartCause, Watched, count_restart};
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, register_int_counter, register_int_counter_vec, register_int_gauge_vec};
use serde_json::json;
use std::sync::LazyLock;
use std::time::Duration;

struct Figures {
    transitions: IntCounterVec,
    events: IntCounter,
    dropped: IntCounter,
    bytes: IntCounter,
    forgotten: IntCounter,
    repeated: IntCounter,
    gaps: IntCounterVec,
    rotations: IntCounterVec,
    breakers: IntCounter,
    unsaved: IntCounter,
    emergencies: IntCounterVec,
    feeds: IntGaugeVec,
    places: IntGaugeVec,
}

static FIGURES: LazyLock<Figures> = LazyLock::new(|| {
    let once = "each name is registered once, here";
    Figures {
        transitions: register_int_counter_vec!(
            "aether_upstream_transitions_total",
            "Changes of state of feed connections, and why.",
            &["from", "to", "reason"]
        )
        .expect(once),
        events: register_int_counter!("aether_upstream_events_total", "Events read from feeds.").expect(once),
        dropped: register_int_counter!(
            "aether_upstream_events_dropped_total",
            "Events whose type led to no channel, or whose data is not what the namespace takes."
        )
        .expect(once),
        bytes: register_int_counter!("aether_upstream_bytes_total", "Bytes read from feeds.").expect(once),
        forgotten: register_int_counter!("aether_upstream_positions_dropped_total", "Positions given up because what follows cannot be read.")
            .expect(once),
        repeated: register_int_counter!("aether_upstream_events_repeated_total", "Events left out because they had been published before.")
            .expect(once),
        gaps: register_int_counter_vec!("aether_upstream_gaps_total", "Times that events of a feed were missed, and how it is known.", &["cause"])
            .expect(once),
        rotations: register_int_counter_vec!(
            "aether_upstream_rotations_total",
            "Connections replaced while they worked, or not, and why.",
            &["cause", "outcome"]
        )
        .expect(once),
        breakers: register_int_counter!("aether_upstream_breakers_opened_total", "Times that a host was left alone because its feeds failed.")
            .expect(once),
        unsaved: register_int_counter!("aether_upstream_positions_unsaved_total", "Times that the feeds' positions could not be stored.")
            .expect(once),
        emergencies: register_int_counter_vec!(
            "aether_upstream_emergencies_total",
            "Emergencies of the feeds: when they began, went on, were over, or were declared by hand.",
            &["kind", "phase"]
        )
        .expect(once),
        places: register_int_gauge_vec!("aether_upstream_places", "Connections held, successors, those that wait, hosts left alone.", &["kind"])
            .expect(once),
        feeds: register_int_gauge_vec!("aether_upstream_feeds", "Feeds by state.", &["state"]).expect(once),
    }
});

/// Lines that may be written in one go.
const BURST: u32 = 20;
/// After a burst, one line in this time.
const REFILL: Duration = Duration::from_secs(10);

/// Keeps one misbehaving feed from filling the log. Counters are not affected.
#[derive(Debug)]
pub struct LogBudget {
    lines: u32,
    refilled_at: Millis,
    left_out: u64,
}

impl LogBudget {
    pub fn new(now: Millis) -> Self {
        Self { lines: BURST, refilled_at: now, left_out: 0 }
    }

    /// Whether one more line may be written; with it, how many were left out since the last one.
    pub fn take(&mut self, now: Millis) -> Option<u64> {
        let refill_ms = REFILL.as_millis() as Millis;
        let earned = now.saturating_sub(self.refilled_at) / refill_ms;
        self.refilled_at += earned * refill_ms;
        self.lines = u32::try_from(earned).unwrap_or(BURST).saturating_add(self.lines).min(BURST);
        if self.lines == 0 {
            self.left_out += 1;
            return None;
        }
        self.lines -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

fn tail(left_out: u64) -> String {
    if left_out == 0 { String::new() } else { format!(" ({left_out} lines on this feed left out before)") }
}

/// A feed's connection went from one state into another.
pub struct FeedMoved<'a> {
    pub feed: &'a str,
    pub edge: &'a Edge,
    /// Where the new state waits.
    pub wait: Option<Duration>,
    /// Bytes read in the state that ended.
    pub bytes: u64,
    pub last_event_id: &'a str,
    /// `None`: the log has had enough of this feed.
    pub line: Option<u64>,
    /// Every line about it matters now.
    pub is_detailed: bool,
}

impl Event for FeedMoved<'_> {
    fn emit(self) {
        let Edge { from, to, stayed, age, reason, detail } = self.edge;
        let label = reason.map_or("none", Reason::as_str);
        FIGURES.transitions.with_label_values(&[from.as_str(), to.as_str(), label]).inc();
        tap::event(
            Kind::FeedMoved,
            || json!({ "feed": self.feed, "from": from.as_str(), "to": to.as_str(), "reason": reason.map(Reason::as_str), "detail": detail }),
        );
        let Some(left_out) = self.line else { return };
        let level = match to {
            State::Idle | State::Connecting | State::Closed if !self.is_detailed => log::Level::Debug,
            State::Idle | State::Connecting | State::Closed => log::Level::Info,
            State::Open | State::Draining => log::Level::Info,
            State::Backoff | State::CoolingOff | State::Stalled | State::Degraded => log::Level::Warn,
            // Somebody has to look at it: an operator's alert.
            State::Parked => log::Level::Error,
        };
        let wait = self.wait.map(|wait| format!(", next try in {:.1} s", wait.as_secs_f32())).unwrap_or_default();
        let why = match (reason, detail.is_empty()) {
            (None, _) => String::new(),
            (Some(reason), true) => format!(" ({})", reason.as_str()),
            (Some(reason), false) => format!(" ({}: {detail})", reason.as_str()),
        };
        let (from, to, stayed) = (from.as_str(), to.as_str(), stayed.as_secs_f32());
        let age = age.map(|age| format!(", connection {:.1} s old", age.as_secs_f32())).unwrap_or_default();
        let Self { feed, bytes, last_event_id, .. } = self;
        let tail = tail(left_out);
        log::log!(level, "feed {feed}: {from} -> {to}{why} after {stayed:.1} s and {bytes} bytes{age}, at id {last_event_id:?}{wait}{tail}");
    }
}

/// A portion of a stream was read. Counted once a portion, not once an event.
pub struct PortionRead<'a> {
    pub feed: &'a str,
    pub bytes: u64,
    pub events: u64,
    pub dropped: u64,
    pub repeated: u64,
    /// Why the first one was dropped and the right to write a line about it.
    pub dropped_line: Option<(&'a str, u64)>,
}

impl Event for PortionRead<'_> {
    fn emit(self) {
        FIGURES.bytes.inc_by(self.bytes);
        FIGURES.events.inc_by(self.events);
        FIGURES.repeated.inc_by(self.repeated);
        if self.dropped == 0 {
            return;
        }
        FIGURES.dropped.inc_by(self.dropped);
        if let Some((why, left_out)) = self.dropped_line {
            log::warn!("feed {}: {} events dropped, the first because of this: {why}{}", self.feed, self.dropped, tail(left_out));
        }
    }
}

/// What follows an id breaks a limit again and again, so reading goes on with what is new.
pub struct PositionDropped<'a> {
    pub feed: &'a str,
    pub last_event_id: &'a str,
}

impl Event for PositionDropped<'_> {
    fn emit(self) {
        FIGURES.forgotten.inc();
        log::warn!("feed {}: what follows id {:?} cannot be read within the limits, going on without it", self.feed, self.last_event_id);
    }
}

/// A feed's actor vanished without saying so.
pub struct ConnectionDied<'a> {
    pub feed: &'a str,
    pub restart_in: Duration,
}

impl Event for ConnectionDied<'_> {
    fn emit(self) {
        count_restart(Watched::Feed, RestartCause::Panicked);
        log::error!("feed {}: its connection died of a panic, a new one starts in {:.1} s", self.feed, self.restart_in.as_secs_f32());
    }
}

/// How many feeds are in each state.
pub struct FeedsCounted(pub [(State, usize); State::ALL.len()]);

impl Event for FeedsCounted {
    fn emit(self) {
        for (state, feeds) in self.0 {
            FIGURES.feeds.with_label_values(&[state.as_str()]).set(feeds as i64);
        }
    }
}

/// Events of a feed were missed, and that is known.
pub struct GapFound<'a> {
    pub feed: &'a str,
    pub cause: gap::Cause,
    pub missing: Option<u64>,
    pub after: &'a str,
    /// Channels whose subscribers are told.
    pub channels: usize,
}

impl Event for GapFound<'_> {
    fn emit(self) {
        FIGURES.gaps.with_label_values(&[self.cause.as_str()]).inc();
        let Self { feed, after, channels, .. } = self;
        let missing = self.missing.map_or_else(|| "an unknown number of events".to_string(), |missing| format!("{missing} events"));
        log::warn!("feed {feed}: {missing} missed after id {after:?} ({}), told on {channels} channels", self.cause.as_str());
    }
}

/// A connection was replaced while it worked, or could not be.
pub struct RotationEnded<'a> {
    pub feed: &'a str,
    pub cause: health::Cause,
    pub took_ms: u64,
    pub failure: Option<&'a str>,
}

impl Event for RotationEnded<'_> {
    fn emit(self) {
        let outcome = if self.failure.is_none() { "done" } else { "failed" };
        FIGURES.rotations.with_label_values(&[self.cause.as_str(), outcome]).inc();
        let (feed, cause, took_ms) = (self.feed, self.cause.as_str(), self.took_ms);
        match self.failure {
            None => log::info!("feed {feed}: rotated ({cause}) in {took_ms} ms"),
            Some(why) => log::warn!("feed {feed}: could not be rotated ({cause}), goes on with the connection it has: {why}"),
        }
    }
}

/// Several feeds of one host failed in a row: it is left alone for a while.
pub struct BreakerOpened<'a> {
    pub host: &'a str,
}

impl Event for BreakerOpened<'_> {
    fn emit(self) {
        FIGURES.breakers.inc();
        log::error!("host {}: its feeds fail one after the other; it is asked by one of them at a time until it answers", self.host);
    }
}

/// The pool as a whole was in trouble, or is no more.
pub struct EmergencyTold<'a> {
    pub incident: &'a Incident,
    pub is_dry_run: bool,
}

impl Event for EmergencyTold<'_> {
    fn emit(self) {
        let Incident { kind, phase, cause, measures } = self.incident;
        FIGURES.emergencies.with_label_values(&[kind.as_str(), phase.as_str()]).inc();
        let measures: Vec<String> = measures.iter().map(ToString::to_string).collect();
        tap::event(
            Kind::FeedEmergency,
            || json!({ "kind": kind.as_str(), "phase": phase.as_str(), "cause": cause, "measures": measures, "is_dry_run": self.is_dry_run }),
        );
        let level = if *phase == Phase::Over { log::Level::Warn } else { log::Level::Error };
        let done = match (measures.is_empty(), self.is_dry_run) {
            (true, _) => "nothing to do".to_string(),
            (false, true) => format!("would {}", measures.join("; ")),
            (false, false) => measures.join("; "),
        };
        log::log!(level, "feeds: emergency {} ({}): {cause}: {done}", kind.as_str(), phase.as_str());
    }
}

/// The feeds' positions could not be stored; it is tried again.
pub struct PositionsUnsaved {
    pub reason: String,
}

impl Event for PositionsUnsaved {
    fn emit(self) {
        FIGURES.unsaved.inc();
        log::warn!("the positions of the feeds could not be stored: {}", self.reason);
    }
}

/// A feed that was added while a hub ran is not one that this hub can read.
pub struct FeedNotTakenUp<'a> {
    pub feed: &'a str,
    pub problems: &'a [String],
}

impl Event for FeedNotTakenUp<'_> {
    fn emit(self) {
        log::error!("feed {}, which was added while the hub ran, is not read: {}", self.feed, self.problems.join("; "));
    }
}

/// How many hold a connection or wait for one.
pub struct PlacesCounted(pub Places);

impl Event for PlacesCounted {
    fn emit(self) {
        let Places { held, rotating, waiting, breakers_open } = self.0;
        for (kind, count) in [("held", held), ("rotating", rotating), ("waiting", waiting), ("breakers_open", breakers_open)] {
            FIGURES.places.with_label_values(&[kind]).set(count as i64);
        }
    }
}

/// What the pool did in the time since the last report.
pub struct PoolReported {
    pub places: Places,
    pub events: u64,
    pub bytes: u64,
    pub errors: u64,
    /// From this many errors or connections on it is a warning.
    pub errors_warned: u64,
    pub connections_warned: usize,
}

impl Event for PoolReported {
    fn emit(self) {
        let Self { places: Places { held, rotating, waiting, breakers_open }, events, bytes, errors, .. } = self;
        let is_warning = errors > self.errors_warned || held > self.connections_warned;
        let level = if is_warning { log::Level::Warn } else { log::Level::Debug };
        log::log!(
            level,
            "feeds: {held} connections, {rotating} successors, {waiting} waiting, {breakers_open} hosts left alone; since the last report {events} \
             events, {bytes} bytes, {errors} errors"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_gets_a_burst_and_then_a_trickle_that_says_what_is_missing() {
        let mut budget = LogBudget::new(0);
        assert!((0..BURST).all(|_| budget.take(0) == Some(0)));
        assert!((0..50).all(|_| budget.take(9_999).is_none()));
        assert_eq!(budget.take(10_000), Some(50));
        assert_eq!(budget.take(10_001), None);
        assert_eq!(budget.take(1_000_000_000), Some(1));
        assert_eq!((0..100).filter(|_| budget.take(1_000_000_000).is_some()).count() as u32, BURST - 1, "a long silence earns one burst, not more");
    }
}
