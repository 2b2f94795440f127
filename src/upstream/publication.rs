//! What an event becomes: which channel, which payload. Pure.

use crate::broker::Publish;
use crate::channel::{ChannelName, ChannelRules, Payload, Tags};
use crate::protocol::event_stream::StreamEvent;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Channels that a connection remembers. A feed that invents ever new ones empties the memory, nothing more.
const CHANNELS_REMEMBERED: usize = 256;

/// What the payload is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// The data alone: JSON as it is, anything else as a JSON string. Type and id become the publication's tags `event` and `id`.
    #[default]
    Data,
    /// `{"event":…,"id":…,"data":…}` with the data as text, whatever it holds.
    Envelope,
}

/// How to make a publication of an event.
pub fn publish_of(event: StreamEvent, format: Format) -> Publish {
    match format {
        Format::Data => {
            let mut tags = Tags::from([("event".to_string(), event.event_type_or_message().to_string())]);
            if !event.last_event_id.is_empty() {
                tags.insert("id".to_string(), event.last_event_id.to_string());
            }
            Publish { data: json_or_string(event.data), tags: Some(Arc::new(tags)), ..Publish::default() }
        }
        Format::Envelope => {
            #[derive(Serialize)]
            struct Envelope<'a> {
                event: &'a str,
                id: &'a str,
                data: &'a str,
            }
            let envelope = Envelope { event: event.event_type_or_message(), id: &event.last_event_id, data: &event.data };
            let json = serde_json::to_vec(&envelope).expect("three strings are always JSON, and memory does not fail to be written to");
            Publish { data: Payload::from_json(json.into()), ..Publish::default() }
        }
    }
}

fn json_or_string(data: String) -> Payload {
    let payload = Payload::from_bytes(Bytes::from(data));
    if payload.is_json() {
        return payload;
    }
    let text = String::from_utf8_lossy(&payload);
    let json = serde_json::to_vec(&text).expect("a string is always JSON, and memory does not fail to be written to");
    Payload::from_json(json.into())
}

/// The channel of a feed's events: text with `{name}` (settled at once), `{event}`, and `{/pointer}` into the event's data (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Event,
    Pointer(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("its channel is empty")]
    Empty,
    #[error("its channel holds {placeholder:?}; only {{name}}, {{event}} and pointers into the data such as {{/symbol}} are known")]
    UnknownPlaceholder { placeholder: String },
    #[error("its channel has a brace without its partner")]
    LoneBrace,
}

impl ChannelTemplate {
    pub fn parse(text: &str, feed_name: &str) -> Result<Self, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            push(&mut parts, &rest[..open]);
            let inside = &rest[open + 1..];
            let close = inside.find(['{', '}']).filter(|&at| rest[open..].starts_with('{') && inside[at..].starts_with('}'));
            let close = close.ok_or(TemplateError::LoneBrace)?;
            match &inside[..close] {
                "name" => push(&mut parts, feed_name),
                "event" => parts.push(Part::Event),
                pointer if pointer.starts_with('/') => parts.push(Part::Pointer(pointer.to_string())),
                other => return Err(TemplateError::UnknownPlaceholder { placeholder: format!("{{{other}}}") }),
            }
            rest = &inside[close + 1..];
        }
        push(&mut parts, rest);
        Ok(Self { parts })
    }

    fn needs_data(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Pointer(_)))
    }

    /// `None` where a foreign server's word is missing or not fit for a channel name.
    fn fill(&self, event_type: &str, data: Option<&Value>) -> Option<String> {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Event if is_harmless(event_type) => name.push_str(event_type),
                Part::Event => return None,
                Part::Pointer(pointer) => name.push_str(&scalar(data?.pointer(pointer)?).filter(|word| is_harmless(word))?),
            }
        }
        Some(name)
    }
}

/// As it is written in the configuration, but for the feed's name, which is filled in.
impl std::fmt::Display for ChannelTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Event => f.write_str("{event}"),
            Part::Pointer(pointer) => write!(f, "{{{pointer}}}"),
        })
    }
}

fn push(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_string())),
    }
}

