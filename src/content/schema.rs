//! A namespace's JSON Schema: read, compiled once, asked for each payload.
//!
//! Draft 4, 6, 7, 2019-09 or 2020-12, as `$schema` says, and 2020-12 where it says nothing. A schema refers to nothing outside of itself: no
//! file, no address. `format` is checked, whatever the draft makes of it. Regular expressions are those that run in linear time: what a
//! schema's author finds out at the start, by a pattern that is refused, a stranger's payload cannot make use of.

use super::ContentError;
use crate::channel::{Payload, SchemaSource};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use std::io::Read;

/// Bytes of a schema's file.
const FILE_BYTES_MAX: u64 = 1_024 * 1_024;

/// Bytes that one compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1_024 * 1_024;

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("cannot read {path}")]
    File { path: String, source: std::io::Error },
    #[error("{path} is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge { path: String },
    #[error("the schema is not JSON")]
    NotJson { source: serde_json::Error },
    #[error("the schema cannot be used, at \"{pointer}\": {reason}")]
    Unusable { pointer: String, reason: String },
}

pub struct Schema(Validator);

impl Schema {
    /// Reads the file, if one is named.
    pub fn load(source: &SchemaSource) -> Result<Self, SchemaError> {
        match source {
            SchemaSource::Inline(schema) => Self::compile(&Value::Object(schema.clone())),
            SchemaSource::Text(text) if text.trim_start().starts_with('{') => Self::parse(text.as_bytes()),
            SchemaSource::Text(path) => Self::parse(&read(path)?),
        }
    }

    fn parse(text: &[u8]) -> Result<Self, SchemaError> {
        Self::compile(&serde_json::from_slice(text).map_err(|source| SchemaError::NotJson { source })?)
    }

    fn compile(schema: &Value) -> Result<Self, SchemaError> {
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX);
        let options =
            jsonschema::options().offline().with_pattern_options(patterns).should_validate_formats(true).should_ignore_unknown_formats(false);
        options
            .build(schema)
            .map(Self)
            .map_err(|error| SchemaError::Unusable { pointer: error.instance_path().to_string(), reason: error.to_string() })
    }

    /// Says of a payload that does not fit where it does not, first place first, without repeating what stands there.
    pub fn check(&self, data: &Payload) -> Result<(), ContentError> {
        let value: Value = serde_json::from_slice(data).map_err(|error| ContentError::Unreadable { reason: error.to_string() })?;
        self.0.validate(&value).map_err(|error| {
            let reason = error.masked_with("the value").to_string();
            ContentError::Schema { pointer: error.instance_path().to_string(), reason }
        })
    }
}

