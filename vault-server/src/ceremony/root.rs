//! A root's key, and the passphrase that it lies under.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use coffer_hsm_adapter::{EncryptedRootKey, RootKey};
use coffer_proto::RootSet;
use zeroize::Zeroizing;

use crate::ceremony::folder::{pretty, read, refused};
use crate::data::read_secret;
use crate::error::Error;

/// Fewer characters are guessed by whoever has the file.
const SHORTEST: usize = 12;

#[derive(Debug, clap::Args)]
pub(crate) struct PassphraseOptions {
    /// Read the passphrase from the first line of this file, and do not ask
    #[arg(long, value_name = "PATH")]
    passphrase_file: Option<PathBuf>,
}

/// Makes a root's key. A file that is there is left alone.
pub(crate) fn new(out: &Path, passphrase: &PassphraseOptions) -> Result<EncryptedRootKey, Error> {
    let unusable = |error: coffer_hsm_adapter::RootKeyError| refused(out, error.to_string());
    let passphrase = passphrase.ask_for_new()?;
    let encrypted = RootKey::generate().and_then(|key| key.encrypt(&passphrase)).map_err(unusable)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let mut file = file.map_err(Error::file("make", out))?;
    file.write_all(&pretty(&encrypted)).and_then(|()| file.sync_all()).map_err(Error::file("write", out))?;
    Ok(encrypted)
}

/// A root's key, out of what was read of its file.
pub(crate) fn open(
    path: &Path,
    encrypted: &EncryptedRootKey,
    passphrase: &PassphraseOptions,
) -> Result<RootKey, Error> {
    encrypted.decrypt(&passphrase.ask("Passphrase: ")?).map_err(|error| refused(path, error.to_string()))
}

/// The public halves of roots: no passphrase is needed for them.
pub(crate) fn set(files: &[PathBuf], threshold: u8) -> Result<RootSet, Error> {
    let keys = files.iter().map(|file| Ok(read::<EncryptedRootKey>(file)?.public));
    let keys: Vec<_> = keys.collect::<Result<_, Error>>()?;
    let differ = (1..keys.len()).all(|place| !keys[..place].contains(&keys[place]));
    if !differ || threshold == 0 || usize::from(threshold) > keys.len() || keys.len() > coffer_proto::ROOTS_AT_MOST {
        return Err(Error::Argument("the roots have to differ, 16 at most, and some of them have to sign"));
    }
    Ok(RootSet { threshold, keys })
}

impl PassphraseOptions {
    fn ask_for_new(&self) -> Result<Zeroizing<String>, Error> {
        let passphrase = self.ask("New passphrase: ")?;
        if passphrase.chars().count() < SHORTEST {
            return Err(Error::Argument("a passphrase of a root has at least twelve characters: six words are better"));
        }
        if self.passphrase_file.is_none() && *self.ask("The same again: ")? != *passphrase {
            return Err(Error::Argument("the two passphrases differ"));
        }
        Ok(passphrase)
    }

    fn ask(&self, prompt: &str) -> Result<Zeroizing<String>, Error> {
        if let Some(file) = &self.passphrase_file {
            let text = read_secret(file)?.ok_or_else(|| refused(file, "there is no such file"))?;
            return Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()));
        }
        if !std::io::stdin().is_terminal() {
            return Err(Error::Argument("there is no terminal to ask for the passphrase: --passphrase-file"));
        }
        let typed = rpassword::prompt_password(prompt);
        Ok(Zeroizing::new(typed.map_err(|error| Error::System("no passphrase", error.to_string()))?))
    }
}
