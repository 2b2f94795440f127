//! Hooks: the application decides. It is asked over HTTP who may connect, subscribe and publish, what goes on when its time is over, and it
//! answers calls. It is told, too, who left and which channels are listened to ([`Events`]).
//!
//! Called by the session, before it does what was asked; without a hook for it the session asks nobody, at the cost of one comparison. Pure
//! parts read and write the bodies ([`wire`]); a [`Backend`](backend::Backend) bounds what it may cost the others: a timeout over all of it,
//! requests at once and waiting, bytes of an answer, and a circuit breaker. Deliberately absent: following redirects, caching of answers, repeating a
//! question (the client does that, since error 100 is temporary), and gRPC.

pub mod backend;
mod courier;
mod events;
mod report;
pub mod wire;

pub use backend::{Asker, Failure, Kind, Outcome, PassedHeaders, told};
pub use courier::{Carrier, Courier, CourierSettings, Keep, Uncarried, Waiting};
pub use events::{Events, Happened};
pub use wire::{Accepted, Admitted, Allowed, Heard, Question, Refused, Renewed};

use crate::clock::Clock;
use crate::config::{Config, DEFAULT_PROXY, ProxyConfig, Secret};
use crate::outbound::{self, is_loopback};
use crate::threads;
use crate::upstream::BreakerSettings;
use actix_rt::{Arbiter, ArbiterHandle};
use backend::{Backend, BackendSettings, Limits};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Connections to one backend that are kept for the next request, and for how long.
const IDLE_CONNECTIONS: usize = 16;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a client's headers that are kept for its hooks: names and values. What would go beyond is left out.
pub const PASSED_BYTES_MAX: usize = 16 * 1_024;

#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    #[error("{path}.endpoint: \"{url}\" is not an address")]
    Url { path: String, url: String },
    #[error("{path}: a header cannot be sent")]
    Header { path: String },
    #[error("there is no backend \"{name}\" in proxies")]
    Unknown { name: String },
    #[error("cannot make an HTTP client: {0}")]
    Client(#[source] reqwest::Error),
}

/// Who is asked about what.
pub struct Hooks {
    pub connect: Option<Arc<Backend>>,
    pub refresh: Option<Arc<Backend>>,
    subscribe: HashMap<String, Arc<Backend>>,
    publish: HashMap<String, Arc<Backend>>,
    sub_refresh: HashMap<String, Arc<Backend>>,
    rpc: Calls,
    /// The client's headers that some backend is told, in lower case.
    passed: Arc<[String]>,
    thread: Arbiter,
}

/// Methods, by the namespace in their names.
struct Calls {
    boundary: String,
    without_namespace: Option<Arc<Backend>>,
    namespaces: HashMap<String, Option<Arc<Backend>>>,
}

impl Hooks {
    /// `None`: nothing is asked of anybody.
    pub fn new(config: &Config, clock: &Clock) -> Result<Option<Arc<Self>>, HooksError> {
        let (client, channel, rpc) = (&config.client.proxy, &config.channel.proxy, &config.rpc);
        let namespaces = || config.channel.namespaces.iter().map(|namespace| &namespace.options).chain([&config.channel.without_namespace]);
        let methods = || rpc.namespaces.iter().map(|namespace| &namespace.options).chain([&rpc.without_namespace]);
        let asks_of_channels =
            |of: &crate::channel::ChannelOptions| of.subscribe_proxy_enabled || of.publish_proxy_enabled || of.sub_refresh_proxy_enabled;
        let is_asked = client.connect.enabled || client.refresh.enabled || namespaces().any(asks_of_channels) || methods().any(|of| of.proxy_enabled);
        if !is_asked {
            return Ok(None);
        }
        let thread = threads::arbiter("hooks");
        let mut making = Making { config, clock, clients: [None, None], thread: thread.handle(), passed: BTreeSet::new() };
        let connect = client.connect.enabled.then(|| making.make(Kind::Connect, "client.proxy.connect", &client.connect.proxy)).transpose()?;
        let refresh = client.refresh.enabled.then(|| making.make(Kind::Refresh, "client.proxy.refresh", &client.refresh.proxy)).transpose()?;
        let mut of = |kind, default, names: BTreeSet<&str>| making.make_all(kind, default, names);
        let subscribe = of(
            Kind::Subscribe,
            ("channel.proxy.subscribe", &channel.subscribe),
            namespaces().filter(|of| of.subscribe_proxy_enabled).map(|of| known(&of.subscribe_proxy_name)).collect(),
        )?;
        let publish = of(
            Kind::Publish,
            ("channel.proxy.publish", &channel.publish),
            namespaces().filter(|of| of.publish_proxy_enabled).map(|of| known(&of.publish_proxy_name)).collect(),
        )?;
        let sub_refresh = of(
            Kind::SubRefresh,
            ("channel.proxy.sub_refresh", &channel.sub_refresh),
            namespaces().filter(|of| of.sub_refresh_proxy_enabled).map(|of| known(&of.sub_refresh_proxy_name)).collect(),
        )?;
        let calls = of(Kind::Rpc, ("rpc.proxy", &rpc.proxy), methods().filter(|of| of.proxy_enabled).map(|of| known(&of.proxy_name)).collect())?;
        let call = |of: &crate::config::RpcOptions| of.proxy_enabled.then(|| calls.get(known(&of.proxy_name)).cloned()).flatten();
        let rpc = Calls {
            boundary: rpc.namespace_boundary.clone(),
            without_namespace: call(&rpc.without_namespace),
            namespaces: rpc.namespaces.iter().map(|namespace| (namespace.name.clone(), call(&namespace.options))).collect(),
        };
        let passed = making.passed.into_iter().collect();
        Ok(Some(Arc::new(Self { connect, refresh, subscribe, publish, sub_refresh, rpc, passed, thread })))
    }

