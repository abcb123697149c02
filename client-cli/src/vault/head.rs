//! Telling the vault of the newest snapshots, for the day when a new device asks.

use coffer_archive::{Archive, OpenOptions};
use coffer_keys::BackupKey;
use coffer_vault_client::{HeadError, KeptHead};

use super::Vault;
use crate::address;
use crate::context::Context;
use crate::error::{Error, VaultError};

/// How often another device may come first.
const TRIES: usize = 3;

/// Says that the vault could not be told, where nothing more than that has failed.
pub(crate) fn warn_of_untold(context: &Context, told: Result<(), Error>) {
    if let Err(error) = told {
        context.output.warning(&format!("the vault was not told of the newest snapshot: {error}"));
        context.output.hint("the next backup tells it");
    }
}

/// Sends the archive's head. It is sealed by an archive that was opened with the head that it follows: so no snapshot
/// of another device is left out.
pub(crate) fn send_head(context: &Context, vault: &Vault, archive_url: &str, key: &BackupKey) -> Result<(), Error> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let kept = vault.wait(vault.session.head(key)).map_err(VaultError::from)?;
        let number = kept.next_number();
        let vault_head = match kept {
            KeptHead::Own { sealed, .. } => Some(sealed),
            KeptHead::None | KeptHead::Foreign { .. } => None,
        };
        let destination = address::destination(context, archive_url)?;
        let id = Archive::identify(&destination)?;
        let options = OpenOptions { memory: Some(context.memory(id)?), vault_head, ..OpenOptions::default() };
        let Some(sealed) = Archive::open(destination, key, options)?.seal_head()? else { return Ok(()) };
        match vault.wait(vault.session.put_head(number, sealed, key)) {
            Err(HeadError::Stale) if tries > 0 => {}
            other => return Ok(other.map_err(VaultError::from)?),
        }
    }
}
