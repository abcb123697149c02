//! What the vault says of the account, and how that ends.

use coffer_keys::BackupKey;
use coffer_vault_client::owns;

use super::Vault;
use crate::config::{Config, Protection};
use crate::context::Context;
use crate::error::{Error, VaultError};
use crate::output::{Deleted, Relation, VaultRecord};

/// The vault's word on the account, beside what this device knows.
pub(crate) fn record(context: &Context, vault: &Vault, config: Option<&Config>) -> Result<VaultRecord, Error> {
    let answer = vault.status().map_err(VaultError::from)?;
    let known = config.and_then(|config| config.vault.as_ref()).filter(|known| known.address == vault.named.address);
    let own = known.and_then(|known| known.registration.as_deref());
    let relying = config.filter(|config| known.is_some() && config.is_protected_by(Protection::Password));
    let key = relying.and_then(|config| config.key_store.load(&context.home).ok());
    // While a rotation is unfinished, the vault may have the new key already.
    let next = relying.and_then(|config| config.key_store.load_next(&context.home).ok().flatten());
    let is_of = |live| move |key: &BackupKey| owns(key, live);
    let is_of_another = key
        .zip(answer.live.as_ref())
        .is_some_and(|(key, live)| !is_of(live)(&key) && !next.as_ref().is_some_and(is_of(live)));
    let account = vault.session.account().as_str().to_owned();
    let undelivered = answer.live.as_ref().and_then(|live| vault.undelivered(&live.id));
    let relation =
        Relation { own, is_relied_on: relying.is_some(), is_of_another, undelivered: undelivered.as_deref() };
    Ok(VaultRecord::of(&answer, vault.address(), account, relation, vault.sites()))
}

/// Deletes what is live: at once with its own key, otherwise after the waiting time. None when there is nothing.
pub(crate) fn delete(vault: &Vault, key: Option<&BackupKey>) -> Result<Option<Deleted>, Error> {
    let Some(live) = vault.status().map_err(VaultError::from)?.live else { return Ok(None) };
    let key = key.filter(|key| owns(key, &live));
    let due_at = vault.wait(vault.session.delete(&live.id, key)).map_err(VaultError::of_device_signed)?;
    let done = vault.status().map_err(VaultError::from)?.live.is_none_or(|still| still.id != live.id);
    Ok(Some(Deleted { registration: live.id.to_string(), due_at, done }))
}
