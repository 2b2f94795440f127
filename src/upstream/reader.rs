//! Reads an open stream, a portion at a time, and hands every event on before it takes the next.
//!
//! Back-pressure: while the broker has not answered, nothing is read, so TCP holds the feed back and memory holds one portion.

use super::answer::ending_of;
use super::feed::Tenure;
use super::machine::{Ending, Pace, Reason};
use super::publication::{Channels, publish_of};
use crate::broker::{Answer, Publisher};
use crate::channel::ChannelName;
use crate::protocol::codes::ClientError;
use crate::protocol::event_stream::{EventStreamParser, StreamEvent};
use bytes::Bytes;
use reqwest::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Events handled until the other feeds of the same thread get their turn.
const EVENTS_PER_TURN: u32 = 64;

/// Pauses between two attempts to publish the same event: the first, doubling up to the longest.
const PUBLISH_PAUSE_INITIAL: Duration = Duration::from_millis(50);
const PUBLISH_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Bytes of a foreign event type, or of what is wrong with a payload, that are repeated in the log.
const SHOWN_BYTES_MAX: usize = 200;

pub struct Reader {
    body: Response,
    parser: EventStreamParser,
    channels: Channels,
    publisher: Publisher,
    tenure: Tenure,
    has_delivered: bool,
}

/// What one portion held.
#[derive(Debug, Default)]
pub struct Tally {
    pub bytes: u64,
    pub events: u64,
    pub dropped: u64,
    /// Why the first one was dropped, for the log.
    pub dropped_because: Option<String>,
    /// The reconnection time that the stream has asked for, if any.
    pub retry: Option<Duration>,
}

#[derive(Debug)]
pub enum Turn {
    /// A portion came and is dealt with.
    Read,
    /// No byte for as long as the caller was willing to wait.
    Quiet,
    Ended(Ending),
}

impl Reader {
    pub fn new(body: Response, tenure: Tenure, publisher: Publisher) -> Self {
        let settings = &tenure.feed().settings;
        let parser = EventStreamParser::new(settings.limits.stream, tenure.feed().ledger().last_event_id);
        let channels = Channels::new(settings.channel.clone(), Arc::clone(&publisher.rules));
        Self { body, parser, channels, publisher, tenure, has_delivered: false }
    }

    /// Waits for the next portion and deals with it. Gives itself back, so that its owner holds it between the turns.
    pub async fn turn(mut self, patience: Duration) -> (Turn, Tally, Self) {
        let mut tally = Tally::default();
        let turn = match timeout(patience, self.body.chunk()).await {
            Err(_) => Turn::Quiet,
            Ok(Err(error)) => Turn::Ended(ending_of(&error)),
            Ok(Ok(None)) => Turn::Ended(self.clean_end()),
            Ok(Ok(Some(portion))) => match self.read(portion, &mut tally).await {
                Ok(()) => Turn::Read,
                Err(ending) => Turn::Ended(ending),
            },
        };
        tally.retry = self.parser.retry();
        (turn, tally, self)
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
                Ok(Some(event)) => self.on_event(event, tally).await?,
                Err(error) => return Err(Ending::new(Reason::Limit, Pace::Retry, error.to_string())),
            }
            until_yield -= 1;
            if until_yield == 0 {
                until_yield = EVENTS_PER_TURN;
                tokio::task::yield_now().await;
            }
        }
        // A block without data may have moved the id as well.
        self.save(self.parser.last_event_id());
        Ok(())
    }

    async fn on_event(&mut self, event: StreamEvent, tally: &mut Tally) -> Result<(), Ending> {
        tally.events += 1;
        let id = Arc::clone(&event.last_event_id);
        match self.channels.find(event.event_type_or_message()) {
            Some(channel) => self.hand_on(channel, event, tally).await?,
            None => tally.drop_event(&format!("type {:?} leads to no channel", shown(&event.event_type))),
        }
        self.has_delivered = true;
        // After the event was handed on, never before: a crash between the two repeats an event, the other order would lose it.
        self.save(&id);
        Ok(())
    }

    /// Publishes, again and again while the broker cannot, for as long as the feed's settings allow.
    async fn hand_on(&self, channel: ChannelName, event: StreamEvent, tally: &mut Tally) -> Result<(), Ending> {
        let settings = &self.tenure.feed().settings;
        let mut publish = publish_of(event, settings.format);
        let admitted = match self.publisher.rules.options(&channel) {
            Ok(options) => self.publisher.admit(&channel, options, publish.data).map(|data| (Arc::clone(options), data)),
            Err(error) => {
                tally.drop_event(&error.to_string());
                return Ok(());
            }
        };
        let options = match admitted {
            Ok((options, data)) => {
                publish.data = data;
                options
            }
            // Once more would be no better: the feed brings what the namespace does not take.
            Err(error) => {
                tally.drop_event(shown(&error.refusal().message()));
                return Ok(());
            }
        };
        let deadline = Instant::now() + settings.limits.publish_timeout;
        let mut pause = PUBLISH_PAUSE_INITIAL;
        let mut waiting = None;
        loop {
            let answer = self.publisher.publish_admitted(&channel, &options, publish.clone());
            if matches!(answer, Answer::Later(_)) {
                waiting.get_or_insert_with(|| Waiting::begin(&self.tenure));
            }
            let detail = match timeout_at(deadline, answer).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "broker does not answer".to_string(),
            };
            if Instant::now() + pause >= deadline {
                return Err(Ending::new(Reason::Broker, Pace::Retry, detail));
            }
            waiting.get_or_insert_with(|| Waiting::begin(&self.tenure));
            sleep(pause).await;
            pause = (pause * 2).min(PUBLISH_PAUSE_MAX);
        }
    }

    fn save(&self, id: &Arc<str>) {
        self.tenure.write(|ledger| ledger.last_event_id = Arc::clone(id));
    }
}

/// Says in the ledger that this feed waits for the broker, until it is dropped.
struct Waiting<'a>(&'a Tenure);

impl<'a> Waiting<'a> {
    fn begin(tenure: &'a Tenure) -> Self {
        tenure.write(|ledger| ledger.waits_for_broker = true);
        Self(tenure)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.write(|ledger| ledger.waits_for_broker = false);
    }
}

impl Tally {
    fn drop_event(&mut self, why: &str) {
        self.dropped += 1;
        if self.dropped_because.is_none() {
            self.dropped_because = Some(why.to_string());
        }
    }
}

fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)]
}
