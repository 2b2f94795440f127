//! Which options there are, and what somebody may have meant who wrote one that there is not.
//!
//! The tree of known options is the serialised default configuration, with one example element in each list of tables, so that there is no second
//! list to keep. A table without members in it takes any name (the headers of a feed).

use super::format::shorten;
use super::{Config, FeedConfig, NamedProxyConfig, RpcNamespace};
use crate::channel::Namespace;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::OnceLock;

/// An option that somebody wrote and that Aether does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownOption {
    /// Where it stands: a path such as `client.alowed_origins`, or the name of an environment variable.
    pub path: String,
    pub hint: Hint,
}

/// What can be said about an unknown option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Probably this one was meant.
    Near(String),
    /// Centrifugo has it, Aether does not.
    Centrifugo,
    /// Centrifugo has it, Aether has something in its place.
    InPlaceOf(&'static str),
    None,
}

impl fmt::Display for UnknownOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.hint {
            Hint::Near(near) => write!(f, "{path} (did you mean {near}?)"),
            Hint::Centrifugo => write!(f, "{path} (an option of Centrifugo that Aether does not have)"),
            Hint::InPlaceOf(ours) => write!(f, "{path} (an option of Centrifugo; in Aether it is {ours})"),
            Hint::None => write!(f, "{path}"),
        }
    }
}

/// The options of Centrifugo v6 that its users are most likely to bring along. An entry stands for everything below it too.
const CENTRIFUGO_ONLY: [(&str, Option<&str>); 48] = [
    ("admin", None),
    ("broker", None),
    ("channel.namespaces[].delta_publish", None),
    ("channel.namespaces[].subscribe_stream_proxy_enabled", None),
    ("channel.namespaces[].subscribe_stream_proxy_name", None),
    ("channel.proxy.subscribe_stream", None),
    ("client.allowed_delta_types", None),
    ("client.channel_position_check_delay", None),
    ("client.channel_position_max_time_lag", None),
    ("client.concurrency", None),
    ("client.connect_code_to_unidirectional_disconnect", None),
    ("client.insecure_skip_token_signature_verify", None),
    ("client.presence_update_interval", None),
    ("client.user_id_http_header", None),
    ("consumers", None),
    ("debug.handler_prefix", None),
    ("engine.redis", None),
    ("graphite", None),
    ("grpc_api", None),
    ("http_api.error_mode", None),
    ("http_api.external", None),
    ("http_server.http3", None),
    ("http_server.internal_address", None),
    ("http_server.internal_port", None),
    ("http_server.internal_tls", None),
    ("http_server.tls.cert_pem", Some("http_server.tls.cert_pem_file")),
    ("http_server.tls.client_ca_pem", None),
    ("http_server.tls.key_pem", Some("http_server.tls.key_pem_file")),
    ("http_server.tls_autocert", None),
    ("http_server.tls_external", None),
    ("log.file", None),
    ("map_broker", None),
    ("node.info_metrics_aggregate_interval", None),
    ("opentelemetry", None),
    ("pid_file", None),
    ("presence_manager", None),
    ("prometheus.instrument_http_handlers", None),
    ("rpc.ping", None),
    ("swagger", Some("http_api.docs")),
    ("uni_grpc", None),
    ("uni_http_stream.connect_code_to_http_response", None),
    ("uni_sse.connect_code_to_http_response", None),
    ("uni_websocket.compression", None),
    ("uni_websocket.join_push_messages", None),
    ("uni_websocket.message_size_limit", Some("websocket.message_size_limit")),
    ("uni_websocket.write_timeout", None),
    ("usage_stats", None),
    ("websocket.write_timeout", None),
];

/// More of Centrifugo's options, by what their first name begins with.
const CENTRIFUGO_ONLY_PREFIXES: [&str; 1] = ["webtransport"];

/// Unknown options for which what was meant is looked for.
const HINTS_MAX: usize = 50;

/// One step on the way from the root to an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

/// The way from the root to an option.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

impl Path {
    pub(super) fn name(&self, name: &str) -> Self {
        self.with(Step::Name(name.to_string()))
    }
    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }
    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// As [`CENTRIFUGO_ONLY`] writes it: the elements of a list are all one.
    fn pattern(&self) -> String {
        let mut pattern = String::new();
        for step in &self.0 {
            match step {
                Step::Name(name) if pattern.is_empty() => pattern.push_str(name),
                Step::Name(name) => pattern.extend([".", name.as_str()]),
                Step::Index(_) => pattern.push_str("[]"),
            }
        }
        pattern.replacen("channel.without_namespace.", "channel.namespaces[].", 1)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Name(name) if position == 0 => f.write_str(&shorten(name))?,
                Step::Name(name) => write!(f, ".{}", shorten(name))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Every known option with a value of its type.
pub(super) fn tree() -> &'static Value {
    static TREE: OnceLock<Value> = OnceLock::new();
    TREE.get_or_init(|| {
        let mut config = Config::default();
        config.channel.namespaces.push(Namespace::default());
        config.upstream.feeds.push(FeedConfig::default());
        config.rpc.namespaces.push(RpcNamespace::default());
        config.proxies.push(NamedProxyConfig::default());
        serde_json::to_value(&config).unwrap_or_default()
    })
}

