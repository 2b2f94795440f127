//! Defaults, then the file, then the environment, then what the command line says: each layer wins over those before it.
//!
//! Loading is a function of texts. It reads neither files nor the process's environment, so it can be tested, and fuzzed, without either.

use super::format::{self, Format, FormatError, shorten};
use super::known::{self, Path, Step, UnknownOption};
use super::{Config, validate};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// What the names of all environment variables of ours begin with.
pub const VARIABLE_PREFIX: &str = "AETHER_";

/// Variables of ours that are no options: the path of the configuration file, headers for `aether feed check`, where and as whom `aether admin`
/// comes.
const NOT_OPTIONS: [&str; 4] = ["AETHER_CONFIG", "AETHER_FEED_HEADERS", "AETHER_ADMIN_TOKEN", "AETHER_ADMIN_URL"];

/// Mistakes that are listed. Whoever has more has the wrong file.
const PROBLEMS_MAX: usize = 50;

/// The texts that a configuration is made of.
#[derive(Default)]
pub struct Layers<'a> {
    /// The configuration file, if there is one.
    pub file: Option<(&'a [u8], Format)>,
    /// Environment variables. Those whose name does not begin with [`VARIABLE_PREFIX`] are none of ours.
    pub variables: &'a [(String, String)],
    /// From the command line: the path of an option and its value, written like that of a variable.
    pub overrides: &'a [(String, String)],
}

/// A configuration that passed every check.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// What was written and has no meaning. To be told to somebody.
    pub unknown: Vec<UnknownOption>,
}

/// Something that must be put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The option, or the environment variable.
    pub path: String,
    /// What is wrong with its value, and what would be right.
    pub message: String,
}

impl Problem {
    pub(super) fn new(path: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { path: path.to_string(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file")]
    File { source: FormatError },
    #[error("{}", Listing { problems, unknown })]
    Invalid { problems: Vec<Problem>, unknown: Vec<UnknownOption> },
}

struct Listing<'a> {
    problems: &'a [Problem],
    unknown: &'a [UnknownOption],
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        match count {
            1 => f.write_str("the configuration has a mistake:")?,
            _ => write!(f, "the configuration has {count} mistakes:")?,
        }
        for problem in self.problems.iter().take(PROBLEMS_MAX) {
            write!(f, "\n  {problem}")?;
        }
        if count > PROBLEMS_MAX {
            write!(f, "\n  and {} more", count - PROBLEMS_MAX)?;
        }
        // One of these may be the reason for one of those above.
        if !self.unknown.is_empty() {
            write!(f, "\n{}", unknown_warning(self.unknown))?;
        }
        Ok(())
    }
}

/// The one warning about all unknown options.
pub fn unknown_warning(unknown: &[UnknownOption]) -> String {
    let mut text = match unknown.len() {
        1 => "an option is unknown and has no effect:".to_string(),
        count => format!("{count} options are unknown and have no effect:"),
    };
    for option in unknown.iter().take(PROBLEMS_MAX) {
        text.push_str(&format!("\n  {option}"));
    }
    if unknown.len() > PROBLEMS_MAX {
        text.push_str(&format!("\n  and {} more", unknown.len() - PROBLEMS_MAX));
    }
    text
}

impl Config {
    /// Puts the layers on top of each other and checks the outcome. All mistakes are reported at once.
    pub fn load(layers: &Layers<'_>) -> Result<Loaded, ConfigError> {
        let mut written = match layers.file {
            Some((text, format)) => format::parse(text, format).map_err(|source| ConfigError::File { source })?,
            None => Map::new(),
        };
        let mut problems = Vec::new();
        let mut unknown = Vec::new();
        apply_variables(&mut written, layers.variables, &mut unknown, &mut problems);
        apply_overrides(&mut written, layers.overrides, &mut problems);
        unknown.extend(known::unknown(&written));
        let written = Value::Object(written);
        if problems.is_empty() {
            match serde_json::from_value::<Config>(written.clone()) {
                Ok(config) => {
                    problems = validate::problems(&config);
                    if problems.is_empty() {
                        return Ok(Loaded { config, unknown });
                    }
                }
                Err(error) => {
                    check_types(&Path::default(), &written, known::tree(), &mut problems);
                    if problems.is_empty() {
                        problems.push(Problem::new("the configuration", error.to_string()));
                    }
                }
            }
        } else {
            check_types(&Path::default(), &written, known::tree(), &mut problems);
        }
        Err(ConfigError::Invalid { problems, unknown })
    }
}

// === Environment and command line ===

fn apply_variables(tree: &mut Map<String, Value>, variables: &[(String, String)], unknown: &mut Vec<UnknownOption>, problems: &mut Vec<Problem>) {
    let names = variable_names();
    // In the order of their names, so that two spellings of one option do not depend on the order of the environment.
    let mut ours: Vec<&(String, String)> = variables.iter().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)).collect();
    ours.sort();
    for (variable, text) in ours {
        if NOT_OPTIONS.contains(&variable.as_str()) {
            continue;
        }
        let plain = variable.replace("__", "_");
        // An option of the tree itself is never hidden by a namespace with an odd name.
        match names.get(&plain).cloned().or_else(|| element_option(tree, &plain)) {
            Some(path) => apply_text(tree, &path, text, variable, problems),
            None if is_of_kubernetes(variable, text) => {}
            None => unknown.push(UnknownOption { path: shorten(variable), hint: known::near_variable(variable, names.keys()) }),
        }
    }
}

