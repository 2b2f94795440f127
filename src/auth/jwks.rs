//! Keys that an identity provider publishes at a URL (JWKS, RFC 7517), fetched and kept up to date.
//!
//! The one place of this room that does I/O, and only to the URLs of the configuration: nothing in a token leads to a request anywhere else.
//! A token whose key id is known is verified in the turn it comes in. One that names an unknown key makes its command wait for the next
//! fetch ([`Jwks::ask`]), which all who wait share. [`Jwks::keep`] is run by the app, in one task of its own.
//!
//! When a URL does not answer, the keys that it gave last stay good for `stale_ms_max`.

use super::keys::{Algorithm, Key, SignatureVerdict, verify_by};
use crate::clock::{Clock, Millis};
use crate::outbound::{self, is_loopback};
use crate::telemetry::emit;
use crate::telemetry::tokens::{KeysFetched, KeysNotFetched, KeysOutOfDate};
use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, StatusCode, Url, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// URLs of one set of token rules.
const URLS_MAX: usize = 8;

/// Bytes of one answer. Sets of large providers have 2 to 10 KB.
const ANSWER_BYTES_MAX: usize = 256 * 1_024;

/// Keys of one answer that are used.
const KEYS_MAX: usize = 64;

/// The longest key id.
const KEY_ID_BYTES_MAX: usize = 1_024;

/// For connecting, and for the whole answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two fetches, whoever asks: strangers can name keys that nobody has.
const PAUSE_MS: Millis = 5_000;

/// Until the next try after one that failed: doubled each time, up to the second, but no longer than between two that did not.
const RETRY_MS_MIN: Millis = 5_000;
const RETRY_MS_MAX: Millis = 300_000;

/// How long a command waits for a fetch: the pause, and the answer. Clients that have not got in by then would be closed as stale.
const ASK_TIMEOUT: Duration = Duration::from_secs(8);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksSettings {
    /// Separated by blanks or commas.
    pub urls: String,
    /// Between two fetches when nobody asks.
    pub refresh_ms: Millis,
    /// How long the keys of a URL stay good when it does not answer.
    pub stale_ms_max: Millis,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    #[error("\"{url}\" is not a URL that keys may be fetched from: https, or http on this machine, without user and fragment")]
    Url { url: String },
    #[error("more than {URLS_MAX} URLs of keys")]
    TooManyUrls,
    #[error("cannot make an HTTP client for fetching keys: {reason}")]
    Client { reason: String },
}

/// Why a fetch gave no keys. For the log.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Http(String),
    #[error("the answer took more than {} s", ANSWER_TIMEOUT.as_secs())]
    Timeout,
    #[error("the answer has status {0}; redirects are not followed")]
    Status(StatusCode),
    #[error("the answer has more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the answer is not a JWK set (RFC 7517, 5)")]
    NotASet,
    #[error("the answer has no key that tokens could be verified with")]
    NoKeys,
}

/// The published keys of all URLs.
#[derive(Debug)]
pub struct Jwks {
    sources: Vec<Source>,
    settings: JwksSettings,
    client: Client,
    clock: Clock,
    wanted: Notify,
    rounds: watch::Sender<Rounds>,
}

#[derive(Debug)]
struct Source {
    url: Url,
    keys: ArcSwapOption<KeySet>,
}

#[derive(Debug, Default)]
struct KeySet {
    by_id: HashMap<String, Vec<Key>>,
    without_id: Vec<Key>,
    fetched_at: Millis,
}

/// Fetches of all URLs so far, and whether all answered the last time.
#[derive(Clone, Copy, Debug, Default)]
struct Rounds {
    begun: u64,
    done: u64,
    all_answered: bool,
}

/// What came of asking for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyNews {
    /// What is published now is known.
    UpToDate,
    /// Not all URLs answered, or not in time: a key that is still unknown may exist.
    NoAnswer,
}

impl Jwks {
    pub fn new(settings: JwksSettings, clock: Clock) -> Result<Arc<Self>, JwksError> {
        let texts: Vec<&str> = settings.urls.split([' ', ',', '\n', '\t']).filter(|text| !text.is_empty()).collect();
        if texts.len() > URLS_MAX {
            return Err(JwksError::TooManyUrls);
        }
        let sources: Vec<Source> =
            texts.into_iter().map(|text| Ok(Source { url: url(text)?, keys: ArcSwapOption::empty() })).collect::<Result<_, _>>()?;
        let client = client(sources.iter().all(|source| is_loopback(&source.url)))?;
        Ok(Arc::new(Self { sources, settings, client, clock, wanted: Notify::new(), rounds: watch::Sender::new(Rounds::default()) }))
    }

