//! What verified tokens say: claims of connections and of subscriptions.
//!
//! Only called with claims whose signature was found good, so a fault in here is a mistake of whoever issues the tokens, and says which
//! claim it is. Strict about types: a claim that is there but cannot be read is never taken for absent (with `exp` as a string, that
//! mistake made tokens eternal: CVE-2026-25537).

use super::jwt::{ClaimRules, TokenError, TokenFault};
use super::members::{Members, Text};
use super::roles::{Bearer, Grants, Role};
use crate::channel::{ChannelName, ChannelOptions, Payload, UserId};
use crate::store::LoginId;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// Members of one object among the claims. Real tokens have a dozen.
pub(super) const MEMBERS_MAX: usize = 256;

/// The last second of the year 9999. What is said to happen later is a slip, most often milliseconds where seconds were meant, and would
/// make a token that never expires.
const DATE_SECONDS_MAX: f64 = 253_402_300_799.0;

/// What a connection token says.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionClaims {
    /// Empty: anonymous.
    pub user: UserId,
    /// Unix seconds at which the connection expires, leeway included. `None`: never.
    pub expires_at: Option<i64>,
    /// What others may know about the connection: JSON, or other bytes if given as such. Empty: nothing.
    pub info: Bytes,
    /// Handed to the client with the result: by an application that admits it without a token. Empty: nothing.
    pub data: Bytes,
    /// Server-side subscriptions, each channel once.
    pub subs: Vec<ServerSub>,
    /// JSON that the server keeps for itself.
    pub meta: Option<Bytes>,
    /// What else the token says of its bearer.
    pub bearer: Bearer,
}

/// A subscription that the server makes for the client.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSub {
    pub channel: ChannelName,
    /// What others may know about the subscription. Empty: nothing.
    pub info: Bytes,
    /// Handed to the client with the result. Empty: nothing.
    pub data: Bytes,
    pub overrides: Overrides,
}

impl ServerSub {
    /// With nothing but what its namespace gives.
    pub fn plain(channel: ChannelName) -> Self {
        Self { channel, info: Bytes::new(), data: Bytes::new(), overrides: Overrides::default() }
    }
}

/// What a subscription token says. Whether it is for this client is for [`may_subscribe`](super::may_subscribe) to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionClaims {
    pub user: UserId,
    pub channel: ChannelName,
    /// The client id that older tokens are bound to. Empty: none.
    pub client: String,
    /// Unix seconds at which the subscription expires, leeway included. `None`: never.
    pub expires_at: Option<i64>,
    pub info: Bytes,
    pub data: Bytes,
    pub overrides: Overrides,
}

/// Channel options that a token changes for one subscription. `None`: as the namespace has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Overrides {
    pub presence: Option<bool>,
    pub join_leave: Option<bool>,
    pub force_push_join_leave: Option<bool>,
    pub force_positioning: Option<bool>,
    pub force_recovery: Option<bool>,
}

impl Overrides {
    /// The options with the changes in; the same shared ones where there is none.
    pub fn apply(&self, options: &Arc<ChannelOptions>) -> Arc<ChannelOptions> {
        if *self == Self::default() {
            return Arc::clone(options);
        }
        Arc::new(ChannelOptions {
            presence: self.presence.unwrap_or(options.presence),
            join_leave: self.join_leave.unwrap_or(options.join_leave),
            force_push_join_leave: self.force_push_join_leave.unwrap_or(options.force_push_join_leave),
            force_positioning: self.force_positioning.unwrap_or(options.force_positioning),
            force_recovery: self.force_recovery.unwrap_or(options.force_recovery),
            ..ChannelOptions::clone(options)
        })
    }

