//! Rules as data: what is looked at, when it is wrong, when it is right again, who is told. Pure.

use crate::metrics::catalogue::{FeedMetric, Metric};
use crate::said::{Figure, Sentence, said};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A day, the longest that a condition may have to hold, and a month, the longest pause before something is told again; milliseconds.
const FOR_MS_MAX: u64 = 86_400_000;
const REPEAT_MS_MAX: u64 = 30 * 86_400_000;

/// Something that is wrong without an end is told again, but not more often than this; milliseconds.
const REPEAT_MS_MIN: u64 = 60_000;

const NAME_BYTES_MAX: usize = 48;
const TITLE_BYTES_MAX: usize = 120;
const ADVICE_BYTES_MAX: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Above,
    Below,
    /// There is no reading, where there was one before.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// To be looked at today.
    Warning,
    /// Users are affected now.
    Critical,
}

impl Severity {
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Where it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The channel that pages follow.
    Page,
    Log,
    Webhook,
    Email,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    House(Metric),
    EachFeed(FeedMetric),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub name: String,
    pub metric: String,
    pub condition: Condition,
    #[serde(default)]
    pub value: f64,
    /// Where it is right again: on the good side of `value`, or `value` itself where nothing else is said.
    #[serde(default)]
    pub clear: Option<f64>,
    #[serde(default)]
    pub for_ms: u64,
    #[serde(default)]
    pub clear_for_ms: u64,
    pub severity: Severity,
    /// 0: it is told once.
    #[serde(default)]
    pub repeat_ms: u64,
    #[serde(default = "all_routes")]
    pub routes: Vec<Route>,
    #[serde(default = "yes")]
    pub is_enabled: bool,
    /// `{subject}` stands for the feed's name.
    pub title: String,
    #[serde(default)]
    pub advice: String,
}

fn all_routes() -> Vec<Route> {
    vec![Route::Page, Route::Log, Route::Webhook, Route::Email]
}

fn yes() -> bool {
    true
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    #[error("\"name\" must be 1 to {NAME_BYTES_MAX} of a-z, 0-9 and _")]
    Name,
    #[error("\"metric\": there is no metric {0}; admin.metrics.list lists them")]
    Metric(String),
    #[error("\"{0}\" must be a number")]
    Number(&'static str),
    #[error("\"clear\" must be on the good side of \"value\"")]
    Clear,
    #[error("\"{0}\" must be {1} ms at most")]
    Long(&'static str, u64),
    #[error("\"repeat_ms\" must be 0, for never, or from {REPEAT_MS_MIN} to {REPEAT_MS_MAX}")]
    Repeat,
    #[error("\"routes\" must name each route once")]
    Routes,
    #[error("\"title\" must be 1 to {TITLE_BYTES_MAX} bytes and \"advice\" {ADVICE_BYTES_MAX} at most, without control characters")]
    Words,
}

impl Rule {
    pub fn check(&self) -> Result<About, BadRule> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.bytes().all(is_name) {
            return Err(BadRule::Name);
        }
        let about = self.about().ok_or_else(|| BadRule::Metric(self.metric.chars().take(64).collect()))?;
        if !self.value.is_finite() {
            return Err(BadRule::Number("value"));
        }
        if let Some(clear) = self.clear {
            if !clear.is_finite() {
                return Err(BadRule::Number("clear"));
            }
            let is_good = match self.condition {
                Condition::Above => clear <= self.value,
                Condition::Below => clear >= self.value,
                Condition::Gone => true,
            };
            if !is_good {
                return Err(BadRule::Clear);
            }
        }
        for (name, value) in [("for_ms", self.for_ms), ("clear_for_ms", self.clear_for_ms)] {
            if value > FOR_MS_MAX {
                return Err(BadRule::Long(name, FOR_MS_MAX));
            }
        }
        if self.repeat_ms != 0 && !(REPEAT_MS_MIN..=REPEAT_MS_MAX).contains(&self.repeat_ms) {
            return Err(BadRule::Repeat);
        }
        if self.routes.iter().enumerate().any(|(index, route)| self.routes[..index].contains(route)) {
            return Err(BadRule::Routes);
        }
        let is_good = |text: &str, most: usize| text.len() <= most && !text.chars().any(char::is_control);
        if self.title.is_empty() || !is_good(&self.title, TITLE_BYTES_MAX) || !is_good(&self.advice, ADVICE_BYTES_MAX) {
            return Err(BadRule::Words);
        }
        Ok(about)
    }

    pub fn about(&self) -> Option<About> {
        Metric::parse(&self.metric).map(About::House).or_else(|| FeedMetric::parse(&self.metric).map(About::EachFeed))
    }

    /// Whether a reading is what the rule warns of.
    pub fn holds(&self, value: Option<f64>) -> Option<bool> {
        match (self.condition, value) {
            (Condition::Gone, value) => Some(value.is_none()),
            // A reading that is missing says nothing.
            (Condition::Above | Condition::Below, None) => None,
            (Condition::Above, Some(value)) => Some(value > self.value),
            (Condition::Below, Some(value)) => Some(value < self.value),
        }
    }

    /// Whether a reading is so that it is right again.
    pub fn is_clear(&self, value: Option<f64>) -> Option<bool> {
        let clear = self.clear.unwrap_or(self.value);
        match (self.condition, value) {
            (Condition::Gone, value) => Some(value.is_some()),
            (Condition::Above | Condition::Below, None) => None,
            (Condition::Above, Some(value)) => Some(value <= clear),
            (Condition::Below, Some(value)) => Some(value >= clear),
        }
    }

    /// Of two readings the one that is worse.
    pub fn worse(&self, one: f64, other: f64) -> f64 {
        match self.condition {
            Condition::Below => one.min(other),
            Condition::Above | Condition::Gone => one.max(other),
        }
    }

    /// The rule in words, without what it is about.
    pub fn said(&self) -> Sentence {
        let limit = Figure::from(self.value);
        let for_ms = (self.for_ms > 0).then(|| Figure::new(spoken(self.for_ms), self.for_ms));
        match (self.condition, for_ms) {
            (Condition::Above, None) => said!("rule.above", "The rule: above {limit}.", limit),
            (Condition::Above, Some(for_ms)) => said!("rule.above_for", "The rule: above {limit} for {for_ms}.", limit, for_ms),
            (Condition::Below, None) => said!("rule.below", "The rule: below {limit}.", limit),
            (Condition::Below, Some(for_ms)) => said!("rule.below_for", "The rule: below {limit} for {for_ms}.", limit, for_ms),
            (Condition::Gone, None) => said!("rule.gone", "The rule: without a reading."),
            (Condition::Gone, Some(for_ms)) => said!("rule.gone_for", "The rule: without a reading for {for_ms}.", for_ms),
        }
    }

    /// JSON Schema of what [`Rule`] is read from; what it cannot say is said by [`Rule::check`].
    pub fn schema() -> Value {
        let time = json!({ "type": "integer", "minimum": 0, "maximum": FOR_MS_MAX });
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["name", "metric", "condition", "severity", "title"],
            "properties": {
                "name": { "type": "string", "pattern": "^[a-z0-9_]{1,48}$" },
                "metric": { "type": "string" },
                "condition": { "enum": ["above", "below", "gone"] },
                "value": { "type": "number" },
                "clear": { "type": ["number", "null"] },
                "for_ms": time,
                "clear_for_ms": time,
                "severity": { "enum": ["info", "warning", "critical"] },
                "repeat_ms": { "type": "integer", "minimum": 0, "maximum": REPEAT_MS_MAX },
                "routes": { "type": "array", "items": { "enum": ["page", "log", "webhook", "email"] }, "uniqueItems": true },
                "is_enabled": { "type": "boolean" },
                "title": { "type": "string", "minLength": 1, "maxLength": TITLE_BYTES_MAX },
                "advice": { "type": "string", "maxLength": ADVICE_BYTES_MAX },
            },
        })
    }
}

