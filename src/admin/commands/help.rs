//! `admin.help`: what there is.

use super::{Command, Effect, Failure, all, commands};
use crate::admin::arguments::{arguments, schema};
use crate::admin::desk::Desk;
use crate::session::procedures::Caller;
use serde_json::{Value, json};
use std::sync::Arc;

commands! {
    "admin.help" None, Looks, "command", Help, help, r#"{"command":"admin.sessions.kick"}"#,
        "Lists the commands that the caller may use, with their arguments as JSON Schema.";
}

arguments! {
    Help {
        /// Only this command.
        command: Option<String>,
    }
}

async fn help(_: Arc<Desk>, caller: Caller, Help { command }: Help) -> Result<Value, Failure> {
    let may = |one: &Command| one.right.is_none_or(|right| caller.role.is_some_and(|role| role.has(right)));
    let listed: Vec<Value> =
        all().iter().filter(|one| may(one) && command.as_deref().is_none_or(|name| one.name == name)).map(|one| described(one)).collect();
    match command {
        Some(name) if listed.is_empty() => Err(Failure::NotFound(format!("there is no command {name} that you may use"))),
        _ => Ok(json!({ "commands": listed })),
    }
}

/// A command as help and the documentation have it.
pub fn described(command: &Command) -> Value {
    json!({
        "name": command.name,
        "summary": command.summary,
        "right": command.right.map(|right| right.as_str()),
        "effect": command.effect.as_str(),
        "confirm": command.effect == Effect::Endangers,
        "arguments": schema(&(command.table)(), command.effect == Effect::Endangers),
        "example": serde_json::from_str::<Value>(command.example).unwrap_or_default(),
    })
}
