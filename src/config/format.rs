//! Text of a configuration file to a plain tree of values: TOML, YAML or JSON.
//!
//! A configuration is read before anything that could contain a mistake is running, so every reader here is bounded: size of the text, depth, and
//! number of values (YAML's aliases can make a gigabyte out of a line). What one of the formats lets pass silently and hardly anybody means,
//! a name given twice, is an error in all three. Messages never quote the text, since the line that is wrong may hold a secret.

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use toml::de::{DeTable, DeValue};
use yaml_rust2::Yaml;
use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::TScalarStyle;

/// Bytes of a configuration file. The fullest one imaginable, thousands of namespaces, stays far below.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Levels of a YAML document. The tree of options has five; TOML's reader has a limit of 80 of its own, JSON's of 128.
const YAML_DEPTH_MAX: usize = 64;

/// Values in a YAML document, those that aliases repeat included.
const YAML_VALUES_MAX: usize = 200_000;

/// How a configuration file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Toml,
    Yaml,
    Json,
}

impl Format {
    /// By the extension of the file's name.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
            Self::Json => "JSON",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("a configuration has at most {FILE_BYTES_MAX} bytes, this one has {bytes}")]
    TooLarge { bytes: usize },
    #[error("byte {position} is not UTF-8: this is not a text file")]
    NotText { position: usize },
    #[error("line {line}, column {column}: {message} (read as {format})")]
    Syntax { format: Format, line: usize, column: usize, message: String },
    #[error("options have names, so the outermost value must be a table of them, not {found}")]
    NotATable { found: &'static str },
}

/// Reads a whole configuration file. Values that are null count as not written.
pub(super) fn parse(text: &[u8], format: Format) -> Result<Map<String, Value>, FormatError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(FormatError::TooLarge { bytes: text.len() });
    }
    let text = std::str::from_utf8(text).map_err(|error| FormatError::NotText { position: error.valid_up_to() })?;
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = match format {
        Format::Toml => toml(text)?,
        Format::Yaml => yaml(text)?,
        Format::Json => json(text)?,
    };
    match value {
        Value::Object(table) => Ok(table),
        Value::Null => Ok(Map::new()),
        Value::Array(_) => Err(FormatError::NotATable { found: "a list" }),
        Value::String(_) => Err(FormatError::NotATable { found: "a text" }),
        Value::Number(_) => Err(FormatError::NotATable { found: "a number" }),
        Value::Bool(_) => Err(FormatError::NotATable { found: "true or false" }),
    }
}

// === JSON ===

/// Reads one JSON value, refusing repeated names.
pub(super) fn json(text: &str) -> Result<Value, FormatError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Unrepeated.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        let message = error.to_string();
        // The position is told by the error that we make of it.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_string();
        FormatError::Syntax { format: Format::Json, line: error.line(), column: error.column(), message }
    })
}

/// Any JSON value in which no object has a name twice, and members that are null are left out.
struct Unrepeated;

impl<'de> DeserializeSeed<'de> for Unrepeated {
    type Value = Value;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unrepeated {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(Self)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut table = Table::default();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Self)?;
            table.insert(name, value).map_err(de::Error::custom)?;
        }
        Ok(table.finish())
    }
}

/// Names with their values. Remembers null ones too, to notice a repetition, and leaves them out in the end.
#[derive(Default)]
struct Table(Map<String, Value>);

impl Table {
    fn insert(&mut self, name: String, value: Value) -> Result<(), String> {
        if self.0.contains_key(&name) {
            return Err(format!("{} is given twice", shorten(&name)));
        }
        self.0.insert(name, value);
        Ok(())
    }
    fn finish(mut self) -> Value {
        self.0.retain(|_, value| !value.is_null());
        Value::Object(self.0)
    }
}

/// A name as it may stand in a message: not longer than a line.
pub(super) fn shorten(name: &str) -> String {
    const CHARS_MAX: usize = 60;
    match name.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", name[..end].escape_debug()),
        None => name.escape_debug().to_string(),
    }
}

/// JSON has neither infinity nor NaN, and no option takes them. As text they meet the error of a wrong type, which names them.
fn float(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| Value::from(value.to_string()), Value::Number)
}

// === TOML ===

fn toml(text: &str) -> Result<Value, FormatError> {
    let table = DeTable::parse(text).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        FormatError::Syntax { format: Format::Toml, line, column, message: error.message().trim().replace('\n', ", ") }
    })?;
    toml_table(text, table.into_inner())
}

fn toml_table(text: &str, table: DeTable<'_>) -> Result<Value, FormatError> {
    let mut converted = Map::new();
    for (name, value) in table {
        let start = value.span().start;
        let value = toml_value(text, start, value.into_inner())?;
        converted.insert(name.into_inner().into_owned(), value);
    }
    Ok(Value::Object(converted))
}

