//! What the types cannot say: ranges, relations between options, names that must exist.
//!
//! Every check adds to one list, so that somebody with five mistakes is told five and not the first one five times.

use super::accounts::AccountsConfig;
use super::client::TokenConfig;
use super::load::Problem;
use super::{
    AlertsWebhookConfig, Config, DEFAULT_PROXY, EmailTls, FeedConfig, FeedHealthConfig, FeedPoolConfig, HookEventsConfig, MetricsConfig, ProxyConfig,
    ReportsConfig, Secret, StoreType, is_url_parameter,
};
use crate::channel::{
    ChannelOptions, DELTA_BYTES_LIMIT, HistoryDurability, POINTERS_MAX, PublicationDataFormat, READ_BYTES_LIMIT, READ_DEPTH_LIMIT, RecoveryMode,
};
use crate::protocol::mercure::{Protocol, hub_base};
use crate::units::{ByteSize, HumanDuration};
use regex::Regex;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

/// Fewer records would be forgotten before anybody reads them.
const AUDIT_RECORDS_MIN: u64 = 100;

/// Addresses that one letter goes to. More is a list, which mail servers keep.
const MAIL_TO_MAX: usize = 50;

/// Everything that is wrong with a configuration.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut check = Check(Vec::new());
    check.that(!config.data_dir.trim().is_empty(), "data_dir", || "a folder is needed; the default is \"data\"");
    http_server(config, &mut check);
    client(config, &mut check);
    channel(config, &mut check);
    endpoints(config, &mut check);
    mercure(config, &mut check);
    hooks(config, &mut check);
    check.positive("shutdown.timeout", config.shutdown.timeout);
    check.not_negative("shutdown.spread", config.shutdown.spread);
    check.that(config.shutdown.spread < config.shutdown.timeout || config.shutdown.spread.is_negative(), "shutdown.spread", || {
        format!("{} must be shorter than shutdown.timeout, {}", config.shutdown.spread, config.shutdown.timeout)
    });
    accounts(&config.accounts, &mut check);
    engine(config, &mut check);
    store(config, &mut check);
    check.not_negative("audit.retention", config.audit.retention);
    check.that(config.audit.records_max == 0 || config.audit.records_max >= AUDIT_RECORDS_MIN, "audit.records_max", || {
        format!("{} must be 0, for any number, or at least {AUDIT_RECORDS_MIN}", config.audit.records_max)
    });
    metrics(&config.metrics, &mut check);
    alerts_webhook(&config.alerts.webhook, &mut check);
    reports(&config.reports, &mut check);
    email(config, &mut check);
    prometheus(config, &mut check);
    upstream(config, &mut check);
    check.0
}

/// What is wrong with one more feed, in the words for one of the configuration.
pub fn feed_problems(config: &Config, feed: &FeedConfig) -> Vec<String> {
    let mut config = config.clone();
    config.upstream.feeds = vec![feed.clone()];
    let mut check = Check(Vec::new());
    upstream(&config, &mut check);
    let of_feed = |problem: Problem| Some(format!("{}: {}", problem.path.strip_prefix("upstream.feeds[0].")?, problem.message));
    check.0.into_iter().filter_map(of_feed).collect()
}

fn metrics(config: &MetricsConfig, check: &mut Check) {
    let between = |value: HumanDuration, least: i64, most: i64| {
        (HumanDuration::from_ms(least).ms()..=HumanDuration::from_ms(most).ms()).contains(&value.ms()) && !value.is_negative()
    };
    check.that(between(config.interval, 100, 60_000), "metrics.interval", || format!("{} must be from 100ms to 1m", config.interval));
    check.that(
        !config.canary_interval.is_positive() && !config.canary_interval.is_negative() || between(config.canary_interval, 10, 60_000),
        "metrics.canary_interval",
        || format!("{} must be 0s, for none, or from 10ms to 1m", config.canary_interval),
    );
    check.positive("metrics.latency_goal", config.latency_goal);
    let objectives = &config.objectives;
    for (name, goal) in [
        ("connections", objectives.connections),
        ("delivery", objectives.delivery),
        ("latency", objectives.latency),
        ("errors", objectives.errors),
        ("recovery", objectives.recovery),
    ] {
        check.that((0.0..=1.0).contains(&goal), format!("metrics.objectives.{name}"), || format!("{goal} must be from 0 to 1, for instance 0.999"));
    }
}

fn reports(config: &ReportsConfig, check: &mut Check) {
    check.that(config.at_ms().is_some(), "reports.at", || {
        format!("\"{}\" is not a time of the day, such as \"00:10\" or \"18:30\"", config.at.escape_debug())
    });
    check.within("reports.days_kept", config.days_kept, 1, 366);
    check.within("reports.weeks_kept", config.weeks_kept, 1, 104);
}

fn prometheus(config: &Config, check: &mut Check) {
    let prometheus = &config.prometheus;
    check.that(prometheus.token.is_empty() || prometheus.token.expose().len() >= 16, "prometheus.token", || "must have 16 bytes or more");
    for (index, network) in prometheus.allowed_addresses.iter().enumerate() {
        check.that(is_network(network), format!("prometheus.allowed_addresses[{index}]"), || {
            format!("\"{}\" is neither an IP address nor a network such as \"10.0.0.0/8\"", network.escape_debug())
        });
    }
}

fn email(config: &Config, check: &mut Check) {
    let email = &config.email;
    let is_on = !email.host.is_empty();
    let is_host = email.host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:_".contains(&byte));
    check.that(is_host, "email.host", || {
        format!("\"{}\" must be a name or an address alone, such as \"smtp.example.org\"", email.host.escape_debug())
    });
    check.that(!is_on || is_mail_address(&email.from), "email.from", || {
        format!("\"{}\" must be an address of e-mail, such as \"aether@example.org\"", email.from.escape_debug())
    });
    check.that(email.password.is_empty() || email.password_file.is_empty(), "email.password_file", || "drop one of password and password_file");
    let has_password = !email.password.is_empty() || !email.password_file.is_empty();
    check.that(email.user.is_empty() != has_password, "email.user", || "user and password belong together: give both, or neither");
    let is_here = email.host == "localhost" || email.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    check.that(
        !has_password || email.tls != EmailTls::None || is_here,
        "email.tls",
        || "\"none\" would send the password readable through the network: use \"starttls\" or \"tls\"",
    );
    check.positive("email.timeout", email.timeout);
    check.positive("email.retry_initial", email.retry_initial);
    check.that(email.retry_max >= email.retry_initial, "email.retry_max", || {
        format!("{} must not be shorter than retry_initial, {}", email.retry_max, email.retry_initial)
    });
    check.within("email.queue_max", email.queue_max, 1, 100_000);
    check.that(email.queue_max_age > email.retry_max, "email.queue_max_age", || {
        format!("{} must be longer than retry_max, {}: what waits would be dropped before it is tried again", email.queue_max_age, email.retry_max)
    });
    check.that(email.queue_size_max >= ByteSize::mib(1), "email.queue_size_max", || "must be at least 1MiB");
    check.not_negative("alerts.email.gather", config.alerts.email.gather);
    for (path, to) in [("alerts.email.to", &config.alerts.email.to), ("reports.email_to", &config.reports.email_to)] {
        for (index, address) in to.iter().enumerate() {
            check.that(is_mail_address(address), format!("{path}[{index}]"), || {
                format!("\"{}\" must be an address of e-mail, such as \"operators@example.org\"", address.escape_debug())
            });
        }
        check.that(to.len() <= MAIL_TO_MAX, path, || format!("{} addresses are more than {MAIL_TO_MAX}; use a list of your mail server's", to.len()));
        check.that(to.is_empty() || is_on, path, || "there is nobody to send e-mail: set email.host");
    }
}

/// Addresses without names and comments, in ASCII: what every mail server takes.
fn is_mail_address(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>[]:;@\\,\"".contains(&byte));
    text.len() <= 254 && text.split_once('@').is_some_and(|(local, domain)| is_part(local) && is_part(domain))
}

struct Check(Vec<Problem>);

impl Check {
    fn that<M: Into<String>>(&mut self, holds: bool, path: impl Display, message: impl FnOnce() -> M) {
        if !holds {
            self.0.push(Problem::new(path, message()));
        }
    }
    fn positive(&mut self, path: impl Display, value: HumanDuration) {
        self.that(value.is_positive(), path, || format!("{value} must be longer than 0s"));
    }
    fn not_negative(&mut self, path: impl Display, value: HumanDuration) {
        self.that(!value.is_negative(), path, || format!("{value} must not be negative"));
    }
    fn some_bytes(&mut self, path: impl Display, value: ByteSize) {
        self.that(value.bytes() > 0, path, || "must be more than 0 bytes");
    }
    fn within(&mut self, path: impl Display, value: usize, min: usize, max: usize) {
        self.that((min..=max).contains(&value), path, || format!("{value} must be from {min} to {max}"));
    }
    fn regex(&mut self, path: impl Display, text: &str) {
        // Empty: no such rule.
        if !text.is_empty()
            && let Err(error) = Regex::new(text)
        {
            // The error draws the expression with an arrow below; its last line says what is wrong.
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_string();
            self.that(false, path, || format!("\"{}\" is not a regular expression: {reason}", text.escape_debug()));
        }
    }
}

fn http_server(config: &Config, check: &mut Check) {
    let server = &config.http_server;
    check.that(server.address.is_empty() || server.address.parse::<IpAddr>().is_ok(), "http_server.address", || {
        format!("\"{}\" is not an IP address; write for instance \"127.0.0.1\", or nothing for all interfaces", server.address)
    });
    check.that(server.tls_port == 0 || server.tls_port != server.port, "http_server.tls_port", || {
        format!("{} is http_server.port already; a port speaks either plain HTTP or TLS", server.tls_port)
    });
    check.that(
        server.tls_port == 0 || !server.tls.enabled,
        "http_server.tls_port",
        || "with http_server.tls.enabled, http_server.port speaks TLS already; drop one of the two",
    );
    let (has_cert, has_key) = (!server.tls.cert_pem_file.is_empty(), !server.tls.key_pem_file.is_empty());
    let wants_tls = server.tls.enabled || server.tls_port != 0;
    let needed = if wants_tls { "TLS needs it" } else { "a certificate and its key belong together" };
    check.that(has_cert || !(wants_tls || has_key), "http_server.tls.cert_pem_file", || format!("{needed}; name a PEM file"));
    check.that(has_key || !(wants_tls || has_cert), "http_server.tls.key_pem_file", || format!("{needed}; name a PEM file"));

    check.within("http_server.workers", server.workers, 0, 1_024);
    check.within("http_server.backlog", server.backlog as usize, 1, i32::MAX as usize);
    check.within("http_server.connection_limit", server.connection_limit, 1, 10_000_000);
    check.that(server.connection_limit_per_ip <= server.connection_limit, "http_server.connection_limit_per_ip", || {
        format!("{} is more than http_server.connection_limit, {}; write 0 for no limit", server.connection_limit_per_ip, server.connection_limit)
    });
    for (index, network) in server.trusted_proxies.iter().enumerate() {
        check.that(is_network(network), format!("http_server.trusted_proxies[{index}]"), || {
            format!("\"{network}\" is neither an IP address nor a network such as \"10.0.0.0/8\"")
        });
    }
    check.that(
        matches!(server.forwarded_header.to_ascii_lowercase().as_str(), "x-forwarded-for" | "forwarded"),
        "http_server.forwarded_header",
        || format!("\"{}\" is neither x-forwarded-for nor forwarded", server.forwarded_header),
    );
    check.within("limits.identities_max", config.limits.identities_max, 1_000, 10_000_000);
    check.within("http_server.reserved_descriptors", server.reserved_descriptors, 16, 100_000);
    check.positive("http_server.tls_handshake_timeout", server.tls_handshake_timeout);
    check.positive("http_server.request_header_timeout", server.request_header_timeout);
    check.positive("http_server.request_timeout", server.request_timeout);
    check.positive("http_server.keep_alive_timeout", server.keep_alive_timeout);
    check.positive("http_server.write_timeout", server.write_timeout);
    check.some_bytes("http_server.request_body_max", server.request_body_max);
}

