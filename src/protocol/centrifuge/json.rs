//! Replies in JSON. Members with a zero value are left out, with the few exceptions that the protocol names; payloads stand in it as they
//! were published.

use super::reply::{Body, ConnectResult, HistoryResult, Push, RefreshResult, Reply, SubscribeResult};
use super::{NotJson, info_is_json};
use crate::channel::{ClientInfo, Publication};
use crate::protocol::codes::ErrorCode;
use bytes::{BufMut, Bytes, BytesMut};
use std::io::Write;
use std::sync::Arc;

/// Writes the members of one object, with the commas between them.
struct Object<'a> {
    out: &'a mut BytesMut,
    first: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut BytesMut) -> Self {
        out.put_u8(b'{');
        Self { out, first: true }
    }
    fn close(self) {
        self.out.put_u8(b'}');
    }
    /// Keys are ours: plain ASCII that needs no escape.
    fn key(&mut self, key: &str) {
        self.out.put_slice(if self.first { b"\"" } else { b",\"" });
        self.first = false;
        self.out.put_slice(key.as_bytes());
        self.out.put_slice(b"\":");
    }
    fn number(&mut self, key: &str, value: impl itoa::Integer) {
        self.key(key);
        self.out.put_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        write_text(value, self.out);
    }
    fn yes(&mut self, key: &str, value: bool) {
        if value {
            self.key(key);
            self.out.put_slice(b"true");
        }
    }
    fn raw(&mut self, key: &str, json: &[u8]) {
        if !json.is_empty() {
            self.key(key);
            self.out.put_slice(json);
        }
    }
    fn object<E>(&mut self, key: &str, fill: impl FnOnce(&mut Object) -> Result<(), E>) -> Result<(), E> {
        self.key(key);
        let mut object = Object::open(self.out);
        fill(&mut object)?;
        object.close();
        Ok(())
    }
}

fn write_text(text: &str, out: &mut BytesMut) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.put_u8(b'"');
        out.put_slice(text.as_bytes());
        out.put_u8(b'"');
    } else {
        serde_json::to_writer(out.writer(), text).expect("writing into memory does not fail");
    }
}

pub fn write_reply(reply: &Reply, out: &mut BytesMut) -> Result<(), NotJson> {
    let mut object = Object::open(out);
    let reply_to = |object: &mut Object, id: u32| {
        if id > 0 {
            object.number("id", id);
        }
    };
    match reply {
        Reply::Error { id, error, message } => {
            reply_to(&mut object, *id);
            object.object("error", |error_object| write_error(*error, message, error_object))?;
        }
        Reply::Connect { id, result } => {
            reply_to(&mut object, *id);
            object.object("connect", |connect| write_connect(result, connect))?;
        }
        Reply::Subscribe { id, result } => {
            reply_to(&mut object, *id);
            object.object("subscribe", |subscribe| write_subscribe(result, subscribe))?;
        }
        Reply::Unsubscribe { id } => {
            reply_to(&mut object, *id);
            object.object::<NotJson>("unsubscribe", |_| Ok(()))?;
        }
        Reply::Publish { id } => {
            reply_to(&mut object, *id);
            object.object::<NotJson>("publish", |_| Ok(()))?;
        }
        Reply::Presence { id, clients } => {
            reply_to(&mut object, *id);
            object.object("presence", |result| {
                result.object("presence", |presence| {
                    clients.iter().try_for_each(|info| {
                        let client = info.client.to_string();
                        presence.object(&client, |object| write_info(info, object))
                    })
                })
            })?;
        }
        Reply::PresenceStats { id, clients, users } => {
            reply_to(&mut object, *id);
            object.object::<NotJson>("presence_stats", |stats| {
                stats.number("num_clients", *clients);
                stats.number("num_users", *users);
                Ok(())
            })?;
        }
        Reply::History { id, result } => {
            reply_to(&mut object, *id);
            object.object("history", |history| write_history(result, history))?;
        }
        Reply::Rpc { id, data } => {
            reply_to(&mut object, *id);
            object.object::<NotJson>("rpc", |rpc| {
                rpc.raw("data", data);
                Ok(())
            })?;
        }
        Reply::Refresh { id, result } => {
            reply_to(&mut object, *id);
            object.object("refresh", |refresh| write_refresh(*result, refresh))?;
        }
        Reply::SubRefresh { id, result } => {
            reply_to(&mut object, *id);
            object.object("sub_refresh", |refresh| write_refresh(*result, refresh))?;
        }
        Reply::Push(push) => object.object("push", |object| write_push(push, object))?,
    }
    object.close();
    Ok(())
}

