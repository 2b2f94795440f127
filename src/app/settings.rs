//! From the configuration, as people write it, to the settings of each room, as it uses them.

use crate::admin::audit::AuditSettings;
use crate::auth::accounts::{AccountSettings, Accounts};
use crate::auth::passwords::PasswordSettings;
use crate::auth::throttle::ThrottleRules;
use crate::auth::{
    Algorithm, ApiKey, HubKey, HubKeyError, HubTokens, Jwks, JwksSettings, MercureKey, MercureTokenSettings, MercureTokens, OriginRule,
    TokenSettings, TokenVerifier,
};
use crate::broker::{MemoryBrokerSettings, Publisher};
use crate::clock::{Clock, Millis};
use crate::config::{
    CommandLimitsConfig, Config, EmailTls, FeedConfig, FeedFormat, FeedStart, LimitsConfig, MercureKeyConfig, SubscriptionTokenConfig, TokenConfig,
    UpstreamConfig,
};
use crate::content::{ContentRuleError, ContentRules};
use crate::guard::limits::{LimitSettings, Limits, Rates};
use crate::hooks::{Courier, CourierSettings, Hooks, Keep, Waiting};
use crate::http::api::NodeInfo;
use crate::http::connection::Deadlines;
use crate::http::forwarded::{ForwardedBy, TrustedProxies};
use crate::http::live::LiveSettings;
use crate::http::mercure::{MercureState, Origins, cors};
use crate::http::metrics::MetricsGate;
use crate::http::pages::{PageSettings, TransportPaths};
use crate::http::transports::entrance::{ConnectRate, Entrance};
use crate::http::transports::streams::{Endpoint, StreamSettings};
use crate::http::transports::websocket::WebsocketSettings;
use crate::mail::{MailSettings, Mailer, Protection, ready_letters};
use crate::mercure::log::LogSettings;
use crate::mercure::names::TopicNames;
use crate::mercure::{Drain, MercureHub, MercureSettings};
use crate::metrics::MetricsSettings;
use crate::metrics::alerts::letter::letters as alert_letters;
use crate::metrics::reports::ReportSettings;
use crate::outbox::OutboxLimits;
use crate::protocol::event_stream::EventStreamLimits;
use crate::protocol::mercure::{HUB_PATH, hub_base};
use crate::protocol::websocket;
use crate::session::worker::{PersonalChannel, SessionSettings};
use crate::store::Store;
use crate::telemetry::emit;
use crate::telemetry::mercure::MercureEnabled;
use crate::topic::TopicSettings;
use crate::topic::registry::Topics;
use crate::units::{ByteSize, HumanDuration};
use crate::upstream::{
    BreakerSettings, DegradedSettings, EmergencySettings, FeedError, FeedLimits, FeedSettings, FeedTemplate, Format, GateSettings, HealthSettings,
    Plan, PoolSettings,
};
use anyhow::{Context, anyhow};
use ipnet::IpNet;
use std::net::{AddrParseError, IpAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds that the broker may take to tell a position.
const BROKER_MS_MAX: Millis = 2_000;

/// In the data folder: the key of the hub's own tokens.
const ACCOUNTS_KEY_FILE: &str = "accounts-key";

/// What is measured, and how often.
pub fn metrics(config: &Config, node: &str) -> MetricsSettings {
    let metrics = &config.metrics;
    let objectives = &metrics.objectives;
    MetricsSettings {
        interval: metrics.interval.duration(),
        canary_interval: metrics.canary_interval.duration(),
        latency_goal: metrics.latency_goal.duration(),
        goals: [objectives.connections, objectives.delivery, objectives.latency, objectives.errors, objectives.recovery],
        keeps_history: metrics.history,
        data_dir: Path::new(&config.data_dir).to_path_buf(),
        has_alerts: config.alerts.enabled,
        node: node.to_string(),
        reports: ReportSettings {
            is_scheduled: config.reports.enabled,
            at_ms: config.reports.at_ms().unwrap_or_default(),
            weekday: config.reports.weekday as i64,
            days_kept: config.reports.days_kept as i64,
            weeks_kept: config.reports.weeks_kept as i64,
        },
    }
}

/// Where alerts are posted. One in a request would be as many requests as feeds when a host goes away.
pub fn alerts_courier<'a>(config: &'a Config, store: &Arc<dyn Store>) -> CourierSettings<'a> {
    const ALERTS_IN_A_REQUEST: usize = 100;
    let webhook = &config.alerts.webhook;
    CourierSettings {
        waiting: Waiting {
            path: "alerts.webhook",
            timeout: webhook.timeout.duration(),
            retry_initial: webhook.retry_initial.duration(),
            retry_max: webhook.retry_max.duration(),
            events_max: webhook.queue_max,
            bytes_max: webhook.queue_size_max.bytes(),
            age_max: Some(webhook.queue_max_age.duration()),
            batch_max: ALERTS_IN_A_REQUEST,
            gather: Duration::ZERO,
        },
        endpoint: if config.alerts.enabled { &webhook.endpoint } else { "" },
        secret: &webhook.secret,
        static_headers: &webhook.static_headers,
        keep: Some(Keep { store: Arc::clone(store), key: "alerts:webhook:waiting" }),
    }
}

