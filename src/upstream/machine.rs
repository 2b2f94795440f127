//! The life of one feed's connection, as a pure state machine: what happened goes in, what to do comes out.
//!
//! ```text
//!                       ┌────────────── the successor took over, or failed ────────────┐
//!                       ▼                                                              │
//! Idle ─ admitted ─▶ Connecting ─ opened ─▶ Open ◀─ heard ─ Stalled                    │
//!   ▲                   │                    │  ▲── quiet ──▶ │                        │
//!   │                   │                    │  └─ recovered ─ Degraded ─┐             │
//!   │                   │                    └──── degraded ──▶ │        ├ successor ─▶ Draining
//!   │                   └──────── ended ─────────┴──────────────┴────────┘ opened      │ ended
//!   │                               ▼                                                  ▼
//!   └──── wait over ──── Backoff (quick) | CoolingOff (slow) | Parked (minutes) ◀──────┘
//!
//! Closed: stopped, from anywhere, for good.
//! ```
//!
//! Idle is not idleness: it is the wait for the pool's leave to connect. Parked is not the end: it is the slowest pace. A hub that nobody
//! touches for months must find a feed again whose operator fixed it, so even an answer that says *never* is asked about again, every few
//! minutes.

use super::backoff::{Backoff, Retries, Tempo};
use super::settings::FeedLimits;
use crate::clock::Millis;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::borrow::Cow;
use std::time::Duration;

/// No path leads back to a connection without at least this pause, whatever the configuration says.
const WAIT_MIN: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waiting for its turn to connect.
    Idle,
    Connecting,
    /// The answer was good, and bytes come.
    Open,
    /// Open, but silent for so long that it is probably dead.
    Stalled,
    /// Open, but worse than it should be.
    Degraded,
    /// Still read, while its successor is open and has not taken over yet.
    Draining,
    /// Waiting to try again, soon.
    Backoff,
    /// Waiting to try again, longer: the quick retries are used up.
    CoolingOff,
    /// Waiting long: the answer was one that trying again soon does not change.
    Parked,
    /// Stopped.
    Closed,
}

impl State {
    pub const ALL: [Self; 10] = [
        Self::Idle,
        Self::Connecting,
        Self::Open,
        Self::Stalled,
        Self::Degraded,
        Self::Draining,
        Self::Backoff,
        Self::CoolingOff,
        Self::Parked,
        Self::Closed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::Stalled => "stalled",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
            Self::Backoff => "backoff",
            Self::CoolingOff => "cooling_off",
            Self::Parked => "parked",
            Self::Closed => "closed",
        }
    }

    /// Whether a connection is there that is read.
    pub fn is_connected(self) -> bool {
        matches!(self, Self::Open | Self::Stalled | Self::Degraded | Self::Draining)
    }

    /// Whether the next attempt waits for its time.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Backoff | Self::CoolingOff | Self::Parked)
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
    /// Bytes came, but no event for longer than this feed is ever silent.
    DataIdle,
    /// No connection or no answer within `connect_timeout`, or bytes of ours unacknowledged for too long.
    Timeout,
    HttpStatus,
    /// A file that holds a credential cannot be read.
    Credentials,
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
    /// Replaced by a younger connection, or about to be.
    Rotate,
    /// It works, but worse than it should: see the detail.
    Degraded,
    /// We let go of it.
    Released,
}

impl Reason {
    pub const ALL: [Self; 19] = [
        Self::Dns,
        Self::Tls,
        Self::Refused,
        Self::Rst,
        Self::Eof,
        Self::Idle,
        Self::DataIdle,
        Self::Timeout,
        Self::HttpStatus,
        Self::Credentials,
        Self::ContentType,
        Self::Redirect,
        Self::Parse,
        Self::Limit,
        Self::Broker,
        Self::Panic,
        Self::Rotate,
        Self::Degraded,
        Self::Released,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Refused => "refused",
            Self::Rst => "rst",
            Self::Eof => "eof",
            Self::Idle => "idle",
            Self::DataIdle => "data_idle",
            Self::Timeout => "timeout",
            Self::HttpStatus => "http_status",
            Self::Credentials => "credentials",
            Self::ContentType => "content_type",
            Self::Redirect => "redirect",
            Self::Parse => "parse",
            Self::Limit => "limit",
            Self::Broker => "broker",
            Self::Panic => "panic",
            Self::Rotate => "rotate",
            Self::Degraded => "degraded",
            Self::Released => "released",
        }
    }
}

