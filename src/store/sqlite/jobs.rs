//! Calls that wait for a thread of SQLite's, and their answers.

use super::super::StoreError;
use super::{Fault, KIND};
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::time::Instant;
use tokio::sync::oneshot;

/// A call on its way.
pub(super) trait Job: Send {
    /// Nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// When it will be abandoned.
    fn deadline(&self) -> Instant;
    /// Does it, or does it anew; keeps the answer. Whether it succeeded.
    fn carry_out(&mut self, connection: &Connection) -> bool;
    /// Tells what came of it. `committed`: whether what was done is there to stay.
    fn answer(self: Box<Self>, committed: Result<(), &rusqlite::Error>);
}

/// A closure whose answer somebody waits for.
struct Call<T, F> {
    what: &'static str,
    work: F,
    deadline: Instant,
    outcome: Option<Result<T, Fault>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&Connection) -> Result<T, Fault> + Send> Job for Call<T, F> {
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn carry_out(&mut self, connection: &Connection) -> bool {
        let outcome = (self.work)(connection);
        let is_done = outcome.is_ok();
        self.outcome = Some(outcome);
        is_done
    }

    fn answer(self: Box<Self>, committed: Result<(), &rusqlite::Error>) {
        let answer = match (self.outcome, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(fault)), _) => Err(fault.told(self.what)),
            (_, Err(error)) => Err(StoreError::Unavailable { kind: KIND, what: self.what, reason: error.to_string() }),
            (None, Ok(())) => Err(lost(self.what)),
        };
        // Whoever asked may have stopped waiting.
        let _ = self.answer.send(answer);
    }
}

/// The thread that should have answered did not.
fn lost(what: &'static str) -> StoreError {
    StoreError::Unavailable { kind: KIND, what, reason: "the call was given up".to_string() }
}

/// Calls in the order in which they came, at most `max` of them.
pub(super) struct Jobs {
    max: usize,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    is_closed: bool,
}

impl Jobs {
    pub fn new(max: usize) -> Self {
        Self { max, waiting: Mutex::default(), changed: Condvar::new() }
    }

    pub fn len(&self) -> usize {
        self.waiting.lock().jobs.len()
    }

    /// Has a thread carry out `work`, and waits for its answer.
    pub async fn ask<T, F>(&self, what: &'static str, deadline: Instant, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.push(what, Box::new(Call { what, work, deadline, outcome: None, answer }))?;
        answered.await.unwrap_or_else(|_| Err(lost(what)))
    }

    fn push(&self, what: &'static str, job: Box<dyn Job>) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock();
        if waiting.is_closed {
            return Err(StoreError::Unavailable { kind: KIND, what, reason: "it is closed".to_string() });
        }
        if waiting.jobs.len() >= self.max {
            // Those whose askers went away must not keep others out, as after a long stall.
            waiting.jobs.retain(|job| !job.is_abandoned());
            if waiting.jobs.len() >= self.max {
                return Err(StoreError::Overloaded { kind: KIND });
            }
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Blocks until there are calls; takes `most` of them. `None`: closed, and none are left.
    pub fn take(&self, most: usize) -> Option<Vec<Box<dyn Job>>> {
        let mut waiting = self.waiting.lock();
        loop {
            if !waiting.jobs.is_empty() {
                let count = waiting.jobs.len().min(most);
                return Some(waiting.jobs.drain(..count).filter(|job| !job.is_abandoned()).collect());
            }
            if waiting.is_closed {
                return None;
            }
            self.changed.wait(&mut waiting);
        }
    }

    /// Takes no more calls; those that wait are still carried out.
    pub fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.changed.notify_all();
    }
}
