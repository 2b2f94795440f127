//! Topics as channels, and back.
//!
//! A topic that begins with a configured namespace is the channel of that name: the topic `ticks:host` is the channel `ticks:host`. Every other
//! topic, a URL for instance, is a channel of the namespace that the configuration sets aside for them, or of none. What has a meaning in
//! channel names that a topic does not mean is percent-encoded, and so is the percent sign; so no two topics share a channel. A channel that is no
//! topic's, because its name is not what encoding gives, cannot be seen through the Mercure protocol: were it taken for the topic that it looks like,
//! whoever may publish there could speak for another channel.
//!
//! Private updates go into the channel of the same name behind the private prefix, which other clients subscribe to with a token only.

use crate::channel::{ChannelName, is_own};
use crate::protocol::mercure::unescaped;
use std::collections::HashSet;
use std::fmt::Write;

/// How topics are written as channels. Built once from the configuration.
#[derive(Debug)]
pub struct TopicNames {
    /// For topics that name no configured one. Empty: none.
    namespace: String,
    namespaces: HashSet<String>,
    boundary: String,
    private_prefix: String,
    user_boundary: String,
}

/// What a channel shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTopic {
    pub topic: String,
    /// Behind the private prefix.
    pub is_private: bool,
}

impl TopicNames {
    pub fn new(namespace: &str, namespaces: impl Iterator<Item = String>, boundary: &str, private_prefix: &str, user_boundary: &str) -> Self {
        Self {
            namespace: namespace.to_string(),
            namespaces: namespaces.filter(|name| name != namespace).collect(),
            boundary: boundary.to_string(),
            private_prefix: private_prefix.to_string(),
            user_boundary: user_boundary.to_string(),
        }
    }

    /// The channel of a topic.
    pub fn channel(&self, topic: &str, is_private: bool) -> ChannelName {
        let mut name = if is_private { self.private_prefix.clone() } else { String::new() };
        if let Some((namespace, _)) = self.split(topic).filter(|(namespace, _)| self.namespaces.contains(*namespace)) {
            name.push_str(namespace);
            push_encoded(&mut name, &topic[namespace.len()..], |_, c| c == '%' || c.is_control());
            return ChannelName::new(&name);
        }
        let has_namespace = !self.namespace.is_empty();
        if has_namespace {
            name.push_str(&self.namespace);
            name.push_str(&self.boundary);
        }
        let is_mark = |rest: &str| {
            (!self.user_boundary.is_empty() && rest.starts_with(&self.user_boundary))
                || (!has_namespace && !self.boundary.is_empty() && rest.starts_with(&self.boundary))
        };
        let begins_as_private = !has_namespace && !self.private_prefix.is_empty() && topic.starts_with(&self.private_prefix);
        push_encoded(&mut name, topic, |at, c| {
            c == '%' || c.is_control() || !c.is_ascii() || is_mark(&topic[at..]) || (at == 0 && begins_as_private)
        });
        ChannelName::new(&name)
    }

    /// The topic of a channel. `None`: it is no topic's.
    pub fn topic(&self, channel: &str) -> Option<ChannelTopic> {
        if is_own(channel) {
            return None;
        }
        let bare = if self.private_prefix.is_empty() { None } else { channel.strip_prefix(&self.private_prefix) };
        let (bare, is_private) = (bare.unwrap_or(channel), bare.is_some());
        let encoded = match self.split(bare) {
            Some((namespace, rest)) if !self.namespace.is_empty() && namespace == self.namespace => rest,
            Some(_) => bare,
            None if self.namespace.is_empty() => bare,
            None => return None,
        };
        // Nobody's channel looks like one of the hub's own, however it is written.
        let topic = unescaped(encoded).filter(|topic| !is_own(topic))?;
        (*self.channel(&topic, is_private) == *channel).then_some(ChannelTopic { topic, is_private })
    }

    fn split<'text>(&self, text: &'text str) -> Option<(&'text str, &'text str)> {
        if self.boundary.is_empty() { None } else { text.split_once(self.boundary.as_str()) }
    }
}

/// Appends `text` with the characters encoded for which `is_hostile` says so, of their place and themselves.
fn push_encoded(out: &mut String, text: &str, is_hostile: impl Fn(usize, char) -> bool) {
    for (at, c) in text.char_indices() {
        if !is_hostile(at, c) {
            out.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            // Writing into memory does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(namespace: &str) -> TopicNames {
        let configured = ["ticks", "news", "mercure"].into_iter().map(str::to_string);
        TopicNames::new(namespace, configured, ":", "$", "#")
    }

    #[test]
    fn a_topic_is_a_channel() {
        let cases = [
            ("ticks:host", "ticks:host", "ticks:host"),
            ("ticks:a#b é", "ticks:a#b é", "ticks:a#b é"),
            ("ticks:50%", "ticks:50%25", "ticks:50%25"),
            ("plain topic", "plain topic", "mercure:plain topic"),
            ("https://example.com/books/1?x=%20#a", "https%3A//example.com/books/1?x=%2520%23a", "mercure:https://example.com/books/1?x=%2520%23a"),
            ("livre/é", "livre/%C3%A9", "mercure:livre/%C3%A9"),
            ("$ticks:x", "%24ticks%3Ax", "mercure:$ticks:x"),
            ("mercure:x", "mercure:x", "mercure:mercure:x"),
            ("", "", "mercure:"),
            ("a\u{1}b", "a%01b", "mercure:a%01b"),
        ];
        for (topic, without, with) in cases {
            assert_eq!(names("").channel(topic, false).as_str(), without, "{topic}");
            assert_eq!(names("mercure").channel(topic, false).as_str(), with, "{topic}");
        }
        assert_eq!(names("").channel("ticks:host", true).as_str(), "$ticks:host");
        assert_eq!(names("mercure").channel("https://a/1", true).as_str(), "$mercure:https://a/1");
    }

    #[test]
    fn channels_that_are_no_topics_are_not_taken_for_some() {
        for channel in [
            "$admin:events",
            "%24metrics%3Aoverview",
            "ticks:50%",
            "ticks:%41",
            "a%3ab",
            "a%3Ab%",
            "livre/é",
            "a#b",
            "none:x",
            "\u{1}probe",
            "%24x%ff",
        ] {
            assert_eq!(names("").topic(channel), None, "{channel}");
        }
        for channel in ["plain", "none:x", "mercure:a#b", "mercure:ticks:x", "$plain", "mercure:$metrics:overview"] {
            assert_eq!(names("mercure").topic(channel), None, "{channel}");
        }
        assert_eq!(names("").topic("$ticks:host"), Some(ChannelTopic { topic: "ticks:host".to_string(), is_private: true }));
    }

    proptest! {
        #[test]
        fn every_topic_has_a_channel_of_its_own(topic in "(ticks|news|mercure|none|\\$|\\$admin)?[:#%$]?.{0,12}", namespace in "|mercure", is_private in any::<bool>()) {
            let names = names(&namespace);
            let channel = names.channel(&topic, is_private);
            let expected = (!is_own(&topic)).then_some(ChannelTopic { topic, is_private });
            prop_assert_eq!(names.topic(&channel), expected, "{}", channel);
        }
    }
}