/// A text as it is, numbers and booleans as JSON writes them; nothing else is one word.
fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Which of a feed's events are published, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where an event goes whose type has no channel of its own; `None`: nowhere.
    pub fallback: Option<ChannelTemplate>,
    pub by_event: HashMap<String, ChannelTemplate>,
    /// Empty: all types.
    pub only_events: HashSet<String>,
    pub except_events: HashSet<String>,
    /// Each pointer into the data must lead to one of its values.
    pub only_where: Vec<(String, HashSet<String>)>,
    /// Where the data tells when the event happened: Unix time in seconds or milliseconds.
    pub event_time: Option<String>,
}

impl Mapping {
    /// Everything to one template.
    pub fn to(template: ChannelTemplate) -> Self {
        Self {
            fallback: Some(template),
            by_event: HashMap::new(),
            only_events: HashSet::new(),
            except_events: HashSet::new(),
            only_where: Vec::new(),
            event_time: None,
        }
    }

    fn template(&self, event_type: &str) -> Option<&ChannelTemplate> {
        self.by_event.get(event_type).or(self.fallback.as_ref())
    }

    fn needs_data(&self, template: &ChannelTemplate) -> bool {
        template.needs_data() || !self.only_where.is_empty() || self.event_time.is_some()
    }

    fn takes_type(&self, event_type: &str) -> bool {
        (self.only_events.is_empty() || self.only_events.contains(event_type)) && !self.except_events.contains(event_type)
    }

    fn takes_data(&self, data: Option<&Value>) -> bool {
        self.only_where.iter().all(|(pointer, values)| {
            let found = data.and_then(|data| data.pointer(pointer)).and_then(scalar);
            found.is_some_and(|found| values.contains(&*found))
        })
    }
}

/// Milliseconds since 1970 of a number that may be seconds: what is below this many is, until the year 5138, and what is above is not,
/// since 1973.
const SECONDS_MAX: f64 = 100_000_000_000.0;

fn unix_ms(value: &Value) -> Option<i64> {
    let number = match value {
        Value::String(text) => text.parse().ok()?,
        value => value.as_f64()?,
    };
    let ms = if number < SECONDS_MAX { number * 1_000.0 } else { number };
    // Beyond these it is no time; the cast would saturate anyway.
    (ms.is_finite() && ms > 0.0).then_some(ms as i64)
}

/// Whether a foreign server may choose a part of a channel name by this word: only the unreserved characters of URIs (RFC 3986,
/// 2.3) and the slash. The characters that mean something in channel names (`:` ends a namespace, `#` and `,` name users, `$` makes
/// private) are not among them, so that no feed can reach into another namespace or a user's own channel.
pub fn is_harmless(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/'))
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    To {
        channel: ChannelName,
        event_time_ms: Option<i64>,
    },
    /// It leads to no channel that a client could name.
    Nowhere,
    /// The configuration does not want it.
    Unwanted,
}

/// Finds the channel of each event of one feed, and remembers.
#[derive(Debug)]
pub struct Channels {
    mapping: Mapping,
    rules: Arc<ChannelRules>,
    /// `None`: there is no such channel.
    known: HashMap<String, Option<ChannelName>>,
}

impl Channels {
    pub fn new(mapping: Mapping, rules: Arc<ChannelRules>) -> Self {
        Self { mapping, rules, known: HashMap::new() }
    }

    /// The data is read as JSON only where the mapping asks what is in it.
    pub fn route(&mut self, event_type: &str, data: &str) -> Route {
        if !self.mapping.takes_type(event_type) {
            return Route::Unwanted;
        }
        let Some(template) = self.mapping.template(event_type) else { return Route::Nowhere };
        let data: Option<Value> = if self.mapping.needs_data(template) { serde_json::from_str(data).ok() } else { None };
        if !self.mapping.takes_data(data.as_ref()) {
            return Route::Unwanted;
        }
        let Some(name) = template.fill(event_type, data.as_ref()) else { return Route::Nowhere };
        let pointer = self.mapping.event_time.as_deref();
        let event_time_ms = pointer.and_then(|pointer| data.as_ref()?.pointer(pointer)).and_then(unix_ms);
        match self.find(name) {
            Some(channel) => Route::To { channel, event_time_ms },
            None => Route::Nowhere,
        }
    }

    /// The channels that events have led to, as far as they are remembered.
    pub fn known(&self) -> Vec<ChannelName> {
        self.known.values().flatten().cloned().collect()
    }

