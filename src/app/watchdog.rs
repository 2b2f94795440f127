//! Looks after what nobody else looks after: singletons that may have died, topics that may have died, memory whose time is over.
//!
//! actix's supervision restarts an actor that stopped, but a panic ends an actor silently. So each singleton has a factory here, and is
//! started anew, with a growing pause and a count, when it does not answer. The workers look after their own fan-out actors themselves,
//! because only their threads can start them.

use super::House;
use crate::admin::{self, Admin};
use crate::auth::Jwks;
use crate::clock::Millis;
use crate::metrics::{self, Metrics};
use crate::telemetry::emit;
use crate::telemetry::watchdog::SingletonRestarted;
use crate::upstream::{Ping, UpstreamPool};
use actix::{Actor, Addr, Context};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

/// Between two rounds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Time for an actor to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Pause before a singleton is started again: doubled each time up to the second, back to the first after a minute of life.
const PAUSE_MS: (Millis, Millis) = (100, 30_000);
const STABLE_MS: Millis = 60_000;

/// Streams and keys of the broker that one round looks at.
const BROKER_BUDGET: usize = 16_384;

pub async fn watch(house: Arc<House>) {
    let (mut pool, mut admin, mut metrics) = (Singleton::default(), Singleton::default(), Singleton::default());
    let mut rounds = tokio::time::interval(INTERVAL);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        house.broker.sweep(BROKER_BUDGET);
        house.topics.heal();
        house.sessions.limits.sweep();
        watch_pool(&house, &mut pool).await;
        watch_admin(&house, &mut admin).await;
        watch_metrics(&house, &mut metrics).await;
    }
}

/// When a singleton was started, and when it may be again.
#[derive(Default)]
struct Singleton {
    started_at: Option<Millis>,
    pause: Millis,
    next_at: Millis,
}

impl Singleton {
    /// It is not there: whether it is to be started now.
    fn is_due(&mut self, now: Millis) -> bool {
        if let Some(started_at) = self.started_at.take() {
            self.pause = if now.saturating_sub(started_at) >= STABLE_MS { PAUSE_MS.0 } else { (self.pause * 2).clamp(PAUSE_MS.0, PAUSE_MS.1) };
            self.next_at = now + self.pause;
        }
        now >= self.next_at
    }

    /// Whether it had been started before.
    fn started(&mut self, now: Millis) -> bool {
        self.started_at = Some(now);
        self.pause > 0
    }
}

async fn watch_pool(house: &House, pool: &mut Singleton) {
    let present = house.state.pool.read().clone();
    if let Some(addr) = present
        && is_alive(&addr).await
    {
        return;
    }
    let now = house.clock.now();
    if pool.is_due(now) {
        let (upstream, publisher, clock) = (house.upstream.clone(), house.sessions.publisher.clone(), house.clock.clone());
        let addr =
            UpstreamPool::start_in_arbiter(&house.feeds.handle(), move |_: &mut Context<UpstreamPool>| UpstreamPool::new(upstream, publisher, clock));
        *house.state.pool.write() = Some(addr);
        if pool.started(now) {
            emit(SingletonRestarted { actor: "upstream" });
        }
    }
}

/// Keeps published keys up to date, for as long as the task lives.
pub async fn keep_keys(keys: Arc<Jwks>) {
    keep("jwks", || Arc::clone(&keys).keep()).await;
}

/// Keeps up to date who is kept out, and ends the connections of those, for as long as the task lives.
pub async fn keep_blocks(house: Arc<House>, interval: Duration) {
    keep("blocks", || Arc::clone(&house.sessions.blocks).keep(interval, Arc::clone(&house.hub) as _)).await;
}

/// Runs a task without an end, anew if it ends all the same, which only a panic does.
async fn keep<F: Future<Output = ()> + 'static>(name: &'static str, run: impl Fn() -> F) {
    loop {
        Owned(actix_rt::spawn(run())).await;
        emit(SingletonRestarted { actor: name });
        tokio::time::sleep(Duration::from_millis(PAUSE_MS.1)).await;
    }
}

/// A task that ends with whoever waits for it.
struct Owned(tokio::task::JoinHandle<()>);

impl Future for Owned {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn watch_admin(house: &House, admin: &mut Singleton) {
    if let Some(addr) = house.port.admin()
        && addr.connected()
        && matches!(tokio::time::timeout(ANSWER_MAX, addr.send(admin::Ping)).await, Ok(Ok(_)))
    {
        return;
    }
    let now = house.clock.now();
    if admin.is_due(now) {
        let desk = Arc::clone(&house.desk);
        house.port.plug_in(Admin::start_in_arbiter(&house.operators.handle(), move |_: &mut Context<Admin>| Admin::new(desk)));
        if admin.started(now) {
            emit(SingletonRestarted { actor: "admin" });
        }
    }
}

async fn watch_metrics(house: &House, metrics: &mut Singleton) {
    let Some(observatory) = &house.metrics else { return };
    if let Some(addr) = house.state.metrics()
        && addr.connected()
        && matches!(tokio::time::timeout(ANSWER_MAX, addr.send(metrics::Ping)).await, Ok(Ok(_)))
    {
        return;
    }
    let now = house.clock.now();
    if metrics.is_due(now) {
        let observatory = Arc::clone(observatory);
        let addr = Metrics::start_in_arbiter(&house.watchman.handle(), move |_: &mut Context<Metrics>| Metrics::new(observatory));
        *house.state.metrics.write() = Some(addr);
        if metrics.started(now) {
            emit(SingletonRestarted { actor: "metrics" });
        }
    }
}

async fn is_alive(addr: &Addr<UpstreamPool>) -> bool {
    addr.connected() && matches!(tokio::time::timeout(ANSWER_MAX, addr.send(Ping)).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_singleton_that_keeps_dying_is_started_ever_more_slowly() {
        let mut singleton = Singleton::default();
        assert!(singleton.is_due(0), "the first start waits for nothing");
        assert!(!singleton.started(0));
        assert!(!singleton.is_due(1_000), "a pause first");
        assert!(singleton.is_due(1_100));
        assert!(singleton.started(1_100), "this is a restart");
        assert!(!singleton.is_due(1_200));
        assert!(!singleton.is_due(1_399));
        assert!(singleton.is_due(1_400), "the pause has doubled");
        singleton.started(1_400);
        assert!(!singleton.is_due(100_000));
        assert!(singleton.is_due(100_100), "after a minute of life it is the first one again");
    }
}
