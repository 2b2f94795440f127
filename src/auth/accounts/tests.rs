//! The service on a real store, with time that is moved by hand. What is live is written down instead of being closed.

use super::super::jwt::{TokenError, TokenSettings, TokenVerifier};
use super::super::passwords::PasswordSettings;
use super::super::{HubKey, TokenFault};
use super::*;
use crate::channel::{ChannelOptions, NameSyntax, Namespace};
use crate::config::StoreConfig;
use crate::store::{Block, BlockKind};
use std::net::Ipv4Addr;
use tempfile::TempDir;

const START: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
const PASSWORD: &str = "correct horse";

#[derive(Default)]
struct Ledger {
    closed: Mutex<Vec<LoginId>>,
    renewed: Mutex<Vec<String>>,
    notes: Mutex<Vec<Note>>,
}

impl LiveSessions for Ledger {
    fn close(&self, _: &UserId, logins: &[LoginId]) {
        self.closed.lock().extend(logins);
    }
    fn renew(&self, user: &UserId) {
        self.renewed.lock().push(user.to_string());
    }
    fn of_login(&self, _: &UserId, _: LoginId) -> Vec<LiveSession> {
        Vec::new()
    }
}

impl Journal for Ledger {
    fn note(&self, note: Note) {
        self.notes.lock().push(note);
    }
}

struct Rig {
    accounts: Accounts,
    store: Arc<dyn Store>,
    clock: Clock,
    ledger: Arc<Ledger>,
    verifier: TokenVerifier,
    blocks: Arc<Blocks>,
    _directory: TempDir,
}

fn settings() -> AccountSettings {
    AccountSettings {
        token_ttl_ms: 15 * MINUTE,
        rotation_grace_ms: 30_000,
        idle_ms: 14 * DAY,
        absolute_ms: 90 * DAY,
        logins_per_user: 3,
        throttle: ThrottleRules { tries: 3, tries_per_address: 50, pause_ms: 60_000, pause_max_ms: 900_000 },
    }
}

impl Rig {
    async fn new() -> Self {
        Self::with(settings()).await
    }

