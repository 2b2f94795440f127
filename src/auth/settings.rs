//! From the configuration's section about tokens to what a verifier needs.

use super::jwks::JwksSettings;
use super::jwt::{Expected, TokenSettings};
use super::keys::{KeyMaterial, TokenKey};
use crate::config::TokenConfig;
use secrecy::SecretString;

impl From<&TokenConfig> for TokenSettings {
    fn from(config: &TokenConfig) -> Self {
        let hmac = |secret: &crate::config::Secret| TokenKey::new(KeyMaterial::Hmac(SecretString::from(secret.expose())));
        let mut keys = Vec::new();
        if !config.hmac_secret_key.is_empty() {
            keys.push(hmac(&config.hmac_secret_key));
        }
        if !config.hmac_previous_secret_key.is_empty() {
            let end = config.hmac_previous_secret_key_valid_until;
            keys.push(TokenKey { accepted_until: (end > 0).then_some(end), ..hmac(&config.hmac_previous_secret_key) });
        }
        let public = [
            (&config.rsa_public_key, (|pem| KeyMaterial::Rsa { pem }) as fn(String) -> KeyMaterial),
            (&config.ecdsa_public_key, |pem| KeyMaterial::Ec { pem }),
            (&config.eddsa_public_key, |pem| KeyMaterial::Ed { pem }),
        ];
        keys.extend(public.into_iter().filter(|(pem, _)| !pem.is_empty()).map(|(pem, material)| TokenKey::new(material(pem.clone()))));
        Self {
            keys,
            audience: expected(&config.audience, &config.audience_regex),
            issuer: expected(&config.issuer, &config.issuer_regex),
            user_id_claim: config.user_id_claim.clone(),
            role_claim: config.role_claim.clone(),
            // Claims count in seconds; a part of one counts in the token's favour.
            leeway_seconds: u32::try_from(config.leeway.ms().div_ceil(1_000)).unwrap_or(u32::MAX),
            ..Self::default()
        }
    }
}

impl JwksSettings {
    /// `None` where no keys are to be read from anywhere.
    pub fn of(config: &TokenConfig) -> Option<Self> {
        (!config.jwks_public_endpoint.trim().is_empty()).then(|| Self {
            urls: config.jwks_public_endpoint.clone(),
            refresh_ms: config.jwks_refresh_interval.ms(),
            stale_ms_max: config.jwks_stale_max.ms(),
        })
    }
}

/// The configuration has at most one of the two.
fn expected(exact: &str, regex: &str) -> Expected {
    match (exact, regex) {
        ("", "") => Expected::Anything,
        ("", regex) => Expected::Matching(regex.to_string()),
        (exact, _) => Expected::Exactly(exact.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Algorithm, MintConnection, TokenSigner, TokenVerifier};
    use super::*;
    use crate::units::HumanDuration;

    fn accepts(config: &TokenConfig, secret: &str, now: i64) -> bool {
        let mint =
            MintConnection { user: "alice", expires_at: Some(1_000), audience: Some("hub"), issuer: Some("app-1"), ..MintConnection::default() };
        let token = TokenSigner::hmac(secret.as_bytes(), Algorithm::HS256).unwrap().sign(&mint).unwrap();
        TokenVerifier::new(&TokenSettings::from(config)).unwrap().verify_connection(&token, now).is_ok()
    }

    #[test]
    fn every_option_about_tokens_has_its_effect() {
        let config = TokenConfig {
            hmac_secret_key: "new".into(),
            hmac_previous_secret_key: "old".into(),
            hmac_previous_secret_key_valid_until: 500,
            audience: "hub".to_string(),
            issuer_regex: "^app-[0-9]$".to_string(),
            leeway: HumanDuration::from_ms(1_500),
            ..TokenConfig::default()
        };
        assert!(accepts(&config, "new", 900) && !accepts(&config, "other", 900));
        assert!(accepts(&config, "old", 499) && !accepts(&config, "old", 501), "the previous key ends");
        assert!(accepts(&config, "new", 1_001) && !accepts(&config, "new", 1_003), "two seconds of leeway");
        assert!(accepts(&TokenConfig { hmac_previous_secret_key_valid_until: 0, ..config.clone() }, "old", 900), "no end");
        assert!(!accepts(&TokenConfig { audience: "another".to_string(), ..config.clone() }, "new", 900));
        assert!(!accepts(&TokenConfig { issuer_regex: "^app$".to_string(), ..config.clone() }, "new", 900));
        assert!(!accepts(&TokenConfig::default(), "new", 900), "no key, no token");
    }

    #[test]
    fn a_public_key_that_is_none_is_noticed() {
        for config in [
            TokenConfig { rsa_public_key: "-----BEGIN x".to_string(), ..TokenConfig::default() },
            TokenConfig { ecdsa_public_key: "-----BEGIN x".to_string(), ..TokenConfig::default() },
            TokenConfig { eddsa_public_key: "-----BEGIN x".to_string(), ..TokenConfig::default() },
        ] {
            assert!(TokenVerifier::new(&TokenSettings::from(&config)).is_err(), "{config:?}");
        }
    }
}