/// Who carries what by e-mail; `None`: nobody gets it.
#[derive(Default)]
pub struct Letters {
    pub alerts: Option<Arc<Courier>>,
    pub reports: Option<Arc<Courier>>,
}

/// Who carries alerts and reports by e-mail; reads the files of password and certificate.
pub fn letters(config: &Config, node: &str, clock: &Clock, store: &Arc<dyn Store>) -> anyhow::Result<Letters> {
    /// Alerts of one letter. It names fewer, and counts them all.
    const ALERTS_IN_A_LETTER: usize = 1_000;
    let (email, alerts, reports) = (&config.email, &config.alerts, &config.reports);
    if email.host.is_empty() {
        return Ok(Letters::default());
    }
    let password = match email.password_file.as_str() {
        "" => email.password.expose().to_string(),
        file => {
            let text = std::fs::read_to_string(file).with_context(|| format!("email.password_file: cannot read {file}"))?;
            text.lines().next().unwrap_or_default().to_string()
        }
    };
    let ca_pem = match email.ca_pem_file.as_str() {
        "" => Vec::new(),
        file => std::fs::read(file).with_context(|| format!("email.ca_pem_file: cannot read {file}"))?,
    };
    let settings = MailSettings {
        host: email.host.clone(),
        port: email.port(),
        protection: match email.tls {
            EmailTls::None => Protection::None,
            EmailTls::Starttls => Protection::Starttls,
            EmailTls::Tls => Protection::Tls,
        },
        ca_pem,
        login: (!email.user.is_empty()).then(|| (email.user.clone(), password)),
        from: email.from.clone(),
        timeout: email.timeout.duration(),
    };
    let courier = |key, to: &[String], batch_max, gather, write| -> anyhow::Result<Option<Arc<Courier>>> {
        if to.is_empty() {
            return Ok(None);
        }
        let waiting = Waiting {
            path: "email",
            timeout: email.timeout.duration(),
            retry_initial: email.retry_initial.duration(),
            retry_max: email.retry_max.duration(),
            events_max: email.queue_max,
            bytes_max: email.queue_size_max.bytes(),
            age_max: Some(email.queue_max_age.duration()),
            batch_max,
            gather,
        };
        let keep = Keep { store: Arc::clone(store), key };
        Ok(Some(Courier::with(waiting, Arc::new(Mailer::new(&settings, to, clock, write)?), Some(keep), clock)))
    };
    let to_alert: &[String] = if alerts.enabled { &alerts.email.to } else { &[] };
    Ok(Letters {
        alerts: courier("alerts:email:waiting", to_alert, ALERTS_IN_A_LETTER, alerts.email.gather.duration(), alert_letters(node))?,
        reports: courier("reports:email:waiting", &reports.email_to, 1, Duration::ZERO, ready_letters())?,
    })
}

/// What payloads must be. Reads the schemas that stand in files.
pub fn content(config: &Config) -> Result<ContentRules, ContentRuleError> {
    ContentRules::new(&config.channel.without_namespace, &config.channel.namespaces)
}

