//! The life of one feed's connection, as a pure state machine: what happened goes in, what to do comes out.
//!
//! ```text
//!            ┌───────────────────────────── wait over ────────────────────────┐
//!            ▼                                                                │
//! Closed ─ start ─▶ Connecting ─ opened ─▶ Open ─ quiet ─▶ Stalled ─ ended ─▶ Backoff | Parked
//!   ▲                   └─ ended ─────┐     │ ▲              │ │                   ▲
//!   │                                 │     │ └─── heard ────┘ │                   │
//!   └── stop, from anywhere           └─────┴────── ended ─────┴───────────────────┘
//! ```
//!
//! Parked is not the end: it is the slow pace. A hub that nobody touches for months must find a feed again whose operator fixed it, so
//! even an answer that says *never* is asked about again, every few minutes.

use super::backoff::Backoff;
use super::settings::FeedLimits;
use crate::clock::Millis;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::borrow::Cow;
use std::time::Duration;

/// The longest wait that a server's `Retry-After` can cause; more would be a way to switch a feed off.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(15 * 60);

/// No path leads back to a connection without at least this pause, whatever the configuration says.
const WAIT_MIN: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Connecting,
    /// The answer was good, and bytes come.
    Open,
    /// Open, but silent for so long that it is probably dead.
    Stalled,
    /// Waiting to try again.
    Backoff,
    /// Waiting long: the answer was one that trying again soon does not change.
    Parked,
    /// Not running: not started yet, or stopped.
    Closed,
}

impl State {
    pub const ALL: [Self; 6] = [Self::Connecting, Self::Open, Self::Stalled, Self::Backoff, Self::Parked, Self::Closed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::Stalled => "stalled",
            Self::Backoff => "backoff",
            Self::Parked => "parked",
            Self::Closed => "closed",
        }
    }
}

/// Why a connection ended or could not be made: a closed set, for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The name has no address.
    Dns,
    /// Handshake or certificate.
    Tls,
    /// No connection to the address: refused, unreachable.
    Refused,
    /// Cut by the other side or the network.
    Rst,
    /// Ended by the other side, in good order or in the middle.
    Eof,
    /// Connected, but not a byte for `idle_timeout`.
    Idle,
    /// No connection or no answer within `connect_timeout`, or bytes of ours unacknowledged for too long.
    Timeout,
    HttpStatus,
    /// A good status, but no event stream.
    ContentType,
    /// Redirected too often, to nowhere, or out of TLS.
    Redirect,
    /// Not HTTP.
    Parse,
    /// A line, event, id or event type beyond its limit.
    Limit,
    /// The broker took no publication for too long.
    Broker,
    /// A fault of ours in this connection.
    Panic,
    /// We let go of it.
    Released,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Refused => "refused",
            Self::Rst => "rst",
            Self::Eof => "eof",
            Self::Idle => "idle",
            Self::Timeout => "timeout",
            Self::HttpStatus => "http_status",
            Self::ContentType => "content_type",
            Self::Redirect => "redirect",
            Self::Parse => "parse",
            Self::Limit => "limit",
            Self::Broker => "broker",
            Self::Panic => "panic",
            Self::Released => "released",
        }
    }
}

/// How soon to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The server ended a stream that it had served: how some servers rotate. No failure, so the wait does not grow.
    Rotation,
    /// A failure that may pass: the wait grows up to `retry_max`.
    Retry,
    /// A refusal that will hardly pass by itself: minutes.
    Park,
}

/// One end of an attempt or of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub reason: Reason,
    pub pace: Pace,
    /// What the server asked us to wait at least.
    pub not_before: Option<Duration>,
    /// For the log.
    pub detail: Cow<'static, str>,
}

impl Ending {
    pub fn new(reason: Reason, pace: Pace, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, pace, not_before: None, detail: detail.into() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Start,
    /// The answer is an event stream.
    Opened,
    /// Bytes came.
    Heard,
    /// No byte for a good part of `idle_timeout`.
    Quiet,
    Ended(Ending),
    WaitOver,
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    Connect,
    /// Say [`Input::WaitOver`] after this time.
    Wait(Duration),
}

/// A change of state, to be counted and logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: State,
    pub to: State,
    /// How long `from` lasted.
    pub stayed: Duration,
    pub reason: Option<Reason>,
    pub detail: Cow<'static, str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub effect: Effect,
    pub edge: Option<Edge>,
}

#[derive(Debug)]
pub struct Machine {
    state: State,
    since: Millis,
    opened_at: Option<Millis>,
    stable_after: Duration,
    backoff: Backoff,
    park: Backoff,
    dice: SmallRng,
}