fn is_network(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= longest))
}

fn client(config: &Config, check: &mut Check) {
    let client = &config.client;
    for (index, origin) in client.allowed_origins.iter().enumerate() {
        let path = format!("client.allowed_origins[{index}]");
        if let Err(error) = globset::Glob::new(origin) {
            check.that(false, path, || format!("\"{origin}\" is not a pattern: {}", error.kind()));
        } else {
            // Browsers send scheme, host and port, and nothing behind them (RFC 6454, 7).
            let host = origin.split_once("://").map_or(origin.as_str(), |(_, host)| host);
            check.that(!origin.is_empty() && !host.contains('/'), path, || {
                format!("\"{origin}\" matches no Origin; write scheme and host without a path, such as \"https://example.org\"")
            });
        }
    }
    token("client.token", &client.token, check);
    if client.subscription_token.enabled {
        token("client.subscription_token", &client.subscription_token.token, check);
        check.that(
            client.subscription_token.token.has_key(),
            "client.subscription_token",
            || "is enabled without a key, so every subscription token would be refused; set a key, or enabled = false to use those of client.token",
        );
    }

    check.that(!client.ping_interval.is_zero(), "client.ping_interval", || "must not be 0s; write -1s for no pings");
    check.that(!client.pong_timeout.is_zero(), "client.pong_timeout", || "must not be 0s; write -1s to expect no answers");
    let answered = client.ping_interval.is_positive() && client.pong_timeout.is_positive();
    check.that(!answered || client.pong_timeout < client.ping_interval, "client.pong_timeout", || {
        format!("{} must be shorter than client.ping_interval, {}", client.pong_timeout, client.ping_interval)
    });
    check.positive("client.stale_close_delay", client.stale_close_delay);
    check.not_negative("client.expired_close_delay", client.expired_close_delay);
    check.not_negative("client.expired_sub_close_delay", client.expired_sub_close_delay);
    check.positive("client.close_timeout", client.close_timeout);
    check.some_bytes("client.queue_max_size", client.queue_max_size);
    check.positive("client.queue_max_age", client.queue_max_age);
    check.within("client.rpc_limit", client.rpc_limit, 1, 1_000);
    check.positive("client.rpc_timeout", client.rpc_timeout);
    check.positive("client.block_refresh_interval", client.block_refresh_interval);
    check.not_negative("client.idle_timeout", client.idle_timeout);
    check.not_negative("client.session_max_age", client.session_max_age);
    check.within("client.channel_limit", client.channel_limit, 1, 1_000_000);
    check.within("client.wildcard_limit", client.wildcard_limit, 0, 1_000_000);
    check.within("client.history_max_publication_limit", client.history_max_publication_limit, 1, 1_000_000);
    check.within("client.recovery_max_publication_limit", client.recovery_max_publication_limit, 1, 1_000_000);
    check.that(client.connection_limit <= config.http_server.connection_limit, "client.connection_limit", || {
        let sockets = config.http_server.connection_limit;
        format!("{} can never be reached, since http_server.connection_limit is {sockets}; raise that one too", client.connection_limit)
    });

    let personal = &client.subscribe_to_user_personal_channel;
    if personal.enabled {
        let path = "client.subscribe_to_user_personal_channel";
        check.that(!config.channel.user_boundary.is_empty(), path, || "needs channel.user_boundary to tell users apart");
        let namespace = &personal.personal_channel_namespace;
        match options_of(config, namespace) {
            None => check.that(false, format!("{path}.personal_channel_namespace"), || unknown_namespace(config, namespace)),
            Some(options) => check.that(
                options.presence || !personal.single_connection,
                format!("{path}.single_connection"),
                || "needs presence in the namespace of personal channels, to know a user's other connections",
            ),
        }
    }
}

fn token(path: &str, token: &TokenConfig, check: &mut Check) {
    check.that(
        token.audience.is_empty() || token.audience_regex.is_empty(),
        format!("{path}.audience_regex"),
        || "audience is set too; drop one of them",
    );
    check.that(token.issuer.is_empty() || token.issuer_regex.is_empty(), format!("{path}.issuer_regex"), || "issuer is set too; drop one of them");
    check.positive(format!("{path}.jwks_refresh_interval"), token.jwks_refresh_interval);
    check.that(token.jwks_stale_max >= token.jwks_refresh_interval, format!("{path}.jwks_stale_max"), || {
        format!(
            "{} is shorter than jwks_refresh_interval, {}: keys would be given up before they are looked at again",
            token.jwks_stale_max, token.jwks_refresh_interval
        )
    });
    check.regex(format!("{path}.audience_regex"), &token.audience_regex);
    check.regex(format!("{path}.issuer_regex"), &token.issuer_regex);
    let keys =
        [("rsa_public_key", &token.rsa_public_key), ("ecdsa_public_key", &token.ecdsa_public_key), ("eddsa_public_key", &token.eddsa_public_key)];
    for (name, key) in keys {
        check.that(
            key.is_empty() || key.trim_start().starts_with("-----BEGIN "),
            format!("{path}.{name}"),
            || "must be the key itself as PEM text, beginning with \"-----BEGIN PUBLIC KEY-----\", not the name of a file",
        );
        check.that(
            !key.contains("PRIVATE KEY-----"),
            format!("{path}.{name}"),
            || "is a private key; only the public key belongs here, the private one stays with whoever makes the tokens",
        );
    }
    check.that(
        token.hmac_previous_secret_key.is_empty() || !token.hmac_secret_key.is_empty(),
        format!("{path}.hmac_previous_secret_key"),
        || "there is no hmac_secret_key that could have followed it",
    );
    check.that(
        token.hmac_previous_secret_key_valid_until >= 0,
        format!("{path}.hmac_previous_secret_key_valid_until"),
        || "must be Unix seconds, or 0 for no end",
    );
    // A token that is accepted an hour after its expiry has no expiry.
    check.that((HumanDuration::ZERO..=HumanDuration::from_secs(3_600)).contains(&token.leeway), format!("{path}.leeway"), || {
        format!("{} must be from 0s to 1h", token.leeway)
    });
}

fn channel(config: &Config, check: &mut Check) {
    let channel = &config.channel;
    check.within("channel.max_length", channel.max_length, 1, 65_535);
    check.positive("channel.history_meta_ttl", channel.history_meta_ttl);
    let marks = [
        ("private_prefix", &channel.private_prefix),
        ("namespace_boundary", &channel.namespace_boundary),
        ("user_boundary", &channel.user_boundary),
        ("user_separator", &channel.user_separator),
    ];
    for (position, (name, mark)) in marks.iter().enumerate() {
        if let Some((other, _)) = marks[..position].iter().find(|(_, other)| other == mark && !mark.is_empty()) {
            check.that(false, format!("channel.{name}"), || format!("\"{mark}\" is channel.{other} too; a name could be read in two ways"));
        }
    }
    options("channel.without_namespace", config, &channel.without_namespace, check);
    let mut names = HashSet::new();
    for (index, namespace) in channel.namespaces.iter().enumerate() {
        let path = format!("channel.namespaces[{index}]");
        check.that(is_namespace_name(&namespace.name), format!("{path}.name"), || {
            format!("\"{}\" must be two or more letters, digits, '-', '_' or '.'", namespace.name.escape_debug())
        });
        check.that(names.insert(namespace.name.as_str()), format!("{path}.name"), || format!("\"{}\" names a namespace above too", namespace.name));
        options(&path, config, &namespace.options, check);
    }
}

fn options(path: &str, config: &Config, options: &ChannelOptions, check: &mut Check) {
    check.not_negative(format!("{path}.history_ttl"), options.history_ttl);
    check.not_negative(format!("{path}.history_meta_ttl"), options.history_meta_ttl);
    check.that(options.history_size == 0 || !options.history_ttl.is_zero(), format!("{path}.history_ttl"), || {
        format!("history_size is {}, but nothing is kept for 0s; set history_ttl too", options.history_size)
    });
    check.that(options.history_size > 0 || !options.history_ttl.is_positive(), format!("{path}.history_size"), || {
        format!("history_ttl is {}, but 0 publications are kept; set history_size too", options.history_ttl)
    });
    let meta_ttl = if options.history_meta_ttl.is_zero() { config.channel.history_meta_ttl } else { options.history_meta_ttl };
    check.that(options.history_ttl <= meta_ttl, format!("{path}.history_ttl"), || {
        format!("{} must not be longer than history_meta_ttl, {meta_ttl}, after which even the offset is forgotten", options.history_ttl)
    });
    if !options.has_history() {
        for (name, is_on) in [
            ("force_positioning", options.force_positioning),
            ("allow_positioning", options.allow_positioning),
            ("force_recovery", options.force_recovery),
            ("allow_recovery", options.allow_recovery),
            ("force_recovery_mode", options.force_recovery_mode == RecoveryMode::Cache),
            ("auto_cache_recover", options.auto_cache_recover),
            ("history_durability", options.history_durability != HistoryDurability::Memory),
        ] {
            check.that(!is_on, format!("{path}.{name}"), || "needs history; set history_size and history_ttl");
        }
    }
    check.that(options.delta_max_size.bytes() <= DELTA_BYTES_LIMIT, format!("{path}.delta_max_size"), || {
        format!("{} must be at most 1MiB; to compare more takes a worker too long", options.delta_max_size)
    });
    check.that(
        options.wildcard_subscriptions || !options.allow_wildcard_for_client,
        format!("{path}.allow_wildcard_for_client"),
        || "there are no patterns; set wildcard_subscriptions too",
    );
    let throttle = options.throttle_interval;
    check.that(throttle.is_zero() || (100..=60_000).contains(&throttle.ms()), format!("{path}.throttle_interval"), || {
        format!("{throttle} must be from 100ms to 1m, or 0")
    });
    check.that(
        throttle.is_zero() || !options.allow_tags_filter,
        format!("{path}.allow_tags_filter"),
        || "the publication that a client has asked for may give way to one that it has not; drop throttle_interval or this",
    );
    check.regex(format!("{path}.channel_regex"), &options.channel_regex);
    payloads(path, options, check);
}