/// `node` is what this node calls itself: see [`NodeInfo::uid`].
pub fn session(config: &Config, node: &str) -> SessionSettings {
    let client = &config.client;
    let personal = &client.subscribe_to_user_personal_channel;
    SessionSettings {
        version: env!("CARGO_PKG_VERSION").to_string(),
        node: node.to_string(),
        is_insecure: client.insecure,
        allow_anonymous: client.allow_anonymous_connect_without_token,
        disallow_anonymous_tokens: client.disallow_anonymous_connection_tokens,
        ping_interval_ms: client.ping_interval.ms(),
        pong_timeout_ms: client.pong_timeout.ms(),
        stale_close_ms: client.stale_close_delay.ms(),
        expired_close_ms: client.expired_close_delay.ms(),
        expired_sub_close_ms: client.expired_sub_close_delay.ms(),
        close_timeout_ms: client.close_timeout.ms(),
        channel_limit: client.channel_limit,
        wildcard_limit: client.wildcard_limit,
        user_connection_limit: client.user_connection_limit,
        history_limit: client.history_max_publication_limit,
        recovery_limit: client.recovery_max_publication_limit,
        error_limit: client.command_error_limit,
        call_limit: client.rpc_limit,
        call_timeout_ms: client.rpc_timeout.ms(),
        idle_ms: client.idle_timeout.is_positive().then(|| client.idle_timeout.ms()),
        age_ms: client.session_max_age.is_positive().then(|| client.session_max_age.ms()),
        tell_time: client.connect_include_server_time,
        personal_channel: personal
            .enabled
            .then(|| PersonalChannel { namespace: personal.personal_channel_namespace.clone(), is_single_connection: personal.single_connection }),
        frame_limits: websocket::Limits {
            message_bytes_max: config.websocket.message_size_limit.bytes(),
            fragments_max: config.websocket.fragments_max,
        },
    }
}

pub fn outbox(config: &Config) -> OutboxLimits {
    OutboxLimits {
        bytes_max: config.client.queue_max_size.bytes(),
        age_ms_max: config.client.queue_max_age.ms(),
        close_ms_max: config.client.close_timeout.ms(),
    }
}

/// Named as configured or, where nothing is, so that nodes of different machines and ports can be told apart.
pub fn node(config: &Config, clock: &Clock) -> NodeInfo {
    let name = match config.node.name.as_str() {
        "" => format!("{}_{}", sysinfo::System::host_name().as_deref().unwrap_or("localhost"), config.http_server.port),
        name => name.to_string(),
    };
    NodeInfo { uid: uuid::Uuid::new_v4().to_string(), name, version: env!("CARGO_PKG_VERSION").to_string(), started: clock.now() }
}

/// What every page of the hub's own is told.
pub fn pages(config: &Config) -> PageSettings {
    let Config { http_stream, sse, uni_sse, emulation, mercure, .. } = config;
    let path = |is_on: bool, path: &str| is_on.then(|| path.to_string());
    PageSettings {
        has_live: config.live.enabled,
        websocket: (!config.websocket.disabled).then(|| config.websocket.handler_prefix.clone()),
        auth: config.accounts.enabled.then(|| config.accounts.handler_prefix.clone()),
        transports: TransportPaths {
            http_stream: path(http_stream.enabled, &http_stream.handler_prefix),
            sse: path(sse.enabled, &sse.handler_prefix),
            uni_sse: path(uni_sse.enabled, &uni_sse.handler_prefix),
            emulation: path(http_stream.enabled || sse.enabled, &emulation.handler_prefix),
            mercure: path(mercure.enabled, HUB_PATH),
        },
    }
}

pub fn live(config: &Config, node: &NodeInfo) -> LiveSettings {
    LiveSettings {
        websocket: config.websocket.handler_prefix.clone(),
        api: config.http_api.handler_prefix.clone(),
        node: node.name.clone(),
        version: node.version.clone(),
        has_demo: config.demo.enabled,
        takes_anonymous: config.client.allow_anonymous_connect_without_token,
        is_insecure: config.client.insecure,
    }
}

pub fn topics(config: &Config) -> TopicSettings {
    TopicSettings {
        linger_ms: config.topic.linger.ms(),
        queue_bytes_max: config.topic.queue_bytes_max.bytes(),
        broker_ms_max: BROKER_MS_MAX,
        patterns_max: config.topic.wildcards_max,
    }
}

