//! The hub's updates in one order, which is what gives them ids: every publication that a topic can show, of whatever origin, and what the hub
//! says of its subscribers.
//!
//! It is history and queue in one. Those who come back read from the place that their cursor names; the workers read on from where they have got
//! to. So there is no queue per worker or subscriber that could grow, and a newcomer cannot fall between history and what comes next. The bytes of
//! a publication are those that the broker's stream holds, counted and not copied.
//!
//! Knows no lock and no clock. At a cap the oldest go: a worker that has not read them tells its subscribers to come back.

use crate::channel::{Publication, StreamPosition, Update};
use crate::clock::Millis;
use crate::protocol::mercure::{EARLIEST, Topic, encode};
use bytes::Bytes;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

/// Entries that are kept for the workers to read, also where no history is wanted.
const LIVE_ENTRIES: usize = 4_096;

/// How long they are kept.
const LIVE_MS: Millis = 30_000;

/// Bytes that an entry costs beside what it holds.
const ENTRY_BYTES: usize = 256;

/// The longest type that is taken from a publication's tags.
const TYPE_BYTES_MAX: usize = 256;

/// Who may see an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Everybody,
    /// Whoever has a token.
    Known,
    /// Those whose token names one of its topics.
    Entitled,
}

/// What an update says.
#[derive(Debug)]
pub enum Content {
    Publication {
        publication: Arc<Publication>,
        position: Option<StreamPosition>,
    },
    /// Of the hub itself.
    Own {
        id: Arc<str>,
        event_type: Option<&'static str>,
        data: String,
    },
}

/// One update at its place.
#[derive(Debug)]
pub struct Entry {
    pub seq: u64,
    at: Millis,
    id: Arc<str>,
    pub topics: SmallVec<[Arc<Topic>; 1]>,
    pub visibility: Visibility,
    content: Content,
    encoded: OnceLock<Option<Bytes>>,
    weight: usize,
}

impl Entry {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// As it goes to every subscriber, written once. `None`: it is no text, and an event stream carries nothing else.
    pub fn encoded(&self) -> Option<&Bytes> {
        self.encoded.get_or_init(|| self.encode()).as_ref()
    }

    fn encode(&self) -> Option<Bytes> {
        let (event_type, retry_ms, data) = match &self.content {
            Content::Own { event_type, data, .. } => (*event_type, 0, Cow::Borrowed(data.as_str())),
            Content::Publication { publication, .. } => {
                let text = std::str::from_utf8(&publication.data).ok()?;
                match publication.update.as_deref() {
                    Some(Update { event_type, retry_ms, is_text, .. }) => {
                        // What was published as a text travels as a JSON string among the others.
                        let data = if *is_text { Cow::Owned(serde_json::from_str(text).ok()?) } else { Cow::Borrowed(text) };
                        (event_type.as_deref(), *retry_ms, data)
                    }
                    None => (type_of(publication), 0, Cow::Borrowed(text)),
                }
            }
        };
        encode(event_type, retry_ms, &self.id, &data).ok()
    }
}

/// The type of a feed's event, which travels as a tag. What could not be one is left out, and so is what means that there is none.
fn type_of(publication: &Publication) -> Option<&str> {
    let name = publication.tags.as_ref()?.get("event")?;
    let is_type = name.len() <= TYPE_BYTES_MAX && !["", "message", "mercure"].contains(&name.as_str()) && !name.contains(char::is_control);
    is_type.then_some(name)
}

#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// Updates for those who come back. 0: none.
    pub history_size: usize,
    pub history_ttl_ms: Millis,
    /// Of all entries, those that the workers have not read included.
    pub bytes_max: usize,
}

#[derive(Debug)]
pub struct Log {
    settings: LogSettings,
    /// Random, different at every start: ids of another life are unknown.
    boot: String,
    entries: VecDeque<Arc<Entry>>,
    /// The place of the newest entry, whether or not it is still there.
    end: u64,
    bytes: usize,
    /// Ids that their publishers chose. The earliest of equal ones counts.
    ids: HashMap<Arc<str>, u64>,
    last_id: Arc<str>,
}

