//! A JSON object as its members, none of them twice: the form in which token headers and claims are read.
//!
//! Readers of JSON disagree about which of two equal members counts, and a token that two programs read differently is a way past one of
//! them. So an object with a repeated member is refused as a whole, whatever the member means.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Members in the order of the text, values unparsed.
#[derive(Debug)]
pub(super) struct Members<'de>(Vec<(Cow<'de, str>, &'de RawValue)>);

impl<'de> Members<'de> {
    /// `None` where `json` is not one JSON object of distinct members, at most `count_max` of them.
    pub(super) fn parse(json: &'de [u8], count_max: usize) -> Option<Self> {
        let members: Self = serde_json::from_slice(json).ok()?;
        members.checked(count_max)
    }

    /// The same for a value inside of another object. JSON `null` counts as no members: several languages write an empty map so.
    pub(super) fn parse_value(value: &'de RawValue, count_max: usize) -> Option<Self> {
        if value.get() == "null" {
            return Some(Self(Vec::new()));
        }
        let members: Self = serde_json::from_str(value.get()).ok()?;
        members.checked(count_max)
    }

    fn checked(self, count_max: usize) -> Option<Self> {
        if self.0.len() > count_max {
            return None;
        }
        // Sorted, so that a thousand members do not cost a million comparisons.
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        names.windows(2).all(|pair| pair[0] != pair[1]).then_some(self)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'de RawValue> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| *value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'de RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A JSON string, borrowed where its text has no escapes. (`Cow` itself always copies when it is deserialized.)
pub(super) struct Text<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_its_members() {
        let members = Members::parse(br#" {"a":1, "b":{"a":[ 2 ]}, "\u0063":null} "#, 3).unwrap();
        let read: Vec<(&str, &str)> = members.iter().map(|(name, value)| (name, value.get())).collect();
        assert_eq!(read, [("a", "1"), ("b", r#"{"a":[ 2 ]}"#), ("c", "null")]);
        assert_eq!(members.get("b").map(RawValue::get), Some(r#"{"a":[ 2 ]}"#));
        assert!(members.get("d").is_none());
    }

    #[test]
    fn what_is_not_one_object_of_distinct_members_is_refused() {
        let cases: [&[u8]; 12] = [
            b"",
            b"null",
            b"[]",
            b"\"a\"",
            br#"{"a":1"#,
            br#"{"a":1}{"b":2}"#,
            br#"{"a":1,}"#,
            br#"{"a":1,"b":2,"a":1}"#,
            br#"{"sub":"alice","s\u0075b":"bob"}"#,
            br#"{"a":1,"b":2,"c":3,"d":4}"#,
            b"{\"a\":\"\xff\"}",
            b"{\"\\ud800\":1}",
        ];
        for case in cases {
            assert!(Members::parse(case, 3).is_none(), "{}", String::from_utf8_lossy(case));
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert!(Members::parse(deep.as_bytes(), 1).is_some());
        assert!(Members::parse(&deep.as_bytes()[..1_000_000], 1).is_none());
    }

    #[test]
    fn an_inner_null_is_an_empty_object() {
        let null: &RawValue = serde_json::from_str("null").unwrap();
        assert!(Members::parse_value(null, 1).unwrap().is_empty());
    }
}
