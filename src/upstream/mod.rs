//! Reads live feeds (event streams over HTTP) and publishes their events: one connection a feed, however many subscribers.
//!
//! `app` makes an [`Upstream`] of the configuration, starts an [`UpstreamPool`] of it on an arbiter of its own, and watches it. The pool
//! starts a connection actor for each feed that is to run: always (unless `audience` says that nobody would ever see what it brings), or while `demand` says that somebody listens. What a connection does is
//! decided by pure parts: `machine` (states), `backoff` (waits), `answer` (what an HTTP answer means), `publication` (which channel, which
//! payload), `sieve` (what is a repetition), `gap` (what is missing); when it is replaced by `health` from `figures`; whether it may connect by
//! `gate` and `breaker`. `fetch` and `reader` do the I/O, `outlet` hands events on, `positions` keeps in the store where each feed stands.
//!
//! The promise is *at least once, and once wherever that can be known*: an id counts as read only after the broker has taken its event, and every
//! connection resumes there, after a failure of the feed, of a connection actor, of the pool, or of the process. What a feed cannot repeat is
//! lost while it is away; subscribers are told.
//!
//! Operators act through [`Upstream`] (`add`, `remove`, `report`) and through messages to the pool ([`Pause`], [`Reconnect`],
//! [`RotateFeed`]); who may is decided elsewhere.

mod answer;
mod audience;
mod backoff;
mod breaker;
mod chronicle;
mod connection;
mod demand;
pub mod doctor;
mod emergency;
mod events;
mod feed;
mod fetch;
mod figures;
mod gap;
mod gate;
mod health;
mod machine;
mod outlet;
mod pool;
mod positions;
mod publication;
mod reader;
mod reports;
mod roster;
mod settings;
mod sieve;

pub use backoff::Backoff;
pub use breaker::{Breaker, BreakerSettings, Leave};
pub use demand::{FeedTemplate, url_parameters};
pub use emergency::{EmergencySettings, Incident, Kind as EmergencyKind, Measure, Phase};
pub use feed::{MOVES_KEPT, Move};
pub use gap::GAP_EVENT;
pub use gate::{GateSettings, Places};
pub use health::{Cause, DegradedSettings, HealthSettings};
pub use machine::{Reason, State};
#[cfg(any(test, feature = "test-hooks"))]
pub use pool::Panic;
pub use pool::{Declare, FeedReport, Observe, Pause, Ping, PoolReport, Reconnect, RotateFeed, Stop, UpstreamPool};
pub use publication::{ChannelTemplate, Format, Mapping, TemplateError};
pub use reports::{Day, Week, day_document, week_document, week_parts};
pub use roster::{Emergency, FeedOutline, Origin, Plan, RosterError, Upstream, UpstreamError, Workshop};
pub use settings::{FeedError, FeedLimits, FeedSettings, PoolSettings};
