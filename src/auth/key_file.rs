//! Secrets that the hub makes for itself: files in the data folder that only its user may read.
//!
//! Read at the start, made where they are missing. A file that others can read is refused: it is no secret any more.

use super::sign::random_secret;
use secrecy::SecretString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// More than any secret of ours has.
const FILE_BYTES_MAX: u64 = 4_096;

#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("cannot {what} {}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} can be read by others: `chmod 600` it, or remove it to have a new one made", path.display())]
    Open { path: PathBuf },
    #[error("{} is empty: remove it to have a new one made", path.display())]
    Empty { path: PathBuf },
}

/// The text in `path`, without white space around it; 256 random bits where there is no such file yet.
pub fn read_or_make(path: &Path) -> Result<SecretString, KeyFileError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(error("make the folder", folder))?;
    }
    match File::open(path) {
        Ok(file) => read(file, path),
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            let made = write_beside(path, &random_secret())?;
            // The name appears with the whole secret behind it, and whoever comes second takes what the first one made.
            let linked = fs::hard_link(&made, path);
            let _ = fs::remove_file(&made);
            match linked {
                Err(source) if source.kind() != ErrorKind::AlreadyExists => Err(error("make", path)(source)),
                _ => read(File::open(path).map_err(error("open", path))?, path),
            }
        }
        Err(source) => Err(error("open", path)(source)),
    }
}

/// The text in `path`, which must be there.
pub fn read_existing(path: &Path) -> Result<SecretString, KeyFileError> {
    read(File::open(path).map_err(error("open", path))?, path)
}

/// Puts `text` in the place of what `path` holds, wholly or not at all.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), KeyFileError> {
    let made = write_beside(path, text)?;
    fs::rename(&made, path).map_err(error("replace", path))
}

fn read(file: File, path: &Path) -> Result<SecretString, KeyFileError> {
    let mode = file.metadata().map_err(error("look at", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Open { path: path.to_path_buf() });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(error("read", path))?;
    if text.trim().is_empty() {
        return Err(KeyFileError::Empty { path: path.to_path_buf() });
    }
    Ok(SecretString::from(text.trim()))
}

fn write_beside(path: &Path, text: &str) -> Result<PathBuf, KeyFileError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{:016x}", rand::random::<u64>()));
    let beside = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(error("write", &beside))?;
    Ok(beside)
}

fn error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_path_buf();
    move |source| KeyFileError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/accounts-key");
        let made = read_or_make(&path).unwrap();
        assert_eq!(made.expose_secret().len(), 64);
        assert_eq!(read_or_make(&path).unwrap().expose_secret(), made.expose_secret());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        replace(&path, "another\n").unwrap();
        assert_eq!(read_or_make(&path).unwrap().expose_secret(), "another");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_secret_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        replace(&path, " \n").unwrap();
        assert!(matches!(read_or_make(&path), Err(KeyFileError::Empty { .. })));
        replace(&path, "secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_or_make(&path).unwrap_err();
        assert!(matches!(&error, KeyFileError::Open { .. }) && error.to_string().contains("chmod 600"), "{error}");
        assert!(matches!(read_or_make(&path.join("below")), Err(KeyFileError::Io { .. })));
    }
}
