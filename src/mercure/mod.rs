//! The Mercure hub: topics, which are the channels of everybody else, for publishers and EventSource clients of the Mercure protocol.
//!
//! An update is published by the broker like every other publication, into the channel of each of its topics ([`names`]). What the broker delivers,
//! from wherever it came, is also written into one [`log`], whose order is that of the ids and cursors of this protocol. Each worker reads the log
//! for its own subscribers ([`crowd`]).
//!
//! Called by the HTTP edge, and by the broker's deliveries. Deliberately absent: tokens and HTTP, a way past the broker (only what the hub says of its own
//! subscribers does not come from there), and the hub's own channels: they never stand in the log, so no selector matches them. Who may watch them does
//! so by a session, which the HTTP edge starts.

pub mod crowd;
pub mod listening;
pub mod log;
pub mod names;
pub mod past;
pub mod presences;
pub mod selecting;
pub mod subscriber;

use crate::broker::{ChannelEvent, Deliver, Past, Publish, PublishError, Publisher};
use crate::channel::{ChannelError, ChannelName, ChannelRules, Payload, Publication, Update, is_own};
use crate::clock::{Clock, Millis};
use crate::protocol::mercure::{EARLIEST, Generation, Presence, PublishForm, SelectorText, Topic};
use crate::telemetry::emit;
use crate::telemetry::mercure::UpdatePublished;
use crate::topic::registry::Topics;
use bytes::Bytes;
use crowd::Bell;
use listening::{Listeners, Listening};
use log::{Content, Entry, Found, Log, LogSettings, Visibility};
use names::TopicNames;
use parking_lot::Mutex;
use past::Before;
use presences::Presences;
use selecting::Patterns;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use url::Url;

/// Channels whose topic and visibility are remembered.
const CHANNELS_MAX: usize = 16_384;

#[derive(Clone, Debug)]
pub struct MercureSettings {
    pub log: LogSettings,
    /// Everything is open to everybody: for trying things out.
    pub is_insecure: bool,
    /// Silence after which a subscriber is sent a comment.
    pub heartbeat_ms: Millis,
    /// Channels that are told that one subscriber listens to them.
    pub listening_max: usize,
}

/// Whether the hub is about to stop, and by when all subscribers have been told.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    pub is_on: Arc<AtomicBool>,
    /// Milliseconds on the clock.
    pub until: Arc<AtomicU64>,
}

/// What all workers share.
pub struct MercureHub {
    settings: MercureSettings,
    names: TopicNames,
    rules: Arc<ChannelRules>,
    patterns: Patterns,
    state: Mutex<State>,
    /// Subscribers on all workers.
    subscribers: AtomicUsize,
    bells: Mutex<Vec<Weak<Bell>>>,
    listeners: Arc<Listeners>,
    presences: Presences,
    drain: Drain,
    clock: Clock,
}

/// A subscriber, counted for as long as this lives.
pub struct Attendance(Arc<MercureHub>);

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.subscribers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Where a subscriber begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// It is given everything behind this place.
    pub place: u64,
    /// The cursor that it is told; `None`: it has shown none.
    pub told: Option<String>,
}

struct State {
    log: Log,
    /// The part of the log that an earlier life has left, as long as there is one.
    before: Option<Arc<Before>>,
    /// What the log needs to know of a channel; `None`: it is no topic's.
    channels: HashMap<ChannelName, Option<Shown>>,
}

/// How a channel looks from here.
#[derive(Clone)]
struct Shown {
    topic: Arc<Topic>,
    visibility: Visibility,
}