    fn read(value: Option<&RawValue>) -> Result<Self, TokenFault> {
        let wrong = || wrong("override", "an object of {\"value\": true or false}");
        let Some(value) = value else { return Ok(Self::default()) };
        let members = Members::parse_value(value, MEMBERS_MAX).ok_or_else(wrong)?;
        let flag = |name| -> Result<Option<bool>, TokenFault> {
            let Some(value) = members.get(name) else { return Ok(None) };
            let setting = Members::parse_value(value, MEMBERS_MAX).ok_or_else(wrong)?;
            match setting.get("value").map(RawValue::get) {
                Some("true") => Ok(Some(true)),
                Some("false") => Ok(Some(false)),
                Some(_) => Err(wrong()),
                None => Ok(None),
            }
        };
        Ok(Self {
            presence: flag("presence")?,
            join_leave: flag("join_leave")?,
            force_push_join_leave: flag("force_push_join_leave")?,
            force_positioning: flag("force_positioning")?,
            force_recovery: flag("force_recovery")?,
        })
    }
}

impl ConnectionClaims {
    /// Of a client that shows no token where none is needed.
    pub fn anonymous() -> Self {
        Self {
            user: UserId::default(),
            expires_at: None,
            info: Bytes::new(),
            data: Bytes::new(),
            subs: Vec::new(),
            meta: None,
            bearer: Bearer::NOBODY,
        }
    }

    pub(super) fn read(json: &[u8], rules: &ClaimRules, now_wall_seconds: i64) -> Result<Self, TokenError> {
        let members = Members::parse(json, MEMBERS_MAX).ok_or(TokenFault::BadClaims)?;
        let common = Common::read(&members, rules)?;
        if members.get("channel").is_some() {
            return Err(TokenFault::SubscriptionToken.into());
        }
        if rules.bearer == BearerClaims::Hub && (common.user.is_anonymous() || common.validity.expires.is_none()) {
            return Err(TokenFault::MissingClaim { claim: if common.user.is_anonymous() { "sub" } else { "exp" } }.into());
        }
        let claims = Self {
            user: common.user,
            expires_at: common.expires_at,
            info: payload(&members, "info", "b64info")?,
            data: Bytes::new(),
            subs: server_subs(&members, rules.subs_max)?,
            meta: json_value(&members, "meta"),
            bearer: bearer(&members, &rules.bearer)?,
        };
        common.validity.check(rules, now_wall_seconds)?;
        Ok(claims)
    }
}

impl SubscriptionClaims {
    pub(super) fn read(json: &[u8], rules: &ClaimRules, now_wall_seconds: i64) -> Result<Self, TokenError> {
        let members = Members::parse(json, MEMBERS_MAX).ok_or(TokenFault::BadClaims)?;
        let common = Common::read(&members, rules)?;
        let channel = text(&members, "channel")?.filter(|channel| !channel.is_empty()).ok_or(TokenFault::MissingClaim { claim: "channel" })?;
        let claims = Self {
            user: common.user,
            channel: ChannelName::new(&channel),
            client: text(&members, "client")?.unwrap_or_default().into_owned(),
            expires_at: common.expires_at,
            info: payload(&members, "info", "b64info")?,
            data: payload(&members, "data", "b64data")?,
            overrides: Overrides::read(members.get("override"))?,
        };
        common.validity.check(rules, now_wall_seconds)?;
        Ok(claims)
    }
}

/// Which claims say what the bearer may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BearerClaims {
    /// None: an application's token lets somebody in and gives no role.
    None,
    /// The claim of this name may hold a role, or a list of words with roles among them.
    Role(String),
    /// The hub's own: all of them must be there.
    Hub,
}

fn bearer(members: &Members<'_>, claims: &BearerClaims) -> Result<Bearer, TokenFault> {
    let jti = text(members, "jti")?.map(Cow::into_owned);
    match claims {
        BearerClaims::None => Ok(Bearer { jti, ..Bearer::NOBODY }),
        BearerClaims::Role(claim) => {
            let words = members.get(claim).map(one_or_many).unwrap_or_else(|| Some(Vec::new()));
            let words = words.ok_or_else(|| wrong("role_claim", "a string or a list of strings"))?;
            // Whoever issues the token has roles of other systems too: what is none of ours gives nothing.
            Ok(Bearer { role: words.iter().filter_map(|Text(word)| Role::parse(word)).max(), jti, ..Bearer::NOBODY })
        }
        BearerClaims::Hub => {
            let must = |claim: &'static str| text(members, claim)?.ok_or(TokenFault::MissingClaim { claim });
            let grants = members.get("grants").ok_or(TokenFault::MissingClaim { claim: "grants" })?;
            Ok(Bearer {
                role: Some(Role::parse(&must("role")?).ok_or_else(|| wrong("role", "a role"))?),
                login: Some(LoginId::parse(&must("sid")?).ok_or_else(|| wrong("sid", "the id of a login"))?),
                jti: Some(jti.ok_or(TokenFault::MissingClaim { claim: "jti" })?),
                grants: Grants::read(grants).map_err(|_| wrong("grants", "grants by namespace"))?,
                user_version: members
                    .get("ver")
                    .and_then(|version| serde_json::from_str(version.get()).ok())
                    .ok_or_else(|| wrong("ver", "a whole number"))?,
            })
        }
    }
}

