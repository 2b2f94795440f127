//! `rpc`: a client calls a procedure.

use super::{Session, Step};
use crate::broker::Answer;
use crate::protocol::centrifuge::Reply;
use crate::protocol::centrifuge::command::RpcRequest;
use crate::protocol::codes::ErrorCode;
use crate::session::Phase;
use crate::session::procedures::{CallError, Caller};
use actix::prelude::*;
use bytes::Bytes;
use std::time::Duration;

const COMMAND: &str = "rpc";

impl Session {
    /// Unlike other commands, a call holds nothing back: its answer comes when it is there, and those behind it may come first.
    pub(super) fn rpc(&mut self, id: u32, request: &RpcRequest, ctx: &mut Context<Self>) -> Step {
        let Some(identity) = self.identity() else { return Step::Done };
        let settings = &self.worker.settings;
        if usize::from(self.calls) >= settings.call_limit {
            return self.refuse(id, COMMAND, ErrorCode::TOO_MANY_REQUESTS);
        }
        let caller = Caller::of(&identity.facts);
        match self.worker.procedures.call(caller, request.method.clone(), request.data.clone()) {
            Answer::Ready(result) => self.called(id, result),
            Answer::Later(future) => {
                self.calls += 1;
                let answer = tokio::time::timeout(Duration::from_millis(settings.call_timeout_ms), future);
                ctx.spawn(answer.into_actor(self).map(move |result, session, _| {
                    session.calls -= 1;
                    if matches!(session.phase, Phase::Connected(_)) {
                        let late = |_| Err(CallError::new(ErrorCode::INTERNAL, "the procedure did not answer in time"));
                        session.called(id, result.unwrap_or_else(late));
                        session.flush_replies();
                    }
                }));
                Step::Done
            }
        }
    }

    fn called(&mut self, id: u32, result: Result<Bytes, CallError>) -> Step {
        match result {
            Ok(data) => {
                self.reply(&Reply::Rpc { id, data: &data });
                Step::Done
            }
            Err(error) => self.refuse_with(id, COMMAND, error.code, error.message()),
        }
    }
}
