//! How the hub's messages stand on one connection: in which codec, between which bytes, and whether the client may say anything.
//!
//! Asked by whoever writes to clients. Everything that differs between transports behind the handshake is here and in the session's reading;
//! so an event is put on the wire once for all connections of the same kind.

use super::{Codec, NotJson, Push, Reply, json};
use crate::protocol::websocket::{self, Opcode, SmallHeader};
use bytes::{BufMut, Bytes, BytesMut};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Wire {
    WebsocketJson,
    WebsocketProtobuf,
    /// `http_stream`: objects, each ended by a line feed.
    StreamJson,
    /// `http_stream`: messages, each preceded by its length.
    StreamProtobuf,
    /// `sse`: one event an object.
    Sse,
    UniWebsocket,
    UniStream,
    UniSse,
    /// An event stream as the Mercure protocol has it: the data of publications, and no word of anything else.
    Mercure,
}

/// What stands around a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Websocket,
    /// A line feed behind it.
    Lines,
    /// Nothing: the message brings its own length.
    Delimited,
    /// An event of an event stream (`text/event-stream`).
    EventStream,
}

impl Wire {
    pub const COUNT: usize = 9;

    pub const fn websocket(codec: Codec) -> Self {
        match codec {
            Codec::Json => Self::WebsocketJson,
            Codec::Protobuf => Self::WebsocketProtobuf,
        }
    }

    pub const fn codec(self) -> Codec {
        match self {
            Self::WebsocketProtobuf | Self::StreamProtobuf => Codec::Protobuf,
            Self::WebsocketJson | Self::StreamJson | Self::Sse | Self::UniWebsocket | Self::UniStream | Self::UniSse | Self::Mercure => Codec::Json,
        }
    }

    pub const fn framing(self) -> Framing {
        match self {
            Self::WebsocketJson | Self::WebsocketProtobuf | Self::UniWebsocket => Framing::Websocket,
            Self::StreamJson | Self::UniStream => Framing::Lines,
            Self::StreamProtobuf => Framing::Delimited,
            Self::Sse | Self::UniSse | Self::Mercure => Framing::EventStream,
        }
    }

    pub const fn is_websocket(self) -> bool {
        matches!(self.framing(), Framing::Websocket)
    }

    /// The client says who it is, and listens from then on.
    pub const fn is_unidirectional(self) -> bool {
        matches!(self, Self::UniWebsocket | Self::UniStream | Self::UniSse | Self::Mercure)
    }

    /// What the client has to say comes in requests of its own (`/emulation`).
    pub const fn is_emulated(self) -> bool {
        matches!(self, Self::StreamJson | Self::StreamProtobuf | Self::Sse)
    }

    /// Appends `reply` to the messages in `out`. Leaves them as they were when it cannot be said in JSON. Who may not ask gets no replies but
    /// bare pushes. What a wire has no words for leaves `out` as it was, too.
    pub fn write(self, reply: &Reply, out: &mut BytesMut) -> Result<(), NotJson> {
        match reply {
            Reply::Push(Push::Publication { publication, .. }) if self == Self::Mercure => {
                if !publication.data.is_json() {
                    return Err(NotJson);
                }
                if !out.is_empty() {
                    out.put_u8(b'\n');
                }
                out.put_slice(&publication.data);
                Ok(())
            }
            _ if self == Self::Mercure => Ok(()),
            Reply::Push(push) if self.is_unidirectional() => {
                let start = out.len();
                if start > 0 {
                    out.put_u8(b'\n');
                }
                json::write_bare_push(push, out).inspect_err(|_| out.truncate(start))
            }
            _ => self.codec().write(reply, out),
        }
    }

    /// One push, framed.
    pub fn push(self, push: Push) -> Result<Bytes, NotJson> {
        let mut message = BytesMut::with_capacity(128);
        self.write(&Reply::Push(push), &mut message)?;
        Ok(self.frame(&message))
    }

    /// Messages, written by [`Wire::write`], as they go out.
    pub fn frame(self, messages: &[u8]) -> Bytes {
        match self.framing() {
            Framing::Websocket => websocket::frame(opcode(self.codec()), messages),
            Framing::Delimited => Bytes::copy_from_slice(messages),
            Framing::Lines => {
                let mut out = BytesMut::with_capacity(messages.len() + 1);
                out.put_slice(messages);
                out.put_u8(b'\n');
                out.freeze()
            }
            Framing::EventStream => {
                // JSON of ours holds no line feed, so each line is a message.
                let lines = messages.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
                let mut out = BytesMut::with_capacity(messages.len() + lines.clone().count() * (DATA.len() + 2));
                for line in lines {
                    out.put_slice(DATA);
                    out.put_slice(line);
                    out.put_slice(b"\n\n");
                }
                out.freeze()
            }
        }
    }

    /// What stands before and behind one message of `len` bytes, for messages that are put together of parts.
    pub fn around(self, len: usize) -> (Before, &'static [u8]) {
        match self.framing() {
            Framing::Websocket => (Before::Header(websocket::header(opcode(self.codec()), len)), b""),
            Framing::Lines => (Before::Text(b""), b"\n"),
            Framing::Delimited => (Before::Text(b""), b""),
            Framing::EventStream => (Before::Text(DATA), b"\n\n"),
        }
    }

