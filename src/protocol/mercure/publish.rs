//! The form by which an update is published, and what is refused of it.

use super::{EARLIEST, Generation, HUB_PATH, Pair, has_hidden_characters};
use url::Url;

/// Topics of one update.
pub const TOPICS_MAX: usize = 1_000;

/// An id comes back in a header of a request.
const ID_BYTES_MAX: usize = 1_024;
const TYPE_BYTES_MAX: usize = 1_024;

/// An update as its publisher wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishForm {
    /// The canonical one first; each once.
    pub topics: Vec<String>,
    pub data: String,
    pub is_private: bool,
    pub id: Option<String>,
    pub event_type: Option<String>,
    /// 0: none.
    pub retry_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishFormError {
    #[error("no topic is given")]
    NoTopic,
    #[error("more than {TOPICS_MAX} topics are given")]
    TooManyTopics,
    #[error("a topic lies in the hub's own namespace")]
    Reserved,
    #[error("a topic is *, or has control or format characters")]
    BadTopic,
    #[error("the data is not valid UTF-8")]
    BadData,
    #[error("the id has characters that an id may not have, begins with #, is \"earliest\", or has more than {ID_BYTES_MAX} bytes")]
    BadId,
    #[error("the type has characters that a type may not have, is reserved, or has more than {TYPE_BYTES_MAX} bytes")]
    BadType,
    #[error("retry is not a number of milliseconds")]
    BadRetry,
}

impl PublishForm {
    /// What the fields say, by the rules of a generation. `base`: the hub's own URL.
    pub fn read(pairs: &[Pair<'_>], generation: Generation, base: &Url) -> Result<Self, PublishFormError> {
        let is_modern = generation == Generation::Modern;
        let first = |name: &str| pairs.iter().find(|pair| pair.name == name);
        let mut topics: Vec<String> = Vec::new();
        for pair in pairs.iter().filter(|pair| pair.name == "topic") {
            if topics.len() == TOPICS_MAX {
                return Err(PublishFormError::TooManyTopics);
            }
            if is_modern && (!pair.is_utf8 || pair.value == "*" || has_hidden_characters(&pair.value)) {
                return Err(PublishFormError::BadTopic);
            }
            if is_reserved(&pair.value, base) {
                return Err(PublishFormError::Reserved);
            }
            topics.push(pair.value.to_string());
        }
        if topics.is_empty() {
            return Err(PublishFormError::NoTopic);
        }
        let mut seen = std::collections::HashSet::with_capacity(topics.len());
        topics.retain(|topic| seen.insert(topic.clone()));

        let data = first("data");
        if is_modern && data.is_some_and(|data| !data.is_utf8) {
            return Err(PublishFormError::BadData);
        }
        let breaks_lines = |text: &str| text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        let is_line = |text: &str| !(breaks_lines(text) || (is_modern && has_hidden_characters(text)));
        let id = first("id").filter(|id| !id.value.is_empty());
        if let Some(Pair { value: id, is_utf8, .. }) = id
            && (!is_line(id) || id.starts_with('#') || id == EARLIEST || id.len() > ID_BYTES_MAX || !is_utf8)
        {
            return Err(PublishFormError::BadId);
        }
        let event_type = first("type").filter(|text| !text.value.is_empty());
        if let Some(Pair { value: event_type, is_utf8, .. }) = event_type
            && (!is_line(event_type) || (is_modern && event_type == "mercure") || event_type.len() > TYPE_BYTES_MAX || !is_utf8)
        {
            return Err(PublishFormError::BadType);
        }
        let retry_ms = match first("retry").map(|pair| &*pair.value).unwrap_or_default() {
            "" => 0,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| PublishFormError::BadRetry)?,
            _ => return Err(PublishFormError::BadRetry),
        };
        Ok(Self {
            topics,
            data: data.map(|pair| pair.value.to_string()).unwrap_or_default(),
            is_private: first("private").is_some(),
            id: id.map(|pair| pair.value.to_string()),
            event_type: event_type.map(|pair| pair.value.to_string()),
            retry_ms,
        })
    }
}

/// Whether only the hub itself may speak of a topic: what it says there of its subscribers must not be forged. Judged by the strictest reading
/// of both generations, so that what one calls harmless does not pass for genuine with subscribers of the other.
pub fn is_reserved(topic: &str, base: &Url) -> bool {
    if topic.contains(HUB_PATH) {
        return true;
    }
    // Dot segments are gone after parsing; escapes of unreserved characters are the same characters (RFC 3986, 6.2.2.2).
    base.join(topic).is_ok_and(|url| {
        let path = unreserved_decoded(url.path());
        let under = |own: &str| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        under(HUB_PATH) || under(base.path())
    })
}

