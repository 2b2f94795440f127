//! Which feeds there are: those of the configuration, those that operators added while the hub ran (kept in the store), and those on demand; and
//! which of them operators have paused. What a pool is made from, as often as it must be made.
//!
//! Called by `app` and by the commands of operators. The pool looks here at every sweep and is woken when something changes; nothing here
//! opens a connection.

use super::audience::Audience;
use super::chronicle;
use super::demand::{Demand, FeedTemplate};
use super::doctor::Examination;
use super::emergency::{Incident, Phase};
use super::events::{EmergencyTold, FeedNotTakenUp};
use super::feed::{Feed, MOVES_KEPT, Move};
use super::fetch::{ClientKind, credentials};
use super::gate::Gate;
use super::pool::{FeedReport, PoolReport};
use super::positions::Stored;
use super::reports::{Day, Gain, Load};
use super::settings::{FeedSettings, PoolSettings};
use crate::calendar::day_of;
use crate::channel::ChannelName;
use crate::clock::{Clock, Millis};
use crate::config::FeedConfig;
use crate::store::{Store, StoreError};
use crate::telemetry::emit;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use reqwest::Client;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Where the definitions of added feeds are in the store.
const ADDED_KEY: &str = "upstream.feeds";

/// Emergencies that are remembered.
const EMERGENCIES_MAX: usize = 100;

/// Bytes of one definition. Filters and channels are short; what is longer is no feed.
const DEFINITION_BYTES_MAX: usize = 64 * 1_024;

#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("{count} feeds are configured, at most {max} may be")]
    TooManyFeeds { count: usize, max: usize },
    #[error("two feeds are called {name}")]
    DuplicateName { name: String },
    #[error("cannot set up the HTTP client")]
    Client { source: reqwest::Error },
}

/// Why a feed cannot be added or removed while the hub runs.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    #[error("there is no feed {name}")]
    Unknown { name: String },
    #[error("feed {name} is in the configuration: remove it there, or pause it")]
    Configured { name: String },
    #[error("there is a feed {name} already")]
    Taken { name: String },
    #[error("there are as many feeds as there may be (upstream.feeds_max, {max})")]
    TooMany { max: usize },
    #[error("{}", .problems.join("; "))]
    Invalid { problems: Vec<String> },
    #[error("feeds can be added and removed when the hub is up")]
    NotYet,
    #[error("the feeds cannot be kept in the store")]
    Store { source: StoreError },
    #[error("cannot set up the HTTP client")]
    Client { source: reqwest::Error },
}

/// What one feed is set to, as far as it may be shown: its URL may hold a key.
#[derive(Clone, Debug)]
pub struct FeedOutline {
    /// With the port.
    pub host: Arc<str>,
    pub is_tls: bool,
    /// Templates of the channels that it goes into.
    pub channels: Vec<String>,
    pub moves: Vec<Move>,
}

/// Where a feed comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Configured,
    /// By an operator, while the hub ran.
    Added,
    /// Of a template, for as long as somebody listens.
    OnDemand,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Added => "added",
            Self::OnDemand => "on_demand",
        }
    }
}

/// What a definition comes to.
#[derive(Clone, Debug)]
pub enum Plan {
    Always(FeedSettings),
    OnDemand(FeedTemplate),
}

impl Plan {
    fn settings(&self) -> &FeedSettings {
        match self {
            Self::Always(settings) => settings,
            Self::OnDemand(template) => template.prototype(),
        }
    }
}

/// What is needed of the house to take up feeds while it runs: a port, plugged in by `app`.
pub trait Workshop: Send + Sync {
    /// Makes a feed of its definition by the rules of the configuration. Otherwise what is wrong with it, for people.
    fn make(&self, feed: &FeedConfig) -> Result<Plan, Vec<String>>;
    /// How much of what is scarcest, memory or descriptors, this process uses, in percent.
    fn used_percent(&self) -> u8;
    /// Calls [`Upstream::wanted`] for every channel that somebody listens to, so that a template that came later learns of them.
    fn announce(&self);
}

