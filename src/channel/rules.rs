//! What a channel name allows: which namespace it belongs to, and that namespace's options.

use super::{ChannelName, Payload, UserId};
use crate::units::{ByteSize, HumanDuration};
use regex::Regex;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// How a subscriber that was away catches up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryMode {
    /// Every publication since the client's position.
    #[default]
    Stream,
    /// Only the newest publication.
    Cache,
}

/// How a publication may be told by what has changed since the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeltaType {
    /// The delta format of the Fossil version control system.
    Fossil,
}

/// Bytes of a payload for which deltas are made, where the namespace does not say; and the most that it may say: to compare more takes a worker
/// too long.
const DELTA_BYTES: usize = 64 * 1_024;
pub const DELTA_BYTES_LIMIT: usize = 1_024 * 1_024;

/// What a publication that was answered has survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryDurability {
    /// History is in memory only.
    #[default]
    Memory,
    /// Delivered and answered at once, written to the store behind that. A clean stop keeps everything.
    Accepted,
    /// Written to the store before it is delivered and answered.
    Durable,
}

/// Bytes that a namespace may allow of a payload that has to be read, and levels of objects and arrays in it: the JSON parser goes down 127.
pub const READ_BYTES_LIMIT: usize = 1_024 * 1_024;
pub const READ_DEPTH_LIMIT: u32 = 100;

/// Places that a namespace may list for sanitising.
pub const POINTERS_MAX: usize = 32;

/// What the payloads of a namespace must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicationDataFormat {
    /// Anything but nothing.
    #[default]
    #[serde(rename = "")]
    Any,
    /// One JSON value.
    Json,
    /// One JSON object.
    JsonObject,
    /// Any bytes, none included.
    Binary,
}

impl PublicationDataFormat {
    /// Whether a payload is what the namespace demands.
    pub fn accepts(self, data: &Payload) -> bool {
        match self {
            Self::Any => !data.is_empty(),
            Self::Json => data.is_json() && !data.is_empty(),
            Self::JsonObject => data.is_json() && data.trim_ascii_start().first() == Some(&b'{'),
            Self::Binary => true,
        }
    }
}