    /// Who decides about subscriptions, under the name that the namespace's options give.
    pub fn subscribe(&self, name: &str) -> Option<&Arc<Backend>> {
        self.subscribe.get(known(name))
    }

    pub fn publish(&self, name: &str) -> Option<&Arc<Backend>> {
        self.publish.get(known(name))
    }

    pub fn sub_refresh(&self, name: &str) -> Option<&Arc<Backend>> {
        self.sub_refresh.get(known(name))
    }

    /// Who answers calls of `method`.
    pub fn rpc(&self, method: &str) -> Option<&Arc<Backend>> {
        match method.split_once(self.rpc.boundary.as_str()) {
            Some((namespace, _)) if !self.rpc.boundary.is_empty() => self.rpc.namespaces.get(namespace).and_then(Option::as_ref),
            _ => self.rpc.without_namespace.as_ref(),
        }
    }

    /// Names of the client's headers that are kept for its hooks, in lower case.
    pub fn passed_headers(&self) -> Arc<[String]> {
        Arc::clone(&self.passed)
    }

    /// Nothing is asked any more: who waits is told that nobody answers.
    pub fn stop(&self) {
        self.thread.stop();
    }
}

fn known(name: &str) -> &str {
    if name == DEFAULT_PROXY { "" } else { name }
}

/// What backends are made of.
struct Making<'a> {
    config: &'a Config,
    clock: &'a Clock,
    /// For other hosts, and for this one: each holds a copy of the system's certificates.
    clients: [Option<Client>; 2],
    thread: ArbiterHandle,
    passed: BTreeSet<String>,
}

impl Making<'_> {
    fn make_all(&mut self, kind: Kind, default: (&str, &ProxyConfig), names: BTreeSet<&str>) -> Result<HashMap<String, Arc<Backend>>, HooksError> {
        let mut backends = HashMap::new();
        for name in names {
            let backend = if name.is_empty() {
                self.make(kind, default.0, default.1)?
            } else {
                let named = self.config.proxies.iter().find(|named| named.name == name);
                let named = named.ok_or_else(|| HooksError::Unknown { name: name.to_string() })?;
                self.make(kind, &format!("proxies \"{name}\""), &named.proxy)?
            };
            backends.insert(name.to_string(), backend);
        }
        Ok(backends)
    }

    fn make(&mut self, kind: Kind, path: &str, proxy: &ProxyConfig) -> Result<Arc<Backend>, HooksError> {
        let url = Url::parse(&proxy.endpoint).map_err(|_| HooksError::Url { path: path.to_string(), url: proxy.endpoint.clone() })?;
        let headers = static_headers(path, &proxy.http.static_headers)?;
        let passed: Vec<String> = proxy.http_headers.iter().map(|name| name.to_ascii_lowercase()).collect();
        self.passed.extend(passed.iter().cloned());
        let statuses = proxy.http.status_to_code_transforms.iter().filter_map(|transform| {
            let (error, disconnect) = (&transform.to_error, &transform.to_disconnect);
            let refused = Refused::disconnect(disconnect.code, &disconnect.reason);
            Some((transform.status_code, refused.or_else(|| Refused::error(error.code, &error.message, error.temporary))?))
        });
        let hooks = &self.config.hooks;
        let settings = BackendSettings {
            kind,
            timeout: proxy.timeout.duration(),
            headers,
            passed,
            is_binary: proxy.binary_encoding,
            tells_meta: proxy.include_connection_meta,
            statuses: statuses.collect(),
            limits: Limits {
                concurrency: hooks.concurrency,
                waiting_max: hooks.waiting_max,
                answer_bytes_max: hooks.answer_size_max.bytes(),
                breaker: BreakerSettings {
                    failures: hooks.breaker_failures,
                    pause: hooks.breaker_pause.duration(),
                    pause_max: hooks.breaker_pause_max.duration(),
                },
            },
            url,
        };
        let is_local = is_loopback(&settings.url);
        let slot = &mut self.clients[usize::from(is_local)];
        let client = match slot {
            Some(client) => client.clone(),
            None => slot.insert(client(is_local).map_err(HooksError::Client)?).clone(),
        };
        Ok(Backend::new(settings, client, self.thread.clone(), self.clock.clone()))
    }
}

/// The headers of every request. Their values are shown nowhere.
fn static_headers(path: &str, of: &BTreeMap<String, Secret>) -> Result<HeaderMap, HooksError> {
    let mut headers = HeaderMap::new();
    for (name, value) in of {
        let wrong = || HooksError::Header { path: path.to_string() };
        let mut value = HeaderValue::from_bytes(value.expose().as_bytes()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
    }
    Ok(headers)
}

/// A client that sends no cookies of its own.
fn client(is_local: bool) -> Result<Client, reqwest::Error> {
    let builder = || outbound::builder(is_local).tcp_nodelay(true).pool_max_idle_per_host(IDLE_CONNECTIONS).pool_idle_timeout(IDLE_TIMEOUT);
    outbound::build("hooks", builder)
}
