//! `aether key`: named keys of the server API, on the store itself, whether a hub runs on it or not.

use super::recorded::{COMMAND_LINE, recorded};
use super::shown::time;
use super::{ConfigArgs, print};
use crate::auth::{Keyring, Scope};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::api;
use crate::store::{self, ApiKeyRecord, Store};
use crate::units::HumanDuration;
use anyhow::Context;
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Keys of the server API: add, list, rotate and remove them
///
/// Works on the store that the configuration names, beside a running hub or without one; a running hub knows of a change within seconds. A key is printed
/// once, when it is made, and kept by nobody but whoever reads it: the store has its digest. `http_api.key` of the configuration, which may
/// do everything, is none of these.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aether key add shop --method publish --method broadcast --namespace orders --config aether.toml
  aether key list
  aether key rotate 3f9a01c2b7de --grace 1h      a new one; the old one is good for another hour
  aether key remove 3f9a01c2b7de")]
pub struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and print it, once
    Add(Add),
    /// List all keys
    List(List),
    /// Make a key in place of another one, and print it, once
    Rotate(Rotate),
    /// Remove a key
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Add {
    /// What it is for: 1 to 64 letters, digits, '-', '_' or '.'
    name: String,
    /// A method that it may call; repeat it for more. Without any it may call all
    #[arg(long = "method", value_name = "METHOD", value_parser = parse_method)]
    methods: Vec<String>,
    /// A namespace that it may name, "" for channels without one; repeat it for more. Without any it may name all
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    /// How long it is good, such as 90d. Without it: until it is removed
    #[arg(long, value_parser = parse_duration)]
    expires: Option<HumanDuration>,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct Rotate {
    /// The id of the key, as `list` shows it
    id: String,
    /// How long the old one is good for
    #[arg(long, default_value = "1h", value_parser = parse_duration)]
    grace: HumanDuration,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct Remove {
    /// The id of the key, as `list` shows it
    id: String,
    #[command(flatten)]
    config: ConfigArgs,
}

fn parse_method(text: &str) -> Result<String, String> {
    if api::methods().any(|method| method == text) {
        return Ok(text.to_string());
    }
    Err(format!("methods are {}", api::methods().collect::<Vec<_>>().join(", ")))
}

fn parse_duration(text: &str) -> Result<HumanDuration, String> {
    let duration = HumanDuration::parse(text).map_err(|error| error.to_string())?;
    if duration.is_negative() { Err("must not be negative".to_string()) } else { Ok(duration) }
}

impl Key {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = match &self.command {
            Command::Add(Add { config, .. })
            | Command::List(List { config })
            | Command::Rotate(Rotate { config, .. })
            | Command::Remove(Remove { config, .. }) => config.load()?.config,
        };
        actix::System::new().block_on(self.command.carry_out(&config))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Command {
    async fn carry_out(self, config: &Config) -> anyhow::Result<()> {
        let store = store::open(&config.store, Path::new(&config.data_dir)).await?;
        let clock = Clock::system();
        let outcome = self.on(&store, &Keyring::new(Arc::clone(&store), clock.clone()), &clock).await;
        store.close().await.context("the store was not closed in time")?;
        outcome
    }

    async fn on(self, store: &Arc<dyn Store>, keys: &Keyring, clock: &Clock) -> anyhow::Result<()> {
        match self {
            Self::Add(Add { name, methods, namespaces, expires, .. }) => {
                let expires_at = expires.map(|expires| clock.wall_ms().saturating_add_unsigned(expires.ms()));
                let details = json!({ "methods": methods, "namespaces": namespaces, "expires_at": expires_at });
                let adding = async { Ok(keys.add(&name, Scope { methods, namespaces }, expires_at, COMMAND_LINE).await?) };
                show(recorded(store, "key.add", &name, details, adding).await)
            }
            Self::List(_) => {
                let keys = keys.list().await?;
                if keys.is_empty() {
                    eprintln!("there are no named keys; `aether key add NAME` makes one");
                    return Ok(());
                }
                print(&table(&keys))
            }
            Self::Rotate(Rotate { id, grace, .. }) => {
                let rotating = async { Ok(keys.rotate(&id, grace.duration(), COMMAND_LINE).await?) };
                show(recorded(store, "key.rotate", &id, json!({ "grace": grace.to_string() }), rotating).await)
            }
            Self::Remove(Remove { id, .. }) => {
                recorded(store, "key.remove", &id, Value::Null, async { Ok(keys.remove(&id).await?) }).await?;
                eprintln!("removed {id}");
                Ok(())
            }
        }
    }
}

/// The key goes to standard output, and nothing else does.
fn show(made: anyhow::Result<(ApiKeyRecord, SecretString)>) -> anyhow::Result<()> {
    let (record, text) = made?;
    eprintln!("made key {} ({}), which is shown only now:", record.id, record.name);
    print(&format!("{}\n", text.expose_secret()))
}

fn table(keys: &[ApiKeyRecord]) -> String {
    let mut text = format!("{:<14}{:<20}{:<24}{:<24}{:<24}scope\n", "id", "name", "created", "expires", "last used");
    for key in keys {
        let scope = |all: &str, list: &[String]| {
            if list.is_empty() { all.to_string() } else { list.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(" ") }
        };
        let (methods, namespaces) = (scope("all methods", &key.methods), scope("all namespaces", &key.namespaces));
        let (expires, used) = (key.expires_at.map_or("-".to_string(), time), key.last_used_at.map_or("-".to_string(), time));
        let _ = writeln!(text, "{:<14}{:<20}{:<24}{expires:<24}{used:<24}{methods}; {namespaces}", key.id, key.name, time(key.created_at));
    }
    text
}
