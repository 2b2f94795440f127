//! What somebody may do: roles with their rights over the hub, and grants in namespaces.
//!
//! Asked by the session (grants, at every command of a client), by `admin` (rights) and by the HTTP edge (what a signed-in user is told).
//! Values and one table. Roles give no access to channels, with one exception: who may publish at all may publish where it is subscribed.

use super::members::{Members, Text};
use crate::store::LoginId;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a user is to the hub. Each role has all rights of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Also publishes.
    Publisher,
    /// Also steers the running hub.
    Operator,
    /// Also decides who may do all this.
    Admin,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Publisher, Self::Operator, Self::Admin];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Publisher => "publisher",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    pub fn has(self, right: Right) -> bool {
        self >= right.role()
    }

    /// All that it may do.
    pub fn rights(self) -> impl Iterator<Item = Right> {
        Right::ALL.iter().copied().filter(move |right| self.has(*right))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rights, each with its word and the first role that has it.
macro_rules! rights {
    ($($Right:ident $word:literal $Role:ident;)*) => {
        /// Something that a role may do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Right {
            $($Right,)*
        }

        impl Right {
            pub const ALL: &[Self] = &[$(Self::$Right,)*];

            /// As messages, the audit log and the page name it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Right => $word,)*
                }
            }

            /// The least role that has it.
            pub const fn role(self) -> Role {
                match self {
                    $(Self::$Right => Role::$Role,)*
                }
            }
        }
    };
}

rights! {
    SessionsRead "sessions.read" Viewer;
    ChannelsRead "channels.read" Viewer;
    UpstreamRead "upstream.read" Viewer;
    MetricsRead "metrics.read" Viewer;
    ReportsRead "reports.read" Viewer;
    Publish "publish" Publisher;
    SessionsKick "sessions.kick" Operator;
    Broadcast "broadcast" Operator;
    Maintenance "maintenance" Operator;
    UpstreamControl "upstream.control" Operator;
    HistoryPurge "history.purge" Operator;
    DebugRead "debug.read" Operator;
    DebugTrace "debug.trace" Operator;
    BansWrite "bans.write" Operator;
    LogWrite "log.write" Operator;
    AlertsWrite "alerts.write" Operator;
    ReportsWrite "reports.write" Operator;
    UsersRead "users.read" Admin;
    UsersWrite "users.write" Admin;
    AuditRead "audit.read" Admin;
    UpstreamWrite "upstream.write" Admin;
    ConfigReload "config.reload" Admin;
    SecretsRotate "secrets.rotate" Admin;
    StoreManage "store.manage" Admin;
    KeysRead "keys.read" Admin;
    KeysWrite "keys.write" Admin;
}

impl Right {
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|right| right.as_str() == text)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that a user may be granted in a namespace: as if the namespace had it for all clients (`allow_…_for_client`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    Subscribe,
    Publish,
    History,
    Presence,
}

impl Permission {
    pub const ALL: [Self; 4] = [Self::Subscribe, Self::Publish, Self::History, Self::Presence];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::History => "history",
            Self::Presence => "presence",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == text)
    }
}

/// The permissions granted in one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted(u8);

impl Granted {
    pub const NOTHING: Self = Self(0);

    pub const fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        Self(self.0 | (1 << permission as u8))
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Namespaces that one user's grants may name. All of them are in every token.
const NAMESPACES_MAX: usize = 100;

/// The longest name of a namespace in grants, bytes.
const NAMESPACE_BYTES_MAX: usize = 128;

/// Every namespace, also that of channels without one.
const ANY_NAMESPACE: &str = "*";

/// What grants must look like, for messages.
const GRANTS_EXPECTED: &str = "an object of lists of \"subscribe\", \"publish\", \"history\" or \"presence\", by namespace";

/// What a user may do in channels beyond what their namespaces allow everybody: `{"chat":["subscribe","publish"]}`. The namespace `*` is
/// every one, the empty one that of channels without a namespace. A clone costs a reference count.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Grants(Option<Arc<BTreeMap<Box<str>, Granted>>>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantsError {
    #[error("grants must be {GRANTS_EXPECTED}")]
    NotGrants,
    #[error("grants may name at most {NAMESPACES_MAX} namespaces of at most {NAMESPACE_BYTES_MAX} bytes each")]
    TooMany,
}

