//! `history`: a client reads a channel's stream, page by page.

use super::{Session, Step};
use crate::auth::may_read_history;
use crate::broker::HistoryFilter;
use crate::channel::{ChannelName, Epoch, StreamPosition};
use crate::protocol::centrifuge::command::HistoryRequest;
use crate::protocol::centrifuge::{HistoryResult, Reply};
use crate::protocol::codes::{ClientError, Disconnect, ErrorCode};
use actix::Context;

const COMMAND: &str = "history";

impl Session {
    pub(super) fn history(&mut self, id: u32, request: &HistoryRequest, ctx: &mut Context<Self>) -> Step {
        if request.channel.is_empty() {
            return self.drop_client(Disconnect::BAD_REQUEST);
        }
        let options = match self.options(&request.channel) {
            Ok(options) => options,
            Err(error) => return self.refuse(id, COMMAND, error),
        };
        if !options.has_history() {
            return self.refuse(id, COMMAND, ErrorCode::NOT_AVAILABLE);
        }
        if !may_read_history(&options, self.client(&request.channel), self.is_subscribed(&request.channel)) {
            return self.refuse(id, COMMAND, ErrorCode::PERMISSION_DENIED);
        }
        if request.reverse && request.since.as_ref().is_some_and(|since| since.offset == 0) {
            return self.refuse(id, COMMAND, ErrorCode::BAD_REQUEST);
        }
        let limit = self.worker.settings.history_limit;
        let filter = HistoryFilter {
            limit: Some(usize::try_from(request.limit).map_or(limit, |asked| asked.min(limit))),
            since: request.since.as_ref().map(|since| StreamPosition { offset: since.offset, epoch: Epoch::new(&since.epoch) }),
            reverse: request.reverse,
        };
        let answer = self.worker.publisher.broker.history(&ChannelName::new(&request.channel), &options, filter);
        self.with_answer(answer, ctx, move |session, result, _| match result {
            Ok(history) => {
                let result = HistoryResult { publications: history.publications, position: history.position };
                session.reply(&Reply::History { id, result: &result });
                Step::Done
            }
            Err(error) => session.refuse(id, COMMAND, error.code()),
        })
    }
}
