//! `admin.users.*`, `admin.logins.*`: the hub's own accounts, and where they are signed in.
//!
//! Passwords are made here and told once, in the answer: nobody types one into a command, and none gets into the audit log.

use super::{Failure, ONCE, commands};
use crate::admin::arguments::{AccountName, Page, arguments};
use crate::admin::desk::{Desk, tell};
use crate::auth::accounts::{AccountError, Accounts, UserInfo, user_name};
use crate::auth::passwords::generated;
use crate::auth::{Grants, Right, Role};
use crate::channel::UserId;
use crate::session::procedures::Caller;
use crate::store::{Login, LoginId};
use crate::telemetry::tap::Kind;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::sync::Arc;

commands! {
    "admin.users.list" Some(Right::UsersRead), Reads, "", List, list, r#"{"limit":50}"#,
        "Lists the hub's own accounts, ordered by name.";
    "admin.users.show" Some(Right::UsersRead), Reads, "user", Show, show, r#"{"user":"alice"}"#,
        "Shows an account with its logins.";
    "admin.users.add" Some(Right::UsersWrite), Changes, "user", Add, add, r#"{"user":"bob","role":"operator"}"#,
        "Adds an account. Its password is made, and told this once.";
    "admin.users.role" Some(Right::UsersWrite), Changes, "user", SetRole, set_role, r#"{"user":"bob","role":"viewer"}"#,
        "Gives an account another role; its connections come back with it. Somebody must stay admin.";
    "admin.users.grants" Some(Right::UsersWrite), Changes, "user", SetGrants, set_grants, r#"{"user":"bob","grants":{"chat":["subscribe","publish"]}}"#,
        "Sets what an account may do in namespaces, beyond what these allow to all; its connections come back with it.";
    "admin.users.password" Some(Right::UsersWrite), Changes, "user", Password, password, r#"{"user":"bob"}"#,
        "Makes another password for an account, tells it this once, and ends all the account's logins.";
    "admin.users.remove" Some(Right::UsersWrite), Endangers, "user", Remove, remove, r#"{"user":"bob","confirm":true}"#,
        "Removes an account with all its logins. Somebody must stay admin.";
    "admin.logins.end" Some(Right::SessionsKick), Changes, "user", End, end, r#"{"user":"bob"}"#,
        "Signs an account out: ends one of its logins or all, with their connections.";
}

fn accounts(desk: &Desk) -> Result<&Arc<Accounts>, Failure> {
    desk.accounts.as_ref().ok_or_else(|| Failure::NotAvailable("this hub has no accounts: accounts.enabled is false".to_string()))
}

fn failed(error: AccountError) -> Failure {
    let said = error.to_string();
    match error {
        AccountError::NoSuchUser { .. } | AccountError::NoSuchLogin => Failure::NotFound(said),
        AccountError::BadName | AccountError::PasswordLength | AccountError::UserExists { .. } | AccountError::LastAdmin => Failure::Bad(said),
        AccountError::Busy => Failure::TooMany(said),
        AccountError::Store { source } => source.into(),
        AccountError::StoreTimeout
        | AccountError::Hash { .. }
        | AccountError::Token { .. }
        | AccountError::Wrong { .. }
        | AccountError::Paused { .. }
        | AccountError::SignedOut { .. }
        | AccountError::Banned { .. }
        | AccountError::NotGranted { .. } => Failure::Failed(said),
    }
}