/// All feeds, checked and ready. Clones are the same.
#[derive(Clone, Debug)]
pub struct Upstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Those that always run.
    lasting: RwLock<Vec<Entry>>,
    demand: Demand,
    audience: Audience,
    gate: Arc<Gate>,
    settings: PoolSettings,
    clients: Mutex<Vec<(ClientKind, Client)>>,
    paused: Mutex<Paused>,
    store: OnceLock<Kept>,
    workshop: OnceLock<Plugged>,
    /// The latest emergencies, the oldest first.
    emergencies: Mutex<VecDeque<Emergency>>,
    /// The day's report as it is, and how many emergencies are in it already.
    today: Mutex<(Option<Day>, u64)>,
    clock: Clock,
    /// Emergencies that were told.
    told: AtomicU64,
    /// Pools that have been started.
    pools: AtomicU64,
    /// The pool has ended because an operator wanted another one.
    wants_restart: AtomicBool,
    /// Definitions of added feeds, those included that could not be taken up at the start. Locked over the whole of a change.
    added: tokio::sync::Mutex<BTreeMap<String, FeedConfig>>,
}

/// An emergency as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emergency {
    pub at_wall_ms: i64,
    pub incident: Incident,
    /// Nothing was done, only said.
    pub is_dry_run: bool,
}

/// One feed that may run.
#[derive(Clone, Debug)]
pub struct Entry {
    pub feed: Arc<Feed>,
    /// The name it has in the configuration: its own, or that of its family.
    pub template: Arc<str>,
    pub origin: Origin,
}

/// By names of feeds or of their families. Only names of feeds that are there come in.
#[derive(Debug, Default)]
struct Paused {
    all: bool,
    names: HashSet<String>,
}

/// Where positions and added feeds are kept.
#[derive(Clone)]
pub struct Kept(pub Arc<dyn Store>);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.kind())
    }
}

struct Plugged(Arc<dyn Workshop>);

impl std::fmt::Debug for Plugged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Workshop")
    }
}

impl Upstream {
    pub fn new(mut settings: PoolSettings, clock: &Clock) -> Result<Self, UpstreamError> {
        let (feeds, templates) = (std::mem::take(&mut settings.feeds), std::mem::take(&mut settings.templates));
        let count = feeds.len() + templates.len();
        if count > settings.feeds_max {
            return Err(UpstreamError::TooManyFeeds { count, max: settings.feeds_max });
        }
        let mut names = HashSet::new();
        for settings in feeds.iter().chain(templates.iter().map(FeedTemplate::prototype)) {
            if !names.insert(&settings.name) {
                return Err(UpstreamError::DuplicateName { name: settings.name.to_string() });
            }
        }
        let demand = Demand::new(settings.on_demand_max, settings.on_demand_grace);
        let audience = Audience::new(settings.release_after, rand::random());
        let upstream = Self(Arc::new(Inner {
            lasting: RwLock::default(),
            demand,
            audience,
            gate: Gate::new(settings.gate, clock.clone()),
            settings,
            clients: Mutex::default(),
            paused: Mutex::default(),
            store: OnceLock::new(),
            workshop: OnceLock::new(),
            emergencies: Mutex::default(),
            today: Mutex::default(),
            clock: clock.clone(),
            told: AtomicU64::new(0),
            pools: AtomicU64::new(0),
            wants_restart: AtomicBool::new(false),
            added: tokio::sync::Mutex::default(),
        }));
        for plan in feeds.into_iter().map(Plan::Always).chain(templates.into_iter().map(Plan::OnDemand)) {
            upstream.take_up(plan, Origin::Configured).map_err(|source| UpstreamError::Client { source })?;
        }
        Ok(upstream)
    }

