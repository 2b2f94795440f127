//! A certificate chain and its private key, from two PEM files to what rustls serves.

use rustls::InconsistentKeys;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret, SecretSlice};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A chain of several certificates takes some ten KiB.
const FILE_BYTES_MAX: u64 = 1_024 * 1_024;

/// Where certificate (with its chain, the server's own first) and key are. They may be the same file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePaths {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot open certificate {}", path.display())]
    OpenCertificate { path: PathBuf, source: io::Error },
    #[error("cannot open private key {}", path.display())]
    OpenKey { path: PathBuf, source: io::Error },
    #[error("certificate {} is not in PEM", path.display())]
    NotPem { path: PathBuf, source: pem::Error },
    #[error("certificate {} has no certificate in it", path.display())]
    NoCertificate { path: PathBuf },
    #[error("cannot read the first certificate in {}", path.display())]
    BadCertificate { path: PathBuf, source: x509_parser::error::X509Error },
    #[error("private key {} holds no private key in PEM, or only an encrypted one", path.display())]
    NoKey { path: PathBuf, source: pem::Error },
    #[error("cannot use private key {}", path.display())]
    BadKey { path: PathBuf, source: rustls::Error },
    #[error("private key {} does not belong to certificate {}; is the server's certificate the first in its file?", key.display(), certificate.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("certificate {} has expired", path.display())]
    Expired { path: PathBuf },
}

/// The bytes of both files, as they were at one moment.
pub(super) struct PemPair {
    pub(super) certificate: Vec<u8>,
    pub(super) key: SecretSlice<u8>,
}

/// A certificate that can be served.
#[derive(Debug)]
pub(super) struct LoadedCertificate {
    pub(super) certified: Arc<CertifiedKey>,
    /// Unix seconds.
    pub(super) expires_at: i64,
}

impl PemPair {
    pub(super) fn read(paths: &CertificatePaths) -> Result<Self, CertificateError> {
        let certificate =
            read_bounded(&paths.certificate).map_err(|source| CertificateError::OpenCertificate { path: paths.certificate.clone(), source })?;
        let key = read_bounded(&paths.key).map_err(|source| CertificateError::OpenKey { path: paths.key.clone(), source })?;
        Ok(Self { certificate, key: key.into() })
    }

    /// Checks that the chain can be read, the key used, and that they belong together. `paths` are for messages.
    pub(super) fn load(&self, paths: &CertificatePaths) -> Result<LoadedCertificate, CertificateError> {
        let path = || paths.certificate.clone();
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| CertificateError::NotPem { path: path(), source })?;
        let own = chain.first().ok_or_else(|| CertificateError::NoCertificate { path: path() })?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(own).map_err(|error| CertificateError::BadCertificate { path: path(), source: x509_error(error) })?;
        let expires_at = parsed.validity().not_after.timestamp();
        let key =
            PrivateKeyDer::from_pem_slice(self.key.expose_secret()).map_err(|source| CertificateError::NoKey { path: paths.key.clone(), source })?;
        match CertifiedKey::from_der(chain, key, &default_provider()) {
            Ok(certified) => Ok(LoadedCertificate { certified: Arc::new(certified), expires_at }),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(CertificateError::Mismatch { certificate: path(), key: paths.key.clone() })
            }
            Err(source) => Err(CertificateError::BadKey { path: paths.key.clone(), source }),
        }
    }
}

