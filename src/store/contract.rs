//! What every store promises, as tests: written once, run against each implementation by `contract_tests!`.

use super::{
    ApiKeyRecord, AuditQuery, AuditRecord, Block, BlockKind, Login, LoginId, Logins, PasswordHash, Settings, Store, StoreError, StoredPublication,
    StoredStream, User, WallMs,
};
use crate::channel::{ChannelName, UserId};
use bytes::Bytes;
use futures_util::future::join_all;

/// What holds no text that a store could stumble over: quotes, a line feed, NUL, what looks like SQL, an operator or a path, right-to-left text.
const HOSTILE: [&str; 7] = ["'", "\"; DROP TABLE user; --", "$where", "a.b", "a\0b", "a\nb", "\u{202e}ض𝄞"];

/// The time at which everything begins: far enough ahead that no server takes anything for expired.
const T: WallMs = 4_000_000_000_000;

fn user(name: &str) -> User {
    User {
        name: UserId::new(name),
        password: PasswordHash("$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA".to_string()),
        role: "viewer".to_string(),
        grants: r#"{"chat":["subscribe"]}"#.to_string(),
        created_at: 1_000,
        password_changed_at: 2_000,
        version: 0,
    }
}

fn login(id: u128, user: &str, created_at: WallMs) -> Login {
    Login {
        id: LoginId(id),
        user: UserId::new(user),
        salt: [7; 16],
        generation: 0,
        rotated_at: T + created_at,
        created_at: T + created_at,
        last_seen_at: T + created_at,
        idle_until: T + created_at + 1_000,
        absolute_until: T + created_at + 10_000,
        address: "2001:db8::1".to_string(),
        device: "a browser".to_string(),
        ended_at: None,
        ended_reason: String::new(),
    }
}

fn block(kind: BlockKind, subject: &str, until: Option<WallMs>) -> Block {
    Block { kind, subject: subject.to_string(), reason: "spam".to_string(), by: "root".to_string(), since: 5, until: until.map(|until| T + until) }
}

fn api_key(id: &str) -> ApiKeyRecord {
    ApiKeyRecord {
        id: id.to_string(),
        name: "the shop".to_string(),
        secret_hash: "ab".repeat(32),
        methods: vec!["publish".to_string(), "it's".to_string()],
        namespaces: vec![String::new()],
        created_at: 1,
        created_by: "root".to_string(),
        expires_at: Some(9),
        last_used_at: None,
    }
}

fn record(sequence: u64, actor: &str, action: &str) -> AuditRecord {
    AuditRecord {
        sequence,
        at: sequence as WallMs * 10,
        actor: actor.to_string(),
        origin: "127.0.0.1 websocket".to_string(),
        action: action.to_string(),
        object: "alice".to_string(),
        details: r#"{"reason":"spam"}"#.to_string(),
        outcome: if sequence.is_multiple_of(2) { "done" } else { "refused" }.to_string(),
        previous: "0".repeat(64),
        hash: "1".repeat(64),
    }
}

fn publication(channel: &str, epoch: &str, offset: u64, size: u32) -> StoredPublication {
    StoredPublication {
        channel: ChannelName::new(channel),
        epoch: epoch.to_string(),
        offset,
        body: Bytes::from(format!("{epoch}{offset}\0")),
        at: T + offset as WallMs,
        expires_at: T + 1_000 + offset as WallMs,
        stream_expires_at: T + 10_000 + offset as WallMs,
        size,
    }
}

fn is_conflict<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Conflict { .. })), "{outcome:?}");
}

pub async fn users_are_kept_and_listed(store: &dyn Store) {
    let (bob, anna) = (user("bob"), user("anna"));
    store.add_user(&bob).await.unwrap();
    store.add_user(&anna).await.unwrap();
    store.add_user(&anna).await.expect("a repeated call is answered as the first");
    is_conflict(store.add_user(&User { role: "admin".to_string(), ..user("anna") }).await);
    assert_eq!(store.user(&bob.name).await.unwrap(), Some(bob.clone()));
    assert_eq!(store.user(&UserId::new("Bob")).await.unwrap(), None);
    assert_eq!(store.users(None, 10).await.unwrap(), [anna.clone(), bob.clone()]);
    assert_eq!(store.users(None, 1).await.unwrap(), std::slice::from_ref(&anna));
    assert_eq!(store.users(Some(&anna.name), 10).await.unwrap(), std::slice::from_ref(&bob));
    assert_eq!(store.users(None, 0).await.unwrap(), []);
}