impl Grants {
    pub const NONE: Self = Self(None);

    /// From their JSON. `null` and the empty text are no grants.
    pub fn parse(json: &str) -> Result<Self, GrantsError> {
        if json.is_empty() {
            return Ok(Self::NONE);
        }
        let value: &RawValue = serde_json::from_str(json).map_err(|_| GrantsError::NotGrants)?;
        Self::read(value)
    }

    pub(super) fn read(value: &RawValue) -> Result<Self, GrantsError> {
        // One more than there may be, so that too many are told from something else.
        let members = Members::parse_value(value, NAMESPACES_MAX + 1).ok_or(GrantsError::NotGrants)?;
        let mut grants = BTreeMap::new();
        for (namespace, permissions) in members.iter() {
            if grants.len() == NAMESPACES_MAX || namespace.len() > NAMESPACE_BYTES_MAX {
                return Err(GrantsError::TooMany);
            }
            let words: Vec<Text<'_>> = serde_json::from_str(permissions.get()).map_err(|_| GrantsError::NotGrants)?;
            let mut granted = Granted::NOTHING;
            for Text(word) in words {
                granted = granted.with(Permission::parse(&word).ok_or(GrantsError::NotGrants)?);
            }
            grants.insert(Box::from(namespace), granted);
        }
        Ok(Self((!grants.is_empty()).then(|| Arc::new(grants))))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What is granted in a namespace; the empty name is that of channels without one.
    pub fn of(&self, namespace: &str) -> Granted {
        let Some(grants) = &self.0 else { return Granted::NOTHING };
        let of = |name: &str| grants.get(name).copied().unwrap_or_default();
        of(ANY_NAMESPACE).and(of(namespace))
    }

    /// As [`Grants::parse`] reads it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Grants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (namespace, granted) in self.0.iter().flat_map(|grants| grants.iter()) {
            let words: Vec<&str> = Permission::ALL.into_iter().filter(|permission| granted.has(*permission)).map(Permission::as_str).collect();
            map.serialize_entry(namespace, &words)?;
        }
        map.end()
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

/// What a connection's token says of whom it lets in, besides the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    /// From tokens of the hub's own, or from the claim that `client.token.role_claim` names.
    pub role: Option<Role>,
    /// The login that the hub minted the token for.
    pub login: Option<LoginId>,
    /// The token's own id, by which it may be revoked.
    pub jti: Option<String>,
    pub grants: Grants,
    /// Which version of the stored user the hub minted the token for; 0 for tokens of others.
    pub user_version: u64,
}

impl Bearer {
    pub const NOBODY: Self = Self { role: None, login: None, jti: None, grants: Grants::NONE, user_version: 0 };

