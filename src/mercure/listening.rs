//! Channels that Mercure subscribers name exactly, as the topics see them: somebody listens there. So feeds on demand run for EventSource clients
//! too, and the server API counts them.
//!
//! The topics are told as by a worker, one that no event is sent to: what is published comes by the log.

use crate::channel::ChannelName;
use crate::topic::registry::{Audience, READER, Topics};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

pub struct Listeners {
    topics: Arc<Topics>,
    channels: Mutex<HashMap<ChannelName, (usize, Audience)>>,
}

impl Listeners {
    pub fn new(topics: &Arc<Topics>) -> Arc<Self> {
        Arc::new(Self { topics: Arc::clone(topics), channels: Mutex::default() })
    }

    /// Somebody listens to the channel, as long as what is returned lives. `None`: there can be no such channel.
    pub fn listen(self: &Arc<Self>, channel: ChannelName) -> Option<Listening> {
        self.topics.rules().options(&channel).ok()?;
        let mut channels = self.channels.lock();
        let (count, audience) = channels.entry(channel.clone()).or_insert_with(|| (0, self.topics.attach(&channel, READER)));
        *count += 1;
        audience.joined();
        Some(Listening { listeners: Arc::clone(self), channel })
    }
}

/// Somebody listens; dropping it says that no more.
pub struct Listening {
    listeners: Arc<Listeners>,
    channel: ChannelName,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let Listeners { topics, channels } = &*self.listeners;
        let mut channels = channels.lock();
        let Some((count, audience)) = channels.get_mut(&self.channel) else { return };
        *count -= 1;
        audience.left();
        if *count == 0 {
            channels.remove(&self.channel);
            topics.detach(&self.channel, READER);
            if channels.is_empty() {
                *channels = HashMap::new();
            }
        }
    }
}