pub fn broker(config: &Config) -> MemoryBrokerSettings {
    MemoryBrokerSettings {
        history_bytes_max: config.memory_broker.history_bytes_max.bytes(),
        streams_max: config.memory_broker.streams_max,
        idempotency_keys_max: config.memory_broker.idempotency_keys_max,
        idempotency_ttl: crate::broker::IDEMPOTENCY_TTL,
        history_meta_ttl: config.channel.history_meta_ttl,
    }
}

pub fn deadlines(config: &Config) -> Deadlines {
    let http = &config.http_server;
    Deadlines {
        tls_handshake_ms: http.tls_handshake_timeout.ms(),
        first_request_ms: http.request_header_timeout.ms(),
        request_ms: http.request_timeout.ms(),
        write_ms: http.write_timeout.ms(),
        keep_alive_ms: http.keep_alive_timeout.ms(),
    }
}

pub fn entrance(config: &Config, clock: &Clock, proxies: &TrustedProxies, hooks: Option<&Hooks>) -> anyhow::Result<Entrance> {
    let rate = config.client.connection_rate_limit;
    Ok(Entrance {
        origins: OriginRule::new(&config.client.allowed_origins).context("client.allowed_origins")?,
        session_limit: config.client.connection_limit,
        proxies: proxies.clone(),
        passed_headers: hooks.map(Hooks::passed_headers).unwrap_or_default(),
        rate: (rate > 0).then(|| ConnectRate::new(rate, clock.clone())),
    })
}

pub fn websocket(config: &Config, entrance: &Arc<Entrance>) -> WebsocketSettings {
    WebsocketSettings {
        path: (!config.websocket.disabled).then(|| config.websocket.handler_prefix.clone()),
        uni_path: config.uni_websocket.enabled.then(|| config.uni_websocket.handler_prefix.clone()),
        entrance: Arc::clone(entrance),
    }
}

pub fn streams(config: &Config, entrance: &Arc<Entrance>) -> StreamSettings {
    let Config { http_stream, sse, uni_http_stream, uni_sse, emulation, .. } = config;
    let endpoint = |is_on: bool, path: &String, max: ByteSize| is_on.then(|| Endpoint { path: path.clone(), body_bytes_max: max.bytes() });
    StreamSettings {
        entrance: Arc::clone(entrance),
        http_stream: endpoint(http_stream.enabled, &http_stream.handler_prefix, http_stream.max_request_body_size),
        sse: endpoint(sse.enabled, &sse.handler_prefix, sse.max_request_body_size),
        uni_http_stream: endpoint(uni_http_stream.enabled, &uni_http_stream.handler_prefix, uni_http_stream.max_request_body_size),
        uni_sse: endpoint(uni_sse.enabled, &uni_sse.handler_prefix, uni_sse.max_request_body_size),
        emulation: endpoint(http_stream.enabled || sse.enabled, &emulation.handler_prefix, emulation.max_request_body_size),
        timeout: config.http_server.request_timeout.duration(),
    }
}

pub fn accounts(config: &Config) -> AccountSettings {
    let accounts = &config.accounts;
    let ms = |duration: HumanDuration| i64::try_from(duration.ms()).unwrap_or(i64::MAX);
    AccountSettings {
        token_ttl_ms: ms(accounts.token_ttl),
        rotation_grace_ms: ms(accounts.rotation_grace),
        idle_ms: ms(accounts.idle_timeout),
        absolute_ms: ms(accounts.absolute_timeout),
        logins_per_user: accounts.logins_per_user,
        throttle: ThrottleRules {
            tries: accounts.tries,
            tries_per_address: accounts.tries_per_address,
            pause_ms: accounts.pause.ms(),
            pause_max_ms: accounts.pause_max.ms(),
        },
    }
}

/// Half of the cores look at passwords, unless configured.
pub fn passwords(config: &Config) -> PasswordSettings {
    let password = &config.accounts.password;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    PasswordSettings {
        memory_kib: u32::try_from(password.memory.bytes() / 1_024).unwrap_or(u32::MAX),
        iterations: password.iterations,
        parallelism: password.parallelism,
        at_once: if password.at_once == 0 { (cores / 2).max(1) } else { password.at_once },
        wait: password.wait.duration(),
    }
}