/// What payloads must be. Whether a schema is one is known where it is compiled.
fn payloads(path: &str, options: &ChannelOptions, check: &mut Check) {
    check.that(
        options.publication_sanitize_html || options.publication_sanitize_html_pointers.is_empty(),
        format!("{path}.publication_sanitize_html_pointers"),
        || "nothing is sanitised; set publication_sanitize_html too",
    );
    check.within(format!("{path}.publication_sanitize_html_pointers"), options.publication_sanitize_html_pointers.len(), 0, POINTERS_MAX);
    for (index, pointer) in options.publication_sanitize_html_pointers.iter().enumerate() {
        check.that(pointer.starts_with('/'), format!("{path}.publication_sanitize_html_pointers[{index}]"), || {
            format!("\"{}\" is not a place in JSON; write for instance \"/text\" or \"/items/*/text\"", pointer.escape_debug())
        });
    }
    if !options.reads_payloads() {
        return;
    }
    check.that(
        options.publication_data_format != PublicationDataFormat::Binary,
        format!("{path}.publication_data_format"),
        || "a schema and sanitising need JSON; drop binary",
    );
    check.that(options.publication_max_size <= ByteSize::new(READ_BYTES_LIMIT as u64), format!("{path}.publication_max_size"), || {
        format!("{} must be at most 1MiB where there is a schema or sanitising; to read more takes a worker too long", options.publication_max_size)
    });
    check.within(format!("{path}.publication_max_depth"), options.publication_max_depth as usize, 0, READ_DEPTH_LIMIT as usize);
}

/// The longest a backend may take: sessions answer no ping meanwhile, and the reaper waits for `client.ping_interval` and more.
const PROXY_TIMEOUT_MAX: HumanDuration = HumanDuration::from_secs(20);

/// The application's backends: each one's own options, and that there is one wherever one is asked for.
fn hooks(config: &Config, check: &mut Check) {
    let hooks = &config.hooks;
    check.within("hooks.concurrency", hooks.concurrency, 1, 10_000);
    check.that(hooks.waiting_max >= hooks.concurrency && hooks.waiting_max <= 1_000_000, "hooks.waiting_max", || {
        format!("{} must be from hooks.concurrency, {}, to 1000000", hooks.waiting_max, hooks.concurrency)
    });
    check.that((1..=64 * 1_024 * 1_024).contains(&hooks.answer_size_max.bytes()), "hooks.answer_size_max", || "must be from 1 byte to 64MiB");
    check.positive("hooks.breaker_pause", hooks.breaker_pause);
    check.that(hooks.breaker_pause_max >= hooks.breaker_pause, "hooks.breaker_pause_max", || {
        format!("{} must not be shorter than hooks.breaker_pause, {}", hooks.breaker_pause_max, hooks.breaker_pause)
    });
    hook_events(&hooks.events, check);
    let (client, channel) = (&config.client.proxy, &config.channel.proxy);
    for (path, is_needed, proxy) in [
        ("client.proxy.connect", client.connect.enabled, &client.connect.proxy),
        ("client.proxy.refresh", client.refresh.enabled, &client.refresh.proxy),
        ("channel.proxy.subscribe", false, &channel.subscribe),
        ("channel.proxy.publish", false, &channel.publish),
        ("channel.proxy.sub_refresh", false, &channel.sub_refresh),
        ("rpc.proxy", false, &config.rpc.proxy),
    ] {
        check.that(!is_needed || !proxy.endpoint.is_empty(), format!("{path}.endpoint"), || "is enabled and asks nobody; write where requests go");
        proxy_options(path, proxy, check);
    }
    let mut names = HashSet::new();
    for (index, named) in config.proxies.iter().enumerate() {
        let path = format!("proxies[{index}]");
        check.that(is_namespace_name(&named.name) && named.name != DEFAULT_PROXY, format!("{path}.name"), || {
            format!("\"{}\" must be two or more letters, digits, '-', '_' or '.', and not \"{DEFAULT_PROXY}\"", named.name.escape_debug())
        });
        check.that(names.insert(named.name.as_str()), format!("{path}.name"), || format!("\"{}\" names a backend above too", named.name));
        check.that(!named.proxy.endpoint.is_empty(), format!("{path}.endpoint"), || "asks nobody; write where requests go");
        proxy_options(&path, &named.proxy, check);
    }
    let mut asks = |path: String, enabled: bool, name: &str, default_path: &str, default: &ProxyConfig| {
        if !enabled {
            return;
        }
        if name.is_empty() || name == DEFAULT_PROXY {
            check.that(!default.endpoint.is_empty(), format!("{path}_enabled"), || format!("asks nobody; set {default_path}.endpoint"));
        } else {
            check.that(names.contains(name), format!("{path}_name"), || format!("there is no backend \"{}\" in proxies", name.escape_debug()));
        }
    };
    let namespaces = config.channel.namespaces.iter().enumerate().map(|(index, one)| (format!("channel.namespaces[{index}]"), &one.options));
    for (path, options) in namespaces.chain([("channel.without_namespace".to_string(), &config.channel.without_namespace)]) {
        let (enabled, name) = (options.subscribe_proxy_enabled, &options.subscribe_proxy_name);
        asks(format!("{path}.subscribe_proxy"), enabled, name, "channel.proxy.subscribe", &channel.subscribe);
        let (enabled, name) = (options.publish_proxy_enabled, &options.publish_proxy_name);
        asks(format!("{path}.publish_proxy"), enabled, name, "channel.proxy.publish", &channel.publish);
        let (enabled, name) = (options.sub_refresh_proxy_enabled, &options.sub_refresh_proxy_name);
        asks(format!("{path}.sub_refresh_proxy"), enabled, name, "channel.proxy.sub_refresh", &channel.sub_refresh);
    }
    let rpc = &config.rpc;
    let methods = rpc.namespaces.iter().enumerate().map(|(index, one)| (format!("rpc.namespaces[{index}]"), &one.options));
    for (path, options) in methods.chain([("rpc.without_namespace".to_string(), &rpc.without_namespace)]) {
        asks(format!("{path}.proxy"), options.proxy_enabled, &options.proxy_name, "rpc.proxy", &rpc.proxy);
    }
    let mut names = HashSet::new();
    for (index, namespace) in rpc.namespaces.iter().enumerate() {
        let path = format!("rpc.namespaces[{index}].name");
        check.that(is_namespace_name(&namespace.name), &path, || {
            format!("\"{}\" must be two or more letters, digits, '-', '_' or '.'", namespace.name.escape_debug())
        });
        check.that(names.insert(namespace.name.as_str()), &path, || format!("\"{}\" names a namespace above too", namespace.name));
    }
}

fn hook_events(events: &HookEventsConfig, check: &mut Check) {
    if !events.endpoint.is_empty()
        && let Err(why) = backend_url(&events.endpoint)
    {
        check.that(false, "hooks.events.endpoint", || why);
    }
    // A shorter key is guessed from one signed request.
    check.that(events.secret.is_empty() || events.secret.expose().len() >= 16, "hooks.events.secret", || "must have 16 bytes or more");
    static_headers("hooks.events.static_headers", &events.static_headers, check);
    check.positive("hooks.events.timeout", events.timeout);
    check.positive("hooks.events.retry_initial", events.retry_initial);
    check.that(events.retry_max >= events.retry_initial, "hooks.events.retry_max", || {
        format!("{} must not be shorter than retry_initial, {}", events.retry_max, events.retry_initial)
    });
    check.not_negative("hooks.events.stop_timeout", events.stop_timeout);
    check.within("hooks.events.batch_max", events.batch_max, 1, 1_000);
    check.within("hooks.events.queue_max", events.queue_max, 1, 10_000_000);
    check.that(events.queue_size_max >= ByteSize::new(65_536), "hooks.events.queue_size_max", || "must be at least 64KiB");
}

fn alerts_webhook(webhook: &AlertsWebhookConfig, check: &mut Check) {
    if !webhook.endpoint.is_empty()
        && let Err(why) = backend_url(&webhook.endpoint)
    {
        check.that(false, "alerts.webhook.endpoint", || why);
    }
    check.that(webhook.secret.is_empty() || webhook.secret.expose().len() >= 16, "alerts.webhook.secret", || "must have 16 bytes or more");
    static_headers("alerts.webhook.static_headers", &webhook.static_headers, check);
    check.positive("alerts.webhook.timeout", webhook.timeout);
    check.positive("alerts.webhook.retry_initial", webhook.retry_initial);
    check.that(webhook.retry_max >= webhook.retry_initial, "alerts.webhook.retry_max", || {
        format!("{} must not be shorter than retry_initial, {}", webhook.retry_max, webhook.retry_initial)
    });
    check.within("alerts.webhook.queue_max", webhook.queue_max, 1, 100_000);
    check.that(webhook.queue_max_age > webhook.retry_max, "alerts.webhook.queue_max_age", || {
        format!(
            "{} must be longer than retry_max, {}: what waits would be dropped before it is tried again",
            webhook.queue_max_age, webhook.retry_max
        )
    });
    check.that(webhook.queue_size_max >= ByteSize::new(65_536), "alerts.webhook.queue_size_max", || "must be at least 64KiB");
}

/// What makes HTTP work is the hub's own, and a length that is not that of the request's own body could smuggle another request in.
fn is_settable_header(name: &str) -> bool {
    const OURS: [&str; 7] = ["connection", "content-length", "content-type", "host", "te", "transfer-encoding", "upgrade"];
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    is_name && !OURS.contains(&name.to_ascii_lowercase().as_str())
}

fn static_headers(path: &str, headers: &BTreeMap<String, Secret>, check: &mut Check) {
    for (name, value) in headers {
        check.that(is_settable_header(name), path, || format!("\"{}\" is not a header that can be set here", name.escape_debug()));
        let fits = value.expose().bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 127));
        check.that(fits, path, || format!("the value of {} has control characters", name.escape_debug()));
    }
}

fn proxy_options(path: &str, proxy: &ProxyConfig, check: &mut Check) {
    if !proxy.endpoint.is_empty()
        && let Err(why) = backend_url(&proxy.endpoint)
    {
        check.that(false, format!("{path}.endpoint"), || why);
    }
    check.that(proxy.timeout.is_positive() && proxy.timeout <= PROXY_TIMEOUT_MAX, format!("{path}.timeout"), || {
        format!("{} must be longer than 0s and at most {PROXY_TIMEOUT_MAX}", proxy.timeout)
    });
    for name in &proxy.http_headers {
        check.that(is_settable_header(name), format!("{path}.http_headers"), || {
            format!("\"{}\" is not a header that can be passed on", name.escape_debug())
        });
    }
    check.within(format!("{path}.http_headers"), proxy.http_headers.len(), 0, 32);
    static_headers(&format!("{path}.http.static_headers"), &proxy.http.static_headers, check);
    for (index, transform) in proxy.http.status_to_code_transforms.iter().enumerate() {
        let path = format!("{path}.http.status_to_code_transforms[{index}]");
        let (error, disconnect) = (&transform.to_error, &transform.to_disconnect);
        check.that((201..=599).contains(&transform.status_code), format!("{path}.status_code"), || {
            format!("{} must be a status from 201 to 599; 200 is looked into", transform.status_code)
        });
        check.that((error.code != 0) != (disconnect.code != 0), &path, || "needs a code in either to_error or to_disconnect");
        check.that(error.code == 0 || (100..=1_999).contains(&error.code), format!("{path}.to_error.code"), || {
            format!("{} must be from 100 to 1999", error.code)
        });
        check.that(disconnect.code == 0 || (3_000..=4_999).contains(&disconnect.code), format!("{path}.to_disconnect.code"), || {
            format!("{} must be from 3000 to 4999", disconnect.code)
        });
        check.that(error.message.len() <= 512, format!("{path}.to_error.message"), || "must have at most 512 bytes");
        // RFC 6455, 5.5: a close frame carries at most 125 bytes, two of them the code.
        check.that(disconnect.reason.len() <= 123, format!("{path}.to_disconnect.reason"), || "must have at most 123 bytes");
    }
}

