//! Passwords: hashed with argon2id, looked at on threads of their own.
//!
//! One look costs tens of milliseconds and as many mebibytes, on purpose. So a fixed number of threads does it, at a lower priority than the
//! rest of the hub: a storm of logins makes logins wait, then be refused, and neither takes the memory nor slows what is live. Called by
//! `auth::accounts`, and by the command line, which hashes on its own thread. Deliberately absent: who may try how often.

use crate::store::PasswordHash;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Algorithm, Argon2, Params, PasswordVerifier, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// The shortest and the longest password, bytes. The longest bounds what is hashed; the shortest is that of NIST SP 800-63B, 3.1.1.2.
pub const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=1_024;

/// Letters of a generated password: 30 that are not taken for one another, so that it can be read out. With 20 of them it has 98 bits.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz346789";
const GENERATED_LETTERS: usize = 20;

/// Looks that wait for a thread. Those that come when there are so many are refused at once.
const QUEUE_MAX: usize = 256;

/// Time for one look once it has begun: far more than the costliest configuration needs on a machine that is fit for it.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// What the hash in a store may cost. A stored cost beyond it is damage, and not tried.
const MEMORY_KIB_MAX: u32 = 1_024 * 1_024;
const ITERATIONS_MAX: u32 = 1_000;

/// Given back to the scheduler: the workers' threads go first (setpriority(2); on Linux it is for the calling thread alone).
const NICENESS: libc::c_int = 10;

/// How passwords are kept, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordSettings {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
    pub at_once: usize,
    pub wait: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("too many passwords are being looked at")]
    Busy,
    #[error("passwords cannot be kept at this cost: {reason}")]
    Cost { reason: argon2::Error },
    #[error("a password could not be hashed: {reason}")]
    Hash { reason: argon2::password_hash::Error },
    #[error("cannot start a thread for passwords")]
    Thread(#[source] io::Error),
}

/// What a look at a password found.
#[derive(Debug, Default)]
pub struct Looked {
    pub is_right: bool,
    /// It is right and was kept at another cost than the configured one: it should be kept like this instead.
    pub anew: Option<PasswordHash>,
}

/// The threads, and the way to them. They end when this is dropped.
pub struct Passwords {
    jobs: SyncSender<Job>,
    wait: Duration,
}

/// A look, which answers whoever waits for it.
type Job = Box<dyn FnOnce(&Keeper) + Send>;

/// A job's state. It leaves `WAITING` once: by the thread that takes it, or by a caller that has waited long enough.
const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const LEFT: u8 = 2;

impl Passwords {
    pub fn start(settings: &PasswordSettings) -> Result<Self, PasswordError> {
        let keeper = Arc::new(Keeper::new(settings)?);
        let (jobs, queue) = sync_channel(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..settings.at_once.max(1) {
            let (queue, keeper) = (Arc::clone(&queue), Arc::clone(&keeper));
            thread::Builder::new().name(format!("passwords {number}")).spawn(move || work(&queue, &keeper)).map_err(PasswordError::Thread)?;
        }
        Ok(Self { jobs, wait: settings.wait })
    }

    pub async fn hash(&self, password: SecretString) -> Result<PasswordHash, PasswordError> {
        self.ask(move |keeper| keeper.hash(&password)).await?
    }

    /// Whether the password is that of `hash`. `None`: there is no such user, which takes the same work and is never right.
    pub async fn verify(&self, password: SecretString, hash: Option<PasswordHash>) -> Result<Looked, PasswordError> {
        self.ask(move |keeper| keeper.verify(&password, hash.as_ref())).await
    }

    async fn ask<T: Send + 'static>(&self, look: impl FnOnce(&Keeper) -> T + Send + 'static) -> Result<T, PasswordError> {
        let state = Arc::new(AtomicU8::new(WAITING));
        let (answer, mut answered) = oneshot::channel();
        let taken = Arc::clone(&state);
        let job: Job = Box::new(move |keeper| {
            // Nobody may wait for it any more: the client left, or was told that it takes too long.
            if !answer.is_closed() && taken.compare_exchange(WAITING, TAKEN, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                let _ = answer.send(look(keeper));
            }
        });
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => PasswordError::Busy,
        })?;
        let answer = match tokio::time::timeout(self.wait, &mut answered).await {
            Ok(answer) => answer,
            Err(_) if state.compare_exchange(WAITING, LEFT, Ordering::AcqRel, Ordering::Acquire).is_ok() => return Err(PasswordError::Busy),
            // Its turn has come; what has begun is worth the rest of the time.
            Err(_) => tokio::time::timeout(LOOK_MAX, answered).await.map_err(|_| PasswordError::Busy)?,
        };
        answer.map_err(|_| PasswordError::Busy)
    }
}

