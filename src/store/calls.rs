//! What every call of a store has in common: a deadline, a count, and what it tells about the store.

use super::StoreError;
use crate::telemetry::emit;
use crate::telemetry::store::{StoreBack, StoreCalled, StoreLost, StorePart};
use parking_lot::Mutex;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Access {
    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Carries out a store's calls.
pub(super) struct Calls {
    kind: &'static str,
    timeout: Duration,
    /// Reading and writing fail apart: a full disk is still read.
    trouble: Mutex<[Option<Trouble>; 2]>,
}

struct Trouble {
    reason: String,
    since: Instant,
}

impl Calls {
    pub fn new(kind: &'static str, timeout: Duration) -> Self {
        Self { kind, timeout, trouble: Mutex::default() }
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits for `call`, but not longer than the deadline.
    pub async fn run<T>(&self, part: StorePart, access: Access, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let started = Instant::now();
        let outcome = match tokio::time::timeout(self.timeout, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StoreError::Timeout { kind: self.kind, waited_ms: self.timeout.as_millis() as u64 }),
        };
        let result = outcome.as_ref().map_or_else(StoreError::as_str, |_| "ok");
        emit(StoreCalled { part, result, took: started.elapsed() });
        self.learn(access, outcome.as_ref().err());
        outcome
    }

    /// Why the store does not do what it is asked, if it was so at the last call.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().iter().flatten().map(|trouble| trouble.reason.clone()).next()
    }

    fn learn(&self, access: Access, error: Option<&StoreError>) {
        let mut trouble = self.trouble.lock();
        let index = access as usize;
        match error {
            None | Some(StoreError::Conflict { .. }) => {
                if let Some(Trouble { since, .. }) = trouble[index].take() {
                    let is_whole = trouble.iter().all(Option::is_none);
                    emit(StoreBack { kind: self.kind, access: access.as_str(), after: since.elapsed(), is_whole });
                }
            }
            Some(error @ (StoreError::Timeout { .. } | StoreError::Unavailable { .. })) => {
                let reason = error.to_string();
                match &mut trouble[index] {
                    Some(known) => known.reason = reason,
                    none => {
                        emit(StoreLost { kind: self.kind, access: access.as_str(), reason: &reason });
                        *none = Some(Trouble { reason, since: Instant::now() });
                    }
                }
            }
            // Too much at once, or one damaged entry: nothing about the rest.
            Some(StoreError::Overloaded { .. } | StoreError::Corrupt { .. }) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_does_not_end_is_ended_and_trouble_lasts_until_the_same_access_works() {
        let calls = Calls::new("paper", Duration::from_millis(20));
        let late = calls.run::<()>(StorePart::Users, Access::Write, std::future::pending()).await;
        assert!(matches!(late, Err(StoreError::Timeout { kind: "paper", waited_ms: 20 })), "{late:?}");
        calls.run(StorePart::Users, Access::Read, async { Ok(()) }).await.unwrap();
        assert_eq!(calls.trouble().as_deref(), Some("the paper store did not answer in 20 ms"));
        let conflict = calls.run::<()>(StorePart::Users, Access::Write, async { Err(StoreError::Conflict { what: "a user" }) }).await;
        assert!(matches!(conflict, Err(StoreError::Conflict { .. })));
        assert_eq!(calls.trouble(), None);
    }
}
