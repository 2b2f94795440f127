//! The certificate that is served now, replaceable while connections are made and without touching those that exist.
//!
//! Handshakes read it without a lock. Whoever replaces it (the watch, SIGHUP) reads files and may wait for the disk: never on a worker.

use super::KeyHolder;
use super::certificate::{CertificateError, CertificatePaths, LoadedCertificate, PemPair};
use crate::clock::Clock;
use crate::telemetry::certificates::{CertificateExpiring, CertificateLoaded, CertificateRefused, CertificateReloaded};
use crate::telemetry::emit;
use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, Digest, SHA256};
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use secrecy::ExposeSecret;
use std::fmt;
use std::sync::Arc;

/// A certificate that is renewed as usual, after two thirds of 90 days, never comes so close to its end.
const EXPIRY_WARNING_SECONDS: i64 = 14 * 86_400;

const DAY_SECONDS: i64 = 86_400;

/// Shows every client the certificate that was last found good.
pub struct ReloadingResolver {
    paths: CertificatePaths,
    clock: Clock,
    served: ArcSwap<LoadedCertificate>,
    /// What was last found on disk, good or bad. Held while files are read, so that two reloads do not overtake each other.
    found: Mutex<Found>,
}

struct Found {
    /// Of both files, or of the reason why they could not be read. The same again is neither loaded nor complained about again.
    fingerprint: Vec<u8>,
    /// Wall clock, seconds. `None`: nothing to warn of so far.
    warned_at: Option<i64>,
}

impl ReloadingResolver {
    /// Loads the pair. An expired one is served all the same, loudly: a hub that does not start is no better for anybody.
    pub fn open(paths: CertificatePaths, clock: Clock) -> Result<Arc<Self>, CertificateError> {
        let pair = PemPair::read(&paths)?;
        let loaded = pair.load(&paths)?;
        emit(CertificateLoaded { path: &paths.certificate, expires_at: loaded.expires_at });
        let found = Found { fingerprint: fingerprint(&Ok(pair)), warned_at: None };
        let resolver = Self { paths, clock, served: ArcSwap::from_pointee(loaded), found: Mutex::new(found) };
        resolver.warn_of_expiry();
        Ok(Arc::new(resolver))
    }

    /// Loads the pair anew. If it cannot be served, the old one is kept, an event says so, and the reason is returned too. Blocks while
    /// it reads files; [`CertificateWatch::reload_soon`](super::CertificateWatch::reload_soon) does not.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let mut found = self.found.lock();
        let pair = PemPair::read(&self.paths);
        found.fingerprint = fingerprint(&pair);
        self.replace(pair)
    }

    /// Loads the pair anew if it is not what was found the last time.
    pub(super) fn reload_if_changed(&self) {
        let mut found = self.found.lock();
        let pair = PemPair::read(&self.paths);
        let fingerprint = fingerprint(&pair);
        if fingerprint != found.fingerprint {
            found.fingerprint = fingerprint;
            // The event has told why.
            let _ = self.replace(pair);
        }
    }

    fn replace(&self, pair: Result<PemPair, CertificateError>) -> Result<(), CertificateError> {
        let path = &self.paths.certificate;
        match pair.and_then(|pair| pair.load(&self.paths)).and_then(|new| self.is_no_step_back(new)) {
            Ok(new) => {
                emit(CertificateReloaded { path, expires_at: new.expires_at });
                self.served.store(Arc::new(new));
                Ok(())
            }
            Err(error) => {
                emit(CertificateRefused { path, error: &error });
                Err(error)
            }
        }
    }

    /// An expired certificate does not replace one that lives longer: somebody put an old file back.
    fn is_no_step_back(&self, new: LoadedCertificate) -> Result<LoadedCertificate, CertificateError> {
        let has_expired = new.expires_at <= self.clock.wall_seconds();
        if has_expired && new.expires_at < self.expires_at() {
            return Err(CertificateError::Expired { path: self.paths.certificate.clone() });
        }
        Ok(new)
    }

    /// Says once a day that the served certificate is about to expire.
    pub(super) fn warn_of_expiry(&self) {
        let (now, expires_at) = (self.clock.wall_seconds(), self.expires_at());
        let mut found = self.found.lock();
        if is_warning_due(expires_at, now, found.warned_at) {
            found.warned_at = Some(now);
            emit(CertificateExpiring { path: &self.paths.certificate, expires_at, has_expired: expires_at <= now });
        }
    }

    /// Settings of a client in this process: it believes the certificate that is shown now, and no other, whatever its names and times are.
    pub fn client_config(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(default_provider());
        let holder = KeyHolder::new(&provider, self.served.load().certified.cert.first().cloned());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(builder.dangerous().with_custom_certificate_verifier(holder).with_no_client_auth())
    }

    /// Unix seconds at which the served certificate expires.
    pub fn expires_at(&self) -> i64 {
        self.served.load().expires_at
    }

    pub fn paths(&self) -> &CertificatePaths {
        &self.paths
    }
}