pub async fn of_two_who_change_a_user_one_must_look_again(store: &dyn Store) {
    is_conflict(store.replace_user(&user("anna")).await);
    store.add_user(&user("anna")).await.unwrap();
    let (admin, operator) = (User { role: "admin".to_string(), ..user("anna") }, User { role: "operator".to_string(), ..user("anna") });
    store.replace_user(&admin).await.unwrap();
    is_conflict(store.replace_user(&operator).await);
    store.replace_user(&admin).await.expect("a repeated call is answered as the first");
    assert_eq!(store.user(&admin.name).await.unwrap(), Some(admin.replaced()));
    let again = User { role: "operator".to_string(), ..admin.replaced() };
    store.replace_user(&again).await.unwrap();
    assert_eq!(store.user(&admin.name).await.unwrap().unwrap().version, 2);
}

pub async fn a_user_goes_with_all_logins(store: &dyn Store) {
    store.add_user(&user("anna")).await.unwrap();
    store.add_login(&login(1, "anna", 0)).await.unwrap();
    store.add_login(&login(2, "bob", 0)).await.unwrap();
    assert!(store.remove_user(&UserId::new("anna")).await.unwrap());
    assert!(!store.remove_user(&UserId::new("anna")).await.unwrap());
    assert_eq!(store.user(&UserId::new("anna")).await.unwrap(), None);
    assert_eq!(store.login(LoginId(1)).await.unwrap(), None);
    assert!(store.login(LoginId(2)).await.unwrap().is_some());
}

