//! What commands are asked with: one table a command, which is its parser, its schema and its help at the same time.
//!
//! Strict: an unknown member, a missing one, a wrong type or a value out of bounds is an error that names the member. Everything that comes
//! in is bounded here, so that commands need not look again.

use crate::auth::accounts::user_name;
use crate::auth::{Grants, Role};
use crate::calendar::Period;
use crate::channel::{ChannelName, SessionId, UserId};
use crate::store::{BlockKind, LoginId};
use crate::units::HumanDuration;
use globset::{Glob, GlobMatcher};
use ipnet::IpNet;
use log::LevelFilter;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// Bytes of a text that is not described further.
const TEXT_BYTES_MAX: usize = 1_024;

/// Bytes of a user's name. Tokens of an application may name users as they like.
const USER_BYTES_MAX: usize = 256;

/// Bytes of a channel's name. What the configuration allows may be less.
const CHANNEL_BYTES_MAX: usize = 255;

/// Milliseconds of a duration: a year.
const DURATION_MS_MAX: u64 = 365 * 24 * 3_600_000;

/// Entries of a list that is answered at once.
const PAGE_MAX: u64 = 1_000;
const PAGE_DEFAULT: u64 = 100;

/// The member that dangerous commands need, with the value `true`.
pub const CONFIRM: &str = "confirm";

/// The members of a call's arguments that have not been taken yet.
pub type Members = Map<String, Value>;