fn write_error(error: ErrorCode, message: &str, object: &mut Object) -> Result<(), NotJson> {
    object.number("code", error.code);
    object.text("message", message);
    object.yes("temporary", error.temporary);
    Ok(())
}

fn write_connect(result: &ConnectResult, object: &mut Object) -> Result<(), NotJson> {
    object.text("client", &result.client);
    object.text("version", &result.version);
    write_ttl(result.ttl, object);
    object.raw("data", json(&result.data)?);
    if !result.subs.is_empty() {
        object.key("subs");
        let mut subs = Object::open(object.out);
        for sub in &result.subs {
            // Channel names come from outside, so they are escaped, unlike our own keys.
            if !subs.first {
                subs.out.put_u8(b',');
            }
            subs.first = false;
            write_text(&sub.channel, subs.out);
            subs.out.put_u8(b':');
            let mut one = Object::open(subs.out);
            write_subscribe(&sub.result, &mut one)?;
            one.close();
        }
        subs.close();
    }
    if result.ping > 0 {
        object.number("ping", result.ping);
    }
    object.yes("pong", result.pong);
    if !result.session.is_empty() {
        object.text("session", &result.session);
    }
    if !result.node.is_empty() {
        object.text("node", &result.node);
    }
    if result.time > 0 {
        object.number("time", result.time);
    }
    Ok(())
}

fn write_ttl(ttl: Option<u32>, object: &mut Object) {
    if let Some(ttl) = ttl {
        object.yes("expires", true);
        if ttl > 0 {
            object.number("ttl", ttl);
        }
    }
}

fn write_subscribe(result: &SubscribeResult, object: &mut Object) -> Result<(), NotJson> {
    write_subscribe_head(result, object);
    if !result.publications.is_empty() {
        object.key("publications");
        write_publications(plain(&result.publications), object.out)?;
    }
    write_subscribe_tail(result, object)
}

fn write_subscribe_head(result: &SubscribeResult, object: &mut Object) {
    write_ttl(result.ttl, object);
    object.yes("recoverable", result.recoverable);
    if let Some(position) = &result.position
        && !position.epoch.is_empty()
    {
        object.text("epoch", position.epoch.as_str());
    }
}

fn write_subscribe_tail(result: &SubscribeResult, object: &mut Object) -> Result<(), NotJson> {
    object.yes("recovered", result.recovered);
    if let Some(position) = &result.position
        && position.offset > 0
    {
        object.number("offset", position.offset);
    }
    object.yes("positioned", result.positioned);
    object.raw("data", json(&result.data)?);
    object.yes("was_recovering", result.was_recovering);
    object.yes("delta", result.delta);
    Ok(())
}

/// What stands before and after the list of publications in a subscribe reply.
pub fn subscribe_reply_around(id: u32, result: &SubscribeResult) -> Result<(BytesMut, BytesMut), NotJson> {
    let mut head = BytesMut::with_capacity(96);
    let mut reply = Object::open(&mut head);
    reply.number("id", id);
    reply.key("subscribe");
    let mut object = Object::open(reply.out);
    write_subscribe_head(result, &mut object);
    object.key("publications");
    let mut tail = BytesMut::with_capacity(96);
    let mut object = Object { out: &mut tail, first: false };
    write_subscribe_tail(result, &mut object)?;
    object.close();
    tail.put_u8(b'}');
    Ok((head, tail))
}

fn write_history(result: &HistoryResult, object: &mut Object) -> Result<(), NotJson> {
    object.key("publications");
    write_publications(plain(&result.publications), object.out)?;
    object.text("epoch", result.position.epoch.as_str());
    object.number("offset", result.position.offset);
    Ok(())
}

fn write_refresh(result: RefreshResult, object: &mut Object) -> Result<(), NotJson> {
    write_ttl(result.ttl, object);
    Ok(())
}

