//! `admin.bans.*`, `admin.tokens.revoke`: who is kept out, whatever its token says.
//!
//! Nobody keeps out itself, nor somebody whose account may do more.

use super::{Failure, commands};
use crate::admin::arguments::{Page, Reason, arguments};
use crate::admin::desk::{Desk, tell};
use crate::auth::{BLOCKS_MAX, BlockError, Right};
use crate::channel::UserId;
use crate::session::procedures::Caller;
use crate::store::{Block, BlockKind};
use crate::telemetry::tap::Kind;
use crate::units::HumanDuration;
use ipnet::IpNet;
use serde_json::{Value, json};
use std::sync::Arc;

commands! {
    "admin.bans.list" Some(Right::BansWrite), Reads, "", List, list, r#"{"kind":"user"}"#,
        "Lists who is kept out: banned users, addresses and networks, and revoked tokens.";
    "admin.bans.add" Some(Right::BansWrite), Changes, "user", Add, add, r#"{"user":"mallory","reason":"flooding the lobby","lasting":"24h"}"#,
        "Keeps out a user, or an address or network: closes its connections, and lets it neither in nor sign in.";
    "admin.bans.remove" Some(Right::BansWrite), Changes, "user", Remove, remove, r#"{"user":"mallory"}"#,
        "Lets somebody in again, or takes a revocation back.";
    "admin.tokens.revoke" Some(Right::BansWrite), Changes, "token", Revoke, revoke, r#"{"token":"3f2b6c1e","reason":"posted in a chat","lasting":"24h"}"#,
        "Makes a token void by its id (jti), and closes the connections on it.";
}

arguments! {
    List {
        /// Only of this kind.
        kind: Option<BlockKind>,
        /// Only those whose subject or reason holds this text.
        text: Option<String>,
        /// Begin behind this one: `next` of the page before.
        after: Option<String>,
        /// Entries in one answer.
        limit: Page,
    }
}

async fn list(desk: Arc<Desk>, _: Caller, List { kind, text, after, limit }: List) -> Result<Value, Failure> {
    let mut all = desk.store.blocks(desk.clock.wall_ms(), BLOCKS_MAX).await?;
    let count = all.len();
    all.retain(|block| {
        kind.is_none_or(|kind| block.kind == kind)
            && text.as_deref().is_none_or(|text| block.subject.contains(text) || block.reason.contains(text))
            && after.as_deref().is_none_or(|after| place(block).as_str() > after)
    });
    // In the order of the words, which is not the store's.
    all.sort_by_key(place);
    let has_more = all.len() > limit.0;
    all.truncate(limit.0);
    let next = all.last().filter(|_| has_more).map(place);
    Ok(json!({ "bans": all.iter().map(described).collect::<Vec<_>>(), "next": next, "count": count }))
}

/// Where it stands in the list.
fn place(block: &Block) -> String {
    format!("{}:{}", block.kind.as_str(), block.subject)
}

fn described(block: &Block) -> Value {
    json!({
        "kind": block.kind.as_str(),
        "subject": block.subject,
        "reason": block.reason,
        "by": block.by,
        "since": block.since,
        "until": block.until,
    })
}

arguments! {
    Add {
        /// The user.
        user: Option<UserId>,
        /// The address or network.
        address: Option<IpNet>,
        /// Why, for other operators. The user is not told.
        reason: Option<Reason>,
        /// Ends by itself after this time; without it when it is taken back.
        lasting: Option<HumanDuration>,
    }
}

async fn add(desk: Arc<Desk>, caller: Caller, Add { user, address, reason, lasting }: Add) -> Result<Value, Failure> {
    let (kind, subject) = match (user, address) {
        (Some(user), None) if user == caller.user => return Err(Failure::Bad("this is you yourself".to_string())),
        (Some(user), None) => {
            super::users::must_not_be_above(&desk, &caller, &user).await?;
            (BlockKind::User, user.to_string())
        }
        (None, Some(network)) if network.contains(&caller.address.to_canonical()) => {
            return Err(Failure::Bad(format!("you come from {} yourself", caller.address)));
        }
        (None, Some(network)) => (BlockKind::Address, network.to_string()),
        _ => return Err(Failure::Bad("say whom: either user or address".to_string())),
    };
    put(&desk, &caller, kind, subject, reason, lasting).await
}

async fn put(
    desk: &Desk,
    caller: &Caller,
    kind: BlockKind,
    subject: String,
    reason: Option<Reason>,
    lasting: Option<HumanDuration>,
) -> Result<Value, Failure> {
    let since = desk.clock.wall_ms();
    let until = lasting.map(|lasting| since.saturating_add_unsigned(lasting.ms()));
    let reason = reason.map(|Reason(text)| text).unwrap_or_default();
    let block = desk.blocks.put(Block { kind, subject, reason, by: caller.user.to_string(), since, until }).await.map_err(failed)?;
    tell(Kind::Blocked, || described(&block));
    Ok(described(&block))
}

arguments! {
    Remove {
        /// The user.
        user: Option<UserId>,
        /// The address or network, as it was banned.
        address: Option<IpNet>,
        /// The token, by its id (jti).
        token: Option<String>,
    }
}

async fn remove(desk: Arc<Desk>, _: Caller, Remove { user, address, token }: Remove) -> Result<Value, Failure> {
    let (kind, subject) = match (user, address, token) {
        (Some(user), None, None) => (BlockKind::User, user.to_string()),
        (None, Some(network), None) => (BlockKind::Address, network.to_string()),
        (None, None, Some(token)) => (BlockKind::Token, token),
        _ => return Err(Failure::Bad("say whom: user, address or token".to_string())),
    };
    let was_banned = desk.blocks.remove(kind, &subject).await.map_err(failed)?;
    if was_banned {
        tell(Kind::Unblocked, || json!({ "kind": kind.as_str(), "subject": subject }));
    }
    Ok(json!({ "kind": kind.as_str(), "subject": subject, "was_banned": was_banned }))
}

arguments! {
    Revoke {
        /// The token, by its id (jti): `token` of a session.
        token: String,
        /// Why, for other operators.
        reason: Option<Reason>,
        /// Ends by itself after this time, such as the token's own; without it when it is taken back.
        lasting: Option<HumanDuration>,
    }
}

async fn revoke(desk: Arc<Desk>, caller: Caller, Revoke { token, reason, lasting }: Revoke) -> Result<Value, Failure> {
    put(&desk, &caller, BlockKind::Token, token, reason, lasting).await
}

fn failed(error: BlockError) -> Failure {
    match error {
        BlockError::Subject { .. } => Failure::Bad(error.to_string()),
        BlockError::TooMany => Failure::TooMany(error.to_string()),
        BlockError::Store(source) => source.into(),
    }
}
