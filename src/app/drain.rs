//! The way down: told by a signal, done within a deadline.
//!
//! Readiness says no, new connections are refused (not left hanging in the backlog, as they would be if nobody accepted them), and each worker says goodbye to its share of the sessions at every tick, spread
//! over `shutdown.spread`, so that the clients do not all come back in the same moment. A second signal means now.

use super::House;
use crate::clock::Millis;
use crate::config::ShutdownConfig;
use crate::mercure::Drain;
use crate::session::worker::Worker;
use crate::tls::CertificateWatch;
use anyhow::Context;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Between two looks at what is left.
const LOOK: Duration = Duration::from_millis(50);

/// Whether the hub drains, and how fast.
pub struct Draining {
    is_draining: Arc<AtomicBool>,
    /// Milliseconds on the clock by which the last session is told goodbye.
    until: Arc<AtomicU64>,
    /// An operator's wish, and the time that it gives.
    asked: watch::Sender<Option<Option<Duration>>>,
}

impl Draining {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { is_draining: Arc::default(), until: Arc::default(), asked: watch::Sender::new(None) })
    }

    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_draining)
    }

    /// Asks for what otherwise a signal asks for. `within`: the time until the last session has been told. `false`: it was asked for before.
    pub fn ask(&self, within: Option<Duration>) -> bool {
        let is_new = |asked: &mut Option<_>| asked.is_none() && asked.replace(within).is_none();
        !self.is_draining.load(Ordering::Acquire) && self.asked.send_if_modified(is_new)
    }

    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire) || self.asked.borrow().is_some()
    }

    /// What the Mercure hub looks at.
    pub fn of_mercure(&self) -> Drain {
        Drain { is_on: Arc::clone(&self.is_draining), until: Arc::clone(&self.until) }
    }

    /// Lets a worker know when it is time.
    pub fn attend(&self, worker: &Rc<Worker>) {
        worker.drain_by(Arc::clone(&self.is_draining), Arc::clone(&self.until));
    }
}

/// What became of the sessions.
pub struct Drained {
    told: usize,
    left: usize,
    took: Duration,
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sessions were told within {} ms", self.told, self.took.as_millis())?;
        if self.left > 0 { write!(f, ", {} connections did not let go and were cut", self.left) } else { Ok(()) }
    }
}

impl Draining {
    pub async fn drain(&self, shutdown: &ShutdownConfig, house: &House) -> Drained {
        let started = Instant::now();
        let told = house.hub.len() + house.mercure.as_ref().map_or(0, |mercure| mercure.subscribers());
        let (spread, timeout) = match self.asked.borrow().flatten() {
            // Whoever gives more time gives it to the goodbyes; the sessions get as long to close as ever.
            Some(within) => (within, within + (shutdown.timeout.duration().saturating_sub(shutdown.spread.duration()))),
            None => (shutdown.spread.duration(), shutdown.timeout.duration()),
        };
        log::info!("draining {told} sessions within {} s", timeout.as_secs_f32());
        self.until.store(house.clock.now() + spread.as_millis() as Millis, Ordering::Release);
        self.is_draining.store(true, Ordering::Release);
        let mut again = Signals::listen().ok();
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            if house.connected().await == 0 {
                break;
            }
            let stopped_again = async {
                match &mut again {
                    Some(signals) => signals.stop().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = tokio::time::sleep_until(deadline) => break,
                () = stopped_again => break,
            }
            if tokio::time::Instant::now() >= deadline {
                break;
            }
        }
        let left = house.connected().await;
        Drained { told, left, took: started.elapsed() }
    }
}

impl House {
    /// Clients of every kind that are still there.
    async fn connected(&self) -> usize {
        let sessions: usize = self.topics.count_workers().await.iter().map(|worker| worker.sessions).sum();
        sessions + self.mercure.as_ref().map_or(0, |mercure| mercure.subscribers())
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Waits for the signal to stop, or for an operator to say so. Until then SIGHUP has the certificate loaded anew.
pub async fn wait_for_signal(certificate: Option<&CertificateWatch>, draining: &Draining) -> anyhow::Result<()> {
    let mut asked = draining.asked.subscribe();
    let mut stop = Signals::listen().context("cannot listen for signals")?;
    let mut reload = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    loop {
        tokio::select! {
            () = stop.stop() => return Ok(()),
            _ = asked.wait_for(Option::is_some) => return Ok(()),
            _ = reload.recv() => if let Some(watch) = certificate {
                watch.reload_soon();
            },
        }
    }
}
