//! The commands, one file a family: each says its name, the right that it needs, what it is asked with, and does it.
//!
//! Called by the actor after `gate` has judged the caller, the arguments have been read and the audit log knows. A command looks into rooms
//! or tells their actors; it decides nothing about rights.

mod alerts;
mod audit;
mod bans;
mod broadcast;
mod channels;
mod config;
mod debug;
mod help;
mod history;
mod keys;
mod log;
mod maintenance;
mod metrics;
mod nodes;
mod reports;
mod secrets;
mod sessions;
mod settings;
mod status;
mod store;
mod trace;
mod upstream;
mod users;

pub use help::described as help_of;
pub use upstream::listed as feeds_of;

use super::arguments::{Argument, BadArgument, Members};
use super::desk::Desk;
use crate::auth::Right;
use crate::protocol::codes::ErrorCode;
use crate::session::procedures::{CallError, Caller};
use crate::store::StoreError;
use serde_json::Value;
use std::cmp::Ordering;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

/// What a command does to the hub, and so how it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing, and it is answered even when the audit log cannot be written: whoever looks for the reason needs it.
    Looks,
    /// Nothing; recorded before it is answered.
    Reads,
    /// Something; recorded before and after.
    Changes,
    /// Like the one before, and `confirm` is needed.
    Endangers,
}

impl Effect {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Looks => "looks",
            Self::Reads => "reads",
            Self::Changes => "changes",
            Self::Endangers => "endangers",
        }
    }
}

/// One command: what help says of it, and how it is done.
pub struct Command {
    /// `admin.<family>.<verb>`.
    pub name: &'static str,
    /// `None`: any role will do.
    pub right: Option<Right>,
    pub effect: Effect,
    pub summary: &'static str,
    /// Arguments of a call that makes sense, as JSON.
    pub example: &'static str,
    /// The argument that names what it is done to, for the audit log; may be empty.
    pub object: &'static str,
    pub table: fn() -> Vec<Argument>,
    pub prepare: fn(Members) -> Result<Prepared, BadArgument>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The member of an answer that holds what is told once: a password, a key. An object, as the audit log takes no objects out of answers.
pub const ONCE: &str = "once";

/// A command with its arguments, ready to be done.
pub type Prepared = Box<dyn FnOnce(Arc<Desk>, Caller) -> Running>;
pub type Running = Pin<Box<dyn Future<Output = Result<Value, Failure>>>>;

/// Declares a family: for each command name, right, effect, object, summary, example, arguments and the function that does it.
macro_rules! commands {
    ($($name:literal $right:expr, $effect:ident, $object:literal, $Arguments:ty, $run:path, $example:literal, $summary:literal;)*) => {
        pub(super) const COMMANDS: &[$crate::admin::commands::Command] = &[$($crate::admin::commands::Command {
            name: $name,
            right: $right,
            effect: $crate::admin::commands::Effect::$effect,
            summary: $summary,
            example: $example,
            object: $object,
            table: <$Arguments as $crate::admin::arguments::Arguments>::table,
            prepare: |members| {
                let arguments = <$Arguments as $crate::admin::arguments::Arguments>::read(members)?;
                Ok(Box::new(move |desk, caller| Box::pin($run(desk, caller, arguments))))
            },
        },)*];
    };
}
use commands;

/// Why a command could not be done, though it was allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    NotFound(String),
    /// Arguments that are each good and make no sense together, or now.
    #[error("{0}")]
    Bad(String),
    #[error("{0}")]
    TooMany(String),
    /// This hub is not set up for it.
    #[error("{0}")]
    NotAvailable(String),
    /// The role has the right, and not for this one.
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Failed(String),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        let code = match &failure {
            Failure::NotFound(_) => ErrorCode::NOT_FOUND,
            Failure::Bad(_) => ErrorCode::BAD_REQUEST,
            Failure::TooMany(_) => ErrorCode::LIMIT_EXCEEDED,
            Failure::NotAvailable(_) => ErrorCode::NOT_AVAILABLE,
            Failure::Denied(_) => ErrorCode::PERMISSION_DENIED,
            Failure::Failed(_) => ErrorCode::INTERNAL,
        };
        Self::new(code, failure.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// All of them, by name.
static ALL: LazyLock<Vec<&'static Command>> = LazyLock::new(|| {
    let families: [&[Command]; 23] = [
        alerts::COMMANDS,
        audit::COMMANDS,
        bans::COMMANDS,
        broadcast::COMMANDS,
        channels::COMMANDS,
        config::COMMANDS,
        debug::COMMANDS,
        help::COMMANDS,
        history::COMMANDS,
        keys::COMMANDS,
        log::COMMANDS,
        maintenance::COMMANDS,
        metrics::COMMANDS,
        nodes::COMMANDS,
        reports::COMMANDS,
        secrets::COMMANDS,
        sessions::COMMANDS,
        settings::COMMANDS,
        status::COMMANDS,
        store::COMMANDS,
        trace::COMMANDS,
        upstream::COMMANDS,
        users::COMMANDS,
    ];
    let mut all: Vec<_> = families.into_iter().flatten().collect();
    all.sort_unstable_by_key(|command| command.name);
    all
});

