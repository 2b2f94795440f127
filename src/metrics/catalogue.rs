//! Everything that is measured: one row a metric, with its name, unit and meaning. The one list that samples, history, rules, commands and the
//! documentation share.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::{Index, IndexMut};
use utoipa::ToSchema;

/// What a metric's numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Count,
    PerSecond,
    Bytes,
    BytesPerSecond,
    Ms,
    Seconds,
    /// From 0 to 1.
    Ratio,
    /// 100 is one core, or for the host all of them.
    Percent,
}

macro_rules! metrics {
    ($($Metric:ident $name:literal $Unit:ident $help:literal;)*) => {
        /// What is measured of the hub as a whole.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric {
            $($Metric,)*
        }

        impl Metric {
            pub const ALL: &[Self] = &[$(Self::$Metric,)*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Metric => $name,)*
                }
            }
            pub const fn unit(self) -> Unit {
                match self {
                    $(Self::$Metric => Unit::$Unit,)*
                }
            }
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$Metric => $help,)*
                }
            }
        }
    };
}

metrics! {
    SessionsOpen "sessions.open" Count "Clients that are connected and have said who they are.";
    SessionsUsers "sessions.users" Count "Distinct users among them; all anonymous ones count as one.";
    SessionsSubscriptions "sessions.subscriptions" Count "Subscriptions of all sessions.";
    SessionsWebsocket "sessions.websocket" Count "Sessions on WebSocket, in both directions.";
    SessionsHttpStream "sessions.http_stream" Count "Sessions on an HTTP stream, in both directions.";
    SessionsSse "sessions.sse" Count "Sessions on an event stream, in both directions.";
    SessionsOneWay "sessions.one_way" Count "Sessions that only receive, on any transport.";
    SessionsOpened "sessions.opened" PerSecond "Client connections that began.";
    SessionsClosed "sessions.closed" PerSecond "Client connections that ended, for whatever reason.";
    ClosedByClient "closed.client" PerSecond "Ended by the client or its network.";
    ClosedSlow "closed.slow" PerSecond "Cut because too much waited for them, or for too long.";
    ClosedSilent "closed.silent" PerSecond "Ended because they did not answer a ping.";
    ClosedExpired "closed.expired" PerSecond "Ended because their time was over.";
    ClosedShutdown "closed.shutdown" PerSecond "Told to come back elsewhere, as the hub stops or an operator asked.";
    ClosedOther "closed.other" PerSecond "Ended by the hub for another reason, which the log says.";
    ConnectionsOpen "connections.open" Count "Accepted sockets in any stage.";
    ConnectionsUsed "connections.used" Ratio "Of the sockets that may be open at once.";
    ConnectionsRefused "connections.refused" PerSecond "Sockets and handshakes that the hub turned away because it was full, too often asked, or stopping.";
    HandshakesRefused "handshakes.refused" PerSecond "Handshakes turned away for what they were: path, origin, form.";
    TokensRefused "tokens.refused" PerSecond "Tokens that were not good.";
    MessagesPublished "messages.published" PerSecond "Publications into all channels.";
    MessagesPublishedBytes "messages.published_bytes" BytesPerSecond "Their payloads.";
    MessagesDelivered "messages.delivered" PerSecond "Events handed to connections, once for each.";
    MessagesDeliveredBytes "messages.delivered_bytes" BytesPerSecond "Their bytes, before TLS.";
    MessagesDropped "messages.dropped" PerSecond "Events that one stage could not take; the next one fills the gap from history where it can.";
    MessagesLost "messages.lost" PerSecond "Gaps that history could not fill: subscribers were told.";
    CommandsReceived "commands.received" PerSecond "Commands of clients.";
    CommandsRefused "commands.refused" PerSecond "Commands answered with an error of any kind.";
    CommandsFailed "commands.failed" PerSecond "Commands answered with an internal error: the hub's fault.";
    FramesRefused "frames.refused" PerSecond "WebSocket frames that broke the rules.";
    ApiCalls "api.calls" PerSecond "Calls of the server API.";
    RecoveriesDone "recoveries.done" PerSecond "Subscribers that came back and missed nothing.";
    RecoveriesFailed "recoveries.failed" PerSecond "Subscribers that came back and could not be given all that they missed.";
    ChannelsOpen "channels.open" Count "Channels with subscribers.";
    StreamsOpen "streams.open" Count "Channels with a stream in memory.";
    StreamsPublications "streams.publications" Count "Publications that all histories keep.";
    StreamsBytes "streams.bytes" Bytes "What all histories cost.";
    OutboxBytes "outbox.bytes" Bytes "Bytes that wait for clients that are behind.";
    MercureSubscribers "mercure.subscribers" Count "Clients of the Mercure protocol.";
    MercureDelivered "mercure.delivered" PerSecond "Updates written to them, once for each.";
    FeedsAll "feeds.all" Count "Feeds that there are.";
    FeedsOpen "feeds.open" Count "Feeds that deliver.";
    FeedsDown "feeds.down" Count "Feeds that should deliver and do not.";
    FeedsPaused "feeds.paused" Count "Feeds that an operator has paused.";
    FeedsConnections "feeds.connections" Count "Connections to feeds.";
    FeedsConnectionsUsed "feeds.connections_used" Ratio "Of the connections that there may be.";
    FeedsWaiting "feeds.waiting" Count "Feeds that wait for a connection's place.";
    FeedsEvents "feeds.events" PerSecond "Events read from all feeds.";
    FeedsErrors "feeds.errors" Count "Errors of all feeds in the last minute.";
    FeedsGaps "feeds.gaps" PerSecond "Times that events of a feed were missed for sure.";
    FeedsLatency "feeds.latency_ms" Ms "How late the feed is whose events are the latest, where feeds tell their time.";
    FeedsHostsLeftAlone "feeds.hosts_left_alone" Count "Hosts that are left alone for a while because their feeds failed.";
    LatencyP50 "latency.p50_ms" Ms "Half of the last minute's canaries came within this time, from the socket that published them to each that heard them.";
    LatencyP95 "latency.p95_ms" Ms "95 of 100 did.";
    LatencyP99 "latency.p99_ms" Ms "99 of 100 did.";
    LatencyMax "latency.max_ms" Ms "All of the last step's did.";
    DeliveryP50 "delivery.p50_ms" Ms "Publications, from the broker to the sockets of a worker's subscribers: half of the last minute's took no longer.";
    DeliveryP99 "delivery.p99_ms" Ms "Publications, from the broker to the sockets of a worker's subscribers: 99 of 100 took no longer.";
    FeedDeliveryP50 "feed_delivery.p50_ms" Ms "Publications of feeds, from where they were read to the sockets of a worker's subscribers: half of the last minute's took no longer.";
    FeedDeliveryP99 "feed_delivery.p99_ms" Ms "Publications of feeds, from where they were read to the sockets of a worker's subscribers: 99 of 100 took no longer.";
    ConnectP50 "connect.p50_ms" Ms "Connect commands, to their replies: half of the last minute's took no longer.";
    ConnectP99 "connect.p99_ms" Ms "Connect commands, to their replies: 99 of 100 took no longer.";
    SubscribeP50 "subscribe.p50_ms" Ms "Subscribe commands of those that are new, to their replies: half of the last minute's took no longer.";
    SubscribeP99 "subscribe.p99_ms" Ms "Subscribe commands of those that are new, to their replies: 99 of 100 took no longer.";
    RecoveryP50 "recovery.p50_ms" Ms "Subscribe commands of those that came back, to their replies with what was missed: half of the last minute's took no longer.";
    RecoveryP99 "recovery.p99_ms" Ms "Subscribe commands of those that came back, to their replies with what was missed: 99 of 100 took no longer.";
    RpcP50 "rpc.p50_ms" Ms "Calls of clients, to their answers: half of the last minute's took no longer.";
    RpcP99 "rpc.p99_ms" Ms "Calls of clients, to their answers: 99 of 100 took no longer.";
    ApiPublishP50 "api_publish.p50_ms" Ms "Calls of the server API that publish, to the broker's answer: half of the last minute's took no longer.";
    ApiPublishP99 "api_publish.p99_ms" Ms "Calls of the server API that publish, to the broker's answer: 99 of 100 took no longer.";
    CanariesSent "canaries.sent" PerSecond "Canaries: publications of a client of the hub's own, once for each such client that is to hear it.";
    CanariesLost "canaries.lost" PerSecond "Canaries that were not heard in two seconds.";
    CanariesOpen "canaries.open" Count "Clients of the hub's own that hear canaries, one on each worker.";
    CanariesConnect "canaries.connect_ms" Ms "How long the newest of them took from its first packet, through handshake and connect, until it was subscribed.";
    WorkersLag "workers.lag_ms" Ms "How late the timer of the slowest worker was at most.";
    WorkersSilent "workers.silent" Count "Workers that did not answer at all.";
    ActorsOpen "actors.open" Count "Actors of sessions and topics.";
    ActorsRestarts "actors.restarts" PerSecond "Actors that had failed and were started anew.";
    Panics "panics" PerSecond "Panics: each a defect, each survived.";
    TimersSet "timers.set" Count "Timers of sessions.";
    ProcessCpu "process.cpu" Percent "CPU time of the hub; 100 is one core.";
    MemoryAllocated "memory.allocated" Bytes "What the program holds. Grows without end only if something leaks.";
    MemoryResident "memory.resident" Bytes "What the process has of the machine's memory.";
    DescriptorsOpen "descriptors.open" Count "Files and sockets that are open.";
    DescriptorsUsed "descriptors.used" Ratio "Of those that the system allows.";
    ThreadsRunning "threads" Count "Threads of the process.";
    StoreUp "store.up" Ratio "1 where the store did what it was last asked, 0 where it did not.";
    StoreLatency "store.latency_ms" Ms "How long calls of the store took, on average.";
    StoreCalls "store.calls" PerSecond "Calls of the store.";
    StoreErrors "store.errors" PerSecond "Calls that it did not carry out.";
    StoreWaiting "store.waiting" Count "Calls that wait for it.";
    HistoryWaiting "history.waiting" Count "Publications that wait to be written.";
    HistoryUnwritten "history.unwritten" PerSecond "Publications that found no room to wait for the store.";
    AuditFailures "audit.failures" PerSecond "Attempts to write the audit log that failed.";
    CertificateEnds "certificate.ends_in_seconds" Seconds "Time until the served certificate expires; none without TLS.";
    HostCpu "host.cpu" Percent "CPU use of the whole machine.";
    HostMemoryUsed "host.memory_used" Ratio "Of the machine's memory.";
    HostLoad "host.load" Count "Tasks that run or wait for a core, averaged over a minute.";
    HostSocketMemory "host.socket_memory" Bytes "What the kernel keeps for TCP sockets, of the whole machine.";
    HostDiskFree "host.disk_free" Ratio "Free, of the disk with the hub's data.";
    ObjectiveConnections "objectives.connections" Ratio "Of the last five minutes: the share of connections that were let in.";
    ObjectiveDelivery "objectives.delivery" Ratio "Of the last five minutes: the share of canaries that arrived.";
    ObjectiveLatency "objectives.latency" Ratio "Of the last five minutes: the share of canaries that arrived in time.";
    ObjectiveErrors "objectives.errors" Ratio "Of the last five minutes: the share of commands that did not fail by the hub's fault.";
    ObjectiveRecovery "objectives.recovery" Ratio "Of the last five minutes: the share of clients that came back and missed nothing.";
    BudgetConnections "budget.connections" Ratio "How much is left of what may fail in 30 days; below 0 where more failed.";
    BudgetDelivery "budget.delivery" Ratio "How much is left of what may fail in 30 days; below 0 where more failed.";
    BudgetLatency "budget.latency" Ratio "How much is left of what may fail in 30 days; below 0 where more failed.";
    BudgetErrors "budget.errors" Ratio "How much is left of what may fail in 30 days; below 0 where more failed.";
    BudgetRecovery "budget.recovery" Ratio "How much is left of what may fail in 30 days; below 0 where more failed.";
    LeakMemory "leak.memory_per_hour" Bytes "Growth of the memory that load does not explain, over the last hours.";
    LeakDescriptors "leak.descriptors_per_hour" Count "The same of descriptors.";
    LeakActors "leak.actors_per_hour" Count "The same of actors.";
    MetricsCost "metrics.cost" Percent "CPU time of measuring itself; 100 is one core.";
}

