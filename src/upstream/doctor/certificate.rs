//! What a server's certificate says, and what those who must trust it say about it. Pure.

use super::finding::{Check, Finding, quoted, time};
use crate::said::{Sentence, said};
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, ProtocolVersion};
use std::time::Duration;
use x509_parser::prelude::{GeneralName, X509Certificate, X509Name};

/// Fewer days left, and a renewal that should have happened did not.
const DAYS_LEFT_MIN: i64 = 14;
/// Beyond it, years.
const DAYS_COUNTED_MAX: i64 = 1_000;
/// Names of a certificate that are listed.
const NAMES_LISTED: usize = 4;

/// One handshake.
pub struct Handshake<'a> {
    pub version: Option<ProtocolVersion>,
    /// The server's own certificate first.
    pub chain: &'a [CertificateDer<'static>],
    /// Whether it is trusted, with `--ca` if there is one.
    pub verdict: Result<(), rustls::Error>,
    /// Whether it is trusted by the certificates of this system alone, which are the hub's.
    pub by_system: bool,
    /// Go on although it is not trusted.
    pub is_insecure: bool,
    pub took: Duration,
    pub now_seconds: i64,
}

impl Handshake<'_> {
    pub fn judge(&self) -> Finding {
        let version = match self.version {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        let parsed = self.chain.first().and_then(|own| x509_parser::parse_x509_certificate(own).ok()).map(|(_, parsed)| parsed);
        let Some(own) = parsed else {
            return Finding::problem(
                Check::Tls,
                said!("tls.unreadable", "{version}, with a certificate that cannot be read", version),
                said!("hub.parks_it", "The hub parks such a feed."),
            );
        };
        let days = (own.validity().not_after.timestamp() - self.now_seconds).div_euclid(86_400);
        let (took_ms, names, issuer) = (time(self.took), names(&own), name(own.issuer()));
        let result = match days {
            ..0 => said!(
                "tls.expired",
                "{version} in {took_ms}, certificate of {names}, issued by {issuer}, expired {expired_days} days ago",
                version,
                took_ms,
                names,
                issuer,
                expired_days = days.unsigned_abs()
            ),
            0..DAYS_COUNTED_MAX => said!(
                "tls.days",
                "{version} in {took_ms}, certificate of {names}, issued by {issuer}, {days} days left",
                version,
                took_ms,
                names,
                issuer,
                days = days.unsigned_abs()
            ),
            _ => said!(
                "tls.years",
                "{version} in {took_ms}, certificate of {names}, issued by {issuer}, {years} years left",
                version,
                took_ms,
                names,
                issuer,
                years = days.unsigned_abs() / 365
            ),
        };
        match &self.verdict {
            Err(error) => Finding::problem(Check::Tls, result, [self.fault(error, &own), self.consequence()]),
            Ok(()) if !self.by_system => Finding::warning(
                Check::Tls,
                result,
                said!(
                    "tls.by_ca",
                    "Trusted by --ca only. The hub trusts the certificates of its system: add this one there (Debian: \
                     /usr/local/share/ca-certificates, then update-ca-certificates), or name a file with all of them in SSL_CERT_FILE."
                ),
            ),
            Ok(()) if days < DAYS_LEFT_MIN => Finding::warning(
                Check::Tls,
                result,
                said!("tls.renew", "It should have been renewed by now. From its last day on the hub cannot read the feed."),
            ),
            Ok(()) => Finding::fine(Check::Tls, result),
        }
    }

    fn fault(&self, error: &rustls::Error, own: &X509Certificate<'_>) -> Sentence {
        let is_self_signed = own.issuer() == own.subject();
        let refused = |error: String| said!("tls.refused", "The certificate is not accepted: {error}.", error);
        match error {
            rustls::Error::InvalidCertificate(error) => match error {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    said!("tls.has_expired", "The certificate has expired.")
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    said!("tls.not_yet", "The certificate is not valid yet; is the clock of this machine right?")
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    said!("tls.other_names", "The certificate is for other names than the one in the address.")
                }
                CertificateError::UnknownIssuer if is_self_signed => {
                    said!("tls.self_signed", "The certificate is self-signed: nobody vouches for it.")
                }
                CertificateError::UnknownIssuer if self.chain.len() == 1 => said!(
                    "tls.unknown_or_cut",
                    "Nobody whom this system trusts vouches for it: a private authority, or the server leaves out the intermediate certificate."
                ),
                CertificateError::UnknownIssuer => {
                    said!("tls.unknown", "Nobody whom this system trusts vouches for it: a private authority.")
                }
                other => refused(other.to_string()),
            },
            rustls::Error::General(_) => {
                said!("tls.no_authorities", "This system has no certificates of authorities at all (Debian: package ca-certificates).")
            }
            other => refused(other.to_string()),
        }
    }

    fn consequence(&self) -> Sentence {
        match self.is_insecure {
            true => {
                said!("tls.insecure", "The check goes on because of --insecure; the hub has no such switch and parks the feed.")
            }
            false => said!("tls.repeat", "The hub parks the feed. Repeat with --ca FILE or --insecure to see the rest."),
        }
    }
}