    fn find(&mut self, name: String) -> Option<ChannelName> {
        if let Some(known) = self.known.get(&name) {
            return known.clone();
        }
        let channel = self.rules.options_for_client(&name).ok().map(|_| ChannelName::new(&name));
        if self.known.len() >= CHANNELS_REMEMBERED {
            self.known.clear();
        }
        self.known.insert(name, channel.clone());
        channel
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{ChannelOptions, NameSyntax, Namespace};
    use proptest::prelude::*;

    fn event(event_type: &str, id: &str, data: &str) -> StreamEvent {
        StreamEvent { event_type: event_type.to_string(), data: data.to_string(), last_event_id: Arc::from(id), has_id: !id.is_empty() }
    }

    fn channels(template: &str) -> Channels {
        let namespaces = vec![Namespace { name: "ticks".to_string(), options: ChannelOptions::default() }];
        let rules = ChannelRules::new(NameSyntax::default(), ChannelOptions::default(), namespaces).unwrap();
        Channels::new(Mapping::to(ChannelTemplate::parse(template, "host").unwrap()), Arc::new(rules))
    }

    fn found(channels: &mut Channels, event_type: &str, data: &str) -> Option<String> {
        match channels.route(event_type, data) {
            Route::To { channel, .. } => Some(channel.to_string()),
            Route::Nowhere => None,
            Route::Unwanted => Some("unwanted".to_string()),
        }
    }

    #[test]
    fn data_passes_as_json_or_becomes_a_json_string() {
        let cases = [
            ("{\"a\":1.50}", "{\"a\":1.50}"),
            ("{\"a\":\n1}", "{\"a\": 1}"),
            ("12", "12"),
            ("null", "null"),
            ("hello", "\"hello\""),
            ("a\nb", "\"a\\nb\""),
            ("", "\"\""),
            ("{\"a\":", "\"{\\\"a\\\":\""),
            ("NaN", "\"NaN\""),
            ("\u{1}\0ä", "\"\\u0001\\u0000ä\""),
        ];
        for (data, payload) in cases {
            let publish = publish_of(event("", "", data), Format::Data);
            assert_eq!((publish.data.is_json(), std::str::from_utf8(&publish.data).unwrap()), (true, payload), "{data:?}");
        }
    }

    #[test]
    fn type_and_id_travel_as_tags() {
        let tags = |event_type, id| publish_of(event(event_type, id, "1"), Format::Data).tags.unwrap().as_ref().clone();
        assert_eq!(tags("pulse", "7"), Tags::from([("event".to_string(), "pulse".to_string()), ("id".to_string(), "7".to_string())]));
        assert_eq!(tags("", ""), Tags::from([("event".to_string(), "message".to_string())]));
    }

    #[test]
    fn the_envelope_holds_all_three_as_text() {
        let publish = publish_of(event("", "a\"b", "{\"x\":1}\n2"), Format::Envelope);
        assert_eq!(std::str::from_utf8(&publish.data).unwrap(), r#"{"event":"message","id":"a\"b","data":"{\"x\":1}\n2"}"#);
        assert_eq!(publish.tags, None);
    }

    #[test]
    fn templates() {
        let find = |template: &str, event_type: &str| found(&mut channels(template), event_type, "");
        assert_eq!(find("news", "x y").as_deref(), Some("news"), "a fixed channel takes every event");
        assert_eq!(find("ticks:{event}", "pulse").as_deref(), Some("ticks:pulse"));
        assert_eq!(find("ticks:{name}/{event}/{event}", "a").as_deref(), Some("ticks:host/a/a"));
        assert_eq!(find("{name}", "").as_deref(), Some("host"));
        assert_eq!(find("other:{event}", "a"), None, "no such namespace");
        let faults = [
            ("", TemplateError::Empty),
            ("{Event}", TemplateError::UnknownPlaceholder { placeholder: "{Event}".to_string() }),
            ("{}", TemplateError::UnknownPlaceholder { placeholder: "{}".to_string() }),
            ("a{event", TemplateError::LoneBrace),
            ("a}b", TemplateError::LoneBrace),
            ("{{event}}", TemplateError::LoneBrace),
        ];
        for (text, fault) in faults {
            assert_eq!(ChannelTemplate::parse(text, "host"), Err(fault), "{text}");
        }
    }

    #[test]
    fn no_event_type_reaches_out_of_its_namespace() {
        for hostile in ["", "other:x", "x#42", "#42", "$x", "a,b", "a b", "a*", "é", "a\u{0}", "a{b}", "a\\b"] {
            assert_eq!(found(&mut channels("ticks:{event}"), hostile, ""), None, "{hostile:?}");
            assert_eq!(found(&mut channels("{event}"), hostile, ""), None, "{hostile:?}");
            let data = serde_json::json!({ "a": hostile }).to_string();
            assert_eq!(found(&mut channels("ticks:{/a}"), "", &data), None, "{hostile:?}");
        }
        assert_eq!(found(&mut channels("ticks:{event}"), &"x".repeat(250), ""), None, "longer than a channel name may be");
    }

    #[test]
    fn a_channel_can_be_named_by_what_is_in_the_data() {
        let mut channels = channels("ticks:{/quote/symbol}-{/n}");
        let cases = [
            (r#"{"quote":{"symbol":"ACME"},"n":7}"#, Some("ticks:ACME-7")),
            (r#"{"quote":{"symbol":["ACME"]},"n":7}"#, None),
            (r#"{"quote":{"symbol":"ACME"}}"#, None),
            ("ACME", None),
            ("", None),
        ];
        for (data, channel) in cases {
            assert_eq!(found(&mut channels, "", data).as_deref(), channel, "{data}");
        }
    }

    #[test]
    fn types_have_channels_of_their_own_and_filters_leave_the_rest_out() {
        let template = |text| ChannelTemplate::parse(text, "f").unwrap();
        let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<HashSet<_>>();
        let mut with = channels("unused");
        with.mapping = Mapping {
            fallback: None,
            by_event: HashMap::from([("trade".to_string(), template("ticks:t")), ("quote".to_string(), template("ticks:q"))]),
            except_events: words(&["ping"]),
            only_where: vec![("/market".to_string(), words(&["US", "5", "true"]))],
            ..Mapping::to(template("x"))
        };
        let cases = [
            ("trade", r#"{"market":"US"}"#, Some("ticks:t")),
            ("quote", r#"{"market":5}"#, Some("ticks:q")),
            ("quote", r#"{"market":true}"#, Some("ticks:q")),
            ("quote", r#"{"market":"EU"}"#, Some("unwanted")),
            ("quote", r#"{"market":null}"#, Some("unwanted")),
            ("quote", "no JSON", Some("unwanted")),
            ("ping", r#"{"market":"US"}"#, Some("unwanted")),
            ("other", r#"{"market":"US"}"#, None),
        ];
        for (event_type, data, channel) in cases {
            assert_eq!(found(&mut with, event_type, data).as_deref(), channel, "{event_type} {data}");
        }
        with.mapping.only_events = words(&["trade"]);
        assert_eq!(found(&mut with, "quote", r#"{"market":"US"}"#).as_deref(), Some("unwanted"));
    }

    #[test]
    fn the_time_of_an_event_is_seconds_or_milliseconds() {
        let mut channels = channels("x");
        channels.mapping.event_time = Some("/t".to_string());
        let mut time = |data: &str| match channels.route("", data) {
            Route::To { event_time_ms, .. } => event_time_ms,
            other => panic!("{other:?}"),
        };
        let ms = Some(1_795_255_200_500);
        assert_eq!([time(r#"{"t":1795255200.5}"#), time(r#"{"t":1795255200500}"#), time(r#"{"t":"1795255200500"}"#)], [ms; 3]);
        assert_eq!([time("{}"), time("x"), time(r#"{"t":-1}"#), time(r#"{"t":"NaN"}"#), time(r#"{"t":{}}"#)], [None; 5]);
    }

    #[test]
    fn the_memory_for_event_types_is_bounded() {
        let mut channels = channels("ticks:{event}");
        for n in 0..10_000 {
            assert!(found(&mut channels, &n.to_string(), "").is_some());
        }
        assert!(channels.known.len() <= CHANNELS_REMEMBERED);
    }

    proptest! {
        #[test]
        fn whatever_the_event_the_payload_is_one_line_of_json_and_tells_the_data(data in any::<String>(), event_type in any::<String>(), id in any::<String>()) {
            let publish = publish_of(event(&event_type, &id, &data), Format::Envelope);
            let value: serde_json::Value = serde_json::from_slice(&publish.data).unwrap();
            prop_assert_eq!(&value["data"], &data);
            prop_assert_eq!(&value["id"], &id);
            let publish = publish_of(event(&event_type, &id, &data), Format::Data);
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&publish.data).is_ok());
            prop_assert!(memchr::memchr2(b'\n', b'\r', &publish.data).is_none());
        }
    }
}
