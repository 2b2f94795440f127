//! `aether admin`: operators' commands from a terminal or a script, by the same way as everybody's: a WebSocket, a token, calls.
//!
//! It knows no command by itself. What there is, with which arguments, the hub says (`admin.help`), so that it fits any version of the hub.

mod arguments;
mod client;
mod identity;
mod watch;

use super::target::{Target, Trust};
use super::{ConfigArgs, print, shown};
use crate::config::Config;
use anyhow::{Context, anyhow, ensure};
use arguments::CONFIRM;
use clap::Args;
use client::{Client, ClientError, Way};
use identity::Identity;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What begins the names of all commands; it may be left out.
const PREFIX: &str = "admin.";

/// The code of a command that is not there, or not for this role (`protocol::codes`).
const NOT_FOUND: u32 = 104;

/// How long a name that is still being looked up may hold up the end.
const END_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(200);

/// Steer a running hub
///
/// Connects to the hub as any client does, and has a command carried out, if the token's role has the right to. Every call is in the hub's audit
/// log before it has an effect. `aether admin help` lists the commands that there are, with what they are asked with.
///
/// Beside the hub nothing is needed but its configuration: whoever can read the key of the hub's tokens (`accounts-key` in `data_dir`) is admin, under
/// the name "command line", by a token that is good for a minute. From elsewhere: --url, and a token in AETHER_ADMIN_TOKEN or by --token-file.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Admin {
    /// The command, such as sessions.list; `help` says which there are, `watch` follows events, the audit log, alerts, metrics or a trace
    #[arg(value_name = "COMMAND")]
    command: String,

    /// Its arguments: --name value, or one JSON object
    #[arg(value_name = "ARGUMENT", allow_hyphen_values = true)]
    words: Vec<String>,

    /// A dangerous command is meant
    #[arg(long)]
    confirm: bool,

    /// Print JSON: the answer on one line, or a line for everything that happens
    #[arg(long)]
    json: bool,

    /// Where the hub is: ws, wss, http or https. Without it: where the configuration says, on this machine
    #[arg(long, value_name = "URL", env = "AETHER_ADMIN_URL")]
    url: Option<String>,

    /// A file with a token. It is read again when the token's time is over
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The certificates (PEM) that vouch for the hub, in place of this system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    #[command(flatten)]
    config: ConfigArgs,
}

const EXAMPLES: &str = "\
Examples:
  aether admin help --config aether.toml              the commands
  aether admin help sessions.kick                     one of them
  aether admin status
  aether admin sessions.list --role operator --limit 20
  aether admin sessions.kick --user alice --reason 'please sign in again'
  aether admin sessions.kick '{\"address\":\"192.0.2.0/24\"}'
  aether admin drain --within 60s --confirm
  aether admin channels.list --json | jq -r '.channels[].channel'
  aether admin watch events
  aether admin watch trace --user alice --lasting 5m
  AETHER_ADMIN_TOKEN=… aether admin status --url wss://hub.example.org

Exit codes: 0 done, 1 not done (standard error says why), 2 the command line was not understood.";

/// The command line was not understood.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misspoken(String);

