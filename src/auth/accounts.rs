//! Accounts: who may sign in, what their logins are worth, and what changes both.
//!
//! Users and logins stand in the store; this room holds the rules. Called by `http::login` for the people themselves, by `admin` for whoever
//! administers them, and by the command line, which works on the same store. A login is a family of refresh tokens of which one at a time is
//! good: each use brings the next one, the last but one is good for a moment longer (two tabs, a lost answer), and an older one means that
//! somebody has a copy, which ends the login. Deliberately absent: cookies and HTTP, and what the live connections are; those who end here are
//! ended there through a port.

mod names;
mod users;

#[cfg(test)]
mod tests;

pub use names::{NAME_RULE, user_name};
pub use users::{NewUser, UserInfo, Users};

use super::blocks::{Blocks, Visitor};
use super::hub_tokens::{HubTokens, MintLogin, RefreshToken};
use super::passwords::{Looked, PASSWORD_BYTES, PasswordError, Passwords};
use super::permissions::may_have_subscription_token;
use super::roles::{Grants, Role};
use super::sign::SignError;
use super::throttle::{Paused, Throttle, ThrottleRules, Try};
use crate::channel::{ChannelRules, SessionId, UserId};
use crate::clock::Clock;
use crate::store::{Login, LoginId, Logins, Store, StoreError, User, WallMs};
use crate::telemetry::accounts::{LoginBegan, LoginRefused, LoginsEnded};
use crate::telemetry::emit;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Time that the store has for all that one request asks of it. With this the answer to somebody who signs in comes within three seconds.
const STORE_MAX: Duration = Duration::from_millis(2_500);

/// Logins of one user that are looked at. Ended ones are among them until the store forgets them.
const LOGINS_MAX: usize = 2_000;

/// How often a refresh is tried again because another one of the same login came in between. Each time one of them got through.
const ROTATIONS_MAX: usize = 4;

/// How long logins hold, and how many there may be. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    pub token_ttl_ms: i64,
    pub rotation_grace_ms: i64,
    pub idle_ms: i64,
    pub absolute_ms: i64,
    /// 0: any number.
    pub logins_per_user: usize,
    pub throttle: ThrottleRules,
}

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Place {
    pub address: IpAddr,
    /// What the user agent says of itself, cut and without control characters.
    pub device: String,
}

/// Why a login has ended. The words are kept in the store and shown to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    Idle,
    Absolute,
    Logout,
    /// A refresh token came that had been replaced long before.
    Replayed,
    /// By an administrator, by its user from another device, or because the user has too many.
    Revoked,
    /// The password was changed.
    Password,
    /// There is no login, or none that is known.
    None,
}

impl EndReason {
    pub const ALL: [Self; 7] = [Self::Idle, Self::Absolute, Self::Logout, Self::Replayed, Self::Revoked, Self::Password, Self::None];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Absolute => "absolute",
            Self::Logout => "logout",
            Self::Replayed => "replayed",
            Self::Revoked => "revoked",
            Self::Password => "password",
            Self::None => "none",
        }
    }

    /// Words in the store that are none of these say that it ended and not why.
    fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word).unwrap_or(Self::Revoked)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("the store cannot be asked")]
    Store {
        #[from]
        source: StoreError,
    },
    #[error("the store did not answer in {} ms", STORE_MAX.as_millis())]
    StoreTimeout,
    #[error("too many people sign in at this moment")]
    Busy,
    #[error("a password could not be hashed")]
    Hash { source: PasswordError },
    #[error("a token could not be made")]
    Token {
        #[from]
        source: SignError,
    },
    /// `tries_left`: before a pause of `pause_ms`.
    #[error("name or password is wrong")]
    Wrong { tries_left: u32, pause_ms: u64 },
    #[error("too many tries, paused for {for_ms} ms")]
    Paused { for_ms: u64 },
    #[error("not signed in ({})", reason.as_str())]
    SignedOut { reason: EndReason },
    /// By an operator: the user, or the address.
    #[error("{user} is kept out")]
    Banned { user: UserId },
    #[error("there is no such login")]
    NoSuchLogin,
    #[error("{user} may not subscribe to {channel}")]
    NotGranted { user: UserId, channel: String },
    #[error("a password has {} to {} bytes", PASSWORD_BYTES.start(), PASSWORD_BYTES.end())]
    PasswordLength,
    #[error("a name is {NAME_RULE}")]
    BadName,
    #[error("there is a user {name} already")]
    UserExists { name: UserId },
    #[error("there is no user {name}")]
    NoSuchUser { name: UserId },
    #[error("somebody must stay admin")]
    LastAdmin,
}