fn toml_value(text: &str, start: usize, value: DeValue<'_>) -> Result<Value, FormatError> {
    let wrong = |message: &str| {
        let (line, column) = position(text, start);
        FormatError::Syntax { format: Format::Toml, line, column, message: message.to_string() }
    };
    Ok(match value {
        DeValue::String(text) => Value::from(text.into_owned()),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Integer(number) => Value::from(i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| wrong("the number is too large"))?),
        DeValue::Float(number) => float(number.as_str().parse().map_err(|_| wrong("the number is too large"))?),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(list) => {
            let values = list.into_iter().map(|value| toml_value(text, value.span().start, value.into_inner()));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => toml_table(text, table)?,
    })
}

/// Line and column, both from 1, of a byte.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..byte.min(text.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    (1 + memchr::memchr_iter(b'\n', before).count(), 1 + before.len() - line_start)
}

// === YAML ===

/// A list or table that is not complete yet.
enum Open {
    List { anchor: usize, items: Vec<Value> },
    Table { anchor: usize, members: Table, name: Option<String> },
}

/// Reads event by event instead of by the crate's own loader, which recurses without a limit and copies what aliases name without one.
fn yaml(text: &str) -> Result<Value, FormatError> {
    let mut parser = Parser::new_from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, (Value, usize)> = HashMap::new();
    let mut values = 0;
    let mut root = None;
    loop {
        let (event, mark) = parser.next_token().map_err(|error| {
            let message = error.info().to_string();
            FormatError::Syntax { format: Format::Yaml, line: error.marker().line(), column: error.marker().col() + 1, message }
        })?;
        let wrong =
            |message: &str| FormatError::Syntax { format: Format::Yaml, line: mark.line(), column: mark.col() + 1, message: message.to_string() };
        values += 1;
        if values > YAML_VALUES_MAX {
            return Err(wrong("more values than any configuration has"));
        }
        let (anchor, value) = match event {
            Event::StreamEnd => return Ok(root.unwrap_or(Value::Null)),
            Event::DocumentStart if root.is_some() => return Err(wrong("a second document begins; there may be one")),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= YAML_DEPTH_MAX => {
                return Err(wrong("deeper than any configuration is"));
            }
            Event::SequenceStart(anchor, _) => {
                open.push(Open::List { anchor, items: Vec::new() });
                continue;
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open::Table { anchor, members: Table::default(), name: None });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List { anchor, items }) => (anchor, Value::Array(items)),
                Some(Open::Table { anchor, members, .. }) => (anchor, members.finish()),
                None => return Err(wrong("an end without a beginning")),
            },
            Event::Scalar(text, style, anchor, tag) => {
                // Only what is written without quotes can be anything but a text.
                let is_text = style != TScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
                (anchor, if is_text { Value::from(text) } else { yaml_plain(&text) })
            }
            Event::Alias(anchor) => {
                let (value, weight) = anchors.get(&anchor).ok_or_else(|| wrong("an alias of something that is not complete"))?;
                values = values.saturating_add(*weight);
                if values > YAML_VALUES_MAX {
                    return Err(wrong("more values than any configuration has"));
                }
                (0, value.clone())
            }
            Event::Nothing | Event::StreamStart | Event::DocumentStart | Event::DocumentEnd => continue,
        };
        // Anchor 0 means none.
        if anchor > 0 {
            anchors.insert(anchor, (value.clone(), weight(&value)));
            values = values.saturating_add(weight(&value));
        }
        match open.last_mut() {
            None => root = Some(value),
            Some(Open::List { items, .. }) => items.push(value),
            Some(Open::Table { members, name, .. }) => match name.take() {
                Some(name) => members.insert(name, value).map_err(|message| wrong(&message))?,
                None => match value {
                    Value::String(text) => *name = Some(text),
                    Value::Number(number) => *name = Some(number.to_string()),
                    Value::Bool(flag) => *name = Some(flag.to_string()),
                    Value::Null | Value::Array(_) | Value::Object(_) => return Err(wrong("the name of an option must be a text")),
                },
            },
        }
    }
}

fn yaml_plain(text: &str) -> Value {
    match Yaml::from_str(text) {
        Yaml::Null => Value::Null,
        Yaml::Boolean(value) => Value::Bool(value),
        Yaml::Integer(value) => Value::from(value),
        Yaml::Real(number) => number.parse().map_or_else(|_| Value::from(text), float),
        _ => Value::from(text),
    }
}