    /// Takes up what is stored, the feeds that were added and the positions of all, and keeps it there from now on. To be called before the pool
    /// starts. How many feeds go on where they were.
    pub async fn keep(&self, store: Arc<dyn Store>, workshop: Arc<dyn Workshop>) -> Result<usize, StoreError> {
        let read = self.restore(&*store, &*workshop).await;
        // What cannot be read can still be written: the hub comes up without positions rather than not at all.
        let _ = self.0.store.set(Kept(store));
        let _ = self.0.workshop.set(Plugged(workshop));
        read
    }

    async fn restore(&self, store: &dyn Store, workshop: &dyn Workshop) -> Result<usize, StoreError> {
        let mut added = self.0.added.lock().await;
        if let Some(bytes) = store.value(ADDED_KEY).await? {
            let corrupt = |_| StoreError::Corrupt { kind: store.kind(), what: "the feeds that were added" };
            *added = serde_json::from_slice(&bytes).map_err(corrupt)?;
        }
        let definitions = added.clone();
        for (name, definition) in &definitions {
            let problems = if self.is_taken(name) {
                vec!["the configuration has a feed of this name".to_string()]
            } else {
                match workshop.make(definition) {
                    Ok(plan) => self.take_up(plan, Origin::Added).err().map(|error| error.to_string()).into_iter().collect(),
                    Err(problems) => problems,
                }
            };
            if !problems.is_empty() {
                emit(FeedNotTakenUp { feed: name, problems: &problems });
            }
        }
        drop(added);
        let today = chronicle::day(store, day_of(self.wall_ms())).await?;
        self.0.today.lock().0 = today;
        let mut stored = Stored::read(store).await?;
        let restored = self.0.lasting.read().iter().filter(|entry| stored.give(&entry.feed)).count();
        self.0.demand.remember(stored, self.0.clock.now());
        Ok(restored)
    }

    /// Reads one more feed, from now on and after every start. The definition is checked like one of the configuration.
    pub async fn add(&self, definition: FeedConfig) -> Result<(), RosterError> {
        let (Some(Kept(store)), Some(Plugged(workshop))) = (self.0.store.get(), self.0.workshop.get()) else { return Err(RosterError::NotYet) };
        let mut added = self.0.added.lock().await;
        let name = definition.name.clone();
        if added.contains_key(&name) || self.is_taken(&name) {
            return Err(RosterError::Taken { name });
        }
        let max = self.0.settings.feeds_max;
        if self.0.lasting.read().len() + self.0.demand.templates().len() >= max || added.len() >= max {
            return Err(RosterError::TooMany { max });
        }
        let mut problems = Vec::new();
        // Secrets are not written to the store in clear.
        if !definition.headers.is_empty() {
            problems.push("headers: a feed that is added has its credentials in files, see header_files".to_string());
        }
        if serde_json::to_vec(&definition).map_or(0, |bytes| bytes.len()) > DEFINITION_BYTES_MAX {
            problems.push(format!("a definition may have {DEFINITION_BYTES_MAX} bytes"));
        }
        let plan = workshop.make(&definition).map_err(|more| problems.extend(more)).ok();
        let Some(plan) = plan.filter(|_| problems.is_empty()) else { return Err(RosterError::Invalid { problems }) };
        // Before anything is written, since it can fail.
        self.client_for(plan.settings()).map_err(|source| RosterError::Client { source })?;
        let mut all = added.clone();
        all.insert(name, definition);
        put(&**store, &all).await?;
        self.take_up(plan, Origin::Added).map_err(|source| RosterError::Client { source })?;
        *added = all;
        workshop.announce();
        self.wake();
        Ok(())
    }

