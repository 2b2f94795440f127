//! What the feeds need of the rest of the house: who listens to what, and how a feed is made of a definition that came later than the
//! configuration.

use super::settings;
use crate::channel::ChannelName;
use crate::clock::Clock;
use crate::config::{Config, FeedConfig, feed_problems};
use crate::topic::registry::{Demand, Topics};
use crate::upstream::{Plan, Upstream, Workshop};
use std::path::Path;
use std::sync::Arc;

/// Tells the feeds which channels somebody listens to.
pub struct Listeners {
    pub upstream: Upstream,
    pub clock: Clock,
}

impl Demand for Listeners {
    fn wanted(&self, channel: &ChannelName) {
        self.upstream.wanted(channel);
    }
    fn unwanted(&self, channel: &ChannelName) {
        self.upstream.unwanted(channel, self.clock.now());
    }
}

/// Makes feeds of definitions, by the rules of the configuration that the hub was started with.
pub struct FeedWorkshop {
    config: Config,
    topics: Arc<Topics>,
}

impl FeedWorkshop {
    pub fn new(config: &Config, topics: Arc<Topics>) -> Self {
        let mut config = config.clone();
        config.upstream.feeds.clear();
        Self { config, topics }
    }
}

impl Workshop for FeedWorkshop {
    fn make(&self, feed: &FeedConfig) -> Result<Plan, Vec<String>> {
        let mut problems = feed_problems(&self.config, feed);
        let mut feed = feed.clone();
        let folder = &self.config.upstream.credentials_dir;
        for file in feed.header_files.values_mut() {
            if folder.is_empty() {
                problems.push("header_files: upstream.credentials_dir names no folder for them".to_string());
            } else if file.starts_with('.') || file.contains(['/', '\\', '\0']) {
                problems.push(format!("header_files: {file:?} must be the name of a file in upstream.credentials_dir"));
            } else {
                *file = Path::new(folder).join(&*file).to_string_lossy().into_owned();
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        settings::plan(&self.config, &feed).map_err(|error| vec![error.to_string()])
    }

    fn announce(&self) {
        self.topics.announce_demand();
    }
}
