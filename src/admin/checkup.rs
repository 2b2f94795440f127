//! Feeds that are examined because an operator asks: the doctor of `upstream`, one at a time, watched while it works.
//!
//! Called by `commands::upstream`. An examination lives on a thread of its own, because a hostile feed may keep it as busy as its limits
//! allow, and the operators' thread is there for those who want to know why. It ends by itself, by [`Checkup::stop`], with the desk, or at the
//! limit. Only the latest is remembered. Deliberately absent: who may have which address examined. That is the right of a command.

use crate::clock::{Clock, Millis};
use crate::upstream::doctor::{Diagnosis, Examination, Finding, examine};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What an examination may take beyond listening: its steps have limits of their own that come to about half of it.
const BEYOND_MAX: Duration = Duration::from_secs(60);

/// How long a thread that is still busy (a name that is not resolved) may hold up the end.
const END_TIMEOUT: Duration = Duration::from_millis(200);

/// Findings that are kept of one examination. There are about two dozen checks, each with a few.
const FINDINGS_MAX: usize = 200;

/// Why none begins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckupError {
    #[error("{by} has a feed checked at this moment; one is checked at a time")]
    Busy { by: String },
    #[error("cannot start a thread: {reason}")]
    Thread { reason: String },
}

/// What is examined, for whom.
#[derive(Clone, Debug)]
pub struct About {
    /// `None`: an address that is no feed yet.
    pub feed: Option<String>,
    pub by: String,
}

/// The latest examination.
#[derive(Default)]
pub struct Checkup {
    latest: Mutex<Option<Latest>>,
}

struct Latest {
    id: u64,
    about: About,
    /// Without what may be a secret in it.
    url: String,
    began: Millis,
    duration: Duration,
    told: Arc<Mutex<Told>>,
    /// Dropping it ends the examination.
    stop: Option<oneshot::Sender<()>>,
}

/// What the doctor has said so far.
#[derive(Default)]
struct Told {
    findings: Vec<Finding>,
    diagnosis: Option<Diagnosis>,
    ended: Option<Millis>,
}

/// Says that an examination is over, however it ends: a panic must not leave one that seems to go on.
struct Over {
    told: Arc<Mutex<Told>>,
    clock: Clock,
}

impl Drop for Over {
    fn drop(&mut self) {
        self.told.lock().ended = Some(self.clock.now());
    }
}

impl Checkup {
    /// Begins to examine, if nothing is being examined. The number of the examination.
    pub fn begin(&self, examination: Examination, about: About, clock: &Clock) -> Result<u64, CheckupError> {
        let mut latest = self.latest.lock();
        if let Some(running) = latest.as_ref().filter(|latest| latest.told.lock().ended.is_none()) {
            return Err(CheckupError::Busy { by: running.about.by.clone() });
        }
        let id = latest.as_ref().map_or(1, |latest| latest.id + 1);
        let (url, duration, told) = (examination.shown_url(), examination.duration, Arc::<Mutex<Told>>::default());
        let (stop, stopped) = oneshot::channel();
        let over = Over { told: Arc::clone(&told), clock: clock.clone() };
        let thread = std::thread::Builder::new().name("checkup".to_string());
        thread.spawn(move || run(&examination, stopped, &over)).map_err(|error| CheckupError::Thread { reason: error.to_string() })?;
        *latest = Some(Latest { id, about, url, began: clock.now(), duration, told, stop: Some(stop) });
        Ok(id)
    }

    /// Ends the examination that is going on, with what is known. Whether there was one.
    pub fn stop(&self) -> bool {
        let mut latest = self.latest.lock();
        latest.as_mut().is_some_and(|latest| latest.told.lock().ended.is_none() && latest.stop.take().is_some())
    }

    /// What is known of the latest one. `with_config`: also the lines that read the feed, whose address stands in them as it was given.
    pub fn described(&self, with_config: bool, clock: &Clock) -> Value {
        let latest = self.latest.lock();
        let Some(latest) = &*latest else { return json!({ "check": null }) };
        let told = latest.told.lock();
        let diagnosis = told.diagnosis.as_ref();
        json!({
            "check": latest.id,
            "feed": latest.about.feed,
            "by": latest.about.by,
            "url": latest.url,
            "is_running": told.ended.is_none(),
            "took_ms": told.ended.unwrap_or_else(|| clock.now()).saturating_sub(latest.began),
            "listens_ms": u64::try_from(latest.duration.as_millis()).unwrap_or(u64::MAX),
            "findings": told.findings,
            "verdict": diagnosis.map(|diagnosis| json!({
                "worst": diagnosis.worst,
                "warnings": diagnosis.warnings,
                "problems": diagnosis.problems,
                "is_cut_short": diagnosis.is_cut_short,
            })),
            "config": diagnosis.filter(|_| with_config && latest.about.feed.is_none()).and_then(|diagnosis| diagnosis.config.clone()),
        })
    }
}

fn run(examination: &Examination, stopped: oneshot::Receiver<()>, over: &Over) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            log::error!("checkup: cannot make a runtime: {error}");
            return;
        }
    };
    let told = &over.told;
    let mut tell = |finding: Finding| {
        let mut told = told.lock();
        if told.findings.len() < FINDINGS_MAX {
            told.findings.push(finding);
        }
    };
    let stop = async move {
        // Asked for, or the desk is gone: it comes to the same.
        let _ = stopped.await;
    };
    let limit = examination.duration.saturating_add(BEYOND_MAX);
    let diagnosis = runtime.block_on(async { tokio::time::timeout(limit, examine(examination, stop, &mut tell)).await });
    told.lock().diagnosis = diagnosis.ok();
    runtime.shutdown_timeout(END_TIMEOUT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Instant;

    fn about(by: &str) -> About {
        About { feed: None, by: by.to_string() }
    }

    fn ended(checkup: &Checkup, clock: &Clock) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let described = checkup.described(true, clock);
            if described["is_running"] == false {
                return described;
            }
            assert!(Instant::now() < deadline, "{described}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn one_feed_is_examined_at_a_time_until_somebody_stops_it() {
        let (checkup, clock) = (Checkup::default(), Clock::system());
        assert_eq!(checkup.described(true, &clock), json!({ "check": null }));
        assert!(!checkup.stop());
        // Takes connections into its backlog and never answers.
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/events?token=hush", mute.local_addr().unwrap());
        let examination = || Examination::new(&url, []).unwrap();
        assert_eq!(checkup.begin(examination(), about("anna"), &clock), Ok(1));
        assert_eq!(checkup.begin(examination(), about("bob"), &clock), Err(CheckupError::Busy { by: "anna".to_string() }));
        assert!(checkup.stop());
        assert!(!checkup.stop(), "it is told once");
        let described = ended(&checkup, &clock);
        assert_eq!((&described["check"], &described["verdict"]["is_cut_short"]), (&json!(1), &json!(true)));
        assert!(!described["url"].to_string().contains("hush"), "{described}");
        assert_eq!(checkup.begin(examination(), about("bob"), &clock), Ok(2));
        assert!(checkup.stop());
        ended(&checkup, &clock);
    }

    #[test]
    fn nobody_there_is_a_finding_and_an_end() {
        let (checkup, clock) = (Checkup::default(), Clock::system());
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        checkup.begin(Examination::new(&format!("http://{gone}/"), []).unwrap(), about("anna"), &clock).unwrap();
        let described = ended(&checkup, &clock);
        assert_eq!(described["verdict"]["worst"], "problem", "{described}");
        assert!(described["findings"].as_array().is_some_and(|findings| !findings.is_empty()));
        assert_eq!(described["config"], Value::Null);
    }
}
