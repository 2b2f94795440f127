//! Commands that come beside the connection: from clients whose connection is an endless answer, on which they cannot say anything.
//!
//! Each request brings one frame's commands. They are taken in the order in which the requests reach the session, and a request is answered
//! when its commands have been taken: so a client that asks faster than it can be answered waits, as one does on a WebSocket.

use super::{Phase, Session};
use actix::prelude::*;
use bytes::Bytes;
use tokio::sync::oneshot;

/// Requests that one session holds back. Each is an open connection with a body of at most `emulation.max_request_body_size`.
const HELD_MAX: usize = 64;

/// What became of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Taken,
    /// More requests wait than may.
    TooMany,
}

// === Emulated ===
/// One frame's commands. Nobody answers `done` when the session has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Emulated {
    pub data: Bytes,
    pub done: oneshot::Sender<Outcome>,
}

impl Handler<Emulated> for Session {
    type Result = ();

    fn handle(&mut self, emulated: Emulated, ctx: &mut Self::Context) {
        if !self.is_waiting && self.held.is_empty() {
            self.take_emulated(emulated, ctx);
        } else if self.held.len() < HELD_MAX {
            self.held.push_back(emulated);
        } else {
            let _ = emulated.done.send(Outcome::TooMany);
        }
    }
}

impl Session {
    fn take_emulated(&mut self, Emulated { data, done }: Emulated, ctx: &mut Context<Self>) {
        if !matches!(self.phase, Phase::Closing) {
            self.take_message(&data, ctx);
            self.flush_replies();
            self.expect_inbound();
        }
        // Who asked may be gone; its commands have been carried out all the same.
        let _ = done.send(Outcome::Taken);
    }

    /// Goes on with the requests that were held back.
    pub(super) fn take_held(&mut self, ctx: &mut Context<Self>) {
        while !self.is_waiting
            && let Some(emulated) = self.held.pop_front()
        {
            self.take_emulated(emulated, ctx);
        }
        if self.held.is_empty() {
            self.held = std::collections::VecDeque::new();
        }
    }
}
