//! Tokens of Mercure publishers and subscribers: which topics they may publish to, and which private updates they may see.
//!
//! Two generations of claims ([`Generation`]), told apart by what a token carries. Signatures, algorithms and forbidden headers are judged by the same
//! code as all other tokens. Asked by the HTTP edge; time is handed in. Deliberately absent: matching topics, which needs compiled selectors.

use super::claims::{MEMBERS_MAX, date, one_or_many, text, wrong};
use super::jwt::{SettingsError, TokenError, TokenFault, TokenSettings, TokenVerifier};
use super::keys::{Algorithm, KeyMaterial, TokenKey};
use super::members::{Members, Text};
use crate::protocol::mercure::{Generation, MatchKind, Protocol, SelectorText};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Bytes of a token. Lists of selectors are long; headers of requests are bounded besides.
const TOKEN_BYTES_MAX: usize = 64 * 1_024;

/// Shorter texts cannot be tokens.
const TOKEN_BYTES_MIN: usize = 41;

/// Selectors in one list of a token.
const SELECTORS_MAX: usize = 1_000;

/// The `type` of our authorization details (RFC 9396).
const DETAIL_TYPE: &str = "https://mercure.rocks/authorization-detail";

/// Takes the place of the claim `mercure` where a provider allows only claims that are URLs.
const NAMESPACED_CLAIM: &str = "https://mercure.rocks/";

/// A key and the one algorithm that it is for.
#[derive(Clone, Debug)]
pub struct MercureKey {
    pub algorithm: Algorithm,
    /// The secret, or the public key in PEM.
    pub key: SecretString,
}

impl MercureKey {
    fn token_key(&self) -> TokenKey {
        let pem = || self.key.expose_secret().to_string();
        let material = match self.algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => KeyMaterial::Hmac(self.key.clone()),
            Algorithm::ES256 | Algorithm::ES384 | Algorithm::ES512 => KeyMaterial::Ec { pem: pem() },
            Algorithm::EdDSA => KeyMaterial::Ed { pem: pem() },
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 | Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => {
                KeyMaterial::Rsa { pem: pem() }
            }
        };
        TokenKey { algorithms: vec![self.algorithm], ..TokenKey::new(material) }
    }
}

#[derive(Clone, Debug)]
pub struct MercureTokenSettings {
    pub protocol: Protocol,
    /// `None`: nobody may publish.
    pub publisher: Option<MercureKey>,
    /// `None`: subscribers are anonymous or nobody.
    pub subscriber: Option<MercureKey>,
    /// What modern tokens must have in `aud`. Empty: none is accepted.
    pub resource: String,
    /// What modern tokens must have in `iss`. Empty: none is accepted.
    pub issuer: String,
}

/// For what a token is shown; each has a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MercureRole {
    Publisher,
    Subscriber,
}

/// What a token allows.
#[derive(Clone, Debug)]
pub struct MercureRights {
    pub generation: Generation,
    /// `None`: it is no token of a publisher.
    pub publish: Option<Vec<SelectorText>>,
    pub subscribe: Vec<SelectorText>,
    /// What subscriptions are described with: of the first whose selectors match, or which has none.
    pub payloads: Vec<(Vec<SelectorText>, Arc<RawValue>)>,
    /// Unix seconds.
    pub expires_at: Option<i64>,
}

/// Verifies tokens of publishers and subscribers.
#[derive(Debug)]
pub struct MercureTokens {
    publisher: Option<TokenVerifier>,
    subscriber: Option<TokenVerifier>,
    protocol: Protocol,
    resource: String,
    issuer: String,
}

impl MercureTokens {
    /// Fails on keys that could not verify anything.
    pub fn new(settings: &MercureTokenSettings) -> Result<Self, SettingsError> {
        let verifier = |key: &Option<MercureKey>| {
            let settings =
                |key: &MercureKey| TokenSettings { keys: vec![key.token_key()], token_bytes_max: TOKEN_BYTES_MAX, ..TokenSettings::default() };
            key.as_ref().map(|key| TokenVerifier::new(&settings(key))).transpose()
        };
        Ok(Self {
            publisher: verifier(&settings.publisher)?,
            subscriber: verifier(&settings.subscriber)?,
            protocol: settings.protocol,
            resource: settings.resource.clone(),
            issuer: settings.issuer.clone(),
        })
    }

