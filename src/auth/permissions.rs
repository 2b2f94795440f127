//! What a client may do with a channel. Pure rules over the namespace's options, who the client is, and what its token said.
//!
//! Called by the session after the channel's name was found good. Which code a refusal becomes on the wire, and what a missing option
//! (presence or history off) answers, is decided there too, except where the protocol fixes it for tokens.

use super::claims::SubscriptionClaims;
use super::jwt::TokenError;
use super::roles::{Granted, Grants, Permission, Right, Role};
use crate::channel::{ChannelOptions, ChannelRules, SessionId, UserId};
use crate::protocol::codes::{Disconnect, ErrorCode};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    pub user: &'a UserId,
    pub session: SessionId,
    /// Whether `client.insecure` is on: what no rule forbids by itself is allowed.
    pub is_insecure: bool,
    pub role: Option<Role>,
    /// What its user has been granted in the namespace of the channel that it asks about.
    pub granted: Granted,
}

/// Why a client may not subscribe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeRefused {
    #[error("no rule lets it subscribe")]
    Denied,
    #[error("the channel is private and there is no token")]
    PrivateWithoutToken,
    #[error(transparent)]
    Token(TokenError),
    #[error("the token is for another {what}")]
    ForeignToken { what: &'static str },
    #[error("the subscription would have expired already")]
    AlreadyExpired,
}

/// What a refused client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeVerdict {
    /// An error reply.
    Error(ErrorCode),
    /// Its connection is closed: it showed a token that was made for somebody else.
    Disconnect(Disconnect),
}

impl SubscribeRefused {
    pub fn verdict(&self) -> SubscribeVerdict {
        match self {
            Self::Denied | Self::PrivateWithoutToken | Self::Token(TokenError::Invalid { .. }) => {
                SubscribeVerdict::Error(ErrorCode::PERMISSION_DENIED)
            }
            Self::Token(TokenError::Expired) => SubscribeVerdict::Error(ErrorCode::TOKEN_EXPIRED),
            Self::ForeignToken { .. } => SubscribeVerdict::Disconnect(Disconnect::INVALID_TOKEN),
            Self::AlreadyExpired => SubscribeVerdict::Error(ErrorCode::EXPIRED),
        }
    }
}

/// Whether `client` may subscribe to `channel`; if by its token, then with what the token says. `token`: what verifying it gave, `None`
/// where the client sent none (or an empty one). The first rule that applies decides.
pub fn may_subscribe(
    rules: &ChannelRules,
    options: &ChannelOptions,
    client: Client<'_>,
    channel: &str,
    token: Option<Result<SubscriptionClaims, TokenError>>,
    now_wall_seconds: i64,
) -> Result<Option<SubscriptionClaims>, SubscribeRefused> {
    if let Some(verified) = token {
        let claims = verified.map_err(SubscribeRefused::Token)?;
        must_be_for(&claims, client, channel)?;
        if claims.expires_at.is_some_and(|at| at <= now_wall_seconds) {
            return Err(SubscribeRefused::AlreadyExpired);
        }
        return Ok(Some(claims));
    }
    if rules.is_private(channel) {
        return Err(SubscribeRefused::PrivateWithoutToken);
    }
    let is_user_limited = options.allow_user_limited_channels && rules.is_user_limited(channel);
    let is_open = options.allow_subscribe_for_client && (!options.is_pattern || options.allow_wildcard_for_client);
    let is_allowed = (is_user_limited && rules.names_user(channel, client.user))
        || (!is_user_limited && is_open && (!client.user.is_anonymous() || options.allow_subscribe_for_anonymous))
        || (!is_user_limited && client.granted.has(Permission::Subscribe))
        || client.is_insecure;
    if is_allowed { Ok(None) } else { Err(SubscribeRefused::Denied) }
}

/// Whether the hub makes a subscription token of this channel for its user: where the user has been granted to subscribe, unless the
/// channel's name says that it is for others.
pub fn may_have_subscription_token(rules: &ChannelRules, user: &UserId, grants: &Grants, channel: &str) -> bool {
    let Ok(options) = rules.options_for_client(channel) else { return false };
    let is_for_others = options.allow_user_limited_channels && rules.is_user_limited(channel) && !rules.names_user(channel, user);
    !channel.is_empty() && !is_for_others && grants.of(rules.namespace(channel)).has(Permission::Subscribe)
}

