//! The arguments of a command as somebody types them, read by the command's schema: `--name value`, `--name=value`, or one JSON object.
//!
//! The hub judges them; here a word only becomes the type that its argument has, and a name that the command does not have is told at once.

use crate::cli::shown::inert;
use serde_json::{Map, Value};

/// The member that dangerous commands need.
pub const CONFIRM: &str = "confirm";

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWords {
    #[error("\"{word}\" is not JSON")]
    NotJson { word: String },
    #[error("the command has no argument --{name}{hint}")]
    Unknown { name: String, hint: String },
    #[error("--{name} needs a value")]
    NoValue { name: String },
    #[error("--{name} must be {must}, not \"{word}\"")]
    Wrong { name: String, must: &'static str, word: String },
    #[error("\"{word}\" belongs to no argument; write --name value")]
    Loose { word: String },
    #[error("--{name} is given twice")]
    Twice { name: String },
}

/// Reads `words` by a command's `schema`.
pub fn read(words: &[String], schema: &Value) -> Result<Map<String, Value>, BadWords> {
    let mut read = Map::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word.starts_with('{') {
            let Ok(Value::Object(members)) = serde_json::from_str(word) else { return Err(BadWords::NotJson { word: word.clone() }) };
            read.extend(members);
            continue;
        }
        let Some(rest) = word.strip_prefix("--") else {
            // What the command cannot do without may stand by itself: `sessions.show ID`.
            let name = required(schema).find(|name| !read.contains_key(*name)).ok_or_else(|| BadWords::Loose { word: word.clone() })?;
            put(&mut read, name, schema, word)?;
            continue;
        };
        let (typed, value) = rest.split_once('=').map_or((rest, None), |(name, value)| (name, Some(value.to_string())));
        let name = typed.replace('-', "_");
        let property = schema["properties"].get(&name).ok_or_else(|| unknown(typed, schema))?;
        let value = match value {
            Some(value) => value,
            None if property["type"] == "boolean" => "true".to_string(),
            None => words.next().cloned().ok_or_else(|| BadWords::NoValue { name: typed.to_string() })?,
        };
        put(&mut read, &name, schema, &value)?;
    }
    Ok(read)
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).filter(|name| *name != CONFIRM)
}

fn put(read: &mut Map<String, Value>, name: &str, schema: &Value, word: &str) -> Result<(), BadWords> {
    let property = &schema["properties"][name];
    let wrong = |must| BadWords::Wrong { name: name.to_string(), must, word: word.to_string() };
    let value = match property["type"].as_str() {
        Some("string") => Value::from(word),
        Some("boolean") => Value::from(word.parse::<bool>().map_err(|_| wrong("true or false"))?),
        Some("integer") => Value::from(word.parse::<i64>().map_err(|_| wrong("a whole number"))?),
        // One value each time that it is given.
        Some("array") => {
            let mut items = match read.remove(name) {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            };
            items.push(Value::from(word));
            Value::Array(items)
        }
        _ => serde_json::from_str(word).map_err(|_| wrong("JSON"))?,
    };
    match read.insert(name.to_string(), value) {
        Some(_) => Err(BadWords::Twice { name: name.to_string() }),
        None => Ok(()),
    }
}

fn unknown(typed: &str, schema: &Value) -> BadWords {
    let known: Vec<&str> = schema["properties"]
        .as_object()
        .into_iter()
        .flat_map(|properties| properties.keys())
        .map(String::as_str)
        .filter(|name| *name != CONFIRM)
        .collect();
    let hint = match (nearest(typed, known.iter().copied()), known.is_empty()) {
        (Some(near), _) => format!("; did you mean --{}?", near.replace('_', "-")),
        (None, true) => "; it has none".to_string(),
        (None, false) => format!("; it has {}", known.iter().map(|name| format!("--{}", name.replace('_', "-"))).collect::<Vec<_>>().join(", ")),
    };
    BadWords::Unknown { name: inert(typed).into_owned(), hint }
}

/// The known name that was probably meant.
pub fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// From 0 to 1; below it names have no more in common than any two.
    const LIKENESS_MIN: f64 = 0.6;
    let typed: String = typed.chars().take(64).collect();
    let scored = known.map(|name| (strsim::normalized_damerau_levenshtein(&typed, name), name));
    scored.filter(|(likeness, _)| *likeness >= LIKENESS_MIN).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({ "required": ["session", "confirm"], "properties": {
            "session": { "type": "string" }, "limit": { "type": "integer" }, "deep": { "type": "boolean" }, "retry_after": { "type": "string" },
            "methods": { "type": "array" }, "grants": { "type": "object" }, "data": {}, "confirm": { "const": true },
        } })
    }

    fn words(text: &[&str]) -> Result<Value, String> {
        read(&text.iter().map(ToString::to_string).collect::<Vec<_>>(), &schema()).map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn words_become_what_their_arguments_are() {
        for (typed, expected) in [
            (&[][..], json!({})),
            (&["abc"], json!({ "session": "abc" })),
            (&["--session", "7"], json!({ "session": "7" })),
            (&["--session=--x", "--deep", "--limit", "7"], json!({ "session": "--x", "deep": true, "limit": 7 })),
            (&["--deep=false", "--limit=-1"], json!({ "deep": false, "limit": -1 })),
            (&["--retry-after", "5m", "x"], json!({ "retry_after": "5m", "session": "x" })),
            (&["--methods", "a", "--methods=b"], json!({ "methods": ["a", "b"] })),
            (&["--grants", r#"{"a":["b"]}"#], json!({ "grants": { "a": ["b"] } })),
            (&["--data", "\"text\""], json!({ "data": "text" })),
            (&[r#"{"session":"x","anything":[1]}"#, "--limit", "2"], json!({ "session": "x", "anything": [1], "limit": 2 })),
        ] {
            assert_eq!(words(typed), Ok(expected), "{typed:?}");
        }
    }

    #[test]
    fn words_that_make_no_sense_are_named() {
        for (typed, says) in [
            (&["--sesion", "x"][..], "did you mean --session?"),
            (&["--xyz", "x"], "no argument --xyz; it has --data, --deep, --grants, --limit, --methods, --retry-after, --session"),
            (&["--limit"], "--limit needs a value"),
            (&["--limit", "many"], "--limit must be a whole number, not \"many\""),
            (&["--deep=yes"], "--deep must be true or false"),
            (&["--data", "{"], "--data must be JSON"),
            (&["{\"a\":"], "is not JSON"),
            (&["a", "b"], "\"b\" belongs to no argument"),
            (&["--session", "a", "--session", "b"], "--session is given twice"),
        ] {
            let said = words(typed).expect_err("they make no sense");
            assert!(said.contains(says), "{typed:?}: {said}");
        }
    }
}
