//! What an event becomes: which channel, which payload. Pure.

use crate::broker::Publish;
use crate::channel::{ChannelName, ChannelRules, Payload, Tags};
use crate::protocol::event_stream::StreamEvent;
use bytes::Bytes;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Event types whose channel a connection remembers. A feed that invents ever new ones empties the memory, nothing more.
const CHANNELS_REMEMBERED: usize = 64;

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

/// The channel of a feed's events: text with `{name}` (settled at once) and `{event}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTemplate {
    /// The text around the places of `{event}`: one part more than there are places.
    parts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("its channel is empty")]
    Empty,
    #[error("its channel holds {placeholder:?}; only {{name}} and {{event}} are known")]
    UnknownPlaceholder { placeholder: String },
    #[error("its channel has a brace without its partner")]
    LoneBrace,
}

impl ChannelTemplate {
    pub fn parse(text: &str, feed_name: &str) -> Result<Self, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty);
        }
        let mut parts = vec![String::new()];
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            push(&mut parts, &rest[..open]);
            let inside = &rest[open + 1..];
            let close = inside.find(['{', '}']).filter(|&at| rest[open..].starts_with('{') && inside[at..].starts_with('}'));
            let close = close.ok_or(TemplateError::LoneBrace)?;
            match &inside[..close] {
                "name" => push(&mut parts, feed_name),
                "event" => parts.push(String::new()),
                other => return Err(TemplateError::UnknownPlaceholder { placeholder: format!("{{{other}}}") }),
            }
            rest = &inside[close + 1..];
        }
        push(&mut parts, rest);
        Ok(Self { parts })
    }

    fn depends_on_event(&self) -> bool {
        self.parts.len() > 1
    }

    fn fill(&self, event_type: &str) -> String {
        self.parts.join(event_type)
    }
}

fn push(parts: &mut [String], text: &str) {
    if let Some(last) = parts.last_mut() {
        last.push_str(text);
    }
}

/// Whether a foreign server may choose a part of a channel name by this event type: only the unreserved characters of URIs (RFC 3986,
/// 2.3) and the slash. The characters that mean something in channel names (`:` ends a namespace, `#` and `,` name users, `$` makes
/// private) are not among them, so that no feed can reach into another namespace or a user's own channel.
pub(super) fn is_harmless(event_type: &str) -> bool {
    !event_type.is_empty() && event_type.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/'))
}

/// Finds the channel of each event of one feed, and remembers.
#[derive(Debug)]
pub struct Channels {
    template: ChannelTemplate,
    rules: Arc<ChannelRules>,
    /// `None`: there is no such channel.
    known: HashMap<String, Option<ChannelName>>,
}

impl Channels {
    pub fn new(template: ChannelTemplate, rules: Arc<ChannelRules>) -> Self {
        Self { template, rules, known: HashMap::new() }
    }

    /// `None` where the event's type does not lead to a channel that a client could name: such events are dropped and counted.
    pub fn find(&mut self, event_type: &str) -> Option<ChannelName> {
        let key = if self.template.depends_on_event() { event_type } else { "" };
        if let Some(known) = self.known.get(key) {
            return known.clone();
        }
        let channel = self.resolve(key);
        if self.known.len() >= CHANNELS_REMEMBERED {
            self.known.clear();
        }
        self.known.insert(key.to_string(), channel.clone());
        channel
    }

    fn resolve(&self, event_type: &str) -> Option<ChannelName> {
        if self.template.depends_on_event() && !is_harmless(event_type) {
            return None;
        }
        let name = self.template.fill(event_type);
        self.rules.options_for_client(&name).ok().map(|_| ChannelName::new(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{ChannelOptions, NameSyntax, Namespace};
    use proptest::prelude::*;

    fn event(event_type: &str, id: &str, data: &str) -> StreamEvent {
        StreamEvent { event_type: event_type.to_string(), data: data.to_string(), last_event_id: Arc::from(id) }
    }

    fn channels(template: &str) -> Channels {
        let namespaces = vec![Namespace { name: "ticks".to_string(), options: ChannelOptions::default() }];
        let rules = ChannelRules::new(NameSyntax::default(), ChannelOptions::default(), namespaces).unwrap();
        Channels::new(ChannelTemplate::parse(template, "host").unwrap(), Arc::new(rules))
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
        let find = |template: &str, event_type: &str| channels(template).find(event_type).map(|name| name.to_string());
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
            assert_eq!(channels("ticks:{event}").find(hostile), None, "{hostile:?}");
            assert_eq!(channels("{event}").find(hostile), None, "{hostile:?}");
        }
        assert_eq!(channels("ticks:{event}").find(&"x".repeat(250)), None, "longer than a channel name may be");
    }

    #[test]
    fn the_memory_for_event_types_is_bounded() {
        let mut channels = channels("ticks:{event}");
        for n in 0..10_000 {
            assert!(channels.find(&n.to_string()).is_some());
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