    /// With the users alice, an operator, and root, an admin.
    async fn with(settings: AccountSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = crate::store::open(&StoreConfig::default(), directory.path()).await.unwrap();
        let clock = Clock::manual(START);
        let tokens = Arc::new(HubTokens::new(&HubKey::configured("a key of the tests")).unwrap());
        let cheap = PasswordSettings { memory_kib: 8, iterations: 1, parallelism: 1, at_once: 1, wait: Duration::from_secs(20) };
        let ledger = Arc::new(Ledger::default());
        let limited = ChannelOptions { allow_user_limited_channels: true, ..ChannelOptions::default() };
        let namespaces = vec![Namespace { name: "chat".to_string(), options: limited }];
        let blocks = Arc::new(Blocks::new(Arc::clone(&store), clock.clone()));
        let parts = AccountParts {
            store: Arc::clone(&store),
            clock: clock.clone(),
            tokens: Arc::clone(&tokens),
            passwords: Arc::new(Passwords::start(&cheap).unwrap()),
            live: Arc::clone(&ledger) as _,
            journal: Arc::clone(&ledger) as _,
            blocks: Arc::clone(&blocks),
            rules: Arc::new(ChannelRules::new(NameSyntax::default(), ChannelOptions::default(), namespaces).unwrap()),
        };
        let accounts = Accounts::new(parts, settings);
        let grants = Grants::parse(r#"{"chat":["subscribe"]}"#).unwrap();
        accounts.add_user("alice", PASSWORD.into(), Role::Operator, &grants).await.unwrap();
        accounts.add_user("root", PASSWORD.into(), Role::Admin, &Grants::NONE).await.unwrap();
        let verifier = TokenVerifier::new(&TokenSettings::default()).unwrap().and_those_of(tokens);
        Self { accounts, store, clock, ledger, verifier, blocks, _directory: directory }
    }

    async fn login(&self) -> SignedIn {
        self.accounts.login("alice", PASSWORD.into(), &here()).await.unwrap_or_else(|error| panic!("{error}"))
    }
    async fn refresh(&self, token: &str) -> Result<SignedIn, AccountError> {
        self.accounts.refresh(token, &here()).await
    }
    fn pass(&self, ms: i64) {
        self.clock.advance(Duration::from_millis(ms as u64));
    }
    fn lets_in(&self, token: &str) -> Result<(), TokenError> {
        self.verifier.verify_connection(token, self.clock.wall_seconds()).map(|_| ())
    }
    fn noted(&self, action: &str) -> usize {
        self.ledger.notes.lock().iter().filter(|note| note.action == action).count()
    }
}

fn here() -> Place {
    Place { address: IpAddr::V4(Ipv4Addr::LOCALHOST), device: "a test".to_string() }
}
fn id_of(token: &str) -> LoginId {
    RefreshToken::parse(token).expect("it is one of ours").login
}
fn alice() -> UserId {
    "alice".into()
}

/// Why somebody is signed out.
fn reason<T: std::fmt::Debug>(outcome: Result<T, AccountError>) -> EndReason {
    match outcome {
        Err(AccountError::SignedOut { reason }) => reason,
        other => panic!("not signed out but {other:?}"),
    }
}

#[actix_rt::test]
async fn whoever_knows_the_password_gets_in_whatever_the_case_of_the_name() {
    let rig = Rig::new().await;
    for name in ["alice", "Alice", "ALICE"] {
        let signed_in = rig.accounts.login(name, PASSWORD.into(), &here()).await.unwrap();
        assert_eq!((signed_in.user, signed_in.role, signed_in.token_ttl_ms), (alice(), Role::Operator, 15 * MINUTE));
        let claims = rig.verifier.verify_connection(&signed_in.token, rig.clock.wall_seconds()).unwrap();
        assert_eq!(claims.bearer.login, Some(id_of(&signed_in.refresh)));
        assert!(claims.bearer.grants.of("chat").has(super::super::Permission::Subscribe));
    }
    assert_eq!(rig.noted("login"), 3);
}

#[actix_rt::test]
async fn a_wrong_password_and_an_unknown_name_are_told_apart_by_nothing() {
    let rig = Rig::new().await;
    let long = "a".repeat(500);
    for name in ["alice", "nobody", "al\0ice", "\u{430}lice", "", &long] {
        let place = Place { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, name.len() as u8)), ..here() };
        for left in [2, 1] {
            match rig.accounts.login(name, "wrong horse".into(), &place).await {
                Err(AccountError::Wrong { tries_left, pause_ms }) => {
                    // Names that nobody can have count for the address alone.
                    let is_name = user_name(name).is_some();
                    assert_eq!((tries_left == left, pause_ms), (is_name, 60_000), "{name:?}: {tries_left}");
                }
                other => panic!("{name:?}: {other:?}"),
            }
        }
    }
    let paused = rig.accounts.login("nobody", "wrong horse".into(), &here()).await;
    assert!(matches!(paused, Err(AccountError::Paused { for_ms: 60_000 })), "{paused:?}");
    let still = rig.accounts.login("nobody", "wrong horse".into(), &here()).await;
    assert!(matches!(still, Err(AccountError::Paused { for_ms: 60_000 })), "{still:?}");
}

#[actix_rt::test]
async fn a_pause_holds_for_the_right_password_too_and_ends_whatever_the_wall_clock_says() {
    let rig = Rig::new().await;
    for _ in 0..3 {
        assert!(rig.accounts.login("alice", "wrong horse".into(), &here()).await.is_err());
    }
    let paused = rig.accounts.login("alice", PASSWORD.into(), &here()).await;
    assert!(matches!(paused, Err(AccountError::Paused { .. })), "{paused:?}");
    rig.pass(MINUTE);
    rig.login().await;
    // All is as if nobody had tried.
    assert!(matches!(rig.accounts.login("alice", "wrong horse".into(), &here()).await, Err(AccountError::Wrong { tries_left: 2, .. })));
}

#[actix_rt::test]
async fn each_refresh_brings_the_next_token_and_the_last_one_holds_for_a_moment() {
    let rig = Rig::new().await;
    let first = rig.login().await;
    rig.pass(10 * MINUTE);
    let second = rig.refresh(&first.refresh).await.unwrap();
    assert_ne!(second.refresh, first.refresh);
    // The other tab, or the same one after a lost answer: it gets what the first one got.
    rig.pass(30_000);
    assert_eq!(rig.refresh(&first.refresh).await.unwrap().refresh, second.refresh);
    let third = rig.refresh(&second.refresh).await.unwrap();
    assert_eq!(rig.refresh(&second.refresh).await.unwrap().refresh, third.refresh);
    let (_, login) = rig.accounts.whose(&third.refresh, &here()).await.unwrap();
    assert_eq!((login.generation, login.last_seen_at), (2, START + 10 * MINUTE + 30_000));
}

