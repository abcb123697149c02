//! The folder in which this device keeps what it needs: `config.json`, perhaps `profiles.json`, `key`, `next-key`,
//! `credentials`, `device-key`, `attempt` and `outbox`, and `archives/<id>/`. `lock` is for who writes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use coffer_keys::ArchiveId;

use crate::error::Error;

#[derive(Debug)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// The home that was asked for, or else the platform's place for it. It need not exist yet.
    pub(crate) fn find(asked: Option<&Path>) -> Result<Self, Error> {
        let folder = match asked {
            Some(folder) => folder.to_owned(),
            None => dirs::data_dir().ok_or(Error::NoHome)?.join("coffer"),
        };
        let absolute = std::path::absolute(&folder);
        absolute.map(Self).map_err(|source| Error::File { action: "find", path: folder, source })
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.0.join("config.json")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.0.join("key")
    }

    /// The key that the archive is being rotated to.
    pub(crate) fn next_key_file(&self) -> PathBuf {
        self.0.join("next-key")
    }

    /// What services are told of who we are. Written by the user.
    pub(crate) fn credentials_file(&self) -> PathBuf {
        self.0.join("credentials")
    }

    pub(crate) fn device_key_file(&self) -> PathBuf {
        self.0.join("device-key")
    }

    /// The attempt at a password that is under way.
    pub(crate) fn attempt_file(&self) -> PathBuf {
        self.0.join("attempt")
    }

    /// What sites of the vault have still to be sent.
    pub(crate) fn outbox_file(&self) -> PathBuf {
        self.0.join("outbox")
    }

    /// What is backed up under which name.
    pub(crate) fn profiles_file(&self) -> PathBuf {
        self.0.join("profiles.json")
    }

    /// The folder for what the device remembers of one archive.
    pub(crate) fn memory(&self, id: ArchiveId) -> PathBuf {
        self.0.join("archives").join(id.to_string())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// Replaces a file of the home, for the owner's eyes only, so that a crash leaves either the old content or the
    /// new. It is on the disk when this returns; commands that write at the same time take turns.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let write = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            // For its owner alone, too: whoever may open it may keep others waiting.
            let turn =
                OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.0.join("lock"))?;
            turn.lock()?;
            let temporary = path.with_extension("new");
            // What an interrupted run left may have any mode, and opening it would keep that.
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|source| Error::File { action: "write", path: path.to_owned(), source })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::fs;
    use std::thread;

    use super::Home;

    /// As the nightly backup and a person do.
    #[test]
    fn two_that_write_the_same_file_do_not_get_into_each_other_s_way() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::find(Some(folder.path())).unwrap();
        let contents = [vec![1; 100_000], vec![2; 100_000]];
        thread::scope(|scope| {
            for content in &contents {
                scope.spawn(|| (0..100).for_each(|_| home.write(&home.config_file(), content).unwrap()));
            }
        });
        assert!(contents.contains(&fs::read(home.config_file()).unwrap()));
    }
}