impl MercureHub {
    pub fn new(settings: MercureSettings, names: TopicNames, topics: &Arc<Topics>, base: Url, drain: Drain, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State { log: Log::new(settings.log), before: None, channels: HashMap::new() }),
            settings,
            names,
            rules: Arc::clone(topics.rules()),
            patterns: Patterns::new(base),
            subscribers: AtomicUsize::new(0),
            bells: Mutex::default(),
            listeners: Listeners::new(topics),
            presences: Presences::default(),
            drain,
            clock,
        })
    }

    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// Publishes an update into the channel of each of its topics. Gives its id.
    ///
    /// Nothing is published where one of the channels does not take the payload. Where the broker fails in the middle, the canonical topic has been
    /// published and some of the others have not.
    pub async fn publish(&self, publisher: &Publisher, form: PublishForm) -> Result<String, PublishError> {
        let PublishForm { topics, data, is_private, id, event_type, retry_ms } = form;
        if let Some(own) = topics.iter().find(|topic| is_own(topic)) {
            return Err(ChannelError::Reserved { channel: ChannelName::new(own) }.into());
        }
        let id = id.unwrap_or_else(|| format!("urn:uuid:{}", uuid::Uuid::now_v7()));
        let (payload, is_text) = payload(data);
        let channels: Vec<ChannelName> = topics.iter().map(|topic| self.names.channel(topic, is_private)).collect();
        let mut admitted = Vec::with_capacity(channels.len());
        for channel in &channels {
            let options = publisher.rules.options(channel)?;
            admitted.push((options, publisher.admit(channel, options, payload.clone())?));
        }
        let update = Arc::new(Update {
            id: id.as_str().into(),
            channel: channels.first().cloned().ok_or_else(|| ChannelError::BadName { channel: ChannelName::new("") })?,
            topics: topics.into_iter().map(String::into_boxed_str).collect(),
            is_private,
            event_type: event_type.map(String::into_boxed_str),
            retry_ms,
            is_text,
        });
        for (channel, (options, data)) in channels.iter().zip(admitted) {
            let publish = Publish { data, update: Some(Arc::clone(&update)), ..Publish::default() };
            publisher.publish_admitted(channel, options, publish).await?;
        }
        emit(UpdatePublished { topics: channels.len() });
        Ok(id)
    }

    /// Updates that are kept for those who come back.
    pub fn history_size(&self) -> usize {
        self.settings.log.history_size
    }

    /// Takes what earlier lives have left into the log. To be called once, before anybody is served.
    pub fn take_over(&self, mut past: Past) {
        let (now, wall_ms) = (self.clock.now(), self.clock.wall_ms());
        let (publications, mut before) = (past.take_publications(), Before::new(past, wall_ms));
        let (mut copies, mut seen): (HashMap<_, u32>, HashSet<_>) = Default::default();
        let mut state = self.state.lock();
        for past in publications {
            let age_ms = Millis::try_from(wall_ms.saturating_sub_unsigned(past.order / 1_000)).unwrap_or(0);
            if age_ms >= self.settings.log.history_ttl_ms {
                continue;
            }
            // An update stands in the channels of all its topics, and the one of the first may have kept it for a shorter time than others. What
            // has the same id in one channel are several updates.
            let update = past.publication.update.clone();
            if let Some(update) = &update {
                let copy = copies.entry((update.id.clone(), update.channel.clone(), past.channel.clone())).or_default();
                *copy += 1;
                if !seen.insert((update.id.clone(), update.channel.clone(), *copy)) {
                    continue;
                }
            }
            let channel = update.as_ref().map_or(&past.channel, |update| &update.channel);
            let Some((topics, visibility)) = self.shown_as(&mut state, channel, &past.publication) else { continue };
            before.add(&past);
            let content = Content::Publication { publication: past.publication, position: Some(past.position) };
            // Older than the process is as old as the process.
            state.log.append(topics, visibility, content, now.saturating_sub(age_ms));
            debug_assert_eq!(state.log.end(), before.end(), "the log was empty");
        }
        state.before = (before.end() > 0).then(|| Arc::new(before));
    }

    /// Where somebody begins who shows this cursor and selects this, and what it is told of it.
    pub fn begin(&self, cursor: Option<&str>, selectors: &[SelectorText], has_token: bool) -> Begin {
        let now = self.clock.now();
        let before = cursor.and_then(|_| self.state.lock().before.clone());
        let channels = before.as_ref().and_then(|_| past::channels_of(selectors, &self.names, has_token || self.settings.is_insecure));
        let state = self.state.lock();
        let end = state.log.end();
        let Some(cursor) = cursor else { return Begin { place: end, told: None } };
        let mut found = state.log.find(cursor, now);
        if let Some(before) = before {
            let channels = channels.as_deref().unwrap_or_default();
            if found == Found::Unknown
                && let Some(place) = before.place_of_made(cursor, channels)
            {
                found = state.log.at(place, now);
            }
            // Between the end of that life and the start of this one there is no hole if there is none behind the cursor.
            if let Found::After(place) = found
                && place <= before.end()
                && !state.log.is_made_here(cursor)
                && !before.is_whole_behind(place, channels, &self.rules)
            {
                found = Found::Unknown;
            }
        }
        match found {
            Found::After(place) => Begin { place, told: Some(cursor.to_string()) },
            Found::Earliest(place) => Begin { place, told: Some(EARLIEST.to_string()) },
            Found::Unknown => Begin { place: end, told: Some(EARLIEST.to_string()) },
        }
    }

    /// The channels of those selectors that name one topic, as far as one connection may have channels.
    pub fn listen(&self, selectors: &[SelectorText]) -> Vec<Listening> {
        let named = selectors.iter().filter(|selector| !selector.is_everything() && !selector.may_be_a_pattern());
        let channels = named.take(self.settings.listening_max).map(|selector| self.names.channel(&selector.text, false));
        channels.filter_map(|channel| self.listeners.listen(channel)).collect()
    }

    /// The id of the newest update, or `earliest`.
    pub fn last_id(&self) -> Arc<str> {
        Arc::clone(self.state.lock().log.last_id())
    }

    pub fn presences(&self) -> &Presences {
        &self.presences
    }

    /// Subscribers on this node.
    pub fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::Acquire)
    }

    /// What is in the log: updates and bytes.
    pub fn kept(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.log.len(), state.log.bytes())
    }

    fn bell(&self) -> Arc<Bell> {
        let bell = Arc::new(Bell::default());
        let mut bells = self.bells.lock();
        bells.retain(|other| other.strong_count() > 0);
        bells.push(Arc::downgrade(&bell));
        bell
    }

    fn end(&self) -> u64 {
        self.state.lock().log.end()
    }

    fn after(&self, place: u64, max: usize) -> Option<Vec<Arc<Entry>>> {
        self.state.lock().log.after(place, max)
    }

    /// Somebody comes in: from now on the log is kept for it. To be called before it is asked where to begin.
    pub fn attend(self: &Arc<Self>) -> Attendance {
        self.subscribers.fetch_add(1, Ordering::AcqRel);
        Attendance(Arc::clone(self))
    }

    fn is_draining(&self) -> bool {
        self.drain.is_on.load(Ordering::Acquire)
    }

    fn drain_ends_at(&self) -> Millis {
        self.drain.until.load(Ordering::Acquire)
    }

    /// Says that a subscription has begun, or is over. Only those entitled to its topic are told.
    fn announce(&self, presence: &Presence, is_active: bool) {
        let is_modern = presence.selector.kind.generation() == Generation::Modern;
        let content = Content::Own {
            id: format!("urn:uuid:{}", uuid::Uuid::now_v7()).into(),
            event_type: is_modern.then_some("mercure"),
            data: presence.event(is_active),
        };
        let topics = SmallVec::from_elem(Arc::new(Topic::new(&presence.topic())), 1);
        let gone = self.append(&mut self.state.lock(), topics, Visibility::Entitled, content);
        drop(gone);
    }

    /// Forgets what is too old. To be called now and then.
    pub fn prune(&self) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.log.prune(now);
        let gone = state.past();
        drop(state);
        drop(gone);
    }

    /// Takes note of a publication, in the order of its channel.
    fn published(&self, channel: &ChannelName, event: &ChannelEvent) {
        let ChannelEvent::Publication { publication, position, .. } = event else { return };
        if self.settings.log.history_size == 0 && self.subscribers.load(Ordering::Acquire) == 0 {
            return;
        }
        if publication.update.as_ref().is_some_and(|update| update.channel != *channel) {
            return;
        }
        let mut state = self.state.lock();
        let Some((topics, visibility)) = self.shown_as(&mut state, channel, publication) else { return };
        let content = Content::Publication { publication: Arc::clone(publication), position: position.clone() };
        let gone = self.append(&mut state, topics, visibility, content);
        drop(state);
        drop(gone);
    }

    /// The topics of what a channel has published, and who may see it. `None`: the channel is no topic's.
    fn shown_as(&self, state: &mut State, channel: &ChannelName, publication: &Publication) -> Option<(SmallVec<[Arc<Topic>; 1]>, Visibility)> {
        let shown = state.shown(channel, self);
        let Some(update) = &publication.update else {
            let Shown { topic, visibility } = shown?;
            return Some((SmallVec::from_elem(topic, 1), visibility));
        };
        let visibility = if update.is_private { Visibility::Entitled } else { Visibility::Everybody };
        let canonical = shown.map(|shown| shown.topic).filter(|shown| Some(&shown.text) == update.topics.first());
        let rest = &update.topics[usize::from(canonical.is_some())..];
        Some((canonical.into_iter().chain(rest.iter().map(|topic| Arc::new(Topic::new(topic)))).collect(), visibility))
    }

    /// Gives back what is to be dropped when the lock is not held any more.
    #[must_use]
    fn append(&self, state: &mut State, topics: SmallVec<[Arc<Topic>; 1]>, visibility: Visibility, content: Content) -> Option<Arc<Before>> {
        let now: Millis = self.clock.now();
        state.log.append(topics, visibility, content, now);
        let gone = state.past();
        if self.subscribers() == 0 {
            return gone;
        }
        for bell in self.bells.lock().iter().filter_map(Weak::upgrade).filter(|bell| bell.is_wanted.load(Ordering::Acquire)) {
            bell.rings.notify_one();
        }
        gone
    }

    /// Who may see what others publish in a channel: whoever its namespace lets subscribe.
    fn visibility(&self, channel: &ChannelName, is_private: bool) -> Visibility {
        if self.settings.is_insecure {
            return Visibility::Everybody;
        }
        let Ok(options) = self.rules.options_for_client(channel) else { return Visibility::Entitled };
        if is_private || self.rules.is_user_limited(channel) || !options.allow_subscribe_for_client {
            Visibility::Entitled
        } else if options.allow_subscribe_for_anonymous {
            Visibility::Everybody
        } else {
            Visibility::Known
        }
    }
}