impl Machine {
    pub fn new(limits: &FeedLimits, seed: u64, now: Millis) -> Self {
        Self {
            state: State::Closed,
            since: now,
            opened_at: None,
            stable_after: limits.stable_after,
            backoff: Backoff::full_jitter(limits.retry_min, limits.retry_initial, limits.retry_max),
            park: Backoff::equal_jitter(limits.park_initial, limits.park_max),
            dice: SmallRng::seed_from_u64(seed),
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// The stream told how long to wait before coming back. Zero and other extremes are held within `retry_min` and `retry_max`.
    pub fn advise(&mut self, retry: Duration) {
        self.backoff.advise(retry);
    }

    /// Inputs that make no sense in the present state are ignored: a timer and a stop may cross.
    pub fn on(&mut self, input: Input, now: Millis) -> Step {
        match (self.state, input) {
            (State::Closed, Input::Start) | (State::Backoff | State::Parked, Input::WaitOver) => {
                self.go(State::Connecting, Effect::Connect, None, Cow::Borrowed(""), now)
            }
            (State::Connecting, Input::Opened) => {
                self.opened_at = Some(now);
                self.go(State::Open, Effect::Nothing, None, Cow::Borrowed(""), now)
            }
            (State::Stalled, Input::Heard) => self.go(State::Open, Effect::Nothing, None, Cow::Borrowed(""), now),
            (State::Open, Input::Quiet) => self.go(State::Stalled, Effect::Nothing, Some(Reason::Idle), Cow::Borrowed("silent"), now),
            (State::Connecting | State::Open | State::Stalled, Input::Ended(ending)) => self.end(ending, now),
            (State::Connecting | State::Open | State::Stalled | State::Backoff | State::Parked, Input::Stop) => {
                self.opened_at = None;
                self.go(State::Closed, Effect::Nothing, Some(Reason::Released), Cow::Borrowed(""), now)
            }
            (State::Connecting | State::Open | State::Stalled | State::Backoff | State::Parked | State::Closed, _) => {
                Step { effect: Effect::Nothing, edge: None }
            }
        }
    }

    fn end(&mut self, ending: Ending, now: Millis) -> Step {
        // Only a connection that lasted proves that the feed is well: one that accepts and closes at once must not be hammered.
        if self.opened_at.take().is_some_and(|at| Duration::from_millis(now.saturating_sub(at)) >= self.stable_after) {
            self.backoff.reset();
            self.park.reset();
        }
        let (to, wait) = match ending.pace {
            Pace::Rotation => (State::Backoff, self.backoff.same(&mut self.dice)),
            Pace::Retry => (State::Backoff, self.backoff.next(&mut self.dice)),
            Pace::Park => (State::Parked, self.park.next(&mut self.dice)),
        };
        // The random part stays on top: a server that names one time to everybody is not to meet them all at that time.
        let wait = wait.saturating_add(ending.not_before.unwrap_or_default().min(RETRY_AFTER_MAX)).max(WAIT_MIN);
        self.go(to, Effect::Wait(wait), Some(ending.reason), ending.detail, now)
    }

    fn go(&mut self, to: State, effect: Effect, reason: Option<Reason>, detail: Cow<'static, str>, now: Millis) -> Step {
        let edge = Edge { from: self.state, to, stayed: Duration::from_millis(now.saturating_sub(self.since)), reason, detail };
        self.state = to;
        self.since = now;
        Step { effect, edge: Some(edge) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> FeedLimits {
        FeedLimits {
            retry_min: Duration::from_millis(100),
            retry_initial: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
            stable_after: Duration::from_secs(10),
            ..FeedLimits::default()
        }
    }

    fn ended(pace: Pace) -> Input {
        Input::Ended(Ending::new(Reason::Eof, pace, "test"))
    }

    fn machine_in(state: State) -> Machine {
        let mut machine = Machine::new(&limits(), 1, 0);
        let way: &[Input] = match state {
            State::Closed => &[],
            State::Connecting => &[Input::Start],
            State::Open => &[Input::Start, Input::Opened],
            State::Stalled => &[Input::Start, Input::Opened, Input::Quiet],
            State::Backoff => &[Input::Start, ended(Pace::Retry)],
            State::Parked => &[Input::Start, ended(Pace::Park)],
        };
        for input in way {
            machine.on(input.clone(), 0);
        }
        assert_eq!(machine.state(), state);
        machine
    }

    #[test]
    fn every_input_in_every_state() {
        use State::*;
        // Rows: states. Columns: the state after Start, Opened, Heard, Quiet, Ended(Retry), Ended(Park), WaitOver, Stop.
        let table = [
            (Closed, [Connecting, Closed, Closed, Closed, Closed, Closed, Closed, Closed]),
            (Connecting, [Connecting, Open, Connecting, Connecting, Backoff, Parked, Connecting, Closed]),
            (Open, [Open, Open, Open, Stalled, Backoff, Parked, Open, Closed]),
            (Stalled, [Stalled, Stalled, Open, Stalled, Backoff, Parked, Stalled, Closed]),
            (Backoff, [Backoff, Backoff, Backoff, Backoff, Backoff, Backoff, Connecting, Closed]),
            (Parked, [Parked, Parked, Parked, Parked, Parked, Parked, Connecting, Closed]),
        ];
        for (from, after) in table {
            let inputs =
                [Input::Start, Input::Opened, Input::Heard, Input::Quiet, ended(Pace::Retry), ended(Pace::Park), Input::WaitOver, Input::Stop];
            for (input, to) in inputs.into_iter().zip(after) {
                let mut machine = machine_in(from);
                let step = machine.on(input.clone(), 5);
                assert_eq!(machine.state(), to, "{from:?} on {input:?}");
                let moved = from != to;
                assert_eq!(step.edge.as_ref().map(|edge| (edge.from, edge.to)), moved.then_some((from, to)), "{from:?} on {input:?}");
                let waits = moved && matches!(to, Backoff | Parked);
                assert_eq!(matches!(step.effect, Effect::Wait(_)), waits, "{from:?} on {input:?}: {:?}", step.effect);
                assert_eq!(step.effect == Effect::Connect, moved && to == Connecting, "{from:?} on {input:?}: {:?}", step.effect);
            }
        }
    }

    /// Connects, stays open for `lasted`, ends; the wait that follows. Repeated with other dice, so that bounds show.
    fn longest_wait_after(rounds: u32, lasted: Option<Duration>, last: Ending) -> Duration {
        (0..300)
            .map(|seed| {
                let (mut machine, mut now) = (Machine::new(&limits(), seed, 0), 0);
                let mut input = Input::Start;
                for round in 0.. {
                    machine.on(input, now);
                    if let Some(lasted) = lasted {
                        machine.on(Input::Opened, now);
                        now += lasted.as_millis() as Millis;
                    }
                    let ending = if round == rounds { last.clone() } else { Ending::new(Reason::Rst, Pace::Retry, "") };
                    let Effect::Wait(wait) = machine.on(Input::Ended(ending), now).effect else { panic!("no wait") };
                    if round == rounds {
                        return wait;
                    }
                    now += wait.as_millis() as Millis;
                    input = Input::WaitOver;
                }
                unreachable!("the loop ends with a wait")
            })
            .max()
            .unwrap_or_default()
    }

    #[test]
    fn only_a_connection_that_lasted_makes_the_waits_short_again() {
        let rst = || Ending::new(Reason::Rst, Pace::Retry, "");
        let near = |bound: u64| Duration::from_millis(bound * 97 / 100)..=Duration::from_millis(bound);
        let at_once = Some(Duration::ZERO);
        assert!(near(1_000).contains(&longest_wait_after(0, at_once, rst())));
        assert!(near(8_000).contains(&longest_wait_after(3, at_once, rst())), "accepting and closing is a failure");
        assert!(near(8_000).contains(&longest_wait_after(3, Some(Duration::from_millis(9_999)), rst())));
        assert!(near(1_000).contains(&longest_wait_after(3, Some(Duration::from_secs(10)), rst())));
        assert!(near(30_000).contains(&longest_wait_after(20, None, rst())));
        let rotation = Ending::new(Reason::Eof, Pace::Rotation, "");
        assert!(near(8_000).contains(&longest_wait_after(3, at_once, rotation)), "a rotation neither resets nor grows");
    }

    #[test]
    fn parked_is_minutes_and_retry_after_is_obeyed_within_reason() {
        let park = longest_wait_after(0, None, Ending::new(Reason::HttpStatus, Pace::Park, "404"));
        assert!((Duration::from_secs(30)..=Duration::from_secs(60)).contains(&park), "{park:?}");
        let after = |seconds| Ending { not_before: Some(Duration::from_secs(seconds)), ..Ending::new(Reason::HttpStatus, Pace::Retry, "503") };
        let asked = longest_wait_after(0, None, after(120));
        assert!((Duration::from_secs(120)..=Duration::from_secs(121)).contains(&asked), "{asked:?}");
        let absurd = longest_wait_after(0, None, after(u64::MAX));
        assert!((RETRY_AFTER_MAX..=RETRY_AFTER_MAX + Duration::from_secs(1)).contains(&absurd), "{absurd:?}");
    }

    #[test]
    fn there_is_always_a_pause() {
        let limits = FeedLimits { retry_min: Duration::ZERO, retry_initial: Duration::ZERO, retry_max: Duration::ZERO, ..limits() };
        let mut machine = Machine::new(&limits, 1, 0);
        machine.advise(Duration::ZERO);
        machine.on(Input::Start, 0);
        assert_eq!(machine.on(ended(Pace::Rotation), 0).effect, Effect::Wait(WAIT_MIN));
    }

    #[test]
    fn an_edge_says_how_long_the_state_lasted_and_why_it_ended() {
        let mut machine = machine_in(State::Open);
        let edge = machine.on(ended(Pace::Retry), 1_234).edge.unwrap();
        assert_eq!((edge.stayed, edge.reason, &*edge.detail), (Duration::from_millis(1_234), Some(Reason::Eof), "test"));
    }
}
