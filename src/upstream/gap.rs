//! Events that were missed: how it is noticed, and what the subscribers are told. Pure.
//!
//! A feed with ids is asked to go on where it was, and is believed to. A gap is known in three cases: the feed has no ids, so that what it said
//! while no connection was there is gone; its ids are numbers without holes and now have one; or what follows an id cannot be read
//! and was given up.

use super::publication::Format;
use crate::broker::Publish;
use crate::channel::{Payload, Tags};
use serde_json::{Map, Value};
use std::sync::Arc;

/// The event type of a marker, in the publication's tag `event` or in the envelope.
pub const GAP_EVENT: &str = "aether:gap";

/// Ids that follow each other without a hole until a hole means something.
const RUN_MIN: u32 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The feed names no ids, and the connection was gone for a while.
    NoIds,
    /// The feed went on at a later id.
    NotResumed,
    /// What follows the last id is beyond the limits.
    Unreadable,
}

impl Cause {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoIds => "no_ids",
            Self::NotResumed => "not_resumed",
            Self::Unreadable => "unreadable",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub cause: Cause,
    /// The last id before it; empty: none.
    pub after: Arc<str>,
    /// How many events, where that can be told.
    pub missing: Option<u64>,
}

impl Gap {
    /// What subscribers get in place of what is missing.
    pub fn marker(&self, feed: &str, format: Format) -> Publish {
        let mut fields = Map::new();
        fields.insert("feed".to_string(), feed.into());
        fields.insert("cause".to_string(), self.cause.as_str().into());
        if !self.after.is_empty() {
            fields.insert("after".to_string(), Value::from(&*self.after));
        }
        if let Some(missing) = self.missing {
            fields.insert("missing".to_string(), missing.into());
        }
        let gap = Value::from(Map::from_iter([("gap".to_string(), Value::from(fields))])).to_string();
        match format {
            Format::Data => {
                let tags = Tags::from([("event".to_string(), GAP_EVENT.to_string())]);
                Publish { data: Payload::from_json(gap.into()), tags: Some(Arc::new(tags)), ..Publish::default() }
            }
            Format::Envelope => {
                let envelope = Map::from_iter([("event", GAP_EVENT), ("id", ""), ("data", &gap)].map(|(key, value)| (key.to_string(), value.into())));
                Publish { data: Payload::from_json(Value::from(envelope).to_string().into()), ..Publish::default() }
            }
        }
    }
}

/// Watches ids that count up.
#[derive(Debug, Default)]
pub struct Continuity {
    last: Option<u64>,
    /// How many followed each other.
    run: u32,
    is_broken: bool,
}

impl Continuity {
    /// The connection is a new one: from here on a hole means that something was missed.
    pub fn reconnected(&mut self) {
        self.is_broken = true;
    }

    /// How many ids were left out before this one.
    pub fn on(&mut self, id: &str) -> Option<u64> {
        let Ok(number) = id.parse::<u64>() else {
            *self = Self::default();
            return None;
        };
        let was_broken = std::mem::take(&mut self.is_broken);
        let before = self.last.replace(number);
        let left_out = before.and_then(|before| number.checked_sub(before)).and_then(|step| step.checked_sub(1));
        match left_out {
            Some(0) => {
                self.run = self.run.saturating_add(1);
                None
            }
            Some(missing) if was_broken && self.run >= RUN_MIN => Some(missing),
            _ => {
                self.run = 0;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_after_a_reconnect_is_noticed_where_ids_count_up() {
        let run = |upto: u64| {
            let mut ids = Continuity::default();
            assert!((1..=upto).all(|id| ids.on(&id.to_string()).is_none()));
            ids
        };
        let after = |mut ids: Continuity, id: &str| {
            ids.reconnected();
            ids.on(id)
        };
        assert_eq!(after(run(20), "21"), None);
        assert_eq!(after(run(20), "25"), Some(4));
        assert_eq!(after(run(20), "3"), None, "a feed that began anew");
        assert_eq!(after(run(20), "20"), None);
        assert_eq!(after(run(20), "x"), None);
        assert_eq!(after(run(10), "25"), None, "not known to count without holes");
        let mut gappy = run(20);
        assert_eq!((gappy.on("30"), after(gappy, "40")), (None, None), "it leaves ids out by itself");
        let mut again = run(20);
        again.reconnected();
        assert_eq!((again.on("25"), again.on("26")), (Some(4), None));
        again.reconnected();
        assert_eq!(again.on("28"), Some(1), "told each time");
    }

    #[test]
    fn a_marker_is_told_from_data() {
        let gap = Gap { cause: Cause::NotResumed, after: Arc::from("a\"b"), missing: Some(3) };
        let publish = gap.marker("f", Format::Data);
        let value: Value = serde_json::from_slice(&publish.data).unwrap();
        assert_eq!(value, serde_json::json!({ "gap": { "feed": "f", "cause": "not_resumed", "after": "a\"b", "missing": 3 } }));
        assert_eq!(publish.tags.unwrap().get("event").map(String::as_str), Some(GAP_EVENT));
        let gap = Gap { cause: Cause::NoIds, after: Arc::from(""), missing: None };
        let value: Value = serde_json::from_slice(&gap.marker("f", Format::Envelope).data).unwrap();
        assert_eq!(value["event"], GAP_EVENT);
        assert_eq!(value["data"], r#"{"gap":{"cause":"no_ids","feed":"f"}}"#);
    }
}