/// A thread's life.
fn work(queue: &Mutex<Receiver<Job>>, keeper: &Keeper) {
    // SAFETY: takes three numbers; a refusal leaves the priority as it was.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
    loop {
        // Held while waiting: the others wait for the lock instead of for the queue.
        let next = queue.lock().recv();
        let Ok(job) = next else { return };
        // A panic is counted by the hook; the thread goes on, and whoever asked is told that it was not done.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| job(keeper)));
    }
}

/// Hashes at the configured cost, on the calling thread.
pub struct Keeper {
    argon2: Argon2<'static>,
    /// What a password is held against where there is no user: of the configured cost, and of no password.
    nobody: PasswordHash,
}

impl Keeper {
    pub fn new(settings: &PasswordSettings) -> Result<Self, PasswordError> {
        let params =
            Params::new(settings.memory_kib, settings.iterations, settings.parallelism, None).map_err(|reason| PasswordError::Cost { reason })?;
        let nobody = nobody(&params);
        Ok(Self { argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params), nobody })
    }

    pub fn hash(&self, password: &SecretString) -> Result<PasswordHash, PasswordError> {
        let salt: [u8; 16] = rand::random();
        let hash = self.argon2.hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
        Ok(PasswordHash(hash.map_err(|reason| PasswordError::Hash { reason })?.to_string()))
    }

    fn verify(&self, password: &SecretString, hash: Option<&PasswordHash>) -> Looked {
        let stored = hash.and_then(|hash| Phc::new(&hash.0).ok()).filter(is_affordable);
        let Some(stored) = stored else {
            self.matches(password, &self.nobody);
            return Looked::default();
        };
        let is_right = self.argon2.verify_password(password.expose_secret().as_bytes(), &stored).is_ok();
        let anew = if is_right && !self.is_current(&stored) { self.hash(password).ok() } else { None };
        Looked { is_right, anew }
    }

    fn matches(&self, password: &SecretString, hash: &PasswordHash) -> bool {
        Phc::new(&hash.0).is_ok_and(|hash| self.argon2.verify_password(password.expose_secret().as_bytes(), &hash).is_ok())
    }

    fn is_current(&self, hash: &Phc) -> bool {
        let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        hash.algorithm.as_str() == Algorithm::Argon2id.as_str()
            && hash.version == Some(Version::V0x13.into())
            && Params::try_from(hash).is_ok_and(|params| cost(&params) == cost(self.argon2.params()))
    }
}

/// Written without hashing anything, which would cost every start the time and the memory of a look: no password is known that gives these bytes.
fn nobody(params: &Params) -> PasswordHash {
    let (salt, hash): ([u8; 16], [u8; Params::DEFAULT_OUTPUT_LEN]) = (rand::random(), rand::random());
    let [salt, hash] = [&salt[..], &hash[..]].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    let (version, memory, iterations, parallelism) = (u32::from(Version::V0x13), params.m_cost(), params.t_cost(), params.p_cost());
    PasswordHash(format!("$argon2id$v={version}$m={memory},t={iterations},p={parallelism}${salt}${hash}"))
}

fn is_affordable(hash: &Phc) -> bool {
    Params::try_from(hash).is_ok_and(|params| params.m_cost() <= MEMORY_KIB_MAX && params.t_cost() <= ITERATIONS_MAX)
}