pub fn all() -> &'static [&'static Command] {
    &ALL
}

/// What stands behind the first `skip` of `all` in an order, `limit` of them at most. Only these are sorted; of the rest it is enough to know on
/// which side of them they are.
fn part_of<T>(mut all: Vec<T>, skip: usize, limit: usize, mut compare: impl FnMut(&T, &T) -> Ordering) -> Vec<T> {
    if skip >= all.len() {
        return Vec::new();
    }
    all.select_nth_unstable_by(skip, &mut compare);
    let mut part = all.split_off(skip);
    if limit < part.len() {
        part.select_nth_unstable_by(limit, &mut compare);
        part.truncate(limit);
    }
    part.sort_unstable_by(compare);
    part
}

pub fn find(name: &str) -> Option<&'static Command> {
    ALL.binary_search_by_key(&name, |command| command.name).ok().map(|index| ALL[index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::arguments::{CONFIRM, schema};
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn a_part_is_what_stands_there_in_the_sorted_whole(
            numbers in proptest::collection::vec(any::<u8>(), 0..60),
            skip in prop_oneof![0usize..70, Just(usize::MAX)],
            limit in 1usize..20,
        ) {
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            let expected: Vec<u8> = sorted.into_iter().skip(skip).take(limit).collect();
            prop_assert_eq!(part_of(numbers, skip, limit, u8::cmp), expected);
        }
    }

    #[test]
    fn every_command_says_what_it_is() {
        for (index, command) in all().iter().enumerate() {
            let name = command.name;
            assert!(index == 0 || all()[index - 1].name < name, "{name} stands once");
            assert_eq!(find(name), Some(*command));
            assert!(name.starts_with("admin.") && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte)), "{name}");
            assert!(command.summary.ends_with('.') && command.summary.len() < 200, "{name}: {}", command.summary);
            let table = (command.table)();
            assert!(command.object.is_empty() || table.iter().any(|argument| argument.name == command.object), "{name}: {}", command.object);
            for argument in &table {
                assert!(argument.help.ends_with('.'), "{name}: {} is explained: {}", argument.name, argument.help);
                assert_ne!(argument.name, CONFIRM);
            }
        }
        assert_eq!(find("admin.nothing"), None);
        assert_eq!(find("admin.backup.now"), None, "there are no backups yet");
    }

    /// The table of the documentation, line by line: what there is, from which role on, by which right.
    #[test]
    fn the_documentation_lists_every_command_and_no_other() {
        let documentation = include_str!("../../../docs/admin.md");
        let listed: Vec<&str> =
            documentation.lines().skip_while(|line| !line.starts_with("| command |")).skip(2).take_while(|line| line.starts_with('|')).collect();
        let expected: Vec<String> = all()
            .iter()
            .map(|command| {
                let name = command.name.strip_prefix("admin.").unwrap_or(command.name);
                let mark = if command.effect == Effect::Endangers { " !" } else { "" };
                let (role, right) = command.right.map_or(("any", "any role".to_string()), |right| (right.role().as_str(), format!("`{right}`")));
                format!("| `{name}`{mark} | {role} | {right} | {} |", command.summary)
            })
            .collect();
        assert_eq!(listed, expected, "docs/admin.md, Commands");
    }

    /// The example in the help is good by the schema and by the parser; what neither knows is refused by both.
    #[test]
    fn examples_schemas_and_parsers_agree() {
        for command in all() {
            let needs_confirm = command.effect == Effect::Endangers;
            let table = (command.table)();
            let validator = jsonschema::validator_for(&schema(&table, needs_confirm)).unwrap_or_else(|error| panic!("{}: {error}", command.name));
            let example: Value = serde_json::from_str(command.example).unwrap_or_else(|error| panic!("{}: {error}", command.name));
            assert!(validator.is_valid(&example), "{}: {example}", command.name);
            let Value::Object(mut members) = example.clone() else { panic!("{}: {example} is no object", command.name) };
            assert_eq!(members.remove(CONFIRM).is_some(), needs_confirm, "{}", command.name);
            assert!((command.prepare)(members.clone()).is_ok(), "{}: {members:?}", command.name);
            members.insert("surely_not_there".to_string(), json!(1));
            let refused = (command.prepare)(members.clone()).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains("surely_not_there"), "{}: {refused}", command.name);
            assert!(!validator.is_valid(&Value::Object(members)), "{}", command.name);
            for argument in table.iter().filter(|argument| argument.is_required) {
                let Value::Object(mut members) = example.clone() else { continue };
                members.remove(CONFIRM);
                members.remove(argument.name);
                let refused = (command.prepare)(members).err().map(|error| error.to_string()).unwrap_or_default();
                assert!(refused.contains(argument.name), "{} without {}: {refused}", command.name, argument.name);
            }
        }
    }
}
