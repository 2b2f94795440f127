//! The command line: one file a subcommand, each a struct of arguments with `run`.
//!
//! A subcommand gathers what it needs from arguments, files and environment, lets the rooms work, and prints. Results go to standard output,
//! everything said to people to standard error, so that the one can be piped and the other read. Exit codes: 0 done, 1 not done, 2 misspoken.

mod admin;
mod audit;
mod bench;
mod check_config;
mod default_config;
mod demo_feed;
mod feed;
mod gen_token;
mod key;
mod recorded;
mod serve;
mod shown;
mod target;
mod user;
mod version;
mod wire;

use crate::config::{Config, ConfigError, FILE_BYTES_MAX, Format, Layers, Loaded, VARIABLE_PREFIX};
use anyhow::{Context, anyhow};
use clap::{Args, Parser, Subcommand};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Live feeds and publications in, WebSocket clients out: a self-hosted real-time hub.
///
/// Clients speak the Centrifuge protocol, so the official Centrifuge SDKs connect as they are. An application publishes by the HTTP API; feeds
/// of server-sent events are read and passed on without any application at all.
#[derive(Debug, Parser)]
#[command(name = "aether", version, max_term_width = 100, disable_help_subcommand = true, after_long_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
First steps:
  aether default-config > aether.toml        every option, its default, its meaning
  aether check-config --config aether.toml   what is wrong with it, or what it means
  aether gen-token --config aether.toml --user alice
  aether user add alice --role admin --config aether.toml
  aether admin status --config aether.toml   what the running hub says of itself

Every option can be set in three places, each winning over the one before:
  the file        client.ping_interval = \"10s\"         (TOML, YAML or JSON)
  the environment AETHER_CLIENT_PING_INTERVAL=10s
  the command     --set client.ping_interval=10s

Exit codes: 0 done, 1 not done (standard error says why), 2 the command line was not understood.";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Admin(Box<admin::Admin>),
    Audit(audit::Audit),
    DemoFeed(demo_feed::DemoFeed),
    Feed(feed::Feed),
    Bench(Box<bench::Bench>),
    CheckConfig(check_config::CheckConfig),
    DefaultConfig(default_config::DefaultConfig),
    GenToken(gen_token::GenToken),
    Key(key::Key),
    User(user::User),
    Version(version::Version),
}

impl Cli {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(command) => command.run(),
            Command::Admin(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::DemoFeed(command) => command.run(),
            Command::Feed(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::CheckConfig(command) => command.run(),
            Command::DefaultConfig(command) => command.run(),
            Command::GenToken(command) => command.run(),
            Command::Key(command) => command.run(),
            Command::User(command) => command.run(),
            Command::Version(command) => command.run(),
        }
    }
}

/// Where the configuration comes from. Every subcommand that needs one has these arguments.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file: .toml, .yaml, .yml or .json. Without it: defaults and environment
    #[arg(short, long, value_name = "FILE", env = "AETHER_CONFIG")]
    config: Option<PathBuf>,

    /// Set one option, over file and environment; may be repeated. Lists: a,b; lists of tables: JSON
    #[arg(long = "set", value_name = "OPTION=VALUE", value_parser = parse_override)]
    overrides: Vec<(String, String)>,
}

impl ConfigArgs {
    /// Defaults, file, environment and `--set`, checked.
    pub fn load(&self) -> anyhow::Result<Loaded> {
        self.load_over("", &[])
    }

    /// Like [`ConfigArgs::load`], with a text in place of the file where none is named, and with options that are set unless the command line
    /// sets them.
    pub fn load_over(&self, without_file: &str, preset: &[(String, String)]) -> anyhow::Result<Loaded> {
        let file = match self.file() {
            Some(path) => Some((path, read(path).with_context(|| format!("cannot read {}", path.display()))?, format_of(path)?)),
            None => None,
        };
        let variables = variables()?;
        let text = file.as_ref().map_or((without_file.as_bytes(), Format::Toml), |(_, text, format)| (text.as_slice(), *format));
        let overrides: Vec<_> = preset.iter().chain(&self.overrides).cloned().collect();
        let layers = Layers { file: Some(text), variables: &variables, overrides: &overrides };
        Config::load(&layers).map_err(|error| match (error, &file) {
            (ConfigError::File { source }, Some((path, ..))) => anyhow!(source).context(format!("cannot read {}", path.display())),
            (error, _) => anyhow!(error),
        })
    }

    /// The file, if there is one. An empty `AETHER_CONFIG` names none.
    pub fn file(&self) -> Option<&Path> {
        self.config.as_deref().filter(|path| !path.as_os_str().is_empty())
    }
}

fn parse_override(text: &str) -> Result<(String, String), String> {
    let (option, value) = text.split_once('=').ok_or_else(|| "write OPTION=VALUE, for instance client.ping_interval=10s".to_string())?;
    Ok((option.trim().to_string(), value.to_string()))
}

fn format_of(path: &Path) -> anyhow::Result<Format> {
    Format::of(path).ok_or_else(|| anyhow!("cannot tell how {} is written; its name must end with .toml, .yaml, .yml or .json", path.display()))
}

/// One byte more than a configuration may have is enough to be refused, however long the file is.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Our variables of the process's environment. What is not ours need not be text.
fn variables() -> anyhow::Result<Vec<(String, String)>> {
    let ours = std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok().filter(|name| name.starts_with(VARIABLE_PREFIX))?, text)));
    ours.map(|(name, text)| text.into_string().map(|text| (name.clone(), text)).map_err(|_| anyhow!("{name}: the value is not UTF-8"))).collect()
}

/// Writes a result. A reader that has seen enough and closed the pipe is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_explains_itself() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(command.get_about().is_some() && command.get_long_about().is_some(), "{name} says what it does");
            assert!(command.get_after_long_help().is_some(), "{name} has examples");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name} explains {}", argument.get_id());
            }
        }
    }

    #[test]
    fn an_override_names_an_option_and_a_value() {
        assert_eq!(parse_override("a.b=c=d").unwrap(), ("a.b".to_string(), "c=d".to_string()));
        assert_eq!(parse_override("a.b=").unwrap(), ("a.b".to_string(), String::new()));
        assert!(parse_override("a.b").is_err());
    }
}