/// The names that it is for.
fn names(own: &X509Certificate<'_>) -> String {
    let alternatives = own.subject_alternative_name().ok().flatten();
    let mut listed: Vec<String> = alternatives
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_string()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
                _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
            },
            _ => None,
        })
        .take(NAMES_LISTED + 1)
        .map(|name| quoted(&name))
        .collect();
    if listed.is_empty() {
        return name(own.subject());
    }
    if listed.len() > NAMES_LISTED {
        listed.truncate(NAMES_LISTED);
        listed.push("…".to_string());
    }
    listed.join(", ")
}

/// Organisation and common name, as far as there are any.
fn name(name: &X509Name<'_>) -> String {
    let parts = name.iter_organization().chain(name.iter_common_name()).filter_map(|part| part.as_str().ok()).collect::<Vec<_>>();
    quoted(&if parts.is_empty() { name.to_string() } else { parts.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    /// 2026-11-21T10:00:00Z.
    const NOW: i64 = 1_795_255_200;

    fn certificate() -> CertificateDer<'static> {
        let mut params = CertificateParams::new((0..6).map(|n| format!("n{n}.example")).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "feed\u{1b}.example");
        params.not_after = rcgen::date_time_ymd(2026, 12, 31);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn judged(verdict: Result<(), rustls::Error>, by_system: bool, now_seconds: i64) -> Finding {
        let chain = [certificate()];
        let took = Duration::from_millis(9);
        Handshake { version: Some(ProtocolVersion::TLSv1_3), chain: &chain, verdict, by_system, is_insecure: false, took, now_seconds }.judge()
    }

    #[test]
    fn a_trusted_certificate_is_told_with_its_days() {
        let finding = judged(Ok(()), true, NOW);
        assert_eq!(finding.level, Level::Fine);
        for word in ["TLS 1.3 in 9 ms", "\"n0.example\"", ", …, issued by", "feed\\u{1b}.example", "39 days left"] {
            assert!(finding.result.contains(word), "{word}: {finding:?}");
        }
        assert!(!finding.result.contains("n5.example"));
        assert_eq!(judged(Ok(()), true, NOW + 30 * 86_400).level, Level::Warning);
        let finding = judged(Ok(()), false, NOW);
        assert!(finding.level == Level::Warning && finding.advice.is_some_and(|text| text.contains("SSL_CERT_FILE")));
    }

    #[test]
    fn every_refusal_has_its_reason() {
        for (error, word) in [
            (CertificateError::Expired, "has expired"),
            (CertificateError::NotValidYet, "not valid yet"),
            (CertificateError::NotValidForName, "other names"),
            (CertificateError::UnknownIssuer, "self-signed"),
            (CertificateError::BadSignature, "not accepted"),
        ] {
            let finding = judged(Err(error.into()), false, NOW);
            let advice = finding.advice.unwrap();
            assert!(finding.level == Level::Problem && advice.contains(word) && advice.contains("--insecure"), "{advice}");
        }
        let finding = judged(Err(CertificateError::Expired.into()), false, NOW + 60 * 86_400);
        assert!(finding.result.contains("expired 21 days ago"), "{finding:?}");
    }

    #[test]
    fn rubbish_for_a_certificate_is_said_to_be_that() {
        let chain = [CertificateDer::from(vec![1, 2, 3])];
        let handshake =
            Handshake { version: None, chain: &chain, verdict: Ok(()), by_system: true, is_insecure: true, took: Duration::ZERO, now_seconds: NOW };
        assert_eq!(handshake.judge().level, Level::Problem);
    }
}
