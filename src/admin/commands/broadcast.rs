//! `admin.broadcast`: a notice to people, past all channels. The page shows it; any client of the protocol gets it as a message.

use super::{Failure, commands};
use crate::admin::arguments::{Level, Pattern, Words, arguments};
use crate::admin::desk::Desk;
use crate::auth::{Right, Role};
use crate::channel::{SessionId, UserId};
use crate::session::Told;
use crate::session::hub::SessionQuery;
use crate::session::procedures::Caller;
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Sessions that are told at one time.
const TURN: usize = 256;

/// Time for all of them to take it. Those that take longer still get it, and are not counted.
const TELL_MAX: Duration = Duration::from_secs(10);

commands! {
    "admin.broadcast" Some(Right::Broadcast), Changes, "text", Notice, broadcast, r#"{"level":"warning","text":"The hub restarts at noon."}"#,
        "Sends a notice to all clients, or to those of a user, role or session, or subscribed to channels like a pattern.";
}

arguments! {
    Notice {
        /// What it says.
        text: Words,
        /// How loud it is; without it info.
        level: Option<Level>,
        /// Only to this user.
        user: Option<UserId>,
        /// Only to clients with this role.
        role: Option<Role>,
        /// Only to this session.
        session: Option<SessionId>,
        /// Only to clients subscribed to a channel like this: `*` any text, `?` one letter.
        channels: Option<Pattern>,
    }
}

async fn broadcast(desk: Arc<Desk>, _: Caller, arguments: Notice) -> Result<Value, Failure> {
    let Notice { text, level, user, role, session, channels } = arguments;
    let level = level.map_or("info", |Level(word)| word);
    let notice = json!({ "aether": "notice", "level": level, "text": text.0 });
    let told = Told { data: Bytes::from(notice.to_string()), subscribed_to: channels.map(|Pattern(glob)| Arc::new(glob)) };
    let mut meant = desk.hub.all(&SessionQuery { user, role, ..SessionQuery::default() });
    if let Some(session) = session {
        meant.retain(|found| found.facts.session == session);
    }
    let deadline = tokio::time::Instant::now() + TELL_MAX;
    let (mut reached, mut silent) = (0usize, 0usize);
    for chunk in meant.chunks(TURN) {
        let answers = chunk.iter().map(|found| tokio::time::timeout_at(deadline, found.addr.send(told.clone())));
        for answer in futures_util::future::join_all(answers).await {
            match answer {
                Ok(Ok(is_meant)) => reached += usize::from(is_meant),
                // It left meanwhile.
                Ok(Err(_)) => {}
                Err(_) => silent += 1,
            }
        }
    }
    Ok(json!({ "told": reached, "unknown": silent }))
}