impl Metric {
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|metric| metric.name() == name)
    }

    pub fn described(self) -> Value {
        json!({ "name": self.name(), "unit": self.unit(), "help": self.help() })
    }
}

/// One reading of every metric; those that there is none of are `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(Box<[Option<f64>]>);

impl Default for Values {
    fn default() -> Self {
        Self(vec![None; Metric::ALL.len()].into())
    }
}

impl Values {
    pub fn iter(&self) -> impl Iterator<Item = (Metric, Option<f64>)> + '_ {
        Metric::ALL.iter().copied().zip(self.0.iter().copied())
    }
}

impl Index<Metric> for Values {
    type Output = Option<f64>;
    fn index(&self, metric: Metric) -> &Option<f64> {
        &self.0[metric as usize]
    }
}

impl IndexMut<Metric> for Values {
    fn index_mut(&mut self, metric: Metric) -> &mut Option<f64> {
        &mut self.0[metric as usize]
    }
}

/// What is measured of each feed. Rules may be about it; history does not keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FeedMetric {
    Down,
    Latency,
}

impl FeedMetric {
    pub const ALL: [Self; 2] = [Self::Down, Self::Latency];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "feed.down_seconds",
            Self::Latency => "feed.latency_ms",
        }
    }
    pub const fn unit(self) -> Unit {
        match self {
            Self::Down => Unit::Seconds,
            Self::Latency => Unit::Ms,
        }
    }
    pub const fn help(self) -> &'static str {
        match self {
            Self::Down => "For how long a feed that should deliver has not been open; 0 while it is.",
            Self::Latency => "How late a feed's events are, where it tells their time.",
        }
    }
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
    pub fn described(self) -> Value {
        json!({ "name": self.name(), "unit": self.unit(), "help": self.help(), "by": "feed" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_metric_has_a_name_of_its_own_and_is_explained() {
        let names: HashSet<_> = Metric::ALL.iter().map(|metric| metric.name()).chain(FeedMetric::ALL.map(FeedMetric::name)).collect();
        assert_eq!(names.len(), Metric::ALL.len() + FeedMetric::ALL.len());
        for (index, metric) in Metric::ALL.iter().enumerate() {
            assert_eq!((*metric as usize, Metric::parse(metric.name())), (index, Some(*metric)));
            assert!(metric.help().ends_with('.'), "{}", metric.name());
        }
        assert_eq!((Metric::parse("feed.down_seconds"), FeedMetric::parse("feed.down_seconds")), (None, Some(FeedMetric::Down)));
    }

    /// The documentation lists every metric, row by row.
    #[test]
    fn the_documentation_lists_every_metric_and_no_other() {
        let documentation = include_str!("../../docs/metrics.md");
        let listed: Vec<&str> =
            documentation.lines().skip_while(|line| !line.starts_with("| metric |")).skip(2).take_while(|line| line.starts_with('|')).collect();
        let word = |unit: Unit| serde_json::to_value(unit).unwrap().as_str().unwrap().to_string();
        let row = |name: &str, unit, help: &str| format!("| `{name}` | {} | {help} |", word(unit));
        let expected: Vec<String> = Metric::ALL
            .iter()
            .map(|metric| row(metric.name(), metric.unit(), metric.help()))
            .chain(FeedMetric::ALL.map(|metric| row(metric.name(), metric.unit(), metric.help())))
            .collect();
        assert_eq!(listed.join("\n"), expected.join("\n"), "docs/metrics.md, Metrics");
    }
}