/// The live connections, as far as logins are concerned. Plugged in by the app.
pub trait LiveSessions: Send + Sync {
    /// Ends every connection that one of these logins of the user's has let in, for good. Returns at once; the ends come within a second.
    fn close(&self, user: &UserId, logins: &[LoginId]);
    /// Ends every connection of the user in a way that it comes back, with what the user may do now.
    fn renew(&self, user: &UserId);
    /// The connections that a login has let in.
    fn of_login(&self, user: &UserId, login: LoginId) -> Vec<LiveSession>;
}

/// One live connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSession {
    pub client: SessionId,
    pub transport: &'static str,
    pub address: String,
    pub since: WallMs,
}

/// Where it is written down who came and went. Plugged in by the app; it does not wait and cannot refuse.
pub trait Journal: Send + Sync {
    fn note(&self, note: Note);
}

/// The action of somebody who did not know the password.
pub const LOGIN_REFUSED: &str = "login.refused";

/// Something for the audit log. Holds no secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub actor: String,
    /// The address.
    pub origin: String,
    pub action: &'static str,
    pub object: String,
    pub details: Value,
}

/// Somebody who has signed in, or has shown a good cookie.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub user: UserId,
    pub role: Role,
    /// For connections.
    pub token: String,
    pub token_ttl_ms: i64,
    /// For the cookie.
    pub refresh: String,
    /// Until when the cookie can be good at all.
    pub refresh_ttl_ms: i64,
}

/// One of a user's logins.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnLogin {
    pub login: Login,
    pub is_current: bool,
    pub live: Vec<LiveSession>,
}

/// The service. One for the whole process.
pub struct Accounts {
    users: Users,
    store: Arc<dyn Store>,
    clock: Clock,
    tokens: Arc<HubTokens>,
    passwords: Arc<Passwords>,
    throttle: Mutex<Throttle>,
    live: Arc<dyn LiveSessions>,
    journal: Arc<dyn Journal>,
    rules: Arc<ChannelRules>,
    blocks: Arc<Blocks>,
    settings: AccountSettings,
}

/// What the service works with.
pub struct AccountParts {
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    pub tokens: Arc<HubTokens>,
    pub passwords: Arc<Passwords>,
    pub live: Arc<dyn LiveSessions>,
    pub journal: Arc<dyn Journal>,
    pub rules: Arc<ChannelRules>,
    pub blocks: Arc<Blocks>,
}

/// Until when the store may be asked on behalf of one request.
#[derive(Clone, Copy)]
pub(super) struct Budget(Instant);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Instant::now() + STORE_MAX)
    }

    pub(super) async fn of<T>(self, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, AccountError> {
        match tokio::time::timeout_at(self.0, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(AccountError::StoreTimeout),
        }
    }
}

impl Accounts {
    pub fn new(parts: AccountParts, settings: AccountSettings) -> Self {
        let AccountParts { store, clock, tokens, passwords, live, journal, rules, blocks } = parts;
        let users = Users::new(Arc::clone(&store), clock.clone());
        Self {
            users,
            store,
            clock,
            tokens,
            passwords,
            throttle: Mutex::new(Throttle::new(settings.throttle)),
            live,
            journal,
            rules,
            blocks,
            settings,
        }
    }

