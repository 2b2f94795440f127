//! Measuring: how often, and what is promised; who is told when something is wrong.

use super::Secret;
use crate::units::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the hub measures of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricsConfig {
    pub enabled: bool,
    /// Between two looks. Under load the hub looks less often.
    pub interval: HumanDuration,
    /// Between two canaries: publications of the hub's own that tell how long messages take and whether they arrive. 0: none.
    pub canary_interval: HumanDuration,
    /// Keep what was measured in the store, for a year.
    pub history: bool,
    /// The time in which a message should be with every worker.
    pub latency_goal: HumanDuration,
    pub objectives: ObjectivesConfig,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: HumanDuration::from_secs(1),
            canary_interval: HumanDuration::from_ms(200),
            history: true,
            latency_goal: HumanDuration::from_ms(50),
            objectives: ObjectivesConfig::default(),
        }
    }
}

/// What is promised, as a share of 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectivesConfig {
    /// Connections that are let in, of those that are not refused for what they are.
    pub connections: f64,
    /// Canaries that arrive.
    pub delivery: f64,
    /// Canaries that arrive within `latency_goal`.
    pub latency: f64,
    /// Commands that do not fail by the hub's fault.
    pub errors: f64,
    /// Clients that come back and miss nothing.
    pub recovery: f64,
}

impl Default for ObjectivesConfig {
    fn default() -> Self {
        Self { connections: 0.999, delivery: 0.9999, latency: 0.99, errors: 0.999, recovery: 0.999 }
    }
}

/// Rules that say what is wrong; they are changed while the hub runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertsConfig {
    pub enabled: bool,
    pub webhook: AlertsWebhookConfig,
    pub email: AlertsEmailConfig,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self { enabled: true, webhook: AlertsWebhookConfig::default(), email: AlertsEmailConfig::default() }
    }
}

/// Who is told of alerts over HTTP, at least once and in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertsWebhookConfig {
    /// Where alerts are posted: http or https, without user and password. Empty: nobody is told.
    pub endpoint: String,
    /// The key that requests are signed with (HMAC-SHA256). Empty: they are not signed.
    pub secret: Secret,
    /// Headers of every request. Their values are secret.
    pub static_headers: BTreeMap<String, Secret>,
    /// For one request.
    pub timeout: HumanDuration,
    /// Alerts that may wait. Beyond it the oldest is dropped.
    pub queue_max: usize,
    /// Their bytes. Beyond it the oldest is dropped.
    pub queue_size_max: ByteSize,
    /// How long an alert may wait, over restarts of the hub too. One that is older is dropped: what is still wrong has been told again since.
    pub queue_max_age: HumanDuration,
    /// The longest first wait before a request is repeated; doubled with every failure.
    pub retry_initial: HumanDuration,
    pub retry_max: HumanDuration,
}

impl Default for AlertsWebhookConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            secret: Secret::default(),
            static_headers: BTreeMap::new(),
            timeout: HumanDuration::from_secs(5),
            queue_max: 1_000,
            queue_size_max: ByteSize::mib(1),
            queue_max_age: HumanDuration::from_secs(86_400),
            retry_initial: HumanDuration::from_secs(1),
            retry_max: HumanDuration::from_secs(30),
        }
    }
}

/// Who is told of alerts by e-mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertsEmailConfig {
    /// Addresses. Empty: nobody is told.
    pub to: Vec<String>,
    /// What happens within this time after the first goes into the same letter.
    pub gather: HumanDuration,
}

impl Default for AlertsEmailConfig {
    fn default() -> Self {
        Self { to: Vec::new(), gather: HumanDuration::from_secs(10) }
    }
}

/// How e-mail is sent: over SMTP, to one server that takes it from here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmailConfig {
    /// The server's name. Empty: no e-mail is sent.
    pub host: String,
    /// 0: the usual one, 587 for `starttls`, 465 for `tls`, 25 for `none`.
    pub port: u16,
    pub tls: EmailTls,
    /// A file with one more certificate (PEM) that is believed, besides those of the system.
    pub ca_pem_file: String,
    /// Empty: the server asks for none.
    pub user: String,
    pub password: Secret,
    /// A file with the password in its first line, in place of `password`.
    pub password_file: String,
    /// The address that letters come from.
    pub from: String,
    /// For one letter.
    pub timeout: HumanDuration,
    /// Letters, or alerts for one, that may wait. Beyond it the oldest is dropped.
    pub queue_max: usize,
    /// Their bytes. Beyond it the oldest is dropped.
    pub queue_size_max: ByteSize,
    /// How long they may wait, over restarts of the hub too. What is older is dropped. Mail servers try for as long (RFC 5321, 4.5.4.1).
    pub queue_max_age: HumanDuration,
    /// The longest first wait before a letter is sent again; doubled with every failure.
    pub retry_initial: HumanDuration,
    pub retry_max: HumanDuration,
}

impl Default for EmailConfig {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 0,
            tls: EmailTls::Starttls,
            ca_pem_file: String::new(),
            user: String::new(),
            password: Secret::default(),
            password_file: String::new(),
            from: String::new(),
            timeout: HumanDuration::from_secs(30),
            queue_max: 1_000,
            queue_size_max: ByteSize::mib(4),
            queue_max_age: HumanDuration::from_secs(5 * 86_400),
            retry_initial: HumanDuration::from_secs(5),
            retry_max: HumanDuration::from_secs(300),
        }
    }
}

impl EmailConfig {
    /// The port, the usual one where none is given.
    pub fn port(&self) -> u16 {
        match (self.port, self.tls) {
            (0, EmailTls::None) => 25,
            (0, EmailTls::Starttls) => 587,
            (0, EmailTls::Tls) => 465,
            (port, _) => port,
        }
    }
}

/// How the connection to the server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailTls {
    /// Not at all.
    None,
    /// By TLS that is begun on a plain connection; without it nothing is sent.
    #[default]
    Starttls,
    /// By TLS from the first byte.
    Tls,
}

/// Reports of the whole hub, made of what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportsConfig {
    /// Make them when it is time. On demand they are made in any case.
    pub enabled: bool,
    /// When, in UTC: hours and minutes. The one of a day is about the day before.
    pub at: String,
    /// On which day those of weeks are made. They are about the week that ended on the Sunday before.
    pub weekday: Weekday,
    /// Reports of days that are kept. One that is made takes the place of the one so many days before.
    pub days_kept: usize,
    /// The same for weeks.
    pub weeks_kept: usize,
    /// Who gets those that are made because it is time, by e-mail. Empty: nobody.
    pub email_to: Vec<String>,
}

impl Default for ReportsConfig {
    fn default() -> Self {
        Self { enabled: true, at: "00:10".to_string(), weekday: Weekday::Monday, days_kept: 35, weeks_kept: 26, email_to: Vec::new() }
    }
}

impl ReportsConfig {
    /// Milliseconds since midnight; `None`: `at` is no time of the day.
    pub fn at_ms(&self) -> Option<i64> {
        let (hours, minutes) = self.at.split_once(':')?;
        let number = |text: &str, most: i64| {
            let is_good = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i64>().ok().filter(|number| is_good && *number <= most)
        };
        Some((number(hours, 23)? * 60 + number(minutes, 59)?) * 60_000)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    #[default]
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}