#[actix_rt::test]
async fn fifty_tabs_that_ask_at_once_all_get_the_same() {
    let rig = Rig::new().await;
    let first = rig.login().await;
    let asked = (0..50).map(|_| rig.refresh(&first.refresh));
    let outcomes = futures_util::future::join_all(asked).await;
    let tokens: std::collections::HashSet<String> = outcomes.into_iter().map(|outcome| outcome.unwrap().refresh).collect();
    assert_eq!(tokens.len(), 1);
}

#[actix_rt::test]
async fn a_replayed_token_ends_the_login_and_what_it_let_in() {
    for late_ms in [30_001, 10 * MINUTE] {
        let rig = Rig::new().await;
        let first = rig.login().await;
        let second = rig.refresh(&first.refresh).await.unwrap();
        rig.pass(late_ms);
        assert_eq!(reason(rig.refresh(&first.refresh).await), EndReason::Replayed);
        assert_eq!(reason(rig.refresh(&second.refresh).await), EndReason::Replayed, "the thief or the owner, nobody can tell");
        assert_eq!(*rig.ledger.closed.lock(), [id_of(&first.refresh)]);
        assert_eq!(rig.lets_in(&second.token), Err(TokenFault::Revoked.into()));
        assert_eq!(rig.noted("login.replayed"), 1);
    }
}

#[actix_rt::test]
async fn two_generations_back_is_too_old_even_at_once() {
    let rig = Rig::new().await;
    let first = rig.login().await;
    let second = rig.refresh(&first.refresh).await.unwrap();
    rig.refresh(&second.refresh).await.unwrap();
    assert_eq!(reason(rig.refresh(&first.refresh).await), EndReason::Replayed);
}

#[actix_rt::test]
async fn nobody_ends_a_login_whose_token_it_cannot_sign() {
    let rig = Rig::new().await;
    let signed_in = rig.login().await;
    let id = id_of(&signed_in.refresh);
    let signature = signed_in.refresh.rsplit_once('.').unwrap().1;
    for forged in [
        String::new(),
        "nonsense".to_string(),
        format!("v1.{id}.0.{}", "A".repeat(43)),
        format!("v1.{id}.7.{signature}"),
        format!("v1.{}.0.{signature}", LoginId::random()),
    ] {
        assert_eq!(reason(rig.refresh(&forged).await), EndReason::None, "{forged}");
    }
    assert!(rig.refresh(&signed_in.refresh).await.is_ok());
}

#[actix_rt::test]
async fn logins_end_by_disuse_and_by_age() {
    let rig = Rig::new().await;
    let mut signed_in = rig.login().await;
    let start = rig.clock.wall_ms();
    while rig.clock.wall_ms() + 13 * DAY < start + 90 * DAY {
        rig.pass(13 * DAY);
        signed_in = rig.refresh(&signed_in.refresh).await.expect("it is used every thirteen days");
    }
    // No token outlives its login.
    rig.pass(start + 90 * DAY - rig.clock.wall_ms() - MINUTE);
    signed_in = rig.refresh(&signed_in.refresh).await.unwrap();
    assert_eq!((signed_in.token_ttl_ms, signed_in.refresh_ttl_ms), (MINUTE, MINUTE));
    rig.pass(MINUTE);
    assert_eq!(reason(rig.refresh(&signed_in.refresh).await), EndReason::Absolute);
    assert_eq!(rig.lets_in(&signed_in.token), Err(TokenError::Expired));

    let signed_in = rig.login().await;
    rig.pass(14 * DAY - 1);
    assert!(rig.accounts.whose(&signed_in.refresh, &here()).await.is_ok());
    rig.pass(1);
    assert_eq!(reason(rig.refresh(&signed_in.refresh).await), EndReason::Idle);
    assert_eq!(reason(rig.refresh(&signed_in.refresh).await), EndReason::Idle, "and so it stays");
}