fn x509_error(error: x509_parser::nom::Err<x509_parser::error::X509Error>) -> x509_parser::error::X509Error {
    match error {
        x509_parser::nom::Err::Error(error) | x509_parser::nom::Err::Failure(error) => error,
        x509_parser::nom::Err::Incomplete(_) => x509_parser::error::X509Error::InvalidCertificate,
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before opening: to open a pipe that nobody writes to would wait for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than a certificate or a key can be"));
    }
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};
    use std::time::{Duration, UNIX_EPOCH};

    /// A certificate with its key, for `name`, valid until `expires_at` (Unix seconds).
    pub(crate) struct TestPair {
        pub(crate) certificate: String,
        pub(crate) key: String,
    }

    pub(crate) fn test_pair(name: &str, expires_at: u64) -> TestPair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = (UNIX_EPOCH + Duration::from_secs(1_000_000_000)).into();
        params.not_after = (UNIX_EPOCH + Duration::from_secs(expires_at)).into();
        TestPair { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    impl TestPair {
        pub(crate) fn write_to(&self, directory: &Path) -> CertificatePaths {
            let paths = CertificatePaths { certificate: directory.join("hub.pem"), key: directory.join("hub.key") };
            std::fs::write(&paths.certificate, &self.certificate).unwrap();
            std::fs::write(&paths.key, &self.key).unwrap();
            paths
        }
    }

    fn load(paths: &CertificatePaths) -> Result<LoadedCertificate, CertificateError> {
        PemPair::read(paths)?.load(paths)
    }

    #[test]
    fn a_good_pair_is_loaded_with_its_expiry() {
        let directory = tempfile::tempdir().unwrap();
        let pair = test_pair("hub.example", 1_900_000_000);
        let paths = pair.write_to(directory.path());
        let loaded = load(&paths).unwrap();
        assert_eq!((loaded.expires_at, loaded.certified.cert.len()), (1_900_000_000, 1));

        let chain = format!("{}{}", pair.certificate, test_pair("authority", 1_950_000_000).certificate);
        std::fs::write(&paths.certificate, chain).unwrap();
        let loaded = load(&paths).unwrap();
        assert_eq!((loaded.expires_at, loaded.certified.cert.len()), (1_900_000_000, 2), "the first is the server's own");

        let both = directory.path().join("both.pem");
        std::fs::write(&both, format!("{}{}", pair.key, pair.certificate)).unwrap();
        assert!(load(&CertificatePaths { certificate: both.clone(), key: both }).is_ok(), "both in one file");
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let pair = test_pair("hub.example", 1_900_000_000);
        let other = test_pair("hub.example", 1_900_000_000);
        let good = || pair.certificate.clone();
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_string();
        let cut = good()[..200].to_string();
        let garbage_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_string();
        let encrypted = pair.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let wrong_order = format!("{}{}", other.certificate, pair.certificate);
        let cases = [
            ("empty certificate", String::new(), pair.key.clone(), "certificate DIR/hub.pem has no certificate in it"),
            ("key as certificate", pair.key.clone(), pair.key.clone(), "certificate DIR/hub.pem has no certificate in it"),
            ("garbage in PEM", garbage, pair.key.clone(), "cannot read the first certificate in DIR/hub.pem"),
            ("half a certificate", cut, pair.key.clone(), "certificate DIR/hub.pem is not in PEM"),
            ("empty key", good(), String::new(), "private key DIR/hub.key holds no private key in PEM, or only an encrypted one"),
            ("encrypted key", good(), encrypted, "private key DIR/hub.key holds no private key in PEM, or only an encrypted one"),
            ("garbage as key", good(), garbage_key, "cannot use private key DIR/hub.key"),
            (
                "another key",
                good(),
                other.key.clone(),
                "private key DIR/hub.key does not belong to certificate DIR/hub.pem; is the server's certificate the first in its file?",
            ),
            (
                "chain in the wrong order",
                wrong_order,
                pair.key.clone(),
                "private key DIR/hub.key does not belong to certificate DIR/hub.pem; is the server's certificate the first in its file?",
            ),
            ("much too large", "x".repeat(FILE_BYTES_MAX as usize + 1), pair.key.clone(), "cannot open certificate DIR/hub.pem"),
        ];
        for (name, certificate, key, expected) in cases {
            let paths = TestPair { certificate, key }.write_to(directory.path());
            let error = load(&paths).expect_err(name).to_string();
            assert_eq!(error.replace(&directory.path().display().to_string(), "DIR"), expected, "{name}");
        }
        let paths = pair.write_to(directory.path());
        std::fs::remove_file(&paths.key).unwrap();
        assert!(matches!(load(&paths), Err(CertificateError::OpenKey { .. })));
        std::fs::create_dir(&paths.key).unwrap();
        assert!(matches!(load(&paths), Err(CertificateError::OpenKey { .. })), "a folder");
        std::fs::remove_file(&paths.certificate).unwrap();
        assert!(matches!(load(&paths), Err(CertificateError::OpenCertificate { .. })));
    }
}
