//! `coffer protect recovery-key`.

use coffer_vault_client::owns;

use crate::config::{Config, Protection};
use crate::context::Context;
use crate::error::{Error, VaultError};
use crate::exit::Exit;
use crate::opening;
use crate::output::ShownKey;
use crate::vault::{Vault, VaultOptions, delete};

const ABOUT_TO_SHOW: &str = "\
This is the recovery key of your archive: 64 digits, row by row in sixteen groups of four.
";

const ABOUT_SHOWN: &str = "
Write the digits down and keep them where this device is not. With them, and with nothing else once this
device is gone, the archive can be opened: whoever has them can read it, and nobody can recover them for you.
`coffer key show` shows them again as long as this device has the key.";

const QUESTION: &str = "\
Have you written them down, and is the vault to delete what it keeps under your password? [y/N] ";

pub(super) fn protect(context: &Context, qr: bool, yes: bool) -> Result<Exit, Error> {
    let (mut config, key) = opening::device_key(context)?;
    opening::refuse_unfinished_rotation(context, &config, &key)?;
    context.output.explain(ABOUT_TO_SHOW);
    context.output.show(&ShownKey::new(&key.recovery_key(), qr))?;
    context.output.explain(ABOUT_SHOWN);
    config.protect(Protection::RecoveryKey);
    config.write(&context.home)?;
    if config.is_protected_by(Protection::Password) {
        leave_password(context, config, &key, yes)?;
    }
    Ok(Exit::Done)
}

/// The same key is protected in the other way: nothing is encrypted anew.
fn leave_password(context: &Context, mut config: Config, key: &coffer_keys::BackupKey, yes: bool) -> Result<(), Error> {
    if !yes && !context.output.ask(QUESTION)? {
        context.output.note("the password opens the archive too, as before; --yes ends that");
        return Ok(());
    }
    let vault = Vault::open(context, &VaultOptions::NONE, Some(&config))?;
    match vault.status().map_err(VaultError::from)?.live {
        Some(live) if owns(key, &live) => {
            if let Some(deleted) = delete(&vault, Some(key))? {
                context.output.note(deleted.to_string().trim_end());
            }
        }
        Some(_) => context.output.note("what the vault keeps for this account is another backup key: it stays"),
        None => {}
    }
    config.unprotect(Protection::Password);
    config.write(&context.home)
}