#[actix_rt::test]
async fn logging_out_ends_one_and_everywhere_ends_all() {
    let rig = Rig::new().await;
    let (one, two, three) = (rig.login().await, rig.login().await, rig.login().await);
    rig.accounts.logout(&one.refresh, &here()).await.unwrap();
    assert_eq!(reason(rig.refresh(&one.refresh).await), EndReason::Logout);
    assert_eq!(rig.lets_in(&one.token), Err(TokenFault::Revoked.into()), "the token is void before its time");
    assert_eq!(rig.lets_in(&two.token), Ok(()));
    assert_eq!(reason(rig.accounts.logout(&one.refresh, &here()).await), EndReason::Logout);
    rig.pass(1);
    rig.accounts.logout_everywhere(&two.refresh, &here()).await.unwrap();
    for signed_in in [&two, &three] {
        assert_eq!(reason(rig.refresh(&signed_in.refresh).await), EndReason::Logout);
        assert!(rig.lets_in(&signed_in.token).is_err());
    }
    let mut closed = rig.ledger.closed.lock().clone();
    let mut all = [&one, &two, &three].map(|signed_in| id_of(&signed_in.refresh));
    closed.sort_unstable();
    all.sort_unstable();
    assert_eq!(closed, all);
}

#[actix_rt::test]
async fn own_logins_are_seen_and_ended_and_those_of_others_are_not_there() {
    let rig = Rig::new().await;
    let one = rig.login().await;
    rig.pass(MINUTE);
    let two = rig.login().await;
    let root = rig.accounts.login("root", PASSWORD.into(), &here()).await.unwrap();
    let own = rig.accounts.own_logins(&two.refresh, &here()).await.unwrap();
    let seen: Vec<_> = own.iter().map(|own| (own.login.id, own.is_current, own.login.device.as_str())).collect();
    assert_eq!(seen, [(id_of(&two.refresh), true, "a test"), (id_of(&one.refresh), false, "a test")]);
    for other in [id_of(&root.refresh), LoginId::random()] {
        assert!(matches!(rig.accounts.end_own_login(&two.refresh, other, &here()).await, Err(AccountError::NoSuchLogin)));
    }
    rig.accounts.end_own_login(&two.refresh, id_of(&one.refresh), &here()).await.unwrap();
    assert_eq!(reason(rig.refresh(&one.refresh).await), EndReason::Revoked);
    assert!(matches!(rig.accounts.end_own_login(&two.refresh, id_of(&one.refresh), &here()).await, Err(AccountError::NoSuchLogin)));
    assert!(rig.refresh(&root.refresh).await.is_ok());
}

#[actix_rt::test]
async fn the_login_that_was_used_longest_ago_makes_room() {
    let rig = Rig::new().await;
    let mut logins = Vec::new();
    for _ in 0..3 {
        logins.push(rig.login().await);
        rig.pass(MINUTE);
    }
    let oldest = rig.refresh(&logins[0].refresh).await.unwrap();
    rig.pass(MINUTE);
    rig.login().await;
    assert_eq!(reason(rig.refresh(&logins[1].refresh).await), EndReason::Revoked);
    assert!(rig.refresh(&oldest.refresh).await.is_ok() && rig.refresh(&logins[2].refresh).await.is_ok());
}

#[actix_rt::test]
async fn a_changed_password_ends_the_other_logins() {
    let rig = Rig::new().await;
    let (mine, other) = (rig.login().await, rig.login().await);
    let change = |current: &str, new: &str| rig.accounts.change_password(&mine.refresh, current.into(), new.into(), &PLACE);
    static PLACE: std::sync::LazyLock<Place> = std::sync::LazyLock::new(here);
    assert!(matches!(change("wrong horse", "another horse").await, Err(AccountError::Wrong { tries_left: 2, .. })));
    for bad in ["short", "", &"x".repeat(1_025)] {
        assert!(matches!(change(PASSWORD, bad).await, Err(AccountError::PasswordLength)), "{}", bad.len());
    }
    change(PASSWORD, "another horse").await.unwrap();
    assert_eq!(reason(rig.refresh(&other.refresh).await), EndReason::Password);
    assert!(rig.refresh(&mine.refresh).await.is_ok());
    assert!(matches!(rig.accounts.login("alice", PASSWORD.into(), &here()).await, Err(AccountError::Wrong { .. })));
    assert!(rig.accounts.login("alice", "another horse".into(), &here()).await.is_ok());
}

