//! How subscriptions are described: in events when somebody comes or goes, and in the subscription API.

use super::{Generation, HUB_PATH, MatchKind, SelectorText, escaped};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use std::sync::Arc;

/// One subscription: one selector of one connection.
#[derive(Clone, Debug)]
pub struct Presence {
    pub selector: SelectorText,
    /// `urn:uuid:` and a random UUID, one a connection.
    pub subscriber: Arc<str>,
    /// What the token says of its bearer.
    pub payload: Option<Arc<RawValue>>,
}

impl Presence {
    /// The topic of the events about it, which is its address in the API too.
    pub fn topic(&self) -> String {
        let (text, subscriber) = (escaped(&self.selector.text), escaped(&self.subscriber));
        match self.selector.kind {
            MatchKind::Template => format!("{HUB_PATH}/subscriptions/{text}/{subscriber}"),
            kind => format!("{HUB_PATH}/subscriptions/{}/{text}/{subscriber}", kind.as_str()),
        }
    }

    /// The data of an event about it.
    pub fn event(&self, is_active: bool) -> String {
        let is_legacy = self.selector.kind.generation() == Generation::Legacy;
        json(&Document { presence: self, is_active, has_context: is_legacy, last_event_id: None })
    }
}

/// The document of one subscription, as the API gives it.
pub fn single(presence: &Presence, last_event_id: &str) -> String {
    let is_legacy = presence.selector.kind.generation() == Generation::Legacy;
    json(&Document { presence, is_active: true, has_context: is_legacy, last_event_id: is_legacy.then_some(last_event_id) })
}

/// The document of many. `id`: the URL that was asked.
pub fn collection<'a>(generation: Generation, id: &str, last_event_id: &str, presences: impl Iterator<Item = &'a Presence>) -> String {
    #[derive(Serialize)]
    struct Collection<'a> {
        #[serde(rename = "@context", skip_serializing_if = "Option::is_none")]
        context: Option<&'static str>,
        id: &'a str,
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(rename = "lastEventID", skip_serializing_if = "Option::is_none")]
        last_event_id: Option<&'a str>,
        subscriptions: Vec<Document<'a>>,
    }
    let is_legacy = generation == Generation::Legacy;
    json(&Collection {
        context: is_legacy.then_some(CONTEXT),
        id,
        kind: if is_legacy { "Subscriptions" } else { "subscriptions" },
        last_event_id: is_legacy.then_some(last_event_id),
        subscriptions: presences.map(|presence| Document { presence, is_active: true, has_context: false, last_event_id: None }).collect(),
    })
}

const CONTEXT: &str = "https://mercure.rocks/";

struct Document<'a> {
    presence: &'a Presence,
    is_active: bool,
    has_context: bool,
    last_event_id: Option<&'a str>,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Presence { selector, subscriber, payload } = self.presence;
        let mut map = serializer.serialize_map(None)?;
        if self.has_context {
            map.serialize_entry("@context", CONTEXT)?;
        }
        map.serialize_entry("id", &self.presence.topic())?;
        match selector.kind {
            MatchKind::Template => {
                map.serialize_entry("type", "Subscription")?;
                map.serialize_entry("subscriber", subscriber)?;
                map.serialize_entry("topic", &selector.text)?;
            }
            kind => {
                map.serialize_entry("type", "subscription")?;
                map.serialize_entry("subscriber", subscriber)?;
                map.serialize_entry("match", &selector.text)?;
                map.serialize_entry("match_type", kind.as_str())?;
            }
        }
        map.serialize_entry("active", &self.is_active)?;
        if let Some(payload) = payload {
            map.serialize_entry("payload", &**payload)?;
        }
        if let Some(last_event_id) = self.last_event_id {
            map.serialize_entry("lastEventID", last_event_id)?;
        }
        map.end()
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, truth values and JSON are always written")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(kind: MatchKind, payload: bool) -> Presence {
        Presence {
            selector: SelectorText::new(kind, "https://a/{id}"),
            subscriber: Arc::from("urn:uuid:1"),
            payload: payload.then(|| Arc::from(RawValue::from_string(r#"{"user":"x"}"#.to_string()).unwrap())),
        }
    }

    #[test]
    fn events_tell_who_came_or_went() {
        assert_eq!(
            presence(MatchKind::Template, true).event(true),
            r#"{"@context":"https://mercure.rocks/","id":"/.well-known/mercure/subscriptions/https%3A%2F%2Fa%2F%7Bid%7D/urn%3Auuid%3A1","type":"Subscription","subscriber":"urn:uuid:1","topic":"https://a/{id}","active":true,"payload":{"user":"x"}}"#
        );
        assert_eq!(
            presence(MatchKind::UrlPattern, false).event(false),
            r#"{"id":"/.well-known/mercure/subscriptions/urlpattern/https%3A%2F%2Fa%2F%7Bid%7D/urn%3Auuid%3A1","type":"subscription","subscriber":"urn:uuid:1","match":"https://a/{id}","match_type":"urlpattern","active":false}"#
        );
    }

    #[test]
    fn the_api_describes_one_and_many() {
        let legacy = presence(MatchKind::Template, false);
        assert!(single(&legacy, "7").starts_with(r#"{"@context":"#) && single(&legacy, "7").ends_with(r#""active":true,"lastEventID":"7"}"#));
        let modern = presence(MatchKind::Exact, false);
        assert!(!single(&modern, "7").contains("lastEventID") && !single(&modern, "7").contains("@context"));
        let all = collection(Generation::Legacy, "/x", "7", [&legacy].into_iter());
        assert!(
            all.starts_with(r#"{"@context":"https://mercure.rocks/","id":"/x","type":"Subscriptions","lastEventID":"7","subscriptions":[{"id":"#),
            "{all}"
        );
        let all = collection(Generation::Modern, "/x", "7", [&modern].into_iter());
        assert!(all.starts_with(r#"{"id":"/x","type":"subscriptions","subscriptions":[{"id":"#), "{all}");
    }
}
