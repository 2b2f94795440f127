//! `presence` and `presence_stats`: who is subscribed to a channel.

use super::{Session, Step};
use crate::auth::may_see_presence;
use crate::channel::ChannelName;
use crate::protocol::centrifuge::Reply;
use crate::protocol::codes::{ClientError, Disconnect, ErrorCode};
use actix::Context;

impl Session {
    pub(super) fn presence(&mut self, id: u32, channel: &str, ctx: &mut Context<Self>) -> Step {
        if let Some(step) = self.presence_refused(id, "presence", channel) {
            return step;
        }
        let answer = self.worker.publisher.broker.presence(&ChannelName::new(channel));
        self.with_answer(answer, ctx, move |session, result, _| match result {
            Ok(clients) => {
                session.reply(&Reply::Presence { id, clients: &clients });
                Step::Done
            }
            Err(error) => session.refuse(id, "presence", error.code()),
        })
    }

    pub(super) fn presence_stats(&mut self, id: u32, channel: &str, ctx: &mut Context<Self>) -> Step {
        if let Some(step) = self.presence_refused(id, "presence_stats", channel) {
            return step;
        }
        let answer = self.worker.publisher.broker.presence_stats(&ChannelName::new(channel));
        self.with_answer(answer, ctx, move |session, result, _| match result {
            Ok(stats) => {
                session.reply(&Reply::PresenceStats { id, clients: stats.clients as u32, users: stats.users as u32 });
                Step::Done
            }
            Err(error) => session.refuse(id, "presence_stats", error.code()),
        })
    }

    fn presence_refused(&mut self, id: u32, command: &'static str, channel: &str) -> Option<Step> {
        if channel.is_empty() {
            return Some(self.drop_client(Disconnect::BAD_REQUEST));
        }
        let error = match self.options(channel) {
            Err(error) => error,
            Ok(options) if !options.presence => ErrorCode::NOT_AVAILABLE,
            Ok(options) if !may_see_presence(&options, self.client(channel), self.is_subscribed(channel)) => ErrorCode::PERMISSION_DENIED,
            Ok(_) => return None,
        };
        Some(self.refuse(id, command, error))
    }
}
