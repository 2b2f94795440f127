//! Topic selectors: `*`, exact texts, URI templates (RFC 6570, turned round into a test), URL Patterns (WHATWG).
//!
//! The order is the same everywhere: `*` matches everything, then a text matches itself, then a pattern is tried. Patterns cost time in
//! proportion to the topic's length, whatever they are: the engine behind both kinds is the `regex` crate, which does not backtrack, and the
//! program that a pattern may become is bounded.

use super::{Generation, Pair, has_hidden_characters};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::sync::{Arc, OnceLock};
use url::Url;
use urlpattern::regexp::RegExp;
use urlpattern::{RegexSyntax, UrlPattern, UrlPatternInit, UrlPatternMatchInput, UrlPatternOptions};

/// Selectors of one legacy request.
const LEGACY_SELECTORS_MAX: usize = 1_000;

/// Selectors of one modern request.
const MODERN_SELECTORS_MAX: usize = 100;

/// The longest selector that is read as a pattern. Longer ones of the legacy generation match only themselves; modern ones are refused.
pub const PATTERN_BYTES_MAX: usize = 4_096;

/// Bytes of the program that one pattern becomes. Templates and patterns as people write them need a tenth of it.
const PROGRAM_BYTES_MAX: usize = 64 * 1_024;

/// Bytes that matching keeps of what it has learnt about one pattern. Where it is too little, the engine takes a slower way that needs none.
const CACHE_BYTES_MAX: usize = 32 * 1_024;

/// Which generations the hub speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Legacy,
    Modern,
    #[default]
    Both,
}

impl Protocol {
    pub fn speaks(self, generation: Generation) -> bool {
        match self {
            Self::Legacy => generation == Generation::Legacy,
            Self::Modern => generation == Generation::Modern,
            Self::Both => true,
        }
    }
}

/// How a selector is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchKind {
    /// Legacy: itself, or what a URI template stands for.
    Template,
    Exact,
    UrlPattern,
}

impl MatchKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Template => "topic",
            Self::Exact => "exact",
            Self::UrlPattern => "urlpattern",
        }
    }
    /// From the name that modern tokens and paths use.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "exact" => Some(Self::Exact),
            "urlpattern" => Some(Self::UrlPattern),
            _ => None,
        }
    }
    pub const fn generation(self) -> Generation {
        match self {
            Self::Template => Generation::Legacy,
            Self::Exact | Self::UrlPattern => Generation::Modern,
        }
    }
}

/// A selector as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SelectorText {
    pub kind: MatchKind,
    pub text: Arc<str>,
}

impl SelectorText {
    pub fn new(kind: MatchKind, text: &str) -> Self {
        Self { kind, text: Arc::from(text) }
    }

    pub fn is_everything(&self) -> bool {
        &*self.text == "*"
    }

    /// Whether it may match more than itself, and so has to be compiled.
    pub fn may_be_a_pattern(&self) -> bool {
        match self.kind {
            MatchKind::Template => self.text.len() <= PATTERN_BYTES_MAX && self.text.contains('{'),
            MatchKind::Exact => false,
            MatchKind::UrlPattern => !self.is_everything(),
        }
    }

    /// Ready to match. `None`: it matches itself only, or, being `*`, everything.
    pub fn compile(&self, base: &Url) -> Result<Option<Pattern>, InvalidPattern> {
        match self.kind {
            _ if !self.may_be_a_pattern() => Ok(None),
            MatchKind::Template => Ok(Pattern::template(&self.text)),
            MatchKind::Exact => Ok(None),
            MatchKind::UrlPattern => Pattern::url(&self.text, base).map(Some),
        }
    }
}

/// Why a request's selectors are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    #[error("no topic is selected")]
    None,
    #[error("more than {max} topics are selected")]
    TooMany { max: usize },
    #[error("\"topic\" and \"match\" belong to different versions of the protocol")]
    Mixed,
    #[error("\"topic\" selects nothing here; use \"match\"")]
    LegacyNotSpoken,
    #[error("there is no such kind of match; use match, match_exact or match_urlpattern")]
    UnknownKind,
    #[error("a selector is not valid UTF-8, or has control or format characters")]
    HiddenCharacters,
    #[error("a pattern is longer than {PATTERN_BYTES_MAX} bytes")]
    TooLong,
}