    /// Ends a feed that was added, for good.
    pub async fn remove(&self, name: &str) -> Result<(), RosterError> {
        let Some(Kept(store)) = self.0.store.get() else { return Err(RosterError::NotYet) };
        let mut added = self.0.added.lock().await;
        if !added.contains_key(name) {
            let name = name.to_string();
            return Err(if self.is_taken(&name) { RosterError::Configured { name } } else { RosterError::Unknown { name } });
        }
        let mut all = added.clone();
        all.remove(name);
        put(&**store, &all).await?;
        *added = all;
        let is_added = |entry: &Entry| *entry.template == *name && entry.origin == Origin::Added;
        let was_lasting = {
            let mut lasting = self.0.lasting.write();
            let before = lasting.len();
            lasting.retain(|entry| !is_added(entry));
            lasting.len() < before
        };
        if was_lasting {
            self.0.audience.forget(name);
        }
        // One that was never taken up may have the name of a template of the configuration.
        if !was_lasting && self.0.demand.origin(name) == Some(Origin::Added) {
            self.0.demand.remove(name);
        }
        self.0.paused.lock().names.remove(name);
        let mut kinds: Vec<ClientKind> = self.lasting().iter().map(|feed| ClientKind::of(&feed.settings)).collect();
        kinds.extend(self.0.demand.prototypes().iter().map(ClientKind::of));
        self.0.clients.lock().retain(|(kind, _)| kinds.contains(kind));
        self.wake();
        Ok(())
    }

    /// The definitions of the feeds that were added, by name. They hold no secrets but what an operator wrote into the URL.
    pub async fn added(&self) -> Vec<FeedConfig> {
        self.0.added.lock().await.values().cloned().collect()
    }

    /// Leaves a feed, a family of feeds, or all (`None`) alone from now on, or reads it again. Whether there is one of this name.
    pub fn pause(&self, name: Option<&str>, is_paused: bool, now: Millis) -> bool {
        let entries = self.entries(now);
        let templates = self.0.demand.templates();
        let is_there = |name: &str| {
            let is_feed = entries.iter().any(|entry| *entry.feed.settings.name == *name || *entry.template == *name);
            is_feed || templates.iter().any(|template| **template == *name)
        };
        {
            let mut paused = self.0.paused.lock();
            // Names of feeds that are gone go too, so that the set is never larger than the roster.
            paused.names.retain(|name| is_there(name));
            match (name, is_paused) {
                (None, _) => {
                    paused.all = is_paused;
                    paused.names.clear();
                }
                (Some(name), _) if !is_there(name) => return false,
                (Some(name), true) => drop(paused.names.insert(name.to_string())),
                (Some(name), false) => {
                    // What is resumed by name runs; the others stay as they are.
                    if std::mem::take(&mut paused.all) {
                        paused.names.extend(templates.iter().map(|template| template.to_string()));
                        paused.names.extend(entries.iter().map(|entry| entry.template.to_string()));
                    }
                    paused.names.remove(name);
                }
            }
        }
        self.wake();
        true
    }

    /// Decides which feeds nobody has listened to for long enough.
    pub(super) fn release(&self, now: Millis) {
        self.0.audience.release(self.0.gate.places().held, now);
    }

    /// Whether the feed of this name is let go until somebody listens.
    pub(super) fn is_resting(&self, name: &str) -> bool {
        self.0.audience.is_resting(name)
    }

    pub(super) fn is_paused(&self, name: &str, template: &str) -> bool {
        let paused = self.0.paused.lock();
        paused.all || paused.names.contains(name) || paused.names.contains(template)
    }

    /// `channel` has its first subscriber on this node. Quick; may be called under a lock.
    pub fn wanted(&self, channel: &ChannelName) {
        self.0.demand.wanted(channel);
        if self.0.audience.wanted(channel) {
            self.wake();
        }
    }

    /// `pattern` has its first subscriber on this node: it is for all channels that begin with `prefix`. It keeps feeds from being let go; those
    /// that run on demand it does not start, because it says nothing of which of them. Quick; may be called under a lock.
    pub fn wanted_by_pattern(&self, pattern: &ChannelName, prefix: &str) {
        if self.0.audience.wanted_by_pattern(pattern, prefix) {
            self.wake();
        }
    }

