//! The last events and who listens: between the thread that measures and the streams that tell.

use crate::protocol::event_stream::{HEARTBEAT, OutgoingEvent};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Events kept for readers that come back: about a minute of them.
const EVENTS_KEPT: usize = 700;

/// Events that may wait for one reader. One that is further behind is cut; it comes back with its last id.
const WAITING_MAX: usize = 256;

/// How long measuring goes on when the last reader has left, so that one that reconnects finds what it missed.
const LINGER: Duration = Duration::from_secs(30);

/// The reconnection time that readers are told.
const RETRY: Duration = Duration::from_secs(1);

pub struct Tape {
    state: Mutex<State>,
    /// Woken when a reader comes and when the tape is closed.
    changed: Condvar,
}

struct State {
    kept: VecDeque<(u64, Bytes)>,
    listeners: Vec<mpsc::Sender<Bytes>>,
    next_id: u64,
    /// When the last reader left.
    deserted_at: Option<Instant>,
    closed: bool,
}

impl Tape {
    pub fn new() -> Self {
        // Ids begin at the time of day: the next process will go on above them, since it takes far longer than a millisecond per event.
        let next_id = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64);
        let state = State { kept: VecDeque::with_capacity(EVENTS_KEPT), listeners: Vec::new(), next_id, deserted_at: None, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// `since`: the last id that the reader knows. `None`: no more than `max` may listen, or the tape is closed.
    pub fn listen(&self, since: Option<u64>, max: usize) -> Option<Listener> {
        let mut state = self.state.lock();
        state.listeners.retain(|listener| !listener.is_closed());
        if state.closed || state.listeners.len() >= max {
            return None;
        }
        let mut first = Vec::new();
        // Neither a type nor an id: there is nothing in it that could be refused.
        let _ = OutgoingEvent { retry: Some(RETRY), ..OutgoingEvent::default() }.encode(&mut first);
        if let Some(since) = since {
            let missed = state.kept.iter().filter(|(id, _)| *id > since);
            missed.for_each(|(_, bytes)| first.extend_from_slice(bytes));
        }
        let (tx, rx) = mpsc::channel(WAITING_MAX);
        state.listeners.push(tx);
        state.deserted_at = None;
        self.changed.notify_all();
        Some(Listener { first: Some(first.into()), rx })
    }

    pub fn listeners(&self) -> usize {
        self.state.lock().listeners.iter().filter(|listener| !listener.is_closed()).count()
    }

    /// Keeps the event and gives it to everybody. Readers that are gone or too far behind are dropped here.
    pub fn append(&self, event_type: &str, data: &str) {
        let mut state = self.state.lock();
        let id = state.next_id;
        let mut bytes = Vec::with_capacity(data.len() + 64);
        let event = OutgoingEvent { event_type: Some(event_type), id: Some(&id.to_string()), data: Some(data), retry: None };
        if let Err(error) = event.encode(&mut bytes) {
            log::error!("demo feed: {error}");
            return;
        }
        let bytes = Bytes::from(bytes);
        state.next_id += 1;
        if state.kept.len() >= EVENTS_KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back((id, bytes.clone()));
        state.listeners.retain(|listener| listener.try_send(bytes.clone()).is_ok());
        if state.listeners.is_empty() {
            state.deserted_at.get_or_insert_with(Instant::now);
        }
    }

    /// Waits until somebody listens. `None`: the tape is closed. `Some(true)`: there was nobody for a while.
    pub fn await_listeners(&self) -> Option<bool> {
        let mut state = self.state.lock();
        let mut paused = false;
        loop {
            if state.closed {
                return None;
            }
            let lingers = state.deserted_at.is_some_and(|at| at.elapsed() < LINGER);
            if !state.listeners.is_empty() || lingers {
                return Some(paused);
            }
            paused = true;
            self.changed.wait(&mut state);
        }
    }

    /// Waits until `tick`, or until the tape is closed.
    pub fn sleep_until(&self, tick: Instant) {
        let mut state = self.state.lock();
        while !state.closed && !self.changed.wait_until(&mut state, tick).timed_out() {}
    }

    /// Ends every stream, after what is already waiting in it.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.listeners.clear();
        self.changed.notify_all();
    }
}

/// One reader's end.
pub struct Listener {
    first: Option<Bytes>,
    rx: mpsc::Receiver<Bytes>,
}

impl Listener {
    /// The next bytes to write; a heartbeat when there are none for `patience`. `None`: the end.
    pub async fn next(&mut self, patience: Duration) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        match tokio::time::timeout(patience, self.rx.recv()).await {
            Ok(next) => next,
            Err(_) => Some(Bytes::from_static(HEARTBEAT)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(1);

    #[actix_rt::test]
    async fn the_tape_keeps_the_newest_events_only() {
        let tape = Tape::new();
        for _ in 0..EVENTS_KEPT + 5 {
            tape.append("pulse", "1");
        }
        let first = tape.listen(Some(0), 1).unwrap().next(PATIENCE).await.unwrap();
        assert_eq!(first.windows(5).filter(|window| window == b"data:").count(), EVENTS_KEPT);
        let first = tape.listen(None, 1).unwrap().next(PATIENCE).await.unwrap();
        assert_eq!(first, "retry: 1000\n\n", "a new reader gets no past");
    }

    #[actix_rt::test]
    async fn a_reader_that_does_not_read_is_dropped_and_silence_is_filled() {
        let tape = Tape::new();
        let mut slow = tape.listen(None, 1).unwrap();
        assert!(tape.listen(None, 1).is_none(), "no more than allowed");
        for _ in 0..=WAITING_MAX {
            tape.append("pulse", "1");
        }
        assert_eq!(tape.listeners(), 0);
        let mut got = 0;
        while slow.next(PATIENCE).await.is_some() {
            got += 1;
        }
        assert_eq!(got, 1 + WAITING_MAX, "what was waiting still comes, then the end");
        let mut idle = tape.listen(None, 1).unwrap();
        idle.next(PATIENCE).await;
        assert_eq!(idle.next(PATIENCE).await.unwrap(), HEARTBEAT);
        tape.close();
        assert_eq!(idle.next(PATIENCE).await, None);
        assert!(tape.listen(None, 1).is_none());
    }

    #[test]
    fn nobody_is_measured_for() {
        let tape = std::sync::Arc::new(Tape::new());
        let waiting = {
            let tape = std::sync::Arc::clone(&tape);
            std::thread::spawn(move || tape.await_listeners())
        };
        let listener = tape.listen(None, 1);
        assert!(waiting.join().unwrap().is_some(), "a reader wakes the measuring");
        drop(listener);
        tape.append("pulse", "1");
        assert_eq!(tape.await_listeners(), Some(false), "it goes on for a while after the last reader left");
        tape.close();
        assert_eq!(tape.await_listeners(), None);
    }
}