/// What is wrong with a call's arguments.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadArgument {
    #[error("arguments must be one JSON object")]
    NotAnObject,
    #[error("there is no argument \"{member}\"{known}")]
    Unknown { member: String, known: String },
    #[error("argument \"{member}\" is missing; it must be {must}")]
    Missing { member: &'static str, must: String },
    #[error("argument \"{member}\" must be {must}")]
    Wrong { member: &'static str, must: String },
    #[error("this is dangerous: it needs \"{CONFIRM}\": true")]
    Unconfirmed,
    #[error("{0}")]
    Together(&'static str),
}

/// One argument of a command, for help and schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    pub name: &'static str,
    pub help: &'static str,
    pub is_required: bool,
    /// Whether the audit log may have its value, and not only its size.
    pub is_shown: bool,
    pub schema: Value,
}

/// A type that an argument can have.
pub trait Field: Sized {
    const IS_REQUIRED: bool = true;
    const IS_SHOWN: bool = true;

    /// JSON Schema of the values.
    fn schema() -> Value;
    /// What the values must be, to go behind "must be".
    fn must() -> String;
    fn read(value: &Value) -> Option<Self>;
    /// What the argument is when it is not there.
    fn absent() -> Option<Self> {
        None
    }
}

/// Takes one member out of the arguments.
pub fn take<T: Field>(members: &mut Members, member: &'static str) -> Result<T, BadArgument> {
    match members.remove(member) {
        None => T::absent().ok_or_else(|| BadArgument::Missing { member, must: T::must() }),
        Some(Value::Null) if !T::IS_REQUIRED => T::absent().ok_or_else(|| BadArgument::Missing { member, must: T::must() }),
        Some(value) => T::read(&value).ok_or_else(|| BadArgument::Wrong { member, must: T::must() }),
    }
}

/// The arguments of one command.
pub trait Arguments: Sized {
    fn table() -> Vec<Argument>;
    /// Takes the arguments out of `members`; nothing may be left.
    fn read(members: Members) -> Result<Self, BadArgument>;
}

/// Declares the arguments of a command: a struct, how it is read, and what help and schema say of it.
macro_rules! arguments {
    ($(#[doc = $about:literal])* $name:ident { $($(#[doc = $help:literal])+ $field:ident : $type:ty,)* }) => {
        $(#[doc = $about])*
        struct $name {
            $($field: $type,)*
        }

        impl $crate::admin::arguments::Arguments for $name {
            fn table() -> Vec<$crate::admin::arguments::Argument> {
                vec![$($crate::admin::arguments::Argument {
                    name: stringify!($field),
                    help: concat!($($help,)+).trim_ascii(),
                    is_required: <$type as $crate::admin::arguments::Field>::IS_REQUIRED,
                    is_shown: <$type as $crate::admin::arguments::Field>::IS_SHOWN,
                    schema: <$type as $crate::admin::arguments::Field>::schema(),
                },)*]
            }

            fn read(members: $crate::admin::arguments::Members) -> Result<Self, $crate::admin::arguments::BadArgument> {
                let members = &mut { members };
                let arguments = Self { $($field: $crate::admin::arguments::take(members, stringify!($field))?,)* };
                $crate::admin::arguments::nothing_left(members, &[$(stringify!($field),)*])?;
                Ok(arguments)
            }
        }
    };
}
pub(super) use arguments;

pub fn nothing_left(members: &Members, known: &[&str]) -> Result<(), BadArgument> {
    let Some(member) = members.keys().next() else { return Ok(()) };
    let known = if known.is_empty() { "; this command has none".to_string() } else { format!("; there are {}", known.join(", ")) };
    let mut member = member.clone();
    member.truncate(member.floor_char_boundary(64));
    Err(BadArgument::Unknown { member, known })
}

impl<T: Field> Field for Option<T> {
    const IS_REQUIRED: bool = false;
    const IS_SHOWN: bool = T::IS_SHOWN;

    fn schema() -> Value {
        T::schema()
    }
    fn must() -> String {
        T::must()
    }
    fn read(value: &Value) -> Option<Self> {
        T::read(value).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// Off where it is not there.
impl Field for bool {
    const IS_REQUIRED: bool = false;

    fn schema() -> Value {
        json!({ "type": "boolean", "default": false })
    }
    fn must() -> String {
        "true or false".to_string()
    }
    fn read(value: &Value) -> Option<Self> {
        value.as_bool()
    }
    fn absent() -> Option<Self> {
        Some(false)
    }
}

fn text(value: &Value, max: usize) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty() && text.len() <= max)
}

/// Declares argument types that are texts.
macro_rules! texts {
    ($($type:ty, $max:expr, $must:literal, $read:expr;)*) => {
        $(impl Field for $type {
            fn schema() -> Value {
                json!({ "type": "string", "minLength": 1, "maxLength": $max, "description": $must })
            }
            fn must() -> String {
                format!("{} ({} bytes at most)", $must, $max)
            }
            fn read(value: &Value) -> Option<Self> {
                text(value, $max).and_then($read)
            }
        })*
    };
}

/// A number of a close code and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

/// Words for people. At most what a WebSocket's close frame has room for (RFC 6455, 5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub String);

/// What a notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(pub String);

/// A channel pattern: `*` any text, `?` one letter, `[…]` one of these, `{a,b}` either.
#[derive(Clone, Debug)]
pub struct Pattern(pub GlobMatcher);

/// The name of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountName(pub UserId);

/// A Rust module path of the log, such as `aether::session`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module(pub String);

texts! {
    String, TEXT_BYTES_MAX, "a text", |text| Some(text.to_string());
    Reason, 123, "a text for people, without control characters", |text| (!text.chars().any(char::is_control)).then(|| Reason(text.to_string()));
    Words, TEXT_BYTES_MAX, "a text for people", |text| Some(Words(text.to_string()));
    UserId, USER_BYTES_MAX, "a user", |text| Some(UserId::new(text));
    ChannelName, CHANNEL_BYTES_MAX, "a channel", |text| Some(ChannelName::new(text));
    Pattern, CHANNEL_BYTES_MAX, "a channel pattern such as news:*", |text| Glob::new(text).ok().map(|glob| Pattern(glob.compile_matcher()));
    SessionId, 36, "the id of a session", SessionId::parse;
    LoginId, 36, "the id of a login", LoginId::parse;
    HumanDuration, 32, "a duration such as 30s, 15m or 1h", |text| HumanDuration::parse(text).ok().filter(|duration| duration.is_positive() && duration.ms() <= DURATION_MS_MAX);
    IpNet, 64, "an address or a network such as 192.0.2.7 or 192.0.2.0/24", |text| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    AccountName, 64, "the name of an account: 1 to 64 of a-z, 0-9 and ._@+-", |text| user_name(text).map(AccountName);
    Module, 128, "a module such as aether::session", |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte)).then(|| Module(text.to_string()));
}

/// Declares argument types that are one of a few words.
macro_rules! choices {
    ($($type:ty, $words:expr, $read:expr;)*) => {
        $(impl Field for $type {
            fn schema() -> Value {
                json!({ "type": "string", "enum": $words })
            }
            fn must() -> String {
                format!("one of {}", $words.join(", "))
            }
            fn read(value: &Value) -> Option<Self> {
                value.as_str().and_then($read)
            }
        })*
    };
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(pub &'static str);
const LEVELS: [&str; 3] = ["info", "warning", "critical"];

/// A secret that can be replaced while the hub runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretName {
    Accounts,
    Tokens,
    ApiKey,
}

impl SecretName {
    pub const ALL: [Self; 3] = [Self::Accounts, Self::Tokens, Self::ApiKey];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Tokens => "tokens",
            Self::ApiKey => "api_key",
        }
    }
}

pub(super) use choices;

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