/// How soon to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The server ended a stream that it had served: how some servers rotate. No failure, so the wait does not grow.
    Rotation,
    /// A failure that may pass: first the quick retries, then waits that grow up to `retry_max`.
    Retry,
    /// The credentials were refused: asked once more, soon, with credentials read anew; refused again it is parked.
    Credentials,
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
    /// The pool lets it connect.
    Admitted,
    /// The answer is an event stream.
    Opened,
    /// Bytes came.
    Heard,
    /// No byte for a good part of `idle_timeout`.
    Quiet,
    /// It works worse than it should. With `flaps`, connections do not last, and the next end is no case for quick retries.
    Degraded {
        flaps: bool,
        detail: Cow<'static, str>,
    },
    /// It works as it should again.
    Recovered,
    /// A second connection is open, to take this one's place.
    Successor(Reason, Cow<'static, str>),
    /// The second connection delivers: it is the only one now.
    TookOver,
    /// The second connection is gone, or delivers nothing: the first one goes on.
    SuccessorLost(Ending),
    Ended(Ending),
    WaitOver,
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    /// Ask the pool for leave to connect, then say [`Input::Admitted`].
    Ask,
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
    /// How old the connection is, or was when it ended; `None`: there is none.
    pub age: Option<Duration>,
    pub reason: Option<Reason>,
    pub detail: Cow<'static, str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub effect: Effect,
    pub edge: Option<Edge>,
}

impl Step {
    const NONE: Self = Self { effect: Effect::Nothing, edge: None };
}

#[derive(Debug)]
pub struct Machine {
    state: State,
    since: Millis,
    opened_at: Option<Millis>,
    /// When the connection opened that is to take over.
    successor_at: Option<Millis>,
    stable_after: Duration,
    retry_after_max: Duration,
    retries: Retries,
    park: Backoff,
    is_degraded: bool,
    flaps: bool,
    /// The credentials have been refused since the last good answer.
    was_refused: bool,
    dice: SmallRng,
}

