//! What the payloads of a namespace must be: format, size, depth, a JSON Schema; and what is taken out of them: HTML that does something.
//!
//! Asked by `broker::Publisher` for everything that is published, by whichever way it came, and by nobody else. Costs a few comparisons where a namespace demands nothing. Payloads are data of strangers, schemas are the operator's: whatever a payload holds, reading it
//! takes time and memory in proportion to a size that is capped. Deliberately absent: permissions, and changing a payload that is harmless;
//! what a payload keeps, it keeps byte for byte.

mod depth;
mod html;
mod schema;

pub use schema::SchemaError;

use crate::channel::{ChannelName, ChannelOptions, ChannelRules, Namespace, Payload, PublicationDataFormat};
use crate::protocol::codes::{ClientError, ErrorCode, Refusal};
use crate::telemetry::content::PublicationRefused;
use crate::telemetry::emit;
use html::Sanitizer;
use schema::Schema;
use std::collections::HashMap;

/// Bytes of a payload that has to be read, unless its namespace says otherwise. Cleaning as many of the worst kind takes a few milliseconds
/// of a worker's time.
const READ_BYTES_MAX: usize = 64 * 1_024;

/// Objects and arrays inside of one another in a payload that has to be read, unless its namespace says otherwise.
const READ_DEPTH_MAX: u32 = 64;

/// Why a payload is not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    #[error("the payload is not what its namespace takes ({wanted:?})")]
    Format { wanted: PublicationDataFormat },
    #[error("{bytes} bytes are more than the {max} that its namespace takes")]
    TooLarge { bytes: usize, max: usize },
    #[error("objects and arrays are more than {max} levels deep")]
    TooDeep { max: u32 },
    #[error("the payload is not JSON that can be read: {reason}")]
    Unreadable { reason: String },
    #[error("\"{pointer}\": {reason}")]
    Schema { pointer: String, reason: String },
    #[error("{reason}")]
    TooMuchHtml { reason: &'static str },
    /// The namespaces changed and their rules did not: a fault of ours, and nothing is let through because of it.
    #[error("there is no rule to check {channel} by")]
    NoRule { channel: ChannelName },
}

impl ContentError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Format { .. } => "format",
            Self::TooLarge { .. } => "size",
            Self::TooDeep { .. } => "depth",
            Self::Unreadable { .. } => "unreadable",
            Self::Schema { .. } => "schema",
            Self::TooMuchHtml { .. } => "html",
            Self::NoRule { .. } => "no_rule",
        }
    }
}

impl ClientError for ContentError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Format { .. }
            | Self::TooLarge { .. }
            | Self::TooDeep { .. }
            | Self::Unreadable { .. }
            | Self::Schema { .. }
            | Self::TooMuchHtml { .. } => ErrorCode::BAD_REQUEST,
            Self::NoRule { .. } => ErrorCode::INTERNAL,
        }
    }

    fn refusal(&self) -> Refusal {
        match self {
            // What the protocol says of it is all there is to say.
            Self::Format { .. } | Self::NoRule { .. } => self.code().into(),
            Self::TooLarge { .. } | Self::TooDeep { .. } | Self::Unreadable { .. } | Self::Schema { .. } | Self::TooMuchHtml { .. } => {
                Refusal::with_detail(self.code(), self)
            }
        }
    }
}

/// What the namespaces demand beyond what their options say by themselves. Built once from the configuration, then only read.
#[derive(Default)]
pub struct ContentRules {
    without_namespace: Option<Rule>,
    by_namespace: HashMap<String, Rule>,
}

struct Rule {
    sanitizer: Option<Sanitizer>,
    schema: Option<Schema>,
}

impl Rule {
    fn new(options: &ChannelOptions) -> Result<Option<Self>, SchemaError> {
        if !options.reads_payloads() {
            return Ok(None);
        }
        let schema = if options.publication_schema.is_empty() { None } else { Some(Schema::load(&options.publication_schema)?) };
        let sanitizer = options.publication_sanitize_html.then(|| Sanitizer::new(&options.publication_sanitize_html_pointers));
        Ok(Some(Self { sanitizer, schema }))
    }

    fn apply(&self, data: Payload, bytes_max: usize) -> Result<Payload, ContentError> {
        let data = match &self.sanitizer {
            Some(sanitizer) => match sanitizer.clean(&data)? {
                Some(cleaned) => Payload::from_json(cleaned.into()),
                None => data,
            },
            None => data,
        };
        // Cleaning replaces a character by an entity of up to six.
        must_fit(&data, bytes_max)?;
        if let Some(schema) = &self.schema {
            schema.check(&data)?;
        }
        Ok(data)
    }
}