/// The name of the variable of every option.
fn variable_names() -> BTreeMap<String, Path> {
    known::options().iter().map(|path| (variable_name(path), path.clone())).collect()
}

/// The option of a namespace or feed that the file names: `AETHER_UPSTREAM_FEEDS_WIKI_URL` is the `url` of the feed called `wiki`.
fn element_option(tree: &Map<String, Value>, variable: &str) -> Option<Path> {
    for (section, list) in [("channel", "namespaces"), ("upstream", "feeds")] {
        let path = Path::default().name(section).name(list);
        let Some(rest) = variable.strip_prefix(&variable_name(&path)).and_then(|rest| rest.strip_prefix('_')) else { continue };
        let elements = tree.get(section).and_then(|section| section.get(list)).and_then(Value::as_array)?;
        for (index, element) in elements.iter().enumerate() {
            let Some(name) = element.get("name").and_then(Value::as_str) else { continue };
            let Some(option) = rest.strip_prefix(&upper(name)).and_then(|rest| rest.strip_prefix('_')) else { continue };
            let path = path.index(index).name(&option.to_ascii_lowercase());
            if known::at(&path).is_some() {
                return Some(path);
            }
        }
    }
    None
}

/// `client.ping_interval` is `AETHER_CLIENT_PING_INTERVAL`.
fn variable_name(path: &Path) -> String {
    upper(&format!("{VARIABLE_PREFIX}{path}").replace('.', "_"))
}

fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Kubernetes gives every container variables about every service; those of a service called `aether` look like ours.
fn is_of_kubernetes(variable: &str, text: &str) -> bool {
    let port = variable.ends_with("_PORT") && (text.starts_with("tcp://") || text.starts_with("udp://"));
    port || variable.contains("_SERVICE_HOST") || variable.contains("_SERVICE_PORT") || variable.contains("_TCP") || variable.contains("_UDP")
}

fn apply_overrides(tree: &mut Map<String, Value>, overrides: &[(String, String)], problems: &mut Vec<Problem>) {
    for (name, text) in overrides {
        match known::options().iter().find(|path| path.to_string() == *name) {
            Some(path) => apply_text(tree, path, text, name, problems),
            None => {
                let near =
                    known::options().iter().map(|path| (known::similarity(name, &path.to_string()), path)).max_by(|(a, _), (b, _)| a.total_cmp(b));
                let hint = near.filter(|(score, _)| *score >= 0.7).map_or_else(String::new, |(_, path)| format!("; did you mean {path}?"));
                problems.push(Problem::new(shorten(name), format!("there is no such option{hint}")));
            }
        }
    }
}

/// Reads `text` as the kind of value that the option takes, and puts it into the tree.
fn apply_text(tree: &mut Map<String, Value>, path: &Path, text: &str, source: &str, problems: &mut Vec<Problem>) {
    let Some(known) = known::at(path) else { return };
    match value_of(text, known) {
        Ok(Some(value)) => {
            let mut wrong = Vec::new();
            check_types(path, &value, known, &mut wrong);
            if wrong.is_empty() {
                put(tree, path.steps(), value);
            }
            // Inside of a list or table, the place of the mistake is told too.
            let whole = path.to_string();
            let told = |problem: Problem| if problem.path == whole { problem.message } else { problem.to_string() };
            problems.extend(wrong.into_iter().map(|problem| Problem::new(source, told(problem))));
        }
        Ok(None) => {}
        Err(message) => problems.push(Problem::new(source, message)),
    }
}