/// Options that the channels of one namespace share. Everything is off by default.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelOptions {
    /// Keep who is subscribed, for the presence commands.
    pub presence: bool,
    /// Tell subscribers who comes and goes, where they ask for it.
    pub join_leave: bool,
    /// Tell subscribers who comes and goes, unasked.
    pub force_push_join_leave: bool,
    /// Publications kept per channel. 0: no history.
    pub history_size: u32,
    /// Time after the last publication until the history of a channel is dropped. 0: no history.
    pub history_ttl: HumanDuration,
    /// Time without use until even offset and epoch of a channel are forgotten. 0: `channel.history_meta_ttl`.
    pub history_meta_ttl: HumanDuration,
    /// Where history is kept: `memory`, or in the store too, written behind (`accepted`) or before (`durable`) a publication is answered.
    pub history_durability: HistoryDurability,
    /// Watch the position of every subscriber, unasked: one that missed something is told to subscribe anew.
    pub force_positioning: bool,
    /// Watch the position of subscribers that ask for it.
    pub allow_positioning: bool,
    /// Recover missed publications of every subscriber that comes back, unasked. Needs history.
    pub force_recovery: bool,
    /// Recover missed publications of subscribers that ask for it. Needs history.
    pub allow_recovery: bool,
    /// `stream`: every missed publication; `cache`: only the newest one.
    pub force_recovery_mode: RecoveryMode,
    /// In cache mode, give the newest publication to new subscribers too.
    pub auto_cache_recover: bool,
    /// Clients may subscribe without a subscription token.
    pub allow_subscribe_for_client: bool,
    /// Widens `allow_subscribe_for_client` to anonymous clients.
    pub allow_subscribe_for_anonymous: bool,
    /// A name that ends in `*` is a pattern: who subscribes to it is given the publications of all channels of the namespace that begin so. Without
    /// it the asterisk is a character like any other.
    pub wildcard_subscriptions: bool,
    /// Clients that may subscribe without a subscription token may do so to patterns too.
    pub allow_wildcard_for_client: bool,
    /// Clients may publish.
    pub allow_publish_for_client: bool,
    /// Subscribers of the channel may publish.
    pub allow_publish_for_subscriber: bool,
    /// Widens the two above to anonymous clients.
    pub allow_publish_for_anonymous: bool,
    /// Clients are not given what they published themselves. It is in the history all the same, and in what they recover.
    pub exclude_publisher: bool,
    /// The least time between two publications of a channel that its subscribers are given: of those that come in between, the newest, at its end. Kept
    /// to within 100 ms. 0: all are given. What is published, history and recovery are as ever.
    pub throttle_interval: HumanDuration,
    /// For a client that is behind, only the newest publication of a channel waits, in the place of the one before it.
    pub keep_latest: bool,
    /// Clients may ask who is present.
    pub allow_presence_for_client: bool,
    /// Subscribers of the channel may ask who is present.
    pub allow_presence_for_subscriber: bool,
    /// Widens the two above to anonymous clients.
    pub allow_presence_for_anonymous: bool,
    /// Clients may read the history.
    pub allow_history_for_client: bool,
    /// Subscribers of the channel may read the history.
    pub allow_history_for_subscriber: bool,
    /// Widens the two above to anonymous clients.
    pub allow_history_for_anonymous: bool,
    /// `ns:rest#user1,user2` is open to these users only.
    pub allow_user_limited_channels: bool,
    /// A backend decides who may subscribe without a token.
    pub subscribe_proxy_enabled: bool,
    /// Which of `proxies` it is. Empty or `default`: `channel.proxy.subscribe`.
    pub subscribe_proxy_name: String,
    /// A backend decides what clients may publish.
    pub publish_proxy_enabled: bool,
    /// Which of `proxies` it is. Empty or `default`: `channel.proxy.publish`.
    pub publish_proxy_name: String,
    /// A backend decides whether a subscription goes on when its time is over, in place of a new token from the client.
    pub sub_refresh_proxy_enabled: bool,
    /// Which of `proxies` it is. Empty or `default`: `channel.proxy.sub_refresh`.
    pub sub_refresh_proxy_name: String,
    /// The kinds of deltas that subscribers may ask for: `fossil`. Empty: publications are always sent whole.
    pub allowed_delta_types: Vec<DeltaType>,
    /// Bytes of a payload, and of the one before it, up to which deltas are made. 0: 64KiB. What is larger is sent whole.
    pub delta_max_size: ByteSize,
    /// Subscribers may ask for publications with certain tags only.
    pub allow_tags_filter: bool,
    /// What the part of the name after the namespace must match. Empty: any ASCII.
    pub channel_regex: String,
    /// What payloads must be: empty (anything but nothing), `json`, `json_object` or `binary`.
    pub publication_data_format: PublicationDataFormat,
    /// The JSON Schema that payloads must fit: an object, or the path of a file. Empty: none. Needs payloads that are JSON.
    pub publication_schema: SchemaSource,
    /// Bytes of one payload. 0: no limit but that of the way in; 64KiB where there is a schema or sanitising.
    pub publication_max_size: ByteSize,
    /// Objects and arrays inside of one another in a payload. 0: no limit; 64 where there is a schema or sanitising.
    pub publication_max_depth: u32,
    /// Take out of the texts of a payload whatever is not harmless HTML. Needs payloads that are JSON.
    pub publication_sanitize_html: bool,
    /// Where such texts stand, as JSON pointers; `*` stands for any member or element, and what is below a place is meant too. Empty:
    /// all texts.
    pub publication_sanitize_html_pointers: Vec<String>,
    /// These are the options of a pattern, made of those of its namespace. Not configured.
    #[serde(skip)]
    pub is_pattern: bool,
}

/// What ends the name of a pattern.
const WILDCARD: char = '*';

impl ChannelOptions {
    pub fn has_history(&self) -> bool {
        self.history_size > 0 && self.history_ttl.is_positive()
    }

    /// Bytes of a payload up to which deltas are made.
    pub fn delta_bytes_max(&self) -> usize {
        if self.delta_max_size == ByteSize::default() { DELTA_BYTES } else { self.delta_max_size.bytes() }
    }