impl ResolvesServerCert for ReloadingResolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.served.load().certified))
    }
}

impl fmt::Debug for ReloadingResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadingResolver").field("paths", &self.paths).field("expires_at", &self.expires_at()).finish_non_exhaustive()
    }
}

/// `warned_at` in the future means that the wall clock was set back: then the warning is due again.
fn is_warning_due(expires_at: i64, now: i64, warned_at: Option<i64>) -> bool {
    let is_close = now >= expires_at.saturating_sub(EXPIRY_WARNING_SECONDS);
    is_close && warned_at.is_none_or(|at| !(at..at.saturating_add(DAY_SECONDS)).contains(&now))
}

fn fingerprint(pair: &Result<PemPair, CertificateError>) -> Vec<u8> {
    let digest: Digest = match pair {
        Ok(pair) => {
            let mut context = Context::new(&SHA256);
            // The length keeps the two files apart: moving bytes from one to the other is a change.
            context.update(&pair.certificate.len().to_le_bytes());
            context.update(&pair.certificate);
            context.update(pair.key.expose_secret());
            context.finish()
        }
        Err(error) => {
            let mut context = Context::new(&SHA256);
            context.update(format!("{error:?}").as_bytes());
            context.finish()
        }
    };
    digest.as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::test_pair;
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const YEAR: u64 = 365 * 86_400;

    fn open(name: &str, expires_at: u64) -> (tempfile::TempDir, Arc<ReloadingResolver>) {
        let directory = tempfile::tempdir().unwrap();
        let paths = test_pair(name, expires_at).write_to(directory.path());
        let resolver = ReloadingResolver::open(paths, Clock::manual(NOW * 1_000)).unwrap();
        (directory, resolver)
    }

    #[test]
    fn a_good_pair_replaces_the_old_one() {
        let (directory, resolver) = open("old.example", NOW as u64 + YEAR);
        let before = Arc::as_ptr(&resolver.served.load().certified);
        test_pair("new.example", NOW as u64 + 2 * YEAR).write_to(directory.path());
        resolver.reload().unwrap();
        assert_ne!(Arc::as_ptr(&resolver.served.load().certified), before);
        assert_eq!(resolver.expires_at(), NOW + 2 * YEAR as i64);
    }

    #[test]
    fn a_pair_that_cannot_be_served_leaves_the_old_one_in_place() {
        let (directory, resolver) = open("old.example", NOW as u64 + YEAR);
        let paths = resolver.paths().clone();
        let served = Arc::as_ptr(&resolver.served.load().certified);
        let still_served = |name: &str, error: CertificateError| {
            assert_eq!(Arc::as_ptr(&resolver.served.load().certified), served, "{name}: {error}");
        };
        std::fs::write(&paths.certificate, "broken").unwrap();
        still_served("broken", resolver.reload().expect_err("broken"));

        let new = test_pair("new.example", NOW as u64 + YEAR);
        std::fs::write(&paths.certificate, &new.certificate).unwrap();
        let error = resolver.reload().expect_err("the key is still the old one");
        assert!(matches!(error, CertificateError::Mismatch { .. }), "{error}");
        still_served("mismatching", error);

        std::fs::remove_file(&paths.key).unwrap();
        still_served("deleted", resolver.reload().expect_err("deleted"));

        test_pair("expired.example", NOW as u64).write_to(directory.path());
        let error = resolver.reload().expect_err("expired");
        assert!(matches!(error, CertificateError::Expired { .. }), "{error}");
        still_served("expired", error);

        new.write_to(directory.path());
        resolver.reload().unwrap();
        assert_ne!(Arc::as_ptr(&resolver.served.load().certified), served);
    }

    #[test]
    fn the_same_files_are_not_loaded_twice() {
        let (_directory, resolver) = open("old.example", NOW as u64 + YEAR);
        let served = Arc::as_ptr(&resolver.served.load().certified);
        resolver.reload_if_changed();
        assert_eq!(Arc::as_ptr(&resolver.served.load().certified), served);
        let before = resolver.found.lock().fingerprint.clone();
        std::fs::write(&resolver.paths().certificate, "broken").unwrap();
        resolver.reload_if_changed();
        let broken = resolver.found.lock().fingerprint.clone();
        assert_ne!(broken, before);
        resolver.reload_if_changed();
        assert_eq!(resolver.found.lock().fingerprint, broken);
    }

    /// Other tests reload too, so the counts are only known not to fall behind.
    #[test]
    fn reloads_and_refusals_are_counted_and_the_expiry_is_shown() {
        let (directory, resolver) = open("old.example", NOW as u64 + YEAR);
        let count = |result: &str| {
            let families = prometheus::gather();
            let family = families.iter().find(|family| family.name() == "aether_certificate_reloads_total").unwrap();
            let metric = family.get_metric().iter().find(|metric| metric.get_label()[0].value() == result).unwrap();
            metric.get_counter().get_value()
        };
        let (reloaded, refused) = (count("reloaded"), count("refused"));
        test_pair("new.example", NOW as u64 + YEAR).write_to(directory.path());
        resolver.reload().unwrap();
        std::fs::write(&resolver.paths().key, "broken").unwrap();
        assert!(resolver.reload().is_err());
        assert!(count("reloaded") > reloaded && count("refused") > refused);
        let gauge = prometheus::gather().into_iter().find(|family| family.name() == "aether_certificate_expiry_timestamp_seconds").unwrap();
        assert!(gauge.get_metric()[0].get_gauge().get_value() >= 1_700_000_000.0);
    }

    #[test]
    fn an_expired_pair_is_served_where_there_is_none_better() {
        let (directory, resolver) = open("old.example", NOW as u64 - 10);
        test_pair("less.example", NOW as u64 - 5).write_to(directory.path());
        resolver.reload().unwrap();
        assert_eq!(resolver.expires_at(), NOW - 5);
    }

    #[test]
    fn a_certificate_near_its_end_is_warned_of_once_a_day() {
        let day = DAY_SECONDS;
        let cases = [
            ("months to go", 90 * day, 0, None, false),
            ("just not yet", 14 * day, -1, None, false),
            ("two weeks to go", 14 * day, 0, None, true),
            ("said a moment ago", 14 * day, 5, Some(0), false),
            ("said almost a day ago", 14 * day, day - 1, Some(0), false),
            ("said a day ago", 14 * day, day, Some(0), true),
            ("expired", 0, 1, None, true),
            ("the clock was set back", 14 * day, 5, Some(9), true),
            ("an absurd date", i64::MIN, 0, None, true),
        ];
        for (name, expires_at, now, warned_at, is_due) in cases {
            assert_eq!(is_warning_due(expires_at, now, warned_at), is_due, "{name}");
        }
    }
}