/// Where somebody who comes back goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Behind this place; nothing in between is missing.
    After(u64),
    /// With everything that is kept.
    Earliest(u64),
    /// The cursor is not known, or what came after it is not kept.
    Unknown,
}

impl Log {
    pub fn new(settings: LogSettings) -> Self {
        let boot = uuid::Uuid::new_v4().simple().to_string()[..8].to_string();
        Self { settings, boot, entries: VecDeque::new(), end: 0, bytes: 0, ids: HashMap::new(), last_id: Arc::from(EARLIEST) }
    }

    pub fn append(&mut self, topics: SmallVec<[Arc<Topic>; 1]>, visibility: Visibility, content: Content, now: Millis) {
        self.end += 1;
        let seq = self.end;
        let (id, is_given, weight) = match &content {
            Content::Own { id, data, .. } => (Arc::clone(id), true, data.len()),
            Content::Publication { publication, position } => {
                let (id, is_given) = match (&publication.update, position) {
                    (Some(update), _) => (Arc::from(&*update.id), true),
                    (None, Some(position)) => (self.made_id(seq, Some(position)), false),
                    (None, None) => (self.made_id(seq, None), false),
                };
                (id, is_given, publication.weight())
            }
        };
        if is_given {
            self.ids.entry(Arc::clone(&id)).or_insert(seq);
        }
        self.last_id = Arc::clone(&id);
        // The written form is kept beside the publication once somebody has asked for it.
        let weight = ENTRY_BYTES + 2 * weight + topics.iter().map(|topic| topic.text.len()).sum::<usize>();
        self.bytes += weight;
        self.entries.push_back(Arc::new(Entry { seq, at: now, id, topics, visibility, content, encoded: OnceLock::new(), weight }));
        self.prune(now);
    }

    fn made_id(&self, seq: u64, position: Option<&StreamPosition>) -> Arc<str> {
        match position {
            Some(StreamPosition { offset, epoch }) => format!("{}-{seq}-{}-{offset}", self.boot, epoch.as_str()).into(),
            None => format!("{}-{seq}", self.boot).into(),
        }
    }

    /// Lets go of what is too much or too old. The newest entry stays, since nobody has read it yet.
    pub fn prune(&mut self, now: Millis) {
        let LogSettings { history_size, history_ttl_ms, bytes_max } = self.settings;
        let (entries_max, age_max) = (history_size.max(LIVE_ENTRIES), if history_size == 0 { LIVE_MS } else { history_ttl_ms.max(LIVE_MS) });
        while let Some(oldest) = self.entries.front() {
            let is_too_old = now >= oldest.at + age_max;
            let is_too_much = self.entries.len() > 1 && (self.entries.len() > entries_max || self.bytes > bytes_max);
            if !(is_too_old || is_too_much) {
                break;
            }
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.weight;
            if self.ids.get(&oldest.id) == Some(&oldest.seq) {
                self.ids.remove(&oldest.id);
            }
        }
        if self.entries.is_empty() && self.entries.capacity() > LIVE_ENTRIES {
            self.entries = VecDeque::new();
            self.ids = HashMap::new();
        }
    }

