//! The key of the server API.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use std::fmt;

/// A key that callers must show. Only its digest is kept.
///
/// Digests are compared, not keys: the comparison takes the same time whatever was shown, also when it has another length than the key.
#[derive(Clone)]
pub struct ApiKey {
    digest: [u8; 32],
}

impl ApiKey {
    /// `None` for an empty key, which must never match anything: no key configured means that nobody may call.
    pub fn new(key: &str) -> Option<Self> {
        (!key.is_empty()).then(|| Self { digest: sha256(key.as_bytes()) })
    }

    pub fn matches(&self, shown: &[u8]) -> bool {
        verify_slices_are_equal(&self.digest, &sha256(shown)).is_ok()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_matches() {
        let key = ApiKey::new("s3cret-key").unwrap();
        assert!(key.matches(b"s3cret-key"));
        for shown in ["", "s3cret-ke", "s3cret-keys", "S3cret-key", " s3cret-key", "s3cret-key\0", "s3cret-kex"] {
            assert!(!key.matches(shown.as_bytes()), "{shown:?}");
        }
        assert!(!key.matches(&[0xff; 100_000]));
        assert!(!key.matches(&key.digest), "the digest is not the key");
    }

    #[test]
    fn an_empty_key_is_no_key() {
        assert!(ApiKey::new("").is_none());
    }

    #[test]
    fn no_key_is_printed() {
        assert_eq!(format!("{:?}", ApiKey::new("s3cret-key").unwrap()), "ApiKey(***)");
    }
}