choices! {
    Role, Role::ALL.map(Role::as_str), Role::parse;
    BlockKind, BlockKind::ALL.map(BlockKind::as_str), |word| BlockKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    SecretName, SecretName::ALL.map(SecretName::as_str), |word| SecretName::ALL.into_iter().find(|name| name.as_str() == word);
    Level, LEVELS, |word| LEVELS.into_iter().find(|level| *level == word).map(Level);
    LevelFilter, LOG_LEVELS, |word| word.parse().ok().filter(|_| LOG_LEVELS.contains(&word));
}

impl Field for CloseCode {
    fn schema() -> Value {
        json!({ "type": "integer", "minimum": 3000, "maximum": 4999 })
    }
    fn must() -> String {
        "a close code from 3000 to 4999".to_string()
    }
    fn read(value: &Value) -> Option<Self> {
        value.as_u64().filter(|code| (3_000..=4_999).contains(code)).and_then(|code| u16::try_from(code).ok()).map(Self)
    }
}

/// Several texts, each of which may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(pub Vec<String>);

/// Texts of one argument, and bytes of each.
const TEXTS_MAX: usize = 64;
const LISTED_BYTES_MAX: usize = 255;

impl Field for Texts {
    const IS_REQUIRED: bool = false;

    fn schema() -> Value {
        json!({ "type": "array", "items": { "type": "string", "maxLength": LISTED_BYTES_MAX }, "maxItems": TEXTS_MAX, "default": [] })
    }
    fn must() -> String {
        format!("a list of texts, {TEXTS_MAX} at most")
    }
    fn read(value: &Value) -> Option<Self> {
        let items = value.as_array().filter(|items| items.len() <= TEXTS_MAX)?;
        let text = |item: &Value| item.as_str().filter(|text| text.len() <= LISTED_BYTES_MAX).map(str::to_string);
        items.iter().map(text).collect::<Option<_>>().map(Self)
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// Rights in namespaces.
impl Field for Grants {
    fn schema() -> Value {
        let words = json!({ "type": "array", "items": { "enum": ["subscribe", "publish", "history", "presence"] } });
        json!({ "type": "object", "additionalProperties": words })
    }
    fn must() -> String {
        "rights by namespace, such as {\"chat\":[\"subscribe\",\"publish\"]}".to_string()
    }
    fn read(value: &Value) -> Option<Self> {
        value.as_object().and_then(|_| Self::parse(&value.to_string()).ok())
    }
}

/// A number of something: a sequence, a time, an id.
impl Field for u64 {
    fn schema() -> Value {
        json!({ "type": "integer", "minimum": 0 })
    }
    fn must() -> String {
        "a whole number, 0 or more".to_string()
    }
    fn read(value: &Value) -> Option<Self> {
        value.as_u64()
    }
}

/// Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub i64);

impl Field for Moment {
    fn schema() -> Value {
        json!({ "type": "integer", "description": "Unix milliseconds" })
    }
    fn must() -> String {
        "a time in Unix milliseconds".to_string()
    }
    fn read(value: &Value) -> Option<Self> {
        value.as_i64().map(Self)
    }
}

impl Field for Period {
    fn schema() -> Value {
        json!({ "type": "string", "enum": Self::ALL.map(Self::as_str) })
    }
    fn must() -> String {
        Self::ALL.map(Self::as_str).join(" or ")
    }
    fn read(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

/// Entries in one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(pub usize);

impl Field for Page {
    const IS_REQUIRED: bool = false;

    fn schema() -> Value {
        json!({ "type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT })
    }
    fn must() -> String {
        format!("a number from 1 to {PAGE_MAX}")
    }
    fn read(value: &Value) -> Option<Self> {
        value.as_u64().filter(|count| (1..=PAGE_MAX).contains(count)).map(|count| Self(count as usize))
    }
    fn absent() -> Option<Self> {
        Some(Self(PAGE_DEFAULT as usize))
    }
}

/// Any JSON that is to be published. The audit log gets its size alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload(pub Value);

impl Field for Payload {
    const IS_SHOWN: bool = false;

    fn schema() -> Value {
        json!({ "description": "any JSON but null" })
    }
    fn must() -> String {
        "some JSON, not null".to_string()
    }
    fn read(value: &Value) -> Option<Self> {
        (!value.is_null()).then(|| Self(value.clone()))
    }
}

/// The JSON Schema of a command's arguments.
pub fn schema(table: &[Argument], needs_confirm: bool) -> Value {
    let mut properties = Map::new();
    for argument in table {
        let mut property = argument.schema.clone();
        property["description"] = json!(argument.help);
        properties.insert(argument.name.to_string(), property);
    }
    let mut required: Vec<&str> = table.iter().filter(|argument| argument.is_required).map(|argument| argument.name).collect();
    if needs_confirm {
        properties.insert(CONFIRM.to_string(), json!({ "const": true, "description": "Yes, it is meant." }));
        required.push(CONFIRM);
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

/// The arguments as the audit log may have them.
pub fn redacted(members: &Members, table: &[Argument]) -> Value {
    let shown = members.iter().map(|(name, value)| {
        let is_shown = name == CONFIRM || table.iter().any(|argument| argument.name == name && argument.is_shown);
        // What the command does not know may be anything, a password too.
        (name.clone(), if is_shown { value.clone() } else { json!({ "bytes": value.to_string().len() }) })
    });
    Value::Object(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    arguments! {
        /// What the tests ask with.
        Asked {
            /// Which session.
            session: Option<SessionId>,
            /// How many.
            limit: Page,
            /// For how long.
            lasting: HumanDuration,
            /// What to say.
            data: Option<Payload>,
            /// With everything.
            everything: bool,
        }
    }

    fn read(value: Value) -> Result<Asked, BadArgument> {
        let Value::Object(members) = value else { return Err(BadArgument::NotAnObject) };
        Asked::read(members)
    }

    fn error(value: Value) -> String {
        read(value).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn good_arguments_are_read_and_absent_ones_have_their_defaults() {
        let asked = read(json!({ "lasting": "5m" })).unwrap();
        assert_eq!((asked.limit, asked.lasting, asked.everything), (Page(100), HumanDuration::from_secs(300), false));
        assert!(asked.session.is_none() && asked.data.is_none());
        let session = SessionId::random();
        let asked = read(json!({ "lasting": "1s", "limit": 3, "session": session.to_string(), "data": [1], "everything": true })).unwrap();
        assert_eq!((asked.session, asked.limit, asked.data, asked.everything), (Some(session), Page(3), Some(Payload(json!([1]))), true));
        assert!(read(json!({ "lasting": "1s", "session": null, "limit": null })).is_ok(), "null is not there");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (arguments, names) in [
            (json!({}), "\"lasting\" is missing"),
            (json!({ "lasting": 5 }), "\"lasting\" must be a duration"),
            (json!({ "lasting": "5" }), "\"lasting\" must be"),
            (json!({ "lasting": "-5s" }), "\"lasting\" must be"),
            (json!({ "lasting": "366d" }), "\"lasting\" must be"),
            (json!({ "lasting": null }), "\"lasting\" must be"),
            (json!({ "lasting": "5s", "limit": 0 }), "\"limit\" must be a number from 1"),
            (json!({ "lasting": "5s", "limit": 1001 }), "\"limit\" must be"),
            (json!({ "lasting": "5s", "limit": -1 }), "\"limit\" must be"),
            (json!({ "lasting": "5s", "limit": 1.5 }), "\"limit\" must be"),
            (json!({ "lasting": "5s", "session": "x" }), "\"session\" must be the id of a session"),
            (json!({ "lasting": "5s", "session": ["x"] }), "\"session\" must be"),
            (json!({ "lasting": "5s", "everything": "yes" }), "\"everything\" must be true or false"),
            (json!({ "lasting": "5s", "Limit": 1 }), "there is no argument \"Limit\"; there are session, limit"),
            (json!({ "lasting": "5s", "": 1 }), "there is no argument \"\""),
        ] {
            let said = error(arguments.clone());
            assert!(said.contains(names), "{arguments}: {said}");
        }
        let long = error(json!({ "lasting": "5s", "ä".repeat(5_000): 1 }));
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn the_schema_says_what_is_read() {
        let schema = schema(&Asked::table(), true);
        assert_eq!(schema["required"], json!(["lasting", "confirm"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["limit"]["description"], "How many.");
        let validator = jsonschema::validator_for(&schema).expect("it is a schema");
        for (arguments, is_good) in [
            (json!({ "lasting": "5s", "confirm": true }), true),
            (json!({ "lasting": "5s", "confirm": false }), false),
            (json!({ "lasting": "5s" }), false),
            (json!({ "lasting": "5s", "confirm": true, "limit": 0 }), false),
            (json!({ "lasting": "5s", "confirm": true, "more": 0 }), false),
        ] {
            assert_eq!(validator.is_valid(&arguments), is_good, "{arguments}");
        }
    }

    #[test]
    fn the_audit_log_gets_no_payloads_and_nothing_unknown() {
        let Value::Object(members) = json!({ "lasting": "5s", "data": { "password": "hunter2" }, "pasword": "hunter2", "confirm": true }) else {
            panic!("an object")
        };
        let redacted = redacted(&members, &Asked::table());
        assert_eq!(redacted["lasting"], "5s");
        assert_eq!(redacted["data"], json!({ "bytes": 22 }));
        assert!(!redacted.to_string().contains("hunter2"), "{redacted}");
    }
}
