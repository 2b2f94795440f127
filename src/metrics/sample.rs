//! From what is read to what is told: rates out of counts, shares out of sums, and how long each feed has been down. Pure: the actor reads, and
//! hands over what it read with the times.

use super::canary::Told;
use super::catalogue::{FeedMetric, Metric, Values};
use super::counters::Totals;
use super::objectives::{Objective, Tally};
use crate::broker::MemoryBrokerStats;
use crate::clock::Millis;
use crate::said::{Sentence, said};
use crate::session::facts::Transport;
use crate::store::{StoreState, WallMs};
use crate::topic::fanout::WorkerPulse;
use crate::upstream::{PoolReport, Reason, State};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// What the house says of itself at one moment.
#[derive(Clone, Debug)]
pub struct Figures {
    pub sessions: usize,
    pub users: usize,
    /// In the order of [`Transport::ALL`].
    pub by_transport: [usize; Transport::ALL.len()],
    pub connections: usize,
    pub connections_max: usize,
    pub channels: usize,
    /// `None`: a worker that did not answer.
    pub workers: Vec<Option<WorkerPulse>>,
    /// `None`: it was not asked for in this step.
    pub broker: Option<MemoryBrokerStats>,
    pub store: StoreState,
    pub history_waiting: usize,
    pub mercure_subscribers: usize,
    pub feeds: PoolReport,
    pub feed_connections_max: usize,
    /// Why the hub takes nobody in, if it does not.
    pub not_ready: Option<Sentence>,
}

/// One worker in one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WorkerSample {
    pub worker: usize,
    /// `false`: it did not answer, and the rest is what it said last.
    pub answers: bool,
    pub sessions: usize,
    pub subscriptions: usize,
    pub outbox_bytes: usize,
    pub lag_ms: u64,
    pub delivered: f64,
}

/// What is known of one feed for the rules about feeds.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedSample {
    pub name: Arc<str>,
    pub down_seconds: f64,
    pub latency_ms: Option<f64>,
    /// Where it is down.
    pub why: Option<Sentence>,
}

impl FeedSample {
    pub fn value(&self, metric: FeedMetric) -> Option<f64> {
        match metric {
            FeedMetric::Down => Some(self.down_seconds),
            FeedMetric::Latency => self.latency_ms,
        }
    }
}

/// Everything that one step brought.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When the step ended.
    pub at: WallMs,
    pub step_ms: u64,
    pub values: Values,
    pub workers: Vec<WorkerSample>,
    pub feeds: Vec<FeedSample>,
    pub tallies: [Tally; Objective::ALL.len()],
    /// What the store says is wrong with it.
    pub store_trouble: Option<String>,
    pub not_ready: Option<Sentence>,
}

/// What is read in one step.
pub struct Read {
    pub now: Millis,
    pub at: WallMs,
    pub totals: Totals,
    pub figures: Figures,
    /// What host and process say; the sampler adds the rest.
    pub values: Values,
    /// `None`: no canaries fly.
    pub canaries: Option<Told>,
}

/// What has to be remembered from one step to the next.
#[derive(Default)]
pub struct Sampler {
    last: Option<(Millis, Totals)>,
    workers: Vec<WorkerState>,
    /// Feeds that should deliver and do not, and since when.
    down: HashMap<Arc<str>, Millis>,
    broker: MemoryBrokerStats,
}

#[derive(Clone, Copy, Default)]
struct WorkerState {
    pulse: WorkerPulse,
    answered_at: Option<Millis>,
}

impl Sampler {
    /// `begun`: what had been counted when the hub began, and when that was. Without it the first step has no rates.
    pub fn new(begun: Option<(Millis, Totals)>) -> Self {
        Self { last: begun, ..Self::default() }
    }