    /// `channel` has lost its last subscriber on this node.
    pub fn unwanted(&self, channel: &ChannelName, now: Millis) {
        self.0.demand.unwanted(channel, now);
        self.0.audience.unwanted(channel, now);
    }

    /// The state of every feed, without asking the actor.
    pub fn report(&self, now: Millis) -> PoolReport {
        let (wanted_channels, unserved_channels) = self.0.demand.counts();
        let report = |entry: &Entry| {
            let is_paused = self.is_paused(&entry.feed.settings.name, &entry.template);
            FeedReport { is_resting: self.is_resting(&entry.feed.settings.name), ..FeedReport::new(&entry.feed, entry.origin, is_paused, now) }
        };
        PoolReport {
            feeds_max: self.0.settings.feeds_max,
            places: self.0.gate.places(),
            wanted_channels,
            unserved_channels,
            feeds: self.entries(now).iter().map(report).collect(),
        }
    }

    /// The latest `limit` moves of each feed, the oldest first, with its name.
    pub fn moves(&self, limit: usize, now: Millis) -> Vec<(Arc<str>, Vec<Move>)> {
        self.entries(now).iter().map(|entry| (Arc::clone(&entry.feed.settings.name), entry.feed.moves(limit))).collect()
    }

    /// What one feed is set to.
    pub fn facts(&self, name: &str, now: Millis) -> Option<FeedOutline> {
        let entries = self.entries(now);
        let feed = &entries.iter().find(|entry| *entry.feed.settings.name == *name)?.feed;
        let mapping = &feed.settings.mapping;
        let mut channels: Vec<String> = mapping.fallback.iter().chain(mapping.by_event.values()).map(ToString::to_string).collect();
        channels.sort_unstable();
        channels.dedup();
        Some(FeedOutline { host: Arc::clone(&feed.host), is_tls: feed.settings.url.scheme() == "https", channels, moves: feed.moves(MOVES_KEPT) })
    }

    /// What the doctor needs to look at a feed; otherwise why a header of it cannot be had. `None`: there is no feed of this name.
    pub async fn examination(&self, name: &str, now: Millis) -> Option<Result<Examination, String>> {
        let feed = self.entries(now).into_iter().find(|entry| *entry.feed.settings.name == *name)?.feed;
        let headers = credentials(&feed.settings).await;
        Some(headers.map(|headers| Examination::of(&feed.settings, headers, "")).map_err(|ending| ending.detail.into_owned()))
    }

    /// The latest emergencies, the oldest first.
    pub fn emergencies(&self) -> Vec<Emergency> {
        self.0.emergencies.lock().iter().cloned().collect()
    }

    /// The pool ends, so that another one is started.
    pub(super) fn want_restart(&self) {
        self.0.wants_restart.store(true, Ordering::Release);
    }

    /// Whether the pool that is gone was meant to be, told once.
    pub fn take_restart(&self) -> bool {
        self.0.wants_restart.swap(false, Ordering::AcqRel)
    }

    pub(super) fn tell_emergency(&self, incident: Incident, is_dry_run: bool, clock: &Clock) {
        emit(EmergencyTold { incident: &incident, is_dry_run });
        self.0.told.fetch_add(u64::from(matches!(incident.phase, Phase::Begun | Phase::ByHand) && !is_dry_run), Ordering::Relaxed);
        let mut told = self.0.emergencies.lock();
        if told.len() >= EMERGENCIES_MAX {
            told.pop_front();
        }
        told.push_back(Emergency { at_wall_ms: clock.wall_ms(), incident, is_dry_run });
    }

