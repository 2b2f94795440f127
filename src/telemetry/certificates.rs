//! What happens to the certificate that the TLS listener serves.

use super::{Event, counter_vec, gauge};
use prometheus::{IntCounterVec, IntGauge};
use std::error::Error;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

static RELOADS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_certificate_reloads_total",
        "Certificates found changed on disk, by whether the new one is served or the old one was kept.",
        &["result"],
        &[&["reloaded"], &["refused"]],
    )
});
static EXPIRY: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("aether_certificate_expiry_timestamp_seconds", "Unix time at which the served certificate expires."));

/// The first certificate is in place.
pub struct CertificateLoaded<'a> {
    pub path: &'a Path,
    /// Unix seconds.
    pub expires_at: i64,
}
impl Event for CertificateLoaded<'_> {
    fn emit(self) {
        log::info!("certificate {} is served, valid until {}", self.path.display(), date(self.expires_at));
        LazyLock::force(&RELOADS);
        EXPIRY.set(self.expires_at);
    }
}

/// A changed certificate is served from now on.
pub struct CertificateReloaded<'a> {
    pub path: &'a Path,
    /// Unix seconds.
    pub expires_at: i64,
}
impl Event for CertificateReloaded<'_> {
    fn emit(self) {
        log::info!("certificate {} was reloaded, valid until {}", self.path.display(), date(self.expires_at));
        RELOADS.with_label_values(&["reloaded"]).inc();
        EXPIRY.set(self.expires_at);
    }
}

/// A changed certificate cannot be used; the one before it is still served.
pub struct CertificateRefused<'a> {
    pub path: &'a Path,
    pub error: &'a dyn Error,
}
impl Event for CertificateRefused<'_> {
    fn emit(self) {
        let mut causes = self.error.to_string();
        let mut source = self.error.source();
        while let Some(cause) = source {
            causes = format!("{causes}: {cause}");
            source = cause.source();
        }
        log::error!("changed certificate {} is refused and the old one kept: {causes}", self.path.display());
        RELOADS.with_label_values(&["refused"]).inc();
    }
}

/// The served certificate is about to expire, or has expired. Said once a day.
pub struct CertificateExpiring<'a> {
    pub path: &'a Path,
    /// Unix seconds.
    pub expires_at: i64,
    pub has_expired: bool,
}
impl Event for CertificateExpiring<'_> {
    fn emit(self) {
        let (path, date) = (self.path.display(), date(self.expires_at));
        if self.has_expired {
            log::error!("certificate {path} has expired ({date}); clients refuse it");
        } else {
            log::warn!("certificate {path} expires soon: {date}");
        }
    }
}

/// Changes on disk are not reported by the system; they are found by looking now and then.
pub struct CertificateNotWatched<'a> {
    pub path: &'a Path,
    pub error: &'a dyn Error,
    pub every: Duration,
}
impl Event for CertificateNotWatched<'_> {
    fn emit(self) {
        log::warn!("cannot watch {}: {}; its certificate is looked at every {:?} instead", self.path.display(), self.error, self.every);
    }
}

fn date(unix_seconds: i64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix_seconds.clamp(0, DATE_SECONDS_MAX).unsigned_abs()))
}

/// The last second of the year 9999, the last that an HTTP date can say (RFC 9110, 5.6.7: four digits).
const DATE_SECONDS_MAX: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_readable_and_absurd_ones_do_no_harm() {
        assert_eq!(date(1_800_000_000), "Fri, 15 Jan 2027 08:00:00 GMT");
        assert_eq!(date(i64::MIN), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
