//! Which looks are worth a record of their own: the first of a connection, and after that one every [`AGAIN_AFTER_MS`].
//!
//! A page that shows a list asks for it every few seconds. Recording each time that it is still looking would bury what people did, and
//! wear out the store. Deliberately absent: anything that changes something; that is recorded every time.

use crate::channel::SessionId;
use crate::clock::Millis;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The same look by the same connection is recorded again after this.
pub const AGAIN_AFTER_MS: Millis = 10 * 60 * 1_000;

/// Looks that are remembered. Beyond it all are forgotten, and recorded once more.
const REMEMBERED_MAX: usize = 4_096;

/// Arguments that choose a part of what is looked at, and not what is looked at.
const PARTS: [&str; 7] = ["after", "limit", "skip", "sort", "descending", "from", "to"];

#[derive(Debug, Default)]
pub struct Looks(HashMap<(SessionId, String), Millis>);

impl Looks {
    /// Whether `session` has not asked `method` about the same thing for a while.
    pub fn is_news(&mut self, session: SessionId, method: &str, arguments: &Value, now: Millis) -> bool {
        let what = match arguments {
            Value::Object(members) => {
                let members: Map<_, _> =
                    members.iter().filter(|(name, _)| !PARTS.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect();
                format!("{method} {}", Value::Object(members))
            }
            other => format!("{method} {other}"),
        };
        let key = (session, what);
        if self.0.get(&key).is_some_and(|at| now.saturating_sub(*at) < AGAIN_AFTER_MS) {
            return false;
        }
        if self.0.len() >= REMEMBERED_MAX {
            self.0.retain(|_, at| now.saturating_sub(*at) < AGAIN_AFTER_MS);
            if self.0.len() >= REMEMBERED_MAX {
                self.0.clear();
            }
        }
        self.0.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_look_is_news_once_in_a_while_and_another_one_at_once() {
        let mut looks = Looks::default();
        let (one, other) = (SessionId::random(), SessionId::random());
        let cases = [
            (one, "admin.sessions.list", json!({}), 0, true),
            (one, "admin.sessions.list", json!({}), 1, false),
            (one, "admin.sessions.list", json!({ "after": "x", "limit": 5, "skip": 3, "sort": "user" }), 2, false),
            (one, "admin.sessions.list", json!({ "user": "alice" }), 3, true),
            (one, "admin.sessions.list", json!({ "user": "alice", "limit": 9 }), 4, false),
            (other, "admin.sessions.list", json!({}), 5, true),
            (one, "admin.channels.list", json!({}), 6, true),
            (one, "admin.sessions.list", json!({}), AGAIN_AFTER_MS - 1, false),
            (one, "admin.sessions.list", json!({}), AGAIN_AFTER_MS, true),
        ];
        for (session, method, arguments, now, expected) in cases {
            assert_eq!(looks.is_news(session, method, &arguments, now), expected, "{method} {arguments} at {now}");
        }
    }

    #[test]
    fn however_much_is_looked_at_only_so_much_is_remembered() {
        let mut looks = Looks::default();
        let session = SessionId::random();
        for n in 0..3 * REMEMBERED_MAX {
            assert!(looks.is_news(session, "admin.sessions.find", &json!({ "text": n.to_string() }), 0));
            assert!(looks.0.len() <= REMEMBERED_MAX);
        }
    }
}