/// What both kinds of token have.
struct Common {
    user: UserId,
    expires_at: Option<i64>,
    validity: Validity,
}

impl Common {
    fn read(members: &Members<'_>, rules: &ClaimRules) -> Result<Self, TokenFault> {
        let audience = match members.get("aud") {
            None => Vec::new(),
            Some(value) => one_or_many(value).ok_or_else(|| wrong("aud", "a string or a list of strings"))?,
        };
        if !rules.audience.accepts(audience.iter().map(|Text(name)| name.as_ref())) {
            return Err(TokenFault::WrongAudience);
        }
        let issuer = text(members, "iss")?;
        if !rules.issuer.accepts(issuer.as_deref().into_iter()) {
            return Err(TokenFault::WrongIssuer);
        }
        let user = match &rules.user_id_claim {
            None => text(members, "sub")?.unwrap_or_default(),
            // Whoever renamed the claim meant it to be there: were it optional, a slip in its name would let everybody in as nobody.
            Some(claim) => text_of(members.get(claim), "user_id_claim")?.ok_or(TokenFault::MissingClaim { claim: "user_id_claim" })?,
        };
        let validity = Validity { not_before: date(members, "nbf")?, expires: date(members, "exp")? };
        let expires_at = match number(members, "expire_at")? {
            Some(at) if at > 0.0 => Some(at.ceil() as i64),
            Some(_) => None,
            None => validity.expires.map(|at| at + rules.leeway_seconds),
        };
        Ok(Self { user: UserId::new(&user), expires_at, validity })
    }
}

/// When a token may be used, in Unix seconds.
struct Validity {
    not_before: Option<i64>,
    expires: Option<i64>,
}

impl Validity {
    /// Asked last: a client with an expired token is told to get a new one, which would not help one whose token is wrong in itself.
    fn check(&self, rules: &ClaimRules, now: i64) -> Result<(), TokenError> {
        let has_expired = self.expires.is_some_and(|at| now.saturating_sub(rules.leeway_seconds) >= at);
        let is_early = self.not_before.is_some_and(|at| now.saturating_add(rules.leeway_seconds) < at);
        if has_expired || is_early { Err(TokenError::Expired) } else { Ok(()) }
    }
}

/// `subs`, or where it names none, `channels`.
fn server_subs(members: &Members<'_>, subs_max: usize) -> Result<Vec<ServerSub>, TokenFault> {
    if let Some(value) = members.get("subs") {
        let subs = Members::parse_value(value, subs_max).ok_or(TokenFault::BadSubs { max: subs_max })?;
        if !subs.is_empty() {
            return subs.iter().map(|(channel, options)| server_sub(channel, options)).collect();
        }
    }
    let Some(value) = members.get("channels") else { return Ok(Vec::new()) };
    let names: Option<Vec<Text<'_>>> = serde_json::from_str(value.get()).map_err(|_| wrong("channels", "a list of channel names"))?;
    let names = names.unwrap_or_default();
    if names.len() > subs_max {
        return Err(TokenFault::BadSubs { max: subs_max });
    }
    let mut seen = HashSet::with_capacity(names.len());
    let mut subs = Vec::with_capacity(names.len());
    for Text(name) in &names {
        if name.is_empty() {
            return Err(wrong("channels", "a list of channel names"));
        }
        if seen.insert(name.as_ref()) {
            subs.push(ServerSub::plain(ChannelName::new(name)));
        }
    }
    Ok(subs)
}