/// None: an empty text for something that cannot be empty counts as not written, as in `AETHER_HTTP_SERVER_PORT=$PORT` without a `PORT`.
fn value_of(text: &str, known: &Value) -> Result<Option<Value>, String> {
    let trimmed = text.trim();
    Ok(match known {
        Value::String(_) => Some(Value::from(text)),
        _ if trimmed.is_empty() && !known.is_array() => None,
        Value::Bool(_) => Some(match trimmed.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" => Value::Bool(true),
            "0" | "f" | "false" => Value::Bool(false),
            _ => Value::from(text),
        }),
        Value::Number(_) => Some(trimmed.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)),
        Value::Array(elements) if elements.first().is_some_and(Value::is_object) => {
            Some(if trimmed.is_empty() { json!([]) } else { json_of(trimmed)? })
        }
        Value::Array(_) if trimmed.starts_with('[') => Some(json_of(trimmed)?),
        Value::Array(_) => Some(trimmed.split([',', ' ', '\t', '\n']).filter(|element| !element.is_empty()).collect()),
        Value::Object(_) => Some(json_of(trimmed)?),
        // An option that is not set by default is a duration or a size, written as text.
        Value::Null => Some(Value::from(text)),
    })
}

fn json_of(text: &str) -> Result<Value, String> {
    format::json(text).map_err(|error| format!("{error}; it must be JSON, such as [{{\"name\": \"news\"}}]"))
}

fn put(tree: &mut Map<String, Value>, steps: &[Step], value: Value) {
    let Some((Step::Name(first), rest)) = steps.split_first() else { return };
    let mut node = tree.entry(first.as_str()).or_insert(Value::Null);
    for step in rest {
        node = match step {
            Step::Name(name) => {
                // Where the file has something else than a section, the variable's section takes its place.
                if !node.is_object() {
                    *node = Value::Object(Map::new());
                }
                let Value::Object(members) = node else { return };
                members.entry(name.as_str()).or_insert(Value::Null)
            }
            Step::Index(index) => match node.get_mut(*index) {
                Some(element) => element,
                None => return,
            },
        };
    }
    *node = value;
}

// === Types ===

/// Finds every value of a wrong type. Each is tried alone, in a configuration that is default otherwise: so all of them are found at once, and
/// the path is known whatever detours the deserialiser takes.
fn check_types(path: &Path, written: &Value, known: &Value, problems: &mut Vec<Problem>) {
    match (written, known) {
        _ if problems.len() > PROBLEMS_MAX => {}
        (Value::Object(written), Value::Object(known)) => {
            for (name, value) in written {
                match known.get(name) {
                    Some(known) => check_types(&path.name(name), value, known, problems),
                    // A table that takes any name.
                    None if known.is_empty() => problems.extend(check_type(&path.name(name), value).err()),
                    None => {}
                }
            }
        }
        (Value::Array(elements), Value::Array(known)) => {
            for (index, element) in elements.iter().enumerate() {
                match known.first() {
                    Some(known) => check_types(&path.index(index), element, known, problems),
                    None => problems.extend(check_type(&path.index(index), element).err()),
                }
            }
        }
        _ => problems.extend(check_type(path, written).err()),
    }
}

fn check_type(path: &Path, value: &Value) -> Result<(), Problem> {
    let alone = path.steps().iter().rev().fold(value.clone(), |value, step| match step {
        Step::Name(name) => json!({ name: value }),
        Step::Index(_) => json!([value]),
    });
    match serde_json::from_value::<Config>(alone) {
        Ok(_) => Ok(()),
        Err(error) => Err(Problem::new(path, explain(&error.to_string(), value))),
    }
}