/// What is wrong with the address of a backend.
fn backend_url(url: &str) -> Result<(), String> {
    const EXAMPLE: &str = "write for instance \"https://app.example.org/hub/connect\"";
    let lower = url.to_ascii_lowercase();
    let Some(rest) = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://")) else {
        return Err(format!("must begin with http:// or https:// (gRPC is not spoken); {EXAMPLE}"));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        // The address is shown in logs.
        return Err("must not contain a user or password; send them by http.static_headers, where they are kept secret".to_string());
    }
    if authority.is_empty() || authority.starts_with(':') || rest.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return Err(format!("is not a complete address; {EXAMPLE}"));
    }
    Ok(())
}

/// Where pages are that nothing else may cover.
const PAGES: [&str; 4] = ["/login", "/account", "/connection-test", "/page.json"];

/// Paths that requests are told apart by.
fn endpoints(config: &Config, check: &mut Check) {
    let websocket = &config.websocket;
    check.some_bytes("websocket.message_size_limit", websocket.message_size_limit);
    check.that(websocket.message_size_limit <= ByteSize::mib(64), "websocket.message_size_limit", || {
        format!("{} must be at most 64MiB; a message is held in memory as a whole", websocket.message_size_limit)
    });
    check.within("websocket.fragments_max", websocket.fragments_max, 1, 1_000_000);
    let Config { http_stream, sse, emulation, uni_websocket, uni_http_stream, uni_sse, .. } = config;
    for (section, limit) in [
        ("http_stream", http_stream.max_request_body_size),
        ("sse", sse.max_request_body_size),
        ("emulation", emulation.max_request_body_size),
        ("uni_http_stream", uni_http_stream.max_request_body_size),
        ("uni_sse", uni_sse.max_request_body_size),
    ] {
        let path = format!("{section}.max_request_body_size");
        check.some_bytes(&path, limit);
        check.that(limit <= ByteSize::mib(64), &path, || format!("{limit} must be at most 64MiB; a request is held in memory as a whole"));
    }
    let endpoints = [
        ("websocket", !websocket.disabled, &websocket.handler_prefix),
        ("http_stream", http_stream.enabled, &http_stream.handler_prefix),
        ("sse", sse.enabled, &sse.handler_prefix),
        ("emulation", http_stream.enabled || sse.enabled, &emulation.handler_prefix),
        ("uni_websocket", uni_websocket.enabled, &uni_websocket.handler_prefix),
        ("uni_http_stream", uni_http_stream.enabled, &uni_http_stream.handler_prefix),
        ("uni_sse", uni_sse.enabled, &uni_sse.handler_prefix),
        ("http_api", !config.http_api.disabled, &config.http_api.handler_prefix),
        ("accounts", config.accounts.enabled, &config.accounts.handler_prefix),
        ("health", config.health.enabled, &config.health.handler_prefix),
        ("ready", config.ready.enabled, &config.ready.handler_prefix),
        ("prometheus", config.prometheus.enabled, &config.prometheus.handler_prefix),
    ];
    for (position, (section, is_on, prefix)) in endpoints.iter().enumerate() {
        let path = format!("{section}.handler_prefix");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
        check.that(
            prefix.len() > 1 && prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains("//") && prefix.chars().all(is_plain),
            &path,
            || format!("\"{}\" must begin with '/', not end with it, and consist of letters, digits and -._~/", prefix.escape_debug()),
        );
        let same = endpoints[..position].iter().find(|(_, other_is_on, other)| *is_on && *other_is_on && other == prefix);
        if let Some((other, ..)) = same {
            check.that(false, &path, || format!("\"{prefix}\" is {other}.handler_prefix too"));
        }
        let is_page = *is_on && config.accounts.enabled && PAGES.contains(&prefix.as_str());
        check.that(!is_page, &path, || format!("\"{prefix}\" is the address of a page"));
    }
}

/// What the hub of the Mercure protocol needs. Its path is fixed, by the registry of such paths (RFC 8615).
fn mercure(config: &Config, check: &mut Check) {
    /// Algorithms of tokens, in exactly this spelling (RFC 7518, 3.1; RFC 8037, 3.1).
    const ALGORITHMS: [&str; 13] =
        ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
    let mercure = &config.mercure;
    check.within("mercure.history_size", mercure.history_size, 0, 1_000_000);
    check.positive("mercure.history_ttl", mercure.history_ttl);
    check.that((ByteSize::mib(1)..=ByteSize::mib(65_536)).contains(&mercure.history_bytes_max), "mercure.history_bytes_max", || {
        format!("{} must be from 1MiB to 64GiB", mercure.history_bytes_max)
    });
    check.that(mercure.heartbeat >= HumanDuration::from_secs(1), "mercure.heartbeat", || {
        format!("{} must be at least 1s; without it, a subscriber that vanished would be noticed at the next update only", mercure.heartbeat)
    });
    check.not_negative("mercure.write_timeout", mercure.write_timeout);
    check.positive("mercure.dispatch_timeout", mercure.dispatch_timeout);
    for (name, key) in [("publisher", &mercure.publisher), ("subscriber", &mercure.subscriber)] {
        let path = format!("mercure.{name}");
        check.that(ALGORITHMS.contains(&key.alg.as_str()), format!("{path}.alg"), || {
            format!("\"{}\" is none of {}", key.alg.escape_debug(), ALGORITHMS.join(", "))
        });
        check.that(
            key.key.is_empty() || key.alg.starts_with("HS") || key.key.expose().trim_start().starts_with("-----BEGIN "),
            format!("{path}.key"),
            || "must be a public key as PEM text, beginning with \"-----BEGIN PUBLIC KEY-----\", for this algorithm",
        );
    }
    for (name, origins) in [("publish_origins", &mercure.publish_origins), ("cors_origins", &mercure.cors_origins)] {
        for (index, origin) in origins.iter().enumerate() {
            check.that(!origin.is_empty() && globset::Glob::new(origin).is_ok(), format!("mercure.{name}[{index}]"), || {
                format!("\"{}\" is not a pattern of origins; write scheme and host, such as \"https://example.org\"", origin.escape_debug())
            });
        }
    }
    check.that(mercure.resource.is_empty() || hub_base(&mercure.resource).is_some(), "mercure.resource", || {
        format!("\"{}\" is not a URL; write for instance \"https://hub.example.org/.well-known/mercure\"", mercure.resource.escape_debug())
    });
    check.that(mercure.namespace.is_empty() || options_of(config, &mercure.namespace).is_some(), "mercure.namespace", || {
        unknown_namespace(config, &mercure.namespace)
    });
    if !mercure.enabled {
        return;
    }
    check.that(
        mercure.anonymous || !mercure.subscriber.key.is_empty() || config.client.insecure,
        "mercure.subscriber.key",
        || "is empty and mercure.anonymous is false, so nobody could subscribe; set one of the two",
    );
    check.that(
        mercure.protocol != Protocol::Modern || !(mercure.resource.is_empty() || mercure.trusted_issuer.is_empty()),
        "mercure.resource",
        || "the modern protocol alone needs resource and trusted_issuer, or no token would be accepted",
    );
    check.that(
        !config.channel.private_prefix.is_empty(),
        "channel.private_prefix",
        || "is empty, and private updates of Mercure need channels that only a token opens",
    );
}

fn accounts(accounts: &AccountsConfig, check: &mut Check) {
    // Whoever knows the key is everybody: it must not be something that one can guess.
    const KEY_BYTES_MIN: usize = 32;
    let key_bytes = accounts.token_key.expose().len();
    check.that(key_bytes == 0 || key_bytes >= KEY_BYTES_MIN, "accounts.token_key", || {
        format!("has {key_bytes} bytes and needs at least {KEY_BYTES_MIN}; `openssl rand -hex 32` makes one, and empty the hub makes its own")
    });
    check.that((HumanDuration::from_secs(1)..=HumanDuration::from_secs(24 * 3_600)).contains(&accounts.token_ttl), "accounts.token_ttl", || {
        format!("{} must be from 1s to 24h; it is for so long that what was taken from somebody may still be used", accounts.token_ttl)
    });
    check.not_negative("accounts.rotation_grace", accounts.rotation_grace);
    check.that(accounts.rotation_grace <= HumanDuration::from_secs(600), "accounts.rotation_grace", || {
        format!("{} must be at most 10m; for so long a stolen cookie is as good as its owner's", accounts.rotation_grace)
    });
    check.positive("accounts.idle_timeout", accounts.idle_timeout);
    check.that(accounts.idle_timeout <= accounts.absolute_timeout, "accounts.idle_timeout", || {
        format!("{} must not be longer than accounts.absolute_timeout, {}", accounts.idle_timeout, accounts.absolute_timeout)
    });
    check.within("accounts.logins_per_user", accounts.logins_per_user, 0, 1_000);
    check.within("accounts.tries", accounts.tries as usize, 1, 1_000);
    check.within("accounts.tries_per_address", accounts.tries_per_address as usize, 1, 1_000_000);
    check.positive("accounts.pause", accounts.pause);
    check.that(accounts.pause <= accounts.pause_max, "accounts.pause", || {
        format!("{} must not be longer than accounts.pause_max, {}", accounts.pause, accounts.pause_max)
    });
    let password = &accounts.password;
    check.within("accounts.password.parallelism", password.parallelism as usize, 1, 64);
    // RFC 9106, 3.1: at least eight blocks of 1 KiB a lane.
    let memory_min = ByteSize::new(8 * 1_024 * u64::from(password.parallelism.clamp(1, 64)));
    check.that((memory_min..=ByteSize::mib(1_024)).contains(&password.memory), "accounts.password.memory", || {
        format!("{} must be from {memory_min} to 1GiB", password.memory)
    });
    check.within("accounts.password.iterations", password.iterations as usize, 1, 1_000);
    check.within("accounts.password.at_once", password.at_once, 0, 64);
    check.positive("accounts.password.wait", password.wait);
}

fn engine(config: &Config, check: &mut Check) {
    check.some_bytes("memory_broker.history_bytes_max", config.memory_broker.history_bytes_max);
    check.within("memory_broker.streams_max", config.memory_broker.streams_max, 1, 1_000_000_000);
    check.within("memory_broker.idempotency_keys_max", config.memory_broker.idempotency_keys_max, 1, 1_000_000_000);
    check.not_negative("topic.linger", config.topic.linger);
    check.within("topic.threads", config.topic.threads, 1, 256);
    check.within("topic.wildcards_max", config.topic.wildcards_max, 0, 1_000_000);
    check.some_bytes("topic.queue_bytes_max", config.topic.queue_bytes_max);
    check.that(config.topic.queue_bytes_max >= config.http_server.request_body_max, "topic.queue_bytes_max", || {
        format!(
            "{} must hold one request's publication, http_server.request_body_max, {}",
            config.topic.queue_bytes_max, config.http_server.request_body_max
        )
    });
}

