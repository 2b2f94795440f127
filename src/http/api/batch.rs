//! `batch`: many commands in one request, each of them any other method.

use super::json::{List, Text, null_as_default};
use super::{Call, Command, Method, TURN, in_time};
use crate::http::respond;
use crate::protocol::codes::{ErrorCode, Refusal};
use crate::telemetry::api::ApiCalled;
use crate::telemetry::emit;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use bytes::{BufMut, BytesMut};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

pub const NAME: &str = "batch";

/// Commands of one batch.
const COMMANDS_MAX: usize = 1_000;

/// Bytes of an answer after which no further command is carried out: each of a thousand may ask for something large.
const ANSWER_BYTES_MAX: usize = 32 * 1_024 * 1_024;

pub const EXAMPLE: &str = r#"{"commands":[{"publish":{"channel":"news:world","data":1}},{"history":{"channel":"news:world","limit":1}}]}"#;
pub const EXAMPLE_RESULT: &str =
    r#"{"replies":[{"publish":{"offset":3,"epoch":"kXqp"}},{"history":{"publications":[{"data":1,"offset":3}],"epoch":"kXqp","offset":3}}]}"#;

/// Carries out many commands, in their order.
#[derive(serde::Deserialize)]
struct BatchRequest<'a> {
    #[serde(default, borrow)]
    commands: List<OneCommand<'a>, COMMANDS_MAX>,
    #[serde(default, deserialize_with = "null_as_default")]
    parallel: bool,
}

/// `{"publish":{…}}`. The first member that names a method counts; `None` without one.
struct OneCommand<'a>(Option<Command<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for OneCommand<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CommandVisitor;
        impl<'de> Visitor<'de> for CommandVisitor {
            type Value = OneCommand<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object with the method's name as its only member")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut command = None;
                while let Some(name) = members.next_key::<Text<'de>>()? {
                    match Method::find(&name) {
                        Some(method) if command.is_none() => command = Some(Command::next_value(method, &mut members)?),
                        _ => {
                            members.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(OneCommand(command))
            }
        }
        deserializer.deserialize_map(CommandVisitor)
    }
}

pub async fn answer(call: Call<'_>) -> Result<HttpResponse, serde_json::Error> {
    let BatchRequest { commands, parallel } = serde_json::from_slice(call.body)?;
    let mut out = respond::buffer();
    out.put_slice(b"{\"replies\":[");
    let mut commands = commands.0.into_iter();
    let mut is_first = true;
    let mut write = |reply: BytesMut, out: &mut BytesMut| {
        if !std::mem::take(&mut is_first) {
            out.put_u8(b',');
        }
        out.put_slice(&reply);
    };
    while commands.len() > 0 {
        let turn = commands.by_ref().take(TURN);
        if parallel {
            // Started together: it is for those who do not want to wait for a broker on the network once a command.
            let has_room = out.len() < ANSWER_BYTES_MAX;
            let replies = futures_util::future::join_all(turn.map(|command| reply(call, command.0, has_room))).await;
            replies.into_iter().for_each(|reply| write(reply, &mut out));
        } else {
            for command in turn {
                let reply = reply(call, command.0, out.len() < ANSWER_BYTES_MAX).await;
                write(reply, &mut out);
            }
        }
        tokio::task::yield_now().await;
    }
    out.put_slice(b"]}");
    emit(ApiCalled { method: NAME, error: None });
    Ok(respond::json(StatusCode::OK, out))
}

/// `{"publish":{…}}`, or `{"error":{…}}`.
async fn reply(call: Call<'_>, command: Option<Command<'_>>, has_room: bool) -> BytesMut {
    let mut out = respond::buffer();
    out.put_u8(b'{');
    match command {
        None => error(&ErrorCode::NOT_FOUND.into(), &mut out),
        Some(_) if !has_room => error(&ErrorCode::LIMIT_EXCEEDED.into(), &mut out),
        Some(command) => {
            let name = command.method().name();
            match in_time(call, command).await {
                Ok(reply) => {
                    respond::write_json(&name, &mut out);
                    out.put_u8(b':');
                    respond::write_json(&reply, &mut out);
                }
                Err(refusal) => error(&refusal, &mut out),
            }
        }
    }
    out.put_u8(b'}');
    out
}

fn error(refusal: &Refusal, out: &mut BytesMut) {
    out.put_slice(b"\"error\":");
    respond::write_error(refusal, out);
}