fn server_sub(channel: &str, options: &RawValue) -> Result<ServerSub, TokenFault> {
    if channel.is_empty() {
        return Err(wrong("subs", "an object of channel names"));
    }
    let members = Members::parse_value(options, MEMBERS_MAX).ok_or_else(|| wrong("subs", "an object of objects"))?;
    Ok(ServerSub {
        channel: ChannelName::new(channel),
        info: payload(&members, "info", "b64info")?,
        data: payload(&members, "data", "b64data")?,
        overrides: Overrides::read(members.get("override"))?,
    })
}

pub(super) fn wrong(claim: &'static str, expected: &'static str) -> TokenFault {
    TokenFault::WrongClaim { claim, expected }
}

pub(super) fn text<'de>(members: &Members<'de>, claim: &'static str) -> Result<Option<Cow<'de, str>>, TokenFault> {
    text_of(members.get(claim), claim)
}

fn text_of<'de>(value: Option<&'de RawValue>, claim: &'static str) -> Result<Option<Cow<'de, str>>, TokenFault> {
    value.map(|value| serde_json::from_str(value.get()).map(|Text(text)| text).map_err(|_| wrong(claim, "a string"))).transpose()
}

pub(super) fn one_or_many(value: &RawValue) -> Option<Vec<Text<'_>>> {
    if value.get().starts_with('"') { serde_json::from_str(value.get()).ok().map(|one| vec![one]) } else { serde_json::from_str(value.get()).ok() }
}

/// Unix seconds, whole. Fractions are allowed (RFC 7519, 2: NumericDate).
pub(super) fn date(members: &Members<'_>, claim: &'static str) -> Result<Option<i64>, TokenFault> {
    match number(members, claim)? {
        Some(seconds) if seconds < 0.0 => Err(wrong(claim, "a number of seconds since 1970")),
        seconds => Ok(seconds.map(|seconds| seconds.floor() as i64)),
    }
}

fn number(members: &Members<'_>, claim: &'static str) -> Result<Option<f64>, TokenFault> {
    let Some(value) = members.get(claim) else { return Ok(None) };
    match serde_json::from_str::<f64>(value.get()) {
        Ok(seconds) if seconds <= DATE_SECONDS_MAX => Ok(Some(seconds)),
        _ => Err(wrong(claim, "a number of seconds up to the year 9999")),
    }
}

/// JSON as it stands in the token, on one line. `null` counts as nothing.
fn json_value(members: &Members<'_>, claim: &str) -> Option<Bytes> {
    let value = members.get(claim)?.get();
    (value != "null").then(|| Payload::from_json(Bytes::copy_from_slice(value.as_bytes())).bytes().clone())
}