    /// Whether a key of this id is known, or for `None`, whether all URLs have said which keys they have.
    pub(super) fn knows(&self, id: Option<&str>) -> bool {
        let loaded = || self.sources.iter().map(|source| source.keys.load());
        match id {
            Some(id) => loaded().any(|keys| keys.as_ref().is_some_and(|keys| keys.by_id.contains_key(id))),
            None => loaded().all(|keys| keys.is_some()),
        }
    }

    /// Asks the keys of this id; those of all URLs, where several have one of that name. `None`: none has.
    pub(super) fn verify(&self, id: Option<&str>, algorithm: Algorithm, message: &[u8], signature: &[u8], now: i64) -> Option<SignatureVerdict> {
        let mut verdict = None;
        for source in &self.sources {
            let keys = source.keys.load();
            let Some(keys) = keys.as_ref() else { continue };
            let candidates = match id {
                Some(id) => keys.by_id.get(id).map(Vec::as_slice),
                None => Some(keys.without_id.as_slice()).filter(|keys| !keys.is_empty()),
            };
            match candidates.map(|keys| verify_by(keys, algorithm, message, signature, now)) {
                Some(SignatureVerdict::Good) => return Some(SignatureVerdict::Good),
                Some(SignatureVerdict::NoKey) if verdict.is_some() => {}
                Some(other) => verdict = Some(other),
                None => {}
            }
        }
        verdict
    }

    /// Waits for a fetch that begins from now on.
    pub async fn ask(self: Arc<Self>) -> KeyNews {
        let mut rounds = self.rounds.subscribe();
        let wanted = rounds.borrow().begun + 1;
        self.wanted.notify_one();
        match tokio::time::timeout(ASK_TIMEOUT, rounds.wait_for(|rounds| rounds.done >= wanted)).await {
            Ok(Ok(rounds)) if rounds.all_answered => KeyNews::UpToDate,
            _ => KeyNews::NoAnswer,
        }
    }

    /// Fetches at once, then whenever it is time or somebody asks. Ends with its task.
    pub async fn keep(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            let begun_at = self.clock.now();
            self.rounds.send_modify(|rounds| rounds.begun += 1);
            let all_answered = self.fetch_all().await;
            self.rounds.send_modify(|rounds| {
                rounds.done = rounds.begun;
                rounds.all_answered = all_answered;
            });
            failures = if all_answered { 0 } else { failures + 1 };
            let next = begun_at + self.until_next(failures);
            tokio::select! {
                () = self.until(next) => {}
                () = self.wanted.notified() => self.until(begun_at + PAUSE_MS).await,
            }
        }
    }

    fn until_next(&self, failures: u32) -> Millis {
        let refresh = self.settings.refresh_ms;
        let pause = match failures {
            0 => refresh,
            failures => (RETRY_MS_MIN << (failures - 1).min(10)).min(RETRY_MS_MAX).min(refresh),
        };
        // The last tenth is chance, so that the nodes of a hub do not ask at the same moment for ever.
        pause - rand::random_range(0..=pause / 10)
    }

    async fn until(&self, at: Millis) {
        tokio::time::sleep(Duration::from_millis(at.saturating_sub(self.clock.now()))).await;
    }

    async fn fetch_all(&self) -> bool {
        let fetches = self.sources.iter().map(|source| async move {
            let result = tokio::time::timeout(ANSWER_TIMEOUT, self.fetch(&source.url)).await.unwrap_or(Err(FetchError::Timeout));
            let now = self.clock.now();
            match result {
                Ok(mut keys) => {
                    keys.fetched_at = now;
                    emit(KeysFetched { url: source.url.as_str(), keys: keys.without_id.len() + keys.by_id.values().map(Vec::len).sum::<usize>() });
                    source.keys.store(Some(Arc::new(keys)));
                    true
                }
                Err(why) => {
                    emit(KeysNotFetched { url: source.url.as_str(), why: &why });
                    if source.keys.load().as_ref().is_some_and(|keys| now >= keys.fetched_at + self.settings.stale_ms_max) {
                        emit(KeysOutOfDate { url: source.url.as_str() });
                        source.keys.store(None);
                    }
                    false
                }
            }
        });
        futures_util::future::join_all(fetches).await.into_iter().all(|answered| answered)
    }

    async fn fetch(&self, url: &Url) -> Result<KeySet, FetchError> {
        let http = |error: reqwest::Error| FetchError::Http(chain(&error.without_url()));
        let mut answer = self.client.get(url.clone()).header(header::ACCEPT, "application/json").send().await.map_err(http)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(http)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        parse(&body)
    }
}

