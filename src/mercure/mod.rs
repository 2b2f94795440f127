//! The Mercure hub: topics, which are the channels of everybody else, for publishers and EventSource clients of the Mercure protocol.
//!
//! An update is published by the broker like every other publication, into the channel of each of its topics ([`names`]). What the broker delivers,
//! from wherever it came, is also written into one [`log`], whose order is that of the ids and cursors of this protocol. Each worker reads the log
//! for its own subscribers ([`crowd`]).
//!
//! Called by the HTTP edge, and by the broker's deliveries. Deliberately absent: tokens and HTTP, and a way past the broker: only what the hub says
//! of its own subscribers does not come from there.

pub mod log;
pub mod names;
pub mod selecting;

use crate::broker::{ChannelEvent, Deliver, Publish, PublishError, Publisher};
use crate::channel::{ChannelError, ChannelName, ChannelRules, Payload, Update};
use crate::clock::{Clock, Millis};
use crate::protocol::mercure::{PublishForm, Topic};
use crate::telemetry::emit;
use crate::telemetry::mercure::UpdatePublished;
use bytes::Bytes;
use log::{Content, Log, LogSettings, Visibility};
use names::TopicNames;
use parking_lot::Mutex;
use selecting::Patterns;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use url::Url;

/// Channels whose topic and visibility are remembered.
const CHANNELS_MAX: usize = 16_384;

#[derive(Clone, Debug)]
pub struct MercureSettings {
    pub log: LogSettings,
    /// Everything is open to everybody: for trying things out.
    pub is_insecure: bool,
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
    clock: Clock,
}

struct State {
    log: Log,
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
    pub fn new(settings: MercureSettings, names: TopicNames, rules: Arc<ChannelRules>, base: Url, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State { log: Log::new(settings.log), channels: HashMap::new() }),
            settings,
            names,
            rules,
            patterns: Patterns::new(base),
            subscribers: AtomicUsize::new(0),
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

    /// Forgets what is too old. To be called now and then.
    pub fn prune(&self) {
        let now = self.clock.now();
        self.state.lock().log.prune(now);
    }

    /// Takes note of a publication, in the order of its channel.
    fn published(&self, channel: &ChannelName, event: &ChannelEvent) {
        let ChannelEvent::Publication { publication, position } = event else { return };
        if self.settings.log.history_size == 0 && self.subscribers.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut state = self.state.lock();
        let (topics, visibility) = match &publication.update {
            Some(update) if update.channel != *channel => return,
            Some(update) => {
                let visibility = if update.is_private { Visibility::Entitled } else { Visibility::Everybody };
                let shown = state.shown(channel, self).map(|shown| shown.topic);
                let canonical = shown.filter(|shown| Some(&shown.text) == update.topics.first());
                let rest = &update.topics[usize::from(canonical.is_some())..];
                (canonical.into_iter().chain(rest.iter().map(|topic| Arc::new(Topic::new(topic)))).collect(), visibility)
            }
            None => match state.shown(channel, self) {
                Some(Shown { topic, visibility }) => (SmallVec::from_elem(topic, 1), visibility),
                None => return,
            },
        };
        let content = Content::Publication { publication: Arc::clone(publication), position: position.clone() };
        self.append(&mut state, topics, visibility, content);
    }

    fn append(&self, state: &mut State, topics: SmallVec<[Arc<Topic>; 1]>, visibility: Visibility, content: Content) {
        let now: Millis = self.clock.now();
        state.log.append(topics, visibility, content, now);
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