/// The deserialiser's error in the words of somebody who writes configuration files.
fn explain(error: &str, value: &Value) -> String {
    let found = match value {
        Value::Array(_) => "a list".to_string(),
        Value::Object(_) => "a table".to_string(),
        Value::String(text) => format!("\"{}\"", shorten(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    if error.starts_with("invalid type: ") || error.starts_with("invalid value: ") {
        let Some((_, expected)) = error.split_once(", expected ") else { return format!("{found} is not possible here") };
        let expected = match expected {
            "a boolean" => "true or false",
            "u16" => "a whole number from 0 to 65535",
            "u32" => "a whole number from 0 to 4294967295",
            "u64" | "usize" => "a whole number from 0",
            "i64" => "a whole number",
            "a string" => "a text in quotes",
            "a sequence" => "a list, such as [\"one\", \"two\"]",
            "a map" => "a table of names and values",
            other if other.starts_with("struct ") => "a section with options in it",
            other if other.starts_with("string or map") || other.contains("enum") => "a text in quotes",
            other => other,
        };
        return format!("{found} is not {expected}");
    }
    if error.starts_with("unknown variant ") {
        let expected = error.split_once(", expected ").map_or("", |(_, expected)| expected.trim_start_matches("one of "));
        return format!("{found} is none of the possible values; write {}", expected.replace('`', "\"").replace("\", \"", "\" or \""));
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{ByteSize, HumanDuration};
    use proptest::prelude::*;

    fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let variables: Vec<_> = variables.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        Config::load(&Layers { file: Some((toml.as_bytes(), Format::Toml)), variables: &variables, overrides: &[] })
    }

    /// The mistakes in a configuration, one a line.
    fn mistakes(toml: &str, variables: &[(&str, &str)]) -> Vec<String> {
        match load(toml, variables) {
            Err(ConfigError::Invalid { problems, .. }) => problems.iter().map(ToString::to_string).collect(),
            other => panic!("{toml}: {other:?}"),
        }
    }

    #[test]
    fn nothing_at_all_is_the_default() {
        let loaded = Config::load(&Layers::default()).unwrap();
        assert_eq!((loaded.config, loaded.unknown), (Config::default(), vec![]));
    }

    #[test]
    fn the_later_layer_wins() {
        let file = "[http_server]\nport = 1\naddress = \"::1\"\nbacklog = 7\n";
        let variables = [("AETHER_HTTP_SERVER_PORT".to_string(), "2".to_string()), ("AETHER_HTTP_SERVER_ADDRESS".to_string(), "::2".to_string())];
        let overrides = [("http_server.port".to_string(), "3".to_string())];
        let layers = Layers { file: Some((file.as_bytes(), Format::Toml)), variables: &variables, overrides: &overrides };
        let server = Config::load(&layers).unwrap().config.http_server;
        assert_eq!((server.port, server.address.as_str(), server.backlog), (3, "::2", 7));
    }

    #[test]
    fn every_kind_of_option_can_be_set_by_a_variable() {
        let file = "[[channel.namespaces]]\nname = \"my-news\"\n[[upstream.feeds]]\nname = \"f\"\nurl = \"http://h/\"\nchannel = \"c\"\n";
        let variables = [
            ("AETHER_CLIENT_TOKEN_HMAC_SECRET_KEY", "hush"),
            ("AETHER__CLIENT__PING_INTERVAL", "9s"),
            ("AETHER_CLIENT__PONG_TIMEOUT", "2s"),
            ("AETHER_CLIENT_INSECURE", "1"),
            ("AETHER_LIVE_ENABLED", "True"),
            ("AETHER_CLIENT_QUEUE_MAX_SIZE", "2048"),
            ("AETHER_HTTP_SERVER_REQUEST_BODY_MAX", "2MiB"),
            ("AETHER_CLIENT_ALLOWED_ORIGINS", "https://a.org, https://b.org https://c.org"),
            ("AETHER_HTTP_SERVER_WORKERS", ""),
            ("AETHER_ENGINE_TYPE", "memory"),
            ("AETHER_CHANNEL_NAMESPACES_MY_NEWS_PRESENCE", "true"),
            ("AETHER_UPSTREAM_FEEDS_F_IDLE_TIMEOUT", "3s"),
            ("AETHER_UPSTREAM_FEEDS_F_HEADERS", "{\"Authorization\": \"Bearer x\"}"),
            ("AETHER_CONFIG", "somewhere"),
            ("AETHER_PORT", "tcp://10.0.0.1:8000"),
            ("AETHER_SERVICE_HOST", "10.0.0.1"),
            ("PATH", "/bin"),
        ];
        let Loaded { config, unknown } = load(file, &variables).unwrap();
        assert_eq!(unknown, []);
        assert_eq!(config.client.token.hmac_secret_key.expose(), "hush");
        assert_eq!((config.client.ping_interval, config.client.pong_timeout), (HumanDuration::from_secs(9), HumanDuration::from_secs(2)));
        assert!(config.client.insecure && config.live.enabled && config.channel.namespaces[0].options.presence);
        assert_eq!((config.client.queue_max_size, config.http_server.request_body_max), (ByteSize::new(2_048), ByteSize::mib(2)));
        assert_eq!(config.client.allowed_origins, ["https://a.org", "https://b.org", "https://c.org"]);
        assert_eq!(config.http_server.workers, 0);
        assert_eq!(config.upstream.feeds[0].idle_timeout, Some(HumanDuration::from_secs(3)));
        assert_eq!(config.upstream.feeds[0].headers["Authorization"].expose(), "Bearer x");

        let variables = [("AETHER_CHANNEL_NAMESPACES", r#"[{"name": "chat", "join_leave": true}]"#), ("AETHER_CLIENT_ALLOWED_ORIGINS", "")];
        let config = load("[client]\nallowed_origins = [\"*\"]", &variables).unwrap().config;
        assert_eq!((config.channel.namespaces[0].name.as_str(), config.client.allowed_origins.len()), ("chat", 0));
    }

    #[test]
    fn no_two_options_have_the_same_variable() {
        let names = variable_names();
        assert_eq!(names.len(), known::options().len());
        assert_eq!(names["AETHER_CLIENT_TOKEN_HMAC_SECRET_KEY"].to_string(), "client.token.hmac_secret_key");
    }

    #[test]
    fn unknown_variables_are_named() {
        let variables =
            [("AETHER_CLIENT_PING_INTERVALL", "1s"), ("AETHER_XYZ", ""), ("AETHER_CHANNEL_NAMESPACES", r#"[{"name": "chat", "presense": true}]"#)];
        let unknown: Vec<_> = load("", &variables).unwrap().unknown.iter().map(ToString::to_string).collect();
        let expected = [
            "AETHER_CLIENT_PING_INTERVALL (did you mean AETHER_CLIENT_PING_INTERVAL?)",
            "AETHER_XYZ",
            "channel.namespaces[0].presense (did you mean channel.namespaces[0].presence?)",
        ];
        assert_eq!(unknown, expected);
    }

    #[test]
    fn wrong_values_are_told_all_at_once_with_path_value_and_cure() {
        let file = "
            log = { level = \"loud\", format = 5 }
            engine.type = \"redis\"
            [http_server]
            port = 70000
            backlog = -1
            workers = 1.5
            address = 5
            tls = true
            request_body_max = \"1XB\"
            [client]
            insecure = \"yes\"
            allowed_origins = \"*\"
            ping_interval = 25
            pong_timeout = \"8\"
            [client.token]
            hmac_secret_key = 4711
            [client.subscription_token]
            hmac_previous_secret_key_valid_until = \"tomorrow\"
            [[channel.namespaces]]
            name = \"ok\"
            [[channel.namespaces]]
            name = \"news\"
            history_size = -1
            history_ttl = \"5 minutes\"
            force_recovery_mode = \"fast\"
            [[upstream.feeds]]
            headers = { Authorization = 4711 }
            line_bytes_max = true
            [[upstream.feeds]]
            format = \"xml\"
        ";
        let expected = [
            "channel.namespaces[1].force_recovery_mode: \"fast\" is none of the possible values; write \"stream\" or \"cache\"",
            "channel.namespaces[1].history_size: -1 is not a whole number from 0 to 4294967295",
            "channel.namespaces[1].history_ttl: \"5 minutes\" is not a duration; write a number with its unit, such as \"25s\", \"1h30m\" or \"300ms\", of at most 366 days",
            "client.allowed_origins: \"*\" is not a list, such as [\"one\", \"two\"]",
            "client.insecure: \"yes\" is not true or false",
            "client.ping_interval: 25 is not a duration with its unit, such as \"25s\", \"1h30m\" or \"300ms\"",
            "client.pong_timeout: \"8\" is not a duration; write a number with its unit, such as \"25s\", \"1h30m\" or \"300ms\", of at most 366 days",
            "client.subscription_token.hmac_previous_secret_key_valid_until: \"tomorrow\" is not a whole number",
            "client.token.hmac_secret_key: a secret must be a text; put it in quotes",
            "engine.type: \"redis\" is none of the possible values; write \"memory\"",
            "http_server.address: 5 is not a text in quotes",
            "http_server.backlog: -1 is not a whole number from 0 to 4294967295",
            "http_server.port: 70000 is not a whole number from 0 to 65535",
            "http_server.request_body_max: \"1XB\" is not a number of bytes; write for instance 65536, \"64KiB\" or \"1MiB\"",
            "http_server.tls: true is not a section with options in it",
            "http_server.workers: 1.5 is not a whole number from 0",
            "log.format: 5 is not a text in quotes",
            "log.level: \"loud\" is none of the possible values; write \"trace\" or \"debug\" or \"info\" or \"warn\" or \"error\" or \"fatal\" or \"none\"",
            "upstream.feeds[0].headers.Authorization: a secret must be a text; put it in quotes",
            "upstream.feeds[0].line_bytes_max: true is not a number of bytes, such as 65536, \"64KiB\" or \"1MiB\"",
            "upstream.feeds[1].format: \"xml\" is none of the possible values; write \"data\" or \"envelope\"",
        ];
        let found = mistakes(file, &[]);
        assert_eq!(found, expected, "{found:#?}");
    }

    #[test]
    fn a_wrong_variable_is_told_by_its_own_name() {
        let variables = [
            ("AETHER_HTTP_SERVER_PORT", "eighty"),
            ("AETHER_CLIENT_INSECURE", "yes"),
            ("AETHER_CHANNEL_NAMESPACES", "[{\"name\": \"news\", \"history_ttl\": 5}]"),
            ("AETHER_UPSTREAM_FEEDS", "wiki"),
        ];
        let expected = [
            "AETHER_CHANNEL_NAMESPACES: channel.namespaces[0].history_ttl: 5 is not a duration with its unit, such as \"25s\", \"1h30m\" or \"300ms\"",
            "AETHER_CLIENT_INSECURE: \"yes\" is not true or false",
            "AETHER_HTTP_SERVER_PORT: \"eighty\" is not a whole number from 0 to 65535",
            "AETHER_UPSTREAM_FEEDS: line 1, column 1: expected value (read as JSON); it must be JSON, such as [{\"name\": \"news\"}]",
        ];
        assert_eq!(mistakes("", &variables), expected);
    }

    #[test]
    fn an_override_of_nothing_is_a_mistake() {
        let overrides = [("http_server.prot".to_string(), "1".to_string()), ("client".to_string(), "{}".to_string())];
        let Err(error) = Config::load(&Layers { overrides: &overrides, ..Layers::default() }) else { panic!("loaded") };
        let expected = "the configuration has 2 mistakes:\n  http_server.prot: there is no such option; did you mean http_server.port?\n  client: there is no such option";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn secrets_are_in_no_message() {
        let variables = [("AETHER_HTTP_API_KEY", "hush-variable")];
        let file = "[client.token]\nhmac_secret_key = \"hush-file\"\n[client]\nping_interval = \"0s\"\n[[upstream.feeds]]\nheaders = { A = \"hush\\nheader\" }\n";
        let error = load(file, &variables).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"), "{error} {error:?}");
        let loaded = load("[client.token]\nhmac_secret_key = \"hush-file\"\n", &variables).unwrap();
        assert!(!format!("{loaded:?}").contains("hush"), "{loaded:?}");
    }

    #[test]
    fn a_file_of_mistakes_is_told_in_some_lines() {
        let file = (0..5_000).map(|n| format!("[[channel.namespaces]]\nhistory_size = -{}\nz{n} = 1\n", n + 1)).collect::<String>();
        let text = load(&file, &[]).unwrap_err().to_string();
        assert!(text.lines().count() <= 2 * PROBLEMS_MAX + 4 && text.contains("more"), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_stands_in_an_option_there_is_no_panic(position in 0usize..1_000, text in "\\PC{0,40}") {
            let options = known::options();
            let path = &options[position % options.len()];
            let overrides = [(path.to_string(), text.clone())];
            let _ = Config::load(&Layers { overrides: &overrides, ..Layers::default() });
            let written = path.steps().iter().rev().fold(Value::from(text), |value, step| match step {
                Step::Name(name) => json!({ name: value }),
                Step::Index(_) => json!([value]),
            });
            let file = written.to_string();
            let _ = Config::load(&Layers { file: Some((file.as_bytes(), Format::Json)), ..Layers::default() });
        }
    }
}