impl ContentRules {
    /// Reads and compiles the schemas. Fails on the first that cannot be used, and names its option.
    pub fn new(without_namespace: &ChannelOptions, namespaces: &[Namespace]) -> Result<Self, ContentRuleError> {
        let rule = |path: String, options| Rule::new(options).map_err(|source| ContentRuleError { path, source });
        let mut by_namespace = HashMap::new();
        for (index, namespace) in namespaces.iter().enumerate() {
            // A name that stands twice is found by the configuration's checks.
            if let Some(rule) = rule(format!("channel.namespaces[{index}]"), &namespace.options)? {
                by_namespace.insert(namespace.name.clone(), rule);
            }
        }
        Ok(Self { without_namespace: rule("channel.without_namespace".to_string(), without_namespace)?, by_namespace })
    }

    /// The payload as it may be published into `channel`, whose options these are.
    pub fn admit(&self, rules: &ChannelRules, channel: &ChannelName, options: &ChannelOptions, data: Payload) -> Result<Payload, ContentError> {
        let admitted = self.judge(rules, channel, options, data);
        if let Err(error) = &admitted {
            emit(PublicationRefused { reason: error.reason() });
        }
        admitted
    }

    fn judge(&self, rules: &ChannelRules, channel: &ChannelName, options: &ChannelOptions, data: Payload) -> Result<Payload, ContentError> {
        if !options.publication_data_format.accepts(&data) {
            return Err(ContentError::Format { wanted: options.publication_data_format });
        }
        let reads = options.reads_payloads();
        let bytes_max = match options.publication_max_size.bytes() {
            0 if reads => READ_BYTES_MAX,
            0 => usize::MAX,
            max => max,
        };
        must_fit(&data, bytes_max)?;
        let depth_max = match options.publication_max_depth {
            0 if reads => READ_DEPTH_MAX,
            max => max,
        };
        if depth_max > 0 && data.is_json() && depth::exceeds(&data, depth_max) {
            return Err(ContentError::TooDeep { max: depth_max });
        }
        if !reads {
            return Ok(data);
        }
        if !data.is_json() {
            return Err(ContentError::Unreadable { reason: "no JSON at all".to_string() });
        }
        let rule = match rules.namespace(channel) {
            "" => self.without_namespace.as_ref(),
            namespace => self.by_namespace.get(namespace),
        };
        rule.ok_or_else(|| ContentError::NoRule { channel: channel.clone() })?.apply(data, bytes_max)
    }
}

/// A schema that cannot be used, and the option that it stands in.
#[derive(Debug, thiserror::Error)]
#[error("{path}.publication_schema")]
pub struct ContentRuleError {
    path: String,
    source: SchemaError,
}

