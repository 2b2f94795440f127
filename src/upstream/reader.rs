//! Reads an open stream, a portion at a time, and hands every event on before it takes the next.
//!
//! Back-pressure: while the broker has not answered, nothing is read, so TCP holds the feed back and memory holds one portion.

use super::answer::ending_of;
use super::gap::Gap;
use super::machine::{Ending, Pace, Reason};
use super::outlet::{Outlet, Tally};
use super::sieve::Side;
use crate::protocol::event_stream::EventStreamParser;
use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::Response;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Events handled until the other feeds of the same thread get their turn.
const EVENTS_PER_TURN: u32 = 64;

/// What a reader's owner holds of it while it reads.
#[derive(Clone)]
pub struct Lane {
    side: Rc<Cell<Side>>,
    is_retired: Rc<Cell<bool>>,
    is_closed: Rc<Cell<bool>>,
    retire: Rc<Notify>,
    patience: Rc<Cell<Duration>>,
}

impl Lane {
    pub fn new(side: Side) -> Self {
        Self { side: Rc::new(Cell::new(side)), is_retired: Rc::default(), is_closed: Rc::default(), retire: Rc::default(), patience: Rc::default() }
    }

    pub fn side(&self) -> Side {
        self.side.get()
    }

    pub fn become_first(&self) {
        self.side.set(Side::First);
    }

    /// Lets the reader come to its end: at once while it waits for bytes, after the event that it is publishing otherwise.
    pub fn retire(&self) {
        self.is_retired.set(true);
        self.retire.notify_one();
    }

    pub fn is_retired(&self) -> bool {
        self.is_retired.get()
    }

    /// How long the next portion may take to come.
    pub fn wait_for(&self, patience: Duration) {
        self.patience.set(patience);
    }

    /// No further turn.
    pub fn close(&self) {
        self.is_closed.set(true);
    }
}

pub struct Reader {
    body: Response,
    parser: EventStreamParser,
    outlet: Rc<Outlet>,
    lane: Lane,
    /// What is to be told before the first event.
    gap: Option<Gap>,
    has_delivered: bool,
}

#[derive(Debug)]
pub enum Turn {
    /// A portion came and is dealt with.
    Read,
    /// No byte for as long as the owner was willing to wait.
    Quiet,
    /// It was told to end.
    Retired,
    Ended(Ending),
}

impl Reader {
    /// `resumed_after`: the id that the request named.
    pub fn new(body: Response, outlet: Rc<Outlet>, lane: Lane, resumed_after: Arc<str>, gap: Option<Gap>) -> Self {
        let parser = EventStreamParser::new(outlet.tenure().feed().settings.limits.stream, resumed_after);
        Self { body, parser, outlet, lane, gap, has_delivered: false }
    }

    /// Turn after turn, until the lane is closed.
    pub fn turns(self) -> impl Stream<Item = (Turn, Tally)> {
        stream::unfold(self, |mut reader| async move {
            if reader.lane.is_closed.get() {
                return None;
            }
            let told = reader.turn().await;
            Some((told, reader))
        })
    }

    /// Waits for the next portion and deals with it.
    async fn turn(&mut self) -> (Turn, Tally) {
        let mut tally = Tally::default();
        if let Some(gap) = self.gap.take() {
            self.outlet.tell_gap(&gap).await;
        }
        let portion = tokio::select! {
            // What has come is read even if there is no time left: a busy machine must not take a live feed for a silent one.
            biased;
            () = self.lane.retire.notified() => None,
            portion = timeout(self.lane.patience.get(), self.body.chunk()) => Some(portion),
        };
        let turn = match portion {
            None => Turn::Retired,
            Some(Err(_)) => Turn::Quiet,
            Some(Ok(Err(error))) => Turn::Ended(ending_of(&error)),
            Some(Ok(Ok(None))) => Turn::Ended(self.clean_end()),
            Some(Ok(Ok(Some(portion)))) => match self.read(portion, &mut tally).await {
                Ok(()) if self.lane.is_retired() => Turn::Retired,
                Ok(()) => Turn::Read,
                Err(ending) => Turn::Ended(ending),
            },
        };
        tally.retry = self.parser.retry();
        (turn, tally)
    }

    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    fn clean_end(&self) -> Ending {
        let pace = if self.has_delivered { Pace::Rotation } else { Pace::Retry };
        Ending::new(Reason::Eof, pace, "ended by the feed")
    }

    async fn read(&mut self, portion: Bytes, tally: &mut Tally) -> Result<(), Ending> {
        tally.bytes = portion.len() as u64;
        let mut rest = &portion[..];
        let mut until_yield = EVENTS_PER_TURN;
        loop {
            match self.parser.next_event(&mut rest) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    let go_on = self.outlet.take(self.lane.side(), event, tally).await?;
                    self.has_delivered = true;
                    if go_on.is_break() || self.lane.is_retired() {
                        // The other connection brings the rest.
                        return Ok(());
                    }
                }
                Err(error) => return Err(Ending::new(Reason::Limit, Pace::Retry, error.to_string())),
            }
            until_yield -= 1;
            if until_yield == 0 {
                until_yield = EVENTS_PER_TURN;
                tokio::task::yield_now().await;
            }
        }
        self.outlet.portion_read(self.lane.side(), self.parser.last_event_id());
        Ok(())
    }
}
