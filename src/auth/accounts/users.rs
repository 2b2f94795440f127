//! Users as they are stored: made, changed and removed by whoever administers them.
//!
//! Used by the service, and by the command line on a store without a hub around it. So it knows no tokens and no connections; what is to
//! follow from a change for those is in what its methods give back.

use super::names::user_name;
use super::{AccountError, Budget, EndReason, must_be_a_password};
use crate::auth::passwords::Looked;
use crate::auth::roles::{Grants, Role};
use crate::channel::UserId;
use crate::clock::Clock;
use crate::store::{LoginId, Logins, PasswordHash, Store, StoreError, User, WallMs};
use secrecy::SecretString;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Users that are read at once when all are looked through.
const PAGE: usize = 500;

/// How often a change is tried again because another one of the same user came in between.
const TRIES: usize = 4;

pub struct Users {
    store: Arc<dyn Store>,
    clock: Clock,
    /// Held while a role or a user goes away: two admins who demote each other at once would leave none.
    admins: Mutex<()>,
}

/// What may be told of a user.
#[derive(Clone, Debug, PartialEq)]
pub struct UserInfo {
    pub name: UserId,
    pub role: Role,
    pub grants: Grants,
    pub created_at: WallMs,
    pub password_changed_at: WallMs,
}

impl From<User> for UserInfo {
    fn from(user: User) -> Self {
        Self {
            role: role_of(&user),
            grants: Grants::parse(&user.grants).unwrap_or_default(),
            name: user.name,
            created_at: user.created_at,
            password_changed_at: user.password_changed_at,
        }
    }
}

/// The role of a stored user. A word that is none gives the least.
pub(super) fn role_of(user: &User) -> Role {
    Role::parse(&user.role).unwrap_or_else(|| {
        log::error!("accounts: the stored role of {} is none, it counts as {}", user.name, Role::Viewer);
        Role::Viewer
    })
}

/// A user that can be made, without its password.
pub struct NewUser {
    name: UserId,
    role: Role,
    grants: String,
}

impl NewUser {
    pub fn new(name: &str, password: &SecretString, role: Role, grants: &Grants) -> Result<Self, AccountError> {
        must_be_a_password(password)?;
        Ok(Self { name: user_name(name).ok_or(AccountError::BadName)?, role, grants: grants.to_json() })
    }
}

impl Users {
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock, admins: Mutex::new(()) }
    }

    pub async fn add(&self, new: NewUser, password: PasswordHash) -> Result<UserInfo, AccountError> {
        let now = self.clock.wall_ms();
        let NewUser { name, role, grants } = new;
        let user = User { name, password, role: role.as_str().to_string(), grants, created_at: now, password_changed_at: now, version: 0 };
        match Budget::new().of(self.store.add_user(&user)).await {
            Err(AccountError::Store { source: StoreError::Conflict { .. } }) => Err(AccountError::UserExists { name: user.name }),
            other => other.map(|()| user.into()),
        }
    }

    pub(super) async fn find(&self, name: &UserId, budget: Budget) -> Result<User, AccountError> {
        budget.of(self.store.user(name)).await?.ok_or_else(|| AccountError::NoSuchUser { name: name.clone() })
    }

    pub async fn list(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<UserInfo>, AccountError> {
        Ok(Budget::new().of(self.store.users(after, limit)).await?.into_iter().map(UserInfo::from).collect())
    }

    /// Whether there is anybody.
    pub async fn is_empty(&self) -> Result<bool, AccountError> {
        Ok(Budget::new().of(self.store.users(None, 1)).await?.is_empty())
    }

    pub async fn set_role(&self, name: &UserId, role: Role) -> Result<User, AccountError> {
        let _one_at_a_time = self.admins.lock().await;
        let budget = Budget::new();
        if role < Role::Admin {
            self.must_not_be_the_last_admin(&self.find(name, budget).await?, budget).await?;
        }
        self.change(name, budget, |user| user.role = role.as_str().to_string()).await
    }

    pub async fn set_grants(&self, name: &UserId, grants: &Grants) -> Result<User, AccountError> {
        self.change(name, Budget::new(), |user| user.grants = grants.to_json()).await
    }

    /// Ends all the user's logins, and says which.
    pub async fn set_password(&self, name: &UserId, password: PasswordHash) -> Result<Vec<LoginId>, AccountError> {
        let now = self.clock.wall_ms();
        let budget = Budget::new();
        self.change(name, budget, |user| (user.password, user.password_changed_at) = (password.clone(), now)).await?;
        let which = Logins::OfUser { user: name.clone(), except: None };
        budget.of(self.store.end_logins(&which, EndReason::Password.as_str(), now)).await
    }

    /// Says which logins went with it.
    pub async fn remove(&self, name: &UserId) -> Result<Vec<LoginId>, AccountError> {
        let _one_at_a_time = self.admins.lock().await;
        let budget = Budget::new();
        self.must_not_be_the_last_admin(&self.find(name, budget).await?, budget).await?;
        let which = Logins::OfUser { user: name.clone(), except: None };
        let ended = budget.of(self.store.end_logins(&which, EndReason::Revoked.as_str(), self.clock.wall_ms())).await?;
        budget.of(self.store.remove_user(name)).await?;
        Ok(ended)
    }

    /// Changes a stored user; what came in between is read anew and stays.
    pub(super) async fn change(&self, name: &UserId, budget: Budget, change: impl Fn(&mut User)) -> Result<User, AccountError> {
        let mut last = StoreError::Conflict { what: "user" };
        for _ in 0..TRIES {
            let mut user = self.find(name, budget).await?;
            change(&mut user);
            match budget.of(self.store.replace_user(&user)).await {
                Ok(()) => return Ok(User { version: user.version + 1, ..user }),
                Err(AccountError::Store { source: source @ StoreError::Conflict { .. } }) => last = source,
                Err(error) => return Err(error),
            }
        }
        Err(last.into())
    }

    /// Keeps a password at the configured cost, if it was found to be kept at another. Whether that works decides about nothing now.
    pub(super) async fn keep_anew(&self, user: User, looked: Looked, budget: Budget) -> User {
        let Some(password) = looked.anew else { return user };
        let changed = User { password, ..user.clone() };
        match budget.of(self.store.replace_user(&changed)).await {
            Ok(()) => User { version: changed.version + 1, ..changed },
            Err(error) => {
                log::warn!("accounts: the password of {} stays kept at an old cost: {error}", user.name);
                user
            }
        }
    }

    async fn must_not_be_the_last_admin(&self, user: &User, budget: Budget) -> Result<(), AccountError> {
        if user.role != Role::Admin.as_str() {
            return Ok(());
        }
        let mut after: Option<UserId> = None;
        loop {
            let page = budget.of(self.store.users(after.as_ref(), PAGE)).await?;
            if page.iter().any(|other| other.role == Role::Admin.as_str() && other.name != user.name) {
                return Ok(());
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.name.clone()),
                _ => return Err(AccountError::LastAdmin),
            }
        }
    }
}