#[actix_rt::test]
async fn roles_and_grants_take_effect_at_once() {
    let rig = Rig::new().await;
    let before = rig.login().await;
    rig.accounts.set_role(&alice(), Role::Viewer).await.unwrap();
    assert_eq!(rig.lets_in(&before.token), Err(TokenError::Expired), "the client gets a new one");
    let after = rig.refresh(&before.refresh).await.unwrap();
    assert_eq!((after.role, rig.lets_in(&after.token)), (Role::Viewer, Ok(())));
    rig.accounts.set_grants(&alice(), &Grants::NONE).await.unwrap();
    assert_eq!(rig.lets_in(&after.token), Err(TokenError::Expired));
    assert_eq!(*rig.ledger.renewed.lock(), ["alice", "alice"]);
    let nobody = rig.accounts.set_role(&"nobody".into(), Role::Viewer).await;
    assert!(matches!(nobody, Err(AccountError::NoSuchUser { .. })));
}

#[actix_rt::test]
async fn somebody_stays_admin() {
    let rig = Rig::new().await;
    let root: UserId = "root".into();
    assert!(matches!(rig.accounts.set_role(&root, Role::Operator).await, Err(AccountError::LastAdmin)));
    assert!(matches!(rig.accounts.remove_user(&root).await, Err(AccountError::LastAdmin)));
    rig.accounts.set_role(&root, Role::Admin).await.unwrap();
    rig.accounts.set_role(&alice(), Role::Admin).await.unwrap();
    // Two who demote each other at once.
    let (one, two) = futures_util::future::join(rig.accounts.set_role(&root, Role::Viewer), rig.accounts.set_role(&alice(), Role::Viewer)).await;
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|is_ok| **is_ok).count(), 1);
    let admins = rig.accounts.users(None, 10).await.unwrap().into_iter().filter(|user| user.role == Role::Admin).count();
    assert_eq!(admins, 1);
}

#[actix_rt::test]
async fn a_removed_user_is_gone_with_all_its_logins_and_another_one_of_that_name_is_another_one() {
    let rig = Rig::new().await;
    let signed_in = rig.login().await;
    rig.accounts.remove_user(&alice()).await.unwrap();
    assert!(rig.refresh(&signed_in.refresh).await.is_err() && rig.lets_in(&signed_in.token).is_err());
    assert_eq!(*rig.ledger.closed.lock(), [id_of(&signed_in.refresh)]);
    assert!(matches!(rig.accounts.remove_user(&alice()).await, Err(AccountError::NoSuchUser { .. })));
    rig.accounts.add_user("alice", PASSWORD.into(), Role::Viewer, &Grants::NONE).await.unwrap();
    assert!(rig.refresh(&signed_in.refresh).await.is_err());
    let anew = rig.login().await;
    assert_eq!((anew.role, rig.lets_in(&anew.token)), (Role::Viewer, Ok(())));
}

#[actix_rt::test]
async fn an_administrator_sets_a_password_without_knowing_the_old_one() {
    let rig = Rig::new().await;
    let signed_in = rig.login().await;
    rig.accounts.set_password(&alice(), "another horse".into()).await.unwrap();
    assert_eq!(reason(rig.refresh(&signed_in.refresh).await), EndReason::Password);
    assert!(rig.lets_in(&signed_in.token).is_err());
    assert!(rig.accounts.login("alice", "another horse".into(), &here()).await.is_ok());
    assert_eq!(rig.accounts.end_logins(&alice(), None).await.unwrap(), 1);
}

#[actix_rt::test]
async fn users_are_made_once_with_a_name_and_a_password_that_can_be() {
    let rig = Rig::new().await;
    let add = |name: &'static str, password: &'static str| rig.accounts.add_user(name, password.into(), Role::Viewer, &Grants::NONE);
    assert!(matches!(add("Alice", PASSWORD).await, Err(AccountError::UserExists { .. })));
    assert!(matches!(add("al ice", PASSWORD).await, Err(AccountError::BadName)));
    assert!(matches!(add("bob", "short").await, Err(AccountError::PasswordLength)));
    assert_eq!(add("Bob", PASSWORD).await.unwrap().name.as_str(), "bob");
    let names: Vec<_> = rig.accounts.users(Some(&alice()), 10).await.unwrap().into_iter().map(|user| user.name.to_string()).collect();
    assert_eq!(names, ["bob", "root"]);
}