/// The selectors that a request's parameters name, each once, and the generation they are of.
pub fn selectors_of(pairs: &[Pair<'_>], protocol: Protocol) -> Result<(Generation, Vec<SelectorText>), SelectorError> {
    let is_modern = |pair: &Pair<'_>| pair.name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("match"));
    let has_topic = pairs.iter().any(|pair| pair.name == "topic");
    let has_match = protocol.speaks(Generation::Modern) && pairs.iter().any(is_modern);
    match (has_topic, protocol) {
        (true, Protocol::Modern) => return Err(SelectorError::LegacyNotSpoken),
        (true, Protocol::Both) if has_match => return Err(SelectorError::Mixed),
        _ => {}
    }
    let (generation, max) = if has_match { (Generation::Modern, MODERN_SELECTORS_MAX) } else { (Generation::Legacy, LEGACY_SELECTORS_MAX) };
    let mut selectors = Vec::new();
    for pair in pairs {
        let kind = match (generation, &*pair.name) {
            (Generation::Legacy, "topic") => MatchKind::Template,
            (Generation::Legacy, _) => continue,
            (Generation::Modern, "match" | "match_exact") => MatchKind::Exact,
            (Generation::Modern, "match_urlpattern") => MatchKind::UrlPattern,
            (Generation::Modern, _) if is_modern(pair) => return Err(SelectorError::UnknownKind),
            (Generation::Modern, _) => continue,
        };
        if generation == Generation::Modern && (!pair.is_utf8 || has_hidden_characters(&pair.value)) {
            return Err(SelectorError::HiddenCharacters);
        }
        if kind == MatchKind::UrlPattern && pair.value.len() > PATTERN_BYTES_MAX {
            return Err(SelectorError::TooLong);
        }
        if selectors.len() == max {
            return Err(SelectorError::TooMany { max });
        }
        selectors.push(SelectorText::new(kind, &pair.value));
    }
    if selectors.is_empty() {
        return Err(SelectorError::None);
    }
    selectors.sort_unstable();
    selectors.dedup();
    Ok((generation, selectors))
}

/// A topic that selectors are tried on. Read as a URL at most once, and only if a URL Pattern asks.
#[derive(Debug)]
pub struct Topic {
    pub text: Box<str>,
    url: OnceLock<Option<Url>>,
}

impl Topic {
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), url: OnceLock::new() }
    }

    fn url(&self, base: &Url) -> Option<&Url> {
        self.url.get_or_init(|| base.join(&self.text).ok()).as_ref()
    }
}

/// The hub's own URL, against which relative patterns and topics are read. Where none is known, one that nobody else has (RFC 6761, 6.4).
pub fn hub_base(resource: &str) -> Option<Url> {
    Url::parse(if resource.is_empty() { "https://hub.invalid/.well-known/mercure" } else { resource }).ok().filter(|url| !url.cannot_be_a_base())
}

/// A selector that matches more than itself, compiled.
#[derive(Debug)]
pub enum Pattern {
    Template(Regex),
    Url(Box<UrlPattern<Bounded>>),
}

/// A URL Pattern that is none, or that is too large. What exactly is wrong is not told: clients would be shown the engine's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a selector is not a valid URL pattern")]
pub struct InvalidPattern;

impl Pattern {
    /// `None`: the text is no template, or too large a one, and so matches itself only.
    fn template(text: &str) -> Option<Self> {
        bounded(&template_expression(text)?).unicode(false).build().ok().map(Self::Template)
    }

    fn url(text: &str, base: &Url) -> Result<Self, InvalidPattern> {
        let init = UrlPatternInit::parse_constructor_string::<Bounded>(text, Some(base.clone())).map_err(|_| InvalidPattern)?;
        let pattern = UrlPattern::parse(init, UrlPatternOptions::default()).map_err(|_| InvalidPattern)?;
        Ok(Self::Url(Box::new(pattern)))
    }

    pub fn matches(&self, topic: &Topic, base: &Url) -> bool {
        match self {
            Self::Template(regex) => regex.is_match(&topic.text),
            Self::Url(pattern) => {
                topic.url(base).is_some_and(|url| pattern.test(UrlPatternMatchInput::Url(url.clone())).is_ok_and(|does_match| does_match))
            }
        }
    }
}

