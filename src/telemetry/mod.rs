//! What happened. One struct an event, which knows its log line and its counters; hot loops count locally and emit once a batch.
//!
//! All metrics live in the default registry of the `prometheus` crate. Labels come from closed sets, never from a channel, a user or a URL.

/// Something that happened: written to the log and counted, in one place.
pub trait Event {
    fn emit(self);
}

/// Says that something happened.
pub fn emit(event: impl Event) {
    event.emit();
}
