//! The key in a file: 64 digits, mode 0600.

use std::fs;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::Error;
use crate::home::Home;
use crate::secret_text;

pub(super) fn keep(home: &Home, path: &Path, digits: &str) -> Result<(), Error> {
    let mut line = Zeroizing::new(String::with_capacity(digits.len() + 1));
    line.push_str(digits);
    line.push('\n');
    home.write(path, line.as_bytes())
}

/// The digits; None when there is no such file.
pub(super) fn load(path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
    secret_text::load(path, secret_text::read, |path, mode| Error::KeyReadableByOthers { path, mode })
}

pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::File { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::{keep, load};
    use crate::error::Error;
    use crate::home::Home;

    #[test]
    fn keeps_a_key_for_its_owners_eyes() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::find(Some(&folder.path().join("home"))).unwrap();
        keep(&home, &home.key_file(), "0123").unwrap();
        assert_eq!(load(&home.key_file()).unwrap().unwrap().as_str(), "0123\n");
        assert_eq!(fs::metadata(home.key_file()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(home.folder()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn refuses_a_key_that_others_could_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "0123").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(matches!(load(&path), Err(Error::KeyReadableByOthers { .. })), "{mode:o}");
        }
    }
}