pub async fn settings_are_each_users_own_and_not_more_than_allowed(store: &dyn Store) {
    let (anna, bob, carol) = (UserId::new("anna"), UserId::new("bob"), UserId::new("carol"));
    let saved = |body: &str, at: WallMs| Settings { body: body.to_string(), saved_at: T + at };
    assert_eq!(store.settings(&anna).await.unwrap(), None);
    store.put_settings(&anna, &saved("{}", 1), 2).await.unwrap();
    store.put_settings(&bob, &saved(r#"{"a\u0000":"'"}"#, 2), 2).await.unwrap();
    store.put_settings(&anna, &saved(r#"{"b":1}"#, 3), 2).await.unwrap();
    store.put_settings(&anna, &saved(r#"{"b":1}"#, 3), 2).await.expect("a repeated call is answered as the first");
    assert_eq!(store.settings(&anna).await.unwrap(), Some(saved(r#"{"b":1}"#, 3)));
    assert_eq!(store.settings(&bob).await.unwrap(), Some(saved(r#"{"a\u0000":"'"}"#, 2)));
    // A third, whose clock was behind: it stays, and the one of the others who saved longest ago gives way.
    store.put_settings(&carol, &saved("{}", 0), 2).await.unwrap();
    assert_eq!(store.settings(&bob).await.unwrap(), None);
    assert_eq!(store.settings(&carol).await.unwrap(), Some(saved("{}", 0)));
    store.add_user(&user("anna")).await.unwrap();
    assert!(store.remove_user(&anna).await.unwrap());
    assert_eq!(store.settings(&anna).await.unwrap(), None, "a user goes with its settings");
    assert!(store.settings(&carol).await.unwrap().is_some());
}

pub async fn logins_are_listed_newest_first(store: &dyn Store) {
    for (id, created_at) in [(u128::MAX, 10), (3, 30), (2, 20)] {
        store.add_login(&login(id, "anna", created_at)).await.unwrap();
    }
    store.add_login(&login(9, "bob", 5)).await.unwrap();
    let first = login(u128::MAX, "anna", 10);
    store.add_login(&first).await.expect("a repeated call is answered as the first");
    is_conflict(store.add_login(&login(u128::MAX, "bob", 10)).await);
    assert_eq!(store.login(first.id).await.unwrap(), Some(first.clone()));
    let anna = UserId::new("anna");
    assert_eq!(store.logins_of(&anna, 10).await.unwrap(), [login(3, "anna", 30), login(2, "anna", 20), first]);
    assert_eq!(store.logins_of(&anna, 1).await.unwrap().len(), 1);
}

pub async fn a_refresh_token_is_replaced_once(store: &dyn Store) {
    let first = login(1, "anna", 0);
    store.add_login(&first).await.unwrap();
    // Many tabs at once, each with a next token of its own.
    let next = |mark: u8| Login { generation: 1, salt: [mark; 16], idle_until: T + 2_000, ..first.clone() };
    let outcomes = join_all((0..8).map(|mark| async move { store.replace_login(0, &next(mark)).await.unwrap() })).await;
    assert_eq!(outcomes.iter().filter(|won| **won).count(), 1, "{outcomes:?}");
    let winner = next(outcomes.iter().position(|won| *won).unwrap() as u8);
    assert_eq!(store.login(first.id).await.unwrap(), Some(winner.clone()));
    assert!(store.replace_login(0, &winner).await.unwrap(), "a repeated call is answered as the first");
    assert!(!store.replace_login(7, &Login { generation: 8, ..winner.clone() }).await.unwrap());
    assert!(!store.replace_login(0, &login(2, "anna", 0)).await.unwrap(), "there is none");
    store.end_logins(&Logins::One(first.id), "logout", T + 5).await.unwrap();
    assert!(!store.replace_login(1, &Login { generation: 2, ..winner }).await.unwrap(), "it has ended");
}

pub async fn logins_end_once(store: &dyn Store) {
    for id in 1..=4 {
        store.add_login(&login(id, "anna", 0)).await.unwrap();
    }
    store.add_login(&login(5, "bob", 0)).await.unwrap();
    let ended = |which: Logins, reason: &'static str, at| async move {
        let mut ids = store.end_logins(&which, reason, T + at).await.unwrap();
        ids.sort();
        ids.into_iter().map(|id| id.0).collect::<Vec<_>>()
    };
    let one = Logins::One(LoginId(1));
    assert_eq!(ended(one.clone(), "logout", 50).await, [1]);
    assert_eq!(ended(one.clone(), "replayed", 60).await, []);
    assert_eq!(ended(Logins::One(LoginId(77)), "logout", 50).await, []);
    let others = Logins::OfUser { user: UserId::new("anna"), except: Some(LoginId(3)) };
    assert_eq!(ended(others.clone(), "password", 70).await, [2, 4]);
    assert_eq!(ended(others, "password", 70).await, [2, 4], "a repeated call is answered as the first");
    assert_eq!(ended(Logins::OfUser { user: UserId::new("anna"), except: None }, "logout", 80).await, [3]);
    let kept = store.login(LoginId(1)).await.unwrap().unwrap();
    assert_eq!((kept.ended_at, kept.ended_reason.as_str()), (Some(T + 50), "logout"));
    assert_eq!(store.login(LoginId(5)).await.unwrap().unwrap().ended_at, None);
}

pub async fn blocks_hold_until_their_end(store: &dyn Store) {
    let blocks = [
        block(BlockKind::Token, "jti", Some(100)),
        block(BlockKind::User, "anna", None),
        block(BlockKind::User, "bob", Some(200)),
        block(BlockKind::Address, "10.0.0.0/8", Some(300)),
    ];
    for block in blocks.iter().rev() {
        store.put_block(block).await.unwrap();
    }
    assert_eq!(store.blocks(T + 99, 10).await.unwrap(), blocks);
    assert_eq!(store.blocks(T + 100, 10).await.unwrap(), blocks[1..]);
    assert_eq!(store.blocks(T + 99, 2).await.unwrap(), blocks[..2]);
    let longer = Block { until: Some(T + 900), reason: "again".to_string(), ..blocks[0].clone() };
    store.put_block(&longer).await.unwrap();
    assert_eq!(store.blocks(T + 500, 10).await.unwrap(), [longer, blocks[1].clone()]);
    assert!(store.remove_block(BlockKind::User, "anna").await.unwrap());
    assert!(!store.remove_block(BlockKind::User, "anna").await.unwrap());
    assert!(!store.remove_block(BlockKind::Address, "bob").await.unwrap());
}

pub async fn api_keys_are_kept(store: &dyn Store) {
    let (second, first) = (api_key("k2"), api_key("k1"));
    store.put_api_key(&second).await.unwrap();
    store.put_api_key(&first).await.unwrap();
    assert_eq!(store.api_keys(10).await.unwrap(), [first.clone(), second.clone()]);
    let used = ApiKeyRecord { last_used_at: Some(60_000), expires_at: None, methods: Vec::new(), ..first };
    store.put_api_key(&used).await.unwrap();
    assert_eq!(store.api_keys(10).await.unwrap(), [used.clone(), second]);
    assert_eq!(store.api_keys(1).await.unwrap(), [used]);
    assert!(store.remove_api_key("k1").await.unwrap());
    assert!(!store.remove_api_key("k1").await.unwrap());
}

pub async fn the_audit_log_takes_each_number_once(store: &dyn Store) {
    assert_eq!(store.last_audit().await.unwrap(), None);
    let first = record(1, "root", "sessions.kick");
    store.append_audit(&first).await.unwrap();
    store.append_audit(&first).await.expect("a repeated call is answered as the first");
    is_conflict(store.append_audit(&AuditRecord { details: "{}".to_string(), ..first.clone() }).await);
    // Two writers who know the same last record.
    let outcomes = join_all(["a", "b", "c"].map(|actor| async move { store.append_audit(&record(2, actor, "bans.add")).await })).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert_eq!(store.last_audit().await.unwrap().unwrap().sequence, 2);
    assert_eq!(store.audit(&AuditQuery { limit: 1, ..AuditQuery::default() }).await.unwrap(), [first]);
}

pub async fn the_audit_log_is_searched(store: &dyn Store) {
    for (sequence, actor, action) in
        [(1, "root", "users.add"), (2, "olga", "sessions.kick"), (3, "root", "users"), (4, "root", "users.add.x"), (5, "root", "usersx")]
    {
        store.append_audit(&record(sequence, actor, action)).await.unwrap();
    }
    let all = || AuditQuery { limit: 10, ..AuditQuery::default() };
    let cases = [
        (all(), vec![1, 2, 3, 4, 5]),
        (AuditQuery { newest_first: true, limit: 2, ..all() }, vec![5, 4]),
        (AuditQuery { after: Some(3), ..all() }, vec![4, 5]),
        (AuditQuery { after: Some(3), newest_first: true, ..all() }, vec![2, 1]),
        (AuditQuery { from: Some(20), to: Some(40), ..all() }, vec![2, 3]),
        (AuditQuery { actor: Some("olga".to_string()), ..all() }, vec![2]),
        (AuditQuery { action: Some("users".to_string()), ..all() }, vec![1, 3, 4]),
        (AuditQuery { action: Some("user".to_string()), ..all() }, vec![]),
        (AuditQuery { action: Some("users.add".to_string()), actor: Some("root".to_string()), ..all() }, vec![1, 4]),
        (AuditQuery { outcome: Some("done".to_string()), ..all() }, vec![2, 4]),
        (AuditQuery { action: Some(".*".to_string()), ..all() }, vec![]),
        (AuditQuery { limit: 0, ..all() }, vec![]),
    ];
    for (query, expected) in cases {
        let found: Vec<_> = store.audit(&query).await.unwrap().iter().map(|record| record.sequence).collect();
        assert_eq!(found, expected, "{query:?}");
    }
    assert_eq!(store.forget_audit(4).await.unwrap(), 3);
    assert_eq!(store.forget_audit(4).await.unwrap(), 0);
    assert_eq!(store.audit(&all()).await.unwrap().len(), 2);
}

pub async fn history_keeps_what_the_size_allows(store: &dyn Store) {
    let batch: Vec<_> = (1..=5).map(|offset| publication("news", "e1", offset, 3)).collect();
    store.append_publications(&batch).await.unwrap();
    store.append_publications(&batch).await.expect("a repeated call is answered as the first");
    store.append_publications(&[]).await.unwrap();
    let news = ChannelName::new("news");
    assert_eq!(store.publications(&news).await.unwrap(), batch[2..]);
    let stream = |channel: &str, epoch: &str, offset: u64, forgotten_at: WallMs| StoredStream {
        channel: ChannelName::new(channel),
        epoch: epoch.to_string(),
        offset,
        forgotten_at: T + forgotten_at,
    };
    assert_eq!(store.streams(None, 10).await.unwrap(), [stream("news", "e1", 5, 10_005)]);
    // Late, as after a lost answer: it changes nothing about where the stream stands.
    store.append_publications(&batch[3..4]).await.unwrap();
    assert_eq!(store.publications(&news).await.unwrap(), batch[2..]);
    // Interleaved channels, a smaller size, another epoch.
    let mixed = [
        publication("news", "e1", 6, 2),
        publication("chat", "c1", 1, 2),
        publication("news", "e1", 7, 2),
        publication("chat", "c2", 8, 2),
        publication("chat", "c2", 9, 2),
    ];
    store.append_publications(&mixed).await.unwrap();
    assert_eq!(store.publications(&news).await.unwrap(), [mixed[0].clone(), mixed[2].clone()]);
    assert_eq!(store.publications(&ChannelName::new("chat")).await.unwrap(), mixed[3..]);
    assert_eq!(store.streams(None, 10).await.unwrap(), [stream("chat", "c2", 9, 10_009), stream("news", "e1", 7, 10_007)]);
    assert_eq!(store.streams(Some(&ChannelName::new("chat")), 10).await.unwrap().len(), 1);
    assert_eq!(store.streams(None, 1).await.unwrap().len(), 1);
    let replaced = StoredPublication { body: Bytes::from_static(b"new"), ..mixed[4].clone() };
    store.append_publications(std::slice::from_ref(&replaced)).await.unwrap();
    assert_eq!(store.publications(&ChannelName::new("chat")).await.unwrap(), [mixed[3].clone(), replaced]);
}

pub async fn history_is_forgotten_with_or_without_its_stream(store: &dyn Store) {
    store.append_publications(&[publication("news", "e1", 1, 9), publication("chat", "c1", 1, 9)]).await.unwrap();
    let news = ChannelName::new("news");
    store.forget_publications(&news, false).await.unwrap();
    assert_eq!(store.publications(&news).await.unwrap(), []);
    assert_eq!(store.streams(None, 10).await.unwrap().len(), 2);
    store.forget_publications(&news, true).await.unwrap();
    store.forget_publications(&news, true).await.unwrap();
    let left: Vec<_> = store.streams(None, 10).await.unwrap().into_iter().map(|stream| stream.channel).collect();
    assert_eq!(left, [ChannelName::new("chat")]);
    assert_eq!(store.publications(&ChannelName::new("chat")).await.unwrap().len(), 1);
}

pub async fn writers_at_once_lose_nothing(store: &dyn Store) {
    // More than one commit holds, of all kinds.
    let publishing = (1..=300).map(|number| async move {
        let channel = format!("c{}", number % 7);
        store.append_publications(&[publication(&channel, "e", number, 1_000)]).await
    });
    let valuing = (0..100).map(|number| async move { store.put_value(&format!("k{number}"), Bytes::from(number.to_string())).await });
    let (published, valued) = tokio::join!(join_all(publishing), join_all(valuing));
    published.into_iter().chain(valued).for_each(|outcome| outcome.unwrap());
    let mut kept = 0;
    for stream in store.streams(None, 10).await.unwrap() {
        kept += store.publications(&stream.channel).await.unwrap().len();
    }
    assert_eq!(kept, 300, "{:?}", store.streams(None, 10).await.unwrap());
    assert_eq!(store.value("k99").await.unwrap(), Some(Bytes::from_static(b"99")));
}

pub async fn values_are_bytes(store: &dyn Store) {
    assert_eq!(store.value("a").await.unwrap(), None);
    for value in [&b""[..], b"\0\xff", &[9; 200_000]] {
        store.put_value("a", Bytes::copy_from_slice(value)).await.unwrap();
        assert_eq!(store.value("a").await.unwrap().unwrap(), value);
    }
    store.put_value("b", Bytes::from_static(b"2")).await.unwrap();
    assert_eq!(store.value("b").await.unwrap(), Some(Bytes::from_static(b"2")));
}

pub async fn hostile_texts_are_kept_as_they_are(store: &dyn Store) {
    for (number, text) in HOSTILE.into_iter().enumerate() {
        let anna = User { role: text.to_string(), ..user(text) };
        store.add_user(&anna).await.unwrap();
        assert_eq!(store.user(&UserId::new(text)).await.unwrap(), Some(anna), "{text:?}");
        store.put_block(&block(BlockKind::User, text, None)).await.unwrap();
        assert!(store.remove_block(BlockKind::User, text).await.unwrap(), "{text:?}");
        store.append_audit(&AuditRecord { details: text.to_string(), ..record(number as u64 + 1, text, text) }).await.unwrap();
        let query = AuditQuery { actor: Some(text.to_string()), action: Some(text.to_string()), limit: 9, ..AuditQuery::default() };
        assert_eq!(store.audit(&query).await.unwrap().len(), 1, "{text:?}");
        store.append_publications(&[publication(text, text, 1, 9)]).await.unwrap();
        assert_eq!(store.publications(&ChannelName::new(text)).await.unwrap().len(), 1, "{text:?}");
        store.put_value(text, Bytes::from_static(text.as_bytes())).await.unwrap();
        assert_eq!(store.value(text).await.unwrap().unwrap(), text.as_bytes());
        assert!(store.remove_user(&UserId::new(text)).await.unwrap(), "{text:?}");
    }
    assert_eq!(store.users(None, 10).await.unwrap(), []);
}

pub async fn sweeping_takes_what_has_ended_and_nothing_else(store: &dyn Store) {
    store.add_login(&login(1, "anna", 0)).await.unwrap();
    store.add_login(&Login { idle_until: T + 90_000, ..login(2, "anna", 0) }).await.unwrap();
    store.add_login(&Login { ended_at: Some(T + 10), ..login(3, "anna", 50_000) }).await.unwrap();
    store.add_login(&login(4, "anna", 50_000)).await.unwrap();
    store.put_block(&block(BlockKind::User, "over", Some(10_000))).await.unwrap();
    store.put_block(&block(BlockKind::User, "later", Some(10_001))).await.unwrap();
    store.put_block(&block(BlockKind::User, "never", None)).await.unwrap();
    let lasting = |offset| StoredPublication { expires_at: T + 99_000, stream_expires_at: T + 99_000, ..publication("chat", "c", offset, 9) };
    store.append_publications(&[publication("chat", "c", 1, 9), lasting(2)]).await.unwrap();
    store
        .append_publications(&[publication("news", "e", 1, 9), StoredPublication { stream_expires_at: T + 9_000, ..publication("old", "o", 1, 9) }])
        .await
        .unwrap();
    let mut swept = 0;
    loop {
        match store.sweep(T + 10_000).await.unwrap() {
            0 => break,
            count => swept += count,
        }
    }
    // Three logins, a block, three publications, a stream.
    assert_eq!(swept, 8);
    let logins: Vec<_> = store.logins_of(&UserId::new("anna"), 10).await.unwrap().iter().map(|login| login.id.0).collect();
    assert_eq!(logins, [4]);
    let blocks: Vec<_> = store.blocks(0, 10).await.unwrap().into_iter().map(|block| block.subject).collect();
    assert_eq!(blocks, ["later", "never"]);
    let streams: Vec<_> = store.streams(None, 10).await.unwrap().into_iter().map(|stream| stream.channel.to_string()).collect();
    assert_eq!(streams, ["chat", "news"]);
    assert_eq!(store.publications(&ChannelName::new("chat")).await.unwrap(), [lasting(2)]);
}

pub async fn it_is_in_good_health_and_then_closed(store: &dyn Store) {
    store.ping().await.unwrap();
    while store.compact().await.unwrap() > 0 {}
    let state = store.state();
    assert_eq!((state.kind, state.trouble), (store.kind(), None));
    store.put_value("a", Bytes::from_static(b"1")).await.unwrap();
    store.close().await.unwrap();
    for outcome in [store.ping().await, store.value("a").await.map(drop), store.put_value("a", Bytes::new()).await] {
        assert!(matches!(outcome, Err(StoreError::Unavailable { .. })), "{outcome:?}");
    }
    store.close().await.unwrap();
}

/// One test a promise. `$rig` gives an empty store and what must live as long.
macro_rules! contract_tests {
    ($rig:path: $($name:ident)*) => { $(
        #[tokio::test]
        async fn $name() {
            let (store, _rig) = $rig().await;
            crate::store::contract::$name(&*store).await;
        }
    )* };
    ($rig:path) => {
        crate::store::contract::contract_tests!($rig:
            users_are_kept_and_listed of_two_who_change_a_user_one_must_look_again a_user_goes_with_all_logins
            settings_are_each_users_own_and_not_more_than_allowed
            logins_are_listed_newest_first a_refresh_token_is_replaced_once logins_end_once
            blocks_hold_until_their_end api_keys_are_kept
            the_audit_log_takes_each_number_once the_audit_log_is_searched
            history_keeps_what_the_size_allows history_is_forgotten_with_or_without_its_stream
            writers_at_once_lose_nothing values_are_bytes hostile_texts_are_kept_as_they_are
            sweeping_takes_what_has_ended_and_nothing_else it_is_in_good_health_and_then_closed);
    };
}
pub(super) use contract_tests;
