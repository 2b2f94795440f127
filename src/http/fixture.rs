//! What tests of this room need of the rooms behind it: a real broker and real topics, with time that stands still.

use crate::broker::{Broker, IDEMPOTENCY_TTL, MemoryBroker, MemoryBrokerSettings, Publisher};
use crate::channel::{ChannelOptions, ChannelRules, NameSyntax, Namespace};
use crate::clock::Clock;
use crate::content::ContentRules;
use crate::topic::TopicSettings;
use crate::topic::registry::Topics;
use crate::units::HumanDuration;
use std::sync::Arc;

pub struct Fixture {
    pub publisher: Publisher,
    pub topics: Arc<Topics>,
    pub clock: Clock,
}

impl Fixture {
    /// Needs a running actix system.
    pub fn new(namespaces: &[(&str, ChannelOptions)]) -> Self {
        let namespaces: Vec<_> = namespaces.iter().map(|(name, options)| Namespace { name: (*name).to_string(), options: options.clone() }).collect();
        let content = Arc::new(ContentRules::new(&ChannelOptions::default(), &namespaces).expect("schemas of tests are schemas"));
        let rules = Arc::new(ChannelRules::new(NameSyntax::default(), ChannelOptions::default(), namespaces).expect("no regex is given"));
        let clock = Clock::manual(1_700_000_000_000);
        let settings = TopicSettings { linger_ms: 1_000, queue_bytes_max: 1 << 20, broker_ms_max: 1_000, patterns_max: 100 };
        let topics = Topics::new(vec![actix::Arbiter::current()], Arc::clone(&rules), settings, &clock);
        let settings = MemoryBrokerSettings {
            history_bytes_max: 1 << 20,
            streams_max: 10_000,
            idempotency_keys_max: 1_000,
            idempotency_ttl: IDEMPOTENCY_TTL,
            history_meta_ttl: HumanDuration::from_secs(3_600),
        };
        let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::new(settings, clock.clone(), Arc::clone(&topics) as _));
        topics.plug_in(Arc::clone(&broker));
        Self { publisher: Publisher { rules, content, broker }, topics, clock }
    }
}

/// Options with a history of ten.
pub fn with_history() -> ChannelOptions {
    ChannelOptions { history_size: 10, history_ttl: HumanDuration::from_secs(60), ..ChannelOptions::default() }
}
