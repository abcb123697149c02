//! `coffer protect password`, and `coffer password change`.

use coffer_keys::BackupKey;
use coffer_vault_client::{Argon2Parameters, Password, Registered, RegistrationId, SiteNumber};

use crate::config::{Config, Protection};
use crate::context::Context;
use crate::error::{Error, VaultError};
use crate::exit::Exit;
use crate::opening;
use crate::output::Protected;
use crate::password::PasswordOptions;
use crate::vault::{OutboxFile, Vault, VaultOptions, send_head, warn_of_forgers, warn_of_untold};

/// Registers the device's key under a new password. What this key's owner had registered before is replaced at once.
pub(crate) fn protect_with_password(
    context: &Context,
    options: &VaultOptions,
    password: &PasswordOptions,
) -> Result<Exit, Error> {
    let (mut config, key) = opening::device_key(context)?;
    opening::refuse_unfinished_rotation(context, &config, &key)?;
    // A home that cannot be written is found before the vault is changed: otherwise this device would not know how.
    config.write(&context.home)?;
    let vault = Vault::open(context, options, Some(&config))?;
    let password = password.ask_for_new(context)?;
    let Live { registration, undelivered } = register(context, &mut config, &vault, (&key, &key), &password)?;
    warn_of_untold(context, send_head(context, &vault, &config.archive_url, &key));
    let attempts = vault.status().ok().and_then(|status| Some(status.live?.max_attempts)).unwrap_or_default();
    let (sites, _) = vault.sites();
    context.output.summary(&Protected {
        protected_by: "password",
        registration: registration.to_string(),
        attempts,
        sites,
        holders: sites.saturating_sub(u8::try_from(undelivered.len()).unwrap_or(u8::MAX)),
        undelivered: undelivered.iter().map(|site| site.0).collect(),
    })?;
    Ok(Exit::Done)
}

/// A registration that counts.
pub(crate) struct Live {
    registration: RegistrationId,
    undelivered: Vec<SiteNumber>,
}

/// Registers a key under a new password, in the place of what is registered for it or for the one `before`.
pub(crate) fn register(
    context: &Context,
    config: &mut Config,
    vault: &Vault,
    (key, before): (&BackupKey, &BackupKey),
    password: &Password,
) -> Result<Live, Error> {
    context.output.note("registering the key with the vault, and retrieving it once to be sure …");
    let mut outbox = OutboxFile(&context.home);
    let register = vault.session.register_after(password, key, before, &Argon2Parameters::DEFAULT, &mut outbox);
    let registered = vault.wait(register).map_err(VaultError::from)?;
    let (Registered::Protected { registration, .. } | Registered::Waiting { registration, .. }) = registered;
    config.vault = Some(vault.known(Some(registration.to_string())));
    match registered {
        Registered::Protected { .. } => config.protect(Protection::Password),
        Registered::Waiting { .. } => config.unprotect(Protection::Password),
    }
    config.write(&context.home)?;
    let (undelivered, forged) = match registered {
        Registered::Protected { undelivered, forged, .. } => (undelivered, forged),
        Registered::Waiting { live_at, .. } => return Err(VaultError::Waiting { live_at }.into()),
    };
    warn_of_forgers(context, &forged);
    Ok(Live { registration, undelivered })
}
