//! A certificate for trying things out: self-signed, for this machine, made by `aether serve --dev` where there is none.
//!
//! Browsers warn of it, rightly. Never for production: nobody vouches for it, and its key lies where it was made.

use super::certificate::{CertificateError, CertificatePaths, PemPair};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Some clients refuse server certificates of more than 398 days, whoever signed them.
const LIFETIME_SECONDS: i64 = 397 * 86_400;

/// A certificate with less than this left is replaced at start: a developer's server may run for days.
const REMAINING_SECONDS_MIN: i64 = 7 * 86_400;

/// Before now, so that a client whose clock is behind takes it too.
const BACKDATED_SECONDS: i64 = 86_400;

const CERTIFICATE_MODE: u32 = 0o644;
const KEY_MODE: u32 = 0o600;

#[derive(Debug, thiserror::Error)]
pub enum DevelopmentError {
    #[error("cannot create folder {}", path.display())]
    CreateFolder { path: PathBuf, source: io::Error },
    #[error("cannot make a development certificate")]
    Generate { source: rcgen::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot use the development certificate that was just made")]
    Unusable { source: CertificateError },
}

/// The development certificate in `folder`, made anew if it is missing, broken or about to expire at `now_wall_seconds`. Blocks while it
/// reads and writes files: call it at start.
pub fn ensure_development_certificate(folder: &Path, now_wall_seconds: i64) -> Result<CertificatePaths, DevelopmentError> {
    let paths = CertificatePaths { certificate: folder.join("development.pem"), key: folder.join("development.key") };
    let is_good = |pair: PemPair| pair.load(&paths).is_ok_and(|loaded| loaded.expires_at - now_wall_seconds > REMAINING_SECONDS_MIN);
    if PemPair::read(&paths).is_ok_and(is_good) {
        return Ok(paths);
    }
    std::fs::create_dir_all(folder).map_err(|source| DevelopmentError::CreateFolder { path: folder.to_path_buf(), source })?;
    let (certificate, key) = generate(now_wall_seconds).map_err(|source| DevelopmentError::Generate { source })?;
    // The key first. If we are stopped between the two, they do not match, and the next start makes both anew.
    write_private(&paths.key, key.as_bytes(), KEY_MODE)?;
    write_private(&paths.certificate, certificate.as_bytes(), CERTIFICATE_MODE)?;
    PemPair::read(&paths).and_then(|pair| pair.load(&paths)).map_err(|source| DevelopmentError::Unusable { source })?;
    Ok(paths)
}

fn generate(now: i64) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names())?;
    params.distinguished_name.push(DnType::CommonName, "Aether development");
    params.not_before = at(now - BACKDATED_SECONDS).into();
    params.not_after = at(now + LIFETIME_SECONDS).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn at(unix_seconds: i64) -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix_seconds.max(0).unsigned_abs())
}

/// What this machine is called by programs on it, and by its neighbours.
fn names() -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_string).into();
    let is_name = |name: &String| {
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        name.len() <= 253 && name.split('.').all(is_label) && !names.contains(name)
    };
    let own = sysinfo::System::host_name().ok().filter(is_name);
    names.extend(own);
    names
}

/// Written beside its place and moved there, so that nobody ever reads half of it, and private from the first byte on.
fn write_private(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DevelopmentError> {
    let staged = path.with_extension(format!("{}.new", std::process::id()));
    let write = || {
        // A leftover of a process with our number. `create_new` also refuses to follow a link that somebody put there.
        match std::fs::remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&staged, path)
    };
    write().map_err(|source| DevelopmentError::Write { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NOW: i64 = 1_800_000_000;

    fn bytes(paths: &CertificatePaths) -> (Vec<u8>, Vec<u8>) {
        (std::fs::read(&paths.certificate).unwrap(), std::fs::read(&paths.key).unwrap())
    }

    #[test]
    fn it_is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("data/certs");
        let paths = ensure_development_certificate(&folder, NOW).unwrap();
        let made = bytes(&paths);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&paths.certificate), mode(&paths.key)), (0o644, 0o600));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "nothing else is left");

        let again = ensure_development_certificate(&folder, NOW + LIFETIME_SECONDS - REMAINING_SECONDS_MIN - 1).unwrap();
        assert_eq!((&again, bytes(&again)), (&paths, made));
    }

    #[test]
    fn it_names_this_machine() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ensure_development_certificate(directory.path(), NOW).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&std::fs::read(&paths.certificate).unwrap()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let names: Vec<String> =
            certificate.subject_alternative_name().unwrap().unwrap().value.general_names.iter().map(|name| format!("{name:?}")).collect();
        for expected in ["DNSName(\"localhost\")", "IPAddress([127, 0, 0, 1])", "IPAddress([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])"] {
            assert!(names.iter().any(|name| name == expected), "{expected} is not among {names:?}");
        }
        assert_eq!(certificate.validity().not_after.timestamp(), NOW + LIFETIME_SECONDS);
        assert!(certificate.extended_key_usage().unwrap().unwrap().value.server_auth);
        assert!(!certificate.is_ca());
    }

    #[test]
    fn it_is_made_anew_when_it_is_no_good() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ensure_development_certificate(directory.path(), NOW).unwrap();
        let first = bytes(&paths);
        ensure_development_certificate(directory.path(), NOW + LIFETIME_SECONDS - REMAINING_SECONDS_MIN).unwrap();
        let second = bytes(&paths);
        assert_ne!(second, first, "about to expire");
        std::fs::write(&paths.certificate, &first.0).unwrap();
        ensure_development_certificate(directory.path(), NOW).unwrap();
        let third = bytes(&paths);
        assert!(third.0 != first.0 && third.1 != second.1, "the certificate of another key");
        std::fs::remove_file(&paths.key).unwrap();
        ensure_development_certificate(directory.path(), NOW).unwrap();
        assert_ne!(bytes(&paths).1, third.1, "without a key");
    }

    #[test]
    fn where_nothing_can_be_written_the_path_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = ensure_development_certificate(&file.join("certs"), NOW).expect_err("a file is no folder");
        assert_eq!(error.to_string(), format!("cannot create folder {}", file.join("certs").display()));
    }
}