/// The paths of all known options, in the form that they are set by: neither sections, nor what is inside of a list.
pub(super) fn options() -> &'static [Path] {
    static OPTIONS: OnceLock<Vec<Path>> = OnceLock::new();
    OPTIONS.get_or_init(|| {
        let mut options = Vec::new();
        leaves(&Path::default(), tree(), &mut options);
        options
    })
}

/// The options below one node of the known tree.
fn leaves(path: &Path, known: &Value, found: &mut Vec<Path>) {
    match known {
        Value::Object(members) if !members.is_empty() => members.iter().for_each(|(name, known)| leaves(&path.name(name), known, found)),
        _ => found.push(path.clone()),
    }
}

/// The known node that a path leads to. Every element of a list is like the example.
pub(super) fn at(path: &Path) -> Option<&'static Value> {
    path.steps().iter().try_fold(tree(), |node, step| match step {
        Step::Name(name) => node.get(name),
        Step::Index(_) => node.get(0),
    })
}

/// Collects what is written and not known.
pub(super) fn unknown(written: &Map<String, Value>) -> Vec<UnknownOption> {
    let mut found = Vec::new();
    if let Some(known) = tree().as_object() {
        compare(&Path::default(), written, known, &mut found);
    }
    found
}

fn compare(path: &Path, written: &Map<String, Value>, known: &Map<String, Value>, found: &mut Vec<UnknownOption>) {
    for (name, value) in written {
        let path = path.name(name);
        match (known.get(name), value) {
            (None, _) => {
                // Whoever has more of them has the wrong file, and to guess takes time.
                let hint = if found.len() < HINTS_MAX { hint(&path, name, known) } else { Hint::None };
                found.push(UnknownOption { hint, path: path.to_string() });
            }
            (Some(Value::Object(known)), Value::Object(written)) if !known.is_empty() => compare(&path, written, known, found),
            (Some(Value::Array(known)), Value::Array(written)) => {
                let Some(Value::Object(known)) = known.first() else { continue };
                for (index, element) in written.iter().enumerate() {
                    if let Value::Object(element) = element {
                        compare(&path.index(index), element, known, found);
                    }
                }
            }
            _ => {}
        }
    }
}

fn hint(path: &Path, name: &str, siblings: &Map<String, Value>) -> Hint {
    if let Some(hint) = centrifugo(&path.pattern()) {
        return hint;
    }
    let sibling = siblings.keys().map(|known| (similarity(name, known), known)).max_by(|(a, _), (b, _)| a.total_cmp(b));
    if let Some((score, known)) = sibling
        && score >= SIMILAR_MIN
    {
        let mut steps = path.0.clone();
        steps.pop();
        return Hint::Near(Path(steps).name(known).to_string());
    }
    elsewhere(name)
}

fn centrifugo(pattern: &str) -> Option<Hint> {
    let covers = |entry: &str| pattern.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    if let Some((_, ours)) = CENTRIFUGO_ONLY.iter().find(|(entry, _)| covers(entry)) {
        return Some(ours.map_or(Hint::Centrifugo, Hint::InPlaceOf));
    }
    CENTRIFUGO_ONLY_PREFIXES.iter().any(|prefix| pattern.starts_with(prefix)).then_some(Hint::Centrifugo)
}

/// How alike two names must be, from 0 to 1, for one to be taken for a slip in the other. A slip in a name of five letters has 0.8.
const SIMILAR_MIN: f64 = 0.7;

/// A known option in another section whose path ends like `name`: `token_hmac_secret_key` is `client.token.hmac_secret_key`.
fn elsewhere(name: &str) -> Hint {
    // The name alone must be as good as the right one: many sections have an `enabled`.
    const SIMILAR_ELSEWHERE_MIN: f64 = 0.9;
    let mut best = (SIMILAR_ELSEWHERE_MIN, Hint::None);
    for option in options() {
        let names: Vec<&str> =
            option.steps().iter().filter_map(|step| if let Step::Name(name) = step { Some(name.as_str()) } else { None }).collect();
        for from in 0..names.len() {
            let score = similarity(name, &names[from..].join("_"));
            if score > best.0 && (from + 1 < names.len() || names[from].contains('_')) {
                best = (score, Hint::Near(option.to_string()));
            }
        }
    }
    best.1
}