fn bounded(expression: &str) -> RegexBuilder {
    let mut builder = RegexBuilder::new(expression);
    builder.size_limit(PROGRAM_BYTES_MAX).dfa_size_limit(CACHE_BYTES_MAX);
    builder
}

/// The engine of URL Patterns, bounded.
#[derive(Debug)]
pub struct Bounded(Regex);

impl RegExp for Bounded {
    fn syntax() -> RegexSyntax {
        RegexSyntax::Rust
    }
    fn parse(pattern: &str, _: &str, _: bool) -> Result<Self, ()> {
        bounded(pattern).build().map(Self).map_err(|_| ())
    }
    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        // Nobody asks what the groups matched, but the number of them must be right.
        let captures = self.0.captures(text)?;
        Some(captures.iter().skip(1).map(|group| group.map(|group| group.as_str())).collect())
    }
    fn pattern_string(&self) -> &str {
        self.0.as_str()
    }
}

/// Unreserved characters, escapes, and the commas of a list (RFC 6570, 1.5 and 3.2.1).
const VALUE: &str = "(?:[A-Za-z0-9\\-._~,]|%[0-9A-Fa-f]{2})*";
/// The same with what exploded members have between name and value.
const EXPLODED_VALUE: &str = "(?:[A-Za-z0-9\\-._~,=]|%[0-9A-Fa-f]{2})*";
/// Reserved characters too.
const RESERVED_VALUE: &str = "(?:[A-Za-z0-9\\-._~:/?#\\[\\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*";
/// The name of an exploded member, which the template does not tell.
const ANY_NAME: &str = "(?:[A-Za-z0-9\\-._~]|%[0-9A-Fa-f]{2})+";

/// A regular expression for everything that a URI template may expand to, whatever its variables are. All of them may be undefined.
/// `None`: it is no template.
fn template_expression(template: &str) -> Option<String> {
    let mut out = String::from("\\A(?:");
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        let (literal, tail) = rest.split_at(start);
        out.push_str(&regex::escape(literal));
        let tail = tail.strip_prefix('{')?;
        let (expression, behind) = tail.split_once('}')?;
        push_expression(&mut out, expression)?;
        rest = behind;
    }
    out.push_str(&regex::escape(rest));
    out.push_str(")\\z");
    Some(out)
}

fn push_expression(out: &mut String, expression: &str) -> Option<()> {
    let operator = expression.chars().next().filter(|c| "+#./;?&".contains(*c));
    let variables = &expression[operator.map_or(0, char::len_utf8)..];
    let variables: Vec<Variable<'_>> = variables.split(',').map(Variable::parse).collect::<Option<_>>()?;
    let is_exploded = variables.iter().any(|variable| variable.is_exploded);
    let value = if is_exploded { EXPLODED_VALUE } else { VALUE };
    // Exploded lists have any number of members.
    let times = |count: usize| if is_exploded { "*".to_string() } else { format!("{{0,{count}}}") };
    let written = match operator {
        None => write!(out, "{value}"),
        Some('+') => write!(out, "{RESERVED_VALUE}"),
        Some('#') => write!(out, "(?:#{RESERVED_VALUE})?"),
        Some(mark @ ('.' | '/')) => write!(out, "(?:{}{value}){}", regex::escape(mark.encode_utf8(&mut [0; 4])), times(variables.len())),
        Some(mark @ (';' | '&')) => write!(out, "(?:{mark}{}(?:={VALUE})?){}", names(&variables), times(variables.len())),
        Some(_) => {
            let member = format!("{}(?:={VALUE})?", names(&variables));
            write!(out, "(?:\\?{member}(?:&{member}){})?", times(variables.len() - 1))
        }
    };
    written.ok()
}

/// The names that may stand there, in any order.
fn names(variables: &[Variable<'_>]) -> String {
    let names: Vec<String> =
        variables.iter().map(|variable| if variable.is_exploded { ANY_NAME.to_string() } else { regex::escape(variable.name) }).collect();
    format!("(?:{})", names.join("|"))
}

struct Variable<'a> {
    name: &'a str,
    is_exploded: bool,
}