/// The number of values in a value, itself included.
fn weight(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(weight).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const FORMATS: [Format; 3] = [Format::Toml, Format::Yaml, Format::Json];

    fn text(format: Format, text: &str) -> Result<Value, String> {
        parse(text.as_bytes(), format).map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn the_same_tree_is_read_from_every_format() {
        let tree =
            json!({"http_server": {"port": 9000, "address": "::1"}, "client": {"insecure": true, "allowed_origins": ["*"]}, "x": 1.5, "y": -3});
        let toml = "x = 1.5\ny = -3\n[http_server]\nport = 0x2328\naddress = \"::1\"\n[client]\ninsecure = true\nallowed_origins = [\"*\"]\n";
        assert_eq!(text(Format::Toml, toml).unwrap(), tree);
        let yaml = "http_server: {port: 9000, address: '::1'}\nclient:\n  insecure: true\n  allowed_origins:\n    - '*'\nx: 1.5\ny: -3\n";
        assert_eq!(text(Format::Yaml, yaml).unwrap(), tree);
        assert_eq!(text(Format::Json, &tree.to_string()).unwrap(), tree);
        assert_eq!(text(Format::Toml, "\u{feff}x = 1").unwrap(), json!({"x": 1}));
    }

    #[test]
    fn an_empty_file_says_nothing_and_null_says_as_much() {
        assert_eq!(text(Format::Toml, "").unwrap(), json!({}));
        assert_eq!(text(Format::Yaml, "").unwrap(), json!({}));
        assert_eq!(text(Format::Yaml, "# nothing\n").unwrap(), json!({}));
        assert_eq!(text(Format::Yaml, "client:\nlog: ~\n").unwrap(), json!({}));
        assert_eq!(text(Format::Json, r#"{"client": null, "log": {"level": null}}"#).unwrap(), json!({"log": {}}));
        assert!(text(Format::Json, "").unwrap_err().contains("line 1"), "an empty file is no JSON");
    }

    #[test]
    fn mistakes_are_told_with_their_place_and_without_their_text() {
        let cases = [
            (Format::Toml, "a = 1\nb = \"hush", "line 2"),
            (Format::Toml, "a = 1\na = 2", "line 2"),
            (Format::Toml, "a = 99999999999999999999", "the number is too large"),
            (Format::Toml, "hush", "line 1"),
            (Format::Yaml, "a: 1\n b: {hush", "line 2"),
            (Format::Yaml, "a: 1\na: 2", "a is given twice"),
            (Format::Yaml, "a: 1\n---\nb: 2", "a second document"),
            (Format::Yaml, "[hush]: 1", "must be a text"),
            (Format::Yaml, "a: &x [*x]", "not complete"),
            (Format::Yaml, "- 1\n- 2", "not a list"),
            (Format::Yaml, "hush", "not a text"),
            (Format::Json, "{\"a\": 1,\n \"a\": 2}", "line 2, column 8: a is given twice"),
            (Format::Json, "{\"a\": null, \"a\": 2}", "a is given twice"),
            (Format::Json, "{\"a\": 1} {\"hush\": 1}", "trailing characters"),
            (Format::Json, "{\"a\": 1e999}", "number out of range"),
            (Format::Json, "17", "not a number"),
        ];
        for (format, input, expected) in cases {
            let error = text(format, input).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hush"), "{input:?} as {format}: {error}");
        }
        assert_eq!(parse(b"a = \"\xff\"", Format::Toml), Err(FormatError::NotText { position: 5 }));
        assert_eq!(parse(&vec![b' '; FILE_BYTES_MAX + 1], Format::Toml), Err(FormatError::TooLarge { bytes: FILE_BYTES_MAX + 1 }));
        assert!(parse(&vec![b' '; FILE_BYTES_MAX], Format::Toml).is_ok());
    }

    #[test]
    fn depth_and_aliases_cannot_exhaust_the_machine() {
        const DEEP: usize = 100_000;
        let hostile = [
            (Format::Toml, format!("a = {}", "[".repeat(DEEP))),
            (Format::Toml, format!("a = {}1{}", "[".repeat(DEEP), "]".repeat(DEEP))),
            (Format::Toml, format!("{}a = 1", "a.".repeat(DEEP))),
            (Format::Toml, format!("[{}a]", "a.".repeat(DEEP))),
            (Format::Toml, format!("a = {}1{}", "{ a = ".repeat(DEEP), "}".repeat(DEEP))),
            (Format::Yaml, format!("a: {}", "[".repeat(DEEP))),
            (Format::Yaml, format!("a: {}", "{a: ".repeat(DEEP))),
            (Format::Yaml, "- ".repeat(DEEP)),
            (Format::Yaml, "? ".repeat(DEEP)),
            (Format::Json, "[".repeat(DEEP)),
            (Format::Json, "{\"a\":".repeat(DEEP)),
        ];
        for (format, input) in hostile {
            assert!(text(format, &input).is_err(), "{format}: {}", &input[..40]);
        }
        let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_string();
        for level in 1..30 {
            let below = format!("*a{}", level - 1);
            laughs.push_str(&format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(",")));
        }
        assert!(text(Format::Yaml, &laughs).unwrap_err().contains("more values"));
        assert_eq!(text(Format::Yaml, "a: &x {b: 1}\nc: *x").unwrap(), json!({"a": {"b": 1}, "c": {"b": 1}}));
    }

    proptest! {
        #[test]
        fn no_input_makes_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), tame in "[a-z0-9=:{}\\[\\]\"'&*|>#., \n-]{0,80}") {
            for format in FORMATS {
                let _ = parse(&bytes, format);
                let _ = parse(tame.as_bytes(), format);
            }
        }
    }
}