    /// What a token allows, if it is good at `now_wall_seconds` (Unix time).
    pub fn verify(&self, role: MercureRole, token: &str, now_wall_seconds: i64) -> Result<MercureRights, TokenError> {
        if token.len() < TOKEN_BYTES_MIN {
            return Err(TokenFault::NotThreeParts.into());
        }
        let verifier = match role {
            MercureRole::Publisher => &self.publisher,
            MercureRole::Subscriber => &self.subscriber,
        };
        let verifier = verifier.as_ref().ok_or(wrong("mercure", "for this hub, which has no key for such tokens"))?;
        let opened = verifier.open(token, now_wall_seconds)?;
        let members = Members::parse(&opened.payload, MEMBERS_MAX).ok_or(TokenFault::BadClaims)?;
        let (not_before, expires_at) = (date(&members, "nbf")?, date(&members, "exp")?);
        let details = members.get("authorization_details").filter(|_| self.protocol.speaks(Generation::Modern));
        let rights = match details {
            Some(details) => {
                self.is_for_us(&members, opened.kind.as_deref())?;
                if expires_at.is_none() {
                    return Err(TokenFault::MissingClaim { claim: "exp" }.into());
                }
                MercureRights { expires_at, ..details_of(details)? }
            }
            None if !self.protocol.speaks(Generation::Legacy) => {
                return Err(TokenFault::MissingClaim { claim: "authorization_details" }.into());
            }
            None => MercureRights { expires_at, ..legacy(&members)? },
        };
        if expires_at.is_some_and(|at| now_wall_seconds >= at) || not_before.is_some_and(|at| now_wall_seconds < at) {
            return Err(TokenError::Expired);
        }
        Ok(rights)
    }

    /// Which generation a text that is shown as a token claims to be of, whether or not it is true: in its words it is answered.
    pub fn generation_of(&self, token: &str) -> Generation {
        let claims = token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok()).unwrap_or_default();
        let has_details = Members::parse(&claims, MEMBERS_MAX).is_some_and(|members| members.get("authorization_details").is_some());
        if self.protocol == Protocol::Modern || (has_details && self.protocol.speaks(Generation::Modern)) {
            Generation::Modern
        } else {
            Generation::Legacy
        }
    }

    /// What RFC 9068 asks of access tokens.
    fn is_for_us(&self, members: &Members<'_>, kind: Option<&str>) -> Result<(), TokenFault> {
        let is_access_token = kind.is_some_and(|kind| ["at+jwt", "application/at+jwt"].iter().any(|known| kind.eq_ignore_ascii_case(known)));
        if !is_access_token {
            return Err(wrong("typ", "at+jwt"));
        }
        let issuer = text(members, "iss")?;
        if self.issuer.is_empty() || issuer.as_deref() != Some(&self.issuer) {
            return Err(TokenFault::WrongIssuer);
        }
        let audience = members.get("aud").and_then(one_or_many).unwrap_or_default();
        if self.resource.is_empty() || !audience.iter().any(|Text(name)| *name == self.resource) {
            return Err(TokenFault::WrongAudience);
        }
        Ok(())
    }
}

fn legacy(members: &Members<'_>) -> Result<MercureRights, TokenFault> {
    let mut rights = MercureRights { generation: Generation::Legacy, publish: None, subscribe: Vec::new(), payloads: Vec::new(), expires_at: None };
    let Some(claim) = members.get(NAMESPACED_CLAIM).or_else(|| members.get("mercure")) else { return Ok(rights) };
    let not_read = || wrong("mercure", "an object with lists of at most 1000 topic selectors in publish and subscribe");
    let claim = Members::parse_value(claim, MEMBERS_MAX).ok_or_else(not_read)?;
    let list = |name: &str| -> Result<Option<Vec<SelectorText>>, TokenFault> {
        let Some(value) = claim.get(name).filter(|value| value.get() != "null") else { return Ok(None) };
        let texts: Vec<Text<'_>> = serde_json::from_str(value.get()).map_err(|_| not_read())?;
        if texts.len() > SELECTORS_MAX {
            return Err(not_read());
        }
        Ok(Some(texts.iter().map(|Text(text)| SelectorText::new(MatchKind::Template, text)).collect()))
    };
    rights.publish = list("publish")?;
    rights.subscribe = list("subscribe")?.unwrap_or_default();
    rights.payloads.extend(claim.get("payload").filter(|payload| payload.get() != "null").map(|payload| (Vec::new(), Arc::from(payload.to_owned()))));
    Ok(rights)
}