fn read(path: &str) -> Result<Vec<u8>, SchemaError> {
    let failed = |source| SchemaError::File { path: path.to_string(), source };
    let mut text = Vec::new();
    // One byte more than it may have: enough to see that it has more.
    std::fs::File::open(path).map_err(failed)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX { Err(SchemaError::TooLarge { path: path.to_string() }) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    fn schema(schema: Value) -> Schema {
        Schema::compile(&schema).unwrap_or_else(|error| panic!("{error}"))
    }

    fn check(schema: &Schema, data: &str) -> Result<(), String> {
        schema.check(&Payload::from_bytes(Bytes::copy_from_slice(data.as_bytes()))).map_err(|error| error.to_string())
    }

    #[test]
    fn a_payload_fits_or_is_told_where_not() {
        let schema = schema(json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "maxLength": 8 },
                "tags": { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
                "mail": { "format": "email" },
                "a/b~c": { "type": "integer" },
            },
            "additionalProperties": false,
        }));
        for fits in [r#"{"name":"anna"}"#, r#"{"name":"anna","tags":["a","b"],"mail":"a@b.org","a/b~c":1}"#] {
            assert_eq!(check(&schema, fits), Ok(()), "{fits}");
        }
        let cases = [
            ("1", r#""": the value is not of type "object""#),
            ("{}", r#""": "name" is a required property"#),
            (r#"{"name":1}"#, r#""/name": the value is not of type "string""#),
            (r#"{"name":"s3cret-value"}"#, r#""/name": the value is longer than 8 characters"#),
            (r#"{"name":"a","tags":["a",2]}"#, r#""/tags/1": the value is not of type "string""#),
            (r#"{"name":"a","tags":["a","a"]}"#, r#""/tags": the value has non-unique elements"#),
            (r#"{"name":"a","mail":"x"}"#, r#""/mail": the value is not a "email""#),
            (r#"{"name":"a","a/b~c":"x"}"#, r#""/a~1b~0c": the value is not of type "integer""#),
        ];
        for (data, told) in cases {
            assert_eq!(check(&schema, data).unwrap_err(), told, "{data}");
        }
        assert!(check(&schema, r#"{"name":"a","x":1}"#).unwrap_err().starts_with(r#""": Additional properties are not allowed"#));
    }

    #[test]
    fn a_number_that_no_number_can_hold_is_refused() {
        let told = check(&schema(json!({})), "1e400").unwrap_err();
        assert!(told.contains("number out of range"), "{told}");
    }

    #[test]
    fn a_schema_reaches_nothing_outside_of_itself() {
        for address in ["https://127.0.0.1:9/schema.json", "http://127.0.0.1:9/", "file:///etc/hostname", "other.json"] {
            let error = Schema::compile(&json!({ "$ref": address })).err().unwrap_or_else(|| panic!("{address} was taken"));
            assert!(matches!(error, SchemaError::Unusable { .. }), "{error}");
            assert!(Schema::compile(&json!({ "$schema": address })).is_err(), "{address}");
        }
        let within = schema(json!({ "$ref": "#/$defs/n", "$defs": { "n": { "type": "integer" } } }));
        assert_eq!((check(&within, "1").is_ok(), check(&within, "\"1\"").is_ok()), (true, false));
    }

    #[test]
    fn what_cannot_be_used_is_said_at_the_start() {
        let unusable = [
            json!({ "type": "objekt" }),
            json!({ "maxLength": -1 }),
            json!({ "pattern": "(" }),
            json!({ "pattern": "(?=a)b" }),
            json!({ "pattern": "(a{1000}){1000}" }),
            json!({ "format": "e-mail" }),
            json!({ "$ref": "#/$defs/none" }),
        ];
        for schema in unusable {
            assert!(matches!(Schema::compile(&schema), Err(SchemaError::Unusable { .. })), "{schema}");
        }
        assert!(matches!(Schema::load(&SchemaSource::Text("{".to_string())), Err(SchemaError::NotJson { .. })));
        assert!(matches!(Schema::load(&SchemaSource::Text("/nowhere".to_string())), Err(SchemaError::File { .. })));
    }

    #[test]
    fn schemas_come_from_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.json");
        std::fs::write(&path, r#"{"type":"integer"}"#).unwrap();
        let path = SchemaSource::Text(path.display().to_string());
        assert_eq!(check(&Schema::load(&path).unwrap(), "1.5").unwrap_err(), r#""": the value is not of type "integer""#);
        std::fs::write(folder.path().join("schema.json"), vec![b' '; FILE_BYTES_MAX as usize + 1]).unwrap();
        assert!(matches!(Schema::load(&path), Err(SchemaError::TooLarge { .. })));
    }

    #[test]
    fn each_draft_is_understood_as_itself() {
        // In draft 4 a boolean says whether the maximum is exclusive, in the later ones a number says which one is.
        let draft_4 = schema(json!({ "$schema": "http://json-schema.org/draft-04/schema#", "maximum": 3, "exclusiveMaximum": true }));
        let draft_7 = schema(json!({ "$schema": "http://json-schema.org/draft-07/schema#", "exclusiveMaximum": 3 }));
        let none_said = schema(json!({ "prefixItems": [{ "type": "integer" }] }));
        for later in [&draft_4, &draft_7] {
            assert_eq!((check(later, "2").is_ok(), check(later, "3").is_ok()), (true, false));
        }
        assert_eq!((check(&none_said, "[1]").is_ok(), check(&none_said, "[\"1\"]").is_ok()), (true, false));
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let tree = schema(json!({ "type": "object", "properties": { "next": { "$ref": "#" } } }));
        let deep = r#"{"next":"#.repeat(60) + "1" + &"}".repeat(60);
        assert!(check(&tree, &deep).unwrap_err().starts_with("\"/next/next/"));
        if let Ok(loop_of_one) = Schema::compile(&json!({ "$ref": "#" })) {
            let _ = check(&loop_of_one, "1");
        }
    }
}