impl Admin {
    pub fn run(mut self) -> anyhow::Result<ExitCode> {
        let settled = self.settle();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
        let outcome = settled.map_or_else(|misspoken| Err(misspoken.into()), |()| runtime.block_on(self.carry_out()));
        runtime.shutdown_timeout(END_TIMEOUT);
        match outcome {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) if error.is::<Misspoken>() => {
                eprintln!("error: {error:#}");
                Ok(ExitCode::from(2))
            }
            // What the hub says may hold what others have said to it.
            Err(error) => Err(anyhow!(shown::inert(&format!("{error:#}")).into_owned())),
        }
    }

    /// Takes the options of this command line out of the words behind the command: there they may stand too, among the command's own arguments,
    /// of which the parser of the command line knows nothing.
    fn settle(&mut self) -> Result<(), Misspoken> {
        let mut words = std::mem::take(&mut self.words).into_iter();
        while let Some(word) = words.next() {
            let (name, given) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_string(), Some(value.to_string())),
                _ => (word.clone(), None),
            };
            let mut value = || given.clone().or_else(|| words.next()).ok_or_else(|| Misspoken(format!("{name} needs a value")));
            match name.as_str() {
                "--confirm" if given.is_none() => self.confirm = true,
                "--json" if given.is_none() => self.json = true,
                "--url" => self.url = Some(value()?),
                "--token-file" => self.token_file = Some(value()?.into()),
                "--ca" => self.ca = Some(value()?.into()),
                "--config" | "-c" => self.config.config = Some(value()?.into()),
                "--set" => self.config.overrides.push(super::parse_override(&value()?).map_err(Misspoken)?),
                "--help" | "-h" => {
                    let command = std::mem::replace(&mut self.command, "help".to_string());
                    self.words = if command == "help" { Vec::new() } else { vec![command] };
                    return Ok(());
                }
                _ => self.words.push(word),
            }
        }
        Ok(())
    }

    async fn carry_out(self) -> anyhow::Result<()> {
        let config = self.config.load()?.config;
        let identity = Identity::find(self.token_file.as_deref(), &config)?;
        let (target, trust) = self.target(&config)?;
        let way = Way::new(&target, trust)?;
        if self.command == "watch" {
            return watch::follow(&way, &identity, &self.words, self.json).await;
        }
        let (mut client, _) = enter(&way, &identity).await?;
        let outcome = self.ask(&mut client).await;
        client.leave().await;
        print(&outcome?)
    }

    /// What is to be printed.
    async fn ask(&self, client: &mut Client) -> anyhow::Result<String> {
        if self.command == "help" {
            let name = self.words.first();
            let commands = help(client, name.map(|name| full(name))).await?;
            return Ok(match name {
                _ if self.json => format!("{}\n", Value::Array(commands)),
                Some(_) => commands.iter().map(described).collect(),
                None => overview(&commands),
            });
        }
        let name = full(&self.command);
        let known = help(client, Some(name.clone())).await?;
        let schema = known.first().map(|command| &command["arguments"]).context("the hub explains nothing about the command")?;
        let mut members = arguments::read(&self.words, schema).map_err(|error| Misspoken(format!("{}: {error}", self.command)))?;
        if self.confirm {
            members.insert(CONFIRM.to_string(), Value::Bool(true));
        } else if schema["properties"].get(CONFIRM).is_some() && !members.contains_key(CONFIRM) {
            return Err(Misspoken(format!("{}: this is dangerous; add --confirm if it is meant", self.command)).into());
        }
        let answer = client.command(&name, Value::Object(members)).await?;
        Ok(if self.json { format!("{answer}\n") } else { shown::answer(&answer, shown::terminal_width()) })
    }

    fn target<'a>(&'a self, config: &'a Config) -> anyhow::Result<(Target, Trust<'a>)> {
        let http = &config.http_server;
        let trust = |system| self.ca.as_deref().map_or(system, Trust::Authority);
        let path = config.websocket.handler_prefix.as_str();
        if let Some(url) = &self.url {
            let target = Target::parse(url)?;
            ensure!(
                target.is_secure || target.address.ip().is_loopback(),
                "{} is another machine, and the token would go there for everybody to read: use wss://",
                target.host
            );
            return Ok((if target.has_path() { target } else { target.with_path(path) }, trust(Trust::System)));
        }
        ensure!(http.port != 0, "the configuration leaves the port open (http_server.port = 0): say where the hub is, by --url");
        let host = match http.address.trim_matches(['[', ']']) {
            "" | "0.0.0.0" => "127.0.0.1".to_string(),
            "::" => "[::1]".to_string(),
            address if address.contains(':') => format!("[{address}]"),
            address => address.to_string(),
        };
        let scheme = if http.tls.enabled { "wss" } else { "ws" };
        let target = Target::parse(&format!("{scheme}://{host}:{}{path}", http.port))?;
        // It is ours, so it need not be made out for this name.
        let certificate = &http.tls.cert_pem_file;
        let own = if certificate.is_empty() { Trust::System } else { Trust::Exactly(Path::new(certificate)) };
        Ok((target, trust(own)))
    }
}

/// The caller's name for a command as the hub has it.
fn full(name: &str) -> String {
    if name.starts_with(PREFIX) { name.to_string() } else { format!("{PREFIX}{name}") }
}

/// A connection that the hub has let in, and how long its token is good.
async fn enter(way: &Way, identity: &Identity) -> anyhow::Result<(Client, Option<std::time::Duration>)> {
    let token = identity.token()?;
    let mut client = way.connect().await?;
    let ttl = client.introduce(token.expose_secret()).await?;
    Ok((client, ttl))
}