fn unreserved_decoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let digits = rest.as_bytes().get(at + 1..at + 3).and_then(|digits| Some(super::form::hex(digits[0])? << 4 | super::form::hex(digits[1])?));
        match digits {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            _ => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    // An escaped dot makes a dot segment only now.
    while let Some(at) = out.find("/./") {
        out.replace_range(at..at + 2, "");
    }
    while let Some(at) = out.find("/../") {
        let before = out[..at].rfind('/').unwrap_or(0);
        out.replace_range(before..at + 3, "");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::mercure::{hub_base, pairs};
    use proptest::prelude::*;

    fn read(form: &str, generation: Generation) -> Result<PublishForm, PublishFormError> {
        PublishForm::read(&pairs(form.as_bytes()).unwrap(), generation, &hub_base("").unwrap())
    }

    #[test]
    fn an_update_is_read_from_a_form() {
        let form = "topic=a&topic=b&topic=a&data=x%0Ay&private&id=7&type=tick&retry=05&unknown=1";
        let expected = PublishForm {
            topics: vec!["a".to_string(), "b".to_string()],
            data: "x\ny".to_string(),
            is_private: true,
            id: Some("7".to_string()),
            event_type: Some("tick".to_string()),
            retry_ms: 5,
        };
        assert_eq!(read(form, Generation::Legacy), Ok(expected.clone()));
        assert_eq!(read(form, Generation::Modern), Ok(expected));
        let bare = PublishForm { topics: vec!["b".to_string()], data: String::new(), is_private: false, id: None, event_type: None, retry_ms: 0 };
        assert_eq!(read("topic=b&id=&type=&retry=", Generation::Legacy), Ok(bare));
        assert!(read("topic=a&private=false", Generation::Legacy).is_ok_and(|form| form.is_private), "the value is not looked at");
    }

    #[test]
    fn what_is_refused_depends_on_the_generation() {
        use Generation::{Legacy, Modern};
        use PublishFormError::*;
        let cases: &[(&str, Option<PublishFormError>, Option<PublishFormError>)] = &[
            ("data=x", Some(NoTopic), Some(NoTopic)),
            ("topic=*", None, Some(BadTopic)),
            ("topic=a%01", None, Some(BadTopic)),
            ("topic=a%ff", None, Some(BadTopic)),
            ("topic=a&data=%ff", None, Some(BadData)),
            ("topic=a&id=a%0Ab", Some(BadId), Some(BadId)),
            ("topic=a&id=a%0Db", Some(BadId), Some(BadId)),
            ("topic=a&id=a%00b", Some(BadId), Some(BadId)),
            ("topic=a&id=a%01b", None, Some(BadId)),
            ("topic=a&id=a%E2%80%8Bb", None, Some(BadId)),
            ("topic=a&id=%23a", Some(BadId), Some(BadId)),
            ("topic=a&id=earliest", Some(BadId), Some(BadId)),
            ("topic=a&type=a%0Ab", Some(BadType), Some(BadType)),
            ("topic=a&type=a%01b", None, Some(BadType)),
            ("topic=a&type=mercure", None, Some(BadType)),
            ("topic=a&retry=-1", Some(BadRetry), Some(BadRetry)),
            ("topic=a&retry=1.5", Some(BadRetry), Some(BadRetry)),
            ("topic=a&retry=%D9%A1", Some(BadRetry), Some(BadRetry)),
            ("topic=a&retry=18446744073709551615", None, None),
            ("topic=a&retry=18446744073709551616", Some(BadRetry), Some(BadRetry)),
            ("topic=a&topic=/.well-known/mercure", Some(Reserved), Some(Reserved)),
            ("topic=https://other.example/x/.well-known/mercure", Some(Reserved), Some(Reserved)),
            // The empty reference is the hub's own address.
            ("topic=", Some(Reserved), Some(Reserved)),
            ("topic=/.well-known/mercurea", Some(Reserved), Some(Reserved)),
            ("topic=/.well-known/./mercure/subscriptions", Some(Reserved), Some(Reserved)),
            ("topic=/.well-known/x/../mercure", Some(Reserved), Some(Reserved)),
            ("topic=/.well-known/%256Dercure", Some(Reserved), Some(Reserved)),
            ("topic=/.well-known/x/%252E%252E/mercure", Some(Reserved), Some(Reserved)),
            ("topic=ftp://other.example/.well-known/%256dercure/x", Some(Reserved), Some(Reserved)),
            ("topic=/.well-known/mercur", None, None),
            ("topic=ticks:host", None, None),
            ("topic=https://[", None, None),
        ];
        for (form, legacy, modern) in cases {
            assert_eq!(read(form, Legacy).err(), *legacy, "legacy: {form}");
            assert_eq!(read(form, Modern).err(), *modern, "modern: {form}");
        }
        let many = |count: usize| (0..count).map(|n| format!("topic={n}")).collect::<Vec<_>>().join("&");
        assert!(read(&many(TOPICS_MAX), Legacy).is_ok());
        assert_eq!(read(&many(TOPICS_MAX + 1), Legacy), Err(TooManyTopics));
        assert_eq!(read(&format!("topic=a&id={}", "i".repeat(ID_BYTES_MAX + 1)), Legacy), Err(BadId));
        assert_eq!(read(&format!("topic=a&type={}", "i".repeat(TYPE_BYTES_MAX + 1)), Legacy), Err(BadType));
    }

    proptest! {
        #[test]
        fn what_is_accepted_can_be_written(form in proptest::collection::vec(("topic|data|id|type|retry|private", ".{0,8}"), 0..6), is_modern in any::<bool>()) {
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
            if let Ok(form) = read(&form, if is_modern { Generation::Modern } else { Generation::Legacy }) {
                let id = form.id.as_deref().unwrap_or("1");
                prop_assert!(super::super::encode(form.event_type.as_deref(), form.retry_ms, id, &form.data).is_ok());
            }
        }

        #[test]
        fn no_topic_hides_in_the_hubs_namespace(topic in "[a./%25eE]{0,30}") {
            is_reserved(&topic, &hub_base("").unwrap());
        }
    }
}