/// What mints and verifies the hub's own tokens, if it has accounts. Makes their key where there is none yet.
pub fn hub_tokens(config: &Config) -> anyhow::Result<Option<Arc<HubTokens>>> {
    if !config.accounts.enabled {
        return Ok(None);
    }
    let key = match config.accounts.token_key.expose() {
        "" => HubKey::open(&Path::new(&config.data_dir).join(ACCOUNTS_KEY_FILE))?,
        key => HubKey::configured(key),
    };
    Ok(Some(Arc::new(HubTokens::new(&key)?)))
}

/// What mints the hub's own tokens beside the hub: with the key that is there, which a hub has made.
pub fn tokens_of_the_hub(config: &Config) -> Result<HubTokens, HubKeyError> {
    let key = match config.accounts.token_key.expose() {
        "" => HubKey::existing(&Path::new(&config.data_dir).join(ACCOUNTS_KEY_FILE))?,
        key => HubKey::configured(key),
    };
    HubTokens::new(&key)
}

/// What all workers share of the Mercure hub, if there is one.
pub fn mercure(config: &Config, topics: &Arc<Topics>, drain: Drain, clock: &Clock) -> anyhow::Result<Option<Arc<MercureHub>>> {
    let mercure = &config.mercure;
    if !mercure.enabled {
        return Ok(None);
    }
    let channel = &config.channel;
    let namespaces = channel.namespaces.iter().map(|namespace| namespace.name.clone());
    let names = TopicNames::new(&mercure.namespace, namespaces, &channel.namespace_boundary, &channel.private_prefix, &channel.user_boundary);
    let log =
        LogSettings { history_size: mercure.history_size, history_ttl_ms: mercure.history_ttl.ms(), bytes_max: mercure.history_bytes_max.bytes() };
    let base = hub_base(&mercure.resource).ok_or_else(|| anyhow!("mercure.resource is not a URL"))?;
    let settings = MercureSettings {
        log,
        is_insecure: config.client.insecure,
        heartbeat_ms: mercure.heartbeat.ms(),
        listening_max: config.client.channel_limit,
    };
    emit(MercureEnabled);
    Ok(Some(MercureHub::new(settings, names, topics, base, drain, clock.clone())))
}

/// What the endpoints of the Mercure hub need.
pub fn mercure_endpoints(
    config: &Config,
    hub: Arc<MercureHub>,
    publisher: &Publisher,
    accounts: Option<Arc<Accounts>>,
    limits: &Arc<Limits>,
    clock: &Clock,
) -> anyhow::Result<Arc<MercureState>> {
    let mercure = &config.mercure;
    let key = |key: &MercureKeyConfig| -> anyhow::Result<Option<MercureKey>> {
        if key.key.is_empty() {
            return Ok(None);
        }
        let algorithm = Algorithm::parse(&key.alg).ok_or_else(|| anyhow!("\"{}\" is no algorithm of tokens", key.alg))?;
        Ok(Some(MercureKey { algorithm, key: key.key.expose().to_string().into() }))
    };
    let tokens = MercureTokenSettings {
        protocol: mercure.protocol,
        publisher: key(&mercure.publisher).context("mercure.publisher")?,
        subscriber: key(&mercure.subscriber).context("mercure.subscriber")?,
        resource: mercure.resource.clone(),
        issuer: mercure.trusted_issuer.clone(),
    };
    Ok(Arc::new(MercureState {
        hub,
        tokens: MercureTokens::new(&tokens).context("mercure")?,
        publisher: publisher.clone(),
        accounts,
        protocol: mercure.protocol,
        resource: mercure.resource.clone(),
        issuer: mercure.trusted_issuer.clone(),
        has_subscriptions: mercure.subscriptions,
        anonymous: mercure.anonymous || config.client.insecure,
        connection_limit: config.client.connection_limit,
        write_timeout_ms: mercure.write_timeout.is_positive().then(|| mercure.write_timeout.ms()),
        dispatch_timeout_ms: mercure.dispatch_timeout.ms(),
        publish_origins: Origins::new(&mercure.publish_origins).context("mercure.publish_origins")?,
        cors: cors(&mercure.cors_origins).context("mercure.cors_origins")?,
        limits: Arc::clone(limits),
        clock: clock.clone(),
        body_bytes_max: config.http_server.request_body_max.bytes(),
        timeout: config.http_server.request_timeout.duration(),
    }))
}