    /// A new login for whoever knows the password. An unknown name takes the same work and gets the same answer as a wrong password.
    pub async fn login(&self, name: &str, password: SecretString, place: &Place) -> Result<SignedIn, AccountError> {
        let budget = Budget::new();
        let name = user_name(name);
        let tried = self.begin_try(name.as_ref(), place)?;
        let looked_up = match &name {
            Some(name) => budget.of(self.store.user(name)).await,
            None => Ok(None),
        };
        let user = looked_up.inspect_err(|_| self.throttle.lock().undone(&tried))?;
        let looked = self.look(&tried, password, user.as_ref()).await?;
        let Some(user) = user.filter(|_| looked.is_right) else {
            return Err(self.wrong(&tried, name.as_ref(), place));
        };
        self.throttle.lock().right(&tried);
        // Told to those alone who know the password.
        self.must_not_be_banned(&user.name, place)?;
        let user = self.users.keep_anew(user, looked, Budget::new()).await;
        let login = self.begin_login(&user, place).await?;
        self.note(&user.name, place, "login", "", json!({ "login": login.id.to_string(), "device": login.device }));
        emit(LoginBegan { user: &user.name, address: place.address });
        self.signed_in(&user, &login)
    }

    /// The next refresh token, and a new token for connections, for whoever has a good one.
    pub async fn refresh(&self, token: &str, place: &Place) -> Result<SignedIn, AccountError> {
        let budget = Budget::new();
        let token = RefreshToken::parse(token).ok_or(SIGNED_OUT)?;
        for _ in 0..ROTATIONS_MAX {
            let (user, login) = self.good_login(&token, place, budget).await?;
            if token.generation != login.generation {
                // The other tab was first. Both get the same one, so neither has an old one next time.
                return self.signed_in(&user, &login);
            }
            let now = self.clock.wall_ms();
            let next = Login {
                generation: login.generation.wrapping_add(1),
                rotated_at: now,
                last_seen_at: now,
                idle_until: now.saturating_add(self.settings.idle_ms),
                address: place.address.to_string(),
                device: place.device.clone(),
                ..login.clone()
            };
            if budget.of(self.store.replace_login(login.generation, &next)).await? {
                return self.signed_in(&user, &next);
            }
        }
        Err(AccountError::Busy)
    }

    /// Whose refresh token it is. Nothing is replaced by looking.
    pub async fn whose(&self, token: &str, place: &Place) -> Result<(User, Login), AccountError> {
        let token = RefreshToken::parse(token).ok_or(SIGNED_OUT)?;
        self.good_login(&token, place, Budget::new()).await
    }

    /// A token for a connection that begins at once, for whoever has a good refresh token. Nothing is replaced by looking.
    pub async fn connection_token(&self, token: &str, place: &Place) -> Result<String, AccountError> {
        let (user, login) = self.whose(token, place).await?;
        Ok(self.signed_in(&user, &login)?.token)
    }

    /// Ends the login. One that has ended already is fine.
    pub async fn logout(&self, token: &str, place: &Place) -> Result<(), AccountError> {
        let (user, login) = self.whose(token, place).await?;
        self.end(&user.name, &Logins::One(login.id), EndReason::Logout, Budget::new()).await?;
        self.note(&user.name, place, "logout", "", json!({ "login": login.id.to_string() }));
        Ok(())
    }

    /// Ends all logins of the user, this one included.
    pub async fn logout_everywhere(&self, token: &str, place: &Place) -> Result<(), AccountError> {
        let (user, _) = self.whose(token, place).await?;
        let which = Logins::OfUser { user: user.name.clone(), except: None };
        let ended = self.end(&user.name, &which, EndReason::Logout, Budget::new()).await?;
        self.note(&user.name, place, "logout.everywhere", "", json!({ "logins": ended }));
        Ok(())
    }

