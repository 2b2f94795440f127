//! `admin.sessions.*`: who is connected, and that somebody is no longer.

use super::{Failure, commands, part_of};
use crate::admin::arguments::{CloseCode, Field, Page, Reason, arguments, choices};
use crate::admin::desk::Desk;
use crate::auth::{Right, Role};
use crate::channel::{SessionId, UserId};
use crate::protocol::codes::Disconnect;
use crate::session::facts::{SessionFacts, Transport};
use crate::session::hub::SessionQuery;
use crate::session::procedures::Caller;
use crate::session::{Describe, Disconnected};
use crate::store::LoginId;
use ipnet::IpNet;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Sessions that are looked through for a text; beyond it the answer says that it is not complete.
const SEARCHED_MAX: usize = 200_000;

/// Time for a session to tell what only it knows.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Sessions that are told to leave before other tasks of the thread get their turn.
const TURN: usize = 256;

commands! {
    "admin.sessions.list" Some(Right::SessionsRead), Reads, "", List, list, r#"{"role":"viewer","limit":50}"#,
        "Lists connected sessions, ordered by id, with who they are, from where and since when.";
    "admin.sessions.browse" Some(Right::SessionsRead), Reads, "text", Browse, browse, r#"{"sort":"subscriptions","descending":true,"limit":50}"#,
        "Shows a part of the sessions in the order that is asked for, and how many there are on each transport.";
    "admin.sessions.find" Some(Right::SessionsRead), Reads, "text", Find, find, r#"{"text":"firefox"}"#,
        "Finds sessions whose user, address, device or id holds a text.";
    "admin.sessions.show" Some(Right::SessionsRead), Reads, "session", Show, show, r#"{"session":"6f9b7a52-3d0c-4f2e-8a25-0d7c1f5f7a10"}"#,
        "Shows one session: who it is, what waits for it, its last ping and how long the answer took.";
    "admin.sessions.kick" Some(Right::SessionsKick), Changes, "user", Kick, kick, r#"{"user":"alice","reason":"please sign in again","code":4000}"#,
        "Closes sessions: one, or all of a user, login, token, address or role.";
}

arguments! {
    List {
        /// Only of this user.
        user: Option<UserId>,
        /// Only with this role.
        role: Option<Role>,
        /// Only of this login.
        login: Option<LoginId>,
        /// Only on the token with this id (jti).
        token: Option<String>,
        /// Only from this address or network.
        address: Option<IpNet>,
        /// Begin behind this session: `next` of the page before.
        after: Option<SessionId>,
        /// Sessions in one answer.
        limit: Page,
    }
}

async fn list(desk: Arc<Desk>, _: Caller, arguments: List) -> Result<Value, Failure> {
    let List { user, role, login, token, address, after, limit } = arguments;
    let query = SessionQuery { user, role, login, token, address };
    let mut page = desk.hub.list(&query, after, limit.0 + 1);
    let has_more = page.len() > limit.0;
    page.truncate(limit.0);
    let next = page.last().filter(|_| has_more).map(|last| last.session.to_string());
    Ok(json!({ "sessions": page.iter().map(|facts| described(facts)).collect::<Vec<_>>(), "next": next, "count": desk.hub.count(&query) }))
}

/// What sessions can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Since,
    User,
    Subscriptions,
    LastSeen,
    Address,
}

impl Order {
    const ALL: [Self; 5] = [Self::Since, Self::User, Self::Subscriptions, Self::LastSeen, Self::Address];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Since => "since",
            Self::User => "user",
            Self::Subscriptions => "subscriptions",
            Self::LastSeen => "last_seen",
            Self::Address => "address",
        }
    }

    fn key(self, facts: &SessionFacts) -> Key {
        match self {
            Self::Since => Key::Number(i64::try_from(facts.since).unwrap_or(i64::MAX)),
            Self::User => Key::User(facts.user.clone()),
            Self::Subscriptions => Key::Number(i64::from(facts.subscriptions())),
            Self::LastSeen => Key::Number(facts.last_seen_wall_ms()),
            Self::Address => Key::Address(facts.peer.address),
        }
    }
}