fn store(config: &Config, check: &mut Check) {
    /// Longer than anybody waits for a login.
    const TIMEOUT_MAX: HumanDuration = HumanDuration::from_secs(60);
    let store = &config.store;
    check.that(store.timeout.is_positive() && store.timeout <= TIMEOUT_MAX, "store.timeout", || {
        format!("{} must be longer than 0s and at most {TIMEOUT_MAX}", store.timeout)
    });
    check.some_bytes("store.queue_bytes_max", store.queue_bytes_max);
    check.within("store.queue_max", store.queue_max, 1, 1_000_000);
    if store.kind != StoreType::Mongodb {
        return;
    }
    let mongodb = &store.mongodb;
    check.that(
        ["mongodb://", "mongodb+srv://"].iter().any(|scheme| mongodb.uri.expose().starts_with(scheme)),
        "store.mongodb.uri",
        || "a connection string is needed, which begins with mongodb:// or mongodb+srv://",
    );
    // What MongoDB takes as a name on every system (manual, "Naming Restrictions").
    let is_name = !mongodb.database.is_empty()
        && mongodb.database.len() < 64
        && !mongodb.database.contains(['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0']);
    check.that(is_name, "store.mongodb.database", || format!("\"{}\" is not the name of a database", mongodb.database.escape_debug()));
    check.within("store.mongodb.pool_max", mongodb.pool_max as usize, 1, 1_000);
    for (name, value) in [("server_selection_timeout", mongodb.server_selection_timeout), ("connect_timeout", mongodb.connect_timeout)] {
        check.that(value.is_positive() && value <= store.timeout, format!("store.mongodb.{name}"), || {
            format!("{value} must be longer than 0s and at most store.timeout, {}", store.timeout)
        });
    }
}

fn upstream(config: &Config, check: &mut Check) {
    let upstream = &config.upstream;
    check.within("upstream.feeds_max", upstream.feeds_max, 0, 10_000);
    check.that(upstream.feeds.len() <= upstream.feeds_max, "upstream.feeds", || {
        format!("there are {} feeds, but upstream.feeds_max is {}", upstream.feeds.len(), upstream.feeds_max)
    });
    // Feeds inherit these limits, so a mistake here is told once and not for every feed.
    let before = check.0.len();
    feed_limits("upstream", config, &FeedConfig::default(), check);
    let inherited_wrong = check.0.len() > before;
    check.within("upstream.quick_retries", upstream.quick_retries as usize, 0, 100);
    check.positive("upstream.cool_off", upstream.cool_off);
    check.not_negative("upstream.retry_after_max", upstream.retry_after_max);
    check.positive("upstream.tcp_keepalive", upstream.tcp_keepalive);
    check.positive("upstream.tcp_user_timeout", upstream.tcp_user_timeout);
    check.within("upstream.duplicate_window", upstream.duplicate_window, 0, 100_000);
    check.that(upstream.save_interval >= HumanDuration::from_ms(100), "upstream.save_interval", || {
        format!("{} must be at least 100ms, or the store has nothing else to do", upstream.save_interval)
    });
    feed_pool(&upstream.pool, check);
    feed_health(&upstream.health, check);
    let emergency = &upstream.emergency;
    check.positive("upstream.emergency.look_interval", emergency.look_interval);
    check.not_negative("upstream.emergency.detail_for", emergency.detail_for);
    check.within("upstream.emergency.used_percent", usize::from(emergency.used_percent), 0, 100);
    check.within("upstream.emergency.degraded_percent", emergency.degraded_percent, 0, 100);
    let mut names = HashSet::new();
    for (index, feed) in upstream.feeds.iter().take(upstream.feeds_max).enumerate() {
        let path = format!("upstream.feeds[{index}]");
        let is_named = !feed.name.is_empty() && feed.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        check.that(is_named, format!("{path}.name"), || format!("\"{}\" must be letters, digits, '-', '_' or '.'", feed.name.escape_debug()));
        check.that(names.insert(feed.name.as_str()), format!("{path}.name"), || format!("\"{}\" names a feed above too", feed.name));
        if let Err(message) = feed_url(&feed.url) {
            check.that(false, format!("{path}.url"), || message);
        }
        let channels = feed.event_channels.iter().map(|(event, channel)| (format!("event_channels.{}", event.escape_debug()), channel));
        let fallback = (!feed.channel.is_empty() || feed.event_channels.is_empty()).then(|| ("channel".to_string(), &feed.channel));
        for (option, channel) in channels.chain(fallback) {
            if let Err(message) = feed_channel(config, feed, channel) {
                check.that(false, format!("{path}.{option}"), || message);
            }
        }
        let pointers = feed.only_where.keys().chain((!feed.event_time.is_empty()).then_some(&feed.event_time));
        for pointer in pointers {
            let is_pointer = pointer.starts_with('/');
            check.that(is_pointer, format!("{path}.only_where"), || {
                format!("\"{}\" is not a JSON pointer (RFC 6901); write for instance \"/market\"", pointer.escape_debug())
            });
        }
        let is_header = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        let not_a_header = |name: &str| format!("\"{}\" is not a header name (RFC 9110, 5.1)", name.escape_debug());
        for (name, file) in &feed.header_files {
            check.that(is_header(name), format!("{path}.header_files"), || not_a_header(name));
            check.that(!file.is_empty(), format!("{path}.header_files.{}", name.escape_debug()), || "name the file that holds the value");
        }
        for (name, value) in &feed.headers {
            let is_text = value.expose().bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
            check.that(is_header(name), format!("{path}.headers"), || not_a_header(name));
            check.that(is_text, format!("{path}.headers.{}", name.escape_debug()), || "must not contain line breaks or control characters");
        }
        if !inherited_wrong {
            feed_limits(&path, config, feed, check);
        }
    }
    check.that(config.demo.address.parse::<SocketAddr>().is_ok(), "demo.address", || {
        format!("\"{}\" is not an IP address with a port; write for instance \"127.0.0.1:0\"", config.demo.address)
    });
    check.that(config.demo.interval >= HumanDuration::from_ms(10), "demo.interval", || format!("{} must be at least 10ms", config.demo.interval));
}

/// Longer would be seen by people who watch.
const COALESCE_MAX: HumanDuration = HumanDuration::from_ms(100);

fn feed_pool(pool: &FeedPoolConfig, check: &mut Check) {
    let path = |name: &str| format!("upstream.pool.{name}");
    check.within(path("connections_max"), pool.connections_max, 1, 10_000);
    check.within(path("host_connections_max"), pool.host_connections_max, 0, 10_000);
    check.within(path("start_rate"), pool.start_rate as usize, 1, 10_000);
    check.within(path("start_burst"), pool.start_burst as usize, 1, 10_000);
    check.within(path("on_demand_max"), pool.on_demand_max, 0, 100_000);
    check.not_negative(path("start_jitter"), pool.start_jitter);
    check.positive(path("aging"), pool.aging);
    check.positive(path("breaker_pause"), pool.breaker_pause);
    check.that(pool.breaker_pause_max >= pool.breaker_pause, path("breaker_pause_max"), || {
        format!("{} must not be shorter than breaker_pause, {}", pool.breaker_pause_max, pool.breaker_pause)
    });
    check.not_negative(path("on_demand_grace"), pool.on_demand_grace);
    check.not_negative(path("release_after"), pool.release_after);
    check.positive(path("report_interval"), pool.report_interval);
    check.that(!pool.coalesce.is_negative() && pool.coalesce <= COALESCE_MAX, path("coalesce"), || {
        format!("{} must be from 0 to {COALESCE_MAX}", pool.coalesce)
    });
}

fn feed_health(health: &FeedHealthConfig, check: &mut Check) {
    let path = |name: &str| format!("upstream.health.{name}");
    check.positive(path("check_interval"), health.check_interval);
    check.positive(path("upkeep_interval"), health.upkeep_interval);
    check.positive(path("sample_interval"), health.sample_interval);
    check.positive(path("overlap"), health.overlap);
    check.not_negative(path("age_max"), health.age_max);
    check.not_negative(path("upkeep_age_max"), health.upkeep_age_max);
    check.positive(path("latency_max"), health.latency_max);
    for (name, percent) in [("failure_percent", health.failure_percent as usize), ("rate_percent", health.rate_percent as usize)] {
        check.within(path(name), percent, 0, 100);
    }
    check.within(path("rotation_percent"), health.rotation_percent, 1, 100);
    check.within(path("bad_samples"), health.bad_samples as usize, 1, 1_000);
    check.within(path("good_samples"), health.good_samples as usize, 1, 1_000);
}

fn feed_limits(path: &str, config: &Config, feed: &FeedConfig, check: &mut Check) {
    let limits = config.upstream.limits(feed);
    check.positive(format!("{path}.connect_timeout"), limits.connect_timeout);
    check.positive(format!("{path}.idle_timeout"), limits.idle_timeout);
    check.that(limits.retry_min >= HumanDuration::from_ms(10), format!("{path}.retry_min"), || {
        format!("{} must be at least 10ms, or a dead feed would be asked without a pause", limits.retry_min)
    });
    check.that(limits.retry_initial >= limits.retry_min, format!("{path}.retry_initial"), || {
        format!("{} must not be shorter than retry_min, {}", limits.retry_initial, limits.retry_min)
    });
    check.that(limits.retry_max >= limits.retry_initial, format!("{path}.retry_max"), || {
        format!("{} must not be shorter than retry_initial, {}", limits.retry_max, limits.retry_initial)
    });
    check.not_negative(format!("{path}.data_idle_timeout"), limits.data_idle_timeout);
    check.not_negative(format!("{path}.stable_after"), limits.stable_after);
    check.some_bytes(format!("{path}.line_bytes_max"), limits.line_bytes_max);
    check.that(limits.event_bytes_max >= limits.line_bytes_max, format!("{path}.event_bytes_max"), || {
        format!("{} must not be less than line_bytes_max, {}", limits.event_bytes_max, limits.line_bytes_max)
    });
}

fn feed_url(url: &str) -> Result<(), String> {
    const EXAMPLE: &str = "write for instance \"https://example.org/events\"";
    let lower = url.to_ascii_lowercase();
    let Some(rest) = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://")) else {
        return Err(format!("must begin with http:// or https://; {EXAMPLE}"));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains(['{', '}']) {
        return Err("must not have parameters in its host, or a subscriber would choose whom the hub asks".to_string());
    }
    if let Some(word) = parameters(url).find(|word| !is_url_parameter(word)) {
        return Err(format!("\"{{{}}}\" is no parameter; use letters, digits and '_', but not \"name\" or \"event\"", word.escape_debug()));
    }
    if authority.contains('@') {
        // The address is shown in logs and on pages.
        return Err("must not contain a user or password; send them by headers, where they are kept secret".to_string());
    }
    if authority.is_empty() || authority.starts_with(':') || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("is not a complete address; {EXAMPLE}"));
    }
    Ok(())
}

/// What is wrong with one channel of a feed.
fn feed_channel(config: &Config, feed: &FeedConfig, channel: &str) -> Result<(), String> {
    let template = channel.replace("{name}", &feed.name);
    if template.is_empty() {
        return Err("name the channel of the feed's events, for instance \"ticks\" or \"ticks:{event}\"".to_string());
    }
    // What stands for a word of others: the event's type, a word of its data, a parameter of the URL.
    let (mut fixed, mut variable_at, mut rest) = (String::new(), Vec::new(), template.as_str());
    while let Some((before, after)) = rest.split_once('{') {
        fixed.push_str(before);
        let Some((word, after)) = after.split_once('}') else { break };
        let is_known = word == "event" || word.starts_with('/') || feed.url.contains(&format!("{{{word}}}"));
        if !is_known {
            return Err(format!(
                "\"{channel}\" contains braces; only {{name}}, {{event}}, pointers into the data such as {{/symbol}}, and parameters of the url have \
                 a meaning"
            ));
        }
        variable_at.push(fixed.len());
        rest = after;
    }
    fixed.push_str(rest);
    if fixed.contains(['{', '}']) {
        return Err(format!("\"{channel}\" has a brace without its partner"));
    }
    if fixed.len() > config.channel.max_length {
        return Err(format!("is longer than channel.max_length, {}", config.channel.max_length));
    }
    if let Some(missing) = parameters(&feed.url).find(|parameter| !template.contains(&format!("{{{parameter}}}"))) {
        return Err(format!("\"{channel}\" must name {{{missing}}} too, so that a channel tells which feed it needs"));
    }
    let boundary = config.channel.namespace_boundary.as_str();
    let Some((namespace, _)) = fixed.split_once(boundary).filter(|_| !boundary.is_empty()) else { return Ok(()) };
    if variable_at.iter().any(|at| *at <= namespace.len()) {
        return Err(format!("\"{channel}\": the namespace must not depend on what is in braces, since it must be configured"));
    }
    let namespace = namespace.strip_prefix(config.channel.private_prefix.as_str()).unwrap_or(namespace);
    if config.channel.namespaces.iter().any(|known| known.name == namespace) { Ok(()) } else { Err(unknown_namespace(config, namespace)) }
}