    /// The user's logins that have not ended, the most recently used first, with their live connections.
    pub async fn own_logins(&self, token: &str, place: &Place) -> Result<Vec<OwnLogin>, AccountError> {
        let (user, current) = self.whose(token, place).await?;
        let logins = self.logins(&user.name).await?;
        let own = |login: Login| OwnLogin { is_current: login.id == current.id, live: self.live.of_login(&user.name, login.id), login };
        Ok(logins.into_iter().map(own).collect())
    }

    /// Ends one of the user's own logins. Whether it is the one that asks.
    pub async fn end_own_login(&self, token: &str, id: LoginId, place: &Place) -> Result<bool, AccountError> {
        let (user, current) = self.whose(token, place).await?;
        let budget = Budget::new();
        // Another's login is answered like one that is not there.
        let login = budget.of(self.store.login(id)).await?.filter(|login| login.user == user.name && login.ended_at.is_none());
        let login = login.ok_or(AccountError::NoSuchLogin)?;
        let is_current = login.id == current.id;
        let reason = if is_current { EndReason::Logout } else { EndReason::Revoked };
        self.end(&user.name, &Logins::One(login.id), reason, budget).await?;
        self.note(&user.name, place, "login.end", &login.id.to_string(), Value::Null);
        Ok(is_current)
    }

    /// Changes the user's own password, and ends all its other logins.
    pub async fn change_password(&self, token: &str, current: SecretString, new: SecretString, place: &Place) -> Result<(), AccountError> {
        let (user, login) = self.whose(token, place).await?;
        must_be_a_password(&new)?;
        let tried = self.begin_try(Some(&user.name), place)?;
        let looked = self.look(&tried, current, Some(&user)).await?;
        if !looked.is_right {
            return Err(self.wrong(&tried, Some(&user.name), place));
        }
        self.throttle.lock().right(&tried);
        let hash = self.hash(new).await?;
        let now = self.clock.wall_ms();
        let budget = Budget::new();
        self.users.change(&user.name, budget, |user| (user.password, user.password_changed_at) = (hash.clone(), now)).await?;
        let which = Logins::OfUser { user: user.name.clone(), except: Some(login.id) };
        let ended = self.end(&user.name, &which, EndReason::Password, budget).await?;
        self.note(&user.name, place, "password", "", json!({ "logins": ended }));
        Ok(())
    }

    /// A token for one channel that is subscribed to with one, where the user's grants allow it.
    pub async fn subscription_token(&self, token: &str, channel: &str, place: &Place) -> Result<String, AccountError> {
        let (user, login) = self.whose(token, place).await?;
        let grants = self.grants_of(&user);
        if !may_have_subscription_token(&self.rules, &user.name, &grants, channel) {
            return Err(AccountError::NotGranted { user: user.name, channel: channel.to_string() });
        }
        let (now, expires_at) = self.token_times(&login);
        Ok(self.tokens.mint_subscription(&user.name, channel, now, expires_at)?)
    }

    // === For administrators ===

    /// Adds a user. Of a name that was removed a moment ago nothing is left.
    pub async fn add_user(&self, name: &str, password: SecretString, role: Role, grants: &Grants) -> Result<UserInfo, AccountError> {
        let new = NewUser::new(name, &password, role, grants)?;
        let hash = self.hash(password).await?;
        let user = self.users.add(new, hash).await?;
        self.tokens.forget_user(&user.name);
        Ok(user)
    }

    /// What mints the hub's own tokens.
    pub fn tokens(&self) -> Arc<HubTokens> {
        Arc::clone(&self.tokens)
    }

    /// The user's logins that have not ended, the most recently used first.
    pub async fn logins(&self, name: &UserId) -> Result<Vec<Login>, AccountError> {
        let mut logins = self.logins_of(name, Budget::new()).await?;
        logins.sort_by_key(|login| std::cmp::Reverse((login.last_seen_at, login.id)));
        Ok(logins)
    }

    pub async fn user(&self, name: &UserId) -> Result<UserInfo, AccountError> {
        self.users.find(name, Budget::new()).await.map(UserInfo::from)
    }