/// What the hub says of one command, or of all that this role may use.
async fn help(client: &mut Client, name: Option<String>) -> anyhow::Result<Vec<Value>> {
    let mut answer = match client.command("admin.help", json!({ "command": name })).await {
        Err(ClientError::Refused { code: NOT_FOUND, message }) => {
            let all = client.command("admin.help", json!({})).await?;
            let names = all["commands"].as_array().into_iter().flatten().filter_map(|command| command["name"].as_str());
            let near = arguments::nearest(name.as_deref().unwrap_or_default(), names).map(short);
            let hint = near.map_or_else(|| "`aether admin help` lists them".to_string(), |near| format!("did you mean {near}?"));
            return Err(Misspoken(format!("{message}; {hint}")).into());
        }
        answer => answer?,
    };
    match answer["commands"].take() {
        Value::Array(commands) => Ok(commands),
        _ => Err(anyhow!("the hub lists no commands")),
    }
}

fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

fn text<'a>(command: &'a Value, member: &str) -> &'a str {
    command[member].as_str().unwrap_or_default()
}

/// All commands, a line each.
fn overview(commands: &[Value]) -> String {
    let row = |command: &Value| {
        let mark = if command["confirm"] == true { "!" } else { "" };
        vec![format!("  {}{mark}", shown::inert(short(text(command, "name")))), shown::inert(text(command, "summary")).into_owned()]
    };
    let table = shown::aligned(&commands.iter().map(row).collect::<Vec<_>>());
    format!("{table}\n! needs --confirm. `aether admin help COMMAND` says what a command is asked with.\n")
}