fn write_push(push: &Push, object: &mut Object) -> Result<(), NotJson> {
    match push {
        Push::Publication { channel, publication, body } => {
            object.text("channel", channel);
            object.object("pub", |object| write_publication(publication, *body, object))
        }
        Push::Join { channel, info } => {
            object.text("channel", channel);
            object.object("join", |join| join.object("info", |object| write_info(info, object)))
        }
        Push::Leave { channel, info } => {
            object.text("channel", channel);
            object.object("leave", |leave| leave.object("info", |object| write_info(info, object)))
        }
        Push::Unsubscribe { channel, why } => {
            object.text("channel", channel);
            object.object("unsubscribe", |object| {
                object.number("code", why.code);
                object.text("reason", why.reason);
                Ok(())
            })
        }
        Push::Subscribe { channel, result } => {
            object.text("channel", channel);
            object.object("subscribe", |object| {
                object.yes("recoverable", result.recoverable);
                if let Some(position) = &result.position {
                    object.text("epoch", position.epoch.as_str());
                    if position.offset > 0 {
                        object.number("offset", position.offset);
                    }
                }
                object.yes("positioned", result.positioned);
                object.raw("data", json(&result.data)?);
                Ok(())
            })
        }
        Push::Refresh(result) => object.object("refresh", |object| write_refresh(*result, object)),
        Push::Message(data) => object.object("message", |object| {
            object.raw("data", json(data)?);
            Ok(())
        }),
        Push::Disconnect { code, reason } => object.object("disconnect", |object| {
            object.number("code", *code);
            object.text("reason", reason);
            Ok(())
        }),
    }
}

/// A push alone, as those get it who may not ask.
pub fn write_bare_push(push: &Push, out: &mut BytesMut) -> Result<(), NotJson> {
    let mut object = Object::open(out);
    write_push(push, &mut object)?;
    object.close();
    Ok(())
}

fn write_publication(publication: &Publication, body: Body, object: &mut Object) -> Result<(), NotJson> {
    if !publication.data.is_json() {
        return Err(NotJson);
    }
    match body {
        Body::Plain | Body::Under(_) => object.raw("data", &publication.data),
        Body::Whole => object.text("data", std::str::from_utf8(&publication.data).map_err(|_| NotJson)?),
        Body::Patch(patch) => object.text("data", std::str::from_utf8(patch).map_err(|_| NotJson)?),
    }
    if let Some(info) = &publication.info {
        object.object("info", |object| write_info(info, object))?;
    }
    if publication.offset > 0 && body.tells_offset() {
        object.number("offset", publication.offset);
    }
    if let Some(tags) = body.tags(publication) {
        object.key("tags");
        serde_json::to_writer(object.out.writer(), &*tags).expect("writing a map of texts into memory does not fail");
    }
    object.yes("delta", matches!(body, Body::Patch(_)));
    if let Body::Under(channel) = body {
        object.text("channel", channel);
    }
    Ok(())
}

fn plain(publications: &[Arc<Publication>]) -> impl Iterator<Item = (&Publication, Body<'_>)> {
    publications.iter().map(|publication| (publication.as_ref(), Body::Plain))
}

fn write_publications<'a>(publications: impl Iterator<Item = (&'a Publication, Body<'a>)>, out: &mut BytesMut) -> Result<(), NotJson> {
    out.put_u8(b'[');
    for (index, (publication, body)) in publications.enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        let mut object = Object::open(out);
        write_publication(publication, body, &mut object)?;
        object.close();
    }
    out.put_u8(b']');
    Ok(())
}

pub fn publications<'a>(publications: impl Iterator<Item = (&'a Publication, Body<'a>)>) -> Result<Bytes, NotJson> {
    let mut out = BytesMut::new();
    write_publications(publications, &mut out)?;
    Ok(out.freeze())
}

fn write_info(info: &ClientInfo, object: &mut Object) -> Result<(), NotJson> {
    if !info_is_json(info) {
        return Err(NotJson);
    }
    object.text("user", info.user.as_str());
    object.key("client");
    write!(object.out.writer(), "\"{}\"", info.client).expect("writing into memory does not fail");
    object.raw("conn_info", &info.conn_info);
    object.raw("chan_info", &info.chan_info);
    Ok(())
}

/// Bytes that came as JSON or, by a token's `b64…` claims, as anything.
fn json(bytes: &Bytes) -> Result<&[u8], NotJson> {
    if bytes.is_empty() || serde_json::from_slice::<&serde_json::value::RawValue>(bytes).is_ok() { Ok(bytes) } else { Err(NotJson) }
}
