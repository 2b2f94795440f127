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
use crate::telemetry::watchdog::{RestartCause, Restarted, Watched};
use crate::upstream::{Ping, UpstreamPool};
use actix::{Actor, Addr, Context, Handler, Message};
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
    let Some(trouble) = trouble(present.as_ref(), Ping, ANSWER_MAX).await else { return };
    let now = house.clock.now();
    if pool.is_due(now) {
        let (upstream, publisher, clock) = (house.upstream.clone(), house.sessions.publisher.clone(), house.clock.clone());
        let addr =
            UpstreamPool::start_in_arbiter(&house.feeds.handle(), move |_: &mut Context<UpstreamPool>| UpstreamPool::new(upstream, publisher, clock));
        *house.state.pool.write() = Some(addr);
        let is_requested = house.upstream.take_restart();
        if pool.started(now) {
            let cause = if is_requested { RestartCause::Requested } else { trouble };
            emit(Restarted { watched: Watched::Upstream, cause });
        }
    }
}

/// Keeps published keys up to date, for as long as the task lives.
pub async fn keep_keys(keys: Arc<Jwks>) {
    keep(Watched::Jwks, || Arc::clone(&keys).keep()).await;
}

/// Keeps up to date who is kept out, and ends the connections of those, for as long as the task lives.
pub async fn keep_blocks(house: Arc<House>, interval: Duration) {
    keep(Watched::Blocks, || Arc::clone(&house.sessions.blocks).keep(interval, Arc::clone(&house.hub) as _)).await;
}

/// Runs a task without an end, anew if it ends all the same, which only a panic does.
async fn keep<F: Future<Output = ()> + 'static>(watched: Watched, run: impl Fn() -> F) {
    loop {
        Owned(actix_rt::spawn(run())).await;
        emit(Restarted { watched, cause: RestartCause::Panicked });
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
    let Some(cause) = trouble(house.port.admin().as_ref(), admin::Ping, ANSWER_MAX).await else { return };
    let now = house.clock.now();
    if admin.is_due(now) {
        let desk = Arc::clone(&house.desk);
        house.port.plug_in(Admin::start_in_arbiter(&house.operators.handle(), move |_: &mut Context<Admin>| Admin::new(desk)));
        if admin.started(now) {
            emit(Restarted { watched: Watched::Admin, cause });
        }
    }
}

async fn watch_metrics(house: &House, metrics: &mut Singleton) {
    let Some(observatory) = &house.metrics else { return };
    let Some(cause) = trouble(house.state.metrics().as_ref(), metrics::Ping, ANSWER_MAX).await else { return };
    let now = house.clock.now();
    if metrics.is_due(now) {
        let observatory = Arc::clone(observatory);
        let addr = Metrics::start_in_arbiter(&house.watchman.handle(), move |_: &mut Context<Metrics>| Metrics::new(observatory));
        *house.state.metrics.write() = Some(addr);
        if metrics.started(now) {
            emit(Restarted { watched: Watched::Metrics, cause });
        }
    }
}

/// Why an actor has to be started anew; `None`: it answers. Actors that are watched here do not end by themselves, so that one that is gone has
/// panicked: the one that may be told to end says so elsewhere.
async fn trouble<A, M>(actor: Option<&Addr<A>>, ping: M, most: Duration) -> Option<RestartCause>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    let Some(addr) = actor.filter(|addr| addr.connected()) else { return Some(RestartCause::Panicked) };
    match tokio::time::timeout(most, addr.send(ping)).await {
        Ok(Ok(_)) => None,
        Ok(Err(_)) => Some(RestartCause::Panicked),
        Err(_) => Some(RestartCause::Unresponsive),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does what it is asked to, or does not.
    struct Asked;
    impl Actor for Asked {
        type Context = Context<Self>;
    }

    #[derive(Clone, Copy, Message)]
    #[rtype(result = "()")]
    enum Ask {
        Answer,
        Hang,
        Panic,
    }
    impl Handler<Ask> for Asked {
        type Result = actix::ResponseFuture<()>;
        fn handle(&mut self, ask: Ask, _: &mut Self::Context) -> Self::Result {
            match ask {
                Ask::Answer => Box::pin(std::future::ready(())),
                Ask::Hang => Box::pin(std::future::pending()),
                Ask::Panic => panic!("a test wants it"),
            }
        }
    }

    #[actix_rt::test]
    async fn who_does_not_answer_is_told_from_who_is_gone() {
        let most = Duration::from_millis(50);
        let actor = Asked.start();
        let troubles = async |asks: &[Ask]| {
            let mut troubles = Vec::new();
            for ask in asks.iter().copied() {
                troubles.push(trouble(Some(&actor), ask, most).await);
            }
            troubles
        };
        assert_eq!(troubles(&[Ask::Answer, Ask::Hang, Ask::Answer]).await, [None, Some(RestartCause::Unresponsive), None]);
        let panicked = Some(RestartCause::Panicked);
        assert_eq!(troubles(&[Ask::Panic, Ask::Answer]).await, [panicked, panicked], "in its turn, and found afterwards");
        assert_eq!(trouble(None::<&Addr<Asked>>, Ask::Answer, most).await, panicked);
    }

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