/// Who is believed about the addresses of clients.
pub fn proxies(config: &Config) -> anyhow::Result<TrustedProxies> {
    let http = &config.http_server;
    let networks = networks(&http.trusted_proxies).context("http_server.trusted_proxies")?;
    Ok(TrustedProxies::new(networks, ForwardedBy::parse(&http.forwarded_header).unwrap_or_default()))
}

/// Who may read `/metrics`.
pub fn metrics_gate(config: &Config) -> anyhow::Result<MetricsGate> {
    let networks = networks(&config.prometheus.allowed_addresses).context("prometheus.allowed_addresses")?;
    Ok(MetricsGate { token: ApiKey::new(config.prometheus.token.expose()), networks })
}

/// Addresses alone are networks of one.
fn networks(texts: &[String]) -> Result<Vec<IpNet>, AddrParseError> {
    texts.iter().map(|text| text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical())))).collect()
}

pub fn limits(config: &Config) -> LimitSettings {
    let LimitsConfig { identities_max, connects, commands, publishes, subscribes, api } = &config.limits;
    let of_commands = |limits: &CommandLimitsConfig| Rates {
        per_connection: limits.per_connection.0,
        per_user: limits.per_user.0,
        per_address: limits.per_address.0,
        total: limits.total.0,
    };
    LimitSettings {
        identities_max: *identities_max,
        connects: Rates { per_user: connects.per_user.0, per_address: connects.per_address.0, total: connects.total.0, ..Rates::default() },
        commands: of_commands(commands),
        publishes: of_commands(publishes),
        subscribes: of_commands(subscribes),
        api: Rates { per_address: api.per_address.0, total: api.total.0, ..Rates::default() },
        keys: Rates { per_user: api.per_key.0, ..Rates::default() },
    }
}

/// Who verifies tokens.
pub struct Verifiers {
    pub connection: Arc<TokenVerifier>,
    pub subscription: Arc<TokenVerifier>,
    /// The keys that they read from elsewhere; somebody has to keep them up to date.
    pub published: Vec<Arc<Jwks>>,
}

pub fn tokens(config: &Config, hub: Option<&Arc<HubTokens>>, clock: &Clock) -> anyhow::Result<Verifiers> {
    let mut published = Vec::new();
    let mut verifier = |token: &TokenConfig| -> anyhow::Result<Arc<TokenVerifier>> {
        let mut verifier = TokenVerifier::new(&TokenSettings::from(token))?;
        if let Some(hub) = hub {
            verifier = verifier.and_those_of(Arc::clone(hub));
        }
        if let Some(settings) = JwksSettings::of(token) {
            let keys = Jwks::new(settings, clock.clone())?;
            published.push(Arc::clone(&keys));
            verifier = verifier.and_published(keys);
        }
        Ok(Arc::new(verifier))
    };
    let connection = verifier(&config.client.token).context("client.token")?;
    let SubscriptionTokenConfig { enabled, token } = &config.client.subscription_token;
    let subscription = if *enabled { verifier(token).context("client.subscription_token")? } else { Arc::clone(&connection) };
    Ok(Verifiers { connection, subscription, published })
}

pub fn audit(config: &Config) -> AuditSettings {
    AuditSettings { retention_ms: config.audit.retention.ms() as i64, records_max: config.audit.records_max }
}