    /// The hub's ping: a message that says nothing.
    pub const fn ping(self) -> &'static [u8] {
        match self {
            Self::WebsocketJson => b"\x81\x02{}",
            Self::WebsocketProtobuf => &[0x82, 1, 0],
            Self::StreamJson | Self::UniStream => b"{}\n",
            Self::StreamProtobuf => &[0],
            Self::Sse | Self::UniSse => b"data: {}\n\n",
            // A comment: the client's program does not hear of it.
            Self::Mercure => b":\n",
            // With a ping of the WebSocket layer behind it, which a client answers that cannot answer the first.
            Self::UniWebsocket => b"\x81\x02{}\x89\x00",
        }
    }
}

/// How a line of an event stream begins that carries data.
const DATA: &[u8] = b"data: ";

/// What stands before a message.
pub enum Before {
    Header(SmallHeader),
    Text(&'static [u8]),
}

impl std::ops::Deref for Before {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Header(header) => header,
            Self::Text(text) => text,
        }
    }
}

/// The kind of WebSocket frame that a codec's messages travel in.
const fn opcode(codec: Codec) -> Opcode {
    match codec {
        Codec::Json => Opcode::Text,
        Codec::Protobuf => Opcode::Binary,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::*;
    use crate::channel::{ChannelName, Payload, Publication};
    use crate::protocol::codes::Disconnect;

    const ALL: [Wire; Wire::COUNT] = [
        Wire::WebsocketJson,
        Wire::WebsocketProtobuf,
        Wire::StreamJson,
        Wire::StreamProtobuf,
        Wire::Sse,
        Wire::UniWebsocket,
        Wire::UniStream,
        Wire::UniSse,
        Wire::Mercure,
    ];

    #[test]
    fn several_messages_are_told_apart_on_every_wire() {
        for (wire, expected) in [
            (Wire::WebsocketJson, &b"\x81\x0f{\"a\":1}\n{\"b\":2}"[..]),
            (Wire::StreamJson, b"{\"a\":1}\n{\"b\":2}\n"),
            (Wire::Sse, b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\n"),
        ] {
            assert_eq!(&wire.frame(b"{\"a\":1}\n{\"b\":2}")[..], expected, "{wire:?}");
        }
        assert_eq!(&Wire::StreamProtobuf.frame(&[1, 0, 1, 0])[..], [1, 0, 1, 0]);
    }

    #[test]
    fn a_message_of_parts_looks_like_one_written_whole() {
        for wire in ALL {
            for len in [1, 125, 126, 70_000] {
                let message = vec![b'x'; len];
                let (before, behind) = wire.around(len);
                assert_eq!([&before[..], &message, behind].concat(), &wire.frame(&message)[..], "{wire:?} {len}");
            }
        }
    }

    #[test]
    fn pings_are_framed_pings_of_the_codec() {
        for wire in ALL.into_iter().filter(|wire| ![Wire::UniWebsocket, Wire::Mercure].contains(wire)) {
            assert_eq!(&wire.frame(wire.codec().ping())[..], wire.ping(), "{wire:?}");
        }
        let mut both = Wire::UniWebsocket.frame(Codec::Json.ping()).to_vec();
        both.extend_from_slice(&websocket::frame(Opcode::Ping, b""));
        assert_eq!(both, Wire::UniWebsocket.ping());
    }

    #[test]
    fn who_may_not_ask_gets_bare_pushes() {
        let push = || Push::Disconnect { code: Disconnect::SHUTDOWN.code, reason: Disconnect::SHUTDOWN.reason };
        let text = |wire: Wire| String::from_utf8(wire.push(push()).unwrap().to_vec()).unwrap();
        assert_eq!(text(Wire::StreamJson), "{\"push\":{\"disconnect\":{\"code\":3001,\"reason\":\"shutdown\"}}}\n");
        assert_eq!(text(Wire::UniStream), "{\"disconnect\":{\"code\":3001,\"reason\":\"shutdown\"}}\n");
        assert_eq!(text(Wire::UniSse), "data: {\"disconnect\":{\"code\":3001,\"reason\":\"shutdown\"}}\n\n");
        assert_eq!(Wire::StreamProtobuf.push(push()).unwrap()[0] as usize + 1, Wire::StreamProtobuf.push(push()).unwrap().len());
    }

    #[test]
    fn a_mercure_client_hears_what_is_published_and_nothing_else() {
        let publication =
            |data: &'static [u8]| Publication { offset: 7, data: Payload::from_bytes(data.into()), info: None, tags: None, update: None };
        let channel = ChannelName::new("$metrics:overview");
        let write = |publication: &Publication, out: &mut BytesMut| {
            Wire::Mercure.write(&Reply::Push(Push::Publication { channel: &channel, publication, body: Body::Plain }), out)
        };
        let mut messages = BytesMut::new();
        write(&publication(b"{\"a\":1}"), &mut messages).unwrap();
        let goodbye = Push::Disconnect { code: Disconnect::SHUTDOWN.code, reason: Disconnect::SHUTDOWN.reason };
        Wire::Mercure.write(&Reply::Push(goodbye), &mut messages).unwrap();
        write(&publication(b"2"), &mut messages).unwrap();
        assert_eq!(write(&publication(b"\xff"), &mut messages), Err(NotJson));
        assert_eq!(&Wire::Mercure.frame(&messages)[..], b"data: {\"a\":1}\n\ndata: 2\n\n");
        assert_eq!(&Wire::Mercure.frame(b"")[..], b"");
    }
}