    /// Ordered by name, beginning behind `after`.
    pub async fn users(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<UserInfo>, AccountError> {
        self.users.list(after, limit).await
    }

    /// Takes effect at once: the user's connections come back with the new role.
    pub async fn set_role(&self, name: &UserId, role: Role) -> Result<UserInfo, AccountError> {
        let user = self.users.set_role(name, role).await?;
        self.renew(&user);
        Ok(user.into())
    }

    /// Takes effect at once, like [`Accounts::set_role`].
    pub async fn set_grants(&self, name: &UserId, grants: &Grants) -> Result<UserInfo, AccountError> {
        let user = self.users.set_grants(name, grants).await?;
        self.renew(&user);
        Ok(user.into())
    }

    /// Sets a password without knowing the old one, and ends all the user's logins.
    pub async fn set_password(&self, name: &UserId, password: SecretString) -> Result<(), AccountError> {
        must_be_a_password(&password)?;
        let hash = self.hash(password).await?;
        let ended = self.users.set_password(name, hash).await?;
        self.ended(name, &ended, EndReason::Password);
        Ok(())
    }

    /// Removes the user with all its logins.
    pub async fn remove_user(&self, name: &UserId) -> Result<(), AccountError> {
        let ended = self.users.remove(name).await?;
        self.ended(name, &ended, EndReason::Revoked);
        Ok(())
    }

    /// Ends logins: one, or all of a user. How many there were.
    pub async fn end_logins(&self, user: &UserId, only: Option<LoginId>) -> Result<usize, AccountError> {
        let which = only.map_or_else(|| Logins::OfUser { user: user.clone(), except: None }, Logins::One);
        self.end(user, &which, EndReason::Revoked, Budget::new()).await
    }

    // === What the above is made of ===

    fn begin_try(&self, name: Option<&UserId>, place: &Place) -> Result<Try, AccountError> {
        let now = self.clock.now();
        self.throttle.lock().begin(name.map(UserId::as_str), place.address, now).map_err(|Paused { for_ms }| {
            emit(LoginRefused { reason: LoginRefused::PAUSED, address: place.address });
            AccountError::Paused { for_ms }
        })
    }

    fn must_not_be_banned(&self, user: &UserId, place: &Place) -> Result<(), AccountError> {
        match self.blocks.find(&Visitor { user, jti: None, address: place.address }) {
            None => Ok(()),
            Some(_) => {
                emit(LoginRefused { reason: LoginRefused::BANNED, address: place.address });
                Err(AccountError::Banned { user: user.clone() })
            }
        }
    }

    async fn look(&self, tried: &Try, password: SecretString, user: Option<&User>) -> Result<Looked, AccountError> {
        let hash = user.map(|user| user.password.clone());
        self.passwords.verify(password, hash).await.map_err(|error| {
            self.throttle.lock().undone(tried);
            hash_error(error)
        })
    }

    async fn hash(&self, password: SecretString) -> Result<crate::store::PasswordHash, AccountError> {
        self.passwords.hash(password).await.map_err(hash_error)
    }

    fn wrong(&self, tried: &Try, name: Option<&UserId>, place: &Place) -> AccountError {
        let (outcome, pause_ms) = {
            let throttle = self.throttle.lock();
            (throttle.wrong(tried, self.clock.now()), throttle.pause_ms())
        };
        emit(LoginRefused { reason: LoginRefused::WRONG, address: place.address });
        let pause = outcome.err().map(|Paused { for_ms }| for_ms);
        // What was typed as a name may be a password that went into the wrong field, so only names that users can have are written down.
        self.note(&UserId::default(), place, LOGIN_REFUSED, name.map_or("", UserId::as_str), json!({ "pause_ms": pause }));
        match outcome {
            Ok(tries_left) => AccountError::Wrong { tries_left, pause_ms },
            Err(Paused { for_ms }) => AccountError::Paused { for_ms },
        }
    }

    async fn begin_login(&self, user: &User, place: &Place) -> Result<Login, AccountError> {
        let budget = Budget::new();
        if self.settings.logins_per_user > 0 {
            let mut others = self.logins_of(&user.name, budget).await?;
            others.sort_by_key(|login| std::cmp::Reverse(login.last_seen_at));
            for surplus in others.iter().skip(self.settings.logins_per_user - 1) {
                self.end(&user.name, &Logins::One(surplus.id), EndReason::Revoked, budget).await?;
            }
        }
        let now = self.clock.wall_ms();
        let login = Login {
            id: LoginId::random(),
            user: user.name.clone(),
            salt: rand::random(),
            generation: 0,
            rotated_at: now,
            created_at: now,
            last_seen_at: now,
            idle_until: now.saturating_add(self.settings.idle_ms),
            absolute_until: now.saturating_add(self.settings.absolute_ms),
            address: place.address.to_string(),
            device: place.device.clone(),
            ended_at: None,
            ended_reason: String::new(),
        };
        budget.of(self.store.add_login(&login)).await?;
        Ok(login)
    }

    /// The login of a refresh token that is good now, and its user. Ends what must not go on.
    async fn good_login(&self, token: &RefreshToken, place: &Place, budget: Budget) -> Result<(User, Login), AccountError> {
        let login = budget.of(self.store.login(token.login)).await?;
        // Whoever cannot sign for a login can neither use it nor end it.
        let login = login.filter(|login| self.tokens.is_ours(token, login)).ok_or(SIGNED_OUT)?;
        let over = match self.judge(token.generation, &login) {
            Verdict::Good => None,
            Verdict::Ended(reason) => return Err(AccountError::SignedOut { reason }),
            Verdict::Over(reason) => Some(reason),
        };
        if let Some(reason) = over {
            if reason == EndReason::Replayed {
                self.note(
                    &login.user,
                    place,
                    "login.replayed",
                    &login.id.to_string(),
                    json!({ "generation": token.generation, "now": login.generation }),
                );
            }
            self.end(&login.user, &Logins::One(login.id), reason, budget).await?;
            return Err(AccountError::SignedOut { reason });
        }
        // The login stays: whoever is let in again is where it was.
        self.must_not_be_banned(&login.user, place)?;
        match budget.of(self.store.user(&login.user)).await? {
            Some(user) => Ok((user, login)),
            None => Err(AccountError::SignedOut { reason: EndReason::Revoked }),
        }
    }

    /// What a refresh token of this generation is worth now.
    fn judge(&self, generation: u32, login: &Login) -> Verdict {
        let now = self.clock.wall_ms();
        if login.ended_at.is_some() {
            return Verdict::Ended(EndReason::parse(&login.ended_reason));
        }
        if now >= login.absolute_until {
            return Verdict::Over(EndReason::Absolute);
        }
        if now >= login.idle_until {
            return Verdict::Over(EndReason::Idle);
        }
        // A clock that was set back makes the moment of grace longer, not shorter: nobody is taken for a thief because of it.
        let is_previous = generation.wrapping_add(1) == login.generation;
        let in_grace = now.saturating_sub(login.rotated_at) <= self.settings.rotation_grace_ms;
        match generation {
            same if same == login.generation => Verdict::Good,
            _ if is_previous && in_grace => Verdict::Good,
            newer if newer > login.generation => Verdict::Over(EndReason::Revoked), // The store was set back to an older state.
            _ => Verdict::Over(EndReason::Replayed),
        }
    }

    /// Those that have not ended, by whatever.
    async fn logins_of(&self, user: &UserId, budget: Budget) -> Result<Vec<Login>, AccountError> {
        let now = self.clock.wall_ms();
        let mut logins = budget.of(self.store.logins_of(user, LOGINS_MAX)).await?;
        logins.retain(|login| login.ended_at.is_none() && now < login.idle_until && now < login.absolute_until);
        Ok(logins)
    }

    async fn end(&self, user: &UserId, which: &Logins, reason: EndReason, budget: Budget) -> Result<usize, AccountError> {
        match budget.of(self.store.end_logins(which, reason.as_str(), self.clock.wall_ms())).await {
            Ok(ended) => {
                self.ended(user, &ended, reason);
                Ok(ended.len())
            }
            Err(error) => {
                // The store may have done it, or may yet do it. Whoever asked is told that it failed; what is certainly meant ends now.
                if let Logins::One(login) = which {
                    self.ended(user, &[*login], reason);
                }
                Err(error)
            }
        }
    }

    /// What was let in by ended logins is void from now on.
    fn ended(&self, user: &UserId, logins: &[LoginId], reason: EndReason) {
        let (now, until) = self.last_expiry();
        // First the tokens, then the connections: one that is being made in between is noticed by one or the other.
        self.tokens.revoke_logins(logins, now, until);
        self.live.close(user, logins);
        emit(LoginsEnded { reason: reason.as_str(), count: logins.len() });
    }

    fn renew(&self, user: &User) {
        let (now, until) = self.last_expiry();
        self.tokens.revoke_before(&user.name, user.version, now, until);
        self.live.renew(&user.name);
    }

    /// Unix seconds: now, and when the last token that has been minted until now will have expired.
    fn last_expiry(&self) -> (i64, i64) {
        let now = self.clock.wall_seconds();
        (now, now + self.settings.token_ttl_ms.div_euclid(1_000) + 2)
    }

    /// Unix seconds: now, and when a token that is minted now expires. None outlives its login.
    fn token_times(&self, login: &Login) -> (i64, i64) {
        let now = self.clock.wall_ms();
        let until = now.saturating_add(self.settings.token_ttl_ms).min(login.absolute_until).min(login.idle_until);
        (now.div_euclid(1_000), until.div_euclid(1_000))
    }

    fn grants_of(&self, user: &User) -> Grants {
        Grants::parse(&user.grants).unwrap_or_else(|error| {
            log::error!("accounts: the stored grants of {} do not count: {error}", user.name);
            Grants::NONE
        })
    }

    fn signed_in(&self, user: &User, login: &Login) -> Result<SignedIn, AccountError> {
        let role = users::role_of(user);
        let (now, expires_at) = self.token_times(login);
        let mint = MintLogin { user: &user.name, login: login.id, role, grants: &self.grants_of(user), user_version: user.version, now, expires_at };
        let wall_ms = self.clock.wall_ms();
        Ok(SignedIn {
            user: user.name.clone(),
            role,
            token: self.tokens.mint_connection(&mint)?,
            token_ttl_ms: (expires_at * 1_000).saturating_sub(wall_ms).max(0),
            refresh: self.tokens.refresh_token(login),
            refresh_ttl_ms: login.absolute_until.min(login.idle_until).saturating_sub(wall_ms).max(0),
        })
    }

    fn note(&self, actor: &UserId, place: &Place, action: &'static str, object: &str, details: Value) {
        let actor = if actor.is_anonymous() { "(anonymous)" } else { actor.as_str() }.to_string();
        self.journal.note(Note { actor, origin: place.address.to_string(), action, object: object.to_string(), details });
    }
}

/// There is nothing that is known.
const SIGNED_OUT: AccountError = AccountError::SignedOut { reason: EndReason::None };

/// What a refresh token is worth.
enum Verdict {
    Good,
    /// The login has ended before.
    Ended(EndReason),
    /// The login is to end now.
    Over(EndReason),
}

fn must_be_a_password(password: &SecretString) -> Result<(), AccountError> {
    if PASSWORD_BYTES.contains(&password.expose_secret().len()) { Ok(()) } else { Err(AccountError::PasswordLength) }
}

fn hash_error(error: PasswordError) -> AccountError {
    match error {
        PasswordError::Busy => AccountError::Busy,
        source => AccountError::Hash { source },
    }
}