/// A password for somebody who is told it once.
pub fn generated() -> SecretString {
    let letters = (0..GENERATED_LETTERS).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())]));
    letters.collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_is_long_and_never_the_same() {
        let (one, two) = (generated(), generated());
        assert_eq!(one.expose_secret().len(), GENERATED_LETTERS);
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert!(one.expose_secret().bytes().all(|letter| LETTERS.contains(&letter)));
    }

    /// As cheap as it gets: the rules are looked at here, not the cost.
    const CHEAP: PasswordSettings = PasswordSettings { memory_kib: 8, iterations: 1, parallelism: 1, at_once: 1, wait: Duration::from_secs(30) };

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[actix_rt::test]
    async fn only_the_password_itself_is_right() {
        let passwords = Passwords::start(&CHEAP).unwrap();
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", hash.0);
        assert_ne!(hash, passwords.hash(secret("correct horse")).await.unwrap(), "each has a salt of its own");
        for (password, is_right) in [
            ("correct horse", true),
            ("correct horsf", false),
            ("correct horse ", false),
            ("correct horse\0", false),
            ("", false),
            ("Correct horse", false),
        ] {
            let looked = passwords.verify(secret(password), Some(hash.clone())).await.unwrap();
            assert_eq!((looked.is_right, looked.anew), (is_right, None), "{password:?}");
        }
        assert!(!passwords.verify(secret("correct horse"), None).await.unwrap().is_right);
        for damaged in ["", "plain", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ", "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"] {
            let looked = passwords.verify(secret("correct horse"), Some(PasswordHash(damaged.to_string()))).await.unwrap();
            assert!(!looked.is_right, "{damaged}");
        }
    }

    /// A test vector of RFC 9106 would need associated data, which a password has none of; this one is of the reference implementation.
    #[test]
    fn hashes_of_the_reference_implementation_are_understood() {
        // echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32
        let reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let keeper = Keeper::new(&CHEAP).unwrap();
        let looked = keeper.verify(&secret("password"), Some(&PasswordHash(reference.to_string())));
        assert!(looked.is_right);
        let anew = looked.anew.expect("its cost is another one");
        assert!(anew.0.starts_with("$argon2id$v=19$m=8,t=1,p=1$") && keeper.matches(&secret("password"), &anew));
    }

    #[test]
    fn another_cost_is_noticed() {
        let keeper = Keeper::new(&CHEAP).unwrap();
        let cases = [
            ("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", true),
            ("$argon2id$v=19$m=16,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", false),
            ("$argon2id$v=19$m=8,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", false),
            ("$argon2id$v=16$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", false),
            ("$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", false),
        ];
        for (hash, is_current) in cases {
            assert_eq!(keeper.is_current(&Phc::new(hash).unwrap()), is_current, "{hash}");
        }
    }

    /// The work is counted, not the time, which another process on the machine may take: both sides fill the same memory as often.
    #[test]
    fn for_nobody_the_work_is_that_for_somebody() {
        let keeper = Keeper::new(&CHEAP).unwrap();
        let somebody = keeper.hash(&secret("correct horse")).unwrap();
        let cost = |hash: &PasswordHash| {
            Phc::new(&hash.0).map(|hash| (hash.algorithm, hash.version, hash.params, hash.hash.map(|hash| hash.len()))).unwrap()
        };
        assert_eq!(cost(&keeper.nobody), cost(&somebody));
        assert!(keeper.is_current(&Phc::new(&keeper.nobody.0).unwrap()));
    }

    #[actix_rt::test]
    async fn a_storm_is_refused_in_time_and_what_nobody_waits_for_is_not_done() {
        let patient = Passwords::start(&CHEAP).unwrap();
        let hurried = Passwords { jobs: patient.jobs.clone(), wait: Duration::from_millis(50) };
        let (begin, begun) = oneshot::channel();
        let (release, held) = std::sync::mpsc::channel();
        let done = Arc::new(AtomicU8::new(0));
        // It keeps the only thread.
        let first = patient.ask(move |_| {
            let _ = begin.send(());
            held.recv()
        });
        let storm = async {
            begun.await.unwrap();
            let look = |_| {
                let done = Arc::clone(&done);
                hurried.ask(move |_| done.fetch_add(1, Ordering::Relaxed))
            };
            let outcomes = futures_util::future::join_all((0..4 * QUEUE_MAX).map(look)).await;
            release.send("what has begun is worth its time").unwrap();
            outcomes
        };
        let (first, outcomes) = futures_util::future::join(first, storm).await;
        assert!(first.unwrap().is_ok());
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(PasswordError::Busy))), "{outcomes:?}");
        // Those who gave up leave nothing to be done before the next one, for which there is room as soon as the thread has been through the queue.
        let next = async { while patient.hash(secret("correct horse")).await.is_err() {} };
        tokio::time::timeout(CHEAP.wait, next).await.expect("the thread is free");
        assert_eq!(done.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_cost_that_cannot_be_is_refused() {
        assert!(matches!(Keeper::new(&PasswordSettings { memory_kib: 1, ..CHEAP }), Err(PasswordError::Cost { .. })));
        assert!(matches!(Keeper::new(&PasswordSettings { iterations: 0, ..CHEAP }), Err(PasswordError::Cost { .. })));
    }
}