pub fn upstream(config: &Config) -> Result<PoolSettings, FeedError> {
    let UpstreamConfig { pool, health, emergency, .. } = &config.upstream;
    let (mut feeds, mut templates) = (Vec::new(), Vec::new());
    for feed in &config.upstream.feeds {
        match plan(config, feed)? {
            Plan::Always(feed) => feeds.push(feed),
            Plan::OnDemand(template) => templates.push(template),
        }
    }
    Ok(PoolSettings {
        feeds_max: config.upstream.feeds_max,
        feeds,
        templates,
        on_demand_max: pool.on_demand_max,
        on_demand_grace: pool.on_demand_grace.duration(),
        release_after: pool.release_after.duration(),
        gate: GateSettings {
            connections_max: pool.connections_max,
            host_connections_max: pool.host_connections_max,
            rotation_percent: health.rotation_percent,
            start_rate: pool.start_rate,
            start_burst: pool.start_burst,
            start_jitter: pool.start_jitter.duration(),
            aging: pool.aging.duration(),
            breaker: BreakerSettings {
                failures: pool.breaker_failures,
                pause: pool.breaker_pause.duration(),
                pause_max: pool.breaker_pause_max.duration(),
            },
        },
        health: HealthSettings {
            check_interval: health.check_interval.duration(),
            age_max: health.age_max.duration(),
            errors_max: health.errors_max,
            silence_intervals: health.silence_intervals,
            upkeep_interval: health.upkeep_interval.duration(),
            upkeep_age_max: health.upkeep_age_max.duration(),
            failure_percent: health.failure_percent,
            degraded: DegradedSettings {
                interval: health.sample_interval.duration(),
                rate_min: health.rate_min,
                rate_percent: health.rate_percent,
                errors_max: health.errors_per_minute_max,
                latency_max: health.latency_max.duration(),
                retries_max: health.retries_max,
                bad_samples: health.bad_samples,
                good_samples: health.good_samples,
            },
        },
        emergency: EmergencySettings {
            is_enabled: emergency.enabled,
            is_dry_run: emergency.dry_run,
            look_interval: emergency.look_interval.duration(),
            errors_per_minute: emergency.errors_per_minute,
            used_percent: emergency.used_percent,
            degraded_percent: emergency.degraded_percent,
            detail_for: emergency.detail_for.duration(),
            connections_max: pool.connections_max,
            affected_errors: health.errors_per_minute_max,
        },
        save_interval: config.upstream.save_interval.duration(),
        report_interval: pool.report_interval.duration(),
        errors_warned: pool.errors_warned,
        connections_warned: pool.connections_warned,
        ..PoolSettings::default()
    })
}

/// What a feed's definition comes to.
pub fn plan(config: &Config, feed: &FeedConfig) -> Result<Plan, FeedError> {
    let event_channels: Vec<(String, String)> = feed.event_channels.iter().map(|(event, channel)| (event.clone(), channel.clone())).collect();
    let build = |url: &str, channel: &str| feed_settings(config, feed, url, channel);
    let template = FeedTemplate::new(&feed.name, &feed.url, &feed.channel, &event_channels, build)?;
    let is_on_demand = feed.start == FeedStart::OnDemand || template.has_parameters();
    if is_on_demand {
        return Ok(Plan::OnDemand(template));
    }
    let is_kept = config.mercure.enabled || channels_of(feed).any(|channel| keeps_history(config, &channel));
    Ok(Plan::Always(if is_kept { template.fixed()? } else { template.fixed_and_released()? }))
}

/// The channels of a feed as they are configured, but with its own name, which may be that of a namespace.
fn channels_of(feed: &FeedConfig) -> impl Iterator<Item = String> {
    let channels = feed.event_channels.values().chain([&feed.channel]).filter(|channel| !channel.is_empty());
    channels.map(|channel| channel.replace("{name}", &feed.name))
}

/// Whether what is published into a channel can still be read later. What else a feed's channel has in braces never names its namespace.
fn keeps_history(config: &Config, channel: &str) -> bool {
    let boundary = &config.channel.namespace_boundary;
    let text = channel.strip_prefix(config.channel.private_prefix.as_str()).unwrap_or(channel);
    let named = text.split_once(boundary.as_str()).and_then(|(name, _)| config.channel.namespaces.iter().find(|namespace| namespace.name == name));
    named.map_or(&config.channel.without_namespace, |namespace| &namespace.options).has_history()
}

