//! `publish`: a client publishes into a channel.

use super::hooked::Verdict;
use super::{Session, Step};
use crate::auth::may_publish;
use crate::broker::{Exclusion, Publish};
use crate::channel::{ChannelName, ChannelOptions, Payload};
use crate::hooks::{Accepted, Question};
use crate::protocol::centrifuge::command::PublishRequest;
use crate::protocol::centrifuge::{Codec, Reply, Request};
use crate::protocol::codes::{ClientError, Disconnect, ErrorCode};
use crate::topic::fanout::PROBE;
use actix::Context;

const COMMAND: &str = "publish";

impl Session {
    pub(super) fn publish(&mut self, id: u32, request: &PublishRequest, ctx: &mut Context<Self>) -> Step {
        if request.channel.is_empty() {
            return self.drop_client(Disconnect::BAD_REQUEST);
        }
        if self.is_canary() {
            return self.publish_canary(id, request, ctx);
        }
        let options = match self.options(&request.channel) {
            Ok(options) => options,
            Err(error) => return self.refuse(id, COMMAND, error),
        };
        let data = match self.codec() {
            Codec::Json => Payload::from_json(request.data.clone()),
            Codec::Protobuf => Payload::from_bytes(request.data.clone()),
        };
        // The publisher asks this again, with all else; here it is asked for the protocol's order, in which it comes before permissions.
        if !options.publication_data_format.accepts(&data) {
            return self.refuse(id, COMMAND, ErrorCode::BAD_REQUEST);
        }
        let is_asked = options.publish_proxy_enabled;
        if request.kind != 0 || !(is_asked || may_publish(&options, self.client(&request.channel), self.is_subscribed(&request.channel))) {
            return self.refuse(id, COMMAND, ErrorCode::PERMISSION_DENIED);
        }
        let exclude = options.exclude_publisher.then(|| Exclusion::of_client(self.id));
        let mut publish = Publish { data, info: self.info_in(&request.channel), exclude, ..Publish::default() };
        if is_asked {
            publish = match self.verdict.take().as_deref() {
                Some(Verdict::Publish(Ok(accepted))) => as_accepted(publish, accepted.clone()),
                Some(Verdict::Publish(Err(refused))) => return self.refuse_as(id, COMMAND, refused),
                _ => return self.ask_about(id, request, &options, ctx),
            };
        }
        let answer = self.worker.publisher.publish_in(&ChannelName::new(&request.channel), &options, publish);
        self.with_answer(answer, ctx, move |session, result, _| match result {
            Ok(_) => {
                session.reply(&Reply::Publish { id });
                Step::Done
            }
            Err(error) => {
                let refusal = error.refusal();
                session.refuse_with(id, COMMAND, refusal.row, &refusal.message())
            }
        })
    }

    /// A canary publishes into its one channel, and into no other.
    fn publish_canary(&mut self, id: u32, request: &PublishRequest, ctx: &mut Context<Self>) -> Step {
        if request.channel != PROBE {
            return self.refuse(id, COMMAND, ErrorCode::PERMISSION_DENIED);
        }
        let publish = Publish { data: Payload::from_json(request.data.clone()), ..Publish::default() };
        let answer = self.worker.publisher.broker.publish(&ChannelName::new(PROBE), &ChannelOptions::default(), publish);
        self.with_answer(answer, ctx, move |session, result, _| match result {
            Ok(_) => {
                session.reply(&Reply::Publish { id });
                Step::Done
            }
            Err(error) => session.refuse(id, COMMAND, error.code()),
        })
    }

    /// In this namespace the application decides, and nobody else.
    fn ask_about(&mut self, id: u32, request: &PublishRequest, options: &ChannelOptions, ctx: &mut Context<Self>) -> Step {
        let Some(backend) = self.hooks().and_then(|hooks| hooks.publish(&options.publish_proxy_name)) else {
            return self.refuse(id, COMMAND, ErrorCode::INTERNAL);
        };
        let question = Question { channel: Some(&request.channel), ..self.question() };
        let answer = backend.ask(question, &request.data, self.asker());
        self.with_verdict(id, Request::Publish(request.clone()), answer, ctx, Verdict::Publish)
    }
}

/// The publication as the application wants it.
fn as_accepted(publish: Publish, accepted: Accepted) -> Publish {
    let Accepted { data, skip_history, tags, idempotency_key, version, version_epoch } = accepted;
    Publish { data: data.unwrap_or(publish.data), tags, skip_history, idempotency_key, version, version_epoch, ..publish }
}
