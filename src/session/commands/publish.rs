//! `publish`: a client publishes into a channel.

use super::{Session, Step};
use crate::auth::may_publish;
use crate::broker::Publish;
use crate::channel::{ChannelName, Payload};
use crate::protocol::centrifuge::command::PublishRequest;
use crate::protocol::centrifuge::{Codec, Reply};
use crate::protocol::codes::{ClientError, Disconnect, ErrorCode};
use actix::Context;

const COMMAND: &str = "publish";

impl Session {
    pub(super) fn publish(&mut self, id: u32, request: &PublishRequest, ctx: &mut Context<Self>) -> Step {
        if request.channel.is_empty() {
            return self.drop_client(Disconnect::BAD_REQUEST);
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
        if request.kind != 0 || !may_publish(&options, self.client(&request.channel), self.is_subscribed(&request.channel)) {
            return self.refuse(id, COMMAND, ErrorCode::PERMISSION_DENIED);
        }
        let publish = Publish { data, info: self.info_in(&request.channel), ..Publish::default() };
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
}