    pub fn step(&mut self, read: Read) -> Sample {
        let Read { now, at, totals, figures, mut values, canaries } = read;
        let last = self.last.take();
        // Without a step before, and without the hub's beginning, there are no rates.
        let elapsed_ms = last.as_ref().map_or(0, |(before, _)| now.saturating_sub(*before));
        let seconds = elapsed_ms as f64 / 1_000.0;
        let counted = |metric| last.as_ref().filter(|_| elapsed_ms > 0).map(|(_, before)| totals.since(before, metric));
        for metric in Totals::metrics() {
            values[metric] = counted(metric).map(|count| count / seconds);
        }
        if let Some((_, before)) = &last {
            let (calls, took) = (totals.store.0.saturating_sub(before.store.0), totals.store.1 - before.store.1);
            values[Metric::StoreLatency] = (calls > 0).then(|| (took * 1_000.0 / calls as f64).max(0.0));
        }
        values[Metric::CertificateEnds] = totals.certificate_ends.map(|ends| (ends - at.div_euclid(1_000)) as f64);
        let workers = self.workers(&figures, now, elapsed_ms, &mut values);
        self.house(&figures, &mut values);
        let feeds = self.feeds(&figures, now, &mut values);
        let canary = |count: fn(&Told) -> u64| canaries.as_ref().filter(|_| elapsed_ms > 0).map(|told| count(told) as f64);
        values[Metric::CanariesSent] = canary(|told| told.sent).map(|count| count / seconds);
        values[Metric::CanariesLost] = canary(|told| told.lost).map(|count| count / seconds);
        let percentiles = canaries.and_then(|told| told.percentiles);
        values[Metric::LatencyP50] = percentiles.map(|told| told.p50);
        values[Metric::LatencyP95] = percentiles.map(|told| told.p95);
        values[Metric::LatencyP99] = percentiles.map(|told| told.p99);
        values[Metric::LatencyMax] = canaries.and_then(|told| told.max);
        let tallies = {
            let of = |metric| counted(metric).unwrap_or_default();
            let (opened, refused) = (of(Metric::SessionsOpened), of(Metric::ConnectionsRefused));
            let (commands, failed) = (of(Metric::CommandsReceived), of(Metric::CommandsFailed));
            let (recovered, unrecovered) = (of(Metric::RecoveriesDone), of(Metric::RecoveriesFailed));
            let told = canaries.unwrap_or_default();
            let (arrived, timed, in_time, lost) = (told.arrived as f64, told.timed as f64, told.in_time as f64, told.lost as f64);
            Objective::ALL.map(|objective| match objective {
                Objective::Connections => Tally::new(opened, opened + refused),
                Objective::Delivery => Tally::new(arrived, arrived + lost),
                Objective::Latency => Tally::new(in_time, timed),
                Objective::Errors => Tally::new((commands - failed).max(0.0), commands),
                Objective::Recovery => Tally::new(recovered, recovered + unrecovered),
            })
        };
        self.last = Some((now, totals));
        Sample { at, step_ms: elapsed_ms, values, workers, feeds, tallies, store_trouble: figures.store.trouble, not_ready: figures.not_ready }
    }

    fn workers(&mut self, figures: &Figures, now: Millis, elapsed_ms: Millis, values: &mut Values) -> Vec<WorkerSample> {
        self.workers.resize(figures.workers.len(), WorkerState::default());
        let mut samples = Vec::with_capacity(figures.workers.len());
        for (worker, (state, pulse)) in self.workers.iter_mut().zip(&figures.workers).enumerate() {
            let before = state.pulse.delivered;
            if let Some(pulse) = pulse {
                *state = WorkerState { pulse: *pulse, answered_at: Some(now) };
            }
            let since_answer = now.saturating_sub(*state.answered_at.get_or_insert(now));
            let delivered = state.pulse.delivered.saturating_sub(before);
            samples.push(WorkerSample {
                worker,
                answers: pulse.is_some(),
                sessions: state.pulse.sessions,
                subscriptions: state.pulse.members,
                outbox_bytes: state.pulse.outbox_bytes,
                // One that does not answer is at least as late as that.
                lag_ms: if pulse.is_some() { state.pulse.lag_ms_most } else { since_answer },
                delivered: if elapsed_ms > 0 { delivered as f64 * 1_000.0 / elapsed_ms as f64 } else { 0.0 },
            });
        }
        let sum = |of: fn(&WorkerPulse) -> usize| Some(self.workers.iter().map(|worker| of(&worker.pulse)).sum::<usize>() as f64);
        values[Metric::SessionsSubscriptions] = sum(|pulse| pulse.members);
        values[Metric::OutboxBytes] = sum(|pulse| pulse.outbox_bytes);
        values[Metric::TimersSet] = sum(|pulse| pulse.timers);
        values[Metric::ActorsOpen] = sum(|pulse| pulse.sessions).map(|sessions| sessions + figures.channels as f64);
        values[Metric::WorkersLag] = samples.iter().map(|sample| sample.lag_ms as f64).reduce(f64::max);
        values[Metric::WorkersSilent] = Some(samples.iter().filter(|sample| !sample.answers).count() as f64);
        samples
    }