/// No two are equal, so that a part of the list is always the same one.
type Ordered = (Key, SessionId, Arc<SessionFacts>);

/// What one session is ordered by. Taken once before sorting, which bears no order that changes meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    User(UserId),
    Address(IpAddr),
}

choices! {
    Order, Order::ALL.map(Order::as_str), |word| Order::ALL.into_iter().find(|order| order.as_str() == word);
    Transport, Transport::ALL.map(Transport::as_str), |word| Transport::ALL.into_iter().find(|transport| transport.as_str() == word);
}

arguments! {
    Browse {
        /// Only sessions whose user, address, device or id holds this; case does not matter.
        text: Option<String>,
        /// Only on this transport.
        transport: Option<Transport>,
        /// What they are ordered by; without it the longest connected come first.
        sort: Option<Order>,
        /// The other way round.
        descending: bool,
        /// Begin behind so many.
        skip: Option<u64>,
        /// Sessions in one answer.
        limit: Page,
    }
}

async fn browse(desk: Arc<Desk>, _: Caller, arguments: Browse) -> Result<Value, Failure> {
    let Browse { text, transport, sort, descending, skip, limit } = arguments;
    let text = text.map(|text| text.to_lowercase());
    let all = desk.hub.facts();
    let in_all = all.len();
    let mut by_transport = [0usize; Transport::ALL.len()];
    let order = sort.unwrap_or(Order::Since);
    let mut meant: Vec<Ordered> = Vec::new();
    for chunk in all.chunks(TURN) {
        for facts in chunk.iter().filter(|facts| text.as_deref().is_none_or(|text| holds(facts, text))) {
            by_transport[facts.peer.transport as usize] += 1;
            if transport.is_none_or(|transport| facts.peer.transport == transport) {
                meant.push((order.key(facts), facts.session, Arc::clone(facts)));
            }
        }
        tokio::task::yield_now().await;
    }
    let count = meant.len();
    let compare = |(one, id, _): &Ordered, (other, other_id, _): &Ordered| {
        let ordering = one.cmp(other).then_with(|| id.cmp(other_id));
        if descending { ordering.reverse() } else { ordering }
    };
    let part = part_of(meant, usize::try_from(skip.unwrap_or(0)).unwrap_or(usize::MAX), limit.0, compare);
    let counts: serde_json::Map<_, _> =
        Transport::ALL.iter().zip(by_transport).map(|(transport, count)| (transport.as_str().to_string(), json!(count))).collect();
    Ok(json!({
        "sessions": part.iter().map(|(_, _, facts)| described(facts)).collect::<Vec<_>>(),
        "count": count,
        "in_all": in_all,
        "transports": counts,
    }))
}

/// Whether a session is meant by a text in lower case.
fn holds(facts: &SessionFacts, text: &str) -> bool {
    facts.user.as_str().to_lowercase().contains(text)
        || facts.peer.address.to_string().contains(text)
        || facts.peer.device.to_lowercase().contains(text)
        || facts.session.to_string().starts_with(text)
}

arguments! {
    Find {
        /// What to look for; case does not matter.
        text: String,
        /// Sessions in one answer.
        limit: Page,
    }
}