/// A time as people say it: two units at most.
pub fn spoken(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |one: u64, unit: &str, other: u64, smaller: &str| {
        if other == 0 { format!("{one} {unit}") } else { format!("{one} {unit} {other} {smaller}") }
    };
    match () {
        () if days > 0 => two(days, "d", hours, "h"),
        () if hours > 0 => two(hours, "h", minutes, "min"),
        () if minutes > 0 => two(minutes, "min", seconds % 60, "s"),
        () if seconds > 0 || ms == 0 => format!("{seconds} s"),
        () => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(changes: Value) -> Result<About, String> {
        let mut rule =
            json!({ "name": "latency", "metric": "latency.p99_ms", "condition": "above", "value": 50, "severity": "warning", "title": "Slow" });
        for (name, value) in changes.as_object().unwrap() {
            rule[name] = value.clone();
        }
        let rule: Rule = serde_json::from_value(rule).map_err(|error| error.to_string())?;
        rule.check().map_err(|error| error.to_string())
    }

    #[test]
    fn a_rule_that_cannot_work_is_refused_and_says_why() {
        assert_eq!(rule(json!({})), Ok(About::House(Metric::LatencyP99)));
        assert_eq!(rule(json!({ "metric": "feed.down_seconds" })), Ok(About::EachFeed(FeedMetric::Down)));
        for good in [json!({ "clear": 50 }), json!({ "clear": 40 }), json!({ "condition": "below", "clear": 60 }), json!({ "routes": [] })] {
            assert!(rule(good.clone()).is_ok(), "{good}");
        }
        for (bad, says) in [
            (json!({ "name": "" }), "name"),
            (json!({ "name": "Latency" }), "name"),
            (json!({ "name": "a".repeat(49) }), "name"),
            (json!({ "metric": "nothing" }), "no metric nothing"),
            (json!({ "condition": "beside" }), "beside"),
            (json!({ "value": "50" }), "50"),
            (json!({ "clear": 51 }), "clear"),
            (json!({ "condition": "below", "clear": 40 }), "clear"),
            (json!({ "for_ms": 86_400_001 }), "for_ms"),
            (json!({ "clear_for_ms": u64::MAX }), "clear_for_ms"),
            (json!({ "repeat_ms": 1 }), "repeat_ms"),
            (json!({ "routes": ["log", "log"] }), "routes"),
            (json!({ "routes": ["mail"] }), "mail"),
            (json!({ "severity": "bad" }), "bad"),
            (json!({ "title": "" }), "title"),
            (json!({ "title": "a\nb" }), "title"),
            (json!({ "advice": "a".repeat(401) }), "advice"),
            (json!({ "surely_not_there": 1 }), "surely_not_there"),
        ] {
            let said = rule(bad.clone()).expect_err(&bad.to_string());
            assert!(said.contains(says), "{bad}: {said}");
        }
    }

    #[test]
    fn times_are_told_in_two_units_at_most() {
        for (ms, told) in [
            (0, "0 s"),
            (250, "250 ms"),
            (1_999, "1 s"),
            (60_000, "1 min"),
            (192_000, "3 min 12 s"),
            (3_600_000, "1 h"),
            (5_400_000, "1 h 30 min"),
            (41 * 86_400_000 + 6 * 3_600_000 + 5, "41 d 6 h"),
        ] {
            assert_eq!(spoken(ms), told);
        }
    }
}