    /// The place of the newest entry.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The id of the newest entry, or `earliest`.
    pub fn last_id(&self) -> &Arc<str> {
        &self.last_id
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The place behind which everything is kept for those who come back.
    fn earliest(&self, now: Millis) -> u64 {
        let LogSettings { history_size, history_ttl_ms, .. } = self.settings;
        let first = self.entries.partition_point(|entry| now >= entry.at + history_ttl_ms);
        let kept = (self.entries.len() - first).min(history_size);
        self.end - kept as u64
    }

    pub fn find(&self, cursor: &str, now: Millis) -> Found {
        if self.settings.history_size == 0 {
            return Found::Unknown;
        }
        let earliest = self.earliest(now);
        if cursor == EARLIEST {
            return Found::Earliest(earliest);
        }
        let place = if *cursor == *self.last_id { Some(self.end) } else { self.ids.get(cursor).copied().or_else(|| self.place_of_made(cursor)) };
        place.map_or(Found::Unknown, |place| self.at(place, now))
    }

    /// Behind this place, if all of it is kept.
    pub fn at(&self, place: u64, now: Millis) -> Found {
        if (self.earliest(now)..=self.end).contains(&place) { Found::After(place) } else { Found::Unknown }
    }

    /// The oldest place whose entry is there; where there is none, the one that comes next.
    pub fn oldest(&self) -> u64 {
        self.end + 1 - self.entries.len() as u64
    }

    /// Whether this life made the id.
    pub fn is_made_here(&self, cursor: &str) -> bool {
        self.place_of_made(cursor).is_some()
    }

    fn place_of_made(&self, cursor: &str) -> Option<u64> {
        let rest = cursor.strip_prefix(self.boot.as_str())?.strip_prefix('-')?;
        rest.split('-').next()?.parse().ok()
    }

    /// The entries behind `place`, at most `max` of them. `None`: some of them are not there any more.
    pub fn after(&self, place: u64, max: usize) -> Option<Vec<Arc<Entry>>> {
        let behind = usize::try_from(self.end.checked_sub(place)?).ok()?;
        let start = self.entries.len().checked_sub(behind)?;
        Some(self.entries.range(start..).take(max).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{ChannelName, Epoch, Payload, Tags};

    const SETTINGS: LogSettings = LogSettings { history_size: 3, history_ttl_ms: 60_000, bytes_max: 1_000_000 };

    fn topics(text: &str) -> SmallVec<[Arc<Topic>; 1]> {
        SmallVec::from_elem(Arc::new(Topic::new(text)), 1)
    }

    fn publication(data: &str) -> Publication {
        Publication { offset: 7, data: Payload::from_bytes(Bytes::from(data.to_string())), info: None, tags: None, update: None }
    }

    fn update(id: &str) -> Update {
        Update {
            id: id.into(),
            topics: vec!["t".into()],
            channel: ChannelName::new("t"),
            is_private: false,
            event_type: None,
            retry_ms: 0,
            is_text: false,
        }
    }

    fn given(log: &mut Log, id: &str, now: Millis) {
        let publication = Arc::new(Publication { update: Some(Arc::new(update(id))), ..publication("1") });
        log.append(topics("t"), Visibility::Everybody, Content::Publication { publication, position: None }, now);
    }

    fn ids_after(log: &Log, place: u64) -> Option<Vec<String>> {
        log.after(place, 100).map(|entries| entries.iter().map(|entry| entry.id().to_string()).collect())
    }

    #[test]
    fn a_cursor_is_found_by_the_id_that_was_given() {
        let mut log = Log::new(SETTINGS);
        assert_eq!((log.find(EARLIEST, 0), log.find("a", 0), &**log.last_id()), (Found::Earliest(0), Found::Unknown, EARLIEST));
        for id in ["a", "b", "c", "b", "d"] {
            given(&mut log, id, 0);
        }
        assert_eq!(log.find("b", 0), Found::After(2), "the earliest of equal ids counts, and all behind it is kept");
        assert_eq!(log.find("a", 0), Found::Unknown, "b, behind it, is not kept any more");
        assert_eq!(log.find("d", 0), Found::After(5));
        assert_eq!(log.find(EARLIEST, 0), Found::Earliest(2));
        assert_eq!(ids_after(&log, 2).unwrap(), ["c", "b", "d"]);
        assert_eq!(ids_after(&log, 5).unwrap(), Vec::<String>::new());
        assert_eq!(ids_after(&log, 6), None);
    }

    #[test]
    fn a_cursor_is_found_by_the_id_that_was_made() {
        let mut log = Log::new(LogSettings { history_size: 10, ..SETTINGS });
        let position = StreamPosition { offset: 7, epoch: Epoch::new("aB3d") };
        let content = |position| Content::Publication { publication: Arc::new(publication("1")), position };
        log.append(topics("t"), Visibility::Everybody, content(Some(position)), 0);
        log.append(topics("t"), Visibility::Everybody, content(None), 0);
        let ids = ids_after(&log, 0).unwrap();
        assert!(ids[0].ends_with("-1-aB3d-7") && ids[1].ends_with("-2"), "{ids:?}");
        assert_eq!((log.find(&ids[0], 0), log.find(&ids[1], 0)), (Found::After(1), Found::After(2)));
        assert_eq!(log.find(&ids[1].replace("-2", "-3"), 0), Found::Unknown, "nothing has that place yet");
        assert_eq!(Log::new(SETTINGS).find(&ids[0], 0), Found::Unknown, "ids of another life");
    }

    #[test]
    fn what_is_too_old_or_too_much_goes() {
        let mut log = Log::new(SETTINGS);
        given(&mut log, "a", 0);
        given(&mut log, "b", 30_000);
        assert_eq!(log.find("a", 59_999), Found::After(1));
        assert_eq!(log.find(EARLIEST, 60_000), Found::Earliest(1));
        log.prune(90_000);
        assert_eq!((log.len(), log.bytes()), (0, 0));
        assert_eq!(log.find("b", 90_000), Found::After(2), "nothing came after it, so nothing is missing");
        assert_eq!((log.find("a", 90_000), ids_after(&log, 1)), (Found::Unknown, None));

        let mut log = Log::new(LogSettings { history_size: 0, bytes_max: 4 * ENTRY_BYTES, ..SETTINGS });
        for id in ["a", "b", "c"] {
            given(&mut log, id, 0);
        }
        assert!(log.len() < 3 && log.bytes() <= 4 * ENTRY_BYTES, "{} entries", log.len());
        assert_eq!((log.find("c", 0), log.find(EARLIEST, 0)), (Found::Unknown, Found::Unknown), "there is no history");
        assert_eq!(ids_after(&log, 2).unwrap(), ["c"]);
    }

    #[test]
    fn an_update_is_written_as_its_publisher_wrote_it() {
        let written = |publication: Publication| {
            let mut log = Log::new(SETTINGS);
            log.append(topics("t"), Visibility::Everybody, Content::Publication { publication: Arc::new(publication), position: None }, 0);
            let entry = log.after(0, 1).unwrap().remove(0);
            let id = entry.id().to_string();
            entry.encoded().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap().replace(&id, "ID"))
        };
        let text = Update { event_type: Some("tick".into()), retry_ms: 9, is_text: true, ..update("u") };
        assert_eq!(
            written(Publication { update: Some(Arc::new(text)), ..publication(r#""a\nb""#) }).as_deref(),
            Some("event: tick\nretry: 9\nid: ID\ndata: a\ndata: b\n\n")
        );
        assert_eq!(written(publication(r#"{"a":1}"#)).as_deref(), Some("id: ID\ndata: {\"a\":1}\n\n"));
        let tagged = |event: &str| Publication { tags: Some(Arc::new(Tags::from([("event".to_string(), event.to_string())]))), ..publication("1") };
        assert_eq!(written(tagged("pulse")).as_deref(), Some("event: pulse\nid: ID\ndata: 1\n\n"));
        for none in ["message", "", "a\nb", "mercure"] {
            assert_eq!(written(tagged(none)).as_deref(), Some("id: ID\ndata: 1\n\n"), "{none}");
        }
        let binary = Publication { data: Payload::from_bytes(Bytes::from_static(b"\xff")), ..publication("") };
        assert_eq!(written(binary), None);
    }
}