#[actix_rt::test]
async fn a_password_that_was_kept_at_another_cost_is_kept_anew_at_the_login() {
    let rig = Rig::new().await;
    let mut user = rig.store.user(&alice()).await.unwrap().unwrap();
    let dearer = PasswordSettings { memory_kib: 64, iterations: 2, parallelism: 1, at_once: 1, wait: Duration::from_secs(20) };
    user.password = super::super::passwords::Keeper::new(&dearer).unwrap().hash(&PASSWORD.into()).unwrap();
    rig.store.replace_user(&user).await.unwrap();
    let signed_in = rig.login().await;
    let kept = rig.store.user(&alice()).await.unwrap().unwrap();
    assert!(kept.password.0.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", kept.password.0);
    assert_eq!(rig.lets_in(&signed_in.token), Ok(()), "its token is for the user as it is now");
    rig.login().await;
    assert_eq!(rig.store.user(&alice()).await.unwrap().unwrap(), kept, "and then it stays");
}

#[actix_rt::test]
async fn who_is_banned_does_not_get_in_and_is_where_it_was_when_it_is_let_in_again() {
    let rig = Rig::new().await;
    let signed_in = rig.login().await;
    let by_address = Block { kind: BlockKind::Address, subject: "127.0.0.0/8".to_string(), ..banned("alice") };
    for block in [banned("alice"), by_address] {
        let (kind, subject) = (block.kind, block.subject.clone());
        rig.blocks.put(block).await.unwrap();
        assert!(matches!(rig.refresh(&signed_in.refresh).await, Err(AccountError::Banned { .. })), "{subject}");
        assert!(matches!(rig.accounts.login("alice", PASSWORD.into(), &here()).await, Err(AccountError::Banned { .. })), "{subject}");
        let guess = rig.accounts.login("alice", "wrong horse".into(), &here()).await;
        assert!(matches!(guess, Err(AccountError::Wrong { .. })), "who does not know the password is not told");
        assert!(rig.blocks.remove(kind, &subject).await.unwrap());
        assert!(rig.accounts.whose(&signed_in.refresh, &here()).await.is_ok(), "{subject}");
    }
}

fn banned(user: &str) -> Block {
    Block { kind: BlockKind::User, subject: user.to_string(), reason: String::new(), by: "root".to_string(), since: START, until: None }
}

#[actix_rt::test]
async fn subscription_tokens_are_made_where_grants_allow_them() {
    let rig = Rig::new().await;
    let signed_in = rig.login().await;
    for (channel, is_allowed) in [
        ("chat:1", true),
        ("$chat:1", true),
        ("$chat:1#alice", true),
        ("$chat:1#bob", false),
        ("$other:1", false),
        ("$1", false),
        ("", false),
        ("$admin:events", false),
        ("chat:\u{e9}", false),
    ] {
        match rig.accounts.subscription_token(&signed_in.refresh, channel, &here()).await {
            Ok(token) => {
                let claims = rig.verifier.verify_subscription(&token, rig.clock.wall_seconds()).unwrap();
                assert!(is_allowed && claims.channel.as_str() == channel && claims.user == alice(), "{channel}");
            }
            Err(AccountError::NotGranted { .. }) => assert!(!is_allowed, "{channel}"),
            Err(error) => panic!("{channel}: {error}"),
        }
    }
}

#[actix_rt::test]
async fn a_clock_that_is_set_back_takes_nobody_for_a_thief() {
    let rig = Rig::new().await;
    let first = rig.login().await;
    rig.pass(60 * MINUTE);
    let second = rig.refresh(&first.refresh).await.unwrap();
    // The same moment by a clock that stands an hour behind.
    let (_, login) = rig.accounts.whose(&second.refresh, &here()).await.unwrap();
    let ahead = Login { rotated_at: login.rotated_at + 60 * MINUTE, ..login.clone() };
    assert!(rig.store.replace_login(login.generation, &ahead).await.unwrap());
    assert_eq!(rig.refresh(&first.refresh).await.unwrap().refresh, second.refresh);
}

#[actix_rt::test]
async fn notes_hold_no_secret() {
    let rig = Rig::new().await;
    let signed_in = rig.login().await;
    let _ = rig.accounts.login("alice", "a wrong secret".into(), &here()).await;
    let _ = rig.accounts.login("a password in the wrong field", "another secret".into(), &here()).await;
    rig.accounts.change_password(&signed_in.refresh, PASSWORD.into(), "another horse".into(), &here()).await.unwrap();
    let notes = format!("{:?}", rig.ledger.notes.lock());
    for secret in [PASSWORD, "a wrong secret", "wrong field", "another secret", "another horse", "v1.", &signed_in.token] {
        assert!(!notes.contains(secret), "{secret} in {notes}");
    }
    assert_eq!(rig.noted("login.refused"), 2);
}
