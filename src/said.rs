//! Sentences that the hub says of what it has found: for people as English text, for programs as a code and the values that stand in it, so that
//! a page can say the same in its reader's language.
//!
//! Used by whoever finds something: the doctor for feeds, the reports, the alerts. A code names one sentence for ever: one that says something else is given
//! another code. Deliberately not here: other languages, which belong to whoever shows them (`static/src/lib/i18n`).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// What a sentence is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Said {
    /// Names the sentence.
    pub code: String,
    /// What stands in it. A name that ends in `_ms`, `_bytes`, `_percent` or `_share` (of one) says its unit; texts are as the English has them.
    pub values: BTreeMap<String, Value>,
}

/// A sentence in both ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Sentence {
    /// For people, in English.
    pub text: String,
    pub said: Said,
}

/// One value: as the English text shows it, and as it is.
pub struct Figure {
    pub shown: String,
    pub value: Value,
}

impl Figure {
    pub fn new(shown: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { shown: shown.into(), value: value.into() }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

impl From<String> for Figure {
    fn from(text: String) -> Self {
        Self { value: Value::from(text.as_str()), shown: text }
    }
}

impl From<&str> for Figure {
    fn from(text: &str) -> Self {
        Self::from(text.to_string())
    }
}

impl From<u64> for Figure {
    fn from(number: u64) -> Self {
        Self::new(number.to_string(), number)
    }
}

impl From<f64> for Figure {
    fn from(number: f64) -> Self {
        Self::new(number.to_string(), number)
    }
}

impl From<usize> for Figure {
    fn from(number: usize) -> Self {
        Self::new(number.to_string(), number)
    }
}

/// Advice is one sentence, or several.
impl From<Sentence> for Vec<Sentence> {
    fn from(sentence: Sentence) -> Self {
        vec![sentence]
    }
}

/// A [`Sentence`]: its code, its English text, and a value for each name in it; a value whose variable has that name needs no more than it.
macro_rules! said {
    (@value $name:ident) => { $crate::said::Figure::from($name) };
    (@value $name:ident = $value:expr) => { $crate::said::Figure::from($value) };
    ($code:literal, $english:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {{
        $(let $name = $crate::said::said!(@value $name $(= $value)?);)*
        $crate::said::Sentence {
            text: format!($english $(, $name = $name)*),
            said: $crate::said::Said {
                code: $code.to_string(),
                values: [$((stringify!($name).to_string(), $name.value)),*].into(),
            },
        }
    }};
}
pub(crate) use said;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_are_told_the_same() {
        let size_bytes = Figure::new("1.5 KiB", 1_536);
        let sentence = said!("test.size", "{name} holds {size_bytes} in {lines} lines, see {{event}}", name = "\"a\"", size_bytes, lines = 3_u64);
        assert_eq!(sentence.text, "\"a\" holds 1.5 KiB in 3 lines, see {event}");
        let written = serde_json::to_string(&sentence.said).unwrap();
        assert_eq!(written, r#"{"code":"test.size","values":{"lines":3,"name":"\"a\"","size_bytes":1536}}"#);
        assert_eq!(serde_json::from_str::<Said>(&written).unwrap(), sentence.said);
    }

    #[test]
    fn a_sentence_without_values_is_its_code_alone() {
        assert!(said!("test.plain", "nothing").said.values.is_empty());
    }
}