/// An error with its causes; reqwest's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn url(text: &str) -> Result<Url, JwksError> {
    let wrong = || JwksError::Url { url: text.to_string() };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if is_safe && is_plain && url.has_host() { Ok(url) } else { Err(wrong()) }
}

/// A client that keeps no connection between two fetches and sends no cookies.
fn client(is_local: bool) -> Result<Client, JwksError> {
    let builder = outbound::builder(is_local).pool_max_idle_per_host(0).connect_timeout(CONNECT_TIMEOUT);
    let builder = if is_local { builder.tls_certs_only([]) } else { builder };
    builder.build().map_err(|error| JwksError::Client { reason: chain(&error) })
}

/// A JWK set with its keys unparsed, so that one that we cannot read does not hide the others (RFC 7517, 5).
#[derive(Deserialize)]
struct WireSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// RFC 7517, 4 and RFC 7518, 6. What else there is, certificates above all, is not looked at.
#[derive(Deserialize)]
struct WireKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

fn parse(body: &[u8]) -> Result<KeySet, FetchError> {
    let set: WireSet = serde_json::from_slice(body).map_err(|_| FetchError::NotASet)?;
    let mut keys = KeySet::default();
    let readable = set.keys.iter().filter_map(|key| serde_json::from_str::<WireKey>(key.get()).ok());
    for (id, key) in readable.filter_map(|wire| Some((wire.kid.clone(), key(&wire)?))).take(KEYS_MAX) {
        match id {
            Some(id) if id.len() <= KEY_ID_BYTES_MAX => keys.by_id.entry(id).or_default().push(key),
            Some(_) => {}
            None => keys.without_id.push(key),
        }
    }
    if keys.by_id.is_empty() && keys.without_id.is_empty() { Err(FetchError::NoKeys) } else { Ok(keys) }
}