/// Refuses a subscription token that was not made for this client and channel: what a refresh of a subscription has to ask.
pub fn must_be_for(claims: &SubscriptionClaims, client: Client<'_>, channel: &str) -> Result<(), SubscribeRefused> {
    if claims.channel.as_str() != channel {
        return Err(SubscribeRefused::ForeignToken { what: "channel" });
    }
    if claims.user != *client.user {
        return Err(SubscribeRefused::ForeignToken { what: "user" });
    }
    if !claims.client.is_empty() && SessionId::parse(&claims.client) != Some(client.session) {
        return Err(SubscribeRefused::ForeignToken { what: "client" });
    }
    Ok(())
}

/// Whether `client` may publish, where `is_subscribed` says if it is subscribed to the channel. A publisher may where it is subscribed.
pub fn may_publish(options: &ChannelOptions, client: Client<'_>, is_subscribed: bool) -> bool {
    let by_role = is_subscribed && client.role.is_some_and(|role| role.has(Right::Publish));
    let by_options = Grant {
        for_client: options.allow_publish_for_client,
        for_subscriber: options.allow_publish_for_subscriber,
        for_anonymous: options.allow_publish_for_anonymous,
    };
    by_role || by_options.covers(client, Permission::Publish, is_subscribed)
}

/// Whether `client` may ask who is present. At a subscribe that asks for joins and leaves, the client counts as subscribed.
pub fn may_see_presence(options: &ChannelOptions, client: Client<'_>, is_subscribed: bool) -> bool {
    Grant {
        for_client: options.allow_presence_for_client,
        for_subscriber: options.allow_presence_for_subscriber,
        for_anonymous: options.allow_presence_for_anonymous,
    }
    .covers(client, Permission::Presence, is_subscribed)
}

/// Whether `client` may read the history. At a subscribe that asks for positioning or recovery, the client counts as subscribed.
pub fn may_read_history(options: &ChannelOptions, client: Client<'_>, is_subscribed: bool) -> bool {
    Grant {
        for_client: options.allow_history_for_client,
        for_subscriber: options.allow_history_for_subscriber,
        for_anonymous: options.allow_history_for_anonymous,
    }
    .covers(client, Permission::History, is_subscribed)
}

/// The three options that most permissions have.
struct Grant {
    for_client: bool,
    for_subscriber: bool,
    for_anonymous: bool,
}