impl<'a> Variable<'a> {
    /// RFC 6570, 2.3 and 2.4. The length of a prefix is not enforced, as the reference hub does not.
    fn parse(text: &'a str) -> Option<Self> {
        let (name, is_exploded) = match text.strip_suffix('*') {
            Some(name) => (name, true),
            None => match text.split_once(':') {
                Some((name, length)) => {
                    let is_length = matches!(length.len(), 1..=4) && length.bytes().all(|byte| byte.is_ascii_digit()) && !length.starts_with('0');
                    (is_length.then_some(name)?, false)
                }
                None => (text, false),
            },
        };
        is_name(name).then_some(Self { name, is_exploded })
    }
}

fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    let mut after_dot = true;
    while at < bytes.len() {
        match bytes[at] {
            b'.' if !after_dot => after_dot = true,
            b'%' if bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) => {
                at += 2;
                after_dot = false;
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => after_dot = false,
            _ => return false,
        }
        at += 1;
    }
    !after_dot
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::mercure::pairs;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    fn base() -> Url {
        hub_base("https://hub.example/.well-known/mercure").unwrap()
    }

    fn template_matches(template: &str, topic: &str) -> bool {
        let selector = SelectorText::new(MatchKind::Template, template);
        selector.is_everything() || template == topic || selector.compile(&base()).unwrap().is_some_and(|it| it.matches(&Topic::new(topic), &base()))
    }

    fn url_matches(pattern: &str, topic: &str) -> bool {
        Pattern::url(pattern, &base()).unwrap_or_else(|_| panic!("{pattern}")).matches(&Topic::new(topic), &base())
    }

    /// Seen at the reference hub.
    #[test]
    fn templates_match_what_they_may_expand_to() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("*", &["", "anything", "https://example.com/1"], &[]),
            (
                "b/{id}",
                &["b/1", "b/", "b/1,2", "b/a%20b", "b/a.b~c-_", "b/{id}"],
                &["b/1/2", "b/é", "b/a:b", "b/a@b", "b/a b", "b/a?x", "xb/1", "b/1\n"],
            ),
            ("b/{+p}", &["b/1", "b/1/2?x=1#f,[y]", "b/"], &["b/a b", "b"]),
            ("b{?q}", &["b", "b?q", "b?q=", "b?q=1"], &["b?r=1", "b?q=1&q=2", "b?"]),
            ("b{?a,b}", &["b?a=1&b=2", "b?b=2&a=1", "b?b=2", "b"], &["b?a=1&b=2&a=3", "b&a=1"]),
            ("b{?m*}", &["b?x=1&y=2", "b"], &["b?x=1&y=2#f"]),
            ("b{/a}", &["b", "b/", "b/1"], &["b/1/2"]),
            ("b{/a,c}", &["b", "b/1", "b/1/2"], &["b/1/2/3"]),
            ("b{/p*}", &["b/1/2/3", "b"], &["b/1/é"]),
            ("b{.x}", &["b.json", "b"], &["bjson"]),
            ("b{#f}", &["b#frag/x", "b"], &["b frag"]),
            ("b{;x}", &["b;x=1", "b;x", "b"], &["b;y=1"]),
            ("b{&a}", &["b&a=1", "b"], &["b?a=1"]),
            ("b/{id:3}", &["b/abc", "b/abcd"], &["b/a/b"]),
            ("a.c{x}", &["a.c", "a.cd"], &["abc"]),
            // Not templates, so nothing but themselves.
            ("b/{", &["b/{"], &["b/1"]),
            ("b/{}", &["b/{}"], &["b/"]),
            ("b/{=x}", &["b/{=x}"], &["b/1"]),
            ("b/{a b}", &["b/{a b}"], &["b/1"]),
            ("b/{a..b}", &["b/{a..b}"], &["b/1"]),
            ("b/{x:0}", &["b/{x:0}"], &["b/1"]),
            ("b/}{x}", &["b/}{x}"], &["b/}1"]),
            ("*/{x}", &["*/1"], &["b/1"]),
            ("b*", &["b*"], &["bc"]),
        ];
        for (template, matching, others) in cases {
            for topic in *matching {
                assert!(template_matches(template, topic), "{template} must match {topic:?}");
            }
            for topic in *others {
                assert!(!template_matches(template, topic), "{template} must not match {topic:?}");
            }
        }
    }

    #[test]
    fn the_idiom_of_private_chats_works() {
        let template = "/.well-known/mercure/subscriptions{/topic}{/subscriber}";
        assert!(template_matches(template, "/.well-known/mercure/subscriptions/a%2Fb/urn%3Auuid%3A1"));
        assert!(template_matches(template, "/.well-known/mercure/subscriptions"));
    }

    #[test]
    fn url_patterns_match_as_the_standard_says() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "https://example.com/books/:id",
                &["https://example.com/books/1", "https://EXAMPLE.com/books/a%20b"],
                &["https://example.com/books/1/2", "https://example.com/Books/1", "/books/1", "https://example.com/books/"],
            ),
            ("https://example.com/*", &["https://example.com/", "https://example.com/a/b"], &["https://example.org/", "http://example.com/"]),
            ("/books/:id", &["/books/1", "https://hub.example/books/1"], &["https://example.com/books/1"]),
            ("https://*.example.com/a", &["https://x.example.com/a"], &["https://example.com/a"]),
            ("https://example.com/(\\d+)", &["https://example.com/12"], &["https://example.com/x"]),
        ];
        for (pattern, matching, others) in cases {
            for topic in *matching {
                assert!(url_matches(pattern, topic), "{pattern} must match {topic:?}");
            }
            for topic in *others {
                assert!(!url_matches(pattern, topic), "{pattern} must not match {topic:?}");
            }
        }
        assert!(!url_matches("https://example.com/*", "https://[broken"), "what is no URL matches no pattern");
        for broken in ["https://example.com/(", "https://example.com/{", "https://example.com/:", "https://example.com/([a-)"] {
            assert_eq!(Pattern::url(broken, &base()).unwrap_err(), InvalidPattern, "{broken}");
        }
    }

    #[test]
    fn selectors_are_read_by_the_rules_of_their_generation() {
        let read = |query: &str, protocol| selectors_of(&pairs(query.as_bytes()).unwrap(), protocol);
        let texts = |query: &str, protocol| -> Vec<String> {
            let (_, selectors) = read(query, protocol).unwrap_or_else(|error| panic!("{query}: {error}"));
            selectors.iter().map(|selector| format!("{}:{}", selector.kind.as_str(), selector.text)).collect()
        };
        use Protocol::{Both, Legacy, Modern};
        assert_eq!(texts("topic=b&topic=a&topic=b&x=1", Both), ["topic:a", "topic:b"]);
        assert_eq!(texts("topic=", Both), ["topic:"]);
        assert_eq!(texts("topic=a&match=b", Legacy), ["topic:a"]);
        assert_eq!(texts("match=/:id&match_exact=b&match_urlpattern=/:id", Both), ["exact:/:id", "exact:b", "urlpattern:/:id"]);
        let cases = [
            ("", Both, SelectorError::None),
            ("Topic=a", Both, SelectorError::None),
            ("match=a", Legacy, SelectorError::None),
            ("topic=a&match=b", Both, SelectorError::Mixed),
            ("topic=a&Match=b", Both, SelectorError::Mixed),
            ("topic=a", Modern, SelectorError::LegacyNotSpoken),
            ("Match=a", Both, SelectorError::UnknownKind),
            ("match=a&matchs=b", Modern, SelectorError::UnknownKind),
            ("match_regex=a", Both, SelectorError::UnknownKind),
            ("match=a%00", Both, SelectorError::HiddenCharacters),
            ("match=a%E2%80%8B", Both, SelectorError::HiddenCharacters),
            ("match=%ff", Both, SelectorError::HiddenCharacters),
        ];
        for (query, protocol, error) in cases {
            assert_eq!(read(query, protocol), Err(error), "{query}");
        }
        let long = "a".repeat(PATTERN_BYTES_MAX + 1);
        assert_eq!(read(&format!("match_urlpattern={long}"), Both), Err(SelectorError::TooLong));
        assert!(read(&format!("match={long}"), Both).is_ok());
        let many = |name: &str, count: usize| (0..count).map(|n| format!("{name}={n}")).collect::<Vec<_>>().join("&");
        assert_eq!(read(&many("topic", 1_000), Both).map(|(_, selectors)| selectors.len()), Ok(1_000));
        assert_eq!(read(&many("topic", 1_001), Both), Err(SelectorError::TooMany { max: 1_000 }));
        assert_eq!(read(&many("topic", 10_000), Both), Err(SelectorError::TooMany { max: 1_000 }));
        assert!(read(&many("match", 100), Both).is_ok());
        assert_eq!(read(&many("match", 101), Both), Err(SelectorError::TooMany { max: 100 }));
    }

    /// Patterns that take an engine that backtracks longer than the universe has, and some that are only large.
    #[test]
    fn bombs_cost_linear_time() {
        let started = Instant::now();
        let nested = format!("b{}", "{/a*}{.b*}{+c}".repeat(200));
        let many_names = format!("b{{?{}}}", (0..600).map(|n| format!("n{n}")).collect::<Vec<_>>().join(","));
        let topic = format!("b{}!", "/a.b".repeat(10_000));
        for template in [nested.as_str(), many_names.as_str(), &"{x*}".repeat(900), &"{a}".repeat(1_300)] {
            assert!(!template_matches(template, &format!("{topic}\u{e9}")), "{}", &template[..20]);
        }
        for pattern in ["/(a+)+b", "/((a*)*)*b", "/(a|aa)+b", "/(.*)*(.*)*(.*)*b"] {
            assert!(
                !Pattern::url(pattern, &base()).is_ok_and(|it| it.matches(&Topic::new(&format!("/{}", "a".repeat(100_000))), &base())),
                "{pattern}"
            );
        }
        for pattern in ["/((a{1000}){1000})", "/(\\w{5000})", "/((((a{100}){100}){100}){100})"] {
            assert_eq!(Pattern::url(pattern, &base()).unwrap_err(), InvalidPattern, "{pattern}");
        }
        // Without optimisation, on a machine that does something else meanwhile.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }

    /// An expansion of RFC 6570 with texts as values, for the oracle below: level 3 without prefixes and explosion.
    fn expand(operator: &str, names: &[String], values: &[Option<String>]) -> String {
        let (first, separator, is_named, is_open) = match operator {
            "+" => ("", ",", false, true),
            "#" => ("#", ",", false, true),
            "." => (".", ".", false, false),
            "/" => ("/", "/", false, false),
            ";" => (";", ";", true, false),
            "?" => ("?", "&", true, false),
            "&" => ("&", "&", true, false),
            _ => ("", ",", false, false),
        };
        let escape = |text: &str| -> String {
            let keeps = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (is_open && b":/?#[]@!$&'()*+,;=".contains(&byte));
            text.bytes().map(|byte| if keeps(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
        };
        let defined: Vec<String> = names
            .iter()
            .zip(values)
            .filter_map(|(name, value)| {
                let value = escape(value.as_ref()?);
                Some(match (is_named, operator, value.is_empty()) {
                    (true, ";", true) => name.clone(),
                    (true, ..) => format!("{name}={value}"),
                    _ => value,
                })
            })
            .collect();
        if defined.is_empty() { String::new() } else { format!("{first}{}", defined.join(separator)) }
    }

    proptest! {
        #[test]
        fn a_template_matches_every_expansion_of_itself(
            parts in proptest::collection::vec(("[a-z/.?*+(]{0,4}", prop_oneof!["", "\\+", "#", "\\.", "/", ";", "\\?", "&"],
                                                proptest::collection::btree_set("[a-z][a-z0-9_]{0,3}", 1..4)), 1..4),
            values in proptest::collection::vec(proptest::option::of(".{0,6}"), 12),
        ) {
            let (mut template, mut topic) = (String::new(), String::new());
            let mut values = values.chunks(3);
            for (literal, operator, names) in parts {
                let names: Vec<String> = names.into_iter().collect();
                template.push_str(&format!("{literal}{{{operator}{}}}", names.join(",")));
                topic.push_str(&literal);
                topic.push_str(&expand(&operator, &names, values.next().unwrap_or(&[])));
            }
            prop_assert!(template_matches(&template, &topic), "{} does not match {}", template, topic);
        }

        #[test]
        fn no_selector_is_too_much_for_the_compiler(text in ".{0,80}", topic in ".{0,40}") {
            template_matches(&text, &topic);
            if let Ok(pattern) = Pattern::url(&text, &base()) {
                pattern.matches(&Topic::new(&topic), &base());
            }
        }

        #[test]
        fn what_looks_like_a_template_is_read_without_a_panic(text in "[a{}/?&;.,:*+#%0-9=]{0,40}", topic in "[a/?&;.,=%0-9]{0,40}") {
            template_matches(&text, &topic);
        }
    }
}
