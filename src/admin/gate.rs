//! Who may do what: the one place that compares a caller's role with what a command or a channel of the hub's own needs.
//!
//! Called by the actor for every call and by the port for every subscribe. Pure; what it decides is recorded by its callers.

use super::arguments::BadArgument;
use super::commands::Command;
use crate::auth::{Right, Role};
use crate::channel::SessionId;
use crate::metrics::{ALERTS, FEEDS, OVERVIEW};
use crate::protocol::codes::ErrorCode;
use crate::session::procedures::CallError;
use crate::telemetry::tap::Tap;

/// Events of the house.
pub const EVENTS: &str = "$admin:events";
/// Every record of the audit log.
pub const AUDIT: &str = "$admin:audit";
/// The entries of one trace stand in the channel of this name with the trace's number behind it.
pub const TRACE_PREFIX: &str = "$admin:trace:";

/// Why a call is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("there is no command {0}; admin.help lists those that there are")]
    Unknown(String),
    #[error("this needs a role, and the token gives none")]
    NoRole,
    #[error("the role {role} does not have the right {right}")]
    Right { role: Role, right: Right },
    #[error(transparent)]
    Arguments(#[from] BadArgument),
    #[error("too many commands are being carried out")]
    TooMany,
}

impl From<&Refused> for CallError {
    fn from(refused: &Refused) -> Self {
        let code = match refused {
            Refused::Unknown(_) => ErrorCode::METHOD_NOT_FOUND,
            Refused::NoRole | Refused::Right { .. } => ErrorCode::PERMISSION_DENIED,
            Refused::Arguments(_) => ErrorCode::BAD_REQUEST,
            Refused::TooMany => ErrorCode::TOO_MANY_REQUESTS,
        };
        Self::new(code, refused.to_string())
    }
}

/// Whether a caller with this role may have the command carried out. Whoever has no role is not even told which commands there are.
pub fn may_call(role: Option<Role>, command: Option<&'static Command>, name: &str) -> Result<&'static Command, Refused> {
    let role = role.ok_or(Refused::NoRole)?;
    let command = command.ok_or_else(|| Refused::Unknown(name.chars().take(64).collect()))?;
    match command.right {
        Some(right) if !role.has(right) => Err(Refused::Right { role, right }),
        _ => Ok(command),
    }
}

/// Whether a caller may follow one of the hub's own channels.
pub fn may_watch(role: Option<Role>, session: SessionId, channel: &str, tap: &Tap) -> bool {
    let has = |right| role.is_some_and(|role| role.has(right));
    match channel {
        EVENTS => has(Right::SessionsRead),
        AUDIT => has(Right::AuditRead),
        ALERTS | OVERVIEW | FEEDS => has(Right::MetricsRead),
        _ => match channel.strip_prefix(TRACE_PREFIX).and_then(|id| id.parse().ok()) {
            Some(id) => has(Right::DebugTrace) && tap.is_owner(id, session),
            None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::commands;
    use crate::telemetry::tap::Target;

    /// Every command with every role: the table of rights decides, and nothing else.
    #[test]
    fn every_command_is_open_to_the_roles_that_have_its_right_and_to_no_others() {
        for command in commands::all() {
            assert_eq!(may_call(None, Some(command), command.name), Err(Refused::NoRole).map(|()| *command), "{}", command.name);
            for role in Role::ALL {
                let expected = command.right.is_none_or(|right| role.has(right));
                assert_eq!(may_call(Some(role), Some(command), command.name).is_ok(), expected, "{} {role}", command.name);
            }
        }
        assert_eq!(may_call(None, None, "admin.nothing"), Err(Refused::NoRole), "a stranger learns nothing");
        assert!(matches!(may_call(Some(Role::Viewer), None, "admin.nothing"), Err(Refused::Unknown(_))));
    }

    #[test]
    fn own_channels_are_open_by_role_and_traces_to_their_owner() {
        let tap = Tap::for_tests();
        let (owner, other) = (SessionId::random(), SessionId::random());
        tap.begin(7, Target::Channel("news".to_string()), owner, false).unwrap();
        let cases = [
            (EVENTS, owner, [false, true, true, true, true]),
            (AUDIT, owner, [false, false, false, false, true]),
            (ALERTS, owner, [false, true, true, true, true]),
            (OVERVIEW, owner, [false, true, true, true, true]),
            (FEEDS, owner, [false, true, true, true, true]),
            ("$metrics:", owner, [false; 5]),
            ("$metrics:overview:x", owner, [false; 5]),
            ("$admin:trace:7", owner, [false, false, false, true, true]),
            ("$admin:trace:7", other, [false; 5]),
            ("$admin:trace:8", owner, [false; 5]),
            ("$admin:trace:", owner, [false; 5]),
            ("$admin:trace:+7", other, [false; 5]),
            ("$admin:", owner, [false; 5]),
            ("$admin:eventsx", owner, [false; 5]),
            ("$admin:EVENTS", owner, [false; 5]),
        ];
        for (channel, session, expected) in cases {
            let roles = [None, Some(Role::Viewer), Some(Role::Publisher), Some(Role::Operator), Some(Role::Admin)];
            assert_eq!(roles.map(|role| may_watch(role, session, channel, &tap)), expected, "{channel}");
        }
    }
}