fn must_fit(data: &Payload, max: usize) -> Result<(), ContentError> {
    if data.len() > max { Err(ContentError::TooLarge { bytes: data.len(), max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{NameSyntax, READ_DEPTH_LIMIT, SchemaSource};
    use crate::units::ByteSize;
    use bytes::Bytes;
    use serde_json::json;

    fn judge(options: ChannelOptions, data: impl Into<Bytes>) -> Result<String, String> {
        let namespaces = vec![Namespace { name: "chat".to_string(), options }];
        let content = ContentRules::new(&ChannelOptions::default(), &namespaces).unwrap();
        let rules = ChannelRules::new(NameSyntax::default(), ChannelOptions::default(), namespaces).unwrap();
        let channel = ChannelName::new("chat:1");
        let options = rules.options(&channel).unwrap();
        let admitted = content.admit(&rules, &channel, options, Payload::from_bytes(data.into()));
        admitted.map(|data| String::from_utf8_lossy(&data).into_owned()).map_err(|error| error.refusal().message().into_owned())
    }

    fn ok(text: &str) -> Result<String, String> {
        Ok(text.to_string())
    }
    fn refused(text: &str) -> Result<String, String> {
        Err(format!("bad request: {text}"))
    }

    #[test]
    fn what_a_namespace_does_not_demand_is_let_through_untouched() {
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        for data in ["1", "{\"a\": \"<script>\"}", "no json", &deep] {
            assert_eq!(judge(ChannelOptions::default(), data.to_string()), ok(data));
        }
        assert_eq!(judge(ChannelOptions::default(), ""), Err("bad request".to_string()));
    }

    #[test]
    fn size_and_depth_end_where_they_are_told_to() {
        let sized = |bytes| ChannelOptions { publication_max_size: ByteSize::new(bytes), ..ChannelOptions::default() };
        assert_eq!(judge(sized(4), "1234"), ok("1234"));
        assert_eq!(judge(sized(3), "1234"), refused("4 bytes are more than the 3 that its namespace takes"));
        assert_eq!(judge(sized(3), "\u{ff}\u{ff}"), refused("4 bytes are more than the 3 that its namespace takes"), "bytes that are no JSON too");
        let deep = |levels| ChannelOptions { publication_max_depth: levels, ..ChannelOptions::default() };
        assert_eq!(judge(deep(2), "[{\"a\":1}]"), ok("[{\"a\":1}]"));
        assert_eq!(judge(deep(1), "[{\"a\":1}]"), refused("objects and arrays are more than 1 levels deep"));
        assert_eq!(judge(deep(1), "[[[ no json"), ok("[[[ no json"));
    }

    #[test]
    fn what_is_read_is_bounded_even_where_nothing_says_so() {
        let schema = SchemaSource::Inline(json!({}).as_object().unwrap().clone());
        let options = ChannelOptions { publication_schema: schema, ..ChannelOptions::default() };
        let text = |bytes: usize| format!("\"{}\"", "a".repeat(bytes - 2));
        assert_eq!(judge(options.clone(), text(READ_BYTES_MAX)), Ok(text(READ_BYTES_MAX)));
        assert_eq!(judge(options.clone(), text(65_537)), refused("65537 bytes are more than the 65536 that its namespace takes"));
        assert_eq!(judge(options.clone(), "[".repeat(65) + &"]".repeat(65)), refused("objects and arrays are more than 64 levels deep"));
        let deepest = ChannelOptions { publication_max_depth: READ_DEPTH_LIMIT, ..options };
        let nested = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(judge(deepest, nested.clone()), Ok(nested), "the parser goes as deep as may be allowed");
    }

    #[test]
    fn a_payload_is_cleaned_before_it_is_judged() {
        let schema = json!({ "properties": { "text": { "maxLength": 5 } } });
        let options = ChannelOptions {
            publication_sanitize_html: true,
            publication_schema: SchemaSource::Inline(schema.as_object().unwrap().clone()),
            ..ChannelOptions::default()
        };
        assert_eq!(judge(options.clone(), r#"{"text":"<script>alert(1)</script>hi"}"#), ok(r#"{"text":"hi"}"#));
        assert_eq!(judge(options.clone(), r#"{"text":"a < b"}"#), refused(r#""/text": the value is longer than 5 characters"#));
        assert_eq!(judge(options.clone(), r#"{"text":"\ud800"}"#).unwrap_err().split(':').nth(1), Some(" the payload is not JSON that can be read"));
        assert_eq!(judge(options, "<b>"), refused("the payload is not JSON that can be read: no JSON at all"));
    }

    #[test]
    fn what_grows_by_cleaning_must_still_fit() {
        let options = ChannelOptions { publication_sanitize_html: true, publication_max_size: ByteSize::new(10), ..ChannelOptions::default() };
        assert_eq!(judge(options, "\"<&&&&\""), refused("26 bytes are more than the 10 that its namespace takes"));
    }

    #[test]
    fn without_its_rule_nothing_is_let_through() {
        let options = ChannelOptions { publication_sanitize_html: true, ..ChannelOptions::default() };
        let rules = ChannelRules::new(NameSyntax::default(), options, Vec::new()).unwrap();
        let channel = ChannelName::new("a");
        let admitted = ContentRules::default().admit(&rules, &channel, rules.options("a").unwrap(), Payload::from_json(Bytes::from_static(b"1")));
        assert_eq!(admitted, Err(ContentError::NoRule { channel }));
    }

    #[test]
    fn a_schema_that_cannot_be_used_names_its_option() {
        let options = ChannelOptions { publication_schema: SchemaSource::Text("/nowhere/schema.json".to_string()), ..ChannelOptions::default() };
        let error = ContentRules::new(&ChannelOptions::default(), &[Namespace { name: "a".to_string(), options }]).err().unwrap();
        assert_eq!(error.to_string(), "channel.namespaces[0].publication_schema");
    }
}