    /// What of these options holds for the patterns of the namespace: there is no stream, and nobody publishes into them.
    fn of_patterns(&self) -> Self {
        Self {
            is_pattern: true,
            history_size: 0,
            history_ttl: HumanDuration::default(),
            history_durability: HistoryDurability::Memory,
            force_positioning: false,
            allow_positioning: false,
            force_recovery: false,
            allow_recovery: false,
            auto_cache_recover: false,
            allow_publish_for_client: false,
            allow_publish_for_subscriber: false,
            publish_proxy_enabled: false,
            allowed_delta_types: Vec::new(),
            // The newest of one channel does not stand for the others.
            throttle_interval: HumanDuration::default(),
            keep_latest: false,
            ..self.clone()
        }
    }

    /// Whether payloads have to be read, and not only measured.
    pub fn reads_payloads(&self) -> bool {
        self.publication_sanitize_html || !self.publication_schema.is_empty()
    }
}

/// Where a namespace's JSON Schema is to be found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SchemaSource {
    /// The path of a file, or the schema as JSON text, which begins with a brace. Empty: there is none.
    Text(String),
    Inline(Map<String, Value>),
}

impl SchemaSource {
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }
}

impl Default for SchemaSource {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl<'de> Deserialize<'de> for SchemaSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SourceVisitor;
        impl<'de> Visitor<'de> for SourceVisitor {
            type Value = SchemaSource;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON Schema as a table, or the path of a file with one")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SchemaSource, E> {
                Ok(SchemaSource::Text(text.to_string()))
            }
            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<SchemaSource, A::Error> {
                Map::deserialize(MapAccessDeserializer::new(members)).map(SchemaSource::Inline)
            }
        }
        deserializer.deserialize_any(SourceVisitor)
    }
}

/// A named namespace of the configuration.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// The text before the first `:` of its channels: `^[-a-zA-Z0-9_.]{2,}$`.
    pub name: String,
    #[serde(flatten)]
    pub options: ChannelOptions,
}

/// The characters with a meaning in channel names, and the longest name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameSyntax {
    /// Bytes.
    pub max_length: usize,
    pub private_prefix: String,
    pub namespace_boundary: String,
    pub user_boundary: String,
    pub user_separator: String,
}

impl Default for NameSyntax {
    fn default() -> Self {
        Self {
            max_length: 255,
            private_prefix: "$".to_string(),
            namespace_boundary: ":".to_string(),
            user_boundary: "#".to_string(),
            user_separator: ",".to_string(),
        }
    }
}

/// What the names of the hub's own channels begin with, whatever the configuration makes of such names: operators watch them.
const OWN_PREFIXES: [&str; 2] = ["$admin:", "$metrics:"];

/// Whether a channel is one of the hub's own.
pub fn is_own(channel: &str) -> bool {
    OWN_PREFIXES.iter().any(|prefix| channel.starts_with(prefix))
}

/// The options of the hub's own channels: nothing is kept, and nobody may do anything by them.
static OWN_OPTIONS: LazyLock<Arc<ChannelOptions>> = LazyLock::new(Arc::default);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    #[error("channel {channel} is one of the hub's own")]
    Reserved { channel: ChannelName },
    #[error("channel {channel} belongs to no configured namespace")]
    UnknownNamespace { channel: ChannelName },
    #[error("channel name is longer than {max} bytes")]
    TooLong { max: usize },
    #[error("channel {channel} is not named as its namespace demands")]
    BadName { channel: ChannelName },
    #[error("{channel} is a pattern: nobody publishes into it")]
    Pattern { channel: ChannelName },
}

/// Finds the options of a channel by its name. Built once from the configuration, then only read.
#[derive(Debug)]
pub struct ChannelRules {
    syntax: NameSyntax,
    without_namespace: Compiled,
    namespaces: HashMap<String, Compiled>,
}

#[derive(Debug)]
struct Compiled {
    options: Arc<ChannelOptions>,
    /// Of the names that are patterns, where there are any.
    of_patterns: Option<Arc<ChannelOptions>>,
    regex: Option<Regex>,
}

impl Compiled {
    fn new(options: ChannelOptions) -> Result<Self, regex::Error> {
        let regex = if options.channel_regex.is_empty() { None } else { Some(Regex::new(&options.channel_regex)?) };
        let of_patterns = options.wildcard_subscriptions.then(|| Arc::new(options.of_patterns()));
        Ok(Self { options: Arc::new(options), of_patterns, regex })
    }

