//! What the doctor says: which check, how bad, what was seen, what to do about it.

use crate::said::{Figure, Said, Sentence};
use serde::Serialize;
use std::time::Duration;

/// How bad it is. Ordered: the worst finding is the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Fine,
    /// Neither good nor bad; good to know.
    Note,
    /// The hub copes, but something is lost or late.
    Warning,
    /// The hub cannot read this feed, or not as it should.
    Problem,
}

/// What was looked at: a closed set, so that programs can choose by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    Address,
    Proxy,
    Name,
    Tcp,
    Tls,
    Redirect,
    Status,
    ContentType,
    Headers,
    SecondConnection,
    Stream,
    Buffering,
    Heartbeat,
    Rate,
    Size,
    EventNames,
    Ids,
    Retry,
    Text,
    Data,
    Delay,
    Resume,
    Head,
}

impl Check {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Proxy => "proxy",
            Self::Name => "name",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Redirect => "redirect",
            Self::Status => "status",
            Self::ContentType => "content_type",
            Self::Headers => "headers",
            Self::SecondConnection => "second_connection",
            Self::Stream => "stream",
            Self::Buffering => "buffering",
            Self::Heartbeat => "heartbeat",
            Self::Rate => "rate",
            Self::Size => "size",
            Self::EventNames => "event_names",
            Self::Ids => "ids",
            Self::Retry => "retry",
            Self::Text => "text",
            Self::Data => "data",
            Self::Delay => "delay",
            Self::Resume => "resume",
            Self::Head => "head",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub check: Check,
    pub level: Level,
    /// What was seen, in one sentence without a full stop. What a stranger wrote stands in quotes, shortened and escaped.
    pub result: String,
    /// What it means for the hub, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The result as data.
    pub said: Said,
    /// The advice as data, sentence by sentence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advised: Vec<Said>,
}

impl Finding {
    pub fn fine(check: Check, Sentence { text, said }: Sentence) -> Self {
        Self { check, level: Level::Fine, result: text, advice: None, said, advised: Vec::new() }
    }
    pub fn note(check: Check, result: Sentence) -> Self {
        Self { level: Level::Note, ..Self::fine(check, result) }
    }
    pub fn warning(check: Check, result: Sentence, advice: impl Into<Vec<Sentence>>) -> Self {
        Self { level: Level::Warning, ..Self::fine(check, result) }.advise(advice)
    }
    pub fn problem(check: Check, result: Sentence, advice: impl Into<Vec<Sentence>>) -> Self {
        Self { level: Level::Problem, ..Self::warning(check, result, advice) }
    }
    pub fn advise(self, advice: impl Into<Vec<Sentence>>) -> Self {
        let (texts, advised): (Vec<_>, Vec<_>) = advice.into().into_iter().map(|Sentence { text, said }| (text, said)).unzip();
        Self { advice: Some(texts.join(" ")), advised, ..self }
    }
}

/// Characters of a stranger's text that are repeated.
const SHOWN_CHARS_MAX: usize = 80;

/// A stranger's text as it may stand on a terminal and in a log: in quotes, shortened, every control character escaped.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

/// A time for people: milliseconds below ten seconds, tenths below two minutes.
pub fn time(time: Duration) -> Figure {
    let shown = match time.as_millis() {
        ms @ 0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{:.1} s", time.as_secs_f64()),
        120_000..7_200_000 => format!("{} min", time.as_secs() / 60),
        _ => format!("{} h", time.as_secs() / 3_600),
    };
    Figure::new(shown, u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// A number of bytes for people.
pub fn bytes(bytes: u64) -> Figure {
    let shown = match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    };
    Figure::new(shown, bytes)
}

/// `1 event`, `2 events`.
pub fn count(number: u64, thing: &str) -> Figure {
    Figure::new(if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_cannot_draw_on_the_terminal() {
        assert_eq!(quoted("a\x1b[31m\r\n\u{202e}b"), "\"a\\u{1b}[31m\\r\\n\\u{202e}b\"");
        assert_eq!(quoted(&"ä".repeat(200)).chars().count(), SHOWN_CHARS_MAX + 3);
    }

    #[test]
    fn figures_for_people() {
        let times: [(u64, &str); 5] = [(7, "7 ms"), (999, "999 ms"), (1_500, "1.5 s"), (130_000, "2 min"), (7_200_000, "2 h")];
        for (ms, text) in times {
            let figure = time(Duration::from_millis(ms));
            assert_eq!((figure.shown.as_str(), figure.value), (text, ms.into()));
        }
        for (number, text) in [(0, "0 B"), (1_536, "1.5 KiB"), (3 << 20, "3.0 MiB")] {
            assert_eq!(bytes(number).shown, text);
        }
        assert_eq!((count(1, "event").shown, count(2, "event").shown), ("1 event".to_string(), "2 events".to_string()));
    }

    #[test]
    fn the_worst_level_is_the_greatest() {
        assert!(Level::Fine < Level::Note && Level::Note < Level::Warning && Level::Warning < Level::Problem);
    }

    #[test]
    fn programs_and_people_read_the_same_names() {
        for check in [Check::Address, Check::ContentType, Check::SecondConnection, Check::EventNames, Check::Head] {
            assert_eq!(serde_json::to_value(check).unwrap(), check.as_str());
        }
    }
}
