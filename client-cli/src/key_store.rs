//! Where this device keeps the backup key: in the platform's key store, or in a file that only its owner may read.
//!
//! On Linux the platform's key store is the desktop's Secret Service (GNOME Keyring, KWallet, KeePassXC). The kernel's
//! own keyring would always answer, but forgets at the latest when the machine restarts, which for the key of a
//! backup is a loss and no protection.

mod file;
mod platform;

use std::fmt;

use coffer_keys::{BackupKey, RandomnessError, RecoveryKey, SigningKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

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
            Self::File => file::keep(home, &home.key_file(), &digits),
        }
    }

    /// Keeps beside it the key that it is to be rotated to; it is durable when this returns.
    pub(crate) fn keep_next(&self, key: &BackupKey, home: &Home) -> Result<(), Error> {
        let digits = key.recovery_key().expose_groups();
        match self {
            Self::Platform { entry } => platform::keep(&next_entry(entry), &digits),
            Self::File => file::keep(home, &home.next_key_file(), &digits),
        }
    }

    /// The key that an interrupted rotation leads to, if there is one; the same as the one that is kept once only old
    /// data are left to be sealed anew.
    pub(crate) fn load_next(&self, home: &Home) -> Result<Option<BackupKey>, Error> {
        let digits = match self {
            Self::Platform { entry } => platform::load(&next_entry(entry))?,
            Self::File => file::load(&home.next_key_file())?,
        };
        let broken = |why| Error::KeyBroken { place: "the place of the next key".to_owned(), why };
        let parse = |digits: Zeroizing<String>| Ok(RecoveryKey::parse(&digits).map_err(broken)?.backup_key());
        digits.map(parse).transpose()
    }

    /// Removes that one: the rotation is done.
    pub(crate) fn forget_next(&self, home: &Home) -> Result<(), Error> {
        match self {
            Self::Platform { entry } => platform::remove(&next_entry(entry)),
            Self::File => file::remove(&home.next_key_file()),
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

fn next_entry(entry: &str) -> String {
    format!("{entry}-next")
}

/// What the platform's key store is called.
pub(crate) const PLATFORM: &str = platform::NAME;

/// The credentials that the platform's key store has for a service, in the form of the file `credentials`: the entry
/// `credentials-` and the service's scheme. Where no key store answers there are none.
pub(crate) fn credentials(scheme: &str) -> Result<Option<Zeroizing<String>>, Error> {
    if platform::try_out().is_err() {
        return Ok(None);
    }
    platform::load(&format!("credentials-{scheme}"))
}

/// The key that this device signs its requests to a vault with. It is made when it is first needed: beside the backup
/// key, or in the file "device-key" where there is none. Its seed is kept in the same form, 64 digits.
///
/// A device that loses it gets a new token for a new one.
pub(crate) fn device_key(home: &Home, place: Option<&KeyPlace>) -> Result<SigningKey, Error> {
    let file = home.device_key_file();
    let entry = match place {
        Some(KeyPlace::Platform { entry }) => Some(format!("{entry}-device")),
        Some(KeyPlace::File) | None => None,
    };
    // One that was made before there was a backup key is the one that the token names.
    let mut kept = file::load(&file)?;
    if let (None, Some(entry)) = (&kept, &entry) {
        kept = platform::load(entry)?;
    }
    if let Some(digits) = kept {
        let broken = |why| Error::KeyBroken { place: "the place of the device key".to_owned(), why };
        let seed = RecoveryKey::parse(&digits).map_err(broken)?.backup_key();
        return Ok(SigningKey::from_seed(*seed.expose_bytes()));
    }
    let made =
        SigningKey::generate().map_err(|RandomnessError { .. }| Error::Archive(coffer_archive::Error::Randomness))?;
    let digits = BackupKey::from_bytes(*made.expose_seed()).recovery_key().expose_groups();
    match &entry {
        Some(entry) => platform::keep(entry, &digits)?,
        None => file::keep(home, &file, &digits)?,
    }
    Ok(made)
}