/// One detail of ours that cannot be read spoils the whole token; those of others are none of our business.
fn details_of(details: &RawValue) -> Result<MercureRights, TokenFault> {
    let not_read = || wrong("authorization_details", "a list of details with actions and topics as Mercure has them");
    let details: Vec<&RawValue> = serde_json::from_str(details.get()).map_err(|_| not_read())?;
    if details.len() > SELECTORS_MAX {
        return Err(not_read());
    }
    let mut rights = MercureRights { generation: Generation::Modern, publish: None, subscribe: Vec::new(), payloads: Vec::new(), expires_at: None };
    for detail in details {
        let detail = Members::parse_value(detail, MEMBERS_MAX).ok_or_else(not_read)?;
        if text(&detail, "type")?.as_deref() != Some(DETAIL_TYPE) {
            continue;
        }
        let actions: Vec<Text<'_>> = serde_json::from_str(detail.get("actions").ok_or_else(not_read)?.get()).map_err(|_| not_read())?;
        let topics: Vec<&RawValue> = serde_json::from_str(detail.get("topics").ok_or_else(not_read)?.get()).map_err(|_| not_read())?;
        if actions.is_empty() || topics.is_empty() || topics.len() > SELECTORS_MAX {
            return Err(not_read());
        }
        let mut selectors = Vec::with_capacity(topics.len());
        for topic in topics {
            let topic = Members::parse_value(topic, MEMBERS_MAX).filter(|topic| !topic.is_empty()).ok_or_else(not_read)?;
            let kind = match text(&topic, "match_type")? {
                None => MatchKind::Exact,
                Some(name) => MatchKind::parse(&name).ok_or_else(not_read)?,
            };
            selectors.push(SelectorText::new(kind, &text(&topic, "match")?.ok_or_else(not_read)?));
        }
        let payload = detail.get("payload").map(|payload| payload.get().starts_with('{').then_some(payload).ok_or_else(not_read)).transpose()?;
        let may = |action: &str| actions.iter().any(|Text(name)| name == action);
        if may("publish") {
            rights.publish.get_or_insert_default().extend(selectors.iter().cloned());
        }
        if may("subscribe") {
            rights.subscribe.extend(selectors.iter().cloned());
            rights.payloads.extend(payload.map(|payload| (selectors, Arc::from(payload.to_owned()))));
        }
    }
    if rights.publish.as_ref().map_or(0, Vec::len) > SELECTORS_MAX || rights.subscribe.len() > SELECTORS_MAX {
        return Err(not_read());
    }
    Ok(rights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::hmac;
    use serde_json::{Value, json};

    const NOW: i64 = 1_800_000_000;
    const SECRET: &str = "a secret that publishers and the hub know";

    fn signed(header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn tokens(protocol: Protocol) -> MercureTokens {
        let key = MercureKey { algorithm: Algorithm::HS256, key: SECRET.to_string().into() };
        MercureTokens::new(&MercureTokenSettings {
            protocol,
            publisher: Some(key.clone()),
            subscriber: Some(key),
            resource: "https://hub.example/.well-known/mercure".to_string(),
            issuer: "https://issuer.example".to_string(),
        })
        .unwrap()
    }

    fn verify(protocol: Protocol, header: &Value, claims: &Value) -> Result<MercureRights, TokenError> {
        tokens(protocol).verify(MercureRole::Subscriber, &signed(header, claims), NOW)
    }

    fn texts(selectors: &[SelectorText]) -> Vec<String> {
        selectors.iter().map(|selector| format!("{}:{}", selector.kind.as_str(), selector.text)).collect()
    }

    fn legacy_header() -> Value {
        json!({ "alg": "HS256", "typ": "JWT" })
    }

    #[test]
    fn legacy_rights_stand_in_the_mercure_claim() {
        let claims = json!({ "mercure": { "publish": ["*"], "subscribe": ["a", "b/{id}"], "payload": { "user": 1 } } });
        let rights = verify(Protocol::Both, &legacy_header(), &claims).unwrap();
        assert_eq!(rights.generation, Generation::Legacy);
        assert_eq!(texts(&rights.publish.unwrap()), ["topic:*"]);
        assert_eq!(texts(&rights.subscribe), ["topic:a", "topic:b/{id}"]);
        assert_eq!(rights.payloads.iter().map(|(_, payload)| payload.get()).collect::<Vec<_>>(), [r#"{"user":1}"#]);
        assert_eq!(rights.expires_at, None);

        let claims = json!({ "mercure": { "publish": ["x"] }, "https://mercure.rocks/": { "subscribe": ["y"] }, "exp": NOW + 1 });
        let rights = verify(Protocol::Legacy, &legacy_header(), &claims).unwrap();
        assert!(rights.publish.is_none());
        assert_eq!((texts(&rights.subscribe), rights.expires_at), (vec!["topic:y".to_string()], Some(NOW + 1)));
        assert!(verify(Protocol::Both, &legacy_header(), &json!({ "sub": "somebody without any right" })).unwrap().publish.is_none());
        assert_eq!(
            verify(Protocol::Both, &legacy_header(), &json!({ "mercure": { "publish": [] } })).unwrap().publish.map(|list| list.len()),
            Some(0)
        );
    }

    #[test]
    fn legacy_tokens_that_cannot_be_read_are_refused() {
        let many: Vec<String> = (0..=SELECTORS_MAX).map(|n| n.to_string()).collect();
        for claims in [
            json!({ "mercure": { "publish": "*" } }),
            json!({ "mercure": { "subscribe": [1] } }),
            json!({ "mercure": { "subscribe": many } }),
            json!({ "mercure": [] }),
            json!({ "mercure": {}, "exp": "tomorrow, long from now" }),
        ] {
            assert!(matches!(verify(Protocol::Both, &legacy_header(), &claims), Err(TokenError::Invalid { .. })), "{claims}");
        }
        for claims in [json!({ "exp": NOW, "mercure": { "publish": ["*"] } }), json!({ "nbf": NOW + 1, "mercure": { "publish": ["*"] } })] {
            assert_eq!(verify(Protocol::Both, &legacy_header(), &claims).unwrap_err(), TokenError::Expired, "{claims}");
        }
        let short = tokens(Protocol::Both).verify(MercureRole::Publisher, "a.b.c", NOW);
        assert_eq!(short.unwrap_err(), TokenFault::NotThreeParts.into());
    }

    fn access_token() -> Value {
        json!({ "iss": "https://issuer.example", "aud": ["x", "https://hub.example/.well-known/mercure"], "exp": NOW + 60, "authorization_details": [
            { "type": "https://other.example/", "actions": "whatever" },
            { "type": DETAIL_TYPE, "actions": ["subscribe", "fly"], "topics": [{ "match": "/b/:id", "match_type": "urlpattern" }], "payload": { "user": 2 } },
            { "type": DETAIL_TYPE, "actions": ["publish", "subscribe"], "topics": [{ "match": "a" }] },
        ] })
    }

    fn modern_header() -> Value {
        json!({ "alg": "HS256", "typ": "AT+jwt" })
    }

    #[test]
    fn modern_rights_stand_in_authorization_details() {
        for protocol in [Protocol::Both, Protocol::Modern] {
            let rights = verify(protocol, &modern_header(), &access_token()).unwrap();
            assert_eq!(rights.generation, Generation::Modern);
            assert_eq!(texts(&rights.publish.unwrap()), ["exact:a"]);
            assert_eq!(texts(&rights.subscribe), ["urlpattern:/b/:id", "exact:a"]);
            assert_eq!(rights.payloads.len(), 1);
        }
        assert_eq!(verify(Protocol::Legacy, &modern_header(), &access_token()).unwrap().generation, Generation::Legacy);
    }

    #[test]
    fn modern_tokens_are_held_to_the_rules_of_access_tokens() {
        let without = |claim: &str| {
            let mut claims = access_token();
            claims.as_object_mut().unwrap().remove(claim);
            claims
        };
        let with = |claim: &str, value: Value| {
            let mut claims = access_token();
            claims[claim] = value;
            claims
        };
        let detail = |detail: Value| with("authorization_details", json!([detail]));
        let cases = [
            (legacy_header(), access_token()),
            (modern_header(), without("exp")),
            (modern_header(), without("iss")),
            (modern_header(), without("aud")),
            (modern_header(), with("iss", json!("https://other.example"))),
            (modern_header(), with("aud", json!("https://other.example"))),
            (modern_header(), detail(json!({ "type": DETAIL_TYPE, "actions": ["publish"] }))),
            (modern_header(), detail(json!({ "type": DETAIL_TYPE, "actions": [], "topics": [{ "match": "a" }] }))),
            (modern_header(), detail(json!({ "type": DETAIL_TYPE, "actions": [1], "topics": [{ "match": "a" }] }))),
            (modern_header(), detail(json!({ "type": DETAIL_TYPE, "actions": ["publish"], "topics": [] }))),
            (modern_header(), detail(json!({ "type": DETAIL_TYPE, "actions": ["publish"], "topics": ["a"] }))),
            (modern_header(), detail(json!({ "type": DETAIL_TYPE, "actions": ["publish"], "topics": [{ "match": "a", "match_type": "regex" }] }))),
            (modern_header(), detail(json!({ "type": DETAIL_TYPE, "actions": ["publish"], "topics": [{ "match": "a" }], "payload": 1 }))),
        ];
        for (header, claims) in cases {
            assert!(matches!(verify(Protocol::Both, &header, &claims), Err(TokenError::Invalid { .. })), "{header} {claims}");
        }
        assert_eq!(verify(Protocol::Both, &modern_header(), &with("exp", json!(NOW))).unwrap_err(), TokenError::Expired);
        assert!(verify(Protocol::Modern, &legacy_header(), &json!({ "mercure": { "publish": ["*"] } })).is_err());
    }

    #[test]
    fn the_algorithm_is_the_configured_one() {
        assert!(verify(Protocol::Both, &json!({ "alg": "HS384" }), &json!({ "mercure": {} })).is_err());
        assert!(verify(Protocol::Both, &json!({ "alg": "none" }), &json!({ "mercure": {} })).is_err());
    }
}