impl Machine {
    pub fn new(limits: &FeedLimits, seed: u64, now: Millis) -> Self {
        Self {
            state: State::Idle,
            since: now,
            opened_at: None,
            successor_at: None,
            stable_after: limits.stable_after,
            retry_after_max: limits.retry_after_max,
            retries: Retries::new(limits.quick_retries, limits.retry_initial, limits.cool_off, limits.retry_min, limits.retry_max),
            park: Backoff::equal_jitter(limits.park_initial, limits.park_max),
            is_degraded: false,
            flaps: false,
            was_refused: false,
            dice: SmallRng::seed_from_u64(seed),
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Failures in a row, since a connection last was stable.
    pub fn failures(&self) -> u32 {
        self.retries.failures()
    }

    /// The stream told how long to wait before coming back. Zero and other extremes are held within `retry_min` and `retry_max`.
    pub fn advise(&mut self, retry: Duration) {
        self.retries.advise(retry);
    }

    /// Inputs that make no sense in the present state are ignored: a timer and a stop may cross.
    pub fn on(&mut self, input: Input, now: Millis) -> Step {
        use State::*;
        match (self.state, input) {
            (Closed, _) => Step::NONE,
            (_, Input::Stop) => self.go(Closed, Effect::Nothing, Some((Reason::Released, Cow::Borrowed(""))), now),
            (Idle, Input::Start) => Step { effect: Effect::Ask, edge: None },
            (Idle, Input::Admitted) => self.go(Connecting, Effect::Connect, None, now),
            (Connecting, Input::Opened) => {
                self.opened_at = Some(now);
                self.was_refused = false;
                self.go(Open, Effect::Nothing, None, now)
            }
            (Open | Degraded, Input::Quiet) => self.go(Stalled, Effect::Nothing, Some((Reason::Idle, Cow::Borrowed("silent"))), now),
            (Stalled, Input::Heard) => self.go(self.reading(), Effect::Nothing, None, now),
            (Open, Input::Degraded { flaps, detail }) => {
                (self.is_degraded, self.flaps) = (true, flaps);
                self.go(Degraded, Effect::Nothing, Some((Reason::Degraded, detail)), now)
            }
            (Degraded, Input::Recovered) => {
                (self.is_degraded, self.flaps) = (false, false);
                self.go(Open, Effect::Nothing, None, now)
            }
            (Stalled | Draining, Input::Recovered) => {
                (self.is_degraded, self.flaps) = (false, false);
                Step::NONE
            }
            (Open | Degraded | Stalled, Input::Successor(reason, detail)) => {
                self.successor_at = Some(now);
                self.go(Draining, Effect::Nothing, Some((reason, detail)), now)
            }
            (Draining, Input::TookOver) => {
                let step = self.go(self.reading(), Effect::Nothing, Some((Reason::Rotate, Cow::Borrowed("its successor took over"))), now);
                self.opened_at = self.successor_at.take();
                step
            }
            (Draining, Input::SuccessorLost(ending)) => {
                self.successor_at = None;
                self.go(self.reading(), Effect::Nothing, Some((ending.reason, ending.detail)), now)
            }
            (Connecting | Open | Stalled | Degraded | Draining, Input::Ended(ending)) => self.end(ending, now),
            (Backoff | CoolingOff | Parked, Input::WaitOver) => self.go(Idle, Effect::Ask, None, now),
            (Idle | Connecting | Open | Stalled | Degraded | Draining | Backoff | CoolingOff | Parked, _) => Step::NONE,
        }
    }

    /// The state of a connection that is read and heard.
    fn reading(&self) -> State {
        if self.is_degraded { State::Degraded } else { State::Open }
    }

    fn end(&mut self, ending: Ending, now: Millis) -> Step {
        // Only a connection that lasted proves that the feed is well: one that accepts and closes at once must not be hammered.
        if self.age(now).is_some_and(|age| age >= self.stable_after) {
            self.retries.reset();
            self.park.reset();
        }
        let pace = match ending.pace {
            Pace::Credentials if std::mem::replace(&mut self.was_refused, true) => Pace::Park,
            pace => pace,
        };
        let (to, wait) = match pace {
            Pace::Park => (State::Parked, self.park.next(&mut self.dice)),
            Pace::Rotation => waiting(self.retries.same(&mut self.dice)),
            Pace::Retry | Pace::Credentials => waiting(self.retries.next(!self.flaps, &mut self.dice)),
        };
        // The random part stays on top: a server that names one time to everybody is not to meet them all at that time.
        let wait = wait.saturating_add(ending.not_before.unwrap_or_default().min(self.retry_after_max)).max(WAIT_MIN);
        self.go(to, Effect::Wait(wait), Some((ending.reason, ending.detail)), now)
    }

    fn age(&self, now: Millis) -> Option<Duration> {
        self.opened_at.map(|at| Duration::from_millis(now.saturating_sub(at)))
    }

    fn go(&mut self, to: State, effect: Effect, why: Option<(Reason, Cow<'static, str>)>, now: Millis) -> Step {
        let (reason, detail) = match why {
            Some((reason, detail)) => (Some(reason), detail),
            None => (None, Cow::Borrowed("")),
        };
        let stayed = Duration::from_millis(now.saturating_sub(self.since));
        let edge = Edge { from: self.state, to, stayed, age: self.age(now), reason, detail };
        if !to.is_connected() {
            (self.opened_at, self.successor_at) = (None, None);
            (self.is_degraded, self.flaps) = (false, false);
        }
        self.state = to;
        self.since = now;
        Step { effect, edge: Some(edge) }
    }
}

fn waiting((tempo, wait): (Tempo, Duration)) -> (State, Duration) {
    match tempo {
        Tempo::Quick => (State::Backoff, wait),
        Tempo::Slow => (State::CoolingOff, wait),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> FeedLimits {
        FeedLimits {
            retry_min: Duration::from_millis(100),
            quick_retries: 2,
            retry_initial: Duration::from_secs(1),
            cool_off: Duration::from_secs(4),
            retry_max: Duration::from_secs(30),
            stable_after: Duration::from_secs(10),
            ..FeedLimits::default()
        }
    }

    fn ended(pace: Pace) -> Input {
        Input::Ended(Ending::new(Reason::Eof, pace, "test"))
    }

    fn degraded() -> Input {
        Input::Degraded { flaps: false, detail: "slow".into() }
    }

    fn successor() -> Input {
        Input::Successor(Reason::Rotate, "age".into())
    }

    fn lost() -> Input {
        Input::SuccessorLost(Ending::new(Reason::Timeout, Pace::Retry, "nothing came"))
    }

    fn machine_in(state: State) -> Machine {
        let mut machine = Machine::new(&limits(), 1, 0);
        let open = [Input::Start, Input::Admitted, Input::Opened];
        let after_open = |rest: &[Input]| [&open[..], rest].concat();
        let way = match state {
            State::Idle => vec![],
            State::Connecting => open[..2].to_vec(),
            State::Open => after_open(&[]),
            State::Stalled => after_open(&[Input::Quiet]),
            State::Degraded => after_open(&[degraded()]),
            State::Draining => after_open(&[successor()]),
            State::Backoff => vec![Input::Start, Input::Admitted, ended(Pace::Retry)],
            State::CoolingOff => after_open(&[Input::Degraded { flaps: true, detail: "flaps".into() }, ended(Pace::Retry)]),
            State::Parked => vec![Input::Start, Input::Admitted, ended(Pace::Park)],
            State::Closed => vec![Input::Stop],
        };
        for input in way {
            machine.on(input, 0);
        }
        assert_eq!(machine.state(), state);
        machine
    }

    #[test]
    fn every_input_in_every_state() {
        use State::*;
        let inputs = [
            Input::Start,
            Input::Admitted,
            Input::Opened,
            Input::Heard,
            Input::Quiet,
            degraded(),
            Input::Recovered,
            successor(),
            Input::TookOver,
            lost(),
            ended(Pace::Retry),
            ended(Pace::Park),
            Input::WaitOver,
            Input::Stop,
        ];
        // Rows: states. Columns: the state after each of these inputs; `None` where it is ignored.
        let table: [(State, [Option<State>; 14]); 10] = {
            let (no, closed, backoff, parked) = (None, Some(Closed), Some(Backoff), Some(Parked));
            let (open, drain) = (Some(Open), Some(Draining));
            [
                (Idle, [no, Some(Connecting), no, no, no, no, no, no, no, no, no, no, no, closed]),
                (Connecting, [no, no, open, no, no, no, no, no, no, no, backoff, parked, no, closed]),
                (Open, [no, no, no, no, Some(Stalled), Some(Degraded), no, drain, no, no, backoff, parked, no, closed]),
                (Stalled, [no, no, no, open, no, no, no, drain, no, no, backoff, parked, no, closed]),
                (Degraded, [no, no, no, no, Some(Stalled), no, open, drain, no, no, backoff, parked, no, closed]),
                (Draining, [no, no, no, no, no, no, no, no, open, open, backoff, parked, no, closed]),
                (Backoff, [no, no, no, no, no, no, no, no, no, no, no, no, Some(Idle), closed]),
                (CoolingOff, [no, no, no, no, no, no, no, no, no, no, no, no, Some(Idle), closed]),
                (Parked, [no, no, no, no, no, no, no, no, no, no, no, no, Some(Idle), closed]),
                (Closed, [no; 14]),
            ]
        };
        assert_eq!(table.map(|(state, _)| state), State::ALL);
        for (from, after) in table {
            for (input, to) in inputs.iter().zip(after) {
                let mut machine = machine_in(from);
                let step = machine.on(input.clone(), 5);
                let context = format!("{from:?} on {input:?}: {step:?}");
                assert_eq!(machine.state(), to.unwrap_or(from), "{context}");
                assert_eq!(step.edge.as_ref().map(|edge| (edge.from, edge.to)), to.map(|to| (from, to)), "{context}");
                assert_eq!(matches!(step.effect, Effect::Wait(_)), to.is_some_and(State::is_waiting), "{context}");
                assert_eq!(step.effect == Effect::Connect, to == Some(Connecting), "{context}");
                assert_eq!(step.effect == Effect::Ask, to == Some(Idle) || (from == Idle && *input == Input::Start), "{context}");
            }
        }
    }

    /// Connects, stays open for `lasted`, ends; the wait that follows the end after `rounds` others. Repeated with other dice, so that bounds
    /// show: the state, the shortest and the longest wait in milliseconds.
    fn waits_after(rounds: u32, lasted: Option<Duration>, last: Ending) -> (State, u128, u128) {
        let waits = (0..400).map(|seed| {
            let (mut machine, mut now) = (Machine::new(&limits(), seed, 0), 0);
            machine.on(Input::Start, now);
            for round in 0.. {
                machine.on(Input::Admitted, now);
                if let Some(lasted) = lasted {
                    machine.on(Input::Opened, now);
                    now += lasted.as_millis() as Millis;
                }
                let ending = if round == rounds { last.clone() } else { Ending::new(Reason::Rst, Pace::Retry, "") };
                let Effect::Wait(wait) = machine.on(Input::Ended(ending), now).effect else { panic!("no wait") };
                if round == rounds {
                    return (machine.state(), wait.as_millis());
                }
                now += wait.as_millis() as Millis;
                machine.on(Input::WaitOver, now);
            }
            unreachable!("the loop ends with a wait")
        });
        waits.fold((State::Closed, u128::MAX, 0), |(_, least, most), (state, wait)| (state, least.min(wait), most.max(wait)))
    }

    #[test]
    fn only_a_connection_that_lasted_makes_the_waits_short_again() {
        let rst = || Ending::new(Reason::Rst, Pace::Retry, "");
        let at_once = Some(Duration::ZERO);
        let (quick, slow) = (State::Backoff, State::CoolingOff);
        let cases = [
            (0, at_once, rst(), quick, 800, 1_200),
            (1, at_once, rst(), quick, 1_600, 2_400),
            (2, at_once, rst(), slow, 100, 4_000),
            (3, at_once, rst(), slow, 100, 8_000),
            (3, Some(Duration::from_millis(9_999)), rst(), slow, 100, 8_000),
            (3, Some(Duration::from_secs(10)), rst(), quick, 800, 1_200),
            (20, None, rst(), slow, 100, 30_000),
            (0, at_once, Ending::new(Reason::Eof, Pace::Rotation, ""), quick, 100, 1_000),
            (2, at_once, Ending::new(Reason::Eof, Pace::Rotation, ""), quick, 1_600, 2_400),
            (4, at_once, Ending::new(Reason::Eof, Pace::Rotation, ""), slow, 100, 16_000),
        ];
        for (rounds, lasted, last, state, low, high) in cases {
            let (reached, least, most) = waits_after(rounds, lasted, last.clone());
            let context = format!("{rounds} rounds of {lasted:?}, then {last:?}: {reached:?} {least} to {most}");
            assert_eq!(reached, state, "{context}");
            assert!(least >= low && least < low + (high - low) / 20 + 50 && most <= high && most > high - high / 20, "{context}");
        }
    }

    #[test]
    fn parked_is_minutes_and_retry_after_is_obeyed_within_reason() {
        let (state, least, most) = waits_after(0, None, Ending::new(Reason::HttpStatus, Pace::Park, "404"));
        assert!(state == State::Parked && least >= 30_000 && most <= 60_000, "{state:?} {least} to {most}");
        let after = |seconds| Ending { not_before: Some(Duration::from_secs(seconds)), ..Ending::new(Reason::HttpStatus, Pace::Retry, "503") };
        let (_, least, most) = waits_after(0, None, after(120));
        assert!(least >= 120_800 && most <= 121_200, "{least} to {most}");
        let (_, least, most) = waits_after(0, None, after(u64::MAX));
        assert!(least >= 900_000 && most <= 901_200, "{least} to {most}");
    }

    #[test]
    fn refused_credentials_get_one_more_chance_until_the_next_good_answer() {
        let mut machine = machine_in(State::Connecting);
        let refused = |machine: &mut Machine| {
            machine.on(ended(Pace::Credentials), 0);
            let state = machine.state();
            machine.on(Input::WaitOver, 0);
            machine.on(Input::Admitted, 0);
            state
        };
        assert_eq!([refused(&mut machine), refused(&mut machine), refused(&mut machine)], [State::Backoff, State::Parked, State::Parked]);
        machine.on(Input::Opened, 0);
        assert_eq!(refused(&mut machine), State::Backoff);
    }

    #[test]
    fn a_successor_brings_its_own_age() {
        let mut machine = machine_in(State::Open);
        machine.on(successor(), 20_000);
        let edge = machine.on(Input::TookOver, 21_000).edge.unwrap();
        assert_eq!((edge.reason, edge.age), (Some(Reason::Rotate), Some(Duration::from_secs(21))), "the age of the one that went");
        let edge = machine.on(ended(Pace::Retry), 25_000).edge.unwrap();
        assert_eq!(edge.age, Some(Duration::from_secs(5)));
        let mut machine = machine_in(State::Open);
        machine.on(successor(), 20_000);
        machine.on(lost(), 21_000);
        assert_eq!(machine.on(ended(Pace::Retry), 25_000).edge.unwrap().age, Some(Duration::from_secs(25)));
    }

    #[test]
    fn a_degraded_connection_stays_so_through_silence_and_a_failed_rotation() {
        let mut machine = machine_in(State::Degraded);
        for input in [Input::Quiet, Input::Heard] {
            machine.on(input, 0);
        }
        assert_eq!(machine.state(), State::Degraded);
        for input in [successor(), lost()] {
            machine.on(input, 0);
        }
        assert_eq!(machine.state(), State::Degraded);
        for input in [Input::Quiet, Input::Recovered, Input::Heard] {
            machine.on(input, 0);
        }
        assert_eq!(machine.state(), State::Open);
    }

    #[test]
    fn there_is_always_a_pause() {
        let zero = Duration::ZERO;
        let limits = FeedLimits { retry_min: zero, retry_initial: zero, cool_off: zero, retry_max: zero, ..limits() };
        let mut machine = Machine::new(&limits, 1, 0);
        machine.advise(zero);
        machine.on(Input::Start, 0);
        machine.on(Input::Admitted, 0);
        assert_eq!(machine.on(ended(Pace::Rotation), 0).effect, Effect::Wait(WAIT_MIN));
    }

    #[test]
    fn an_edge_says_how_long_the_state_lasted_and_why_it_ended() {
        let mut machine = machine_in(State::Open);
        let edge = machine.on(ended(Pace::Retry), 1_234).edge.unwrap();
        assert_eq!((edge.stayed, edge.reason, &*edge.detail), (Duration::from_millis(1_234), Some(Reason::Eof), "test"));
    }
}