/// What was probably meant by the name of an environment variable.
pub(super) fn near_variable<'a>(variable: &str, known: impl Iterator<Item = &'a String>) -> Hint {
    let best = known.map(|known| (similarity(variable, known), known)).max_by(|(a, _), (b, _)| a.total_cmp(b));
    match best {
        // Variables share a long prefix, so they must be more alike than names.
        Some((score, known)) if score >= 0.85 => Hint::Near(known.clone()),
        _ => Hint::None,
    }
}

/// From 0 to 1, with letters of both cases and `-` and `_` taken for the same.
pub(super) fn similarity(a: &str, b: &str) -> f64 {
    // The measure takes time in proportion to the product of the lengths, and no option has a name of this length.
    const CHARS_MAX: usize = 100;
    let plain = |text: &str| text.chars().take(CHARS_MAX).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect::<String>();
    strsim::normalized_damerau_levenshtein(&plain(a), &plain(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unknown_option_is_named_with_what_was_meant() {
        let cases = [
            (json!({"client": {"alowed_origins": []}}), "client.alowed_origins (did you mean client.allowed_origins?)"),
            (json!({"client": {"AllowedOrigins": []}}), "client.AllowedOrigins (did you mean client.allowed_origins?)"),
            (json!({"client": {"ping-interval": 1}}), "client.ping-interval (did you mean client.ping_interval?)"),
            (json!({"allowed_origins": []}), "allowed_origins (did you mean client.allowed_origins?)"),
            (json!({"token_hmac_secret_key": ""}), "token_hmac_secret_key (did you mean client.token.hmac_secret_key?)"),
            (json!({"clients": {"x": 1}}), "clients (did you mean client?)"),
            (
                json!({"channel": {"namespaces": [{}, {"name": "a", "presense": true}]}}),
                "channel.namespaces[1].presense (did you mean channel.namespaces[1].presence?)",
            ),
            (
                json!({"channel": {"namespaces": [{"delta_publish": true}]}}),
                "channel.namespaces[0].delta_publish (an option of Centrifugo that Aether does not have)",
            ),
            (
                json!({"channel": {"without_namespace": {"subscribe_stream_proxy_enabled": true}}}),
                "channel.without_namespace.subscribe_stream_proxy_enabled (an option of Centrifugo that Aether does not have)",
            ),
            (json!({"admin": {"enabled": true}}), "admin (an option of Centrifugo that Aether does not have)"),
            (json!({"uni_grpc": {"enabled": true}}), "uni_grpc (an option of Centrifugo that Aether does not have)"),
            (json!({"engine": {"redis": {}}}), "engine.redis (an option of Centrifugo that Aether does not have)"),
            (json!({"swagger": {"enabled": true}}), "swagger (an option of Centrifugo; in Aether it is http_api.docs)"),
            (
                json!({"http_server": {"tls": {"cert_pem": "x"}}}),
                "http_server.tls.cert_pem (an option of Centrifugo; in Aether it is http_server.tls.cert_pem_file)",
            ),
            (json!({"health": {"zzz": 1}}), "health.zzz"),
            (json!({"a\nb": 1}), "a\\nb"),
        ];
        for (written, expected) in cases {
            let unknown = unknown(written.as_object().unwrap());
            assert_eq!(unknown.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        }
    }

    #[test]
    fn what_is_known_is_not_reported() {
        let written = json!({
            "client": {"token": {"hmac_secret_key": "x"}, "subscription_token": {"enabled": true, "hmac_secret_key": "y"}, "allowed_origins": ["*"]},
            "channel": {"namespaces": [{"name": "a", "history_size": 5, "history_ttl": "1m"}]},
            "upstream": {"feeds": [{"name": "f", "headers": {"X-Whatever": "v"}, "idle_timeout": "5s"}]},
            "engine": {"type": "memory"},
            "log": 5,
        });
        assert_eq!(unknown(written.as_object().unwrap()), []);
    }

    #[test]
    fn no_option_of_centrifugo_that_is_said_to_be_missing_is_there() {
        for (entry, ours) in CENTRIFUGO_ONLY {
            let mut path = Path::default();
            for name in entry.split('.') {
                path = match name.strip_suffix("[]") {
                    Some(name) => path.name(name).index(0),
                    None => path.name(name),
                };
            }
            assert_eq!(at(&path), None, "{entry}");
            if let Some(ours) = ours {
                assert!(options().iter().any(|option| option.to_string() == ours), "{ours}");
            }
        }
        assert!(CENTRIFUGO_ONLY.is_sorted());
    }
}