impl State {
    /// What is known of an earlier life, once the log has nothing of it any more. It may be large.
    fn past(&mut self) -> Option<Arc<Before>> {
        let oldest = self.log.oldest();
        self.before.take_if(|before| before.end() < oldest)
    }

    fn shown(&mut self, channel: &ChannelName, hub: &MercureHub) -> Option<Shown> {
        if let Some(known) = self.channels.get(channel) {
            return known.clone();
        }
        let shown = hub
            .names
            .topic(channel)
            .map(|named| Shown { visibility: hub.visibility(channel, named.is_private), topic: Arc::new(Topic::new(&named.topic)) });
        if self.channels.len() == CHANNELS_MAX {
            self.channels = HashMap::new();
        }
        self.channels.insert(channel.clone(), shown.clone());
        shown
    }
}

/// The data as a payload that every client can be given: JSON as it is, anything else as a JSON string.
fn payload(data: String) -> (Payload, bool) {
    let payload = Payload::from_bytes(Bytes::from(data));
    if payload.is_json() {
        return (payload, false);
    }
    let text = String::from_utf8_lossy(&payload);
    let json = serde_json::to_vec(&text).expect("a string is always JSON, and memory does not fail to be written to");
    (Payload::from_json(json.into()), true)
}

/// Stands between the broker and the topics, where the Mercure hub is enabled: the log first, then everybody else.
pub struct Tap {
    pub hub: Arc<MercureHub>,
    pub topics: Arc<dyn Deliver>,
}

impl Deliver for Tap {
    fn deliver(&self, channel: &ChannelName, event: ChannelEvent) {
        self.hub.published(channel, &event);
        self.topics.deliver(channel, event);
    }
}