/// Refuses what would be done to somebody whose account may do more than the caller.
pub(super) async fn must_not_be_above(desk: &Desk, caller: &Caller, user: &UserId) -> Result<(), Failure> {
    // Users of applications have no account, and names that no account can have need not be looked up.
    let (Some(accounts), Some(name)) = (&desk.accounts, user_name(user.as_str())) else { return Ok(()) };
    match accounts.user(&name).await {
        Ok(account) if Some(account.role) > caller.role => Err(Failure::Denied(format!("{name} is {}", account.role))),
        Ok(_) | Err(AccountError::NoSuchUser { .. }) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn described(user: &UserInfo) -> Value {
    json!({
        "user": user.name.as_str(),
        "role": user.role.as_str(),
        "grants": user.grants,
        "created_at": user.created_at,
        "password_changed_at": user.password_changed_at,
    })
}

fn login(login: &Login) -> Value {
    json!({
        "login": login.id.to_string(),
        "device": login.device,
        "address": login.address,
        "created_at": login.created_at,
        "last_seen": login.last_seen_at,
        "idle_until": login.idle_until,
        "absolute_until": login.absolute_until,
    })
}

arguments! {
    List {
        /// Begin behind this one: `next` of the page before.
        after: Option<UserId>,
        /// Accounts in one answer.
        limit: Page,
    }
}

async fn list(desk: Arc<Desk>, _: Caller, List { after, limit }: List) -> Result<Value, Failure> {
    let mut page = accounts(&desk)?.users(after.as_ref(), limit.0 + 1).await.map_err(failed)?;
    let has_more = page.len() > limit.0;
    page.truncate(limit.0);
    let next = page.last().filter(|_| has_more).map(|last| last.name.to_string());
    Ok(json!({ "users": page.iter().map(described).collect::<Vec<_>>(), "next": next }))
}

arguments! {
    Show {
        /// The account.
        user: AccountName,
    }
}

async fn show(desk: Arc<Desk>, _: Caller, Show { user }: Show) -> Result<Value, Failure> {
    let accounts = accounts(&desk)?;
    let found = accounts.user(&user.0).await.map_err(failed)?;
    let logins = accounts.logins(&user.0).await.map_err(failed)?;
    Ok(json!({ "user": described(&found), "logins": logins.iter().map(login).collect::<Vec<_>>() }))
}

arguments! {
    Add {
        /// Its name.
        user: AccountName,
        /// Its role; without it viewer.
        role: Option<Role>,
        /// What it may do in namespaces, as {"chat":["subscribe","publish","history","presence"]}.
        grants: Option<Grants>,
    }
}

async fn add(desk: Arc<Desk>, _: Caller, Add { user, role, grants }: Add) -> Result<Value, Failure> {
    let password = generated();
    let (role, grants) = (role.unwrap_or(Role::Viewer), grants.unwrap_or_default());
    accounts(&desk)?.add_user(user.0.as_str(), password.clone(), role, &grants).await.map_err(failed)?;
    Ok(json!({ "user": user.0.as_str(), "role": role.as_str(), ONCE: { "password": password.expose_secret() } }))
}

arguments! {
    SetRole {
        /// The account.
        user: AccountName,
        /// Its role from now on.
        role: Role,
    }
}

async fn set_role(desk: Arc<Desk>, _: Caller, SetRole { user, role }: SetRole) -> Result<Value, Failure> {
    let before = accounts(&desk)?.user(&user.0).await.map_err(failed)?.role;
    accounts(&desk)?.set_role(&user.0, role).await.map_err(failed)?;
    Ok(json!({ "user": user.0.as_str(), "role": role.as_str(), "before": before.as_str() }))
}

arguments! {
    SetGrants {
        /// The account.
        user: AccountName,
        /// All that it may do in namespaces from now on; {} for nothing.
        grants: Grants,
    }
}

async fn set_grants(desk: Arc<Desk>, _: Caller, SetGrants { user, grants }: SetGrants) -> Result<Value, Failure> {
    Ok(described(&accounts(&desk)?.set_grants(&user.0, &grants).await.map_err(failed)?))
}

arguments! {
    Password {
        /// The account.
        user: AccountName,
    }
}

async fn password(desk: Arc<Desk>, _: Caller, Password { user }: Password) -> Result<Value, Failure> {
    let accounts = accounts(&desk)?;
    // Looked for first: a password takes its time.
    accounts.user(&user.0).await.map_err(failed)?;
    let password = generated();
    accounts.set_password(&user.0, password.clone()).await.map_err(failed)?;
    Ok(json!({ "user": user.0.as_str(), ONCE: { "password": password.expose_secret() } }))
}

arguments! {
    Remove {
        /// The account.
        user: AccountName,
    }
}

async fn remove(desk: Arc<Desk>, _: Caller, Remove { user }: Remove) -> Result<Value, Failure> {
    accounts(&desk)?.remove_user(&user.0).await.map_err(failed)?;
    Ok(json!({ "user": user.0.as_str() }))
}

arguments! {
    End {
        /// The account.
        user: AccountName,
        /// Only this login: `login` of a session, or of admin.users.show. Without it all of them.
        login: Option<LoginId>,
    }
}

async fn end(desk: Arc<Desk>, caller: Caller, End { user, login }: End) -> Result<Value, Failure> {
    let accounts = accounts(&desk)?;
    must_not_be_above(&desk, &caller, &user.0).await?;
    if let Some(login) = login {
        let own = accounts.logins(&user.0).await.map_err(failed)?;
        if !own.iter().any(|one| one.id == login) {
            return Err(Failure::NotFound(format!("{} has no such login", user.0)));
        }
    }
    let ended = accounts.end_logins(&user.0, login).await.map_err(failed)?;
    tell(Kind::LoginsEnded, || json!({ "user": user.0.as_str(), "ended": ended }));
    Ok(json!({ "user": user.0.as_str(), "ended": ended }))
}
