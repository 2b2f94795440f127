//! One subscriber: an EventSource connection from the accepted request to the closed socket.
//!
//! Born when the HTTP edge has begun the answer; ends when the client is gone, is cut for being slow, or its answer is over. Watched from outside by the
//! reaper. It holds what the connection holds, so that its end, whatever brings it, gives all of it back: its seat in the crowd first, then it is
//! said that it has left. Updates do not visit it: the crowd writes them to its outbox.

use super::crowd::{Crowd, Newcomer, Place};
use super::listening::Listening;
use super::presences::Announced;
use crate::guard::reaper::Cut;
use crate::outbox::{Notice, Outbox};
use crate::protocol::mercure::Presence;
use crate::telemetry::emit;
use crate::telemetry::mercure::{SubscriberClosed, SubscriberOpened};
use actix::prelude::*;
use std::future::Future;
use std::rc::Rc;

pub struct Subscriber {
    outbox: Rc<Outbox>,
    /// Left first: whoever is told that it has gone must not find it any more.
    _place: Place,
    _announced: Vec<Announced>,
    _listening: Vec<Listening>,
    was_slow: bool,
}

/// Starts the subscriber of a connection on the calling worker. `gone`: ready when the other end is gone.
pub fn start(crowd: &Rc<Crowd>, newcomer: Newcomer, presences: Vec<Presence>, listening: Vec<Listening>, gone: impl Future<Output = ()> + 'static) {
    let outbox = Rc::clone(&newcomer.outbox);
    Subscriber::create(|ctx| {
        outbox.report_to(ctx.address().downgrade().recipient());
        ctx.spawn(actix::fut::wrap_future::<_, Subscriber>(gone).map(|(), _, ctx| ctx.stop()));
        let place = crowd.sit(newcomer);
        let announced = presences.into_iter().map(|presence| Announced::new(&crowd.hub, presence)).collect();
        Subscriber { outbox, _place: place, _announced: announced, _listening: listening, was_slow: false }
    });
}

impl Actor for Subscriber {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        emit(SubscriberOpened);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.outbox.abort();
        let was_slow = self.was_slow || self.outbox.watch().cut() == Some(Cut::Stuck);
        emit(SubscriberClosed { was_slow });
    }
}

// === Notice ===
impl Handler<Notice> for Subscriber {
    type Result = ();

    fn handle(&mut self, notice: Notice, ctx: &mut Self::Context) {
        match notice {
            Notice::Disconnect(_) => {
                self.was_slow = true;
                ctx.stop();
            }
            Notice::Gone => ctx.stop(),
            Notice::InsufficientState(_) | Notice::ChannelLive => {}
        }
    }
}