/// The bytes of `b64_claim` where it is given and not empty, else the JSON of `json_claim`.
fn payload(members: &Members<'_>, json_claim: &'static str, b64_claim: &'static str) -> Result<Bytes, TokenFault> {
    match text(members, b64_claim)? {
        Some(encoded) if !encoded.is_empty() => {
            let decoded = STANDARD.decode(encoded.as_bytes()).map_err(|_| wrong(b64_claim, "base64 (RFC 4648, 4)"))?;
            Ok(Payload::from_bytes(decoded.into()).bytes().clone())
        }
        _ => Ok(json_value(members, json_claim).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::jwt::{Expected, TokenSettings};
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn rules() -> ClaimRules {
        ClaimRules::new(&TokenSettings::default()).unwrap()
    }
    fn connection(json: &str) -> ConnectionClaims {
        ConnectionClaims::read(json.as_bytes(), &rules(), NOW).unwrap_or_else(|error| panic!("{json}: {error}"))
    }
    fn subscription(json: &str) -> SubscriptionClaims {
        SubscriptionClaims::read(json.as_bytes(), &rules(), NOW).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    #[test]
    fn a_connection_token_says_who_and_for_how_long() {
        let cases: [(&str, &str, Option<i64>); 14] = [
            ("{}", "", None),
            (r#"{"sub":"alice"}"#, "alice", None),
            (r#"{"sub":""}"#, "", None),
            (r#"{"sub":"\u00e9\"x"}"#, "é\"x", None),
            (r#"{"sub":"a","exp":1800000001}"#, "a", Some(1_800_000_001)),
            (r#"{"sub":"a","exp":1800000009.75}"#, "a", Some(1_800_000_009)),
            (r#"{"sub":"a","exp":1.8000001e9}"#, "a", Some(1_800_000_100)),
            (r#"{"sub":"a","exp":253402300799}"#, "a", Some(253_402_300_799)),
            (r#"{"sub":"a","exp":1800000001,"expire_at":1800000900}"#, "a", Some(1_800_000_900)),
            (r#"{"sub":"a","exp":1800000001,"expire_at":0}"#, "a", None),
            (r#"{"sub":"a","exp":1800000001,"expire_at":-1}"#, "a", None),
            (r#"{"sub":"a","expire_at":0.25}"#, "a", Some(1)),
            (r#"{"sub":"a","nbf":1800000000,"iat":"whenever"}"#, "a", None),
            (r#"{"sub":"a","nbf":0}"#, "a", None),
        ];
        for (json, user, expires_at) in cases {
            let claims = connection(json);
            assert_eq!((claims.user.as_str(), claims.expires_at), (user, expires_at), "{json}");
        }
    }

    #[test]
    fn a_connection_token_carries_info_meta_and_its_id() {
        let cases: [(&str, &str, Option<&str>); 7] = [
            (r#"{"info":{"b":1,"a":1.50}}"#, r#"{"b":1,"a":1.50}"#, None),
            ("{\"info\":{\"a\":\n1}}", "{\"a\": 1}", None),
            (r#"{"info":null,"meta":null}"#, "", None),
            (r#"{"info":"text"}"#, r#""text""#, None),
            (r#"{"b64info":"eyJhIjoKMX0="}"#, "{\"a\": 1}", None),
            (r#"{"b64info":"","info":{}}"#, "{}", None),
            (r#"{"meta":{"tenant":7}}"#, "", Some(r#"{"tenant":7}"#)),
        ];
        for (json, info, meta) in cases {
            let claims = connection(json);
            assert_eq!((&claims.info[..], claims.meta.as_deref()), (info.as_bytes(), meta.map(str::as_bytes)), "{json}");
        }
        assert_eq!(&connection(r#"{"b64info":"AP8=","info":{}}"#).info[..], b"\x00\xff", "bytes that are no JSON stay as they are");
        let bearer = connection(r#"{"jti":"t-1","role":"admin","grants":{"*":["publish"]}}"#).bearer;
        assert_eq!(bearer, Bearer { jti: Some("t-1".to_string()), ..Bearer::NOBODY }, "an application's token gives nothing unasked");
    }

    #[test]
    fn a_role_comes_from_the_claim_that_is_named_and_from_no_other() {
        let cases: [(&str, Option<Role>); 9] = [
            (r#"{"hub_role":"operator"}"#, Some(Role::Operator)),
            (r#"{"hub_role":["staff","viewer","publisher"]}"#, Some(Role::Publisher)),
            (r#"{"hub_role":[]}"#, None),
            (r#"{"hub_role":"staff"}"#, None),
            (r#"{"hub_role":"Admin"}"#, None),
            (r#"{"hub_role":""}"#, None),
            ("{}", None),
            (r#"{"role":"admin"}"#, None),
            (r#"{"hub_role":"viewer","role":"admin","sid":"x"}"#, Some(Role::Viewer)),
        ];
        let settings = TokenSettings { role_claim: "hub_role".to_string(), ..TokenSettings::default() };
        let rules = ClaimRules::new(&settings).unwrap();
        for (json, role) in cases {
            let claims = ConnectionClaims::read(json.as_bytes(), &rules, NOW).unwrap_or_else(|error| panic!("{json}: {error}"));
            assert_eq!(claims.bearer, Bearer { role, ..Bearer::NOBODY }, "{json}");
        }
        for json in [r#"{"hub_role":1}"#, r#"{"hub_role":null}"#, r#"{"hub_role":{"a":"admin"}}"#, r#"{"hub_role":["admin",1]}"#] {
            assert!(ConnectionClaims::read(json.as_bytes(), &rules, NOW).is_err(), "{json}");
        }
    }

    #[test]
    fn server_side_subscriptions_come_from_subs_or_else_from_channels() {
        let cases: [(&str, &[&str]); 8] = [
            (r#"{"channels":["a","b","a"]}"#, &["a", "b"]),
            (r#"{"channels":[]}"#, &[]),
            (r#"{"channels":null,"subs":null}"#, &[]),
            (r#"{"subs":{"x":{}}}"#, &["x"]),
            (r#"{"subs":{"x":{},"y":null},"channels":["a"]}"#, &["x", "y"]),
            (r#"{"subs":{},"channels":["a"]}"#, &["a"]),
            (r#"{"subs":{"ns:\u00e9":{}}}"#, &["ns:é"]),
            ("{}", &[]),
        ];
        for (json, channels) in cases {
            let claims = connection(json);
            assert_eq!(claims.subs.iter().map(|sub| sub.channel.as_str()).collect::<Vec<_>>(), channels, "{json}");
        }
        let claims = connection(
            r#"{"subs":{"x":{"info":{"i":1},"b64data":"AP8=","override":{"presence":{"value":true},"force_recovery":{"value":false},"other":{"value":1}}}}}"#,
        );
        let overrides = Overrides { presence: Some(true), force_recovery: Some(false), ..Overrides::default() };
        let expected = ServerSub { channel: "x".into(), info: Bytes::from_static(br#"{"i":1}"#), data: Bytes::from_static(b"\x00\xff"), overrides };
        assert_eq!(claims.subs, [expected]);
    }

    #[test]
    fn a_subscription_token_says_all_it_may() {
        let claims = subscription(
            r#"{"sub":"alice","channel":"$chat:1","client":"c-1","exp":1800000100,"expire_at":1800000200,"info":[1],"data":{"d":2},
                "override":{"join_leave":{"value":true},"force_push_join_leave":{"value":true},"force_positioning":{"value":false},"presence":{}}}"#,
        );
        let expected = SubscriptionClaims {
            user: "alice".into(),
            channel: "$chat:1".into(),
            client: "c-1".to_string(),
            expires_at: Some(1_800_000_200),
            info: Bytes::from_static(b"[1]"),
            data: Bytes::from_static(br#"{"d":2}"#),
            overrides: Overrides {
                join_leave: Some(true),
                force_push_join_leave: Some(true),
                force_positioning: Some(false),
                ..Overrides::default()
            },
        };
        assert_eq!(claims, expected);
    }

    #[test]
    fn overrides_change_only_what_they_name() {
        let options = Arc::new(ChannelOptions { presence: true, force_recovery: true, history_size: 7, ..ChannelOptions::default() });
        assert!(Arc::ptr_eq(&Overrides::default().apply(&options), &options), "nothing to change, nothing to copy");
        let overrides = Overrides { presence: Some(false), join_leave: Some(true), ..Overrides::default() };
        let changed = overrides.apply(&options);
        assert_eq!(*changed, ChannelOptions { presence: false, join_leave: true, ..ChannelOptions::clone(&options) });
        let all = Overrides {
            presence: Some(false),
            join_leave: Some(true),
            force_push_join_leave: Some(true),
            force_positioning: Some(true),
            force_recovery: Some(false),
        };
        let changed = all.apply(&options);
        let flags = [changed.presence, changed.join_leave, changed.force_push_join_leave, changed.force_positioning, changed.force_recovery];
        assert_eq!(flags, [false, true, true, true, false]);
    }

    #[test]
    fn time_decides_to_the_second_and_leeway_shifts_it() {
        let settings = TokenSettings { leeway_seconds: 5, ..TokenSettings::default() };
        let lenient = ClaimRules::new(&settings).unwrap();
        let json = br#"{"exp":1000,"nbf":500}"#;
        let cases = [(rules(), 499, false), (rules(), 500, true), (rules(), 999, true), (rules(), 1_000, false), (rules(), i64::MAX, false)];
        let lenient_cases = [(lenient.clone(), 494, false), (lenient.clone(), 495, true), (lenient.clone(), 1_004, true), (lenient, 1_005, false)];
        for (rules, now, is_accepted) in cases.into_iter().chain(lenient_cases) {
            match ConnectionClaims::read(json, &rules, now) {
                Ok(claims) => assert!(is_accepted && claims.expires_at == Some(1_000 + rules.leeway_seconds), "at {now}"),
                Err(error) => assert!(!is_accepted && matches!(error, TokenError::Expired), "at {now}: {error}"),
            }
        }
    }

    #[test]
    fn audience_and_issuer_count_where_they_are_configured() {
        let exactly = |audience: &str, issuer: &str| TokenSettings {
            audience: if audience.is_empty() { Expected::Anything } else { Expected::Exactly(audience.to_string()) },
            issuer: if issuer.is_empty() { Expected::Anything } else { Expected::Exactly(issuer.to_string()) },
            ..TokenSettings::default()
        };
        let matching = TokenSettings { issuer: Expected::Matching("^https://[a-z]+\\.example$".to_string()), ..TokenSettings::default() };
        let cases: [(TokenSettings, &str, Option<TokenFault>); 13] = [
            (exactly("", ""), r#"{"aud":["x","y"],"iss":"z"}"#, None),
            (exactly("hub", ""), r#"{"aud":"hub"}"#, None),
            (exactly("hub", ""), r#"{"aud":["x","hub"]}"#, None),
            (exactly("hub", ""), r#"{"aud":"hubs"}"#, Some(TokenFault::WrongAudience)),
            (exactly("hub", ""), r#"{"aud":[]}"#, Some(TokenFault::WrongAudience)),
            (exactly("hub", ""), "{}", Some(TokenFault::WrongAudience)),
            (exactly("", "me"), r#"{"iss":"me"}"#, None),
            (exactly("", "me"), r#"{"iss":"Me"}"#, Some(TokenFault::WrongIssuer)),
            (exactly("", "me"), "{}", Some(TokenFault::WrongIssuer)),
            (exactly("", "me"), r#"{"iss":["me"]}"#, Some(TokenFault::WrongClaim { claim: "iss", expected: "a string" })),
            (matching.clone(), r#"{"iss":"https://good.example"}"#, None),
            (matching.clone(), r#"{"iss":"https://good.example.evil"}"#, Some(TokenFault::WrongIssuer)),
            (matching, r#"{"iss":"xhttps://good.example"}"#, Some(TokenFault::WrongIssuer)),
        ];
        for (settings, json, fault) in cases {
            let rules = ClaimRules::new(&settings).unwrap();
            let found = match ConnectionClaims::read(json.as_bytes(), &rules, NOW) {
                Ok(_) => None,
                Err(TokenError::Invalid { why }) => Some(why),
                Err(TokenError::Expired) => panic!("{json}: expired"),
            };
            assert_eq!(found, fault, "{json}");
        }
    }

    #[test]
    fn another_claim_may_name_the_user() {
        let settings = TokenSettings { user_id_claim: "account_id".to_string(), ..TokenSettings::default() };
        let rules = ClaimRules::new(&settings).unwrap();
        let claims = ConnectionClaims::read(br#"{"sub":"x","account_id":"alice"}"#, &rules, NOW).unwrap();
        assert_eq!(claims.user.as_str(), "alice");
        assert!(ConnectionClaims::read(br#"{"sub":"x"}"#, &rules, NOW).is_err());
        assert!(ConnectionClaims::read(br#"{"account_id":7}"#, &rules, NOW).is_err());
    }

    #[test]
    fn the_number_of_subscriptions_is_bounded() {
        let settings = TokenSettings { subs_max: 2, ..TokenSettings::default() };
        let rules = ClaimRules::new(&settings).unwrap();
        let read = |json: &str| ConnectionClaims::read(json.as_bytes(), &rules, NOW).map(|claims| claims.subs.len());
        assert_eq!(read(r#"{"channels":["a","b"]}"#).unwrap(), 2);
        assert_eq!(read(r#"{"subs":{"a":{},"b":{}}}"#).unwrap(), 2);
        for json in [r#"{"channels":["a","b","c"]}"#, r#"{"subs":{"a":{},"b":{},"c":{}}}"#] {
            assert!(matches!(read(json), Err(TokenError::Invalid { why: TokenFault::BadSubs { max: 2 } })), "{json}");
        }
    }
}
