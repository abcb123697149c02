//! The data folder: what is where, and who may read it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::Error;

/// ```text
/// lock                    held while the vault runs
/// manifest.json           who this vault is. Lost: its clients know it no more
/// manifest-seen.json      in a fleet of several sites: the newest manifest so far. Lost: an older one would be taken
/// jwks.json               the public half of secrets/token-issuer
/// secrets/pin, so-pin     open the token. Lost: so are all keys in it
/// secrets/token-issuer    signs account tokens for demos
/// store/                  records and ledger
/// token/                  SoftHSM's own. Lost: so is every registration
/// ```
pub(crate) struct DataFolder(PathBuf);

impl DataFolder {
    /// Makes it, for this user alone, if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        make_folder(path)?;
        Ok(Self(path.to_owned()))
    }

    /// As long as the file is open, no other vault runs here.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        let path = self.0.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(Error::file("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(self.0.clone())),
            Err(TryLockError::Error(source)) => Err(Error::File { action: "lock", path, source }),
        }
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.0.join("manifest.json")
    }

    pub(crate) fn manifest_seen(&self) -> PathBuf {
        self.0.join("manifest-seen.json")
    }

    pub(crate) fn jwks(&self) -> PathBuf {
        self.0.join("jwks.json")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    pub(crate) fn token(&self) -> PathBuf {
        self.0.join("token")
    }

    pub(crate) fn pin(&self) -> PathBuf {
        self.0.join("secrets/pin")
    }

    pub(crate) fn so_pin(&self) -> PathBuf {
        self.0.join("secrets/so-pin")
    }

    pub(crate) fn token_issuer(&self) -> PathBuf {
        self.0.join("secrets/token-issuer")
    }
}

fn make_folder(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file("make", path))
}

/// Text of a file that holds a secret. `None` if there is no such file.
pub(crate) fn read_secret(path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// Replaces a file, for this user's eyes only, so that a crash leaves either the old content or the new. It is on the
/// disk when this returns.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    // A bare name has an empty parent, which cannot be opened.
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    make_folder(folder)?;
    let write = || -> io::Result<()> {
        let unfinished = path.with_extension("new");
        // What an interrupted run left may have any mode, and opening it would keep that.
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(Error::file("write", path))
}