    fn house(&mut self, figures: &Figures, values: &mut Values) {
        let mut set = |metric, value: usize| values[metric] = Some(value as f64);
        set(Metric::SessionsOpen, figures.sessions);
        set(Metric::SessionsUsers, figures.users);
        let mut one_way = 0;
        for (transport, count) in Transport::ALL.into_iter().zip(figures.by_transport) {
            match transport {
                Transport::Websocket => set(Metric::SessionsWebsocket, count),
                Transport::HttpStream => set(Metric::SessionsHttpStream, count),
                Transport::Sse => set(Metric::SessionsSse, count),
                Transport::UniWebsocket | Transport::UniHttpStream | Transport::UniSse | Transport::Mercure => one_way += count,
            }
        }
        set(Metric::SessionsOneWay, one_way);
        set(Metric::ConnectionsOpen, figures.connections);
        set(Metric::ChannelsOpen, figures.channels);
        if let Some(broker) = figures.broker {
            self.broker = broker;
        }
        set(Metric::StreamsOpen, self.broker.streams);
        set(Metric::StreamsPublications, self.broker.publications);
        set(Metric::StreamsBytes, self.broker.bytes);
        set(Metric::MercureSubscribers, figures.mercure_subscribers);
        set(Metric::StoreUp, usize::from(figures.store.trouble.is_none()));
        set(Metric::StoreWaiting, figures.store.waiting);
        set(Metric::HistoryWaiting, figures.history_waiting);
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        values[Metric::ConnectionsUsed] = share(figures.connections, figures.connections_max);
        values[Metric::FeedsConnectionsUsed] = share(figures.feeds.places.held, figures.feed_connections_max);
    }

    fn feeds(&mut self, figures: &Figures, now: Millis, values: &mut Values) -> Vec<FeedSample> {
        let report = &figures.feeds;
        let (mut open, mut paused, mut down) = (0, 0, HashMap::new());
        let samples: Vec<_> = report
            .feeds
            .iter()
            .map(|feed| {
                let delivers = matches!(feed.state, State::Open | State::Degraded | State::Draining);
                let is_wanted = !feed.is_paused && !feed.is_resting && feed.state != State::Closed;
                open += usize::from(delivers);
                paused += usize::from(feed.is_paused);
                // One that is not to deliver is not down: what was wrong with it before is over.
                let is_down = is_wanted && !delivers;
                let down_seconds = if is_down {
                    let since = self.down.get(&feed.name).copied().unwrap_or(now);
                    down.insert(Arc::clone(&feed.name), since);
                    now.saturating_sub(since) as f64 / 1_000.0
                } else {
                    0.0
                };
                let why = is_down.then(|| why_down(feed.state, feed.reason, &feed.detail));
                let latency_ms = feed.latency.map(|latency| latency.as_secs_f64() * 1_000.0);
                FeedSample { name: Arc::clone(&feed.name), down_seconds, latency_ms, why }
            })
            .collect();
        let mut set = |metric, value: usize| values[metric] = Some(value as f64);
        set(Metric::FeedsAll, report.feeds.len());
        set(Metric::FeedsOpen, open);
        set(Metric::FeedsDown, down.len());
        set(Metric::FeedsPaused, paused);
        set(Metric::FeedsConnections, report.places.held);
        set(Metric::FeedsWaiting, report.places.waiting);
        set(Metric::FeedsHostsLeftAlone, report.places.breakers_open);
        set(Metric::FeedsErrors, report.feeds.iter().map(|feed| feed.errors_per_minute as usize).sum());
        values[Metric::FeedsLatency] = samples.iter().filter_map(|feed| feed.latency_ms).reduce(f64::max);
        self.down = down;
        samples
    }
}