/// One command with its arguments.
fn described(command: &Value) -> String {
    let name = short(text(command, "name"));
    let mut out = format!("{}: {}\n", shown::inert(name), shown::inert(text(command, "summary")));
    let right = command["right"].as_str().map_or_else(|| "any role".to_string(), |right| format!("the right {right}"));
    let _ = writeln!(out, "Needs {}{}.", shown::inert(&right), if command["confirm"] == true { ", and --confirm" } else { "" });
    let schema = &command["arguments"];
    let is_required = |name: &str| schema["required"].as_array().is_some_and(|required| required.iter().any(|one| one == name));
    let properties = schema["properties"].as_object().into_iter().flatten().filter(|(name, _)| name.as_str() != CONFIRM);
    let rows: Vec<Vec<String>> = properties
        .map(|(name, property)| {
            let shape = match (property["type"].as_str(), property["enum"].as_array()) {
                (_, Some(words)) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"),
                (Some("boolean"), _) => String::new(),
                (Some("integer"), _) => "NUMBER".to_string(),
                (Some("string"), _) => "TEXT".to_string(),
                (Some("array"), _) => "TEXT, may be repeated".to_string(),
                _ => "JSON".to_string(),
            };
            let mark = if is_required(name) { " (required)" } else { "" };
            let option = format!("  --{} {shape}{mark}", name.replace('_', "-"));
            vec![shown::inert(option.trim_end()).into_owned(), shown::inert(property["description"].as_str().unwrap_or_default()).into_owned()]
        })
        .collect();
    if !rows.is_empty() {
        let _ = write!(out, "\nArguments:\n{}", shown::aligned(&rows));
    }
    let mut example = command["example"].clone();
    let confirm = example.as_object_mut().and_then(|members| members.remove(CONFIRM)).map_or("", |_| " --confirm");
    let words = if example.as_object().is_none_or(serde_json::Map::is_empty) { String::new() } else { format!(" '{example}'") };
    let _ = writeln!(out, "\nExample:\n  aether admin {}{}{confirm}", shown::inert(name), shown::inert(&words));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::commands;
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    fn parsed(words: &[&str]) -> Admin {
        match Cli::parse_from([&["aether", "admin"], words].concat()).command {
            crate::cli::Command::Admin(mut admin) => {
                admin.settle().unwrap();
                *admin
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_are_known_wherever_they_stand_and_all_other_words_are_the_commands() {
        let admin = parsed(&["sessions.kick", "--user", "alice", "--json", "--reason=go now", "--confirm", "{}", "--url", "ws://127.0.0.1:1"]);
        assert_eq!(admin.words, ["--user", "alice", "--reason=go now", "{}"]);
        assert!(admin.json && admin.confirm && admin.url.is_some());
        assert_eq!(parsed(&["--json", "status"]).command, "status");
        assert_eq!(parsed(&["watch", "trace", "--user", "a"]).words, ["trace", "--user", "a"]);
        let admin = parsed(&["--set", "log.level=warn", "x", "--a=b", "--set=node.name=n", "-c", "f.toml", "--token-file=t", "--ca", "c"]);
        assert_eq!((admin.words.len(), admin.config.overrides.len()), (1, 2));
        let paths = [admin.config.config, admin.token_file, admin.ca].map(|path| path.unwrap().display().to_string());
        assert_eq!(paths, ["f.toml", "t", "c"]);
        let asked = parsed(&["sessions.kick", "--user", "x", "--help"]);
        assert_eq!((asked.command.as_str(), asked.words), ("help", vec!["sessions.kick".to_string()]));
    }

    /// Every option of the command line is looked for among the words too.
    #[test]
    fn no_option_is_forgotten() {
        let cli = Cli::command();
        for option in cli.find_subcommand("admin").expect("it is there").get_arguments().filter_map(|option| option.get_long()) {
            let admin = parsed(&["status", &format!("--{option}"), "a=b"]);
            assert!(admin.words.len() <= 1 && !admin.words.iter().any(|word| word.contains(option)), "{option}: {:?}", admin.words);
        }
    }

    /// An argument of a command with the name of an option could not be given.
    #[test]
    fn no_argument_of_a_command_has_the_name_of_an_option() {
        let cli = Cli::command();
        let admin = cli.find_subcommand("admin").expect("it is there");
        let options: Vec<&str> = admin.get_arguments().filter_map(|option| option.get_long()).collect();
        assert!(options.contains(&"json") && options.contains(&"config"), "{options:?}");
        for command in commands::all() {
            for argument in (command.table)() {
                assert!(!options.contains(&argument.name.replace('_', "-").as_str()), "{} {}", command.name, argument.name);
            }
        }
    }

    #[test]
    fn help_is_made_of_what_the_hub_says() {
        let kick = commands::help_of(commands::find("admin.drain").expect("a command"));
        let said = described(&kick);
        assert!(said.starts_with("drain: Sends all clients away") && said.contains("the right maintenance, and --confirm"), "{said}");
        assert!(said.contains("--within TEXT") && said.contains("aether admin drain '{\"within\":\"60s\"}' --confirm"), "{said}");
        let all: Vec<Value> = commands::all().iter().map(|command| commands::help_of(command)).collect();
        let said = overview(&all);
        assert!(said.contains("\n  drain!") && said.contains("\n  sessions.list "), "{said}");
    }

    #[test]
    fn the_hub_is_where_the_configuration_says() {
        let at = |options: &[&str]| {
            let mut config = Config::default();
            for option in options {
                match option.split_once('=') {
                    Some(("address", value)) => config.http_server.address = value.to_string(),
                    Some(("port", value)) => config.http_server.port = value.parse().unwrap(),
                    _ => config.http_server.tls.enabled = true,
                }
            }
            let admin = parsed(&["status"]);
            admin.target(&config).map(|(target, _)| format!("{} {}", target.host, target.is_secure)).map_err(|error| error.to_string())
        };
        assert_eq!(at(&["address=", "port=8000"]).unwrap(), "127.0.0.1:8000 false");
        assert_eq!(at(&["address=0.0.0.0", "port=80"]).unwrap(), "127.0.0.1:80 false");
        assert_eq!(at(&["address=::", "port=80"]).unwrap(), "[::1]:80 false");
        assert_eq!(at(&["address=127.0.0.2", "port=80", "tls"]).unwrap(), "127.0.0.2:80 true");
        assert!(at(&["port=0"]).unwrap_err().contains("--url"));
        let config = Config::default();
        let elsewhere = parsed(&["status", "--url", "ws://192.0.2.1:8000"]);
        assert!(elsewhere.target(&config).err().is_some_and(|error| error.to_string().contains("use wss://")));
        let own = parsed(&["status", "--url", "http://127.0.0.1:8000"]);
        assert_eq!(own.target(&config).unwrap().0.path_for(""), "/connection/websocket");
    }
}
