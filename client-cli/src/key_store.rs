//! Where this device keeps the backup key: in the platform's key store, or in a file that only its owner may read.
//!
//! On Linux the platform's key store is the desktop's Secret Service (GNOME Keyring, KWallet, KeePassXC). The kernel's
//! own keyring would always answer, but forgets at the latest when the machine restarts, which for the key of a
//! backup is a loss and no protection.

mod file;
mod platform;

use std::fmt;

use coffer_keys::{BackupKey, RecoveryKey};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::home::Home;

/// What `--key-store` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// The platform's key store where one answers, else the file
    Auto,
    /// The platform's key store (on Linux: the Secret Service of the desktop)
    Platform,
    /// The file "key" in the home, readable by its owner only
    File,
}

/// Where a device's key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum KeyPlace {
    Platform {
        /// Random, so that no later key ever takes the place of an older one that may still be needed.
        entry: String,
    },
    File,
}

/// A place in words.
#[derive(Debug)]
pub(crate) struct ShownPlace<'a> {
    place: &'a KeyPlace,
    home: &'a Home,
}

impl fmt::Display for ShownPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            KeyPlace::Platform { entry } => write!(f, "{}, entry {entry}", platform::NAME),
            KeyPlace::File => write!(f, "the file {}", self.home.key_file().display()),
        }
    }
}

impl KeyPlace {
    /// A place for a new key. `auto` falls back to the file where no key store answers; `platform` does not.
    pub(crate) fn choose(choice: Choice) -> Result<Self, Error> {
        let entry = match choice {
            Choice::File => return Ok(Self::File),
            Choice::Platform | Choice::Auto => platform::new_entry()?,
        };
        match platform::try_out() {
            Ok(()) => Ok(Self::Platform { entry }),
            Err(_) if choice == Choice::Auto => Ok(Self::File),
            Err(error) => Err(error),
        }
    }

    pub(crate) const fn shown<'a>(&'a self, home: &'a Home) -> ShownPlace<'a> {
        ShownPlace { place: self, home }
    }

    /// Keeps a key there; it is durable when this returns. Overwrites the key of an earlier run that did not come to
    /// its end: see [`Config::begin`](crate::config::Config::begin).
    pub(crate) fn keep(&self, key: &BackupKey, home: &Home) -> Result<(), Error> {
        let digits = key.recovery_key().expose_groups();
        match self {
            Self::Platform { entry } => platform::keep(entry, &digits),
            Self::File => file::keep(home, &digits),
        }
    }

    /// The key that is kept there.
    pub(crate) fn load(&self, home: &Home) -> Result<BackupKey, Error> {
        let digits = match self {
            Self::Platform { entry } => platform::load(entry)?,
            Self::File => file::load(&home.key_file())?,
        };
        let missing = || Error::KeyMissing { place: self.shown(home).to_string() };
        let parsed = RecoveryKey::parse(&digits.ok_or_else(missing)?);
        let broken = |why| Error::KeyBroken { place: self.shown(home).to_string(), why };
        Ok(parsed.map_err(broken)?.backup_key())
    }
}