/// What keeps a feed from delivering.
fn why_down(state: State, reason: Option<Reason>, detail: &str) -> Sentence {
    let state = state.as_str();
    match (reason.map(Reason::as_str), detail) {
        (None, "") => said!("alert.feed", "{state}.", state),
        (None, detail) => said!("alert.feed.detail", "{state}: {detail}.", state, detail),
        (Some(reason), "") => said!("alert.feed.reason", "{state}: {reason}.", state, reason),
        (Some(reason), detail) => said!("alert.feed.reason_detail", "{state}: {reason}: {detail}.", state, reason, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Places;

    fn figures(workers: Vec<Option<WorkerPulse>>) -> Figures {
        Figures {
            sessions: 4,
            users: 2,
            by_transport: [1, 1, 0, 1, 0, 0, 1],
            connections: 5,
            connections_max: 10,
            channels: 3,
            workers,
            broker: None,
            store: StoreState { kind: "sqlite", trouble: None, waiting: 0, connections: 3 },
            history_waiting: 0,
            mercure_subscribers: 0,
            feeds: PoolReport { feeds_max: 10, places: Places::default(), wanted_channels: 0, unserved_channels: 0, feeds: Vec::new() },
            feed_connections_max: 50,
            not_ready: None,
        }
    }

    fn step(sampler: &mut Sampler, now: Millis, figures: Figures, canaries: Option<Told>) -> Sample {
        let read = Read { now, at: now as WallMs, totals: Totals::default(), figures, values: Values::default(), canaries };
        sampler.step(read)
    }

    #[test]
    fn why_a_feed_is_down_is_its_state_with_the_reason_and_the_detail_that_there_are() {
        for (state, reason, detail, text) in [
            (State::Connecting, None, "", "connecting."),
            (State::Parked, None, "asked to stop", "parked: asked to stop."),
            (State::Backoff, Some(Reason::Refused), "", "backoff: refused."),
            (State::Backoff, Some(Reason::Refused), "os error 111", "backoff: refused: os error 111."),
        ] {
            let why = why_down(state, reason, detail);
            assert_eq!((why.text.as_str(), &why.said.values["state"]), (text, &serde_json::json!(state.as_str())));
        }
    }

    #[test]
    fn the_first_step_has_no_rates_and_a_silent_worker_is_ever_later() {
        let pulse = |delivered| WorkerPulse { sessions: 2, members: 5, delivered, lag_ms_most: 7, ..WorkerPulse::default() };
        let mut sampler = Sampler::default();
        let first = step(&mut sampler, 1_000, figures(vec![Some(pulse(100)), Some(pulse(100))]), Some(Told { sent: 4, ..Told::default() }));
        assert_eq!((first.values[Metric::Panics], first.values[Metric::CanariesSent], first.step_ms), (None, None, 0));
        assert_eq!((first.values[Metric::SessionsOpen], first.values[Metric::SessionsOneWay]), (Some(4.0), Some(2.0)));
        let told = Told { sent: 4, lost: 1, arrived: 4, timed: 3, in_time: 2, ..Told::default() };
        let second = step(&mut sampler, 3_000, figures(vec![Some(pulse(300)), None]), Some(told));
        let rates = [Metric::Panics, Metric::CanariesSent, Metric::CanariesLost].map(|metric| second.values[metric]);
        assert_eq!(rates, [Some(0.0), Some(2.0), Some(0.5)]);
        assert_eq!((second.workers[0].delivered, second.workers[0].lag_ms), (100.0, 7));
        assert_eq!((second.workers[1].answers, second.workers[1].lag_ms, second.workers[1].sessions), (false, 2_000, 2), "what it said last");
        assert_eq!((second.values[Metric::WorkersLag], second.values[Metric::WorkersSilent]), (Some(2_000.0), Some(1.0)));
        assert_eq!(second.tallies[Objective::Delivery as usize], Tally::new(4.0, 5.0));
        assert_eq!(second.tallies[Objective::Latency as usize], Tally::new(2.0, 3.0));
        let third = step(&mut sampler, 4_000, figures(vec![Some(pulse(300)), None]), None);
        assert_eq!((third.workers[1].lag_ms, third.values[Metric::CanariesSent], third.values[Metric::LatencyMax]), (3_000, None, None));
    }

    #[test]
    fn the_first_step_of_a_hub_is_about_all_that_was_since_it_began() {
        let begun = Totals::default();
        let now = Totals::of_counts(&[(Metric::SessionsOpened, 6.0), (Metric::ConnectionsRefused, 2.0), (Metric::Panics, 1.0)]);
        let mut sampler = Sampler::new(Some((500, begun)));
        let read = |now, totals| Read { now, at: 0, totals, figures: figures(Vec::new()), values: Values::default(), canaries: None };
        let first = sampler.step(read(1_000, now.clone()));
        assert_eq!((first.step_ms, first.values[Metric::Panics], first.values[Metric::SessionsOpened]), (500, Some(2.0), Some(12.0)));
        assert_eq!(first.tallies[Objective::Connections as usize], Tally::new(6.0, 8.0));
        let second = sampler.step(read(2_000, now.clone()));
        assert_eq!(second.tallies[Objective::Connections as usize], Tally::default(), "counted once");
        let mut another = Sampler::default();
        let first = another.step(read(2_000, now));
        assert_eq!(first.tallies[Objective::Connections as usize], Tally::default(), "whoever takes over counts nothing a second time");
    }

    #[test]
    fn shares_of_nothing_are_none_and_what_is_dear_is_kept_from_the_last_look() {
        let mut sampler = Sampler::default();
        let mut asked = figures(Vec::new());
        (asked.connections_max, asked.feed_connections_max) = (0, 0);
        asked.broker = Some(MemoryBrokerStats { streams: 9, ..MemoryBrokerStats::default() });
        let first = step(&mut sampler, 1_000, asked, None);
        assert_eq!((first.values[Metric::ConnectionsUsed], first.values[Metric::FeedsConnectionsUsed]), (None, None));
        assert_eq!(first.values[Metric::WorkersLag], None, "there are no workers");
        let second = step(&mut sampler, 2_000, figures(Vec::new()), None);
        assert_eq!((second.values[Metric::StreamsOpen], second.values[Metric::ConnectionsUsed]), (Some(9.0), Some(0.5)));
    }
}
