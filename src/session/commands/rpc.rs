//! `rpc`: a client calls a procedure.

use super::{Session, Step};
use crate::broker::Answer;
use crate::hooks::{Heard, Question, told};
use crate::protocol::centrifuge::Reply;
use crate::protocol::centrifuge::command::RpcRequest;
use crate::protocol::codes::ErrorCode;
use crate::session::Phase;
use crate::session::procedures::{CallError, Caller, OWN_METHODS};
use crate::telemetry::latency::Path;
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
        if !request.method.starts_with(OWN_METHODS)
            && let Some(backend) = self.hooks().and_then(|hooks| hooks.rpc(&request.method))
        {
            let question = Question { method: Some(&request.method), ..self.question() };
            return match backend.ask(question, &request.data, self.asker()) {
                Answer::Ready(outcome) => {
                    self.took(Path::Rpc, self.turn_since.elapsed());
                    self.heard(id, told(outcome))
                }
                Answer::Later(future) => self.call(ctx, future, move |session, outcome| session.heard(id, told(outcome))),
            };
        }
        let caller = Caller::of(&identity.facts);
        match self.worker.procedures.call(caller, request.method.clone(), request.data.clone()) {
            Answer::Ready(result) => {
                self.took(Path::Rpc, self.turn_since.elapsed());
                self.called(id, result)
            }
            Answer::Later(future) => {
                let timeout = Duration::from_millis(settings.call_timeout_ms);
                let late = |_| Err(CallError::new(ErrorCode::INTERNAL, "the procedure did not answer in time"));
                let answer = async move { tokio::time::timeout(timeout, future).await.unwrap_or_else(late) };
                self.call(ctx, answer, move |session, result| session.called(id, result))
            }
        }
    }

    /// Answers when the answer is there, and the client still is.
    fn call<T: 'static>(
        &mut self,
        ctx: &mut Context<Self>,
        answer: impl Future<Output = T> + 'static,
        then: impl FnOnce(&mut Self, T) -> Step + 'static,
    ) -> Step {
        self.calls += 1;
        let since = self.turn_since;
        ctx.spawn(answer.into_actor(self).map(move |result, session, _| {
            session.calls -= 1;
            if matches!(session.phase, Phase::Connected(_)) {
                session.took(Path::Rpc, since.elapsed());
                then(session, result);
                session.flush_replies();
                session.leave();
            }
        }));
        Step::Done
    }

    /// What the application says.
    fn heard(&mut self, id: u32, heard: Heard<Bytes>) -> Step {
        match heard {
            Ok(data) => self.called(id, Ok(data)),
            Err(refused) => self.refuse_as(id, COMMAND, &refused),
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