    /// Adds what the feeds, or families of feeds, have gained to the day's report. The day before, if it is over.
    pub(super) fn note(&self, gains: Vec<(String, Gain)>) -> Option<Day> {
        let (places, wall_ms, told) = (self.0.gate.places(), self.wall_ms(), self.0.told.load(Ordering::Relaxed));
        let (day, noted) = &mut *self.0.today.lock();
        let load = Load {
            connections: places.held,
            waiting: places.waiting,
            connections_max: self.0.settings.gate.connections_max,
            used_percent: self.used_percent(),
            emergencies: told - std::mem::replace(noted, told),
        };
        let number = day_of(wall_ms);
        // What came in the minute of midnight counts for the day that begins.
        let finished = day.take_if(|day| day.number != number);
        day.get_or_insert_with(|| Day::new(number)).note(wall_ms, &load, gains);
        finished
    }

    pub(super) fn today(&self) -> Option<Day> {
        self.0.today.lock().0.clone()
    }

    pub(super) fn wall_ms(&self) -> i64 {
        self.0.clock.wall_ms()
    }

    /// Another pool begins. Whether one has been before it.
    pub(super) fn begin_pool(&self) -> bool {
        self.0.pools.fetch_add(1, Ordering::Relaxed) > 0
    }

    /// Nothing is known of it where no house is plugged in.
    pub(super) fn used_percent(&self) -> u8 {
        self.0.workshop.get().map_or(0, |Plugged(workshop)| workshop.used_percent())
    }

    pub(super) fn hurry(&self, is_hurried: bool) {
        self.0.demand.hurry(is_hurried);
        self.wake();
    }

    pub(super) fn settings(&self) -> &PoolSettings {
        &self.0.settings
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.0.gate
    }

    pub(super) fn store(&self) -> Option<Arc<dyn Store>> {
        self.0.store.get().map(|Kept(store)| Arc::clone(store))
    }

    /// Woken when a feed may have to start or to end.
    pub(super) fn changed(&self) -> Arc<Notify> {
        self.0.demand.changed()
    }

    /// Those that always run.
    fn lasting(&self) -> Vec<Arc<Feed>> {
        self.0.lasting.read().iter().map(|entry| Arc::clone(&entry.feed)).collect()
    }

    /// Those that always run, in the order of the configuration, those that were added, then those that somebody listens to.
    pub(super) fn entries(&self, now: Millis) -> Vec<Entry> {
        let mut all = self.0.lasting.read().clone();
        all.extend(self.0.demand.feeds(now).into_iter().map(|(template, feed)| Entry { feed, template, origin: Origin::OnDemand }));
        all
    }

    fn is_taken(&self, name: &str) -> bool {
        self.0.lasting.read().iter().any(|entry| *entry.template == *name) || self.0.demand.origin(name).is_some()
    }

    fn take_up(&self, plan: Plan, origin: Origin) -> Result<(), reqwest::Error> {
        let client = self.client_for(plan.settings())?;
        match plan {
            Plan::Always(mut settings) => {
                let template = Arc::clone(&settings.name);
                self.0.audience.watch(Arc::clone(&template), std::mem::take(&mut settings.audience), self.0.clock.now());
                self.0.lasting.write().push(Entry { feed: Arc::new(Feed::new(settings, client)), template, origin });
            }
            Plan::OnDemand(template) => self.0.demand.add(template, client, origin),
        }
        Ok(())
    }

    fn client_for(&self, settings: &FeedSettings) -> Result<Client, reqwest::Error> {
        let kind = ClientKind::of(settings);
        let mut clients = self.0.clients.lock();
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == kind) {
            return Ok(client.clone());
        }
        let client = kind.build()?;
        clients.push((kind, client.clone()));
        Ok(client)
    }

    fn wake(&self) {
        self.0.demand.changed().notify_one();
    }
}

async fn put(store: &dyn Store, all: &BTreeMap<String, FeedConfig>) -> Result<(), RosterError> {
    let bytes = serde_json::to_vec(all).expect("a definition came from JSON or TOML and goes back");
    store.put_value(ADDED_KEY, Bytes::from(bytes)).await.map_err(|source| RosterError::Store { source })
}
