//! What the feeds need of the rest of the house: who listens to what, and how a feed is made of a definition that came later than the
//! configuration.

use super::settings;
use super::state::{Memory, entries};
use crate::channel::{ChannelName, ChannelRules, is_own};
use crate::clock::Clock;
use crate::config::{Config, FeedConfig, feed_problems};
use crate::hooks::{Events, Happened};
use crate::topic::registry::{Demand, Topics};
use crate::upstream::{Plan, Upstream, Workshop};
use std::path::Path;
use std::sync::Arc;

/// Tells the feeds, and the application, which channels somebody listens to.
pub struct Listeners {
    pub upstream: Upstream,
    pub rules: Arc<ChannelRules>,
    pub events: Option<Arc<Events>>,
    pub clock: Clock,
}

impl Demand for Listeners {
    fn wanted(&self, channel: &ChannelName) {
        self.still_wanted(channel);
        self.tell(Happened::Occupied { channel }, channel);
    }
    fn unwanted(&self, channel: &ChannelName) {
        self.upstream.unwanted(channel, self.clock.now());
        self.tell(Happened::Vacated { channel }, channel);
    }
    fn still_wanted(&self, channel: &ChannelName) {
        match self.rules.pattern_prefix(channel) {
            None => self.upstream.wanted(channel),
            Some(prefix) => self.upstream.wanted_by_pattern(channel, prefix),
        }
    }
}

impl Listeners {
    /// The hub's own channels are nobody else's business.
    fn tell(&self, happened: Happened<'_>, channel: &ChannelName) {
        if let Some(events) = &self.events
            && !is_own(channel)
        {
            events.tell(happened);
        }
    }
}

/// Makes feeds of definitions, by the rules of the configuration that the hub was started with.
pub struct FeedWorkshop {
    config: Config,
    topics: Arc<Topics>,
    /// What this process may use; 0: not known.
    descriptors_max: usize,
    memory_max: usize,
}

impl FeedWorkshop {
    pub fn new(config: &Config, topics: Arc<Topics>, descriptors_max: usize) -> Self {
        let mut config = config.clone();
        config.upstream.feeds.clear();
        Self { config, topics, descriptors_max, memory_max: memory_max() }
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

    fn used_percent(&self) -> u8 {
        let memory = percent(Memory::now().resident, self.memory_max);
        memory.max(percent(entries("/proc/self/fd"), self.descriptors_max))
    }

    fn announce(&self) {
        self.topics.announce_demand();
    }
}

fn percent(used: usize, max: usize) -> u8 {
    used.saturating_mul(100).checked_div(max).map_or(0, |percent| u8::try_from(percent).unwrap_or(u8::MAX))
}

/// Bytes that this process may use: what its control group allows (cgroups(7)), or what the machine has. 0: neither tells.
fn memory_max() -> usize {
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    let machine = || {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1_024)
    };
    group.or_else(machine).unwrap_or(0)
}