/// The words in braces of a feed's URL.
fn parameters(url: &str) -> impl Iterator<Item = &str> {
    url.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

/// The options of a namespace; those of channels without one if `name` is empty.
fn options_of<'a>(config: &'a Config, name: &str) -> Option<&'a ChannelOptions> {
    if name.is_empty() {
        return Some(&config.channel.without_namespace);
    }
    config.channel.namespaces.iter().find(|namespace| namespace.name == name).map(|namespace| &namespace.options)
}

fn unknown_namespace(config: &Config, name: &str) -> String {
    let name = name.escape_debug();
    // As many as fit a few lines.
    const LISTED_MAX: usize = 20;
    let known: Vec<&str> = config.channel.namespaces.iter().map(|namespace| namespace.name.as_str()).take(LISTED_MAX + 1).collect();
    match known.len() {
        0 => format!("there is no namespace \"{name}\"; add [[channel.namespaces]] with this name"),
        1..=LISTED_MAX => format!("there is no namespace \"{name}\"; the namespaces are: {}", known.join(", ")),
        _ => format!("there is no namespace \"{name}\"; among the namespaces are: {}", known[..LISTED_MAX].join(", ")),
    }
}

/// As Centrifugo demands it: `^[-a-zA-Z0-9_.]{2,}$`.
fn is_namespace_name(name: &str) -> bool {
    name.len() >= 2 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Layers};
    use super::*;

    fn told(toml: &str) -> Vec<String> {
        match Config::load(&Layers { file: Some((toml.as_bytes(), Format::Toml)), ..Layers::default() }) {
            Ok(loaded) => {
                assert_eq!(loaded.unknown, [], "{toml}");
                Vec::new()
            }
            Err(super::super::ConfigError::Invalid { problems, .. }) => problems.iter().map(ToString::to_string).collect(),
            Err(error) => panic!("{toml}: {error:?}"),
        }
    }

    const NEWS: &str = "[[channel.namespaces]]\nname = \"news\"\n";

    #[test]
    fn the_default_is_valid() {
        assert_eq!(problems(&Config::default()), []);
    }

    #[test]
    fn what_is_just_right_passes() {
        let fine = [
            "http_server.address = \"::\"".to_string(),
            "http_server = { tls_port = 8443, tls.cert_pem_file = \"c\", tls.key_pem_file = \"k\" }".to_string(),
            "http_server = { tls.enabled = true, tls.cert_pem_file = \"c\", tls.key_pem_file = \"k\" }".to_string(),
            "http_server = { port = 0, tls_port = 0 }".to_string(),
            "client = { ping_interval = \"-1s\", pong_timeout = \"8s\" }".to_string(),
            "client = { ping_interval = \"1s\", pong_timeout = \"999ms\" }".to_string(),
            "client = { ping_interval = \"1s\", pong_timeout = \"-1s\" }".to_string(),
            "client.allowed_origins = [\"*\", \"https://*.example.org:8443\", \"http://localhost:*\"]".to_string(),
            "client.token.leeway = \"1h\"".to_string(),
            "client.token = { hmac_secret_key = \"a\", hmac_previous_secret_key = \"b\" }".to_string(),
            "client.subscription_token = { enabled = true, hmac_secret_key = \"a\" }".to_string(),
            format!(
                "client.subscribe_to_user_personal_channel = {{ enabled = true, personal_channel_namespace = \"news\", single_connection = true }}\n{NEWS}presence = true"
            ),
            format!("{NEWS}publication_max_size = \"1GiB\"\npublication_max_depth = 1000\npublication_data_format = \"binary\""),
            format!("{NEWS}publication_schema = {{ properties = {{ a = {{ minimum = 1.5 }} }} }}\npublication_max_size = \"1MiB\""),
            format!("{NEWS}history_size = 1\nhistory_ttl = \"1ms\"\nforce_recovery = true\nforce_recovery_mode = \"cache\""),
            "prometheus.handler_prefix = \"/health\"".to_string(),
            "shutdown = { timeout = \"1s\", spread = \"0s\" }".to_string(),
            format!("{NEWS}[[upstream.feeds]]\nname = \"f\"\nurl = \"HTTPS://h:1/p?q\"\nchannel = \"$news:{{name}}/{{event}}\""),
            "channel.namespace_boundary = \"\"\n[[upstream.feeds]]\nname = \"f\"\nurl = \"http://[::1]:80\"\nchannel = \"a:b\"".to_string(),
        ];
        for toml in fine {
            assert_eq!(told(&toml), Vec::<String>::new(), "{toml}");
        }
    }

    #[test]
    fn what_is_just_wrong_is_told() {
        let feed = |rest: &str| format!("[[upstream.feeds]]\nname = \"f\"\nurl = \"http://h/\"\nchannel = \"c\"\n{rest}");
        let feed_with = |url: &str, channel: &str| format!("{NEWS}[[upstream.feeds]]\nname = \"f\"\nurl = \"{url}\"\nchannel = \"{channel}\"\n");
        let cases = [
            ("data_dir = \"\"".to_string(), "data_dir: a folder is needed; the default is \"data\""),
            (
                "http_server.address = \"localhost\"".to_string(),
                "http_server.address: \"localhost\" is not an IP address; write for instance \"127.0.0.1\", or nothing for all interfaces",
            ),
            (
                "http_server = { port = 1, tls_port = 1, tls.cert_pem_file = \"c\", tls.key_pem_file = \"k\" }".to_string(),
                "http_server.tls_port: 1 is http_server.port already; a port speaks either plain HTTP or TLS",
            ),
            (
                "http_server.tls = { cert_pem_file = \"c\" }".to_string(),
                "http_server.tls.key_pem_file: a certificate and its key belong together; name a PEM file",
            ),
            (
                "http_server.tls = { enabled = true, key_pem_file = \"k\" }".to_string(),
                "http_server.tls.cert_pem_file: TLS needs it; name a PEM file",
            ),
            (
                "http_server.connection_limit_per_ip = 25001".to_string(),
                "http_server.connection_limit_per_ip: 25001 is more than http_server.connection_limit, 25000; write 0 for no limit",
            ),
            ("http_server.connection_limit = 0".to_string(), "http_server.connection_limit: 0 must be from 1 to 10000000"),
            ("http_server.request_timeout = \"0s\"".to_string(), "http_server.request_timeout: 0s must be longer than 0s"),
            ("http_server.request_body_max = 0".to_string(), "http_server.request_body_max: must be more than 0 bytes"),
            ("client.pong_timeout = \"25s\"".to_string(), "client.pong_timeout: 25s must be shorter than client.ping_interval, 25s"),
            ("client.ping_interval = \"0s\"".to_string(), "client.ping_interval: must not be 0s; write -1s for no pings"),
            (
                "client.allowed_origins = [\"*\", \"https://a.org/\"]".to_string(),
                "client.allowed_origins[1]: \"https://a.org/\" matches no Origin; write scheme and host without a path, such as \"https://example.org\"",
            ),
            (
                "client.allowed_origins = [\"https://[a\"]".to_string(),
                "client.allowed_origins[0]: \"https://[a\" is not a pattern: unclosed character class; missing ']'",
            ),
            (
                "client.connection_limit = 30000".to_string(),
                "client.connection_limit: 30000 can never be reached, since http_server.connection_limit is 25000; raise that one too",
            ),
            ("client.token.audience_regex = \"(\"".to_string(), "client.token.audience_regex: \"(\" is not a regular expression: unclosed group"),
            ("client.token = { issuer = \"a\", issuer_regex = \"a\" }".to_string(), "client.token.issuer_regex: issuer is set too; drop one of them"),
            (
                "client.token.rsa_public_key = \"key.pem\"".to_string(),
                "client.token.rsa_public_key: must be the key itself as PEM text, beginning with \"-----BEGIN PUBLIC KEY-----\", not the name of a file",
            ),
            (
                "client.token.ecdsa_public_key = \"-----BEGIN PRIVATE KEY-----\"".to_string(),
                "client.token.ecdsa_public_key: is a private key; only the public key belongs here, the private one stays with whoever makes the tokens",
            ),
            ("client.token.leeway = \"3601s\"".to_string(), "client.token.leeway: 1h1s must be from 0s to 1h"),
            (
                "client.token.hmac_previous_secret_key = \"a\"".to_string(),
                "client.token.hmac_previous_secret_key: there is no hmac_secret_key that could have followed it",
            ),
            (
                "client.subscription_token.enabled = true".to_string(),
                "client.subscription_token: is enabled without a key, so every subscription token would be refused; set a key, or enabled = false to use those of client.token",
            ),
            (
                "client.subscribe_to_user_personal_channel = { enabled = true, personal_channel_namespace = \"me\" }".to_string(),
                "client.subscribe_to_user_personal_channel.personal_channel_namespace: there is no namespace \"me\"; add [[channel.namespaces]] with this name",
            ),
            (
                "client.subscribe_to_user_personal_channel = { enabled = true, single_connection = true }".to_string(),
                "client.subscribe_to_user_personal_channel.single_connection: needs presence in the namespace of personal channels, to know a user's other connections",
            ),
            (
                "channel.user_boundary = \":\"".to_string(),
                "channel.user_boundary: \":\" is channel.namespace_boundary too; a name could be read in two ways",
            ),
            (
                "[[channel.namespaces]]\nname = \"x\"".to_string(),
                "channel.namespaces[0].name: \"x\" must be two or more letters, digits, '-', '_' or '.'",
            ),
            (
                "[[channel.namespaces]]\nname = \"néws\"".to_string(),
                "channel.namespaces[0].name: \"néws\" must be two or more letters, digits, '-', '_' or '.'",
            ),
            (format!("{NEWS}{NEWS}"), "channel.namespaces[1].name: \"news\" names a namespace above too"),
            (format!("{NEWS}force_recovery = true"), "channel.namespaces[0].force_recovery: needs history; set history_size and history_ttl"),
            (
                format!("{NEWS}force_recovery_mode = \"cache\""),
                "channel.namespaces[0].force_recovery_mode: needs history; set history_size and history_ttl",
            ),
            (
                format!("{NEWS}history_size = 5"),
                "channel.namespaces[0].history_ttl: history_size is 5, but nothing is kept for 0s; set history_ttl too",
            ),
            (
                "channel.without_namespace.history_ttl = \"5s\"".to_string(),
                "channel.without_namespace.history_size: history_ttl is 5s, but 0 publications are kept; set history_size too",
            ),
            (
                format!("{NEWS}history_size = 5\nhistory_ttl = \"2m\"\nhistory_meta_ttl = \"1m\""),
                "channel.namespaces[0].history_ttl: 2m must not be longer than history_meta_ttl, 1m, after which even the offset is forgotten",
            ),
            (
                format!("{NEWS}publication_sanitize_html_pointers = [\"/text\"]"),
                "channel.namespaces[0].publication_sanitize_html_pointers: nothing is sanitised; set publication_sanitize_html too",
            ),
            (
                format!("{NEWS}publication_sanitize_html = true\npublication_sanitize_html_pointers = [\"text\"]"),
                "channel.namespaces[0].publication_sanitize_html_pointers[0]: \"text\" is not a place in JSON; write for instance \"/text\" or \"/items/*/text\"",
            ),
            (
                format!("{NEWS}publication_schema = \"a.json\"\npublication_data_format = \"binary\""),
                "channel.namespaces[0].publication_data_format: a schema and sanitising need JSON; drop binary",
            ),
            (
                format!("{NEWS}allowed_delta_types = [\"fossil\"]\ndelta_max_size = \"1025KiB\""),
                "channel.namespaces[0].delta_max_size: 1025KiB must be at most 1MiB; to compare more takes a worker too long",
            ),
            (
                format!("{NEWS}publication_schema = {{ type = \"object\" }}\npublication_max_size = \"1025KiB\""),
                "channel.namespaces[0].publication_max_size: 1025KiB must be at most 1MiB where there is a schema or sanitising; to read more takes a worker too long",
            ),
            (
                format!("{NEWS}publication_sanitize_html = true\npublication_max_depth = 101"),
                "channel.namespaces[0].publication_max_depth: 101 must be from 0 to 100",
            ),
            (
                format!("{NEWS}publication_schema = 5"),
                "channel.namespaces[0].publication_schema: 5 is not a JSON Schema as a table, or the path of a file with one",
            ),
            (
                format!("{NEWS}channel_regex = \"[\""),
                "channel.namespaces[0].channel_regex: \"[\" is not a regular expression: unclosed character class",
            ),
            (
                "websocket.handler_prefix = \"connection\"".to_string(),
                "websocket.handler_prefix: \"connection\" must begin with '/', not end with it, and consist of letters, digits and -._~/",
            ),
            (
                "health.handler_prefix = \"/{x}\"".to_string(),
                "health.handler_prefix: \"/{x}\" must begin with '/', not end with it, and consist of letters, digits and -._~/",
            ),
            ("accounts.handler_prefix = \"/login\"".to_string(), "accounts.handler_prefix: \"/login\" is the address of a page"),
            ("ready.handler_prefix = \"/health\"".to_string(), "ready.handler_prefix: \"/health\" is health.handler_prefix too"),
            (
                "websocket.message_size_limit = \"65MiB\"".to_string(),
                "websocket.message_size_limit: 65MiB must be at most 64MiB; a message is held in memory as a whole",
            ),
            (
                "accounts.token_key = \"short\"".to_string(),
                "accounts.token_key: has 5 bytes and needs at least 32; `openssl rand -hex 32` makes one, and empty the hub makes its own",
            ),
            (
                "accounts.token_ttl = \"25h\"".to_string(),
                "accounts.token_ttl: 25h must be from 1s to 24h; it is for so long that what was taken from somebody may still be used",
            ),
            (
                "accounts.rotation_grace = \"11m\"".to_string(),
                "accounts.rotation_grace: 11m must be at most 10m; for so long a stolen cookie is as good as its owner's",
            ),
            ("accounts.idle_timeout = \"91d\"".to_string(), "accounts.idle_timeout: 2184h must not be longer than accounts.absolute_timeout, 2160h"),
            ("accounts.tries = 0".to_string(), "accounts.tries: 0 must be from 1 to 1000"),
            ("accounts.pause = \"16m\"".to_string(), "accounts.pause: 16m must not be longer than accounts.pause_max, 15m"),
            ("accounts.password.memory = \"7KiB\"".to_string(), "accounts.password.memory: 7KiB must be from 8KiB to 1GiB"),
            ("accounts.password = { parallelism = 4, memory = \"31KiB\" }".to_string(), "accounts.password.memory: 31KiB must be from 32KiB to 1GiB"),
            ("accounts.password.iterations = 0".to_string(), "accounts.password.iterations: 0 must be from 1 to 1000"),
            ("accounts.handler_prefix = \"/api\"".to_string(), "accounts.handler_prefix: \"/api\" is http_api.handler_prefix too"),
            ("shutdown = { timeout = \"5s\" }".to_string(), "shutdown.spread: 5s must be shorter than shutdown.timeout, 5s"),
            ("topic.threads = 0".to_string(), "topic.threads: 0 must be from 1 to 256"),
            (
                "topic.queue_bytes_max = 1".to_string(),
                "topic.queue_bytes_max: 1B must hold one request's publication, http_server.request_body_max, 1MiB",
            ),
            (
                "upstream.retry_min = \"1ms\"".to_string(),
                "upstream.retry_min: 1ms must be at least 10ms, or a dead feed would be asked without a pause",
            ),
            (feed("retry_max = \"500ms\""), "upstream.feeds[0].retry_max: 500ms must not be shorter than retry_initial, 1s"),
            (feed("event_bytes_max = 5"), "upstream.feeds[0].event_bytes_max: 5B must not be less than line_bytes_max, 1MiB"),
            (format!("upstream.feeds_max = 0\n{}", feed("")), "upstream.feeds: there are 1 feeds, but upstream.feeds_max is 0"),
            (format!("{}{}", feed(""), feed("")), "upstream.feeds[1].name: \"f\" names a feed above too"),
            (feed("headers = { \"a b\" = \"x\" }"), "upstream.feeds[0].headers: \"a b\" is not a header name (RFC 9110, 5.1)"),
            (feed("headers = { A = \"x\\ny\" }"), "upstream.feeds[0].headers.A: must not contain line breaks or control characters"),
            (
                feed_with("ftp://h/", "c"),
                "upstream.feeds[0].url: must begin with http:// or https://; write for instance \"https://example.org/events\"",
            ),
            (feed_with("http://:80/", "c"), "upstream.feeds[0].url: is not a complete address; write for instance \"https://example.org/events\""),
            (
                feed_with("http://u:p@h/", "c"),
                "upstream.feeds[0].url: must not contain a user or password; send them by headers, where they are kept secret",
            ),
            (
                feed_with("http://h/", ""),
                "upstream.feeds[0].channel: name the channel of the feed's events, for instance \"ticks\" or \"ticks:{event}\"",
            ),
            (
                feed_with("http://h/", "{id}"),
                "upstream.feeds[0].channel: \"{id}\" contains braces; only {name}, {event}, pointers into the data such as {/symbol}, and parameters of the url have a meaning",
            ),
            (feed_with("http://h/", "nws:{event}"), "upstream.feeds[0].channel: there is no namespace \"nws\"; the namespaces are: news"),
            (
                feed_with("http://{host}/", "news:{host}"),
                "upstream.feeds[0].url: must not have parameters in its host, or a subscriber would choose whom the hub asks",
            ),
            (
                feed_with("http://h/{event}", "news:{event}"),
                "upstream.feeds[0].url: \"{event}\" is no parameter; use letters, digits and '_', but not \"name\" or \"event\"",
            ),
            (
                feed_with("http://h/?s={symbol}", "news:x"),
                "upstream.feeds[0].channel: \"news:x\" must name {symbol} too, so that a channel tells which feed it needs",
            ),
            (
                feed("event_channels = { a = \"b:c\" }").replace("channel = \"c\"", "channel = \"\""),
                "upstream.feeds[0].event_channels.a: there is no namespace \"b\"; add [[channel.namespaces]] with this name",
            ),
            (
                feed("only_where = { market = [\"US\"] }"),
                "upstream.feeds[0].only_where: \"market\" is not a JSON pointer (RFC 6901); write for instance \"/market\"",
            ),
            ("upstream.pool.connections_max = 0".to_string(), "upstream.pool.connections_max: 0 must be from 1 to 10000"),
            ("[upstream.pool]\nbreaker_pause = \"2m\"".to_string(), "upstream.pool.breaker_pause_max: 1m must not be shorter than breaker_pause, 2m"),
            ("upstream.pool.coalesce = \"101ms\"".to_string(), "upstream.pool.coalesce: 101ms must be from 0 to 100ms"),
            ("upstream.health.rotation_percent = 0".to_string(), "upstream.health.rotation_percent: 0 must be from 1 to 100"),
            (
                feed_with("http://h/", "{event}:x"),
                "upstream.feeds[0].channel: \"{event}:x\": the namespace must not depend on what is in braces, since it must be configured",
            ),
            (
                "demo.address = \"localhost:1\"".to_string(),
                "demo.address: \"localhost:1\" is not an IP address with a port; write for instance \"127.0.0.1:0\"",
            ),
        ];
        for (toml, expected) in cases {
            assert_eq!(told(&toml), [expected], "{toml}");
        }
    }

    #[test]
    fn hooks_that_are_just_wrong_are_told() {
        let connect = |rest: &str| format!("[client.proxy.connect]\nendpoint = \"http://app/connect\"\n{rest}");
        let transform = |rest: &str| connect(&format!("http.status_to_code_transforms = [{{ {rest} }}]"));
        let backend = |name: &str, url: &str| format!("[[proxies]]\nname = \"{name}\"\nendpoint = \"{url}\"\n");
        let cases = [
            ("hooks.concurrency = 0".to_string(), "hooks.concurrency: 0 must be from 1 to 10000"),
            ("hooks.waiting_max = 63".to_string(), "hooks.waiting_max: 63 must be from hooks.concurrency, 64, to 1000000"),
            ("hooks.answer_size_max = \"65MiB\"".to_string(), "hooks.answer_size_max: must be from 1 byte to 64MiB"),
            ("hooks.breaker_pause_max = \"999ms\"".to_string(), "hooks.breaker_pause_max: 999ms must not be shorter than hooks.breaker_pause, 1s"),
            ("client.proxy.connect.enabled = true".to_string(), "client.proxy.connect.endpoint: is enabled and asks nobody; write where requests go"),
            (
                "channel.proxy.publish.endpoint = \"grpc://app:1\"".to_string(),
                "channel.proxy.publish.endpoint: must begin with http:// or https:// (gRPC is not spoken); write for instance \"https://app.example.org/hub/connect\"",
            ),
            (
                "rpc.proxy.endpoint = \"https://me:secret@app/\"".to_string(),
                "rpc.proxy.endpoint: must not contain a user or password; send them by http.static_headers, where they are kept secret",
            ),
            (
                "channel.proxy.subscribe.endpoint = \"http://:80/\"".to_string(),
                "channel.proxy.subscribe.endpoint: is not a complete address; write for instance \"https://app.example.org/hub/connect\"",
            ),
            (
                "channel.proxy.sub_refresh.endpoint = \"http://app/a b\"".to_string(),
                "channel.proxy.sub_refresh.endpoint: is not a complete address; write for instance \"https://app.example.org/hub/connect\"",
            ),
            (connect("timeout = \"0s\""), "client.proxy.connect.timeout: 0s must be longer than 0s and at most 20s"),
            (connect("timeout = \"20001ms\""), "client.proxy.connect.timeout: 20s1ms must be longer than 0s and at most 20s"),
            (
                connect("http_headers = [\"Transfer-Encoding\"]"),
                "client.proxy.connect.http_headers: \"Transfer-Encoding\" is not a header that can be passed on",
            ),
            (connect("http_headers = [\"a b\"]"), "client.proxy.connect.http_headers: \"a b\" is not a header that can be passed on"),
            (
                connect("http.static_headers = { Host = \"x\" }"),
                "client.proxy.connect.http.static_headers: \"Host\" is not a header that can be set here",
            ),
            (
                connect("http.static_headers = { Authorization = \"a\\r\\nb\" }"),
                "client.proxy.connect.http.static_headers: the value of Authorization has control characters",
            ),
            (
                transform("status_code = 200, to_error.code = 400"),
                "client.proxy.connect.http.status_to_code_transforms[0].status_code: 200 must be a status from 201 to 599; 200 is looked into",
            ),
            (
                transform("status_code = 404"),
                "client.proxy.connect.http.status_to_code_transforms[0]: needs a code in either to_error or to_disconnect",
            ),
            (
                transform("status_code = 404, to_error.code = 404, to_disconnect.code = 4404"),
                "client.proxy.connect.http.status_to_code_transforms[0]: needs a code in either to_error or to_disconnect",
            ),
            (
                transform("status_code = 404, to_error.code = 2000"),
                "client.proxy.connect.http.status_to_code_transforms[0].to_error.code: 2000 must be from 100 to 1999",
            ),
            (
                transform("status_code = 404, to_disconnect.code = 2999"),
                "client.proxy.connect.http.status_to_code_transforms[0].to_disconnect.code: 2999 must be from 3000 to 4999",
            ),
            (
                transform(&format!("status_code = 404, to_disconnect = {{ code = 4000, reason = \"{}\" }}", "x".repeat(124))),
                "client.proxy.connect.http.status_to_code_transforms[0].to_disconnect.reason: must have at most 123 bytes",
            ),
            (
                backend("default", "http://app/"),
                "proxies[0].name: \"default\" must be two or more letters, digits, '-', '_' or '.', and not \"default\"",
            ),
            (backend("app", ""), "proxies[0].endpoint: asks nobody; write where requests go"),
            (format!("{0}{0}", backend("app", "http://app/")), "proxies[1].name: \"app\" names a backend above too"),
            (
                format!("{NEWS}subscribe_proxy_enabled = true"),
                "channel.namespaces[0].subscribe_proxy_enabled: asks nobody; set channel.proxy.subscribe.endpoint",
            ),
            (
                format!("{}{NEWS}publish_proxy_enabled = true\npublish_proxy_name = \"other\"", backend("app", "http://app/")),
                "channel.namespaces[0].publish_proxy_name: there is no backend \"other\" in proxies",
            ),
            ("rpc.without_namespace.proxy_enabled = true".to_string(), "rpc.without_namespace.proxy_enabled: asks nobody; set rpc.proxy.endpoint"),
            ("[[rpc.namespaces]]\nname = \"x\"".to_string(), "rpc.namespaces[0].name: \"x\" must be two or more letters, digits, '-', '_' or '.'"),
            ("hooks.events.secret = \"15 bytes, no 16\"".to_string(), "hooks.events.secret: must have 16 bytes or more"),
            ("hooks.events.retry_max = \"1ms\"".to_string(), "hooks.events.retry_max: 1ms must not be shorter than retry_initial, RETRY"),
            ("hooks.events.batch_max = 0".to_string(), "hooks.events.batch_max: 0 must be from 1 to 1000"),
            ("hooks.events.queue_size_max = \"65535\"".to_string(), "hooks.events.queue_size_max: must be at least 64KiB"),
            (
                "hooks.events.endpoint = \"app\"".to_string(),
                "hooks.events.endpoint: must begin with http:// or https:// (gRPC is not spoken); write for instance \"https://app.example.org/hub/connect\"",
            ),
        ];
        let retry = Config::default().hooks.events.retry_initial.to_string();
        for (toml, expected) in cases {
            assert_eq!(told(&toml), [expected.replace("RETRY", &retry)], "{toml}");
        }
    }

    #[test]
    fn ways_in_that_are_just_wrong_are_told() {
        let mercure = |rest: &str| format!("mercure.enabled = true\nmercure.anonymous = true\n{rest}");
        let cases = [
            ("emulation.max_request_body_size = 0".to_string(), "emulation.max_request_body_size: must be more than 0 bytes"),
            (
                "sse.max_request_body_size = \"65MiB\"".to_string(),
                "sse.max_request_body_size: 65MiB must be at most 64MiB; a request is held in memory as a whole",
            ),
            (
                "sse.enabled = true\nuni_sse = { enabled = true, handler_prefix = \"/connection/sse\" }".to_string(),
                "uni_sse.handler_prefix: \"/connection/sse\" is sse.handler_prefix too",
            ),
            (
                "mercure.enabled = true".to_string(),
                "mercure.subscriber.key: is empty and mercure.anonymous is false, so nobody could subscribe; set one of the two",
            ),
            (mercure("mercure.history_size = 1000001"), "mercure.history_size: 1000001 must be from 0 to 1000000"),
            (mercure("mercure.history_bytes_max = \"1023KiB\""), "mercure.history_bytes_max: 1023KiB must be from 1MiB to 64GiB"),
            (
                mercure("mercure.heartbeat = \"999ms\""),
                "mercure.heartbeat: 999ms must be at least 1s; without it, a subscriber that vanished would be noticed at the next update only",
            ),
            (mercure("mercure.dispatch_timeout = \"0s\""), "mercure.dispatch_timeout: 0s must be longer than 0s"),
            (
                mercure("mercure.publisher = { alg = \"ES256\", key = \"secret\" }"),
                "mercure.publisher.key: must be a public key as PEM text, beginning with \"-----BEGIN PUBLIC KEY-----\", for this algorithm",
            ),
            (
                mercure("mercure.cors_origins = [\"\"]"),
                "mercure.cors_origins[0]: \"\" is not a pattern of origins; write scheme and host, such as \"https://example.org\"",
            ),
            (
                mercure("mercure.protocol = \"modern\""),
                "mercure.resource: the modern protocol alone needs resource and trusted_issuer, or no token would be accepted",
            ),
            (
                mercure("mercure.namespace = \"books\""),
                "mercure.namespace: there is no namespace \"books\"; add [[channel.namespaces]] with this name",
            ),
            (
                mercure("channel.private_prefix = \"\""),
                "channel.private_prefix: is empty, and private updates of Mercure need channels that only a token opens",
            ),
        ];
        for (toml, expected) in cases {
            assert_eq!(told(&toml), [expected], "{toml}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let found = told("data_dir = \"\"\nclient.pong_timeout = \"1m\"\nshutdown.timeout = \"0s\"\ntopic.threads = 0");
        assert_eq!(found.len(), 5, "{found:#?}");
    }

    #[test]
    fn what_watches_over_the_hub_says_what_it_cannot_work_with() {
        let on = "email = { host = \"smtp.example.org\", from = \"aether@example.org\" }\n";
        let with = |email: &str| format!("email = {{ host = \"smtp.example.org\", from = \"aether@example.org\", {email} }}");
        for fine in [
            "metrics = { interval = \"100ms\", canary_interval = \"0s\", objectives = { delivery = 1.0, errors = 0.0 } }".to_string(),
            "reports = { enabled = false, at = \"23:59\", weekday = \"sunday\", days_kept = 1, weeks_kept = 104 }".to_string(),
            format!("{on}alerts.email = {{ to = [\"a@example.org\"], gather = \"0s\" }}\nreports.email_to = [\"a.b+c@example.org\"]"),
            with("user = \"me\", password = \"p\", tls = \"tls\", queue_max_age = \"301s\""),
            "email = { host = \"127.0.0.1\", from = \"a@b\", tls = \"none\", user = \"me\", password_file = \"p\" }".to_string(),
            "prometheus = { token = \"0123456789abcdef\", allowed_addresses = [\"::1\", \"10.0.0.0/8\"] }".to_string(),
        ] {
            assert_eq!(told(&fine), Vec::<String>::new(), "{fine}");
        }
        for (wrong, says) in [
            ("metrics.interval = \"99ms\"".to_string(), "metrics.interval: 99ms must be from 100ms to 1m"),
            ("metrics.canary_interval = \"5ms\"".to_string(), "metrics.canary_interval: 5ms must be 0s, for none, or from 10ms to 1m"),
            ("metrics.latency_goal = \"0s\"".to_string(), "metrics.latency_goal: 0s must be longer than 0s"),
            ("metrics.objectives.delivery = 99.9".to_string(), "metrics.objectives.delivery: 99.9 must be from 0 to 1, for instance 0.999"),
            (
                "alerts.webhook = { endpoint = \"https://a.org/\", secret = \"short\" }".to_string(),
                "alerts.webhook.secret: must have 16 bytes or more",
            ),
            ("alerts.webhook.queue_max = 0".to_string(), "alerts.webhook.queue_max: 0 must be from 1 to 100000"),
            (
                "alerts.webhook.queue_max_age = \"30s\"".to_string(),
                "alerts.webhook.queue_max_age: 30s must be longer than retry_max, 30s: what waits would be dropped before it is tried again",
            ),
            ("alerts.email.gather = \"-1s\"".to_string(), "alerts.email.gather: -1s must not be negative"),
            ("alerts.email.to = [\"a@example.org\"]".to_string(), "alerts.email.to: there is nobody to send e-mail: set email.host"),
            ("reports.at = \"24:00\"".to_string(), "reports.at: \"24:00\" is not a time of the day, such as \"00:10\" or \"18:30\""),
            ("reports.at = \"7:5\"".to_string(), "reports.at: \"7:5\" is not a time of the day, such as \"00:10\" or \"18:30\""),
            ("reports.days_kept = 367".to_string(), "reports.days_kept: 367 must be from 1 to 366"),
            ("reports.weeks_kept = 0".to_string(), "reports.weeks_kept: 0 must be from 1 to 104"),
            (
                format!("{on}reports.email_to = [\"Operators <a@example.org>\"]"),
                "reports.email_to[0]: \"Operators <a@example.org>\" must be an address of e-mail, such as \"operators@example.org\"",
            ),
            (
                "email = { host = \"smtp://a.org\", from = \"a@b\" }".to_string(),
                "email.host: \"smtp://a.org\" must be a name or an address alone, such as \"smtp.example.org\"",
            ),
            ("email.host = \"a.org\"".to_string(), "email.from: \"\" must be an address of e-mail, such as \"aether@example.org\""),
            (with("user = \"me\""), "email.user: user and password belong together: give both, or neither"),
            (with("password = \"p\""), "email.user: user and password belong together: give both, or neither"),
            (with("user = \"me\", password = \"p\", password_file = \"f\""), "email.password_file: drop one of password and password_file"),
            (
                with("user = \"me\", password = \"p\", tls = \"none\""),
                "email.tls: \"none\" would send the password readable through the network: use \"starttls\" or \"tls\"",
            ),
            (with("timeout = \"0s\""), "email.timeout: 0s must be longer than 0s"),
            (with("retry_max = \"1s\""), "email.retry_max: 1s must not be shorter than retry_initial, 5s"),
            (
                with("queue_max_age = \"5m\""),
                "email.queue_max_age: 5m must be longer than retry_max, 5m: what waits would be dropped before it is tried again",
            ),
            (with("queue_size_max = 10"), "email.queue_size_max: must be at least 1MiB"),
            ("prometheus.token = \"short\"".to_string(), "prometheus.token: must have 16 bytes or more"),
            (
                "prometheus.allowed_addresses = [\"everywhere\"]".to_string(),
                "prometheus.allowed_addresses[0]: \"everywhere\" is neither an IP address nor a network such as \"10.0.0.0/8\"",
            ),
        ] {
            assert_eq!(told(&wrong), [says], "{wrong}");
        }
    }
}