/// One feed with its parameters filled in, but for the channels of single event types.
fn feed_settings(config: &Config, feed: &FeedConfig, url: &str, channel: &str) -> Result<FeedSettings, FeedError> {
    let limits = config.upstream.limits(feed);
    let format = match feed.format {
        FeedFormat::Data => Format::Data,
        FeedFormat::Envelope => Format::Envelope,
    };
    let headers = feed.headers.iter().map(|(name, value)| (name.as_str(), value.expose()));
    let defaults = FeedLimits::default();
    let limits = FeedLimits {
        connect_timeout: limits.connect_timeout.duration(),
        idle_timeout: limits.idle_timeout.duration(),
        data_idle_timeout: limits.data_idle_timeout.duration(),
        quick_retries: config.upstream.quick_retries,
        cool_off: config.upstream.cool_off.duration(),
        retry_after_max: config.upstream.retry_after_max.duration(),
        tcp_keepalive: config.upstream.tcp_keepalive.duration(),
        tcp_user_timeout: config.upstream.tcp_user_timeout.duration(),
        retry_min: limits.retry_min.duration(),
        retry_initial: limits.retry_initial.duration(),
        retry_max: limits.retry_max.duration(),
        stable_after: limits.stable_after.duration(),
        duplicate_window: config.upstream.duplicate_window,
        gap_markers: config.upstream.gap_markers,
        overlap: config.upstream.health.overlap.duration(),
        stream: EventStreamLimits {
            line_bytes_max: limits.line_bytes_max.bytes(),
            event_bytes_max: limits.event_bytes_max.bytes(),
            ..defaults.stream
        },
        ..defaults
    };
    // A feed whose events all have channels of their own needs none for the rest; the template leaves this one out again.
    let channel = if channel.is_empty() { "none" } else { channel };
    let files = feed.header_files.iter().map(|(name, file)| (name.as_str(), file.as_str()));
    let mut settings = FeedSettings::new(&feed.name, url, channel, format, headers, limits)?.with_header_files(files)?;
    settings.priority = feed.priority;
    settings.mapping.only_events = feed.only_events.iter().cloned().collect();
    settings.mapping.except_events = feed.except_events.iter().cloned().collect();
    settings.mapping.only_where = feed.only_where.iter().map(|(pointer, values)| (pointer.clone(), values.iter().cloned().collect())).collect();
    settings.mapping.event_time = (!feed.event_time.is_empty()).then(|| feed.event_time.clone());
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{ChannelOptions, Namespace};

    #[test]
    fn only_feeds_whose_events_are_kept_nowhere_may_be_let_go() {
        let mut config = Config::default();
        for (name, history_size) in [("kept", 10), ("gone", 0)] {
            let options = ChannelOptions { history_size, history_ttl: HumanDuration::from_secs(60), ..ChannelOptions::default() };
            config.channel.namespaces.push(Namespace { name: name.to_string(), options });
        }
        let feed = |name: &str, channel: &str, by_event: &str| FeedConfig {
            name: name.to_string(),
            url: "https://example.org/events".to_string(),
            channel: channel.to_string(),
            event_channels: [("trade", by_event)]
                .into_iter()
                .filter(|(_, channel)| !channel.is_empty())
                .map(|(event, channel)| (event.to_string(), channel.to_string()))
                .collect(),
            ..FeedConfig::default()
        };
        let is_let_go = |config: &Config, feed: &FeedConfig| match plan(config, feed) {
            Ok(Plan::Always(settings)) => !settings.audience.is_empty(),
            other => panic!("{other:?}"),
        };
        let cases = [
            ("a", "gone:{event}", "", true),
            ("a", "plain-{/symbol}", "", true),
            ("a", "", "gone:x", true),
            ("a", "kept:{event}", "", false),
            ("a", "$kept:x", "", false),
            ("a", "gone:x", "kept:{/symbol}", false),
            ("gone", "{name}:x", "", true),
            ("kept", "{name}:x", "", false),
        ];
        for (name, channel, by_event, expected) in cases {
            assert_eq!(is_let_go(&config, &feed(name, channel, by_event)), expected, "{name} {channel} {by_event}");
        }
        config.mercure.enabled = true;
        assert!(!is_let_go(&config, &feed("a", "gone:x", "")), "the Mercure hub keeps everything");
        config.mercure.enabled = false;
        config.channel.without_namespace.history_size = 1;
        config.channel.without_namespace.history_ttl = HumanDuration::from_secs(60);
        assert!(!is_let_go(&config, &feed("a", "plain", "")));
    }
}
