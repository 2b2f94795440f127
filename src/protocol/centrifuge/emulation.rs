//! What a client sends whose connection only leads to it: commands for a session, in a request of their own.

use super::Codec;
use super::command::null_as_default;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct EmulationRequest {
    /// The node that has the connection.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub node: String,
    /// What the connect reply called the session.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "null_as_default")]
    pub session: String,
    /// Commands as they would stand in one frame.
    #[prost(bytes = "bytes", tag = "3")]
    #[serde(deserialize_with = "text")]
    pub data: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum EmulationError {
    #[error("request is not the JSON of an emulation request")]
    Json(#[source] serde_json::Error),
    #[error("request is not the Protobuf of an emulation request")]
    Protobuf(#[source] prost::DecodeError),
    #[error("request is not a JSON object")]
    NotAnObject,
}

impl EmulationRequest {
    pub fn decode(codec: Codec, body: &[u8]) -> Result<Self, EmulationError> {
        match codec {
            // serde would read an array as the members in their order.
            Codec::Json if body.trim_ascii_start().first() != Some(&b'{') => Err(EmulationError::NotAnObject),
            Codec::Json => serde_json::from_slice(body).map_err(EmulationError::Json),
            Codec::Protobuf => prost::Message::decode(body).map_err(EmulationError::Protobuf),
        }
    }
}

/// JSON commands, as one JSON text.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(Bytes::from(text.into_owned().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn both_codecs_say_the_same() {
        let expected = EmulationRequest { node: "n".into(), session: "s".into(), data: Bytes::from_static(b"{}\n{\"id\":2}") };
        let json = br#" {"session":"s","node":"n","data":"{}\n{\"id\":2}","more":[1]} "#;
        assert_eq!(EmulationRequest::decode(Codec::Json, json).unwrap(), expected);
        assert_eq!(EmulationRequest::decode(Codec::Protobuf, &expected.encode_to_vec()).unwrap(), expected);
        assert_eq!(EmulationRequest::decode(Codec::Json, b"{\"data\":null}").unwrap(), EmulationRequest::default());
    }

    #[test]
    fn what_is_none_is_an_error() {
        for body in [&b""[..], b"null", b"[\"n\",\"s\",\"\"]", b"{\"data\":{}}", b"{\"data\":\"", b"{\"node\":1}", b"{} {}", b"\xff"] {
            assert!(EmulationRequest::decode(Codec::Json, body).is_err(), "{}", String::from_utf8_lossy(body));
        }
        for body in [&b"\x0a\x05ab"[..], b"\xff\xff", b"\x12\x02\xff\xfe"] {
            assert!(EmulationRequest::decode(Codec::Protobuf, body).is_err(), "{body:?}");
        }
    }
}