impl Grant {
    /// `for_anonymous` only widens the other two: alone it grants nothing. What the user has been granted itself counts without options.
    fn covers(&self, client: Client<'_>, permission: Permission, is_subscribed: bool) -> bool {
        let is_granted = self.for_client || (self.for_subscriber && is_subscribed);
        let is_known = !client.user.is_anonymous() || self.for_anonymous;
        (is_granted && is_known) || client.granted.has(permission) || client.is_insecure
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::Overrides;
    use super::super::jwt::TokenFault;
    use super::*;
    use crate::channel::NameSyntax;
    use bytes::Bytes;

    const NOW: i64 = 1_000;

    fn rules() -> ChannelRules {
        ChannelRules::new(NameSyntax::default(), ChannelOptions::default(), Vec::new()).unwrap()
    }
    fn client<'a>(user: &'a UserId, session: SessionId, is_insecure: bool) -> Client<'a> {
        Client { user, session, is_insecure, role: None, granted: Granted::NOTHING }
    }
    fn claims(user: &str, channel: &str, client: &str, expires_at: Option<i64>) -> SubscriptionClaims {
        SubscriptionClaims {
            user: user.into(),
            channel: channel.into(),
            client: client.to_string(),
            expires_at,
            info: Bytes::new(),
            data: Bytes::new(),
            overrides: Overrides::default(),
        }
    }

    #[test]
    fn without_a_token_the_namespace_decides() {
        let none = ChannelOptions::default();
        let open = ChannelOptions { allow_subscribe_for_client: true, ..none.clone() };
        let open_to_all = ChannelOptions { allow_subscribe_for_anonymous: true, ..open.clone() };
        let only_anonymous = ChannelOptions { allow_subscribe_for_anonymous: true, ..none.clone() };
        let limited = ChannelOptions { allow_user_limited_channels: true, ..none.clone() };
        let open_limited = ChannelOptions { allow_user_limited_channels: true, ..open_to_all.clone() };
        let denied = Err(SubscribeRefused::Denied);
        let private = Err(SubscribeRefused::PrivateWithoutToken);
        let allowed = Ok(None);
        let cases = [
            ("nothing is allowed by itself", &none, "news", "alice", false, &denied),
            ("insecure allows it", &none, "news", "alice", true, &allowed),
            ("insecure allows it to anonymous", &none, "news", "", true, &allowed),
            ("open to users", &open, "news", "alice", false, &allowed),
            ("open to users, not to anonymous", &open, "news", "", false, &denied),
            ("open to all", &open_to_all, "news", "", false, &allowed),
            ("the option for anonymous alone grants nothing", &only_anonymous, "news", "", false, &denied),
            ("private needs a token, even where all is open", &open_to_all, "$news", "alice", false, &private),
            ("private needs a token, even insecurely", &open_to_all, "$news", "alice", true, &private),
            ("limited to its users", &limited, "dialog#alice,bob", "alice", false, &allowed),
            ("limited to its users: the last", &limited, "dialog#alice,bob", "bob", false, &allowed),
            ("limited, and not among them", &limited, "dialog#alice,bob", "carol", false, &denied),
            ("limited, and only part of a name", &limited, "dialog#alice,bob", "ali", false, &denied),
            ("limited, and anonymous", &limited, "dialog#,", "", false, &denied),
            ("limited wins over open", &open_limited, "dialog#alice", "bob", false, &denied),
            ("limited wins over open, but not over insecure", &open_limited, "dialog#alice", "bob", true, &allowed),
            ("limited only where the name says so", &open_limited, "dialog", "bob", false, &allowed),
            ("the last boundary counts", &limited, "dialog#alice#bob", "alice", false, &denied),
            ("a boundary means nothing where the namespace does not allow it", &open, "dialog#alice", "bob", false, &allowed),
        ];
        for (name, options, channel, user, is_insecure, expected) in cases {
            let user = UserId::new(user);
            let verdict = may_subscribe(&rules(), options, client(&user, SessionId::random(), is_insecure), channel, None, NOW);
            assert_eq!(&verdict, expected, "{name}");
        }
    }

    #[test]
    fn a_pattern_takes_more_than_a_channel() {
        let alice = UserId::new("alice");
        let client = client(&alice, SessionId::random(), false);
        let granted = Client { granted: Granted::NOTHING.with(Permission::Subscribe), ..client };
        for (is_pattern, for_client, wildcard_for_client, who, may) in [
            (false, true, false, client, true),
            (true, true, false, client, false),
            (true, true, true, client, true),
            (true, false, true, client, false),
            (true, false, false, granted, true),
            (true, false, false, Client { is_insecure: true, ..client }, true),
        ] {
            let options = ChannelOptions {
                is_pattern,
                allow_subscribe_for_client: for_client,
                allow_wildcard_for_client: wildcard_for_client,
                ..ChannelOptions::default()
            };
            let case = (is_pattern, for_client, wildcard_for_client);
            assert_eq!(may_subscribe(&rules(), &options, who, "chat:*", None, NOW).is_ok(), may, "{case:?}");
        }
    }

    #[test]
    fn a_token_decides_alone() {
        let options = ChannelOptions { allow_subscribe_for_client: true, ..ChannelOptions::default() };
        let session = SessionId::random();
        let id = session.to_string();
        let expired = SubscribeVerdict::Error(ErrorCode::TOKEN_EXPIRED);
        let denied = SubscribeVerdict::Error(ErrorCode::PERMISSION_DENIED);
        let closed = SubscribeVerdict::Disconnect(Disconnect::INVALID_TOKEN);
        let too_late = SubscribeVerdict::Error(ErrorCode::EXPIRED);
        let cases = [
            ("made for it", Ok(claims("alice", "$a", "", None)), None),
            ("made for it and this connection", Ok(claims("alice", "$a", &id, Some(NOW + 1))), None),
            ("expired", Err(TokenError::Expired), Some(expired)),
            ("invalid, though the namespace is open", Err(TokenFault::WrongSignature.into()), Some(denied)),
            ("another channel", Ok(claims("alice", "a", "", None)), Some(closed)),
            ("another user", Ok(claims("bob", "$a", "", None)), Some(closed)),
            ("nobody's", Ok(claims("", "$a", "", None)), Some(closed)),
            ("another connection", Ok(claims("alice", "$a", "00000000-0000-4000-8000-000000000000", None)), Some(closed)),
            ("no connection", Ok(claims("alice", "$a", "x", None)), Some(closed)),
            ("over before it began", Ok(claims("alice", "$a", "", Some(NOW))), Some(too_late)),
        ];
        for (name, token, refused) in cases {
            for is_insecure in [false, true] {
                let user = UserId::new("alice");
                let given = token.clone();
                match (may_subscribe(&rules(), &options, client(&user, session, is_insecure), "$a", Some(given), NOW), refused) {
                    (Ok(granted), None) => assert_eq!(granted, token.clone().ok(), "{name}"),
                    (Err(refusal), Some(verdict)) => assert_eq!(refusal.verdict(), verdict, "{name}"),
                    (outcome, _) => panic!("{name}: {outcome:?}"),
                }
            }
        }
    }

    #[test]
    fn what_a_user_is_granted_counts_as_if_the_namespace_allowed_it_to_all() {
        let session = SessionId::random();
        let alice = UserId::new("alice");
        let closed = ChannelOptions { allow_user_limited_channels: true, ..ChannelOptions::default() };
        for granted in [None, Some(Permission::Subscribe), Some(Permission::Publish), Some(Permission::History), Some(Permission::Presence)] {
            let client = Client { granted: granted.map_or(Granted::NOTHING, |one| Granted::NOTHING.with(one)), ..client(&alice, session, false) };
            let subscribes = |channel| may_subscribe(&rules(), &closed, client, channel, None, NOW).is_ok();
            assert_eq!(subscribes("chat:1"), granted == Some(Permission::Subscribe), "{granted:?}");
            assert!(!subscribes("$chat:1"), "{granted:?}: a private channel takes a token all the same");
            assert!(!subscribes("chat:1#bob") && subscribes("chat:1#alice"), "{granted:?}: and the name still says for whom it is");
            for (permission, may) in
                [(Permission::Publish, may_publish as May), (Permission::History, may_read_history), (Permission::Presence, may_see_presence)]
            {
                for is_subscribed in [false, true] {
                    assert_eq!(may(&closed, client, is_subscribed), granted == Some(permission), "{permission:?} with {granted:?}");
                }
            }
        }
    }

    #[test]
    fn a_publisher_may_publish_where_it_is_subscribed_and_a_role_opens_nothing_else() {
        let session = SessionId::random();
        let alice = UserId::new("alice");
        let closed = ChannelOptions::default();
        for (role, publishes) in [(None, false), (Some(Role::Viewer), false), (Some(Role::Publisher), true), (Some(Role::Admin), true)] {
            let client = Client { role, ..client(&alice, session, false) };
            assert_eq!(may_publish(&closed, client, true), publishes, "{role:?}");
            assert!(!may_publish(&closed, client, false), "{role:?}");
            assert!(!may_read_history(&closed, client, true) && !may_see_presence(&closed, client, true), "{role:?}");
            assert!(may_subscribe(&rules(), &closed, client, "chat:1", None, NOW).is_err(), "{role:?}");
        }
    }

    type Set = fn(&mut ChannelOptions, bool);
    type May = fn(&ChannelOptions, Client<'_>, bool) -> bool;

    #[test]
    fn publish_presence_and_history_follow_the_same_three_options() {
        let permissions: [(&str, May, [Set; 3]); 3] = [
            (
                "publish",
                may_publish,
                [|o, on| o.allow_publish_for_client = on, |o, on| o.allow_publish_for_subscriber = on, |o, on| o.allow_publish_for_anonymous = on],
            ),
            (
                "presence",
                may_see_presence,
                [|o, on| o.allow_presence_for_client = on, |o, on| o.allow_presence_for_subscriber = on, |o, on| o.allow_presence_for_anonymous = on],
            ),
            (
                "history",
                may_read_history,
                [|o, on| o.allow_history_for_client = on, |o, on| o.allow_history_for_subscriber = on, |o, on| o.allow_history_for_anonymous = on],
            ),
        ];
        // client, subscriber, anonymous options → who may: a user, a subscribed user, an anonymous, a subscribed anonymous.
        let table = [
            ([false, false, false], [false, false, false, false]),
            ([true, false, false], [true, true, false, false]),
            ([false, true, false], [false, true, false, false]),
            ([true, true, false], [true, true, false, false]),
            ([false, false, true], [false, false, false, false]),
            ([true, false, true], [true, true, true, true]),
            ([false, true, true], [false, true, false, true]),
            ([true, true, true], [true, true, true, true]),
        ];
        let session = SessionId::random();
        let (alice, anonymous) = (UserId::new("alice"), UserId::default());
        for (name, may, set) in permissions {
            for (flags, expected) in table {
                let mut options = ChannelOptions::default();
                set.iter().zip(flags).for_each(|(set, on)| set(&mut options, on));
                let ask = |is_insecure| {
                    [(&alice, false), (&alice, true), (&anonymous, false), (&anonymous, true)]
                        .map(|(user, is_subscribed)| may(&options, client(user, session, is_insecure), is_subscribed))
                };
                assert_eq!(ask(false), expected, "{name} with {flags:?}");
                assert_eq!(ask(true), [true; 4], "{name} with {flags:?}, insecure");
            }
        }
    }
}