    /// The options of the channel with this name.
    fn options_of(&self, channel: &str) -> &Arc<ChannelOptions> {
        self.of_patterns.as_ref().filter(|_| channel.ends_with(WILDCARD)).unwrap_or(&self.options)
    }
}

impl ChannelRules {
    /// Fails on a `channel_regex` that does not compile.
    pub fn new(syntax: NameSyntax, without_namespace: ChannelOptions, namespaces: Vec<Namespace>) -> Result<Self, regex::Error> {
        let namespaces = namespaces.into_iter().map(|namespace| Ok((namespace.name, Compiled::new(namespace.options)?))).collect::<Result<_, _>>()?;
        Ok(Self { syntax, without_namespace: Compiled::new(without_namespace)?, namespaces })
    }

    /// The options of one of the hub's own channels, or of any other: for those who carry publications, and those who have asked for the
    /// right to watch.
    pub fn options_of_any(&self, channel: &str) -> Result<&Arc<ChannelOptions>, ChannelError> {
        if is_own(channel) { Ok(&OWN_OPTIONS) } else { self.options(channel) }
    }

    /// The options of `channel`, without judging its name further: what the server API needs.
    pub fn options(&self, channel: &str) -> Result<&Arc<ChannelOptions>, ChannelError> {
        self.find(channel).map(|(compiled, _)| compiled.options_of(channel))
    }

    /// The options of `channel` for a client that names it: length, namespace and the namespace's own rule, in this order.
    pub fn options_for_client(&self, channel: &str) -> Result<&Arc<ChannelOptions>, ChannelError> {
        if channel.len() > self.syntax.max_length {
            return Err(ChannelError::TooLong { max: self.syntax.max_length });
        }
        let (compiled, rest) = self.find(channel)?;
        let options = compiled.options_of(channel);
        let named_well = match &compiled.regex {
            // A pattern is no name: what it matches is.
            Some(regex) if !options.is_pattern => regex.is_match(rest),
            _ => channel.is_ascii(),
        };
        if named_well { Ok(options) } else { Err(ChannelError::BadName { channel: channel.into() }) }
    }

