//! What accounts need of rooms behind theirs: the connections that a login has let in, and a place where comings and goings are written down.

use crate::admin::audit::{Act, Audit};
use crate::auth::accounts::{Journal, LOGIN_REFUSED, LiveSession, LiveSessions, Note};
use crate::channel::UserId;
use crate::protocol::codes::Disconnect;
use crate::session::Disconnected;
use crate::session::hub::{Found, Hub};
use crate::store::LoginId;
use std::sync::Arc;

/// The connections of this node.
pub struct HubLogins(pub Arc<Hub>);

impl HubLogins {
    fn of(&self, user: &UserId, logins: &[LoginId]) -> impl Iterator<Item = Found> {
        self.0.of_user(user).into_iter().filter(|found| found.facts.credentials().login.is_some_and(|login| logins.contains(&login)))
    }
}

impl LiveSessions for HubLogins {
    fn close(&self, user: &UserId, logins: &[LoginId]) {
        for found in self.of(user, logins) {
            found.addr.do_send(Disconnected::because(Disconnect::INVALID_TOKEN));
        }
    }

    fn renew(&self, user: &UserId) {
        // Only those whom the hub's own tokens let in: what an application's token says has not changed.
        for found in self.0.of_user(user).into_iter().filter(|found| found.facts.credentials().login.is_some()) {
            found.addr.do_send(Disconnected::because(Disconnect::INSUFFICIENT_STATE));
        }
    }

    fn of_login(&self, user: &UserId, login: LoginId) -> Vec<LiveSession> {
        let logins = [login];
        let live = self.of(user, &logins).map(|Found { facts, .. }| LiveSession {
            client: facts.session,
            transport: facts.peer.transport.as_str(),
            address: facts.peer.address.to_string(),
            since: facts.since_wall_ms,
        });
        live.collect()
    }
}

/// The audit log.
pub struct AuditJournal(pub Audit);

impl Journal for AuditJournal {
    fn note(&self, note: Note) {
        let Note { actor, origin, action, object, details } = note;
        let is_refusal = action == LOGIN_REFUSED;
        let act = Act { actor, origin: format!("{origin} http"), action: action.to_string(), object, details };
        // Whoever guesses does it often, and the log has better things to keep: of such, the first are recorded, and how many more there were.
        if is_refusal { self.0.refused_later(act) } else { self.0.note_later(act) }
    }
}
