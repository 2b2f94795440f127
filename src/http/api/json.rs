//! Values as callers of the API write them. `null` is absence everywhere but in a payload, texts are borrowed from the body where they need
//! no unescaping, and every list and map has its most: what goes beyond it is refused while it is read.

use crate::channel::Payload;
use crate::protocol::codes::ErrorCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// A text. Absent and empty are the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_string())))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// At most `MAX` values.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
            type Value = List<T, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a list of at most {MAX}")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = values.next_element()? {
                    if list.len() == MAX {
                        return Err(de::Error::invalid_length(MAX + 1, &self));
                    }
                    list.push(value);
                }
                Ok(List(list))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(List::default())
            }
        }
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// At most `MAX` texts with their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts<const MAX: usize>(pub BTreeMap<String, String>);

impl<'de, const MAX: usize> Deserialize<'de> for Texts<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor<const MAX: usize>;
        impl<'de, const MAX: usize> Visitor<'de> for TextsVisitor<MAX> {
            type Value = Texts<MAX>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "an object of at most {MAX} texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((name, text)) = members.next_entry()? {
                    if texts.len() == MAX {
                        return Err(de::Error::invalid_length(MAX + 1, &self));
                    }
                    texts.insert(name, text);
                }
                Ok(Texts(texts))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Texts::default())
            }
        }
        deserializer.deserialize_any(TextsVisitor)
    }
}

/// For members whose `null` is the same as their absence.
pub fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// For payloads: any JSON, and `null` is JSON too.
pub fn any_json<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// What `data` or, if given, `b64data` holds; `None` if neither is there. No byte of `data` is copied: the payload is a slice of the body.
pub fn payload(body: &Bytes, data: Option<&RawValue>, b64data: &str) -> Result<Option<Payload>, ErrorCode> {
    if !b64data.is_empty() {
        let bytes = STANDARD.decode(b64data).map_err(|_| ErrorCode::BAD_REQUEST)?;
        return Ok(Some(Payload::from_bytes(bytes.into())));
    }
    Ok(data.map(|data| Payload::from_json(body.slice_ref(data.get().as_bytes()))))
}

/// Like [`payload`], for what lives as long as a subscription or connection: a copy, so that it does not keep the whole body.
pub fn kept_payload(body: &Bytes, data: Option<&RawValue>, b64data: &str) -> Result<Bytes, ErrorCode> {
    // `null` says nothing here, as if it were not there.
    let data = data.filter(|data| data.get() != "null");
    Ok(payload(body, data, b64data)?.map_or_else(Bytes::new, |payload| payload.detached().bytes().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct All<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        #[serde(borrow)]
        list: List<Text<'a>, 2>,
        texts: Texts<2>,
        #[serde(deserialize_with = "null_as_default")]
        number: u64,
    }

    #[test]
    fn null_is_absence() {
        let nulls: All = serde_json::from_str(r#"{"text":null,"list":null,"texts":null,"number":null}"#).unwrap();
        assert_eq!(nulls, All::default());
        assert_eq!(serde_json::from_str::<All>("{}").unwrap(), All::default());
    }

    #[test]
    fn texts_are_borrowed_unless_they_are_escaped() {
        let all: All = serde_json::from_str(r#"{"text":"plain","list":["plain","\u0061"]}"#).unwrap();
        assert!(matches!(all.text.0, Cow::Borrowed("plain")));
        assert!(matches!(all.list[0].0, Cow::Borrowed(_)));
        assert!(matches!(&all.list[1].0, Cow::Owned(text) if text == "a"));
    }

    #[test]
    fn too_much_is_refused_and_the_reason_says_how_much_there_may_be() {
        for (body, reason) in [
            (r#"{"list":["1","2","3"]}"#, "a list of at most 2"),
            (r#"{"texts":{"1":"","2":"","3":""}}"#, "an object of at most 2 texts"),
            (r#"{"text":1}"#, "a text"),
            (r#"{"texts":{"1":1}}"#, "a string"),
        ] {
            let error = serde_json::from_str::<All>(body).unwrap_err().to_string();
            assert!(error.contains(reason), "{body}: {error}");
        }
        assert_eq!(serde_json::from_str::<All>(r#"{"list":["1","2"]}"#).unwrap().list.len(), 2);
    }

    #[test]
    fn a_payload_is_a_slice_of_the_body() {
        let body = Bytes::from_static(br#"{"data": {"b": 1.50, "a":1}}"#);
        let data = serde_json::from_slice::<BTreeMap<&str, &RawValue>>(&body).unwrap()["data"];
        let payload = payload(&body, Some(data), "").unwrap().unwrap();
        assert_eq!(&payload[..], br#"{"b": 1.50, "a":1}"#);
        assert_eq!(payload.as_ptr(), body[9..].as_ptr());
    }

    #[test]
    fn base64_wins_and_must_be_base64() {
        let body = Bytes::from_static(b"1");
        let data: &RawValue = serde_json::from_slice(&body).unwrap();
        let given = |b64data| payload(&body, Some(data), b64data);
        assert_eq!(&given("/w==").unwrap().unwrap()[..], [0xff]);
        assert!(given("e30=").unwrap().unwrap().is_json());
        assert_eq!(given("?").unwrap_err(), ErrorCode::BAD_REQUEST);
        assert_eq!(payload(&body, None, "").unwrap(), None);
    }
}
