//! Channels: how their names are read, and what each namespace allows.

use super::ChannelProxyConfig;
use crate::channel::{ChannelOptions, ChannelRules, HistoryDurability, NameSyntax, Namespace};
use crate::units::HumanDuration;
use serde::{Deserialize, Serialize};

/// Names of channels and the options of their namespaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelConfig {
    /// The longest channel name that a client may use, bytes.
    pub max_length: usize,
    /// A channel whose name begins with it can only be subscribed to with a token. Empty: there are no such channels.
    pub private_prefix: String,
    /// Ends the namespace in a channel name. Empty: no channel has a namespace.
    pub namespace_boundary: String,
    /// Begins the list of users in a channel name. Empty: no channel names its users.
    pub user_boundary: String,
    /// Separates the users in a channel name. Empty: a channel names one user.
    pub user_separator: String,
    /// Time without use until offset and epoch of a channel are forgotten, where the namespace does not say otherwise.
    pub history_meta_ttl: HumanDuration,
    /// Backends that decide about channels.
    pub proxy: ChannelProxyConfig,
    /// Options of channels whose name has no namespace.
    pub without_namespace: ChannelOptions,
    /// Options of the channels of each namespace.
    pub namespaces: Vec<Namespace>,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        let NameSyntax { max_length, private_prefix, namespace_boundary, user_boundary, user_separator } = NameSyntax::default();
        Self {
            max_length,
            private_prefix,
            namespace_boundary,
            user_boundary,
            user_separator,
            history_meta_ttl: HumanDuration::from_secs(720 * 3_600),
            proxy: ChannelProxyConfig::default(),
            without_namespace: ChannelOptions::default(),
            namespaces: Vec::new(),
        }
    }
}

impl ChannelConfig {
    /// Whether a namespace keeps its history in the store.
    pub fn keeps_history_in_store(&self) -> bool {
        let all = self.namespaces.iter().map(|namespace| &namespace.options).chain([&self.without_namespace]);
        all.into_iter().any(|options| options.has_history() && options.history_durability != HistoryDurability::Memory)
    }

    /// What channel names allow. Fails on a `channel_regex` that does not compile, which a validated configuration does not have.
    pub fn rules(&self) -> Result<ChannelRules, regex::Error> {
        let syntax = NameSyntax {
            max_length: self.max_length,
            private_prefix: self.private_prefix.clone(),
            namespace_boundary: self.namespace_boundary.clone(),
            user_boundary: self.user_boundary.clone(),
            user_separator: self.user_separator.clone(),
        };
        ChannelRules::new(syntax, self.without_namespace.clone(), self.namespaces.clone())
    }
}
