//! Commands of the Centrifuge protocol: whatever a frame carries, decoding does not panic, both codecs mean the same by a command, and a
//! payload that gets in cannot break the frames in which it goes out to others.
//!
//! Input: a frame's payload, read as JSON and as Protobuf.

#![no_main]

use aether::channel::{ChannelName, Payload, Publication};
use aether::protocol::centrifuge::{Body, Codec, Command, Push, Request, Wire};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use serde_json::value::RawValue;

fn in_protobuf(commands: &[Command]) -> Vec<u8> {
    commands.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

fuzz_target!(|input: &[u8]| {
    for codec in Codec::ALL {
        let Ok(commands) = codec.decode(input) else { continue };
        assert!(!commands.is_empty());
        let written = in_protobuf(&commands);
        let read_back = Codec::Protobuf.decode(&written).expect("what was decoded can be encoded");
        // Bytes, not values, are compared: a value that is not equal to itself would be no fault of the codec.
        assert_eq!(in_protobuf(&read_back).len(), written.len());
        for command in commands {
            let request = command.into_request();
            assert!(!request.name().is_empty());
            if let Request::Publish(publish) = request {
                goes_out(codec, &publish.channel, publish.data);
            }
        }
    }
});

fn goes_out(codec: Codec, channel: &str, data: bytes::Bytes) {
    let data = match codec {
        Codec::Json if data.is_empty() => return,
        Codec::Json => Payload::from_json(data),
        Codec::Protobuf => Payload::from_bytes(data),
    };
    let is_json = data.is_json();
    let publication = Publication { offset: 1, data, info: None, tags: None, update: None };
    let channel = ChannelName::new(channel);
    // Any text may stand where a patch stands.
    let patch = bytes::Bytes::copy_from_slice(&publication.data);
    for body in [Body::Plain, Body::Whole, Body::Patch(&patch), Body::Under(&channel)] {
        told(|| Push::Publication { channel: &channel, publication: &publication, body }, is_json);
    }
}

fn told<'a>(push: impl Fn() -> Push<'a>, is_json: bool) {
    match Wire::StreamJson.push(push()) {
        Ok(line) => {
            let message = line.strip_suffix(b"\n").expect("a line ends");
            assert!(is_json && !message.contains(&b'\n'), "a line feed would begin another reply");
            serde_json::from_slice::<&RawValue>(message).expect("a push is JSON");
        }
        Err(_) => assert!(!is_json),
    }
    Wire::StreamProtobuf.push(push()).expect("Protobuf carries any bytes");
}