/// A public key for signatures; `None` for any other. Secrets (`oct`) above all: what is published is none.
fn key(wire: &WireKey) -> Option<Key> {
    let verifies = match (&wire.purpose, &wire.key_ops) {
        (Some(purpose), _) => purpose == "sig",
        (None, Some(operations)) => operations.iter().any(|operation| operation == "verify"),
        (None, None) => true,
    };
    if !verifies {
        return None;
    }
    let algorithms = match wire.alg.as_deref() {
        None => Vec::new(),
        // RFC 9864, 2.2: the newer name for the same.
        Some("Ed25519") => vec![Algorithm::EdDSA],
        Some(name) => vec![Algorithm::parse(name)?],
    };
    let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
    match (wire.kty.as_str(), wire.crv.as_deref()) {
        ("RSA", _) => Key::rsa_components(&bytes(&wire.n)?, &bytes(&wire.e)?, &algorithms).ok(),
        ("EC", Some(curve)) => {
            let (x, y) = (bytes(&wire.x)?, bytes(&wire.y)?);
            // RFC 7518, 6.2.1.2: coordinates have the full size of the curve.
            let size = match curve {
                "P-256" => 32,
                "P-384" => 48,
                "P-521" => 66,
                _ => return None,
            };
            let point = [&[4][..], &x, &y].concat();
            if x.len() == size && y.len() == size { Key::ec(&point, &algorithms).ok() } else { None }
        }
        ("OKP", Some("Ed25519")) => bytes(&wire.x).filter(|x| x.len() == 32).and_then(|x| Key::ed(&x, &algorithms).ok()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public key of RFC 7515, A.2.
    const N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    /// The public key of RFC 8037, A.2.
    const ED: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn set(keys: &str) -> Result<KeySet, FetchError> {
        parse(format!(r#"{{"keys":[{keys}]}}"#).as_bytes())
    }
    fn count(keys: &str) -> usize {
        set(keys).map_or(0, |keys| keys.without_id.len() + keys.by_id.values().map(Vec::len).sum::<usize>())
    }

    #[test]
    fn only_public_keys_for_signatures_are_taken() {
        let rsa = |rest: &str| format!(r#"{{"kty":"RSA","n":"{N}","e":"AQAB"{rest}}}"#);
        let ed = |rest: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED}"{rest}}}"#);
        for good in [
            rsa(""),
            rsa(r#","kid":"a","use":"sig","alg":"RS256","x5c":["nonsense"],"x5t":"x""#),
            rsa(r#","use":"sig","alg":"PS512""#),
            rsa(r#","key_ops":["verify"]"#),
            ed(r#","use":"sig""#),
            ed(r#","alg":"EdDSA""#),
            ed(r#","alg":"Ed25519""#),
        ] {
            assert_eq!(count(&good), 1, "{good}");
        }
        for bad in [
            rsa(r#","use":"enc""#),
            rsa(r#","use":"SIG""#),
            rsa(r#","key_ops":["encrypt"]"#),
            rsa(r#","alg":"HS256""#),
            rsa(r#","alg":"none""#),
            rsa(r#","alg":"ES256""#),
            rsa(r#","alg":"RSA-OAEP""#),
            rsa(r#","kid":7"#),
            format!(r#"{{"kty":"RSA","kid":"{}","n":"{N}","e":"AQAB"}}"#, "k".repeat(KEY_ID_BYTES_MAX + 1)),
            format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, &N[..160]),
            format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, "_".repeat(100_000)),
            format!(r#"{{"kty":"RSA","n":"{N}="{}}}"#, r#","e":"AQAB""#),
            format!(r#"{{"kty":"RSA","n":"{N}"}}"#),
            r#"{"kty":"oct","k":"c2VjcmV0","kid":"a","alg":"HS256"}"#.to_string(),
            r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#.to_string(),
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.to_string(),
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{ED}","y":"{ED}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"X25519","x":"{ED}"}}"#),
            r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#.to_string(),
            "{}".to_string(),
            "7".to_string(),
        ] {
            assert_eq!(count(&bad), 0, "{bad}");
            assert_eq!(count(&format!("{bad},{}", ed(r#","kid":"b""#))), 1, "a key that is none hides no other: {bad}");
        }
        for not_a_set in ["", "{}", "[]", r#"{"keys":{}}"#, "<html>", &"[".repeat(10_000)] {
            assert!(matches!(parse(not_a_set.as_bytes()), Err(FetchError::NotASet)), "{not_a_set}");
        }
        let many: Vec<String> = (0..100).map(|n| ed(&format!(r#","kid":"{n}""#))).collect();
        assert_eq!(count(&many.join(",")), KEYS_MAX);
    }

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        for good in ["https://id.example/keys", "https://id.example:8443/a?b=c", "http://127.0.0.1:80/k", "http://[::1]/k", "http://localhost:1/"] {
            assert!(url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://id.example/keys",
            "http://10.0.0.1/",
            "http://localhost.example/",
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
            "//id.example/keys",
            "id.example",
            "https://user:password@id.example/",
            "https://id.example/#a",
            "https://",
        ] {
            assert_eq!(url(bad), Err(JwksError::Url { url: bad.to_string() }), "{bad}");
        }
        let settings = |urls: &str| JwksSettings { urls: urls.to_string(), refresh_ms: 1, stale_ms_max: 1 };
        assert_eq!(Jwks::new(settings("https://a.example/, https://b.example/"), Clock::system()).unwrap().sources.len(), 2);
        assert_eq!(Jwks::new(settings(&"https://a.example/ ".repeat(9)), Clock::system()).err(), Some(JwksError::TooManyUrls));
    }

    #[test]
    fn retries_come_later_and_later_and_never_later_than_refreshes() {
        let settings = JwksSettings { urls: String::new(), refresh_ms: 60_000, stale_ms_max: 1 };
        let jwks = Jwks::new(settings, Clock::manual(0)).unwrap();
        for (failures, max) in [(0, 60_000), (1, 5_000), (2, 10_000), (3, 20_000), (5, 60_000), (u32::MAX, 60_000)] {
            let next = jwks.until_next(failures);
            assert!((max - max / 10..=max).contains(&next), "{failures}: {next}");
        }
    }
}
