//! Reads live feeds (event streams over HTTP) and publishes their events: one connection a feed, however many subscribers.
//!
//! `app` makes an [`Upstream`] of the configuration, starts an [`UpstreamPool`] of it on an arbiter of its own, and watches it. The pool
//! starts a connection actor for each feed. What a connection does is decided by pure parts: `machine` (states), `backoff` (waits),
//! `answer` (what an HTTP answer means), `publication` (which channel, which payload); `fetch` and `reader` do the I/O.
//!
//! The promise is *at least once*: an id counts as read only after the broker has taken its event, and every connection resumes there,
//! after a failure of the feed, of a connection actor, or of the pool. What a feed cannot repeat is lost while it is away.
//!
//! Deliberately not here: dropping of repeated events, several connections to one feed, positions on disk.

mod answer;
mod backoff;
mod connection;
pub mod doctor;
mod events;
mod feed;
mod fetch;
mod machine;
mod pool;
mod publication;
mod reader;
mod settings;

pub use machine::{Reason, State};
#[cfg(any(test, feature = "test-hooks"))]
pub use pool::Panic;
pub use pool::{FeedReport, Observe, Ping, PoolReport, Stop, Upstream, UpstreamError, UpstreamPool};
pub use publication::{ChannelTemplate, Format, TemplateError};
pub use settings::{FeedError, FeedLimits, FeedSettings, PoolSettings};
