//! `aether user`: accounts, on the store itself, whether a hub runs on it or not.

use super::recorded::recorded;
use super::{ConfigArgs, print};
use crate::app::settings;
use crate::auth::accounts::{AccountError, NewUser, UserInfo, Users, user_name};
use crate::auth::passwords::{Keeper, generated};
use crate::auth::{Grants, Role};
use crate::channel::UserId;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::{self, Store};
use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Users that are read at once when all are listed.
const PAGE: usize = 500;

/// Bytes of a password that are read from standard input; a longer one is refused.
const INPUT_BYTES_MAX: u64 = 4_096;

/// Accounts: add, list, change and remove users
///
/// Works on the store that the configuration names, beside a running hub or without one. A running hub notices a changed role or grants when a
/// client next gets a token (`accounts.token_ttl`), and an ended login likewise. A password is asked for on the terminal, or read from standard
/// input (its first line) when that is no terminal; it is never an argument, since everybody on the machine can see those.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct User {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  aether user add alice --role admin --config aether.toml
  aether user add bot --role publisher --grants '{\"chat\":[\"subscribe\",\"publish\"]}' --generate
  printf '%s' \"$PASSWORD\" | aether user set-password alice
  aether user list

Roles, each with the rights of those before it: viewer (looks), publisher (publishes where it is subscribed), operator (steers the running hub),
admin (users, keys, configuration, audit log).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user
    Add(Add),
    /// List all users
    List(List),
    /// Set a user's password, and end all its logins
    SetPassword(SetPassword),
    /// Set a user's role
    SetRole(SetRole),
    /// Set what a user may do in namespaces beyond what they allow everybody
    SetGrants(SetGrants),
    /// Remove a user with all its logins
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Add {
    /// 1 to 64 of a-z, 0-9 and ._@+-
    name: String,
    /// viewer, publisher, operator or admin
    #[arg(long, default_value = "viewer", value_parser = parse_role)]
    role: Role,
    /// Rights in namespaces: {"chat":["subscribe","publish","history","presence"]}; "*" is every namespace
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = parse_grants)]
    grants: Grants,
    /// Make a password and print it, once
    #[arg(long)]
    generate: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct SetPassword {
    /// The user
    name: String,
    /// Make a password and print it, once
    #[arg(long)]
    generate: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct SetRole {
    /// The user
    name: String,
    /// viewer, publisher, operator or admin
    #[arg(value_parser = parse_role)]
    role: Role,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct SetGrants {
    /// The user
    name: String,
    /// Rights in namespaces: {"chat":["subscribe","publish","history","presence"]}; {} for none
    #[arg(value_name = "JSON", value_parser = parse_grants)]
    grants: Grants,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct Remove {
    /// The user
    name: String,
    #[command(flatten)]
    config: ConfigArgs,
}

fn parse_role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| format!("roles are {}", Role::ALL.map(Role::as_str).join(", ")))
}

fn parse_grants(text: &str) -> Result<Grants, String> {
    Grants::parse(text).map_err(|error| error.to_string())
}

impl User {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = match &self.command {
            Command::Add(Add { config, .. })
            | Command::List(List { config })
            | Command::SetPassword(SetPassword { config, .. })
            | Command::SetRole(SetRole { config, .. })
            | Command::SetGrants(SetGrants { config, .. })
            | Command::Remove(Remove { config, .. }) => config.load()?.config,
        };
        actix::System::new().block_on(self.command.carry_out(&config))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Command {
    async fn carry_out(self, config: &Config) -> anyhow::Result<()> {
        let accounts = Offline::open(config).await?;
        let outcome = self.on(&accounts).await;
        accounts.store.close().await.context("the store was not closed in time")?;
        outcome
    }

    async fn on(self, accounts: &Offline) -> anyhow::Result<()> {
        match self {
            Self::Add(Add { name, role, grants, generate, .. }) => {
                let password = password(generate)?;
                let user = accounts.add(&name, &password, role, &grants).await?;
                eprintln!("added {}, {}", user.name, user.role);
                show(generate, &password)
            }
            Self::List(_) => accounts.list().await,
            Self::SetPassword(SetPassword { name, generate, .. }) => {
                let name = known_name(&name)?;
                // Asked first: nobody should type a password for a user that is not there.
                accounts.find(&name).await?;
                let password = password(generate)?;
                let ended = accounts.set_password(&name, &password).await?;
                eprintln!("set the password of {name}; {ended} logins ended");
                show(generate, &password)
            }
            Self::SetRole(SetRole { name, role, .. }) => {
                let name = known_name(&name)?;
                let setting = async { Ok(accounts.users.set_role(&name, role).await?) };
                let user = recorded(&accounts.store, "user.role", name.as_str(), json!({ "role": role.as_str() }), setting).await?;
                eprintln!("{} is {role}", user.name);
                Ok(())
            }
            Self::SetGrants(SetGrants { name, grants, .. }) => {
                let name = known_name(&name)?;
                let setting = async { Ok(accounts.users.set_grants(&name, &grants).await?) };
                let user = recorded(&accounts.store, "user.grants", name.as_str(), json!({ "grants": grants }), setting).await?;
                eprintln!("{} is granted {}", user.name, grants.to_json());
                Ok(())
            }
            Self::Remove(Remove { name, .. }) => {
                let name = known_name(&name)?;
                let removing = async { Ok(accounts.users.remove(&name).await?) };
                let ended = recorded(&accounts.store, "user.remove", name.as_str(), Value::Null, removing).await?;
                eprintln!("removed {name}; {} logins ended", ended.len());
                Ok(())
            }
        }
    }
}

/// Accounts without a hub around them.
pub(super) struct Offline {
    store: Arc<dyn Store>,
    users: Users,
    keeper: Keeper,
}

impl Offline {
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let store = store::open(&config.store, Path::new(&config.data_dir)).await?;
        let keeper = Keeper::new(&settings::passwords(config)).context("accounts.password")?;
        Ok(Self { users: Users::new(Arc::clone(&store), Clock::system()), store, keeper })
    }

    async fn add(&self, name: &str, password: &SecretString, role: Role, grants: &Grants) -> anyhow::Result<UserInfo> {
        let new = NewUser::new(name, password, role, grants)?;
        let hash = self.keeper.hash(password)?;
        // What was typed may not be a name at all; this one is.
        let name = known_name(name)?;
        let details = json!({ "role": role.as_str(), "grants": grants });
        recorded(&self.store, "user.add", name.as_str(), details, async { Ok(self.users.add(new, hash).await?) }).await
    }

    async fn set_password(&self, name: &UserId, password: &SecretString) -> anyhow::Result<usize> {
        let hash = self.keeper.hash(password)?;
        let setting = async { Ok(self.users.set_password(name, hash).await?.len()) };
        recorded(&self.store, "user.password", name.as_str(), Value::Null, setting).await
    }

    async fn find(&self, name: &UserId) -> anyhow::Result<()> {
        match self.store.user(name).await.context("the store cannot be asked")? {
            Some(_) => Ok(()),
            None => Err(AccountError::NoSuchUser { name: name.clone() }.into()),
        }
    }

    async fn list(&self) -> anyhow::Result<()> {
        let mut after = None;
        let mut is_first = true;
        loop {
            let page = self.users.list(after.as_ref(), PAGE).await?;
            if page.is_empty() {
                if is_first {
                    eprintln!("there are no users yet; `aether user add NAME --role admin` makes the first one");
                }
                return Ok(());
            }
            let mut text = if is_first { format!("{:<32}{:<12}{}\n", "name", "role", "grants") } else { String::new() };
            for user in &page {
                let grants = if user.grants.is_empty() { String::new() } else { user.grants.to_json() };
                let _ = writeln!(text, "{}", format!("{:<32}{:<12}{grants}", user.name.as_str(), user.role.as_str()).trim_end());
            }
            print(&text)?;
            is_first = false;
            after = page.last().map(|user| user.name.clone());
        }
    }

    /// Makes the administrator of a hub that is being tried out, if there are no users at all. Its password is told this once.
    pub(super) async fn first_admin(config: &Config, name: &str) -> anyhow::Result<Option<SecretString>> {
        let accounts = Self::open(config).await?;
        let made = async {
            if !accounts.users.is_empty().await? {
                return Ok(None);
            }
            let password = generated();
            accounts.add(name, &password, Role::Admin, &Grants::NONE).await?;
            Ok(Some(password))
        };
        let outcome = made.await;
        accounts.store.close().await.context("the store was not closed in time")?;
        outcome
    }
}

/// A name as users have them.
fn known_name(typed: &str) -> anyhow::Result<UserId> {
    user_name(typed).ok_or_else(|| AccountError::BadName.into())
}

/// A generated password goes to standard output, and nothing else does.
fn show(is_generated: bool, password: &SecretString) -> anyhow::Result<()> {
    if is_generated {
        eprintln!("its password, which is shown only now:");
        print(&format!("{}\n", password.expose_secret()))?;
    }
    Ok(())
}

fn password(generate: bool) -> anyhow::Result<SecretString> {
    if generate {
        return Ok(generated());
    }
    if !std::io::stdin().is_terminal() {
        return first_line(std::io::stdin().lock());
    }
    let one = typed("Password: ")?;
    let two = typed("The same again: ")?;
    if one.expose_secret() != two.expose_secret() {
        bail!("the two are not the same");
    }
    Ok(one)
}

/// The first line, without its end.
fn first_line(input: impl BufRead) -> anyhow::Result<SecretString> {
    let mut line = Vec::new();
    input.take(INPUT_BYTES_MAX).read_until(b'\n', &mut line).context("cannot read standard input")?;
    let text = String::from_utf8(line).map_err(|_| anyhow!("the password is not UTF-8"))?;
    Ok(SecretString::from(text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r')))
}

/// A line of the terminal that is not shown while it is typed.
fn typed(prompt: &str) -> anyhow::Result<SecretString> {
    eprint!("{prompt}");
    let _ = std::io::stderr().flush();
    let line = {
        let _quiet = WithoutEcho::begin()?;
        first_line(std::io::stdin().lock())
    };
    eprintln!();
    line
}

/// The terminal of standard input without echo; as it was when this is dropped.
struct WithoutEcho(libc::termios);

impl WithoutEcho {
    fn begin() -> anyhow::Result<Self> {
        // SAFETY: termios is plain numbers, for which all zeros is a value, and both calls are given the address of a whole one.
        unsafe {
            let mut before: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(libc::STDIN_FILENO, &raw mut before) != 0 {
                return Err(std::io::Error::last_os_error()).context("cannot ask the terminal");
            }
            let mut quiet = before;
            quiet.c_lflag &= !libc::ECHO;
            if libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, &raw const quiet) != 0 {
                return Err(std::io::Error::last_os_error()).context("cannot switch off the terminal's echo");
            }
            Ok(Self(before))
        }
    }
}

impl Drop for WithoutEcho {
    fn drop(&mut self) {
        // SAFETY: the address of a whole termios, as it was given to us.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, &raw const self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_the_input() {
        for (input, password) in [
            (&b"correct horse"[..], "correct horse"),
            (b"correct horse\n", "correct horse"),
            (b"correct horse\r\nmore\n", "correct horse"),
            (b" two blanks  \n", " two blanks  "),
            (b"", ""),
        ] {
            assert_eq!(first_line(input).unwrap().expose_secret(), password);
        }
        assert!(first_line(&b"\xff\xfe"[..]).is_err());
    }
}