async fn find(desk: Arc<Desk>, _: Caller, Find { text, limit }: Find) -> Result<Value, Failure> {
    let text = text.to_lowercase();
    let all = desk.hub.list(&SessionQuery::default(), None, SEARCHED_MAX);
    let mut found = Vec::new();
    for chunk in all.chunks(TURN) {
        let matching = chunk.iter().filter(|facts| holds(facts, &text));
        found.extend(matching.take(limit.0 + 1 - found.len()).map(|facts| described(facts)));
        if found.len() > limit.0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let is_complete = found.len() <= limit.0 && all.len() < SEARCHED_MAX;
    found.truncate(limit.0);
    Ok(json!({ "sessions": found, "is_complete": is_complete }))
}

arguments! {
    Show {
        /// The session.
        session: SessionId,
    }
}

async fn show(desk: Arc<Desk>, _: Caller, Show { session }: Show) -> Result<Value, Failure> {
    let found = desk.hub.find(session).ok_or_else(|| not_found(session))?;
    let mut shown = described(&found.facts);
    // What a session whose worker is held up does not tell in time is not known; the rest is.
    let inside = tokio::time::timeout(ANSWER_MAX, found.addr.send(Describe)).await.ok().and_then(Result::ok);
    let ms = |time: Duration| (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0;
    let wall_ms = desk.clock.wall_ms();
    let pinged_at = |ago: Duration| wall_ms.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX));
    shown["waiting_bytes"] = json!(inside.as_ref().map(|inside| inside.waiting_bytes));
    shown["last_ping"] = json!(inside.as_ref().and_then(|inside| inside.pinged_ago).map(pinged_at));
    shown["is_pong_due"] = json!(inside.as_ref().map(|inside| inside.is_pong_due));
    shown["round_trip_ms"] = json!(inside.as_ref().and_then(|inside| inside.round_trip).map(ms));
    Ok(json!({ "session": shown }))
}

pub(super) fn not_found(session: SessionId) -> Failure {
    Failure::NotFound(format!("there is no session {session}"))
}

pub(super) fn described(facts: &SessionFacts) -> Value {
    let credentials = facts.credentials();
    json!({
        "session": facts.session.to_string(),
        "user": facts.user.as_str(),
        "role": credentials.role.map(Role::as_str),
        "login": credentials.login.map(|login| login.to_string()),
        "token": credentials.jti,
        "expires_at": credentials.expires_at,
        "address": facts.peer.address.to_string(),
        "device": facts.peer.device,
        "transport": facts.peer.transport.as_str(),
        "codec": facts.peer.codec.as_str(),
        "since": facts.since_wall_ms,
        "last_seen": facts.last_seen_wall_ms(),
        "subscriptions": facts.subscriptions(),
    })
}

arguments! {
    Kick {
        /// This session.
        session: Option<SessionId>,
        /// All of this user.
        user: Option<UserId>,
        /// All of this login.
        login: Option<LoginId>,
        /// All on the token with this id (jti).
        token: Option<String>,
        /// All from this address or network.
        address: Option<IpNet>,
        /// All with this role.
        role: Option<Role>,
        /// The close code; without it 3503. Clients come back, except after 3500 to 3999 and 4500 to 4999.
        code: Option<CloseCode>,
        /// What the client is told.
        reason: Option<Reason>,
    }
}

async fn kick(desk: Arc<Desk>, caller: Caller, arguments: Kick) -> Result<Value, Failure> {
    let Kick { session, user, login, token, address, role, code, reason } = arguments;
    let query = SessionQuery { user, role, login, token, address };
    let meant = match session {
        None if query == SessionQuery::default() => {
            return Err(Failure::Bad("say whom: session, user, login, token, address or role".to_string()));
        }
        None => desk.hub.all(&query),
        Some(session) => {
            let found = desk.hub.find(session).ok_or_else(|| not_found(session))?;
            if query != SessionQuery::default() {
                return Err(Failure::Bad("a session is named alone".to_string()));
            }
            vec![found]
        }
    };
    let disconnected = Disconnected {
        code: code.map_or(Disconnect::FORCE_NO_RECONNECT.code, |CloseCode(code)| code),
        reason: reason.map_or_else(|| Disconnect::FORCE_NO_RECONNECT.reason.to_string(), |Reason(text)| text),
    };
    // Whoever sends everybody away stays to see it done.
    let is_spared = |one: SessionId| one == caller.session && session.is_none();
    let mut kicked = 0;
    for chunk in meant.chunks(TURN) {
        for found in chunk.iter().filter(|found| !is_spared(found.facts.session)) {
            found.addr.do_send(disconnected.clone());
            kicked += 1;
        }
        tokio::task::yield_now().await;
    }
    Ok(json!({ "kicked": kicked }))
}