    pub fn has(&self, right: Right) -> bool {
        self.role.is_some_and(|role| role.has(right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_known_by_their_words() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        for word in ["", "Admin", "admin ", "root", "ADMIN", "ad\0min"] {
            assert_eq!(Role::parse(word), None, "{word:?}");
        }
    }

    #[test]
    fn the_page_has_words_for_every_right() {
        for (language, texts) in [("en", include_str!("../../static/src/lib/i18n/en.ts")), ("de", include_str!("../../static/src/lib/i18n/de.ts"))] {
            for right in Right::ALL {
                assert!(texts.contains(&format!("'right.{right}': '")), "{language} does not name {right}");
            }
            assert_eq!(texts.matches("'right.").count(), Right::ALL.len(), "{language} names rights that there are not");
        }
    }

    /// The whole table: a right that moves from one role to another is a change that somebody must mean.
    #[test]
    fn each_role_has_its_rights_and_those_of_the_roles_before_it() {
        let viewer = ["sessions.read", "channels.read", "upstream.read", "metrics.read", "reports.read"];
        let publisher = ["publish"];
        let operator = [
            "sessions.kick",
            "broadcast",
            "maintenance",
            "upstream.control",
            "history.purge",
            "debug.read",
            "debug.trace",
            "bans.write",
            "log.write",
            "alerts.write",
            "reports.write",
        ];
        let admin = [
            "users.read",
            "users.write",
            "audit.read",
            "upstream.write",
            "config.reload",
            "secrets.rotate",
            "store.manage",
            "keys.read",
            "keys.write",
        ];
        let mut expected: Vec<&str> = Vec::new();
        for (role, more) in [(Role::Viewer, &viewer[..]), (Role::Publisher, &publisher), (Role::Operator, &operator), (Role::Admin, &admin)] {
            expected.extend(more);
            assert_eq!(role.rights().map(Right::as_str).collect::<Vec<_>>(), expected, "{role}");
            for right in Right::ALL {
                assert_eq!(role.has(*right), expected.contains(&right.as_str()), "{role} {right}");
                assert_eq!(Right::parse(right.as_str()), Some(*right));
                assert!(!Bearer::NOBODY.has(*right), "without a role nobody has {right}");
            }
        }
        assert_eq!(Right::parse("publish "), None);
    }

    #[test]
    fn grants_are_by_namespace_and_a_star_is_every_one() {
        use Permission::{History, Presence, Publish, Subscribe};
        let cases: [(&str, &str, &[Permission]); 11] = [
            ("", "chat", &[]),
            ("null", "chat", &[]),
            ("{}", "chat", &[]),
            (r#"{"chat":["subscribe","publish"]}"#, "chat", &[Subscribe, Publish]),
            (r#"{"chat":["subscribe","publish"]}"#, "chats", &[]),
            (r#"{"chat":["subscribe","publish"]}"#, "", &[]),
            (r#"{"chat":[]}"#, "chat", &[]),
            (r#"{"":["history"]}"#, "", &[History]),
            (r#"{"":["history"]}"#, "chat", &[]),
            (r#"{"*":["presence"],"chat":["subscribe","subscribe"]}"#, "chat", &[Subscribe, Presence]),
            (r#"{"*":["presence"],"chat":["subscribe"]}"#, "", &[Presence]),
        ];
        for (json, namespace, expected) in cases {
            let granted = Grants::parse(json).unwrap_or_else(|error| panic!("{json}: {error}")).of(namespace);
            let found: Vec<_> = Permission::ALL.into_iter().filter(|permission| granted.has(*permission)).collect();
            assert_eq!(found, expected, "{json} in {namespace:?}");
        }
    }

    #[test]
    fn what_are_no_grants_is_refused_and_all_of_it_is_bounded() {
        for json in [
            "[]",
            "1",
            "\"chat\"",
            "{",
            r#"{"chat":"subscribe"}"#,
            r#"{"chat":["Subscribe"]}"#,
            r#"{"chat":["all"]}"#,
            r#"{"chat":[1]}"#,
            r#"{"chat":null}"#,
            r#"{"chat":["subscribe"],"chat":[]}"#,
        ] {
            assert_eq!(Grants::parse(json), Err(GrantsError::NotGrants), "{json}");
        }
        let many = |count: usize| format!("{{{}}}", (0..count).map(|n| format!("\"n{n}\":[]")).collect::<Vec<_>>().join(","));
        assert!(Grants::parse(&many(NAMESPACES_MAX)).is_ok());
        assert_eq!(Grants::parse(&many(NAMESPACES_MAX + 1)), Err(GrantsError::TooMany));
        assert_eq!(Grants::parse(&format!("{{\"{}\":[]}}", "n".repeat(NAMESPACE_BYTES_MAX + 1))), Err(GrantsError::TooMany));
    }

    #[test]
    fn grants_are_written_as_they_are_read() {
        let json = r#"{"":["history"],"*":["presence"],"chat":["subscribe","publish"]}"#;
        assert_eq!(Grants::parse(json).unwrap().to_json(), json);
        assert_eq!(Grants::NONE.to_json(), "{}");
    }
}