    /// What the names begin with that `channel` stands for, if it is a pattern.
    pub fn pattern_prefix<'name>(&self, channel: &'name str) -> Option<&'name str> {
        let prefix = channel.strip_suffix(WILDCARD)?;
        self.options(channel).is_ok_and(|options| options.is_pattern).then_some(prefix)
    }

    /// The bytes of the shortest pattern, without its asterisk, that may match `channel`: its namespace, and what makes it private, stand in the pattern
    /// too. `None`: no pattern matches it, because its namespace has none, or because its name says for which users it is.
    pub fn pattern_bytes_min(&self, channel: &str) -> Option<usize> {
        let (compiled, rest) = self.find(channel).ok()?;
        let options = &compiled.options;
        let is_for_users = options.allow_user_limited_channels && self.is_user_limited(channel);
        (options.wildcard_subscriptions && !is_for_users).then(|| channel.len() - rest.len())
    }

    fn find<'name>(&self, channel: &'name str) -> Result<(&Compiled, &'name str), ChannelError> {
        if is_own(channel) {
            return Err(ChannelError::Reserved { channel: channel.into() });
        }
        match self.split(channel) {
            (Some(namespace), rest) => {
                let compiled = self.namespaces.get(namespace).ok_or_else(|| ChannelError::UnknownNamespace { channel: channel.into() })?;
                Ok((compiled, rest))
            }
            (None, name) => Ok((&self.without_namespace, name)),
        }
    }

    /// The namespace of `channel`; empty for channels without one. Whether there is such a namespace is not asked.
    pub fn namespace<'name>(&self, channel: &'name str) -> &'name str {
        self.split(channel).0.unwrap_or("")
    }

    /// The namespace in the name, if there is one, and the rest.
    fn split<'name>(&self, channel: &'name str) -> (Option<&'name str>, &'name str) {
        let name = if self.syntax.private_prefix.is_empty() { channel } else { channel.strip_prefix(&self.syntax.private_prefix).unwrap_or(channel) };
        match name.split_once(self.syntax.namespace_boundary.as_str()) {
            Some((namespace, rest)) if !self.syntax.namespace_boundary.is_empty() => (Some(namespace), rest),
            _ => (None, name),
        }
    }

    /// The namespaces whose history is kept in this way, in alphabetical order; the empty text stands for channels without one.
    pub fn namespaces_of(&self, durability: HistoryDurability) -> Vec<String> {
        let is_kept = |compiled: &Compiled| compiled.options.has_history() && compiled.options.history_durability == durability;
        let named = self.namespaces.iter().filter(|(_, compiled)| is_kept(compiled)).map(|(name, _)| name.clone());
        let mut names: Vec<String> = is_kept(&self.without_namespace).then(String::new).into_iter().chain(named).collect();
        names.sort();
        names
    }

    /// Whether `channel` may only be subscribed to with a token.
    pub fn is_private(&self, channel: &str) -> bool {
        !self.syntax.private_prefix.is_empty() && channel.starts_with(&self.syntax.private_prefix)
    }

    /// Whether `channel` names the users it is for.
    pub fn is_user_limited(&self, channel: &str) -> bool {
        !self.syntax.user_boundary.is_empty() && channel.contains(&self.syntax.user_boundary)
    }

    /// Whether `user` is among the users that a user-limited channel names.
    pub fn names_user(&self, channel: &str, user: &UserId) -> bool {
        match channel.rsplit_once(self.syntax.user_boundary.as_str()) {
            Some((_, users)) if !user.is_anonymous() && !self.syntax.user_boundary.is_empty() => {
                if self.syntax.user_separator.is_empty() {
                    users == user.as_str()
                } else {
                    users.split(self.syntax.user_separator.as_str()).any(|name| name == user.as_str())
                }
            }
            _ => false,
        }
    }

    /// The channel that belongs to `user` alone, in `namespace` (empty: in none).
    pub fn personal_channel(&self, namespace: &str, user: &UserId) -> ChannelName {
        let boundary = if namespace.is_empty() { "" } else { self.syntax.namespace_boundary.as_str() };
        ChannelName::new(&format!("{namespace}{boundary}{}{user}", self.syntax.user_boundary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> ChannelRules {
        let chat = ChannelOptions { presence: true, ..ChannelOptions::default() };
        let ticks = ChannelOptions { channel_regex: "^[a-z]+$".to_string(), ..ChannelOptions::default() };
        let namespaces = vec![Namespace { name: "chat".to_string(), options: chat }, Namespace { name: "ticks".to_string(), options: ticks }];
        ChannelRules::new(NameSyntax::default(), ChannelOptions::default(), namespaces).unwrap()
    }

    #[test]
    fn a_name_finds_its_namespace() {
        let rules = rules();
        assert!(rules.options("chat:1").unwrap().presence);
        assert!(rules.options("$chat:1").unwrap().presence, "the private prefix is not part of the namespace");
        assert!(rules.options("chat:1:2").unwrap().presence, "only the first boundary counts");
        assert!(!rules.options("plain").unwrap().presence);
        assert!(matches!(rules.options("none:1"), Err(ChannelError::UnknownNamespace { .. })));
        assert!(matches!(rules.options(":1"), Err(ChannelError::UnknownNamespace { .. })));
        assert_eq!(["chat:1", "$chat:1:2", "plain", "none:1", ":1"].map(|channel| rules.namespace(channel)), ["chat", "chat", "", "none", ""]);
    }

    #[test]
    fn the_hubs_own_channels_are_out_of_everybodys_reach() {
        let open = ChannelOptions { allow_subscribe_for_client: true, ..ChannelOptions::default() };
        let named_like_them = vec![Namespace { name: "admin".to_string(), options: open.clone() }];
        for prefix in ["$", "", "!"] {
            let syntax = NameSyntax { private_prefix: prefix.to_string(), ..NameSyntax::default() };
            let rules = ChannelRules::new(syntax, open.clone(), named_like_them.clone()).unwrap();
            for name in ["$admin:events", "$admin:", "$admin:trace:1"] {
                assert!(matches!(rules.options(name), Err(ChannelError::Reserved { .. })), "{name}");
                assert!(matches!(rules.options_for_client(name), Err(ChannelError::Reserved { .. })), "{name}");
                assert_eq!(**rules.options_of_any(name).unwrap(), ChannelOptions::default());
            }
            assert!(rules.options("admin:events").unwrap().allow_subscribe_for_client, "that is a namespace like any other");
            assert!(rules.options_of_any("admin:events").unwrap().allow_subscribe_for_client);
        }
    }

    #[test]
    fn a_pattern_stands_for_channels_of_its_own_namespace() {
        let with_patterns = ChannelOptions {
            wildcard_subscriptions: true,
            allow_user_limited_channels: true,
            history_size: 10,
            history_ttl: HumanDuration::from_secs(60),
            force_recovery: true,
            allow_publish_for_client: true,
            channel_regex: "^[a-z]*$".to_string(),
            presence: true,
            ..ChannelOptions::default()
        };
        let namespaces = vec![Namespace { name: "ticks".to_string(), options: with_patterns.clone() }];
        let rules = ChannelRules::new(NameSyntax::default(), with_patterns, namespaces.clone()).unwrap();
        for (name, prefix) in [
            ("ticks:*", Some("ticks:")),
            ("ticks:a*", Some("ticks:a")),
            ("$ticks:*", Some("$ticks:")),
            ("*", Some("")),
            ("$*", Some("$")),
            ("ticks:a", None),
            ("ticks:*a", None),
            ("none:*", None),
            ("$admin:*", None),
        ] {
            assert_eq!(rules.pattern_prefix(name), prefix, "{name}");
        }
        for (name, shortest) in [
            ("ticks:a", Some(6)),
            ("$ticks:a", Some(7)),
            ("ticks:a:b", Some(6)),
            ("plain", Some(0)),
            ("$plain", Some(1)),
            ("ticks:a#alice", None),
            ("none:a", None),
            ("$admin:events", None),
        ] {
            assert_eq!(rules.pattern_bytes_min(name), shortest, "{name}");
        }
        let options = rules.options_for_client("ticks:*").unwrap();
        assert!(options.is_pattern && options.presence && !options.has_history() && !options.force_recovery && !options.allow_publish_for_client);
        assert!(!rules.options("ticks:a").unwrap().is_pattern);
        assert!(matches!(rules.options_for_client("ticks:é*"), Err(ChannelError::BadName { .. })));
        // Where there are none the asterisk is a letter.
        let rules = ChannelRules::new(NameSyntax::default(), ChannelOptions::default(), Vec::new()).unwrap();
        assert_eq!((rules.pattern_prefix("a*"), rules.pattern_bytes_min("abc")), (None, None));
        assert!(!rules.options("a*").unwrap().is_pattern);
    }

    #[test]
    fn a_client_must_name_channels_well() {
        let rules = rules();
        assert!(rules.options_for_client(&"a".repeat(255)).is_ok());
        assert_eq!(rules.options_for_client(&"a".repeat(256)).unwrap_err(), ChannelError::TooLong { max: 255 });
        assert!(rules.options_for_client("ticks:abc").is_ok());
        assert!(matches!(rules.options_for_client("ticks:ABC"), Err(ChannelError::BadName { .. })));
        assert!(matches!(rules.options_for_client("chat:é"), Err(ChannelError::BadName { .. })));
    }

    #[test]
    fn a_namespace_demands_a_form_of_its_payloads() {
        use PublicationDataFormat::{Any, Binary, Json, JsonObject};
        let cases: [(&[u8], [bool; 4]); 5] = [
            (b"", [false, false, false, true]),
            (b"\xff", [true, false, false, true]),
            (b"1", [true, true, false, true]),
            (b" {}", [true, true, true, true]),
            (b"{", [true, false, false, true]),
        ];
        for (bytes, accepted) in cases {
            let payload = Payload::from_bytes(bytes::Bytes::from_static(bytes));
            assert_eq!([Any, Json, JsonObject, Binary].map(|format| format.accepts(&payload)), accepted, "{bytes:?}");
        }
    }

    #[test]
    fn user_limited_channels_name_their_users() {
        let rules = rules();
        let alice = UserId::new("alice");
        assert!(rules.is_user_limited("chat:x#alice,bob"));
        assert!(rules.names_user("chat:x#alice,bob", &alice));
        assert!(!rules.names_user("chat:x#alicia", &alice));
        assert!(!rules.names_user("chat:x#", &UserId::default()), "anonymous is nobody");
        assert_eq!(rules.personal_channel("chat", &alice).as_str(), "chat:#alice");
        assert_eq!(rules.personal_channel("", &alice).as_str(), "#alice");
    }
}
